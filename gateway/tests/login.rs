//! Attacks on the login, each followed by an honest one; named after the rows of the threat
//! catalogue and the rules they break.

mod support;

use serde_json::json;
use support::{
    Browser, CLIENT, Gate, PING, REDIRECT, Tokens, WEB_CLIENT, WEB_REDIRECT, query_of,
    standin::StandIn, wire::Answer,
};
use vestibule::{app, keys::Keys};
use vestibule_core::{
    keyring::Purpose, pkce::CodeVerifier, secret::MacKey, token::refresh_token::RefreshToken,
};

fn is_page(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert!(!answer.has("location"), "{answer:?}");
    assert_eq!(answer.one("content-type"), "text/html; charset=utf-8");
    let policy = answer.one("content-security-policy");
    assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert_eq!(answer.one("x-frame-options"), "DENY");
    assert_eq!(answer.one("x-content-type-options"), "nosniff");
    assert_eq!(answer.one("cache-control"), "no-store");
    assert!(!answer.has("access-control-allow-origin"), "CORS-2");
}

fn changed(path: &str, from: &str, to: &str) -> String {
    let out = path.replace(from, to);
    assert_ne!(out, path, "{from} is in {path}");
    out
}

#[test]
fn t_aut_01_t_aut_02_t_aut_03_authz_2_no_redirect_to_an_address_that_is_not_registered() {
    let gate = Gate::start();
    let (path, _) = gate.authorize_path("a", "a:read");
    let encoded = "http%3A%2F%2F127.0.0.1%3A4711%2Fcallback";
    let evil = |uri: &str| {
        let uri: String = url::form_urlencoded::byte_serialize(uri.as_bytes()).collect();
        changed(&path, encoded, &uri)
    };
    // The person allowed this client before: it must not matter.
    let browser = Browser::new("ada");
    browser.code(&gate, &path);
    for bad in [
        changed(&path, CLIENT, "unknown"),
        changed(&path, CLIENT, "vdc_AAAA"),
        changed(&path, CLIENT, "%27+OR+1%3D1--"),
        changed(&path, CLIENT, "https%3A%2F%2F127.0.0.1%2Fm.json"),
        evil("https://evil.example/cb"),
        evil("http://127.0.0.1:4711/callback/"),
        evil("http://127.0.0.1:4711/callback?x=1"),
        evil("http://127.0.0.1:4711/Callback"),
        evil("http://localhost:4711/callback"),
        evil("https://127.0.0.1:4711/callback"),
        evil("http://127.0.0.1:4711@evil.example/callback"),
        evil("http://127.0.0.1.evil.example/callback"),
        format!("{path}&redirect_uri=https%3A%2F%2Fevil.example"),
        format!("{path}&client_id=other"),
        "/authorize".to_owned(),
        "/authorize?client_id=%ff".to_owned(),
    ] {
        is_page(&browser.open(&format!("{}{bad}", gate.origin)), 400);
    }
    gate.honest_login();
}

