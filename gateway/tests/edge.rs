//! What reaches the gateway in an unusual way, or around it.

mod support;

use std::{collections::BTreeMap, path::Path, process::Command};

use serde_json::{Value, json};
use support::{CLIENT, Gate, PING, idp::Idp, query_of, repository, wire::Wire};
use vestibule_core::uri::with_query;

#[test]
fn tls_2_what_was_sent_in_clear_is_not_sent_again_and_browsers_are_told() {
    let gate = Gate::start_in(
        "",
        &[
            ("VESTIBULE_PUBLIC_URL", "https://mcp.example.com"),
            ("VESTIBULE_TLS", "behind-proxy"),
            ("VESTIBULE_TRUSTED_PROXIES", "127.0.0.0/8"),
        ],
    );
    let clear = [
        ("x-forwarded-proto", "http"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let mut answers = Vec::new();
    for (method, path) in [
        ("POST", "/token"),
        ("POST", "/register"),
        ("POST", "/revoke"),
        ("POST", "/a/mcp"),
        ("GET", "/a/mcp"),
        ("GET", "/.well-known/oauth-authorization-server"),
    ] {
        let answer = gate
            .wire()
            .request("mcp.example.com", method, path, &clear, b"");
        assert!(
            !(300..400).contains(&answer.status),
            "{path}: {}",
            answer.status
        );
        assert!(!answer.has("location"), "{path}");
        answers.push(answer);
    }
    for answer in answers {
        assert_eq!(answer.one("strict-transport-security"), "max-age=31536000");
    }
    // On plain loopback a browser is told nothing of the kind.
    let plain = Gate::start();
    assert!(!plain.get("/").has("strict-transport-security"));
    plain.honest_login();
}

#[test]
fn tls_6_t_grd_10_a_server_that_answers_without_the_gateway_is_found_and_can_tell() {
    let gate = Gate::start_in(
        "[servers.c]\npath = \"/c/mcp\"\nupstream = \"ECHO/backend-c\"\n\
         upstream_auth = { bearer = { env = \"BACKEND\" } }\n",
        &[("BACKEND", "only-the-gateway-knows")],
    );
    // The gateway proves itself to the server, with a secret that no client has.
    let token = gate
        .login(&mut support::Browser::new("ada"), "c", "")
        .access;
    gate.echo.take();
    assert_eq!(gate.call("c", &token, PING).status, 200);
    let seen = gate.echo.take().pop().expect("one request");
    assert_eq!(
        seen.headers["authorization"],
        "Bearer only-the-gateway-knows"
    );
    assert_eq!(seen.headers.get_all("authorization").iter().count(), 1);
    // Asked directly, a server that wants no proof is named by the self-test.
    let probe = |url: &str| {
        let home = tempfile::tempdir().expect("a folder");
        let output = Command::new(env!("CARGO_BIN_EXE_vestibule"))
            .args(["probe", url, "--json"])
            .env("XDG_CONFIG_HOME", home.path())
            .output()
            .expect("it runs");
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let flaws: Vec<String> = report["checks"]
            .as_array()
            .expect("checks")
            .iter()
            .filter_map(|check| check["flaw"].as_str().map(str::to_owned))
            .collect();
        flaws
    };
    let open = probe(&format!("{}/backend-c", gate.echo.origin));
    assert!(open.contains(&"open-server".to_owned()), "{open:?}");
    assert!(!probe(&gate.resource("c")).contains(&"open-server".to_owned()));
}

#[test]
fn t_prx_13_words_of_others_split_no_header_and_break_no_request() {
    let idp = Idp::start();
    let gate = Gate::start_in("", &[("VESTIBULE_IDP__ISSUER", &idp.issuer)]);
    for subject in [
        "ada\r\nx-vestibule-user: root",
        "Ünïcödé ∞",
        "a\u{0}b",
        "\u{202e}evil",
        &"x".repeat(200),
    ] {
        idp.with(|told| told.claims = json!({ "sub": subject, "name": subject }));
        let browser = support::Browser::new("ada");
        let (path, verifier) = gate.authorize_path("a", "a:read");
        let url = browser.decide(&gate, &path, "allow");
        let location = browser.open(&idp.sign_in(&url, "good")).one("location");
        let code = query_of(&location, "code").unwrap_or_else(|| panic!("{subject}: {location}"));
        let token = gate.redeem(&code, &verifier).access;
        gate.echo.take();
        let bearer = format!("Bearer {token}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("mcp-name", "=?base64?w7w=?="),
            ("user-agent", "M\u{fc}ller"),
        ];
        let answer = gate.post_mcp("a", &headers, PING);
        assert_eq!(answer.status, 200, "{subject:?}: {}", answer.text());
        let seen = gate.echo.take().pop().expect("one request");
        let users: Vec<_> = seen.headers.get_all("x-vestibule-user").iter().collect();
        assert_eq!(users.len(), 1, "{subject:?}");
        let user = users[0].to_str().expect("visible ASCII");
        assert!(user.bytes().all(|b| b.is_ascii_graphic()), "{user:?}");
        assert_ne!(user, "root");
    }
}

#[test]
fn t_prx_17_nobody_speaks_http_2_here() {
    let gate = Gate::start();
    for bytes in [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"[..],
        b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    ] {
        let mut wire = Wire::connect(gate.port);
        wire.send(bytes);
        if let Some((status, _)) = wire.head() {
            assert!((400..600).contains(&status), "{status}");
        }
        assert!(wire.is_closed(), "nothing more is read of it");
    }
    // An upgrade is not taken up: the request is answered as what it is.
    let host = gate.host();
    let headers = [
        ("connection", "Upgrade, HTTP2-Settings"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABkAAQAAP__"),
    ];
    let answer = gate.wire().get(&host, "/", &headers);
    assert_eq!(answer.status, 200);
    assert!(!answer.has("upgrade"));
    gate.honest_login();
}

#[test]
fn t_sto_05_odd_text_is_a_value_or_an_error_and_never_a_fault() {
    let gate = Gate::start();
    let tokens = gate.honest_login();
    let odd = [
        "' OR 1=1--",
        "\"; DROP TABLE grants; --",
        "%",
        "_",
        "\u{0}",
        "a\u{0}b",
        "\\x00",
        "\u{10ffff}",
        "vcl_test' --",
    ];
    for text in odd {
        let authorize = with_query(
            "/authorize",
            &[("client_id", text), ("redirect_uri", text), ("state", text)],
        );
        assert_eq!(gate.get(&authorize).status, 400, "{text:?}");
        for form in [
            vec![("grant_type", text), ("client_id", CLIENT)],
            vec![
                ("grant_type", "authorization_code"),
                ("client_id", text),
                ("code", text),
                ("code_verifier", text),
            ],
            vec![
                ("grant_type", "authorization_code"),
                ("client_id", CLIENT),
                ("code", text),
                ("code_verifier", text),
            ],
            vec![
                ("grant_type", "refresh_token"),
                ("client_id", CLIENT),
                ("refresh_token", text),
            ],
        ] {
            let answer = gate.token(&form);
            assert!(
                matches!(answer.status, 400 | 401),
                "{form:?}: {}",
                answer.status
            );
        }
        let gone = gate.wire().post_form(
            &gate.host(),
            "/revoke",
            &[("token", text), ("client_id", CLIENT)],
            &[],
        );
        assert_eq!(gone.status, 200, "{text:?}");
        let page = with_query("/oauth-callback", &[("state", text), ("code", text)]);
        assert!(matches!(gate.get(&page).status, 400 | 403), "{text:?}");
        let encoded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let flow = gate.get(&format!("/flows/{encoded}")).status;
        assert!(matches!(flow, 400 | 403 | 404), "{text:?}: {flow}");
    }
    // No UTF-8, and far too much.
    for body in [
        &b"client_id=%ff%fe&grant_type=%c3%28"[..],
        b"client_id=\xff\xfe",
    ] {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let answer = gate
            .wire()
            .request(&gate.host(), "POST", "/token", &headers, body);
        assert_eq!(answer.status, 400);
    }
    let large = "x".repeat(10 * 1024 * 1024);
    let answer = gate.token(&[("grant_type", "refresh_token"), ("refresh_token", &large)]);
    assert_eq!(answer.status, 413);
    assert_eq!(gate.call("a", &tokens.access, PING).status, 200);
    gate.honest_login();
}

/// Versions below which a dependency has a published weakness that reaches us.
const FLOORS: [(&str, (u64, u64, u64)); 6] = [
    ("jsonwebtoken", (10, 3, 0)),
    ("hyper", (1, 7, 0)),
    ("h2", (0, 4, 4)),
    ("sqlx", (0, 8, 1)),
    ("rustls", (0, 23, 18)),
    ("rmcp", (1, 0, 0)),
];

#[test]
fn t_sto_09_no_dependency_is_below_the_version_that_mended_it() {
    let lock = std::fs::read_to_string(repository().join("Cargo.lock")).expect("the lock");
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut name = "";
    for line in lock.lines() {
        let value = |prefix: &str| {
            line.strip_prefix(prefix)
                .map(|rest| rest.trim_matches(['"', ' ']))
        };
        if let Some(found) = value("name = ") {
            name = found;
        } else if let Some(version) = value("version = ") {
            versions.entry(name).or_default().push(version);
        }
    }
    for (name, floor) in FLOORS {
        for version in versions.get(name).into_iter().flatten() {
            let mut parts = version
                .split(['.', '-', '+'])
                .map(|part| part.parse().unwrap_or(0));
            let mut next = || parts.next().unwrap_or(0);
            let found = (next(), next(), next());
            assert!(found >= floor, "{name} {version} is below {floor:?}");
        }
    }
    // Those of the list that we do not have stay away without anybody noticing otherwise.
    for absent in ["openssl", "native-tls", "serde_yaml"] {
        assert!(!versions.contains_key(absent), "{absent}");
    }
    // What the advisory database says is asked by `scripts/test` wherever it is at hand.
    let script = std::fs::read_to_string(Path::new(repository()).join("scripts/test"));
    assert!(script.expect("the script").contains("check advisories"));
}
