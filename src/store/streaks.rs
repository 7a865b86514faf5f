//! Who fails now, and since when. Back from the newest complete round: by slots where an hour is stale, by rollups
//! elsewhere, so that a year of failures is some thousand rows. Bounded in time: what is not reached is said to be more.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::rc::Rc;
use std::time::Instant;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::rollup::{dues_of, hour_of, pruned_before, stale_hours};
use super::slot_key::slot_id;
use crate::model::{RoundId, Timestamp};

/// An endpoint that failed in the newest complete round of its job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// Its name.
    pub endpoint: String,
    /// How it failed last.
    pub outcome: String,
    /// The status of the last attempt, when its answer came that far.
    pub http_status: Option<u16>,
    /// More about how it failed.
    pub detail: Option<String>,
    /// The due of the first of the failures in a row.
    pub since: Timestamp,
    /// How many they are; what was `cancelled` neither counts nor ends them.
    pub rounds: u64,
    /// The due of the success before them; `None` when there is none, or it was not looked for so far back.
    pub last_ok: Option<Timestamp>,
    /// Whether all were counted. If not, they began earlier, and are more.
    pub whole: bool,
}

/// The endpoints that failed in round `newest` of a job, due at `due`, in the order of its layout. Streaks are followed
/// back until `until`.
pub(super) fn failing(
    connection: &Connection,
    job_id: i64,
    (newest, due): (RoundId, Timestamp),
    until: Instant,
) -> rusqlite::Result<Vec<Failing>> {
    let mut statement = connection.prepare_cached(
        "SELECT l.endpoint_id, e.name, s.outcome, s.http_status, s.detail
         FROM round r
         CROSS JOIN layout_slot l ON l.layout_id = r.layout_id
         CROSS JOIN slot s ON s.slot_id = r.round_id << 20 | l.position
         CROSS JOIN endpoint e ON e.endpoint_id = l.endpoint_id
         WHERE r.round_id = ?1 AND s.outcome NOT IN ('ok', 'cancelled') ORDER BY l.position",
    )?;
    let read = |row: &Row<'_>| {
        let (outcome, http_status, detail) = (row.get(2)?, row.get(3)?, row.get(4)?);
        let (rounds, last_ok, whole) = (0, None, true);
        Ok((
            row.get(0)?,
            Failing { endpoint: row.get(1)?, outcome, http_status, detail, since: due, rounds, last_ok, whole },
        ))
    };
    let mut found = statement.query_map([newest.0], read)?.collect::<rusqlite::Result<Vec<(i64, Failing)>>>()?;
    let open = found.iter().map(|(endpoint, _)| (*endpoint, Streak::new(due))).collect();
    let mut walk = Walk::new(connection, job_id, open, until);
    let whole = walk.go_back(due)?;
    for (endpoint, failing) in &mut found {
        let streak = walk.ended.get(endpoint).or_else(|| walk.open.get(endpoint));
        if let Some(Streak { since, rounds, last_ok }) = streak.copied() {
            (failing.since, failing.rounds, failing.last_ok) = (since, rounds, last_ok);
        }
        failing.whole = whole || walk.ended.contains_key(endpoint);
    }
    Ok(found.into_iter().map(|(_, failing)| failing).collect())
}

/// The due of the last success of each of these endpoints of a job, where there is one and it is found before `until`.
pub(super) fn last_successes(
    connection: &Connection,
    job_id: i64,
    endpoints: impl Iterator<Item = i64>,
    until: Instant,
) -> rusqlite::Result<HashMap<i64, Timestamp>> {
    let end = Timestamp::from_micros(i64::MAX);
    let open = endpoints.map(|endpoint| (endpoint, Streak::new(end))).collect();
    let mut walk = Walk::new(connection, job_id, open, until);
    walk.go_back(end)?;
    Ok(walk.ended.into_iter().filter_map(|(endpoint, streak)| Some((endpoint, streak.last_ok?))).collect())
}

/// Failures in a row, as far as they are known.
#[derive(Clone, Copy)]
struct Streak {
    since: Timestamp,
    rounds: u64,
    last_ok: Option<Timestamp>,
}

impl Streak {
    fn new(since: Timestamp) -> Self {
        Self { since, rounds: 0, last_ok: None }
    }
}

/// The way back through a job's rounds.
struct Walk<'a> {
    connection: &'a Connection,
    job_id: i64,
    /// By endpoint, the streaks that go further back.
    open: BTreeMap<i64, Streak>,
    /// Those whose beginning was found.
    ended: HashMap<i64, Streak>,
    /// By layout, where its endpoints stand.
    positions: HashMap<i64, Rc<HashMap<i64, i64>>>,
    until: Instant,
}

impl<'a> Walk<'a> {
    fn new(connection: &'a Connection, job_id: i64, open: BTreeMap<i64, Streak>, until: Instant) -> Self {
        Self { connection, job_id, open, ended: HashMap::new(), positions: HashMap::new(), until }
    }

    /// From `due` back until no streak is open. Answers whether time sufficed.
    fn go_back(&mut self, due: Timestamp) -> rusqlite::Result<bool> {
        let end = Timestamp::from_micros(due.as_micros().saturating_add(1));
        let mut above = hour_of(due) + 1;
        for stale in stale_hours(self.connection, self.job_id, &(i64::MIN..above))?.into_iter().rev() {
            if !self.rollups(stale + 1..above, end)? || !self.slots_of(stale, end)? {
                return Ok(false);
            }
            above = stale;
        }
        self.rollups(i64::MIN..above, end)
    }

    /// An hour before `end`, slot by slot.
    fn slots_of(&mut self, hour: i64, end: Timestamp) -> rusqlite::Result<bool> {
        let dues = dues_of(hour);
        self.slots(dues.start..dues.end.min(end))
    }

