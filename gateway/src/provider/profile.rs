//! Who somebody is where there are no ID tokens: asked with the access token of the login, which
//! nobody else has seen (UP-22).

use http::header;
use serde_json::{Map, Value};
use vestibule_core::{id_token::IdTokenError, identity::VerifiedIdentity, secret::Secret};

use super::{Provider, ProviderError};
use crate::{
    config::{Membership, ORGANIZATION, PlainOAuth},
    fetch::{self, FetchError},
};

/// How many groups one answer has, and how many answers are read.
const PAGE: usize = 100;
const PAGES: usize = 5;

impl Provider {
    /// The person whose access token this is.
    ///
    /// # Errors
    /// [`ProviderError`]; `invalid_token` if it is good no more.
    pub(super) async fn profile(
        &self,
        plain: &PlainOAuth,
        token: &Secret,
    ) -> Result<VerifiedIdentity, ProviderError> {
        let body = self
            .asked_with(token, &plain.userinfo_endpoint, true)
            .await?;
        let profile: Map<String, Value> = serde_json::from_slice(&body)
            .map_err(|_| ProviderError::Discovery("has a userinfo endpoint that is no JSON"))?;
        let issuer = &self.idp.issuer;
        let mut identity = VerifiedIdentity::of_profile(issuer, &profile, &plain.claims)?;
        let wanted = |membership: &&Membership| {
            let admits = membership.kind == ORGANIZATION && plain.organizations.is_some();
            self.idp.needs_groups || admits
        };
        let mut memberships = plain.memberships.iter().filter(wanted).peekable();
        if memberships.peek().is_some() {
            let mut groups = Vec::new();
            for membership in memberships {
                groups.extend(self.members(membership, token).await?);
            }
            identity = identity.with_groups(groups);
        }
        if let Some(organizations) = &plain.organizations {
            let is_in = |id: &String| {
                let group = format!("{ORGANIZATION}:{id}");
                identity.groups().contains(&group)
            };
            if !organizations.iter().any(is_in) {
                return Err(IdTokenError::Organization.into());
            }
        }
        Ok(identity)
    }

    async fn members(
        &self,
        membership: &Membership,
        token: &Secret,
    ) -> Result<Vec<String>, ProviderError> {
        let Membership { kind, address } = membership;
        let mut groups = Vec::new();
        for page in 1..=PAGES {
            let address = format!("{address}?per_page={PAGE}&page={page}");
            let body = self.asked_with(token, &address, false).await?;
            let list: Vec<Value> =
                serde_json::from_slice(&body).map_err(|_| IdTokenError::Claim)?;
            let count = list.len();
            for one in list {
                let id = one["id"].as_u64().ok_or(IdTokenError::Claim)?;
                groups.push(format!("{kind}:{id}"));
            }
            if count < PAGE {
                return Ok(groups);
            }
        }
        // A part of them would let a rule decide by less than there is.
        Err(IdTokenError::GroupsLeftOut.into())
    }

    /// `of_whom` is whether a no is about the person: of what else there is, it may be about that.
    async fn asked_with(
        &self,
        token: &Secret,
        address: &str,
        of_whom: bool,
    ) -> Result<Vec<u8>, ProviderError> {
        let request = self.http.get(address).bearer_auth(token.expose());
        let request = request.header(header::ACCEPT, "application/json");
        let answer = fetch::begin(request).await;
        let answer = answer.map_err(ProviderError::Unreachable)?;
        let status = answer.status().as_u16();
        let has = |name, value: Option<&str>| {
            let said = answer.headers().get(name);
            said.is_some_and(|said| value.is_none_or(|value| said == value))
        };
        // Too many questions of ours are told apart from a no by these alone.
        let too_many = has("retry-after", None) || has("x-ratelimit-remaining", Some("0"));
        match status {
            200 => fetch::rest(answer, fetch::PROVIDER_ANSWER_MAX)
                .await
                .map_err(ProviderError::Unreachable),
            // Who took it back at the provider says so in no other way (RFC 6750 §3.1), and of
            // an account that was suspended GitHub says 403.
            401 | 403 if (status == 401 || of_whom) && !too_many => {
                Err(ProviderError::TokenRefused {
                    status,
                    error: "invalid_token".to_owned(),
                    said: String::new(),
                    claims: None,
                })
            }
            _ => Err(ProviderError::Unreachable(FetchError::Status(status))),
        }
    }
}
