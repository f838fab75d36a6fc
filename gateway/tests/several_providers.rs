//! Several identity providers at one gateway: who signs whom in for what, and that nobody of
//! one is taken for somebody of another.

mod support;

use serde_json::{Value, json};
use support::{Browser, Gate, PING, Tokens, idp::Idp, query_of, read_config, signer, wire::Answer};
use vestibule::world::World;

/// Server `a` is for both, `b` for the main one alone, `c` for the partner's people alone; a
/// rule of `a` denies the main one's interns, one of `c` lets only the partner's staff in.
fn more(partner: &Idp) -> String {
    format!(
        r#"
[idps.partner]
issuer = "{}"
client_id = "vestibule"
client_secret = {{ file = "secret" }}
title = "Partner & Sons"
[servers.a2]
path = "/a2/mcp"
upstream = "ECHO/backend-a"
idp = ["main", "partner"]
deny = ["group:interns"]
[servers.d]
path = "/d/mcp"
upstream = "ECHO/backend-a"
idp = ["main", "partner"]
allow = ["group:partner/staff"]
upstream_auth = "headers"
[servers.c]
path = "/c/mcp"
upstream = "ECHO/backend-a"
idp = "partner"
allow = ["group:partner/staff"]
"#,
        partner.issuer
    )
}

struct Both {
    gate: Gate,
    main: Idp,
    partner: Idp,
}

impl Both {
    fn start() -> Self {
        let (main, partner) = (Idp::start(), Idp::start());
        let env = [
            ("VESTIBULE_IDP__ISSUER", main.issuer.as_str()),
            ("VESTIBULE_IDP__RECHECK", "1m"),
            ("VESTIBULE_SERVERS__A__UPSTREAM_AUTH", "none"),
        ];
        let gate = Gate::start_in(&more(&partner), &env);
        Self {
            gate,
            main,
            partner,
        }
    }

    /// What a press of Allow answers, with this provider chosen.
    fn allow(&self, browser: &Browser, path: &str, provider: Option<&str>) -> Answer {
        let (ticket, token) = browser.consent_page(&self.gate, path);
        let mut form = vec![
            ("ticket", ticket.as_str()),
            ("token", token.as_str()),
            ("decision", "allow"),
        ];
        form.extend(provider.map(|name| ("provider", name)));
        let url = format!("{}/consent/decision", self.gate.origin);
        browser.submit(&url, &form, Some(&self.gate.origin))
    }

    /// Where the browser goes on to at the provider that was chosen.
    fn sent_to(&self, browser: &Browser, path: &str, provider: Option<&str>) -> String {
        let decided = self.allow(browser, path, provider);
        assert_eq!(decided.status, 303, "{}", decided.text());
        browser.open(&decided.one("location")).refresh_target()
    }

    /// What the way back answers of somebody whom `idp` signs in.
    fn back(&self, browser: &Browser, server: &str, idp: &Idp, who: &Value) -> (Answer, Tokens) {
        idp.with(|told| told.claims = who.clone());
        let name = if idp.issuer == self.main.issuer {
            "main"
        } else {
            "partner"
        };
        let (path, verifier) = self.gate.authorize_path(server, "");
        let url = self.sent_to(browser, &path, Some(name));
        assert!(url.starts_with(&idp.issuer), "{url}");
        let back = browser.open(&idp.sign_in(&url, "good"));
        let location = back.all("location");
        let location = location.first().copied().unwrap_or_default();
        let tokens = match query_of(location, "code") {
            Some(code) => self.gate.redeem(&code, &verifier),
            None => Tokens::of(&json!({})),
        };
        (back, tokens)
    }

    fn calls(&self, server: &str, tokens: &Tokens) -> u16 {
        self.gate.call(server, &tokens.access, PING).status
    }
}

fn ada() -> Value {
    json!({ "sub": "ada", "groups": ["staff"], "sid": "s" })
}

