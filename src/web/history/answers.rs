//! How an endpoint's history looks in JSON.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::model;
use crate::store::history::{Bucket, Field, Found, Observation};
use crate::web::answer::millis;
use crate::web::problem::Problem;

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
    pub observations: Vec<Observed>,
    /// Where the next page is; null when there is none.
    pub next: Option<String>,
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
    pub value: Option<Box<RawValue>>,
}

/// The history by stretches of time.
#[derive(Debug, Serialize, ToSchema)]
pub struct Stretches {
    /// The oldest first.
    pub buckets: Vec<Stretch>,
    /// Where further ones are, when these are as many as were asked for; null when there are none.
    pub next: Option<String>,
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

/// A time zone by its name in the IANA database.
#[derive(Debug)]
pub struct TimeZone;

impl PartialSchema for TimeZone {
    fn schema() -> RefOr<Schema> {
        let names = model::TimeZone::names();
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).into()
    }
}

impl ToSchema for TimeZone {}

impl History {
    /// Where the next page is.
    #[must_use]
    pub fn next(&self) -> Option<&String> {
        match self {
            Self::Observations(page) => page.next.as_ref(),
            Self::Stretches(page) => page.next.as_ref(),
        }
    }
}

/// A stretch as it is answered.
///
/// # Errors
/// When its value is not JSON, which is a defect.
pub fn stretch(bucket: Bucket) -> Result<Stretch, Problem> {
    let value = bucket.value.map(RawValue::from_string).transpose().map_err(|error| Problem::internal(&error))?;
    Ok(Stretch {
        from: bucket.from.to_string(),
        until: bucket.until.to_string(),
        value,
        values: bucket.values,
        slots: bucket.slots,
        failed: bucket.failed,
    })
}

/// An observation as it is answered, with what `field` is in it, or whole.
///
/// # Errors
/// When what was found is not JSON, which is a defect.
pub fn observed(observation: &Observation<'_>, field: Option<&Field>) -> Result<Observed, Problem> {
    let found = observation.body.map(|body| field.map_or(Found::Value(body.into()), |field| field.find(body)));
    let (value, note) = match found {
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
        elapsed_ms: millis(observation.elapsed),
        detail: observation.detail.map(str::to_owned).or(note),
        value,
    })
}
