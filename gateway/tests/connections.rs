//! Accounts of people at services behind MCP servers, each step with the attacks on it.

mod support;

use http::HeaderMap;
use support::{
    Browser, Gate, PING, Tokens,
    service::{CLIENT_ID, SECRET, Service},
    tool_call,
    wire::Answer,
};

fn gate(service: &Service) -> Gate {
    let more = format!(
        "[servers.tickets]\nupstream = \"ECHO/tickets\"\ntitle = \"Tickets\"\nupstream_auth = \"connection\"\n\
         [servers.tickets.connection]\nissuer = \"{0}\"\nclient_id = \"{CLIENT_ID}\"\n\
         client_secret = {{ env = \"TICKETS\" }}\nscopes = [\"read\", \"write\"]\nparams = {{ audience = \"x\" }}\n\
         [servers.other]\nupstream = \"ECHO/other\"\nupstream_auth = \"connection\"\n\
         [servers.other.connection]\nissuer = \"{0}\"\nclient_id = \"{CLIENT_ID}\"\n",
        service.issuer
    );
    Gate::start_in(&more, &[("TICKETS", SECRET)])
}

/// Signs in to our own pages.
fn sign_in(gate: &Gate, browser: &Browser) {
    let begun = browser.open(&format!("{}/login?to=connections", gate.origin));
    let back = browser.sign_in(&begun.one("location"));
    let done = browser.open(&back);
    assert!(done.one("location").ends_with("/login/connections"));
}

fn page(gate: &Gate, browser: &Browser) -> String {
    browser.open(&format!("{}/connections", gate.origin)).text()
}

fn token_in(page: &str) -> String {
    let (_, rest) = page
        .split_once("name=\"token\" value=\"")
        .unwrap_or_else(|| panic!("{page}"));
    rest.split('"').next().unwrap_or_default().to_owned()
}

fn press(gate: &Gate, browser: &Browser, act: &str) -> Answer {
    let token = token_in(&page(gate, browser));
    let form = [
        ("token", token.as_str()),
        ("server", "tickets"),
        ("act", act),
    ];
    let url = format!("{}/connections", gate.origin);
    browser.submit(&url, &form, Some(&gate.origin))
}

/// Presses Connect; where the browser is sent.
fn connect(gate: &Gate, browser: &Browser) -> String {
    let text = press(gate, browser, "connect").text();
    let (_, rest) = text
        .split_once("content=\"0; url=")
        .unwrap_or_else(|| panic!("{text}"));
    let url = rest.split('"').next().unwrap_or_default();
    url.replace("&amp;", "&").replace("&#38;", "&")
}

fn app(gate: &Gate, browser: &mut Browser) -> Tokens {
    gate.login(browser, "tickets", "")
}

fn reached(gate: &Gate, tokens: &Tokens) -> HeaderMap {
    let answer = gate.call("tickets", &tokens.access, PING);
    assert_eq!(answer.status, 200, "{}", answer.text());
    gate.echo.take().pop().expect("it came through").headers
}

fn bearer(headers: &HeaderMap) -> &str {
    headers["authorization"].to_str().expect("text")
}

/// What a tool says that is called without an account, or the code of what refuses it; nothing
/// reaches the server.
fn refused(gate: &Gate, tokens: &Tokens) -> String {
    let answer = gate.call("tickets", &tokens.access, &tool_call("list"));
    assert!(
        gate.echo.take().is_empty(),
        "nothing reached the server: {}",
        answer.text()
    );
    let json = answer.json();
    if answer.status == 200 {
        assert_eq!(json["result"]["isError"], true);
        let text = json["result"]["content"][0]["text"].as_str();
        return text.expect("a text").to_owned();
    }
    let uri = json["error_uri"].as_str().unwrap_or_default();
    format!(
        "{} {}",
        answer.status,
        uri.rsplit('/').next().unwrap_or_default()
    )
}

const CONNECT_FIRST: &str = "/connections in a browser, connect it there";

