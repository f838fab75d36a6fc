//! People, their sessions at our pages, and what may act for them.

use rusqlite::{Connection, OptionalExtension, params};
use vestibule_core::{
    apps::{Consent, Grant},
    audit::Deed,
    caller_identity::Profile,
    consent::Earlier,
    id::{ClientRef, GrantId, PersonId},
    identity::VerifiedIdentity,
    secret::Digest,
    time::Timestamp,
};

use super::{
    super::{Allowed, EndedWhy, NewSession, Person, SignedIn, ToApps},
    audit, operator, publish,
    row::{from_json, id, json, scopes, seconds, timestamp},
};
use crate::revocation::{Ended, Revocation};

/// Knows a person whom the provider vouched for, by issuer and subject alone.
pub(super) fn know(
    db: &Connection,
    identity: &VerifiedIdentity,
    new: PersonId,
    now: Timestamp,
) -> Result<PersonId, rusqlite::Error> {
    db.prepare_cached(
        "INSERT INTO people (id, issuer, subject, shown, name, email, seen_at, groups, vouched_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?7)
         ON CONFLICT (issuer, subject) DO UPDATE SET
             shown = excluded.shown, name = excluded.name, email = excluded.email,
             seen_at = excluded.seen_at, groups = excluded.groups,
             vouched_at = excluded.vouched_at
         RETURNING id",
    )?
    .query_row(
        params![
            new.text(),
            identity.issuer(),
            identity.subject(),
            identity.for_people(),
            identity.name(),
            identity.email(),
            seconds(now),
            json(&identity.groups())?
        ],
        |row| id(row, 0, PersonId::parse),
    )
}

/// Begins a session and ends the one that the browser had before, whosever that was.
pub(super) fn begin_session(
    db: &Connection,
    person: PersonId,
    session: &NewSession,
    sid: Option<Digest>,
    now: Timestamp,
) -> Result<(), rusqlite::Error> {
    if let Some(before) = session.replaces {
        end_session(db, before)?;
    }
    db.prepare_cached(
        "INSERT INTO sessions (digest, person, begun_at, ends_at, sid) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        session.digest.text(),
        person.text(),
        seconds(now),
        seconds(session.ends),
        sid.map(|sid| sid.text())
    ])
    .map(|_| ())
}

/// See [`Store::profile`](super::super::Store::profile).
pub(super) fn profile(
    db: &Connection,
    subject: PersonId,
    grant: GrantId,
) -> Result<Option<Profile>, rusqlite::Error> {
    db.prepare_cached(
        "SELECT people.issuer, subject, coalesce(name, shown), email, groups, client_id, flow
         FROM people LEFT JOIN grants ON grants.id = ?2
         WHERE people.id = ?1",
    )?
    .query_row([subject.text(), grant.text()], |row| {
        Ok(Profile {
            issuer: row.get(0)?,
            subject: row.get(1)?,
            name: row.get(2)?,
            email: row.get(3)?,
            groups: from_json(row, 4)?,
            client_id: row.get(5)?,
            flow: row.get(6)?,
        })
    })
    .optional()
}

/// See [`Store::begin_session`](super::super::Store::begin_session).
pub(super) fn begin_session_from(
    db: &Connection,
    from: Digest,
    session: &NewSession,
    now: Timestamp,
) -> Result<Option<PersonId>, rusqlite::Error> {
    let parent: Option<(PersonId, Option<String>, Timestamp)> = db
        .prepare_cached(
            "SELECT person, sid, begun_at FROM sessions JOIN people ON people.id = sessions.person
             WHERE digest = ?1 AND ends_at > ?2 AND blocked_at IS NULL",
        )?
        .query_row(params![from.text(), seconds(now)], |row| {
            Ok((
                id(row, 0, PersonId::parse)?,
                row.get(1)?,
                timestamp(row, 2)?,
            ))
        })
        .optional()?;
    let Some((person, sid, begun)) = parent else {
        return Ok(None);
    };
    let sid = sid.as_deref().and_then(Digest::parse);
    // As old as the one it comes from, so that whatever ends that one ends it too.
    begin_session(db, person, session, sid, begun)?;
    Ok(Some(person))
}

