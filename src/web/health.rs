//! For those who watch: is it alive, does it store, what does it count?

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use super::api::Api;
use super::parameters::{Nothing, Query};
use super::problem::Problem;

/// The text format of Prometheus.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How often somebody should look again who hears that it is not ready.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`; what is not is a problem.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Whether the daemon is alive: it answers. Takes no token.
#[utoipa::path(
    get, path = "/healthz", tag = "health", security(()),
    responses((status = 200, description = "It is", body = Health))
)]
pub async fn healthz(_: Query<Nothing>) -> HttpResponse {
    well()
}

/// Whether rounds are fetched and stored at this moment. Takes no token.
///
/// The queue is empty, the disk takes rounds, the actors answer, and all workers are there.
#[utoipa::path(
    get, path = "/readyz", tag = "health", security(()),
    responses(
        (status = 200, description = "They are", body = Health),
        (status = 503, description = "They are not, and why", content_type = "application/problem+json", body = Problem),
    )
)]
pub async fn readyz(api: Data<Api>, _: Query<Nothing>) -> Result<HttpResponse, Problem> {
    let obstacles = api.obstacles().await;
    if obstacles.is_empty() { Ok(well()) } else { Err(Problem::unavailable(obstacles.join("; "), LOOK_AGAIN)) }
}

fn well() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .json(Health { status: "ok" })
}

/// What is counted and measured, in the text format of Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "health",
    responses((status = 200, description = "The metrics", content_type = "text/plain", body = String))
)]
pub async fn metrics(api: Data<Api>, _: Query<Nothing>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().content_type(TEXT_FORMAT).body((api.sources.metrics)()))
}
