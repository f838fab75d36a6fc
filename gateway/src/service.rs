//! A service behind an MCP server at which people have accounts of their own: an OAuth
//! authorization server of somebody else, of which this gateway is a client.

use std::{sync::Arc, time::Duration};

use reqwest::{Client, RequestBuilder};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;
use url::Url;
use vestibule_core::{
    discovery::{ServerMetadata, metadata_locations},
    pkce::{CodeChallenge, CodeVerifier},
    secret::{Digest, Secret},
    time::Timestamp,
    uri::with_query,
};

use crate::{
    config::{ServiceAt, ServiceSettings},
    fetch::{self, FetchError},
    token_endpoint::{self, Failed, Granted, SecretBy, TokenAnswer},
};

/// The life of a token that ends when the person takes it back.
const ENDLESS: Duration = Duration::from_secs(10 * 365 * 86_400);

/// See the module.
#[derive(Debug)]
pub struct Service {
    settings: ServiceSettings,
    callback: String,
    http: Client,
    endpoints: OnceCell<Arc<Endpoints>>,
}

/// Where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    authorization: String,
    token: String,
    issuer: Option<String>,
    announces_iss: bool,
    takes: SecretBy,
    revocation: Option<String>,
}

/// What is kept of an account, as it is sealed into the store.
#[derive(Serialize, Deserialize)]
pub struct Kept {
    access_token: String,
    refresh_token: Option<String>,
    expires: Timestamp,
    /// Of which registration of ours, so that nothing is shown to another service than the one
    /// that gave it.
    of: Digest,
}

/// Why a service gives nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// It does not answer.
    #[error("the service: {0}")]
    Unreachable(FetchError),
    /// Its metadata cannot be used.
    #[error("the service's metadata {0}")]
    Metadata(&'static str),
    /// Its token endpoint said no.
    #[error("the service's token endpoint answered {status} {error}: {said}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Its `error`, cleaned.
        error: String,
        /// Its words, cleaned.
        said: String,
    },
    /// No access token that everybody can send.
    #[error("the service sent no bearer token")]
    NoAccessToken,
    /// What is kept is of another registration, or cannot be read, or ended and there is
    /// nothing to renew it with.
    #[error("the account must be connected anew")]
    Over,
}

impl From<Failed> for ServiceError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Unreachable(error) => Self::Unreachable(error),
            Failed::Refused {
                status,
                error,
                said,
                ..
            } => Self::Refused {
                status,
                error,
                said,
            },
        }
    }
}

impl ServiceError {
    /// Whether it says that the account is not to be used any more (RFC 6749 §5.2).
    pub fn is_over(&self) -> bool {
        match self {
            Self::Over => true,
            Self::Refused { status, error, .. } => {
                // GitHub and Slack have words of their own for it.
                matches!(status, 400 | 401 | 403)
                    && matches!(
                        error.as_str(),
                        "invalid_grant"
                            | "bad_refresh_token"
                            | "invalid_refresh_token"
                            | "token_revoked"
                    )
            }
            _ => false,
        }
    }
}

impl Service {
    /// The service of `settings`, which sends people back to `callback`.
    pub fn new(settings: ServiceSettings, callback: String, http: Client) -> Self {
        Self {
            settings,
            callback,
            http,
            endpoints: OnceCell::new(),
        }
    }

    /// Its host, for people.
    pub fn host(&self) -> String {
        vestibule_core::uri::host_for_people(match &self.settings.at {
            ServiceAt::Issuer(issuer) => issuer,
            ServiceAt::Endpoints { authorization, .. } => authorization,
        })
    }

    /// Which registration of ours it knows.
    fn registration(&self) -> Digest {
        let at = match &self.settings.at {
            ServiceAt::Issuer(issuer) => issuer,
            ServiceAt::Endpoints { token, .. } => token,
        };
        Digest::of(format!("{at} {}", self.settings.client_id).as_bytes())
    }

