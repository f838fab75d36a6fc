//! Authenticated sealing of everything that leaves this process and comes back, and of
//! everything secret that rests in the store.
//!
//! AES-256-GCM-SIV (RFC 8452), which forgives a repeated nonce. Whose value it is and what
//! for goes into the associated data, so a value sealed for one purpose never opens for
//! another, and a stored value never opens in another row.

use std::{fmt, sync::Arc};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::keyring::KeyId;

/// Bytes that sealing adds: key id, nonce and tag.
pub const OVERHEAD: usize = KeyId::LEN + NONCE_LEN + 16;

/// What a sealed value is for; part of its associated data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An access token (`vat_`).
    AccessToken,
    /// The handle of a consent page.
    Ticket,
    /// A pushed authorization request.
    Pushed,
    /// The address at which one stream of the 2024-11-05 transport takes messages.
    Endpoint,
    /// Where our own page sends a browser on to.
    Onward,
    /// A person's sign-in to our own pages, on its way to the provider.
    SignIn,
    /// A person's way to a service where they connect an account, and back.
    Connecting,
    /// The way from our own pages to the console.
    ConsolePass,
    /// An `Mcp-Session-Id`.
    SessionId,
    /// A value at rest in the store.
    AtRest,
    /// The key ring itself, under the root key.
    Ring,
}

impl Kind {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::AccessToken => b"access token",
            Self::Ticket => b"ticket",
            Self::Pushed => b"pushed request",
            Self::Endpoint => b"message endpoint",
            Self::Onward => b"onward",
            Self::SignIn => b"sign-in",
            Self::Connecting => b"connecting",
            Self::ConsolePass => b"console pass",
            Self::SessionId => b"session id",
            Self::AtRest => b"at rest",
            Self::Ring => b"ring",
        }
    }
}

/// Keys that open, and the one that seals.
#[derive(Clone)]
pub struct Sealer {
    current: KeyId,
    keys: Vec<(KeyId, Arc<LessSafeKey>)>,
    /// The issuer: two gateways with the same keys do not open each other's values.
    context: Vec<u8>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer({}, {} keys)", self.current, self.keys.len())
    }
}

impl Sealer {
    /// A sealer that seals under `current` and opens what any of `older` sealed.
    /// `context` is the issuer or the like, the same at sealing and opening.
    pub fn new<'k>(
        current: (KeyId, &'k [u8; 32]),
        older: impl IntoIterator<Item = (KeyId, &'k [u8; 32])>,
        context: &str,
    ) -> Self {
        let prepare = |(id, bytes): (KeyId, &[u8; 32])| {
            let key = UnboundKey::new(&AES_256_GCM_SIV, bytes).expect("the key has 32 bytes");
            (id, Arc::new(LessSafeKey::new(key)))
        };
        let mut keys = vec![prepare(current)];
        keys.extend(older.into_iter().map(prepare));
        Self {
            current: current.0,
            keys,
            context: context.as_bytes().to_vec(),
        }
    }

    /// Seals `plain`. `nonce` is drawn at random by the caller, who never uses one twice on
    /// purpose; `place` says where the value belongs (row and column, or nothing).
    pub fn seal(&self, kind: Kind, place: &[u8], nonce: [u8; NONCE_LEN], plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(plain.len() + OVERHEAD);
        out.extend_from_slice(&self.current.bytes());
        out.extend_from_slice(&nonce);
        out.extend_from_slice(plain);
        let body = KeyId::LEN + NONCE_LEN;
        let tag = self.keys[0]
            .1
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                self.aad(kind, place),
                &mut out[body..],
            )
            .expect("the plaintext is far below the cipher's limit");
        out.extend_from_slice(tag.as_ref());
        out
    }

    /// Opens in place what [`Self::seal`] made for the same kind and place.
    /// `None` for anything else; why is not said, so that nobody can ask.
    pub fn open<'b>(&self, kind: Kind, place: &[u8], sealed: &'b mut [u8]) -> Option<&'b mut [u8]> {
        if sealed.len() < OVERHEAD {
            return None;
        }
        let (head, body) = sealed.split_at_mut(KeyId::LEN + NONCE_LEN);
        let (id, nonce) = head.split_at(KeyId::LEN);
        let id = KeyId::new(id.try_into().ok()?);
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let (_, key) = self.keys.iter().find(|(known, _)| *known == id)?;
        key.open_in_place(nonce, self.aad(kind, place), body).ok()
    }

    fn aad(&self, kind: Kind, place: &[u8]) -> Aad<Vec<u8>> {
        let label = kind.label();
        let mut aad = Vec::with_capacity(label.len() + self.context.len() + place.len() + 2);
        aad.extend_from_slice(label);
        aad.push(0);
        aad.extend_from_slice(&self.context);
        aad.push(0);
        aad.extend_from_slice(place);
        Aad::from(aad)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sealer() -> Sealer {
        Sealer::new((KeyId::new([1; 4]), &[1; 32]), [], "https://gw.example")
    }

    #[test]
    fn t_sto_02_a_sealed_value_opens_only_where_it_belongs() {
        let sealer = sealer();
        let sealed = sealer.seal(Kind::AtRest, b"grant 1/secret", [3; 12], b"value");
        let open = |kind, place: &[u8], mut bytes: Vec<u8>| {
            sealer
                .open(kind, place, &mut bytes)
                .map(|plain| plain.to_vec())
        };
        assert_eq!(
            open(Kind::AtRest, b"grant 1/secret", sealed.clone()),
            Some(b"value".to_vec())
        );
        assert_eq!(
            open(Kind::AtRest, b"grant 2/secret", sealed.clone()),
            None,
            "another row"
        );
        assert_eq!(
            open(Kind::Ticket, b"grant 1/secret", sealed.clone()),
            None,
            "another kind"
        );
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert_eq!(
                open(Kind::AtRest, b"grant 1/secret", flipped),
                None,
                "bit at {at}"
            );
        }
        assert_eq!(
            open(Kind::AtRest, b"grant 1/secret", sealed[..31].to_vec()),
            None
        );
        assert_eq!(open(Kind::AtRest, b"grant 1/secret", Vec::new()), None);
    }

    #[test]
    fn t_sto_02_equal_values_do_not_look_equal() {
        let sealer = sealer();
        let once = sealer.seal(Kind::AtRest, b"", [3; 12], b"value");
        let twice = sealer.seal(Kind::AtRest, b"", [4; 12], b"value");
        assert_ne!(once[16..], twice[16..]);
    }

    #[test]
    fn t_grd_04_a_gateway_of_another_issuer_opens_nothing_though_it_has_the_key() {
        let other = Sealer::new((KeyId::new([1; 4]), &[1; 32]), [], "https://other.example");
        let mut sealed = sealer().seal(Kind::AccessToken, b"", [3; 12], b"value");
        assert!(other.open(Kind::AccessToken, b"", &mut sealed).is_none());
    }

    #[test]
    fn t_sto_03_an_older_key_still_opens_and_no_longer_seals() {
        let old = sealer();
        let mut sealed = old.seal(Kind::Ticket, b"", [3; 12], b"value");
        let new = Sealer::new(
            (KeyId::new([2; 4]), &[2; 32]),
            [(KeyId::new([1; 4]), &[1; 32])],
            "https://gw.example",
        );
        assert!(new.open(Kind::Ticket, b"", &mut sealed).is_some());
        assert_eq!(new.seal(Kind::Ticket, b"", [3; 12], b"x")[..4], [2; 4]);
    }
}
