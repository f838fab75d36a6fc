//! Every grant beside the code's own, each with the attacks on it: machines, assertions,
//! exchange, devices, proofs, pushed requests, introspection, readable tokens, rules.

mod support;

use serde_json::{Value, json};
use support::{
    Browser, CLIENT, Gate, PING, REDIRECT, Tokens, basic, query_of,
    signer::{Issuer, Signer, jti},
    tool_call,
    wire::Answer,
};
use vestibule::{store::EndedWhy, world::World};
use vestibule_core::{access_token::AccessToken, pkce::CodeVerifier};

const SECRET: &str = "a-secret-of-more-than-128-bits-0123";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn now() -> u64 {
    World::real().now().unix()
}

fn error(answer: &Answer) -> (u16, String) {
    let error = answer.json()["error"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    (answer.status, error)
}

fn refused(status: u16, error: &str) -> (u16, String) {
    (status, error.to_owned())
}

const MACHINES: &str = r#"
[clients.vcl_basic]
secret = { env = "SECRET" }
grants = ["client_credentials"]
servers = ["a"]
scopes = ["a:read"]
[clients.vcl_post]
auth_method = "client_secret_post"
secret = { env = "SECRET" }
grants = ["client_credentials"]
[clients.vcl_key]
jwks = { env = "JWKS" }
grants = ["client_credentials"]
servers = ["a", "b"]
"#;

fn assertion_of(signer: &Signer, client: &str, gate: &Gate) -> String {
    signer.jwt(
        None,
        &json!({
            "iss": client, "sub": client, "aud": gate.origin,
            "exp": now() + 60, "jti": jti(),
        }),
    )
}

#[test]
fn cc_1_cc_2_cc_3_tok_6_tok_12_a_machine_gets_its_own_tokens_and_no_more() {
    let signer = Signer::new();
    let gate = Gate::start_in(MACHINES, &[("SECRET", SECRET), ("JWKS", &signer.jwks())]);
    let a = gate.resource("a");
    let form = [("grant_type", "client_credentials")];
    let by_basic = |more: &[(&str, &str)]| {
        let header = basic("vcl_basic", SECRET);
        let all: Vec<_> = form.iter().chain(more).copied().collect();
        gate.wire()
            .post_form(&gate.host(), "/token", &all, &[("authorization", &header)])
    };
    let answer = by_basic(&[]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["scope"], "a:read");
    assert!(body.get("refresh_token").is_none());
    let token = body["access_token"].as_str().expect("a token").to_owned();
    assert_eq!(gate.call("a", &token, PING).status, 200);
    assert_eq!(gate.call("b", &token, PING).status, 401, "another server");
    assert_eq!(
        error(&by_basic(&[("resource", &gate.resource("b"))])),
        refused(400, "invalid_target")
    );
    assert_eq!(
        by_basic(&[("scope", "a:read a:write")]).json()["scope"],
        "a:read"
    );
    assert_eq!(
        error(&by_basic(&[("scope", "a:write")])),
        refused(400, "invalid_scope")
    );

    let by_post = |secret: &str, resource: &str| {
        gate.token(&[
            form[0],
            ("client_id", "vcl_post"),
            ("client_secret", secret),
            ("resource", resource),
        ])
    };
    assert_eq!(by_post(SECRET, &a).status, 200);
    assert_eq!(error(&by_post("wrong", &a)), refused(401, "invalid_client"));
    assert_eq!(
        error(&by_post(SECRET, "")),
        refused(400, "invalid_target"),
        "which of three?"
    );

    // Its own signature, without a client_id beside it; and once.
    let assertion = assertion_of(&signer, "vcl_key", &gate);
    let by_key = |assertion: &str| {
        gate.token(&[
            form[0],
            ("client_assertion", assertion),
            ("client_assertion_type", ASSERTION),
            ("resource", &a),
        ])
    };
    assert_eq!(by_key(&assertion).status, 200);
    assert_eq!(
        error(&by_key(&assertion)),
        refused(401, "invalid_client"),
        "a replay"
    );
    let stranger = assertion_of(&Signer::new(), "vcl_key", &gate);
    assert_eq!(error(&by_key(&stranger)), refused(401, "invalid_client"));
    let elsewhere = signer.jwt(
        None,
        &json!({"iss": "vcl_key", "sub": "vcl_key", "aud": "https://other.example",
            "exp": now() + 60, "jti": jti()}),
    );
    assert_eq!(error(&by_key(&elsewhere)), refused(401, "invalid_client"));
    // A public client and one that registered itself have no machine of their own.
    let public = gate.token(&[form[0], ("client_id", CLIENT), ("resource", &a)]);
    assert_eq!(error(&public), refused(400, "unauthorized_client"));
    let registered = gate.wire().request(
        &gate.host(),
        "POST",
        "/register",
        &[("content-type", "application/json")],
        json!({"redirect_uris": ["https://c.example/cb"], "token_endpoint_auth_method": "client_secret_post"})
            .to_string()
            .as_bytes(),
    );
    let registered = registered.json();
    let text = |name: &str| registered[name].as_str().expect("text").to_owned();
    let dynamic = gate.token(&[
        form[0],
        ("client_id", &text("client_id")),
        ("client_secret", &text("client_secret")),
        ("resource", &a),
    ]);
    assert_eq!(error(&dynamic), refused(400, "unauthorized_client"));
    // Nor does a machine ask people.
    let page = gate.get(&format!(
        "/authorize?client_id=vcl_basic&redirect_uri={REDIRECT}&response_type=code"
    ));
    assert_eq!(page.status, 400);
    // Stopping ends what it has and what it could get.
    stop(&gate, &token);
    assert_eq!(gate.call("a", &token, PING).status, 401);
    assert_eq!(error(&by_basic(&[])), refused(400, "invalid_grant"));
}

/// Stops the grant of a token, as an operator would.
fn stop(gate: &Gate, token: &str) {
    let office = &gate.running().office;
    let opened = AccessToken::open(token, &office.keys.load().access).expect("ours");
    let store = std::sync::Arc::clone(&office.store);
    let ended = gate.running().handle().block_on(store.end_grant(
        opened.grant,
        EndedWhy::Stopped,
        office.world.now(),
    ));
    assert!(ended.expect("answers"));
}

#[test]
fn pre_1_pre_2_two_secrets_in_overlap_and_the_provider_s_ids_are_nobody_here() {
    let config = r#"
[clients.vcl_turning]
secret = { env = "NEW" }
previous_secret = { env = "OLD" }
previous_secret_until = "2100-01-01"
grants = ["client_credentials"]
servers = ["a"]
"#;
    let old = "an-older-secret-of-more-than-128-bits";
    let gate = Gate::start_in(config, &[("NEW", SECRET), ("OLD", old)]);
    let with = |id: &str, secret: &str| {
        gate.wire().post_form(
            &gate.host(),
            "/token",
            &[("grant_type", "client_credentials")],
            &[("authorization", &basic(id, secret))],
        )
    };
    assert_eq!(with("vcl_turning", SECRET).status, 200);
    assert_eq!(with("vcl_turning", old).status, 200);
    assert_eq!(
        with("vcl_turning", "neither-of-the-two-secrets").status,
        401
    );
    // The id and secret that we have at the provider open nothing here.
    assert_eq!(
        error(&with("vestibule", "canary-idp-secret")),
        refused(401, "invalid_client")
    );
    let page = gate.get("/authorize?client_id=vestibule&response_type=code");
    assert_eq!(page.status, 400);
    for document in ["/.well-known/oauth-authorization-server", "/jwks.json"] {
        assert!(!gate.get(document).text().contains("canary"));
    }
    gate.turn_clock(80 * 365 * 24 * 3600);
    assert_eq!(with("vcl_turning", old).status, 401, "its day has come");
    assert!(!String::from_utf8_lossy(&gate.disk()).contains(SECRET));
}

fn trust(issuer: &Issuer) -> String {
    format!(
        r#"
[issuers.company]
issuer = "{}"
vouches_for = "people"
[clients.vcl_app]
secret = {{ env = "SECRET" }}
grants = ["jwt_bearer"]
"#,
        issuer.issuer
    )
}

fn id_jag(gate: &Gate, issuer: &Issuer, jti: &str) -> Value {
    json!({
        "iss": issuer.issuer, "sub": "u1", "aud": gate.origin, "client_id": "vcl_app",
        "exp": now() + 300, "iat": now(), "jti": jti, "scope": "a:read a:write",
        "resource": gate.resource("a"), "email": "ada@example.com",
    })
}

#[test]
fn ema_1_ema_2_ema_5_ema_6_ema_7_ema_8_ema_9_a_company_vouches_for_a_person() {
    let issuer = Issuer::start();
    let gate = Gate::start_in(&trust(&issuer), &[("SECRET", SECRET)]);
    let metadata = gate.get("/.well-known/oauth-authorization-server").json();
    let grants = metadata["grant_types_supported"].to_string();
    assert!(grants.contains(JWT_BEARER), "{grants}");
    assert_eq!(
        metadata["authorization_grant_profiles_supported"],
        json!(["urn:ietf:params:oauth:grant-profile:id-jag"])
    );
    let send = |assertion: &str, more: &[(&str, &str)]| {
        let mut form = vec![("grant_type", JWT_BEARER), ("assertion", assertion)];
        form.extend_from_slice(more);
        gate.wire().post_form(
            &gate.host(),
            "/token",
            &form,
            &[("authorization", &basic("vcl_app", SECRET))],
        )
    };
    let typ = Some("oauth-id-jag+jwt");
    let good = issuer.signer.jwt(typ, &id_jag(&gate, &issuer, "1"));
    let answer = send(&good, &[("scope", "a:read")]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["scope"], "a:read");
    assert!(body.get("refresh_token").is_none());
    let token = body["access_token"].as_str().expect("a token").to_owned();
    gate.echo.take();
    assert_eq!(gate.call("a", &token, PING).status, 200);
    let vouched = gate.echo.take()[0].headers["x-vestibule-user"].clone();
    assert_eq!(
        error(&send(&good, &[])),
        refused(400, "invalid_grant"),
        "used twice"
    );

    let bad = |change: &dyn Fn(&mut Value)| {
        let mut claims = id_jag(&gate, &issuer, &jti());
        change(&mut claims);
        error(&send(&issuer.signer.jwt(typ, &claims), &[]))
    };
    let no = refused(400, "invalid_grant");
    assert_eq!(bad(&|c| c["client_id"] = "vcl_other".into()), no);
    assert_eq!(bad(&|c| c["aud"] = json!([gate.origin, "x"])), no);
    assert_eq!(bad(&|c| c["exp"] = (now() + 3600).into()), no);
    assert_eq!(bad(&|c| c["exp"] = (now() - 300).into()), no);
    assert_eq!(bad(&|c| c["resource"] = "https://evil.example/".into()), no);
    assert_eq!(bad(&|c| c["iss"] = "https://evil.example".into()), no);
    let forged = Signer::new().jwt(typ, &id_jag(&gate, &issuer, &jti()));
    assert_eq!(error(&send(&forged, &[])), no);
    // Without its client's secret it is worth nothing.
    let bare = gate.token(&[
        ("grant_type", JWT_BEARER),
        (
            "assertion",
            &issuer.signer.jwt(typ, &id_jag(&gate, &issuer, &jti())),
        ),
        ("client_id", "vcl_app"),
    ]);
    assert_eq!(error(&bare), refused(401, "invalid_client"));
    // A plain JWT of this issuer is no identity assertion, and the issuer has no workloads.
    let plain = issuer
        .signer
        .jwt(Some("JWT"), &id_jag(&gate, &issuer, &jti()));
    assert_eq!(error(&send(&plain, &[])), no);

    // The same address at another issuer is another person.
    let tokens = gate.honest_login();
    gate.echo.take();
    gate.call("a", &tokens.access, PING);
    let ada = gate.echo.take()[0].headers["x-vestibule-user"].clone();
    assert_ne!(ada, vouched, "ada@example.com is shown, not believed");
    stop(&gate, &token);
    assert_eq!(gate.call("a", &token, PING).status, 401);
    let again = issuer.signer.jwt(typ, &id_jag(&gate, &issuer, &jti()));
    assert_eq!(
        error(&send(&again, &[])),
        no,
        "until somebody allows it again"
    );
}

#[test]
fn wif_1_wif_2_wif_3_wif_4_wif_5_a_platform_vouches_for_a_workload() {
    let platform = Issuer::start();
    let config = format!(
        r#"
[issuers.ci]
issuer = "{}"
vouches_for = "workloads"
[[issuers.ci.allow]]
subject = "repo:org/app:*"
claims = {{ org_id = "42" }}
servers = ["a"]
scopes = ["a:read"]
[clients.vcl_pod]
workload = {{ issuer = "{}", subject = "pod:1" }}
grants = ["client_credentials"]
servers = ["b"]
"#,
        platform.issuer, platform.issuer
    );
    let gate = Gate::start_with(&config);
    let claims = |subject: &str, audience: &str| {
        json!({"iss": platform.issuer, "sub": subject, "org_id": "42", "aud": audience,
            "exp": now() + 3600, "iat": now(), "jti": jti()})
    };
    let send = |claims: &Value, more: &[(&str, &str)]| {
        let assertion = platform.signer.jwt(None, claims);
        let mut form = vec![
            ("grant_type", JWT_BEARER),
            ("assertion", assertion.as_str()),
        ];
        form.extend_from_slice(more);
        gate.token(&form)
    };
    // No client takes part, and both names of ours are taken.
    for audience in [gate.origin.clone(), format!("{}/token", gate.origin)] {
        let answer = send(&claims("repo:org/app:main", &audience), &[]);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = answer.json();
        assert_eq!(body["scope"], "a:read");
        assert!(body.get("refresh_token").is_none());
        let token = body["access_token"].as_str().expect("a token").to_owned();
        assert_eq!(gate.call("a", &token, PING).status, 200);
        assert_eq!(gate.call("a", &token, &tool_call("set_x")).status, 403);
    }
    let no = refused(400, "invalid_grant");
    let once = claims("repo:org/app:main", &gate.origin);
    assert_eq!(send(&once, &[]).status, 200);
    assert_eq!(error(&send(&once, &[])), no, "a replay");
    assert_eq!(
        error(&send(&claims("repo:org/other:main", &gate.origin), &[])),
        no
    );
    let good = claims("repo:org/app:main", &gate.origin);
    let b = gate.resource("b");
    assert_eq!(
        error(&send(&good, &[("resource", &b)])),
        refused(400, "invalid_target")
    );
    assert_eq!(
        error(&send(&good, &[("scope", "a:write")])),
        refused(400, "invalid_scope")
    );
    // An issuer that nobody named causes no request, wherever it points.
    let other = Issuer::start();
    let mut foreign = claims("repo:org/app:main", &gate.origin);
    foreign["iss"] = other.issuer.clone().into();
    let foreign = other.signer.jwt(None, &foreign);
    let answer = gate.token(&[("grant_type", JWT_BEARER), ("assertion", &foreign)]);
    assert_eq!(error(&answer), no);
    assert_eq!(other.looks(), 0);
    assert_eq!(platform.looks(), 1, "its keys are kept");

    // The same platform authenticates a client that runs on it.
    let pod = |subject: &str| {
        let assertion = platform.signer.jwt(None, &claims(subject, &gate.origin));
        gate.token(&[
            ("grant_type", "client_credentials"),
            ("client_id", "vcl_pod"),
            ("client_assertion", &assertion),
            ("client_assertion_type", ASSERTION),
        ])
    };
    assert_eq!(pod("pod:1").status, 200);
    assert_eq!(error(&pod("pod:2")), refused(401, "invalid_client"));
}

#[test]
fn wif_4_ops_4_rules_that_admit_everybody_and_weak_secrets_stop_the_start() {
    let table = [
        (
            "[issuers.ci]\nissuer = \"https://ci.example\"\nvouches_for = \"workloads\"\n\
             [[issuers.ci.allow]]\nsubject = \"*\"\nservers = [\"a\"]\n",
            "V-CFG-039",
        ),
        (
            "[issuers.ci]\nissuer = \"https://ci.example\"\nvouches_for = \"workloads\"\n",
            "V-CFG-038",
        ),
        (
            "[issuers.ci]\nissuer = \"http://ci.example\"\nvouches_for = \"people\"\n",
            "V-CFG-036",
        ),
        (
            "[clients.vcl_x]\nsecret = { env = \"SHORT\" }\ngrants = [\"client_credentials\"]\n",
            "V-CFG-034",
        ),
        ("[clients.vcl_x]\ngrants = [\"password\"]\n", "V-CFG-033"),
        (
            "[servers.c]\nupstream = \"http://127.0.0.1:1/\"\nallow = [\"staff\"]\n",
            "V-CFG-040",
        ),
        (
            "[servers.c]\nupstream = \"http://127.0.0.1:1/\"\ndpop = \"maybe\"\n",
            "V-CFG-009",
        ),
    ];
    for (more, code) in table {
        let text = format!(
            "public_url = \"http://127.0.0.1:8080\"\n[idp]\nissuer = \"https://id.example\"\n\
             client_id = \"v\"\nclient_secret = {{ env = \"IDP\" }}\n\
             [servers.a]\nupstream = \"http://127.0.0.1:1/\"\n{more}"
        );
        let env = [("IDP", "x"), ("SHORT", "short")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let report = vestibule::config::Config::read("t.toml", &text, "".as_ref(), &env)
            .expect_err("refused")
            .to_string();
        assert!(report.contains(code), "{code}: {report}");
    }
}

const DPOP: &str = r#"
[servers.bound]
path = "/bound/mcp"
upstream = "http://127.0.0.1:1/"
dpop = "required"
"#;

/// Sends a token request with a proof, again with the nonce if it is asked for.
fn with_proof(gate: &Gate, signer: &Signer, form: &[(&str, &str)]) -> Answer {
    let url = format!("{}/token", gate.origin);
    let send = |nonce: Option<&str>| {
        let proof = signer.proof("POST", &url, None, nonce);
        gate.wire()
            .post_form(&gate.host(), "/token", form, &[("dpop", &proof)])
    };
    let first = send(None);
    assert_eq!(error(&first), refused(400, "use_dpop_nonce"));
    send(Some(&first.one("dpop-nonce")))
}

#[test]
fn dpop_1_dpop_2_dpop_3_dpop_4_dpop_5_dpop_6_a_bound_token_works_with_its_key_only() {
    let gate = Gate::start_with(DPOP);
    let gate = &gate;
    // Server a of the usual configuration takes none; this one demands them.
    let metadata = gate.get("/.well-known/oauth-authorization-server").json();
    assert!(
        metadata["dpop_signing_alg_values_supported"]
            .to_string()
            .contains("ES256")
    );
    let document = gate
        .get("/.well-known/oauth-protected-resource/bound/mcp")
        .json();
    assert_eq!(document["dpop_bound_access_tokens_required"], true);
    let challenge = gate.post_mcp("bound", &[], PING).one("www-authenticate");
    assert!(
        challenge.starts_with("DPoP ") && challenge.contains("algs=\""),
        "{challenge}"
    );

    let signer = Signer::new();
    let login = |signer: &Signer| {
        let (path, verifier) = gate.authorize_path("bound", "");
        let path = format!("{path}&dpop_jkt={}", signer.thumbprint());
        let code = Browser::new("ada").code(gate, &path);
        (code, verifier)
    };
    let redeem = |code: &str, verifier: &CodeVerifier| {
        vec![
            ("grant_type".to_owned(), "authorization_code".to_owned()),
            ("client_id".to_owned(), CLIENT.to_owned()),
            ("code".to_owned(), code.to_owned()),
            ("code_verifier".to_owned(), verifier.expose().to_owned()),
        ]
    };
    let (code, verifier) = login(&signer);
    let form = redeem(&code, &verifier);
    let form: Vec<_> = form.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(
        error(&gate.token(&form)),
        refused(400, "invalid_dpop_proof"),
        "no proof"
    );
    let thief = Signer::new();
    assert_eq!(
        error(&with_proof(gate, &thief, &form)),
        refused(400, "invalid_dpop_proof"),
        "another key than the request named"
    );
    let answer = with_proof(gate, &signer, &form);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["token_type"], "DPoP");
    let tokens = Tokens::of(&answer.json());

    let url = format!("{}/bound/mcp", gate.origin);
    let authorization = format!("DPoP {}", tokens.access);
    let call = |proof: &str| {
        gate.post_mcp(
            "bound",
            &[("authorization", &authorization), ("dpop", proof)],
            PING,
        )
    };
    let first = call(&signer.proof("POST", &url, Some(&tokens.access), None));
    assert_eq!(first.status, 401);
    let nonce = first.one("dpop-nonce");
    assert!(first.one("www-authenticate").contains("use_dpop_nonce"));
    let good = signer.proof("POST", &url, Some(&tokens.access), Some(&nonce));
    assert_eq!(
        call(&good).status,
        502,
        "through the guard; nobody listens behind it"
    );
    let said = |answer: &Answer| (answer.status, answer.one("www-authenticate"));
    let (status, why) = said(&call(&good));
    assert!(
        status == 401 && why.contains("invalid_dpop_proof"),
        "a replay: {why}"
    );
    let bad = [
        signer.proof("GET", &url, Some(&tokens.access), Some(&nonce)),
        signer.proof(
            "POST",
            &format!("{}/b/mcp", gate.origin),
            Some(&tokens.access),
            Some(&nonce),
        ),
        signer.proof("POST", &url, Some("vat_other"), Some(&nonce)),
        signer.proof("POST", &url, None, Some(&nonce)),
        "garbage".to_owned(),
    ];
    for proof in &bad {
        let (status, why) = said(&call(proof));
        assert!(
            status == 401 && why.contains("invalid_dpop_proof"),
            "{proof}: {why}"
        );
    }
    let (status, why) = said(&call(&thief.proof(
        "POST",
        &url,
        Some(&tokens.access),
        Some(&nonce),
    )));
    assert!(status == 401 && why.contains("invalid_token"), "{why}");
    // The token endpoint's nonce is not the server's.
    let other = with_proof(
        gate,
        &signer,
        &[
            ("grant_type", "refresh_token"),
            ("client_id", CLIENT),
            ("refresh_token", &tokens.refresh),
        ],
    );
    assert_eq!(other.status, 200, "{}", other.text());
    let tokens = Tokens::of(&other.json());
    // No downgrade, and no upgrade either.
    assert_eq!(gate.call("bound", &tokens.access, PING).status, 401);
    let free = gate.honest_login();
    let upgraded = signer.proof(
        "POST",
        &format!("{}/a/mcp", gate.origin),
        Some(&free.access),
        Some(&nonce),
    );
    let header = format!("DPoP {}", free.access);
    let answer = gate.post_mcp(
        "a",
        &[("authorization", &header), ("dpop", &upgraded)],
        PING,
    );
    assert_eq!(answer.status, 401);

    // The refresh token of a public client is bound as well, and a thief ends nothing.
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", CLIENT),
        ("refresh_token", tokens.refresh.as_str()),
    ];
    assert_eq!(error(&gate.token(&form)), refused(400, "invalid_grant"));
    assert_eq!(
        error(&with_proof(gate, &thief, &form)),
        refused(400, "invalid_grant")
    );
    assert_eq!(with_proof(gate, &signer, &form).status, 200);
}

