//! Refresh tokens: one family per grant, rotated, and forgiving of lost answers
//! (RFC 6749 §6, RFC 9700 §4.14.2).
//!
//! `vrt_` and base64url of grant, generation and a MAC under a secret of the grant's own.
//! The store holds that secret sealed, and no token: a dump replays nothing. Within a short
//! window a generation that was just rotated gets the current token again, so that parallel
//! processes and lost answers log nobody out; there is never a second branch.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::{
    client::GrantType,
    client_auth::AuthenticatedClient,
    dpop::Thumbprint,
    id::GrantId,
    scope::ScopeSet,
    secret::{MacKey, Secret},
    time::Timestamp,
};

use super::{TokenError, same_resource};

/// What every refresh token begins with.
pub const PREFIX: &str = "vrt_";

/// How often a rotated token may be repeated within the window.
pub const REPEATS_MAX: u32 = 8;

/// How many past rotations a grant remembers; older ones are outside any window in use.
const ROTATIONS_KEPT: usize = 16;

/// The request.
#[derive(Debug, Clone)]
pub struct Refresh {
    /// The token.
    pub token: Secret,
    /// What the access token should be narrowed to.
    pub scopes: Option<ScopeSet>,
    /// If any, they must name the granted one.
    pub resources: Vec<String>,
}

impl Refresh {
    /// The same without names that are no scopes of the grant's server, whose scopes are
    /// `known`: clients repeat what they once asked for, with `offline_access` and names of
    /// other servers in it. A scope of this server beyond the grant stays, and is refused.
    #[must_use]
    pub fn naming_only(&self, known: &ScopeSet) -> Self {
        let scopes = self.scopes.as_ref().map(|asked| asked.narrowed_to(known));
        Self {
            scopes: scopes.filter(|scopes| !scopes.is_empty()),
            ..self.clone()
        }
    }
}

/// A refresh token, read but not believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshToken {
    grant: GrantId,
    generation: u32,
    mac: [u8; 32],
}

impl RefreshToken {
    /// Reads a token; `None` for anything of another shape.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > 128 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let (grant, rest) = bytes.split_first_chunk::<16>()?;
        let (generation, rest) = rest.split_first_chunk::<4>()?;
        Some(Self {
            grant: GrantId::new(*grant),
            generation: u32::from_be_bytes(*generation),
            mac: rest.try_into().ok()?,
        })
    }

    /// Whose it claims to be; look the grant up by this.
    pub fn grant(&self) -> GrantId {
        self.grant
    }

    /// The text of generation `generation` of `grant`.
    pub fn mint(secret: &MacKey, issuer: &str, grant: GrantId, generation: u32) -> Secret {
        let mut bytes = Vec::with_capacity(52);
        bytes.extend_from_slice(grant.bytes());
        bytes.extend_from_slice(&generation.to_be_bytes());
        bytes.extend_from_slice(&mac(secret, issuer, grant, generation));
        Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Whether the grant's own secret made it.
    pub fn is_authentic(&self, secret: &MacKey, issuer: &str) -> bool {
        let parts = parts(issuer, &self.grant, self.generation);
        secret.matches(&[parts.0, parts.1, parts.2, &parts.3], &self.mac)
    }
}

fn parts<'p>(
    issuer: &'p str,
    grant: &'p GrantId,
    generation: u32,
) -> (&'static [u8], &'p [u8], &'p [u8], [u8; 4]) {
    (
        b"refresh token",
        issuer.as_bytes(),
        grant.bytes(),
        generation.to_be_bytes(),
    )
}

fn mac(secret: &MacKey, issuer: &str, grant: GrantId, generation: u32) -> [u8; 32] {
    let parts = parts(issuer, &grant, generation);
    secret.tag(&[parts.0, parts.1, parts.2, &parts.3])
}

/// The family as the store has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Family {
    /// The generation that is good now.
    pub generation: u32,
    /// When recent generations were rotated out, oldest first.
    pub rotations: Vec<Rotation>,
    /// Repeats since the last rotation.
    pub repeats: u32,
}

