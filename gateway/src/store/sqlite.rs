//! The store in one file on disk (SQLite): the default, and no demo.
//!
//! `synchronous=FULL` in WAL mode: an answered redemption survives a power cut, or a spent
//! code would come back. One conditional statement or one transaction for each verb.

mod audit;
mod connection;
mod device;
mod flow;
mod migrate;
mod operator;
mod person;
mod provider;
mod reader;
mod row;
mod standing;
mod writer;

use std::{
    fs::OpenOptions,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::{Connection, OptionalExtension, params};
use vestibule_core::{
    assertion::Once,
    audit::{Record, Subject},
    caller_identity::Profile,
    consent::Earlier,
    flow::{Entry, FlowCode},
    id::{ClientRef, GrantId, PersonId, TicketId, TokenId},
    operator::{Cause, ClientRow, FlowFilter, FlowRow, PersonRow, Standing as ClientStanding},
    secret::Digest,
    time::Timestamp,
    token::{
        authorization_code::{CodeState, StoredCode},
        refresh_token::GrantFacts,
    },
};

use self::{
    reader::Readers,
    row::{
        damaged, flow_code, from_json, from_seconds, id, json, optional_id, scopes, seconds,
        timestamp,
    },
    writer::{Writer, failed},
};
use super::{
    Allowed, Answer, Asking, Begun, Claim, ConnectionClaim, Decided, DeviceDecision, Disconnect,
    EndedWhy, Epochs, Finished, FinishedLogin, FoundCode, FoundConnection, FoundDevice, FoundGrant,
    NewConnection, NewDevice, NewGrant, NewLink, NewLogin, NewSession, Outcome, Parties, Person,
    Recorded, Redeemed, Renewal, SealedKey, SignedIn, SignedOutThere, Sought, Standing,
    StandingGrant, Store, StoreError, TakenLogin, ToApps, ToClient, ToPerson, UnmakeOperator,
    Vouched, client_key,
};
use crate::revocation::{Ended, Revocation, Revocations};

/// How long a decided ticket and a spent code are remembered.
const REMEMBER_SPENT: u64 = 24 * 3600;

/// How long revocations are kept beyond the tokens they end, for clocks that differ.
const REVOCATION_MARGIN: u64 = 120;

/// Looks at a database without changing it: the version of its tables.
///
/// # Errors
/// [`StoreError::Failed`], if it cannot be read, or is damaged.
pub fn look(path: &Path) -> Result<u32, StoreError> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let db = Connection::open_with_flags(path, flags).map_err(|error| failed(&error))?;
    let whole: String = db
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| failed(&error))?;
    if whole != "ok" {
        return Err(StoreError::Failed(whole));
    }
    db.query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(|error| failed(&error))
}

/// See the module.
pub struct Sqlite {
    writer: Writer,
    readers: Readers,
    revocations: Arc<Revocations>,
    /// Holds the lock that keeps a second server off the file.
    _lock: std::fs::File,
}

impl Sqlite {
    /// Opens or creates the database at `path`, applies migrations, and publishes all
    /// revocations that still matter.
    ///
    /// # Errors
    /// [`StoreError::Failed`], with a sentence for the operator.
    pub fn open(path: &Path, revocations: Arc<Revocations>) -> Result<Self, StoreError> {
        let lock = lock(path)?;
        create_private(path)?;
        let mut connection = Connection::open(path).map_err(|error| failed(&error))?;
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL;
                 PRAGMA synchronous = FULL;
                 PRAGMA foreign_keys = ON;
                 PRAGMA busy_timeout = 5000;
                 PRAGMA wal_autocheckpoint = 1000;",
            )
            .map_err(|error| failed(&error))?;
        migrate::migrate(&mut connection)?;
        for companion in ["-wal", "-shm"] {
            let mut name = path.as_os_str().to_owned();
            name.push(companion);
            restrict(&PathBuf::from(name))?;
        }
        connection.set_prepared_statement_cache_capacity(64);
        let entries = revocations_since(&connection, 0).map_err(|error| failed(&error))?;
        revocations.publish(&entries);
        let writer =
            Writer::start(connection).map_err(|error| StoreError::Failed(error.to_string()))?;
        let readers = Readers::start(path)?;
        Ok(Self {
            writer,
            readers,
            revocations,
            _lock: lock,
        })
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer.call(work, |_| {}).await
    }

    /// A write that ends something: what ended is published before anybody hears of it.
    async fn write_ending<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<(T, Vec<Revocation>), rusqlite::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let revocations = Arc::clone(&self.revocations);
        self.writer
            .call(work, move |(_, ended): &(T, Vec<Revocation>)| {
                revocations.publish(ended);
            })
            .await
            .map(|(value, _)| value)
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.readers.call(work).await
    }
}