    /// Where it is; its metadata is asked for once.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn endpoints(&self) -> Result<Arc<Endpoints>, ServiceError> {
        let found = self.endpoints.get_or_try_init(|| async {
            Ok(Arc::new(match &self.settings.at {
                ServiceAt::Issuer(issuer) => self.discover(issuer).await?,
                ServiceAt::Endpoints {
                    authorization,
                    token,
                } => Endpoints {
                    authorization: authorization.clone(),
                    token: token.clone(),
                    issuer: None,
                    announces_iss: false,
                    takes: match self.settings.post_only {
                        true => SecretBy::Form,
                        false => SecretBy::Header,
                    },
                    revocation: None,
                },
            }))
        });
        found.await.cloned()
    }

    async fn discover(&self, issuer: &str) -> Result<Endpoints, ServiceError> {
        use ServiceError as E;
        let url = Url::parse(issuer).map_err(|_| E::Metadata("has no address"))?;
        let mut failed = E::Metadata("is nowhere to be found");
        for place in metadata_locations(&url) {
            match fetch::whole(self.http.get(place)).await {
                Ok((200, body)) => return self.read(issuer, &body),
                // Not there is not the same as not answering.
                Ok((status, _)) if status < 500 => {}
                Ok((status, _)) => failed = E::Unreachable(FetchError::Status(status)),
                Err(error) => return Err(E::Unreachable(error)),
            }
        }
        Err(failed)
    }

    fn read(&self, issuer: &str, body: &[u8]) -> Result<Endpoints, ServiceError> {
        use ServiceError as E;
        let metadata: ServerMetadata =
            serde_json::from_slice(body).map_err(|_| E::Metadata("is not readable"))?;
        if metadata.issuer != issuer {
            return Err(E::Metadata("names another issuer"));
        }
        let plain = issuer.starts_with("http://");
        let good = |endpoint: Option<String>| {
            let url = Url::parse(endpoint.as_deref()?).ok()?;
            let secure = url.scheme() == "https" || (plain && url.scheme() == "http");
            endpoint.filter(|_| secure)
        };
        let (Some(authorization), Some(token)) = (
            good(metadata.authorization_endpoint),
            good(metadata.token_endpoint),
        ) else {
            return Err(E::Metadata(
                "lacks an endpoint, or has one that is not https",
            ));
        };
        Ok(Endpoints {
            revocation: good(metadata.revocation_endpoint),
            authorization,
            token,
            issuer: Some(metadata.issuer),
            announces_iss: metadata.authorization_response_iss_parameter_supported,
            takes: match self.settings.post_only {
                true => SecretBy::Form,
                false => SecretBy::of(metadata.token_endpoint_auth_methods_supported.as_deref()),
            },
        })
    }

    /// Where to send the browser (RFC 6749 §4.1.1, RFC 7636).
    pub fn authorization_url(
        &self,
        endpoints: &Endpoints,
        state: &str,
        challenge: &CodeChallenge,
    ) -> String {
        let scope = self.settings.scopes.join(" ");
        let challenge = challenge.text();
        let mut params = vec![
            ("response_type", "code"),
            ("client_id", self.settings.client_id.as_str()),
            ("redirect_uri", self.callback.as_str()),
            ("state", state),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ];
        if !scope.is_empty() {
            params.push(("scope", &scope));
        }
        params.extend(
            self.settings
                .params
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        with_query(&endpoints.authorization, &params)
    }

    /// Whether an answer that has `iss` is this service's (RFC 9207 §2.4).
    pub fn is_from(endpoints: &Endpoints, iss: Option<&str>) -> bool {
        match (iss, &endpoints.issuer) {
            (Some(iss), Some(issuer)) => iss == issuer,
            (None, _) => !endpoints.announces_iss,
            (Some(_), None) => true,
        }
    }

    /// Redeems its code; what is kept.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn redeem(
        &self,
        endpoints: &Endpoints,
        code: &str,
        verifier: &CodeVerifier,
        now: Timestamp,
    ) -> Result<Kept, ServiceError> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.callback),
            ("code_verifier", verifier.expose()),
        ];
        let answer = self.ask(endpoints, &form).await?;
        self.kept(&answer, None, now)
    }

    /// What is kept, if it is of this registration.
    ///
    /// # Errors
    /// [`ServiceError::Over`].
    pub fn open(&self, kept: &[u8]) -> Result<Kept, ServiceError> {
        let kept: Kept = serde_json::from_slice(kept).map_err(|_| ServiceError::Over)?;
        if kept.of == self.registration() {
            Ok(kept)
        } else {
            Err(ServiceError::Over)
        }
    }

    /// Gets another access token (RFC 6749 §6).
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn refresh(&self, kept: &Kept, now: Timestamp) -> Result<Kept, ServiceError> {
        let refresh_token = kept.refresh_token.as_deref().ok_or(ServiceError::Over)?;
        let endpoints = self.endpoints().await?;
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
        ];
        let answer = self.ask(&endpoints, &form).await?;
        self.kept(&answer, Some(refresh_token), now)
    }

    /// Tells the service that what was kept is over (RFC 7009 §2.1), where it takes that.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn revoke(&self, kept: &Kept) -> Result<(), ServiceError> {
        let endpoints = self.endpoints().await?;
        let Some(revocation) = &endpoints.revocation else {
            return Ok(());
        };
        let (token, kind) = match &kept.refresh_token {
            Some(token) => (token, "refresh_token"),
            None => (&kept.access_token, "access_token"),
        };
        let form = vec![("token", token.as_str()), ("token_type_hint", kind)];
        let (request, form) = self.authenticated(revocation, &endpoints, form);
        match fetch::whole(request.form(&form)).await {
            Ok((status, _)) if status < 400 => Ok(()),
            Ok((status, _)) => Err(ServiceError::Unreachable(FetchError::Status(status))),
            Err(error) => Err(ServiceError::Unreachable(error)),
        }
    }

    fn kept(
        &self,
        answer: &TokenAnswer,
        before: Option<&str>,
        now: Timestamp,
    ) -> Result<Kept, ServiceError> {
        let granted = answer.granted().ok_or(ServiceError::NoAccessToken)?;
        let refresh_token = answer.refresh_token.as_deref().or(before);
        // One that nothing renews and that says no end has none.
        let life = match (answer.expires_in, refresh_token) {
            (None, None) => ENDLESS,
            _ => granted.life,
        };
        Ok(Kept {
            access_token: granted.access_token.expose().to_owned(),
            refresh_token: refresh_token.map(str::to_owned),
            expires: now.plus(life),
            of: self.registration(),
        })
    }

    async fn ask(
        &self,
        endpoints: &Endpoints,
        form: &[(&str, &str)],
    ) -> Result<TokenAnswer, ServiceError> {
        let (request, form) = self.authenticated(&endpoints.token, endpoints, form.to_vec());
        // Some answer as a form unless they are asked otherwise.
        let request = request.header(http::header::ACCEPT, "application/json");
        Ok(token_endpoint::ask(request, &form).await?)
    }

    /// A request that shows who we are.
    fn authenticated<'f>(
        &'f self,
        at: &str,
        endpoints: &Endpoints,
        mut form: Vec<(&'f str, &'f str)>,
    ) -> (RequestBuilder, Vec<(&'f str, &'f str)>) {
        let request = self.http.post(at);
        let id = &self.settings.client_id;
        let Some(secret) = &self.settings.client_secret else {
            form.push(("client_id", id));
            return (request, form);
        };
        let request = token_endpoint::show_secret(request, &mut form, id, secret, endpoints.takes);
        (request, form)
    }
}

impl Kept {
    /// As it is sealed.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The access token and how long it is good; `None` if that is over.
    pub fn granted(&self, now: Timestamp) -> Option<Granted> {
        let life = self.expires.since(now);
        (!life.is_zero()).then(|| Granted {
            access_token: Secret::new(self.access_token.clone()),
            life,
        })
    }

    /// Whether it can be renewed.
    pub fn renews(&self) -> bool {
        self.refresh_token.is_some()
    }
}
