//! The official Rust client, with its own OAuth, through the gateway to a real MCP server:
//! sign-in, refresh, step-up and revocation in mid-use, in both ages of the protocol.

mod support;

use std::sync::Arc;

use rmcp::{
    ClientLifecycleMode, ClientServiceExt as _, RoleClient,
    model::{CallToolRequestParams, ProtocolVersion},
    service::{RunningService, ServiceError},
    transport::{
        AuthClient, AuthorizationManager, StreamableHttpClientTransport,
        auth::{AuthorizationRequest, OAuthState},
        streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use serde_json::Value;
use support::{Browser, CLIENT, Gate, free_port, wait_until};

/// A gateway before the demo's weather server, which changes nothing and lists everything.
fn weather() -> (Gate, tokio::runtime::Runtime) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let port = free_port();
    let host = format!("127.0.0.1:{port}");
    let router = runtime.block_on(async {
        vestibule::demo::weather::router("/mcp", vec![host.clone()], std::future::pending())
    });
    runtime.spawn(async move {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await;
        axum::serve(listener.expect("a port"), router).await
    });
    wait_until("the server listens", || {
        std::net::TcpStream::connect(&host).is_ok()
    });
    let gate = Gate::start_with(&format!(
        "[servers.w]\npath = \"/w/mcp\"\nupstream = \"http://{host}/mcp\"\n\
         scopes = {{ \"w:read\" = \"Read\", \"w:all\" = \"All\" }}\n\
         default_scopes = [\"w:read\"]\ntools = {{ \"get_cities\" = \"w:all\" }}\n"
    ));
    (gate, runtime)
}

type Manager = Arc<tokio::sync::Mutex<AuthorizationManager>>;

/// The person's part of what the client asked for; the address with the answer.
fn approved(gate: &Gate, url: &str) -> String {
    let path = url.strip_prefix(&gate.origin).expect("the gateway's own");
    Browser::new("ada").answer(gate, path)
}

async fn signed_in(gate: &Gate) -> AuthorizationManager {
    let mut state = OAuthState::new(gate.resource("w"), None)
        .await
        .expect("a state");
    let request = AuthorizationRequest::new(support::REDIRECT)
        .with_client_name("rmcp")
        .with_application_type("native");
    state.start_authorization(request).await.expect("discovery");
    let url = state.get_authorization_url().await.expect("an address");
    let back = approved(gate, &url);
    state.handle_callback_url(&back).await.expect("tokens");
    state.into_authorization_manager().expect("authorized")
}

type Running = RunningService<RoleClient, ()>;

async fn connected(
    gate: &Gate,
    manager: AuthorizationManager,
    mode: ClientLifecycleMode,
) -> (Running, Manager) {
    #[allow(clippy::disallowed_methods)] // another program's client, not the gateway's
    let http = reqwest::Client::new();
    let client = AuthClient::new(http, manager);
    let manager = Arc::clone(&client.auth_manager);
    let config = StreamableHttpClientTransportConfig::with_uri(gate.resource("w"));
    let transport = StreamableHttpClientTransport::with_client(client, config);
    let service = ().serve_with_lifecycle(transport, mode).await.expect("connects");
    (service, manager)
}

async fn call(
    service: &Running,
    tool: &'static str,
    argument: (&str, &str),
) -> Result<Value, ServiceError> {
    let mut params = CallToolRequestParams::new(tool);
    params.arguments = Some(serde_json::Map::from_iter([(
        argument.0.to_owned(),
        argument.1.into(),
    )]));
    let result = service.call_tool(params).await?;
    Ok(serde_json::to_value(result).expect("JSON"))
}

fn in_mid_use(mode: &ClientLifecycleMode, version: &ProtocolVersion) {
    let (gate, runtime) = weather();
    let gate = &gate;
    runtime.block_on(async {
        let manager = signed_in(gate).await;
        let (service, manager) = connected(gate, manager, mode.clone()).await;
        let said = service.peer_info().expect("it said who it is");
        assert_eq!(&said.protocol_version, version);
        let tools = service.list_all_tools().await.expect("tools");
        assert!(tools.iter().any(|tool| tool.name == "get_weather"));
        let weather = call(&service, "get_weather", ("city", "Oslo"))
            .await
            .expect("weather");
        assert!(weather.to_string().contains("Oslo"), "{weather}");

        // Its token has ended for the gateway: it hears so, and renews it by itself.
        let token = async || manager.lock().await.get_access_token().await;
        let first = token().await.expect("a token");
        gate.turn_clock(11 * 60);
        call(&service, "get_weather", ("city", "Oslo"))
            .await
            .expect("weather");
        assert_ne!(first, token().await.expect("a token"));

        // A tool that needs more: the person is asked for all of it together.
        let refused = call(&service, "get_cities", ("country", "Norway")).await;
        let refused = format!("{:?}", refused.expect_err("not yet"));
        assert!(refused.contains("w:all"), "{refused}");
        let url = manager
            .lock()
            .await
            .request_scope_upgrade("w:all")
            .await
            .expect("an address");
        assert!(url.contains("w%3Aread") && url.contains("w%3Aall"), "{url}");
        let back = approved(gate, &url);
        let answer = url::Url::parse(&back).expect("an address");
        let of = |name: &str| {
            let found = answer.query_pairs().find(|(n, _)| n == name);
            found
                .map(|(_, value)| value.into_owned())
                .unwrap_or_default()
        };
        let (code, state, iss) = (of("code"), of("state"), of("iss"));
        manager
            .lock()
            .await
            .exchange_code_for_token_with_issuer(&code, &state, Some(&iss))
            .await
            .expect("tokens");
        call(&service, "get_cities", ("country", "Norway"))
            .await
            .expect("cities");

        // The grant is taken back: the next call says that somebody must sign in.
        let (client, tokens) = manager
            .lock()
            .await
            .get_credentials()
            .await
            .expect("it is signed in");
        assert_ne!(client, CLIENT, "it registered itself");
        let tokens = serde_json::to_value(tokens).expect("JSON");
        let refresh = tokens["refresh_token"].as_str().expect("a token");
        let form = [("token", refresh), ("client_id", client.as_str())];
        let gone = gate.wire().post_form(&gate.host(), "/revoke", &form, &[]);
        assert_eq!(gone.status, 200, "{}", gone.text());
        let refused = call(&service, "get_weather", ("city", "Oslo")).await;
        let refused = format!("{:?}", refused.expect_err("taken back"));
        assert!(
            refused.contains("AuthRequired") || refused.contains("AuthorizationRequired"),
            "{refused}"
        );
        let _ = service.cancel().await;
    });
}

#[test]
fn rmcp_with_sessions() {
    in_mid_use(
        &ClientLifecycleMode::Initialize,
        &ProtocolVersion::V_2025_11_25,
    );
}

#[test]
fn rmcp_without_sessions() {
    let mode = ClientLifecycleMode::Discover {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
    };
    in_mid_use(&mode, &ProtocolVersion::V_2026_07_28);
}
