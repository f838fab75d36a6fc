//! The identity provider's session behind a grant: its refresh token, which asks whether the
//! person is still there and gets access tokens in their name, one question at a time.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use vestibule_core::{
    access_token::AccessToken,
    flow::FlowCode,
    id::GrantId,
    id_token::IdTokenError,
    recheck::{self, Told, Verdict},
    time::Timestamp,
};

use super::{VaultError, refused};
use crate::{
    office::Office,
    provider::{Provider, ProviderError, RefreshError, Refreshed},
    store::{Answer, Asking, Claim, EndedWhy, StoreError, Vouched, idp_place},
    token_endpoint::Granted,
};

/// How long nobody else asks about a grant, beyond the time that the answer may take: also
/// the pause after a question that was not answered, so that nothing storms.
pub const PAUSE: Duration = Duration::from_secs(10);

/// How many answers of the provider one question may need: metadata or a platform's token, the
/// token endpoint, keys, and the userinfo endpoint.
const ANSWERS: u32 = 4;

/// Between two looks at what came of somebody else's question.
pub const LOOK: Duration = Duration::from_millis(50);

/// What came of a question.
#[derive(Debug)]
pub struct Word {
    /// Of the person.
    pub told: Told,
    /// An access token in their name, if they are there and it gave one.
    pub granted: Option<Granted>,
}

impl Word {
    fn of(told: Told) -> Self {
        Self {
            told,
            granted: None,
        }
    }
}

/// Why nothing came of a question, and nothing is said of the person.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It was given to another client id of ours.
    #[error("the identity provider knew this gateway as another application")]
    AnotherClient,
    /// The provider gives no token with this scope.
    #[error(transparent)]
    Refused(ProviderError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How long one question may take.
pub fn patience(provider: &Provider) -> Duration {
    provider.patience() * ANSWERS
}

/// A question about `grant`, of which the provider last gave its word at `checked`.
pub fn asking(provider: &Provider, grant: GrantId, checked: Timestamp, now: Timestamp) -> Asking {
    Asking {
        grant,
        checked,
        now,
        until: now.plus(patience(provider) + PAUSE),
    }
}

/// Ends what the provider's answer ends.
///
/// # Errors
/// [`StoreError`].
pub async fn end(
    office: &Office,
    claim: Claim,
    flow: &FlowCode,
    verdict: Verdict,
) -> Result<(), StoreError> {
    let grant = claim.grant;
    if verdict == Verdict::End {
        if kept_at(|| office.store.not_vouched(claim, office.world.now())).await? {
            tracing::info!(event = "idp.not_vouched", %flow, %grant);
        }
        return Ok(());
    }
    let why = EndedWhy::Provider;
    kept_at(|| office.store.end_grant(grant, why, office.world.now())).await?;
    tracing::info!(event = "idp.grant_ended", %flow, %grant);
    Ok(())
}

/// What a token is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum For<'s> {
    /// A scope, or what the login was for.
    Scope(Option<&'s str>),
    /// This gateway as a resource of Entra's, to be exchanged there.
    ThisGateway,
}

/// An access token for the person of a token, asked anew of the provider that signed them in.
///
/// # Errors
/// [`VaultError`].
pub(super) async fn access_token<'o>(
    office: &'o Office,
    token: &AccessToken,
    wanted: For<'_>,
) -> Result<(&'o Provider, Granted), VaultError> {
    let began = Instant::now();
    loop {
        let now = office.world.now();
        let found = office.store.grant(token.grant).await?;
        let found = found.ok_or(VaultError::NoLogin)?;
        if found.facts.ended {
            return Err(VaultError::Ended);
        }
        let person = office.store.parties(found.person, token.client).await?;
        let person = person.ok_or(VaultError::NoLogin)?;
        let provider = office.providers.of_issuer(&person.issuer);
        let provider = provider.filter(|_| found.has_idp);
        let provider = provider.ok_or(VaultError::NoLogin)?;
        let asking = asking(provider, token.grant, found.checked, now);
        let Some(sealed) = office.store.ask_provider(asking).await? else {
            // In a pause, or for too long: nobody asks now whose answer would help.
            let paused = found.asking_until > now && found.asking_until <= now.plus(PAUSE);
            if paused || began.elapsed() > patience(provider) {
                return Err(VaultError::Silent);
            }
            sleep(LOOK).await;
            continue;
        };
        let claim = asking.claim();
        let own;
        let scope = match wanted {
            For::Scope(scope) => scope,
            For::ThisGateway => {
                own = provider.own_scope();
                Some(own.as_str())
            }
        };
        let word = ask(office, provider, claim, sealed, &person.subject, scope).await;
        let word = word.map_err(|error| match error {
            AskError::AnotherClient => VaultError::NoLogin,
            AskError::Refused(error) => refused(provider, scope, &error),
            AskError::Store(error) => error.into(),
        })?;
        let verdict = match word.told {
            Told::There => {
                let granted = word.granted.ok_or(VaultError::Refused)?;
                return Ok((provider, granted));
            }
            Told::Nothing | Told::Refused => return Err(VaultError::Silent),
            Told::Gone => Verdict::End,
            Told::GroupsLeftOut | Told::TakenBack => Verdict::EndThis,
        };
        end(office, claim, &found.flow, verdict).await?;
        return Err(VaultError::Ended);
    }
}