#[test]
fn dpop_3_a_client_that_registered_for_bound_tokens_gets_no_others() {
    let gate = Gate::start_in(
        "[servers.free]\npath = \"/free/mcp\"\nupstream = \"http://127.0.0.1:1/\"\ndpop = \"allowed\"\n\
         [clients.vcl_bound]\nsecret = { env = \"SECRET\" }\nauth_method = \"client_secret_post\"\n\
         grants = [\"client_credentials\"]\ndpop_bound = true\nservers = [\"free\"]\n\
         [clients.vcl_free]\nsecret = { env = \"SECRET\" }\nauth_method = \"client_secret_post\"\n\
         grants = [\"client_credentials\"]\nservers = [\"free\"]\n",
        &[("SECRET", SECRET)],
    );
    let form = |id| {
        [
            ("grant_type", "client_credentials"),
            ("client_id", id),
            ("client_secret", SECRET),
        ]
    };
    assert_eq!(
        error(&gate.token(&form("vcl_bound"))),
        refused(400, "invalid_dpop_proof")
    );
    let signer = Signer::new();
    assert_eq!(
        with_proof(&gate, &signer, &form("vcl_bound")).json()["token_type"],
        "DPoP"
    );
    assert_eq!(gate.token(&form("vcl_free")).json()["token_type"], "Bearer");
    assert_eq!(
        with_proof(&gate, &signer, &form("vcl_free")).json()["token_type"],
        "DPoP"
    );
}

