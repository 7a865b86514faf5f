//! The only wiring: opens the database, starts the actors, waits for signals, drains. And the same Fetcher and pool
//! for rounds that are not stored.

mod once;
mod reload;
mod serve;
mod start;
mod tell;
mod watchdog;
mod woken;

use std::ops::ControlFlow;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, System};
use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job as CronJob, JobScheduler, JobSchedulerError};

pub use self::once::{Afterwards, Bounds, Unstored, fetch_rounds, fetch_urls};
pub use self::reload::Reloads;
use self::reload::{Config, Loaded, Plan};
pub use self::serve::CannotListen;
use self::serve::Served;
use self::start::{Actors, Opened, Told};
use self::tell::Teller;
pub use self::tell::test_notify;
use self::watchdog::Watchdog;
use self::woken::when_woken;
pub use crate::actors::OutOfThreads;
pub use crate::actors::messages::Fatal;
use crate::actors::messages::{Drain, Keep, Maintain, Settle, StopFiring};
use crate::actors::{Meters, Notifier, Retention, Upkeep, notify};
use crate::clock::{Clock, SystemClock};
use crate::config::{FileStamp, Maintenance, Settings};
use crate::model::{ClosedRound, JobName};
use crate::store;
use crate::systemd::{self, Manager};

/// How often it is checked that the actors are there, and measured what nobody reports.
const ALIVE: Duration = Duration::from_secs(1);

/// What a refusing disk gets after the grace time, until what waits for it is given up.
const SETTLE: Duration = Duration::from_secs(5);

/// What the end takes beside grace time and disk, at most.
const LEAVE: Duration = Duration::from_secs(10);

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

/// Runs the daemon until a signal stops it, or `watch`, which is shown each stored round, breaks. Blocks. Its config is
/// read again as `reloads` says. Once `max_rounds` rounds have begun, no other does.
///
/// # Errors
/// When the database, a secret or the pool cannot be had at the start, or the database fails for good.
pub fn run(
    settings: Settings,
    reloads: Reloads,
    max_rounds: u64,
    watch: impl FnMut(&ClosedRound) -> ControlFlow<()>,
) -> anyhow::Result<Ended> {
    let system = System::new();
    // From the first moment, because it would end the process; what stops it may do so until the actors run.
    let hangup = {
        let _runtime = system.runtime().tokio_runtime().enter();
        hangup(reloads)?
    };
    let (given, manager) = (systemd::listener().map_err(CannotListen::Given)?, Manager::of_environment());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let read = FileStamp::of(&settings.file);
    // Before the database is touched, and outside of async code: making a client blocks.
    let plan = Plan::new(settings)?;
    let told = notify::Prepared::new(&plan.settings)?;
    let writer = store::open(&plan.settings.database)?;
    let api = serve::prepare(&plan.settings, given, clock.as_ref())?;
    let meters = api.as_ref().map(|api| api.meters.clone()).unwrap_or_default();
    let told = told.start(&meters)?;
    let opened = Opened::new(writer, &plan, clock.now())?;
    let (known, incidents) = (opened.jobs()?, opened.incidents()?);
    system.block_on(when_woken(async {
        let mut signals = Signals::new(hangup)?;
        let (fatal, fatally) = mpsc::unbounded_channel();
        let (observer, stored) = mpsc::unbounded_channel();
        let watching = Told { stored: observer, fatal, meters: meters.clone() };
        let actors = Rc::new(Actors::start(opened, &plan, max_rounds, watching, Arc::clone(&clock))?);
        let notifier = Notifier::new(told, &plan.settings.jobs, &incidents, meters.clone(), clock.now());
        let teller = Teller::new(notifier, actors.storage.clone(), Arc::clone(&clock));
        let served = api.map(|api| api.serve(&plan.settings, &actors)).transpose()?;
        if let Some(served) = &served {
            served.check().await?;
        }
        let (workers, jobs) = (plan.settings.workers, plan.jobs.len());
        let watchdog = Watchdog::new(manager, Rc::clone(&actors), workers, jobs, Arc::clone(&clock));
        let Maintenance { at, backup } = plan.settings.maintenance.clone();
        let keep = retention(&plan.settings, &known);
        let (storage, database) = (actors.storage.clone(), actors.database.clone());
        let upkeep = Upkeep::new(storage, database, keep, backup, Arc::clone(&clock));
        let upkeep = upkeep.measured_by(meters.clone()).start();
        let mut maintenance =
            start_maintenance(&at, upkeep.clone()).await.context("cannot schedule the maintenance")?;
        let config = Config::new(plan, reloads, read);
        let mut daemon =
            Daemon { actors, upkeep, known, served, teller, watchdog, config, meters, clock, fatally, stored, watch };
        daemon.watchdog.ready();
        daemon.work(&mut signals).await?;
        let ended = daemon.end(&mut signals).await?;
        if !matches!(ended, Ended::AtOnce(_)) {
            maintenance.shutdown().await.context("cannot stop the maintenance")?;
            daemon.teller.stop().await;
            serve::stop(daemon.served).await;
            tracing::info!("stopped");
        }
        Ok(ended)
    }))
}

