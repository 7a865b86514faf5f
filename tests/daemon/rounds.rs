//! Rounds at their dues, whatever their endpoints do.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::support::daemon::{Daemon, Home};
use crate::support::{ClosedPort, OFTEN, YEARLY, sample_api, until};
use crate::{at_start, idle, job};

#[test]
fn rounds_come_at_their_dues_and_are_stored_whole_and_in_order() {
    let api = sample_api();
    let urls = [api.url("/slow"), api.url("/html-500"), api.url("/null"), api.url("/healthy")];
    let home = Home::new(&job("figures", "every = \"1s\"\ndeadline = \"10s\"", &urls));
    let daemon = home.start();
    let rounds = daemon.wait_for_rounds("figures", 3);
    daemon.stop();
    for round in &rounds {
        let due: DateTime<Utc> = round["due"].as_str().and_then(|due| due.parse().ok()).expect("a moment");
        assert_eq!(due.timestamp_subsec_micros(), 0, "on the full second: {round}");
        assert_eq!((&round["ok"], &round["failed"]), (&3.into(), &1.into()));
    }
    let vectors = home.rows("SELECT vector FROM vectors", |row| row.get::<_, String>(0));
    assert!(vectors.len() >= 3);
    for vector in vectors {
        let vector: Vec<Value> = serde_json::from_str(&vector).expect("a JSON array");
        assert_eq!(vector.len(), 4);
        assert!(vector[0].is_object() && vector[1].is_null() && vector[2].is_null() && vector[3].is_object());
    }
    let outcomes = home.rows(
        "SELECT endpoint, outcome, http_status, body FROM observations WHERE round_id = 1 ORDER BY position",
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
    );
    let outcomes: Vec<(String, String, Option<u16>, Option<String>)> = outcomes;
    assert_eq!(outcomes[1], (urls[1].clone(), "http_status".into(), Some(500), None));
    assert_eq!(outcomes[2], (urls[2].clone(), "ok".into(), Some(200), Some("null".into())), "the API said null");
}

#[test]
fn a_job_of_three_keeps_its_cadence_beside_thousands_of_endpoints_that_hang() {
    let api = sample_api();
    let hanging: Vec<String> = (0..5_000).map(|number| api.url(&format!("/hang/{number}"))).collect();
    let healthy = [api.url("/healthy/1"), api.url("/healthy/2"), api.url("/healthy/3")];
    let home = Home::new(&format!(
        "{}{}",
        job("hangs", "every = \"5s\"\ntimeout = \"10s\"\nrun_on_start = true", &hanging),
        job("healthy", "every = \"1s\"", &healthy)
    ));
    let daemon = home.start();
    let rounds = daemon.wait_for_rounds("healthy", 8);
    daemon.signal("TERM");
    assert!(rounds.iter().all(|round| round["ok"] == 3), "{rounds:#?}");
    let (status, rest) = daemon.wait();
    assert_eq!(status.code(), Some(0), "{rest:#?}");
    assert_eq!(home.number("SELECT count(*) FROM rounds WHERE job = 'healthy' AND status IN ('skipped', 'missed')"), 0);
    let closed = home.number("SELECT count(*) FROM rounds WHERE job = 'hangs' AND ok = 0 AND failed = 5000");
    assert!(closed > 0, "the rounds that hang close too, with all their slots");
}

#[test]
fn a_due_that_finds_its_last_round_running_is_in_the_ledger_as_skipped() {
    let api = sample_api();
    let keys = "every = \"1s\"\ndeadline = \"2500ms\"\ntimeout = \"10s\"";
    let home = Home::new(&job("slow", keys, &[api.url("/hang")]));
    let daemon = home.start();
    daemon.wait_for_rounds("slow", 2);
    daemon.stop();
    let skipped = home.rows("SELECT cause, covers, endpoints FROM rounds WHERE status = 'skipped'", |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    });
    let skipped: Vec<(String, i64, Option<i64>)> = skipped;
    assert!(skipped.len() >= 2, "two dues fall into each round");
    assert!(skipped.iter().all(|row| *row == ("overlap".into(), 1, None)));
    let detail = home.rows("SELECT DISTINCT outcome FROM observations WHERE outcome <> 'cancelled'", |row| row.get(0));
    let detail: Vec<String> = detail;
    assert_eq!(detail, ["timeout"]);
}

