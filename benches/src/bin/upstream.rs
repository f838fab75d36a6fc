//! The MCP server behind every proxy that is measured: it answers as cheaply as hyper can,
//! in the form that the path asks for.
//!
//! | path | answer |
//! |---|---|
//! | `/json` | 420 bytes of JSON |
//! | `/large` | 64 KiB of JSON |
//! | `/sse1`, `/sse10` | an event stream of 1 or 10 events, written at once |
//! | `/spaced` | 10 events, 20 ms apart |
//! | `/hold` | one event, and then nothing |
//! | `/busy` | an event every 200 ms, without end |
//!
//! `bench-upstream PORT`

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, time::interval};

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// 420 bytes.
const ANSWER: &str = concat!(
    r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"#,
    r#""Lisbon: 22 degrees, wind from the north-west at 14 kilometres per hour, clear sky, "#,
    r#"humidity 61 percent, pressure 1017 hectopascal, sunrise 06:12, sunset 20:59, no rain "#,
    r#"expected before Thursday; the next report follows within the hour from the station at "#,
    r#"the harbour, which has stood there since 1854 and is read by hand."}],"isError":false}}"#,
);

const SPACE: Duration = Duration::from_millis(20);
const BUSY: Duration = Duration::from_millis(200);

fn main() -> Result<()> {
    let port = std::env::args().nth(1).context("which port?")?.parse()?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(serve(port))
}

async fn serve(port: u16) -> Result<()> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let served = http1::Builder::new()
                .pipeline_flush(true)
                .serve_connection(TokioIo::new(stream), service_fn(answer))
                .await;
            // A client that goes away is the client's business.
            drop(served);
        });
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    let path = request.uri().path().to_owned();
    request.into_body().collect().await?;
    let body = match path.as_str() {
        "/sse1" => events(1),
        "/sse10" => events(10),
        "/spaced" => StreamBody::new(ticks(SPACE).take(10)).boxed_unsync(),
        "/hold" => StreamBody::new(stream::iter([frame()]).chain(stream::pending())).boxed_unsync(),
        "/busy" => StreamBody::new(ticks(BUSY)).boxed_unsync(),
        "/large" => Full::from(large()).boxed_unsync(),
        _ => Full::from(ANSWER).boxed_unsync(),
    };
    let kind = match path.as_str() {
        "/json" | "/large" => "application/json",
        _ => "text/event-stream",
    };
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

fn large() -> String {
    let text = "x".repeat(64 * 1024 - 80);
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#
    )
}

fn events(count: usize) -> Body {
    StreamBody::new(stream::iter((0..count).map(|_| frame()))).boxed_unsync()
}

fn ticks(
    space: Duration,
) -> impl futures_util::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send {
    stream::unfold(interval(space), |mut interval| async move {
        interval.tick().await;
        Some((frame(), interval))
    })
}

fn frame() -> Result<Frame<Bytes>, Infallible> {
    const EVENT: &str = concat!(
        "event: message\ndata: ",
        r#"{"jsonrpc":"2.0","method":"notifications/progress","#,
        r#""params":{"progressToken":7,"progress":3,"total":10,"message":"three of ten"}}"#,
        "\n\n"
    );
    Ok(Frame::data(Bytes::from_static(EVENT.as_bytes())))
}
