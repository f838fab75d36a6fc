//! A company's provider that does what a test says: it signs people in silently, tells the
//! documents and keys that it is given, and remembers what it was sent. The wire format is
//! that of OpenID Connect Discovery and Core.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use vestibule::world::World;

use super::{place::Place, query_of, signer::Signer};

pub const ACCESS_TOKEN: &str = "canary-opaque/access+token==";
pub const REFRESH_TOKEN: &str = "canary-upstream-refresh";

pub struct Idp {
    pub issuer: String,
    state: Arc<Mutex<Told>>,
    _runtime: tokio::runtime::Runtime,
}

/// What it tells, and what it was told.
pub struct Told {
    /// Members laid over its discovery document; null takes one away.
    pub document: Value,
    /// What signs ID tokens now, and is published.
    pub signer: Signer,
    pub kid: String,
    /// A key that ID tokens name and that is published nowhere.
    pub forged: Option<String>,
    /// Claims laid over those of the next ID token.
    pub claims: Value,
    /// What it gives besides, for somebody else.
    pub access_token: String,
    /// The ID token that it gave last.
    pub id_token: String,
    /// How often its keys were asked for.
    pub looks: usize,
    /// What its token endpoint answers in place of tokens.
    pub refusal: Option<(u16, String)>,
    /// How long its token endpoint takes.
    pub waits: Duration,
    /// Whether its token endpoint takes a request and says nothing.
    pub hangs: bool,
    /// What its userinfo endpoint says; an error without.
    pub userinfo: Option<Value>,
    /// How often that was asked with the right token.
    pub asked_userinfo: usize,
    /// What Microsoft Graph says of whose groups they are, or a status.
    pub members: Result<Value, u16>,
    /// Whether our redirect address is not registered there.
    pub knows_no_redirect: bool,
    /// Whether its answer lacks the ID token.
    pub no_id_token: bool,
    /// Seconds that its clock is ahead, as the gateway's is that a test turned.
    pub ahead: u64,
    /// Refresh tokens that it was shown.
    pub refreshes: Vec<String>,
    /// The error by which it says no to a refresh.
    pub let_go: Option<&'static str>,
    /// What it says to exchanges in place of a token.
    pub no_exchange: Option<(u16, &'static str)>,
    /// What it wants to read of the person, beside that.
    pub challenge: Option<Value>,
    /// How long its access tokens live, in seconds.
    pub access_life: u64,
    /// Exchanges that it was asked for, as they came.
    pub exchanges: Vec<BTreeMap<String, String>>,
    /// Bodies that came to its token endpoint.
    pub redemptions: Vec<String>,
    /// Secrets that it was shown in a header.
    pub secrets: Vec<String>,
    /// Called once when a code is redeemed, by whom it then does not know.
    pub unknown_once: Option<Box<dyn FnOnce() + Send>>,
    /// Whether the last of them came with an Authorization header.
    pub authorized: bool,
    nonce: String,
    generation: u32,
}

impl Told {
    /// It gives another at each refresh, and takes the one before no more.
    pub fn newest_refresh(&self) -> String {
        match self.generation {
            0 => REFRESH_TOKEN.to_owned(),
            n => format!("{REFRESH_TOKEN}-{n}"),
        }
    }
}

impl Idp {
    pub fn start() -> Self {
        let place = Place::take();
        let issuer = place.origin.clone();
        let state = Arc::new(Mutex::new(Told {
            document: json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"),
                "jwks_uri": format!("{issuer}/jwks"),
            }),
            signer: Signer::new(),
            kid: "k1".to_owned(),
            forged: None,
            claims: json!({}),
            access_token: ACCESS_TOKEN.to_owned(),
            id_token: String::new(),
            looks: 0,
            refusal: None,
            waits: Duration::ZERO,
            hangs: false,
            userinfo: None,
            asked_userinfo: 0,
            knows_no_redirect: false,
            members: Err(403),
            no_id_token: false,
            ahead: 0,
            refreshes: Vec::new(),
            let_go: None,
            no_exchange: None,
            challenge: None,
            access_life: 300,
            exchanges: Vec::new(),
            redemptions: Vec::new(),
            secrets: Vec::new(),
            unknown_once: None,
            authorized: false,
            nonce: String::new(),
            generation: 0,
        }));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(document))
            .route(
                "/organizations/v2.0/.well-known/openid-configuration",
                get(document),
            )
            .route("/jwks", get(keys))
            .route("/v1.0/users/{id}/getMemberObjects", post(members))
            .route("/authorize", get(silent))
            .route("/token", post(redeem))
            .route("/userinfo", get(userinfo))
            .with_state((issuer.clone(), Arc::clone(&state)));
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

    /// Sends the browser back without a code: the callback's address with an error.
    pub fn refuses(url: &str, error: &str, said: &str) -> String {
        let ask = |name: &str| query_of(url, name).unwrap_or_else(|| panic!("{name} in {url}"));
        let (back, state) = (ask("redirect_uri"), ask("state"));
        let params = [
            ("error", error),
            ("error_description", said),
            ("state", state.as_str()),
        ];
        vestibule_core::uri::with_query(&back, &params)
    }

    /// Signs in without a word: the callback's address for where the gateway sent the
    /// browser, with this code.
    pub fn sign_in(&self, url: &str, code: &str) -> String {
        let ask = |name: &str| query_of(url, name).unwrap_or_else(|| panic!("{name} in {url}"));
        self.with(|told| told.nonce = ask("nonce"));
        let (back, state) = (ask("redirect_uri"), ask("state"));
        vestibule_core::uri::with_query(&back, &[("code", code), ("state", &state)])
    }
}

