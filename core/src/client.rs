//! A client as this gateway knows it, from whichever of the three ways it came.

use serde_json::Value;

use crate::{
    id::ClientRef,
    operator::Standing,
    scope::ScopeSet,
    secret::Digest,
    text::is_deceptive,
    time::Timestamp,
    uri::{self, RedirectKind, RedirectUri},
};

/// A client and what it may do. Built by [`crate::register`], [`crate::client_document`] or
/// from the configuration, and right ever after.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its `client_id`, as it is sent.
    pub id: String,
    /// The name it gave itself; hostile text unless an operator added it.
    pub name: Option<String>,
    /// Where answers may go.
    pub redirect_uris: Vec<RedirectUri>,
    /// How it proves itself at the token endpoint.
    pub credential: Credential,
    /// Which grants it may use.
    pub grants: Grants,
    /// What it may ask for at most; `None` for no limit of its own.
    pub scopes: Option<ScopeSet>,
    /// The MCP servers it may ask for, by their identifiers; `None` for all.
    pub resources: Option<Vec<String>>,
    /// The MCP servers whose tokens it may exchange for others (RFC 8693).
    pub exchanges_from: Vec<String>,
    /// Whether it takes only tokens that are bound to its key (RFC 9449 §5.2).
    pub dpop_bound: bool,
    /// Whether it may ask what a token is (RFC 7662); operators allow this.
    pub introspects: bool,
    /// How we know it.
    pub known_by: KnownBy,
}

/// The grants of the token endpoint, by which a client gets tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantType {
    /// A person's approval in a browser (RFC 6749 §4.1).
    AuthorizationCode,
    /// Renewal (RFC 6749 §6).
    RefreshToken,
    /// For the client itself (RFC 6749 §4.4).
    ClientCredentials,
    /// A person's approval on another screen (RFC 8628).
    DeviceCode,
    /// One token for another (RFC 8693).
    TokenExchange,
    /// An assertion of somebody whom the operator trusts (RFC 7523 §2.1).
    JwtBearer,
}

impl GrantType {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::AuthorizationCode,
        Self::RefreshToken,
        Self::ClientCredentials,
        Self::DeviceCode,
        Self::TokenExchange,
        Self::JwtBearer,
    ];

    /// The name in `grant_type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
            Self::ClientCredentials => "client_credentials",
            Self::DeviceCode => "urn:ietf:params:oauth:grant-type:device_code",
            Self::TokenExchange => "urn:ietf:params:oauth:grant-type:token-exchange",
            Self::JwtBearer => "urn:ietf:params:oauth:grant-type:jwt-bearer",
        }
    }

    /// Reads [`Self::name`] back.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.name() == name)
    }
}

/// A set of grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Grants(u8);

impl Grants {
    /// These.
    pub fn of(grants: impl IntoIterator<Item = GrantType>) -> Self {
        Self(
            grants
                .into_iter()
                .fold(0, |set, grant| set | 1 << grant as u8),
        )
    }

    /// What a program that people use gets: logins, in a browser or beside one, and
    /// renewal unless it declined that.
    pub fn for_people(refresh: bool) -> Self {
        let set = Self::of([GrantType::AuthorizationCode, GrantType::DeviceCode]);
        if refresh {
            Self(set.0 | 1 << GrantType::RefreshToken as u8)
        } else {
            set
        }
    }

    /// Whether `grant` is one of them.
    pub const fn contains(self, grant: GrantType) -> bool {
        self.0 & (1 << grant as u8) != 0
    }
}

/// How a client proves itself (RFC 6749 §2.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A public client: it names itself and proves nothing.
    Public,
    /// It knows a secret. Two digests may be live during a rotation.
    Secret {
        /// How it sends the secret: the one way it registered.
        method: SecretMethod,
        /// Each secret that may be valid now.
        secrets: Vec<ClientSecret>,
    },
    /// It signs with a key of its own (`private_key_jwt`, RFC 7523 §2.2).
    Key(ClientKeys),
    /// The platform that it runs on signs for it: the assertion is of this issuer, about
    /// this subject.
    Workload {
        /// The platform, one of those that the operator trusts.
        issuer: String,
        /// Who the client is there.
        subject: String,
    },
}

/// A secret of a client, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSecret {
    /// SHA-256 of it.
    pub digest: Digest,
    /// When it ends, after it was replaced.
    pub until: Option<Timestamp>,
}

/// Where the public keys of a client are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientKeys {
    /// Here, as a JWK set (RFC 7517 §5).
    Inline(Value),
    /// At an address.
    At(String),
}

/// The two ways to send a client secret (RFC 6749 §2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretMethod {
    /// In the `Authorization` header.
    Basic,
    /// In the body.
    Post,
}

