//! The only wiring: opens the database, starts the actors, waits for signals, drains. And the same Fetcher and pool
//! for a single round.

use std::ops::ControlFlow;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::{Actor, Addr, System};
use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio_cron_scheduler::{Job as CronJob, JobScheduler, JobSchedulerError};

pub use crate::actors::OutOfThreads;
use crate::actors::dispatch::Dispatch;
pub use crate::actors::messages::Fatal;
use crate::actors::messages::{Drain, Maintain, Settle, StartRound, StopFiring};
use crate::actors::{Collector, FetchWorker, Fetcher, Scheduler, Storage};
use crate::clock::{Clock, SystemClock};
use crate::config::{Endpoint, Job, RequestSettings, Secret, Settings};
use crate::fetch::{Clients, PreparedJob, Request};
use crate::model::{ClosedRound, JobName, Layout, Outcome, RoundBegin, RoundId, Slot};
use crate::schedule::{Entry, Timetable};
use crate::store;

/// When the file's nightly upkeep runs: 03:17 UTC, away from the full hours at which jobs are due.
const MAINTENANCE: &str = "0 17 3 * * *";

/// A round without a deadline: each of its slots has one.
const ENDLESS: Duration = Duration::from_hours(24 * 366);

/// How often it is checked that the actors are there.
const ALIVE: Duration = Duration::from_secs(1);

/// How often progress is told.
const PROGRESS: Duration = Duration::from_millis(100);

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
    let database = writer.path().display().to_string();
    System::new().block_on(async {
        let mut signals = Signals::new()?;
        let (fatal, mut fatally) = mpsc::unbounded_channel();
        let (observer, mut stored) = mpsc::unbounded_channel();
        let storage = Storage::start(writer, Arc::clone(&clock), fatal.clone(), Some(observer))?;
        let pool = FetchWorker::start_fetching(settings.workers)?;
        let stakes = jobs.iter().map(|job| (job.layout.job.clone(), job.requests.len()));
        let mut dispatch = Dispatch::new(settings.workers, stakes).leaving_alone(&pauses, clock.now());
        for (job, memories) in jobs.iter().zip(memories) {
            dispatch.expect(job, memories);
        }
        let fetcher = Fetcher::new(dispatch, pool, storage.clone().recipient(), Arc::clone(&clock), fatal);
        let fetcher = fetcher.logging_changes().remembering_pauses(storage.clone().recipient()).start();
        let timetable =
            Timetable::start(entries(&settings.jobs), clock.now(), |job| history.last_dues.get(job).copied());
        tracing::info!(jobs = jobs.len(), workers = settings.workers, %database, "started");
        let scheduler =
            Scheduler::new(timetable, jobs, history.last_round, fetcher.clone(), storage.clone(), clock).start();
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
                }
                name = signals.stop() => {
                    tracing::info!(signal = name.1, "stopping: no new rounds, running ones get their grace time");
                    break;
                }
                Some(round) = stored.recv() => if watch(&round).is_break() { break },
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
            // What is shown now can no longer change when to stop.
            let _ = watch(&round);
        }
        maintenance.shutdown().await.context("cannot stop the maintenance")?;
        tracing::info!("stopped");
        Ok(ended)
    })
}

/// What becomes of the threads and connections of a single round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// They are ended and closed, one by one.
    CleanUp,
    /// They stay until the process ends, which is at once: the system does that faster.
    LeaveToExit,
}

/// Fetches each of `urls` once, `workers` wide, and answers the slots in order, each with its URL as it may be shown.
/// Blocks. All are asked as `request` says, and get `token`. A text that is no URL ends as `protocol` without an
/// attempt. `progress` is told now and then how many slots have ended. When `stop` resolves, what is not there yet is
/// `cancelled`.
///
/// # Errors
/// When the pool or an HTTP client cannot be had.
pub fn fetch_urls(
    urls: &[String],
    request: RequestSettings,
    token: Option<&Secret>,
    workers: usize,
    afterwards: Afterwards,
    progress: impl FnMut(usize),
    stop: impl Future<Output = ()>,
) -> anyhow::Result<Vec<(String, Slot)>> {
    let request = Arc::new(request);
    let targets: Vec<_> = urls.iter().map(|url| Endpoint::unnamed(url, Arc::clone(&request))).collect();
    let endpoints: Vec<Endpoint> = targets.iter().filter_map(|target| target.as_ref().ok().cloned()).collect();
    let slots = if endpoints.is_empty() {
        Vec::new()
    } else {
        fetch_round(endpoints, token, workers, afterwards, progress, stop)?
    };
    let mut slots = slots.into_iter();
    let now = SystemClock::new().now().wall;
    let place = |(target, url): (Result<Endpoint, String>, &String)| match target {
        Ok(endpoint) => slots.next().map(|slot| (endpoint.label.url, slot)),
        // What does not parse as a URL may hold a secret anywhere.
        Err(problem) => Some((cut(url), Slot::untried(Outcome::Protocol, &problem, now))),
    };
    Ok(targets.into_iter().zip(urls).filter_map(place).collect())
}

