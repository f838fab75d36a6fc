//! Tokens for an assertion of somebody whom the operator trusts (RFC 7523 §2.1): a company's
//! provider that vouches for a person (ID-JAG), or a platform that vouches for a workload.
//!
//! The two are told apart by the header's `typ` and by what the operator wrote of the
//! issuer, never by a guess. Both are used once.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::{
    assertion::{self, Assertion, Once, Rules},
    claims,
    client::{GrantType, KnownBy},
    client_auth::AuthenticatedClient,
    id_token::SubjectKey,
    jwt::VerifiedClaims,
    policy,
    resource::Catalogue,
    scope::ScopeSet,
    secret::Secret,
    time::Timestamp,
    uri::Issuer,
};

use super::{TokenError, client_credentials::target};

/// What the issuer of a workload is called here, before the platform's name. No identity
/// provider has such an issuer.
pub const WORKLOADS: &str = "urn:vestibule:workload:";

/// `typ` of an identity assertion (ID-JAG §3.1).
pub const ID_JAG_TYP: &str = "oauth-id-jag+jwt";

/// The profile that metadata names for it (ID-JAG §7.2).
pub const ID_JAG_PROFILE: &str = "urn:ietf:params:oauth:grant-profile:id-jag";

/// How long an identity assertion may live; it is used at once.
const ID_JAG_LIFE: Duration = Duration::from_secs(600);

/// The same for a platform's tokens, of which some live a day.
const WORKLOAD_LIFE: Duration = Duration::from_secs(24 * 3600);

/// How far the clocks may be apart.
const LEEWAY: Duration = Duration::from_secs(60);

/// The request.
#[derive(Debug, Clone)]
pub struct AssertionGrant {
    /// The assertion.
    pub assertion: Secret,
    /// What the token should be for.
    pub scopes: Option<ScopeSet>,
    /// Which server.
    pub resources: Vec<String>,
}

/// An issuer whose assertions are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedIssuer {
    /// Its name in the configuration.
    pub name: String,
    /// Its `iss`, text for text.
    pub issuer: String,
    /// What it vouches for.
    pub vouches: Vouches,
    /// How it tells people apart; as at a login, if it is the identity provider itself.
    pub key: SubjectKey,
}

/// What an issuer vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Vouches {
    /// People, to clients that it names (ID-JAG).
    People {
        /// Whether public clients that are known by a document may bring its assertions.
        public_clients: bool,
    },
    /// Workloads that match one of these; without a match nothing is given.
    Workloads(Vec<WorkloadRule>),
}

/// What one kind of workload may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadRule {
    /// Its `sub`, in which `*` stands for any characters.
    pub subject: String,
    /// Claims that must have exactly this value.
    pub claims: Vec<(String, String)>,
    /// The servers it may ask for.
    pub resources: Vec<String>,
    /// What it may ask for at most; `None` for no limit of its own.
    pub scopes: Option<ScopeSet>,
}

/// What an assertion is good for, once [`Self::once`] was spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueForAssertion {
    /// Who vouches.
    pub issuer: String,
    /// For whom.
    pub subject: String,
    /// What to call them on a page; hostile text.
    pub shown: Option<String>,
    /// Their groups and roles, if the issuer says any.
    pub groups: Option<Vec<String>>,
    /// Whether they are a machine.
    pub machine: bool,
    /// For which server.
    pub resource: String,
    /// For what.
    pub scopes: ScopeSet,
    /// What to spend.
    pub once: Once,
}

/// Whether an assertion with this `typ` means to be an identity assertion.
pub fn is_id_jag(typ: Option<&str>) -> bool {
    typ.is_some_and(|typ| {
        typ.eq_ignore_ascii_case(ID_JAG_TYP)
            || typ.eq_ignore_ascii_case("application/oauth-id-jag+jwt")
    })
}

