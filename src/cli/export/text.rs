//! An export as text: comma-separated values or an object a line.

use std::io::{self, Write};

use super::{COLUMNS, Export, NamedField};
use crate::cli::sheet::{Cell, Form, Sheet};
use crate::store::history::Observation;

/// So many bytes are collected before they are written.
const TURN: usize = 1024 * 1024;

/// Writes rows to `out`.
pub struct Text<W> {
    out: W,
    sheet: Sheet<Vec<u8>>,
    csv: bool,
    fields: usize,
}

impl<W: Write> Text<W> {
    /// An export to `out`, as comma-separated values or an object a line.
    pub fn new(out: W, csv: bool, fields: &[NamedField]) -> io::Result<Self> {
        let mut columns: Vec<String> = COLUMNS[..11].iter().map(|&column| column.to_owned()).collect();
        if fields.is_empty() {
            columns.push(COLUMNS[11].to_owned());
        }
        columns.extend(fields.iter().map(|field| field.name.clone()));
        let form = if csv { Form::Csv } else { Form::Json };
        Ok(Self { out, sheet: Sheet::new(Vec::new(), form, columns)?, csv, fields: fields.len() })
    }
}

impl<W: Write> Export for Text<W> {
    fn take(&mut self, job: &str, observation: &Observation<'_>, values: &[Option<&str>]) -> anyhow::Result<()> {
        let place = observation.place;
        let mut cells = vec![
            Cell::Text(job),
            Cell::Text(observation.endpoint),
            Cell::count(place.position),
            Cell::Integer(place.round.0),
            Cell::Moment(place.due),
            Cell::Moment(observation.fetched_at),
            Cell::Text(observation.outcome),
            observation.http_status.map_or(Cell::Null, Cell::count),
            Cell::count(observation.attempts),
            Cell::milliseconds(observation.elapsed),
            Cell::text(observation.detail),
        ];
        if self.fields == 0 {
            cells.push(Cell::json(observation.body));
        }
        if !self.csv {
            cells.extend(values.iter().copied().map(Cell::json));
            return Ok(self.sheet.row(&cells)?);
        }
        let values: Vec<Option<String>> = values.iter().map(|value| bare(*value)).collect();
        cells.extend(values.iter().map(|value| Cell::text(value.as_deref())));
        Ok(self.sheet.row(&cells)?)
    }

    fn is_full(&self) -> bool {
        self.sheet.printed().len() >= TURN
    }

    fn write(&mut self) -> anyhow::Result<()> {
        self.out.write_all(self.sheet.printed())?;
        self.sheet.out().clear();
        Ok(self.out.flush()?)
    }
}

/// A JSON value for a cell that has no types: null as nothing, a string without its quotes, anything else as it is.
pub fn bare(value: Option<&str>) -> Option<String> {
    let value = value.filter(|&value| value != "null")?;
    if !value.starts_with('"') {
        return Some(value.to_owned());
    }
    Some(serde_json::from_str(value).unwrap_or_else(|_| value.to_owned()))
}
