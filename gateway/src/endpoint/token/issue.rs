//! What every grant ends in: an access token and the answer that brings it.

use axum::response::Response;
use http::StatusCode;
use serde_json::json;
use vestibule_core::{
    access_token::AccessToken,
    dpop::{DpopError, Thumbprint},
    id::{ClientRef, GrantId, PersonId, TokenId},
    resource::Dpop,
    scope::ScopeSet,
    secret::Secret,
    time::Timestamp,
    token::{TokenError, token_exchange},
};

use super::{super::answer, Failure};
use crate::{
    office::Office,
    store::{Parties, StoreError},
};

/// What was decided, and is to be issued.
pub(super) struct Issued {
    pub(super) grant: GrantId,
    pub(super) subject: PersonId,
    pub(super) machine: bool,
    pub(super) resource: String,
    pub(super) scopes: ScopeSet,
    pub(super) parties: Parties,
    /// The key it is bound to.
    pub(super) key: Option<Thumbprint>,
    /// Who acts for the subject.
    pub(super) actor: Option<ClientRef>,
    pub(super) now: Timestamp,
    pub(super) access_until: Timestamp,
    pub(super) refresh: Option<Secret>,
    /// Whether the answer is that of RFC 8693.
    pub(super) exchanged: bool,
}

/// The key that a token for `resource` is bound to: the one shown, if the server takes such
/// tokens. `bound_only` is whether the client does.
///
/// # Errors
/// [`DpopError::Missing`] if the client or the server takes bound tokens only.
pub(super) fn key_of(
    office: &Office,
    bound_only: bool,
    shown: Option<Thumbprint>,
    resource: &str,
) -> Result<Option<Thumbprint>, TokenError> {
    let mode = office
        .catalogue
        .by_uri(resource)
        .map_or(Dpop::Off, |resource| resource.dpop);
    match (mode, shown) {
        // A server that takes none would refuse a bound token.
        (Dpop::Off, _) if !bound_only => Ok(None),
        (Dpop::Required, None) => Err(DpopError::Missing.into()),
        (_, None) if bound_only => Err(DpopError::Missing.into()),
        (_, shown) => Ok(shown),
    }
}

/// The names by which the rules of `resource` know its subject.
///
/// # Errors
/// [`TokenError::Stopped`] for whom a rule denies the server, or nobody vouches any more.
pub(super) fn admitted(
    office: &Office,
    resource: &str,
    machine: bool,
    parties: &Parties,
) -> Result<Vec<String>, TokenError> {
    let resource = office.catalogue.by_uri(resource);
    // The identity provider issues the tokens of such a server, and nobody else.
    if resource.is_some_and(|resource| resource.direct.is_some()) {
        return Err(TokenError::Stopped);
    }
    // A machine's rights are its operator's entry, and its name is no person's.
    let Some(resource) = resource.filter(|_| !machine) else {
        return Ok(Vec::new());
    };
    let Parties {
        issuer,
        subject,
        groups,
        ..
    } = parties;
    let names = office.admitted(resource, issuer, subject, groups);
    names.ok_or(TokenError::Stopped)
}

/// Issues to the client `client_id`: nothing that a rule denies its person, and then the
/// answer of RFC 6749 §5.1.
///
/// # Errors
/// [`Failure`].
pub(super) fn answer(
    office: &Office,
    client_id: &str,
    issued: Issued,
) -> Result<Response, Failure> {
    let keys = office.keys.load();
    let groups = admitted(office, &issued.resource, issued.machine, &issued.parties)?;
    let token = AccessToken {
        id: TokenId::new(office.world.random()),
        grant: issued.grant,
        subject: issued.subject,
        machine: issued.machine,
        client: ClientRef::of(client_id),
        subject_epoch: issued.parties.epochs.subject,
        client_epoch: issued.parties.epochs.client,
        issued: issued.now,
        expires: issued.access_until,
        resource: issued.resource,
        scopes: issued.scopes,
        confirmation: issued.key,
        actor: issued.actor,
        groups,
    };
    let text = office
        .mint(&token, client_id, &keys)
        .ok_or_else(|| StoreError::Failed("a token could not be signed".to_owned()))?;
    let mut body = json!({
        "access_token": text,
        "token_type": token.token_type(),
        "expires_in": issued.access_until.since(issued.now).as_secs(),
        "scope": token.scopes.to_string(),
    });
    if let Some(refresh) = issued.refresh {
        body["refresh_token"] = refresh.expose().into();
    }
    if issued.exchanged {
        body["issued_token_type"] = token_exchange::ACCESS_TOKEN.into();
    }
    Ok(answer::json(StatusCode::OK, &body))
}
