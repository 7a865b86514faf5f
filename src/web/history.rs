//! The history of an endpoint: its observations one by one, or put together by stretches of time.

use std::ops::ControlFlow;
use std::str::FromStr;

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use chrono::SecondsFormat;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::answer::{self, json};
use super::api::Api;
use super::parameters::{Limit, Moment, Query};
use super::paths::encoded;
use super::problem::Problem;
use super::rounds::known_job;
use crate::config::parse_duration;
use crate::model::{RoundId, Timestamp};
use crate::store::history::{
    Aggregate, Bucket, Buckets, Every, Field, Fill, Found, Observation, Place, Selection, Span, Zone,
};
use crate::store::read::Reader;

/// The most buckets of an answer.
const MOST_BUCKETS: usize = 10_000;
/// What an observation without its value takes in an answer, at most.
const OBSERVATION_BYTES: usize = 512;

/// What of an endpoint's history.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// One value of the documents: a JSON Pointer such as `/users` (RFC 6901), or a jq expression. The whole document when
    /// it is not there.
    field: Option<String>,
    /// Puts the values together by stretches of this length, such as `1h` or `1d`.
    #[param(example = "1h")]
    every: Option<String>,
    /// What is made of the values of a stretch: `avg` (the default), `min`, `max`, `sum`, `last`, `count`, `p50` or `p95`.
    agg: Option<String>,
    /// What stands for a stretch without values: `null` (the default), `last`, or `none` to leave it out.
    fill: Option<String>,
    /// Whose days and hours the stretches are, such as `Europe/Berlin`; UTC when it is not there.
    timezone: Option<String>,
    /// The first due: `2026-11-24T12:00:00Z`, a day, or how long ago, such as `7d`.
    #[param(value_type = Option<String>, example = "7d")]
    since: Option<Moment>,
    /// The due before which it ends, likewise.
    #[param(value_type = Option<String>)]
    until: Option<Moment>,
    /// At most so many observations; not with `every`.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<Limit>,
    /// Only observations after this one: `next` of a page has it.
    after: Option<String>,
}

/// How an endpoint's history is answered.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum History {
    /// One by one.
    Observations(Observations),
    /// By stretches of time.
    Stretches(Stretches),
}

/// A page of observations in the order of their dues.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Observations {
    /// The oldest first.
    observations: Vec<Observed>,
    /// Where the next page is; null when there is none.
    next: Option<String>,
}

/// One observation.
#[derive(Debug, Serialize, ToSchema)]
pub struct Observed {
    /// Its round.
    round_id: i64,
    /// The instant that the cadence asked for.
    #[schema(format = DateTime)]
    due_at: String,
    /// When it ended.
    #[schema(format = DateTime)]
    fetched_at: String,
    /// Its position in the round's vector, from 0.
    position: u32,
    /// `ok`, or why there is no document.
    #[schema(example = "ok")]
    outcome: String,
    /// The status of the last attempt, when its answer came that far.
    http_status: Option<u16>,
    /// Requests made.
    attempts: u32,
    /// How long it took.
    elapsed_ms: f64,
    /// More about how it ended, or why the field has no value.
    detail: Option<String>,
    /// The document or the field as it was sent; null when there is none.
    #[schema(value_type = serde_json::Value)]
    value: Option<Box<RawValue>>,
}

/// The history by stretches of time.
#[derive(Debug, Serialize, ToSchema)]
pub struct Stretches {
    /// The oldest first.
    buckets: Vec<Stretch>,
}

/// One stretch of time.
#[derive(Debug, Serialize, ToSchema)]
pub struct Stretch {
    /// Its first moment.
    #[schema(format = DateTime)]
    from: String,
    /// The first moment after it.
    #[schema(format = DateTime)]
    until: String,
    /// What was made of the values; null when there is none.
    #[schema(value_type = Option<f64>)]
    value: Option<Box<RawValue>>,
    /// How many numbers there are in it.
    values: u64,
    /// How many slots, with a document or without.
    slots: u64,
    /// How many slots without a document.
    failed: u64,
}

