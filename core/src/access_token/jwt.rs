//! Access tokens as JWT, for resource servers that verify for themselves (RFC 9068).
//!
//! The same content as a sealed token, readable by everybody who holds it. Signing and
//! checking the signature are the edge's.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::AccessToken;
use crate::{
    claims,
    id::{ClientRef, GrantId, PersonId, TokenId},
    jwt::VerifiedClaims,
    scope::ScopeSet,
    uri::Issuer,
};

/// `typ` of the header (RFC 9068 §2.1).
pub const TYP: &str = "at+jwt";

/// The claims of `token`, which `client_id` gets (RFC 9068 §2.2). Members with the prefix
/// `vestibule_` are what our own guard needs besides.
pub fn to_claims(token: &AccessToken, client_id: &str, issuer: &Issuer) -> Value {
    let mut out = json!({
        "iss": issuer.text(),
        "aud": token.resource,
        "sub": token.subject.text(),
        "client_id": client_id,
        "iat": token.issued.unix(),
        "exp": token.expires.unix(),
        "jti": token.id.text(),
        "scope": token.scopes.to_string(),
        "vestibule_grant": token.grant.text(),
        "vestibule_epochs": [token.subject_epoch, token.client_epoch],
    });
    if token.machine {
        out["vestibule_machine"] = true.into();
    }
    if let Some(confirmation) = token.confirmation_claim() {
        out["cnf"] = confirmation;
    }
    if let Some(actor) = token.actor {
        out["act"] = json!({ "client_id": actor.text() });
    }
    if !token.groups.is_empty() {
        out["groups"] = token.groups.clone().into();
    }
    out
}

/// The token that verified claims of our own are; `None` for another kind of token.
pub fn from_claims(token: &VerifiedClaims, issuer: &Issuer) -> Option<AccessToken> {
    if token.typ() != Some(TYP) {
        return None;
    }
    let claims = token.claims();
    let text = |name| claims::text(claims, name).ok().flatten();
    let time = |name| claims::seconds(claims, name).ok().flatten();
    if text("iss")? != issuer.text() {
        return None;
    }
    let epochs = claims.get("vestibule_epochs")?.as_array()?;
    let epoch = |at: usize| u32::try_from(epochs.get(at)?.as_u64()?).ok();
    Some(AccessToken {
        id: TokenId::parse(text("jti")?)?,
        grant: GrantId::parse(text("vestibule_grant")?)?,
        subject: PersonId::parse(text("sub")?)?,
        machine: claims.get("vestibule_machine") == Some(&Value::Bool(true)),
        client: ClientRef::of(text("client_id")?),
        subject_epoch: epoch(0)?,
        client_epoch: epoch(1)?,
        issued: time("iat")?,
        expires: time("exp")?,
        resource: claims::only_audience(claims).ok()??.to_owned(),
        scopes: ScopeSet::parse(text("scope")?).ok()?,
        confirmation: confirmation(claims)?,
        actor: actor(claims)?,
        groups: claims::list(claims, "groups").ok()?,
    })
}

/// `None` for a confirmation that is none: a bound token must not pass as a free one.
fn confirmation(claims: &Map<String, Value>) -> Option<Option<[u8; 32]>> {
    let Some(cnf) = claims.get("cnf") else {
        return Some(None);
    };
    let bytes = URL_SAFE_NO_PAD.decode(cnf.get("jkt")?.as_str()?).ok()?;
    bytes.try_into().ok().map(Some)
}

fn actor(claims: &Map<String, Value>) -> Option<Option<ClientRef>> {
    let Some(act) = claims.get("act") else {
        return Some(None);
    };
    ClientRef::parse(act.get("client_id")?.as_str()?).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{access_token::tests::token, jwt::tests::verified_as};

    fn issuer() -> Issuer {
        Issuer::parse("https://gw.example").expect("an origin")
    }

    fn mine() -> AccessToken {
        AccessToken {
            client: ClientRef::of("vcl_test"),
            machine: true,
            confirmation: Some([9; 32]),
            actor: Some(ClientRef::new([5; 16])),
            groups: vec!["g1".into()],
            ..token()
        }
    }

    #[test]
    fn tkn_2_the_claims_are_those_of_rfc_9068() {
        let plain = AccessToken {
            client: ClientRef::of("vcl_test"),
            ..token()
        };
        for token in [plain, mine()] {
            let claims = to_claims(&token, "vcl_test", &issuer());
            for name in [
                "iss",
                "exp",
                "aud",
                "sub",
                "client_id",
                "iat",
                "jti",
                "scope",
            ] {
                assert!(claims.get(name).is_some(), "{name}");
            }
            let read = from_claims(&verified_as(Some(TYP), &claims.to_string()), &issuer());
            assert_eq!(read, Some(token));
        }
    }

    #[test]
    fn tkn_5_no_other_token_of_ours_passes_as_one() {
        let claims = to_claims(&mine(), "vcl_test", &issuer()).to_string();
        for typ in [None, Some("JWT"), Some("dpop+jwt"), Some("logout+jwt")] {
            assert_eq!(from_claims(&verified_as(typ, &claims), &issuer()), None);
        }
        let damaged = [
            claims.replace("gw.example\",\"jti", "other.example\",\"jti"),
            claims.replace("\"jkt\"", "\"x\""),
            claims.replace("vestibule_grant", "x"),
            claims.replace("[5,6]", "[5]"),
            claims.replace("\"scope\":\"read\"", "\"scope\":1"),
        ];
        for claims in damaged {
            let read = from_claims(&verified_as(Some(TYP), &claims), &issuer());
            assert_eq!(read, None, "{claims}");
        }
    }
}
