//! The slots of a job between two dues, added to their endpoints' summaries.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use rusqlite::{Connection, params};

use super::summary::Summary;
use crate::model::Timestamp;
use crate::store::slot_key::{slot_id, slot_ids};

/// A round that has slots.
#[derive(Clone, Copy, Debug)]
pub struct RoundWithSlots {
    pub id: i64,
    pub layout: i64,
    pub due: Timestamp,
}

/// The rounds of a job that have slots and were due in `dues`, in the order of dues.
pub fn rounds_between(
    connection: &Connection,
    job_id: i64,
    dues: &Range<Timestamp>,
) -> rusqlite::Result<VecDeque<RoundWithSlots>> {
    let mut statement = connection.prepare_cached(
        "SELECT round_id, layout_id, due_at FROM round
         WHERE job_id = ?1 AND due_at >= ?2 AND due_at < ?3 AND ok IS NOT NULL ORDER BY due_at, round_id",
    )?;
    let rounds = statement.query_map(params![job_id, dues.start.as_micros(), dues.end.as_micros()], |row| {
        Ok(RoundWithSlots { id: row.get(0)?, layout: row.get(1)?, due: Timestamp::from_micros(row.get(2)?) })
    })?;
    rounds.collect()
}

/// Summaries by endpoint, and which endpoint stands where.
#[derive(Debug, Default)]
pub struct Slots {
    pub summaries: HashMap<i64, Summary>,
    layouts: HashMap<i64, Arc<[i64]>>,
}

impl Slots {
    /// Adds at most `most` slots of `round` from position `first` on. Answers the position to go on from, or `None` when
    /// the round is done.
    pub fn add(
        &mut self,
        connection: &Connection,
        round: RoundWithSlots,
        first: i64,
        most: usize,
    ) -> rusqlite::Result<Option<i64>> {
        let endpoints = self.layout(connection, round.layout)?;
        // None of these columns lies behind the body, which may be large.
        let mut statement = connection.prepare_cached(
            "SELECT position, outcome, elapsed_us FROM slot
             WHERE slot_id BETWEEN ?1 AND ?2 ORDER BY slot_id LIMIT ?3",
        )?;
        let (_, last) = slot_ids(round.id);
        let mut rows = statement.query((slot_id(round.id, first), last, super::super::write::integer(most)))?;
        let (mut read, mut next) = (0, first);
        while let Some(row) = rows.next()? {
            let position: i64 = row.get(0)?;
            (read, next) = (read + 1, position + 1);
            // A slot beyond its layout belongs to nobody; `verify` reports it.
            let Some(&endpoint) = usize::try_from(position).ok().and_then(|position| endpoints.get(position)) else {
                continue;
            };
            let outcome = row.get_ref(1)?.as_str()?;
            self.summaries.entry(endpoint).or_default().add(round.due, outcome, row.get(2)?);
        }
        Ok((read == most).then_some(next))
    }

    fn layout(&mut self, connection: &Connection, layout: i64) -> rusqlite::Result<Arc<[i64]>> {
        if let Some(endpoints) = self.layouts.get(&layout) {
            return Ok(Arc::clone(endpoints));
        }
        let mut statement =
            connection.prepare_cached("SELECT endpoint_id FROM layout_slot WHERE layout_id = ?1 ORDER BY position")?;
        let endpoints = statement.query_map([layout], |row| row.get(0))?.collect::<rusqlite::Result<Arc<[i64]>>>()?;
        self.layouts.insert(layout, Arc::clone(&endpoints));
        Ok(endpoints)
    }
}
