//! Rounds, jobs and the ledger.

use reqwest::Method;
use serde_json::json;

use crate::support::OFTEN;
use crate::support::web::{Web, parsed};
use crate::{EXACT, job, once, upstream};

#[test]
fn a_round_is_answered_with_its_reasons_and_its_documents_to_the_digit() {
    let server = upstream();
    let web = Web::start("", &once(&server));
    let round = web.daemon.wait_for_rounds("figures", 1)[0]["round"].clone();
    for path in [format!("/api/v1/rounds/{round}"), "/api/v1/jobs/figures/latest".to_owned()] {
        let text = web.get(&path).text().expect("text");
        assert!(text.contains(&format!("\"vector\":[{EXACT},null]")), "{text}");
        let slots: Vec<(&str, &str)> = vec![("exact", "ok"), ("a/b ä", "http_status")];
        for (endpoint, outcome) in slots {
            assert!(text.contains(&format!("\"endpoint\":\"{endpoint}\",\"outcome\":\"{outcome}\"")), "{text}");
        }
    }
    let all = web.get("/api/v1/latest").text().expect("text");
    assert!(all.starts_with("{\"rounds\":[{\"round_id\":") && all.contains(EXACT), "{all}");
    let second = web.json(&format!("/api/v1/rounds/{round}?position=1&limit=1"));
    assert_eq!((&second["vector"], &second["slots"][0]["position"]), (&json!([null]), &json!(1)));
    web.daemon.stop();
}

#[test]
fn jobs_say_when_they_are_due_what_they_do_and_what_they_ask() {
    let server = upstream();
    let web = Web::start("", &once(&server));
    web.daemon.wait_for_rounds("figures", 1);
    let jobs = web.json("/api/v1/jobs");
    let figures = &jobs["jobs"][0];
    assert_eq!((&figures["name"], &figures["cadence"]), (&json!("figures"), &json!("every 1year 18h")));
    assert!(figures["next_due"].as_str().is_some_and(|due| due.ends_with(":00:00.000Z")), "{figures}");
    assert_eq!((&figures["last_round"]["ok"], &figures["last_round"]["failed"]), (&json!(1), &json!(1)));
    let one = web.json("/api/v1/jobs/figures");
    assert_eq!((&one["layout"][1]["name"], &one["layout"][1]["position"]), (&json!("a/b ä"), &json!(1)));
    assert_eq!(web.problem(Method::GET, "/api/v1/jobs/figure").0, 404);
    web.daemon.stop();
}

#[test]
fn pages_of_rounds_lead_from_the_newest_to_the_oldest_without_a_gap() {
    let server = upstream();
    let web = Web::start("", &job("fast", OFTEN, &[("exact", server.url("/exact"))]));
    web.daemon.wait_for_rounds("fast", 7);
    let (mut numbers, mut path) = (Vec::new(), Some("/api/v1/jobs/fast/rounds?limit=2".to_owned()));
    while let Some(next) = path {
        let answer = web.get(&next);
        let link = answer.headers().get("link").map(|link| link.to_str().expect("text").to_owned());
        let page = parsed(answer);
        path = page["next"].as_str().map(str::to_owned);
        assert_eq!(link, path.as_ref().map(|next| format!("<{next}>; rel=\"next\"")));
        numbers.extend(page["rounds"].as_array().expect("a list").iter().map(|round| round["round_id"].as_i64()));
    }
    assert!(numbers.len() >= 7 && numbers.last() == Some(&Some(1)), "{numbers:?}");
    assert!(numbers.is_sorted_by(|newer, older| *newer == older.map(|older| older + 1)), "{numbers:?}");
    web.daemon.stop();
}

#[test]
fn the_ledger_says_what_did_not_run_and_why() {
    let hangs = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/", hangs.local_addr().expect("an address"));
    let web = Web::start("", &job("slow", "every = \"100ms\"\ndeadline = \"350ms\"", &[("hangs", url)]));
    web.daemon.wait_for("due without a round");
    web.daemon.wait_for("due without a round");
    web.daemon.wait_for_rounds("slow", 1);
    let ledger = web.json("/api/v1/ledger?job=slow");
    let entries = ledger["rounds"].as_array().expect("a list");
    assert!(entries.iter().any(|entry| entry["status"] == "skipped" && entry["cause"] == "overlap"), "{ledger}");
    let page = web.json("/api/v1/ledger?job=slow&limit=1");
    let next = page["next"].as_str().expect("a next page");
    assert!(next.starts_with("/api/v1/ledger?job=slow&limit=1&before="), "{next}");
    assert_eq!(web.json(next)["rounds"].as_array().map(Vec::len), Some(1));
    assert_eq!(web.problem(Method::GET, "/api/v1/ledger?job=nobody").0, 404);
    drop(web);
}