#[test]
fn cons_9_authz_5_errors_before_a_decision_reach_only_clients_that_are_known() {
    let gate = Gate::start();
    let (path, _) = gate.authorize_path("a", "a:read");
    let bad = changed(&path, "S256", "plain");
    // Loopback, and added by an operator: they hear it, with issuer and state.
    let answer = gate.get(&bad);
    assert_eq!(answer.status, 303);
    let location = answer.one("location");
    assert!(location.starts_with(REDIRECT), "{location}");
    assert_eq!(
        query_of(&location, "error").as_deref(),
        Some("invalid_request")
    );
    assert_eq!(query_of(&location, "state").as_deref(), Some("st+a&te"));
    assert_eq!(query_of(&location, "iss"), Some(gate.origin.clone()));
    let web = changed(&bad, CLIENT, WEB_CLIENT);
    let web = changed(
        &web,
        "http%3A%2F%2F127.0.0.1%3A4711%2Fcallback",
        "https%3A%2F%2Fclient.example%2Fcb",
    );
    assert!(gate.get(&web).one("location").starts_with(WEB_REDIRECT));
    // One that registered itself with an address of its own: a page with a link.
    let id = register(
        &gate,
        &json!({ "redirect_uris": ["https://stranger.example/cb"],
        "token_endpoint_auth_method": "none" }),
    )
    .json()["client_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let stranger = changed(&web, WEB_CLIENT, &id);
    let stranger = changed(&stranger, "client.example", "stranger.example");
    let answer = gate.get(&stranger);
    is_page(&answer, 400);
    assert!(
        answer
            .text()
            .contains("https://stranger.example/cb?error=invalid_request")
    );
    gate.honest_login();
}

fn register(gate: &Gate, body: &serde_json::Value) -> Answer {
    let body = body.to_string();
    let headers = [("content-type", "application/json")];
    gate.wire()
        .request(&gate.host(), "POST", "/register", &headers, body.as_bytes())
}

#[test]
fn t_con_01_cons_1_no_code_without_this_person_s_own_yes() {
    let gate = Gate::start();
    // The victim uses the gateway, and the provider signs in silently from now on.
    let victim = Browser::new("ada");
    let (honest, _) = gate.authorize_path("a", "a:read");
    victim.code(&gate, &honest);
    // A stranger's client: the page comes first, whatever was allowed before.
    let id = register(
        &gate,
        &json!({ "client_name": "Test client",
        "redirect_uris": ["https://evil.example/cb"], "token_endpoint_auth_method": "none" }),
    )
    .json()["client_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let path = changed(&honest, CLIENT, &id);
    let path = changed(
        &path,
        "http%3A%2F%2F127.0.0.1%3A4711%2Fcallback",
        "https%3A%2F%2Fevil.example%2Fcb",
    );
    let page = victim.open(&format!("{}{path}", gate.origin));
    is_page(&page, 200);
    let text = page.text();
    assert!(
        text.contains("evil.example") && text.contains("Not verified"),
        "{text}"
    );
    // Also for the same client, each time.
    is_page(&victim.open(&format!("{}{honest}", gate.origin)), 200);
    gate.honest_login();
}

#[test]
fn t_con_02_t_con_03_t_idp_01_cons_6_cons_7_another_browser_finishes_nothing() {
    let gate = Gate::start();
    let attacker = Browser::new("bob");
    let victim = Browser::new("ada");
    let (path, _) = gate.authorize_path("a", "a:read");
    let provider = attacker.decide(&gate, &path, "allow");
    // The victim was even shown the page: that binds nothing.
    victim.consent_page(&gate, &path);
    assert!(
        victim
            .cookies()
            .keys()
            .all(|name| !name.starts_with("vestibule_login"))
    );
    let callback = victim.sign_in(&provider);
    is_page(&victim.open(&callback), 403);
    // Nor does a cookie of her own making help, or that of her own login.
    let own = victim.decide(&gate, &path, "allow");
    let theirs = query_of(&callback, "state").expect("a state");
    let name = attacker
        .cookies()
        .keys()
        .find(|n| n.starts_with("vestibule_login"))
        .cloned()
        .expect("bound");
    victim.set_cookie(&name, "forged");
    is_page(&victim.open(&callback), 400);
    victim.set_cookie(&name, &"A".repeat(43));
    is_page(&victim.open(&callback), 400);
    // Login CSRF: the attacker's own answer in the victim's browser.
    let attackers = attacker.sign_in(&provider);
    is_page(&Browser::new("ada").open(&attackers), 403);
    assert_eq!(query_of(&attackers, "state"), Some(theirs));
    // Nobody spent anything: both finish their own.
    assert!(query_of(&attacker.open(&attackers).one("location"), "code").is_some());
    let done = victim.open(&victim.sign_in(&own)).one("location");
    assert!(query_of(&done, "code").is_some());
    gate.honest_login();
}

#[test]
fn t_con_04_a_forged_cookie_allows_nothing_and_a_grant_belongs_to_who_signed_in() {
    let gate = Gate::start();
    let browser = Browser::new("ada");
    for name in [
        "__Host-MCP_APPROVED_CLIENTS",
        "vestibule_consent",
        "vestibule_session",
    ] {
        browser.set_cookie(name, "W3siY2xpZW50X2lkIjoidmNsX3Rlc3QifV0=");
    }
    let (path, _) = gate.authorize_path("a", "a:read");
    is_page(&browser.open(&format!("{}{path}", gate.origin)), 200);
    // Ada allowed in this browser; Bob signs in later with the same browser: he is asked.
    browser.code(&gate, &path);
    is_page(&browser.open(&format!("{}{path}", gate.origin)), 200);
    let mut other = Browser::new("bob");
    for (name, value) in browser.cookies() {
        // Ada has signed out at the provider.
        if !name.contains("demo") {
            other.set_cookie(&name, &value);
        }
    }
    // The page names Ada, whose session is still here: Bob comes back, and is asked himself.
    let provider = other.decide(&gate, &path, "allow");
    let asked = other.open(&other.sign_in(&provider));
    is_page(&asked, 200);
    assert!(asked.text().contains("You signed in as bob"));
    let bob = gate.login(&mut other, "a", "a:read");
    let ada = gate.honest_login();
    let users: Vec<_> = [&bob.access, &ada.access]
        .map(|token| {
            gate.echo.take();
            assert_eq!(gate.call("a", token, PING).status, 200);
            gate.echo.take()[0].headers["x-vestibule-user"].clone()
        })
        .to_vec();
    assert_ne!(users[0], users[1]);
}

#[test]
fn t_con_05_cons_4_a_decision_comes_from_our_page_in_this_browser() {
    let gate = Gate::start();
    let (path, _) = gate.authorize_path("a", "a:read");
    let browser = Browser::new("ada");
    let (ticket, token) = browser.consent_page(&gate, &path);
    let url = format!("{}/consent/decision", gate.origin);
    let form = [
        ("ticket", ticket.as_str()),
        ("token", token.as_str()),
        ("decision", "allow"),
    ];
    is_page(&browser.submit(&url, &form, None), 403);
    for origin in ["null", "https://evil.example", "http://localhost"] {
        is_page(&browser.submit(&url, &form, Some(origin)), 403);
    }
    // Fetch metadata that says otherwise.
    let cookies = browser.cookie_header();
    for site in ["cross-site", "same-site", "none"] {
        let headers = [
            ("cookie", cookies.as_str()),
            ("origin", gate.origin.as_str()),
            ("sec-fetch-site", site),
        ];
        is_page(
            &gate
                .wire()
                .post_form(&gate.host(), "/consent/decision", &form, &headers),
            403,
        );
    }
    // A token that an attacker fetched for himself, or for another page.
    let other = Browser::new("bob");
    let (_, foreign) = other.consent_page(&gate, &path);
    let (second, second_token) = browser.consent_page(&gate, &path);
    for (ticket, token) in [
        (&ticket, &foreign),
        (&ticket, &second_token),
        (&second, &token),
    ] {
        let form = [
            ("ticket", ticket.as_str()),
            ("token", token.as_str()),
            ("decision", "allow"),
        ];
        is_page(&browser.submit(&url, &form, Some(&gate.origin)), 403);
    }
    // Without the form cookie.
    is_page(
        &Browser::new("ada").submit(&url, &form, Some(&gate.origin)),
        403,
    );
    // And the first page still works: two tabs do not take it from each other.
    assert_eq!(browser.submit(&url, &form, Some(&gate.origin)).status, 303);
    gate.honest_login();
}

#[test]
fn two_pages_of_a_first_visit_are_both_decided_on() {
    let gate = Gate::start();
    let browser = Browser::new("ada");
    let (path, _) = gate.authorize_path("a", "a:read");
    let cookie_of = |page: &Answer| {
        let cookie = page.one("set-cookie");
        let (name, rest) = cookie.split_once('=').expect("a pair");
        let value = rest.split(';').next().expect("a value");
        (name.to_owned(), value.to_owned())
    };
    // Asked for together, so that neither brings the other's cookie along. One time in sixteen
    // both have one name, and the first is lost: that is the bargain.
    let first = gate.get(&path);
    let mut others = (0..64).map(|_| gate.get(&path));
    let second = others.find(|page| cookie_of(page).0 != cookie_of(&first).0);
    let pages = [first, second.expect("another name")];
    for page in &pages {
        let (name, value) = cookie_of(page);
        browser.set_cookie(&name, &value);
    }
    for page in &pages {
        let decided = browser.submit(
            &format!("{}/consent/decision", gate.origin),
            &[
                ("ticket", &page.field("ticket")),
                ("token", &page.field("token")),
                ("decision", "allow"),
            ],
            Some(&gate.origin),
        );
        assert_eq!(decided.status, 303, "{}", decided.text());
        let onward = browser.open(&decided.one("location"));
        assert_eq!(onward.status, 200, "{}", onward.text());
        let back = browser.open(&browser.sign_in(&onward.refresh_target()));
        assert!(query_of(&back.one("location"), "code").is_some());
    }
    // A later page has one of these, and sets no third.
    let later = browser.open(&format!("{}{path}", gate.origin));
    assert!(!later.has("set-cookie"));
}

#[test]
fn t_con_06_the_form_cannot_be_edited_or_sent_otherwise() {
    let gate = Gate::start();
    let (path, _) = gate.authorize_path("a", "a:read");
    let browser = Browser::new("ada");
    let (ticket, token) = browser.consent_page(&gate, &path);
    let url = format!("{}/consent/decision", gate.origin);
    assert_eq!(
        browser
            .open(&format!(
                "{url}?ticket={ticket}&token={token}&decision=allow"
            ))
            .status,
        405
    );
    let base = [
        ("ticket", ticket.as_str()),
        ("token", token.as_str()),
        ("decision", "allow"),
    ];
    for extra in ["redirect_uri", "scope", "client_id", "code_challenge"] {
        let mut form = base.to_vec();
        form.push((extra, "x"));
        is_page(&browser.submit(&url, &form, Some(&gate.origin)), 400);
    }
    let wrong = [
        ("ticket", ticket.as_str()),
        ("token", token.as_str()),
        ("decision", "<script>"),
    ];
    let answer = browser.submit(&url, &wrong, Some(&gate.origin));
    is_page(&answer, 400);
    assert!(!answer.text().contains("<script>"), "T-CON-08");
    gate.honest_login();
}

#[test]
fn t_con_13_a_page_is_decided_once_and_deny_is_told() {
    let gate = Gate::start();
    let (path, _) = gate.authorize_path("a", "a:read");
    let browser = Browser::new("ada");
    let denied = browser.decide(&gate, &path, "deny");
    assert!(denied.starts_with(REDIRECT));
    assert_eq!(query_of(&denied, "error").as_deref(), Some("access_denied"));
    assert_eq!(query_of(&denied, "state").as_deref(), Some("st+a&te"));
    assert_eq!(query_of(&denied, "iss"), Some(gate.origin.clone()));
    let (ticket, token) = browser.consent_page(&gate, &path);
    let url = format!("{}/consent/decision", gate.origin);
    let form = |decision| {
        [
            ("ticket", ticket.clone()),
            ("token", token.clone()),
            ("decision", decision),
        ]
    };
    let send = |decision: &str| {
        let form = form(decision.to_owned());
        let form: Vec<_> = form.iter().map(|(n, v)| (*n, v.as_str())).collect();
        browser.submit(&url, &form, Some(&gate.origin))
    };
    assert_eq!(send("allow").status, 303);
    is_page(&send("allow"), 410);
    is_page(&send("deny"), 410);
    gate.honest_login();
}

#[test]
fn t_con_07_t_con_08_cons_3_cons_5_what_the_page_says_and_how() {
    let gate = Gate::start();
    let id = register(&gate, &json!({
        "client_name": "<script>alert(1)</script>__CSRF_TOKEN__\u{202e}",
        "redirect_uris": ["http://127.0.0.1:4711/callback"], "token_endpoint_auth_method": "none" }))
        .json()["client_id"].as_str().expect("an id").to_owned();
    let (path, _) = gate.authorize_path("a", "a:read");
    let page = gate.get(&changed(&path, CLIENT, &id));
    is_page(&page, 200);
    let text = page.text();
    assert!(
        !text.contains("<script>") && !text.contains('\u{202e}'),
        "{text}"
    );
    assert!(
        text.contains("alert(1)") && text.contains("__CSRF_TOKEN__"),
        "shown as text"
    );
    for part in [
        "Not verified",
        "127.0.0.1:4711",
        "Server A",
        "Read a",
        "program on this computer",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(
        !text.contains("http://evil") && !text.contains("src=\"http"),
        "no foreign content"
    );
    gate.honest_login();
}

#[test]
fn bad_input_expired_pages_and_late_returns_say_so() {
    let gate = Gate::start();
    let (path, _) = gate.authorize_path("a", "a:read");
    let browser = Browser::new("ada");
    let (ticket, token) = browser.consent_page(&gate, &path);
    let provider = browser.decide(&gate, &path, "allow");
    let callback = browser.sign_in(&provider);
    gate.turn_clock(601);
    let form = [
        ("ticket", ticket.as_str()),
        ("token", token.as_str()),
        ("decision", "allow"),
    ];
    let late = browser.submit(
        &format!("{}/consent/decision", gate.origin),
        &form,
        Some(&gate.origin),
    );
    is_page(&late, 410);
    // T-IDP-02, UP-2: ten minutes and a second, then once more.
    is_page(&browser.open(&callback), 410);
    assert!(matches!(browser.open(&callback).status, 400 | 403));
    gate.honest_login();
}

#[test]
fn t_idp_02_the_way_back_works_once() {
    let gate = Gate::start();
    let (path, verifier) = gate.authorize_path("a", "a:read");
    let browser = Browser::new("ada");
    let callback = browser.sign_in(&browser.decide(&gate, &path, "allow"));
    let cookies = browser.cookies();
    let code = query_of(&browser.open(&callback).one("location"), "code").expect("a code");
    for (name, value) in &cookies {
        browser.set_cookie(name, value);
    }
    is_page(&browser.open(&callback), 400);
    gate.redeem(&code, &verifier);
    for forged in [
        "?state=x&code=y",
        "?code=y",
        "",
        "?state=x&state=y&code=z",
        "?state=%ff",
    ] {
        let answer = browser.open(&format!("{}/oauth-callback{forged}", gate.origin));
        assert!(matches!(answer.status, 400 | 403), "{forged}");
    }
    gate.honest_login();
}

#[test]
fn t_tok_01_t_tok_03_t_tok_04_t_tok_05_tok_10_a_code_is_its_owner_s_and_works_once() {
    let gate = Gate::start();
    let (path, verifier) = gate.authorize_path("a", "a:read");
    let code = Browser::new("ada").code(&gate, &path);
    let ask = |client: &str, verifier: &str, redirect: &str| {
        gate.token(&[
            ("grant_type", "authorization_code"),
            ("client_id", client),
            ("code", &code),
            ("code_verifier", verifier),
            ("redirect_uri", redirect),
        ])
    };
    let refused = |answer: Answer| {
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert_eq!(answer.one("cache-control"), "no-store");
        answer.json()["error"]
            .as_str()
            .expect("an error")
            .to_owned()
    };
    assert_eq!(
        refused(ask(WEB_CLIENT, verifier.expose(), REDIRECT)),
        "invalid_grant"
    );
    assert_eq!(
        refused(ask(
            CLIENT,
            verifier.expose(),
            "http://127.0.0.1:4712/callback"
        )),
        "invalid_grant"
    );
    assert_eq!(
        refused(ask(CLIENT, &"x".repeat(43), REDIRECT)),
        "invalid_grant"
    );
    assert_eq!(
        refused(ask(CLIENT, &verifier.challenge().text(), REDIRECT)),
        "invalid_grant"
    );
    assert_eq!(refused(ask(CLIENT, "short", REDIRECT)), "invalid_grant");
    assert_eq!(refused(ask(CLIENT, "", REDIRECT)), "invalid_request");
    // None of that spent it.
    let tokens = gate.redeem(&code, &verifier);
    assert_eq!(gate.call("a", &tokens.access, PING).status, 200);
    // A stranger's replay changes nothing; its owner's ends everything.
    assert_eq!(
        refused(ask(WEB_CLIENT, verifier.expose(), REDIRECT)),
        "invalid_grant"
    );
    assert_eq!(gate.call("a", &tokens.access, PING).status, 200);
    assert_eq!(
        refused(ask(CLIENT, verifier.expose(), REDIRECT)),
        "invalid_grant"
    );
    assert_eq!(gate.call("a", &tokens.access, PING).status, 401);
    assert_eq!(gate.refresh(&tokens.refresh).status, 400);
    gate.honest_login();
}

#[test]
fn t_tok_05_five_wrong_verifiers_void_a_code() {
    let gate = Gate::start();
    let (path, verifier) = gate.authorize_path("a", "a:read");
    let code = Browser::new("ada").code(&gate, &path);
    let ask = |verifier: &CodeVerifier| {
        gate.token(&[
            ("grant_type", "authorization_code"),
            ("client_id", CLIENT),
            ("code", &code),
            ("code_verifier", verifier.expose()),
        ])
    };
    for n in 0..5 {
        assert_eq!(ask(&CodeVerifier::from_random(&[n; 32])).status, 400);
    }
    assert_eq!(ask(&verifier).status, 400);
    gate.honest_login();
}

#[test]
fn authz_14_t_tok_06_a_code_lives_for_a_minute() {
    let gate = Gate::start();
    let (path, verifier) = gate.authorize_path("a", "a:read");
    let code = Browser::new("ada").code(&gate, &path);
    gate.turn_clock(61);
    let late = gate.token(&[
        ("grant_type", "authorization_code"),
        ("client_id", CLIENT),
        ("code", &code),
        ("code_verifier", verifier.expose()),
    ]);
    assert_eq!(
        (late.status, late.json()["error"].as_str()),
        (400, Some("invalid_grant"))
    );
    gate.honest_login();
}

#[test]
fn t_tok_02_fifty_redemptions_at_once_give_one_success() {
    let gate = Gate::start();
    let (path, verifier) = gate.authorize_path("a", "a:read");
    let code = Browser::new("ada").code(&gate, &path);
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", CLIENT),
        ("code", code.as_str()),
        ("code_verifier", verifier.expose()),
    ];
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..50)
            .map(|_| scope.spawn(|| gate.token(&form).status))
            .collect();
        all.into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    assert_eq!(
        statuses.iter().filter(|status| **status == 200).count(),
        1,
        "{statuses:?}"
    );
    assert!(
        statuses.iter().all(|status| matches!(status, 200 | 400)),
        "{statuses:?}"
    );
    gate.honest_login();
}

#[test]
fn t_tok_11_t_tok_12_tok_15_tok_16_refresh_tokens_rotate_repeat_briefly_and_then_end_the_grant() {
    let gate = Gate::start_with("[tokens]\nrefresh_window = \"10s\"\n");
    let tokens = gate.honest_login();
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| gate.refresh(&tokens.refresh)))
            .collect();
        all.into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    let mut successors: Vec<String> = answers
        .iter()
        .filter(|answer| answer.status == 200)
        .map(|answer| {
            answer.json()["refresh_token"]
                .as_str()
                .expect("a token")
                .to_owned()
        })
        .collect();
    assert_eq!(successors.len(), 9, "one rotation and eight repeats");
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer.status, 200 | 400))
    );
    successors.dedup();
    assert_eq!(successors.len(), 1, "never a second branch");
    let next = gate.refresh(&successors[0]);
    assert_eq!(next.status, 200, "the family lives: {}", next.text());
    let access = next.json()["access_token"]
        .as_str()
        .expect("a token")
        .to_owned();
    assert_eq!(gate.call("a", &access, PING).status, 200);
    gate.turn_clock(11);
    let replay = gate.refresh(&tokens.refresh);
    assert_eq!(
        (replay.status, replay.json()["error"].as_str()),
        (400, Some("invalid_grant"))
    );
    assert_eq!(
        gate.call("a", &access, PING).status,
        401,
        "the whole family has ended"
    );
    let last = next.json()["refresh_token"]
        .as_str()
        .expect("a token")
        .to_owned();
    assert_eq!(gate.refresh(&last).status, 400);
    gate.honest_login();
}