/// Two servers on one file would each believe their own memory of what ended.
fn lock(path: &Path) -> Result<std::fs::File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&name)
        .map_err(|error| StoreError::Failed(format!("{}: {error}", name.to_string_lossy())))?;
    file.try_lock().map_err(|_| {
        StoreError::Failed(format!("{} is in use by another process", path.display()))
    })?;
    Ok(file)
}

fn create_private(path: &Path) -> Result<(), StoreError> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| StoreError::Failed(format!("{}: {error}", path.display())))?;
    restrict(path)
}

fn restrict(path: &Path) -> Result<(), StoreError> {
    if !path.exists() {
        return Ok(());
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .map_err(|error| StoreError::Failed(format!("{}: {error}", path.display())))
}

impl Store for Sqlite {
    fn ring(&self) -> Answer<'_, Vec<SealedKey>> {
        Box::pin(self.read(ring))
    }

    fn found_ring(&self, keys: Vec<SealedKey>) -> Answer<'_, Vec<SealedKey>> {
        Box::pin(self.write(move |db| {
            let there = ring(db)?;
            if !there.is_empty() {
                return Ok(there);
            }
            for key in &keys {
                insert_key(db, key)?;
            }
            Ok(keys)
        }))
    }

    fn rotate_key(&self, key: SealedKey, older_retire: Option<Timestamp>) -> Answer<'_, ()> {
        Box::pin(self.write(move |db| {
            db.prepare_cached(
                "UPDATE ring SET retires_at = ?2 WHERE purpose = ?1 AND retires_at IS NULL",
            )?
            .execute(params![key.purpose, older_retire.map(seconds)])?;
            insert_key(db, &key)
        }))
    }

    fn begin_login(&self, login: NewLogin) -> Answer<'_, Decided> {
        Box::pin(self.write(move |db| {
            if decide(db, login.ticket, login.expires)? == Decided::Before {
                return Ok(Decided::Before);
            }
            db.prepare_cached(
                "INSERT INTO logins (state, binding, flow, issuer, ask, sealed, expires_at,
                        named, left_out, described, session)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?
            .execute(params![
                login.state.text(),
                login.binding.text(),
                login.flow.to_string(),
                login.issuer,
                json(&login.ask)?,
                login.sealed,
                seconds(login.expires),
                login.named.map(|person| person.text()),
                login.left_out,
                login.described.map(|digest| digest.text()),
                login.session.map(|digest| digest.text())
            ])?;
            Ok(Decided::Now)
        }))
    }

    fn decline(&self, ticket: TicketId, forget: Timestamp) -> Answer<'_, Decided> {
        Box::pin(self.write(move |db| decide(db, ticket, forget)))
    }

    fn login_flow(&self, state: Digest) -> Answer<'_, Option<FlowCode>> {
        Box::pin(self.read(move |db| {
            db.prepare_cached("SELECT flow FROM logins WHERE state = ?1")?
                .query_row([state.text()], |row| flow_code(row, 0))
                .optional()
        }))
    }

    fn take_login(&self, state: Digest, binding: Digest) -> Answer<'_, Option<TakenLogin>> {
        Box::pin(self.write(move |db| {
            db.prepare_cached(
                "DELETE FROM logins WHERE state = ?1 AND binding = ?2
                 RETURNING flow, issuer, ask, sealed, expires_at, named, left_out,
                           described, session",
            )?
            .query_row(params![state.text(), binding.text()], |row| {
                Ok(TakenLogin {
                    flow: flow_code(row, 0)?,
                    issuer: row.get(1)?,
                    ask: from_json(row, 2)?,
                    sealed: row.get(3)?,
                    expires: timestamp(row, 4)?,
                    named: optional_id(row, 5, PersonId::parse)?,
                    left_out: row.get(6)?,
                    described: optional_id(row, 7, Digest::parse)?,
                    session: optional_id(row, 8, Digest::parse)?,
                })
            })
            .optional()
        }))
    }

    fn finish_login(&self, login: FinishedLogin) -> Answer<'_, Finished> {
        Box::pin(self.write(move |db| finish_login(db, &login)))
    }

    fn code(&self, code: Digest) -> Answer<'_, Option<FoundCode>> {
        Box::pin(self.read(move |db| {
            db.prepare_cached("SELECT code, failures, spent_at, flow, idp IS NOT NULL FROM codes WHERE digest = ?1")?
                .query_row([code.text()], |row| {
                    Ok(FoundCode {
                        code: from_json(row, 0)?,
                        state: CodeState {
                            failures: row.get(1)?,
                            spent: row.get::<_, Option<i64>>(2)?.is_some(),
                        },
                        flow: flow_code(row, 3)?,
                        has_idp: row.get(4)?,
                    })
                })
                .optional()
        }))
    }

    fn redeem_code(&self, code: Digest, grant: NewGrant) -> Answer<'_, Redeemed> {
        Box::pin(self.write(move |db| redeem_code(db, code, &grant)))
    }

    fn count_wrong_verifier(&self, code: Digest) -> Answer<'_, ()> {
        Box::pin(self.write(move |db| {
            db.prepare_cached("UPDATE codes SET failures = failures + 1 WHERE digest = ?1")?
                .execute([code.text()])
                .map(|_| ())
        }))
    }

    fn grant(&self, grant: GrantId) -> Answer<'_, Option<FoundGrant>> {
        Box::pin(self.read(move |db| {
            db.prepare_cached(
                "SELECT client_id, resource, scopes, ended_at, idle_until, ends_at, family,
                        person, secret, idp IS NOT NULL, access_until, flow, bound_to,
                        coalesce(idp_checked_at, created_at), idp_asking_until
                 FROM grants WHERE id = ?1",
            )?
            .query_row([grant.text()], |row| {
                Ok(FoundGrant {
                    facts: GrantFacts {
                        id: grant,
                        client_id: row.get(0)?,
                        resource: row.get(1)?,
                        scopes: scopes(row, 2)?,
                        ended: row.get::<_, Option<i64>>(3)?.is_some(),
                        idle_until: timestamp(row, 4)?,
                        ends: timestamp(row, 5)?,
                        family: from_json(row, 6)?,
                        key: row
                            .get::<_, Option<String>>(12)?
                            .map(|text| {
                                Digest::parse(&text).ok_or_else(|| damaged(12, "no thumbprint"))
                            })
                            .transpose()?
                            .map(|digest| *digest.bytes()),
                    },
                    person: id(row, 7, PersonId::parse)?,
                    secret: row.get(8)?,
                    has_idp: row.get(9)?,
                    checked: timestamp(row, 13)?,
                    asking_until: timestamp(row, 14)?,
                    access_until: timestamp(row, 10)?,
                    flow: flow_code(row, 11)?,
                })
            })
            .optional()
        }))
    }

    fn renew_grant(&self, renewal: Renewal) -> Answer<'_, Option<Parties>> {
        Box::pin(self.write(move |db| {
            let renewed = db
                .prepare_cached(
                    "UPDATE grants SET family = ?3, used_at = ?4, idle_until = ?5,
                            access_until = max(access_until, ?6)
                     WHERE id = ?1 AND family = ?2 AND ended_at IS NULL
                     RETURNING person, client",
                )?
                .query_row(
                    params![
                        renewal.grant.text(),
                        json(&renewal.judged)?,
                        json(&renewal.renewed)?,
                        seconds(renewal.now),
                        seconds(renewal.idle_until),
                        seconds(renewal.access_until)
                    ],
                    |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)),
                )
                .optional()?;
            match renewed {
                Some((person, client)) => parties(db, &person, &client).map(Some),
                None => Ok(None),
            }
        }))
    }

    fn end_grant(&self, grant: GrantId, why: EndedWhy, now: Timestamp) -> Answer<'_, bool> {
        Box::pin(self.write_ending(move |db| {
            let access_until = db
                .prepare_cached(
                    "UPDATE grants SET ended_at = ?2, ended_why = ?3, idp = NULL
                     WHERE id = ?1 AND ended_at IS NULL RETURNING access_until",
                )?
                .query_row(params![grant.text(), seconds(now), why.word()], |row| {
                    timestamp(row, 0)
                })
                .optional()?;
            match access_until {
                Some(until) => {
                    let entry = publish(db, Ended::Grant(grant), 0, until)?;
                    Ok((true, vec![entry]))
                }
                None => Ok((false, Vec::new())),
            }
        }))
    }

    fn end_token(&self, token: TokenId, until: Timestamp) -> Answer<'_, ()> {
        Box::pin(self.write_ending(move |db| {
            let entry = publish(db, Ended::Token(token), 0, until)?;
            Ok(((), vec![entry]))
        }))
    }

    fn revocations_since(&self, seq: u64) -> Answer<'_, Vec<Revocation>> {
        Box::pin(self.read(move |db| revocations_since(db, seq)))
    }

    fn spend(&self, once: Once) -> Answer<'_, Decided> {
        Box::pin(self.write(move |db| standing::spend(db, once)))
    }

    fn standing_grant(&self, grant: StandingGrant) -> Answer<'_, Standing> {
        Box::pin(self.write(move |db| standing::grant(db, &grant)))
    }

    fn parties(&self, subject: PersonId, client: ClientRef) -> Answer<'_, Option<Parties>> {
        Box::pin(self.read(move |db| parties(db, &subject.text(), &client.text()).optional()))
    }

    fn profile(&self, subject: PersonId, grant: GrantId) -> Answer<'_, Option<Profile>> {
        Box::pin(self.read(move |db| person::profile(db, subject, grant)))
    }

    fn standing(&self, client: ClientRef) -> Answer<'_, Option<(String, ClientStanding)>> {
        Box::pin(self.read(move |db| operator::standing(db, client)))
    }

    fn begin_device(&self, new: NewDevice) -> Answer<'_, Begun> {
        Box::pin(self.write(move |db| device::begin(db, &new)))
    }

    fn device_by_user_code(&self, user_code: Digest) -> Answer<'_, Option<FoundDevice>> {
        Box::pin(self.read(move |db| device::by_user_code(db, user_code)))
    }

    fn decide_device(&self, of: Digest, decision: DeviceDecision) -> Answer<'_, bool> {
        Box::pin(self.write(move |db| device::decide(db, of, &decision)))
    }

    fn poll_device(&self, of: Digest, now: Timestamp) -> Answer<'_, Option<FoundDevice>> {
        Box::pin(self.write(move |db| device::poll(db, of, now)))
    }

    fn slow_device(&self, of: Digest) -> Answer<'_, ()> {
        Box::pin(self.write(move |db| device::slow(db, of)))
    }

    fn end_device(&self, of: Digest) -> Answer<'_, ()> {
        Box::pin(self.write(move |db| device::end(db, of)))
    }

    fn sign_in(&self, signed_in: SignedIn) -> Answer<'_, Option<PersonId>> {
        Box::pin(self.write(move |db| person::sign_in(db, &signed_in)))
    }

    fn session(
        &self,
        session: Digest,
        vouched: Timestamp,
        now: Timestamp,
    ) -> Answer<'_, Option<Person>> {
        Box::pin(self.read(move |db| person::session(db, session, vouched, now)))
    }

    fn ask_provider(&self, asking: Asking) -> Answer<'_, Option<Vec<u8>>> {
        Box::pin(self.write(move |db| provider::ask(db, &asking)))
    }

    fn keep_idp(&self, claim: Claim, sealed: Vec<u8>) -> Answer<'_, bool> {
        Box::pin(self.write(move |db| provider::keep(db, claim, &sealed)))
    }

    fn vouched(&self, vouched: Vouched) -> Answer<'_, bool> {
        Box::pin(self.write(move |db| provider::vouched(db, &vouched)))
    }

    fn not_vouched(&self, claim: Claim, now: Timestamp) -> Answer<'_, bool> {
        Box::pin(self.write_ending(move |db| provider::gone(db, claim, now)))
    }

    fn not_answered(&self, claim: Claim, again: Timestamp) -> Answer<'_, ()> {
        Box::pin(self.write(move |db| provider::not_answered(db, claim, again)))
    }

    fn signed_out_there(&self, out: SignedOutThere) -> Answer<'_, Option<usize>> {
        Box::pin(self.write_ending(move |db| provider::signed_out(db, &out)))
    }

    fn end_session(&self, session: Digest) -> Answer<'_, ()> {
        Box::pin(self.write(move |db| person::end_session(db, session)))
    }

    fn consents(
        &self,
        of: PersonId,
        client: ClientRef,
        resource: String,
    ) -> Answer<'_, Vec<Earlier>> {
        Box::pin(self.read(move |db| person::consents(db, of, client, &resource)))
    }

    fn allowed(&self, of: PersonId, now: Timestamp) -> Answer<'_, Allowed> {
        Box::pin(self.read(move |db| person::allowed(db, of, now)))
    }

    fn stop(&self, what: ToApps) -> Answer<'_, usize> {
        Box::pin(self.write_ending(move |db| person::stop(db, &what)))
    }

    fn allow_again(&self, what: ToApps) -> Answer<'_, usize> {
        Box::pin(self.write(move |db| person::allow_again(db, &what)))
    }

    fn begin_session(
        &self,
        from: Digest,
        session: NewSession,
        now: Timestamp,
    ) -> Answer<'_, Option<PersonId>> {
        Box::pin(self.write(move |db| person::begin_session_from(db, from, &session, now)))
    }

    fn connect(&self, new: NewConnection) -> Answer<'_, bool> {
        Box::pin(self.write(move |db| connection::connect(db, &new)))
    }

    fn connections(&self, of: PersonId) -> Answer<'_, Vec<super::Connection>> {
        Box::pin(self.read(move |db| connection::list(db, of)))
    }

    fn connection(&self, of: PersonId, server: String) -> Answer<'_, Option<FoundConnection>> {
        Box::pin(self.read(move |db| connection::find(db, of, &server)))
    }

    fn ask_service(&self, claim: ConnectionClaim, now: Timestamp) -> Answer<'_, Option<Vec<u8>>> {
        Box::pin(self.write(move |db| connection::ask(db, &claim, now)))
    }

    fn service_answered(
        &self,
        claim: ConnectionClaim,
        sealed: Option<Vec<u8>>,
    ) -> Answer<'_, bool> {
        Box::pin(self.write(move |db| connection::keep(db, &claim, sealed.as_deref())))
    }

    fn service_silent(&self, claim: ConnectionClaim, again: Timestamp) -> Answer<'_, ()> {
        Box::pin(self.write(move |db| connection::not_answered(db, &claim, again)))
    }

    fn disconnect(&self, what: Disconnect) -> Answer<'_, bool> {
        Box::pin(self.write(move |db| connection::disconnect(db, &what)))
    }

    fn clients(
        &self,
        named: Option<String>,
        now: Timestamp,
        most: u32,
    ) -> Answer<'_, Vec<ClientRow>> {
        Box::pin(self.read(move |db| operator::clients(db, named.as_deref(), now, most)))
    }

    fn client(&self, client: ClientRef, now: Timestamp) -> Answer<'_, Option<ClientRow>> {
        Box::pin(self.read(move |db| operator::client(db, client, now)))
    }

    fn people_of(
        &self,
        client: ClientRef,
        now: Timestamp,
        most: u32,
    ) -> Answer<'_, Vec<PersonRow>> {
        Box::pin(self.read(move |db| operator::people_of(db, client, now, most)))
    }

    fn people(
        &self,
        named: Option<String>,
        now: Timestamp,
        most: u32,
    ) -> Answer<'_, Vec<PersonRow>> {
        Box::pin(self.read(move |db| operator::people(db, named.as_deref(), now, most)))
    }

    fn person(&self, of: PersonId, now: Timestamp) -> Answer<'_, Option<PersonRow>> {
        Box::pin(self.read(move |db| operator::one_person(db, of, now)))
    }

    fn decide_client(&self, to: ToClient) -> Answer<'_, Outcome> {
        Box::pin(self.write_ending(move |db| operator::decide_client(db, &to)))
    }

    fn decide_person(&self, to: ToPerson) -> Answer<'_, Outcome> {
        Box::pin(self.write_ending(move |db| operator::decide_person(db, &to)))
    }

    fn know_clients(
        &self,
        clients: Vec<(String, Option<String>)>,
        now: Timestamp,
    ) -> Answer<'_, ()> {
        Box::pin(self.write(move |db| operator::know(db, &clients, now)))
    }

    fn unmake_operator(&self, unmake: UnmakeOperator) -> Answer<'_, bool> {
        Box::pin(self.write(move |db| operator::unmake(db, &unmake)))
    }

    fn is_operator(&self, of: PersonId) -> Answer<'_, bool> {
        Box::pin(self.read(move |db| operator::is_operator(db, of)))
    }

    fn make_link(&self, link: NewLink) -> Answer<'_, ()> {
        Box::pin(self.write(move |db| operator::make_link(db, &link)))
    }

    fn use_link(&self, link: Digest, of: PersonId, now: Timestamp) -> Answer<'_, bool> {
        Box::pin(self.write(move |db| operator::use_link(db, link, of, now)))
    }

    fn flows(&self, filter: FlowFilter, most: u32) -> Answer<'_, Vec<FlowRow>> {
        Box::pin(self.read(move |db| flow::flows(db, &filter, most)))
    }

    fn causes(&self, since: Timestamp) -> Answer<'_, Vec<Cause>> {
        Box::pin(self.read(move |db| flow::causes(db, since)))
    }

    fn audit(&self, record: Record) -> Answer<'_, ()> {
        Box::pin(self.write(move |db| audit::append(db, &record)))
    }

    fn audited(&self, sought: Sought) -> Answer<'_, Vec<(u64, Record)>> {
        Box::pin(self.read(move |db| audit::sought(db, &sought)))
    }

    fn subject(&self, grant: GrantId, of: PersonId, client: ClientRef) -> Answer<'_, Subject> {
        Box::pin(self.read(move |db| audit::subject(db, grant, of, client)))
    }

    fn record(&self, steps: Vec<Recorded>) -> Answer<'_, ()> {
        Box::pin(self.write(move |db| flow::record(db, &steps)))
    }

    fn flow(&self, flow: FlowCode) -> Answer<'_, Option<(Vec<Entry>, Option<Digest>)>> {
        Box::pin(self.read(move |db| flow::steps(db, flow)))
    }

    fn sweep(&self, now: Timestamp, audit: Timestamp) -> Answer<'_, ()> {
        Box::pin(self.write(move |db| {
            let now = seconds(now);
            db.prepare_cached("DELETE FROM audit WHERE until_at < ?1")?
                .execute([seconds(audit)])?;
            for statement in [
                "DELETE FROM decisions WHERE forget_at < ?1",
                "DELETE FROM logins WHERE expires_at < ?1",
                "DELETE FROM codes WHERE forget_at < ?1",
                "DELETE FROM revocations WHERE until_at < ?1",
                "DELETE FROM spent WHERE until_at < ?1",
                "DELETE FROM devices WHERE expires_at < ?1",
                "DELETE FROM sessions WHERE ends_at < ?1",
                "DELETE FROM operator_links WHERE expires_at < ?1",
                // Of subjects that came once, such as a branch of a project. One that comes
                // again gets another; one that was stopped stays so.
                "DELETE FROM grants WHERE standing IS NOT NULL AND ended_at IS NULL
                 AND access_until < ?1 - 2592000",
            ] {
                db.prepare_cached(statement)?.execute([now])?;
            }
            flow::sweep(db, now)
        }))
    }

    fn check(&self) -> Answer<'_, ()> {
        Box::pin(self.write(|db| {
            db.prepare_cached("UPDATE counters SET value = value WHERE name = 'revocations'")?
                .execute([])
                .map(|_| ())
        }))
    }
}

