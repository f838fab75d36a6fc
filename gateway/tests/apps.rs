//! A person's own pages: signing in to them, what may act for them, and what they remember.

mod support;

use support::{
    Browser, Gate, PING, WEB_CLIENT, WEB_REDIRECT, idp::Idp, query_of, tool_call, wait_until,
    wire::Answer,
};
use vestibule::world::World;
use vestibule_core::pkce::CodeVerifier;

const SESSION: &str = "vestibule_session";

/// Signs in to our own pages from `/login` on; the page that it ends at.
fn sign_in(gate: &Gate, browser: &Browser) -> Answer {
    let begun = browser.open(&format!("{}/login?to=apps", gate.origin));
    assert_eq!(begun.status, 303, "{}", begun.text());
    let back = browser.open(&browser.sign_in(&begun.one("location")));
    assert_eq!(back.status, 303, "{}", back.text());
    let on = browser.open(&back.one("location"));
    assert_eq!(on.refresh_target(), "/apps");
    browser.open(&format!("{}/apps", gate.origin))
}

fn act(gate: &Gate, browser: &Browser, form: &[(&str, &str)]) -> Answer {
    browser.submit(&format!("{}/apps", gate.origin), form, Some(&gate.origin))
}

/// A login at the client whose redirect is not on this computer, from the first page on.
fn web_path(gate: &Gate, scope: &str, more: &str) -> String {
    let verifier = CodeVerifier::from_random(&World::real().random());
    let path = vestibule_core::uri::with_query(
        "/authorize",
        &[
            ("response_type", "code"),
            ("client_id", WEB_CLIENT),
            ("redirect_uri", WEB_REDIRECT),
            ("code_challenge", &verifier.challenge().text()),
            ("code_challenge_method", "S256"),
            ("resource", &gate.resource("a")),
            ("scope", scope),
        ],
    );
    format!("{path}{more}")
}

/// Opens an address as a program or the person does, and not another site's page.
fn open_directly(gate: &Gate, browser: &Browser, path: &str) -> Answer {
    let cookies = browser.cookie_header();
    let headers = [("cookie", cookies.as_str()), ("sec-fetch-site", "none")];
    let answer = gate.wire().get(&gate.host(), path, &headers);
    browser.keep(&answer);
    answer
}

