//! Pages that need no login: which servers there are, how to connect, what an error means.

mod support;

use support::{Browser, Gate, wire::Answer};

/// What every page must be, whatever is on it.
fn is_a_page(answer: &Answer) -> String {
    assert_eq!(answer.one("content-type"), "text/html; charset=utf-8");
    let policy = answer.one("content-security-policy");
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let text = answer.text();
    for inline in [
        "<script",
        " style=",
        " onclick=",
        "http://fonts",
        "https://fonts",
    ] {
        assert!(!text.contains(inline), "{inline}");
    }
    assert!(text.len() < 60_000, "{} bytes", text.len());
    text
}

#[test]
fn each_server_has_a_page_that_says_how_to_connect() {
    let gate = Gate::start();
    let landing = is_a_page(&gate.get("/"));
    for name in ["a", "b", "open"] {
        assert!(
            landing.contains(&format!("href=\"/connect/{name}\"")),
            "{name}"
        );
        assert!(landing.contains(&gate.resource(name)), "{name}");
    }
    let answer = gate.get("/connect/a");
    assert_eq!(answer.status, 200);
    let page = is_a_page(&answer);
    for part in [
        "Connect Server A",
        "Read a",
        "a:write",
        "href=\"vscode:mcp/install?",
        "href=\"cursor://anysphere.cursor-deeplink/mcp/install?",
        "claude mcp add --transport http a ",
        "vestibule login ",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(page.matches(&gate.resource("a")).count() >= 7);
    let unknown = gate.get("/connect/nothing");
    assert_eq!(unknown.status, 404);
    assert!(is_a_page(&unknown).contains("V-WEB-001"));
}

#[test]
fn strangers_are_told_of_no_server_where_that_is_not_wished() {
    let gate = Gate::start_in("", &[("VESTIBULE_LANDING", "false")]);
    for path in ["/", "/connect/a", "/elsewhere"] {
        let answer = gate.get(path);
        assert_eq!(answer.status, 404, "{path}");
        let text = is_a_page(&answer);
        // Nobody is sent to a list that is not there.
        assert!(text.contains("Ask whoever runs this gateway"), "{text}");
        assert!(
            !text.contains("Server A") && !text.contains("/a/mcp"),
            "{path}"
        );
    }
    gate.honest_login();
}

#[test]
fn each_error_has_a_page_and_only_errors_have() {
    let gate = Gate::start();
    let list = is_a_page(&gate.get("/errors"));
    for (code, entry) in vestibule::catalogue::all() {
        assert!(list.contains(&format!("href=\"/errors/{code}\"")), "{code}");
        let answer = gate.get(&format!("/errors/{code}"));
        assert_eq!(answer.status, 200, "{code}");
        let page = is_a_page(&answer);
        for field in ["Cause", "How to see it", "Fix", "Who can"] {
            assert!(
                page.contains(&format!("<dt>{field}</dt><dd")),
                "{code}: {field}"
            );
        }
        assert!(page.contains(entry.who.words()), "{code}");
    }
    assert_eq!(
        gate.get("/errors/v-cfg-7").status,
        200,
        "as people write it"
    );
    for nothing in ["/errors/V-CFG-999", "/errors/%3Cscript%3E", "/errors/.."] {
        let answer = gate.get(nothing);
        assert_eq!(answer.status, 404, "{nothing}");
        assert!(!is_a_page(&answer).contains("<script>"), "{nothing}");
    }
}

#[test]
fn pages_speak_the_language_that_is_asked_for() {
    let gate = Gate::start();
    let (path, _) = gate.authorize_path("a", "a:read");
    let page = |path: &str, accept: &str| {
        let headers = [("accept-language", accept)];
        let answer = gate.wire().get(&gate.host(), path, &headers);
        is_a_page(&answer)
    };
    let german = page(&path, "de-CH, en;q=0.5");
    assert!(
        german.contains("<html lang=\"de\" dir=\"ltr\">"),
        "{german}"
    );
    for part in ["Darf diese App Server A benutzen?", "Ablehnen", "Erlauben"] {
        assert!(german.contains(part), "{part} in {german}");
    }
    assert!(page(&path, "fr").contains("Let this app use Server A?"));
    let asked = page(&format!("{path}&ui_locales=de"), "en");
    assert!(asked.contains("Ablehnen"));
    assert!(page("/nothing", "de").contains("Hier ist nichts"));
    assert!(page("/apps", "de").contains("Apps, die für Sie handeln können"));
    // What is said in English only says so.
    let error = page("/errors/V-IDP-014", "de");
    assert!(
        error.contains("<dt>Ursache</dt><dd lang=\"en\" dir=\"ltr\">"),
        "{error}"
    );
    let turned = page(&format!("{path}&ui_locales=ar-XB"), "en");
    assert!(
        turned.contains("<html lang=\"ar-XB\" dir=\"rtl\">"),
        "{turned}"
    );
}

#[test]
fn an_operators_color_and_picture_are_on_every_page_and_do_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let logo = folder.path().join("logo");
    let svg = "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";
    std::fs::write(&logo, svg).expect("written");
    let more = format!("[instance]\nname = \"Contoso\"\ncolor = \"#ffd400\"\nlogo = {logo:?}\n");
    let gate = Gate::start_with(&more);
    for path in ["/", "/nothing/here", "/apps", "/device"] {
        let page = is_a_page(&gate.get(path));
        assert!(
            page.contains("<img class=\"logo\" src=\"/assets/logo\" alt=\"\">Contoso"),
            "{page}"
        );
    }
    let picture = gate.get("/assets/logo");
    assert_eq!(picture.one("content-type"), "image/svg+xml");
    assert_eq!(picture.text(), svg);
    let policy = picture.one("content-security-policy");
    assert!(
        policy.contains("default-src 'none'") && policy.contains("sandbox"),
        "{policy}"
    );
    let style = gate.get("/assets/vestibule.css").text();
    assert_eq!(
        style.matches("--accent: #").count(),
        4,
        "two of ours, two of the operator's"
    );
    assert_eq!(Gate::start().get("/assets/logo").status, 404);
}

