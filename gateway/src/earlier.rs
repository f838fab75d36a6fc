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

use crate::http::limit::block_of;

/// Sights that are kept, of all and of one network; the oldest go first.
const KEPT: usize = 2048;
const KEPT_OF_ONE: usize = 64;

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
        // What somebody does again and again is told as the last time.
        let again = sights.iter().position(|other| {
            other.address == address && other.agent == sight.agent && other.seen == sight.seen
        });
        // Nobody pushes out what others did.
        let ours = block_of(address);
        let mut theirs = (0..)
            .zip(&*sights)
            .filter_map(|(place, other)| (block_of(other.address) == ours).then_some(place));
        let oldest: Option<usize> = theirs.next();
        let full = theirs.count() + 1 >= KEPT_OF_ONE;
        match again.or(oldest.filter(|_| full)) {
            Some(place) => drop(sights.remove(place)),
            None if sights.len() == KEPT => drop(sights.pop_front()),
            None => {}
        }
        sights.push_back(sight);
    }

    /// What probably came before a login.
    pub fn before(&self, about: &About<'_>) -> Vec<Entry> {
        let mut sights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        earlier::probably(sights.make_contiguous(), about)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_pushes_out_what_others_did() {
        let earlier = Earlier::default();
        let saw = |address: &str, seen| {
            let address = address.parse().expect("an address");
            earlier.saw(address, &HeaderMap::new(), seen, Timestamp::from_unix(1));
        };
        let kept = || earlier.0.lock().expect("no panic").len();
        let client = Digest::of(b"vcl_1");
        saw("192.0.2.1", Seen::Registered(client));
        for last in 0..=u16::MAX {
            // One customer has as many addresses as they like.
            saw(&format!("2001:db8::{last:x}"), Seen::ServerMetadata);
        }
        let about = About {
            client,
            server: "weather",
            browser: "192.0.2.9".parse().expect("an address"),
            now: Timestamp::from_unix(2),
        };
        assert_eq!(earlier.before(&about).len(), 1);
        assert_eq!(kept(), KEPT_OF_ONE + 1);
        for _ in 0..KEPT_OF_ONE {
            saw("192.0.2.7", Seen::ServerMetadata);
        }
        assert_eq!(kept(), KEPT_OF_ONE + 2, "the same again is one");
    }
}
