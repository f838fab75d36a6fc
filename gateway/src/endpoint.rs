//! The public endpoints: each reads the request, fetches the facts, asks the core, commits
//! and answers. What is right is the core's to say.

pub mod answer;
pub mod apps;
mod ask;
pub mod assets;
pub mod authorize;
pub mod backchannel_logout;
pub mod callback;
pub mod connect;
pub mod connections;
pub mod consent;
pub mod device;
pub mod errors;
pub mod flows;
pub mod introspect;
pub mod login;
pub mod operator;
pub mod par;
pub mod register;
pub mod revoke;
mod session;
pub mod token;
mod visit;
pub mod well_known;

pub use self::consent::store_failed;
