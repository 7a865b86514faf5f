//! The history of an endpoint: its observations one by one, or put together by stretches of time.

pub mod answers;

use std::ops::ControlFlow;
use std::str::FromStr;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use chrono::SecondsFormat;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::IntoParams;

use self::answers::{History, Observations, Stretches, TimeZone, observed, stretch};
use super::answer::{self, json};
use super::api::Api;
use super::parameters::{Limit, Moment, Query};
use super::paths::encoded;
use super::problem::Problem;
use super::rounds::known_job;
use crate::config::parse_duration;
use crate::model::{RoundId, Timestamp};
use crate::store::history::{Aggregate, Bucket, Buckets, Every, Field, Place, Selection, Span, Zone};
use crate::store::read::Reader;

/// The most buckets of an answer.
const MOST_BUCKETS: usize = 10_000;
/// The length of a stretch when nothing is said.
const DAY: Duration = Duration::from_hours(24);
/// What an observation without its value takes in an answer, at most.
const OBSERVATION_BYTES: usize = 512;

/// What of an endpoint's history.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// One value of the documents: a JSON Pointer such as `/users` (RFC 6901), or a jq expression that begins with a dot,
    /// which any can (`. | length`). The whole document when it is not there.
    #[param(
        example = "/users",
        pattern = "^((/([^~/]|~[01])*)*|[.]([a-zA-Z_][a-zA-Z0-9_]*([.][a-zA-Z_][a-zA-Z0-9_]*)*)?)$"
    )]
    field: Option<String>,
    /// Puts the values together by stretches of this length, such as `1h`; by days when only `agg`, `fill` or `timezone`
    /// is there.
    #[param(
        example = "1h",
        pattern = "^([1-9][0-9]{0,3}s|[1-9][0-9]{0,2}m|([1-9]|1[0-9]|2[0-4])h|([1-9][0-9]?|[12][0-9]{2}|3[0-5][0-9])d)$"
    )]
    every: Option<String>,
    /// What is made of the values of a stretch, `avg` when it is not there. Without a `field` it is `count`, whatever is
    /// asked for: documents are counted. `sum` is exact while all are integers and it fits 128 bits.
    #[param(pattern = "^(avg|min|max|sum|last|count|p50|p95)$")]
    agg: Option<String>,
    /// What stands for a stretch without values: `null`, which it is when this is not there, `last`, the last value before,
    /// also from before `since`, or `none`, which leaves it out.
    #[param(pattern = "^(null|last|none)$")]
    fill: Option<String>,
    /// Whose days and hours the stretches are, by the name in the IANA database; UTC when it is not there.
    #[param(value_type = Option<TimeZone>)]
    timezone: Option<String>,
    /// The first due: a moment in RFC 3339, a day, or how long ago.
    #[param(inline, example = "7d")]
    since: Option<Moment>,
    /// The due before which it ends, likewise.
    #[param(inline)]
    until: Option<Moment>,
    /// At most so many observations (100 when it is not there) or stretches (all, up to 10,000).
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<Limit>,
    /// Only what comes after this observation: `next` of a page has it.
    #[param(pattern = "^[0-9]{1,15}[.][0-9]{1,9}[.][0-9]{1,6}$")]
    after: Option<String>,
    /// The value before the first stretch, for `fill=last`, where it is not looked up: `next` of a page has it.
    #[param(pattern = "^-?[1-9][0-9]{0,9}$")]
    carry: Option<String>,
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
    let path = request.path().to_owned();
    let (text, next) = api
        .ask(move |reader| {
            known_endpoint(reader, &job, &endpoint)?;
            let how = How::of(&wanted)?;
            // A jq expression belongs to the thread that runs it.
            let field = wanted.field.as_deref().map(field).transpose()?;
            let selection = Selection { job: &job, endpoint: Some(&endpoint), span: how.span, after: how.after };
            let source = Source { reader, selection, field };
            let history = match how.buckets {
                Some(buckets) => History::Stretches(source.stretches(buckets, &wanted, &path)?),
                None => History::Observations(source.observations(&wanted, &path)?),
            };
            let next = history.next().cloned();
            Ok((json(&history, "ask for less, by `limit`, `field` or a shorter time")?, next))
        })
        .await?;
    Ok(answer::with_next(answer::ok(&request, text), next.as_deref()))
}

