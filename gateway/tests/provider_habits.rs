//! What identity providers do that the standards leave open: claims at the userinfo endpoint, a
//! list of one as a text, secrets that are taken by one way only.

mod support;

use serde_json::{Value, json};
use support::{Browser, Gate, PING, Tokens, idp::Idp, query_of};

const DENIES: &str = "[servers.ops]\nupstream = \"ECHO/ops\"\ntitle = \"Ops\"\ndeny = [\"group:guests\"]\nupstream_auth = \"headers\"\n";

fn gate_with(idp: &Idp, more: &str) -> Gate {
    let env = [
        ("VESTIBULE_IDP__ISSUER", idp.issuer.as_str()),
        ("VESTIBULE_IDP__RECHECK", "1m"),
        // A server that is told groups needs to know them.
        ("VESTIBULE_SERVERS__A__UPSTREAM_AUTH", "none"),
    ];
    Gate::start_in(more, &env)
}

/// The provider, with this at its userinfo endpoint.
fn idp_with(userinfo: Option<Value>) -> Idp {
    let idp = Idp::start();
    let endpoint = format!("{}/userinfo", idp.issuer);
    idp.with(|told| {
        told.document["userinfo_endpoint"] = endpoint.into();
        told.userinfo = userinfo;
    });
    idp
}

/// What became of a login: tokens, or the error or page that there was.
fn login(gate: &Gate, idp: &Idp, server: &str) -> Result<Tokens, String> {
    let browser = Browser::new("ada");
    let (path, verifier) = gate.authorize_path(server, "");
    let url = browser.decide(gate, &path, "allow");
    let back = browser.open(&idp.sign_in(&url, "good"));
    if back.status != 303 {
        return Err(back.text());
    }
    let location = back.one("location");
    match query_of(&location, "code") {
        Some(code) => Ok(gate.redeem(&code, &verifier)),
        None => Err(query_of(&location, "error").unwrap_or_default()),
    }
}

#[test]
fn up_19_up_21_groups_that_are_at_the_userinfo_endpoint_only_count_as_much() {
    for (groups, let_in) in [
        (json!(["guests"]), false),
        (json!("guests"), false),
        (json!(["x"]), true),
    ] {
        let idp = idp_with(Some(
            json!({ "sub": "ada", "name": "Ada", "groups": groups }),
        ));
        let gate = gate_with(&idp, DENIES);
        let came = login(&gate, &idp, "ops");
        assert_eq!(came.is_ok(), let_in, "{groups}: {came:?}");
        assert_eq!(idp.with(|told| told.asked_userinfo), 1);
        let Ok(tokens) = came else { continue };
        assert_eq!(gate.call("ops", &tokens.access, PING).status, 200);
        let seen = gate.echo.take().pop().expect("it came through");
        assert_eq!(seen.headers["x-vestibule-name"], "Ada");
        assert_eq!(seen.headers["x-vestibule-groups"], "x");
        // What changes there is seen at the next question.
        idp.with(|told| {
            told.userinfo = Some(json!({ "sub": "ada", "groups": ["guests"] }));
            told.ahead += 61;
        });
        gate.turn_clock(61);
        assert_eq!(gate.refresh(&tokens.refresh).status, 400);
    }
}

#[test]
fn up_19_t_idp_07_a_userinfo_answer_that_is_none_lets_nobody_in_by_guess() {
    let idp = idp_with(Some(json!({ "sub": "mallory", "groups": [] })));
    let gate = gate_with(&idp, DENIES);
    assert_eq!(
        login(&gate, &idp, "ops").expect_err("another person"),
        "server_error"
    );
    for silent in [
        None,
        Some(json!([])),
        Some(json!({ "sub": "ada", "groups": 7 })),
    ] {
        idp.with(|told| told.userinfo = silent.clone());
        assert!(login(&gate, &idp, "ops").is_err(), "{silent:?}");
    }
    idp.with(|told| told.userinfo = Some(json!({ "sub": "ada", "hasgroups": true })));
    assert!(login(&gate, &idp, "ops").is_err(), "left out there, too");
    // Where no rule asks, nobody needs it, and an ID token with a name does not lack it.
    let gate = gate_with(&idp, "");
    idp.with(|told| told.userinfo = None);
    assert!(login(&gate, &idp, "a").is_ok());
    let asked = idp.with(|told| {
        told.claims = json!({ "name": "Ada" });
        told.asked_userinfo
    });
    assert!(login(&gate, &idp, "a").is_ok());
    assert_eq!(idp.with(|told| told.asked_userinfo), asked);
}

