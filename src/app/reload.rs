//! The config in use, and how another takes its place: validated and made ready on a thread of its own, then swapped in
//! whole. What is wrong with it changes nothing.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use actix::Addr;
use anyhow::Context as _;
use tokio::sync::oneshot;

use crate::actors::messages::{EndpointMemory, Register, Reload};
use crate::actors::notify::{self, Outboxes};
use crate::actors::{Meters, Storage};
use crate::config::{FileStamp, Job, Mistakes, Settings};
use crate::fetch::{Clients, PreparedJob};
use crate::model::{EndpointLabel, JobName, Layout};

/// How long Storage may take to make layouts known. Otherwise the first round of each does.
const REGISTER: Duration = Duration::from_secs(5);

/// When the daemon reads its config again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloads {
    /// Never.
    Never,
    /// Upon SIGHUP.
    OnSignal,
    /// Upon SIGHUP, and when the file was written or replaced.
    OnChange,
}

/// A valid config with everything made ready that it needs.
pub struct Plan {
    pub settings: Settings,
    pub jobs: Vec<Arc<PreparedJob>>,
    /// Held so that none ends in async code, where one must not.
    _clients: Clients,
}

impl Plan {
    /// Makes the requests of `settings` ready. Blocks, and not to be called in async code.
    ///
    /// # Errors
    /// When a secret or certificate cannot be read, or no HTTP client can be made.
    pub fn new(settings: Settings) -> anyhow::Result<Self> {
        let mut clients = Clients::default().for_workers(settings.workers);
        let folder = settings.folder();
        let prepare = |job: &Job| Ok(Arc::new(PreparedJob::new(job, folder, &mut clients)?));
        let jobs = settings.jobs.iter().map(prepare).collect::<anyhow::Result<_>>()?;
        Ok(Self { settings, jobs, _clients: clients })
    }

    /// Reads the config at `file` and makes it ready, with those who are told by it, its API's token included. Blocks.
    fn load(file: &Path, meters: &Meters) -> anyhow::Result<(Self, Outboxes)> {
        // What a pipe holds comes once, and waiting for its other end would be for ever.
        let is_file = std::fs::metadata(file).map_or(true, |found| found.is_file());
        anyhow::ensure!(is_file, "{}: not a file, which is what a config is read again from", file.display());
        let settings = Settings::load(file)?;
        if let Some(token) = &settings.server.token {
            token.read(settings.folder()).context("cannot read the token of [server]")?;
        }
        let plan = Self::new(settings)?;
        let told = notify::Prepared::new(&plan.settings)?.start(meters)?;
        Ok((plan, told))
    }

    /// Whether a round runs, or may start, that it prepared.
    fn is_used(&self) -> bool {
        self.jobs.iter().any(|job| Arc::strong_count(job) > 1)
    }
}

/// A plan that is ready to take the place of the one in use.
pub struct Loaded {
    plan: Plan,
    told: Outboxes,
    memories: Vec<EndpointMemory>,
}

/// The plan in use, those before it that rounds still need, and the next one.
pub struct Config {
    reloads: Reloads,
    plan: Plan,
    before: Vec<Plan>,
    loading: Option<Pin<Box<dyn Future<Output = anyhow::Result<Loaded>>>>>,
    /// It was asked for once more while one was loaded.
    again: bool,
    /// How the file looked when it was read last, and at the last look.
    read: Option<FileStamp>,
    seen: Option<FileStamp>,
    /// Whether it was said that the file is gone.
    gone: bool,
}

impl Config {
    /// `plan` is in use, and was read when its file looked as `read`.
    pub fn new(plan: Plan, reloads: Reloads, read: Option<FileStamp>) -> Self {
        Self { reloads, plan, before: Vec::new(), loading: None, again: false, read, seen: read, gone: false }
    }

    /// What is in use.
    pub fn settings(&self) -> &Settings {
        &self.plan.settings
    }

