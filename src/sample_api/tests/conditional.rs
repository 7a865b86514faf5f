//! Asks whether documents have changed.

use super::{body, get, get_with, start};

fn status(answer: &str) -> &str {
    &answer[9..12]
}

#[test]
fn an_etag_that_is_known_gets_a_304_without_a_body() {
    let api = start();
    let fresh = get(&api, "/etag");
    assert!(fresh.starts_with("HTTP/1.1 200 OK\r\n") && fresh.contains("\r\nETag: \"48210-1893\"\r\n"), "{fresh}");
    for known in ["\"48210-1893\"", "W/\"48210-1893\"", "\"x\", \"48210-1893\"", "*"] {
        let answer = get_with(&api, "/etag", &format!("If-None-Match: {known}\r\n"));
        assert_eq!(answer, "HTTP/1.1 304 Not Modified\r\nETag: \"48210-1893\"\r\n\r\n", "{known}");
    }
    assert_eq!(get_with(&api, "/etag", "If-None-Match: \"48210\"\r\n"), fresh);
    assert_eq!((api.not_modified("/etag"), api.requests_to("/etag")), (4, 6));
}

#[test]
fn a_changing_document_changes_with_its_etag_after_so_many_requests() {
    let api = start();
    let known = |tag: &str| get_with(&api, "/etag-changing/2", &format!("If-None-Match: {tag}\r\n"));
    assert_eq!(body(&get(&api, "/etag-changing/2")), r#"{"version":0}"#);
    assert_eq!(status(&known("\"v0\"")), "304");
    let changed = known("\"v0\"");
    assert!(changed.contains("\r\nETag: \"v1\"\r\n") && changed.ends_with(r#"{"version":1}"#), "{changed}");
    assert_eq!(status(&known("\"v1\"")), "304");
    assert_eq!(body(&get(&api, "/etag-changing/2?other")), r#"{"version":0}"#);
    assert_eq!(api.not_modified("/etag-changing/2"), 2);
}

#[test]
fn a_date_not_before_the_last_change_gets_a_304_unless_there_is_a_tag_too() {
    let api = start();
    let since = |headers: &str| status(&get_with(&api, "/last-modified", headers)).to_owned();
    assert!(get(&api, "/last-modified").contains("\r\nLast-Modified: Thu, 15 Jan 2026 09:30:00 GMT\r\n"));
    assert_eq!(since("If-Modified-Since: Thu, 15 Jan 2026 09:30:00 GMT\r\n"), "304");
    assert_eq!(since("If-Modified-Since: Thu, 15 Jan 2026 09:29:59 GMT\r\n"), "200");
    assert_eq!(since("If-Modified-Since: yesterday\r\n"), "200");
    assert_eq!(since("If-None-Match: \"x\"\r\nIf-Modified-Since: Thu, 15 Jan 2026 09:30:00 GMT\r\n"), "200");
    assert_eq!(api.not_modified("/last-modified"), 1);
}

#[test]
fn always_304_says_so_to_everybody() {
    assert_eq!(status(&get(&start(), "/always-304")), "304");
}
