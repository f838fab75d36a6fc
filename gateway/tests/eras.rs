//! All revisions of MCP at one address: what clients of each age send first, and what they
//! must see to go on.

mod support;

use serde_json::{Value, json};
use support::{Browser, Gate, PING, Tokens, query_of, wire::Answer};
use vestibule::world::World;
use vestibule_core::{pkce::CodeVerifier, uri::with_query};

const MODERN: &str = "2026-07-28";

fn meta(version: &str) -> Value {
    json!({ "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientCapabilities": {} })
}

fn modern(gate: &Gate, token: &str, method: &str, params: &Value, more: &[(&str, &str)]) -> Answer {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let bearer = format!("Bearer {token}");
    let mut headers = vec![
        ("authorization", bearer.as_str()),
        ("mcp-protocol-version", MODERN),
        ("mcp-method", method),
    ];
    headers.extend_from_slice(more);
    gate.post_mcp("a", &headers, &body.to_string())
}

#[test]
fn rev_1_rev_4_a_client_of_2025_03_26_reads_the_root_and_names_no_resource() {
    let gate = Gate::start_in("", &[("VESTIBULE_DEFAULT_SERVER", "a")]);
    // It strips the path of the address that it was given.
    let document = gate.get("/.well-known/oauth-authorization-server").json();
    assert_eq!(document["issuer"], gate.origin);
    let path_of = |member: &str| {
        let address = document[member].as_str().expect("an address").to_owned();
        address[gate.origin.len()..].to_owned()
    };
    let id = register(&gate, &path_of("registration_endpoint"));
    let tokens = login_without_resource(&gate, &path_of("authorization_endpoint"), &id);
    assert_eq!(gate.call("a", &tokens.access, PING).status, 200);
    assert_eq!(
        gate.call("b", &tokens.access, PING).status,
        401,
        "one server's, not everybody's"
    );
    // Without a default, a token for all is what it would take: refused.
    let gate = Gate::start();
    let id = register(&gate, "/register");
    let (path, _) = request_without_resource("/authorize", &id);
    let told = gate.get(&path).one("location");
    assert_eq!(query_of(&told, "error").as_deref(), Some("invalid_target"));
}

#[test]
fn rev_3_the_default_paths_are_live_for_whoever_skips_discovery() {
    let gate = Gate::start_in("", &[("VESTIBULE_DEFAULT_SERVER", "a")]);
    let id = register(&gate, "/register");
    let tokens = login_without_resource(&gate, "/authorize", &id);
    assert_eq!(gate.call("a", &tokens.access, PING).status, 200);
    // And what is no document says so in JSON, not with a page of status 200.
    for path in [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/nothing",
        "/.well-known/oauth-authorization-server/a/mcp",
        "/a/mcp/.well-known/openid-configuration",
    ] {
        let answer = gate.get(path);
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.one("content-type"), "application/json", "{path}");
        assert_eq!(answer.one("access-control-allow-origin"), "*", "{path}");
        let asked = [("origin", "http://localhost:6274")];
        let preflight = gate
            .wire()
            .request(&gate.host(), "OPTIONS", path, &asked, b"");
        assert_eq!(preflight.status, 204, "{path}");
    }
}

fn register(gate: &Gate, path: &str) -> String {
    let body = json!({ "client_name": "Old client", "redirect_uris": [support::REDIRECT] });
    let headers = [("content-type", "application/json")];
    let body = body.to_string();
    let answer = gate
        .wire()
        .request(&gate.host(), "POST", path, &headers, body.as_bytes());
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["client_id"]
        .as_str()
        .expect("an id")
        .to_owned()
}

fn request_without_resource(path: &str, id: &str) -> (String, CodeVerifier) {
    let verifier = CodeVerifier::from_random(&World::real().random());
    let path = with_query(
        path,
        &[
            ("response_type", "code"),
            ("client_id", id),
            ("redirect_uri", support::REDIRECT),
            ("code_challenge", &verifier.challenge().text()),
            ("code_challenge_method", "S256"),
            ("state", "s"),
        ],
    );
    (path, verifier)
}

