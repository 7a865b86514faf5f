//! Answers that are made to hurt whoever looks into them, through the real pool with its small stacks.

use gatherd::model::Outcome;
use httpmock::MockServer;

use crate::support::once::{detail, slot, text};

/// What the only slot of a round with `error_if = { pointer = "/error" }` makes of `body`.
fn looked_into(status: u16, body: &str) -> gatherd::model::Slot {
    let server = MockServer::start();
    server.mock(|when, then| {
        when.path("/");
        then.status(status).body(body);
    });
    slot("retries = 0\nerror_if = { pointer = \"/error\" }", &server.url("/"))
}

/// `levels` documents one in another, each as deep as one may be, as texts behind the key that `serde_json` takes for a
/// sign to parse them.
fn documents_in_texts(levels: usize) -> String {
    (0..levels).fold("1".to_owned(), |inner, _| {
        let text = serde_json::to_string(&inner).expect("a string");
        format!("{}{{\"$serde_json::private::RawValue\":{text}}}{}", "[".repeat(126), "]".repeat(126))
    })
}

#[test]
fn texts_that_hold_documents_are_texts_however_many_are_in_one_another() {
    let body = documents_in_texts(12);
    let slot = looked_into(200, &body);
    assert_eq!((slot.outcome, text(&slot)), (Outcome::Ok, body.as_str()));
    // A refused answer is looked into for the guess.
    let slot = looked_into(500, &documents_in_texts(6));
    assert_eq!((slot.outcome, slot.http_status), (Outcome::HttpStatus, Some(500)));
}

#[test]
fn a_text_that_holds_an_error_is_none() {
    let body = r#"{"$serde_json::private::RawValue": "{\"error\": 1}"}"#;
    assert_eq!(looked_into(200, body).outcome, Outcome::Ok);
    assert_eq!(looked_into(200, r#"{"error": 1}"#).outcome, Outcome::HttpStatus);
}

#[test]
fn a_coded_body_that_comes_to_nothing_is_not_read_for_ever() {
    // An empty member of a gzip file, a frame of zstd that is skipped, an empty block of zlib after its header.
    let gzip = b"\x1F\x8B\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0".repeat(50_000);
    let zstd = [b"\x50\x2A\x4D\x18\0\x10\0\0".as_slice(), &[0; 4096]].concat().repeat(250);
    let deflate = [b"\x78\x9C".as_slice(), &b"\0\0\0\xFF\xFF".repeat(200_000)].concat();
    for (coding, body) in [("gzip", gzip), ("zstd", zstd), ("deflate", deflate)] {
        let slot = coded(coding, &body);
        assert_eq!(slot.outcome, Outcome::TooLarge, "{coding}: {slot:?}");
    }
}

#[test]
fn compressed_data_that_ends_too_early_is_not_taken_for_a_connection_that_does() {
    let gzip = b"\x1F\x8B\x08\0\0\0\0\0\0\x03\x03\0\0\0\0";
    let slot = coded("gzip", gzip);
    assert_eq!((slot.outcome, detail(&slot)), (Outcome::Encoding, "the compressed data ends too early"));
}

/// What the only slot of a round with a `max_body` of 4 KiB makes of `body`, coded so.
fn coded(coding: &str, body: &[u8]) -> gatherd::model::Slot {
    let server = MockServer::start();
    server.mock(|when, then| {
        when.path("/");
        then.status(200).header("content-encoding", coding).body(body);
    });
    slot("retries = 0\nmax_body = \"4KiB\"", &server.url("/"))
}

#[test]
fn a_redirect_to_an_endless_url_is_a_redirect() {
    let server = MockServer::start();
    server.mock(|when, then| {
        when.path("/");
        then.status(302).header("location", format!("/{}", "a".repeat(70_000)));
    });
    let slot = slot("retries = 0\nredirects = 2", &server.url("/"));
    assert_eq!((slot.outcome, slot.http_status), (Outcome::Redirect, Some(302)), "{slot:?}");
    assert_eq!(detail(&slot), "to a URL of more than 65534 bytes");
}

#[test]
fn the_deepest_documents_are_looked_into() {
    for depth in [126, 127, 128] {
        let body = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(looked_into(200, &body).outcome, Outcome::Ok, "{depth} levels");
    }
}
