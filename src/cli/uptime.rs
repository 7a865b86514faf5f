//! `gatherd uptime`: how reliable each endpoint was.

use std::io::{Write, stdout};
use std::process::ExitCode;
use std::time::Duration;

use chrono::Utc;
use clap_complete::engine::ArgValueCandidates;
use unicode_width::UnicodeWidthStr;

use super::names;
use super::output::{moment, plain_text, terminal_width, wrapped};
use super::query::{AnswerArgs, SpanArgs};
use super::sheet::{Cell, Form, Sheet, milliseconds};
use super::source;
use crate::model::Timestamp;
use crate::store::uptime::Uptime;

/// What is asked about by default: 30 days.
const USUAL: Duration = Duration::from_hours(30 * 24);

/// What programs get.
const COLUMNS: [&str; 16] = [
    "job",
    "endpoint",
    "slots",
    "ok",
    "failed",
    "share_ok",
    "outcomes",
    "p50_ms",
    "p95_ms",
    "p99_ms",
    "outage_s",
    "outage_from",
    "outage_until",
    "outage_goes_on",
    "first_due",
    "last_due",
];

/// `gatherd uptime`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
    Of the slots, cancelled ones are neither ok nor failed, backoff ones failed. Latencies are those of what \
    ended as ok, at most 1 % too high. An outage counts from the due of its first failure to that of the next \
    success. Of what was pruned hours are left: one that --since or --until cuts counts whole.")]
pub struct UptimeArgs {
    /// Only this job
    #[arg(add = ArgValueCandidates::new(names::jobs))]
    pub job: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub span: SpanArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub answer: AnswerArgs,
}

