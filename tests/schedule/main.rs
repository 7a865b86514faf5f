//! When jobs are due, and what becomes of a due: everything on the manual clock, nothing waits.

mod cadences;
mod properties;
mod reload;
#[path = "../support/mod.rs"]
mod support;
mod timetable;

use std::time::Duration;

use chrono::{DateTime, Utc};
use gatherd::clock::{Clock, ManualClock};
use gatherd::model::{JobName, TimeZone, Timestamp};
use gatherd::schedule::{Action, Cadence, Entry, Timetable};

const MINUTE: Duration = Duration::from_mins(1);

const HOUR: Duration = Duration::from_hours(1);

fn at(text: &str) -> Timestamp {
    text.parse::<DateTime<Utc>>().expect("a moment").into()
}

fn cron(pattern: &str, zone: &str) -> Cadence {
    Cadence::cron(pattern, zone.parse::<TimeZone>().expect("a zone")).expect("a pattern")
}

fn entry(name: &str, cadence: Cadence) -> Entry {
    Entry { job: JobName::new(name), cadence, deadline: None, run_on_start: false }
}

/// A timetable with one job, which `last_due` knows as it says.
fn timetable(cadence: Cadence, clock: &ManualClock, last_due: Option<&str>) -> (Timetable, Vec<Action>) {
    Timetable::start(vec![entry("job", cadence)], clock.now(), |_| last_due.map(at))
}

/// What happened, in short: `start DUE`, `missed FIRST +N`, `skipped FIRST +N`.
fn told(actions: &[Action]) -> Vec<String> {
    let minute = |moment: Timestamp| moment.to_string()[11..19].to_owned();
    let tell = |action: &Action| match action {
        Action::Start { due, .. } => format!("start {}", minute(*due)),
        Action::Ledger { dues, status, cause, .. } => {
            format!("{} {} +{} {}", status.as_str(), minute(dues.first), dues.count, cause.as_str())
        }
    };
    actions.iter().map(tell).collect()
}
