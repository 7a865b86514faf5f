//! Whether the daemon itself is in trouble: the disk refuses, rounds were dropped, workers panicked. Pure.

use std::time::Duration;

use crate::actors::meters::Vitals;
use crate::clock::Moment;
use crate::model::Timestamp;

/// The disk may refuse for so long before that is trouble: somebody who holds a lock for a moment is none.
const PATIENCE: Duration = Duration::from_secs(10);
/// So long after its last sign trouble is over.
const CALM: Duration = Duration::from_mins(1);

/// Looks at the vitals again and again.
#[derive(Debug)]
pub struct Health {
    /// When it began to look (monotonic).
    began: Duration,
    /// Since when entries wait.
    waiting: Option<Moment>,
    seen: Vitals,
    trouble: Option<(Degraded, Duration)>,
}

/// How the daemon is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum State<'a> {
    /// It began to look too short a time ago to say that all is well.
    Unknown,
    /// No trouble.
    Well,
    /// In trouble.
    Degraded(&'a Degraded),
}

/// Its trouble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Degraded {
    /// Since then.
    pub since: Timestamp,
    /// Entries that wait because the database refuses.
    pub waiting: usize,
    /// Entries that were dropped since the trouble began.
    pub dropped: usize,
    /// Attempts that ended in a panic since then.
    pub panics: usize,
}

impl Health {
    /// Looks for the first time.
    pub fn new(now: Moment) -> Self {
        Self { began: now.monotonic, waiting: None, seen: Vitals::default(), trouble: None }
    }

    /// Looks at `vitals`, whose counts never fall.
    pub fn look(&mut self, vitals: Vitals, now: Moment) {
        let (dropped, panics) = (vitals.dropped - self.seen.dropped, vitals.panics - self.seen.panics);
        self.seen = vitals;
        self.waiting = (vitals.waiting > 0).then(|| self.waiting.unwrap_or(now));
        let refused = self.waiting.is_some_and(|since| since.monotonic + PATIENCE <= now.monotonic);
        if refused || dropped > 0 || panics > 0 {
            let since = self.waiting.map_or(now.wall, |since| since.wall);
            let began = (Degraded { since, waiting: 0, dropped: 0, panics: 0 }, now.monotonic);
            let (trouble, last) = self.trouble.get_or_insert(began);
            trouble.waiting = vitals.waiting;
            trouble.dropped += dropped;
            trouble.panics += panics;
            *last = now.monotonic;
        } else if self.trouble.as_ref().is_some_and(|(_, last)| last.saturating_add(CALM) <= now.monotonic) {
            self.trouble = None;
        }
    }

    /// How it is.
    pub fn state(&self, now: Moment) -> State<'_> {
        match &self.trouble {
            Some((degraded, _)) => State::Degraded(degraded),
            None if now.monotonic < self.began + CALM => State::Unknown,
            None => State::Well,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    #[test]
    fn a_disk_that_refuses_for_a_moment_is_no_trouble_one_that_goes_on_is_until_it_was_calm_for_a_minute() {
        let clock = ManualClock::at(Timestamp::default());
        let mut health = Health::new(clock.now());
        let mut look = |waiting, dropped, seconds| {
            clock.advance(Duration::from_secs(seconds));
            health.look(Vitals { waiting, dropped, panics: 0 }, clock.now());
            match health.state(clock.now()) {
                State::Unknown => "unknown".to_owned(),
                State::Well => "well".to_owned(),
                State::Degraded(trouble) => {
                    let since = trouble.since.as_micros() / 1_000_000;
                    format!("{} waiting, {} dropped since {since} s", trouble.waiting, trouble.dropped)
                }
            }
        };
        assert_eq!(look(3, 0, 1), "unknown");
        assert_eq!(look(0, 0, 9), "unknown");
        assert_eq!(look(1, 0, 60), "well");
        assert_eq!(look(4, 0, 10), "4 waiting, 0 dropped since 70 s");
        assert_eq!(look(9, 2, 10), "9 waiting, 2 dropped since 70 s");
        assert_eq!(look(0, 2, 59), "9 waiting, 2 dropped since 70 s");
        assert_eq!(look(0, 2, 1), "well");
        assert_eq!(look(0, 3, 1), "0 waiting, 1 dropped since 151 s", "what is dropped is trouble at once");
    }
}
