//! `/assets`: what pages are drawn with. All of it is in the program, but for the operator's
//! own picture.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    response::{IntoResponse as _, Response},
    routing::get,
};
use http::{HeaderValue, StatusCode, header};

use crate::{office::Office, page};

/// For every listener that has pages.
pub fn routes(office: &Arc<Office>) -> Router {
    Router::new()
        .route(page::STYLE_PATH, get(style))
        .route(page::SCRIPT_PATH, get(script))
        .route(page::LOGO_PATH, get(logo))
        .with_state(Arc::clone(office))
}

/// The one style sheet.
async fn style(State(office): State<Arc<Office>>) -> Response {
    asset("text/css; charset=utf-8", office.style.clone())
}

/// The one script, of the record of a login.
async fn script() -> Response {
    asset("text/javascript; charset=utf-8", page::SCRIPT)
}

/// The operator's picture. Opened by itself, nothing in it does anything: an SVG is a document
/// that may have a script.
async fn logo(State(office): State<Arc<Office>>) -> Response {
    let Some(logo) = &office.brand.logo else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut response = asset(logo.kind, logo.bytes.clone());
    response.headers_mut().insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox"),
    );
    response
}

fn asset(kind: &'static str, body: impl Into<axum::body::Body>) -> Response {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "public, max-age=3600"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
