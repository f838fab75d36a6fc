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
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("nonblocking");
        let origin = format!("http://{}", listener.local_addr().expect("bound"));
        let state = Arc::new(Told::default());
        let router = Router::new()
            .route("/metadata/identity/oauth2/token", get(metadata))
            .route("/msi/token", get(endpoint))
            .with_state(Arc::clone(&state));
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            let _ = axum::serve(listener, router).await;
        });
        Self {
            origin,
            state,
            _runtime: runtime,
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
