//! What a request meets on its way to an MCP server, attacked on the wire; each attack
//! followed by an honest call.

mod support;

use support::{Browser, Gate, PING, tool_call, wait_until, wire::Wire};

const JSON: (&str, &str) = ("content-type", "application/json");

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[test]
fn rs_1_rs_2_rs_4_rs_5_t_grd_01_t_grd_12_without_one_good_token_nothing_goes_further() {
    let gate = Gate::start();
    let tokens = gate.honest_login();
    let good = bearer(&tokens.access);
    gate.echo.take();
    for method in ["POST", "GET", "DELETE"] {
        let body: &[u8] = if method == "POST" {
            PING.as_bytes()
        } else {
            b""
        };
        let answer = gate
            .wire()
            .request(&gate.host(), method, "/a/mcp", &[JSON], body);
        assert_eq!(answer.status, 401, "{method}");
        assert_eq!(
            answer.one("www-authenticate"),
            format!(
                "Bearer resource_metadata=\"{}/.well-known/oauth-protected-resource/a/mcp\", scope=\"a:read\"",
                gate.origin
            )
        );
    }
    let challenge = |headers: &[(&str, &str)], path: &str| {
        let mut all = vec![JSON];
        all.extend_from_slice(headers);
        let answer = gate
            .wire()
            .request(&gate.host(), "POST", path, &all, PING.as_bytes());
        (answer.status, answer.one("www-authenticate"))
    };
    let (status, bare) = challenge(&[("authorization", "Basic dTpw")], "/a/mcp");
    assert!(status == 401 && !bare.contains("error="), "{bare}");
    for (headers, path, status) in [
        (vec![("authorization", "Bearer")], "/a/mcp", 400),
        (
            vec![
                ("authorization", good.as_str()),
                ("authorization", good.as_str()),
            ],
            "/a/mcp",
            400,
        ),
        (
            vec![("authorization", good.as_str())],
            "/a/mcp?access_token=x",
            400,
        ),
        (vec![("authorization", "Bearer vat_AAAA")], "/a/mcp", 401),
        (vec![("authorization", "Bearer \u{ff}")], "/a/mcp", 401),
    ] {
        let (got, challenge) = challenge(&headers, path);
        assert_eq!(got, status, "{headers:?} {path}");
        assert!(challenge.contains("error="), "{challenge}");
    }
    // No header, no default, no parameter, and no address stands for a token; all of these
    // come from this computer.
    for magic in [
        ("x-internal", "1"),
        ("router-key", "x"),
        ("x-api-key", "changeme"),
        ("ocp-apim-subscription-key", "x"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-vestibule-user", "root"),
        ("authorization", "Bearer admin"),
        ("authorization", "Bearer vat_"),
        ("cookie", "vestibule_session=1"),
    ] {
        assert_eq!(challenge(&[magic], "/a/mcp").0, 401, "{magic:?}");
    }
    for query in ["debug=1", "trace=true", "subscription-key=x", "user=ada"] {
        assert_eq!(challenge(&[], &format!("/a/mcp?{query}")).0, 401, "{query}");
    }
    assert_eq!(gate.echo.take().len(), 0, "the server saw nothing");
    assert_eq!(gate.call("a", &tokens.access, PING).status, 200);
}

#[test]
fn rs_3_rs_6_t_grd_02_t_grd_03_t_grd_04_t_grd_05_t_grd_06_t_grd_09_only_this_gateway_s_live_tokens_for_this_server()
 {
    let gate = Gate::start();
    let tokens = gate.honest_login();
    gate.echo.take();
    let wrong = gate.call("b", &tokens.access, PING);
    assert_eq!(wrong.status, 401);
    assert!(
        wrong
            .one("www-authenticate")
            .contains("/.well-known/oauth-protected-resource/b/mcp")
    );
    let other = Gate::start();
    let foreign = other.honest_login().access;
    let provider_jwt = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ.";
    let mut flipped = tokens.access.clone().into_bytes();
    flipped[40] = if flipped[40] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).expect("ascii");
    let mut answers = Vec::new();
    for token in [
        &tokens.refresh,
        &foreign,
        provider_jwt,
        &flipped,
        "vat_",
        &"A".repeat(9000),
    ] {
        let answer = gate.call("a", token, PING);
        assert_eq!(answer.status, 401, "{token:.20}");
        answers.push((answer.one("www-authenticate"), answer.text()));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "they cannot be told apart");
    assert_eq!(gate.echo.take().len(), 0);
    gate.turn_clock(10 * 60 + 31);
    assert_eq!(
        gate.call("a", &tokens.access, PING).status,
        401,
        "expired beyond the leeway"
    );
    gate.honest_login();
}

