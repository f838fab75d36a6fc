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
    // Asked for here too, so that a provider that was down at the start is found again.
    let idp = office.provider.discovered().await;
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
    match &idp {
        Ok(_) => line("+", "idp", "ok"),
        Err(error) => line("!", "idp", &format!("degraded: {error}")),
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
