//! Answers in pages: one document of all, each page asked for by itself.

use std::io::Write;

use gatherd::model::Outcome;
use serde_json::Value;

use crate::support::canned::{answer, connections, head};
use crate::support::once::{detail, slot, text};
use crate::support::{canned, sample_api};

/// The identifiers of a document's items.
fn ids(document: &str) -> Vec<u64> {
    let items: Vec<Value> = serde_json::from_str(document).expect("an array");
    items.iter().map(|item| item["id"].as_u64().expect("an id")).collect()
}

#[test]
fn the_items_of_all_pages_are_one_list_however_the_next_page_is_found() {
    let api = sample_api();
    for (path, pages) in [
        ("/pages-link", "link = true"),
        ("/pages-url", "url = \"/next\""),
        ("/pages-cursor", "cursor = \"/meta/next_cursor\", parameter = \"cursor\""),
        ("/pages-cursor/absent", "cursor = \"/meta/next_cursor\", parameter = \"cursor\""),
        ("/pages-cursor/null", "cursor = \"/meta/next_cursor\", parameter = \"cursor\""),
        ("/pages-counter", "counter = \"page\""),
        ("/pages-offset?offset=7", "counter = \"offset\", first = 0, step = 3"),
    ] {
        let slot = slot(&format!("pages = {{ {pages}, items = \"/data\" }}"), &api.url(path));
        assert_eq!(slot.outcome, Outcome::Ok, "{path}: {slot:?}");
        assert_eq!(ids(text(&slot)), (1..=12).collect::<Vec<u64>>(), "{path}");
        assert!(text(&slot).contains("12345678901234567890.10"), "to the digit");
        // A counter has to look at the page that has nothing any more.
        assert_eq!(slot.attempts, if pages.contains("counter") { 5 } else { 4 }, "{path}");
        assert_eq!(slot.detail, None);
    }
}

#[test]
fn without_a_pointer_to_items_the_document_is_the_list_of_the_pages() {
    let api = sample_api();
    let slot = slot("pages = { link = true }", &api.url("/pages-link"));
    let pages: Vec<Value> = serde_json::from_str(text(&slot)).expect("an array");
    let numbers: Vec<u64> = pages.iter().filter_map(|page| page["page"].as_u64()).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
}

#[test]
fn pages_end_at_max_pages_and_the_slot_says_that_there_are_more() {
    let api = sample_api();
    let slot = slot("pages = { url = \"/next\", items = \"/data\", max_pages = 3 }", &api.url("/pages-endless"));
    assert_eq!((slot.outcome, slot.attempts), (Outcome::Ok, 3));
    assert_eq!(ids(text(&slot)).len(), 9);
    assert_eq!(detail(&slot), "the first 3 pages; the server has more");
    assert_eq!(api.requests_to("/pages-endless"), 3);
}

#[test]
fn a_page_that_fails_fails_the_slot_after_its_own_retries() {
    let api = sample_api();
    let slot = slot("retries = 1\npages = { link = true }", &api.url("/pages-broken"));
    assert_eq!((slot.outcome, slot.http_status), (Outcome::HttpStatus, Some(500)));
    // Two pages, and the third one twice.
    assert_eq!((slot.attempts, api.requests_to("/pages-broken")), (4, 4));
    let sent = &slot.evidence.as_ref().expect("evidence").sent;
    assert!(sent.contains("page=3"), "the page that failed is shown: {sent}");
}

#[test]
fn a_page_that_leads_to_itself_ends_the_slot_instead_of_going_round() {
    let api = sample_api();
    for pages in ["url = \"/next\"", "link = true"] {
        let slot = slot(&format!("pages = {{ {pages} }}"), &api.url("/pages-loop"));
        assert_eq!(slot.outcome, Outcome::Protocol, "{slot:?}");
        assert!(detail(&slot).contains("asked for already"), "{}", detail(&slot));
        assert!(slot.attempts <= 2);
    }
}

#[test]
fn a_next_page_at_another_origin_is_not_asked_for() {
    let (api, other) = (sample_api(), sample_api());
    let away = api.url(&format!("/pages-away?url={}", other.url("/echo")));
    for pages in ["url = \"/next\"", "link = true"] {
        let slot = slot(&format!("pages = {{ {pages} }}"), &away);
        assert_eq!(slot.outcome, Outcome::Redirect, "{slot:?}");
        assert_eq!(detail(&slot), "pages: the next one is at another origin");
    }
    assert_eq!(other.requests(), 0);
}

