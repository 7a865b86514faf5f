//! Time zones by their names in the IANA database (<https://www.iana.org/time-zones>).

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{LazyLock, Mutex, PoisonError};

use chrono::{Datelike, FixedOffset, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, Offset, Timelike};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{self, AmbiguousOffset, TimeZoneDatabase};

/// A time zone, such as `Europe/Berlin`: as the system's database has it, which a distribution keeps up to date, or where that
/// is not there or does not know it, as the one that is built in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TimeZone(&'static tz::TimeZone);

static UTC: tz::TimeZone = tz::TimeZone::UTC;

/// Those that were asked for. They stay: there are some 600 at most, of a few kilobytes each.
static KNOWN: LazyLock<Mutex<HashMap<String, TimeZone>>> = LazyLock::new(Mutex::default);

/// A name that no database has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time zone of the IANA database, such as Europe/Berlin")]
pub struct UnknownTimeZone;

impl TimeZone {
    /// UTC.
    pub const UTC: Self = Self(&UTC);

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// The names of all zones that are built in: the same on each machine.
    pub fn names() -> impl Iterator<Item = String> {
        let names: Vec<String> = TimeZoneDatabase::bundled().available().map(|name| name.to_string()).collect();
        names.into_iter()
    }

    /// Its offset from UTC at a moment of it.
    #[must_use]
    pub fn offset(self, utc: NaiveDateTime) -> FixedOffset {
        fixed(self.0.to_offset(moment(utc)))
    }
}

impl FromStr for TimeZone {
    type Err = UnknownTimeZone;

    fn from_str(name: &str) -> Result<Self, UnknownTimeZone> {
        if name == "UTC" {
            return Ok(Self::UTC);
        }
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(zone) = known.get(name) {
            return Ok(*zone);
        }
        let built_in = TimeZoneDatabase::bundled().get(name);
        // Beside zones a system's folder has other names for its own, such as `localtime`; new zones have a slash.
        let ours =
            if built_in.is_ok() || name.contains('/') { tz::db().get(name) } else { return Err(UnknownTimeZone) };
        let found = ours.or(built_in);
        // A name is written as in the database.
        let found = found.ok().filter(|zone| zone.iana_name() == Some(name)).ok_or(UnknownTimeZone)?;
        let zone = Self(Box::leak(Box::new(found)));
        known.insert(name.to_owned(), zone);
        Ok(zone)
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimeZone({})", self.name())
    }
}

/// What a zone's clock is ahead of UTC, and what it is then called there, such as `CEST`.
#[derive(Clone, Debug)]
pub struct ZoneOffset {
    zone: TimeZone,
    ahead: FixedOffset,
    abbreviation: String,
}

impl Offset for ZoneOffset {
    fn fix(&self) -> FixedOffset {
        self.ahead
    }
}

/// As `%Z` of a format shows it.
impl fmt::Display for ZoneOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.abbreviation)
    }
}

impl chrono::TimeZone for TimeZone {
    type Offset = ZoneOffset;

    fn from_offset(offset: &ZoneOffset) -> Self {
        offset.zone
    }

    fn offset_from_local_date(&self, local: &NaiveDate) -> MappedLocalTime<ZoneOffset> {
        self.offset_from_local_datetime(&local.and_time(NaiveTime::MIN))
    }

    fn offset_from_local_datetime(&self, local: &NaiveDateTime) -> MappedLocalTime<ZoneOffset> {
        let of =
            |ahead: tz::Offset| local.checked_sub_offset(fixed(ahead)).map(|utc| self.offset_from_utc_datetime(&utc));
        let Some(shown) = civil(*local) else { return MappedLocalTime::None };
        match self.0.to_ambiguous_timestamp(shown).offset() {
            AmbiguousOffset::Unambiguous { offset } => {
                of(offset).map_or(MappedLocalTime::None, MappedLocalTime::Single)
            }
            AmbiguousOffset::Gap { .. } => MappedLocalTime::None,
            AmbiguousOffset::Fold { before, after } => match (of(before), of(after)) {
                (Some(earlier), Some(later)) => MappedLocalTime::Ambiguous(earlier, later),
                (found, other) => found.or(other).map_or(MappedLocalTime::None, MappedLocalTime::Single),
            },
        }
    }

