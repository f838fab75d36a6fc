//! Public keys of others: of clients that sign, and of issuers whom the operator trusts.
//!
//! Kept for an hour. An unknown key causes one more look, at a limited rate; while the
//! address does not answer, the last good set stays.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jsonwebtoken::jwk::JwkSet;
use reqwest::Client;
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;
use vestibule_core::{
    client::ClientKeys,
    jwt::{self, Algorithm, JwtError, VerifiedClaims},
    time::Timestamp,
};

use crate::{
    fetch::{self, Documents, FetchError},
    signature::Published,
};

/// How long a set is used before it is asked for again.
const KEEP: Duration = Duration::from_secs(3600);

/// Between two looks because of an unknown key.
const PAUSE: Duration = Duration::from_secs(10);

/// Most addresses that are remembered.
const SETS_MAX: usize = 1024;

/// Where a key set is, and who chose the address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// A stranger's address, under the address rules.
    Stranger(String),
    /// An address that an operator wrote.
    Operator(String),
    /// An issuer that an operator wrote; its metadata says where its keys are.
    Issuer(String),
}

/// Why a signature could not be checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The keys are not to be had.
    #[error("the keys cannot be fetched: {0}")]
    Fetch(FetchError),
    /// What is at the address is no key set, or not this issuer's.
    #[error("the keys cannot be used: {0}")]
    NotKeys(&'static str),
    /// The token.
    #[error("the token {0}")]
    Jwt(#[from] JwtError),
}

type Slot = Arc<Mutex<Option<Known>>>;

#[derive(Debug, Clone)]
struct Known {
    set: Arc<JwkSet>,
    loaded: Timestamp,
    asked: Timestamp,
}

/// See the module.
#[derive(Debug)]
pub struct KeyCache {
    strangers: Documents,
    operators: Client,
    slots: Mutex<HashMap<Source, Slot>>,
}

impl KeyCache {
    /// A cache that asks strangers' addresses by `strangers` and all others by `operators`.
    pub fn new(strangers: Documents, operators: Client) -> Self {
        Self {
            strangers,
            operators,
            slots: Mutex::default(),
        }
    }

    /// Verifies `token` with a client's own keys.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn verify_of_client(
        &self,
        keys: &ClientKeys,
        by_operator: bool,
        token: &str,
        now: Timestamp,
    ) -> Result<VerifiedClaims, KeyError> {
        match keys {
            ClientKeys::Inline(set) => {
                let set: JwkSet = serde_json::from_value(set.clone())
                    .map_err(|_| KeyError::NotKeys("not a JWK set"))?;
                Ok(jwt::verify(token, &Published(&set), &Algorithm::ALL)?)
            }
            ClientKeys::At(address) if by_operator => {
                self.verify(&Source::Operator(address.clone()), token, now)
                    .await
            }
            ClientKeys::At(address) => {
                self.verify(&Source::Stranger(address.clone()), token, now)
                    .await
            }
        }
    }

    /// Verifies `token` with the keys at `source`.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn verify(
        &self,
        source: &Source,
        token: &str,
        now: Timestamp,
    ) -> Result<VerifiedClaims, KeyError> {
        let slot = self.slot(source).await;
        // Whoever comes while a set is being fetched waits for the same answer.
        let mut known = slot.lock().await;
        let fresh = known
            .as_ref()
            .is_some_and(|known| now.since(known.loaded) < KEEP);
        if !fresh {
            self.refresh(source, &mut known, now).await?;
        }
        let check = |known: &Option<Known>| match known {
            Some(known) => jwt::verify(token, &Published(&known.set), &Algorithm::ALL),
            None => Err(JwtError::NoSuchKey),
        };
        match check(&known) {
            Err(JwtError::NoSuchKey) => {
                let waited = known
                    .as_ref()
                    .is_none_or(|known| now.since(known.asked) >= PAUSE);
                if waited {
                    self.refresh(source, &mut known, now).await?;
                }
                Ok(check(&known)?)
            }
            other => Ok(other?),
        }
    }

    async fn slot(&self, source: &Source) -> Slot {
        let mut slots = self.slots.lock().await;
        if slots.len() >= SETS_MAX && !slots.contains_key(source) {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(slots.entry(source.clone()).or_default())
    }

    /// Asks again; a failure leaves what is known.
    async fn refresh(
        &self,
        source: &Source,
        known: &mut Option<Known>,
        now: Timestamp,
    ) -> Result<(), KeyError> {
        match (self.fetch(source).await, known.as_mut()) {
            (Ok(set), _) => {
                *known = Some(Known {
                    set: Arc::new(set),
                    loaded: now,
                    asked: now,
                });
                Ok(())
            }
            (Err(error), Some(known)) => {
                tracing::warn!(event = "keys.not_fetched", ?source, %error);
                known.asked = now;
                Ok(())
            }
            (Err(error), None) => Err(error),
        }
    }

    async fn fetch(&self, source: &Source) -> Result<JwkSet, KeyError> {
        let body = match source {
            Source::Stranger(address) => {
                let url = Url::parse(address).map_err(|_| KeyError::Fetch(FetchError::Address))?;
                let fetched = self.strangers.fetch(&url).await.map_err(KeyError::Fetch)?;
                fetched.body
            }
            Source::Operator(address) => self.get(address).await?,
            Source::Issuer(issuer) => {
                let address = self.jwks_uri(issuer).await?;
                self.get(&address).await?
            }
        };
        serde_json::from_slice(&body).map_err(|_| KeyError::NotKeys("not a JWK set"))
    }

    async fn jwks_uri(&self, issuer: &str) -> Result<String, KeyError> {
        #[derive(Deserialize)]
        struct Document {
            issuer: String,
            jwks_uri: String,
        }
        let base = issuer.trim_end_matches('/');
        let body = self
            .get(&format!("{base}/.well-known/openid-configuration"))
            .await?;
        let document: Document =
            serde_json::from_slice(&body).map_err(|_| KeyError::NotKeys("no metadata"))?;
        if document.issuer != issuer {
            return Err(KeyError::NotKeys("the metadata names another issuer"));
        }
        let plain = issuer.starts_with("http://") && document.jwks_uri.starts_with("http://");
        if plain || document.jwks_uri.starts_with("https://") {
            Ok(document.jwks_uri)
        } else {
            Err(KeyError::NotKeys("jwks_uri is not https"))
        }
    }

    async fn get(&self, address: &str) -> Result<Vec<u8>, KeyError> {
        match fetch::whole(self.operators.get(address)).await {
            Ok((200, body)) => Ok(body),
            Ok((status, _)) => Err(KeyError::Fetch(FetchError::Status(status))),
            Err(error) => Err(KeyError::Fetch(error)),
        }
    }
}
