//! A person's session at our own pages: who it is, and that a form came from their page.

use axum::response::Response;
use http::{HeaderMap, StatusCode};
use vestibule_core::{secret::Digest, sign_in::Destination};

use crate::{
    office::Office,
    page,
    provider::Provider,
    store::{NewSession, Person, StoreError},
};

/// A session that lasts.
pub(super) struct Session {
    /// Whose.
    pub(super) person: Person,
    /// Its cookie.
    pub(super) cookie: String,
}

impl Session {
    /// The session of the browser that sent these headers.
    ///
    /// # Errors
    /// [`StoreError`]; then nobody knows.
    pub(super) async fn of(
        office: &Office,
        headers: &HeaderMap,
    ) -> Result<Option<Self>, StoreError> {
        let Some(cookie) = office.jar.session(headers) else {
            return Ok(None);
        };
        let digest = Digest::of(cookie.as_bytes());
        let now = office.world.now();
        // A session is good for as long as the provider's word is.
        let vouched = now.minus(office.vouching.recheck);
        let person = office.store.session(digest, vouched, now).await?;
        Ok(person.map(|person| Self { person, cookie }))
    }

    /// How the store knows it.
    pub(super) fn digest(&self) -> Digest {
        Digest::of(self.cookie.as_bytes())
    }

    /// What the forms of this session carry.
    pub(super) fn form_token(&self, office: &Office) -> String {
        let keys = office.keys.load();
        keys.form
            .tag_text(&[b"session form", self.cookie.as_bytes()])
    }

    /// Whether a form of this session carries `token`. Constant time.
    pub(super) fn form_token_matches(&self, office: &Office, token: &str) -> bool {
        let keys = office.keys.load();
        let parts: [&[u8]; 2] = [b"session form", self.cookie.as_bytes()];
        keys.form.matches_text(&parts, token)
    }
}

/// Who may sign somebody in to this page of ours: operators only the main provider.
fn all_for(office: &Office, to: Destination) -> impl Iterator<Item = &Provider> {
    let only_main = to.is_for_operators();
    let all = office.providers.all();
    all.take(if only_main { 1 } else { usize::MAX })
}

/// The one that `chosen` names, or the only one.
pub(super) fn signs_in<'o>(
    office: &'o Office,
    to: Destination,
    chosen: Option<&str>,
) -> Option<&'o Provider> {
    let mut all = all_for(office, to);
    match chosen {
        Some(name) => all.find(|provider| provider.name() == name),
        None => all.next().filter(|_| all.next().is_none()),
    }
}

/// The page for whoever must sign in before they see another.
pub(super) fn sign_in_first(office: &Office, to: Destination) -> Response {
    page::answer(
        StatusCode::OK,
        &page::SignInFirst {
            frame: office.frame(None),
            providers: &all_for(office, to)
                .map(|provider| (provider.name().to_owned(), provider.title()))
                .collect::<Vec<_>>(),
            to: &to.to_string(),
        },
    )
}

/// A new session of a browser: its cookie, and what is stored. It is always another than
/// before, so nobody profits from a cookie that was planted (T-CON-11). `before` is what the
/// browser had when it set out: on the way back from another site it does not show it.
pub(super) fn begin(office: &Office, before: Option<Digest>) -> (String, NewSession) {
    let cookie = office.random_text();
    let session = NewSession {
        digest: Digest::of(cookie.as_bytes()),
        replaces: before,
        ends: office.world.now().plus(office.tokens.session_ttl),
    };
    (cookie, session)
}