/// # Errors
/// 404 when the file knows no such job, or no such endpoint of it.
fn known_endpoint(reader: &Reader, job: &str, endpoint: &str) -> Result<(), Problem> {
    if reader.endpoints(job)?.iter().any(|known| known == endpoint) {
        return Ok(());
    }
    known_job(reader, job)?;
    Err(Problem::not_found(format!("no endpoint {endpoint:?} in job {job:?}; /api/v1/jobs/{{job}} lists them")))
}

/// What a URL can say by a pattern: a pointer begins with a slash, a jq expression with a dot.
fn field(text: &str) -> Result<Field, Problem> {
    if !text.is_empty() && !text.starts_with(['/', '.']) {
        let right = "begins with / when it is a JSON Pointer, and with a dot when it is jq: /users, .users, . | length";
        return Err(Problem::bad_request(format!("`field` {right}")));
    }
    Field::parse(text).map_err(|error| Problem::bad_request(format!("`field`: {error}")))
}

/// The parameters, understood.
struct How {
    span: Span,
    after: Option<Place>,
    buckets: Option<Buckets>,
}

impl How {
    fn of(wanted: &Wanted) -> Result<Self, Problem> {
        let moment = |moment: Option<Moment>| moment.map(|moment| moment.0);
        let span = Span { from: moment(wanted.since), until: moment(wanted.until) };
        let after = wanted.after.as_deref().map(place).transpose()?;
        Ok(Self { span, after, buckets: buckets(wanted, span)? })
    }
}

fn buckets(wanted: &Wanted, span: Span) -> Result<Option<Buckets>, Problem> {
    let is_wanted = [&wanted.every, &wanted.agg, &wanted.fill, &wanted.timezone].into_iter().any(Option::is_some);
    if !is_wanted {
        return Ok(None);
    }
    let length = wanted.every.as_deref().map_or(Some(DAY), parse_duration);
    let length = length.ok_or_else(|| Problem::bad_request("`every` is a duration such as 5m, 1h or 1d"))?;
    let every = Every::new(length).map_err(|right| Problem::bad_request(format!("`every`: {right}")))?;
    let asked: Option<Aggregate> = word("agg", wanted.agg.as_deref())?;
    // Where the shell refuses other words, documents are counted: no schema could say which parameters go together.
    let aggregate = if wanted.field.is_some() { asked.unwrap_or(Aggregate::Avg) } else { Aggregate::Count };
    let fill = word("fill", wanted.fill.as_deref())?.unwrap_or_default();
    let zone = match &wanted.timezone {
        Some(name) => {
            let zone = name.parse();
            Zone::Named(zone.map_err(|_| Problem::bad_request("`timezone` is a zone such as Europe/Berlin"))?)
        }
        None => Zone::Utc,
    };
    let mut buckets = Buckets::new(every, zone, aggregate, fill);
    if let Some(from) = span.from {
        buckets = buckets.beginning_at(from);
    }
    if let Some(carry) = &wanted.carry {
        buckets = buckets.carrying(number(carry)?);
    }
    Ok(Some(buckets))
}

/// A JSON number, to the digit.
fn number(text: &str) -> Result<String, Problem> {
    let is_number = text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        && text.ends_with(|last: char| last.is_ascii_digit())
        && serde_json::from_str::<&RawValue>(text).is_ok();
    is_number
        .then(|| text.to_owned())
        .ok_or_else(|| Problem::bad_request("`carry` is a number, as `next` of a page has it"))
}

