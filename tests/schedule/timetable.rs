//! Which dues start a round and which go to the ledger: overlap, sleeps, restarts, clocks that are set.

use std::time::Duration;

use gatherd::clock::{Clock, ManualClock};
use gatherd::schedule::{Action, Cadence, Entry, JobPhase, Timetable};

use crate::{HOUR, MINUTE, at, cron, entry, timetable, told};

#[test]
fn nothing_fires_before_its_due_and_each_due_fires_once() {
    let clock = ManualClock::at(at("2026-03-01T12:00:30Z"));
    let (mut table, actions) = timetable(Cadence::every(MINUTE), &clock, None);
    assert!(actions.is_empty());
    assert_eq!(table.sleep(clock.now()), Duration::from_secs(1), "the wall clock is read each second");
    clock.advance(Duration::from_millis(29_600));
    assert!(table.tick(clock.now()).is_empty());
    assert_eq!(table.sleep(clock.now()), Duration::from_millis(400));
    clock.advance(Duration::from_millis(400));
    assert_eq!(told(&table.tick(clock.now())), ["start 12:01:00"]);
    assert!(table.tick(clock.now()).is_empty());
}

#[test]
fn a_round_closes_shortly_before_the_next_due_or_after_ten_minutes() {
    let deadline = |cadence: Cadence| {
        let clock = ManualClock::at(at("2026-03-01T11:59:59Z"));
        let (mut table, _) = timetable(cadence, &clock, None);
        clock.advance(Duration::from_secs(1));
        match table.tick(clock.now()).as_slice() {
            [Action::Start { deadline, .. }] => *deadline,
            other => panic!("one start, not {other:?}"),
        }
    };
    assert_eq!(deadline(Cadence::every(Duration::from_secs(1))), Duration::from_millis(950));
    assert_eq!(deadline(Cadence::every(MINUTE)), Duration::from_millis(59_750));
    assert_eq!(deadline(Cadence::every(HOUR)), Duration::from_mins(10));
}

#[test]
fn a_due_whose_last_round_still_runs_is_skipped() {
    let clock = ManualClock::at(at("2026-03-01T12:00:00Z"));
    let long = Entry { deadline: Some(HOUR), ..entry("job", Cadence::every(MINUTE)) };
    let (mut table, _) = Timetable::start(vec![long], clock.now(), |_| None);
    clock.advance(MINUTE);
    assert_eq!(told(&table.tick(clock.now())), ["start 12:01:00"]);
    clock.advance(MINUTE);
    assert_eq!(told(&table.tick(clock.now())), ["skipped 12:02:00 +1 overlap"]);
    assert_eq!(table.closed(0, clock.now()), None);
    clock.advance(MINUTE);
    assert_eq!(told(&table.tick(clock.now())), ["start 12:03:00"]);
}

#[test]
fn a_due_waits_for_a_round_that_is_just_being_closed() {
    let clock = ManualClock::at(at("2026-03-01T12:00:00Z"));
    let (mut table, _) = timetable(Cadence::every(MINUTE), &clock, None);
    clock.advance(MINUTE);
    assert_eq!(told(&table.tick(clock.now())), ["start 12:01:00"]);
    // Its deadline is over, its commit is not.
    clock.advance(MINUTE);
    assert!(table.tick(clock.now()).is_empty());
    clock.advance(Duration::from_millis(20));
    assert_eq!(told(table.closed(0, clock.now()).as_slice()), ["start 12:02:00"]);
}

/// The numbers of rounds and of entries of the ledger are given out in this order, and a restart goes by the last one.
#[test]
fn dues_are_told_in_their_order_also_when_one_waits_while_others_come() {
    let clock = ManualClock::at(at("2026-03-01T12:00:00Z"));
    let (mut table, _) = timetable(Cadence::every(MINUTE), &clock, None);
    clock.advance(MINUTE * 2);
    assert_eq!(told(&table.tick(clock.now())), ["missed 12:01:00 +1 asleep", "start 12:02:00"]);
    clock.advance(MINUTE);
    assert!(table.tick(clock.now()).is_empty(), "12:03 waits");
    clock.advance(MINUTE);
    assert_eq!(told(&table.tick(clock.now())), ["skipped 12:03:00 +1 overlap"], "12:04 waits in its place");
    clock.advance(MINUTE * 2);
    assert_eq!(told(&table.tick(clock.now())), ["skipped 12:04:00 +1 overlap", "missed 12:05:00 +1 asleep"]);
    clock.advance(Duration::from_millis(20));
    assert_eq!(told(table.closed(0, clock.now()).as_slice()), ["start 12:06:00"]);
}

