//! How a daemon, its jobs and its file do, in the form in which the API tells it: what `/api/v1/status` answers and what
//! `gatherd status` prints, from the daemon or from the file alone.

use std::path::Path;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use super::rows::Round;
use crate::model::Timestamp;
use crate::store::overview::{self, DatabaseSize, JobOverview};

/// How the daemon is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct DaemonStatus {
    /// The version of the program.
    pub version: String,
    /// When it started.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// The parts of it that do not answer; none when all is well.
    pub silent: Vec<String>,
    /// Threads that make requests.
    pub workers: WorkerCounts,
    /// How writing goes; null when that part does not answer.
    pub storage: Option<QueueCounts>,
    /// When the config in use was loaded.
    #[schema(value_type = String, format = DateTime)]
    pub config_loaded_at: Timestamp,
    /// When the config was read again and refused, unless a later one was taken.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub config_refused_at: Option<Timestamp>,
}

/// Threads that make requests.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct WorkerCounts {
    /// As the config has it.
    pub configured: usize,
    /// Those that are there.
    pub alive: usize,
    /// Attempts in flight; null when the fetcher does not answer.
    pub busy: Option<usize>,
}

/// What waits for the database.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct QueueCounts {
    /// Rounds and entries of the ledger that wait because it refuses.
    pub waiting: usize,
    /// Those that were dropped since the start because it refused for too long.
    pub dropped: u64,
    /// It failed for good, and the daemon is about to end.
    pub failed: bool,
}

/// How a job is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct JobStatus {
    /// Its name.
    pub name: String,
    /// When it is due, as the config has it; null for a job that the config no longer has.
    pub cadence: Option<String>,
    /// `idle`, `running`, `closing`, or `retired` when the config no longer has it; null when the scheduler does not answer.
    pub state: Option<String>,
    /// When it is due next.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_due: Option<Timestamp>,
    /// How many endpoints it has in the config.
    pub endpoints: Option<usize>,
    /// Its newest round or entry of the ledger that does not run any more.
    pub last_round: Option<Round>,
    /// What became of the dues of the last 24 hours.
    pub last_day: Vec<DayCount>,
    /// The endpoints that failed in its newest complete round.
    pub failing: Vec<FailingEndpoint>,
    /// What it adds to the file in a day, by its cadence and the size of its newest rounds; null before there is one.
    pub bytes_a_day: Option<u64>,
}

/// How many dues became this.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct DayCount {
    /// `running`, `complete`, `interrupted`, `skipped` or `missed`.
    pub status: String,
    /// Why they are not complete.
    pub cause: Option<String>,
    /// How many.
    pub dues: u64,
}

/// An endpoint that fails, and since when.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct FailingEndpoint {
    /// Its name.
    pub endpoint: String,
    /// How it failed last.
    pub outcome: String,
    /// The status of the last attempt, when its answer came that far.
    pub http_status: Option<u16>,
    /// More about how it failed.
    pub detail: Option<String>,
    /// The due of the first of the failures in a row.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// How many they are.
    pub rounds: u64,
    /// The due of the success before them.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_ok: Option<Timestamp>,
    /// Whether all were counted; if not, they began before `since`.
    pub whole: bool,
}

/// How large the database is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct DatabaseStatus {
    /// Device and inode: whoever sees the file can tell that it is this one.
    pub identity: Option<String>,
    /// The file.
    pub bytes: u64,
    /// Its write-ahead log.
    pub log_bytes: u64,
    /// The part of the file that is free for new rounds.
    pub free_bytes: u64,
}

impl JobStatus {
    /// A job of which nothing is known.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            cadence: None,
            state: None,
            next_due: None,
            endpoints: None,
            last_round: None,
            last_day: Vec::new(),
            failing: Vec::new(),
            bytes_a_day: None,
        }
    }

    /// Whether the config no longer has it: whatever it did last is no news.
    #[must_use]
    pub fn is_retired(&self) -> bool {
        self.state.as_deref() == Some("retired")
    }

    fn with(self, known: JobOverview) -> Self {
        let last_day = known.last_day.into_iter();
        let failing = known.failing.into_iter().map(|failing| FailingEndpoint {
            endpoint: failing.endpoint,
            outcome: failing.outcome,
            http_status: failing.http_status,
            detail: failing.detail,
            since: failing.since,
            rounds: failing.rounds,
            last_ok: failing.last_ok,
            whole: failing.whole,
        });
        Self {
            last_round: known.last_round.map(Round::stored),
            last_day: last_day.map(|day| DayCount { status: day.status, cause: day.cause, dues: day.dues }).collect(),
            failing: failing.collect(),
            ..self
        }
    }
}

/// What a file knows of its jobs.
#[must_use]
pub fn stored_jobs(known: Vec<JobOverview>) -> Vec<JobStatus> {
    known.into_iter().map(|job| JobStatus::named(&job.job).with(job)).collect()
}

/// The jobs of a config in its order, given with how many dues they have in a week, each with what the file has `known` of
/// it, then those that only the file knows.
#[must_use]
pub fn jobs(configured: impl Iterator<Item = (JobStatus, u64)>, mut known: Vec<JobOverview>) -> Vec<JobStatus> {
    let mut jobs: Vec<JobStatus> = configured
        .map(|(job, dues_a_week)| match known.iter().position(|known| known.job == job.name) {
            Some(index) => {
                let known = known.remove(index);
                JobStatus { bytes_a_day: bytes_a_day(&known, dues_a_week), ..job.with(known) }
            }
            None => job,
        })
        .collect();
    let retired = stored_jobs(known).into_iter();
    jobs.extend(retired.map(|job| JobStatus { state: Some("retired".to_owned()), ..job }));
    jobs
}

/// By the cadence, not by the rounds of the last day: there are few of them after a start, and fewer while nothing ran.
/// Of dues that are skipped because the round before them still runs, the same share will be.
fn bytes_a_day(known: &JobOverview, dues_a_week: u64) -> Option<u64> {
    let dues = |is: &[&str]| -> u64 {
        known.last_day.iter().filter(|day| is.contains(&day.status.as_str())).map(|day| day.dues).sum()
    };
    let (ran, skipped) = (dues(&["complete"]), dues(&["skipped"]));
    let a_week = u128::from(dues_a_week) * u128::from(known.bytes_a_round?);
    let run = a_week * u128::from(ran.max(1)) / u128::from(ran.max(1) + skipped);
    u64::try_from(run / 7).ok()
}

impl DatabaseStatus {
    /// The file at `path`, whose size is known.
    #[must_use]
    pub fn of(path: &Path, size: &DatabaseSize) -> Self {
        let DatabaseSize { bytes, log_bytes, free_bytes } = *size;
        Self { identity: overview::identity(path), bytes, log_bytes, free_bytes }
    }
}