pub(super) fn sign_in(
    db: &Connection,
    new: &SignedIn,
) -> Result<Option<PersonId>, rusqlite::Error> {
    let person = know(db, &new.identity, new.new_person, new.now)?;
    if operator::is_blocked(db, person)? {
        return Ok(None);
    }
    begin_session(db, person, &new.session, new.identity.session(), new.now)?;
    Ok(Some(person))
}

pub(super) fn session(
    db: &Connection,
    session: Digest,
    vouched: Timestamp,
    now: Timestamp,
) -> Result<Option<Person>, rusqlite::Error> {
    db.prepare_cached(
        "SELECT people.id, shown, issuer, subject, groups
         FROM sessions JOIN people ON people.id = sessions.person
         WHERE digest = ?1 AND ends_at > ?2 AND vouched_at > ?3 AND blocked_at IS NULL",
    )?
    .query_row(
        params![session.text(), seconds(now), seconds(vouched)],
        |row| {
            Ok(Person {
                id: id(row, 0, PersonId::parse)?,
                shown: row.get(1)?,
                issuer: row.get(2)?,
                subject: row.get(3)?,
                groups: from_json(row, 4)?,
            })
        },
    )
    .optional()
}

pub(super) fn end_session(db: &Connection, session: Digest) -> Result<(), rusqlite::Error> {
    db.prepare_cached("DELETE FROM sessions WHERE digest = ?1")?
        .execute([session.text()])
        .map(|_| ())
}

pub(super) fn consents(
    db: &Connection,
    person: PersonId,
    client: ClientRef,
    resource: &str,
) -> Result<Vec<Earlier>, rusqlite::Error> {
    db.prepare_cached(
        "SELECT redirect, scopes, described, allowed_at FROM consents
         WHERE person = ?1 AND client = ?2 AND resource = ?3",
    )?
    .query_map(params![person.text(), client.text(), resource], |row| {
        Ok(Earlier {
            redirect: row.get(0)?,
            scopes: scopes(row, 1)?,
            described: row
                .get::<_, Option<String>>(2)?
                .as_deref()
                .and_then(Digest::parse),
            allowed: timestamp(row, 3)?,
        })
    })?
    .collect()
}

pub(super) fn allowed(
    db: &Connection,
    person: PersonId,
    now: Timestamp,
) -> Result<Allowed, rusqlite::Error> {
    let consents = db
        .prepare_cached(
            "SELECT client, client_id, name, resource, consents.scopes, allowed_at
             FROM consents JOIN clients ON clients.reference = consents.client
             WHERE person = ?1",
        )?
        .query_map([person.text()], |row| {
            Ok(Consent {
                client: id(row, 0, ClientRef::parse)?,
                client_id: row.get(1)?,
                client_name: row.get(2)?,
                resource: row.get(3)?,
                scopes: scopes(row, 4)?,
                allowed: timestamp(row, 5)?,
            })
        })?
        .collect::<Result<_, _>>()?;
    let grants = db
        .prepare_cached(
            "SELECT id, client, grants.client_id, name, resource, grants.scopes, created_at, used_at,
                    ended_at IS NOT NULL
             FROM grants LEFT JOIN clients ON clients.reference = grants.client
             WHERE person = ?1 AND (
                 (ended_at IS NULL AND ends_at > ?2 AND idle_until > ?2)
                 OR (standing IS NOT NULL AND ended_why = ?3))",
        )?
        .query_map(
            params![person.text(), seconds(now), EndedWhy::Stopped.word()],
            |row| {
                Ok(Grant {
                    id: id(row, 0, GrantId::parse)?,
                    client: id(row, 1, ClientRef::parse)?,
                    client_id: row.get(2)?,
                    client_name: row.get(3)?,
                    resource: row.get(4)?,
                    scopes: scopes(row, 5)?,
                    since: timestamp(row, 6)?,
                    used: timestamp(row, 7)?,
                    stopped: row.get(8)?,
                })
            },
        )?
        .collect::<Result<_, _>>()?;
    Ok(Allowed { consents, grants })
}

