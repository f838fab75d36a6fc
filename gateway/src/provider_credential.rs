//! How the gateway proves to its identity provider who it is.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls::{
    crypto::aws_lc_rs::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use serde::Serialize;
use simple_asn1::ASN1Block;
use vestibule_core::{secret::Secret, time::Timestamp};

/// `client_assertion_type` of a JWT (RFC 7523 §2.2).
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How long before its end a certificate is spoken of.
pub const SOON: Duration = Duration::from_secs(30 * 86_400);

/// How long an assertion of ours lives, in seconds: time for one request, between clocks that
/// are off by some minutes.
const LIFE: u64 = 300;

/// Bytes of an assertion that the platform writes, at most.
const FILE_MAX: usize = 32 << 10;

/// What the provider is shown.
#[derive(Debug, Clone)]
pub enum ProviderCredential {
    /// A secret that both know: `client_secret_basic` or `client_secret_post`.
    Secret(SharedSecret),
    /// Assertions by a key whose certificate is registered there: `private_key_jwt`.
    Certificate(Certificate),
    /// Assertions that the platform writes into a file, and renews: a workload identity that
    /// the provider trusts (RFC 7523 §2.2, signed by somebody else).
    Federated(PathBuf),
    /// Assertions that the platform gives to a program that runs on it: a managed identity.
    Managed(ManagedIdentity),
}

/// A secret, and the file that has it, which may be written anew while we run.
#[derive(Debug, Clone)]
pub struct SharedSecret {
    text: Secret,
    file: Option<PathBuf>,
}

impl SharedSecret {
    /// A secret that stays as it is.
    pub fn fixed(text: Secret) -> Self {
        Self { text, file: None }
    }

    /// A secret that was read from this file, and is looked for there again.
    pub fn in_file(text: Secret, file: PathBuf) -> Self {
        Self {
            text,
            file: Some(file),
        }
    }

    /// Its file, if it is in one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The secret as it is now. While its file cannot be read, it is what it was at the start:
    /// a file that is being replaced ends no login.
    pub async fn now(&self) -> Secret {
        let Some(file) = &self.file else {
            return self.text.clone();
        };
        let read = tokio::fs::read_to_string(file).await;
        if let Err(error) = &read {
            tracing::warn!(
                event = "idp.secret_unreadable", file = %file.display(), %error,
                "using the secret as it was at the start"
            );
        }
        match read.unwrap_or_default().trim_end_matches(['\r', '\n']) {
            "" => self.text.clone(),
            text => Secret::new(text.to_owned()),
        }
    }
}

/// Where the platform gives assertions to the programs that run on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedIdentity {
    /// Which identity, if it is not the system's own: its client id.
    pub client_id: Option<String>,
    /// Where it is asked.
    pub place: IdentityPlace,
}

/// The two ways in which platforms give tokens to programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityPlace {
    /// Of a virtual machine: the metadata service at a link-local address.
    Metadata {
        /// Its origin.
        origin: String,
    },
    /// Of App Service, Functions and Container Apps: an address and a header in the
    /// environment.
    Endpoint {
        /// `IDENTITY_ENDPOINT`.
        url: String,
        /// `IDENTITY_HEADER`.
        header: Secret,
    },
}

impl ManagedIdentity {
    /// The identity of this environment.
    pub fn of(client_id: Option<String>, env: &BTreeMap<String, String>) -> Self {
        let place = match (env.get("IDENTITY_ENDPOINT"), env.get("IDENTITY_HEADER")) {
            (Some(url), Some(header)) => IdentityPlace::Endpoint {
                url: url.clone(),
                header: Secret::new(header.clone()),
            },
            _ => IdentityPlace::Metadata {
                origin: env
                    .get("AZURE_POD_IDENTITY_AUTHORITY_HOST")
                    .map_or("http://169.254.169.254", |origin| {
                        origin.trim_end_matches('/')
                    })
                    .to_owned(),
            },
        };
        Self { client_id, place }
    }
}

