//! The tables: a summary as a row, which hours are stale, what becomes of a round that closes.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::latencies::{Latencies, Percentiles};
use super::summary::{Run, Summary};
use super::{hour_of, start_of};
use crate::model::{ClosedRound, Timestamp};

/// In the order of [`figures_of`].
const FIGURES: &str = "slots, ok, failed, p50_us, p95_us, p99_us";
/// In the order that [`read`] expects.
const COLUMNS: &str =
    "outcomes, first_due, last_due, first_ok, last_ok, failing_from, outage_from, outage_until, latencies";

/// Makes the hour of `round` stale, in the transaction that stores it. An hour that was pruned has no slots to be made
/// from anew: there the round's slots are added to what is kept.
pub fn note_round(
    transaction: &Transaction<'_>,
    job_id: i64,
    round: &ClosedRound,
    endpoints: &[i64],
) -> rusqlite::Result<()> {
    let hour = hour_of(round.begin.due);
    if pruned_before(transaction, job_id)?.is_none_or(|before| hour >= before) {
        let mut statement =
            transaction.prepare_cached("INSERT OR IGNORE INTO rollup_stale (job_id, hour) VALUES (?1, ?2)")?;
        statement.execute([job_id, hour])?;
        return Ok(());
    }
    for (slot, &endpoint) in round.slots.iter().zip(endpoints) {
        let mut late = Summary::default();
        let elapsed = i64::try_from(slot.elapsed.as_micros()).unwrap_or(i64::MAX);
        late.add(round.begin.due, slot.outcome.as_str(), elapsed);
        let found = transaction
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM rollup WHERE job_id = ?1 AND hour = ?2 AND endpoint_id = ?3"
            ))?
            .query_row([job_id, hour, endpoint], |row| read(row, 0))
            .optional()?;
        let mut summary = found.unwrap_or_default();
        summary.merge(late);
        put(transaction, job_id, hour, endpoint, &summary)?;
    }
    Ok(())
}

/// The hour before which the slots of a job were deleted.
pub fn pruned_before(connection: &Connection, job_id: i64) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare_cached("SELECT before FROM pruned WHERE job_id = ?1")?;
    statement.query_row([job_id], |row| row.get(0)).optional()
}

/// The hours of a job in `hours` whose rollups are stale, in order.
pub fn stale_hours(connection: &Connection, job_id: i64, hours: &Range<i64>) -> rusqlite::Result<Vec<i64>> {
    let mut statement = connection
        .prepare_cached("SELECT hour FROM rollup_stale WHERE job_id = ?1 AND hour >= ?2 AND hour < ?3 ORDER BY hour")?;
    statement.query_map([job_id, hours.start, hours.end], |row| row.get(0))?.collect()
}

/// What can be read off a summary, for those who ask in SQL, in the order of [`FIGURES`].
pub fn figures_of(summary: &Summary) -> [Option<i64>; 6] {
    let percentiles = summary.latencies.percentiles();
    let micros = |of: fn(Percentiles) -> Duration| {
        percentiles.map(|percentiles| i64::try_from(of(percentiles).as_micros()).unwrap_or(i64::MAX))
    };
    let counts = [summary.slots(), summary.ok(), summary.failed()].map(|count| Some(count.cast_signed()));
    let [slots, ok, failed] = counts;
    [slots, ok, failed, micros(|of| of.p50), micros(|of| of.p95), micros(|of| of.p99)]
}

/// The figures of an hour as they are kept, by endpoint.
pub fn read_figures(
    connection: &Connection,
    job_id: i64,
    hour: i64,
) -> rusqlite::Result<HashMap<i64, [Option<i64>; 6]>> {
    let sql = format!("SELECT endpoint_id, {FIGURES} FROM rollup WHERE job_id = ?1 AND hour = ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([job_id, hour], |row| {
        let figure = |column| row.get(column);
        Ok((row.get(0)?, [figure(1)?, figure(2)?, figure(3)?, figure(4)?, figure(5)?, figure(6)?]))
    })?;
    rows.collect()
}

/// Writes a rollup in the place of what was there.
pub fn put(
    transaction: &Transaction<'_>,
    job_id: i64,
    hour: i64,
    endpoint: i64,
    summary: &Summary,
) -> rusqlite::Result<()> {
    let micros = |moment: Option<Timestamp>| moment.map(Timestamp::as_micros);
    let outcomes = serde_json::to_string(&summary.outcomes)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    let [slots, ok, failed, p50, p95, p99] = figures_of(summary);
    let mut statement = transaction.prepare_cached(&format!(
        "INSERT OR REPLACE INTO rollup (job_id, hour, endpoint_id, {FIGURES}, {COLUMNS})
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)"
    ))?;
    statement.execute(params![
        job_id,
        hour,
        endpoint,
        slots,
        ok,
        failed,
        p50,
        p95,
        p99,
        outcomes,
        micros(summary.first_due),
        micros(summary.last_due),
        micros(summary.first_ok),
        micros(summary.last_ok),
        micros(summary.failing_from),
        micros(summary.ended.map(|run| run.from)),
        micros(summary.ended.map(|run| run.until)),
        summary.latencies.encode(),
    ])?;
    Ok(())
}

/// Gives each rollup of a job in `hours` to `found`, hour by hour, with its endpoint.
pub fn read_rows(
    connection: &Connection,
    job_id: i64,
    hours: &Range<i64>,
    mut found: impl FnMut(i64, Summary),
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT endpoint_id, {COLUMNS} FROM rollup WHERE job_id = ?1 AND hour >= ?2 AND hour < ?3 ORDER BY hour"
    ))?;
    let mut rows = statement.query([job_id, hours.start, hours.end])?;
    while let Some(row) = rows.next()? {
        found(row.get(0)?, read(row, 1)?);
    }
    Ok(())
}

/// The dues of an hour.
pub fn dues_of(hour: i64) -> Range<Timestamp> {
    start_of(hour)..start_of(hour + 1)
}

fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Summary> {
    let moment = |column: usize| -> rusqlite::Result<Option<Timestamp>> {
        Ok(row.get::<_, Option<i64>>(first + column)?.map(Timestamp::from_micros))
    };
    let outcomes = serde_json::from_str(row.get_ref(first)?.as_str()?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(first, Type::Text, error.into()))?;
    let latencies = Latencies::decode(row.get_ref(first + 8)?.as_blob()?).ok_or_else(|| {
        rusqlite::Error::FromSqlConversionFailure(first + 8, Type::Blob, "not a histogram of latencies".into())
    })?;
    let ended = moment(6)?.zip(moment(7)?).map(|(from, until)| Run { from, until });
    Ok(Summary {
        outcomes,
        latencies,
        first_due: moment(1)?,
        last_due: moment(2)?,
        first_ok: moment(3)?,
        last_ok: moment(4)?,
        failing_from: moment(5)?,
        ended,
    })
}
