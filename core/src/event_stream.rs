//! `text/event-stream` as far as a relay must know it (HTML, *Server-sent events*, §9.2.6):
//! where one event ends and the next may begin, and what one says.

use std::borrow::Cow;

/// A comment, which every reader passes over. Sent between events alone, so that it never
/// lands inside one.
pub const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// Whether the bytes so far end where an event may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Between {
    tail: [u8; 2],
    line_is_empty: bool,
}

impl Default for Between {
    /// Nothing was sent yet.
    fn default() -> Self {
        Self {
            tail: *b"\n\n",
            line_is_empty: true,
        }
    }
}

impl Between {
    /// Takes the next bytes into account. Only their end is looked at.
    pub fn pass(&mut self, chunk: &[u8]) {
        // Three bytes tell: an empty line is "\n\n" or "\n\r\n".
        let mut all = [self.tail[0], self.tail[1], 0, 0, 0];
        let last = &chunk[chunk.len().saturating_sub(3)..];
        all[2..2 + last.len()].copy_from_slice(last);
        let seen = &all[..2 + last.len()];
        self.line_is_empty =
            seen.ends_with(b"\n\n") || seen.ends_with(b"\n\r\n") || seen.ends_with(b"\r\r");
        self.tail.copy_from_slice(&seen[seen.len() - 2..]);
    }

    /// Whether something may be said between two events now.
    pub fn events(&self) -> bool {
        self.line_is_empty
    }
}

/// A stream cut into events, for whoever must see each of them whole.
#[derive(Debug)]
pub struct Events {
    /// What came, without its byte order mark; before `start` it was given out.
    bytes: Vec<u8>,
    start: usize,
    /// Where the line begins whose end is looked for.
    line: usize,
    /// Up to here that line has no end.
    looked_at: usize,
    most: usize,
    /// Whether a byte order mark may still come.
    at_start: bool,
}

/// An event longer than what is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is too long")]
pub struct EventTooLong;

/// What a stream may begin with and no reader takes for data.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

impl Events {
    /// Reads events of `most` bytes each at most.
    pub fn new(most: usize) -> Self {
        Self {
            bytes: Vec::new(),
            start: 0,
            line: 0,
            looked_at: 0,
            most,
            at_start: true,
        }
    }

    /// Takes the next bytes into account.
    pub fn push(&mut self, chunk: &[u8]) {
        self.bytes.drain(..self.start);
        self.line -= self.start;
        self.looked_at -= self.start;
        self.start = 0;
        self.bytes.extend_from_slice(chunk);
        if self.at_start && self.bytes.len() >= BYTE_ORDER_MARK.len() {
            self.at_start = false;
            if self.bytes.starts_with(BYTE_ORDER_MARK) {
                self.bytes.drain(..BYTE_ORDER_MARK.len());
            }
        }
    }

    /// The next event that is whole, with its final empty line.
    ///
    /// # Errors
    /// [`EventTooLong`]; nothing can be read after that.
    pub fn next_whole(&mut self) -> Result<Option<&[u8]>, EventTooLong> {
        if self.at_start && BYTE_ORDER_MARK.starts_with(&self.bytes) {
            return Ok(None);
        }
        match self.end_of_event() {
            Some(end) => {
                let event = self.start..end;
                self.start = end;
                Ok(Some(&self.bytes[event]))
            }
            None if self.bytes.len() - self.start > self.most => Err(EventTooLong),
            None => Ok(None),
        }
    }

    /// Behind the next empty line.
    fn end_of_event(&mut self) -> Option<usize> {
        loop {
            let rest = &self.bytes[self.looked_at..];
            let Some(found) = rest.iter().position(|b| matches!(b, b'\n' | b'\r')) else {
                self.looked_at = self.bytes.len();
                return None;
            };
            let line_end = self.looked_at + found;
            let after = match (self.bytes[line_end], self.bytes.get(line_end + 1)) {
                // Whether a line feed follows is not known yet.
                (b'\r', None) => {
                    self.looked_at = line_end;
                    return None;
                }
                (b'\r', Some(b'\n')) => line_end + 2,
                _ => line_end + 1,
            };
            let empty = line_end == self.line;
            self.line = after;
            self.looked_at = after;
            if empty {
                return Some(after);
            }
        }
    }