const SERVICES: &str = r#"
[clients.vcl_service]
secret = { env = "SECRET" }
auth_method = "client_secret_post"
grants = ["token_exchange"]
servers = ["b"]
exchange_from = ["a"]
introspect = true
[clients.vcl_owner]
secret = { env = "SECRET" }
auth_method = "client_secret_post"
grants = []
servers = ["a"]
introspect = true
"#;

#[test]
fn tok_19_t_tok_01_one_of_our_tokens_for_another_server() {
    let gate = Gate::start_in(SERVICES, &[("SECRET", SECRET)]);
    let tokens = gate.honest_login();
    let exchange = |token: &str, typ: &str, more: &[(&str, &str)]| {
        let mut form = vec![
            ("grant_type", EXCHANGE),
            ("client_id", "vcl_service"),
            ("client_secret", SECRET),
            ("subject_token", token),
            ("subject_token_type", typ),
        ];
        form.extend_from_slice(more);
        gate.token(&form)
    };
    let b = gate.resource("b");
    let answer = exchange(&tokens.access, ACCESS_TOKEN, &[("audience", &b)]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["issued_token_type"], ACCESS_TOKEN);
    let exchanged = body["access_token"].as_str().expect("a token").to_owned();
    assert_eq!(gate.call("b", &exchanged, PING).status, 200);
    assert_eq!(gate.call("a", &exchanged, PING).status, 401);
    let office = &gate.running().office;
    let opened = AccessToken::open(&exchanged, &office.keys.load().access).expect("ours");
    assert!(opened.actor.is_some(), "it says who acts");
    // Nothing that is not ours, not live, or not for this.
    let provider = "eyJhbGciOiJFUzI1NiJ9.e30.AAAA";
    let id_token = "urn:ietf:params:oauth:token-type:id_token";
    assert_eq!(
        error(&exchange(provider, ACCESS_TOKEN, &[("audience", &b)])),
        refused(400, "invalid_request")
    );
    assert_eq!(
        error(&exchange(&tokens.refresh, ACCESS_TOKEN, &[])),
        refused(400, "invalid_request")
    );
    assert_eq!(
        error(&exchange(&tokens.access, id_token, &[])),
        refused(400, "invalid_request")
    );
    assert_eq!(
        error(&exchange(
            &tokens.access,
            ACCESS_TOKEN,
            &[("resource", &gate.resource("a"))]
        )),
        refused(400, "invalid_target")
    );
    let public = gate.token(&[
        ("grant_type", EXCHANGE),
        ("client_id", CLIENT),
        ("subject_token", &tokens.access),
        ("subject_token_type", ACCESS_TOKEN),
        ("resource", &b),
    ]);
    assert_eq!(error(&public), refused(400, "unauthorized_client"));
    // A second exchange would hide who acts for whom, and b is not one to begin with.
    assert_eq!(
        error(&exchange(&exchanged, ACCESS_TOKEN, &[("audience", &b)])),
        refused(400, "invalid_request")
    );
    // Nobody learns from a refusal whether a token is good.
    let asks = |token: &str| {
        let form = [
            ("grant_type", EXCHANGE),
            ("client_id", CLIENT),
            ("subject_token", token),
            ("subject_token_type", ACCESS_TOKEN),
        ];
        gate.token(&form).text()
    };
    assert_eq!(asks(&tokens.access), asks("vat_garbage"));
    // It ends with the grant that it came from.
    stop(&gate, &tokens.access);
    assert_eq!(gate.call("b", &exchanged, PING).status, 401);
    assert_eq!(
        error(&exchange(&tokens.access, ACCESS_TOKEN, &[])),
        refused(400, "invalid_request")
    );
}

