//! JSON that every reader reads alike (RFC 8259, and of RFC 7493 what is said of members):
//! scanned once, where it lies, and never built.
//!
//! The gateway looks at every body that passes, and wants five texts of it. A library that
//! builds values, or calls back for each, costs several times as much as this; what is rare
//! (escapes, odd numbers) is left to one all the same.

use std::{borrow::Cow, collections::HashSet};

use smallvec::SmallVec;

/// Deepest nesting that is let through.
pub const DEPTH_MAX: u8 = 64;

/// Why a text is not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not one JSON value in UTF-8, or something follows it.
    #[error("not one JSON value")]
    NotJson,
    /// A member comes twice in one object, or it is too deep: two readers may differ.
    #[error("could be read in two ways")]
    Ambiguous,
}

use JsonError::{Ambiguous, NotJson};

/// A place in a text.
#[derive(Debug)]
pub struct Scan<'j> {
    text: &'j str,
    at: usize,
}

/// What kind of value begins at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{`
    Object,
    /// `[`
    Array,
    /// `"`
    Text,
    /// `-` or a digit
    Number,
    /// Anything else: `true`, `false`, `null`, or no value at all.
    Word,
}

impl<'j> Scan<'j> {
    /// The beginning of a text.
    ///
    /// # Errors
    /// [`JsonError::NotJson`] if it is not UTF-8.
    pub fn new(bytes: &'j [u8]) -> Result<Self, JsonError> {
        let text = std::str::from_utf8(bytes).map_err(|_| NotJson)?;
        Ok(Self { text, at: 0 })
    }

    /// The next byte behind blanks, which stays.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        match self.text.as_bytes().get(self.at) {
            Some(next) if *next > b' ' => Some(*next),
            _ => self.peek_behind_blanks(),
        }
    }

    fn peek_behind_blanks(&mut self) -> Option<u8> {
        // A text that broke off leaves this behind its end.
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let blanks = rest
            .iter()
            .position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
        let blanks = blanks.unwrap_or(rest.len());
        self.at += blanks;
        rest.get(blanks).copied()
    }

    #[inline]
    fn take(&mut self, expected: u8) -> Result<(), JsonError> {
        if self.peek() == Some(expected) {
            self.at += 1;
            return Ok(());
        }
        Err(NotJson)
    }

    /// Which kind of value comes next.
    ///
    /// # Errors
    /// [`JsonError::NotJson`] at the end of the text.
    #[inline]
    pub fn kind(&mut self) -> Result<Kind, JsonError> {
        Ok(match self.peek().ok_or(NotJson)? {
            b'{' => Kind::Object,
            b'[' => Kind::Array,
            b'"' => Kind::Text,
            b'-' | b'0'..=b'9' => Kind::Number,
            _ => Kind::Word,
        })
    }

    /// Nothing may follow.
    ///
    /// # Errors
    /// [`JsonError::NotJson`].
    pub fn end(mut self) -> Result<(), JsonError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(NotJson),
        }
    }

    /// A text, borrowed where it has no escapes.
    ///
    /// # Errors
    /// [`JsonError::NotJson`] for anything else.
    pub fn text(&mut self) -> Result<Cow<'j, str>, JsonError> {
        self.take(b'"')?;
        let begin = self.at;
        let rest = &self.text.as_bytes()[begin..];
        let stop = begin + end_of_run(rest).ok_or(NotJson)?;
        self.at = stop + 1;
        match self.text.as_bytes()[stop] {
            b'"' => Ok(Cow::Borrowed(&self.text[begin..stop])),
            b'\\' => self.escaped(begin - 1).map(Cow::Owned),
            _ => Err(NotJson),
        }
    }

    /// The text from its first quote, in which an escape was found just before this place.
    #[cold]
    fn escaped(&mut self, begin: usize) -> Result<String, JsonError> {
        let bytes = self.text.as_bytes();
        // Whatever is escaped, its first byte ends nothing.
        self.at += 1;
        loop {
            match bytes.get(self.at).ok_or(NotJson)? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        let written = self.text.get(begin..self.at).ok_or(NotJson)?;
        serde_json::from_str(written).map_err(|_| NotJson)
    }

    /// A text, a number, `true`, `false` or `null`, as it is written.
    ///
    /// # Errors
    /// [`JsonError::NotJson`] for anything else.
    pub fn scalar(&mut self) -> Result<&'j str, JsonError> {
        let kind = self.kind()?;
        let begin = self.at;
        match kind {
            Kind::Text => drop(self.text()?),
            Kind::Number => self.number()?,
            Kind::Word => self.word()?,
            Kind::Object | Kind::Array => return Err(NotJson),
        }
        Ok(&self.text[begin..self.at])
    }

    fn word(&mut self) -> Result<(), JsonError> {
        let rest = &self.text.as_bytes()[self.at..];
        let word = ["true", "false", "null"]
            .into_iter()
            .find(|word| rest.starts_with(word.as_bytes()))
            .ok_or(NotJson)?;
        // What may follow is for whoever reads on to say.
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), JsonError> {
        let rest = &self.text.as_bytes()[self.at..];
        let part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = rest.iter().position(|byte| !part(byte));
        let written = &rest[..length.unwrap_or(rest.len())];
        self.at += written.len();
        // Most are small and whole; of the others a reader of numbers says whether they are
        // any, and whether anybody could keep them.
        let plain = match written {
            [b'0'] => true,
            [b'1'..=b'9', more @ ..] => more.len() < 18 && more.iter().all(u8::is_ascii_digit),
            _ => false,
        };
        if plain || serde_json::from_slice::<serde_json::Number>(written).is_ok() {
            return Ok(());
        }
        Err(NotJson)
    }

    /// An object: `member` is called behind each name, and reads the value.
    ///
    /// # Errors
    /// What `member` says, and [`JsonError::NotJson`].
    pub fn object<E: From<JsonError>>(
        &mut self,
        mut member: impl FnMut(&mut Self, Cow<'j, str>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.take(b'{')?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.peek();
            let name = self.text()?;
            self.take(b':')?;
            member(self, name)?;
            if self.is_last(b'}')? {
                return Ok(());
            }
        }
    }

    /// An array: `element` is called for each, and reads it.
    ///
    /// # Errors
    /// What `element` says, and [`JsonError::NotJson`].
    pub fn array<E: From<JsonError>>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.take(b'[')?;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            element(self)?;
            if self.is_last(b']')? {
                return Ok(());
            }
        }
    }

    /// Whether what was read was the last before `close`, or a comma follows.
    #[inline]
    fn is_last(&mut self, close: u8) -> Result<bool, JsonError> {
        let next = self.peek().ok_or(NotJson)?;
        self.at += 1;
        match next {
            b',' => Ok(false),
            next if next == close => Ok(true),
            _ => Err(NotJson),
        }
    }

    /// Any value inside `depth` others, read and forgotten.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn skip(&mut self, depth: u8) -> Result<(), JsonError> {
        let kind = self.kind()?;
        let nests = matches!(kind, Kind::Object | Kind::Array);
        if nests && depth >= DEPTH_MAX {
            return Err(Ambiguous);
        }
        match kind {
            Kind::Object => {
                let mut names = Names::default();
                self.object(|scan, name| {
                    names.meet(name)?;
                    scan.skip(depth + 1)
                })
            }
            Kind::Array => self.array(|scan| scan.skip(depth + 1)),
            Kind::Text => self.text().map(drop),
            Kind::Number => self.number(),
            Kind::Word => self.word(),
        }
    }
}

