//! The upkeep of a real daemon's file, beside rounds each second.

use std::sync::Arc;
use std::time::Duration;

use gatherd::clock::{Clock, SystemClock};
use gatherd::model::{ClosedRound, JobName, Layout, RoundBegin, RoundId, RoundStatus};
use gatherd::store::open;
use reqwest::header::ETAG;

use crate::support::daemon::Home;
use crate::support::rounds::{number, numbered, ok, reader};
use crate::support::web::Web;
use crate::support::{YEARLY, sample_api};

const ENDPOINTS: usize = 100;

/// Rounds of a former job: one each minute from five to two hours ago.
fn old_rounds(home: &Home) {
    let mut writer = open(&home.database()).expect("opened");
    let endpoints = numbered(ENDPOINTS).endpoints.clone();
    let layout = Arc::new(Layout { job: JobName::new("former"), endpoints });
    let now = SystemClock::new().now().wall;
    for minute in 0..180 {
        let due = now.minus(Duration::from_mins(5 * 60 - minute));
        let begin =
            RoundBegin { id: RoundId(minute.cast_signed() + 1), due, started: due, layout: Arc::clone(&layout) };
        let slots = vec![ok(1); ENDPOINTS];
        let round = ClosedRound { finished: due, status: RoundStatus::Complete, cause: None, slots, begin };
        writer.close(&round).expect("stored");
    }
}

#[test]
fn rounds_are_stored_on_time_while_old_ones_are_rolled_up_deleted_and_the_file_is_copied() {
    let api = sample_api();
    let home = Home::new(&format!(
        "retain = \"1h\"\n[maintenance]\nat = \"*/2 * * * * *\"\nbackup = {{ folder = \"copies\", keep = 2 }}\n\
         [[job]]\nname = \"now\"\nevery = \"250ms\"\nretries = 0\nendpoints = [{:?}]\n",
        api.url("/healthy")
    ));
    old_rounds(&home);
    let daemon = home.start();
    // Each waits for the one before, so the fourth began when the first had done its work.
    for _ in 0..4 {
        let copied = daemon.wait_for("database backed up");
        assert!(copied["bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{copied}");
    }
    daemon.stop();
    assert_eq!(home.number("SELECT count(*) FROM rounds WHERE job = 'former'"), 1, "the newest stays");
    let hours = home.number("SELECT count(DISTINCT hour) FROM uptime_hours WHERE job = 'former'");
    assert!((3..=4).contains(&hours), "{hours}");
    assert_eq!(home.number("SELECT sum(slots) FROM uptime_hours WHERE job = 'former'"), 180 * 100);
    assert_eq!(home.number("SELECT freelist_count FROM pragma_freelist_count"), 0);

    let rounds = home.number("SELECT count(*) FROM rounds WHERE job = 'now' AND status = 'complete'");
    let held_up = home.number("SELECT sum(covers) FROM rounds WHERE job = 'now'") - rounds;
    assert!(rounds >= 20 && held_up <= rounds / 10, "{rounds} in six seconds and more, {held_up} held up");
    let copies: Vec<_> = std::fs::read_dir(home.folder.path().join("copies")).expect("a folder").flatten().collect();
    assert_eq!(copies.len(), 2, "{copies:?}");
    for copy in copies {
        assert!(number(&copy.path(), "SELECT count(*) FROM rounds") > 0);
        assert_eq!(reader(&copy.path()).verify_integrity().expect("verified"), []);
    }
}

#[test]
fn upkeep_without_work_changes_no_answer_and_one_whose_copy_fails_counts_as_failed() {
    let api = sample_api();
    let web = Web::start(
        "",
        &format!(
            "[maintenance]\nat = \"* * * * * *\"\nbackup = {{ folder = \"/dev/null/copies\", keep = 1 }}\n\
             [[job]]\nname = \"now\"\n{YEARLY}\nrun_on_start = true\nendpoints = [{:?}]\n",
            api.url("/healthy")
        ),
    );
    web.daemon.wait_for_rounds("now", 1);
    let tag = || web.get("/api/v1/rounds/1").headers()[ETAG].clone();
    let before = tag();
    for _ in 0..3 {
        web.daemon.wait_for("the database was not backed up");
    }
    assert_eq!(tag(), before);
    let metrics = web.get("/metrics").text().expect("text");
    let runs = |result: &str| format!("gatherd_maintenance_runs_total{{result={result:?}}} 0\n");
    assert!(metrics.contains(&runs("ok")) && !metrics.contains(&runs("error")), "{metrics}");
    web.daemon.stop();
}
