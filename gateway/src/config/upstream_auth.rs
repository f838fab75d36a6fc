//! What an MCP server gets in place of the client's token. `servers.NAME.upstream_auth`.

use std::sync::Arc;

use vestibule_core::secret::Secret;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamAuth {
    /// Nothing.
    Nothing,
    /// Who calls, in headers.
    Headers,
    /// A fixed header.
    Fixed {
        /// Its name.
        name: String,
        /// Its value.
        value: Secret,
    },
    /// An assertion about the caller, under the gateway's signature.
    Assertion {
        /// For whom it is.
        audience: String,
        /// Its header: after `Bearer ` in `authorization`, by itself in any other.
        header: String,
    },
    /// A token that the identity provider gives for the person.
    Token(ProviderToken),
    /// A token of the account that the person connected at the service behind the server.
    Connection(Arc<ServiceSettings>),
}

impl UpstreamAuth {
    /// Whether it tells of which groups the caller is: a server may decide by that.
    pub fn tells_groups(&self) -> bool {
        matches!(self, Self::Headers | Self::Assertion { .. })
    }

    /// Whether it is about who calls, so that somebody must.
    pub fn is_about_the_caller(&self) -> bool {
        match self {
            Self::Nothing | Self::Headers | Self::Fixed { .. } => false,
            Self::Assertion { .. } | Self::Token(_) | Self::Connection(_) => true,
        }
    }
}

/// Which token of the identity provider's a server gets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ProviderToken {
    /// An access token of the person's login there.
    OfTheLogin {
        /// What it is asked for with, if not as at the login (RFC 6749 §6).
        scope: Option<String>,
    },
    /// One that the provider exchanges that for (RFC 8693).
    Exchanged {
        /// `audience`.
        audience: Option<String>,
        /// `resource`.
        resource: Option<String>,
        /// `scope`.
        scope: Option<String>,
    },
    /// One that Microsoft Entra gives on the person's behalf (OAuth 2.0 On-Behalf-Of).
    OnBehalfOf {
        /// Of one API, such as `api://weather/.default`.
        scope: String,
    },
}

/// A service behind a server at which people have accounts of their own.
/// `servers.NAME.connection`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSettings {
    /// Where it is.
    pub at: ServiceAt,
    /// Our client id there.
    pub client_id: String,
    /// Our secret there; without one we are a public client.
    pub client_secret: Option<Secret>,
    /// Whether the secret goes into the form. `client_secret_post`.
    pub post_only: bool,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// What else it wants to read in the authorization request.
    pub params: Vec<(String, String)>,
}

/// Where a service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceAt {
    /// Its metadata says (RFC 8414).
    Issuer(String),
    /// For one that has none.
    Endpoints {
        /// Where the browser is sent.
        authorization: String,
        /// Where codes are redeemed.
        token: String,
    },
}
