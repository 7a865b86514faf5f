//! When jobs are due, and what becomes of a due: everything on the manual clock, nothing waits.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use gatherd::clock::{Clock, ManualClock};
use gatherd::model::{Cause, JobName, RoundStatus, Timestamp};
use gatherd::schedule::{Action, Cadence, CronError, Entry, Phase, Timetable, jitter_of};
use proptest::prelude::*;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

fn at(text: &str) -> Timestamp {
    text.parse::<DateTime<Utc>>().expect("a moment").into()
}

fn cron(pattern: &str, zone: &str) -> Cadence {
    Cadence::cron(pattern, zone.parse::<Tz>().expect("a zone")).expect("a pattern")
}

/// The next `count` dues after `after`, to the minute or second.
fn dues(cadence: &Cadence, after: &str, count: usize) -> Vec<String> {
    let next = |due: &Timestamp| cadence.next_after(*due);
    let dues = std::iter::successors(cadence.next_after(at(after)), next).take(count);
    dues.map(|due| due.to_string().replace(":00.000Z", "Z").replace(".000Z", "Z")).collect()
}

// --- cadences ---

#[test]
fn every_is_aligned_to_the_wall_clock_and_strictly_after() {
    let minute = Cadence::every(MINUTE);
    assert_eq!(dues(&minute, "2026-03-01T12:00:30Z", 2), ["2026-03-01T12:01Z", "2026-03-01T12:02Z"]);
    assert_eq!(dues(&minute, "2026-03-01T12:01:00Z", 1), ["2026-03-01T12:02Z"]);
    assert_eq!(dues(&minute.shifted(Duration::from_secs(5)), "2026-03-01T12:01:00Z", 1), ["2026-03-01T12:01:05Z"]);
}

#[test]
fn a_cron_pattern_has_five_fields_or_six_with_seconds_first() {
    assert_eq!(dues(&cron("30 4 * * *", "UTC"), "2026-03-01T12:00:00Z", 1), ["2026-03-02T04:30Z"]);
    assert_eq!(dues(&cron("15 30 4 * * *", "UTC"), "2026-03-01T12:00:00Z", 1), ["2026-03-02T04:30:15Z"]);
    assert_eq!(Cadence::cron("* * * *", Tz::UTC).expect_err("refused"), CronError::Fields(4));
    assert_eq!(Cadence::cron("* * * * * * 2027", Tz::UTC).expect_err("refused"), CronError::Fields(7));
    for (text, wrong) in [
        ("61 * * * *", "minute"),
        ("0 61 * * * *", "minute"),
        ("* * * 13 *", "month"),
        ("* * * * * MUN", "day of the week"),
    ] {
        let error = Cadence::cron(text, Tz::UTC).expect_err("refused");
        assert!(matches!(error, CronError::Field { field, .. } if field == wrong), "{text}: {error:?}");
    }
    assert_eq!(Cadence::cron("0 0 30 2 *", Tz::UTC).expect_err("refused"), CronError::Never);
}

#[test]
fn a_moment_between_two_seconds_is_before_the_next_second() {
    let each_second = cron("* * * * * *", "UTC");
    assert_eq!(dues(&each_second, "2026-03-01T12:00:00.500Z", 2), ["2026-03-01T12:00:01Z", "2026-03-01T12:00:02Z"]);
}

#[test]
fn day_of_month_and_day_of_week_are_joined_by_or() {
    // crontab(5): when both are restricted, a day matches that matches either. 13 March 2026 is a Friday.
    let pattern = cron("0 0 13 * FRI", "UTC");
    let expected =
        ["2026-03-06T00:00Z", "2026-03-13T00:00Z", "2026-03-20T00:00Z", "2026-03-27T00:00Z", "2026-04-03T00:00Z"];
    assert_eq!(dues(&pattern, "2026-03-01T00:00:00Z", 5), expected);
    assert_eq!(dues(&pattern, "2026-04-10T00:00:00Z", 1), ["2026-04-13T00:00Z"]);
}

#[test]
fn the_leap_day_comes_every_four_years_but_not_in_2100() {
    let leap = cron("0 12 29 2 *", "UTC");
    assert_eq!(dues(&leap, "2026-01-01T00:00:00Z", 2), ["2028-02-29T12:00Z", "2032-02-29T12:00Z"]);
    assert_eq!(dues(&leap, "2096-03-01T00:00:00Z", 1), ["2104-02-29T12:00Z"]);
}

