//! The versions of the schema, and how an older file gets the newest.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use super::error::StoreError;
use super::open::sqlite;

/// The version of the schema that this program writes, and the only one that it reads.
pub(super) const KNOWN: i64 = 6;

/// Append-only: a migration that was released is never changed.
const MIGRATIONS: [M<'_>; 6] = [
    M::up(include_str!("../../migrations/0001_rounds.sql")),
    M::up(include_str!("../../migrations/0002_evidence.sql")),
    M::up(include_str!("../../migrations/0003_round_by_due.sql")),
    M::up(include_str!("../../migrations/0004_rollups.sql")),
    M::up(include_str!("../../migrations/0005_notify.sql")),
    M::up(include_str!("../../migrations/0006_slot_key.sql")),
];

/// How long it waits for somebody who has the file locked.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Brings the schema from `version` to the newest, in one transaction: a file that is cut off on the way is as it was.
///
/// # Errors
/// When there is too little room for it, or SQLite says no.
pub(super) fn bring_up_to_date(connection: &mut Connection, path: &Path, version: i64) -> Result<(), StoreError> {
    if (1..KNOWN).contains(&version) {
        check_room(connection, path)?;
        tracing::info!(from = version, to = KNOWN, "bringing the database up to date: large ones take a while");
    }
    connection.busy_timeout(BUSY_TIMEOUT).map_err(|source| sqlite(path, source))?;
    Migrations::from_slice(&MIGRATIONS).to_latest(connection).map_err(|error| {
        // What was undone would else stay in the log, as large as it is. Why it failed is what is told.
        let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        StoreError::Migration { path: path.to_owned(), source: cause(error) }
    })
}

/// An empty database of the newest schema, for those who compare the one at `path` with it.
///
/// # Errors
/// When SQLite says no.
pub(super) fn in_memory(path: &Path) -> Result<Connection, StoreError> {
    let mut connection = Connection::open_in_memory().map_err(|source| sqlite(path, source))?;
    let migrated = Migrations::from_slice(&MIGRATIONS).to_latest(&mut connection);
    migrated.map_err(|error| StoreError::Migration { path: path.to_owned(), source: cause(error) })?;
    Ok(connection)
}

/// The slots are written anew, first into the log: until that is folded into the file and the old ones are given back, all of
/// it is there three times.
fn check_room(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let bytes = || Ok(pragma("page_size")? * (pragma("page_count")? - pragma("freelist_count")?));
    let needed = 2 * bytes().map_err(|source| sqlite(path, source))?.unsigned_abs();
    let disk = rustix::fs::statvfs(path)
        .map_err(|error| StoreError::io(path, "cannot tell how full the disk is")(error.into()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < needed {
        return Err(StoreError::NoRoom { path: path.to_owned(), needed, free });
    }
    Ok(())
}

/// Without the text of the migration.
fn cause(error: rusqlite_migration::Error) -> Box<dyn Error + Send + Sync> {
    match error {
        rusqlite_migration::Error::RusqliteError { err, .. } => err.into(),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_migrations_are_valid_and_need_no_newer_sqlite_than_promised() {
        Migrations::from_slice(&MIGRATIONS).validate().expect("valid migrations");
        assert_eq!(i64::try_from(MIGRATIONS.len()), Ok(KNOWN));
    }
}