/// The history of an endpoint: documents or one field of them over time.
///
/// Failed slots are there with their outcome and null. Numbers are as they were sent, to the digit.
#[utoipa::path(
    get, path = "/api/v1/jobs/{job}/endpoints/{endpoint}/history", tag = "history",
    params(
        ("job" = String, Path, description = "The job's name"),
        ("endpoint" = String, Path, description = "The endpoint's name; a slash in it is written %2F"),
        Wanted,
    ),
    responses(
        (status = 200, description = "The history", body = History),
        (status = 404, description = "There is no such job or endpoint", content_type = "application/problem+json", body = Problem),
        (status = 413, description = "The answer would be too large", content_type = "application/problem+json", body = Problem),
    )
)]
pub async fn history(
    request: HttpRequest,
    api: Data<Api>,
    place: Path<(String, String)>,
    wanted: Query<Wanted>,
) -> Result<HttpResponse, Problem> {
    let ((job, endpoint), wanted) = (place.into_inner(), wanted.into_inner());
    let how = How::of(&wanted)?;
    let path = request.path().to_owned();
    let (text, next) = api
        .ask(move |reader| {
            known_endpoint(reader, &job, &endpoint)?;
            // A jq expression belongs to the thread that runs it.
            let field = Field::parse(wanted.field.as_deref().unwrap_or_default());
            let field = field.map_err(|error| Problem::bad_request(format!("`field`: {error}")))?;
            let selection = Selection { job: &job, endpoint: Some(&endpoint), span: how.span, after: how.after };
            let history = match how.buckets {
                Some(buckets) => History::Stretches(stretches(reader, &selection, &field, buckets)?),
                None => History::Observations(observations(reader, &selection, &field, how.limit, |after| {
                    next_page(&path, &wanted, how.limit, after)
                })?),
            };
            let next = if let History::Observations(page) = &history { page.next.clone() } else { None };
            Ok((json(&history, "ask for less, by `limit`, `field` or a shorter time")?, next))
        })
        .await?;
    Ok(answer::with_next(answer::ok(&request, text), next.as_deref()))
}

/// # Errors
/// 404 when the job never ran or never had such an endpoint.
fn known_endpoint(reader: &Reader, job: &str, endpoint: &str) -> Result<(), Problem> {
    if reader.endpoints(job)?.iter().any(|known| known == endpoint) {
        return Ok(());
    }
    known_job(reader, job)?;
    Err(Problem::not_found(format!("no endpoint {endpoint:?} in job {job:?}; /api/v1/jobs/{{job}} lists them")))
}

/// The parameters, understood.
struct How {
    span: Span,
    after: Option<Place>,
    limit: u32,
    buckets: Option<Buckets>,
}

impl How {
    fn of(wanted: &Wanted) -> Result<Self, Problem> {
        let moment = |moment: Option<Moment>| moment.map(|moment| moment.0);
        let span = Span { from: moment(wanted.since), until: moment(wanted.until) };
        if span.from.zip(span.until).is_some_and(|(from, until)| from >= until) {
            return Err(Problem::bad_request("`until` is not after `since`"));
        }
        let after = wanted.after.as_deref().map(place).transpose()?;
        let buckets = buckets(wanted, span)?;
        Ok(Self { span, after, limit: wanted.limit.unwrap_or_default().0, buckets })
    }
}

fn buckets(wanted: &Wanted, span: Span) -> Result<Option<Buckets>, Problem> {
    let Some(every) = &wanted.every else {
        let needs = [("agg", &wanted.agg), ("fill", &wanted.fill), ("timezone", &wanted.timezone)];
        let alone = needs.into_iter().find(|(_, value)| value.is_some());
        return match alone {
            Some((name, _)) => Err(Problem::bad_request(format!("`{name}` goes with `every`"))),
            None => Ok(None),
        };
    };
    if wanted.limit.is_some() || wanted.after.is_some() {
        return Err(Problem::bad_request("`limit` and `after` do not go with `every`"));
    }
    let length = parse_duration(every)
        .ok_or_else(|| Problem::bad_request("`every` is a duration such as 5m, 1h or 1d".to_owned()))?;
    let every = Every::new(length).map_err(|right| Problem::bad_request(format!("`every`: {right}")))?;
    let aggregate = word("agg", wanted.agg.as_deref(), Aggregate::Avg)?;
    let fill = word("fill", wanted.fill.as_deref(), Fill::default())?;
    let zone = match &wanted.timezone {
        Some(name) => {
            let zone = name.parse::<Tz>();
            Zone::Named(zone.map_err(|_| Problem::bad_request("`timezone` is a zone such as Europe/Berlin"))?)
        }
        None => Zone::Utc,
    };
    let buckets = Buckets::new(every, zone, aggregate, fill);
    Ok(Some(match span.from {
        Some(from) => buckets.beginning_at(from),
        None => buckets,
    }))
}

fn word<T: FromStr<Err = String>>(name: &str, text: Option<&str>, otherwise: T) -> Result<T, Problem> {
    let word = text.map(str::parse).transpose();
    Ok(word.map_err(|right| Problem::bad_request(format!("`{name}`: {right}")))?.unwrap_or(otherwise))
}

