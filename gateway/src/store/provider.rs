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

impl Asking {
    /// What is shown with all that comes of the question.
    pub fn claim(&self) -> Claim {
        Claim {
            grant: self.grant,
            until: self.until,
        }
    }
}

/// The right to say what came of a question: whoever took longer than it lasts lost it to the
/// next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The grant.
    pub grant: GrantId,
    /// Which question.
    pub until: Timestamp,
}

/// The provider vouched for a grant's person.
#[derive(Debug, Clone)]
pub struct Vouched {
    /// In answer to this question.
    pub claim: Claim,
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
