//! The contract of the store, for every backend: what its module promises, races included.

#![allow(unreachable_pub)] // the parts of one test

mod bench;
mod operators;
mod people;

use std::sync::Arc;

use tokio::task::JoinSet;
use vestibule::store::{
    Begun, Decided, DeviceDecision, EndedWhy, MACHINES, NewDevice, Recorded, Redeemed, Renewal,
    SealedKey, Standing, StandingGrant, sqlite::Sqlite,
};
use vestibule_core::{
    assertion::Once,
    bearer::Revocations as _,
    flow::{Entry, FlowCode, Step},
    id::{PersonId, TicketId, TokenId},
    scope::ScopeSet,
    secret::Digest,
    token::{
        device_code::{DeviceOutcome, DeviceRequest},
        refresh_token::{Family, Rotation},
    },
};

use self::bench::{Bench, at, flow, grant_id, new_grant, new_login, path};

fn renewal(judged: &Family, generation: u32) -> Renewal {
    Renewal {
        grant: grant_id(1),
        judged: judged.clone(),
        renewed: Family {
            generation,
            rotations: vec![Rotation {
                spent: generation - 1,
                at: at(1100),
            }],
            repeats: 0,
        },
        now: at(1100),
        access_until: at(1700),
        idle_until: at(6000),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_code_is_redeemed_once() {
    // TOK-10, T-TOK-02: fifty at the same time, one gets it.
    let bench = Bench::new();
    bench.finish("code", 1, "ada").await;
    let mut all = JoinSet::new();
    for _ in 0..50 {
        let store = Arc::clone(&bench.store);
        all.spawn(async move {
            store
                .redeem_code(Digest::of(b"code"), new_grant(1))
                .await
                .expect("answers")
        });
    }
    let outcomes = all.join_all().await;
    assert_eq!(
        outcomes
            .iter()
            .filter(|o| matches!(o, Redeemed::Now(_)))
            .count(),
        1
    );
    assert!(
        bench
            .store
            .grant(grant_id(1))
            .await
            .expect("answers")
            .is_some()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tok_10_t_tok_02_redeeming_what_is_not_there_makes_nothing() {
    let bench = Bench::new();
    assert_eq!(bench.redeem("no such code", 1).await, Redeemed::Before);
    assert!(
        bench
            .store
            .grant(grant_id(1))
            .await
            .expect("answers")
            .is_none()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn t_con_13_the_first_decision_on_a_page_wins() {
    let bench = Bench::new();
    let mut all = JoinSet::new();
    for n in 0..20 {
        let store = Arc::clone(&bench.store);
        all.spawn(async move {
            let decided = if n % 2 == 0 {
                store.begin_login(new_login(1, &format!("state {n}"))).await
            } else {
                store.decline(TicketId::new([1; 16]), at(1600)).await
            };
            decided.expect("answers")
        });
    }
    let outcomes = all.join_all().await;
    assert_eq!(
        outcomes
            .iter()
            .filter(|outcome| **outcome == Decided::Now)
            .count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn t_idp_02_t_con_02_a_login_is_taken_once_and_by_its_own_browser() {
    let bench = Bench::new();
    let state = Digest::of(b"state");
    let begun = bench
        .store
        .begin_login(new_login(1, "state"))
        .await
        .expect("answers");
    assert_eq!(begun, Decided::Now);
    let other = bench
        .store
        .take_login(state, Digest::of(b"another browser"))
        .await;
    assert!(other.expect("answers").is_none());
    let flow = bench.store.login_flow(state).await.expect("answers");
    assert_eq!(
        flow,
        Some(new_login(1, "state").flow),
        "and it is still there"
    );
    let unknown = Digest::of(b"unknown");
    let nothing = bench.store.login_flow(unknown).await.expect("answers");
    assert_eq!(nothing, None);
    let mut all = JoinSet::new();
    for _ in 0..20 {
        let store = Arc::clone(&bench.store);
        all.spawn(async move {
            store
                .take_login(state, Digest::of(b"browser"))
                .await
                .expect("answers")
                .is_some()
        });
    }
    let won = all.join_all().await.into_iter().filter(|won| *won).count();
    assert_eq!(
        won, 1,
        "the stranger before did not spend it, and one of twenty got it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tok_14_t_tok_12_of_twenty_renewals_of_one_family_one_is_stored() {
    let bench = Bench::new();
    bench.finish("code", 1, "ada").await;
    bench.redeem("code", 1).await;
    let first = Family::default();
    let mut all = JoinSet::new();
    for _ in 0..20 {
        let store = Arc::clone(&bench.store);
        let renewal = renewal(&first, 2);
        all.spawn(async move { store.renew_grant(renewal).await.expect("answers").is_some() });
    }
    let won = all.join_all().await.into_iter().filter(|won| *won).count();
    assert_eq!(won, 1);
    let found = bench
        .store
        .grant(grant_id(1))
        .await
        .expect("answers")
        .expect("there");
    assert_eq!(found.facts.family.generation, 2);
    assert_eq!(
        (found.facts.idle_until, found.access_until),
        (at(6000), at(1700))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tkn_7_t_grd_06_an_ended_grant_is_refused_before_its_end_is_answered() {
    let bench = Bench::new();
    bench.finish("code", 1, "ada").await;
    bench.redeem("code", 1).await;
    let grant = grant_id(1);
    assert!(!bench.revocations.now().grant_ended(&grant));
    assert!(
        bench
            .store
            .end_grant(grant, EndedWhy::Revoked, at(1200))
            .await
            .expect("answers")
    );
    assert!(bench.revocations.now().grant_ended(&grant));
    assert!(
        !bench
            .store
            .end_grant(grant, EndedWhy::Replay, at(1201))
            .await
            .expect("answers")
    );
    let renewed = bench
        .store
        .renew_grant(renewal(&Family::default(), 2))
        .await;
    assert_eq!(
        renewed.expect("answers"),
        None,
        "an ended grant is not renewed"
    );
    let found = bench
        .store
        .grant(grant)
        .await
        .expect("answers")
        .expect("there");
    assert!(
        found.facts.ended && !found.has_idp,
        "the provider's tokens are gone"
    );

    let token = TokenId::new([7; 16]);
    bench
        .store
        .end_token(token, at(1300))
        .await
        .expect("answers");
    assert!(bench.revocations.now().token_ended(&token));
    let feed = bench.store.revocations_since(0).await.expect("answers");
    assert_eq!(
        feed.iter().map(|entry| entry.seq).collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(
        bench
            .store
            .revocations_since(1)
            .await
            .expect("answers")
            .len(),
        1
    );

    // A restart knows it before it answers anything.
    let bench = bench.reopened().await;
    assert!(bench.revocations.now().grant_ended(&grant));
    assert!(bench.revocations.now().token_ended(&token));
}

#[tokio::test(flavor = "multi_thread")]
async fn ops_2_a_restart_keeps_people_grants_and_keys() {
    let bench = Bench::new();
    let key = SealedKey {
        id: "00000001".into(),
        purpose: "access".into(),
        sealed: vec![1, 2, 3],
        created: at(1),
        active_from: at(1),
        retires: None,
    };
    bench
        .store
        .found_ring(vec![key.clone()])
        .await
        .expect("answers");
    let person = bench.finish("code", 1, "ada").await;
    bench.redeem("code", 1).await;
    let bench = bench.reopened().await;
    let other = SealedKey {
        id: "00000002".into(),
        ..key
    };
    let ring = bench.store.found_ring(vec![other]).await.expect("answers");
    assert_eq!(ring[0].id, "00000001", "the ring is founded once");
    let found = bench
        .store
        .grant(grant_id(1))
        .await
        .expect("answers")
        .expect("there");
    assert_eq!(found.person, person);
    assert_eq!(
        bench.finish("code 2", 2, "ada").await,
        person,
        "the same person again"
    );
    assert_ne!(
        bench.finish("code 3", 3, "bob").await,
        person,
        "UP-15: another subject"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn t_tok_05_wrong_verifiers_are_counted() {
    let bench = Bench::new();
    bench.finish("code", 1, "ada").await;
    let digest = Digest::of(b"code");
    for _ in 0..5 {
        bench
            .store
            .count_wrong_verifier(digest)
            .await
            .expect("answers");
    }
    let found = bench
        .store
        .code(digest)
        .await
        .expect("answers")
        .expect("there");
    assert_eq!((found.state.failures, found.state.spent), (5, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn t_sto_08_sweeping_leaves_what_lives() {
    let bench = Bench::new();
    bench.finish("code", 1, "ada").await;
    bench.redeem("code", 1).await;
    bench
        .store
        .begin_login(new_login(2, "state"))
        .await
        .expect("answers");
    bench.store.sweep(at(1500), at(0)).await.expect("answers");
    let code = Digest::of(b"code");
    assert!(bench.store.code(code).await.expect("answers").is_some());
    let taken = bench
        .store
        .take_login(Digest::of(b"state"), Digest::of(b"browser"))
        .await;
    assert!(taken.expect("answers").is_some());
    bench
        .store
        .sweep(at(1_000_000), at(0))
        .await
        .expect("answers");
    assert!(bench.store.code(code).await.expect("answers").is_none());
    assert!(
        bench
            .store
            .grant(grant_id(1))
            .await
            .expect("answers")
            .is_some()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_of_a_login_is_kept_in_order() {
    let bench = Bench::new();
    let browser = Digest::of(b"cookie");
    let entry = |seconds, step| Entry {
        at: at(seconds),
        step,
    };
    let early = vec![entry(1, Step::ConsentShown), entry(2, Step::Allowed)];
    let recorded = |browser, steps| Recorded {
        flow: flow(),
        browser,
        steps,
    };
    bench
        .store
        .record(vec![recorded(Some(browser), early)])
        .await
        .expect("stored");
    bench
        .store
        .record(vec![recorded(None, vec![entry(3, Step::CameBack)])])
        .await
        .expect("stored");
    let (steps, whose) = bench
        .store
        .flow(flow())
        .await
        .expect("answers")
        .expect("there");
    let steps: Vec<_> = steps.into_iter().map(|entry| entry.step).collect();
    assert_eq!(steps, [Step::ConsentShown, Step::Allowed, Step::CameBack]);
    assert!(whose == Some(browser));
    let unknown = FlowCode::parse("00000000").expect("a code");
    assert!(bench.store.flow(unknown).await.expect("answers").is_none());
    // It goes as a whole, whatever was told of the access long after it.
    let week = 7 * 86_400;
    let late = vec![entry(week, Step::Refreshed)];
    bench
        .store
        .record(vec![recorded(None, late)])
        .await
        .expect("stored");
    bench
        .store
        .sweep(at(week + 2), at(0))
        .await
        .expect("sweeps");
    let (steps, _) = bench
        .store
        .flow(flow())
        .await
        .expect("answers")
        .expect("there");
    assert_eq!(steps.len(), 4);
    bench
        .store
        .sweep(at(week + 4), at(0))
        .await
        .expect("sweeps");
    assert!(bench.store.flow(flow()).await.expect("answers").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn t_sto_01_t_sto_04_the_file_is_private_and_holds_no_code() {
    use std::os::unix::fs::MetadataExt as _;
    let bench = Bench::new();
    bench.finish("vac_canary-code-0123456789", 1, "ada").await;
    bench
        .store
        .begin_login(new_login(1, "canary-state-0123456789"))
        .await
        .expect("answers");
    for name in ["vestibule.db", "vestibule.db-wal", "vestibule.db-shm"] {
        let file = bench.folder.path().join(name);
        let mode = std::fs::metadata(&file).expect("there").mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
        let bytes = std::fs::read(&file).expect("readable");
        let has = |text: &str| {
            bytes
                .windows(text.len())
                .any(|window| window == text.as_bytes())
        };
        assert!(!has("canary-code") && !has("canary-state"), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_do_not_share_one_file() {
    let bench = Bench::new();
    let second = Sqlite::open(&path(bench.folder.path()), Arc::default());
    let error = second.err().expect("refused").to_string();
    assert!(error.contains("in use by another process"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_takes_no_other_with_it() {
    // Two logins with the same state: the second cannot be inserted and leaves its ticket
    // unspent, while the others of the same group commit.
    let bench = Bench::new();
    let mut all = JoinSet::new();
    for n in 0..40u8 {
        let store = Arc::clone(&bench.store);
        let state = if n < 2 {
            "the same".to_owned()
        } else {
            format!("state {n}")
        };
        all.spawn(async move { store.begin_login(new_login(n, &state)).await.is_ok() });
    }
    let outcomes = all.join_all().await;
    assert_eq!(outcomes.iter().filter(|ok| !**ok).count(), 1);
    let mut spent = 0;
    for n in 0..2u8 {
        let again = bench
            .store
            .decline(TicketId::new([n; 16]), at(1))
            .await
            .expect("answers");
        spent += usize::from(again == Decided::Before);
    }
    assert_eq!(spent, 1);
}

fn once(id: &str) -> Once {
    Once::of("test", "issuer", id, at(2000))
}

#[tokio::test]
async fn ops_1_ema_7_what_is_used_once_is_used_once_whoever_races_and_whenever() {
    let bench = Bench::new();
    let mut race = JoinSet::new();
    for _ in 0..50 {
        let store = Arc::clone(&bench.store);
        race.spawn(async move { store.spend(once("a")).await.expect("answers") });
    }
    let mut first = 0;
    while let Some(decided) = race.join_next().await {
        first += usize::from(decided.expect("ends") == Decided::Now);
    }
    assert_eq!(first, 1);
    let bench = bench.reopened().await;
    let spend = |id: &'static str| bench.store.spend(once(id));
    assert_eq!(spend("a").await.expect("answers"), Decided::Before);
    assert_eq!(spend("b").await.expect("answers"), Decided::Now);
    bench.store.sweep(at(1999), at(0)).await.expect("sweeps");
    assert_eq!(spend("a").await.expect("answers"), Decided::Before);
}

fn standing(subject: &str, resource: &str, once: Option<Once>, n: u8) -> StandingGrant {
    StandingGrant {
        new_id: grant_id(n),
        issuer: MACHINES.into(),
        subject: subject.into(),
        shown: subject.into(),
        groups: Some(vec!["g1".into()]),
        new_person: PersonId::new([n; 16]),
        client_id: "vcl_machine".into(),
        client_name: Some("Machine".into()),
        resource: resource.into(),
        scopes: ScopeSet::of(["read"]),
        secret: b"sealed".to_vec(),
        flow: flow(),
        once,
        now: at(1000),
        access_until: at(1600),
    }
}

#[tokio::test]
async fn cc_1_ema_8_tkn_12_one_standing_grant_for_a_subject_client_and_server() {
    let bench = Bench::new();
    let get =
        |grant: StandingGrant| async { bench.store.standing_grant(grant).await.expect("answers") };
    let id = |standing: &Standing| match standing {
        Standing::Now(grant, person, _) => (*grant, *person),
        other => panic!("{other:?}"),
    };
    let first = get(standing("m", "a", None, 1)).await;
    let Standing::Now(_, _, parties) = &first else {
        panic!("{first:?}")
    };
    assert_eq!(
        (parties.subject.as_str(), parties.groups.as_slice()),
        ("m", &["g1".to_owned()][..])
    );
    let second = get(standing("m", "a", None, 2)).await;
    assert_eq!(
        id(&first),
        id(&second),
        "the same subject, client and server"
    );
    let other = get(standing("m", "b", None, 3)).await;
    assert_ne!(id(&first).0, id(&other).0);
    assert_eq!(id(&first).1, id(&other).1, "one subject at two servers");
    // A person of the same key at the provider is somebody else.
    let person = bench.finish("code", 9, "m").await;
    assert_ne!(person, id(&first).1);

    // Stopped stays stopped; whatever else ended it, it begins anew under another id.
    let stop = |grant, why| bench.store.end_grant(grant, why, at(1100));
    assert!(stop(id(&first).0, EndedWhy::Stopped).await.expect("ends"));
    assert_eq!(get(standing("m", "a", None, 4)).await, Standing::Stopped);
    assert!(stop(id(&other).0, EndedWhy::Revoked).await.expect("ends"));
    let again = get(standing("m", "b", None, 5)).await;
    assert_ne!(id(&again).0, id(&other).0);
    assert!(bench.revocations.now().grant_ended(&id(&other).0));
    assert!(!bench.revocations.now().grant_ended(&id(&again).0));
}

#[tokio::test]
async fn ema_7_wif_3_an_assertion_is_spent_with_its_grant() {
    let bench = Bench::new();
    let mut race = JoinSet::new();
    for n in 0..20 {
        let store = Arc::clone(&bench.store);
        race.spawn(async move {
            let ask = standing("u", "a", Some(once("jti")), n);
            store.standing_grant(ask).await.expect("answers")
        });
    }
    let (mut issued, mut replayed) = (0, 0);
    while let Some(standing) = race.join_next().await {
        match standing.expect("ends") {
            Standing::Now(..) => issued += 1,
            Standing::Replayed => replayed += 1,
            Standing::Stopped => panic!("nobody stopped it"),
        }
    }
    assert_eq!((issued, replayed), (1, 19));
}

#[tokio::test]
async fn a_device_waits_for_one_decision_and_is_forgotten_in_time() {
    let bench = Bench::new();
    let new = |device: &str, user_code: &str| NewDevice {
        device: Digest::of(device.as_bytes()),
        user_code: Digest::of(user_code.as_bytes()),
        request: DeviceRequest {
            client_id: "vcl_test".into(),
            resource: "a".into(),
            scopes: ScopeSet::of(["read"]),
        },
        interval: 5,
        now: at(1000),
        expires: at(1600),
    };
    let store = &bench.store;
    let begin = |device, user_code| store.begin_device(new(device, user_code));
    assert_eq!(begin("d1", "AAAA").await.expect("answers"), Begun::Now);
    assert_eq!(begin("d2", "AAAA").await.expect("answers"), Begun::Taken);
    assert_eq!(begin("d2", "BBBB").await.expect("answers"), Begun::Now);
    let d1 = Digest::of(b"d1");
    let found = store.device_by_user_code(Digest::of(b"AAAA")).await;
    assert_eq!(found.expect("answers").expect("there").device, d1);

    let poll = |seconds| store.poll_device(d1, at(seconds));
    assert_eq!(
        poll(1001)
            .await
            .expect("answers")
            .expect("there")
            .state
            .polled,
        None
    );
    store.slow_device(d1).await.expect("slows");
    let state = poll(1003).await.expect("answers").expect("there").state;
    assert_eq!((state.polled, state.interval), (Some(at(1001)), 10));
    assert_eq!(state.outcome, DeviceOutcome::Pending);

    let approve = || store.decide_device(d1, DeviceDecision::Approved(b"sealed".to_vec()));
    assert!(approve().await.expect("answers"));
    assert!(!approve().await.expect("answers"), "one decision");
    let denied = store.decide_device(d1, DeviceDecision::Denied).await;
    assert!(!denied.expect("answers"));
    let found = poll(1010).await.expect("answers").expect("there");
    assert_eq!(found.state.outcome, DeviceOutcome::Approved);
    assert_eq!(found.code.as_deref(), Some(&b"sealed"[..]));
    store.end_device(d1).await.expect("ends");
    assert!(poll(1011).await.expect("answers").is_none());
    store.sweep(at(1601), at(0)).await.expect("sweeps");
    let late = store.device_by_user_code(Digest::of(b"BBBB")).await;
    assert!(late.expect("answers").is_none());
}
