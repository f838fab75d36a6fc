//! One thread's connections to one server. They never change threads, so there is no lock.

use std::{cell::RefCell, collections::VecDeque, rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::refuse::Refusal;

/// Idle connections kept to a server, for each thread.
const IDLE_MAX: usize = 256;

/// How long connecting may take.
const CONNECT_TIME: Duration = Duration::from_secs(5);

type Sender = SendRequest<Full<Bytes>>;

/// See the module.
pub struct Pool {
    address: String,
    tls: Option<(TlsConnector, rustls::pki_types::ServerName<'static>)>,
    idle: RefCell<VecDeque<Sender>>,
}

/// A connection in use. Given back when its answer has ended; otherwise it closes, and with
/// it whatever the server was still doing for us.
pub struct Lease {
    sender: Option<Sender>,
    pool: Rc<Pool>,
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
            let sender = self.idle.borrow_mut().pop_back()?;
            if sender.is_ready() {
                return Some(Lease {
                    sender: Some(sender),
                    pool: Rc::clone(self),
                });
            }
        }
    }

    /// A new connection.
    ///
    /// # Errors
    /// [`Refusal::ServerUnreachable`].
    pub async fn connect(self: &Rc<Self>) -> Result<Lease, Refusal> {
        let sender = tokio::time::timeout(CONNECT_TIME, self.open())
            .await
            .ok()
            .flatten()
            .ok_or(Refusal::ServerUnreachable)?;
        Ok(Lease {
            sender: Some(sender),
            pool: Rc::clone(self),
        })
    }

    async fn open(&self) -> Option<Sender> {
        let stream = TcpStream::connect(&self.address).await.ok()?;
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => self.speak(TokioIo::new(stream)).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await.ok()?;
                self.speak(TokioIo::new(stream)).await
            }
        }
    }

    async fn speak<T>(&self, io: T) -> Option<Sender>
    where
        T: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
    {
        let (sender, connection) = http1::handshake(io).await.ok()?;
        tokio::task::spawn_local(async move {
            // How a connection ends shows in the answer that it carried.
            let _ = connection.await;
        });
        Some(sender)
    }
}

impl Lease {
    /// The connection.
    pub fn sender(&mut self) -> Option<&mut Sender> {
        self.sender.as_mut()
    }

    /// Its answer has ended; the next request may have it.
    pub fn give_back(mut self) {
        if let Some(sender) = self.sender.take() {
            let mut idle = self.pool.idle.borrow_mut();
            if idle.len() < IDLE_MAX {
                idle.push_back(sender);
            }
        }
    }
}
