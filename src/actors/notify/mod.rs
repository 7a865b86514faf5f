//! Telling somebody: what is to be told is decided by [`incidents`] and [`health`], which are pure; what it looks like
//! by [`message`]; a thread for each that is told delivers it, so that nobody waits for a webhook that hangs.

mod health;
pub mod incidents;
mod message;
mod notice;
mod outbox;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::io;
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
use super::pool::OutOfThreads;
use crate::clock::Moment;
use crate::config::{Endpoint, Job, Notify, NotifyKind, Settings};
use crate::fetch::{Clients, Undelivered, Webhook, WebhookError};
use crate::model::{ClosedRound, IncidentMemory, JobName, RoundStatus};

/// Messages that wait for one that is told, and how long one is tried: over an outage of our own network.
const MESSAGES: Bounds = Bounds { waiting: 100, patience: Duration::from_hours(1) };
/// A ping is worth nothing once there is a newer one.
const PINGS: Bounds = Bounds { waiting: 1, patience: Duration::from_mins(1) };

/// Those who are told, ready but for their threads.
pub struct Prepared {
    told: Vec<(Notify, Webhook)>,
    pings: Vec<(JobName, Webhook)>,
}

/// Those who are told, with a thread each, to which nothing was given yet.
pub struct Outboxes {
    told: Vec<(Notify, Outbox<Message>)>,
    pings: HashMap<JobName, Outbox<()>>,
}

/// See the module.
pub struct Notifier {
    told: Vec<Target>,
    pings: HashMap<JobName, Outbox<()>>,
    /// Those of configs before, as long as one still tries to deliver, and whether what it tells is to be remembered.
    before: Vec<(Outbox<Message>, bool)>,
    /// What is to be forgotten of those who are not told any more.
    gone: IncidentMemory,
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

    /// Starts the threads. Not to be called in async code: where one is not to be had, clients are dropped.
    ///
    /// # Errors
    /// When the system does not give a thread.
    pub fn start(self, meters: &Meters) -> Result<Outboxes, OutOfThreads> {
        let threads = self.told.len() + self.pings.len();
        let told = self.told.into_iter().map(|(notify, webhook)| {
            let outbox = messages(&notify.name, webhook, meters.clone())?;
            Ok((notify, outbox))
        });
        let told = told.collect::<io::Result<_>>().map_err(|_| OutOfThreads(threads))?;
        let pings = self.pings.into_iter().map(|(job, webhook)| {
            let outbox = self::pings(&job, webhook, meters.clone())?;
            Ok((job, outbox))
        });
        let pings = pings.collect::<io::Result<_>>().map_err(|_| OutOfThreads(threads))?;
        Ok(Outboxes { told, pings })
    }
}

impl Notifier {
    /// Goes on from what is `remembered` of `jobs`.
    #[must_use]
    pub fn new(outboxes: Outboxes, jobs: &[Job], remembered: &IncidentMemory, meters: Meters, now: Moment) -> Self {
        let names: HashSet<&str> = outboxes.told.iter().map(|(notify, _)| notify.name.as_str()).collect();
        let gone = remembered.without(|target| names.contains(target));
        let (health, machine, pings) = (Health::new(now), machine(), HashMap::new());
        let (told, before) = (Vec::new(), Vec::new());
        let mut notifier = Self { told, pings, before, gone, health, meters, machine };
        notifier.put(outboxes, jobs, remembered);
        notifier
    }

    /// Tells those of another config, about its `jobs`, from now on. One of the same name goes on with what it knows, and
    /// with what could not be told yet; what it was told of is not repeated. Who is gone is forgotten.
    pub fn reload(&mut self, outboxes: Outboxes, jobs: &[Job]) {
        self.put(outboxes, jobs, &IncidentMemory::default());
    }

