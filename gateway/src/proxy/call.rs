//! What is called: the body within bounds, its age, and whether the caller may.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, header, request::Parts};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::value::RawValue;
use vestibule_core::{
    audit::Ended,
    bearer::Caller,
    era::{self, Era, EraError, Headers, Mirrored},
    mcp::{self, Body, BodyError, Message},
};

use super::{Proxy, gathered::Gathered, refuse::Refusal, route::Mount};
use crate::{
    audit::{self, Called, Pending, Tools},
    http::coarse,
};

const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// How long a request body may take.
const BODY_TIME: Duration = Duration::from_secs(30);

/// A request that may go to its server. Only this module makes these, and only a permit is
/// forwarded.
pub struct Permit {
    caller: Option<Caller>,
    era: Era,
    body: Bytes,
    lists_tools: bool,
    initializes: bool,
    audited: Option<Pending>,
}

impl Permit {
    /// The permit of a request that has no body to judge.
    pub fn without_body(parts: &Parts, caller: Option<Caller>) -> Self {
        Self {
            caller,
            era: era::of_headers(&mirrored(&parts.headers)),
            body: Bytes::new(),
            lists_tools: false,
            initializes: false,
            audited: None,
        }
    }

    /// Who calls.
    pub fn caller(&self) -> Option<&Caller> {
        self.caller.as_ref()
    }

    /// The age of the request.
    pub fn era(&self) -> Era {
        self.era
    }

    /// Whether it asks which tools there are.
    pub fn lists_tools(&self) -> bool {
        self.lists_tools
    }

    /// Whether it opens a session, up to 2025-11-25.
    pub fn initializes(&self) -> bool {
        self.initializes
    }

    /// How the request ended, for the audit.
    pub fn ended(&mut self, ended: Ended) {
        if let Some(audited) = &mut self.audited {
            audited.ended(ended);
        }
    }

    /// The original bytes.
    pub fn body(&self) -> Bytes {
        self.body.clone()
    }
}

/// Reads and judges the body of a POST.
///
/// # Errors
/// [`Refusal`]; nothing has gone to the server then.
pub async fn judge(
    parts: &Parts,
    body: Incoming,
    mount: &Mount,
    caller: Option<Caller>,
    proxy: &Proxy,
) -> Result<Permit, Refusal> {
    is_json(&parts.headers)?;
    let body = read(body, proxy.limits.mcp_body).await?;
    let message = mcp::read(&body).map_err(Refusal::Body)?;
    let era = era::judge(&mirrored(&parts.headers), &message)
        .map_err(|error| refused(error, &message))?;
    let messages = match &message {
        Body::One(message) => std::slice::from_ref(message),
        Body::Batch(messages) => messages,
    };
    let office = &proxy.office;
    let tools = tools(messages, office.audit.wants_arguments().then_some(&body));
    let now = office.world.now();
    let audited = office
        .audit
        .begin(caller.as_ref(), &mount.label, tools, now);
    let mut audited = audited.map_err(|_| Refusal::NotAudited)?;
    // One forbidden item refuses the whole.
    for message in messages {
        if let Err(refusal) = may(message, mount, caller.as_ref()) {
            if let Some(audited) = &mut audited {
                audited.ended(refusal.ended());
            }
            return Err(refusal);
        }
    }
    let lists_tools = messages.iter().any(Message::lists_tools);
    let initializes = messages.iter().any(Message::initializes);
    drop(message);
    Ok(Permit {
        caller,
        era,
        body,
        lists_tools,
        initializes,
        audited,
    })
}

