//! `gatherd plan`: what the config will ask of hosts and of the disk.

use std::collections::{BTreeMap, HashMap};
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bytesize::ByteSize;
use chrono::{SecondsFormat, Utc};

use super::check::secrets;
use super::output::{moment, plain_text, span};
use super::query::FormArgs;
use super::sheet::{Cell, Form, Sheet};
use crate::config::{Job, Settings};
use crate::model::Timestamp;
use crate::store::StoreError;
use crate::store::read::Reader;
use crate::store::sizes::{ROUND_BYTES, SLOT_BYTES, rollup_bytes};

/// So many dues are shown, and so many on each side of a change of the clock.
const DUES: usize = 3;
const DAY: Duration = Duration::from_hours(24);
/// What a year's and a day's figures are counted over.
const YEAR: Duration = Duration::from_hours(24 * 365);
const HOURS_A_YEAR: u64 = 24 * 365;

/// `gatherd plan`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
    A year's size is that of its rounds and of their rollups: a row for each endpoint and hour, which stays when \
    `retain` lets the rounds go.")]
pub struct PlanArgs {
    /// The config file
    #[arg(long, default_value = "config.toml", value_name = "FILE")]
    pub config: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub printed: FormArgs,
}

/// What is known of a job.
struct JobPlan<'a> {
    job: &'a Job,
    dues: Vec<Timestamp>,
    /// The next change of its clock, and the dues around it.
    change: Option<(Timestamp, Vec<Timestamp>)>,
    dues_a_year: u64,
    /// What rounds take; `None` when no document is there to be measured.
    round_bytes_a_year: Option<u64>,
    /// What rollups take, which stay for ever: at most one for each endpoint and hour.
    rollup_bytes_a_year: u64,
    /// Where a round is too short for a `rate`.
    beyond_rates: Vec<String>,
}

/// What is asked of a host.
#[derive(Default)]
struct HostPlan {
    requests_a_day: u64,
    /// The longest of all `rate`s that are set for it, as time between two.
    rate: Option<Duration>,
}

pub fn run(args: &PlanArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(&args.config)?;
    let now = Timestamp::from(Utc::now());
    let reader = match Reader::open(&settings.database, Duration::from_secs(30)) {
        // Nothing that could be measured.
        Err(StoreError::Absent { .. } | StoreError::Older { .. }) => None,
        opened => Some(opened?),
    };
    let rates = strictest_rates(&settings);
    let jobs = settings.jobs.iter().map(|job| JobPlan::new(&rates, job, now, reader.as_ref()));
    let jobs = jobs.collect::<anyhow::Result<Vec<_>>>()?;
    let hosts = hosts(&jobs, &rates);
    let missing: Vec<String> = secrets(&settings)
        .into_iter()
        .filter_map(|named| named.error(settings.folder()))
        .map(|error| plain_text(format!("{:#}", anyhow::Error::from(error))))
        .collect();
    match args.printed.form() {
        Form::Table { utc } => text(&jobs, &hosts, &missing, utc)?,
        form => rows(&jobs, &hosts, &missing, form)?,
    }
    Ok(ExitCode::SUCCESS)
}

impl<'a> JobPlan<'a> {
    fn new(
        rates: &HashMap<&str, Duration>,
        job: &'a Job,
        now: Timestamp,
        reader: Option<&Reader>,
    ) -> anyhow::Result<Self> {
        let change =
            job.cadence.next_clock_change(now, now.plus(YEAR)).map(|change| (change, around(job, now, change)));
        let dues_a_year = job.cadence.dues_between(now, now.plus(YEAR)).map_or(0, |dues| dues.count);
        let sizes = reader.map(|reader| reader.document_bytes(job.name.as_str())).transpose()?.flatten();
        let slots = job.endpoints.len() as u64;
        let rollup_bytes_a_year = slots.saturating_mul(rollup_bytes(dues_a_year, dues_a_year.min(HOURS_A_YEAR)));
        let round_bytes_a_year = sizes.map(|(bytes, documents)| {
            // As if all succeeded: an endpoint that fails now will not always.
            let each_round = bytes * slots / documents.max(1) + slots * SLOT_BYTES + ROUND_BYTES;
            each_round.saturating_mul(dues_a_year)
        });
        let dues = following(job, now).take(DUES).collect();
        let beyond_rates = beyond_rates(rates, job, now);
        Ok(Self { job, dues, change, dues_a_year, round_bytes_a_year, rollup_bytes_a_year, beyond_rates })
    }

