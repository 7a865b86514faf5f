//! Whole vectors, an endpoint a line.

use std::io::{Write, stdout};

use super::output::{self, moment, plain_text};
use super::rows;
use super::sheet::{Cell, Form, Sheet, milliseconds};
use crate::store::history::{Vector, VectorSlot};

/// The columns of the view `observations`.
const COLUMNS: [&str; 12] = [
    "job",
    "endpoint",
    "position",
    "round_id",
    "due_at",
    "fetched_at",
    "outcome",
    "http_status",
    "attempts",
    "elapsed_ms",
    "body",
    "detail",
];

/// Prints `vectors`: as tables with a line about each round, or with the columns of the view `observations`.
pub fn print(vectors: &[Vector], form: Form) -> anyhow::Result<()> {
    let Form::Table { utc } = form else {
        let mut sheet = Sheet::new(Vec::new(), form, COLUMNS.to_vec())?;
        for (vector, slot) in vectors.iter().flat_map(|vector| vector.slots.iter().map(move |slot| (vector, slot))) {
            sheet.row(&cells(vector, slot))?;
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

fn cells<'v>(vector: &'v Vector, slot: &'v VectorSlot) -> [Cell<'v>; 12] {
    [
        Cell::Text(&vector.round.job),
        Cell::Text(&slot.endpoint),
        Cell::count(slot.position),
        Cell::Integer(vector.round.id.0),
        Cell::Moment(vector.round.due),
        Cell::Moment(slot.fetched_at),
        Cell::Text(&slot.outcome),
        slot.http_status.map_or(Cell::Null, Cell::count),
        Cell::count(slot.attempts),
        Cell::milliseconds(slot.elapsed),
        Cell::json(slot.body.as_deref()),
        Cell::text(slot.detail.as_deref()),
    ]
}
