//! The answer's body on its way to the client: each chunk as it comes.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use tokio::{sync::watch, time::Instant};
use vestibule_core::{
    access_token::AccessToken,
    bearer::{self, Caller},
    event_stream::KEEP_ALIVE,
    time::Timestamp,
};

use super::{
    Proxy,
    alive::{Alive, Silence},
    edit::{Cut, EDITED_MAX, Edit, StreamEdit},
    gathered::Gathered,
    guard::LEEWAY,
    pool::Lease,
    refuse::Refusal,
};
use crate::{
    http::{BoxError, held::Place},
    office::Office,
    revocation::Revocations,
};

/// The body of an answer on a data thread, and the caller's place if it is held until this
/// was sent.
pub struct AnswerBody(Inner, Option<Place>);

enum Inner {
    Full(Full<Bytes>),
    Page(axum::body::Body),
    Relayed(Box<Relayed>),
}

struct Relayed {
    body: Incoming,
    /// The connection that the answer comes on; dropped with it if the client goes away,
    /// which is how the server hears of that (PX-11).
    lease: Option<Lease>,
    /// Given back with it.
    place: Option<Place>,
    /// What an answer has that goes on until somebody ends it.
    stream: Option<Stream>,
    /// Set if the length that the server said is not the length that is sent.
    any_length: bool,
    /// How often this was asked for more, up to [`WATCHED`].
    asked: u8,
    /// How it ended, if it did; what came before that is still sent.
    end: Option<End>,
}

enum End {
    Quiet,
    Broken(BoxError),
}

/// Bytes of chunks that are there together; from here on they are sent before more is asked
/// for.
const GATHER: usize = 64 * 1024;
/// Chunks that are looked at before others get their turn.
const TURNS: usize = 64;
/// From this turn on a stream is watched; before, it is only looked at, which needs no timer.
/// Most streams are over by then.
const WATCHED: u8 = 3;

struct Stream {
    over: Over,
    alive: Alive,
    edit: Option<StreamEdit>,
    server: String,
}

/// An answer of which the head was read.
pub struct Answer {
    /// What is still to come.
    pub body: Incoming,
    /// Where it comes from.
    pub lease: Lease,
    /// The caller's place, until it is over.
    pub place: Place,
    /// Whether it goes on until somebody ends it.
    pub is_stream: bool,
}

impl AnswerBody {
    /// Nothing.
    pub fn empty() -> Self {
        Self(Inner::Full(Full::default()), None)
    }

    /// Bytes that are at hand.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self(Inner::Full(Full::new(bytes.into())), None)
    }

    /// The body of a page.
    pub fn page(body: axum::body::Body) -> Self {
        Self(Inner::Page(body), None)
    }
}

/// Relays an answer. A stream is watched as long as it lasts; what must be edited is, and
/// what is no stream is read whole for that.
///
/// # Errors
/// [`Refusal::ServerAnswer`] for what cannot be read and must be.
pub async fn start(
    proxy: &Proxy,
    answer: Answer,
    caller: Option<&Caller>,
    edit: Option<Edit>,
    server: &str,
) -> Result<AnswerBody, Refusal> {
    let Answer {
        body,
        lease,
        place,
        is_stream,
    } = answer;
    if body.is_end_stream() {
        lease.give_back();
        return Ok(AnswerBody::empty());
    }
    if let Some(edit) = edit.as_ref().filter(|_| !is_stream) {
        // Boxed, as what is rare and large: a call carries its future along.
        let read = Box::pin(whole(body, lease, edit, server));
        let mut whole = tokio::time::timeout(proxy.limits.upstream_time, read)
            .await
            .map_err(|_| Refusal::ServerSlow)??;
        whole.1 = Some(place);
        return Ok(whole);
    }
    let any_length = is_stream && (edit.is_some() || body.size_hint().exact().is_none());
    let stream = is_stream.then(|| {
        let watch = Watch {
            office: Arc::clone(&proxy.office),
            revocations: Arc::clone(&proxy.revocations),
            token: caller.map(|caller| Arc::clone(caller.token())),
            last: Instant::now() + proxy.limits.stream_total,
            stopped: proxy.stopped.clone(),
        };
        Stream {
            over: Over::Later(Some(watch)),
            alive: Alive::new(proxy.limits.keep_alive, proxy.limits.stream_idle),
            edit: edit.map(Edit::stream),
            server: server.to_owned(),
        }
    });
    let relayed = Relayed {
        body,
        lease: Some(lease),
        place: Some(place),
        stream,
        any_length,
        asked: 0,
        end: None,
    };
    Ok(AnswerBody(Inner::Relayed(Box::new(relayed)), None))
}