#[test]
fn an_endpoint_that_hangs_does_not_make_its_job_skip_the_next_round() {
    let api = sample_api();
    let home = Home::new(&job("mixed", "every = \"1s\"", &[api.url("/hang"), api.url("/healthy")]));
    let daemon = home.start();
    let rounds = daemon.wait_for_rounds("mixed", 4);
    daemon.stop();
    assert!(rounds.iter().all(|round| round["ok"] == 1 && round["failed"] == 1), "{rounds:#?}");
    assert_eq!(home.number("SELECT count(*) FROM rounds WHERE status IN ('skipped', 'missed')"), 0);
}

#[test]
fn a_changed_outcome_is_logged_once_and_not_each_round() {
    let api = sample_api();
    let home = Home::new(&job("broken", OFTEN, &[api.url("/html-200"), api.url("/healthy")]));
    let daemon = home.start();
    let changed = daemon.wait_for("outcome changed");
    assert_eq!(
        (&changed["level"], &changed["outcome"], &changed["before"]),
        (&"WARN".into(), &"not_json".into(), &Value::Null)
    );
    daemon.wait_for_rounds("broken", 5);
    let rest = daemon.stop();
    assert!(rest.iter().all(|line| line["message"] != "outcome changed"), "{rest:#?}");
}

#[test]
fn where_a_whole_host_is_gone_20_endpoints_have_a_line_each_and_the_rest_are_counted() {
    let (port, api) = (ClosedPort::new(), sample_api());
    let mut urls: Vec<String> = (0..30).map(|number| port.url(&format!("/{number}"))).collect();
    urls.push(api.url("/html-200"));
    urls.push(port.url("/other").replace("127.0.0.1", "localhost"));
    let home = Home::new(&at_start("gone", &urls));
    let daemon = home.start();
    let mut told = Vec::new();
    while told.last().is_none_or(|line: &Value| line["message"] != "round stored") {
        told.push(daemon.line_within(crate::support::PATIENCE).expect("a line"));
    }
    let of = |outcome: &str, message: &str| {
        told.iter().filter(|line| line["outcome"] == outcome && line["message"] == message).collect::<Vec<_>>()
    };
    assert_eq!(of("connect", "outcome changed").len(), 21, "another host is not hidden by it: {told:#?}");
    assert_eq!(of("not_json", "outcome changed").len(), 1, "another outcome is not hidden by them: {told:#?}");
    let further = of("connect", "outcome changed of further endpoints");
    assert_eq!((further.len(), &further[0]["endpoints"]), (1, &10.into()), "{told:#?}");
}

#[test]
fn descriptors_threads_and_memory_stay_flat_over_many_rounds() {
    let api = sample_api();
    let urls = ["/healthy", "/html-500", "/reset", "/truncated", "/close", "/garbage"].map(|path| api.url(path));
    let home = Home::new(&job("mixed", "every = \"100ms\"", &urls));
    let daemon = home.start();
    let counted = |what: &str| {
        let entries = std::fs::read_dir(format!("/proc/{}/{what}", daemon.pid())).expect("a running daemon");
        entries.count()
    };
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("a running daemon");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
    };
    daemon.wait_for_rounds("mixed", 15);
    let (descriptors, threads, memory) = (counted("fd"), counted("task"), resident());
    daemon.wait_for_rounds("mixed", 60);
    // A connection or two may be open at either moment; what leaks grows with the rounds.
    assert!(counted("fd") <= descriptors + urls.len(), "{} descriptors, then {}", descriptors, counted("fd"));
    assert!(counted("task") <= threads + 2, "{} threads, then {}", threads, counted("task"));
    assert!(resident() <= memory + 8 * 1024, "{} kB, then {}", memory, resident());
    daemon.stop();
}

