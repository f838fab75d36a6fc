//! Whether this process turns, and whether it serves.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::{HeaderValue, StatusCode, Uri, header};

use vestibule_core::resource::MAIN_PROVIDER;

use super::Admin;
use crate::{office::Office, provider_credential::SOON};

/// `GET /livez`.
pub(super) async fn live() -> Response {
    text(StatusCode::OK, "ok\n")
}

/// Ready while store and keys serve. A provider that is away is only a warning: sessions
/// that exist go on without it.
pub(super) async fn ready(State(admin): State<Arc<Admin>>, uri: Uri) -> Response {
    let (parts, serves) = parts(&admin.office).await;
    let mut lines = String::new();
    for (mark, name, more) in parts {
        lines.push_str(&format!("[{mark}]{name} {more}\n"));
    }
    let (status, verdict) = if serves {
        (StatusCode::OK, "readyz ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "readyz failed\n")
    };
    if uri
        .query()
        .is_some_and(|query| query.split('&').any(|part| part == "verbose"))
    {
        lines.push_str(verdict);
        text(status, &lines)
    } else {
        text(status, verdict)
    }
}

/// Each part with its mark, `+`, `!` or `-`, and whether all that must serve does.
pub(super) async fn parts(office: &Office) -> (Vec<(char, String, String)>, bool) {
    let store = office.store.check().await;
    let ok = || "ok".to_owned();
    let mut parts = vec![
        ('+', "config".to_owned(), ok()),
        ('+', "keys".to_owned(), ok()),
        match &store {
            Ok(()) => ('+', "store".to_owned(), ok()),
            Err(error) => ('-', "store".to_owned(), format!("failed: {error}")),
        },
    ];
    // Never asked here: a slow provider must not make this gateway look dead.
    let idps = office.providers.all().map(|provider| {
        let name = match provider.name() {
            MAIN_PROVIDER => "idp".to_owned(),
            name => format!("idps.{name}"),
        };
        let ends = provider.settings().credential_ends();
        let left = ends.map(|ends| ends.since(office.world.now()));
        if let Some(left) = left.filter(|left| *left < SOON) {
            let days = left.as_secs() / 86_400;
            let why =
                format!("its certificate ends in {days} days: register another, then restart");
            ('!', name, why)
        } else if provider.is_known() {
            ('+', name, ok())
        } else {
            let why = "degraded: not reached yet; logins wait for it, sessions keep working";
            ('!', name, why.to_owned())
        }
    });
    parts.extend(idps);
    (parts, store.is_ok())
}

fn text(status: StatusCode, body: &str) -> Response {
    let mut response = Response::new(body.to_owned().into());
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}