#[test]
fn the_record_of_a_login_has_the_one_script_and_goes_on_while_the_login_does() {
    let gate = Gate::start();
    let browser = Browser::new("ada");
    let (path, _) = gate.authorize_path("a", "a:read");
    let consent = browser.open(&format!("{}{path}", gate.origin));
    let page = consent.text();
    let from = page.find("/flows/").expect("a flow");
    let flow = format!("{}{}", gate.origin, &page[from..from + 16]);
    let open = browser.open(&flow);
    assert_eq!(open.text().matches("<script").count(), 1);
    assert!(
        open.text()
            .contains("<script src=\"/assets/flow.js\" defer></script>")
    );
    let policy = open.one("content-security-policy");
    assert!(
        policy.contains("script-src 'self'; connect-src 'self'"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");
    let script = gate.get("/assets/flow.js");
    assert_eq!(script.one("content-type"), "text/javascript; charset=utf-8");
    let (ticket, token) = (consent.field("ticket"), consent.field("token"));
    let form = [
        ("ticket", &*ticket),
        ("token", &token),
        ("decision", "deny"),
    ];
    let decision = format!("{}/consent/decision", gate.origin);
    browser.submit(&decision, &form, Some(&gate.origin));
    let over = browser.open(&flow);
    assert_eq!(over.one("content-security-policy"), policy);
    assert!(open.text().contains("data-again") && !over.text().contains("data-again"));
}

#[test]
fn every_message_is_said_somewhere() {
    let gateway = support::repository().join("gateway");
    let mut said = String::new();
    let mut folders = vec![gateway.join("src"), gateway.join("templates")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("there") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                said += &std::fs::read_to_string(&path).expect("text");
            }
        }
    }
    let messages = std::fs::read_to_string(gateway.join("locales/en.ftl")).expect("there");
    let ids = messages.lines().filter_map(|line| line.split_once(" ="));
    for (id, _) in ids.filter(|(id, _)| id.starts_with(|c: char| c.is_ascii_alphabetic())) {
        // These are named by what they are about.
        let whole = !["stage-", "way-"].iter().any(|part| id.starts_with(part));
        assert!(!whole || said.contains(&format!("\"{id}\"")), "{id}");
    }
}