fn login_without_resource(gate: &Gate, path: &str, id: &str) -> Tokens {
    let (path, verifier) = request_without_resource(path, id);
    let code = Browser::new("ada").code(gate, &path);
    let answer = gate.token(&[
        ("grant_type", "authorization_code"),
        ("client_id", id),
        ("code", &code),
        ("code_verifier", verifier.expose()),
        ("redirect_uri", support::REDIRECT),
    ]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    Tokens::of(&answer.json())
}

#[test]
fn rev_5_rev_6_every_generation_is_told_where_to_log_in_in_its_own_way() {
    let gate = Gate::start();
    let initialize = |version: &str| {
        json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize",
                "params": { "protocolVersion": version, "capabilities": {} } })
        .to_string()
    };
    let discover = json!({ "jsonrpc": "2.0", "id": 1, "method": "server/discover",
                           "params": { "_meta": meta(MODERN) } })
    .to_string();
    let modern = [
        ("mcp-protocol-version", MODERN),
        ("mcp-method", "server/discover"),
    ];
    type First<'t> = (&'t str, &'t [(&'t str, &'t str)], String);
    let table: [First<'_>; 4] = [
        ("2025-03-26", &[], initialize("2025-03-26")),
        ("2025-06-18", &[], initialize("2025-06-18")),
        ("2025-11-25", &[], initialize("2025-11-25")),
        (MODERN, &modern, discover),
    ];
    for (revision, headers, body) in table {
        let answer = gate.post_mcp("a", headers, &body);
        assert_eq!(answer.status, 401, "{revision}");
        // 2025-06-18 has nothing but this header; the one before knows the root only.
        let challenge = answer.one("www-authenticate");
        let at = challenge
            .split("resource_metadata=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .unwrap_or_else(|| panic!("{revision}: {challenge}"));
        assert!(challenge.starts_with("Bearer ") && !challenge.contains("error="));
        let document = gate.get(&at[gate.origin.len()..]).json();
        assert_eq!(document["resource"], gate.resource("a"));
        assert_eq!(document["authorization_servers"], json!([gate.origin]));
    }
    // Documents for the newer, registration for the older, and a newer one may choose.
    let document = gate.get("/.well-known/oauth-authorization-server").json();
    assert_eq!(document["client_id_metadata_document_supported"], true);
    assert!(document["registration_endpoint"].is_string());
    let methods = &document["token_endpoint_auth_methods_supported"];
    assert!(
        methods
            .as_array()
            .is_some_and(|all| all.contains(&json!("none")))
    );
}

#[test]
fn rev_11_rev_12_mod_8_px_3_what_a_server_says_of_its_age_arrives_as_it_said_it() {
    let gate = Gate::start();
    let token = gate.honest_login().access;
    let error = |code: i32| {
        format!(
            r#"{{ "jsonrpc":"2.0","id":1, "error":{{"code":{code},"message":"x","data":{{"requested":"2026-07-28","supported":["2025-11-25"]}}}} }}"#
        )
    };
    let table = [
        // A server from before 2026-07-28 that does not know the method or the header: a
        // client of both ages falls back to `initialize` because it sees just this.
        (
            400,
            "application/json",
            r#"{"error":"Bad Request: no valid session ID provided"}"#.to_owned(),
        ),
        (400, "application/json", error(-32000)),
        (405, "text/plain", "Method Not Allowed".to_owned()),
        (404, "text/plain", "Not Found".to_owned()),
        // A newer one: unknown method, missing capability, unsupported version.
        (404, "application/json", error(-32601)),
        (400, "application/json", error(-32021)),
        (400, "application/json", error(-32022)),
        (400, "application/json", error(-32602)),
        // What older servers say to older clients.
        (200, "application/json", error(-32002)),
        (200, "application/json", error(-32042)),
    ];
    for (status, kind, body) in table {
        gate.echo.answers(status, kind, &body);
        let params = json!({ "_meta": meta(MODERN) });
        let answer = modern(&gate, &token, "server/discover", &params, &[]);
        assert_eq!(
            (answer.status, answer.text()),
            (status, body.clone()),
            "{kind}"
        );
    }
    // What the gateway says itself never looks like a newer server: only where the body
    // itself claims to be of 2026-07-28 and its headers deny it is there -32020.
    let lie = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
                      "params": { "name": "a" } })
    .to_string();
    let bearer = format!("Bearer {token}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("mcp-protocol-version", "2025-11-25"),
        ("mcp-name", "b"),
    ];
    let answer = gate.post_mcp("a", &headers, &lie);
    assert_eq!(answer.status, 400);
    assert!(answer.json().get("jsonrpc").is_none(), "{}", answer.text());
    assert!(!answer.text().contains("-320"), "{}", answer.text());
}

