//! What `vestibule entra` is told: `[entra]`, and what it needs of the rest while the client
//! id and the secret, which it makes, are not there yet.

use std::{path::PathBuf, time::Duration};

use vestibule_core::uri::Issuer;

use crate::provider_credential::{Certificate, ManagedIdentity};

/// `[entra]`.
#[derive(Debug, Clone)]
pub struct Entra {
    /// Where Microsoft Entra ID is, without a slash at the end. `entra.authority`.
    pub authority: String,
    /// Where Microsoft Graph is, without a slash at the end. `entra.graph`.
    pub graph: String,
    /// The application's label. `entra.app_name`.
    pub app_name: String,
    /// The folder of the journal. `entra.state`.
    pub state: PathBuf,
    /// Whether the application is a public client besides. `entra.allow_public_client`.
    pub allow_public_client: bool,
    /// How long a secret lives. `entra.secret_life`.
    pub secret_life: Duration,
    /// Issuer and subject of the platform's tokens, where they are not to be read from a token
    /// because `apply` runs elsewhere. `entra.federated`.
    pub federated: Option<(String, String)>,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct EntraSetup {
    /// The public origin.
    pub public_url: Issuer,
    /// By which the application is tagged: `instance.name`, or the public host.
    pub instance: String,
    /// The tenant's id, or a name of it. `idp.tenant`.
    pub tenant: String,
    /// Where the client id is to be. `idp.client_id`.
    pub client_id: ClientIdAt,
    /// What the gateway proves itself with. `idp.client_secret` or `idp.credential`.
    pub proof: ProofAt,
    /// Whether a rule names a group.
    pub groups: bool,
    /// Whether Microsoft Graph is asked for groups by the application itself.
    pub members: bool,
    /// `[entra]`.
    pub entra: Entra,
    /// A certificate authority besides those of the operating system.
    pub extra_ca_file: Option<PathBuf>,
}

/// Where the client id is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientIdAt {
    /// In a file, which `apply` writes.
    File(PathBuf),
    /// In the configuration.
    Here(String),
}

/// What the gateway proves itself with.
#[derive(Debug, Clone)]
pub enum ProofAt {
    /// A secret in a file, which `apply` writes.
    SecretFile(PathBuf),
    /// A certificate that is there.
    Certificate(Certificate),
    /// Tokens that the platform writes into a file.
    File(PathBuf),
    /// Tokens of the platform's managed identity.
    Managed(ManagedIdentity),
}
