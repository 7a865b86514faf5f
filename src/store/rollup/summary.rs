//! What many slots of one endpoint come to. Summaries of neighbouring spans add up to that of both.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use super::latencies::Latencies;
use crate::model::{Outcome, Timestamp};

/// More than an endpoint can have in an hour, and few enough to be counted with.
const MOST_SLOTS: u64 = u32::MAX as u64;

/// Slots are added in the order of their dues. What was `cancelled` says nothing about the endpoint: it is counted, and
/// left out of everything else. `backoff` is a failure: the endpoint's host had asked to be left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many slots ended so, by the outcome's word.
    pub outcomes: BTreeMap<String, u64>,
    /// How long those took that ended as ok.
    pub latencies: Latencies,
    pub first_due: Option<Timestamp>,
    pub last_due: Option<Timestamp>,
    pub first_ok: Option<Timestamp>,
    pub last_ok: Option<Timestamp>,
    /// The due of the first of the failures at the end.
    pub failing_from: Option<Timestamp>,
    /// The longest run of failures that an ok ended.
    pub ended: Option<Run>,
}

/// From the due of the first failure to that of the ok that ended them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub from: Timestamp,
    pub until: Timestamp,
}

/// A run of failures, one due after the other as far as there were rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// The due of the first failure.
    pub from: Timestamp,
    /// The due of the success that ended it; when it goes on, of the last failure.
    pub until: Timestamp,
    /// Whether it goes on.
    pub goes_on: bool,
}

impl Run {
    fn len(self) -> Duration {
        self.until.since(self.from)
    }
}

impl Outage {
    /// How long it was, as far as is known.
    #[must_use]
    pub fn len(&self) -> Duration {
        self.until.since(self.from)
    }
}

impl Summary {
    /// Adds the slot of a round that was due at `due`, not before those that were added already.
    pub fn add(&mut self, due: Timestamp, outcome: &str, elapsed_us: i64) {
        match self.outcomes.get_mut(outcome) {
            Some(count) => *count += 1,
            None => drop(self.outcomes.insert(outcome.to_owned(), 1)),
        }
        if outcome == Outcome::Cancelled.as_str() {
            return;
        }
        self.first_due.get_or_insert(due);
        self.last_due = Some(due);
        if outcome == Outcome::Ok.as_str() {
            self.latencies.record(elapsed_us);
            self.first_ok.get_or_insert(due);
            self.last_ok = Some(due);
            if let Some(from) = self.failing_from.take() {
                self.ended = longer(self.ended, Some(Run { from, until: due }));
            }
        } else {
            self.failing_from.get_or_insert(due);
        }
    }

    /// Adds what comes after this.
    pub fn append(&mut self, later: &Self) {
        self.count(later);
        // A run that began before is longer than the part of it that `later` saw.
        let over_the_border = self.failing_from.zip(later.first_ok).map(|(from, until)| Run { from, until });
        self.ended = longer(longer(self.ended, over_the_border), later.ended);
        self.failing_from = match later.first_ok {
            Some(_) => later.failing_from,
            None => self.failing_from.or(later.failing_from),
        };
        self.first_due = self.first_due.or(later.first_due);
        self.last_due = later.last_due.or(self.last_due);
        self.first_ok = self.first_ok.or(later.first_ok);
        self.last_ok = later.last_ok.or(self.last_ok);
    }

    /// Adds what comes before, after or in the midst of this. In the midst counts and latencies stay exact, and outages
    /// as they were known: which slots lie beside it is not known any more.
    pub fn merge(&mut self, other: Self) {
        let after = |a: &Self, b: &Self| a.first_due.zip(b.last_due).is_none_or(|(first, last)| first >= last);
        if after(&other, self) {
            self.append(&other);
        } else if after(self, &other) {
            let own = std::mem::replace(self, other);
            self.append(&own);
        } else {
            self.count(&other);
            self.ended = longer(self.ended, other.ended);
            if other.last_due > self.last_due {
                self.failing_from = other.failing_from;
            }
            self.first_due = earlier(self.first_due, other.first_due);
            self.last_due = self.last_due.max(other.last_due);
            self.first_ok = earlier(self.first_ok, other.first_ok);
            self.last_ok = self.last_ok.max(other.last_ok);
        }
    }

