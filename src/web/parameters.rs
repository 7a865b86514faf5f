//! Parameters of requests: what is unknown or out of its range is refused with what would be right.

use actix_web::web;
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use serde::Deserialize;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::problem::Problem;
use crate::config::parse_duration;
use crate::model::Timestamp;

/// The parameters in the query of a request.
pub type Query<T> = web::Query<T>;

/// The most entries of a page.
const LARGEST_PAGE: u32 = 1_000;
/// Entries of a page when nothing is said.
const USUAL_PAGE: u32 = 100;

/// How many entries a page has.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Limit(pub u32);

impl Default for Limit {
    fn default() -> Self {
        Self(USUAL_PAGE)
    }
}

impl TryFrom<String> for Limit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let limit = text.parse().ok().filter(|limit| (1..=LARGEST_PAGE).contains(limit));
        limit.map(Self).ok_or_else(|| format!("`limit` is a whole number from 1 to {LARGEST_PAGE}"))
    }
}

/// The number of a round that a page ends before.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Before(pub i64);

impl Default for Before {
    /// Behind the newest.
    fn default() -> Self {
        Self(i64::MAX)
    }
}

impl TryFrom<String> for Before {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let before = text.parse().ok().filter(|before| *before >= 1);
        before.map(Self).ok_or_else(|| "`before` is the number of a round, as `next` of a page has it".to_owned())
    }
}

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageOf {
    /// At most so many entries.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    pub limit: Limit,
    /// Only entries before this round: `next` of a page has it.
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1)]
    pub before: Before,
}

/// A moment: RFC 3339, a day (its begin in UTC), or how long ago.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Moment(pub Timestamp);

impl TryFrom<String> for Moment {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let day = || Some(text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN).and_utc());
        let moment = DateTime::parse_from_rfc3339(&text).ok().map(|moment| moment.to_utc()).or_else(day);
        // A bare 0 is a duration as well, and no year.
        let span = || parse_duration(&text).filter(|_| text.ends_with(char::is_alphabetic));
        let ago = || Some(Timestamp::from(Utc::now()).minus(span()?));
        moment.map(Timestamp::from).or_else(ago).map(Self).ok_or_else(|| {
            format!("{text:?} is not a moment: 2026-11-24T12:00:00Z, 2026-11-24, or how long ago, such as 7d")
        })
    }
}

/// The description is narrower than what is understood: whoever makes requests from it gets only right ones.
impl PartialSchema for Moment {
    fn schema() -> RefOr<Schema> {
        let day = "(19|20)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])";
        let time = "T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z";
        let pattern = format!("^([1-9][0-9]{{0,3}}(s|m|h|d)|{day}({time})?)$");
        ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).into()
    }
}

impl ToSchema for Moment {}

/// No parameter at all.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// How refusals of the extractors are told.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .app_data(web::QueryConfig::default().error_handler(|error, request| {
            let reason = match &error {
                actix_web::error::QueryPayloadError::Deserialize(reason) => reason.to_string(),
                other => other.to_string(),
            };
            let place = request.path().to_owned();
            Problem::bad_request(format!("the parameters of {place} are wrong: {reason}")).into()
        }))
        .app_data(
            web::PathConfig::default()
                .error_handler(|error, _| Problem::not_found(format!("nothing has this address: {error}")).into()),
        );
}
