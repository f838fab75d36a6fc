//! How a client finds out where to ask for a token (RFC 9728, RFC 8414, MCP authorization of
//! every revision), and what it must not believe on the way.

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::{address, uri::canonical_resource};

/// Where the metadata of a protected resource may be, best first (RFC 9728 §3.1): with the
/// path inserted, then at the root.
pub fn resource_metadata_locations(server: &Url) -> Vec<Url> {
    let path = server.path().trim_end_matches('/');
    let mut places = vec![well_known(server, "oauth-protected-resource", path)];
    if !path.is_empty() {
        places.push(well_known(server, "oauth-protected-resource", ""));
    }
    places
}

/// Where the metadata of an authorization server may be, best first (RFC 8414 §3.1 and §5).
pub fn metadata_locations(issuer: &Url) -> Vec<Url> {
    let path = issuer.path().trim_end_matches('/');
    let mut places = vec![
        well_known(issuer, "oauth-authorization-server", path),
        well_known(issuer, "openid-configuration", path),
    ];
    if !path.is_empty() {
        let mut appended = issuer.clone();
        appended.set_query(None);
        appended.set_path(&format!("{path}/.well-known/openid-configuration"));
        places.push(appended);
    }
    places
}

fn well_known(at: &Url, name: &str, path: &str) -> Url {
    let mut url = at.clone();
    url.set_fragment(None);
    url.set_query(None);
    url.set_path(&format!("/.well-known/{name}{path}"));
    url
}

/// Why a document is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// RFC 9728 §3.3.
    #[error("its resource is {said}, and you connect to {expected}")]
    Resource {
        /// What the document says.
        said: String,
        /// What was asked for.
        expected: String,
    },
    /// RFC 8414 §3.3.
    #[error("its issuer is {said}, and {expected} was asked")]
    Issuer {
        /// What the document says.
        said: String,
        /// Whose document it should be.
        expected: String,
    },
    /// An endpoint that is not there.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// An address that is not followed.
    #[error("{0} is an address that is not followed")]
    Address(String),
    /// No S256: MCP clients must refuse to go on.
    #[error("it does not offer PKCE with S256")]
    Pkce,
}

/// The metadata of a protected resource (RFC 9728 §2), as far as a client needs it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ResourceMetadata {
    /// Whose it is.
    pub resource: String,
    /// Issuers, in the order of preference of nobody in particular.
    #[serde(default)]
    pub authorization_servers: Vec<String>,
    /// Scopes to ask for if no challenge said which.
    pub scopes_supported: Option<Vec<String>>,
}

impl ResourceMetadata {
    /// Whether this document is the one of `server` (RFC 9728 §3.3). A document at the root
    /// may speak for everything below it, as clients in use allow.
    ///
    /// # Errors
    /// [`DiscoveryError::Resource`].
    pub fn judge(&self, server: &Url) -> Result<(), DiscoveryError> {
        let expected = canonical_resource(server.as_str());
        let said = canonical_resource(&self.resource);
        let covers = match (&said, &expected) {
            (Some(said), Some(expected)) => {
                let below = expected.strip_prefix(said.trim_end_matches('/'));
                below.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
            }
            _ => false,
        };
        if covers {
            Ok(())
        } else {
            Err(DiscoveryError::Resource {
                said: self.resource.clone(),
                expected: server.to_string(),
            })
        }
    }
}

/// The metadata of an authorization server (RFC 8414 §2), as far as a client needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct ServerMetadata {
    /// Who it is.
    #[serde(default)]
    pub issuer: String,
    /// Where the browser is sent.
    pub authorization_endpoint: Option<String>,
    /// Where codes are redeemed.
    pub token_endpoint: Option<String>,
    /// RFC 7591.
    pub registration_endpoint: Option<String>,
    /// RFC 8628.
    pub device_authorization_endpoint: Option<String>,
    /// RFC 7009.
    pub revocation_endpoint: Option<String>,
    /// Scopes of the whole server.
    pub scopes_supported: Option<Vec<String>>,
    /// Must have `code`.
    pub response_types_supported: Option<Vec<String>>,
    /// Left out, it means code and implicit.
    pub grant_types_supported: Option<Vec<String>>,
    /// Left out, it means Basic.
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// RFC 7636.
    pub code_challenge_methods_supported: Option<Vec<String>>,
    /// RFC 9207.
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
    /// Whether a URL may be a client id.
    #[serde(default)]
    pub client_id_metadata_document_supported: bool,
}

impl ServerMetadata {
    /// The endpoints of servers that say nothing (MCP 2025-03-26, *Fallbacks*).
    pub fn fallback(origin: &Url) -> Self {
        let at = |path: &str| {
            let mut url = origin.clone();
            url.set_query(None);
            url.set_path(path);
            Some(url.to_string())
        };
        Self {
            issuer: origin.origin().ascii_serialization(),
            authorization_endpoint: at("/authorize"),
            token_endpoint: at("/token"),
            registration_endpoint: at("/register"),
            ..Self::default()
        }
    }

