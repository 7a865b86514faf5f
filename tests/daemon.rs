//! `gatherd run`: the real binary, real sockets, a real file.

#[path = "support/daemon.rs"]
mod daemon;

use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;

use chrono::{DateTime, Utc};
use daemon::Home;
use gatherd::sample_api::SampleApi;
use rusqlite::Connection;
use serde_json::Value;

fn sample_api() -> SampleApi {
    SampleApi::start(SocketAddr::from(([127, 0, 0, 1], 0))).expect("the sample API starts")
}

fn job(name: &str, keys: &str, urls: &[String]) -> String {
    format!("[[job]]\nname = {name:?}\n{keys}\nendpoints = {urls:?}\n")
}

#[test]
fn rounds_come_at_their_dues_and_are_stored_whole_and_in_order() {
    let api = sample_api();
    let urls = [api.url("/slow"), api.url("/html-500"), api.url("/null"), api.url("/healthy")];
    let home = Home::new(&job("figures", "every = \"1s\"\nretries = 0", &urls));
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
    assert_eq!(home.number("SELECT count(*) FROM rounds WHERE status NOT IN ('complete', 'interrupted')"), 0);
}

#[test]
fn a_job_of_three_keeps_its_cadence_beside_thousands_of_endpoints_that_hang() {
    let api = sample_api();
    let hanging: Vec<String> = (0..5_000).map(|number| api.url(&format!("/hang/{number}"))).collect();
    let healthy = [api.url("/healthy/1"), api.url("/healthy/2"), api.url("/healthy/3")];
    let home = Home::new(&format!(
        "{}{}",
        job("hangs", "every = \"5s\"\ntimeout = \"10s\"\nrun_on_start = true", &hanging),
        job("healthy", "every = \"1s\"\nretries = 0", &healthy)
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
    let keys = "every = \"1s\"\ndeadline = \"2500ms\"\ntimeout = \"10s\"\nretries = 0";
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
    let home = Home::new(&job("mixed", "every = \"1s\"\nretries = 0", &[api.url("/hang"), api.url("/healthy")]));
    let daemon = home.start();
    let rounds = daemon.wait_for_rounds("mixed", 4);
    daemon.stop();
    assert!(rounds.iter().all(|round| round["ok"] == 1 && round["failed"] == 1), "{rounds:#?}");
    assert_eq!(home.number("SELECT count(*) FROM rounds WHERE status IN ('skipped', 'missed')"), 0);
}

#[test]
fn a_changed_outcome_is_logged_once_and_not_each_round() {
    let api = sample_api();
    let home =
        Home::new(&job("broken", "every = \"200ms\"\nretries = 0", &[api.url("/html-200"), api.url("/healthy")]));
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
fn a_signal_to_stop_lets_running_rounds_end_within_the_grace_time_and_cancels_the_rest() {
    let api = sample_api();
    let urls = [api.url("/healthy"), api.url("/hang")];
    let home = Home::new(&format!("grace = \"100ms\"\n{}", job("hangs", "every = \"1h\"\nrun_on_start = true", &urls)));
    let daemon = home.start();
    wait_until(|| api.requests_to("/hang") > 0);
    let rest = daemon.stop();
    assert_eq!(rest.last().map(|line| &line["message"]), Some(&"stopped".into()));
    let round = home.rows("SELECT status, cause, ok, failed FROM rounds", |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?, row.get::<_, i64>(3)?))
    });
    assert_eq!(round, [("interrupted".into(), "stopped".into(), 1, 1)]);
    let outcomes = home.rows("SELECT outcome FROM observations ORDER BY position", |row| row.get::<_, String>(0));
    assert_eq!(outcomes, ["ok", "cancelled"]);
}

#[test]
fn a_round_that_ends_within_the_grace_time_is_complete() {
    let api = sample_api();
    let home = Home::new(&job("slow", "every = \"1h\"\nrun_on_start = true", &[api.url("/delay/700/x")]));
    let daemon = home.start();
    wait_until(|| api.requests_to("/delay/700/x") > 0);
    daemon.stop();
    assert_eq!(home.number("SELECT count(*) FROM rounds WHERE status = 'complete' AND ok = 1"), 1);
}