fn ring(db: &Connection) -> Result<Vec<SealedKey>, rusqlite::Error> {
    let mut statement = db.prepare_cached(
        "SELECT id, purpose, sealed, created_at, active_from, retires_at FROM ring ORDER BY id",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(SealedKey {
            id: row.get(0)?,
            purpose: row.get(1)?,
            sealed: row.get(2)?,
            created: timestamp(row, 3)?,
            active_from: timestamp(row, 4)?,
            retires: row.get::<_, Option<i64>>(5)?.map(from_seconds),
        })
    })?;
    rows.collect()
}

fn insert_key(db: &Connection, key: &SealedKey) -> Result<(), rusqlite::Error> {
    db.prepare_cached(
        "INSERT INTO ring (id, purpose, sealed, created_at, active_from, retires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        key.id,
        key.purpose,
        key.sealed,
        seconds(key.created),
        seconds(key.active_from),
        key.retires.map(seconds)
    ])
    .map(|_| ())
}

fn decide(
    db: &Connection,
    ticket: TicketId,
    expires: Timestamp,
) -> Result<Decided, rusqlite::Error> {
    let inserted = db
        .prepare_cached(
            "INSERT INTO decisions (ticket, forget_at) VALUES (?1, ?2) ON CONFLICT (ticket) DO NOTHING",
        )?
        .execute(params![ticket.text(), seconds(expires) + REMEMBER_SPENT.cast_signed()])?;
    Ok(if inserted == 1 {
        Decided::Now
    } else {
        Decided::Before
    })
}

