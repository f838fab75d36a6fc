use axum::body::Body;
use axum::http::request::Builder;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;

const HOST: &str = "127.0.0.1:8082";
const LATEST: &str = "2026-07-28";

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The message, whether it came as JSON or as the last event of a stream.
    fn message(&self) -> Value {
        let text = self
            .body
            .lines()
            .filter_map(|line| line.strip_prefix("data:"))
            .map(str::trim)
            .rfind(|data| !data.is_empty())
            .unwrap_or(&self.body);
        serde_json::from_str(text).unwrap_or_else(|_| panic!("{} {}", self.status, self.body))
    }
}

fn weather() -> Router {
    router("/weather", vec![HOST.to_owned()], std::future::pending())
}

async fn send(router: &Router, request: Builder, body: &Value) -> Answer {
    let request = request
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .body(Body::from(body.to_string()))
        .unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap(),
    }
}

fn post() -> Builder {
    Request::post("/weather").header("host", HOST)
}

async fn initialize(router: &Router) -> Answer {
    let body = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" },
        },
    });
    send(router, post(), &body).await
}

fn call(tool: &str, arguments: &Value) -> Value {
    json!({
        "jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": { "name": tool, "arguments": arguments },
    })
}

async fn stateless(router: &Router, method: &str, name: Option<&str>, mut params: Value) -> Answer {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": LATEST,
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let mut request = post()
        .header("mcp-protocol-version", LATEST)
        .header("mcp-method", method);
    if let Some(name) = name {
        request = request.header("mcp-name", name);
    }
    let body = json!({ "jsonrpc": "2.0", "id": 3, "method": method, "params": params });
    send(router, request, &body).await
}

async fn call_stateless(router: &Router, tool: &str, arguments: Value) -> Value {
    let params = json!({ "name": tool, "arguments": arguments });
    let answer = stateless(router, "tools/call", Some(tool), params).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    answer.message()["result"].clone()
}

#[tokio::test]
async fn a_client_of_2025_11_25_opens_a_session_calls_a_tool_and_closes_it() {
    let router = weather();
    let hello = initialize(&router).await;
    assert_eq!(hello.status, StatusCode::OK, "{}", hello.body);
    let result = &hello.message()["result"];
    assert_eq!(result["protocolVersion"], "2025-11-25");
    assert_eq!(result["serverInfo"]["title"], "Weather");
    let session = hello.header("mcp-session-id").unwrap();
    let in_session = |request: Builder| {
        request
            .header("mcp-session-id", session)
            .header("mcp-protocol-version", "2025-11-25")
    };

    let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let answer = send(&router, in_session(post()), &ready).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);

    let ask = call("get_weather", &json!({ "city": "lisbon" }));
    let answer = send(&router, in_session(post()), &ask).await;
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let result = &answer.message()["result"];
    let lisbon =
        json!({ "city": "Lisbon", "condition": "Sunny", "temperature": 21.4, "humidity": 56.2 });
    assert_eq!(result["structuredContent"], lisbon);
    let text = result["content"][0]["text"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), lisbon);

    let close = in_session(Request::delete("/weather").header("host", HOST));
    assert!(send(&router, close, &Value::Null).await.status.is_success());
    let answer = send(&router, in_session(post()), &ask).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND, "the session is over");
}

#[tokio::test]
async fn a_client_of_2026_07_28_calls_tools_without_a_session() {
    let router = weather();
    let found = stateless(&router, "server/discover", None, json!({})).await;
    assert_eq!(found.status, StatusCode::OK, "{}", found.body);
    assert!(found.header("mcp-session-id").is_none());
    let versions = &found.message()["result"]["supportedVersions"];
    for version in ["2025-11-25", LATEST] {
        assert!(versions.as_array().unwrap().contains(&json!(version)));
    }

    let result = call_stateless(&router, "get_weather", json!({ "city": "Seattle" })).await;
    assert_eq!(result["structuredContent"]["city"], "Seattle");
    assert_eq!(result["content"][0]["type"], "text");
}

