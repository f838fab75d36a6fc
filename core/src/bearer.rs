//! The guard: from an `Authorization` header to a [`Caller`], or to a challenge that says
//! where to log in (RFC 6750, RFC 9728 §5.1).

use std::time::Duration;

use crate::{
    access_token::AccessToken,
    id::{ClientRef, GrantId, PersonId, TokenId},
    resource::Resource,
    scope::ScopeSet,
    seal::Sealer,
    time::Timestamp,
    uri::Issuer,
};

/// Whoever may reach one MCP server, and as what. Only [`judge`] makes these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    token: AccessToken,
}

impl Caller {
    /// The token that proved it.
    pub fn token(&self) -> &AccessToken {
        &self.token
    }

    /// Whether the token has all of `needed`; otherwise the scopes to ask for next time:
    /// those it has and those it lacks, so that stepping up loses nothing (RS-8).
    ///
    /// # Errors
    /// [`BearerError::InsufficientScope`].
    pub fn may(&self, needed: &ScopeSet) -> Result<(), BearerError> {
        if self.token.scopes.includes(needed) {
            Ok(())
        } else {
            Err(BearerError::InsufficientScope(
                self.token.scopes.with(needed),
            ))
        }
    }
}

/// What the guard remembers of ended grants.
pub trait Revocations {
    /// Whether this grant has ended.
    fn grant_ended(&self, grant: &GrantId) -> bool;
    /// Whether this token was revoked by itself.
    fn token_ended(&self, token: &TokenId) -> bool;
    /// The lowest epoch of this person whose tokens still count.
    fn subject_epoch(&self, subject: &PersonId) -> u32;
    /// The lowest epoch of this client whose tokens still count.
    fn client_epoch(&self, client: &ClientRef) -> u32;
}

/// Why a request does not pass.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BearerError {
    /// No credentials at all: the challenge carries no error.
    #[error("no credentials")]
    Missing,
    /// Credentials twice, in the address, or in a form that is no bearer token.
    #[error("the credentials are malformed or doubled")]
    Malformed,
    /// Not a token of ours, or of another kind.
    #[error("not a token of this gateway")]
    Unknown,
    /// It has ended.
    #[error("the token has expired")]
    Expired,
    /// It was issued in the future.
    #[error("the token is not valid yet")]
    NotYet,
    /// It is for another MCP server.
    #[error("the token is for another server")]
    WrongAudience,
    /// It was taken back.
    #[error("the token was revoked")]
    Revoked,
    /// It is bound to a key that was not shown.
    #[error("the token is bound to a key")]
    Bound,
    /// It lacks scopes; these are the ones to ask for.
    #[error("the token lacks a scope")]
    InsufficientScope(ScopeSet),
}

/// Finds the one bearer token of a request.
///
/// `headers` are the values of all `Authorization` fields; `query` is the raw query of the
/// address, where a token must not be (RS-5).
///
/// # Errors
/// [`BearerError::Missing`] or [`BearerError::Malformed`].
pub fn find<'h>(
    mut headers: impl Iterator<Item = &'h [u8]>,
    query: Option<&str>,
) -> Result<&'h str, BearerError> {
    if query.is_some_and(names_a_token) {
        return Err(BearerError::Malformed);
    }
    let header = headers.next().ok_or(BearerError::Missing)?;
    if headers.next().is_some() {
        return Err(BearerError::Malformed);
    }
    let header = std::str::from_utf8(header).map_err(|_| BearerError::Unknown)?;
    let (scheme, token) = header.split_once(' ').unwrap_or((header, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        // Another scheme is no credential that this server knows (RFC 9110 §11.6.1).
        return Err(BearerError::Missing);
    }
    let token = token.trim_matches(' ');
    if token.is_empty() {
        return Err(BearerError::Malformed);
    }
    Ok(token)
}

fn names_a_token(query: &str) -> bool {
    query.split('&').any(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        crate::params::decode(name).is_ok_and(|name| name == "access_token")
    })
}

/// Judges `token` for a request to `resource` (RFC 6750 §3.1, RFC 8707 §2).
///
/// # Errors
/// [`BearerError`].
pub fn judge(
    token: &str,
    resource: &str,
    sealer: &Sealer,
    revocations: &dyn Revocations,
    leeway: Duration,
    now: Timestamp,
) -> Result<Caller, BearerError> {
    let token = AccessToken::open(token, sealer).ok_or(BearerError::Unknown)?;
    judge_opened(token, resource, revocations, leeway, now)
}

