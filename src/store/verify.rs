//! Whether the file is what it should be: SQLite's own check, and what gatherd promises of its rows.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::{StoreError, is_damage};
use super::read::Reader;
use super::rollup::{HOUR_MICROS, Slots, dues_of, figures_of, pruned_before, read_figures, read_rows, rounds_between};
use super::slot_key::SLOTS_OF_ROUND;
use super::uptime::jobs;
use crate::model::Timestamp;

/// Of each kind so many are told one by one.
pub const MOST_TOLD: usize = 20;
/// How long a verification may take: it reads all of the file.
pub const DEADLINE: Duration = Duration::from_hours(24);

/// What was looked at, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Rounds and entries of the ledger.
    pub rounds: u64,
    /// Slots.
    pub slots: u64,
    /// Hours of a job whose rollups were made again and compared.
    pub hours: u64,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `integrity`, `vector`, `body`, `ledger` or `rollup`.
    pub kind: &'static str,
    /// Where: a job, and a round or an hour of it.
    pub place: String,
    /// What is wrong.
    pub problem: String,
}

impl Problem {
    /// One that is not known to be at a narrower place.
    #[must_use]
    pub fn of_file(kind: &'static str, problem: String) -> Self {
        Self { kind, place: "the file".to_owned(), problem }
    }
}

/// A round or a run of the ledger, as the dues of a job are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handled {
    /// Its number.
    pub round_id: i64,
    /// Its due, or its first.
    pub first: Timestamp,
    /// Its due, or its last.
    pub last: Timestamp,
}