#[test]
fn rs_7_rs_8_t_grd_07_rs_11_a_tool_may_need_a_scope_of_its_own() {
    let gate = Gate::start();
    let tokens = gate.honest_login();
    assert_eq!(
        gate.call("a", &tokens.access, &tool_call("get_x")).status,
        200
    );
    gate.echo.take();
    let refused = gate.call("a", &tokens.access, &tool_call("set_x"));
    assert_eq!(refused.status, 403);
    let challenge = refused.one("www-authenticate");
    assert!(
        challenge.contains("error=\"insufficient_scope\"")
            && challenge.contains("scope=\"a:read a:write\"")
    );
    assert_eq!(gate.echo.take().len(), 0);
    let more = gate.login(&mut Browser::new("ada"), "a", "a:read a:write");
    assert_eq!(
        gate.call("a", &more.access, &tool_call("set_x")).status,
        200
    );
}

#[test]
fn px_1_px_2_px_13_rs_14_t_prx_05_t_prx_06_t_prx_07_t_prx_10_what_the_server_is_sent() {
    let gate = Gate::start();
    let tokens = gate.honest_login();
    gate.echo.take();
    let good = bearer(&tokens.access);
    let body = " {\"jsonrpc\":\"2.0\", \"id\":1,\"method\":\"ping\"} ";
    let headers = [
        ("authorization", good.as_str()),
        ("cookie", "a=b"),
        ("proxy-authorization", "Basic x"),
        ("dpop", "x"),
        ("connection", "x-nominated, x-vestibule-user"),
        ("x-nominated", "1"),
        ("x-vestibule-user", "root"),
        ("X-VESTIBULE-USER", "root"),
        ("x_vestibule_user", "root"),
        ("x-forwarded-user", "root"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "for=1.2.3.4"),
        ("x-original-url", "/b/mcp"),
        ("x-real-ip", "1.2.3.4"),
        ("traceparent", "00-1-2-03"),
        ("mcp-param-region", "eu"),
        ("mcp-protocol-version", "2025-11-25"),
        ("accept-language", "de"),
    ];
    assert_eq!(gate.post_mcp("a", &headers, body).status, 200);
    let seen = gate.echo.take().pop().expect("one request");
    assert_eq!(seen.body, body.as_bytes(), "the bytes that were read");
    assert_eq!(seen.target, "/backend-a");
    for gone in [
        "authorization",
        "cookie",
        "proxy-authorization",
        "dpop",
        "x-nominated",
        "x_vestibule_user",
        "x-forwarded-user",
        "x-forwarded-host",
        "forwarded",
        "x-original-url",
        "x-real-ip",
    ] {
        assert!(!seen.headers.contains_key(gone), "{gone}");
    }
    let users: Vec<_> = seen.headers.get_all("x-vestibule-user").iter().collect();
    assert!(users.len() == 1 && users[0] != "root", "{users:?}");
    assert_eq!(seen.headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(
        seen.headers["host"],
        gate.echo.origin.trim_start_matches("http://")
    );
    for (name, value) in [
        ("traceparent", "00-1-2-03"),
        ("mcp-param-region", "eu"),
        ("mcp-protocol-version", "2025-11-25"),
        ("accept-language", "de"),
    ] {
        assert_eq!(seen.headers[name], value);
    }
    gate.honest_login();
}

#[test]
fn px_3_px_5_rs_13_t_prx_11_t_prx_12_t_prx_14_what_of_an_answer_comes_through() {
    let gate = Gate::start();
    let tokens = gate.honest_login();
    let good = bearer(&tokens.access);
    let want = |what: &str| {
        gate.post_mcp(
            "a",
            &[("authorization", &good), ("mcp-param-want", what)],
            PING,
        )
    };
    let hostile = want("hostile");
    assert_eq!(hostile.status, 200);
    for gone in [
        "set-cookie",
        "www-authenticate",
        "access-control-allow-origin",
        "access-control-allow-credentials",
        "alt-svc",
        "clear-site-data",
        "server",
        "location",
    ] {
        assert!(!hostile.has(gone), "{gone}");
    }
    assert!(hostile.one("content-security-policy").contains("sandbox"));
    assert_eq!(hostile.one("x-content-type-options"), "nosniff");
    for what in ["401", "307", "html"] {
        let answer = want(what);
        assert_eq!(answer.status, 502, "{what}");
        assert!(!answer.has("www-authenticate") && !answer.has("location"));
        assert!(!answer.text().contains("<script"));
    }
    let untyped = want("untyped");
    assert_eq!(
        untyped.one("content-type"),
        "text/plain; charset=utf-8",
        "no page of ours"
    );
    let error = want("400");
    assert_eq!(error.status, 400);
    assert!(
        error.text().contains("-32022"),
        "the server's own error, byte for byte"
    );
    let accepted = want("202");
    assert_eq!((accepted.status, accepted.body.len()), (202, 0));
    gate.honest_login();
}

#[test]
fn t_prx_01_t_prx_02_t_prx_03_t_prx_04_t_prx_15_requests_that_could_be_read_in_two_ways() {
    let gate = Gate::start();
    let tokens = gate.honest_login();
    gate.echo.take();
    let host = gate.host();
    let auth = format!(
        "authorization: Bearer {}\r\ncontent-type: application/json\r\n",
        tokens.access
    );
    let smuggled = format!(
        "POST /a/mcp HTTP/1.1\r\nhost: {host}\r\n{auth}content-length: {}\r\n\r\n{PING}",
        PING.len()
    );
    let chunked = format!("{:x}\r\n{PING}\r\n0\r\n\r\n", PING.len());
    let head = |lines: &str| format!("POST /a/mcp HTTP/1.1\r\n{lines}{auth}");
    let good_host = format!("host: {host}\r\n");
    let table = [
        (
            "CL and TE",
            format!(
                "{}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n{chunked}{smuggled}",
                head(&good_host)
            ),
        ),
        (
            "TE and CL",
            format!(
                "{}transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n{chunked}{smuggled}",
                head(&good_host)
            ),
        ),
        (
            "two CL",
            format!(
                "{}content-length: 5\r\ncontent-length: {}\r\n\r\n{PING}",
                head(&good_host),
                PING.len()
            ),
        ),
        (
            "a list of CL",
            format!("{}content-length: 5, 6\r\n\r\n{PING}", head(&good_host)),
        ),
        (
            "signed CL",
            format!(
                "{}content-length: +{}\r\n\r\n{PING}",
                head(&good_host),
                PING.len()
            ),
        ),
        (
            "unknown coding",
            format!(
                "{}transfer-encoding: xchunked\r\n\r\n{chunked}",
                head(&good_host)
            ),
        ),
        (
            "chunked not last",
            format!(
                "{}transfer-encoding: chunked, identity\r\n\r\n{chunked}",
                head(&good_host)
            ),
        ),
        (
            "folded line",
            format!(
                "{}x-a: 1\r\n continued\r\ncontent-length: {}\r\n\r\n{PING}",
                head(&good_host),
                PING.len()
            ),
        ),
        (
            "blank before colon",
            format!(
                "{}content-length : {}\r\n\r\n{PING}",
                head(&good_host),
                PING.len()
            ),
        ),
        (
            "NUL in a value",
            format!(
                "{}x-a: a\0b\r\ncontent-length: {}\r\n\r\n{PING}",
                head(&good_host),
                PING.len()
            ),
        ),
        (
            "bare CR",
            format!(
                "{}x-a: a\rb\r\ncontent-length: {}\r\n\r\n{PING}",
                head(&good_host),
                PING.len()
            ),
        ),
        (
            "no host",
            format!("{}content-length: {}\r\n\r\n{PING}", head(""), PING.len()),
        ),
        (
            "two hosts",
            format!(
                "{}content-length: {}\r\n\r\n{PING}",
                head(&format!("{good_host}{good_host}")),
                PING.len()
            ),
        ),
        (
            "foreign host",
            format!(
                "{}content-length: {}\r\n\r\n{PING}",
                head("host: evil.example\r\n"),
                PING.len()
            ),
        ),
        (
            "host with path",
            format!(
                "{}content-length: {}\r\n\r\n{PING}",
                head(&format!("host: {host}/a\r\n")),
                PING.len()
            ),
        ),
        (
            "absolute form",
            format!(
                "POST http://169.254.169.254/ HTTP/1.1\r\n{good_host}{auth}content-length: {}\r\n\r\n{PING}",
                PING.len()
            ),
        ),
        (
            "absolute form of ours",
            format!(
                "POST http://{host}/a/mcp HTTP/1.1\r\n{good_host}{auth}content-length: {}\r\n\r\n{PING}",
                PING.len()
            ),
        ),
        (
            "CONNECT",
            format!("CONNECT evil.example:443 HTTP/1.1\r\n{good_host}\r\n"),
        ),
        (
            "TRACE",
            format!("TRACE /a/mcp HTTP/1.1\r\n{good_host}{auth}\r\n"),
        ),
        ("asterisk", format!("OPTIONS * HTTP/1.1\r\n{good_host}\r\n")),
    ];
    for (what, bytes) in table {
        let mut wire = Wire::connect(gate.port);
        wire.send(bytes.as_bytes());
        let (status, _) = wire.head().unwrap_or_else(|| panic!("{what}: no answer"));
        assert!(
            (400..500).contains(&status) || status == 501,
            "{what}: {status}"
        );
        assert_eq!(
            gate.echo.take().len(),
            0,
            "{what}: the server saw something"
        );
    }
    gate.honest_login();
}

#[test]
fn t_prx_08_t_prx_09_rev_12_a_path_is_a_server_s_or_it_is_not() {
    let gate = Gate::start();
    let tokens = gate.honest_login();
    gate.echo.take();
    let good = bearer(&tokens.access);
    // What a client of the transport of 2024-11-05 tries.
    for path in ["/sse", "/a/mcp/sse", "/a/sse"] {
        assert_eq!(gate.get(path).status, 404, "{path}");
    }
    for path in [
        "/a/mcp/../../b/mcp",
        "/a/%2e%2e/b/mcp",
        "/a//mcp",
        "/a/mcp/",
        "/a/mcp;x=/b/mcp",
        "/a%2fmcp",
        "/A/MCP",
        "/a/mcp%00",
        "/b/mcp/.well-known/oauth-protected-resource",
        "/healthz/../b/mcp",
        "/.well-known/oauth-protected-resource-evil",
        "/a/mcp/livez",
    ] {
        let headers = [("authorization", good.as_str()), JSON];
        let answer = gate
            .wire()
            .request(&gate.host(), "POST", path, &headers, PING.as_bytes());
        assert!(
            matches!(answer.status, 400 | 404 | 405),
            "{path}: {}",
            answer.status
        );
    }
    let query = gate.wire().request(
        &gate.host(),
        "POST",
        "/b/mcp?x=/.well-known/oauth-protected-resource",
        &[JSON],
        PING.as_bytes(),
    );
    assert_eq!(query.status, 401);
    assert_eq!(gate.echo.take().len(), 0);
    gate.honest_login();
}

#[test]
fn px_6_px_7_cors_3_cors_5_t_prx_18_pages_of_other_sites_are_turned_away_first() {
    let gate = Gate::start();
    let tokens = gate.honest_login();
    gate.echo.take();
    let good = bearer(&tokens.access);
    for origin in [
        "https://evil.example",
        "null",
        "https://app.example.evil.example",
    ] {
        let answer = gate.post_mcp("a", &[("authorization", &good), ("origin", origin)], PING);
        assert_eq!(answer.status, 403, "{origin}");
        assert!(!answer.has("access-control-allow-origin"));
        let bare = gate.post_mcp("a", &[("origin", origin)], PING);
        assert_eq!(bare.status, 403, "before authentication");
    }
    let two = [
        ("authorization", good.as_str()),
        ("origin", "https://app.example"),
        ("origin", "https://app.example"),
    ];
    assert_eq!(gate.post_mcp("a", &two, PING).status, 403);
    assert_eq!(gate.echo.take().len(), 0);
    let listed = gate.post_mcp(
        "a",
        &[("authorization", &good), ("origin", "https://app.example")],
        PING,
    );
    assert_eq!(listed.status, 200);
    let from_there = ("origin", "https://app.example");
    let refused = gate.post_mcp("a", &[from_there], PING);
    assert_eq!(refused.status, 401);
    let token = ("authorization", good.as_str());
    let tool = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"set_x"}}"#;
    let needs_more = gate.post_mcp("a", &[token, from_there], tool);
    assert_eq!(needs_more.status, 403);
    gate.echo.answers(502, "text/plain", "");
    let broken = gate.post_mcp("a", &[token, from_there], PING);
    assert_eq!(broken.status, 502);
    for answer in [listed, refused, needs_more, broken] {
        assert_eq!(
            answer.one("access-control-expose-headers"),
            "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, DPoP-Nonce, Retry-After",
            "{}",
            answer.status
        );
        let origin = answer.one("access-control-allow-origin");
        assert_eq!(origin, "https://app.example", "{}", answer.status);
    }
    let preflight = gate.wire().request(
        &gate.host(),
        "OPTIONS",
        "/a/mcp",
        &[
            ("origin", "https://app.example"),
            ("access-control-request-method", "POST"),
        ],
        b"",
    );
    assert_eq!(preflight.status, 204);
    gate.honest_login();
}

