//! How an endpoint did and since when, read from rounds of every kind.

use std::path::Path;
use std::time::Duration;

use gatherd::model::{
    Cause, ClosedRound, EndpointLabel, JobName, Layout, LedgerRow, Outcome, RoundId, RoundStatus, Slot, Timestamp,
};
use gatherd::store::why::{EndpointStatus, RoundAt, Run};

use crate::support::rounds::{begin, closed, database, due, failed, layout, ok, reader};

fn late(round: i64) -> Slot {
    failed(round, Outcome::Timeout, "connect")
}

fn at(round: i64) -> RoundAt {
    RoundAt { id: RoundId(round), due: due(round) }
}

fn run(ok: bool, first: i64, rounds: u64, before: Option<i64>) -> Run {
    Run { ok, first: at(first), rounds, before: before.map(at), whole: true }
}

fn status(path: &Path, endpoint: &str, time: Option<Timestamp>) -> EndpointStatus {
    reader(path).status("job", endpoint, time).expect("read").expect("a slot")
}

fn skipped(round: i64) -> LedgerRow {
    LedgerRow {
        id: RoundId(round),
        job: JobName::new("job"),
        first_due: due(round),
        last_due: due(round),
        covers: 1,
        status: RoundStatus::Skipped,
        cause: Cause::Overlap,
    }
}

/// The daemon was stopped while the round ran.
fn stopped(round: ClosedRound) -> ClosedRound {
    ClosedRound { status: RoundStatus::Interrupted, cause: Some(Cause::Stopped), ..round }
}

#[test]
fn a_run_goes_back_to_the_last_round_that_ended_the_other_way() {
    let (_folder, path, mut writer) = database();
    let names = layout(&["a", "b"]);
    for (round, a) in (1..).zip([ok, late, ok, ok, late, late, late]) {
        writer.close(&closed(round, &names, vec![a(round), ok(round)])).expect("stored");
    }
    let a = status(&path, "a", None);
    assert_eq!((a.slot.round, a.newest, a.run), (at(7), at(7), Some(run(false, 5, 3, Some(4)))));
    assert_eq!(a.last_failure, None, "the slot itself is it");
    let reader = reader(&path);
    reader.sql("SELECT 1").expect("whatever the reader was asked before");
    let b = reader.status("job", "b", None).expect("read").expect("a slot");
    assert_eq!((b.run, b.last_failure), (Some(run(true, 1, 7, None)), None));

    let then = status(&path, "a", Some(due(5).minus(Duration::from_secs(1))));
    assert_eq!((then.slot.round, then.run), (at(4), Some(run(true, 3, 2, Some(2)))));
    let failure = then.last_failure.expect("a failure before");
    assert_eq!(
        (failure.round, failure.outcome.as_str(), failure.detail.as_deref()),
        (at(2), "timeout", Some("connect"))
    );
    assert_eq!(status(&path, "a", Some(due(2))).run, Some(run(false, 2, 1, Some(1))));
    assert_eq!(reader.status("job", "a", Some(due(0))).expect("read"), None);
}

#[test]
fn what_did_not_run_or_was_cancelled_neither_breaks_a_run_nor_counts() {
    let (_folder, path, mut writer) = database();
    let names = layout(&["a", "b"]);
    let cancelled = |round| failed(round, Outcome::Cancelled, "stopped before it began");
    writer.close(&closed(1, &names, vec![ok(1), ok(1)])).expect("stored");
    writer.close(&closed(2, &names, vec![late(2), ok(2)])).expect("stored");
    writer.ledger(&[skipped(3)]).expect("recorded");
    writer.begin(&[begin(4, &names)]).expect("begun");
    writer.take_over().expect("marked as killed");
    writer.close(&stopped(closed(5, &names, vec![cancelled(5), ok(5)]))).expect("stored");
    writer.close(&stopped(closed(6, &names, vec![late(6), cancelled(6)]))).expect("stored");
    writer.begin(&[begin(7, &names)]).expect("begun");
    let a = status(&path, "a", None);
    assert_eq!((a.slot.round_status.as_str(), a.run), ("interrupted", Some(run(false, 2, 2, Some(1)))));

    // A slot that was cancelled is shown, with what is known of the endpoint before it.
    let b = status(&path, "b", None);
    assert_eq!((b.slot.outcome.as_str(), b.slot.round, b.run), ("cancelled", at(6), Some(run(true, 1, 3, None))));
    let a = status(&path, "a", Some(due(5)));
    assert_eq!((a.slot.round, a.run), (at(5), Some(run(false, 2, 1, Some(1)))));
    assert_eq!(a.last_failure.map(|failure| failure.round), Some(at(2)));
}

