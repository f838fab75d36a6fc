//! The head of each request on its way in: how long it takes, how long it is, and whether it
//! says the length of its body twice.
//!
//! The HTTP library has one time for a head and for the silence before it, so a connection
//! that a proxy in front keeps would be closed under its next request, or a slow head would
//! be let be. The library times the silence; a head that has begun is timed here.
//!
//! A request with both `Content-Length` and `Transfer-Encoding` is how one request hides
//! inside another (RFC 9112 §6.1). The HTTP library keeps one of the two and drops the
//! other before anybody sees the request, so the raw head is looked at here, on its way in.

use std::{
    cell::{Cell, RefCell},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::Doubt;

/// What one connection's heads told.
#[derive(Clone)]
pub struct Framing(Rc<State>);

struct State {
    at: RefCell<At>,
    /// Bytes of a head; the library's own limit is one of its buffer.
    head_max: usize,
    /// What is wrong with a head, not yet told.
    doubt: Cell<Doubt>,
    /// Whether a request is being answered: a next head that arrives meanwhile may wait.
    answering: Cell<bool>,
}

/// Where in the requests of a connection the next byte is.
enum At {
    /// In a head, of which this came.
    Head(Vec<u8>),
    /// In a body of which so much is to come.
    Body(u64),
    /// Behind a head whose body has no length, or no one length. Its connection ends with
    /// its answer, so nothing behind it is taken for a request.
    Unknown,
}

impl Default for At {
    fn default() -> Self {
        Self::Head(Vec::new())
    }
}

impl Framing {
    /// For a connection whose heads may have `head_max` bytes.
    pub fn new(head_max: usize) -> Self {
        Self(Rc::new(State {
            at: RefCell::default(),
            head_max,
            doubt: Cell::default(),
            answering: Cell::default(),
        }))
    }

    /// What was wrong with a head since this was last asked; asked for each request, whose
    /// answer then begins.
    pub fn take_doubt(&self) -> Doubt {
        self.0.answering.set(true);
        self.0.doubt.take()
    }

    /// The answer is on its way.
    pub fn answered(&self) {
        self.0.answering.set(false);
    }

    /// Whether a head has begun and not ended, and somebody waits for its end.
    fn is_arriving(&self) -> bool {
        let arriving = matches!(&*self.0.at.borrow(), At::Head(bytes) if !bytes.is_empty());
        arriving && !self.0.answering.get()
    }

    /// Follows the bytes of a connection: heads, and bodies by their lengths, so that each
    /// head is looked at wherever in a packet it begins.
    #[inline(never)] // counted by name: benches/instructions.tsv
    fn look(&self, bytes: &[u8]) {
        let mut at = self.0.at.borrow_mut();
        let mut rest = bytes;
        while !rest.is_empty() {
            match &mut *at {
                At::Unknown => return,
                At::Body(left) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    rest = &rest[taken..];
                    *left -= taken as u64;
                    if *left == 0 {
                        *at = At::default();
                    }
                }
                At::Head(begun) => {
                    // Only what is new and what it may complete: a head sent byte by byte
                    // costs no more. One that came whole, as nearly all do, is not copied.
                    let before = begun.len();
                    let from = before.saturating_sub(2);
                    if before > 0 {
                        begun.extend_from_slice(rest);
                    }
                    let head = if before > 0 { begun.as_slice() } else { rest };
                    let ended = before == 0 || head_in(&head[from..]).is_some();
                    let Some((end, length)) = ended.then(|| head_in(head)).flatten() else {
                        if head.len() > self.0.head_max {
                            self.0.doubt.set(Doubt::TooLarge);
                            *at = At::Unknown;
                        } else if before == 0 {
                            begun.extend_from_slice(rest);
                        }
                        return;
                    };
                    rest = &rest[end - before..];
                    let next = match length {
                        Length::None => At::default(),
                        Length::Known(length) => At::Body(length),
                        Length::Coded => At::Unknown,
                        Length::Twice => {
                            self.0.doubt.set(Doubt::LengthTwice);
                            At::Unknown
                        }
                    };
                    if end > self.0.head_max {
                        self.0.doubt.set(Doubt::TooLarge);
                    }
                    *at = next;
                }
            }
        }
    }
}

