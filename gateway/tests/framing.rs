//! Where one request ends and the next begins, how long anybody may take, and how many
//! connections one may hold: attacked on the wire, each followed by an honest call.

mod support;

use support::{Gate, PING, wire::Wire};

fn head(gate: &Gate, token: &str, lines: &str) -> String {
    format!(
        "POST /a/mcp HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\n{lines}\r\n",
        gate.host()
    )
}

/// Statuses of all answers until the connection ends.
fn statuses(wire: &mut Wire) -> Vec<u16> {
    let mut all = Vec::new();
    while let Some((status, headers)) = wire.head() {
        all.push(status);
        let find = |name: &str| {
            headers
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, v)| v.clone())
        };
        let length = find("content-length").and_then(|value| value.parse().ok());
        wire.skip(length.unwrap_or(0));
        if find("connection").as_deref() == Some("close") {
            assert!(wire.is_closed(), "it said so");
            break;
        }
    }
    all
}

#[test]
fn t_prx_01_t_prx_15_a_request_behind_another_is_looked_at_like_the_first() {
    let gate = Gate::start();
    let token = gate.honest_login().access;
    let length = format!("content-length: {}\r\n", PING.len());
    let good = format!("{}{PING}", head(&gate, &token, &length));
    let get = format!("GET / HTTP/1.1\r\nhost: {}\r\n\r\n", gate.host());
    let chunked = format!("{:x}\r\n{PING}\r\n0\r\n\r\n", PING.len());
    let both = head(
        &gate,
        &token,
        "content-length: 4\r\ntransfer-encoding: chunked\r\n",
    );
    let lax = both.replace("\r\n\r\n", "\n\r\n");
    for (what, bytes) in [
        ("behind a page", format!("{get}{both}{chunked}")),
        ("behind a call", format!("{good}{both}{chunked}")),
        ("with a lax end", format!("{lax}{chunked}")),
        (
            "behind a call, with a lax end",
            format!("{good}{lax}{chunked}"),
        ),
    ] {
        gate.echo.take();
        let mut wire = gate.wire();
        wire.send(bytes.as_bytes());
        let all = statuses(&mut wire);
        assert_eq!(all.last(), Some(&400), "{what}: {all:?}");
        let bodies: Vec<_> = gate.echo.take().into_iter().map(|seen| seen.body).collect();
        assert!(bodies.len() <= 1, "{what}: the second was not passed on");
    }
    // Two honest ones in one packet are two.
    let mut wire = gate.wire();
    wire.send(format!("{good}{good}").as_bytes());
    assert_eq!([wire.answer().status, wire.answer().status], [200, 200]);
    gate.honest_login();
}

#[test]
fn t_prx_15_a_body_that_was_not_read_is_no_request() {
    let gate = Gate::start();
    let token = gate.honest_login().access;
    gate.echo.take();
    let inner = format!(
        "{}{PING}",
        head(
            &gate,
            &token,
            &format!("content-length: {}\r\n", PING.len())
        )
    );
    let early = |lines: &str, auth: &str| {
        format!(
            "POST /a/mcp HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n{auth}{lines}\r\n",
            gate.host()
        )
    };
    let auth = format!("authorization: Bearer {token}\r\n");
    let large = 5 * 1024 * 1024;
    for (what, bytes, first) in [
        // No token: refused before the body, which is itself a good request.
        (
            "401 by length",
            format!(
                "{}{inner}",
                early(&format!("content-length: {}\r\n", inner.len()), "")
            ),
            401,
        ),
        (
            "401 by chunks",
            format!(
                "{}{:x}\r\n{inner}\r\n0\r\n\r\n",
                early("transfer-encoding: chunked\r\n", ""),
                inner.len()
            ),
            401,
        ),
        // Too large: what was announced is not read as something else.
        (
            "413 by length",
            format!(
                "{}{inner}",
                early(&format!("content-length: {large}\r\n"), &auth)
            ),
            413,
        ),
        (
            "413 by chunks",
            format!(
                "{}{large:x}\r\n{}{inner}",
                early("transfer-encoding: chunked\r\n", &auth),
                "x".repeat(large)
            ),
            413,
        ),
    ] {
        let mut wire = gate.wire();
        wire.send(bytes.as_bytes());
        let (status, _) = wire.head().expect("an answer");
        assert_eq!(status, first, "{what}");
        assert_eq!(
            gate.echo.take().len(),
            0,
            "{what}: nothing inside was a request"
        );
    }
    gate.honest_login();
}

