//! How often a stranger may ask: a bucket for each address block, and one for all.
//!
//! Blocks, because an address costs nothing in IPv6; generous, because many people sit
//! behind one address of a company or a vendor.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use vestibule_core::{secret::Digest, time::Timestamp};

/// Most blocks that are remembered; beyond, the whole world shares one bucket.
const BLOCKS_MAX: usize = 50_000;

/// See the module.
#[derive(Debug)]
pub struct Limiter {
    /// Requests that a block may make at once.
    burst: u32,
    /// Requests that a block gets back each minute.
    per_minute: u32,
    /// As many times as much for everybody together.
    everybody: u32,
    buckets: Mutex<HashMap<Key, Bucket>>,
}

/// Whose bucket, and for what; zero where a block has only one.
type Key = (Block, u64);

const FOR_ALL: Key = (Block::Everybody, 0);

/// Addresses that are likely one customer's: an address of IPv4, a /64 of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Block {
    /// One address.
    V4([u8; 4]),
    /// A network.
    V6([u8; 8]),
    /// All of them together.
    Everybody,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: u32,
    filled: Timestamp,
}

/// Seconds to wait before asking again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait(pub u64);

impl Limiter {
    /// `burst` requests at once from a block and `per_minute` after that; `everybody` times
    /// as much from all blocks together. A `per_minute` of zero means no limit.
    pub fn new(burst: u32, per_minute: u32, everybody: u32) -> Self {
        Self {
            burst,
            per_minute,
            everybody,
            buckets: Mutex::default(),
        }
    }

    /// Takes one request of `address` from its bucket.
    ///
    /// # Errors
    /// [`Wait`] if nothing is left.
    pub fn take(&self, address: IpAddr, now: Timestamp) -> Result<(), Wait> {
        self.take_for(address, "", now)
    }

    /// The same from the bucket that `address` has for `what` alone: whoever fails at one
    /// thing leaves the others behind the same address theirs.
    ///
    /// # Errors
    /// [`Wait`] if nothing is left.
    pub fn take_for(&self, address: IpAddr, what: &str, now: Timestamp) -> Result<(), Wait> {
        if self.per_minute == 0 {
            return Ok(());
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let key = self.key(&mut buckets, address, what, now);
        let many = |n: u32| n.saturating_mul(self.everybody);
        let all = (many(self.burst), many(self.per_minute));
        // Looked at first, so that one who may not does not use up what all share.
        peek(&buckets, FOR_ALL, all, now)?;
        if key != FOR_ALL {
            take(&mut buckets, key, (self.burst, self.per_minute), now)?;
        }
        take(&mut buckets, FOR_ALL, all, now)
    }

    /// Gives one request back that turned out to be none of those that are counted.
    pub fn give_back(&self, address: IpAddr, what: &str) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        for key in [(block_of(address), number_of(what)), FOR_ALL] {
            if let Some(bucket) = buckets.get_mut(&key) {
                // A bucket is never filled beyond its burst at the next look.
                bucket.left = bucket.left.saturating_add(1);
            }
        }
    }

    /// The bucket to take from: its own, or that of everybody once too many are remembered.
    fn key(
        &self,
        buckets: &mut HashMap<Key, Bucket>,
        address: IpAddr,
        what: &str,
        now: Timestamp,
    ) -> Key {
        let key = (block_of(address), number_of(what));
        if buckets.len() < BLOCKS_MAX || buckets.contains_key(&key) {
            return key;
        }
        // Full again at once only if they are all in use; then nobody looks through them
        // more often than each second.
        let swept = buckets.get(&SWEPT).map(|bucket| bucket.filled);
        if swept.is_none_or(|at| now.since(at).as_secs() > 0) {
            let full = u64::from(self.burst) * 60 / u64::from(self.per_minute) + 60;
            buckets
                .retain(|key, bucket| *key == FOR_ALL || now.since(bucket.filled).as_secs() < full);
            let bucket = Bucket {
                left: 0,
                filled: now,
            };
            buckets.insert(SWEPT, bucket);
        }
        if buckets.len() < BLOCKS_MAX {
            key
        } else {
            FOR_ALL
        }
    }
}

/// When it was last looked for buckets that nobody needs.
const SWEPT: Key = (Block::Everybody, 1);

fn number_of(what: &str) -> u64 {
    if what.is_empty() {
        return 0;
    }
    let digest = Digest::of(what.as_bytes());
    let (number, _) = digest
        .bytes()
        .split_first_chunk::<8>()
        .unwrap_or((&[0; 8], &[]));
    u64::from_be_bytes(*number).max(2)
}

