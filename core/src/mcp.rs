//! The little of a JSON-RPC message that a gateway must know: method, name, id, version.
//!
//! One borrowing pass over the whole body, to its last byte. The bytes that are forwarded
//! are the bytes that were read, so whatever two parsers could read differently is refused:
//! a repeated member, a member that differs from a reserved one in case only, trailing
//! bytes, too much depth.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::text;

/// Deepest nesting that is let through.
pub const DEPTH_MAX: u8 = 64;

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
    pub id: Option<&'b RawValue>,
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

/// Reads a body.
///
/// # Errors
/// [`BodyError`].
#[inline(never)] // counted by name: benches/instructions.tsv
pub fn read(body: &[u8]) -> Result<Body<'_>, BodyError> {
    // serde_json looks at UTF-8 only in strings that somebody wants.
    let text = std::str::from_utf8(body).map_err(|_| BodyError::NotJson)?;
    let mut json = serde_json::Deserializer::from_str(text);
    let read = TopLevel
        .deserialize(&mut json)
        .map_err(|error| classify(&error))?;
    json.end().map_err(|_| BodyError::NotJson)?;
    Ok(read)
}

/// Our own refusals travel through serde as messages that begin with these.
const AMBIGUOUS: &str = "vestibule:ambiguous";
const NOT_A_MESSAGE: &str = "vestibule:not-a-message";

fn classify(error: &serde_json::Error) -> BodyError {
    if error.classify() != serde_json::error::Category::Data {
        return BodyError::NotJson;
    }
    let text = error.to_string();
    if text.starts_with(AMBIGUOUS) {
        BodyError::Ambiguous
    } else {
        BodyError::NotAMessage
    }
}

struct TopLevel;

impl<'de> DeserializeSeed<'de> for TopLevel {
    type Value = Body<'de>;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Body<'de>, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for TopLevel {
    type Value = Body<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NOT_A_MESSAGE)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Body<'de>, A::Error> {
        MessageSeed.visit_map(map).map(Body::One)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Body<'de>, A::Error> {
        let mut messages = Vec::new();
        while let Some(message) = seq.next_element_seed(MessageSeed)? {
            if messages.len() == BATCH_MAX {
                return Err(refuse(NOT_A_MESSAGE));
            }
            messages.push(message);
        }
        if messages.is_empty() {
            return Err(refuse(NOT_A_MESSAGE));
        }
        Ok(Body::Batch(messages))
    }
}

fn refuse<E: serde::de::Error>(why: &'static str) -> E {
    E::custom(why)
}

struct MessageSeed;

impl<'de> DeserializeSeed<'de> for MessageSeed {
    type Value = Message<'de>;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Message<'de>, D::Error> {
        d.deserialize_map(self)
    }
}

