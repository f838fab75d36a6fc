//! How each fault of the list is caused.

use serde_json::{Value, json};

use crate::{
    calls,
    scene::{Scene, Seen, flow_in},
    support::{
        self, Browser, CLIENT, Gate, REDIRECT, idp::Idp, query_of, signer::Signer, site::Site,
        wait_until,
    },
};

/// Causes one fault.
pub(super) fn cause(fault: &str) -> (Scene, Seen) {
    let (unknown, evil) = (Some("vcl_unknown"), Some("https://evil.example/cb"));
    let request: &[(&str, Option<&str>)] = match fault {
        "app-unknown" => &[("client_id", unknown)],
        "redirect-not-registered" => &[("redirect_uri", evil)],
        "redirect-port-changed" => &[
            ("client_id", Some(support::WEB_CLIENT)),
            ("redirect_uri", Some("https://client.example:8443/cb")),
        ],
        "pkce-missing" => &[("code_challenge", None), ("code_challenge_method", None)],
        "response-type-missing" => &[("response_type", None)],
        "resource-unknown" => &[("resource", Some("https://other.example/mcp"))],
        "scope-unknown" => &[("scope", Some("something:else"))],
        "pushed-request-too-old" => &[(
            "request_uri",
            Some("urn:ietf:params:oauth:request_uri:AAAA"),
        )],
        _ => &[],
    };
    if !request.is_empty() {
        let scene = Scene::new();
        let seen = scene.refused(request);
        return (scene, seen);
    }
    before_consent(fault)
        .or_else(|| at_consent(fault))
        .or_else(|| at_the_way_back(fault))
        .or_else(|| at_the_provider(fault))
        .or_else(|| after_the_login(fault))
        .or_else(|| calls::cause(fault))
        .or_else(|| full_disk(fault))
        .or_else(|| before_a_login(fault))
        .unwrap_or_else(|| panic!("nobody causes {fault}"))
}

fn before_consent(fault: &str) -> Option<(Scene, Seen)> {
    let document = "https://client.invalid/app.json";
    Some(match fault {
        "app-not-admitted" => {
            let scene = Scene::with("[registration]\ndocuments = \"off\"");
            let seen = scene.refused(&[("client_id", Some(document))]);
            (scene, seen)
        }
        "client-document-host-down" => {
            let scene = Scene::new();
            let seen = scene.refused(&[("client_id", Some(document))]);
            (scene, seen)
        }
        "client-document-changed" => {
            let site = Site::start();
            let gate = Gate::start_beside(&site);
            let idp = Idp::start();
            let browser = Browser::new("ada");
            let scene = Scene { gate, idp, browser };
            let id = format!("{}/app.json", site.origin);
            let with = |redirect: &str| {
                let document = json!({
                    "client_id": id, "client_name": "An app", "redirect_uris": [redirect],
                    "token_endpoint_auth_method": "none",
                });
                site.publish("/app.json", 200, &document.to_string());
            };
            with(REDIRECT);
            scene.consent(&[("client_id", Some(&id))]);
            with("http://127.0.0.1:4711/moved");
            // What is remembered of a document ends.
            scene.gate.turn_clock(86_401);
            let seen = scene.refused(&[("client_id", Some(&id))]);
            (scene, seen)
        }
        "app-looks-like-another" => {
            let scene = Scene::with("[registration]\nlook_alikes = \"refuse\"");
            let asked = json!({
                "client_name": "Visual Studio Code",
                "redirect_uris": ["https://evil.example/cb"],
                "token_endpoint_auth_method": "none",
            });
            let id = scene.gate.register(&asked);
            let seen = scene.refused(&[
                ("client_id", Some(&id)),
                ("redirect_uri", Some("https://evil.example/cb")),
            ]);
            (scene, seen)
        }
        "client-id-twice" => {
            let scene = Scene::new();
            let (path, _) = scene.ask(&[]);
            let seen = Seen::of(&scene.open(&format!("{path}&client_id=vcl_other")));
            (scene, seen)
        }
        "request-not-encoded" => {
            let scene = Scene::new();
            let (path, _) = scene.ask(&[]);
            let seen = Seen::of(&scene.open(&format!("{path}&x=%zz")));
            (scene, seen)
        }
        _ => return None,
    })
}