async fn whole(
    body: Incoming,
    mut lease: Lease,
    edit: &Edit,
    server: &str,
) -> Result<AnswerBody, Refusal> {
    let refuse = |error: &dyn std::fmt::Display| {
        tracing::warn!(event = "server.answer_refused", server, %error);
        Refusal::ServerAnswer
    };
    let read = pin!(Limited::new(body, EDITED_MAX).collect());
    let read = lease.driving(read).await;
    let bytes = read.map_err(|error| refuse(&error))?.to_bytes();
    lease.give_back();
    Ok(
        match edit.message(&bytes).map_err(|error| refuse(&error))? {
            Some(edited) => AnswerBody::full(edited),
            None => AnswerBody::full(bytes),
        },
    )
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Inner::Full(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|never| match never {}),
            Inner::Page(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Inner::Relayed(relayed) => relayed.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Full(body) => body.is_end_stream(),
            Inner::Page(body) => body.is_end_stream(),
            Inner::Relayed(relayed) => relayed.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Full(body) => body.size_hint(),
            Inner::Page(body) => body.size_hint(),
            Inner::Relayed(relayed) if relayed.any_length => SizeHint::default(),
            Inner::Relayed(relayed) => relayed.body.size_hint(),
        }
    }
}

impl Relayed {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        // Before anything else is sent: a stream that is never silent must end too.
        self.asked = self.asked.saturating_add(1).min(WATCHED);
        let over = if self.asked == WATCHED {
            self.poll_over(cx).is_ready()
        } else {
            // The server may have taken its time since the guard judged.
            let stream = self.stream.as_ref();
            stream.is_some_and(|stream| stream.over.is_over_now())
        };
        if over {
            self.cut(End::Quiet);
        }
        let mut gathered = Gathered::default();
        let mut turns = 0;
        while self.end.is_none() && gathered.len() < GATHER {
            turns += 1;
            if turns > TURNS {
                // Others on this thread come first.
                if gathered.is_empty() {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                break;
            }
            let Poll::Ready(chunk) = self.poll_chunk(cx) else {
                if !gathered.is_empty() {
                    break;
                }
                match self.poll_silence(cx) {
                    Poll::Ready(Silence::Comment) => gathered.add(Bytes::from_static(KEEP_ALIVE)),
                    // Ends like any other stream; the client asks again and hears why.
                    Poll::Ready(Silence::End) => self.cut(End::Quiet),
                    Poll::Pending => return Poll::Pending,
                }
                continue;
            };
            let data = match chunk {
                Some(Ok(data)) => data,
                Some(Err(error)) => {
                    self.cut(End::Broken(error.into()));
                    continue;
                }
                None => {
                    self.ended();
                    continue;
                }
            };
            let passed = match &mut self.stream {
                Some(stream) => stream.pass(data),
                None => Ok(data),
            };
            // What has a length is sent on as it is; only events are small and many.
            let alone = self.stream.is_none();
            // A body of known length is not asked again after its last byte.
            if self.body.is_end_stream() {
                self.ended();
            }
            match passed {
                Ok(data) => gathered.add(data),
                Err(_) => self.cut(End::Quiet),
            }
            if alone && !gathered.is_empty() {
                break;
            }
        }
        if !gathered.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(gathered.into_bytes()))));
        }
        Poll::Ready(match self.end.replace(End::Quiet) {
            Some(End::Broken(error)) => Some(Err(error)),
            Some(End::Quiet) | None => None,
        })
    }

    /// The next chunk of the server's. Its connection is moved on only when nothing is at
    /// hand.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, hyper::Error>>> {
        let mut polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_pending()
            && let Some(lease) = &mut self.lease
        {
            lease.drive(cx);
            polled = Pin::new(&mut self.body).poll_frame(cx);
        }
        // Trailers are between us and the server.
        polled.map(|frame| match frame? {
            Ok(frame) => frame.into_data().ok().map(Ok),
            Err(error) => Some(Err(error)),
        })
    }

    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.stream {
            Some(stream) => stream.over.poll(cx),
            None => Poll::Pending,
        }
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Silence> {
        if self.asked < WATCHED && self.stream.is_some() {
            // What came is on its way to the client before timers are set for what may come.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.poll_over(cx).is_ready() {
            return Poll::Ready(Silence::End);
        }
        let Some(stream) = &mut self.stream else {
            return Poll::Pending;
        };
        // Nothing is added to what has a length.
        if self.any_length {
            stream.alive.poll(cx)
        } else {
            Poll::Pending
        }
    }

    /// Both sides hear that it is over.
    fn cut(&mut self, end: End) {
        self.end = Some(end);
        self.stream = None;
        self.lease = None;
        self.place = None;
    }

    /// It came to its end, and the connection can serve again.
    fn ended(&mut self) {
        self.end = Some(End::Quiet);
        self.stream = None;
        self.place = None;
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}