#[test]
fn up_15_a_further_provider_s_people_are_let_in_where_a_server_names_it() {
    let both = Both::start();
    // The same id at two providers is two people.
    let (_, ours) = both.back(&Browser::new("ada"), "a2", &both.main, &ada());
    let (_, theirs) = both.back(&Browser::new("ada"), "a2", &both.partner, &ada());
    assert_eq!(
        (both.calls("a2", &ours), both.calls("a2", &theirs)),
        (200, 200)
    );
    let people = both
        .gate
        .running()
        .office
        .store
        .people(None, World::real().now(), 10);
    let people = both.gate.running().handle().block_on(people);
    assert_eq!(people.expect("a store that answers").len(), 2);
    // Where it is not named, it is not on the page, and naming it opens nothing.
    for (server, provider) in [
        ("b", "partner"),
        ("c", "main"),
        ("a2", "nobody"),
        ("a2", ""),
    ] {
        let (path, _) = both.gate.authorize_path(server, "");
        let refused = both.allow(&Browser::new("eve"), &path, Some(provider));
        assert_eq!(refused.status, 400, "{server} {provider}");
        assert!(refused.text().contains("V-CON-002"), "{server} {provider}");
    }
    // Who is given a choice must make one.
    let (path, _) = both.gate.authorize_path("a2", "");
    assert_eq!(both.allow(&Browser::new("eve"), &path, None).status, 400);
}

#[test]
fn up_15_groups_are_those_of_whoever_tells_them() {
    let both = Both::start();
    let interns = json!({ "sub": "ivy", "groups": ["interns"] });
    let (back, _) = both.back(&Browser::new("ivy"), "a2", &both.main, &interns);
    assert_eq!(back.status, 403, "a rule denies the main one's interns");
    let (_, tokens) = both.back(&Browser::new("ivy"), "a2", &both.partner, &interns);
    assert_eq!(both.calls("a2", &tokens), 200, "and not the partner's");
    // A group of the main one's that is called like the partner's is not the partner's.
    let posing = json!({ "sub": "eve", "groups": ["partner/staff"] });
    let (back, _) = both.back(&Browser::new("eve"), "d", &both.main, &posing);
    assert_eq!(back.status, 403, "{}", back.text());
    let (_, tokens) = both.back(&Browser::new("ada"), "d", &both.partner, &ada());
    assert_eq!(both.calls("d", &tokens), 200);
    let seen = both.gate.echo.take().pop().expect("it came through");
    assert_eq!(seen.headers["x-vestibule-groups"], "partner/staff");
    let (_, tokens) = both.back(&Browser::new("ada"), "c", &both.partner, &ada());
    assert_eq!(both.calls("c", &tokens), 200);
    for groups in [json!(["interns"]), json!(["partner/staff"]), json!([])] {
        let who = json!({ "sub": "ivy", "groups": groups });
        let (back, _) = both.back(&Browser::new("ivy"), "c", &both.partner, &who);
        assert_eq!(back.status, 403, "{groups}");
        assert!(back.text().contains("V-POL-001"), "{}", back.text());
    }
}

#[test]
fn up_4_t_idp_03_an_answer_at_another_s_address_is_nobody_s() {
    let both = Both::start();
    both.partner.with(|told| told.claims = ada());
    both.main.with(|told| told.claims = ada());
    for (chosen, idp, address) in [
        ("partner", &both.partner, "/oauth-callback"),
        ("main", &both.main, "/oauth-callback/partner"),
    ] {
        let browser = Browser::new("ada");
        let (path, _) = both.gate.authorize_path("a2", "");
        let url = both.sent_to(&browser, &path, Some(chosen));
        let right = idp.sign_in(&url, "good");
        let query = right.split_once('?').expect("a query").1;
        let wrong = browser.open(&format!("{}{address}?{query}", both.gate.origin));
        assert_eq!(wrong.status, 400, "{}", wrong.text());
        assert!(wrong.text().contains("V-IDP-003"), "{}", wrong.text());
        // That login is over, and no code was shown to anybody.
        assert_eq!(browser.open(&right).status, 403);
        assert!(idp.with(|told| told.redemptions.is_empty()), "{chosen}");
    }
    // The same of a sign-in to our own pages.
    let browser = Browser::new("ada");
    let login = browser.open(&format!(
        "{}/login?to=apps&provider=partner",
        both.gate.origin
    ));
    let right = both.partner.sign_in(&login.one("location"), "good");
    assert!(right.contains("/oauth-callback/partner?"), "{right}");
    let wrong = browser.open(&right.replace("/oauth-callback/partner", "/oauth-callback"));
    assert!(wrong.text().contains("V-IDP-003"), "{}", wrong.text());
    let nowhere = browser.open(&right.replace("/partner?", "/nobody?"));
    assert_eq!(nowhere.status, 404);
    assert!(both.partner.with(|told| told.redemptions.is_empty()));
}

