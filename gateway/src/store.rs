//! What the gateway remembers, in the verbs of the protocol.
//!
//! # Promises
//!
//! - Each verb is atomic: it happens wholly or not at all, and of two callers racing for the
//!   same thing, one gets it.
//! - An answer means that it is durable. A crash at any moment loses nothing answered.
//! - "Not there" is `None` or a variant, never an error. An error means that the store does
//!   not know, and must never be turned into an answer about a token.
//! - Expiry is judged at use. Sweeping only frees space.
//! - A revocation is in [`Revocations`](crate::revocation::Revocations) before its verb
//!   answers.
//!
//! What a wrong answer would cost: a code or ticket given out twice is a second way in; a
//! spent refresh token taken as current is a thief's branch; a lost revocation is access
//! that somebody believes ended. A live thing reported as gone costs one login.

mod connection;
mod operator;
mod person;
mod provider;
pub mod sqlite;

use std::{future::Future, pin::Pin};

pub use self::connection::{
    Connection, ConnectionClaim, Disconnect, FoundConnection, NewConnection,
};
pub use self::operator::{
    ClientDecision, NewLink, Outcome, Sought, ToClient, ToPerson, UnmakeOperator,
};
pub use self::person::{Allowed, NewSession, Person, SignedIn, ToApps};
pub use self::provider::{Asking, Claim, SignedOutThere, Vouched};

use vestibule_core::{
    assertion::Once,
    audit::{Record, Subject},
    authorize::AskConsent,
    caller_identity::Profile,
    consent::Earlier,
    dpop::Thumbprint,
    flow::{Entry, FlowCode},
    id::{ClientRef, GrantId, PersonId, TicketId, TokenId},
    identity::VerifiedIdentity,
    operator::{Cause, ClientRow, FlowFilter, FlowRow, PersonRow, Standing as ClientStanding},
    scope::ScopeSet,
    secret::Digest,
    time::Timestamp,
    token::{
        authorization_code::{CodeState, StoredCode},
        device_code::{DeviceRequest, DeviceState},
        refresh_token::{Family, GrantFacts},
    },
};

use crate::revocation::Revocation;

/// What a verb gives, later.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The store does not know. Never an answer about a token.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database failed: disk full, file gone, damaged.
    #[error("the store failed: {0}")]
    Failed(String),
    /// Too much is waiting already.
    #[error("the store is overloaded")]
    Busy,
    /// The store has stopped.
    #[error("the store has stopped")]
    Stopped,
}

/// A key of the ring as it rests.
#[derive(Debug, Clone)]
pub struct SealedKey {
    /// Its id, eight hexadecimal digits.
    pub id: String,
    /// Its purpose.
    pub purpose: String,
    /// The material, sealed under the root key.
    pub sealed: Vec<u8>,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is used.
    pub active_from: Timestamp,
    /// From when on it opens nothing.
    pub retires: Option<Timestamp>,
}

/// A login on its way to the provider, begun by a person's Allow.
#[derive(Debug, Clone)]
pub struct NewLogin {
    /// The page that was decided on.
    pub ticket: TicketId,
    /// Digest of the `state` that goes to the provider.
    pub state: Digest,
    /// Digest of the cookie that this browser got with the decision.
    pub binding: Digest,
    /// Its record.
    pub flow: FlowCode,
    /// The provider.
    pub issuer: String,
    /// What was allowed.
    pub ask: AskConsent,
    /// Whom the page named; somebody else who comes back is asked.
    pub named: Option<PersonId>,
    /// Whether the page was left out, by what that person had allowed before.
    pub left_out: bool,
    /// What the page showed of the client.
    pub described: Option<Digest>,
    /// The session of this browser until now.
    pub session: Option<Digest>,
    /// Nonce and verifier, sealed for [`login_place`].
    pub sealed: Vec<u8>,
    /// When it is too late to come back.
    pub expires: Timestamp,
}

/// The login that a callback belongs to; taken once, by the browser that allowed it.
#[derive(Debug, Clone)]
pub struct TakenLogin {
    /// Its record.
    pub flow: FlowCode,
    /// The provider.
    pub issuer: String,
    /// What was allowed.
    pub ask: AskConsent,
    /// Whom the page named; somebody else who comes back is asked.
    pub named: Option<PersonId>,
    /// Whether the page was left out, by what that person had allowed before.
    pub left_out: bool,
    /// What the page showed of the client.
    pub described: Option<Digest>,
    /// The session of this browser until now.
    pub session: Option<Digest>,
    /// Nonce and verifier, sealed for [`login_place`].
    pub sealed: Vec<u8>,
    /// When it was too late.
    pub expires: Timestamp,
}