#[test]
fn a_start_tells_what_was_missed_since_the_last_due_and_fires_nothing_early() {
    let clock = ManualClock::at(at("2026-03-01T12:00:30Z"));
    let (mut table, actions) = timetable(Cadence::every(MINUTE), &clock, Some("2026-03-01T11:00:00Z"));
    assert_eq!(told(&actions), ["missed 11:01:00 +60 daemon down"]);
    assert!(table.tick(clock.now()).is_empty());
    clock.advance(Duration::from_secs(30));
    assert_eq!(told(&table.tick(clock.now())), ["start 12:01:00"]);
}

#[test]
fn a_restart_within_a_period_misses_nothing() {
    let clock = ManualClock::at(at("2026-03-01T12:00:30Z"));
    let (_, actions) = timetable(Cadence::every(MINUTE), &clock, Some("2026-03-01T12:00:00Z"));
    assert!(actions.is_empty());
}

#[test]
fn run_on_start_asks_for_one_round_at_once() {
    let clock = ManualClock::at(at("2026-03-01T12:00:30Z"));
    let eager = Entry { run_on_start: true, ..entry("job", Cadence::every(MINUTE)) };
    let (mut table, actions) = Timetable::start(vec![eager], clock.now(), |_| None);
    assert_eq!(told(&actions), ["start 12:00:30"]);
    table.closed(0, clock.now());
    clock.advance(Duration::from_secs(30));
    assert_eq!(told(&table.tick(clock.now())), ["start 12:01:00"]);
}

#[test]
fn a_round_that_somebody_asks_for_leaves_the_cadence_as_it_is_and_never_runs_beside_another() {
    let clock = ManualClock::at(at("2026-03-01T12:00:30Z"));
    let (mut table, _) = timetable(Cadence::every(MINUTE), &clock, None);
    let next = |table: &Timetable| table.next_dues().map(|(_, due)| due).collect::<Vec<_>>();
    let before = next(&table);
    let asked = table.start_now(0, clock.now());
    assert_eq!(told(asked.as_slice()), ["start 12:00:30"]);
    assert!(table.phases().eq([JobPhase::Running]) && next(&table) == before);
    assert_eq!(table.start_now(0, clock.now()), None);
    clock.advance(Duration::from_secs(30));
    assert_eq!(told(&table.tick(clock.now())), ["skipped 12:01:00 +1 overlap"]);
    table.closed(0, clock.now());
    assert!(table.phases().eq([JobPhase::Idle]));
    clock.advance(MINUTE);
    assert_eq!(told(&table.tick(clock.now())), ["start 12:02:00"]);
    assert_eq!(table.start_now(7, clock.now()), None, "no such job");
}

#[test]
fn after_a_suspend_of_hours_the_newest_due_runs_once_and_the_others_are_one_row() {
    let clock = ManualClock::at(at("2026-03-01T12:00:30Z"));
    let (mut table, _) = timetable(Cadence::every(MINUTE), &clock, None);
    clock.jump(HOUR * 3);
    assert_eq!(told(&table.tick(clock.now())), ["missed 12:01:00 +179 asleep", "start 15:00:00"]);
    assert!(table.tick(clock.now()).is_empty());
    table.closed(0, clock.now());
    clock.advance(Duration::from_secs(30));
    assert_eq!(told(&table.tick(clock.now())), ["start 15:01:00"]);
}

#[test]
fn a_clock_that_is_set_from_1970_to_today_is_caught_up_with_at_once() {
    let clock = ManualClock::at(at("1970-01-01T00:00:30.5Z"));
    let entries = vec![
        entry("seconds", cron("* * * * * *", "Europe/Berlin")),
        entry("minutes", cron("*/5 * * * MON-FRI", "America/New_York").shifted(Duration::from_millis(700))),
        entry("every", Cadence::every(Duration::from_secs(1))),
    ];
    let (mut table, _) = Timetable::start(entries, clock.now(), |_| None);
    clock.jump(HOUR * 24 * 20_000);
    // 1.7 thousand million dues a job: a walk over them would take an hour.
    let actions = table.tick(clock.now());
    assert_eq!(told(&actions)[..2], ["missed 00:00:31 +1727999999 asleep", "start 00:00:30"]);
    assert_eq!(actions.len(), 6);
}

#[test]
fn a_sleep_whose_last_due_is_too_late_to_run_is_one_row() {
    let clock = ManualClock::at(at("2026-03-01T12:00:30Z"));
    let (mut table, _) = timetable(Cadence::every(MINUTE), &clock, None);
    clock.jump(HOUR * 2 + Duration::from_secs(27));
    assert_eq!(told(&table.tick(clock.now())), ["missed 12:01:00 +120 asleep"]);
    clock.advance(Duration::from_secs(3));
    assert_eq!(told(&table.tick(clock.now())), ["start 14:01:00"]);
}

