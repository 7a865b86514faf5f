//! Telling somebody: what is to be told is decided by [`incidents`] and [`health`], which are pure; what it looks like
//! by [`message`]; a thread for each that is told delivers it, so that nobody waits for a webhook that hangs.

mod health;
pub mod incidents;
mod message;
mod notice;
mod outbox;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use self::health::Health;
use self::incidents::{Incidents, Rule, Watched};
use self::message::Message;
use self::notice::{News, Notice, Place};
use self::outbox::{Bounds, Fate, Outbox};
use super::meters::Meters;
use super::worker::OutOfThreads;
use crate::clock::Moment;
use crate::config::{Endpoint, Job, Notify, NotifyKind, Settings};
use crate::fetch::{Clients, Undelivered, Webhook, WebhookError};
use crate::model::{ClosedRound, IncidentMemory, JobName, RoundStatus};

/// Messages that wait for one that is told, and how long one is tried: over an outage of our own network.
const MESSAGES: Bounds = Bounds { waiting: 100, patience: Duration::from_hours(1) };
/// A ping is worth nothing once there is a newer one.
const PINGS: Bounds = Bounds { waiting: 1, patience: Duration::from_mins(1) };

/// Those who are told, before their threads run.
pub struct Prepared {
    told: Vec<(Notify, Webhook)>,
    pings: Vec<(JobName, Webhook)>,
}

/// See the module.
pub struct Notifier {
    told: Vec<Target>,
    pings: HashMap<JobName, Outbox<()>>,
    health: Health,
    meters: Meters,
    machine: String,
}

struct Target {
    kind: NotifyKind,
    incidents: Incidents,
    outbox: Outbox<Message>,
}

impl Prepared {
    /// Reads the secrets and makes the clients. Not to be called in async code: it blocks.
    ///
    /// # Errors
    /// When a URL or token cannot be read, or no client can be made.
    pub fn new(settings: &Settings) -> Result<Self, WebhookError> {
        let (folder, mut clients) = (settings.folder(), Clients::default());
        let told = settings.notify.iter();
        let told = told.map(|notify| Ok((notify.clone(), webhook(notify, folder, &mut clients)?)));
        let told = told.collect::<Result<_, WebhookError>>()?;
        let mut pings = Vec::new();
        for (job, ping) in settings.jobs.iter().filter_map(|job| Some((job, job.ping.as_ref()?))) {
            let target = format!("the ping_url of job {:?}", job.name.as_str());
            let webhook = Webhook::new(ping, folder, &mut clients);
            pings.push((job.name.clone(), webhook.map_err(|source| WebhookError { target, source })?));
        }
        Ok(Self { told, pings })
    }

    /// Starts the threads; goes on from what is `remembered` of `jobs`.
    ///
    /// # Errors
    /// When the system does not give a thread.
    pub fn start(
        self,
        jobs: &[Job],
        remembered: &IncidentMemory,
        meters: Meters,
        now: Moment,
    ) -> Result<Notifier, OutOfThreads> {
        let threads = self.told.len() + self.pings.len();
        let mut told = Vec::with_capacity(self.told.len());
        for (notify, webhook) in self.told {
            let rule = Rule { after: notify.after, pause: notify.pause };
            let incidents = Incidents::new(&notify.name, rule, watched(&notify, jobs), remembered);
            let outbox = messages(&notify.name, webhook, meters.clone()).map_err(|_| OutOfThreads(threads))?;
            told.push(Target { kind: notify.kind, incidents, outbox });
        }
        let mut pings = HashMap::new();
        for (job, webhook) in self.pings {
            let outbox = self::pings(&job, webhook, meters.clone()).map_err(|_| OutOfThreads(threads))?;
            pings.insert(job, outbox);
        }
        Ok(Notifier { told, pings, health: Health::new(now), meters, machine: machine() })
    }
}

impl Notifier {
    /// Takes note of a stored round.
    pub fn observe(&mut self, round: &ClosedRound) {
        self.told.iter_mut().for_each(|target| target.incidents.observe(round));
        if round.status == RoundStatus::Complete
            && let Some(outbox) = self.pings.get(&round.begin.layout.job)
        {
            outbox.put(());
        }
    }

    /// Hands over what is to be told now.
    pub fn tell(&mut self, now: Moment) {
        self.health.look(self.meters.vitals(), now);
        let state = self.health.state(now);
        for target in &mut self.told {
            for notice in target.incidents.notices(state, now) {
                target.outbox.put(Message::new(target.kind, &notice, &self.machine));
            }
        }
    }

