//! The screen: what is wrong first, then the daemon, the jobs, and who fails since when. No line is wider than the
//! terminal, or 80 columns where there is none.

use std::collections::BTreeMap;
use std::io::{self, Write};

use bytesize::ByteSize;
use unicode_width::UnicodeWidthStr;

use super::report::Report;
use super::{State, Status};
use crate::cli::output::{self, plain_text, span, terminal_width};
use crate::model::Timestamp;
use crate::web::report::{DaemonStatus, FailingEndpoint, JobStatus, Round};

/// Columns where nobody says how many there are.
const USUAL_WIDTH: usize = 80;
/// The widest that a name is shown.
const WIDEST_NAME: usize = 24;
/// The most endpoints that are listed.
const MOST_FAILING: usize = 8;

/// A screen that is filled line by line.
struct Screen<'a> {
    out: &'a mut dyn Write,
    width: usize,
    now: Timestamp,
    utc: bool,
}

/// Prints `status` at `now`.
pub fn print(out: &mut dyn Write, status: &Status, now: Timestamp, utc: bool) -> io::Result<()> {
    let width = terminal_width().unwrap_or(USUAL_WIDTH);
    Screen { out, width, now, utc }.all(status)
}

impl Screen<'_> {
    fn all(&mut self, status: &Status) -> io::Result<()> {
        self.line(match status.state {
            State::Ok => "ok",
            State::Degraded => "degraded",
            State::Down => "down",
        })?;
        for reason in status.why.iter().chain(&status.notes) {
            self.wrapped(reason)?;
        }
        let Report { daemon, jobs, .. } = &status.report;
        if daemon.is_none() && jobs.is_empty() {
            return Ok(());
        }
        self.line("")?;
        if let Some(daemon) = daemon {
            self.daemon(daemon)?;
        }
        self.database(&status.report)?;
        self.last_day(jobs)?;
        self.jobs(jobs)?;
        self.failing(jobs)
    }

    fn daemon(&mut self, daemon: &DaemonStatus) -> io::Result<()> {
        let DaemonStatus { version, started_at, workers, config_loaded_at, .. } = daemon;
        let up = span(self.now.since(*started_at));
        self.fact("up since", &format!("{}, {up}, version {version}", self.moment(*started_at)))?;
        let busy = workers.busy.map(|busy| format!(", {busy} busy")).unwrap_or_default();
        self.fact("workers", &format!("{} of {} alive{busy}", workers.alive, workers.configured))?;
        if let Some(queue) = &daemon.storage {
            let text = format!("{} waiting for the disk, {} dropped since the start", queue.waiting, queue.dropped);
            self.fact("queue", &text)?;
        }
        let refused = daemon.config_refused_at.map(|at| format!(", another refused {} ago", self.ago(at)));
        let loaded = self.moment(*config_loaded_at);
        self.fact("config", &format!("loaded {loaded}{}", refused.unwrap_or_default()))
    }

    fn database(&mut self, report: &Report) -> io::Result<()> {
        let Some(database) = &report.database else { return Ok(()) };
        let growth = growth(&report.jobs);
        let (bytes, log) = (ByteSize(database.bytes), ByteSize(database.log_bytes));
        let free = match database.free_bytes {
            0 => String::new(),
            free => format!(" ({} of it free)", ByteSize(free)),
        };
        self.fact("database", &format!("{bytes}{free}, {log} of log{growth}"))
    }

    /// The last 24 hours of all jobs.
    fn last_day(&mut self, jobs: &[JobStatus]) -> io::Result<()> {
        let mut sums: BTreeMap<(&str, Option<&str>), u64> = BTreeMap::new();
        for day in jobs.iter().flat_map(|job| &job.last_day).filter(|day| day.status != "running") {
            *sums.entry((&day.status, day.cause.as_deref())).or_default() += day.dues;
        }
        let told = sums.into_iter().map(|((status, cause), dues)| {
            let cause = cause.map(|cause| format!(" ({cause})")).unwrap_or_default();
            format!("{dues} {status}{cause}")
        });
        let told = told.collect::<Vec<_>>().join(", ");
        self.fact("last day", if told.is_empty() { "no rounds" } else { &told })
    }

    fn jobs(&mut self, jobs: &[JobStatus]) -> io::Result<()> {
        let current: Vec<&JobStatus> = jobs.iter().filter(|job| !job.is_retired()).collect();
        let mut rows = vec![["job", "last round", "result", "next", "not run"].map(str::to_owned)];
        rows.extend(current.iter().map(|job| self.row(job)));
        let widths: Vec<usize> =
            (0..5).map(|column| rows.iter().map(|row| row[column].width()).max().unwrap_or_default()).collect();
        self.line("")?;
        for row in &rows {
            let cells = row.iter().zip(&widths);
            let cells = cells.map(|(cell, &width)| format!("{cell}{}", " ".repeat(width - cell.width())));
            self.line(&cells.collect::<Vec<_>>().join("  "))?;
        }
        let retired = jobs.len() - current.len();
        if retired > 0 {
            self.line(&format!("and {retired} that the config no longer has"))?;
        }
        Ok(())
    }

    fn row(&self, job: &JobStatus) -> [String; 5] {
        let last = job.last_round.as_ref();
        let when = last.map_or_else(|| "none yet".to_owned(), |round| format!("{} ago", self.ago(round.due_at)));
        let state = job.state.as_deref().filter(|state| *state != "idle");
        let next = match (state, job.next_due) {
            (Some(state), _) => state.to_owned(),
            (None, Some(due)) if due < self.now => "now".to_owned(),
            (None, Some(due)) => format!("in {}", span(due.since(self.now))),
            (None, None) => "-".to_owned(),
        };
        let not_run = job.last_day.iter().filter(|day| !["complete", "running"].contains(&day.status.as_str()));
        let not_run: u64 = not_run.map(|day| day.dues).sum();
        let result = last.map_or_else(|| "-".to_owned(), result);
        [name(&job.name), when, cut(&result, WIDEST_NAME), cut(&next, WIDEST_NAME), not_run.to_string()]
    }

    /// Who fails, whoever began last first: what is new is what an operator wants to know.
    fn failing(&mut self, jobs: &[JobStatus]) -> io::Result<()> {
        let current = jobs.iter().filter(|job| !job.is_retired());
        let mut failing: Vec<(&str, &FailingEndpoint)> =
            current.flat_map(|job| job.failing.iter().map(|failing| (job.name.as_str(), failing))).collect();
        failing.sort_by_key(|(_, failing)| std::cmp::Reverse(failing.since));
        if !failing.is_empty() {
            self.line("")?;
            self.line("failing, the newest first")?;
        }
        for (job, failing) in failing.iter().take(MOST_FAILING) {
            // The detail of a status begins with it.
            let known = |status: &String| failing.detail.as_ref().is_none_or(|detail| !detail.starts_with(status));
            let status = failing.http_status.map(|status| status.to_string()).filter(known);
            let status = status.map(|status| format!(" {status}")).unwrap_or_default();
            let detail = failing.detail.as_ref().map(|detail| format!(", {detail}")).unwrap_or_default();
            let names = format!("{} / {}", name(job), name(&failing.endpoint));
            self.line(&format!("{names}: {}{status}{detail}", failing.outcome))?;
            self.line(&format!("  {}", self.streak(failing)))?;
        }
        let more = failing.len().saturating_sub(MOST_FAILING);
        if more > 0 {
            self.line(&format!("and {more} more: gatherd status --json has all"))?;
        }
        Ok(())
    }

    fn streak(&self, failing: &FailingEndpoint) -> String {
        let least = if failing.whole { "" } else { "at least " };
        let rounds = if failing.rounds == 1 { "1 round".to_owned() } else { format!("{} rounds", failing.rounds) };
        let before = match failing.last_ok {
            None if failing.whole => ", never ok before",
            _ => "",
        };
        format!("for {least}{}, {rounds}, since {}{before}", self.ago(failing.since), self.moment(failing.since))
    }

    fn ago(&self, at: Timestamp) -> String {
        span(self.now.since(at))
    }

    fn moment(&self, at: Timestamp) -> String {
        output::second(at, self.utc)
    }

    fn fact(&mut self, name: &str, text: &str) -> io::Result<()> {
        self.line(&format!("{name:<10}{text}"))
    }

    /// A line, cut to the width; text of strangers in it is made harmless.
    fn line(&mut self, text: &str) -> io::Result<()> {
        let text = cut(text, self.width);
        writeln!(self.out, "{}", text.trim_end())
    }

    /// As many lines as it takes.
    fn wrapped(&mut self, text: &str) -> io::Result<()> {
        output::wrapped(&plain_text(text), "  ", "    ", self.width).iter().try_for_each(|line| self.line(line))
    }
}

