//! `kill -9` at random moments: what the log called stored is there and whole, what was running is interrupted.
//! `GATHERD_CRASH_KILLS` says how often; 20 without it.

mod support;

use std::time::{Duration, Instant};

use support::daemon::Home;
use support::whole::{Stored, assert_whole};
use support::{gatherd, run, sample_api};

/// The endpoints of the job.
const SLOTS: i64 = 25;

#[test]
fn every_round_that_was_logged_as_stored_survives_any_kill_whole() {
    let kills = std::env::var("GATHERD_CRASH_KILLS").map_or(20, |kills| kills.parse().expect("a number"));
    let api = sample_api();
    let urls: Vec<String> = (0..SLOTS).map(|number| api.url(&format!("/delay/{}/{number}", number % 3 * 20))).collect();
    let job = format!("[[job]]\nname = \"job\"\nevery = \"100ms\"\nretries = 0\nendpoints = {urls:?}\n");
    let home = Home::new(&format!("workers = 32\n{job}"));
    let mut stored = Stored::default();
    for kill in 0..kills {
        let mut daemon = home.start();
        daemon.wait_for("started");
        let moment = Instant::now() + Duration::from_micros(fastrand::u64(0..600_000));
        // Reads the log until the moment of the kill, which comes whatever the daemon does just then.
        while let Some(patience) = moment.checked_duration_since(Instant::now()) {
            let Some(line) = daemon.line_within(patience) else { break };
            stored.note(&line);
        }
        daemon.kill();
        stored.note_rest(&daemon);
        assert_whole(&home, SLOTS, &format!("after kill {kill}"));
    }
    let daemon = home.start();
    daemon.wait_for_rounds("job", 1);
    daemon.stop();
    assert_whole(&home, SLOTS, "at the end");
    stored.assert_kept(&home);
    let mut verify = gatherd(["verify", "--database"]);
    verify.arg(home.database());
    let verified = run(verify);
    assert_eq!(verified.code, Some(0), "{}{}", verified.stdout, verified.stderr);
    eprintln!(
        "{kills} kills, {} rounds logged as stored, {} interrupted, none lost",
        stored.0.len(),
        home.number("SELECT count(*) FROM rounds WHERE cause = 'killed'")
    );
    // A run of no rounds at all would prove nothing.
    assert!(stored.0.len() >= kills, "only {} rounds were stored in {kills} runs", stored.0.len());
}