#[test]
fn px_8_t_mcp_01_t_mcp_02_t_mcp_03_t_mcp_04_t_mcp_05_t_mcp_08_t_mcp_12_bodies_that_do_not_pass() {
    let gate = Gate::start();
    let tokens = gate.honest_login();
    gate.echo.take();
    let good = bearer(&tokens.access);
    let post = |headers: &[(&str, &str)], body: &str| {
        let mut all = vec![("authorization", good.as_str())];
        all.extend_from_slice(headers);
        let answer = gate.post_mcp("a", &all, body);
        let code = serde_json::from_slice::<serde_json::Value>(&answer.body)
            .ok()
            .and_then(|v| v["error"]["code"].as_i64());
        (answer.status, code)
    };
    let v = ("mcp-protocol-version", "2026-07-28");
    let old = ("mcp-protocol-version", "2025-11-25");
    let modern = r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"get_x","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    let denied = format!("[{PING},{}]", tool_call("set_x"));
    assert_eq!(post(&[old], &format!("[{PING}]")), (400, Some(-32600)));
    assert_eq!(post(&[v], &format!("[{PING}]")), (400, Some(-32600)));
    assert_eq!(
        post(&[], &denied).0,
        403,
        "one denied item refuses the whole"
    );
    assert_eq!(
        post(
            &[],
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"x"}"#
        ),
        (400, Some(-32600))
    );
    assert_eq!(
        post(
            &[],
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"x"}"#
        ),
        (400, Some(-32600))
    );
    assert_eq!(post(&[], "{"), (400, Some(-32700)));
    assert_eq!(post(&[], &format!("{PING}x")), (400, Some(-32700)));
    assert_eq!(post(&[], "17"), (400, Some(-32600)));
    assert_eq!(
        post(&[v, ("mcp-method", "tools/call")], modern),
        (400, Some(-32020))
    );
    assert_eq!(
        post(
            &[v, ("mcp-method", "tools/call"), ("mcp-name", "set_x")],
            modern
        ),
        (400, Some(-32020))
    );
    assert_eq!(
        post(
            &[("mcp-method", "tools/call"), ("mcp-name", "get_x")],
            modern
        ),
        (400, Some(-32020))
    );
    assert_eq!(
        post(&[old, ("mcp-method", "tools/list")], &tool_call("get_x")),
        (400, None),
        "REV-11"
    );
    // The header names an allowed tool, the body a forbidden one.
    let lying = modern.replace("get_x", "set_x");
    assert_eq!(
        post(
            &[v, ("mcp-method", "tools/call"), ("mcp-name", "get_x")],
            &lying
        ),
        (400, Some(-32020))
    );
    assert_eq!(post(&[v], r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).0, 400);
    let raw = |headers: &[(&str, &str)]| {
        let mut all = vec![("authorization", good.as_str())];
        all.extend_from_slice(headers);
        gate.wire()
            .request(&gate.host(), "POST", "/a/mcp", &all, PING.as_bytes())
            .status
    };
    assert_eq!(raw(&[("content-type", "text/plain")]), 415);
    assert_eq!(raw(&[]), 415);
    assert_eq!(raw(&[JSON, JSON]), 415);
    assert_eq!(
        raw(&[("content-type", "application/json; charset=utf-16")]),
        415
    );
    assert_eq!(raw(&[JSON, ("content-encoding", "gzip")]), 415);
    assert_eq!(
        gate.echo.take().len(),
        0,
        "the server saw nothing of all that"
    );
    assert_eq!(
        post(
            &[v, ("mcp-method", "tools/call"), ("mcp-name", "get_x")],
            modern
        )
        .0,
        200
    );
    let large = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"x":"{}"}}}}"#,
        "y".repeat(4 << 20)
    );
    assert_eq!(
        gate.call("a", &tokens.access, &large).status,
        413,
        "T-PRX-16"
    );
    gate.honest_login();
}

