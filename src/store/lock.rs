//! One daemon a database: a lock file beside it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::error::StoreError;

/// How long the lock is tried for: whoever only looks whether it is held has it for an instant.
const LOOK: Duration = Duration::from_millis(200);

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
        let opened = OpenOptions::new().create(true).append(true).open(lock);
        let file = opened.map_err(StoreError::io(lock, "cannot open the lock file"))?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if begun.elapsed() < LOOK => thread::sleep(LOOK / 20),
                Err(TryLockError::WouldBlock) => {
                    return Err(StoreError::InUse { path: path.to_owned(), lock: lock.to_owned() });
                }
                Err(TryLockError::Error(error)) => {
                    return Err(StoreError::io(lock, "cannot lock the lock file")(error));
                }
            }
        }
    }
}

/// Whether somebody, a daemon in most cases, holds the lock of the database at `path`. Changes nothing, and needs no more
/// than to read beside it.
///
/// # Errors
/// When the lock file is there and cannot be opened or locked.
pub fn is_held(path: &Path) -> io::Result<bool> {
    // Without links, as the daemon has it.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let file = match File::open(beside(&path, ".lock")) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The path with `suffix` after its file name.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
