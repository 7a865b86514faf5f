//! What time it is: the system's clock, and one that tests move by hand.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::model::Timestamp;

/// One reading of both clocks. Dues are compared with the wall clock, which people set and machines step;
/// deadlines are compared with the monotonic one, which only moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The wall clock.
    pub wall: Timestamp,
    /// Time since the clock was made. Stands still while the machine sleeps (`CLOCK_MONOTONIC`).
    pub monotonic: Duration,
}

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// Reads both clocks.
    fn now(&self) -> Moment;
}

/// The clocks of the operating system.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl SystemClock {
    /// A clock whose monotonic reading starts at zero now.
    #[must_use]
    pub fn new() -> Self {
        Self(Instant::now())
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        // A wall clock before 1970 reads as 1970: a machine without a battery starts there.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment { wall: Timestamp::default().plus(since_epoch), monotonic: self.0.elapsed() }
    }
}

/// A clock that stands still until it is moved; clones share the reading.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<Moment>>);

impl ManualClock {
    /// A clock that reads `wall`, and zero monotonic time.
    #[must_use]
    pub fn at(wall: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(Moment { wall, monotonic: Duration::ZERO })))
    }

    /// Time passes: both clocks move.
    pub fn advance(&self, span: Duration) {
        self.change(|moment| {
            moment.wall = moment.wall.plus(span);
            moment.monotonic += span;
        });
    }

    /// The machine sleeps, or the clock is set forward: only the wall clock moves.
    pub fn jump(&self, span: Duration) {
        self.change(|moment| moment.wall = moment.wall.plus(span));
    }

    /// The clock is set back.
    pub fn step_back(&self, span: Duration) {
        self.change(|moment| moment.wall = moment.wall.minus(span));
    }

    fn change(&self, change: impl FnOnce(&mut Moment)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
