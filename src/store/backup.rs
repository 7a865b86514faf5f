//! A consistent copy of the file while it is written: a reader's view of one moment, page by page.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::error::StoreError;
use super::lock::beside;
use super::open::{open_of_any_version, sqlite};

/// Pages of 4 KiB between two tellings of progress.
const PAGES_AT_ONCE: i32 = 1_024;
/// 64 MiB.
const STEPS_BETWEEN_SYNCS: usize = 16;
/// A nightly copy rests so long after each 4 MiB: rounds are stored meanwhile.
const REST: Duration = Duration::from_millis(10);

/// What the files of [`rotate`] begin with.
const PREFIX: &str = "gatherd-";

/// Where a copy to `to` is while it is made.
#[must_use]
pub fn part_of(to: &Path) -> PathBuf {
    beside(to, ".part")
}

/// Copies the database at `from` to `to`, which is replaced only when the copy is whole and on the disk. It takes its own
/// connection, and holds up no writer; the write-ahead log cannot be cut while it runs. `progress` is told how many pages
/// are copied, of how many. Answers the copy's bytes.
///
/// # Errors
/// When the database cannot be read or the copy not be written. What was begun is removed.
pub fn copy(from: &Path, to: &Path, mut progress: impl FnMut(u64, u64)) -> Result<u64, StoreError> {
    let part = part_of(to);
    let copied = copy_pages(from, &part, &mut progress).and_then(|()| {
        let file = File::open(&part).map_err(StoreError::io(&part, "cannot open the copy"))?;
        file.sync_all().map_err(StoreError::io(&part, "cannot sync the copy"))?;
        fs::rename(&part, to).map_err(StoreError::io(to, "cannot put the copy here"))?;
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(StoreError::io(folder, "cannot sync this folder"))?;
        Ok(file.metadata().map_err(StoreError::io(to, "cannot read its size"))?.len())
    });
    if copied.is_err() {
        // What is told is why there is no copy.
        let _ = fs::remove_file(&part);
    }
    copied
}

fn copy_pages(from: &Path, part: &Path, progress: &mut impl FnMut(u64, u64)) -> Result<(), StoreError> {
    let (source, _) = open_of_any_version(from)?;
    make(from, part)?;
    let mut copy = || -> rusqlite::Result<()> {
        // While this view is held, what others write does not make SQLite start the copy anew.
        let view = source.unchecked_transaction()?;
        view.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        let mut target = Connection::open(part)?;
        // Synced once, at the end; a copy that is cut off is thrown away.
        target.pragma_update(None, "synchronous", "OFF")?;
        target.pragma_update_and_check(None, "journal_mode", "OFF", |_| Ok(()))?;
        let backup = Backup::new(&view, &mut target)?;
        for steps in 1_usize.. {
            let step = backup.step(PAGES_AT_ONCE)?;
            if steps.is_multiple_of(STEPS_BETWEEN_SYNCS) {
                // Everything at once, at the end, would hold up whoever syncs on this disk then: the daemon's commits.
                let _ = File::open(part).and_then(|file| file.sync_data());
            }
            let now = backup.progress();
            let total = u64::try_from(now.pagecount).unwrap_or(0);
            progress(total.saturating_sub(u64::try_from(now.remaining).unwrap_or(0)), total);
            match step {
                StepResult::Done => break,
                StepResult::More => {}
                // Nobody else knows the copy, and readers of a write-ahead log wait for nobody.
                _ => std::thread::yield_now(),
            }
        }
        Ok(())
    };
    // A copy is one file, that needs no log beside it to be read; a daemon that opens it makes one again.
    let settle = || Connection::open(part)?.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()));
    copy().and_then(|()| settle()).map_err(|error| sqlite(part, error))
}

/// Makes an empty file for the copy, which nobody may read who may not read the database.
fn make(from: &Path, part: &Path) -> Result<(), StoreError> {
    match fs::remove_file(part) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(StoreError::io(part, "cannot remove an old copy")(error));
        }
        _ => {}
    }
    let original = fs::metadata(from).map_err(StoreError::io(from, "cannot read its permissions"))?;
    // Whoever copies has to write it, though the database may be kept as one that is only read.
    let mode = original.permissions().mode() & 0o777 | 0o600;
    let empty = OpenOptions::new().write(true).create_new(true).mode(mode).open(part);
    empty.map(drop).map_err(StoreError::io(part, "cannot make the copy"))
}

/// Copies the database at `from` into `folder`, which is made when it is not there, as `gatherd-STAMP.db`, and removes the
/// oldest copies there but the newest `keep`. Answers the copy's path and bytes, and how many were removed.
///
/// # Errors
/// As [`copy`], or when the folder cannot be made or read.
pub fn rotate(from: &Path, folder: &Path, stamp: &str, keep: usize) -> Result<(PathBuf, u64, usize), StoreError> {
    fs::create_dir_all(folder).map_err(StoreError::io(folder, "cannot make this folder"))?;
    let to = folder.join(format!("{PREFIX}{stamp}.db"));
    let list = || -> Result<Vec<PathBuf>, StoreError> {
        let files = fs::read_dir(folder).map_err(StoreError::io(folder, "cannot read this folder"))?;
        Ok(files.filter_map(|entry| Some(entry.ok()?.path())).collect())
    };
    let remove = |path: &PathBuf| fs::remove_file(path).map_err(StoreError::io(path, "cannot remove this old copy"));
    // What a daemon that was killed had begun.
    list()?.iter().filter(|path| is_copy(path, ".db.part")).try_for_each(remove)?;
    let bytes = copy(from, &to, |_, _| std::thread::sleep(REST))?;
    let mut copies = list()?;
    copies.retain(|path| is_copy(path, ".db"));
    // The stamp sorts by time. One that is later than this copy's is of a clock that was ahead: it is older all the same.
    copies.sort_unstable_by_key(|path| (*path <= to, path.clone()));
    let outdated = copies.len().saturating_sub(keep.max(1));
    copies[..outdated].iter().try_for_each(remove)?;
    Ok((to, bytes, outdated))
}

/// Whether the name is one that [`rotate`] gives: what else lies in the folder is not ours to remove.
fn is_copy(path: &Path, end: &str) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stamp = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(end));
    stamp.is_some_and(|stamp| {
        stamp.len() == 16 && stamp.bytes().all(|byte| byte.is_ascii_digit() || b"TZ".contains(&byte))
    })
}
