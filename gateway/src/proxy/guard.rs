//! Who calls: one token, opened and judged without asking anybody.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::{HeaderValue, Request, header};
use vestibule_core::{
    access_token::Opens as _,
    assertion::Once,
    bearer::{self, BearerError, Caller},
    dpop::{DpopError, Expected, Proof, Thumbprint},
    flow::earlier::Seen,
    resource::Dpop,
    time::Timestamp,
};

use super::{Proxy, refuse::Refusal, route::Mount};
use crate::{
    config::DirectSettings,
    direct::{Known, NotTaken},
    signature::Proofs,
    uses::Use,
};

/// How far a token's times may be off, between replicas whose clocks differ.
pub const LEEWAY: Duration = Duration::from_secs(30);

/// Whether a key that a token names was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// Not yet.
    No,
    /// The provider said which keys it has.
    Answered,
    /// It did not.
    InVain,
}

/// The caller of a request; nobody on a server that needs no token.
///
/// # Errors
/// [`Refusal::Bearer`], whose answer says where to log in; [`Refusal::NoKeys`] for a token under a
/// key that is worth looking for, if nobody did.
pub fn judge<B>(
    proxy: &Proxy,
    mount: &Mount,
    request: &Request<B>,
    looked: Looked,
) -> Result<Option<Caller>, Refusal> {
    if mount.public {
        return Ok(None);
    }
    let values = request
        .headers()
        .get_all(header::AUTHORIZATION)
        .iter()
        .map(HeaderValue::as_bytes);
    let shown = bearer::find(values, request.uri().query()).map_err(Refusal::Bearer)?;
    let now = proxy.office.world.now();
    let refused = |why| Refusal::Bearer(BearerError::Proof(why));
    let proof = shown
        .with_proof
        .then(|| prove(proxy, mount, request, shown.token, now))
        .transpose()
        .map_err(refused)?;
    let (key, once) = proof.unzip();
    let revoked = proxy.revocations.now();
    if let Some(settings) = &mount.direct {
        let known = opened(proxy, mount, settings, shown.token, now);
        let known = known.map_err(|error| match error {
            NotTaken::Bearer(error) => Refusal::Bearer(error),
            // The provider was asked by now, so somebody else signed it.
            NotTaken::UnknownKey(Some(_)) if looked == Looked::Answered => {
                Refusal::Bearer(BearerError::Unknown)
            }
            NotTaken::UnknownKey(seen) => Refusal::NoKeys(seen),
        })?;
        let (resource, revoked) = (&mount.resource, &**revoked);
        let caller = bearer::judge_direct(&known.token, key, resource, revoked, LEEWAY, now);
        let caller = caller.map_err(Refusal::Bearer)?;
        caller.may_enter(resource).map_err(Refusal::Bearer)?;
        return used_once(proxy, once, now).map(|()| Some(caller));
    }
    let keys = proxy.office.keys.load();
    let opens = proxy.seen_tokens.with(&keys, &proxy.office.issuer);
    let caller = bearer::judge(
        shown.token,
        key,
        &mount.resource,
        &opens,
        &**revoked,
        LEEWAY,
        now,
    )
    .map_err(Refusal::Bearer)?;
    caller.may_enter(&mount.resource).map_err(Refusal::Bearer)?;
    used_once(proxy, once, now)?;
    if opens.was_first() {
        proxy
            .office
            .uses
            .note_token(caller.token(), Use::Began, String::new);
    }
    Ok(Some(caller))
}

/// Only once there is a caller: proofs of people without a token must not fill what is
/// remembered.
fn used_once(proxy: &Proxy, once: Option<Once>, now: Timestamp) -> Result<(), Refusal> {
    match once {
        Some(once) if !proxy.office.proofs.first_use(once, now) => {
            Err(Refusal::Bearer(BearerError::Proof(DpopError::Replayed)))
        }
        _ => Ok(()),
    }
}

