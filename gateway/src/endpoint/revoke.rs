//! `POST /revoke` (RFC 7009).

use std::{net::SocketAddr, sync::Arc};

use axum::{
    body::Body,
    extract::{ConnectInfo, State},
    response::Response,
};
use http::{HeaderMap, StatusCode};
use serde_json::json;
use vestibule_core::{
    WireError,
    bearer::Revocations as _,
    client_auth::AuthenticatedClient,
    flow::Step,
    revoke::{self, Named},
    secret::MacKey,
};

use super::{
    answer,
    token::{self, Failure},
};
use crate::{
    keys::AccessKeys,
    office::{Office, Purpose},
    store::{EndedWhy, secret_place},
};

/// See the module. Of a token that is unknown or ended nobody hears more than of one that was
/// good: 200. Another client's is left alone, and that is told (RFC 7009 §2.1).
pub async fn post(
    State(office): State<Arc<Office>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match revoke(&office, peer, &headers, body).await {
        Ok(()) => answer::json(StatusCode::OK, &json!({})),
        Err(failure) => failure.response(&office),
    }
}

async fn revoke(
    office: &Office,
    peer: SocketAddr,
    headers: &HeaderMap,
    body: Body,
) -> Result<(), Failure> {
    let text = token::form(office, headers, body).await?;
    let params = token::parameters(&text)?;
    let named = revoke::token(&params).map_err(|refused| Failure::Wire(refused.wire()))?;
    let client = token::authenticate(office, peer, headers, &params, Purpose::Token).await?;
    let keys = office.keys.load_full();
    let opens = AccessKeys {
        keys: &keys,
        issuer: &office.issuer,
    };
    end(office, &client, revoke::named(&named, &opens)).await
}

async fn end(office: &Office, client: &AuthenticatedClient, named: Named) -> Result<(), Failure> {
    let now = office.world.now();
    match named {
        Named::Nothing => {}
        Named::Access(token) => {
            if !revoke::owns(client, &token) {
                return Err(another_client());
            }
            // What has ended already is not written down again.
            let ended = office.revocations.now().token_ended(&token.id);
            if !ended && now < token.expires {
                office.store.end_token(token.id, token.expires).await?;
            }
        }
        Named::Refresh(token) => {
            let Some(found) = office.store.grant(token.grant()).await? else {
                return Ok(());
            };
            let keys = office.keys.load_full();
            let secret: Option<[u8; 32]> = keys
                .open_at_rest(&secret_place(token.grant()), found.secret.clone())
                .and_then(|plain| plain.as_slice().try_into().ok());
            let authentic = secret.is_some_and(|secret| {
                token.is_authentic(&MacKey::new(&secret), office.issuer.text())
            });
            if !authentic {
                return Ok(());
            }
            if found.facts.client_id != client.client().id {
                return Err(another_client());
            }
            if office
                .store
                .end_grant(token.grant(), EndedWhy::Revoked, now)
                .await?
            {
                office.flows.record(found.flow, Step::Revoked);
            }
        }
    }
    Ok(())
}

fn another_client() -> Failure {
    Failure::Wire(WireError::new(
        400,
        "invalid_request",
        "the token was issued to another client",
    ))
}