#[test]
fn up_9_up_11_an_account_is_connected_used_renewed_and_taken_back() {
    let service = Service::start();
    let gate = gate(&service);
    let mut browser = Browser::new("ada");
    let tokens = app(&gate, &mut browser);
    // Without one a tool says where to go, ...
    let text = refused(&gate, &tokens);
    assert!(
        text.contains(&format!("{}/connections", gate.origin)),
        "{text}"
    );
    // ... and anything else goes on without: the app must see the tool first.
    assert!(!reached(&gate, &tokens).contains_key("authorization"));
    // A server that does not have that is no server that failed.
    gate.echo.answers(401, "application/json", "{}");
    let answer = gate.call("tickets", &tokens.access, PING);
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert!(answer.text().contains("V-SRV-023"));
    gate.echo.take();
    // Nor does a call in a batch with others.
    let batch = format!("[{},{PING}]", tool_call("list"));
    let answer = gate.call("tickets", &tokens.access, &batch);
    assert!(
        answer.status >= 400 && gate.echo.take().is_empty(),
        "{}",
        answer.text()
    );

    sign_in(&gate, &browser);
    assert!(page(&gate, &browser).contains("Not connected"));
    let url = connect(&gate, &browser);
    assert_eq!(
        support::query_of(&url, "scope").as_deref(),
        Some("read write")
    );
    assert_eq!(support::query_of(&url, "audience").as_deref(), Some("x"));
    let back = browser.open(&service.allow(&url, "code-1"));
    assert_eq!(back.status, 200, "{}", back.text());
    assert!(page(&gate, &browser).contains("Connected to"));
    // At once, although the no was remembered.
    assert_eq!(bearer(&reached(&gate, &tokens)), "Bearer canary-account-1");
    // Before it ends it is renewed, by one of many.
    gate.turn_clock(560);
    let tokens = Tokens::of(&gate.refresh(&tokens.refresh).json());
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| assert_eq!(gate.call("tickets", &tokens.access, PING).status, 200));
        }
    });
    gate.echo.take();
    assert_eq!(service.with(|told| told.given), 2);
    assert_eq!(bearer(&reached(&gate, &tokens)), "Bearer canary-account-2");
    let disk = String::from_utf8_lossy(&gate.disk()).into_owned();
    assert!(!disk.contains("canary-account"), "sealed");
    assert!(
        disk.contains("Connected") || disk.contains("connected"),
        "it is in the audit"
    );
    // Another account in its place, without a moment in between.
    let url = connect(&gate, &browser);
    browser.open(&service.allow(&url, "code-2"));
    assert_eq!(bearer(&reached(&gate, &tokens)), "Bearer canary-account-3");
    // Not a server's own word for another: nobody else has it.
    let bob = app(&gate, &mut Browser::new("bob"));
    assert!(refused(&gate, &bob).contains(CONNECT_FIRST));
    // Taken back: at once, there too.
    assert_eq!(press(&gate, &browser, "disconnect").status, 200);
    assert!(refused(&gate, &tokens).contains(CONNECT_FIRST));
    assert_eq!(
        service.with(|told| told.revoked.clone()),
        ["canary-account-refresh-3"]
    );
}

#[test]
fn up_11_an_account_that_the_service_takes_no_more_is_connected_anew() {
    let service = Service::start();
    let gate = gate(&service);
    let mut browser = Browser::new("ada");
    let tokens = app(&gate, &mut browser);
    sign_in(&gate, &browser);
    browser.open(&service.allow(&connect(&gate, &browser), "code-1"));
    reached(&gate, &tokens);
    // What the server does not take is renewed, ...
    gate.turn_clock(61);
    reached(&gate, &tokens);
    gate.turn_clock(25);
    gate.echo.answers(401, "application/json", "{}");
    assert_eq!(gate.call("tickets", &tokens.access, PING).status, 502);
    gate.echo.take();
    assert_eq!(bearer(&reached(&gate, &tokens)), "Bearer canary-account-2");
    // ... a service that is silent loses nobody's account, ...
    gate.turn_clock(560);
    let tokens = Tokens::of(&gate.refresh(&tokens.refresh).json());
    service.with(|told| told.refusal = Some((503, "server_error")));
    assert_eq!(refused(&gate, &tokens), "503 V-SRV-019");
    service.with(|told| told.refusal = None);
    gate.turn_clock(15);
    assert_eq!(bearer(&reached(&gate, &tokens)), "Bearer canary-account-3");
    // ... and one that says no does.
    gate.turn_clock(560);
    let tokens = Tokens::of(&gate.refresh(&tokens.refresh).json());
    service.with(|told| told.refusal = Some((400, "invalid_grant")));
    assert!(refused(&gate, &tokens).contains(CONNECT_FIRST));
    assert!(page(&gate, &browser).contains("takes the account no more"));
    service.with(|told| told.refusal = None);
    browser.open(&service.allow(&connect(&gate, &browser), "code-2"));
    assert_eq!(bearer(&reached(&gate, &tokens)), "Bearer canary-account-4");
}