    /// What rounds and rollups take.
    fn bytes_a_year(&self) -> Option<u64> {
        Some(self.round_bytes_a_year?.saturating_add(self.rollup_bytes_a_year))
    }

    /// What rounds take on the disk when those older than `retain` have gone.
    fn bytes_kept(&self) -> Option<u64> {
        let retain = self.job.retain.filter(|retain| *retain < YEAR)?;
        let kept = u128::from(self.round_bytes_a_year?) * u128::from(retain.as_secs()) / u128::from(YEAR.as_secs());
        u64::try_from(kept).ok()
    }
}

/// The dues of `job` after a moment.
pub fn following(job: &Job, after: Timestamp) -> impl Iterator<Item = Timestamp> {
    std::iter::successors(job.cadence.next_after(after), |&due| job.cadence.next_after(due))
}

/// The last dues before `change` and the first from it on.
fn around(job: &Job, now: Timestamp, change: Timestamp) -> Vec<Timestamp> {
    // From far enough before it that a few dues fit between, but not so far that they are walked by the thousand.
    let mut span = Duration::from_mins(1);
    let before = loop {
        let begin = change.minus(span).max(now);
        let before: Vec<Timestamp> = following(job, begin).take_while(|due| *due < change).collect();
        if before.len() >= DUES || begin == now {
            break before;
        }
        span *= 4;
    };
    let after = following(job, change.minus(Duration::from_micros(1))).take(DUES);
    before[before.len().saturating_sub(DUES)..].iter().copied().chain(after).collect()
}

/// The strictest `rate` of all jobs for each host, as the time between two requests.
pub fn strictest_rates(settings: &Settings) -> HashMap<&str, Duration> {
    let mut rates = HashMap::<&str, Duration>::new();
    for endpoint in settings.jobs.iter().flat_map(|job| &job.endpoints) {
        if let Some(rate) = endpoint.request.rate {
            let strictest = rates.entry(&endpoint.host).or_default();
            *strictest = rate.max(*strictest);
        }
    }
    rates
}

/// Which hosts of `job` its rounds are too short for, by these rates, and by how much. Further pages and retries are not
/// counted.
pub fn beyond_rates(rates: &HashMap<&str, Duration>, job: &Job, now: Timestamp) -> Vec<String> {
    let Some(due) = following(job, now).next() else { return Vec::new() };
    let round = job.entry().longest_round(due);
    let mut counts = BTreeMap::<&str, u32>::new();
    for endpoint in &job.endpoints {
        *counts.entry(&endpoint.host).or_default() += 1;
    }
    let too_slow = |(host, count): (&str, u32)| {
        let needed = rates.get(host)?.saturating_mul(count - 1);
        let [needed_text, round_text] = [needed, round].map(span);
        let advice = "the rest ends as timeout (queue); a longer `deadline`, fewer endpoints or a higher `rate` helps";
        (needed > round).then(|| {
            format!("{count} requests to {host} take {needed_text} by its `rate`, a round has {round_text}: {advice}")
        })
    };
    counts.into_iter().filter_map(too_slow).collect()
}

fn hosts(jobs: &[JobPlan<'_>], rates: &HashMap<&str, Duration>) -> BTreeMap<String, HostPlan> {
    let mut hosts = BTreeMap::<String, u64>::new();
    for plan in jobs {
        for endpoint in &plan.job.endpoints {
            *hosts.entry(endpoint.host.to_string()).or_default() += plan.dues_a_year;
        }
    }
    let plans = hosts.into_iter().map(|(host, a_year)| {
        let (requests_a_day, rate) = (a_year.div_ceil(YEAR.as_secs() / DAY.as_secs()), rates.get(&*host).copied());
        (host, HostPlan { requests_a_day, rate })
    });
    plans.collect()
}

impl HostPlan {
    fn allowed_a_day(&self) -> Option<u64> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate is at most a million a second"
        )]
        self.rate.map(|rate| (DAY.as_secs_f64() / rate.as_secs_f64()).round() as u64)
    }

    fn is_too_much(&self) -> bool {
        self.allowed_a_day().is_some_and(|allowed| self.requests_a_day > allowed)
    }
}

