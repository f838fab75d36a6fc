//! The record of logins: the steps of each, and a row for lists.

use rusqlite::{Connection, params};
use vestibule_core::{
    audit::Record,
    flow::{self, Entry, FlowCode, Step},
    operator::{Cause, FlowFilter, FlowRow},
    secret::Digest,
    time::Timestamp,
};

use super::{
    super::Recorded,
    audit,
    row::{flow_code, from_json, json, seconds, timestamp},
};

/// How long a record is kept after its login, in seconds.
const KEPT: i64 = 7 * 86_400;

/// Adds steps, in order.
pub(super) fn record(db: &Connection, steps: &[Recorded]) -> Result<(), rusqlite::Error> {
    for recorded in steps {
        add(db, recorded)?;
        head(db, recorded.flow, &recorded.steps)?;
    }
    let of = |recorded: &Recorded| {
        let flow = recorded.flow;
        let steps = recorded.steps.clone();
        steps.into_iter().map(move |entry| (flow, entry))
    };
    let steps = steps.iter().flat_map(of).collect();
    audit::append(db, &Record::Steps { steps })
}

fn add(db: &Connection, recorded: &Recorded) -> Result<(), rusqlite::Error> {
    let flow = recorded.flow.to_string();
    let next: i64 = db
        .prepare_cached("SELECT coalesce(max(number), 0) + 1 FROM flows WHERE code = ?1")?
        .query_row([&flow], |row| row.get(0))?;
    let mut insert = db.prepare_cached(
        "INSERT INTO flows (code, number, at, step, browser) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for (number, entry) in (next..).zip(&recorded.steps) {
        insert.execute(params![
            flow,
            number,
            seconds(entry.at),
            json(&entry.step)?,
            recorded.browser.map(|digest| digest.text())
        ])?;
    }
    Ok(())
}

type Kept = (Vec<Entry>, Option<Digest>);

/// The steps of one login, and the browser that began it.
pub(super) fn steps(db: &Connection, flow: FlowCode) -> Result<Option<Kept>, rusqlite::Error> {
    let mut entries = Vec::new();
    let mut browser = None;
    let mut rows =
        db.prepare_cached("SELECT at, step, browser FROM flows WHERE code = ?1 ORDER BY number")?;
    let rows = rows.query_map([flow.to_string()], |row| {
        let entry = Entry {
            at: timestamp(row, 0)?,
            step: from_json(row, 1)?,
        };
        Ok((entry, row.get::<_, Option<String>>(2)?))
    })?;
    for row in rows {
        let (entry, digest) = row?;
        entries.push(entry);
        browser = browser.or_else(|| digest.as_deref().and_then(Digest::parse));
    }
    Ok((!entries.is_empty()).then_some((entries, browser)))
}

/// Forgets records whose time is over, each as a whole: half of one would tell something else.
pub(super) fn sweep(db: &Connection, now: i64) -> Result<(), rusqlite::Error> {
    for statement in [
        "DELETE FROM flows WHERE code IN (SELECT code FROM flow_heads WHERE last_at < ?1)",
        "DELETE FROM flow_heads WHERE last_at < ?1",
        // Those of a time when there were no rows for lists.
        "DELETE FROM flows WHERE at < ?1 AND code NOT IN (SELECT code FROM flow_heads)",
    ] {
        db.prepare_cached(statement)?.execute([now - KEPT])?;
    }
    Ok(())
}

/// Keeps the row of a login up with its newest steps.
fn head(db: &Connection, flow: FlowCode, steps: &[Entry]) -> Result<(), rusqlite::Error> {
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else {
        return Ok(());
    };
    let deciding = flow::deciding(steps).map_or(&last.step, |at| &steps[at].step);
    // What is told of an access afterwards makes no login newer, and hides no failure.
    let afterwards = steps.iter().all(|entry| entry.step.is_afterwards());
    let (mut client, mut server, mut person) = (None, None, None);
    for entry in steps {
        match &entry.step {
            Step::Asked {
                client: name,
                server: title,
                ..
            } => (client, server) = (Some(name), Some(title)),
            Step::SignedIn { person: shown } => person = Some(shown),
            _ => {}
        }
    }
    let outcome = match deciding.outcome() {
        flow::Outcome::Open => "open",
        flow::Outcome::Succeeded => "ok",
        flow::Outcome::Failed => "failed",
    };
    db.prepare_cached(
        "INSERT INTO flow_heads (code, begun_at, last_at, client, server, person, outcome, error)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (code) DO UPDATE SET
             last_at = CASE WHEN ?9 THEN last_at ELSE excluded.last_at END,
             outcome = CASE WHEN ?9 AND outcome = 'failed' THEN outcome ELSE excluded.outcome END,
             error = CASE WHEN ?9 AND outcome = 'failed' THEN error ELSE excluded.error END,
             client = coalesce(excluded.client, client),
             server = coalesce(excluded.server, server),
             person = coalesce(excluded.person, person)",
    )?
    .execute(params![
        flow.to_string(),
        seconds(first.at),
        seconds(last.at),
        client,
        server,
        person,
        outcome,
        deciding.code(),
        afterwards
    ])
    .map(|_| ())
}

pub(super) fn flows(
    db: &Connection,
    filter: &FlowFilter,
    most: u32,
) -> Result<Vec<FlowRow>, rusqlite::Error> {
    db.prepare_cached(
        "SELECT code, begun_at, last_at, client, server, person, outcome, error FROM flow_heads
         WHERE (NOT ?1 OR outcome = 'failed') AND (?2 IS NULL OR error = ?2)
           AND (?3 IS NULL OR instr(lower(client), lower(?3)) > 0)
           AND (?4 IS NULL OR instr(lower(person), lower(?4)) > 0)
           AND last_at < ?5
         ORDER BY last_at DESC, code LIMIT ?6",
    )?
    .query_map(
        params![
            filter.failed,
            filter.error,
            filter.client,
            filter.person,
            filter.before.map_or(i64::MAX, seconds),
            most
        ],
        |row| {
            Ok(FlowRow {
                flow: flow_code(row, 0)?,
                begun: timestamp(row, 1)?,
                last: timestamp(row, 2)?,
                client: row.get(3)?,
                server: row.get(4)?,
                person: row.get(5)?,
                outcome: row.get(6)?,
                error: row.get(7)?,
            })
        },
    )?
    .collect()
}

pub(super) fn causes(db: &Connection, since: Timestamp) -> Result<Vec<Cause>, rusqlite::Error> {
    db.prepare_cached(
        "SELECT error, count(*), min(last_at), max(last_at) FROM flow_heads
         WHERE outcome = 'failed' AND error IS NOT NULL AND last_at >= ?1
         GROUP BY error ORDER BY count(*) DESC, error",
    )?
    .query_map([seconds(since)], |row| {
        Ok(Cause {
            error: row.get(0)?,
            flows: row.get::<_, i64>(1)?.cast_unsigned(),
            first: timestamp(row, 2)?,
            last: timestamp(row, 3)?,
        })
    })?
    .collect()
}
