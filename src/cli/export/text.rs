//! An export as text: comma-separated values or an object a line.

use std::io::{self, Write};

use super::{Export, NamedField};
use crate::cli::observation::{BODY, COLUMNS, cells};
use crate::cli::rows;
use crate::cli::sheet::{Cell, Form, Sheet};
use crate::store::history::Observation;

/// Writes rows to `out`.
pub struct Text<W> {
    out: W,
    sheet: Sheet<Vec<u8>>,
    csv: bool,
}

impl<W: Write> Text<W> {
    /// An export to `out`, as comma-separated values or an object a line.
    pub fn new(out: W, csv: bool, fields: &[NamedField]) -> io::Result<Self> {
        let mut columns = COLUMNS.to_vec();
        if !fields.is_empty() {
            columns.splice(BODY..=BODY, fields.iter().map(|field| field.name.as_str()));
        }
        let form = if csv { Form::Csv } else { Form::Json };
        Ok(Self { out, sheet: Sheet::new(Vec::new(), form, columns)?, csv })
    }
}

impl<W: Write> Export for Text<W> {
    fn take(&mut self, job: &str, observation: &Observation<'_>, values: &[Option<&str>]) -> anyhow::Result<()> {
        let mut cells = cells(job, observation).to_vec();
        if values.is_empty() {
            return Ok(self.sheet.row(&cells)?);
        }
        if !self.csv {
            cells.splice(BODY..=BODY, values.iter().copied().map(Cell::json));
            return Ok(self.sheet.row(&cells)?);
        }
        let values: Vec<Option<String>> = values.iter().map(|value| bare(*value)).collect();
        cells.splice(BODY..=BODY, values.iter().map(|value| Cell::text(value.as_deref())));
        Ok(self.sheet.row(&cells)?)
    }

    fn is_full(&self) -> bool {
        rows::is_full(&self.sheet)
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
