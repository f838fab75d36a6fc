//! Before a grant is renewed: whether the identity provider still vouches for its person.

use std::time::Duration;

use vestibule_core::{
    callback::IdTokenError,
    id::GrantId,
    recheck::{self, Told, Verdict},
    time::Timestamp,
    token::TokenError,
};

use super::Failure;
use crate::{
    office::Office,
    provider::ProviderError,
    store::{Answered, Asking, FoundGrant, Parties, StoreError, idp_place},
};

/// How long nobody else asks about a grant, beyond the time that the provider may take: also
/// the pause after a question that was not answered, so that nothing storms.
const PAUSE: Duration = Duration::from_secs(10);

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
    if person.issuer != office.provider.issuer() {
        return Err(TokenError::Stopped.into());
    }
    let told = ask(office, grant, &person.subject, found.checked, now).await?;
    match recheck::judge(told, found.checked, &office.vouching, now) {
        Verdict::Renew => Ok(()),
        Verdict::End => {
            if office.store.not_vouched(grant, now).await? {
                tracing::info!(event = "idp.not_vouched", flow = %found.flow, grant = %grant);
            }
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

async fn ask(
    office: &Office,
    grant: GrantId,
    subject: &str,
    checked: Timestamp,
    now: Timestamp,
) -> Result<Told, Failure> {
    let asking = Asking {
        grant,
        checked,
        now,
        until: now.plus(office.provider.patience() + PAUSE),
    };
    let Some(sealed) = office.store.ask_provider(asking).await? else {
        // Somebody else asks, or has asked: whatever comes of it holds for all tokens.
        return Ok(Told::Nothing);
    };
    let keys = office.keys.load_full();
    let opened = keys.open_at_rest(&idp_place(grant), sealed);
    let kept =
        opened.ok_or_else(|| StoreError::Failed("a provider's token does not open".into()))?;
    match office.provider.ask_again(&kept).await {
        Ok(again) => {
            let (told, groups) = match &again.identity {
                Ok(None) => (Told::There, None),
                Ok(Some(identity)) if identity.subject() == subject => {
                    (Told::There, Some(identity.groups().to_vec()))
                }
                // Another person than the grant's is nobody who could vouch for it (OpenID
                // Connect Core §12.2).
                Ok(Some(_)) => {
                    tracing::error!(event = "idp.another_person", grant = %grant);
                    (Told::Gone, None)
                }
                // The page that they come to when they sign in anew says so.
                Err(ProviderError::Claims(IdTokenError::GroupsLeftOut)) => (Told::Gone, None),
                Err(error) => {
                    tracing::warn!(event = "idp.recheck_failed", grant = %grant, %error);
                    (Told::Nothing, None)
                }
            };
            let answered = Answered {
                grant,
                idp: keys.seal_at_rest(&idp_place(grant), &again.keep, &office.world),
                vouched: told == Told::There,
                groups,
                now,
            };
            office.store.provider_answered(answered).await?;
            Ok(told)
        }
        Err(ProviderError::TokenRefused {
            status,
            error,
            said,
        }) => {
            tracing::info!(event = "idp.recheck_refused", grant = %grant, error, said);
            Ok(recheck::refusal(status, &error))
        }
        Err(error) => {
            tracing::warn!(event = "idp.recheck_failed", grant = %grant, %error);
            Ok(Told::Nothing)
        }
    }
}
