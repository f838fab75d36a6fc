//! What one thread has opened already, so that a token that comes with every call is opened
//! once. Whether it is good is judged anew each time: its end, its audience, its revocation.

use std::{
    cell::{Cell, RefCell},
    sync::{Arc, Weak},
};

use quick_cache::unsync::Cache;
use vestibule_core::{
    access_token::{AccessToken, Opens},
    secret::Digest,
    uri::Issuer,
};

use crate::keys::{AccessKeys, Keys};

/// Tokens that a thread remembers: more people than one thread serves at a time.
const SEEN_MAX: usize = 4096;

/// See the module. Tokens are known by their digests; what does not open is not remembered.
pub struct SeenTokens(RefCell<Seen>);

struct Seen {
    /// The keys that opened them. Others may not open the same.
    keys: Weak<Keys>,
    tokens: Cache<[u8; 32], Arc<AccessToken>>,
}

impl Default for SeenTokens {
    fn default() -> Self {
        Self(RefCell::new(Seen {
            keys: Weak::new(),
            tokens: Cache::new(SEEN_MAX),
        }))
    }
}

impl SeenTokens {
    /// Opens a token anew the next time.
    pub fn forget(&self, text: &str) {
        let digest = *Digest::of(text.as_bytes()).bytes();
        self.0.borrow_mut().tokens.remove(&digest);
    }

    /// Opens with `keys`, or remembers what they opened.
    pub fn with<'k>(&'k self, keys: &'k Arc<Keys>, issuer: &'k Issuer) -> Remembering<'k> {
        Remembering {
            seen: self,
            keys,
            issuer,
            first: Cell::new(false),
        }
    }
}

/// See [`SeenTokens::with`].
pub struct Remembering<'k> {
    seen: &'k SeenTokens,
    keys: &'k Arc<Keys>,
    issuer: &'k Issuer,
    first: Cell<bool>,
}

impl Remembering<'_> {
    /// Whether what was opened by this was not remembered.
    pub fn was_first(&self) -> bool {
        self.first.get()
    }
}

impl Opens for Remembering<'_> {
    fn open(&self, text: &str) -> Option<Arc<AccessToken>> {
        let digest = *Digest::of(text.as_bytes()).bytes();
        let mut seen = self.seen.0.borrow_mut();
        // What is pointed to weakly is not replaced in place, so the address tells.
        if !std::ptr::eq(seen.keys.as_ptr(), Arc::as_ptr(self.keys)) {
            seen.tokens.clear();
            seen.keys = Arc::downgrade(self.keys);
        }
        if let Some(token) = seen.tokens.get(&digest) {
            return Some(Arc::clone(token));
        }
        let token = AccessKeys {
            keys: self.keys,
            issuer: self.issuer,
        }
        .open(text)?;
        seen.tokens.insert(digest, Arc::clone(&token));
        self.first.set(true);
        Some(token)
    }
}

#[cfg(test)]
mod tests {
    use vestibule_core::{
        id::{ClientRef, GrantId, PersonId, TokenId},
        scope::ScopeSet,
    };

    use super::*;
    use crate::{store::sqlite::Sqlite, world::World};

    fn keys(issuer: &Issuer) -> Arc<Keys> {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Sqlite::open(&folder.path().join("db"), Arc::default()).expect("a store");
        let loaded = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime")
            .block_on(Keys::load(
                &folder.path().join("keys"),
                issuer.text(),
                &store,
                &World::real(),
            ));
        Arc::new(loaded.expect("keys"))
    }

    #[test]
    fn t_grd_06_a_remembered_token_opens_with_the_keys_that_opened_it_only() {
        let issuer = Issuer::parse("https://gw.example").expect("an issuer");
        let world = World::real();
        let token = AccessToken {
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
            actor: None,
            groups: Vec::new(),
        };
        let (ours, others) = (keys(&issuer), keys(&issuer));
        let text = token.mint(&ours.access, world.random()).expect("it fits");
        let seen = SeenTokens::default();
        let first = seen.with(&ours, &issuer).open(&text).expect("it opens");
        let again = seen.with(&ours, &issuer).open(&text).expect("remembered");
        assert_eq!(*first, token);
        assert!(Arc::ptr_eq(&first, &again), "opened once");
        assert!(seen.with(&others, &issuer).open(&text).is_none());
        assert!(
            seen.with(&ours, &issuer)
                .open(&text[..text.len() - 1])
                .is_none()
        );
        let anew = seen.with(&ours, &issuer).open(&text).expect("it opens");
        assert!(!Arc::ptr_eq(&first, &anew), "forgotten meanwhile");
    }
}