#[test]
fn ses_1_ses_3_ses_4_ses_7_mod_9_rev_12_t_mcp_07_a_session_is_one_person_s_and_one_client_s() {
    let gate = Gate::start();
    let ada = bearer(&gate.honest_login().access);
    let bob = bearer(&gate.login(&mut Browser::new("bob"), "a", "a:read").access);
    let opened = gate.post_mcp(
        "a",
        &[("authorization", &ada), ("mcp-param-want", "session")],
        PING,
    );
    let session = opened.one("mcp-session-id");
    assert!(session.len() > 20, "the server's own is `1`");
    gate.echo.take();
    let with = |token: &str, method: &str, headers: &[(&str, &str)]| {
        let mut all = vec![("authorization", token), JSON];
        all.extend_from_slice(headers);
        let body: &[u8] = if method == "POST" {
            PING.as_bytes()
        } else {
            b""
        };
        gate.wire()
            .request(&gate.host(), method, "/a/mcp", &all, body)
    };
    let id = ("mcp-session-id", session.as_str());
    for method in ["POST", "GET", "DELETE"] {
        assert_eq!(with(&bob, method, &[id]).status, 404, "{method} by another");
        assert_eq!(
            with(&ada, method, &[("mcp-session-id", "1")]).status,
            404,
            "{method} guessed"
        );
        assert_eq!(
            with("Bearer x", method, &[id]).status,
            401,
            "401 comes first"
        );
    }
    assert_eq!(
        with(&ada, "GET", &[("last-event-id", "5")]).status,
        400,
        "no resuming without it"
    );
    assert_eq!(gate.echo.take().len(), 0);
    assert_eq!(with(&ada, "POST", &[id]).status, 200);
    assert_eq!(
        gate.echo.take()[0].headers["mcp-session-id"],
        "1",
        "the server's own again"
    );
    assert_eq!(with(&ada, "DELETE", &[id]).status, 200);
    assert_eq!(gate.echo.take()[0].method, "DELETE");
    // The same person after another login with the same client keeps it.
    let again = bearer(&gate.honest_login().access);
    assert_eq!(with(&again, "POST", &[id]).status, 200);
    // In the stateless age there are no sessions.
    let modern = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "ping"),
        id,
        ("mcp-param-want", "session"),
        ("last-event-id", "5"),
    ];
    gate.echo.take();
    let answer = with(&ada, "POST", &modern);
    assert!(
        answer.status == 200 && !answer.has("mcp-session-id"),
        "{answer:?}"
    );
    let seen = gate.echo.take().pop().expect("one");
    assert!(
        !seen.headers.contains_key("mcp-session-id") && !seen.headers.contains_key("last-event-id")
    );
    gate.honest_login();
}

