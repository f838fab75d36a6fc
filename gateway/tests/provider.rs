//! The leg towards the identity provider, with one that does what it should not.

mod support;

use std::path::Path;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    UnparsedPublicKey, VerificationAlgorithm,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use support::{
    Browser, Gate, PING, Tokens,
    idp::{ACCESS_TOKEN, Idp, REFRESH_TOKEN},
    platform::Platform,
    query_of,
    signer::Signer,
    wait_until,
};
use vestibule_core::secret::Digest;

fn gate_of(idp: &Idp) -> Gate {
    Gate::start_in("", &[("VESTIBULE_IDP__ISSUER", &idp.issuer)])
}

/// Where the person's login ends: the client's address with a code or an error.
fn ended(gate: &Gate, idp: &Idp, code: &str) -> (String, vestibule_core::pkce::CodeVerifier) {
    let browser = Browser::new("ada");
    let (path, verifier) = gate.authorize_path("a", "a:read");
    let url = browser.decide(gate, &path, "allow");
    let back = browser.open(&idp.sign_in(&url, code));
    assert_eq!(back.status, 303, "{}", back.text());
    (back.one("location"), verifier)
}

fn logs_in(gate: &Gate, idp: &Idp) -> Tokens {
    let (location, verifier) = ended(gate, idp, "good");
    let code = query_of(&location, "code").unwrap_or_else(|| panic!("no code: {location}"));
    gate.redeem(&code, &verifier)
}

#[test]
fn up_18_up_21_tok_3_a_provider_that_announces_no_pkce_and_gives_an_opaque_token() {
    let idp = Idp::start();
    let gate = gate_of(&idp);
    // Its document says nothing of code_challenge_methods_supported: S256 is sent anyway.
    let (path, _) = gate.authorize_path("a", "a:read");
    let url = Browser::new("ada").decide(&gate, &path, "allow");
    assert_eq!(
        query_of(&url, "code_challenge_method").as_deref(),
        Some("S256")
    );
    assert!(query_of(&url, "code_challenge").is_some());
    let (location, verifier) = ended(&gate, &idp, "good");
    let code = query_of(&location, "code").expect("a code");
    assert!(idp.with(|told| told.redemptions[0].contains("code_verifier=")));
    let answer = gate.token(&[
        ("grant_type", "authorization_code"),
        ("client_id", support::CLIENT),
        ("code", &code),
        ("code_verifier", verifier.expose()),
    ]);
    let mut members: Vec<String> = answer
        .json()
        .as_object()
        .expect("an object")
        .keys()
        .cloned()
        .collect();
    members.sort();
    assert_eq!(
        members,
        [
            "access_token",
            "expires_in",
            "refresh_token",
            "scope",
            "token_type"
        ]
    );
    let answer = answer.json();
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["expires_in"], 600);
    assert_eq!(
        answer["scope"], "a:read",
        "always, also where it is what was asked for"
    );
    assert_eq!(
        gate.call("a", &Tokens::of(&answer).access, PING).status,
        200
    );
    // One that could be read is for somebody else all the same: ended, another's, unsigned
    // by any key of the provider's.
    let foreign = json!({ "aud": "https://graph.microsoft.com", "iss": "https://other.example",
                          "exp": 1, "sub": "eve" });
    let foreign = Signer::new().jwt(Some("at+jwt"), &foreign);
    idp.with(|told| told.access_token = foreign);
    logs_in(&gate, &idp);
}

