//! How the daemon does, in one answer: what only it knows, and what the file says.

use std::sync::{Arc, PoisonError, RwLock};

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use chrono::Utc;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{self, json};
use super::api::Api;
use super::jobs::phase;
use super::parameters::{Nothing, Query};
use super::problem::Problem;
use super::rows::Round;
use crate::actors::messages::JobState;
use crate::model::Timestamp;
use crate::store::overview::{self, JobOverview};

/// When the config in use was loaded, and whether the last attempt to load one failed. Clones see the same.
#[derive(Clone)]
pub struct LastLoad(Arc<RwLock<(Timestamp, Option<Timestamp>)>>);

impl LastLoad {
    /// The config of the start.
    #[must_use]
    pub fn new(at: Timestamp) -> Self {
        Self(Arc::new(RwLock::new((at, None))))
    }

    /// It was tried again.
    pub fn tried(&self, well: bool, at: Timestamp) {
        let mut last = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *last = if well { (at, None) } else { (last.0, Some(at)) };
    }

    fn get(&self) -> (Timestamp, Option<Timestamp>) {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How everything is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Status {
    /// What the daemon knows of itself.
    daemon: DaemonStatus,
    /// The jobs of the config in its order, then those that only the file knows.
    jobs: Vec<JobStatus>,
    /// The file.
    database: DatabaseStatus,
}

/// How the daemon is.
#[derive(Debug, Serialize, ToSchema)]
pub struct DaemonStatus {
    /// The version of the program.
    version: &'static str,
    /// When it started.
    #[schema(format = DateTime)]
    started_at: String,
    /// The parts of it that do not answer; none when all is well.
    silent: Vec<&'static str>,
    /// Threads that make requests.
    workers: WorkerCounts,
    /// How writing goes; null when that part does not answer.
    storage: Option<QueueCounts>,
    /// When the config in use was loaded.
    #[schema(format = DateTime)]
    config_loaded_at: String,
    /// When the config was read again and refused, unless a later one was taken.
    #[schema(format = DateTime)]
    config_refused_at: Option<String>,
}

/// Threads that make requests.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkerCounts {
    /// As the config has it.
    configured: usize,
    /// Those that are there.
    alive: usize,
    /// Attempts in flight; null when the fetcher does not answer.
    busy: Option<usize>,
}

/// What waits for the database.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueueCounts {
    /// Rounds and entries of the ledger that wait because it refuses.
    waiting: usize,
    /// Those that were dropped since the start because it refused for too long.
    dropped: u64,
    /// It failed for good, and the daemon is about to end.
    failed: bool,
}

/// How a job is.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobStatus {
    /// Its name.
    name: String,
    /// When it is due, as the config has it; null for a job that the config no longer has.
    cadence: Option<String>,
    /// `idle`, `running`, `closing`, or `retired` when the config no longer has it; null when the scheduler does not answer.
    state: Option<&'static str>,
    /// When it is due next.
    #[schema(format = DateTime)]
    next_due: Option<String>,
    /// How many endpoints it has in the config.
    endpoints: Option<usize>,
    /// Its newest round or entry of the ledger that does not run any more.
    last_round: Option<Round>,
    /// What became of the dues of the last 24 hours.
    last_day: Vec<DayCount>,
    /// The endpoints that failed in its newest complete round.
    failing: Vec<FailingEndpoint>,
    /// What it adds to the file in a day, as its rounds were in the last one.
    bytes_a_day: Option<u64>,
}

/// How many dues became this.
#[derive(Debug, Serialize, ToSchema)]
pub struct DayCount {
    /// `running`, `complete`, `interrupted`, `skipped` or `missed`.
    status: String,
    /// Why they are not complete.
    cause: Option<String>,
    /// How many.
    dues: u64,
}

/// An endpoint that fails, and since when.
#[derive(Debug, Serialize, ToSchema)]
pub struct FailingEndpoint {
    /// Its name.
    endpoint: String,
    /// How it failed last.
    outcome: String,
    /// The status of the last attempt, when its answer came that far.
    http_status: Option<u16>,
    /// More about how it failed.
    detail: Option<String>,
    /// The due of the first of the failures in a row.
    #[schema(format = DateTime)]
    since: String,
    /// How many they are.
    rounds: u64,
    /// The due of the success before them.
    #[schema(format = DateTime)]
    last_ok: Option<String>,
    /// Whether all were counted; if not, they began before `since`.
    whole: bool,
}

