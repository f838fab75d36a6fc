//! What the provider remembers, each kind bounded in number and in time.

use std::collections::{BTreeMap, HashMap};

use super::Digest;
use super::people::Person;
use super::scopes::Scopes;

pub(super) const SESSION_LIFE: u64 = 12 * 60 * 60;
pub(super) const CODE_LIFE: u64 = 60;
const REFRESH_LIFE: u64 = 30 * 24 * 60 * 60;

/// Keys are digests of the handles that were given out.
pub(super) struct Memory {
    pub(super) sessions: Shelf<Session>,
    pub(super) codes: Shelf<Code>,
    pub(super) refresh_tokens: Shelf<RefreshToken>,
    families: u64,
}

/// Somebody signed in with this browser.
#[derive(Clone, Copy)]
pub(super) struct Session {
    pub(super) person: &'static Person,
    pub(super) auth_time: u64,
}

/// What one login granted.
#[derive(Clone, Copy)]
pub(super) struct Grant {
    pub(super) person: &'static Person,
    pub(super) auth_time: u64,
    pub(super) scopes: Scopes,
    pub(super) family: Family,
}

/// The refresh tokens that descend from one code.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Family(u64);

/// Kept after use until it expires, so that a second use is noticed.
#[derive(Clone)]
pub(super) struct Code {
    pub(super) grant: Grant,
    pub(super) challenge: String,
    pub(super) nonce: Option<String>,
    pub(super) spent: bool,
}

/// Kept after rotation, so that a second use is noticed.
#[derive(Clone, Copy)]
pub(super) struct RefreshToken {
    pub(super) grant: Grant,
    pub(super) spent: bool,
}

impl RefreshToken {
    pub(super) fn of(grant: Grant) -> Self {
        Self {
            grant,
            spent: false,
        }
    }
}

impl Memory {
    pub(super) fn new_family(&mut self) -> Family {
        self.families += 1;
        Family(self.families)
    }

    /// Ends all refresh tokens of one login (RFC 6749 §4.1.2, RFC 9700 §4.14.2).
    pub(super) fn end_family(&mut self, family: Family) {
        self.refresh_tokens
            .retain(|token| token.grant.family != family);
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            sessions: Shelf::new(1_000, SESSION_LIFE),
            codes: Shelf::new(10_000, CODE_LIFE),
            refresh_tokens: Shelf::new(50_000, REFRESH_LIFE),
            families: 0,
        }
    }
}

/// A map whose entries live equally long; a full one lets go of the oldest.
pub(super) struct Shelf<V> {
    entries: HashMap<Digest, Entry<V>>,
    /// By age, which is also the order of expiry.
    ages: BTreeMap<u64, Digest>,
    next_age: u64,
    capacity: usize,
    life: u64,
}

struct Entry<V> {
    value: V,
    age: u64,
    expires: u64,
}

impl<V> Shelf<V> {
    fn new(capacity: usize, life: u64) -> Self {
        Self {
            entries: HashMap::new(),
            ages: BTreeMap::new(),
            next_age: 0,
            capacity,
            life,
        }
    }

    pub(super) fn insert(&mut self, key: Digest, value: V, now: u64) {
        while let Some((&age, &oldest)) = self.ages.first_key_value() {
            let expired = self
                .entries
                .get(&oldest)
                .is_none_or(|entry| entry.expires <= now);
            if !expired && self.entries.len() < self.capacity {
                break;
            }
            self.ages.remove(&age);
            self.entries.remove(&oldest);
        }
        self.remove(&key);
        let age = self.next_age;
        self.next_age += 1;
        self.ages.insert(age, key);
        let expires = now.saturating_add(self.life);
        self.entries.insert(
            key,
            Entry {
                value,
                age,
                expires,
            },
        );
    }

    pub(super) fn live(&mut self, key: &Digest, now: u64) -> Option<&mut V> {
        self.entries
            .get_mut(key)
            .filter(|entry| entry.expires > now)
            .map(|entry| &mut entry.value)
    }

    pub(super) fn remove(&mut self, key: &Digest) {
        if let Some(entry) = self.entries.remove(key) {
            self.ages.remove(&entry.age);
        }
    }

    fn retain(&mut self, keep: impl Fn(&V) -> bool) {
        let ages = &mut self.ages;
        self.entries.retain(|_, entry| {
            let kept = keep(&entry.value);
            if !kept {
                ages.remove(&entry.age);
            }
            kept
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shelf_forgets_the_expired_and_then_the_oldest() {
        let key = |name: &str| Digest::of(name);
        let mut shelf = Shelf::new(2, 60);
        shelf.insert(key("a"), 1, 100);
        shelf.insert(key("b"), 2, 110);
        assert_eq!(shelf.live(&key("a"), 159), Some(&mut 1));
        assert_eq!(shelf.live(&key("a"), 160), None, "its 60 seconds are over");

        shelf.insert(key("c"), 3, 120);
        assert_eq!(shelf.live(&key("a"), 120), None, "the oldest made room");
        assert_eq!(shelf.live(&key("b"), 120), Some(&mut 2));

        shelf.retain(|value| *value != 2);
        shelf.insert(key("d"), 4, 120);
        assert_eq!(shelf.live(&key("c"), 120), Some(&mut 3));
        assert_eq!(shelf.entries.len(), shelf.ages.len());
    }
}