#[test]
fn t_con_02_t_idp_01_nobody_connects_an_account_of_theirs_to_another_person() {
    let service = Service::start();
    let gate = gate(&service);
    let (ada, mut mallory) = (Browser::new("ada"), Browser::new("bob"));
    sign_in(&gate, &ada);
    sign_in(&gate, &mallory);
    // Mallory begins, allows with her account, and has Ada open the way back: not in Ada's
    // browser, and not with Ada's own way in hers.
    let url = connect(&gate, &mallory);
    let back = service.allow(&url, "code-1");
    assert_eq!(ada.open(&back).status, 403);
    assert!(page(&gate, &ada).contains("Not connected"));
    assert_eq!(service.with(|told| told.given), 0, "not redeemed");
    let kept = mallory.cookies();
    assert_eq!(mallory.open(&back).status, 200);
    // Once, also for whoever kept the cookie; and not with something else in it.
    for (name, value) in &kept {
        mallory.set_cookie(name, value);
    }
    assert_eq!(mallory.open(&back).status, 400);
    let other = |url: &str| url.replace("/tickets?", "/other?");
    let back = service.allow(&connect(&gate, &ada), "code-2");
    assert_eq!(
        ada.open(&other(&back)).status,
        403,
        "begun for another server"
    );
    // Another service's answer, and one that does not say whose it is.
    for iss in ["iss=https%3A%2F%2Fevil.example", "is=x"] {
        let back = service.allow(&connect(&gate, &ada), "code-3");
        let (start, _) = back.split_once("iss=").expect("it has one");
        assert_eq!(ada.open(&format!("{start}{iss}")).status, 400);
    }
    assert!(page(&gate, &ada).contains("Not connected"));
    // Whoever signed out meanwhile connects nothing.
    let back = service.allow(&connect(&gate, &ada), "code-4");
    let leaving = ada.open(&format!("{}/logout", gate.origin)).text();
    let form = [("token", token_in(&leaving))];
    let form: Vec<_> = form.iter().map(|(n, v)| (*n, v.as_str())).collect();
    ada.submit(
        &format!("{}/logout", gate.origin),
        &form,
        Some(&gate.origin),
    );
    assert_eq!(ada.open(&back).status, 403);
    // Too late.
    sign_in(&gate, &ada);
    let back = service.allow(&connect(&gate, &ada), "code-5");
    gate.turn_clock(601);
    assert_eq!(ada.open(&back).status, 410);
    // A page of another site presses nothing.
    let token = token_in(&page(&gate, &mallory));
    let form = [
        ("token", token.as_str()),
        ("server", "tickets"),
        ("act", "disconnect"),
    ];
    let url = format!("{}/connections", gate.origin);
    for origin in [None, Some("https://evil.example")] {
        assert_eq!(mallory.submit(&url, &form, origin).status, 403);
    }
    let stale = [("token", "x"), ("server", "tickets"), ("act", "disconnect")];
    assert_eq!(mallory.submit(&url, &stale, Some(&gate.origin)).status, 403);
    let tokens = app(&gate, &mut mallory);
    // Hers is as it was; the clock was turned, so it is renewed.
    assert_eq!(bearer(&reached(&gate, &tokens)), "Bearer canary-account-2");
}

