//! What the actors say to each other.

use std::sync::Arc;
use std::time::Duration;

use actix::dev::MessageResponse;
use actix::{Message, Recipient};

use super::pool::OutOfThreads;
use super::upkeep::Retention;
use crate::config::Backup;
use crate::fetch::{Ask, Attempt, PreparedJob, Request};
use crate::model::{
    ClosedRound, HostPause, IncidentMemory, JobName, Layout, LedgerRow, Memory, RoundBegin, RoundId, Timestamp,
};
use crate::schedule::Entry;
pub use crate::schedule::JobPhase;
use crate::store::StoreError;
use crate::store::read::Reader;
use crate::store::retention::Pruned;

/// Scheduler → Fetcher: a round starts.
#[derive(Message)]
#[rtype(result = "()")]
pub struct StartRound {
    /// Its number, due, start and layout.
    pub begin: RoundBegin,
    /// The requests, one for each endpoint of the layout.
    pub job: Arc<PreparedJob>,
    /// How long it may take from now.
    pub deadline: Duration,
    /// Who is told when it is closed.
    pub closed: Option<Recipient<RoundClosed>>,
}

/// Fetcher → worker: one attempt.
#[derive(Message)]
#[rtype(result = "()")]
pub struct FetchSlot {
    /// The job.
    pub job: JobName,
    /// The round.
    pub round: RoundId,
    /// The slot's position in it.
    pub position: u32,
    /// What is sent.
    pub request: Arc<Request>,
    /// In how much time, when, and what came before.
    pub ask: Ask,
    /// Where the answer goes.
    pub fetcher: Arc<Recipient<SlotFetched>>,
}

/// Worker → Fetcher: how the attempt ended.
#[derive(Message)]
#[rtype(result = "()")]
pub struct SlotFetched {
    /// The job.
    pub job: JobName,
    /// The round.
    pub round: RoundId,
    /// The slot's position in it.
    pub position: u32,
    /// The host that was asked.
    pub host: Arc<str>,
    /// The outcome.
    pub attempt: Attempt,
}

/// Fetcher → Storage: a round ended, with as many slots as its layout.
#[derive(Message)]
#[rtype(result = "()")]
pub struct StoreRound {
    /// The round.
    pub round: Arc<ClosedRound>,
    /// Who is told when it is stored.
    pub closed: Option<Recipient<RoundClosed>>,
}

/// Storage → Scheduler: the round is stored, or waits for the disk; either way its job is free again.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct RoundClosed {
    /// The job.
    pub job: JobName,
}

/// Scheduler → Storage: rounds that start now, so that a kill leaves a trace of them.
#[derive(Message)]
#[rtype(result = "()")]
pub struct BeginRounds(pub Vec<RoundBegin>);

/// Scheduler → Storage: dues that did not run.
#[derive(Message)]
#[rtype(result = "()")]
pub struct RecordLedger(pub Vec<LedgerRow>);

/// Fetcher → Storage: a host asked to be left alone, which is to outlast a restart.
#[derive(Message)]
#[rtype(result = "()")]
pub struct RememberPause(pub HostPause);

/// App → Storage: what those who are told of failures know now, which is to outlast a restart.
#[derive(Message)]
#[rtype(result = "()")]
pub struct RememberIncidents(pub IncidentMemory);

/// Scheduler → Storage, each second: try again what waits for the disk.
#[derive(Message)]
#[rtype(result = "()")]
pub struct RetryStorage;

/// The cron → Upkeep: it is time to look after the file.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Maintain;

/// App → Scheduler → Fetcher: these jobs from now on. Running rounds end as they began.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Reload {
    /// When they are due.
    pub entries: Vec<Entry>,
    /// What they ask, in the same order.
    pub jobs: Vec<Arc<PreparedJob>>,
    /// What the file remembers of endpoints that were not there before.
    pub memories: Vec<EndpointMemory>,
}

/// What is remembered of an endpoint: its job, its name, and what.
pub type EndpointMemory = (JobName, String, Memory);

/// App → Storage: layouts of which rounds are to come. Answers what is remembered of the endpoints of `recall`; nothing
/// where the file cannot be asked now.
#[derive(Message)]
#[rtype(result = "Vec<EndpointMemory>")]
pub struct Register {
    /// The layouts.
    pub layouts: Vec<Arc<Layout>>,
    /// Endpoints that were not there before, or did not ask for their last success, by job; and which of them do.
    pub recall: Vec<(Layout, Vec<bool>)>,
}

