//! The days and hours of a zone, as moments.

use std::fmt;

use chrono::{FixedOffset, Local, MappedLocalTime, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone as _, Utc};

use crate::model::{TimeZone, Timestamp};

/// No clock is further from UTC than this, and none was ever set by more at once than a day (Samoa, 30 December 2011).
const FURTHEST: TimeDelta = TimeDelta::hours(26);

/// Whose days and hours are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// UTC.
    Utc,
    /// The machine's.
    Local,
    /// A zone by its name.
    Named(TimeZone),
}

/// As a picture says it.
impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Utc => f.write_str("UTC"),
            Self::Local => f.write_str("local time"),
            Self::Named(zone) => zone.fmt(f),
        }
    }
}

/// Only what a clock shows at a moment is asked for. Asked the other way round, at which moment it shows something,
/// chrono's `Local` takes the later of two for the earlier.
impl Zone {
    /// What the clock shows at a moment; `None` beyond chrono's years.
    #[must_use]
    pub fn calendar(self, moment: Timestamp) -> Option<NaiveDateTime> {
        self.shown_at(moment.to_utc()?.naive_utc())
    }

    /// The calendar day of a moment; `None` beyond chrono's years.
    pub(super) fn day(self, moment: Timestamp) -> Option<NaiveDate> {
        Some(self.calendar(moment)?.date())
    }

    /// The first moment of a calendar day: its midnight, the first of two, or what comes instead of it where the clock is
    /// set forward; `None` beyond chrono's years.
    #[must_use]
    pub fn begin_of(self, day: NaiveDate) -> Option<Timestamp> {
        let midnight = day.and_hms_opt(0, 0, 0)?;
        let (mut before, mut first) = (midnight.checked_sub_signed(FURTHEST)?, midnight.checked_add_signed(FURTHEST)?);
        let ahead = self.ahead(before);
        if ahead == self.ahead(first) {
            return Some(midnight.checked_sub_offset(ahead)?.and_utc().into());
        }
        // The clock is set nearby: somewhere between these the day begins.
        while first - before > TimeDelta::seconds(1) {
            let middle = before + TimeDelta::seconds((first - before).num_seconds() / 2);
            *(if self.shown_at(middle)?.date() < day { &mut before } else { &mut first }) = middle;
        }
        Some(first.and_utc().into())
    }

    /// When the clock shows this: never where it is set forward over it, twice where it is set back.
    #[must_use]
    pub fn moments(self, calendar: NaiveDateTime) -> MappedLocalTime<Timestamp> {
        let by_clock_of = |near: Option<NaiveDateTime>| {
            let ahead = self.ahead(near?);
            let moment = calendar.checked_sub_offset(ahead)?;
            (self.ahead(moment) == ahead).then(|| Timestamp::from(moment.and_utc()))
        };
        let before = by_clock_of(calendar.checked_sub_signed(FURTHEST));
        let after = by_clock_of(calendar.checked_add_signed(FURTHEST));
        match (before, after) {
            (Some(one), Some(other)) if one != other => MappedLocalTime::Ambiguous(one.min(other), one.max(other)),
            (Some(moment), _) | (None, Some(moment)) => MappedLocalTime::Single(moment),
            (None, None) => MappedLocalTime::None,
        }
    }

    /// What the clock shows at a moment of UTC.
    fn shown_at(self, utc: NaiveDateTime) -> Option<NaiveDateTime> {
        utc.checked_add_offset(self.ahead(utc))
    }

    /// How far the clock is ahead of UTC at a moment of it.
    fn ahead(self, utc: NaiveDateTime) -> FixedOffset {
        match self {
            Self::Utc => Utc.fix(),
            Self::Local => Local.offset_from_utc_datetime(&utc),
            Self::Named(zone) => zone.offset(utc),
        }
    }
}
