//! How one endpoint did at a time: its slot, what its failure left to look at, and since when it is so.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::error::StoreError;
use super::read::{Reader, is_interrupt};
use crate::model::{Answer, Evidence, HostPause, Phases, RoundId, Timestamp};

/// A round, as people look for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundAt {
    /// Its number.
    pub id: RoundId,
    /// The instant that the cadence asked for.
    pub due: Timestamp,
}

/// One endpoint at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointStatus {
    /// Where it points, without secrets, as last configured.
    pub url: String,
    /// Its slot in the last closed round that has one.
    pub slot: StoredSlot,
    /// The job's last closed round: a later one than the slot's when the endpoint has left the config.
    pub newest: RoundAt,
    /// Since when it is so; `None` when it was never tried to the end.
    pub run: Option<Run>,
    /// Its last failure, when `slot` is none: before it succeeded, or was cancelled.
    pub last_failure: Option<StoredSlot>,
}

/// A slot as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSlot {
    /// Its round.
    pub round: RoundAt,
    /// What became of the round: `complete` or `interrupted`.
    pub round_status: String,
    /// Its place in the vector, from 0.
    pub position: u32,
    /// When it ended.
    pub fetched_at: Timestamp,
    /// How it ended; a word that [`crate::model::Outcome`] does not know may have been stored by another version.
    pub outcome: String,
    /// The status of the last attempt, when its answer came that far.
    pub http_status: Option<u16>,
    /// Requests made.
    pub attempts: u32,
    /// From the first attempt's start to the end of the slot.
    pub elapsed: Duration,
    /// More about how it ended.
    pub detail: Option<String>,
    /// How far the last attempt came, when it failed.
    pub phases: Option<Phases>,
    /// What the last attempt sent and got.
    pub evidence: Option<StoredEvidence>,
    /// Whether there was evidence that had to make room for newer.
    pub evidence_dropped: bool,
}

impl StoredSlot {
    /// Whether it has a document.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.outcome == "ok"
    }

    /// Whether it says nothing about the endpoint, because the daemon was stopping.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.outcome == "cancelled"
    }
}

/// Evidence as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvidence {
    /// When it was kept: later evidence that is equal but for numbers and dates is not kept again.
    pub first_seen: Timestamp,
    /// The evidence.
    pub evidence: Evidence,
}

/// Consecutive rounds in which an endpoint always succeeded, or never did. Rounds without its slot (the ledger, killed
/// ones) and with a cancelled one do not interrupt it and are not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Whether it succeeded.
    pub ok: bool,
    /// The first of the rounds.
    pub first: RoundAt,
    /// How many they are.
    pub rounds: u64,
    /// The last round before them, which ended the other way; `None` when there is none.
    pub before: Option<RoundAt>,
    /// Whether all were counted: when the deadline came first, there may be earlier ones.
    pub whole: bool,
}

/// The keys of an endpoint.
struct Keys {
    job_id: i64,
    endpoint_id: i64,
}

