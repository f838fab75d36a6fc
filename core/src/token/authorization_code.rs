//! Redeeming an authorization code (RFC 6749 §4.1.3, RFC 7636 §4.6, RFC 8707 §2.2).
//!
//! A code is judged first and spent afterwards, in one conditional write together with what
//! it buys. So a refusal leaves it to its owner, and of two good requests one wins.

use serde::{Deserialize, Serialize};

use crate::{
    client::GrantType,
    client_auth::AuthenticatedClient,
    dpop::{DpopError, Thumbprint},
    id::{GrantId, PersonId},
    pkce::{CodeChallenge, CodeVerifier},
    scope::ScopeSet,
    secret::{Digest, Secret},
    time::Timestamp,
};

use super::{TokenError, same_resource};

/// What every code begins with.
pub const PREFIX: &str = "vac_";

/// How long a code lives. Clients redeem at once; ten minutes is the RFC's ceiling.
pub const LIFE: std::time::Duration = std::time::Duration::from_secs(60);

/// Wrong verifiers from its own client after which a code is void.
pub const ATTEMPTS_MAX: u32 = 5;

/// The request.
#[derive(Debug, Clone)]
pub struct RedeemCode {
    /// The code.
    pub code: Secret,
    /// The proof.
    pub verifier: CodeVerifier,
    /// If sent, it must be the authorization request's own text.
    pub redirect_uri: Option<String>,
    /// If any, they must name the granted one.
    pub resources: Vec<String>,
}

/// A code as the store has it, under the digest of its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredCode {
    /// Whose it is.
    pub client_id: String,
    /// The redirect URI as it was used, port and all.
    pub redirect_uri: String,
    /// What the verifier must answer.
    pub challenge: CodeChallenge,
    /// The granted resource.
    pub resource: String,
    /// The granted scopes.
    pub scopes: ScopeSet,
    /// The person.
    pub person: PersonId,
    /// The grant that redeeming makes.
    pub grant: GrantId,
    /// When it ends.
    pub expires: Timestamp,
    /// The key that must be shown with it (RFC 9449 §10), if one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dpop_key: Option<Digest>,
}

/// How often a code was tried, beside [`StoredCode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CodeState {
    /// Wrong verifiers so far.
    pub failures: u32,
    /// Whether it was redeemed.
    pub spent: bool,
}

/// What to issue for a code; the edge mints and commits it together with spending the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueForCode {
    /// The grant to make.
    pub grant: GrantId,
    /// For whom.
    pub person: PersonId,
    /// To whom.
    pub client_id: String,
    /// For which server.
    pub resource: String,
    /// For what.
    pub scopes: ScopeSet,
    /// Whether a refresh token goes with it.
    pub refresh: bool,
}

