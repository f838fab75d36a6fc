//! Accounts of people at services behind MCP servers.

use vestibule_core::{audit::Actor, id::PersonId, secret::Digest, time::Timestamp};

/// A person's account at the service behind a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The server.
    pub server: String,
    /// Since when.
    pub since: Timestamp,
    /// Whether the service takes it no more, and the person must connect anew.
    pub broken: bool,
}

/// One that works, with what is sealed there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundConnection {
    /// The service's tokens, sealed for [`connection_place`](super::connection_place).
    pub sealed: Vec<u8>,
    /// Until when somebody asks the service for other tokens.
    pub asking_until: Timestamp,
}

/// A person connects, or connects anew.
#[derive(Debug, Clone)]
pub struct NewConnection {
    /// Whose account.
    pub person: PersonId,
    /// At the service behind this server.
    pub server: String,
    /// As in [`FoundConnection`].
    pub sealed: Vec<u8>,
    /// Their session at our pages, which must last.
    pub session: Digest,
    /// Now.
    pub now: Timestamp,
}

/// A person takes an account back.
#[derive(Debug, Clone)]
pub struct Disconnect {
    /// Whose.
    pub person: PersonId,
    /// At the service behind this server.
    pub server: String,
    /// Who does it.
    pub by: Actor,
    /// Now.
    pub now: Timestamp,
}

/// The right to ask the service for other tokens; whoever took longer than it lasts lost it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionClaim {
    /// Whose account.
    pub person: PersonId,
    /// At the service behind this server.
    pub server: String,
    /// Which question.
    pub until: Timestamp,
}
