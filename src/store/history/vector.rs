//! One round with all its slots: the newest, the one of a number, or the one that stood at a time.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row};

use super::observations::EndpointNames;
use super::pages::{COLUMNS, StoredRound, stored_round};
use crate::model::{RoundId, Timestamp};
use crate::store::error::StoreError;
use crate::store::read::Reader;
use crate::store::slot_key::slot_ids;

/// A round and its slots, in the order of its layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vector {
    /// The round.
    pub round: StoredRound,
    /// Its slots; none when it is an entry of the ledger.
    pub slots: Vec<VectorSlot>,
}

/// A slot of a vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VectorSlot {
    /// Its place, from 0.
    pub position: u32,
    /// The endpoint's name.
    pub endpoint: String,
    /// When it ended.
    pub fetched_at: Timestamp,
    /// `ok`, or why there is no document.
    pub outcome: String,
    /// The status of the last attempt, when its answer came that far.
    pub http_status: Option<u16>,
    /// Requests made.
    pub attempts: u32,
    /// From the first attempt's start to the end of the slot.
    pub elapsed: Duration,
    /// The document as sent, exactly when the outcome is `ok`.
    pub body: Option<String>,
    /// More about how it ended.
    pub detail: Option<String>,
}

/// Which round of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The complete one with the largest number, whatever the clock said.
    Newest,
    /// The last complete one that is due then or before.
    At(Timestamp),
    /// The one with this number, complete or not.
    Round(RoundId),
}

impl Reader {
    /// A round of `job` with its slots; `None` when there is no such round.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn vector(&self, job: &str, which: Which) -> Result<Option<Vector>, StoreError> {
        let (condition, bound) = match which {
            Which::Newest => ("r.status = 'complete' AND ?2 IS NOT NULL ORDER BY r.round_id DESC", 0),
            Which::At(moment) => {
                ("r.status = 'complete' AND r.due_at <= ?2 ORDER BY r.due_at DESC, r.round_id DESC", moment.as_micros())
            }
            Which::Round(round) => ("r.round_id = ?2", round.0),
        };
        let sql = format!(
            "SELECT {COLUMNS}, r.layout_id FROM round r CROSS JOIN job j ON j.job_id = r.job_id
             WHERE r.job_id = (SELECT job_id FROM job WHERE name = ?1) AND {condition} LIMIT 1"
        );
        self.in_time(|| {
            // What is committed or removed meanwhile is not seen.
            let _snapshot = self.connection.unchecked_transaction()?;
            let mut statement = self.connection.prepare_cached(&sql)?;
            let found = statement
                .query_row((job, bound), |row| Ok((stored_round(row)?, row.get::<_, Option<i64>>(11)?)))
                .optional()?;
            let Some((round, layout)) = found else { return Ok(None) };
            let slots = match layout {
                Some(layout) => slots(&self.connection, round.id, layout)?,
                None => Vec::new(),
            };
            Ok(Some(Vector { round, slots }))
        })
    }
}

fn slots(connection: &Connection, round: RoundId, layout: i64) -> rusqlite::Result<Vec<VectorSlot>> {
    let mut names = EndpointNames::default();
    let names = names.of(connection, layout)?;
    let sql = "SELECT position, fetched_at, outcome, http_status, attempts, elapsed_us, body, detail FROM slot
               WHERE slot_id BETWEEN ?1 AND ?2 ORDER BY slot_id";
    let slot = |row: &Row<'_>| {
        let position: u32 = row.get(0)?;
        let endpoint = usize::try_from(position).ok().and_then(|index| names.get(index)).cloned().unwrap_or_default();
        Ok(VectorSlot {
            position,
            endpoint,
            fetched_at: Timestamp::from_micros(row.get(1)?),
            outcome: row.get(2)?,
            http_status: row.get(3)?,
            attempts: row.get(4)?,
            elapsed: Duration::from_micros(u64::try_from(row.get::<_, i64>(5)?).unwrap_or_default()),
            body: row.get(6)?,
            detail: row.get(7)?,
        })
    };
    connection.prepare_cached(sql)?.query_map(slot_ids(round.0), slot)?.collect()
}