#[test]
fn tok_1_tok_2_tok_18_t_tok_07_t_tok_08_t_tok_09_t_tok_10_t_tok_15_what_the_token_endpoint_refuses()
{
    let gate = Gate::start();
    let tokens = gate.honest_login();
    let post = |kind: &str, path: &str, body: &str| {
        let headers = [("content-type", kind)];
        gate.wire()
            .request(&gate.host(), "POST", path, &headers, body.as_bytes())
    };
    let form = "application/x-www-form-urlencoded";
    let refresh = format!(
        "grant_type=refresh_token&client_id={CLIENT}&refresh_token={}",
        tokens.refresh
    );
    let table = [
        (
            post("application/json", "/token", "{}"),
            415,
            "invalid_request",
        ),
        (
            post(
                "application/json, application/x-www-form-urlencoded",
                "/token",
                &refresh,
            ),
            415,
            "invalid_request",
        ),
        (
            post("multipart/form-data", "/token", &refresh),
            415,
            "invalid_request",
        ),
        (
            post(form, "/token?grant_type=refresh_token", &refresh),
            400,
            "invalid_request",
        ),
        (
            post(form, "/token", &format!("{refresh}&client_id={CLIENT}")),
            400,
            "invalid_request",
        ),
        (
            post(form, "/token", &format!("{refresh}&scope=%zz")),
            400,
            "invalid_request",
        ),
        (
            post(form, "/token", &format!("{refresh}&scope=a:read%20a:write")),
            400,
            "invalid_scope",
        ),
        (
            post(
                form,
                "/token",
                &format!("{refresh}&resource=https%3A%2F%2Fevil.example"),
            ),
            400,
            "invalid_target",
        ),
        (
            post(form, "/token", &changed(&refresh, CLIENT, WEB_CLIENT)),
            400,
            "invalid_grant",
        ),
        (
            post(form, "/token", &changed(&refresh, CLIENT, "nobody")),
            401,
            "invalid_client",
        ),
        (
            post(form, "/token", &format!("{refresh}&client_secret=x")),
            401,
            "invalid_client",
        ),
        (
            post(form, "/token", "grant_type=password"),
            400,
            "unsupported_grant_type",
        ),
        (
            post(
                form,
                "/token",
                &format!("grant_type=client_credentials&client_id={CLIENT}"),
            ),
            400,
            "unauthorized_client",
        ),
        (post(form, "/token", ""), 400, "invalid_request"),
        (
            post(
                form,
                "/token",
                &format!(
                    "grant_type=authorization_code&client_id={CLIENT}&code={}&code_verifier={}",
                    tokens.refresh,
                    "a".repeat(43)
                ),
            ),
            400,
            "invalid_grant",
        ),
    ];
    for (answer, status, error) in table {
        assert_eq!(
            (answer.status, answer.json()["error"].as_str()),
            (status, Some(error)),
            "{answer:?}"
        );
        assert_eq!(answer.one("cache-control"), "no-store");
    }
    let large = format!("{refresh}&x={}", "y".repeat(70_000));
    assert_eq!(post(form, "/token", &large).status, 413);
    assert_eq!(gate.get("/token").status, 405);
    // None of that changed anything.
    assert_eq!(gate.refresh(&tokens.refresh).status, 200);
}

