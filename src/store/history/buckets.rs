//! Values over time put together by stretches of it: hours, days, whatever is asked for. Pure, and fed in the order of dues.

use std::fmt;
use std::ops::ControlFlow;
use std::str::FromStr;
use std::time::Duration;

use chrono::{Days, NaiveDate};

use super::tally::Tally;
use super::zone::Zone;
use crate::model::Timestamp;

const DAY: Duration = Duration::from_hours(24);

/// How long a bucket is. Whole days are calendar days of the zone, 23 or 25 hours long where its clock is changed, and
/// several are counted from 1 January 1970. What is shorter is elapsed time, counted from each midnight, so that the
/// last one before a midnight may be shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Every(Length);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Elapsed(Duration),
    Days(u32),
}

/// What is made of the numbers of a bucket. What is not a number (text, `true`, objects, null) is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aggregate {
    /// The mean, as `f64`.
    Avg,
    /// The least, to the digit.
    Min,
    /// The greatest, to the digit.
    Max,
    /// The sum: exact while all are integers and it fits 128 bits, else as `f64`.
    Sum,
    /// The last, to the digit.
    Last,
    /// How many there are.
    Count,
    /// The median, as `f64`; between two values as between two points of a line.
    P50,
    /// What 95 % are not above, as `f64`, between two values likewise.
    P95,
}

/// What stands for a bucket without numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Fill {
    /// Nothing: null.
    #[default]
    Null,
    /// The value of the last bucket that has one.
    Last,
    /// Not even the bucket.
    None,
}

/// One stretch of time, from `from` to before `until`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its first moment.
    pub from: Timestamp,
    /// The first moment after it.
    pub until: Timestamp,
    /// A JSON number, or `None`; a count is 0 instead.
    pub value: Option<String>,
    /// How many numbers there are in it.
    pub values: u64,
    /// How many slots, with a document or without.
    pub slots: u64,
    /// How many slots without a document.
    pub failed: u64,
}

/// Puts observations into buckets and hands each out when it is complete.
#[derive(Debug)]
pub struct Buckets {
    every: Every,
    zone: Zone,
    aggregate: Aggregate,
    fill: Fill,
    from: Timestamp,
    until: Timestamp,
    /// Whether the bucket of `from` and `until` has been begun.
    begun: bool,
    tally: Tally,
    /// The newest value that was handed out.
    last: Option<String>,
}

impl Every {
    /// Buckets of this length, at least a second.
    ///
    /// # Errors
    /// Says what would be right.
    pub fn new(length: Duration) -> Result<Self, &'static str> {
        if length < Duration::from_secs(1) {
            return Err("at least 1s");
        }
        if length < DAY {
            return Ok(Self(Length::Elapsed(length)));
        }
        let whole = length.as_secs().is_multiple_of(DAY.as_secs()) && length.subsec_nanos() == 0;
        let days = u32::try_from(length.as_secs() / DAY.as_secs()).ok().filter(|&days| whole && days <= 366);
        days.map(|days| Self(Length::Days(days))).ok_or("over a day only whole days, up to 366days")
    }

    /// The bucket that `moment` is in: its first moment and the first one after it.
    #[must_use]
    pub fn around(self, moment: Timestamp, zone: Zone) -> (Timestamp, Timestamp) {
        self.in_calendar(moment, zone).unwrap_or((moment, Timestamp::from_micros(i64::MAX)))
    }

    fn in_calendar(self, moment: Timestamp, zone: Zone) -> Option<(Timestamp, Timestamp)> {
        let day = zone.day(moment)?;
        match self.0 {
            Length::Days(days) => {
                let epoch = NaiveDate::default();
                let into = (day - epoch).num_days().rem_euclid(i64::from(days));
                let first = day.checked_sub_days(Days::new(into.unsigned_abs()))?;
                let next = first.checked_add_days(Days::new(u64::from(days)))?;
                Some((zone.begin_of(first)?, zone.begin_of(next)?))
            }
            Length::Elapsed(length) => {
                let (midnight, next) = (zone.begin_of(day)?, zone.begin_of(day.succ_opt()?)?);
                let length = i64::try_from(length.as_micros()).ok()?;
                let into = moment.as_micros() - midnight.as_micros();
                let from = moment.as_micros() - into.rem_euclid(length);
                Some((Timestamp::from_micros(from), next.min(Timestamp::from_micros(from + length))))
            }
        }
    }
}

