//! Clients by their documents: fetched once for all who wait, kept while they are fresh.
//!
//! Only good documents are kept. A document that cannot be reached leaves the last good copy
//! valid for a week at the token endpoint, and is not asked for again at once, so that a host
//! that does not answer makes nobody wait in a row. One that is gone or changed for the worse
//! ends the copy.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::sync::Mutex;
use vestibule_core::{
    client::Client,
    client_document::{self, DocumentError, DocumentUrl},
    time::Timestamp,
};

use crate::fetch::{Documents, FetchError};

const FRESH_LEAST: Duration = Duration::from_secs(300);
const FRESH_MOST: Duration = Duration::from_secs(24 * 3600);
const GOOD_WHILE_UNREACHABLE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Between two tries, at the token endpoint, of a document that cannot be reached.
const PAUSE: Duration = Duration::from_secs(60);

const CLIENTS_MAX: usize = 4096;

/// See the module.
#[derive(Debug)]
pub struct DocumentCache {
    documents: Documents,
    schemes: Vec<String>,
    slots: Mutex<HashMap<DocumentUrl, Slot>>,
}

/// What a client is looked up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A new login: today's admission rules apply.
    Login,
    /// Using what it was given before.
    Token,
}

#[derive(Debug, Clone)]
struct Good {
    client: Client,
    fetched: Timestamp,
    fresh_until: Timestamp,
}

/// What is known of one address.
#[derive(Debug, Default)]
struct Known {
    good: Option<Good>,
    /// When it last could not be reached, and why.
    failed: Option<(Timestamp, FetchError)>,
    used: Option<Timestamp>,
}

type Slot = Arc<Mutex<Known>>;

/// Why a document makes no client now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// It could not be fetched.
    #[error("could not be fetched: {0}")]
    Fetch(#[from] FetchError),
    /// It was fetched, and is none.
    #[error("{0}")]
    Document(#[from] DocumentError),
    /// Whoever asks makes us fetch too much.
    #[error("is one of too many that were asked for from there")]
    TooMany,
}

impl LookupError {
    /// Whether it says nothing of the client itself.
    pub fn is_for_now(&self) -> bool {
        match self {
            Self::Fetch(why) => !is_gone(*why) && *why != FetchError::Address,
            Self::Document(_) => false,
            Self::TooMany => true,
        }
    }
}

impl DocumentCache {
    /// A cache over `documents`; `schemes` as in the registration policy.
    pub fn new(documents: Documents, schemes: Vec<String>) -> Self {
        Self {
            documents,
            schemes,
            slots: Mutex::default(),
        }
    }

    /// The client that the document at `url` describes. `may_fetch` is asked before each
    /// request to its host.
    ///
    /// # Errors
    /// [`LookupError`].
    pub async fn client(
        &self,
        url: &DocumentUrl,
        trusted: bool,
        purpose: Purpose,
        now: Timestamp,
        may_fetch: impl FnOnce() -> bool,
    ) -> Result<Client, LookupError> {
        let slot = self.slot(url).await;
        // Whoever comes while it is being fetched waits for the same answer.
        let mut known = slot.lock().await;
        known.used = Some(now);
        if let Some(good) = &known.good
            && now < good.fresh_until
        {
            return Ok(good.client.clone());
        }
        // No login is refused for an earlier error (CIMD-8). The token endpoint spares the
        // host: there its silence answers nothing but "later".
        let failed = known
            .failed
            .filter(|_| purpose == Purpose::Token)
            .filter(|(at, _)| now.since(*at) < PAUSE);
        let fetched = match failed {
            Some((_, why)) => Err(LookupError::Fetch(why)),
            None if may_fetch() => self.fetch(url, trusted, now).await,
            None => Err(LookupError::TooMany),
        };
        match fetched {
            Ok(fresh) => {
                let client = fresh.client.clone();
                known.good = Some(fresh);
                known.failed = None;
                Ok(client)
            }
            Err(error) if error.is_for_now() => {
                if let (LookupError::Fetch(why), None) = (&error, failed) {
                    known.failed = Some((now, *why));
                }
                known
                    .good
                    .as_ref()
                    .filter(|_| purpose == Purpose::Token)
                    .filter(|good| now.since(good.fetched) < GOOD_WHILE_UNREACHABLE)
                    .map(|good| good.client.clone())
                    .ok_or(error)
            }
            Err(error) => {
                known.good = None;
                Err(error)
            }
        }
    }

    /// The place of an address. Full, it loses first what holds nothing good, then what was
    /// not used for longest; nobody's good copy for addresses that a stranger made up.
    async fn slot(&self, url: &DocumentUrl) -> Slot {
        let mut slots = self.slots.lock().await;
        if slots.len() >= CLIENTS_MAX && !slots.contains_key(url) {
            slots.retain(|_, slot| {
                let idle = slot.try_lock();
                idle.is_ok_and(|known| known.good.is_some())
            });
            let oldest = slots
                .iter()
                .filter_map(|(url, slot)| Some((slot.try_lock().ok()?.used, url)))
                .min_by_key(|(used, _)| *used)
                .map(|(_, url)| url.clone());
            if slots.len() >= CLIENTS_MAX
                && let Some(url) = oldest
            {
                slots.remove(&url);
            }
        }
        Arc::clone(slots.entry(url.clone()).or_default())
    }

    async fn fetch(
        &self,
        url: &DocumentUrl,
        trusted: bool,
        now: Timestamp,
    ) -> Result<Good, LookupError> {
        let address = url::Url::parse(url.text()).map_err(|_| FetchError::Address)?;
        let fetched = self.documents.fetch(&address).await?;
        let client = client_document::read(url, &fetched.body, trusted, &self.schemes)?;
        let keep = fetched
            .max_age
            .unwrap_or(FRESH_LEAST)
            .clamp(FRESH_LEAST, FRESH_MOST);
        Ok(Good {
            client,
            fetched: now,
            fresh_until: now.plus(keep),
        })
    }
}

fn is_gone(why: FetchError) -> bool {
    matches!(why, FetchError::Status(404 | 410))
}
