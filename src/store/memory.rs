//! What is remembered from one round to the next, over a restart: documents that may still be the same, last
//! successes, hosts that asked to be left alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::error::StoreError;
use super::open::sqlite;
use super::streaks::last_successes;
use super::write::{Writer, integer};
use crate::model::{ClosedRound, Document, HostPause, JobName, Layout, Memory, Remembered, Timestamp, Validators};

/// The most bytes of documents that a daemon remembers, over all its jobs.
pub const REMEMBERED_BYTES: usize = 64 * 1024 * 1024;

/// So long the last successes of a job's endpoints are looked for.
const LOOK_BACK: Duration = Duration::from_millis(250);

impl Writer {
    /// What is remembered of the endpoints of `layout`, in its order. The documents' bytes are taken from `budget`
    /// ([`REMEMBERED_BYTES`] for all jobs together); one that is larger than what is left of it is not remembered.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn recall(&mut self, layout: &Layout, budget: &mut usize) -> Result<Vec<Memory>, StoreError> {
        let recalled = self.connection.prepare_cached(
            "SELECT o.due_at, v.request, v.etag, v.last_modified, s.body
             FROM endpoint e
             LEFT JOIN last_ok o ON o.endpoint_id = e.endpoint_id
             LEFT JOIN validators v ON v.endpoint_id = e.endpoint_id
             LEFT JOIN slot s ON s.slot_id = v.round_id << 20 | v.position
             WHERE e.job_id = (SELECT job_id FROM job WHERE name = ?1) AND e.name = ?2",
        );
        let recalled = recalled.and_then(|mut statement| {
            let mut of = |job: &JobName, name: &str| -> rusqlite::Result<Memory> {
                let found = statement.query_row([job.as_str(), name], |row| memory(row, budget)).optional();
                Ok(found?.unwrap_or_default())
            };
            layout.endpoints.iter().map(|endpoint| of(&layout.job, &endpoint.name)).collect()
        });
        recalled.map_err(|source| sqlite(&self.path, source))
    }

    /// Looks for the last success of the endpoints of `layout` that ask for it (`asks`, in its order) and have none in
    /// `memories`: it is noted only while somebody asks, and who began to ask has succeeded before. What is not found within
    /// a quarter of a second stays unknown.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn find_last_ok(&mut self, layout: &Layout, asks: &[bool], memories: &mut [Memory]) -> Result<(), StoreError> {
        let until = Instant::now() + LOOK_BACK;
        let wanted = layout.endpoints.iter().zip(asks).zip(memories);
        let wanted = wanted.filter(|((_, asks), memory)| **asks && memory.last_ok.is_none());
        let find = || {
            let mut statement = self.connection.prepare_cached(
                "SELECT endpoint_id, job_id FROM endpoint
                 WHERE job_id = (SELECT job_id FROM job WHERE name = ?1) AND name = ?2",
            )?;
            let mut known = Vec::new();
            for ((endpoint, _), memory) in wanted {
                let row = statement.query_row([layout.job.as_str(), endpoint.name.as_str()], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
                });
                known.extend(row.optional()?.map(|(endpoint, job)| (endpoint, job, memory)));
            }
            let Some(&(_, job, _)) = known.first() else { return Ok(()) };
            let endpoints = known.iter().map(|(endpoint, ..)| *endpoint);
            let found = last_successes(&self.connection, job, endpoints, until)?;
            for (endpoint, _, memory) in known {
                memory.last_ok = found.get(&endpoint).copied();
            }
            Ok(())
        };
        find().map_err(|source| sqlite(&self.path, source))
    }

    /// Remembers that a host asked to be left alone, in the place of what it asked for before.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn pause(&mut self, pause: &HostPause) -> Result<(), StoreError> {
        self.transaction(|transaction| {
            let mut statement = transaction.prepare_cached(
                "INSERT INTO host_pause (host, until) VALUES (?1, ?2)
                 ON CONFLICT (host) DO UPDATE SET until = excluded.until",
            )?;
            statement.execute(params![pause.host, pause.until.as_micros()])?;
            Ok(())
        })
    }

    /// The hosts that want to be left alone after `now`; the others are forgotten.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn pauses(&mut self, now: Timestamp) -> Result<Vec<HostPause>, StoreError> {
        self.transaction(|transaction| {
            transaction.execute("DELETE FROM host_pause WHERE until <= ?1", [now.as_micros()])?;
            let mut statement = transaction.prepare("SELECT host, until FROM host_pause ORDER BY host")?;
            let pauses = statement
                .query_map([], |row| Ok(HostPause { host: row.get(0)?, until: Timestamp::from_micros(row.get(1)?) }))?;
            pauses.collect()
        })
    }
}

fn memory(row: &Row<'_>, budget: &mut usize) -> rusqlite::Result<Memory> {
    let last_ok = row.get::<_, Option<i64>>(0)?.map(Timestamp::from_micros);
    // The slot may be gone, and a document may be too large to be held: both are merely fetched again.
    let body = row.get_ref(4)?.as_str_or_null()?;
    let Some(body) = body.filter(|body| body.len() <= *budget) else {
        return Ok(Memory { last_ok, remembered: None });
    };
    *budget -= body.len();
    let validators =
        Validators { request: row.get::<_, i64>(1)?.cast_unsigned(), etag: row.get(2)?, last_modified: row.get(3)? };
    let remembered = Remembered { validators: Arc::new(validators), document: Document::from_validated(body) };
    Ok(Memory { last_ok, remembered: Some(remembered) })
}

/// Remembers what the slots of `round`, whose endpoints have these keys, ask to be remembered.
pub(super) fn remember(transaction: &Transaction<'_>, round: &ClosedRound, endpoints: &[i64]) -> rusqlite::Result<()> {
    for (position, (slot, &endpoint)) in round.slots.iter().zip(endpoints).enumerate() {
        if let Some(validators) = slot.validators.as_ref().filter(|_| slot.body.is_some()) {
            let mut statement = transaction.prepare_cached(
                "INSERT OR REPLACE INTO validators (endpoint_id, request, etag, last_modified, round_id, position)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?;
            statement.execute(params![
                endpoint,
                validators.request.cast_signed(),
                validators.etag,
                validators.last_modified,
                round.begin.id.0,
                integer(position)
            ])?;
        }
        if slot.asks_for_last_ok && slot.outcome.is_ok() {
            let mut statement =
                transaction.prepare_cached("INSERT OR REPLACE INTO last_ok (endpoint_id, due_at) VALUES (?1, ?2)")?;
            statement.execute(params![endpoint, round.begin.due.as_micros()])?;
        }
    }
    Ok(())
}
