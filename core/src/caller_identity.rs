//! What an MCP server is told of its caller: in headers that only the gateway can have set, or
//! in an assertion under its signature (RFC 7519). Neither is a token of the caller's.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{access_token::AccessToken, id::TokenId, time::Timestamp, uri::Issuer};

/// `typ` of an assertion's header, so that it passes for no other kind of token (RFC 8725
/// §3.11).
pub const ASSERTION_TYP: &str = "vestibule-caller+jwt";

/// How long an assertion is good, if the caller's token does not end before.
pub const ASSERTION_LIFE: Duration = Duration::from_secs(120);

/// Longest text of the groups in a header, in bytes: servers in use take heads of 16 KiB.
const GROUPS_MAX: usize = 8 * 1024;

/// What is known of the subject of a token, beyond the token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// Who vouches for them.
    pub issuer: String,
    /// Their lasting key there.
    pub subject: String,
    /// Their name.
    pub name: Option<String>,
    /// Their e-mail address, for show.
    pub email: Option<String>,
    /// Their groups and roles; those of another issuer than the identity provider have its
    /// name before them, as rules write them.
    pub groups: Vec<String>,
    /// The client's own id.
    pub client_id: Option<String>,
    /// The record of their login.
    pub flow: Option<String>,
}

/// More groups than a header has room for. To leave some out would let a rule of the server's
/// decide by less than there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the person is in more groups than a header has room for")]
pub struct TooManyGroups;

/// The headers about the caller: user, client, name, groups and flow. Values are ASCII; all
/// else, and commas in a group, are percent-encoded UTF-8 (RFC 3986 §2.1).
///
/// # Errors
/// [`TooManyGroups`].
pub fn headers(
    token: &AccessToken,
    profile: Option<&Profile>,
) -> Result<Vec<(&'static str, String)>, TooManyGroups> {
    let mut out = vec![
        ("x-vestibule-user", token.subject.text()),
        ("x-vestibule-client", token.client.text()),
    ];
    let Some(profile) = profile else {
        return Ok(out);
    };
    if let Some(name) = &profile.name {
        out.push(("x-vestibule-name", encoded(name)));
    }
    if !profile.groups.is_empty() {
        let groups: Vec<String> = profile.groups.iter().map(|group| encoded(group)).collect();
        let groups = groups.join(",");
        if groups.len() > GROUPS_MAX {
            return Err(TooManyGroups);
        }
        out.push(("x-vestibule-groups", groups));
    }
    if let Some(flow) = &profile.flow {
        out.push(("x-vestibule-flow", flow.clone()));
    }
    Ok(out)
}

/// The claims of an assertion about the caller for `audience`, made at `now`; and when it ends.
/// `sub` is the same text as in the headers, `idp_iss` and `idp_sub` are who they are at
/// whoever vouches for them.
pub fn assertion(
    token: &AccessToken,
    profile: Option<&Profile>,
    issuer: &Issuer,
    audience: &str,
    id: TokenId,
    now: Timestamp,
) -> (Value, Timestamp) {
    let ends = now.plus(ASSERTION_LIFE).min(token.expires);
    let mut claims = json!({
        "iss": issuer.text(),
        "aud": audience,
        "sub": token.subject.text(),
        "client_id": token.client.text(),
        "scope": token.scopes.to_string(),
        "iat": now.unix(),
        "exp": ends.unix(),
        "jti": id.text(),
    });
    if let Some(actor) = token.actor {
        claims["act"] = json!({ "client_id": actor.text() });
    }
    if let Some(profile) = profile {
        claims["idp_iss"] = profile.issuer.clone().into();
        claims["idp_sub"] = profile.subject.clone().into();
        let texts = [
            ("name", &profile.name),
            ("email", &profile.email),
            // A token that was exchanged is the acting client's, and the login another's.
            (
                "client_id",
                if token.actor.is_none() {
                    &profile.client_id
                } else {
                    &None
                },
            ),
            ("flow", &profile.flow),
        ];
        for (name, value) in texts {
            if let Some(value) = value {
                claims[name] = value.clone().into();
            }
        }
        if !profile.groups.is_empty() {
            claims["groups"] = profile.groups.clone().into();
        }
    }
    (claims, ends)
}

fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let last = text.len().saturating_sub(1);
    for (at, byte) in text.bytes().enumerate() {
        // Spaces at the ends are trimmed on the way, and would make it another's.
        let inner = byte == b' ' && at != 0 && at != last;
        if (byte.is_ascii_graphic() || inner) && !matches!(byte, b'%' | b',') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for half in [byte >> 4, byte & 15] {
                let digit = char::from_digit(u32::from(half), 16).unwrap_or('0');
                out.push(digit.to_ascii_uppercase());
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        id::{ClientRef, GrantId, PersonId},
        scope::ScopeSet,
    };

    fn token() -> AccessToken {
        AccessToken {
            id: TokenId::new([1; 16]),
            grant: GrantId::new([2; 16]),
            subject: PersonId::new([3; 16]),
            machine: false,
            client: ClientRef::of("vcl_test"),
            subject_epoch: 0,
            client_epoch: 0,
            issued: Timestamp::from_unix(1000),
            expires: Timestamp::from_unix(1600),
            resource: "https://gw.example/a/mcp".into(),
            scopes: ScopeSet::of(["a:read"]),
            confirmation: None,
            actor: None,
            groups: Vec::new(),
        }
    }

    fn profile() -> Profile {
        Profile {
            issuer: "https://idp.example".into(),
            subject: "tid/oid".into(),
            name: Some("Zoë\r\nX-Vestibule-User: root".into()),
            groups: vec!["a,b".into(), " c".into()],
            client_id: Some("https://client.example/c.json".into()),
            ..Profile::default()
        }
    }

    #[test]
    fn t_prx_10_a_name_is_a_value_and_never_another_header() {
        let headers = headers(&token(), Some(&profile())).expect("few groups");
        let of = |name| {
            let mut found = headers.iter().filter(|(n, _)| *n == name);
            let (_, value) = found.next()?;
            assert!(found.next().is_none());
            Some(value.as_str())
        };
        assert_eq!(
            of("x-vestibule-name"),
            Some("Zo%C3%AB%0D%0AX-Vestibule-User: root")
        );
        assert_eq!(of("x-vestibule-groups"), Some("a%2Cb,%20c"));
        assert_eq!(
            of("x-vestibule-user"),
            Some(token().subject.text().as_str())
        );
        assert_eq!(of("x-vestibule-flow"), None);
        let mut many = profile();
        many.groups = (0..1000).map(|n| format!("group-{n:08}")).collect();
        assert_eq!(super::headers(&token(), Some(&many)), Err(TooManyGroups));
    }

    #[test]
    fn t_prx_10_an_assertion_is_for_one_server_and_ends_with_the_token() {
        let issuer = Issuer::parse("https://gw.example").expect("an issuer");
        let made = |now| {
            let now = Timestamp::from_unix(now);
            let id = TokenId::new([9; 16]);
            assertion(
                &token(),
                Some(&profile()),
                &issuer,
                "http://a:1/mcp",
                id,
                now,
            )
        };
        let (claims, ends) = made(1010);
        assert_eq!(ends, Timestamp::from_unix(1130));
        assert_eq!(claims["aud"], "http://a:1/mcp");
        assert_eq!(claims["iss"], "https://gw.example");
        assert_eq!(claims["exp"], 1130);
        assert_eq!(claims["client_id"], "https://client.example/c.json");
        assert_eq!(claims["idp_sub"], "tid/oid");
        assert_eq!(claims["groups"], json!(["a,b", " c"]));
        assert!(claims.get("email").is_none());
        assert_eq!(made(1590).1, token().expires);
        // The login's app is not who acts with a token that was exchanged.
        let exchanged = AccessToken {
            actor: Some(ClientRef::of("vcl_agent")),
            client: ClientRef::of("vcl_agent"),
            ..token()
        };
        let (id, now) = (TokenId::new([9; 16]), Timestamp::from_unix(1010));
        let (claims, _) = assertion(&exchanged, Some(&profile()), &issuer, "urn:a", id, now);
        assert_eq!(claims["client_id"], ClientRef::of("vcl_agent").text());
        assert_eq!(
            claims["act"]["client_id"],
            ClientRef::of("vcl_agent").text()
        );
    }
}