#[test]
fn up_15_a_group_that_is_written_as_a_text_is_a_group() {
    let idp = Idp::start();
    idp.with(|told| told.claims = json!({ "groups": "guests" }));
    let gate = gate_with(&idp, DENIES);
    assert!(login(&gate, &idp, "ops").is_err());
    idp.with(|told| told.claims = json!({ "groups": "others" }));
    assert!(login(&gate, &idp, "ops").is_ok());
}

#[test]
fn up_8_a_secret_that_basic_would_encode_goes_into_the_form_where_both_are_taken() {
    for (methods, secret, in_form) in [
        (
            json!(["client_secret_basic", "client_secret_post"]),
            "s3cret/+ x",
            true,
        ),
        (
            json!(["client_secret_basic", "client_secret_post"]),
            "plain-secret",
            false,
        ),
        (json!(["client_secret_basic"]), "s3cret/+ x", false),
        (json!(["client_secret_post"]), "plain-secret", true),
    ] {
        let idp = Idp::start();
        idp.with(|told| told.document["token_endpoint_auth_methods_supported"] = methods.clone());
        let gate = Gate::start_proving(
            "client_secret = { file = \"another\" }",
            |folder| std::fs::write(folder.join("another"), secret).expect("written"),
            &[("VESTIBULE_IDP__ISSUER", idp.issuer.as_str())],
        );
        assert!(login(&gate, &idp, "a").is_ok());
        assert_eq!(
            idp.with(|told| told.authorized),
            !in_form,
            "{methods} {secret}"
        );
        let body = idp.with(|told| told.redemptions.pop()).expect("one");
        let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        assert_eq!(
            body.contains(&format!("client_secret={encoded}")),
            in_form,
            "{body}"
        );
    }
}

#[test]
fn up_10_a_no_in_other_words_ends_a_grant_once_silence_would_not_be_borne_any_more() {
    let idp = Idp::start();
    let gate = Gate::start_in(
        "",
        &[
            ("VESTIBULE_IDP__ISSUER", idp.issuer.as_str()),
            ("VESTIBULE_IDP__RECHECK", "1m"),
            ("VESTIBULE_IDP__GRACE", "5m"),
        ],
    );
    let tokens = login(&gate, &idp, "a").expect("let in");
    let pass = |seconds: u32| {
        gate.turn_clock(i64::from(seconds));
        idp.with(|told| told.ahead += u64::from(seconds));
    };
    pass(61);
    idp.with(|told| told.let_go = Some("invalid_request"));
    let tokens = Tokens::of(&gate.refresh(&tokens.refresh).json());
    pass(300);
    let refused = gate.refresh(&tokens.refresh);
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert_eq!(refused.json()["error"], "invalid_grant");
    idp.with(|told| told.let_go = None);
    assert!(
        login(&gate, &idp, "a").is_ok(),
        "signing in anew is all that it takes"
    );
}

#[test]
fn up_4_a_provider_of_another_issuer_is_called_by_its_name() {
    let idp = Idp::start();
    idp.with(|told| told.document["issuer"] = "https://id.example/".into());
    let gate = gate_with(&idp, "");
    let running = gate.running();
    let asked = running
        .handle()
        .block_on(running.office.providers.main().discovered());
    let error = asked.expect_err("another issuer").to_string();
    assert!(error.contains("https://id.example/"), "{error}");
}