/// Where a run of plain characters in a text ends: at a quote, a backslash or a control.
/// Eight bytes at a time, since this is where most of a body is.
fn end_of_run(bytes: &[u8]) -> Option<usize> {
    const fn each(byte: u8) -> u64 {
        u64::from_le_bytes([byte; 8])
    }
    // The top bit of each byte of `word` that is below `bound`, and of none before the first.
    const fn below(word: u64, bound: u8) -> u64 {
        word.wrapping_sub(each(bound)) & !word & each(0x80)
    }
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = below(word ^ each(b'"'), 1);
        let backslash = below(word ^ each(b'\\'), 1);
        let stops = below(word, b' ') | quote | backslash;
        if stops != 0 {
            return Some(at * 8 + stops.trailing_zeros() as usize / 8);
        }
    }
    let stop = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..b' ');
    let at = rest.iter().position(stop)?;
    Some(words.len() * 8 + at)
}

/// Names that one object has had, so that none comes twice.
#[derive(Debug, Default)]
pub struct Names<'j> {
    few: SmallVec<[Cow<'j, str>; FEW]>,
    many: Option<HashSet<Cow<'j, str>>>,
}

/// Up to here a list is searched faster than a set, and needs no memory of its own.
const FEW: usize = 8;

impl<'j> Names<'j> {
    /// One more name.
    ///
    /// # Errors
    /// [`JsonError::Ambiguous`] if it was there.
    pub fn meet(&mut self, name: Cow<'j, str>) -> Result<(), JsonError> {
        let fresh = if self.few.len() < FEW {
            let fresh = !self.few.contains(&name);
            self.few.push(name);
            fresh
        } else {
            !self.few.contains(&name) && self.many.get_or_insert_default().insert(name)
        };
        if fresh { Ok(()) } else { Err(Ambiguous) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn scanned(text: &[u8]) -> Result<(), JsonError> {
        let mut scan = Scan::new(text)?;
        scan.skip(0)?;
        scan.end()
    }

    #[test]
    fn t_mcp_02_what_is_no_json_is_none_here() {
        for text in [
            "",
            " ",
            "{",
            "[",
            "\"",
            "\"a",
            "\"\\",
            "\"\\\"",
            "\"\\u12\"",
            "\"\\ud800\"",
            "\"\\x\"",
            "{a:1}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{,}",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1}",
            "tru",
            "truee",
            "nul",
            "True",
            "NaN",
            "Infinity",
            "-",
            "+1",
            "01",
            "1.",
            ".5",
            "1e",
            "1e+",
            "--1",
            "1-1",
            "0x1",
            "1e999",
            "'a'",
            "\"\t\"",
            "\"\n\"",
            "1 1",
            "{} {}",
            "\u{feff}1",
            "\u{a0}1",
            "// a\n1",
            "/**/1",
            "[1]]",
            "{\"a\":1}}",
            "\u{c}1",
        ] {
            assert_eq!(scanned(text.as_bytes()), Err(NotJson), "{text:?}");
            assert!(serde_json::from_str::<Value>(text).is_err(), "{text:?}");
        }
        assert_eq!(scanned(b"\"\xff\""), Err(NotJson));
        assert_eq!(scanned(b"\"\xed\xa0\x80\""), Err(NotJson));
    }

    #[test]
    fn t_mcp_02_names_are_compared_as_they_are_read() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":1}"#,
            r#"[{"x":[{"k":1,"b":2,"k":2}]}]"#,
            r#"{"1":0,"2":0,"3":0,"4":0,"5":0,"6":0,"7":0,"8":0,"9":0,"9":0}"#,
        ] {
            assert_eq!(scanned(text.as_bytes()), Err(Ambiguous), "{text}");
        }
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(scanned(nested(64).as_bytes()), Ok(()));
        assert_eq!(scanned(nested(65).as_bytes()), Err(Ambiguous));
        assert_eq!(scanned("[".repeat(1_000_000).as_bytes()), Err(Ambiguous));
    }

    #[test]
    fn t_mcp_02_a_run_ends_where_it_ends_wherever_that_is() {
        for stop in 0..=255_u8 {
            let stops = matches!(stop, b'"' | b'\\' | 0..b' ');
            for at in 0..20 {
                for filler in [b'a', b' ', b'!', b'#', b'[', b']', 0x7f, 0x80, 0xff] {
                    let mut bytes = [filler; 20];
                    bytes[at] = stop;
                    assert_eq!(end_of_run(&bytes), stops.then_some(at), "{stop} at {at}");
                }
            }
        }
    }

    #[test]
    fn a_scalar_is_given_as_it_is_written() {
        for text in ["7", "-0.5e-3", "\"a\\\"b\"", "true", "null", "\"\""] {
            let wide = format!(" {text}\n,");
            let mut scan = Scan::new(wide.as_bytes()).expect("UTF-8");
            assert_eq!(scan.scalar(), Ok(text));
        }
        let mut scan = Scan::new(b"[1]").expect("UTF-8");
        assert_eq!(scan.scalar(), Err(NotJson));
        let mut scan = Scan::new(b"\"\\").expect("UTF-8");
        assert_eq!(scan.text(), Err(NotJson));
        assert_eq!(scan.kind(), Err(NotJson), "also when asked once more");
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(|number| json!(number)),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::hash_map(any::<String>(), inner, 0..12)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// What another reader says of the same bytes. It takes repeated names.
    fn is_json(text: &[u8]) -> bool {
        serde_json::from_slice::<Value>(text).is_ok()
    }

    proptest! {
        #[test]
        fn what_a_library_writes_is_read(value in any_json(), pretty: bool) {
            let text = if pretty {
                serde_json::to_vec_pretty(&value)
            } else {
                serde_json::to_vec(&value)
            };
            prop_assert_eq!(scanned(&text.expect("JSON")), Ok(()));
        }

        #[test]
        fn t_mcp_02_broken_as_a_library_says(value in any_json(), at: prop::sample::Index, by: u8) {
            let mut text = serde_json::to_vec(&value).expect("JSON");
            let at = at.index(text.len());
            text[at] = by;
            let ours = scanned(&text);
            prop_assert_eq!(ours != Err(NotJson), is_json(&text), "{:?}", text);
            text.truncate(at);
            prop_assert_eq!(scanned(&text) != Err(NotJson), is_json(&text), "{:?}", text);
        }

        #[test]
        fn t_mcp_02_any_bytes_as_a_library_says(text in "[\\[\\]{}\",:0-9eE+.\\\\u a-fnrtls-]{0,24}") {
            let ours = scanned(text.as_bytes());
            if ours != Err(Ambiguous) {
                prop_assert_eq!(ours.is_ok(), is_json(text.as_bytes()), "{:?}", text);
            }
        }

        #[test]
        fn t_mcp_02_texts_as_a_library_reads_them(text: String, escapes in "(\\\\[\"/bfnrtu\\\\]|[a-f0-9\"]){0,16}") {
            let written = serde_json::to_string(&text).expect("JSON");
            let wild = format!("\"{escapes}\"");
            for each in [written, wild] {
                let mut scan = Scan::new(each.as_bytes()).expect("UTF-8");
                let read = scan.text().and_then(|text| scan.end().map(|()| text));
                let theirs = serde_json::from_str::<String>(&each).ok();
                prop_assert_eq!(read.ok().map(Cow::into_owned), theirs, "{}", each);
            }
        }
    }
}