#[test]
fn px_9_px_11_rs_12_t_grd_06_t_mcp_11_a_stream_is_passed_at_once_and_ends_with_its_grant() {
    let gate = Gate::start();
    let tokens = gate.honest_login();
    let mut wire = gate.stream("a", &tokens.access);
    for event in ["id: 1\ndata: \n\n", "data: {\"a\":1}\n\n", ": comment\n\n"] {
        gate.echo.send(event);
        assert_eq!(
            wire.chunk().expect("a chunk"),
            event.as_bytes(),
            "each as it comes"
        );
    }
    // The client goes away: the server hears of it.
    assert_eq!(gate.echo.streams(), 1);
    drop(wire);
    wait_until("the server's stream is let go", || {
        gate.echo.send(": still there?\n\n");
        gate.echo.streams() == 0
    });
    // The grant ends: the stream ends, and nothing more is passed.
    let mut wire = gate.stream("a", &tokens.access);
    let form = [
        ("client_id", support::CLIENT),
        ("token", tokens.refresh.as_str()),
    ];
    assert_eq!(
        gate.wire()
            .post_form(&gate.host(), "/revoke", &form, &[])
            .status,
        200
    );
    assert_eq!(wire.chunk(), None, "closed");
    assert_eq!(gate.call("a", &tokens.access, PING).status, 401);
    wait_until("the server's stream is let go", || gate.echo.streams() == 0);
    gate.honest_login();
}

