//! How often a stranger may ask: a bucket for each address block, and one for all.
//!
//! Blocks, because an address costs nothing in IPv6; generous, because many people sit
//! behind one address of a company or a vendor.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use vestibule_core::time::Timestamp;

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
    buckets: Mutex<HashMap<Block, Bucket>>,
}

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
        if self.per_minute == 0 {
            return Ok(());
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BLOCKS_MAX {
            let full = u64::from(self.burst) * 60 / u64::from(self.per_minute) + 60;
            buckets.retain(|_, bucket| now.since(bucket.filled).as_secs() < full);
        }
        let block = match block_of(address) {
            block if buckets.len() < BLOCKS_MAX || buckets.contains_key(&block) => block,
            _ => Block::Everybody,
        };
        let many = |n: u32| n.saturating_mul(self.everybody);
        take(&mut buckets, block, self.burst, self.per_minute, now)?;
        take(
            &mut buckets,
            Block::Everybody,
            many(self.burst),
            many(self.per_minute),
            now,
        )
    }

    /// Whether `address` has nothing left, without taking anything.
    pub fn is_empty(&self, address: IpAddr, now: Timestamp) -> bool {
        if self.per_minute == 0 {
            return false;
        }
        let buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.get(&block_of(address)).is_some_and(|bucket| {
            let back = now.since(bucket.filled).as_secs() * u64::from(self.per_minute) / 60;
            bucket.left == 0 && back == 0
        })
    }
}

fn take(
    buckets: &mut HashMap<Block, Bucket>,
    block: Block,
    burst: u32,
    per_minute: u32,
    now: Timestamp,
) -> Result<(), Wait> {
    let bucket = buckets.entry(block).or_insert(Bucket {
        left: burst,
        filled: now,
    });
    let back = now.since(bucket.filled).as_secs() * u64::from(per_minute) / 60;
    if back > 0 {
        bucket.left = bucket
            .left
            .saturating_add(u32::try_from(back).unwrap_or(u32::MAX))
            .min(burst);
        bucket.filled = now;
    }
    match bucket.left.checked_sub(1) {
        Some(left) => {
            bucket.left = left;
            Ok(())
        }
        None => Err(Wait((60 / u64::from(per_minute)).max(1))),
    }
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
}