impl Credential {
    /// Whether the client has something to prove itself with.
    pub fn is_confidential(&self) -> bool {
        !matches!(self, Self::Public)
    }

    /// The name in `token_endpoint_auth_method` (RFC 7591 §2).
    pub fn method_name(&self) -> &'static str {
        match self {
            Self::Public => "none",
            Self::Secret {
                method: SecretMethod::Basic,
                ..
            } => "client_secret_basic",
            Self::Secret {
                method: SecretMethod::Post,
                ..
            } => "client_secret_post",
            Self::Key(_) | Self::Workload { .. } => "private_key_jwt",
        }
    }
}

/// How we know a client; decides how far its word is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KnownBy {
    /// An operator added it.
    Operator,
    /// Its id is the address of a document, fetched from this host.
    Document {
        /// The host that published it, as people may read it.
        host: String,
        /// Whether the operator's trust list names that host.
        trusted: bool,
    },
    /// It registered itself, and nothing it says was checked.
    Dynamic,
    /// It registered itself, and an operator looked at it since.
    Vouched,
}

/// A redirect URI that was found in its client's own list. Only this can be redirected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchedRedirect {
    text: String,
    kind: RedirectKind,
}

impl MatchedRedirect {
    /// The text of the request, which for a loopback address has the request's port.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where it leads.
    pub fn kind(&self) -> RedirectKind {
        self.kind
    }

    /// The text without the port of a loopback address, which a program chooses anew at each
    /// start: under this a consent is remembered.
    pub fn without_loopback_port(&self) -> String {
        uri::without_loopback_port(&self.text)
    }

    /// The match as it was sealed into a ticket or stored with a login; only those two, whose
    /// authenticity is checked elsewhere, may bring one back.
    pub(crate) fn restored(text: String, kind: RedirectKind) -> Self {
        Self { text, kind }
    }
}

impl Client {
    /// The short reference in tokens and session ids.
    pub fn reference(&self) -> ClientRef {
        ClientRef::of(&self.id)
    }

    /// As operators decided about it: vouched for, or limited to some scopes.
    #[must_use]
    pub fn standing(mut self, standing: &Standing) -> Self {
        let same = standing.trusted_described == Some(self.described());
        if standing.trusted.is_some() && same {
            match &mut self.known_by {
                KnownBy::Document { trusted, .. } => *trusted = true,
                known_by @ KnownBy::Dynamic => *known_by = KnownBy::Vouched,
                KnownBy::Operator | KnownBy::Vouched => {}
            }
        }
        if let Some(limit) = &standing.limit {
            self.scopes = Some(match &self.scopes {
                Some(scopes) => scopes.narrowed_to(limit),
                None => limit.clone(),
            });
        }
        self
    }

    /// What a person was told of it, as a digest: name, addresses and keys. A consent is
    /// remembered for this only (CIMD-9).
    pub fn described(&self) -> Digest {
        let mut redirects: Vec<&str> = self.redirect_uris.iter().map(RedirectUri::text).collect();
        redirects.sort_unstable();
        let keys = match &self.credential {
            Credential::Public | Credential::Secret { .. } => String::new(),
            Credential::Key(ClientKeys::Inline(keys)) => keys.to_string(),
            Credential::Key(ClientKeys::At(uri)) => uri.clone(),
            Credential::Workload { issuer, subject } => format!("{issuer}\n{subject}"),
        };
        // A JSON text says where each part ends.
        let told = serde_json::json!([self.name, redirects, keys]);
        Digest::of(told.to_string().as_bytes())
    }

    /// Whether it may ask for this MCP server.
    pub fn may_reach(&self, resource: &str) -> bool {
        self.resources
            .as_ref()
            .is_none_or(|resources| resources.iter().any(|one| one == resource))
    }

    /// Finds `presented` among the registered URIs (AUTHZ-3, AUTHZ-4). Without one, the only
    /// registered URI stands, if there is just one and it is whole (RFC 6749 §3.1.2.3).
    pub fn match_redirect(&self, presented: Option<&str>) -> Option<MatchedRedirect> {
        match (presented, self.redirect_uris.as_slice()) {
            (Some(text), registered) => {
                registered
                    .iter()
                    .find(|uri| uri.admits(text))
                    .map(|uri| MatchedRedirect {
                        text: text.to_owned(),
                        kind: uri.kind(),
                    })
            }
            (None, [only]) if only.is_complete() => Some(MatchedRedirect {
                text: only.text().to_owned(),
                kind: only.kind(),
            }),
            (None, _) => None,
        }
    }

