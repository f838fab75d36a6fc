//! The keys of a gateway: which exist, which one is used, which still opens.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{seal::Sealer, secret::derive, time::Timestamp};

/// Names a key inside sealed values and in `kid`. Random, not secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; 4]);

impl KeyId {
    /// Bytes that an id takes in front of a sealed value.
    pub const LEN: usize = 4;

    /// The id made of these bytes.
    pub const fn new(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    /// The four bytes.
    pub const fn bytes(self) -> [u8; 4] {
        self.0
    }

    /// Reads the eight hexadecimal digits that `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 8 && text.is_ascii())
            .then(|| u32::from_str_radix(text, 16).ok())
            .flatten()
            .map(|n| Self(n.to_be_bytes()))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// What a key of the ring is for. Each has its own life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Seals access tokens; rotated often.
    Access,
    /// Authenticates self-describing client ids; outlives all others, since every client
    /// that ever registered depends on it.
    Registration,
    /// Seals tickets, onward pages and session ids: what browsers and clients hold briefly.
    Browser,
    /// Seals values at rest.
    Vault,
    /// Signs what others verify (`/jwks.json`).
    Signing,
}

impl Purpose {
    /// All of them, in the order in which a new ring is filled.
    pub const ALL: [Self; 5] = [
        Self::Access,
        Self::Registration,
        Self::Browser,
        Self::Vault,
        Self::Signing,
    ];

    /// The word in the store and on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Registration => "registration",
            Self::Browser => "browser",
            Self::Vault => "vault",
            Self::Signing => "signing",
        }
    }

    /// Reads [`Self::word`] back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.word() == word)
    }
}

/// One key with its times.
#[derive(Clone)]
pub struct Key {
    /// Its name.
    pub id: KeyId,
    /// What it is for.
    pub purpose: Purpose,
    /// 32 bytes, or a PKCS #8 document for [`Purpose::Signing`].
    pub material: Zeroizing<Vec<u8>>,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it seals. Later than `created` after a rotation, so that every replica
    /// can open before the first value is sealed.
    pub active_from: Timestamp,
    /// From when on it opens nothing; `None` while it is current.
    pub retires: Option<Timestamp>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} {})", self.purpose.word(), self.id)
    }
}

/// A key derived for one use, with the id of the key it came from.
pub type DerivedKey = (KeyId, Zeroizing<[u8; 32]>);

/// All keys of a gateway.
#[derive(Debug, Clone, Default)]
pub struct Ring {
    keys: Vec<Key>,
}

/// A ring that cannot serve: there is no usable key for this purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no usable {} key", .0.word())]
pub struct KeyMissing(pub Purpose);

impl Ring {
    /// A ring of these keys.
    pub fn new(keys: Vec<Key>) -> Self {
        Self { keys }
    }

    /// Every key, retired ones too.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The key that seals or signs now: the newest that is active and not retired.
    pub fn current(&self, purpose: Purpose, now: Timestamp) -> Result<&Key, KeyMissing> {
        self.live(purpose, now)
            .filter(|key| key.active_from <= now)
            .max_by_key(|key| (key.active_from, key.created))
            .ok_or(KeyMissing(purpose))
    }

    /// Keys that still open or verify now, the current one and published ones included.
    pub fn live(&self, purpose: Purpose, now: Timestamp) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(move |key| {
            key.purpose == purpose && key.retires.is_none_or(|retires| now < retires)
        })
    }

    /// A sealer for `purpose` as of `now`; `context` as in [`Sealer::new`].
    ///
    /// # Errors
    /// [`KeyMissing`] if no key of this purpose is active.
    pub fn sealer(
        &self,
        purpose: Purpose,
        context: &str,
        now: Timestamp,
    ) -> Result<Sealer, KeyMissing> {
        let current = self.current(purpose, now)?;
        let material = |key: &Key| derive_or_refuse(key, "seal");
        let current_bytes = material(current).ok_or(KeyMissing(purpose))?;
        let older: Vec<_> = self
            .live(purpose, now)
            .filter(|key| key.id != current.id)
            .filter_map(|key| material(key).map(|bytes| (key.id, bytes)))
            .collect();
        Ok(Sealer::new(
            (current.id, &current_bytes),
            older.iter().map(|(id, bytes)| (*id, &**bytes)),
            context,
        ))
    }

    /// A key for HMAC derived from the current key of `purpose`, and those of live older
    /// ones behind it, each with its id.
    ///
    /// # Errors
    /// [`KeyMissing`] if no key of this purpose is active.
    pub fn derived(
        &self,
        purpose: Purpose,
        label: &str,
        now: Timestamp,
    ) -> Result<Vec<DerivedKey>, KeyMissing> {
        let current = self.current(purpose, now)?;
        let mut out = Vec::new();
        out.push((
            current.id,
            derive_or_refuse(current, label).ok_or(KeyMissing(purpose))?,
        ));
        for key in self.live(purpose, now).filter(|key| key.id != current.id) {
            if let Some(bytes) = derive_or_refuse(key, label) {
                out.push((key.id, bytes));
            }
        }
        Ok(out)
    }
}

fn derive_or_refuse(key: &Key, label: &str) -> Option<Zeroizing<[u8; 32]>> {
    let bytes: &[u8; 32] = key.material.as_slice().try_into().ok()?;
    Some(derive(bytes, label))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: u8, active_from: u64, retires: Option<u64>) -> Key {
        Key {
            id: KeyId::new([id; 4]),
            purpose: Purpose::Access,
            material: Zeroizing::new(vec![id; 32]),
            created: Timestamp::from_unix(active_from),
            active_from: Timestamp::from_unix(active_from),
            retires: retires.map(Timestamp::from_unix),
        }
    }

    #[test]
    fn t_sto_03_a_new_key_opens_before_it_seals_and_an_old_one_after() {
        let ring = Ring::new(vec![key(1, 0, Some(300)), key(2, 100, None)]);
        let at = |seconds| {
            let now = Timestamp::from_unix(seconds);
            (
                ring.current(Purpose::Access, now)
                    .map(|k| k.id.bytes()[0])
                    .ok(),
                ring.live(Purpose::Access, now).count(),
            )
        };
        assert_eq!(at(50), (Some(1), 2), "published, not yet used");
        assert_eq!(at(100), (Some(2), 2), "in use, the old one still opens");
        assert_eq!(at(300), (Some(2), 1), "the old one is gone");
        assert_eq!(
            ring.current(Purpose::Vault, Timestamp::from_unix(0)).err(),
            Some(KeyMissing(Purpose::Vault))
        );
    }

    #[test]
    fn a_key_id_reads_back_from_its_text() {
        let id = KeyId::new([0, 1, 0xab, 0xff]);
        assert_eq!(KeyId::parse(&id.to_string()), Some(id));
        assert_eq!(KeyId::parse("zz"), None);
    }
}