/// The place of an observation as a page names it: its due, round and position.
fn place(text: &str) -> Result<Place, Problem> {
    let parts = || {
        let mut parts = text.splitn(3, '.');
        let due = Timestamp::from_micros(parts.next()?.parse().ok()?);
        Some(Place { due, round: RoundId(parts.next()?.parse().ok()?), position: parts.next()?.parse().ok()? })
    };
    parts().ok_or_else(|| Problem::bad_request("`after` is what `next` of a page has"))
}

fn next_page(path: &str, wanted: &Wanted, limit: u32, after: Place) -> String {
    let mut next = format!("{path}?limit={limit}");
    for (name, value) in [("field", wanted.field.as_deref())] {
        next.extend(value.map(|value| format!("&{name}={}", encoded(value))));
    }
    // A moment that was said as "so long ago" stays where it was, page after page.
    for (name, moment) in [("since", wanted.since), ("until", wanted.until)] {
        next.extend(moment.and_then(|moment| exact(moment.0)).map(|moment| format!("&{name}={moment}")));
    }
    format!("{next}&after={}.{}.{}", after.due.as_micros(), after.round, after.position)
}

/// A moment to the microsecond.
fn exact(moment: Timestamp) -> Option<String> {
    Some(moment.to_utc()?.to_rfc3339_opts(SecondsFormat::Micros, true))
}

/// A page of observations: at most `limit`, and no more than an answer holds.
fn observations(
    reader: &Reader,
    selection: &Selection<'_>,
    field: &Field,
    limit: u32,
    next: impl FnOnce(Place) -> String,
) -> Result<Observations, Problem> {
    let (mut page, mut bytes, mut problem) = (Vec::new(), 0, None);
    let mut last = None;
    let stopped = reader.observations(selection, |observation| {
        let observed = match observed(observation, field) {
            Ok(observed) => observed,
            Err(error) => {
                problem = Some(error);
                return ControlFlow::Break(());
            }
        };
        bytes += OBSERVATION_BYTES + observed.value.as_ref().map_or(0, |value| value.get().len());
        // One more than the page has: only then is there a next one.
        if page.len() >= limit as usize || (bytes > answer::LARGEST && !page.is_empty()) {
            return ControlFlow::Break(());
        }
        page.push(observed);
        last = Some(observation.place);
        ControlFlow::Continue(())
    })?;
    match problem {
        Some(problem) => Err(problem),
        None => Ok(Observations { observations: page, next: stopped.and(last).map(next) }),
    }
}

fn observed(observation: &Observation<'_>, field: &Field) -> Result<Observed, Problem> {
    let (value, note) = match observation.body.map(|body| field.find(body)) {
        Some(Found::Value(value)) => (Some(value.into_owned()), None),
        Some(Found::Nothing(note)) => (None, note),
        None => (None, None),
    };
    let value = value.map(RawValue::from_string).transpose().map_err(|error| Problem::internal(&error))?;
    Ok(Observed {
        round_id: observation.place.round.0,
        due_at: observation.place.due.to_string(),
        fetched_at: observation.fetched_at.to_string(),
        position: observation.place.position,
        outcome: observation.outcome.to_owned(),
        http_status: observation.http_status,
        attempts: observation.attempts,
        elapsed_ms: observation.elapsed.as_secs_f64() * 1e3,
        detail: observation.detail.map(str::to_owned).or(note),
        value,
    })
}

/// All stretches, as long as they are not too many.
fn stretches(
    reader: &Reader,
    selection: &Selection<'_>,
    field: &Field,
    mut buckets: Buckets,
) -> Result<Stretches, Problem> {
    let (mut found, mut bytes) = (Vec::new(), 0);
    let mut collect = |bucket: Bucket| {
        bytes += bucket.value.as_ref().map_or(0, String::len);
        found.push(bucket);
        if found.len() > MOST_BUCKETS || bytes > answer::LARGEST {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let stopped = reader.documents(selection, |document| {
        let value = document.body.map(|body| field.find(body));
        let value = value.as_ref().and_then(Found::value);
        buckets.add(document.place.due, document.body.is_some(), value, &mut collect)
    })?;
    if stopped.is_some() || buckets.finish(selection.span.until, &mut collect).is_break() {
        let detail =
            format!("that would be more than {MOST_BUCKETS} stretches: make `every` longer or the time shorter");
        return Err(Problem::new(actix_web::http::StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    let stretch = |bucket: Bucket| {
        let value = bucket.value.map(RawValue::from_string).transpose().map_err(|error| Problem::internal(&error))?;
        Ok(Stretch {
            from: bucket.from.to_string(),
            until: bucket.until.to_string(),
            value,
            values: bucket.values,
            slots: bucket.slots,
            failed: bucket.failed,
        })
    };
    Ok(Stretches { buckets: found.into_iter().map(stretch).collect::<Result<_, Problem>>()? })
}
