//! A platform that gives tokens to the programs on it, in the two shapes that Azure documents,
//! and in no other.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    routing::get,
};
use serde_json::{Value, json};

use super::place::Place;

pub struct Platform {
    pub origin: String,
    state: Arc<Told>,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Default)]
struct Told {
    refuses: AtomicBool,
    asked: AtomicUsize,
}

impl Platform {
    pub fn start() -> Self {
        let place = Place::take();
        let origin = place.origin.clone();
        let state = Arc::new(Told::default());
        let router = Router::new()
            .route("/metadata/identity/oauth2/token", get(metadata))
            .route("/msi/token", get(endpoint))
            .with_state(Arc::clone(&state));
        Self {
            origin,
            state,
            _runtime: place.serve(router),
        }
    }

    pub fn refuses(&self, whether: bool) {
        self.state.refuses.store(whether, Ordering::SeqCst);
    }

    pub fn asked(&self) -> usize {
        self.state.asked.load(Ordering::SeqCst)
    }
}

type Parameters = Query<HashMap<String, String>>;
type Answer = (StatusCode, Json<Value>);

async fn metadata(
    State(told): State<Arc<Told>>,
    headers: HeaderMap,
    Query(asked): Parameters,
) -> Answer {
    let is_so = headers.get("metadata").is_some_and(|value| value == "true")
        && !headers.contains_key("x-forwarded-for")
        && asked.get("api-version").map(String::as_str) == Some("2018-02-01");
    answer(&told, is_so, &asked)
}

async fn endpoint(
    State(told): State<Arc<Told>>,
    headers: HeaderMap,
    Query(asked): Parameters,
) -> Answer {
    let header = headers.get("x-identity-header");
    let is_so = header.is_some_and(|value| value == "canary-header")
        && asked.get("api-version").map(String::as_str) == Some("2019-08-01");
    answer(&told, is_so, &asked)
}

fn answer(told: &Told, is_so: bool, asked: &HashMap<String, String>) -> Answer {
    told.asked.fetch_add(1, Ordering::SeqCst);
    let known = ["api-version", "resource", "client_id"];
    let is_so = is_so
        && asked.keys().all(|name| known.contains(&name.as_str()))
        && asked.get("resource").map(String::as_str) == Some("api://AzureADTokenExchange");
    if !is_so || told.refuses.load(Ordering::SeqCst) {
        let refusal =
            json!({ "error": "invalid_request", "error_description": "Identity not found" });
        return (StatusCode::BAD_REQUEST, Json(refusal));
    }
    let token = json!({
        "access_token": "aaaa.bbbb.cccc",
        "expires_on": "4070908800",
        "resource": "api://AzureADTokenExchange",
        "token_type": "Bearer",
    });
    (StatusCode::OK, Json(token))
}