/// The tools that are called, with their arguments if `body` is given.
fn tools(messages: &[Message<'_>], body: Option<&Bytes>) -> Tools {
    let mut arguments = body.map(|body| arguments(body)).unwrap_or_default();
    let called = messages.iter().enumerate();
    called
        .filter(|(_, message)| message.calls_tool())
        .map(|(at, message)| Called {
            tool: beginning(message.tool().unwrap_or("not named by a text")).into(),
            arguments: arguments.get_mut(at).and_then(Option::take),
        })
        .collect()
}

/// Bytes of a tool's name that are noted: what waits for the store is bounded by number.
const NAME_MAX: usize = 512;

fn beginning(name: &str) -> &str {
    let mut end = name.len().min(NAME_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// The arguments of each message of a body that was read already.
fn arguments(body: &[u8]) -> Vec<Option<Box<str>>> {
    #[derive(Deserialize)]
    struct Message<'b> {
        #[serde(borrow)]
        params: Option<Params<'b>>,
    }
    #[derive(Deserialize)]
    struct Params<'b> {
        #[serde(borrow)]
        arguments: Option<&'b RawValue>,
    }
    let of = |message: &str| {
        let message: Message<'_> = serde_json::from_str(message).ok()?;
        Some(audit::arguments(message.params?.arguments?.get()))
    };
    if body.trim_ascii_start().starts_with(b"[") {
        // Each by itself: one of another form takes no other with it.
        let messages = serde_json::from_slice::<Vec<&RawValue>>(body).unwrap_or_default();
        return messages
            .into_iter()
            .map(|message| of(message.get()))
            .collect();
    }
    vec![std::str::from_utf8(body).ok().and_then(of)]
}

fn may(message: &Message<'_>, mount: &Mount, caller: Option<&Caller>) -> Result<(), Refusal> {
    let Some(caller) = caller.filter(|_| message.calls_tool()) else {
        return Ok(());
    };
    match message.tool() {
        Some(tool) => caller
            .may_call(tool, &mount.resource)
            .map_err(Refusal::Bearer),
        // Some servers take a list or an object where a name belongs; rules cannot judge it.
        None if !mount.resource.policy.tools.is_empty() => {
            Err(Refusal::Body(BodyError::NotAMessage))
        }
        None => Ok(()),
    }
}

fn refused(error: EraError, body: &Body<'_>) -> Refusal {
    let id = match body {
        Body::One(message) => message.id.map(ToOwned::to_owned),
        Body::Batch(_) => None,
    };
    Refusal::Era { error, id }
}

fn mirrored(headers: &HeaderMap) -> Headers<'_> {
    let of = |name: &HeaderName| {
        Mirrored::of(
            headers
                .get_all(name)
                .iter()
                .map(http::HeaderValue::as_bytes),
        )
    };
    Headers {
        version: of(&PROTOCOL_VERSION),
        method: of(&METHOD),
        name: of(&NAME),
    }
}

/// JSON and nothing else: a page of another site can send other types without asking first,
/// and an encoded body would not be seen.
fn is_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let kind = types
        .next()
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let mut parts = kind.split(';').map(str::trim);
    let json = parts
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let utf8 = parts.all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    });
    let plain = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .all(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"));
    if json && utf8 && plain && types.next().is_none() {
        Ok(())
    } else {
        Err(Refusal::MediaType)
    }
}

async fn read(body: Incoming, most: usize) -> Result<Bytes, Refusal> {
    // What is announced as too large is not waited for.
    if body.size_hint().lower() > most as u64 {
        return Err(Refusal::TooLarge);
    }
    coarse::timeout(BODY_TIME, whole(body, most))
        .await
        .unwrap_or(Err(Refusal::BodySlow))
}

async fn whole(mut body: Incoming, most: usize) -> Result<Bytes, Refusal> {
    let mut gathered = Gathered::default();
    while let Some(frame) = body.frame().await {
        // Trailers are between us and the client.
        let Ok(data) = frame.map_err(|_| Refusal::BodyBroken)?.into_data() else {
            continue;
        };
        if gathered.len() + data.len() > most {
            return Err(Refusal::TooLarge);
        }
        gathered.add(data);
        if body.is_end_stream() {
            break;
        }
    }
    Ok(gathered.into_bytes())
}
