//! A client as this gateway knows it, from whichever of the three ways it came.

use crate::{
    id::ClientRef,
    scope::ScopeSet,
    secret::Digest,
    uri::{RedirectKind, RedirectUri},
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
    /// Whether it may hold refresh tokens.
    pub refresh: bool,
    /// What it may ask for at most; `None` for no limit of its own.
    pub scopes: Option<ScopeSet>,
    /// How we know it.
    pub known_by: KnownBy,
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
        /// SHA-256 of each secret that is valid now.
        digests: Vec<Digest>,
    },
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

    /// Finds `presented` among the registered URIs (AUTHZ-3, AUTHZ-4). Without one, the only
    /// registered URI stands, if there is just one (RFC 6749 §3.1.2.3).
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
            (None, [only]) => Some(MatchedRedirect {
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
            KnownBy::Document { trusted: false, .. } | KnownBy::Dynamic => {
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

/// Characters that change how others are read without being seen themselves.
fn is_deceptive(c: char) -> bool {
    (c.is_control() && c != '\t' && c != '\n')
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
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
            refresh: true,
            scopes: None,
            known_by: KnownBy::Dynamic,
        }
    }

    #[test]
    fn authz_3_a_redirect_may_be_left_out_only_if_there_is_one() {
        let one = client(&["https://a.example/cb"]);
        assert_eq!(
            one.match_redirect(None).map(|m| m.text),
            Some("https://a.example/cb".into())
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
            let redirect = client.match_redirect(None).expect("one is registered");
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
