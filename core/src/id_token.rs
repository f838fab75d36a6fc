//! The ID token: is it for this login, and whom does it name (OpenID Connect Core §3.1.3.7).

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use crate::{
    claims::{WrongType, seconds, text},
    identity::{VerifiedIdentity, at_path, groups_in, leaves_groups_out, shown},
    jwt::{Algorithm, VerifiedClaims},
    logout_token::session_key,
    secret::Digest,
    time::Timestamp,
};

/// What this login expects of an ID token.
#[derive(Debug, Clone)]
pub struct Expected<'a> {
    /// The provider's issuer, text for text.
    pub issuer: &'a str,
    /// Our client id there.
    pub client_id: &'a str,
    /// The nonce of this login. Nothing for an ID token that came with a refresh, which need
    /// not have one (OpenID Connect Core §12.2).
    pub nonce: Option<&'a str>,
    /// The access token that came beside it, for `at_hash`.
    pub access_token: Option<&'a str>,
    /// `max_age` that we asked for.
    pub max_age: Option<u32>,
    /// How far the clocks may be apart.
    pub leeway: Duration,
    /// How people are told apart.
    pub key: SubjectKey,
    /// Where people of several tenants are let in, each of which is an issuer of its own under
    /// the same keys: then [`Self::issuer`] names them all.
    pub tenants: Option<Tenants<'a>>,
    /// Claims that tell groups and roles.
    pub groups: &'a [String],
    /// The organization that an account must be of, where anybody can have one. `hd`, which is
    /// Google's.
    pub hosted_domain: Option<&'a str>,
    /// Whether a rule names a group or role: then it must be known of which ones they are.
    pub needs_groups: bool,
}

/// Tenants of Entra's that are let in (UP-16).
#[derive(Debug, Clone, Copy)]
pub struct Tenants<'a> {
    /// The issuer of each, with `{tenantid}` in it.
    pub issuer: &'a str,
    /// Their ids.
    pub allowed: &'a [String],
}

impl Tenants<'_> {
    /// Whether `iss` is the issuer of the tenant `tid`, and that one is let in.
    pub(crate) fn admit(&self, iss: &str, tid: Option<&str>) -> bool {
        tid.is_some_and(|tid| {
            self.allowed.iter().any(|allowed| allowed == tid) && self.is_issuer_of(tid, iss)
        })
    }

    /// Whether `iss` is the issuer of the tenant `tid`, whoever is let in.
    fn is_issuer_of(&self, tid: &str, iss: &str) -> bool {
        self.issuer.replace("{tenantid}", tid) == iss
    }
}

/// Which claims make a person's lasting key. Names and addresses never do (UP-15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectKey {
    /// `sub`.
    Sub,
    /// `tid` and `oid`, as Entra has it: `sub` differs there from app to app.
    TenantAndObject,
}

/// Why an ID token does not name the person of this login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// A `typ` of another kind of token.
    #[error("is another kind of token")]
    Kind,
    /// A claim that is missing or of the wrong type.
    #[error("lacks a claim, or has one of the wrong type")]
    Claim,
    /// Another issuer.
    #[error("was issued by another provider")]
    Issuer,
    /// For another client.
    #[error("was issued for another application")]
    Audience,
    /// Several audiences without us as the authorized party.
    #[error("names another authorized party")]
    AuthorizedParty,
    /// No longer valid.
    #[error("has expired")]
    Expired,
    /// From the future.
    #[error("is not valid yet; the clocks differ")]
    NotYet,
    /// Not for this login.
    #[error("belongs to another login")]
    Nonce,
    /// The access token beside it is another one.
    #[error("does not belong to the access token beside it")]
    AccessTokenHash,
    /// The person signed in longer ago than was asked for.
    #[error("tells of a sign-in that is too long ago")]
    TooOld,
    /// An account of another organization, or of none.
    #[error("is of an account that does not belong to the organization")]
    Organization,
    /// The userinfo endpoint speaks of somebody else.
    #[error("names another person than the userinfo endpoint")]
    UserInfo,
    /// The person is in more groups than it has room for, and a rule asks for groups.
    #[error("leaves out the person's groups, which are too many for it")]
    GroupsLeftOut,
}

impl IdTokenError {
    /// The error of the catalogue.
    pub fn code(self) -> &'static str {
        match self {
            Self::Expired | Self::NotYet => "V-IDP-015",
            Self::Audience | Self::AuthorizedParty => "V-IDP-017",
            Self::TooOld => "V-IDP-020",
            Self::GroupsLeftOut => "V-IDP-022",
            Self::Organization => "V-IDP-023",
            Self::Kind
            | Self::Claim
            | Self::Issuer
            | Self::Nonce
            | Self::AccessTokenHash
            | Self::UserInfo => "V-IDP-011",
        }
    }
}

