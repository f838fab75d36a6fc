//! Asking whether a person is still there, by the refresh token that was kept of their login
//! (RFC 6749 §6, OpenID Connect Core §12).

use serde::{Deserialize, Serialize};
use vestibule_core::{callback::VerifiedIdentity, secret::Secret};

use super::{Granted, Provider, ProviderError, ProviderTokens};

/// What is kept of a login.
#[derive(Serialize, Deserialize)]
struct Kept {
    refresh_token: String,
    /// To whom it was given; those of before we wrote this down have none.
    #[serde(default)]
    client_id: Option<String>,
}

/// What it answered, not yet believed.
pub struct Refreshed {
    id_token: Option<String>,
    access_token: Option<Secret>,
    /// The person's access token there.
    pub granted: Option<Granted>,
    /// What is kept from now on, whatever the rest is worth: the token of before may be spent.
    /// As [`Provider::to_keep`] has it.
    pub keep: Vec<u8>,
}

/// Why nothing came of asking.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefreshError {
    /// What was kept was given to another client id than ours is by now.
    #[error("the identity provider knew this gateway as another application")]
    AnotherClient,
    /// The provider.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

impl Provider {
    /// What is kept of a login, as it is sealed into the store: nothing if the provider gave
    /// no refresh token.
    pub fn to_keep(&self, tokens: &ProviderTokens) -> Option<Vec<u8>> {
        let refresh_token = tokens.refresh_token.as_ref()?.expose().to_owned();
        serde_json::to_vec(&self.kept(refresh_token)).ok()
    }

    fn kept(&self, refresh_token: String) -> Kept {
        Kept {
            refresh_token,
            client_id: Some(self.idp.client_id.clone()),
        }
    }

    /// Spends what was kept. `scope` is what the access token is for, if it is not as at the
    /// login.
    ///
    /// # Errors
    /// [`RefreshError`].
    pub async fn refresh(
        &self,
        kept: &[u8],
        scope: Option<&str>,
    ) -> Result<Refreshed, RefreshError> {
        use RefreshError as E;
        let kept: Kept = serde_json::from_slice(kept).map_err(|_| E::AnotherClient)?;
        // What was given to another registration of ours, this one is refused for, and it would
        // look as if the person were gone.
        if kept.client_id.is_some_and(|id| id != self.idp.client_id) {
            return Err(E::AnotherClient);
        }
        let discovered = self.discovered().await?;
        let mut form = vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", kept.refresh_token.as_str()),
        ];
        if let Some(scope) = scope {
            form.push(("scope", scope));
        }
        let (_, answered) = self.ask_for_tokens(&discovered, &form).await?;
        let answer = answered?;
        let granted = answer.granted();
        // Many providers give another token each time and take the one before no more.
        let refresh_token = answer.refresh_token.unwrap_or(kept.refresh_token);
        Ok(Refreshed {
            id_token: answer.id_token,
            granted,
            access_token: answer.access_token.map(Secret::new),
            keep: serde_json::to_vec(&self.kept(refresh_token)).unwrap_or_default(),
        })
    }

    /// Whom it vouches for, if it says so anew; or why that is not believed.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub async fn believe(
        &self,
        refreshed: &Refreshed,
    ) -> Result<Option<VerifiedIdentity>, ProviderError> {
        let Some(id_token) = &refreshed.id_token else {
            return Ok(None);
        };
        let discovered = self.discovered().await?;
        let access_token = refreshed.access_token.as_ref().map(Secret::expose);
        let judged = self.judged(&discovered, id_token, None, access_token, None);
        judged.await.map(Some)
    }
}
