//! Tokens that an identity provider issued for servers of this gateway: verified once, remembered
//! while the provider's keys are the same, and judged each time that they are shown.

use std::sync::{Arc, Weak};

use quick_cache::sync::Cache;
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

/// How many are remembered.
const KEPT_MAX: usize = 65_536;

/// See the module.
pub struct DirectTokens(Cache<TokenId, Arc<Known>>);

/// One that was verified.
pub struct Known {
    /// What it says.
    pub token: DirectToken,
    /// It, to be exchanged for another.
    pub text: Secret,
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
        Self(Cache::new(KEPT_MAX))
    }
}

impl DirectTokens {
    /// One that was opened before, by its id.
    pub fn of(&self, id: TokenId) -> Option<Arc<Known>> {
        self.0.get(&id)
    }

    /// Opens one for `resource`.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub fn open(
        &self,
        text: &str,
        provider: &Provider,
        settings: &DirectSettings,
        resource: &Resource,
        now: Timestamp,
    ) -> Result<Arc<Known>, NotTaken> {
        let discovered = provider.at_hand().ok_or(NotTaken::UnknownKey(None))?;
        let id = direct_token::id_of(text);
        if let Some(known) = self.0.get(&id)
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
            tenants: idp.let_in(),
            key: idp.subject_key(),
            groups: &idp.groups_claims,
            needs_groups: idp.needs_groups,
            vouched_by: (idp.name != MAIN_PROVIDER).then_some(idp.name.as_str()),
            audience: &settings.audience,
            scope_prefix: direct.map_or("", |direct| direct.scope_prefix.as_str()),
            leeway: LEEWAY,
        };
        let token = direct_token::judge(&claims, id, &expected, resource, now);
        let known = Arc::new(Known {
            token: token.map_err(NotTaken::Bearer)?,
            text: Secret::new(text.to_owned()),
            keys: Arc::downgrade(&discovered),
        });
        self.0.insert(id, Arc::clone(&known));
        Ok(known)
    }
}
