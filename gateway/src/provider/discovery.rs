//! The provider's metadata and keys (OpenID Connect Discovery §4): asked for at the start, kept
//! fresh, and asked for once more, at a limited rate, when a token is under an unknown key.

use std::{sync::Arc, time::Duration};

use jsonwebtoken::jwk::JwkSet;
use serde::Deserialize;
use tokio::time::timeout;
use url::Url;
use vestibule_core::{
    flow::cleaned,
    jwt::{self, Algorithm, JwtError, VerifiedClaims},
    time::Timestamp,
};

use super::{Provider, ProviderError};
use crate::{
    config::PlainOAuth,
    fetch::{self, FetchError},
    signature::Published,
    token_endpoint::SecretBy,
};

/// How long a discovery document and keys are used before they are asked for again.
const KEEP: Duration = Duration::from_secs(3600);

/// Between two tries while it does not answer: with nothing known no login works.
const RETRY_UNKNOWN: Duration = Duration::from_secs(2);
const RETRY_KNOWN: Duration = Duration::from_secs(60);

/// How long a request waits for whoever looks for keys.
const QUEUE: Duration = Duration::from_secs(2);

/// Between two requests for keys because of an unknown one, and between two failed tries.
const PAUSE: Duration = Duration::from_secs(10);

/// The last request for metadata.
#[derive(Debug, Default)]
pub(super) struct Last {
    /// When it was made.
    at: Option<Timestamp>,
    /// When one was last made although there was some.
    again: Option<Timestamp>,
    answered: bool,
}

/// What its discovery document says, and its keys.
#[derive(Debug)]
pub struct Discovered {
    pub(super) authorization_endpoint: String,
    pub(super) token_endpoint: String,
    pub(super) jwks_uri: String,
    pub(super) announces_iss: bool,
    pub(super) userinfo_endpoint: Option<String>,
    pub(super) takes: SecretBy,
    pub(super) takes_pss: bool,
    pub(super) keys: JwkSet,
    pub(super) loaded: Timestamp,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    token_endpoint_auth_signing_alg_values_supported: Vec<String>,
}

impl Provider {
    /// Its metadata and keys, if they are at hand.
    pub fn at_hand(&self) -> Option<Arc<Discovered>> {
        self.discovered.load_full()
    }

    /// Looks for keys once more, at a limited rate, unless somebody has since `seen` was loaded.
    /// Whether its answer is at hand: else nobody knows.
    pub async fn look_again(&self, seen: Option<Timestamp>) -> bool {
        // Strangers can make this queue long, and who waits in it holds a connection.
        let Ok(mut last) = timeout(QUEUE, self.loading.lock()).await else {
            return false;
        };
        let now = self.world.now();
        let failed = !last.answered && last.at.is_some_and(|at| now.since(at) < RETRY_UNKNOWN);
        if failed {
            return false;
        }
        match self.load_with(&mut last, now, seen).await {
            Ok(_) => last.answered,
            Err(error) => {
                tracing::warn!(event = "idp.degraded", %error);
                false
            }
        }
    }

    /// Whether its metadata and keys are at hand.
    pub fn is_known(&self) -> bool {
        self.discovered.load().is_some()
    }

