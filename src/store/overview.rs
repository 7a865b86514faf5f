//! What an operator asks first: how each job did last and in the last day, who fails since when, how large the file and
//! each round in it is.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, Row};

use super::error::StoreError;
use super::history::{COLUMNS, StoredRound, stored_round};
use super::lock::beside;
use super::read::Reader;
use super::sizes::{ROUND_BYTES, SLOT_BYTES};
use super::slot_key::SLOTS_OF_ROUND;
pub use super::streaks::Failing;
use super::streaks::failing;
use super::uptime::jobs;
use crate::model::Timestamp;

/// What the last day is.
const DAY: Duration = Duration::from_hours(24);
/// How long the beginnings of failures are looked for, in all.
const LOOK_BACK: Duration = Duration::from_secs(1);
/// So many rounds tell how large one is.
const MEASURED_ROUNDS: i64 = 10;

/// How things stand, by the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overview {
    /// All jobs that ever ran, by name.
    pub jobs: Vec<JobOverview>,
    /// The file.
    pub database: DatabaseSize,
}

/// How one job does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobOverview {
    /// Its name.
    pub job: String,
    /// Its newest round or entry of the ledger that does not run any more.
    pub last_round: Option<StoredRound>,
    /// What became of the dues of the last day, the ledger included.
    pub last_day: Vec<DayCount>,
    /// Who failed in its newest complete round.
    pub failing: Vec<Failing>,
    /// What each of its newest complete rounds takes in the file, on average; `None` before there is one.
    pub bytes_a_round: Option<u64>,
}

/// How many dues of the last day became this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayCount {
    /// `running`, `complete`, `interrupted`, `skipped` or `missed`.
    pub status: String,
    /// Why they are not complete.
    pub cause: Option<String>,
    /// How many.
    pub dues: u64,
}

/// How large the file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseSize {
    /// The file, in bytes.
    pub bytes: u64,
    /// Its write-ahead log, in bytes.
    pub log_bytes: u64,
    /// The part of the file that is free for new rounds, in bytes.
    pub free_bytes: u64,
}

/// The same for all names of one file on one machine, and different for another: device and inode. `None` when there is
/// no file.
#[must_use]
pub fn identity(database: &Path) -> Option<String> {
    let metadata = fs::metadata(database).ok()?;
    Some(format!("{:x}:{:x}", metadata.dev(), metadata.ino()))
}

impl Reader {
    /// How things stand at `now`. What a failure's beginning costs is bounded by a second in all: what lies further back
    /// is said to be not [`Failing::whole`].
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn overview(&self, now: Timestamp) -> Result<Overview, StoreError> {
        let until = Instant::now() + LOOK_BACK;
        self.in_time(|| {
            // One moment of the file for all that is read.
            let transaction = self.connection.unchecked_transaction()?;
            let jobs = jobs(&transaction, None)?.into_iter();
            let jobs = jobs.map(|(job_id, job)| job_overview(&transaction, job_id, job, now, until));
            Ok(Overview { jobs: jobs.collect::<rusqlite::Result<_>>()?, database: self.size(&transaction)? })
        })
    }

    fn size(&self, connection: &Connection) -> rusqlite::Result<DatabaseSize> {
        let bytes = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let free_bytes = pragma("freelist_count")?.unsigned_abs() * pragma("page_size")?.unsigned_abs();
        let path = self.path();
        Ok(DatabaseSize { bytes: bytes(path), log_bytes: bytes(&beside(path, "-wal")), free_bytes })
    }
}

fn job_overview(
    connection: &Connection,
    job_id: i64,
    job: String,
    now: Timestamp,
    until: Instant,
) -> rusqlite::Result<JobOverview> {
    let newest = |which: &str| {
        let sql = format!(
            "SELECT {COLUMNS} FROM round r CROSS JOIN job j ON j.job_id = r.job_id
             WHERE r.job_id = ?1 AND {which} ORDER BY r.round_id DESC LIMIT 1"
        );
        connection.prepare_cached(&sql)?.query_row([job_id], stored_round).optional()
    };
    let complete = newest("r.status = 'complete'")?;
    let failing = match &complete {
        Some(round) if round.failed != Some(0) => failing(connection, job_id, (round.id, round.due), until)?,
        _ => Vec::new(),
    };
    let last_round = newest("r.status <> 'running'")?;
    let from = now.minus(DAY);
    let (last_day, bytes_a_round) = (last_day(connection, job_id, from)?, bytes_a_round(connection, job_id)?);
    Ok(JobOverview { job, last_round, last_day, failing, bytes_a_round })
}

/// What became of the dues from `from` on. Of a run of misses that began before, all count.
fn last_day(connection: &Connection, job_id: i64, from: Timestamp) -> rusqlite::Result<Vec<DayCount>> {
    let mut statement = connection.prepare_cached(
        "SELECT status, cause, sum(covers) FROM (
             SELECT status, cause, covers FROM round WHERE job_id = ?1 AND due_at >= ?2
             UNION ALL
             SELECT status, cause, covers FROM (
                 SELECT * FROM round WHERE job_id = ?1 AND due_at < ?2 ORDER BY due_at DESC LIMIT 1)
             WHERE covers > 1 AND finished_at >= ?2)
         GROUP BY status, cause ORDER BY status, cause",
    )?;
    let read = |row: &Row<'_>| {
        let dues = row.get::<_, i64>(2)?.unsigned_abs();
        Ok(DayCount { status: row.get(0)?, cause: row.get(1)?, dues })
    };
    statement.query_map([job_id, from.as_micros()], read)?.collect()
}

/// The average of the newest complete rounds: single ones differ by what fails.
fn bytes_a_round(connection: &Connection, job_id: i64) -> rusqlite::Result<Option<u64>> {
    let mut statement = connection.prepare_cached(&format!(
        "WITH newest AS (
             SELECT round_id FROM round WHERE job_id = ?1 AND status = 'complete' ORDER BY round_id DESC LIMIT ?2)
         SELECT (SELECT sum(?3 + coalesce(octet_length(body), 0) + coalesce(octet_length(detail), 0)
                            + coalesce(octet_length(phases), 0))
                 FROM newest r CROSS JOIN slot s ON {SLOTS_OF_ROUND}) / count(*) + ?4
         FROM newest"
    ))?;
    let parameters = [job_id, MEASURED_ROUNDS, SLOT_BYTES.cast_signed(), ROUND_BYTES.cast_signed()];
    let bytes: Option<i64> = statement.query_row(parameters, |row| row.get(0))?;
    Ok(bytes.map(i64::unsigned_abs))
}
