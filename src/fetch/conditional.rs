//! Conditional requests (RFC 9110, section 13): a server that named the version of its document may say that it is still
//! the same.

use std::hash::Hasher;
use std::time::{Duration, SystemTime};

use httpdate::parse_http_date;
use reqwest::header::{DATE, ETAG, HeaderMap, HeaderName, HeaderValue};
use reqwest::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use siphasher::sip::SipHasher13;

use crate::model::Validators;

/// Longer validators are not remembered.
const LONGEST: usize = 1024;

/// A fingerprint of a request: the same for requests that ask for the same in the same name, which `auth` and the secrets
/// say. SipHash-1-3 with a zero key, so it is the same after a restart. It is stored, so there are only 16 bits of the secrets
/// in it: enough to see that another asks, too few to find out who by trying.
pub fn fingerprint(url: &str, headers: &HeaderMap, auth: &str, token: Option<&str>) -> u64 {
    let mut secrets = SipHasher13::new();
    let sensitive = headers.iter().filter(|(_, value)| value.is_sensitive());
    for secret in sensitive.map(|(_, value)| value.as_bytes()).chain(token.map(str::as_bytes)) {
        secrets.write_usize(secret.len());
        secrets.write(secret);
    }
    let mut hasher = SipHasher13::new();
    let mut put = |bytes: &[u8]| {
        hasher.write_usize(bytes.len());
        hasher.write(bytes);
    };
    put(url.as_bytes());
    put(auth.as_bytes());
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_sensitive()) {
        put(name.as_str().as_bytes());
        put(value.as_bytes());
    }
    hasher.write_u64(secrets.finish() & 0xFFFF);
    hasher.finish()
}

/// Asks for the document only if it is another than the one that `validators` name.
pub fn ask(validators: &Validators, headers: &mut HeaderMap) {
    let mut set = |name: HeaderName, value: &Option<String>| {
        if let Some(value) = value.as_deref().and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(name, value);
        }
    };
    set(IF_NONE_MATCH, &validators.etag);
    set(IF_MODIFIED_SINCE, &validators.last_modified);
}

/// Asks for the document in any case.
pub fn forget(headers: &mut HeaderMap) {
    headers.remove(IF_NONE_MATCH);
    headers.remove(IF_MODIFIED_SINCE);
}

/// What an answer names its version by, if it does. `request` is the [fingerprint] of what it answers.
pub fn validators(headers: &HeaderMap, request: impl FnOnce() -> u64) -> Option<Validators> {
    let text = |name: HeaderName| {
        let value = headers.get(name)?.to_str().ok()?.trim();
        (!value.is_empty() && value.len() <= LONGEST).then(|| value.to_owned())
    };
    let last_modified = text(LAST_MODIFIED).filter(|modified| is_over(modified, text(DATE).as_deref()));
    // A star would be any version at all, and the document never change again.
    let etag = text(ETAG).filter(|etag| etag != "*");
    (etag.is_some() || last_modified.is_some()).then(|| Validators { request: request(), etag, last_modified })
}

/// Whether the second in which a document was modified was over at the `date` of the answer, or now where it has none: a
/// change later in the same second would never be seen (RFC 9110, section 8.8.2.2).
fn is_over(modified: &str, date: Option<&str>) -> bool {
    let Ok(modified) = parse_http_date(modified) else { return true };
    match date.map(parse_http_date) {
        Some(Ok(date)) => modified < date,
        _ => modified + Duration::from_secs(1) <= SystemTime::now(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_and_the_second_that_is_not_over_name_no_version() {
        let of = |name, value: &str| validators(&HeaderMap::from_iter([(name, value.parse().expect("a value"))]), || 7);
        assert_eq!(of(ETAG, "*"), None);
        let now = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(1));
        assert_eq!(of(LAST_MODIFIED, &now), None);
        assert!(of(ETAG, "W/\"*\"").is_some());
    }

    #[test]
    fn a_date_names_a_version_only_when_its_second_was_over() {
        const MODIFIED: &str = "Thu, 15 Jan 2026 09:30:00 GMT";
        let of = |date: Option<&'static str>, etag: bool| {
            let mut headers = HeaderMap::from_iter([(LAST_MODIFIED, HeaderValue::from_static(MODIFIED))]);
            headers.extend(date.map(|date| (DATE, HeaderValue::from_static(date))));
            headers.extend(etag.then_some((ETAG, HeaderValue::from_static("\"v1\""))));
            validators(&headers, || 7)
        };
        for date in [None, Some("Thu, 15 Jan 2026 09:30:01 GMT"), Some("now")] {
            let found = of(date, false).and_then(|validators| validators.last_modified);
            assert_eq!(found.as_deref(), Some(MODIFIED), "{date:?}");
        }
        for date in [Some(MODIFIED), Some("Thu, 15 Jan 2026 09:29:00 GMT")] {
            assert_eq!(of(date, false), None, "{date:?}");
            let found = of(date, true).expect("the ETag");
            assert_eq!((found.etag.as_deref(), found.last_modified), (Some("\"v1\""), None), "{date:?}");
        }
    }
}
