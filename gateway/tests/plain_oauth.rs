//! Identity providers that speak OAuth and no OpenID Connect (UP-22): GitHub, against a stand-in
//! that is strict about what it documents, and others by their endpoints.

mod support;

use serde_json::json;
use support::{
    Browser, Gate, PING, Tokens,
    github::{GitHub, TOKEN},
    query_of, read_config,
    wire::Answer,
};

fn gate_in(github: &GitHub, more: &[(&str, &str)]) -> Gate {
    let mut env = vec![
        ("VESTIBULE_IDP__ISSUER", github.issuer.as_str()),
        ("VESTIBULE_IDP__KIND", "github"),
        ("VESTIBULE_IDP__ORGANIZATIONS", "9919"),
        ("VESTIBULE_IDP__RECHECK", "1m"),
        ("VESTIBULE_IDP__GRACE", "5m"),
        ("VESTIBULE_SERVERS__A__UPSTREAM_AUTH", "none"),
    ];
    env.extend(more);
    Gate::start_in("", &env)
}

/// What the way back answers, and what the client gets.
fn login(gate: &Gate, github: &GitHub) -> (Answer, Tokens) {
    let browser = Browser::new("ada");
    let (path, verifier) = gate.authorize_path("a", "a:read");
    let url = browser.decide(gate, &path, "allow");
    let back = browser.open(&github.sign_in(&url, "good"));
    let location = back.all("location");
    let location = location.first().copied().unwrap_or_default();
    let tokens = match query_of(location, "code") {
        Some(code) => gate.redeem(&code, &verifier),
        None => Tokens::of(&json!({})),
    };
    (back, tokens)
}

fn status_of(gate: &Gate, tokens: &Tokens) -> u16 {
    gate.call("a", &tokens.access, PING).status
}

#[test]
fn up_4_up_22_github_s_people_sign_in_by_their_lasting_id() {
    let github = GitHub::start();
    let gate = gate_in(&github, &[]);
    let (_, tokens) = login(&gate, &github);
    assert_eq!(status_of(&gate, &tokens), 200);
    let people = || {
        let office = &gate.running().office;
        let people = office.store.people(None, office.world.now(), 10);
        let people = gate.running().handle().block_on(people);
        people.expect("a store that answers")
    };
    // Another login name is the same person, and another person with that name is not.
    github.with(|told| told.user["login"] = "ada-l".into());
    login(&gate, &github);
    assert_eq!(people().len(), 1);
    github.with(|told| told.user = json!({ "id": 2, "login": "ada" }));
    login(&gate, &github);
    assert_eq!(people().len(), 2);
    // An answer under another name is another's (RFC 9207), also where it is the issuer's.
    github.with(|told| told.other_iss = true);
    let (back, _) = login(&gate, &github);
    assert!(back.text().contains("V-IDP-003"), "{}", back.text());
    // Its token stays here, and it rests sealed.
    let disk = String::from_utf8_lossy(&gate.disk()).into_owned();
    assert!(!disk.contains(TOKEN) && !disk.contains("canary"));
}

#[test]
fn up_22_d14_only_members_of_the_organization_are_let_in() {
    let github = GitHub::start();
    let gate = gate_in(&github, &[]);
    for orgs in [vec![], vec![991], vec![1, 2]] {
        github.with(|told| {
            told.orgs = orgs;
            // A team of this number is no organization.
            told.teams = vec![9919];
        });
        let (back, tokens) = login(&gate, &github);
        assert!(tokens.access.is_empty());
        let page = back.text();
        assert!(back.status == 403 && page.contains("V-IDP-023"), "{page}");
        assert!(!page.contains("canary"));
    }
    // On whatever page of the list it stands.
    github.with(|told| told.orgs = (1..=250).chain([9919]).collect());
    assert_eq!(status_of(&gate, &login(&gate, &github).1), 200);
    // A list without an end is no list.
    github.with(|told| told.orgs = (10_000..11_000).collect());
    assert!(login(&gate, &github).1.access.is_empty());
}