/// The part of a text that is no URL in which no userinfo or parameter is. A password may hold any character, which
/// is often why the text is no URL, so before an `@` only the scheme is safe.
fn cut(text: &str) -> String {
    if text.contains('@') {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        let scheme = scheme.filter(|scheme| scheme.bytes().all(|byte| byte.is_ascii_lowercase()));
        return scheme.map_or_else(|| "…".to_owned(), |scheme| format!("{scheme}://…"));
    }
    let end = text.find(['?', '#']).unwrap_or(text.len());
    text[..end].to_owned()
}

fn fetch_round(
    endpoints: Vec<Endpoint>,
    token: Option<&Secret>,
    workers: usize,
    afterwards: Afterwards,
    mut progress: impl FnMut(usize),
    stop: impl Future<Output = ()>,
) -> anyhow::Result<Vec<Slot>> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut clients = Clients::default();
    let prepare = |endpoint| Request::new(endpoint, token, Path::new(""), &mut clients).map(Arc::new);
    let requests = endpoints.iter().map(prepare).collect::<Result<Vec<_>, _>>()?;
    let labels = endpoints.into_iter().map(|endpoint| endpoint.label).collect();
    let layout = Arc::new(Layout { job: JobName::new("fetch"), endpoints: labels });
    let workers = workers.min(requests.len()).max(1);
    let system = System::new();
    let slots = system.block_on(async {
        let (collected, mut round) = oneshot::channel();
        let (fatal, mut fatally) = mpsc::unbounded_channel();
        let pool = FetchWorker::start_fetching(workers)?;
        let dispatch = Dispatch::new(workers, []);
        let ended = dispatch.ended();
        let collector = Collector(Some(collected)).start().recipient();
        let fetcher = Fetcher::new(dispatch, pool, collector, Arc::clone(&clock), fatal).start();
        let now = clock.now().wall;
        let begin = RoundBegin { id: RoundId(1), due: now, started: now, layout: Arc::clone(&layout) };
        let job = Arc::new(PreparedJob { layout, requests });
        fetcher.do_send(StartRound { begin, job, deadline: ENDLESS, closed: None });
        let mut pace = tokio::time::interval(PROGRESS);
        tokio::pin!(stop);
        let mut stopped = false;
        let round = loop {
            tokio::select! {
                round = &mut round => break round,
                Some(fatal) = fatally.recv() => return Err(fatal.into()),
                () = &mut stop, if !stopped => {
                    stopped = true;
                    fetcher.do_send(Drain { grace: Duration::ZERO });
                }
                _ = pace.tick() => progress(ended.load(Ordering::Relaxed)),
            }
        };
        Ok(Arc::unwrap_or_clone(round.context("the fetcher ended without an answer")?).slots)
    });
    if afterwards == Afterwards::LeaveToExit {
        std::mem::forget((system, clients));
    }
    slots
}

fn prepare(jobs: &[Job], folder: &Path) -> anyhow::Result<Vec<Arc<PreparedJob>>> {
    let mut clients = Clients::default();
    jobs.iter().map(|job| Ok(Arc::new(PreparedJob::new(job, folder, &mut clients)?))).collect()
}

fn entries(jobs: &[Job]) -> Vec<Entry> {
    let entry = |job: &Job| Entry {
        job: job.name.clone(),
        cadence: job.cadence.clone(),
        deadline: job.deadline,
        run_on_start: job.run_on_start,
    };
    jobs.iter().map(entry).collect()
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
