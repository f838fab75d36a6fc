//! Faults along the way of a login: each is caused, and what the person, the client and the
//! login's record then say is held against `faults.tsv`, which was written before the code.
//! The table in `docs/reference/faults.md` is what was seen.

mod support;

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf, time::Duration};

use serde_json::{Value, json};
use support::{
    Browser, CLIENT, Gate, REDIRECT, idp::Idp, query_of, repository, signer::Signer, wire::Answer,
};
use vestibule_core::{pkce::CodeVerifier, uri::with_query};

/// A gateway before a provider that a test tells what to do, and a person's browser.
struct Scene {
    gate: Gate,
    idp: Idp,
    browser: Browser,
}

/// How a fault showed itself.
#[derive(Debug)]
struct Seen {
    /// The error on the page that the person sees, if there is one.
    page: Option<String>,
    /// What the client was told.
    client: Option<String>,
    /// The record's code, if it is known.
    flow: Option<String>,
}

impl Scene {
    fn new() -> Self {
        Self::with("")
    }

    fn with(more: &str) -> Self {
        let idp = Idp::start();
        let gate = Gate::start_in(more, &[("VESTIBULE_IDP__ISSUER", &idp.issuer)]);
        Self {
            gate,
            idp,
            browser: Browser::new("ada"),
        }
    }

    /// The request of an app, with some parameters changed; `None` takes one away.
    fn ask(&self, changes: &[(&str, Option<&str>)]) -> (String, CodeVerifier) {
        let (path, verifier) = self.gate.authorize_path("a", "a:read offline_access");
        let url = url::Url::parse(&format!("{}{path}", self.gate.origin)).expect("a URL");
        let mut params: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        for (name, value) in changes {
            params.retain(|(known, _)| known != name);
            if let Some(value) = value {
                params.push(((*name).to_owned(), (*value).to_owned()));
            }
        }
        let params: Vec<(&str, &str)> = params
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        (with_query("/authorize", &params), verifier)
    }

    fn open(&self, path: &str) -> Answer {
        self.browser.open(&format!("{}{path}", self.gate.origin))
    }

    /// A request that is refused before anybody is asked.
    fn refused(&self, changes: &[(&str, Option<&str>)]) -> Seen {
        let (path, _) = self.ask(changes);
        Seen::of(&self.open(&path))
    }

    /// The consent page: its flow, ticket and token.
    fn consent(&self, changes: &[(&str, Option<&str>)]) -> (String, String, String) {
        let (path, _) = self.ask(changes);
        let page = self.open(&path);
        assert_eq!(page.status, 200, "{}", page.text());
        let flow = flow_in(&page.text()).expect("a flow");
        (flow, page.field("ticket"), page.field("token"))
    }

    fn decide(&self, browser: &Browser, ticket: &str, token: &str, origin: &str) -> Answer {
        browser.submit(
            &format!("{}/consent/decision", self.gate.origin),
            &[("ticket", ticket), ("token", token), ("decision", "allow")],
            Some(origin),
        )
    }

    /// After Allow: the flow, and the address that the browser is sent on to.
    fn allowed(&self) -> (String, String) {
        self.allowed_for(&[])
    }

    fn allowed_for(&self, changes: &[(&str, Option<&str>)]) -> (String, String) {
        let (flow, ticket, token) = self.consent(changes);
        let decided = self.decide(&self.browser, &ticket, &token, &self.gate.origin);
        assert_eq!(decided.status, 303, "{}", decided.text());
        let onward = self.browser.open(&decided.one("location"));
        (flow, onward.refresh_target())
    }

    /// A login with a provider as it is now, to where it ends.
    fn returns(&self) -> Seen {
        let (flow, url) = self.allowed();
        self.back(flow, &self.idp.sign_in(&url, "good"))
    }

    /// What the way back at this address comes to.
    fn back(&self, flow: String, callback: &str) -> Seen {
        let seen = Seen::of(&self.browser.open(callback));
        Seen {
            flow: Some(seen.flow.clone().unwrap_or(flow)),
            ..seen
        }
    }

    /// A provider that sends the browser back with an error.
    fn provider_refuses(&self, error: &str, said: &str) -> Seen {
        let (flow, url) = self.allowed();
        self.back(flow, &Idp::refuses(&url, error, said))
    }

    /// A token endpoint of the provider that answers so.
    fn token_endpoint(&self, status: u16, body: &str) -> Seen {
        self.idp
            .with(|told| told.refusal = Some((status, body.to_owned())));
        self.returns()
    }

    fn claims(&self, claims: Value) -> Seen {
        self.idp.with(|told| told.claims = claims);
        self.returns()
    }

