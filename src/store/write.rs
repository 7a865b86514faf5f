//! The only transactions that write. Each public function is one, IMMEDIATE, and returns after its commit.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::error::StoreError;
use super::evidence::KeptEvidence;
use super::file_identity::FileIdentity;
use super::lock::Lock;
use super::memory::remember;
use super::open::sqlite;
use super::rollup::{self, Progress};
use super::slot_key::slot_id;
use crate::model::{
    Cause, ClosedRound, Detail, Document, JobName, Layout, LedgerRow, RoundBegin, RoundId, RoundStatus, Slot, Timestamp,
};

/// The only connection that writes.
#[derive(Debug)]
pub struct Writer {
    pub(super) connection: Connection,
    identity: FileIdentity,
    pub(super) path: PathBuf,
    /// The keys of each job's present layout, once they are committed.
    keys: HashMap<JobName, Keys>,
    /// The hour that is being rolled up.
    pub(super) rollup: Option<Progress>,
    /// Released last.
    _locks: [Lock; 2],
}

#[derive(Clone, Debug)]
struct Keys {
    layout: Arc<Layout>,
    job_id: i64,
    layout_id: i64,
    /// Its endpoints, in order.
    endpoint_ids: Arc<[i64]>,
}

/// What an earlier run left behind.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The due of each job that became a round or an entry of the ledger last. Not the latest: a clock that was ahead
    /// for a while must not silence the ledger until it is there again.
    pub last_dues: HashMap<JobName, Timestamp>,
    /// The largest number in use.
    pub last_round: RoundId,
    /// Rounds that a kill cut off; they are marked as interrupted now.
    pub interrupted: usize,
}

/// What is counted for the planner. It takes rows of an index to be spread over the whole table; a layout's lie side by side, so
/// that with theirs it begins the views at the endpoints and sorts all that there is for the newest ten: of the tables
/// that the views join, only endpoints and rounds are counted.
const STATISTICS: &str = "
    PRAGMA analysis_limit = 1000;
    PRAGMA optimize;
    ANALYZE endpoint;
    ANALYZE round;
    DELETE FROM sqlite_stat1 WHERE tbl IN ('job', 'layout', 'layout_slot', 'slot');
    DELETE FROM sqlite_stat4 WHERE tbl IN ('job', 'layout', 'layout_slot', 'slot');
";

impl Writer {
    pub(super) fn new(connection: Connection, identity: FileIdentity, locks: [Lock; 2], path: PathBuf) -> Self {
        Self { connection, identity, path, keys: HashMap::new(), rollup: None, _locks: locks }
    }

