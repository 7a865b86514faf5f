//! A job's use of the pool, over its rounds.

use std::collections::HashSet;
use std::sync::Arc;

use crate::model::{Layout, Outcome, Slot};

/// So many workers are kept for each job that is not using them, however wide another job's round is.
const KEPT_FOR_A_JOB: usize = 4;

/// Whether a slot was asked and timed out.
pub(super) fn hung(slot: &Slot) -> bool {
    slot.outcome == Outcome::Timeout && slot.attempts > 0
}

/// See the module.
#[derive(Default)]
pub(super) struct Load {
    pub(super) endpoints: usize,
    pub(super) in_flight: usize,
    /// What `hung` speaks of.
    layout: Option<Arc<Layout>>,
    /// Positions that timed out in the last round.
    pub(super) hung: HashSet<u32>,
    /// What did not hang in the last round had ended by the half of its time.
    pub(super) had_time: bool,
    /// No round of the job will come any more.
    pub(super) leaving: bool,
}

impl Load {
    /// A job of so many endpoints.
    pub(super) fn of(endpoints: usize) -> Self {
        Self { endpoints, ..Self::default() }
    }

    /// Workers that are kept for this job and not in use by it.
    pub(super) fn kept(&self) -> usize {
        self.endpoints.min(KEPT_FOR_A_JOB).saturating_sub(self.in_flight)
    }

    /// A round of this layout starts. Where it is another than the last, nothing is known of its positions.
    pub(super) fn start(&mut self, layout: &Arc<Layout>) {
        if self.layout.as_ref().is_some_and(|known| known.endpoints != layout.endpoints) {
            self.hung.clear();
            self.had_time = false;
        }
        self.endpoints = layout.endpoints.len();
        self.layout = Some(Arc::clone(layout));
    }

    /// A round came to this, and what did not hang had ended by the half of its time or not.
    pub(super) fn learn(&mut self, slots: &[Slot], had_time: bool) {
        self.hung = slots.iter().zip(0..).filter(|(slot, _)| hung(slot)).map(|(_, position)| position).collect();
        self.had_time = had_time;
    }
}
