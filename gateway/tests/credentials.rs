//! What each MCP server gets in place of the client's token, and what it never gets.

mod support;

use http::HeaderMap;
use serde_json::{Value, json};
use support::{
    Browser, Gate, PING, Tokens, basic, idp::ACCESS_TOKEN, idp::Idp, query_of, tool_call,
};
use vestibule_core::jwt::{self, Algorithm, KeySet, NoSuchKey};

/// A server of each kind, and a machine that may use one of them.
fn servers() -> String {
    let kinds = [
        ("assert", "\"assertion\""),
        (
            "named",
            "{ assertion = { audience = \"urn:x\", header = \"X-Caller\" } }",
        ),
        ("theirs", "\"provider-token\""),
        (
            "graph",
            "{ provider-token = { scope = \"api://graph/.default\" } }",
        ),
        (
            "swap",
            "{ exchange = { audience = \"weather\", scope = \"read\" } }",
        ),
        ("here", "\"exchange\""),
        (
            "behalf",
            "{ on-behalf-of = { scope = \"api://weather/.default\" } }",
        ),
    ];
    let mut out = String::new();
    for (name, auth) in kinds {
        out += &format!("[servers.{name}]\nupstream = \"ECHO/{name}\"\nupstream_auth = {auth}\n");
    }
    out + "[clients.vcl_machine]\nauth_method = \"client_secret_basic\"\nsecret = { env = \"MACHINE\" }\n\
           grants = [\"client_credentials\"]\n"
}

fn gate(idp: &Idp) -> Gate {
    Gate::start_in(
        &servers(),
        &[
            ("VESTIBULE_IDP__ISSUER", idp.issuer.as_str()),
            ("VESTIBULE_IDP__RECHECK", "1h"),
            ("MACHINE", "canary-machine-secret-of-some-length"),
        ],
    )
}

fn login(gate: &Gate, idp: &Idp, server: &str) -> Tokens {
    let browser = Browser::new("ada");
    let (path, verifier) = gate.authorize_path(server, "");
    let url = browser.decide(gate, &path, "allow");
    let back = browser.open(&idp.sign_in(&url, "good"));
    let location = back.one("location");
    let code = query_of(&location, "code").unwrap_or_else(|| panic!("no code: {location}"));
    gate.redeem(&code, &verifier)
}

fn pass(gate: &Gate, idp: &Idp, seconds: u32) {
    gate.turn_clock(i64::from(seconds));
    idp.with(|told| told.ahead += u64::from(seconds));
}

/// Calls; what reached the server. Nothing of the client's own token is ever among it.
fn reached(gate: &Gate, server: &str, tokens: &Tokens) -> HeaderMap {
    let answer = gate.call(server, &tokens.access, PING);
    assert_eq!(answer.status, 200, "{server}: {}", answer.text());
    let seen = gate.echo.take().pop().expect("it came through");
    for (name, value) in &seen.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        assert!(!value.contains(&tokens.access), "{server}: {name}: {value}");
        assert!(!value.contains("vat_"), "{server}: {name}: {value}");
        assert!(!value.contains("vrt_"), "{server}: {name}: {value}");
    }
    seen.headers
}

fn bearer(headers: &HeaderMap) -> String {
    let all: Vec<_> = headers.get_all("authorization").iter().collect();
    assert_eq!(all.len(), 1, "{all:?}");
    let text = all[0].to_str().expect("text");
    text.strip_prefix("Bearer ").expect("a bearer").to_owned()
}

