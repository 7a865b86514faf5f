//! How it ends, and what it finds when it starts again.

use rusqlite::Connection;

use crate::support::daemon::Home;
use crate::support::{sample_api, until};
use crate::{at_start, job};

#[test]
fn a_signal_to_stop_lets_running_rounds_end_within_the_grace_time_and_cancels_the_rest() {
    let api = sample_api();
    let urls = [api.url("/healthy"), api.url("/hang")];
    let home = Home::new(&format!("grace = \"1s\"\n{}", at_start("hangs", &urls)));
    let daemon = home.start();
    until("both are asked", || api.requests_to("/healthy") > 0 && api.requests_to("/hang") > 0);
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
    let home = Home::new(&at_start("slow", &[api.url("/delay/700/x")]));
    let daemon = home.start();
    until("the round runs", || api.requests_to("/delay/700/x") > 0);
    daemon.stop();
    assert_eq!(home.number("SELECT count(*) FROM rounds WHERE status = 'complete' AND ok = 1"), 1);
}

#[test]
fn a_second_signal_ends_at_once_and_the_next_start_finds_the_interrupted_round() {
    let api = sample_api();
    let config = at_start("hangs", &[api.url("/hang")]);
    let home = Home::new(&format!("grace = \"50s\"\n[defaults]\ntimeout = \"60s\"\n{config}"));
    let daemon = home.start();
    until("the round runs", || api.requests_to("/hang") > 0);
    daemon.signal("TERM");
    daemon.wait_for("stopping: no new rounds, running ones get their grace time");
    daemon.signal("INT");
    let (status, _) = daemon.wait();
    assert_eq!(status.code(), Some(130));
    home.configure(&config.replace("run_on_start = true", ""));
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
    let missed = home.rows("SELECT covers FROM rounds WHERE cause = 'daemon down'", |row| row.get::<_, i64>(0));
    assert!(matches!(missed[..], [covers] if (3598..3700).contains(&covers)), "{missed:?}");
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
    let missed = home.rows("SELECT covers FROM rounds WHERE cause = 'daemon down'", |row| row.get::<_, i64>(0));
    assert!(matches!(missed[..], [covers] if covers >= 59), "{missed:?}");
}
