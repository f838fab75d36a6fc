//! What of a request reaches the server, and what of its answer reaches the client.

use std::{cell::RefCell, net::IpAddr};

use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{self, ALLOW, RETRY_AFTER},
    response,
};
use vestibule_core::{
    elicitation,
    era::Era,
    session::{self, Session},
};

use super::{call::Permit, refuse::Refusal, relay::AnswerBody, route::Mount};
use crate::{config::Transport, office::Office};

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// The server's own session id for the one that the client sent (SES-1).
///
/// # Errors
/// [`Refusal::Session`] for a session of somebody else, or none at all of ours.
pub fn session_of(
    headers: &HeaderMap,
    permit: &Permit,
    mount: &Mount,
    office: &Office,
) -> Result<Option<Session>, Refusal> {
    // From 2026-07-28 on there are no sessions; the header means nothing (MOD-9). Before
    // 2025-03-26 they were in the address.
    if permit.era() == Era::Modern || mount.transport == Transport::LegacySse {
        return Ok(None);
    }
    let mut sessions = headers.get_all(SESSION).iter();
    let Some(sent) = sessions.next() else {
        return if headers.contains_key(LAST_EVENT) {
            Err(Refusal::ResumeWithoutSession)
        } else {
            Ok(None)
        };
    };
    if sessions.next().is_some() {
        return Err(Refusal::Session);
    }
    let keys = office.keys.load();
    let owner = mount.owner(permit.caller());
    let session = session::unwrap(sent.as_bytes(), &owner, &keys.browser);
    let session = session.ok_or(Refusal::Session)?;
    // The server knows of none, so it has no stream to go on with either.
    if session.id.is_empty() && headers.contains_key(LAST_EVENT) {
        return Err(Refusal::ResumeWithoutSession);
    }
    Ok(Some(session))
}

/// Whether the client of a request up to 2025-11-25 shows people addresses, and this is the
/// revision in which it can be asked to.
pub fn shows_addresses(headers: &HeaderMap, session: Option<&Session>) -> bool {
    let asks = |version: &HeaderValue| version == elicitation::WITH_ERROR;
    session.is_some_and(|session| session.shows_addresses)
        && headers.get(PROTOCOL_VERSION).is_some_and(asks)
}

/// Whether an answer's session means something, and that of its request.
#[derive(Clone, Copy)]
pub enum SessionIn<'s> {
    /// From 2026-07-28 on there are none.
    None,
    /// The one that the request was sent in, if there was one before.
    Sent(Option<&'s Session>),
}

/// The address that was written last, since it is mostly the same again.
#[derive(Default)]
pub struct ForwardedFor(RefCell<Option<(IpAddr, HeaderValue)>>);

impl ForwardedFor {
    /// `client` as a header's value.
    pub fn value(&self, client: IpAddr) -> HeaderValue {
        let mut last = self.0.borrow_mut();
        match &*last {
            Some((same, value)) if *same == client => value.clone(),
            _ => {
                let value = HeaderValue::try_from(client.to_string())
                    .expect("an address is made of characters that a header may have");
                *last = Some((client, value.clone()));
                value
            }
        }
    }
}

/// The headers that the server gets: the client's, less what is between us and the client,
/// less whatever asserts who calls; then ours, `credential` among it.
#[inline(never)] // counted by name: benches/instructions.tsv
pub fn for_server(
    sent: HeaderMap,
    permit: &Permit,
    mount: &Mount,
    session: Option<&str>,
    client: HeaderValue,
    credential: &[(HeaderName, HeaderValue)],
) -> HeaderMap {
    let nominated = nominated(&sent);
    let dropped: Vec<HeaderName> = sent
        .keys()
        .filter(|name| {
            drops(name.as_str())
                || nominated.iter().any(|nominated| nominated == name.as_str())
                || **name == SESSION
                // An event's id is bound to its session, and here is none to check (SES-7).
                || (**name == LAST_EVENT
                    && (permit.era() == Era::Modern || mount.transport == Transport::LegacySse))
        })
        .cloned()
        .collect();
    // The map itself goes on, so that nothing is copied.
    let mut out = sent;
    for name in dropped {
        out.remove(name);
    }
    out.insert(header::HOST, mount.host.clone());
    out.insert(header::VIA, HeaderValue::from_static("1.1 vestibule"));
    out.insert(FORWARDED_FOR, client);
    if let Some(session) = session
        && let Ok(value) = HeaderValue::from_str(session)
    {
        out.insert(SESSION, value);
    }
    for (name, value) in credential {
        out.insert(name, value.clone());
    }
    out
}

