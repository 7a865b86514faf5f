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
use super::report::{self, DaemonStatus, DatabaseStatus, JobStatus, QueueCounts, WorkerCounts};
use crate::actors::messages::JobState;
use crate::model::Timestamp;

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
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: api.started,
        silent: signs.silent().into_iter().map(str::to_owned).collect(),
        workers: WorkerCounts { configured: api.workers, alive: (api.sources.alive)(), busy: signs.busy },
        storage: signs.storage.map(|state| QueueCounts {
            waiting: state.waiting,
            dropped: state.dropped,
            failed: state.failed,
        }),
        config_loaded_at: loaded,
        config_refused_at: refused,
    };
    let database = DatabaseStatus::of(&api.sources.database, &found.database);
    let jobs = report::jobs(configured(&api, signs.jobs.as_deref()), found.jobs);
    Ok(answer::ok(&request, json(&Status { daemon, jobs, database }, "ask for single jobs")?))
}

/// The jobs of the config, as far as it and the scheduler know them, and how many dues they have in a week.
fn configured(api: &Api, states: Option<&[JobState]>) -> impl Iterator<Item = (JobStatus, u64)> {
    api.jobs.all().into_iter().map(move |job| {
        let state = states.and_then(|states| states.iter().find(|state| state.job == job.layout.job));
        let known = JobStatus {
            cadence: Some(job.cadence.clone()),
            state: state.map(|state| phase(state).to_owned()),
            next_due: state.and_then(|state| state.next_due),
            endpoints: Some(job.layout.endpoints.len()),
            ..JobStatus::named(job.layout.job.as_str())
        };
        (known, job.dues_a_week)
    })
}
