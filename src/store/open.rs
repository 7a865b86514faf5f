//! Opening the file: who may, which settings, which version of the schema.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::{Access, access};
use rustix::io::Errno;

use super::error::{StoreError, Trouble};
use super::file_identity::FileIdentity;
use super::lock::{Lock, beside};
use super::migrate::{KNOWN, bring_up_to_date};
use super::write::Writer;

/// "gthd": marks the file as ours (<https://www.sqlite.org/pragma.html#pragma_application_id>).
const APPLICATION_ID: i64 = 0x6774_6864;

/// What is said of a database that has no mark, and tables.
const FOREIGN_TABLES: &str = "it has tables of something else";

/// How long a write waits for a lock that somebody else holds, before the round is queued. Short: the thread that
/// waits is the one that tells the Scheduler that a job is free again.
const WRITE_BUSY_TIMEOUT: Duration = Duration::from_millis(100);
/// How long a query does.
const READ_BUSY_TIMEOUT: Duration = Duration::from_secs(1);
/// The log is folded into the file from so many pages on, SQLite's own default.
const FOLDED_PAGES: i32 = 1000;

/// Opens the database at `path` for writing, makes it when it is not there, and brings its schema up to date.
/// Holds the lock file and the connection until the writer is dropped.
///
/// # Errors
/// When another daemon has it, it is not ours, of a newer version, or cannot be written. The file is then untouched.
pub fn open(path: &Path) -> Result<Writer, StoreError> {
    let path = absolute(path)?;
    check_writable(&path)?;
    let lock = Lock::take(&path)?;
    check_header(&path)?;
    share_mode(&path)?;
    let mut connection = Connection::open(&path).map_err(|source| sqlite(&path, source))?;
    let version = configure(&connection, &path)?;
    bring_up_to_date(&mut connection, &path, version)?;
    connection.busy_timeout(WRITE_BUSY_TIMEOUT).map_err(|source| sqlite(&path, source))?;
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)
        .map_err(|source| sqlite(&path, source))?;
    // The file itself as well: a second name of it in another folder has a lock file of its own.
    let locks = [lock, Lock::take_file(&path, &path)?];
    let identity = FileIdentity::remember(&path)?;
    let mut writer = Writer::new(connection, identity, locks, path);
    if version == 0 {
        // The pages of tables that a later migration put others in the place of.
        writer.give_back(Duration::ZERO)?;
    }
    Ok(writer)
}

/// Refuses a file that may not be written, before SQLite makes a log beside it that is as read-only as the file. Asks without
/// opening it: see [`check_header`].
fn check_writable(path: &Path) -> Result<(), StoreError> {
    match access(path, Access::WRITE_OK) {
        Err(Errno::NOENT) | Ok(()) => Ok(()),
        Err(error) => Err(StoreError::io(path, "the database cannot be written")(error.into())),
    }
}

/// Gives the log and its index the mode of the database, as SQLite does when it makes them. Those that were made while the
/// database was read-only would stay so.
fn share_mode(path: &Path) -> Result<(), StoreError> {
    for side in ["-wal", "-shm"].map(|suffix| beside(path, suffix)) {
        if matches!(access(&side, Access::WRITE_OK), Ok(()) | Err(Errno::NOENT)) {
            continue;
        }
        let mode = path.metadata().map(|file| file.permissions());
        let changed = mode.and_then(|mode| std::fs::set_permissions(&side, mode));
        changed.map_err(StoreError::io(&side, "it belongs to the database and cannot be written"))?;
    }
    Ok(())
}

/// Opens the database at `path` for reading only, beside a daemon or without one.
pub(super) fn open_read_only(path: &Path) -> Result<Connection, StoreError> {
    match open_of_any_version(path)? {
        (_, found) if found < KNOWN => Err(StoreError::Older { path: path.to_owned(), found, known: KNOWN }),
        (connection, _) => Ok(connection),
    }
}

/// The version of the schema of the database at `path`.
///
/// # Errors
/// When it is not there, not ours, of a newer version, or cannot be read.
pub fn schema_version(path: &Path) -> Result<i64, StoreError> {
    open_of_any_version(path).map(|(_, version)| version)
}

/// Opens the database at `path` for reading only, with whatever schema it has. Answers its version, too.
pub(super) fn open_of_any_version(path: &Path) -> Result<(Connection, i64), StoreError> {
    // Where a folder may not be read, the header says so.
    if matches!(path.try_exists(), Ok(false)) {
        return Err(StoreError::Absent { path: path.to_owned() });
    }
    check_header(path)?;
    let connection = connect_read_only(path).map_err(|source| sqlite(path, source))?;
    let ready =
        connection.busy_timeout(READ_BUSY_TIMEOUT).and_then(|()| connection.pragma_update(None, "query_only", true));
    ready.map_err(|source| sqlite(path, source))?;
    let identify = || -> rusqlite::Result<(i64, i64, i64)> {
        let word = |name| connection.pragma_query_value(None, name, |row| row.get(0));
        let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((word("application_id")?, tables, word("user_version")?))
    };
    let foreign = |why| Err(StoreError::Foreign { path: path.to_owned(), why });
    match identify().map_err(|source| sqlite(path, source))? {
        (APPLICATION_ID, 1.., version) => Ok((connection, version)),
        (_, 1.., _) => foreign(FOREIGN_TABLES),
        _ => foreign("it has no tables"),
    }
}

/// A reader of a write-ahead log makes the log's index where there is none, which somebody who may not write beside the
/// file cannot. With nothing in the log the file alone is the database, and nobody writes it.
fn connect_read_only(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let usual = Connection::open_with_flags(path, flags).and_then(|connection| {
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(connection)
    });
    let refused = matches!(&usual, Err(rusqlite::Error::SqliteFailure(failure, _))
        if matches!(failure.code, ErrorCode::ReadOnly | ErrorCode::CannotOpen));
    let log = std::fs::metadata(beside(path, "-wal")).map_or(0, |log| log.len());
    if !refused || log > 0 {
        return usual;
    }
    connect_immutable(path)
}

