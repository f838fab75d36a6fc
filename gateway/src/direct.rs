//! Tokens that an identity provider issued for servers of this gateway: verified once, remembered
//! while the provider's keys are the same, and judged each time that they are shown.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use quick_cache::{Weighter, sync::Cache};
use vestibule_core::{
    bearer::BearerError,
    direct_token::{self, DirectToken, Expected},
    id::TokenId,
    jwt::JwtError,
    resource::{MAIN_PROVIDER, Resource},
    secret::Secret,
    time::Timestamp,
};

use crate::{
    config::DirectSettings,
    provider::{Discovered, LEEWAY, Provider},
};

/// About how many are remembered, and how many bytes of them.
const KEPT: usize = 16_384;
const KEPT_BYTES: u64 = 64 << 20;

/// Between two words to an operator about tokens that were not taken.
const PAUSE: Duration = Duration::from_secs(10);

/// See the module.
pub struct DirectTokens {
    kept: Cache<TokenId, Arc<Known>, Size>,
    /// When it was last said why one was not taken.
    said: Mutex<Option<Timestamp>>,
}

#[derive(Clone)]
struct Size;

impl Weighter<TokenId, Arc<Known>> for Size {
    fn weight(&self, _: &TokenId, known: &Arc<Known>) -> u64 {
        // What is read from it is about as large as it is.
        1024 + 2 * known.length as u64
    }
}

/// One that was verified.
pub struct Known {
    /// What it says.
    pub token: DirectToken,
    /// It, where the server gets one that it is exchanged for.
    text: Option<Secret>,
    length: usize,
    /// The keys that verified it. Under others it may be good no more.
    keys: Weak<Discovered>,
}

/// Why one is not taken.
pub enum NotTaken {
    /// What it is, or says.
    Bearer(BearerError),
    /// It names a key that the provider may have published since these were loaded; none at
    /// all were, if there is no time.
    UnknownKey(Option<Timestamp>),
}

impl Default for DirectTokens {
    fn default() -> Self {
        Self {
            kept: Cache::with_weighter(KEPT, KEPT_BYTES, Size),
            said: Mutex::default(),
        }
    }
}

impl DirectTokens {
    /// One that was opened before, to be exchanged for another.
    pub fn text_of(&self, id: TokenId) -> Option<Secret> {
        self.kept.get(&id)?.text.clone()
    }

    /// Opens one for `resource`; `others` is who else vouches for people here.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub fn open(
        &self,
        text: &str,
        provider: &Provider,
        settings: &DirectSettings,
        resource: &Resource,
        others: &[String],
        now: Timestamp,
    ) -> Result<Arc<Known>, NotTaken> {
        let discovered = provider.at_hand().ok_or(NotTaken::UnknownKey(None))?;
        let id = direct_token::id_of(text);
        if let Some(known) = self.kept.get(&id)
            // What is pointed to weakly is not replaced in place, so the address tells.
            && std::ptr::eq(known.keys.as_ptr(), Arc::as_ptr(&discovered))
            && known.token.token().resource == resource.uri
        {
            return Ok(known);
        }
        let claims = discovered.verify(text).map_err(|error| match error {
            JwtError::NoSuchKey => NotTaken::UnknownKey(Some(discovered.loaded())),
            _ => NotTaken::Bearer(BearerError::Unknown),
        })?;
        let idp = provider.settings();
        let direct = resource.direct.as_ref();
        let expected = Expected {
            issuer: &idp.issuer,
            key: idp.subject_key(),
            groups: &idp.groups_claims,
            needs_groups: idp.needs_groups,
            vouched_by: (idp.name != MAIN_PROVIDER).then_some(idp.name.as_str()),
            others,
            audience: &settings.audience,
            scope_prefix: direct.map_or("", |direct| direct.scope_prefix.as_str()),
            leeway: LEEWAY,
        };
        let token = direct_token::judge(&claims, id, &expected, resource, now);
        let token = token.map_err(|no| {
            self.say(&resource.name, no.why, now);
            NotTaken::Bearer(no.error)
        })?;
        // Its end is borne for as long as clocks differ.
        let has_ended = token.token().expires.plus(LEEWAY) <= now;
        let known = Arc::new(Known {
            token,
            text: settings.is_exchanged.then(|| Secret::new(text.to_owned())),
            length: text.len(),
            keys: Arc::downgrade(&discovered),
        });
        if !has_ended {
            self.kept.insert(id, Arc::clone(&known));
        }
        Ok(known)
    }

    /// Says why a token of the provider's own was not taken: the client is not told, and who set
    /// it up must find out.
    fn say(&self, server: &str, why: &str, now: Timestamp) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|said| now.since(said) >= PAUSE) {
            *said = Some(now);
            tracing::warn!(event = "token.not_taken", server, why);
        }
    }
}
