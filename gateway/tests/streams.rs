//! Streams: kept alive, bounded, resumed, edited where the rules say so, and those of the
//! transport of 2024-11-05; each with the attacks on it.

mod support;

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::mpsc,
    thread,
};

use serde_json::Value;
use support::{
    Browser, CLIENT, Gate, PING, tool_call, wait_until,
    wire::{Answer, Wire},
};
use vestibule::world::World;

const SSE: &str = "text/event-stream";

fn list(id: u32) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list"}}"#)
}

fn now() -> u64 {
    World::real().now().unix()
}

/// The next chunk that is no comment.
fn event(wire: &mut Wire) -> Option<String> {
    loop {
        let chunk = String::from_utf8(wire.chunk()?).expect("UTF-8");
        if !chunk.starts_with(':') {
            return Some(chunk);
        }
    }
}

#[test]
fn px_9_a_quiet_stream_hears_comments_between_its_events() {
    let gate = Gate::start_with("[limits]\nkeep_alive = \"1s\"\nstream_idle = \"4s\"");
    let tokens = gate.honest_login();
    let mut wire = gate.stream("a", &tokens.access);
    assert_eq!(wire.chunk().as_deref(), Some(&b": keep-alive\n\n"[..]));
    gate.echo.send("id: 1\ndata: {");
    assert_eq!(wire.chunk().as_deref(), Some(&b"id: 1\ndata: {"[..]));
    // Inside an event nothing is said, and after a silence of the server's own it ends.
    let silent = now();
    assert_eq!(wire.chunk(), None);
    assert!(now() - silent >= 3, "not before its time");
    wait_until("the server's stream is let go", || gate.echo.streams() == 0);
    gate.honest_login();
}

/// A server of one stream by hand, in which `bytes` come in one piece when it is told to go on.
fn by_hand(bytes: String) -> (u16, mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let (go, wait) = mpsc::channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut head = [0; 8192];
        let _ = stream.read(&mut head).expect("a request");
        let begin = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                     transfer-encoding: chunked\r\n\r\n9\r\ndata: 0\n\n\r\n";
        stream.write_all(begin.as_bytes()).expect("taken");
        wait.recv().expect("told");
        stream.write_all(bytes.as_bytes()).expect("taken");
        // Open until the test is over.
        let _ = wait.recv();
    });
    (port, go)
}

#[test]
fn px_9_t_mcp_11_events_go_on_at_once_and_those_that_are_there_together() {
    let events: Vec<String> = (1..=10).map(|n| format!("data: {n}\n\n")).collect();
    let burst = events
        .iter()
        .map(|event| format!("{:x}\r\n{event}\r\n", event.len()))
        .collect();
    let (port, go) = by_hand(burst);
    let gate = Gate::start_with(&format!(
        "[servers.hand]\npath = \"/hand/mcp\"\nupstream = \"http://127.0.0.1:{port}\"\n"
    ));
    let tokens = gate.login(&mut Browser::new("ada"), "hand", "");
    let mut wire = gate.stream("hand", &tokens.access);
    let text = |chunk: Option<Vec<u8>>| String::from_utf8(chunk.expect("a chunk")).expect("UTF-8");
    assert_eq!(text(wire.chunk()), "data: 0\n\n", "not held back for more");
    go.send(()).expect("it waits");
    assert_eq!(
        text(wire.chunk()),
        events.concat(),
        "in one piece, as they came"
    );
    gate.honest_login();
}

/// A server that takes its time before it answers with one event.
fn slow_to_begin() -> (u16, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let (asked, was_asked) = mpsc::channel();
    let (go, wait) = mpsc::channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let _ = stream.read(&mut [0; 8192]).expect("a request");
        asked.send(()).expect("somebody waits");
        wait.recv().expect("told");
        let all = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                   transfer-encoding: chunked\r\n\r\n9\r\ndata: 0\n\n\r\n";
        let _ = stream.write_all(all.as_bytes());
        // Open until the test is over.
        let _ = wait.recv();
    });
    (port, was_asked, go)
}

