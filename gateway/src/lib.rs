//! Vestibule: one door between MCP clients and a company's MCP servers.
//!
//! This crate touches the world; what is right and wrong is decided in `vestibule-core`.
//! The arrows between the modules point down only:
//!
//! ```text
//! cli, demo -> app -> routes, admin -> endpoint, proxy -> office -> provider, flows
//!                                                   -> store, keys, fetch, http, page, world
//! ```
//!
//! `config` is read by `app` alone, which hands each part its own piece.

pub mod admin;
pub mod app;
pub mod audit;
pub mod catalogue;
pub mod cli;
pub mod client;
pub mod config;
pub mod demo;
pub mod direct;
pub mod document_cache;
pub mod earlier;
pub mod endpoint;
pub mod entra;
pub mod fetch;
pub mod flow_list;
pub mod flow_report;
pub mod flows;
pub mod http;
pub mod key_cache;
pub mod keys;
pub mod managed_identity;
pub mod office;
pub mod page;
pub mod provider;
pub mod provider_credential;
pub mod providers;
pub mod proxy;
pub mod pulse;
pub mod revocation;
pub mod routes;
pub mod service;
pub mod signature;
pub mod store;
pub mod telemetry;
pub mod token_endpoint;
pub mod trust;
pub mod uses;
pub mod vault;
pub mod world;