    /// Whether the file was written or replaced since it was read, and is left alone since the last look. To be asked
    /// each second: polling sees what inotify does not (other machines' writes to a network file system), and needs no
    /// rule for editors, links and mounts that replace the file or its folder.
    pub fn has_changed(&mut self) -> bool {
        if self.reloads != Reloads::OnChange || self.loading.is_some() {
            return false;
        }
        let now = FileStamp::of(&self.plan.settings.file);
        let before = std::mem::replace(&mut self.seen, now);
        // A file that is not there is about to be replaced, unless that takes long.
        let gone = now.is_none() && before.is_none();
        if gone && !self.gone {
            tracing::warn!(file = %self.plan.settings.file.display(), "the config is gone, the one in use stays");
        }
        self.gone = gone;
        now.is_some() && now != self.read && now == before
    }

    /// Begins to read the config again; [`Self::loaded`] answers.
    pub fn load(&mut self, storage: Addr<Storage>, meters: Meters) {
        if self.loading.is_some() {
            self.again = true;
            return;
        }
        let file = self.plan.settings.file.clone();
        // Before the content: a write in between is then seen at the next look.
        self.read = FileStamp::of(&file);
        self.seen = self.read;
        let known = self.plan.jobs.clone();
        self.loading = Some(Box::pin(load(file, known, storage, meters)));
    }

    /// The config that was read again; waits for ever while none is.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn loaded(&mut self) -> anyhow::Result<Loaded> {
        let Some(loading) = &mut self.loading else { return std::future::pending().await };
        let loaded = loading.await;
        self.loading = None;
        loaded
    }

    /// Whether it is to be read once more.
    pub fn take_again(&mut self) -> bool {
        std::mem::take(&mut self.again)
    }

    /// Puts `loaded` in the place of what is in use, logs what that changes, and answers what the actors have to know, and
    /// who is told from now on.
    pub fn swap(&mut self, loaded: Loaded) -> (Reload, Outboxes) {
        let Loaded { mut plan, told, memories } = loaded;
        let restart = keep_what_needs_a_restart(&self.plan.settings, &mut plan.settings);
        log_difference(&self.plan.settings, &plan.settings);
        if !restart.is_empty() {
            tracing::warn!(keys = restart.join(", "), "these changes take effect with a restart only");
        }
        let reload =
            Reload { entries: plan.settings.jobs.iter().map(Job::entry).collect(), jobs: plan.jobs.clone(), memories };
        self.before.push(std::mem::replace(&mut self.plan, plan));
        (reload, told)
    }

    /// Drops the plans that no round needs any more, and answers the jobs that are gone with them.
    pub fn forget_unused(&mut self) -> Vec<JobName> {
        let unused: Vec<Plan> = self.before.extract_if(.., |plan| !plan.is_used()).collect();
        if unused.is_empty() {
            return Vec::new();
        }
        let present: HashSet<&JobName> = self.plan.settings.jobs.iter().map(|job| &job.name).collect();
        let names = unused.iter().flat_map(|plan| &plan.settings.jobs).map(|job| &job.name);
        let gone = names.filter(|name| !present.contains(name)).cloned().collect();
        // Clients wait for their threads when they are dropped. Where no thread can be had, they are dropped here.
        let _ = thread::Builder::new().name("reload".to_owned()).spawn(move || drop(unused));
        gone
    }
}

/// Reads the config on a thread that nobody waits for at the end: a secret may be on a disk that hangs.
async fn load(
    file: PathBuf,
    known: Vec<Arc<PreparedJob>>,
    storage: Addr<Storage>,
    meters: Meters,
) -> anyhow::Result<Loaded> {
    let (answer, wait) = oneshot::channel();
    let work = move || {
        // The daemon may have ended meanwhile.
        let _ = answer.send(Plan::load(&file, &meters));
    };
    thread::Builder::new().name("reload".to_owned()).spawn(work).context("no thread to read the config on")?;
    let (plan, told) = wait.await.context("a panic while the config was read, which is a defect")??;
    let register = Register {
        layouts: plan.jobs.iter().map(|job| Arc::clone(&job.layout)).collect(),
        recall: new_endpoints(&known, &plan.jobs),
    };
    let memories = tokio::time::timeout(REGISTER, storage.send(register)).await;
    Ok(Loaded { plan, told, memories: memories.ok().and_then(Result::ok).unwrap_or_default() })
}