#[test]
fn tkn_8_tkn_5_what_a_token_is_is_told_to_its_own_server_only() {
    let gate = Gate::start_in(SERVICES, &[("SECRET", SECRET)]);
    let tokens = gate.honest_login();
    let ask = |client: &str, secret: &str, token: &str| {
        let form = [
            ("client_id", client),
            ("client_secret", secret),
            ("token", token),
        ];
        gate.wire()
            .post_form(&gate.host(), "/introspect", &form, &[])
    };
    let answer = ask("vcl_owner", SECRET, &tokens.access);
    let body = answer.json();
    assert_eq!(body["active"], true, "{}", answer.text());
    assert_eq!(body["aud"], gate.resource("a"));
    assert_eq!(body["client_id"], CLIENT, "the id, not our reference");
    assert_eq!(body["scope"], "a:read");
    let inactive = json!({ "active": false });
    for (client, token) in [
        ("vcl_service", tokens.access.as_str()),
        ("vcl_owner", tokens.refresh.as_str()),
        ("vcl_owner", "vat_garbage"),
        ("vcl_owner", "eyJhbGciOiJFUzI1NiJ9.e30.AAAA"),
    ] {
        assert_eq!(
            ask(client, SECRET, token).json(),
            inactive,
            "{client} {token}"
        );
    }
    assert_eq!(
        error(&ask("vcl_owner", "wrong", &tokens.access)),
        refused(401, "invalid_client")
    );
    let anonymous = gate.wire().post_form(
        &gate.host(),
        "/introspect",
        &[("token", &tokens.access)],
        &[],
    );
    assert_eq!(anonymous.status, 401);
    let public = gate.wire().post_form(
        &gate.host(),
        "/introspect",
        &[("token", tokens.access.as_str()), ("client_id", CLIENT)],
        &[],
    );
    assert_eq!(error(&public), refused(403, "unauthorized_client"));
    stop(&gate, &tokens.access);
    assert_eq!(ask("vcl_owner", SECRET, &tokens.access).json(), inactive);
}

