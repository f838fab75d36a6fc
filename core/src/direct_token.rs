//! An access token that the identity provider issued for one of our servers, where this gateway
//! issues none itself (RFC 9068, and what Microsoft Entra and others have in its place).

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value};

use crate::{
    access_token::AccessToken,
    bearer::BearerError,
    caller_identity::Profile,
    claims::{WrongType, seconds, text},
    flow::cleaned,
    id::{ClientRef, GrantId, PersonId, TokenId},
    id_token::SubjectKey,
    identity::{groups_in, leaves_groups_out, shown},
    jwt::VerifiedClaims,
    policy::{Somebody, reads_as_anothers},
    resource::Resource,
    scope::ScopeSet,
    secret::Digest,
    time::Timestamp,
};

/// What a server expects of them.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The provider's issuer.
    pub issuer: &'a str,
    /// How people are told apart.
    pub key: SubjectKey,
    /// Claims that tell groups and roles.
    pub groups: &'a [String],
    /// Whether a rule names one, so that it must be known of which ones they are.
    pub needs_groups: bool,
    /// The name by which rules write ids of this provider's people; none for the main one's.
    pub vouched_by: Option<&'a str>,
    /// See [`Somebody::others`].
    pub others: &'a [String],
    /// What the provider calls the server: one of these must be in `aud`.
    pub audience: &'a [String],
    /// What it writes before the names of the server's scopes, if it does.
    pub scope_prefix: &'a str,
    /// How far the clocks may be apart.
    pub leeway: Duration,
}

/// One that is for this server. Only [`judge`] makes these; whether it is good at this moment is
/// judged each time that it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectToken {
    token: Arc<AccessToken>,
    profile: Arc<Profile>,
}

/// Why one is not taken, and in words for an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotTaken {
    /// What the client is told.
    pub error: BearerError,
    /// Why.
    pub why: &'static str,
}

fn no(error: BearerError, why: &'static str) -> NotTaken {
    NotTaken { error, why }
}

impl DirectToken {
    /// It, as if it were one of ours. Grant, person and client have ids that are derived from
    /// who they are there, the same for each token.
    pub fn token(&self) -> &Arc<AccessToken> {
        &self.token
    }

    /// Who it is for.
    pub fn profile(&self) -> &Arc<Profile> {
        &self.profile
    }
}

impl From<WrongType> for NotTaken {
    fn from(_: WrongType) -> Self {
        no(BearerError::Unknown, "a claim of it is of another type")
    }
}

/// The id of a token by its text.
pub fn id_of(text: &str) -> TokenId {
    TokenId::new(first_half(&Digest::of(text.as_bytes())))
}

