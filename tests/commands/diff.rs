//! `gatherd diff`: what it tells apart.

use gatherd::model::{Outcome, Slot};

use crate::history::{asked, document, lines};
use crate::support::rounds::{closed, database, failed, layout};

#[test]
fn a_null_and_nothing_are_told_apart() {
    let (_folder, path, mut writer) = database();
    for (round, text) in [(1, r#"{"a":null}"#), (2, "{}"), (3, r#"{"a":null}"#)] {
        writer.close(&closed(round, &layout(&["e"]), vec![document(round, text)])).expect("stored");
    }
    let null = Some(&serde_json::Value::Null);
    for (before, after, expected) in [("1", "2", (null, None)), ("2", "3", (None, null))] {
        let changes = lines(&path, &["diff", "job", before, after]);
        assert_eq!(changes.len(), 1);
        assert_eq!((changes[0].get("before"), changes[0].get("after")), expected, "{}", changes[0]);
    }
}

#[test]
fn an_endpoint_that_fails_with_another_status_has_changed() {
    let (_folder, path, mut writer) = database();
    let both = layout(&["e", "page"]);
    for (round, status, said, page) in [(1, 500, "500 Server Error", 200), (2, 404, "404 Not Found", 502)] {
        let slot = |outcome, status, detail| Slot { http_status: Some(status), ..failed(round, outcome, detail) };
        let slots = vec![slot(Outcome::HttpStatus, status, said), slot(Outcome::NotJson, page, "at byte 0")];
        writer.close(&closed(round, &both, slots)).expect("stored");
    }
    let table = asked(&path, &["diff", "job", "1", "2"]);
    for said in ["(http_status: 404 Not Found)", "(not_json, HTTP 200: at byte 0)", "(not_json, HTTP 502: at byte 0)"] {
        assert!(table.contains(said), "{table}");
    }
    let changes = lines(&path, &["diff", "job", "1", "2"]);
    let status = |row: usize| (changes[row]["http_status_before"].clone(), changes[row]["http_status_after"].clone());
    assert_eq!((changes.len(), status(0), status(1)), (2, (500.into(), 404.into()), (200.into(), 502.into())));
    assert_eq!(asked(&path, &["diff", "job", "1", "1", "--csv"]), "");
}
