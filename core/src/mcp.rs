//! The little of a JSON-RPC message that a gateway must know: method, name, id, version.
//!
//! One borrowing pass over the whole body, to its last byte. The bytes that are forwarded
//! are the bytes that were read, so whatever two parsers could read differently is refused:
//! a repeated member, a member that differs from a reserved one in case only, trailing
//! bytes, too much depth.

use std::borrow::Cow;

use crate::{
    json::{JsonError, Kind, Names, Scan},
    text,
};

/// Most messages in a batch of the 2025-03-26 era.
pub const BATCH_MAX: usize = 100;

/// A body, read.
#[derive(Debug)]
pub enum Body<'b> {
    /// One message.
    One(Message<'b>),
    /// An array of messages; only the 2025-03-26 era has these.
    Batch(Vec<Message<'b>>),
}

/// One message, as far as it concerns the gateway.
#[derive(Debug, Default)]
pub struct Message<'b> {
    /// What is called; absent in a response.
    pub method: Option<Cow<'b, str>>,
    /// The id as it was written; absent in a notification.
    pub id: Option<&'b str>,
    /// Whether it has `result` or `error`.
    pub is_response: bool,
    /// `params.name`: the tool or prompt.
    pub name: Option<Cow<'b, str>>,
    /// `params.uri`: the resource to read.
    pub uri: Option<Cow<'b, str>>,
    /// `params.taskId`.
    pub task_id: Option<Cow<'b, str>>,
    /// `params._meta["io.modelcontextprotocol/protocolVersion"]`.
    pub version: Option<Cow<'b, str>>,
}

impl Message<'_> {
    /// Whether it asks which tools there are.
    pub fn lists_tools(&self) -> bool {
        self.method.as_deref() == Some("tools/list")
    }

    /// Whether it opens a session, up to 2025-11-25.
    pub fn initializes(&self) -> bool {
        self.method.as_deref() == Some("initialize")
    }

    /// Whether it calls a tool, named or not.
    pub fn calls_tool(&self) -> bool {
        self.method.as_deref() == Some("tools/call")
    }

    /// The tool that this message calls, if it names one as a text. A call without is judged
    /// by no rule, so it must not pass where there are any.
    pub fn tool(&self) -> Option<&str> {
        self.calls_tool().then_some(self.name.as_deref()).flatten()
    }
}

/// Why a body is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Not JSON in UTF-8, or something follows it.
    #[error("the body is not one JSON value")]
    NotJson,
    /// JSON that is no JSON-RPC message: a number, an empty array, a method that is no text.
    #[error("the body is not a JSON-RPC message")]
    NotAMessage,
    /// Repeated members, near-duplicates of reserved ones, or too deep.
    #[error("the body could be read in two ways")]
    Ambiguous,
}

impl BodyError {
    /// The JSON-RPC error code (JSON-RPC 2.0 §5.1).
    pub fn code(self) -> i32 {
        match self {
            Self::NotJson => -32700,
            Self::NotAMessage | Self::Ambiguous => -32600,
        }
    }
}

impl From<JsonError> for BodyError {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::NotJson => Self::NotJson,
            JsonError::Ambiguous => Self::Ambiguous,
        }
    }
}

/// Reads a body.
///
/// # Errors
/// [`BodyError`].
#[inline(never)] // counted by name: benches/instructions.tsv
pub fn read(body: &[u8]) -> Result<Body<'_>, BodyError> {
    let mut scan = Scan::new(body)?;
    let read = if scan.kind()? == Kind::Array {
        Body::Batch(batch(&mut scan)?)
    } else {
        Body::One(message(&mut scan)?)
    };
    scan.end()?;
    Ok(read)
}

fn batch<'b>(scan: &mut Scan<'b>) -> Result<Vec<Message<'b>>, BodyError> {
    let mut messages = Vec::new();
    scan.array(|scan| {
        if messages.len() == BATCH_MAX {
            return Err(BodyError::NotAMessage);
        }
        messages.push(message(scan)?);
        Ok(())
    })?;
    if messages.is_empty() {
        return Err(BodyError::NotAMessage);
    }
    Ok(messages)
}

