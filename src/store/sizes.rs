//! How large documents are now, for those who plan.

use super::error::StoreError;
use super::read::Reader;

/// What a slot takes beside its document, in bytes: as measured.
pub const SLOT_BYTES: u64 = 50;
/// What a round takes beside its slots, in bytes: as measured.
pub const ROUND_BYTES: u64 = 120;

impl Reader {
    /// The bytes of the documents in the last complete round of `job` that has any, and how many there are; `None` before
    /// there is one.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn document_bytes(&self, job: &str) -> Result<Option<(u64, u64)>, StoreError> {
        self.in_time(|| {
            let mut statement = self.connection.prepare_cached(
                "SELECT sum(octet_length(s.body)), count(s.body) FROM slot s
                 WHERE s.round_id = (SELECT r.round_id FROM round r
                                     WHERE r.job_id = (SELECT job_id FROM job WHERE name = ?1)
                                         AND r.status = 'complete' AND r.ok > 0
                                     ORDER BY r.round_id DESC LIMIT 1)",
            )?;
            statement.query_row([job], |row| {
                let bytes = row.get::<_, Option<i64>>(0)?;
                let documents = row.get::<_, i64>(1)?.unsigned_abs();
                Ok(bytes.map(|bytes| (bytes.unsigned_abs(), documents)))
            })
        })
    }
}
