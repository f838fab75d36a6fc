//! Signed assertions of others at our token endpoint (RFC 7521, RFC 7523 §3): what every one
//! of them must say, whether it authenticates a client or stands for a grant.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::{
    claims::{self, WrongType},
    jwt::VerifiedClaims,
    secret::Digest,
    time::Timestamp,
};

/// What this kind of assertion must look like.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The `typ` of its header; `None` admits none at all or a plain `JWT`, and nothing that
    /// names another kind (RFC 8725 §3.11).
    pub typ: Option<&'a str>,
    /// The audiences that mean us; one of them must be its only one.
    pub audiences: &'a [&'a str],
    /// How far from now its end may be at most.
    pub longest: Duration,
    /// How far the clocks may be apart.
    pub leeway: Duration,
    /// Whether it must say when it was made.
    pub dated: bool,
}

/// An assertion that says everything it must. It still must not have been used before: see
/// [`Assertion::once`]. Only [`judge`] makes these.
#[derive(Debug, Clone)]
pub struct Assertion {
    issuer: String,
    subject: String,
    once: Once,
    claims: Map<String, Value>,
}

/// Something that may be used once until a moment, and where that is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Once {
    /// Under which it is remembered; tells nothing of what it was.
    pub digest: Digest,
    /// From when on it could not be used anyway.
    pub until: Timestamp,
}

impl Once {
    /// The single use of `id`, which is unique within `kind` and `scope`.
    pub fn of(kind: &str, scope: &str, id: &str, until: Timestamp) -> Self {
        // Lengths in front, so that no two lists of parts collide.
        let text = format!("{kind}\n{}:{scope}{}:{id}", scope.len(), id.len());
        Self {
            digest: Digest::of(text.as_bytes()),
            until,
        }
    }
}

impl Assertion {
    /// Who made it.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whom it is about.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What must be spent before it counts.
    pub fn once(&self) -> Once {
        self.once
    }

    /// Everything it says.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }
}

/// Why an assertion does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AssertionError {
    /// A `typ` of another kind of token.
    #[error("is another kind of token")]
    Kind,
    /// A claim that is missing or of the wrong type.
    #[error("lacks a claim, or has one of the wrong type")]
    Claim,
    /// For somebody else, or for several.
    #[error("is not for this gateway alone")]
    Audience,
    /// No longer valid.
    #[error("has expired")]
    Expired,
    /// From the future.
    #[error("is not valid yet")]
    NotYet,
    /// It lives too long to be remembered.
    #[error("lives too long")]
    TooLong,
}

impl From<WrongType> for AssertionError {
    fn from(_: WrongType) -> Self {
        Self::Claim
    }
}

/// Judges what an assertion says under a verified signature.
///
/// # Errors
/// [`AssertionError`], the first rule broken.
pub fn judge(
    token: &VerifiedClaims,
    rules: &Rules<'_>,
    now: Timestamp,
) -> Result<Assertion, AssertionError> {
    use AssertionError as E;
    let typ_fits = match (token.typ(), rules.typ) {
        (Some(typ), Some(wanted)) => is_typ(typ, wanted),
        (None, Some(_)) => false,
        (Some(typ), None) => is_typ(typ, "jwt"),
        (None, None) => true,
    };
    if !typ_fits {
        return Err(E::Kind);
    }
    let claims = token.claims();
    let filled = |name| -> Result<&str, E> {
        claims::text(claims, name)?
            .filter(|text| !text.is_empty() && text.len() <= 1024)
            .ok_or(E::Claim)
    };
    let issuer = filled("iss")?;
    let subject = filled("sub")?;
    let audience = claims::only_audience(claims)
        .map_err(|_| E::Audience)?
        .ok_or(E::Audience)?;
    if !rules.audiences.contains(&audience) {
        return Err(E::Audience);
    }
    let expires = claims::seconds(claims, "exp")?.ok_or(E::Claim)?;
    if now.minus(rules.leeway) >= expires {
        return Err(E::Expired);
    }
    if expires > now.plus(rules.longest).plus(rules.leeway) {
        return Err(E::TooLong);
    }
    let issued = claims::seconds(claims, "iat")?;
    if rules.dated && issued.is_none() {
        return Err(E::Claim);
    }
    let not_before = claims::seconds(claims, "nbf")?;
    if issued.max(not_before).unwrap_or(now) > now.plus(rules.leeway) {
        return Err(E::NotYet);
    }
    let jti = filled("jti")?;
    Ok(Assertion {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
        once: Once::of("assertion", issuer, jti, expires.plus(rules.leeway)),
        claims: claims.clone(),
    })
}

