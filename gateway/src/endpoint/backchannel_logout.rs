//! `POST /backchannel-logout`: the identity provider says that somebody signed out there, or
//! was signed out (OpenID Connect Back-Channel Logout 1.0 §2.5, §2.7, §2.8).

use std::{net::SocketAddr, sync::Arc};

use axum::{
    body::Body,
    extract::{ConnectInfo, State},
    response::Response,
};
use http::{HeaderMap, StatusCode};
use serde_json::json;
use vestibule_core::WireError;

use super::{
    answer,
    token::{self, Failure},
};
use crate::{
    http::peer::client_address, office::Office, provider::LogoutRefused, store::SignedOutThere,
};

/// See the module. Whoever sends many that are not followed must be slow.
pub async fn post(
    State(office): State<Arc<Office>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let address = client_address(peer.ip(), &headers, &office.trusted_proxies);
    let now = office.world.now();
    if office.failures.take_for(address, "logout", now).is_err() {
        return Failure::TooMany.response(&office);
    }
    match logout(&office, &headers, body).await {
        Ok(()) => {
            office.failures.give_back(address, "logout");
            answer::json(StatusCode::OK, &json!({}))
        }
        Err(failure) => failure.response(&office),
    }
}

async fn logout(office: &Office, headers: &HeaderMap, body: Body) -> Result<(), Failure> {
    let refused = |why| Failure::Wire(WireError::new(400, "invalid_request", why));
    let text = token::form(office, headers, body).await?;
    let params = token::parameters(&text)?;
    let logout_token = params.one("logout_token").ok().flatten();
    let logout_token =
        logout_token.ok_or_else(|| refused("there is no logout_token, or several"))?;
    let out = office
        .provider
        .signed_out(logout_token)
        .await
        .map_err(|error| {
            tracing::warn!(event = "idp.logout_refused", why = %error);
            match error {
                LogoutRefused::Provider(_) => {
                    token::unavailable("the keys that would verify it cannot be fetched right now")
                }
                LogoutRefused::Signature(_) | LogoutRefused::Claims(_) => {
                    refused("the logout_token is not good")
                }
            }
        })?;
    let ended = office
        .store
        .signed_out_there(SignedOutThere {
            issuer: office.provider.issuer().to_owned(),
            subject: out.subject,
            session: out.session,
            once: out.once,
            now: office.world.now(),
        })
        .await?
        .ok_or_else(|| refused("the logout_token was used before"))?;
    tracing::info!(event = "idp.signed_out", ended);
    Ok(())
}
