//! Rounds that are older than they are kept: deleted a few at a time, and their pages given back. Their hours' rollups stay.

use std::time::{Duration, Instant};

use rusqlite::{OptionalExtension, Transaction, params};

use super::error::StoreError;
use super::open::sqlite;
use super::read::Reader;
use super::rollup::{hour_of, start_of};
use super::slot_key::{SLOTS_OF_ROUND, slot_ids};
use super::write::Writer;
use crate::model::{JobName, Timestamp};

/// Slots that one transaction deletes at most, but for a round that has more: rounds go whole.
const SLOTS_AT_ONCE: i64 = 2_000;
/// Entries that one transaction deletes at most.
const ROUNDS_AT_ONCE: i64 = 500;
/// Pages of 4 KiB between two looks at the time.
const PAGES_AT_ONCE: i64 = 64;

/// How much was deleted, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Rounds and entries of the ledger.
    pub rounds: u64,
    /// Slots of them.
    pub slots: u64,
}

/// What is older than it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outdated {
    /// The job.
    pub job: String,
    /// How much there is of it.
    pub counted: Pruned,
    /// The bytes of the documents; the file gives back somewhat more.
    pub bytes: u64,
    /// The first and the last due of it.
    pub dues: (Timestamp, Timestamp),
}

/// The rounds of a job (?1) that are due before ?2: closed or in the ledger, but the newest complete one.
const OUTDATED: &str = "r.job_id = ?1 AND r.due_at < ?2 AND r.status <> 'running'
    AND (r.status <> 'missed' OR r.finished_at < ?2)
    AND r.round_id IS NOT (SELECT n.round_id FROM round n WHERE n.job_id = ?1 AND n.status = 'complete'
                           ORDER BY n.round_id DESC LIMIT 1)";

/// Only whole hours go, because an hour's rollup says all of it or nothing.
fn border(before: Timestamp) -> Timestamp {
    start_of(hour_of(before))
}

impl Reader {
    /// What `prune` with the same `before` would delete of `job`, or of each job; jobs without any are left out.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn outdated(&self, job: Option<&str>, before: Timestamp) -> Result<Vec<Outdated>, StoreError> {
        self.in_time(|| {
            let mut jobs = self
                .connection
                .prepare_cached("SELECT job_id, name FROM job WHERE ?1 IS NULL OR name = ?1 ORDER BY name")?;
            let jobs = jobs.query_map([job], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let mut found = Vec::new();
            for job in jobs {
                let (job_id, job): (i64, String) = job?;
                let mut statement = self.connection.prepare_cached(&format!(
                    "SELECT count(*), coalesce(sum(r.ok + r.failed), 0),
                         coalesce(sum((SELECT sum(octet_length(body)) FROM slot s WHERE {SLOTS_OF_ROUND})), 0),
                         min(r.due_at), max(r.due_at)
                     FROM round r WHERE {OUTDATED}"
                ))?;
                found.extend(statement.query_row(params![job_id, border(before).as_micros()], |row| {
                    let dues = row.get::<_, Option<i64>>(3)?.zip(row.get::<_, Option<i64>>(4)?);
                    let count = |column| Ok::<_, rusqlite::Error>(row.get::<_, i64>(column)?.unsigned_abs());
                    let counted = Pruned { rounds: count(0)?, slots: count(1)? };
                    let bytes = count(2)?;
                    Ok(dues.map(|(first, last)| {
                        let dues = (Timestamp::from_micros(first), Timestamp::from_micros(last));
                        Outdated { job, counted, bytes, dues }
                    }))
                })?);
            }
            Ok(found)
        })
    }
}

