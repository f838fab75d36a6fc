//! What MCP servers get about or for their callers: made or asked for when it is needed, by
//! one at a time, and kept in memory for as long as it is good. Nothing here is written down.

mod account;
mod provider_session;

use std::{sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, header};
use quick_cache::sync::Cache;
use vestibule_core::{
    bearer::Caller,
    caller_identity::{self, ASSERTION_TYP, Profile},
    id::{GrantId, PersonId, TokenId},
    policy::reads_as_anothers,
    recheck,
    secret::{Digest, Secret},
    time::Timestamp,
};

pub use self::account::{Opened, all_opened, opened, take_back};
use self::provider_session::For;
pub use self::provider_session::{AskError, LOOK, PAUSE, ask, asking, end, patience};
use crate::{
    config::{ProviderToken, UpstreamAuth},
    office::Office,
    provider::{Provider, ProviderError},
    store::StoreError,
    token_endpoint::Granted,
};

/// How many callers it has something for, each with each of the servers that they use.
const KEPT_MAX: usize = 20_000;

/// How long a no is remembered, so that a client that asks again at once asks nobody else.
const NO: Duration = Duration::from_secs(5);

/// How old something must be before a server that does not take it gets another.
const SETTLED: Duration = Duration::from_secs(15);

/// How long a person's account is used without a look whether it is still theirs to use: they
/// may have taken it back at another process.
const ACCOUNT: Duration = Duration::from_secs(30);

/// What is used that has less left than this is asked for anew: the server must have time for
/// what it does with it.
const SPARE: Duration = Duration::from_secs(30);

/// Where people connect their accounts.
pub const CONNECTIONS: &str = "/connections";

/// Headers for a server. Their values are marked sensitive.
pub type Headers = Arc<[(HeaderName, HeaderValue)]>;

/// See the module. One for the whole process.
pub struct Vault {
    office: Arc<Office>,
    kept: Cache<Key, Kept>,
    /// Digests of tokens that a server did not take, though they should be good.
    refused: Cache<Key, Digest>,
    /// What the provider wants of people before servers may act for them.
    confirms: Cache<Key, Arc<Confirm>>,
}

/// For what something is: of one token, or of all tokens of a login.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Of {
    Token(TokenId),
    Login(GrantId),
    Person(PersonId),
}

type Key = (Of, Arc<str>);

#[derive(Debug, Clone)]
struct Kept {
    /// For whom.
    person: PersonId,
    what: Result<Headers, VaultError>,
    made: Timestamp,
    until: Timestamp,
}

/// What the provider wants of the person before a server may act for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirm {
    /// The provider, by its name in the configuration.
    pub provider: String,
    /// What is asked for.
    pub scope: Option<String>,
    /// What it wants to read.
    pub claims: Option<String>,
}

/// Why there is nothing for a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The caller is a machine, or the provider gave nothing to ask with at their login.
    #[error(
        "this server is called in a person's name, and there is none whom the identity provider could be asked about"
    )]
    NoLogin,
    /// The login is over.
    #[error("the login has ended")]
    Ended,
    /// The provider does not answer.
    #[error("what this server gets for the caller cannot be had right now")]
    Silent,
    /// The provider wants the person for it.
    #[error(
        "the identity provider wants the person's consent, or to see them, before it lets this server act for them"
    )]
    Interaction(Arc<Confirm>),
    /// The provider says no.
    #[error("the identity provider gives no token for this server")]
    Refused,
    /// The person has no account at the service, or it takes theirs no more.
    #[error("connect your account for this server first: {CONNECTIONS} of this gateway")]
    NotConnected,
    /// There is no room for what would have to be said.
    #[error("the person is in more groups than this server can be told of")]
    TooManyGroups,
}

impl From<StoreError> for VaultError {
    fn from(error: StoreError) -> Self {
        tracing::error!(event = "store.failed", %error);
        Self::Silent
    }
}

