//! The moment by which an attempt has to be over.

use std::time::{Duration, Instant};

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    began: Instant,
    ends: Instant,
}

impl Deadline {
    /// A deadline `span` from now.
    pub fn after(span: Duration) -> Self {
        let began = Instant::now();
        Self { began, ends: began + span }
    }

    /// When the clock began to run.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// What is left of the time.
    pub fn left(&self) -> Duration {
        self.ends.saturating_duration_since(Instant::now())
    }
}
