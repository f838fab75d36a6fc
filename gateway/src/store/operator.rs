//! What operators ask of the store, and what they decide.

use vestibule_core::{
    audit::Actor,
    id::{ClientRef, PersonId},
    operator::{Block, Standing},
    secret::Digest,
    time::Timestamp,
};

/// What is decided about a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientDecision {
    /// From now on this holds; whatever it blocks, ends.
    Stands(Standing),
    /// Everything that it may do for anybody ends; it may be allowed again.
    Ends,
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
