//! What a permitted request carries for its server in place of the client's token.

use std::sync::Arc;

use super::{Proxy, call::Permit, guard, refuse::Refusal, route::Mount};
use crate::{
    config::UpstreamAuth,
    vault::{Headers, VaultError},
};

/// What needs no waiting: what is the same for everybody, and what was asked for before.
pub fn at_hand(proxy: &Proxy, mount: &Mount, permit: &Permit) -> Option<Result<Headers, Refusal>> {
    let wanted = &mount.upstream_auth;
    if let UpstreamAuth::Nothing | UpstreamAuth::Fixed { .. } = wanted {
        return Some(Ok(Arc::clone(&mount.fixed)));
    }
    // On a public server nobody is known.
    let Some(caller) = permit.caller() else {
        return Some(Ok(Arc::clone(&mount.fixed)));
    };
    let found = proxy.vault.at_hand(caller.token(), &mount.label, wanted)?;
    Some(found.map_err(refusal))
}

/// The rest. It is done beside, to its end, even if the client goes away.
///
/// # Errors
/// [`Refusal::Credential`]; [`Refusal::Bearer`] for whoever's login ended meanwhile.
pub async fn fetched(proxy: &Proxy, mount: &Mount, permit: &Permit) -> Result<Headers, Refusal> {
    let Some(caller) = permit.caller() else {
        return Ok(Arc::clone(&mount.fixed));
    };
    let (vault, token) = (Arc::clone(&proxy.vault), Arc::clone(caller.token()));
    let (server, wanted) = (Arc::clone(&mount.label), mount.upstream_auth.clone());
    let fetching = async move { vault.headers(&token, &server, &wanted).await };
    let fetched = proxy.pages_runtime.spawn(fetching).await;
    let headers = fetched.map_err(|_| Refusal::Internal)?.map_err(refusal)?;
    // It may have taken its time.
    guard::judge_again(proxy, caller)?;
    Ok(headers)
}

/// The server did not take it: the next request gets another one.
pub fn not_taken(proxy: &Proxy, mount: &Mount, permit: &Permit) {
    if let Some(caller) = permit.caller() {
        let wanted = &mount.upstream_auth;
        proxy.vault.forget(caller.token(), &mount.label, wanted);
    }
}

fn refusal(error: VaultError) -> Refusal {
    match error {
        VaultError::Ended => Refusal::Bearer(vestibule_core::bearer::BearerError::Revoked),
        error => Refusal::Credential(error),
    }
}
