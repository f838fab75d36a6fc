//! What the record of a login tells of the time before it and after it.

mod support;

use serde_json::Value;
use support::{Browser, Gate, PING, Tokens, wait_until};

const LIST: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#;

/// The one login of a gateway: its record's code.
fn flow(gate: &Gate) -> String {
    let database = rusqlite::Connection::open(gate.folder.join("vestibule.db")).expect("opens");
    let code = || {
        let row = database.query_row("SELECT code FROM flow_heads", [], |row| row.get(0));
        row.ok()
    };
    wait_until("the record is kept", || code().is_some());
    code().expect("a code")
}

/// The words of its steps; the code of what was refused.
fn steps(gate: &Gate, browser: &Browser, flow: &str) -> Vec<String> {
    let record = browser.open(&format!("{}/flows/{flow}/json", gate.origin));
    let word = |entry: &Value| {
        let step = &entry["step"];
        let word = step["code"].as_str().or(step["step"].as_str());
        word.unwrap_or_default().to_owned()
    };
    let record = record.json();
    let steps = record["steps"].as_array().expect("steps");
    steps.iter().map(word).collect()
}

#[test]
fn what_came_before_a_login_is_a_guess_and_told_as_one() {
    let gate = Gate::start();
    let browser = Browser::new("ada");
    let seen = [
        gate.post_mcp("a", &[], PING).status,
        gate.get("/.well-known/oauth-protected-resource/a/mcp")
            .status,
        gate.get("/.well-known/oauth-authorization-server").status,
    ];
    assert_eq!(seen, [401, 200, 200]);
    let asked = serde_json::json!({
        "client_name": "An app",
        "redirect_uris": [support::REDIRECT],
        "token_endpoint_auth_method": "none",
    });
    let id = gate.register(&asked);
    let (path, _) = gate.authorize_path("a", "a:read");
    let page = browser.open(&format!(
        "{}{}",
        gate.origin,
        path.replace(support::CLIENT, &id)
    ));
    let flow = page.text();
    let flow = &flow.split("/flows/").nth(1).expect("a flow")[..9];
    let told = steps(&gate, &browser, flow);
    let expected = ["probably", "probably", "probably", "registered", "asked"];
    assert_eq!(told[..5], expected, "{told:?}");
    let of = |form: &str| {
        let record = browser.open(&format!("{}/flows/{flow}{form}", gate.origin));
        record.text()
    };
    assert_eq!(
        of("").matches("<li class=\"guess\">").count(),
        3,
        "{}",
        of("")
    );
    assert!(of("").contains("Probably: the app called the server"));
    assert!(of("/mermaid").contains("App-->>Gateway: 1. probably"));
    // Another server, and another app: nothing came before.
    let (path, _) = gate.authorize_path("b", "b:read");
    let page = browser.open(&format!("{}{path}", gate.origin)).text();
    let flow = &page.split("/flows/").nth(1).expect("a flow")[..9];
    assert_eq!(steps(&gate, &browser, flow)[0], "asked");
}

#[test]
fn a_record_in_text_has_the_command_that_tries_the_login_again() {
    let (gate, browser, flow, _) = begin();
    let text = browser.open(&format!("{}/flows/{flow}/text", gate.origin));
    let command = format!("vestibule login {} --scope 'a:read'", gate.resource("a"));
    for part in [flow.as_str(), "succeeded", "exchanged its code", &command] {
        assert!(text.text().contains(part), "{part}: {}", text.text());
    }
    let page = browser
        .open(&format!("{}/flows/{flow}", gate.origin))
        .text();
    assert!(page.replace("&#39;", "'").contains(&command), "{page}");
    let stranger = Browser::new("eve").open(&format!("{}/flows/{flow}/text", gate.origin));
    assert_eq!(stranger.status, 404);
}

fn begin() -> (Gate, Browser, String, Tokens) {
    begin_at("a", "a:read offline_access")
}

fn begin_at(server: &str, scope: &str) -> (Gate, Browser, String, Tokens) {
    let gate = Gate::start();
    let mut browser = Browser::new("ada");
    let tokens = gate.login(&mut browser, server, scope);
    let flow = flow(&gate);
    (gate, browser, flow, tokens)
}

#[test]
fn a_record_goes_on_after_its_login_and_says_each_thing_once() {
    let (gate, browser, flow, tokens) = begin();
    let told = |word: &str| {
        let steps = steps(&gate, &browser, &flow);
        steps.iter().filter(|step| *step == word).count()
    };
    assert_eq!(told("used") + told("tools_listed"), 0, "nothing yet");
    for _ in 0..3 {
        assert_eq!(gate.call("a", &tokens.access, PING).status, 200);
        assert_eq!(gate.call("a", &tokens.access, LIST).status, 200);
        assert_eq!(gate.call("b", &tokens.access, PING).status, 401);
    }
    wait_until("all of it is told", || {
        told("used") == 1 && told("tools_listed") == 1 && told("V-SRV-013") == 1
    });
    // Another token of the same access, and the same again.
    let renewed = Tokens::of(&gate.refresh(&tokens.refresh).json());
    assert_eq!(gate.call("a", &renewed.access, LIST).status, 200);
    assert_eq!(gate.call("b", &renewed.access, PING).status, 401);
    wait_until("the renewal is told", || told("refreshed") == 1);
    let page = browser
        .open(&format!("{}/flows/{flow}", gate.origin))
        .text();
    assert!(page.contains("Succeeded"), "{page}");
    for word in ["used", "tools_listed", "V-SRV-013"] {
        assert_eq!(told(word), 1, "{word}");
    }
}