/// A method that is not another one in disguise: what a rule rests on must not be reached by
/// a spelling that a lax reader takes for it.
fn method<E: serde::de::Error>(method: Cow<'_, str>) -> Result<Cow<'_, str>, E> {
    const JUDGED: [&str; 2] = ["tools/call", "tools/list"];
    let disguised = JUDGED
        .iter()
        .any(|judged| *judged != method && text::is_read_as(&method, judged));
    if disguised {
        return Err(refuse(AMBIGUOUS));
    }
    Ok(method)
}

/// An id that is text, a number or null (JSON-RPC 2.0 §4).
fn id<E: serde::de::Error>(id: &RawValue) -> Result<&RawValue, E> {
    match id.get().as_bytes().first() {
        Some(b'"' | b'-' | b'0'..=b'9' | b'n') => Ok(id),
        _ => Err(refuse(NOT_A_MESSAGE)),
    }
}

/// Members that one object has had, so that none comes twice.
#[derive(Default)]
struct Unique<'de> {
    few: SmallVec<[Cow<'de, str>; FEW]>,
    many: HashSet<Cow<'de, str>>,
}

/// Up to here a list is searched faster than a set, and needs no memory of its own.
const FEW: usize = 8;

impl<'de> Unique<'de> {
    fn meet<E: serde::de::Error>(&mut self, key: Cow<'de, str>) -> Result<(), E> {
        let fresh = if self.few.len() < FEW {
            let fresh = !self.few.contains(&key);
            self.few.push(key);
            fresh
        } else {
            !self.few.contains(&key) && self.many.insert(key)
        };
        if fresh {
            Ok(())
        } else {
            Err(refuse(AMBIGUOUS))
        }
    }
}

/// Marks members as they come, and refuses repetitions and look-alikes of `reserved`.
struct Members<'de, const N: usize> {
    reserved: [&'static str; N],
    seen: [bool; N],
    others: Unique<'de>,
}

impl<'de, const N: usize> Members<'de, N> {
    fn new(reserved: [&'static str; N]) -> Self {
        Self {
            reserved,
            seen: [false; N],
            others: Unique::default(),
        }
    }

    /// Which reserved member `key` is, if any.
    fn meet<E: serde::de::Error>(&mut self, key: Cow<'de, str>) -> Result<Option<usize>, E> {
        if let Some(at) = self.reserved.iter().position(|name| *name == key) {
            return if std::mem::replace(&mut self.seen[at], true) {
                Err(refuse(AMBIGUOUS))
            } else {
                Ok(Some(at))
            };
        }
        // A lax reader folds case, and not only in ASCII: `paramſ` is `params` to it.
        if self
            .reserved
            .iter()
            .any(|name| text::is_read_as(&key, name))
        {
            return Err(refuse(AMBIGUOUS));
        }
        self.others.meet(key)?;
        Ok(None)
    }
}

impl<'de> Visitor<'de> for MessageSeed {
    type Value = Message<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NOT_A_MESSAGE)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Message<'de>, A::Error> {
        let mut message = Message::default();
        let mut members = Members::new(["jsonrpc", "method", "id", "params", "result", "error"]);
        while let Some(Text(key)) = map.next_key()? {
            match members.meet(key)? {
                Some(0) => {
                    let Text(version) = map.next_value()?;
                    if version != "2.0" {
                        return Err(refuse(NOT_A_MESSAGE));
                    }
                }
                Some(1) => message.method = Some(method(map.next_value::<Text<'de>>()?.0)?),
                Some(2) => message.id = Some(id(map.next_value()?)?),
                Some(3) => map.next_value_seed(ParamsSeed(&mut message))?,
                Some(_) => {
                    message.is_response = true;
                    map.next_value_seed(Skip(1))?;
                }
                None => map.next_value_seed(Skip(1))?,
            }
        }
        let [jsonrpc, method, .., result, error] = members.seen;
        if !jsonrpc || method == (result || error) || (result && error) {
            return Err(refuse(NOT_A_MESSAGE));
        }
        Ok(message)
    }
}

/// A string, borrowed where it has no escapes.
struct Text<'de>(Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(NOT_A_MESSAGE)
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        d.deserialize_str(V)
    }
}

struct ParamsSeed<'m, 'de>(&'m mut Message<'de>);

impl<'de> DeserializeSeed<'de> for ParamsSeed<'_, 'de> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ParamsSeed<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NOT_A_MESSAGE)
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Skip(2))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let message = self.0;
        let mut members = Members::new(["name", "uri", "taskId", "_meta", "arguments"]);
        while let Some(Text(key)) = map.next_key()? {
            match members.meet(key)? {
                Some(0) => message.name = map.next_value_seed(MaybeText(2))?,
                Some(1) => message.uri = map.next_value_seed(MaybeText(2))?,
                Some(2) => message.task_id = map.next_value_seed(MaybeText(2))?,
                Some(3) => map.next_value_seed(MetaSeed(message))?,
                _ => map.next_value_seed(Skip(2))?,
            }
        }
        Ok(())
    }
}

struct MetaSeed<'m, 'de>(&'m mut Message<'de>);

impl<'de> DeserializeSeed<'de> for MetaSeed<'_, 'de> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for MetaSeed<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NOT_A_MESSAGE)
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut members = Members::new(["io.modelcontextprotocol/protocolVersion"]);
        while let Some(Text(key)) = map.next_key()? {
            match members.meet(key)? {
                Some(_) => self.0.version = map.next_value_seed(MaybeText(3))?,
                None => map.next_value_seed(Skip(3))?,
            }
        }
        Ok(())
    }
}

/// A string if it is one; anything else is skipped and left to the MCP server to refuse.
struct MaybeText(u8);

impl<'de> DeserializeSeed<'de> for MaybeText {
    type Value = Option<Cow<'de, str>>;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for MaybeText {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(text)))
    }
    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(text.to_owned())))
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        Skip(self.0).visit_seq(seq).map(|()| None)
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Skip(self.0).visit_map(map).map(|()| None)
    }
}

/// Any value at this depth, read and forgotten.
struct Skip(u8);

impl<'de> DeserializeSeed<'de> for Skip {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skip {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_borrowed_str<E>(self, _: &'de str) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if self.0 >= DEPTH_MAX {
            return Err(refuse(AMBIGUOUS));
        }
        while seq.next_element_seed(Self(self.0 + 1))?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if self.0 >= DEPTH_MAX {
            return Err(refuse(AMBIGUOUS));
        }
        let mut members = Unique::default();
        while let Some(Text(key)) = map.next_key()? {
            members.meet(key)?;
            map.next_value_seed(Self(self.0 + 1))?;
        }
        Ok(())
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
        assert_eq!(call.id.map(RawValue::get), Some("7"));
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