/// A private key with its certificate.
#[derive(Clone)]
pub struct Certificate {
    key: EncodingKey,
    kind: KeyKind,
    /// SHA-256 of the certificate, in base64url: `x5t#S256` (RFC 7515 §4.1.8).
    thumbprint: String,
    der: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyKind {
    Rsa,
    P256,
}

/// Why a certificate and a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The certificate.
    #[error("the certificate is not one in PEM")]
    Certificate,
    /// The key.
    #[error("the key is not an RSA or P-256 key in PEM, without a password")]
    Key,
    /// They are not of each other.
    #[error("the key is not the certificate's")]
    NotOfEachOther,
}

/// Why there is no assertion of the platform's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssertionError {
    /// The file.
    #[error("the assertion file cannot be read: {0}")]
    Unreadable(String),
    /// What is in it.
    #[error("the assertion file holds no assertion")]
    NotOne,
    /// The platform's own service.
    #[error("the platform gives no assertion: {0}")]
    Platform(String),
    /// The signing library.
    #[error("the key does not sign")]
    NotSigned,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate")
            .field("thumbprint", &self.thumbprint)
            .finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads both from PEM.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn read(certificate: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        use CertificateError as E;
        let chain = CertificateDer::from_pem_slice(certificate).map_err(|_| E::Certificate)?;
        let thumbprint = digest::digest(&digest::SHA256, &chain);
        let thumbprint = URL_SAFE_NO_PAD.encode(thumbprint);
        let der = chain.to_vec();
        let private = PrivateKeyDer::from_pem_slice(key).map_err(|_| E::Key)?;
        let signing = any_supported_type(&private).map_err(|_| E::Key)?;
        // It parses the certificate, too.
        match CertifiedKey::new(vec![chain], signing).keys_match() {
            Ok(()) => {}
            Err(rustls::Error::InconsistentKeys(_)) => return Err(E::NotOfEachOther),
            Err(_) => return Err(E::Certificate),
        }
        let (key, kind) = match EncodingKey::from_rsa_pem(key) {
            Ok(rsa) => (rsa, KeyKind::Rsa),
            Err(_) => {
                let ec = EncodingKey::from_ec_pem(key).map_err(|_| E::Key)?;
                (ec, KeyKind::P256)
            }
        };
        let read = Self {
            key,
            kind,
            thumbprint,
            der,
        };
        // A key of another curve shows at the first signature only.
        let tried = read.assertion(
            "client",
            "audience",
            &[0; 16],
            true,
            Timestamp::from_unix(0),
        );
        tried.map(|_| read.clone()).map_err(|_| E::Key)
    }

    /// When it ends, if that can be read (RFC 5280 §4.1.2.5). The provider judges it; this is to
    /// tell an operator in time.
    pub fn ends(&self) -> Option<Timestamp> {
        certificate_validity(&self.der).map(|(_, ends)| ends)
    }

    /// The certificate, in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its fingerprint: SHA-256 of it, in hexadecimal.
    pub fn fingerprint(&self) -> String {
        let digest = digest::digest(&digest::SHA256, &self.der);
        digest
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// An assertion for the token endpoint (OpenID Connect Core §9). `pss` says whether the
    /// provider takes RSASSA-PSS, which Microsoft Entra asks for.
    ///
    /// # Errors
    /// [`AssertionError::NotSigned`].
    pub fn assertion(
        &self,
        client_id: &str,
        token_endpoint: &str,
        id: &[u8; 16],
        pss: bool,
        now: Timestamp,
    ) -> Result<String, AssertionError> {
        #[derive(Serialize)]
        struct Claims<'c> {
            iss: &'c str,
            sub: &'c str,
            aud: &'c str,
            jti: String,
            iat: u64,
            nbf: u64,
            exp: u64,
        }
        let mut header = Header::new(match (self.kind, pss) {
            (KeyKind::Rsa, true) => Algorithm::PS256,
            (KeyKind::Rsa, false) => Algorithm::RS256,
            (KeyKind::P256, _) => Algorithm::ES256,
        });
        header.x5t_s256 = Some(self.thumbprint.clone());
        let now = now.unix();
        let claims = Claims {
            iss: client_id,
            sub: client_id,
            aud: token_endpoint,
            jti: URL_SAFE_NO_PAD.encode(id),
            iat: now,
            nbf: now,
            exp: now + LIFE,
        };
        jsonwebtoken::encode(&header, &claims, &self.key).map_err(|_| AssertionError::NotSigned)
    }
}

