//! Whole vectors, an endpoint a line.

use std::io::{Write, stdout};

use super::observation::{COLUMNS, cells};
use super::output::{self, moment, plain_text};
use super::rows;
use super::sheet::{Form, Sheet, milliseconds};
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
        let mut table = output::table(["endpoint", "outcome", "status", "tries", "ms", "document or reason"]);
        for slot in &vector.slots {
            table.add_row([
                plain_text(&slot.endpoint),
                slot.outcome.clone(),
                slot.http_status.map(|status| status.to_string()).unwrap_or_default(),
                slot.attempts.to_string(),
                format!("{:.0}", milliseconds(slot.elapsed)),
                plain_text(slot.body.as_deref().or(slot.detail.as_deref()).unwrap_or_default()),
            ]);
        }
        let (name, due) = (plain_text(&vector.round.job), moment(vector.round.due, utc));
        writeln!(stdout(), "{}job {name:?}, due {due}", if index == 0 { "" } else { "\n" })?;
        output::print_to_width(&table)?;
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