#[test]
fn tkn_6_tkn_7_t_tok_13_revocation_ends_one_s_own_and_at_once() {
    let gate = Gate::start();
    let tokens = gate.honest_login();
    let revoke = |client: &str, token: &str, hint: &str| {
        let form = [
            ("client_id", client),
            ("token", token),
            ("token_type_hint", hint),
        ];
        gate.wire()
            .post_form(&gate.host(), "/revoke", &form, &[])
            .status
    };
    assert_eq!(revoke(CLIENT, "garbage", "access_token"), 200);
    // Another client's is refused (RFC 7009 §2.1); a guess at one is nothing.
    assert_eq!(revoke(WEB_CLIENT, &tokens.refresh, "refresh_token"), 400);
    assert_eq!(revoke(WEB_CLIENT, &tokens.access, "access_token"), 400);
    let (rest, end) = tokens.access.split_at(tokens.access.len() - 8);
    let guess = format!("{rest}{}", end.chars().rev().collect::<String>());
    assert_eq!(revoke(WEB_CLIENT, &guess, "access_token"), 200);
    assert_eq!(revoke("nobody", &tokens.access, ""), 401);
    assert_eq!(
        gate.call("a", &tokens.access, PING).status,
        200,
        "another's is left alone"
    );
    assert_eq!(
        revoke(CLIENT, &tokens.access, "refresh_token"),
        200,
        "a wrong hint is only a hint"
    );
    assert_eq!(gate.call("a", &tokens.access, PING).status, 401);
    let renewed = gate.refresh(&tokens.refresh).json();
    let access = renewed["access_token"].as_str().expect("a token");
    let refresh = renewed["refresh_token"].as_str().expect("a token");
    assert_eq!(gate.call("a", access, PING).status, 200);
    assert_eq!(revoke(CLIENT, refresh, ""), 200);
    assert_eq!(gate.call("a", access, PING).status, 401);
    assert_eq!(gate.refresh(refresh).status, 400);
    assert_eq!(revoke(CLIENT, refresh, ""), 200, "twice is fine");
    gate.honest_login();
}

