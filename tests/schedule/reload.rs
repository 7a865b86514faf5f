//! What a reload keeps, changes and forgets.

use std::time::Duration;

use gatherd::clock::{Clock, ManualClock};
use gatherd::model::JobName;
use gatherd::schedule::{Cadence, Entry, JobPhase, Timetable};

use crate::{HOUR, MINUTE, at, entry, timetable, told};

/// Reloads `table` and tells what that answered.
fn reload(table: &mut Timetable, entries: Vec<Entry>, clock: &ManualClock) -> Vec<String> {
    told(&table.reload(entries, clock.now()))
}

#[test]
fn a_job_that_did_not_change_keeps_its_dues_and_its_round_wherever_it_stands() {
    let clock = ManualClock::at(at("2026-03-01T12:00:00Z"));
    let minute = || entry("minute", Cadence::every(MINUTE));
    let (mut table, _) = Timetable::start(vec![minute()], clock.now(), |_| None);
    clock.advance(MINUTE);
    assert_eq!(told(&table.tick(clock.now())), ["start 12:01:00"]);
    clock.advance(Duration::from_secs(30));
    let eager = Entry { run_on_start: true, ..entry("new", Cadence::every(HOUR)) };
    assert!(reload(&mut table, vec![eager, minute()], &clock).is_empty(), "nothing fires at once");
    assert_eq!(table.phases().collect::<Vec<_>>(), [JobPhase::Idle, JobPhase::Running]);
    clock.advance(Duration::from_secs(29));
    assert!(table.tick(clock.now()).is_empty());
    assert_eq!(table.closed(1, clock.now()), None);
    clock.advance(Duration::from_secs(1));
    assert_eq!(table.tick(clock.now()).len(), 1);
    assert_eq!(table.phases().collect::<Vec<_>>(), [JobPhase::Idle, JobPhase::Running]);
}

#[test]
fn what_is_due_at_the_moment_of_a_reload_still_starts() {
    let clock = ManualClock::at(at("2026-03-01T12:00:30Z"));
    let (mut table, _) = timetable(Cadence::every(MINUTE), &clock, None);
    clock.advance(Duration::from_secs(30));
    assert_eq!(reload(&mut table, vec![entry("job", Cadence::every(HOUR))], &clock), ["start 12:01:00"]);
    assert!(table.tick(clock.now()).is_empty());
}

#[test]
fn another_cadence_counts_from_the_reload_and_catches_up_with_nothing() {
    let clock = ManualClock::at(at("2026-03-01T12:00:30Z"));
    let (mut table, _) = timetable(Cadence::every(HOUR), &clock, None);
    clock.advance(MINUTE * 30);
    assert!(reload(&mut table, vec![entry("job", Cadence::every(MINUTE))], &clock).is_empty());
    assert!(table.tick(clock.now()).is_empty());
    clock.advance(Duration::from_secs(30));
    assert_eq!(told(&table.tick(clock.now())), ["start 12:31:00"]);
}

#[test]
fn a_job_that_is_gone_ends_with_its_round_and_comes_back_without_a_second_one_beside_it() {
    let clock = ManualClock::at(at("2026-03-01T12:00:00Z"));
    let long = || Entry { deadline: Some(HOUR), ..entry("long", Cadence::every(MINUTE)) };
    let other = || entry("other", Cadence::every(HOUR));
    let (mut table, _) = Timetable::start(vec![long(), other()], clock.now(), |_| None);
    clock.advance(MINUTE);
    assert_eq!(told(&table.tick(clock.now())), ["start 12:01:00"]);
    assert!(reload(&mut table, vec![other()], &clock).is_empty());
    clock.advance(MINUTE * 5);
    assert!(table.tick(clock.now()).is_empty(), "it is due no more");
    assert!(reload(&mut table, vec![other(), long()], &clock).is_empty(), "and misses nothing");
    clock.advance(MINUTE);
    assert_eq!(told(&table.tick(clock.now())), ["skipped 12:07:00 +1 overlap"], "its round still runs");
    table.closed(1, clock.now());
    reload(&mut table, vec![other()], &clock);
    reload(&mut table, vec![long(), other()], &clock);
    clock.advance(MINUTE);
    assert_eq!(told(&table.tick(clock.now())), ["start 12:08:00"]);
    reload(&mut table, vec![other()], &clock);
    table.closed_removed(&JobName::new("long"));
    reload(&mut table, vec![long()], &clock);
    clock.advance(MINUTE);
    assert_eq!(told(&table.tick(clock.now())), ["start 12:09:00"]);
}

#[test]
fn a_due_that_waits_for_its_round_to_be_stored_is_neither_lost_nor_doubled_by_a_reload() {
    for stays in [true, false] {
        let clock = ManualClock::at(at("2026-03-01T12:00:00Z"));
        let (mut table, _) = timetable(Cadence::every(MINUTE), &clock, None);
        clock.advance(MINUTE);
        assert_eq!(told(&table.tick(clock.now())), ["start 12:01:00"]);
        clock.advance(MINUTE);
        assert!(table.tick(clock.now()).is_empty());
        let name = if stays { "job" } else { "other" };
        let actions = reload(&mut table, vec![entry(name, Cadence::every(MINUTE))], &clock);
        if stays {
            assert!(actions.is_empty());
            assert_eq!(told(table.closed(0, clock.now()).as_slice()), ["start 12:02:00"]);
        } else {
            assert_eq!(actions, ["skipped 12:02:00 +1 overlap"]);
            table.closed_removed(&JobName::new("job"));
        }
    }
}

#[test]
fn a_clock_that_was_set_back_repeats_no_due_after_a_reload() {
    let clock = ManualClock::at(at("2026-03-01T12:00:30Z"));
    let (mut table, _) = timetable(Cadence::every(MINUTE), &clock, None);
    clock.advance(MINUTE);
    assert_eq!(told(&table.tick(clock.now())), ["start 12:01:00"]);
    table.closed(0, clock.now());
    clock.step_back(MINUTE);
    let cadence = Cadence::every(Duration::from_secs(30));
    assert!(reload(&mut table, vec![entry("job", cadence)], &clock).is_empty());
    clock.advance(Duration::from_secs(30));
    assert!(table.tick(clock.now()).is_empty(), "12:01:00 was answered");
    clock.advance(Duration::from_secs(30));
    assert_eq!(told(&table.tick(clock.now())), ["start 12:01:30"]);
}
