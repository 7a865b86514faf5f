//! What the handlers share, and how they ask the file and the actors: never for longer than a deadline, never more at
//! once than fits.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use actix::{MailboxError, Recipient};
use chrono::Utc;
use tokio::sync::{Semaphore, oneshot};

use super::events::Feed;
use super::hosts::Hosts;
use super::problem::Problem;
use super::status::LastLoad;
use crate::actors::messages::{
    AskBusy, AskJobs, AskStorage, JobState, NotStarted, Question, StartNow, StartedNow, StorageState,
};
use crate::config::{Job, LiveSecret, Settings};
use crate::model::{JobName, Layout, Timestamp};
use crate::store::read::Reader;

/// The most questions that are asked or wait at the same time.
const MOST_QUESTIONS: usize = 64;
/// The longest that a question waits and is asked: twice what the file's readers give it.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest that an actor may take to answer.
const ACTORS_PATIENCE: Duration = Duration::from_secs(2);

/// A job as the config has it.
pub struct ConfiguredJob {
    /// The cadence as it was written.
    pub cadence: String,
    /// How many dues it has in a week.
    pub dues_a_week: u64,
    /// Its name and endpoints.
    pub layout: Layout,
}

/// The jobs of the config in use, in its order. Clones see the same config.
#[derive(Clone)]
pub struct ConfiguredJobs(Arc<RwLock<Vec<Arc<ConfiguredJob>>>>);

impl ConfiguredJobs {
    fn of(settings: &Settings) -> Vec<Arc<ConfiguredJob>> {
        let now = Timestamp::from(Utc::now());
        let configured = |job: &Job| ConfiguredJob {
            cadence: job.cadence_text.clone(),
            dues_a_week: job.dues_a_week(now),
            layout: job.layout(),
        };
        settings.jobs.iter().map(|job| Arc::new(configured(job))).collect()
    }

    /// Another config is in use from now on.
    pub fn set(&self, settings: &Settings) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Self::of(settings);
    }

    /// All of them, as they are now.
    pub fn all(&self) -> Vec<Arc<ConfiguredJob>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Who is asked what.
pub struct Sources {
    /// The file.
    pub file: Recipient<Question>,
    /// When jobs are due.
    pub jobs: Recipient<AskJobs>,
    /// Who starts a round.
    pub start: Recipient<StartNow>,
    /// Whether attempts are made.
    pub fetcher: Recipient<AskBusy>,
    /// Whether rounds are written.
    pub storage: Recipient<AskStorage>,
    /// Grows with each write of rounds to the file.
    pub writes: Arc<AtomicU64>,
    /// How many worker threads are there.
    pub alive: Box<dyn Fn() -> usize + Send + Sync>,
    /// Where the file is.
    pub database: PathBuf,
    /// The metrics as text.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
}

/// What the handlers share.
pub struct Api {
    /// The jobs of the config.
    pub jobs: ConfiguredJobs,
    /// Worker threads that there should be.
    pub workers: usize,
    /// What callers have to show.
    pub token: Option<LiveSecret>,
    /// What the server is called.
    pub hosts: Hosts,
    /// Rounds as they close.
    pub feed: Feed,
    /// Who is asked.
    pub sources: Sources,
    /// When the daemon started.
    pub started: Timestamp,
    /// How loading the config went last.
    pub last_load: LastLoad,
    /// Differs from one start of the daemon to the next.
    start: u64,
    places: Arc<Semaphore>,
}

impl Api {
    /// What is shared by the handlers of one daemon.
    #[must_use]
    pub fn new(
        settings: &Settings,
        token: Option<LiveSecret>,
        hosts: Hosts,
        feed: Feed,
        sources: Sources,
        started: Timestamp,
    ) -> Self {
        let jobs = ConfiguredJobs(Arc::new(RwLock::new(ConfiguredJobs::of(settings))));
        let (workers, start) = (settings.workers, fastrand::u64(..));
        let places = Arc::new(Semaphore::new(MOST_QUESTIONS));
        let last_load = LastLoad::new(started);
        Self { jobs, workers, token, hosts, feed, sources, started, last_load, start, places }
    }

