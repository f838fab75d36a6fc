//! Asking whether a person is still there, by the refresh token that was kept of their login
//! (RFC 6749 §6, OpenID Connect Core §12).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use vestibule_core::{identity::VerifiedIdentity, secret::Secret};

use super::{Granted, Provider, ProviderError, ProviderTokens};

/// How long an access token without an end is used before it is looked at again.
const STILL_GOOD: Duration = Duration::from_secs(300);

/// What is kept of a login.
#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(default)]
    refresh_token: Option<String>,
    /// Where there is none, and the access token is good until it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access_token: Option<String>,
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
    /// nothing by which it can be asked later.
    pub fn to_keep(&self, tokens: &ProviderTokens) -> Option<Vec<u8>> {
        let text = |secret: &Secret| secret.expose().to_owned();
        let kept = match (&tokens.refresh_token, &tokens.access_token) {
            (Some(refresh_token), _) => self.kept(text(refresh_token)),
            (None, Some(access_token)) if tokens.lasts && self.idp.plain.is_some() => Kept {
                refresh_token: None,
                access_token: Some(text(access_token)),
                client_id: Some(self.idp.client_id.clone()),
            },
            (None, _) => return None,
        };
        serde_json::to_vec(&kept).ok()
    }

    fn kept(&self, refresh_token: String) -> Kept {
        Kept {
            refresh_token: Some(refresh_token),
            access_token: None,
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
        sealed: &[u8],
        scope: Option<&str>,
    ) -> Result<Refreshed, RefreshError> {
        use RefreshError as E;
        let kept: Kept = serde_json::from_slice(sealed).map_err(|_| E::AnotherClient)?;
        // What was given to another registration of ours, this one is refused for, and it would
        // look as if the person were gone.
        if kept.client_id.is_some_and(|id| id != self.idp.client_id) {
            return Err(E::AnotherClient);
        }
        let refresh_token = match (kept.refresh_token, kept.access_token) {
            (Some(refresh_token), _) => refresh_token,
            (None, Some(access_token)) if scope.is_none() => {
                let access_token = Secret::new(access_token);
                return Ok(Refreshed {
                    id_token: None,
                    granted: Some(Granted {
                        access_token: access_token.clone(),
                        life: STILL_GOOD,
                    }),
                    access_token: Some(access_token),
                    keep: sealed.to_vec(),
                });
            }
            // It is for what it was given for.
            (None, Some(_)) => {
                return Err(E::Provider(ProviderError::TokenRefused {
                    status: 400,
                    error: "invalid_scope".to_owned(),
                    said: String::new(),
                    claims: None,
                }));
            }
            (None, None) => return Err(E::AnotherClient),
        };
        let discovered = self.discovered().await?;
        let mut form = vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token.as_str()),
        ];
        if let Some(scope) = scope {
            form.push(("scope", scope));
        }
        let (_, answered) = self.ask_for_tokens(&discovered, &form).await?;
        let answer = answered?;
        let granted = answer.granted();
        // Many providers give another token each time and take the one before no more.
        let refresh_token = answer.refresh_token.unwrap_or(refresh_token);
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
        if let Some(plain) = &self.idp.plain {
            let token = refreshed.access_token.as_ref();
            let token = token.ok_or(ProviderError::NoAccessToken)?;
            return self.profile(plain, token).await.map(Some);
        }
        let Some(id_token) = &refreshed.id_token else {
            return Ok(None);
        };
        let discovered = self.discovered().await?;
        let access_token = refreshed.access_token.as_ref().map(Secret::expose);
        let judged = self.judged(&discovered, id_token, None, access_token, None);
        judged.await.map(Some)
    }
}