    /// Whether nothing of an event is waiting for its end.
    pub fn is_between(&self) -> bool {
        self.bytes.len() == self.start
    }
}

/// What an event says.
#[derive(Debug, PartialEq, Eq)]
pub struct Event {
    /// Its type; `message` if it names none.
    pub name: String,
    /// Its data, lines joined; `None` if it has no `data` at all, and then nobody hears of it.
    pub data: Option<String>,
    /// Where to take the stream up again.
    pub id: Option<String>,
    /// How long to wait before that, in milliseconds.
    pub retry: Option<u64>,
}

impl Event {
    /// Reads one whole event.
    pub fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut event = Self {
            name: String::new(),
            data: None,
            id: None,
            retry: None,
        };
        for line in lines(&text) {
            match field(line) {
                ("event", value) => value.clone_into(&mut event.name),
                ("id", value) if !value.contains('\0') => event.id = Some(value.to_owned()),
                ("retry", value) => event.retry = value.parse().ok(),
                ("data", value) => match &mut event.data {
                    Some(data) => {
                        data.push('\n');
                        data.push_str(value);
                    }
                    None => event.data = Some(value.to_owned()),
                },
                _ => {}
            }
        }
        if event.name.is_empty() {
            "message".clone_into(&mut event.name);
        }
        event
    }
}

/// The same event with other data: every other line stays as it was.
pub fn with_data(event: &[u8], data: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(event);
    let mut out = String::with_capacity(text.len() + data.len());
    let mut said = false;
    for line in lines(&text) {
        if line.is_empty() {
            continue;
        }
        if field(line).0 != "data" {
            out.push_str(line);
            out.push('\n');
        } else if !std::mem::replace(&mut said, true) {
            // A line end in the data begins another field of the same name, and no other.
            for part in lines(data) {
                out.push_str("data: ");
                out.push_str(part);
                out.push('\n');
            }
        }
    }
    out.push('\n');
    out.into_bytes()
}

fn field(line: &str) -> (&str, &str) {
    let (name, value) = line.split_once(':').unwrap_or((line, ""));
    (name, value.strip_prefix(' ').unwrap_or(value))
}

/// Lines that end in LF, CR or both (§9.2.6).
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(at) = text.find(['\n', '\r']) else {
            rest = None;
            return Some(text);
        };
        let after = if text[at..].starts_with("\r\n") {
            at + 2
        } else {
            at + 1
        };
        rest = Some(&text[after..]).filter(|rest| !rest.is_empty());
        Some(&text[..at])
    })
}

/// Whether a text can be written as one line of a stream.
pub fn is_one_line(text: &str) -> bool {
    !text.contains(['\n', '\r'])
}