fn at_consent(fault: &str) -> Option<(Scene, Seen)> {
    let known = [
        "consent-in-another-browser",
        "cookie-lost-before-consent",
        "decision-from-another-site",
        "consent-page-expired",
        "consent-page-used-twice",
        "provider-down",
        "provider-of-another-issuer",
        "provider-endpoint-not-https",
        "store-locked-at-consent",
    ];
    if !known.contains(&fault) {
        return None;
    }
    let idp = Idp::start();
    match fault {
        "provider-down" => idp.with(|told| told.document = Value::Null),
        "provider-of-another-issuer" => {
            idp.with(|told| told.document["issuer"] = json!("https://other.example"));
        }
        "provider-endpoint-not-https" => {
            idp.with(|told| told.document["token_endpoint"] = json!("ftp://127.0.0.1/token"));
        }
        _ => {}
    }
    let scene = Scene::at("", idp);
    let (flow, ticket, token) = scene.consent(&[]);
    let ours = scene.gate.origin.clone();
    let answer = match fault {
        "consent-in-another-browser" => {
            let other = Browser::new("eve");
            let (path, _) = scene.ask(&[]);
            other.open(&format!("{ours}{path}"));
            scene.decide(&other, &ticket, &token, &ours)
        }
        "cookie-lost-before-consent" => scene.decide(&Browser::new("ada"), &ticket, &token, &ours),
        "decision-from-another-site" => {
            scene.decide(&scene.browser, &ticket, &token, "https://evil.example")
        }
        "consent-page-expired" => {
            scene.gate.turn_clock(601);
            scene.decide(&scene.browser, &ticket, &token, &ours)
        }
        "consent-page-used-twice" => {
            scene.decide(&scene.browser, &ticket, &token, &ours);
            scene.decide(&scene.browser, &ticket, &token, &ours)
        }
        "store-locked-at-consent" => {
            let seen = scene.without_table("logins", || {
                Seen::of(&scene.decide(&scene.browser, &ticket, &token, &ours))
            });
            let flow = Some(flow);
            return Some((scene, Seen { flow, ..seen }));
        }
        _ => scene.decide(&scene.browser, &ticket, &token, &ours),
    };
    let seen = if answer.status == 303 {
        let onward = scene.browser.open(&answer.one("location"));
        let client = query_of(&onward.refresh_target(), "error");
        Seen {
            page: None,
            client,
            named: None,
            flow: Some(flow),
        }
    } else {
        let flow = Some(flow);
        Seen {
            flow,
            ..Seen::of(&answer)
        }
    };
    Some((scene, seen))
}

fn at_the_way_back(fault: &str) -> Option<(Scene, Seen)> {
    let known = [
        "person-never-comes-back",
        "returned-in-another-browser",
        "cookie-lost-before-return",
        "answer-of-another-provider",
        "returned-too-late",
        "parameters-lost-on-return",
        "returned-twice",
        "key-removed-meanwhile",
        "store-locked-at-return",
        "client-removed-meanwhile",
    ];
    if !known.contains(&fault) {
        return None;
    }
    if fault == "client-removed-meanwhile" {
        return Some(client_removed());
    }
    let scene = Scene::new();
    let (flow, url) = scene.allowed();
    let back = scene.idp.sign_in(&url, "good");
    let nothing = || Seen {
        page: None,
        client: None,
        named: None,
        flow: Some(flow.clone()),
    };
    let seen = match fault {
        "person-never-comes-back" => {
            scene.gate.turn_clock(100);
            nothing()
        }
        "returned-in-another-browser" | "cookie-lost-before-return" => {
            let other = Browser::new("eve");
            Seen {
                flow: Some(flow.clone()),
                ..Seen::of(&other.open(&back))
            }
        }
        "answer-of-another-provider" => {
            scene.back(flow, &format!("{back}&iss=https%3A%2F%2Fother.example"))
        }
        "returned-too-late" => {
            scene.gate.turn_clock(601);
            scene.back(flow, &back)
        }
        "parameters-lost-on-return" => Seen {
            flow: None,
            ..Seen::of(&scene.open("/oauth-callback"))
        },
        "returned-twice" => {
            let cookies = scene.browser.cookies();
            scene.browser.open(&back);
            // The browser's own back button brings the cookie of before along.
            for (name, value) in cookies {
                scene.browser.set_cookie(&name, &value);
            }
            Seen {
                flow: None,
                ..Seen::of(&scene.browser.open(&back))
            }
        }
        "key-removed-meanwhile" => {
            let database = rusqlite::Connection::open(scene.gate.folder.join("vestibule.db"));
            let changed = database
                .expect("opens")
                .execute("UPDATE logins SET sealed = x'00'", [])
                .expect("changed");
            assert_eq!(changed, 1);
            scene.back(flow, &back)
        }
        _ => scene.without_table("codes", || scene.back(flow.clone(), &back)),
    };
    Some((scene, seen))
}