    /// Its metadata and keys, however old: no login waits for a provider that answers slowly
    /// while there are some. Asked for only if there are none.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub async fn discovered(&self) -> Result<Arc<Discovered>, ProviderError> {
        match self.discovered.load_full() {
            Some(known) => Ok(known),
            None => self.load(self.world.now(), None).await,
        }
    }

    /// Keeps metadata and keys fresh, for as long as it is polled. A provider that is down at
    /// the start is found once it is up.
    pub async fn keep_fresh(&self) {
        loop {
            let seen = self.discovered.load().as_ref().map(|known| known.loaded);
            let loaded = self.load(self.world.now(), seen).await;
            if let Err(error) = &loaded {
                tracing::warn!(event = "idp.degraded", %error);
            }
            let wait = match (&loaded, self.is_known()) {
                (Ok(_), _) => KEEP,
                (Err(_), true) => RETRY_KNOWN,
                (Err(_), false) => RETRY_UNKNOWN,
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Loads metadata and keys, unless somebody did since `seen`, or just asked for newer.
    pub(super) async fn load(
        &self,
        now: Timestamp,
        seen: Option<Timestamp>,
    ) -> Result<Arc<Discovered>, ProviderError> {
        let mut last = self.loading.lock().await;
        self.load_with(&mut last, now, seen).await
    }

    async fn load_with(
        &self,
        last: &mut Last,
        now: Timestamp,
        seen: Option<Timestamp>,
    ) -> Result<Arc<Discovered>, ProviderError> {
        if let Some(known) = self.discovered.load_full()
            && Some(known.loaded) != seen
        {
            return Ok(known);
        }
        if let Some(known) = self.discovered.load_full() {
            if last.again.is_some_and(|again| now.since(again) < PAUSE) {
                return Ok(known);
            }
            last.again = Some(now);
        }
        // Who goes away in the middle of it has heard no answer.
        (last.at, last.answered) = (Some(now), false);
        let fresh = self.ask(now).await?;
        last.answered = true;
        if let Some(known) = self.discovered.load_full()
            && host_of(&known.token_endpoint) != host_of(&fresh.token_endpoint)
        {
            // Credentials do not follow a document to another host by themselves.
            tracing::error!(
                event = "idp.moved",
                "the provider's token endpoint moved to another host; restart to accept it"
            );
            return Ok(known);
        }
        let fresh = Arc::new(fresh);
        self.discovered.store(Some(Arc::clone(&fresh)));
        Ok(fresh)
    }

    async fn ask(&self, now: Timestamp) -> Result<Discovered, ProviderError> {
        use ProviderError as E;
        if let Some(plain) = &self.idp.plain {
            return Ok(Discovered::of(plain, now));
        }
        let address = format!(
            "{}/.well-known/openid-configuration",
            self.idp.issuer.trim_end_matches('/')
        );
        let body = self.get(&address).await?;
        let document: Document =
            serde_json::from_slice(&body).map_err(|_| E::Discovery("is not one"))?;
        let expected = match &self.idp.tenants {
            Some((template, _)) => template,
            None => &self.idp.issuer,
        };
        if document.issuer != *expected {
            return Err(E::Issuer(cleaned(&document.issuer, 200)));
        }
        let plain = self.idp.issuer.starts_with("http://");
        for endpoint in [
            Some(&document.authorization_endpoint),
            Some(&document.token_endpoint),
            Some(&document.jwks_uri),
            document.userinfo_endpoint.as_ref(),
        ]
        .into_iter()
        .flatten()
        {
            let url = Url::parse(endpoint).map_err(|_| E::Discovery("has a malformed endpoint"))?;
            if url.scheme() != "https" && !(plain && url.scheme() == "http") {
                return Err(E::Discovery("has an endpoint that is not https"));
            }
        }
        let body = self.get(&document.jwks_uri).await?;
        let keys =
            serde_json::from_slice(&body).map_err(|_| E::Discovery("has no readable keys"))?;
        let methods = document.token_endpoint_auth_methods_supported;
        Ok(Discovered {
            authorization_endpoint: document.authorization_endpoint,
            token_endpoint: document.token_endpoint,
            jwks_uri: document.jwks_uri,
            announces_iss: document.authorization_response_iss_parameter_supported,
            userinfo_endpoint: document.userinfo_endpoint,
            takes: SecretBy::of(methods.as_deref()),
            takes_pss: document
                .token_endpoint_auth_signing_alg_values_supported
                .iter()
                .any(|algorithm| algorithm == "PS256"),
            keys,
            loaded: now,
        })
    }

    async fn get(&self, address: &str) -> Result<Vec<u8>, ProviderError> {
        match fetch::whole(self.http.get(address)).await {
            Ok((200, body)) => Ok(body),
            Ok((status, _)) => Err(ProviderError::Unreachable(FetchError::Status(status))),
            Err(error) => Err(ProviderError::Unreachable(error)),
        }
    }
}

impl Discovered {
    /// Of a provider that has no discovery document and no keys.
    fn of(plain: &PlainOAuth, loaded: Timestamp) -> Self {
        Self {
            authorization_endpoint: plain.authorization_endpoint.clone(),
            token_endpoint: plain.token_endpoint.clone(),
            jwks_uri: String::new(),
            announces_iss: false,
            userinfo_endpoint: None,
            takes: match plain.secret_in_form {
                true => SecretBy::Form,
                false => SecretBy::Header,
            },
            takes_pss: false,
            keys: JwkSet { keys: Vec::new() },
            loaded,
        }
    }

    /// Whether it announces `iss` in its answers (RFC 9207 §3).
    pub fn announces_iss(&self) -> bool {
        self.announces_iss
    }

    /// When this was loaded.
    pub fn loaded(&self) -> Timestamp {
        self.loaded
    }

    /// The claims of a token under one of its keys.
    ///
    /// # Errors
    /// [`JwtError`]; of an unknown key, which it may publish by now.
    pub fn verify(&self, token: &str) -> Result<VerifiedClaims, JwtError> {
        jwt::verify(token, &Published(&self.keys), &Algorithm::ALL)
    }

    /// Where its keys are.
    pub fn jwks_uri(&self) -> &str {
        &self.jwks_uri
    }
}

fn host_of(address: &str) -> Option<String> {
    Url::parse(address)
        .ok()
        .map(|url| url.origin().ascii_serialization())
}