impl Reader {
    /// What SQLite finds wrong with the file (`PRAGMA integrity_check`, `foreign_key_check`).
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn verify_integrity(&self) -> Result<Vec<Problem>, StoreError> {
        let verified = self.look("integrity", |verified| {
            let connection = &self.connection;
            let mut statement = connection.prepare(&format!("PRAGMA integrity_check({MOST_TOLD})"))?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let problem: String = row.get(0)?;
                if problem != "ok" {
                    verified.problems.push(Problem::of_file("integrity", problem));
                }
            }
            if !verified.problems.is_empty() {
                // Where rows are not found for the damage, all that point at them would be told.
                return Ok(());
            }
            let mut statement =
                connection.prepare("SELECT \"table\", count(*) FROM pragma_foreign_key_check GROUP BY 1")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let (place, count): (String, i64) = (format!("table {}", row.get::<_, String>(0)?), row.get(1)?);
                let problem = format!("{count} rows point at rows that are not there");
                verified.problems.push(Problem { kind: "integrity", place, problem });
            }
            Ok(())
        })?;
        Ok(verified.problems)
    }

    /// Whether each vector is as long as its layout and counted right, and each body there exactly when the outcome is ok.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn verify_vectors(&self) -> Result<Verified, StoreError> {
        let connection = &self.connection;
        let mut verified = self.look("vector", |verified| {
            let count = |table: &str| -> rusqlite::Result<u64> {
                connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
                    Ok(row.get::<_, i64>(0)?.unsigned_abs())
                })
            };
            verified.told(connection, "vector", &vectors(), |row| {
                let (slots, endpoints, last): (i64, i64, i64) = (row.get(2)?, row.get(3)?, row.get(5)?);
                let counted: Option<i64> = row.get(6)?;
                Ok(match row.get::<_, Option<i64>>(4)? {
                    None if slots == 0 => "it is complete, though it has no slots".to_owned(),
                    None => format!("its vector has {slots} slots, though it never closed"),
                    Some(_) if slots != endpoints => {
                        format!("its vector has {slots} slots, its layout {endpoints} endpoints")
                    }
                    Some(_) if last >= endpoints => format!("its slot {last} is beyond its {endpoints} endpoints"),
                    Some(_) if counted != Some(endpoints) => {
                        format!("it counts {} endpoints, its layout has {endpoints}", counted.unwrap_or_default())
                    }
                    Some(ok) => format!("its {slots} slots are not the {ok} ok ones it counts"),
                })
            })?;
            (verified.rounds, verified.slots) = (count("round")?, count("slot")?);
            Ok(())
        })?;
        verified.add(self.look("body", |verified| {
            verified.told(connection, "body", BODIES, |row| {
                let (position, outcome): (i64, String) = (row.get(2)?, row.get(3)?);
                if !row.get::<_, bool>(5)? {
                    return Ok(format!("slot {position} belongs to no round"));
                }
                let body = if row.get::<_, bool>(4)? { "a body" } else { "no body" };
                Ok(format!("slot {position} has the outcome {outcome} and {body}"))
            })
        })?);
        Ok(verified)
    }

    /// Whether each rollup that is not stale says what the slots of its hour say, where they are still there.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn verify_rollups(&self) -> Result<Verified, StoreError> {
        self.look("rollup", |verified| {
            let view = self.connection.unchecked_transaction()?;
            for (job_id, job) in jobs(&view, None)? {
                let pruned = pruned_before(&view, job_id)?.unwrap_or(i64::MIN);
                for hour in hours(&view, job_id, pruned)? {
                    verified.hours += 1;
                    if verified.problems.len() >= MOST_TOLD {
                        continue;
                    }
                    let problem = match compare(&view, job_id, hour) {
                        Err(error) if is_damage(&error) => Some(format!("it cannot be read: {error}")),
                        found => found?,
                    };
                    if let Some(problem) = problem {
                        let place = format!("job {job:?}, hour of {}", dues_of(hour).start);
                        verified.problems.push(Problem { kind: "rollup", place, problem });
                    }
                }
            }
            Ok(())
        })
    }

    /// Does `look`, which notes what it finds. What it cannot read for the damage of the file is a finding as well, and its
    /// end.
    fn look(
        &self,
        kind: &'static str,
        look: impl FnOnce(&mut Verified) -> rusqlite::Result<()>,
    ) -> Result<Verified, StoreError> {
        let mut verified = Verified::default();
        self.in_time(|| match look(&mut verified) {
            Err(error) if is_damage(&error) => {
                verified.problems.push(Problem::of_file(kind, format!("not all of it can be read: {error}")));
                Ok(())
            }
            other => other,
        })?;
        Ok(verified)
    }

    /// The rounds and ledger entries of a job that were not pruned, in the order of their numbers, for those who know
    /// when it was due.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn handled_dues(&self, job: &str) -> Result<Vec<Handled>, StoreError> {
        self.in_time(|| {
            let find = "SELECT job_id FROM job WHERE name = ?1";
            let job_id: Option<i64> = self.connection.query_row(find, [job], |row| row.get(0)).optional()?;
            let Some(job_id) = job_id else { return Ok(Vec::new()) };
            let pruned = pruned_before(&self.connection, job_id)?;
            let kept = pruned.map_or(i64::MIN, |hour| dues_of(hour).start.as_micros());
            let mut statement = self.connection.prepare(
                "SELECT round_id, due_at, CASE status WHEN 'missed' THEN finished_at ELSE due_at END FROM round
                 WHERE job_id = ?1 AND due_at >= ?2 ORDER BY round_id",
            )?;
            let handled = statement.query_map([job_id, kept], |row| {
                let [first, last] = [row.get(1)?, row.get(2)?].map(Timestamp::from_micros);
                Ok(Handled { round_id: row.get(0)?, first, last })
            })?;
            handled.collect()
        })
    }
}

/// Each round's slots are read once; positions are a key, so as many as the layout has and none beyond it are all of it.
fn vectors() -> String {
    format!(
        "
    SELECT j.name, v.round_id, v.slots, v.layout, v.ok, v.last, v.endpoints FROM (
        SELECT r.job_id, r.round_id, r.status, r.endpoints, r.ok, r.failed, coalesce(l.endpoints, 0) AS layout,
               count(s.slot_id) AS slots, coalesce(max(s.slot_id) & 1048575, -1) AS last,
               coalesce(sum(s.outcome = 'ok'), 0) AS found
        FROM round r
        LEFT JOIN (SELECT layout_id, count(*) AS endpoints FROM layout_slot GROUP BY layout_id) l USING (layout_id)
        LEFT JOIN slot s ON {SLOTS_OF_ROUND}
        GROUP BY r.round_id) v
    JOIN job j ON j.job_id = v.job_id
    WHERE CASE WHEN v.ok IS NULL THEN v.slots <> 0 OR v.status = 'complete'
               ELSE v.slots <> v.layout OR v.last >= v.layout OR v.endpoints IS NOT v.layout
                    OR v.ok <> v.found OR v.ok + v.failed <> v.slots END"
    )
}