/// Whether a call is refused, with which status and code.
fn refused(gate: &Gate, server: &str, tokens: &Tokens) -> (u16, String) {
    let answer = gate.call(server, &tokens.access, &tool_call("list"));
    assert!(gate.echo.take().is_empty(), "nothing reached the server");
    let text = answer.text();
    assert!(!text.contains("canary"), "{text}");
    let said = &answer.json()["result"]["content"][0]["text"];
    if let Some(said) = said.as_str() {
        let (_, code) = said.rsplit_once("/errors/").expect("its page");
        return (answer.status, code.to_owned());
    }
    let page = answer.json()["error_uri"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let code = page.rsplit('/').next().unwrap_or_default().to_owned();
    (answer.status, code)
}

struct Keys(Value);

impl KeySet for Keys {
    fn verify(
        &self,
        kid: Option<&str>,
        _: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, NoSuchKey> {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        let keys = self.0["keys"].as_array().expect("keys");
        let key = keys
            .iter()
            .find(|key| key["kid"].as_str() == kid)
            .ok_or(NoSuchKey)?;
        let part = |name: &str| {
            URL_SAFE_NO_PAD
                .decode(key[name].as_str().expect("text"))
                .expect("base64")
        };
        let point = [vec![4], part("x"), part("y")].concat();
        let key = aws_lc_rs::signature::UnparsedPublicKey::new(
            &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED,
            point,
        );
        Ok(key.verify(message, signature).is_ok())
    }
}

#[test]
fn t_prx_10_identity_headers_say_who_calls_and_nobody_else_can() {
    let idp = Idp::start();
    let gate = gate(&idp);
    idp.with(|told| told.claims = json!({ "name": "Zoë, the \"first\"", "groups": ["a,b", "c"] }));
    let tokens = login(&gate, &idp, "a");
    let headers = reached(&gate, "a", &tokens);
    let text = |name: &str| headers[name].to_str().expect("ASCII").to_owned();
    assert_eq!(text("x-vestibule-name"), "Zo%C3%AB%2C the \"first\"");
    assert_eq!(text("x-vestibule-groups"), "a%2Cb,c");
    assert!(!text("x-vestibule-user").is_empty() && !text("x-vestibule-client").is_empty());
    let flow = text("x-vestibule-flow");
    assert_eq!(
        gate.get(&format!("/flows/{flow}")).status,
        404,
        "not for a stranger"
    );
    // Forged ones do not come through, under no name.
    for name in [
        "X-Vestibule-Name",
        "x-vestibule-groups",
        "x_vestibule_name",
        "X-Vestibule-Else",
    ] {
        let bearer = format!("Bearer {}", tokens.access);
        let sent = [("authorization", bearer.as_str()), (name, "root")];
        assert_eq!(gate.post_mcp("a", &sent, PING).status, 200);
        let seen = gate.echo.take().pop().expect("it came through");
        let root = seen.headers.values().any(|value| value == "root");
        assert!(!root, "{name}: {:?}", seen.headers);
    }
    // A server that is told nothing.
    let tokens = login(&gate, &idp, "b");
    let headers = reached(&gate, "b", &tokens);
    assert!(
        !headers
            .keys()
            .any(|name| name.as_str().starts_with("x-vestibule"))
    );
    assert!(!headers.contains_key("authorization"));
}

#[test]
fn t_prx_10_t_grd_04_an_assertion_is_for_that_server_and_for_no_other_place() {
    let idp = Idp::start();
    let gate = gate(&idp);
    idp.with(|told| {
        told.claims = json!({ "name": "Ada", "email": "ada@example.com", "groups": ["ops"] });
    });
    let tokens = login(&gate, &idp, "assert");
    let shown = bearer(&reached(&gate, "assert", &tokens));
    let keys = Keys(gate.get("/jwks.json").json());
    let verified = jwt::verify(&shown, &keys, &Algorithm::ALL).expect("our signature");
    assert_eq!(verified.typ(), Some("vestibule-caller+jwt"));
    let claims = Value::Object(verified.claims().clone());
    assert_eq!(claims["iss"], gate.origin);
    assert_eq!(claims["aud"], format!("{}/assert", gate.echo.origin));
    assert_eq!(claims["name"], "Ada");
    assert_eq!(claims["idp_sub"], "ada");
    assert_eq!(claims["idp_iss"], idp.issuer);
    assert_eq!(claims["groups"], json!(["ops"]));
    assert_eq!(claims["client_id"], support::CLIENT);
    let life = claims["exp"].as_u64().expect("exp") - claims["iat"].as_u64().expect("iat");
    assert_eq!(life, 120);
    // It opens no door here: not another server's, not its own.
    for server in ["assert", "a", "b"] {
        let answer = gate.post_mcp(
            server,
            &[("authorization", &format!("Bearer {shown}"))],
            PING,
        );
        assert_eq!(answer.status, 401, "{server}");
    }
    // It is used for a while, and made anew before it ends.
    assert_eq!(bearer(&reached(&gate, "assert", &tokens)), shown);
    pass(&gate, &idp, 100);
    assert_ne!(bearer(&reached(&gate, "assert", &tokens)), shown);
    // Another one with a name of its own.
    let tokens = login(&gate, &idp, "named");
    let headers = reached(&gate, "named", &tokens);
    assert!(!headers.contains_key("authorization"));
    let shown = headers["x-caller"].to_str().expect("text");
    let verified = jwt::verify(shown, &keys, &Algorithm::ALL).expect("our signature");
    assert_eq!(verified.claims()["aud"], "urn:x");
}

#[test]
fn up_9_up_11_the_person_s_own_token_is_asked_for_once_and_renewed_in_time() {
    let idp = Idp::start();
    let gate = gate(&idp);
    let tokens = login(&gate, &idp, "theirs");
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| gate.call("theirs", &tokens.access, PING).status))
            .collect();
        for one in all {
            assert_eq!(one.join().expect("answered"), 200);
        }
    });
    assert_eq!(idp.with(|told| told.refreshes.len()), 1, "one question");
    gate.echo.take();
    assert_eq!(bearer(&reached(&gate, "theirs", &tokens)), ACCESS_TOKEN);
    // Another one before it ends, by the newest refresh token.
    idp.with(|told| told.access_token = "canary-second".to_owned());
    pass(&gate, &idp, 280);
    assert_eq!(bearer(&reached(&gate, "theirs", &tokens)), "canary-second");
    assert_eq!(idp.with(|told| told.refreshes.len()), 2);
    // A server that does not take it gets another one the next time, ...
    let many = idp.with(|told| told.refreshes.len());
    for _ in 0..10 {
        gate.echo.answers(401, "application/json", "{}");
        assert_eq!(gate.call("theirs", &tokens.access, PING).status, 502);
    }
    assert_eq!(
        idp.with(|told| told.refreshes.len()),
        many,
        "... but not each time"
    );
    pass(&gate, &idp, 61);
    gate.echo.answers(401, "application/json", "{}");
    assert_eq!(gate.call("theirs", &tokens.access, PING).status, 502);
    let asked = idp.with(|told| told.refreshes.len());
    gate.echo.take();
    reached(&gate, "theirs", &tokens);
    assert_eq!(idp.with(|told| told.refreshes.len()), asked + 1);
    // With a scope of its own, for that server alone.
    let graph = login(&gate, &idp, "graph");
    assert_eq!(
        bearer(&reached(&gate, "graph", &graph)),
        "canary-second_api://graph/.default"
    );
    let disk = String::from_utf8_lossy(&gate.disk()).into_owned();
    assert!(!disk.contains("canary"), "sealed, or nowhere");
}