#[test]
fn t_mcp_09_many_calls_with_one_id_each_get_their_own_answer() {
    let gate = Gate::start();
    let people = ["ada", "bob"].map(|name| {
        let token = gate.login(&mut Browser::new(name), "a", "a:read").access;
        gate.echo.take();
        assert_eq!(gate.call("a", &token, PING).status, 200);
        let user = gate.echo.take()[0].headers["x-vestibule-user"].clone();
        (token, user.to_str().expect("text").to_owned())
    });
    assert_ne!(people[0].1, people[1].1);
    let host = gate.host();
    std::thread::scope(|scope| {
        for n in 0..40usize {
            let (gate, host, (token, user)) = (&gate, &host, &people[n % 2]);
            scope.spawn(move || {
                let auth = bearer(token);
                let mut kept = gate.wire();
                for round in 0..20 {
                    let mark = format!("{n}-{round}");
                    let headers = [
                        JSON,
                        ("authorization", auth.as_str()),
                        ("mcp-param-want", "mark"),
                        ("mcp-param-mark", &mark),
                    ];
                    // One in five goes away without waiting; its answer is nobody's.
                    if (n + round) % 5 == 0 {
                        let head: String = headers
                            .iter()
                            .map(|(name, value)| format!("{name}: {value}\r\n"))
                            .collect();
                        let mut gone = gate.wire();
                        gone.send(
                            format!(
                                "POST /a/mcp HTTP/1.1\r\nhost: {host}\r\n{head}content-length: {}\r\n\r\n{PING}",
                                PING.len()
                            )
                            .as_bytes(),
                        );
                        continue;
                    }
                    let answer = kept.request(host, "POST", "/a/mcp", &headers, PING.as_bytes());
                    assert_eq!(answer.json()["result"], format!("{mark} {user}"));
                }
            });
        }
    });
}