    fn put(&mut self, outboxes: Outboxes, jobs: &[Job], remembered: &IncidentMemory) {
        let mut before = std::mem::take(&mut self.told);
        // What was told already is older than what a reload changes.
        for message in before.iter().flat_map(|target| target.outbox.take_done()) {
            self.gone.merge(message.changes.clone());
        }
        for (notify, outbox) in outboxes.told {
            let (kind, rule) = (notify.kind, Rule { after: notify.after, pause: notify.pause });
            let watched = watched(&notify, jobs);
            let known = before.iter().position(|target| target.incidents.target() == notify.name);
            let incidents = if let Some(mut known) = known.map(|index| before.swap_remove(index)) {
                // What waits has its form already.
                if known.kind == kind {
                    known.outbox.hand_over(&outbox);
                } else {
                    known.outbox.stop();
                }
                self.before.push((known.outbox, true));
                known.incidents.change(rule, watched);
                known.incidents
            } else {
                Incidents::new(&notify.name, rule, watched, remembered)
            };
            self.told.push(Target { kind, incidents, outbox });
        }
        for target in before {
            target.outbox.stop();
            self.before.push((target.outbox, false));
            self.gone.merge(target.incidents.forget());
        }
        self.pings = outboxes.pings;
    }

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
        self.settle_before();
        self.health.look(self.meters.vitals(), now);
        let state = self.health.state(now);
        for target in &mut self.told {
            for notice in target.incidents.notices(state, now) {
                let changes = target.incidents.take_changes_of(&notice);
                target.outbox.put(Message { changes, ..Message::new(target.kind, &notice, &self.machine) });
            }
        }
    }

    /// Notes what those of configs before have told, and drops those who are done.
    fn settle_before(&mut self) {
        self.before.retain(|(outbox, is_remembered)| {
            let ended = outbox.has_ended();
            for message in outbox.take_done().iter().filter(|_| *is_remembered) {
                self.gone.merge(message.changes.clone());
            }
            !ended
        });
    }

    /// What is to be remembered of what changed; `None` when nothing did. What could not be told yet is not remembered as told,
    /// so that it is told after a restart.
    pub fn changes(&mut self) -> Option<IncidentMemory> {
        self.settle_before();
        let mut changes = std::mem::take(&mut self.gone);
        for target in &mut self.told {
            target.outbox.take_done().iter().for_each(|message| changes.merge(message.changes.clone()));
            changes.merge(target.incidents.take_changes());
        }
        self.pings.values().for_each(|outbox| drop(outbox.take_done()));
        (!changes.is_empty()).then_some(changes)
    }

    /// Tries what waits once more, for so long altogether. Blocks.
    pub fn stop(&self, within: Duration) {
        let deadline = Instant::now() + within;
        self.told.iter().for_each(|target| target.outbox.stop());
        self.pings.values().for_each(Outbox::stop);
        // First, because they may still hand something over.
        self.before.iter().for_each(|(outbox, _)| outbox.wait(deadline));
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

fn messages(name: &str, webhook: Webhook, meters: Meters) -> io::Result<Outbox<Message>> {
    meters.will_notify(name);
    let target = name.to_owned();
    let report = move |message: &Message, fate: Fate| {
        let title = &message.title;
        let result = match fate {
            Fate::Delayed(error, again_in) => {
                // For up to an hour nobody would know that the alarm does not work.
                tracing::warn!(notify = target, title, %error, ?again_in, "could not be told yet, it is tried again");
                return;
            }
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
                tracing::error!(notify = target, title, "not told: the daemon stops, or tells it no more");
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

fn pings(job: &JobName, webhook: Webhook, meters: Meters) -> io::Result<Outbox<()>> {
    meters.will_ping(job);
    let job = job.clone();
    // Rounds may come each second: a failure that goes on is logged once.
    let failing = AtomicBool::new(false);
    let report = move |(): &(), fate: Fate| {
        let result = match fate {
            Fate::Delayed(..) => return,
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

/// What this machine is called. A service that sees nothing of /proc but processes goes by the file of the start.
fn machine() -> String {
    let mut names = ["/proc/sys/kernel/hostname", "/etc/hostname"].into_iter().filter_map(|file| {
        let text = std::fs::read_to_string(file).ok()?;
        let name = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
        name.map(str::to_owned)
    });
    names.next().unwrap_or_else(|| "this machine".to_owned())
}
