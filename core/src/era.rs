//! Which age of MCP a request belongs to, and what that age demands of its headers.
//!
//! Up to 2025-11-25 a session carries the version; from 2026-07-28 on each request stands
//! alone and repeats what matters in headers, which must agree with the body. The body is
//! what counts; headers only confirm it.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::mcp::{Body, Message};

/// The first revision of stateless requests.
pub const MODERN: &str = "2026-07-28";

/// The only revision with batches.
pub const BATCHES: &str = "2025-03-26";

/// A header that mirrors the body, as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mirrored<'h> {
    /// Not there.
    Absent,
    /// There once.
    Once(&'h [u8]),
    /// There more than once.
    Repeated,
}

impl<'h> Mirrored<'h> {
    /// From all values of the header.
    pub fn of(mut values: impl Iterator<Item = &'h [u8]>) -> Self {
        match (values.next(), values.next()) {
            (None, _) => Self::Absent,
            (Some(one), None) => Self::Once(one),
            (Some(_), Some(_)) => Self::Repeated,
        }
    }
}

/// The headers that mirror the body.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'h> {
    /// `MCP-Protocol-Version`.
    pub version: Mirrored<'h>,
    /// `Mcp-Method`.
    pub method: Mirrored<'h>,
    /// `Mcp-Name`.
    pub name: Mirrored<'h>,
}

/// The age of a request (REV-7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// 2026-07-28 and later.
    Modern,
    /// Before; sessions, streams by GET, perhaps batches.
    Legacy,
}

/// Why a request does not agree with itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EraError {
    /// Headers and body differ in the modern era: 400 with JSON-RPC error -32020.
    #[error("the headers do not agree with the body")]
    HeaderMismatch,
    /// They differ in an older era: a plain 400, since that age has no such error code.
    #[error("a header contradicts the body")]
    LegacyMismatch,
    /// A batch outside the 2025-03-26 era.
    #[error("this protocol version has no batches")]
    Batch,
    /// A response in the modern era, which has no requests to clients.
    #[error("a response is not expected here")]
    Response,
}

/// The age that the headers alone tell; for requests without a body.
pub fn of_headers(headers: &Headers<'_>) -> Era {
    match headers.version {
        Mirrored::Once(version) if is_modern(version) => Era::Modern,
        _ => Era::Legacy,
    }
}

/// Finds the age of a request with a body and checks that headers and body agree.
///
/// # Errors
/// [`EraError`].
pub fn judge(headers: &Headers<'_>, body: &Body<'_>) -> Result<Era, EraError> {
    match body {
        Body::Batch(messages) => {
            if messages.iter().any(|message| message.version.is_some()) {
                return Err(EraError::Batch);
            }
            // No header means 2025-03-26.
            match headers.version {
                Mirrored::Absent => {}
                Mirrored::Once(version) if version == BATCHES.as_bytes() => {}
                _ => return Err(EraError::Batch),
            }
            if headers.method != Mirrored::Absent || headers.name != Mirrored::Absent {
                return Err(EraError::LegacyMismatch);
            }
            Ok(Era::Legacy)
        }
        Body::One(message) => {
            let modern = message.version.is_some() || of_headers(headers) == Era::Modern;
            if modern {
                modern_agrees(headers, message)
            } else {
                legacy_agrees(headers, message)
            }
        }
    }
}

fn modern_agrees(headers: &Headers<'_>, message: &Message<'_>) -> Result<Era, EraError> {
    use EraError::HeaderMismatch;
    if message.is_response {
        return Err(EraError::Response);
    }
    if let Some(version) = &message.version {
        match headers.version {
            Mirrored::Once(header) if trimmed(header) == version.as_bytes() => {}
            _ => return Err(HeaderMismatch),
        }
    } else if headers.version == Mirrored::Repeated {
        return Err(HeaderMismatch);
    }
    let Mirrored::Once(method) = headers.method else {
        return Err(HeaderMismatch);
    };
    if decoded(method).as_deref() != message.method.as_deref() {
        return Err(HeaderMismatch);
    }
    match (named(message), headers.name) {
        (Some(name), Mirrored::Once(header)) if decoded(header).as_deref() == Some(name) => {}
        (Some(_), _) | (None, Mirrored::Repeated) => return Err(HeaderMismatch),
        // A method without a name, or whose name is not text: the server's to judge, but a
        // header that names something the body does not is a lie.
        (None, Mirrored::Once(_)) if needs_name(message) => return Err(HeaderMismatch),
        (None, Mirrored::Once(header)) => {
            if decoded(header).is_none() {
                return Err(HeaderMismatch);
            }
        }
        (None, Mirrored::Absent) => {}
    }
    Ok(Era::Modern)
}

