//! `/try`: one button that does what any MCP client does, and shows the weather.
//!
//! A real client of this gateway: it meets the 401, registers nothing (the demo added it),
//! sends the person to `/authorize`, redeems the code at `/token` over HTTP and calls the
//! tool through the proxy.

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vestibule_core::{params::Params, pkce::CodeVerifier, seal::Kind, uri::with_query};

use crate::{
    endpoint::answer,
    fetch,
    office::Office,
    page::{self, Frame},
    trust::Trust,
};

/// The demo's own client.
pub const CLIENT_ID: &str = "vcl_try";

const COOKIE: &str = "vestibule_try";
const CITY: &str = "Lisbon";

#[derive(Clone)]
struct Try {
    office: Arc<Office>,
    http: reqwest::Client,
    /// Where browsers see us.
    origin: String,
    /// Where this page's own calls go, whoever ends TLS in front.
    local: String,
}

/// What the browser keeps between the button and the way back.
#[derive(Serialize, Deserialize)]
struct Pending {
    state: String,
    verifier: String,
}

#[derive(Template)]
#[template(path = "demo/try.html")]
struct TryPage {
    frame: Frame,
    server: String,
    result: Option<Result<Shown, String>>,
}

struct Shown {
    city: String,
    sentence: String,
    json: String,
}

/// The routes of the page; its own calls go to `local`.
pub fn routes(office: Arc<Office>, local: &str) -> Router {
    let http = Trust::load(None)
        .and_then(|trust| fetch::provider_client(&trust, std::time::Duration::from_secs(15)));
    let Ok(http) = http else {
        return Router::new();
    };
    let state = Try {
        origin: office.issuer.text().to_owned(),
        office,
        http,
        local: local.to_owned(),
    };
    Router::new()
        .route("/try", get(show))
        .route("/try/start", post(start))
        .route("/try/callback", get(callback))
        .with_state(state)
}

impl Try {
    fn page(&self, status: StatusCode, result: Option<Result<Shown, String>>) -> Response {
        let server = format!("{}/weather/mcp", self.origin);
        let drawn = TryPage {
            frame: self.office.frame(None),
            server,
            result,
        };
        if status == StatusCode::OK {
            page::answer_with_form(StatusCode::OK, &drawn)
        } else {
            page::answer(status, &drawn)
        }
    }

    /// A call to ourselves, under our public name.
    fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.http
            .post(format!("{}{path}", self.local))
            .header(header::HOST, self.office.issuer.authority())
    }

    /// The cookie's name, and how it is marked.
    fn cookie(&self) -> (String, &'static str) {
        if self.office.issuer.is_plain_http() {
            (COOKIE.to_owned(), "Path=/try")
        } else {
            (format!("__Host-{COOKIE}"), "Secure; Path=/")
        }
    }

    fn redirect_uri(&self) -> String {
        format!("{}/try/callback", self.origin)
    }
}

async fn show(State(state): State<Try>) -> Response {
    state.page(StatusCode::OK, None)
}