#[test]
fn there_is_room_for_many_connections_before_the_first_is_opened() {
    let home = Home::new(&idle());
    let daemon = home.start();
    daemon.wait_for("started");
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("a running daemon");
    let room = status.lines().find_map(|line| line.strip_prefix("FDSize:")).expect("the size of its table");
    let allowed = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.unwrap_or(u64::MAX);
    assert!(room.trim().parse::<u64>().expect("a number") >= allowed.min(4_096), "{room}");
    daemon.stop();
}

#[test]
fn a_layout_stays_readable_after_the_config_changes() {
    let api = sample_api();
    let config = |endpoints: &str| {
        format!("[[job]]\nname = \"figures\"\n{YEARLY}\nrun_on_start = true\nendpoints = [{endpoints}]\n")
    };
    let (users, sales) = (api.url("/figures/users"), api.url("/figures/sales"));
    let home = Home::new(&config(&format!("{{ name = \"a\", url = {users:?} }}, {{ name = \"b\", url = {sales:?} }}")));
    for endpoints in [
        format!("{{ name = \"b\", url = {sales:?} }}, {{ name = \"a\", url = {users:?} }}"),
        format!("{{ name = \"b\", url = {users:?} }}"),
        format!("{{ name = \"a\", url = {users:?} }}, {{ name = \"b\", url = {sales:?} }}"),
    ] {
        let daemon = home.start();
        daemon.wait_for_rounds("figures", 1);
        daemon.stop();
        home.configure(&config(&endpoints));
    }
    let daemon = home.start();
    daemon.wait_for_rounds("figures", 1);
    daemon.stop();
    let names = home.rows(
        "SELECT group_concat(endpoint, '') FROM (SELECT round_id, endpoint FROM observations ORDER BY round_id, position) GROUP BY round_id",
        |row| row.get::<_, String>(0),
    );
    assert_eq!(names, ["ab", "ba", "b", "ab"]);
    assert_eq!(home.number("SELECT count(*) FROM endpoint"), 2, "history follows the name");
    assert_eq!(home.number("SELECT count(*) FROM layout"), 3, "a layout that came before is found again");
}

#[test]
fn a_reader_of_the_log_that_stalls_does_not_stall_the_daemon() {
    let (api, closed) = (sample_api(), ClosedPort::new());
    // More lines than are kept for a slow reader: one for each endpoint that fails.
    let refused: Vec<String> = (0..5_000).map(|number| closed.url(&format!("/{number}"))).collect();
    let noisy = at_start("noisy", &refused);
    let home = Home::new(&format!("{noisy}{}", job("figures", OFTEN, &[api.url("/healthy")])));
    // It is full from the beginning, and nobody reads it.
    let (mut full, _unread) = UnixStream::pair().expect("a pair");
    full.set_nonblocking(true).expect("set");
    while full.write(&[b'x'; 4096]).is_ok() {}
    full.set_nonblocking(false).expect("set");
    let _daemon = Daemon::logging_to(OwnedFd::from(full), home.command());
    until("rounds begin", || api.requests() > 0);
    let stored = "SELECT count(*) FROM rounds WHERE job = 'noisy' AND failed = 5000";
    until("what fails is stored", || home.number(stored) > 0);
    let asked = api.requests();
    until("rounds go on", || api.requests() > asked + 5);
}

#[test]
fn connections_are_kept_alive_from_round_to_round() {
    let api = sample_api();
    let urls = [api.url("/healthy/1"), api.url("/null")];
    let home = Home::new(&job("figures", OFTEN, &urls));
    let daemon = home.start();
    daemon.wait_for_rounds("figures", 5);
    daemon.stop();
    assert!(api.requests() >= 10);
    assert!(api.connections() <= 2, "{} connections", api.connections());
}