    /// A login to its code: flow, code, verifier.
    fn code(&self) -> (String, String, CodeVerifier) {
        let (path, verifier) = self.ask(&[]);
        let page = self.open(&path);
        let flow = flow_in(&page.text()).expect("a flow");
        let (ticket, token) = (page.field("ticket"), page.field("token"));
        let decided = self.decide(&self.browser, &ticket, &token, &self.gate.origin);
        let onward = self.browser.open(&decided.one("location"));
        let back = self.idp.sign_in(&onward.refresh_target(), "good");
        let location = self.browser.open(&back).one("location");
        let code = query_of(&location, "code").unwrap_or_else(|| panic!("no code: {location}"));
        (flow, code, verifier)
    }

    /// The app's request for tokens, with some parameters changed.
    fn redeem(&self, code: &str, verifier: &str, changes: &[(&str, &str)]) -> Answer {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("client_id", CLIENT),
            ("code", code),
            ("code_verifier", verifier),
            ("redirect_uri", REDIRECT),
        ];
        for (name, value) in changes {
            form.retain(|(known, _)| known != name);
            form.push((name, value));
        }
        self.gate.token(&form)
    }

    /// A login to its tokens: flow and refresh token.
    fn tokens(&self) -> (String, String) {
        let (flow, code, verifier) = self.code();
        let answer = self.redeem(&code, verifier.expose(), &[]);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let refresh = answer.json()["refresh_token"].as_str().map(str::to_owned);
        (flow, refresh.expect("a refresh token"))
    }

    /// What the record of a login says: its JSON, and its page.
    fn record(&self, flow: &str) -> (Value, String) {
        let read = |form: &str| self.open(&format!("/flows/{flow}{form}"));
        let steps = read("/json");
        assert_eq!(steps.status, 200, "{flow}: {}", steps.text());
        (steps.json(), read("").text())
    }

    /// Takes the tables away that a login writes to.
    fn without_table(&self, table: &str, then: impl FnOnce() -> Seen) -> Seen {
        let database = rusqlite::Connection::open(self.gate.folder.join("vestibule.db"));
        let database = database.expect("opens");
        let away = format!("ALTER TABLE {table} RENAME TO taken_away");
        database.execute_batch(&away).expect("renamed");
        let seen = then();
        let back = format!("ALTER TABLE taken_away RENAME TO {table}");
        database.execute_batch(&back).expect("renamed");
        seen
    }
}

impl Seen {
    /// Of a page, or of a redirect to the client.
    fn of(answer: &Answer) -> Self {
        let text = answer.text();
        let location = answer.has("location").then(|| answer.one("location"));
        let location = location.unwrap_or_default();
        Self {
            page: code_in(&text),
            client: query_of(&location, "error"),
            flow: flow_in(&text).or_else(|| flow_in(&location)),
        }
    }

    /// Of the token endpoint.
    fn of_token(flow: String, answer: &Answer) -> Self {
        Self {
            page: None,
            client: answer.json()["error"].as_str().map(str::to_owned),
            flow: Some(flow),
        }
    }
}

fn between(text: &str, before: &str, what: impl Fn(char) -> bool) -> Option<String> {
    let at = text.find(before)? + before.len();
    let found: String = text[at..].chars().take_while(|c| what(*c)).collect();
    (!found.is_empty()).then_some(found)
}

fn flow_in(text: &str) -> Option<String> {
    let plain = text.replace("%2F", "/");
    between(&plain, "/flows/", |c| c.is_ascii_alphanumeric() || c == '-')
}

fn code_in(text: &str) -> Option<String> {
    between(text, "/errors/", |c| c.is_ascii_alphanumeric() || c == '-')
}

