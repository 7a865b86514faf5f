//! The file: one daemon each, none that is not ours, locked by somebody, replaced.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::Connection;

use crate::support::canned::{answer, canned};
use crate::support::daemon::{Daemon, Home};
use crate::support::whole::{assert_no_due_is_missing, assert_whole};
use crate::support::{sample_api, until};
use crate::{idle, job};

#[test]
fn a_second_daemon_on_a_database_is_refused() {
    let home = Home::new(&idle());
    let first = home.start();
    first.wait_for("started");
    let (status, lines) = home.start().wait();
    assert_eq!(status.code(), Some(78));
    assert!(lines.iter().any(|line| line.to_string().contains("another gatherd")), "{lines:?}");
    first.stop();
}

#[test]
fn a_database_of_a_newer_version_or_of_something_else_is_refused_untouched() {
    let home = Home::new(&idle());
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
fn a_database_that_could_only_be_read_is_written_again_when_it_may_be() {
    if rustix::process::geteuid().is_root() {
        eprintln!("root may write whatever its mode is: not tried");
        return;
    }
    let home = Home::new(&idle());
    let daemon = home.start();
    daemon.wait_for("started");
    daemon.stop();
    let mode = |mode| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(home.database(), mode).expect("its mode is set");
    };
    mode(0o444);
    let (status, lines) = home.start().wait();
    assert_eq!(status.code(), Some(74), "{lines:?}");
    assert!(lines.iter().any(|line| line.to_string().contains("the database cannot be written")), "{lines:?}");
    // A reader leaves what belongs to the log behind, as read-only as the file.
    assert_eq!(home.number("SELECT count(*) FROM rounds WHERE status = 'running'"), 0);
    mode(0o644);
    let daemon = home.start();
    daemon.wait_for("started");
    daemon.stop();
}

#[test]
fn a_corrupt_database_is_refused_untouched() {
    let home = Home::new(&idle());
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
fn rounds_wait_while_somebody_locks_the_database_and_land_once_and_in_order() {
    let api = sample_api();
    let home = Home::new(&job("figures", "every = \"250ms\"", &[api.url("/healthy"), api.url("/null")]));
    let daemon = home.start();
    daemon.wait_for_rounds("figures", 1);
    let lock = home.lock();
    daemon.wait_for("the database refuses, rounds wait");
    let fetched = api.requests_to("/null");
    until("rounds go on", || api.requests_to("/null") > fetched + 5);
    drop(lock);
    daemon.wait_for("the database takes rounds again, nothing waits any more");
    daemon.wait_for_rounds("figures", 2);
    daemon.stop();
    assert_whole(&home, 2, "at the end");
    assert_no_due_is_missing(&home, 250_000);
}

#[test]
fn a_lock_that_is_let_go_while_the_daemon_stops_loses_nothing() {
    let api = sample_api();
    let home = Home::new(&job("figures", "every = \"250ms\"", &[api.url("/healthy")]));
    let daemon = home.start();
    daemon.wait_for_rounds("figures", 1);
    let lock = home.lock();
    daemon.wait_for("the database refuses, rounds wait");
    daemon.signal("TERM");
    daemon.wait_for("the database still refuses");
    drop(lock);
    let (status, rest) = daemon.wait();
    assert_eq!(status.code(), Some(0), "{rest:#?}");
    assert_eq!(home.number("SELECT count(*) FROM rounds WHERE status = 'running'"), 0);
    assert_no_due_is_missing(&home, 250_000);
}

#[test]
fn a_database_that_refuses_until_the_end_is_complained_of_once_in_it() {
    let api = sample_api();
    let home = Home::new(&job("figures", "every = \"250ms\"", &[api.url("/healthy")]));
    let daemon = home.start();
    daemon.wait_for_rounds("figures", 1);
    let _lock = home.lock();
    daemon.wait_for("the database refuses, rounds wait");
    daemon.signal("TERM");
    let (status, rest) = daemon.wait();
    assert_ne!(status.code(), Some(0), "{rest:#?}");
    let stopping = rest.iter().skip_while(|line| line["signal"] != "SIGTERM");
    let complaints = stopping.filter(|line| line["message"] == "the database still refuses").count();
    assert!((1..=2).contains(&complaints), "at the end, and before it if a pause was just over: {rest:#?}");
}

#[test]
fn a_second_name_of_the_database_does_not_get_a_second_daemon() {
    let home = Home::new(&idle());
    let first = home.start();
    first.wait_for("started");
    let other = home.folder.path().join("other");
    std::fs::create_dir(&other).expect("made");
    std::fs::hard_link(home.database(), other.join("gatherd.db")).expect("linked");
    std::fs::copy(home.folder.path().join("config.toml"), other.join("config.toml")).expect("copied");
    let mut command = home.command();
    command.current_dir(&other);
    let (status, lines) = Daemon::of(command).wait();
    assert_eq!(status.code(), Some(78));
    assert!(lines.iter().any(|line| line.to_string().contains("another gatherd")), "{lines:?}");
    first.stop();
}

#[test]
fn a_database_that_is_a_link_to_nothing_yet_is_made_where_it_points() {
    let home = Home::new(&idle());
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
fn a_due_whose_beginning_was_refused_leaves_its_trace_beside_a_later_one_that_was_not() {
    let asked = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&asked);
    // The first round is answered, the others hang.
    let api = canned(move |_| {
        while seen.fetch_add(1, Ordering::Relaxed) > 0 {
            std::thread::park();
        }
        answer("200 OK", "", "1")
    });
    let keys = "every = \"1s\"\ndeadline = \"50s\"\ntimeout = \"50s\"";
    let home = Home::new(&format!("grace = \"0s\"\n{}", job("figures", keys, &[api.url("/")])));
    let mut command = home.command();
    command.env("RUST_LOG", "debug");
    let mut daemon = Daemon::of(command);
    daemon.wait_for_rounds("figures", 1);
    let lock = home.lock();
    daemon.wait_for_start("the beginning of rounds is not written");
    drop(lock);
    daemon.wait_for("due without a round");
    until("a due is skipped", || home.number("SELECT count(*) FROM round WHERE status = 'skipped'") > 0);
    daemon.kill();
    let daemon = home.start();
    daemon.wait_for("started");
    daemon.stop();
    let last = "max(CASE status WHEN 'missed' THEN finished_at ELSE due_at END)";
    let gaps = format!("SELECT ({last} - min(due_at)) / 1000000 + 1 - sum(covers) FROM round");
    assert_eq!(home.number(&gaps), 0, "no due lost");
    assert_eq!(home.number("SELECT count(*) FROM round WHERE cause = 'killed'"), 1);
}
