//! How many requests one caller holds open, streams included, so that nobody takes all
//! connections (PX-10).

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::{BuildHasher as _, BuildHasherDefault, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
};

/// See the module. Callers are counted under a digest, so that counting costs no memory
/// beyond who is here.
#[derive(Debug)]
pub struct Held {
    most: usize,
    digest: RandomState,
    counts: Mutex<HashMap<u64, usize, BuildHasherDefault<Digested>>>,
}

/// One open request; given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    held: Arc<Held>,
    key: u64,
}

/// What is a keyed digest already need not be digested again.
#[derive(Debug, Default)]
struct Digested(u64);

impl Hasher for Digested {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, digest: u64) {
        self.0 = digest;
    }
}

impl Held {
    /// At most so many of each caller.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            digest: RandomState::new(),
            counts: Mutex::default(),
        })
    }

    /// A place for one more request of this caller, if there is one.
    pub fn take(self: &Arc<Self>, caller: &impl Hash) -> Option<Place> {
        let key = self.digest.hash_one(caller);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Place {
            held: Arc::clone(self),
            key,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let counts = self.held.counts.lock();
        let mut counts = counts.unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn px_10_a_caller_holds_so_many_and_others_are_not_touched() {
        let held = Held::new(2);
        let first = held.take(&1);
        let second = held.take(&1);
        assert!(first.is_some() && second.is_some());
        assert!(held.take(&1).is_none());
        assert!(held.take(&2).is_some());
        drop(first);
        assert!(held.take(&1).is_some());
        drop(second);
        assert!(held.counts.lock().expect("no panic before").is_empty());
    }
}