#[test]
fn t_idp_01_what_a_service_says_of_itself_is_not_believed_beyond_its_own_place() {
    for (metadata, code) in [
        (
            serde_json::json!({ "issuer": "https://other.example" }),
            "V-ACC-001",
        ),
        (
            serde_json::json!({ "token_endpoint": "ftp://x" }),
            "V-ACC-001",
        ),
        (serde_json::json!({}), "V-ACC-001"),
    ] {
        let service = Service::start();
        service.with(
            |told| match metadata.as_object().filter(|over| !over.is_empty()) {
                Some(over) => over.iter().for_each(|(n, v)| told.metadata[n] = v.clone()),
                None => told.metadata = serde_json::Value::Null,
            },
        );
        let gate = gate(&service);
        let browser = Browser::new("ada");
        sign_in(&gate, &browser);
        let answer = press(&gate, &browser, "connect");
        assert_eq!(answer.status, 503);
        assert!(answer.text().contains(code), "{}", answer.text());
    }
}

#[test]
fn up_11_an_account_that_nothing_renews_stays_until_it_is_of_another_registration() {
    let service = Service::start();
    service.with(|told| told.endless = true);
    let mut gate = gate(&service);
    let mut browser = Browser::new("ada");
    let tokens = app(&gate, &mut browser);
    sign_in(&gate, &browser);
    browser.open(&service.allow(&connect(&gate, &browser), "code-1"));
    reached(&gate, &tokens);
    // A server that fails for a while takes nobody's account away.
    gate.turn_clock(25);
    gate.echo.answers(401, "application/json", "{}");
    assert_eq!(gate.call("tickets", &tokens.access, PING).status, 502);
    gate.echo.take();
    assert_eq!(bearer(&reached(&gate, &tokens)), "Bearer canary-account-1");
    // What another registration of ours was given is not shown by this one, and the page says so.
    gate.restart_in(&[
        ("TICKETS", SECRET),
        (
            "VESTIBULE_SERVERS__TICKETS__CONNECTION__CLIENT_ID",
            "another",
        ),
    ]);
    assert!(refused(&gate, &tokens).contains(CONNECT_FIRST));
    assert!(page(&gate, &browser).contains("takes the account no more"));
}

#[test]
fn up_9_the_accounts_of_whoever_is_blocked_are_taken_back_at_their_services() {
    let service = Service::start();
    let gate = gate(&service);
    let mut browser = Browser::new("ada");
    let tokens = app(&gate, &mut browser);
    sign_in(&gate, &browser);
    let url = connect(&gate, &browser);
    browser.open(&service.allow(&url, "code-1"));
    reached(&gate, &tokens);
    let office = &gate.running().office;
    let people = office.store.people(None, office.world.now(), 10);
    let people = gate.running().handle().block_on(people).expect("answers");
    let person = people[0].id.text();
    let blocked = std::process::Command::new(env!("CARGO_BIN_EXE_vestibule"))
        .args(["people", "block", &person, "--why", "left", "--yes", "-c"])
        .arg(gate.folder.join("vestibule.toml"))
        .env("TICKETS", SECRET)
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&blocked.stderr).into_owned();
    assert!(blocked.status.success(), "{said}");
    support::wait_until("the service hears of it", || {
        service.with(|told| told.revoked.clone()) == ["canary-account-refresh-1"]
    });
    assert_eq!(gate.call("tickets", &tokens.access, PING).status, 401);
    let disk = String::from_utf8_lossy(&gate.disk()).into_owned();
    assert!(disk.contains("isconnected"), "it is in the audit");
}