impl Writer {
    /// Deletes some of the rounds and ledger entries of `job` that were due before the hour of `before`; nothing when there
    /// are none. Never the newest complete round, nor what is not rolled up yet. A document that a conditional request
    /// needs is no reason to keep a round: the next request asks for the whole.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn prune(&mut self, job: &JobName, before: Timestamp) -> Result<Pruned, StoreError> {
        self.transaction(|transaction| {
            let job_id = transaction
                .prepare_cached("SELECT job_id FROM job WHERE name = ?1")?
                .query_row([job.as_str()], |row| row.get::<_, i64>(0))
                .optional()?;
            let Some(job_id) = job_id else { return Ok(Pruned::default()) };
            let hour = rolled_up_until(transaction, job_id, hour_of(before))?;
            let rounds = oldest(transaction, job_id, start_of(hour))?;
            if !rounds.is_empty() {
                // First: from here on the rollups are not made anew from what is left.
                transaction
                    .prepare_cached(
                        "INSERT INTO pruned (job_id, before) VALUES (?1, ?2)
                         ON CONFLICT (job_id) DO UPDATE SET before = max(before, excluded.before)",
                    )?
                    .execute([job_id, hour])?;
            }
            delete(transaction, &rounds)
        })
    }

    /// Deletes some of what failures left to look at that no slot has pointed at since `before`. Answers how many rows.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn prune_evidence(&mut self, before: Timestamp) -> Result<usize, StoreError> {
        // A slot may have pointed at a row for an hour after the moment that it says.
        let before = before.minus(Duration::from_hours(1)).as_micros();
        self.transaction(|transaction| {
            let mut deleted = 0;
            for table in ["sent", "evidence"] {
                // The newest row keeps its number from being given out again.
                deleted += transaction.execute(
                    &format!(
                        "DELETE FROM {table} WHERE {table}_id IN (
                             SELECT {table}_id FROM {table} WHERE last_used < ?1
                                 AND {table}_id < (SELECT max({table}_id) FROM {table}) LIMIT ?2)"
                    ),
                    [before, ROUNDS_AT_ONCE],
                )?;
            }
            Ok(deleted)
        })
    }

    /// Gives unused pages back to the file system, for about `slice`. Answers how many bytes; nothing when there are none.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn give_back(&mut self, slice: Duration) -> Result<u64, StoreError> {
        let begun = Instant::now();
        let (size, mut given) = (self.pragma("page_size")?, 0);
        let mut unused = self.pragma("freelist_count")?;
        while unused > 0 && (given == 0 || begun.elapsed() < slice) {
            let vacuumed = self.connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES_AT_ONCE})")).and_then(
                |mut statement| {
                    let mut rows = statement.query([])?;
                    while rows.next()?.is_some() {}
                    Ok(())
                },
            );
            vacuumed.map_err(|source| sqlite(&self.path, source))?;
            let left = self.pragma("freelist_count")?;
            if left >= unused {
                break;
            }
            given += unused - left;
            unused = left;
        }
        Ok((given * size).unsigned_abs())
    }

    fn pragma(&self, name: &str) -> Result<i64, StoreError> {
        let value = self.connection.pragma_query_value(None, name, |row| row.get(0));
        value.map_err(|source| sqlite(&self.path, source))
    }
}

/// The hour until which a job may be pruned: `hour`, or an earlier one that is not rolled up yet.
fn rolled_up_until(transaction: &Transaction<'_>, job_id: i64, hour: i64) -> rusqlite::Result<i64> {
    let mut statement = transaction.prepare_cached("SELECT min(hour) FROM rollup_stale WHERE job_id = ?1")?;
    let stale: Option<i64> = statement.query_row([job_id], |row| row.get(0))?;
    Ok(stale.map_or(hour, |stale| stale.min(hour)))
}

fn oldest(transaction: &Transaction<'_>, job_id: i64, before: Timestamp) -> rusqlite::Result<Vec<i64>> {
    let mut statement = transaction.prepare_cached(&format!(
        "SELECT r.round_id, CASE WHEN r.ok IS NULL THEN 0 ELSE r.endpoints END FROM round r
         WHERE {OUTDATED} ORDER BY r.due_at, r.round_id LIMIT ?3"
    ))?;
    let mut rows = statement.query(params![job_id, before.as_micros(), ROUNDS_AT_ONCE])?;
    let (mut rounds, mut slots) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        slots += row.get::<_, i64>(1)?;
        if slots > SLOTS_AT_ONCE && !rounds.is_empty() {
            break;
        }
        rounds.push(row.get(0)?);
    }
    Ok(rounds)
}

fn delete(transaction: &Transaction<'_>, rounds: &[i64]) -> rusqlite::Result<Pruned> {
    let mut pruned = Pruned::default();
    if rounds.is_empty() {
        return Ok(pruned);
    }
    let list = serde_json::to_string(rounds).unwrap_or_default();
    transaction
        .prepare_cached("DELETE FROM validators WHERE round_id IN (SELECT value FROM json_each(?1))")?
        .execute([list])?;
    let mut slots = transaction.prepare_cached("DELETE FROM slot WHERE slot_id BETWEEN ?1 AND ?2")?;
    let mut round = transaction.prepare_cached("DELETE FROM round WHERE round_id = ?1")?;
    for id in rounds {
        pruned.slots += slots.execute(slot_ids(*id))? as u64;
        pruned.rounds += round.execute([id])? as u64;
    }
    Ok(pruned)
}