#[test]
fn a_due_in_the_gap_of_daylight_saving_comes_once_right_after_it() {
    // Berlin, 29 March 2026: 02:00 → 03:00 local, at 01:00 UTC.
    let daily = cron("30 2 * * *", "Europe/Berlin");
    let expected = ["2026-03-28T01:30Z", "2026-03-29T01:00Z", "2026-03-30T00:30Z"];
    assert_eq!(dues(&daily, "2026-03-28T00:00:00Z", 3), expected);
    // Several in one gap are one, and one that falls on its end is not doubled.
    let several = cron("0,20,40 2,3 * * *", "Europe/Berlin");
    let expected = ["2026-03-29T01:00Z", "2026-03-29T01:20Z", "2026-03-29T01:40Z", "2026-03-30T00:00Z"];
    assert_eq!(dues(&several, "2026-03-29T00:00:00Z", 4), expected);
}

#[test]
fn a_due_in_the_repeated_hour_comes_once_in_the_first_pass() {
    // Berlin, 25 October 2026: 03:00 → 02:00 local, at 01:00 UTC.
    let daily = cron("30 2 * * *", "Europe/Berlin");
    let expected = ["2026-10-24T00:30Z", "2026-10-25T00:30Z", "2026-10-26T01:30Z"];
    assert_eq!(dues(&daily, "2026-10-24T00:00:00Z", 3), expected);
    // Also when asked in the middle of the second pass.
    assert_eq!(dues(&daily, "2026-10-25T01:10:00Z", 1), ["2026-10-26T01:30Z"]);
    let listed = cron("30 2,14 * * *", "Europe/Berlin");
    assert_eq!(dues(&listed, "2026-10-25T00:00:00Z", 2), ["2026-10-25T00:30Z", "2026-10-25T13:30Z"]);
}

#[test]
fn a_pattern_for_every_hour_follows_elapsed_time_through_both_changes() {
    let quarter = cron("*/15 * * * *", "Europe/Berlin");
    for (day, quarters) in [("2026-03-28T23:00:00Z", 23 * 4), ("2026-10-24T22:00:00Z", 25 * 4)] {
        let dues = dues(&quarter, day, quarters);
        let distances = dues.windows(2).map(|pair| at_minute(&pair[1]).since(at_minute(&pair[0])));
        assert!(distances.into_iter().all(|distance| distance == MINUTE * 15), "{dues:?}");
    }
}

fn at_minute(text: &str) -> Timestamp {
    at(&text.replace('Z', ":00Z"))
}

#[test]
fn gaps_at_midnight_of_half_an_hour_and_of_a_whole_day_are_gaps_too() {
    // Beirut, 29 March 2026: 00:00 → 01:00 at 22:00 UTC the day before.
    assert_eq!(dues(&cron("0 0 * * *", "Asia/Beirut"), "2026-03-28T12:00:00Z", 1), ["2026-03-28T22:00Z"]);
    // Lord Howe, 4 October 2026: 02:00 → 02:30, at 15:30 UTC the day before.
    assert_eq!(dues(&cron("10 2 * * *", "Australia/Lord_Howe"), "2026-10-03T12:00:00Z", 1), ["2026-10-03T15:30Z"]);
    // Samoa left out 30 December 2011.
    let noon = cron("0 12 * * *", "Pacific/Apia");
    assert_eq!(dues(&noon, "2011-12-29T20:00:00Z", 3), ["2011-12-29T22:00Z", "2011-12-30T10:00Z", "2011-12-30T22:00Z"]);
}

#[test]
fn jitter_belongs_to_the_name_and_stays_below_its_bound() {
    // Fixed for ever: a restart, another machine or another version must not move a job.
    assert_eq!(jitter_of("analytics", MINUTE), jitter_of("analytics", MINUTE));
    assert_eq!(jitter_of("analytics", MINUTE), Duration::from_micros(JITTER_OF_ANALYTICS));
    assert_ne!(jitter_of("analytics", MINUTE), jitter_of("billing", MINUTE));
    assert_eq!(jitter_of("analytics", Duration::ZERO), Duration::ZERO);
}

const JITTER_OF_ANALYTICS: u64 = 30_977_718;

// --- the timetable ---

fn entry(name: &str, cadence: Cadence) -> Entry {
    Entry { job: JobName::new(name), cadence, deadline: None, run_on_start: false }
}

/// A timetable with one job, which `last_due` knows as it says.
fn timetable(cadence: Cadence, clock: &ManualClock, last_due: Option<&str>) -> (Timetable, Vec<Action>) {
    Timetable::start(vec![entry("job", cadence)], clock.now(), |_| last_due.map(at))
}