    fn offset_from_utc_date(&self, utc: &NaiveDate) -> ZoneOffset {
        self.offset_from_utc_datetime(&utc.and_time(NaiveTime::MIN))
    }

    fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> ZoneOffset {
        let info = self.0.to_offset_info(moment(*utc));
        ZoneOffset { zone: *self, ahead: fixed(info.offset()), abbreviation: info.abbreviation().to_owned() }
    }
}

/// Beyond the years of the database, which are from -9999 to 9999, it is the nearest.
fn moment(utc: NaiveDateTime) -> Timestamp {
    let seconds = utc.and_utc().timestamp();
    Timestamp::from_second(seconds).unwrap_or(if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// `None` beyond the years of the database.
fn civil(shown: NaiveDateTime) -> Option<DateTime> {
    let part = |number: u32| i8::try_from(number).ok();
    let date = (i16::try_from(shown.year()).ok()?, part(shown.month())?, part(shown.day())?);
    let time = (part(shown.hour())?, part(shown.minute())?, part(shown.second())?);
    DateTime::new(date.0, date.1, date.2, time.0, time.1, time.2, 0).ok()
}

/// No offset is a day long.
fn fixed(ahead: tz::Offset) -> FixedOffset {
    FixedOffset::east_opt(ahead.seconds()).unwrap_or_else(|| chrono::Utc.fix())
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeZone as _, Utc};

    use super::*;

    fn zone(name: &str) -> TimeZone {
        name.parse().expect("a zone")
    }

    #[test]
    fn a_zone_shows_its_clock_and_what_it_is_called_there() {
        let summer: DateTime<Utc> = "2026-07-01T12:00:00Z".parse().expect("a moment");
        for (name, shown) in [
            ("UTC", "12:00 UTC +0000"),
            ("Europe/Berlin", "14:00 CEST +0200"),
            ("Asia/Kathmandu", "17:45 +0545 +0545"),
            ("US/Pacific", "05:00 PDT -0700"),
        ] {
            assert_eq!(summer.with_timezone(&zone(name)).format("%H:%M %Z %z").to_string(), shown, "{name}");
            assert_eq!(zone(name).to_string(), name);
        }
        // By the rule that the database ends with.
        let far = Utc.with_ymd_and_hms(2500, 7, 1, 12, 0, 0).single().expect("a moment");
        assert_eq!(far.with_timezone(&zone("Europe/Berlin")).format("%H:%M %Z").to_string(), "14:00 CEST");
    }

    #[test]
    fn a_clock_that_is_set_shows_a_time_twice_or_never() {
        let berlin = zone("Europe/Berlin");
        let shown = |day: u32, month: u32| {
            let local = NaiveDate::from_ymd_opt(2026, month, day).and_then(|day| day.and_hms_opt(2, 30, 0));
            berlin.from_local_datetime(&local.expect("a time")).map(|at| at.to_utc().format("%H:%M").to_string())
        };
        assert_eq!(shown(25, 10), MappedLocalTime::Ambiguous("00:30".to_owned(), "01:30".to_owned()));
        assert_eq!(shown(29, 3), MappedLocalTime::None);
        assert_eq!(shown(30, 3), MappedLocalTime::Single("00:30".to_owned()));
    }

    #[test]
    fn every_name_that_is_built_in_is_a_zone_and_nothing_else_is() {
        assert!(TimeZone::names().count() > 500);
        for name in TimeZone::names() {
            assert_eq!(zone(&name).name(), name);
        }
        for name in [
            "",
            "utc",
            "Europe/Bertin",
            "europe/berlin",
            "CET/../UTC",
            "../Europe/Berlin",
            "right/UTC",
            "/etc/localtime",
            "localtime",
            "posixrules",
        ] {
            assert_eq!(name.parse::<TimeZone>(), Err(UnknownTimeZone), "{name}");
        }
    }
}
