//! Documents that are made to hurt whoever looks into them, through the real pool with its small stacks.

use gatherd::model::Outcome;
use httpmock::MockServer;

use crate::support::once::{slot, text};

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
fn the_deepest_documents_are_looked_into() {
    for depth in [126, 127, 128] {
        let body = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(looked_into(200, &body).outcome, Outcome::Ok, "{depth} levels");
    }
}
