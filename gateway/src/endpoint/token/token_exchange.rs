//! `grant_type=urn:ietf:params:oauth:grant-type:token-exchange`.

use vestibule_core::{
    access_token::Opens as _,
    bearer,
    client_auth::AuthenticatedClient,
    dpop::Thumbprint,
    token::{
        TokenError,
        token_exchange::{self, Exchange},
    },
};

use super::{
    Failure,
    issue::{self, Issued},
};
use crate::{keys::AccessKeys, office::Office};

/// Exchanges one of our tokens for another.
///
/// # Errors
/// [`Failure`].
pub(super) async fn exchange(
    office: &Office,
    ask: &Exchange,
    client: &AuthenticatedClient,
    key: Option<Thumbprint>,
) -> Result<Issued, Failure> {
    token_exchange::may_exchange(client)?;
    let keys = office.keys.load_full();
    let opens = AccessKeys {
        keys: &keys,
        issuer: &office.issuer,
    };
    // Whatever is not ours, the provider's own token first of all, is refused unread.
    let subject = opens
        .open(ask.subject_token.expose())
        .ok_or(TokenError::SubjectToken)?;
    let now = office.world.now();
    let revoked = office.revocations.now();
    bearer::judge_opened(&subject, &**revoked, std::time::Duration::ZERO, now)
        .map_err(|_| TokenError::SubjectToken)?;
    let issue = token_exchange::judge(ask, client, &subject, &office.catalogue)?;
    let client = client.client();
    let key = issue::key_of(office, client.dpop_bound, key, &issue.resource)?;
    // The rules of the other server judge the person as they are now.
    let parties = office
        .store
        .parties(subject.subject, client.reference())
        .await?
        .ok_or(TokenError::SubjectToken)?;
    tracing::info!(
        event = "token.exchanged",
        grant = %subject.grant,
        client = client.id,
        resource = issue.resource,
    );
    Ok(Issued {
        grant: subject.grant,
        subject: subject.subject,
        machine: subject.machine,
        resource: issue.resource,
        scopes: issue.scopes,
        parties,
        key,
        actor: Some(client.reference()),
        now,
        // It ends with what it was exchanged for.
        access_until: subject.expires.min(now.plus(office.tokens.access_ttl)),
        refresh: None,
        exchanged: true,
    })
}
