//! People, their sessions, and what may act for them.

use vestibule::store::{
    Asking, Claim, ConnectionClaim, Disconnect, EndedWhy, Finished, FinishedLogin, FoundConnection,
    NewConnection, NewSession, Redeemed, SignedIn, SignedOutThere, Standing, ToApps, Vouched,
};
use vestibule_core::{
    assertion::Once,
    audit::Actor,
    bearer::Revocations as _,
    id::{ClientRef, PersonId},
    scope::ScopeSet,
    secret::Digest,
};

use super::{
    bench::{Bench, ask, at, grant_id, identity, login_of, session},
    standing,
};

fn apps(person: PersonId, client: Option<ClientRef>, now: u64) -> ToApps {
    ToApps {
        person,
        client,
        by: Actor::Console {
            user: "root".into(),
        },
        now: at(now),
    }
}

fn client() -> ClientRef {
    ClientRef::of("vcl_test")
}

#[tokio::test(flavor = "multi_thread")]
async fn t_con_11_a_session_is_its_persons_until_it_ends_or_is_replaced() {
    let bench = Bench::new();
    let store = &bench.store;
    let of = |cookie: &str| Digest::of(cookie.as_bytes());
    let signed_in = |subject: &str, cookie: &str, replaces: Option<&str>, n: u8| SignedIn {
        identity: identity(subject),
        new_person: PersonId::new([n; 16]),
        session: NewSession {
            replaces: replaces.map(of),
            ..session(cookie)
        },
        now: at(1000),
    };
    let planted = store.session(of("planted"), at(0), at(1000)).await;
    assert_eq!(planted.expect("answers"), None);
    let ada = store
        .sign_in(signed_in("ada", "first", Some("planted"), 1))
        .await;
    let ada = ada.expect("stored").expect("let in");
    let found = store
        .session(of("first"), at(0), at(1999))
        .await
        .expect("answers");
    let found = found.expect("lasts");
    assert_eq!((found.id, found.subject.as_str()), (ada, "ada"));
    let late = store
        .session(of("first"), at(0), at(2000))
        .await
        .expect("answers");
    assert_eq!(late, None, "its time is over");
    let planted = store.session(of("planted"), at(0), at(1000)).await;
    assert_eq!(planted.expect("answers"), None, "a planted one stays dead");
    // Another signs in, in the same browser.
    let bob = store
        .sign_in(signed_in("bob", "second", Some("first"), 2))
        .await;
    assert_ne!(bob.expect("stored"), Some(ada));
    let first = store
        .session(of("first"), at(0), at(1000))
        .await
        .expect("answers");
    assert_eq!(first, None, "the one before has ended");
    store.end_session(of("second")).await.expect("answers");
    let second = store
        .session(of("second"), at(0), at(1000))
        .await
        .expect("answers");
    assert_eq!(second, None);
    let again = store.sign_in(signed_in("ada", "third", None, 9)).await;
    assert_eq!(
        again.expect("stored"),
        Some(ada),
        "the same person as before"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn cons_10_stopping_ends_consents_codes_and_grants_of_that_app_alone() {
    let bench = Bench::new();
    let store = &bench.store;
    let ada = bench.finish("live", 1, "ada").await;
    bench.redeem("live", 1).await;
    bench.finish("on its way", 2, "ada").await;
    let bob = bench.finish("bobs", 3, "bob").await;
    bench.redeem("bobs", 3).await;
    let other = store
        .standing_grant(standing("ada", "https://gw.example/a/mcp", None, 4))
        .await
        .expect("stored");
    let Standing::Now(machine, ..) = other else {
        panic!("{other:?}");
    };
    let before = store.allowed(ada, at(1002)).await.expect("answers");
    assert_eq!(before.consents.len(), 1);
    assert_eq!(before.grants.len(), 1);

    // Nothing of another's, and nothing that is not there.
    let none = store
        .stop(apps(bob, Some(ClientRef::of("other")), 1003))
        .await;
    assert_eq!(none.expect("answers"), 0);
    let ended = store.stop(apps(ada, Some(client()), 1003)).await;
    assert_eq!(ended.expect("answers"), 2, "a code and a grant");
    assert!(bench.revocations.now().grant_ended(&grant_id(1)));
    assert!(!bench.revocations.now().grant_ended(&grant_id(3)));
    assert!(!bench.revocations.now().grant_ended(&machine));
    let after = store.allowed(ada, at(1003)).await.expect("answers");
    assert_eq!(after, vestibule::store::Allowed::default());
    assert_eq!(bench.redeem("on its way", 2).await, Redeemed::Before);
    let bobs = store.allowed(bob, at(1003)).await.expect("answers");
    assert_eq!((bobs.consents.len(), bobs.grants.len()), (1, 1));
    let again = store.stop(apps(ada, None, 1004)).await.expect("answers");
    assert_eq!(again, 0, "nothing is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn ema_8_what_a_person_stopped_stays_so_until_they_allow_it_again() {
    let bench = Bench::new();
    let store = &bench.store;
    let ask_for = |n| store.standing_grant(standing("agent", "https://gw.example/a/mcp", None, n));
    let Standing::Now(first, person, _) = ask_for(1).await.expect("stored") else {
        panic!("a grant");
    };
    let client = store
        .allowed(person, at(1002))
        .await
        .expect("answers")
        .grants[0]
        .client;
    store
        .stop(apps(person, Some(client), 1003))
        .await
        .expect("answers");
    assert_eq!(ask_for(2).await.expect("answers"), Standing::Stopped);
    let told = store.allowed(person, at(1004)).await.expect("answers");
    assert!(told.grants[0].stopped, "and is told");
    // Somebody else allows nothing.
    let other = store
        .allow_again(apps(PersonId::new([77; 16]), Some(client), 1005))
        .await;
    assert_eq!(other.expect("answers"), 0);
    assert_eq!(ask_for(3).await.expect("answers"), Standing::Stopped);
    let again = store.allow_again(apps(person, Some(client), 1005)).await;
    assert_eq!(again.expect("answers"), 1);
    let Standing::Now(second, ..) = ask_for(4).await.expect("stored") else {
        panic!("a grant");
    };
    assert_ne!(first, second, "tokens of before stay refused");
    let found = store.grant(first).await.expect("answers").expect("there");
    assert!(found.facts.ended);
    assert_eq!(EndedWhy::Stopped.word(), "stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn t_con_04_a_consent_is_one_persons_and_is_looked_at_when_they_come_back() {
    let bench = Bench::new();
    let store = &bench.store;
    let ada = bench.finish("first", 1, "ada").await;
    let earlier = store.consents(ada, client(), ask().resource).await;
    let earlier = earlier.expect("answers");
    assert_eq!(earlier.len(), 1);
    assert_eq!(earlier[0].described, Some(Digest::of(b"as described")));
    let remembered = |code: &str, grant: u8, subject: &str| FinishedLogin {
        named: Some(ada),
        left_out: true,
        ..login_of(code, grant, subject)
    };
    let finish = |login: FinishedLogin| async { store.finish_login(login).await.expect("answers") };
    assert_eq!(
        finish(remembered("second", 2, "ada")).await,
        Finished::Now(ada)
    );
    // Another comes back: no code, however the page was left out.
    let Finished::NotAllowed(bob) = finish(remembered("bobs", 3, "bob")).await else {
        panic!("bob allowed nothing");
    };
    assert_ne!(bob, ada);
    assert_eq!(bench.redeem("bobs", 3).await, Redeemed::Before);
    let bobs = store.consents(bob, client(), ask().resource).await;
    assert_eq!(bobs.expect("answers"), []);
    // The same where the page was shown, and named ada.
    let shown = FinishedLogin {
        left_out: false,
        ..remembered("bobs again", 3, "bob")
    };
    assert_eq!(finish(shown).await, Finished::NotAllowed(bob));
    // More than was allowed, another description, and a consent that was taken back.
    let mut wider = remembered("wider", 4, "ada");
    wider.ask.scopes = ScopeSet::of(["more"]);
    assert_eq!(finish(wider).await, Finished::NotAllowed(ada));
    let changed = FinishedLogin {
        described: Digest::of(b"another"),
        ..remembered("changed", 5, "ada")
    };
    assert_eq!(finish(changed).await, Finished::NotAllowed(ada));
    store.stop(apps(ada, None, 1003)).await.expect("answers");
    assert_eq!(
        finish(remembered("late", 6, "ada")).await,
        Finished::NotAllowed(ada)
    );
    assert_eq!(bench.redeem("late", 6).await, Redeemed::Before);
}

#[tokio::test(flavor = "multi_thread")]
async fn cons_2_who_allows_more_keeps_what_was_allowed() {
    let bench = Bench::new();
    let store = &bench.store;
    let with = |code: &str, grant: u8, scope: &str, described: &[u8]| {
        let mut login = login_of(code, grant, "ada");
        login.ask.scopes = ScopeSet::of([scope]);
        login.described = Digest::of(described);
        login.shown = Some(login.described);
        login
    };
    let scopes_after = |login: FinishedLogin| async {
        let Finished::Now(ada) = store.finish_login(login).await.expect("stored") else {
            panic!("allowed");
        };
        let earlier = store.consents(ada, client(), ask().resource).await;
        earlier.expect("answers")[0].scopes.to_string()
    };
    assert_eq!(scopes_after(with("1", 1, "read", b"x")).await, "read");
    assert_eq!(
        scopes_after(with("2", 2, "write", b"x")).await,
        "read write"
    );
    assert_eq!(
        scopes_after(with("3", 3, "write", b"changed")).await,
        "write",
        "of another description nothing is kept"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn t_con_04_what_a_client_says_of_itself_since_the_page_nobody_allowed() {
    let bench = Bench::new();
    let mut login = login_of("one", 1, "ada");
    login.shown = Some(Digest::of(b"what the page said"));
    let finished = bench.store.finish_login(login).await.expect("stored");
    assert!(matches!(finished, Finished::NotAllowed(_)), "{finished:?}");
}

fn asking(now: u64) -> Asking {
    Asking {
        grant: grant_id(1),
        checked: at(1001),
        now: at(now),
        until: at(now + 20),
    }
}

fn vouched(claim: Claim, now: u64) -> Vouched {
    Vouched {
        claim,
        groups: Some(vec!["ops".to_owned()]),
        now: at(now),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn up_11_t_idp_13_the_provider_is_asked_by_one_at_a_time() {
    let bench = Bench::new();
    bench.finish("code", 1, "ada").await;
    bench.redeem("code", 1).await;
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let store = std::sync::Arc::clone(&bench.store);
        all.spawn(async move { store.ask_provider(asking(5000)).await.expect("answers") });
    }
    let claimed: Vec<_> = all.join_all().await.into_iter().flatten().collect();
    assert_eq!(claimed, [b"sealed".to_vec()], "one of fifty");
    let store = &bench.store;
    let ask = |asking| async move { store.ask_provider(asking).await.expect("answers") };
    assert_eq!(ask(asking(5019)).await, None, "it is being asked");
    assert!(
        ask(asking(5020)).await.is_some(),
        "who asked did not come back"
    );
    // Who took too long has no say any more: its token is spent, and its no is about that.
    let (late, claim) = (asking(5000).claim(), asking(5020).claim());
    let keep = |claim, what: &[u8]| store.keep_idp(claim, what.to_vec());
    assert!(!keep(late, b"late").await.expect("stored"));
    assert!(!store.not_vouched(late, at(5021)).await.expect("stored"));
    assert!(!store.vouched(vouched(late, 5021)).await.expect("stored"));
    store.not_answered(late, at(0)).await.expect("stored");
    assert_eq!(ask(asking(5021)).await, None, "the claim stands");
    // What it gave is kept before it is believed, and nothing may come of it.
    assert!(keep(claim, b"sealed anew").await.expect("stored"));
    store.not_answered(claim, at(5030)).await.expect("stored");
    assert_eq!(ask(asking(5029)).await, None, "not at once again");
    let again = ask(asking(5030)).await;
    assert_eq!(again.as_deref(), Some(b"sealed anew".as_slice()));
    let answered = store.vouched(vouched(asking(5030).claim(), 5041)).await;
    assert!(answered.expect("stored"));
    assert_eq!(
        ask(asking(5100)).await,
        None,
        "somebody has the answer since"
    );
    let found = store
        .grant(grant_id(1))
        .await
        .expect("answers")
        .expect("there");
    assert_eq!((found.has_idp, found.checked), (true, at(5041)));
}

#[tokio::test(flavor = "multi_thread")]
async fn up_10_whom_nobody_vouches_for_has_no_session_and_no_grant() {
    let bench = Bench::new();
    bench.finish("code", 1, "ada").await;
    bench.redeem("code", 1).await;
    bench.finish("other", 2, "ada").await;
    bench.redeem("other", 2).await;
    let store = &bench.store;
    // One that the provider cannot be asked about, and a code on its way to another.
    for (code, grant) in [("unasked", 3), ("coming", 4)] {
        let login = FinishedLogin {
            idp: None,
            ..login_of(code, grant, "ada")
        };
        store.finish_login(login).await.expect("stored");
    }
    bench.redeem("unasked", 3).await;
    let claim = asking(1100).claim();
    let asked = store.ask_provider(asking(1100)).await.expect("answers");
    assert!(asked.is_some());
    let ended = store.not_vouched(claim, at(1100)).await;
    assert!(ended.expect("stored"));
    let again = store.not_vouched(claim, at(1100)).await;
    assert!(!again.expect("stored"), "it had ended");
    assert!(
        bench.revocations.now().grant_ended(&grant_id(1)),
        "before the verb answers"
    );
    for cookie in ["code", "other"] {
        let session = store
            .session(Digest::of(cookie.as_bytes()), at(0), at(1100))
            .await;
        assert_eq!(session.expect("answers"), None, "{cookie}");
    }
    let other = store
        .grant(grant_id(2))
        .await
        .expect("answers")
        .expect("there");
    assert!(!other.facts.ended);
    assert_eq!(other.checked, at(0), "the provider is asked about it next");
    let unasked = store.grant(grant_id(3)).await.expect("answers");
    assert!(unasked.expect("there").facts.ended);
    assert!(bench.revocations.now().grant_ended(&grant_id(3)));
    assert_eq!(bench.redeem("coming", 4).await, Redeemed::Before);
    // An answer that comes too late brings nothing back.
    let late = store.vouched(vouched(claim, 1105)).await;
    assert!(!late.expect("stored"));
    let found = store
        .grant(grant_id(1))
        .await
        .expect("answers")
        .expect("there");
    assert!(found.facts.ended && !found.has_idp);
}

#[tokio::test(flavor = "multi_thread")]
async fn up_10_the_refusal_of_an_old_token_is_not_one_of_a_newer_login() {
    let bench = Bench::new();
    let store = &bench.store;
    bench.finish("code", 1, "ada").await;
    bench.redeem("code", 1).await;
    let newer = FinishedLogin {
        now: at(1050),
        ..login_of("newer", 2, "ada")
    };
    let session = newer.session.digest;
    store.finish_login(newer).await.expect("stored");
    // One that came from the older one is as old.
    let console = NewSession {
        digest: Digest::of(b"console"),
        replaces: None,
        ends: at(9000),
    };
    let begun = store.begin_session(Digest::of(b"code"), console, at(1060));
    assert!(begun.await.expect("stored").is_some());
    let asked = store.ask_provider(asking(1100)).await.expect("answers");
    assert!(asked.is_some());
    let ended = store.not_vouched(asking(1100).claim(), at(1100)).await;
    assert!(ended.expect("stored"));
    let lasts = |digest| store.session(digest, at(1000), at(1100));
    assert!(lasts(session).await.expect("answers").is_some());
    assert_eq!(lasts(Digest::of(b"console")).await.expect("answers"), None);
    let before = lasts(Digest::of(b"code")).await;
    assert_eq!(before.expect("answers"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn up_14_a_session_that_came_from_another_ends_with_it_at_the_provider() {
    let bench = Bench::new();
    let store = &bench.store;
    bench.finish("code", 1, "ada").await;
    let anew = |cookie: &str| NewSession {
        digest: Digest::of(cookie.as_bytes()),
        replaces: None,
        ends: at(9000),
    };
    let from =
        |cookie: &str, to| store.begin_session(Digest::of(cookie.as_bytes()), anew(to), at(1100));
    let lasts = |cookie: &str| store.session(Digest::of(cookie.as_bytes()), at(0), at(1100));
    assert!(from("code", "console").await.expect("stored").is_some());
    assert!(lasts("console").await.expect("answers").is_some());
    assert_eq!(from("unknown", "x").await.expect("stored"), None);
    assert_eq!(lasts("x").await.expect("answers"), None);
    let out = |jti: &str, session: Option<Digest>| SignedOutThere {
        issuer: "https://idp.example".to_owned(),
        subject: Some("ada".to_owned()),
        session,
        once: Once {
            digest: Digest::of(jti.as_bytes()),
            until: at(9000),
        },
        now: at(1100),
    };
    let another = out("1", Some(Digest::of(b"another session there")));
    let told = store.signed_out_there(another).await;
    assert!(told.expect("stored").is_some());
    assert!(lasts("console").await.expect("answers").is_some());
    let this = SignedOutThere {
        subject: None,
        ..out("2", identity("ada").session())
    };
    assert!(
        store
            .signed_out_there(this)
            .await
            .expect("stored")
            .is_some()
    );
    assert_eq!(lasts("console").await.expect("answers"), None);
    assert_eq!(from("code", "late").await.expect("stored"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn up_11_an_account_is_renewed_by_one_and_stays_away_once_it_is_taken_back() {
    let bench = Bench::new();
    let store = &bench.store;
    bench.finish("code", 1, "ada").await;
    bench.finish("other", 2, "bob").await;
    let person = |n: u8| PersonId::new([n; 16]);
    let new = |n: u8, sealed: &[u8], now: u64| NewConnection {
        person: person(n),
        server: "tickets".to_owned(),
        sealed: sealed.to_vec(),
        session: Digest::of(if n == 1 { b"code" } else { b"other" }),
        now: at(now),
    };
    assert!(store.connect(new(1, b"ada's", 1000)).await.expect("stored"));
    assert!(store.connect(new(2, b"bob's", 1000)).await.expect("stored"));
    // In nobody's session, and in another's, nothing is connected.
    for session in [&b"unknown"[..], b"other"] {
        let foreign = NewConnection {
            session: Digest::of(session),
            ..new(1, b"evil", 1000)
        };
        assert!(!store.connect(foreign).await.expect("stored"));
    }
    let claim = |until: u64| ConnectionClaim {
        person: person(1),
        server: "tickets".to_owned(),
        until: at(until),
    };
    let ask = |until: u64, now: u64| store.ask_service(claim(until), at(now));
    assert_eq!(
        ask(1020, 1000).await.expect("answers").as_deref(),
        Some(&b"ada's"[..])
    );
    assert_eq!(
        ask(1030, 1019).await.expect("answers"),
        None,
        "it is being asked"
    );
    assert!(ask(1040, 1020).await.expect("answers").is_some());
    // Who took too long has no say any more.
    let late = store.service_answered(claim(1020), None).await;
    assert!(!late.expect("stored"));
    let answered = store
        .service_answered(claim(1040), Some(b"anew".to_vec()))
        .await;
    assert!(answered.expect("stored"));
    let of = |n: u8| store.connection(person(n), "tickets".to_owned());
    let sealed = |found: Option<FoundConnection>| found.map(|found| found.sealed);
    assert_eq!(
        sealed(of(1).await.expect("answers")),
        Some(b"anew".to_vec())
    );
    // A pause after a question without an answer.
    ask(1060, 1041).await.expect("answers");
    store
        .service_silent(claim(1060), at(1050))
        .await
        .expect("stored");
    assert_eq!(ask(1070, 1049).await.expect("answers"), None);
    assert!(ask(1070, 1050).await.expect("answers").is_some());
    // Taken back while it is asked: what comes then brings nothing back.
    let what = Disconnect {
        person: person(1),
        server: "tickets".to_owned(),
        by: Actor::Console {
            user: "root".into(),
        },
        now: at(1051),
    };
    assert!(store.disconnect(what.clone()).await.expect("stored"));
    assert!(!store.disconnect(what).await.expect("stored"), "once");
    let late = store
        .service_answered(claim(1070), Some(b"late".to_vec()))
        .await;
    assert!(!late.expect("stored"));
    assert_eq!(of(1).await.expect("answers"), None);
    assert_eq!(
        sealed(of(2).await.expect("answers")),
        Some(b"bob's".to_vec())
    );
    // One that the service takes no more is listed, and is not used.
    let broken = ConnectionClaim {
        person: person(2),
        ..claim(1090)
    };
    store
        .ask_service(broken.clone(), at(1080))
        .await
        .expect("answers");
    assert!(store.service_answered(broken, None).await.expect("stored"));
    assert_eq!(of(2).await.expect("answers"), None);
    let listed = store.connections(person(2)).await.expect("answers");
    assert!(listed.len() == 1 && listed[0].broken);
}