/// Whose access ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Of {
    /// What one client may do for a person.
    One(PersonId, ClientRef),
    /// What all clients may do for a person.
    Person(PersonId),
    /// What a client may do for all people.
    Client(ClientRef),
}

/// Ends consents, codes on their way and grants. How many codes and grants ended.
pub(super) fn end(
    db: &Connection,
    of: Of,
    why: EndedWhy,
    now: Timestamp,
) -> Result<(usize, Vec<Revocation>), rusqlite::Error> {
    let (which, first, second) = match of {
        Of::One(person, client) => (
            "person = ?1 AND client = ?2",
            person.text(),
            Some(client.text()),
        ),
        Of::Person(person) => ("person = ?1 AND ?2 IS NULL", person.text(), None),
        Of::Client(client) => ("client = ?1 AND ?2 IS NULL", client.text(), None),
    };
    db.prepare_cached(&format!("DELETE FROM consents WHERE {which}"))?
        .execute(params![first, second])?;
    end_where(db, which, (&first, second.as_deref()), why, now)
}

/// Ends the codes on their way and the grants `which` says, of its two parameters. How many
/// ended.
pub(super) fn end_where(
    db: &Connection,
    which: &str,
    (first, second): (&str, Option<&str>),
    why: EndedWhy,
    now: Timestamp,
) -> Result<(usize, Vec<Revocation>), rusqlite::Error> {
    // A code on its way would make a grant a moment later.
    let codes = db
        .prepare_cached(&format!(
            "UPDATE codes SET spent_at = ?3, idp = NULL WHERE {which} AND spent_at IS NULL"
        ))?
        .execute(params![first, second, seconds(now)])?;
    let ended: Vec<(GrantId, Timestamp)> = db
        .prepare_cached(&format!(
            "UPDATE grants SET ended_at = ?3, ended_why = ?4, idp = NULL
             WHERE {which} AND ended_at IS NULL RETURNING id, access_until"
        ))?
        .query_map(params![first, second, seconds(now), why.word()], |row| {
            Ok((id(row, 0, GrantId::parse)?, timestamp(row, 1)?))
        })?
        .collect::<Result<_, _>>()?;
    let entries = ended
        .into_iter()
        .map(|(grant, until)| publish(db, Ended::Grant(grant), 0, until))
        .collect::<Result<Vec<_>, _>>()?;
    Ok((codes + entries.len(), entries))
}

/// Ends what may act for a person: of one client, or all of it.
pub(super) fn stop(
    db: &Connection,
    what: &ToApps,
) -> Result<(usize, Vec<Revocation>), rusqlite::Error> {
    let of = match what.client {
        Some(client) => Of::One(what.person, client),
        None => Of::Person(what.person),
    };
    let (ended, entries) = end(db, of, EndedWhy::Stopped, what.now)?;
    let client = what.client.map(|client| audit::client_name(db, client));
    let deed = Deed::Stopped {
        person: what.person,
        shown: audit::shown(db, what.person)?,
        client: client.transpose()?,
        ended,
    };
    audit::act(db, &what.by, deed, what.now)?;
    Ok((ended, entries))
}

/// Lets standing grants of a client live again that the person had stopped.
pub(super) fn allow_again(db: &Connection, what: &ToApps) -> Result<usize, rusqlite::Error> {
    let Some(client) = what.client else {
        return Ok(0);
    };
    // Tokens of before stay refused by the grant's id: the next request gets a new grant.
    let again = db
        .prepare_cached(
            "UPDATE grants SET standing = NULL
             WHERE person = ?1 AND client = ?2 AND standing IS NOT NULL AND ended_why = ?3",
        )?
        .execute(params![
            what.person.text(),
            client.text(),
            EndedWhy::Stopped.word()
        ])?;
    if again > 0 {
        let deed = Deed::AllowedAgain {
            person: what.person,
            shown: audit::shown(db, what.person)?,
            client: audit::client_name(db, client)?,
        };
        audit::act(db, &what.by, deed, what.now)?;
    }
    Ok(again)
}
