//! `POST /backchannel-logout`: the identity provider says that somebody signed out there, or
//! was signed out (OpenID Connect Back-Channel Logout 1.0 §2.5, §2.7, §2.8).

use std::{net::SocketAddr, sync::Arc};

use axum::{
    body::Body,
    extract::{ConnectInfo, Path, State},
    response::Response,
};
use http::{HeaderMap, StatusCode};
use serde_json::json;
use vestibule_core::{WireError, resource::MAIN_PROVIDER};

use super::{
    answer,
    token::{self, Failure},
};
use crate::{
    http::peer::client_address,
    office::Office,
    provider::{LogoutRefused, Provider},
    store::SignedOutThere,
};

/// See the module. Whoever sends many that are not good hears that, and is not told more of
/// each; a good one is always followed, since strangers may be behind the provider's address.
pub async fn post(
    state: State<Arc<Office>>,
    peer: ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    of_provider(state, Path(MAIN_PROVIDER.to_owned()), peer, headers, body).await
}

/// `POST /backchannel-logout/{name}`: the same of a further provider.
pub async fn of_provider(
    State(office): State<Arc<Office>>,
    Path(name): Path<String>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(provider) = office.providers.named(&name) else {
        return answer::nothing_here(&office);
    };
    let failure = match logout(&office, provider, &headers, body).await {
        Ok(()) => return answer::json(StatusCode::OK, &json!({})),
        Err(Refused::NotGood(why)) => {
            let address = client_address(peer.ip(), &headers, &office.trusted_proxies);
            let now = office.world.now();
            match office.failures.take_for(address, "logout", now) {
                Ok(()) => {
                    tracing::warn!(event = "idp.logout_refused", why);
                    Failure::Wire(WireError::new(
                        400,
                        "invalid_request",
                        "the logout_token is not good",
                    ))
                }
                Err(_) => Failure::TooMany,
            }
        }
        Err(Refused::Otherwise(failure)) => failure,
    };
    failure.response(&office)
}

enum Refused {
    /// What was sent is no logout token of the provider's; why, for the log.
    NotGood(String),
    Otherwise(Failure),
}

impl<F: Into<Failure>> From<F> for Refused {
    fn from(failure: F) -> Self {
        Self::Otherwise(failure.into())
    }
}

async fn logout(
    office: &Office,
    provider: &Provider,
    headers: &HeaderMap,
    body: Body,
) -> Result<(), Refused> {
    let text = token::form(office, headers, body).await?;
    let params = token::parameters(&text)?;
    let logout_token = params.one("logout_token").ok().flatten();
    let logout_token = logout_token
        .ok_or_else(|| Refused::NotGood("there is no logout_token, or several".to_owned()))?;
    let out = provider
        .signed_out(logout_token)
        .await
        .map_err(|error| match error {
            LogoutRefused::Provider(error) => {
                tracing::warn!(event = "idp.degraded", %error);
                let why = "the keys that would verify it cannot be fetched right now";
                Refused::Otherwise(token::unavailable(why))
            }
            LogoutRefused::Signature(_) | LogoutRefused::Claims(_) => {
                Refused::NotGood(error.to_string())
            }
        })?;
    let ended = office
        .store
        .signed_out_there(SignedOutThere {
            issuer: provider.issuer().to_owned(),
            subject: out.subject,
            session: out.session,
            once: out.once,
            now: office.world.now(),
        })
        .await?;
    let Some(ended) = ended else {
        let why = "the logout_token was used before";
        return Err(Failure::Wire(WireError::new(400, "invalid_request", why)).into());
    };
    tracing::info!(event = "idp.signed_out", ended);
    Ok(())
}
