//! The authorization endpoint and the login (OpenID Connect Core §3.1.2).

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use url::form_urlencoded::Serializer;

use super::memory::{Code, Grant, SESSION_LIFE, Session};
use super::parameters::Parameters;
use super::scopes::Scopes;
use super::{Digest, Provider, page, people};

const COOKIE: &str = "vestibule_demo_idp";
/// More than any client sends; the request travels through a form field and back.
const REQUEST_LIMIT: usize = 8 * 1024;

pub(super) async fn ask(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    answer(&provider, &headers, &query.unwrap_or_default())
}

pub(super) async fn ask_by_form(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    body: String,
) -> Response {
    answer(&provider, &headers, &body)
}

/// The submitted login page.
pub(super) async fn sign_in(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    body: String,
) -> Response {
    if !provider.is_own_origin(&headers) {
        return PageRefusal::ForeignForm.page();
    }
    let Ok(form) = Parameters::parse(&body) else {
        return PageRefusal::RepeatedParameter.page();
    };
    let text = form.value("request").unwrap_or_default();
    let request = match AuthorizationRequest::parse(text, &provider) {
        Ok(request) => request,
        Err(refusal) => return refusal.answer(&provider),
    };
    let username = form.value("username").unwrap_or_default();
    let password = form.value("password").unwrap_or_default();
    let Some(person) = people::signed_in_by(username, password) else {
        return page::login_refused(text, username);
    };

    let session = Session {
        person,
        auth_time: provider.now(),
    };
    let handle = provider.handle();
    {
        let mut memory = provider.memory();
        // A new login gets a new handle; the old one must not live on beside it.
        if let Some(old) = session_handle(&headers) {
            memory.sessions.remove(&Digest::of(old));
        }
        memory
            .sessions
            .insert(Digest::of(&handle), session, session.auth_time);
    }
    with_cookie(grant(&provider, request, session), &handle, SESSION_LIFE)
}

/// Who is signed in, with a way out: a silent login would otherwise never end.
pub(super) async fn home(State(provider): State<Arc<Provider>>, headers: HeaderMap) -> Response {
    let session = live_session(&provider, &headers);
    page::home(&provider.issuer, session.map(|it| it.person))
}

pub(super) async fn sign_out(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
) -> Response {
    if !provider.is_own_origin(&headers) {
        return PageRefusal::ForeignForm.page();
    }
    if let Some(handle) = session_handle(&headers) {
        provider.memory().sessions.remove(&Digest::of(handle));
    }
    with_cookie(see_other("/"), "", 0)
}

fn answer(provider: &Provider, headers: &HeaderMap, text: &str) -> Response {
    let request = match AuthorizationRequest::parse(text, provider) {
        Ok(request) => request,
        Err(refusal) => return refusal.answer(provider),
    };
    let session = live_session(provider, headers)
        .filter(|session| request.is_satisfied_by(*session, provider.now()));
    match (session, request.prompt) {
        (Some(session), _) => grant(provider, request, session),
        (None, Prompt::Never) => {
            Refusal::Redirect(RedirectRefusal::LoginRequired, request.state).answer(provider)
        }
        (None, Prompt::IfNeeded | Prompt::Always) => {
            page::login(text, request.login_hint.as_deref().unwrap_or_default())
        }
    }
}

fn grant(provider: &Provider, request: AuthorizationRequest, session: Session) -> Response {
    let handle = provider.handle();
    {
        let mut memory = provider.memory();
        let family = memory.new_family();
        memory.codes.insert(
            Digest::of(&handle),
            Code {
                grant: Grant {
                    person: session.person,
                    auth_time: session.auth_time,
                    scopes: request.scopes,
                    family,
                },
                challenge: request.challenge,
                nonce: request.nonce,
                spent: false,
            },
            provider.now(),
        );
    }
    redirect(provider, &[("code", &handle)], request.state.as_deref())
}