/// Asks, and stores what it says of a person who is there. `subject` is who that should be,
/// `scope` what an access token is asked for with, if not as at the login: then that is all.
///
/// # Errors
/// [`AskError`].
pub async fn ask(
    office: &Office,
    provider: &Provider,
    claim: Claim,
    sealed: Vec<u8>,
    subject: &str,
    scope: Option<&str>,
) -> Result<Word, AskError> {
    let grant = claim.grant;
    let keys = office.keys.load_full();
    let opened = keys.open_at_rest(&idp_place(grant), sealed);
    let kept =
        opened.ok_or_else(|| StoreError::Failed("a provider's token does not open".into()))?;
    // Shorter than the claim: who is late must not be taken for who asks by then.
    let patience = patience(provider);
    let silent = || async {
        let again = office.world.now().plus(PAUSE);
        kept_at(|| office.store.not_answered(claim, again)).await?;
        Ok(Word::of(Told::Nothing))
    };
    let began = tokio::time::Instant::now();
    let refreshed = match timeout(patience, provider.refresh(&kept, scope)).await {
        Ok(Ok(refreshed)) => refreshed,
        Ok(Err(RefreshError::AnotherClient)) => {
            tracing::warn!(event = "idp.another_client", grant = %grant);
            kept_at(|| office.store.not_answered(claim, office.world.now())).await?;
            return Err(AskError::AnotherClient);
        }
        // A no to other scopes says nothing of the person.
        Ok(Err(RefreshError::Provider(
            refused @ ProviderError::TokenRefused {
                status: 400 | 401 | 403,
                ..
            },
        ))) if scope.is_some() => {
            kept_at(|| office.store.not_answered(claim, office.world.now())).await?;
            return Err(AskError::Refused(refused));
        }
        Ok(Err(RefreshError::Provider(ProviderError::TokenRefused {
            status,
            error,
            said,
            ..
        }))) => {
            tracing::info!(event = "idp.recheck_refused", grant = %grant, error, said);
            let told = recheck::refusal(status, &error);
            if matches!(told, Told::Nothing | Told::Refused) {
                silent().await?;
            }
            return Ok(Word::of(told));
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
        return Ok(Word::of(Told::Nothing));
    }
    if scope.is_some() {
        // With other scopes than the login's an ID token may leave out groups, or who it is: it is
        // no word about the person, and the next question about them is due as before.
        kept_at(|| office.store.not_answered(claim, office.world.now())).await?;
        let granted = refreshed.granted;
        return Ok(Word {
            told: Told::There,
            granted,
        });
    }
    let left = patience.saturating_sub(began.elapsed());
    let (told, groups) = judged(provider, grant, &refreshed, subject, left).await;
    match told {
        Told::There => {
            let vouched = || Vouched {
                claim,
                groups: groups.clone(),
                now: office.world.now(),
            };
            kept_at(|| office.store.vouched(vouched())).await?;
            let granted = refreshed.granted;
            Ok(Word { told, granted })
        }
        Told::Nothing | Told::Refused => silent().await,
        Told::Gone | Told::GroupsLeftOut | Told::TakenBack => Ok(Word::of(told)),
    }
}

/// What the answer says of the person, and their groups if it says something of them.
async fn judged(
    provider: &Provider,
    grant: GrantId,
    refreshed: &Refreshed,
    subject: &str,
    left: Duration,
) -> (Told, Option<Vec<String>>) {
    match timeout(left, provider.believe(refreshed)).await {
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
        // Who has left the organization may use what is left to them, and not this.
        Ok(Err(ProviderError::Claims(IdTokenError::Organization))) => (Told::Gone, None),
        Ok(Err(ProviderError::TokenRefused { error, .. })) => {
            tracing::info!(event = "idp.recheck_refused", grant = %grant, error);
            (Told::TakenBack, None)
        }
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

/// Writes down what the provider answered, which it does not say twice: a store that is busy is
/// asked again, for as long as a claim has to spare.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn kept_at<'s, T>(write: impl Fn() -> Answer<'s, T>) -> Result<T, StoreError> {
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
