//! Rollups: whatever happened to the file, they say what its slots said.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use gatherd::model::{ClosedRound, JobName, Outcome, Slot, Timestamp};
use gatherd::store::read::Value;
use gatherd::store::retention::Pruned;
use gatherd::store::rollup::RolledUp;
use gatherd::store::uptime::Uptime;
use gatherd::store::{Writer, open};
use proptest::prelude::*;

use crate::support::rounds::{
    begin, closed, database, due, failed, forbidden, layout, number, numbered, ok, reader, rows,
};

const MINUTES: i64 = 60;
const SLICE: Duration = Duration::from_millis(10);

/// Rolls up all that is over at `now`.
fn roll_up(writer: &mut Writer, now: Timestamp) -> usize {
    let mut hours = 0;
    loop {
        let done = writer.roll_up(now, SLICE).expect("rolled up");
        hours += done.hours;
        if !done.more {
            return hours;
        }
    }
}

/// Deletes all that was due before.
fn prune(writer: &mut Writer, before: Timestamp) -> Pruned {
    let mut sum = Pruned::default();
    loop {
        let some = writer.prune(&JobName::new("job"), before).expect("pruned");
        sum.rounds += some.rounds;
        sum.slots += some.slots;
        if some.rounds == 0 {
            return sum;
        }
    }
}

fn uptime(path: &Path, first: i64, end: i64) -> Vec<Uptime> {
    reader(path).uptime(None, &(due(first)..due(end))).expect("an answer")
}

fn slot(round: i64, outcome: Outcome) -> Slot {
    match outcome {
        Outcome::Ok => Slot { elapsed: Duration::from_micros(1_000 + round.unsigned_abs() * 37), ..ok(round) },
        outcome => failed(round, outcome, "why"),
    }
}

/// Ok, failed, slots by outcome, and the longest outage: from, until, whether it goes on.
type Naive = (u64, u64, BTreeMap<String, u64>, Option<(i64, i64, bool)>);

/// What an endpoint's uptime is, from its slots alone: those of `rounds` at `position`.
fn naive(rounds: &[(i64, [Outcome; 2])], position: usize) -> Naive {
    let mut sorted = rounds.to_vec();
    sorted.sort_by_key(|(round, _)| *round);
    let outcomes: Vec<(i64, Outcome)> = sorted.iter().map(|(round, slots)| (*round, slots[position])).collect();
    let mut words = BTreeMap::new();
    for (_, outcome) in &outcomes {
        *words.entry(outcome.as_str().to_owned()).or_insert(0) += 1;
    }
    let tried: Vec<(i64, Outcome)> = outcomes.into_iter().filter(|(_, o)| *o != Outcome::Cancelled).collect();
    let good = tried.iter().filter(|(_, outcome)| outcome.is_ok()).count() as u64;
    let mut longest: Option<(i64, i64, bool)> = None;
    for (index, (from, outcome)) in tried.iter().enumerate() {
        let begins = !outcome.is_ok() && (index == 0 || tried[index - 1].1.is_ok());
        if begins {
            let end = tried[index..].iter().find(|(_, outcome)| outcome.is_ok());
            let until = end.unwrap_or(&tried[tried.len() - 1]).0;
            if longest.is_none_or(|(a, b, _)| until - from > b - a) {
                longest = Some((*from, until, end.is_none()));
            }
        }
    }
    (good, tried.len() as u64 - good, words, longest)
}

