//! `gatherd uptime`: how reliable each endpoint was.

use std::io::stdout;
use std::process::ExitCode;
use std::time::Duration;

use chrono::Utc;
use clap_complete::engine::ArgValueCandidates;

use super::names;
use super::query::{AnswerArgs, SpanArgs};
use super::sheet::{Cell, Form, Sheet};
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

fn table(found: &[Uptime], utc: bool) -> anyhow::Result<()> {
    let columns =
        vec!["job", "endpoint", "ok %", "slots", "p50 ms", "p95 ms", "p99 ms", "longest outage", "from", "outcomes"];
    let mut sheet = Sheet::new(stdout().lock(), Form::Table { utc }, columns)?;
    for uptime in found {
        // Cut, not rounded: 100 is all of them. In whole numbers: as a float 29 of 100 are a little less than 29 %.
        let share = (uptime.ok * 100_000).checked_div(uptime.ok + uptime.failed);
        let share = share.and_then(|share| u32::try_from(share).ok());
        let share = share.map_or(Cell::Null, |share| Cell::Real(f64::from(share) / 1_000.0));
        let outage = uptime.longest_outage.map(|outage| {
            let length = humantime::format_duration(Duration::from_secs(outage.len().as_secs()));
            let open = if outage.goes_on { ", goes on" } else { "" };
            format!("{length}{open}")
        });
        let mut outcomes: Vec<(&String, &u64)> = uptime.outcomes.iter().collect();
        outcomes.sort_by_key(|(word, count)| (std::cmp::Reverse(**count), word.as_str()));
        let outcomes: Vec<String> = outcomes.into_iter().map(|(word, count)| format!("{word} {count}")).collect();
        let latency = |of: fn(&Uptime) -> Option<Duration>| millis(of(uptime));
        sheet.row(&[
            Cell::Text(&uptime.job),
            Cell::Text(&uptime.endpoint),
            share,
            Cell::count(uptime.slots),
            latency(|uptime| Some(uptime.latency?.p50)),
            latency(|uptime| Some(uptime.latency?.p95)),
            latency(|uptime| Some(uptime.latency?.p99)),
            Cell::text(outage.as_deref()),
            uptime.longest_outage.map_or(Cell::Null, |outage| Cell::Moment(outage.from)),
            Cell::Text(&outcomes.join(", ")),
        ])?;
    }
    drop(sheet.finish()?);
    Ok(())
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