/// Judges an identity assertion that `trusted` signed and `client` brings (ID-JAG §4.4.1).
///
/// # Errors
/// [`TokenError`].
pub fn judge_id_jag(
    ask: &AssertionGrant,
    client: &AuthenticatedClient,
    token: &VerifiedClaims,
    trusted: &TrustedIssuer,
    issuer: &Issuer,
    catalogue: &Catalogue,
    now: Timestamp,
) -> Result<IssueForAssertion, TokenError> {
    use TokenError as E;
    let Vouches::People { public_clients } = trusted.vouches else {
        return Err(E::AssertionUntrusted);
    };
    let client = client.client();
    let may = match &client.known_by {
        KnownBy::Operator => {
            let granted = client.grants.contains(GrantType::JwtBearer);
            granted && (client.credential.is_confidential() || public_clients)
        }
        KnownBy::Document { .. } => client.credential.is_confidential() || public_clients,
        KnownBy::Dynamic | KnownBy::Vouched => client.credential.is_confidential(),
    };
    if !may {
        return Err(E::GrantTypeNotAllowed);
    }
    let rules = Rules {
        typ: Some(ID_JAG_TYP),
        audiences: &[issuer.text()],
        longest: ID_JAG_LIFE,
        leeway: LEEWAY,
        dated: true,
    };
    let assertion = of_issuer(token, trusted, &rules, now)?;
    let claims = assertion.claims();
    let text = |name| claims::text(claims, name).map_err(|_| E::AssertionRefused);
    if text("client_id")? != Some(client.id.as_str()) {
        return Err(E::AssertionOfAnotherClient);
    }
    // What the assertion names wins; a request that names another is refused.
    let named = match claims.get("resource") {
        None | Some(Value::Null) => ask.resources.clone(),
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(list)) => match list.as_slice() {
            [Value::String(one)] => vec![one.clone()],
            _ => return Err(E::AssertionRefused),
        },
        Some(_) => return Err(E::AssertionRefused),
    };
    let resource = match named.as_slice() {
        [] => catalogue.named(std::iter::empty()),
        named => catalogue.named(named.iter().map(String::as_str)),
    }
    .map_err(|_| E::AssertionRefused)?;
    super::same_resource(&ask.resources, &resource.uri)?;
    if !client.may_reach(&resource.uri) {
        return Err(E::AssertionRefused);
    }
    // The narrowest of what is asked, what the assertion says and what the client may have.
    // Whatever it says is a limit, never a reason for a default.
    let vouched = text("scope")?
        .map(|scope| ScopeSet::parse(scope).map_err(|_| E::AssertionRefused))
        .transpose()?;
    let asked = ask.scopes.as_ref().or(vouched.as_ref());
    let granted = resource.grantable(asked, client.scopes.as_ref());
    let scopes = match (granted, &vouched) {
        (Some(granted), Some(vouched)) => granted.narrowed_to(vouched),
        (Some(granted), None) => granted,
        (None, _) if ask.scopes.is_some() => return Err(E::ScopeUnknown),
        (None, _) => return Err(E::ScopeMismatch),
    };
    if scopes.is_empty() && !resource.scopes.is_empty() {
        return Err(if ask.scopes.is_some() {
            E::ScopeUnknown
        } else {
            E::ScopeMismatch
        });
    }
    Ok(IssueForAssertion {
        issuer: assertion.issuer().to_owned(),
        subject: match trusted.key {
            SubjectKey::Sub => assertion.subject().to_owned(),
            SubjectKey::TenantAndObject => match (text("tid")?, text("oid")?) {
                (Some(tenant), Some(object)) => format!("{tenant}/{object}"),
                _ => return Err(E::AssertionRefused),
            },
        },
        shown: text("email")?.map(str::to_owned),
        groups: groups(claims)?,
        machine: false,
        resource: resource.uri.clone(),
        scopes,
        once: assertion.once(),
    })
}