/// Where a login's sealed part belongs.
pub fn login_place(state: &Digest) -> Vec<u8> {
    format!("logins/{}/sealed", state.text()).into_bytes()
}

/// Where a grant's secret belongs.
pub fn secret_place(grant: GrantId) -> Vec<u8> {
    format!("grants/{grant}/secret").into_bytes()
}

/// Where the provider's tokens of a grant belong, also while its code waits.
pub fn idp_place(grant: GrantId) -> Vec<u8> {
    format!("grants/{grant}/idp").into_bytes()
}

/// Where the tokens of a person's account at the service behind a server belong.
pub fn connection_place(person: PersonId, server: &str) -> Vec<u8> {
    format!("connections/{person}/{server}").into_bytes()
}

/// Whether a decision was the first on its ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decided {
    /// It was.
    Now,
    /// Somebody decided before.
    Before,
}

/// A login that the provider confirmed: person, consent and code in one write.
#[derive(Debug, Clone)]
pub struct FinishedLogin {
    /// Who signed in.
    pub identity: VerifiedIdentity,
    /// The id they get if they are new.
    pub new_person: PersonId,
    /// What was allowed.
    pub ask: AskConsent,
    /// The client's name at this time.
    pub client_name: Option<String>,
    /// How it describes itself; see [`vestibule_core::client::Client::described`].
    pub described: Digest,
    /// How it did when the person was asked.
    pub shown: Option<Digest>,
    /// Whom the page named: nobody else has allowed it.
    pub named: Option<PersonId>,
    /// Whether the page was left out: then the consent must still be there.
    pub left_out: bool,
    /// The person's session at our own pages from now on.
    pub session: NewSession,
    /// Digest of the code.
    pub code: Digest,
    /// The grant that redeeming makes.
    pub grant: GrantId,
    /// The provider's tokens, sealed for [`idp_place`].
    pub idp: Option<Vec<u8>>,
    /// Its record.
    pub flow: FlowCode,
    /// Now.
    pub now: Timestamp,
    /// When the code ends.
    pub expires: Timestamp,
}

/// What came of finishing a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// It is done.
    Now(PersonId),
    /// This person came back, who has not allowed it: the page named another, or it was left
    /// out by a consent that is gone. They are signed in at our own pages, and nothing else.
    NotAllowed(PersonId),
    /// An operator does not let this person in; nothing changed.
    Blocked,
    /// An operator blocked the client or limited it since; nothing changed.
    NotAdmitted,
}

/// A grant to make when its code is spent.
#[derive(Debug, Clone)]
pub struct NewGrant {
    /// Which.
    pub id: GrantId,
    /// The secret behind its refresh tokens, sealed for [`secret_place`].
    pub secret: Vec<u8>,
    /// Now.
    pub now: Timestamp,
    /// When its first access token ends.
    pub access_until: Timestamp,
    /// When it ends if unused.
    pub idle_until: Timestamp,
    /// When it ends in any case.
    pub ends: Timestamp,
    /// The key that its refresh tokens are bound to.
    pub key: Option<Thumbprint>,
}

/// A grant where nobody logs in: one for each subject, client and server, made by the first
/// request and used by all later ones.
#[derive(Debug, Clone)]
pub struct StandingGrant {
    /// The id it gets if it is new.
    pub new_id: GrantId,
    /// Who vouches for the subject; [`MACHINES`] for a client itself.
    pub issuer: String,
    /// The subject there.
    pub subject: String,
    /// What to call it.
    pub shown: String,
    /// Its groups, if whoever vouches says any; they replace what was known.
    pub groups: Option<Vec<String>>,
    /// The id the subject gets if it is new.
    pub new_person: PersonId,
    /// To whom.
    pub client_id: String,
    /// The client's name at this time.
    pub client_name: Option<String>,
    /// For which server.
    pub resource: String,
    /// For what, this time.
    pub scopes: ScopeSet,
    /// A secret that no refresh token is made of, sealed for [`secret_place`].
    pub secret: Vec<u8>,
    /// The record that a new one begins with.
    pub flow: FlowCode,
    /// What must not have been used before, and is used by this.
    pub once: Option<Once>,
    /// Now.
    pub now: Timestamp,
    /// When the access token ends.
    pub access_until: Timestamp,
}

