//! The head of each request on its way in: how long it takes, and whether it says the length
//! of its body twice.
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

/// Most of a head that is looked at; the library refuses longer ones itself.
const HEAD_MAX: usize = 256 * 1024;

/// What one connection's heads told.
#[derive(Clone, Default)]
pub struct Framing(Rc<State>);

#[derive(Default)]
struct State {
    /// The head so far; `None` between its end and the end of the answer.
    head: RefCell<Head>,
    doubtful: Cell<bool>,
}

#[derive(Default)]
struct Head {
    ended: bool,
    bytes: Vec<u8>,
}

impl Framing {
    /// Whether the head of the request at hand said its length twice. Asked once for each.
    pub fn take_doubt(&self) -> bool {
        self.0.doubtful.replace(false)
    }

    /// The next bytes begin a head.
    pub fn expect_head(&self) {
        let mut head = self.0.head.borrow_mut();
        head.ended = false;
        head.bytes.clear();
    }

    /// Whether a head has begun and not ended.
    fn is_arriving(&self) -> bool {
        let head = self.0.head.borrow();
        !head.ended && !head.bytes.is_empty()
    }

    fn look(&self, bytes: &[u8]) {
        let mut head = self.0.head.borrow_mut();
        if head.ended || bytes.is_empty() {
            return;
        }
        // Most heads come in one piece and are never copied.
        if head.bytes.is_empty() && ends(bytes) {
            head.ended = true;
            self.note(bytes);
            return;
        }
        // Only what is new and what it may complete: a head sent byte by byte costs no more.
        let from = head.bytes.len().saturating_sub(3);
        head.bytes.extend_from_slice(bytes);
        if ends(&head.bytes[from..]) || head.bytes.len() > HEAD_MAX {
            head.ended = true;
            let whole = std::mem::take(&mut head.bytes);
            self.note(&whole);
        }
    }

    fn note(&self, head: &[u8]) {
        if says_length_twice(head) {
            self.0.doubtful.set(true);
        }
    }
}

fn ends(bytes: &[u8]) -> bool {
    bytes.windows(4).any(|window| window == b"\r\n\r\n") || bytes.windows(2).any(|w| w == b"\n\n")
}

fn says_length_twice(head: &[u8]) -> bool {
    let (mut length, mut coding) = (0, 0);
    for line in head.split(|byte| *byte == b'\n') {
        if matches!(line, b"" | b"\r") {
            break;
        }
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        let name = name.trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            length += 1;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            coding += 1;
        }
    }
    length + coding > 1
}

/// A stream whose heads are looked at and timed.
pub struct Watched<T> {
    inner: T,
    framing: Framing,
    /// How long a head may take from its first byte to its last.
    time: Duration,
    /// Runs while a head arrives in pieces, which is rare.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<T> Watched<T> {
    /// Watches `inner`; a head may take `time`.
    pub fn new(inner: T, framing: Framing, time: Duration) -> Self {
        Self {
            inner,
            framing,
            time,
            timer: None,
        }
    }

    /// Whether a head has taken too long.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.framing.is_arriving() {
            self.timer = None;
            return Poll::Pending;
        }
        let time = self.time;
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
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bytes)
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
    fn t_prx_01_a_length_said_twice_is_seen_however_it_arrives() {
        let head = |lines: &str| format!("POST / HTTP/1.1\r\nhost: a\r\n{lines}\r\n\r\nbody");
        let doubtful = |text: &str, piece: usize| {
            let framing = Framing::default();
            for bytes in text.as_bytes().chunks(piece) {
                framing.look(bytes);
            }
            framing.take_doubt()
        };
        for piece in [1, 7, 4096] {
            assert!(doubtful(
                &head("Content-Length: 4\r\nTransfer-Encoding: chunked"),
                piece
            ));
            assert!(doubtful(
                &head("transfer-encoding: chunked\r\ncontent-length: 4"),
                piece
            ));
            assert!(doubtful(
                &head("content-length: 4\r\ncontent-length: 4"),
                piece
            ));
            assert!(!doubtful(&head("content-length: 4"), piece));
            assert!(!doubtful(
                &head("x-content-length: 4\r\ntransfer-encoding: chunked"),
                piece
            ));
        }
        let framing = Framing::default();
        framing.look(head("content-length: 4").as_bytes());
        framing.look(b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n");
        assert!(!framing.take_doubt(), "a body is no head");
        framing.expect_head();
        framing.look(head("content-length: 4\r\ntransfer-encoding: chunked").as_bytes());
        assert!(framing.take_doubt(), "the next head is looked at again");
        assert!(!framing.take_doubt());
    }
}