    /// The database, without links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Marks the rounds that an earlier run did not close as interrupted, and tells how far that run came.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn take_over(&mut self) -> Result<History, StoreError> {
        self.transaction(|transaction| {
            let interrupted = transaction.execute(
                "UPDATE round SET status = ?1, cause = ?2 WHERE status = 'running'",
                params![RoundStatus::Interrupted.as_str(), Cause::Killed.as_str()],
            )?;
            let last_round =
                transaction.query_row("SELECT coalesce(max(round_id), 0) FROM round", [], |row| row.get(0))?;
            let mut statement = transaction.prepare(
                "SELECT j.name, CASE r.status WHEN 'missed' THEN r.finished_at ELSE r.due_at END
                 FROM job j JOIN round r ON r.round_id = (SELECT max(round_id) FROM round WHERE job_id = j.job_id)",
            )?;
            let last_dues = statement
                .query_map([], |row| {
                    Ok((JobName::new(&row.get::<_, String>(0)?), Timestamp::from_micros(row.get(1)?)))
                })?
                .collect::<rusqlite::Result<_>>()?;
            Ok(History { last_dues, last_round: RoundId(last_round), interrupted })
        })
    }

    /// The names of all jobs that the file knows, those that are not configured any more too.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn jobs(&self) -> Result<Vec<JobName>, StoreError> {
        let names = self.connection.prepare("SELECT name FROM job ORDER BY name").and_then(|mut statement| {
            let names = statement.query_map([], |row| Ok(JobName::new(row.get_ref(0)?.as_str()?)))?;
            names.collect()
        });
        names.map_err(|source| sqlite(&self.path, source))
    }

    /// Makes the job and the endpoints of `layout` known; a layout that the job had before is found again.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn register(&mut self, layout: &Arc<Layout>) -> Result<(), StoreError> {
        self.keys(layout).map(|_| ())
    }

    /// Writes rounds as running, so that a kill leaves a trace.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn begin(&mut self, rounds: &[RoundBegin]) -> Result<(), StoreError> {
        let keys = rounds.iter().map(|round| self.keys(&round.layout)).collect::<Result<Vec<_>, _>>()?;
        self.transaction(|transaction| {
            for (round, keys) in rounds.iter().zip(&keys) {
                put_round(transaction, round, keys, RoundStatus::Running, None, None)?;
            }
            Ok(())
        })
    }

    /// Writes a closed round, all its slots and its end, whether its beginning is there or not; and with it what its
    /// slots leave to look at and to remember.
    ///
    /// # Errors
    /// When the file cannot be written; nothing of the round is then there.
    pub fn close(&mut self, round: &ClosedRound) -> Result<(), StoreError> {
        let keys = self.keys(&round.begin.layout)?;
        let hour = rollup::hour_of(round.begin.due);
        self.rollup.take_if(|progress| progress.is_of(keys.job_id, hour));
        self.transaction(|transaction| {
            put_round(transaction, &round.begin, &keys, round.status, round.cause, Some(round))?;
            put_slots(transaction, round, &keys.endpoint_ids)?;
            remember(transaction, round, &keys.endpoint_ids)?;
            rollup::note_round(transaction, keys.job_id, round, &keys.endpoint_ids)
        })
    }

    /// Writes entries of the ledger. One for dropped rounds takes the place of their beginnings.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn ledger(&mut self, rows: &[LedgerRow]) -> Result<(), StoreError> {
        self.transaction(|transaction| {
            for row in rows {
                let job_id = job_id(transaction, &row.job)?;
                if row.cause == Cause::Storage {
                    transaction.execute(
                        "DELETE FROM round WHERE status = 'running' AND job_id = ?1 AND due_at BETWEEN ?2 AND ?3",
                        params![job_id, row.first_due.as_micros(), row.last_due.as_micros()],
                    )?;
                }
                // A skipped due was looked at when it was due; a run of missed ones ends with its last due.
                transaction.execute(
                    "INSERT INTO round (round_id, job_id, due_at, finished_at, status, cause, covers)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    params![
                        row.id.0,
                        job_id,
                        row.first_due.as_micros(),
                        row.last_due.as_micros(),
                        row.status.as_str(),
                        row.cause.as_str(),
                        i64::try_from(row.covers).unwrap_or(i64::MAX)
                    ],
                )?;
            }
            Ok(())
        })
    }

    /// Refreshes the planner's statistics, folds the log into the file and cuts it to nothing.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn maintain(&mut self) -> Result<(), StoreError> {
        self.transaction(|transaction| transaction.execute_batch(STATISTICS))?;
        self.fold_log()
    }

    /// Folds the log into the file and cuts it to nothing, as far as readers let it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn fold_log(&mut self) -> Result<(), StoreError> {
        self.identity.check()?;
        let folded = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        folded.map_err(|source| sqlite(&self.path, source))
    }

    pub(super) fn transaction<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.identity.check()?;
        let path = &self.path;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let committed = transaction.and_then(|transaction| {
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok(result)
        });
        committed.map_err(|source| sqlite(path, source))
    }

    fn keys(&mut self, layout: &Arc<Layout>) -> Result<Keys, StoreError> {
        if let Some(keys) = self.keys.get(&layout.job)
            && (Arc::ptr_eq(&keys.layout, layout) || keys.layout == *layout)
        {
            return Ok(keys.clone());
        }
        let keys = self.transaction(|transaction| {
            let job_id = job_id(transaction, &layout.job)?;
            let endpoint_ids: Arc<[i64]> = endpoint_ids(transaction, job_id, layout)?.into();
            let layout_id = layout_id(transaction, job_id, &endpoint_ids)?;
            Ok(Keys { layout: Arc::clone(layout), job_id, layout_id, endpoint_ids })
        })?;
        self.keys.insert(layout.job.clone(), keys.clone());
        Ok(keys)
    }
}

