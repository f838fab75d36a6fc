//! What the endpoints share: the facts they fetch and the places where they commit.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use arc_swap::ArcSwap;
use http::HeaderMap;
use ipnet::IpNet;
use vestibule_core::{
    access_token::{self, AccessToken},
    client::Client,
    client_document::DocumentUrl,
    flow::earlier::Seen,
    id::ClientRef,
    metadata::Offered,
    operator::{Role, Roles},
    policy::Somebody,
    recheck::Bounds,
    register::{self, RegistrationPolicy},
    resource::{Catalogue, Resource},
    uri::Issuer,
};

use crate::{
    audit::Audit,
    config::{Admission, Brand, Issuing, Registration, TokenFormat, Tokens},
    direct::DirectTokens,
    document_cache::{DocumentCache, LookupError},
    earlier::Earlier,
    flows::Flows,
    http::{
        arrivals::Arrivals, cookie::Jar, held::Held, limit::Limiter, peer::client_address, seen,
    },
    key_cache::KeyCache,
    keys::Keys,
    page::{Frame, language},
    providers::Providers,
    pulse::Pulse,
    revocation::Revocations,
    service::Service,
    store::{Person, Store, StoreError},
    uses::Uses,
    world::World,
};

pub use crate::document_cache::Purpose;

/// See the module. One for the whole process.
pub struct Office {
    /// Who we are to everybody.
    pub issuer: Issuer,
    /// What the operator chose for pages.
    pub brand: Brand,
    /// The style sheet, with that.
    pub style: String,
    /// Whether strangers are told which servers there are.
    pub landing: bool,
    /// How cookies are named.
    pub jar: Jar,
    /// The MCP servers.
    pub catalogue: Catalogue,
    /// What the metadata says.
    pub offered: Offered,
    /// Who may register.
    pub registration: Registration,
    /// The same for the core.
    pub policy: RegistrationPolicy,
    /// Clients of the configuration.
    pub clients: HashMap<String, Client>,
    /// Clients by their documents.
    pub documents: DocumentCache,
    /// Public keys of clients and issuers.
    pub key_cache: KeyCache,
    /// Whose assertions are taken.
    pub issuers: Vec<Issuing>,
    /// Services behind servers, by the server's name, at which people have accounts.
    pub services: HashMap<String, Service>,
    /// Networks whose word about addresses is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How requests of an operator's arrive.
    pub arrivals: Arrivals,
    /// Calls that wait for their person, who goes to a page of ours.
    pub waiting: Arc<Held>,
    /// Requests that are open at MCP servers.
    pub held: Arc<Held>,
    /// How often strangers may begin something.
    pub beginnings: Limiter,
    /// Proofs that were used at MCP servers.
    pub proofs: seen::Seen,
    /// Sign-ins to our own pages that came back.
    pub sign_ins: seen::Seen,
    /// How often one client of an address may fail to prove itself.
    pub failures: Limiter,
    /// How often all clients of an address may.
    pub failing: Limiter,
    /// How often a device may be let wait for its person.
    pub devices: Limiter,
    /// Lives of what is issued.
    pub tokens: Tokens,
    /// How long the provider's word is good.
    pub vouching: Bounds,
    /// Bytes of a body that are read.
    pub body_max: usize,
    /// All keys.
    pub keys: ArcSwap<Keys>,
    /// What is remembered.
    pub store: Arc<dyn Store>,
    /// What has ended and must be refused.
    pub revocations: Arc<Revocations>,
    /// The names in the configuration of all who vouch for people besides the main provider.
    pub vouchers: Vec<String>,
    /// Tokens that providers issued for servers here.
    pub direct: DirectTokens,
    /// Who knows the people.
    pub providers: Providers,
    /// The record of logins.
    pub flows: Flows,
    /// What apps did before they had any.
    pub earlier: Earlier,
    /// What becomes of their access.
    pub uses: Uses,
    /// Who called which tool.
    pub audit: Arc<Audit>,
    /// Whether everybody may see the record of every login; only the demo, on loopback.
    pub flows_open: bool,
    /// Who is an operator.
    pub roles: Roles,
    /// Where the console is.
    pub console: Issuer,
    /// What happened in the last day, in numbers.
    pub pulse: Arc<Pulse>,
    /// Clock and entropy.
    pub world: World,
}

/// Why there is no client of this id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoClient {
    /// Nobody knows it.
    #[error("the client is not known here")]
    Unknown,
    /// Known, but not let in by the operator's rules.
    #[error("this gateway does not admit that client")]
    NotAdmitted,
    /// An operator blocked it.
    #[error("an operator blocked that client")]
    Blocked,
    /// Its document.
    #[error("the client's document {0}")]
    Document(#[from] LookupError),
    /// The store did not say; this is no answer about the client.
    #[error("the store does not answer")]
    NotNow,
}

impl NoClient {
    /// Whether it may be one all the same, at another time.
    pub fn is_for_now(&self) -> bool {
        match self {
            Self::Unknown | Self::NotAdmitted | Self::Blocked => false,
            Self::Document(error) => error.is_for_now(),
            Self::NotNow => true,
        }
    }
}

impl Office {
    /// Keeps for a moment what somebody did who is connected from `peer`.
    pub fn saw(&self, peer: IpAddr, headers: &HeaderMap, seen: Seen) {
        let address = client_address(peer, headers, &self.trusted_proxies);
        self.earlier.saw(address, headers, seen, self.world.now());
    }