fn message<'b>(scan: &mut Scan<'b>) -> Result<Message<'b>, BodyError> {
    of_kind(scan, &[Kind::Object])?;
    let mut message = Message::default();
    let mut members = Members::new(["jsonrpc", "method", "id", "params", "result", "error"]);
    scan.object(|scan, name| {
        match members.meet(name)? {
            Some(0) => {
                of_kind(scan, &[Kind::Text])?;
                if scan.text()? != "2.0" {
                    return Err(BodyError::NotAMessage);
                }
            }
            Some(1) => {
                of_kind(scan, &[Kind::Text])?;
                message.method = Some(method(scan.text()?)?);
            }
            Some(2) => message.id = Some(id(scan)?),
            Some(3) => params(scan, &mut message)?,
            Some(_) => {
                message.is_response = true;
                scan.skip(1)?;
            }
            None => scan.skip(1)?,
        }
        Ok(())
    })?;
    let [jsonrpc, method, .., result, error] = members.seen;
    if !jsonrpc || method == (result || error) || (result && error) {
        return Err(BodyError::NotAMessage);
    }
    Ok(message)
}

/// JSON of another kind than these is no message.
fn of_kind(scan: &mut Scan<'_>, kinds: &[Kind]) -> Result<Kind, BodyError> {
    let kind = scan.kind()?;
    if kinds.contains(&kind) {
        return Ok(kind);
    }
    // What is no JSON at all is not told to be a wrong message.
    match scan.skip(0) {
        Err(JsonError::NotJson) => Err(BodyError::NotJson),
        Ok(()) | Err(JsonError::Ambiguous) => Err(BodyError::NotAMessage),
    }
}

/// A method that is not another one in disguise: what a rule rests on must not be reached by
/// a spelling that a lax reader takes for it.
fn method(method: Cow<'_, str>) -> Result<Cow<'_, str>, BodyError> {
    const JUDGED: [&str; 2] = ["tools/call", "tools/list"];
    if !JUDGED.contains(&&*method) && text::is_read_as_any(&method, &JUDGED) {
        return Err(BodyError::Ambiguous);
    }
    Ok(method)
}

/// An id that is text, a number or null (JSON-RPC 2.0 §4).
fn id<'b>(scan: &mut Scan<'b>) -> Result<&'b str, BodyError> {
    of_kind(scan, &[Kind::Text, Kind::Number, Kind::Word])?;
    match scan.scalar()? {
        "true" | "false" => Err(BodyError::NotAMessage),
        id => Ok(id),
    }
}

fn params<'b>(scan: &mut Scan<'b>, message: &mut Message<'b>) -> Result<(), BodyError> {
    match of_kind(scan, &[Kind::Object, Kind::Array, Kind::Word])? {
        Kind::Object => {}
        Kind::Array => return Ok(scan.skip(1)?),
        _ => return null(scan),
    }
    let mut members = Members::new(["name", "uri", "taskId", "_meta", "arguments"]);
    scan.object(|scan, name| {
        match members.meet(name)? {
            Some(0) => message.name = maybe_text(scan, 2)?,
            Some(1) => message.uri = maybe_text(scan, 2)?,
            Some(2) => message.task_id = maybe_text(scan, 2)?,
            Some(3) => meta(scan, message)?,
            _ => scan.skip(2)?,
        }
        Ok(())
    })
}

fn meta<'b>(scan: &mut Scan<'b>, message: &mut Message<'b>) -> Result<(), BodyError> {
    if of_kind(scan, &[Kind::Object, Kind::Word])? == Kind::Word {
        return null(scan);
    }
    let mut members = Members::new(["io.modelcontextprotocol/protocolVersion"]);
    scan.object(|scan, name| {
        match members.meet(name)? {
            Some(_) => message.version = maybe_text(scan, 3)?,
            None => scan.skip(3)?,
        }
        Ok(())
    })
}

fn null(scan: &mut Scan<'_>) -> Result<(), BodyError> {
    match scan.scalar()? {
        "null" => Ok(()),
        _ => Err(BodyError::NotAMessage),
    }
}