#[test]
fn t_grd_06_rs_12_what_begins_after_the_grant_has_ended_shows_nothing() {
    let (port, was_asked, go) = slow_to_begin();
    let gate = Gate::start_with(&format!(
        "[servers.hand]\npath = \"/hand/mcp\"\nupstream = \"http://127.0.0.1:{port}\"\n"
    ));
    let tokens = gate.login(&mut Browser::new("ada"), "hand", "");
    let mut wire = gate.open_stream("hand", &tokens.access, "");
    was_asked.recv().expect("it was");
    let form = [("token", tokens.refresh.as_str()), ("client_id", CLIENT)];
    let revoked = gate.wire().post_form(&gate.host(), "/revoke", &form, &[]);
    assert_eq!(revoked.status, 200);
    go.send(()).expect("it waits");
    assert_eq!(wire.head().map(|(status, _)| status), Some(200));
    assert_eq!(wire.chunk(), None);
    gate.honest_login();
}

/// A server whose stream is never silent.
fn flood() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let _ = stream.read(&mut [0; 8192]).expect("a request");
        let begin = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                     transfer-encoding: chunked\r\n\r\n";
        let _ = stream.write_all(begin.as_bytes());
        let event = format!("data: {}\n\n", "x".repeat(16_000));
        let chunks = format!("{:x}\r\n{event}\r\n", event.len()).repeat(16);
        while stream.write_all(chunks.as_bytes()).is_ok() {}
    });
    port
}

#[test]
fn t_grd_06_t_mcp_11_rs_12_a_stream_that_is_never_silent_ends_with_its_grant_too() {
    let gate = Gate::start_with(&format!(
        "[servers.hand]\npath = \"/hand/mcp\"\nupstream = \"http://127.0.0.1:{}\"\n",
        flood()
    ));
    let tokens = gate.login(&mut Browser::new("ada"), "hand", "");
    let mut wire = gate.stream("hand", &tokens.access);
    assert!(wire.chunk().is_some());
    let form = [("token", tokens.refresh.as_str()), ("client_id", CLIENT)];
    let revoked = gate.wire().post_form(&gate.host(), "/revoke", &form, &[]);
    assert_eq!(revoked.status, 200);
    let begun = now();
    // What lies in buffers is still read; nothing follows it.
    while wire.chunk().is_some() {
        assert!(now() < begun + 10, "it goes on");
        // Slower than the server, so that something always waits to be sent.
        thread::sleep(std::time::Duration::from_millis(5));
    }
    gate.honest_login();
}

#[test]
fn px_10_a_person_s_open_streams_are_bounded_and_another_s_are_not() {
    let gate = Gate::start_with("[limits]\nstreams = 3");
    let ada = gate.honest_login();
    let bob = gate.login(&mut Browser::new("bob"), "a", "a:read");
    let mut held: Vec<Wire> = (0..3).map(|_| gate.stream("a", &ada.access)).collect();
    let refused = gate.call("a", &ada.access, PING);
    assert_eq!(refused.status, 429);
    assert_eq!(refused.one("retry-after"), "1");
    assert!(refused.text().contains("too many requests are open"));
    let mut fourth = gate.open_stream("a", &ada.access, "");
    assert_eq!(fourth.head().expect("an answer").0, 429);
    // Several at once each hear what is theirs.
    gate.echo.send("data: {}\n\n");
    for wire in &mut held {
        assert_eq!(event(wire).as_deref(), Some("data: {}\n\n"));
    }
    assert_eq!(gate.call("a", &bob.access, PING).status, 200);
    held.pop();
    wait_until("the place is free again", || {
        gate.echo.send(": still there?\n\n");
        gate.call("a", &ada.access, PING).status == 200
    });
}

#[test]
fn a_gateway_that_ends_ends_its_streams_at_once() {
    let gate = Gate::start();
    let tokens = gate.honest_login();
    let mut wire = gate.stream("a", &tokens.access);
    let begun = now();
    std::thread::scope(|scope| {
        let ends = scope.spawn(move || assert_eq!(wire.chunk(), None));
        drop(gate);
        ends.join().expect("the stream ended");
    });
    assert!(now() - begun < 8, "and nobody waited for it");
}

