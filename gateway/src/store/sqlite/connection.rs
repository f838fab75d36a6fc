//! Accounts of people at services behind MCP servers.

use rusqlite::{Connection as Db, OptionalExtension as _, params};
use vestibule_core::{
    audit::{Actor, Deed},
    id::PersonId,
    time::Timestamp,
};

use super::{
    super::{Connection, ConnectionClaim, Disconnect, FoundConnection, NewConnection, ToPerson},
    audit,
    row::{seconds, timestamp},
};

/// Where a claim holds.
const CLAIMED: &str = "person = ?1 AND server = ?2 AND asking_until = ?3 AND sealed IS NOT NULL";

pub(super) fn find(
    db: &Db,
    person: PersonId,
    server: &str,
) -> Result<Option<FoundConnection>, rusqlite::Error> {
    db.prepare_cached(
        "SELECT sealed, asking_until FROM connections
         WHERE person = ?1 AND server = ?2 AND sealed IS NOT NULL",
    )?
    .query_row(params![person.text(), server], |row| {
        Ok(FoundConnection {
            sealed: row.get(0)?,
            asking_until: timestamp(row, 1)?,
        })
    })
    .optional()
}

pub(super) fn list(db: &Db, person: PersonId) -> Result<Vec<Connection>, rusqlite::Error> {
    db.prepare_cached(
        "SELECT server, since, sealed IS NULL FROM connections WHERE person = ?1 ORDER BY server",
    )?
    .query_map([person.text()], |row| {
        Ok(Connection {
            server: row.get(0)?,
            since: timestamp(row, 1)?,
            broken: row.get(2)?,
        })
    })?
    .collect()
}

pub(super) fn connect(db: &Db, new: &NewConnection) -> Result<bool, rusqlite::Error> {
    // Whoever was blocked or signed out while the service answered connects nothing.
    let lasts: bool = db
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM sessions JOIN people ON people.id = sessions.person
             WHERE digest = ?1 AND person = ?2 AND ends_at > ?3 AND blocked_at IS NULL)",
        )?
        .query_row(
            params![new.session.text(), new.person.text(), seconds(new.now)],
            |row| row.get(0),
        )?;
    if !lasts {
        return Ok(false);
    }
    db.prepare_cached(
        "INSERT INTO connections (person, server, sealed, since) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (person, server) DO UPDATE SET
             sealed = excluded.sealed, since = excluded.since, asking_until = 0",
    )?
    .execute(params![
        new.person.text(),
        new.server,
        new.sealed,
        seconds(new.now)
    ])?;
    let shown = audit::shown(db, new.person)?;
    let by = Actor::Person {
        id: new.person,
        shown: shown.clone(),
    };
    let deed = Deed::Connected {
        person: new.person,
        shown,
        server: new.server.clone(),
    };
    audit::act(db, &by, deed, new.now)?;
    Ok(true)
}

pub(super) fn disconnect(db: &Db, what: &Disconnect) -> Result<bool, rusqlite::Error> {
    let gone = db
        .prepare_cached("DELETE FROM connections WHERE person = ?1 AND server = ?2")?
        .execute(params![what.person.text(), what.server])?;
    if gone == 0 {
        return Ok(false);
    }
    let deed = Deed::Disconnected {
        person: what.person,
        shown: audit::shown(db, what.person)?,
        server: what.server.clone(),
    };
    audit::act(db, &what.by, deed, what.now)?;
    Ok(true)
}

/// The same of all accounts of somebody who is blocked.
pub(super) fn disconnect_all(db: &Db, to: &ToPerson) -> Result<(), rusqlite::Error> {
    for one in list(db, to.person)? {
        let what = Disconnect {
            person: to.person,
            server: one.server,
            by: to.by.clone(),
            now: to.now,
        };
        disconnect(db, &what)?;
    }
    Ok(())
}

/// Claims the question; what is sealed there, if this one may ask.
pub(super) fn ask(
    db: &Db,
    claim: &ConnectionClaim,
    now: Timestamp,
) -> Result<Option<Vec<u8>>, rusqlite::Error> {
    db.prepare_cached(
        "UPDATE connections SET asking_until = ?3
         WHERE person = ?1 AND server = ?2 AND asking_until <= ?4 AND sealed IS NOT NULL
         RETURNING sealed",
    )?
    .query_row(
        params![
            claim.person.text(),
            claim.server,
            seconds(claim.until),
            seconds(now)
        ],
        |row| row.get(0),
    )
    .optional()
}

/// What the service gave, or nothing if it takes the account no more; and when the next
/// question may be.
pub(super) fn keep(
    db: &Db,
    claim: &ConnectionClaim,
    sealed: Option<&[u8]>,
) -> Result<bool, rusqlite::Error> {
    db.prepare_cached(&format!(
        "UPDATE connections SET sealed = ?4, asking_until = 0 WHERE {CLAIMED}"
    ))?
    .execute(params![
        claim.person.text(),
        claim.server,
        seconds(claim.until),
        sealed
    ])
    .map(|rows| rows == 1)
}

pub(super) fn not_answered(
    db: &Db,
    claim: &ConnectionClaim,
    again: Timestamp,
) -> Result<(), rusqlite::Error> {
    db.prepare_cached(&format!(
        "UPDATE connections SET asking_until = ?4 WHERE {CLAIMED}"
    ))?
    .execute(params![
        claim.person.text(),
        claim.server,
        seconds(claim.until),
        seconds(again)
    ])
    .map(|_| ())
}