#[test]
fn t_reg_01_t_reg_02_dcr_1_dcr_2_registration_refuses_and_keeps_nothing() {
    let gate = Gate::start();
    for uris in [
        json!(["javascript:alert(1)"]),
        json!(["data:text/html,x"]),
        json!([" https://client.example/cb"]),
        json!(["https://client.example@evil.example/cb"]),
        json!(["http://client.example/cb"]),
        json!(["https://client.example/cb#x"]),
        json!([]),
        json!([1]),
        json!({}),
        json!(null),
    ] {
        let answer = register(&gate, &json!({ "redirect_uris": uris }));
        assert_eq!(answer.status, 400, "{uris}: {}", answer.text());
        assert_eq!(answer.json()["error"], "invalid_redirect_uri", "{uris}");
    }
    let large = register(
        &gate,
        &json!({ "redirect_uris": ["http://localhost/cb"], "x": "y".repeat(70_000) }),
    );
    assert_eq!(large.status, 413);
    let good = register(&gate, &json!({ "redirect_uris": ["http://localhost/cb"] }));
    assert_eq!(
        (good.status, good.one("cache-control").as_str()),
        (201, "no-store")
    );
    assert_eq!(good.one("access-control-allow-origin"), "*", "CORS-2");
    gate.honest_login();
}

