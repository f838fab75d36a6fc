//! The management listener: health, on an address that clients do not reach.

use std::sync::Arc;

use axum::{Router, extract::State, response::Response, routing::get};
use http::{HeaderValue, StatusCode, Uri, header};

use crate::office::Office;

/// Its routes.
pub fn routes(office: Arc<Office>) -> Router {
    Router::new()
        .route("/livez", get(|| async { text(StatusCode::OK, "ok\n") }))
        .route("/readyz", get(ready))
        .with_state(office)
}

/// Ready while store and keys serve. A provider that is away is only a warning: sessions
/// that exist go on without it.
async fn ready(State(office): State<Arc<Office>>, uri: Uri) -> Response {
    let store = office.store.check().await;
    // Never asked here: a slow provider must not make this gateway look dead.
    let idp_known = office.provider.is_known();
    let mut lines = String::new();
    let mut line = |mark: &str, name: &str, more: &str| {
        lines.push_str(&format!("[{mark}]{name} {more}\n"));
    };
    line("+", "config", "ok");
    line("+", "keys", "ok");
    match &store {
        Ok(()) => line("+", "store", "ok"),
        Err(error) => line("-", "store", &format!("failed: {error}")),
    }
    if idp_known {
        line("+", "idp", "ok");
    } else {
        line(
            "!",
            "idp",
            "degraded: not reached yet; logins wait for it, sessions keep working",
        );
    }
    let (status, verdict) = match store {
        Ok(()) => (StatusCode::OK, "readyz ok\n"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "readyz failed\n"),
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

fn text(status: StatusCode, body: &str) -> Response {
    let mut response = Response::new(body.to_owned().into());
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}