/// One rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// The generation that was spent.
    pub spent: u32,
    /// When.
    pub at: Timestamp,
}

impl Default for Family {
    fn default() -> Self {
        Self {
            generation: 1,
            rotations: Vec::new(),
            repeats: 0,
        }
    }
}

/// The grant, as far as a refresh needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantFacts {
    /// Which.
    pub id: GrantId,
    /// To whom.
    pub client_id: String,
    /// For which server.
    pub resource: String,
    /// For what.
    pub scopes: ScopeSet,
    /// Whether it was ended.
    pub ended: bool,
    /// When it ends if it is not used.
    pub idle_until: Timestamp,
    /// When it ends in any case.
    pub ends: Timestamp,
    /// Its refresh tokens.
    pub family: Family,
    /// The key that a public client's refresh tokens are bound to (RFC 9449 §5).
    pub key: Option<Thumbprint>,
}

/// What a good refresh token leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewed {
    /// The family to store, if nobody else changed it meanwhile.
    pub family: Family,
    /// Whether a rotation happened, rather than a repeated answer.
    pub rotated: bool,
    /// A token from a future that the store has forgotten (it was restored): for the audit.
    pub from_the_future: bool,
    /// What the access token is for.
    pub scopes: ScopeSet,
}

/// Judges a refresh against the grant as it is at this moment.
///
/// The caller has checked [`RefreshToken::is_authentic`], has taken from `ask` what
/// [`Refresh::naming_only`] the server's scopes leaves, and stores `family` only if the
/// grant's family is still the one judged.
///
/// # Errors
/// [`TokenError`]. [`TokenError::RefreshReplayed`] ends the grant. A token of another client
/// changes nothing.
pub fn judge(
    ask: &Refresh,
    token: &RefreshToken,
    client: &AuthenticatedClient,
    key: Option<&Thumbprint>,
    grant: &GrantFacts,
    window: Duration,
    now: Timestamp,
) -> Result<Renewed, TokenError> {
    use TokenError as E;
    if grant.client_id != client.client().id || token.grant != grant.id {
        return Err(E::RefreshUnknown);
    }
    if !client.client().grants.contains(GrantType::RefreshToken) {
        return Err(E::GrantTypeNotAllowed);
    }
    // Another key is a thief's, and says nothing of the one who has the right key.
    if grant.key.is_some() && grant.key.as_ref() != key {
        return Err(E::RefreshUnknown);
    }
    if grant.ended || now >= grant.idle_until || now >= grant.ends {
        return Err(E::GrantEnded);
    }
    same_resource(&ask.resources, &grant.resource)?;
    let scopes = match &ask.scopes {
        Some(scopes) if !grant.scopes.includes(scopes) => return Err(E::ScopeWider),
        Some(scopes) => scopes.clone(),
        None => grant.scopes.clone(),
    };
    let mut family = grant.family.clone();
    if token.generation >= family.generation {
        let from_the_future = token.generation > family.generation;
        family.rotations.push(Rotation {
            spent: token.generation,
            at: now,
        });
        let drop = family.rotations.len().saturating_sub(ROTATIONS_KEPT);
        family.rotations.drain(..drop);
        family.generation = token.generation.checked_add(1).ok_or(E::GrantEnded)?;
        family.repeats = 0;
        return Ok(Renewed {
            family,
            rotated: true,
            from_the_future,
            scopes,
        });
    }
    let rotated_at = family
        .rotations
        .iter()
        .find(|r| r.spent == token.generation)
        .map(|r| r.at);
    // A clock turned back must not make a spent token young again.
    let recent = rotated_at.is_some_and(|at| at <= now && now.since(at) < window);
    if !recent {
        return Err(E::RefreshReplayed { grant: grant.id });
    }
    if family.repeats >= REPEATS_MAX {
        return Err(E::RefreshRepeatedTooOften);
    }
    family.repeats += 1;
    Ok(Renewed {
        family,
        rotated: false,
        from_the_future: false,
        scopes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        client::{Client, tests::client},
        client_auth::tests::authenticated,
    };

    const ISSUER: &str = "https://gw.example";
    const WINDOW: Duration = Duration::from_secs(10);

    fn secret() -> MacKey {
        MacKey::new(&[7; 32])
    }

    fn grant() -> GrantFacts {
        GrantFacts {
            id: GrantId::new([1; 16]),
            client_id: "vcl_test".into(),
            resource: "https://gw.example/a/mcp".into(),
            scopes: ScopeSet::of(["read", "write"]),
            ended: false,
            idle_until: Timestamp::from_unix(10_000),
            ends: Timestamp::from_unix(20_000),
            family: Family::default(),
            key: None,
        }
    }

    fn ask() -> Refresh {
        Refresh {
            token: Secret::new(String::new()),
            scopes: None,
            resources: vec![],
        }
    }

    fn at(grant: &GrantFacts, generation: u32, seconds: u64) -> Result<Renewed, TokenError> {
        ask_at(&ask(), grant, generation, client(&[]), seconds)
    }

    fn ask_at(
        ask: &Refresh,
        grant: &GrantFacts,
        generation: u32,
        client: Client,
        seconds: u64,
    ) -> Result<Renewed, TokenError> {
        let text = RefreshToken::mint(&secret(), ISSUER, grant.id, generation);
        let token = RefreshToken::parse(text.expose()).expect("minted");
        assert!(token.is_authentic(&secret(), ISSUER));
        judge(
            ask,
            &token,
            &authenticated(client),
            None,
            grant,
            WINDOW,
            Timestamp::from_unix(seconds),
        )
    }

    fn after(grant: &GrantFacts, renewed: Renewed) -> GrantFacts {
        GrantFacts {
            family: renewed.family,
            ..grant.clone()
        }
    }

    #[test]
    fn tok_14_each_use_rotates() {
        let first = grant();
        let renewed = at(&first, 1, 100).expect("good");
        assert!(renewed.rotated);
        assert_eq!(renewed.family.generation, 2);
        let second = after(&first, renewed);
        assert!(at(&second, 2, 101).expect("good").rotated);
    }

    #[test]
    fn tok_15_tok_16_t_tok_11_t_tok_12_a_spent_token_is_repeated_briefly_and_then_a_replay() {
        let first = grant();
        let mut now = after(&first, at(&first, 1, 100).expect("rotates"));
        for repeat in 1..=REPEATS_MAX {
            let renewed = at(&now, 1, 109).expect("within the window");
            assert_eq!((renewed.rotated, renewed.family.generation), (false, 2));
            assert_eq!(renewed.family.repeats, repeat);
            now = after(&now, renewed);
        }
        assert_eq!(at(&now, 1, 109), Err(TokenError::RefreshRepeatedTooOften));
        let replayed = Err(TokenError::RefreshReplayed { grant: first.id });
        assert_eq!(
            at(&now, 1, 110),
            replayed,
            "the window counts from the rotation"
        );
        assert_eq!(
            at(&now, 1, 99),
            replayed,
            "a clock turned back opens no window"
        );

        // Three rotations ago, quickly: still the current token, not a branch.
        let mut quick = grant();
        for generation in 1..=3 {
            quick = after(&quick, at(&quick, generation, 100).expect("rotates"));
        }
        assert_eq!(
            at(&quick, 1, 105)
                .expect("within the window")
                .family
                .generation,
            4
        );
        assert_eq!(at(&quick, 1, 111), replayed);
    }

    #[test]
    fn tok_13_t_tok_03_another_client_gets_nothing_and_ends_nothing() {
        let other = Client {
            id: "vcl_other".into(),
            ..client(&[])
        };
        assert_eq!(
            ask_at(&ask(), &grant(), 1, other, 100),
            Err(TokenError::RefreshUnknown)
        );
    }

    #[test]
    fn dpop_3_a_bound_refresh_token_needs_its_key() {
        let bound = GrantFacts {
            key: Some([1; 32]),
            ..grant()
        };
        let text = RefreshToken::mint(&secret(), ISSUER, bound.id, 1);
        let token = RefreshToken::parse(text.expose()).expect("minted");
        let with = |key: Option<&Thumbprint>| {
            let client = authenticated(client(&[]));
            let now = Timestamp::from_unix(100);
            judge(&ask(), &token, &client, key, &bound, WINDOW, now).map(|_| ())
        };
        assert_eq!(with(Some(&[1; 32])), Ok(()));
        assert_eq!(with(Some(&[2; 32])), Err(TokenError::RefreshUnknown));
        assert_eq!(with(None), Err(TokenError::RefreshUnknown));
    }

    #[test]
    fn tok_13_a_grant_ends_when_idle_and_in_any_case() {
        assert!(at(&grant(), 1, 9_999).is_ok());
        assert_eq!(at(&grant(), 1, 10_000), Err(TokenError::GrantEnded));
        let ended = GrantFacts {
            ended: true,
            ..grant()
        };
        assert_eq!(at(&ended, 1, 100), Err(TokenError::GrantEnded));
        let long = GrantFacts {
            idle_until: Timestamp::from_unix(99_999),
            ..grant()
        };
        assert_eq!(at(&long, 1, 20_000), Err(TokenError::GrantEnded));
    }

    #[test]
    fn tok_17_t_tok_07_scope_narrows_this_token_only() {
        let with = |scopes: &str, resource: &str| {
            let ask = Refresh {
                scopes: Some(ScopeSet::parse(scopes).expect("scopes")),
                resources: vec![resource.to_owned()],
                ..ask()
            };
            let ask = ask.naming_only(&ScopeSet::of(["read", "write", "admin"]));
            ask_at(&ask, &grant(), 1, client(&[]), 100).map(|renewed| renewed.scopes)
        };
        let a = "https://gw.example/a/mcp";
        assert_eq!(with("read", a), Ok(ScopeSet::of(["read"])));
        assert_eq!(with("read admin", a), Err(TokenError::ScopeWider));
        assert_eq!(with("openid offline_access", a), Ok(grant().scopes));
        // What clients repeat out of habit narrows nothing and widens nothing.
        let read = Ok(ScopeSet::of(["read"]));
        assert_eq!(with("read openid offline_access", a), read);
        assert_eq!(with("read https://api.example/.default", a), read);
        assert_eq!(with("https://api.example/.default", a), Ok(grant().scopes));
        assert_eq!(with("admin offline_access", a), Err(TokenError::ScopeWider));
        assert_eq!(
            with("read", "https://gw.example/b/mcp"),
            Err(TokenError::ResourceNotGranted)
        );
    }

    #[test]
    fn a_token_from_before_a_restore_goes_on() {
        let renewed = at(&grant(), 7, 100).expect("authentic");
        assert!(renewed.from_the_future);
        assert_eq!(renewed.family.generation, 8);
    }

    #[test]
    fn t_tok_14_a_token_cannot_be_made_or_moved() {
        let text = RefreshToken::mint(&secret(), ISSUER, GrantId::new([1; 16]), 1);
        let token = RefreshToken::parse(text.expose()).expect("minted");
        assert!(
            !token.is_authentic(&MacKey::new(&[8; 32]), ISSUER),
            "another grant's secret"
        );
        assert!(
            !token.is_authentic(&secret(), "https://other.example"),
            "another issuer"
        );
        for (grant, generation) in [(GrantId::new([2; 16]), 1), (GrantId::new([1; 16]), 2)] {
            let moved = RefreshToken {
                grant,
                generation,
                ..token.clone()
            };
            assert!(!moved.is_authentic(&secret(), ISSUER));
        }
        for junk in ["", "vrt_", "vrt_AAAA", "vat_AAAA", &"v".repeat(500)] {
            assert_eq!(RefreshToken::parse(junk), None, "{junk}");
        }
    }
}
