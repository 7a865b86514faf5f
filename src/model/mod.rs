//! Plain data in the words of the domain: jobs, rounds, slots, outcomes. No I/O, and nothing of ours is imported.

mod detail;
mod document;
mod evidence;
mod incident;
mod job;
mod memory;
mod outcome;
mod phases;
mod pointer;
mod round;
mod slot;
mod time_zone;
mod timestamp;

pub use detail::Detail;
pub use document::Document;
pub use evidence::{Answer, Evidence, Guess, UnknownGuess};
pub use incident::{Incident, IncidentKey, IncidentMemory, Told, ToldKey};
pub use job::{EndpointLabel, JobName, Layout, MOST_ENDPOINTS};
pub use memory::{HostPause, Memory, Remembered, Validators};
pub use outcome::Outcome;
pub use phases::{Phase, Phases};
pub use pointer::{Pointer, elements, members, unescaped};
pub use round::{Cause, ClosedRound, LedgerRow, RoundBegin, RoundId, RoundStatus};
pub use slot::Slot;
pub use time_zone::{TimeZone, UnknownTimeZone, ZoneOffset};
pub use timestamp::Timestamp;
