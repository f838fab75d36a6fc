//! Values that must not be printed, and digests that stand in for them.

use std::fmt;

use aws_lc_rs::{constant_time, digest, hkdf, hmac};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// Text that opens something: a client secret, a provider's token. Wiped on drop, equal in
/// constant time, and its `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes ownership of `text`, so that it is wiped with this value.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself. Each caller is a place where a secret leaves; keep them few.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The digest under which a store may keep it.
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        // Digests make the comparison independent of the lengths too.
        self.digest() == other.digest()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// SHA-256 of something secret with at least 128 bits of entropy; what the store sees.
#[derive(Clone, Copy)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Digests `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut out = [0; 32];
        out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
        Self(out)
    }

    /// A digest that was made elsewhere, such as a key's thumbprint.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest as it was stored, or `None` if it is not 32 bytes of base64url.
    pub fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// The 32 bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Base64url, 43 characters.
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for Digest {}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a digest"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

/// A key for HMAC-SHA-256 (RFC 2104), usually derived from a key of the ring by its use.
#[derive(Clone)]
pub struct MacKey(hmac::Key);

impl MacKey {
    /// A key from 32 bytes drawn or derived elsewhere.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// The tag over `parts`, each preceded by its length so that no two lists collide.
    pub fn tag(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut out = [0; 32];
        out.copy_from_slice(context.sign().as_ref());
        out
    }

    /// Whether `tag` is, from its first byte on, the tag over `parts`. Constant time.
    /// A tag shorter than 16 bytes never matches.
    pub fn matches(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        let whole = self.tag(parts);
        tag.len() >= 16
            && tag.len() <= whole.len()
            && constant_time::verify_slices_are_equal(&whole[..tag.len()], tag).is_ok()
    }

    /// [`Self::tag`] as 43 characters of base64url, for forms.
    pub fn tag_text(&self, parts: &[&[u8]]) -> String {
        URL_SAFE_NO_PAD.encode(self.tag(parts))
    }

    /// Whether `text` is [`Self::tag_text`] of these parts. Constant time.
    pub fn matches_text(&self, parts: &[&[u8]], text: &str) -> bool {
        URL_SAFE_NO_PAD
            .decode(text)
            .is_ok_and(|tag| tag.len() == 32 && self.matches(parts, &tag))
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(…)")
    }
}

/// One key for one use out of a key of the ring (HKDF-SHA-256, RFC 5869).
///
/// The label is the use; two labels never yield related keys.
pub fn derive(key: &[u8; 32], label: &str) -> Zeroizing<[u8; 32]> {
    struct Out;
    impl hkdf::KeyType for Out {
        fn len(&self) -> usize {
            32
        }
    }
    let mut out = Zeroizing::new([0; 32]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, b"vestibule")
        .extract(key)
        .expand(&[label.as_bytes()], Out)
        .and_then(|okm| okm.fill(out.as_mut()))
        .expect("32 bytes are within what HKDF can give");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_nothing_of_itself() {
        let secret = Secret::new("hunter2hunter2".to_owned());
        assert!(!format!("{secret:?}").contains("hunter"));
        assert!(!format!("{:?}", secret.digest()).contains("hunter"));
    }

    #[test]
    fn a_tag_covers_where_its_parts_end() {
        let key = MacKey::new(&[7; 32]);
        assert_ne!(key.tag(&[b"ab", b"c"]), key.tag(&[b"a", b"bc"]));
        let tag = key.tag(&[b"ab"]);
        assert!(key.matches(&[b"ab"], &tag[..16]));
        assert!(!key.matches(&[b"ab"], &tag[..15]), "a short tag is a guess");
        assert!(!key.matches(&[b"ab"], &[]));
    }

    #[test]
    fn derived_keys_differ_by_label() {
        assert_ne!(*derive(&[1; 32], "id"), *derive(&[1; 32], "secret"));
    }
}
