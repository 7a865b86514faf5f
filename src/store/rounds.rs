//! Rounds and the ledger, page by page: each page is found by the number of the last entry of the one before.

use super::error::StoreError;
use super::read::{Answer, Reader, Value};

/// So many numbers before the last one that a listener knows may still have closed after it.
const OVERTAKEN: i64 = 1_000;

impl Reader {
    /// At most `limit` rounds and ledger entries of `job` before the number `before`, the newest first: the columns of
    /// the view `rounds`.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn rounds_before(&self, job: &str, before: i64, limit: u32) -> Result<Answer, StoreError> {
        self.ask(
            "SELECT * FROM rounds WHERE round_id IN (
                 SELECT round_id FROM round WHERE job_id = (SELECT job_id FROM job WHERE name = ?1) AND round_id < ?2
                 ORDER BY round_id DESC LIMIT ?3)
             ORDER BY round_id DESC",
            (job, before, limit),
        )
    }

    /// At most `limit` entries of the ledger (skipped, missed, interrupted) of `job` or of all before the number
    /// `before`, the newest first: the columns of the view `rounds`.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn ledger_before(&self, job: Option<&str>, before: i64, limit: u32) -> Result<Answer, StoreError> {
        let of_job = match job {
            Some(_) => "job_id = (SELECT job_id FROM job WHERE name = ?1)",
            None => "?1 IS NULL",
        };
        self.ask(
            &format!(
                "SELECT * FROM rounds WHERE round_id IN (
                     SELECT round_id FROM round WHERE {of_job} AND round_id < ?2
                     AND status IN ('skipped', 'missed', 'interrupted') ORDER BY round_id DESC LIMIT ?3)
                 ORDER BY round_id DESC"
            ),
            (job, before, limit),
        )
    }

    /// One round: the columns of the view `rounds`, or no row.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn round(&self, round: i64) -> Result<Answer, StoreError> {
        self.ask("SELECT * FROM rounds WHERE round_id = ?1", [round])
    }

    /// At most `limit` slots of a round from `position` on, in order: the columns of the view `observations`.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn slots(&self, round: i64, position: u32, limit: u32) -> Result<Answer, StoreError> {
        self.ask(
            "SELECT * FROM observations WHERE round_id = ?1 AND position >= ?2 ORDER BY position LIMIT ?3",
            (round, position, limit),
        )
    }

    /// The number of the last complete round of `job`.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn last_complete(&self, job: &str) -> Result<Option<i64>, StoreError> {
        let answer = self.ask(
            "SELECT round_id FROM round WHERE job_id = (SELECT job_id FROM job WHERE name = ?1) AND status = 'complete'
             ORDER BY round_id DESC LIMIT 1",
            [job],
        )?;
        Ok(answer.rows.first().and_then(|row| if let [Value::Integer(id)] = row[..] { Some(id) } else { None }))
    }

    /// The newest round of each job, whatever became of it: the columns of the view `rounds`.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn newest_rounds(&self) -> Result<Answer, StoreError> {
        self.ask(
            "SELECT * FROM rounds WHERE round_id IN (
                 SELECT (SELECT r.round_id FROM round r WHERE r.job_id = j.job_id AND r.layout_id IS NOT NULL
                         ORDER BY r.round_id DESC LIMIT 1)
                 FROM job j)
             ORDER BY job",
            [],
        )
    }

    /// At most `limit` rounds with slots that closed after the round `after` did, the newest of them, in the order in
    /// which they closed: the columns of the view `rounds`. A round with a smaller number may have closed later.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn closed_after(&self, after: i64, limit: u32) -> Result<Answer, StoreError> {
        self.ask(
            "SELECT * FROM rounds WHERE round_id IN (
                 SELECT round_id FROM round
                 WHERE ok IS NOT NULL AND round_id > ?1 - ?3
                 AND (round_id > ?1 OR finished_at > (SELECT finished_at FROM round WHERE round_id = ?1))
                 ORDER BY round_id DESC LIMIT ?2)
             ORDER BY finished_at, round_id",
            (after, limit, OVERTAKEN),
        )
    }
}
