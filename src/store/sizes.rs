//! How large documents are now, for those who plan.

use super::error::StoreError;
use super::read::Reader;
use super::slot_key::SLOTS_OF_ROUND;

/// What a slot takes beside its document, in bytes: as measured.
pub const SLOT_BYTES: u64 = 40;
/// What a round takes beside its slots, in bytes: as measured.
pub const ROUND_BYTES: u64 = 95;

/// What a rollup, an endpoint's hour, takes beside its latencies, in bytes: as measured.
const ROLLUP_BYTES: u64 = 90;
/// What a latency adds to it, in bytes, and from how many on the histogram hardly grows: as measured where two of three
/// are within 30 % of the median.
const LATENCY_BYTES: u64 = 3;
const MOST_LATENCIES: u64 = 300;

/// The bytes of an endpoint's rollups when its job has so many rounds in so many hours.
#[must_use]
pub fn rollup_bytes(rounds: u64, hours: u64) -> u64 {
    let latencies = (rounds / hours.max(1)).min(MOST_LATENCIES);
    hours.saturating_mul(ROLLUP_BYTES + latencies * LATENCY_BYTES)
}

impl Reader {
    /// The bytes of the documents in the last complete round of `job` that has any, and how many there are; `None` before
    /// there is one.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn document_bytes(&self, job: &str) -> Result<Option<(u64, u64)>, StoreError> {
        self.in_time(|| {
            let mut statement = self.connection.prepare_cached(&format!(
                "SELECT sum(octet_length(s.body)), count(s.body)
                 FROM (SELECT round_id FROM round WHERE job_id = (SELECT job_id FROM job WHERE name = ?1)
                           AND status = 'complete' AND ok > 0
                       ORDER BY round_id DESC LIMIT 1) r
                 CROSS JOIN slot s ON {SLOTS_OF_ROUND}"
            ))?;
            statement.query_row([job], |row| {
                let bytes = row.get::<_, Option<i64>>(0)?;
                let documents = row.get::<_, i64>(1)?.unsigned_abs();
                Ok(bytes.map(|bytes| (bytes.unsigned_abs(), documents)))
            })
        })
    }
}