#[test]
fn t_reg_08_registration_can_be_off_and_then_is_not_announced() {
    let gate = Gate::start_with("[registration]\ndynamic = \"off\"\n");
    assert_eq!(
        register(&gate, &json!({ "redirect_uris": ["http://localhost/cb"] })).status,
        403
    );
    let metadata = gate.get("/.well-known/oauth-authorization-server").json();
    assert!(metadata.get("registration_endpoint").is_none());
    gate.honest_login();
}

#[test]
fn disc_1_disc_2_disc_4_disc_9_disc_13_disc_15_t_dsc_01_t_dsc_02_the_documents_and_what_they_promise()
 {
    let gate = Gate::start();
    let oauth = gate.get("/.well-known/oauth-authorization-server");
    assert_eq!(
        (oauth.status, oauth.one("content-type").as_str()),
        (200, "application/json")
    );
    let metadata = oauth.json();
    assert_eq!(metadata["issuer"], gate.origin.as_str());
    assert_eq!(
        gate.get("/.well-known/openid-configuration").json(),
        metadata
    );
    let old = gate.wire().get(
        &gate.host(),
        "/.well-known/oauth-authorization-server",
        &[("mcp-protocol-version", "1900-01-01")],
    );
    assert_eq!(old.json(), metadata);
    for server in ["a", "b"] {
        let document = gate
            .get(&format!(
                "/.well-known/oauth-protected-resource/{server}/mcp"
            ))
            .json();
        assert_eq!(document["resource"], gate.resource(server).as_str());
        assert_eq!(document["authorization_servers"], json!([gate.origin]));
    }
    // Several servers: no document without a path, and none for other paths.
    for path in ["", "/", "/nothing/mcp", "-evil", "/a/mcp/x", "/a"] {
        assert_eq!(
            gate.get(&format!("/.well-known/oauth-protected-resource{path}"))
                .status,
            404,
            "{path}"
        );
    }
    let foreign = gate.wire().get(
        "evil.example",
        "/.well-known/oauth-authorization-server",
        &[],
    );
    assert_eq!(foreign.status, 421);
    let forwarded = gate.wire().get(
        &gate.host(),
        "/.well-known/oauth-authorization-server",
        &[
            ("x-forwarded-host", "evil.example"),
            ("forwarded", "host=evil.example"),
        ],
    );
    assert_eq!(forwarded.json(), metadata);
    // Whatever is promised is there.
    for (name, value) in metadata.as_object().expect("an object") {
        let Some(url) = value.as_str().filter(|v| v.starts_with("http")) else {
            continue;
        };
        let path = url.strip_prefix(&gate.origin).expect("ours");
        if path.is_empty() {
            continue;
        }
        assert_ne!(gate.get(path).status, 404, "{name}");
    }
    assert_eq!(gate.get("/jwks.json").json()["keys"][0]["alg"], "ES256");
    gate.honest_login();
}

#[test]
fn cors_1_cors_2_t_dsc_03_which_pages_may_read_what() {
    let gate = Gate::start();
    let options = |path: &str| {
        let headers = [
            ("origin", "https://app.example"),
            ("access-control-request-method", "POST"),
            (
                "access-control-request-headers",
                "authorization, mcp-protocol-version",
            ),
        ];
        gate.wire()
            .request(&gate.host(), "OPTIONS", path, &headers, b"")
    };
    for path in [
        "/token",
        "/register",
        "/revoke",
        "/.well-known/oauth-authorization-server",
        "/jwks.json",
    ] {
        let answer = options(path);
        assert_eq!(
            (
                answer.status,
                answer.one("access-control-allow-origin").as_str()
            ),
            (204, "*"),
            "{path}"
        );
        assert!(
            answer
                .one("access-control-allow-headers")
                .contains("mcp-protocol-version")
        );
        assert!(!answer.has("access-control-allow-credentials"));
    }
    for path in ["/authorize", "/consent/decision", "/oauth-callback", "/"] {
        assert!(!options(path).has("access-control-allow-origin"), "{path}");
    }
    gate.honest_login();
}

/// Neither text nor padding, of which a database is full.
fn looks_random(window: &[u8]) -> bool {
    let mut seen = [false; 256];
    for byte in window {
        seen[usize::from(*byte)] = true;
    }
    let distinct = seen.iter().filter(|seen| **seen).count();
    distinct > 20 && !window.is_ascii()
}

#[test]
fn t_sto_01_t_sto_06_t_idp_12_tkn_11_no_secret_of_a_login_rests_on_disk_or_in_the_log() {
    // At the most talkative level, of every library too.
    let more = [
        ("VESTIBULE_LOG", "trace"),
        ("VESTIBULE_ADMIN__PEOPLE", "demo-ada"),
    ];
    let gate = Gate::start_process("", &more);
    let (path, verifier) = gate.authorize_path("a", "a:read");
    let browser = Browser::new("ada");
    let provider = browser.decide(&gate, &path, "allow");
    let callback = browser.sign_in(&provider);
    let code = query_of(&browser.open(&callback).one("location"), "code").expect("a code");
    let tokens = gate.redeem(&code, &verifier);
    let mut canaries: Vec<String> = browser.cookies().into_values().collect();
    for name in ["code", "state"] {
        canaries.push(query_of(&callback, name).expect("there"));
    }
    canaries.push(query_of(&provider, "nonce").expect("there"));
    gate.call("a", &tokens.access, PING);
    let renewed = Tokens::of(&gate.refresh(&tokens.refresh).json());
    let renewed_refresh = renewed.refresh.clone();
    canaries.extend([
        code,
        tokens.access,
        tokens.refresh,
        renewed.access,
        renewed.refresh,
        verifier.expose().to_owned(),
        "canary-idp-secret".to_owned(),
    ]);
    // The same at our own pages and at the console.
    let start = browser.open(&format!("http://127.0.0.1:{}/console", gate.admin));
    let begun = browser.open(&start.one("location")).one("location");
    let back = browser.sign_in(&begun);
    let done = browser.open(&browser.open(&back).one("location"));
    let page = format!("{}{}", gate.origin, done.refresh_target());
    let form = [("token", &*browser.open(&page).field("token"))];
    let pass = browser.submit(&page, &form, Some(&gate.origin));
    let enter = pass.refresh_target();
    for name in ["code", "state"] {
        canaries.push(query_of(&back, name).expect("there"));
    }
    canaries.push(query_of(&begun, "nonce").expect("there"));
    canaries.extend(browser.cookies().into_values());
    assert_eq!(browser.open(&enter).status, 200);
    canaries.push(query_of(&enter, "pass").expect("there"));
    canaries.extend(browser.cookies().into_values());
    // The secret of the grant is no text: whoever finds it mints refresh tokens.
    let newest = RefreshToken::parse(&renewed_refresh).expect("a token");
    for entry in std::fs::read_dir(&gate.folder).expect("readable") {
        let path = entry.expect("readable").path();
        if !path.to_string_lossy().contains("vestibule.db") || !path.is_file() {
            continue;
        }
        let bytes = std::fs::read(&path).expect("readable");
        for window in bytes.windows(32).filter(|window| looks_random(window)) {
            let key = MacKey::new(window.try_into().expect("32 bytes"));
            assert!(!newest.is_authentic(&key, &gate.origin), "{path:?}");
        }
    }
    let disk = gate.disk();
    let logged = std::fs::metadata(gate.folder.join("log"))
        .expect("there")
        .len();
    assert!(logged > 1000, "the log is written: {logged}");
    for canary in canaries {
        assert!(canary.len() > 15, "{canary}");
        let bytes = canary.as_bytes();
        assert!(
            !disk.windows(bytes.len()).any(|window| window == bytes),
            "{canary} is on disk"
        );
    }
    gate.honest_login();
}

