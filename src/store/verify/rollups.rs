//! Whether rollups say what their slots say, or can have said.

use rusqlite::{Connection, OptionalExtension, params};

use super::{MOST_TOLD, Problem, Verified};
use crate::store::error::{StoreError, is_damage};
use crate::store::read::Reader;
use crate::store::rollup::{
    HOUR_MICROS, Slots, dues_of, figures_of, pruned_before, read_figures, read_rows, rounds_between,
};
use crate::store::uptime::jobs;

impl Reader {
    /// Whether each rollup that is not stale says what the slots of its hour say; where those were pruned, whether it can be
    /// read and fits together.
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
                    let problem = match compare(&view, job_id, hour, hour < pruned) {
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
}

/// The hours that have rollups, or slots that were not pruned, and are not stale.
fn hours(connection: &Connection, job_id: i64, pruned: i64) -> rusqlite::Result<Vec<i64>> {
    let mut statement = connection.prepare(&format!(
        "SELECT hour FROM (SELECT DISTINCT hour FROM rollup WHERE job_id = ?1
                           UNION SELECT DISTINCT due_at / {HOUR_MICROS} FROM round
                                 WHERE job_id = ?1 AND ok IS NOT NULL AND due_at / {HOUR_MICROS} >= ?2)
         WHERE hour NOT IN (SELECT hour FROM rollup_stale WHERE job_id = ?1) ORDER BY hour"
    ))?;
    statement.query_map(params![job_id, pruned], |row| row.get(0))?.collect()
}

/// What is wrong with the rollups of an hour, of which all slots are there or, when it was pruned, none.
fn compare(connection: &Connection, job_id: i64, hour: i64, is_pruned: bool) -> rusqlite::Result<Option<String>> {
    let mut slots = Slots::default();
    if !is_pruned {
        for round in rounds_between(connection, job_id, &dues_of(hour))? {
            slots.add(connection, round, 0, usize::MAX)?;
        }
    }
    let figures = read_figures(connection, job_id, hour)?;
    let mut wrong = None;
    read_rows(connection, job_id, &(hour..hour + 1), |endpoint, kept| {
        let problem = if !kept.fits(&dues_of(hour)) {
            "does not fit together".to_owned()
        } else if is_pruned {
            if figures.get(&endpoint) == Some(&figures_of(&kept)) {
                return;
            }
            "has other columns than its outcomes and latencies say".to_owned()
        } else {
            let made = slots.summaries.remove(&endpoint).unwrap_or_default();
            if made == kept && figures.get(&endpoint) == Some(&figures_of(&made)) {
                return;
            }
            otherwise(kept.slots(), made.slots())
        };
        wrong.get_or_insert((endpoint, problem));
    })?;
    let missing = slots.summaries.iter().next().map(|(&endpoint, made)| (endpoint, otherwise(0, made.slots())));
    let Some((endpoint, problem)) = wrong.or(missing) else { return Ok(None) };
    let mut statement = connection.prepare_cached("SELECT name FROM endpoint WHERE endpoint_id = ?1")?;
    let name: Option<String> = statement.query_row([endpoint], |row| row.get(0)).optional()?;
    Ok(Some(format!("the rollup of endpoint {:?} {problem}", name.unwrap_or_default())))
}

fn otherwise(kept: u64, made: u64) -> String {
    if kept == made {
        "says otherwise than its slots".to_owned()
    } else {
        format!("tells of {kept} slots, {made} are there")
    }
}
