//! Round times for the axis of a picture: full minutes, hours, days or months, as the clock of a zone shows them.

use chrono::{Datelike, Days, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike};

use crate::model::Timestamp;
use crate::store::history::Zone;

/// How far two neighbours are from each other; from a day on in the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Seconds(u32),
    Days(u32),
    Months(u32),
}

/// From the shortest to the longest. Each of seconds divides a day.
const STEPS: [Step; 31] = [
    Step::Seconds(1),
    Step::Seconds(2),
    Step::Seconds(5),
    Step::Seconds(10),
    Step::Seconds(15),
    Step::Seconds(30),
    Step::Seconds(60),
    Step::Seconds(2 * 60),
    Step::Seconds(5 * 60),
    Step::Seconds(10 * 60),
    Step::Seconds(15 * 60),
    Step::Seconds(30 * 60),
    Step::Seconds(3_600),
    Step::Seconds(2 * 3_600),
    Step::Seconds(3 * 3_600),
    Step::Seconds(6 * 3_600),
    Step::Seconds(12 * 3_600),
    Step::Days(1),
    Step::Days(2),
    Step::Days(4),
    Step::Days(7),
    Step::Days(14),
    Step::Months(1),
    Step::Months(2),
    Step::Months(3),
    Step::Months(6),
    Step::Months(12),
    Step::Months(24),
    Step::Months(60),
    Step::Months(120),
    Step::Months(1_200),
];

/// At most about `most` round times from `first` to `last`, and chrono's format that shows them. Where there is none,
/// because both are in one second, it is `first`.
pub fn ticks(first: Timestamp, last: Timestamp, zone: Zone, most: u32) -> (Vec<Timestamp>, &'static str) {
    let span = last.since(first).as_secs_f64();
    let step = STEPS.into_iter().find(|step| step.seconds() * f64::from(most) >= span).unwrap_or(Step::Months(12_000));
    let begin = zone.calendar(first).and_then(|begin| step.before(begin));
    let ticks = std::iter::successors(begin, |&tick| step.after(tick))
        // One that the clock never shows is left out.
        .map(|tick| zone.moments(tick).earliest())
        .take_while(|tick| tick.is_none_or(|tick| tick <= last));
    let ticks: Vec<Timestamp> = ticks.flatten().filter(|&tick| tick >= first).collect();
    (if ticks.is_empty() { vec![first] } else { ticks }, step.format())
}

/// The moment as `format` of chrono says, on the clock of `zone`.
pub fn shown(moment: Timestamp, zone: Zone, format: &str) -> String {
    zone.calendar(moment).map(|calendar| calendar.format(format).to_string()).unwrap_or_default()
}

impl Step {
    /// How long it is, or a little less.
    fn seconds(self) -> f64 {
        match self {
            Self::Seconds(seconds) => seconds.into(),
            Self::Days(days) => f64::from(days) * 86_400.0,
            Self::Months(months) => f64::from(months) * 30.0 * 86_400.0,
        }
    }

    const fn format(self) -> &'static str {
        match self {
            Self::Seconds(..60) => "%Y-%m-%d %H:%M:%S",
            Self::Seconds(_) => "%Y-%m-%d %H:%M",
            _ => "%Y-%m-%d",
        }
    }

    /// The last round time at or before `calendar`.
    fn before(self, calendar: NaiveDateTime) -> Option<NaiveDateTime> {
        let day = calendar.date();
        match self {
            Self::Seconds(step) => {
                let seconds = calendar.num_seconds_from_midnight() / step * step;
                Some(day.and_time(NaiveTime::from_num_seconds_from_midnight_opt(seconds, 0)?))
            }
            Self::Days(step) => {
                let into = (day - NaiveDate::default()).num_days().rem_euclid(step.into());
                Some(day.checked_sub_days(Days::new(into.unsigned_abs()))?.and_time(NaiveTime::MIN))
            }
            Self::Months(step) => {
                let step = i32::try_from(step).ok()?;
                let months = (day.year() * 12 + i32::try_from(day.month0()).ok()?).div_euclid(step) * step;
                let month = u32::try_from(months.rem_euclid(12)).ok()? + 1;
                Some(NaiveDate::from_ymd_opt(months.div_euclid(12), month, 1)?.and_time(NaiveTime::MIN))
            }
        }
    }

    fn after(self, tick: NaiveDateTime) -> Option<NaiveDateTime> {
        match self {
            Self::Seconds(step) => tick.checked_add_signed(TimeDelta::seconds(step.into())),
            Self::Days(step) => tick.checked_add_days(Days::new(step.into())),
            Self::Months(step) => tick.checked_add_months(Months::new(step)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(first: &str, last: &str, zone: Zone) -> Vec<String> {
        let moment = |text: &str| text.parse::<chrono::DateTime<chrono::Utc>>().expect("a moment").into();
        let (ticks, format) = ticks(moment(first), moment(last), zone, 6);
        ticks.into_iter().map(|tick| shown(tick, zone, format)).collect()
    }

    #[test]
    fn times_are_round_on_the_clock_of_the_zone() {
        let berlin = Zone::Named("Europe/Berlin".parse().expect("a zone"));
        assert_eq!(
            between("2026-01-31T13:01:10Z", "2026-01-31T13:05:00Z", berlin),
            ["2026-01-31 14:02", "2026-01-31 14:03", "2026-01-31 14:04", "2026-01-31 14:05"]
        );
        assert_eq!(
            between("2026-03-28T13:01:00Z", "2026-03-30T13:00:00Z", berlin),
            ["2026-03-29 00:00", "2026-03-29 12:00", "2026-03-30 00:00", "2026-03-30 12:00"],
            "noon is noon on both sides of a change of the clock"
        );
        assert_eq!(
            between("2025-11-20T00:00:00Z", "2026-04-05T00:00:00Z", berlin),
            ["2025-12-01", "2026-01-01", "2026-02-01", "2026-03-01", "2026-04-01"]
        );
    }

    #[test]
    fn every_span_has_a_few() {
        for micros in (0..57).map(|power| 1_i64 << power) {
            let (first, last) =
                (Timestamp::from_micros(1_767_225_600_000_000), Timestamp::from_micros(1_767_225_600_000_000 + micros));
            let count = ticks(first, last, Zone::Utc, 6).0.len();
            assert!((1..=8).contains(&count), "{micros} µs: {count}");
        }
    }
}
