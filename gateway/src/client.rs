//! Vestibule as a client of any MCP server: what `probe`, `login` and `call` share.
//!
//! What a document says is judged by the core ([`vestibule_core::discovery`]); here are the
//! requests, in the order that every revision of MCP authorization wants them.

pub mod call;
pub mod credentials;
pub mod discover;
pub mod login;
pub mod mcp;
pub mod probe;
pub mod web;
