//! Listening, and handing each request to whom it is for.
//!
//! One thread per core, each with a runtime of its own, accepting from a socket of its own
//! (`SO_REUSEPORT`), so that a proxied request never changes threads. Requests for pages and
//! OAuth endpoints go to the office, a runtime beside these: what they began they finish,
//! also when the client goes away.

pub mod arrivals;
pub mod coarse;
pub mod cookie;
pub mod cors;
pub mod head;
pub mod held;
pub mod limit;
pub mod peer;
pub mod seen;

use std::{
    convert::Infallible, future::Future, io, net::SocketAddr, pin::Pin, rc::Rc, sync::Arc,
    task::Poll, thread::JoinHandle, time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{net::TcpListener, runtime::LocalOptions, sync::watch};

use self::{
    coarse::CoarseTimer,
    head::{Framing, Times, Watched},
    held::Held,
    limit::block_of,
};
use crate::config::Limits;

/// Any error of a body; what it says goes to the log only.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What is wrong with a request's head that the HTTP library lets through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Doubt {
    /// Nothing.
    #[default]
    No,
    /// It says its length twice, so that it could be read in two ways.
    LengthTwice,
    /// It is over the limit.
    TooLarge,
}

/// Answers requests on one data thread; made there, and never leaves it.
pub trait Handler: 'static {
    /// What it answers with.
    type Body: http_body::Body<Data = Bytes, Error = BoxError> + 'static;

    /// Answers one request of `peer`.
    fn handle(
        self: Rc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
        framing: Doubt,
    ) -> Pin<Box<dyn Future<Output = Response<Self::Body>>>>;
}

/// The threads that serve.
pub struct Threads {
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Waits until all have ended.
    pub fn join(self) {
        for handle in self.handles {
            let _ = handle.join();
        }
    }
}

/// Binds `address` once for each thread. The first binding decides the port, if it is 0.
///
/// # Errors
/// What the operating system says.
pub fn bind(address: SocketAddr, threads: usize) -> io::Result<Vec<std::net::TcpListener>> {
    let mut address = address;
    if address.port() != 0 {
        // Sockets that share a port would share it with another server too, unasked.
        let alone = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        alone.set_reuse_address(true)?;
        alone.bind(&address.into())?;
    }
    let mut listeners = Vec::with_capacity(threads);
    for _ in 0..threads {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        socket.set_reuse_address(true)?;
        if threads > 1 {
            socket.set_reuse_port(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(1024)?;
        let listener: std::net::TcpListener = socket.into();
        address = listener.local_addr()?;
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Starts a thread for each listener. Addresses in `trusted` bring others and are not counted.
/// `make` builds each thread's handler on that thread.
///
/// # Errors
/// What the operating system says.
pub fn serve<H: Handler>(
    listeners: Vec<std::net::TcpListener>,
    limits: Limits,
    trusted: Vec<IpNet>,
    stop: &watch::Receiver<bool>,
    make: impl Fn() -> H + Send + Sync + 'static,
) -> io::Result<Threads> {
    let make = Arc::new(make);
    let doors = Arc::new(Doors {
        held: Held::new(limits.connections),
        trusted,
    });
    let mut handles = Vec::with_capacity(listeners.len());
    for (number, listener) in listeners.into_iter().enumerate() {
        let make = Arc::clone(&make);
        let doors = Arc::clone(&doors);
        let stop = stop.clone();
        let (told, built) = std::sync::mpsc::sync_channel(1);
        let handle = std::thread::Builder::new()
            .name(format!("serve-{number}"))
            .spawn(move || {
                // It cannot leave its thread, so it is made there.
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build_local(LocalOptions::default());
                let runtime = match runtime {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(told.send(Err(error))),
                };
                let _ = told.send(Ok(()));
                runtime.block_on(async move {
                    tokio::task::spawn_local(coarse::keep());
                    let handler = Rc::new(make());
                    if let Err(error) = accept(listener, handler, limits, &doors, stop).await {
                        tracing::error!(event = "listen.failed", %error);
                    }
                });
            })?;
        built.recv().map_err(io::Error::other)??;
        handles.push(handle);
    }
    Ok(Threads { handles })
}

/// Who comes in.
struct Doors {
    /// Connections of each address block, on all threads.
    held: Arc<Held>,
    /// Networks of proxies of ours.
    trusted: Vec<IpNet>,
}

/// Connections that one thread holds at most; more are closed at once.
const MAX_CONNECTIONS: usize = 10_000;

/// How long running requests may still take once the process is asked to stop.
const DRAIN: Duration = Duration::from_secs(10);

async fn accept<H: Handler>(
    listener: std::net::TcpListener,
    handler: Rc<H>,
    limits: Limits,
    doors: &Doors,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut builder = http1::Builder::new();
    builder
        .timer(CoarseTimer)
        // To the library this is silence and head together; `head` times the latter.
        .header_read_timeout(limits.idle_time)
        .max_buf_size(limits.headers)
        .max_headers(128)
        .keep_alive(true)
        .half_close(false);
    let open = Arc::new(tokio::sync::Semaphore::new(MAX_CONNECTIONS));
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, or a connection that is gone already.
                    tracing::warn!(event = "accept.failed", %error);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            },
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let Ok(permit) = Arc::clone(&open).try_acquire_owned() else {
            continue;
        };
        // Nobody alone may take all of them; our own proxy brings everybody.
        let address = peer.ip().to_canonical();
        let ours = doors.trusted.iter().any(|net| net.contains(&address));
        let place = match doors.held.take(&block_of(address)) {
            place @ Some(_) => place,
            None if ours => None,
            None => continue,
        };
        let _ = stream.set_nodelay(true);
        let handler = Rc::clone(&handler);
        let framing = Framing::new(limits.headers);
        let heads = framing.clone();
        let service = service_fn(move |request| {
            let answer = Rc::clone(&handler).handle(request, peer, heads.take_doubt());
            let heads = heads.clone();
            async move {
                let answer = answer.await;
                heads.answered();
                Ok::<_, Infallible>(answer)
            }
        });
        let times = Times {
            head: limits.header_time,
            read: limits.read_time,
        };
        let stream = Watched::new(stream, framing, times);
        // Boxed: a task that took it in would have room for it twice.
        let mut connection = Box::pin(builder.serve_connection(TokioIo::new(stream), service));
        let (mut stop, asked) = (stop.clone(), stop.clone());
        tokio::task::spawn_local(async move {
            let _permit = (permit, place);
            {
                let mut stopped = std::pin::pin!(stop.wait_for(|stop| *stop));
                let mut listens = false;
                // Being asked to stop wakes this task once, so it is not asked about at each
                // turn of the connection.
                let over = std::future::poll_fn(|cx| {
                    if connection.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(true);
                    }
                    if !listens || asked.has_changed().unwrap_or(true) {
                        listens = true;
                        return stopped.as_mut().poll(cx).map(|_| false);
                    }
                    Poll::Pending
                });
                if over.await {
                    return;
                }
            }
            connection.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(DRAIN, connection).await;
        });
    }
    drop(listener);
    // Whatever still runs gets its time; every task holds one permit.
    let all = u32::try_from(MAX_CONNECTIONS).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(DRAIN, open.acquire_many(all)).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_servers_do_not_share_a_port() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let held = bind(any, 2).expect("a port");
        let address = held[0].local_addr().expect("bound");
        assert_eq!(held[1].local_addr().expect("bound"), address);
        let second = bind(address, 2).expect_err("refused");
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
        drop(held);
        assert_eq!(bind(address, 2).expect("free again").len(), 2);
    }
}
