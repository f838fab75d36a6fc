//! The management listener: health, the console and its API, on an address that clients do not
//! reach.

mod api;
mod arrivals;
mod chart;
mod console;
mod enter;
mod health;
pub mod socket;
mod who;

use std::sync::Arc;

use axum::{Router, routing::get};
use vestibule_core::{time::Timestamp, uri::Issuer};

use crate::{endpoint::assets, http::cookie::Jar, office::Office};

pub use self::api::{Asker, Desk, local};

/// What everything here shares.
pub struct Admin {
    pub(crate) office: Arc<Office>,
    desk: Arc<Desk>,
    /// Where operators' browsers find it.
    url: Issuer,
    jar: Jar,
    started: Timestamp,
}

impl Admin {
    /// Management of this gateway.
    pub fn new(office: Arc<Office>, desk: Arc<Desk>) -> Self {
        let url = office.console.clone();
        Self {
            jar: if url.is_plain_http() {
                Jar::PlainLoopback
            } else {
                Jar::Secure
            },
            started: office.world.now(),
            url,
            office,
            desk,
        }
    }
}

/// All its routes.
pub fn routes(admin: &Arc<Admin>) -> Router {
    Router::new()
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .merge(console::routes(admin))
        .with_state(Arc::clone(admin))
        .nest("/api/v1", api::for_operators(admin))
        .merge(assets::routes(&admin.office))
}