#[test]
fn t_idp_12_tkn_11_what_the_provider_gave_is_shown_to_nobody() {
    let idp = Idp::start();
    let gate = Gate::start_process(
        "",
        &[
            ("VESTIBULE_IDP__ISSUER", &idp.issuer),
            ("VESTIBULE_LOG", "trace"),
        ],
    );
    let browser = Browser::new("ada");
    let (path, verifier) = gate.authorize_path("a", "a:read");
    let page = browser.open(&format!("{}{path}", gate.origin));
    let (ticket, token) = (page.field("ticket"), page.field("token"));
    let flow = page.text();
    let flow = flow.split("/flows/").nth(1).expect("a flow")[..9].to_owned();
    let form = [
        ("ticket", ticket.as_str()),
        ("token", &token),
        ("decision", "allow"),
    ];
    let address = format!("{}/consent/decision", gate.origin);
    let decided = browser.submit(&address, &form, Some(&gate.origin));
    let onward = browser.open(&decided.one("location"));
    let url = onward.refresh_target();
    let provider_code = "canary-code-of-the-provider";
    let back = browser.open(&idp.sign_in(&url, provider_code));
    let code = query_of(&back.one("location"), "code").expect("a code");
    let redeemed = gate.token(&[
        ("grant_type", "authorization_code"),
        ("client_id", support::CLIENT),
        ("code", &code),
        ("code_verifier", verifier.expose()),
    ]);
    let tokens = Tokens::of(&redeemed.json());
    let renewed = gate.refresh(&tokens.refresh);
    let called = gate.call("a", &tokens.access, PING);
    assert_eq!((renewed.status, called.status), (200, 200));
    let again = browser.open(&idp.sign_in(&url, provider_code));
    let seen = format!("{:?}", gate.echo.take());
    // The record of the login in each of its forms, which has none of our own secrets either.
    let record = ["", "/json", "/mermaid", "/text"].map(|form| {
        let answer = browser.open(&format!("{}/flows/{flow}{form}", gate.origin));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    });
    for form in &record {
        let state = query_of(&url, "state").expect("a state");
        let nonce = query_of(&url, "nonce").expect("a nonce");
        for secret in [
            &code,
            &tokens.access,
            &tokens.refresh,
            &state,
            &nonce,
            &verifier.expose().to_owned(),
            &ticket,
            &token,
            &"canary-idp-secret".to_owned(),
        ]
        .into_iter()
        .chain(browser.cookies().values())
        {
            assert!(secret.len() > 10, "{secret}");
            assert!(!form.text().contains(secret.as_str()), "{secret}");
        }
    }
    let answers = [page, back, redeemed, renewed, called, again];
    let said = answers.into_iter().chain(record);
    let said: Vec<String> = said
        .map(|answer| format!("{:?} {}", answer.headers, answer.text()))
        .collect();
    let disk = gate.disk();
    for canary in [
        provider_code.to_owned(),
        ACCESS_TOKEN.to_owned(),
        REFRESH_TOKEN.to_owned(),
        idp.with(|told| told.id_token.clone()),
    ] {
        assert!(canary.len() > 15, "{canary}");
        let bytes = canary.as_bytes();
        assert!(
            !disk.windows(bytes.len()).any(|window| window == bytes),
            "{canary} is on disk"
        );
        assert!(!seen.contains(&canary), "{canary} went to a server");
        for answer in &said {
            assert!(!answer.contains(&canary), "{canary} in {answer}");
        }
    }
}

#[test]
fn up_9_what_the_provider_gave_is_sealed_and_goes_to_nobody() {
    let idp = Idp::start();
    let gate = gate_of(&idp);
    let tokens = logs_in(&gate, &idp);
    gate.echo.take();
    let answer = gate.call("a", &tokens.access, PING);
    let seen = gate.echo.take().pop().expect("a request");
    let refreshed = gate.refresh(&tokens.refresh);
    for text in [
        format!("{answer:?}"),
        format!("{seen:?}"),
        format!("{refreshed:?}"),
        String::from_utf8_lossy(&gate.disk()).into_owned(),
    ] {
        assert!(!text.contains("canary"), "{text}");
    }
    assert_eq!(refreshed.status, 200);
}

