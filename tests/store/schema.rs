//! The file itself: the nightly upkeep, and a schema that is brought up to date once.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use gatherd::model::{Cause, JobName, LedgerRow, RoundId, RoundStatus, Timestamp};
use gatherd::store::history::{Selection, Span};
use gatherd::store::read::{Reader, Value};
use gatherd::store::{StoreError, open};
use rusqlite::Connection;
use rusqlite::types::Value::Integer;

use crate::support::older::{version_1, version_5};
use crate::support::rounds::{begin, closed, database, due, numbered, ok, reader, rows};

#[test]
fn the_upkeep_leaves_every_round_and_an_empty_log() {
    let (folder, path, mut writer) = database();
    let layout = numbered(50);
    for id in 1..20 {
        writer.close(&closed(id, &layout, vec![ok(id); 50])).expect("stored");
    }
    assert!(std::fs::metadata(folder.path().join("gatherd.db-wal")).expect("a log").len() > 0);
    writer.maintain().expect("maintained");
    assert_eq!(std::fs::metadata(folder.path().join("gatherd.db-wal")).expect("a log").len(), 0);
    assert_eq!(rows(&path, "SELECT count(*) FROM observations WHERE outcome = 'ok'"), [[Value::Integer(19 * 50)]]);
}

#[test]
fn after_the_upkeep_the_newest_observations_are_still_found_without_looking_at_all_of_them() {
    let (_folder, path, mut writer) = database();
    let layout = numbered(200);
    for id in 1..=200 {
        writer.close(&closed(id, &layout, vec![ok(id); 200])).expect("stored");
    }
    // All that anybody may have counted.
    by_sqlite(&path, "ANALYZE");
    writer.maintain().expect("maintained");
    let plan = |sql: &str| {
        let steps = by_sqlite(&path, &format!("EXPLAIN QUERY PLAN {sql}"));
        steps.iter().map(|step| format!("{:?}", step[3])).collect::<Vec<_>>().join("\n")
    };
    for newest in [
        "SELECT * FROM observations ORDER BY round_id DESC LIMIT 10",
        "SELECT * FROM observations WHERE job = 'job' ORDER BY round_id DESC LIMIT 10",
        "SELECT * FROM failures ORDER BY round_id DESC LIMIT 10",
    ] {
        let plan = plan(newest);
        assert!(!plan.contains("TEMP B-TREE"), "{newest}\n{plan}");
    }
    // One endpoint's are found by it, not by looking through each vector.
    let plan = plan("SELECT * FROM observations WHERE job = 'job' AND endpoint = 'e7'");
    assert!(plan.contains("(endpoint_id=? AND layout_id=?)"), "{plan}");
}

#[test]
fn a_walk_ends_at_its_deadline_also_when_its_time_goes_by_between_the_rows() {
    let (_folder, path, mut writer) = database();
    let layout = numbered(3);
    writer.close(&closed(1, &layout, vec![ok(1), ok(1), ok(1)])).expect("stored");
    // SQLite itself looks at the time too seldom to notice that it is over.
    let reader = Reader::open(&path, Duration::ZERO).expect("opened");
    let wanted = Selection { job: "job", endpoint: None, span: Span::default(), after: None };
    let mut visits = 0;
    let ended = reader.documents(&wanted, |_| {
        visits += 1;
        ControlFlow::Continue(())
    });
    assert!(matches!(ended, Err(StoreError::Deadline(_))), "{ended:?}");
    assert_eq!(visits, 1);
}