fn word<T: FromStr<Err = String>>(name: &str, text: Option<&str>) -> Result<Option<T>, Problem> {
    let word = text.map(str::parse).transpose();
    word.map_err(|right| Problem::bad_request(format!("`{name}`: {right}")))
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

/// Where the next page goes on: after an observation, or at a stretch with the value before it.
enum GoOn {
    After(Place),
    At(Timestamp, Option<String>),
}

/// The address of the next page. A moment that was said as "so long ago" stays where it was, page after page.
fn next_page(path: &str, wanted: &Wanted, go_on: GoOn) -> String {
    let (since, after, carry) = match go_on {
        GoOn::After(place) => (wanted.since.map(|since| since.0), Some(place), None),
        GoOn::At(from, carry) => (Some(from), None, carry),
    };
    let after = after.map(|after| format!("{}.{}.{}", after.due.as_micros(), after.round, after.position));
    let parameters = [
        ("field", wanted.field.clone()),
        ("every", wanted.every.clone()),
        ("agg", wanted.agg.clone()),
        ("fill", wanted.fill.clone()),
        ("timezone", wanted.timezone.clone()),
        ("since", since.and_then(exact)),
        ("until", wanted.until.and_then(|until| exact(until.0))),
        ("limit", wanted.limit.map(|limit| limit.0.to_string())),
        ("after", after),
        ("carry", carry),
    ];
    let given = parameters.iter().filter_map(|(name, value)| Some(format!("{name}={}", encoded(value.as_ref()?))));
    format!("{path}?{}", given.collect::<Vec<_>>().join("&"))
}

/// A moment to the microsecond.
fn exact(moment: Timestamp) -> Option<String> {
    Some(moment.to_utc()?.to_rfc3339_opts(SecondsFormat::Micros, true))
}

/// Where values come from.
struct Source<'a> {
    reader: &'a Reader,
    selection: Selection<'a>,
    /// The whole document when it is not there.
    field: Option<Field>,
}

impl Source<'_> {
    /// A page of observations: at most as many as wanted, and no more than an answer holds.
    fn observations(&self, wanted: &Wanted, path: &str) -> Result<Observations, Problem> {
        let limit = wanted.limit.unwrap_or_default().0 as usize;
        let (mut page, mut bytes, mut problem, mut last) = (Vec::new(), 0, None, None);
        let stopped = self.reader.observations(&self.selection, |observation| {
            let observed = match observed(observation, self.field.as_ref()) {
                Ok(observed) => observed,
                Err(error) => {
                    problem = Some(error);
                    return ControlFlow::Break(());
                }
            };
            bytes += OBSERVATION_BYTES + observed.value.as_ref().map_or(0, |value| value.get().len());
            // One more than the page has: only then is there a next one.
            if page.len() >= limit || (bytes > answer::LARGEST && !page.is_empty()) {
                return ControlFlow::Break(());
            }
            page.push(observed);
            last = Some(observation.place);
            ControlFlow::Continue(())
        })?;
        if let Some(problem) = problem {
            return Err(problem);
        }
        let next = stopped.and(last).map(|last| next_page(path, wanted, GoOn::After(last)));
        Ok(Observations { observations: page, next })
    }

    /// As many stretches as wanted, or all, as long as they are not too many.
    fn stretches(&self, buckets: Buckets, wanted: &Wanted, path: &str) -> Result<Stretches, Problem> {
        let most = wanted.limit.map_or(MOST_BUCKETS, |limit| limit.0 as usize);
        let mut buckets = self.reader.carried_into(buckets, &self.selection, self.field.as_ref())?;
        let (mut found, mut bytes) = (Vec::new(), 0);
        let mut collect = |bucket: Bucket| {
            bytes += bucket.value.as_ref().map_or(0, String::len);
            found.push(bucket);
            if found.len() > most || bytes > answer::LARGEST {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let stopped = self.reader.values(&self.selection, self.field.as_ref(), |place, ok, value| {
            buckets.add(place.due, ok, value, &mut collect)
        })?;
        // What is left over is one bucket more than the page has.
        if stopped.is_none() {
            let _ = buckets.finish(self.selection.span.until, &mut collect);
        }
        if bytes > answer::LARGEST || (wanted.limit.is_none() && found.len() > most) {
            let detail =
                format!("that would be more than {MOST_BUCKETS} stretches: take them by `limit`, or longer ones");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        let beyond = found.get(most).map(|first| first.from);
        found.truncate(most);
        let carry = found.last().filter(|_| wanted.fill.as_deref() == Some("last")).and_then(|last| last.value.clone());
        let next = beyond.map(|from| next_page(path, wanted, GoOn::At(from, carry)));
        Ok(Stretches { buckets: found.into_iter().map(stretch).collect::<Result<_, _>>()?, next })
    }
}
