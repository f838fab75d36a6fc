//! GitHub as an identity provider, strict about what it documents: an OAuth app with a secret in
//! the form and PKCE, its own words of refusal with status 200, a form for whoever does not ask
//! for JSON, and an API that wants a user agent and tells lists by pages.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use vestibule_core::{
    pkce::{CodeChallenge, CodeVerifier},
    uri::with_query,
};

use super::{place::Place, query_of};

pub const SECRET: &str = "canary-idp-secret";
pub const TOKEN: &str = "gho_canaryGitHubToken";

pub struct GitHub {
    pub issuer: String,
    state: Arc<Mutex<Told>>,
    _runtime: tokio::runtime::Runtime,
}

/// What it was told, and what it is to say.
#[derive(Default)]
pub struct Told {
    /// What `/user` answers.
    pub user: Value,
    /// Ids of organizations and teams that the person is in.
    pub orgs: Vec<u64>,
    pub teams: Vec<u64>,
    /// What the API answers in place of all that.
    pub refusal: Option<u16>,
    /// Whether it has been asked too much.
    pub limited: bool,
    /// What it calls itself in its answers, if not as it should.
    pub other_iss: bool,
    /// Whether the secret is another by now.
    pub other_secret: bool,
    /// How often `/user` was asked.
    pub asked: usize,
    /// What the API was asked for.
    pub paths: Vec<String>,
    codes: BTreeMap<String, (String, String)>,
    scope: String,
}

impl GitHub {
    pub fn start() -> Self {
        let place = Place::take();
        let issuer = place.origin.clone();
        let state = Arc::new(Mutex::new(Told {
            user: json!({ "id": 583_231, "login": "ada", "name": "Ada L", "email": null }),
            orgs: vec![9919],
            ..Told::default()
        }));
        let router = Router::new()
            .route("/login/oauth/access_token", post(token))
            .route("/api/v3/user", get(user))
            .route("/api/v3/user/orgs", get(orgs))
            .route("/api/v3/user/teams", get(teams))
            .with_state(Arc::clone(&state));
        Self {
            issuer,
            state,
            _runtime: place.serve(router),
        }
    }

    pub fn with<T>(&self, change: impl FnOnce(&mut Told) -> T) -> T {
        change(&mut self.state.lock().expect("no panic before"))
    }

    /// The person signs in: the callback's address for where the gateway sent the browser.
    pub fn sign_in(&self, url: &str, code: &str) -> String {
        let ask = |name: &str| query_of(url, name).unwrap_or_else(|| panic!("{name} in {url}"));
        let page = format!("{}/login/oauth/authorize?", self.issuer);
        assert!(url.starts_with(&page), "{url}");
        assert_eq!(ask("client_id"), "vestibule");
        assert_eq!(ask("code_challenge_method"), "S256");
        let (back, state) = (ask("redirect_uri"), ask("state"));
        let one = (ask("code_challenge"), back.clone());
        let scope = ask("scope");
        self.with(|told| {
            told.scope = scope;
            told.codes.insert(code.to_owned(), one)
        });
        let wrong = self.with(|told| told.other_iss);
        let path = if wrong { "" } else { "/login/oauth" };
        let iss = format!("{}{path}", self.issuer);
        with_query(&back, &[("code", code), ("state", &state), ("iss", &iss)])
    }
}

type Shared = State<Arc<Mutex<Told>>>;

async fn token(State(state): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let mut told = state.lock().expect("no panic before");
    let form: BTreeMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
    let said = |answer: Value| {
        let wants_json = headers
            .get(header::ACCEPT)
            .is_some_and(|accept| accept == "application/json");
        match wants_json {
            true => answer.to_string().into_response(),
            // What it answers to everybody else is no JSON.
            false => "access_token=x&token_type=bearer".into_response(),
        }
    };
    let no = |error: &str| said(json!({ "error": error, "error_description": "canary words" }));
    let of = |name: &str| form.get(name).map_or("", String::as_str);
    if headers.contains_key(header::AUTHORIZATION)
        || told.other_secret
        || (of("client_id"), of("client_secret")) != ("vestibule", SECRET)
    {
        return no("incorrect_client_credentials");
    }
    let Some((challenge, back)) = told.codes.remove(of("code")) else {
        return no("bad_verification_code");
    };
    if back != of("redirect_uri") {
        return no("redirect_uri_mismatch");
    }
    let verified = CodeVerifier::parse(of("code_verifier")).is_ok_and(|verifier| {
        verifier.challenge() == CodeChallenge::parse(&challenge).expect("one")
    });
    if !verified {
        return no("bad_verification_code");
    }
    said(
        json!({ "access_token": TOKEN, "token_type": "bearer", "scope": told.scope.replace(' ', ",") }),
    )
}

fn refused(told: &mut Told, headers: &HeaderMap, path: &str) -> Option<Response> {
    told.paths.push(path.to_owned());
    if !headers.contains_key(header::USER_AGENT) {
        return Some(StatusCode::FORBIDDEN.into_response());
    }
    let bearer = format!("Bearer {TOKEN}");
    if headers
        .get(header::AUTHORIZATION)
        .is_none_or(|shown| *shown != *bearer)
    {
        return Some(StatusCode::UNAUTHORIZED.into_response());
    }
    let status = StatusCode::from_u16(told.refusal?).expect("a status");
    let mut refused = (status, r#"{"message":"canary words"}"#).into_response();
    if told.limited {
        let none = header::HeaderValue::from_static("0");
        refused.headers_mut().insert("x-ratelimit-remaining", none);
    }
    Some(refused)
}

async fn user(State(state): Shared, headers: HeaderMap) -> Response {
    let mut told = state.lock().expect("no panic before");
    told.asked += 1;
    let refused = refused(&mut told, &headers, "/user");
    refused.unwrap_or_else(|| told.user.to_string().into_response())
}

async fn orgs(State(state): Shared, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let mut told = state.lock().expect("no panic before");
    let list = told.orgs.clone();
    listed(&mut told, &headers, "/user/orgs", &list, query)
}

async fn teams(State(state): Shared, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let mut told = state.lock().expect("no panic before");
    let list = told.teams.clone();
    listed(&mut told, &headers, "/user/teams", &list, query)
}

fn listed(
    told: &mut Told,
    headers: &HeaderMap,
    path: &str,
    all: &[u64],
    query: Option<String>,
) -> Response {
    if let Some(refused) = refused(told, headers, path) {
        return refused;
    }
    if !told.scope.contains("read:org") {
        return StatusCode::FORBIDDEN.into_response();
    }
    let url = format!("http://x/?{}", query.unwrap_or_default());
    let number = |name: &str, usual: usize| {
        let text = query_of(&url, name);
        text.map_or(usual, |text| text.parse().expect("a number"))
    };
    let (size, page) = (number("per_page", 30).min(100), number("page", 1));
    let list = all.iter().skip(size * (page - 1)).take(size);
    let list: Vec<Value> = list.map(|id| json!({ "id": id, "login": "x" })).collect();
    Value::from(list).to_string().into_response()
}
