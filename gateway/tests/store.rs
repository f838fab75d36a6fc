//! The contract of the store, for every backend: what its module promises, races included.

use std::{path::Path, sync::Arc, time::Duration};

use tokio::task::JoinSet;
use vestibule::{
    revocation::Revocations,
    store::{
        Decided, EndedWhy, FinishedLogin, NewGrant, NewLogin, Recorded, Redeemed, Renewal,
        SealedKey, Store, sqlite::Sqlite,
    },
};
use vestibule_core::{
    authorize::{self, AskConsent},
    bearer::Revocations as _,
    callback::{self, Expected, SubjectKey, VerifiedIdentity},
    client::{Client, Credential, KnownBy},
    flow::{Entry, FlowCode, Step},
    id::{GrantId, PersonId, TicketId, TokenId},
    jwt::{self, Algorithm, KeySet, NoSuchKey},
    params::Params,
    resource::{Catalogue, Resource},
    secret::Digest,
    time::Timestamp,
    token::refresh_token::{Family, Rotation},
    uri::{Issuer, RedirectUri},
};

struct Bench {
    store: Arc<dyn Store>,
    revocations: Arc<Revocations>,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let revocations = Arc::new(Revocations::default());
        let store = Sqlite::open(&path(folder.path()), Arc::clone(&revocations)).expect("opens");
        Self {
            store: Arc::new(store),
            revocations,
            folder,
        }
    }

    /// Closes and opens again, as a restart would.
    async fn reopened(self) -> Self {
        let folder = self.folder;
        drop(self.store);
        let revocations = Arc::new(Revocations::default());
        let store = Sqlite::open(&path(folder.path()), Arc::clone(&revocations)).expect("opens");
        Self {
            store: Arc::new(store),
            revocations,
            folder,
        }
    }

    async fn finish(&self, code: &str, grant: u8, subject: &str) -> PersonId {
        self.store
            .finish_login(FinishedLogin {
                identity: identity(subject),
                new_person: PersonId::new([grant; 16]),
                ask: ask(),
                client_name: Some("Test".into()),
                code: Digest::of(code.as_bytes()),
                grant: grant_id(grant),
                idp: Some(b"sealed".to_vec()),
                flow: flow(),
                now: at(1000),
                expires: at(1060),
            })
            .await
            .expect("stored")
    }

    async fn redeem(&self, code: &str, grant: u8) -> Redeemed {
        let code = Digest::of(code.as_bytes());
        self.store
            .redeem_code(code, new_grant(grant))
            .await
            .expect("answers")
    }
}

fn path(folder: &Path) -> std::path::PathBuf {
    folder.join("vestibule.db")
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix(seconds)
}

fn grant_id(n: u8) -> GrantId {
    GrantId::new([n; 16])
}

fn flow() -> FlowCode {
    FlowCode::parse("K7Q2-9MTX").expect("a code")
}

fn new_grant(id: u8) -> NewGrant {
    NewGrant {
        id: grant_id(id),
        secret: b"sealed secret".to_vec(),
        now: at(1001),
        access_until: at(1601),
        idle_until: at(5000),
        ends: at(9000),
    }
}

fn ask() -> AskConsent {
    let issuer = Issuer::parse("https://gw.example").expect("an origin");
    let catalogue = Catalogue::new(vec![Resource::new(&issuer, "a", "/a/mcp", "A")], None);
    let client = Client {
        id: "vcl_test".into(),
        name: None,
        redirect_uris: vec![RedirectUri::parse("https://a.example/cb", &[]).expect("a URI")],
        credential: Credential::Public,
        refresh: true,
        scopes: None,
        known_by: KnownBy::Operator,
    };
    let query = "client_id=vcl_test&response_type=code&code_challenge_method=S256\
                 &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let params = Params::parse(query).expect("readable");
    authorize::judge(&params, &client, &catalogue).expect("a good request")
}

struct BelievesAll;

impl KeySet for BelievesAll {
    fn verify(&self, _: Option<&str>, _: Algorithm, _: &[u8], _: &[u8]) -> Result<bool, NoSuchKey> {
        Ok(true)
    }
}

/// A person, by way of the only maker there is.
fn identity(subject: &str) -> VerifiedIdentity {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let claims = format!(
        r#"{{"iss":"https://idp.example","aud":"v","exp":2000,"iat":1000,"nonce":"n","sub":"{subject}"}}"#
    );
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"}"#);
    let token = format!("{header}.{}.AAAA", URL_SAFE_NO_PAD.encode(claims));
    let claims = jwt::verify(&token, &BelievesAll, &Algorithm::ALL).expect("verifies");
    let expected = Expected {
        issuer: "https://idp.example",
        client_id: "v",
        nonce: "n",
        access_token: None,
        max_age: None,
        leeway: Duration::ZERO,
        key: SubjectKey::Sub,
    };
    callback::judge(&claims, &expected, at(1500)).expect("a person")
}

fn new_login(ticket: u8, state: &str) -> NewLogin {
    NewLogin {
        ticket: TicketId::new([ticket; 16]),
        state: Digest::of(state.as_bytes()),
        binding: Digest::of(b"browser"),
        flow: flow(),
        issuer: "https://idp.example".into(),
        ask: ask(),
        sealed: b"sealed".to_vec(),
        expires: at(1600),
    }
}

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
        found.facts.ended && found.idp.is_none(),
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
    bench.store.sweep(at(1500)).await.expect("answers");
    let code = Digest::of(b"code");
    assert!(bench.store.code(code).await.expect("answers").is_some());
    let taken = bench
        .store
        .take_login(Digest::of(b"state"), Digest::of(b"browser"))
        .await;
    assert!(taken.expect("answers").is_some());
    bench.store.sweep(at(1_000_000)).await.expect("answers");
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
