//! Which address leads where, and with which methods.

use actix_web::guard::{self, Guard};
use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, web};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::problem::Problem;
use super::{events, health, history, jobs, openapi, rounds, status, uptime};

/// Adds all resources.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(read("/healthz", health::healthz))
        .service(read("/readyz", health::readyz))
        .service(read("/metrics", health::metrics))
        .service(read("/api/v1/status", status::status))
        .service(read("/api/v1/jobs", jobs::jobs))
        .service(read("/api/v1/jobs/{job}", jobs::job))
        .service(read("/api/v1/jobs/{job}/rounds", rounds::rounds))
        .service(read("/api/v1/jobs/{job}/latest", rounds::latest_of_job))
        .service(read("/api/v1/jobs/{job}/endpoints/{endpoint}/history", history::history))
        .service(resource("/api/v1/jobs/{job}/run", guard::Post(), "POST", jobs::run))
        .service(read("/api/v1/rounds/{round}", rounds::round))
        .service(read("/api/v1/latest", rounds::latest))
        .service(read("/api/v1/ledger", rounds::ledger))
        .service(read("/api/v1/uptime", uptime::uptime))
        .service(read("/api/v1/events", events::events))
        .service(read("/api/v1/openapi.json", openapi::document))
        .service(read("/api/docs", to_docs))
        .service(read("/api/docs/{file:.*}", openapi::page))
        .default_service(web::to(nothing_here));
}

/// A resource that is read.
fn read<F, Args>(path: &'static str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    resource(path, guard::Any(guard::Get()).or(guard::Head()), "GET, HEAD", handler)
}

fn resource<F, Args>(path: &'static str, methods: impl Guard + 'static, allowed: &'static str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let otherwise = move || async move { Err::<HttpResponse, _>(Problem::method_not_allowed(allowed)) };
    web::resource(path).route(web::route().guard(methods).to(handler)).default_service(web::to(otherwise))
}

async fn nothing_here(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let path: String = request.path().chars().take(200).collect();
    Err(Problem::not_found(format!("nothing is at {path}; the API is described at /api/v1/openapi.json and /api/docs")))
}

/// The page's own addresses are relative.
async fn to_docs() -> HttpResponse {
    HttpResponse::build(StatusCode::PERMANENT_REDIRECT).insert_header((LOCATION, "/api/docs/")).finish()
}

/// A name as one segment of a path or one value of a query.
pub fn encoded(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
}
