//! Conditional requests (RFC 9110, section 13): a server that named the version of its document may say that it is still
//! the same.

use std::hash::Hasher;

use reqwest::header::{ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use siphasher::sip::SipHasher13;

use crate::config::Auth;
use crate::model::Validators;

/// Longer validators are not remembered.
const LONGEST: usize = 1024;

/// A fingerprint of a request without its secrets: the same for requests that ask for the same in the same name, which
/// `auth` says. SipHash-1-3 with a zero key, so it is the same after a restart.
pub fn fingerprint(url: &str, headers: &HeaderMap, auth: Option<&Auth>) -> u64 {
    let mut hasher = SipHasher13::new();
    let mut put = |bytes: &[u8]| {
        hasher.write_usize(bytes.len());
        hasher.write(bytes);
    };
    put(url.as_bytes());
    put(format!("{auth:?}").as_bytes());
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_sensitive()) {
        put(name.as_str().as_bytes());
        put(value.as_bytes());
    }
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

/// What an answer names its version by, if it does.
pub fn validators(request: u64, headers: &HeaderMap) -> Option<Validators> {
    let text = |name: HeaderName| {
        let value = headers.get(name)?.to_str().ok()?.trim();
        (!value.is_empty() && value.len() <= LONGEST).then(|| value.to_owned())
    };
    let (etag, last_modified) = (text(ETAG), text(LAST_MODIFIED));
    (etag.is_some() || last_modified.is_some()).then_some(Validators { request, etag, last_modified })
}
