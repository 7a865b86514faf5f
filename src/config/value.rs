//! From a TOML value to a typed one. The error of each says what would be right.

use std::str::FromStr;
use std::time::Duration;

use http::HeaderValue;
use toml::de::DeValue;

pub fn text(value: &DeValue<'_>) -> Result<String, String> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(format!("expected text in quotes, found {}", described(value))),
    }
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
    humantime::parse_duration(text).map_err(|_| format!("{text:?} is not a duration; {example}"))
}

pub fn size(value: &DeValue<'_>) -> Result<u64, String> {
    let example = r#"write a size like "64KiB", "1MiB" or "500kB""#;
    let text = value.as_str().ok_or_else(|| format!("{example}, in quotes, instead of {}", described(value)))?;
    text.parse::<bytesize::ByteSize>()
        .map(|size| size.as_u64())
        .map_err(|_| format!("{text:?} is not a size; {example}"))
}

pub fn header_value(value: &DeValue<'_>) -> Result<HeaderValue, String> {
    HeaderValue::from_str(&text(value)?).map_err(|_| "a header's value is one line of printable text".to_owned())
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