/// Judges a redemption. Nothing is spent yet.
///
/// # Errors
/// [`TokenError`]. [`TokenError::CodeReplayed`] ends the grant of the first use, and
/// [`TokenError::VerifierWrong`] counts towards [`ATTEMPTS_MAX`]. What another client tries
/// is [`TokenError::CodeUnknown`] and changes nothing.
pub fn judge(
    ask: &RedeemCode,
    client: &AuthenticatedClient,
    key: Option<&Thumbprint>,
    stored: &StoredCode,
    state: CodeState,
    now: Timestamp,
) -> Result<IssueForCode, TokenError> {
    let client = client.client();
    if stored.client_id != client.id {
        return Err(TokenError::CodeUnknown);
    }
    if state.spent {
        return Err(TokenError::CodeReplayed {
            grant: stored.grant,
        });
    }
    if state.failures >= ATTEMPTS_MAX {
        return Err(TokenError::CodeUnknown);
    }
    if now >= stored.expires {
        return Err(TokenError::CodeExpired);
    }
    if !stored.challenge.answered_by(&ask.verifier) {
        return Err(TokenError::VerifierWrong);
    }
    // OAuth 2.1 clients leave it out; a client that sends it must send the same text.
    if ask
        .redirect_uri
        .as_ref()
        .is_some_and(|uri| *uri != stored.redirect_uri)
    {
        return Err(TokenError::RedirectUriDiffers);
    }
    same_resource(&ask.resources, &stored.resource)?;
    // A stolen code is worth nothing without the key that its request named.
    if let Some(named) = &stored.dpop_key
        && key != Some(named.bytes())
    {
        return Err(DpopError::Key.into());
    }
    Ok(IssueForCode {
        grant: stored.grant,
        person: stored.person,
        client_id: stored.client_id.clone(),
        resource: stored.resource.clone(),
        scopes: stored.scopes.clone(),
        refresh: client.grants.contains(GrantType::RefreshToken),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        client::{Client, Grants, tests::client},
        client_auth::tests::authenticated,
    };

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    fn stored() -> StoredCode {
        StoredCode {
            client_id: "vcl_test".into(),
            redirect_uri: "http://127.0.0.1:4711/cb".into(),
            challenge: CodeVerifier::parse(VERIFIER).expect("valid").challenge(),
            resource: "https://gw.example/a/mcp".into(),
            scopes: ScopeSet::of(["read"]),
            person: PersonId::new([1; 16]),
            grant: GrantId::new([2; 16]),
            expires: Timestamp::from_unix(1060),
            dpop_key: None,
        }
    }

    fn ask() -> RedeemCode {
        RedeemCode {
            code: Secret::new("vac_x".into()),
            verifier: CodeVerifier::parse(VERIFIER).expect("valid"),
            redirect_uri: Some("http://127.0.0.1:4711/cb".into()),
            resources: vec!["https://GW.example/a/mcp/".into()],
        }
    }

    fn judged(
        ask: &RedeemCode,
        client: Client,
        state: CodeState,
        seconds: u64,
    ) -> Result<IssueForCode, TokenError> {
        judge(
            ask,
            &authenticated(client),
            None,
            &stored(),
            state,
            Timestamp::from_unix(seconds),
        )
    }

    #[test]
    fn tok_7_tok_8_tok_9_tok_11_t_tok_03_t_tok_04_t_tok_05_t_tok_06_t_tok_07_conditions_are_independent()
     {
        use TokenError as E;
        let ours = || client(&["http://127.0.0.1/cb"]);
        let theirs = || Client {
            id: "vcl_other".into(),
            ..ours()
        };
        let fresh = CodeState::default();
        let spent = CodeState {
            spent: true,
            failures: 0,
        };
        let void = CodeState {
            spent: false,
            failures: ATTEMPTS_MAX,
        };
        let wrong = RedeemCode {
            verifier: CodeVerifier::from_random(&[1; 32]),
            ..ask()
        };
        let challenge_itself = RedeemCode {
            verifier: CodeVerifier::parse(&stored().challenge.text()).expect("43 characters"),
            ..ask()
        };
        let port = RedeemCode {
            redirect_uri: Some("http://127.0.0.1:4712/cb".into()),
            ..ask()
        };
        let silent = RedeemCode {
            redirect_uri: None,
            resources: vec![],
            ..ask()
        };
        let other = RedeemCode {
            resources: vec!["https://gw.example/b/mcp".into()],
            ..ask()
        };
        let replayed = E::CodeReplayed {
            grant: stored().grant,
        };
        let table = [
            (judged(&ask(), ours(), fresh, 1059), None, "the honest one"),
            (
                judged(&silent, ours(), fresh, 1059),
                None,
                "OAuth 2.1 §4.1.3",
            ),
            (
                judged(&ask(), ours(), fresh, 1060),
                Some(E::CodeExpired),
                "right client, too late",
            ),
            (
                judged(&ask(), theirs(), fresh, 1000),
                Some(E::CodeUnknown),
                "in time, wrong client",
            ),
            (
                judged(&ask(), theirs(), spent, 1000),
                Some(E::CodeUnknown),
                "a stranger ends nothing",
            ),
            (
                judged(&ask(), ours(), spent, 1000),
                Some(replayed.clone()),
                "RFC 6749 §4.1.2",
            ),
            (
                judged(&ask(), ours(), spent, 9999),
                Some(replayed),
                "late replays count too",
            ),
            (
                judged(&wrong, ours(), fresh, 1000),
                Some(E::VerifierWrong),
                "RFC 7636 §4.6",
            ),
            (
                judged(&challenge_itself, ours(), fresh, 1000),
                Some(E::VerifierWrong),
                "no plain",
            ),
            (
                judged(&ask(), ours(), void, 1000),
                Some(E::CodeUnknown),
                "void after five failures",
            ),
            (
                judged(&port, ours(), fresh, 1000),
                Some(E::RedirectUriDiffers),
                "the port of the request",
            ),
            (
                judged(&other, ours(), fresh, 1000),
                Some(E::ResourceNotGranted),
                "RFC 8707 §2.2",
            ),
        ];
        for (got, expected, why) in table {
            assert_eq!(got.err(), expected, "{why}");
        }
    }

    #[test]
    fn dpop_3_a_code_that_names_a_key_needs_it() {
        let named = StoredCode {
            dpop_key: Digest::parse(&Digest::of(b"key").text()),
            ..stored()
        };
        let with = |key: Option<&Thumbprint>| {
            let client = authenticated(client(&["http://127.0.0.1/cb"]));
            let now = Timestamp::from_unix(1000);
            judge(&ask(), &client, key, &named, CodeState::default(), now).map(|_| ())
        };
        assert_eq!(with(Some(Digest::of(b"key").bytes())), Ok(()));
        assert_eq!(with(Some(&[1; 32])), Err(DpopError::Key.into()));
        assert_eq!(with(None), Err(DpopError::Key.into()));
    }

    #[test]
    fn tok_12_a_refresh_token_only_for_clients_that_take_one() {
        let declines = Client {
            grants: Grants::for_people(false),
            ..client(&["http://127.0.0.1/cb"])
        };
        let issue = judged(&ask(), declines, CodeState::default(), 1000).expect("good");
        assert!(!issue.refresh);
    }
}
