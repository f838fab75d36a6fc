//! What operators see and decide.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};
use vestibule_core::{
    audit::{Actor, Deed},
    id::{ClientRef, PersonId},
    operator::{Block, ClientRow, PersonRow, Standing},
    scope::ScopeSet,
    secret::Digest,
    time::Timestamp,
};

use super::{
    super::{ClientDecision, EndedWhy, NewLink, Outcome, ToClient, ToPerson, UnmakeOperator},
    audit, connection,
    person::{self, Of},
    publish,
    row::{damaged, from_seconds, id, optional_id, seconds, timestamp},
};
use crate::revocation::{Ended, Revocation};

/// Grants that live at `?1`.
const LIVES: &str = "ended_at IS NULL AND ends_at > ?1 AND idle_until > ?1";

const CLIENT_COLUMNS: &str = "reference, client_id, name, since, blocked_at, blocked_why,
     trusted_at, scopes, trusted_described";

fn block(row: &Row<'_>, at: usize) -> Result<Option<Block>, rusqlite::Error> {
    let since: Option<i64> = row.get(at)?;
    let why: Option<String> = row.get(at + 1)?;
    Ok(since.map(|since| Block {
        since: from_seconds(since),
        why: why.unwrap_or_default(),
    }))
}

fn standing_of(row: &Row<'_>, at: usize) -> Result<Standing, rusqlite::Error> {
    Ok(Standing {
        blocked: block(row, at)?,
        trusted: row.get::<_, Option<i64>>(at + 2)?.map(from_seconds),
        limit: row
            .get::<_, Option<String>>(at + 3)?
            .map(|text| ScopeSet::parse(&text).map_err(|_| damaged(at + 3, "no scopes")))
            .transpose()?,
        trusted_described: optional_id(row, at + 4, Digest::parse)?,
    })
}

/// What was decided about a client, and its id.
pub(super) fn standing(
    db: &Connection,
    client: ClientRef,
) -> Result<Option<(String, Standing)>, rusqlite::Error> {
    db.prepare_cached(
        "SELECT client_id, blocked_at, blocked_why, trusted_at, scopes, trusted_described
         FROM clients
         WHERE reference = ?1",
    )?
    .query_row([client.text()], |row| {
        Ok((row.get(0)?, standing_of(row, 1)?))
    })
    .optional()
}

