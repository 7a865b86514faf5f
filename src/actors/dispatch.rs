//! What the Fetcher decides: which slot goes to the pool next, when one is tried again, when a round closes. Pure:
//! monotonic times and answers go in, orders and closed rounds come out.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix::Recipient;
use rustc_hash::FxHashMap;

use super::hosts::Hosts;
use super::in_flight::InFlight;
use super::load::Load;
use super::memory::Memories;
use super::messages::{RoundClosed, SlotFetched, StartRound};
pub use super::running::Order;
use super::running::{Next, Running};
use super::width::Width;
use crate::clock::Moment;
use crate::fetch::{PreparedJob, retry};
use crate::model::{Cause, ClosedRound, HostPause, JobName, Memory, Outcome, RoundStatus};

/// The part of the pool that is kept so at most: a quarter, rounded up, of two workers or more.
const KEPT_AT_MOST: usize = 4;

/// A round that ended, and who waits for it.
pub struct Finished {
    /// The round.
    pub round: ClosedRound,
    /// Told when it is stored.
    pub closed: Option<Recipient<RoundClosed>>,
}

/// The running rounds and their share of the pool.
pub struct Dispatch {
    workers: usize,
    in_flight: InFlight,
    width: Width,
    loads: FxHashMap<JobName, Load>,
    /// The jobs whose rounds are to come.
    jobs: Vec<Arc<PreparedJob>>,
    rounds: Vec<Running>,
    hosts: Hosts,
    /// Numbers the turns that rounds get at hosts.
    turns: u64,
    memories: Memories,
    /// Whether a host that asks for a pause is left alone by all, and not only by the slot that it told so, which waits
    /// for a minute at most.
    leaves_alone: bool,
    /// Pauses that hosts asked for, and not taken yet.
    pauses: Vec<HostPause>,
    /// Ended, and not taken yet.
    finished: Vec<Finished>,
    ended: Arc<AtomicUsize>,
}

impl Dispatch {
    /// Shares `workers` between the jobs of `stakes` (name and number of endpoints), and any other.
    pub fn new(workers: usize, stakes: impl IntoIterator<Item = (JobName, usize)>) -> Self {
        let load = |(job, endpoints)| (job, Load::of(endpoints));
        let loads = stakes.into_iter().map(load).collect();
        let workers = workers.max(1);
        Self {
            workers,
            in_flight: InFlight::default(),
            width: Width::new(workers),
            loads,
            jobs: Vec::new(),
            rounds: Vec::new(),
            hosts: Hosts::default(),
            turns: 0,
            memories: Memories::default(),
            leaves_alone: false,
            pauses: Vec::new(),
            finished: Vec::new(),
            ended: Arc::default(),
        }
    }

