//! Observations between two moments, streamed in the order of their dues: the only place that knows how slots are kept.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::ControlFlow;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, ToSql};

use crate::model::{RoundId, Timestamp};
use crate::store::error::StoreError;
use crate::store::read::Reader;

/// A stretch of dues: from `from` to before `until`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The first due that belongs to it; `None` for the beginning of all.
    pub from: Option<Timestamp>,
    /// The first due after it that does not; `None` for the end of all.
    pub until: Option<Timestamp>,
}

/// Which observations are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'a> {
    /// The job.
    pub job: &'a str,
    /// One endpoint, or all.
    pub endpoint: Option<&'a str>,
    /// The dues.
    pub span: Span,
    /// Only what comes after this place, where an earlier walk stopped.
    pub after: Option<Place>,
}

/// Where an observation stands in the order of all of its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Its round's due.
    pub due: Timestamp,
    /// Its round.
    pub round: RoundId,
    /// Its position in the vector, from 0.
    pub position: u32,
}

/// One slot, borrowed for the time of a visit.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// Where it stands.
    pub place: Place,
    /// The endpoint's name.
    pub endpoint: &'a str,
    /// When the slot ended.
    pub fetched_at: Timestamp,
    /// `ok`, or why there is no document.
    pub outcome: &'a str,
    /// The status of the last attempt, when its answer came that far.
    pub http_status: Option<u16>,
    /// Requests made.
    pub attempts: u32,
    /// From the first attempt's start to the end of the slot.
    pub elapsed: Duration,
    /// The document as sent, exactly when the outcome is `ok`.
    pub body: Option<&'a str>,
    /// More about how it ended.
    pub detail: Option<&'a str>,
}

/// What figures are made of: an observation without what is said about it, which is faster to read.
#[derive(Clone, Copy, Debug)]
pub struct DocumentAt<'a> {
    /// Where it stands.
    pub place: Place,
    /// The document as sent; `None` when the slot failed.
    pub body: Option<&'a str>,
}

/// Dues of a job that left no slots: an entry of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first due.
    pub first_due: Timestamp,
    /// The last due; the same unless it stands for several.
    pub last_due: Timestamp,
    /// `skipped`, `missed` or `interrupted`.
    pub status: String,
    /// Why.
    pub cause: Option<String>,
    /// How many dues it stands for.
    pub covers: u64,
}

/// Columns of every walk, in this order; those of an observation follow. Each costs time in each row.
const PLACE_AND_BODY: &str = "r.due_at, r.round_id, s.position, s.body";
const OF_OBSERVATION: &str =
    ", r.layout_id, s.fetched_at, s.outcome, s.http_status, s.attempts, s.elapsed_us, s.detail";

/// The keys of a selection.
struct Keys {
    job: i64,
    endpoint: Option<i64>,
}

impl Reader {
    /// Visits the observations of `wanted` in the order of dues (those with one due by number), then positions, until
    /// there are no more or `visit` breaks; then it answers the place of the last one, to go on from there.
    ///
    /// A job or endpoint that is not known has no observations: ask [`Reader::jobs`] and [`Reader::endpoints`] before.
    /// While it runs it holds a read transaction, so `visit` should not wait for anybody: it collects so much that it
    /// can be held, breaks, and the walk goes on when that is handed out. What is committed meanwhile may be seen.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn observations(
        &self,
        wanted: &Selection<'_>,
        mut visit: impl FnMut(&Observation<'_>) -> ControlFlow<()>,
    ) -> Result<Option<Place>, StoreError> {
        let mut names = EndpointNames::default();
        self.walk(wanted, OF_OBSERVATION, |connection, place, row| {
            let names = match wanted.endpoint {
                Some(_) => None,
                None => Some(names.of(connection, row.get(4)?)?),
            };
            let by_layout = names.and_then(|names| names.get(usize::try_from(place.position).ok()?));
            let endpoint = wanted.endpoint.or(by_layout.map(String::as_str)).unwrap_or_default();
            Ok(visit(&observation(row, place, endpoint)?))
        })
    }

