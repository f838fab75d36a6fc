//! Sends a permitted request to its server, and waits for the beginning of the answer.

use std::pin::pin;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;

use super::{pool::Lease, refuse::Refusal, route::Mount};
use crate::{config::Limits, http::coarse};

/// Sends the original bytes. A connection that the server closed while it was idle is
/// replaced once; a request that may have been seen is never sent again (RFC 9110 §9.2.2).
///
/// # Errors
/// [`Refusal::ServerUnreachable`], [`Refusal::ServerSlow`].
pub fn send(
    limits: &Limits,
    mount: &Mount,
    request: Request<Full<Bytes>>,
) -> impl Future<Output = Result<(Response<Incoming>, Lease), Refusal>> {
    coarse::timeout(limits.upstream_time, try_connections(mount, request))
        .map(|sent| sent.unwrap_or(Err(Refusal::ServerSlow)))
}

#[expect(
    clippy::manual_async_fn,
    reason = "one has room for its arguments twice"
)]
fn try_connections(
    mount: &Mount,
    mut request: Request<Full<Bytes>>,
) -> impl Future<Output = Result<(Response<Incoming>, Lease), Refusal>> {
    async move {
        loop {
            let (mut lease, fresh) = match mount.pool.reuse() {
                Some(lease) => (lease, false),
                // Rare, and too large to be carried along in every call.
                None => (Box::pin(mount.pool.connect()).await?, true),
            };
            let sent = {
                let sent = pin!(lease.send(request));
                lease.driving(sent).await
            };
            match sent {
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
}