/// An authorization request whose client and redirect URI are the registered ones.
///
/// There is one client with one redirect URI, so neither is kept: whoever holds this
/// value knows that both were right.
struct AuthorizationRequest {
    state: Option<String>,
    nonce: Option<String>,
    challenge: String,
    scopes: Scopes,
    prompt: Prompt,
    max_age: Option<u64>,
    login_hint: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Prompt {
    IfNeeded,
    Never,
    Always,
}

impl AuthorizationRequest {
    fn parse(text: &str, provider: &Provider) -> Result<Self, Refusal> {
        if text.len() > REQUEST_LIMIT {
            return Err(Refusal::Page(PageRefusal::TooLong));
        }
        let ask =
            Parameters::parse(text).map_err(|_| Refusal::Page(PageRefusal::RepeatedParameter))?;
        if ask.value("client_id") != Some(&provider.client_id) {
            return Err(Refusal::Page(PageRefusal::ClientUnknown));
        }
        // The text is compared, not the URL (RFC 9700 §2.1).
        if ask.value("redirect_uri") != Some(&provider.redirect_uri) {
            return Err(Refusal::Page(PageRefusal::RedirectUriDiffers));
        }
        let state = ask.value("state").map(str::to_owned);
        Self::parse_matched(&ask, state.clone())
            .map_err(|refusal| Refusal::Redirect(refusal, state))
    }

    fn parse_matched(ask: &Parameters, state: Option<String>) -> Result<Self, RedirectRefusal> {
        if ask.value("request").is_some() {
            return Err(RedirectRefusal::RequestObject);
        }
        if ask.value("request_uri").is_some() {
            return Err(RedirectRefusal::RequestUri);
        }
        match ask.value("response_type") {
            Some("code") => {}
            Some(_) => return Err(RedirectRefusal::ResponseTypeUnsupported),
            None => return Err(RedirectRefusal::ResponseTypeMissing),
        }
        if !matches!(ask.value("response_mode"), None | Some("query")) {
            return Err(RedirectRefusal::ResponseModeUnsupported);
        }
        let scopes = ask
            .value("scope")
            .and_then(Scopes::parse)
            .ok_or(RedirectRefusal::OpenidScopeMissing)?;
        let challenge = ask
            .value("code_challenge")
            .ok_or(RedirectRefusal::ChallengeMissing)?;
        // An absent method means `plain` (RFC 7636 §4.3), which protects nothing.
        if ask.value("code_challenge_method") != Some("S256") {
            return Err(RedirectRefusal::ChallengeNotS256);
        }
        if !is_s256_challenge(challenge) {
            return Err(RedirectRefusal::ChallengeMalformed);
        }
        let max_age = ask
            .value("max_age")
            .map(str::parse)
            .transpose()
            .map_err(|_| RedirectRefusal::MaxAgeMalformed)?;
        Ok(Self {
            state,
            nonce: ask.value("nonce").map(str::to_owned),
            challenge: challenge.to_owned(),
            scopes,
            prompt: Prompt::parse(ask.value("prompt").unwrap_or_default())?,
            max_age,
            login_hint: ask.value("login_hint").map(str::to_owned),
        })
    }

    /// Whether this session may answer without a new login.
    fn is_satisfied_by(&self, session: Session, now: u64) -> bool {
        self.prompt != Prompt::Always
            && self
                .max_age
                .is_none_or(|max_age| now.saturating_sub(session.auth_time) <= max_age)
    }
}

impl Prompt {
    /// `consent` and unknown values change nothing here: this provider asks for no consent.
    fn parse(text: &str) -> Result<Self, RedirectRefusal> {
        let asked = |name| text.split(' ').any(|prompt| prompt == name);
        if asked("none") {
            return if text == "none" {
                Ok(Self::Never)
            } else {
                Err(RedirectRefusal::PromptContradictory)
            };
        }
        if asked("login") || asked("select_account") {
            return Ok(Self::Always);
        }
        Ok(Self::IfNeeded)
    }
}

/// A SHA-256 in base64url without padding (RFC 7636 §4.2).
fn is_s256_challenge(text: &str) -> bool {
    text.len() == 43
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

enum Refusal {
    Page(PageRefusal),
    Redirect(RedirectRefusal, Option<String>),
}

/// Shown here: the way back is not known to be the client's (RFC 6749 §4.1.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PageRefusal {
    TooLong,
    RepeatedParameter,
    ClientUnknown,
    RedirectUriDiffers,
    ForeignForm,
}

/// Told to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RedirectRefusal {
    RequestObject,
    RequestUri,
    ResponseTypeMissing,
    ResponseTypeUnsupported,
    ResponseModeUnsupported,
    OpenidScopeMissing,
    ChallengeMissing,
    ChallengeNotS256,
    ChallengeMalformed,
    MaxAgeMalformed,
    PromptContradictory,
    LoginRequired,
}

