//! What has to be true of a database after any kill and any fault.

use std::collections::HashSet;

use super::PATIENCE;
use super::daemon::{Daemon, Home};

/// The rounds that a daemon's log calls stored.
#[derive(Default)]
pub struct Stored(pub HashSet<i64>);

impl Stored {
    /// Notes a line of the log.
    pub fn note(&mut self, line: &serde_json::Value) {
        if line["message"] == "round stored" {
            self.0.insert(line["round"].as_i64().expect("a round's number"));
        }
    }

    /// Notes lines of the log.
    pub fn note_all(&mut self, lines: &[serde_json::Value]) {
        for line in lines {
            self.note(line);
        }
    }

    /// Notes what is left in the log of a daemon that is gone.
    pub fn note_rest(&mut self, daemon: &Daemon) {
        while let Some(line) = daemon.line_within(PATIENCE) {
            self.note(&line);
        }
    }

    /// Each of them is there, complete, and nothing still runs.
    pub fn assert_kept(&self, home: &Home) {
        let complete: HashSet<i64> =
            home.rows("SELECT round_id FROM rounds WHERE status = 'complete'", |row| row.get(0)).into_iter().collect();
        let lost: Vec<&i64> = self.0.difference(&complete).collect();
        assert!(lost.is_empty(), "lost {lost:?}");
        assert_eq!(home.number("SELECT count(*) FROM rounds WHERE status = 'running'"), 0);
        assert_eq!(home.number("SELECT count(*) FROM rounds WHERE cause = 'killed' AND ok IS NOT NULL"), 0);
    }
}

/// No round has a part of its `slots`, no due came twice, and SQLite finds nothing wrong.
pub fn assert_whole(home: &Home, slots: i64, when: &str) {
    let torn = home.rows(
        "SELECT r.round_id FROM round r LEFT JOIN slot s ON s.slot_id BETWEEN r.round_id << 20 AND r.round_id << 20 | 1048575
         GROUP BY r.round_id HAVING count(s.slot_id) <> CASE r.status WHEN 'complete' THEN r.endpoints ELSE 0 END
             AND r.cause IS NOT 'stopped'",
        |row| row.get::<_, i64>(0),
    );
    assert!(torn.is_empty(), "torn rounds {when}: {torn:?}");
    assert_eq!(home.number("SELECT count(*) - count(DISTINCT due_at) FROM round"), 0, "a due came twice, {when}");
    let check = home.rows("PRAGMA integrity_check", |row| row.get::<_, String>(0));
    assert_eq!(check, ["ok"], "{when}");
    let endpoints =
        home.rows("SELECT DISTINCT endpoints FROM round WHERE endpoints IS NOT NULL", |row| row.get::<_, i64>(0));
    assert!(endpoints.iter().all(|&endpoints| endpoints == slots), "{when}");
}

/// Every due from the first to the last, each `period` microseconds, is there once and in its order, and nothing
/// was dropped. A busy machine may have a daemon skip some, or be late for them; most have their rounds.
pub fn assert_no_due_is_missing(home: &Home, period: i64) {
    let last = "max(CASE status WHEN 'missed' THEN finished_at ELSE due_at END)";
    let dues = home.number(&format!("SELECT ({last} - min(due_at)) / {period} + 1 FROM round"));
    assert_eq!(home.number("SELECT sum(covers) FROM round"), dues, "a due is missing, or there twice");
    assert_eq!(home.number("SELECT count(*) FROM round WHERE cause NOT IN ('overlap', 'asleep', 'stopped')"), 0);
    assert!(home.number("SELECT count(*) FROM round WHERE status = 'complete'") >= dues / 2);
    let in_order = home.rows("SELECT due_at FROM round ORDER BY round_id", |row| row.get::<_, i64>(0));
    assert!(in_order.is_sorted(), "{in_order:?}");
}