#[test]
fn p5_tokens_are_exchanged_for_the_server_that_they_are_for() {
    let idp = Idp::start();
    let gate = gate(&idp);
    let asked = |name: &str| {
        idp.with(|told| {
            told.exchanges
                .last()
                .and_then(|form| form.get(name).cloned())
        })
    };
    let tokens = login(&gate, &idp, "swap");
    assert_eq!(
        bearer(&reached(&gate, "swap", &tokens)),
        "canary-exchanged-1"
    );
    assert_eq!(asked("audience").as_deref(), Some("weather"));
    assert_eq!(asked("scope").as_deref(), Some("read"));
    assert_eq!(asked("resource"), None);
    assert_eq!(asked("subject_token").as_deref(), Some(ACCESS_TOKEN));
    // It is kept.
    assert_eq!(
        bearer(&reached(&gate, "swap", &tokens)),
        "canary-exchanged-1"
    );
    let tokens = login(&gate, &idp, "here");
    assert_eq!(
        bearer(&reached(&gate, "here", &tokens)),
        "canary-exchanged-2"
    );
    let here = format!("{}/here", gate.echo.origin);
    assert_eq!(asked("resource"), Some(here));
    let tokens = login(&gate, &idp, "behalf");
    assert_eq!(
        bearer(&reached(&gate, "behalf", &tokens)),
        "canary-exchanged-3"
    );
    assert_eq!(asked("scope").as_deref(), Some("api://weather/.default"));
    let own = format!("{ACCESS_TOKEN}_vestibule/.default");
    assert_eq!(
        asked("assertion"),
        Some(own),
        "a token that is for ourselves"
    );
}