fn text(jobs: &[JobPlan<'_>], hosts: &BTreeMap<String, HostPlan>, missing: &[String], utc: bool) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    let shown = |dues: &[Timestamp]| dues.iter().map(|due| moment(*due, utc)).collect::<Vec<_>>().join(", ");
    for plan in jobs {
        let job = plan.job;
        writeln!(out, "job {:?}  {}", job.name.as_str(), job.cadence_text)?;
        writeln!(out, "  due           {}", shown(&plan.dues))?;
        if let Some((change, dues)) = &plan.change {
            let there = |moment: &Timestamp| on_its_clock(job, *moment, utc);
            let dues: Vec<String> = dues.iter().map(there).collect();
            writeln!(out, "  clock change  {}: due {}", there(change), dues.join(", "))?;
        }
        let size = match plan.bytes_a_year() {
            Some(bytes) => format!("{} a year, as documents are now", ByteSize(bytes)),
            None => "not known before a document is stored".to_owned(),
        };
        let hours = ByteSize(plan.rollup_bytes_a_year);
        let kept = plan.bytes_kept();
        let kept = kept.map(|bytes| format!("; {} stay, by its `retain`, and {hours} more each year", ByteSize(bytes)));
        writeln!(out, "  size          {size}{}", kept.unwrap_or_default())?;
        for problem in &plan.beyond_rates {
            writeln!(out, "  TOO SLOW      {problem}")?;
        }
        writeln!(out)?;
    }
    writeln!(out, "requests a day, without retries and further pages")?;
    for (host, plan) in hosts {
        let rate = match plan.allowed_a_day() {
            Some(allowed) if plan.is_too_much() => format!("  TOO MANY for its `rate`: {allowed}"),
            Some(allowed) => format!("  of {allowed} by its `rate`"),
            None => String::new(),
        };
        writeln!(out, "  {:>9}  {host}{rate}", plan.requests_a_day)?;
    }
    if !missing.is_empty() {
        writeln!(out, "\nsecrets")?;
    }
    for secret in missing {
        writeln!(out, "  MISSING  {secret}")?;
    }
    Ok(())
}

/// A moment as the clock shows it that the job goes by: what a change of it does is seen there.
fn on_its_clock(job: &Job, at: Timestamp, utc: bool) -> String {
    match (job.cadence.zone().filter(|_| !utc), at.to_utc()) {
        (Some(zone), Some(at)) => {
            at.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Secs, false).replacen('T', " ", 1)
        }
        _ => moment(at, utc),
    }
}

/// One kind of row for all, so that programs read one table: what does not apply is empty.
fn rows(
    jobs: &[JobPlan<'_>],
    hosts: &BTreeMap<String, HostPlan>,
    missing: &[String],
    form: Form,
) -> anyhow::Result<()> {
    let columns = vec![
        "kind",
        "name",
        "cadence",
        "dues",
        "clock_change",
        "dues_around_it",
        "dues_a_year",
        "bytes_a_year",
        "bytes_kept",
        "rollup_bytes_a_year",
        "requests_a_day",
        "allowed_a_day",
    ];
    let width = columns.len();
    let mut sheet = Sheet::new(stdout().lock(), form, columns)?;
    let list = |dues: &[Timestamp]| serde_json::to_string(&dues.iter().map(ToString::to_string).collect::<Vec<_>>());
    for plan in jobs {
        let dues = list(&plan.dues)?;
        let around = plan.change.as_ref().map(|(_, dues)| list(dues)).transpose()?;
        sheet.row(&[
            Cell::Text("job"),
            Cell::Text(plan.job.name.as_str()),
            Cell::Text(&plan.job.cadence_text),
            Cell::Json(&dues),
            plan.change.as_ref().map_or(Cell::Null, |(change, _)| Cell::Moment(*change)),
            Cell::json(around.as_deref()),
            Cell::count(plan.dues_a_year),
            plan.bytes_a_year().map_or(Cell::Null, Cell::count),
            plan.bytes_kept().map_or(Cell::Null, Cell::count),
            Cell::count(plan.rollup_bytes_a_year),
            Cell::Null,
            Cell::Null,
        ])?;
    }
    for (host, plan) in hosts {
        let mut cells = vec![Cell::Null; width];
        (cells[0], cells[1]) = (Cell::Text("host"), Cell::Text(host));
        cells[width - 2] = Cell::count(plan.requests_a_day);
        cells[width - 1] = plan.allowed_a_day().map_or(Cell::Null, Cell::count);
        sheet.row(&cells)?;
    }
    for secret in missing {
        let mut cells = vec![Cell::Null; width];
        (cells[0], cells[1]) = (Cell::Text("missing secret"), Cell::Text(secret));
        sheet.row(&cells)?;
    }
    drop(sheet.finish()?);
    Ok(())
}
