//! What a permitted request carries for its server in place of the client's token.

use std::sync::Arc;

use vestibule_core::{bearer::BearerError, mcp};

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
    let found = proxy.vault.at_hand(caller, &mount.label, wanted)?;
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
    let (vault, who) = (Arc::clone(&proxy.vault), caller.clone());
    let (server, wanted) = (Arc::clone(&mount.label), mount.upstream_auth.clone());
    let fetching = async move { vault.headers(&who, &server, &wanted).await };
    let fetched = proxy.pages_runtime.spawn(fetching).await;
    let headers = fetched.map_err(|_| Refusal::Internal)?.map_err(refusal)?;
    // It may have taken its time.
    guard::judge_again(proxy, caller)?;
    Ok(headers)
}

/// The server did not take it: the next request gets another one.
pub fn not_taken(proxy: &Proxy, mount: &Mount, permit: &Permit, sent: &Headers) {
    if let Some(caller) = permit.caller() {
        let wanted = &mount.upstream_auth;
        proxy.vault.not_taken(caller, &mount.label, wanted, sent);
    }
}

/// Whether a request goes on without what there is none of: an app must be able to connect and
/// to see which tools there are, or nobody reads what a tool would say.
pub fn goes_without(refusal: &Refusal, permit: &Permit) -> bool {
    let wants_person = matches!(
        refusal,
        Refusal::Credential(VaultError::NotConnected | VaultError::Interaction(_))
    );
    let body = permit.body();
    wants_person
        && match mcp::read(&body) {
            Ok(mcp::Body::One(message)) => !message.calls_tool(),
            Ok(mcp::Body::Batch(messages)) => !messages.iter().any(mcp::Message::calls_tool),
            // A request without a body opens a stream or ends a session.
            Err(_) => body.is_empty(),
        }
}

fn refusal(error: VaultError) -> Refusal {
    match error {
        VaultError::Ended => Refusal::Bearer(BearerError::Revoked),
        error => Refusal::Credential(error),
    }
}