#[test]
fn ses_6_ses_8_rev_10_a_stream_is_polled_and_resumed_in_its_session_only() {
    let gate = Gate::start();
    let tokens = gate.honest_login();
    let auth = format!("Bearer {}", tokens.access);
    let begin = gate.post_mcp(
        "a",
        &[("authorization", &auth), ("mcp-param-want", "session")],
        PING,
    );
    let session = begin.one("mcp-session-id");
    // A server that sends its client away before it answers: id and retry arrive, then the end.
    let priming = "id: 17\nretry: 500\ndata: \n\n";
    gate.echo.answers(200, SSE, priming);
    let polled = gate.post_mcp(
        "a",
        &[
            ("authorization", &auth),
            ("mcp-session-id", &session),
            ("mcp-protocol-version", "2025-11-25"),
        ],
        &tool_call("get_slowly"),
    );
    assert_eq!((polled.status, polled.text().as_str()), (200, priming));
    // The client comes back for the rest.
    gate.echo.take();
    let more = format!("mcp-session-id: {session}\r\nlast-event-id: 17\r\n");
    let mut wire = gate.open_stream("a", &tokens.access, &more);
    assert_eq!(wire.head().expect("an answer").0, 200);
    let seen = gate.echo.take().pop().expect("it came through");
    assert_eq!(seen.headers["last-event-id"], "17");
    assert_eq!(seen.headers["mcp-session-id"], "1", "the server's own");
    gate.echo.send("id: 18\ndata: {\"result\":{}}\n\n");
    assert_eq!(
        event(&mut wire).as_deref(),
        Some("id: 18\ndata: {\"result\":{}}\n\n")
    );
    // A server without such streams says so itself.
    gate.echo.answers(405, "application/json", "{}");
    let get = gate.wire().get(
        &gate.host(),
        "/a/mcp",
        &[("authorization", &auth), ("accept", SSE)],
    );
    assert_eq!(get.status, 405);
    // In 2026-07-28 the same headers mean nothing and reach nobody.
    gate.echo.take();
    let modern = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    let answer = gate.post_mcp(
        "a",
        &[
            ("authorization", &auth),
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/list"),
            ("mcp-session-id", "not ours at all"),
            ("last-event-id", "17"),
        ],
        modern,
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = gate.echo.take().pop().expect("it came through");
    for name in ["mcp-session-id", "last-event-id"] {
        assert!(!seen.headers.contains_key(name), "{name}");
    }
}

#[test]
fn mod_10_a_subscription_is_a_post_that_stays_open_and_ends_with_its_grant() {
    let gate = Gate::start_with("[limits]\nupstream_time = \"1s\"\nkeep_alive = \"1s\"");
    let tokens = gate.honest_login();
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"},"notifications":{"toolsListChanged":true}}}"#;
    let mut wire = gate.wire();
    wire.send(
        format!(
            "POST /a/mcp HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\naccept: application/json, text/event-stream\r\n\
             mcp-protocol-version: 2026-07-28\r\nmcp-method: subscriptions/listen\r\n\
             mcp-param-want: stream\r\ncontent-length: {}\r\n\r\n{body}",
            gate.host(),
            tokens.access,
            body.len()
        )
        .as_bytes(),
    );
    assert_eq!(wire.head().expect("an answer").0, 200);
    // Longer than a server may take to begin an answer: this one has begun.
    for _ in 0..2 {
        assert_eq!(wire.chunk().as_deref(), Some(&b": keep-alive\n\n"[..]));
    }
    gate.echo.send("data: {\"method\":\"x\"}\n\n");
    assert_eq!(
        event(&mut wire).as_deref(),
        Some("data: {\"method\":\"x\"}\n\n")
    );
    let form = [("client_id", CLIENT), ("token", tokens.refresh.as_str())];
    let revoked = gate.wire().post_form(&gate.host(), "/revoke", &form, &[]);
    assert_eq!(revoked.status, 200);
    assert_eq!(event(&mut wire), None, "ended");
}

/// A server whose rules let Bob read only.
const HIDES: &str = r#"
[servers.team]
path = "/team/mcp"
upstream = "ECHO/team"
tools."delete_*" = { allow = ["group:editors"] }
tools.report = { deny = ["group:editors"] }
"#;

fn team() -> Gate {
    Gate::start_with(HIDES)
}

fn names(text: &str) -> Vec<String> {
    let message: Value = serde_json::from_str(text).expect(text);
    let tools = message["result"]["tools"].as_array().expect("a list");
    let name = |tool: &Value| tool["name"].as_str().unwrap_or_default().to_owned();
    tools.iter().map(name).collect()
}

#[test]
fn t_mcp_06_px_12_a_list_of_tools_shows_each_person_their_own() {
    let gate = team();
    let ada = gate.login(&mut Browser::new("ada"), "team", "");
    let bob = gate.login(&mut Browser::new("bob"), "team", "");
    let all = r#"{"jsonrpc":"2.0","id":3,"result":{"tools":[{"name":"read"},{"name":"delete_all"},{"name":"report"}],"ttlMs":60000,"cacheScope":"public"}}"#;
    let answer = |token: &str, kind: &'static str, body: &str| -> Answer {
        gate.echo.answers(200, kind, body);
        gate.call("team", token, &list(3))
    };
    let json = "application/json";
    // One after the other, and nobody gets what was meant for another.
    for _ in 0..2 {
        assert_eq!(
            names(&answer(&ada.access, json, all).text()),
            ["read", "delete_all"]
        );
        assert_eq!(
            names(&answer(&bob.access, json, all).text()),
            ["read", "report"]
        );
    }
    // The same on a stream, with everything else of it untouched.
    let stream = format!("id: 1\ndata: \n\nevent: message\nid: 2\ndata: {all}\n\n");
    let text = answer(&bob.access, SSE, &stream).text();
    let shown = text.strip_prefix("id: 1\ndata: \n\nevent: message\nid: 2\ndata: ");
    assert_eq!(names(shown.expect(&text).trim()), ["read", "report"]);
    // And on a stream that is resumed.
    let mut wire = gate.open_stream("team", &bob.access, "");
    assert_eq!(wire.head().expect("an answer").0, 200);
    let (begin, end) = all.split_at(70);
    gate.echo.send(&format!("data: {begin}"));
    gate.echo.send(&format!("{end}\n\n"));
    let shown = event(&mut wire).expect("one whole event");
    assert_eq!(
        names(shown.trim_start_matches("data: ").trim()),
        ["read", "report"]
    );
    // What cannot be read is not shown.
    assert_eq!(
        answer(&bob.access, json, "{\"result\":{\"tools\":[{").status,
        502
    );
    gate.echo.answers(200, json, "{}");
    assert_eq!(gate.call("team", &bob.access, &list(4)).status, 200);
    // What is not shown cannot be called either, and no scope would help.
    gate.echo.take();
    let denied = gate.call("team", &bob.access, &tool_call("delete_all"));
    assert_eq!(denied.status, 403, "{}", denied.text());
    assert!(gate.echo.take().is_empty());
    // Other answers are passed as they are, whatever is in them.
    gate.echo.answers(200, json, all);
    assert_eq!(gate.call("team", &bob.access, PING).text(), all);
}

