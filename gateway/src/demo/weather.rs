//! The demo's MCP server: three tools about invented weather.
//!
//! It speaks both eras of MCP, sessions up to 2025-11-25 and stateless requests of
//! 2026-07-28. It knows nothing of tokens or people: whoever reaches it is served, so
//! it belongs behind the gateway and on loopback only.

mod climate;

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::{Json, Parameters};
use rmcp::model::{Implementation, ServerCapabilities, ServerConfig};
use rmcp::schemars::{self, JsonSchema};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, tool, tool_handler, tool_router};
use serde::{Deserialize, Serialize};

const SESSION_LIMIT: usize = 4_096;
/// Longer than the library's five minutes: a person who reads in between should not
/// find the session gone.
const SESSION_IDLE: Duration = Duration::from_secs(30 * 60);
const ALERT_LIMIT: usize = 100;
/// A tool call is a few hundred bytes.
const BODY_LIMIT: usize = 64 * 1024;

/// The server at exactly `path`, which begins with a slash.
///
/// `allowed_hosts` are the values of `Host` that are answered, such as
/// `127.0.0.1:8082`; requests for other hosts get 403 (DNS rebinding). With
/// `shutdown` all sessions and streams end.
///
/// Must be called within a Tokio runtime.
pub fn router(
    path: &str,
    allowed_hosts: Vec<String>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Router {
    let weather = Weather::new();
    let mut sessions = LocalSessionManager::default();
    sessions.session_config.keep_alive = Some(SESSION_IDLE);
    let sessions = Arc::new(sessions);
    // An empty list would allow every host.
    let allowed_hosts = if allowed_hosts.is_empty() {
        vec!["127.0.0.1".to_owned()]
    } else {
        allowed_hosts
    };
    let config = StreamableHttpServerConfig::default()
        .with_allowed_hosts(allowed_hosts)
        // Local tools in a browser may call; pages from elsewhere may not.
        .with_allowed_origins(["http://127.0.0.1:*", "http://localhost:*", "http://[::1]:*"])
        .with_max_request_body_bytes(BODY_LIMIT)
        .with_json_response(true);

    let token = config.cancellation_token.clone();
    tokio::spawn(async move {
        shutdown.await;
        token.cancel();
    });
    let service =
        StreamableHttpService::new(move || Ok(weather.clone()), Arc::clone(&sessions), config);
    Router::new()
        .route_service(path, service)
        .layer(middleware::from_fn_with_state(sessions, limit_sessions))
}

/// Refuses new sessions once there are too many; the library sets no bound.
async fn limit_sessions(
    State(sessions): State<Arc<LocalSessionManager>>,
    request: Request,
    next: Next,
) -> Response {
    if may_open_session(request.headers()) && sessions.sessions.read().await.len() >= SESSION_LIMIT
    {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            [(header::RETRY_AFTER, "60")],
            "Too many sessions.\n",
        )
            .into_response();
    }
    next.run(request).await
}

/// Whether this may be an `initialize` request, which opens a session in every era.
///
/// Of 2026-07-28 on, requests say their method in a header, and the library refuses
/// one that contradicts the body; all others are taken for `initialize`.
fn may_open_session(headers: &HeaderMap) -> bool {
    let mirrors_method = headers
        .get("mcp-protocol-version")
        .is_some_and(|version| version.as_bytes() >= b"2026-07-28".as_slice());
    let other_method = headers
        .get("mcp-method")
        .is_some_and(|method| method != "initialize");
    let in_session = headers.contains_key("mcp-session-id");
    !(in_session || mirrors_method && other_method)
}

