//! An MCP server with the flaws of a demonstration lab for an API gateway: the shapes of its
//! answers, as its policies write them, and none of its code.

use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, options, post},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

use super::place::Place;

/// Which flaws besides those that it always has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaws {
    /// The challenge says only a realm, and there is no resource metadata.
    RealmOnly,
    /// The challenge names resource metadata at a place where it is not served; it is with
    /// the path inserted, for another resource, and its issuer has a slash too many.
    Elsewhere,
    /// Any token will do, and any page.
    AnyToken,
    /// The issuer is the identity provider's, and PKCE is not offered.
    BorrowedMetadata,
    /// The metadata names endpoints of the inside of a network, and one that is gone.
    InsideOut,
}

#[derive(Clone)]
struct Shape {
    origin: String,
    flaws: Flaws,
}

pub struct Flawed {
    pub origin: String,
    _runtime: tokio::runtime::Runtime,
}

impl Flawed {
    pub fn start(flaws: Flaws) -> Self {
        let place = Place::take();
        let origin = place.origin.clone();
        let shape = Shape {
            origin: origin.clone(),
            flaws,
        };
        let router = Router::new()
            .route("/weather/mcp", post(mcp))
            .route(
                "/.well-known/oauth-protected-resource/weather/mcp",
                get(resource),
            )
            .route("/.well-known/oauth-authorization-server", get(metadata))
            .route("/register", options(register_options).post(register))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .with_state(shape);
        Self {
            origin,
            _runtime: place.serve(router),
        }
    }

    pub fn url(&self) -> String {
        format!("{}/weather/mcp", self.origin)
    }
}

fn answer(status: u16, kind: &'static str, body: impl Into<axum::body::Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn with(mut response: Response, name: &'static str, value: &str) -> Response {
    let value = HeaderValue::from_str(value).expect("a value");
    response.headers_mut().append(name, value);
    response
}

async fn mcp(State(shape): State<Shape>, headers: HeaderMap) -> Response {
    if shape.flaws == Flaws::AnyToken && headers.contains_key("authorization") {
        let result = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        return answer(200, "application/json", result);
    }
    let refused = answer(401, "text/plain", "Unauthorized");
    let challenge = match shape.flaws {
        Flaws::Elsewhere => format!(
            "Bearer resource_metadata=\"{}/.well-known/oauth-protected-resource\"",
            shape.origin
        ),
        _ => "Bearer realm=\"example\"".to_owned(),
    };
    with(refused, "www-authenticate", &challenge)
}

async fn resource(State(shape): State<Shape>) -> Response {
    if shape.flaws != Flaws::Elsewhere {
        return answer(404, "text/plain", "");
    }
    let body = json!({
        "resource": format!("{}/other/mcp", shape.origin),
        "authorization_servers": [format!("{}/oauth/", shape.origin)],
    });
    answer(200, "application/json", body.to_string())
}

async fn metadata(State(shape): State<Shape>) -> Response {
    let origin = &shape.origin;
    let borrowed = shape.flaws == Flaws::BorrowedMetadata;
    let mut body = json!({
        "issuer": if borrowed { "https://login.example/tenant/v2.0" } else { origin.as_str() },
        "authorization_endpoint": format!("{origin}/authorize"),
        "token_endpoint": format!("{origin}/token"),
        "registration_endpoint": format!("{origin}/register"),
        "scopes_supported": ["openid"],
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": ["none"],
    });
    if !borrowed {
        body["code_challenge_methods_supported"] = json!(["S256"]);
    }
    if shape.flaws == Flaws::InsideOut {
        body["authorization_endpoint"] = json!("http://10.0.0.1/authorize");
        body["token_endpoint"] = json!("http://127.0.0.1:1/token");
    }
    let response = answer(200, "application/json", body.to_string());
    with(response, "access-control-allow-origin", "*")
}

async fn register_options() -> Response {
    let response = with(
        answer(200, "text/plain", ""),
        "access-control-allow-origin",
        "*",
    );
    with(response, "access-control-allow-methods", "GET, OPTIONS")
}

async fn register() -> Response {
    let body = json!({ "client_id": "c0ffee", "redirect_uris": [], "client_secret": null });
    answer(200, "application/json", body.to_string())
}

/// To the consent page, whatever was asked.
async fn authorize() -> Response {
    with(
        answer(302, "text/plain", ""),
        "location",
        "/consent?state=1",
    )
}

async fn token() -> Response {
    answer(400, "application/json", r#"{"error":"invalid_grant"}"#)
}