fn finish_login(db: &Connection, login: &FinishedLogin) -> Result<Finished, rusqlite::Error> {
    let person = person::know(db, &login.identity, login.new_person, login.now)?;
    if operator::is_blocked(db, person)? {
        return Ok(Finished::Blocked);
    }
    let redirect = login.ask.redirect.without_loopback_port();
    let reference = ClientRef::of(&login.ask.client_id);
    let earlier = person::consents(db, person, reference, &login.ask.resource)?;
    let same = earlier
        .iter()
        .find(|earlier| earlier.redirect == redirect && earlier.described == Some(login.described));
    if !operator::admits(db, reference, &login.ask.scopes)? {
        return Ok(Finished::NotAdmitted);
    }
    let sid = login.identity.session();
    person::begin_session(db, person, &login.session, sid, login.now)?;
    // What was remembered may have been taken back while the browser was at the provider.
    let remembered = same.is_some_and(|same| same.scopes.includes(&login.ask.scopes));
    let forgotten = login.left_out && !remembered;
    // Nobody allowed what the client says of itself by now.
    let changed = login.shown.is_some_and(|shown| shown != login.described);
    if forgotten || changed || login.named.is_some_and(|named| named != person) {
        return Ok(Finished::NotAllowed(person));
    }
    // Whoever allows more keeps what was allowed before.
    let allowed = match same {
        Some(same) => same.scopes.with(&login.ask.scopes),
        None => login.ask.scopes.clone(),
    };
    let client = reference.text();
    db.prepare_cached(
        "INSERT INTO clients (reference, client_id, name, since) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (reference) DO UPDATE SET name = excluded.name",
    )?
    .execute(params![
        client,
        login.ask.client_id,
        login.client_name,
        seconds(login.now)
    ])?;
    db.prepare_cached(
        "INSERT INTO consents (person, client, redirect, resource, scopes, allowed_at, described)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (person, client, redirect, resource) DO UPDATE SET
             scopes = excluded.scopes, allowed_at = excluded.allowed_at,
             described = excluded.described
         WHERE NOT ?8",
    )?
    .execute(params![
        person.text(),
        client,
        redirect,
        login.ask.resource,
        allowed.to_string(),
        seconds(login.now),
        login.described.text(),
        // What was allowed stays what it was: nobody was asked now.
        login.left_out
    ])?;
    let code = StoredCode {
        client_id: login.ask.client_id.clone(),
        redirect_uri: login.ask.redirect.text().to_owned(),
        challenge: login.ask.challenge,
        resource: login.ask.resource.clone(),
        scopes: login.ask.scopes.clone(),
        person,
        grant: login.grant,
        expires: login.expires,
        dpop_key: login.ask.dpop_key,
    };
    db.prepare_cached(
        "INSERT INTO codes (digest, code, idp, flow, forget_at, person, client, sid)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        login.code.text(),
        json(&code)?,
        login.idp,
        login.flow.to_string(),
        seconds(login.expires) + REMEMBER_SPENT.cast_signed(),
        person.text(),
        client,
        sid.map(|sid| sid.text())
    ])?;
    Ok(Finished::Now(person))
}