impl Vault {
    /// An empty one.
    pub fn new(office: Arc<Office>) -> Self {
        Self {
            office,
            kept: Cache::new(KEPT_MAX),
            refused: Cache::new(KEPT_MAX / 10),
            confirms: Cache::new(KEPT_MAX / 10),
        }
    }

    /// The office that it is beside.
    pub fn office(&self) -> &Arc<Office> {
        &self.office
    }

    /// What is at hand for `server`, if there is something that is good still.
    ///
    /// # Errors
    /// [`VaultError`], if that was the answer a moment ago.
    pub fn at_hand(
        &self,
        caller: &Caller,
        server: &Arc<str>,
        wanted: &UpstreamAuth,
    ) -> Option<Result<Headers, VaultError>> {
        let kept = self.kept.get(&key(caller, server, wanted))?;
        (self.office.world.now() < kept.until).then_some(kept.what)
    }

    /// Forgets what a server was `sent` and did not take, unless it was made just now: another
    /// one would be taken no more, and whoever gives it must not be asked at each call.
    pub fn not_taken(
        &self,
        caller: &Caller,
        server: &Arc<str>,
        wanted: &UpstreamAuth,
        sent: &Headers,
    ) {
        let key = key(caller, server, wanted);
        let now = self.office.world.now();
        let is_it = |kept: &Kept| {
            let same = kept.what.as_ref().is_ok_and(|kept| Arc::ptr_eq(kept, sent));
            same && now.since(kept.made) >= SETTLED
        };
        if self.kept.remove_if(&key, is_it).is_none() {
            return;
        }
        let token = sent
            .first()
            .and_then(|(_, value)| value.as_bytes().strip_prefix(b"Bearer "));
        if let (Some(token), UpstreamAuth::Connection(_)) = (token, wanted) {
            self.refused.insert(key, Digest::of(token));
        }
    }

    /// What the provider wants of a person before `server` may act for them, if it wants anything.
    pub fn to_confirm(&self, person: PersonId, server: &str) -> Option<Arc<Confirm>> {
        self.confirms.get(&(Of::Person(person), Arc::from(server)))
    }

    /// Forgets that, since they are on their way; it says so again if they were not asked.
    pub fn confirming(&self, person: PersonId, server: &str) {
        self.confirms
            .remove(&(Of::Person(person), Arc::from(server)));
        let is_another = |key: &Key, kept: &Kept| &*key.1 != server || kept.person != person;
        self.kept.retain(is_another);
    }

    /// Forgets what there is for a person at a server whose service they connected or not.
    pub fn changed(&self, person: PersonId, server: &str) {
        let key = (Of::Person(person), Arc::from(server));
        self.kept.remove(&key);
        self.refused.remove(&key);
    }

    /// What `server` gets for the caller. One asks at a time; it must be let go
    /// on to its end, since the provider's answer is not given twice.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn headers(
        &self,
        caller: &Caller,
        server: &Arc<str>,
        wanted: &UpstreamAuth,
    ) -> Result<Headers, VaultError> {
        let office = &*self.office;
        let key = key(caller, server, wanted);
        let is_old = |kept: &Kept| office.world.now() >= kept.until;
        self.kept.remove_if(&key, is_old);
        let guard = match self.kept.get_value_or_guard_async(&key).await {
            Ok(kept) => return kept.what,
            Err(guard) => guard,
        };
        let made = office.world.now();
        let person = caller.token().subject;
        let kept = match make(office, caller, wanted, server, self.refused.get(&key)).await {
            Ok((headers, until)) => {
                self.confirms
                    .remove(&(Of::Person(person), Arc::clone(server)));
                Kept {
                    person,
                    what: Ok(headers.into()),
                    made,
                    until,
                }
            }
            Err(error) => {
                tracing::warn!(event = "server.credential_failed", server = &**server, %error);
                if let VaultError::Interaction(confirm) = &error {
                    let key = (Of::Person(person), Arc::clone(server));
                    self.confirms.insert(key, Arc::clone(confirm));
                }
                Kept {
                    person,
                    what: Err(error),
                    made,
                    until: office.world.now().plus(NO),
                }
            }
        };
        // It fails only for what was put there meanwhile, which is as good.
        let _ = guard.insert(kept.clone());
        kept.what
    }
}

