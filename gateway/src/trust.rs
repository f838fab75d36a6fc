//! Whose certificates are believed: the system's authorities, and one file of the
//! operator's. Read once, since a system has some hundred and fifty of them.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig,
    client::Resumption,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use rustls_platform_verifier::Verifier;

/// How every connection that we open is made safe: certificates are always verified (TLS-5).
#[derive(Debug, Clone)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    /// The system's authorities, and those in `extra_ca` in PEM.
    ///
    /// # Errors
    /// A sentence, if the certificate authority's file cannot be used.
    pub fn load(extra_ca: Option<&Path>) -> Result<Self, String> {
        let builder = ClientConfig::builder();
        let mut roots = Vec::new();
        if let Some(path) = extra_ca {
            let wrong = |error| format!("{}: {error}", path.display());
            for certificate in CertificateDer::pem_file_iter(path).map_err(wrong)? {
                roots.push(certificate.map_err(wrong)?);
            }
        }
        let verifier = Verifier::new_with_extra_roots(roots, Arc::clone(builder.crypto_provider()))
            .map_err(|error| error.to_string())?;
        let mut config = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// The same with a memory of its own for sessions: hosts that strangers name must not
    /// push the provider's out.
    pub fn for_strangers(&self) -> ClientConfig {
        let mut config = ClientConfig::clone(&self.0);
        config.resumption = Resumption::in_memory_sessions(32);
        config
    }

    /// What connections are opened with.
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.0
    }
}