#[test]
fn what_is_tried_after_a_replay_does_not_hide_it() {
    let (gate, browser, flow, tokens) = begin();
    let renewed = Tokens::of(&gate.refresh(&tokens.refresh).json());
    gate.turn_clock(300);
    assert_eq!(gate.refresh(&tokens.refresh).status, 400, "a replay");
    assert_eq!(gate.call("a", &renewed.access, PING).status, 401);
    let told = || steps(&gate, &browser, &flow);
    wait_until("the call is told", || {
        told().contains(&"V-SRV-014".to_owned())
    });
    let page = browser
        .open(&format!("{}/flows/{flow}", gate.origin))
        .text();
    let at = told().iter().position(|step| step == "V-TOK-006");
    let failed = format!("Failed at step {}.", at.expect("a replay") + 1);
    assert!(page.contains(&failed), "{page}");
    assert!(page.contains("/errors/V-TOK-006"), "{page}");
    let text = browser.open(&format!("{}/flows/{flow}/text", gate.origin));
    assert!(text.text().contains("failed\n"), "{}", text.text());
    assert!(text.text().contains("\nV-TOK-006  "), "{}", text.text());
}

#[test]
fn a_first_use_is_told_also_after_a_call_that_was_refused() {
    let (gate, browser, flow, tokens) = begin();
    // On each of the threads, whichever they go to.
    for _ in 0..20 {
        assert_eq!(gate.call("b", &tokens.access, PING).status, 401);
    }
    assert_eq!(gate.call("a", &tokens.access, PING).status, 200);
    wait_until("the first use is told", || {
        steps(&gate, &browser, &flow).contains(&"used".to_owned())
    });
}

/// Without a table of the store's, as if that did not answer.
fn without(gate: &Gate, table: &str, then: impl FnOnce()) {
    let database = rusqlite::Connection::open(gate.folder.join("vestibule.db")).expect("opens");
    let rename = |from: &str, to: &str| {
        let sql = format!("ALTER TABLE {from} RENAME TO {to}");
        database.execute_batch(&sql).expect("renamed");
    };
    rename(table, "taken_away");
    then();
    rename("taken_away", table);
}

#[test]
fn what_is_noted_while_the_store_fails_is_told_later() {
    // Of a server that is told nothing of its callers: then no call needs the store.
    let (gate, browser, flow, tokens) = begin_at("b", "");
    without(&gate, "grants", || {
        assert_eq!(gate.call("b", &tokens.access, PING).status, 200);
        let office = &gate.running().office;
        let keep = office.uses.keep(&*office.store, &office.flows);
        gate.running().handle().block_on(keep);
    });
    wait_until("the first use is told", || {
        steps(&gate, &browser, &flow).contains(&"used".to_owned())
    });
}

#[test]
fn a_store_that_fails_is_no_answer_about_a_record() {
    let (gate, browser, flow, _) = begin();
    let open = || browser.open(&format!("{}/flows/{flow}", gate.origin));
    without(&gate, "flows", || {
        let answer = open();
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(answer.text().contains("V-STO-001"));
    });
    assert_eq!(open().status, 200);
}

#[test]
fn many_renewals_are_folded_and_none_is_lost() {
    let (gate, browser, flow, mut tokens) = begin();
    for _ in 0..14 {
        // Renewals of the same hour are told once.
        gate.turn_clock(3600);
        tokens = Tokens::of(&gate.refresh(&tokens.refresh).json());
        tokens = Tokens::of(&gate.refresh(&tokens.refresh).json());
    }
    let refreshed = || {
        let steps = steps(&gate, &browser, &flow);
        steps.iter().filter(|step| *step == "refreshed").count()
    };
    wait_until("all are told", || refreshed() == 14);
    let page = browser
        .open(&format!("{}/flows/{flow}", gate.origin))
        .text();
    let (before, rest) = page.split_once("<details>").expect("something is folded");
    let (between, after) = rest.split_once("</details>").expect("closed");
    let count = |text: &str| text.matches("The app renewed its access").count();
    assert_eq!((count(before), count(between), count(after)), (0, 4, 10));
    assert!(between.contains("4 steps between"), "{between}");
    let first = steps(&gate, &browser, &flow).len() - 14 + 1;
    assert!(between.contains(&format!("start=\"{first}\"")), "{between}");
}

#[test]
fn what_waits_for_a_record_is_not_lost_when_the_process_ends() {
    let (mut gate, _, flow, tokens) = begin();
    assert_eq!(gate.call("a", &tokens.access, PING).status, 200);
    gate.end();
    let database = rusqlite::Connection::open(gate.folder.join("vestibule.db")).expect("opens");
    let told: u32 = database
        .query_row(
            "SELECT count(*) FROM flows WHERE code = ?1 AND step LIKE '%\"used\"%'",
            [&flow],
            |row| row.get(0),
        )
        .expect("a count");
    assert_eq!(told, 1);
}
