//! A web site over TLS that publishes documents of clients.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use rcgen::{CertificateParams, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned, pki_types::PrivateKeyDer};

/// Ends with the test's process, like everything that waits for connections.
pub struct Site {
    /// `https://localhost:PORT`.
    pub origin: String,
    /// The certificate that vouches for itself, as PEM.
    pub certificate: String,
    pages: Pages,
    asked: Arc<AtomicUsize>,
}

/// Path, status and body.
type Pages = Arc<Mutex<Vec<(String, u16, String)>>>;

impl Site {
    pub fn start() -> Self {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate");
        let chain = vec![certificate.der().clone()];
        let private = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .expect("they match");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let pages = Pages::default();
        let asked = Arc::new(AtomicUsize::new(0));
        let (config, served, count) = (Arc::new(config), Arc::clone(&pages), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Ok(connection) = ServerConnection::new(Arc::clone(&config)) else {
                    continue;
                };
                count.fetch_add(1, Ordering::SeqCst);
                let _ = answer(StreamOwned::new(connection, stream), &served);
            }
        });
        Self {
            origin: format!("https://localhost:{port}"),
            certificate: certificate.pem(),
            pages,
            asked,
        }
    }

    /// How often somebody came.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Publishes at `path`, in place of what was there.
    pub fn publish(&self, path: &str, status: u16, body: &str) {
        let mut pages = self.pages.lock().expect("no panic before");
        pages.retain(|(at, ..)| at != path);
        pages.push((path.to_owned(), status, body.to_owned()));
    }
}

fn answer(
    mut stream: StreamOwned<ServerConnection, std::net::TcpStream>,
    pages: &Pages,
) -> std::io::Result<()> {
    let mut line = String::new();
    {
        let mut reader = BufReader::new(&mut stream);
        reader.read_line(&mut line)?;
        let mut header = String::new();
        while reader.read_line(&mut header)? > 2 {
            header.clear();
        }
    }
    let path = line.split(' ').nth(1).unwrap_or_default();
    let found = pages
        .lock()
        .expect("no panic before")
        .iter()
        .find(|(at, ..)| at == path)
        .cloned();
    let (_, status, body) = found.unwrap_or_else(|| (String::new(), 404, "{}".to_owned()));
    write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    )?;
    stream.conn.send_close_notify();
    stream.flush()
}
