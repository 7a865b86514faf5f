//! Is the daemon alive, and how does it go? The watchdog is fed by what the actors show, never by a bare timer.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::MailboxError;

use super::start::Actors;
use crate::actors::messages::{AskBusy, AskStorage, StorageState};
use crate::clock::{Clock, Moment};
use crate::model::ClosedRound;
use crate::systemd::Manager;

/// The Scheduler looks at the clock each second.
const SCHEDULER: Duration = Duration::from_secs(10);
/// The Fetcher never waits for anything.
const FETCHER: Duration = Duration::from_secs(10);
/// A worker that ends is not made anew.
const WORKERS: Duration = Duration::from_secs(10);
/// A disk may hang for a while and come back. One that refuses, or is full, does not keep Storage from answering.
const STORAGE: Duration = Duration::from_mins(2);
/// The nightly upkeep of a large file takes its time.
const UPKEEP: Duration = Duration::from_hours(1);
/// How often it is looked at most.
const LOOK: Duration = Duration::from_secs(1);
/// How often the status line may change.
const STATUS: Duration = Duration::from_secs(5);

/// When each part last showed that it works (monotonic time).
#[derive(Clone, Copy, Debug)]
struct Signs {
    /// The Scheduler looked at the clock.
    scheduler: Duration,
    /// The Fetcher answered.
    fetcher: Duration,
    /// Storage answered.
    storage: Duration,
    /// Storage does the file's upkeep.
    upkeep: bool,
    /// All workers were there.
    workers: Duration,
}

impl Signs {
    /// What shows no sign of life; `None` when all is alive.
    fn silent(&self, now: Duration) -> Option<String> {
        let storage = if self.upkeep { UPKEEP } else { STORAGE };
        let parts = [
            ("the scheduler", self.scheduler, SCHEDULER),
            ("the fetcher", self.fetcher, FETCHER),
            ("storage", self.storage, storage),
            ("a worker", self.workers, WORKERS),
        ];
        let silence = |seen: Duration| now.saturating_sub(seen);
        let silent = parts.into_iter().find(|(_, seen, patience)| silence(*seen) > *patience);
        silent.map(|(name, seen, _)| format!("{name} has shown no sign of life for {} s", silence(seen).as_secs()))
    }
}

/// Looks for signs of life, and tells the service manager, whose own watchdog it feeds.
pub struct Watchdog {
    manager: Manager,
    clock: Arc<dyn Clock>,
    actors: Rc<Actors>,
    wanted: usize,
    /// The Scheduler's count, and when it was seen to grow.
    ticks: (u64, Duration),
    /// When all workers were there.
    workers: Duration,
    fetcher: Answers<usize>,
    storage: Answers<StorageState>,
    /// When the watchdog was fed and the status told last.
    fed: Option<Duration>,
    told: Option<Duration>,
    jobs: usize,
    last_round: Option<String>,
    /// Why the config in use is not the one in the file.
    outdated: bool,
    /// What was silent at the last look.
    silent: Option<String>,
}

/// An actor's answers: one question is under way at a time.
struct Answers<T> {
    last: Rc<Cell<(Duration, Option<T>)>>,
    is_asked: Rc<Cell<bool>>,
}

impl<T: Copy + 'static> Answers<T> {
    fn since(now: Duration) -> Self {
        Self { last: Rc::new(Cell::new((now, None))), is_asked: Rc::default() }
    }

    fn ask<Q: Future<Output = Result<T, MailboxError>> + 'static>(
        &self,
        clock: &Arc<dyn Clock>,
        ask: impl FnOnce() -> Q,
    ) {
        if self.is_asked.replace(true) {
            return;
        }
        let question = ask();
        let (last, is_asked, clock) = (Rc::clone(&self.last), Rc::clone(&self.is_asked), Arc::clone(clock));
        actix::spawn(async move {
            if let Ok(answer) = question.await {
                last.set((clock.now().monotonic, Some(answer)));
            }
            is_asked.set(false);
        });
    }
}

impl Watchdog {
    /// Signs of `actors`, of which `wanted` are workers, for `manager`.
    pub fn new(manager: Manager, actors: Rc<Actors>, wanted: usize, jobs: usize, clock: Arc<dyn Clock>) -> Self {
        let now = clock.now().monotonic;
        Self {
            manager,
            clock,
            actors,
            wanted,
            ticks: (0, now),
            workers: now,
            fetcher: Answers::since(now),
            storage: Answers::since(now),
            fed: None,
            told: None,
            jobs,
            last_round: None,
            outdated: false,
            silent: None,
        }
    }

    /// How often [`Self::look`] is to be called.
    pub fn pace(&self) -> Duration {
        self.manager.watchdog().map_or(LOOK, |period| (period / 4).min(LOOK)).max(Duration::from_millis(1))
    }

    /// Everything is open and bound.
    pub fn ready(&mut self) {
        self.tell_status();
        self.manager.ready();
    }

