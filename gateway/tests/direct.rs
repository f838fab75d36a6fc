//! Servers whose tokens the identity provider issues (`mode = "direct"`): the gateway guards them
//! and says where tokens come from, and takes no other token for one of theirs.

mod support;

use http::HeaderMap;
use serde_json::{Value, json};
use support::{
    Browser, Gate, PING, Tokens,
    idp::Idp,
    query_of, read_config,
    signer::{Signer, jti},
    tool_call,
    wire::Answer,
};
use vestibule::world::World;

const SERVERS: &str = r#"
[servers.d]
path = "/d/mcp"
upstream = "ECHO/d"
mode = "direct"
scopes = { "read" = "Read", "write" = "Write" }
default_scopes = ["read"]
tools = { "set_*" = "write", "admin_*" = { allow = ["group:admins"] } }
scope_prefix = "api://d/"
upstream_auth = "headers"
dpop = "allowed"
[servers.e]
path = "/e/mcp"
upstream = "ECHO/e"
mode = "direct"
audience = ["urn:e", "e-app"]
deny = ["person:eve"]
upstream_auth = { exchange = { audience = "weather" } }
[clients.vcl_machine]
auth_method = "client_secret_basic"
secret = { env = "MACHINE" }
grants = ["client_credentials"]
"#;

struct Direct {
    gate: Gate,
    idp: Idp,
}

impl Direct {
    fn start() -> Self {
        let idp = Idp::start();
        let env = [
            ("VESTIBULE_IDP__ISSUER", idp.issuer.as_str()),
            ("VESTIBULE_SERVERS__A__UPSTREAM_AUTH", "none"),
            ("MACHINE", "canary-machine-secret-of-some-length"),
        ];
        let gate = Gate::start_in(SERVERS, &env);
        Self { gate, idp }
    }

    /// Claims of a good token for `d`, with these over them; null takes one away.
    fn claims(&self, over: &Value) -> Value {
        let now = World::real().now().unix();
        let mut claims = json!({
            "iss": self.idp.issuer, "aud": self.gate.resource("d"), "sub": "ada",
            "client_id": "app", "scope": "read", "iat": now, "exp": now + 300, "jti": jti(),
            "name": "Ada", "groups": ["staff"],
        });
        for (name, value) in over.as_object().expect("an object") {
            claims[name] = value.clone();
            if value.is_null() {
                claims.as_object_mut().expect("an object").remove(name);
            }
        }
        claims
    }

    fn token(&self, over: &Value) -> String {
        let claims = self.claims(over);
        self.idp
            .with(|told| told.signer.jwt(Some("at+jwt"), &claims))
    }

    fn call(&self, server: &str, token: &str) -> Answer {
        self.gate.call(server, token, PING)
    }

    /// What reached the server.
    fn reached(&self, server: &str, token: &str) -> HeaderMap {
        let answer = self.call(server, token);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let seen = self.gate.echo.take().pop().expect("it came through");
        for value in seen.headers.values() {
            let value = String::from_utf8_lossy(value.as_bytes());
            assert!(!value.contains(token), "the client's own token stays here");
        }
        seen.headers
    }
}