#[test]
fn authz_16_authz_15_a_request_pushed_ahead_is_decided_once() {
    let gate = Gate::start();
    let (path, verifier) = gate.authorize_path("a", "a:read");
    let push = |query: &str| {
        let form: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        let form: Vec<_> = form.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        gate.wire().post_form(&gate.host(), "/par", &form, &[])
    };
    let query = path.split('?').nth(1).expect("a query");
    let answer = push(query);
    assert_eq!(answer.status, 201, "{}", answer.text());
    let body = answer.json();
    assert!(body["expires_in"].as_u64().is_some_and(|s| s <= 90));
    let request_uri = body["request_uri"].as_str().expect("an address").to_owned();
    // What else the browser brings does not count.
    let visit = vestibule_core::uri::with_query(
        "/authorize",
        &[
            ("client_id", CLIENT),
            ("request_uri", &request_uri),
            ("scope", "a:write"),
            ("state", "evil"),
        ],
    );
    let page = gate.get(&visit);
    assert_eq!(page.status, 200, "a first visit uses up nothing");
    for name in [
        "cache-control",
        "x-frame-options",
        "content-security-policy",
    ] {
        assert!(page.has(name), "{name}");
    }
    assert_eq!(page.one("cache-control"), "no-store");
    assert!(
        !page.text().contains("src=\"http"),
        "nothing of a third party"
    );
    let mut browser = Browser::new("ada");
    let location = browser.answer(&gate, &visit);
    assert_eq!(query_of(&location, "state").as_deref(), Some("st+a&te"));
    let code = query_of(&location, "code").expect("a code");
    let tokens = gate.redeem(&code, &verifier);
    assert_eq!(tokens.scope, "a:read");
    // Another page of the same request cannot be decided again.
    let (ticket, token) = browser.consent_page(&gate, &visit);
    let again = browser.submit(
        &format!("{}/consent/decision", gate.origin),
        &[
            ("ticket", &ticket),
            ("token", &token),
            ("decision", "allow"),
        ],
        Some(&gate.origin),
    );
    assert_eq!(again.status, 410);
    // Another client's, a stranger's and an old one open nothing.
    let theirs = visit.replace(CLIENT, support::WEB_CLIENT);
    assert_eq!(gate.get(&theirs).status, 400);
    gate.turn_clock(91);
    assert_eq!(gate.get(&visit).status, 400);
    // Errors are answers here, not redirects.
    assert_eq!(
        error(&push(&query.replace("S256", "plain"))),
        refused(400, "invalid_request")
    );
    assert_eq!(
        error(&push(&query.replace(CLIENT, "nobody"))),
        refused(401, "invalid_client")
    );
    assert_eq!(
        error(&push(
            &query.replace("4711", "4712").replace("callback", "evil")
        )),
        refused(400, "invalid_request")
    );
    let _ = &mut browser;
}