    /// Whether this document is the one of `issuer`, and enough to log in with. The issuer is
    /// compared as text (RFC 8414 §3.3); only the slash that URL parsers add to a bare origin
    /// is nobody's difference.
    ///
    /// # Errors
    /// [`DiscoveryError`].
    pub fn judge(&self, issuer: &str) -> Result<(), DiscoveryError> {
        if !is_same_issuer(&self.issuer, issuer) {
            return Err(DiscoveryError::Issuer {
                said: self.issuer.clone(),
                expected: issuer.to_owned(),
            });
        }
        for (name, endpoint) in [
            ("authorization_endpoint", &self.authorization_endpoint),
            ("token_endpoint", &self.token_endpoint),
        ] {
            if endpoint.is_none() {
                return Err(DiscoveryError::Missing(name));
            }
        }
        let methods = self.code_challenge_methods_supported.as_deref();
        if methods.is_none_or(|methods| !methods.iter().any(|method| method == "S256")) {
            return Err(DiscoveryError::Pkce);
        }
        Ok(())
    }
}

fn is_same_issuer(said: &str, asked: &str) -> bool {
    let bare = |text: &str| {
        let origin = Url::parse(text).ok()?.origin().ascii_serialization();
        (text.strip_suffix('/') == Some(&origin)).then_some(origin)
    };
    said == asked
        || bare(said).is_some_and(|said| said == asked)
        || bare(asked).is_some_and(|asked| said == asked)
}

/// Judges the `iss` of an authorization response (RFC 9207 §2.4): text for text.
///
/// # Errors
/// [`DiscoveryError::Issuer`] if it is another's, or missing where it was promised.
pub fn judge_iss(said: Option<&str>, metadata: &ServerMetadata) -> Result<(), DiscoveryError> {
    let promised = metadata.authorization_response_iss_parameter_supported;
    match said {
        Some(said) if said == metadata.issuer => Ok(()),
        None if !promised => Ok(()),
        other => Err(DiscoveryError::Issuer {
            said: other.unwrap_or("nobody").to_owned(),
            expected: metadata.issuer.clone(),
        }),
    }
}

/// Whether an address that a document names is followed by somebody who connects to
/// `typed`: over TLS, and to the inside of a network only from there.
///
/// # Errors
/// [`DiscoveryError::Address`].
pub fn may_follow(address: &str, typed: &Url) -> Result<Url, DiscoveryError> {
    let refused = || DiscoveryError::Address(address.to_owned());
    let url = Url::parse(address).map_err(|_| refused())?;
    let plain = match url.scheme() {
        "https" => false,
        "http" => true,
        _ => return Err(refused()),
    };
    let near = is_inside(&url);
    let at_home = url.origin() == typed.origin();
    let fine = url.username().is_empty()
        && url.password().is_none()
        && (at_home || !near || is_inside(typed))
        && (!plain || at_home || is_loopback(&url));
    if fine { Ok(url) } else { Err(refused()) }
}

fn is_inside(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => !address::is_public(ip.into()),
        Some(Host::Ipv6(ip)) => !address::is_public(ip.into()),
        Some(Host::Domain(name)) => is_local_name(name),
        None => true,
    }
}

/// Whether an address is this computer's own.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => is_local_name(name),
        None => false,
    }
}

