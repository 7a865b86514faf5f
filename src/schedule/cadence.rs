//! A cadence: the rule that says when a job is due.

use std::hash::Hasher;
use std::time::Duration;

use chrono::{DateTime, NaiveTime, TimeDelta, Timelike};
use croner::parser::{CronParser, Seconds, Year};
use croner::{Cron, CronComponent};
use siphasher::sip::SipHasher13;

use super::zone::{next_at_named_hours, next_change, next_in_every_hour};
use crate::model::{TimeZone, Timestamp};

/// When a job is due. Two are equal when they ask for the same dues by the same rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cadence {
    pattern: Pattern,
    /// Added to each due: the job's `offset` and its share of `jitter`.
    shift: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    /// Each whole multiple of so many microseconds since the Unix epoch.
    Every(i64),
    /// A cron pattern in a zone.
    Cron { cron: Box<Cron>, zone: TimeZone, every_hour: bool },
}

/// A cron pattern that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Neither 5 nor 6 fields.
    #[error("a cron pattern has 5 fields (minute hour day month weekday) or 6 (second first), this one has {0}")]
    Fields(usize),
    /// A field that does not parse.
    #[error("{text:?} is no {field} of a cron pattern: {range}, * for all, and combined with `,` `-` `/`")]
    Field {
        /// What the field stands for.
        field: &'static str,
        /// What stands there.
        text: String,
        /// What may stand there.
        range: &'static str,
    },
    /// The fields are right, each by itself.
    #[error("not a cron pattern: {0}")]
    Pattern(String),
    /// Parses, but names no date that exists, such as 30 February.
    #[error("no date ever matches this cron pattern")]
    Never,
}

/// The fields of a cron pattern with what may stand in them, the second first.
const FIELDS: [(&str, &str); 6] = [
    ("second", "0 to 59"),
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31, or L for the last"),
    ("month", "1 to 12, or JAN to DEC"),
    ("day of the week", "0 to 7, or SUN to SAT"),
];

/// An unbroken run of dues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dues {
    /// The first.
    pub first: Timestamp,
    /// The last.
    pub last: Timestamp,
    /// How many, at least 1.
    pub count: u64,
}

impl Cadence {
    /// Due at each whole multiple of `period` (at least a microsecond) since the Unix epoch: `1m` is due at :00.
    #[must_use]
    pub fn every(period: Duration) -> Self {
        let micros = i64::try_from(period.as_micros()).unwrap_or(i64::MAX).max(1);
        Self { pattern: Pattern::Every(micros), shift: Duration::ZERO }
    }

    /// Due whenever the wall clock of `zone` shows a time that matches `text`: five fields (minute, hour, day of
    /// month, month, day of week) or six (second first). A day matches by day of month or by day of week when
    /// both are given (crontab(5)). A due that falls in a daylight saving gap comes once, right after it; one that
    /// falls in a repeated hour comes once, in the first pass; a pattern for every hour follows elapsed time.
    ///
    /// # Errors
    /// When it does not parse, or no date ever matches.
    pub fn cron(text: &str, zone: TimeZone) -> Result<Self, CronError> {
        let fields = text.split_whitespace().count();
        if !(5..=6).contains(&fields) {
            return Err(CronError::Fields(fields));
        }
        let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(|error| {
            // The library does not say which field it is, so each is tried among others that are right.
            let names = FIELDS.iter().skip(FIELDS.len() - fields);
            let wrong = text.split_whitespace().zip(names).enumerate().find(|(index, (field, _))| {
                let alone: Vec<&str> = (0..fields).map(|other| if other == *index { field } else { "*" }).collect();
                parser.parse(&alone.join(" ")).is_err()
            });
            wrong.map_or_else(
                || CronError::Pattern(error.to_string()),
                |(_, (text, &(field, range)))| CronError::Field { field, text: text.to_owned(), range },
            )
        })?;
        let every_hour = (0..24).all(|hour| cron.pattern.hour_match(hour).unwrap_or(false));
        let pattern = Pattern::Cron { cron: Box::new(cron), zone, every_hour };
        let cadence = Self { pattern, shift: Duration::ZERO };
        match cadence.next_after(Timestamp::default()) {
            Some(_) => Ok(cadence),
            None => Err(CronError::Never),
        }
    }

    /// The same cadence with every due moved by `shift` into the future.
    #[must_use]
    pub fn shifted(mut self, shift: Duration) -> Self {
        self.shift = shift;
        self
    }

