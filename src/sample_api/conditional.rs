//! Endpoints that can be asked whether their document has changed (RFC 9110, section 13).

use std::fmt::Arguments;

use httpdate::parse_http_date;

use super::modes::Call;
use super::respond::{After, JSON, answer_with};

const DOCUMENT: &[u8] = br#"{"users":48210,"sessions":1893,"changes":false}"#;
const TAG: &str = r#""48210-1893""#;
const MODIFIED: &str = "Thu, 15 Jan 2026 09:30:00 GMT";

/// A document that never changes.
pub(super) fn etag(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    tagged(call, out, TAG, DOCUMENT)
}

/// A document that changes with each so many requests for its path and query.
pub(super) fn etag_changing(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    let every = call.request.number().unwrap_or(1).max(1);
    let version = call.nth() / every;
    tagged(call, out, &format!("\"v{version}\""), format!(r#"{{"version":{version}}}"#).as_bytes())
}

pub(super) fn last_modified(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    // Whoever sends a tag as well is to be judged by the tag, and there is none here.
    let since = call.request.header("if-modified-since").filter(|_| call.request.header("if-none-match").is_none());
    let since = since.and_then(|since| parse_http_date(&since).ok());
    let known = since.zip(parse_http_date(MODIFIED).ok()).is_some_and(|(since, modified)| modified <= since);
    revalidated(call, out, known, format_args!("Last-Modified: {MODIFIED}\r\n"), DOCUMENT)
}

pub(super) fn always_304(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    revalidated(call, out, true, format_args!("ETag: {TAG}\r\n"), b"")
}

fn tagged(call: &Call<'_>, out: &mut Vec<u8>, tag: &str, body: &[u8]) -> After {
    let known = call.request.header("if-none-match").is_some_and(|known| names(&known, tag));
    revalidated(call, out, known, format_args!("ETag: {tag}\r\n"), body)
}

/// Whether a list of entity tags has `tag`, by the weak comparison. None of ours has a comma in it.
fn names(list: &str, tag: &str) -> bool {
    let mut known = list.split(',').map(str::trim);
    known.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

fn revalidated(call: &Call<'_>, out: &mut Vec<u8>, known: bool, validator: Arguments<'_>, body: &[u8]) -> After {
    if known {
        call.stats.counts_not_modified(call.request.path);
        return answer_with(out, 304, validator, b"");
    }
    answer_with(out, 200, format_args!("Content-Type: {JSON}\r\n{validator}"), body)
}