const DEVICES: &str = "[tokens]\ndevice = true\n";

#[test]
fn a_device_is_connected_by_a_code_on_another_screen() {
    let gate = Gate::start_with(DEVICES);
    let metadata = gate.get("/.well-known/oauth-authorization-server").json();
    assert_eq!(
        metadata["device_authorization_endpoint"],
        format!("{}/device_authorization", gate.origin)
    );
    let a = gate.resource("a");
    let begin = || {
        let form = [
            ("client_id", CLIENT),
            ("resource", a.as_str()),
            ("scope", "a:read"),
        ];
        let answer = gate
            .wire()
            .post_form(&gate.host(), "/device_authorization", &form, &[]);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = answer.json();
        let text = |name: &str| body[name].as_str().expect("text").to_owned();
        (text("device_code"), text("user_code"))
    };
    let poll = |device_code: &str, client: &str| {
        gate.token(&[
            ("grant_type", DEVICE),
            ("client_id", client),
            ("device_code", device_code),
        ])
    };
    let (device_code, user_code) = begin();
    assert_eq!(
        error(&poll(&device_code, CLIENT)),
        refused(400, "authorization_pending")
    );
    assert_eq!(
        error(&poll(&device_code, CLIENT)),
        refused(400, "slow_down")
    );
    assert_eq!(
        error(&poll(&device_code, support::WEB_CLIENT)),
        refused(400, "expired_token"),
        "another client's"
    );

    let page = format!("{}/device", gate.origin);
    let type_code = |browser: &Browser, code: &str| {
        let form = browser.open(&page).field("token");
        browser.submit(
            &page,
            &[("token", &form), ("user_code", code)],
            Some(&gate.origin),
        )
    };
    let browser = Browser::new("ada");
    assert_eq!(type_code(&browser, "BBBB-BBBB").status, 404);
    assert_eq!(type_code(&browser, "<script>").status, 404);
    let consent = type_code(&browser, &user_code.to_lowercase());
    assert_eq!(consent.status, 200, "{}", consent.text());
    assert!(consent.text().contains(&user_code), "to compare");
    let decide = |browser: &Browser, page: &Answer, decision: &str| {
        browser.submit(
            &format!("{}/consent/decision", gate.origin),
            &[
                ("ticket", &page.field("ticket")),
                ("token", &page.field("token")),
                ("decision", decision),
            ],
            Some(&gate.origin),
        )
    };
    // A page of another site cannot type for a person.
    let form = browser.open(&page).field("token");
    let forged = browser.submit(
        &page,
        &[("token", &form), ("user_code", &user_code)],
        Some("https://evil.example"),
    );
    assert_eq!(forged.status, 403);
    let elsewhere = Browser::new("eve").submit(
        &page,
        &[("token", &form), ("user_code", &user_code)],
        Some(&gate.origin),
    );
    assert_eq!(elsewhere.status, 403);

    let decided = decide(&browser, &consent, "allow");
    assert_eq!(decided.status, 303, "{}", decided.text());
    let provider = browser.open(&decided.one("location")).refresh_target();
    let callback = browser.sign_in(&provider);
    let back = browser.open(&callback).one("location");
    assert!(
        back.starts_with(&format!("{}/device/done?", gate.origin)),
        "{back}"
    );
    assert_eq!(browser.open(&back).status, 200);
    let answer = poll(&device_code, CLIENT);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let tokens = Tokens::of(&answer.json());
    assert_eq!(gate.call("a", &tokens.access, PING).status, 200);
    assert_eq!(gate.refresh(&tokens.refresh).status, 200);
    assert_eq!(
        error(&poll(&device_code, CLIENT)),
        refused(400, "expired_token"),
        "once"
    );
    assert_eq!(browser.open(&back).status, 403, "and the way back once");

    // Denied, and too late.
    let (device_code, user_code) = begin();
    let consent = type_code(&browser, &user_code);
    let decided = decide(&browser, &consent, "deny");
    let back = browser.open(&decided.one("location")).refresh_target();
    assert_eq!(browser.open(&back).status, 200);
    assert_eq!(
        error(&poll(&device_code, CLIENT)),
        refused(400, "access_denied")
    );
    let (device_code, user_code) = begin();
    gate.turn_clock(601);
    assert_eq!(
        error(&poll(&device_code, CLIENT)),
        refused(400, "expired_token")
    );
    assert_eq!(type_code(&browser, &user_code).status, 404);
    // Whoever guesses is slowed down.
    let guesses = (0..80).map(|_| type_code(&browser, "CCCC-CCCC").status);
    assert!(guesses.collect::<Vec<_>>().contains(&429));
}

#[test]
fn without_the_setting_there_is_no_device_grant() {
    let gate = Gate::start();
    let metadata = gate.get("/.well-known/oauth-authorization-server").json();
    assert!(metadata.get("device_authorization_endpoint").is_none());
    let form = [("client_id", CLIENT)];
    let answer = gate
        .wire()
        .post_form(&gate.host(), "/device_authorization", &form, &[]);
    assert_eq!(answer.status, 404);
    assert_eq!(gate.get("/device").status, 404);
    let poll = gate.token(&[
        ("grant_type", DEVICE),
        ("client_id", CLIENT),
        ("device_code", "vdv_x"),
    ]);
    assert_eq!(error(&poll), refused(400, "unsupported_grant_type"));
}

