//! The configuration: what was written, and what was meant.
//!
//! One crossing, [`Config::read`], which reports every mistake at once with its place.
//! Unknown keys are errors. Secrets are referred to, never written. `app` alone sees the
//! whole of this; every part gets its own piece.

mod brand;
mod entra;
mod plain_oauth;
mod reader;
mod report;
mod table;
mod upstream_auth;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use url::Url;
use vestibule_core::{
    client::Client,
    id_token::{SubjectKey, Tenants},
    operator::Roles,
    recheck::Bounds,
    resource::{Catalogue, MAIN_PROVIDER, Resource},
    secret::Digest,
    time::Timestamp,
    token::jwt_bearer::TrustedIssuer,
    uri::Issuer,
};

pub use self::brand::{Brand, Logo};
pub use self::entra::{ClientIdAt, DirectApp, Entra, EntraSetup, ProofAt};
pub use self::plain_oauth::{Membership, ORGANIZATION, PlainOAuth};
pub use self::report::{Problem, Report};
pub use self::upstream_auth::{ProviderToken, ServiceAt, ServiceSettings, UpstreamAuth};
use self::{reader::Reader, table::Table};
use crate::provider_credential::ProviderCredential;

/// Everything that was meant.
#[derive(Debug, Clone)]
pub struct Config {
    /// The public origin, which is the issuer. `public_url`.
    pub public_url: Issuer,
    /// Where clients and browsers are served. `listen`.
    pub listen: SocketAddr,
    /// How TLS is done. `tls`.
    pub tls: Tls,
    /// Networks whose forwarding headers are believed. `trusted_proxies`.
    pub trusted_proxies: Vec<IpNet>,
    /// The identity provider. `[idp]`.
    pub idp: Idp,
    /// Further ones, whose people only servers let in that name them. `[idps.NAME]`.
    pub idps: Vec<Idp>,
    /// The MCP servers. `[servers.NAME]`.
    pub servers: Vec<Server>,
    /// Which server a request without `resource` means. `default_server`.
    pub default_server: Option<String>,
    /// Clients that an operator added. `[clients.ID]`.
    pub clients: Vec<Client>,
    /// Who may register. `[registration]`.
    pub registration: Registration,
    /// Whose assertions are taken. `[issuers.NAME]`.
    pub issuers: Vec<Issuing>,
    /// Lives of what is issued. `[tokens]`.
    pub tokens: Tokens,
    /// What is kept of what was done. `[audit]`.
    pub audit: Auditing,
    /// Bounds on what strangers send. `[limits]`.
    pub limits: Limits,
    /// The database file. `store.url`.
    pub store: PathBuf,
    /// The folder of the root key. `keys.dir`.
    pub keys_dir: PathBuf,
    /// Health, console and management. `[admin]`.
    pub admin: Admin,
    /// Name, color and picture of pages. `[instance]`.
    pub brand: Brand,
    /// Whether `/` and `/connect/NAME` tell strangers which servers there are. `landing`.
    pub landing: bool,
    /// A certificate authority besides those of the operating system.
    pub extra_ca_file: Option<PathBuf>,
    /// Whether `/try` is served; only the demo does.
    pub try_page: bool,
}

/// How TLS is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Not at all: everything is on this computer.
    PlainLoopback,
    /// Somebody in front does it.
    BehindProxy,
}

/// An identity provider.
#[derive(Debug, Clone)]
pub struct Idp {
    /// Its name in this configuration; [`MAIN_PROVIDER`] for the one of `[idp]`.
    pub name: String,
    /// What people read, if not its host.
    pub title: Option<String>,
    /// Its issuer, text for text.
    pub issuer: String,
    /// Our client id there.
    pub client_id: String,
    /// How we prove that there.
    pub credential: ProviderCredential,
    /// What we ask it for.
    pub scopes: Vec<String>,
    /// Whose habits it has.
    pub kind: IdpKind,
    /// What else is in the authorization request.
    pub params: Vec<(String, String)>,
    /// Claims that tell groups and roles, by name or path.
    pub groups_claims: Vec<String>,
    /// The organization that an account must be of.
    pub hosted_domain: Option<String>,
    /// Microsoft Graph, if it is asked for groups that an ID token leaves out.
    /// `idp.groups_from_graph`.
    pub graph: Option<String>,
    /// Tenants that are let in, where they are several; and the issuer of each, with
    /// `{tenantid}` in it.
    pub tenants: Option<(String, Vec<String>)>,
    /// How it is asked who somebody is, if it has no ID tokens.
    pub plain: Option<Box<PlainOAuth>>,
    /// Whether a rule names a group or a role.
    pub needs_groups: bool,
    /// How long its word about a person is good. `idp.recheck`, `idp.grace`, for all.
    pub vouching: Bounds,
}