/// Who vouches for a client itself. No identity provider has such an issuer, so a machine is
/// never taken for a person.
pub const MACHINES: &str = "urn:vestibule:machine";

/// What came of asking for a standing grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Here it is.
    Now(GrantId, PersonId, Parties),
    /// What must be used once was used before.
    Replayed,
    /// Somebody stopped it, and nobody allowed it again.
    Stopped,
}

/// The parties of a grant at the moment of issuing, read in the issuing transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parties {
    /// Their epochs.
    pub epochs: Epochs,
    /// Who vouches for the subject.
    pub issuer: String,
    /// The subject's lasting key at whoever vouches for it.
    pub subject: String,
    /// Its groups and roles there.
    pub groups: Vec<String>,
}

/// A device's request with its two codes.
#[derive(Debug, Clone)]
pub struct NewDevice {
    /// Digest of the device code.
    pub device: Digest,
    /// Digest of what the person types.
    pub user_code: Digest,
    /// What it asks for.
    pub request: DeviceRequest,
    /// Seconds between two questions.
    pub interval: u32,
    /// Now.
    pub now: Timestamp,
    /// When it is too late.
    pub expires: Timestamp,
}

/// Whether there was room for a device's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// It waits for its person.
    Now,
    /// The code that people type is another's at this moment: draw again.
    Taken,
    /// Too many wait already.
    Full,
}

/// What a person decided about a device.
#[derive(Debug, Clone)]
pub enum DeviceDecision {
    /// Here is its code, sealed for [`device_place`].
    Approved(Vec<u8>),
    /// No.
    Denied,
}

/// A waiting device as it rests.
#[derive(Debug, Clone)]
pub struct FoundDevice {
    /// Under which it rests.
    pub device: Digest,
    /// What it asks for.
    pub request: DeviceRequest,
    /// How it stands; its last question as it was before this one.
    pub state: DeviceState,
    /// Its code, sealed for [`device_place`], once it was approved.
    pub code: Option<Vec<u8>>,
}

/// Where the code of an approved device belongs.
pub fn device_place(device: &Digest) -> Vec<u8> {
    format!("devices/{}/code", device.text()).into_bytes()
}

/// Most devices that wait at a time.
pub const DEVICES_MAX: u32 = 10_000;

/// What came of redeeming a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redeemed {
    /// It was spent now, and the grant exists.
    Now(Parties),
    /// It was spent before.
    Before,
}

/// The epochs that an access token carries, read in the issuing transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epochs {
    /// Of the person.
    pub subject: u32,
    /// Of the client.
    pub client: u32,
}

/// A code as it rests.
#[derive(Debug, Clone)]
pub struct FoundCode {
    /// What it stands for.
    pub code: StoredCode,
    /// How it stands.
    pub state: CodeState,
    /// Whether the provider's tokens wait with it.
    pub has_idp: bool,
    /// Its record.
    pub flow: FlowCode,
}

/// A grant as it rests.
#[derive(Debug, Clone)]
pub struct FoundGrant {
    /// What the protocol needs to know.
    pub facts: GrantFacts,
    /// The person.
    pub person: PersonId,
    /// The secret behind its refresh tokens, sealed for [`secret_place`].
    pub secret: Vec<u8>,
    /// Whether the provider can be asked about the person.
    pub has_idp: bool,
    /// When it last vouched for them.
    pub checked: Timestamp,
    /// Until when nobody else asks it.
    pub asking_until: Timestamp,
    /// Until when some access token of it lives.
    pub access_until: Timestamp,
    /// Its record.
    pub flow: FlowCode,
}

/// A refresh to store.
#[derive(Debug, Clone)]
pub struct Renewal {
    /// Which grant.
    pub grant: GrantId,
    /// The family that was judged.
    pub judged: Family,
    /// The family to store if that is still the one.
    pub renewed: Family,
    /// Now.
    pub now: Timestamp,
    /// When the new access token ends.
    pub access_until: Timestamp,
    /// When the grant ends if unused from now on.
    pub idle_until: Timestamp,
}