    /// The same for documents alone.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn documents(
        &self,
        wanted: &Selection<'_>,
        mut visit: impl FnMut(DocumentAt<'_>) -> ControlFlow<()>,
    ) -> Result<Option<Place>, StoreError> {
        self.walk(wanted, "", |_, place, row| Ok(visit(DocumentAt { place, body: body(row)? })))
    }

    /// How many slots the rounds of `job` in `span` have.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn slot_count(&self, job: &str, span: Span) -> Result<u64, StoreError> {
        let sql = "SELECT coalesce(sum(ok + failed), 0) FROM round
             WHERE job_id = (SELECT job_id FROM job WHERE name = ?1) AND due_at >= ?2 AND due_at < ?3";
        let [from, until] = span.bounds();
        let count = |row: &Row<'_>| Ok(row.get::<_, i64>(0)?.unsigned_abs());
        self.in_time(|| self.connection.query_row(sql, (job, from, until), count))
    }

    /// The ledger of `job` in `span`: at most `most` entries, in the order of dues.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn gaps(&self, job: &str, span: Span, most: u32) -> Result<Vec<Gap>, StoreError> {
        let sql =
            "SELECT due_at, coalesce(CASE status WHEN 'missed' THEN finished_at END, due_at), status, cause, covers
             FROM round WHERE job_id = (SELECT job_id FROM job WHERE name = ?1) AND ok IS NULL AND status <> 'running'
                 AND due_at < ?3 AND coalesce(CASE status WHEN 'missed' THEN finished_at END, due_at) >= ?2
             ORDER BY due_at, round_id LIMIT ?4";
        let [from, until] = span.bounds();
        self.in_time(|| {
            let mut statement = self.connection.prepare_cached(sql)?;
            let gap = |row: &Row<'_>| {
                Ok(Gap {
                    first_due: Timestamp::from_micros(row.get(0)?),
                    last_due: Timestamp::from_micros(row.get(1)?),
                    status: row.get(2)?,
                    cause: row.get(3)?,
                    covers: row.get::<_, i64>(4)?.unsigned_abs(),
                })
            };
            statement.query_map((job, from, until, most), gap)?.collect()
        })
    }

    fn walk(
        &self,
        wanted: &Selection<'_>,
        columns: &str,
        mut visit: impl FnMut(&Connection, Place, &Row<'_>) -> rusqlite::Result<ControlFlow<()>>,
    ) -> Result<Option<Place>, StoreError> {
        self.in_time(|| {
            let Some(keys) = keys(&self.connection, wanted.job, wanted.endpoint)? else { return Ok(None) };
            let bounds = Bounds::new(wanted);
            let sql = sql(columns, keys.endpoint.is_some(), bounds.behind.is_some());
            let mut statement = self.connection.prepare_cached(&sql)?;
            let mut rows = statement.query(&*bounds.named(&keys))?;
            while let Some(row) = rows.next()? {
                let place = place(row)?;
                if visit(&self.connection, place, row)?.is_break() {
                    return Ok(Some(place));
                }
            }
            Ok(None)
        })
    }
}

impl Span {
    /// Whether a due belongs to it.
    #[must_use]
    pub fn contains(&self, due: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= due) && self.until.is_none_or(|until| due < until)
    }

    fn bounds(self) -> [i64; 2] {
        [self.from.map_or(i64::MIN, Timestamp::as_micros), self.until.map_or(i64::MAX, Timestamp::as_micros)]
    }
}

/// The round drives, each slot is then a seek by its key; without CROSS JOIN the planner would scan all slots.
fn sql(columns: &str, one_endpoint: bool, goes_on: bool) -> String {
    // Of one endpoint a round has one slot: to be told so spares the sorter.
    let (join, within) = if one_endpoint {
        (
            "CROSS JOIN layout_slot l ON l.endpoint_id = :endpoint AND l.layout_id = r.layout_id
         CROSS JOIN slot s ON s.round_id = r.round_id AND s.position = l.position",
            "",
        )
    } else {
        ("CROSS JOIN slot s ON s.round_id = r.round_id", ", s.position")
    };
    // Only where it is needed: it is looked at in each row.
    let behind = if goes_on { "AND (r.due_at > :from OR (r.round_id, s.position) > (:round, :position))" } else { "" };
    format!(
        "SELECT {PLACE_AND_BODY}{columns} FROM round r {join}
         WHERE r.job_id = :job AND r.due_at >= :from AND r.due_at < :until {behind}
         ORDER BY r.due_at, r.round_id{within}"
    )
}

