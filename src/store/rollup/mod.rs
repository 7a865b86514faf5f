//! What is kept of an endpoint's hour: counts, latencies, outages, made from its slots. An hour that a round was added
//! to is stale until it is made anew, whole: a rollup that is not stale says what the slots say, or said.

mod latencies;
mod slots;
mod step;
mod summary;
mod table;

pub use latencies::Percentiles;
pub use step::RolledUp;
pub use summary::Outage;

pub(super) use slots::{Slots, rounds_between};
pub(super) use step::Progress;
pub(super) use summary::Summary;
pub(super) use table::{dues_of, figures_of, note_round, pruned_before, read_figures, read_rows, stale_hours};

use crate::model::Timestamp;

/// An hour in microseconds.
pub(super) const HOUR_MICROS: i64 = 3_600_000_000;

/// The hour that a moment belongs to, in hours since the Unix epoch.
pub(super) const fn hour_of(moment: Timestamp) -> i64 {
    moment.as_micros().div_euclid(HOUR_MICROS)
}

/// When an hour starts.
pub(super) const fn start_of(hour: i64) -> Timestamp {
    Timestamp::from_micros(hour.saturating_mul(HOUR_MICROS))
}