/// The part of [`judge`] after opening, for a token that was opened before.
///
/// # Errors
/// [`BearerError`].
pub fn judge_opened(
    token: AccessToken,
    resource: &str,
    revocations: &dyn Revocations,
    leeway: Duration,
    now: Timestamp,
) -> Result<Caller, BearerError> {
    use BearerError as E;
    if token.resource != resource {
        return Err(E::WrongAudience);
    }
    if token.issued > now.plus(leeway) {
        return Err(E::NotYet);
    }
    if token.expires <= now.minus(leeway) {
        return Err(E::Expired);
    }
    if token.confirmation.is_some() {
        return Err(E::Bound);
    }
    if revocations.grant_ended(&token.grant)
        || revocations.token_ended(&token.id)
        || revocations.subject_epoch(&token.subject) > token.subject_epoch
        || revocations.client_epoch(&token.client) > token.client_epoch
    {
        return Err(E::Revoked);
    }
    Ok(Caller { token })
}

impl BearerError {
    /// HTTP status (RFC 6750 §3.1).
    pub fn status(&self) -> u16 {
        use BearerError as E;
        match self {
            E::Malformed => 400,
            E::Missing
            | E::Unknown
            | E::Expired
            | E::NotYet
            | E::WrongAudience
            | E::Revoked
            | E::Bound => 401,
            E::InsufficientScope(_) => 403,
        }
    }

    /// The error code; none for a request that brought no credentials.
    pub fn error(&self) -> Option<&'static str> {
        use BearerError as E;
        match self {
            E::Missing => None,
            E::Malformed => Some("invalid_request"),
            E::Unknown | E::Expired | E::NotYet | E::WrongAudience | E::Revoked | E::Bound => {
                Some("invalid_token")
            }
            E::InsufficientScope(_) => Some("insufficient_scope"),
        }
    }

    /// One sentence for developers. A token that does not open, in whatever way, is one
    /// case: nobody learns how far a forgery came.
    pub fn description(&self) -> &'static str {
        use BearerError as E;
        match self {
            E::Missing => "log in first; resource_metadata says where",
            E::Malformed => "send one token, in the Authorization header",
            E::Unknown | E::NotYet => "the token is not valid here",
            E::Expired => "the token has expired",
            E::WrongAudience => "the token is for another server",
            E::Revoked => "the token was revoked",
            E::Bound => "the token must be used with its key",
            E::InsufficientScope(_) => "the token lacks a scope for this call",
        }
    }

    /// The `WWW-Authenticate` value for `resource`.
    pub fn challenge(&self, issuer: &Issuer, resource: &Resource) -> String {
        let mut out = String::from("Bearer ");
        let mut put = |name: &str, value: &str| {
            if !out.ends_with(' ') {
                out.push_str(", ");
            }
            out.push_str(name);
            out.push_str("=\"");
            // Quoted-string (RFC 9110 §5.6.4); scopes and our own URLs never need it.
            for c in value.chars().filter(|c| (' '..='~').contains(c)) {
                if matches!(c, '"' | '\\') {
                    out.push('\\');
                }
                out.push(c);
            }
            out.push('"');
        };
        if let Some(error) = self.error() {
            put("error", error);
            put("error_description", self.description());
        }
        put("resource_metadata", &metadata_url(issuer, resource));
        let scopes = match self {
            Self::InsufficientScope(scopes) => scopes,
            _ => &resource.default_scopes,
        };
        if !scopes.is_empty() {
            put("scope", &scopes.to_string());
        }
        out
    }
}

