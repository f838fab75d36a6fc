//! The protocol of Vestibule: parse, decide, plan.
//!
//! This crate reads what clients, browsers and identity providers send, judges it by the
//! RFCs and the MCP specification, and returns what should happen. It never opens a socket,
//! reads a clock, draws a random number or waits: the present time and every random byte
//! come in as arguments, so each rule can be tested as a table.
//!
//! Proofs are types. A [`client::MatchedRedirect`] can only come from comparing a redirect
//! URI with a client's own list, an [`client_auth::AuthenticatedClient`] only from checking
//! its credentials, a [`bearer::Caller`] only from opening an access token.

#![warn(missing_docs)]

pub mod aadsts;
pub mod access_token;
pub mod address;
pub mod apps;
pub mod assertion;
pub mod audit;
pub mod authorize;
pub mod bearer;
pub mod callback;
pub mod caller_identity;
pub mod challenge;
pub mod client;
pub mod client_auth;
pub mod client_document;
pub mod color;
pub mod connect;
pub mod connecting;
pub mod consent;
pub mod console_pass;
pub mod direct_token;
pub mod discovery;
pub mod dpop;
pub mod elicitation;
pub mod entra;
pub mod era;
pub mod event_stream;
pub mod flow;
pub mod id;
pub mod id_token;
pub mod identity;
pub mod introspect;
pub mod json;
pub mod jwt;
pub mod keyring;
pub mod logout_token;
pub mod mcp;
pub mod message_endpoint;
pub mod metadata;
pub mod operator;
pub mod par;
pub mod params;
pub mod pkce;
pub mod policy;
pub mod preset;
pub mod provider_preset;
pub mod recheck;
pub mod register;
pub mod resource;
pub mod revoke;
pub mod scope;
pub mod seal;
pub mod secret;
pub mod session;
pub mod sign_in;
pub mod text;
pub mod ticket;
pub mod time;
pub mod token;
pub mod tool_list;
pub mod uri;

mod claims;
mod wire;

pub use wire::WireError;
