//! What operators see and decide.

use vestibule::store::{
    ClientDecision, Finished, NewLink, Outcome, Recorded, SignedIn, Sought, Standing, ToClient,
    ToPerson, UnmakeOperator,
};
use vestibule_core::{
    audit::Actor,
    bearer::Revocations as _,
    flow::{Entry, FlowCode, Step},
    id::{ClientRef, PersonId},
    operator::{Block, FlowFilter, FlowRow, Standing as ClientStanding},
    scope::ScopeSet,
    secret::Digest,
};

use super::{
    bench::{Bench, at, flow, grant_id, identity, login_of, session},
    standing,
};

fn by() -> Actor {
    Actor::Console {
        user: "user 0".into(),
    }
}

fn client() -> ClientRef {
    ClientRef::of("vcl_test")
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_and_people_are_listed_with_what_lives() {
    let bench = Bench::new();
    let store = &bench.store;
    let ada = bench.finish("one", 1, "ada").await;
    bench.redeem("one", 1).await;
    bench.finish("two", 2, "bob").await;
    let clients = store.clients(None, at(1100), 10).await.expect("answers");
    assert_eq!(clients.len(), 1);
    assert_eq!(
        (clients[0].people, clients[0].grants),
        (1, 1),
        "a code is no grant yet"
    );
    assert_eq!(clients[0].name.as_deref(), Some("Test"));
    for (named, found) in [("tes", 1), ("VCL_", 1), ("other", 0)] {
        let rows = store.clients(Some(named.into()), at(1100), 10).await;
        assert_eq!(rows.expect("answers").len(), found, "{named}");
    }
    let late = store
        .client(client(), at(9001))
        .await
        .expect("answers")
        .expect("there");
    assert_eq!(late.grants, 0, "its time is over");
    let people = store.people(None, at(1100), 10).await.expect("answers");
    assert_eq!(people.len(), 2);
    let named = store
        .people(Some("AD".into()), at(1100), 10)
        .await
        .expect("answers");
    assert_eq!((named[0].id, named[0].apps, named[0].grants), (ada, 1, 1));
    let of = store
        .people_of(client(), at(1100), 10)
        .await
        .expect("answers");
    assert_eq!(of.len(), 1);
    let nobody = store.person(PersonId::new([9; 16]), at(1100)).await;
    assert_eq!(nobody.expect("answers"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn t_adm_07_a_decision_ends_what_it_says_and_is_told() {
    let bench = Bench::new();
    let store = &bench.store;
    bench.finish("one", 1, "ada").await;
    bench.redeem("one", 1).await;
    bench.finish("on its way", 2, "bob").await;
    let decide = |decision| ToClient {
        client: client(),
        decision,
        by: by(),
        now: at(1100),
    };
    let unknown = ToClient {
        client: ClientRef::of("nobody"),
        ..decide(ClientDecision::Ends)
    };
    let outcome = store.decide_client(unknown).await;
    assert_eq!(outcome.expect("answers"), Outcome::NotThere);
    let outcome = store
        .decide_client(decide(ClientDecision::Trust(true)))
        .await;
    assert_eq!(
        outcome.expect("answers"),
        Outcome::Now(0),
        "to vouch ends nothing"
    );
    let limit = Some(ScopeSet::of(["a:read"]));
    let outcome = store
        .decide_client(decide(ClientDecision::Limit(limit.clone())))
        .await;
    assert_eq!(
        outcome.expect("answers"),
        Outcome::Now(2),
        "tokens have the scopes of before"
    );
    assert!(bench.revocations.now().grant_ended(&grant_id(1)));
    // The second changed what it names alone.
    let limited = ClientStanding {
        trusted: Some(at(1100)),
        trusted_described: Some(Digest::of(b"as described")),
        limit,
        blocked: None,
    };
    let (_, stands) = store
        .standing(client())
        .await
        .expect("answers")
        .expect("there");
    assert_eq!(stands, limited);
    let acts = store.audited(Sought {
        kind: Some("act"),
        most: 10,
        ..Sought::default()
    });
    let acts = acts.await.expect("answers");
    assert_eq!(acts.len(), 2, "and nothing of what changed nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn t_adm_07_who_is_blocked_is_not_let_in_by_any_way() {
    let bench = Bench::new();
    let store = &bench.store;
    let ada = bench.finish("one", 1, "ada").await;
    bench.redeem("one", 1).await;
    let decide = |block| ToPerson {
        person: ada,
        block,
        by: by(),
        now: at(1100),
    };
    let block = Block {
        since: at(1100),
        why: "left".into(),
    };
    let ended = store.decide_person(decide(Some(block.clone()))).await;
    assert_eq!(ended.expect("answers"), Outcome::Now(1));
    assert!(bench.revocations.now().grant_ended(&grant_id(1)));
    let session_of = Digest::of(b"one");
    assert_eq!(
        store
            .session(session_of, at(0), at(1100))
            .await
            .expect("answers"),
        None
    );
    let login = store.finish_login(login_of("two", 2, "ada")).await;
    assert_eq!(login.expect("answers"), Finished::Blocked);
    let signed_in = store.sign_in(SignedIn {
        identity: identity("ada"),
        new_person: PersonId::new([5; 16]),
        session: session("three"),
        now: at(1100),
    });
    assert_eq!(signed_in.await.expect("answers"), None);
    let mut assertion = standing("ada", "https://gw.example/a/mcp", None, 4);
    assertion.issuer = "https://idp.example".into();
    let standing = store.standing_grant(assertion.clone()).await;
    assert_eq!(standing.expect("answers"), Standing::Stopped);
    let row = store
        .person(ada, at(1100))
        .await
        .expect("answers")
        .expect("there");
    assert_eq!(row.blocked, Some(block));
    store.decide_person(decide(None)).await.expect("answers");
    let again = store.standing_grant(assertion).await.expect("answers");
    assert!(matches!(again, Standing::Now(..)), "{again:?}");
    let login = store.finish_login(login_of("four", 6, "ada")).await;
    assert_eq!(login.expect("answers"), Finished::Now(ada));
}

#[tokio::test(flavor = "multi_thread")]
async fn t_adm_01_a_link_is_used_once_whoever_races() {
    let bench = Bench::new();
    let store = &bench.store;
    let ada = bench.finish("one", 1, "ada").await;
    let link = Digest::of(b"secret");
    let new = NewLink {
        digest: link,
        expires: at(2000),
        by: by(),
        now: at(1000),
    };
    store.make_link(new.clone()).await.expect("stored");
    assert!(
        !store.use_link(link, ada, at(2000)).await.expect("answers"),
        "too late"
    );
    assert!(!store.is_operator(ada).await.expect("answers"));
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let store = std::sync::Arc::clone(store);
        all.spawn(async move { store.use_link(link, ada, at(1500)).await.expect("answers") });
    }
    let used = all.join_all().await;
    assert_eq!(used.iter().filter(|used| **used).count(), 1);
    assert!(store.is_operator(ada).await.expect("answers"));
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_are_listed_by_their_last_step() {
    let bench = Bench::new();
    let store = &bench.store;
    let asked = Step::Asked {
        client: "Some app".into(),
        known_by: String::new(),
        redirect_host: String::new(),
        server: "Weather".into(),
        scopes: String::new(),
    };
    let refused = Step::Refused {
        code: "V-IDP-001".into(),
        why: "down".into(),
    };
    let other = FlowCode::parse("00000000").expect("a code");
    let record = |flow, seconds, step| Recorded {
        flow,
        browser: None,
        steps: vec![Entry {
            at: at(seconds),
            step,
        }],
    };
    let signed_in = Step::SignedIn {
        person: "ada".into(),
    };
    let steps = vec![
        record(flow(), 10, asked.clone()),
        record(flow(), 20, signed_in),
        record(flow(), 30, Step::CodeSent),
        record(other, 15, asked),
        record(other, 16, refused),
    ];
    store.record(steps).await.expect("stored");
    let all = store
        .flows(FlowFilter::default(), 10)
        .await
        .expect("answers");
    assert_eq!(all.len(), 2);
    let good = &all[0];
    assert_eq!((good.flow, good.begun, good.last), (flow(), at(10), at(30)));
    assert_eq!(
        (good.outcome.as_str(), good.person.as_deref()),
        ("ok", Some("ada"))
    );
    let with = |change: &dyn Fn(&mut FlowFilter)| {
        let mut filter = FlowFilter::default();
        change(&mut filter);
        store.flows(filter, 10)
    };
    let failed = with(&|f| f.failed = true).await.expect("answers");
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].error.as_deref(), Some("V-IDP-001"));
    assert_eq!(
        with(&|f| f.person = Some("AD".into()))
            .await
            .expect("answers")
            .len(),
        1
    );
    assert_eq!(
        with(&|f| f.client = Some("app".into()))
            .await
            .expect("answers")
            .len(),
        2
    );
    assert_eq!(
        with(&|f| f.before = Some(at(20)))
            .await
            .expect("answers")
            .len(),
        1
    );
    // What is tried with an access that is over hides no failure, and makes nothing newer.
    let tried = Step::Refused {
        code: "V-SRV-014".into(),
        why: String::new(),
    };
    let both = vec![record(flow(), 90, tried.clone()), record(other, 90, tried)];
    store.record(both).await.expect("stored");
    let all = store
        .flows(FlowFilter::default(), 10)
        .await
        .expect("answers");
    let told = |row: &FlowRow| (row.last, row.outcome.clone(), row.error.clone());
    let expected =
        |last, outcome: &str, error: &str| (at(last), outcome.to_owned(), Some(error.to_owned()));
    assert_eq!(told(&all[0]), expected(30, "ok", "V-SRV-014"));
    assert_eq!(told(&all[1]), expected(16, "failed", "V-IDP-001"));
    let causes = store.causes(at(0)).await.expect("answers");
    assert_eq!((causes[0].flows, causes[0].first), (1, at(16)));
    assert_eq!(store.causes(at(17)).await.expect("answers"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn t_adm_07_what_was_decided_meanwhile_holds_for_what_was_judged_before() {
    let bench = Bench::new();
    let store = &bench.store;
    bench.finish("one", 1, "ada").await;
    let decide = |client: &str, decision| ToClient {
        client: ClientRef::of(client),
        decision,
        by: by(),
        now: at(1100),
    };
    let limit = |scopes: &[&str]| ClientDecision::Limit(Some(ScopeSet::of(scopes.iter().copied())));
    // A login whose page was shown before.
    let done = store.decide_client(decide("vcl_test", limit(&["b:read"])));
    done.await.expect("answers");
    let mut late = login_of("late", 2, "ada");
    late.ask.scopes = ScopeSet::of(["a:read"]);
    let login = store.finish_login(late).await;
    assert_eq!(login.expect("answers"), Finished::NotAdmitted);
    // A machine, and a client that is known only by this.
    let ask = |n| standing("m", "https://gw.example/a/mcp", None, n);
    let got = store.standing_grant(ask(3)).await.expect("answers");
    assert!(matches!(got, Standing::Now(..)), "{got:?}");
    let never = store.decide_client(decide("vcl_machine", ClientDecision::Trust(true)));
    assert_eq!(never.await.expect("answers"), Outcome::NeverSeen);
    let done = store.decide_client(decide("vcl_machine", limit(&["other"])));
    assert_eq!(done.await.expect("answers"), Outcome::Now(1));
    let got = store.standing_grant(ask(4)).await.expect("answers");
    assert_eq!(got, Standing::Stopped);
    let done = store.decide_client(decide("vcl_machine", ClientDecision::Limit(None)));
    done.await.expect("answers");
    let got = store.standing_grant(ask(5)).await.expect("answers");
    assert!(matches!(got, Standing::Now(..)), "{got:?}");
    let block = Block {
        since: at(1100),
        why: "old".into(),
    };
    let done = store.decide_client(decide("vcl_machine", ClientDecision::Block(Some(block))));
    assert_eq!(done.await.expect("answers"), Outcome::Now(1));
    let got = store.standing_grant(ask(6)).await.expect("answers");
    assert_eq!(got, Standing::Stopped);
    // Its tokens under grants of others, by exchange, carry its epoch.
    let of = ClientRef::of("vcl_machine");
    assert_eq!(bench.revocations.now().client_epoch(&of), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn t_adm_01_a_role_by_link_can_be_taken_away() {
    let bench = Bench::new();
    let store = &bench.store;
    let ada = bench.finish("one", 1, "ada").await;
    let unmake = || UnmakeOperator {
        person: ada,
        by: by(),
        now: at(1100),
    };
    assert!(!store.unmake_operator(unmake()).await.expect("answers"));
    let link = Digest::of(b"link");
    let new = NewLink {
        digest: link,
        expires: at(2000),
        by: by(),
        now: at(1100),
    };
    store.make_link(new).await.expect("answers");
    assert!(store.use_link(link, ada, at(1100)).await.expect("answers"));
    assert!(store.is_operator(ada).await.expect("answers"));
    assert!(store.unmake_operator(unmake()).await.expect("answers"));
    assert!(!store.is_operator(ada).await.expect("answers"));
}
