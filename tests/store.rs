//! The file itself: the nightly upkeep, and a schema that is brought up to date once.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gatherd::fetch::json;
use gatherd::model::{
    Cause, ClosedRound, EndpointLabel, JobName, Layout, LedgerRow, Outcome, RoundBegin, RoundId, RoundStatus, Slot,
    Timestamp,
};
use gatherd::store::read::{Reader, Value};
use gatherd::store::{StoreError, open};

fn layout(endpoints: usize) -> Arc<Layout> {
    let label = |number| EndpointLabel { name: format!("e{number}"), url: format!("http://127.0.0.1/{number}") };
    Arc::new(Layout { job: JobName::new("job"), endpoints: (0..endpoints).map(label).collect() })
}

fn begin(id: i64, layout: &Arc<Layout>) -> RoundBegin {
    let due = Timestamp::from_micros(id * 1_000_000);
    RoundBegin { id: RoundId(id), due, started: due, layout: Arc::clone(layout) }
}

fn closed(id: i64, layout: &Arc<Layout>) -> ClosedRound {
    let begin = begin(id, layout);
    let slot = |position: usize| {
        let body = json::document(format!("{{\"round\":{id},\"slot\":{position}}}").as_bytes()).expect("JSON");
        Slot { body: Some(body), detail: None, attempts: 1, ..Slot::untried(Outcome::Ok, "", begin.due) }
    };
    let slots = (0..layout.endpoints.len()).map(slot).collect();
    let finished = begin.due.plus(Duration::from_millis(1));
    ClosedRound { finished, status: RoundStatus::Complete, cause: None, slots, begin }
}

fn ask(path: &Path, sql: &str) -> Vec<Vec<Value>> {
    Reader::open(path, Duration::from_secs(10)).and_then(|reader| reader.sql(sql)).expect("an answer").rows
}

#[test]
fn the_upkeep_leaves_every_round_and_an_empty_log() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("gatherd.db");
    let mut writer = open(&path).expect("opened");
    let layout = layout(50);
    for id in 1..20 {
        writer.close(&closed(id, &layout)).expect("stored");
    }
    assert!(std::fs::metadata(folder.path().join("gatherd.db-wal")).expect("a log").len() > 0);
    writer.maintain().expect("maintained");
    assert_eq!(std::fs::metadata(folder.path().join("gatherd.db-wal")).expect("a log").len(), 0);
    assert_eq!(ask(&path, "SELECT count(*) FROM observations WHERE outcome = 'ok'"), [[Value::Integer(19 * 50)]]);
}

#[test]
fn a_file_that_is_opened_again_is_taken_over_as_it_is() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("gatherd.db");
    let layout = layout(3);
    for turn in 1..4 {
        let mut writer = open(&path).expect("opened");
        let history = writer.take_over().expect("taken over");
        assert_eq!(history.last_round, RoundId(2 * (turn - 1)));
        assert_eq!(history.interrupted, usize::from(turn > 1), "the beginning that was not closed");
        writer.close(&closed(2 * turn - 1, &layout)).expect("stored");
        writer.begin(&[begin(2 * turn, &layout)]).expect("begun");
        assert!(matches!(open(&path), Err(StoreError::InUse { .. })));
    }
    assert_eq!(ask(&path, "SELECT count(*) FROM layout"), [[Value::Integer(1)]]);
    assert_eq!(ask(&path, "PRAGMA integrity_check"), [[Value::Text("ok".to_owned())]]);
}

#[test]
fn dropped_rounds_take_the_place_of_their_beginnings_in_the_ledger() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("gatherd.db");
    let (mut writer, layout) = (open(&path).expect("opened"), layout(2));
    writer.close(&closed(1, &layout)).expect("stored");
    writer.begin(&[begin(2, &layout)]).expect("begun");
    let [first_due, last_due] = [2, 4].map(|id| begin(id, &layout).due);
    let dropped = LedgerRow {
        id: RoundId(2),
        job: JobName::new("job"),
        first_due,
        last_due,
        covers: 3,
        status: RoundStatus::Missed,
        cause: Cause::Storage,
    };
    writer.ledger(&[dropped]).expect("recorded");
    let rounds = ask(&path, "SELECT status, cause, covers FROM rounds ORDER BY round_id");
    let text = |text: &str| Value::Text(text.to_owned());
    assert_eq!(rounds[1], [text("missed"), text("storage"), Value::Integer(3)]);
    assert_eq!(rounds.len(), 2);
}