const OLD: &str = r#"
[servers.old]
path = "/old/mcp"
upstream = "ECHO/v1/sse"
transport = "sse"
origins = ["https://app.example"]
tools."delete_*" = { allow = ["group:editors"] }
"#;

fn old() -> Gate {
    Gate::start_with(OLD)
}

/// Opens the stream, lets the server say its address, and gives ours.
fn endpoint(gate: &Gate, token: &str, said: &str) -> (Wire, Option<String>) {
    let mut wire = gate.stream("old", token);
    gate.echo.send(said);
    let ours = event(&mut wire).map(|event| {
        let data = event.strip_prefix("event: endpoint\ndata: ");
        data.expect(&event).trim().to_owned()
    });
    (wire, ours)
}

const POST: [(&str, &str); 1] = [("content-type", "application/json")];

fn post(gate: &Gate, token: &str, path: &str, body: &str) -> Answer {
    let auth = format!("Bearer {token}");
    let headers = [POST[0], ("authorization", &auth)];
    gate.wire()
        .request(&gate.host(), "POST", path, &headers, body.as_bytes())
}

#[test]
fn sse_1_sse_2_sse_3_the_transport_of_2024_11_05_through_addresses_of_ours() {
    let gate = old();
    let tokens = gate.login(&mut Browser::new("bob"), "old", "");
    let nobody = gate.get("/old/mcp");
    assert_eq!(nobody.status, 401);
    assert!(
        nobody
            .one("www-authenticate")
            .contains("resource_metadata=")
    );
    for said in [
        "event: endpoint\ndata: /messages?sessionId=private-77\n\n".to_owned(),
        "event: endpoint\r\ndata: ../messages?sessionId=private-77\r\n\r\n".to_owned(),
        format!(
            "event: endpoint\ndata: {}/messages?sessionId=private-77\n\n",
            gate.echo.origin
        ),
    ] {
        let (mut wire, ours) = endpoint(&gate, &tokens.access, &said);
        let ours = ours.expect("an address");
        assert!(ours.starts_with("/old/mcp?sessionId=") && !ours.contains("private-77"));
        gate.echo.take();
        gate.echo.answers(202, "text/plain", "Accepted");
        let posted = post(&gate, &tokens.access, &ours, &list(1));
        assert_eq!((posted.status, posted.text().as_str()), (202, "Accepted"));
        let seen = gate.echo.take().pop().expect("it came through");
        assert_eq!(
            (seen.method.as_str(), seen.target.as_str()),
            ("POST", "/messages?sessionId=private-77")
        );
        assert!(!seen.headers.contains_key("authorization"));
        // The answer comes on the stream, and the rules hold there too.
        gate.echo
            .send("event: message\ndata: {\"result\":{\"tools\":[{\"name\":\"delete_x\"}]}}\n\n");
        assert_eq!(
            event(&mut wire).as_deref(),
            Some("event: message\ndata: {\"result\":{\"tools\":[]}}\n\n")
        );
    }
    // A client that tries the newer transport first hears that it is the older one.
    for (method, path) in [("POST", "/old/mcp"), ("DELETE", "/old/mcp")] {
        let auth = format!("Bearer {}", tokens.access);
        let headers = [POST[0], ("authorization", &auth)];
        let answer = gate
            .wire()
            .request(&gate.host(), method, path, &headers, PING.as_bytes());
        assert_eq!((answer.status, answer.one("allow").as_str()), (405, "GET"));
    }
}

