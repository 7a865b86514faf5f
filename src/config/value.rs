//! From a TOML value to a typed one. The error of each says what would be right.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use toml::de::DeValue;

use crate::model::Pointer;

/// What is said to those who write `true` where only `false` means something.
pub const OFF: &str = "; `false` turns off an inherited one";

pub fn text(value: &DeValue<'_>) -> Result<String, String> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(format!("expected text in quotes, found {}", described(value))),
    }
}

/// A text, or `false` for none.
pub fn text_or_false(value: &DeValue<'_>) -> Result<Option<String>, String> {
    if value.as_bool() == Some(false) {
        return Ok(None);
    }
    text(value).map(Some).map_err(|problem| format!("{problem}; `false` turns it off"))
}

/// What `convert` makes of a value, or `None` of `false`, which turns off what is inherited.
pub fn or_false<T>(
    convert: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
) -> impl FnOnce(&DeValue<'_>) -> Result<Option<T>, String> {
    move |value| match value.as_bool() {
        Some(false) => Ok(None),
        Some(true) => convert(value).map(Some).map_err(|problem| format!("{problem}{OFF}")),
        None => convert(value).map(Some),
    }
}

/// A list of texts.
pub fn texts(value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let list = value.as_array().ok_or_else(|| format!("expected a list of texts, found {}", described(value)))?;
    list.iter().map(|value| text(value.get_ref())).collect()
}

/// A JSON pointer.
pub fn pointer(value: &DeValue<'_>) -> Result<Pointer, String> {
    let text = text(value)?;
    let right = if text.starts_with('/') { "in it ~ stands as ~0 and / as ~1" } else { "it begins with /" };
    Pointer::parse(&text).ok_or_else(|| format!("{text:?} is no JSON pointer: {right} (RFC 6901)"))
}

pub fn boolean(value: &DeValue<'_>) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("expected true or false, found {}", described(value)))
}

pub fn whole_number<T: FromStr>(value: &DeValue<'_>) -> Result<T, String> {
    let number =
        value.as_integer().filter(|number| number.radix() == 10).and_then(|number| number.as_str().parse().ok());
    number.ok_or_else(|| format!("expected a whole number that is not negative, found {}", described(value)))
}

pub fn duration(value: &DeValue<'_>) -> Result<Duration, String> {
    let example = r#"write a duration like "500ms", "10s", "5m" or "1h 30m""#;
    let text = value.as_str().ok_or_else(|| format!("{example}, in quotes, instead of {}", described(value)))?;
    parse_duration(text).ok_or_else(|| format!("{text:?} is not a duration; {example}"))
}

/// A duration as people write it, such as `1h 30m`. What is far beyond any use is none: the library panics where the
/// sum of its parts does not fit.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.split(|c: char| !c.is_ascii_digit()).map(str::len).max();
    if text.len() > 64 || digits.is_some_and(|digits| digits > 9) {
        return None;
    }
    humantime::parse_duration(text).ok()
}

/// How long something is kept: a duration, or `None` for ever.
pub fn retention(value: &DeValue<'_>) -> Result<Option<Duration>, String> {
    let example = r#"write how long rounds are kept, like "90d", "1y" or "forever""#;
    let text = value.as_str().ok_or_else(|| format!("{example}, in quotes, instead of {}", described(value)))?;
    if text == "forever" {
        return Ok(None);
    }
    parse_duration(text).map(Some).ok_or_else(|| format!("{text:?} is not a duration; {example}"))
}

pub fn size(value: &DeValue<'_>) -> Result<u64, String> {
    let example = r#"write a size like "64KiB", "1MiB" or "500kB""#;
    let text = value.as_str().ok_or_else(|| format!("{example}, in quotes, instead of {}", described(value)))?;
    text.parse::<bytesize::ByteSize>()
        .map(|size| size.as_u64())
        .map_err(|_| format!("{text:?} is not a size; {example}"))
}

/// So many in a second, minute, hour or day: the time between two.
pub fn rate(value: &DeValue<'_>) -> Result<Duration, String> {
    let example = r#"write a rate like "10/s", "60/m", "1000/h" or "5000/d""#;
    let text = value.as_str().ok_or_else(|| format!("{example}, in quotes, instead of {}", described(value)))?;
    let wrong = || format!("{text:?} is not a rate; {example}");
    let (count, unit) = text.split_once('/').ok_or_else(wrong)?;
    let seconds = match unit.trim() {
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return Err(wrong()),
    };
    let count: f64 = count.trim().parse().ok().filter(|count| (1e-6..=1e6).contains(count)).ok_or_else(wrong)?;
    Ok(Duration::from_secs_f64(seconds / count))
}

pub fn header_value(value: &DeValue<'_>) -> Result<HeaderValue, String> {
    HeaderValue::from_str(&text(value)?).map_err(|_| "a header's value is one line of printable text".to_owned())
}

pub fn header_name(value: &DeValue<'_>) -> Result<HeaderName, String> {
    let text = text(value)?;
    text.parse().map_err(|_| format!("{text:?} is not a header name"))
}

pub fn path(value: &DeValue<'_>) -> Result<PathBuf, String> {
    let path = text(value)?;
    if path.is_empty() { Err("the path of a file is needed".to_owned()) } else { Ok(path.into()) }
}

/// A text, number or truth value, as text.
pub fn scalar(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Boolean(truth) => Ok(truth.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().to_owned()),
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        other => Err(format!("expected text, a number, true or false, found {}", described(other))),
    }
}

/// The JSON of the same shape. Dates become text; a number that JSON does not have is refused.
pub fn json(value: &DeValue<'_>) -> Result<serde_json::Value, String> {
    let number = |text: &str| serde_json::from_str(text).map_err(|_| format!("JSON has no number {text}"));
    match value {
        DeValue::String(text) => Ok(text.as_ref().into()),
        DeValue::Boolean(truth) => Ok((*truth).into()),
        DeValue::Integer(found) if found.radix() == 10 => number(found.as_str().trim_start_matches('+')),
        DeValue::Integer(found) => Err(format!("write {} as a decimal number", found.as_str())),
        DeValue::Float(found) => number(found.as_str().trim_start_matches('+')),
        DeValue::Datetime(moment) => Ok(moment.to_string().into()),
        DeValue::Array(list) => list.iter().map(|value| json(value.get_ref())).collect(),
        DeValue::Table(table) => {
            table.iter().map(|(key, value)| Ok((key.get_ref().to_string(), json(value.get_ref())?))).collect()
        }
    }
}

/// A value as people would name it, short.
fn described(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text {text:?}"),
        DeValue::Integer(number) => format!("the number {}", number.as_str()),
        DeValue::Float(number) => format!("the number {}", number.as_str()),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(moment) => format!("the date {moment}"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