    fn count(&mut self, other: &Self) {
        for (outcome, count) in &other.outcomes {
            *self.outcomes.entry(outcome.clone()).or_default() += count;
        }
        self.latencies.add(&other.latencies);
    }

    /// Whether slots that were due in `dues` can have made this.
    pub fn fits(&self, dues: &Range<Timestamp>) -> bool {
        let bound = |count: u64| Some(count).filter(|&count| count <= MOST_SLOTS);
        let slots = self.outcomes.values().try_fold(0_u64, |sum, &count| bound(sum.checked_add(count)?));
        let run = self.ended.map(|run| [run.from, run.until]);
        let moments = [self.first_due, self.last_due, self.first_ok, self.last_ok, self.failing_from];
        slots.is_some()
            && self.latencies.count() == Some(self.ok())
            && moments.into_iter().flatten().chain(run.into_iter().flatten()).all(|moment| dues.contains(&moment))
    }

    pub fn slots(&self) -> u64 {
        self.outcomes.values().sum()
    }

    pub fn ok(&self) -> u64 {
        self.outcomes.get(Outcome::Ok.as_str()).copied().unwrap_or(0)
    }

    pub fn failed(&self) -> u64 {
        self.slots() - self.ok() - self.outcomes.get(Outcome::Cancelled.as_str()).copied().unwrap_or(0)
    }

    /// The longest outage, the first of equal ones.
    pub fn longest_outage(&self) -> Option<Outage> {
        let open = self.failing_from.zip(self.last_due).map(|(from, until)| Run { from, until });
        let longest = longer(self.ended, open)?;
        let goes_on = self.failing_from == Some(longest.from);
        Some(Outage { from: longest.from, until: longest.until, goes_on })
    }
}

fn longer(a: Option<Run>, b: Option<Run>) -> Option<Run> {
    match (a, b) {
        (Some(a), Some(b)) => {
            let b_wins = (b.len(), a.from) > (a.len(), b.from);
            Some(if b_wins { b } else { a })
        }
        (a, b) => a.or(b),
    }
}

fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    a.zip(b).map(|(a, b)| a.min(b)).or(a).or(b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(due: i64) -> Timestamp {
        Timestamp::from_micros(due)
    }

    fn of(slots: &[(i64, &str)]) -> Summary {
        let mut summary = Summary::default();
        for &(due, outcome) in slots {
            summary.add(at(due), outcome, due);
        }
        summary
    }

    #[test]
    fn the_longest_outage_ends_with_the_next_success_and_what_was_cancelled_neither_begins_nor_ends_one() {
        let slots = [
            (0, "ok"),
            (10, "timeout"),
            (20, "ok"),
            (30, "cancelled"),
            (40, "backoff"),
            (50, "cancelled"),
            (60, "dns"),
            (70, "ok"),
            (80, "reset"),
            (90, "reset"),
        ];
        let summary = of(&slots);
        let outage = summary.longest_outage().expect("outages");
        assert_eq!((outage.from, outage.until, outage.goes_on), (at(40), at(70), false));
        assert_eq!((summary.slots(), summary.ok(), summary.failed()), (10, 3, 5));
        let open = of(&slots[7..]).longest_outage().expect("an outage");
        assert_eq!((open.from, open.until, open.goes_on), (at(80), at(90), true));
        assert_eq!(of(&slots[..1]).longest_outage(), None);
    }

    proptest! {
        #[test]
        fn the_parts_of_any_history_add_up_to_the_whole(
            outcomes in proptest::collection::vec(
                proptest::sample::select(vec!["ok", "ok", "timeout", "dns", "cancelled", "backoff"]), 0..60),
            cuts in proptest::collection::vec(0_usize..60, 0..5),
        ) {
            let slots: Vec<(i64, &str)> = (0..).map(|n| n * 7).zip(outcomes).collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(slots.len())).collect();
            cuts.sort_unstable();
            cuts.push(slots.len());
            let (mut sum, mut begin) = (Summary::default(), 0);
            for end in cuts {
                sum.append(&of(&slots[begin..end]));
                begin = end;
            }
            prop_assert_eq!(sum, of(&slots));
        }
    }
}
