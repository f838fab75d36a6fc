//! `POST /introspect` (RFC 7662), for the services that an operator listed.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{ConnectInfo, State},
    response::Response,
};
use http::{HeaderMap, StatusCode};
use vestibule_core::{
    WireError,
    access_token::Opens as _,
    bearer,
    id::ClientRef,
    introspect::{self, Live},
    resource::Resource,
    revoke,
};

use super::{
    answer,
    token::{self, Failure},
};
use crate::{
    keys::AccessKeys,
    office::{Office, Purpose},
    store::StoreError,
};

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
    let client = token::authenticate(office, peer, headers, &params, Purpose::Token).await?;
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
        .filter(|token| bearer::judge_opened(token, &**revoked, Duration::ZERO, now).is_ok())
        // Whom a rule denies the server by now is refused there, whatever the token says.
        .filter(|token| {
            let server = office.catalogue.by_uri(&token.resource);
            let admits = |server: &Resource| server.policy.access.admits(&token.groups);
            token.machine || server.is_some_and(admits)
        });
    let (client_id, actor_id) = match &live {
        Some(token) => (
            Some(id_or_reference(office, token.client).await?),
            match token.actor {
                Some(actor) => Some(id_or_reference(office, actor).await?),
                None => None,
            },
        ),
        None => (None, None),
    };
    let live = live.as_ref().zip(client_id.as_deref());
    let live = live.map(|(token, client_id)| Live {
        token,
        client_id,
        actor_id: actor_id.as_deref(),
    });
    let body = introspect::answer(live, client.client(), &office.issuer);
    Ok(answer::json(StatusCode::OK, &body))
}

/// The id of a client of the configuration or the store; for one that left both, the
/// reference that its tokens carry.
async fn id_or_reference(office: &Office, client: ClientRef) -> Result<String, StoreError> {
    let configured = office
        .clients
        .values()
        .find(|known| known.reference() == client);
    if let Some(known) = configured {
        return Ok(known.id.clone());
    }
    let stored = office.store.standing(client).await?;
    Ok(stored.map_or_else(|| client.text(), |(id, _)| id))
}
