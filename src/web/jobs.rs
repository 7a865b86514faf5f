//! Jobs: what they are, what they do, and the one call that changes something.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{self, json};
use super::api::{Api, ConfiguredJob};
use super::parameters::{Nothing, Query};
use super::problem::Problem;
use super::rows::Round;
use crate::actors::messages::{JobPhase, JobState, NotStarted};

/// A job.
#[derive(Debug, Serialize, ToSchema)]
pub struct Job {
    /// Its name.
    name: String,
    /// When it is due, as the config has it; null for a job that the config no longer has.
    #[schema(example = "every 1m")]
    cadence: Option<String>,
    /// `idle`, `running`, `closing` (the last round is being stored and the next one waits), or `retired` when the
    /// config no longer has it.
    #[schema(example = "idle")]
    state: &'static str,
    /// When it is due next.
    #[schema(format = DateTime)]
    next_due: Option<String>,
    /// How many endpoints it has in the config.
    endpoints: usize,
    /// Its newest round.
    last_round: Option<Round>,
}

/// All jobs.
#[derive(Debug, Serialize, ToSchema)]
pub struct Jobs {
    /// Those of the config in its order, then those that only the file knows.
    jobs: Vec<Job>,
}

/// A job with its endpoints.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobWithEndpoints {
    /// The job.
    #[serde(flatten)]
    job: Job,
    /// Its endpoints in the order of the config, which is that of its vectors.
    layout: Vec<Endpoint>,
}

/// An endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub struct Endpoint {
    /// Its position in the vector, from 0.
    position: usize,
    /// Its name.
    name: String,
    /// Its URL, without secrets.
    url: String,
}

/// All jobs: when they are due, what they do, their newest round.
#[utoipa::path(
    get, path = "/api/v1/jobs", tag = "jobs",
    responses((status = 200, description = "The jobs", body = Jobs))
)]
pub async fn jobs(request: HttpRequest, api: Data<Api>, _: Query<Nothing>) -> Result<HttpResponse, Problem> {
    let jobs = all(&api).await?;
    Ok(answer::ok(&request, json(&Jobs { jobs }, "this is a defect")?))
}

/// One job and its endpoints.
#[utoipa::path(
    get, path = "/api/v1/jobs/{job}", tag = "jobs",
    params(("job" = String, Path, description = "The job's name")),
    responses(
        (status = 200, description = "The job", body = JobWithEndpoints),
        (status = 404, description = "There is no such job", content_type = "application/problem+json", body = Problem),
    )
)]
pub async fn job(
    request: HttpRequest,
    api: Data<Api>,
    name: Path<String>,
    _: Query<Nothing>,
) -> Result<HttpResponse, Problem> {
    let name = name.into_inner();
    let job = all(&api).await?.into_iter().find(|job| job.name == name);
    let job = job.ok_or_else(|| Problem::not_found(format!("no job {name:?}; /api/v1/jobs lists them")))?;
    let layout = api.configured(&name).map(|job| endpoints(&job)).unwrap_or_default();
    Ok(answer::ok(&request, json(&JobWithEndpoints { job, layout }, "this is a defect")?))
}

fn endpoints(job: &ConfiguredJob) -> Vec<Endpoint> {
    let endpoints = job.layout.endpoints.iter().enumerate();
    endpoints.map(|(position, label)| Endpoint { position, name: label.name.clone(), url: label.url.clone() }).collect()
}

async fn all(api: &Api) -> Result<Vec<Job>, Problem> {
    let states = api.states().await?;
    let (known, mut newest) = api
        .ask(|reader| {
            let rounds: Vec<Round> = reader.newest_rounds()?.into_iter().map(Round::stored).collect();
            Ok((reader.jobs()?, rounds))
        })
        .await?;
    let mut take = |name: &str| {
        let index = newest.iter().position(|round| round.job == name)?;
        Some(newest.swap_remove(index))
    };
    let mut jobs: Vec<Job> = Vec::with_capacity(known.len());
    for job in api.jobs.all() {
        let name = job.layout.job.to_string();
        let state = states.iter().find(|state| state.job == job.layout.job);
        jobs.push(Job {
            cadence: Some(job.cadence.clone()),
            state: state.map_or("idle", phase),
            next_due: state.and_then(|state| state.next_due).map(|due| due.to_string()),
            endpoints: job.layout.endpoints.len(),
            last_round: take(&name),
            name,
        });
    }
    for name in known {
        if api.configured(&name).is_none() {
            let last_round = take(&name);
            jobs.push(Job { name, cadence: None, state: "retired", next_due: None, endpoints: 0, last_round });
        }
    }
    Ok(jobs)
}

/// What a job does, in a word.
pub fn phase(state: &JobState) -> &'static str {
    match state.phase {
        JobPhase::Idle => "idle",
        JobPhase::Running => "running",
        JobPhase::Closing => "closing",
    }
}

/// A round that was started.
#[derive(Debug, Serialize, ToSchema)]
pub struct Started {
    /// Its number.
    round_id: i64,
    /// Its due: the moment at which it was asked for.
    #[schema(format = DateTime)]
    due_at: String,
}

/// Starts a round now.
///
/// The cadence goes on as if it were not there; a due that comes while it runs is skipped, as ever. This takes a token
/// also on loopback.
#[utoipa::path(
    post, path = "/api/v1/jobs/{job}/run", tag = "jobs",
    params(("job" = String, Path, description = "The job's name")),
    responses(
        (status = 202, description = "The round runs; Location says where it will be", body = Started),
        (status = 403, description = "The config has no token, so nobody may", content_type = "application/problem+json", body = Problem),
        (status = 404, description = "There is no such job", content_type = "application/problem+json", body = Problem),
        (status = 409, description = "A round of the job runs already", content_type = "application/problem+json", body = Problem),
        (status = 413, description = "There is a large body, or one without a Content-Length", content_type = "application/problem+json", body = Problem),
    )
)]
pub async fn run(api: Data<Api>, name: Path<String>, _: Query<Nothing>) -> Result<HttpResponse, Problem> {
    let name = name.into_inner();
    let Some(job) = api.configured(&name) else {
        return Err(Problem::not_found(format!("no job {name:?} in the config; /api/v1/jobs lists them")));
    };
    let started = match api.start(job.layout.job.clone()).await? {
        Ok(started) => started,
        Err(NotStarted::Unknown) => return Err(Problem::not_found(format!("no job {name:?}"))),
        Err(NotStarted::Overlap) => {
            return Err(Problem::new(StatusCode::CONFLICT, format!("a round of {name:?} runs already")));
        }
        Err(NotStarted::Stopping) => {
            return Err(Problem::unavailable("the daemon is stopping", Duration::from_secs(5)));
        }
    };
    let body = Started { round_id: started.round.0, due_at: started.due.to_string() };
    let location = format!("/api/v1/rounds/{}", started.round);
    let body = json(&body, "this is a defect")?;
    Ok(HttpResponse::Accepted().insert_header((LOCATION, location)).content_type("application/json").body(body))
}