#[test]
fn up_22_rules_name_organizations_and_teams() {
    let github = GitHub::start();
    let any = [
        ("VESTIBULE_IDP__ORGANIZATIONS", "any"),
        ("VESTIBULE_SERVERS__A__ALLOW", "group:team:7"),
        ("VESTIBULE_SERVERS__A__DENY", "group:org:13"),
    ];
    let gate = gate_in(&github, &any);
    for (orgs, teams, is_in) in [
        (vec![1], vec![7], true),
        (vec![7], vec![8], false),
        (vec![13], vec![7], false),
        (vec![], vec![], false),
    ] {
        github.with(|told| (told.orgs, told.teams) = (orgs, teams));
        let (back, tokens) = login(&gate, &github);
        assert_eq!(
            back.status,
            if is_in { 303 } else { 403 },
            "{}",
            back.text()
        );
        assert_eq!(!tokens.access.is_empty(), is_in);
    }
    // Of what nothing asks, nobody is asked.
    let github = GitHub::start();
    let gate = gate_in(&github, &[]);
    github.with(|told| told.teams = (1..=900).collect());
    assert_eq!(status_of(&gate, &login(&gate, &github).1), 200);
    assert_eq!(
        github.with(|told| told.paths.clone()),
        ["/user", "/user/orgs"]
    );
    let github = GitHub::start();
    let gate = gate_in(&github, &[("VESTIBULE_IDP__ORGANIZATIONS", "any")]);
    assert_eq!(status_of(&gate, &login(&gate, &github).1), 200);
    assert_eq!(github.with(|told| told.paths.clone()), ["/user"]);
}

#[test]
fn up_10_up_22_who_takes_the_access_back_there_loses_it_here() {
    for leave in [
        |told: &mut support::github::Told| told.refusal = Some(401),
        // An account that was suspended.
        |told: &mut support::github::Told| told.refusal = Some(403),
        |told: &mut support::github::Told| told.orgs = vec![1],
        |told: &mut support::github::Told| told.user["id"] = 7.into(),
    ] {
        let github = GitHub::start();
        let gate = gate_in(&github, &[]);
        let (_, tokens) = login(&gate, &github);
        gate.turn_clock(61);
        let again = Tokens::of(&gate.refresh(&tokens.refresh).json());
        assert_eq!(status_of(&gate, &again), 200);
        assert_eq!(github.with(|told| told.asked), 2);
        github.with(leave);
        gate.turn_clock(61);
        let refused = gate.refresh(&again.refresh);
        assert_eq!(refused.status, 400, "{}", refused.text());
        assert_eq!(refused.json()["error"], "invalid_grant");
        assert_eq!(status_of(&gate, &again), 401);
    }
}

#[test]
fn up_12_up_22_what_fails_there_says_nothing_of_the_person() {
    let github = GitHub::start();
    let gate = gate_in(&github, &[]);
    let (_, tokens) = login(&gate, &github);
    // Too many questions, or down: its last word is good for a while.
    for status in [403, 429, 500] {
        github.with(|told| (told.refusal, told.limited) = (Some(status), status == 403));
        gate.turn_clock(61);
    }
    let again = gate.refresh(&tokens.refresh);
    assert_eq!(again.status, 200, "{}", again.text());
    let again = Tokens::of(&again.json());
    gate.turn_clock(300);
    assert_eq!(gate.refresh(&again.refresh).status, 503);
    github.with(|told| told.refusal = None);
    gate.turn_clock(30);
    assert_eq!(gate.refresh(&again.refresh).status, 200);
    // At a login nobody is let in by a guess, and its words stay in the record.
    github.with(|told| told.refusal = Some(500));
    let (back, tokens) = login(&gate, &github);
    assert!(tokens.access.is_empty());
    let error = query_of(&back.one("location"), "error");
    assert_eq!(error.as_deref(), Some("temporarily_unavailable"));
    github.with(|told| {
        told.refusal = None;
        told.other_secret = true;
    });
    let (back, _) = login(&gate, &github);
    let error = query_of(&back.one("location"), "error");
    assert_eq!(error.as_deref(), Some("server_error"));
    assert!(!back.text().contains("canary") && !back.one("location").contains("canary"));
}

