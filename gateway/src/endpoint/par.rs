//! `POST /par` (RFC 9126): a request is pushed before a browser is opened.

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
    authorize::{self, Refusal},
    dpop::DpopError,
    id::TicketId,
    par::{LIFE, Pushed},
    secret::Digest,
    token::TokenError,
};

use super::{
    answer,
    token::{self, Failure},
};
use crate::office::{Office, Purpose};

/// See the module.
pub async fn post(
    State(office): State<Arc<Office>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match push(&office, peer, &headers, body).await {
        Ok(response) => response,
        Err(failure) => failure.response(&office),
    }
}

async fn push(
    office: &Office,
    peer: SocketAddr,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let text = token::form(office, headers, body).await?;
    let params = token::parameters(&text)?;
    let client = token::authenticate(office, peer, headers, &params, Purpose::Login).await?;
    let client = client.client();
    // What names the client by its assertion alone is named for the rest as well.
    let named = params.one("client_id").ok().flatten();
    if named.is_some_and(|named| named != client.id) {
        let why = "client_id is not the client that proved itself";
        return Err(Failure::Wire(WireError::new(400, "invalid_request", why)));
    }
    let mut ask = authorize::judge(&params, client, &office.catalogue, &office.policy.own)
        .map_err(refused)?;
    let key = token::proof(office, headers, "/par")
        .await?
        .map(Digest::from_bytes);
    if let (Some(key), Some(named)) = (key, ask.dpop_key)
        && key != named
    {
        return Err(TokenError::Dpop(DpopError::Key).into());
    }
    ask.dpop_key = ask.dpop_key.or(key);
    let pushed = Pushed {
        id: TicketId::new(office.world.random()),
        pushed: office.world.now(),
        ask,
    };
    let keys = office.keys.load();
    let body = json!({
        "request_uri": pushed.request_uri(&keys.browser, office.world.random()),
        "expires_in": LIFE.as_secs(),
    });
    Ok(answer::json(StatusCode::CREATED, &body))
}

/// What would be a page or a redirect in a browser is an answer here (RFC 9126 §2.3).
fn refused(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Page(_) => Failure::Wire(WireError::new(
            400,
            "invalid_request",
            "redirect_uri is missing or is not one that the client registered",
        )),
        Refusal::Redirect(refusal) => {
            let (error, description) = refusal.error.wire();
            Failure::Wire(WireError::new(400, error, description))
        }
    }
}