fn key(caller: &Caller, server: &Arc<str>, wanted: &UpstreamAuth) -> Key {
    let token = caller.token();
    let of = match wanted {
        // Exchanged for what this token may, and not for what another one could.
        UpstreamAuth::Token(_) if caller.profile().is_some() => Of::Token(token.id),
        UpstreamAuth::Token(_) => Of::Login(token.grant),
        UpstreamAuth::Connection(_) => Of::Person(token.subject),
        _ => Of::Token(token.id),
    };
    (of, Arc::clone(server))
}

/// What a server gets that is the same for everybody; `None` if no header can say it.
pub fn fixed(wanted: &UpstreamAuth) -> Option<Headers> {
    let UpstreamAuth::Fixed { name, value } = wanted else {
        return Some(Arc::new([]));
    };
    let name = HeaderName::try_from(name.as_str()).ok()?;
    Some(Arc::new([(name, sensitive(value.expose())?)]))
}

type Made = (Vec<(HeaderName, HeaderValue)>, Timestamp);

async fn make(
    office: &Office,
    caller: &Caller,
    wanted: &UpstreamAuth,
    server: &str,
    refused: Option<Digest>,
) -> Result<Made, VaultError> {
    let token = caller.token();
    match wanted {
        UpstreamAuth::Nothing | UpstreamAuth::Fixed { .. } => Ok((Vec::new(), token.expires)),
        UpstreamAuth::Headers => {
            let profile = profile(office, caller).await?;
            let headers = caller_identity::headers(token, profile.as_ref());
            let headers = headers.map_err(|_| VaultError::TooManyGroups)?;
            let headers = headers
                .into_iter()
                .filter_map(|(name, value)| {
                    Some((HeaderName::from_static(name), sensitive(&value)?))
                })
                .collect();
            Ok((headers, token.expires))
        }
        UpstreamAuth::Assertion { audience, header } => {
            let profile = profile(office, caller).await?;
            let now = office.world.now();
            let id = TokenId::new(office.world.random());
            let (claims, ends) = caller_identity::assertion(
                token,
                profile.as_ref(),
                &office.issuer,
                audience,
                id,
                now,
            );
            let keys = office.keys.load();
            let signed = keys
                .signing
                .first()
                .and_then(|key| key.sign(ASSERTION_TYP, &claims));
            let signed = signed.ok_or(VaultError::Silent)?;
            let value = match header.as_str() {
                "authorization" => format!("Bearer {signed}"),
                _ => signed,
            };
            let name = HeaderName::try_from(header.as_str()).map_err(|_| VaultError::Refused)?;
            let value = sensitive(&value).ok_or(VaultError::Refused)?;
            Ok((vec![(name, value)], spared(now, ends)))
        }
        UpstreamAuth::Token(wanted) => {
            bearer(office, &of_the_provider(office, caller, wanted).await?)
        }
        UpstreamAuth::Connection(_) => {
            let granted = account::access_token(office, token, server, refused).await?;
            let (headers, until) = bearer(office, &granted)?;
            Ok((headers, until.min(office.world.now().plus(ACCOUNT))))
        }
    }
}

fn bearer(office: &Office, granted: &Granted) -> Result<Made, VaultError> {
    let value = format!("Bearer {}", granted.access_token.expose());
    let value = sensitive(&value).ok_or(VaultError::Refused)?;
    let now = office.world.now();
    let until = spared(now, now.plus(granted.life));
    Ok((vec![(header::AUTHORIZATION, value)], until))
}

