//! Proof of possession: a token that works only with its key (RFC 9449).
//!
//! A proof is judged here; the maths of its signature is the edge's, and so is remembering
//! which proofs were used.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use crate::{
    assertion::Once,
    jwt::{Algorithm, JWT_MAX},
    secret::{Digest, MacKey},
    time::Timestamp,
};

/// Thumbprint of a public key (RFC 7638), SHA-256.
pub type Thumbprint = [u8; 32];

/// How old a proof may be, and how far in the future it may lie.
pub const FRESH: Duration = Duration::from_secs(300);

/// How long one nonce is given out; it is taken for as long again.
const NONCE_STEP: u64 = 120;

/// The maths of a signature by the key inside a proof.
pub trait ProofMaths {
    /// Whether `signature` over `message` was made with `algorithm` by the key `jwk`. A key
    /// of another type than the algorithm's never matches.
    fn verify(
        &self,
        jwk: &Map<String, Value>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool;
}

/// A proof whose signature is good. What it is for is still to be judged.
#[derive(Debug, Clone)]
pub struct Proof {
    key: Thumbprint,
    claims: Claims,
}

#[derive(Debug, Clone, Deserialize)]
struct Claims {
    jti: String,
    htm: String,
    htu: String,
    iat: u64,
    ath: Option<String>,
    nonce: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    typ: String,
    alg: String,
    jwk: Map<String, Value>,
    crit: Option<Value>,
}

/// Why a proof does not count (RFC 9449 §4.3, §8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DpopError {
    /// No proof where one is needed.
    #[error("a DPoP proof is needed")]
    Missing,
    /// More than one.
    #[error("send one DPoP proof")]
    Several,
    /// No proof at all: its form, its type, its algorithm or its key.
    #[error("the DPoP proof cannot be read")]
    Malformed,
    /// Not made by the key that it shows.
    #[error("the DPoP proof has a wrong signature")]
    Signature,
    /// For another method.
    #[error("the DPoP proof is for another method")]
    Method,
    /// For another address.
    #[error("the DPoP proof is for another address")]
    Address,
    /// Too old, or from the future.
    #[error("the DPoP proof is not fresh")]
    Stale,
    /// For another access token.
    #[error("the DPoP proof is for another token")]
    AccessToken,
    /// Without our nonce, or with one that is no longer good.
    #[error("the DPoP proof needs the nonce")]
    Nonce,
    /// Used before.
    #[error("the DPoP proof was used before")]
    Replayed,
    /// Of another key than the token's, the code's or the refresh token's.
    #[error("the DPoP proof is of another key")]
    Key,
}

impl DpopError {
    /// The error code (RFC 9449 §12.2).
    pub fn error(self) -> &'static str {
        match self {
            Self::Nonce => "use_dpop_nonce",
            _ => "invalid_dpop_proof",
        }
    }
}

/// What a proof must be for.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The method of this request.
    pub method: &'a str,
    /// Its public address, without query.
    pub url: &'a str,
    /// The access token beside it, at a resource.
    pub access_token: Option<&'a str>,
}

/// The names of algorithms that a proof may use, as metadata and challenges list them.
pub fn algorithms() -> impl Iterator<Item = &'static str> {
    Algorithm::ALL.into_iter().map(Algorithm::name)
}