/// What happened, in short: `start DUE`, `missed FIRST +N`, `skipped FIRST +N`.
fn told(actions: &[Action]) -> Vec<String> {
    let minute = |moment: Timestamp| moment.to_string()[11..19].to_owned();
    let tell = |action: &Action| match action {
        Action::Start { due, .. } => format!("start {}", minute(*due)),
        Action::Ledger { dues, status, cause, .. } => {
            format!("{} {} +{} {}", status.as_str(), minute(dues.first), dues.count, cause.as_str())
        }
    };
    actions.iter().map(tell).collect()
}

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
    assert!(table.phases().eq([Phase::Running]) && next(&table) == before);
    assert_eq!(table.start_now(0, clock.now()), None);
    clock.advance(Duration::from_secs(30));
    assert_eq!(told(&table.tick(clock.now())), ["skipped 12:01:00 +1 overlap"]);
    table.closed(0, clock.now());
    assert!(table.phases().eq([Phase::Idle]));
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
    assert_eq!(told(&table.tick(clock.now())), ["start 00:00:00"]);
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

// --- a reload ---

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
    assert_eq!(table.phases().collect::<Vec<_>>(), [Phase::Idle, Phase::Running]);
    clock.advance(Duration::from_secs(29));
    assert!(table.tick(clock.now()).is_empty());
    assert_eq!(table.closed(1, clock.now()), None);
    clock.advance(Duration::from_secs(1));
    assert_eq!(table.tick(clock.now()).len(), 1);
    assert_eq!(table.phases().collect::<Vec<_>>(), [Phase::Idle, Phase::Running]);
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

// --- properties ---

fn any_cadence() -> impl Strategy<Value = Cadence> {
    let patterns = [
        "* * * * *",
        "*/5 * * * *",
        "30 * * * *",
        "30 2 * * *",
        "0 0 * * *",
        "15,45 1-3 * * *",
        "0 */2 * * *",
        "*/20 30 2 * * *",
        "0 3 29 2 *",
        "0 12 13 * FRI",
        "59 59 23 31 12 *",
        "0 0 L * *",
    ];
    let zones = [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "Asia/Beirut",
        "Asia/Kolkata",
    ];
    let every = (100_u64..10_000_000).prop_map(|millis| Cadence::every(Duration::from_millis(millis)));
    let cron = (proptest::sample::select(patterns.to_vec()), proptest::sample::select(zones.to_vec()))
        .prop_map(|(pattern, zone)| cron(pattern, zone));
    let shift = (0_u64..7_200_000).prop_map(Duration::from_millis);
    (prop_oneof![every, cron], shift).prop_map(|(cadence, shift)| cadence.shifted(shift))
}

