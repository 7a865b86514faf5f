//! What a template calculates with: moments, and the filters that move and write them.

use std::cmp::Ordering;
use std::fmt::{self, Write as _};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, Utc};
use minijinja::value::{DynObject, Object, ObjectRepr};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};

use crate::model::{TimeZone, Timestamp};

/// The filters that there are.
pub const FILTERS: [&str; 8] = ["unix", "unix_ms", "rfc3339", "strftime", "plus", "minus", "floor", "default"];

/// What one evaluation may cost: a unit is an instruction or 64 bytes that are made.
const FUEL: u64 = 20_000;

/// The years that RFC 3339 can write: 0000-01-01 and the last microsecond of 9999, in microseconds since the epoch.
const FIRST: i64 = -62_167_219_200_000_000;
const LAST: i64 = 253_402_300_799_999_999;

/// Where expressions are compiled and evaluated: it has our filters and nothing else.
pub static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_fuel(Some(FUEL));
    environment.add_filter("unix", unix);
    environment.add_filter("unix_ms", unix_ms);
    environment.add_filter("rfc3339", rfc3339);
    environment.add_filter("strftime", strftime);
    environment.add_filter("plus", plus);
    environment.add_filter("minus", minus);
    environment.add_filter("floor", floor);
    environment.add_filter("default", default);
    environment
});

/// A moment as expressions see it. It prints as RFC 3339 in UTC to the second, and stops at the years 0 and 9999.
#[derive(Clone, Copy, Debug)]
pub struct Moment(Timestamp);

impl Moment {
    /// `moment` as a value of an expression.
    pub fn value(moment: Timestamp) -> Value {
        Value::from_object(Self(Timestamp::from_micros(moment.as_micros().clamp(FIRST, LAST))))
    }

    fn utc(self) -> DateTime<Utc> {
        self.0.to_utc().unwrap_or_default()
    }
}

impl Object for Moment {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        Some(self.0.cmp(&other.downcast_ref::<Self>()?.0))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.utc().format("%Y-%m-%dT%H:%M:%SZ"))
    }
}

/// A span as it is written behind + and -: whole numbers with the units ms, s, m, h, d and w, such as `1h30m`.
pub fn span(text: &str) -> Option<Duration> {
    let mut millis = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, behind) = rest.split_at(unit_at);
        let unit_end = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit_end);
        let unit = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 60 * 60 * 1000,
            "d" => 24 * 60 * 60 * 1000,
            "w" => 7 * 24 * 60 * 60 * 1000,
            _ => return None,
        };
        millis = millis.saturating_add(number.parse::<u64>().ok()?.saturating_mul(unit));
        rest = behind;
    }
    (!text.is_empty()).then(|| Duration::from_millis(millis))
}

/// What is said about a text that is no span.
pub fn not_a_span(text: &str) -> String {
    format!("{text:?} is not a duration: write one such as 90s, 15m, 1h30m or 7d (units ms, s, m, h, d, w)")
}

/// What `of` makes of the moment. What is not there stays so: a `default` may follow.
fn map(value: &Value, filter: &str, of: impl FnOnce(Moment) -> Result<Value, Error>) -> Result<Value, Error> {
    if value.is_undefined() {
        return Ok(Value::UNDEFINED);
    }
    match value.downcast_object_ref::<Moment>() {
        Some(moment) => of(*moment),
        None => {
            Err(invalid(format!("{filter} needs a moment before it: due, now, last_ok, or such a one with + or -")))
        }
    }
}

fn invalid(problem: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, problem)
}

fn unix(value: &Value) -> Result<Value, Error> {
    map(value, "unix", |moment| Ok(moment.0.as_micros().div_euclid(1_000_000).into()))
}

fn unix_ms(value: &Value) -> Result<Value, Error> {
    map(value, "unix_ms", |moment| Ok(moment.0.as_micros().div_euclid(1000).into()))
}

fn rfc3339(value: &Value) -> Result<Value, Error> {
    map(value, "rfc3339", |_| Ok(value.to_string().into()))
}

fn strftime(value: &Value, pattern: &str, zone: Option<&str>) -> Result<Value, Error> {
    map(value, "strftime", |moment| {
        let zone: TimeZone = zone.unwrap_or("UTC").parse().map_err(|_| {
            invalid(format!(
                "{:?} is not a time zone: write its IANA name, such as Europe/Berlin",
                zone.unwrap_or_default()
            ))
        })?;
        let items: Vec<Item<'_>> = StrftimeItems::new(pattern).collect();
        let mut text = String::new();
        let written = if items.contains(&Item::Error) {
            Err(fmt::Error)
        } else {
            write!(text, "{}", moment.utc().with_timezone(&zone).format_with_items(items.iter()))
        };
        let problem = |_| invalid(format!("{pattern:?} is not a pattern for strftime: write one such as \"%Y-%m-%d\""));
        written.map(|()| text.into()).map_err(problem)
    })
}

fn plus(value: &Value, text: &str) -> Result<Value, Error> {
    shifted(value, "a duration behind +", text, Timestamp::plus)
}

fn minus(value: &Value, text: &str) -> Result<Value, Error> {
    shifted(value, "a duration behind -", text, Timestamp::minus)
}

fn shifted(value: &Value, filter: &str, text: &str, by: fn(Timestamp, Duration) -> Timestamp) -> Result<Value, Error> {
    map(value, filter, |moment| {
        let span = span(text).ok_or_else(|| invalid(not_a_span(text)))?;
        Ok(Moment::value(by(moment.0, span)))
    })
}

/// Down to a whole multiple of the span since the Unix epoch.
fn floor(value: &Value, text: &str) -> Result<Value, Error> {
    map(value, "floor", |moment| {
        let span = span(text).filter(|span| !span.is_zero()).ok_or_else(|| invalid(not_a_span(text)))?;
        let span = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        let past = moment.0.as_micros().rem_euclid(span);
        Ok(Moment::value(moment.0.minus(Duration::from_micros(past.unsigned_abs()))))
    })
}

fn default(value: &Value, otherwise: Value) -> Value {
    if value.is_undefined() { otherwise } else { value.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_whole_numbers_with_units_and_saturates() {
        for (text, millis) in [("90s", 90_000), ("1h30m", 5_400_000), ("250ms", 250), ("2w", 1_209_600_000), ("0s", 0)]
        {
            assert_eq!(span(text), Some(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(span("18446744073709551615w"), Some(Duration::from_millis(u64::MAX)));
        for text in ["", "5", "h", "1M", "1y", "1 h", "1.5h", "-1h", "1h 30m", "99999999999999999999s", "1µs"] {
            assert_eq!(span(text), None, "{text}");
        }
    }

    #[test]
    fn a_moment_stops_at_the_years_that_rfc_3339_can_write() {
        assert_eq!(Moment::value(Timestamp::from_micros(i64::MAX)).to_string(), "9999-12-31T23:59:59Z");
        assert_eq!(Moment::value(Timestamp::from_micros(i64::MIN)).to_string(), "0000-01-01T00:00:00Z");
    }
}
