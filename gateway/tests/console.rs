//! The console, its API and the commands: who gets in, what they see, and what they end.

mod support;

use std::process::{Command, Output};

use serde_json::{Value, json};
use support::{Browser, Gate, PING, Tokens, idp::Idp, tool_call, wire::Answer};

const CONSOLE: &str = "vestibule_console";

/// Every page, and every act with what it needs besides.
const PAGES: [&str; 11] = [
    "/console",
    "/console/flows",
    "/console/clients",
    "/console/people",
    "/console/servers",
    "/console/calls",
    "/console/calls/csv",
    "/console/calls/json",
    "/console/acts",
    "/console/keys",
    "/console/health",
];
const ACTS: [(&str, &str); 6] = [
    ("/console/clients/CLIENT", "trust"),
    ("/console/clients/CLIENT", "end"),
    ("/console/people/PERSON", "stop_all"),
    ("/console/people/PERSON", "block"),
    ("/console/servers/a", ""),
    ("/console/keys", ""),
];

/// A gate whose operator is Ada.
fn gate() -> Gate {
    Gate::start_in("", &[("VESTIBULE_ADMIN__PEOPLE", "demo-ada")])
}

fn at(gate: &Gate, path: &str) -> String {
    format!("http://127.0.0.1:{}{path}", gate.admin)
}

/// Presses the button of the page that leads to the console.
fn hand_over(gate: &Gate, browser: &Browser, path: &str) -> Answer {
    let page = format!("{}{path}", gate.origin);
    let asked = browser.open(&page);
    if asked.status != 200 {
        return asked;
    }
    let form = [("token", &*asked.field("token"))];
    browser.submit(&page, &form, Some(&gate.origin))
}

/// Enters from the console's own address on, as a browser without script does.
fn enter(gate: &Gate, browser: &Browser) -> Answer {
    let start = browser.open(&at(gate, "/console"));
    assert_eq!(start.status, 303, "{}", start.text());
    let begun = browser.open(&start.one("location"));
    let back = browser.open(&browser.sign_in(&begun.one("location")));
    assert_eq!(back.status, 303, "{}", back.text());
    let done = browser.open(&back.one("location"));
    let pass = hand_over(gate, browser, &done.refresh_target());
    if pass.status != 200 {
        return pass;
    }
    let entered = browser.open(&pass.refresh_target());
    assert_eq!(entered.status, 200, "{}", entered.text());
    browser.open(&at(gate, &entered.refresh_target()))
}

fn operator(gate: &Gate) -> Browser {
    let browser = Browser::new("ada");
    let page = enter(gate, &browser);
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(page.text().contains("The last 24 hours"), "{}", page.text());
    browser
}

fn login(gate: &Gate, person: &str) -> Tokens {
    gate.login(&mut Browser::new(person), "a", "a:read")
}

fn submit(gate: &Gate, browser: &Browser, path: &str, form: &[(&str, &str)]) -> Answer {
    let origin = at(gate, "");
    browser.submit(&at(gate, path), form, Some(&origin))
}

/// The first address on a page that begins like this.
fn link(page: &Answer, begins: &str) -> String {
    let text = page.text();
    let from = text
        .find(&format!("href=\"{begins}"))
        .unwrap_or_else(|| panic!("{begins} in {text}"));
    let rest = &text[from + 6..];
    rest[..rest.find('"').expect("closed")].to_owned()
}

/// The pages of a person and of a client.
fn of_bob(gate: &Gate, browser: &Browser) -> (String, String) {
    let people = browser.open(&at(gate, "/console/people?named=bob"));
    let person = link(&people, "/console/people/");
    let client = link(&browser.open(&at(gate, &person)), "/console/clients/");
    (person, client)
}

