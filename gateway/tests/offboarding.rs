//! People whom the identity provider lets go: how their access ends, and that nobody else's
//! does.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{Browser, Gate, PING, Tokens, idp::Idp, query_of, signer::Signer, wire::Answer};
use vestibule::world::World;

/// Asked each minute, tolerated silent for five; tokens live ten.
const BOUNDS: [(&str, &str); 2] = [
    ("VESTIBULE_IDP__RECHECK", "1m"),
    ("VESTIBULE_IDP__GRACE", "5m"),
];

fn gate_with(idp: &Idp, more: &str) -> Gate {
    let mut env = vec![
        ("VESTIBULE_IDP__ISSUER", idp.issuer.as_str()),
        // A server that is told groups needs to know them.
        ("VESTIBULE_SERVERS__A__UPSTREAM_AUTH", "none"),
    ];
    env.extend(BOUNDS);
    Gate::start_in(more, &env)
}

fn gate_of(idp: &Idp) -> Gate {
    gate_with(idp, "")
}

/// The same gateway, started again with this provider and our id there.
fn again(gate: &mut Gate, idp: &Idp, client_id: &str) {
    let mut env = vec![
        ("VESTIBULE_IDP__ISSUER", idp.issuer.as_str()),
        ("VESTIBULE_IDP__CLIENT_ID", client_id),
    ];
    env.extend(BOUNDS);
    gate.restart_in(&env);
}

/// Lets time pass here and at the provider.
fn pass(gate: &Gate, idp: &Idp, seconds: u32) {
    gate.turn_clock(i64::from(seconds));
    idp.with(|told| told.ahead += u64::from(seconds));
}

/// Signs somebody in, in this browser; their tokens.
fn login(gate: &Gate, idp: &Idp, browser: &Browser, who: &Value) -> Tokens {
    idp.with(|told| told.claims = who.clone());
    let (path, verifier) = gate.authorize_path("a", "a:read");
    let url = browser.decide(gate, &path, "allow");
    let back = browser.open(&idp.sign_in(&url, "good"));
    assert_eq!(back.status, 303, "{}", back.text());
    let location = back.one("location");
    let code = query_of(&location, "code").unwrap_or_else(|| panic!("no code: {location}"));
    gate.redeem(&code, &verifier)
}

fn ada(gate: &Gate, idp: &Idp) -> (Browser, Tokens) {
    let browser = Browser::new("ada");
    let tokens = login(
        gate,
        idp,
        &browser,
        &json!({ "sub": "ada", "sid": "s-ada" }),
    );
    (browser, tokens)
}

fn status_of(gate: &Gate, tokens: &Tokens) -> u16 {
    gate.call("a", &tokens.access, PING).status
}

/// Whether our own pages know who this is.
fn is_signed_in(gate: &Gate, browser: &Browser) -> bool {
    !browser
        .open(&format!("{}/apps", gate.origin))
        .text()
        .contains("/login?to=apps")
}

fn renewed(answer: &Answer) -> Tokens {
    assert_eq!(answer.status, 200, "{}", answer.text());
    Tokens::of(&answer.json())
}

#[test]
fn up_10_t_idp_13_rev_14_whom_the_provider_lets_go_loses_all_at_the_next_question() {
    let idp = Idp::start();
    let gate = gate_of(&idp);
    let (browser, tokens) = ada(&gate, &idp);
    let mut stream = gate.stream("a", &tokens.access);
    // Within the bound nobody is asked.
    pass(&gate, &idp, 50);
    idp.with(|told| told.let_go = Some("invalid_grant"));
    let tokens = renewed(&gate.refresh(&tokens.refresh));
    assert!(idp.with(|told| told.refreshes.is_empty()));
    assert!(is_signed_in(&gate, &browser));
    pass(&gate, &idp, 15);
    let refused = gate.refresh(&tokens.refresh);
    assert_eq!(
        (
            refused.status,
            refused.json()["error"].as_str().unwrap_or_default()
        ),
        (400, "invalid_grant")
    );
    assert!(!refused.text().contains("canary"), "{}", refused.text());
    // At once and everywhere: a live token, an open stream, our own pages.
    assert_eq!(status_of(&gate, &tokens), 401);
    assert!(stream.chunk().is_none(), "its stream has ended");
    assert!(!is_signed_in(&gate, &browser));
    // No storm: a grant that ended is not asked about.
    assert_eq!(gate.refresh(&tokens.refresh).status, 400);
    assert_eq!(idp.with(|told| told.refreshes.len()), 1);
    // Signing in anew is all that it takes, and what was allowed is remembered.
    idp.with(|told| told.let_go = None);
    let (_, tokens) = ada(&gate, &idp);
    assert_eq!(status_of(&gate, &tokens), 200);
    assert!(!is_signed_in(&gate, &browser), "where they did not");
}

