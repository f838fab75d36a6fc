//! `POST /introspect` (RFC 7662), for the services that an operator listed.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{ConnectInfo, State},
    response::Response,
};
use http::{HeaderMap, StatusCode};
use vestibule_core::{WireError, access_token::Opens as _, bearer, introspect, revoke};

use super::{
    answer,
    token::{self, Failure},
};
use crate::{keys::AccessKeys, office::Office};

/// See the module.
pub async fn post(
    State(office): State<Arc<Office>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match introspect(&office, peer, &headers, body).await {
        Ok(response) => response,
        Err(failure) => failure.response(&office),
    }
}

async fn introspect(
    office: &Office,
    peer: SocketAddr,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let text = token::form(office, headers, body).await?;
    let params = token::parameters(&text)?;
    let named = revoke::token(&params).map_err(|refused| Failure::Wire(refused.wire()))?;
    let client = token::authenticate(office, peer, headers, &params).await?;
    if !introspect::may_ask(client.client()) {
        let why = "this client may not ask about tokens";
        return Err(Failure::Wire(WireError::new(
            403,
            "unauthorized_client",
            why,
        )));
    }
    let keys = office.keys.load_full();
    let opens = AccessKeys {
        keys: &keys,
        issuer: &office.issuer,
    };
    let revoked = office.revocations.now();
    let now = office.world.now();
    let live = opens
        .open(named.expose())
        .filter(|token| bearer::judge_opened(token, &**revoked, Duration::ZERO, now).is_ok());
    let body = introspect::answer(live.as_ref(), client.client(), &office.issuer);
    Ok(answer::json(StatusCode::OK, &body))
}