#[test]
fn cons_10_an_app_that_is_stopped_is_refused_at_once_and_everywhere() {
    let gate = Gate::start();
    let mut browser = Browser::new("ada");
    let tokens = gate.login(&mut browser, "a", "a:read");
    let (path, verifier) = gate.authorize_path("a", "a:read");
    let on_its_way = browser.code(&gate, &path);
    let bobs = gate.login(&mut Browser::new("bob"), "a", "a:read");
    let page = sign_in(&gate, &Browser::new("ada")).text();
    for part in ["Test client", "Server A", "Read a", "Last used just now"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let apps = browser.open(&format!("{}/apps", gate.origin));
    let (token, client) = (apps.field("token"), apps.field("client"));
    let done = act(
        &gate,
        &browser,
        &[("token", &token), ("client", &client), ("act", "stop")],
    );
    assert_eq!(done.status, 200, "{}", done.text());
    let text = done.text();
    assert!(text.contains("Stopped: Test client."), "{text}");
    assert!(text.contains("No app can act for you"), "{text}");
    assert_eq!(gate.call("a", &tokens.access, PING).status, 401);
    assert_eq!(gate.refresh(&tokens.refresh).status, 400);
    let late = gate.token(&[
        ("grant_type", "authorization_code"),
        ("client_id", support::CLIENT),
        ("code", &on_its_way),
        ("code_verifier", verifier.expose()),
        ("redirect_uri", support::REDIRECT),
    ]);
    assert_eq!(late.status, 400, "a code on its way is stopped too");
    assert_eq!(
        gate.call("a", &bobs.access, PING).status,
        200,
        "bob's is his"
    );
    gate.honest_login();
}

#[test]
fn a_person_sees_what_their_apps_called_and_nobody_elses_calls() {
    let gate = Gate::start();
    let browser = &mut Browser::new("ada");
    let ada = gate.login(browser, "a", "a:read");
    let bob = gate.login(&mut Browser::new("bob"), "a", "a:read");
    for tool in ["get_cities", "get_weather"] {
        assert_eq!(gate.call("a", &ada.access, &tool_call(tool)).status, 200);
    }
    let denied = gate.call("a", &ada.access, &tool_call("set_alert"));
    assert_eq!(denied.status, 403);
    let secret = gate.call("a", &bob.access, &tool_call("bobs_own"));
    assert_eq!(secret.status, 200);
    sign_in(&gate, browser);
    let look = || {
        // The same is shown for half a minute.
        gate.turn_clock(31);
        browser.open(&format!("{}/apps", gate.origin)).text()
    };
    wait_until("the calls are written", || {
        look().contains("3 calls this week")
    });
    let page = look();
    assert!(!page.contains("bobs_own"), "{page}");
    let (_, calls) = page.split_once("Last calls").expect("a list");
    let order = [
        "set_alert</code> (Server A) – not let through",
        "get_weather</code> (Server A) – done",
    ];
    let places = order.map(|part| {
        calls
            .find(part)
            .unwrap_or_else(|| panic!("{part}: {calls}"))
    });
    assert!(places[0] < places[1], "the newest first: {calls}");
    // After a week they are no longer told here.
    gate.turn_clock(8 * 86_400);
    let page = sign_in(&gate, browser).text();
    assert!(
        !page.contains("Last calls") && !page.contains("this week"),
        "{page}"
    );
}

#[test]
fn cons_10_everything_is_stopped_with_one_button() {
    let gate = Gate::start();
    let mut browser = Browser::new("ada");
    let first = gate.login(&mut browser, "a", "a:read");
    let second = gate.login(&mut browser, "b", "");
    browser.answer(&gate, &web_path(&gate, "a:read", ""));
    let apps = browser.open(&format!("{}/apps", gate.origin));
    assert!(apps.text().contains("Stops all 2 apps"), "{}", apps.text());
    let token = apps.field("token");
    let done = act(&gate, &browser, &[("token", &token), ("act", "stop_all")]);
    assert_eq!(done.status, 200);
    for (server, tokens) in [("a", first), ("b", second)] {
        assert_eq!(
            gate.call(server, &tokens.access, PING).status,
            401,
            "{server}"
        );
    }
}

#[test]
fn cons_10_t_con_05_nobody_stops_anothers_app_or_acts_without_their_own_page() {
    let gate = Gate::start();
    let mut ada = Browser::new("ada");
    let tokens = gate.login(&mut ada, "a", "a:read");
    let adas = ada.open(&format!("{}/apps", gate.origin));
    let (adas_token, client) = (adas.field("token"), adas.field("client"));
    let bob = Browser::new("bob");
    sign_in(&gate, &bob);
    let bobs_token = bob.open(&format!("{}/logout", gate.origin)).field("token");
    let stop = |browser: &Browser, token: &str, client: &str, origin: Option<&str>| {
        let form = [("token", token), ("client", client), ("act", "stop")];
        let url = format!("{}/apps", gate.origin);
        browser.submit(&url, &form, origin).status
    };
    let ours = Some(gate.origin.as_str());
    // Bob's own session and token; the app is Ada's.
    assert_eq!(stop(&bob, &bobs_token, &client, ours), 404);
    assert_eq!(stop(&bob, &adas_token, &client, ours), 403, "her token");
    for (token, origin) in [
        (adas_token.as_str(), None),
        (adas_token.as_str(), Some("https://evil.example")),
        (bobs_token.as_str(), ours),
        ("", ours),
    ] {
        assert_eq!(stop(&ada, token, &client, origin), 403, "{origin:?}");
    }
    for nothing in ["AAAAAAAAAAAAAAAAAAAAAA", "", "x"] {
        let status = stop(&ada, &adas_token, nothing, ours);
        assert!(matches!(status, 403 | 404), "{nothing}: {status}");
    }
    let nobody = Browser::new("ada");
    let page = nobody.open(&format!("{}/apps", gate.origin)).text();
    assert!(page.contains("Sign in") && !page.contains("Test client"));
    assert_eq!(gate.call("a", &tokens.access, PING).status, 200);
    // Bob stops his own access of the same app; Ada's goes on.
    let mut bob = bob;
    let bobs = gate.login(&mut bob, "a", "a:read");
    let bobs_token = bob.open(&format!("{}/apps", gate.origin)).field("token");
    assert_eq!(stop(&bob, &bobs_token, &client, ours), 200);
    assert_eq!(gate.call("a", &bobs.access, PING).status, 401);
    assert_eq!(gate.call("a", &tokens.access, PING).status, 200);
}

#[test]
fn t_con_11_a_planted_session_cookie_is_worth_nothing_before_and_after_the_sign_in() {
    let gate = Gate::start();
    let planted = "p".repeat(43);
    let victim = Browser::new("ada");
    victim.set_cookie(SESSION, &planted);
    let page = victim.open(&format!("{}/apps", gate.origin)).text();
    assert!(page.contains("Sign in"), "{page}");
    sign_in(&gate, &victim);
    assert_ne!(victim.cookies()[SESSION], planted);
    let attacker = Browser::new("bob");
    attacker.set_cookie(SESSION, &planted);
    let page = attacker.open(&format!("{}/apps", gate.origin)).text();
    assert!(!page.contains("Signed in as"), "{page}");
    // Signing in again replaces the session; the one before is dead.
    let before = victim.cookies()[SESSION].clone();
    let begun = victim.open(&format!("{}/login?to=apps", gate.origin));
    let callback = victim.sign_in(&begun.one("location"));
    // On the way back from another site a browser does not show it.
    victim.set_cookie(SESSION, "");
    assert_eq!(victim.open(&callback).status, 303);
    attacker.set_cookie(SESSION, &before);
    let page = attacker.open(&format!("{}/apps", gate.origin)).text();
    assert!(!page.contains("Signed in as"), "{page}");
}

#[test]
fn t_con_02_a_sign_in_comes_back_to_the_browser_that_began_it_and_once() {
    let gate = Gate::start();
    let mallory = Browser::new("bob");
    let begun = mallory.open(&format!("{}/login?to=apps", gate.origin));
    let callback = mallory.sign_in(&begun.one("location"));
    let victim = Browser::new("ada");
    let lured = victim.open(&callback);
    assert_eq!(lured.status, 403);
    assert!(lured.text().contains("V-IDP-002"));
    assert!(!victim.cookies().contains_key(SESSION));
    // It has spent nothing: its own browser goes on, once.
    let kept = mallory.cookies();
    assert_eq!(mallory.open(&callback).status, 303);
    let again = mallory.open(&callback);
    assert_eq!(again.status, 403, "{}", again.text());
    for (name, value) in kept {
        mallory.set_cookie(&name, &value);
    }
    let copied = mallory.open(&callback).text();
    assert!(copied.contains("V-IDP-006"), "{copied}");
    // With a state of our own making but for another login, nobody gets anywhere.
    let changed = callback.replacen("state=vsi_", "state=vsi_A", 1);
    assert_eq!(mallory.open(&changed).status, 403);
}

#[test]
fn t_con_02_a_sign_in_goes_to_our_own_pages_only() {
    let gate = Gate::start();
    for to in [
        "https://evil.example",
        "//evil.example",
        "apps%2F..%2F..",
        "",
    ] {
        let browser = Browser::new("ada");
        let begun = browser.open(&format!("{}/login?to={to}", gate.origin));
        let back = browser.open(&browser.sign_in(&begun.one("location")));
        assert_eq!(
            back.one("location"),
            format!("{}/login/apps", gate.origin),
            "{to}"
        );
    }
    for to in ["https:%2F%2Fevil.example", "%2F%2Fevil.example"] {
        let page = gate.get(&format!("/login/{to}"));
        assert_eq!(page.refresh_target(), "/apps", "{to}");
    }
}

#[test]
fn a_session_ends_by_its_time_and_by_its_person() {
    let gate = Gate::start_in("", &[("VESTIBULE_TOKENS__SESSION_TTL", "1h")]);
    let browser = Browser::new("ada");
    let page = sign_in(&gate, &browser);
    assert!(
        page.text().contains("Signed in as <strong>ada"),
        "{}",
        page.text()
    );
    gate.turn_clock(3700);
    let late = browser.open(&format!("{}/apps", gate.origin)).text();
    assert!(!late.contains("Signed in as"));
    gate.turn_clock(-3700);
    browser.open(&format!(
        "{}{}",
        gate.origin,
        gate.authorize_path("a", "a:read").0
    ));
    assert!(browser.cookies().len() > 2, "a form cookie besides");
    let logout = format!("{}/logout", gate.origin);
    let ask = browser.open(&logout);
    let token = ask.field("token");
    let kept = browser.cookies()[SESSION].clone();
    let foreign = browser.submit(&logout, &[("token", &token)], Some("https://evil.example"));
    assert_eq!(foreign.status, 403);
    let done = browser.submit(&logout, &[("token", &token)], Some(&gate.origin));
    assert_eq!(done.status, 200);
    let ours = |name: &String| name.starts_with("vestibule") && name != "vestibule_demo_idp";
    let stays: Vec<_> = browser.cookies().into_keys().filter(ours).collect();
    assert!(stays.is_empty(), "for whoever comes next: {stays:?}");
    browser.set_cookie(SESSION, &kept);
    let after = browser.open(&format!("{}/apps", gate.origin)).text();
    assert!(
        !after.contains("Signed in as"),
        "not only the cookie is gone"
    );
}

#[test]
fn cons_8_what_is_remembered_leaves_the_page_out_in_that_persons_session_alone() {
    let gate = Gate::start();
    let browser = Browser::new("ada");
    let path = web_path(&gate, "a:read", "");
    browser.answer(&gate, &path);
    // The person comes again, directly: no page, and still the provider.
    let again = open_directly(&gate, &browser, &path);
    assert_eq!(again.status, 303, "{}", again.text());
    let provider = again.one("location");
    assert!(provider.starts_with(&gate.provider), "{provider}");
    let back = browser.open(&browser.sign_in(&provider));
    let location = back.one("location");
    assert!(query_of(&location, "code").is_some(), "{location}");

    // Everywhere else the page is shown.
    let asked = |answer: &Answer, why: &str| {
        assert_eq!(answer.status, 200, "{why}");
        assert!(answer.text().contains("name=\"decision\""), "{why}");
    };
    asked(
        &browser.open(&format!("{}{path}", gate.origin)),
        "no header",
    );
    let cookies = browser.cookie_header();
    for site in ["cross-site", "same-site"] {
        let headers = [("cookie", cookies.as_str()), ("sec-fetch-site", site)];
        asked(&gate.wire().get(&gate.host(), &path, &headers), site);
    }
    let nobody = Browser::new("ada");
    asked(&open_directly(&gate, &nobody, &path), "nobody is signed in");
    let insisting = web_path(&gate, "a:read", "&prompt=consent");
    asked(
        &open_directly(&gate, &browser, &insisting),
        "prompt=consent",
    );
    // A program on this computer could be any.
    let mut here = Browser::new("ada");
    gate.login(&mut here, "a", "a:read");
    let (loopback, _) = gate.authorize_path("a", "a:read");
    let page = open_directly(&gate, &here, &loopback);
    asked(&page, "a loopback redirect");
    assert!(
        page.text().contains("You allowed this on"),
        "{}",
        page.text()
    );
}

#[test]
fn cons_2_a_wider_request_asks_again_and_says_what_is_new() {
    let gate = Gate::start();
    let browser = Browser::new("ada");
    browser.answer(&gate, &web_path(&gate, "a:read", ""));
    let wider = open_directly(&gate, &browser, &web_path(&gate, "a:read a:write", ""));
    assert_eq!(wider.status, 200);
    let text = wider.text();
    assert!(
        text.contains("Change a <span class=\"tag\">new</span>"),
        "{text}"
    );
    assert!(!text.contains("Read a <span class=\"tag\">"), "{text}");
    assert!(text.contains("ada, let this app use Server A?"), "{text}");
}

#[test]
fn t_con_04_somebody_else_who_comes_back_is_asked_and_gets_nothing_before() {
    let idp = Idp::start();
    let gate = Gate::start_in("", &[("VESTIBULE_IDP__ISSUER", &idp.issuer)]);
    let browser = Browser::new("ada");
    let path = web_path(&gate, "a:read", "");
    let provider = browser.decide(&gate, &path, "allow");
    browser.open(&idp.sign_in(&provider, "code"));
    // The provider's session is another's by now.
    let mallory = serde_json::json!({ "sub": "mallory", "email": "mallory@example.com" });
    idp.with(|told| told.claims = mallory);
    let left_out = open_directly(&gate, &browser, &path);
    assert_eq!(left_out.status, 303);
    let back = browser.open(&idp.sign_in(&left_out.one("location"), "code"));
    assert_eq!(back.status, 200, "{}", back.text());
    let text = back.text();
    assert!(
        text.contains("You signed in as mallory@example.com"),
        "{text}"
    );
    assert!(text.contains("Nothing was allowed yet"), "{text}");
    assert!(text.contains("mallory@example.com, let this app"), "{text}");
    // They decide for themselves, and the provider is asked again.
    let decided = browser.submit(
        &format!("{}/consent/decision", gate.origin),
        &[
            ("ticket", &back.field("ticket")),
            ("token", &back.field("token")),
            ("decision", "allow"),
        ],
        Some(&gate.origin),
    );
    let onward = browser.open(&decided.one("location")).refresh_target();
    let back = browser.open(&idp.sign_in(&onward, "code"));
    assert!(query_of(&back.one("location"), "code").is_some());
    let apps = browser.open(&format!("{}/apps", gate.origin)).text();
    assert!(
        apps.contains("Signed in as <strong>mallory@example.com"),
        "{apps}"
    );
}

#[test]
fn a_provider_that_refuses_is_named_on_the_page_of_a_sign_in() {
    let idp = Idp::start();
    let gate = Gate::start_in("", &[("VESTIBULE_IDP__ISSUER", &idp.issuer)]);
    let browser = Browser::new("ada");
    let tried = || {
        let begun = browser.open(&format!("{}/login?to=apps", gate.origin));
        let back = browser.open(&idp.sign_in(&begun.one("location"), "code"));
        (back.status, back.text())
    };
    let refusal = (401, r#"{"error":"invalid_client"}"#.to_owned());
    idp.with(|told| told.refusal = Some(refusal));
    let (status, text) = tried();
    assert_eq!(status, 403);
    assert!(text.contains("V-IDP-014"), "{text}");
    idp.with(|told| {
        told.refusal = None;
        told.claims = serde_json::json!({ "nonce": "another" });
    });
    let (_, text) = tried();
    assert!(text.contains("V-IDP-011"), "{text}");
    assert!(!browser.cookies().contains_key(SESSION));
    idp.with(|told| told.claims = serde_json::json!({}));
    assert_eq!(tried().0, 303);
    assert!(browser.cookies().contains_key(SESSION));
}