    /// Slot by slot.
    fn slots(&mut self, dues: Range<Timestamp>) -> rusqlite::Result<bool> {
        if self.open.is_empty() {
            return Ok(true);
        }
        let mut statement = self.connection.prepare_cached(
            "SELECT round_id, due_at, layout_id, failed FROM round
             WHERE job_id = ?1 AND due_at >= ?2 AND due_at < ?3 AND ok IS NOT NULL ORDER BY due_at DESC",
        )?;
        let mut rows = statement.query(params![self.job_id, dues.start.as_micros(), dues.end.as_micros()])?;
        while let Some(row) = rows.next()? {
            if self.open.is_empty() {
                return Ok(true);
            }
            if Instant::now() > self.until {
                return Ok(false);
            }
            let due = Timestamp::from_micros(row.get(1)?);
            self.round(row.get(0)?, due, row.get(2)?, row.get::<_, i64>(3)? == 0)?;
        }
        Ok(true)
    }

    fn round(&mut self, round: i64, due: Timestamp, layout: i64, all_ok: bool) -> rusqlite::Result<()> {
        let positions = self.positions_of(layout)?;
        let mut statement = self.connection.prepare_cached("SELECT outcome FROM slot WHERE slot_id = ?1")?;
        let mut ended = Vec::new();
        for (endpoint, streak) in &mut self.open {
            let Some(position) = positions.get(endpoint) else { continue };
            // Where nothing failed no slot is looked at.
            let outcome: Option<String> = if all_ok {
                Some("ok".to_owned())
            } else {
                statement.query_row([slot_id(round, *position)], |row| row.get(0)).optional()?
            };
            match outcome.as_deref() {
                None | Some("cancelled") => {}
                Some("ok") => {
                    streak.last_ok = Some(due);
                    ended.push(*endpoint);
                }
                Some(_) => (streak.since, streak.rounds) = (due, streak.rounds + 1),
            }
        }
        self.end(&ended);
        Ok(())
    }

    fn positions_of(&mut self, layout: i64) -> rusqlite::Result<Rc<HashMap<i64, i64>>> {
        if let Some(known) = self.positions.get(&layout) {
            return Ok(Rc::clone(known));
        }
        let mut statement =
            self.connection.prepare_cached("SELECT endpoint_id, position FROM layout_slot WHERE layout_id = ?1")?;
        let found = statement.query_map([layout], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let found: Rc<HashMap<i64, i64>> = Rc::new(found.collect::<rusqlite::Result<_>>()?);
        self.positions.insert(layout, Rc::clone(&found));
        Ok(found)
    }

    /// Hour by hour; where one has a success, or goes on behind `end`, by its slots before that.
    fn rollups(&mut self, hours: Range<i64>, end: Timestamp) -> rusqlite::Result<bool> {
        let pruned = pruned_before(self.connection, self.job_id)?.unwrap_or(i64::MIN);
        let mut before = hours.end;
        while !self.open.is_empty() {
            if Instant::now() > self.until {
                return Ok(false);
            }
            let sql = "SELECT max(hour) FROM rollup WHERE job_id = ?1 AND hour >= ?2 AND hour < ?3";
            let mut statement = self.connection.prepare_cached(sql)?;
            let next: Option<i64> = statement.query_row([self.job_id, hours.start, before], |row| row.get(0))?;
            let Some(hour) = next else { break };
            if hour >= pruned && (dues_of(hour).end > end || self.has_ok(hour)?) {
                if !self.slots_of(hour, end)? {
                    return Ok(false);
                }
            } else {
                self.add_hour(hour)?;
            }
            before = hour;
        }
        Ok(true)
    }

    /// Whether an endpoint whose streak is open succeeded in this hour.
    fn has_ok(&self, hour: i64) -> rusqlite::Result<bool> {
        let sql = "SELECT last_ok IS NOT NULL FROM rollup WHERE job_id = ?1 AND hour = ?2 AND endpoint_id = ?3";
        let mut statement = self.connection.prepare_cached(sql)?;
        for endpoint in self.open.keys() {
            let has_ok: Option<bool> =
                statement.query_row([self.job_id, hour, *endpoint], |row| row.get(0)).optional()?;
            if has_ok == Some(true) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds an hour as a whole. Where it has a success its slots are gone: how many failures came after that is not
    /// known any more, so they count as one.
    fn add_hour(&mut self, hour: i64) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(
            "SELECT failed, first_due, last_ok, failing_from FROM rollup
             WHERE job_id = ?1 AND hour = ?2 AND endpoint_id = ?3",
        )?;
        let mut ended = Vec::new();
        for (endpoint, streak) in &mut self.open {
            let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
            let found = statement.query_row([self.job_id, hour, *endpoint], read).optional()?;
            let Some((failed, first_due, last_ok, failing_from)) = found else { continue };
            let (first_due, failing_from): (Option<i64>, Option<i64>) = (first_due, failing_from);
            if let Some(last_ok) = last_ok {
                streak.last_ok = Some(Timestamp::from_micros(last_ok));
                streak.since = failing_from.map_or(streak.since, Timestamp::from_micros);
                streak.rounds += u64::from(failing_from.is_some());
                ended.push(*endpoint);
            } else if let Some(first) = first_due {
                (streak.since, streak.rounds) = (Timestamp::from_micros(first), streak.rounds + failed.unsigned_abs());
            }
        }
        self.end(&ended);
        Ok(())
    }

    fn end(&mut self, endpoints: &[i64]) {
        for endpoint in endpoints {
            self.ended.extend(self.open.remove(endpoint).map(|streak| (*endpoint, streak)));
        }
    }
}