#[test]
fn all_pages_together_have_to_fit_into_max_body() {
    let api = sample_api();
    let slot = slot("max_body = \"400B\"\npages = { link = true }", &api.url("/pages-link"));
    assert_eq!(slot.outcome, Outcome::TooLarge);
    assert_eq!(detail(&slot), "over 400 bytes in all pages");
    assert!(slot.attempts > 1, "the first page alone would have fitted");
}

#[test]
fn a_page_without_the_list_that_is_wanted_is_a_failure_and_not_an_empty_list() {
    let api = sample_api();
    let slot = slot("pages = { counter = \"page\", items = \"/rows\" }", &api.url("/pages-counter"));
    assert_eq!((slot.outcome, detail(&slot)), (Outcome::NotJson, "pages: no list of items at \"/rows\""));
}

#[test]
fn a_list_that_is_left_out_is_an_empty_one_if_another_page_has_it_and_the_cursor_0_is_the_end() {
    let answers = |bodies: &'static [&str]| {
        connections(move |number, mut stream| {
            head(&mut stream);
            let _ = stream.write_all(&answer("200 OK", "", bodies[number.min(bodies.len() - 1)]));
        })
    };
    let keys = "retries = 0\npages = { cursor = \"/next\", parameter = \"c\", items = \"/items\" }";
    for (bodies, document) in [
        (&[r#"{"kind":"x","items":[1],"next":"a"}"#, r#"{"kind":"x"}"#][..], "[1]"),
        (&[r#"{"next":"a"}"#, r#"{"items":[1],"next":7}"#, r#"{"items":[2],"next":0}"#], "[1,2]"),
    ] {
        assert_eq!(text(&slot(keys, &answers(bodies))), document);
    }
    let fails = slot(keys, &answers(&[r#"{"items":[1],"next":"a"}"#, r#"{"error":"later"}"#]));
    assert_eq!((fails.outcome, detail(&fails)), (Outcome::NotJson, "pages: no list of items at \"/items\""));
    let nowhere = slot(keys, &answers(&[r#"{"next":"a"}"#, r#"{"kind":"x"}"#]));
    assert_eq!((nowhere.outcome, detail(&nowhere)), (Outcome::NotJson, "pages: no list of items at \"/items\""));
}

#[test]
fn an_answer_that_has_only_one_page_is_a_list_of_one() {
    let api = sample_api();
    let slot = slot("pages = { link = true }", &api.url("/null"));
    assert_eq!(text(&slot), "[null]");
}

#[test]
fn a_link_that_is_not_ascii_leads_on_as_any_other() {
    let server = canned::canned(|request| match request.split(' ').nth(1) {
        Some("/") => canned::answer("200 OK", "Link: </2?q=\u{fc}>; rel=\"next\"; title=\"n\u{e4}chste\"\r\n", "1"),
        _ => canned::answer("200 OK", "", "2"),
    });
    let slot = slot("pages = { link = true }", &server.url("/"));
    assert_eq!((slot.outcome, text(&slot)), (Outcome::Ok, "[1,2]"));
    assert!(server.requests()[1].starts_with("GET /2?q=%C3%BC "), "{:?}", server.requests());
}

#[test]
fn all_pages_of_a_slot_are_asked_for_with_the_same_now() {
    let server = canned::canned(|request| {
        let page: u32 = request.split_once("c=").map_or(1, |(_, text)| text[..1].parse().expect("a number"));
        let next = if page < 9 { format!("{}", page + 1) } else { "null".to_owned() };
        canned::answer("200 OK", "", format!("{{\"next\": {next}, \"data\": [{page}]}}"))
    });
    let keys = "query = { to = \"{{ now | unix_ms }}\" }\n\
                pages = { cursor = \"/next\", parameter = \"c\", items = \"/data\" }";
    let slot = slot(keys, &server.url("/"));
    assert_eq!((slot.outcome, text(&slot)), (Outcome::Ok, "[1,2,3,4,5,6,7,8,9]"), "{slot:?}");
    let to = |request: &String| request[request.find("to=").expect("it is sent")..][..16].to_owned();
    let mut asked: Vec<String> = server.requests().iter().map(to).collect();
    asked.dedup();
    assert_eq!(asked.len(), 1, "{asked:?}");
}