fn put_round(
    transaction: &Transaction<'_>,
    begin: &RoundBegin,
    keys: &Keys,
    status: RoundStatus,
    cause: Option<Cause>,
    closed: Option<&ClosedRound>,
) -> rusqlite::Result<()> {
    let ok = closed.map(ClosedRound::ok);
    let mut statement = transaction.prepare_cached(
        "INSERT INTO round (round_id, job_id, layout_id, due_at, started_at, finished_at, status, cause, endpoints, ok, failed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT (round_id) DO UPDATE SET finished_at = excluded.finished_at, status = excluded.status,
             cause = excluded.cause, ok = excluded.ok, failed = excluded.failed",
    )?;
    statement.execute(params![
        begin.id.0,
        keys.job_id,
        keys.layout_id,
        begin.due.as_micros(),
        begin.started.as_micros(),
        closed.map(|round| round.finished.as_micros()),
        status.as_str(),
        cause.map(Cause::as_str),
        integer(begin.layout.endpoints.len()),
        ok.map(integer),
        closed.zip(ok).map(|(round, ok)| integer(round.slots.len() - ok)),
    ])?;
    Ok(())
}

fn put_slots(transaction: &Transaction<'_>, round: &ClosedRound, endpoints: &[i64]) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO slot (slot_id, fetched_at, outcome, http_status, attempts, elapsed_us, body, detail, phases,
             sent_id, evidence_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    let mut kept = KeptEvidence::new(transaction);
    for (position, (slot, &endpoint)) in round.slots.iter().zip(endpoints).enumerate() {
        let (mut sent, mut answer) = (None, None);
        if let Some(evidence) = &slot.evidence {
            sent = Some(kept.sent(evidence, endpoint, slot.fetched_at)?);
            answer = kept.answer(evidence, slot.fetched_at)?;
        }
        put_slot(&mut statement, round.begin.id, position, slot, (sent, answer))?;
    }
    kept.drop_oldest()
}

fn put_slot(
    statement: &mut CachedStatement<'_>,
    round: RoundId,
    position: usize,
    slot: &Slot,
    (sent, answer): (Option<i64>, Option<i64>),
) -> rusqlite::Result<()> {
    let phases = slot.phases.as_ref().map(serde_json::to_string).transpose();
    statement.execute(params![
        slot_id(round.0, integer(position)),
        slot.fetched_at.as_micros(),
        slot.outcome.as_str(),
        slot.http_status,
        slot.attempts,
        i64::try_from(slot.elapsed.as_micros()).unwrap_or(i64::MAX),
        slot.body.as_ref().map(Document::text),
        slot.detail.as_ref().map(Detail::as_str),
        phases.map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?,
        sent,
        answer,
    ])?;
    Ok(())
}

fn job_id(transaction: &Transaction<'_>, job: &JobName) -> rusqlite::Result<i64> {
    transaction.execute("INSERT INTO job (name) VALUES (?1) ON CONFLICT DO NOTHING", [job.as_str()])?;
    transaction.query_row("SELECT job_id FROM job WHERE name = ?1", [job.as_str()], |row| row.get(0))
}

fn endpoint_ids(transaction: &Transaction<'_>, job_id: i64, layout: &Layout) -> rusqlite::Result<Vec<i64>> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO endpoint (job_id, name, url) VALUES (?1, ?2, ?3)
         ON CONFLICT (job_id, name) DO UPDATE SET url = excluded.url RETURNING endpoint_id",
    )?;
    let endpoints = layout.endpoints.iter();
    endpoints
        .map(|endpoint| statement.query_row(params![job_id, endpoint.name, endpoint.url], |row| row.get(0)))
        .collect()
}

/// The job's layout of exactly these endpoints, made when there is none.
fn layout_id(transaction: &Transaction<'_>, job_id: i64, endpoints: &[i64]) -> rusqlite::Result<i64> {
    let wanted: Vec<String> = endpoints.iter().map(i64::to_string).collect();
    let found = transaction
        .query_row(
            "SELECT layout_id FROM layout WHERE job_id = ?1 AND ?2 =
                 (SELECT group_concat(endpoint_id, ',') FROM
                     (SELECT endpoint_id FROM layout_slot s WHERE s.layout_id = layout.layout_id ORDER BY position))",
            params![job_id, wanted.join(",")],
            |row| row.get(0),
        )
        .optional()?;
    if let Some(layout_id) = found {
        return Ok(layout_id);
    }
    transaction.execute("INSERT INTO layout (job_id) VALUES (?1)", [job_id])?;
    let layout_id = transaction.last_insert_rowid();
    let mut statement =
        transaction.prepare("INSERT INTO layout_slot (layout_id, position, endpoint_id) VALUES (?1, ?2, ?3)")?;
    for (position, endpoint) in endpoints.iter().enumerate() {
        statement.execute(params![layout_id, integer(position), endpoint])?;
    }
    Ok(layout_id)
}

pub(super) fn integer(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
