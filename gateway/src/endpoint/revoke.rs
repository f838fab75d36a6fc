//! `POST /revoke` (RFC 7009).

use std::sync::Arc;

use axum::{body::Body, extract::State, response::Response};
use http::{HeaderMap, StatusCode};
use serde_json::json;
use vestibule_core::{
    WireError,
    client_auth::AuthenticatedClient,
    flow::Step,
    params::Params,
    revoke::{self, Named},
    secret::MacKey,
};

use super::{answer, token::authenticate_client};
use crate::{
    office::Office,
    store::{EndedWhy, StoreError, secret_place},
};

/// See the module. Whatever the token was, the answer is the same: 200.
pub async fn post(State(office): State<Arc<Office>>, headers: HeaderMap, body: Body) -> Response {
    let text = match answer::form(&headers, body, office.body_max).await {
        Ok(text) => text,
        Err(error) => return answer::error(error.wire()),
    };
    let Ok(params) = Params::parse(&text) else {
        let why = "the body is not properly encoded";
        return answer::error(WireError::new(400, "invalid_request", why));
    };
    let token = match revoke::token(&params) {
        Ok(token) => token,
        Err(refused) => return answer::error(refused.wire()),
    };
    let client = match authenticate_client(&office, &headers, &params).await {
        Ok(client) => client,
        Err(Ok(refused)) => return answer::not_authenticated(refused),
        Err(Err(wire)) => return answer::error(wire),
    };
    let named = revoke::named(&token, &office.keys.load().access);
    match end(&office, &client, named).await {
        Ok(()) => answer::json(StatusCode::OK, &json!({})),
        Err(error) => answer::store_failed(&error),
    }
}

async fn end(
    office: &Office,
    client: &AuthenticatedClient,
    named: Named,
) -> Result<(), StoreError> {
    let now = office.world.now();
    match named {
        Named::Nothing => {}
        Named::Access(token) => {
            if revoke::owns(client, &token) {
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
            // Another client's token is left alone, and nobody learns whether it was one.
            if authentic
                && found.facts.client_id == client.client().id
                && office
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