#[test]
fn tkn_2_tkn_3_tkn_4_tkn_5_tokens_that_servers_verify_for_themselves() {
    let gate = Gate::start_with("[tokens]\nformat = \"jwt\"\n");
    let tokens = gate.honest_login();
    let part = |at: usize| -> Value {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        let part = tokens.access.split('.').nth(at).expect("three parts");
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
    };
    let (header, claims) = (part(0), part(1));
    assert_eq!(
        (header["typ"].as_str(), header["alg"].as_str()),
        (Some("at+jwt"), Some("ES256"))
    );
    let published = gate.get("/jwks.json").json();
    let kids: Vec<_> = published["keys"]
        .as_array()
        .expect("keys")
        .iter()
        .map(|k| k["kid"].clone())
        .collect();
    assert!(kids.contains(&header["kid"]));
    assert!(
        !published.to_string().contains("\"d\""),
        "public halves only"
    );
    assert_eq!(claims["iss"], gate.origin);
    assert_eq!(claims["aud"], gate.resource("a"));
    assert_eq!(claims["client_id"], CLIENT);
    let life = claims["exp"]
        .as_u64()
        .zip(claims["iat"].as_u64())
        .map(|(e, i)| e - i);
    assert_eq!(life, Some(600));
    // A library that knows nothing of us believes it by the published keys.
    let jwks: jsonwebtoken::jwk::JwkSet = serde_json::from_value(published).expect("a set");
    let key = jsonwebtoken::DecodingKey::from_jwk(&jwks.keys[0]).expect("a key");
    let mut wanted = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    wanted.set_audience(&[gate.resource("a")]);
    wanted.set_issuer(&[&gate.origin]);
    jsonwebtoken::decode::<Value>(&tokens.access, &key, &wanted).expect("verifies");
    // The guard judges it like the other form.
    assert_eq!(gate.call("b", &tokens.access, PING).status, 401);
    assert_eq!(
        gate.call("a", &tokens.access, &tool_call("set_x")).status,
        403
    );
    let parts: Vec<&str> = tokens.access.split('.').collect();
    let none = format!("eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{}.", parts[1]);
    let own = Signer::new().jwt(Some("at+jwt"), &claims);
    for forged in [none, own, format!("{}.{}.AAAA", parts[0], parts[1])] {
        assert_eq!(gate.call("a", &forged, PING).status, 401);
    }
    let revoked = gate.wire().post_form(
        &gate.host(),
        "/revoke",
        &[("client_id", CLIENT), ("token", &tokens.access)],
        &[],
    );
    assert_eq!(revoked.status, 200);
    assert_eq!(gate.call("a", &tokens.access, PING).status, 401, "at once");
}

const RULES: &str = r#"
[servers.team]
path = "/team/mcp"
upstream = "http://127.0.0.1:1/"
allow = ["group:editors"]
[servers.notbob]
path = "/notbob/mcp"
upstream = "http://127.0.0.1:1/"
deny = ["person:demo-bob"]
[servers.notbob.tools]
"get_*" = { allow = ["group:staff"] }
"set_*" = { allow = ["group:editors"] }
"purge" = { allow = [] }
"#;

#[test]
fn rs_9_tkn_10_t_grd_11_t_mcp_06_rules_decide_at_the_login_and_at_each_call() {
    let gate = Gate::start_with(RULES);
    // ada is an editor, bob is not.
    let (path, verifier) = gate.authorize_path("team", "");
    let code = Browser::new("ada").code(&gate, &path);
    let ada = gate.redeem(&code, &verifier);
    assert_eq!(
        gate.call("team", &ada.access, PING).status,
        502,
        "through the guard"
    );
    let (path, _) = gate.authorize_path("team", "");
    let bob = Browser::new("bob");
    let back = bob.open(&bob.sign_in(&bob.decide(&gate, &path, "allow")));
    assert_eq!(back.status, 403, "{}", back.text());
    for part in ["You may not use", "V-POL-001", "/flows/"] {
        assert!(back.text().contains(part), "{part}: {}", back.text());
    }
    let location = back.button();
    assert_eq!(
        query_of(&location, "error").as_deref(),
        Some("access_denied")
    );
    assert!(query_of(&location, "code").is_none());
    let (path, _) = gate.authorize_path("notbob", "");
    let location = Browser::new("bob").answer(&gate, &path);
    assert_eq!(
        query_of(&location, "error").as_deref(),
        Some("access_denied")
    );

    let (path, verifier) = gate.authorize_path("notbob", "");
    let code = Browser::new("ada").code(&gate, &path);
    let ada = gate.redeem(&code, &verifier);
    let call = |tool: &str| gate.call("notbob", &ada.access, &tool_call(tool));
    assert_eq!(call("get_x").status, 502);
    assert_eq!(call("set_x").status, 502);
    assert_eq!(call("free").status, 502, "no rule names it");
    for tool in ["purge", "PURGE", "purge ", "Get_x"] {
        let denied = call(tool);
        assert_eq!(error(&denied), refused(403, "access_denied"), "{tool}");
        assert!(!denied.has("www-authenticate"), "no scope would help");
    }
    // The refreshed token has the same names.
    let again = Tokens::of(&gate.refresh(&ada.refresh).json());
    assert_eq!(
        gate.call("notbob", &again.access, &tool_call("set_x"))
            .status,
        502
    );
}

#[test]
fn dcr_8_t_reg_05_t_reg_11_a_flood_of_registrations_is_throttled_and_logins_go_on() {
    let gate = Gate::start_with("[limits]\nregistrations = 10\n");
    let body = br#"{"redirect_uris":["http://127.0.0.1/cb"]}"#;
    let register = || {
        gate.wire().request(
            &gate.host(),
            "POST",
            "/register",
            &[("content-type", "application/json")],
            body,
        )
    };
    let answers: Vec<Answer> = (0..60).map(|_| register()).collect();
    let throttled: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 429)
        .collect();
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 201).count(),
        30
    );
    assert!(throttled.iter().all(|answer| answer.has("retry-after")));
    gate.honest_login();
    gate.turn_clock(60);
    assert_eq!(register().status, 201);
}

#[test]
fn tok_5_whoever_guesses_secrets_is_slowed_down() {
    let gate = Gate::start_in(SERVICES, &[("SECRET", SECRET)]);
    let guess = |secret: &str| {
        gate.token(&[
            ("grant_type", "client_credentials"),
            ("client_id", "vcl_owner"),
            ("client_secret", secret),
        ])
        .status
    };
    let statuses: Vec<u16> = (0..100).map(|n| guess(&format!("guess-{n}"))).collect();
    assert!(statuses.contains(&429), "{statuses:?}");
    assert_eq!(guess(SECRET), 429, "even the right one");
    gate.turn_clock(120);
    assert_eq!(
        guess(SECRET),
        400,
        "it proved itself; the grant is not its own"
    );
}

/// An identity assertion that works, with these changes.
fn vouched(gate: &Gate, issuer: &Issuer, change: impl Fn(&mut Value)) -> Answer {
    let mut claims = id_jag(gate, issuer, &jti());
    change(&mut claims);
    let assertion = issuer.signer.jwt(Some("oauth-id-jag+jwt"), &claims);
    gate.wire().post_form(
        &gate.host(),
        "/token",
        &[("grant_type", JWT_BEARER), ("assertion", &assertion)],
        &[("authorization", &basic("vcl_app", SECRET))],
    )
}

