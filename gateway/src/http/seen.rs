//! What was used within this process, for proofs at the data path, where no store is asked.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use vestibule_core::{assertion::Once, time::Timestamp};

/// Most uses that are remembered. Full of live ones, nothing new counts: an attacker who
/// fills it stops proofs, and replays none.
const SEEN_MAX: usize = 200_000;

/// See the module.
#[derive(Debug, Default)]
pub struct Seen(Mutex<HashMap<[u8; 32], Timestamp>>);

impl Seen {
    /// How many uses are remembered.
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether this is the first use.
    pub fn first_use(&self, once: Once, now: Timestamp) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= SEEN_MAX {
            seen.retain(|_, until| *until > now);
            if seen.len() >= SEEN_MAX {
                return false;
            }
        }
        seen.insert(*once.digest.bytes(), once.until).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dpop_4_a_proof_is_used_once() {
        let seen = Seen::default();
        let once = |id: &str| Once::of("dpop", "key", id, Timestamp::from_unix(100));
        let now = Timestamp::from_unix(1);
        assert!(seen.first_use(once("1"), now));
        assert!(!seen.first_use(once("1"), now));
        assert!(seen.first_use(once("2"), now));
    }
}
