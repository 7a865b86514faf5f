//! What can go wrong with the file, and what is to be done about it.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rusqlite::ffi::{SQLITE_IOERR_SHMSIZE, SQLITE_IOERR_WRITE};

/// The database cannot be opened, written or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another daemon holds the lock file.
    #[error("{path}: another gatherd writes this database (it holds {lock}); one daemon a database")]
    InUse {
        /// The database.
        path: PathBuf,
        /// The lock file.
        lock: PathBuf,
    },
    /// Written by a newer gatherd.
    #[error(
        "{path}: its schema is version {found}, this gatherd knows {known}: it was written by a newer gatherd; use that one, the file was left as it is"
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// Written by an older gatherd, and only to be read.
    #[error(
        "{path}: its schema is version {found}, this gatherd reads {known}: gatherd run brings it up to date when it starts, which may be going on now, and so does gatherd migrate"
    )]
    Older {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// A SQLite database of something else, or no database at all.
    #[error("{path}: not a gatherd database ({why}); name another file as `database`, this one was left as it is")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        why: &'static str,
    },
    /// No file to read.
    #[error("{path}: no database there; gatherd run or gatherd demo writes one, --database names another")]
    Absent {
        /// The path.
        path: PathBuf,
    },
    /// The operating system says no.
    #[error("{path}: {what}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// The path does not lead to the file any more that was opened.
    #[error("{path} was deleted or replaced while it was in use; what is written now would be lost")]
    Replaced {
        /// The database.
        path: PathBuf,
    },
    /// SQLite did not take over a setting that safety depends on.
    #[error("{path}: PRAGMA {pragma} stayed at {found} instead of {wanted}")]
    Pragma {
        /// The database.
        path: PathBuf,
        /// Its name.
        pragma: &'static str,
        /// What it should be.
        wanted: &'static str,
        /// What it is.
        found: String,
    },
    /// The schema could not be brought up to date.
    #[error("{path}: cannot bring the schema up to date")]
    Migration {
        /// The database.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The schema could not be brought up to date on this disk.
    #[error(
        "{path}: to be brought up to date it needs {} more for a while, {} are free here: make room, or move it to where there is some, gatherd migrate it there and move it back; the file was left as it is",
        bytesize::ByteSize(*needed), bytesize::ByteSize(*free)
    )]
    NoRoom {
        /// The database.
        path: PathBuf,
        /// Bytes that have to be free.
        needed: u64,
        /// Bytes that are.
        free: u64,
    },
    /// SQLite says no.
    #[error("{path}")]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The text of a query is not SQL, or asks for what is not there.
    #[error("{0}")]
    Sql(String),
    /// An answer is too large to be held.
    #[error("the answer is larger than {} MiB: ask for less with LIMIT, or use sqlite3", .0 >> 20)]
    LargeAnswer(usize),
    /// A query ran into its deadline.
    #[error("the query took longer than {0:?} and was stopped")]
    Deadline(std::time::Duration),
    /// A statement that would write, or several at once.
    #[error("only one statement that reads is allowed: {0}")]
    NotReadOnly(String),
}

/// What a failed write means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The disk is full or somebody holds a lock: it passes, the write is tried again.
    Passing,
    /// The data may be lost or the file is not what it was: the process has to end, a restart recovers.
    Fatal,
}

impl Trouble {
    /// What a failure of SQLite means; [`StoreError::trouble`] says more.
    pub(super) fn of(error: &rusqlite::Error) -> Self {
        let rusqlite::Error::SqliteFailure(failure, _) = error else { return Self::Fatal };
        let full_disk = [SQLITE_IOERR_WRITE, SQLITE_IOERR_SHMSIZE].contains(&failure.extended_code);
        match failure.code {
            ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Passing,
            _ if full_disk => Self::Passing,
            _ => Self::Fatal,
        }
    }
}

/// Whether a question of our own failed because of what is in the file: pages or values that are broken, tables that are
/// not there.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{
        FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, SqlInputError, Utf8Error,
    };
    match error {
        SqlInputError { .. }
        | FromSqlConversionFailure(..)
        | IntegralValueOutOfRange(..)
        | InvalidColumnType(..)
        | Utf8Error(..) => true,
        other => {
            matches!(other.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
        }
    }
}

impl StoreError {
    /// Makes the error of what was tried with the file or folder at `path`.
    pub(super) fn io(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path, what, source }
    }

    /// Whether a failed write may be tried again. A failed fsync never: the kernel may have dropped the pages, so that
    /// a second try succeeds without the data (Rebello et al., "Can Applications Recover from fsync Failures?", 2020).
    #[must_use]
    pub fn trouble(&self) -> Trouble {
        match self {
            Self::Sqlite { source, .. } => Trouble::of(source),
            _ => Trouble::Fatal,
        }
    }

    /// The error with its cause, in one line for the log.
    #[must_use]
    pub fn with_cause(&self) -> String {
        std::error::Error::source(self).map_or_else(|| self.to_string(), |cause| format!("{self}: {cause}"))
    }

    /// Whether the file holds what cannot be read as what it should be.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Sqlite { source, .. } if is_damage(source))
    }

    /// Whether a query is refused for its text.
    #[must_use]
    pub fn is_question(&self) -> bool {
        matches!(self, Self::Sql(_) | Self::NotReadOnly(_))
    }

    /// Whether the file itself is refused (a mistake in what was configured) rather than failing.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::InUse { .. } | Self::Newer { .. } | Self::Older { .. } | Self::Foreign { .. } | Self::Absent { .. }
        )
    }
}