#[test]
fn a4_p2_the_provider_s_token_opens_its_server_and_stays_here() {
    let direct = Direct::start();
    let token = direct.token(&json!({}));
    let headers = direct.reached("d", &token);
    assert!(!headers.contains_key("authorization"));
    assert_eq!(headers["x-vestibule-name"], "Ada");
    assert_eq!(headers["x-vestibule-groups"], "staff");
    let user = headers["x-vestibule-user"].clone();
    // The same person by another token is the same, and another person is not.
    assert_eq!(
        direct.reached("d", &direct.token(&json!({})))["x-vestibule-user"],
        user
    );
    let bob = direct.token(&json!({ "sub": "bob" }));
    assert_ne!(direct.reached("d", &bob)["x-vestibule-user"], user);
    // One that is for two servers has at each what its rules say there.
    let both = json!({ "aud": [direct.gate.resource("d"), "urn:e"], "sub": "eve" });
    let both = direct.token(&both);
    for (server, status) in [("d", 200), ("e", 403), ("d", 200)] {
        assert_eq!(direct.call(server, &both).status, status, "{server}");
    }
    direct.gate.echo.take();
    // What a server gets in exchange is for this token, and each has its own.
    let e = |scope: &str| direct.token(&json!({ "aud": "e-app", "scope": scope }));
    for (scope, nth) in [("x", 1), ("x y", 2)] {
        let token = e(scope);
        direct.idp.with(|told| told.access_token = token.clone());
        for _ in 0..2 {
            let headers = direct.reached("e", &token);
            assert_eq!(
                headers["authorization"],
                format!("Bearer canary-exchanged-{nth}")
            );
        }
        let form = direct.idp.with(|told| told.exchanges.last().cloned());
        assert_eq!(form.expect("asked")["subject_token"], token);
    }
    // Our pages know nobody by such a token, so nobody is sent there.
    direct
        .idp
        .with(|told| told.no_exchange = Some((400, "interaction_required")));
    let bearer = format!("Bearer {}", e("x z"));
    let answer = direct
        .gate
        .post_mcp("e", &[("authorization", &bearer)], &tool_call("list"));
    let told = answer.json()["result"]["content"][0]["text"].to_string();
    assert!(
        told.contains("V-SRV-021") && !told.contains("/connections"),
        "{told}"
    );
    direct.idp.with(|told| told.no_exchange = None);
}

#[test]
fn a4_disc_9_clients_are_told_where_tokens_come_from() {
    let direct = Direct::start();
    let metadata = direct
        .gate
        .get("/.well-known/oauth-protected-resource/d/mcp")
        .json();
    assert_eq!(metadata["resource"], direct.gate.resource("d"));
    assert_eq!(
        metadata["authorization_servers"],
        json!([direct.idp.issuer])
    );
    assert_eq!(metadata["scopes_supported"], json!(["api://d/read"]));
    let challenged = direct.gate.post_mcp("d", &[], PING);
    assert_eq!(challenged.status, 401);
    let challenge = challenged.all("www-authenticate").join(" ");
    assert!(
        challenge.contains("/.well-known/oauth-protected-resource/d/mcp"),
        "{challenge}"
    );
    assert!(challenge.contains("scope=\"api://d/read\""), "{challenge}");
    // A tool that needs more says so as the provider is asked for it.
    let token = direct.token(&json!({}));
    let refused = direct.gate.call("d", &token, &tool_call("set_x"));
    assert_eq!(refused.status, 403);
    let challenge = refused.all("www-authenticate").join(" ");
    assert!(
        challenge.contains("scope=\"api://d/read api://d/write\""),
        "{challenge}"
    );
    let more = direct.token(&json!({ "scope": "api://d/read api://d/write" }));
    assert_eq!(
        direct.gate.call("d", &more, &tool_call("set_x")).status,
        200
    );
    assert_eq!(
        direct.gate.call("d", &more, &tool_call("admin_x")).status,
        403
    );
    let admin = direct.token(&json!({ "groups": ["admins"] }));
    assert_eq!(
        direct.gate.call("d", &admin, &tool_call("admin_x")).status,
        200
    );
    // Its scopes are none of this gateway's own.
    let metadata = direct
        .gate
        .get("/.well-known/oauth-authorization-server")
        .json();
    assert!(
        !metadata["scopes_supported"]
            .to_string()
            .contains("\"read\"")
    );
}

#[test]
fn a4_this_gateway_issues_none_for_it() {
    let direct = Direct::start();
    let (path, _) = direct.gate.authorize_path("d", "read");
    let answer = Browser::new("ada").open(&format!("{}{path}", direct.gate.origin));
    let location = answer.one("location");
    assert_eq!(
        query_of(&location, "error").as_deref(),
        Some("invalid_target"),
        "{location}"
    );
    let basic = support::basic("vcl_machine", "canary-machine-secret-of-some-length");
    for server in ["d", "e"] {
        let resource = direct.gate.resource(server);
        let form = [
            ("grant_type", "client_credentials"),
            ("resource", resource.as_str()),
        ];
        let gate = &direct.gate;
        let mut wire = gate.wire();
        let answer = wire.post_form(&gate.host(), "/token", &form, &[("authorization", &basic)]);
        assert_eq!(
            answer.json()["error"],
            "invalid_target",
            "{}",
            answer.text()
        );
    }
    // Nor is one of its own for another server taken there.
    let tokens = login(&direct);
    assert_eq!(direct.call("a", &tokens.access).status, 200);
    assert_eq!(direct.call("d", &tokens.access).status, 401);
    // And the provider's opens no server whose tokens are issued here.
    let theirs = direct.token(&json!({ "aud": direct.gate.resource("a") }));
    assert_eq!(direct.call("a", &theirs).status, 401);
}

