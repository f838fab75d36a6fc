//! Proof key for code exchange, S256 only (RFC 7636).

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::secret::Digest;

/// What the authorization request commits to: SHA-256 of the verifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeChallenge(Digest);

/// What the token request proves with.
#[derive(Clone, PartialEq, Eq)]
pub struct CodeVerifier(String);

/// A challenge or verifier outside RFC 7636.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not within RFC 7636")]
pub struct PkceMalformed;

impl CodeChallenge {
    /// Reads a challenge: 43 characters of base64url, which are 32 bytes.
    ///
    /// # Errors
    /// [`PkceMalformed`].
    pub fn parse(text: &str) -> Result<Self, PkceMalformed> {
        Digest::parse(text).map(Self).ok_or(PkceMalformed)
    }

    /// Whether `verifier` is the one committed to (RFC 7636 §4.6). Constant time.
    pub fn answered_by(&self, verifier: &CodeVerifier) -> bool {
        self.0 == Digest::of(verifier.0.as_bytes())
    }

    /// Base64url, as it came.
    pub fn text(&self) -> String {
        self.0.text()
    }
}

impl CodeVerifier {
    /// Reads a verifier: 43 to 128 unreserved characters (RFC 7636 §4.1).
    ///
    /// # Errors
    /// [`PkceMalformed`].
    pub fn parse(text: &str) -> Result<Self, PkceMalformed> {
        let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        if (43..=128).contains(&text.len()) && text.bytes().all(unreserved) {
            Ok(Self(text.to_owned()))
        } else {
            Err(PkceMalformed)
        }
    }

    /// A verifier of 43 characters from 32 random bytes.
    pub fn from_random(bytes: &[u8; 32]) -> Self {
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The challenge that commits to this verifier.
    pub fn challenge(&self) -> CodeChallenge {
        CodeChallenge(Digest::of(self.0.as_bytes()))
    }

    /// The text, for the token request.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CodeVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeVerifier(…)")
    }
}

impl Serialize for CodeChallenge {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for CodeChallenge {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7636_appendix_b() {
        let verifier =
            CodeVerifier::parse("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").expect("valid");
        let challenge =
            CodeChallenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM").expect("valid");
        assert!(challenge.answered_by(&verifier));
        assert_eq!(verifier.challenge(), challenge);
    }

    #[test]
    fn authz_8_tok_8_t_aut_06_t_tok_05_lengths_and_alphabets() {
        let ok = "a".repeat(43);
        for (text, valid) in [
            (ok.clone(), true),
            ("~.-_".repeat(32), true),
            ("a".repeat(42), false),
            ("a".repeat(129), false),
            (format!("{}+", "a".repeat(42)), false),
            (String::new(), false),
        ] {
            assert_eq!(CodeVerifier::parse(&text).is_ok(), valid, "{text}");
        }
        for bad in [
            "a".repeat(42),
            "a".repeat(44),
            format!("{}=", "a".repeat(42)),
            format!("{}\u{ad}", "A".repeat(43)),
            "+".repeat(43),
        ] {
            assert!(CodeChallenge::parse(&bad).is_err(), "{bad}");
        }
    }
}
