//! What `vestibule demo` starts beside the gateway: an identity provider with two
//! invented people and a weather MCP server. For loopback only.

pub mod loopback;
pub mod provider;
pub mod try_page;
pub mod weather;