#[test]
fn px_4_a_server_that_is_away_is_a_502_and_a_public_one_needs_no_token() {
    let gate = Gate::start_with(
        "[servers.away]\npath = \"/away/mcp\"\nupstream = \"http://127.0.0.1:1/\"\npublic = true\n",
    );
    assert_eq!(gate.post_mcp("away", &[], PING).status, 502);
    assert_eq!(gate.post_mcp("open", &[], PING).status, 200);
    let put = gate.wire().request(&gate.host(), "PUT", "/a/mcp", &[], b"");
    assert_eq!(
        (put.status, put.one("allow").as_str()),
        (405, "GET, POST, DELETE, OPTIONS")
    );
    gate.honest_login();
}

#[test]
fn health_is_on_its_own_listener() {
    let gate = Gate::start();
    let admin = format!("127.0.0.1:{}", gate.admin);
    let get = |path: &str| Wire::to(&admin).get(&admin, path, &[]);
    assert_eq!((get("/livez").status, get("/readyz").status), (200, 200));
    let verbose = get("/readyz?verbose").text();
    assert!(
        verbose.contains("[+]store ok") && verbose.ends_with("readyz ok\n"),
        "{verbose}"
    );
    assert_eq!(gate.get("/readyz").status, 404, "not where clients are");
}