/// Where a walk begins and ends.
struct Bounds {
    from: i64,
    until: i64,
    /// The round and position, of those that were due at `from`, behind which it begins.
    behind: Option<(i64, i64)>,
}

impl Bounds {
    fn new(wanted: &Selection<'_>) -> Self {
        let [from, until] = wanted.span.bounds();
        match wanted.after.filter(|after| after.due.as_micros() >= from) {
            Some(after) => {
                let behind = Some((after.round.0, i64::from(after.position)));
                Self { from: after.due.as_micros(), until, behind }
            }
            None => Self { from, until, behind: None },
        }
    }

    fn named<'b>(&'b self, keys: &'b Keys) -> Vec<(&'static str, &'b dyn ToSql)> {
        let mut named: Vec<(&str, &dyn ToSql)> =
            vec![(":job", &keys.job), (":from", &self.from), (":until", &self.until)];
        named.extend(keys.endpoint.iter().map(|endpoint| (":endpoint", endpoint as &dyn ToSql)));
        if let Some((round, position)) = &self.behind {
            named.extend([(":round", round as &dyn ToSql), (":position", position)]);
        }
        named
    }
}

fn keys(connection: &Connection, job: &str, endpoint: Option<&str>) -> rusqlite::Result<Option<Keys>> {
    let known = connection.query_row("SELECT job_id FROM job WHERE name = ?1", [job], |row| row.get(0)).optional()?;
    let (Some(job), Some(endpoint)) = (known, endpoint) else {
        return Ok(known.map(|job| Keys { job, endpoint: None }));
    };
    let sql = "SELECT endpoint_id FROM endpoint WHERE job_id = ?1 AND name = ?2";
    let endpoint = connection.query_row(sql, (job, endpoint), |row| row.get(0)).optional()?;
    Ok(endpoint.map(|endpoint| Keys { job, endpoint: Some(endpoint) }))
}

fn place(row: &Row<'_>) -> rusqlite::Result<Place> {
    Ok(Place { due: Timestamp::from_micros(row.get(0)?), round: RoundId(row.get(1)?), position: row.get(2)? })
}

fn body<'r>(row: &'r Row<'_>) -> rusqlite::Result<Option<&'r str>> {
    Ok(row.get_ref(3)?.as_str_or_null()?)
}

fn observation<'r>(row: &'r Row<'_>, place: Place, endpoint: &'r str) -> rusqlite::Result<Observation<'r>> {
    Ok(Observation {
        place,
        endpoint,
        body: body(row)?,
        fetched_at: Timestamp::from_micros(row.get(5)?),
        outcome: row.get_ref(6)?.as_str()?,
        http_status: row.get(7)?,
        attempts: row.get(8)?,
        elapsed: Duration::from_micros(u64::try_from(row.get::<_, i64>(9)?).unwrap_or_default()),
        detail: row.get_ref(10)?.as_str_or_null()?,
    })
}

/// The names of each layout's endpoints, read once.
#[derive(Default)]
pub(super) struct EndpointNames(HashMap<i64, Vec<String>>);

impl EndpointNames {
    /// The names of a layout's endpoints, in order.
    pub(super) fn of(&mut self, connection: &Connection, layout: i64) -> rusqlite::Result<&[String]> {
        if let Entry::Vacant(unknown) = self.0.entry(layout) {
            let sql = "SELECT e.name FROM layout_slot l JOIN endpoint e USING (endpoint_id) WHERE l.layout_id = ?1
                       ORDER BY l.position";
            let mut statement = connection.prepare_cached(sql)?;
            unknown.insert(statement.query_map([layout], |row| row.get(0))?.collect::<Result<_, _>>()?);
        }
        Ok(self.0.get(&layout).map(Vec::as_slice).unwrap_or_default())
    }
}