/// The platform's assertion as it is now: it is renewed in the file.
///
/// # Errors
/// [`AssertionError`].
pub async fn federated(file: &Path) -> Result<String, AssertionError> {
    let text = tokio::fs::read_to_string(file)
        .await
        .map_err(|error| AssertionError::Unreadable(error.kind().to_string()))?;
    let text = text.trim();
    let is_one = text.len() <= FILE_MAX
        && text.split('.').count() == 3
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    match is_one {
        true => Ok(text.to_owned()),
        false => Err(AssertionError::NotOne),
    }
}

/// From when and until when a certificate in DER is good, if that can be read
/// (RFC 5280 §4.1.2.5).
pub fn certificate_validity(der: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let blocks = simple_asn1::from_der(der).ok()?;
    let [ASN1Block::Sequence(_, certificate)] = blocks.as_slice() else {
        return None;
    };
    let ASN1Block::Sequence(_, signed) = certificate.first()? else {
        return None;
    };
    let time = |block: &ASN1Block| match block {
        ASN1Block::UTCTime(_, time) | ASN1Block::GeneralizedTime(_, time) => {
            u64::try_from(time.assume_utc().unix_timestamp())
                .ok()
                .map(Timestamp::from_unix)
        }
        _ => None,
    };
    signed.iter().find_map(|part| match part {
        ASN1Block::Sequence(_, validity) => match validity.as_slice() {
            [begins, ends] => time(begins).zip(time(ends)),
            _ => None,
        },
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn pair(key: &KeyPair) -> (String, String) {
        let params = CertificateParams::new(Vec::new()).expect("parameters");
        let certificate = params.self_signed(key).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }

    fn read(certificate: &str, key: &str) -> Option<CertificateError> {
        Certificate::read(certificate.as_bytes(), key.as_bytes()).err()
    }

    #[test]
    fn bad_input_a_certificate_is_taken_with_its_own_key_only() {
        use CertificateError as E;
        let p256 = KeyPair::generate().expect("a key");
        let (certificate, key) = pair(&p256);
        assert_eq!(read(&certificate, &key), None);
        let (_, other) = pair(&KeyPair::generate().expect("a key"));
        assert_eq!(read(&certificate, &other), Some(E::NotOfEachOther));
        assert_eq!(read("nothing", &key), Some(E::Certificate));
        assert_eq!(read(&key, &key), Some(E::Certificate));
        assert_eq!(read(&certificate, &certificate), Some(E::Key));
        let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("a key");
        let (certificate, key) = pair(&p384);
        assert_eq!(read(&certificate, &key), Some(E::Key));
        // A chain begins with our own.
        let (certificate, key) = pair(&p256);
        let (above, _) = pair(&p384);
        assert_eq!(read(&format!("{certificate}{above}"), &key), None);
    }

    #[test]
    fn a_certificate_that_is_logged_has_no_key() {
        let (certificate, key) = pair(&KeyPair::generate().expect("a key"));
        let read = Certificate::read(certificate.as_bytes(), key.as_bytes()).expect("fits");
        let logged = format!("{:?}", ProviderCredential::Certificate(read));
        assert!(logged.contains("thumbprint"), "{logged}");
        assert!(logged.len() < 120, "{logged}");
    }
}