/// Providers with habits of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdpKind {
    /// OpenID Connect as written.
    Oidc,
    /// Microsoft Entra ID.
    Entra,
    /// OAuth without ID tokens.
    OAuth,
}

/// An issuer whose assertions are taken, and where its keys are.
#[derive(Debug, Clone)]
pub struct Issuing {
    /// What the protocol needs to know.
    pub trusted: TrustedIssuer,
    /// Its keys, if its metadata is not to be asked.
    pub jwks_uri: Option<String>,
}

/// An MCP server.
#[derive(Debug, Clone)]
pub struct Server {
    /// As clients see it.
    pub resource: Resource,
    /// Where it is.
    pub upstream: Url,
    /// Whether it needs no token; for test servers.
    pub public: bool,
    /// Browser origins that may call it, besides our own.
    pub origins: Vec<String>,
    /// What it gets in place of the client's token.
    pub upstream_auth: UpstreamAuth,
    /// Which transport it speaks.
    pub transport: Transport,
    /// Whose tokens it takes, if this gateway issues none for it. `mode = "direct"`.
    pub direct: Option<DirectSettings>,
}

/// Tokens of an identity provider for one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectSettings {
    /// The provider, by its name in this configuration.
    pub provider: String,
    /// What it calls the server in `aud`.
    pub audience: Vec<String>,
    /// Whether the server gets what they are exchanged for.
    pub is_exchanged: bool,
}

/// Which transport an MCP server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Streamable HTTP, of whichever revision.
    Streamable,
    /// HTTP with SSE of 2024-11-05, which is deprecated.
    LegacySse,
}

/// Who may register by itself.
#[derive(Debug, Clone)]
pub struct Registration {
    /// By `/register`.
    pub dynamic: Admission,
    /// What `/register` wants to see first, if not everybody may register
    /// (RFC 7591 §3, the initial access token).
    pub initial_access_token: Option<Digest>,
    /// What happens to a client whose name is another's.
    pub look_alikes: LookAlikes,
    /// By an address as client id.
    pub documents: Admission,
    /// Hosts whose documents are verified publishers.
    pub trusted_hosts: Vec<String>,
    /// Private-use redirect schemes.
    pub private_schemes: Vec<String>,
    /// Networks that the address rules let through for documents; for tests.
    pub unsafe_document_addresses: Vec<IpNet>,
}

/// What happens to a client that calls itself like a known one and lives elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookAlikes {
    /// The person is told.
    Warn,
    /// The person is not even asked.
    Refuse,
}

/// Whether a way in is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// To everybody.
    Open,
    /// To these hosts.
    Allowlist(Vec<String>),
    /// To nobody.
    Off,
}

/// Lives of what is issued.
#[derive(Debug, Clone, Copy)]
pub struct Tokens {
    /// Of an access token.
    pub access_ttl: Duration,
    /// Of a grant that is used.
    pub refresh_ttl: Duration,
    /// Of a grant that is not.
    pub refresh_idle: Duration,
    /// How long a spent refresh token still gets the current one.
    pub refresh_window: Duration,
    /// Whether refresh tokens are issued at all.
    pub refresh: bool,
    /// Of a person's session at our own pages.
    pub session_ttl: Duration,
    /// What access tokens look like.
    pub format: TokenFormat,
    /// Whether programs without a browser may ask for approval on another screen.
    pub device: bool,
}

/// Health, console and management.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Where it is served.
    pub listen: SocketAddr,
    /// Where operators' browsers find it, if that is not where it is served.
    pub url: Option<Issuer>,
    /// Who is an operator.
    pub roles: Roles,
}

/// What is kept of what was done.
#[derive(Debug, Clone, Copy)]
pub struct Auditing {
    /// Whether calls of tools are.
    pub tool_calls: bool,
    /// Whether their arguments are.
    pub arguments: bool,
    /// How long.
    pub retention: Duration,
}

/// What access tokens look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenFormat {
    /// Sealed: mute to whoever holds them.
    Sealed,
    /// Signed and readable (RFC 9068), for servers that verify for themselves.
    Jwt,
}

/// Bounds on what strangers send.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a request body on an MCP route.
    pub mcp_body: usize,
    /// Bytes of a request body anywhere else.
    pub oauth_body: usize,
    /// Bytes of a header block.
    pub headers: usize,
    /// How long a header block may take.
    pub header_time: Duration,
    /// How long a connection may be silent between requests.
    pub idle_time: Duration,
    /// How long an MCP server may take to begin its answer.
    pub upstream_time: Duration,
    /// How long the identity provider may take to answer.
    pub provider_time: Duration,
    /// How long a stream may last in all.
    pub stream_total: Duration,
    /// How long a stream may be silent, on the server's side, before it is ended.
    pub stream_idle: Duration,
    /// How often a silent stream gets a comment, so that nobody on the way ends it.
    pub keep_alive: Duration,
    /// How long a client may take nothing of what is there for it.
    pub read_time: Duration,
    /// Requests and streams that one person or machine may hold open at a time.
    pub streams: usize,
    /// Connections that one address block may hold open at a time.
    pub connections: usize,
    /// Registrations, pushed requests and the like that one address block may make each
    /// minute; zero for no limit.
    pub registrations: u32,
    /// Worker threads; one per core by default.
    pub threads: usize,
}