#[test]
fn a_round_at_the_start_has_the_time_of_any_other_even_shortly_before_a_due() {
    let clock = ManualClock::at(at("2026-03-01T12:00:59Z"));
    let eager = Entry { run_on_start: true, ..entry("job", Cadence::every(MINUTE)) };
    let (mut table, actions) = Timetable::start(vec![eager], clock.now(), |_| None);
    assert!(matches!(actions[..], [Action::Start { deadline, .. }] if deadline > Duration::from_secs(59)));
    clock.advance(Duration::from_secs(1));
    assert_eq!(told(&table.tick(clock.now())), ["skipped 12:01:00 +1 overlap"]);
}

#[test]
fn a_daily_due_that_was_slept_through_runs_after_it() {
    let clock = ManualClock::at(at("2026-03-01T23:00:00Z"));
    let (mut table, _) = timetable(cron("0 0 * * *", "UTC"), &clock, None);
    clock.jump(HOUR * 9);
    let actions = table.tick(clock.now());
    assert_eq!(told(&actions), ["start 00:00:00"]);
    assert!(matches!(actions[..], [Action::Start { deadline, .. }] if deadline == Duration::from_mins(10)));
}

#[test]
fn a_late_round_ends_before_the_next_due() {
    let clock = ManualClock::at(at("2026-03-01T12:00:30Z"));
    let (mut table, _) = timetable(Cadence::every(MINUTE * 5), &clock, None);
    clock.jump(MINUTE * 6);
    let actions = table.tick(clock.now());
    assert_eq!(told(&actions), ["start 12:05:00"]);
    let rest = Duration::from_secs(5 * 60 - 90) - Duration::from_millis(250);
    assert!(matches!(actions[..], [Action::Start { deadline, .. }] if deadline == rest));
}

#[test]
fn a_due_that_waited_until_the_next_is_near_is_skipped() {
    let clock = ManualClock::at(at("2026-03-01T12:00:00Z"));
    let (mut table, _) = timetable(Cadence::every(MINUTE), &clock, None);
    clock.advance(MINUTE);
    assert_eq!(told(&table.tick(clock.now())), ["start 12:01:00"]);
    clock.advance(MINUTE);
    assert!(table.tick(clock.now()).is_empty(), "12:02 waits");
    // The disk hung for so long.
    clock.advance(Duration::from_secs(57));
    assert_eq!(told(table.closed(0, clock.now()).as_slice()), ["skipped 12:02:00 +1 overlap"]);
    clock.advance(Duration::from_secs(3));
    assert_eq!(told(&table.tick(clock.now())), ["start 12:03:00"]);
}

#[test]
fn a_step_back_repeats_no_due() {
    let clock = ManualClock::at(at("2026-03-01T12:00:30Z"));
    let (mut table, _) = timetable(Cadence::every(MINUTE), &clock, None);
    for _ in 0..3 {
        clock.advance(MINUTE);
        assert_eq!(table.tick(clock.now()).len(), 1);
        table.closed(0, clock.now());
    }
    clock.step_back(Duration::from_mins(2));
    for _ in 0..2 {
        assert!(table.tick(clock.now()).is_empty());
        clock.advance(MINUTE);
    }
    assert!(table.tick(clock.now()).is_empty());
    clock.advance(MINUTE);
    assert_eq!(told(&table.tick(clock.now())), ["start 12:04:00"]);
}

#[test]
fn a_clock_that_was_years_ahead_does_not_silence_a_job() {
    let clock = ManualClock::at(at("2035-01-01T00:00:30Z"));
    let (mut table, _) = timetable(Cadence::every(MINUTE), &clock, None);
    clock.step_back(HOUR * 24 * 365 * 9);
    assert!(table.tick(clock.now()).is_empty());
    clock.advance(MINUTE);
    assert_eq!(table.tick(clock.now()).len(), 1);
}

#[test]
fn a_restart_after_a_step_back_repeats_no_due() {
    let clock = ManualClock::at(at("2026-03-01T12:00:30Z"));
    let (mut table, actions) = timetable(Cadence::every(MINUTE), &clock, Some("2026-03-01T12:02:00Z"));
    assert!(actions.is_empty());
    clock.advance(MINUTE * 2);
    assert!(table.tick(clock.now()).is_empty());
    clock.advance(MINUTE);
    assert_eq!(told(&table.tick(clock.now())), ["start 12:03:00"]);
}

#[test]
fn a_job_that_overlaps_leaves_the_others_alone() {
    let clock = ManualClock::at(at("2026-03-01T12:00:00Z"));
    let long = Entry { deadline: Some(HOUR), ..entry("long", Cadence::every(MINUTE)) };
    let entries = vec![long, entry("short", Cadence::every(MINUTE))];
    let (mut table, _) = Timetable::start(entries, clock.now(), |_| None);
    clock.advance(MINUTE);
    assert_eq!(told(&table.tick(clock.now())), ["start 12:01:00", "start 12:01:00"]);
    table.closed(1, clock.now());
    clock.advance(MINUTE);
    assert_eq!(told(&table.tick(clock.now())), ["skipped 12:02:00 +1 overlap", "start 12:02:00"]);
}