    /// The first due strictly after `after`; `None` when there is none before the year 5000.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let after = after.minus(self.shift);
        let due = match &self.pattern {
            Pattern::Every(period) => {
                let next = after.as_micros().div_euclid(*period).checked_add(1)?.checked_mul(*period)?;
                Timestamp::from_micros(next)
            }
            Pattern::Cron { cron, zone, every_hour } => {
                // Cron's grain is the second: the fraction is dropped so that "after" is a whole one.
                let after = DateTime::from_timestamp(after.as_micros().div_euclid(1_000_000), 0)?;
                let next = if *every_hour { next_in_every_hour } else { next_at_named_hours };
                next(cron, *zone, after)?.into()
            }
        };
        Some(due.plus(self.shift))
    }

    /// The zone whose clock the cadence goes by; `every` has none.
    #[must_use]
    pub fn zone(&self) -> Option<TimeZone> {
        if let Pattern::Cron { zone, .. } = &self.pattern { Some(*zone) } else { None }
    }

    /// The first moment in (`after`, `until`] at which the clock jumps that the cadence goes by; never for `every` or UTC.
    #[must_use]
    pub fn next_clock_change(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        next_change(self.zone()?, after.to_utc()?, until.to_utc()?).map(Timestamp::from)
    }

    /// The dues in (`after`, `until`], or `None` when there are none.
    #[must_use]
    pub fn dues_between(&self, after: Timestamp, until: Timestamp) -> Option<Dues> {
        let first = self.next_after(after).filter(|&due| due <= until)?;
        let mut dues = Dues { first, last: first, count: 1 };
        if let Pattern::Every(period) = self.pattern {
            let more = (until.as_micros() - first.as_micros()) / period;
            dues.last = Timestamp::from_micros(first.as_micros() + more * period);
            dues.count += more.unsigned_abs();
        } else {
            loop {
                if let Some((last, more)) = self.rest_of_day_or_hour(dues.last).filter(|&(last, _)| last <= until) {
                    dues.last = last;
                    dues.count += more;
                }
                let Some(due) = self.next_after(dues.last).filter(|&due| due <= until) else { break };
                dues.last = due;
                dues.count += 1;
            }
        }
        Some(dues)
    }
}

impl Cadence {
    /// The last due of the same local day or hour and how many there are until then, when `due` is the first of a day
    /// or hour in which the zone's clock does not jump. A clock that is set from 1970 to today passes more dues than can
    /// be walked.
    fn rest_of_day_or_hour(&self, due: Timestamp) -> Option<(Timestamp, u64)> {
        let Pattern::Cron { cron, zone, .. } = &self.pattern else { return None };
        let due = due.minus(self.shift).to_utc()?;
        let time = (due.naive_utc() + zone.offset(due.naive_utc())).time();
        let parts = [&cron.pattern.hours, &cron.pattern.minutes, &cron.pattern.seconds].map(CronComponent::values);
        let [hours, minutes, seconds] = parts.each_ref().map(Vec::as_slice);
        let this_hour = [u16::try_from(time.hour()).ok()?];
        let midnight = due - (time - NaiveTime::MIN);
        let full_hour = due - TimeDelta::seconds((time.minute() * 60 + time.second()).into());
        let spans = [(hours, midnight, TimeDelta::days(1)), (&this_hour, full_hour, TimeDelta::hours(1))];
        spans.into_iter().filter(|_| hours.contains(&this_hour[0])).find_map(|(hours, start, span)| {
            let at = |hour: &u16, minute: &u16, second: &u16| {
                NaiveTime::from_hms_opt((*hour).into(), (*minute).into(), (*second).into())
            };
            let first = at(hours.first()?, minutes.first()?, seconds.first()?)?;
            let last = at(hours.last()?, minutes.last()?, seconds.last()?)?;
            if time != first || next_change(*zone, start, start + span).is_some() {
                return None;
            }
            let count = (hours.len() * minutes.len() * seconds.len()) as u64;
            Some((Timestamp::from(due + (last - first)).plus(self.shift), count - 1))
        })
    }
}

/// The part of `jitter` that belongs to the job called `name`: the same on every machine and after each restart
/// (SipHash-1-3 of the name with a zero key), spread evenly over [0, `jitter`).
#[must_use]
pub fn jitter_of(name: &str, jitter: Duration) -> Duration {
    let mut hasher = SipHasher13::new();
    hasher.write(name.as_bytes());
    let micros = u64::try_from(jitter.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(hasher.finish().checked_rem(micros).unwrap_or(0))
}
