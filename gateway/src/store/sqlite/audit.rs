//! The audit: written once, read backwards.

use rusqlite::{Connection, OptionalExtension, params};
use vestibule_core::{
    audit::{Act, Actor, Deed, Record, Subject},
    id::{ClientRef, GrantId, PersonId},
    time::Timestamp,
};

use super::{
    super::Sought,
    row::{flow_code, from_json, json, seconds},
};

pub(super) fn append(db: &Connection, record: &Record) -> Result<(), rusqlite::Error> {
    let Some((from, until)) = record.times() else {
        return Ok(());
    };
    db.prepare_cached(
        "INSERT INTO audit (kind, from_at, until_at, record) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![
        record.kind(),
        seconds(from),
        seconds(until),
        json(record)?
    ])
    .map(|_| ())
}

pub(super) fn act(
    db: &Connection,
    by: &Actor,
    what: Deed,
    now: Timestamp,
) -> Result<(), rusqlite::Error> {
    let by = by.clone();
    append(db, &Record::Act(Box::new(Act { at: now, by, what })))
}

pub(super) fn sought(
    db: &Connection,
    sought: &Sought,
) -> Result<Vec<(u64, Record)>, rusqlite::Error> {
    let kind = match sought.kind {
        Some(_) => "kind = ?5 AND",
        None => "?5 IS NULL AND",
    };
    db.prepare_cached(&format!(
        "SELECT id, record FROM audit
         WHERE {kind} id < ?1 AND until_at >= ?2 AND from_at <= ?3 ORDER BY id DESC LIMIT ?4"
    ))?
    .query_map(
        params![
            sought.before.map_or(i64::MAX, u64::cast_signed),
            sought.from.map_or(0, seconds),
            sought.until.map_or(i64::MAX, seconds),
            sought.most,
            sought.kind
        ],
        |row| Ok((row.get::<_, i64>(0)?.cast_unsigned(), from_json(row, 1)?)),
    )?
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
