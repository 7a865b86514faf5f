//! How reliable endpoints were: from rollups where they are valid, from slots elsewhere, so that it is exact at any
//! moment.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use rusqlite::{Connection, params};

use super::error::StoreError;
use super::read::Reader;
pub use super::rollup::Outage;
use super::rollup::{
    Percentiles, Slots, Summary, dues_of, hour_of, pruned_before, read_rows, rounds_between, stale_hours, start_of,
};
use crate::model::Timestamp;

/// All at once: nobody waits for a part of an answer.
const WHOLE_ROUND: usize = usize::MAX;

/// How one endpoint did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uptime {
    /// Its job.
    pub job: String,
    /// Its name.
    pub endpoint: String,
    /// Its slots: `ok`, `failed`, and those that were cancelled.
    pub slots: u64,
    /// Those with a document.
    pub ok: u64,
    /// Those that failed, the ones in `backoff` too. What was cancelled says nothing about the endpoint.
    pub failed: u64,
    /// The slots by their outcomes' words.
    pub outcomes: BTreeMap<String, u64>,
    /// The longest run of failures. It counts from one due to another, whether there were rounds between them or not.
    pub longest_outage: Option<Outage>,
    /// From the first attempt's start to the end, of those that ended as ok.
    pub latency: Option<Percentiles>,
    /// The first and the last due that were not cancelled.
    pub dues: Option<(Timestamp, Timestamp)>,
}

impl Uptime {
    /// The part of what was tried that is ok, from 0 to 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share for people, of far fewer than 2^52")]
    pub fn share_ok(&self) -> Option<f64> {
        let tried = self.ok + self.failed;
        (tried > 0).then(|| self.ok as f64 / tried as f64)
    }
}

impl Reader {
    /// How each endpoint of `job`, or of all jobs, did in the rounds that were due in `dues`: by job, and in each in the
    /// order of its newest layout. Of an hour that was pruned the whole counts when a part of it is asked for.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn uptime(&self, job: Option<&str>, dues: &Range<Timestamp>) -> Result<Vec<Uptime>, StoreError> {
        self.in_time(|| {
            // One moment of the file for all that is read.
            let transaction = self.connection.unchecked_transaction()?;
            let mut found = Vec::new();
            for (job_id, job) in jobs(&transaction, job)? {
                let summaries = summaries(&transaction, job_id, dues)?;
                for (endpoint_id, endpoint) in endpoints(&transaction, job_id)? {
                    let Some(summary) = summaries.get(&endpoint_id) else { continue };
                    found.push(uptime(job.clone(), endpoint, summary));
                }
            }
            Ok(found)
        })
    }
}

fn uptime(job: String, endpoint: String, summary: &Summary) -> Uptime {
    Uptime {
        job,
        endpoint,
        slots: summary.slots(),
        ok: summary.ok(),
        failed: summary.failed(),
        outcomes: summary.outcomes.clone(),
        longest_outage: summary.longest_outage(),
        latency: summary.latencies.percentiles(),
        dues: summary.first_due.zip(summary.last_due),
    }
}

pub(super) fn jobs(connection: &Connection, job: Option<&str>) -> rusqlite::Result<Vec<(i64, String)>> {
    let mut statement =
        connection.prepare_cached("SELECT job_id, name FROM job WHERE ?1 IS NULL OR name = ?1 ORDER BY name")?;
    statement.query_map([job], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// The endpoints that a job ever had; those that left it come last.
fn endpoints(connection: &Connection, job_id: i64) -> rusqlite::Result<Vec<(i64, String)>> {
    let mut statement = connection.prepare_cached(
        "SELECT e.endpoint_id, e.name FROM endpoint e LEFT JOIN layout_slot l ON l.endpoint_id = e.endpoint_id
             AND l.layout_id = (SELECT layout_id FROM round WHERE job_id = ?1 AND layout_id IS NOT NULL
                                ORDER BY round_id DESC LIMIT 1)
         WHERE e.job_id = ?1 ORDER BY l.position IS NULL, l.position, e.name",
    )?;
    statement.query_map([job_id], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// The endpoints' summaries of what was due in `dues`.
fn summaries(connection: &Connection, job_id: i64, dues: &Range<Timestamp>) -> rusqlite::Result<HashMap<i64, Summary>> {
    let mut parts = Parts { connection, job_id, dues, slots: Slots::default() };
    let pruned = pruned_before(connection, job_id)?.unwrap_or(i64::MIN);
    let Some(hours) = hours_with_anything(connection, job_id, dues)? else { return Ok(HashMap::new()) };
    let mut from_slots = stale_hours(connection, job_id, &hours)?;
    // The hours that are asked for in part.
    for edge in [dues.start, dues.end] {
        let hour = hour_of(edge);
        if start_of(hour) != edge && hour >= pruned && hours.contains(&hour) {
            from_slots.push(hour);
        }
    }
    from_slots.sort_unstable();
    from_slots.dedup();
    let mut next = hours.start;
    for hour in from_slots {
        parts.add_rollups(next..hour)?;
        parts.add_slots(dues_of(hour))?;
        next = hour + 1;
    }
    parts.add_rollups(next..hours.end)?;
    Ok(parts.slots.summaries)
}

/// The hours of `dues` in which a job has rollups or stale hours, from the first to behind the last.
fn hours_with_anything(
    connection: &Connection,
    job_id: i64,
    dues: &Range<Timestamp>,
) -> rusqlite::Result<Option<Range<i64>>> {
    let last = hour_of(dues.end) + i64::from(start_of(hour_of(dues.end)) != dues.end);
    let mut statement = connection.prepare_cached(
        "SELECT min(hour), max(hour) FROM (
             SELECT min(hour) AS hour FROM rollup WHERE job_id = ?1 AND hour >= ?2 AND hour < ?3
             UNION ALL SELECT max(hour) FROM rollup WHERE job_id = ?1 AND hour >= ?2 AND hour < ?3
             UNION ALL SELECT min(hour) FROM rollup_stale WHERE job_id = ?1 AND hour >= ?2 AND hour < ?3
             UNION ALL SELECT max(hour) FROM rollup_stale WHERE job_id = ?1 AND hour >= ?2 AND hour < ?3)",
    )?;
    statement.query_row(params![job_id, hour_of(dues.start), last], |row| {
        let found = row.get::<_, Option<i64>>(0)?.zip(row.get::<_, Option<i64>>(1)?);
        Ok(found.map(|(first, last)| first..last + 1))
    })
}

/// A span of dues that is put together in the order of time.
struct Parts<'a> {
    connection: &'a Connection,
    job_id: i64,
    dues: &'a Range<Timestamp>,
    /// What was added so far.
    slots: Slots,
}

impl Parts<'_> {
    fn add_rollups(&mut self, hours: Range<i64>) -> rusqlite::Result<()> {
        let summaries = &mut self.slots.summaries;
        read_rows(self.connection, self.job_id, &hours, |endpoint, summary| {
            summaries.entry(endpoint).or_default().append(&summary);
        })
    }

    fn add_slots(&mut self, dues: Range<Timestamp>) -> rusqlite::Result<()> {
        let dues = dues.start.max(self.dues.start)..dues.end.min(self.dues.end);
        for round in rounds_between(self.connection, self.job_id, &dues)? {
            self.slots.add(self.connection, round, 0, WHOLE_ROUND)?;
        }
        Ok(())
    }
}
