//! Answers as a table for people or as JSON for programs, and times for people.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write, stdout};

use chrono::{DateTime, Local, SecondsFormat, Utc};
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::value::RawValue;

use crate::model::Timestamp;
use crate::store::read::{Answer, Value};

/// The columns whose text is JSON, as it was sent.
const DOCUMENTS: [&str; 2] = ["body", "vector"];
/// The columns whose text is a moment.
const MOMENTS: [&str; 4] = ["due_at", "started_at", "finished_at", "fetched_at"];
/// The most of a document that a table shows where the terminal's width is not known.
const SHOWN: usize = 100;

/// A table with `columns`, as wide as the terminal.
pub fn table<T: Into<comfy_table::Cell>>(columns: impl IntoIterator<Item = T>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(columns);
    table
}

/// Prints columns of the views: moments in the zone that is wanted, documents as documents.
pub fn print_rounds(answer: &Answer, json: bool, utc: bool) -> anyhow::Result<()> {
    if json { print_json(answer, true) } else { print_table(answer, utc, false) }
}

/// Prints values as they are: the columns are the user's own.
pub fn print_values(answer: &Answer, json: bool) -> anyhow::Result<()> {
    if json { print_json(answer, false) } else { print_table(answer, true, true) }
}

/// Prints `answer` as a table. Times are local, with `utc` UTC; `raw` shows every value as it is.
fn print_table(answer: &Answer, utc: bool, raw: bool) -> anyhow::Result<()> {
    let mut table = table(answer.columns.iter().map(String::as_str));
    for row in &answer.rows {
        table.add_row(answer.columns.iter().zip(row).map(|(column, value)| match value {
            Value::Text(text) if !raw && MOMENTS.contains(&column.as_str()) => shown_moment(text, utc),
            Value::Text(text) if DOCUMENTS.contains(&column.as_str()) => shortened(text),
            other => plain(other),
        }));
    }
    let mut out = stdout().lock();
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Prints `answer` as one JSON object a line. With `documents` the columns that hold JSON are that JSON, not text.
fn print_json(answer: &Answer, documents: bool) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    for row in &answer.rows {
        let mut line = String::from("{");
        for (index, (column, value)) in answer.columns.iter().zip(row).enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(line, "{comma}{}:", serde_json::to_string(column)?)?;
            match value {
                Value::Text(text) if documents && DOCUMENTS.contains(&column.as_str()) => {
                    line.push_str(one_line(text)?.get());
                }
                Value::Null => line.push_str("null"),
                Value::Integer(number) => write!(line, "{number}")?,
                Value::Real(number) => line.push_str(&serde_json::to_string(number)?),
                Value::Text(text) => line.push_str(&serde_json::to_string(text)?),
                Value::Blob(_) => line.push_str(&serde_json::to_string(&plain(value))?),
            }
        }
        writeln!(out, "{line}}}")?;
    }
    Ok(())
}

/// A moment for people: to the second, in the machine's zone or UTC.
pub fn moment(moment: Timestamp, utc: bool) -> String {
    moment.to_utc().map_or_else(|| moment.to_string(), |moment| zoned(moment, utc))
}

fn shown_moment(text: &str, utc: bool) -> String {
    let parsed = text.parse::<DateTime<Utc>>();
    parsed.map_or_else(|_| text.to_owned(), |moment| zoned(moment, utc))
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

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect(),
        Value::Blob(bytes) => bytes.iter().fold(String::from("x'"), |text, byte| text + &format!("{byte:02x}")) + "'",
    }
}

/// A document that a table shows: on one line, with control characters made harmless, and no longer than helps.
fn shortened(text: &str) -> String {
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line = plain(&Value::Text(line));
    if stdout().is_terminal() && line.chars().count() > SHOWN {
        line = line.chars().take(SHOWN - 1).chain(['…']).collect();
    }
    line
}

/// A document as sent, but without the line breaks that it may have between its tokens: a line is an object here.
/// Inside of strings JSON has none.
fn one_line(text: &str) -> anyhow::Result<Box<RawValue>> {
    Ok(RawValue::from_string(text.replace(['\n', '\r'], " "))?)
}