/// A text if it is one; anything else is skipped and left to the MCP server to refuse.
fn maybe_text<'b>(scan: &mut Scan<'b>, depth: u8) -> Result<Option<Cow<'b, str>>, BodyError> {
    if scan.kind()? == Kind::Text {
        return Ok(Some(scan.text()?));
    }
    scan.skip(depth)?;
    Ok(None)
}

/// Marks members as they come, and refuses repetitions and look-alikes of `reserved`.
struct Members<'b, const N: usize> {
    reserved: [&'static str; N],
    seen: [bool; N],
    others: Names<'b>,
}

impl<'b, const N: usize> Members<'b, N> {
    fn new(reserved: [&'static str; N]) -> Self {
        Self {
            reserved,
            seen: [false; N],
            others: Names::default(),
        }
    }

    /// Which reserved member this is, if any.
    fn meet(&mut self, member: Cow<'b, str>) -> Result<Option<usize>, BodyError> {
        if let Some(at) = self.reserved.iter().position(|name| *name == member) {
            return if std::mem::replace(&mut self.seen[at], true) {
                Err(BodyError::Ambiguous)
            } else {
                Ok(Some(at))
            };
        }
        // A lax reader folds case, and not only in ASCII: `paramſ` is `params` to it.
        if text::is_read_as_any(&member, &self.reserved) {
            return Err(BodyError::Ambiguous);
        }
        self.others.meet(member)?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(body: &str) -> Message<'_> {
        match read(body.as_bytes()) {
            Ok(Body::One(message)) => message,
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn rs_11_what_a_message_says() {
        let call = one(
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"get_weather",
            "arguments":{"city":"Oslo","name":"x","deep":[{"a":[1,2.5,-3,true,null,"ü"]}]},
            "_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","x":{}}}}"#,
        );
        assert_eq!(call.tool(), Some("get_weather"));
        assert_eq!(call.id, Some("7"));
        assert_eq!(call.version.as_deref(), Some("2026-07-28"));
        let escaped =
            one(r#"{"jsonrpc":"2.0","method":"tools\/call","id":"a","params":{"name":"a\u0062"}}"#);
        assert_eq!(escaped.tool(), Some("ab"));
        let note = one(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        assert!(note.id.is_none() && note.tool().is_none());
        assert!(one(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).is_response);
        let odd =
            one(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":{"a":1}}}"#);
        assert_eq!(odd.tool(), None);
        assert!(
            one(r#"{"jsonrpc":"2.0","id":1,"method":"x","params":[1,[2]]}"#)
                .name
                .is_none()
        );
    }

    #[test]
    fn px_8_t_mcp_02_t_mcp_03_t_mcp_08_t_mcp_12_what_two_parsers_could_read_differently() {
        use BodyError as E;
        let deep = format!(
            r#"{{"jsonrpc":"2.0","method":"a","params":{{"x":{}{}}}}}"#,
            "[".repeat(100),
            "]".repeat(100)
        );
        let members: Vec<String> = (0..40).chain([39]).map(|n| format!("\"m{n}\":1")).collect();
        let many = format!(
            r#"{{"jsonrpc":"2.0","method":"a","params":{{{}}}}}"#,
            members.join(",")
        );
        let endless = format!(
            r#"{{"jsonrpc":"2.0","id":{}{},"method":"a"}}"#,
            "[".repeat(1_000_000),
            "]".repeat(1_000_000)
        );
        let table = [
            (
                r#"{"jsonrpc":"2.0","method":"a","method":"b"}"#,
                E::Ambiguous,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"a","params":{},"params":{}}"#,
                E::Ambiguous,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"a","params":{"name":"a","name":"b"}}"#,
                E::Ambiguous,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"a","params":{"arguments":1,"arguments":2}}"#,
                E::Ambiguous,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"a"}"#,
                E::Ambiguous,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"a","m\u0065thod":"b"}"#,
                E::Ambiguous,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"a","Method":"b"}"#,
                E::Ambiguous,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"a","PARAMS":{}}"#,
                E::Ambiguous,
            ),
            (
                "{\"jsonrpc\":\"2.0\",\"method\":\"a\",\"param\u{17f}\":{}}",
                E::Ambiguous,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"a","params":{"name":"a","Name":"b"}}"#,
                E::Ambiguous,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"a","params":{"_meta":{
                "io.modelcontextprotocol/protocolVersion":"1",
                "io.modelcontextprotocol/protocolVersion":"2"}}}"#,
                E::Ambiguous,
            ),
            (deep.as_str(), E::Ambiguous),
            // Anywhere in the body, however many there are.
            (
                r#"{"jsonrpc":"2.0","method":"a","params":{"arguments":{"x":[{"k":1,"k":2}]}}}"#,
                E::Ambiguous,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"a","params":{"x":1,"x":2}}"#,
                E::Ambiguous,
            ),
            (many.as_str(), E::Ambiguous),
            // A method that a rule rests on, spelled for a lax reader.
            (r#"{"jsonrpc":"2.0","method":"Tools/Call"}"#, E::Ambiguous),
            (r#"{"jsonrpc":"2.0","method":"tools/call "}"#, E::Ambiguous),
            (
                r#"{"jsonrpc":"2.0","method":"tools/call\u0000"}"#,
                E::Ambiguous,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"\ufefftools/list"}"#,
                E::Ambiguous,
            ),
            (
                "{\"jsonrpc\":\"2.0\",\"method\":\"a\",\"params\":{\"tas\u{212a}Id\":1}}",
                E::Ambiguous,
            ),
            (endless.as_str(), E::NotAMessage),
            (r#"{"jsonrpc":"2.0","id":{},"method":"a"}"#, E::NotAMessage),
            (
                r#"{"jsonrpc":"2.0","id":true,"method":"a"}"#,
                E::NotAMessage,
            ),
            (r#"{"jsonrpc":"2.0","method":"a"} x"#, E::NotJson),
            (
                r#"{"jsonrpc":"2.0","method":"a"}{"jsonrpc":"2.0","method":"b"}"#,
                E::NotJson,
            ),
            (r#"{"jsonrpc":"2.0","method":"a""#, E::NotJson),
            (r#"{'jsonrpc':'2.0'}"#, E::NotJson),
            ("", E::NotJson),
            ("1", E::NotAMessage),
            ("null", E::NotAMessage),
            ("[]", E::NotAMessage),
            ("[[]]", E::NotAMessage),
            ("[1]", E::NotAMessage),
            ("{}", E::NotAMessage),
            (r#"{"jsonrpc":"2.0"}"#, E::NotAMessage),
            (r#"{"jsonrpc":"1.0","method":"a"}"#, E::NotAMessage),
            (r#"{"method":"a"}"#, E::NotAMessage),
            (r#"{"jsonrpc":"2.0","method":7}"#, E::NotAMessage),
            (
                r#"{"jsonrpc":"2.0","method":"a","params":"x"}"#,
                E::NotAMessage,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
                E::NotAMessage,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"a","result":{}}"#,
                E::NotAMessage,
            ),
        ];
        for (body, expected) in table {
            assert_eq!(read(body.as_bytes()).err(), Some(expected), "{body:.200}");
        }
        assert_eq!(
            read(b"{\"jsonrpc\":\"2.0\",\"method\":\"\xff\"}").err(),
            Some(E::NotJson)
        );
        assert_eq!(
            read(b"{\"jsonrpc\":\"2.0\",\"method\":\"a\",\"x\":\"\xff\"}").err(),
            Some(E::NotJson),
            "also where nobody looks"
        );
    }

    #[test]
    fn a_batch_is_every_message_in_it() {
        let body = r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},
            {"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"t"}}]"#;
        let Ok(Body::Batch(messages)) = read(body.as_bytes()) else {
            panic!("a batch")
        };
        assert_eq!(
            messages.iter().map(Message::tool).collect::<Vec<_>>(),
            [None, Some("t")]
        );
        let twice = r#"[{"jsonrpc":"2.0","id":1,"method":"ping","method":"x"}]"#;
        assert_eq!(read(twice.as_bytes()).err(), Some(BodyError::Ambiguous));
    }
}
