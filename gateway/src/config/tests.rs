use std::{collections::BTreeMap, path::Path};

use super::*;

const SMALL: &str = r#"
public_url = "https://mcp.example.com"
listen     = "0.0.0.0:8080"
tls        = "behind-proxy"
trusted_proxies = ["10.0.0.0/8"]

[idp]
issuer        = "https://id.example.com"
client_id     = "vestibule"
client_secret = { env = "IDP_SECRET" }

[servers.weather]
path     = "/weather/mcp"
upstream = "http://127.0.0.1:8123/weather"
title    = "Weather"
scopes   = { "weather:read" = "Look up cities and their weather" }
"#;

const SECRET: &str = "client_secret = { env = \"IDP_SECRET\" }";

/// With something else than the secret.
fn proving(credential: &str) -> String {
    SMALL.replace(SECRET, credential)
}

fn env() -> BTreeMap<String, String> {
    BTreeMap::from([("IDP_SECRET".to_owned(), "canary-secret".to_owned())])
}

fn read(text: &str) -> Result<Config, Report> {
    Config::read("vestibule.toml", text, Path::new("/nowhere"), &env())
}

fn codes(text: &str) -> Vec<&'static str> {
    match read(text) {
        Ok(_) => Vec::new(),
        Err(report) => report.problems().iter().map(Problem::code).collect(),
    }
}

#[test]
fn the_smallest_configuration_is_enough() {
    let config = read(SMALL).expect("the contract's example");
    assert_eq!(config.public_url.text(), "https://mcp.example.com");
    assert_eq!(config.tls, Tls::BehindProxy);
    assert_eq!(
        config.servers[0].resource.uri,
        "https://mcp.example.com/weather/mcp"
    );
    assert_eq!(config.tokens.access_ttl, Duration::from_secs(600));
    assert_eq!(config.store, Path::new("/nowhere/vestibule.db"));
    assert_eq!(
        config.admin.listen,
        SocketAddr::from(([127, 0, 0, 1], 9090))
    );
    assert_eq!(config.registration.dynamic, Admission::Open);
}

#[test]
fn bad_input_unknown_configuration_keys_are_errors_with_a_place_and_a_guess() {
    let wrong = SMALL.replace("upstream =", "upstreem =");
    let report = read(&wrong).expect_err("refused").to_string();
    assert!(
        report.contains("error[V-CFG-007]: unknown key \"servers.weather.upstreem\""),
        "{report}"
    );
    assert!(report.contains("--> vestibule.toml:14:1"), "{report}");
    assert!(report.contains("did you mean \"upstream\"?"), "{report}");
    assert!(
        report.contains("error[V-CFG-006]: servers.weather.upstream is missing"),
        "{report}"
    );
    assert!(
        report.contains("2 problems. Nothing was started."),
        "{report}"
    );
}

#[test]
fn ops_4_tls_1_tls_3_t_sto_04_what_weakens_security_does_not_start() {
    let table = [
        (
            SMALL.replace("https://mcp.example.com", "http://mcp.example.com"),
            "V-CFG-010",
        ),
        (
            SMALL.replace("mcp.example.com\"", "mcp.example.com/\""),
            "V-CFG-010",
        ),
        (
            SMALL.replace("tls        = \"behind-proxy\"", ""),
            "V-CFG-006",
        ),
        (
            SMALL.replace("trusted_proxies = [\"10.0.0.0/8\"]", ""),
            "V-CFG-012",
        ),
        (
            SMALL.replace("https://id.example.com", "http://id.example.com"),
            "V-CFG-015",
        ),
        (
            SMALL.replace("{ env = \"IDP_SECRET\" }", "\"literal\""),
            "V-CFG-025",
        ),
        (SMALL.replace("IDP_SECRET", "NOT_SET"), "V-CFG-026"),
        (proving("credential = \"secret\""), "V-CFG-045"),
        (proving("credential = { certificate = \"a\" }"), "V-CFG-045"),
        (
            proving(&format!("{SECRET}\ncredential = {{ assertion = \"a\" }}")),
            "V-CFG-045",
        ),
        (
            proving("credential = { certificate = \"a\", key = { env = \"IDP_SECRET\" } }"),
            "V-CFG-046",
        ),
        (
            SMALL.replace("{ env = \"IDP_SECRET\" }", "{ file = \"missing\" }"),
            "V-CFG-026",
        ),
        (SMALL.replace("/weather/mcp", "/"), "V-CFG-019"),
        (SMALL.replace("/weather/mcp", "/a/../b"), "V-CFG-019"),
        (SMALL.replace("/weather/mcp", "/token"), "V-CFG-020"),
        (SMALL.replace("/weather/mcp", "/token/mcp"), "V-CFG-020"),
        (SMALL.replace("/weather/mcp", "/.well-known/x"), "V-CFG-020"),
        (
            format!(
                "{SMALL}\n[servers.b]\npath = \"/weather/mcp/b\"\nupstream = \"http://127.0.0.1:1/\"\n"
            ),
            "V-CFG-016",
        ),
        (
            format!("{SMALL}\n[clients.x]\nredirect_uris = [\"http://evil.example/cb\"]\n"),
            "V-CFG-022",
        ),
        (
            format!("{SMALL}\n[tokens]\naccess_ttl = \"2d\"\n"),
            "V-CFG-031",
        ),
        ("public_url = ".to_owned(), "V-CFG-001"),
    ];
    for (text, code) in table {
        assert!(
            codes(&text).contains(&code),
            "{code}: {:?}\n{text}",
            codes(&text)
        );
    }
    let http = "public_url = \"http://127.0.0.1:8080\"\nlisten = \"0.0.0.0:8080\"\n";
    assert!(
        codes(http).contains(&"V-CFG-006"),
        "plain http only on loopback"
    );
}

