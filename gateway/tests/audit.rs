//! The audit: who called which tool and how that ended, kept through a crash, without what it
//! was about.

mod support;

use std::sync::Arc;

use support::{Browser, Gate, PING, Tokens, tool_call};
use vestibule::{
    audit::{Audit, Found},
    pulse::Pulse,
    store::{Sought, Store, sqlite::Sqlite},
};
use vestibule_core::{
    access_token::{AccessToken, Opens},
    audit::{Call, Ended, Filter, Outcome, Record},
    bearer::{self, Caller},
    id::{ClientRef, GrantId, PersonId, TokenId},
    resource::Resource,
    scope::ScopeSet,
    time::Timestamp,
    uri::Issuer,
};

/// Rows of any kind.
fn all() -> Sought {
    Sought {
        most: 10_000,
        ..Sought::default()
    }
}

/// What the running gateway's audit finds.
fn find(gate: &Gate, filter: &Filter) -> Vec<Call> {
    let running = gate.running();
    let audit = running.office.audit.clone();
    let found: Found = running
        .handle()
        .block_on(async { audit.calls(filter, None, 1000).await })
        .expect("the store answers");
    found.calls
}

/// Everything in the store's audit, of a gateway that has ended.
fn on_disk(gate: &Gate) -> Vec<Record> {
    let store = Sqlite::open(&gate.folder.join("vestibule.db"), Default::default()).expect("opens");
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let rows = runtime.expect("a runtime").block_on(store.audited(all()));
    rows.expect("answers")
        .into_iter()
        .map(|(_, record)| record)
        .collect()
}

fn calls_of(records: &[Record]) -> Vec<Call> {
    let calls = records.iter().filter_map(|record| match record {
        Record::Calls(page) => Some(page.calls().collect::<Vec<_>>()),
        _ => None,
    });
    calls.flatten().collect()
}

fn login(gate: &Gate, person: &str) -> Tokens {
    gate.login(&mut Browser::new(person), "a", "a:read")
}

#[test]
fn ops_3_each_call_is_told_with_person_client_server_tool_end_and_flow() {
    let gate = Gate::start();
    let (ada, bob) = (login(&gate, "ada"), login(&gate, "bob"));
    assert_eq!(
        gate.call("a", &ada.access, &tool_call("get_weather"))
            .status,
        200
    );
    assert_eq!(
        gate.call("a", &bob.access, &tool_call("set_alert")).status,
        403
    );
    assert_eq!(gate.call("a", &ada.access, PING).status, 200);
    assert_eq!(
        gate.post_mcp("open", &[], &tool_call("anything")).status,
        200
    );
    let calls = find(&gate, &Filter::default());
    assert_eq!(
        calls.len(),
        2,
        "a ping is no call of a tool, and at a public server nobody is known: {calls:?}"
    );
    let [denied, good] = calls.as_slice() else {
        panic!("{calls:?}");
    };
    assert_eq!(
        (good.subject.shown.as_str(), good.server.as_str()),
        ("ada", "a")
    );
    assert_eq!(
        (good.tool.as_str(), good.ended),
        ("get_weather", Ended::Answered(200))
    );
    assert_eq!(good.subject.client_name, "Test client");
    let flow = good.subject.flow.expect("a flow");
    let page = gate.get(&format!("/flows/{flow}"));
    assert_eq!(page.status, 404, "it exists, and is another browser's");
    assert!(
        gate.running()
            .handle()
            .block_on(gate.running().office.flows.find(flow))
            .is_ok_and(|found| found.is_some())
    );
    assert_eq!(
        (denied.subject.shown.as_str(), denied.ended),
        ("bob", Ended::NeedsScope)
    );
    // Each field can be looked for.
    let with = |change: &dyn Fn(&mut Filter)| {
        let mut filter = Filter::default();
        change(&mut filter);
        find(&gate, &filter).len()
    };
    assert_eq!(with(&|f| f.person = Some("ad".into())), 1);
    assert_eq!(with(&|f| f.server = Some("a".into())), 2);
    assert_eq!(with(&|f| f.outcome = Some(Outcome::Denied)), 1);
    assert_eq!(with(&|f| f.tool = Some("nothing".into())), 0);
}

#[test]
fn ops_3_how_a_call_failed_is_told_whoever_failed() {
    let gate = Gate::start_with(
        "[servers.gone]\npath = \"/gone/mcp\"\nupstream = \"http://127.0.0.1:9/mcp\"\n",
    );
    let tokens = gate.login(&mut Browser::new("ada"), "gone", "");
    assert_eq!(
        gate.call("gone", &tokens.access, &tool_call("x")).status,
        502
    );
    let refused = format!("{} trailing", tool_call("x"));
    assert_eq!(gate.call("gone", &tokens.access, &refused).status, 400);
    let calls = find(&gate, &Filter::default());
    assert_eq!(
        calls.len(),
        1,
        "what is no message calls nothing: {calls:?}"
    );
    assert_eq!(calls[0].ended, Ended::ServerFailed);
}