impl Reader {
    /// The names of all endpoints that `job` ever had.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn endpoints(&self, job: &str) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT name FROM endpoint WHERE job_id = (SELECT job_id FROM job WHERE name = ?1) ORDER BY name";
        self.in_time(|| self.connection.prepare(sql)?.query_map([job], |row| row.get(0))?.collect())
    }

    /// The name of the endpoint at `position` (from 0) of the newest round of `job`.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn endpoint_at(&self, job: &str, position: u32) -> Result<Option<String>, StoreError> {
        let sql = "SELECT endpoint.name FROM layout_slot JOIN endpoint USING (endpoint_id)
             WHERE position = ?2 AND layout_id = (
                 SELECT layout_id FROM round
                 WHERE job_id = (SELECT job_id FROM job WHERE name = ?1) AND layout_id IS NOT NULL
                 ORDER BY round_id DESC LIMIT 1)";
        self.in_time(|| self.connection.query_row(sql, (job, position), |row| row.get(0)).optional())
    }

    /// Until when `host` (with its port) asked to be left alone, if it did.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn pause_of(&self, host: &str) -> Result<Option<HostPause>, StoreError> {
        self.in_time(|| {
            let until = self.connection.query_row("SELECT until FROM host_pause WHERE host = ?1", [host], |row| {
                Ok(Timestamp::from_micros(row.get(0)?))
            });
            Ok(until.optional()?.map(|until| HostPause { host: host.to_owned(), until }))
        })
    }

    /// How `endpoint` of `job` did in the last round that is due at `at` or before, or in the newest, and since when.
    /// `None` when no such round has a slot of it. Newest is the largest number, whatever the clock said.
    ///
    /// # Errors
    /// When the file cannot be read in time. Should only counting take too long, the answer says so.
    pub fn status(
        &self,
        job: &str,
        endpoint: &str,
        at: Option<Timestamp>,
    ) -> Result<Option<EndpointStatus>, StoreError> {
        self.in_time(|| {
            // What is committed meanwhile is not seen.
            let _snapshot = self.connection.unchecked_transaction()?;
            let keys = self.connection.query_row(
                "SELECT j.job_id, e.endpoint_id, e.url FROM job j JOIN endpoint e ON e.job_id = j.job_id
                 WHERE j.name = ?1 AND e.name = ?2",
                [job, endpoint],
                |row| Ok((Keys { job_id: row.get(0)?, endpoint_id: row.get(1)? }, row.get(2)?)),
            );
            match keys.optional()? {
                Some((keys, url)) => keys.status(&self.connection, url, at.map_or(i64::MAX, Timestamp::as_micros)),
                None => Ok(None),
            }
        })
    }
}

impl Keys {
    fn status(&self, connection: &Connection, url: String, at: i64) -> rusqlite::Result<Option<EndpointStatus>> {
        let Some(slot) = self.newest_slot(connection, RoundId(i64::MAX), at, false)? else { return Ok(None) };
        let newest = self.newest_round(connection, at)?;
        let run = self.run(connection, slot.round.id)?;
        let failed_at = match run {
            _ if !slot.is_ok() && !slot.is_cancelled() => None,
            // The run's own newest, below a slot that was cancelled.
            Some(Run { ok: false, .. }) => Some(slot.round.id),
            Some(Run { ok: true, before, .. }) => before.map(|round| round.id),
            None => None,
        };
        let last_failure = match failed_at {
            Some(round) => self.newest_slot(connection, round, i64::MAX, true)?,
            None => None,
        };
        Ok(Some(EndpointStatus { url, slot, newest, run, last_failure }))
    }

    /// The endpoint's slot in the newest round that has one, up to number `upto` and due `at`; a failed one when
    /// `failed` says so.
    fn newest_slot(
        &self,
        connection: &Connection,
        upto: RoundId,
        at: i64,
        failed: bool,
    ) -> rusqlite::Result<Option<StoredSlot>> {
        // As in the view observations: each slot is a seek by its key. Only closed rounds have slots.
        let sql =
            "SELECT r.round_id, r.due_at, r.status AS round_status, l.position, s.fetched_at, s.outcome, s.http_status,
                 s.attempts, s.elapsed_us, s.detail, s.phases, s.sent_id, s.evidence_id, q.request, v.status, v.headers,
                 v.body, v.cut, v.guess, coalesce(v.first_seen, q.first_seen) AS first_seen
             FROM round r
             CROSS JOIN layout_slot l ON l.layout_id = r.layout_id AND l.endpoint_id = :endpoint
             CROSS JOIN slot s ON s.slot_id = r.round_id << 20 | l.position
             LEFT JOIN sent q ON q.sent_id = s.sent_id
             LEFT JOIN evidence v ON v.evidence_id = s.evidence_id
             WHERE r.job_id = :job AND r.round_id <= :upto AND r.due_at <= :at
                 AND NOT (:failed AND s.outcome IN ('ok', 'cancelled'))
             ORDER BY r.round_id DESC LIMIT 1";
        let keys = named_params! {
            ":job": self.job_id, ":endpoint": self.endpoint_id, ":upto": upto.0, ":at": at, ":failed": failed
        };
        connection.prepare(sql)?.query_row(keys, stored_slot).optional()
    }

    fn newest_round(&self, connection: &Connection, at: i64) -> rusqlite::Result<RoundAt> {
        connection.query_row(
            "SELECT round_id, due_at FROM round WHERE job_id = ?1 AND ok IS NOT NULL AND due_at <= ?2
             ORDER BY round_id DESC LIMIT 1",
            [self.job_id, at],
            round_at,
        )
    }