#[test]
fn p5_what_cannot_be_had_is_said_and_nothing_reaches_the_server() {
    let idp = Idp::start();
    let gate = gate(&idp);
    let machine = gate.wire().post_form(
        &gate.host(),
        "/token",
        &[
            ("grant_type", "client_credentials"),
            ("resource", &gate.resource("swap")),
        ],
        &[(
            "authorization",
            &basic("vcl_machine", "canary-machine-secret-of-some-length"),
        )],
    );
    let machine = Tokens {
        access: machine.json()["access_token"]
            .as_str()
            .expect("a token")
            .to_owned(),
        refresh: String::new(),
        scope: String::new(),
    };
    assert_eq!(
        refused(&gate, "swap", &machine),
        (403, "V-SRV-018".to_owned())
    );
    let tokens = login(&gate, &idp, "swap");
    for (no, status, code) in [
        ((503, "server_error"), 503, "V-SRV-019"),
        ((400, "invalid_target"), 502, "V-SRV-020"),
        ((400, "interaction_required"), 200, "V-SRV-021"),
    ] {
        idp.with(|told| told.no_exchange = Some(no));
        assert_eq!(refused(&gate, "swap", &tokens), (status, code.to_owned()));
        // A client that tries again at once does not make us ask again.
        let asked = idp.with(|told| told.exchanges.len());
        assert_eq!(refused(&gate, "swap", &tokens), (status, code.to_owned()));
        assert_eq!(idp.with(|told| told.exchanges.len()), asked);
        pass(&gate, &idp, 6);
    }
    idp.with(|told| told.no_exchange = None);
    reached(&gate, "swap", &tokens);
    // No to the scopes of one server says nothing of the person, ...
    let graph = login(&gate, &idp, "graph");
    idp.with(|told| told.let_go = Some("invalid_grant"));
    assert_eq!(
        refused(&gate, "graph", &graph),
        (200, "V-SRV-021".to_owned())
    );
    assert_eq!(gate.refresh(&graph.refresh).status, 200);
    // ... and no to their login does.
    let theirs = login(&gate, &idp, "theirs");
    assert_eq!(refused(&gate, "theirs", &theirs).0, 401);
    assert_eq!(gate.refresh(&theirs.refresh).status, 400);
}

#[test]
fn up_10_up_19_a_token_for_a_server_is_no_word_about_its_person() {
    for kind in ["oidc", "entra"] {
        let idp = Idp::start();
        let gate = Gate::start_in(
            &format!(
                "{}[servers.ops]\nupstream = \"ECHO/ops\"\nallow = [\"group:ops\"]\n",
                servers()
            ),
            &[
                ("VESTIBULE_IDP__ISSUER", idp.issuer.as_str()),
                ("VESTIBULE_IDP__KIND", kind),
                ("VESTIBULE_IDP__RECHECK", "5m"),
                ("MACHINE", "canary-machine-secret-of-some-length"),
            ],
        );
        idp.with(|told| {
            told.claims = json!({ "tid": "t", "oid": "o-ada", "groups": ["ops"], "roles": ["r"] });
        });
        let ops = login(&gate, &idp, "ops");
        let behalf = login(&gate, &idp, "behalf");
        // What came with less was taken, and changed nothing of what is known of her.
        assert!(bearer(&reached(&gate, "behalf", &behalf)).starts_with("canary-exchanged"));
        assert_eq!(gate.refresh(&ops.refresh).status, 200, "{kind}");
        // And the next question about her is due as before.
        let asked = idp.with(|told| told.refreshes.len());
        pass(&gate, &idp, 290);
        reached(&gate, "behalf", &behalf);
        pass(&gate, &idp, 20);
        assert_eq!(gate.refresh(&behalf.refresh).status, 200, "{kind}");
        let asked = idp.with(|told| told.refreshes.len()) - asked;
        assert_eq!(asked, 2, "{kind}: one for the server, one about the person");
    }
}

