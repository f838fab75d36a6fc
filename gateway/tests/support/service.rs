//! A service behind an MCP server at which people have accounts: an authorization server with
//! one client, strict about RFC 6749, RFC 7636 and RFC 7009. Its refresh tokens rotate.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use vestibule_core::{secret::Digest, uri::with_query};

use super::{basic, place::Place, query_of};

pub const CLIENT_ID: &str = "vestibule at tickets";
pub const SECRET: &str = "canary-tickets-secret:/%";

pub struct Service {
    pub issuer: String,
    state: Arc<Mutex<Told>>,
    _runtime: tokio::runtime::Runtime,
}

/// What it was told, and what it is to say.
#[derive(Default)]
pub struct Told {
    /// Members laid over its metadata.
    pub metadata: Value,
    /// Code to its challenge and redirect URI.
    codes: BTreeMap<String, (String, String)>,
    /// How many tokens it gave.
    pub given: usize,
    /// How long they live, in seconds.
    pub life: u64,
    /// What it answers at its token endpoint in place of tokens.
    pub refusal: Option<(u16, &'static str)>,
    /// Whether what it gives has no end and nothing renews it.
    pub endless: bool,
    /// Tokens that it was told to revoke.
    pub revoked: Vec<String>,
}

impl Service {
    pub fn start() -> Self {
        let place = Place::take();
        let issuer = place.origin.clone();
        let state = Arc::new(Mutex::new(Told {
            metadata: json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"),
                "revocation_endpoint": format!("{issuer}/revoke"),
                "authorization_response_iss_parameter_supported": true,
            }),
            life: 600,
            ..Told::default()
        }));
        let router = Router::new()
            .route("/.well-known/oauth-authorization-server", get(metadata))
            .route("/token", post(token))
            .route("/revoke", post(revoke))
            .with_state(Arc::clone(&state));
        Self {
            issuer,
            state,
            _runtime: place.serve(router),
        }
    }

    /// Looks at it, or changes it.
    pub fn with<T>(&self, change: impl FnOnce(&mut Told) -> T) -> T {
        change(&mut self.state.lock().expect("no panic before"))
    }

    /// The person allows it: the callback's address for where the gateway sent the browser.
    pub fn allow(&self, url: &str, code: &str) -> String {
        let ask = |name: &str| query_of(url, name).unwrap_or_else(|| panic!("{name} in {url}"));
        assert!(
            url.starts_with(&format!("{}/authorize?", self.issuer)),
            "{url}"
        );
        assert_eq!(ask("response_type"), "code");
        assert_eq!(ask("client_id"), CLIENT_ID);
        assert_eq!(ask("code_challenge_method"), "S256");
        let (back, state) = (ask("redirect_uri"), ask("state"));
        let one = (ask("code_challenge"), back.clone());
        self.with(|told| told.codes.insert(code.to_owned(), one));
        let params = [("code", code), ("state", &state), ("iss", &self.issuer)];
        with_query(&back, &params)
    }
}

type Shared = State<Arc<Mutex<Told>>>;

async fn metadata(State(state): Shared) -> Response {
    let told = state.lock().expect("no panic before");
    told.metadata.to_string().into_response()
}

/// Whether the client is ours, by the header of RFC 6749 §2.3.1.
fn is_known(headers: &HeaderMap) -> bool {
    let encoded =
        |text: &str| -> String { url::form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let expected = basic(&encoded(CLIENT_ID), &encoded(SECRET));
    let shown = headers.get(header::AUTHORIZATION);
    shown.is_some_and(|shown| shown.as_bytes() == expected.as_bytes())
}

fn refuse(status: u16, error: &str) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    (status, json!({ "error": error }).to_string()).into_response()
}

fn form(body: &Bytes) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(body).into_owned().collect()
}

async fn token(State(state): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let mut told = state.lock().expect("no panic before");
    if let Some((status, error)) = told.refusal {
        return refuse(status, error);
    }
    if !is_known(&headers) {
        return refuse(401, "invalid_client");
    }
    let form = form(&body);
    let has = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let good = match has("grant_type") {
        "authorization_code" => {
            let verifier = Digest::of(has("code_verifier").as_bytes());
            let challenge = URL_SAFE_NO_PAD.encode(verifier.bytes());
            let known = told.codes.remove(has("code"));
            known == Some((challenge, has("redirect_uri").to_owned()))
        }
        "refresh_token" => has("refresh_token") == format!("canary-account-refresh-{}", told.given),
        _ => return refuse(400, "unsupported_grant_type"),
    };
    if !good {
        return refuse(400, "invalid_grant");
    }
    told.given += 1;
    let mut body = json!({
        "access_token": format!("canary-account-{}", told.given),
        "refresh_token": format!("canary-account-refresh-{}", told.given),
        "token_type": "bearer",
        "expires_in": told.life,
    });
    if told.endless {
        let body = body.as_object_mut().expect("an object");
        body.remove("refresh_token");
        body.remove("expires_in");
    }
    (
        [(header::CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}

async fn revoke(State(state): Shared, headers: HeaderMap, body: Bytes) -> Response {
    if !is_known(&headers) {
        return refuse(401, "invalid_client");
    }
    let mut told = state.lock().expect("no panic before");
    let token = form(&body).remove("token").unwrap_or_default();
    told.revoked.push(token);
    StatusCode::OK.into_response()
}
