//! What operators ask of the store, and what they decide.

use vestibule_core::{
    audit::Actor,
    id::{ClientRef, PersonId},
    operator::Block,
    scope::ScopeSet,
    secret::Digest,
    time::Timestamp,
};

/// What is decided about a client; everything else about it stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientDecision {
    /// It is not let in, or let in again.
    Block(Option<Block>),
    /// An operator vouches for it as it describes itself now, or no more.
    Trust(bool),
    /// It gets these scopes at most, or whatever is asked for.
    Limit(Option<ScopeSet>),
    /// Everything that it may do for anybody ends; it may be allowed again.
    Ends,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It holds; so many codes and grants ended.
    Now(usize),
    /// There is no such client or person.
    NotThere,
    /// Nobody has allowed the client anything, so it is not known how it describes itself.
    NeverSeen,
}

/// A decision about a client, and whose.
#[derive(Debug, Clone)]
pub struct ToClient {
    /// Which.
    pub client: ClientRef,
    /// What.
    pub decision: ClientDecision,
    /// Who decides.
    pub by: Actor,
    /// Now.
    pub now: Timestamp,
}

/// A decision about a person, and whose: not to be let in, or to be let in again.
#[derive(Debug, Clone)]
pub struct ToPerson {
    /// Who.
    pub person: PersonId,
    /// What holds from now on; whatever may act for somebody who is blocked, ends.
    pub block: Option<Block>,
    /// Who decides.
    pub by: Actor,
    /// Now.
    pub now: Timestamp,
}

/// A link that makes one person an operator, once.
#[derive(Debug, Clone)]
pub struct NewLink {
    /// Digest of its secret.
    pub digest: Digest,
    /// When it runs out.
    pub expires: Timestamp,
    /// Who made it.
    pub by: Actor,
    /// Now.
    pub now: Timestamp,
}

/// A person who is an operator by a link no more, and who decides that.
#[derive(Debug, Clone)]
pub struct UnmakeOperator {
    /// Who.
    pub person: PersonId,
    /// Who decides.
    pub by: Actor,
    /// Now.
    pub now: Timestamp,
}

/// Which rows of the audit.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sought {
    /// Of one kind, or all; see [`vestibule_core::audit::Record::kind`].
    pub kind: Option<&'static str>,
    /// Before this number.
    pub before: Option<u64>,
    /// With something not before this time.
    pub from: Option<Timestamp>,
    /// With something not after this time.
    pub until: Option<Timestamp>,
    /// How many at most.
    pub most: u32,
}