impl From<WrongType> for IdTokenError {
    fn from(_: WrongType) -> Self {
        Self::Claim
    }
}

/// Judges the claims of an ID token whose signature was verified.
///
/// # Errors
/// [`IdTokenError`], the first rule broken.
pub fn judge(
    token: &VerifiedClaims,
    expected: &Expected<'_>,
    now: Timestamp,
) -> Result<VerifiedIdentity, IdTokenError> {
    use IdTokenError as E;
    if token
        .typ()
        .is_some_and(|typ| !typ.eq_ignore_ascii_case("jwt"))
    {
        return Err(E::Kind);
    }
    let claims = token.claims();
    let issuer = text(claims, "iss")?.ok_or(E::Claim)?;
    let ours = match &expected.tenants {
        None => issuer == expected.issuer,
        Some(tenants) => tenants.admit(issuer, text(claims, "tid")?),
    };
    if !ours {
        let tid = text(claims, "tid")?;
        let foreign =
            |tenants: &Tenants<'_>| tid.is_some_and(|tid| tenants.is_issuer_of(tid, issuer));
        return Err(match expected.tenants.as_ref().is_some_and(foreign) {
            true => E::Organization,
            false => E::Issuer,
        });
    }
    audience(claims, expected.client_id)?;
    let expires = seconds(claims, "exp")?.ok_or(E::Claim)?;
    if now.minus(expected.leeway) >= expires {
        return Err(E::Expired);
    }
    let issued = seconds(claims, "iat")?.ok_or(E::Claim)?;
    let not_before = seconds(claims, "nbf")?.unwrap_or(issued);
    if issued.max(not_before) > now.plus(expected.leeway) {
        return Err(E::NotYet);
    }
    if let Some(expected) = expected.nonce {
        let nonce = text(claims, "nonce")?.ok_or(E::Nonce)?;
        if Digest::of(nonce.as_bytes()) != Digest::of(expected.as_bytes()) {
            return Err(E::Nonce);
        }
    }
    if let (Some(hash), Some(access_token)) = (text(claims, "at_hash")?, expected.access_token) {
        at_hash(hash, access_token, token.algorithm())?;
    }
    if let Some(max_age) = expected.max_age {
        let signed_in = seconds(claims, "auth_time")?.ok_or(E::Claim)?;
        let limit = Duration::from_secs(u64::from(max_age)) + expected.leeway;
        if now.since(signed_in) > limit {
            return Err(E::TooOld);
        }
    }
    if let Some(domain) = expected.hosted_domain
        && text(claims, "hd")? != Some(domain)
    {
        return Err(E::Organization);
    }
    // No groups, and groups that are not told, are not the same: a rule may deny one of them.
    if expected.needs_groups && leaves_groups_out(claims) {
        return Err(E::GroupsLeftOut);
    }
    let subject = match expected.key {
        SubjectKey::Sub => text(claims, "sub")?.ok_or(E::Claim)?.to_owned(),
        SubjectKey::TenantAndObject => {
            let tenant = text(claims, "tid")?.ok_or(E::Claim)?;
            let object = text(claims, "oid")?.ok_or(E::Claim)?;
            format!("{tenant}/{object}")
        }
    };
    if subject.is_empty() || subject.len() > 512 {
        return Err(E::Claim);
    }
    let told = groups_in(claims, expected.groups)?;
    Ok(VerifiedIdentity {
        issuer: expected.issuer.to_owned(),
        subject,
        name: shown(claims, "name")?,
        username: shown(claims, "preferred_username")?,
        email: shown(claims, "email")?,
        tells_groups: told.is_some() || expected.key == SubjectKey::TenantAndObject,
        tells_all_groups: expected
            .groups
            .iter()
            .all(|name| at_path(claims, name).is_some()),
        groups: told.unwrap_or_default(),
        session: text(claims, "sid")?
            .filter(|sid| !sid.is_empty())
            .map(|sid| session_key(expected.issuer, sid)),
    })
}

pub(crate) fn audience(claims: &Map<String, Value>, client_id: &str) -> Result<(), IdTokenError> {
    use IdTokenError as E;
    let several = match claims.get("aud") {
        Some(Value::String(one)) if one == client_id => false,
        Some(Value::Array(list)) => {
            if !list.iter().all(Value::is_string) {
                return Err(E::Claim);
            }
            if !list.iter().any(|one| one.as_str() == Some(client_id)) {
                return Err(E::Audience);
            }
            list.len() > 1
        }
        Some(Value::String(_)) => return Err(E::Audience),
        _ => return Err(E::Claim),
    };
    match text(claims, "azp")? {
        Some(party) if party != client_id => Err(E::AuthorizedParty),
        None if several => Err(E::AuthorizedParty),
        _ => Ok(()),
    }
}