#[test]
fn people_choose_where_they_sign_in_and_operators_do_not() {
    let both = Both::start();
    let open = |path: &str| Browser::new("ada").open(&format!("{}{path}", both.gate.origin));
    for path in ["/apps", "/login?to=apps", "/login?to=apps&provider=nobody"] {
        let page = open(path);
        assert_eq!(page.status, 200, "{path}");
        for name in ["main", "partner"] {
            let link = format!("/login?to=apps&#38;provider={name}");
            let plain = link.replace("&#38;", "&amp;");
            assert!(page.text().contains(&plain), "{path}: {}", page.text());
        }
        assert!(
            page.text().contains("Partner &#38; Sons"),
            "{}",
            page.text()
        );
    }
    let sent = open("/login?to=operator").one("location");
    assert!(sent.starts_with(&both.main.issuer), "{sent}");
    let page = open("/login?to=operator&provider=partner");
    assert_eq!(page.status, 200);
    assert!(!page.text().contains("Partner"), "{}", page.text());
    // Whoever signed in at the partner's sees what is theirs, and the page of an app asks them
    // as who they are, without a choice.
    let browser = Browser::new("ada");
    both.partner.with(|told| told.claims = ada());
    let login = browser.open(&format!(
        "{}/login?to=apps&provider=partner",
        both.gate.origin
    ));
    let back = browser.open(&both.partner.sign_in(&login.one("location"), "good"));
    assert_eq!(back.status, 303, "{}", back.text());
    let apps = browser.open(&format!("{}/apps", both.gate.origin));
    assert!(!apps.text().contains("/login?to="), "{}", apps.text());
    let page = |server| {
        let (path, _) = both.gate.authorize_path(server, "");
        browser.open(&format!("{}{path}", both.gate.origin)).text()
    };
    let asked = page("a2");
    assert!(
        asked.contains("type=\"hidden\" name=\"provider\" value=\"partner\""),
        "{asked}"
    );
    // Who cannot use a server as that is asked as anybody.
    let asked = page("b");
    assert!(
        asked.contains("name=\"provider\" value=\"main\""),
        "{asked}"
    );
    assert!(!asked.contains("ada"), "{asked}");
}

#[test]
fn up_10_each_provider_is_asked_about_its_own_people() {
    let both = Both::start();
    let (_, ours) = both.back(&Browser::new("ada"), "a2", &both.main, &ada());
    let (_, theirs) = both.back(&Browser::new("ada"), "a2", &both.partner, &ada());
    both.gate.turn_clock(61);
    both.main.with(|told| told.ahead += 61);
    both.partner.with(|told| {
        told.ahead += 61;
        told.let_go = Some("invalid_grant");
    });
    assert_eq!(both.gate.refresh(&theirs.refresh).status, 400);
    let ours = both.gate.refresh(&ours.refresh);
    assert_eq!(ours.status, 200, "{}", ours.text());
    assert_eq!(both.partner.with(|told| told.refreshes.len()), 1);
    assert_eq!(both.main.with(|told| told.refreshes.len()), 1);
    assert_eq!(both.calls("a2", &theirs), 401);
    assert_eq!(both.calls("a2", &Tokens::of(&ours.json())), 200);
}

