//! What a token is, for those who may ask (RFC 7662).

use serde_json::{Value, json};

use crate::{access_token::AccessToken, client::Client, uri::Issuer};

/// Whether `client` may ask about tokens at all: operators allow it to clients that prove
/// themselves (RFC 7662 §2.1).
pub fn may_ask(client: &Client) -> bool {
    client.introspects && client.credential.is_confidential()
}

/// A token that is good at this moment, and what it does not say itself.
#[derive(Debug, Clone, Copy)]
pub struct Live<'t> {
    /// The token.
    pub token: &'t AccessToken,
    /// The whole id of its client.
    pub client_id: &'t str,
    /// The whole id of who acts for its subject.
    pub actor_id: Option<&'t str>,
}

/// The answer about a token: `None` for whatever is not good at this moment. A token of
/// another audience than the client's servers is as unknown to it as one that never was.
pub fn answer(live: Option<Live<'_>>, client: &Client, issuer: &Issuer) -> Value {
    let Some(live) = live.filter(|live| client.may_reach(&live.token.resource)) else {
        return json!({ "active": false });
    };
    let token = live.token;
    let mut out = json!({
        "active": true,
        "iss": issuer.text(),
        "aud": token.resource,
        "sub": token.subject.text(),
        "client_id": live.client_id,
        "scope": token.scopes.to_string(),
        "iat": token.issued.unix(),
        "exp": token.expires.unix(),
        "jti": token.id.text(),
        "token_type": token.token_type(),
    });
    if let Some(confirmation) = token.confirmation_claim() {
        out["cnf"] = confirmation;
    }
    if let Some(actor) = live.actor_id {
        out["act"] = json!({ "client_id": actor });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        access_token::tests::token,
        client::{Credential, SecretMethod, tests::client},
    };

    #[test]
    fn tkn_8_only_the_audience_s_own_server_learns_anything() {
        let issuer = Issuer::parse("https://gw.example").expect("an origin");
        let asks = |resource: &str| Client {
            resources: Some(vec![resource.to_owned()]),
            ..client(&[])
        };
        let token = token();
        let live = |token| {
            Some(Live {
                token,
                client_id: "vcl_app",
                actor_id: None,
            })
        };
        let mine = answer(live(&token), &asks(&token.resource), &issuer);
        assert_eq!(mine["active"], true);
        assert_eq!(mine["aud"], token.resource);
        assert_eq!(mine["client_id"], "vcl_app");
        assert_eq!(mine["iss"], "https://gw.example");
        let inactive = json!({ "active": false });
        assert_eq!(
            answer(live(&token), &asks("https://gw.example/other"), &issuer),
            inactive
        );
        assert_eq!(answer(None, &asks(&token.resource), &issuer), inactive);
    }

    #[test]
    fn tkn_8_who_may_ask() {
        let secret = Credential::Secret {
            method: SecretMethod::Basic,
            secrets: vec![],
        };
        for (introspects, credential, may) in [
            (true, secret.clone(), true),
            (false, secret, false),
            (true, Credential::Public, false),
        ] {
            let client = Client {
                introspects,
                credential,
                ..client(&[])
            };
            assert_eq!(may_ask(&client), may);
        }
    }
}
