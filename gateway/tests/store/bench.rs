//! A store in a folder of its own, and what is put into it.

use std::{path::Path, sync::Arc, time::Duration};

use vestibule::{
    revocation::Revocations,
    store::{
        Finished, FinishedLogin, NewGrant, NewLogin, NewSession, Redeemed, Store, sqlite::Sqlite,
    },
};
use vestibule_core::{
    authorize::{self, AskConsent},
    client::{Client, Credential, Grants, KnownBy},
    flow::FlowCode,
    id::{GrantId, PersonId, TicketId},
    id_token::{self, Expected, SubjectKey},
    identity::VerifiedIdentity,
    jwt::{self, Algorithm, KeySet, NoSuchKey},
    params::Params,
    resource::{Catalogue, Resource},
    secret::Digest,
    time::Timestamp,
    uri::{Issuer, RedirectUri},
};

pub struct Bench {
    pub store: Arc<dyn Store>,
    pub revocations: Arc<Revocations>,
    pub folder: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
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
    pub async fn reopened(self) -> Self {
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

    pub async fn finish(&self, code: &str, grant: u8, subject: &str) -> PersonId {
        let finished = self
            .store
            .finish_login(login_of(code, grant, subject))
            .await;
        match finished.expect("stored") {
            Finished::Now(person) => person,
            other => panic!("it was allowed: {other:?}"),
        }
    }

    pub async fn redeem(&self, code: &str, grant: u8) -> Redeemed {
        let code = Digest::of(code.as_bytes());
        self.store
            .redeem_code(code, new_grant(grant))
            .await
            .expect("answers")
    }
}

pub fn path(folder: &Path) -> std::path::PathBuf {
    folder.join("vestibule.db")
}

pub fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix(seconds)
}

pub fn grant_id(n: u8) -> GrantId {
    GrantId::new([n; 16])
}

pub fn flow() -> FlowCode {
    FlowCode::parse("K7Q2-9MTX").expect("a code")
}

pub fn new_grant(id: u8) -> NewGrant {
    NewGrant {
        id: grant_id(id),
        secret: b"sealed secret".to_vec(),
        now: at(1001),
        access_until: at(1601),
        idle_until: at(5000),
        ends: at(9000),
        key: None,
    }
}

pub fn ask() -> AskConsent {
    let issuer = Issuer::parse("https://gw.example").expect("an origin");
    let catalogue = Catalogue::new(vec![Resource::new(&issuer, "a", "/a/mcp", "A")], None);
    let client = Client {
        id: "vcl_test".into(),
        name: None,
        redirect_uris: vec![RedirectUri::parse("https://a.example/cb", &[]).expect("a URI")],
        credential: Credential::Public,
        grants: Grants::for_people(true),
        scopes: None,
        resources: None,
        dpop_bound: false,
        exchanges_from: Vec::new(),
        introspects: false,
        known_by: KnownBy::Operator,
    };
    let query = "client_id=vcl_test&response_type=code&code_challenge_method=S256\
                 &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let params = Params::parse(query).expect("readable");
    authorize::judge(
        &params,
        &client,
        &catalogue,
        &vestibule_core::uri::OwnAuthority::default(),
    )
    .expect("a good request")
}

struct BelievesAll;

impl KeySet for BelievesAll {
    fn verify(&self, _: Option<&str>, _: Algorithm, _: &[u8], _: &[u8]) -> Result<bool, NoSuchKey> {
        Ok(true)
    }
}

/// A person, by way of the only maker there is.
pub fn identity(subject: &str) -> VerifiedIdentity {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let claims = format!(
        r#"{{"iss":"https://idp.example","aud":"v","exp":2000,"iat":1000,"nonce":"n","sub":"{subject}","sid":"s"}}"#
    );
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"}"#);
    let token = format!("{header}.{}.AAAA", URL_SAFE_NO_PAD.encode(claims));
    let claims = jwt::verify(&token, &BelievesAll, &Algorithm::ALL).expect("verifies");
    let expected = Expected {
        issuer: "https://idp.example",
        client_id: "v",
        nonce: Some("n"),
        access_token: None,
        max_age: None,
        leeway: Duration::ZERO,
        key: SubjectKey::Sub,
        groups: &[],
        tenants: None,
        hosted_domain: None,
        needs_groups: false,
    };
    id_token::judge(&claims, &expected, at(1500)).expect("a person")
}

/// What `subject` allowed on a page that named nobody, with a session of the same name.
pub fn login_of(code: &str, grant: u8, subject: &str) -> FinishedLogin {
    FinishedLogin {
        identity: identity(subject),
        new_person: PersonId::new([grant; 16]),
        ask: ask(),
        named: None,
        left_out: false,
        client_name: Some("Test".into()),
        described: Digest::of(b"as described"),
        shown: Some(Digest::of(b"as described")),
        session: session(code),
        code: Digest::of(code.as_bytes()),
        grant: grant_id(grant),
        idp: Some(b"sealed".to_vec()),
        flow: flow(),
        now: at(1000),
        expires: at(1060),
    }
}

/// A new session whose cookie is this.
pub fn session(cookie: &str) -> NewSession {
    NewSession {
        digest: Digest::of(cookie.as_bytes()),
        replaces: None,
        ends: at(2000),
    }
}

pub fn new_login(ticket: u8, state: &str) -> NewLogin {
    NewLogin {
        ticket: TicketId::new([ticket; 16]),
        state: Digest::of(state.as_bytes()),
        binding: Digest::of(b"browser"),
        flow: flow(),
        issuer: "https://idp.example".into(),
        ask: ask(),
        named: None,
        left_out: false,
        described: None,
        session: None,
        sealed: b"sealed".to_vec(),
        expires: at(1600),
    }
}