/// Steps of one login.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Which login.
    pub flow: FlowCode,
    /// Digest of the form cookie of the browser that began it, where it is known.
    pub browser: Option<Digest>,
    /// In order.
    pub steps: Vec<Entry>,
}

/// Why a grant ended; a closed list, for people and audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedWhy {
    /// The client gave it back.
    Revoked,
    /// A code or refresh token was used again.
    Replay,
    /// The person or an operator stopped it.
    Stopped,
    /// The provider no longer vouches for the person.
    Provider,
    /// An operator blocked the person or the client; whoever is let in again needs no more.
    Blocked,
}

impl EndedWhy {
    /// The word in the store.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Replay => "replay",
            Self::Stopped => "stopped",
            Self::Provider => "provider",
            Self::Blocked => "blocked",
        }
    }
}

/// The verbs. See the module for what each implementation promises.
pub trait Store: Send + Sync {
    /// All keys of the ring.
    fn ring(&self) -> Answer<'_, Vec<SealedKey>>;
    /// Puts the first keys in, unless there are some; returns those that are there then.
    fn found_ring(&self, keys: Vec<SealedKey>) -> Answer<'_, Vec<SealedKey>>;
    /// Puts `key` in, and gives older keys of its purpose their end, if they get one.
    fn rotate_key(&self, key: SealedKey, older_retire: Option<Timestamp>) -> Answer<'_, ()>;

    /// Records Allow: spends the ticket and begins the login.
    fn begin_login(&self, login: NewLogin) -> Answer<'_, Decided>;
    /// Records Deny: spends the ticket.
    fn decline(&self, ticket: TicketId, forget: Timestamp) -> Answer<'_, Decided>;
    /// The record of the login of `state`, whoever asks; the login stays.
    fn login_flow(&self, state: Digest) -> Answer<'_, Option<FlowCode>>;
    /// Takes the login of `state` if `binding` is its browser's. Anybody else changes nothing.
    fn take_login(&self, state: Digest, binding: Digest) -> Answer<'_, Option<TakenLogin>>;
    /// Stores person, session, consent and code.
    fn finish_login(&self, login: FinishedLogin) -> Answer<'_, Finished>;

    /// Looks a code up.
    fn code(&self, code: Digest) -> Answer<'_, Option<FoundCode>>;
    /// Spends a code and makes its grant; exactly one caller gets [`Redeemed::Now`].
    fn redeem_code(&self, code: Digest, grant: NewGrant) -> Answer<'_, Redeemed>;
    /// Counts a wrong verifier.
    fn count_wrong_verifier(&self, code: Digest) -> Answer<'_, ()>;

    /// Looks a grant up.
    fn grant(&self, grant: GrantId) -> Answer<'_, Option<FoundGrant>>;
    /// Stores a renewal if nobody changed the family since; `None` if somebody did, or the
    /// grant ended: judge again.
    fn renew_grant(&self, renewal: Renewal) -> Answer<'_, Option<Parties>>;
    /// Ends a grant and everything issued from it. Whether it lived until now.
    fn end_grant(&self, grant: GrantId, why: EndedWhy, now: Timestamp) -> Answer<'_, bool>;
    /// Ends one access token, which would live until `until`.
    fn end_token(&self, token: TokenId, until: Timestamp) -> Answer<'_, ()>;
    /// Revocations after number `seq`, in order.
    fn revocations_since(&self, seq: u64) -> Answer<'_, Vec<Revocation>>;

    /// Uses something that may be used once; exactly one caller gets [`Decided::Now`].
    fn spend(&self, once: Once) -> Answer<'_, Decided>;
    /// The standing grant of a subject, client and server, made if it is not there; together
    /// with the single use of what it is asked with.
    fn standing_grant(&self, grant: StandingGrant) -> Answer<'_, Standing>;
    /// A subject and a client as they are now, for a token without a grant of its own.
    fn parties(&self, subject: PersonId, client: ClientRef) -> Answer<'_, Option<Parties>>;
    /// What MCP servers may be told of the subject of a token of `grant`; `None` for one of
    /// whom nothing is known.
    fn profile(&self, subject: PersonId, grant: GrantId) -> Answer<'_, Option<Profile>>;
    /// What operators decided about a client that somebody allowed something; `None` for one
    /// that nobody did.
    fn standing(&self, client: ClientRef) -> Answer<'_, Option<(String, ClientStanding)>>;

