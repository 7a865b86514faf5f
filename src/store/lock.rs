//! One daemon a database: a lock file beside it.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use super::error::StoreError;

/// Held as long as it lives; the kernel lets go of it however the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the database at `path` (flock on `path.lock`), which stays there when it is released:
    /// deleting it would let two daemons hold two locks of one name.
    pub fn take(path: &Path) -> Result<Self, StoreError> {
        Self::take_file(path, &beside(path, ".lock"))
    }

    /// Takes the lock on `lock` for the database at `path`. SQLite's own locks are of another kind (fcntl), but they go
    /// when the process closes the file anywhere: on the database itself it is taken once SQLite has it, and kept
    /// longer than SQLite does.
    pub fn take_file(path: &Path, lock: &Path) -> Result<Self, StoreError> {
        let failed = |what, source| StoreError::Io { path: lock.to_owned(), what, source };
        let opened = OpenOptions::new().create(true).append(true).open(lock);
        let file = opened.map_err(|source| failed("cannot open the lock file", source))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.to_owned(), lock: lock.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed("cannot lock the lock file", source)),
        }
    }
}

/// The path with `suffix` after its file name.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