/// App → Upkeep: how long rounds are kept, and where copies go, from now on.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Keep {
    /// How long each job's rounds are kept.
    pub retention: Retention,
    /// Where copies go.
    pub backup: Option<Backup>,
}

/// Upkeep → Storage: a small part of the upkeep, between rounds. Answers `None` when the disk refuses, and it is to be
/// left for later.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Option<Did>")]
pub enum Chore {
    /// Make hours that are over into rollups.
    RollUp,
    /// Delete rounds of the job that were due before this.
    Prune(JobName, Timestamp),
    /// Delete what failures left to look at and no slot has pointed at since.
    PruneEvidence(Timestamp),
    /// Give unused pages back to the file system.
    GiveBack,
    /// Refresh the planner's statistics, fold the log into the file and cut it.
    FoldLog,
}

/// What came of a [`Chore`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Did {
    /// Hours of jobs that were rolled up.
    pub hours: usize,
    /// Rounds and slots that were deleted.
    pub pruned: Pruned,
    /// Rows of evidence that were deleted.
    pub evidence: usize,
    /// Bytes that were given back.
    pub bytes: u64,
    /// Whether there is more of it to do.
    pub more: bool,
}

/// App → Scheduler: no new rounds from now on.
#[derive(Message)]
#[rtype(result = "()")]
pub struct StopFiring;

/// App → Fetcher: running rounds close within `grace`; answered when there are none left.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Drain {
    /// How long they may go on.
    pub grace: Duration,
}

/// App → Storage: everything that arrived so far is to be written, for which the disk has so long. Answers how many
/// entries could not be.
#[derive(Message)]
#[rtype(result = "usize")]
pub struct Settle {
    /// How long Storage tries.
    pub within: Duration,
}

/// API → Scheduler: a round of this job is wanted now.
#[derive(Message)]
#[rtype(result = "Result<StartedNow, NotStarted>")]
pub struct StartNow(pub JobName);

/// The round that was asked for runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartedNow {
    /// Its number.
    pub round: RoundId,
    /// Its due: the moment at which it was asked for.
    pub due: Timestamp,
}

/// Why no round was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStarted {
    /// There is no such job.
    Unknown,
    /// One runs already.
    Overlap,
    /// The daemon is stopping.
    Stopping,
}

/// API → Scheduler: what does each job do, and when is it due next? In the order of the config.
#[derive(Message)]
#[rtype(result = "Vec<JobState>")]
pub struct AskJobs;

/// What a job does.
#[derive(Clone, Debug)]
pub struct JobState {
    /// The job.
    pub job: JobName,
    /// What it does.
    pub phase: JobPhase,
    /// When it is due next; `None` when its cadence has no more.
    pub next_due: Option<Timestamp>,
}

/// API → Fetcher: are you there? Answers the attempts in flight.
#[derive(Message)]
#[rtype(result = "usize")]
pub struct AskBusy;

/// API → Storage: does the database take what is written?
#[derive(Message)]
#[rtype(result = "StorageState")]
pub struct AskStorage;

/// How writing goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, MessageResponse)]
pub struct StorageState {
    /// Entries that wait because the database refuses.
    pub waiting: usize,
    /// Entries that were dropped since the start because it refused for too long.
    pub dropped: u64,
    /// It failed for good: the process is about to end.
    pub failed: bool,
}

/// What is asked of the file: it gets a connection that only reads, or why there is none, and hands on the answer itself.
pub type AskFile = Box<dyn FnOnce(Result<&Reader, StoreError>) + Send>;

/// API → file readers: a question to the file, asked on a connection that only reads.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Question(pub AskFile);

/// What ends the process: going on would lose data or do harm.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// The database failed in a way that a retry does not mend.
    #[error("the database failed")]
    Storage(#[from] StoreError),
    /// An actor panicked or is gone: what is left of the daemon would do nothing.
    #[error("the {0} is gone: this is a defect, see the messages before")]
    Gone(&'static str),
    /// The pool has not a single worker.
    #[error("no worker can be had")]
    Threads(#[source] OutOfThreads),
    /// Workers panic again and again.
    #[error("{0} workers panicked within a minute: this is a defect, see the messages before")]
    Panics(usize),
}