/// The small configuration with these lines in `[idp]` in place of its issuer.
fn idp(lines: &str) -> String {
    let issuer = "issuer        = \"https://id.example.com\"";
    assert!(SMALL.contains(issuer), "{SMALL}");
    SMALL.replace(issuer, lines)
}

#[test]
fn d14_each_kind_of_provider_says_what_it_wants_and_nobody_is_let_in_by_mistake() {
    for (lines, expected) in [
        (
            "kind = \"keycloak\"\nissuer = \"https://k.example/realms/c\"",
            None,
        ),
        (
            "kind = \"keycloak\"\nissuer = \"https://k.example/realms/c/\"",
            Some("V-CFG-051"),
        ),
        (
            "kind = \"auth0\"\nissuer = \"https://t.auth0.com\"",
            Some("V-CFG-051"),
        ),
        (
            "kind = \"auth0\"\nissuer = \"https://t.auth0.com/\"\ngroups_claim = \"https://x/roles\"",
            None,
        ),
        ("kind = \"google\"", Some("V-CFG-052")),
        ("kind = \"google\"\nhosted_domain = \"example.com\"", None),
        ("kind = \"google\"\nhosted_domain = \"any\"", None),
        (
            "kind = \"nobody-knows\"\nissuer = \"https://x\"",
            Some("V-CFG-009"),
        ),
        (
            "issuer = \"https://x\"\nparams = { state = \"x\" }",
            Some("V-CFG-009"),
        ),
        (
            "issuer = \"https://x\"\nparams = { acr_values = \"2\" }",
            None,
        ),
        (
            "kind = \"entra\"\ntenant = \"organizations\"",
            Some("V-CFG-053"),
        ),
        (
            "kind = \"entra\"\ntenant = \"organizations\"\ntenants = []",
            Some("V-CFG-053"),
        ),
        (
            "kind = \"entra\"\ntenant = \"organizations\"\ntenants = [\"contoso.com\"]",
            Some("V-CFG-053"),
        ),
        (
            "kind = \"entra\"\ntenant = \"organizations\"\ntenants = [\"5f0c2f6e-8f0b-4c0e-9a52-6d6f1b9a7c11\"]",
            None,
        ),
        (
            "kind = \"entra\"\ntenant = \"5f0c2f6e-8f0b-4c0e-9a52-6d6f1b9a7c11\"\ntenants = [\"5f0c2f6e-8f0b-4c0e-9a52-6d6f1b9a7c11\"]",
            Some("V-CFG-053"),
        ),
    ] {
        let found = codes(&idp(lines));
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{lines}");
    }
    let google = idp("kind = \"google\"\nhosted_domain = \"example.com\"");
    let config = read(&google).expect("good").idp;
    assert_eq!(config.issuer, "https://accounts.google.com");
    assert!(!config.scopes.iter().any(|scope| scope == "offline_access"));
    assert!(
        config
            .params
            .contains(&("access_type".to_owned(), "offline".to_owned()))
    );
    // A rule about groups that nobody tells would deny nobody.
    let rule = format!("{google}deny = [\"group:guests\"]\n");
    assert_eq!(codes(&rule), ["V-CFG-054"]);
    let named = rule.replace("hosted_domain", "groups_claim = \"teams\"\nhosted_domain");
    assert!(codes(&named).is_empty());
}

#[test]
fn dcr_9_registration_by_token_needs_a_good_one_and_nothing_else_takes_it() {
    let with = |lines: &str| format!("{SMALL}\n[registration]\n{lines}\n");
    let mut env = env();
    env.insert("LONG".into(), "x".repeat(32));
    env.insert("SHORT".into(), "x".repeat(8));
    let codes = |text: &str| match Config::read("f", text, Path::new(""), &env) {
        Ok(_) => Vec::new(),
        Err(report) => report.problems().iter().map(Problem::code).collect(),
    };
    let good = "dynamic = \"token\"\ntoken = { env = \"LONG\" }";
    for (lines, expected) in [
        (good, &[][..]),
        ("dynamic = \"token\"", &["V-CFG-043"]),
        ("token = { env = \"LONG\" }", &["V-CFG-043"]),
        (
            "dynamic = \"token\"\ntoken = { env = \"SHORT\" }",
            &["V-CFG-034"],
        ),
        ("dynamic = \"token\"\ntoken = \"literal\"", &["V-CFG-025"]),
        ("documents = \"token\"", &["V-CFG-009"]),
        ("look_alikes = \"ignore\"", &["V-CFG-009"]),
    ] {
        assert_eq!(codes(&with(lines)), expected, "{lines}");
    }
    let config = Config::read("f", &with(good), Path::new(""), &env).expect("good");
    assert!(config.registration.initial_access_token.is_some());
    assert_eq!(config.registration.look_alikes, LookAlikes::Warn);
}