/// 2010 to 2040, often near a change of Berlin's offset.
fn any_moment() -> impl Strategy<Value = Timestamp> {
    let anywhere = 1_262_304_000_000_000_i64..2_208_988_800_000_000;
    let near =
        |change: &'static str| (-7_200_000_000_i64..7_200_000_000).prop_map(move |by| at(change).as_micros() + by);
    prop_oneof![anywhere, near("2026-03-29T01:00:00Z"), near("2026-10-25T01:00:00Z"), near("2011-12-30T10:00:00Z")]
        .prop_map(Timestamp::from_micros)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn dues_strictly_increase_and_asking_between_two_of_them_finds_the_second(cadence in any_cadence(), start in any_moment()) {
        let mut last = start;
        for _ in 0..20 {
            let due = cadence.next_after(last).expect("another due");
            prop_assert!(due > last);
            let between = Timestamp::from_micros(last.as_micros() + (due.as_micros() - last.as_micros()) / 2);
            prop_assert_eq!(cadence.next_after(between), Some(due));
            last = due;
        }
    }

    #[test]
    fn dues_between_counts_what_next_after_walks(cadence in any_cadence(), start in any_moment(), hours in 0_u64..1_000) {
        let until = start.plus(HOUR * u32::try_from(hours).expect("few"));
        let walked: Vec<_> = std::iter::successors(cadence.next_after(start), |&due| cadence.next_after(due))
            .take_while(|&due| due <= until).take(20_000).collect();
        prop_assume!(walked.len() < 20_000);
        let counted = cadence.dues_between(start, until);
        prop_assert_eq!(counted.map(|dues| (dues.first, dues.last, dues.count)),
            walked.first().map(|&first| (first, walked[walked.len() - 1], walked.len() as u64)));
    }

    #[test]
    fn no_due_ever_starts_or_is_told_twice_whatever_the_clock_does(
        cadence in any_cadence(),
        start in any_moment(),
        steps in prop::collection::vec((0_u8..6, 1_u64..400), 1..60),
    ) {
        let clock = ManualClock::at(start);
        let (mut table, _) = Timetable::start(vec![entry("job", cadence.clone())], clock.now(), |_| None);
        let mut seen = HashSet::new();
        for (kind, size) in steps {
            match kind {
                0 | 1 => clock.advance(Duration::from_secs(size)),
                2 => clock.jump(Duration::from_secs(size * 30)),
                3 => clock.step_back(Duration::from_secs(size * 10)),
                4 => clock.advance(Duration::from_millis(size)),
                _ => {
                    if let Some(Action::Start { due, .. }) = table.closed(0, clock.now()) {
                        prop_assert!(seen.insert(due), "{} twice", due);
                    }
                }
            }
            for action in table.tick(clock.now()) {
                match action {
                    Action::Start { due, .. } => prop_assert!(seen.insert(due), "{} twice", due),
                    Action::Ledger { dues, status, cause, .. } => {
                        prop_assert!(matches!((status, cause), (RoundStatus::Skipped, Cause::Overlap) | (RoundStatus::Missed, Cause::Asleep)));
                        let all = std::iter::successors(Some(dues.first), |&due| cadence.next_after(due)).take(usize::try_from(dues.count).expect("few"));
                        for due in all.take(2_000) {
                            prop_assert!(seen.insert(due), "{} twice", due);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn reloads_lose_and_double_no_due_of_jobs_that_do_not_change(
        cadences in prop::collection::vec(any_cadence(), 2..4),
        start in any_moment(),
        steps in prop::collection::vec((0_u8..4, 1_u64..400, prop::collection::vec(any::<bool>(), 3), any::<bool>()), 1..60),
    ) {
        let clock = ManualClock::at(start);
        // Two that stay, and some that come and go.
        let stays: Vec<Entry> = cadences.iter().zip(["a", "b", "c"]).map(|(cadence, name)| entry(name, cadence.clone())).collect();
        let (mut table, _) = Timetable::start(stays.clone(), clock.now(), |_| None);
        let mut told: HashMap<JobName, Vec<Timestamp>> = HashMap::new();
        for (kind, size, guests, turned) in steps {
            let mut note = |table: &Timetable, actions: &[Action], cadence_of: &HashMap<JobName, Cadence>| {
                for action in actions {
                    let (job, first, count) = match action {
                        Action::Start { job, due, .. } => (job, *due, 1),
                        Action::Ledger { job, dues, .. } => (job, dues.first, dues.count),
                    };
                    let job = table.job(*job).expect("a job").clone();
                    let Some(cadence) = cadence_of.get(&job) else { continue };
                    let all = std::iter::successors(Some(first), |&due| cadence.next_after(due));
                    told.entry(job).or_default().extend(all.take(usize::try_from(count).expect("few")));
                }
            };
            let cadence_of = stays.iter().map(|entry| (entry.job.clone(), entry.cadence.clone())).collect();
            match kind {
                0 => clock.advance(Duration::from_secs(size)),
                1 => clock.advance(Duration::from_millis(size)),
                2 => for job in 0..table.phases().count() {
                    let action = table.closed(job, clock.now());
                    note(&table, action.as_slice(), &cadence_of);
                },
                _ => {
                    let mut entries = stays.clone();
                    let names = ["x", "y", "z"].iter().zip(&guests).filter(|(_, is_there)| **is_there);
                    entries.extend(names.map(|(name, _)| entry(name, Cadence::every(Duration::from_secs(size)))));
                    if turned {
                        entries.reverse();
                    }
                    // Its actions speak of the positions before.
                    let before: Vec<JobName> = table.next_dues().map(|(job, _)| job.clone()).collect();
                    let actions = table.reload(entries, clock.now());
                    let (old, _) = Timetable::start(before.iter().map(|job| entry(job.as_str(), Cadence::every(HOUR))).collect(), clock.now(), |_| None);
                    note(&old, &actions, &cadence_of);
                    for (_, next) in table.next_dues() {
                        prop_assert!(next.is_none_or(|due| due > clock.now().wall));
                    }
                    continue;
                }
            }
            let actions = table.tick(clock.now());
            note(&table, &actions, &cadence_of);
        }
        for job in 0..table.phases().count() {
            if let Some(Action::Start { due, .. }) = table.closed(job, clock.now()) {
                told.entry(table.job(job).expect("a job").clone()).or_default().push(due);
            }
        }
        let last_tick = table.next_dues().map(|(job, next)| (job.clone(), next)).collect::<HashMap<_, _>>();
        for entry in &stays {
            let next = last_tick[&entry.job];
            let expected: Vec<Timestamp> = std::iter::successors(entry.cadence.next_after(start), |&due| entry.cadence.next_after(due))
                .take_while(|&due| next.is_none_or(|next| due < next)).collect();
            let mut answered = told.remove(&entry.job).unwrap_or_default();
            answered.sort_unstable();
            prop_assert_eq!(answered, expected);
        }
    }
}
