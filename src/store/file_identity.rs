//! Whether a path still leads to the file that was opened. SQLite goes on writing into a deleted file without an
//! error, and all of it is lost.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::lock::beside;

/// Device and inode of the database and its write-ahead log, as they were when they were opened.
#[derive(Debug)]
pub struct FileIdentity {
    database: PathBuf,
    files: Vec<(PathBuf, (u64, u64))>,
}

impl FileIdentity {
    /// Remembers the files of the open database at `path`. Both exist: a write-ahead log is made by the first
    /// transaction, which the migrations were.
    pub fn remember(path: &Path) -> Result<Self, StoreError> {
        let mut files = Vec::with_capacity(2);
        for file in [path.to_owned(), beside(path, "-wal")] {
            let identity = identity(&file).ok_or_else(|| StoreError::Replaced { path: path.to_owned() })?;
            files.push((file, identity));
        }
        Ok(Self { database: path.to_owned(), files })
    }

    /// # Errors
    /// When one of the paths leads elsewhere or nowhere.
    pub fn check(&self) -> Result<(), StoreError> {
        if self.files.iter().all(|(path, opened)| identity(path) == Some(*opened)) {
            Ok(())
        } else {
            Err(StoreError::Replaced { path: self.database.clone() })
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}