#[tokio::test]
async fn three_tools_are_listed_with_titles_schemas_and_hints() {
    let router = weather();
    let listed = stateless(&router, "tools/list", None, json!({})).await;
    let listed = listed.message();
    let tools = listed["result"]["tools"].as_array().unwrap();
    let seen: Vec<_> = tools
        .iter()
        .map(|tool| {
            for needed in ["title", "description", "inputSchema", "outputSchema"] {
                assert!(!tool[needed].is_null(), "{needed} of {tool}");
            }
            (
                tool["name"].as_str().unwrap(),
                tool["annotations"]["readOnlyHint"].as_bool().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("get_cities", true),
            ("get_weather", true),
            ("set_alert", false)
        ]
    );
}

#[tokio::test]
async fn every_tool_answers_and_refuses_in_words() {
    let router = weather();
    let cities = call_stateless(&router, "get_cities", json!({ "country": "Portugal" })).await;
    let cities = cities["structuredContent"]["cities"].as_array().unwrap();
    assert!(cities.contains(&json!("Lisbon")));

    for (threshold, exceeded) in [(20.0, true), (30.0, false)] {
        let arguments = json!({ "city": "lisbon", "threshold": threshold });
        let alert = call_stateless(&router, "set_alert", arguments).await;
        assert_eq!(
            alert["structuredContent"],
            json!({ "city": "Lisbon", "threshold": threshold, "exceeded": exceeded })
        );
    }

    for (tool, arguments) in [
        ("get_cities", json!({ "country": "atlantis" })),
        ("get_weather", json!({ "city": "  " })),
        ("get_weather", json!({ "city": "x".repeat(65) })),
        ("set_alert", json!({ "city": "Oslo", "threshold": 61 })),
    ] {
        let result = call_stateless(&router, tool, arguments).await;
        assert_eq!(result["isError"], true, "{tool}");
        assert!(result["content"][0]["text"].is_string(), "{tool}");
    }
}

#[tokio::test]
async fn alerts_replace_each_other_and_the_oldest_make_room() {
    let weather = Weather::new();
    let set = async |city: String| {
        let ask = AlertAsked {
            city,
            threshold: 1.0,
        };
        assert!(weather.set_alert(Parameters(ask)).await.is_ok());
    };
    set("first".to_owned()).await;
    set("first".to_owned()).await;
    assert_eq!(weather.alerts.lock().unwrap().len(), 1);
    for number in 0..ALERT_LIMIT {
        set(format!("city {number}")).await;
    }
    let alerts = weather.alerts.lock().unwrap();
    assert_eq!(alerts.len(), ALERT_LIMIT);
    assert_eq!(alerts[0].city, "city 0");
}

#[tokio::test]
async fn other_hosts_origins_and_paths_are_refused() {
    let router = weather();
    let body = call("get_weather", &json!({ "city": "Oslo" }));
    let host = |host| Request::post("/weather").header("host", host);
    for request in [
        host("evil.example"),
        host("127.0.0.1:9999"),
        host(HOST).header("origin", "https://evil.example"),
    ] {
        let answer = send(&router, request, &body).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.body);
    }
    let below = Request::post("/weather/more").header("host", HOST);
    assert_eq!(
        send(&router, below, &body).await.status,
        StatusCode::NOT_FOUND
    );
    let none = super::router("/weather", Vec::new(), std::future::pending());
    assert_eq!(
        send(&none, host("evil.example"), &body).await.status,
        StatusCode::FORBIDDEN,
        "no list does not mean every host"
    );
}

#[test]
fn only_requests_that_could_open_a_session_count_against_the_limit() {
    let version = ("mcp-protocol-version", LATEST);
    let table: [(&[(&'static str, &'static str)], bool); 6] = [
        (&[], true),
        (&[version], true),
        (&[version, ("mcp-method", "initialize")], true),
        (&[version, ("mcp-method", "tools/call")], false),
        (&[("mcp-method", "tools/call")], true),
        (&[("mcp-session-id", "x")], false),
    ];
    for (pairs, may) in table {
        let headers = pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        assert_eq!(may_open_session(&headers), may, "{pairs:?}");
    }
}

#[tokio::test]
async fn a_full_house_opens_no_session_but_serves_stateless_requests() {
    let router = weather();
    for opened in 0..SESSION_LIMIT {
        let status = initialize(&router).await.status;
        assert_eq!(status, StatusCode::OK, "session {opened}");
    }
    let refused = initialize(&router).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.header("retry-after"), Some("60"));
    call_stateless(&router, "get_weather", json!({ "city": "Oslo" })).await;

    // Headers that pretend another method must not be a way around the limit.
    let body = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": LATEST,
            "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" },
        },
    });
    let request = post()
        .header("mcp-protocol-version", LATEST)
        .header("mcp-method", "tools/list");
    let answer = send(&router, request, &body).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.body);
}

#[tokio::test]
async fn shutdown_ends_sessions() {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let router = router("/weather", vec![HOST.to_owned()], async {
        let _ = stopped.await;
    });
    let hello = initialize(&router).await;
    let session = hello.header("mcp-session-id").unwrap().to_owned();
    let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let in_session = |request: Builder| request.header("mcp-session-id", &session);
    send(&router, in_session(post()), &ready).await;

    let stream = in_session(Request::get("/weather").header("host", HOST))
        .header("accept", "text/event-stream")
        .body(Body::empty())
        .unwrap();
    let stream = router.oneshot(stream).await.unwrap();
    assert_eq!(stream.status(), StatusCode::OK);
    stop.send(()).unwrap();
    // Would wait for ever if the stream stayed open.
    stream.into_body().collect().await.unwrap();
}