/// Judges a platform's token about a workload. No client takes part in this.
///
/// # Errors
/// [`TokenError`].
pub fn judge_workload(
    ask: &AssertionGrant,
    token: &VerifiedClaims,
    trusted: &TrustedIssuer,
    audiences: &[&str],
    catalogue: &Catalogue,
    now: Timestamp,
) -> Result<IssueForAssertion, TokenError> {
    use TokenError as E;
    let Vouches::Workloads(workloads) = &trusted.vouches else {
        return Err(E::AssertionUntrusted);
    };
    let rules = Rules {
        typ: None,
        audiences,
        longest: WORKLOAD_LIFE,
        leeway: LEEWAY,
        dated: true,
    };
    let assertion = of_issuer(token, trusted, &rules, now)?;
    let rule = workloads
        .iter()
        .find(|rule| rule.admits(&assertion))
        .ok_or(E::WorkloadNotAllowed)?;
    let resource = target(&ask.resources, Some(&rule.resources), catalogue)?;
    let scopes = resource
        .grantable(ask.scopes.as_ref(), rule.scopes.as_ref())
        .ok_or(E::ScopeUnknown)?;
    Ok(IssueForAssertion {
        // A workload is never the person of the same name.
        issuer: format!("{WORKLOADS}{}", trusted.name),
        subject: assertion.subject().to_owned(),
        shown: None,
        groups: None,
        machine: true,
        resource: resource.uri.clone(),
        scopes,
        once: assertion.once(),
    })
}

/// Groups and roles, if there are such claims. Of another type, or too many to be listed
/// (`_claim_names`, OpenID Connect Core §5.6.2), is not "none".
fn groups(claims: &Map<String, Value>) -> Result<Option<Vec<String>>, TokenError> {
    let elsewhere = claims
        .get("_claim_names")
        .is_some_and(|names| names.get("groups").is_some() || names.get("roles").is_some());
    if elsewhere || claims.get("hasgroups") == Some(&Value::Bool(true)) {
        return Err(TokenError::AssertionRefused);
    }
    if ["groups", "roles"]
        .iter()
        .all(|name| !claims.contains_key(*name))
    {
        return Ok(None);
    }
    let list = |name| claims::list(claims, name).map_err(|_| TokenError::AssertionRefused);
    Ok(Some(
        list("groups")?.into_iter().chain(list("roles")?).collect(),
    ))
}

fn of_issuer(
    token: &VerifiedClaims,
    trusted: &TrustedIssuer,
    rules: &Rules<'_>,
    now: Timestamp,
) -> Result<Assertion, TokenError> {
    let assertion =
        assertion::judge(token, rules, now).map_err(|_| TokenError::AssertionRefused)?;
    if assertion.issuer() == trusted.issuer {
        Ok(assertion)
    } else {
        Err(TokenError::AssertionUntrusted)
    }
}

impl WorkloadRule {
    fn admits(&self, assertion: &Assertion) -> bool {
        policy::matches(&self.subject, assertion.subject())
            && self
                .claims
                .iter()
                .all(|(name, value)| match assertion.claims().get(name) {
                    Some(Value::String(text)) => text == value,
                    Some(Value::Number(number)) => number.to_string() == *value,
                    Some(Value::Bool(flag)) => flag.to_string() == *value,
                    _ => false,
                })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        client::{Client, Credential, Grants, SecretMethod, tests::client},
        client_auth::tests::authenticated,
        jwt::tests::verified_as,
        resource::tests::catalogue,
    };

    const A: &str = "https://gw.example/a/mcp";

    fn ask(scope: Option<&str>, resources: &[&str]) -> AssertionGrant {
        AssertionGrant {
            assertion: Secret::new(String::new()),
            scopes: scope.map(|text| ScopeSet::parse(text).expect("scopes")),
            resources: resources.iter().map(|r| (*r).to_owned()).collect(),
        }
    }

    fn company(public_clients: bool) -> TrustedIssuer {
        TrustedIssuer {
            key: SubjectKey::Sub,
            name: "company".into(),
            issuer: "https://id.example".into(),
            vouches: Vouches::People { public_clients },
        }
    }

    fn app() -> Client {
        Client {
            credential: Credential::Secret {
                method: SecretMethod::Basic,
                secrets: vec![],
            },
            grants: Grants::of([GrantType::JwtBearer]),
            known_by: KnownBy::Operator,
            ..client(&[])
        }
    }