/// Names that `Connection` declares to be for this hop only (RFC 9110 §7.6.1).
fn nominated(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect()
}

/// Whether a header of the client's never goes on.
fn drops(name: &str) -> bool {
    const DROPPED: [&str; 26] = [
        // Between us and the client.
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-length",
        "expect",
        "host",
        "via",
        // Credentials, which are for us.
        "authorization",
        "dpop",
        "cookie",
        // Judged here; a server that judges again would judge our address.
        "origin",
        "referer",
        // Answers are passed as they come, whole, so they must not be compressed or cut.
        "accept-encoding",
        "range",
        "if-range",
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
        // Names under which others say for whom or what a request is.
        "forwarded",
        "remote-user",
        "true-client-ip",
        "front-end-https",
    ];
    const PREFIXES: [&str; 9] = [
        "proxy-",
        "sec-",
        "x-vestibule-",
        // Of identity-aware proxies and load balancers.
        "x-goog-",
        "x-amzn-",
        "x-ms-",
        "cf-",
        "tailscale-",
        "ssl-",
    ];
    // Whatever asserts who calls, or for what, under a name of somebody's own.
    const WORDS: [&str; 22] = [
        "user",
        "auth",
        "email",
        "login",
        "account",
        "principal",
        "identity",
        "subject",
        "claim",
        "group",
        "role",
        "tenant",
        "consumer",
        "token",
        "jwt",
        "cert",
        "forwarded",
        "original",
        "rewrite",
        "override",
        "client-ip",
        "real-ip",
    ];
    // What nearly every request has, so that it is not looked at word by word.
    const COMMON: [&str; 10] = [
        "accept",
        "content-type",
        "user-agent",
        "accept-language",
        "last-event-id",
        "traceparent",
        "tracestate",
        "baggage",
        "cache-control",
        "x-request-id",
    ];
    if name.starts_with("mcp-") || COMMON.contains(&name) {
        return false;
    }
    if DROPPED.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        return true;
    }
    if WORDS.iter().any(|word| name.contains(word)) || name == "x-api-key" {
        return true;
    }
    // Many servers read other characters as a dash, so these could be any of the above.
    !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// The status and headers that the client gets. The body is still to come, unless `empty`.