/// Where the metadata of `resource` is: the well-known path before its own (RFC 9728 §3.1).
pub fn metadata_url(issuer: &Issuer, resource: &Resource) -> String {
    format!(
        "{issuer}/.well-known/oauth-protected-resource{}",
        resource.path
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{access_token::tests::token, resource::tests::catalogue, seal::tests::sealer};

    const A: &str = "https://gw.example/a/mcp";

    #[derive(Default)]
    pub(crate) struct Ended {
        pub(crate) grant: Option<GrantId>,
        pub(crate) token: Option<TokenId>,
        pub(crate) subject: u32,
        pub(crate) client: u32,
    }

    impl Revocations for Ended {
        fn grant_ended(&self, grant: &GrantId) -> bool {
            self.grant == Some(*grant)
        }
        fn token_ended(&self, token: &TokenId) -> bool {
            self.token == Some(*token)
        }
        fn subject_epoch(&self, _: &PersonId) -> u32 {
            self.subject
        }
        fn client_epoch(&self, _: &ClientRef) -> u32 {
            self.client
        }
    }

    fn judged(
        token: &AccessToken,
        resource: &str,
        ended: &Ended,
        seconds: u64,
    ) -> Result<(), BearerError> {
        let text = token.mint(&sealer(), [0; 12]);
        judge(
            &text,
            resource,
            &sealer(),
            ended,
            Duration::from_secs(30),
            Timestamp::from_unix(seconds),
        )
        .map(|_| ())
    }

    #[test]
    fn rs_3_rs_6_tkn_1_t_grd_02_t_grd_03_t_grd_06_what_a_token_must_be() {
        use BearerError as E;
        let t = token();
        let table = [
            (A, 1200, none_(), Ok(()), "as issued"),
            (A, 1629, none_(), Ok(()), "within the leeway"),
            (A, 1630, none_(), Err(E::Expired), "past it"),
            (A, 969, none_(), Err(E::NotYet), "from the future"),
            (
                "https://gw.example/b/mcp",
                1200,
                none_(),
                Err(E::WrongAudience),
                "server b",
            ),
            (
                "https://gw.example/a",
                1200,
                none_(),
                Err(E::WrongAudience),
                "a prefix",
            ),
            (
                "https://gw.example/A/mcp",
                1200,
                none_(),
                Err(E::WrongAudience),
                "case",
            ),
            (
                A,
                1200,
                Ended {
                    grant: Some(t.grant),
                    ..none_()
                },
                Err(E::Revoked),
                "grant ended",
            ),
            (
                A,
                1200,
                Ended {
                    token: Some(t.id),
                    ..none_()
                },
                Err(E::Revoked),
                "token revoked",
            ),
            (
                A,
                1200,
                Ended {
                    subject: 6,
                    ..none_()
                },
                Err(E::Revoked),
                "person removed",
            ),
            (
                A,
                1200,
                Ended {
                    subject: 5,
                    ..none_()
                },
                Ok(()),
                "an epoch that it has",
            ),
            (
                A,
                1200,
                Ended {
                    client: 7,
                    ..none_()
                },
                Err(E::Revoked),
                "client blocked",
            ),
        ];
        for (resource, seconds, ended, expected, why) in table {
            assert_eq!(judged(&t, resource, &ended, seconds), expected, "{why}");
        }
        let bound = AccessToken {
            confirmation: Some([1; 32]),
            ..token()
        };
        assert_eq!(
            judged(&bound, A, &none_(), 1200),
            Err(E::Bound),
            "no downgrade to Bearer"
        );
    }

    fn none_() -> Ended {
        Ended::default()
    }

    #[test]
    fn rs_5_t_grd_01_where_a_token_may_be() {
        use BearerError as E;
        let find = |headers: &[&'static str], query: Option<&str>| {
            find(headers.iter().map(|h| h.as_bytes()), query)
        };
        assert_eq!(find(&["Bearer vat_x"], None), Ok("vat_x"));
        assert_eq!(find(&["bEARER  vat_x"], None), Ok("vat_x"));
        assert_eq!(find(&["Bearer vat_x"], Some("a=1")), Ok("vat_x"));
        assert_eq!(find(&[], None), Err(E::Missing));
        assert_eq!(find(&["Basic dTpw"], None), Err(E::Missing));
        assert_eq!(find(&["Bearer"], None), Err(E::Malformed));
        assert_eq!(find(&["Bearer "], None), Err(E::Malformed));
        assert_eq!(find(&["Bearer a", "Bearer a"], None), Err(E::Malformed));
        assert_eq!(
            find(&["Bearer vat_x"], Some("access_token=vat_x")),
            Err(E::Malformed)
        );
        assert_eq!(
            find(&[], Some("a=1&access%5Ftoken=vat_x")),
            Err(E::Malformed)
        );
    }

    #[test]
    fn rs_2_rs_7_rs_10_disc_12_the_challenge_says_where_to_go() {
        let issuer = Issuer::parse("https://gw.example").expect("an origin");
        let catalogue = catalogue(&["a"]);
        let a = catalogue.only().expect("one");
        assert_eq!(
            BearerError::Missing.challenge(&issuer, a),
            "Bearer resource_metadata=\"https://gw.example/.well-known/oauth-protected-resource\
             /a/mcp\", scope=\"read\""
        );
        let wrong = BearerError::WrongAudience.challenge(&issuer, a);
        assert!(wrong.starts_with("Bearer error=\"invalid_token\", error_description=\""));
        let caller = Caller { token: token() };
        let refused = caller.may(&ScopeSet::of(["write"])).expect_err("lacks it");
        assert_eq!(refused.status(), 403);
        assert!(
            refused
                .challenge(&issuer, a)
                .ends_with("scope=\"read write\"")
        );
        assert!(!refused.challenge(&issuer, a).contains("offline_access"));
    }
}