#[test]
fn up_10_who_is_taken_off_a_server_s_list_is_not_renewed() {
    let mut both = Both::start();
    let (_, tokens) = both.back(&Browser::new("ada"), "a2", &both.partner, &ada());
    let env = [
        ("VESTIBULE_IDP__ISSUER", both.main.issuer.as_str()),
        ("VESTIBULE_SERVERS__A2__IDP", "main"),
    ];
    both.gate.restart_in(&env);
    let refused = both.gate.refresh(&tokens.refresh);
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert_eq!(refused.json()["error"], "invalid_grant");
}

#[test]
fn up_14_a_logout_token_is_good_at_its_provider_s_address() {
    let both = Both::start();
    let (_, ours) = both.back(&Browser::new("ada"), "a2", &both.main, &ada());
    let (_, theirs) = both.back(&Browser::new("ada"), "a2", &both.partner, &ada());
    let claims = json!({
        "iss": both.partner.issuer, "aud": "vestibule", "sid": "s", "jti": signer::jti(),
        "iat": World::real().now().unix(),
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    let header = json!({ "alg": "ES256", "kid": "k1", "typ": "logout+jwt" });
    let token = both.partner.with(|told| told.signer.sign(&header, &claims));
    let post = |path: &str| {
        let gate = &both.gate;
        let form = [("logout_token", token.as_str())];
        gate.wire().post_form(&gate.host(), path, &form, &[]).status
    };
    assert_eq!(post("/backchannel-logout"), 400);
    assert_eq!(post("/backchannel-logout/nobody"), 404);
    assert_eq!(both.calls("a2", &theirs), 200);
    assert_eq!(post("/backchannel-logout/partner"), 200);
    assert_eq!(
        (both.calls("a2", &theirs), both.calls("a2", &ours)),
        (401, 200)
    );
}

#[test]
fn names_of_providers_mean_one_each() {
    let config = |more: &str| {
        let text = format!(
            r#"
public_url = "http://127.0.0.1:8080"
listen = "127.0.0.1:8080"
[idp]
issuer = "https://main.example"
client_id = "v"
client_secret = {{ file = "secret" }}
[idps.partner]
issuer = "https://partner.example"
client_id = "v"
client_secret = {{ file = "secret" }}
[servers.a]
upstream = "http://127.0.0.1:1/mcp"
{more}
"#
        );
        read_config(&text).map(|_| ())
    };
    assert_eq!(config("idp = [\"main\", \"partner\"]"), Ok(()));
    assert_eq!(config("idp = \"other\""), Err(vec!["V-CFG-055"]));
    assert_eq!(config("idp = []"), Err(vec!["V-CFG-055"]));
    let idps = |name: &str, issuer: &str| {
        format!(
            "[idps.{name}]\nissuer = \"{issuer}\"\nclient_id = \"v\"\nclient_secret = {{ file = \"secret\" }}"
        )
    };
    assert_eq!(config(&idps("two", "https://two.example")), Ok(()));
    assert_eq!(
        config(&idps("main", "https://two.example")),
        Err(vec!["V-CFG-056"])
    );
    assert_eq!(
        config(&idps("\"a/b\"", "https://two.example")),
        Err(vec!["V-CFG-056"])
    );
    assert_eq!(
        config(&idps("two", "https://main.example")),
        Err(vec!["V-CFG-037"])
    );
    assert_eq!(
        config(&idps("two", "https://partner.example")),
        Err(vec!["V-CFG-037"])
    );
    let recheck = format!("{}\nrecheck = \"1m\"", idps("two", "https://two.example"));
    assert_eq!(config(&recheck), Err(vec!["V-CFG-007"]));
    let issuers = |name: &str, issuer: &str| {
        format!("[issuers.{name}]\nissuer = \"{issuer}\"\nvouches_for = \"people\"")
    };
    assert_eq!(
        config(&issuers("partner", "https://partner.example")),
        Ok(())
    );
    assert_eq!(
        config(&issuers("other", "https://partner.example")),
        Err(vec!["V-CFG-056"])
    );
    assert_eq!(
        config(&issuers("partner", "https://other.example")),
        Err(vec!["V-CFG-056"])
    );
}