#[test]
fn a_color_and_a_picture_are_what_they_should_be() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.path().join(name), bytes).expect("written");
    };
    write("good", b"<svg></svg>");
    write("other", b"GIF89a");
    write("large", &[b' '; 40_000]);
    let codes = |lines: &str| -> Vec<_> {
        let text = format!("{SMALL}\n[instance]\n{lines}\n");
        match Config::read("f", &text, folder.path(), &env()) {
            Ok(_) => Vec::new(),
            Err(report) => report.problems().iter().map(Problem::code).collect(),
        }
    };
    for (lines, expected) in [
        ("color = \"#1f5f5b\"\nlogo = \"good\"", &[][..]),
        ("color = \"red\"", &["V-CFG-009"]),
        ("color = \"#000;}body{\"", &["V-CFG-009"]),
        ("logo = \"other\"", &["V-CFG-044"]),
        ("logo = \"large\"", &["V-CFG-044"]),
        ("logo = \"missing\"", &["V-CFG-044"]),
    ] {
        assert_eq!(codes(lines), expected, "{lines}");
    }
}

#[test]
fn ops_4_rs_11_rules_on_a_server_that_needs_no_token_are_a_mistake() {
    for rules in [
        "tools = { \"delete_*\" = { allow = [\"group:a\"] } }",
        "deny = [\"person:eve\"]",
    ] {
        let text = format!("{SMALL}public = true\n{rules}\n");
        assert_eq!(codes(&text), ["V-CFG-042"], "{rules}");
        assert_eq!(codes(&format!("{SMALL}public = false\n{rules}\n")), [""; 0]);
    }
    assert_eq!(codes(&format!("{SMALL}public = true\n")), [""; 0]);
    assert_eq!(codes(&format!("{SMALL}public = \"yes\"\n")), ["V-CFG-008"]);
}

#[test]
fn a_preset_fills_in_what_everybody_would_write() {
    let with = |lines: &str| format!("{SMALL}\n[clients.c]\n{lines}\n");
    let config = read(&with("preset = \"claude\"")).expect("good");
    let client = &config.clients[0];
    assert_eq!(client.name.as_deref(), Some("Claude"));
    assert_eq!(
        client.redirect_uris[0].text(),
        "https://claude.ai/api/mcp/auth_callback"
    );
    assert_eq!(client.credential.method_name(), "none");
    let mut env = env();
    env.insert("LONG".into(), "x".repeat(32));
    let text = with("preset = \"claude\"\nname = \"Ours\"\nsecret = { env = \"LONG\" }");
    let config = Config::read("f", &text, Path::new(""), &env).expect("good");
    let client = &config.clients[0];
    assert_eq!(client.name.as_deref(), Some("Ours"));
    assert_eq!(client.credential.method_name(), "client_secret_post");
    assert_eq!(
        codes(&with("preset = \"claud\"")),
        ["V-CFG-041", "V-CFG-006"]
    );
    // This one's addresses are other ones for each tool.
    assert_eq!(codes(&with("preset = \"copilot-studio\"")), ["V-CFG-006"]);
}

#[test]
fn every_mistake_is_reported_at_once() {
    let wrong = SMALL
        .replace("client_id     = \"vestibule\"", "client_id = 7")
        .replace("0.0.0.0:8080", "everywhere")
        .replace("title    =", "titel    =");
    assert_eq!(codes(&wrong), ["V-CFG-029", "V-CFG-008", "V-CFG-007"]);
}

#[test]
fn the_environment_wins_over_the_file() {
    let mut env = env();
    env.insert("VESTIBULE_IDP__CLIENT_ID".into(), "other".into());
    env.insert("VESTIBULE_TOKENS__ACCESS_TTL".into(), "5m".into());
    env.insert("VESTIBULE_LOG".into(), "debug".into());
    let config = Config::read("f", SMALL, Path::new(""), &env).expect("good");
    assert_eq!(config.idp.client_id, "other");
    assert_eq!(config.tokens.access_ttl, Duration::from_secs(300));
    env.insert("VESTIBULE_IDP__CLIENT".into(), "typo".into());
    let report = Config::read("f", SMALL, Path::new(""), &env)
        .expect_err("unknown")
        .to_string();
    assert!(
        report.contains("environment variable VESTIBULE_IDP__CLIENT"),
        "{report}"
    );
}

#[test]
fn t_adm_05_a_secret_is_shown_by_nothing() {
    let config = read(SMALL).expect("good");
    assert!(!format!("{config:?}").contains("canary-secret"));
}
