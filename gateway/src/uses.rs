//! What becomes of an access after its login, for the login's record: that the app came with
//! it, asked which tools there are, what of its calls was refused, each once; and that it
//! renewed it, once an hour.
//!
//! The data path leaves a note in memory, and only where it has something new to say; which
//! login that belongs to is looked up a moment later.

use std::sync::{Mutex, MutexGuard, PoisonError};

use quick_cache::unsync::Cache;
use vestibule_core::{
    access_token::AccessToken,
    flow::Step,
    id::{ClientRef, GrantId, PersonId},
    time::Timestamp,
};

use crate::{
    flows::Flows,
    store::{Store, StoreError},
};

/// Notes that are remembered, so that none is looked up twice; several for each grant.
const TOLD_MAX: usize = 32_768;

/// Notes that wait to be looked up, at most; later ones are not kept.
const WAITING_MAX: usize = 4096;

/// What there is to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Use {
    /// The app came with its access.
    Began,
    /// It asked which tools there are.
    ToolsListed,
    /// A call was refused, by this entry of the catalogue.
    Refused(&'static str),
    /// The access was renewed, in this hour since 1970: an app may do so every few minutes,
    /// for a month.
    Renewed(u64),
}

impl Use {
    /// A renewal at this time.
    pub fn renewed(now: Timestamp) -> Self {
        Self::Renewed(now.unix() / 3600)
    }
}

/// Of which access: its grant, and whose it is.
pub type Access = (GrantId, PersonId, ClientRef);

/// See the module. One for the whole process.
pub struct Uses(Mutex<Memory>);

struct Memory {
    told: Cache<(GrantId, Use), ()>,
    waiting: Vec<Noted>,
}

struct Noted {
    access: Access,
    what: Use,
    why: String,
}

impl Default for Uses {
    fn default() -> Self {
        Self(Mutex::new(Memory {
            told: Cache::new(TOLD_MAX),
            waiting: Vec::new(),
        }))
    }
}

impl Uses {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the same of a token's access, unless it was exchanged: what another client does
    /// with it is not in the record of this login.
    pub fn note_token(&self, token: &AccessToken, what: Use, why: impl FnOnce() -> String) {
        if token.actor.is_none() {
            self.note((token.grant, token.subject, token.client), what, why);
        }
    }

    /// Notes what became of an access; `why` in words, if it was refused.
    pub fn note(&self, access: Access, what: Use, why: impl FnOnce() -> String) {
        let mut memory = self.memory();
        let key = (access.0, what);
        if memory.told.get(&key).is_some() || memory.waiting.len() >= WAITING_MAX {
            return;
        }
        memory.told.insert(key, ());
        memory.waiting.push(Noted {
            access,
            what,
            why: why(),
        });
    }

    /// Brings what waits to the records of the logins.
    pub async fn keep(&self, store: &dyn Store, flows: &Flows) {
        let waiting = std::mem::take(&mut self.memory().waiting);
        for noted in waiting {
            if let Err(error) = tell(&noted, store, flows).await {
                tracing::warn!(event = "flow.unrecorded", %error);
                let mut memory = self.memory();
                if memory.waiting.len() < WAITING_MAX {
                    memory.waiting.push(noted);
                }
            }
        }
    }
}

async fn tell(noted: &Noted, store: &dyn Store, flows: &Flows) -> Result<(), StoreError> {
    let (grant, subject, client) = noted.access;
    let Some(flow) = store.subject(grant, subject, client).await?.flow else {
        return Ok(());
    };
    let step = match noted.what {
        Use::Began => Step::Used,
        Use::ToolsListed => Step::ToolsListed,
        Use::Refused(code) => Step::refused(code, noted.why.clone()),
        Use::Renewed(_) => Step::Refreshed,
    };
    // What was forgotten by its age is not begun anew.
    if flows.find(flow).await?.is_none() {
        return Ok(());
    }
    match step {
        Step::Refreshed => flows.record(flow, step),
        _ => flows.record_once(flow, step).await,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use vestibule_core::{id::TokenId, scope::ScopeSet};

    use super::*;
    use crate::world::World;

    #[test]
    fn what_another_client_does_with_an_exchanged_token_is_not_told() {
        let world = World::real();
        let mut token = AccessToken {
            id: TokenId::new(world.random()),
            grant: GrantId::new(world.random()),
            subject: PersonId::new(world.random()),
            machine: false,
            client: ClientRef::new(world.random()),
            subject_epoch: 0,
            client_epoch: 0,
            issued: world.now(),
            expires: world.now(),
            resource: "https://gw.example/a".to_owned(),
            scopes: ScopeSet::empty(),
            confirmation: None,
            actor: Some(ClientRef::new(world.random())),
            groups: Vec::new(),
        };
        let uses = Uses::default();
        uses.note_token(&token, Use::Began, String::new);
        assert!(uses.memory().waiting.is_empty());
        token.actor = None;
        for _ in 0..2 {
            uses.note_token(&token, Use::Began, String::new);
        }
        assert_eq!(uses.memory().waiting.len(), 1, "once");
    }
}