#[test]
fn t_idp_10_a_code_with_parameters_in_it_is_one_value() {
    let idp = Idp::start();
    let gate = gate_of(&idp);
    let hostile = "x&client_id=evil&scope=everything&redirect_uri=https://evil.example#";
    ended(&gate, &idp, hostile);
    let form = idp.with(|told| told.redemptions.pop()).expect("a form");
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(form.as_bytes())
        .into_owned()
        .collect();
    let named = |name: &str| {
        pairs
            .iter()
            .filter(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(named("code"), [hostile]);
    assert_eq!(
        named("redirect_uri"),
        [format!("{}/oauth-callback", gate.origin)]
    );
    assert!(
        named("scope").is_empty() && named("client_id").is_empty(),
        "{form}"
    );
}

#[test]
fn up_5_t_idp_09_a_discovery_document_that_is_not_the_issuer_s_is_not_used() {
    for (member, value) in [
        ("issuer", json!("https://evil.example")),
        ("issuer", json!("http://127.0.0.1:1/")),
        ("token_endpoint", json!("ftp://127.0.0.1/token")),
        ("authorization_endpoint", json!("javascript:alert(1)")),
        ("jwks_uri", Value::Null),
    ] {
        let idp = Idp::start();
        idp.with(|told| told.document[member] = value.clone());
        let gate = gate_of(&idp);
        // It starts and serves who is logged in; logins say that the provider is not there.
        let (path, _) = gate.authorize_path("a", "a:read");
        let told = Browser::new("ada").decide(&gate, &path, "allow");
        assert_eq!(
            query_of(&told, "error").as_deref(),
            Some("temporarily_unavailable"),
            "{member} {value}"
        );
        assert!(idp.with(|told| told.redemptions.is_empty()));
    }
}

#[test]
fn t_idp_09_credentials_do_not_follow_a_token_endpoint_to_another_host() {
    let (idp, thief) = (Idp::start(), Idp::start());
    let gate = gate_of(&idp);
    logs_in(&gate, &idp);
    idp.with(|told| {
        told.document["token_endpoint"] = json!(format!("{}/token", thief.issuer));
        // A new key makes the gateway look at the document again.
        told.signer = Signer::new();
        told.kid = "k2".to_owned();
    });
    let (location, _) = ended(&gate, &idp, "good");
    assert_eq!(
        query_of(&location, "error").as_deref(),
        Some("server_error")
    );
    assert!(
        thief.with(|told| told.redemptions.is_empty()),
        "the secret stayed"
    );
    assert_eq!(idp.with(|told| told.redemptions.len()), 2);
}

#[test]
fn up_7_keys_that_the_provider_rotated_are_found_and_asked_for_at_a_limited_rate() {
    let idp = Idp::start();
    let gate = gate_of(&idp);
    logs_in(&gate, &idp);
    assert_eq!(idp.with(|told| told.looks), 1, "cached");
    logs_in(&gate, &idp);
    assert_eq!(idp.with(|told| told.looks), 1);
    idp.with(|told| {
        told.signer = Signer::new();
        told.kid = "k2".to_owned();
    });
    logs_in(&gate, &idp);
    assert_eq!(idp.with(|told| told.looks), 2, "an unknown key, one look");
    // Keys that are nowhere: whoever sends such tokens does not make us ask and ask.
    for n in 0..5 {
        idp.with(|told| told.forged = Some(format!("unknown-{n}")));
        let (location, _) = ended(&gate, &idp, "good");
        let error = query_of(&location, "error");
        assert_eq!(error.as_deref(), Some("server_error"), "{location}");
    }
    assert_eq!(idp.with(|told| told.looks), 2, "just asked");
    idp.with(|told| told.forged = None);
    logs_in(&gate, &idp);
}

#[test]
fn up_3_there_is_one_way_back_and_it_is_exact() {
    let idp = Idp::start();
    let gate = gate_of(&idp);
    let browser = Browser::new("ada");
    let (path, _) = gate.authorize_path("a", "a:read");
    let url = browser.decide(&gate, &path, "allow");
    let callback = format!("{}/oauth-callback", gate.origin);
    assert_eq!(query_of(&url, "redirect_uri"), Some(callback.clone()));
    let good = idp.sign_in(&url, "good");
    for other in [
        "/oauth-callback/",
        "/oauth-callback/other",
        "/callback",
        "/OAuth-Callback",
    ] {
        let elsewhere = good.replace(&callback, &format!("{}{other}", gate.origin));
        assert_eq!(browser.open(&elsewhere).status, 404, "{other}");
    }
    assert!(idp.with(|told| told.redemptions.is_empty()));
    assert!(query_of(&browser.open(&good).one("location"), "code").is_some());
}

#[test]
fn up_5_a_provider_that_comes_up_later_is_found() {
    let idp = Idp::start();
    let document = idp.with(|told| std::mem::take(&mut told.document));
    let gate = gate_of(&idp);
    let (path, _) = gate.authorize_path("a", "a:read");
    let told = Browser::new("ada").decide(&gate, &path, "allow");
    assert_eq!(
        query_of(&told, "error").as_deref(),
        Some("temporarily_unavailable")
    );
    idp.with(|told| told.document = document);
    wait_until("a login", || {
        let url = Browser::new("ada").decide(&gate, &path, "allow");
        url.starts_with(&idp.issuer)
    });
    logs_in(&gate, &idp);
}

/// What the gateway proved itself with at its last sign-in.
fn proof(idp: &Idp) -> (Value, Value, String) {
    let (body, authorized) = idp.with(|told| {
        let last = told.redemptions.last().cloned();
        (last.expect("a redemption"), told.authorized)
    });
    assert!(!authorized, "no secret besides");
    let form = format!("http://form/?{body}");
    let of = |name: &str| query_of(&form, name);
    assert_eq!(of("client_secret"), None);
    assert_eq!(of("client_id").as_deref(), Some("vestibule"));
    assert_eq!(
        of("client_assertion_type").as_deref(),
        Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
    );
    let assertion = of("client_assertion").expect("an assertion");
    let part = |at: usize| {
        let part = assertion.split('.').nth(at).expect("three parts");
        let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64url");
        serde_json::from_slice::<Value>(&bytes).unwrap_or_default()
    };
    (part(0), part(1), assertion)
}

/// Whether `assertion` is signed by this key.
fn is_signed(assertion: &str, by: &'static dyn VerificationAlgorithm, key: &[u8]) -> bool {
    let (message, signature) = assertion.rsplit_once('.').expect("three parts");
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    UnparsedPublicKey::new(by, key)
        .verify(message.as_bytes(), &signature)
        .is_ok()
}

const CERTIFICATE: &str =
    "credential = { certificate = \"vestibule.crt\", key = { file = \"vestibule.key\" } }";

#[test]
fn up_8_the_gateway_proves_itself_by_a_certificate() {
    let pss = json!({ "token_endpoint_auth_signing_alg_values_supported": ["RS256", "PS256"] });
    let plain = json!({});
    let rsa = || KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("a key");
    let p256 = || KeyPair::generate().expect("a key");
    let table: [(KeyPair, &Value, &str, &'static dyn VerificationAlgorithm); 3] = [
        (rsa(), &pss, "PS256", &RSA_PSS_2048_8192_SHA256),
        (rsa(), &plain, "RS256", &RSA_PKCS1_2048_8192_SHA256),
        (p256(), &pss, "ES256", &ECDSA_P256_SHA256_FIXED),
    ];
    for (key, more, algorithm, verifies) in table {
        let params = CertificateParams::new(Vec::new()).expect("parameters");
        let certificate = params.self_signed(&key).expect("a certificate");
        let idp = Idp::start();
        idp.with(|told| {
            for (name, value) in more.as_object().expect("an object") {
                told.document[name] = value.clone();
            }
        });
        let make = |folder: &Path| {
            std::fs::write(folder.join("vestibule.crt"), certificate.pem()).expect("written");
            std::fs::write(folder.join("vestibule.key"), key.serialize_pem()).expect("written");
        };
        let gate =
            Gate::start_proving(CERTIFICATE, make, &[("VESTIBULE_IDP__ISSUER", &idp.issuer)]);
        let mut ids = Vec::new();
        for _ in 0..2 {
            logs_in(&gate, &idp);
            let (header, claims, assertion) = proof(&idp);
            assert_eq!(header["alg"], algorithm);
            let thumbprint = Digest::of(certificate.der()).text();
            assert_eq!(header["x5t#S256"], thumbprint, "{header}");
            for name in ["iss", "sub"] {
                assert_eq!(claims[name], "vestibule", "{claims}");
            }
            assert_eq!(claims["aud"], format!("{}/token", idp.issuer));
            let now = vestibule::world::World::real().now().unix();
            let time = |name: &str| claims[name].as_u64().expect("a time");
            assert!(time("nbf") <= now && time("iat") <= now, "{claims}");
            assert!((now..=now + 600).contains(&time("exp")), "{claims}");
            assert!(
                is_signed(&assertion, verifies, key.public_key_raw()),
                "{algorithm}"
            );
            ids.push(claims["jti"].clone());
        }
        assert_ne!(ids[0], ids[1], "each is used once");
    }
}

#[test]
fn up_8_the_gateway_proves_itself_by_what_the_platform_writes_and_renews() {
    let idp = Idp::start();
    let credential = "credential = { assertion = \"platform-token\" }";
    let gate = Gate::start_proving(
        credential,
        |_| {},
        &[("VESTIBULE_IDP__ISSUER", &idp.issuer)],
    );
    let file = gate.folder.join("platform-token");
    // It is not there when the gateway starts, and comes a moment later.
    let (location, _) = ended(&gate, &idp, "early");
    assert_eq!(
        query_of(&location, "error").as_deref(),
        Some("server_error")
    );
    assert!(
        idp.with(|told| told.redemptions.is_empty()),
        "nothing was sent"
    );
    for renewed in ["aaaa.bbbb.cccc", "dddd.eeee.ffff"] {
        std::fs::write(&file, format!("{renewed}\n")).expect("written");
        logs_in(&gate, &idp);
        assert_eq!(proof(&idp).2, renewed);
    }
    for bad in [
        "",
        "no assertion",
        "a.b",
        "a.b.c\nd.e.f",
        &"x".repeat(100_000),
    ] {
        std::fs::write(&file, bad).expect("written");
        let (location, _) = ended(&gate, &idp, "bad");
        let error = query_of(&location, "error");
        assert_eq!(error.as_deref(), Some("server_error"), "{bad:.20}");
        assert!(!location.contains("no+assertion"), "{location}");
    }
}

#[test]
fn up_8_a_secret_that_is_replaced_is_used_from_the_next_login_on() {
    let idp = Idp::start();
    let gate = Gate::start_in("", &[("VESTIBULE_IDP__ISSUER", &idp.issuer)]);
    let file = gate.folder.join("secret");
    let shown = || idp.with(|told| told.secrets.clone());
    logs_in(&gate, &idp);
    std::fs::write(&file, "canary-second\n").expect("written");
    logs_in(&gate, &idp);
    assert_eq!(shown(), ["canary-idp-secret", "canary-second"]);
    // It is replaced after we have read it: the one before is not known any more.
    let (third, path) = ("canary-third", file.clone());
    idp.with(|told| {
        told.secrets.clear();
        told.unknown_once = Some(Box::new(move || {
            std::fs::write(&path, third).expect("written");
        }));
    });
    logs_in(&gate, &idp);
    assert_eq!(shown(), ["canary-second", "canary-third"]);
    // A secret that is simply wrong is not tried again.
    idp.with(|told| {
        told.secrets.clear();
        told.unknown_once = Some(Box::new(|| {}));
    });
    let (location, _) = ended(&gate, &idp, "wrong");
    assert!(query_of(&location, "error").is_some(), "{location}");
    assert_eq!(shown(), ["canary-third"]);
    // A file that is being replaced, or was emptied, ends no login.
    for broken in [None, Some("")] {
        match broken {
            None => std::fs::remove_file(&file).expect("removed"),
            Some(text) => std::fs::write(&file, text).expect("written"),
        }
        idp.with(|told| told.secrets.clear());
        logs_in(&gate, &idp);
        assert_eq!(shown(), ["canary-idp-secret"]);
    }
}

#[test]
fn up_8_the_gateway_proves_itself_by_the_identity_of_its_machine() {
    let platform = Platform::start();
    let metadata = ("AZURE_POD_IDENTITY_AUTHORITY_HOST", platform.origin.clone());
    let endpoint = (
        "IDENTITY_ENDPOINT",
        format!("{}/msi/token", platform.origin),
    );
    let header = ("IDENTITY_HEADER", "canary-header".to_owned());
    let table = [
        ("true", vec![&metadata]),
        ("\"a-user-s-own\"", vec![&metadata]),
        ("true", vec![&endpoint, &header]),
    ];
    for (identity, env) in table {
        let idp = Idp::start();
        let credential = format!("credential = {{ managed_identity = {identity} }}");
        let mut env: Vec<(&str, &str)> = env
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        env.push(("VESTIBULE_IDP__ISSUER", &idp.issuer));
        let gate = Gate::start_proving(&credential, |_| {}, &env);
        logs_in(&gate, &idp);
        assert_eq!(proof(&idp).2, "aaaa.bbbb.cccc");
        platform.refuses(true);
        let (location, _) = ended(&gate, &idp, "refused");
        let error = query_of(&location, "error");
        assert_eq!(error.as_deref(), Some("server_error"), "{location}");
        assert!(!location.contains("canary"), "{location}");
        platform.refuses(false);
    }
    assert_eq!(platform.asked(), 6);
}