#[test]
fn up_10_the_other_grants_of_a_person_who_was_let_go_are_asked_about_next() {
    let idp = Idp::start();
    let gate = gate_of(&idp);
    let (_, first) = ada(&gate, &idp);
    pass(&gate, &idp, 50);
    let (_, second) = ada(&gate, &idp);
    pass(&gate, &idp, 10);
    idp.with(|told| told.let_go = Some("interaction_required"));
    assert_eq!(gate.refresh(&first.refresh).status, 400);
    // It is ten seconds old, and is asked about all the same.
    assert_eq!(gate.refresh(&second.refresh).status, 400);
    assert_eq!(idp.with(|told| told.refreshes.len()), 2);
}

fn at_once(gate: &Gate, tokens: &Tokens, how_many: usize) -> Vec<Answer> {
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..how_many)
            .map(|_| scope.spawn(|| gate.refresh(&tokens.refresh)))
            .collect();
        all.into_iter()
            .map(|one| one.join().expect("answered"))
            .collect()
    })
}

#[test]
fn up_11_whoever_comes_while_the_provider_is_asked_gets_what_it_answers() {
    let idp = Idp::start();
    let gate = gate_of(&idp);
    let (_, tokens) = ada(&gate, &idp);
    // A machine was off over the weekend: nobody is renewed without a word of the provider's.
    pass(&gate, &idp, 301);
    idp.with(|told| told.waits = Duration::from_millis(300));
    for answer in at_once(&gate, &tokens, 8) {
        renewed(&answer);
    }
    assert_eq!(idp.with(|told| told.refreshes.len()), 1);
    // So it is if the answer is no, ...
    let (_, tokens) = ada(&gate, &idp);
    pass(&gate, &idp, 301);
    idp.with(|told| told.let_go = Some("invalid_grant"));
    for answer in at_once(&gate, &tokens, 8) {
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
    // ... and if there is none.
    idp.with(|told| told.let_go = None);
    let (_, tokens) = ada(&gate, &idp);
    pass(&gate, &idp, 301);
    idp.with(|told| told.refusal = Some((500, String::new())));
    for answer in at_once(&gate, &tokens, 8) {
        assert_eq!(answer.status, 503, "{}", answer.text());
    }
}

#[test]
fn up_11_t_idp_13_fifty_at_once_ask_the_provider_once_and_its_rotation_is_followed() {
    let idp = Idp::start();
    let gate = gate_of(&idp);
    let (_, mut tokens) = ada(&gate, &idp);
    for round in 1..=3 {
        pass(&gate, &idp, 61);
        let answers = at_once(&gate, &tokens, 50);
        let good = answers
            .iter()
            .find(|answer| answer.status == 200)
            .expect("one at least");
        tokens = Tokens::of(&good.json());
        assert_eq!(
            idp.with(|told| told.refreshes.len()),
            round,
            "one question each time"
        );
        assert_eq!(status_of(&gate, &tokens), 200);
    }
    let shown = idp.with(|told| told.refreshes.clone());
    assert_eq!(
        shown,
        [
            "canary-upstream-refresh",
            "canary-upstream-refresh-1",
            "canary-upstream-refresh-2"
        ]
    );
    let disk = String::from_utf8_lossy(&gate.disk()).into_owned();
    assert!(!disk.contains("canary-upstream"), "sealed");
}

#[test]
fn up_12_a_provider_that_does_not_answer_ends_nobody_s_access() {
    for silent in [
        (500, "<html>".to_owned()),
        (401, r#"{"error":"invalid_client"}"#.to_owned()),
        (429, r#"{"error":"slow_down"}"#.to_owned()),
        (200, "nonsense".to_owned()),
    ] {
        let idp = Idp::start();
        let gate = gate_of(&idp);
        let (_, tokens) = ada(&gate, &idp);
        pass(&gate, &idp, 61);
        idp.with(|told| told.refusal = Some(silent.clone()));
        // Its silence is borne, ...
        let tokens = renewed(&gate.refresh(&tokens.refresh));
        // ... but not for ever: then nobody knows, and nothing is lost by asking later.
        pass(&gate, &idp, 240);
        let later = gate.refresh(&tokens.refresh);
        assert_eq!(later.status, 503, "{silent:?}: {}", later.text());
        assert_eq!(later.json()["error"], "temporarily_unavailable");
        assert!(later.has("retry-after"));
        idp.with(|told| told.refusal = None);
        pass(&gate, &idp, 60);
        let tokens = renewed(&gate.refresh(&tokens.refresh));
        assert_eq!(status_of(&gate, &tokens), 200);
    }
}

#[test]
fn up_10_a_group_that_was_taken_from_a_person_is_taken_here_too() {
    let idp = Idp::start();
    let gate = gate_with(
        &idp,
        "[servers.ops]\npath = \"/ops/mcp\"\nupstream = \"ECHO/ops\"\ntitle = \"Ops\"\nallow = [\"group:ops\"]\n",
    );
    let browser = Browser::new("ada");
    idp.with(|told| told.claims = json!({ "groups": ["ops"] }));
    let (path, verifier) = gate.authorize_path("ops", "");
    let url = browser.decide(&gate, &path, "allow");
    let back = browser.open(&idp.sign_in(&url, "good"));
    let code = query_of(&back.one("location"), "code").expect("a code");
    let tokens = gate.redeem(&code, &verifier);
    assert_eq!(gate.call("ops", &tokens.access, PING).status, 200);
    idp.with(|told| told.claims = json!({ "groups": ["others"] }));
    pass(&gate, &idp, 61);
    let refused = gate.refresh(&tokens.refresh);
    assert_eq!(refused.status, 400, "{}", refused.text());
    // Groups that are left out are not "no groups": nobody knows, so it ends.
    let overage = json!({ "_claim_names": { "groups": "src1" } });
    // Given back, it is theirs again: nothing was ended.
    idp.with(|told| told.claims = json!({ "groups": ["ops"] }));
    pass(&gate, &idp, 61);
    let tokens = renewed(&gate.refresh(&tokens.refresh));
    // An ID token that says nothing of groups takes none away.
    idp.with(|told| told.claims = json!({}));
    pass(&gate, &idp, 61);
    let tokens = renewed(&gate.refresh(&tokens.refresh));
    idp.with(|told| told.claims = overage);
    pass(&gate, &idp, 61);
    assert_eq!(gate.refresh(&tokens.refresh).status, 400);
    assert_eq!(gate.call("ops", &tokens.access, PING).status, 401);
}

#[test]
fn up_19_groups_that_are_left_out_at_a_renewal_end_that_grant_and_no_more() {
    let idp = Idp::start();
    let gate = gate_with(
        &idp,
        "[servers.ops]\npath = \"/ops/mcp\"\nupstream = \"ECHO/ops\"\ntitle = \"Ops\"\nallow = [\"group:ops\"]\n",
    );
    let (browser, first) = ada(&gate, &idp);
    pass(&gate, &idp, 50);
    let (_, second) = ada(&gate, &idp);
    pass(&gate, &idp, 15);
    idp.with(|told| told.claims["hasgroups"] = json!(true));
    assert_eq!(gate.refresh(&first.refresh).status, 400);
    assert_eq!(status_of(&gate, &first), 401);
    assert_eq!(status_of(&gate, &second), 200);
    assert!(is_signed_in(&gate, &browser));
    let disk = String::from_utf8_lossy(&gate.disk()).into_owned();
    assert!(!disk.contains("signed_out"), "nobody let anybody go");
}

#[test]
fn up_10_what_another_registration_was_given_is_not_shown_by_this_one() {
    let idp = Idp::start();
    let mut gate = gate_of(&idp);
    let (browser, tokens) = ada(&gate, &idp);
    again(&mut gate, &idp, "vestibule-2");
    pass(&gate, &idp, 61);
    assert_eq!(gate.refresh(&tokens.refresh).status, 400);
    assert!(idp.with(|told| told.refreshes.is_empty()), "not asked");
    // Nothing was said of the person; the old registration may come back.
    again(&mut gate, &idp, "vestibule");
    renewed(&gate.refresh(&tokens.refresh));
    assert!(is_signed_in(&gate, &browser));
}

#[test]
fn up_10_the_token_of_one_provider_is_not_shown_to_another() {
    let (idp, other) = (Idp::start(), Idp::start());
    let mut gate = gate_of(&idp);
    let (_, tokens) = ada(&gate, &idp);
    again(&mut gate, &other, "vestibule");
    pass(&gate, &idp, 3601);
    assert_eq!(gate.refresh(&tokens.refresh).status, 400);
    assert!(other.with(|told| told.refreshes.is_empty()), "not asked");
}

#[test]
fn up_19_groups_that_are_left_out_let_nobody_in_where_a_rule_asks_for_them() {
    let overage = json!({ "hasgroups": true });
    let deny = "[servers.ops]\npath = \"/ops/mcp\"\nupstream = \"ECHO/ops\"\ntitle = \"Ops\"\ndeny = [\"group:guests\"]\n";
    let told = deny.replace("deny = [\"group:guests\"]", "upstream_auth = \"headers\"");
    for (more, let_in) in [("", true), (deny, false), (told.as_str(), false)] {
        let idp = Idp::start();
        let gate = gate_with(&idp, more);
        let browser = Browser::new("ada");
        idp.with(|told| told.claims = overage.clone());
        let (path, _) = gate.authorize_path("a", "a:read");
        let url = browser.decide(&gate, &path, "allow");
        let back = browser.open(&idp.sign_in(&url, "good"));
        let location = back.one("location");
        let code = query_of(&location, "code");
        assert_eq!(code.is_some(), let_in, "{more} {location}");
        if !let_in {
            assert_eq!(
                query_of(&location, "error").as_deref(),
                Some("server_error")
            );
        }
    }
}

#[test]
fn up_10_an_answer_about_another_person_vouches_for_nobody() {
    let idp = Idp::start();
    let gate = gate_of(&idp);
    let (_, tokens) = ada(&gate, &idp);
    pass(&gate, &idp, 61);
    idp.with(|told| told.claims = json!({ "sub": "mallory" }));
    assert_eq!(gate.refresh(&tokens.refresh).status, 400);
    assert_eq!(status_of(&gate, &tokens), 401);
    // An ID token that is not the provider's is no answer at all.
    let (_, tokens) = ada(&gate, &idp);
    pass(&gate, &idp, 61);
    idp.with(|told| told.claims = json!({ "aud": "another" }));
    let tokens = renewed(&gate.refresh(&tokens.refresh));
    pass(&gate, &idp, 300);
    assert_eq!(gate.refresh(&tokens.refresh).status, 503);
}

#[test]
fn up_10_a_session_at_our_own_pages_is_as_good_as_the_provider_s_word() {
    let idp = Idp::start();
    let gate = gate_of(&idp);
    let (browser, tokens) = ada(&gate, &idp);
    pass(&gate, &idp, 50);
    assert!(is_signed_in(&gate, &browser));
    // It vouched again, when an app renewed its access.
    pass(&gate, &idp, 15);
    assert!(!is_signed_in(&gate, &browser));
    renewed(&gate.refresh(&tokens.refresh));
    assert!(is_signed_in(&gate, &browser));
    pass(&gate, &idp, 65);
    assert!(!is_signed_in(&gate, &browser));
}

/// A logout token of this provider, with these claims over the usual.
fn logout_token(idp: &Idp, typ: &str, over: &Value) -> String {
    let now = World::real().now().unix() + idp.with(|told| told.ahead);
    let mut claims = json!({
        "iss": idp.issuer, "aud": "vestibule", "iat": now, "jti": support::signer::jti(),
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    for (name, value) in over.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    idp.with(|told| {
        told.signer.sign(
            &json!({ "alg": "ES256", "kid": told.kid, "typ": typ }),
            &claims,
        )
    })
}

fn send(gate: &Gate, token: &str) -> u16 {
    let form = [("logout_token", token)];
    let mut wire = gate.wire();
    let answer = wire.post_form(&gate.host(), "/backchannel-logout", &form, &[]);
    if answer.status == 200 {
        assert_eq!(answer.one("cache-control"), "no-store");
    }
    answer.status
}

#[test]
fn up_14_a_person_who_is_signed_out_there_is_signed_out_here_at_once() {
    let idp = Idp::start();
    let gate = gate_of(&idp);
    for who in [
        json!({ "sub": "ada" }),
        json!({ "sid": "s-ada" }),
        json!({ "sub": "ada", "sid": "s-ada" }),
    ] {
        let (browser, tokens) = ada(&gate, &idp);
        let elsewhere = Browser::new("ada");
        let other = login(
            &gate,
            &idp,
            &elsewhere,
            &json!({ "sub": "ada", "sid": "s-other" }),
        );
        let bob_at = Browser::new("bob");
        let bob = login(
            &gate,
            &idp,
            &bob_at,
            &json!({ "sub": "bob", "sid": "s-bob" }),
        );
        let mut stream = gate.stream("a", &tokens.access);
        let token = logout_token(&idp, "logout+jwt", &who);
        assert_eq!(send(&gate, &token), 200, "{who}");
        assert_eq!(status_of(&gate, &tokens), 401, "{who}");
        assert!(stream.chunk().is_none(), "its stream has ended");
        assert_eq!(gate.refresh(&tokens.refresh).status, 400);
        assert!(!is_signed_in(&gate, &browser));
        // A session of theirs that is another one stays, if one was named.
        let stays = who.get("sid").is_some();
        assert_eq!(status_of(&gate, &other) == 200, stays, "{who}");
        assert_eq!(is_signed_in(&gate, &elsewhere), stays, "{who}");
        assert_eq!(status_of(&gate, &bob), 200, "nobody else");
        assert!(is_signed_in(&gate, &bob_at));
        // Once: said again later it would end what began since.
        let (_, anew) = ada(&gate, &idp);
        assert_eq!(send(&gate, &token), 400);
        assert_eq!(status_of(&gate, &anew), 200);
        let disk = String::from_utf8_lossy(&gate.disk()).into_owned();
        assert!(disk.contains("signed_out"), "it is in the audit");
    }
}

#[test]
fn up_14_strangers_do_not_keep_the_provider_from_being_heard() {
    let idp = Idp::start();
    let gate = gate_of(&idp);
    let (_, tokens) = ada(&gate, &idp);
    let bad: Vec<u16> = (0..70).map(|_| send(&gate, "nonsense")).collect();
    assert_eq!((bad[0], bad[69]), (400, 429), "{bad:?}");
    let good = logout_token(&idp, "logout+jwt", &json!({ "sub": "ada" }));
    assert_eq!(send(&gate, &good), 200);
    assert_eq!(status_of(&gate, &tokens), 401);
    assert_eq!(
        send(&gate, &good),
        400,
        "used before, and no more than that"
    );
}

#[test]
fn up_14_what_is_no_logout_token_of_the_provider_s_ends_nothing() {
    let idp = Idp::start();
    let gate = gate_of(&idp);
    let (browser, tokens) = ada(&gate, &idp);
    let sub = json!({ "sub": "ada" });
    let id_token = idp.with(|told| told.id_token.clone());
    let forged = Signer::new();
    let now = World::real().now().unix();
    let claims = json!({
        "iss": idp.issuer, "aud": "vestibule", "iat": now, "jti": "j", "sub": "ada",
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    let mut bad = vec![
        String::new(),
        "nonsense".to_owned(),
        id_token,
        tokens.access.clone(),
        forged.sign(
            &json!({ "alg": "ES256", "kid": "k1", "typ": "logout+jwt" }),
            &claims,
        ),
        logout_token(&idp, "at+jwt", &sub),
        logout_token(&idp, "logout+jwt", &json!({})),
    ];
    for over in [
        json!({ "sub": "ada", "aud": "another" }),
        json!({ "sub": "ada", "iss": "https://evil.example" }),
        json!({ "sub": "ada", "iat": now - 3600 }),
        json!({ "sub": "ada", "nonce": "n" }),
        json!({ "sub": "ada", "events": {} }),
    ] {
        bad.push(logout_token(&idp, "logout+jwt", &over));
    }
    for token in &bad {
        assert_eq!(send(&gate, token), 400, "{token:.40}");
    }
    let twice = logout_token(&idp, "logout+jwt", &sub);
    let form = [
        ("logout_token", twice.as_str()),
        ("logout_token", twice.as_str()),
    ];
    let mut wire = gate.wire();
    assert_eq!(
        wire.post_form(&gate.host(), "/backchannel-logout", &form, &[])
            .status,
        400
    );
    assert_eq!(gate.get("/backchannel-logout").status, 405);
    assert_eq!(status_of(&gate, &tokens), 200);
    assert!(is_signed_in(&gate, &browser));
    // Somebody unknown is nobody: no error that would tell who is known.
    let unknown = logout_token(&idp, "logout+jwt", &json!({ "sub": "nobody" }));
    assert_eq!(send(&gate, &unknown), 200);
    assert_eq!(status_of(&gate, &tokens), 200);
}