impl Idp {
    /// Whether it is the one of `[idp]`.
    pub fn is_main(&self) -> bool {
        self.name == MAIN_PROVIDER
    }

    /// How its people are told apart.
    pub fn subject_key(&self) -> SubjectKey {
        match self.kind {
            IdpKind::Oidc | IdpKind::OAuth => SubjectKey::Sub,
            IdpKind::Entra => SubjectKey::TenantAndObject,
        }
    }

    /// Its tenants that are let in, where they are several.
    pub fn let_in(&self) -> Option<Tenants<'_>> {
        let (issuer, allowed) = self.tenants.as_ref()?;
        Some(Tenants { issuer, allowed })
    }

    /// When what proves us there ends, if that is known.
    pub fn credential_ends(&self) -> Option<Timestamp> {
        match &self.credential {
            ProviderCredential::Certificate(certificate) => certificate.ends(),
            ProviderCredential::Secret(_)
            | ProviderCredential::Federated(_)
            | ProviderCredential::Managed(_) => None,
        }
    }

    /// Its path in the configuration.
    pub fn path(&self) -> String {
        if self.is_main() {
            "idp".to_owned()
        } else {
            format!("idps.{}", self.name)
        }
    }
}

impl Config {
    /// All identity providers, the main one first.
    pub fn providers(&self) -> impl Iterator<Item = &Idp> {
        std::iter::once(&self.idp).chain(&self.idps)
    }

    /// The names of all who vouch for people besides the main provider, as rules write them.
    pub fn vouchers(&self) -> Vec<String> {
        vouchers(Some(&self.idp), &self.idps, &self.issuers)
    }

    /// All resources.
    pub fn catalogue(&self) -> Catalogue {
        Catalogue::new(
            self.servers
                .iter()
                .map(|server| server.resource.clone())
                .collect(),
            self.default_server.as_deref(),
        )
    }

    /// Reads the file at `path` and the environment.
    ///
    /// # Errors
    /// [`Report`] with every problem found; nothing is started on a wrong configuration.
    pub fn load(path: &Path, env: &BTreeMap<String, String>) -> Result<Self, Report> {
        let file = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::read(&file, &text, path.parent().unwrap_or(Path::new("")), env),
            Err(error) => Err(Report::unreadable(&file, &error)),
        }
    }

    /// Reads of the file at `path` what `vestibule entra` needs, while the client id and the
    /// secret need not be there yet.
    ///
    /// # Errors
    /// [`Report`].
    pub fn load_entra(path: &Path, env: &BTreeMap<String, String>) -> Result<EntraSetup, Report> {
        let file = path.display().to_string();
        let folder = path.parent().unwrap_or(Path::new(""));
        let text =
            std::fs::read_to_string(path).map_err(|error| Report::unreadable(&file, &error))?;
        let mut report = Report::new(&file, &text);
        let setup = Table::parse(&text, env, &mut report).and_then(|table| {
            Reader {
                folder,
                env,
                report: &mut report,
            }
            .entra_setup(table)
        });
        match setup {
            Some(setup) if report.is_empty() => Ok(setup),
            _ => Err(report),
        }
    }

    /// Reads `text`, which came from `file`; relative paths in it begin at `folder`.
    ///
    /// # Errors
    /// [`Report`].
    pub fn read(
        file: &str,
        text: &str,
        folder: &Path,
        env: &BTreeMap<String, String>,
    ) -> Result<Self, Report> {
        let mut report = Report::new(file, text);
        let config = Table::parse(text, env, &mut report).and_then(|table| {
            Reader {
                folder,
                env,
                report: &mut report,
            }
            .config(table)
        });
        match config {
            Some(config) if report.is_empty() => Ok(config),
            _ => Err(report),
        }
    }
}

/// An issuer that is the main provider is no other.
fn vouchers(main: Option<&Idp>, idps: &[Idp], issuers: &[Issuing]) -> Vec<String> {
    let issuers = issuers.iter().map(|issuing| &issuing.trusted);
    let apart = issuers.filter(|trusted| main.is_none_or(|main| trusted.issuer != main.issuer));
    let names = apart.map(|trusted| trusted.name.clone());
    names
        .chain(idps.iter().map(|idp| idp.name.clone()))
        .collect()
}

#[cfg(test)]
mod tests;