#[test]
fn up_1_up_2_up_17_t_aut_12_what_the_provider_is_asked_is_ours() {
    let gate = Gate::start();
    let (path, _) = gate.authorize_path("a", "a:read");
    let path = format!("{path}&login_hint=evil&claims=x&acr_values=y&domain_hint=z&prompt=consent");
    let url = Browser::new("ada").decide(&gate, &path, "allow");
    for foreign in [
        "login_hint",
        "claims",
        "acr_values",
        "domain_hint",
        "prompt",
        "resource",
    ] {
        assert_eq!(query_of(&url, foreign), None, "{url}");
    }
    let first = query_of(&url, "state").expect("a state");
    assert_ne!(first, "st+a&te");
    assert_eq!(
        query_of(&url, "code_challenge_method").as_deref(),
        Some("S256")
    );
    assert!(query_of(&url, "nonce").expect("a nonce").len() >= 43);
    let again = Browser::new("ada").decide(&gate, &path, "allow");
    assert_ne!(query_of(&again, "state"), Some(first), "fresh each time");
    assert_ne!(
        query_of(&again, "code_challenge"),
        query_of(&url, "code_challenge")
    );
    let fresh = Browser::new("ada").decide(
        &gate,
        &changed(&path, "prompt=consent", "prompt=login"),
        "allow",
    );
    assert_eq!(query_of(&fresh, "prompt").as_deref(), Some("login"));
    gate.honest_login();
}

#[test]
fn the_record_of_a_login_is_for_the_browser_that_began_it() {
    let gate = Gate::start();
    let (path, _) = gate.authorize_path("a", "a:read");
    let browser = Browser::new("ada");
    let page = browser.open(&format!("{}{path}", gate.origin)).text();
    let code = page
        .split("/flows/")
        .nth(1)
        .expect("a flow")
        .split('"')
        .next()
        .expect("ends")
        .to_owned();
    let url = format!("{}/flows/{code}", gate.origin);
    assert!(
        browser
            .open(&url)
            .text()
            .contains("The consent page was shown")
    );
    let stranger = Browser::new("bob").open(&url);
    assert_eq!(stranger.status, 404);
    assert!(!stranger.text().contains("consent page was shown"));
    assert_eq!(
        browser
            .open(&format!("{}/flows/0000-0000", gate.origin))
            .status,
        404
    );
    assert_eq!(
        browser
            .open(&format!("{}/flows/..%2f..%2fetc", gate.origin))
            .status,
        404
    );
    gate.honest_login();
}

#[test]
fn t_grd_08_t_tok_16_a_store_that_fails_is_never_an_answer_about_a_token() {
    let gate = Gate::start();
    let tokens = gate.honest_login();
    // The database is taken away under the running gateway.
    let holder = rusqlite::Connection::open(gate.folder.join("vestibule.db")).expect("opens");
    holder
        .execute_batch("ALTER TABLE grants RENAME TO grants_away")
        .expect("renamed");
    let answer = gate.refresh(&tokens.refresh);
    assert_eq!(
        (answer.status, answer.json()["error"].as_str()),
        (503, Some("temporarily_unavailable"))
    );
    assert!(answer.has("retry-after"));
    // The guard needs no store for a token that it can open.
    assert_eq!(gate.call("a", &tokens.access, PING).status, 200);
    holder
        .execute_batch("ALTER TABLE grants_away RENAME TO grants")
        .expect("renamed");
    drop(holder);
    assert_eq!(
        gate.refresh(&tokens.refresh).status,
        200,
        "nothing was lost"
    );
    gate.honest_login();
}

#[test]
fn up_13_without_a_refresh_token_of_the_provider_a_grant_lives_for_twelve_hours() {
    let hours = |gate: &Gate, hours: i64| gate.turn_clock(hours * 3600);
    let lasting = Gate::start();
    let tokens = lasting.honest_login();
    hours(&lasting, 13);
    assert_eq!(lasting.refresh(&tokens.refresh).status, 200);
    let brief = Gate::start_in("", &[("VESTIBULE_IDP__SCOPES", "openid,profile")]);
    let tokens = brief.honest_login();
    hours(&brief, 11);
    let renewed = brief.refresh(&tokens.refresh);
    assert_eq!(renewed.status, 200);
    hours(&brief, 1);
    let refresh = renewed.json()["refresh_token"]
        .as_str()
        .expect("a token")
        .to_owned();
    assert_eq!(brief.refresh(&refresh).status, 400);
    brief.honest_login();
}