#[test]
fn a_second_signal_ends_at_once_and_the_next_start_finds_the_interrupted_round() {
    let api = sample_api();
    let config = job("hangs", "every = \"1h\"\nrun_on_start = true\ntimeout = \"60s\"", &[api.url("/hang")]);
    let home = Home::new(&format!("grace = \"50s\"\n{config}"));
    let daemon = home.start();
    wait_until(|| api.requests_to("/hang") > 0);
    daemon.signal("TERM");
    daemon.wait_for("stopping: no new rounds, running ones get their grace time");
    daemon.signal("INT");
    let (status, _) = daemon.wait();
    assert_eq!(status.code(), Some(130));
    home.configure(&job("hangs", "every = \"1h\"", &[api.url("/hang")]));
    let daemon = home.start();
    daemon.wait_for("the last run was killed, its open rounds are interrupted");
    daemon.wait_for("started");
    daemon.stop();
    let round = home.rows("SELECT status, cause, ok FROM rounds", |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, Option<i64>>(2)?))
    });
    assert_eq!(round, [("interrupted".into(), "killed".into(), None)]);
}

#[test]
fn what_was_due_while_no_daemon_ran_is_one_row_of_the_ledger() {
    let api = sample_api();
    let home = Home::new(&job("figures", "every = \"1s\"", &[api.url("/healthy")]));
    let daemon = home.start();
    daemon.wait_for_rounds("figures", 1);
    daemon.stop();
    let back = "UPDATE round SET due_at = due_at - 3600000000, started_at = started_at - 3600000000";
    Connection::open(home.database()).and_then(|file| file.execute(back, [])).expect("an hour passes");
    let daemon = home.start();
    daemon.wait_for_rounds("figures", 1);
    daemon.stop();
    let missed = home.rows("SELECT cause, covers FROM rounds WHERE status = 'missed'", |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
    });
    assert_eq!(missed.len(), 1);
    assert_eq!(missed[0].0, "daemon down");
    assert!((3598..3700).contains(&missed[0].1), "{missed:?}");
}

#[test]
fn one_daemon_a_database() {
    let api = sample_api();
    let home = Home::new(&job("figures", "every = \"1h\"", &[api.url("/healthy")]));
    let first = home.start();
    first.wait_for("started");
    let (status, lines) = home.start().wait();
    assert_eq!(status.code(), Some(78));
    assert!(lines.iter().any(|line| line.to_string().contains("another gatherd")), "{lines:?}");
    first.stop();
}

#[test]
fn a_database_of_a_newer_version_or_of_something_else_is_refused_untouched() {
    let api = sample_api();
    let home = Home::new(&job("figures", "every = \"1h\"", &[api.url("/healthy")]));
    let daemon = home.start();
    daemon.wait_for("started");
    daemon.stop();
    let change = |sql: &str| {
        Connection::open(home.database()).and_then(|file| file.execute_batch(sql)).expect("changed");
        std::fs::read(home.database()).expect("read")
    };
    let refused = |before: Vec<u8>, why: &str| {
        let (status, lines) = home.start().wait();
        assert_eq!(status.code(), Some(78));
        assert!(lines.iter().any(|line| line.to_string().contains(why)), "{lines:?}");
        assert!(before == std::fs::read(home.database()).expect("read"), "the file was touched");
    };
    refused(change("PRAGMA user_version = 99"), "newer gatherd");
    refused(change("PRAGMA user_version = 1; PRAGMA application_id = 7"), "another application");
    std::fs::remove_file(home.database()).expect("removed");
    refused(change("PRAGMA journal_mode = DELETE; CREATE TABLE theirs (a)"), "something else");
    std::fs::write(home.database(), "not a database").expect("written");
    refused(b"not a database".to_vec(), "not a SQLite database");
}

#[test]
fn a_corrupt_database_is_refused_untouched() {
    let api = sample_api();
    let home = Home::new(&job("figures", "every = \"1h\"", &[api.url("/healthy")]));
    let daemon = home.start();
    daemon.wait_for("started");
    daemon.stop();
    let mut bytes = std::fs::read(home.database()).expect("read");
    bytes[100..].fill(0xA5);
    std::fs::write(home.database(), &bytes).expect("written");
    let (status, lines) = home.start().wait();
    assert_eq!(status.code(), Some(74), "{lines:?}");
    assert!(lines.iter().any(|line| line.to_string().contains("gatherd.db")), "{lines:?}");
    assert!(bytes == std::fs::read(home.database()).expect("read"), "the file was touched");
}