    /// A count of all slots that an answer has ended.
    #[must_use]
    pub fn ended(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.ended)
    }

    /// The same for a service: a host that asks for a pause is left alone by all rounds. `pauses` are those that an
    /// earlier run was asked for.
    #[must_use]
    pub fn leaving_alone(mut self, pauses: &[HostPause], now: Moment) -> Self {
        self.leaves_alone = true;
        for pause in pauses {
            // The clock may have been set since: no pause is longer than an hour.
            let left = pause.until.since(now.wall).min(retry::LONGEST_RETRY_AFTER);
            self.hosts.pause(&Arc::from(pause.host.as_str()), left, now);
        }
        self
    }

    /// Makes the limits of a job's hosts known, and what is remembered of its endpoints, in their order.
    pub fn expect(&mut self, job: &Arc<PreparedJob>, memories: Vec<Memory>) {
        self.jobs.push(Arc::clone(job));
        job.requests.iter().for_each(|request| self.hosts.limit(request));
        for (endpoint, memory) in job.layout.endpoints.iter().zip(memories) {
            self.memories.recall(&job.layout.job, &endpoint.name, memory);
        }
    }

    /// The rounds to come are of these jobs; `memories` are of the endpoints that were not there before. Running rounds
    /// end as they began, and their hosts' limits hold until then beside those of the new jobs.
    pub fn reload(&mut self, jobs: Vec<Arc<PreparedJob>>, memories: Vec<(JobName, String, Memory)>, now: Moment) {
        self.jobs = jobs;
        self.loads.values_mut().for_each(|load| load.leaving = true);
        for job in &self.jobs {
            let load = self.loads.entry(job.layout.job.clone()).or_default();
            load.leaving = false;
            load.endpoints = job.requests.len();
        }
        for running in &mut self.rounds {
            running.outdated = !self.jobs.iter().any(|job| Arc::ptr_eq(job, &running.job));
        }
        self.follow_config(now);
        for (job, endpoint, memory) in memories {
            self.memories.recall(&job, &endpoint, memory);
        }
    }

    /// Drops what was kept for a config that no running round needs any more.
    fn follow_config(&mut self, now: Moment) {
        let running: HashSet<&JobName> = self.rounds.iter().map(|running| &running.begin.layout.job).collect();
        self.loads.retain(|job, load| !load.leaving || load.in_flight > 0 || running.contains(job));
        let outdated = || self.rounds.iter().filter(|running| running.outdated).map(|running| &running.job);
        let requests = self.jobs.iter().chain(outdated()).flat_map(|job| &job.requests);
        self.hosts.limit_anew(requests.map(Arc::as_ref), now.monotonic);
        self.memories.forget_others(self.jobs.iter().chain(outdated()).map(|job| job.layout.as_ref()));
        self.release_all(now);
    }

    /// What may go on now, of all that waits for a host.
    fn release_all(&mut self, now: Moment) {
        let hosts: HashSet<Arc<str>> = self.rounds.iter().flat_map(Running::hosts_waited_for).collect();
        for host in hosts {
            self.release(&host, self.hosts.room(&host, now.monotonic));
            self.wake_for_held(&host, now);
        }
    }

    /// A round starts. One without endpoints is finished at once.
    pub fn start(&mut self, start: StartRound, now: Moment) {
        self.in_flight.tick(now.monotonic);
        start.job.requests.iter().for_each(|request| self.hosts.limit(request));
        let load = self.loads.entry(start.begin.layout.job.clone()).or_default();
        load.start(&start.begin.layout);
        self.rounds.push(Running::new(start, &load.hung, now));
        self.close_finished(now);
    }

    /// An attempt ended. One that belongs to a closed round only frees its worker.
    pub fn fetched(&mut self, fetched: SlotFetched, now: Moment) {
        let SlotFetched { job, round, position, host, attempt } = fetched;
        self.in_flight.ended((round, position), now.monotonic);
        self.width.answered();
        if let Some(load) = self.loads.get_mut(&job) {
            load.in_flight = load.in_flight.saturating_sub(1);
            if attempt.outcome == Outcome::Timeout {
                load.hung.insert(position);
            }
            if load.leaving && load.in_flight == 0 && !self.rounds.iter().any(|round| round.begin.layout.job == job) {
                self.loads.remove(&job);
            }
        }
        self.hosts.ended(&host);
        let asking = attempt.token_host.as_ref().unwrap_or(&host);
        let span = attempt.retry_after.filter(|_| self.leaves_alone);
        let pause = span.and_then(|span| self.hosts.pause(asking, span, now));
        if pause.is_none() || *asking != host {
            self.release_next(&host, now);
        }
        if let Some(pause) = pause {
            self.pauses.push(pause);
            // What waits for the host finds out that it is to wait longer, or in vain.
            self.release(asking, usize::MAX);
        }
        let Some(index) = self.rounds.iter().position(|running| running.begin.id == round) else { return };
        let running = &mut self.rounds[index];
        running.in_flight = running.in_flight.saturating_sub(1);
        let (due, layout) = (running.begin.due, Arc::clone(&running.begin.layout));
        let patience = (!self.leaves_alone).then_some(retry::LONGEST_WAIT);
        if let Some(slot) = running.answered(position, attempt, patience, now) {
            self.memories.learn(&job, &layout.endpoints[position as usize].name, slot, due);
            self.ended.fetch_add(1, Ordering::Relaxed);
        }
        if self.rounds[index].open == 0 {
            self.close(index, now);
        }
    }

    /// Time has passed: pauses end, deadlines are reached.
    pub fn tick(&mut self, now: Moment) {
        self.in_flight.tick(now.monotonic);
        self.width.tick(now.monotonic);
        for running in &mut self.rounds {
            running.tick(now.monotonic);
        }
        while let Some(host) = self.hosts.woken(now.monotonic) {
            self.release(&host, self.hosts.room(&host, now.monotonic));
            self.wake_for_held(&host, now);
        }
        self.close_finished(now);
    }

    /// One of the slots that wait for `host` may go on if that has room; where the rate does not let it go yet, time has to.
    fn release_next(&mut self, host: &Arc<str>, now: Moment) {
        if self.rounds.iter().any(Running::holds_any) {
            self.release(host, self.hosts.room(host, now.monotonic).min(1));
            self.wake_for_held(host, now);
        }
    }

    /// Sets the time at which what waits for `host` may go on, when that is a matter of time.
    fn wake_for_held(&mut self, host: &Arc<str>, now: Moment) {
        if let Some(at) = self.hosts.opens(host, now.monotonic)
            && self.rounds.iter().any(|running| running.held(host) > 0)
        {
            self.hosts.wake(host, at);
        }
    }

    /// Makes `count` of the slots ready that wait for `host`, each of the round with the fewest in flight, and by turns where
    /// several have as many: answers may be faster than the host's rate. Each round's stay in their order.
    fn release(&mut self, host: &str, count: usize) {
        let mut waiting: Vec<(&mut Running, usize)> =
            self.rounds.iter_mut().filter(|running| running.held(host) > 0).map(|running| (running, 0)).collect();
        let all = waiting.iter().map(|(running, _)| running.held(host)).sum();
        for _ in 0..count.min(all) {
            let left = waiting.iter_mut().filter(|(running, share)| running.held(host) > *share);
            let Some((running, share)) = left.min_by_key(|(running, _)| (running.in_flight, running.turn)) else {
                break;
            };
            *share += 1;
            self.turns += 1;
            running.turn = self.turns;
        }
        for (running, share) in waiting {
            running.release(host, share);
        }
    }

    /// All running rounds close within `grace`, as interrupted when something of them is open then.
    pub fn drain(&mut self, grace: Duration, now: Moment) {
        for running in &mut self.rounds {
            running.stop(now.monotonic + grace);
        }
        self.close_finished(now);
    }

    /// The attempts that are to be made now, no more than [`Self::width`] in all, which may be larger afterwards. Rounds may
    /// close over it, when hosts are to be left alone.
    pub fn orders(&mut self, now: Moment) -> Vec<Order> {
        let mut orders = Vec::new();
        let mut kept: usize = self.loads.values().map(Load::kept).sum();
        // Fixed beforehand: what hung before makes room when it begins, for which threads may have to be started.
        let width = self.width();
        let mut wait = false;
        while self.in_flight.count() < self.workers {
            let Some((index, hung)) = self.next_round(kept, now.monotonic) else { break };
            wait = self.in_flight.count() >= width;
            if wait {
                break;
            }
            match self.rounds[index].next(hung, &mut self.hosts, &self.memories, now) {
                Some(Next::Order(order)) => {
                    self.in_flight.begins((order.round, order.position), hung, now.monotonic);
                    if let Some(load) = self.loads.get_mut(&order.job) {
                        kept -= load.kept();
                        load.in_flight += 1;
                        kept += load.kept();
                    }
                    self.release_next(&order.request.host, now);
                    orders.push(*order);
                }
                Some(Next::Held) => {}
                Some(Next::Ended) => {
                    self.ended.fetch_add(1, Ordering::Relaxed);
                    if self.rounds[index].open == 0 {
                        self.close(index, now);
                    }
                }
                None => break,
            }
        }
        self.width.wanted(wait, now.monotonic);
        orders
    }

    /// When [`Self::tick`] has something to do next (monotonic time).
    #[must_use]
    pub fn next_tick(&self) -> Option<Duration> {
        let rounds = self.rounds.iter().map(Running::next_tick).min()?;
        [Some(rounds), self.hosts.next_wake(), self.width.next_tick()].into_iter().flatten().min()
    }

    /// The rounds that ended since the last call.
    pub fn take_finished(&mut self) -> Vec<Finished> {
        std::mem::take(&mut self.finished)
    }

    /// The pauses that hosts asked for since the last call.
    pub fn take_pauses(&mut self) -> Vec<HostPause> {
        std::mem::take(&mut self.pauses)
    }

    /// How many workers are to be there: so many may be given work now, if there is as much.
    #[must_use]
    pub fn width(&self) -> usize {
        let open = self.rounds.iter().map(|running| running.open.saturating_sub(running.in_flight));
        self.width.now(self.in_flight.late()).min(self.in_flight.count() + open.sum::<usize>())
    }

    /// There are no more workers than this, and will not be.
    pub fn bound(&mut self, workers: usize) {
        self.workers = self.workers.min(workers.max(1));
        self.width.bound(self.workers);
    }

    /// Attempts in the pool.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.count()
    }

    /// Whether no round runs.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.rounds.is_empty()
    }

    /// The round that gets the next worker, and whether it is for a slot that timed out lately: of those with a slot
    /// ready, the one with the fewest in flight (max-min fairness), as long as enough workers stay free for the other
    /// jobs, for which `kept` are kept together.
    fn next_round(&self, kept: usize, now: Duration) -> Option<(usize, bool)> {
        let ready = self.rounds.iter().enumerate();
        let ready = ready.filter_map(|(index, running)| Some((index, running, self.may_ask(running, kept, now)?)));
        ready.min_by_key(|(_, running, _)| running.in_flight).map(|(index, _, hung)| (index, hung))
    }

    /// Whether `running` may have a worker, and for which of its slots: one that timed out lately or another.
    fn may_ask(&self, running: &Running, kept: usize, now: Duration) -> Option<bool> {
        let load = self.loads.get(&running.begin.layout.job)?;
        let free = self.workers - self.in_flight.count();
        let most = if self.workers > 1 { self.workers.div_ceil(KEPT_AT_MOST) } else { 0 };
        // What hung lately never takes from what is kept, or many jobs that hang would take it all.
        let hung_may = running.is_ready(true) && (self.loads.len() == 1 || free > most);
        // What takes longest is asked first, so that the round ends soonest; in half of the pool, so that nobody waits
        // for it long; and last when time is short, so that the others come to their turn.
        if hung_may && load.had_time && running.has_time(now) && self.in_flight.hung() < self.workers / 2 {
            return Some(true);
        }
        let others_may = running.is_ready(false) && (load.kept() > 0 || free > kept.min(most));
        if others_may { Some(false) } else { (hung_may && !running.is_ready(false)).then_some(true) }
    }

    fn close_finished(&mut self, now: Moment) {
        let mut index = 0;
        while let Some(running) = self.rounds.get(index) {
            if running.open == 0 || running.closes <= now.monotonic {
                self.close(index, now);
            } else {
                index += 1;
            }
        }
    }

    fn close(&mut self, index: usize, now: Moment) {
        let mut running = self.rounds.remove(index);
        let all_ended = running.open == 0;
        if running.outdated {
            self.follow_config(now);
        } else {
            // What was released for this round, and not sent, is free for the others.
            self.release_all(now);
        }
        let slots = running.end(now);
        let had_time = running.has_time(running.others_ended);
        if let Some(load) = self.loads.get_mut(&running.begin.layout.job)
            && !running.stopping
        {
            load.learn(&slots, had_time);
        }
        let (status, cause) = if running.stopping && !all_ended {
            (RoundStatus::Interrupted, Some(Cause::Stopped))
        } else {
            (RoundStatus::Complete, None)
        };
        // By the monotonic clock: the other one may have been set meanwhile.
        let finished = running.begin.started.plus(now.monotonic.saturating_sub(running.started));
        let round = ClosedRound { begin: running.begin, finished, status, cause, slots };
        self.finished.push(Finished { round, closed: running.closed });
    }
}