fn is_local_name(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

/// The scopes to ask for (MCP authorization, *Scope Selection Strategy*): those of the
/// challenge, else those that the resource lists, else none named; and `offline_access`
/// where it is offered, so that nobody signs in again each time (SEP-2207).
pub fn scopes_to_ask(
    challenged: Option<&str>,
    resource: Option<&ResourceMetadata>,
    server: &ServerMetadata,
) -> Option<String> {
    let listed = || {
        let scopes = resource?.scopes_supported.as_ref()?;
        (!scopes.is_empty()).then(|| scopes.join(" "))
    };
    let mut scopes = challenged.map(str::to_owned).or_else(listed)?;
    let offline = "offline_access";
    let offered =
        |list: &Option<Vec<String>>, name: &str| list.iter().flatten().any(|known| known == name);
    if offered(&server.scopes_supported, offline)
        && !scopes.split(' ').any(|scope| scope == offline)
    {
        scopes.push(' ');
        scopes.push_str(offline);
    }
    Some(scopes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect(text)
    }

    fn texts(urls: &[Url]) -> Vec<&str> {
        urls.iter().map(Url::as_str).collect()
    }

    #[test]
    fn where_documents_are_looked_for() {
        assert_eq!(
            texts(&resource_metadata_locations(&url(
                "https://a.example/x/mcp/?q"
            ))),
            [
                "https://a.example/.well-known/oauth-protected-resource/x/mcp",
                "https://a.example/.well-known/oauth-protected-resource",
            ]
        );
        assert_eq!(
            resource_metadata_locations(&url("https://a.example")).len(),
            1
        );
        assert_eq!(
            texts(&metadata_locations(&url("https://a.example/t1"))),
            [
                "https://a.example/.well-known/oauth-authorization-server/t1",
                "https://a.example/.well-known/openid-configuration/t1",
                "https://a.example/t1/.well-known/openid-configuration",
            ]
        );
        assert_eq!(metadata_locations(&url("https://a.example/")).len(), 2);
    }

    #[test]
    fn a_document_speaks_for_its_own_resource() {
        let judged = |resource: &str, server: &str| {
            let metadata = ResourceMetadata {
                resource: resource.into(),
                authorization_servers: vec![],
                scopes_supported: None,
            };
            metadata.judge(&url(server)).is_ok()
        };
        let mcp = "https://a.example/x/mcp";
        for (resource, server, fine) in [
            (mcp, mcp, true),
            ("https://A.example:443/x/mcp", mcp, true),
            ("https://a.example/x", mcp, true),
            ("https://a.example", mcp, true),
            ("https://a.example/", mcp, true),
            ("https://a.example/x/mc", mcp, false),
            ("https://a.example/x/mcp/more", mcp, false),
            ("https://a.example.evil/x/mcp", mcp, false),
            ("https://b.example/x/mcp", mcp, false),
            ("http://a.example/x/mcp", mcp, false),
            ("", mcp, false),
        ] {
            assert_eq!(judged(resource, server), fine, "{resource} for {server}");
        }
    }

    #[test]
    fn metadata_is_the_issuer_s_own_and_has_pkce() {
        let good = ServerMetadata {
            issuer: "https://as.example".into(),
            authorization_endpoint: Some("https://as.example/a".into()),
            token_endpoint: Some("https://as.example/t".into()),
            code_challenge_methods_supported: Some(vec!["S256".into()]),
            authorization_response_iss_parameter_supported: true,
            ..ServerMetadata::default()
        };
        for same in ["https://as.example", "https://as.example/"] {
            assert_eq!(good.judge(same), Ok(()), "{same}");
        }
        for other in [
            "https://as.example/t1",
            "https://evil.example",
            "https://as.example//",
        ] {
            assert!(good.judge(other).is_err(), "{other}");
        }
        let mut none = good.clone();
        none.code_challenge_methods_supported = None;
        assert_eq!(none.judge("https://as.example"), Err(DiscoveryError::Pkce));
        none.token_endpoint = None;
        assert!(matches!(
            none.judge("https://as.example"),
            Err(DiscoveryError::Missing("token_endpoint"))
        ));
        assert!(judge_iss(Some("https://as.example"), &good).is_ok());
        for wrong in [
            None,
            Some("https://as.example/"),
            Some("https://evil.example"),
        ] {
            assert!(judge_iss(wrong, &good).is_err(), "{wrong:?}");
        }
        let mut silent = good;
        silent.authorization_response_iss_parameter_supported = false;
        assert!(judge_iss(None, &silent).is_ok());
        assert!(judge_iss(Some("https://evil.example"), &silent).is_err());
    }

    #[test]
    fn a_document_does_not_lead_inside() {
        let far = url("https://mcp.example/x");
        let near = url("http://127.0.0.1:8080/x");
        for (address, typed, fine) in [
            ("https://as.example/token", &far, true),
            ("http://as.example/token", &far, false),
            ("http://127.0.0.1:9000/", &far, false),
            ("https://169.254.169.254/", &far, false),
            ("https://10.0.0.1/", &far, false),
            ("https://localhost/", &far, false),
            ("ftp://as.example/", &far, false),
            ("https://u:p@as.example/", &far, false),
            ("/relative", &far, false),
            ("http://127.0.0.1:9000/token", &near, true),
            ("https://as.example/token", &near, true),
            ("http://as.example/token", &near, false),
        ] {
            assert_eq!(may_follow(address, typed).is_ok(), fine, "{address}");
        }
        let plain = url("http://mcp.example/x");
        assert!(may_follow("http://mcp.example/y", &plain).is_ok());
    }

    #[test]
    fn which_scopes_are_asked_for() {
        let resource = |scopes: Option<&[&str]>| ResourceMetadata {
            resource: String::new(),
            authorization_servers: vec![],
            scopes_supported: scopes
                .map(|list| list.iter().map(|scope| (*scope).to_owned()).collect()),
        };
        let server = |scopes: &[&str]| ServerMetadata {
            scopes_supported: Some(scopes.iter().map(|scope| (*scope).to_owned()).collect()),
            ..ServerMetadata::default()
        };
        let listed = resource(Some(&["a", "b"]));
        let none = ServerMetadata::default();
        let offline = server(&["a", "offline_access"]);
        assert_eq!(
            scopes_to_ask(Some("c"), Some(&listed), &none).as_deref(),
            Some("c")
        );
        assert_eq!(
            scopes_to_ask(None, Some(&listed), &none).as_deref(),
            Some("a b")
        );
        assert_eq!(scopes_to_ask(None, Some(&resource(None)), &offline), None);
        assert_eq!(
            scopes_to_ask(Some("c"), None, &offline).as_deref(),
            Some("c offline_access")
        );
        assert_eq!(
            scopes_to_ask(Some("offline_access c"), None, &offline).as_deref(),
            Some("offline_access c")
        );
    }
}
