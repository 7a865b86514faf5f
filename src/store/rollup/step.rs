//! Stale hours are made anew, a bounded step at a time: reading first, which holds no lock, then writing.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rusqlite::{OptionalExtension, params};

use super::slots::{RoundWithSlots, Slots, rounds_between};
use super::summary::Summary;
use super::{hour_of, table};
use crate::model::Timestamp;
use crate::store::error::StoreError;
use crate::store::open::sqlite;
use crate::store::write::Writer;

/// An hour is rolled up so long after its end: the rounds that were due last are then closed.
const AFTER_THE_END: Duration = Duration::from_mins(2);
/// Between two looks at the time.
const SLOTS_AT_ONCE: usize = 500;
/// Rows in one transaction.
const ROWS_AT_ONCE: usize = 500;

/// What a step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RolledUp {
    /// Hours of a job that it finished.
    pub hours: usize,
    /// Whether there is more to do now.
    pub more: bool,
}

/// The hour that is being rolled up. Thrown away when a round is added to it.
#[derive(Debug)]
pub struct Progress {
    job_id: i64,
    hour: i64,
    /// What is not read yet, and the position that the first of it is read from.
    rounds: VecDeque<RoundWithSlots>,
    position: i64,
    slots: Slots,
    /// What is read and not written yet.
    rows: Vec<(i64, Summary)>,
    begun_writing: bool,
}

impl Progress {
    /// Whether it is this hour's.
    pub fn is_of(&self, job_id: i64, hour: i64) -> bool {
        (self.job_id, self.hour) == (job_id, hour)
    }
}

impl Writer {
    /// Makes stale hours that are over at `now` anew, for about `slice`; what is not done then goes on with the next call.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn roll_up(&mut self, now: Timestamp, slice: Duration) -> Result<RolledUp, StoreError> {
        let begun = Instant::now();
        let mut done = RolledUp { hours: 0, more: true };
        loop {
            // A failure anywhere below drops the progress: the hour is still stale.
            let progress = match self.rollup.take() {
                Some(progress) => progress,
                None => match self.next_stale(now)? {
                    Some(progress) => progress,
                    None => return Ok(RolledUp { more: false, ..done }),
                },
            };
            self.rollup = self.advance(progress)?;
            done.hours += usize::from(self.rollup.is_none());
            if begun.elapsed() >= slice {
                return Ok(done);
            }
        }
    }

    fn next_stale(&self, now: Timestamp) -> Result<Option<Progress>, StoreError> {
        let present = hour_of(now.minus(AFTER_THE_END));
        let find = || -> rusqlite::Result<Option<Progress>> {
            let mut statement = self.connection.prepare_cached(
                "SELECT job_id, hour FROM rollup_stale WHERE hour < ?1 ORDER BY job_id, hour LIMIT 1",
            )?;
            let found = statement.query_row([present], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            let Some((job_id, hour)) = found else { return Ok(None) };
            let rounds = rounds_between(&self.connection, job_id, &table::dues_of(hour))?;
            let (slots, rows) = (Slots::default(), Vec::new());
            Ok(Some(Progress { job_id, hour, rounds, position: 0, slots, rows, begun_writing: false }))
        };
        find().map_err(|source| sqlite(&self.path, source))
    }

    /// A bounded part of the hour; `None` when that was its end.
    fn advance(&mut self, mut progress: Progress) -> Result<Option<Progress>, StoreError> {
        if let Some(&round) = progress.rounds.front() {
            let read = progress.slots.add(&self.connection, round, progress.position, SLOTS_AT_ONCE);
            match read.map_err(|source| sqlite(&self.path, source))? {
                Some(next) => progress.position = next,
                None => {
                    progress.position = 0;
                    progress.rounds.pop_front();
                }
            }
            return Ok(Some(progress));
        }
        let Progress { job_id, hour, begun_writing, .. } = progress;
        if !begun_writing {
            progress.rows = std::mem::take(&mut progress.slots.summaries).into_iter().collect();
            progress.rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.0));
        }
        let rest = progress.rows.len().saturating_sub(ROWS_AT_ONCE);
        let rows = progress.rows.split_off(rest);
        self.transaction(|transaction| {
            if !begun_writing {
                transaction.execute("DELETE FROM rollup WHERE job_id = ?1 AND hour = ?2", [job_id, hour])?;
            }
            for (endpoint, summary) in rows.iter().rev() {
                table::put(transaction, job_id, hour, *endpoint, summary)?;
            }
            if rest == 0 {
                // Readers take the slots until here.
                transaction
                    .execute("DELETE FROM rollup_stale WHERE job_id = ?1 AND hour = ?2", params![job_id, hour])?;
            }
            Ok(())
        })?;
        progress.begun_writing = true;
        Ok((rest > 0).then_some(progress))
    }
}
