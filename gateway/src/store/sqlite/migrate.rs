//! Brings the database to the tables that this program knows.

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};

use crate::store::StoreError;

/// One step from version to version, the first making version 1. What is here was run
/// somewhere, so it is never changed.
const STEPS: [&str; 8] = [
    include_str!("../migrations/sqlite/V1__first.sql"),
    include_str!("../migrations/sqlite/V2__machines_and_devices.sql"),
    include_str!("../migrations/sqlite/V3__sessions.sql"),
    include_str!("../migrations/sqlite/V4__audit.sql"),
    include_str!("../migrations/sqlite/V5__operators.sql"),
    include_str!("../migrations/sqlite/V6__seen_and_sought.sql"),
    include_str!("../migrations/sqlite/V7__provider.sql"),
    include_str!("../migrations/sqlite/V8__connections.sql"),
];

/// The version that this program knows.
const NEWEST: u32 = STEPS.len() as u32;

/// Takes all steps that are missing, each wholly or not at all.
///
/// # Errors
/// [`StoreError::Failed`], also for a database that a newer program has made: it may hold
/// what this one would misread.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| StoreError::Failed(format!("migration: {error}"));
    adopt(connection).map_err(failed)?;
    let found = version(connection).map_err(failed)?;
    if found > NEWEST {
        return Err(StoreError::Failed(format!(
            "the store was made by a newer version of this program: it has the tables of \
             version {found}, and this one knows {NEWEST}; start the newer program, or restore \
             a copy of the store from before"
        )));
    }
    for (version, sql) in (1..=NEWEST).zip(STEPS) {
        if version <= found {
            continue;
        }
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed)?;
        transaction.execute_batch(sql).map_err(failed)?;
        transaction
            .pragma_update(None, "user_version", version)
            .map_err(failed)?;
        transaction.commit().map_err(failed)?;
        tracing::info!(event = "store.migrated", version);
    }
    Ok(())
}

/// The version of the tables that are there.
fn version(connection: &Connection) -> Result<u32, rusqlite::Error> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Stores of before this file counted in a table. It goes: left behind, it would tell an older
/// program that nothing has changed since.
fn adopt(connection: &mut Connection) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let there = transaction
        .query_row(
            "SELECT 1 FROM sqlite_master WHERE name = 'refinery_schema_history'",
            [],
            |_| Ok(()),
        )
        .optional()?;
    if there.is_some() {
        let version: u32 = transaction.query_row(
            "SELECT coalesce(max(version), 0) FROM refinery_schema_history",
            [],
            |row| row.get(0),
        )?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.execute_batch("DROP TABLE refinery_schema_history")?;
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(connection: &Connection) -> i64 {
        connection
            .query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))
            .expect("a count")
    }

    #[test]
    fn a_store_is_brought_to_the_newest_tables_once() {
        let mut connection = Connection::open_in_memory().expect("a database");
        migrate(&mut connection).expect("from nothing");
        assert_eq!(version(&connection), Ok(NEWEST));
        let all = tables(&connection);
        migrate(&mut connection).expect("again");
        assert_eq!(tables(&connection), all);
    }

    #[test]
    fn a_newer_store_is_left_alone() {
        let mut connection = Connection::open_in_memory().expect("a database");
        connection
            .pragma_update(None, "user_version", NEWEST + 1)
            .expect("set");
        let error = migrate(&mut connection).expect_err("refused").to_string();
        assert!(error.contains("newer version"), "{error}");
        assert_eq!(tables(&connection), 0);
    }

    #[test]
    fn a_store_that_counted_in_a_table_goes_on_from_there() {
        let mut connection = Connection::open_in_memory().expect("a database");
        connection.execute_batch(STEPS[0]).expect("version 1");
        connection
            .execute_batch(
                "CREATE TABLE refinery_schema_history (version INT4 PRIMARY KEY);
                 INSERT INTO refinery_schema_history VALUES (1);",
            )
            .expect("its table");
        migrate(&mut connection).expect("the rest");
        assert_eq!(version(&connection), Ok(NEWEST));
        let table = connection.execute("DELETE FROM refinery_schema_history", []);
        assert!(table.is_err(), "nobody counts there any more");
    }

    #[test]
    fn a_step_that_fails_leaves_nothing() {
        let mut connection = Connection::open_in_memory().expect("a database");
        // What the second step wants to make, after something else, is there already.
        connection
            .execute_batch("CREATE TABLE devices (x);")
            .expect("in the way");
        migrate(&mut connection).expect_err("refused");
        assert_eq!(version(&connection), Ok(1), "the first step was taken");
        let half = connection.execute("DELETE FROM spent", []);
        assert!(half.is_err(), "nothing of the second");
    }
}