    /// The client of this id, however it came to be one, for somebody at `asker`, as operators
    /// decided about it.
    ///
    /// # Errors
    /// [`NoClient`].
    pub async fn client(
        &self,
        id: &str,
        purpose: Purpose,
        asker: IpAddr,
    ) -> Result<Client, NoClient> {
        let standing = match self.store.standing(ClientRef::of(id)).await {
            Ok(known) => known.map(|(_, standing)| standing),
            Err(error) => {
                tracing::error!(event = "store.failed", %error);
                return Err(NoClient::NotNow);
            }
        };
        let known = standing.is_some();
        let standing = standing.unwrap_or_default();
        if standing.blocked.is_some() {
            return Err(NoClient::Blocked);
        }
        let client = self.as_it_came(id, purpose, asker, known).await?;
        Ok(client.standing(&standing))
    }

    async fn as_it_came(
        &self,
        id: &str,
        purpose: Purpose,
        asker: IpAddr,
        known: bool,
    ) -> Result<Client, NoClient> {
        if let Some(client) = self.clients.get(id) {
            return Ok(client.clone());
        }
        if id.starts_with(register::PREFIX) {
            let keys = self.keys.load();
            let client = register::read_id(id, &self.policy, &keys.registration)
                .map_err(|_| NoClient::Unknown)?;
            return match (&self.registration.dynamic, purpose) {
                (Admission::Off, Purpose::Login) => Err(NoClient::NotAdmitted),
                _ => Ok(client),
            };
        }
        if DocumentUrl::looks_like_one(id) {
            let url = DocumentUrl::parse(id).map_err(|_| NoClient::Unknown)?;
            let admitted = match &self.registration.documents {
                Admission::Open => true,
                Admission::Allowlist(hosts) => hosts.iter().any(|host| host == url.host()),
                Admission::Off => false,
            };
            // Whoever was allowed something under other rules keeps it; nobody else makes us
            // ask an address.
            let keeps = !admitted && purpose == Purpose::Token && known;
            if !admitted && !keeps {
                return Err(NoClient::NotAdmitted);
            }
            let trusted = self
                .registration
                .trusted_hosts
                .iter()
                .any(|host| host == url.host());
            let may_fetch = || self.beginnings.take(asker, self.world.now()).is_ok();
            return Ok(self
                .documents
                .client(&url, trusted, purpose, self.world.now(), may_fetch)
                .await?);
        }
        Err(NoClient::Unknown)
    }

    /// Who somebody is to the rules, by who vouches for them. `None` if nobody here does any
    /// more.
    pub fn somebody<'s>(
        &'s self,
        issuer: &str,
        subject: &'s str,
        groups: &'s [String],
    ) -> Option<Somebody<'s>> {
        let vouched_by = match self.providers.vouched_by(issuer) {
            Some(vouched_by) => vouched_by,
            None => {
                let mut issuers = self.issuers.iter();
                let issuing = issuers.find(|issuing| issuing.trusted.issuer == issuer)?;
                Some(issuing.trusted.name.as_str())
            }
        };
        Some(Somebody {
            subject,
            groups,
            vouched_by,
            others: &self.vouchers,
        })
    }

    /// The names by which the rules of `resource` know somebody, if they let them in: signed in
    /// by a provider of that server, or by an issuer that assertions are taken of, and denied
    /// by no rule.
    pub fn admitted(
        &self,
        resource: &Resource,
        issuer: &str,
        subject: &str,
        groups: &[String],
    ) -> Option<Vec<String>> {
        if let Some(provider) = self.providers.of_issuer(issuer)
            && !resource
                .providers
                .iter()
                .any(|name| name == provider.name())
        {
            return None;
        }
        let somebody = self.somebody(issuer, subject, groups)?;
        let names = resource.policy.names_of(&somebody);
        resource.policy.access.admits(&names).then_some(names)
    }

    /// What somebody may do at the console. Only whom the main provider vouches for may
    /// anything.
    ///
    /// # Errors
    /// [`StoreError`]; then nobody knows.
    pub async fn role(&self, person: &Person) -> Result<Option<Role>, StoreError> {
        if person.issuer != self.providers.main().issuer() {
            return Ok(None);
        }
        let made = self.store.is_operator(person.id).await?;
        Ok(self.roles.of(&person.subject, &person.groups, made))
    }

    /// What every page needs.
    pub fn frame(&self, flow: Option<vestibule_core::flow::FlowCode>) -> Frame {
        Frame {
            instance: self.brand.name.clone(),
            logo: self.brand.logo.is_some(),
            flow,
            language: language::now(),
        }
    }

    /// The page about a login.
    pub fn flow_url(&self, flow: vestibule_core::flow::FlowCode) -> String {
        format!("{}/flows/{flow}", self.issuer)
    }

    /// The text of an access token, in the form that the operator chose. `None` if it does not
    /// fit, or the signing library refuses.
    pub fn mint(&self, token: &AccessToken, client_id: &str, keys: &Keys) -> Option<String> {
        match self.tokens.format {
            TokenFormat::Sealed => token.mint(&keys.access, self.world.random()),
            TokenFormat::Jwt => {
                let claims = access_token::jwt::to_claims(token, client_id, &self.issuer);
                keys.signing.first()?.sign(access_token::jwt::TYP, &claims)
            }
        }
    }

    /// 32 random bytes as 43 characters.
    pub fn random_text(&self) -> String {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        URL_SAFE_NO_PAD.encode(self.world.random::<32>())
    }
}