///
/// # Errors
/// [`Refusal::ServerAnswer`] for what has no business on our origin: challenges, redirects,
/// upgrades, pages.
#[inline(never)] // counted by name: benches/instructions.tsv
pub fn for_client(
    mut answer: response::Parts,
    empty: bool,
    permit: &Permit,
    mount: &Mount,
    session: SessionIn<'_>,
    office: &Office,
) -> Result<Response<AnswerBody>, Refusal> {
    let status = answer.status;
    let asks = matches!(status.as_u16(), 401 | 407);
    if asks || status.is_redirection() || status.is_informational() {
        tracing::warn!(
            event = "server.answer_refused",
            server = mount.resource.name,
            status = status.as_u16(),
        );
        return Err(match asks {
            true => Refusal::ServerCredentials,
            false => Refusal::ServerAnswer,
        });
    }
    // It was asked for none, and the bytes are passed as they come.
    let encoded = answer
        .headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"));
    if encoded && !empty {
        tracing::warn!(
            event = "server.answer_refused",
            server = mount.resource.name,
            "the answer is encoded, though nobody asked for that",
        );
        return Err(Refusal::ServerAnswer);
    }
    let kind = kind_of(&answer.headers);
    let passes = empty
        || match kind {
            // Servers in use send no type with nothing, and not always a length of nothing.
            Kind::Json | Kind::EventStream | Kind::None => true,
            // Servers of 2024-11-05 say in words that they took a message.
            Kind::Text => status.is_client_error() || status == StatusCode::ACCEPTED,
            Kind::Other => matches!(status.as_u16(), 202 | 204 | 404 | 405),
        };
    if !passes {
        tracing::warn!(
            event = "server.answer_refused",
            server = mount.resource.name,
            status = status.as_u16(),
            "the answer is neither JSON nor an event stream",
        );
        return Err(Refusal::ServerAnswer);
    }
    let given = match session {
        SessionIn::None => None,
        SessionIn::Sent(_) => answer.headers.remove(SESSION),
    };
    let opens = matches!(session, SessionIn::Sent(None)) && permit.initializes();
    let shows_addresses = match session {
        SessionIn::Sent(Some(session)) => session.shows_addresses,
        _ => opens && elicitation::declared_at_initialize(&permit.body()),
    };
    // A server without sessions gets none; the client is remembered by one of ours.
    let given = given.or_else(|| {
        let ours = opens && shows_addresses && status.is_success() && mount.asks_people();
        ours.then(|| HeaderValue::from_static(""))
    });
    let content_type = match kind {
        Kind::Json | Kind::EventStream => answer.headers.remove(header::CONTENT_TYPE),
        Kind::None if empty => None,
        // Words for developers: shown as text by whoever shows them.
        Kind::Text | Kind::Other | Kind::None => {
            Some(HeaderValue::from_static("text/plain; charset=utf-8"))
        }
    };
    // One look at the few that there are, and nearly never one of these.
    let names = [RETRY_AFTER, ALLOW, PROTOCOL_VERSION];
    let passed: Vec<(HeaderName, HeaderValue)> = answer
        .headers
        .iter()
        .filter(|(name, _)| names.contains(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    // Its room is used again; nothing else of the server's is let through.
    let mut headers = answer.headers;
    headers.clear();
    let mut response = Response::new(AnswerBody::empty());
    *response.status_mut() = status;
    if let Some(content_type) = content_type {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    for (name, value) in passed {
        headers.append(name, value);
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; sandbox; frame-ancestors 'none'"),
    );
    if kind == Kind::EventStream {
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-cache, no-transform"),
        );
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    } else {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if let Some(id) = given {
        let keys = office.keys.load();
        let wrapped = session::wrap(
            id.as_bytes(),
            shows_addresses,
            &mount.owner(permit.caller()),
            &keys.browser,
            office.world.random(),
        )
        .and_then(|wrapped| HeaderValue::try_from(wrapped).ok())
        .ok_or(Refusal::ServerAnswer)?;
        headers.insert(SESSION, wrapped);
    }
    *response.headers_mut() = headers;
    Ok(response)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    EventStream,
    Text,
    Other,
    None,
}

fn kind_of(headers: &HeaderMap) -> Kind {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Kind::None;
    };
    match value.as_bytes() {
        b"application/json" => return Kind::Json,
        b"text/event-stream" => return Kind::EventStream,
        _ => {}
    }
    let text = value.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Kind::Json
    } else if essence.eq_ignore_ascii_case("text/event-stream") {
        Kind::EventStream
    } else if essence.eq_ignore_ascii_case("text/plain") {
        Kind::Text
    } else {
        Kind::Other
    }
}

/// Whether an answer is a message or several.
pub fn is_json(headers: &HeaderMap) -> bool {
    kind_of(headers) == Kind::Json
}

/// Whether an answer goes on until somebody ends it.
pub fn is_event_stream(headers: &HeaderMap) -> bool {
    kind_of(headers) == Kind::EventStream
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn px_2_rs_14_t_prx_06_t_prx_07_t_prx_10_what_never_goes_on() {
        for name in [
            "authorization",
            "cookie",
            "dpop",
            "proxy-authorization",
            "connection",
            "te",
            "transfer-encoding",
            "upgrade",
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-user",
            "x-real-ip",
            "x-original-url",
            "x-vestibule-user",
            "x_vestibule_user",
            "x-vestibule_user",
            "x_forwarded_user",
            "remote_user",
            "x-gw-user",
            "x-goog-authenticated-user-email",
            "x-goog-iap-jwt-assertion",
            "x-ms-token-aad-id-token",
            "x-ms-client-principal-id",
            "cf-access-authenticated-user-email",
            "cf-connecting-ip",
            "x-amzn-oidc-identity",
            "x-consumer-username",
            "x-webauth-user",
            "x-user-email",
            "x-username",
            "x-groups",
            "x-tenant-id",
            "tailscale-user-login",
            "x-client-cert",
            "ssl-client-verify",
            "true-client-ip",
            "x-http-method-override",
            "x.vestibule.user",
            "x-api-key",
            "range",
            "if-none-match",
        ] {
            assert!(drops(name), "{name}");
        }
        for name in [
            "accept",
            "content-type",
            "mcp-protocol-version",
            "mcp-method",
            "mcp-name",
            "mcp-param-region",
            "mcp-param-a_b",
            "traceparent",
            "tracestate",
            "baggage",
            "accept-language",
            "user-agent",
            "last-event-id",
            "x-request-id",
            "x-correlation-id",
            "idempotency-key",
        ] {
            assert!(!drops(name), "PX-1: {name}");
        }
    }

    #[test]
    fn t_prx_05_what_connection_names_is_for_this_hop() {
        let mut headers = HeaderMap::new();
        headers.append("connection", HeaderValue::from_static("close, X-Secret"));
        headers.append("connection", HeaderValue::from_static("mcp-name"));
        assert_eq!(nominated(&headers), ["close", "x-secret", "mcp-name"]);
    }
}