fn filled(
    buckets: &HashMap<Key, Bucket>,
    key: Key,
    (burst, per_minute): (u32, u32),
    now: Timestamp,
) -> Bucket {
    let Some(bucket) = buckets.get(&key) else {
        return Bucket {
            left: burst,
            filled: now,
        };
    };
    let back = now.since(bucket.filled).as_secs() * u64::from(per_minute) / 60;
    if back == 0 {
        return *bucket;
    }
    let back = u32::try_from(back).unwrap_or(u32::MAX);
    Bucket {
        left: bucket.left.saturating_add(back).min(burst),
        filled: now,
    }
}

fn peek(
    buckets: &HashMap<Key, Bucket>,
    key: Key,
    rate: (u32, u32),
    now: Timestamp,
) -> Result<(), Wait> {
    match filled(buckets, key, rate, now).left {
        0 => Err(Wait((60 / u64::from(rate.1)).max(1))),
        _ => Ok(()),
    }
}

fn take(
    buckets: &mut HashMap<Key, Bucket>,
    key: Key,
    rate: (u32, u32),
    now: Timestamp,
) -> Result<(), Wait> {
    peek(buckets, key, rate, now)?;
    let mut bucket = filled(buckets, key, rate, now);
    bucket.left -= 1;
    buckets.insert(key, bucket);
    Ok(())
}

/// The block of an address.
pub fn block_of(address: IpAddr) -> Block {
    match address.to_canonical() {
        IpAddr::V4(address) => Block::V4(address.octets()),
        IpAddr::V6(address) => {
            let mut network = [0; 8];
            network.copy_from_slice(&address.octets()[..8]);
            Block::V6(network)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix(seconds)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn dcr_8_t_reg_05_a_flood_of_one_block_leaves_others_their_own() {
        let limiter = Limiter::new(10, 60, 100);
        let passed = |address: &str, seconds, n: u32| {
            (0..n)
                .filter(|_| limiter.take(ip(address), at(seconds)).is_ok())
                .count()
        };
        assert_eq!(passed("192.0.2.1", 100, 10_000), 10);
        assert_eq!(limiter.take(ip("192.0.2.1"), at(100)), Err(Wait(1)));
        assert_eq!(passed("192.0.2.2", 100, 5), 5, "another address");
        assert_eq!(
            passed("192.0.2.1", 105, 100),
            5,
            "one each second comes back"
        );
        // A whole network of one customer is one block.
        assert_eq!(passed("2001:db8:1:2::1", 100, 20), 10);
        assert_eq!(passed("2001:db8:1:2:ffff::9", 100, 20), 0);
        assert_eq!(passed("2001:db8:1:3::1", 100, 20), 10);
        assert_eq!(
            passed("::ffff:192.0.2.1", 105, 1),
            0,
            "the same as 192.0.2.1"
        );
    }

    #[test]
    fn t_reg_05_many_addresses_share_a_limit_too() {
        let limiter = Limiter::new(10, 60, 10);
        let passed = (0..1000u32)
            .filter(|n| {
                let address = IpAddr::from(n.to_be_bytes());
                limiter.take(address, at(100)).is_ok()
            })
            .count();
        assert_eq!(passed, 100);
        assert!(limiter.take(ip("198.51.100.1"), at(101)).is_ok());
    }

    #[test]
    fn a_limit_of_zero_is_none() {
        let limiter = Limiter::new(0, 0, 0);
        assert!((0..100).all(|_| limiter.take(ip("192.0.2.1"), at(1)).is_ok()));
    }

    #[test]
    fn tok_5_t_reg_05_one_client_s_failures_are_not_its_neighbour_s() {
        let limiter = Limiter::new(3, 60, 100);
        let fails = |client: &str, n: u32| {
            (0..n)
                .filter(|_| limiter.take_for(ip("192.0.2.1"), client, at(100)).is_ok())
                .count()
        };
        assert_eq!(fails("a", 10), 3);
        assert_eq!(fails("b", 2), 2, "behind the same address");
        limiter.give_back(ip("192.0.2.1"), "b");
        assert_eq!(fails("b", 10), 2, "a success was none");
    }

    #[test]
    fn tok_5_t_tok_14_a_full_memory_lets_nobody_guess_for_nothing() {
        let limiter = Limiter::new(2, 1, 30_000);
        for n in 0..u32::try_from(BLOCKS_MAX).expect("fits") {
            let address = IpAddr::from((0x0a00_0000 + n).to_be_bytes());
            let _ = limiter.take(address, at(100));
        }
        // All of the memory is in use, so strangers share what is left for all.
        let passed = (0..20_000u32)
            .filter(|n| {
                let address = IpAddr::from((0xc000_0000 + n).to_be_bytes());
                limiter.take(address, at(100)).is_ok()
            })
            .count();
        assert_eq!(passed, 60_000 - BLOCKS_MAX);
    }
}