/// Bytes as text, for whoever reads events that are meant to be UTF-8.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn px_9_a_keep_alive_goes_between_events_only() {
        let table: [(&[&str], bool); 15] = [
            (&[], true),
            (&["data: 1\n\n"], true),
            (&["data: 1\r\n\r\n"], true),
            (&["data: 1\n", "\n"], true),
            (&["data: 1\r\n", "\r", "\n"], true),
            (&["data: 1\n\ndata: 2\n\n"], true),
            (&["d", "ata: 1", "\n", "\n"], true),
            (&["data: 1\n"], false),
            (&["data: 1\r\n"], false),
            (&["data: 1\r\n", "\r"], false),
            (&["data: 1"], false),
            (&["data: 1\n\n", "id: 2\n"], false),
            (&["data: 1\n\nd"], false),
            (&["id: 1\ndata:\n"], false),
            (&["", "data: 1\n\n", ""], true),
        ];
        for (chunks, expected) in table {
            let mut between = Between::default();
            for chunk in chunks {
                between.pass(chunk.as_bytes());
            }
            assert_eq!(between.events(), expected, "{chunks:?}");
        }
    }

    #[test]
    fn however_a_stream_is_cut_its_events_are_the_same() {
        let stream = "\u{feff}: hello\r\n\r\nid: 1\nevent: x\r\ndata: a\r\ndata: b\n\ndata\r\r\u{feff}\n\ndata: c";
        let whole = [
            ": hello\r\n\r\n",
            "id: 1\nevent: x\r\ndata: a\r\ndata: b\n\n",
            "data\r\r",
            // A mark anywhere else is a character like any other.
            "\u{feff}\n\n",
        ];
        for size in 1..=stream.len() {
            let mut events = Events::new(1000);
            let mut found = Vec::new();
            for chunk in stream.as_bytes().chunks(size) {
                events.push(chunk);
                while let Some(event) = events.next_whole().expect("short events") {
                    found.push(text(event).into_owned());
                }
            }
            assert_eq!(found, whole, "in pieces of {size}");
            assert!(!events.is_between(), "the last has no end yet");
        }
        let mut events = Events::new(5);
        events.push(b"data: 123456");
        assert_eq!(events.next_whole(), Err(EventTooLong));
    }

    #[test]
    fn t_mcp_13_sse_2_a_line_end_in_two_pieces_makes_no_second_event() {
        let stream = b"event: endpoint\r\ndata: https://evil.example/m\r\n\r\n";
        for cut in 1..stream.len() {
            let mut events = Events::new(1000);
            let mut all = Vec::new();
            for piece in [&stream[..cut], &stream[cut..]] {
                events.push(piece);
                while let Some(event) = events.next_whole().expect("short") {
                    all.push(Event::read(event));
                }
            }
            assert_eq!(all.len(), 1, "cut at {cut}");
            assert_eq!(all[0].name, "endpoint");
            assert_eq!(all[0].data.as_deref(), Some("https://evil.example/m"));
        }
    }

    #[test]
    fn t_mcp_11_a_burst_of_events_costs_what_it_is_long() {
        let burst = "\n".repeat(400_000);
        let mut events = Events::new(1000);
        events.push(burst.as_bytes());
        let mut count = 0;
        while events.next_whole().expect("short").is_some() {
            count += 1;
        }
        assert_eq!(count, burst.len());
        // What was given out is not kept.
        events.push(b"");
        assert!(events.bytes.is_empty() && events.is_between());
    }

    #[test]
    fn what_an_event_says() {
        let said = |bytes: &str| {
            let event = Event::read(bytes.as_bytes());
            (event.name, event.data)
        };
        let message = "message".to_owned();
        assert_eq!(said(": hi\n\n"), (message.clone(), None));
        assert_eq!(
            said("data:a\ndata: b\n\n"),
            (message.clone(), Some("a\nb".into()))
        );
        assert_eq!(
            said("event: endpoint\r\ndata: /x\r\n\r\n"),
            ("endpoint".into(), Some("/x".into()))
        );
        assert_eq!(said("id: 7\ndata:\n\n"), (message, Some(String::new())));
    }

    #[test]
    fn t_mcp_10_data_of_others_makes_no_field_of_its_own() {
        let event = b"id: 7\r\nevent: message\r\ndata: old\r\ndata: older\r\nretry: 5\r\n\r\n";
        let out = with_data(event, "a\nevent: evil\r\rid: 9");
        assert_eq!(
            text(&out),
            "id: 7\nevent: message\ndata: a\ndata: event: evil\ndata: \ndata: id: 9\nretry: 5\n\n"
        );
        let read = Event::read(&out);
        assert_eq!(read.name, "message");
        assert_eq!(read.data.as_deref(), Some("a\nevent: evil\n\nid: 9"));
    }
}