const BODIES: &str = "
    SELECT coalesce(j.name, '?'), s.round_id, s.position, s.outcome, s.body IS NOT NULL, r.round_id IS NOT NULL FROM slot s
    LEFT JOIN round r ON r.round_id = s.round_id LEFT JOIN job j ON j.job_id = r.job_id
    WHERE r.round_id IS NULL OR (s.outcome = 'ok') <> (s.body IS NOT NULL)";

impl Verified {
    /// Notes what `sql` finds, whose first columns are a job and a round.
    fn told(
        &mut self,
        connection: &Connection,
        kind: &'static str,
        sql: &str,
        problem: impl Fn(&Row<'_>) -> rusqlite::Result<String>,
    ) -> rusqlite::Result<()> {
        let mut statement = connection.prepare(&format!("{sql} LIMIT {MOST_TOLD}"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let place = format!("job {:?}, round {}", row.get::<_, String>(0)?, row.get::<_, i64>(1)?);
            self.problems.push(Problem { kind, place, problem: problem(row)? });
        }
        Ok(())
    }

    /// Adds what another check found.
    pub fn add(&mut self, other: Self) {
        self.rounds += other.rounds;
        self.slots += other.slots;
        self.hours += other.hours;
        self.problems.extend(other.problems);
    }
}

/// The hours that have slots or rollups, are not pruned and not stale.
fn hours(connection: &Connection, job_id: i64, pruned: i64) -> rusqlite::Result<Vec<i64>> {
    let mut statement = connection.prepare(&format!(
        "SELECT hour FROM (SELECT DISTINCT hour FROM rollup WHERE job_id = ?1
                           UNION SELECT DISTINCT due_at / {HOUR_MICROS} FROM round WHERE job_id = ?1 AND ok IS NOT NULL)
         WHERE hour >= ?2 AND hour NOT IN (SELECT hour FROM rollup_stale WHERE job_id = ?1) ORDER BY hour"
    ))?;
    statement.query_map(params![job_id, pruned], |row| row.get(0))?.collect()
}

fn compare(connection: &Connection, job_id: i64, hour: i64) -> rusqlite::Result<Option<String>> {
    let mut slots = Slots::default();
    for round in rounds_between(connection, job_id, &dues_of(hour))? {
        slots.add(connection, round, 0, usize::MAX)?;
    }
    let figures = read_figures(connection, job_id, hour)?;
    let mut wrong: Option<(i64, u64, u64)> = None;
    read_rows(connection, job_id, &(hour..hour + 1), |endpoint, kept| {
        let made = slots.summaries.remove(&endpoint).unwrap_or_default();
        if made != kept || figures.get(&endpoint) != Some(&figures_of(&made)) {
            wrong.get_or_insert((endpoint, kept.slots(), made.slots()));
        }
    })?;
    let missing = slots.summaries.iter().next().map(|(&endpoint, made)| (endpoint, 0, made.slots()));
    let Some((endpoint, kept, made)) = wrong.or(missing) else { return Ok(None) };
    let mut statement = connection.prepare_cached("SELECT name FROM endpoint WHERE endpoint_id = ?1")?;
    let name: Option<String> = statement.query_row([endpoint], |row| row.get(0)).optional()?;
    let name = name.unwrap_or_default();
    let what = if kept == made {
        "says otherwise than its slots".to_owned()
    } else {
        format!("tells of {kept} slots, {made} are there")
    };
    Ok(Some(format!("the rollup of endpoint {name:?} {what}")))
}
