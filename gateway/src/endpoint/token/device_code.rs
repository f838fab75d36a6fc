//! `grant_type=urn:ietf:params:oauth:grant-type:device_code`: a device asks whether its
//! person has decided.

use vestibule_core::{
    client_auth::AuthenticatedClient,
    dpop::Thumbprint,
    secret::Secret,
    token::{
        TokenError,
        authorization_code::RedeemCode,
        device_code::{self, PollDevice},
    },
};

use super::{Failure, authorization_code::redeem, issue::Issued};
use crate::{office::Office, store::device_place};

/// Answers a waiting device.
///
/// # Errors
/// [`Failure`]; while the person has not decided, the error says so.
pub(super) async fn poll(
    office: &Office,
    ask: &PollDevice,
    client: &AuthenticatedClient,
    key: Option<Thumbprint>,
) -> Result<Issued, Failure> {
    if !office.tokens.device {
        return Err(TokenError::GrantTypeUnknown.into());
    }
    let now = office.world.now();
    let found = office
        .store
        .poll_device(ask.device_code.digest(), now)
        .await?
        .ok_or(TokenError::DeviceExpired)?;
    match device_code::judge(client.client(), &found.state, now) {
        Ok(()) => {}
        Err(TokenError::DeviceTooFast) => {
            office.store.slow_device(found.device).await?;
            return Err(TokenError::DeviceTooFast.into());
        }
        Err(refused) => return Err(refused.into()),
    }
    let keys = office.keys.load_full();
    let code = found
        .code
        .and_then(|sealed| keys.open_at_rest(&device_place(&found.device), sealed))
        .and_then(|plain| String::from_utf8(plain.to_vec()).ok())
        .ok_or(TokenError::DeviceExpired)?;
    let redeemed = RedeemCode {
        code: Secret::new(code),
        verifier: device_code::verifier(&found.device, &keys.device),
        redirect_uri: None,
        resources: Vec::new(),
    };
    let issued = redeem(office, &redeemed, client, key).await?;
    office.store.end_device(found.device).await?;
    Ok(issued)
}
