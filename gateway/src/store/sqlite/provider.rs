//! What the identity provider says of people after their login.

use rusqlite::{Connection, OptionalExtension as _, params};
use vestibule_core::{
    audit::{Actor, Deed},
    id::{GrantId, PersonId},
    time::Timestamp,
};

use super::{
    super::{Asking, Claim, Decided, EndedWhy, SignedOutThere, Vouched},
    audit,
    person::end_where,
    publish,
    row::{id, json, seconds, timestamp},
    standing,
};
use crate::revocation::{Ended, Revocation};

/// Claims the question; what is sealed there, if this one may ask.
pub(super) fn ask(db: &Connection, asking: &Asking) -> Result<Option<Vec<u8>>, rusqlite::Error> {
    db.prepare_cached(
        "UPDATE grants SET idp_asking_until = ?4
         WHERE id = ?1 AND ended_at IS NULL AND idp IS NOT NULL
           AND coalesce(idp_checked_at, created_at) = ?2 AND idp_asking_until <= ?3
         RETURNING idp",
    )?
    .query_row(
        params![
            asking.grant.text(),
            seconds(asking.checked),
            seconds(asking.now),
            seconds(asking.until)
        ],
        |row| row.get(0),
    )
    .optional()
}

/// Where a claim holds.
const CLAIMED: &str = "id = ?1 AND idp_asking_until = ?2 AND ended_at IS NULL";

/// See [`Store::keep_idp`](super::super::Store::keep_idp).
pub(super) fn keep(db: &Connection, claim: Claim, sealed: &[u8]) -> Result<bool, rusqlite::Error> {
    db.prepare_cached(&format!("UPDATE grants SET idp = ?3 WHERE {CLAIMED}"))?
        .execute(params![claim.grant.text(), seconds(claim.until), sealed])
        .map(|rows| rows == 1)
}

/// Stores its word, which is good for all that the person has here.
pub(super) fn vouched(db: &Connection, told: &Vouched) -> Result<bool, rusqlite::Error> {
    let person: Option<String> = db
        .prepare_cached(&format!(
            "UPDATE grants SET idp_checked_at = ?3, idp_asking_until = 0
             WHERE {CLAIMED} RETURNING person"
        ))?
        .query_row(
            params![
                told.claim.grant.text(),
                seconds(told.claim.until),
                seconds(told.now)
            ],
            |row| row.get(0),
        )
        .optional()?;
    let Some(person) = person else {
        return Ok(false);
    };
    let groups = told.groups.as_ref().map(json).transpose()?;
    db.prepare_cached(
        "UPDATE people SET vouched_at = max(vouched_at, ?2), groups = coalesce(?3, groups)
         WHERE id = ?1",
    )?
    .execute(params![person, seconds(told.now), groups])?;
    Ok(true)
}

/// Lets the next one ask at `again`.
pub(super) fn not_answered(
    db: &Connection,
    claim: Claim,
    again: Timestamp,
) -> Result<(), rusqlite::Error> {
    db.prepare_cached(&format!(
        "UPDATE grants SET idp_asking_until = ?3 WHERE {CLAIMED}"
    ))?
    .execute(params![
        claim.grant.text(),
        seconds(claim.until),
        seconds(again)
    ])
    .map(|_| ())
}

