//! Clients by their documents: fetched once for all who wait, kept while they are fresh.
//!
//! Only good documents are kept. A failure is never remembered, so the next try is a new
//! one; at the token endpoint a document that cannot be reached leaves the last good copy
//! valid for a week, and one that is gone or changed for the worse does not.

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
const CLIENTS_MAX: usize = 4096;

/// See the module.
#[derive(Debug)]
pub struct DocumentCache {
    documents: Documents,
    schemes: Vec<String>,
    slots: Mutex<HashMap<DocumentUrl, Arc<Mutex<Option<Good>>>>>,
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

/// Why a document makes no client now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// It could not be fetched.
    #[error("could not be fetched: {0}")]
    Fetch(#[from] FetchError),
    /// It was fetched, and is none.
    #[error("{0}")]
    Document(#[from] DocumentError),
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

    /// The client that the document at `url` describes.
    ///
    /// # Errors
    /// [`LookupError`].
    pub async fn client(
        &self,
        url: &DocumentUrl,
        trusted: bool,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<Client, LookupError> {
        let slot = {
            let mut slots = self.slots.lock().await;
            if slots.len() >= CLIENTS_MAX && !slots.contains_key(url) {
                slots.retain(|_, slot| Arc::strong_count(slot) > 1);
            }
            Arc::clone(slots.entry(url.clone()).or_default())
        };
        // Whoever comes while it is being fetched waits for the same answer.
        let mut good = slot.lock().await;
        if let Some(good) = good.as_ref()
            && now < good.fresh_until
        {
            return Ok(good.client.clone());
        }
        match self.fetch(url, trusted, now).await {
            Ok(fresh) => {
                let client = fresh.client.clone();
                *good = Some(fresh);
                Ok(client)
            }
            Err(LookupError::Fetch(why)) if purpose == Purpose::Token && !is_gone(why) => good
                .as_ref()
                .filter(|good| now.since(good.fetched) < GOOD_WHILE_UNREACHABLE)
                .map(|good| good.client.clone())
                .ok_or(LookupError::Fetch(why)),
            Err(error) => {
                if !matches!(error, LookupError::Fetch(why) if !is_gone(why)) {
                    *good = None;
                }
                Err(error)
            }
        }
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