/// A client that registered itself, and that the operator admits no longer after a restart.
fn client_removed() -> (Scene, Seen) {
    let idp = Idp::start();
    let mut gate = Gate::start_process("", &[("VESTIBULE_IDP__ISSUER", &idp.issuer)]);
    let asked = json!({
        "client_name": "An app",
        "redirect_uris": [REDIRECT],
        "token_endpoint_auth_method": "none",
    });
    let id = gate.register(&asked);
    let scene = Scene {
        browser: Browser::new("ada"),
        gate,
        idp,
    };
    let (path, _) = scene.ask(&[("client_id", Some(&id))]);
    let page = scene.open(&path);
    let flow = flow_in(&page.text()).expect("a flow");
    let (ticket, token) = (page.field("ticket"), page.field("token"));
    let decided = scene.decide(&scene.browser, &ticket, &token, &scene.gate.origin);
    let onward = scene.browser.open(&decided.one("location"));
    let back = scene.idp.sign_in(&onward.refresh_target(), "good");
    // What is recorded reaches the store a moment later; without it nobody would see the flow.
    wait_until("the record is in the store", || scene.is_kept(&flow));
    let Scene {
        gate: moved,
        idp,
        browser,
    } = scene;
    gate = moved;
    gate.configure("[registration]\ndynamic = \"off\"");
    gate.kill();
    gate.restart();
    let scene = Scene { gate, idp, browser };
    let seen = scene.back(flow, &back);
    (scene, seen)
}

fn at_the_provider(fault: &str) -> Option<(Scene, Seen)> {
    let scene = match fault {
        "platform-token-missing" => {
            let idp = Idp::start();
            let credential = "credential = { assertion = \"nowhere\" }";
            let env = [("VESTIBULE_IDP__ISSUER", idp.issuer.as_str())];
            let gate = Gate::start_proving(credential, |_| {}, &env);
            let browser = Browser::new("ada");
            Scene { gate, idp, browser }
        }
        "token-endpoint-hangs" => Scene::with("[limits]\nprovider_time = \"1s\""),
        "person-denied-by-rule" => Scene::with(
            "[servers.closed]\npath = \"/closed/mcp\"\nupstream = \"ECHO\"\n\
                 allow = [\"group:editors\"]\n",
        ),
        _ => Scene::new(),
    };
    let refused =
        |error: &str, said: &str| json!({ "error": error, "error_description": said }).to_string();
    let now = vestibule::world::World::real().now().unix();
    let seen = match fault {
        "person-not-assigned" => scene.provider_refuses(
            "access_denied",
            "AADSTS50105: Your administrator has configured the application to block users",
        ),
        "administrator-must-consent" => scene.provider_refuses(
            "consent_required",
            "AADSTS90094: The grant requires admin permission.",
        ),
        "scope-refused-by-provider" => {
            scene.provider_refuses("invalid_scope", "AADSTS70011: The scope is not valid.")
        }
        "provider-not-well" => scene.provider_refuses("server_error", "try again"),
        "token-endpoint-hangs" => {
            scene.idp.with(|told| told.hangs = true);
            scene.returns()
        }
        "token-endpoint-answers-503" => scene.token_endpoint(503, "down"),
        "secret-wrong" => scene.token_endpoint(
            401,
            &refused("invalid_client", "AADSTS7000215: Invalid client secret."),
        ),
        "secret-expired" => scene.token_endpoint(
            401,
            &refused("invalid_client", "AADSTS7000222: The secret is expired."),
        ),
        "provider-code-expired" => scene.token_endpoint(
            400,
            &refused("invalid_grant", "AADSTS70008: The code is expired."),
        ),
        "provider-calls-request-wrong" => scene.token_endpoint(
            400,
            &refused("invalid_request", "AADSTS9002313: Invalid request."),
        ),
        "provider-answers-html" => scene.token_endpoint(200, "<html>Sign in</html>"),
        "platform-token-missing" => scene.returns(),
        "no-id-token" => {
            scene.idp.with(|told| told.no_id_token = true);
            scene.returns()
        }
        "id-token-for-another-application" => scene.claims(json!({ "aud": "another" })),
        "id-token-expired-clock-off" => scene.claims(json!({ "iat": now - 900, "exp": now - 600 })),
        "id-token-from-the-future" => scene.claims(json!({ "iat": now + 600, "exp": now + 900 })),
        "signing-key-unknown" => {
            scene
                .idp
                .with(|told| told.forged = Some("nowhere".to_owned()));
            scene.returns()
        }
        "id-token-of-another-login" => scene.claims(json!({ "nonce": "another" })),
        "id-token-of-another-issuer" => scene.claims(json!({ "iss": "https://other.example" })),
        "id-token-forged" => {
            // The name of the provider's key, and the signature of another.
            scene.returns();
            scene.idp.with(|told| told.signer = Signer::new());
            scene.returns()
        }
        "person-denied-by-rule" => {
            let resource = scene.gate.resource("closed");
            let (flow, url) = scene.allowed_for(&[("resource", Some(&resource)), ("scope", None)]);
            scene.back(flow, &scene.idp.sign_in(&url, "good"))
        }
        _ => return None,
    };
    Some((scene, seen))
}

