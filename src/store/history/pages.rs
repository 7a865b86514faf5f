//! Rounds and ledger entries by pages of their numbers.

use rusqlite::Row;

use crate::model::{RoundId, Timestamp};
use crate::store::error::StoreError;
use crate::store::read::Reader;

/// A round or an entry of the ledger, as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRound {
    /// Its number.
    pub id: RoundId,
    /// Its job.
    pub job: String,
    /// The instant that the cadence asked for; of a run of misses the first.
    pub due: Timestamp,
    /// When it really started.
    pub started: Option<Timestamp>,
    /// When it really ended; of a run of misses the last due.
    pub finished: Option<Timestamp>,
    /// `running`, `complete`, `interrupted`, `skipped` or `missed`.
    pub status: String,
    /// Why it is not complete.
    pub cause: Option<String>,
    /// How many dues it stands for.
    pub covers: u64,
    /// How many slots it has or should have had.
    pub endpoints: Option<u64>,
    /// How many have a document; `None` when it has no slots.
    pub ok: Option<u64>,
    /// How many have none.
    pub failed: Option<u64>,
}

/// Which of the rounds, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The newest ones.
    Newest,
    /// The newest with a smaller number than this.
    Before(RoundId),
    /// The oldest with a greater number than this.
    After(RoundId),
}

/// Columns of a [`StoredRound`], from `round r JOIN job j`.
pub(in crate::store) const COLUMNS: &str = "r.round_id, j.name, r.due_at, r.started_at, r.finished_at, r.status, r.cause, r.covers, r.endpoints, r.ok, r.failed";

impl Reader {
    /// At most `most` rounds and ledger entries of a job or of all: the newest first, after a number the oldest first.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn rounds_page(&self, job: Option<&str>, page: Page, most: u32) -> Result<Vec<StoredRound>, StoreError> {
        let (comparison, bound, order) = match page {
            Page::Newest => ("<=", i64::MAX, "DESC"),
            Page::Before(round) => ("<", round.0, "DESC"),
            Page::After(round) => (">", round.0, "ASC"),
        };
        let of_job = match job {
            Some(_) => "r.job_id = (SELECT job_id FROM job WHERE name = ?1)",
            None => "?1 IS NULL",
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM round r CROSS JOIN job j ON j.job_id = r.job_id
             WHERE {of_job} AND r.round_id {comparison} ?2 ORDER BY r.round_id {order} LIMIT ?3"
        );
        self.in_time(|| self.connection.prepare_cached(&sql)?.query_map((job, bound, most), stored_round)?.collect())
    }
}

pub(in crate::store) fn stored_round(row: &Row<'_>) -> rusqlite::Result<StoredRound> {
    let moment = |index| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(index)?.map(Timestamp::from_micros));
    let count = |index| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(index)?.map(i64::unsigned_abs));
    Ok(StoredRound {
        id: RoundId(row.get(0)?),
        job: row.get(1)?,
        due: Timestamp::from_micros(row.get(2)?),
        started: moment(3)?,
        finished: moment(4)?,
        status: row.get(5)?,
        cause: row.get(6)?,
        covers: count(7)?.unwrap_or(1),
        endpoints: count(8)?,
        ok: count(9)?,
        failed: count(10)?,
    })
}
