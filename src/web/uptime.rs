//! How reliable endpoints were.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use chrono::Utc;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{self, json, millis};
use super::api::Api;
use super::parameters::{Moment, Query};
use super::problem::Problem;
use super::rounds::known_job;
use crate::model::Timestamp;
use crate::store::uptime::Uptime;

/// What is asked about when nothing is said: 30 days.
const USUAL: Duration = Duration::from_hours(30 * 24);

/// Of what, and when.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct During {
    /// Only the endpoints of this job.
    job: Option<String>,
    /// The first due: a moment in RFC 3339, a day, or how long ago; 30 days before the end when it is not there.
    #[param(inline, example = "30d")]
    since: Option<Moment>,
    /// The due before which it ends, likewise; now when it is not there.
    #[param(inline)]
    until: Option<Moment>,
}

/// How endpoints did.
#[derive(Debug, Serialize, ToSchema)]
pub struct Uptimes {
    /// By job, and in each in the order of its newest layout.
    endpoints: Vec<EndpointUptime>,
}

/// How an endpoint did.
#[derive(Debug, Serialize, ToSchema)]
pub struct EndpointUptime {
    /// Its job.
    job: String,
    /// Its name.
    endpoint: String,
    /// Its slots, those that were cancelled too.
    slots: u64,
    /// Those with a document.
    ok: u64,
    /// Those that failed. What was cancelled says nothing about the endpoint.
    failed: u64,
    /// The part of what was tried that is ok, from 0 to 1.
    share_ok: Option<f64>,
    /// The slots by their outcomes.
    outcomes: BTreeMap<String, u64>,
    /// From the first attempt's start to the end, of those that are ok: the median.
    p50_ms: Option<f64>,
    /// What 95 % of them were not above.
    p95_ms: Option<f64>,
    /// What 99 % of them were not above.
    p99_ms: Option<f64>,
    /// The longest run of failures, from one due to another.
    longest_outage: Option<Outage>,
    /// The first due that counts.
    #[schema(format = DateTime)]
    first_due: Option<String>,
    /// The last due that counts.
    #[schema(format = DateTime)]
    last_due: Option<String>,
}

/// A run of failures.
#[derive(Debug, Serialize, ToSchema)]
pub struct Outage {
    /// The due of its first failure.
    #[schema(format = DateTime)]
    from: String,
    /// The due of the next success, or of the last failure when it goes on.
    #[schema(format = DateTime)]
    until: String,
    /// How long it was.
    seconds: f64,
    /// Whether no success came after it.
    goes_on: bool,
}

/// How reliable each endpoint was: its share of documents, its longest outage, its failures by kind, its latency.
#[utoipa::path(
    get, path = "/api/v1/uptime", tag = "history", params(During),
    responses(
        (status = 200, description = "How they did", body = Uptimes),
        (status = 404, description = "There is no such job", content_type = "application/problem+json", body = Problem),
    )
)]
pub async fn uptime(request: HttpRequest, api: Data<Api>, during: Query<During>) -> Result<HttpResponse, Problem> {
    let During { job, since, until } = during.into_inner();
    let now = || Timestamp::from(Utc::now()).plus(Duration::from_micros(1));
    let until = until.map_or_else(now, |until| until.0);
    let dues = since.map_or_else(|| until.minus(USUAL), |since| since.0)..until;
    let text = api
        .ask(move |reader| {
            if let Some(job) = &job {
                known_job(reader, job)?;
            }
            let found = if dues.is_empty() { Vec::new() } else { reader.uptime(job.as_deref(), &dues)? };
            json(&Uptimes { endpoints: found.into_iter().map(told).collect() }, "ask for one job, with `job`")
        })
        .await?;
    Ok(answer::ok(&request, text))
}

fn told(uptime: Uptime) -> EndpointUptime {
    let share_ok = uptime.share_ok();
    EndpointUptime {
        share_ok,
        p50_ms: uptime.latency.map(|latency| millis(latency.p50)),
        p95_ms: uptime.latency.map(|latency| millis(latency.p95)),
        p99_ms: uptime.latency.map(|latency| millis(latency.p99)),
        longest_outage: uptime.longest_outage.map(|outage| Outage {
            from: outage.from.to_string(),
            until: outage.until.to_string(),
            seconds: outage.len().as_secs_f64(),
            goes_on: outage.goes_on,
        }),
        first_due: uptime.dues.map(|(first, _)| first.to_string()),
        last_due: uptime.dues.map(|(_, last)| last.to_string()),
        job: uptime.job,
        endpoint: uptime.endpoint,
        slots: uptime.slots,
        ok: uptime.ok,
        failed: uptime.failed,
        outcomes: uptime.outcomes,
    }
}