#[test]
fn up_16_people_of_the_tenants_that_are_listed_come_in_and_no_others() {
    const OURS: &str = "5f0c2f6e-8f0b-4c0e-9a52-6d6f1b9a7c11";
    const OTHER: &str = "5f0c2f6e-8f0b-4c0e-9a52-6d6f1b9a7c12";
    let idp = Idp::start();
    let template = format!("{}/{{tenantid}}/v2.0", idp.issuer);
    idp.with(|told| told.document["issuer"] = template.clone().into());
    let gate = Gate::start_proving(
        &format!(
            "client_secret = {{ file = \"secret\" }}\nkind = \"entra\"\ntenant = \"organizations\"\n\
             tenants = [\"{OURS}\"]\n[entra]\nauthority = \"{}\"",
            idp.issuer
        ),
        |_| {},
        &[(
            "VESTIBULE_IDP__ISSUER",
            &format!("{}/organizations/v2.0", idp.issuer),
        )],
    );
    let sign_in = |iss: &str, tid: &str| {
        let iss = template.replace("{tenantid}", iss);
        let claims = json!({ "iss": iss, "tid": tid, "oid": "o-ada", "sub": "pairwise" });
        idp.with(|told| told.claims = claims);
        login(&gate, &idp, "a")
    };
    assert!(sign_in(OURS, OURS).is_ok());
    // Whoever chose another account than the company's reads so; a token that does not agree
    // with itself is nobody's account.
    let page = sign_in(OTHER, OTHER).expect_err("another tenant");
    assert!(page.contains("V-IDP-023"), "{page}");
    for (iss, tid) in [(OTHER, OURS), (OURS, OTHER)] {
        assert_eq!(
            sign_in(iss, tid).expect_err("another tenant"),
            "server_error"
        );
    }
}

#[test]
fn up_19_groups_that_an_id_token_leaves_out_are_asked_of_the_directory() {
    let idp = Idp::start();
    let gate_of = |from_graph: &str| {
        Gate::start_in(
            DENIES,
            &[
                ("VESTIBULE_IDP__ISSUER", idp.issuer.as_str()),
                ("VESTIBULE_IDP__KIND", "entra"),
                ("VESTIBULE_IDP__RECHECK", "1m"),
                ("VESTIBULE_IDP__GROUPS_FROM_GRAPH", from_graph),
                ("VESTIBULE_ENTRA__GRAPH", idp.issuer.as_str()),
            ],
        )
    };
    idp.with(|told| {
        told.claims = json!({
            "tid": "t", "oid": "o-ada", "sub": "p", "roles": ["reader"],
            "_claim_names": { "groups": "src1" },
        });
        told.members = Ok(json!(["g1", "g2"]));
    });
    let gate = gate_of("true");
    let tokens = login(&gate, &idp, "ops").expect("let in");
    assert_eq!(gate.call("ops", &tokens.access, PING).status, 200);
    let seen = gate.echo.take().pop().expect("it came through");
    assert_eq!(seen.headers["x-vestibule-groups"], "reader,g1,g2");
    let pass = |seconds: u32| {
        gate.turn_clock(i64::from(seconds));
        idp.with(|told| told.ahead += u64::from(seconds));
    };
    // A directory that does not answer ends nobody's access; one that says they are denied does.
    idp.with(|told| told.members = Err(503));
    pass(61);
    let tokens = Tokens::of(&gate.refresh(&tokens.refresh).json());
    idp.with(|told| told.members = Ok(json!(["guests"])));
    pass(61);
    assert_eq!(gate.refresh(&tokens.refresh).status, 400);
    // Without the permission, or where it is not asked, groups are left out as before.
    idp.with(|told| told.members = Err(403));
    assert!(login(&gate, &idp, "ops").is_err());
    idp.with(|told| told.members = Ok(json!(["g1"])));
    assert!(login(&gate_of("false"), &idp, "ops").is_err());
}
