//! Tokens for other services, for a person whose access token we have: token exchange (RFC
//! 8693) and Microsoft's on-behalf-of, which is the JWT bearer grant with a word more.

use vestibule_core::secret::Secret;

use super::{Granted, Provider, ProviderError};
use crate::token_endpoint::ACCESS_TOKEN;

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

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
        answered?.granted().ok_or(ProviderError::NoAccessToken)
    }
}