impl Buckets {
    /// Buckets of `zone`; the first one is that of the first observation.
    #[must_use]
    pub fn new(every: Every, zone: Zone, aggregate: Aggregate, fill: Fill) -> Self {
        let never = Timestamp::from_micros(i64::MIN);
        let tally = Tally::default();
        Self { every, zone, aggregate, fill, from: never, until: never, begun: false, tally, last: None }
    }

    /// The first bucket is that of `moment`, whether there is an observation in it or not.
    #[must_use]
    pub fn beginning_at(mut self, moment: Timestamp) -> Self {
        self.begin(moment);
        self
    }

    /// The same with the value of the last bucket before that has one, for [`Fill::Last`].
    #[must_use]
    pub fn carrying(mut self, last: String) -> Self {
        self.last = Some(last);
        self
    }

    /// Whether the value before the first bucket is wanted and not known. A count needs none: it is never without.
    pub(super) fn lack_last_value(&self) -> bool {
        self.fill == Fill::Last && self.aggregate != Aggregate::Count && self.last.is_none()
    }

    /// Where the bucket begins that `moment` is in.
    pub(super) fn begin_of(&self, moment: Timestamp) -> Timestamp {
        self.every.around(moment, self.zone).0
    }

    /// Empty ones that are made likewise; those without numbers are left out.
    pub(super) fn of_same_kind(&self) -> Self {
        Self::new(self.every, self.zone, self.aggregate, Fill::None)
    }

    /// Adds a slot that was due then: whether it has a document, and the JSON text of its value. Dues never descend.
    /// `done` is called with each bucket that is complete by that, and may break: then nothing was added, and another
    /// call with the same slot goes on with the next bucket.
    pub fn add(
        &mut self,
        due: Timestamp,
        ok: bool,
        value: Option<&str>,
        mut done: impl FnMut(Bucket) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if due >= self.until {
            self.go_on_to(due, &mut done)?;
        }
        self.tally.add(self.aggregate, ok, value);
        ControlFlow::Continue(())
    }

    /// Hands out the last bucket, and empty ones until that of the moment before `until`. Where `done` breaks, another
    /// call goes on with the next one; nothing is added afterwards.
    pub fn finish(
        &mut self,
        until: Option<Timestamp>,
        mut done: impl FnMut(Bucket) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if !self.begun {
            return ControlFlow::Continue(());
        }
        if let Some(last) = until.map(|until| until.minus(Duration::from_micros(1)))
            && last >= self.until
        {
            self.go_on_to(last, &mut done)?;
        }
        self.begun = false;
        self.complete().map_or(ControlFlow::Continue(()), done)
    }

    fn begin(&mut self, moment: Timestamp) {
        (self.from, self.until) = self.every.around(moment, self.zone);
        self.begun = true;
    }

    fn go_on_to(&mut self, due: Timestamp, done: &mut impl FnMut(Bucket) -> ControlFlow<()>) -> ControlFlow<()> {
        while self.begun && due >= self.until {
            let complete = self.complete();
            // Empty buckets that nobody wants are not walked through.
            self.begin(if self.fill == Fill::None { due } else { self.until });
            complete.map_or(ControlFlow::Continue(()), &mut *done)?;
        }
        if !self.begun {
            self.begin(due);
        }
        ControlFlow::Continue(())
    }

    /// The bucket as it is, unless nobody wants it.
    fn complete(&mut self) -> Option<Bucket> {
        let tally = std::mem::take(&mut self.tally);
        let (slots, failed, values) = (tally.slots, tally.failed, tally.values);
        let mut value = tally.value(self.aggregate);
        match (&value, self.fill) {
            // Beyond what a number can say there is none, but it is no bucket without numbers either.
            _ if values > 0 => self.last = value.clone().or(self.last.take()),
            (_, Fill::None) => return None,
            (None, Fill::Last) => value.clone_from(&self.last),
            _ => {}
        }
        Some(Bucket { from: self.from, until: self.until, value, values, slots, failed })
    }
}

macro_rules! words {
    ($name:ident, $($variant:ident = $word:literal),+) => {
        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word that people write.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(word: &str) -> Result<Self, String> {
                let known = || format!("one of {}", [$($word),+].join(", "));
                match word { $($word => Ok(Self::$variant),)+ _ => Err(known()) }
            }
        }
    };
}

words!(
    Aggregate,
    Avg = "avg",
    Min = "min",
    Max = "max",
    Sum = "sum",
    Last = "last",
    Count = "count",
    P50 = "p50",
    P95 = "p95"
);
words!(Fill, Null = "null", Last = "last", None = "none");

#[cfg(test)]
#[path = "buckets_tests.rs"]
mod tests;