fn redeem_code(
    db: &Connection,
    code: Digest,
    grant: &NewGrant,
) -> Result<Redeemed, rusqlite::Error> {
    let spent = db
        .prepare_cached(
            "UPDATE codes SET spent_at = ?2 WHERE digest = ?1 AND spent_at IS NULL
             RETURNING code, idp, flow, sid",
        )?
        .query_row(params![code.text(), seconds(grant.now)], |row| {
            Ok((
                from_json::<StoredCode>(row, 0)?,
                row.get::<_, Option<Vec<u8>>>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, Option<String>>(3)?,
            ))
        })
        .optional()?;
    let Some((stored, idp, flow, sid)) = spent else {
        return Ok(Redeemed::Before);
    };
    let client = client_key(&stored.client_id);
    db.prepare_cached(
        "INSERT INTO grants (id, person, client_id, client, resource, scopes, secret, family,
                flow, idp, created_at, used_at, access_until, idle_until, ends_at, bound_to, sid)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, ?12, ?13, ?14, ?15, ?16)",
    )?
    .execute(params![
        grant.id.text(),
        stored.person.text(),
        stored.client_id,
        client,
        stored.resource,
        stored.scopes.to_string(),
        grant.secret,
        json(&vestibule_core::token::refresh_token::Family::default())?,
        flow,
        idp,
        seconds(grant.now),
        seconds(grant.access_until),
        seconds(grant.idle_until),
        seconds(grant.ends),
        grant.key.map(|key| Digest::from_bytes(key).text()),
        sid
    ])?;
    db.prepare_cached("UPDATE codes SET idp = NULL WHERE digest = ?1")?
        .execute([code.text()])?;
    parties(db, &stored.person.text(), &client).map(Redeemed::Now)
}