/// Judges the claims of a token whose signature was verified; `id` is its own (see [`id_of`]).
///
/// # Errors
/// [`NotTaken`]: [`BearerError::Unknown`] for what is no access token of this provider's, such as
/// its ID tokens, which have the same audience where the server is registered as an application;
/// [`BearerError::WrongAudience`]; [`BearerError::NotYet`]; [`BearerError::Denied`] for whose
/// groups are not told, and for an application that acts for nobody where no rule says who may.
pub fn judge(
    claims: &VerifiedClaims,
    id: TokenId,
    expected: &Expected<'_>,
    resource: &Resource,
    now: Timestamp,
) -> Result<DirectToken, NotTaken> {
    use BearerError as E;
    let unknown = |why| no(E::Unknown, why);
    let is_at = is_access_token(claims.typ());
    let is_at = is_at.ok_or(unknown("its typ is that of another kind of token"))?;
    let claims = claims.claims();
    let issuer = text(claims, "iss")?.ok_or(unknown("it has no iss"))?;
    if issuer != expected.issuer {
        return Err(unknown(
            "its iss is another; Microsoft Entra's tokens of version 1 have another than those of version 2",
        ));
    }
    if !is_at && says_otherwise(claims) {
        return Err(unknown("it is an ID token, or of another kind"));
    }
    let client = ["azp", "client_id", "cid", "appid"];
    let client = client
        .iter()
        .find_map(|name| text(claims, name).transpose());
    let client = client.ok_or(unknown("it does not say which client it is for"))??;
    if !is_for(claims, expected.audience) {
        return Err(no(
            E::WrongAudience,
            "its aud is none of servers.NAME.audience",
        ));
    }
    let latest = now.plus(expected.leeway);
    let issued = seconds(claims, "iat")?.ok_or(unknown("it has no iat"))?;
    let expires = seconds(claims, "exp")?.ok_or(unknown("it has no exp"))?;
    let begins = seconds(claims, "nbf")?.unwrap_or(issued).max(issued);
    if begins > latest {
        return Err(no(E::NotYet, "it begins later; the clocks differ"));
    }
    let part = |name| text(claims, name)?.ok_or(unknown("it does not say whose it is"));
    let subject = match expected.key {
        SubjectKey::Sub => part("sub")?.to_owned(),
        SubjectKey::TenantAndObject => format!("{}/{}", part("tid")?, part("oid")?),
    };
    if subject.is_empty() || subject.len() > 512 {
        return Err(unknown("it does not say whose it is"));
    }
    let told = scopes(claims)?;
    // An application that acts for itself has none, and many can have such a token.
    if told.is_none() && resource.policy.access.allow.is_none() {
        let why = "it has no scope, so an application acts by itself, and no rule says which may";
        return Err(no(E::Denied, why));
    }
    let groups = groups_in(claims, expected.groups);
    let groups = groups.map_err(|_| unknown("its groups are no list"))?;
    // Groups that are not told are not no groups. Entra's leave the claim out of whoever is in
    // none, and say so of whoever is in too many.
    let untold = groups.is_none() && expected.key == SubjectKey::Sub;
    if expected.needs_groups && (untold || leaves_groups_out(claims)) {
        return Err(no(
            E::Denied,
            "a rule names a group, and it tells none or not all",
        ));
    }
    let groups = groups.unwrap_or_default();
    let scopes = ScopeSet::of(told.unwrap_or_default().into_iter().filter_map(|scope| {
        let bare = scope.strip_prefix(expected.scope_prefix).unwrap_or(scope);
        resource.scopes.contains_key(bare).then(|| bare.to_owned())
    }));
    let somebody = Somebody {
        subject: &subject,
        groups: &groups,
        vouched_by: expected.vouched_by,
        others: expected.others,
    };
    let names = resource.policy.names_of(&somebody);
    let written = groups.iter().filter_map(|group| match expected.vouched_by {
        Some(name) => Some(format!("{name}/{group}")),
        None => (!reads_as_anothers(group, expected.others)).then(|| group.clone()),
    });
    let token = AccessToken {
        id,
        grant: GrantId::new(derived(&["grant", expected.issuer, &subject, client])),
        subject: PersonId::new(derived(&["person", expected.issuer, &subject])),
        machine: false,
        client: ClientRef::of(&format!("{} {client}", expected.issuer)),
        subject_epoch: u32::MAX,
        client_epoch: u32::MAX,
        // Its clock is ahead of ours by no more than is borne, which is more than of our own.
        issued: issued.min(now),
        expires,
        resource: resource.uri.clone(),
        scopes,
        confirmation: confirmation(claims)?,
        actor: None,
        groups: names,
    };
    let read = |name| shown(claims, name).map_err(|_| unknown("a claim of it is of another type"));
    let profile = Profile {
        issuer: expected.issuer.to_owned(),
        name: read("name")?,
        email: read("email")?,
        groups: written.collect(),
        client_id: Some(cleaned(client, 200)),
        flow: None,
        subject,
    };
    Ok(DirectToken {
        token: Arc::new(token),
        profile: Arc::new(profile),
    })
}

/// Whether it says of itself that it is an access token (RFC 9068 §2.1); `None` if it says that
/// it is something else.
fn is_access_token(typ: Option<&str>) -> Option<bool> {
    let typ = typ.unwrap_or("JWT").to_ascii_lowercase();
    match typ.strip_prefix("application/").unwrap_or(&typ) {
        "at+jwt" => Some(true),
        "jwt" => Some(false),
        _ => None,
    }
}