#[test]
fn ctrl_c_drains_as_a_service_stop_does() {
    let api = sample_api();
    let home = Home::new(&job("figures", "every = \"1s\"", &[api.url("/healthy")]));
    let daemon = home.start();
    daemon.wait_for_rounds("figures", 1);
    daemon.signal("INT");
    let (status, rest) = daemon.wait();
    assert_eq!(status.code(), Some(0), "{rest:#?}");
    assert!(std::fs::metadata(home.database().with_extension("db-wal")).map_or(true, |log| log.len() == 0));
}

#[test]
fn rounds_wait_while_somebody_locks_the_database_and_land_once_and_in_order() {
    let api = sample_api();
    let home = Home::new(&job("figures", "every = \"250ms\"\nretries = 0", &[api.url("/healthy"), api.url("/null")]));
    let daemon = home.start();
    daemon.wait_for_rounds("figures", 1);
    let locker = Connection::open(home.database()).expect("opened");
    locker.execute_batch("BEGIN IMMEDIATE").expect("locked");
    daemon.wait_for("the database refuses, rounds wait");
    let fetched = api.requests_to("/null");
    wait_until(|| api.requests_to("/null") > fetched + 5);
    locker.execute_batch("ROLLBACK").expect("unlocked");
    daemon.wait_for("the database takes rounds again, nothing waits any more");
    daemon.wait_for_rounds("figures", 2);
    daemon.stop();
    assert_eq!(home.number("SELECT count(*) FROM rounds WHERE status <> 'complete'"), 0);
    assert_eq!(home.number("SELECT count(*) FROM rounds") * 2, home.number("SELECT count(*) FROM observations"));
    let dues = home.rows("SELECT due_at FROM round ORDER BY round_id", |row| row.get::<_, i64>(0));
    assert!(dues.windows(2).all(|pair| pair[1] - pair[0] == 250_000), "no due is missing or doubled: {dues:?}");
}

#[test]
fn a_lock_that_is_let_go_while_the_daemon_stops_loses_nothing() {
    let api = sample_api();
    let home = Home::new(&job("figures", "every = \"250ms\"\nretries = 0", &[api.url("/healthy")]));
    let daemon = home.start();
    daemon.wait_for_rounds("figures", 1);
    let locker = Connection::open(home.database()).expect("opened");
    locker.execute_batch("BEGIN IMMEDIATE").expect("locked");
    daemon.wait_for("the database refuses, rounds wait");
    daemon.signal("TERM");
    daemon.wait_for("the database still refuses");
    locker.execute_batch("ROLLBACK").expect("unlocked");
    let (status, rest) = daemon.wait();
    assert_eq!(status.code(), Some(0), "{rest:#?}");
    assert_eq!(home.number("SELECT count(*) FROM rounds WHERE status NOT IN ('complete', 'interrupted')"), 0);
    let dues = home.rows("SELECT due_at FROM round ORDER BY round_id", |row| row.get::<_, i64>(0));
    assert!(dues.windows(2).all(|pair| pair[1] - pair[0] == 250_000), "no due is missing or doubled: {dues:?}");
}

#[test]
fn a_clock_that_was_ahead_neither_hides_what_is_newest_nor_silences_the_ledger() {
    let api = sample_api();
    let home = Home::new(&job("figures", "every = \"1s\"", &[api.url("/healthy")]));
    let run_one_round = || {
        let daemon = home.start();
        daemon.wait_for_rounds("figures", 1);
        daemon.stop();
    };
    run_one_round();
    let change = |sql: &str| Connection::open(home.database()).and_then(|file| file.execute(sql, [])).expect("changed");
    // The first run had a clock four years ahead.
    change("UPDATE round SET due_at = due_at + 126230400000000");
    run_one_round();
    let newest = home.number("SELECT max(round_id) FROM round");
    assert_eq!(home.number("SELECT round_id FROM latest"), newest);
    change(&format!("UPDATE round SET due_at = due_at - 60000000 WHERE round_id = {newest}"));
    run_one_round();
    let missed = home.rows("SELECT covers FROM rounds WHERE status = 'missed'", |row| row.get::<_, i64>(0));
    assert!(matches!(missed[..], [covers] if covers >= 59), "{missed:?}");
}

