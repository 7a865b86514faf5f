//! `gatherd history`: documents, or one value of them, over time.

use std::io::{Write, stderr, stdout};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use chrono::Utc;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap_complete::engine::ArgValueCandidates;

use super::exit::{Failure, NO, usage};
use super::names;
use super::plot;
use super::query::{AnswerArgs, SpanArgs, known_endpoint};
use super::rows::{self, Sink};
use super::series::{Series, after_holes};
use super::sheet::{Cell, Sheet};
use super::source;
use crate::config::parse_duration;
use crate::model::Timestamp;
use crate::store::history::{Aggregate, Bucket, Buckets, Every, Field, Fill, Found, Observation, Selection, Span};
use crate::store::read::Reader;

/// So many buckets are made before they are handed on.
const TURN: usize = 10_000;
/// More values than any picture shows.
const MOST_POINTS: usize = 2_000_000;
/// More ledger entries than any picture shows.
const MOST_GAPS: u32 = 100_000;

/// `gatherd history`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
    Fields: a text that begins with / (or is empty) is a JSON Pointer: what it points at is shown as sent, to \
    the digit; of a key that is there twice the last one counts. Anything else is a jq expression, whose first \
    output is the value; it is bounded in time and memory, and has neither modules nor the environment. No \
    value is null, beside the outcome that says whether there was a document.\n\n\
    Stretches: --every takes anything from 1s to under a day, counted from each midnight, or whole days, which \
    are calendar days of the zone and 23 or 25 hours long where its clock changes.\n\n\
    Aggregates: avg, p50 and p95 (a line between two values, as in numpy) are floating point; min, max and \
    last keep every digit; sum is exact while all are integers and it fits 128 bits; count counts. What is not \
    a number is passed over. A stretch without numbers is null, the last value before (also from before \
    --since), or left out, as --fill says.\n\n\
    Pictures: a line ends where a slot failed, where a round is in the ledger or was without the endpoint, and \
    before what is more than three times as far away as usual. They reach from --since to --until, or to now; \
    without them from the first slot to the last one, failed or not.")]
pub struct HistoryArgs {
    /// The job
    #[arg(add = ArgValueCandidates::new(names::jobs))]
    pub job: String,
    /// The endpoint's name
    #[arg(add = ArgValueCandidates::new(names::endpoints))]
    pub endpoint: String,
    /// One value of each document: a JSON Pointer such as /users/0/name, or a jq expression; failed slots are null
    #[arg(long, value_name = "POINTER|JQ", allow_hyphen_values = true)]
    pub field: Option<String>,
    /// Put values together by stretches of time such as 15m, 1h or 1day; days are those of the zone
    #[arg(long, value_name = "TIME", value_parser = every)]
    pub every: Option<Every>,
    /// What is made of the numbers of a stretch [default: avg of --field, else count]
    #[arg(long, value_name = "HOW", requires = "every", value_parser = words::<Aggregate>(Aggregate::ALL.iter().map(|word| word.as_str())))]
    pub agg: Option<Aggregate>,
    /// What stands for a stretch without numbers: nothing, the last value, or not even a row
    #[arg(long, value_name = "WITH", requires = "every", default_value = "null", value_parser = words::<Fill>(Fill::ALL.iter().map(|word| word.as_str())))]
    pub fill: Fill,
    /// Draw the values in the terminal; gaps are where slots failed or rounds are missing
    #[arg(long, conflicts_with_all = ["json", "csv"])]
    pub plot: bool,
    /// Draw the values into this file, as SVG
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "csv"])]
    pub svg: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub span: SpanArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub answer: AnswerArgs,
}

fn every(text: &str) -> Result<Every, String> {
    let length = parse_duration(text).ok_or_else(|| "write it like 15m, 1h or 1day".to_owned())?;
    Every::new(length).map_err(str::to_owned)
}

/// Reads one of `words`, which help and completion list.
fn words<T>(words: impl Iterator<Item = &'static str>) -> impl TypedValueParser<Value = T>
where
    T: std::str::FromStr<Err = String> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words.collect::<Vec<_>>()).try_map(|word| word.parse::<T>())
}

/// What is asked.
struct Question<'a> {
    args: &'a HistoryArgs,
    field: Option<Field>,
    wanted: Selection<'a>,
}