fn client_row(
    db: &Connection,
    row: &Row<'_>,
    now: Timestamp,
) -> Result<ClientRow, rusqlite::Error> {
    let reference = id(row, 0, ClientRef::parse)?;
    let (people, grants, used) = db
        .prepare_cached(&format!(
            "SELECT count(DISTINCT person), count(*), max(used_at) FROM grants
             WHERE client = ?2 AND {LIVES}"
        ))?
        .query_row(params![seconds(now), reference.text()], |row| {
            Ok((
                row.get::<_, i64>(0)?.cast_unsigned(),
                row.get::<_, i64>(1)?.cast_unsigned(),
                row.get::<_, Option<i64>>(2)?.map(from_seconds),
            ))
        })?;
    let redirects = db
        .prepare_cached("SELECT DISTINCT redirect FROM consents WHERE client = ?1 LIMIT 10")?
        .query_map([reference.text()], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(ClientRow {
        redirects,
        reference,
        client_id: row.get(1)?,
        name: row.get(2)?,
        since: timestamp(row, 3)?,
        people,
        grants,
        used,
        standing: standing_of(row, 4)?,
    })
}

pub(super) fn clients(
    db: &Connection,
    named: Option<&str>,
    now: Timestamp,
    most: u32,
) -> Result<Vec<ClientRow>, rusqlite::Error> {
    db.prepare_cached(&format!(
        "SELECT {CLIENT_COLUMNS} FROM clients
         WHERE ?1 IS NULL OR instr(lower(coalesce(name, '') || ' ' || client_id), lower(?1)) > 0
         ORDER BY since DESC LIMIT ?2"
    ))?
    .query_map(params![named, most], |row| client_row(db, row, now))?
    .collect()
}

pub(super) fn client(
    db: &Connection,
    client: ClientRef,
    now: Timestamp,
) -> Result<Option<ClientRow>, rusqlite::Error> {
    db.prepare_cached(&format!(
        "SELECT {CLIENT_COLUMNS} FROM clients WHERE reference = ?1"
    ))?
    .query_row([client.text()], |row| client_row(db, row, now))
    .optional()
}

const PERSON_COLUMNS: &str = "people.id, shown, issuer, seen_at, blocked_at, blocked_why,
     (SELECT 1 FROM operators WHERE person = people.id) IS NOT NULL";

fn person_row(
    db: &Connection,
    row: &Row<'_>,
    now: Timestamp,
) -> Result<PersonRow, rusqlite::Error> {
    let person = id(row, 0, PersonId::parse)?;
    let (apps, grants) = db
        .prepare_cached(&format!(
            "SELECT count(DISTINCT client), count(*) FROM grants WHERE person = ?2 AND {LIVES}"
        ))?
        .query_row(params![seconds(now), person.text()], |row| {
            Ok((
                row.get::<_, i64>(0)?.cast_unsigned(),
                row.get::<_, i64>(1)?.cast_unsigned(),
            ))
        })?;
    Ok(PersonRow {
        id: person,
        shown: row.get(1)?,
        issuer: row.get(2)?,
        seen: timestamp(row, 3)?,
        apps,
        grants,
        blocked: block(row, 4)?,
        operator: row.get(6)?,
    })
}

pub(super) fn people(
    db: &Connection,
    named: Option<&str>,
    now: Timestamp,
    most: u32,
) -> Result<Vec<PersonRow>, rusqlite::Error> {
    db.prepare_cached(&format!(
        "SELECT {PERSON_COLUMNS} FROM people
         WHERE ?1 IS NULL OR instr(lower(shown || ' ' || coalesce(name, '') || ' ' ||
               coalesce(email, '') || ' ' || subject), lower(?1)) > 0
         ORDER BY seen_at DESC LIMIT ?2"
    ))?
    .query_map(params![named, most], |row| person_row(db, row, now))?
    .collect()
}

pub(super) fn one_person(
    db: &Connection,
    person: PersonId,
    now: Timestamp,
) -> Result<Option<PersonRow>, rusqlite::Error> {
    db.prepare_cached(&format!(
        "SELECT {PERSON_COLUMNS} FROM people WHERE people.id = ?1"
    ))?
    .query_row([person.text()], |row| person_row(db, row, now))
    .optional()
}

/// Whom a client may act for, by their live grants.
pub(super) fn people_of(
    db: &Connection,
    client: ClientRef,
    now: Timestamp,
    most: u32,
) -> Result<Vec<PersonRow>, rusqlite::Error> {
    db.prepare_cached(&format!(
        "SELECT {PERSON_COLUMNS} FROM people WHERE people.id IN
             (SELECT person FROM grants WHERE client = ?2 AND {LIVES})
         ORDER BY seen_at DESC LIMIT ?3"
    ))?
    .query_map(params![seconds(now), client.text(), most], |row| {
        person_row(db, row, now)
    })?
    .collect()
}

/// Knows clients of the configuration.
pub(super) fn know(
    db: &Connection,
    clients: &[(String, Option<String>)],
    now: Timestamp,
) -> Result<(), rusqlite::Error> {
    for (id, name) in clients {
        db.prepare_cached(
            "INSERT INTO clients (reference, client_id, name, since) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (reference) DO UPDATE SET name = excluded.name",
        )?
        .execute(params![ClientRef::of(id).text(), id, name, seconds(now)])?;
    }
    Ok(())
}

/// Whether a client may have these scopes now; one that nobody decided about may.
pub(super) fn admits(
    db: &Connection,
    client: ClientRef,
    scopes: &ScopeSet,
) -> Result<bool, rusqlite::Error> {
    Ok(standing(db, client)?.is_none_or(|(_, standing)| {
        let within = standing.limit.is_none_or(|limit| limit.includes(scopes));
        standing.blocked.is_none() && within
    }))
}

/// The longest life of an access token that the configuration admits.
const ACCESS_MAX: Duration = Duration::from_secs(3600);

/// Ends everything of a client, also tokens that it has under grants of others.
fn end_client(
    db: &Connection,
    client: ClientRef,
    why: EndedWhy,
    now: Timestamp,
) -> Result<(usize, Vec<Revocation>), rusqlite::Error> {
    let (ended, mut entries) = person::end(db, Of::Client(client), why, now)?;
    let epoch: u32 = db
        .prepare_cached(
            "UPDATE clients SET epoch = epoch + 1 WHERE reference = ?1 RETURNING epoch",
        )?
        .query_row([client.text()], |row| row.get(0))?;
    let until = now.plus(ACCESS_MAX);
    entries.push(publish(db, Ended::Client(client), epoch, until)?);
    Ok((ended, entries))
}

pub(super) fn decide_client(
    db: &Connection,
    to: &ToClient,
) -> Result<(Outcome, Vec<Revocation>), rusqlite::Error> {
    let Some((_, before)) = standing(db, to.client)? else {
        return Ok((Outcome::NotThere, Vec::new()));
    };
    let name = audit::client_name(db, to.client)?;
    let client = to.client;
    let mut after = before.clone();
    let ends = match &to.decision {
        ClientDecision::Ends => {
            let (ended, entries) = end_client(db, client, EndedWhy::Stopped, to.now)?;
            let deed = Deed::ClientStopped {
                client,
                name,
                ended,
            };
            audit::act(db, &to.by, deed, to.now)?;
            return Ok((Outcome::Now(ended), entries));
        }
        ClientDecision::Block(block) => {
            after.blocked = block.clone();
            block.is_some()
        }
        ClientDecision::Trust(false) => {
            (after.trusted, after.trusted_described) = (None, None);
            false
        }
        ClientDecision::Trust(true) => {
            let described = db
                .prepare_cached(
                    "SELECT described FROM consents WHERE client = ?1 AND described IS NOT NULL
                     ORDER BY allowed_at DESC LIMIT 1",
                )?
                .query_row([client.text()], |row| optional_id(row, 0, Digest::parse))
                .optional()?;
            let Some(described) = described else {
                return Ok((Outcome::NeverSeen, Vec::new()));
            };
            (after.trusted, after.trusted_described) = (Some(to.now), described);
            false
        }
        ClientDecision::Limit(limit) => {
            after.limit = limit.clone();
            // What a limit takes away was in tokens already.
            limit.is_some() && after.limit != before.limit
        }
    };
    let blocked = after.blocked.as_ref();
    db.prepare_cached(
        "UPDATE clients SET blocked_at = ?2, blocked_why = ?3, trusted_at = ?4, scopes = ?5,
                trusted_described = ?6 WHERE reference = ?1",
    )?
    .execute(params![
        client.text(),
        blocked.map(|block| seconds(block.since)),
        blocked.map(|block| block.why.as_str()),
        after.trusted.map(seconds),
        after.limit.as_ref().map(ToString::to_string),
        after.trusted_described.map(|digest| digest.text())
    ])?;
    let (ended, entries) = match ends {
        true => end_client(db, client, EndedWhy::Blocked, to.now)?,
        false => (0, Vec::new()),
    };
    let deed = Deed::ClientChanged {
        client,
        name,
        before,
        after,
        ended,
    };
    audit::act(db, &to.by, deed, to.now)?;
    Ok((Outcome::Now(ended), entries))
}

pub(super) fn decide_person(
    db: &Connection,
    to: &ToPerson,
) -> Result<(Outcome, Vec<Revocation>), rusqlite::Error> {
    let Some(before) = one_person(db, to.person, to.now)? else {
        return Ok((Outcome::NotThere, Vec::new()));
    };
    let block = to.block.as_ref();
    db.prepare_cached("UPDATE people SET blocked_at = ?2, blocked_why = ?3 WHERE id = ?1")?
        .execute(params![
            to.person.text(),
            block.map(|block| seconds(block.since)),
            block.map(|block| block.why.as_str())
        ])?;
    let (ended, entries) = match block {
        Some(_) => {
            db.prepare_cached("DELETE FROM sessions WHERE person = ?1")?
                .execute([to.person.text()])?;
            connection::disconnect_all(db, to)?;
            person::end(db, Of::Person(to.person), EndedWhy::Blocked, to.now)?
        }
        None => (0, Vec::new()),
    };
    let deed = Deed::PersonChanged {
        person: to.person,
        shown: before.shown,
        before: before.blocked,
        after: to.block.clone(),
        ended,
    };
    audit::act(db, &to.by, deed, to.now)?;
    Ok((Outcome::Now(ended), entries))
}

pub(super) fn unmake(db: &Connection, unmake: &UnmakeOperator) -> Result<bool, rusqlite::Error> {
    let person = unmake.person;
    let gone = db
        .prepare_cached("DELETE FROM operators WHERE person = ?1")?
        .execute([person.text()])?;
    if gone == 0 {
        return Ok(false);
    }
    let shown = audit::shown(db, person)?;
    let deed = Deed::OperatorUnmade { person, shown };
    audit::act(db, &unmake.by, deed, unmake.now)?;
    Ok(true)
}

pub(super) fn is_blocked(db: &Connection, person: PersonId) -> Result<bool, rusqlite::Error> {
    db.prepare_cached("SELECT blocked_at IS NOT NULL FROM people WHERE id = ?1")?
        .query_row([person.text()], |row| row.get(0))
}

pub(super) fn is_operator(db: &Connection, person: PersonId) -> Result<bool, rusqlite::Error> {
    let found = db
        .prepare_cached("SELECT 1 FROM operators WHERE person = ?1")?
        .query_row([person.text()], |_| Ok(()))
        .optional()?;
    Ok(found.is_some())
}

pub(super) fn make_link(db: &Connection, link: &NewLink) -> Result<(), rusqlite::Error> {
    db.prepare_cached("INSERT INTO operator_links (digest, expires_at) VALUES (?1, ?2)")?
        .execute(params![link.digest.text(), seconds(link.expires)])?;
    let expires = link.expires;
    audit::act(db, &link.by, Deed::LinkMade { expires }, link.now)
}

/// Spends a link; whether it was one that lasts.
pub(super) fn use_link(
    db: &Connection,
    link: Digest,
    person: PersonId,
    now: Timestamp,
) -> Result<bool, rusqlite::Error> {
    let spent = db
        .prepare_cached("DELETE FROM operator_links WHERE digest = ?1 AND expires_at > ?2")?
        .execute(params![link.text(), seconds(now)])?;
    if spent == 0 {
        return Ok(false);
    }
    db.prepare_cached(
        "INSERT INTO operators (person, since) VALUES (?1, ?2) ON CONFLICT (person) DO NOTHING",
    )?
    .execute(params![person.text(), seconds(now)])?;
    let shown = audit::shown(db, person)?;
    let by = Actor::Person {
        id: person,
        shown: shown.clone(),
    };
    audit::act(db, &by, Deed::OperatorMade { person, shown }, now)?;
    Ok(true)
}
