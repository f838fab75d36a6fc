//! Sends a permitted request to its server, and waits for the beginning of the answer.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;

use super::{Proxy, pool::Lease, refuse::Refusal, route::Mount};
use crate::http::coarse;

/// Sends the original bytes. A connection that the server closed while it was idle is
/// replaced once; a request that may have been seen is never sent again (RFC 9110 §9.2.2).
///
/// # Errors
/// [`Refusal::ServerUnreachable`], [`Refusal::ServerSlow`].
pub async fn send(
    proxy: &Proxy,
    mount: &Mount,
    method: Method,
    target: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(Response<Incoming>, Lease), Refusal> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = target;
    *request.headers_mut() = headers;
    let sent = try_connections(mount, request);
    coarse::timeout(proxy.limits.upstream_time, sent)
        .await
        .unwrap_or(Err(Refusal::ServerSlow))
}

async fn try_connections(
    mount: &Mount,
    mut request: Request<Full<Bytes>>,
) -> Result<(Response<Incoming>, Lease), Refusal> {
    loop {
        let (mut lease, fresh) = match mount.pool.reuse() {
            Some(lease) => (lease, false),
            // Rare, and too large to be carried along in every call.
            None => (Box::pin(mount.pool.connect()).await?, true),
        };
        let sent = lease.send(request);
        match lease.driving(sent).await {
            Ok(answer) => return Ok((answer, lease)),
            Err(mut failed) => match failed.take_message() {
                // Given back unsent, so the server cannot have seen it.
                Some(unsent) if !fresh => request = unsent,
                _ => {
                    tracing::warn!(
                        event = "server.unreachable",
                        server = mount.resource.name,
                        error = %failed.error(),
                    );
                    return Err(Refusal::ServerUnreachable);
                }
            },
        }
    }
}
