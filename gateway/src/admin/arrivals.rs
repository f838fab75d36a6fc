//! How a request comes to the public address that an operator sends there: waited for, and told.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

use super::api::{Answer, Desk, not_there};
use crate::office::Office;

pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/arrivals", post(expect))
        .route("/arrivals/{probe}", get(told))
}

fn office(desk: &Desk) -> Result<&Office, super::api::ApiError> {
    let office = desk.office.as_deref();
    office.ok_or_else(|| not_there("no gateway runs here"))
}

async fn expect(State(desk): State<Arc<Desk>>) -> Answer {
    let probe = URL_SAFE_NO_PAD.encode(desk.world.random::<32>());
    let now = desk.world.now();
    office(&desk)?.arrivals.expect(probe.clone(), now);
    Ok(Json(json!({ "probe": probe })))
}

async fn told(State(desk): State<Arc<Desk>>, Path(probe): Path<String>) -> Answer {
    let now = desk.world.now();
    let arrival = office(&desk)?.arrivals.told(&probe, now);
    Ok(Json(json!({ "arrival": arrival })))
}