#[test]
fn p5_what_the_provider_wants_of_the_person_they_can_confirm() {
    let idp = Idp::start();
    idp.with(|told| told.access_life = 20);
    let gate = gate(&idp);
    let browser = Browser::new("ada");
    let (path, verifier) = gate.authorize_path("behalf", "");
    let url = browser.decide(&gate, &path, "allow");
    let back = browser.open(&idp.sign_in(&url, "good"));
    let code = query_of(&back.one("location"), "code").expect("a code");
    let tokens = gate.redeem(&code, &verifier);
    let page = |browser: &Browser| browser.open(&format!("{}/connections", gate.origin));
    assert!(!page(&browser).text().contains("value=\"confirm\""));
    let claims = r#"{"access_token":{"acrs":{"essential":true,"value":"c1"}}}"#;
    let confirm = |browser: &Browser, token: &str| {
        let form = [("token", token), ("server", "behalf"), ("act", "confirm")];
        let url = format!("{}/connections", gate.origin);
        browser.submit(&url, &form, Some(&gate.origin))
    };
    for (challenge, passed_on) in [
        (Some(json!(claims)), Some(claims.to_owned())),
        // What is no object is not sent along.
        (Some(json!("x&prompt=none")), None),
        (
            Some(json!(format!("{{\"x\":\"{}\"}}", "y".repeat(4096)))),
            None,
        ),
        (None, None),
    ] {
        idp.with(|told| {
            told.no_exchange = Some((400, "interaction_required"));
            told.challenge = challenge;
        });
        assert_eq!(
            refused(&gate, "behalf", &tokens),
            (200, "V-SRV-021".to_owned())
        );
        let shown = page(&browser);
        assert!(
            shown.text().contains("value=\"confirm\""),
            "{}",
            shown.text()
        );
        let sent = confirm(&browser, &shown.field("token"));
        assert_eq!(sent.status, 200, "{}", sent.text());
        let url = sent.refresh_target();
        assert!(url.starts_with(&idp.issuer), "{url}");
        assert_eq!(query_of(&url, "prompt").as_deref(), Some("consent"));
        let scope = query_of(&url, "scope").expect("scopes");
        assert_eq!(
            scope,
            "openid profile email offline_access api://weather/.default"
        );
        assert_eq!(query_of(&url, "claims"), passed_on);
        let done = browser.open(&idp.sign_in(&url, "good"));
        assert_eq!(
            done.one("location"),
            format!("{}/login/connections", gate.origin)
        );
        // Nobody is asked twice, and the next call finds out whether it helped, at once.
        assert!(!page(&browser).text().contains("value=\"confirm\""));
        idp.with(|told| told.no_exchange = None);
        let given = bearer(&reached(&gate, "behalf", &tokens));
        assert!(given.starts_with("canary-exchanged"), "{given}");
        pass(&gate, &idp, 20);
    }
    // It is theirs alone, and what nobody is asked for goes nowhere.
    idp.with(|told| told.no_exchange = Some((400, "interaction_required")));
    assert_eq!(
        refused(&gate, "behalf", &tokens),
        (200, "V-SRV-021".to_owned())
    );
    let eve = Browser::new("eve");
    idp.with(|told| told.claims = json!({ "sub": "eve" }));
    let login = eve.open(&format!("{}/login?to=connections", gate.origin));
    eve.open(&idp.sign_in(&login.one("location"), "good"));
    let shown = page(&eve);
    assert!(
        !shown.text().contains("value=\"confirm\""),
        "{}",
        shown.text()
    );
    // Without the token of their session nothing is done.
    assert_eq!(confirm(&browser, "wrong").status, 403);
    assert!(page(&browser).text().contains("value=\"confirm\""));
}
