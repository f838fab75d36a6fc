//! The guard: from an `Authorization` header to a [`Caller`], or to a challenge that says
//! where to log in (RFC 6750, RFC 9728 §5.1).

use std::{sync::Arc, time::Duration};

use crate::{
    access_token::{AccessToken, Opens},
    caller_identity::Profile,
    direct_token::DirectToken,
    dpop::{self, DpopError, Thumbprint},
    id::{ClientRef, GrantId, PersonId, TokenId},
    policy::Verdict,
    resource::{Dpop, Resource},
    scope::ScopeSet,
    time::Timestamp,
    uri::Issuer,
};

/// Whoever may reach one MCP server, and as what. Only [`judge`] makes these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    token: Arc<AccessToken>,
    profile: Option<Arc<Profile>>,
}

impl Caller {
    /// The token that proved it.
    pub fn token(&self) -> &Arc<AccessToken> {
        &self.token
    }

    /// Who it is, if the token says so itself: one of the identity provider's.
    pub fn profile(&self) -> Option<&Arc<Profile>> {
        self.profile.as_ref()
    }

    /// Whether the rules let this caller use `resource` at all. They are judged anew for each
    /// request, so a rule that changed holds for tokens from before.
    ///
    /// # Errors
    /// [`BearerError::Denied`].
    pub fn may_enter(&self, resource: &Resource) -> Result<(), BearerError> {
        // A machine's rights are its operator's entry, not a person's groups.
        if self.token.machine || resource.policy.access.admits(&self.token.groups) {
            Ok(())
        } else {
            Err(BearerError::Denied)
        }
    }

    /// Whether this caller may call `tool` of `resource`.
    ///
    /// # Errors
    /// [`BearerError::Denied`] if no scope would help, [`BearerError::InsufficientScope`] if
    /// one would.
    #[inline(never)] // counted by name: benches/instructions.tsv
    pub fn may_call(&self, tool: &str, resource: &Resource) -> Result<(), BearerError> {
        match resource.policy.judge_tool(tool, &self.token.groups) {
            Verdict::Needs(scopes) => self.may(&scopes),
            Verdict::Denied => Err(BearerError::Denied),
        }
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
    /// It is bound to a key that was not shown, or to none although a key was shown.
    #[error("the token is bound to a key")]
    Bound,
    /// The proof of its key (RFC 9449 §7.1).
    #[error("{0}")]
    Proof(DpopError),
    /// A rule denies it; no other token would help.
    #[error("a rule of this gateway denies it")]
    Denied,
    /// It lacks scopes; these are the ones to ask for.
    #[error("the token lacks a scope")]
    InsufficientScope(ScopeSet),
}

/// A token and how it was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown<'h> {
    /// Its text.
    pub token: &'h str,
    /// Whether by the scheme `DPoP`, which comes with a proof.
    pub with_proof: bool,
}

/// Finds the one token of a request.
///
/// `headers` are the values of all `Authorization` fields; `query` is the raw query of the
/// address, where a token must not be (RS-5).
///
/// # Errors
/// [`BearerError::Missing`] or [`BearerError::Malformed`].
pub fn find<'h>(
    mut headers: impl Iterator<Item = &'h [u8]>,
    query: Option<&str>,
) -> Result<Shown<'h>, BearerError> {
    if query.is_some_and(names_a_token) {
        return Err(BearerError::Malformed);
    }
    let header = headers.next().ok_or(BearerError::Missing)?;
    if headers.next().is_some() {
        return Err(BearerError::Malformed);
    }
    let header = std::str::from_utf8(header).map_err(|_| BearerError::Unknown)?;
    let (scheme, token) = header.split_once(' ').unwrap_or((header, ""));
    let with_proof = scheme.eq_ignore_ascii_case("dpop");
    if !with_proof && !scheme.eq_ignore_ascii_case("bearer") {
        // Another scheme is no credential that this server knows (RFC 9110 §11.6.1).
        return Err(BearerError::Missing);
    }
    let token = token.trim_matches(' ');
    if token.is_empty() {
        return Err(BearerError::Malformed);
    }
    Ok(Shown { token, with_proof })
}

fn names_a_token(query: &str) -> bool {
    query.split('&').any(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        crate::params::decode(name).is_ok_and(|name| name == "access_token")
    })
}

/// Judges `token` for a request to `resource` (RFC 6750 §3.1, RFC 8707 §2). `key` is the one
/// that a proof beside it showed to have.
///
/// # Errors
/// [`BearerError`].
#[inline(never)] // counted by name: benches/instructions.tsv
pub fn judge(
    token: &str,
    key: Option<Thumbprint>,
    resource: &Resource,
    opens: &dyn Opens,
    revocations: &dyn Revocations,
    leeway: Duration,
    now: Timestamp,
) -> Result<Caller, BearerError> {
    use BearerError as E;
    let token = opens.open(token).ok_or(E::Unknown)?;
    admit(&token, key, resource, revocations, leeway, now)?;
    Ok(Caller {
        token,
        profile: None,
    })
}

