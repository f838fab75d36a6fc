//! One thread's connections to one server. They never change threads, so there is no lock.
//!
//! Nor has a connection a task of its own: whoever uses it moves it on ([`Lease::driving`]),
//! so that what the server sent and what is made of it happen in one turn, and all chunks
//! that are there already go on together.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body::Body as _;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::Instant};
use tokio_rustls::TlsConnector;

use super::refuse::Refusal;

/// Idle connections kept to a server, for each thread.
const IDLE_MAX: usize = 256;

/// How long a connection is kept that nobody needs.
const IDLE_TIME: Duration = Duration::from_secs(90);

/// How often idle connections are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// How long connecting may take.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// Bytes of a request that surely find room on a connection where nothing waits.
const AT_ONCE: u64 = 8 * 1024;

/// How long a server that has answered already may take for the rest of a request.
const REST_TIME: Duration = Duration::from_secs(30);

type Sender = SendRequest<Full<Bytes>>;

/// See the module.
pub struct Pool {
    address: String,
    tls: Option<(TlsConnector, rustls::pki_types::ServerName<'static>)>,
    /// The longest idle one first.
    idle: RefCell<VecDeque<(Link, Instant)>>,
}

/// A connection, and what moves it on until it has ended.
struct Link {
    sender: Sender,
    connection: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl Link {
    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = &mut self.connection
            && connection.as_mut().poll(cx).is_ready()
        {
            // How a connection ends shows in the answer that it carried.
            self.connection = None;
        }
    }

    /// Whether it can take a request: nobody moved it on since it was put aside, so a server
    /// that has closed it meanwhile shows only now.
    fn is_good(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.connection.is_some() && self.sender.is_ready()
    }
}

/// A connection in use. Given back when its answer has ended; otherwise it closes, and with
/// it whatever the server was still doing for us.
pub struct Lease {
    link: Link,
    pool: Rc<Pool>,
    /// Whether the request may not have been written at once.
    large: bool,
}

impl Pool {
    /// A pool for `host:port`, over TLS if a configuration is given.
    ///
    /// # Errors
    /// If the host cannot be named in TLS.
    pub fn new(
        host: &str,
        port: u16,
        tls: Option<Arc<rustls::ClientConfig>>,
    ) -> Result<Self, rustls::pki_types::InvalidDnsNameError> {
        let bare = host.trim_matches(['[', ']']).to_owned();
        let tls = match tls {
            Some(config) => Some((TlsConnector::from(config), bare.try_into()?)),
            None => None,
        };
        Ok(Self {
            address: format!("{host}:{port}"),
            tls,
            idle: RefCell::default(),
        })
    }

    /// A connection that was used before and is ready again.
    pub fn reuse(self: &Rc<Self>) -> Option<Lease> {
        loop {
            // The one that was used last: it is the likeliest to be open still.
            let (mut link, _) = self.idle.borrow_mut().pop_back()?;
            if link.is_good() {
                let pool = Rc::clone(self);
                return Some(Lease {
                    link,
                    pool,
                    large: false,
                });
            }
        }
    }

    /// A new connection.
    ///
    /// # Errors
    /// [`Refusal::ServerUnreachable`].
    pub async fn connect(self: &Rc<Self>) -> Result<Lease, Refusal> {
        let link = tokio::time::timeout(CONNECT_TIME, self.open())
            .await
            .ok()
            .flatten()
            .ok_or(Refusal::ServerUnreachable)?;
        let pool = Rc::clone(self);
        Ok(Lease {
            link,
            pool,
            large: false,
        })
    }

    async fn open(&self) -> Option<Link> {
        let stream = TcpStream::connect(&self.address).await.ok()?;
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => speak(TokioIo::new(stream)).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await.ok()?;
                speak(TokioIo::new(stream)).await
            }
        }
    }

    /// Lets go of connections that ended while nobody used them, or were not used for long.
    fn tidy(&self, now: Instant) {
        self.idle
            .borrow_mut()
            .retain_mut(|(link, since)| now < *since + IDLE_TIME && link.is_good());
    }
}

/// Looks after the idle connections of `pools`, as long as this thread runs.
pub async fn look_after(pools: Vec<Rc<Pool>>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let now = Instant::now();
        for pool in &pools {
            pool.tidy(now);
        }
    }
}

async fn speak<T>(io: T) -> Option<Link>
where
    T: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
{
    let (sender, connection) = http1::handshake(io).await.ok()?;
    Some(Link {
        sender,
        connection: Some(Box::pin(connection.map(drop))),
    })
}

impl Lease {
    /// Begins to send a request; [`Self::driving`] what this returns brings the answer.
    pub fn send(
        &mut self,
        request: http::Request<Full<Bytes>>,
    ) -> impl Future<Output = Sent> + use<> {
        self.large = request.body().size_hint().lower() > AT_ONCE;
        self.link.sender.try_send_request(request)
    }

    /// Moves the connection on, as far as it goes now.
    pub fn drive(&mut self, cx: &mut Context<'_>) {
        self.link.drive(cx);
    }

    /// Waits for something that comes on this connection.
    pub async fn driving<F: Future>(&mut self, mut awaited: Pin<&mut F>) -> F::Output {
        poll_fn(|cx| {
            if let Poll::Ready(done) = awaited.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            self.drive(cx);
            awaited.as_mut().poll(cx)
        })
        .await
    }

    /// Its answer has ended; the next request may have it.
    pub fn give_back(mut self) {
        if self.large && !self.link.is_good() {
            // A server may answer before it has read the whole request; it still gets it.
            if let Some(rest) = self.link.connection.take() {
                tokio::task::spawn_local(tokio::time::timeout(REST_TIME, rest));
            }
            return;
        }
        let mut idle = self.pool.idle.borrow_mut();
        if idle.len() < IDLE_MAX {
            idle.push_back((self.link, Instant::now()));
        }
    }
}

/// The beginning of an answer, or why there is none and whether the request is still here.
pub type Sent = Result<
    http::Response<hyper::body::Incoming>,
    hyper::client::conn::TrySendError<http::Request<Full<Bytes>>>,
>;