fn login(direct: &Direct) -> Tokens {
    let browser = Browser::new("ada");
    let (path, verifier) = direct.gate.authorize_path("a", "a:read");
    let url = browser.decide(&direct.gate, &path, "allow");
    let back = browser.open(&direct.idp.sign_in(&url, "good"));
    let code = query_of(&back.one("location"), "code").expect("a code");
    direct.gate.redeem(&code, &verifier)
}

#[test]
fn p2_t_grd_01_t_grd_02_t_grd_03_other_tokens_of_the_provider_s_open_nothing() {
    let direct = Direct::start();
    let tokens = login(&direct);
    assert!(!tokens.access.is_empty());
    // The ID token of a login here, whose audience is this gateway.
    let id_token = direct.idp.with(|told| told.id_token.clone());
    assert_eq!(direct.call("d", &id_token).status, 401);
    // One for the very application that the server is, which is the case with Entra.
    let now = World::real().now().unix();
    let plain = |over: &Value| {
        let claims = direct.claims(over);
        direct
            .idp
            .with(|told| told.signer.jwt(Some("JWT"), &claims))
    };
    assert_eq!(direct.call("d", &plain(&json!({}))).status, 200);
    for over in [
        json!({ "nonce": "n", "client_id": null }),
        json!({ "nonce": "n" }),
        json!({ "typ": "ID" }),
        json!({ "client_id": null }),
        json!({ "events": {} }),
    ] {
        assert_eq!(direct.call("d", &plain(&over)).status, 401, "{over}");
    }
    for (over, status, code) in [
        (json!({ "aud": "urn:e" }), 401, "V-SRV-013"),
        (
            json!({ "aud": direct.gate.resource("a") }),
            401,
            "V-SRV-013",
        ),
        (json!({ "iss": "https://other.example" }), 401, "V-SRV-011"),
        (json!({ "exp": now - 60 }), 401, "V-SRV-012"),
        (json!({ "iat": now + 600 }), 401, "V-SRV-011"),
        (json!({ "nbf": now + 600 }), 401, "V-SRV-011"),
        (json!({ "scope": null }), 403, "V-SRV-017"),
        (
            json!({ "_claim_names": { "groups": "x" } }),
            403,
            "V-SRV-017",
        ),
        (json!({ "cnf": { "x5t#S256": "x" } }), 401, "V-SRV-011"),
    ] {
        let answer = direct.call("d", &direct.token(&over));
        assert_eq!(answer.status, status, "{over}: {}", answer.text());
        assert!(answer.text().contains(code), "{over}: {}", answer.text());
    }
    let eve = direct.token(&json!({ "aud": "urn:e", "sub": "eve" }));
    assert_eq!(direct.call("e", &eve).status, 403);
    assert!(
        direct.gate.echo.take().len() == 1,
        "no refused call reached a server"
    );
    // Somebody else's signature, none, and an algorithm of their choice.
    let claims = direct.claims(&json!({}));
    let forged = Signer::new().jwt(Some("at+jwt"), &claims);
    assert_eq!(direct.call("d", &forged).status, 401);
    let good = direct.token(&json!({}));
    let (head, _) = good.rsplit_once('.').expect("parts");
    assert_eq!(direct.call("d", &format!("{head}.")).status, 401);
    for alg in ["none", "HS256"] {
        let header = json!({ "alg": alg, "kid": "k1", "typ": "at+jwt" });
        let token = direct.idp.with(|told| told.signer.sign(&header, &claims));
        assert_eq!(direct.call("d", &token).status, 401, "{alg}");
    }
}

