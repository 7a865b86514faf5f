//! Observations between two moments, streamed in the order of their dues: the only place that knows how slots are kept.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, Row};

use crate::model::{RoundId, Timestamp};
use crate::store::error::StoreError;
use crate::store::read::{Reader, interrupt};
use crate::store::slot_key::{slot_id, slot_ids};

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
    /// Whether there were rounds without its endpoint since the one before it, where only one endpoint is wanted.
    pub after_absence: bool,
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
const POSITION_AND_BODY: &str = "s.position, s.body";
const OF_OBSERVATION: &str = ", s.fetched_at, s.outcome, s.http_status, s.attempts, s.elapsed_us, s.detail";

/// What every walk asks of a round.
const ROUND: &str = "r.due_at, r.round_id, r.layout_id";
/// Those of job ?1 that are due from ?2 to before ?3; of those at ?2 itself from number ?4 on. What is in the
/// ledger has no layout.
const WANTED_ROUNDS: &str =
    "WHERE r.job_id = (SELECT job_id FROM job WHERE name = ?1) AND r.due_at >= ?2 AND r.due_at < ?3
     AND (r.due_at > ?2 OR r.round_id >= ?4) AND r.layout_id IS NOT NULL
     ORDER BY r.due_at, r.round_id";

/// Looks at the time. A visit may take long, a jq expression half a second, and SQLite looks after many rows only; most take
/// less than a look, so these are few while they do.
struct Looks {
    until: Option<Instant>,
    last: Instant,
    skipped: u32,
    skip: u32,
}

impl Looks {
    const MOST_SKIPPED: u32 = 8;
    const LONG: Duration = Duration::from_millis(10);

    fn until(until: Option<Instant>) -> Self {
        Self { until, last: Instant::now(), skipped: 0, skip: 0 }
    }

    fn is_over(&mut self) -> bool {
        if self.skipped < self.skip {
            self.skipped += 1;
            return false;
        }
        let now = Instant::now();
        self.skip = if now.duration_since(self.last) < Self::LONG { Self::MOST_SKIPPED } else { 0 };
        (self.last, self.skipped) = (now, 0);
        self.until.is_some_and(|until| now > until)
    }
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
        self.walk(wanted, OF_OBSERVATION, |place, endpoint, row, _| Ok(visit(&observation(row, place, endpoint)?)))
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
        self.walk(wanted, "", |place, _, row, after_absence| {
            Ok(visit(DocumentAt { place, body: body(row)?, after_absence }))
        })
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
        mut visit: impl FnMut(Place, &str, &Row<'_>, bool) -> rusqlite::Result<ControlFlow<()>>,
    ) -> Result<Option<Place>, StoreError> {
        let mut time = Looks::until(self.until());
        let mut visit = |place, endpoint: &str, row: &Row<'_>, after_absence| {
            let goes_on = visit(place, endpoint, row, after_absence)?;
            if goes_on.is_continue() && time.is_over() { Err(interrupt()) } else { Ok(goes_on) }
        };
        self.in_time(|| match wanted.endpoint {
            Some(endpoint) => {
                self.walk_one(wanted, columns, |place, row, after_absence| visit(place, endpoint, row, after_absence))
            }
            None => self.walk_all(wanted, columns, |place, endpoint, row| visit(place, endpoint, row, false)),
        })
    }

    /// The rounds drive, and the slots of each are one seek: a row of both at once would repeat the round in each slot.
    fn walk_all(
        &self,
        wanted: &Selection<'_>,
        columns: &str,
        mut visit: impl FnMut(Place, &str, &Row<'_>) -> rusqlite::Result<ControlFlow<()>>,
    ) -> rusqlite::Result<Option<Place>> {
        let (from, until, after) = wanted.bounds();
        let mut rounds = self.connection.prepare_cached(&format!("SELECT {ROUND} FROM round r {WANTED_ROUNDS}"))?;
        let mut slots = self.connection.prepare_cached(&format!(
            "SELECT {POSITION_AND_BODY}{columns} FROM slot s WHERE s.slot_id BETWEEN ?1 AND ?2 ORDER BY s.slot_id"
        ))?;
        let mut names = EndpointNames::default();
        let mut rounds = rounds.query((wanted.job, from, until, after.map_or(i64::MIN, |after| after.round.0)))?;
        while let Some(row) = rounds.next()? {
            let (due, round) = (Timestamp::from_micros(row.get(0)?), RoundId(row.get(1)?));
            let names = names.of(&self.connection, row.get(2)?)?;
            let (first, last) = slot_ids(round.0);
            let first = after
                .filter(|after| after.round == round)
                .map_or(first, |after| slot_id(round.0, i64::from(after.position)) + 1);
            let mut slots = slots.query((first, last))?;
            while let Some(slot) = slots.next()? {
                let place = Place { due, round, position: slot.get(0)? };
                let name = usize::try_from(place.position).ok().and_then(|position| names.get(position));
                if visit(place, name.map_or("", String::as_str), slot)?.is_break() {
                    return Ok(Some(place));
                }
            }
        }
        Ok(None)
    }

    /// The same for one endpoint, all in one statement while its position stays the same, as it does until an endpoint
    /// before it comes or goes: then another goes on from there. Looking it up in each round would cost a tenth more.
    /// `visit` is told whether there were rounds without the endpoint since it was called last.
    fn walk_one(
        &self,
        wanted: &Selection<'_>,
        columns: &str,
        mut visit: impl FnMut(Place, &Row<'_>, bool) -> rusqlite::Result<ControlFlow<()>>,
    ) -> rusqlite::Result<Option<Place>> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {POSITION_AND_BODY}{columns}, {ROUND} FROM round r
             LEFT JOIN slot s ON s.slot_id = r.round_id << 20 | ?5 {WANTED_ROUNDS}"
        ))?;
        let of_round = statement.column_count() - 3;
        let (mut from, until, after) = wanted.bounds();
        let (mut first_round, mut position) = (after.map_or(i64::MIN, |after| after.round.0), 0);
        let mut positions = Positions::new(&self.connection, wanted);
        let mut is_absent = false;
        'statement: loop {
            let mut rows = statement.query((wanted.job, from, until, first_round, position))?;
            while let Some(row) = rows.next()? {
                let (due, round) = (row.get(of_round)?, row.get(of_round + 1)?);
                match positions.of(row.get(of_round + 2)?)? {
                    None => {
                        is_absent = true;
                        continue;
                    }
                    Some(other) if other != position => {
                        (from, first_round, position) = (due, round, other);
                        continue 'statement;
                    }
                    Some(_) => {}
                }
                let place = Place { due: Timestamp::from_micros(due), round: RoundId(round), position };
                let wanted = after.is_none_or(|after| (place.due, place.round) > (after.due, after.round));
                if wanted
                    && row.get::<_, Option<u32>>(0)?.is_some()
                    && visit(place, row, std::mem::take(&mut is_absent))?.is_break()
                {
                    return Ok(Some(place));
                }
            }
            return Ok(None);
        }
    }
}