/// Causes one fault.
fn cause(fault: &str) -> (Scene, Seen) {
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
        "app-looks-like-another" => {
            let scene = Scene::with("[registration]\nlook_alikes = \"refuse\"");
            let asked = json!({
                "client_name": "Visual Studio Code",
                "redirect_uris": ["https://evil.example/cb"],
                "token_endpoint_auth_method": "none",
            });
            let registered = scene.gate.wire().request(
                &scene.gate.host(),
                "POST",
                "/register",
                &[("content-type", "application/json")],
                asked.to_string().as_bytes(),
            );
            let id = registered.json()["client_id"].as_str().map(str::to_owned);
            let id = id.unwrap_or_else(|| panic!("{}", registered.text()));
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
    let scene = Scene::new();
    match fault {
        "provider-down" => scene.idp.with(|told| told.document = Value::Null),
        "provider-of-another-issuer" => scene
            .idp
            .with(|told| told.document["issuer"] = json!("https://other.example")),
        "provider-endpoint-not-https" => scene
            .idp
            .with(|told| told.document["token_endpoint"] = json!("ftp://127.0.0.1/token")),
        _ => {}
    }
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
    let registered = gate.wire().request(
        &gate.host(),
        "POST",
        "/register",
        &[("content-type", "application/json")],
        asked.to_string().as_bytes(),
    );
    let id = registered.json()["client_id"].as_str().map(str::to_owned);
    let id = id.expect("a client id");
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
    // Recorded steps reach the store twice a second.
    std::thread::sleep(Duration::from_millis(1100));
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

/// One line of the list.
struct Expected {
    fault: String,
    step: String,
    code: String,
    told: String,
}

fn list() -> Vec<Expected> {
    include_str!("faults.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut fields = line.split('\t').map(str::to_owned);
            let mut next = || fields.next().expect("four fields");
            Expected {
                fault: next(),
                step: next(),
                code: next(),
                told: next(),
            }
        })
        .collect()
}

#[test]
fn every_fault_is_named_at_its_step_to_whoever_looks() {
    let (some, others): (Vec<_>, Vec<_>) = list()
        .into_iter()
        .enumerate()
        .partition(|(place, _)| place % 2 == 0);
    // Two at a time, since most of the time goes by in waiting.
    let mut rows: Vec<(usize, Expected, Result<(), String>)> = std::thread::scope(|scope| {
        let running = [some, others].map(|part| {
            scope.spawn(move || {
                part.into_iter()
                    .map(|(place, expected)| {
                        let judged = judge(&expected);
                        (place, expected, judged)
                    })
                    .collect::<Vec<_>>()
            })
        });
        running
            .into_iter()
            .flat_map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    rows.sort_by_key(|(place, ..)| *place);
    let rows: Vec<(Expected, Result<(), String>)> = rows
        .into_iter()
        .map(|(_, expected, judged)| (expected, judged))
        .collect();
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|(expected, judged)| {
            let why = judged.as_ref().err()?;
            Some(format!("{}: {why}", expected.fault))
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
    let page = page(&rows);
    let file: PathBuf = repository().join("docs/reference/faults.md");
    if std::env::var_os("WRITE_FAULTS").is_some() {
        std::fs::write(&file, &page).expect("written");
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(written, page, "WRITE_FAULTS=1 writes {}", file.display());
}

/// What was seen of one fault, against what was expected.
fn judge(expected: &Expected) -> Result<(), String> {
    let (scene, seen) = cause(&expected.fault);
    let told = match (&seen.page, &seen.client) {
        (Some(_), None) => "page",
        (None, Some(error)) => error.as_str(),
        (None, None) => "nothing yet",
        (Some(_), Some(_)) => "both",
    };
    if told != expected.told {
        return Err(format!(
            "told {told} instead of {}: {seen:?}",
            expected.told
        ));
    }
    if let Some(code) = &seen.page
        && *code != expected.code
    {
        return Err(format!("the page says {code} instead of {}", expected.code));
    }
    let Some(flow) = &seen.flow else {
        // Nobody knows which login this belongs to: the page alone tells.
        return if seen.page.is_some() {
            Ok(())
        } else {
            Err("nothing tells".to_owned())
        };
    };
    let (json, page) = scene.record(flow);
    let last = json["steps"]
        .as_array()
        .and_then(|steps| steps.last())
        .cloned();
    let last = last.unwrap_or_default();
    if expected.code == "waiting" {
        let waits = page.contains("to come back from") && page.contains("redirect URI");
        return if waits {
            Ok(())
        } else {
            Err(format!("the record says {last}"))
        };
    }
    // Once used, a page says so; its login went on with the first decision.
    if expected.code == "V-CON-004" {
        return Ok(());
    }
    if code_in(&page).as_ref() != Some(&expected.code) {
        return Err(format!("the record does not say {}: {last}", expected.code));
    }
    let stage = between(&page, "data-stage=\"", |c| c != '"').unwrap_or_default();
    if stage != expected.step {
        return Err(format!(
            "the record says the step {stage} instead of {}",
            expected.step
        ));
    }
    for field in ["What happened", "Cause", "How to see it", "Fix", "Who can"] {
        if !page.contains(&format!("<dt>{field}</dt><dd>")) {
            return Err(format!("the record lacks “{field}”"));
        }
    }
    Ok(())
}

fn page(rows: &[(Expected, Result<(), String>)]) -> String {
    let mut out = String::from(
        "# Faults, and what is said of them\n\n\
         Generated by `gateway/tests/faults.rs`, which causes each of these on a running \
         gateway; do not edit. “Told” is what the person or the app hears: a page, or the \
         error that the app is sent. The record is what `/flows/CODE` shows.\n\n\
         | fault | step | error | told | shown rightly |\n|---|---|---|---|---|\n",
    );
    for (expected, judged) in rows {
        let code = if expected.code.starts_with("V-") {
            format!(
                "[{0}](errors.md#{1})",
                expected.code,
                expected.code.to_lowercase()
            )
        } else {
            expected.code.clone()
        };
        let right = if judged.is_ok() { "yes" } else { "no" };
        let _ = writeln!(
            out,
            "| {} | {} | {code} | {} | {right} |",
            expected.fault.replace('-', " "),
            expected.step,
            expected.told,
        );
    }
    let by_step: BTreeMap<&str, usize> = rows.iter().fold(BTreeMap::new(), |mut all, (row, _)| {
        *all.entry(row.step.as_str()).or_default() += 1;
        all
    });
    let _ = writeln!(out, "\n{} faults at {} steps.", rows.len(), by_step.len());
    out
}