#[test]
fn mod_8_ses_1_ses_7_only_whoever_shows_addresses_is_sent_to_one() {
    let service = Service::start();
    let gate = gate(&service);
    let ada = app(&gate, &mut Browser::new("ada"));
    let with = |tokens: &Tokens, headers: &[(&str, &str)], body: &str| {
        let bearer = format!("Bearer {}", tokens.access);
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend_from_slice(headers);
        gate.post_mcp("tickets", &all, body)
    };
    let initialize = |capabilities: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{"protocolVersion":"2025-11-25","capabilities":{capabilities}}}}}"#
        )
    };
    let url = initialize(r#"{"elicitation":{"url":{}}}"#);
    let forms = initialize(r#"{"elicitation":{"form":{}}}"#);
    let of_server = ("mcp-param-want", "session");
    let now = ("mcp-protocol-version", "2025-11-25");
    let code = |session: &str, version: (&str, &str)| {
        let answer = with(
            &ada,
            &[("mcp-session-id", session), version],
            &tool_call("list"),
        );
        assert_eq!(answer.status, 200, "{}", answer.text());
        let json = answer.json();
        match json["result"]["isError"].as_bool() {
            Some(_) => None,
            None => json["error"]["code"].as_i64(),
        }
    };
    let asked = Some(-32042);
    let session = with(&ada, &[of_server], &url).one("mcp-session-id");
    assert_eq!(code(&session, now), asked);
    // The error is of that revision, whatever its client said before.
    assert_eq!(code(&session, ("mcp-protocol-version", "2025-06-18")), None);
    // A server that says its session with each answer takes nothing of that away.
    let again = with(&ada, &[of_server, ("mcp-session-id", &session)], PING);
    assert_eq!(code(&again.one("mcp-session-id"), now), asked);
    let plain = with(&ada, &[of_server], &forms).one("mcp-session-id");
    assert_eq!(code(&plain, now), None);
    // A server without sessions hears of none.
    assert!(!with(&ada, &[], &forms).has("mcp-session-id"));
    let ours = with(&ada, &[], &url).one("mcp-session-id");
    assert_eq!(code(&ours, now), asked);
    gate.echo.take();
    assert_eq!(with(&ada, &[("mcp-session-id", &ours)], PING).status, 200);
    let seen = gate.echo.take().pop().expect("it came through");
    assert!(!seen.headers.contains_key("mcp-session-id"), "{seen:?}");
    let resumed = [("mcp-session-id", ours.as_str()), ("last-event-id", "5")];
    assert_eq!(with(&ada, &resumed, PING).status, 400);
    let bob = app(&gate, &mut Browser::new("bob"));
    assert_eq!(with(&bob, &[("mcp-session-id", &ours)], PING).status, 404);
    // Where nobody is asked anything there is no session of ours.
    let honest = format!("Bearer {}", gate.honest_login().access);
    let opened = gate.post_mcp("a", &[("authorization", &honest)], &url);
    assert!(
        opened.status == 200 && !opened.has("mcp-session-id"),
        "{opened:?}"
    );
}

/// A call of 2026-07-28 by whose client the person went to the address that they were asked to.
fn call_of_somebody_there(gate: &Gate, tokens: &Tokens) -> Answer {
    let bearer = format!("Bearer {}", tokens.access);
    let headers = [
        ("authorization", bearer.as_str()),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "list"),
    ];
    let body = serde_json::json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {
        "name": "list",
        "arguments": {},
        "inputResponses": { "vestibule.account": { "action": "accept" } },
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": { "name": "x", "version": "1" },
            "io.modelcontextprotocol/clientCapabilities": { "elicitation": { "url": {} } },
        },
    } });
    gate.post_mcp("tickets", &headers, &body.to_string())
}

#[test]
fn px_10_mod_8_two_calls_of_a_person_wait_for_them_and_go_on() {
    let service = Service::start();
    let gate = gate(&service);
    let mut browser = Browser::new("ada");
    let tokens = app(&gate, &mut browser);
    sign_in(&gate, &browser);
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let done = done.clone();
            let (gate, tokens) = (&gate, &tokens);
            scope.spawn(move || done.send(call_of_somebody_there(gate, tokens)));
        }
        let soon = std::time::Duration::from_secs(20);
        // One more than are waited for hears at once what there is to do.
        let refused = ended.recv_timeout(soon).expect("at once").json();
        assert_eq!(refused["result"]["isError"], true, "{refused}");
        assert!(gate.echo.take().is_empty());
        let url = connect(&gate, &browser);
        browser.open(&service.allow(&url, "code-1"));
        for _ in 0..2 {
            let answer = ended.recv_timeout(soon).expect("once the person is done");
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(!answer.text().contains("isError"), "{}", answer.text());
        }
    });
    let seen = gate.echo.take();
    assert_eq!(seen.len(), 2, "each went to the server once");
    assert!(
        seen.iter()
            .all(|one| bearer(&one.headers).starts_with("Bearer canary-account"))
    );
}