impl Selection<'_> {
    /// The first due, the one after the last, and the place behind which to begin where it is not before the first.
    fn bounds(&self) -> (i64, i64, Option<Place>) {
        let [from, until] = self.span.bounds();
        let after = self.after.filter(|after| after.due.as_micros() >= from);
        (after.map_or(from, |after| after.due.as_micros()), until, after)
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

fn body<'r>(row: &'r Row<'_>) -> rusqlite::Result<Option<&'r str>> {
    Ok(row.get_ref(1)?.as_str_or_null()?)
}

fn observation<'r>(row: &'r Row<'_>, place: Place, endpoint: &'r str) -> rusqlite::Result<Observation<'r>> {
    Ok(Observation {
        place,
        endpoint,
        body: body(row)?,
        fetched_at: Timestamp::from_micros(row.get(2)?),
        outcome: row.get_ref(3)?.as_str()?,
        http_status: row.get(4)?,
        attempts: row.get(5)?,
        elapsed: Duration::from_micros(u64::try_from(row.get::<_, i64>(6)?).unwrap_or_default()),
        detail: row.get_ref(7)?.as_str_or_null()?,
    })
}

/// Where an endpoint stands in each layout, looked up once.
struct Positions<'w> {
    connection: &'w Connection,
    wanted: &'w Selection<'w>,
    known: HashMap<i64, Option<u32>>,
}

impl<'w> Positions<'w> {
    fn new(connection: &'w Connection, wanted: &'w Selection<'w>) -> Self {
        Self { connection, wanted, known: HashMap::new() }
    }

    /// `None` when it is not in the layout.
    fn of(&mut self, layout: i64) -> rusqlite::Result<Option<u32>> {
        Ok(match self.known.entry(layout) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(unknown) => {
                let sql = "SELECT l.position FROM layout_slot l JOIN endpoint e USING (endpoint_id)
                           WHERE l.layout_id = ?1 AND e.name = ?2";
                let mut statement = self.connection.prepare_cached(sql)?;
                *unknown.insert(statement.query_row((layout, self.wanted.endpoint), |row| row.get(0)).optional()?)
            }
        })
    }
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
