//! Starts the actors over an open database.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use actix::{Actor, Addr};
use tokio::sync::mpsc;

use super::reload::Plan;
use crate::actors::dispatch::Dispatch;
use crate::actors::messages::Fatal;
use crate::actors::{Alive, Fetcher, Meters, Pool, Scheduler, Storage, Watch};
use crate::clock::{Clock, Moment};
use crate::config::Job;
use crate::model::{ClosedRound, HostPause, IncidentMemory, JobName, Memory};
use crate::schedule::Timetable;
use crate::store::{self, History, StoreError, Writer};

/// The database, and what an earlier run left in it.
pub struct Opened {
    writer: Writer,
    memories: Vec<Vec<Memory>>,
    pauses: Vec<HostPause>,
    history: History,
}

impl Opened {
    /// Makes the layouts of `plan` known, and asks what is remembered.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn new(mut writer: Writer, plan: &Plan, now: Moment) -> anyhow::Result<Self> {
        for job in &plan.jobs {
            writer.register(&job.layout)?;
        }
        let mut budget = store::REMEMBERED_BYTES;
        let mut memories = Vec::new();
        for job in &plan.jobs {
            let mut recalled = writer.recall(&job.layout, &mut budget)?;
            writer.find_last_ok(&job.layout, &job.asks_for_last_ok(), &mut recalled)?;
            memories.push(recalled);
        }
        let pauses = writer.pauses(now.wall)?;
        let history = writer.take_over()?;
        if history.interrupted > 0 {
            tracing::warn!(rounds = history.interrupted, "the last run was killed, its open rounds are interrupted");
        }
        Ok(Self { writer, memories, pauses, history })
    }

    /// All jobs that the file knows, those of the plan included.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn jobs(&self) -> Result<Vec<JobName>, StoreError> {
        self.writer.jobs()
    }

    /// What those who are told of failures know.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn incidents(&self) -> Result<IncidentMemory, StoreError> {
        self.writer.incidents()
    }
}

/// Who is told.
pub struct Told {
    /// Of each round that is stored.
    pub stored: mpsc::UnboundedSender<Arc<ClosedRound>>,
    /// Of what ends the process.
    pub fatal: mpsc::UnboundedSender<Fatal>,
    /// Of everything that is counted.
    pub meters: Meters,
}

/// The actors, and what they show of themselves.
pub struct Actors {
    pub scheduler: Addr<Scheduler>,
    pub fetcher: Addr<Fetcher>,
    pub storage: Addr<Storage>,
    /// Counts the workers.
    pub alive: Alive,
    /// Grows with each write of rounds to the file.
    pub writes: Arc<AtomicU64>,
    /// Grows with each look of the Scheduler at the clock.
    pub ticks: Arc<AtomicU64>,
    /// Set while Storage does the file's upkeep.
    pub upkeep: Arc<AtomicBool>,
    pub database: PathBuf,
}

impl Actors {
    /// Starts them, within the actix system that runs. At most `max_rounds` rounds begin.
    ///
    /// # Errors
    /// When the system does not give the threads.
    pub fn start(
        opened: Opened,
        plan: &Plan,
        max_rounds: u64,
        told: Told,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let Opened { writer, memories, pauses, history } = opened;
        let Told { stored, fatal, meters } = told;
        let (settings, jobs, database) = (&plan.settings, &plan.jobs, writer.path().to_owned());
        let (writes, upkeep) = (Arc::default(), Arc::default());
        let watch = Watch { stored, meters: meters.clone(), writes: Arc::clone(&writes), upkeep: Arc::clone(&upkeep) };
        let storage = Storage::start(writer, Arc::clone(&clock), fatal.clone(), watch)?;
        let mut pool = Pool::new(settings.workers);
        // A daemon that is to run for years finds out at its start.
        pool.start_all()?;
        let alive = pool.alive();
        let stakes = jobs.iter().map(|job| (job.layout.job.clone(), job.requests.len()));
        let mut dispatch = Dispatch::new(settings.workers, stakes).leaving_alone(&pauses, clock.now());
        for (job, memories) in jobs.iter().zip(memories) {
            dispatch.expect(job, memories);
        }
        let fetcher = Fetcher::new(dispatch, pool, storage.clone().recipient(), Arc::clone(&clock), fatal);
        let fetcher = fetcher.logging_changes().remembering_pauses(storage.clone().recipient());
        let fetcher = fetcher.measured_by(meters.clone()).start();
        let timetable = Timetable::start(settings.jobs.iter().map(Job::entry).collect(), clock.now(), |job| {
            history.last_dues.get(job).copied()
        });
        tracing::info!(jobs = jobs.len(), workers = settings.workers, database = %database.display(), "started");
        let last = history.last_round;
        let scheduler = Scheduler::new(timetable, jobs.clone(), last, fetcher.clone(), storage.clone(), clock);
        let scheduler = scheduler.measured_by(meters).at_most(max_rounds);
        let ticks = scheduler.ticks();
        Ok(Self { scheduler: scheduler.start(), fetcher, storage, alive, writes, ticks, upkeep, database })
    }
}
