//! One firing of a job, and the ledger of firings that did not happen.

use std::fmt;
use std::sync::Arc;

use super::{JobName, Layout, Slot, Timestamp};

/// The number of a round or ledger row, unique in a database and growing with time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoundId(pub i64);

impl fmt::Display for RoundId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What became of a due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RoundStatus {
    /// Begun, and neither closed nor found dead yet.
    Running,
    /// Every slot ended by itself or by the round's deadline.
    Complete,
    /// Killed (no slots) or stopped (slots kept, the untried ones `cancelled`).
    Interrupted,
    /// The job's last round still ran.
    Skipped,
    /// The daemon was down, the machine asleep, or the storage refused for too long.
    Missed,
}

impl RoundStatus {
    /// The database value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Interrupted => "interrupted",
            Self::Skipped => "skipped",
            Self::Missed => "missed",
        }
    }
}

/// Why a due did not become a complete round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The last round still ran.
    Overlap,
    /// No daemon was running.
    DaemonDown,
    /// The machine slept, the process was held up, or the clock was set forward.
    Asleep,
    /// The daemon was killed while the round ran.
    Killed,
    /// The daemon was asked to stop while the round ran.
    Stopped,
    /// The database refused for so long that the round had to be dropped.
    Storage,
}

impl Cause {
    /// The database value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Overlap => "overlap",
            Self::DaemonDown => "daemon down",
            Self::Asleep => "asleep",
            Self::Killed => "killed",
            Self::Stopped => "stopped",
            Self::Storage => "storage",
        }
    }
}

/// A round that starts: what the database needs to know so that a kill leaves a trace.
#[derive(Clone, Debug)]
pub struct RoundBegin {
    /// Its number.
    pub id: RoundId,
    /// The instant that the cadence asked for.
    pub due: Timestamp,
    /// When it really started.
    pub started: Timestamp,
    /// The job and its endpoints.
    pub layout: Arc<Layout>,
}

/// A round that ended: exactly as many slots as its layout has endpoints, in that order.
#[derive(Clone, Debug)]
pub struct ClosedRound {
    /// What was known when it started.
    pub begin: RoundBegin,
    /// When it really ended.
    pub finished: Timestamp,
    /// `complete`, or `interrupted` when the daemon was stopped.
    pub status: RoundStatus,
    /// Why it is not complete.
    pub cause: Option<Cause>,
    /// The vector with its reasons.
    pub slots: Vec<Slot>,
}

impl ClosedRound {
    /// How many slots have a document.
    #[must_use]
    pub fn ok(&self) -> usize {
        self.slots.iter().filter(|slot| slot.outcome.is_ok()).count()
    }

    /// The bytes that its documents hold in memory.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        self.slots.iter().filter_map(|slot| slot.body.as_ref()).map(|body| body.text().len()).sum()
    }
}

/// One entry of the ledger: a due, or an unbroken run of dues, that did not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    /// Its number, from the same sequence as the rounds.
    pub id: RoundId,
    /// The job.
    pub job: JobName,
    /// The first due.
    pub first_due: Timestamp,
    /// The last due: the same as the first unless the row covers several.
    pub last_due: Timestamp,
    /// How many dues the row stands for, at least 1.
    pub covers: u64,
    /// `skipped` or `missed`.
    pub status: RoundStatus,
    /// Why.
    pub cause: Cause,
}