async fn start(State(state): State<Try>) -> Response {
    let office = &state.office;
    let verifier = CodeVerifier::from_random(&office.world.random());
    let pending = Pending {
        state: office.random_text(),
        verifier: verifier.expose().to_owned(),
    };
    let challenge = verifier.challenge().text();
    let redirect_uri = state.redirect_uri();
    let resource = format!("{}/weather/mcp", state.origin);
    let location = with_query(
        &format!("{}/authorize", state.origin),
        &[
            ("response_type", "code"),
            ("client_id", CLIENT_ID),
            ("redirect_uri", &redirect_uri),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("state", &pending.state),
            ("resource", &resource),
        ],
    );
    let Ok(plain) = serde_json::to_vec(&pending) else {
        return state.page(StatusCode::INTERNAL_SERVER_ERROR, None);
    };
    let sealed = office.keys.load().browser.seal(
        Kind::Onward,
        COOKIE.as_bytes(),
        office.world.random(),
        &plain,
    );
    let (name, marks) = state.cookie();
    let cookie = format!(
        "{name}={}; HttpOnly; SameSite=Lax; {marks}; Max-Age=600",
        URL_SAFE_NO_PAD.encode(sealed)
    );
    let mut response = answer::redirect(&location);
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

async fn callback(State(state): State<Try>, uri: Uri, headers: HeaderMap) -> Response {
    match finish(&state, &uri, &headers).await {
        Ok(shown) => state.page(StatusCode::OK, Some(Ok(shown))),
        Err(why) => state.page(StatusCode::OK, Some(Err(why))),
    }
}

async fn finish(state: &Try, uri: &Uri, headers: &HeaderMap) -> Result<Shown, String> {
    let params = Params::parse(uri.query().unwrap_or_default()).map_err(|e| e.to_string())?;
    let one = |name| params.one(name).ok().flatten();
    let pending = pending(state, headers).ok_or("This was not begun in this browser.")?;
    if one("state") != Some(&pending.state) || one("iss") != Some(state.office.issuer.text()) {
        return Err("The answer does not belong to the button that was pressed.".to_owned());
    }
    if let Some(error) = one("error") {
        let description = one("error_description").unwrap_or_default();
        return Err(format!("The gateway answered {error}: {description}."));
    }
    let code = one("code").ok_or("There is no code in the answer.")?;
    let redirect_uri = state.redirect_uri();
    let token = state.post("/token").form(&[
        ("grant_type", "authorization_code"),
        ("client_id", CLIENT_ID),
        ("code", code),
        ("code_verifier", &pending.verifier),
        ("redirect_uri", &redirect_uri),
    ]);
    let (_, body) = fetch::whole(token).await.map_err(|e| e.to_string())?;
    let answer: Value = serde_json::from_slice(&body).map_err(|e| e.to_string())?;
    let token = answer["access_token"]
        .as_str()
        .ok_or("There is no token in the answer.")?;
    weather(state, token).await
}

fn pending(state: &Try, headers: &HeaderMap) -> Option<Pending> {
    let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
    let (name, _) = state.cookie();
    let value = cookies
        .split("; ")
        .find_map(|pair| pair.strip_prefix(name.as_str())?.strip_prefix('='))?;
    let mut sealed = URL_SAFE_NO_PAD.decode(value).ok()?;
    let keys = state.office.keys.load();
    let plain = keys
        .browser
        .open(Kind::Onward, COOKIE.as_bytes(), &mut sealed)?;
    serde_json::from_slice(plain).ok()
}

/// One stateless call of 2026-07-28.
async fn weather(state: &Try, token: &str) -> Result<Shown, String> {
    let version = "2026-07-28";
    let call = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {
            "name": "get_weather",
            "arguments": { "city": CITY },
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": version,
                "io.modelcontextprotocol/clientInfo": { "name": "try", "version": "1" },
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        },
    });
    let request = state
        .post("/weather/mcp")
        .bearer_auth(token)
        .header(header::ACCEPT, "application/json, text/event-stream")
        .header("mcp-protocol-version", version)
        .header("mcp-method", "tools/call")
        .header("mcp-name", "get_weather")
        .json(&call);
    let (status, body) = fetch::whole(request).await.map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&body);
    // A server may answer with one event instead of plain JSON.
    let json = text
        .lines()
        .find_map(|line| line.strip_prefix("data: {").map(|rest| format!("{{{rest}")));
    let answer: Value = serde_json::from_str(json.as_deref().unwrap_or(&text))
        .map_err(|_| format!("The MCP server answered with status {status}."))?;
    let seen = &answer["result"]["structuredContent"];
    let field = |name: &str| match &seen[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if !seen.is_object() {
        return Err(format!(
            "The MCP server answered with status {status} and no weather."
        ));
    }
    Ok(Shown {
        city: field("city"),
        sentence: format!(
            "{}, {} °C, humidity {} %",
            field("condition"),
            field("temperature"),
            field("humidity")
        ),
        json: serde_json::to_string_pretty(&answer).unwrap_or_default(),
    })
}
