//! Whether rounds, their vectors and their layouts fit together, and whether a round is missing.

use rusqlite::{Connection, Row};

use super::slots::TIMES;
use super::{MOST_TOLD, Problem, Verified};
use crate::model::Timestamp;
use crate::store::error::StoreError;
use crate::store::read::Reader;
use crate::store::rollup::HOUR_MICROS;
use crate::store::slot_key::SLOTS_OF_ROUND;

impl Reader {
    /// Whether each layout is a list of endpoints of its job, each round and entry of the ledger can have been, and each
    /// vector is as long as its layout and counted right.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn verify_vectors(&self) -> Result<Verified, StoreError> {
        let connection = &self.connection;
        let text = |row: &Row<'_>| row.get(2);
        let mut verified = self.look("layout", |verified| verified.told(connection, "layout", LAYOUTS, text))?;
        verified.add(self.look("round", |verified| {
            verified.told(connection, "round", &rounds(), text)?;
            let count = connection.query_row("SELECT count(*) FROM round", [], |row| row.get::<_, i64>(0))?;
            verified.rounds = count.unsigned_abs();
            Ok(())
        })?);
        verified.add(self.look("vector", |verified| verified.told(connection, "vector", &vectors(), vector_flaw))?);
        Ok(verified)
    }

    /// Whether a number is missing that was given to a round or an entry of the ledger: the daemon gives them one after the
    /// other, over all jobs, from 1 on. Told are only those that nothing else explains than a loss; not by the cadence,
    /// which is none that the file knows.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn verify_numbers(&self) -> Result<Verified, StoreError> {
        self.look("ledger", |verified| {
            let view = self.connection.unchecked_transaction()?;
            let pruned: i64 = view.query_row(&pruned_until(), [], |row| row.get(0))?;
            let (runs, lost): (i64, f64) = view.query_row(
                &format!("SELECT count(*), total(last - first + 1.0) FROM ({MISSING})"),
                [pruned],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            // One entry tells of all that a full queue dropped, by the number of the first of them.
            let others = "SELECT total(covers - 1) FROM round WHERE cause = 'storage'";
            let dropped: f64 = view.query_row(others, [], |row| row.get(0))?;
            if lost <= dropped {
                return Ok(());
            }
            let mut statement = view.prepare(&format!("{MISSING} ORDER BY first LIMIT {MOST_TOLD}"))?;
            let mut rows = statement.query([pruned])?;
            while let Some(row) = rows.next()? {
                verified.problems.push(missing(row)?);
            }
            let further = runs - verified.problems.len().try_into().unwrap_or(i64::MAX);
            if further > 0 {
                let problem = format!("at {further} further places numbers of rounds or ledger entries are missing");
                verified.problems.push(Problem::of_file("ledger", problem));
            }
            Ok(())
        })
    }
}

/// An endpoint stands once in a layout, as names are not given twice; positions count from 0.
const LAYOUTS: &str = "
    SELECT coalesce(j.name, '?'), v.first_round, CASE
        WHEN v.positions <> v.last + 1 OR v.first <> 0 THEN 'its layout ' || v.layout_id || ' has gaps between its positions'
        WHEN v.foreign_ones > 0 THEN 'its layout ' || v.layout_id || ' has endpoints of another job'
        ELSE 'its layout ' || v.layout_id || ' has an endpoint twice' END
    FROM (SELECT l.layout_id, l.job_id, count(*) AS positions, min(s.position) AS first, max(s.position) AS last,
                 count(DISTINCT s.endpoint_id) AS endpoints, sum(e.job_id IS NOT l.job_id) AS foreign_ones,
                 (SELECT min(round_id) FROM round r WHERE r.layout_id = l.layout_id) AS first_round
          FROM layout l JOIN layout_slot s ON s.layout_id = l.layout_id
          LEFT JOIN endpoint e ON e.endpoint_id = s.endpoint_id
          GROUP BY l.layout_id) v
    LEFT JOIN job j ON j.job_id = v.job_id
    WHERE v.positions <> v.last + 1 OR v.first <> 0 OR v.foreign_ones > 0 OR v.endpoints <> v.positions";

