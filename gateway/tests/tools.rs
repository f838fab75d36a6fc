//! Rules about tools, and the doors beside them.

mod support;

use serde_json::json;
use support::{Browser, Gate, Tokens, tool_call};

const TEAM: &str = r#"
[servers.team]
path = "/team/mcp"
upstream = "ECHO/team?tenant=ours"
tools."delete_*" = { allow = ["group:editors"] }
"#;

fn bob(gate: &Gate) -> Tokens {
    gate.login(&mut Browser::new("bob"), "team", "")
}

#[test]
fn rs_11_t_mcp_06_a_call_that_names_no_tool_passes_no_rule() {
    let gate = Gate::start_with(TEAM);
    let token = bob(&gate).access;
    gate.echo.take();
    let call = |method: &str, params: serde_json::Value| {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        gate.call("team", &token, &body.to_string()).status
    };
    // What servers with lax readers take for a name.
    for params in [
        json!(["delete_all", {}]),
        json!({ "name": ["delete_all"] }),
        json!({ "name": { "toString": "delete_all" } }),
        json!({ "name": null }),
        json!({}),
    ] {
        assert_eq!(call("tools/call", params.clone()), 400, "{params}");
    }
    for method in [
        "Tools/Call",
        "tools/call ",
        "tools/call\u{0}",
        "\u{feff}tools/call",
    ] {
        assert_eq!(
            call(method, json!({ "name": "delete_all" })),
            400,
            "{method:?}"
        );
    }
    for tool in [
        "delete_all",
        "Delete_all",
        "delete_all ",
        "\u{feff}delete_all",
        "delete\u{200b}_all",
        "DELETE_ALL",
    ] {
        assert_eq!(call("tools/call", json!({ "name": tool })), 403, "{tool:?}");
    }
    assert_eq!(gate.echo.take().len(), 0, "the server saw nothing");
    assert_eq!(gate.call("team", &token, &tool_call("read")).status, 200);
    // Where there are no rules it is the server's to judge (MOD-7).
    let b = gate.login(&mut Browser::new("bob"), "b", "").access;
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": [] });
    assert_eq!(gate.call("b", &b, &body.to_string()).status, 200);
}

#[test]
fn t_mcp_06_a_list_in_another_form_is_not_shown() {
    let gate = Gate::start_with(TEAM);
    let token = bob(&gate).access;
    let all = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"delete_all"}]}}"#;
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    for (status, kind) in [
        (200, "text/plain"),
        (200, "application/octet-stream"),
        (202, "text/plain"),
        (202, "application/octet-stream"),
    ] {
        gate.echo.answers(status, kind, all);
        let answer = gate.call("team", &token, list);
        assert_eq!(answer.status, 502, "{status} {kind}");
        assert!(!answer.text().contains("delete_all"), "{status} {kind}");
    }
    // Nor encoded, nor in parts.
    let auth = format!("Bearer {token}");
    for want in ["gzip", "untyped"] {
        let headers = [("authorization", auth.as_str()), ("mcp-param-want", want)];
        assert_eq!(gate.post_mcp("team", &headers, list).status, 502, "{want}");
    }
    gate.echo.take();
    let headers = [
        ("authorization", auth.as_str()),
        ("range", "bytes=40-60"),
        ("if-none-match", "x"),
    ];
    assert_eq!(gate.post_mcp("team", &headers, list).status, 200);
    let seen = gate.echo.take().pop().expect("one");
    assert!(!seen.headers.contains_key("range") && !seen.headers.contains_key("if-none-match"));
}

#[test]
fn t_prx_12_the_operator_s_query_stands_alone() {
    let gate = Gate::start_with(TEAM);
    let token = bob(&gate).access;
    gate.echo.take();
    let auth = format!("Bearer {token}");
    let headers = [
        ("authorization", auth.as_str()),
        ("content-type", "application/json"),
    ];
    let answer = gate.wire().request(
        &gate.host(),
        "POST",
        "/team/mcp?tenant=theirs",
        &headers,
        support::PING.as_bytes(),
    );
    assert_eq!(answer.status, 200);
    assert_eq!(gate.echo.take()[0].target, "/team?tenant=ours");
}