impl Refusal {
    fn answer(self, provider: &Provider) -> Response {
        match self {
            Self::Page(refusal) => refusal.page(),
            Self::Redirect(refusal, state) => {
                let (error, description) = refusal.wire();
                redirect(
                    provider,
                    &[("error", error), ("error_description", description)],
                    state.as_deref(),
                )
            }
        }
    }
}

impl PageRefusal {
    fn page(self) -> Response {
        let (what, fix) = match self {
            Self::TooLong => (
                "The request is longer than 8 KiB.",
                "Start again from the app.",
            ),
            Self::RepeatedParameter => (
                "The request names a parameter twice.",
                "Each parameter may occur once; start again from the app.",
            ),
            Self::ClientUnknown => (
                "The request comes from an app that this provider does not know.",
                "The gateway's idp.client_id must be the one that the demo printed.",
            ),
            Self::RedirectUriDiffers => (
                "The request names a return address that is not registered.",
                "The redirect_uri must be, letter for letter, the gateway's public_url with /oauth-callback.",
            ),
            Self::ForeignForm => (
                "The form was sent by another site.",
                "Start again from the app and use the form on this page.",
            ),
        };
        page::error(what, fix)
    }
}

impl RedirectRefusal {
    /// Codes of RFC 6749 §4.1.2.1 and OpenID Connect Core §3.1.2.6.
    fn wire(self) -> (&'static str, &'static str) {
        match self {
            Self::RequestObject => ("request_not_supported", "request objects are not supported"),
            Self::RequestUri => ("request_uri_not_supported", "request_uri is not supported"),
            Self::ResponseTypeMissing => ("invalid_request", "response_type is missing"),
            Self::ResponseTypeUnsupported => {
                ("unsupported_response_type", "response_type must be code")
            }
            Self::ResponseModeUnsupported => ("invalid_request", "response_mode must be query"),
            Self::OpenidScopeMissing => ("invalid_scope", "scope must contain openid"),
            Self::ChallengeMissing => ("invalid_request", "code_challenge is missing"),
            Self::ChallengeNotS256 => ("invalid_request", "code_challenge_method must be S256"),
            Self::ChallengeMalformed => (
                "invalid_request",
                "code_challenge must be 43 characters of base64url",
            ),
            Self::MaxAgeMalformed => ("invalid_request", "max_age must be a number of seconds"),
            Self::PromptContradictory => {
                ("invalid_request", "prompt=none excludes all other values")
            }
            Self::LoginRequired => ("login_required", "nobody is signed in with this browser"),
        }
    }
}

/// Goes back to the registered redirect URI, with `state` and `iss` (RFC 9207).
///
/// Only an [`AuthorizationRequest`] or a [`RedirectRefusal`] leads here, and both
/// arise after the redirect URI was compared.
fn redirect(provider: &Provider, answer: &[(&str, &str)], state: Option<&str>) -> Response {
    let query = Serializer::new(String::new())
        .extend_pairs(answer)
        .extend_pairs(state.map(|state| ("state", state)))
        .append_pair("iss", &provider.issuer)
        .finish();
    let joint = if provider.redirect_uri.contains('?') {
        '&'
    } else {
        '?'
    };
    see_other(&format!("{}{joint}{query}", provider.redirect_uri))
}

fn see_other(location: &str) -> Response {
    match HeaderValue::try_from(location) {
        Ok(location) => (
            StatusCode::SEE_OTHER,
            [
                (header::LOCATION, location),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
                (
                    header::REFERRER_POLICY,
                    HeaderValue::from_static("no-referrer"),
                ),
            ],
        )
            .into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Lax, since the login begins with a navigation from the gateway's origin.
fn with_cookie(mut response: Response, handle: &str, life: u64) -> Response {
    let cookie = format!("{COOKIE}={handle}; Path=/; Max-Age={life}; HttpOnly; SameSite=Lax");
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

fn live_session(provider: &Provider, headers: &HeaderMap) -> Option<Session> {
    let key = Digest::of(session_handle(headers)?);
    let now = provider.now();
    provider.memory().sessions.live(&key, now).copied()
}

fn session_handle(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == COOKIE).then_some(value))
}