impl Proof {
    /// Reads the `DPoP` headers of a request; `None` if there is none.
    ///
    /// # Errors
    /// [`DpopError::Several`], [`DpopError::Malformed`], [`DpopError::Signature`].
    pub fn read<'h>(
        mut headers: impl Iterator<Item = &'h [u8]>,
        maths: &dyn ProofMaths,
    ) -> Result<Option<Self>, DpopError> {
        let Some(first) = headers.next() else {
            return Ok(None);
        };
        if headers.next().is_some() {
            return Err(DpopError::Several);
        }
        let text = std::str::from_utf8(first).map_err(|_| DpopError::Malformed)?;
        Self::verify(text, maths).map(Some)
    }

    fn verify(text: &str, maths: &dyn ProofMaths) -> Result<Self, DpopError> {
        use DpopError as E;
        if text.len() > JWT_MAX {
            return Err(E::Malformed);
        }
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| E::Malformed);
        let (message, signature) = text.rsplit_once('.').ok_or(E::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(E::Malformed)?;
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| E::Malformed)?;
        let algorithm = Algorithm::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == header.alg)
            .ok_or(E::Malformed)?;
        if header.typ != "dpop+jwt" || header.crit.is_some() {
            return Err(E::Malformed);
        }
        let key = thumbprint(&header.jwk).ok_or(E::Malformed)?;
        if !maths.verify(
            &header.jwk,
            algorithm,
            message.as_bytes(),
            &decode(signature)?,
        ) {
            return Err(E::Signature);
        }
        let claims: Claims = serde_json::from_slice(&decode(payload)?).map_err(|_| E::Malformed)?;
        if claims.jti.is_empty() || claims.jti.len() > 256 {
            return Err(E::Malformed);
        }
        Ok(Self { key, claims })
    }

    /// The key that made it.
    pub fn key(&self) -> Thumbprint {
        self.key
    }

    /// What must be spent before it counts.
    pub fn once(&self) -> Once {
        let until = Timestamp::from_unix(self.claims.iat).plus(FRESH);
        let place = URL_SAFE_NO_PAD.encode(self.key);
        Once::of("dpop", &place, &self.claims.jti, until)
    }

    /// Judges what it is for; the key that it proves.
    ///
    /// # Errors
    /// [`DpopError`]. A missing nonce is told last, so that a client hears of it only when
    /// everything else is right.
    pub fn judge(
        &self,
        expected: &Expected<'_>,
        nonces: &Nonces,
        now: Timestamp,
    ) -> Result<Thumbprint, DpopError> {
        use DpopError as E;
        let claims = &self.claims;
        if claims.htm != expected.method {
            return Err(E::Method);
        }
        match (bare(&claims.htu), bare(expected.url)) {
            (Some(proof), Some(ours)) if proof == ours => {}
            _ => return Err(E::Address),
        }
        let made = Timestamp::from_unix(claims.iat);
        if now.since(made) > FRESH || made.since(now) > FRESH {
            return Err(E::Stale);
        }
        if let Some(token) = expected.access_token {
            let hash = URL_SAFE_NO_PAD.encode(Digest::of(token.as_bytes()).bytes());
            if claims.ath.as_deref() != Some(&hash) {
                return Err(E::AccessToken);
            }
        }
        match &claims.nonce {
            Some(nonce) if nonces.good(nonce, now) => Ok(self.key),
            _ => Err(E::Nonce),
        }
    }
}

/// An address without query and fragment, in one spelling (RFC 9449 §4.3, RFC 3986 §6.2).
fn bare(text: &str) -> Option<String> {
    let mut url = Url::parse(text).ok()?;
    url.set_query(None);
    url.set_fragment(None);
    Some(url.into())
}

/// The thumbprint of a public key; `None` for a private one or a type that is not used here.
fn thumbprint(jwk: &Map<String, Value>) -> Option<Thumbprint> {
    const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "k"];
    if PRIVATE.iter().any(|member| jwk.contains_key(*member)) {
        return None;
    }
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    // Members in order of their names, without spaces (RFC 7638 §3.2, RFC 8037 §2).
    let members: &[&str] = match text("kty")? {
        "EC" => &["crv", "kty", "x", "y"],
        "RSA" => &["e", "kty", "n"],
        "OKP" => &["crv", "kty", "x"],
        _ => return None,
    };
    let mut canonical = Map::new();
    for member in members {
        canonical.insert((*member).to_owned(), text(member)?.into());
    }
    let json = serde_json::to_vec(&canonical).ok()?;
    Some(*Digest::of(&json).bytes())
}

/// Nonces that prove that a proof was made just now. Derived from a key, so nothing is kept,
/// and every replica takes what another gave out. Those of the authorization server and of
/// resources differ (RFC 9449 §8, §9).
#[derive(Debug, Clone)]
pub struct Nonces {
    key: MacKey,
    place: &'static str,
}

impl Nonces {
    /// For the endpoints of the authorization server.
    pub fn of_server(key: MacKey) -> Self {
        Self {
            key,
            place: "authorization server",
        }
    }

    /// For MCP servers.
    pub fn of_resources(key: MacKey) -> Self {
        Self {
            key,
            place: "resource",
        }
    }

    /// The nonce to give out now.
    pub fn now(&self, now: Timestamp) -> String {
        self.at(now.unix() / NONCE_STEP)
    }

    fn at(&self, step: u64) -> String {
        let tag = self.key.tag(&[self.place.as_bytes(), &step.to_be_bytes()]);
        URL_SAFE_NO_PAD.encode(&tag[..18])
    }