#[test]
fn p2_a_token_that_was_good_is_judged_each_time() {
    let direct = Direct::start();
    let token = direct.token(&json!({}));
    assert_eq!(direct.call("d", &token).status, 200);
    direct.gate.turn_clock(400);
    // While its end is borne, as clocks differ, the server is told all the same who calls.
    let last = direct.token(&json!({ "exp": World::real().now().unix() + 390 }));
    let headers = direct.reached("d", &last);
    assert_eq!(headers["x-vestibule-groups"], "staff");
    let late = direct.call("d", &token);
    assert_eq!(late.status, 401);
    assert!(late.text().contains("V-SRV-012"), "{}", late.text());
}

#[test]
fn dpop_5_p2_a_bound_token_needs_its_key() {
    let direct = Direct::start();
    let key = Signer::new();
    let token = direct.token(&json!({ "cnf": { "jkt": key.thumbprint() } }));
    assert_eq!(direct.call("d", &token).status, 401);
    let prove = |key: &Signer, nonce: Option<&str>| {
        let proof = key.proof("POST", &direct.gate.resource("d"), Some(&token), nonce);
        let shown = format!("DPoP {token}");
        let headers = [("authorization", shown.as_str()), ("dpop", &proof)];
        direct.gate.post_mcp("d", &headers, PING)
    };
    let asked = prove(&key, None);
    assert_eq!(asked.status, 401);
    let nonce = asked.one("dpop-nonce");
    assert_eq!(prove(&key, Some(&nonce)).status, 200);
    assert_eq!(prove(&Signer::new(), Some(&nonce)).status, 401);
    let free = direct.token(&json!({}));
    let proof = key.proof(
        "POST",
        &direct.gate.resource("d"),
        Some(&free),
        Some(&nonce),
    );
    let shown = format!("DPoP {free}");
    let headers = [("authorization", shown.as_str()), ("dpop", &proof)];
    assert_eq!(direct.gate.post_mcp("d", &headers, PING).status, 401);
}

#[test]
fn p2_a_key_that_the_provider_publishes_by_now_is_looked_for_once() {
    let direct = Direct::start();
    assert_eq!(direct.call("d", &direct.token(&json!({}))).status, 200);
    let old = direct.token(&json!({}));
    assert_eq!(direct.call("d", &old).status, 200);
    direct.idp.with(|told| {
        told.signer = Signer::new();
        told.kid = "k2".to_owned();
    });
    let claims = direct.claims(&json!({}));
    let header = json!({ "alg": "ES256", "kid": "k2", "typ": "at+jwt" });
    let sign = || direct.idp.with(|told| told.signer.sign(&header, &claims));
    assert_eq!(direct.call("d", &sign()).status, 200);
    // Under a key that was taken back, a token is good no more, also if it was before.
    assert_eq!(direct.call("d", &old).status, 401);
    // Whoever makes up keys makes us ask no more than anybody.
    let looks = direct.idp.with(|told| told.looks);
    for n in 0..20 {
        let header = json!({ "alg": "ES256", "kid": format!("made-up-{n}") });
        let token = Signer::new().sign(&header, &claims);
        assert_eq!(direct.call("d", &token).status, 401);
    }
    assert!(direct.idp.with(|told| told.looks) <= looks + 1);
}

#[test]
fn p2_a_key_that_could_not_be_asked_for_says_nothing_of_a_token() {
    let direct = Direct::start();
    assert_eq!(direct.call("d", &direct.token(&json!({}))).status, 200);
    let document = direct.idp.with(|told| {
        told.signer = Signer::new();
        told.kid = "k2".to_owned();
        std::mem::replace(&mut told.document, Value::Null)
    });
    let claims = direct.claims(&json!({}));
    let header = json!({ "alg": "ES256", "kid": "k2", "typ": "at+jwt" });
    let token = direct.idp.with(|told| told.signer.sign(&header, &claims));
    for _ in 0..3 {
        let answer = direct.call("d", &token);
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(answer.text().contains("V-SRV-024"), "{}", answer.text());
    }
    direct.idp.with(|told| told.document = document);
    direct.gate.turn_clock(11);
    assert_eq!(direct.call("d", &token).status, 200);
}

