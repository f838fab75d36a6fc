//! Devices that wait for their person.

use rusqlite::{Connection, OptionalExtension, Row, params};
use vestibule_core::{
    secret::Digest,
    time::Timestamp,
    token::device_code::{DeviceOutcome, DeviceRequest, DeviceState},
};

use super::{
    super::{Begun, DEVICES_MAX, DeviceDecision, FoundDevice, NewDevice},
    row::{damaged, from_json, from_seconds, json, seconds, timestamp},
};

const COLUMNS: &str = "device, request, outcome, code, polled_at, wait, expires_at";

pub(super) fn begin(db: &Connection, new: &NewDevice) -> Result<Begun, rusqlite::Error> {
    // What is too late makes room first.
    db.prepare_cached("DELETE FROM devices WHERE expires_at < ?1")?
        .execute([seconds(new.now)])?;
    let waiting: u32 = db
        .prepare_cached("SELECT count(*) FROM devices")?
        .query_row([], |row| row.get(0))?;
    if waiting >= DEVICES_MAX {
        return Ok(Begun::Full);
    }
    let inserted = db
        .prepare_cached(
            "INSERT INTO devices (device, user_code, request, outcome, wait, expires_at)
             VALUES (?1, ?2, ?3, 'pending', ?4, ?5) ON CONFLICT (user_code) DO NOTHING",
        )?
        .execute(params![
            new.device.text(),
            new.user_code.text(),
            json(&new.request)?,
            new.interval,
            seconds(new.expires)
        ])?;
    Ok(if inserted == 1 {
        Begun::Now
    } else {
        Begun::Taken
    })
}

pub(super) fn by_user_code(
    db: &Connection,
    user_code: Digest,
) -> Result<Option<FoundDevice>, rusqlite::Error> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM devices WHERE user_code = ?1"
    ))?
    .query_row([user_code.text()], found)
    .optional()
}

pub(super) fn decide(
    db: &Connection,
    device: Digest,
    decision: &DeviceDecision,
) -> Result<bool, rusqlite::Error> {
    let (outcome, code) = match decision {
        DeviceDecision::Approved(code) => ("approved", Some(code)),
        DeviceDecision::Denied => ("denied", None),
    };
    let changed = db
        .prepare_cached(
            "UPDATE devices SET outcome = ?2, code = ?3 WHERE device = ?1 AND outcome = 'pending'",
        )?
        .execute(params![device.text(), outcome, code])?;
    Ok(changed == 1)
}

pub(super) fn poll(
    db: &Connection,
    device: Digest,
    now: Timestamp,
) -> Result<Option<FoundDevice>, rusqlite::Error> {
    let before = db
        .prepare_cached(&format!("SELECT {COLUMNS} FROM devices WHERE device = ?1"))?
        .query_row([device.text()], found)
        .optional()?;
    db.prepare_cached("UPDATE devices SET polled_at = ?2 WHERE device = ?1")?
        .execute(params![device.text(), seconds(now)])?;
    Ok(before)
}

pub(super) fn slow(db: &Connection, device: Digest) -> Result<(), rusqlite::Error> {
    db.prepare_cached("UPDATE devices SET wait = wait + 5 WHERE device = ?1")?
        .execute([device.text()])
        .map(|_| ())
}

pub(super) fn end(db: &Connection, device: Digest) -> Result<(), rusqlite::Error> {
    db.prepare_cached("DELETE FROM devices WHERE device = ?1")?
        .execute([device.text()])
        .map(|_| ())
}

fn found(row: &Row<'_>) -> Result<FoundDevice, rusqlite::Error> {
    let device: String = row.get(0)?;
    let request: DeviceRequest = from_json(row, 1)?;
    let outcome: String = row.get(2)?;
    Ok(FoundDevice {
        device: Digest::parse(&device).ok_or_else(|| damaged(0, "no digest"))?,
        state: DeviceState {
            client_id: request.client_id.clone(),
            expires: timestamp(row, 6)?,
            polled: row.get::<_, Option<i64>>(4)?.map(from_seconds),
            interval: row.get(5)?,
            outcome: match outcome.as_str() {
                "pending" => DeviceOutcome::Pending,
                "approved" => DeviceOutcome::Approved,
                "denied" => DeviceOutcome::Denied,
                _ => return Err(damaged(2, "an unknown outcome")),
            },
        },
        request,
        code: row.get(3)?,
    })
}