#[test]
fn sse_2_sse_3_t_mcp_13_px_6_attacks_on_the_old_transport() {
    let gate = old();
    let bob = gate.login(&mut Browser::new("bob"), "old", "");
    let ada = gate.login(&mut Browser::new("ada"), "old", "");
    let (_wire, ours) = endpoint(&gate, &bob.access, "event: endpoint\ndata: /m?s=1\n\n");
    let ours = ours.expect("an address");
    gate.echo.take();
    // Somebody else's, altered, invented, or the server's own address.
    let last = if ours.ends_with('A') { 'Q' } else { 'A' };
    let altered = format!("{}{last}", &ours[..ours.len() - 1]);
    for (token, path) in [
        (&ada.access, ours.as_str()),
        (&bob.access, &altered),
        (&bob.access, "/old/mcp?sessionId=1"),
        (&bob.access, "/old/mcp?s=1"),
        (&bob.access, &format!("{ours}&x=1")),
    ] {
        assert_eq!(post(&gate, token, path, PING).status, 404, "{path}");
    }
    assert_eq!(post(&gate, "vat_x", &ours, PING).status, 401);
    assert_eq!(
        post(&gate, &bob.access, &ours, &tool_call("delete_all")).status,
        403
    );
    let auth = format!("Bearer {}", bob.access);
    let evil = [
        POST[0],
        ("authorization", &auth),
        ("origin", "https://evil.example"),
    ];
    let crossed = gate
        .wire()
        .request(&gate.host(), "POST", &ours, &evil, PING.as_bytes());
    assert_eq!(crossed.status, 403);
    assert!(gate.echo.take().is_empty(), "nothing reached the server");
    // A server that points elsewhere, says something else first, or says it again.
    for said in [
        "event: endpoint\ndata: https://evil.example/m\n\n",
        "event: endpoint\ndata: //evil.example/m\n\n",
        "event: endpoint\n\nevent: endpoint\ndata:\n\n",
        "data: {}\n\n",
    ] {
        let (_wire, ours) = endpoint(&gate, &bob.access, said);
        assert_eq!(ours, None, "{said}");
    }
    let (mut wire, _) = endpoint(&gate, &bob.access, "event: endpoint\ndata: /m?s=1\n\n");
    gate.echo.send("event: endpoint\ndata: /other\n\n");
    assert_eq!(event(&mut wire), None, "a second address ends it");
    gate.honest_login();
}