/// An old client sends none of these headers; if they are there, they must not lie.
fn legacy_agrees(headers: &Headers<'_>, message: &Message<'_>) -> Result<Era, EraError> {
    let lies = |header: Mirrored<'_>, truth: Option<&str>| match header {
        Mirrored::Absent => false,
        Mirrored::Once(value) => decoded(value).as_deref() != truth,
        Mirrored::Repeated => true,
    };
    if headers.version == Mirrored::Repeated
        || lies(headers.method, message.method.as_deref())
        || (needs_name(message) && lies(headers.name, named(message)))
    {
        return Err(EraError::LegacyMismatch);
    }
    Ok(Era::Legacy)
}

fn needs_name(message: &Message<'_>) -> bool {
    matches!(
        message.method.as_deref(),
        Some(
            "tools/call"
                | "prompts/get"
                | "resources/read"
                | "tasks/get"
                | "tasks/update"
                | "tasks/cancel"
        )
    )
}

/// What `Mcp-Name` must repeat.
fn named<'m>(message: &'m Message<'_>) -> Option<&'m str> {
    match message.method.as_deref()? {
        "tools/call" | "prompts/get" => message.name.as_deref(),
        "resources/read" => message.uri.as_deref(),
        "tasks/get" | "tasks/update" | "tasks/cancel" => message.task_id.as_deref(),
        _ => None,
    }
}

fn is_modern(version: &[u8]) -> bool {
    // Revisions are dates, so their text is in order.
    version.len() == MODERN.len()
        && version.iter().enumerate().all(|(at, b)| match at {
            4 | 7 => *b == b'-',
            _ => b.is_ascii_digit(),
        })
        && version >= MODERN.as_bytes()
}

fn trimmed(value: &[u8]) -> &[u8] {
    value.trim_ascii()
}

/// A text as a mirrored value: as it is if it can stand in a header and means itself there,
/// else in base64 (MCP 2026-07-28, Value Encoding).
pub fn encode(text: &str) -> Cow<'_, str> {
    let plain = text.bytes().all(|b| (0x20..=0x7e).contains(&b))
        && text.trim() == text
        && !(text.starts_with("=?base64?") && text.ends_with("?="));
    if plain {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("=?base64?{}?=", STANDARD.encode(text)))
    }
}

