//! The audit: written once, read backwards.

use rusqlite::{Connection, OptionalExtension, params};
use vestibule_core::{
    audit::{Act, Actor, Deed, Record, Subject},
    id::{ClientRef, GrantId, PersonId},
    time::Timestamp,
};

use super::row::{flow_code, from_json, json, seconds};

pub(super) fn append(db: &Connection, record: &Record) -> Result<(), rusqlite::Error> {
    let Some((from, until)) = record.times() else {
        return Ok(());
    };
    db.prepare_cached("INSERT INTO audit (from_at, until_at, record) VALUES (?1, ?2, ?3)")?
        .execute(params![seconds(from), seconds(until), json(record)?])
        .map(|_| ())
}

pub(super) fn act(
    db: &Connection,
    by: &Actor,
    what: Deed,
    now: Timestamp,
) -> Result<(), rusqlite::Error> {
    let by = by.clone();
    append(db, &Record::Act(Act { at: now, by, what }))
}

pub(super) fn before(
    db: &Connection,
    before: Option<u64>,
    most: u32,
) -> Result<Vec<(u64, Record)>, rusqlite::Error> {
    let before = before.map_or(i64::MAX, u64::cast_signed);
    db.prepare_cached("SELECT id, record FROM audit WHERE id < ?1 ORDER BY id DESC LIMIT ?2")?
        .query_map(params![before, most], |row| {
            Ok((row.get::<_, i64>(0)?.cast_unsigned(), from_json(row, 1)?))
        })?
        .collect()
}

/// What a grant's parties are called.
pub(super) fn subject(
    db: &Connection,
    grant: GrantId,
    person: PersonId,
    client: ClientRef,
) -> Result<Subject, rusqlite::Error> {
    let flow = db
        .prepare_cached("SELECT flow FROM grants WHERE id = ?1")?
        .query_row([grant.text()], |row| flow_code(row, 0))
        .optional()?;
    Ok(Subject {
        person: Some(person),
        shown: shown(db, person)?,
        client: Some(client),
        client_name: client_name(db, client)?,
        flow,
    })
}

/// What a person is called.
pub(super) fn shown(db: &Connection, person: PersonId) -> Result<String, rusqlite::Error> {
    let shown = db
        .prepare_cached("SELECT shown FROM people WHERE id = ?1")?
        .query_row([person.text()], |row| row.get(0))
        .optional()?;
    Ok(shown.unwrap_or_else(|| person.text()))
}

/// What a client is called.
pub(super) fn client_name(db: &Connection, client: ClientRef) -> Result<String, rusqlite::Error> {
    let name = db
        .prepare_cached("SELECT coalesce(name, client_id) FROM clients WHERE reference = ?1")?
        .query_row([client.text()], |row| row.get(0))
        .optional()?;
    Ok(name.unwrap_or_else(|| client.text()))
}
