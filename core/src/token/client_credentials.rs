//! Tokens for a client itself, without any person (RFC 6749 §4.4).

use crate::{
    client::{GrantType, KnownBy},
    client_auth::AuthenticatedClient,
    resource::{Catalogue, Resource},
    scope::ScopeSet,
};

use super::TokenError;

/// The request.
#[derive(Debug, Clone)]
pub struct ClientCredentials {
    /// What it should be for.
    pub scopes: Option<ScopeSet>,
    /// Which server.
    pub resources: Vec<String>,
}

/// What a machine gets. The edge issues it under the standing grant of client and server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueForMachine {
    /// For which server.
    pub resource: String,
    /// For what.
    pub scopes: ScopeSet,
}

/// Judges a request. Only clients that an operator added, that prove themselves and whose
/// entry names this grant get anything: one that registered itself is nobody's machine.
///
/// # Errors
/// [`TokenError`].
pub fn judge(
    ask: &ClientCredentials,
    client: &AuthenticatedClient,
    catalogue: &Catalogue,
) -> Result<IssueForMachine, TokenError> {
    let client = client.client();
    let may = client.known_by == KnownBy::Operator
        && client.credential.is_confidential()
        && client.grants.contains(GrantType::ClientCredentials);
    if !may {
        return Err(TokenError::GrantTypeNotAllowed);
    }
    let resource = target(&ask.resources, client.resources.as_deref(), catalogue)?;
    let scopes = resource
        .grantable(ask.scopes.as_ref(), client.scopes.as_ref())
        .ok_or(TokenError::ScopeUnknown)?;
    Ok(IssueForMachine {
        resource: resource.uri.clone(),
        scopes,
    })
}

/// The server that a request without a person means: the one it names, or the only one that
/// it may name (RFC 8707 §2.2).
pub(super) fn target<'c>(
    named: &[String],
    allowed: Option<&[String]>,
    catalogue: &'c Catalogue,
) -> Result<&'c Resource, TokenError> {
    let resource = match (named, allowed) {
        ([], Some([only])) => catalogue.by_uri(only).ok_or(TokenError::TargetUnknown)?,
        ([], None) => catalogue.only().ok_or(TokenError::TargetUnknown)?,
        ([], Some(_)) => return Err(TokenError::TargetUnknown),
        (named, _) => catalogue
            .named(named.iter().map(String::as_str))
            .map_err(|_| TokenError::TargetUnknown)?,
    };
    // The identity provider issues the tokens of such a server.
    if resource.direct.is_some() {
        return Err(TokenError::TargetUnknown);
    }
    let may = allowed.is_none_or(|allowed| allowed.contains(&resource.uri));
    may.then_some(resource).ok_or(TokenError::TargetUnknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        client::{Client, Credential, Grants, SecretMethod, tests::client},
        client_auth::tests::authenticated,
        resource::tests::catalogue,
    };

    fn machine() -> Client {
        Client {
            credential: Credential::Secret {
                method: SecretMethod::Basic,
                secrets: vec![],
            },
            grants: Grants::of([GrantType::ClientCredentials]),
            known_by: KnownBy::Operator,
            ..client(&[])
        }
    }

    const A: &str = "https://gw.example/a/mcp";
    const B: &str = "https://gw.example/b/mcp";

    fn judged(
        client: Client,
        servers: &[&str],
        resources: &[&str],
        scope: Option<&str>,
    ) -> Result<IssueForMachine, TokenError> {
        let ask = ClientCredentials {
            scopes: scope.map(|text| ScopeSet::parse(text).expect("scopes")),
            resources: resources.iter().map(|r| (*r).to_owned()).collect(),
        };
        judge(&ask, &authenticated(client), &catalogue(servers))
    }

    #[test]
    fn cc_1_only_an_operator_s_own_confidential_client_that_lists_the_grant() {
        use TokenError::GrantTypeNotAllowed as No;
        assert!(judged(machine(), &["a"], &[], None).is_ok());
        let others = [
            Client {
                known_by: KnownBy::Dynamic,
                ..machine()
            },
            Client {
                known_by: KnownBy::Document {
                    host: "a.example".into(),
                    trusted: true,
                },
                ..machine()
            },
            Client {
                credential: Credential::Public,
                ..machine()
            },
            Client {
                grants: Grants::for_people(true),
                ..machine()
            },
        ];
        for other in others {
            let why = format!("{other:?}");
            assert_eq!(judged(other, &["a"], &[], None), Err(No), "{why}");
        }
    }

    #[test]
    fn cc_3_the_audience_must_be_clear_and_scopes_stay_within_the_entry() {
        use TokenError as E;
        let limited = |to: &[&str]| Client {
            resources: Some(to.iter().map(|r| (*r).to_owned()).collect()),
            scopes: Some(ScopeSet::of(["read"])),
            ..machine()
        };
        let of =
            |issue: Result<IssueForMachine, E>| issue.map(|i| (i.resource, i.scopes.to_string()));
        let read = |uri: &str| Ok((uri.to_owned(), "read".to_owned()));
        let two = &["a", "b"];
        assert_eq!(of(judged(machine(), &["a"], &[], None)), read(A));
        assert_eq!(of(judged(machine(), two, &[], None)), Err(E::TargetUnknown));
        assert_eq!(of(judged(machine(), two, &[B], None)), read(B));
        assert_eq!(of(judged(limited(&[B]), two, &[], None)), read(B));
        assert_eq!(
            of(judged(limited(&[A, B]), two, &[], None)),
            Err(E::TargetUnknown)
        );
        assert_eq!(
            of(judged(limited(&[B]), two, &[A], None)),
            Err(E::TargetUnknown)
        );
        assert_eq!(
            of(judged(limited(&[B]), two, &["https://evil.example/"], None)),
            Err(E::TargetUnknown)
        );
        assert_eq!(
            of(judged(limited(&[B]), two, &[B], Some("read write"))),
            read(B)
        );
        assert_eq!(
            of(judged(limited(&[B]), two, &[B], Some("write"))),
            Err(E::ScopeUnknown)
        );
    }
}
