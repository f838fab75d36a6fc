//! `/console/enter` and `/console/leave`: a pass becomes a session here, and the session ends.

use std::sync::Arc;

use axum::{body::Body, extract::State, response::Response};
use http::{HeaderMap, StatusCode, Uri, header};
use vestibule_core::{console_pass::Pass, params::Params, secret::Digest};

use super::{
    Admin,
    who::{self, Who, digest_of, is_for_us},
};
use crate::{
    endpoint::{answer, store_failed},
    page,
    store::{Decided, NewSession},
};

/// `GET /console/enter?pass=…`.
pub(super) async fn enter(
    State(admin): State<Arc<Admin>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let office = &admin.office;
    let refused = || answer::from_catalogue(office, StatusCode::FORBIDDEN, "V-ADM-003");
    if !is_for_us(&admin, &headers) {
        return refused();
    }
    let params = Params::parse(uri.query().unwrap_or_default()).unwrap_or_default();
    let shown = params.one("pass").ok().flatten();
    let (Some(shown), Some(entering)) = (shown, admin.jar.entering(&headers)) else {
        return refused();
    };
    let browser = Digest::of(entering.as_bytes());
    let keys = office.keys.load_full();
    let now = office.world.now();
    let Ok(pass) = Pass::open(shown, &keys.browser, &browser, now) else {
        return refused();
    };
    match office.store.spend(pass.once()).await {
        Ok(Decided::Now) => {}
        Ok(Decided::Before) => return refused(),
        Err(error) => return store_failed(office, &error),
    }
    let cookie = office.random_text();
    let before = admin.jar.console(&headers);
    let session = NewSession {
        digest: digest_of(&cookie),
        replaces: before.map(|cookie| digest_of(&cookie)),
        ends: now.plus(office.tokens.session_ttl),
    };
    let begun = office.store.begin_session(pass.session, session, now);
    match begun.await {
        Ok(Some(person)) => tracing::info!(event = "admin.entered", user_ref = %person),
        // They signed out meanwhile, or were signed out.
        Ok(None) => return refused(),
        Err(error) => return store_failed(office, &error),
    }
    // A browser that came from another site does not send the new cookie yet.
    let mut response = page::answer(
        StatusCode::OK,
        &page::SignedIn {
            frame: office.frame(None),
            path: "/console",
        },
    );
    let headers = response.headers_mut();
    headers.append(header::SET_COOKIE, admin.jar.set_console(&cookie));
    headers.append(header::SET_COOKIE, admin.jar.clear_entering());
    response
}

/// `POST /console/leave`: also who may only look can leave.
pub(super) async fn leave(
    State(admin): State<Arc<Admin>>,
    who: Who,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if let Err(response) = who::from_their_page(&admin, &who, &headers, body).await {
        return response;
    }
    let office = &admin.office;
    if let Err(error) = office.store.end_session(who.session()).await {
        return store_failed(office, &error);
    }
    let mut response = page::answer(
        StatusCode::OK,
        &page::SignOut {
            frame: office.frame(None),
            person: None,
            token: "",
        },
    );
    response
        .headers_mut()
        .append(header::SET_COOKIE, admin.jar.clear_console());
    response
}