/// How large the database is.
#[derive(Debug, Serialize, ToSchema)]
pub struct DatabaseStatus {
    /// Device and inode: whoever sees the file can tell that it is this one.
    identity: Option<String>,
    /// The file.
    bytes: u64,
    /// Its write-ahead log.
    log_bytes: u64,
    /// The part of the file that is free for new rounds.
    free_bytes: u64,
}

/// How the daemon does: since when it runs, its jobs, who fails since when, the queue, the last day, the file.
///
/// Parts that do not answer are named, and what they know is null.
///
/// # Errors
/// 503 when the file is not asked in time.
#[utoipa::path(
    get, path = "/api/v1/status", tag = "health",
    responses((status = 200, description = "How it does, well or not", body = Status))
)]
pub async fn status(request: HttpRequest, api: Data<Api>, _: Query<Nothing>) -> Result<HttpResponse, Problem> {
    let signs = api.signs().await;
    let now = Timestamp::from(Utc::now());
    let found = api.ask(move |reader| Ok(reader.overview(now)?)).await?;
    let (loaded, refused) = api.last_load.get();
    let daemon = DaemonStatus {
        version: env!("CARGO_PKG_VERSION"),
        started_at: api.started.to_string(),
        silent: signs.silent(),
        workers: WorkerCounts { configured: api.workers, alive: (api.sources.alive)(), busy: signs.busy },
        storage: signs.storage.map(|state| QueueCounts {
            waiting: state.waiting,
            dropped: state.dropped,
            failed: state.failed,
        }),
        config_loaded_at: loaded.to_string(),
        config_refused_at: refused.map(|moment| moment.to_string()),
    };
    let database = DatabaseStatus {
        identity: overview::identity(&api.sources.database),
        bytes: found.database.bytes,
        log_bytes: found.database.log_bytes,
        free_bytes: found.database.free_bytes,
    };
    let jobs = jobs(&api, signs.jobs.as_deref(), found.jobs);
    Ok(answer::ok(&request, json(&Status { daemon, jobs, database }, "ask for single jobs")?))
}

fn jobs(api: &Api, states: Option<&[JobState]>, mut found: Vec<JobOverview>) -> Vec<JobStatus> {
    let mut jobs = Vec::with_capacity(found.len());
    for job in api.jobs.all() {
        let name = job.layout.job.as_str();
        let index = found.iter().position(|overview| overview.job == name);
        let state = states.and_then(|states| states.iter().find(|state| state.job == job.layout.job));
        jobs.push(JobStatus {
            cadence: Some(job.cadence.clone()),
            state: state.map(phase),
            next_due: state.and_then(|state| state.next_due).map(|due| due.to_string()),
            endpoints: Some(job.layout.endpoints.len()),
            ..by_file(name.to_owned(), index.map(|index| found.swap_remove(index)))
        });
    }
    found.sort_by(|a, b| a.job.cmp(&b.job));
    let retired = found.into_iter();
    jobs.extend(retired.map(|job| JobStatus { state: Some("retired"), ..by_file(job.job.clone(), Some(job)) }));
    jobs
}

/// What the file knows of a job.
fn by_file(name: String, found: Option<JobOverview>) -> JobStatus {
    let empty =
        JobOverview { job: String::new(), last_round: None, last_day: vec![], failing: vec![], bytes_a_day: None };
    let JobOverview { last_round, last_day, failing, bytes_a_day, .. } = found.unwrap_or(empty);
    let last_day = last_day.into_iter();
    let failing = failing.into_iter().map(|failing| FailingEndpoint {
        since: failing.since.to_string(),
        last_ok: failing.last_ok.map(|moment| moment.to_string()),
        endpoint: failing.endpoint,
        outcome: failing.outcome,
        http_status: failing.http_status,
        detail: failing.detail,
        rounds: failing.rounds,
        whole: failing.whole,
    });
    JobStatus {
        name,
        cadence: None,
        state: None,
        next_due: None,
        endpoints: None,
        last_round: last_round.map(Round::stored),
        last_day: last_day.map(|day| DayCount { status: day.status, cause: day.cause, dues: day.dues }).collect(),
        failing: failing.collect(),
        bytes_a_day,
    }
}
