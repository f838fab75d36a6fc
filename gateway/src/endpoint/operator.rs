//! `/operator`: what an operator is told at our own pages, and the way to the console.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, State},
    response::Response,
};
use http::{HeaderMap, StatusCode};
use vestibule_core::{
    console_pass::Pass, id::TicketId, operator::Role, secret::Digest, sign_in::Destination,
    uri::with_query,
};

use super::{
    answer,
    consent::store_failed,
    login::from_their_page,
    session::{Session, sign_in_first},
};
use crate::{office::Office, page};

/// The session of somebody with a role, or the page that is shown instead.
async fn operator(
    office: &Office,
    headers: &HeaderMap,
    to: Destination,
) -> Result<(Session, Role), Response> {
    let failed = |error| store_failed(office, &error);
    let session = Session::of(office, headers).await.map_err(failed)?;
    let session = session.ok_or_else(|| sign_in_first(office, to))?;
    let role = office.role(&session.person).await.map_err(failed)?;
    let role = role.ok_or_else(|| {
        tracing::warn!(event = "admin.refused", user_ref = %session.person.id);
        answer::from_catalogue(office, StatusCode::FORBIDDEN, "V-ADM-001")
    })?;
    Ok((session, role))
}

/// `GET /operator`.
pub async fn welcome(State(office): State<Arc<Office>>, headers: HeaderMap) -> Response {
    match operator(&office, &headers, Destination::Operator).await {
        Ok((session, role)) => page::answer(
            StatusCode::OK,
            &page::Operator {
                frame: office.frame(None),
                person: &session.person.shown,
                acts: role == Role::Operator,
                console: &format!("{}/console", office.console),
            },
        ),
        Err(response) => response,
    }
}

/// `GET /operator/pass/{browser}`: asks before anybody is handed over, since another site may
/// have sent the browser here.
pub async fn ask(
    State(office): State<Arc<Office>>,
    Path(browser): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(browser) = Digest::parse(&browser) else {
        return answer::from_catalogue(&office, StatusCode::BAD_REQUEST, "V-ADM-003");
    };
    match operator(&office, &headers, Destination::Console(browser)).await {
        Ok((session, _)) => page::answer_with_form(
            StatusCode::OK,
            &page::ToConsole {
                frame: office.frame(None),
                person: &session.person.shown,
                console: office.console.text(),
                path: &Destination::Console(browser).path(),
                token: &session.form_token(&office),
            },
        ),
        Err(response) => response,
    }
}

/// `POST /operator/pass/{browser}`: on to the console, whose cookie has this digest.
pub async fn pass(
    State(office): State<Arc<Office>>,
    Path(browser): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(browser) = Digest::parse(&browser) else {
        return answer::from_catalogue(&office, StatusCode::BAD_REQUEST, "V-ADM-003");
    };
    let session = match operator(&office, &headers, Destination::Console(browser)).await {
        Ok((session, _)) => session,
        Err(response) => return response,
    };
    if from_their_page(&office, &session, &headers, body)
        .await
        .is_none()
    {
        return answer::from_catalogue(&office, StatusCode::FORBIDDEN, "V-APP-001");
    }
    let pass = Pass {
        id: TicketId::new(office.world.random()),
        session: session.digest(),
        made: office.world.now(),
    };
    let keys = office.keys.load();
    let pass = pass.seal(&keys.browser, &browser, office.world.random());
    let enter = format!("{}/console/enter", office.console);
    page::answer(
        StatusCode::OK,
        &page::SignedIn {
            frame: office.frame(None),
            path: &with_query(&enter, &[("pass", &pass)]),
        },
    )
}