/// Until when something is used that ends at `ends`: one that lives shortly, for half of that.
fn spared(now: Timestamp, ends: Timestamp) -> Timestamp {
    let life = ends.since(now);
    now.plus(life.saturating_sub(SPARE).max(life / 2))
}

fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

async fn profile(office: &Office, caller: &Caller) -> Result<Option<Profile>, VaultError> {
    if let Some(profile) = caller.profile() {
        return Ok(Some(Profile::clone(profile)));
    }
    let token = caller.token();
    let found = office.store.profile(token.subject, token.grant).await?;
    Ok(found.map(|mut profile| {
        // An id of another issuer's means nothing by itself.
        let somebody = office.somebody(&profile.issuer, "", &[]);
        match somebody.map(|somebody| somebody.vouched_by) {
            Some(None) => {
                let groups = &mut profile.groups;
                groups.retain(|group| !reads_as_anothers(group, &office.vouchers));
            }
            Some(Some(name)) => {
                for group in &mut profile.groups {
                    *group = format!("{name}/{group}");
                }
            }
            None => profile.groups.clear(),
        }
        profile
    }))
}

async fn of_the_provider(
    office: &Office,
    caller: &Caller,
    wanted: &ProviderToken,
) -> Result<Granted, VaultError> {
    let token = caller.token();
    if token.machine {
        return Err(VaultError::NoLogin);
    }
    match wanted {
        ProviderToken::OfTheLogin { scope } => {
            let asked = provider_session::access_token(office, token, For::Scope(scope.as_deref()));
            Ok(asked.await?.1)
        }
        ProviderToken::Exchanged {
            audience,
            resource,
            scope,
        } => {
            let (provider, subject) = subject_token(office, caller, For::Scope(None)).await?;
            let subject: &Secret = &subject;
            let (audience, resource) = (audience.as_deref(), resource.as_deref());
            let granted = provider.exchange(subject, audience, resource, scope.as_deref());
            let granted = granted.await;
            granted.map_err(|error| refused(provider, scope.as_deref(), &error))
        }
        ProviderToken::OnBehalfOf { scope } => {
            let (provider, subject) = subject_token(office, caller, For::ThisGateway).await?;
            let granted = provider.on_behalf_of(&subject, scope);
            let granted = granted.await;
            granted.map_err(|error| refused(provider, Some(scope), &error))
        }
    }
}

/// What is exchanged: the token that the provider issued for this server, or one that it gives
/// for the login.
async fn subject_token<'o>(
    office: &'o Office,
    caller: &Caller,
    wanted: For<'_>,
) -> Result<(&'o Provider, Secret), VaultError> {
    let token = caller.token();
    if let Some(profile) = caller.profile() {
        let provider = office.providers.of_issuer(&profile.issuer);
        // The next request brings back what was pushed out of memory meanwhile.
        let text = office.direct.text_of(token.id).ok_or(VaultError::Silent)?;
        return Ok((provider.ok_or(VaultError::NoLogin)?, text));
    }
    let (provider, granted) = provider_session::access_token(office, token, wanted).await?;
    Ok((provider, granted.access_token))
}

/// What an error of the provider's means for the server, which was asked for a token with
/// `scope`. Its words are in the log.
fn refused(provider: &Provider, scope: Option<&str>, error: &ProviderError) -> VaultError {
    tracing::warn!(event = "idp.no_token_for_server", %error);
    match error {
        ProviderError::TokenRefused { status, .. } if *status >= 500 || *status == 429 => {
            VaultError::Silent
        }
        ProviderError::TokenRefused { error, claims, .. } if recheck::wants_the_person(error) => {
            VaultError::Interaction(Arc::new(Confirm {
                provider: provider.name().to_owned(),
                scope: scope.map(str::to_owned),
                claims: claims.clone(),
            }))
        }
        ProviderError::Unreachable(_) | ProviderError::Discovery(_) | ProviderError::Issuer(_) => {
            VaultError::Silent
        }
        _ => VaultError::Refused,
    }
}
