//! A provider whose token endpoint fails in the way that the code asks for. What it sends is
//! the documented wire format of OpenID Connect Discovery and RFC 6749 §5.2.

use axum::{
    Router,
    body::Bytes,
    response::Response,
    routing::{get, post},
};
use http::StatusCode;

use super::place::Place;

pub struct StandIn {
    pub issuer: String,
    _runtime: tokio::runtime::Runtime,
}

impl StandIn {
    pub fn start() -> Self {
        let place = Place::take();
        let issuer = place.origin.clone();
        let document = serde_json::json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/jwks"),
        })
        .to_string();
        let router = Router::new()
            .route(
                "/.well-known/openid-configuration",
                get(move || async move { document }),
            )
            .route("/jwks", get(|| async { r#"{"keys":[]}"# }))
            .route("/token", post(token));
        Self {
            issuer,
            _runtime: place.serve(router),
        }
    }
}

async fn token(body: Bytes) -> Response {
    let asked = |code: &str| {
        let text = String::from_utf8_lossy(&body);
        text.split('&').any(|pair| pair == format!("code={code}"))
    };
    let (status, body) = if asked("hang") {
        std::future::pending().await
    } else if asked("page") {
        (200, "<html>canary-page</html>")
    } else if asked("down") {
        (503, "canary-down")
    } else if asked("refuse") {
        (
            401,
            r#"{"error":"invalid_client","error_description":"AADSTS7000222: the secret has <b>expired</b>"}"#,
        )
    } else if asked("empty") {
        (200, r#"{"access_token":"canary-access"}"#)
    } else {
        (200, r#"{"id_token":"e30.e30.e30"}"#)
    };
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}
