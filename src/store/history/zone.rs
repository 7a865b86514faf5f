//! The days of a zone, as instants.

use chrono::{Local, MappedLocalTime, NaiveDate, NaiveDateTime, TimeDelta, TimeZone};
use chrono_tz::Tz;

use crate::model::Timestamp;

/// Where a clock stops existing for a while, it exists again on a quarter of an hour.
const STEP: TimeDelta = TimeDelta::minutes(15);
/// The longest time that a clock was ever set forward by is a day (Samoa, 30 December 2011).
const STEPS: i32 = 2 * 24 * 4;

/// Whose days and hours are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// UTC.
    Utc,
    /// The machine's.
    Local,
    /// A zone by its name.
    Named(Tz),
}

impl Zone {
    /// What the clock shows at a moment; `None` beyond chrono's years.
    #[must_use]
    pub fn calendar(self, moment: Timestamp) -> Option<NaiveDateTime> {
        let utc = moment.to_utc()?;
        Some(match self {
            Self::Utc => utc.naive_utc(),
            Self::Local => utc.with_timezone(&Local).naive_local(),
            Self::Named(zone) => utc.with_timezone(&zone).naive_local(),
        })
    }

    /// The calendar day of a moment.
    pub(super) fn day(self, moment: Timestamp) -> Option<NaiveDate> {
        Some(self.calendar(moment)?.date())
    }

    /// The first moment of a calendar day: its midnight, or what comes instead of it where the clock is set forward.
    #[must_use]
    pub fn begin_of(self, day: NaiveDate) -> Option<Timestamp> {
        let midnight = day.and_hms_opt(0, 0, 0)?;
        (0..=STEPS).find_map(|step| self.moments(midnight.checked_add_signed(STEP * step)?).earliest())
    }

    /// When the clock shows this: never where it is set forward over it, twice where it is set back.
    #[must_use]
    pub fn moments(self, calendar: NaiveDateTime) -> MappedLocalTime<Timestamp> {
        match self {
            Self::Utc => MappedLocalTime::Single(calendar.and_utc().into()),
            Self::Local => Local.from_local_datetime(&calendar).map(|moment| moment.to_utc().into()),
            Self::Named(zone) => zone.from_local_datetime(&calendar).map(|moment| moment.to_utc().into()),
        }
    }
}
