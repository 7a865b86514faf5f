//! What is looked at to run it: metrics, readiness, and the API's own description.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::web::Web;
use crate::support::{OFTEN, until};
use crate::{job, once, upstream};

#[test]
fn what_is_counted_has_its_help_and_type_and_never_a_url() {
    let server = upstream();
    let web = Web::start("", &once(&server));
    web.daemon.wait_for_rounds("figures", 1);
    let mut text = String::new();
    // Threads start when the machine lets them.
    until("all workers are there", || {
        text = web.get("/metrics").text().expect("text");
        text.contains("\ngatherd_workers_alive 64\n")
    });
    for line in [
        "gatherd_rounds_total{job=\"figures\",status=\"complete\"} 1",
        "gatherd_rounds_total{job=\"figures\",status=\"missed\"} 0",
        "gatherd_slots_total{job=\"figures\",outcome=\"ok\"} 1",
        "gatherd_slots_total{job=\"figures\",outcome=\"http_status\"} 1",
        "gatherd_round_duration_seconds_count{job=\"figures\"} 1",
        "gatherd_slot_duration_seconds_count{job=\"figures\"} 2",
        "gatherd_round_lateness_seconds_count{job=\"figures\"} 1",
        "gatherd_storage_queue_entries 0",
        "gatherd_storage_dropped_total 0",
        "gatherd_workers_busy 0",
    ] {
        assert!(text.lines().any(|found| found == line), "no {line} in {text}");
    }
    assert!(
        text.contains("gatherd_database_bytes{file=\"wal\"}")
            && text.contains("gatherd_job_next_due_timestamp_seconds{")
    );
    assert!(!text.contains("http://"), "{text}");
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        let family =
            ["_bucket", "_sum", "_count"].iter().fold(name, |name, end| name.strip_suffix(end).unwrap_or(name));
        assert!(text.contains(&format!("# HELP {family} ")) && text.contains(&format!("# TYPE {family} ")), "{line}");
    }
    web.daemon.stop();
}

#[test]
fn it_is_not_ready_while_the_database_refuses_and_says_why() {
    let server = upstream();
    let web = Web::start("", &job("fast", OFTEN, &[("exact", server.url("/exact"))]));
    web.daemon.wait_for_rounds("fast", 1);
    assert_eq!(web.json("/readyz"), json!({"status": "ok"}));
    let lock = web.home.lock();
    web.daemon.wait_for("the database refuses, rounds wait");
    let (status, detail) = web.problem(Method::GET, "/readyz");
    assert!(status == 503 && detail.contains("wait for the database"), "{status} {detail}");
    assert_eq!(web.json("/healthz"), json!({"status": "ok"}));
    // Reading goes on.
    assert_eq!(web.get("/api/v1/latest").status().as_u16(), 200);
    drop(lock);
    web.daemon.wait_for("the database takes rounds again, nothing waits any more");
    assert_eq!(web.json("/readyz"), json!({"status": "ok"}));
    web.daemon.stop();
}

#[test]
fn the_description_is_made_from_the_code() {
    let server = upstream();
    let web = Web::start("", &once(&server));
    let text = web.get("/api/v1/openapi.json").text().expect("text");
    let mut description: Value = serde_json::from_str(&text).expect("JSON");
    // Hundreds, which change with the library.
    let zones = description.pointer_mut("/components/schemas/TimeZone/enum").expect("the time zones");
    assert!(zones.as_array().is_some_and(|zones| zones.contains(&json!("Europe/Berlin"))));
    *zones = json!(["Europe/Berlin"]);
    insta::assert_snapshot!(serde_json::to_string_pretty(&description).expect("JSON"));
    web.daemon.stop();
}

#[test]
fn the_page_to_try_it_needs_nothing_from_elsewhere() {
    let server = upstream();
    let web = Web::start("", &once(&server));
    let page = web.get("/api/docs").text().expect("text");
    let files: Vec<&str> =
        page.split(['"', '\'']).filter(|text| text.starts_with("./") || text.contains(".css")).collect();
    assert!(files.len() >= 4 && !page.contains("//cdn") && !page.contains("https://"), "{page}");
    for file in files {
        assert_eq!(web.get(&format!("/api/docs/{file}")).status().as_u16(), 200, "{file}");
    }
    assert!(web.get("/api/docs/swagger-initializer.js").text().expect("text").contains("/api/v1/openapi.json"));
    assert_eq!(web.problem(Method::GET, "/api/docs/..%2f..%2fetc/passwd").0, 404);
    web.daemon.stop();
}
