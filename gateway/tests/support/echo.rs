//! An MCP server that remembers what it was sent and answers what it is told to.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    response::Response,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use tokio::sync::mpsc;

use super::place::Place;

/// One request that came through.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// See the module.
pub struct Echo {
    pub origin: String,
    shared: Arc<Shared>,
    _runtime: tokio::runtime::Runtime,
}

/// Status, type and body.
type Scripted = (u16, &'static str, String);

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<Seen>>,
    /// What is answered next, in this order, whatever is asked.
    script: Mutex<VecDeque<Scripted>>,
    /// Streams that are open now.
    streams: AtomicUsize,
    /// What the next events are sent by.
    senders: Mutex<Vec<mpsc::UnboundedSender<Bytes>>>,
}

/// A stream that knows when it is let go.
struct Open(Arc<Shared>, mpsc::UnboundedReceiver<Bytes>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::SeqCst);
    }
}

impl http_body::Body for Open {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        self.1
            .poll_recv(cx)
            .map(|bytes| bytes.map(|bytes| Ok(http_body::Frame::data(bytes))))
    }
}

impl Echo {
    pub fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let place = Place::take();
        let origin = place.origin.clone();
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        Self {
            origin,
            shared,
            _runtime: place.serve(router),
        }
    }

    /// What came since the last time this was asked.
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.shared.seen.lock().expect("no panic before"))
    }

    /// Says what the next request without a wish is answered.
    pub fn answers(&self, status: u16, kind: &'static str, body: &str) {
        let mut script = self.shared.script.lock().expect("no panic before");
        script.push_back((status, kind, body.to_owned()));
    }

    /// Streams that are open now.
    pub fn streams(&self) -> usize {
        self.shared.streams.load(Ordering::SeqCst)
    }

    /// Sends bytes on every open stream.
    pub fn send(&self, bytes: &str) {
        for sender in &*self.shared.senders.lock().expect("no panic before") {
            let _ = sender.send(Bytes::copy_from_slice(bytes.as_bytes()));
        }
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let want = headers
        .get("mcp-param-want")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    // What tells one answer from another: the caller's own mark, and who called.
    let mark = ["mcp-param-mark", "x-vestibule-user"]
        .map(|name| headers.get(name).and_then(|value| value.to_str().ok()))
        .map(|value| value.unwrap_or_default().to_owned())
        .join(" ");
    shared.seen.lock().expect("no panic before").push(Seen {
        method: method.to_string(),
        target: uri.to_string(),
        headers,
        body: body.to_vec(),
    });
    let mut response = Response::new(Body::from(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#));
    let mut set = |name: &'static str, value: &'static str| {
        response
            .headers_mut()
            .append(name, HeaderValue::from_static(value));
    };
    set("content-type", "application/json");
    match want.as_str() {
        "hostile" => {
            set("set-cookie", "__Host-vestibule_form_0=evil; Path=/; Secure");
            set(
                "www-authenticate",
                "Bearer resource_metadata=\"https://evil.example/\"",
            );
            set("access-control-allow-origin", "*");
            set("access-control-allow-credentials", "true");
            set("alt-svc", "h3=\":443\"");
            set("clear-site-data", "\"*\"");
            set("server", "evil/1.0");
            set("content-security-policy", "default-src *");
            set("location", "https://evil.example/");
        }
        "401" => {
            set(
                "www-authenticate",
                "Bearer resource_metadata=\"https://evil.example/\"",
            );
            *response.status_mut() = StatusCode::UNAUTHORIZED;
        }
        "307" => {
            set("location", "http://169.254.169.254/");
            *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
        }
        "html" => {
            response
                .headers_mut()
                .insert("content-type", HeaderValue::from_static("text/html"));
            *response.body_mut() = Body::from("<script>alert(1)</script>");
        }
        "untyped" => {
            response.headers_mut().remove("content-type");
            *response.body_mut() = Body::from("<script>alert(1)</script>");
        }
        "400" => {
            *response.status_mut() = StatusCode::BAD_REQUEST;
            *response.body_mut() =
                Body::from(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":"x"}}"#);
        }
        "mark" => {
            // Others overtake it.
            tokio::time::sleep(std::time::Duration::from_millis(mark.len() as u64 % 7)).await;
            *response.body_mut() =
                Body::from(format!(r#"{{"jsonrpc":"2.0","id":1,"result":"{mark}"}}"#));
        }
        "gzip" => {
            response
                .headers_mut()
                .insert("content-encoding", HeaderValue::from_static("gzip"));
        }
        "upgrade" => {
            set("upgrade", "websocket");
            set("connection", "upgrade");
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        }
        "202" => {
            *response.status_mut() = StatusCode::ACCEPTED;
            response.headers_mut().remove("content-type");
            *response.body_mut() = Body::empty();
        }
        "session" => set("mcp-session-id", "1"),
        "stream" => {
            let (send, receive) = mpsc::unbounded_channel();
            shared.senders.lock().expect("no panic before").push(send);
            shared.streams.fetch_add(1, Ordering::SeqCst);
            response.headers_mut().insert(
                "content-type",
                HeaderValue::from_static("text/event-stream"),
            );
            *response.body_mut() = Body::new(Open(Arc::clone(&shared), receive));
        }
        "" => {
            let next = shared.script.lock().expect("no panic before").pop_front();
            if let Some((status, kind, body)) = next {
                *response.status_mut() = StatusCode::from_u16(status).expect("a status");
                response
                    .headers_mut()
                    .insert("content-type", HeaderValue::from_static(kind));
                *response.body_mut() = Body::from(body);
            }
        }
        _ => {}
    }
    response
}
