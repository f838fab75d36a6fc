//! Signed tokens of others: which algorithm, which key, which claims (RFC 7515, RFC 8725).
//!
//! The judgement is here; the maths is a trait that the edge implements with a library.
//! Keys come from the issuer's own key set only: `jku`, `x5u` and `jwk` in a header are
//! never looked at.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Longest token that is looked at, in bytes.
pub const JWT_MAX: usize = 16 * 1024;

/// Asymmetric signature algorithms. There is no entry for `none` and none for HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Rs256,
        Self::Ps256,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// The name in a header.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
    }
}

/// The maths of signatures and the issuer's keys.
pub trait KeySet {
    /// Whether `signature` over `message` was made by the key that `kid` names, with
    /// `algorithm`. A key of another type than the algorithm's never matches.
    ///
    /// # Errors
    /// [`NoSuchKey`] if the set has no key of that name that could be used so.
    fn verify(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, NoSuchKey>;
}

/// The set has no key of that name; it may be worth asking the issuer once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSuchKey;

/// Why a token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// Not three parts of base64url with JSON in the first two.
    #[error("is not a signed token")]
    Malformed,
    /// An algorithm that is not allowed, `none` and HMAC among them.
    #[error("is signed with an algorithm that is not allowed")]
    Algorithm,
    /// A `crit` header: something it insists on that we do not know.
    #[error("has a critical header")]
    Critical,
    /// No key of that name.
    #[error("is signed with a key that the issuer does not publish")]
    NoSuchKey,
    /// The signature is wrong.
    #[error("has a wrong signature")]
    Signature,
}

/// Claims under a verified signature. Only [`verify`] makes these.
#[derive(Debug, Clone)]
pub struct VerifiedClaims {
    /// The claims as sent.
    claims: Map<String, Value>,
    /// What signed them.
    algorithm: Algorithm,
    /// The header's `typ`.
    typ: Option<String>,
}

impl VerifiedClaims {
    /// The claims.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// The algorithm of the signature.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The `typ` of the header.
    pub fn typ(&self) -> Option<&str> {
        self.typ.as_deref()
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

/// What a token says of itself, believed by nobody yet: good for choosing whose keys to
/// verify it with, and for nothing else.
///
/// # Errors
/// [`JwtError::Malformed`].
pub fn peek(token: &str) -> Result<Map<String, Value>, JwtError> {
    if token.len() > JWT_MAX {
        return Err(JwtError::Malformed);
    }
    let payload = token.split('.').nth(1).ok_or(JwtError::Malformed)?;
    let bytes = URL_SAFE_NO_PAD
        .decode(payload)
        .map_err(|_| JwtError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| JwtError::Malformed)
}

/// The `typ` of a token's header, believed by nobody yet.
pub fn peek_typ(token: &str) -> Option<String> {
    if token.len() > JWT_MAX {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(token.split('.').next()?).ok()?;
    serde_json::from_slice::<Header>(&bytes).ok()?.typ
}

/// Checks the signature of `token` with `keys`, allowing only `algorithms`.
///
/// # Errors
/// [`JwtError`]. After [`JwtError::NoSuchKey`] the caller may load the issuer's keys once
/// more, at a limited rate, and try again.
pub fn verify(
    token: &str,
    keys: &dyn KeySet,
    algorithms: &[Algorithm],
) -> Result<VerifiedClaims, JwtError> {
    use JwtError as E;
    if token.len() > JWT_MAX {
        return Err(E::Malformed);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(E::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(E::Malformed)?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| E::Malformed);
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| E::Malformed)?;
    let algorithm = Algorithm::parse(&header.alg)
        .filter(|algorithm| algorithms.contains(algorithm))
        .ok_or(E::Algorithm)?;
    if header.crit.is_some() {
        return Err(E::Critical);
    }
    let signature = decode(signature)?;
    match keys.verify(
        header.kid.as_deref(),
        algorithm,
        message.as_bytes(),
        &signature,
    ) {
        Err(NoSuchKey) => return Err(E::NoSuchKey),
        Ok(false) => return Err(E::Signature),
        Ok(true) => {}
    }
    let claims = serde_json::from_slice(&decode(payload)?).map_err(|_| E::Malformed)?;
    Ok(VerifiedClaims {
        claims,
        algorithm,
        typ: header.typ,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Believes the signature `good` of the key `k1` under ES256.
    pub(crate) struct Pretend;

    impl KeySet for Pretend {
        fn verify(
            &self,
            kid: Option<&str>,
            algorithm: Algorithm,
            _: &[u8],
            signature: &[u8],
        ) -> Result<bool, NoSuchKey> {
            if kid != Some("k1") {
                return Err(NoSuchKey);
            }
            Ok(algorithm == Algorithm::Es256 && signature == b"good")
        }
    }

    pub(crate) fn token(header: &str, claims: &str, signature: &str) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!(
            "{}.{}.{}",
            encode(header),
            encode(claims),
            encode(signature)
        )
    }

    pub(crate) fn verified(claims: &str) -> VerifiedClaims {
        verified_as(None, claims)
    }

    pub(crate) fn verified_as(typ: Option<&str>, claims: &str) -> VerifiedClaims {
        let header = match typ {
            Some(typ) => format!(r#"{{"alg":"ES256","kid":"k1","typ":"{typ}"}}"#),
            None => r#"{"alg":"ES256","kid":"k1"}"#.to_owned(),
        };
        verify(&token(&header, claims, "good"), &Pretend, &Algorithm::ALL).expect("verifies")
    }

    #[test]
    fn t_idp_05_up_6_what_a_header_cannot_do() {
        use JwtError as E;
        let table = [
            (r#"{"alg":"ES256","kid":"k1"}"#, "good", None),
            (
                r#"{"alg":"ES256","kid":"k1","jku":"https://evil.example"}"#,
                "good",
                None,
            ),
            (r#"{"alg":"ES256","kid":"k1"}"#, "bad", Some(E::Signature)),
            (r#"{"alg":"ES256","kid":"k1"}"#, "", Some(E::Signature)),
            (r#"{"alg":"none"}"#, "", Some(E::Algorithm)),
            (r#"{"alg":"None","kid":"k1"}"#, "good", Some(E::Algorithm)),
            (r#"{"alg":"HS256","kid":"k1"}"#, "good", Some(E::Algorithm)),
            (r#"{"alg":"RS256","kid":"k1"}"#, "good", Some(E::Algorithm)),
            (
                r#"{"alg":"ES256","kid":"../../dev/null"}"#,
                "good",
                Some(E::NoSuchKey),
            ),
            (r#"{"alg":"ES256"}"#, "good", Some(E::NoSuchKey)),
            (
                r#"{"alg":"ES256","kid":"k1","crit":["exp"]}"#,
                "good",
                Some(E::Critical),
            ),
            (r#"{"kid":"k1"}"#, "good", Some(E::Malformed)),
            ("[]", "good", Some(E::Malformed)),
        ];
        for (header, signature, expected) in table {
            let got = verify(
                &token(header, "{}", signature),
                &Pretend,
                &[Algorithm::Es256],
            );
            assert_eq!(got.err(), expected, "{header}");
        }
        for text in ["", "a", "a.b", "..", "a.b.c.d", "=.=.="] {
            assert!(verify(text, &Pretend, &Algorithm::ALL).is_err(), "{text}");
        }
    }
}