    /// Lets a device wait for its person.
    fn begin_device(&self, device: NewDevice) -> Answer<'_, Begun>;
    /// The device that shows this code to its person.
    fn device_by_user_code(&self, user_code: Digest) -> Answer<'_, Option<FoundDevice>>;
    /// Records what the person decided; once. Whether the device still waited.
    fn decide_device(&self, device: Digest, decision: DeviceDecision) -> Answer<'_, bool>;
    /// A device asks: how it stands, and when it asked is remembered.
    fn poll_device(&self, device: Digest, now: Timestamp) -> Answer<'_, Option<FoundDevice>>;
    /// Makes a device that asks too often wait longer.
    fn slow_device(&self, device: Digest) -> Answer<'_, ()>;
    /// Forgets a device that got its code.
    fn end_device(&self, device: Digest) -> Answer<'_, ()>;

    /// Knows a person whom the provider vouched for, and begins their session; `None` for one
    /// whom an operator does not let in.
    fn sign_in(&self, signed_in: SignedIn) -> Answer<'_, Option<PersonId>>;
    /// Whose session this is, if it lasts and the provider vouched for them after `vouched`.
    fn session(
        &self,
        session: Digest,
        vouched: Timestamp,
        now: Timestamp,
    ) -> Answer<'_, Option<Person>>;
    /// Claims the question whether the provider still vouches for a grant's person: its sealed
    /// tokens, for exactly one caller until [`Asking::until`].
    fn ask_provider(&self, asking: Asking) -> Answer<'_, Option<Vec<u8>>>;
    /// Keeps the provider's tokens from now on, sealed for [`idp_place`]. It is done before
    /// its answer is looked at: those of before may be spent. Whether the claim holds.
    fn keep_idp(&self, claim: Claim, sealed: Vec<u8>) -> Answer<'_, bool>;
    /// The provider vouches for the person; the question is over. Whether the claim held.
    fn vouched(&self, vouched: Vouched) -> Answer<'_, bool>;
    /// The provider does not vouch for the person of a grant any more: the grant ends, and
    /// what is as good as its word of before. Whether the claim held. It is in the audit.
    fn not_vouched(&self, claim: Claim, now: Timestamp) -> Answer<'_, bool>;
    /// Nothing came of the question: the next one may be at `again`.
    fn not_answered(&self, claim: Claim, again: Timestamp) -> Answer<'_, ()>;
    /// The provider says that somebody is signed out: their sessions, codes and grants end,
    /// together with the single use of its saying so. How many codes and grants; `None` if it
    /// was said before. It is in the audit.
    fn signed_out_there(&self, out: SignedOutThere) -> Answer<'_, Option<usize>>;
    /// Ends a session.
    fn end_session(&self, session: Digest) -> Answer<'_, ()>;
    /// What a person allowed a client for a server before.
    fn consents(
        &self,
        person: PersonId,
        client: ClientRef,
        resource: String,
    ) -> Answer<'_, Vec<Earlier>>;
    /// Everything that may act for a person.
    fn allowed(&self, person: PersonId, now: Timestamp) -> Answer<'_, Allowed>;
    /// Ends what may act for a person, of one client or of all: consents, codes on their way,
    /// grants and everything issued from them. How many codes and grants ended. It is in the
    /// audit.
    fn stop(&self, what: ToApps) -> Answer<'_, usize>;
    /// Lets standing grants live again that were stopped. How many. It is in the audit.
    fn allow_again(&self, what: ToApps) -> Answer<'_, usize>;

    /// Begins a session at another place of ours, from one that lasts: of the same person, and
    /// of the same session at the provider. Whose; `None` if that one does not last.
    fn begin_session(
        &self,
        from: Digest,
        session: NewSession,
        now: Timestamp,
    ) -> Answer<'_, Option<PersonId>>;

