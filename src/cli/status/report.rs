//! What there is to tell, in the form in which the API answers it: from there, or put together from the file alone.

use std::fmt;

use chrono::DateTime;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::Settings;
use crate::model::Timestamp;
use crate::store::history::StoredRound;
use crate::store::overview::{self, JobOverview, Overview};

/// A moment, in JSON as the API writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub Timestamp);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let moment = DateTime::parse_from_rfc3339(&text).map_err(serde::de::Error::custom)?;
        Ok(Self(Timestamp::from(moment.to_utc())))
    }
}

/// How everything is.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// What only a daemon that answers knows.
    pub daemon: Option<Daemon>,
    pub jobs: Vec<Job>,
    /// `None` when there is no file.
    pub database: Option<Database>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Daemon {
    pub version: String,
    pub started_at: Moment,
    /// The parts of it that do not answer.
    pub silent: Vec<String>,
    pub workers: Workers,
    pub storage: Option<Queue>,
    pub config_loaded_at: Moment,
    /// When the config was read again and refused.
    pub config_refused_at: Option<Moment>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Workers {
    pub configured: u64,
    pub alive: u64,
    pub busy: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Queue {
    pub waiting: u64,
    pub dropped: u64,
    pub failed: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    pub name: String,
    pub cadence: Option<String>,
    /// `None` when nobody says it.
    pub state: Option<String>,
    pub next_due: Option<Moment>,
    pub endpoints: Option<u64>,
    pub last_round: Option<Round>,
    pub last_day: Vec<DayCount>,
    pub failing: Vec<Failing>,
    pub bytes_a_day: Option<u64>,
}

impl Job {
    /// Whether the config no longer has it: whatever it did last is no news.
    pub fn is_retired(&self) -> bool {
        self.state.as_deref() == Some("retired")
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names are those of the API")]
pub struct Round {
    pub round_id: i64,
    pub due_at: Moment,
    pub started_at: Option<Moment>,
    pub finished_at: Option<Moment>,
    pub status: String,
    pub cause: Option<String>,
    pub covers: u64,
    pub endpoints: Option<u64>,
    pub ok: Option<u64>,
    pub failed: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct DayCount {
    pub status: String,
    pub cause: Option<String>,
    pub dues: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Failing {
    pub endpoint: String,
    pub outcome: String,
    pub http_status: Option<u16>,
    pub detail: Option<String>,
    pub since: Moment,
    pub rounds: u64,
    pub last_ok: Option<Moment>,
    pub whole: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Database {
    pub identity: Option<String>,
    pub bytes: u64,
    pub log_bytes: u64,
    pub free_bytes: u64,
}

impl Report {
    /// What the file says, at `now`. Where the config is known, its jobs come in its order; the others are retired. While
    /// a daemon `runs` that cannot be asked, the config says what is due next.
    pub fn by_file(overview: Overview, settings: Option<&Settings>, runs: bool, now: Timestamp) -> Self {
        let Some(settings) = settings else {
            return Self { jobs: overview.jobs.into_iter().map(Job::by_file).collect(), ..Self::default() };
        };
        let mut found = overview.jobs;
        let mut jobs = Vec::with_capacity(settings.jobs.len());
        for job in &settings.jobs {
            let name = job.name.as_str();
            let next_due = job.cadence.next_after(now).filter(|_| runs).map(Moment);
            let (cadence, endpoints) = (Some(job.cadence_text.clone()), Some(job.endpoints.len() as u64));
            let index = found.iter().position(|overview| overview.job == name);
            let known = index.map_or_else(|| unknown(name), |index| found.remove(index));
            jobs.push(Job { cadence, next_due, endpoints, ..Job::by_file(known) });
        }
        let retired = found.into_iter().map(Job::by_file);
        jobs.extend(retired.map(|job| Job { state: Some("retired".to_owned()), ..job }));
        Self { jobs, ..Self::default() }
    }

    /// The same about the file at `path`, whose size is known.
    pub fn of_database(self, path: &std::path::Path, size: &overview::DatabaseSize) -> Self {
        let identity = overview::identity(path);
        let (bytes, log_bytes, free_bytes) = (size.bytes, size.log_bytes, size.free_bytes);
        Self { database: Some(Database { identity, bytes, log_bytes, free_bytes }), ..self }
    }
}

/// A job that never ran.
fn unknown(name: &str) -> JobOverview {
    let (last_day, failing) = (Vec::new(), Vec::new());
    JobOverview { job: name.to_owned(), last_round: None, last_day, failing, bytes_a_day: None }
}

impl Job {
    fn by_file(job: JobOverview) -> Self {
        let failing = job.failing.into_iter().map(|failing| Failing {
            endpoint: failing.endpoint,
            outcome: failing.outcome,
            http_status: failing.http_status,
            detail: failing.detail,
            since: Moment(failing.since),
            rounds: failing.rounds,
            last_ok: failing.last_ok.map(Moment),
            whole: failing.whole,
        });
        let last_day = job.last_day.into_iter();
        Self {
            name: job.job,
            cadence: None,
            state: None,
            next_due: None,
            endpoints: None,
            last_round: job.last_round.map(Round::from),
            last_day: last_day.map(|day| DayCount { status: day.status, cause: day.cause, dues: day.dues }).collect(),
            failing: failing.collect(),
            bytes_a_day: job.bytes_a_day,
        }
    }
}

impl From<StoredRound> for Round {
    fn from(round: StoredRound) -> Self {
        Self {
            round_id: round.id.0,
            due_at: Moment(round.due),
            started_at: round.started.map(Moment),
            finished_at: round.finished.map(Moment),
            status: round.status,
            cause: round.cause,
            covers: round.covers,
            endpoints: round.endpoints,
            ok: round.ok,
            failed: round.failed,
        }
    }
}
