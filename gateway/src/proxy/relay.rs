//! The answer's body on its way to the client: each chunk as it comes.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use vestibule_core::{
    access_token::AccessToken,
    bearer::{self, Caller},
    time::Timestamp,
};

use super::{Proxy, guard::LEEWAY, pool::Lease};
use crate::{http::BoxError, office::Office, revocation::Revocations};

/// The body of an answer on a data thread.
pub struct AnswerBody(Inner);

enum Inner {
    Full(Full<Bytes>),
    Page(axum::body::Body),
    Relayed(Relayed),
}

struct Relayed {
    body: Incoming,
    /// The connection that the answer comes on; dropped with it if the client goes away,
    /// which is how the server hears of that (PX-11).
    lease: Option<Lease>,
    /// Ends when the stream must: on expiry, revocation, or its limit.
    over: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl AnswerBody {
    /// Nothing.
    pub fn empty() -> Self {
        Self(Inner::Full(Full::default()))
    }

    /// Bytes that are at hand.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self(Inner::Full(Full::new(bytes.into())))
    }

    /// The body of a page.
    pub fn page(body: axum::body::Body) -> Self {
        Self(Inner::Page(body))
    }
}

/// Relays `body`, which comes on `lease`. A stream is watched as long as it lasts.
pub fn start(
    proxy: &Proxy,
    body: Incoming,
    lease: Lease,
    streams: bool,
    caller: Option<&Caller>,
) -> AnswerBody {
    if body.is_end_stream() {
        lease.give_back();
        return AnswerBody::empty();
    }
    let over: Option<Pin<Box<dyn Future<Output = ()>>>> = streams.then(|| {
        let watch = Watch {
            office: Arc::clone(&proxy.office),
            revocations: Arc::clone(&proxy.revocations),
            token: caller.map(|caller| caller.token().clone()),
            total: proxy.limits.stream_total,
        };
        Box::pin(watch.until_over()) as _
    });
    AnswerBody(Inner::Relayed(Relayed {
        body,
        lease: Some(lease),
        over,
    }))
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
            Inner::Relayed(relayed) => relayed.body.size_hint(),
        }
    }
}

impl Relayed {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(over) = &mut self.over
            && over.as_mut().poll(cx).is_ready()
        {
            // Ends like any other stream; the client asks again and hears why.
            self.over = None;
            self.lease = None;
            return Poll::Ready(None);
        }
        let frame = match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(frame) => frame,
        };
        match frame {
            Some(Ok(frame)) => {
                // A body of known length is not asked again after its last byte.
                if self.body.is_end_stream() {
                    self.ended();
                }
                // Trailers are between us and the server.
                Poll::Ready(frame.is_data().then_some(Ok(frame)))
            }
            Some(Err(error)) => {
                self.lease = None;
                Poll::Ready(Some(Err(error.into())))
            }
            None => {
                self.ended();
                Poll::Ready(None)
            }
        }
    }

    fn ended(&mut self) {
        self.over = None;
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}

/// What can end a stream that neither side ends.
struct Watch {
    office: Arc<Office>,
    revocations: Arc<Revocations>,
    token: Option<AccessToken>,
    total: Duration,
}

impl Watch {
    async fn until_over(self) {
        let total = tokio::time::sleep(self.total);
        let Some(token) = &self.token else {
            return total.await;
        };
        tokio::select! {
            () = total => {}
            () = self.until_ended(token) => {}
        }
    }

    /// A stream is judged again by its grant when its token ends: it goes on while the grant
    /// lives and got a newer token (RS-12).
    async fn until_ended(&self, token: &AccessToken) {
        let mut changed = self.revocations.watch();
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