#[test]
fn questions_that_belong_together_see_one_moment_of_the_file_and_share_its_deadline() {
    let (_folder, path, mut writer) = database();
    let layout = numbered(1);
    writer.close(&closed(1, &layout, vec![ok(1)])).expect("stored");
    let reader = Reader::open(&path, Duration::from_millis(200)).expect("opened");
    let newest = |reader: &Reader| Ok::<_, StoreError>(reader.last_complete("job")?.map(|round| round.id));
    let seen = reader.at_one_moment(|reader| {
        let before = newest(reader)?;
        writer.close(&closed(2, &layout, vec![ok(2)])).expect("stored");
        Ok::<_, StoreError>((before, newest(reader)?))
    });
    assert_eq!(seen.expect("answered"), (Some(RoundId(1)), Some(RoundId(1))));
    assert_eq!(newest(&reader).expect("answered"), Some(RoundId(2)));

    // Each takes less than the deadline, all of them together more.
    let long = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 10000) SELECT count(*) FROM n";
    let ended = reader.at_one_moment(|reader| {
        loop {
            if let Err(error) = reader.sql(long) {
                break Err::<(), _>(error);
            }
        }
    });
    assert!(matches!(ended, Err(StoreError::Deadline(_))), "{ended:?}");
    assert_eq!(newest(&reader).expect("the next question has its own time"), Some(RoundId(2)));
}

#[test]
fn a_file_that_is_opened_again_is_taken_over_as_it_is() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("gatherd.db");
    let layout = numbered(3);
    for turn in 1..4 {
        let mut writer = open(&path).expect("opened");
        let history = writer.take_over().expect("taken over");
        assert_eq!(history.last_round, RoundId(2 * (turn - 1)));
        assert_eq!(history.interrupted, usize::from(turn > 1), "the beginning that was not closed");
        writer.close(&closed(2 * turn - 1, &layout, vec![ok(turn); 3])).expect("stored");
        writer.begin(&[begin(2 * turn, &layout)]).expect("begun");
        assert!(matches!(open(&path), Err(StoreError::InUse { .. })));
    }
    assert_eq!(rows(&path, "SELECT count(*) FROM layout"), [[Value::Integer(1)]]);
    assert_eq!(rows(&path, "PRAGMA integrity_check"), [[Value::Text("ok".to_owned())]]);
}

#[test]
fn links_in_a_circle_and_folders_that_are_files_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [one, other, file] = ["one.db", "other.db", "file"].map(|name| folder.path().join(name));
    std::os::unix::fs::symlink(&one, &other).expect("linked");
    std::os::unix::fs::symlink(&other, &one).expect("linked");
    std::fs::write(&file, "").expect("written");
    for path in [one, file.join("gatherd.db")] {
        let Err(error) = open(&path) else { panic!("{}", path.display()) };
        assert!(matches!(error, StoreError::Io { .. }), "{error}");
    }
}

#[test]
fn dropped_rounds_take_the_place_of_their_beginnings_in_the_ledger() {
    let (_folder, path, mut writer) = database();
    let layout = numbered(2);
    writer.close(&closed(1, &layout, vec![ok(1); 2])).expect("stored");
    writer.begin(&[begin(2, &layout)]).expect("begun");
    let dropped = LedgerRow {
        id: RoundId(2),
        job: JobName::new("job"),
        first_due: due(2),
        last_due: due(4),
        covers: 3,
        status: RoundStatus::Missed,
        cause: Cause::Storage,
    };
    writer.ledger(&[dropped]).expect("recorded");
    let rounds = rows(&path, "SELECT status, cause, covers FROM rounds ORDER BY round_id");
    let text = |text: &str| Value::Text(text.to_owned());
    assert_eq!(rounds[1], [text("missed"), text("storage"), Value::Integer(3)]);
    assert_eq!(rounds.len(), 2);
}

const VIEWS_AT_FIRST: [&str; 4] = ["rounds", "observations", "vectors", "latest"];

/// As any other program reads it.
fn by_sqlite(path: &Path, sql: &str) -> Vec<Vec<rusqlite::types::Value>> {
    let file = Connection::open(path).expect("opened");
    let mut statement = file.prepare(sql).expect("prepared");
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| (0..columns).map(|column| row.get(column)).collect()).expect("asked");
    rows.collect::<rusqlite::Result<_>>().expect("read")
}

