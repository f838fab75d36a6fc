//! Public keys of others: of clients that sign, and of issuers whom the operator trusts.
//!
//! Kept for an hour. An unknown key causes one more look, at a limited rate. While the address
//! does not answer it is not asked again and again, and the last good set stays for a week;
//! a set that is gone is gone at once.

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

/// Between two looks, because of an unknown key or after a failure.
const PAUSE: Duration = Duration::from_secs(10);

/// How old the last good set may be while its address does not answer.
const GOOD_WHILE_UNREACHABLE: Duration = Duration::from_secs(7 * 24 * 3600);

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

type Slot = Arc<Mutex<Known>>;

/// What is known of one address.
#[derive(Debug, Default)]
struct Known {
    /// The last good set, and when it was loaded.
    set: Option<(Arc<JwkSet>, Timestamp)>,
    /// When it was last asked for, and why there was none then.
    asked: Option<(Timestamp, Option<KeyError>)>,
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
        let check = |set: &JwkSet| jwt::verify(token, &Published(set), &Algorithm::ALL);
        let (set, loaded) = self
            .set(source, &slot, now, |loaded| now.since(loaded) < KEEP)
            .await?;
        match check(&set) {
            Err(JwtError::NoSuchKey) => {
                // A newer one, unless it was asked for just now.
                let (set, _) = self.set(source, &slot, now, |at| at > loaded).await?;
                Ok(check(&set)?)
            }
            other => Ok(other?),
        }
    }

    /// The set at `source`: the one at hand if it is `good`, else a newer one if there is
    /// one to be had now.
    async fn set(
        &self,
        source: &Source,
        slot: &Slot,
        now: Timestamp,
        good: impl Fn(Timestamp) -> bool,
    ) -> Result<(Arc<JwkSet>, Timestamp), KeyError> {
        // Whoever comes while it is being fetched waits for the same answer.
        let mut known = slot.lock().await;
        if let Some((set, loaded)) = &known.set
            && good(*loaded)
        {
            return Ok((Arc::clone(set), *loaded));
        }
        let just_asked = known
            .asked
            .as_ref()
            .is_some_and(|(at, _)| now.since(*at) < PAUSE);
        if !just_asked {
            let fetched = self.fetch(source).await;
            known.asked = Some((now, fetched.as_ref().err().cloned()));
            match fetched {
                Ok(set) => known.set = Some((Arc::new(set), now)),
                Err(error) => {
                    tracing::warn!(event = "keys.not_fetched", ?source, %error);
                    if matches!(error, KeyError::Fetch(FetchError::Status(404 | 410))) {
                        known.set = None;
                    }
                }
            }
        }
        let usable = |loaded| now.since(loaded) < GOOD_WHILE_UNREACHABLE;
        match (&known.set, &known.asked) {
            (Some((set, loaded)), _) if usable(*loaded) => Ok((Arc::clone(set), *loaded)),
            (_, Some((_, Some(why)))) => Err(why.clone()),
            _ => Err(KeyError::NotKeys("too old to be used")),
        }
    }

    /// The place of an address. Full, it loses those of strangers that nobody uses now; what
    /// an operator wrote stays.
    async fn slot(&self, source: &Source) -> Slot {
        let mut slots = self.slots.lock().await;
        if slots.len() >= SETS_MAX && !slots.contains_key(source) {
            slots.retain(|source, slot| {
                !matches!(source, Source::Stranger(_)) || Arc::strong_count(slot) > 1
            });
        }
        Arc::clone(slots.entry(source.clone()).or_default())
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
