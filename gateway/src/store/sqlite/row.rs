//! Between columns and the protocol's types.

use rusqlite::{Row, types::Type};
use serde::{Serialize, de::DeserializeOwned};
use vestibule_core::{flow::FlowCode, scope::ScopeSet, time::Timestamp};

pub(super) fn seconds(time: Timestamp) -> i64 {
    i64::try_from(time.unix()).unwrap_or(i64::MAX)
}

pub(super) fn from_seconds(seconds: i64) -> Timestamp {
    Timestamp::from_unix(u64::try_from(seconds).unwrap_or(0))
}

pub(super) fn timestamp(row: &Row<'_>, at: usize) -> Result<Timestamp, rusqlite::Error> {
    row.get(at).map(from_seconds)
}

pub(super) fn scopes(row: &Row<'_>, at: usize) -> Result<ScopeSet, rusqlite::Error> {
    let text: String = row.get(at)?;
    ScopeSet::parse(&text).map_err(|_| damaged(at, "no scopes"))
}

pub(super) fn flow_code(row: &Row<'_>, at: usize) -> Result<FlowCode, rusqlite::Error> {
    id(row, at, FlowCode::parse)
}

pub(super) fn id<T>(
    row: &Row<'_>,
    at: usize,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, rusqlite::Error> {
    let text: String = row.get(at)?;
    parse(&text).ok_or_else(|| damaged(at, "no identifier"))
}

pub(super) fn optional_id<T>(
    row: &Row<'_>,
    at: usize,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, rusqlite::Error> {
    match row.get::<_, Option<String>>(at)? {
        Some(text) => parse(&text)
            .map(Some)
            .ok_or_else(|| damaged(at, "no identifier")),
        None => Ok(None),
    }
}

pub(super) fn json(value: &impl Serialize) -> Result<String, rusqlite::Error> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

pub(super) fn from_json<T: DeserializeOwned>(
    row: &Row<'_>,
    at: usize,
) -> Result<T, rusqlite::Error> {
    let text: String = row.get(at)?;
    serde_json::from_str(&text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(at, Type::Text, Box::new(error)))
}

/// A row that this program did not write.
pub(super) fn damaged(at: usize, what: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(at, Type::Text, what.into())
}