/// The file alone, without its log and without a lock.
fn connect_immutable(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let escaped = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags)
}

pub(super) fn sqlite(path: &Path, source: rusqlite::Error) -> StoreError {
    StoreError::Sqlite { path: path.to_owned(), source }
}

/// The path without links, so that two names of one database have one lock file.
fn absolute(path: &Path) -> Result<PathBuf, StoreError> {
    let failed = |path: &Path| StoreError::io(path, "cannot use this folder");
    match path.canonicalize() {
        Ok(found) => return Ok(found),
        // Only what is not made yet is looked for further: links in a circle have no end.
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(StoreError::io(path, "cannot use this path")(error)),
    }
    // A link to a file that is not made yet.
    if let Ok(target) = path.read_link() {
        return absolute(&path.parent().unwrap_or(Path::new("")).join(target));
    }
    let (folder, name) = match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => (if folder.as_os_str().is_empty() { Path::new(".") } else { folder }, name),
        _ => return Err(failed(path)(ErrorKind::InvalidFilename.into())),
    };
    folder.canonicalize().map(|folder| folder.join(name)).map_err(failed(folder))
}

/// Refuses a file that is not ours or too new before SQLite could change anything beside it. SQLite reads the header itself: a
/// descriptor of our own would at its end take all locks along that this process has on the file, and the next one to close
/// the database elsewhere would delete the log under us (<https://www.sqlite.org/howtocorrupt.html>, section 2.2).
fn check_header(path: &Path) -> Result<(), StoreError> {
    if matches!(path.metadata(), Err(error) if error.kind() == ErrorKind::NotFound) {
        return Ok(());
    }
    let header = || -> rusqlite::Result<(i64, i64)> {
        let connection = connect_immutable(path)?;
        // Between the header that a checkpoint writes and the pages that follow, the file is shorter than it says. The log has
        // them; what looks at the file alone must not take that for damage, which this switches off
        // (<https://www.sqlite.org/pragma.html#pragma_writable_schema>).
        connection.pragma_update(None, "writable_schema", true)?;
        let word = |name| connection.pragma_query_value(None, name, |row| row.get(0));
        Ok((word("user_version")?, word("application_id")?))
    };
    match header() {
        Ok((version, application)) => check_version(path, version, application),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            Err(StoreError::Foreign { path: path.to_owned(), why: "it is not a SQLite database" })
        }
        Err(source) => Err(sqlite(path, source)),
    }
}

fn check_version(path: &Path, version: i64, application: i64) -> Result<(), StoreError> {
    // A kill before the first checkpoint leaves a file whose header is still empty.
    if application != APPLICATION_ID && (application, version) != (0, 0) {
        return Err(StoreError::Foreign { path: path.to_owned(), why: "another application's mark is in it" });
    }
    if version > KNOWN {
        return Err(StoreError::Newer { path: path.to_owned(), found: version, known: KNOWN });
    }
    Ok(())
}

/// The settings that durability depends on, each read back. Answers the version of its schema, 0 when there is none.
fn configure(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    let pragma = |name: &str| -> rusqlite::Result<i64> { connection.pragma_query_value(None, name, |row| row.get(0)) };
    let identify = || -> rusqlite::Result<(i64, i64, i64)> {
        // Closing after a refusal must not fold the log of a newer gatherd into the file.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.busy_timeout(WRITE_BUSY_TIMEOUT)?;
        let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((pragma("user_version")?, pragma("application_id")?, tables))
    };
    let (version, application, tables) = identify().map_err(|source| sqlite(path, source))?;
    check_version(path, version, application)?;
    if tables > 0 && application != APPLICATION_ID {
        return Err(StoreError::Foreign { path: path.to_owned(), why: FOREIGN_TABLES });
    }
    let update = || -> rusqlite::Result<()> {
        if tables == 0 {
            // Both only take effect in an empty file. Pages are then given back in small steps, never by VACUUM.
            connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
            connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        }
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // A log that grew under a long reader is cut back to this when it is next reset.
        connection.pragma_update_and_check(None, "journal_size_limit", 64 * 1024 * 1024, |_| Ok(()))?;
        connection.wal_hook(Some(fold_long_log));
        connection.set_prepared_statement_cache_capacity(64);
        Ok(())
    };
    update().map_err(|source| sqlite(path, source))?;
    for (name, wanted) in [("journal_mode", "wal"), ("synchronous", "2"), ("foreign_keys", "1"), ("auto_vacuum", "2")] {
        let read = connection.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0));
        let found = match read.map_err(|source| sqlite(path, source))? {
            rusqlite::types::Value::Text(text) => text,
            rusqlite::types::Value::Integer(number) => number.to_string(),
            other => format!("{other:?}"),
        };
        if found != wanted {
            return Err(StoreError::Pragma { path: path.to_owned(), pragma: name, wanted, found });
        }
    }
    Ok(version)
}

/// Folds the log into the file after a commit, as SQLite does by itself; but SQLite says nothing when the file cannot be
/// synced. Here the commit then fails, though it is safe in the log, and the process ends. What passes is left for the next
/// commit.
fn fold_long_log(log: &Wal, pages: i32) -> rusqlite::Result<()> {
    if pages < FOLDED_PAGES {
        return Ok(());
    }
    log.checkpoint().or_else(|error| match Trouble::of(&error) {
        Trouble::Passing => Ok(()),
        Trouble::Fatal => Err(error),
    })
}