pub fn run(args: &HistoryArgs) -> anyhow::Result<ExitCode> {
    let field = args.field.as_deref().map(Field::parse).transpose();
    let field = field.map_err(|error| usage(format!("--field: {error}")))?;
    let span = args.span.span(args.answer.zone())?;
    let reader = args.answer.open()?;
    if let Some(picture) = &args.svg {
        source::is_not(picture, &args.answer.reader.source.path()?)?;
    }
    known_endpoint(&reader, &args.job, &args.endpoint)?;
    let wanted = Selection { job: &args.job, endpoint: Some(&args.endpoint), span, after: None };
    let question = Question { args, field, wanted };
    match (args.plot || args.svg.is_some(), args.every) {
        (true, _) => question.draw(&reader)?,
        (false, Some(every)) => question.print_buckets(&reader, every)?,
        (false, None) => question.print(&reader)?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Question<'_> {
    fn print(&self, reader: &Reader) -> anyhow::Result<()> {
        let columns = match self.field {
            Some(_) => vec!["due_at", "round_id", "value", "outcome", "detail"],
            None => vec!["due_at", "round_id", "outcome", "http_status", "attempts", "elapsed_ms", "body", "detail"],
        };
        let sheet = Sheet::new(Vec::new(), self.args.answer.form(), columns)?;
        let mut printer = Printer { sheet, field: self.field.as_ref() };
        rows::send(reader, &self.wanted, &mut printer)?;
        rows::print_rest(printer.sheet)
    }

    fn print_buckets(&self, reader: &Reader, every: Every) -> anyhow::Result<()> {
        let columns = vec!["from", "until", "value", "values", "slots", "failed"];
        let mut sheet = Sheet::new(Vec::new(), self.args.answer.form(), columns)?;
        let mut walk = self.by_time(reader, every)?;
        while let Some(turn) = walk.turn(reader)? {
            for bucket in turn {
                sheet.row(&[
                    Cell::Moment(bucket.from),
                    Cell::Moment(bucket.until),
                    Cell::json(bucket.value.as_deref()),
                    Cell::count(bucket.values),
                    Cell::count(bucket.slots),
                    Cell::count(bucket.failed),
                ])?;
            }
            rows::print(&mut sheet)?;
        }
        rows::print_rest(sheet)
    }

    /// What is asked, by stretches of time. Those at the ends of a span that was named are there even when nothing ran.
    fn by_time(&self, reader: &Reader, every: Every) -> anyhow::Result<Walk<'_>> {
        let field = self.field.as_ref();
        let aggregate = match (self.args.agg, field) {
            (Some(aggregate), Some(_)) => aggregate,
            (None, Some(_)) => Aggregate::Avg,
            (None | Some(Aggregate::Count), None) => Aggregate::Count,
            (Some(aggregate), None) => return Err(usage(format!("--agg {aggregate} wants a --field; count does not"))),
        };
        let mut buckets = Buckets::new(every, self.args.answer.zone(), aggregate, self.args.fill);
        if let Some(from) = self.wanted.span.from {
            buckets = reader.carried_into(buckets.beginning_at(from), &self.wanted, field)?;
        }
        Ok(Walk { field, wanted: self.wanted, buckets, end: self.end(), all_read: false })
    }

    /// Where what is asked ends, if a span was named: nothing is missing of what is still to come.
    fn end(&self) -> Option<Timestamp> {
        let Span { from, until } = self.wanted.span;
        let now = Utc::now().into();
        until.or(from.map(|_| now)).map(|until| until.min(now))
    }

    fn draw(&self, reader: &Reader) -> anyhow::Result<()> {
        let mut series = match (self.args.every, &self.field) {
            (Some(every), _) => self.series_of_buckets(reader, every)?,
            (None, Some(field)) => self.series(reader, field)?,
            (None, None) => {
                return Err(usage("a plot wants a --field, or --every for how many documents there are"));
            }
        };
        let args = self.args;
        if series.runs.is_empty() {
            let message = format!("no number to draw of {:?} in job {:?}", args.endpoint, args.job);
            return Err(Failure { message, code: NO }.into());
        }
        // What was asked for is shown to its ends, whether there was anything or not.
        for end in [self.wanted.span.from, self.end()].into_iter().flatten() {
            series.reach(end);
        }
        let title = [Some(args.endpoint.as_str()), args.field.as_deref()];
        let title = title.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ");
        if args.plot {
            stdout().lock().write_all(plot::in_terminal(&series, &title, args.answer.zone()).as_bytes())?;
        }
        if let Some(path) = &args.svg {
            plot::into_svg(&series, &title, args.answer.zone(), path)?;
            writeln!(stderr(), "{}: {} values", path.display(), series.values())?;
        }
        Ok(())
    }

    fn series_of_buckets(&self, reader: &Reader, every: Every) -> anyhow::Result<Series> {
        let mut series = Series::default();
        let mut before = None;
        let mut walk = self.by_time(reader, every)?;
        while let Some(turn) = walk.turn(reader)? {
            for bucket in turn {
                if before.replace(bucket.until).is_some_and(|until| until != bucket.from) {
                    series.interrupt();
                }
                series.reach(bucket.from);
                add(&mut series, bucket.from, bucket.value.as_deref());
                if series.values() >= MOST_POINTS {
                    return Err(self.too_many());
                }
            }
        }
        Ok(series)
    }

    fn series(&self, reader: &Reader, field: &Field) -> anyhow::Result<Series> {
        let gaps = reader.gaps(self.wanted.job, self.wanted.span, MOST_GAPS)?;
        let last_gap = gaps.iter().map(|gap| self.end().map_or(gap.last_due, |end| end.min(gap.last_due))).max();
        let mut series = Series::default();
        let mut gaps = gaps.into_iter().peekable();
        let mut dues = Vec::new();
        reader.documents(&self.wanted, |document| {
            let due = document.place.due;
            let mut is_interrupted = document.after_absence;
            while gaps.next_if(|gap| gap.first_due < due).is_some() {
                is_interrupted = true;
            }
            if is_interrupted {
                series.interrupt();
            }
            dues.push(due);
            let found = document.body.map(|body| field.find(body));
            add(&mut series, due, found.as_ref().and_then(Found::value));
            if dues.len() < MOST_POINTS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        if dues.len() >= MOST_POINTS {
            return Err(self.too_many());
        }
        // Failures at the ends are shown as well, and what did not run at the last.
        let (first, last) = (dues.first().copied(), dues.last().copied());
        for end in [first, last, last_gap.filter(|gap| Some(*gap) > last)].into_iter().flatten() {
            series.reach(end);
        }
        series.interrupt_before(&after_holes(&dues));
        Ok(series)
    }

    fn too_many(&self) -> anyhow::Error {
        let longer = if self.args.every.is_some() { "a longer --every" } else { "--every" };
        usage(format!("too many values for a picture: add {longer}, or a shorter stretch by --since and --until"))
    }
}

fn add(series: &mut Series, at: Timestamp, value: Option<&str>) {
    match value.and_then(|value| value.parse::<f64>().ok()).filter(|value| value.is_finite()) {
        Some(value) => series.add(at, value),
        None => series.interrupt(),
    }
}

/// Buckets by turns, so that whoever takes them slowly holds no read transaction.
struct Walk<'a> {
    field: Option<&'a Field>,
    wanted: Selection<'a>,
    buckets: Buckets,
    end: Option<Timestamp>,
    all_read: bool,
}

impl Walk<'_> {
    /// The next ones; `None` when there are no more.
    fn turn(&mut self, reader: &Reader) -> anyhow::Result<Option<Vec<Bucket>>> {
        let mut turn = Vec::new();
        let mut take = |bucket| {
            turn.push(bucket);
            if turn.len() < TURN { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        if self.all_read {
            let _ = self.buckets.finish(self.end, take);
            return Ok(Some(turn).filter(|turn| !turn.is_empty()));
        }
        let mut added = self.wanted.after;
        let stopped = reader.values(&self.wanted, self.field, |place, ok, value| {
            self.buckets.add(place.due, ok, value, &mut take)?;
            added = Some(place);
            ControlFlow::Continue(())
        })?;
        self.wanted.after = added;
        self.all_read = stopped.is_none();
        Ok(Some(turn))
    }
}

/// Prints observations row by row.
struct Printer<'a> {
    sheet: Sheet<Vec<u8>>,
    field: Option<&'a Field>,
}

impl Sink for Printer<'_> {
    fn take(&mut self, observation: &Observation<'_>) -> anyhow::Result<()> {
        let (due, round) = (Cell::Moment(observation.place.due), Cell::Integer(observation.place.round.0));
        let outcome = Cell::Text(observation.outcome);
        let Some(field) = self.field else {
            return Ok(self.sheet.row(&[
                due,
                round,
                outcome,
                observation.http_status.map_or(Cell::Null, Cell::count),
                Cell::count(observation.attempts),
                Cell::milliseconds(observation.elapsed),
                Cell::json(observation.body),
                Cell::text(observation.detail),
            ])?);
        };
        let found = observation.body.map(|body| field.find(body));
        let note = if let Some(Found::Nothing(Some(note))) = &found { Some(note.as_str()) } else { None };
        let value = Cell::json(found.as_ref().and_then(Found::value));
        Ok(self.sheet.row(&[due, round, value, outcome, Cell::text(observation.detail.or(note))])?)
    }

    fn is_full(&self) -> bool {
        rows::is_full(&self.sheet)
    }

    fn hand_on(&mut self) -> anyhow::Result<()> {
        rows::print(&mut self.sheet)
    }
}
