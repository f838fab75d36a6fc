//! `vestibule doctor`, as somebody types it, beside a gateway that runs and one that does not.

mod support;

use std::process::Command;

use serde_json::{Value, json};
use support::{Gate, idp::Idp};

/// Runs it; its exit code, and what was found as `state about`.
fn doctor(gate: &Gate, idp: &Idp, more: &[&str]) -> (i32, Vec<String>, Value) {
    doctor_with(gate, idp, more, &[])
}

fn doctor_with(
    gate: &Gate,
    idp: &Idp,
    more: &[&str],
    env: &[(&str, &str)],
) -> (i32, Vec<String>, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_vestibule"))
        .args(["doctor", "--json", "-c"])
        .arg(gate.folder.join("vestibule.toml"))
        .args(more)
        .env("VESTIBULE_IDP__ISSUER", &idp.issuer)
        .envs(env.iter().copied())
        .output()
        .expect("runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains("canary"), "{text}");
    let found: Value = serde_json::from_str(&text).unwrap_or_else(|_| {
        panic!("{text}{}", String::from_utf8_lossy(&output.stderr));
    });
    let lines = found.as_array().expect("a list").iter().map(|one| {
        let part = |name: &str| one[name].as_str().unwrap_or_default();
        format!("{} {}", part("state"), part("about"))
    });
    (output.status.code().unwrap_or(-1), lines.collect(), found)
}

fn has(found: &[String], line: &str) -> bool {
    found.iter().any(|one| one == line)
}

#[test]
fn h3_c3_all_that_a_login_needs_is_looked_at_and_nothing_is_changed() {
    let idp = Idp::start();
    // Who says no time cannot be compared with.
    let gate = Gate::start_process("", &[("VESTIBULE_IDP__ISSUER", idp.issuer.as_str())]);
    support::wait_until("it serves", || {
        std::net::TcpStream::connect(("127.0.0.1", gate.port)).is_ok()
    });
    let before = gate.disk();
    idp.with(|told| told.refusal = Some((400, r#"{"error":"invalid_grant"}"#.to_owned())));
    let (code, found, all) = doctor(&gate, &idp, &[]);
    assert_eq!(code, 0, "{all:#}");
    for line in [
        "ok configuration",
        "ok root key",
        "ok store",
        "ok disk",
        "ok listening",
        "ok public address",
        "ok metadata",
        "ok proxy in front",
        "ok provider",
        "ok client",
        "ok redirect address",
        "ok server",
        "note public address",
        "note servers",
    ] {
        assert!(has(&found, line), "{line} in {all:#}");
    }
    assert_eq!(gate.disk().len(), before.len());
    // What is right for a test is wrong in production.
    let (code, found, _) = doctor(&gate, &idp, &["--profile", "production"]);
    assert_eq!(code, 5);
    assert!(has(&found, "wrong public address") && has(&found, "wrong servers"));
}

#[test]
fn h3_each_fault_is_named_with_what_to_do() {
    let idp = Idp::start();
    let gate = Gate::start_process("", &[("VESTIBULE_IDP__ISSUER", idp.issuer.as_str())]);
    support::wait_until("it serves", || {
        std::net::TcpStream::connect(("127.0.0.1", gate.port)).is_ok()
    });
    let wrong = |change: &dyn Fn(), about: &str| {
        change();
        let (code, found, all) = doctor(&gate, &idp, &[]);
        assert_eq!(code, 5, "{about}: {all:#}");
        assert!(has(&found, &format!("wrong {about}")), "{about} in {all:#}");
        let one = all
            .as_array()
            .expect("a list")
            .iter()
            .find(|one| one["state"] == "wrong");
        assert!(one.is_some_and(|one| one["fix"].as_str().is_some_and(|fix| fix.len() > 10)));
    };
    wrong(
        &|| {
            let no = r#"{"error":"invalid_client","error_description":"expired"}"#;
            idp.with(|told| told.refusal = Some((401, no.to_owned())));
        },
        "client",
    );
    idp.with(|told| told.refusal = Some((400, r#"{"error":"invalid_grant"}"#.to_owned())));
    wrong(
        &|| idp.with(|told| told.knows_no_redirect = true),
        "redirect address",
    );
    idp.with(|told| told.knows_no_redirect = false);
    wrong(
        &|| idp.with(|told| told.document["issuer"] = json!("https://other.example")),
        "provider",
    );
    let issuer = idp.issuer.clone();
    idp.with(|told| told.document["issuer"] = json!(issuer));
    let root = gate.folder.join("keys").join("root.key");
    let away = gate.folder.join("root.key.away");
    wrong(
        &|| std::fs::rename(&root, &away).expect("moved"),
        "root key",
    );
    std::fs::rename(&away, &root).expect("moved back");
    // A path that the gateway which runs knows nothing of.
    let path = [("VESTIBULE_SERVERS__A__PATH", "/elsewhere/mcp")];
    let (code, found, all) = doctor_with(&gate, &idp, &[], &path);
    assert!(code == 5 && has(&found, "wrong metadata"), "{all:#}");
    // A gateway of another store, whose addresses are taken.
    let store = gate.folder.join("other.db");
    let store = format!("sqlite:{}", store.display());
    let store = [("VESTIBULE_STORE__URL", store.as_str())];
    let (code, found, all) = doctor_with(&gate, &idp, &["--offline"], &store);
    assert!(code == 5 && has(&found, "wrong listening"), "{all:#}");
    let elsewhere = [
        ("VESTIBULE_LISTEN", "127.0.0.1:0"),
        ("VESTIBULE_ADMIN__LISTEN", "127.0.0.1:0"),
    ];
    let (_, found, all) = doctor_with(
        &gate,
        &idp,
        &["--offline"],
        &[&store[..], &elsewhere].concat(),
    );
    assert!(has(&found, "ok listening"), "{all:#}");
    let (code, found, _) = doctor(&gate, &idp, &["--offline"]);
    assert_eq!(code, 0);
    assert!(has(&found, "skipped provider and servers"));
    assert!(!has(&found, "ok provider"));
}

#[test]
fn h3_a_certificate_that_ends_is_told_in_time() {
    use chrono::{Datelike as _, TimeDelta, Utc};
    let idp = Idp::start();
    for (days, state) in [(-1, "wrong"), (10, "note"), (90, "ok")] {
        let day = Utc::now() + TimeDelta::days(days);
        let mut params = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
        let (month, day_of) = (day.month() as u8, day.day() as u8);
        params.not_after = rcgen::date_time_ymd(day.year(), month, day_of);
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let make = |folder: &std::path::Path| {
            std::fs::write(folder.join("vestibule.crt"), certificate.pem()).expect("written");
            std::fs::write(folder.join("vestibule.key"), key.serialize_pem()).expect("written");
        };
        let credential =
            "credential = { certificate = \"vestibule.crt\", key = { file = \"vestibule.key\" } }";
        let gate = Gate::start_proving(credential, make, &[("VESTIBULE_IDP__ISSUER", &idp.issuer)]);
        let (_, found, all) = doctor(&gate, &idp, &["--offline"]);
        assert!(
            has(&found, &format!("{state} client certificate")),
            "{all:#}"
        );
        let admin = format!("127.0.0.1:{}", gate.admin);
        let ready = support::wire::Wire::to(&admin).get(&admin, "/readyz?verbose", &[]);
        assert_eq!(ready.status, 200, "it is a warning: {}", ready.text());
        let warned = ready.text().contains("[!]idp its certificate ends");
        assert_eq!(warned, days < 30, "{}", ready.text());
    }
}
