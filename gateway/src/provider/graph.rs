//! Groups that Microsoft Entra leaves out of an ID token, asked of Microsoft Graph with the
//! gateway's own credential (`directoryObject: getMemberObjects`).

use serde::Deserialize;
use serde_json::json;
use vestibule_core::{id_token::IdTokenError, identity::VerifiedIdentity};

use super::{Provider, ProviderError};
use crate::fetch::{self, FetchError};

#[derive(Deserialize)]
struct Members {
    value: Vec<String>,
    #[serde(rename = "@odata.nextLink")]
    next: Option<String>,
}

impl Provider {
    /// The same person with the groups that the directory at `graph` tells, roles as they were.
    ///
    /// # Errors
    /// [`ProviderError::Unreachable`] if it does not answer: then nobody knows. That groups are
    /// left out stands if it says no.
    pub(super) async fn with_groups_of(
        &self,
        graph: &str,
        identity: VerifiedIdentity,
    ) -> Result<VerifiedIdentity, ProviderError> {
        let left_out = || ProviderError::Claims(IdTokenError::GroupsLeftOut);
        let (_, object) = identity.subject().split_once('/').ok_or_else(left_out)?;
        let discovered = self.discovered().await?;
        let scope = format!("{graph}/.default");
        let form = [
            ("grant_type", "client_credentials"),
            ("scope", scope.as_str()),
        ];
        let (_, answered) = self.ask_for_tokens(&discovered, &form).await?;
        let granted = answered?.granted().ok_or(ProviderError::NoAccessToken)?;
        let url = format!("{graph}/v1.0/users/{object}/getMemberObjects");
        let request = self
            .http
            .post(url)
            .bearer_auth(granted.access_token.expose())
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(json!({ "securityEnabledOnly": false }).to_string());
        let (status, body) = fetch::whole(request)
            .await
            .map_err(ProviderError::Unreachable)?;
        match status {
            200 => {}
            429 | 500.. => return Err(ProviderError::Unreachable(FetchError::Status(status))),
            _ => {
                tracing::error!(
                    event = "idp.no_groups_from_graph",
                    status,
                    "the application needs the permission GroupMember.Read.All, with an administrator's consent"
                );
                return Err(left_out());
            }
        }
        let members: Members = serde_json::from_slice(&body).map_err(|_| left_out())?;
        // A part of them would let a rule decide by less than there is.
        if members.next.is_some() {
            return Err(left_out());
        }
        Ok(identity.with_groups(members.value))
    }
}
