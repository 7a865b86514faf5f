//! Whether each slot is what a slot can be: its round is there, its text is UTF-8 and its document JSON.

use std::ops::RangeInclusive;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};
use serde_json::value::RawValue;

use super::{MOST_TOLD, Problem, Verified};
use crate::model::{Outcome, Timestamp};
use crate::store::error::{StoreError, is_damage};
use crate::store::read::Reader;

/// The moments that the views can show: 1970 to 9999, as years.
pub(super) const TIMES: RangeInclusive<i64> = 0..=253_402_300_799_999_999;

const SLOTS: &str = "
    SELECT slot_id, round_id, position, fetched_at, outcome, http_status, attempts, elapsed_us, phases, detail, body
    FROM slot ORDER BY slot_id";

impl Reader {
    /// Whether each slot belongs to a round and is what a slot can be: a body that is JSON exactly when the outcome is ok,
    /// and in the other columns what was ever written there.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn verify_slots(&self) -> Result<Verified, StoreError> {
        let mut further = 0_u64;
        let mut verified = self.look("body", |verified| {
            let mut is_there = self.connection.prepare("SELECT 1 FROM round WHERE round_id = ?1")?;
            let mut statement = self.connection.prepare(SLOTS)?;
            let mut rows = statement.query([])?;
            let (mut round, mut has_round) = (None, false);
            while let Some(row) = rows.next()? {
                verified.slots += 1;
                let (round_id, position): (i64, i64) = (row.get(1)?, row.get(2)?);
                if round.replace(round_id) != Some(round_id) {
                    has_round = is_there.exists([round_id])?;
                }
                let flaw = match flaw(row, verified) {
                    _ if !has_round => Some(("body", format!("slot {position} belongs to no round"))),
                    Err(error) if is_damage(&error) => Some(("slot", format!("it cannot be read: {error}"))),
                    found => found?,
                };
                let Some((kind, problem)) = flaw else { continue };
                if verified.problems.len() < MOST_TOLD {
                    let place = place(&self.connection, round_id, position)?;
                    verified.problems.push(Problem { kind, place, problem });
                } else {
                    further += 1;
                }
            }
            Ok(())
        })?;
        if further > 0 {
            verified.problems.push(Problem::of_file("body", format!("{further} further slots are damaged")));
        }
        Ok(verified)
    }
}

/// What is wrong with a slot, and of which kind that is.
fn flaw(row: &Row<'_>, verified: &mut Verified) -> rusqlite::Result<Option<(&'static str, String)>> {
    let outcome = row.get_ref(4)?.as_str()?;
    if let Some(problem) = body_flaw(outcome, row.get_ref(10)?) {
        return Ok(Some(("body", problem)));
    }
    let (fetched_at, attempts, elapsed): (i64, i64, i64) = (row.get(3)?, row.get(6)?, row.get(7)?);
    let status: Option<i64> = row.get(5)?;
    let phases = row.get_ref(8)?.as_str_or_null()?;
    row.get_ref(9)?.as_str_or_null()?;
    let problem = if outcome.is_empty() || !outcome.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
    {
        format!("its outcome {outcome:?} is not a word")
    } else if !TIMES.contains(&fetched_at) {
        format!("it was fetched {fetched_at} microseconds after 1970, which cannot be")
    } else if attempts < 0 || elapsed < 0 {
        format!("it took {attempts} attempts and {elapsed} microseconds")
    } else if let Some(status) = status.filter(|status| !(100..1000).contains(status)) {
        format!("its HTTP status is {status}")
    } else if phases.is_some_and(|phases| !is_json(phases)) {
        "its phases are not JSON".to_owned()
    } else {
        if outcome.parse::<Outcome>().is_err() {
            verified.note_outcome(outcome);
        }
        return Ok(None);
    };
    Ok(Some(("slot", problem)))
}

fn body_flaw(outcome: &str, body: ValueRef<'_>) -> Option<String> {
    let is_ok = outcome == Outcome::Ok.as_str();
    let text = match body {
        ValueRef::Null if is_ok => return Some("the outcome is ok, and there is no body".to_owned()),
        ValueRef::Null => return None,
        _ if !is_ok => return Some(format!("the outcome is {outcome}, and there is a body")),
        ValueRef::Text(text) => text,
        _ => return Some("its body is not text".to_owned()),
    };
    match str::from_utf8(text) {
        Err(error) => Some(format!("its body is not UTF-8 at byte {}", error.valid_up_to())),
        Ok(text) if !is_json(text) => Some("its body is not JSON".to_owned()),
        Ok(_) => None,
    }
}

/// By its grammar: the rules that the daemon has beside it may have been others once.
fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

/// Where a slot is, as far as that can be read.
fn place(connection: &Connection, round_id: i64, position: i64) -> rusqlite::Result<String> {
    let mut statement = connection.prepare_cached(
        "SELECT j.name, r.due_at, e.name FROM round r JOIN job j ON j.job_id = r.job_id
         LEFT JOIN layout_slot l ON l.layout_id = r.layout_id AND l.position = ?2
         LEFT JOIN endpoint e ON e.endpoint_id = l.endpoint_id WHERE r.round_id = ?1",
    )?;
    let found = statement.query_row([round_id, position], |row| {
        let (job, due): (String, Timestamp) = (row.get(0)?, Timestamp::from_micros(row.get(1)?));
        let endpoint: Option<String> = row.get(2)?;
        let endpoint = endpoint.map_or_else(|| format!("slot {position}"), |endpoint| format!("endpoint {endpoint:?}"));
        Ok(format!("job {job:?}, round {round_id} due {due}, {endpoint}"))
    });
    match found.optional() {
        Ok(place) => Ok(place.unwrap_or_else(|| format!("job \"?\", round {round_id}"))),
        Err(error) if is_damage(&error) => Ok(format!("round {round_id}, slot {position}")),
        Err(error) => Err(error),
    }
}
