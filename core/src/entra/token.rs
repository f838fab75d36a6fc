//! What a token for Microsoft Graph tells of whom it is of.
//!
//! It is not ours to verify: Graph does. It is read for one purpose, to say *before* anything
//! is changed that it is of another tenant or lacks a permission, and Graph's own answer is
//! what counts.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

use crate::time::Timestamp;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct TokenFacts {
    /// The tenant.
    pub tid: String,
    /// For whom it is.
    pub aud: String,
    /// Until when, in seconds since the epoch.
    pub exp: Option<u64>,
    /// Permissions of a person's, with spaces between.
    pub scp: String,
    /// Permissions of a program's.
    pub roles: Vec<String>,
    /// The person.
    #[serde(alias = "preferred_username")]
    pub upn: Option<String>,
    /// The program.
    pub app_displayname: Option<String>,
    /// The program's client id.
    pub appid: Option<String>,
    /// The issuer.
    pub iss: String,
    /// Whom it is of.
    pub sub: String,
}

impl TokenFacts {
    /// What the middle part says, if it is one of a signed token.
    pub fn read(token: &str) -> Option<Self> {
        let mut parts = token.split('.');
        let (_, middle, _) = (parts.next()?, parts.next()?, parts.next()?);
        let bytes = URL_SAFE_NO_PAD.decode(middle.trim_end_matches('=')).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Whom it is of, for people.
    pub fn who(&self) -> String {
        let program = self.app_displayname.as_ref().or(self.appid.as_ref());
        match (&self.upn, program) {
            (Some(person), _) => person.clone(),
            (None, Some(program)) => format!("the program {program}"),
            (None, None) => "somebody that the token does not name".to_owned(),
        }
    }

    /// Its permissions.
    pub fn permissions(&self) -> Vec<&str> {
        let roles = self.roles.iter().map(String::as_str);
        self.scp.split_whitespace().chain(roles).collect()
    }

    /// Whether it may change applications, as far as it says. A person's roles in the
    /// directory are not in it.
    pub fn may_change_apps(&self) -> bool {
        const ANY: [&str; 4] = [
            "Application.ReadWrite.All",
            "Application.ReadWrite.OwnedBy",
            "Directory.AccessAsUser.All",
            "Directory.ReadWrite.All",
        ];
        self.permissions().iter().any(|held| ANY.contains(held))
    }

    /// Until when.
    pub fn expires(&self) -> Option<Timestamp> {
        self.exp.map(Timestamp::from_unix)
    }
}

/// Whether a text is a tenant's id, as tokens name it.
pub fn is_tenant_id(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn token(claims: &serde_json::Value) -> String {
        format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    #[test]
    fn c_2_a_token_tells_whom_it_is_of_and_what_it_may() {
        let person = token(&json!({
            "tid": "t", "upn": "ada@contoso.example", "scp": "User.Read Application.ReadWrite.All",
        }));
        let person = TokenFacts::read(&person).expect("readable");
        assert_eq!(person.who(), "ada@contoso.example");
        assert!(person.may_change_apps());
        let program = token(&json!({ "appid": "a-1", "roles": ["User.Read.All"] }));
        let program = TokenFacts::read(&program).expect("readable");
        assert_eq!(program.who(), "the program a-1");
        assert!(!program.may_change_apps());
        for opaque in ["", "x", "a.b", "a.b.c", "a.!!.c"] {
            assert_eq!(TokenFacts::read(opaque), None, "{opaque}");
        }
    }

    #[test]
    fn c_4_a_tenant_is_known_by_its_id() {
        assert!(is_tenant_id("5f0c2f6e-8f0b-4c0e-9a52-6d6f1b9a7c11"));
        assert!(!is_tenant_id("contoso.onmicrosoft.com"));
        assert!(!is_tenant_id("5f0c2f6e-8f0b-4c0e-9a52-6d6f1b9a7c1"));
        assert!(!is_tenant_id("5f0c2f6ex8f0b-4c0e-9a52-6d6f1b9a7c11"));
    }
}