/// Whether a plain JWT is one of another kind: what only ID tokens have (OpenID Connect Core §2),
/// what only logout tokens have, and the kind that Keycloak writes. Its word for an access token
/// outweighs a `nonce`, which its older ones have.
fn says_otherwise(claims: &Map<String, Value>) -> bool {
    let has = |name: &&str| claims.contains_key(*name);
    if ["at_hash", "c_hash", "events"].iter().any(has) {
        return true;
    }
    match claims.get("typ").and_then(Value::as_str) {
        Some(kind) => !["bearer", "dpop"].contains(&kind.to_ascii_lowercase().as_str()),
        None => has(&"nonce"),
    }
}

fn is_for(claims: &Map<String, Value>, audience: &[String]) -> bool {
    let is_one = |value: &Value| {
        value
            .as_str()
            .is_some_and(|aud| audience.iter().any(|a| a == aud))
    };
    match claims.get("aud") {
        Some(Value::Array(list)) => list.iter().any(is_one),
        Some(one) => is_one(one),
        None => false,
    }
}

/// Scopes as the provider writes them: in one text, or as a list. `None` for no claim at all.
fn scopes(claims: &Map<String, Value>) -> Result<Option<Vec<&str>>, WrongType> {
    let Some(value) = claims.get("scope").or_else(|| claims.get("scp")) else {
        return Ok(None);
    };
    match value {
        Value::String(text) => Ok(Some(text.split(' ').filter(|s| !s.is_empty()).collect())),
        Value::Array(list) => {
            let texts = list.iter().map(Value::as_str);
            texts.collect::<Option<Vec<_>>>().map(Some).ok_or(WrongType)
        }
        _ => Err(WrongType),
    }
}

/// The key that it is bound to (RFC 7800 §3): that of a proof, and no other kind, which nobody
/// here could check.
fn confirmation(claims: &Map<String, Value>) -> Result<Option<[u8; 32]>, NotTaken> {
    let Some(cnf) = claims.get("cnf") else {
        return Ok(None);
    };
    let jkt = cnf.as_object().filter(|cnf| cnf.len() == 1);
    let jkt = jkt.and_then(|cnf| cnf.get("jkt")?.as_str());
    let digest = jkt.and_then(Digest::parse);
    let digest = digest.ok_or(no(
        BearerError::Unknown,
        "it is bound to something else than a key of DPoP",
    ))?;
    Ok(Some(*digest.bytes()))
}

fn derived(parts: &[&str]) -> [u8; 16] {
    let mut text = String::from("direct");
    for part in parts {
        // By length, so that no two lists are one text.
        text.push_str(&format!(" {}:{part}", part.len()));
    }
    first_half(&Digest::of(text.as_bytes()))
}