#[test]
fn an_endpoint_that_was_only_ever_cancelled_has_no_run() {
    let (_folder, path, mut writer) = database();
    let slot = failed(1, Outcome::Cancelled, "stopped before it began");
    writer.close(&stopped(closed(1, &layout(&["a"]), vec![slot]))).expect("stored");
    let a = status(&path, "a", None);
    assert_eq!((a.run, a.last_failure), (None, None));
}

#[test]
fn history_follows_the_name_through_other_positions_and_urls_and_out_of_the_config() {
    let (_folder, path, mut writer) = database();
    let both = layout(&["a", "b"]);
    writer.close(&closed(1, &both, vec![ok(1), ok(1)])).expect("stored");
    writer.close(&closed(2, &both, vec![late(2), ok(2)])).expect("stored");
    // Moved behind the other one, and to another URL.
    let mut moved = Layout::clone(&layout(&["b", "a"]));
    moved.endpoints[1] = EndpointLabel { name: "a".to_owned(), url: "https://new.example.com/".to_owned() };
    let moved = moved.into();
    writer.close(&closed(3, &moved, vec![ok(3), late(3)])).expect("stored");
    let a = status(&path, "a", None);
    assert_eq!(
        (a.url.as_str(), a.slot.position, a.run),
        ("https://new.example.com/", 1, Some(run(false, 2, 2, Some(1))))
    );

    // Out of the list, and back in it.
    writer.close(&closed(4, &layout(&["b"]), vec![ok(4)])).expect("stored");
    let gone = status(&path, "a", None);
    assert_eq!((gone.slot.round, gone.newest, gone.run), (at(3), at(4), a.run));
    writer.close(&closed(5, &both, vec![late(5), ok(5)])).expect("stored");
    let back = status(&path, "a", None);
    assert_eq!((back.slot.round, back.newest, back.run), (at(5), at(5), Some(run(false, 2, 3, Some(1)))));
    assert_eq!(reader(&path).endpoints("job").expect("read"), ["a", "b"]);
}

#[test]
fn an_outcome_of_another_version_is_a_failure_like_any_other() {
    let (_folder, path, mut writer) = database();
    let names = layout(&["a", "b"]);
    for round in 1..=3 {
        writer.close(&closed(round, &names, vec![late(round), late(round)])).expect("stored");
    }
    drop(writer);
    let file = rusqlite::Connection::open(&path).expect("opened");
    file.execute("UPDATE slot SET outcome = 'eaten', phases = '{\"reached\":\"moon\"}' WHERE round_id = 2", [])
        .expect("changed");
    let a = status(&path, "a", Some(due(2)));
    assert_eq!((a.slot.outcome.as_str(), a.slot.phases, a.run), ("eaten", None, Some(run(false, 1, 2, None))));
    assert_eq!(status(&path, "a", None).run, Some(run(false, 1, 3, None)));
}

#[test]
fn a_job_or_endpoint_that_is_not_there_has_no_status() {
    let (_folder, path, mut writer) = database();
    writer.register(&layout(&["a"])).expect("registered");
    for (job, endpoint) in [("job", "a"), ("job", "b"), ("other", "a")] {
        assert_eq!(reader(&path).status(job, endpoint, None).expect("read"), None, "{job} {endpoint}");
    }
    assert_eq!(reader(&path).endpoints("job").expect("read"), ["a"]);
    assert_eq!(reader(&path).endpoints("other").expect("read"), [""; 0]);
}