#[test]
fn t_grd_06_rs_12_a_token_taken_back_while_the_body_arrives_calls_nothing() {
    let gate = Gate::start();
    let tokens = gate.honest_login();
    gate.echo.take();
    let mut wire = gate.wire();
    let lines = format!("content-length: {}\r\n", PING.len());
    let (begin, end) = PING.split_at(10);
    wire.send(format!("{}{begin}", head(&gate, &tokens.access, &lines)).as_bytes());
    let form = [
        ("client_id", support::CLIENT),
        ("token", tokens.refresh.as_str()),
    ];
    let gone = gate.wire().post_form(&gate.host(), "/revoke", &form, &[]);
    assert_eq!(gone.status, 200);
    wire.send(end.as_bytes());
    assert_eq!(wire.answer().status, 401);
    assert_eq!(gate.echo.take().len(), 0);
    gate.honest_login();
}

#[test]
fn t_prx_16_sizes_have_ends_of_their_own() {
    let gate = Gate::start();
    let token = gate.honest_login().access;
    let auth = format!("Bearer {token}");
    let large = "x".repeat(40 * 1024);
    let many: Vec<(String, String)> = (0..500)
        .map(|n| (format!("x-{n}"), "1".to_owned()))
        .collect();
    let status = |headers: &[(&str, &str)], path: &str| {
        let mut all = vec![
            ("authorization", auth.as_str()),
            ("content-type", "application/json"),
        ];
        all.extend_from_slice(headers);
        gate.wire()
            .request(&gate.host(), "POST", path, &all, PING.as_bytes())
            .status
    };
    assert_eq!(status(&[("x-large", &large)], "/a/mcp"), 431);
    let many: Vec<(&str, &str)> = many.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(status(&many, "/a/mcp"), 431);
    let address = format!("/a/mcp?{}", "x".repeat(9 * 1024));
    assert_eq!(status(&[], &address), 414);
    assert_eq!(
        status(&[], &format!("/token?{}", "x".repeat(9 * 1024))),
        414
    );
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"x":"{}"}}}}"#,
        "y".repeat(4 * 1024 * 1024)
    );
    assert_eq!(gate.call("a", &token, &body).status, 413);
    gate.honest_login();
}

#[test]
fn t_prx_16_one_address_takes_no_more_connections_than_its_own() {
    let gate = Gate::start_with("[limits]\nconnections = 8\nthreads = 1\n");
    let silent: Vec<Wire> = (0..8).map(|_| gate.wire()).collect();
    // The ninth is let go without a word.
    support::wait_until("the ninth to be turned away", || gate.wire().is_closed());
    drop(silent);
    support::wait_until("a place again", || {
        let mut wire = gate.wire();
        wire.send(format!("GET / HTTP/1.1\r\nhost: {}\r\n\r\n", gate.host()).as_bytes());
        wire.head().is_some_and(|(status, _)| status == 200)
    });
    // A proxy of ours brings everybody, and is not counted.
    let gate = Gate::start_in(
        "[limits]\nconnections = 2\nthreads = 1\n",
        &[
            ("VESTIBULE_PUBLIC_URL", "https://mcp.example.com"),
            ("VESTIBULE_TLS", "behind-proxy"),
            ("VESTIBULE_TRUSTED_PROXIES", "127.0.0.0/8"),
        ],
    );
    let mut all: Vec<Wire> = (0..6).map(|_| gate.wire()).collect();
    for wire in &mut all {
        assert_eq!(wire.get("mcp.example.com", "/", &[]).status, 200);
    }
}

#[test]
fn t_prx_16_t_mcp_11_a_client_that_reads_nothing_is_let_go() {
    let gate = Gate::start_with("[limits]\nread_time = \"1s\"\nkeep_alive = \"1s\"\n");
    let token = gate.honest_login().access;
    let wire = gate.open_stream("a", &token, "");
    support::wait_until("the stream to open", || gate.echo.streams() == 1);
    // More than any buffer on the way holds.
    let event = format!("data: {}\n\n", "x".repeat(1 << 20));
    for _ in 0..32 {
        gate.echo.send(&event);
    }
    support::wait_until("the server's stream to be let go", || {
        gate.echo.streams() == 0
    });
    drop(wire);
    gate.honest_login();
}
