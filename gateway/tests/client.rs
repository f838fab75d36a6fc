//! `vestibule probe`, `login` and `call`: against this gateway, against a server that nobody
//! guards, and against one with the flaws of a lab.

mod support;

use std::{collections::BTreeSet, path::Path, process::Command};

use serde_json::Value;
use support::{
    Browser, Gate,
    echo::Echo,
    flawed::{Flawed, Flaws},
    free_port, wait_until,
};

/// What a command ended with: code, standard output, standard error.
struct Ended {
    code: i32,
    out: String,
    err: String,
}

fn vestibule(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command
        .args(args)
        .env("XDG_CONFIG_HOME", home)
        .env_remove("BROWSER");
    command
}

fn run(home: &Path, args: &[&str]) -> Ended {
    ended(vestibule(home, args).output().expect("it runs"))
}

fn ended(output: std::process::Output) -> Ended {
    Ended {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// The names of the flaws that a probe finds.
fn flaws(url: &str, more: &[&str]) -> (i32, BTreeSet<String>) {
    let home = tempfile::tempdir().expect("a folder");
    let args = [&["probe", url, "--json"], more].concat();
    let ended = run(home.path(), &args);
    let report: Value = serde_json::from_str(&ended.out).expect(&ended.err);
    let checks = report["checks"].as_array().expect("checks");
    let found = checks.iter().filter_map(|check| check["flaw"].as_str());
    assert_eq!(report["ok"] == true, ended.code == 0);
    (ended.code, found.map(str::to_owned).collect())
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn this_gateway_has_no_flaw() {
    let gate = Gate::start();
    assert_eq!(flaws(&gate.resource("a"), &["--register"]), (0, set(&[])));
    let home = tempfile::tempdir().expect("a folder");
    let text = run(home.path(), &["probe", &gate.resource("a"), "--register"]);
    assert_eq!(text.code, 0);
    assert!(
        text.out.contains("0 failures, 0 warnings, 20 ok"),
        "{}",
        text.out
    );
    let junit = run(home.path(), &["probe", &gate.resource("a"), "--junit"]);
    assert!(
        junit.out.contains("failures=\"0\" skipped=\"1\""),
        "{}",
        junit.out
    );
    // A path that is not a server's.
    let (code, found) = flaws(&format!("{}/c/mcp", gate.origin), &[]);
    assert_eq!(code, 5);
    assert!(found.contains("not-served-here"), "{found:?}");
}

#[test]
fn a_server_that_nobody_guards_is_open() {
    let echo = Echo::start();
    let (code, found) = flaws(&format!("{}/mcp", echo.origin), &[]);
    assert_eq!(code, 5);
    assert_eq!(
        found,
        set(&["open-server", "foreign-origin-accepted", "sessions-only"])
    );
    let home = tempfile::tempdir().expect("a folder");
    let away = run(
        home.path(),
        &["probe", &format!("http://127.0.0.1:{}/", free_port())],
    );
    assert_eq!(away.code, 4);
    assert!(away.err.contains("error[V-CMD-002]") && away.out.is_empty());
    assert_eq!(run(home.path(), &["probe", "nonsense"]).code, 2);
}

#[test]
fn a_real_server_that_nobody_guards_says_what_it_speaks() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let port = free_port();
    let host = format!("127.0.0.1:{port}");
    let router = runtime.block_on(async {
        vestibule::demo::weather::router("/mcp", vec![host.clone()], std::future::pending())
    });
    runtime.spawn(async move {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await;
        axum::serve(listener.expect("a port"), router).await
    });
    wait_until("the server listens", || {
        std::net::TcpStream::connect(&host).is_ok()
    });
    let url = format!("http://{host}/mcp");
    // It turns away foreign pages by itself.
    assert_eq!(flaws(&url, &[]), (5, set(&["open-server"])));
    let home = tempfile::tempdir().expect("a folder");
    let probe = run(home.path(), &["probe", &url]);
    assert!(
        probe.out.contains("2025-11-25, 2026-07-28"),
        "{}",
        probe.out
    );
    // And it can be called as it is.
    let call = run(
        home.path(),
        &["call", &url, "get_weather", "city=Oslo", "--json"],
    );
    assert_eq!(call.code, 0, "{}", call.err);
    let said: Value = serde_json::from_str(&call.out).expect("JSON");
    assert_eq!(said["city"], "Oslo", "{said}");
    let list = run(home.path(), &["call", &url]);
    assert!(list.out.contains("get_weather"), "{}", list.out);
    for (words, code) in [
        (&["call", &url, "get_wether"][..], 2),
        (&["call", &url, "get_weather", "town=Oslo"], 2),
        (&["call", &url, "get_weather"], 2),
        (&["login", &url], 6),
    ] {
        let ended = run(home.path(), words);
        assert_eq!(ended.code, code, "{words:?}: {}", ended.err);
        assert!(ended.err.starts_with("error[V-CMD-"), "{}", ended.err);
    }
}

#[test]
fn each_flaw_of_a_lab_is_reported_by_name() {
    // What the lab always has.
    let always = [
        "no-iss-parameter",
        "no-client-documents",
        "origin-not-checked",
        "preflight-refused",
        "token-answers-may-be-stored",
        "registration-not-201",
        "redirect-not-checked",
        "pkce-not-required",
    ];
    for (which, names) in [
        (
            Flaws::RealmOnly,
            &[
                "no-invalid-token-error",
                "challenge-without-resource-metadata",
                "no-resource-metadata",
            ][..],
        ),
        (
            Flaws::AnyToken,
            &[
                "any-token-accepted",
                "challenge-without-resource-metadata",
                "no-resource-metadata",
            ],
        ),
        (
            Flaws::BorrowedMetadata,
            &[
                "no-invalid-token-error",
                "challenge-without-resource-metadata",
                "no-resource-metadata",
                "issuer-mismatch",
                "pkce-not-offered",
            ],
        ),
    ] {
        let lab = Flawed::start(which);
        let (code, found) = flaws(&lab.url(), &["--register"]);
        assert_eq!(code, 5);
        assert_eq!(found, set(&[&always[..], names].concat()), "{which:?}");
    }
    let lab = Flawed::start(Flaws::InsideOut);
    let (_, found) = flaws(&lab.url(), &[]);
    assert_eq!(
        found,
        set(&[
            "no-invalid-token-error",
            "challenge-without-resource-metadata",
            "no-resource-metadata",
            "no-iss-parameter",
            "no-client-documents",
            "origin-not-checked",
            "preflight-refused",
            "endpoints-not-followed",
            "token-endpoint-away",
        ])
    );
    // The challenge points where nothing is, and the document is another server's.
    let lab = Flawed::start(Flaws::Elsewhere);
    let (_, found) = flaws(&lab.url(), &[]);
    assert_eq!(
        found,
        set(&[
            "no-invalid-token-error",
            "origin-not-checked",
            "challenge-points-nowhere",
            "resource-mismatch",
            "no-authorization-server-metadata",
        ])
    );
    // Nobody signs in there.
    let home = tempfile::tempdir().expect("a folder");
    let login = run(home.path(), &["login", &lab.url()]);
    assert_eq!(login.code, 6, "{}", login.err);
    assert!(login.err.contains("is not believed"), "{}", login.err);
}

/// A login at the command line, with the test's own browser.
fn sign_in(gate: &Gate, home: &Path, args: &[&str], person: &str) -> Ended {
    let mut command = vestibule(home, args);
    let opened = home.join("opened");
    let _ = std::fs::remove_file(&opened);
    let script = home.join("browser");
    std::fs::write(
        &script,
        format!(
            "#!/bin/sh\nprintf %s \"$1\" > {0}.new && mv {0}.new {0}\n",
            opened.display()
        ),
    )
    .expect("written");
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("set");
    let child = command
        .env("BROWSER", &script)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it runs");
    wait_until("a browser is opened", || opened.exists());
    let address = std::fs::read_to_string(&opened).expect("an address");
    let path = address
        .strip_prefix(&gate.origin)
        .expect("the gateway's own");
    let callback = Browser::new(person).answer(gate, path);
    // An answer with a wrong state is not this login's, and does not end it.
    let wrong = callback.replace("state=", "state=x");
    let host = callback
        .trim_start_matches("http://")
        .split('/')
        .next()
        .expect("a host");
    let follow = |url: &str| {
        let path = url.trim_start_matches("http://").trim_start_matches(host);
        support::wire::Wire::to(host).get(host, path, &[])
    };
    assert_eq!(follow(&wrong).status, 400);
    let page = follow(&callback);
    assert!(
        page.text().contains("You can close this window"),
        "{}",
        page.text()
    );
    ended(child.wait_with_output().expect("it ends"))
}

#[test]
fn a_login_at_the_command_line_is_kept_renewed_and_widened() {
    let gate = Gate::start();
    let home = tempfile::tempdir().expect("a folder");
    let url = gate.resource("a");
    // Without a login nobody is signed in behind a script's back.
    let call = run(home.path(), &["call", &url, "--no-login"]);
    assert_eq!(call.code, 3, "{}", call.err);
    assert!(call.err.contains(&format!("vestibule login {url}")));

    let login = sign_in(&gate, home.path(), &["login", &url], "ada");
    assert_eq!(login.code, 0, "{}", login.err);
    assert!(login.out.contains("signed in to") && login.out.contains("next: vestibule call a"));
    let shown = format!("{}{}", login.out, login.err);
    assert!(
        !shown.contains("vat_") && !shown.contains("vrt_"),
        "{shown}"
    );

    // By its short name, and without asking again.
    let tools =
        r#"{"jsonrpc":"2.0","id":2,"result":{"tools":[{"name":"set_x","inputSchema":{}}]}}"#;
    let discovered = r#"{"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2026-07-28"]}}"#;
    let say = |result: &str| {
        // Discovery comes on a connection of its own, whose ids begin anew.
        gate.echo.answers(200, "application/json", discovered);
        gate.echo.answers(
            200,
            "application/json",
            &tools.replace("\"id\":2", "\"id\":1"),
        );
        if !result.is_empty() {
            gate.echo.answers(200, "application/json", result);
        }
    };
    say("");
    let list = run(home.path(), &["call", "a"]);
    assert_eq!(
        (list.code, list.out.as_str()),
        (0, "set_x\n"),
        "{}",
        list.err
    );

    // The access token ended: it is renewed, and nobody is asked.
    let kept = |home: &Path| -> Value {
        let folder = home.join("vestibule/logins");
        let files = std::fs::read_dir(folder)
            .expect("kept")
            .map(|entry| entry.expect("a file").path());
        let mut files = files.filter(|path| path.extension().is_some_and(|end| end == "json"));
        serde_json::from_slice(&std::fs::read(files.next().expect("one")).expect("read"))
            .expect("JSON")
    };
    let before = kept(home.path());
    let form = [
        ("client_id", before["client"]["id"].as_str().expect("an id")),
        ("token", before["access_token"].as_str().expect("a token")),
    ];
    assert_eq!(
        gate.wire()
            .post_form(&gate.host(), "/revoke", &form, &[])
            .status,
        200
    );
    say("");
    let list = run(home.path(), &["call", "a", "--no-login"]);
    assert_eq!(list.code, 0, "{}", list.err);
    assert_ne!(kept(home.path())["access_token"], before["access_token"]);

    // A tool that needs more: the person is asked again, for both.
    say("");
    let refused = run(home.path(), &["call", "a", "set_x", "--no-login"]);
    assert_eq!(refused.code, 3, "{}", refused.err);
    say("");
    let result = r#"{"jsonrpc":"2.0","id":2,"result":{"content":[{"type":"text","text":"done"}]}}"#;
    say(result);
    let done = sign_in(&gate, home.path(), &["call", "a", "set_x"], "ada");
    assert_eq!(
        (done.code, done.out.as_str()),
        (0, "done\n"),
        "{}",
        done.err
    );
    let scope = kept(home.path())["scope"]
        .as_str()
        .expect("a scope")
        .to_owned();
    assert!(
        scope.contains("a:read") && scope.contains("a:write"),
        "{scope}"
    );

    let last = kept(home.path());
    let forgotten = run(home.path(), &["login", &url, "--forget"]);
    assert_eq!(forgotten.code, 0);
    assert!(forgotten.out.contains("revoked"), "{}", forgotten.out);
    assert_eq!(run(home.path(), &["call", "a"]).code, 2);
    for (kind, token) in [
        ("refresh_token", &last["refresh_token"]),
        ("access_token", &last["access_token"]),
    ] {
        let token = token.as_str().expect("a token");
        let status = match kind {
            "access_token" => gate.call("a", token, r#"{"jsonrpc":"2.0","id":1}"#).status,
            _ => {
                let form = [
                    ("grant_type", kind),
                    ("refresh_token", token),
                    ("client_id", last["client"]["id"].as_str().expect("an id")),
                ];
                gate.wire()
                    .post_form(&gate.host(), "/token", &form, &[])
                    .status
            }
        };
        assert!(matches!(status, 400 | 401), "{kind}: {status}");
    }
}

/// A login that was kept, with its token endpoint elsewhere, and its access token ended.
fn keep(home: &Path, server: &str, token_endpoint: &str, client: &str) -> std::path::PathBuf {
    let logins = vestibule::client::credentials::Logins::within(&home.join("vestibule/logins"));
    let login = serde_json::json!({
        "server": server, "issuer": server, "token_endpoint": token_endpoint,
        "resource": server, "client": { "id": client, "method": "none" },
        "access_token": "old", "expires": 1, "refresh_token": "vrt_x", "scope": "a:read",
    });
    let login = serde_json::from_value(login).expect("a login");
    logins.save(&login).expect("kept");
    logins.path(&login.server)
}

#[test]
fn a_token_endpoint_that_is_not_well_ends_no_login() {
    let gate = Gate::start();
    let sick = Echo::start();
    let home = tempfile::tempdir().expect("a folder");
    let url = gate.resource("a");
    let call = || run(home.path(), &["call", &url, "--no-login"]);
    let token = |path: &str| format!("{}/{path}", sick.origin);
    let kept = keep(home.path(), &url, &token("token"), "c");
    for (status, body, code) in [
        (503, "", 4),
        (429, r#"{"error":"slow_down"}"#, 4),
        (500, r#"{"error":"invalid_grant"}"#, 4),
        (400, r#"{"error":"temporarily_unavailable"}"#, 4),
    ] {
        sick.answers(status, "application/json", body);
        let ended = call();
        assert_eq!(ended.code, code, "{status} {body}: {}", ended.err);
        assert!(kept.exists(), "{status} {body}");
    }
    // The grant is gone: somebody must sign in, as the same client.
    sick.answers(400, "application/json", r#"{"error":"invalid_grant"}"#);
    assert_eq!(call().code, 3);
    assert!(kept.exists());
    // The client is gone: where nobody can sign in, that changes nothing here.
    let gone = r#"{"error":"invalid_client"}"#;
    sick.answers(401, "application/json", gone);
    assert_eq!(call().code, 3);
    assert!(kept.exists());
    // Where somebody can, a registration is not shown again, and a client by hand stays.
    for (registered, stays) in [(false, true), (true, false)] {
        let text = std::fs::read_to_string(&kept).expect("kept");
        let mut login: Value = serde_json::from_str(&text).expect("JSON");
        login["client"]["registered"] = registered.into();
        std::fs::write(&kept, login.to_string()).expect("written");
        sick.answers(401, "application/json", gone);
        let mut command = vestibule(home.path(), &["call", &url]);
        let opened = home.path().join("opened");
        let _ = std::fs::remove_file(&opened);
        let script = home.path().join("browser");
        std::fs::write(&script, format!("#!/bin/sh\ntouch {}\n", opened.display()))
            .expect("written");
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("set");
        let mut child = command.env("BROWSER", &script).spawn().expect("it runs");
        wait_until("a browser is opened", || opened.exists());
        child.kill().expect("it waits");
        child.wait().expect("ended");
        assert_eq!(kept.exists(), stays);
    }
}

#[test]
fn tokens_are_shown_to_nobody_in_the_open() {
    let home = tempfile::tempdir().expect("a folder");
    for command in ["login", "call"] {
        let ended = run(home.path(), &[command, "http://mcp.example.com/mcp"]);
        assert_eq!(ended.code, 2, "{}", ended.err);
        assert!(ended.err.contains("error[V-CMD-016]"), "{}", ended.err);
        assert!(ended.err.contains("--allow-http"), "{}", ended.err);
    }
}

#[test]
fn words_of_a_server_steer_no_terminal() {
    let echo = Echo::start();
    let home = tempfile::tempdir().expect("a folder");
    let url = format!("{}/mcp", echo.origin);
    let evil = r"x\u001b[2J\u009b1A\u202e\n  fix: run this";
    let answer = |id: u32, result: &str| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},{result}}}"#);
        echo.answers(200, "application/json", &body.replace(r"\\", r"\"));
    };
    let discovered = r#""result":{"supportedVersions":["2026-07-28"]}"#;
    let tools = format!(r#""result":{{"tools":[{{"name":"{evil}"}},{{"name":"t"}}]}}"#);
    let error = format!(r#""error":{{"code":-32000,"message":"{evil}"}}"#);
    let clean = |ended: &Ended| {
        let all = format!("{}{}", ended.out, ended.err);
        let steers = |c: char| vestibule_core::text::is_deceptive(c);
        assert!(!all.contains(steers), "{all:?}");
        assert!(!all.contains("\n  fix: run this"), "{all:?}");
    };
    for args in [&["call", &url][..], &["call", &url, "u"]] {
        answer(1, discovered);
        answer(1, &tools);
        clean(&run(home.path(), args));
    }
    answer(1, discovered);
    answer(1, &tools);
    answer(2, &error);
    let ended = run(home.path(), &["call", &url, "t"]);
    assert!(ended.err.contains("the server says: x[2J"), "{}", ended.err);
    clean(&ended);
}

#[test]
fn a_login_without_a_browser_shows_a_code() {
    let gate = Gate::start_with("[tokens]\ndevice = true");
    let home = tempfile::tempdir().expect("a folder");
    let url = gate.resource("a");
    let child = vestibule(home.path(), &["login", &url, "--device"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::fs::File::create(home.path().join("talk")).expect("a file"))
        .spawn()
        .expect("it runs");
    let talk = || std::fs::read_to_string(home.path().join("talk")).unwrap_or_default();
    wait_until("the code is shown", || talk().contains("Waiting"));
    let said = talk();
    let code = said.lines().nth(4).expect(&said).trim();
    let browser = Browser::new("ada");
    let page = format!("{}/device", gate.origin);
    let submit =
        |address: &str, form: &[(&str, &str)]| browser.submit(address, form, Some(&gate.origin));
    let token = browser.open(&page).field("token");
    let consent = submit(&page, &[("token", &token), ("user_code", code)]);
    assert_eq!(consent.status, 200, "{}", consent.text());
    let decided = submit(
        &format!("{}/consent/decision", gate.origin),
        &[
            ("ticket", &consent.field("ticket")),
            ("token", &consent.field("token")),
            ("decision", "allow"),
        ],
    );
    let provider = browser.open(&decided.one("location")).refresh_target();
    let back = browser.open(&browser.sign_in(&provider));
    assert_eq!(browser.open(&back.one("location")).status, 200);
    let ended = ended(child.wait_with_output().expect("it ends"));
    assert_eq!(ended.code, 0, "{}", talk());
    assert!(ended.out.contains("signed in to"), "{}", ended.out);
}
