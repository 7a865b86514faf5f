//! The only wiring: opens the database, starts the actors, waits for signals, drains. And the same Fetcher and pool
//! for rounds that are not stored.

mod once;
mod serve;

use std::ops::ControlFlow;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use actix::{Actor, Addr, System};
use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job as CronJob, JobScheduler, JobSchedulerError};

pub use self::once::{Afterwards, Unstored, fetch_rounds, fetch_urls};
pub use self::serve::CannotListen;
use self::serve::{Actors, Served};
pub use crate::actors::OutOfThreads;
use crate::actors::dispatch::Dispatch;
pub use crate::actors::messages::Fatal;
use crate::actors::messages::{Drain, Maintain, Settle, StopFiring};
use crate::actors::{Alive, FetchWorker, Fetcher, Scheduler, Storage, Watch};
use crate::clock::{Clock, SystemClock};
use crate::config::{Job, Settings};
use crate::fetch::{Clients, PreparedJob};
use crate::model::ClosedRound;
use crate::schedule::Timetable;
use crate::store;

/// When the file's nightly upkeep runs: 03:17 UTC, away from the full hours at which jobs are due.
const MAINTENANCE: &str = "0 17 3 * * *";

/// How often it is checked that the actors are there, and measured what nobody reports.
const ALIVE: Duration = Duration::from_secs(1);

/// What a refusing disk gets after the grace time, until what waits for it is given up.
const SETTLE: Duration = Duration::from_secs(5);

/// How the daemon ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Drained: everything is committed.
    Drained,
    /// Drained, but so many rounds could not be written.
    Unwritten(usize),
    /// At once, upon a second signal of this number.
    AtOnce(i32),
}

/// Runs the daemon until a signal stops it, or `watch`, which is shown each stored round, breaks. Blocks.
///
/// # Errors
/// When the database, a secret or the pool cannot be had at the start, or the database fails for good.
pub fn run(settings: &Settings, mut watch: impl FnMut(&ClosedRound) -> ControlFlow<()>) -> anyhow::Result<Ended> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    // Before the database is touched, and outside of async code: making a client blocks.
    let jobs = prepare(&settings.jobs, settings.folder())?;
    let mut writer = store::open(&settings.database)?;
    let prepared = serve::prepare(settings, clock.as_ref())?;
    let meters = prepared.as_ref().map(|prepared| prepared.meters.clone()).unwrap_or_default();
    for job in &jobs {
        writer.register(&job.layout)?;
    }
    let mut budget = store::REMEMBERED_BYTES;
    let memories = jobs.iter().map(|job| writer.recall(&job.layout, &mut budget)).collect::<Result<Vec<_>, _>>()?;
    let pauses = writer.pauses(clock.now().wall)?;
    let history = writer.take_over()?;
    if history.interrupted > 0 {
        tracing::warn!(rounds = history.interrupted, "the last run was killed, its open rounds are interrupted");
    }
    let database = writer.path().to_owned();
    System::new().block_on(async {
        let mut signals = Signals::new()?;
        let (fatal, mut fatally) = mpsc::unbounded_channel();
        let (observer, mut stored) = mpsc::unbounded_channel();
        let (commits, alive) = (Arc::new(AtomicU64::new(0)), Alive::default());
        let told = Watch { stored: observer, meters: meters.clone(), writes: Arc::clone(&commits) };
        let storage = Storage::start(writer, Arc::clone(&clock), fatal.clone(), told)?;
        let pool = FetchWorker::start_fetching(settings.workers, &alive)?;
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
        let scheduler = Scheduler::new(timetable, jobs, history.last_round, fetcher.clone(), storage.clone(), clock);
        let scheduler = scheduler.measured_by(meters).start();
        let actors = Actors {
            scheduler: &scheduler,
            fetcher: &fetcher,
            storage: &storage,
            alive: &alive,
            writes: &commits,
            database: &database,
        };
        let served = prepared.map(|prepared| prepared.serve(settings, &actors)).transpose()?;
        let mut maintenance = start_maintenance(storage.clone()).await.context("cannot schedule the maintenance")?;

        let mut alive = tokio::time::interval(ALIVE);
        loop {
            tokio::select! {
                biased;
                Some(fatal) = fatally.recv() => return Err(fatal.into()),
                _ = alive.tick() => {
                    // actix lets an actor that panics end without a word.
                    for (name, connected) in [("scheduler", scheduler.connected()), ("fetcher", fetcher.connected())] {
                        anyhow::ensure!(connected, Fatal::Gone(name));
                    }
                    served.iter().for_each(Served::measure);
                }
                name = signals.stop() => {
                    tracing::info!(signal = name.1, "stopping: no new rounds, running ones get their grace time");
                    break;
                }
                Some(round) = stored.recv() => {
                    served.iter().for_each(|served| served.publish(&round));
                    if watch(&round).is_break() { break }
                }
            }
        }
        let drain = drain(&scheduler, &fetcher, &storage, settings.grace);
        let ended = tokio::select! {
            biased;
            Some(fatal) = fatally.recv() => return Err(fatal.into()),
            (number, name) = signals.stop() => {
                tracing::warn!(signal = name, "stopping at once, running rounds are cut off");
                return Ok(Ended::AtOnce(number));
            }
            ended = drain => ended,
        };
        while let Ok(round) = stored.try_recv() {
            served.iter().for_each(|served| served.publish(&round));
            // What is shown now can no longer change when to stop.
            let _ = watch(&round);
        }
        maintenance.shutdown().await.context("cannot stop the maintenance")?;
        if let Some(served) = served {
            served.stop().await;
        }
        tracing::info!("stopped");
        Ok(ended)
    })
}

fn prepare(jobs: &[Job], folder: &Path) -> anyhow::Result<Vec<Arc<PreparedJob>>> {
    let mut clients = Clients::default();
    jobs.iter().map(|job| Ok(Arc::new(PreparedJob::new(job, folder, &mut clients)?))).collect()
}

/// tokio-cron-scheduler drives what wants a nightly cron and not precision; its closure only sends a message.
async fn start_maintenance(storage: Addr<Storage>) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    let send = move |_, _| -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let storage = storage.clone();
        Box::pin(async move { storage.do_send(Maintain) })
    };
    scheduler.add(CronJob::new_async(MAINTENANCE, send)?).await?;
    scheduler.start().await?;
    Ok(scheduler)
}

async fn drain(
    scheduler: &Addr<Scheduler>,
    fetcher: &Addr<Fetcher>,
    storage: &Addr<Storage>,
    grace: Duration,
) -> Ended {
    // Each answer comes after all that its actor sent before, and mailboxes keep their order. An actor that is gone
    // has nothing left to wait for.
    let _ = scheduler.send(StopFiring).await;
    let _ = fetcher.send(Drain { grace }).await;
    match storage.send(Settle { within: SETTLE }).await {
        Ok(0) => Ended::Drained,
        Ok(waiting) => Ended::Unwritten(waiting),
        Err(_) => Ended::Unwritten(1),
    }
}

/// The signals that stop the daemon.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// The next one's number and name.
    async fn stop(&mut self) -> (i32, &'static str) {
        tokio::select! {
            _ = self.terminate.recv() => (SignalKind::terminate().as_raw_value(), "SIGTERM"),
            _ = self.interrupt.recv() => (SignalKind::interrupt().as_raw_value(), "SIGINT"),
        }
    }
}