#[test]
fn t_adm_01_without_a_session_nobody_sees_or_does_anything() {
    let gate = gate();
    let tokens = login(&gate, "bob");
    let operator = operator(&gate);
    let (person, client) = of_bob(&gate, &operator);
    let token = operator.open(&at(&gate, &person)).field("token");
    let strangers = [
        Browser::new("bob"),
        Browser::new("bob"),
        Browser::new("bob"),
    ];
    strangers[1].set_cookie(CONSOLE, &"x".repeat(43));
    // A session of our own pages is none of the console's.
    let bob = &strangers[2];
    let begun = bob.open(&format!("{}/login?to=apps", gate.origin));
    bob.open(&bob.sign_in(&begun.one("location")));
    let session = bob.cookies()["vestibule_session"].clone();
    bob.set_cookie(CONSOLE, &session);
    for stranger in &strangers {
        for page in PAGES {
            let answer = stranger.open(&at(&gate, page));
            assert_eq!(answer.status, 303, "{page}");
            assert!(answer.one("location").starts_with(&gate.origin), "{page}");
        }
        for (path, act) in ACTS {
            let path = path
                .replace("/console/clients/CLIENT", &client)
                .replace("/console/people/PERSON", &person);
            let form = [
                ("token", token.as_str()),
                ("act", act),
                ("why", "x"),
                ("purpose", "access"),
            ];
            let answer = submit(&gate, stranger, &path, &form);
            assert_eq!(answer.status, 403, "{path} {act}");
        }
        for api in [
            "/flows",
            "/calls",
            "/acts",
            "/clients",
            "/people",
            "/keys",
            "/operators/link",
        ] {
            let answer = stranger.open(&at(&gate, &format!("/api/v1{api}")));
            assert_eq!(answer.status, 401, "{api}");
        }
        let bearer = format!("Bearer {}", tokens.access);
        let wire = support::wire::Wire::connect(gate.admin);
        let host = format!("127.0.0.1:{}", gate.admin);
        let mut wire = wire;
        let answer = wire.get(&host, "/api/v1/people", &[("authorization", &bearer)]);
        assert_eq!(answer.status, 401, "a token for MCP servers opens nothing");
    }
    assert_eq!(gate.call("a", &tokens.access, PING).status, 200);
    // Nothing of it is at the public address.
    for path in ["/console", "/api/v1/people", "/readyz"] {
        assert_eq!(gate.get(path).status, 404, "{path}");
    }
}

#[test]
fn t_adm_02_who_is_no_operator_is_told_so_and_sees_nothing() {
    let gate = gate();
    let bob = Browser::new("bob");
    let answer = enter(&gate, &bob);
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert!(answer.text().contains("V-ADM-001"));
    assert!(!bob.cookies().contains_key(CONSOLE));
    let flows = bob.open(&format!("{}/flows", gate.origin));
    assert_eq!(flows.status, 403);
}

#[test]
fn t_adm_01_a_pass_is_good_once_and_in_its_own_browser() {
    let gate = gate();
    let ada = Browser::new("ada");
    let start = ada.open(&at(&gate, "/console"));
    let begun = ada.open(&start.one("location"));
    let back = ada.open(&ada.sign_in(&begun.one("location")));
    let done = ada.open(&back.one("location"));
    let pass = hand_over(&gate, &ada, &done.refresh_target());
    let enter = pass.refresh_target();
    let mallory = Browser::new("bob");
    mallory.open(&at(&gate, "/console"));
    let stolen = mallory.open(&enter);
    assert_eq!(stolen.status, 403, "another browser");
    assert!(!mallory.cookies().contains_key(CONSOLE));
    assert_eq!(ada.open(&enter).status, 200);
    let entering: Vec<_> = ada.cookies().into_keys().collect();
    assert!(
        !entering.iter().any(|name| name.contains("entering")),
        "{entering:?}"
    );
    assert_eq!(ada.open(&enter).status, 403, "twice");
    // Too late.
    let late = Browser::new("ada");
    let start = late.open(&at(&gate, "/console"));
    let begun = late.open(&start.one("location"));
    let back = late.open(&late.sign_in(&begun.one("location")));
    let done = late.open(&back.one("location"));
    let pass = hand_over(&gate, &late, &done.refresh_target());
    gate.turn_clock(62);
    assert_eq!(late.open(&pass.refresh_target()).status, 403);
}

