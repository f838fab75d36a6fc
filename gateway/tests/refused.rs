//! What a client is told at a server's path, and the entry of the catalogue that it names.

mod support;

use support::{Browser, Gate, PING, tool_call, wire::Answer};

/// The code that an answer names; its page exists.
fn code_of(gate: &Gate, answer: &Answer) -> Option<String> {
    let body = answer.json();
    // Beside the error where that is one of JSON-RPC.
    let within = body.get("error").and_then(|error| error.get("data"));
    let page = within.unwrap_or(&body).get("error_uri")?;
    let page = page.as_str().expect("a text").to_owned();
    let path = page.strip_prefix(&gate.origin).expect("ours");
    assert_eq!(gate.get(path).status, 200, "{page}");
    Some(path.strip_prefix("/errors/").expect("an entry").to_owned())
}

#[test]
fn whatever_is_refused_on_the_data_path_names_its_entry() {
    let gate = Gate::start_with(
        "[servers.gone]\npath = \"/gone/mcp\"\nupstream = \"http://127.0.0.1:9/mcp\"\n\
         [servers.closed]\npath = \"/closed/mcp\"\nupstream = \"http://127.0.0.1:9/mcp\"\n\
         tools.\"delete_*\" = { allow = [\"group:editors\"] }\n",
    );
    let login = |server: &str, scope: &str| gate.login(&mut Browser::new("bob"), server, scope);
    let tokens = login("a", "a:read");
    let bearer = format!("Bearer {}", tokens.access);
    let good = ("authorization", bearer.as_str());
    let told = |answer: Answer| (answer.status, code_of(&gate, &answer));
    let expect = |status: u16, code: &str| (status, Some(code.to_owned()));
    // A first request without a token is how a login begins, and no failure.
    assert_eq!(told(gate.post_mcp("a", &[], PING)), (401, None));
    let twice = gate.post_mcp("a", &[good, good], PING);
    assert_eq!(told(twice), expect(400, "V-SRV-010"));
    let forged = gate.call("a", "vat_forged", PING);
    assert_eq!(told(forged), expect(401, "V-SRV-011"));
    let elsewhere = gate.call("b", &tokens.access, PING);
    assert_eq!(told(elsewhere), expect(401, "V-SRV-013"));
    let more = gate.call("a", &tokens.access, &tool_call("set_alert"));
    assert_eq!(told(more), expect(403, "V-SRV-016"));
    let page = gate.post_mcp("a", &[good, ("origin", "https://evil.example")], PING);
    assert_eq!(told(page), expect(403, "V-SRV-006"));
    let session = gate.post_mcp("a", &[good, ("mcp-session-id", "of-nobody")], PING);
    assert_eq!(told(session), expect(404, "V-SRV-007"));
    let gone = gate.call("gone", &login("gone", "").access, PING);
    assert_eq!(told(gone), expect(502, "V-SRV-001"));
    let call = tool_call("delete_all");
    let denied = gate.call("closed", &login("closed", "").access, &call);
    assert_eq!(told(denied), expect(403, "V-SRV-017"));
    gate.echo.answers(401, "application/json", "{}");
    let asks = gate.call("a", &tokens.access, PING);
    assert!(!asks.has("www-authenticate"), "of the server's own");
    assert_eq!(told(asks), expect(502, "V-SRV-008"));
    let era = [
        good,
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/list"),
    ];
    assert_eq!(
        told(gate.post_mcp("a", &era, PING)),
        expect(400, "V-SRV-009")
    );
    let form = [
        ("token", tokens.refresh.as_str()),
        ("client_id", support::CLIENT),
    ];
    let revoked = gate.wire().post_form(&gate.host(), "/revoke", &form, &[]);
    assert_eq!(revoked.status, 200, "{}", revoked.text());
    let over = gate.call("a", &tokens.access, PING);
    assert_eq!(told(over), expect(401, "V-SRV-014"));
    let short = login("a", "a:read");
    gate.turn_clock(700);
    let late = gate.call("a", &short.access, PING);
    assert_eq!(told(late), expect(401, "V-SRV-012"));
}
