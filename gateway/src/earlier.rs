//! The last that apps did without a token, in memory only: what a login's record guesses its
//! beginning from.

use std::{
    collections::VecDeque,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use http::{HeaderMap, header};
use vestibule_core::{
    flow::{
        Entry,
        earlier::{self, About, Seen, Sight},
    },
    secret::Digest,
    time::Timestamp,
};

/// Sights that are kept; the oldest go first.
const KEPT: usize = 2048;

/// See the module. One for the whole process.
#[derive(Default)]
pub struct Earlier(Mutex<VecDeque<Sight>>);

impl Earlier {
    /// Keeps what somebody at `address` did.
    pub fn saw(&self, address: IpAddr, headers: &HeaderMap, seen: Seen, now: Timestamp) {
        let agent = headers.get(header::USER_AGENT);
        let sight = Sight {
            at: now,
            address,
            agent: Digest::of(agent.map_or(b"", |agent| agent.as_bytes())),
            seen,
        };
        let mut sights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sights.len() == KEPT {
            sights.pop_front();
        }
        sights.push_back(sight);
    }

    /// What probably came before a login.
    pub fn before(&self, about: &About<'_>) -> Vec<Entry> {
        let mut sights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        earlier::probably(sights.make_contiguous(), about)
    }
}
