use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use axum::body::Body;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt as _;
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;

const ISSUER: &str = "http://127.0.0.1:8081";
const REDIRECT: &str = "http://127.0.0.1:8080/oauth-callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// The pair of RFC 7636 appendix B.
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const START: u64 = 1_800_000_000;

/// A provider, the time it lives in, and one browser's cookie.
struct Lab {
    router: Router,
    time: Arc<AtomicU64>,
    cookie: Option<String>,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Lab {
    fn new() -> Self {
        let time = Arc::new(AtomicU64::new(START));
        let mut settings = settings();
        let clock = Arc::clone(&time);
        settings.clock = Arc::new(move || clock.load(Ordering::Relaxed));
        Self {
            router: DemoProvider::new(settings).unwrap().router(),
            time,
            cookie: None,
        }
    }

    fn wait(&self, seconds: u64) {
        self.time.fetch_add(seconds, Ordering::Relaxed);
    }

    async fn send(&mut self, request: axum::http::request::Builder, body: String) -> Answer {
        let mut request = request.header(header::HOST, "127.0.0.1:8081");
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, format!("other=1; {cookie}"));
        }
        let response = self
            .router
            .clone()
            .oneshot(request.body(Body::from(body)).unwrap())
            .await
            .unwrap();
        let answer = Answer::read(response).await;
        if let Some(cookie) = answer.header("set-cookie") {
            self.cookie = cookie.split(';').next().map(str::to_owned);
        }
        answer
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path), String::new()).await
    }

    async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        let request =
            Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request, encoded(form)).await
    }

    async fn authorize(&mut self, changes: &[(&str, &str)]) -> Answer {
        self.get(&format!("/authorize?{}", request_with(changes)))
            .await
    }

    async fn sign_in(&mut self, changes: &[(&str, &str)]) -> Answer {
        let request = request_with(changes);
        self.post(
            "/sign-in",
            &[
                ("request", &request),
                ("username", "ada"),
                ("password", "ada"),
            ],
        )
        .await
    }

    /// A fresh code for the given request.
    async fn code(&mut self, changes: &[(&str, &str)]) -> String {
        self.sign_in(changes).await.redirected()["code"].clone()
    }

    async fn token(&mut self, form: &[(&str, &str)]) -> Answer {
        let request = Request::post("/token")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::AUTHORIZATION, basic("gateway", "s%3Acret+%2B"));
        self.send(request, encoded(form)).await
    }

    async fn redeem(&mut self, code: &str) -> Answer {
        self.token(&redemption(code)).await
    }

    async fn refresh(&mut self, token: &str) -> Answer {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", token)])
            .await
    }

    async fn claims(&mut self, tokens: &Value) -> Value {
        let keys = self.get("/jwks.json").await.json();
        let keys: JwkSet = serde_json::from_value(keys).unwrap();
        let token = tokens["id_token"].as_str().unwrap();
        let kid = jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
        let key = DecodingKey::from_jwk(keys.find(&kid).unwrap()).unwrap();
        let mut rules = Validation::new(Algorithm::ES256);
        // The lab has its own time, so `exp` is compared by the test.
        rules.validate_exp = false;
        rules.set_audience(&["gateway"]);
        rules.set_issuer(&[ISSUER]);
        jsonwebtoken::decode::<Value>(token, &key, &rules)
            .unwrap()
            .claims
    }
}

