//! The maths of signatures behind the core's traits, by libraries.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
        UnparsedPublicKey,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    DecodingKey,
    jwk::{Jwk, JwkSet},
};
use serde_json::{Map, Value, json};
use vestibule_core::{
    dpop::ProofMaths,
    jwt::{Algorithm, KeySet, NoSuchKey},
};

/// A published key set behind the core's trait.
pub struct Published<'k>(pub &'k JwkSet);

impl KeySet for Published<'_> {
    fn verify(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, NoSuchKey> {
        let fits = |jwk: &&Jwk| match kid {
            Some(kid) => jwk.common.key_id.as_deref() == Some(kid),
            None => true,
        };
        let mut candidates = self.0.keys.iter().filter(fits);
        let jwk = candidates.next().ok_or(NoSuchKey)?;
        // Without a name, only a set of one key says which is meant.
        if kid.is_none() && candidates.next().is_some() {
            return Err(NoSuchKey);
        }
        verify(jwk, algorithm, message, signature).ok_or(NoSuchKey)
    }
}

/// Proofs carry their own key.
pub struct Proofs;

impl ProofMaths for Proofs {
    fn verify(
        &self,
        jwk: &Map<String, Value>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        serde_json::from_value::<Jwk>(Value::Object(jwk.clone()))
            .ok()
            .and_then(|jwk| verify(&jwk, algorithm, message, signature))
            .unwrap_or_default()
    }
}

/// `None` for a key that cannot be used at all.
fn verify(jwk: &Jwk, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Option<bool> {
    let key = DecodingKey::from_jwk(jwk).ok()?;
    let signature = URL_SAFE_NO_PAD.encode(signature);
    let algorithm = match algorithm {
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::Ps256 => jsonwebtoken::Algorithm::PS256,
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::Es384 => jsonwebtoken::Algorithm::ES384,
        Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
    };
    // A key of another type than the algorithm's is an error there, and no match here.
    Some(jsonwebtoken::crypto::verify(&signature, message, &key, algorithm).unwrap_or(false))
}

/// A key of our own that signs with ES256.
pub struct SigningKey {
    kid: String,
    pair: EcdsaKeyPair,
}

impl SigningKey {
    /// From a PKCS #8 document; `None` if it is none.
    pub fn new(kid: String, pkcs8: &[u8]) -> Option<Self> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).ok()?;
        Some(Self { kid, pair })
    }

    /// A new PKCS #8 document.
    pub fn generate() -> Option<Vec<u8>> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok()?;
        Some(pair.to_pkcs8v1().ok()?.as_ref().to_vec())
    }

    /// A signed token; `None` only if the library refuses to sign.
    #[allow(clippy::disallowed_methods)] // the signature's own randomness, which no test turns
    pub fn sign(&self, typ: &str, claims: &Value) -> Option<String> {
        let header = json!({ "alg": "ES256", "typ": typ, "kid": self.kid });
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(&header), encode(claims));
        let signature = self
            .pair
            .sign(&SystemRandom::new(), message.as_bytes())
            .ok()?;
        Some(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Its public half as a JWK (RFC 7517, RFC 7518 §6.2).
    pub fn public_jwk(&self) -> Value {
        // An uncompressed point: 4, x, y.
        let point = self.pair.public_key().as_ref();
        json!({
            "kty": "EC",
            "crv": "P-256",
            "use": "sig",
            "alg": "ES256",
            "kid": self.kid,
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]),
            "y": URL_SAFE_NO_PAD.encode(&point[33..65]),
        })
    }

    /// Its name.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.pair.public_key().as_ref())
            .verify(message, signature)
            .is_ok()
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.kid)
    }
}

/// Our own signing keys, for tokens that come back to us.
pub struct Own<'k>(pub &'k [SigningKey]);

impl KeySet for Own<'_> {
    fn verify(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, NoSuchKey> {
        let key = self
            .0
            .iter()
            .find(|key| Some(key.kid()) == kid)
            .ok_or(NoSuchKey)?;
        Ok(algorithm == Algorithm::Es256 && key.verifies(message, signature))
    }
}
