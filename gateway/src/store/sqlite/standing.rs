//! Grants where nobody logs in, and what may be used once.

use rusqlite::{Connection, OptionalExtension, params};
use vestibule_core::{
    assertion::Once,
    id::{ClientRef, GrantId, PersonId},
    secret::Digest,
};

use super::{
    super::{Decided, EndedWhy, Standing, StandingGrant, client_key},
    operator, parties,
    row::{id, json, seconds},
};

/// When a grant ends that ends only when somebody stops it.
const NEVER: i64 = i64::MAX;

pub(super) fn spend(db: &Connection, once: Once) -> Result<Decided, rusqlite::Error> {
    let inserted = db
        .prepare_cached(
            "INSERT INTO spent (digest, until_at) VALUES (?1, ?2) ON CONFLICT (digest) DO NOTHING",
        )?
        .execute(params![once.digest.text(), seconds(once.until)])?;
    Ok(if inserted == 1 {
        Decided::Now
    } else {
        Decided::Before
    })
}

pub(super) fn grant(db: &Connection, ask: &StandingGrant) -> Result<Standing, rusqlite::Error> {
    if let Some(once) = ask.once
        && spend(db, once)? == Decided::Before
    {
        return Ok(Standing::Replayed);
    }
    let person = person(db, ask)?;
    // Whatever an operator decided since the request was judged, or about a client that no
    // other rule knows.
    let admits = operator::admits(db, ClientRef::of(&ask.client_id), &ask.scopes)?;
    if operator::is_blocked(db, person)? || !admits {
        return Ok(Standing::Stopped);
    }
    let client = client_key(&ask.client_id);
    db.prepare_cached(
        "INSERT INTO clients (reference, client_id, name, since) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (reference) DO UPDATE SET name = excluded.name",
    )?
    .execute(params![
        client,
        ask.client_id,
        ask.client_name,
        seconds(ask.now)
    ])?;
    let standing = Digest::of(format!("{person}\n{client}\n{}", ask.resource).as_bytes()).text();
    // A grant that was stopped stays so; one that ended otherwise lives again.
    let row = db
        .prepare_cached(
            "INSERT INTO grants (id, person, client_id, client, resource, scopes, secret, family,
                    flow, created_at, used_at, access_until, idle_until, ends_at, standing)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, '{\"generation\":1,\"rotations\":[],\"repeats\":0}',
                    ?8, ?9, ?9, ?10, ?11, ?11, ?12)
             ON CONFLICT (standing) DO UPDATE SET
                    used_at = excluded.used_at, scopes = excluded.scopes,
                    access_until = max(grants.access_until, excluded.access_until)
             RETURNING id, ended_why",
        )?
        .query_row(
            params![
                ask.new_id.text(),
                person.text(),
                ask.client_id,
                client,
                ask.resource,
                ask.scopes.to_string(),
                ask.secret,
                ask.flow.to_string(),
                seconds(ask.now),
                seconds(ask.access_until),
                NEVER,
                standing
            ],
            |row| {
                Ok((
                    id(row, 0, GrantId::parse)?,
                    row.get::<_, Option<String>>(1)?,
                ))
            },
        )?;
    match row {
        (grant, None) => {
            let parties = parties(db, &person.text(), &client)?;
            Ok(Standing::Now(grant, person, parties))
        }
        (_, Some(why)) if why == EndedWhy::Stopped.word() => Ok(Standing::Stopped),
        // Its tokens are refused by its id, so it goes on under a new one.
        (ended, Some(_)) => {
            db.prepare_cached("UPDATE grants SET standing = NULL WHERE id = ?1")?
                .execute([ended.text()])?;
            let again = StandingGrant {
                once: None,
                ..ask.clone()
            };
            grant(db, &again)
        }
    }
}

fn person(db: &Connection, ask: &StandingGrant) -> Result<PersonId, rusqlite::Error> {
    let known = db
        .prepare_cached("SELECT id FROM people WHERE issuer = ?1 AND subject = ?2")?
        .query_row([&ask.issuer, &ask.subject], |row| {
            id(row, 0, PersonId::parse)
        })
        .optional()?;
    match known {
        Some(person) => {
            // Names are those of a login; groups are as fresh as who vouches says them.
            if let Some(groups) = &ask.groups {
                db.prepare_cached("UPDATE people SET groups = ?2 WHERE id = ?1")?
                    .execute(params![person.text(), json(groups)?])?;
            }
            Ok(person)
        }
        None => {
            db.prepare_cached(
                "INSERT INTO people (id, issuer, subject, shown, seen_at, groups)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                ask.new_person.text(),
                ask.issuer,
                ask.subject,
                ask.shown,
                seconds(ask.now),
                json(&ask.groups.as_deref().unwrap_or_default())?
            ])?;
            Ok(ask.new_person)
        }
    }
}
