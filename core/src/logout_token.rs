//! The provider says that somebody signed out there, or was signed out (OpenID Connect
//! Back-Channel Logout 1.0 §2.4 to §2.6).

use std::time::Duration;

use serde_json::Value;

use crate::{
    assertion::Once,
    claims::{WrongType, seconds, text},
    id_token::{self, IdTokenError},
    jwt::VerifiedClaims,
    secret::Digest,
    time::Timestamp,
};

/// The event that a logout token must name.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// How old a logout token may be: it is sent when it is made.
const AGE: Duration = Duration::from_secs(600);

/// Whose access ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedOut {
    /// Their key at the provider, if it names one.
    pub subject: Option<String>,
    /// Their session at the provider, if it names one; see [`session_key`].
    pub session: Option<Digest>,
    /// Its single use.
    pub once: Once,
}

/// A session at the provider as we key it: `sid` is its own within one issuer.
pub fn session_key(issuer: &str, sid: &str) -> Digest {
    Digest::of(format!("sid\n{}:{issuer}{sid}", issuer.len()).as_bytes())
}

/// Why a logout token is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogoutTokenError {
    /// A `typ` of another kind of token.
    #[error("is another kind of token")]
    Kind,
    /// A claim that is missing or of the wrong type.
    #[error("lacks a claim, or has one of the wrong type")]
    Claim,
    /// Another issuer or audience.
    #[error("is not from this provider to us")]
    NotForUs,
    /// Too old, or from the future.
    #[error("is not of now")]
    Time,
    /// No logout event, or a nonce as only ID tokens have it.
    #[error("is not about signing out")]
    Event,
}

impl From<WrongType> for LogoutTokenError {
    fn from(_: WrongType) -> Self {
        Self::Claim
    }
}

impl From<IdTokenError> for LogoutTokenError {
    fn from(_: IdTokenError) -> Self {
        Self::NotForUs
    }
}

/// Judges the claims of a logout token whose signature was verified.
///
/// # Errors
/// [`LogoutTokenError`], the first rule broken.
pub fn judge(
    token: &VerifiedClaims,
    issuer: &str,
    client_id: &str,
    leeway: Duration,
    now: Timestamp,
) -> Result<SignedOut, LogoutTokenError> {
    use LogoutTokenError as E;
    // An ID token is none, whoever sends it here. Providers of before §2.4 say JWT, or nothing.
    let kinds = ["logout+jwt", "application/logout+jwt", "jwt"];
    if token
        .typ()
        .is_some_and(|typ| !kinds.contains(&typ.to_ascii_lowercase().as_str()))
    {
        return Err(E::Kind);
    }
    let claims = token.claims();
    if text(claims, "iss")?.ok_or(E::Claim)? != issuer {
        return Err(E::NotForUs);
    }
    id_token::audience(claims, client_id)?;
    let issued = seconds(claims, "iat")?.ok_or(E::Claim)?;
    let until = issued.plus(AGE);
    if issued > now.plus(leeway) || now.minus(leeway) >= until {
        return Err(E::Time);
    }
    let ends = seconds(claims, "exp")?;
    if ends.is_some_and(|ends| now.minus(leeway) >= ends) {
        return Err(E::Time);
    }
    let event = claims.get("events").and_then(|events| events.get(EVENT));
    if !event.is_some_and(Value::is_object) || claims.contains_key("nonce") {
        return Err(E::Event);
    }
    let jti = text(claims, "jti")?.filter(|jti| !jti.is_empty() && jti.len() <= 512);
    let subject = text(claims, "sub")?.filter(|sub| !sub.is_empty());
    let sid = text(claims, "sid")?.filter(|sid| !sid.is_empty());
    if subject.is_none() && sid.is_none() {
        return Err(E::Claim);
    }
    Ok(SignedOut {
        subject: subject.map(str::to_owned),
        session: sid.map(|sid| session_key(issuer, sid)),
        once: Once::of(
            "logout token",
            issuer,
            jti.ok_or(E::Claim)?,
            until.plus(leeway + leeway),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::tests::{verified, verified_as};

    const GOOD: &str = r#"{"iss":"https://idp.example","aud":"vestibule","iat":1000,"jti":"j1",
        "events":{"http://schemas.openid.net/event/backchannel-logout":{}},"sub":"42","sid":"s1"}"#;

    fn judged(token: &VerifiedClaims) -> Result<SignedOut, LogoutTokenError> {
        let leeway = Duration::from_secs(60);
        judge(
            token,
            "https://idp.example",
            "vestibule",
            leeway,
            Timestamp::from_unix(1000),
        )
    }

    #[test]
    fn up_14_a_logout_token_names_a_person_or_a_session() {
        let both = judged(&verified(GOOD)).expect("good");
        assert_eq!(both.subject.as_deref(), Some("42"));
        assert_eq!(both.session, Some(session_key("https://idp.example", "s1")));
        let sub_only = judged(&verified(&GOOD.replace(r#","sid":"s1""#, ""))).expect("good");
        assert_eq!(sub_only.session, None);
        let sid_only = judged(&verified(&GOOD.replace(r#","sub":"42""#, ""))).expect("good");
        assert_eq!(sid_only.subject, None);
        assert_ne!(session_key("a", "bc"), session_key("ab", "c"));
    }

    #[test]
    fn up_14_each_claim_of_a_logout_token_counts() {
        use LogoutTokenError as E;
        let sub_and_sid = r#","sub":"42","sid":"s1""#;
        for (from, to, error) in [
            ("idp.example\"", "other.example\"", E::NotForUs),
            ("\"vestibule\"", "\"other\"", E::NotForUs),
            ("\"vestibule\"", "[\"vestibule\",\"other\"]", E::NotForUs),
            ("\"iat\":1000,", "", E::Claim),
            ("1000", "340", E::Time),
            ("1000", "1061", E::Time),
            ("\"iat\"", "\"exp\":940,\"iat\"", E::Time),
            ("\"jti\":\"j1\",", "", E::Claim),
            ("\"jti\":\"j1\",", "\"jti\":1,", E::Claim),
            (
                "backchannel-logout\":{}",
                "backchannel-logout\":true",
                E::Event,
            ),
            ("backchannel-logout", "another", E::Event),
            ("\"jti\"", "\"nonce\":\"n\",\"jti\"", E::Event),
            (sub_and_sid, "", E::Claim),
            (sub_and_sid, r#","sub":"","sid":"""#, E::Claim),
        ] {
            let changed = GOOD.replace(from, to);
            assert_ne!(changed, GOOD, "{from}");
            assert_eq!(judged(&verified(&changed)), Err(error), "{from} -> {to}");
        }
        for (typ, taken) in [
            (Some("logout+jwt"), true),
            (Some("JWT"), true),
            (None, true),
            (Some("at+jwt"), false),
            (Some("id_token+jwt"), false),
        ] {
            assert_eq!(judged(&verified_as(typ, GOOD)).is_ok(), taken, "{typ:?}");
        }
    }
}
