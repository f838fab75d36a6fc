//! Who calls: one token, opened and judged without asking anybody.

use std::time::Duration;

use http::{Request, header};
use vestibule_core::bearer::{self, Caller};

use super::{Proxy, refuse::Refusal, route::Mount};

/// How far a token's times may be off, between replicas whose clocks differ.
pub const LEEWAY: Duration = Duration::from_secs(30);

/// The caller of a request; nobody on a server that needs no token.
///
/// # Errors
/// [`Refusal::Bearer`], whose answer says where to log in.
pub fn judge<B>(
    proxy: &Proxy,
    mount: &Mount,
    request: &Request<B>,
) -> Result<Option<Caller>, Refusal> {
    if mount.public {
        return Ok(None);
    }
    let values = request
        .headers()
        .get_all(header::AUTHORIZATION)
        .iter()
        .map(http::HeaderValue::as_bytes);
    let token = bearer::find(values, request.uri().query()).map_err(Refusal::Bearer)?;
    let keys = proxy.office.keys.load();
    let revoked = proxy.revocations.now();
    bearer::judge(
        token,
        &mount.resource.uri,
        &keys.access,
        &**revoked,
        LEEWAY,
        proxy.office.world.now(),
    )
    .map(Some)
    .map_err(Refusal::Bearer)
}