fn check(
    path: &Path,
    stored: &[(i64, [Outcome; 2])],
    first: i64,
    end: i64,
    outages: bool,
) -> Result<(), TestCaseError> {
    let asked: Vec<_> = stored.iter().filter(|(round, _)| (first..end).contains(round)).copied().collect();
    let found = uptime(path, first, end);
    prop_assert_eq!(found.len(), if asked.is_empty() { 0 } else { 2 });
    for (position, found) in found.iter().enumerate() {
        let (good, bad, words, longest) = naive(&asked, position);
        prop_assert_eq!((found.ok, found.failed, &found.outcomes), (good, bad, &words));
        if outages {
            let outage = found.longest_outage.map(|outage| (outage.from, outage.until, outage.goes_on));
            prop_assert_eq!(outage, longest.map(|(from, until, open)| (due(from), due(until), open)));
        }
        let mut elapsed: Vec<u64> = asked
            .iter()
            .filter(|(_, slots)| slots[position].is_ok())
            .map(|(round, _)| 1_000 + round.unsigned_abs() * 37)
            .collect();
        elapsed.sort_unstable();
        prop_assert_eq!(found.latency.is_some(), !elapsed.is_empty());
        if let Some(latency) = found.latency {
            let exact = elapsed[(elapsed.len() * 95).div_ceil(100) - 1];
            let p95 = u64::try_from(latency.p95.as_micros()).expect("small");
            prop_assert!((exact..=exact + exact / 100).contains(&p95), "{} of {:?}", p95, elapsed);
        }
    }
    Ok(())
}

