//! Which outcomes are tried again, and after how long.

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::model::{Detail, Outcome};

/// The upper bound of the first pause; it doubles with each attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The upper bound of any pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest that a server is believed when it asks for a pause.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);
/// The longest that a command waits for a host that asks for a pause: somebody waits for the command.
pub const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Whether an attempt that ended so may end otherwise soon.
#[must_use]
pub fn is_retried(outcome: Outcome, http_status: Option<u16>) -> bool {
    match outcome {
        Outcome::Dns | Outcome::Connect | Outcome::Timeout | Outcome::Reset | Outcome::Truncated => true,
        Outcome::HttpStatus => matches!(http_status, Some(408 | 425 | 429 | 500 | 502 | 503 | 504)),
        _ => false,
    }
}

/// A pause before the attempt that follows attempt number `attempts` (from 1): exponential with full jitter, that
/// is evenly from zero to 0.5 s, 1 s, 2 s … 30 s (Brooker, "Exponential Backoff And Jitter", AWS 2015).
#[must_use]
pub fn pause(attempts: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(LONGEST_PAUSE).mul_f64(fastrand::f64())
}

/// What a `Retry-After` header asks for: seconds or a date (RFC 9110, section 10.2.3), at most an hour. One that
/// is past or not understood is `None`.
#[must_use]
pub fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let asked = if value.bytes().all(|byte| byte.is_ascii_digit()) && !value.is_empty() {
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        date(value)?.duration_since(now).ok()?
    };
    Some(asked.min(LONGEST_RETRY_AFTER)).filter(|asked| !asked.is_zero())
}

/// A date of HTTP, or one of mail (RFC 5322) with whatever day of the week: servers write `+0000`, `UTC`, and wrong days.
fn date(value: &str) -> Option<SystemTime> {
    let of_mail = || {
        let is_weekday = |text: &str| text.parse::<chrono::Weekday>().is_ok();
        let day = value.split_once(", ").filter(|(weekday, _)| is_weekday(weekday)).map_or(value, |(_, day)| day);
        let day = day.to_ascii_uppercase().replace("UTC", "GMT");
        chrono::DateTime::parse_from_rfc2822(&day).ok().map(SystemTime::from)
    };
    httpdate::parse_http_date(value).ok().or_else(of_mail)
}

/// The pause that an answer asks for, by the first of its `Retry-After` lines that can be understood.
#[must_use]
pub fn asked_pause(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let asks = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let mut lines = headers.get_all(RETRY_AFTER).iter().filter(|_| asks).filter_map(|line| line.to_str().ok());
    lines.find_map(|line| retry_after(line, SystemTime::now()))
}

/// What `detail` says, and that the host asks for a pause.
#[must_use]
pub fn with_asked_pause(detail: Option<&Detail>, asked: Duration) -> Detail {
    let said = detail.map_or(String::new(), |detail| format!("{detail}; "));
    let length = humantime::format_duration(Duration::from_secs(asked.as_secs() + u64::from(asked.subsec_nanos() > 0)));
    let more = if asked < LONGEST_RETRY_AFTER { "" } else { " or more" };
    Detail::new(format!("{said}the host asks for a pause of {length}{more}"))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn the_first_retry_after_that_can_be_understood_counts() {
        let mut headers = HeaderMap::new();
        for line in [b"soon".as_slice(), b"\xff", b"-1", b"7", b"9"] {
            headers.append(RETRY_AFTER, HeaderValue::from_bytes(line).expect("a value"));
        }
        let seven = Some(Duration::from_secs(7));
        assert_eq!(asked_pause(StatusCode::TOO_MANY_REQUESTS, &headers), seven);
        assert_eq!(asked_pause(StatusCode::SERVICE_UNAVAILABLE, &headers), seven);
        assert_eq!(asked_pause(StatusCode::FORBIDDEN, &headers), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_at_most_an_hour() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").expect("a date");
        let after = |value| retry_after(value, now).map(|asked| asked.as_secs());
        assert_eq!(after("30"), Some(30));
        assert_eq!(after("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(after("99999999999999999999999"), Some(3600));
        for as_in_mail in
            ["Mon, 06 Nov 1994 08:50:37 GMT", "Sun, 6 Nov 1994 09:50:37 +0100", "sun, 06 nov 1994 08:50:37 utc"]
        {
            assert_eq!(after(as_in_mail), Some(60), "{as_in_mail}");
        }
        for ignored in ["0", "-1", "", "soon", "1.5", "soon, 06 Nov 1994 08:50:37 GMT", "Sun, 06 Nov 1994 08:48:37 GMT"]
        {
            assert_eq!(after(ignored), None, "{ignored}");
        }
    }

    #[test]
    fn pauses_stay_below_their_doubling_bound() {
        for attempts in 1..100 {
            assert!(pause(attempts) <= LONGEST_PAUSE);
        }
        assert!(pause(1) <= FIRST_PAUSE);
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        assert!(is_retried(Outcome::Timeout, None));
        assert!(is_retried(Outcome::HttpStatus, Some(503)));
        assert!(!is_retried(Outcome::HttpStatus, Some(403)));
        assert!(!is_retried(Outcome::NotJson, Some(200)));
        assert!(!is_retried(Outcome::Tls, None));
    }
}