fn after_the_login(fault: &str) -> Option<(Scene, Seen)> {
    let scene = Scene::new();
    let seen = match fault {
        "pkce-verifier-wrong" => {
            let (flow, code, _) = scene.code();
            Seen::of_token(flow, &scene.redeem(&code, &"x".repeat(43), &[]))
        }
        "code-used-twice" => {
            let (flow, code, verifier) = scene.code();
            scene.redeem(&code, verifier.expose(), &[]);
            Seen::of_token(flow, &scene.redeem(&code, verifier.expose(), &[]))
        }
        "code-expired" => {
            let (flow, code, verifier) = scene.code();
            scene.gate.turn_clock(3600);
            Seen::of_token(flow, &scene.redeem(&code, verifier.expose(), &[]))
        }
        "redirect-uri-differs" => {
            let (flow, code, verifier) = scene.code();
            let other = [("redirect_uri", "http://127.0.0.1:9/other")];
            Seen::of_token(flow, &scene.redeem(&code, verifier.expose(), &other))
        }
        "code-for-another-server" => {
            let (flow, code, verifier) = scene.code();
            let resource = scene.gate.resource("b");
            let other = [("resource", resource.as_str())];
            Seen::of_token(flow, &scene.redeem(&code, verifier.expose(), &other))
        }
        "refresh-token-used-twice" => {
            let (flow, refresh) = scene.tokens();
            scene.gate.refresh(&refresh);
            scene.gate.turn_clock(3600);
            Seen::of_token(flow, &scene.gate.refresh(&refresh))
        }
        "refresh-after-revocation" => {
            let (flow, refresh) = scene.tokens();
            let form = [("token", refresh.as_str()), ("client_id", CLIENT)];
            let host = scene.gate.host();
            scene.gate.wire().post_form(&host, "/revoke", &form, &[]);
            Seen::of_token(flow, &scene.gate.refresh(&refresh))
        }
        "refresh-asks-for-more" => {
            let (flow, refresh) = scene.tokens();
            let answer = scene.gate.token(&[
                ("grant_type", "refresh_token"),
                ("client_id", CLIENT),
                ("refresh_token", &refresh),
                ("scope", "a:read a:write"),
            ]);
            Seen::of_token(flow, &answer)
        }
        _ => return None,
    };
    Some((scene, seen))
}

/// Of these there is no record: what is answered says all.
fn before_a_login(fault: &str) -> Option<(Scene, Seen)> {
    let more = match fault {
        "host-changed-by-a-proxy" | "registration-refused" => "",
        "registration-without-its-token" => {
            "[registration]\ndynamic = \"token\"\ntoken = { env = \"REGISTRATION\" }"
        }
        "registration-not-offered" => "[registration]\ndynamic = \"off\"",
        _ => return None,
    };
    let scene = Scene::with(more);
    let gate = &scene.gate;
    let answer = if fault == "host-changed-by-a-proxy" {
        gate.wire().get("inside.example:8080", "/a/mcp", &[])
    } else {
        let asked = json!({ "redirect_uris": ["http://client.example/cb"] }).to_string();
        let json = [("content-type", "application/json")];
        gate.wire()
            .request(&gate.host(), "POST", "/register", &json, asked.as_bytes())
    };
    let seen = Seen::of_call(None, &answer);
    Some((scene, seen))
}

/// A disk that is full from the decision, or from the sign-in, on.
fn full_disk(fault: &str) -> Option<(Scene, Seen)> {
    if !["disk-full-at-consent", "disk-full-at-return"].contains(&fault) {
        return None;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let full = folder.path().join("full");
    let library = support::preloaded(folder.path(), "full.c");
    let idp = Idp::start();
    let gate = Gate::start_process(
        "",
        &[
            ("VESTIBULE_IDP__ISSUER", &idp.issuer),
            ("LD_PRELOAD", library.to_str().expect("text")),
            ("FULL_WHILE", full.to_str().expect("text")),
        ],
    );
    let browser = Browser::new("ada");
    let scene = Scene { gate, idp, browser };
    let fill = || std::fs::write(&full, "").expect("written");
    let (flow, seen) = if fault == "disk-full-at-consent" {
        let (flow, ticket, token) = scene.consent(&[]);
        fill();
        let ours = scene.gate.origin.clone();
        let refused = scene.decide(&scene.browser, &ticket, &token, &ours);
        (flow, Seen::of(&refused))
    } else {
        let (flow, url) = scene.allowed();
        let back = scene.idp.sign_in(&url, "good");
        fill();
        (flow.clone(), scene.back(flow, &back))
    };
    let flow = Some(flow);
    Some((scene, Seen { flow, ..seen }))
}
