//! For those who watch: is it alive, does it store, what does it count?

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use super::api::Api;
use super::parameters::{Nothing, Query};
use super::problem::Problem;

/// The text format of Prometheus.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`, or `degraded`.
    #[schema(example = "ok")]
    status: &'static str,
    /// Why rounds are not stored at this moment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
}

/// Whether the daemon is alive: it answers. Takes no token.
#[utoipa::path(
    get, path = "/healthz", tag = "health", security(()),
    responses((status = 200, description = "It is", body = Health))
)]
pub async fn healthz(_: Query<Nothing>) -> HttpResponse {
    answer(StatusCode::OK, &Health { status: "ok", reasons: Vec::new() })
}

/// Whether rounds are fetched and stored at this moment. Takes no token.
///
/// The queue is empty, the disk takes rounds, the actors answer, and all workers are there.
#[utoipa::path(
    get, path = "/readyz", tag = "health", security(()),
    responses(
        (status = 200, description = "They are", body = Health),
        (status = 503, description = "They are not, and why", body = Health),
    )
)]
pub async fn readyz(api: Data<Api>, _: Query<Nothing>) -> HttpResponse {
    let reasons = api.obstacles().await;
    if reasons.is_empty() {
        answer(StatusCode::OK, &Health { status: "ok", reasons })
    } else {
        answer(StatusCode::SERVICE_UNAVAILABLE, &Health { status: "degraded", reasons })
    }
}

fn answer(status: StatusCode, health: &Health) -> HttpResponse {
    HttpResponse::build(status).insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store"))).json(health)
}

/// What is counted and measured, in the text format of Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "health",
    responses((status = 200, description = "The metrics", content_type = "text/plain", body = String))
)]
pub async fn metrics(api: Data<Api>, _: Query<Nothing>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().content_type(TEXT_FORMAT).body((api.sources.metrics)()))
}