impl Stream {
    fn pass(&mut self, data: Bytes) -> Result<Bytes, Cut> {
        self.alive.heard();
        let data = match &mut self.edit {
            Some(edit) => edit.pass(&data).map(Bytes::from).inspect_err(|error| {
                let server = self.server.as_str();
                tracing::warn!(event = "server.stream_cut", server, %error);
            })?,
            None => data,
        };
        if !data.is_empty() {
            self.alive.said(&data);
        }
        Ok(data)
    }
}

/// Ends when the stream must: on expiry, revocation, its limit, or our own end. Nothing is
/// watched before it is asked for, at the turn [`WATCHED`].
enum Over {
    Later(Option<Watch>),
    Watched(Pin<Box<dyn Future<Output = ()>>>),
}

impl Over {
    /// Whether it must end at this moment; nobody is woken later.
    fn is_over_now(&self) -> bool {
        match self {
            Self::Later(Some(watch)) => watch.is_over_now(),
            Self::Later(None) | Self::Watched(_) => false,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Self::Later(watch) = self
            && let Some(watch) = watch.take()
        {
            // Whatever else the task does in a turn, this is looked at.
            *self = Self::Watched(Box::pin(tokio::task::unconstrained(watch.until_over())));
        }
        match self {
            Self::Watched(over) => over.as_mut().poll(cx),
            Self::Later(_) => Poll::Pending,
        }
    }
}

/// What can end a stream that neither side ends.
struct Watch {
    office: Arc<Office>,
    revocations: Arc<Revocations>,
    token: Option<Arc<AccessToken>>,
    /// When it ends in any case.
    last: Instant,
    stopped: watch::Receiver<bool>,
}

impl Watch {
    fn is_over_now(&self) -> bool {
        let revoked = self
            .token
            .as_ref()
            .is_some_and(|token| self.is_revoked(token));
        revoked || *self.stopped.borrow() || Instant::now() >= self.last
    }

    async fn until_over(self) {
        let mut stopped = self.stopped.clone();
        let ended = async {
            match &self.token {
                Some(token) => self.until_ended(token).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = tokio::time::sleep_until(self.last) => {}
            () = ended => {}
            // The client resumes on whoever takes over.
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    }

    /// A stream is judged again by its grant when its token ends: it goes on while the grant
    /// lives and got a newer token (RS-12).
    async fn until_ended(&self, token: &AccessToken) {
        let mut changed = self.revocations.watch();
        // What ended between the guard and this moment wakes nobody any more.
        if self.is_revoked(token) {
            return;
        }
        let mut until = token.expires;
        loop {
            let left = until.plus(LEEWAY).since(self.office.world.now());
            tokio::select! {
                woken = changed.changed() => {
                    if woken.is_err() || self.is_revoked(token) {
                        return;
                    }
                }
                () = tokio::time::sleep(left) => match self.newer_end(token).await {
                    Some(later) if later > until => until = later,
                    _ => return,
                },
            }
        }
    }

    fn is_revoked(&self, token: &AccessToken) -> bool {
        let revoked = self.revocations.now();
        // Its own expiry does not matter here, only whether it was taken back.
        let now = token.issued;
        bearer::judge_opened(token, &**revoked, LEEWAY, now).is_err()
    }

    async fn newer_end(&self, token: &AccessToken) -> Option<Timestamp> {
        let found = self.office.store.grant(token.grant).await.ok()??;
        (!found.facts.ended).then_some(found.access_until)
    }
}