    /// Walks down from round `from` for as long as the endpoint did the same.
    fn run(&self, connection: &Connection, from: RoundId) -> rusqlite::Result<Option<Run>> {
        // Where nothing failed no slot is looked at: of an endpoint that is well, only the rounds are read.
        let mut statement = connection.prepare(
            "SELECT r.round_id, r.due_at, CASE r.failed WHEN 0 THEN 'ok' ELSE
                 (SELECT s.outcome FROM slot s WHERE s.slot_id = r.round_id << 20 | l.position) END AS outcome
             FROM round r
             CROSS JOIN layout_slot l ON l.layout_id = r.layout_id AND l.endpoint_id = :endpoint
             WHERE r.job_id = :job AND r.round_id <= :from AND r.ok IS NOT NULL
             ORDER BY r.round_id DESC",
        )?;
        let keys = named_params! { ":job": self.job_id, ":endpoint": self.endpoint_id, ":from": from.0 };
        let mut rows = statement.query(keys)?;
        let mut run: Option<Run> = None;
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => return Ok(run),
                Err(error) if is_interrupt(&error) => return Ok(run.map(|run| Run { whole: false, ..run })),
                Err(error) => return Err(error),
            };
            let outcome = row.get_ref("outcome")?.as_str_or_null()?;
            let Some(outcome) = outcome.filter(|&outcome| outcome != "cancelled") else { continue };
            let (ok, round) = (outcome == "ok", round_at(row)?);
            match &mut run {
                None => run = Some(Run { ok, first: round, rounds: 1, before: None, whole: true }),
                Some(run) if run.ok == ok => (run.first, run.rounds) = (round, run.rounds + 1),
                Some(run) => return Ok(Some(Run { before: Some(round), ..*run })),
            }
        }
    }
}

fn round_at(row: &Row<'_>) -> rusqlite::Result<RoundAt> {
    Ok(RoundAt { id: RoundId(row.get("round_id")?), due: Timestamp::from_micros(row.get("due_at")?) })
}

fn stored_slot(row: &Row<'_>) -> rusqlite::Result<StoredSlot> {
    let phases: Option<String> = row.get("phases")?;
    let evidence = stored_evidence(row)?;
    let points_at = |key: &str| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(key)?.is_some());
    let answer_dropped = points_at("evidence_id")? && !points_at("status")?;
    let dropped = answer_dropped || (evidence.is_none() && points_at("sent_id")?);
    Ok(StoredSlot {
        round: round_at(row)?,
        round_status: row.get("round_status")?,
        position: row.get("position")?,
        fetched_at: Timestamp::from_micros(row.get("fetched_at")?),
        outcome: row.get("outcome")?,
        http_status: row.get("http_status")?,
        attempts: row.get("attempts")?,
        elapsed: Duration::from_micros(u64::try_from(row.get::<_, i64>("elapsed_us")?).unwrap_or_default()),
        detail: row.get("detail")?,
        // What another version wrote and this one does not understand is as if it were not there.
        phases: phases.and_then(|text| serde_json::from_str(&text).ok()),
        evidence_dropped: dropped,
        evidence,
    })
}

fn stored_evidence(row: &Row<'_>) -> rusqlite::Result<Option<StoredEvidence>> {
    let Some(first_seen) = row.get::<_, Option<i64>>("first_seen")? else { return Ok(None) };
    let answer = match row.get::<_, Option<u16>>("status")? {
        Some(status) => Some(Answer {
            status,
            headers: row.get::<_, Option<String>>("headers")?.unwrap_or_default(),
            body: row.get::<_, Option<String>>("body")?.unwrap_or_default(),
            cut: row.get::<_, Option<bool>>("cut")?.unwrap_or_default(),
        }),
        None => None,
    };
    let guess = row.get::<_, Option<String>>("guess")?.and_then(|words| words.parse().ok());
    let sent = row.get::<_, Option<String>>("request")?.unwrap_or_default();
    let evidence = Evidence { sent, answer, guess };
    Ok(Some(StoredEvidence { first_seen: Timestamp::from_micros(first_seen), evidence }))
}