/// How fast the file grows by the jobs whose cadence is known: of one without a round it cannot be told yet.
fn growth(jobs: &[JobStatus]) -> String {
    let due: Vec<Option<u64>> = jobs.iter().filter(|job| job.cadence.is_some()).map(|job| job.bytes_a_day).collect();
    let bytes = ByteSize(due.iter().flatten().sum());
    match due.iter().flatten().count() {
        0 if due.is_empty() => String::new(),
        0 => ", growth not known yet".to_owned(),
        known if known < due.len() => format!(", at least {bytes} more a day"),
        _ => format!(", about {bytes} more a day"),
    }
}

fn result(round: &Round) -> String {
    match (round.status.as_str(), &round.cause, round.ok, round.endpoints) {
        ("complete", _, Some(ok), Some(all)) => format!("{ok}/{all} ok"),
        (status, Some(cause), ..) => format!("{status}: {cause}"),
        (status, ..) => status.to_owned(),
    }
}

/// A name in the room for it; the end stays, by which those that begin alike differ.
fn name(name: &str) -> String {
    output::cut_middle(&plain_text(name), WIDEST_NAME).into_owned()
}

/// `text` on one line without anything that a terminal obeys.
fn cut(text: &str, width: usize) -> String {
    output::cut(&plain_text(text), width).into_owned()
}