/// The same of a token that the identity provider issued for `resource`.
///
/// # Errors
/// [`BearerError`].
pub fn judge_direct(
    token: &DirectToken,
    key: Option<Thumbprint>,
    resource: &Resource,
    revocations: &dyn Revocations,
    leeway: Duration,
    now: Timestamp,
) -> Result<Caller, BearerError> {
    admit(token.token(), key, resource, revocations, leeway, now)?;
    Ok(Caller {
        token: Arc::clone(token.token()),
        profile: Some(Arc::clone(token.profile())),
    })
}

#[inline]
fn admit(
    token: &AccessToken,
    key: Option<Thumbprint>,
    resource: &Resource,
    revocations: &dyn Revocations,
    leeway: Duration,
    now: Timestamp,
) -> Result<(), BearerError> {
    use BearerError as E;
    if token.resource != resource.uri {
        return Err(E::WrongAudience);
    }
    // A bound token is good with its key only, a free one without any (RFC 9449 §7.2), so
    // that neither can be shown as the other.
    if token.confirmation != key || (key.is_none() && resource.dpop == Dpop::Required) {
        return Err(E::Bound);
    }
    judge_opened(token, revocations, leeway, now)
}

/// Whether an opened token is good at this moment, wherever it is used.
///
/// # Errors
/// [`BearerError`].
pub fn judge_opened(
    token: &AccessToken,
    revocations: &dyn Revocations,
    leeway: Duration,
    now: Timestamp,
) -> Result<(), BearerError> {
    use BearerError as E;
    if token.issued > now.plus(leeway) {
        return Err(E::NotYet);
    }
    if token.expires <= now.minus(leeway) {
        return Err(E::Expired);
    }
    if revocations.grant_ended(&token.grant)
        || revocations.token_ended(&token.id)
        || revocations.subject_epoch(&token.subject) > token.subject_epoch
        || revocations.client_epoch(&token.client) > token.client_epoch
    {
        return Err(E::Revoked);
    }
    Ok(())
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
            | E::Bound
            | E::Proof(_) => 401,
            E::InsufficientScope(_) | E::Denied => 403,
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
            E::Proof(why) => Some(why.error()),
            E::InsufficientScope(_) => Some("insufficient_scope"),
            // Not insufficient_scope: a client must not go and ask for more (RS-9).
            E::Denied => Some("access_denied"),
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
            E::Bound => "the token must be used with its key, and with none that is not",
            E::Proof(DpopError::Missing) => "send a DPoP proof with the token",
            E::Proof(DpopError::Several) => "send one DPoP proof",
            E::Proof(DpopError::Nonce) => "the DPoP proof needs the nonce of this answer",
            E::Proof(DpopError::AccessToken) => "the DPoP proof is for another token",
            E::Proof(DpopError::Method | DpopError::Address) => {
                "the DPoP proof is for another request"
            }
            E::Proof(_) => "the DPoP proof is not good",
            E::InsufficientScope(_) => "the token lacks a scope for this call",
            E::Denied => "a rule of this gateway denies this; signing in again does not help",
        }
    }

    /// The `WWW-Authenticate` values for `resource`, one field each: for bearer tokens, for
    /// tokens bound to a key, or both, as the server takes them (RFC 9449 §7.1). The error
    /// is told in the scheme that was used.
    pub fn challenges(&self, issuer: &Issuer, resource: &Resource) -> Vec<String> {
        let mut out = Vec::new();
        if *self == Self::Denied {
            return out;
        }
        let proof = matches!(self, Self::Proof(_) | Self::Bound);
        if resource.dpop != Dpop::Required {
            out.push(self.challenge(
                "Bearer",
                !proof || resource.dpop == Dpop::Off,
                issuer,
                resource,
            ));
        }
        if resource.dpop != Dpop::Off {
            let told = proof || resource.dpop == Dpop::Required;
            out.push(self.challenge("DPoP", told, issuer, resource));
        }
        out
    }

    fn challenge(&self, scheme: &str, told: bool, issuer: &Issuer, resource: &Resource) -> String {
        let mut out = format!("{scheme} ");
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
        if told && let Some(error) = self.error() {
            put("error", error);
            put("error_description", self.description());
        }
        if scheme == "DPoP" {
            put("algs", &dpop::algorithms().collect::<Vec<_>>().join(" "));
        }
        put("resource_metadata", &metadata_url(issuer, resource));
        let scopes = match self {
            Self::InsufficientScope(scopes) => scopes,
            _ => &resource.default_scopes,
        };
        if !scopes.is_empty() {
            put("scope", &resource.asked_as(scopes).join(" "));
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
        let mut at = catalogue(&["a"]).only().expect("one").clone();
        at.uri = resource.to_owned();
        judged_with(token, None, &at, ended, seconds)
    }

    fn judged_with(
        token: &AccessToken,
        key: Option<Thumbprint>,
        resource: &Resource,
        ended: &Ended,
        seconds: u64,
    ) -> Result<(), BearerError> {
        let text = token.mint(&sealer(), [0; 12]).expect("it fits");
        judge(
            &text,
            key,
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
    }

    #[test]
    fn dpop_5_a_bound_token_needs_its_key_and_a_free_one_takes_none() {
        let mut a = catalogue(&["a"]).only().expect("one").clone();
        let bound = AccessToken {
            confirmation: Some([1; 32]),
            ..token()
        };
        let table = [
            (Dpop::Allowed, &bound, Some([1; 32]), Ok(())),
            (Dpop::Allowed, &bound, None, Err(BearerError::Bound)),
            (
                Dpop::Allowed,
                &bound,
                Some([2; 32]),
                Err(BearerError::Bound),
            ),
            (Dpop::Allowed, &token(), None, Ok(())),
            (
                Dpop::Allowed,
                &token(),
                Some([1; 32]),
                Err(BearerError::Bound),
            ),
            (Dpop::Required, &token(), None, Err(BearerError::Bound)),
            (Dpop::Required, &bound, Some([1; 32]), Ok(())),
            (Dpop::Off, &bound, None, Err(BearerError::Bound)),
        ];
        for (dpop, token, key, expected) in table {
            a.dpop = dpop;
            assert_eq!(
                judged_with(token, key, &a, &none_(), 1200),
                expected,
                "{dpop:?} {key:?}"
            );
        }
    }

    #[test]
    fn dpop_4_rs_10_each_scheme_has_a_field_of_its_own() {
        let issuer = Issuer::parse("https://gw.example").expect("an origin");
        let mut a = catalogue(&["a"]).only().expect("one").clone();
        let stale = BearerError::Proof(DpopError::Stale);
        for (dpop, error, schemes, told) in [
            (Dpop::Off, &BearerError::Expired, vec!["Bearer"], "Bearer"),
            (
                Dpop::Allowed,
                &BearerError::Expired,
                vec!["Bearer", "DPoP"],
                "Bearer",
            ),
            (Dpop::Allowed, &stale, vec!["Bearer", "DPoP"], "DPoP"),
            (Dpop::Required, &BearerError::Bound, vec!["DPoP"], "DPoP"),
            (Dpop::Off, &BearerError::Bound, vec!["Bearer"], "Bearer"),
        ] {
            a.dpop = dpop;
            let fields = error.challenges(&issuer, &a);
            let got: Vec<_> = fields.iter().filter_map(|f| f.split(' ').next()).collect();
            assert_eq!(got, schemes, "{dpop:?}");
            for field in &fields {
                let scheme = field.split(' ').next().unwrap_or_default();
                assert_eq!(field.contains("error="), scheme == told, "{field}");
                assert_eq!(field.contains("algs=\"RS256"), scheme == "DPoP", "{field}");
                assert!(field.contains("resource_metadata="), "{field}");
            }
        }
    }

    #[test]
    fn rs_9_t_grd_11_what_no_scope_would_cure_asks_for_none() {
        let issuer = Issuer::parse("https://gw.example").expect("an origin");
        let mut a = catalogue(&["a"]).only().expect("one").clone();
        a.policy.access.allow = Some(vec![crate::policy::Who::Group("staff".into())]);
        let caller = |groups: &[&str], machine| Caller {
            profile: None,
            token: Arc::new(AccessToken {
                groups: groups.iter().map(|g| (*g).to_owned()).collect(),
                machine,
                ..token()
            }),
        };
        assert_eq!(caller(&["group:staff"], false).may_enter(&a), Ok(()));
        assert_eq!(caller(&[], true).may_enter(&a), Ok(()));
        let denied = caller(&["group:other"], false)
            .may_enter(&a)
            .expect_err("not on the list");
        assert_eq!(
            (denied.status(), denied.error()),
            (403, Some("access_denied"))
        );
        assert!(denied.challenges(&issuer, &a).is_empty());
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
        let shown = |token, with_proof| Shown { token, with_proof };
        assert_eq!(find(&["Bearer vat_x"], None), Ok(shown("vat_x", false)));
        assert_eq!(find(&["bEARER  vat_x"], None), Ok(shown("vat_x", false)));
        assert_eq!(find(&["dpop vat_x"], Some("a=1")), Ok(shown("vat_x", true)));
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
    fn rs_2_rs_7_rs_8_rs_10_rev_9_disc_12_the_challenge_says_where_to_go() {
        let issuer = Issuer::parse("https://gw.example").expect("an origin");
        let catalogue = catalogue(&["a"]);
        let a = catalogue.only().expect("one");
        assert_eq!(
            BearerError::Missing.challenges(&issuer, a),
            [
                "Bearer resource_metadata=\"https://gw.example/.well-known/oauth-protected-resource\
             /a/mcp\", scope=\"read\""
            ]
        );
        let wrong = BearerError::WrongAudience.challenges(&issuer, a).remove(0);
        assert!(wrong.starts_with("Bearer error=\"invalid_token\", error_description=\""));
        let caller = Caller {
            profile: None,
            token: Arc::new(token()),
        };
        let refused = caller.may(&ScopeSet::of(["write"])).expect_err("lacks it");
        assert_eq!(refused.status(), 403);
        let challenge = refused.challenges(&issuer, a).remove(0);
        assert!(challenge.ends_with("scope=\"read write\""));
        assert!(!challenge.contains("offline_access"));
    }
}
