//! What `vestibule entra` is told: `[entra]`, and what it needs of the rest while the client
//! id and the secret, which it makes, are not there yet.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use vestibule_core::{
    entra::{api::WantedApi, tag, wanted::Accounts},
    resource,
};

use crate::provider_credential::{Certificate, ManagedIdentity};

/// `[entra]`.
#[derive(Debug, Clone)]
pub struct Entra {
    /// Where Microsoft Entra ID is, without a slash at the end. `entra.authority`.
    pub authority: String,
    /// Where Microsoft Graph is, without a slash at the end. `entra.graph`.
    pub graph: String,
    /// The tenant in which the application is registered, where several sign in to it.
    /// `entra.tenant`.
    pub tenant: Option<String>,
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
    /// The name of this gateway: `instance.name`, or the public host.
    pub instance: String,
    /// The server whose tokens Entra issues, if it is that server's application.
    pub server: Option<String>,
    /// Where people are sent back to, if they sign in to it.
    pub redirect: Option<String>,
    /// The tenant's id in which it is registered. `idp.tenant` or `entra.tenant`.
    pub tenant: String,
    /// Whose accounts may sign in to it.
    pub accounts: Accounts,
    /// Those tenants, where they are several. `idp.tenants`.
    pub tenants: Vec<String>,
    /// Where the client id is to be. `idp.client_id`, or a server's `audience`.
    pub client_id: ClientIdAt,
    /// What the gateway proves itself with. `idp.client_secret` or `idp.credential`.
    pub proof: Option<ProofAt>,
    /// The API that it is.
    pub api: Option<WantedApi>,
    /// Whether a rule names a group.
    pub groups: bool,
    /// Whether Microsoft Graph is asked for groups by the application itself.
    pub members: bool,
    /// `[entra]`.
    pub entra: Entra,
    /// A certificate authority besides those of the operating system.
    pub extra_ca_file: Option<PathBuf>,
    /// Servers whose tokens Entra issues, each with an application of its own.
    pub servers: BTreeMap<String, DirectApp>,
}

/// The application of a server in direct mode.
#[derive(Debug, Clone)]
pub struct DirectApp {
    /// Where its client id is to be. `servers.NAME.audience`.
    pub client_id: ClientIdAt,
    /// What it is.
    pub api: WantedApi,
}

impl EntraSetup {
    /// The same for the application of this server, if it has one of its own.
    pub fn of_server(&self, name: &str) -> Option<Self> {
        self.servers.get(name).map(|app| self.of_app(name, app))
    }

    /// The same for the application of a server that is not in the configuration any more, if
    /// there is a journal of it: it can be destroyed still.
    pub fn of_former_server(&self, name: &str) -> Option<Self> {
        let folder = self.entra.state.join(name);
        let app = DirectApp {
            client_id: ClientIdAt::File(folder.join("client_id")),
            api: WantedApi::default(),
        };
        (resource::is_name(name) && folder.is_dir()).then(|| self.of_app(name, &app))
    }

    fn of_app(&self, name: &str, app: &DirectApp) -> Self {
        let mut entra = self.entra.clone();
        entra.app_name = format!("{} {name}", entra.app_name);
        entra.state = entra.state.join(name);
        entra.allow_public_client = false;
        Self {
            server: Some(name.to_owned()),
            redirect: None,
            accounts: Accounts::OneTenant,
            tenants: Vec::new(),
            client_id: app.client_id.clone(),
            proof: None,
            api: Some(app.api.clone()),
            members: false,
            entra,
            servers: BTreeMap::new(),
            ..self.clone()
        }
    }

    /// By which the application is found again when nothing else is known of it.
    pub fn tag(&self) -> String {
        tag(&self.instance, self.server.as_deref())
    }

    /// What it is called for people.
    pub fn label(&self) -> String {
        match &self.server {
            Some(name) => format!("{}/{name}", self.instance),
            None => self.instance.clone(),
        }
    }

    /// What a command needs so that it is about this application.
    pub fn flag(&self) -> String {
        match &self.server {
            Some(name) => format!(" --server {name}"),
            None => String::new(),
        }
    }
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
