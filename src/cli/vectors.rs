//! Whole vectors, an endpoint a line.

use std::io::{Write, stdout};

use super::observation::{COLUMNS, cells};
use super::output::{moment, plain_text};
use super::rows;
use super::sheet::{Cell, Form, Sheet, milliseconds};
use crate::store::history::{Observation, Place, Vector, VectorSlot};

/// Prints `vectors`: as tables with a line about each round, or with the columns of the view `observations`.
pub fn print(vectors: &[Vector], form: Form) -> anyhow::Result<()> {
    let Form::Table { utc } = form else {
        let mut sheet = Sheet::new(Vec::new(), form, COLUMNS.to_vec())?;
        for (vector, slot) in vectors.iter().flat_map(|vector| vector.slots.iter().map(move |slot| (vector, slot))) {
            sheet.row(&cells(&vector.round.job, &observation(vector, slot)))?;
        }
        return rows::print_rest(sheet);
    };
    for (index, vector) in vectors.iter().enumerate() {
        let columns = vec!["endpoint", "outcome", "status", "tries", "ms", "document or reason"];
        let mut sheet = Sheet::new(Vec::new(), form, columns)?;
        for slot in &vector.slots {
            sheet.row(&[
                Cell::Text(&slot.endpoint),
                Cell::Text(&slot.outcome),
                slot.http_status.map_or(Cell::Null, Cell::count),
                Cell::count(slot.attempts),
                Cell::Text(&format!("{:.0}", milliseconds(slot.elapsed))),
                Cell::text(slot.body.as_deref().or(slot.detail.as_deref())),
            ])?;
        }
        let (name, due) = (plain_text(&vector.round.job), moment(vector.round.due, utc));
        writeln!(stdout(), "{}job {name:?}, due {due}", if index == 0 { "" } else { "\n" })?;
        rows::print_rest(sheet)?;
    }
    Ok(())
}

fn observation<'v>(vector: &'v Vector, slot: &'v VectorSlot) -> Observation<'v> {
    Observation {
        place: Place { due: vector.round.due, round: vector.round.id, position: slot.position },
        endpoint: &slot.endpoint,
        fetched_at: slot.fetched_at,
        outcome: &slot.outcome,
        http_status: slot.http_status,
        attempts: slot.attempts,
        elapsed: slot.elapsed,
        body: slot.body.as_deref(),
        detail: slot.detail.as_deref(),
    }
}