    /// Whether errors that arise before a person acted may be redirected to this client
    /// (CONS-9, amended): one that an operator added or put on the trust list, or a redirect
    /// that stays on this computer.
    pub fn may_hear_early_errors(&self, redirect: &MatchedRedirect) -> bool {
        match &self.known_by {
            KnownBy::Operator | KnownBy::Document { trusted: true, .. } => true,
            KnownBy::Document { trusted: false, .. } | KnownBy::Dynamic | KnownBy::Vouched => {
                redirect.kind == RedirectKind::Loopback
            }
        }
    }

    /// The name for people: without control, bidirectional or invisible characters, at most
    /// 80 characters long; `None` if nothing is left.
    pub fn name_for_people(&self) -> Option<String> {
        let clean: String = self
            .name
            .as_deref()?
            .chars()
            .filter(|c| !is_deceptive(*c))
            .take(80)
            .collect::<String>()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        (!clean.is_empty()).then_some(clean)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn client(redirects: &[&str]) -> Client {
        Client {
            id: "vcl_test".to_owned(),
            name: Some("Test".to_owned()),
            redirect_uris: redirects
                .iter()
                .map(|text| RedirectUri::parse(text, &[]).expect("a valid URI"))
                .collect(),
            credential: Credential::Public,
            grants: Grants::for_people(true),
            scopes: None,
            resources: None,
            exchanges_from: Vec::new(),
            dpop_bound: false,
            introspects: false,
            known_by: KnownBy::Dynamic,
        }
    }

    #[test]
    fn cimd_9_what_a_person_was_told_of_a_client_is_one_text() {
        let told = client(&["https://a.example/cb", "http://127.0.0.1/cb"]).described();
        let turned = client(&["http://127.0.0.1/cb", "https://a.example/cb"]);
        assert_eq!(told, turned.described(), "the order says nothing");
        let more = client(&[
            "https://a.example/cb",
            "http://127.0.0.1/cb",
            "https://b.example",
        ]);
        assert_ne!(told, more.described());
        let renamed = Client {
            name: Some("Another".to_owned()),
            ..client(&["https://a.example/cb", "http://127.0.0.1/cb"])
        };
        assert_ne!(told, renamed.described());
        let keyed = Client {
            credential: Credential::Key(ClientKeys::At("https://a.example/keys".to_owned())),
            ..client(&["https://a.example/cb", "http://127.0.0.1/cb"])
        };
        assert_ne!(told, keyed.described());
    }

    #[test]
    fn authz_3_a_redirect_may_be_left_out_only_if_there_is_one() {
        let one = client(&["https://a.example/cb"]);
        assert_eq!(
            one.match_redirect(None).map(|m| m.text),
            Some("https://a.example/cb".into())
        );
        // Where a port is missing, port 80 is another program's.
        let here = client(&["http://127.0.0.1/cb"]);
        assert!(here.match_redirect(None).is_none());
        assert!(
            here.match_redirect(Some("http://127.0.0.1:4711/cb"))
                .is_some()
        );
        let two = client(&["https://a.example/cb", "https://a.example/cb2"]);
        assert!(two.match_redirect(None).is_none());
        assert!(
            two.match_redirect(Some("https://evil.example/cb"))
                .is_none()
        );
    }

    #[test]
    fn cons_9_errors_before_a_decision_reach_only_some_clients() {
        let https = ["https://a.example/cb"];
        let loopback = ["http://127.0.0.1/cb"];
        let table = [
            (KnownBy::Operator, &https, true),
            (
                KnownBy::Document {
                    host: "a.example".into(),
                    trusted: true,
                },
                &https,
                true,
            ),
            (
                KnownBy::Document {
                    host: "a.example".into(),
                    trusted: false,
                },
                &https,
                false,
            ),
            (KnownBy::Dynamic, &https, false),
            (KnownBy::Dynamic, &loopback, true),
        ];
        for (known_by, redirects, may) in table {
            let client = Client {
                known_by: known_by.clone(),
                ..client(redirects)
            };
            let redirect = client.match_redirect(Some(redirects[0]));
            let redirect = redirect.expect("one is registered");
            assert_eq!(client.may_hear_early_errors(&redirect), may, "{known_by:?}");
        }
    }

    #[test]
    fn t_con_09_dcr_7_names_are_cleaned_before_people_see_them() {
        let named = |name: &str| {
            Client {
                name: Some(name.into()),
                ..client(&[])
            }
            .name_for_people()
        };
        assert_eq!(named("Plain name").as_deref(), Some("Plain name"));
        assert_eq!(named("evil\u{202e}gnp.exe").as_deref(), Some("evilgnp.exe"));
        assert_eq!(named("a\u{200b}b\u{0}c").as_deref(), Some("abc"));
        assert_eq!(named("  two\n lines ").as_deref(), Some("two lines"));
        assert_eq!(named("\u{200b}"), None);
        assert_eq!(named(&"x".repeat(5000)).map(|n| n.len()), Some(80));
    }
}