type Shared = State<(String, Arc<Mutex<Told>>)>;

fn json_answer(body: &Value) -> Response {
    (
        [(header::CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}

async fn document(State((_, state)): Shared) -> Response {
    let told = state.lock().expect("no panic before");
    if told.document.is_null() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    json_answer(&told.document)
}

async fn keys(State((_, state)): Shared) -> Response {
    let mut told = state.lock().expect("no panic before");
    told.looks += 1;
    let mut jwk = told.signer.jwk();
    jwk["kid"] = told.kid.clone().into();
    json_answer(&json!({ "keys": [jwk] }))
}

/// A sign-in without a page (OpenID Connect Core §3.1.2.6): nobody is signed in here.
async fn silent(State((_, state)): Shared, uri: Uri) -> Response {
    let ask = |name: &str| query_of(&format!("http://here{uri}"), name);
    let back = ask("redirect_uri").filter(|_| ask("prompt").as_deref() == Some("none"));
    match back {
        Some(back) if !state.lock().expect("no panic before").knows_no_redirect => {
            let state = ask("state").unwrap_or_default();
            let params = [("error", "login_required"), ("state", state.as_str())];
            let to = vestibule_core::uri::with_query(&back, &params);
            (StatusCode::FOUND, [(header::LOCATION, to)]).into_response()
        }
        _ => StatusCode::BAD_REQUEST.into_response(),
    }
}

/// `directoryObject: getMemberObjects`, strict about what it is asked.
async fn members(
    State((_, state)): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let told = state.lock().expect("no panic before");
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let shown = headers
        .get(header::AUTHORIZATION)
        .map(|value| value.as_bytes().to_vec());
    let json = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind == "application/json");
    if shown.as_deref() != Some(b"Bearer canary-app-only") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if id != "o-ada" || !json || body != json!({ "securityEnabledOnly": false }) {
        return StatusCode::BAD_REQUEST.into_response();
    }
    match &told.members {
        Ok(value) => json_answer(&json!({ "@odata.context": "…", "value": value })),
        Err(status) => StatusCode::from_u16(*status)
            .expect("a status")
            .into_response(),
    }
}

async fn userinfo(State((_, state)): Shared, headers: HeaderMap) -> Response {
    let mut told = state.lock().expect("no panic before");
    let expected = format!("Bearer {}", told.access_token);
    let shown = headers.get(header::AUTHORIZATION);
    if shown.is_none_or(|shown| shown.as_bytes() != expected.as_bytes()) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    told.asked_userinfo += 1;
    match &told.userinfo {
        Some(claims) => json_answer(claims),
        None => StatusCode::BAD_GATEWAY.into_response(),
    }
}

async fn redeem(State((issuer, state)): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let (hangs, refusal, waits) = {
        let told = state.lock().expect("no panic before");
        (told.hangs, told.refusal.clone(), told.waits)
    };
    tokio::time::sleep(waits).await;
    if hangs {
        std::future::pending::<()>().await;
    }
    if let Some((status, body)) = refusal {
        let status = StatusCode::from_u16(status).expect("a status");
        return (status, body).into_response();
    }
    let mut told = state.lock().expect("no panic before");
    told.authorized = headers.contains_key(header::AUTHORIZATION);
    told.secrets.extend(secret_of(&headers));
    if let Some(meanwhile) = told.unknown_once.take() {
        meanwhile();
        return (StatusCode::UNAUTHORIZED, r#"{"error":"invalid_client"}"#).into_response();
    }
    told.redemptions
        .push(String::from_utf8_lossy(&body).into_owned());
    let fields: BTreeMap<String, String> =
        url::form_urlencoded::parse(&body).into_owned().collect();
    if fields
        .get("grant_type")
        .is_some_and(|grant| grant == "client_credentials")
    {
        let graph = format!("{issuer}/.default");
        if fields.get("scope") != Some(&graph) {
            return (StatusCode::BAD_REQUEST, r#"{"error":"invalid_scope"}"#).into_response();
        }
        let app_only = json!({ "token_type": "Bearer", "expires_in": 3599, "access_token": "canary-app-only" });
        return json_answer(&app_only);
    }
    if let Some(answer) = exchange(&mut told, &fields) {
        return answer;
    }
    let form = format!("http://form/?{}", String::from_utf8_lossy(&body));
    let refreshed = query_of(&form, "refresh_token");
    if let Some(shown) = &refreshed {
        told.refreshes.push(shown.clone());
        if let Some(error) = told.let_go {
            let body = json!({ "error": error, "error_description": "canary-said" });
            return (StatusCode::BAD_REQUEST, body.to_string()).into_response();
        }
        if shown != &told.newest_refresh() {
            return (StatusCode::BAD_REQUEST, r#"{"error":"invalid_grant"}"#).into_response();
        }
        told.generation += 1;
    }
    let now = World::real().now().unix() + told.ahead;
    let mut claims = json!({
        "iss": issuer, "aud": "vestibule", "sub": "ada", "iat": now, "exp": now + 300,
    });
    if refreshed.is_none() {
        claims["nonce"] = told.nonce.clone().into();
    }
    for (name, value) in told.claims.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    // Asked for less, it says less of the person.
    if let Some(scope) = fields.get("scope").filter(|_| refreshed.is_some()) {
        let claims = claims.as_object_mut().expect("an object");
        if !scope.split(' ').any(|scope| scope == "profile") {
            for name in ["groups", "name", "oid"] {
                claims.remove(name);
            }
        }
    }
    let kid = told.forged.as_ref().unwrap_or(&told.kid);
    let header = json!({ "alg": "ES256", "kid": kid });
    told.id_token = told.signer.sign(&header, &claims);
    // One for other scopes is another token.
    let access_token = match fields.get("scope") {
        Some(scope) => format!("{} {scope}", told.access_token).replace(' ', "_"),
        None => told.access_token.clone(),
    };
    let mut answer = json!({
        "token_type": "Bearer",
        "access_token": access_token,
        "expires_in": told.access_life,
        "refresh_token": told.newest_refresh(),
    });
    if !told.no_id_token {
        answer["id_token"] = told.id_token.clone().into();
    }
    json_answer(&answer)
}

/// Answers RFC 8693 §2.1 and Microsoft's on-behalf-of, as they are documented; anything beside
/// that is an error of the request's.
fn exchange(told: &mut Told, form: &BTreeMap<String, String>) -> Option<Response> {
    const TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
    let has = |name: &str| form.get(name).map(String::as_str);
    let (needed, optional): (&[_], &[_]) = match has("grant_type")? {
        "urn:ietf:params:oauth:grant-type:token-exchange" => (
            &[
                ("subject_token_type", Some(TOKEN)),
                ("requested_token_type", Some(TOKEN)),
                ("subject_token", None),
            ],
            &["audience", "resource", "scope"],
        ),
        "urn:ietf:params:oauth:grant-type:jwt-bearer" => (
            &[
                ("requested_token_use", Some("on_behalf_of")),
                ("assertion", None),
                ("scope", None),
            ],
            &[],
        ),
        _ => return None,
    };
    let refuse = |status: u16, error: &str| {
        let status = StatusCode::from_u16(status).expect("a status");
        Some((status, json!({ "error": error }).to_string()).into_response())
    };
    let complete = needed
        .iter()
        .all(|(name, value)| has(name).is_some_and(|sent| value.is_none_or(|value| sent == value)));
    let known = |name: &str| {
        name == "grant_type" || needed.iter().any(|(n, _)| *n == name) || optional.contains(&name)
    };
    if !complete || !form.keys().all(|name| known(name)) {
        return refuse(400, "invalid_request");
    }
    let shown = has("subject_token").or(has("assertion"))?;
    if !shown.starts_with(&told.access_token) {
        return refuse(400, "invalid_grant");
    }
    told.exchanges.push(form.clone());
    if let Some((status, error)) = told.no_exchange {
        let status = StatusCode::from_u16(status).expect("a status");
        let mut body = json!({ "error": error });
        if let Some(claims) = &told.challenge {
            body["claims"] = claims.clone();
        }
        return Some((status, body.to_string()).into_response());
    }
    let nth = told.exchanges.len();
    Some(json_answer(&json!({
        "access_token": format!("canary-exchanged-{nth}"),
        "issued_token_type": TOKEN,
        "token_type": "Bearer",
        "expires_in": told.access_life,
    })))
}

fn secret_of(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let pair = STANDARD.decode(value.strip_prefix("Basic ")?).ok()?;
    let pair = String::from_utf8(pair).ok()?;
    Some(pair.split_once(':')?.1.to_owned())
}