impl Answer {
    async fn read(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Self {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The parameters that went to the redirect URI.
    fn redirected(&self) -> HashMap<String, String> {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.body);
        let location = self.header("location").unwrap();
        let query = location.strip_prefix(&format!("{REDIRECT}?")).unwrap();
        url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect()
    }

    fn refused(&self, status: u16, error: &str, why: &str) {
        assert_eq!(self.status.as_u16(), status, "{why}: {}", self.body);
        assert_eq!(self.json()["error"], error, "{why}");
        assert_eq!(self.header("cache-control"), Some("no-store"), "{why}");
    }
}

fn settings() -> DemoProviderSettings {
    let counter = AtomicU64::new(0);
    DemoProviderSettings {
        issuer: ISSUER.to_owned(),
        client_id: "gateway".to_owned(),
        client_secret: "s:cret +".to_owned(),
        redirect_uri: REDIRECT.to_owned(),
        signing_key_pkcs8: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .unwrap()
            .to_pkcs8v1()
            .unwrap()
            .as_ref()
            .to_vec(),
        clock: Arc::new(|| START),
        entropy: Arc::new(move |bytes| {
            let next = counter.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            bytes[..8].copy_from_slice(&next);
        }),
    }
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

/// A good request with some parameters replaced; an empty value leaves one out.
fn request_with(changes: &[(&str, &str)]) -> String {
    let mut pairs = vec![
        ("response_type", "code"),
        ("client_id", "gateway"),
        ("redirect_uri", REDIRECT),
        ("scope", "openid profile email offline_access"),
        ("state", "the state"),
        ("nonce", "the nonce"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    for change in changes {
        pairs.retain(|(name, _)| *name != change.0);
        if !change.1.is_empty() {
            pairs.push(*change);
        }
    }
    encoded(&pairs)
}

fn redemption(code: &str) -> [(&str, &str); 4] {
    [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ]
}

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

#[tokio::test]
async fn a_login_goes_from_the_request_to_the_id_token() {
    let mut lab = Lab::new();

    let page = lab.authorize(&[]).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        page.body
            .contains("<form method=\"post\" action=\"/sign-in\">")
    );
    assert_eq!(
        page.header("set-cookie"),
        None,
        "drawing a page sets nothing"
    );

    let back = lab.sign_in(&[]).await;
    let cookie = back.header("set-cookie").unwrap();
    assert!(cookie.starts_with("vestibule_demo_idp="));
    assert!(cookie.ends_with("; HttpOnly; SameSite=Lax"));
    let answer = back.redirected();
    assert_eq!(answer["state"], "the state");
    assert_eq!(answer["iss"], ISSUER, "RFC 9207");

    lab.wait(5);
    let tokens = lab.redeem(&answer["code"]).await;
    assert_eq!(tokens.status, StatusCode::OK, "{}", tokens.body);
    assert_eq!(tokens.header("cache-control"), Some("no-store"));
    let tokens = tokens.json();
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["scope"], "openid profile email offline_access");
    assert!(tokens["refresh_token"].is_string());
    assert_eq!(
        lab.claims(&tokens).await,
        json!({
            "iss": ISSUER,
            "sub": "demo-ada",
            "aud": "gateway",
            "iat": START + 5,
            "exp": START + 305,
            "auth_time": START,
            "nonce": "the nonce",
            "name": "Ada Lovelace",
            "preferred_username": "ada",
            "groups": ["staff", "editors"],
            "email": "ada@example.com",
            "email_verified": true,
        })
    );
}

#[tokio::test]
async fn what_was_not_asked_for_is_not_given() {
    let mut lab = Lab::new();
    let code = lab.code(&[("scope", "openid"), ("nonce", "")]).await;
    let tokens = lab.redeem(&code).await.json();
    assert_eq!(tokens.get("refresh_token"), None);
    let claims = lab.claims(&tokens).await;
    for absent in ["nonce", "name", "email", "preferred_username"] {
        assert_eq!(claims.get(absent), None, "{absent}");
    }
}

#[tokio::test]
async fn refusals_go_to_a_page_until_client_and_redirect_uri_match_and_then_to_the_client() {
    let mut lab = Lab::new();
    let pages = [
        ("client_id", "stranger"),
        ("client_id", ""),
        ("redirect_uri", ""),
        ("redirect_uri", "http://127.0.0.1:8080/oauth-callback/"),
        ("redirect_uri", "http://127.0.0.1:8080/oauth-callback?x=1"),
        ("redirect_uri", "http://localhost:8080/oauth-callback"),
        ("redirect_uri", "https://evil.example/oauth-callback"),
    ];
    for change in pages {
        let answer = lab.authorize(&[change]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{change:?}");
        assert_eq!(answer.header("location"), None, "{change:?}");
        assert!(answer.body.contains("role=\"alert\""), "{change:?}");
    }
    let twice = format!("/authorize?{}&state=again", request_with(&[]));
    assert_eq!(lab.get(&twice).await.status, StatusCode::BAD_REQUEST);
    let long = lab.authorize(&[("state", &"x".repeat(9_000))]).await;
    assert_eq!(long.status, StatusCode::BAD_REQUEST);

    let redirects = [
        (("response_type", ""), "invalid_request"),
        (("response_type", "token"), "unsupported_response_type"),
        (("response_mode", "form_post"), "invalid_request"),
        (("scope", ""), "invalid_scope"),
        (("scope", "profile email"), "invalid_scope"),
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge", "short"), "invalid_request"),
        (("code_challenge_method", ""), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("max_age", "soon"), "invalid_request"),
        (("prompt", "none login"), "invalid_request"),
        (("prompt", "none"), "login_required"),
        (("request", "x.y.z"), "request_not_supported"),
        (("request_uri", "urn:x"), "request_uri_not_supported"),
    ];
    for (change, error) in redirects {
        let answer = lab.authorize(&[change]).await.redirected();
        assert_eq!(answer["error"], error, "{change:?}");
        assert_eq!(answer["state"], "the state", "{change:?}");
        assert_eq!(answer["iss"], ISSUER, "{change:?}");
        assert!(!answer.contains_key("code"), "{change:?}");
    }

    let forged = lab
        .sign_in(&[("redirect_uri", "https://evil.example/")])
        .await;
    assert_eq!(
        forged.status,
        StatusCode::BAD_REQUEST,
        "judged again on submit"
    );
    assert_eq!(forged.header("set-cookie"), None);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_get_the_same_page() {
    let mut lab = Lab::new();
    let request = request_with(&[]);
    let mut bodies = Vec::new();
    for (username, password) in [("ada", "bob"), ("eve", "ada"), ("", ""), ("ada", "")] {
        let form = [
            ("request", request.as_str()),
            ("username", username),
            ("password", password),
        ];
        let answer = lab.post("/sign-in", &form).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert_eq!(answer.header("set-cookie"), None);
        assert!(answer.body.contains("role=\"alert\""));
        bodies.push(answer.body.replace(&format!("value=\"{username}\""), ""));
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1);
}

#[tokio::test]
async fn pages_escape_what_strangers_typed_and_carry_their_headers() {
    let mut lab = Lab::new();
    let evil = "\"><script>alert(1)</script>";
    let form = [
        ("request", &*request_with(&[])),
        ("username", evil),
        ("password", "x"),
    ];
    let typed = lab.post("/sign-in", &form).await;
    let hinted = lab.authorize(&[("login_hint", evil)]).await;
    // A browser encodes these characters in a query; a program may send them as they are.
    let raw = format!("{}&extra=\"><script>", request_with(&[]));
    let by_form = lab.send(Request::post("/authorize"), raw).await;
    for page in [typed, hinted, by_form] {
        assert!(!page.body.contains("<script"), "{}", page.body);
        assert!(page.body.contains("&#60;script&#62;"), "{}", page.body);
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        let csp = page.header("content-security-policy").unwrap();
        assert!(csp.contains("default-src 'none'"));
        assert!(csp.contains("frame-ancestors 'none'"));
        assert!(!csp.contains("form-action"), "it would stop the way back");
    }
    let style = lab.get("/style.css").await;
    assert_eq!(
        style.header("content-type"),
        Some("text/css; charset=utf-8")
    );
}

#[tokio::test]
async fn a_second_login_is_silent_unless_asked_otherwise() {
    let mut lab = Lab::new();
    lab.sign_in(&[]).await;
    lab.wait(100);

    let silent = lab.authorize(&[]).await.redirected();
    let tokens = lab.redeem(&silent["code"]).await.json();
    let claims = lab.claims(&tokens).await;
    assert_eq!(claims["auth_time"], START, "the time of the real login");

    let never = lab.authorize(&[("prompt", "none")]).await.redirected();
    assert!(never.contains_key("code"));

    for change in [
        ("prompt", "login"),
        ("prompt", "select_account"),
        ("max_age", "99"),
    ] {
        let page = lab.authorize(&[change]).await;
        assert_eq!(page.status, StatusCode::OK, "{change:?}");
    }
    lab.authorize(&[("max_age", "100")]).await.redirected();

    lab.wait(12 * 60 * 60);
    assert_eq!(lab.authorize(&[]).await.status, StatusCode::OK, "expired");
}

#[tokio::test]
async fn signing_out_and_signing_in_again_end_the_old_session() {
    let mut lab = Lab::new();
    lab.sign_in(&[]).await;
    let old = lab.cookie.clone();
    assert!(lab.get("/").await.body.contains("Ada Lovelace"));

    lab.sign_in(&[]).await;
    let new = lab.cookie.clone();
    lab.cookie = old;
    assert_eq!(lab.authorize(&[]).await.status, StatusCode::OK);

    lab.cookie.clone_from(&new);
    let out = lab.post("/sign-out", &[]).await;
    assert_eq!(out.header("location"), Some("/"));
    lab.cookie = new;
    assert_eq!(lab.authorize(&[]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn forms_of_other_sites_and_requests_for_other_hosts_are_refused() {
    let mut lab = Lab::new();
    for (origin, status) in [
        ("https://evil.example", StatusCode::BAD_REQUEST),
        ("null", StatusCode::BAD_REQUEST),
        (ISSUER, StatusCode::SEE_OTHER),
    ] {
        let request = Request::post("/sign-in").header(header::ORIGIN, origin);
        let body = encoded(&[
            ("request", &request_with(&[])),
            ("username", "bob"),
            ("password", "bob"),
        ]);
        assert_eq!(lab.send(request, body).await.status, status, "{origin}");
    }

    for host in ["evil.example:8081", "127.0.0.1", "localhost:8081"] {
        let request = Request::get("/").header(header::HOST, host);
        let request = request.body(Body::empty()).unwrap();
        let answer = lab.router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::MISDIRECTED_REQUEST, "{host}");
    }
}

#[tokio::test]
async fn a_code_counts_once_for_a_minute_with_its_verifier_and_redirect_uri() {
    let mut lab = Lab::new();

    for (name, value) in [
        ("code_verifier", "x".repeat(43)),
        ("code_verifier", CHALLENGE.to_owned()),
        ("redirect_uri", "http://127.0.0.1:8080/other".to_owned()),
    ] {
        let code = lab.code(&[]).await;
        let mut form = redemption(&code).to_vec();
        form.retain(|pair| pair.0 != name);
        form.push((name, &value));
        lab.token(&form).await.refused(400, "invalid_grant", name);
        lab.redeem(&code)
            .await
            .refused(400, "invalid_grant", "a try in vain spends the code");
    }

    let code = lab.code(&[]).await;
    for name in ["grant_type", "code", "code_verifier", "redirect_uri"] {
        let mut form = redemption(&code).to_vec();
        form.retain(|pair| pair.0 != name);
        lab.token(&form).await.refused(400, "invalid_request", name);
    }
    lab.wait(59);
    assert_eq!(lab.redeem(&code).await.status, StatusCode::OK);

    let late = lab.code(&[]).await;
    lab.wait(60);
    lab.redeem(&late)
        .await
        .refused(400, "invalid_grant", "a minute is over");
    lab.redeem("made-up")
        .await
        .refused(400, "invalid_grant", "never issued");
}

#[tokio::test]
async fn a_code_used_twice_ends_what_it_gave() {
    let mut lab = Lab::new();
    let code = lab.code(&[]).await;
    let tokens = lab.redeem(&code).await.json();
    lab.redeem(&code)
        .await
        .refused(400, "invalid_grant", "used before");
    lab.refresh(tokens["refresh_token"].as_str().unwrap())
        .await
        .refused(400, "invalid_grant", "RFC 6749 §4.1.2");
}

#[tokio::test]
async fn refresh_tokens_rotate_and_a_replay_ends_their_family_alone() {
    let mut lab = Lab::new();
    let code = lab.code(&[]).await;
    let first = lab.redeem(&code).await.json();
    let code = lab.code(&[]).await;
    let other = lab.redeem(&code).await.json();
    lab.wait(1_000);

    let old = first["refresh_token"].as_str().unwrap();
    let second = lab.refresh(old).await.json();
    let new = second["refresh_token"].as_str().unwrap();
    assert_ne!(old, new);
    let claims = lab.claims(&second).await;
    assert_eq!(claims["sub"], "demo-ada");
    assert_eq!(claims["auth_time"], START);
    assert_eq!(claims["iat"], START + 1_000);
    assert_eq!(claims.get("nonce"), None);

    let wide = [
        ("grant_type", "refresh_token"),
        ("refresh_token", new),
        ("scope", "openid admin"),
    ];
    lab.token(&wide)
        .await
        .refused(400, "invalid_scope", "wider than granted");
    let narrow = [wide[0], wide[1], ("scope", "openid email")];
    let third = lab.token(&narrow).await.json();
    assert_eq!(third["scope"], "openid email");
    assert_eq!(lab.claims(&third).await.get("name"), None);

    lab.refresh(old)
        .await
        .refused(400, "invalid_grant", "rotated away");
    lab.refresh(third["refresh_token"].as_str().unwrap())
        .await
        .refused(400, "invalid_grant", "its family has ended");
    let survivor = lab.refresh(other["refresh_token"].as_str().unwrap()).await;
    assert_eq!(survivor.status, StatusCode::OK, "another login goes on");
}

#[tokio::test]
async fn the_client_must_prove_itself_in_one_of_two_ways() {
    let mut lab = Lab::new();
    let good = basic("gateway", "s%3Acret+%2B");
    let wrong = basic("gateway", "wrong");
    let stranger = basic("stranger", "s%3Acret+%2B");
    // Authorization, client_id, client_secret, status, error
    let table = [
        (Some(good.as_str()), "", "", 200, ""),
        (Some(&good), "gateway", "", 200, ""),
        (None, "gateway", "s:cret +", 200, ""),
        (Some(&good), "stranger", "", 401, "invalid_client"),
        (Some(&good), "gateway", "s:cret +", 400, "invalid_request"),
        (Some(&wrong), "", "", 401, "invalid_client"),
        (Some(&stranger), "", "", 401, "invalid_client"),
        (Some("Bearer x"), "", "", 401, "invalid_client"),
        (Some("Basic %%%"), "", "", 401, "invalid_client"),
        (None, "gateway", "wrong", 401, "invalid_client"),
        (None, "gateway", "", 401, "invalid_client"),
        (None, "", "", 401, "invalid_client"),
    ];
    for (header, id, secret, status, error) in table {
        let why = format!("{header:?} {id} {secret}");
        let code = lab.code(&[]).await;
        let mut form = redemption(&code).to_vec();
        form.extend([("client_id", id), ("client_secret", secret)]);
        let mut request = Request::post("/token").header(
            header::CONTENT_TYPE,
            "application/x-www-form-urlencoded; charset=utf-8",
        );
        if let Some(header) = header {
            request = request.header(header::AUTHORIZATION, header);
        }
        let answer = lab.send(request, encoded(&form)).await;
        if status == 200 {
            assert_eq!(answer.status, StatusCode::OK, "{why}: {}", answer.body);
        } else {
            answer.refused(status, error, &why);
            let challenged = answer.header("www-authenticate").is_some();
            assert_eq!(challenged, status == 401, "{why}");
            let still_good = lab.redeem(&code).await.status;
            assert_eq!(still_good, StatusCode::OK, "{why}: strangers spend nothing");
        }
    }

    let json = Request::post("/token").header(header::CONTENT_TYPE, "application/json");
    lab.send(json, "{}".to_owned())
        .await
        .refused(400, "invalid_request", "not a form");
    lab.token(&[("grant_type", "password")]).await.refused(
        400,
        "unsupported_grant_type",
        "unknown grant",
    );
    lab.token(&[("code", "a"), ("code", "b")]).await.refused(
        400,
        "invalid_request",
        "a parameter twice",
    );
}

#[tokio::test]
async fn the_discovery_document_names_what_exists() {
    let mut lab = Lab::new();
    let document = lab.get("/.well-known/openid-configuration").await.json();
    assert_eq!(document["issuer"], ISSUER);
    for name in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
        let address = document[name].as_str().unwrap();
        let path = address.strip_prefix(ISSUER).unwrap();
        let answer = lab.get(path).await;
        assert_ne!(answer.status, StatusCode::NOT_FOUND, "{name}");
    }
    let keys = lab.get("/jwks.json").await.json();
    let key = &keys["keys"][0];
    assert_eq!(key["kty"], "EC");
    assert_eq!(key["crv"], "P-256");
    assert_eq!(key["alg"], "ES256");
    assert_eq!(key["use"], "sig");
    assert_eq!(key.get("d"), None, "the private part stays here");
}

#[test]
fn settings_that_cannot_work_are_refused() {
    type Change = fn(&mut DemoProviderSettings);
    let table: [(&str, Change); 11] = [
        ("IssuerNotAnOrigin", |it| it.issuer = "nonsense".to_owned()),
        ("IssuerNotAnOrigin", |it| it.issuer.push('/')),
        ("IssuerNotAnOrigin", |it| it.issuer.push_str("/realm")),
        ("IssuerNotAnOrigin", |it| {
            it.issuer = "https://127.0.0.1:8081".to_owned();
        }),
        ("IssuerNotLoopback", |it| {
            it.issuer = "http://192.168.1.2:8081".to_owned();
        }),
        ("IssuerNotLoopback", |it| {
            it.issuer = "http://id.example.com".to_owned();
        }),
        ("RedirectUriMalformed", |it| it.redirect_uri.push_str("#x")),
        ("RedirectUriMalformed", |it| {
            it.redirect_uri = "app:back".to_owned();
        }),
        ("ClientCredentialsEmpty", |it| it.client_secret.clear()),
        ("ClientCredentialsEmpty", |it| it.client_id.clear()),
        ("SigningKeyUnusable", |it| it.signing_key_pkcs8.truncate(20)),
    ];
    for (variant, change) in table {
        let mut settings = settings();
        change(&mut settings);
        let error = DemoProvider::new(settings).err().expect(variant);
        assert!(format!("{error:?}").starts_with(variant), "{error:?}");
    }
    for issuer in ["http://localhost:8081", "http://[::1]:8081"] {
        let mut settings = settings();
        settings.issuer = issuer.to_owned();
        assert!(DemoProvider::new(settings).is_ok(), "{issuer}");
    }
}

#[tokio::test]
async fn it_serves_on_a_real_loopback_port_until_told_to_stop() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let address = crate::demo::loopback::require_loopback("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = address.listen().await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut settings = settings();
    settings.issuer = format!("http://{address}");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let provider = DemoProvider::new(settings).unwrap();
    let serving = tokio::spawn(provider.serve(listener, async {
        let _ = stopped.await;
    }));

    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let request =
        format!("GET /jwks.json HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");

    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
}
