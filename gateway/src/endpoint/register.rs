//! `POST /register` (RFC 7591).

use std::{net::SocketAddr, sync::Arc};

use axum::{
    body::Body,
    extract::{ConnectInfo, State},
    response::Response,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use vestibule_core::{WireError, bearer, flow::earlier::Seen, register, secret::Digest};

use super::answer;
use crate::{config::Admission, office::Office};

/// See the module.
pub async fn post(
    State(office): State<Arc<Office>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if office.registration.dynamic == Admission::Off {
        let why = WireError::new(
            403,
            "access_denied",
            "clients do not register themselves here; ask the operator",
        );
        return answer::error_of(&office, why, "V-REG-003");
    }
    if let Some(expected) = &office.registration.initial_access_token
        && !carries(&headers, expected)
    {
        return not_invited(&office);
    }
    let is_json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| {
            kind.split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .eq_ignore_ascii_case("application/json")
        });
    if !is_json {
        let why = WireError::new(
            415,
            "invalid_client_metadata",
            "send the body as application/json",
        );
        return answer::error_of(&office, why, "V-REG-001");
    }
    let body = match answer::bounded(body, office.body_max).await {
        Ok(body) => body,
        Err(error) => {
            let why = WireError {
                error: "invalid_client_metadata",
                ..error.wire()
            };
            return answer::error_of(&office, why, "V-REG-001");
        }
    };
    let keys = office.keys.load();
    let registered = register::register(
        &body,
        &office.policy,
        &keys.registration,
        office.world.random(),
        office.world.now(),
    );
    match registered {
        Ok(registered) => {
            tracing::info!(
                event = "client.registered",
                client = %registered.client.reference(),
                method = registered.client.credential.method_name(),
            );
            let id = Digest::of(registered.client.id.as_bytes());
            office.saw(peer.ip(), &headers, Seen::Registered(id));
            answer::json(StatusCode::CREATED, &registered.answer)
        }
        Err(refused) => {
            tracing::info!(event = "client.refused", why = %refused);
            answer::error_of(&office, refused.wire(), "V-REG-001")
        }
    }
}

/// Whether the request shows the token that the operator gave to those who may register
/// (RFC 7591 §3).
fn carries(headers: &HeaderMap, expected: &Digest) -> bool {
    let values = headers
        .get_all(header::AUTHORIZATION)
        .iter()
        .map(HeaderValue::as_bytes);
    bearer::find(values, None)
        .is_ok_and(|shown| !shown.with_proof && Digest::of(shown.token.as_bytes()) == *expected)
}

fn not_invited(office: &Office) -> Response {
    let why = WireError::new(
        401,
        "invalid_token",
        "registration here needs the token that the operator gives out",
    );
    let mut response = answer::error_of(office, why, "V-REG-002");
    response.headers_mut().insert(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static("Bearer realm=\"vestibule\""),
    );
    response
}