    /// A person connects an account, or connects it anew, if their session lasts. Whether it
    /// did. It is in the audit.
    fn connect(&self, new: NewConnection) -> Answer<'_, bool>;
    /// A person's accounts.
    fn connections(&self, person: PersonId) -> Answer<'_, Vec<Connection>>;
    /// A person's account at the service behind a server, if it is one that works.
    fn connection(&self, person: PersonId, server: String) -> Answer<'_, Option<FoundConnection>>;
    /// Claims the question to the service for other tokens: what is sealed there, for exactly
    /// one caller until [`ConnectionClaim::until`].
    fn ask_service(&self, claim: ConnectionClaim, now: Timestamp) -> Answer<'_, Option<Vec<u8>>>;
    /// Keeps what the service gave; nothing, if it takes the account no more. Whether the
    /// claim held.
    fn service_answered(&self, claim: ConnectionClaim, sealed: Option<Vec<u8>>)
    -> Answer<'_, bool>;
    /// Nothing came of the question: the next one may be at `again`.
    fn service_silent(&self, claim: ConnectionClaim, again: Timestamp) -> Answer<'_, ()>;
    /// Takes an account back. Whether there was one. It is in the audit.
    fn disconnect(&self, what: Disconnect) -> Answer<'_, bool>;

    /// Clients with this in name or id, the newest first.
    fn clients(
        &self,
        named: Option<String>,
        now: Timestamp,
        most: u32,
    ) -> Answer<'_, Vec<ClientRow>>;
    /// One client.
    fn client(&self, client: ClientRef, now: Timestamp) -> Answer<'_, Option<ClientRow>>;
    /// For whom a client may act.
    fn people_of(&self, client: ClientRef, now: Timestamp, most: u32)
    -> Answer<'_, Vec<PersonRow>>;
    /// People with this in their name, address or key, whoever was seen last first.
    fn people(
        &self,
        named: Option<String>,
        now: Timestamp,
        most: u32,
    ) -> Answer<'_, Vec<PersonRow>>;
    /// One person.
    fn person(&self, person: PersonId, now: Timestamp) -> Answer<'_, Option<PersonRow>>;
    /// Decides about a client. It is in the audit.
    fn decide_client(&self, to: ToClient) -> Answer<'_, Outcome>;
    /// Decides about a person, likewise.
    fn decide_person(&self, to: ToPerson) -> Answer<'_, Outcome>;
    /// Knows the clients of the configuration, so that something can be decided about them.
    fn know_clients(
        &self,
        clients: Vec<(String, Option<String>)>,
        now: Timestamp,
    ) -> Answer<'_, ()>;
    /// Takes the role from somebody whom a link made an operator; whether they were one. It is
    /// in the audit.
    fn unmake_operator(&self, unmake: UnmakeOperator) -> Answer<'_, bool>;
    /// Whether a link made this person an operator.
    fn is_operator(&self, person: PersonId) -> Answer<'_, bool>;
    /// Makes a link. It is in the audit.
    fn make_link(&self, link: NewLink) -> Answer<'_, ()>;
    /// Spends a link for a person; whether it was one that lasts. It is in the audit.
    fn use_link(&self, link: Digest, person: PersonId, now: Timestamp) -> Answer<'_, bool>;
    /// Logins, the newest first.
    fn flows(&self, filter: FlowFilter, most: u32) -> Answer<'_, Vec<FlowRow>>;
    /// Why logins failed since a time, the most frequent first.
    fn causes(&self, since: Timestamp) -> Answer<'_, Vec<Cause>>;

    /// Adds to the audit.
    fn audit(&self, record: Record) -> Answer<'_, ()>;
    /// The audit, the newest first, with the numbers of rows.
    fn audited(&self, sought: Sought) -> Answer<'_, Vec<(u64, Record)>>;
    /// What the parties of a token are called.
    fn subject(&self, grant: GrantId, person: PersonId, client: ClientRef) -> Answer<'_, Subject>;

    /// Adds steps to the records of logins, and to the audit.
    fn record(&self, steps: Vec<Recorded>) -> Answer<'_, ()>;
    /// The record of a login with its browser.
    fn flow(&self, flow: FlowCode) -> Answer<'_, Option<(Vec<Entry>, Option<Digest>)>>;

    /// Forgets what nobody can use any more, and the audit of before `audit`.
    fn sweep(&self, now: Timestamp, audit: Timestamp) -> Answer<'_, ()>;
    /// Whether a write would succeed.
    fn check(&self) -> Answer<'_, ()>;
}

/// The client's short reference as the store keys it.
pub fn client_key(client_id: &str) -> String {
    ClientRef::of(client_id).text()
}