/// The endpoints of `jobs` that were not there before, or did not ask for their last success, by job; and which of them do.
fn new_endpoints(known: &[Arc<PreparedJob>], jobs: &[Arc<PreparedJob>]) -> Vec<(Layout, Vec<bool>)> {
    let asking = |job: &'_ Arc<PreparedJob>| -> Vec<(EndpointLabel, bool)> {
        job.layout.endpoints.iter().cloned().zip(job.asks_for_last_ok()).collect()
    };
    let names = |job: &Arc<PreparedJob>| -> HashMap<String, bool> {
        asking(job).into_iter().map(|(endpoint, asks)| (endpoint.name, asks)).collect()
    };
    let known: HashMap<&JobName, _> = known.iter().map(|job| (&job.layout.job, names(job))).collect();
    let new = jobs.iter().map(|job| {
        let known = known.get(&job.layout.job);
        let asked = |name: &str| known.and_then(|known| known.get(name).copied());
        let is_new =
            |(endpoint, asks): &(EndpointLabel, bool)| asked(&endpoint.name).is_none_or(|asked| *asks && !asked);
        let (endpoints, asks) = asking(job).into_iter().filter(is_new).unzip();
        (Layout { job: job.layout.job.clone(), endpoints }, asks)
    });
    new.filter(|(layout, _)| !layout.endpoints.is_empty()).collect()
}

/// Answers the keys that differ and cannot change while the daemon runs; `new` keeps what is in use.
fn keep_what_needs_a_restart(running: &Settings, new: &mut Settings) -> Vec<&'static str> {
    let mut keys = Vec::new();
    if new.database != running.database {
        keys.push("database");
        new.database.clone_from(&running.database);
    }
    if new.workers != running.workers {
        keys.push("workers");
        new.workers = running.workers;
    }
    if new.server != running.server {
        keys.push("[server]");
        new.server = running.server.clone();
    }
    if new.maintenance.at != running.maintenance.at {
        keys.push("maintenance.at");
        new.maintenance.at.clone_from(&running.maintenance.at);
    }
    keys
}

fn log_difference(before: &Settings, now: &Settings) {
    let notify = if before.notify == now.notify { "unchanged" } else { "changed" };
    let (before, now) = (&before.jobs, &now.jobs);
    let find = |jobs: &'_ [Job], name: &JobName| jobs.iter().position(|job| job.name == *name);
    let text = |names: Vec<&JobName>| {
        let names: Vec<&str> = names.into_iter().map(JobName::as_str).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    let added = now.iter().filter(|job| find(before, &job.name).is_none()).map(|job| &job.name).collect();
    let removed = before.iter().filter(|job| find(now, &job.name).is_none()).map(|job| &job.name).collect();
    let changed = |job: &&Job| find(before, &job.name).is_some_and(|index| before[index] != **job);
    let changed = now.iter().filter(changed).map(|job| &job.name).collect();
    let (added, removed, changed) = (text(added), text(removed), text(changed));
    tracing::info!(jobs = now.len(), added, removed, changed, notify, "config reloaded");
}

/// Says what is wrong, a line for each mistake.
pub fn log_failure(error: &anyhow::Error) {
    if let Some(mistakes) = error.chain().find_map(|cause| cause.downcast_ref::<Mistakes>()) {
        for mistake in &mistakes.list {
            let (file, line) = (mistakes.file.display(), Some(mistake.line).filter(|line| *line > 0));
            let key = Some(mistake.key.as_str()).filter(|key| !key.is_empty());
            tracing::error!(%file, line, key, problem = mistake.problem, "the config is wrong");
        }
        tracing::error!(mistakes = mistakes.list.len(), "config not reloaded, the one in use stays");
    } else {
        tracing::error!(error = format!("{error:#}"), "config not reloaded, the one in use stays");
    }
}
