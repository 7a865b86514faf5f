//! A cron pattern's wall-clock times in a zone whose offset changes.
//!
//! croner finds the times of a pattern; it is asked in plain calendar time, without a zone, and what happens where
//! the zone's clock jumps is decided here, by one rule that does not depend on how a pattern is written
//! (croner's own rule treats `30 2,14 * * *` otherwise than `30 2 * * *`).

use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone as _, Utc};
use croner::Cron;

use crate::model::TimeZone;

/// How far to look for a change of offset before a local time that does not exist. The longest gap known
/// is a whole day (Samoa, 30 December 2011).
const WIDEST_GAP: TimeDelta = TimeDelta::hours(48);

/// How often the search for the next change of offset looks. No zone keeps an offset for less.
const PROBE: TimeDelta = TimeDelta::hours(6);

/// The first due strictly after `after` of a pattern that names its hours: a local time that does not exist is due
/// at the end of the gap, one that comes twice is due at the first.
pub fn next_at_named_hours(cron: &Cron, zone: TimeZone, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let mut local = after.naive_utc() + offset(zone, after);
    loop {
        local = next_local(cron, local, false)?;
        // In the second pass of a repeated hour the first passes lie behind: they are not due again.
        let due = first_instant(zone, local);
        if due > after {
            return Some(due);
        }
    }
}

/// The first due strictly after `after` of a pattern that runs in every hour: it follows elapsed time, through a
/// repeated hour twice and past a missing one, so that "each 5 minutes" stays each 5 minutes.
pub fn next_in_every_hour(cron: &Cron, zone: TimeZone, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let (mut from, mut inclusive) = (after, false);
    loop {
        let shift = offset(zone, from);
        let due = (next_local(cron, from.naive_utc() + shift, inclusive)? - shift).and_utc();
        match next_change(zone, from, due) {
            Some(change) => (from, inclusive) = (change, true),
            None => return Some(due),
        }
    }
}

fn next_local(cron: &Cron, after: NaiveDateTime, inclusive: bool) -> Option<NaiveDateTime> {
    cron.find_next_occurrence(&after.and_utc(), inclusive).ok().map(|found| found.naive_utc())
}

fn offset(zone: TimeZone, at: DateTime<Utc>) -> TimeDelta {
    TimeDelta::seconds(i64::from(zone.offset(at.naive_utc()).local_minus_utc()))
}

/// The instant of a local time: the first of two, or the end of the gap that it falls in.
fn first_instant(zone: TimeZone, local: NaiveDateTime) -> DateTime<Utc> {
    match zone.from_local_datetime(&local).earliest() {
        Some(found) => found.with_timezone(&Utc),
        None => {
            let upper = local.and_utc() + WIDEST_GAP;
            let mut change = local.and_utc() - WIDEST_GAP;
            while let Some(next) = next_change(zone, change, upper) {
                change = next;
                if change.naive_utc() + offset(zone, change) > local {
                    break;
                }
            }
            change
        }
    }
}

/// The first instant in (`from`, `until`] at which the zone's offset differs from the one before it.
pub fn next_change(zone: TimeZone, from: DateTime<Utc>, until: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let before = offset(zone, from);
    let (mut low, mut high) = (from, from);
    while offset(zone, high) == before {
        if high == until {
            return None;
        }
        low = high;
        high = until.min(high + PROBE);
    }
    while high - low > TimeDelta::seconds(1) {
        let middle = low + (high - low) / 2;
        if offset(zone, middle) == before { low = middle } else { high = middle }
    }
    // Offsets change on whole seconds.
    DateTime::from_timestamp(high.timestamp(), 0)
}