fn at_hash(hash: &str, access_token: &str, algorithm: Algorithm) -> Result<(), IdTokenError> {
    // The hash is that of the signature's algorithm; only SHA-256 is at hand here.
    let sha256 = matches!(
        algorithm,
        Algorithm::Rs256 | Algorithm::Ps256 | Algorithm::Es256
    );
    if !sha256 {
        return Ok(());
    }
    let half = URL_SAFE_NO_PAD.encode(&Digest::of(access_token.as_bytes()).bytes()[..16]);
    if half == hash {
        Ok(())
    } else {
        Err(IdTokenError::AccessTokenHash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::tests::verified;

    const GOOD: &str = r#"{"iss":"https://idp.example","aud":"vestibule","exp":2000,"iat":1000,
        "nonce":"n1","sub":"42","name":"Ada","preferred_username":"ada"}"#;

    fn expected() -> Expected<'static> {
        Expected {
            issuer: "https://idp.example",
            client_id: "vestibule",
            nonce: Some("n1"),
            access_token: None,
            max_age: None,
            leeway: Duration::ZERO,
            key: SubjectKey::Sub,
            groups: &[],
            tenants: None,
            hosted_domain: None,
            needs_groups: false,
        }
    }

    fn judged(claims: &str) -> Result<VerifiedIdentity, IdTokenError> {
        judged_as(claims, SubjectKey::Sub)
    }

    fn judged_as(claims: &str, key: SubjectKey) -> Result<VerifiedIdentity, IdTokenError> {
        judge(
            &verified(claims),
            &Expected {
                access_token: Some("at"),
                leeway: Duration::from_secs(60),
                key,
                groups: &["groups".to_owned(), "roles".to_owned()],
                needs_groups: true,
                ..expected()
            },
            Timestamp::from_unix(1500),
        )
    }

    #[test]
    fn up_19_groups_that_are_not_told_are_not_no_groups() {
        let sub = r#""sub":"42""#;
        for (more, left_out) in [
            (
                r#""_claim_names":{"groups":"src1"},"_claim_sources":{"src1":{"endpoint":"https://graph.example"}}"#,
                true,
            ),
            (r#""_claim_names":{"roles":"src1"}"#, true),
            (r#""hasgroups":true"#, true),
            (r#""hasgroups":"true""#, true),
            (r#""_claim_names":{"address":"src1"}"#, false),
            (r#""hasgroups":false"#, false),
            (r#""groups":[]"#, false),
        ] {
            let told = judged(&GOOD.replace(sub, &format!("{sub},{more}")));
            assert_eq!(
                told.err() == Some(IdTokenError::GroupsLeftOut),
                left_out,
                "{more}"
            );
        }
    }

    #[test]
    fn a_good_token_names_a_person() {
        let identity = judged(GOOD).expect("good");
        assert_eq!(
            (identity.issuer(), identity.subject()),
            ("https://idp.example", "42")
        );
        assert_eq!(identity.for_people(), "ada");
    }

    #[test]
    fn up_6_t_idp_04_t_idp_06_t_idp_08_each_claim_counts() {
        use IdTokenError as E;
        let hash = URL_SAFE_NO_PAD.encode(&Digest::of(b"at").bytes()[..16]);
        let table = [
            (
                r#""https://idp.example""#,
                r#""https://idp.example/""#.to_owned(),
                Some(E::Issuer),
            ),
            (
                r#""iss":"https://idp.example","#,
                String::new(),
                Some(E::Claim),
            ),
            (
                r#""aud":"vestibule""#,
                r#""aud":"other""#.into(),
                Some(E::Audience),
            ),
            (
                r#""aud":"vestibule""#,
                r#""aud":["other"]"#.into(),
                Some(E::Audience),
            ),
            (
                r#""aud":"vestibule""#,
                r#""aud":["vestibule"]"#.into(),
                None,
            ),
            (
                r#""aud":"vestibule""#,
                r#""aud":["vestibule","o"]"#.into(),
                Some(E::AuthorizedParty),
            ),
            (
                r#""aud":"vestibule""#,
                r#""aud":["vestibule","o"],"azp":"vestibule""#.into(),
                None,
            ),
            (
                r#""aud":"vestibule""#,
                r#""aud":"vestibule","azp":"o""#.into(),
                Some(E::AuthorizedParty),
            ),
            (
                r#""aud":"vestibule""#,
                r#""aud":{"a":1}"#.into(),
                Some(E::Claim),
            ),
            ("2000", "1440".into(), Some(E::Expired)),
            ("2000", "1441".into(), None),
            ("2000", r#""9999999999""#.into(), Some(E::Claim)),
            ("2000", "-1".into(), Some(E::Claim)),
            ("2000", "1e400".replace("1e400", "1e30"), Some(E::Claim)),
            (r#""exp":2000,"#, String::new(), Some(E::Claim)),
            (r#""iat":1000"#, r#""iat":1561"#.into(), Some(E::NotYet)),
            (
                r#""iat":1000"#,
                r#""iat":1000,"nbf":1561"#.into(),
                Some(E::NotYet),
            ),
            (r#""nonce":"n1""#, r#""nonce":"n2""#.into(), Some(E::Nonce)),
            (r#""nonce":"n1","#, String::new(), Some(E::Nonce)),
            (r#""sub":"42""#, r#""sub":"""#.into(), Some(E::Claim)),
            (r#""sub":"42""#, r#""sub":42"#.into(), Some(E::Claim)),
            (
                r#""sub":"42""#,
                r#""sub":"42","at_hash":"wrong""#.into(),
                Some(E::AccessTokenHash),
            ),
            (
                r#""sub":"42""#,
                format!(r#""sub":"42","at_hash":"{hash}""#),
                None,
            ),
        ];
        for (from, to, expected) in table {
            let claims = GOOD.replace(from, &to);
            assert_ne!(claims, GOOD, "{from} is in the token");
            assert_eq!(judged(&claims).err(), expected, "{from} -> {to}");
        }
    }

    #[test]
    fn up_16_of_many_tenants_under_the_same_keys_only_those_that_are_listed() {
        let allowed = ["t1".to_owned(), "t2".to_owned()];
        let judged = |iss: &str, tid: &str| {
            let claims = GOOD
                .replace("https://idp.example", iss)
                .replace(r#""sub":"42""#, &format!(r#""sub":"p","oid":"o"{tid}"#));
            let expected = Expected {
                tenants: Some(Tenants {
                    issuer: "https://login.example/{tenantid}/v2.0",
                    allowed: &allowed,
                }),
                key: SubjectKey::TenantAndObject,
                ..expected()
            };
            judge(&verified(&claims), &expected, Timestamp::from_unix(1500))
        };
        let good = judged("https://login.example/t1/v2.0", r#","tid":"t1""#).expect("listed");
        // Who they are does not depend on how many tenants there are.
        assert_eq!(
            (good.issuer(), good.subject()),
            ("https://idp.example", "t1/o")
        );
        use IdTokenError::{Issuer, Organization};
        for (iss, tid, error) in [
            // A true account of another tenant's, whose person may choose another one.
            (
                "https://login.example/t3/v2.0",
                r#","tid":"t3""#,
                Organization,
            ),
            ("https://login.example/t3/v2.0", r#","tid":"t1""#, Issuer),
            ("https://login.example/t1/v2.0", r#","tid":"t2""#, Issuer),
            (
                "https://login.example/{tenantid}/v2.0",
                r#","tid":"{tenantid}""#,
                Organization,
            ),
            ("https://login.example/t1/v2.0", "", Issuer),
        ] {
            assert_eq!(judged(iss, tid).err(), Some(error), "{iss} {tid}");
        }
    }

    #[test]
    fn d14_an_account_of_another_organization_is_not_let_in() {
        let judged = |hd: &str| {
            let claims = GOOD.replace(r#""sub":"42""#, &format!(r#""sub":"42"{hd}"#));
            let expected = Expected {
                hosted_domain: Some("example.com"),
                ..expected()
            };
            judge(&verified(&claims), &expected, Timestamp::from_unix(1500)).err()
        };
        assert_eq!(judged(r#","hd":"example.com""#), None);
        for other in [r#","hd":"evil.example""#, "", r#","email":"a@example.com""#] {
            assert_eq!(judged(other), Some(IdTokenError::Organization), "{other}");
        }
    }

    #[test]
    fn tkn_5_a_token_of_another_kind_is_no_id_token() {
        let typed = crate::jwt::verify(
            &crate::jwt::tests::token(r#"{"alg":"ES256","kid":"k1","typ":"at+jwt"}"#, GOOD, "good"),
            &crate::jwt::tests::Pretend,
            &Algorithm::ALL,
        )
        .expect("verifies");
        let expected = expected();
        assert_eq!(
            judge(&typed, &expected, Timestamp::from_unix(1500)).err(),
            Some(IdTokenError::Kind)
        );
    }

    #[test]
    fn up_15_t_idp_07_people_are_told_apart_by_lasting_keys() {
        let entra = GOOD.replace(r#""sub":"42""#, r#""sub":"pairwise","tid":"t1","oid":"o1""#);
        let identity = judged_as(&entra, SubjectKey::TenantAndObject).expect("good");
        assert_eq!(identity.subject(), "t1/o1");
        assert_eq!(
            judged_as(GOOD, SubjectKey::TenantAndObject).err(),
            Some(IdTokenError::Claim),
            "no tenant, no identity"
        );
    }
}