/// What a head says of the length of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    None,
    Known(u64),
    /// By chunks.
    Coded,
    /// More than once, or not as a number.
    Twice,
}

/// Where a head ends, behind its empty line, in whatever line ends the library takes; and
/// the length that it says.
fn head_in(bytes: &[u8]) -> Option<(usize, Length)> {
    let mut found = Length::None;
    let mut begin = 0;
    for end in memchr::memchr_iter(b'\n', bytes) {
        found = match (found, length_of(&bytes[begin..end])) {
            (length, Length::None) | (Length::None, length) => length,
            _ => Length::Twice,
        };
        begin = end + 1;
        match bytes[begin..] {
            [b'\n', ..] => return Some((begin + 1, found)),
            [b'\r', b'\n', ..] => return Some((begin + 2, found)),
            _ => {}
        }
    }
    None
}

/// What one line says of it.
fn length_of(line: &[u8]) -> Length {
    // A name's first letter tells nearly always; a blank before it is cut below.
    let first = line.first().copied().unwrap_or_default();
    if !matches!(first, b'c' | b'C' | b't' | b'T') && !first.is_ascii_whitespace() {
        return Length::None;
    }
    let colon = line.iter().position(|byte| *byte == b':');
    let (name, value) = line.split_at(colon.unwrap_or(line.len()));
    let name = name.trim_ascii();
    let value = value.get(1..).unwrap_or_default().trim_ascii();
    if name.eq_ignore_ascii_case(b"transfer-encoding") {
        return Length::Coded;
    }
    if !name.eq_ignore_ascii_case(b"content-length") {
        return Length::None;
    }
    let digits = value.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(value).ok().filter(|_| digits);
    number
        .and_then(|text| text.parse().ok())
        .map_or(Length::Twice, Length::Known)
}

/// A stream whose heads are looked at and timed, and whose reader is.
pub struct Watched<T> {
    inner: T,
    framing: Framing,
    times: Times,
    /// Runs while a head arrives in pieces, which is rare.
    timer: Option<Pin<Box<Sleep>>>,
    /// Runs while the other side takes nothing of what is there for it.
    stalled: Option<Pin<Box<Sleep>>>,
}

/// How long the other side may take.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// For a head, from its first byte to its last.
    pub head: Duration,
    /// For anything of what waits to be sent to it. A body is not asked for while something
    /// waits, so nothing else would end such a connection.
    pub read: Duration,
}

impl<T> Watched<T> {
    /// Watches `inner`.
    pub fn new(inner: T, framing: Framing, times: Times) -> Self {
        Self {
            inner,
            framing,
            times,
            timer: None,
            stalled: None,
        }
    }