    /// What is to be remembered of what changed; `None` when nothing did.
    pub fn changes(&mut self) -> Option<IncidentMemory> {
        let mut changes = IncidentMemory::default();
        self.told.iter_mut().for_each(|target| changes.merge(target.incidents.take_changes()));
        (!changes.is_empty()).then_some(changes)
    }

    /// Tries what waits once more, for so long altogether. Blocks.
    pub fn stop(&self, within: Duration) {
        let deadline = Instant::now() + within;
        self.told.iter().for_each(|target| target.outbox.stop());
        self.pings.values().for_each(Outbox::stop);
        self.told.iter().for_each(|target| target.outbox.wait(deadline));
        self.pings.values().for_each(|outbox| outbox.wait(deadline));
    }
}

/// Sends a test message to each that is told, one after the other, and answers how it went. Blocks.
///
/// # Errors
/// When a URL or token cannot be read, or no client can be made, for that one.
pub fn test(
    settings: &Settings,
    now: Moment,
) -> impl Iterator<Item = (&Notify, Result<Result<(), Undelivered>, WebhookError>)> {
    let (mut clients, machine) = (Clients::default(), machine());
    settings.notify.iter().map(move |notify| {
        let message = Message::new(notify.kind, &Notice { at: now.wall, news: News::Test }, &machine);
        let webhook = webhook(notify, settings.folder(), &mut clients);
        (notify, webhook.map(|webhook| webhook.post(&message.headers, &message.body)))
    })
}

fn webhook(notify: &Notify, folder: &Path, clients: &mut Clients) -> Result<Webhook, WebhookError> {
    let target = format!("[[notify]] {:?}", notify.name);
    Webhook::new(&notify.webhook, folder, clients).map_err(|source| WebhookError { target, source })
}

fn watched(notify: &Notify, jobs: &[Job]) -> Watched {
    let jobs = jobs.iter().filter(|job| notify.is_about(&job.name));
    let endpoints = |job: &Job| {
        let places = job.endpoints.iter().enumerate().map(|(position, Endpoint { label, host, .. })| {
            let (endpoint, host): (Arc<str>, _) = (label.name.as_str().into(), Arc::clone(host));
            let (job, url) = (job.name.clone(), label.url.clone());
            (Arc::clone(&endpoint), Arc::new(Place { job, position, endpoint, url, host }))
        });
        places.collect()
    };
    jobs.map(|job| (job.name.clone(), endpoints(job))).collect()
}

fn messages(name: &str, webhook: Webhook, meters: Meters) -> std::io::Result<Outbox<Message>> {
    let target = name.to_owned();
    let report = move |message: &Message, fate: Fate| {
        let title = &message.title;
        let result = match fate {
            Fate::Delivered => {
                tracing::info!(notify = target, title, "told");
                "delivered"
            }
            Fate::Failed(error) => {
                tracing::error!(notify = target, title, %error, "could not be told");
                "failed"
            }
            Fate::Dropped => {
                tracing::error!(notify = target, title, "not told: too many messages wait");
                "dropped"
            }
            Fate::Stopped => {
                tracing::error!(notify = target, title, "not told: the daemon stops");
                "failed"
            }
            Fate::Panicked => {
                tracing::error!(notify = target, title, "not told: a defect in gatherd");
                "failed"
            }
        };
        meters.notified(&target, result);
    };
    let deliver = move |message: &Message| webhook.post(&message.headers, &message.body);
    Outbox::start("notify", MESSAGES, deliver, report)
}

fn pings(job: &JobName, webhook: Webhook, meters: Meters) -> std::io::Result<Outbox<()>> {
    let job = job.clone();
    // Rounds may come each second: a failure that goes on is logged once.
    let failing = AtomicBool::new(false);
    let report = move |(): &(), fate: Fate| {
        let result = match fate {
            Fate::Delivered => {
                if failing.swap(false, Ordering::Relaxed) {
                    tracing::info!(%job, "the ping_url can be called again");
                }
                "delivered"
            }
            Fate::Failed(error) => {
                if !failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%job, %error, "the ping_url could not be called");
                }
                "failed"
            }
            Fate::Dropped => "dropped",
            Fate::Stopped | Fate::Panicked => "failed",
        };
        meters.pinged(&job, result);
    };
    Outbox::start("ping", PINGS, move |(): &()| webhook.get(), report)
}

/// What this machine is called.
fn machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "this machine".to_owned() } else { name.to_owned() }
}