/// Media types of tokens compare without case, and with or without `application/`
/// (RFC 7515 §4.1.9).
fn is_typ(typ: &str, wanted: &str) -> bool {
    let bare = typ
        .get(..12)
        .filter(|start| start.eq_ignore_ascii_case("application/"))
        .map_or(typ, |_| &typ[12..]);
    bare.eq_ignore_ascii_case(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::tests::verified_as;

    const US: [&str; 2] = ["https://gw.example", "https://gw.example/token"];

    fn rules() -> Rules<'static> {
        Rules {
            typ: None,
            audiences: &US,
            longest: Duration::from_secs(600),
            leeway: Duration::from_secs(60),
            dated: false,
        }
    }

    fn judged(typ: Option<&str>, claims: &str, rules: &Rules<'_>) -> Result<(), AssertionError> {
        judge(&verified_as(typ, claims), rules, Timestamp::from_unix(1000)).map(|_| ())
    }

    #[test]
    fn tok_6_wif_3_ema_3_ema_7_tkn_5_what_an_assertion_must_say() {
        use AssertionError as E;
        let good = r#"{"iss":"c","sub":"c","aud":"https://gw.example","exp":1100,"jti":"1"}"#;
        let with = |from: &str, to: &str| good.replace(from, to);
        let table = [
            (None, good.to_owned(), Ok(())),
            (Some("JWT"), good.to_owned(), Ok(())),
            (Some("application/jwt"), good.to_owned(), Ok(())),
            (Some("at+jwt"), good.to_owned(), Err(E::Kind)),
            (Some("oauth-id-jag+jwt"), good.to_owned(), Err(E::Kind)),
            (Some("logout+jwt"), good.to_owned(), Err(E::Kind)),
            (None, with("gw.example\"", "gw.example/token\""), Ok(())),
            (
                None,
                with("\"https://gw.example\"", "[\"https://gw.example\"]"),
                Ok(()),
            ),
            (
                None,
                with("\"https://gw.example\"", "[\"https://gw.example\",\"x\"]"),
                Err(E::Audience),
            ),
            (None, with("gw.example", "other.example"), Err(E::Audience)),
            (
                None,
                with("gw.example\"", "gw.example/\""),
                Err(E::Audience),
            ),
            (
                None,
                with("\"aud\":\"https://gw.example\",", ""),
                Err(E::Audience),
            ),
            (None, with("1100", "940"), Err(E::Expired)),
            (None, with("1100", "1661"), Err(E::TooLong)),
            (None, with("\"exp\":1100,", ""), Err(E::Claim)),
            (None, with("1100", "\"1100\""), Err(E::Claim)),
            (None, with(",\"jti\":\"1\"", ""), Err(E::Claim)),
            (None, with("\"jti\":\"1\"", "\"jti\":\"\""), Err(E::Claim)),
            (None, with("\"sub\":\"c\",", ""), Err(E::Claim)),
            (
                None,
                with("\"jti\":\"1\"", "\"jti\":\"1\",\"nbf\":1061"),
                Err(E::NotYet),
            ),
            (
                None,
                with("\"jti\":\"1\"", "\"jti\":\"1\",\"iat\":1061"),
                Err(E::NotYet),
            ),
        ];
        for (typ, claims, expected) in table {
            assert_eq!(judged(typ, &claims, &rules()), expected, "{typ:?} {claims}");
        }
        let dated = Rules {
            dated: true,
            ..rules()
        };
        assert_eq!(judged(None, good, &dated), Err(E::Claim));
        let jag = Rules {
            typ: Some("oauth-id-jag+jwt"),
            ..rules()
        };
        assert_eq!(judged(Some("oauth-id-jag+jwt"), good, &jag), Ok(()));
        assert_eq!(judged(Some("JWT"), good, &jag), Err(E::Kind));
        assert_eq!(judged(None, good, &jag), Err(E::Kind));
    }

    #[test]
    fn ema_7_one_use_is_one_issuer_s_own() {
        let until = Timestamp::from_unix(1);
        let of = |scope: &str, id: &str| Once::of("assertion", scope, id, until).digest;
        assert_eq!(of("a", "1"), of("a", "1"));
        assert_ne!(of("a", "1"), of("b", "1"));
        assert_ne!(of("a", "1"), of("a", "2"));
        assert_ne!(of("a", "1:b"), of("a1:", "b"));
    }
}