pub fn run(args: &UptimeArgs) -> anyhow::Result<ExitCode> {
    let reader = args.answer.open()?;
    source::known_job(&reader, args.job.as_deref())?;
    let span = args.span.span(args.answer.zone())?;
    let until = span.until.unwrap_or_else(|| Timestamp::from(Utc::now()).plus(Duration::from_micros(1)));
    let from = span.from.unwrap_or_else(|| until.minus(USUAL));
    let found = reader.uptime(args.job.as_deref(), &(from..until))?;
    match args.answer.form() {
        Form::Table { utc } => table(&found, utc)?,
        form => rows(&found, form)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A line for each endpoint, or where the terminal is too narrow for that a few.
fn table(found: &[Uptime], utc: bool) -> anyhow::Result<()> {
    let columns =
        vec!["job", "endpoint", "ok %", "slots", "p50 ms", "p95 ms", "p99 ms", "longest outage", "from", "outcomes"];
    let mut sheet = Sheet::new(Vec::new(), Form::Table { utc }, columns)?.whole();
    for uptime in found {
        let latency = |of: fn(&Uptime) -> Option<Duration>| millis(of(uptime));
        sheet.row(&[
            Cell::Text(&uptime.job),
            Cell::Text(&uptime.endpoint),
            percent(uptime).map_or(Cell::Null, Cell::Real),
            Cell::count(uptime.slots),
            latency(|uptime| Some(uptime.latency?.p50)),
            latency(|uptime| Some(uptime.latency?.p95)),
            latency(|uptime| Some(uptime.latency?.p99)),
            Cell::text(longest_outage(uptime).as_deref()),
            uptime.longest_outage.map_or(Cell::Null, |outage| Cell::Moment(outage.from)),
            Cell::Text(&outcomes(uptime)),
        ])?;
    }
    let table = String::from_utf8(sheet.finish()?)?;
    let fits = |width: &usize| table.lines().all(|line| line.width() <= *width);
    let mut out = stdout().lock();
    match terminal_width().filter(|width| !fits(width)) {
        Some(width) => found
            .iter()
            .flat_map(|uptime| several_lines(uptime, utc, width))
            .try_for_each(|line| writeln!(out, "{line}"))?,
        None => out.write_all(table.as_bytes())?,
    }
    Ok(())
}

fn several_lines(uptime: &Uptime, utc: bool, width: usize) -> Vec<String> {
    let percent = percent(uptime).map(|percent| format!("{percent}% ok, ")).unwrap_or_default();
    let latency = uptime.latency.map(|latency| {
        let [p50, p95, p99] = [latency.p50, latency.p95, latency.p99].map(milliseconds);
        format!("; p50 {p50:.0} ms, p95 {p95:.0} ms, p99 {p99:.0} ms")
    });
    let figures = format!("{percent}{} slots: {}{}", uptime.slots, outcomes(uptime), latency.unwrap_or_default());
    let outage = uptime.longest_outage.zip(longest_outage(uptime));
    let outage = outage.map(|(outage, length)| format!("longest outage {length}, from {}", moment(outage.from, utc)));
    let mut lines = vec![plain_text(format!("{} / {}", uptime.job, uptime.endpoint))];
    lines.extend(
        [Some(figures), outage].into_iter().flatten().flat_map(|text| wrapped(&plain_text(text), "  ", "    ", width)),
    );
    lines
}

/// The share that is ok. Cut, not rounded: 100 is all of them. In whole numbers: as a float 29 of 100 are a little less
/// than 29 %.
fn percent(uptime: &Uptime) -> Option<f64> {
    let share = (uptime.ok * 100_000).checked_div(uptime.ok + uptime.failed)?;
    Some(f64::from(u32::try_from(share).ok()?) / 1_000.0)
}

fn longest_outage(uptime: &Uptime) -> Option<String> {
    let outage = uptime.longest_outage?;
    let length = humantime::format_duration(Duration::from_secs(outage.len().as_secs()));
    Some(format!("{length}{}", if outage.goes_on { ", goes on" } else { "" }))
}

fn outcomes(uptime: &Uptime) -> String {
    let mut outcomes: Vec<(&String, &u64)> = uptime.outcomes.iter().collect();
    outcomes.sort_by_key(|(word, count)| (std::cmp::Reverse(**count), word.as_str()));
    outcomes.into_iter().map(|(word, count)| format!("{word} {count}")).collect::<Vec<_>>().join(", ")
}

fn rows(found: &[Uptime], form: Form) -> anyhow::Result<()> {
    let mut sheet = Sheet::new(stdout().lock(), form, COLUMNS.to_vec())?;
    for uptime in found {
        let outcomes = serde_json::to_string(&uptime.outcomes)?;
        let outage = uptime.longest_outage;
        let moment = |moment: Option<Timestamp>| moment.map_or(Cell::Null, Cell::Moment);
        sheet.row(&[
            Cell::Text(&uptime.job),
            Cell::Text(&uptime.endpoint),
            Cell::count(uptime.slots),
            Cell::count(uptime.ok),
            Cell::count(uptime.failed),
            uptime.share_ok().map_or(Cell::Null, Cell::Real),
            Cell::Json(&outcomes),
            millis(uptime.latency.map(|latency| latency.p50)),
            millis(uptime.latency.map(|latency| latency.p95)),
            millis(uptime.latency.map(|latency| latency.p99)),
            outage.map_or(Cell::Null, |outage| Cell::Real(outage.len().as_secs_f64())),
            moment(outage.map(|outage| outage.from)),
            moment(outage.map(|outage| outage.until)),
            outage.map_or(Cell::Null, |outage| Cell::Json(if outage.goes_on { "true" } else { "false" })),
            moment(uptime.dues.map(|(first, _)| first)),
            moment(uptime.dues.map(|(_, last)| last)),
        ])?;
    }
    drop(sheet.finish()?);
    Ok(())
}

fn millis<'a>(span: Option<Duration>) -> Cell<'a> {
    span.map_or(Cell::Null, Cell::milliseconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::uptime::Outage;

    #[test]
    fn on_a_narrow_terminal_everything_is_said_in_several_lines() {
        let at = |hours: u64| Timestamp::from_micros(0).plus(Duration::from_hours(hours));
        let uptime = Uptime {
            job: "job".to_owned(),
            endpoint: "https://api.example.com/a/rather/long/one".to_owned(),
            slots: 180,
            ok: 99,
            failed: 81,
            outcomes: [("ok".to_owned(), 99), ("timeout".to_owned(), 81)].into(),
            latency: None,
            longest_outage: Some(Outage { from: at(1), until: at(3), goes_on: true }),
            dues: None,
        };
        assert_eq!(
            several_lines(&uptime, true, 50),
            [
                "job / https://api.example.com/a/rather/long/one",
                "  55% ok, 180 slots: ok 99, timeout 81",
                "  longest outage 2h, goes on, from 1970-01-01",
                "    01:00:00Z",
            ]
        );
    }
}
