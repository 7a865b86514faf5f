//! What `every` and cron patterns ask for, through both changes of the clock.

use std::time::Duration;

use gatherd::model::{TimeZone, Timestamp};
use gatherd::schedule::{Cadence, CronError, jitter_of};

use crate::{MINUTE, at, cron};

/// The next `count` dues after `after`, to the minute or second.
fn dues(cadence: &Cadence, after: &str, count: usize) -> Vec<String> {
    let next = |due: &Timestamp| cadence.next_after(*due);
    let dues = std::iter::successors(cadence.next_after(at(after)), next).take(count);
    dues.map(|due| due.to_string().replace(":00.000Z", "Z").replace(".000Z", "Z")).collect()
}

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
    assert_eq!(Cadence::cron("* * * *", TimeZone::UTC).expect_err("refused"), CronError::Fields(4));
    assert_eq!(Cadence::cron("* * * * * * 2027", TimeZone::UTC).expect_err("refused"), CronError::Fields(7));
    for (text, wrong) in [
        ("61 * * * *", "minute"),
        ("0 61 * * * *", "minute"),
        ("* * * 13 *", "month"),
        ("* * * * * MUN", "day of the week"),
    ] {
        let error = Cadence::cron(text, TimeZone::UTC).expect_err("refused");
        assert!(matches!(error, CronError::Field { field, .. } if field == wrong), "{text}: {error:?}");
    }
    assert_eq!(Cadence::cron("0 0 30 2 *", TimeZone::UTC).expect_err("refused"), CronError::Never);
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