#[test]
fn up_12_a_provider_that_hangs_makes_nobody_wait_but_logins() {
    // Connections are taken by the system, and nobody ever answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let issuer = format!("http://{}", silent.local_addr().expect("bound"));
    let gate = Gate::start_in("", &[("VESTIBULE_IDP__ISSUER", &issuer)]);
    let (send, answer) = std::sync::mpsc::channel();
    let (admin, open) = (format!("127.0.0.1:{}", gate.admin), gate.port);
    let host = gate.host();
    std::thread::spawn(move || {
        let ready = Wire::to(&admin).get(&admin, "/readyz?verbose", &[]);
        let call =
            Wire::connect(open).request(&host, "POST", "/open/mcp", &[JSON], PING.as_bytes());
        let _ = send.send((ready.status, ready.text(), call.status));
    });
    let (ready, verbose, call) = answer
        .recv_timeout(std::time::Duration::from_secs(5))
        .expect("nobody waits for the provider");
    assert_eq!((ready, call), (200, 200));
    assert!(verbose.contains("[!]idp degraded"), "{verbose}");
}

#[test]
fn t_prx_16_a_slow_head_is_cut_off_and_a_silent_connection_is_kept() {
    let gate = Gate::start_with("[limits]\nheader_time = \"1s\"\nidle_time = \"3s\"\n");
    let headers = [JSON];
    let host = gate.host();
    let ask = |wire: &mut Wire| {
        wire.request(&host, "POST", "/open/mcp", &headers, PING.as_bytes())
            .status
    };
    let mut kept = gate.wire();
    assert_eq!(ask(&mut kept), 200);
    let mut slow = gate.wire();
    slow.send(b"POST /open/mcp HTTP/1.1\r\nhost: ");
    assert!(slow.is_closed(), "a head that does not end");
    // More than a second has passed in silence, which is no slow head.
    assert_eq!(ask(&mut kept), 200);
    assert_eq!(ask(&mut kept), 200);
    assert!(kept.is_closed(), "silent for three seconds");
    let mut unused = gate.wire();
    assert!(unused.is_closed(), "never said anything");
}

#[test]
fn px_1_a_kept_connection_that_the_server_closed_is_replaced_before_it_is_used() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let (closed, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            use std::io::{Read as _, Write as _};
            let mut stream = stream.expect("a connection");
            let _ = stream.read(&mut [0; 8192]);
            let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                          content-length: 2\r\n\r\n{}";
            let _ = stream.write_all(answer.as_bytes());
            drop(stream);
            let _ = closed.send(());
        }
    });
    let gate = Gate::start_with(&format!(
        "[limits]\nthreads = 1\n[servers.hand]\npath = \"/hand/mcp\"\n\
         upstream = \"http://127.0.0.1:{port}\"\n"
    ));
    let tokens = gate.login(&mut Browser::new("ada"), "hand", "");
    for _ in 0..5 {
        assert_eq!(gate.call("hand", &tokens.access, PING).status, 200);
        wait.recv().expect("it was closed");
    }
    gate.honest_login();
}

#[test]
fn px_3_a_server_that_answers_early_still_gets_the_whole_request() {
    use std::io::{Read as _, Write as _};
    const LENGTH: usize = 15_000_000;
    // Little fits between the two, so that most of the request is still to be written.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    socket.set_recv_buffer_size(4096).expect("set");
    let any: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
    socket.bind(&any.into()).expect("a port");
    socket.listen(1).expect("listens");
    let listener = std::net::TcpListener::from(socket);
    let port = listener.local_addr().expect("bound").port();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut first = [0; 1024];
        let mut count = stream.read(&mut first).expect("a request");
        let answer = "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer.as_bytes()).expect("taken");
        // Read on only when the client has its answer.
        wait.recv().expect("told");
        let mut rest = [0; 65_536];
        while count < LENGTH {
            match stream.read(&mut rest) {
                Ok(more @ 1..) => count += more,
                _ => break,
            }
        }
        let _ = tell.send(count);
    });
    let gate = Gate::start_with(&format!(
        "[limits]\nmcp_body = 16000000\n[servers.hand]\npath = \"/hand/mcp\"\nupstream = \"http://127.0.0.1:{port}\"\n"
    ));
    let tokens = gate.login(&mut Browser::new("ada"), "hand", "");
    let body = format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/x","params":{{"x":"{}"}}}}"#,
        "x".repeat(LENGTH)
    );
    assert_eq!(gate.call("hand", &tokens.access, &body).status, 202);
    go.send(()).expect("it waits");
    assert!(told.recv().expect("a count") >= LENGTH, "cut short");
    gate.honest_login();
}