#[test]
fn a_file_whose_checkpoint_was_cut_off_is_read_with_its_log_and_taken_over() {
    let (folder, path, mut writer) = database();
    for id in 1..20 {
        writer.close(&closed(id, &numbered(50), vec![ok(id); 50])).expect("stored");
    }
    // As a kill leaves them: the header says already how long the file will be, and the log has the rest.
    let log = folder.path().join("gatherd.db-wal");
    let mut header = std::fs::read(&path).expect("read");
    header[28..32].copy_from_slice(&10_000_u32.to_be_bytes());
    let killed = tempfile::tempdir().expect("a temporary folder");
    let copy = killed.path().join("gatherd.db");
    std::fs::write(&copy, header).expect("written");
    std::fs::copy(log, killed.path().join("gatherd.db-wal")).expect("copied");

    let slots = "SELECT count(*) FROM observations";
    assert_eq!(rows(&copy, slots), [[Value::Integer(19 * 50)]]);
    drop(open(&copy).expect("opened"));
    assert_eq!(rows(&copy, slots), [[Value::Integer(19 * 50)]]);
    assert_eq!(rows(&copy, "PRAGMA integrity_check"), [[Value::Text("ok".to_owned())]]);
}

#[test]
fn a_file_of_an_older_version_is_brought_up_to_date_with_all_that_is_in_it() {
    for (version, make) in [(1, version_1 as fn(&Path)), (5, version_5)] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("gatherd.db");
        make(&path);
        let views: &[&str] =
            if version == 1 { &VIEWS_AT_FIRST } else { &[&VIEWS_AT_FIRST[..], &["failures", "uptime_hours"]].concat() };
        let contents =
            || -> Vec<_> { views.iter().map(|view| by_sqlite(&path, &format!("SELECT * FROM {view}"))).collect() };
        let before = contents();
        // A reader leaves the file as it is.
        let refused = Reader::open(&path, Duration::from_secs(1)).map(|_| ()).expect_err("another schema");
        assert!(matches!(refused, StoreError::Older { found, .. } if found == version), "{refused}");
        assert_eq!(by_sqlite(&path, "PRAGMA user_version"), [[Integer(version)]]);

        let mut writer = open(&path).expect("opened");
        assert_eq!(rows(&path, "PRAGMA user_version"), [[Value::Integer(6)]]);
        assert_eq!(contents(), before);
        let slot = reader(&path).status("job", "e1", None).expect("read").expect("a slot").slot;
        assert_eq!((slot.round.id, slot.outcome.as_str()), (RoundId(2), "timeout"));
        assert_eq!((slot.phases.is_some(), slot.evidence.is_some()), (version == 5, version == 5));

        let dues = Timestamp::default()..Timestamp::from_micros(3_600_000_000);
        let uptime = || reader(&path).uptime(None, &dues).expect("read");
        let from_slots = uptime();
        assert_eq!(from_slots.iter().map(|of| (of.ok, of.failed)).collect::<Vec<_>>(), [(2, 0), (1, 1)]);
        let over = dues.end.plus(Duration::from_hours(1));
        let rolled_up = writer.roll_up(over, Duration::from_secs(1)).expect("rolled up");
        assert_eq!((rolled_up.hours, rolled_up.more), (1, false), "the hours that were there are caught up");
        assert_eq!(rows(&path, "SELECT sum(slots) FROM uptime_hours"), [[Value::Integer(4)]]);
        assert_eq!(uptime(), from_slots, "from the rollup");

        let history = writer.take_over().expect("taken over");
        assert_eq!((history.last_round, history.interrupted), (RoundId(3), 1));
        writer.close(&closed(4, &numbered(2), vec![ok(4); 2])).expect("stored");
        assert_eq!(rows(&path, "SELECT count(*) FROM layout"), [[Value::Integer(1)]], "the layout is found again");
        let failures = rows(&path, "SELECT endpoint, round_id FROM failures");
        assert_eq!(failures, [[Value::Text("e1".to_owned()), Value::Integer(2)]]);
        assert_eq!(rows(&path, "PRAGMA integrity_check"), [[Value::Text("ok".to_owned())]]);
    }
}
