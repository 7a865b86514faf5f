//! The description of the API (`OpenAPI` 3.1), made from the handlers, and a page to try it that is part of the binary.

use std::sync::{Arc, LazyLock};

use actix_web::http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use actix_web::web::{Bytes, Path};
use actix_web::{HttpRequest, HttpResponse};
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};
use utoipa_swagger_ui::Config;

use super::parameters::{Nothing, Query};
use super::problem::{MEDIA_TYPE, Problem};
use super::{answer, events, health, history, jobs, rounds, status, uptime};

/// Where the description is.
const DOCUMENT: &str = "/api/v1/openapi.json";

/// The page's scripts and styles are files of this server; React writes style attributes.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                           connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What every request may meet.
const COMMON: [(&str, &str); 6] = [
    ("400", "A parameter is unknown or wrong"),
    ("401", "The token is needed"),
    ("414", "The address is longer than 8 KiB"),
    ("421", "The Host header names somebody else"),
    ("500", "A defect; the log says more"),
    ("503", "Too much is asked at once, it takes too long, or the daemon is stopping"),
];

#[derive(OpenApi)]
#[openapi(
    info(
        title = "gatherd",
        description = "Rounds, vectors and history of the JSON endpoints that this daemon collects. Reading takes the token \
                       of the config where there is one; starting a round always does.",
    ),
    paths(
        jobs::jobs, jobs::job, jobs::run, rounds::rounds, rounds::latest_of_job, rounds::round, rounds::latest,
        rounds::ledger, history::history, uptime::uptime, events::events, health::healthz, health::readyz, health::metrics,
        status::status,
    ),
    components(schemas(Problem, history::answers::TimeZone)),
    security(("token" = [])),
    modifiers(&Common),
)]
struct Description;

/// Adds what all operations have in common.
struct Common;

impl Modify for Common {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let components = description.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
        for item in description.paths.paths.values_mut() {
            for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
                add_common(operation);
            }
        }
    }
}

fn add_common(operation: &mut Operation) {
    for (status, description) in COMMON {
        let content = Content::new(Some(RefOr::Ref(Ref::from_schema_name("Problem"))));
        let response = ResponseBuilder::new().description(description).content(MEDIA_TYPE, content).build();
        operation.responses.responses.entry(status.to_owned()).or_insert(RefOr::T(response));
    }
}

static TEXT: LazyLock<Option<Bytes>> = LazyLock::new(|| Some(Description::openapi().to_pretty_json().ok()?.into()));

/// The description.
pub async fn document(request: HttpRequest, _: Query<Nothing>) -> Result<HttpResponse, Problem> {
    let text = TEXT.clone().ok_or_else(|| Problem::internal(&"no description of the API"))?;
    Ok(answer::content(&request, answer::JSON, text))
}

/// A file of the page.
pub async fn page(request: HttpRequest, file: Path<String>) -> Result<HttpResponse, Problem> {
    let config = Config::new([DOCUMENT]).use_base_layout().try_it_out_enabled(true).validator_url("none");
    let found = utoipa_swagger_ui::serve(&file, Arc::new(config)).map_err(|error| Problem::internal(&error))?;
    let found = found.ok_or_else(|| Problem::not_found("the page has no such file"))?;
    let media_type = HeaderValue::from_str(&found.content_type).map_err(|error| Problem::internal(&error))?;
    let mut response = answer::content(&request, media_type, found.bytes.into_owned());
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    Ok(response)
}