#[test]
fn ops_3_arguments_are_left_out_unless_they_are_wanted() {
    const CALL: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"get_weather","arguments":{"city":"canary-city"}}}"#;
    let gate = Gate::start();
    let ada = login(&gate, "ada");
    assert_eq!(gate.call("a", &ada.access, CALL).status, 200);
    let calls = find(&gate, &Filter::default());
    assert_eq!(calls[0].arguments, None);
    let disk = gate.disk();
    for canary in ["canary-city", &ada.access, &ada.refresh] {
        let there = disk
            .windows(canary.len())
            .any(|part| part == canary.as_bytes());
        assert!(!there, "{canary}");
    }
    let gate = Gate::start_with("[audit]\narguments = true\n");
    let ada = login(&gate, "ada");
    assert_eq!(gate.call("a", &ada.access, CALL).status, 200);
    let calls = find(&gate, &Filter::default());
    assert_eq!(
        calls[0].arguments.as_deref(),
        Some(r#"{"city":"canary-city"}"#)
    );
    let batch = format!("[{CALL},{PING}]");
    let answer = gate.post_mcp(
        "a",
        &[
            ("authorization", &format!("Bearer {}", ada.access)),
            ("mcp-protocol-version", "2025-03-26"),
        ],
        &batch,
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    let calls = find(&gate, &Filter::default());
    assert_eq!(
        calls[0].arguments.as_deref(),
        Some(r#"{"city":"canary-city"}"#)
    );

    let gate = Gate::start_with("[audit]\ntool_calls = false\n");
    let ada = login(&gate, "ada");
    assert_eq!(gate.call("a", &ada.access, CALL).status, 200);
    assert_eq!(find(&gate, &Filter::default()), []);
}

#[test]
fn ops_3_the_audit_outlives_the_process() {
    let mut gate = Gate::start_process("", &[]);
    let ada = login(&gate, "ada");
    for _ in 0..20 {
        assert_eq!(
            gate.call("a", &ada.access, &tool_call("get_weather"))
                .status,
            200
        );
    }
    let written = || {
        let text = gate.disk();
        text.windows(11).any(|part| part == b"get_weather")
    };
    support::wait_until("the calls reach the disk", written);
    gate.kill();
    let records = on_disk(&gate);
    assert_eq!(calls_of(&records).len(), 20);
    // The steps of the login are there beside, with their flow.
    let flow = calls_of(&records)[0].subject.flow;
    let steps: Vec<_> = records
        .iter()
        .filter_map(|record| match record {
            Record::Steps { steps } => Some(steps.clone()),
            _ => None,
        })
        .flatten()
        .collect();
    assert!(steps.iter().any(|(of, _)| Some(*of) == flow), "{steps:?}");
    // A graceful end leaves nothing behind that was not written.
    gate.restart();
    assert_eq!(
        gate.call("a", &ada.access, &tool_call("the_last")).status,
        200
    );
    gate.end();
    assert!(
        calls_of(&on_disk(&gate))
            .iter()
            .any(|call| call.tool == "the_last")
    );
}

#[test]
fn ops_3_nothing_in_the_audit_is_changed_through_the_store() {
    let mut gate = Gate::start_process("", &[]);
    let ada = login(&gate, "ada");
    assert_eq!(
        gate.call("a", &ada.access, &tool_call("get_weather"))
            .status,
        200
    );
    gate.end();
    let db = rusqlite::Connection::open(gate.folder.join("vestibule.db")).expect("opens");
    let error = db
        .execute("UPDATE audit SET record = '{}'", [])
        .expect_err("refused");
    assert!(
        error.to_string().contains("the audit is not changed"),
        "{error}"
    );
}

#[test]
fn cons_10_whoever_stops_an_app_is_in_the_audit() {
    let gate = Gate::start();
    let mut browser = Browser::new("ada");
    gate.login(&mut browser, "a", "a:read");
    let apps = browser.open(&format!("{}/apps", gate.origin));
    let (token, client) = (apps.field("token"), apps.field("client"));
    let form = [
        ("token", token.as_str()),
        ("client", &client),
        ("act", "stop"),
    ];
    let done = browser.submit(&format!("{}/apps", gate.origin), &form, Some(&gate.origin));
    assert_eq!(done.status, 200);
    let running = gate.running();
    let store = running.office.store.clone();
    let rows = running
        .handle()
        .block_on(async { store.audited(all()).await });
    let acts: Vec<_> = rows
        .expect("answers")
        .into_iter()
        .filter_map(|(_, record)| match record {
            Record::Act(act) => Some((act.by.shown().to_owned(), act.what.sentence())),
            _ => None,
        })
        .collect();
    let told = "ended what Test client may do for ada (1 live)";
    assert_eq!(acts, [("ada".to_owned(), told.to_owned())]);
}

#[test]
fn a_search_goes_on_where_it_stopped() {
    let gate = Gate::start();
    let ada = login(&gate, "ada");
    for n in 0..7 {
        let tool = format!("tool_{n}");
        assert_eq!(gate.call("a", &ada.access, &tool_call(&tool)).status, 200);
    }
    let running = gate.running();
    let audit = running.office.audit.clone();
    let mut tools = Vec::new();
    let mut after = None;
    loop {
        let filter = Filter::default();
        let found = running
            .handle()
            .block_on(async { audit.calls(&filter, after, 3).await });
        let found = found.expect("answers");
        tools.extend(found.calls.into_iter().map(|call| call.tool));
        after = match found.next {
            Some(next) => vestibule::audit::Cursor::parse(&next.to_string()),
            None => break,
        };
        assert!(after.is_some());
    }
    let expected: Vec<_> = (0..7).rev().map(|n| format!("tool_{n}")).collect();
    assert_eq!(tools, expected);
}

/// Whoever shows a token with these parties.
fn caller() -> Caller {
    struct One(Arc<AccessToken>);
    impl Opens for One {
        fn open(&self, _: &str) -> Option<Arc<AccessToken>> {
            Some(Arc::clone(&self.0))
        }
    }
    let issuer = Issuer::parse("https://gw.example").expect("an origin");
    let resource = Resource::new(&issuer, "a", "/a/mcp", "A");
    let token = AccessToken {
        id: TokenId::new([1; 16]),
        grant: GrantId::new([2; 16]),
        subject: PersonId::new([3; 16]),
        machine: false,
        client: ClientRef::of("vcl_test"),
        subject_epoch: 0,
        client_epoch: 0,
        issued: Timestamp::from_unix(900),
        expires: Timestamp::from_unix(2000),
        resource: resource.uri.clone(),
        scopes: ScopeSet::default(),
        confirmation: None,
        actor: None,
        groups: Vec::new(),
    };
    let opens = One(Arc::new(token));
    let revocations = vestibule::revocation::Revocations::default();
    let now = Timestamp::from_unix(1000);
    let leeway = std::time::Duration::ZERO;
    bearer::judge(
        "t",
        None,
        &resource,
        &opens,
        &**revocations.now(),
        leeway,
        now,
    )
    .expect("good")
}

#[tokio::test]
async fn ops_3_without_a_place_in_the_audit_no_call_is_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Sqlite::open(&folder.path().join("vestibule.db"), Default::default());
    let settings = vestibule::config::Auditing {
        tool_calls: true,
        arguments: false,
        retention: std::time::Duration::from_secs(86_400),
    };
    let now = Timestamp::from_unix(1000);
    let pulse = Arc::new(Pulse::new(now));
    let audit = Arc::new(Audit::new(settings, Arc::new(store.expect("opens")), pulse));
    let server: Arc<str> = "a".into();
    let called = || vestibule::audit::Called {
        tool: "tool".into(),
        arguments: None,
    };
    let caller = caller();
    let begin = || {
        audit.begin(
            Some(&caller),
            &server,
            [called()].into_iter().collect(),
            now,
        )
    };
    let mut made = 0;
    while begin().is_ok() {
        made += 1;
        assert!(made <= 100_000, "it is bounded");
    }
    audit.keep().await;
    assert!(begin().is_ok(), "what was written makes room");
    let found = audit.calls(&Filter::default(), None, 200_000).await;
    assert_eq!(
        found.expect("answers").calls.len(),
        made + 1,
        "none was lost"
    );
}

#[test]
fn ops_3_a_name_of_a_tool_is_kept_as_far_as_it_is_sane() {
    let gate = Gate::start();
    let ada = login(&gate, "ada");
    let long = "ä".repeat(10_000);
    gate.call("a", &ada.access, &tool_call(&long));
    let calls = find(&gate, &Filter::default());
    assert_eq!(calls[0].tool.chars().count(), 128);
}

#[test]
fn ops_3_one_call_of_a_batch_takes_no_other_with_it() {
    const BATCH: &str = r#"[{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]},
        {"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"get_weather","arguments":{"city":"Riga"}}}]"#;
    let gate = Gate::start_with("[audit]\narguments = true\n");
    let ada = login(&gate, "ada");
    let headers = [
        ("authorization", &*format!("Bearer {}", ada.access)),
        ("mcp-protocol-version", "2025-03-26"),
    ];
    gate.post_mcp("a", &headers, BATCH);
    let calls = find(&gate, &Filter::default());
    assert_eq!(calls[0].arguments.as_deref(), Some(r#"{"city":"Riga"}"#));
}