#[test]
fn ema_8_ema_9_tkn_10_groups_are_as_fresh_as_the_assertion_and_mean_its_issuer_s() {
    let issuer = Issuer::start();
    let rules = "[servers.c]\npath = \"/c/mcp\"\nupstream = \"ECHO/c\"\n\
                 allow = [\"group:company/admins\", \"group:admins\"]\n";
    let gate = Gate::start_in(&format!("{rules}{}", trust(&issuer)), &[("SECRET", SECRET)]);
    let with = |groups: Value| {
        let resource = gate.resource("c");
        vouched(&gate, &issuer, |claims| {
            claims["resource"] = resource.clone().into();
            claims["scope"] = Value::Null;
            if !groups.is_null() {
                claims["groups"] = groups.clone();
            }
        })
    };
    assert_eq!(with(json!(["staff"])).status, 400);
    let admin = with(json!(["admins"]));
    assert_eq!(admin.status, 200, "{}", admin.text());
    let token = Tokens::of(&admin.json()).access;
    assert_eq!(gate.call("c", &token, PING).status, 200);
    // No longer a member: the next token is not theirs, and neither is one that says nothing.
    assert_eq!(error(&with(json!([]))), refused(400, "invalid_grant"));
    assert_eq!(error(&with(Value::Null)), refused(400, "invalid_grant"));
    assert_eq!(error(&with(json!("admins"))), refused(400, "invalid_grant"));
    // The same names mean nothing of another's: a rule for the company's own provider.
    let rules = rules.replace("company/admins", "other/admins");
    let gate = Gate::start_in(&format!("{rules}{}", trust(&issuer)), &[("SECRET", SECRET)]);
    let resource = gate.resource("c");
    let answer = vouched(&gate, &issuer, |claims| {
        claims["resource"] = resource.clone().into();
        claims["scope"] = Value::Null;
        claims["groups"] = json!(["admins"]);
    });
    assert_eq!(error(&answer), refused(400, "invalid_grant"));
}

#[test]
fn t_reg_08_what_is_off_is_off_for_assertions_too() {
    let issuer = Issuer::start();
    let more = format!("{}[registration]\ndynamic = \"off\"\n", trust(&issuer));
    let register = |gate: &Gate| {
        let body = json!({ "redirect_uris": ["https://app.example/cb"] }).to_string();
        let headers = [("content-type", "application/json")];
        let answer =
            gate.wire()
                .request(&gate.host(), "POST", "/register", &headers, body.as_bytes());
        let answer = answer.json();
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        (text("client_id"), text("client_secret"))
    };
    let mut gate = Gate::start_process(&trust(&issuer), &[("SECRET", SECRET)]);
    let (id, secret) = register(&gate);
    let brings = |gate: &Gate| {
        let mut claims = id_jag(gate, &issuer, &jti());
        claims["client_id"] = id.clone().into();
        let assertion = issuer.signer.jwt(Some("oauth-id-jag+jwt"), &claims);
        gate.wire().post_form(
            &gate.host(),
            "/token",
            &[("grant_type", JWT_BEARER), ("assertion", &assertion)],
            &[("authorization", &basic(&id, &secret))],
        )
    };
    assert_eq!(brings(&gate).status, 200);
    gate.kill();
    gate.configure(&more);
    gate.restart();
    assert_eq!(error(&brings(&gate)), refused(401, "invalid_client"));
}

#[test]
fn dpop_3_a_workload_s_token_is_bound_where_the_server_says_so() {
    let platform = Issuer::start();
    let config = format!(
        "{DPOP}[issuers.ci]\nissuer = \"{}\"\nvouches_for = \"workloads\"\n\
         [[issuers.ci.allow]]\nsubject = \"repo:org/app:*\"\nservers = [\"bound\", \"a\"]\n",
        platform.issuer
    );
    let gate = Gate::start_with(&config);
    let form = |server: &str| {
        let claims = json!({"iss": platform.issuer, "sub": "repo:org/app:main",
            "aud": gate.origin, "exp": now() + 3600, "iat": now(), "jti": jti()});
        vec![
            ("grant_type".to_owned(), JWT_BEARER.to_owned()),
            ("assertion".to_owned(), platform.signer.jwt(None, &claims)),
            ("resource".to_owned(), gate.resource(server)),
        ]
    };
    let bare = form("bound");
    let bare: Vec<_> = bare.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(
        error(&gate.token(&bare)),
        refused(400, "invalid_dpop_proof")
    );
    let proven = form("bound");
    let proven: Vec<_> = proven
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    let answer = with_proof(&gate, &Signer::new(), &proven);
    assert_eq!(answer.json()["token_type"], "DPoP", "{}", answer.text());
    // A server that takes none gets a plain one, which works there.
    let plain = form("a");
    let plain: Vec<_> = plain
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    let answer = with_proof(&gate, &Signer::new(), &plain);
    assert_eq!(answer.json()["token_type"], "Bearer", "{}", answer.text());
    let token = Tokens::of(&answer.json()).access;
    assert_eq!(gate.call("a", &token, PING).status, 200);
}

#[test]
fn t_reg_05_proofs_and_assertions_that_lead_to_nothing_are_slowed_down() {
    let gate = Gate::start_with(DPOP);
    let signer = Signer::new();
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", CLIENT),
        ("code", "vac_garbage"),
        (
            "code_verifier",
            "a-verifier-of-at-least-43-characters-aaaaaaa",
        ),
    ];
    let nonce = {
        let proof = signer.proof("POST", &format!("{}/token", gate.origin), None, None);
        let first = gate
            .wire()
            .post_form(&gate.host(), "/token", &form, &[("dpop", &proof)]);
        first.one("dpop-nonce")
    };
    let statuses: Vec<u16> = (0..80)
        .map(|_| {
            let url = format!("{}/token", gate.origin);
            let proof = signer.proof("POST", &url, None, Some(&nonce));
            gate.wire()
                .post_form(&gate.host(), "/token", &form, &[("dpop", &proof)])
                .status
        })
        .collect();
    assert!(statuses.contains(&429), "{statuses:?}");
    // Everybody else goes on, and so does whoever brings no proof.
    gate.honest_login();
    // Where nobody takes bound tokens a proof is a header like any other, and leaves nothing.
    let gate = Gate::start();
    let tokens = gate.honest_login();
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", CLIENT),
        ("refresh_token", tokens.refresh.as_str()),
    ];
    let answer = gate
        .wire()
        .post_form(&gate.host(), "/token", &form, &[("dpop", "garbage")]);
    assert_eq!(answer.json()["token_type"], "Bearer", "{}", answer.text());
}

#[test]
fn dpop_4_t_grd_08_proofs_of_people_without_a_token_fill_nothing() {
    let gate = Gate::start_with(DPOP);
    let office = &gate.running().office;
    let url = format!("{}/bound/mcp", gate.origin);
    let signer = Signer::new();
    let send = |nonce: Option<&str>| {
        let proof = signer.proof("POST", &url, Some("anything"), nonce);
        gate.post_mcp(
            "bound",
            &[("authorization", "DPoP anything"), ("dpop", &proof)],
            PING,
        )
    };
    let nonce = send(None).one("dpop-nonce");
    for _ in 0..20 {
        assert_eq!(send(Some(&nonce)).status, 401);
    }
    assert_eq!(office.proofs.len(), 0);
}
