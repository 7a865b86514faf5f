//! Answers as a table for people or as JSON for programs, and times for people.

use std::io::{IsTerminal, Write, stdout};

use chrono::{DateTime, Local, SecondsFormat, Utc};
use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::sheet::{Cell, Form, Sheet};
use crate::model::Timestamp;
use crate::store::read::{Answer, Value};

/// The columns whose text is JSON, as it was sent.
const DOCUMENTS: [&str; 2] = ["body", "vector"];

/// A table with `columns`, each as wide as its widest value.
pub fn table<T: Into<comfy_table::Cell>>(columns: impl IntoIterator<Item = T>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(columns);
    table
}

/// Prints `table` whole.
pub fn print(table: &Table) -> anyhow::Result<()> {
    print_cut(table, usize::MAX)
}

/// Prints `table`. On a terminal each line is cut to its width, so that a row is a line.
pub fn print_to_width(table: &Table) -> anyhow::Result<()> {
    print_cut(table, terminal_width().unwrap_or(usize::MAX))
}

fn print_cut(table: &Table, width: usize) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    for line in table.lines() {
        let line = line.trim_end();
        match line.char_indices().nth(width) {
            None => writeln!(out, "{line}")?,
            Some(_) => writeln!(out, "{}…", line.chars().take(width - 1).collect::<String>())?,
        }
    }
    Ok(())
}

/// Prints `answer` as JSON or comma-separated values. With `documents` the columns that hold JSON are that JSON, not text.
pub fn print_answer(answer: &Answer, form: Form, documents: bool) -> anyhow::Result<()> {
    let mut sheet = Sheet::new(stdout().lock(), form, answer.columns.clone())?;
    for row in &answer.rows {
        let bytes: Vec<String> = row.iter().map(plain).collect();
        let cells = answer.columns.iter().zip(row).zip(&bytes).map(|((column, value), bytes)| match value {
            Value::Text(text) if documents && DOCUMENTS.contains(&column.as_str()) => Cell::Json(text),
            Value::Null => Cell::Null,
            Value::Integer(number) => Cell::Integer(*number),
            Value::Real(number) => Cell::Real(*number),
            Value::Text(text) => Cell::Text(text),
            Value::Blob(_) => Cell::Text(bytes),
        });
        sheet.row(&cells.collect::<Vec<_>>())?;
    }
    drop(sheet.finish()?);
    Ok(())
}

/// A bar on standard error for so many slots; it draws nothing where that is not a terminal.
pub fn progress_bar(slots: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(u64::try_from(slots).ok(), ProgressDrawTarget::stderr());
    match ProgressStyle::with_template("{bar:40} {pos}/{len} {elapsed}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// How many characters a line of the terminal has, if standard output is one.
pub fn terminal_width() -> Option<usize> {
    Table::new().width().filter(|&width| width > 0 && stdout().is_terminal()).map(usize::from)
}

/// The moment that a view's column holds, if it holds one.
pub fn parse_moment(value: &Value) -> Option<DateTime<Utc>> {
    if let Value::Text(text) = value { text.parse().ok() } else { None }
}

/// A view's moment for people.
pub fn shown_moment(value: &Value, utc: bool) -> String {
    parse_moment(value).map_or_else(|| plain(value), |moment| zoned(moment, utc))
}

/// A moment for people: to the second, in the machine's zone or UTC.
pub fn moment(moment: Timestamp, utc: bool) -> String {
    moment.to_utc().map_or_else(|| moment.to_string(), |moment| zoned(moment, utc))
}

fn zoned(moment: DateTime<Utc>, utc: bool) -> String {
    let millis = if moment.timestamp_subsec_millis() == 0 { SecondsFormat::Secs } else { SecondsFormat::Millis };
    let text = if utc {
        moment.to_rfc3339_opts(millis, true)
    } else {
        moment.with_timezone(&Local).to_rfc3339_opts(millis, false)
    };
    text.replacen('T', " ", 1)
}

/// A value for people: on one line, with control characters made harmless.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => plain_text(text),
        Value::Blob(bytes) => bytes.iter().fold(String::from("x'"), |text, byte| text + &format!("{byte:02x}")) + "'",
    }
}

/// The same for a text.
pub fn plain_text(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