#[test]
fn t_adm_03_an_act_comes_from_the_consoles_own_page() {
    let gate = gate();
    let tokens = login(&gate, "bob");
    let ada = operator(&gate);
    let (person, client) = of_bob(&gate, &ada);
    let page = ada.open(&at(&gate, &person));
    let token = page.field("token");
    assert_eq!(page.one("x-frame-options"), "DENY");
    assert!(
        page.one("content-security-policy")
            .contains("frame-ancestors 'none'")
    );
    let stop = |token: &str, origin: Option<&str>| {
        let form = [("token", token), ("act", "stop_all")];
        ada.submit(&at(&gate, &person), &form, origin).status
    };
    let here = at(&gate, "");
    assert_eq!(stop(&token, None), 403, "no origin");
    assert_eq!(stop(&token, Some("https://evil.example")), 403);
    assert_eq!(stop(&token, Some(&gate.origin)), 403, "our own other pages");
    assert_eq!(stop("", Some(&here)), 403, "no token");
    assert_eq!(
        stop(
            &ada.open(&format!("{}/logout", gate.origin)).field("token"),
            Some(&here)
        ),
        403
    );
    assert_eq!(gate.call("a", &tokens.access, PING).status, 200);
    // By the API likewise.
    let cookies = ada.cookie_header();
    let host = format!("127.0.0.1:{}", gate.admin);
    let path = person.replace("/console", "/api/v1") + "/stop";
    let post = |headers: &[(&str, &str)]| {
        let mut all = vec![
            ("cookie", cookies.as_str()),
            ("content-type", "application/json"),
        ];
        all.extend_from_slice(headers);
        support::wire::Wire::connect(gate.admin)
            .request(&host, "POST", &path, &all, b"{}")
            .status
    };
    assert_eq!(post(&[]), 403);
    assert_eq!(post(&[("origin", "https://evil.example")]), 403);
    assert_eq!(gate.call("a", &tokens.access, PING).status, 200);
    // Another name of this computer gets nothing, whoever is signed in.
    let mut wire = support::wire::Wire::connect(gate.admin);
    let foreign = wire.get("rebound.example", "/console", &[("cookie", &cookies)]);
    assert_eq!(foreign.status, 421);
    assert_eq!(
        post(&[("origin", here.as_str()), ("sec-fetch-site", "same-origin")]),
        200
    );
    assert_eq!(gate.call("a", &tokens.access, PING).status, 401);
    // What a viewer may not is not even offered.
    assert!(ada.open(&at(&gate, &client)).text().contains("Block it"));
}