#[derive(Clone, Debug)]
enum Event {
    Round(i64, [Outcome; 2]),
    RollUp { minute: i64, slices: usize },
    Restart,
    Prune { minute: i64 },
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let outcome = || {
        proptest::sample::select(vec![
            Outcome::Ok,
            Outcome::Ok,
            Outcome::Ok,
            Outcome::Timeout,
            Outcome::Dns,
            Outcome::Backoff,
            Outcome::Cancelled,
        ])
    };
    let round = (0..4 * MINUTES, outcome(), outcome()).prop_map(|(round, a, b)| Event::Round(round, [a, b]));
    proptest::collection::vec(
        prop_oneof![
            8 => round,
            2 => (0..5 * MINUTES, 0_usize..4).prop_map(|(minute, slices)| Event::RollUp { minute, slices }),
            1 => Just(Event::Restart),
            1 => (0..4 * MINUTES).prop_map(|minute| Event::Prune { minute }),
        ],
        0..60,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rollups_equal_the_slots_in_whatever_order_rounds_come_and_whatever_is_pruned(events in events()) {
        let (_folder, path, mut writer) = database();
        let names = layout(&["a", "b"]);
        let mut stored: Vec<(i64, [Outcome; 2])> = Vec::new();
        // Where an hour's slots are gone, what lies beside a late one is not known any more.
        let mut outages_known = true;
        for event in events {
            match event {
                Event::Round(round, outcomes) if stored.iter().all(|(known, _)| *known != round) => {
                    let hour = due(round).as_micros() / 3_600_000_000;
                    outages_known &= number(&path, &format!("SELECT count(*) FROM pruned WHERE before > {hour}")) == 0;
                    writer.close(&closed(round, &names, outcomes.map(|outcome| slot(round, outcome)).to_vec())).expect("stored");
                    stored.push((round, outcomes));
                }
                Event::Round(..) => {}
                Event::RollUp { minute, slices } => {
                    for _ in 0..slices {
                        writer.roll_up(due(minute), Duration::ZERO).expect("rolled up");
                    }
                }
                Event::Restart => {
                    drop(writer);
                    writer = open(&path).expect("opened again");
                    writer.take_over().expect("taken over");
                }
                Event::Prune { minute } => drop(prune(&mut writer, due(minute))),
            }
        }
        check(&path, &stored, -MINUTES, 5 * MINUTES, outages_known)?;
        check(&path, &stored, MINUTES, 3 * MINUTES, outages_known)?;
        roll_up(&mut writer, due(9 * MINUTES));
        prop_assert_eq!(number(&path, "SELECT count(*) FROM rollup_stale"), 0);
        check(&path, &stored, -MINUTES, 5 * MINUTES, outages_known)?;
        let problems = reader(&path).verify_rollups().expect("verified").problems;
        prop_assert!(problems.is_empty(), "{:?}", problems);
    }
}

/// Round N is due N minutes after 13:00; each fails where `fails` says so.
fn minutes(writer: &mut Writer, rounds: impl Iterator<Item = i64>, fails: impl Fn(i64) -> bool) {
    let names = layout(&["a"]);
    for round in rounds {
        let outcome = if fails(round) { Outcome::Timeout } else { Outcome::Ok };
        writer.close(&closed(round, &names, vec![slot(round, outcome)])).expect("stored");
    }
}

#[test]
fn an_outage_over_several_hours_is_one_whether_its_hours_are_rolled_up_pruned_or_neither() {
    let (_folder, path, mut writer) = database();
    minutes(&mut writer, 0..300, |round| (50..190).contains(&round) || round == 220);
    let outage = |path: &Path| {
        let found = uptime(path, 0, 300).remove(0);
        let outage = found.longest_outage.expect("an outage");
        assert_eq!((found.slots, found.ok, found.failed), (300, 159, 141));
        (outage.from, outage.until, outage.goes_on)
    };
    let expected = (due(50), due(190), false);
    assert_eq!(outage(&path), expected);
    assert_eq!(roll_up(&mut writer, due(185)), 3);
    assert_eq!(outage(&path), expected);
    assert_eq!(prune(&mut writer, due(119)), Pruned { rounds: 60, slots: 60 });
    assert_eq!(outage(&path), expected);
    // A part of an hour is a part of it, but where the slots are gone.
    assert_eq!(uptime(&path, 130, 230)[0].failed, 61);
    assert_eq!(uptime(&path, 30, 60)[0].slots, 60);
}

#[test]
fn an_hour_is_rolled_up_when_it_is_over_and_again_when_a_round_comes_late() {
    let (_folder, path, mut writer) = database();
    minutes(&mut writer, 0..59, |_| false);
    assert_eq!(roll_up(&mut writer, due(61)), 0, "its last rounds may be running");
    assert_eq!(roll_up(&mut writer, due(62)), 1);
    assert_eq!(roll_up(&mut writer, due(62)), 0);
    let view = "SELECT slots, ok, failed, outcomes, p50_ms > 1 FROM uptime_hours";
    let text = |text: &str| Value::Text(text.to_owned());
    let whole = |ok, failed, outcomes| {
        [ok + failed, ok, failed]
            .map(Value::Integer)
            .into_iter()
            .chain([text(outcomes), Value::Integer(1)])
            .collect::<Vec<_>>()
    };
    assert_eq!(rows(&path, view), [whole(59, 0, r#"{"ok":59}"#)]);
    minutes(&mut writer, 59..60, |_| true);
    assert!(rows(&path, view).is_empty(), "what is not known to be right is not shown");
    assert_eq!(roll_up(&mut writer, due(62)), 1);
    assert_eq!(rows(&path, view), [whole(59, 1, r#"{"ok":59,"timeout":1}"#)]);
}

#[test]
fn a_round_that_comes_while_its_hour_is_being_rolled_up_is_in_the_rollup() {
    let (_folder, path, mut writer) = database();
    minutes(&mut writer, 1..60, |_| false);
    for _ in 0..30 {
        assert_eq!(writer.roll_up(due(100), Duration::ZERO).expect("a part"), RolledUp { hours: 0, more: true });
    }
    minutes(&mut writer, 0..1, |_| false);
    roll_up(&mut writer, due(100));
    assert_eq!(number(&path, "SELECT slots FROM uptime_hours"), 60);
}

#[test]
fn a_late_round_into_a_pruned_hour_is_added_to_what_is_left_of_it() {
    let (_folder, path, mut writer) = database();
    minutes(&mut writer, (0..30).chain(31..180), |round| round == 12);
    roll_up(&mut writer, due(200));
    assert_eq!(prune(&mut writer, due(120)).rounds, 119);
    minutes(&mut writer, 30..31, |_| true);
    roll_up(&mut writer, due(200));
    let found = uptime(&path, 0, 60).remove(0);
    assert_eq!((found.slots, found.ok, found.failed), (60, 58, 2));
    assert_eq!(prune(&mut writer, due(120)).rounds, 1);
    assert_eq!(uptime(&path, 0, 60), [found]);
}

#[test]
fn the_newest_complete_round_and_what_is_not_rolled_up_are_kept_whatever_their_age() {
    let (_folder, path, mut writer) = database();
    minutes(&mut writer, 0..120, |_| false);
    writer.begin(&[begin(130, &layout(&["a"]))]).expect("begun");
    assert_eq!(prune(&mut writer, due(10_000)), Pruned::default());
    roll_up(&mut writer, due(62));
    assert_eq!(prune(&mut writer, due(10_000)).rounds, 60);
    roll_up(&mut writer, due(10_000));
    assert_eq!(prune(&mut writer, due(10_000)).rounds, 59);
    assert_eq!(number(&path, "SELECT count(*) FROM latest"), 1);
    assert_eq!(number(&path, "SELECT count(*) FROM rounds WHERE status = 'running'"), 1);
    assert_eq!(uptime(&path, 0, 10_000)[0].ok, 120);
    let integrity = reader(&path).verify_integrity().expect("verified");
    assert!(integrity.is_empty(), "{integrity:?}");
}

#[test]
fn space_is_given_back_in_parts() {
    let (_folder, path, mut writer) = database();
    let names = numbered(200);
    for round in 0..90 {
        writer.close(&closed(round, &names, vec![ok(round); 200])).expect("stored");
    }
    writer.fold_log().expect("folded");
    let size = || std::fs::metadata(&path).expect("a file").len();
    let before = size();
    roll_up(&mut writer, due(200));
    assert_eq!(prune(&mut writer, due(60)), Pruned { rounds: 60, slots: 12_000 });
    let first = writer.give_back(Duration::ZERO).expect("given back");
    assert!(first > 0 && first <= 64 * 4096, "{first}");
    let mut given = first;
    loop {
        match writer.give_back(SLICE).expect("given back") {
            0 => break,
            bytes => given += bytes,
        }
    }
    writer.fold_log().expect("folded");
    assert_eq!(number(&path, "SELECT freelist_count FROM pragma_freelist_count"), 0);
    assert!(given > before / 3, "{given} of {before}");
    assert!(size() < before, "{} of {before}", size());
}

/// The round has a document that conditional requests point at.
fn with_validators(round: i64) -> ClosedRound {
    let validators = gatherd::model::Validators { request: 7, etag: Some("\"1\"".to_owned()), last_modified: None };
    let slot = Slot { validators: Some(std::sync::Arc::new(validators)), ..ok(round) };
    closed(round, &layout(&["a"]), vec![slot])
}

#[test]
fn a_document_of_a_pruned_round_is_asked_for_whole() {
    let (_folder, path, mut writer) = database();
    writer.close(&with_validators(1)).expect("stored");
    minutes(&mut writer, 70..72, |_| false);
    roll_up(&mut writer, due(200));
    prune(&mut writer, due(60));
    assert_eq!(number(&path, "SELECT count(*) FROM validators"), 0);
    let recalled = writer.recall(&layout(&["a"]), &mut 1_000).expect("recalled");
    assert!(recalled[0].remembered.is_none());
}

#[test]
fn evidence_goes_when_no_slot_has_pointed_at_it_for_long_enough() {
    let (_folder, path, mut writer) = database();
    let names = layout(&["a"]);
    let pages = ["<p>first</p>", "<p>goes on</p>", "<p>last</p>"];
    for (round, page) in [(1, pages[0]), (2, pages[1]), (300, pages[1]), (301, pages[2])] {
        writer.close(&closed(round, &names, vec![forbidden(round, page)])).expect("stored");
    }
    assert_eq!(number(&path, "SELECT count(*) FROM evidence"), 3);
    assert_eq!(writer.prune_evidence(due(50)).expect("pruned"), 0);
    assert_eq!(writer.prune_evidence(due(200)).expect("pruned"), 1);
    assert_eq!(number(&path, "SELECT count(*) FROM evidence WHERE body LIKE '%goes on%'"), 1);
}
