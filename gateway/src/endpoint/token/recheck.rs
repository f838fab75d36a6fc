//! Before a grant is renewed: whether the identity provider still vouches for its person.

use tokio::time::timeout;
use vestibule_core::{
    id::GrantId,
    recheck::{self, Told, Verdict},
    time::Timestamp,
    token::TokenError,
};

use super::Failure;
use crate::{
    office::Office,
    provider::Provider,
    store::{FoundGrant, Parties},
    vault::{self, AskError, LOOK, PAUSE},
};

/// Asks the provider if its last answer is too old, one at a time for each grant. `person` is
/// whose it is.
///
/// # Errors
/// [`TokenError::NotVouched`] when the person is gone, and the grant has ended; 503 when nobody
/// knows and it has been so for too long.
pub(super) async fn still_there(
    office: &Office,
    grant: GrantId,
    found: &FoundGrant,
    person: &Parties,
    now: Timestamp,
) -> Result<(), Failure> {
    if !found.has_idp || !office.vouching.is_due(found.checked, now) {
        return Ok(());
    }
    // A token of one provider is not for another, which the configuration names by now.
    let provider = office.providers.of_issuer(&person.issuer);
    let provider = provider.ok_or(TokenError::Stopped)?;
    let asking = vault::asking(provider, grant, found.checked, now);
    let claim = asking.claim();
    let told = match office.store.ask_provider(asking).await? {
        Some(sealed) => {
            match vault::ask(office, provider, claim, sealed, &person.subject, None).await {
                Ok(word) => word.told,
                Err(AskError::AnotherClient) => return Err(TokenError::Stopped.into()),
                Err(AskError::Store(error)) => return Err(error.into()),
                Err(AskError::Refused(_)) => Told::Nothing,
            }
        }
        // Somebody else asks, or has asked: whatever comes of it holds for all tokens. Who
        // would be renewed without it need not wait.
        None => match recheck::judge(Told::Nothing, found.checked, &office.vouching, now) {
            Verdict::Wait => asked_by_another(office, provider, grant, found.checked).await?,
            _ => Told::Nothing,
        },
    };
    match recheck::judge(told, found.checked, &office.vouching, now) {
        Verdict::Renew => Ok(()),
        verdict @ (Verdict::End | Verdict::EndThis) => {
            vault::end(office, claim, &found.flow, verdict).await?;
            Err(TokenError::NotVouched.into())
        }
        Verdict::Wait => {
            tracing::warn!(event = "idp.silent", flow = %found.flow, grant = %grant);
            Err(super::unavailable(
                "the identity provider cannot be asked right now whether this person is still there",
            ))
        }
    }
}

/// Waits for what comes of a question that somebody else asks.
async fn asked_by_another(
    office: &Office,
    provider: &Provider,
    grant: GrantId,
    checked: Timestamp,
) -> Result<Told, Failure> {
    let answer = async {
        loop {
            let Some(found) = office.store.grant(grant).await? else {
                return Ok(Told::Gone);
            };
            if found.facts.ended {
                return Ok(Told::Gone);
            }
            if found.checked > checked {
                return Ok(Told::There);
            }
            // Of a question that is on its way more than the pause is left.
            if found.asking_until <= office.world.now().plus(PAUSE) {
                return Ok(Told::Nothing);
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    timeout(vault::patience(provider), answer)
        .await
        .unwrap_or(Ok(Told::Nothing))
}