/// The provider does not vouch for the person of a grant any more: the grant ends, the sessions
/// end that are as old as its last word about it, and of their other grants the provider is
/// asked before the next renewal. A login since then is a newer word: what it refuses may be
/// the old token, after a change of the password, and not the person.
pub(super) fn gone(
    db: &Connection,
    claim: Claim,
    now: Timestamp,
) -> Result<(bool, Vec<Revocation>), rusqlite::Error> {
    let ended: Option<(PersonId, Timestamp, i64)> = db
        .prepare_cached(&format!(
            "UPDATE grants SET ended_at = ?3, ended_why = ?4, idp = NULL
             WHERE {CLAIMED}
             RETURNING person, access_until, coalesce(idp_checked_at, created_at)"
        ))?
        .query_row(
            params![
                claim.grant.text(),
                seconds(claim.until),
                seconds(now),
                EndedWhy::Provider.word()
            ],
            |row| {
                Ok((
                    id(row, 0, PersonId::parse)?,
                    timestamp(row, 1)?,
                    row.get(2)?,
                ))
            },
        )
        .optional()?;
    let Some((person, until, word)) = ended else {
        return Ok((false, Vec::new()));
    };
    let entry = publish(db, Ended::Grant(claim.grant), 0, until)?;
    let person_text = person.text();
    db.prepare_cached("DELETE FROM sessions WHERE person = ?1 AND begun_at <= ?2")?
        .execute(params![person_text, word])?;
    db.prepare_cached("UPDATE people SET vouched_at = 0 WHERE id = ?1 AND vouched_at <= ?2")?
        .execute(params![person_text, word])?;
    db.prepare_cached(
        "UPDATE grants SET idp_checked_at = 0
         WHERE person = ?1 AND ended_at IS NULL AND idp IS NOT NULL",
    )?
    .execute([&person_text])?;
    // What it cannot be asked about ends now: its no is known.
    let codes = db
        .prepare_cached(
            "UPDATE codes SET spent_at = ?2, idp = NULL WHERE person = ?1 AND spent_at IS NULL",
        )?
        .execute(params![person_text, seconds(now)])?;
    let others: Vec<(GrantId, Timestamp)> = db
        .prepare_cached(
            "UPDATE grants SET ended_at = ?2, ended_why = ?3
             WHERE person = ?1 AND ended_at IS NULL AND idp IS NULL AND standing IS NULL
               AND created_at <= ?4
             RETURNING id, access_until",
        )?
        .query_map(
            params![person_text, seconds(now), EndedWhy::Provider.word(), word],
            |row| Ok((id(row, 0, GrantId::parse)?, timestamp(row, 1)?)),
        )?
        .collect::<Result<_, _>>()?;
    let mut entries = vec![entry];
    for (other, until) in others {
        entries.push(publish(db, Ended::Grant(other), 0, until)?);
    }
    audited(db, person, codes + entries.len(), now)?;
    Ok((true, entries))
}

/// Ends what acts for whoever is signed out there. How many codes and grants ended. What they
/// allowed stays allowed: signing out takes nothing back.
pub(super) fn signed_out(
    db: &Connection,
    out: &SignedOutThere,
) -> Result<(Option<usize>, Vec<Revocation>), rusqlite::Error> {
    if standing::spend(db, out.once)? == Decided::Before {
        return Ok((None, Vec::new()));
    }
    let session = out.session.map(|session| session.text());
    let people: Vec<PersonId> = match &out.subject {
        Some(subject) => db
            .prepare_cached("SELECT id FROM people WHERE issuer = ?1 AND subject = ?2")?
            .query_map([&out.issuer, subject], |row| id(row, 0, PersonId::parse))?
            .collect::<Result<_, _>>()?,
        None => db
            .prepare_cached(
                "SELECT person FROM grants WHERE sid = ?1
                 UNION SELECT person FROM codes WHERE sid = ?1 AND person IS NOT NULL
                 UNION SELECT person FROM sessions WHERE sid = ?1",
            )?
            .query_map([&session], |row| id(row, 0, PersonId::parse))?
            .collect::<Result<_, _>>()?,
    };
    let (mut count, mut all) = (0, Vec::new());
    for person in people {
        let (ended, entries) = end(db, person, session.as_deref(), out.now)?;
        audited(db, person, ended, out.now)?;
        count += ended;
        all.extend(entries);
    }
    Ok((Some(count), all))
}

fn end(
    db: &Connection,
    person: PersonId,
    session: Option<&str>,
    now: Timestamp,
) -> Result<(usize, Vec<Revocation>), rusqlite::Error> {
    // Of which session something is may not be known; then it ends with each of them.
    let which = "person = ?1 AND (?2 IS NULL OR sid IS NULL OR sid = ?2)";
    let person = person.text();
    db.prepare_cached(&format!("DELETE FROM sessions WHERE {which}"))?
        .execute(params![person, session])?;
    let whose = (person.as_str(), session);
    end_where(db, which, whose, EndedWhy::Provider, now)
}

fn audited(
    db: &Connection,
    person: PersonId,
    ended: usize,
    now: Timestamp,
) -> Result<(), rusqlite::Error> {
    let deed = Deed::SignedOut {
        person,
        shown: audit::shown(db, person)?,
        ended,
    };
    audit::act(db, &Actor::Provider, deed, now)
}