/// The text of a mirrored value: trimmed, and decoded if it is `=?base64?…?=`
/// (MCP 2026-07-28, Value Encoding). `None` for control characters or broken encodings.
fn decoded(value: &[u8]) -> Option<Cow<'_, str>> {
    let value = trimmed(value);
    if value.iter().any(u8::is_ascii_control) {
        return None;
    }
    match value
        .strip_prefix(b"=?base64?")
        .and_then(|rest| rest.strip_suffix(b"?="))
    {
        Some(encoded) => {
            let bytes = STANDARD.decode(encoded).ok()?;
            String::from_utf8(bytes).ok().map(Cow::Owned)
        }
        None => std::str::from_utf8(value).ok().map(Cow::Borrowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp;

    #[test]
    fn mod_4_what_is_encoded_is_read_again() {
        for text in [
            "",
            "t",
            "a b",
            "Tromsø",
            " a",
            "a\nb",
            "=?base64?dA==?=",
            "=?base64?x",
        ] {
            let encoded = encode(text);
            assert_eq!(
                decoded(encoded.as_bytes()).as_deref(),
                Some(text),
                "{encoded}"
            );
        }
        assert_eq!(encode("get_weather"), "get_weather");
    }

    const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}"#;
    const MODERN_CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t",
        "_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{
        "_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    const BATCH: &str = r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#;

    fn judged(
        body: &str,
        version: Option<&'static str>,
        method: Option<&'static str>,
        name: Option<&'static str>,
    ) -> Result<Era, EraError> {
        let one = |value: Option<&'static str>| match value {
            Some("twice") => Mirrored::Repeated,
            Some(value) => Mirrored::Once(value.as_bytes()),
            None => Mirrored::Absent,
        };
        let body = mcp::read(body.as_bytes()).expect("a body");
        judge(
            &Headers {
                version: one(version),
                method: one(method),
                name: one(name),
            },
            &body,
        )
    }

    #[test]
    fn rev_7_mod_1_mod_2_mod_3_mod_4_mod_6_t_mcp_04_t_mcp_05_headers_confirm_the_body() {
        use EraError::{HeaderMismatch as H, LegacyMismatch as L};
        let v = Some("2026-07-28");
        let m = Some("tools/call");
        let n = Some("t");
        let table = [
            (MODERN_CALL, v, m, n, Ok(Era::Modern), "all agree"),
            (
                MODERN_CALL,
                v,
                Some(" tools/call "),
                n,
                Ok(Era::Modern),
                "blanks are trimmed",
            ),
            (
                MODERN_CALL,
                v,
                m,
                Some("=?base64?dA==?="),
                Ok(Era::Modern),
                "encoded",
            ),
            (
                MODERN_CALL,
                v,
                m,
                Some("=?base64?dA?="),
                Err(H),
                "broken padding",
            ),
            (
                MODERN_CALL,
                v,
                m,
                Some("=?BASE64?dA==?="),
                Err(H),
                "a literal, and another name",
            ),
            (
                MODERN_CALL,
                None,
                m,
                n,
                Err(H),
                "no version header on a modern body",
            ),
            (
                MODERN_CALL,
                Some("2025-11-25"),
                m,
                n,
                Err(H),
                "an older version header",
            ),
            (MODERN_CALL, Some("v999"), m, n, Err(H), "another version"),
            (MODERN_CALL, Some("twice"), m, n, Err(H), "two versions"),
            (MODERN_CALL, v, None, n, Err(H), "no method"),
            (MODERN_CALL, v, Some("TOOLS/CALL"), n, Err(H), "case counts"),
            (
                MODERN_CALL,
                v,
                Some("tools/list"),
                n,
                Err(H),
                "another method",
            ),
            (MODERN_CALL, v, Some("twice"), n, Err(H), "two methods"),
            (MODERN_CALL, v, m, None, Err(H), "no name"),
            (MODERN_CALL, v, m, Some("other"), Err(H), "another name"),
            (MODERN_CALL, v, m, Some("T"), Err(H), "case counts"),
            (MODERN_CALL, v, m, Some("twice"), Err(H), "two names"),
            (
                LIST,
                v,
                Some("tools/list"),
                None,
                Ok(Era::Modern),
                "nothing to name",
            ),
            (
                CALL,
                v,
                m,
                n,
                Ok(Era::Modern),
                "no _meta is the server's to refuse",
            ),
            (CALL, v, m, Some("other"), Err(H), "but the name must agree"),
            (
                CALL,
                None,
                None,
                None,
                Ok(Era::Legacy),
                "no header means 2025-03-26",
            ),
            (
                CALL,
                Some("2025-11-25"),
                None,
                None,
                Ok(Era::Legacy),
                "legacy",
            ),
            (
                CALL,
                Some("1900-01-01"),
                None,
                None,
                Ok(Era::Legacy),
                "unknown, judged by body",
            ),
            (
                CALL,
                Some("2025-11-25"),
                m,
                n,
                Ok(Era::Legacy),
                "true headers do no harm",
            ),
            (
                CALL,
                Some("2025-11-25"),
                m,
                Some("other"),
                Err(L),
                "a lie in an old era",
            ),
            (
                CALL,
                Some("2025-11-25"),
                Some("ping"),
                None,
                Err(L),
                "a lie in an old era",
            ),
            (CALL, Some("twice"), None, None, Err(L), "two versions"),
        ];
        for (body, version, method, name, expected, why) in table {
            assert_eq!(judged(body, version, method, name), expected, "{why}");
        }
        let response = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        assert_eq!(
            judged(response, v, None, None),
            Err(EraError::Response),
            "REV-8"
        );
        assert_eq!(
            judged(response, Some("2025-11-25"), None, None),
            Ok(Era::Legacy)
        );
    }

    #[test]
    fn rev_8_t_mcp_01_batches_only_in_2025_03_26() {
        use EraError::Batch;
        assert_eq!(judged(BATCH, None, None, None), Ok(Era::Legacy));
        assert_eq!(
            judged(BATCH, Some("2025-03-26"), None, None),
            Ok(Era::Legacy)
        );
        assert_eq!(judged(BATCH, Some("2025-06-18"), None, None), Err(Batch));
        assert_eq!(judged(BATCH, Some("2025-11-25"), None, None), Err(Batch));
        assert_eq!(judged(BATCH, Some("2026-07-28"), None, None), Err(Batch));
        let modern = format!("[{MODERN_CALL}]");
        assert_eq!(judged(&modern, None, None, None), Err(Batch));
    }
}
