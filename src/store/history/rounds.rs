//! Single rounds and their slots, the newest ones, the ledger, and what closed since a listener looked last.

use rusqlite::Params;

use super::pages::{COLUMNS, StoredRound, stored_round};
use crate::model::RoundId;
use crate::store::error::StoreError;
use crate::store::read::{Answer, Reader};

/// So many numbers before the last one that a listener knows may still have closed after it.
const OVERTAKEN: i64 = 1_000;

impl Reader {
    /// At most `most` entries of the ledger (skipped, missed, interrupted) of a job or of all before the number
    /// `before`, the newest first.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn ledger_page(&self, job: Option<&str>, before: RoundId, most: u32) -> Result<Vec<StoredRound>, StoreError> {
        let of_job = of_job(job);
        let which = format!(
            "{of_job} AND r.round_id < ?2 AND r.status IN ('skipped', 'missed', 'interrupted')
             ORDER BY r.round_id DESC LIMIT ?3"
        );
        self.stored(&which, (job, before.0, most))
    }

    /// One round or entry of the ledger.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn round(&self, round: RoundId) -> Result<Option<StoredRound>, StoreError> {
        Ok(self.stored("r.round_id = ?1", [round.0])?.pop())
    }

    /// The last complete round of `job`.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn last_complete(&self, job: &str) -> Result<Option<StoredRound>, StoreError> {
        let which = "r.job_id = (SELECT job_id FROM job WHERE name = ?1) AND r.status = 'complete'
                     ORDER BY r.round_id DESC LIMIT 1";
        Ok(self.stored(which, [job])?.pop())
    }

    /// The newest round of each job, whatever became of it.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn newest_rounds(&self) -> Result<Vec<StoredRound>, StoreError> {
        let which = "r.round_id IN (SELECT (SELECT n.round_id FROM round n
                                            WHERE n.job_id = j.job_id AND n.layout_id IS NOT NULL
                                            ORDER BY n.round_id DESC LIMIT 1) FROM job j)";
        self.stored(which, [])
    }

    /// The newest `most` rounds with slots, of `job` or of all, of those that closed after the round `after` did, in the
    /// order in which they closed. A round with a smaller number may have closed later, and one with a greater number
    /// before it: then it is among them as well.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn closed_after(&self, job: Option<&str>, after: RoundId, most: u32) -> Result<Vec<StoredRound>, StoreError> {
        let of_job = of_job(job);
        let which = format!(
            "{of_job} AND r.ok IS NOT NULL AND r.round_id > ?2 - ?4
             AND (r.round_id > ?2 OR r.finished_at > (SELECT finished_at FROM round WHERE round_id = ?2))
             ORDER BY r.round_id DESC LIMIT ?3"
        );
        let mut rounds = self.stored(&which, (job, after.0, most, OVERTAKEN))?;
        rounds.sort_by_key(|round| (round.finished, round.id));
        Ok(rounds)
    }

    /// At most `limit` slots of a round from `position` on, in order: the columns of the view `observations`.
    ///
    /// # Errors
    /// When the file cannot be read in time, or the answer is larger than this reader's may be.
    pub fn slots(&self, round: RoundId, position: u32, limit: u32) -> Result<Answer, StoreError> {
        self.ask(
            "SELECT * FROM observations WHERE round_id = ?1 AND position >= ?2 ORDER BY position LIMIT ?3",
            (round.0, position, limit),
        )
    }

    fn stored(&self, which: &str, params: impl Params) -> Result<Vec<StoredRound>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM round r CROSS JOIN job j ON j.job_id = r.job_id WHERE {which}");
        self.in_time(|| self.connection.prepare_cached(&sql)?.query_map(params, stored_round)?.collect())
    }
}

/// What finds the rounds of the job ?1 in an index, or those of all when it is NULL.
fn of_job(job: Option<&str>) -> &'static str {
    match job {
        Some(_) => "r.job_id = (SELECT job_id FROM job WHERE name = ?1)",
        None => "?1 IS NULL",
    }
}