    /// The config is read again.
    pub fn reloading(&self) {
        self.manager.reloading();
    }

    /// The config was read again, or not; there are so many jobs now.
    pub fn reloaded(&mut self, well: bool, jobs: usize) {
        (self.jobs, self.outdated) = (jobs, !well);
        self.ready();
    }

    /// The daemon ends within this time.
    pub fn stopping(&mut self, within: Duration) {
        self.manager.status("stopping".to_owned());
        self.manager.stopping(within);
    }

    /// A round is stored.
    pub fn stored(&mut self, round: &ClosedRound) {
        if self.manager.is_there() {
            let (begin, slots) = (&round.begin, round.slots.len());
            let due = begin.due.to_string();
            // To the second.
            let due = due.split_once('.').map_or(due.as_str(), |(seconds, _)| seconds);
            self.last_round = Some(format!("{} {due}Z {}/{slots} ok", begin.layout.job, round.ok()));
        }
    }

    /// Feeds the watchdog while everything shows that it works, and says how it goes.
    pub fn look(&mut self) {
        if !self.manager.is_there() {
            return;
        }
        let Moment { monotonic: now, .. } = self.clock.now();
        let ticks = self.actors.ticks.load(Ordering::Relaxed);
        if ticks != self.ticks.0 {
            self.ticks = (ticks, now);
        }
        if self.actors.alive.count() >= self.wanted {
            self.workers = now;
        }
        self.fetcher.ask(&self.clock, || self.actors.fetcher.send(AskBusy));
        self.storage.ask(&self.clock, || self.actors.storage.send(AskStorage));
        let signs = Signs {
            scheduler: self.ticks.1,
            fetcher: self.fetcher.last.get().0,
            storage: self.storage.last.get().0,
            upkeep: self.actors.upkeep.load(Ordering::Relaxed),
            workers: self.workers,
        };
        let silent = signs.silent(now);
        if let Some(silent) = silent.as_ref().filter(|_| self.silent.is_none()) {
            tracing::error!(silent, "the watchdog is not fed until that works again");
        }
        self.silent = silent;
        self.feed(now);
        if self.told.is_none_or(|told| now.saturating_sub(told) >= STATUS) {
            self.told = Some(now);
            self.tell_status();
        }
    }

    /// At half of the time that the watchdog waits.
    fn feed(&mut self, now: Duration) {
        let Some(period) = self.manager.watchdog() else { return };
        let is_time = self.fed.is_none_or(|fed| fed + period / 2 < now + self.pace());
        if is_time && self.silent.is_none() {
            self.manager.alive();
            self.fed = Some(now);
        }
    }

    fn tell_status(&mut self) {
        let jobs = if self.jobs == 1 { "1 job".to_owned() } else { format!("{} jobs", self.jobs) };
        let last = self.last_round.as_deref().map_or("no round yet".to_owned(), |last| format!("last round {last}"));
        let waiting = self.storage.last.get().1.map_or(0, |state| state.waiting);
        let silent = self.silent.as_deref().map(|silent| format!("; {silent}")).unwrap_or_default();
        let outdated = if self.outdated { "; the config could not be reloaded, see the log" } else { "" };
        self.manager.status(format!("{jobs}, {last}, {waiting} waiting{silent}{outdated}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(10_000);

    fn alive() -> Signs {
        Signs { scheduler: NOW, fetcher: NOW, storage: NOW, upkeep: false, workers: NOW }
    }

    fn ago(seconds: u64) -> Duration {
        NOW.saturating_sub(Duration::from_secs(seconds))
    }

    #[test]
    fn it_is_alive_while_everything_shows_that_it_works() {
        assert_eq!(alive().silent(NOW), None);
        let slow = Signs { scheduler: ago(3), fetcher: ago(3), workers: ago(3), storage: ago(100), ..alive() };
        assert_eq!(slow.silent(NOW), None, "a busy machine or a disk that hangs for a while is no reason");
    }

    #[test]
    fn whatever_stops_working_starves_the_watchdog() {
        let silent = |signs: Signs| signs.silent(NOW).expect("silence");
        assert!(
            silent(Signs { scheduler: ago(11), ..alive() })
                .contains("the scheduler has shown no sign of life for 11 s")
        );
        assert!(silent(Signs { fetcher: ago(11), ..alive() }).contains("the fetcher"));
        assert!(silent(Signs { storage: ago(121), ..alive() }).contains("storage"));
        assert!(silent(Signs { workers: ago(11), ..alive() }).contains("a worker"));
    }

    #[test]
    fn the_upkeep_of_a_large_file_may_take_long_but_not_for_ever() {
        assert_eq!(Signs { storage: ago(3_000), upkeep: true, ..alive() }.silent(NOW), None);
        assert!(Signs { storage: ago(4_000), upkeep: true, ..alive() }.silent(NOW).is_some());
    }
}