fn first_half(digest: &Digest) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&digest.bytes()[..16]);
    half
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        id_token::SubjectKey,
        jwt::tests::{verified, verified_as},
        policy::{Access, Who},
        uri::Issuer,
    };

    const URI: &str = "https://gw.example/a/mcp";

    fn resource() -> Resource {
        let issuer = Issuer::parse("https://gw.example").expect("one");
        let mut resource = Resource::new(&issuer, "a", "/a/mcp", "A");
        resource.scopes.insert("read".into(), "Read".into());
        resource.scopes.insert("write".into(), "Write".into());
        resource
    }

    fn good() -> Value {
        json!({
            "iss": "https://idp.example", "aud": URI, "exp": 2000, "iat": 1000, "sub": "42",
            "client_id": "app", "scope": "read other", "name": "Ada", "groups": ["staff"],
        })
    }

    fn over(claims: &[(&str, Value)]) -> Value {
        let mut all = good();
        for (name, value) in claims {
            all[*name] = value.clone();
            if value.is_null() {
                all.as_object_mut().expect("one").remove(*name);
            }
        }
        all
    }

    /// As long as a test lasts.
    fn kept<const N: usize>(texts: [&str; N]) -> &'static [String] {
        Box::leak(Box::new(texts.map(str::to_owned)))
    }

    fn judged_at(
        claims: &Value,
        resource: &Resource,
        change: impl FnOnce(&mut Expected<'static>),
    ) -> Result<DirectToken, BearerError> {
        let (audience, groups) = (kept([URI]), kept(["groups", "roles"]));
        let mut expected = Expected {
            issuer: "https://idp.example",
            key: SubjectKey::Sub,
            groups,
            needs_groups: true,
            vouched_by: None,
            others: kept(["partner"]),
            audience,
            scope_prefix: "",
            leeway: Duration::from_secs(30),
        };
        change(&mut expected);
        let now = Timestamp::from_unix(1500);
        judge(
            &verified(&claims.to_string()),
            id_of("t"),
            &expected,
            resource,
            now,
        )
        .map_err(|no| no.error)
    }

    fn judged(claims: &Value) -> Result<DirectToken, BearerError> {
        judged_at(claims, &resource(), |_| {})
    }

    #[test]
    fn p2_a_token_of_the_provider_s_for_this_server_is_one() {
        let read = |claims: &Value| judged(claims).expect("good").token().scopes.to_string();
        let ada = judged(&good()).expect("good");
        assert_eq!(ada.token().resource, URI);
        assert_eq!(ada.profile().name.as_deref(), Some("Ada"));
        assert_eq!(ada.profile().groups, ["staff"]);
        assert_eq!(
            read(&good()),
            "read",
            "scopes of others are none of this server's"
        );
        for (claims, scopes) in [
            (over(&[("aud", json!(["account", URI]))]), "read"),
            (
                over(&[("scope", Value::Null), ("scp", json!("read write"))]),
                "read write",
            ),
            (
                over(&[("scope", Value::Null), ("scp", json!(["write"]))]),
                "write",
            ),
            (over(&[("scope", json!(""))]), ""),
            (
                over(&[("client_id", Value::Null), ("azp", json!("app"))]),
                "read",
            ),
            (over(&[("typ", json!("Bearer"))]), "read"),
            (
                over(&[("typ", json!("DPoP")), ("nonce", json!("n"))]),
                "read",
            ),
            (over(&[("iat", json!(1525))]), "read"),
        ] {
            assert_eq!(read(&claims), scopes, "{claims}");
        }
        // The same person by another app is another grant; by another token, the same.
        // Not later than now by our clock, so that it is as good in a moment.
        let ahead = judged(&over(&[("iat", json!(1525))])).expect("good");
        assert_eq!(ahead.token().issued, Timestamp::from_unix(1500));
        let other = judged(&over(&[("client_id", json!("x"))])).expect("good");
        assert_eq!(ada.token().subject, other.token().subject);
        assert_ne!(ada.token().grant, other.token().grant);
        let bob = judged(&over(&[("sub", json!("43"))])).expect("good");
        assert_ne!(ada.token().subject, bob.token().subject);
    }

    #[test]
    fn p2_t_grd_02_what_is_none_does_not_pass() {
        use BearerError as E;
        for (claims, why) in [
            (over(&[("iss", json!("https://other.example"))]), E::Unknown),
            (over(&[("iss", Value::Null)]), E::Unknown),
            (
                over(&[("aud", json!("https://gw.example/b/mcp"))]),
                E::WrongAudience,
            ),
            (
                over(&[("aud", json!("https://gw.example/a/mcp/"))]),
                E::WrongAudience,
            ),
            (over(&[("aud", json!([]))]), E::WrongAudience),
            (over(&[("aud", Value::Null)]), E::WrongAudience),
            (over(&[("exp", Value::Null)]), E::Unknown),
            (over(&[("iat", Value::Null)]), E::Unknown),
            (over(&[("nbf", json!(1600))]), E::NotYet),
            (over(&[("sub", Value::Null)]), E::Unknown),
            (over(&[("sub", json!(42))]), E::Unknown),
            (over(&[("scope", json!(7))]), E::Unknown),
            (over(&[("groups", json!(7))]), E::Unknown),
            // ID tokens, logout tokens, refresh tokens.
            (over(&[("nonce", json!("n"))]), E::Unknown),
            (over(&[("at_hash", json!("n"))]), E::Unknown),
            (over(&[("events", json!({}))]), E::Unknown),
            (over(&[("typ", json!("ID"))]), E::Unknown),
            (over(&[("typ", json!("Refresh"))]), E::Unknown),
            (over(&[("client_id", Value::Null)]), E::Unknown),
            // Bound to what nobody here can check.
            (over(&[("cnf", json!({ "x5t#S256": "x" }))]), E::Unknown),
            (over(&[("cnf", json!({ "jkt": "x" }))]), E::Unknown),
            // Nobody acts in it, or their groups are not told.
            (over(&[("groups", Value::Null)]), E::Denied),
            (over(&[("scope", Value::Null)]), E::Denied),
            (over(&[("hasgroups", json!(true))]), E::Denied),
            (
                over(&[("_claim_names", json!({ "groups": "s" }))]),
                E::Denied,
            ),
        ] {
            assert_eq!(judged(&claims), Err(why), "{claims}");
        }
        for typ in [
            "logout+jwt",
            "oauth-id-jag+jwt",
            "vestibule-caller+jwt",
            "dpop+jwt",
        ] {
            let claims = verified_as(Some(typ), &good().to_string());
            let audience = [URI.to_owned()];
            let expected = Expected {
                issuer: "https://idp.example",
                key: SubjectKey::Sub,
                groups: &[],
                needs_groups: false,
                vouched_by: None,
                others: &[],
                audience: &audience,
                scope_prefix: "",
                leeway: Duration::ZERO,
            };
            let now = Timestamp::from_unix(1500);
            let judged = judge(&claims, id_of("t"), &expected, &resource(), now);
            let judged = judged.map_err(|no| no.error);
            assert_eq!(judged, Err(E::Unknown), "{typ}");
        }
    }

    #[test]
    fn p2_an_application_by_itself_needs_a_rule_that_names_it() {
        let mut ruled = resource();
        ruled.policy.access = Access {
            allow: Some(vec![Who::parse("group:Mcp.Run").expect("one")]),
            deny: Vec::new(),
        };
        let app = over(&[("scope", Value::Null), ("roles", json!(["Mcp.Run"]))]);
        // What reads as another's is nobody's.
        let posing = judged(&over(&[("groups", json!(["partner/staff", "x/y"]))])).expect("good");
        assert_eq!(posing.profile().groups, ["x/y"]);
        let named = judged_at(&app, &ruled, |_| {}).expect("good");
        assert_eq!(named.token().groups, ["group:Mcp.Run"]);
        let other = over(&[("scope", Value::Null)]);
        let other = judged_at(&other, &ruled, |_| {}).expect("the rule decides");
        assert!(!ruled.policy.access.admits(&other.token().groups));
    }

    #[test]
    fn p2_entra_s_tokens_name_tenant_application_and_scope_in_its_way() {
        let entra = json!({
            "iss": "https://login.example/t1/v2.0", "aud": "app-id", "exp": 2000, "iat": 1000,
            "nbf": 1000, "tid": "t1", "oid": "o1", "sub": "pairwise", "azp": "vscode",
            "scp": "read", "ver": "2.0",
        });
        let of = |claims: &Value| {
            judged_at(claims, &resource(), |expected| {
                expected.issuer = "https://login.example/t1/v2.0";
                expected.key = SubjectKey::TenantAndObject;
                expected.audience = kept(["app-id"]);
                expected.vouched_by = Some("partner");
            })
        };
        let token = of(&entra).expect("good");
        assert_eq!(token.profile().subject, "t1/o1");
        assert_eq!(token.token().scopes.to_string(), "read");
        for (name, value) in [
            ("tid", Value::Null),
            ("oid", Value::Null),
            ("iss", json!("https://sts.windows.net/t1/")),
            ("iss", json!("https://login.example/t2/v2.0")),
        ] {
            let mut claims = entra.clone();
            claims[name] = value;
            assert_eq!(of(&claims), Err(BearerError::Unknown), "{claims}");
        }
        let prefixed = over(&[("scope", json!("api://a/read write"))]);
        let token = judged_at(&prefixed, &resource(), |e| e.scope_prefix = "api://a/");
        assert_eq!(
            token.expect("good").token().scopes.to_string(),
            "read write"
        );
    }
}
