//! What a proxy on hyper costs that does nothing but proxy: one single-threaded runtime per
//! core, each with its own listening socket and its own connections to the server.
//!
//! `bench-floor PORT UPSTREAM-PORT THREADS`

use std::{
    cell::RefCell,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use hyper::{
    Request, Response,
    body::{Body, Frame, Incoming, SizeHint},
    client::conn::http1::{self as client, SendRequest},
    server::conn::http1 as server,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use socket2::{Domain, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    task::LocalSet,
};

type Connections = Rc<RefCell<Vec<SendRequest<Incoming>>>>;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().context("PORT UPSTREAM-PORT THREADS");
    let port: u16 = next()?.parse()?;
    let upstream: u16 = next()?.parse()?;
    let threads: usize = next()?.parse()?;
    let handles: Vec<_> = (0..threads)
        .map(|_| std::thread::spawn(move || run(port, upstream)))
        .collect();
    for handle in handles {
        handle
            .join()
            .map_err(|_| anyhow::anyhow!("a thread broke"))??;
    }
    Ok(())
}

fn run(port: u16, upstream: u16) -> Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.listen(1024)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, async move {
        let listener = TcpListener::from_std(socket.into())?;
        let connections = Connections::default();
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let connections = Rc::clone(&connections);
            tokio::task::spawn_local(async move {
                let service =
                    service_fn(move |request| pass(request, upstream, Rc::clone(&connections)));
                let served = server::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
                drop(served);
            });
        }
    })
}

async fn pass(
    request: Request<Incoming>,
    upstream: u16,
    connections: Connections,
) -> Result<Response<Given>> {
    let idle = connections.borrow_mut().pop();
    let mut sender = match idle {
        Some(sender) if sender.is_ready() => sender,
        _ => {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream)).await?;
            stream.set_nodelay(true)?;
            let (sender, connection) = client::handshake(TokioIo::new(stream)).await?;
            tokio::task::spawn_local(connection);
            sender
        }
    };
    let answer = sender.send_request(request).await?;
    Ok(answer.map(|body| Given {
        body,
        back: Some((sender, connections)),
    }))
}

/// An answer whose connection is given back at its end.
struct Given {
    body: Incoming,
    back: Option<(SendRequest<Incoming>, Connections)>,
}

impl Body for Given {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let over = matches!(polled, Poll::Ready(None)) || self.body.is_end_stream();
        if over && let Some((sender, connections)) = self.back.take() {
            connections.borrow_mut().push(sender);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