#[derive(Clone)]
struct Weather {
    alerts: Arc<Mutex<VecDeque<AlertSet>>>,
    tools: ToolRouter<Self>,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct CountryAsked {
    /// One of: usa, canada, uk, australia, india, portugal.
    country: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct CityAsked {
    /// The city's English name, such as Lisbon.
    city: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct AlertAsked {
    /// The city's English name, such as Lisbon.
    city: String,
    /// Degrees Celsius, from -90 to 60.
    #[schemars(range(min = -90.0, max = 60.0))]
    threshold: f64,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
struct Cities {
    country: String,
    cities: Vec<String>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
struct Report {
    city: String,
    condition: String,
    /// Degrees Celsius.
    temperature: f64,
    /// Relative humidity in percent.
    humidity: f64,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
struct AlertSet {
    city: String,
    /// Degrees Celsius.
    threshold: f64,
    /// Whether it is warmer than that right now.
    exceeded: bool,
}

#[tool_router(router = tools)]
impl Weather {
    fn new() -> Self {
        Self {
            alerts: Arc::default(),
            tools: Self::tools(),
        }
    }

    #[tool(
        title = "List cities",
        description = "Lists the cities of a country that have weather. Countries: usa, canada, uk, australia, india, portugal.",
        annotations(
            title = "List cities",
            read_only_hint = true,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn get_cities(
        &self,
        Parameters(ask): Parameters<CountryAsked>,
    ) -> Result<Json<Cities>, String> {
        let (country, cities) = climate::country(&ask.country).ok_or_else(|| {
            format!(
                "There is no such country here. Countries: {}.",
                climate::countries().collect::<Vec<_>>().join(", ")
            )
        })?;
        Ok(Json(Cities {
            country: country.to_owned(),
            cities: cities.map(str::to_owned).collect(),
        }))
    }

    #[tool(
        title = "Look up the weather",
        description = "Tells condition, temperature in degrees Celsius and relative humidity in percent for a city. The figures are invented and stay the same for each city.",
        annotations(
            title = "Look up the weather",
            read_only_hint = true,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn get_weather(
        &self,
        Parameters(ask): Parameters<CityAsked>,
    ) -> Result<Json<Report>, String> {
        let city = city_name(&ask.city)?;
        let weather = climate::of(city);
        Ok(Json(Report {
            city: weather.city.to_owned(),
            condition: weather.condition.to_owned(),
            temperature: weather.temperature,
            humidity: weather.humidity,
        }))
    }

    #[tool(
        title = "Set a heat alert",
        description = "Remembers a temperature for a city and tells whether it is exceeded now. A second alert for the same city replaces the first. Alerts are forgotten when the demo ends.",
        annotations(
            title = "Set a heat alert",
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn set_alert(
        &self,
        Parameters(ask): Parameters<AlertAsked>,
    ) -> Result<Json<AlertSet>, String> {
        if !(-90.0..=60.0).contains(&ask.threshold) {
            return Err("The threshold must be between -90 and 60 degrees Celsius.".to_owned());
        }
        let weather = climate::of(city_name(&ask.city)?);
        let alert = AlertSet {
            city: weather.city.to_owned(),
            threshold: ask.threshold,
            exceeded: weather.temperature > ask.threshold,
        };
        let mut alerts = self.alerts.lock().unwrap_or_else(PoisonError::into_inner);
        alerts.retain(|known| known.city != alert.city);
        if alerts.len() == ALERT_LIMIT {
            alerts.pop_front();
        }
        alerts.push_back(alert.clone());
        Ok(Json(alert))
    }
}

#[tool_handler(router = self.tools)]
impl ServerHandler for Weather {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(
                Implementation::new("vestibule-weather", env!("CARGO_PKG_VERSION"))
                    .with_title("Weather"),
            )
            .with_instructions(
                "Invented weather for trying out Vestibule. Ask get_cities for names, then get_weather.",
            )
    }
}

/// Any city is accepted, as long as the text could be a name.
fn city_name(text: &str) -> Result<&str, String> {
    let name = text.trim();
    if name.is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) {
        return Err("The city must be a name of 1 to 64 characters.".to_owned());
    }
    Ok(name)
}

#[cfg(test)]
mod tests;