    fn good(&self, nonce: &str, now: Timestamp) -> bool {
        let step = now.unix() / NONCE_STEP;
        let sent = Digest::of(nonce.as_bytes());
        [step, step.saturating_sub(1)]
            .into_iter()
            .any(|step| Digest::of(self.at(step).as_bytes()) == sent)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    struct Pretend;

    impl ProofMaths for Pretend {
        fn verify(
            &self,
            jwk: &Map<String, Value>,
            algorithm: Algorithm,
            _: &[u8],
            signature: &[u8],
        ) -> bool {
            jwk["kty"] == "EC" && algorithm == Algorithm::Es256 && signature == b"good"
        }
    }

    fn nonces() -> Nonces {
        Nonces::of_resources(MacKey::new(&[7; 32]))
    }

    const JWK: &str = r#"{"kty":"EC","crv":"P-256","x":"eA","y":"eQ"}"#;

    fn header() -> String {
        format!(r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{JWK}}}"#)
    }

    fn claims() -> String {
        let ath = URL_SAFE_NO_PAD.encode(Digest::of(b"vat_x").bytes());
        let nonce = nonces().now(Timestamp::from_unix(1000));
        format!(
            r#"{{"jti":"1","htm":"POST","htu":"https://GW.example:443/a/mcp?x=1#y","iat":1000,
            "ath":"{ath}","nonce":"{nonce}"}}"#
        )
    }

    fn judged(header: &str, claims: &str, signature: &str) -> Result<Thumbprint, DpopError> {
        let token = crate::jwt::tests::token(header, claims, signature);
        let proof = Proof::read([token.as_bytes()].into_iter(), &Pretend)?.expect("there is one");
        let expected = Expected {
            method: "POST",
            url: "https://gw.example/a/mcp",
            access_token: Some("vat_x"),
        };
        proof.judge(&expected, &nonces(), Timestamp::from_unix(1100))
    }

    #[test]
    fn dpop_2_dpop_4_dpop_6_each_part_of_a_proof_counts() {
        use DpopError as E;
        let (h, c) = (header(), claims());
        let other = |from: &str, to: &str| {
            assert!(c.contains(from), "{from}");
            c.replace(from, to)
        };
        assert_eq!(judged(&h, &c, "good").map(|_| ()), Ok(()));
        let old = nonces().now(Timestamp::from_unix(700));
        let fresh = nonces().now(Timestamp::from_unix(1000));
        let foreign = Nonces::of_server(MacKey::new(&[7; 32])).now(Timestamp::from_unix(1000));
        let claims_table = [
            (other("POST", "GET"), E::Method),
            (other("POST", "post"), E::Method),
            (other("/a/mcp", "/b/mcp"), E::Address),
            (other("GW.example", "evil.example"), E::Address),
            (other("https:", "http:"), E::Address),
            (other("\"iat\":1000", "\"iat\":799"), E::Stale),
            (other("\"iat\":1000", "\"iat\":1401"), E::Stale),
            (other("\"ath\":\"", "\"ath\":\"A"), E::AccessToken),
            (other("\"ath\":", "\"x\":"), E::AccessToken),
            (other("\"nonce\":", "\"x\":"), E::Nonce),
            (other(&fresh, &old), E::Nonce),
            (other(&fresh, &foreign), E::Nonce),
            (other("\"jti\":\"1\",", ""), E::Malformed),
            (other("\"jti\":\"1\"", "\"jti\":\"\""), E::Malformed),
        ];
        for (claims, expected) in claims_table {
            assert_eq!(judged(&h, &claims, "good"), Err(expected), "{claims}");
        }
        let header_table = [
            (h.replace("dpop+jwt", "JWT"), E::Malformed),
            (h.replace("ES256", "none"), E::Malformed),
            (h.replace("ES256", "HS256"), E::Malformed),
            (h.replace("ES256", "RS256"), E::Signature),
            (h.replace(JWK, "{}"), E::Malformed),
            (
                h.replace("\"y\":\"eQ\"", "\"y\":\"eQ\",\"d\":\"eA\""),
                E::Malformed,
            ),
            (
                h.replace("\"jwk\"", "\"crit\":[\"x\"],\"jwk\""),
                E::Malformed,
            ),
            (h.replace("EC", "oct"), E::Malformed),
        ];
        for (header, expected) in header_table {
            assert_eq!(judged(&header, &c, "good"), Err(expected), "{header}");
        }
        assert_eq!(judged(&h, &c, "bad"), Err(E::Signature));
        let two: [&[u8]; 2] = [b"a", b"b"];
        assert_eq!(
            Proof::read(two.into_iter(), &Pretend).err(),
            Some(E::Several)
        );
    }

    #[test]
    fn dpop_3_the_thumbprint_is_the_standard_s() {
        // The example of RFC 7638 §3.1.
        let jwk = serde_json::json!({
            "kty": "RSA", "alg": "RS256", "kid": "2011-04-29", "e": "AQAB",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        });
        let found = thumbprint(jwk.as_object().expect("an object")).expect("a key");
        assert_eq!(
            URL_SAFE_NO_PAD.encode(found),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
    }
}