#[test]
fn mod_5_mod_7_px_1_what_the_gateway_does_not_need_is_the_server_s_to_judge() {
    let gate = Gate::start();
    let token = gate.honest_login().access;
    let cases: [(Value, &[(&str, &str)]); 5] = [
        // Who the client is need not be said.
        (json!({ "name": "get_x", "_meta": meta(MODERN) }), &[]),
        // Nor capabilities or even the version in the body.
        (
            json!({ "name": "get_x", "_meta": { "io.modelcontextprotocol/protocolVersion": MODERN } }),
            &[],
        ),
        (json!({ "name": "get_x", "_meta": {} }), &[]),
        (json!({ "name": "get_x" }), &[]),
        // A parameter that nobody here knows, and one that contradicts the body: no rule
        // rests on it.
        (
            json!({ "name": "get_x", "arguments": { "region": "us" }, "_meta": meta(MODERN) }),
            &[
                ("mcp-param-region", "eu"),
                ("mcp-param-unheard-of", "=?base64?w6k=?="),
            ],
        ),
    ];
    for (params, more) in cases {
        gate.echo.take();
        let mut headers = vec![("mcp-name", "get_x")];
        headers.extend_from_slice(more);
        let answer = modern(&gate, &token, "tools/call", &params, &headers);
        assert_eq!(answer.status, 200, "{params}: {}", answer.text());
        let seen = gate.echo.take().pop().expect("it came through");
        for (name, value) in more {
            assert_eq!(seen.headers[*name], *value);
        }
        let body: Value = serde_json::from_slice(&seen.body).expect("JSON");
        assert_eq!(body["params"], params);
    }
    // The server's own refusal of what it misses arrives.
    let refusal =
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"_meta is missing"}}"#;
    gate.echo.answers(400, "application/json", refusal);
    let answer = modern(
        &gate,
        &token,
        "tools/call",
        &json!({ "name": "get_x" }),
        &[("mcp-name", "get_x")],
    );
    assert_eq!((answer.status, answer.text()), (400, refusal.to_owned()));
}

#[test]
fn disc_14_t_mcp_13_a_server_s_own_documents_reach_nobody() {
    let gate = Gate::start();
    let rogue = json!({ "resource": gate.resource("a"), "issuer": "https://evil.example",
                        "authorization_servers": ["https://evil.example"] })
    .to_string();
    gate.echo.take();
    for path in [
        "/.well-known/oauth-protected-resource/a/mcp",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/a/mcp/.well-known/oauth-protected-resource",
        "/a/.well-known/oauth-protected-resource",
        "/.well-known/oauth-authorization-server/a/mcp",
        "/.well-known/anything",
    ] {
        gate.echo.answers(200, "application/json", &rogue);
        let answer = gate.get(path);
        assert!(
            matches!(answer.status, 200 | 404),
            "{path}: {}",
            answer.status
        );
        assert!(!answer.text().contains("evil.example"), "{path}");
    }
    assert_eq!(gate.echo.take().len(), 0, "it was not even asked");
    gate.honest_login();
}