#[test]
fn tkn_4_t_sto_03_keys_rotate_with_overlap_and_nothing_is_refused_meanwhile() {
    let gate = Gate::start();
    let tokens = gate.honest_login();
    let office = &gate.running().office;
    let dir = gate.folder.join("keys");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let key_of = |token: &str| token[4..9].to_owned();
    let rotate = |purpose| {
        runtime
            .block_on(Keys::rotate(&dir, purpose, &*office.store, &office.world))
            .expect("rotates");
        runtime
            .block_on(app::keep_keys(office, &dir))
            .expect("is taken over");
    };
    for purpose in Purpose::ALL {
        rotate(purpose);
    }
    let before = gate.honest_login();
    assert_eq!(
        key_of(&before.access),
        key_of(&tokens.access),
        "published, not used yet"
    );
    assert_eq!(
        gate.get("/jwks.json").json()["keys"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    gate.turn_clock(151);
    runtime
        .block_on(app::keep_keys(office, &dir))
        .expect("is taken over");
    let after = gate.honest_login();
    assert_ne!(
        key_of(&after.access),
        key_of(&tokens.access),
        "the new one is used"
    );
    for old in [&tokens, &before] {
        assert_eq!(
            gate.call("a", &old.access, PING).status,
            200,
            "the old one opens"
        );
        assert_eq!(gate.refresh(&old.refresh).status, 200, "what rests opens");
    }
    // A month later the key behind access tokens is rotated by itself, and the first is gone.
    gate.turn_clock(31 * 24 * 3600);
    runtime
        .block_on(app::keep_keys(office, &dir))
        .expect("is taken over");
    let access = office
        .keys
        .load()
        .list
        .iter()
        .filter(|key| key.purpose == Purpose::Access)
        .count();
    assert_eq!(access, 3);
    assert_eq!(gate.call("a", &tokens.access, PING).status, 401);
    gate.honest_login();
}

#[test]
fn t_sto_02_t_sto_04_a_root_key_that_is_another_or_readable_by_others_stops_the_start() {
    use std::os::unix::fs::PermissionsExt as _;
    let gate = Gate::start();
    gate.honest_login();
    let office = &gate.running().office;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let load = |dir: &std::path::Path| {
        let issuer = office.issuer.text();
        runtime
            .block_on(Keys::load(dir, issuer, &*office.store, &office.world))
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    let dir = gate.folder.join("keys");
    let root = dir.join("root.key");
    let mode = std::fs::metadata(&root)
        .expect("there")
        .permissions()
        .mode()
        & 0o777;
    assert_eq!(mode, 0o600);
    assert_eq!(load(&dir), Ok(()));
    let set_mode = |mode| {
        std::fs::set_permissions(&root, std::fs::Permissions::from_mode(mode)).expect("set");
    };
    set_mode(0o644);
    assert!(
        load(&dir)
            .expect_err("refused")
            .contains("may be read by others")
    );
    set_mode(0o600);
    let other = gate.folder.join("other");
    assert!(
        load(&other).expect_err("refused").contains("does not open"),
        "no new root for an old store"
    );
    std::fs::create_dir(&other).expect("made");
    std::fs::write(other.join("root.key"), [7; 32]).expect("written");
    std::fs::set_permissions(
        other.join("root.key"),
        std::fs::Permissions::from_mode(0o600),
    )
    .expect("set");
    assert!(load(&other).expect_err("refused").contains("does not open"));
    std::fs::write(other.join("root.key"), [7; 31]).expect("written");
    assert!(load(&other).expect_err("refused").contains("32 bytes"));
    gate.honest_login();
}

#[test]
fn bad_input_t_idp_11_up_12_a_provider_that_fails_or_hangs_is_told_to_the_client_and_explained() {
    let standin = StandIn::start();
    let gate = Gate::start_in(
        "[limits]\nprovider_time = \"1s\"\n",
        &[("VESTIBULE_IDP__ISSUER", &standin.issuer)],
    );
    let browser = Browser::new("ada");
    let table = [
        ("hang", "temporarily_unavailable", "did not answer"),
        ("page", "server_error", "not_json"),
        ("down", "server_error", "answered 503"),
        ("refuse", "server_error", "AADSTS7000222: the secret has"),
        ("empty", "server_error", "no ID token"),
        ("forged", "server_error", "not a signed token"),
    ];
    for (code, error, explained) in table {
        let (path, _) = gate.authorize_path("a", "a:read");
        let provider = browser.decide(&gate, &path, "allow");
        let state = query_of(&provider, "state").expect("a state");
        let callback = format!("{}/oauth-callback?code={code}&state={state}", gate.origin);
        let told = browser.open(&callback).one("location");
        assert_eq!(
            query_of(&told, "error").as_deref(),
            Some(error),
            "{code}: {told}"
        );
        assert_eq!(query_of(&told, "state").as_deref(), Some("st+a&te"));
        assert!(
            !told.contains("canary") && !told.contains("AADSTS"),
            "{told}"
        );
        let record = browser
            .open(&query_of(&told, "error_uri").expect("a page"))
            .text();
        assert!(record.contains(explained), "{code}: {record}");
        assert!(
            !record.contains("canary") && !record.contains("<b>"),
            "{record}"
        );
        // Used up: the same answer again is over.
        assert!(
            matches!(browser.open(&callback).status, 400 | 403),
            "{code}"
        );
    }
    // The provider says no in the browser, in its own words.
    let (path, _) = gate.authorize_path("a", "a:read");
    let state = query_of(&browser.decide(&gate, &path, "allow"), "state").expect("a state");
    let told = browser
        .open(&format!(
            "{}/oauth-callback?error=access_denied&error_description=%3Cscript%3Eno&state={state}",
            gate.origin
        ))
        .one("location");
    assert_eq!(query_of(&told, "error").as_deref(), Some("access_denied"));
    assert!(!told.contains("%3Cscript"));
    let record = browser
        .open(&query_of(&told, "error_uri").expect("a page"))
        .text();
    assert!(
        record.contains("access_denied") && !record.contains("<script>"),
        "{record}"
    );
    Gate::start().honest_login();
}

#[test]
fn authz_1_a_request_may_be_posted() {
    let gate = Gate::start();
    let (path, _) = gate.authorize_path("a", "a:read");
    let query = path.split_once('?').expect("a query").1;
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let page = gate.wire().request(
        &gate.host(),
        "POST",
        "/authorize",
        &headers,
        query.as_bytes(),
    );
    is_page(&page, 200);
}