    const JAG: &str = r#"{"iss":"https://id.example","sub":"u1","aud":"https://gw.example",
        "client_id":"vcl_test","exp":1100,"iat":1000,"jti":"1","scope":"read write",
        "resource":"https://gw.example/a/mcp"}"#;

    fn jag(
        claims: &str,
        client: Client,
        ask: &AssertionGrant,
        trusted: &TrustedIssuer,
    ) -> Result<IssueForAssertion, TokenError> {
        judge_id_jag(
            ask,
            &authenticated(client),
            &verified_as(Some(ID_JAG_TYP), claims),
            trusted,
            &Issuer::parse("https://gw.example").expect("an origin"),
            &catalogue(&["a", "b"]),
            Timestamp::from_unix(1000),
        )
    }

    #[test]
    fn ema_2_ema_3_ema_4_ema_7_an_identity_assertion_is_for_one_client_here_and_now() {
        use TokenError as E;
        let with = |from: &str, to: &str| {
            assert!(JAG.contains(from), "{from}");
            JAG.replace(from, to)
        };
        let issue = jag(JAG, app(), &ask(None, &[]), &company(false)).expect("good");
        assert_eq!(
            (issue.issuer.as_str(), issue.subject.as_str()),
            ("https://id.example", "u1")
        );
        assert_eq!(issue.resource, A);
        assert!(!issue.machine);
        let table = [
            (with("vcl_test", "vcl_other"), E::AssertionOfAnotherClient),
            (
                with("\"client_id\":\"vcl_test\",", ""),
                E::AssertionOfAnotherClient,
            ),
            (with("id.example", "evil.example"), E::AssertionUntrusted),
            (
                with("\"https://gw.example\"", "[\"https://gw.example\",\"x\"]"),
                E::AssertionRefused,
            ),
            (
                with("\"https://gw.example\"", "\"https://gw.example/token\""),
                E::AssertionRefused,
            ),
            (with("1100", "1661"), E::AssertionRefused),
            (with("1100", "940"), E::AssertionRefused),
            (with("\"iat\":1000,", ""), E::AssertionRefused),
            (with("\"sub\":\"u1\",", ""), E::AssertionRefused),
            (with("\"jti\":\"1\",", ""), E::AssertionRefused),
        ];
        for (claims, expected) in table {
            let got = jag(&claims, app(), &ask(None, &[]), &company(false));
            assert_eq!(got, Err(expected), "{claims}");
        }
        let token = verified_as(Some("JWT"), JAG);
        let got = judge_id_jag(
            &ask(None, &[]),
            &authenticated(app()),
            &token,
            &company(false),
            &Issuer::parse("https://gw.example").expect("an origin"),
            &catalogue(&["a"]),
            Timestamp::from_unix(1000),
        );
        assert_eq!(got, Err(E::AssertionRefused), "another kind of token");
        assert!(is_id_jag(Some("oauth-id-jag+jwt")) && !is_id_jag(Some("JWT")) && !is_id_jag(None));
    }

    #[test]
    fn ema_4_which_clients_may_bring_one() {
        let document = |credential: Credential| Client {
            credential,
            grants: Grants::for_people(true),
            known_by: KnownBy::Document {
                host: "a.example".into(),
                trusted: false,
            },
            ..client(&[])
        };
        let secret = app().credential;
        let table = [
            (document(Credential::Public), false, false),
            (document(Credential::Public), true, true),
            (document(secret.clone()), false, true),
            (client(&[]), true, false),
            (
                Client {
                    grants: Grants::for_people(true),
                    ..app()
                },
                true,
                false,
            ),
        ];
        for (client, public_clients, may) in table {
            let why = format!("{client:?}");
            let got = jag(JAG, client, &ask(None, &[]), &company(public_clients));
            assert_eq!(got.is_ok(), may, "{why}");
        }
    }

    #[test]
    fn ema_5_ema_6_the_server_and_the_narrowest_scope() {
        use TokenError as E;
        let no_resource = JAG.replace("\"resource\":\"https://gw.example/a/mcp\"", "\"x\":1");
        let no_scope = JAG.replace("\"scope\":\"read write\",", "");
        let read_only = JAG.replace("read write", "read");
        let got = |claims: &str, scope: Option<&str>, resources: &[&str]| {
            jag(claims, app(), &ask(scope, resources), &company(false))
                .map(|issue| (issue.resource, issue.scopes.to_string()))
        };
        let ok = |scopes: &str| Ok((A.to_owned(), scopes.to_owned()));
        assert_eq!(got(JAG, None, &[]), ok("read write"));
        assert_eq!(got(JAG, Some("read"), &[A]), ok("read"));
        assert_eq!(got(&no_resource, None, &[A]), ok("read write"));
        assert_eq!(got(&no_resource, None, &[]), Err(E::AssertionRefused));
        assert_eq!(
            got(JAG, None, &["https://gw.example/b/mcp"]),
            Err(E::ResourceNotGranted)
        );
        assert_eq!(
            got(&JAG.replace("/a/mcp", "/c/mcp"), None, &[]),
            Err(E::AssertionRefused)
        );
        assert_eq!(
            got(&no_scope, None, &[]),
            ok("read"),
            "the server's default"
        );
        assert_eq!(got(&no_scope, Some("write"), &[]), ok("write"));
        assert_eq!(
            got(&read_only, Some("read write"), &[]),
            ok("read"),
            "over-asking narrows"
        );
        assert_eq!(got(&read_only, Some("write"), &[]), Err(E::ScopeUnknown));
        let limited = Client {
            scopes: Some(ScopeSet::of(["write"])),
            ..app()
        };
        assert_eq!(
            jag(&read_only, limited, &ask(None, &[]), &company(false)),
            Err(E::ScopeMismatch)
        );
    }

    #[test]
    fn ema_6_what_an_assertion_says_of_scopes_is_a_limit_and_no_reason_for_more() {
        use TokenError as E;
        let scope = |said: &str| JAG.replace("read write", said);
        let got = |claims: &str, asked: Option<&str>| {
            jag(claims, app(), &ask(asked, &[]), &company(false))
                .map(|issue| issue.scopes.to_string())
        };
        assert_eq!(
            got(&scope("openid write"), Some("openid")),
            Err(E::ScopeUnknown)
        );
        assert_eq!(
            got(&scope("openid read"), Some("openid")),
            Ok("read".into())
        );
        assert_eq!(got(&scope("openid profile"), None), Err(E::ScopeMismatch));
        assert_eq!(got(&scope(""), None), Err(E::ScopeMismatch));
        assert_eq!(got(&scope(""), Some("read")), Err(E::ScopeUnknown));
    }

    #[test]
    fn ema_8_ema_9_t_adm_02_groups_that_cannot_be_read_are_not_none() {
        use TokenError as E;
        let with = |claim: &str| JAG.replacen('{', &format!("{{{claim},"), 1);
        let got = |claims: &str| {
            jag(claims, app(), &ask(None, &[]), &company(false)).map(|issue| issue.groups)
        };
        assert_eq!(got(JAG), Ok(None));
        let both = with(r#""groups":["a"],"roles":["b"]"#);
        assert_eq!(got(&both), Ok(Some(vec!["a".into(), "b".into()])));
        assert_eq!(got(&with(r#""groups":[]"#)), Ok(Some(vec![])));
        for bad in [
            r#""groups":"a""#,
            r#""roles":{"a":1}"#,
            r#""groups":[1]"#,
            r#""hasgroups":true"#,
            r#""_claim_names":{"groups":"src1"}"#,
        ] {
            assert_eq!(got(&with(bad)), Err(E::AssertionRefused), "{bad}");
        }
        // The same person as at a login there.
        let entra = TrustedIssuer {
            key: SubjectKey::TenantAndObject,
            ..company(false)
        };
        let ids = with(r#""tid":"t1","oid":"o1""#);
        let subject =
            |claims: &str| jag(claims, app(), &ask(None, &[]), &entra).map(|issue| issue.subject);
        assert_eq!(subject(&ids), Ok("t1/o1".into()));
        assert_eq!(subject(JAG), Err(E::AssertionRefused));
    }

    #[test]
    fn ema_4_a_client_that_proves_nothing_brings_none() {
        let public = Client {
            credential: Credential::Public,
            grants: Grants::of([GrantType::JwtBearer]),
            known_by: KnownBy::Operator,
            ..app()
        };
        let got = |public_clients| {
            jag(
                JAG,
                public.clone(),
                &ask(None, &[]),
                &company(public_clients),
            )
            .map(|_| ())
        };
        assert_eq!(got(false), Err(TokenError::GrantTypeNotAllowed));
        assert_eq!(got(true), Ok(()));
    }

    fn platform() -> TrustedIssuer {
        TrustedIssuer {
            key: SubjectKey::Sub,
            name: "ci".into(),
            issuer: "https://ci.example".into(),
            vouches: Vouches::Workloads(vec![WorkloadRule {
                subject: "repo:org/app:*".into(),
                claims: vec![("org_id".into(), "42".into())],
                resources: vec![A.into()],
                scopes: Some(ScopeSet::of(["read"])),
            }]),
        }
    }

    #[test]
    fn wif_1_wif_3_wif_4_wif_5_a_workload_gets_what_a_rule_gives_it_and_nothing_else() {
        use TokenError as E;
        let good = r#"{"iss":"https://ci.example","sub":"repo:org/app:main","org_id":42,
            "aud":"https://gw.example","exp":1100,"iat":1000,"jti":"1"}"#;
        let got = |claims: &str, scope: Option<&str>, resources: &[&str]| {
            let ask = ask(scope, resources);
            let us = ["https://gw.example", "https://gw.example/token"];
            let now = Timestamp::from_unix(1000);
            let token = verified_as(None, claims);
            judge_workload(&ask, &token, &platform(), &us, &catalogue(&["a", "b"]), now)
                .map(|issue| (issue.subject, issue.scopes.to_string(), issue.machine))
        };
        let ok = Ok(("repo:org/app:main".to_owned(), "read".to_owned(), true));
        assert_eq!(got(good, None, &[]), ok);
        assert_eq!(
            got(
                &good.replace("gw.example\"", "gw.example/token\""),
                None,
                &[A]
            ),
            ok
        );
        assert_eq!(got(good, Some("read write"), &[A]), ok);
        let table = [
            (
                good.replace("org/app", "org/other"),
                None,
                E::WorkloadNotAllowed,
            ),
            (good.replace("42", "43"), None, E::WorkloadNotAllowed),
            (
                good.replace("\"org_id\":42,", ""),
                None,
                E::WorkloadNotAllowed,
            ),
            (
                good.replace("ci.example", "evil.example"),
                None,
                E::AssertionUntrusted,
            ),
            (
                good.replace("gw.example", "other.example"),
                None,
                E::AssertionRefused,
            ),
            (
                good.replace("\"jti\":\"1\"", "\"x\":1"),
                None,
                E::AssertionRefused,
            ),
            (good.replace("\"iat\":1000,", ""), None, E::AssertionRefused),
            (good.replace("1100", "900"), None, E::AssertionRefused),
            (good.to_owned(), Some("write"), E::ScopeUnknown),
        ];
        for (claims, scope, expected) in table {
            assert_eq!(got(&claims, scope, &[]), Err(expected), "{claims}");
        }
        assert_eq!(
            got(good, None, &["https://gw.example/b/mcp"]),
            Err(E::TargetUnknown)
        );
        // An identity assertion of an issuer that vouches for workloads only, and the reverse.
        let people = judge_id_jag(
            &ask(None, &[]),
            &authenticated(app()),
            &verified_as(Some(ID_JAG_TYP), good),
            &platform(),
            &Issuer::parse("https://gw.example").expect("an origin"),
            &catalogue(&["a"]),
            Timestamp::from_unix(1000),
        );
        assert_eq!(people, Err(E::AssertionUntrusted));
    }
}
