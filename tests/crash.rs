//! `kill -9` at random moments: what the log called stored is there and whole, what was running is interrupted.
//! `GATHERD_CRASH_KILLS` says how often; 20 without it.

#[path = "support/daemon.rs"]
mod daemon;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use daemon::Home;
use gatherd::sample_api::SampleApi;

/// The endpoints of the job.
const SLOTS: i64 = 25;

#[test]
fn every_round_that_was_logged_as_stored_survives_any_kill_whole() {
    let kills = std::env::var("GATHERD_CRASH_KILLS").map_or(20, |kills| kills.parse().expect("a number"));
    let api = SampleApi::start(SocketAddr::from(([127, 0, 0, 1], 0))).expect("the sample API starts");
    let urls: Vec<String> = (0..SLOTS).map(|number| api.url(&format!("/delay/{}/{number}", number % 3 * 20))).collect();
    let job = format!("[[job]]\nname = \"job\"\nevery = \"100ms\"\nretries = 0\nendpoints = {urls:?}\n");
    let home = Home::new(&format!("workers = 32\n{job}"));
    let mut stored = HashSet::new();
    for kill in 0..kills {
        let mut daemon = home.start();
        daemon.wait_for("started");
        let moment = Instant::now() + Duration::from_micros(fastrand::u64(0..600_000));
        // Reads the log until the moment of the kill, which comes whatever the daemon does just then.
        while let Some(patience) = moment.checked_duration_since(Instant::now()) {
            let Some(line) = daemon.line_within(patience) else { break };
            if line["message"] == "round stored" {
                stored.insert(line["round"].as_i64().expect("a round's number"));
            }
        }
        daemon.kill();
        while let Some(line) = daemon.line_within(daemon::PATIENCE) {
            if line["message"] == "round stored" {
                stored.insert(line["round"].as_i64().expect("a round's number"));
            }
        }
        whole(&home, kill);
    }
    let daemon = home.start();
    daemon.wait_for_rounds("job", 1);
    daemon.stop();
    whole(&home, kills);
    let complete: HashSet<i64> =
        home.rows("SELECT round_id FROM rounds WHERE status = 'complete'", |row| row.get(0)).into_iter().collect();
    let lost: Vec<&i64> = stored.difference(&complete).collect();
    assert!(lost.is_empty(), "lost {lost:?}");
    assert_eq!(home.number("SELECT count(*) FROM rounds WHERE status = 'running'"), 0);
    assert_eq!(home.number("SELECT count(*) FROM rounds WHERE cause = 'killed' AND ok IS NOT NULL"), 0);
    eprintln!(
        "{kills} kills, {} rounds logged as stored, {} interrupted, none lost",
        stored.len(),
        home.number("SELECT count(*) FROM rounds WHERE cause = 'killed'")
    );
    // A run of no rounds at all would prove nothing.
    assert!(stored.len() >= kills, "only {} rounds were stored in {kills} runs", stored.len());
}

/// No round has a part of its slots, no due came twice, and SQLite finds nothing wrong.
fn whole(home: &Home, kill: usize) {
    let torn = home.rows(
        "SELECT r.round_id FROM round r LEFT JOIN slot s ON s.round_id = r.round_id
         GROUP BY r.round_id HAVING count(s.position) <> CASE r.status WHEN 'complete' THEN r.endpoints ELSE 0 END
             AND r.cause IS NOT 'stopped'",
        |row| row.get::<_, i64>(0),
    );
    assert!(torn.is_empty(), "torn rounds after kill {kill}: {torn:?}");
    assert_eq!(home.number("SELECT count(*) - count(DISTINCT due_at) FROM round"), 0, "a due came twice");
    let check = home.rows("PRAGMA integrity_check", |row| row.get::<_, String>(0));
    assert_eq!(check, ["ok"], "after kill {kill}");
    let endpoints =
        home.rows("SELECT DISTINCT endpoints FROM round WHERE endpoints IS NOT NULL", |row| row.get::<_, i64>(0));
    assert!(endpoints.iter().all(|&endpoints| endpoints == SLOTS));
}