#[test]
fn t_adm_04_t_adm_05_hostile_names_are_shown_as_text_and_no_secret_is_shown() {
    let gate = Gate::start_in(
        "[audit]\narguments = true\n",
        &[("VESTIBULE_ADMIN__PEOPLE", "demo-ada")],
    );
    const EVIL: &str = "<script>alert(1)</script>";
    let hostile = serde_json::json!({ "client_name": EVIL, "redirect_uris": [support::REDIRECT] });
    let registered = gate.wire().request(
        &gate.host(),
        "POST",
        "/register",
        &[("content-type", "application/json")],
        hostile.to_string().as_bytes(),
    );
    let id = registered.json()["client_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let (path, verifier) = gate.authorize_path("a", "a:read");
    let path = path.replace(support::CLIENT, &id);
    let code = Browser::new("bob").code(&gate, &path);
    let answer = gate.token(&[
        ("grant_type", "authorization_code"),
        ("client_id", &id),
        ("code", &code),
        ("code_verifier", verifier.expose()),
        ("redirect_uri", support::REDIRECT),
    ]);
    let tokens = Tokens::of(&answer.json());
    let evil_tool = format!("{EVIL}\u{202e}=cmd|x");
    gate.call("a", &tokens.access, &tool_call(&evil_tool.replace('"', "")));
    let ada = operator(&gate);
    let (person, client) = of_bob(&gate, &ada);
    let keys: Vec<String> = [&tokens.access, &tokens.refresh, &code]
        .into_iter()
        .cloned()
        .chain(["canary-idp-secret".to_owned()])
        .collect();
    for page in PAGES.into_iter().chain([person.as_str(), client.as_str()]) {
        let answer = ada.open(&at(&gate, page));
        assert_eq!(answer.status, 200, "{page}");
        let text = answer.text();
        if !page.ends_with("json") && !page.ends_with("csv") {
            assert!(!text.contains("<script"), "{page}");
            assert!(
                answer
                    .one("content-security-policy")
                    .starts_with("default-src 'none'")
            );
        }
        for secret in &keys {
            assert!(!text.contains(secret.as_str()), "{secret} at {page}");
        }
        assert!(!text.contains('\u{202e}'), "{page}");
    }
    let calls = ada.open(&at(&gate, "/console/calls")).text();
    assert!(calls.contains("&#60;script&#62;alert(1)"), "{calls}");
}

#[test]
fn t_adm_07_each_change_is_told_with_actor_before_and_after() {
    let gate = gate();
    let tokens = login(&gate, "bob");
    let ada = operator(&gate);
    let (person, client) = of_bob(&gate, &ada);
    let act = |path: &str, form: &[(&str, &str)]| {
        let token = ada.open(&at(&gate, path)).field("token");
        let mut all = vec![("token", token.as_str())];
        all.extend_from_slice(form);
        submit(&gate, &ada, path, &all)
    };
    // Whoever would end something for everybody says why, and types what.
    let nameless = act(&client, &[("act", "block"), ("why", "old test")]);
    assert_eq!(nameless.status, 400, "{}", nameless.text());
    let why = act(&client, &[("act", "block"), ("name", "Test client")]);
    assert_eq!(why.status, 400);
    assert_eq!(gate.call("a", &tokens.access, PING).status, 200);
    let blocked = act(
        &client,
        &[
            ("act", "block"),
            ("name", "Test client"),
            ("why", "old test"),
        ],
    );
    assert_eq!(blocked.status, 200, "{}", blocked.text());
    assert!(
        blocked.text().contains("1 live grants"),
        "{}",
        blocked.text()
    );
    assert_eq!(gate.call("a", &tokens.access, PING).status, 401, "at once");
    assert_ne!(gate.refresh(&tokens.refresh).status, 200);
    let (path, _) = gate.authorize_path("a", "a:read");
    let page = Browser::new("bob").open(&format!("{}{path}", gate.origin));
    assert!(page.text().contains("V-CLI-005"), "{}", page.text());
    act(&client, &[("act", "unblock")]);
    assert_eq!(
        gate.refresh(&tokens.refresh).status,
        400,
        "tokens of before stay dead"
    );
    let tokens = login(&gate, "bob");
    // A person who is blocked is not let in by any app.
    let blocked = act(&person, &[("act", "block"), ("why", "left the company")]);
    assert_eq!(blocked.status, 200);
    assert_eq!(gate.call("a", &tokens.access, PING).status, 401);
    let (path, _) = gate.authorize_path("a", "a:read");
    let answer = Browser::new("bob").answer(&gate, &path);
    assert!(answer.contains("error=access_denied"), "{answer}");
    let begun = Browser::new("bob");
    let to = begun.open(&format!("{}/login?to=apps", gate.origin));
    let refused = begun.open(&begun.sign_in(&to.one("location")));
    assert!(refused.text().contains("V-POL-002"), "{}", refused.text());
    act(&person, &[("act", "unblock")]);
    login(&gate, "bob");
    let limited = act(&client, &[("act", "limit"), ("scopes", "a:write")]);
    assert_eq!(limited.status, 200, "{}", limited.text());

    let acts = ada.open(&at(&gate, "/api/v1/acts")).json();
    let acts = acts["acts"].as_array().expect("a list").clone();
    let told: Vec<_> = acts
        .iter()
        .map(|act| act["words"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(
        told,
        [
            "limited to a:write: Test client (1 live ended)",
            "let bob in again",
            "blocked bob: left the company (1 live ended)",
            "let in again Test client",
            "blocked (old test) Test client (1 live ended)",
        ]
    );
    for act in &acts {
        assert_eq!(act["by"]["shown"], "ada");
    }
    assert_eq!(acts[4]["what"]["before"]["blocked"], Value::Null);
    assert_eq!(acts[4]["what"]["after"]["blocked"]["why"], "old test");
    // Nothing that is there can be taken back or changed by an address.
    for path in ["/api/v1/acts", "/console/acts", "/api/v1/calls"] {
        let host = format!("127.0.0.1:{}", gate.admin);
        let cookies = ada.cookie_header();
        let origin = at(&gate, "");
        let headers = [("cookie", cookies.as_str()), ("origin", origin.as_str())];
        for method in ["DELETE", "PUT", "PATCH", "POST"] {
            let mut wire = support::wire::Wire::connect(gate.admin);
            let answer = wire.request(&host, method, path, &headers, b"");
            assert!(answer.status >= 400, "{method} {path}: {}", answer.status);
        }
    }
    assert!(
        ada.open(&at(&gate, "/console/people/AAAAAAAAAAAAAAAAAAAAAA"))
            .status
            == 404
    );
}

#[test]
fn t_adm_02_who_may_only_look_looks_and_a_display_name_is_nothing() {
    let idp = Idp::start();
    let gate = Gate::start_in(
        "",
        &[
            ("VESTIBULE_IDP__ISSUER", &idp.issuer),
            ("VESTIBULE_ADMIN__GROUPS", "operators-id"),
            ("VESTIBULE_ADMIN__VIEWERS", "viewers-id"),
            // A server that is told groups needs to know them.
            ("VESTIBULE_SERVERS__A__UPSTREAM_AUTH", "none"),
        ],
    );
    let enter = |claims: Value| {
        idp.with(|told| told.claims = claims);
        let browser = Browser::new("ada");
        let start = browser.open(&at(&gate, "/console"));
        let begun = browser.open(&start.one("location"));
        let back = browser.open(&idp.sign_in(&begun.one("location"), "code"));
        let done = browser.open(&back.one("location"));
        let pass = hand_over(&gate, &browser, &done.refresh_target());
        if pass.status == 200 {
            browser.open(&pass.refresh_target());
        }
        (browser, pass.status)
    };
    // Names that look like a role, and the overflow of groups, are nothing.
    for nobody in [
        json!({ "name": "operators-id", "preferred_username": "operators-id" }),
        json!({ "groups": ["Operators"] }),
        json!({ "_claim_names": { "groups": "src1" }, "_claim_sources": {} }),
    ] {
        let (_, status) = enter(nobody.clone());
        assert_eq!(status, 403, "{nobody}");
    }
    let (viewer, status) = enter(json!({ "sub": "v", "groups": ["viewers-id"] }));
    assert_eq!(status, 200);
    for page in PAGES {
        assert_eq!(viewer.open(&at(&gate, page)).status, 200, "{page}");
    }
    let keys = viewer.open(&at(&gate, "/console/keys"));
    assert!(keys.text().contains("(viewer)") && !keys.text().contains("Rotate"));
    let token = keys.field("token");
    let form = [("token", token.as_str()), ("purpose", "access")];
    let refused = submit(&gate, &viewer, "/console/keys", &form);
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("V-ADM-006"));
    let host = format!("127.0.0.1:{}", gate.admin);
    let (cookies, origin) = (viewer.cookie_header(), at(&gate, ""));
    let headers = [("cookie", cookies.as_str()), ("origin", origin.as_str())];
    let mut wire = support::wire::Wire::connect(gate.admin);
    let answer = wire.request(&host, "POST", "/api/v1/keys/access/rotate", &headers, b"");
    assert_eq!(answer.status, 403);
    let leave = [("token", token.as_str())];
    assert_eq!(submit(&gate, &viewer, "/console/leave", &leave).status, 200);
    assert_eq!(viewer.open(&at(&gate, "/console")).status, 303, "left");
    let (operator, status) = enter(json!({ "sub": "o", "groups": ["x", "operators-id"] }));
    assert_eq!(status, 200);
    let keys = operator.open(&at(&gate, "/console/keys"));
    let token = keys.field("token");
    let form = [("token", token.as_str()), ("purpose", "access")];
    let made = submit(&gate, &operator, "/console/keys", &form);
    assert!(made.text().contains("Made access key"), "{}", made.text());
    // Whoever is taken out of the group is out at the next sign-in.
    enter(json!({ "sub": "o" }));
    assert_eq!(operator.open(&at(&gate, "/console")).status, 403);
}

#[test]
fn operators_see_the_logins_of_others_and_the_calls() {
    let gate = gate();
    let tokens = login(&gate, "bob");
    assert_eq!(
        gate.call("a", &tokens.access, &tool_call("get_weather"))
            .status,
        200
    );
    assert_eq!(
        gate.call("a", &tokens.access, &tool_call("set_alert"))
            .status,
        403
    );
    let denied = Browser::new("bob").decide(&gate, &gate.authorize_path("a", "a:read").0, "deny");
    assert!(denied.contains("access_denied"));
    let ada = operator(&gate);
    let calls = ada.open(&at(&gate, "/console/calls?outcome=denied")).text();
    assert!(
        calls.contains("set_alert") && !calls.contains("get_weather"),
        "{calls}"
    );
    let csv = ada.open(&at(&gate, "/console/calls/csv?person=bob"));
    assert!(csv.one("content-disposition").contains("tool-calls.csv"));
    assert_eq!(csv.text().lines().count(), 3, "{}", csv.text());
    let flows = ada.open(&at(&gate, "/console/flows"));
    let flow = link(&flows, "/flows/");
    let record = ada.open(&at(&gate, &flow));
    assert_eq!(record.status, 200, "{}", record.text());
    let json = ada.open(&at(&gate, &format!("{flow}/json"))).json();
    assert!(
        json["steps"]
            .as_array()
            .is_some_and(|steps| !steps.is_empty())
    );
    // At our own pages too, in the session that the entrance left there.
    let list = ada.open(&format!("{}/flows?failed=1", gate.origin));
    assert_eq!(list.status, 200);
    assert_eq!(ada.open(&format!("{}{flow}", gate.origin)).status, 200);
    let overview = ada.open(&at(&gate, "/console")).text();
    assert!(
        overview.contains("2, of them 1 denied, 0 failed"),
        "{overview}"
    );
    let looked = {
        let token = ada.open(&at(&gate, "/console/servers")).field("token");
        submit(&gate, &ada, "/console/servers/a", &[("token", &token)]).text()
    };
    assert!(looked.contains("seen from outside"), "{looked}");
    let bad = ada.open(&at(&gate, "/console/calls?outcome=perhaps"));
    assert_eq!(bad.status, 400);
}

/// The program, with the configuration of this gate.
fn vestibule(gate: &Gate, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vestibule"))
        .args(arguments)
        .args(["-c"])
        .arg(gate.folder.join("vestibule.toml"))
        .output()
        .expect("runs")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn commands_reach_the_gateway_that_runs_and_the_store_of_one_that_does_not() {
    let mut gate = Gate::start_process("", &[]);
    let tokens = login(&gate, "bob");
    assert_eq!(
        gate.call("a", &tokens.access, &tool_call("get_weather"))
            .status,
        200
    );
    let audit = vestibule(&gate, &["audit", "--person", "bob"]);
    assert!(
        out(&audit).contains("get_weather"),
        "{} {}",
        out(&audit),
        err(&audit)
    );
    let clients = vestibule(&gate, &["clients", "list"]);
    assert!(
        out(&clients).contains("Test client"),
        "{} {}",
        out(&clients),
        err(&clients)
    );
    let flows = vestibule(&gate, &["flows", "list", "--json"]);
    let listed: Value = serde_json::from_slice(&flows.stdout).expect("JSON");
    let code = listed["flows"][0]["flow"]
        .as_str()
        .expect("a code")
        .to_owned();
    let shown = vestibule(&gate, &["flows", "show", &code]);
    assert!(
        out(&shown).contains("The app was sent its code"),
        "{}",
        out(&shown)
    );
    // Nothing ends without a yes.
    let asked = vestibule(&gate, &["grants", "revoke", "--person", "bob"]);
    assert_eq!(asked.status.code(), Some(6), "{}", err(&asked));
    assert!(
        err(&asked).contains("1 live grants of 1 apps"),
        "{}",
        err(&asked)
    );
    assert_eq!(gate.call("a", &tokens.access, PING).status, 200);
    let revoked = vestibule(&gate, &["grants", "revoke", "--person", "bob", "--yes"]);
    assert!(
        out(&revoked).contains("1 live grants and codes ended"),
        "{}",
        err(&revoked)
    );
    assert_eq!(gate.call("a", &tokens.access, PING).status, 401, "at once");
    let nobody = vestibule(&gate, &["people", "show", "nobody"]);
    assert_eq!(nobody.status.code(), Some(5), "{}", err(&nobody));
    assert!(err(&nobody).contains("V-ADM-005"), "{}", err(&nobody));
    let rotated = vestibule(&gate, &["keys", "rotate", "access"]);
    assert!(
        out(&rotated).contains("new access key"),
        "{}",
        err(&rotated)
    );
    // The same without a gateway, and the socket is gone.
    gate.end();
    assert!(!gate.folder.join("vestibule.db.sock").exists());
    let acts = vestibule(&gate, &["audit", "--acts"]);
    let told = out(&acts);
    assert!(
        told.contains("ended everything that may act for bob"),
        "{told} {}",
        err(&acts)
    );
    assert!(
        told.contains("made access key") && told.contains("of the computer"),
        "{told}"
    );
    let blocked = vestibule(
        &gate,
        &["clients", "block", support::CLIENT, "--why", "old", "--yes"],
    );
    assert_eq!(blocked.status.code(), Some(0), "{}", err(&blocked));
    gate.restart();
    let page = Browser::new("bob").open(&format!(
        "{}{}",
        gate.origin,
        gate.authorize_path("a", "a:read").0
    ));
    assert!(page.text().contains("V-CLI-005"), "{}", page.text());
}

#[test]
fn t_adm_01_a_link_makes_one_operator_once() {
    let gate = Gate::start_process("", &[]);
    let nobody = enter(&gate, &Browser::new("ada"));
    assert_eq!(nobody.status, 403, "{}", nobody.text());
    let made = vestibule(&gate, &["operators", "link"]);
    let link = out(&made).trim().to_owned();
    assert!(link.starts_with(&gate.origin), "{link} {}", err(&made));
    let sign_in = |person: &str| {
        let browser = Browser::new(person);
        let begun = browser.open(&link);
        let back = browser.open(&browser.sign_in(&begun.one("location")));
        (browser, back)
    };
    let (ada, back) = sign_in("ada");
    assert_eq!(back.status, 303, "{}", back.text());
    let welcome = ada.open(&format!("{}/operator", gate.origin)).text();
    assert!(welcome.contains("You are an operator"), "{welcome}");
    assert_eq!(enter(&gate, &Browser::new("ada")).status, 200);
    let (_, again) = sign_in("bob");
    assert_eq!(again.status, 410, "{}", again.text());
    assert_eq!(enter(&gate, &Browser::new("bob")).status, 403);
    let secret = link.rsplit('=').next().expect("a secret");
    let disk = gate.disk();
    assert!(
        !disk
            .windows(secret.len())
            .any(|part| part == secret.as_bytes())
    );
    let acts = vestibule(&gate, &["audit", "--acts"]);
    assert!(
        out(&acts).contains("made ada an operator, by a link"),
        "{}",
        out(&acts)
    );
    // The API at the network makes none.
    let ada = Browser::new("ada");
    enter(&gate, &ada);
    let host = format!("127.0.0.1:{}", gate.admin);
    let (cookies, origin) = (ada.cookie_header(), at(&gate, ""));
    let headers = [("cookie", cookies.as_str()), ("origin", origin.as_str())];
    let mut wire = support::wire::Wire::connect(gate.admin);
    let answer = wire.request(&host, "POST", "/api/v1/operators/link", &headers, b"");
    assert_eq!(answer.status, 404);
}

#[test]
fn t_adm_06_only_what_is_configured_is_looked_at() {
    let gate = gate();
    let ada = operator(&gate);
    let token = ada.open(&at(&gate, "/console/servers")).field("token");
    for target in [
        "http:%2F%2F169.254.169.254%2F",
        "http%3A%2F%2F127.0.0.1%3A22",
        "a%2F..%2F..",
        "%3Bid",
        "..",
        "unknown",
    ] {
        let path = format!("/console/servers/{target}");
        let form = [("token", token.as_str()), ("url", "http://127.0.0.1:22/")];
        let answer = submit(&gate, &ada, &path, &form);
        assert!(
            matches!(answer.status, 404 | 405),
            "{target}: {}",
            answer.status
        );
    }
    // What is looked at is the public address of the server, and nothing that comes along.
    let form = [("token", token.as_str()), ("url", "http://127.0.0.1:9/")];
    let looked = submit(&gate, &ada, "/console/servers/a", &form).text();
    assert!(
        looked.contains(&gate.resource("a")) && !looked.contains("127.0.0.1:9/"),
        "{looked}"
    );
}
