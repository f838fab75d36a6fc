//! What the guard must refuse although it has not expired.
//!
//! Small, because an entry lives no longer than the longest access token. Readers take a
//! snapshot without a lock; the store publishes into it before a revoking verb answers.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use vestibule_core::{
    bearer,
    id::{ClientRef, GrantId, PersonId, TokenId},
    time::Timestamp,
};

/// What ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ended {
    /// A grant.
    Grant(GrantId),
    /// One access token.
    Token(TokenId),
    /// All tokens of a person before an epoch.
    Subject(PersonId),
    /// All tokens of a client before an epoch.
    Client(ClientRef),
}

/// One entry of the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    /// Its number; without gaps.
    pub seq: u64,
    /// What ended.
    pub ended: Ended,
    /// The lowest epoch that still counts, for people and clients.
    pub epoch: u32,
    /// Until when it must be remembered.
    pub until: Timestamp,
}

/// The set, shared by all threads.
#[derive(Debug)]
pub struct Revocations {
    set: ArcSwap<Set>,
    /// Publishing is rare and in order; readers never wait for it.
    publish: Mutex<()>,
    changed: watch::Sender<u64>,
}

/// A snapshot, which is what the guard asks.
#[derive(Debug, Default, Clone)]
pub struct Set {
    last: u64,
    entries: HashMap<Ended, (u32, Timestamp)>,
}

impl Default for Revocations {
    fn default() -> Self {
        Self {
            set: ArcSwap::default(),
            publish: Mutex::default(),
            changed: watch::Sender::new(0),
        }
    }
}

impl Revocations {
    /// Takes entries in. An entry that is known already changes nothing.
    pub fn publish(&self, entries: &[Revocation]) {
        if entries.is_empty() {
            return;
        }
        let _one_at_a_time = self.publish.lock().unwrap_or_else(PoisonError::into_inner);
        let mut set = Set::clone(&self.set.load());
        for entry in entries {
            let known = set.entries.entry(entry.ended).or_insert((0, entry.until));
            known.0 = known.0.max(entry.epoch);
            known.1 = known.1.max(entry.until);
            set.last = set.last.max(entry.seq);
        }
        let last = set.last;
        self.set.store(set.into());
        self.changed.send_replace(last);
    }

    /// Forgets entries that no token can need any more.
    pub fn forget(&self, now: Timestamp) {
        let _one_at_a_time = self.publish.lock().unwrap_or_else(PoisonError::into_inner);
        let mut set = Set::clone(&self.set.load());
        set.entries.retain(|_, (_, until)| *until > now);
        self.set.store(set.into());
    }

    /// The set as it is now.
    pub fn now(&self) -> arc_swap::Guard<std::sync::Arc<Set>> {
        self.set.load()
    }

    /// The number of the last entry known.
    pub fn last(&self) -> u64 {
        self.set.load().last
    }

    /// Wakes whoever holds a stream open whenever something ended.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

impl Set {
    fn epoch(&self, ended: Ended) -> u32 {
        self.entries.get(&ended).map_or(0, |(epoch, _)| *epoch)
    }
}

impl bearer::Revocations for Set {
    fn grant_ended(&self, grant: &GrantId) -> bool {
        self.entries.contains_key(&Ended::Grant(*grant))
    }

    fn token_ended(&self, token: &TokenId) -> bool {
        self.entries.contains_key(&Ended::Token(*token))
    }

    fn subject_epoch(&self, subject: &PersonId) -> u32 {
        self.epoch(Ended::Subject(*subject))
    }

    fn client_epoch(&self, client: &ClientRef) -> u32 {
        self.epoch(Ended::Client(*client))
    }
}

#[cfg(test)]
mod tests {
    use bearer::Revocations as _;

    use super::*;

    #[test]
    fn tkn_7_a_revocation_is_seen_at_once_and_forgotten_when_no_token_needs_it() {
        let revocations = Revocations::default();
        let watch = revocations.watch();
        let grant = GrantId::new([1; 16]);
        let entry = Revocation {
            seq: 1,
            ended: Ended::Grant(grant),
            epoch: 0,
            until: Timestamp::from_unix(100),
        };
        revocations.publish(&[entry, entry]);
        assert!(revocations.now().grant_ended(&grant));
        assert!(watch.has_changed().expect("the sender lives"));
        revocations.forget(Timestamp::from_unix(99));
        assert!(revocations.now().grant_ended(&grant));
        revocations.forget(Timestamp::from_unix(100));
        assert!(!revocations.now().grant_ended(&grant));
    }

    #[test]
    fn an_epoch_only_rises() {
        let revocations = Revocations::default();
        let person = PersonId::new([1; 16]);
        let until = Timestamp::from_unix(100);
        let entry = |seq, epoch| Revocation {
            seq,
            ended: Ended::Subject(person),
            epoch,
            until,
        };
        revocations.publish(&[entry(1, 5), entry(2, 3)]);
        assert_eq!(revocations.now().subject_epoch(&person), 5);
    }
}