fn parties(db: &Connection, person: &str, client: &str) -> Result<Parties, rusqlite::Error> {
    let client = client_epoch(db, client)?;
    db.prepare_cached("SELECT epoch, issuer, subject, groups FROM people WHERE id = ?1")?
        .query_row([person], |row| {
            Ok(Parties {
                epochs: Epochs {
                    subject: row.get(0)?,
                    client,
                },
                issuer: row.get(1)?,
                subject: row.get(2)?,
                groups: from_json(row, 3)?,
            })
        })
}

fn client_epoch(db: &Connection, client: &str) -> Result<u32, rusqlite::Error> {
    Ok(db
        .prepare_cached("SELECT epoch FROM clients WHERE reference = ?1")?
        .query_row([client], |row| row.get(0))
        .optional()?
        .unwrap_or(0))
}

fn publish(
    db: &Connection,
    ended: Ended,
    epoch: u32,
    until: Timestamp,
) -> Result<Revocation, rusqlite::Error> {
    let until = Timestamp::from_unix(until.unix() + REVOCATION_MARGIN);
    let seq: i64 = db
        .prepare_cached(
            "UPDATE counters SET value = value + 1 WHERE name = 'revocations' RETURNING value",
        )?
        .query_row([], |row| row.get(0))?;
    let (kind, id) = match ended {
        Ended::Grant(id) => ("grant", id.text()),
        Ended::Token(id) => ("token", id.text()),
        Ended::Subject(id) => ("subject", id.text()),
        Ended::Client(id) => ("client", id.text()),
    };
    db.prepare_cached(
        "INSERT INTO revocations (seq, kind, id, epoch, until_at) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![seq, kind, id, epoch, seconds(until)])?;
    Ok(Revocation {
        seq: seq.cast_unsigned(),
        ended,
        epoch,
        until,
    })
}

fn revocations_since(db: &Connection, seq: u64) -> Result<Vec<Revocation>, rusqlite::Error> {
    let mut statement = db.prepare_cached(
        "SELECT seq, kind, id, epoch, until_at FROM revocations WHERE seq > ?1 ORDER BY seq",
    )?;
    let rows = statement.query_map([seq.cast_signed()], |row| {
        let kind: String = row.get(1)?;
        let ended = match kind.as_str() {
            "grant" => Ended::Grant(id(row, 2, GrantId::parse)?),
            "token" => Ended::Token(id(row, 2, TokenId::parse)?),
            "subject" => Ended::Subject(id(row, 2, PersonId::parse)?),
            "client" => Ended::Client(id(row, 2, ClientRef::parse)?),
            _ => return Err(damaged(1, "an unknown kind of revocation")),
        };
        Ok(Revocation {
            seq: row.get::<_, i64>(0)?.cast_unsigned(),
            ended,
            epoch: row.get(3)?,
            until: timestamp(row, 4)?,
        })
    })?;
    rows.collect()
}
