//! The pages: plain HTML that needs no script.

use askama::Template;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::people::{PEOPLE, Person};

/// `form-action` is left out on purpose: Chromium applies it to the redirects that
/// follow a form, and ours end at the client.
const CSP: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(CSP),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    // Not `no-referrer`: with that, browsers send `Origin: null` with our own form.
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("same-origin"),
    ),
];

#[derive(Template)]
#[template(path = "demo/login.html")]
pub(super) struct LoginPage<'a> {
    /// The authorization request as it came; it is parsed and judged again on submit.
    pub(super) request: &'a str,
    pub(super) username: &'a str,
    pub(super) refused: bool,
    pub(super) people: &'static [Person],
}

#[derive(Template)]
#[template(path = "demo/provider_error.html")]
struct ErrorPage<'a> {
    what: &'a str,
    fix: &'a str,
}

#[derive(Template)]
#[template(path = "demo/provider_home.html")]
struct HomePage<'a> {
    issuer: &'a str,
    signed_in: Option<&'static Person>,
    people: &'static [Person],
}

pub(super) fn login(request: &str, username: &str) -> Response {
    html(
        StatusCode::OK,
        &LoginPage {
            request,
            username,
            refused: false,
            people: &PEOPLE,
        },
    )
}

/// The same answer for an unknown name and a wrong password.
pub(super) fn login_refused(request: &str, username: &str) -> Response {
    html(
        StatusCode::FORBIDDEN,
        &LoginPage {
            request,
            username,
            refused: true,
            people: &PEOPLE,
        },
    )
}

pub(super) fn error(what: &str, fix: &str) -> Response {
    html(StatusCode::BAD_REQUEST, &ErrorPage { what, fix })
}

pub(super) fn home(issuer: &str, signed_in: Option<&'static Person>) -> Response {
    html(
        StatusCode::OK,
        &HomePage {
            issuer,
            signed_in,
            people: &PEOPLE,
        },
    )
}

pub(super) async fn style() -> Response {
    (
        [
            (header::CONTENT_TYPE, "text/css; charset=utf-8"),
            (header::CACHE_CONTROL, "no-cache"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ],
        include_str!("style.css"),
    )
        .into_response()
}

fn html(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => (
            status,
            HEADERS,
            [(header::CONTENT_TYPE, "text/html; charset=utf-8")],
            text,
        )
            .into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
