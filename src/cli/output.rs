//! Answers as a table for people or as JSON for programs, and times for people.

use std::borrow::Cow;
use std::io::{IsTerminal, Write, stdout};
use std::time::Duration;

use chrono::{DateTime, Local, SecondsFormat, Utc};
use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::sheet::{Cell, Form, Sheet};
use crate::model::Timestamp;
use crate::store::read::{Answer, Value};

/// The column whose text is JSON, as it was sent.
const DOCUMENT: &str = "vector";

/// A table with `columns`, each as wide as its widest value.
pub fn table<T: Into<comfy_table::Cell>>(columns: impl IntoIterator<Item = T>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(columns);
    table
}

/// Prints `table`. On a terminal each line is cut to its width, so that a row is a line.
pub fn print_to_width(table: &Table) -> anyhow::Result<()> {
    let width = terminal_width().unwrap_or(usize::MAX);
    let mut out = stdout().lock();
    for line in table.lines() {
        writeln!(out, "{}", cut(line.trim_end(), width))?;
    }
    Ok(())
}

/// `text` in at most so many columns of a terminal (UAX #11), with a sign that something is missing where it is longer.
pub fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if text.width() <= width {
        return text.into();
    }
    let mut columns = 0;
    let fits = |c: &char| {
        columns += c.width().unwrap_or_default();
        columns < width
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// `text` in at most so many columns, without its middle where it is longer: names of endpoints that are URLs begin alike.
pub fn cut_middle(text: &str, width: usize) -> Cow<'_, str> {
    if text.width() <= width {
        return text.into();
    }
    let within = |most: usize| {
        let mut columns = 0;
        move |c: &char| {
            columns += c.width().unwrap_or_default();
            columns <= most
        }
    };
    let begin: String = text.chars().take_while(within(width.saturating_sub(1) / 3)).collect();
    let end: Vec<char> = text.chars().rev().take_while(within(width.saturating_sub(1 + begin.width()))).collect();
    let end: String = end.into_iter().rev().collect();
    format!("{begin}…{end}").into()
}

/// `text` in lines of at most `width` columns, broken between words but not between backticks; the first line begins with
/// `first`, the `others` with that. A word that is longer has a line of its own.
pub fn wrapped(text: &str, first: &str, others: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut line, mut empty) = (first.to_owned(), true);
    for word in words(text) {
        if !empty && line.width() + 1 + word.width() > width {
            lines.push(line);
            (line, empty) = (others.to_owned(), true);
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(&word);
        empty = false;
    }
    lines.push(line);
    lines
}

/// What stands between spaces, and as one what stands between backticks.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut quoted = false;
    for word in text.split(' ') {
        match words.last_mut().filter(|_| quoted) {
            Some(last) => last.extend([" ", word]),
            None => words.push(word.to_owned()),
        }
        quoted ^= word.matches('`').count() % 2 == 1;
    }
    words
}

/// A stretch of time for people, to the second, in its two largest units.
pub fn span(span: Duration) -> String {
    let text = humantime::format_duration(Duration::from_secs(span.as_secs())).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// Prints `answer` as JSON or comma-separated values. With `documents` a column of vectors is JSON, not text.
pub fn print_answer(answer: &Answer, form: Form, documents: bool) -> anyhow::Result<()> {
    let mut sheet = Sheet::new(stdout().lock(), form, answer.columns.clone())?;
    for row in &answer.rows {
        let blob = |value: &Value| if matches!(value, Value::Blob(_)) { plain(value) } else { String::new() };
        let blobs: Vec<String> = row.iter().map(blob).collect();
        let cells = answer.columns.iter().zip(row).zip(&blobs).map(|((column, value), blob)| match value {
            Value::Text(text) if documents && column == DOCUMENT => Cell::Json(text),
            Value::Null => Cell::Null,
            Value::Integer(number) => Cell::Integer(*number),
            Value::Real(number) => Cell::Real(*number),
            Value::Text(text) => Cell::Text(text),
            Value::Blob(_) => Cell::Text(blob),
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

/// A moment for people: in the machine's zone or UTC, to the millisecond unless it is a full second.
pub fn moment(moment: Timestamp, utc: bool) -> String {
    moment.to_utc().map_or_else(|| moment.to_string(), |moment| zoned(moment, utc))
}

/// The same without a fraction of a second.
pub fn second(moment: Timestamp, utc: bool) -> String {
    let micros = moment.as_micros();
    self::moment(Timestamp::from_micros(micros - micros.rem_euclid(1_000_000)), utc)
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

/// A value for people: on one line, harmless as [`plain_text`] is.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => plain_text(text),
        Value::Blob(bytes) => bytes.iter().fold(String::from("x'"), |text, byte| text + &format!("{byte:02x}")) + "'",
    }
}

/// Text of strangers for people, on one line: what a terminal would obey and what is not seen as it is, control
/// characters, marks that turn the direction of writing and signs without width, are escaped, as in `\u{202e}`.
pub fn plain_text(text: impl AsRef<str>) -> String {
    let mut plain = String::new();
    for c in text.as_ref().chars() {
        match c {
            '\t' | '\n' | '\r' => plain.push(' '),
            c if c.is_control() || is_unseen(c) => plain.extend(c.escape_unicode()),
            c => plain.push(c),
        }
    }
    plain
}

/// The same for a text of several lines.
pub fn plain_lines(text: &str) -> String {
    text.split('\n').map(plain_text).collect::<Vec<_>>().join("\n")
}

/// Marks of the Unicode Bidirectional Algorithm (UAX #9), signs without width, separators of lines, and tags.
const fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
            | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_or_nobody_sees_is_escaped_and_other_text_stays() {
        assert_eq!(plain_text("a\u{202e}b\u{200b}\u{1b}[2J\u{9b}c"), r"a\u{202e}b\u{200b}\u{1b}[2J\u{9b}c");
        assert_eq!(plain_text("a\tb\r\nc"), "a b  c");
        assert_eq!(plain_lines("a\n\u{202e}b"), "a\n\\u{202e}b");
        assert_eq!(plain_lines("a\n"), "a\n");
        assert_eq!(plain_text("Größe 数 עברית 🔑"), "Größe 数 עברית 🔑");
    }

    #[test]
    fn text_is_cut_and_broken_by_columns() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdefg", 6), "abcde…");
        assert_eq!(cut("数数数数", 6), "数数…");
        assert_eq!(cut_middle("abcdef", 6), "abcdef");
        assert_eq!(cut_middle("http://127.0.0.1/hang", 10), "htt…1/hang");
        assert_eq!(cut_middle("数数数数", 6), "…数数");
        assert_eq!(wrapped("数数 数数 `a b` c", "- ", "  ", 8), ["- 数数", "  数数", "  `a b`", "  c"]);
        assert_eq!(wrapped("", "- ", "  ", 8), ["- "]);
    }
}
