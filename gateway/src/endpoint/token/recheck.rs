//! Before a grant is renewed: whether the identity provider still vouches for its person.

use std::time::Duration;

use tokio::time::timeout;
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
    provider::{ProviderError, RefreshError, Refreshed},
    store::{Answer, Asking, Claim, EndedWhy, FoundGrant, Parties, StoreError, Vouched, idp_place},
};

/// How long nobody else asks about a grant, beyond the time that the answer may take: also
/// the pause after a question that was not answered, so that nothing storms.
const PAUSE: Duration = Duration::from_secs(10);

/// How many answers of the provider one question may need: metadata or a platform's token, the
/// token endpoint, and keys.
const ANSWERS: u32 = 3;

/// Between two looks at what came of somebody else's question.
const LOOK: Duration = Duration::from_millis(50);

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
    let asking = Asking {
        grant,
        checked: found.checked,
        now,
        until: now.plus(office.provider.patience() * ANSWERS + PAUSE),
    };
    let claim = asking.claim();
    let told = match office.store.ask_provider(asking).await? {
        Some(sealed) => ask(office, claim, sealed, &person.subject).await?,
        // Somebody else asks, or has asked: whatever comes of it holds for all tokens. Who
        // would be renewed without it need not wait.
        None => match recheck::judge(Told::Nothing, found.checked, &office.vouching, now) {
            Verdict::Wait => asked_by_another(office, grant, found.checked).await?,
            _ => Told::Nothing,
        },
    };
    match recheck::judge(told, found.checked, &office.vouching, now) {
        Verdict::Renew => Ok(()),
        Verdict::End => {
            if kept_at(|| office.store.not_vouched(claim, office.world.now())).await? {
                tracing::info!(event = "idp.not_vouched", flow = %found.flow, grant = %grant);
            }
            Err(TokenError::NotVouched.into())
        }
        Verdict::EndThis => {
            let why = EndedWhy::Provider;
            kept_at(|| office.store.end_grant(grant, why, office.world.now())).await?;
            tracing::info!(event = "idp.groups_left_out", flow = %found.flow, grant = %grant);
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

/// Asks, and stores what it says of a person who is there.
async fn ask(
    office: &Office,
    claim: Claim,
    sealed: Vec<u8>,
    subject: &str,
) -> Result<Told, Failure> {
    let grant = claim.grant;
    let keys = office.keys.load_full();
    let opened = keys.open_at_rest(&idp_place(grant), sealed);
    let kept =
        opened.ok_or_else(|| StoreError::Failed("a provider's token does not open".into()))?;
    // Shorter than the claim: who is late must not be taken for who asks by then.
    let patience = office.provider.patience() * ANSWERS;
    let silent = || async {
        let again = office.world.now().plus(PAUSE);
        kept_at(|| office.store.not_answered(claim, again)).await?;
        Ok(Told::Nothing)
    };
    let began = tokio::time::Instant::now();
    let refreshed = match timeout(patience, office.provider.refresh(&kept)).await {
        Ok(Ok(refreshed)) => refreshed,
        Ok(Err(RefreshError::AnotherClient)) => {
            tracing::warn!(event = "idp.another_client", grant = %grant);
            kept_at(|| office.store.not_answered(claim, office.world.now())).await?;
            return Err(TokenError::Stopped.into());
        }
        Ok(Err(RefreshError::Provider(ProviderError::TokenRefused {
            status,
            error,
            said,
        }))) => {
            tracing::info!(event = "idp.recheck_refused", grant = %grant, error, said);
            return match recheck::refusal(status, &error) {
                Told::Nothing => silent().await,
                told => Ok(told),
            };
        }
        Ok(Err(error)) => {
            tracing::warn!(event = "idp.recheck_failed", grant = %grant, %error);
            return silent().await;
        }
        Err(_) => {
            tracing::warn!(event = "idp.recheck_failed", grant = %grant, error = "too slow");
            return silent().await;
        }
    };
    let keep = keys.seal_at_rest(&idp_place(grant), &refreshed.keep, &office.world);
    if !kept_at(|| office.store.keep_idp(claim, keep.clone())).await? {
        return Ok(Told::Nothing);
    }
    let left = patience.saturating_sub(began.elapsed());
    let (told, groups) = judged(office, grant, &refreshed, subject, left).await;
    match told {
        Told::There => {
            let vouched = || Vouched {
                claim,
                groups: groups.clone(),
                now: office.world.now(),
            };
            kept_at(|| office.store.vouched(vouched())).await?;
            Ok(told)
        }
        Told::Nothing => silent().await,
        Told::Gone | Told::GroupsLeftOut => Ok(told),
    }
}

/// What the answer says of the person, and their groups if it says something of them.
async fn judged(
    office: &Office,
    grant: GrantId,
    refreshed: &Refreshed,
    subject: &str,
    left: Duration,
) -> (Told, Option<Vec<String>>) {
    match timeout(left, office.provider.believe(refreshed)).await {
        Ok(Ok(None)) => (Told::There, None),
        Ok(Ok(Some(identity))) if identity.subject() == subject => {
            (Told::There, identity.groups_anew().map(<[String]>::to_vec))
        }
        // Another person than the grant's is nobody who could vouch for it (OpenID Connect
        // Core §12.2).
        Ok(Ok(Some(_))) => {
            tracing::error!(event = "idp.another_person", grant = %grant);
            (Told::Gone, None)
        }
        // The page that they come to when they sign in anew says so.
        Ok(Err(ProviderError::Claims(IdTokenError::GroupsLeftOut))) => (Told::GroupsLeftOut, None),
        Ok(Err(error)) => {
            tracing::warn!(event = "idp.recheck_failed", grant = %grant, %error);
            (Told::Nothing, None)
        }
        Err(_) => {
            tracing::warn!(event = "idp.recheck_failed", grant = %grant, error = "too slow");
            (Told::Nothing, None)
        }
    }
}

/// Waits for what comes of a question that somebody else asks.
async fn asked_by_another(
    office: &Office,
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
    let patience = office.provider.patience() * ANSWERS;
    timeout(patience, answer).await.unwrap_or(Ok(Told::Nothing))
}

/// Writes down what the provider answered, which it does not say twice: a store that is busy is
/// asked again, for as long as a claim has to spare.
async fn kept_at<'s, T>(write: impl Fn() -> Answer<'s, T>) -> Result<T, StoreError> {
    let tries = async {
        loop {
            match write().await {
                Err(StoreError::Busy) => tokio::time::sleep(LOOK).await,
                other => return other,
            }
        }
    };
    timeout(PAUSE / 2, tries)
        .await
        .unwrap_or(Err(StoreError::Busy))
}