/// A token of the provider's that issues this server's.
fn opened(
    proxy: &Proxy,
    mount: &Mount,
    settings: &DirectSettings,
    text: &str,
    now: Timestamp,
) -> Result<Arc<Known>, NotTaken> {
    let office = &proxy.office;
    let provider = office.providers.named(&settings.provider);
    let provider = provider.ok_or(NotTaken::UnknownKey(None))?;
    let resource = &mount.resource;
    office
        .direct
        .open(text, provider, settings, resource, &office.vouchers, now)
}

/// Looks for a key that a token named and that was not known.
pub async fn look_for_key(proxy: &Proxy, mount: &Mount, seen: Option<Timestamp>) -> Looked {
    let Some(settings) = &mount.direct else {
        return Looked::InVain;
    };
    let (office, name) = (Arc::clone(&proxy.office), settings.provider.clone());
    let looking = async move {
        match office.providers.named(&name) {
            Some(provider) => provider.look_again(seen).await,
            None => false,
        }
    };
    match proxy.pages_runtime.spawn(looking).await {
        Ok(true) => Looked::Answered,
        Ok(false) | Err(_) => Looked::InVain,
    }
}

/// Notes for the record of a login that its token was refused, if it is a token of ours; or
/// that somebody came without one, with which logins begin.
pub fn note_refused<B>(
    proxy: &Proxy,
    mount: &Mount,
    request: &Request<B>,
    peer: SocketAddr,
    refusal: &Refusal,
) {
    if let Refusal::Bearer(BearerError::Missing) = refusal {
        let seen = Seen::Challenged(mount.resource.name.clone());
        proxy.office.saw(peer.ip(), request.headers(), seen);
    }
    let Some(code) = refusal.code() else { return };
    // Of tokens that the provider issued there is no login here.
    if mount.direct.is_some() {
        return;
    }
    // What does not open is nobody's.
    if let Refusal::Bearer(BearerError::Unknown | BearerError::Malformed) = refusal {
        return;
    }
    let values = request.headers().get_all(header::AUTHORIZATION).iter();
    // Of two tokens nobody knows which was meant.
    let Ok(shown) = bearer::find(values.map(HeaderValue::as_bytes), None) else {
        return;
    };
    let keys = proxy.office.keys.load();
    let opens = proxy.seen_tokens.with(&keys, &proxy.office.issuer);
    if let Some(token) = opens.open(shown.token) {
        // Remembered are those that were good, so that the first good use is seen as one.
        proxy.seen_tokens.forget(shown.token);
        proxy
            .office
            .uses
            .note_token(&token, Use::Refused(code), || refusal.to_string());
    }
}

/// Judges the same caller once more, after something that took time: whoever took the token
/// back meanwhile was told that it is over.
///
/// # Errors
/// [`Refusal::Bearer`].
pub fn judge_again(proxy: &Proxy, caller: &Caller) -> Result<(), Refusal> {
    let revoked = proxy.revocations.now();
    let now = proxy.office.world.now();
    bearer::judge_opened(caller.token(), &**revoked, LEEWAY, now).map_err(Refusal::Bearer)
}

/// The key that the request's proof shows (RFC 9449 §7.1), fresh by its nonce; and what must
/// be used once within this process.
fn prove<B>(
    proxy: &Proxy,
    mount: &Mount,
    request: &Request<B>,
    token: &str,
    now: Timestamp,
) -> Result<(Thumbprint, Once), DpopError> {
    if mount.resource.dpop == Dpop::Off {
        // Nobody is given a bound token for this server; do not spend work on a proof.
        return Err(DpopError::Malformed);
    }
    let values = request
        .headers()
        .get_all("dpop")
        .iter()
        .map(HeaderValue::as_bytes);
    let proof = Proof::read(values, &Proofs)?.ok_or(DpopError::Missing)?;
    let expected = Expected {
        method: request.method().as_str(),
        url: &mount.resource.uri,
        access_token: Some(token),
    };
    let keys = proxy.office.keys.load();
    let key = proof.judge(&expected, &keys.resource_nonces, now)?;
    Ok((key, proof.once()))
}
