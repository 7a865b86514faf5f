//! Rows as they come, in the form that was asked for: a table for people, JSON or comma-separated values for programs.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use unicode_width::UnicodeWidthStr;

use super::output::{cut, moment, plain_text, terminal_width};
use crate::model::Timestamp;

/// So many rows, or so many bytes of them, decide how wide the columns of a table are; what is wider in a later one moves
/// its neighbours.
const SAMPLE: usize = 1_000;
const SAMPLE_BYTES: usize = 1024 * 1024;

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Aligned, with local times or UTC.
    Table {
        /// Whether times are in UTC.
        utc: bool,
    },
    /// An object a line, with times in UTC.
    Json,
    /// RFC 4180, with times in UTC.
    Csv,
}

/// One value of a row.
#[derive(Clone, Copy, Debug)]
pub enum Cell<'a> {
    /// Nothing.
    Null,
    /// Not even that: JSON has no such member, elsewhere it is as nothing.
    Absent,
    /// A whole number.
    Integer(i64),
    /// A number; a table shows it to three digits behind the point.
    Real(f64),
    /// Text.
    Text(&'a str),
    /// The text of a JSON value: itself in JSON, text elsewhere.
    Json(&'a str),
    /// A moment.
    Moment(Timestamp),
}

impl<'a> Cell<'a> {
    /// A text that may be absent.
    pub fn text(text: Option<&'a str>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }

    /// A JSON value that may be absent.
    pub fn json(text: Option<&'a str>) -> Self {
        text.map_or(Self::Null, Self::Json)
    }

    /// A duration in milliseconds, as the views have it.
    pub fn milliseconds(span: Duration) -> Self {
        Self::Real(milliseconds(span))
    }

    /// A count.
    pub fn count(count: impl TryInto<i64>) -> Self {
        Self::Integer(count.try_into().unwrap_or(i64::MAX))
    }
}

/// A duration in milliseconds, as the views have it: microseconds, divided.
#[allow(clippy::cast_precision_loss, reason = "exact for 285 years")]
pub fn milliseconds(span: Duration) -> f64 {
    span.as_micros() as f64 / 1e3
}

/// Prints rows to `out`. A table waits for its first thousand.
pub struct Sheet<W: Write> {
    out: W,
    form: Form,
    columns: Vec<String>,
    /// The rows of a table that are not printed yet.
    waiting: Vec<Vec<String>>,
    waiting_bytes: usize,
    widths: Option<Vec<usize>>,
    /// How long a line of a table may be.
    longest: usize,
    line: String,
}

impl<W: Write> Sheet<W> {
    /// A sheet with these columns.
    pub fn new(mut out: W, form: Form, columns: Vec<impl Into<String>>) -> io::Result<Self> {
        let columns: Vec<String> = columns.into_iter().map(Into::into).collect();
        if form == Form::Csv {
            writeln_csv(&mut out, columns.iter().cloned())?;
        }
        let longest = if io::stdout().is_terminal() { terminal_width().unwrap_or(usize::MAX) } else { usize::MAX };
        Ok(Self {
            out,
            form,
            columns,
            waiting: Vec::new(),
            waiting_bytes: 0,
            widths: None,
            longest,
            line: String::new(),
        })
    }

    /// The same, with the lines of a table whole, however wide the terminal is.
    pub fn whole(self) -> Self {
        Self { longest: usize::MAX, ..self }
    }

    /// Prints a row of as many values as there are columns.
    pub fn row(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        match self.form {
            Form::Json => self.json(cells),
            Form::Csv => writeln_csv(&mut self.out, cells.iter().map(plainly)),
            Form::Table { utc } => {
                let row: Vec<String> = cells.iter().map(|cell| for_people(cell, utc)).collect();
                self.waiting_bytes += row.iter().map(String::len).sum::<usize>();
                self.waiting.push(row);
                let is_enough = self.waiting.len() >= SAMPLE || self.waiting_bytes >= SAMPLE_BYTES;
                if self.widths.is_some() || is_enough { self.print_waiting() } else { Ok(()) }
            }
        }
    }

    /// Prints what waits, and hands the output back.
    pub fn finish(mut self) -> io::Result<W> {
        if matches!(self.form, Form::Table { .. }) {
            self.print_waiting()?;
        }
        self.out.flush()?;
        Ok(self.out)
    }

    /// The output.
    pub fn printed(&self) -> &W {
        &self.out
    }

    /// The output, to send on what was printed so far.
    pub fn out(&mut self) -> &mut W {
        &mut self.out
    }

    fn json(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        self.line.clear();
        let there = self.columns.iter().zip(cells).filter(|(_, cell)| !matches!(cell, Cell::Absent));
        for (column, cell) in there {
            self.line.push(if self.line.is_empty() { '{' } else { ',' });
            self.line.push_str(&serde_json::to_string(column)?);
            self.line.push(':');
            push_json(&mut self.line, cell)?;
        }
        writeln!(self.out, "{}}}", self.line)
    }

    fn print_waiting(&mut self) -> io::Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let head = self.columns.clone();
        let first = self.widths.is_none();
        let widths = self.widths.get_or_insert_with(|| {
            let widest = |index: usize| {
                let cells = waiting.iter().chain([&head]).filter_map(|row| row.get(index));
                cells.map(|cell| cell.width()).max().unwrap_or_default()
            };
            (0..head.len()).map(widest).collect()
        });
        for row in first.then_some(&head).into_iter().chain(&waiting) {
            self.line.clear();
            for (cell, width) in row.iter().zip(widths.iter()) {
                // Not by a format's width, which ends at 65,535.
                let room = " ".repeat(width.saturating_sub(cell.width()));
                self.line.extend([" ", cell, &room, " "]);
            }
            writeln!(self.out, "{}", cut(self.line.trim_end(), self.longest))?;
        }
        Ok(())
    }
}

fn push_json(line: &mut String, cell: &Cell<'_>) -> io::Result<()> {
    match cell {
        Cell::Null | Cell::Absent => line.push_str("null"),
        Cell::Integer(number) => drop(write!(line, "{number}")),
        Cell::Real(number) => line.push_str(&serde_json::to_string(number)?),
        Cell::Text(text) => line.push_str(&serde_json::to_string(text)?),
        // A line is an object: outside of strings line breaks are blanks, and inside of them JSON has none.
        Cell::Json(text) => line.push_str(&text.trim_ascii().replace(['\n', '\r'], " ")),
        Cell::Moment(moment) => drop(write!(line, "\"{moment}\"")),
    }
    Ok(())
}

fn plainly(cell: &Cell<'_>) -> String {
    match cell {
        Cell::Null | Cell::Absent => String::new(),
        Cell::Integer(number) => number.to_string(),
        Cell::Real(number) => number.to_string(),
        Cell::Text(text) | Cell::Json(text) => (*text).to_owned(),
        Cell::Moment(moment) => moment.to_string(),
    }
}

fn for_people(cell: &Cell<'_>, utc: bool) -> String {
    match cell {
        Cell::Real(number) => {
            let text = format!("{number:.3}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        Cell::Moment(at) => moment(*at, utc),
        other => plain_text(plainly(other)),
    }
}

fn writeln_csv(out: &mut impl Write, cells: impl Iterator<Item = String>) -> io::Result<()> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
    writer.write_record(cells.map(String::into_bytes)).map_err(io::Error::from)?;
    writer.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(form: Form) -> String {
        let mut sheet = Sheet::new(Vec::new(), form, vec!["due", "value", "note", "ms"]).expect("written");
        let moment = Cell::Moment(Timestamp::from_micros(1_500));
        let rows = [
            [moment, Cell::Json("{\"a\":\n1e400}"), Cell::Text("a \"b\",\nc"), Cell::Real(1.5)],
            [moment, Cell::Null, Cell::Null, Cell::Integer(2)],
        ];
        for row in &rows {
            sheet.row(row).expect("written");
        }
        String::from_utf8(sheet.finish().expect("written")).expect("UTF-8")
    }

    #[test]
    fn columns_stay_below_each_other_whatever_is_written_in_them() {
        let mut sheet = Sheet::new(Vec::new(), Form::Table { utc: true }, vec!["name", "value"]).expect("written");
        for name in ["数数", "abc", "🔑"] {
            sheet.row(&[Cell::Text(name), Cell::Integer(1)]).expect("written");
        }
        let printed = String::from_utf8(sheet.finish().expect("written")).expect("UTF-8");
        assert_eq!(printed, " name  value\n 数数  1\n abc   1\n 🔑    1\n");
    }

    #[test]
    fn a_table_of_large_documents_does_not_wait_for_a_thousand_of_them() {
        let document = format!("[{}]", "0,".repeat(300_000));
        let mut sheet = Sheet::new(Vec::new(), Form::Table { utc: true }, vec!["body"]).expect("written");
        for _ in 0..3 {
            sheet.row(&[Cell::Json(&document)]).expect("written");
        }
        assert!(sheet.printed().len() > document.len());
    }

    #[test]
    fn a_row_is_a_line_for_people_an_object_or_comma_separated_values() {
        assert_eq!(
            printed(Form::Json),
            "{\"due\":\"1970-01-01T00:00:00.001Z\",\"value\":{\"a\": 1e400},\"note\":\"a \\\"b\\\",\\nc\",\"ms\":1.5}\n\
             {\"due\":\"1970-01-01T00:00:00.001Z\",\"value\":null,\"note\":null,\"ms\":2}\n"
        );
        assert_eq!(
            printed(Form::Csv),
            "due,value,note,ms\r\n1970-01-01T00:00:00.001Z,\"{\"\"a\"\":\n1e400}\",\"a \"\"b\"\",\nc\",1.5\r\n\
             1970-01-01T00:00:00.001Z,,,2\r\n"
        );
        assert_eq!(
            printed(Form::Table { utc: true }),
            " due                       value         note      ms\n \
             1970-01-01 00:00:00.001Z  {\"a\": 1e400}  a \"b\", c  1.5\n \
             1970-01-01 00:00:00.001Z                          2\n"
        );
    }
}