#[test]
fn a_second_name_of_the_database_does_not_get_a_second_daemon() {
    let api = sample_api();
    let home = Home::new(&job("figures", "every = \"1h\"", &[api.url("/healthy")]));
    let first = home.start();
    first.wait_for("started");
    let other = home.folder.path().join("other");
    std::fs::create_dir(&other).expect("made");
    std::fs::hard_link(home.database(), other.join("gatherd.db")).expect("linked");
    std::fs::copy(home.folder.path().join("config.toml"), other.join("config.toml")).expect("copied");
    let mut command = home.command();
    let (status, lines) = daemon::Daemon::of(std::mem::replace(command.current_dir(&other), home.command())).wait();
    assert_eq!(status.code(), Some(78));
    assert!(lines.iter().any(|line| line.to_string().contains("another gatherd")), "{lines:?}");
    first.stop();
}

#[test]
fn a_database_that_is_a_link_to_nothing_yet_is_made_where_it_points() {
    let api = sample_api();
    let home = Home::new(&job("figures", "every = \"1h\"", &[api.url("/healthy")]));
    let target = home.folder.path().join("elsewhere.db");
    std::os::unix::fs::symlink(&target, home.database()).expect("linked");
    let daemon = home.start();
    daemon.wait_for("started");
    daemon.stop();
    assert!(target.exists());
}

#[test]
fn a_database_that_is_replaced_under_the_daemon_ends_it() {
    let api = sample_api();
    let home = Home::new(&job("figures", "every = \"200ms\"", &[api.url("/healthy")]));
    let daemon = home.start();
    daemon.wait_for_rounds("figures", 1);
    std::fs::rename(home.database(), home.folder.path().join("moved.db")).expect("moved");
    let (status, lines) = daemon.wait();
    assert_eq!(status.code(), Some(74));
    assert!(lines.iter().any(|line| line.to_string().contains("deleted or replaced")), "{lines:?}");
}

#[test]
fn descriptors_threads_and_memory_stay_flat_over_many_rounds() {
    let api = sample_api();
    let urls = ["/healthy", "/html-500", "/reset", "/truncated", "/close", "/garbage"].map(|path| api.url(path));
    let home = Home::new(&job("mixed", "every = \"100ms\"\nretries = 0", &urls));
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
fn a_layout_stays_readable_after_the_config_changes() {
    let api = sample_api();
    let config = |endpoints: &str| {
        format!("[[job]]\nname = \"figures\"\nevery = \"1h\"\nrun_on_start = true\nendpoints = [{endpoints}]\n")
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
    let api = sample_api();
    let home = Home::new(&job("figures", "every = \"100ms\"", &[api.url("/healthy")]));
    let mut command = home.command();
    // Nobody reads this pipe; each round logs some hundred bytes at trace level.
    let mut child = command.env("RUST_LOG", "trace").stderr(std::process::Stdio::piped()).spawn().expect("started");
    wait_until(|| api.requests_to("/healthy") > 0 || api.requests() > 20);
    child.kill().expect("killed");
    assert_eq!(child.wait().expect("waited for").signal(), Some(9));
}

/// Waits for something that the daemon does and no log line tells.
fn wait_until(done: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !done() {
        assert!(start.elapsed() < daemon::PATIENCE, "waited in vain");
        std::thread::yield_now();
    }
}

#[test]
fn connections_are_kept_alive_from_round_to_round() {
    let api = sample_api();
    let urls = [api.url("/healthy/1"), api.url("/null")];
    let home = Home::new(&job("figures", "every = \"200ms\"", &urls));
    let daemon = home.start();
    daemon.wait_for_rounds("figures", 5);
    daemon.stop();
    assert!(api.requests() >= 10);
    assert!(api.connections() <= 2, "{} connections", api.connections());
}
