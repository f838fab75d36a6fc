//! A key that signs like others do: clients, platforms, a company's provider.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use axum::{Router, routing::get};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use vestibule::world::World;
use vestibule_core::secret::Digest;

use super::place::Place;

pub struct Signer {
    pair: EcdsaKeyPair,
}

impl Signer {
    pub fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        Self { pair }
    }

    pub fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        json!({
            "kty": "EC", "crv": "P-256", "kid": "k1",
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]),
            "y": URL_SAFE_NO_PAD.encode(&point[33..65]),
        })
    }

    pub fn jwks(&self) -> String {
        json!({ "keys": [self.jwk()] }).to_string()
    }

    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(header), encode(claims));
        #[allow(clippy::disallowed_methods)] // the signature's own randomness
        let random = SystemRandom::new();
        let signature = self.pair.sign(&random, message.as_bytes()).expect("signs");
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A JWT with this `typ`.
    pub fn jwt(&self, typ: Option<&str>, claims: &Value) -> String {
        let mut header = json!({ "alg": "ES256", "kid": "k1" });
        if let Some(typ) = typ {
            header["typ"] = typ.into();
        }
        self.sign(&header, claims)
    }

    /// A DPoP proof (RFC 9449 §4.2).
    pub fn proof(
        &self,
        method: &str,
        url: &str,
        token: Option<&str>,
        nonce: Option<&str>,
    ) -> String {
        let mut claims = json!({
            "jti": jti(), "htm": method, "htu": url, "iat": World::real().now().unix(),
        });
        if let Some(token) = token {
            let hash = Digest::of(token.as_bytes());
            claims["ath"] = URL_SAFE_NO_PAD.encode(hash.bytes()).into();
        }
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        let mut jwk = self.jwk();
        jwk.as_object_mut().expect("an object").remove("kid");
        self.sign(
            &json!({ "alg": "ES256", "typ": "dpop+jwt", "jwk": jwk }),
            &claims,
        )
    }

    /// The thumbprint of the key (RFC 7638).
    pub fn thumbprint(&self) -> String {
        let jwk = self.jwk();
        let canonical = json!({
            "crv": jwk["crv"], "kty": jwk["kty"], "x": jwk["x"], "y": jwk["y"],
        });
        Digest::of(canonical.to_string().as_bytes()).text()
    }
}

pub fn jti() -> String {
    URL_SAFE_NO_PAD.encode(World::real().random::<16>())
}

/// An issuer with metadata and keys, which counts who looks.
pub struct Issuer {
    pub issuer: String,
    pub signer: Signer,
    looks: Arc<AtomicUsize>,
    _runtime: tokio::runtime::Runtime,
}

impl Issuer {
    pub fn start() -> Self {
        let place = Place::take();
        let issuer = place.origin.clone();
        let signer = Signer::new();
        let looks = Arc::new(AtomicUsize::new(0));
        let document =
            json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/jwks") }).to_string();
        let jwks = signer.jwks();
        let seen = Arc::clone(&looks);
        let router = Router::new()
            .route(
                "/.well-known/openid-configuration",
                get(move || {
                    seen.fetch_add(1, Ordering::SeqCst);
                    async move { document }
                }),
            )
            .route("/jwks", get(move || async move { jwks }));
        Self {
            issuer,
            signer,
            looks,
            _runtime: place.serve(router),
        }
    }

    pub fn looks(&self) -> usize {
        self.looks.load(Ordering::SeqCst)
    }
}