    /// Ends a connection whose other side took nothing for too long.
    fn or_stalled<R>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let time = self.times.read;
        ready!(
            self.stalled
                .get_or_insert_with(|| Box::pin(sleep(time)))
                .as_mut()
                .poll(cx)
        );
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Whether a head has taken too long.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.framing.is_arriving() {
            self.timer = None;
            return Poll::Pending;
        }
        let time = self.times.head;
        self.timer
            .get_or_insert_with(|| Box::pin(sleep(time)))
            .as_mut()
            .poll(cx)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.inner).poll_read(cx, buffer) {
            Poll::Ready(read) => {
                if read.is_ok() {
                    self.framing.look(&buffer.filled()[before..]);
                }
                Poll::Ready(read)
            }
            Poll::Pending => {
                ready!(self.poll_late(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.or_stalled(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bytes);
        self.or_stalled(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_prx_01_a_length_said_twice_is_seen_wherever_it_arrives() {
        let head = |lines: &str| format!("POST / HTTP/1.1\r\nhost: a\r\n{lines}\r\n\r\nbody");
        let doubtful = |text: &str, piece: usize| {
            let framing = Framing::new(4096);
            for bytes in text.as_bytes().chunks(piece) {
                framing.look(bytes);
            }
            framing.take_doubt() == Doubt::LengthTwice
        };
        let twice = [
            "Content-Length: 4\r\nTransfer-Encoding: chunked",
            "transfer-encoding: chunked\r\ncontent-length: 4",
            "content-length: 4\r\ncontent-length: 4",
            "content-length: 4, 4",
            "content-length: +4",
            "content-length",
        ];
        let once = [
            "content-length: 4",
            "x-content-length: 4\r\ntransfer-encoding: chunked",
            "x: content-length: 4\r\ncontent-length: 4",
        ];
        for piece in [1, 2, 3, 7, 4096] {
            for lines in twice {
                let bad = head(lines);
                assert!(doubtful(&bad, piece), "{lines} in pieces of {piece}");
                // Behind another request, with a body, without, and with one that looks like
                // a head; and in the line ends that lax parsers take.
                let good = head("content-length: 4");
                assert!(
                    doubtful(&format!("{good}{bad}"), piece),
                    "{lines} behind a body"
                );
                let get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
                assert!(
                    doubtful(&format!("{get}{bad}"), piece),
                    "{lines} behind a GET"
                );
                let lax = bad.replace("\r\n\r\n", "\n\r\n");
                assert!(doubtful(&lax, piece), "{lines} before a lax end");
                assert!(doubtful(&bad.replace("\r\n", "\n"), piece));
                let body = format!(
                    "POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n{bad}",
                    bad.len()
                );
                assert!(!doubtful(&body, piece), "a body is no head");
            }
            for lines in once {
                assert!(
                    !doubtful(&head(lines), piece),
                    "{lines} in pieces of {piece}"
                );
            }
        }
        let framing = Framing::new(4096);
        framing.look(head(twice[0]).as_bytes());
        assert_eq!(framing.take_doubt(), Doubt::LengthTwice);
        assert_eq!(framing.take_doubt(), Doubt::No, "told once");
        // However it comes, a head over the limit is told.
        let large = head(&format!("x: {}", "y".repeat(4096)));
        for piece in [100, 100_000] {
            let framing = Framing::new(4096);
            for bytes in large.as_bytes().chunks(piece) {
                framing.look(bytes);
            }
            assert_eq!(framing.take_doubt(), Doubt::TooLarge);
        }
    }

    #[test]
    fn t_prx_16_only_a_head_that_somebody_waits_for_is_timed() {
        let framing = Framing::new(4096);
        framing.look(b"GET / HT");
        assert!(framing.is_arriving());
        framing.look(b"TP/1.1\r\n\r\n");
        assert!(!framing.is_arriving());
        assert_eq!(framing.take_doubt(), Doubt::No);
        framing.look(b"GET /next");
        assert!(
            !framing.is_arriving(),
            "the answer before it may take its time"
        );
        framing.answered();
        assert!(framing.is_arriving());
    }

    #[tokio::test(start_paused = true)]
    async fn t_prx_16_t_mcp_11_a_reader_that_takes_nothing_is_let_go() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (near, mut far) = tokio::io::duplex(16);
        let times = Times {
            head: Duration::from_secs(10),
            read: Duration::from_secs(60),
        };
        let mut watched = Watched::new(near, Framing::new(4096), times);
        // Slow is fine, as long as something is taken.
        let slow = tokio::spawn(async move {
            let mut taken = [0; 8];
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_secs(50)).await;
                far.read_exact(&mut taken).await.expect("there");
            }
            far
        });
        watched.write_all(&[0; 40]).await.expect("taken");
        let far = slow.await.expect("no panic");
        let error = watched.write_all(&[0; 40]).await.expect_err("stalled");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(far);
    }
}
