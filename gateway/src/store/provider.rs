//! What the identity provider says of people after their login.

use vestibule_core::{assertion::Once, id::GrantId, secret::Digest, time::Timestamp};

/// A question to the provider about a grant's person, that nobody else asks meanwhile.
#[derive(Debug, Clone, Copy)]
pub struct Asking {
    /// The grant.
    pub grant: GrantId,
    /// When the provider last vouched, as it was read: whoever asked since has the answer.
    pub checked: Timestamp,
    /// Now.
    pub now: Timestamp,
    /// Until when nobody else asks, even if this one never comes back.
    pub until: Timestamp,
}

/// The provider answered.
#[derive(Debug, Clone)]
pub struct Answered {
    /// About the person of this grant.
    pub grant: GrantId,
    /// Its tokens from now on, sealed for [`idp_place`](super::idp_place).
    pub idp: Vec<u8>,
    /// Whether it vouched for them.
    pub vouched: bool,
    /// Groups and roles of the person, if it told them anew.
    pub groups: Option<Vec<String>>,
    /// Now.
    pub now: Timestamp,
}

/// The provider says that somebody is signed out.
#[derive(Debug, Clone)]
pub struct SignedOutThere {
    /// Which provider.
    pub issuer: String,
    /// The person's key there, if it named one.
    pub subject: Option<String>,
    /// The session there, if it named one: then what is known to be of another one stays.
    pub session: Option<Digest>,
    /// What it may be said by once.
    pub once: Once,
    /// Now.
    pub now: Timestamp,
}