/// The daemon while it runs.
struct Daemon<W> {
    actors: Rc<Actors>,
    upkeep: Addr<Upkeep>,
    /// All jobs that the file knows.
    known: Vec<JobName>,
    served: Option<Served>,
    teller: Teller,
    watchdog: Watchdog,
    config: Config,
    meters: Meters,
    clock: Arc<dyn Clock>,
    fatally: mpsc::UnboundedReceiver<Fatal>,
    stored: mpsc::UnboundedReceiver<Arc<ClosedRound>>,
    watch: W,
}

impl<W: FnMut(&ClosedRound) -> ControlFlow<()>> Daemon<W> {
    /// Until a signal, or whoever watches, ends it.
    async fn work(&mut self, signals: &mut Signals) -> anyhow::Result<()> {
        let mut alive = tokio::time::interval(ALIVE);
        let mut look = tokio::time::interval(self.watchdog.pace());
        let Signals { hangup, stop } = signals;
        loop {
            tokio::select! {
                biased;
                Some(fatal) = self.fatally.recv() => return Err(fatal.into()),
                name = stop.next() => {
                    tracing::info!(signal = name.1, "stopping: no new rounds, running ones get their grace time");
                    return Ok(());
                }
                _ = alive.tick() => self.check()?,
                _ = look.tick() => self.watchdog.look(),
                () = next(hangup) => self.load("SIGHUP"),
                loaded = self.config.loaded() => self.reload(loaded),
                Some(round) = self.stored.recv() => {
                    self.watchdog.stored(&round);
                    serve::publish(self.served.as_ref(), &round);
                    self.teller.observe(&round);
                    if (self.watch)(&round).is_break() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Each second.
    fn check(&mut self) -> anyhow::Result<()> {
        // actix lets an actor that panics end without a word.
        let actors = [
            ("scheduler", self.actors.scheduler.connected()),
            ("fetcher", self.actors.fetcher.connected()),
            ("upkeep", self.upkeep.connected()),
        ];
        for (name, connected) in actors {
            anyhow::ensure!(connected, Fatal::Gone(name));
        }
        serve::measure(self.served.as_ref());
        self.teller.tell();
        self.config.forget_unused().iter().for_each(|job| self.meters.job_gone(job));
        if self.config.has_changed() {
            self.load("the file changed");
        }
        Ok(())
    }

    fn load(&mut self, why: &'static str) {
        tracing::info!(why, "reading the config again");
        self.watchdog.reloading();
        self.config.load(self.actors.storage.clone(), self.meters.clone());
    }

    /// A good config takes the place of the one in use; a bad one changes nothing.
    fn reload(&mut self, loaded: anyhow::Result<Loaded>) {
        let well = loaded.is_ok();
        match loaded {
            Ok(loaded) => {
                let (reload, told) = self.config.swap(loaded);
                let settings = self.config.settings();
                self.meters.jobs(settings.jobs.iter().map(|job| &job.name));
                self.served.iter().for_each(|served| served.reload(settings));
                self.teller.reload(told, &settings.jobs);
                let new = settings.jobs.iter().map(|job| &job.name).filter(|name| !self.known.contains(name));
                self.known.extend(new.cloned().collect::<Vec<_>>());
                let (retention, backup) = (retention(settings, &self.known), settings.maintenance.backup.clone());
                self.upkeep.do_send(Keep { retention, backup });
                self.actors.scheduler.do_send(reload);
            }
            Err(error) => reload::log_failure(&error),
        }
        let now = self.clock.now().wall;
        self.meters.reloaded(well, now);
        self.served.iter().for_each(|served| served.reloaded(well, now));
        self.watchdog.reloaded(well, self.config.settings().jobs.len());
        if self.config.take_again() {
            self.load("asked for once more meanwhile");
        }
    }

    /// Lets running rounds end, and writes everything, unless a second signal cuts that short.
    async fn end(&mut self, signals: &mut Signals) -> anyhow::Result<Ended> {
        let grace = self.config.settings().grace;
        self.watchdog.stopping(grace + SETTLE + LEAVE);
        let ended = tokio::select! {
            biased;
            Some(fatal) = self.fatally.recv() => return Err(fatal.into()),
            (number, name) = signals.stop.next() => {
                tracing::warn!(signal = name, "stopping at once, running rounds are cut off");
                return Ok(Ended::AtOnce(number));
            }
            ended = drain(&self.actors, grace) => ended,
        };
        while let Ok(round) = self.stored.try_recv() {
            serve::publish(self.served.as_ref(), &round);
            self.teller.observe(&round);
            // What is shown now can no longer change when to stop.
            let _ = (self.watch)(&round);
        }
        Ok(ended)
    }
}

/// How long the rounds of each job are kept. Jobs that are not configured any more are kept as the file's top says.
fn retention(settings: &Settings, known: &[JobName]) -> Retention {
    let of = |job: &JobName| {
        let configured = settings.jobs.iter().find(|configured| configured.name == *job);
        (job.clone(), configured.map_or(settings.retain, |configured| configured.retain))
    };
    known.iter().map(of).collect()
}

/// tokio-cron-scheduler drives what wants a nightly cron and not precision; its closure only sends a message.
async fn start_maintenance(at: &str, upkeep: Addr<Upkeep>) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    let send = move |_, _| -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let upkeep = upkeep.clone();
        Box::pin(async move { upkeep.do_send(Maintain) })
    };
    scheduler.add(CronJob::new_async(at, send)?).await?;
    scheduler.start().await?;
    Ok(scheduler)
}

async fn drain(actors: &Actors, grace: Duration) -> Ended {
    // Each answer comes after all that its actor sent before, and mailboxes keep their order. An actor that is gone
    // has nothing left to wait for.
    let _ = actors.scheduler.send(StopFiring).await;
    let _ = actors.fetcher.send(Drain { grace }).await;
    match actors.storage.send(Settle { within: SETTLE }).await {
        Ok(0) => Ended::Drained,
        Ok(waiting) => Ended::Unwritten(waiting),
        Err(_) => Ended::Unwritten(1),
    }
}

/// The signals that the daemon obeys.
struct Signals {
    /// Where the config may be read again.
    hangup: Option<Signal>,
    stop: StopSignals,
}

/// Those that stop it.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

fn listen(kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).context("cannot listen for signals")
}

/// SIGHUP, where it has the config read again.
fn hangup(reloads: Reloads) -> anyhow::Result<Option<Signal>> {
    (reloads != Reloads::Never).then(|| listen(SignalKind::hangup())).transpose()
}

impl Signals {
    fn new(hangup: Option<Signal>) -> anyhow::Result<Self> {
        let (terminate, interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
        Ok(Self { hangup, stop: StopSignals { terminate, interrupt } })
    }
}

impl StopSignals {
    /// The next one's number and name.
    async fn next(&mut self) -> (i32, &'static str) {
        tokio::select! {
            _ = self.terminate.recv() => (SignalKind::terminate().as_raw_value(), "SIGTERM"),
            _ = self.interrupt.recv() => (SignalKind::interrupt().as_raw_value(), "SIGINT"),
        }
    }
}

/// Waits for a signal; for ever where none is listened for.
async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