    /// The job of the config called `name`.
    #[must_use]
    pub fn configured(&self, name: &str) -> Option<Arc<ConfiguredJob>> {
        self.jobs.all().into_iter().find(|job| job.layout.job.as_str() == name)
    }

    /// A text that stays the same as long as all rounds in the file do.
    #[must_use]
    pub fn version(&self) -> String {
        format!("{:x}-{:x}", self.start, self.sources.writes.load(Ordering::Acquire))
    }

    /// Asks the file, on a connection that only reads, and waits for the whole answer.
    ///
    /// # Errors
    /// What `question` answers; 503 when too many wait or it takes too long.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Reader) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let second = Duration::from_secs(1);
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| Problem::unavailable("too many questions wait already", second))?;
        let (answer, wait) = oneshot::channel();
        let work = move |reader: Result<&Reader, _>| {
            // Whoever asked may be gone before it is their turn.
            if !answer.is_closed() {
                let result = reader.map_err(Problem::from).and_then(question);
                let _ = answer.send(result);
            }
            drop(place);
        };
        self.sources.file.do_send(Question(Box::new(work)));
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Problem::internal(&"a question to the file was not answered")),
            Err(_) => Err(Problem::unavailable("the file was not asked in time: too much is asked at once", second)),
        }
    }

    /// What each job does.
    ///
    /// # Errors
    /// 503 when the Scheduler does not answer.
    pub async fn states(&self) -> Result<Vec<JobState>, Problem> {
        answered(self.sources.jobs.send(AskJobs)).await.ok_or_else(scheduler_is_silent)
    }

    /// Starts a round of `job` now.
    ///
    /// # Errors
    /// 503 when the Scheduler does not answer.
    pub async fn start(&self, job: JobName) -> Result<Result<StartedNow, NotStarted>, Problem> {
        answered(self.sources.start.send(StartNow(job))).await.ok_or_else(scheduler_is_silent)
    }

    /// What the actors answer, each within its patience.
    pub async fn signs(&self) -> Signs {
        let Sources { jobs, fetcher, storage, .. } = &self.sources;
        let asked = (jobs.send(AskJobs), fetcher.send(AskBusy), storage.send(AskStorage));
        let (jobs, busy, storage) = tokio::join!(answered(asked.0), answered(asked.1), answered(asked.2));
        Signs { jobs, busy, storage }
    }

    /// Why rounds are not stored at this moment: nothing when they are.
    pub async fn obstacles(&self) -> Vec<String> {
        let signs = self.signs().await;
        let silent = signs.silent().into_iter();
        let mut obstacles: Vec<String> = silent.map(|actor| format!("{actor} does not answer")).collect();
        match signs.storage {
            Some(state) if state.failed => {
                obstacles.push("the database failed, the daemon is about to end".to_owned());
            }
            Some(state) if state.waiting > 0 => {
                obstacles.push(format!("{} rounds wait for the database, see the log", state.waiting));
            }
            _ => {}
        }
        let alive = (self.sources.alive)();
        if alive < self.workers {
            obstacles.push(format!("{alive} of {} workers are there", self.workers));
        }
        obstacles
    }
}

/// What the actors show of themselves; of one that does not answer nothing.
pub struct Signs {
    /// What each job does.
    pub jobs: Option<Vec<JobState>>,
    /// Attempts in flight.
    pub busy: Option<usize>,
    /// How writing goes.
    pub storage: Option<StorageState>,
}

impl Signs {
    /// The actors that do not answer.
    #[must_use]
    pub fn silent(&self) -> Vec<&'static str> {
        let actors = [
            ("the scheduler", self.jobs.is_none()),
            ("the fetcher", self.busy.is_none()),
            ("storage", self.storage.is_none()),
        ];
        actors.into_iter().filter(|(_, is_silent)| *is_silent).map(|(name, _)| name).collect()
    }
}

/// What an actor answers within its patience.
async fn answered<T>(asked: impl Future<Output = Result<T, MailboxError>>) -> Option<T> {
    tokio::time::timeout(ACTORS_PATIENCE, asked).await.ok()?.ok()
}

fn scheduler_is_silent() -> Problem {
    Problem::unavailable("the scheduler does not answer", Duration::from_secs(1))
}