#[test]
fn up_22_d14_everybody_in_the_world_is_let_in_by_choice_alone() {
    let problems = |lines: &str| {
        let text = format!(
            r#"
public_url = "http://127.0.0.1:8080"
[idp]
client_id = "v"
client_secret = {{ file = "secret" }}
{lines}
[servers.a]
upstream = "http://127.0.0.1:1/mcp"
"#
        );
        read_config(&text).map(|config| config.idp.issuer)
    };
    let github = |more: &str| problems(&format!("kind = \"github\"\n{more}"));
    assert_eq!(github(""), Err(vec!["V-CFG-052"]));
    assert_eq!(github("organizations = \"acme\""), Err(vec!["V-CFG-052"]));
    assert_eq!(github("organizations = []"), Err(vec!["V-CFG-052"]));
    assert_eq!(
        github("organizations = \"any\"").as_deref(),
        Ok("https://github.com")
    );
    assert_eq!(
        github("organizations = [\"9919\"]").as_deref(),
        Ok("https://github.com")
    );
    let plain = |subject: &str, token: &str| {
        problems(&format!(
            "kind = \"oauth\"\nissuer = \"https://x.example\"\n{subject}\n\
             authorization_endpoint = \"https://x.example/a\"\ntoken_endpoint = \"{token}\"\n\
             userinfo_endpoint = \"https://x.example/me\""
        ))
    };
    let id = "subject_claim = \"data.id\"";
    assert_eq!(
        plain(id, "https://x.example/t").as_deref(),
        Ok("https://x.example")
    );
    assert_eq!(plain("", "https://x.example/t"), Err(vec!["V-CFG-006"]));
    assert_eq!(plain(id, "http://x.example/t"), Err(vec!["V-CFG-015"]));
    assert_eq!(plain(id, "x"), Err(vec!["V-CFG-014"]));
}

#[test]
fn up_22_another_provider_is_asked_where_it_is_said() {
    let github = GitHub::start();
    let at = |path: &str| format!("{}{path}", github.issuer);
    let (authorize, token) = (
        at("/login/oauth/authorize"),
        at("/login/oauth/access_token"),
    );
    let me = at("/api/v3/user");
    github.with(|told| {
        // It calls itself what its people are filed under.
        told.other_iss = true;
        told.user = json!({ "data": { "id": "u-1", "nick": "ada", "of": ["staff"] } });
    });
    let env = [
        ("VESTIBULE_IDP__ISSUER", github.issuer.as_str()),
        ("VESTIBULE_IDP__KIND", "oauth"),
        ("VESTIBULE_IDP__SCOPES", "me"),
        ("VESTIBULE_IDP__AUTHORIZATION_ENDPOINT", &authorize),
        ("VESTIBULE_IDP__TOKEN_ENDPOINT", &token),
        ("VESTIBULE_IDP__USERINFO_ENDPOINT", &me),
        ("VESTIBULE_IDP__SUBJECT_CLAIM", "data.id"),
        ("VESTIBULE_IDP__USERNAME_CLAIM", "data.nick"),
        ("VESTIBULE_IDP__GROUPS_CLAIM", "data.of"),
        ("VESTIBULE_IDP__CLIENT_SECRET_POST", "true"),
        ("VESTIBULE_SERVERS__A__ALLOW", "group:staff"),
    ];
    let gate = Gate::start_in("", &env);
    assert_eq!(status_of(&gate, &login(&gate, &github).1), 200);
    github.with(|told| told.user["data"]["of"] = json!(["guests"]));
    assert_eq!(login(&gate, &github).0.status, 403);
}
