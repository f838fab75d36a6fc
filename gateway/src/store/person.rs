//! What is remembered of people: who they are, their sessions at our pages, and what may act
//! for them.

use vestibule_core::{
    apps::{Consent, Grant},
    audit::Actor,
    id::{ClientRef, PersonId},
    identity::VerifiedIdentity,
    secret::Digest,
    time::Timestamp,
};

/// A session at our own pages, to begin.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Digest of its cookie.
    pub digest: Digest,
    /// The session that this browser had before; it ends.
    pub replaces: Option<Digest>,
    /// When it ends.
    pub ends: Timestamp,
}

/// A person whom the provider vouched for, without an app that asks.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// Who.
    pub identity: VerifiedIdentity,
    /// The id they get if they are new.
    pub new_person: PersonId,
    /// Their session.
    pub session: NewSession,
    /// Now.
    pub now: Timestamp,
}

/// A person as they rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Who they are here.
    pub id: PersonId,
    /// What to call them on a page.
    pub shown: String,
    /// Who vouches for them.
    pub issuer: String,
    /// Their lasting key there.
    pub subject: String,
    /// Their groups and roles there, as of their last login.
    pub groups: Vec<String>,
}

/// Everything that may act for a person.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allowed {
    /// What they allowed.
    pub consents: Vec<Consent>,
    /// What lives, and standing grants that were stopped.
    pub grants: Vec<Grant>,
}

/// What is to be done to what may act for a person, and by whom, for the audit.
#[derive(Debug, Clone)]
pub struct ToApps {
    /// The person.
    pub person: PersonId,
    /// One client of theirs, or all.
    pub client: Option<ClientRef>,
    /// Who does it.
    pub by: Actor,
    /// Now.
    pub now: Timestamp,
}
