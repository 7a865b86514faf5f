//! When rounds are due. Pure: a cadence, a zone and a moment go in, the next due moment comes out.

mod cadence;
mod timetable;
mod zone;

pub use cadence::{Cadence, CronError, Dues, jitter_of};
pub use timetable::{Action, Entry, JobPhase, Timetable};