/// What a row of `round` says of itself.
fn rounds() -> String {
    let (first, last) = (TIMES.start(), TIMES.end());
    format!(
        "
    SELECT * FROM (
        SELECT coalesce(j.name, '?'), r.round_id, CASE
            WHEN r.due_at NOT BETWEEN {first} AND {last} OR r.started_at NOT BETWEEN {first} AND {last}
                OR r.finished_at NOT BETWEEN {first} AND {last} THEN 'one of its times is not between 1970 and 9999'
            WHEN r.status IN ('running', 'skipped', 'missed') AND r.ok IS NOT NULL
                THEN 'it is ' || r.status || ', though it counts slots'
            WHEN r.status IN ('interrupted', 'skipped', 'missed') AND r.cause IS NULL
                THEN 'it is ' || r.status || ' without a cause'
            WHEN r.status = 'missed' AND (r.finished_at IS NULL OR r.finished_at < r.due_at OR r.covers < 1)
                THEN 'its run of ' || r.covers || ' dues has no end'
            WHEN l.job_id <> r.job_id THEN 'its layout is of another job' END AS problem
        FROM round r
        LEFT JOIN job j ON j.job_id = r.job_id
        LEFT JOIN layout l ON l.layout_id = r.layout_id)
    WHERE problem IS NOT NULL"
    )
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

fn vector_flaw(row: &Row<'_>) -> rusqlite::Result<String> {
    let (slots, endpoints, last): (i64, i64, i64) = (row.get(2)?, row.get(3)?, row.get(5)?);
    let counted: Option<i64> = row.get(6)?;
    Ok(match row.get::<_, Option<i64>>(4)? {
        None if slots == 0 => "it is complete, though it has no slots".to_owned(),
        None => format!("its vector has {slots} slots, though it never closed"),
        Some(_) if slots != endpoints => format!("its vector has {slots} slots, its layout {endpoints} endpoints"),
        Some(_) if last >= endpoints => format!("its slot {last} is beyond its {endpoints} endpoints"),
        Some(_) if counted != Some(endpoints) => {
            format!("it counts {} endpoints, its layout has {endpoints}", counted.unwrap_or_default())
        }
        Some(ok) => format!("its {slots} slots are not the {ok} ok ones it counts"),
    })
}

/// Behind which number pruning took none. The dues of a job grow with its numbers, so of a job that was pruned none is gone
/// behind the first that is kept for its due. Where they do not grow the clock was set back, and what came then may be
/// gone as well.
fn pruned_until() -> String {
    format!(
        "
    WITH dues AS (
        SELECT r.job_id, r.round_id, r.due_at, p.before * {HOUR_MICROS} AS kept,
               CASE r.status WHEN 'missed' THEN coalesce(r.finished_at, r.due_at) ELSE r.due_at END AS last
        FROM round r JOIN pruned p ON p.job_id = r.job_id)
    SELECT max(
        coalesce((SELECT max(coalesce((SELECT min(d.round_id) FROM dues d WHERE d.job_id = p.job_id AND d.last >= d.kept),
                                      9223372036854775807)) FROM pruned p), 0),
        coalesce((SELECT max(round_id) FROM (
            SELECT round_id, due_at, max(last) OVER (PARTITION BY job_id ORDER BY round_id
                                                     ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS latest
            FROM dues) WHERE due_at <= latest), 0))"
    )
}

/// Runs of numbers behind ?1 that are missing, with the dues beside them. Not those before an entry of the ledger: of what
/// becomes due at the same time the ledger is written first, and a kill cuts off what has the lower numbers.
const MISSING: &str = "
    SELECT first, last, after, before FROM (
        SELECT lag(round_id, 1, 0) OVER numbers + 1 AS first, round_id - 1 AS last,
               lag(due_at) OVER numbers AS after, due_at AS before, status
        FROM round WINDOW numbers AS (ORDER BY round_id))
    WHERE first <= last AND first > ?1 AND status NOT IN ('skipped', 'missed')";

fn missing(row: &Row<'_>) -> rusqlite::Result<Problem> {
    let (first, last): (i64, i64) = (row.get(0)?, row.get(1)?);
    let before = Timestamp::from_micros(row.get(3)?);
    let beside = match row.get::<_, Option<i64>>(2)?.map(Timestamp::from_micros) {
        Some(after) => format!("between those due {after} and {before}"),
        None => format!("before the one due {before}"),
    };
    let (place, are) = if first == last {
        (format!("round {first}"), "is neither a round nor in the ledger, though its number was given")
    } else {
        (format!("rounds {first} to {last}"), "are neither rounds nor in the ledger, though their numbers were given")
    };
    Ok(Problem { kind: "ledger", place, problem: format!("{are} {beside}") })
}

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
            let job: String = row.get(0)?;
            let place = match row.get::<_, Option<i64>>(1)? {
                Some(round) => format!("job {job:?}, round {round}"),
                None => format!("job {job:?}"),
            };
            self.problems.push(Problem { kind, place, problem: problem(row)? });
        }
        Ok(())
    }
}