#[test]
fn ops_3_p2_the_audit_says_who_called_by_a_token_of_the_provider_s() {
    let direct = Direct::start();
    let token = direct.token(&json!({ "email": "ada@x.example" }));
    let answer = direct.gate.call("d", &token, &tool_call("get_x"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let running = direct.gate.running();
    let audit = running.office.audit.clone();
    let filter = vestibule_core::audit::Filter::default();
    let found = running
        .handle()
        .block_on(async { audit.calls(&filter, None, 10).await })
        .expect("the store answers");
    let [call] = found.calls.as_slice() else {
        panic!("{:?}", found.calls);
    };
    assert_eq!(call.subject.shown, "ada@x.example (ada)");
    assert_eq!(call.subject.client_name, "app");
}

#[test]
fn p2_while_no_key_is_known_nobody_knows() {
    let direct = Direct::start();
    let token = direct.token(&json!({}));
    let idp = &direct.idp;
    let document = idp.with(|told| std::mem::replace(&mut told.document, Value::Null));
    let env = [
        ("VESTIBULE_IDP__ISSUER", idp.issuer.as_str()),
        ("MACHINE", "canary-machine-secret-of-some-length"),
    ];
    let mut gate = direct.gate;
    gate.restart_in(&env);
    let answer = gate.call("d", &token, PING);
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.text().contains("V-SRV-024"), "{}", answer.text());
    assert_eq!(answer.one("retry-after"), "1");
    idp.with(|told| told.document = document);
    support::wait_until("its keys are known", || {
        gate.call("d", &token, PING).status == 200
    });
}

#[test]
fn a4_p2_direct_mode_is_for_what_it_can_do() {
    let problems = |idp: &str, server: &str| {
        let text = format!(
            r#"
public_url = "http://127.0.0.1:8080"
[idp]
client_id = "v"
client_secret = {{ file = "secret" }}
{idp}
[idps.two]
issuer = "https://two.example"
client_id = "v"
client_secret = {{ file = "secret" }}
[servers.d]
upstream = "http://127.0.0.1:1/mcp"
mode = "direct"
{server}
"#
        );
        read_config(&text).err().unwrap_or_default()
    };
    let oidc = "issuer = \"https://x.example\"";
    let entra = "kind = \"entra\"\ntenant = \"5f0c2f6e-8f0b-4c0e-9a52-6d6f1b9a7c11\"";
    let github = "kind = \"github\"\norganizations = \"any\"";
    let several = "kind = \"entra\"\ntenant = \"organizations\"\n\
                   tenants = [\"5f0c2f6e-8f0b-4c0e-9a52-6d6f1b9a7c11\"]";
    let google = "kind = \"google\"\nhosted_domain = \"x.example\"";
    let behalf = "upstream_auth = { on-behalf-of = { scope = \"api://x/.default\" } }";
    let twin = "[servers.e]\nupstream = \"http://127.0.0.1:1/mcp\"\nmode = \"direct\"\n\
                audience = [\"y\", \"x\"]";
    let wrong = vec!["V-CFG-057"];
    for (idp, server, expected) in [
        (oidc, "", vec![]),
        (oidc, "idp = \"two\"", vec![]),
        (oidc, "idp = [\"main\", \"two\"]", wrong.clone()),
        (oidc, "upstream_auth = \"provider-token\"", wrong.clone()),
        (oidc, "upstream_auth = \"exchange\"", vec![]),
        (oidc, "public = true", vec!["V-CFG-042"]),
        (github, "", wrong.clone()),
        (
            several,
            "audience = \"5f0c2f6e-8f0b-4c0e-9a52-6d6f1b9a7c12\"",
            wrong.clone(),
        ),
        (google, "", wrong.clone()),
        (oidc, behalf, wrong.clone()),
        (oidc, &format!("{behalf}\naudience = [\"v\"]"), vec![]),
        (oidc, &format!("audience = \"x\"\n{twin}"), wrong.clone()),
        (entra, "", wrong.clone()),
        (
            entra,
            "audience = \"5f0c2f6e-8f0b-4c0e-9a52-6d6f1b9a7c12\"",
            vec![],
        ),
    ] {
        assert_eq!(problems(idp, server), expected, "{idp} {server}");
    }
}
