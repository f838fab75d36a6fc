//! One of our tokens for another, for a service that goes on to a second MCP server
//! (RFC 8693).

use crate::{
    access_token::AccessToken,
    client::{GrantType, KnownBy},
    client_auth::AuthenticatedClient,
    resource::Catalogue,
    scope::ScopeSet,
    secret::Secret,
};

use super::{TokenError, client_credentials::target};

/// The only type of token that goes in and comes out (RFC 8693 §3).
pub const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// The request.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// A token that we issued.
    pub subject_token: Secret,
    /// What the new one should be for.
    pub scopes: Option<ScopeSet>,
    /// Which server it should be for: `resource` and `audience` together.
    pub resources: Vec<String>,
}

/// What to issue. It belongs to the grant of the token that was brought, so it ends with it,
/// and it lives no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueForExchange {
    /// For which server.
    pub resource: String,
    /// For what.
    pub scopes: ScopeSet,
}

/// Whether `client` may exchange at all: one whose operator listed the grant and the servers.
/// Asked before any token is opened, so that nobody else learns whether one is good.
///
/// # Errors
/// [`TokenError::GrantTypeNotAllowed`].
pub fn may_exchange(client: &AuthenticatedClient) -> Result<(), TokenError> {
    let client = client.client();
    let may = client.known_by == KnownBy::Operator
        && client.credential.is_confidential()
        && client.grants.contains(GrantType::TokenExchange)
        && client.resources.is_some();
    may.then_some(()).ok_or(TokenError::GrantTypeNotAllowed)
}

/// Judges an exchange by `client` of `subject`, which the edge opened and found good at this
/// moment. The new token says that the client acts for the person.
///
/// # Errors
/// [`TokenError`].
pub fn judge(
    ask: &Exchange,
    client: &AuthenticatedClient,
    subject: &AccessToken,
    catalogue: &Catalogue,
) -> Result<IssueForExchange, TokenError> {
    may_exchange(client)?;
    let client = client.client();
    // A token bound to a key is its holder's alone: whoever brings it cannot show the key. A
    // machine's rights are its own entry, which nobody passes on; and one that was exchanged
    // already would hide who acts for whom.
    let passes_on = subject.confirmation.is_none()
        && !subject.machine
        && subject.actor.is_none()
        && client.exchanges_from.contains(&subject.resource);
    if !passes_on {
        return Err(TokenError::SubjectToken);
    }
    let resource = target(&ask.resources, client.resources.as_deref(), catalogue)?;
    let scopes = resource
        .grantable(ask.scopes.as_ref(), client.scopes.as_ref())
        .ok_or(TokenError::ScopeUnknown)?;
    // For the same server there is never more than what the person allowed.
    let scopes = if resource.uri == subject.resource {
        scopes.narrowed_to(&subject.scopes)
    } else {
        scopes
    };
    if scopes.is_empty() && !resource.scopes.is_empty() {
        return Err(TokenError::ScopeUnknown);
    }
    Ok(IssueForExchange {
        resource: resource.uri.clone(),
        scopes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        access_token::tests::token,
        client::{Client, Credential, Grants, SecretMethod, tests::client},
        client_auth::tests::authenticated,
        resource::tests::catalogue,
    };

    const B: &str = "https://gw.example/b/mcp";

    fn service() -> Client {
        Client {
            credential: Credential::Secret {
                method: SecretMethod::Basic,
                secrets: vec![],
            },
            grants: Grants::of([GrantType::TokenExchange]),
            resources: Some(vec![B.into()]),
            exchanges_from: vec![token().resource],
            scopes: Some(ScopeSet::of(["read"])),
            known_by: KnownBy::Operator,
            ..client(&[])
        }
    }

    #[test]
    fn tok_19_who_may_exchange_what_for_which_server() {
        use TokenError as E;
        let got = |client: Client, subject: &AccessToken, scope: &str, resources: &[&str]| {
            let ask = Exchange {
                subject_token: Secret::new(String::new()),
                scopes: (!scope.is_empty()).then(|| ScopeSet::parse(scope).expect("scopes")),
                resources: resources.iter().map(|r| (*r).to_owned()).collect(),
            };
            judge(
                &ask,
                &authenticated(client),
                subject,
                &catalogue(&["a", "b"]),
            )
            .map(|issue| (issue.resource, issue.scopes.to_string()))
        };
        let ok = Ok((B.to_owned(), "read".to_owned()));
        let bound = AccessToken {
            confirmation: Some([1; 32]),
            ..token()
        };
        let a = "https://gw.example/a/mcp";
        assert_eq!(got(service(), &token(), "", &[]), ok);
        assert_eq!(got(service(), &token(), "read write", &[B]), ok, "narrowed");
        assert_eq!(
            got(service(), &token(), "write", &[B]),
            Err(E::ScopeUnknown)
        );
        assert_eq!(got(service(), &token(), "", &[a]), Err(E::TargetUnknown));
        assert_eq!(got(service(), &bound, "", &[B]), Err(E::SubjectToken));
        // Of a server that is not listed, a machine's, and one that was exchanged before.
        for other in [
            AccessToken {
                resource: B.to_owned(),
                ..token()
            },
            AccessToken {
                machine: true,
                ..token()
            },
            AccessToken {
                actor: Some(crate::id::ClientRef::of("other")),
                ..token()
            },
        ] {
            assert_eq!(got(service(), &other, "", &[B]), Err(E::SubjectToken));
        }
        // Back to the same server, never with more than was allowed.
        let same = Client {
            resources: Some(vec![token().resource]),
            scopes: None,
            ..service()
        };
        let read = AccessToken {
            scopes: ScopeSet::of(["read"]),
            ..token()
        };
        let back = |scope| got(same.clone(), &read, scope, &[&read.resource]).map(|(_, s)| s);
        assert_eq!(back("read write"), Ok("read".to_owned()));
        assert_eq!(back("write"), Err(E::ScopeUnknown));
        for other in [
            Client {
                known_by: KnownBy::Dynamic,
                ..service()
            },
            Client {
                credential: Credential::Public,
                ..service()
            },
            Client {
                grants: Grants::for_people(true),
                ..service()
            },
            Client {
                resources: None,
                ..service()
            },
        ] {
            assert_eq!(got(other, &token(), "", &[B]), Err(E::GrantTypeNotAllowed));
        }
    }
}
