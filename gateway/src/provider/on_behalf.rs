//! Tokens for other services, for a person whose access token we have: token exchange (RFC
//! 8693) and Microsoft's on-behalf-of, which is the JWT bearer grant with a word more.

use std::time::Duration;

use vestibule_core::secret::Secret;

use super::{Provider, ProviderError, TokenAnswer};

/// How long a token is taken to be good whose answer does not say (RFC 6749 §5.1 leaves that
/// to documentation).
const UNSAID: u64 = 300;

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// An access token, and how long it is good.
#[derive(Debug, Clone)]
pub struct Granted {
    /// It.
    pub access_token: Secret,
    /// From now on.
    pub life: Duration,
}

impl Granted {
    /// Takes it out of an answer.
    ///
    /// # Errors
    /// [`ProviderError::NoAccessToken`], also for one that only the holder of a key can use.
    pub(super) fn take(answer: &mut TokenAnswer) -> Result<Self, ProviderError> {
        let kind = answer.token_type.as_deref();
        let issued = answer.issued_token_type.as_deref();
        let bearer = kind.is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"))
            // An exchange may give a token of another kind under this name (RFC 8693 §2.2.1).
            && issued.is_none_or(|issued| [ACCESS_TOKEN, JWT].contains(&issued));
        let access_token = answer.access_token.take().filter(|token| {
            bearer && !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())
        });
        Ok(Self {
            access_token: Secret::new(access_token.ok_or(ProviderError::NoAccessToken)?),
            life: Duration::from_secs(answer.expires_in.unwrap_or(UNSAID)),
        })
    }
}

impl Provider {
    /// What an access token that is for ourselves is asked for with, at Entra: the application
    /// by its id.
    pub fn own_scope(&self) -> String {
        format!("{}/.default", self.idp.client_id)
    }

    /// Exchanges the person's access token for one that is for somebody else (RFC 8693 §2.1).
    ///
    /// # Errors
    /// [`ProviderError`].
    pub async fn exchange(
        &self,
        subject: &Secret,
        audience: Option<&str>,
        resource: Option<&str>,
        scope: Option<&str>,
    ) -> Result<Granted, ProviderError> {
        let mut form = vec![
            ("grant_type", EXCHANGE),
            ("subject_token", subject.expose()),
            ("subject_token_type", ACCESS_TOKEN),
            ("requested_token_type", ACCESS_TOKEN),
        ];
        let more = [
            ("audience", audience),
            ("resource", resource),
            ("scope", scope),
        ];
        form.extend(
            more.iter()
                .filter_map(|(name, value)| Some((*name, (*value)?))),
        );
        self.granted(&form).await
    }

    /// Asks Microsoft Entra for a token of another API on the person's behalf. `subject` is
    /// an access token that is for ourselves.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub async fn on_behalf_of(
        &self,
        subject: &Secret,
        scope: &str,
    ) -> Result<Granted, ProviderError> {
        let form = [
            ("grant_type", JWT_BEARER),
            ("assertion", subject.expose()),
            ("requested_token_use", "on_behalf_of"),
            ("scope", scope),
        ];
        self.granted(&form).await
    }

    async fn granted(&self, form: &[(&str, &str)]) -> Result<Granted, ProviderError> {
        let discovered = self.discovered().await?;
        let (_, answered) = self.ask_for_tokens(&discovered, form).await?;
        Granted::take(&mut answered?)
    }
}
