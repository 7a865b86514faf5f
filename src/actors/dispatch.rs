//! What the Fetcher decides: which slot goes to the pool next, when one is tried again, when a round closes. Pure:
//! monotonic times and answers go in, orders and closed rounds come out.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix::Recipient;

use super::messages::{RoundClosed, StartRound};
use crate::clock::Moment;
use crate::fetch::{Attempt, PreparedJob, Request, retry};
use crate::model::{Cause, ClosedRound, Detail, JobName, Outcome, RoundBegin, RoundId, RoundStatus, Slot};

/// So many workers are kept for each job that is not using them, however wide another job's round is.
const KEPT_FOR_A_JOB: usize = 4;
/// The part of the pool that is kept so at most: a quarter, rounded up, of two workers or more.
const KEPT_AT_MOST: usize = 4;

/// One attempt that a worker is to make.
pub struct Order {
    /// The job.
    pub job: JobName,
    /// The round.
    pub round: RoundId,
    /// The slot.
    pub position: u32,
    /// What is sent.
    pub request: Arc<Request>,
    /// The attempt's total time: the endpoint's own, or what is left of the round.
    pub timeout: Duration,
}

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
    in_flight: usize,
    loads: HashMap<JobName, Load>,
    rounds: Vec<Running>,
    /// Ended, and not taken yet.
    finished: Vec<Finished>,
    ended: Arc<AtomicUsize>,
}

/// A job's use of the pool, over its rounds.
#[derive(Default)]
struct Load {
    endpoints: usize,
    in_flight: usize,
    /// Positions that timed out in the last round: they go last in the next, so that they delay nobody.
    hung: HashSet<u32>,
}

impl Load {
    /// Workers that are kept for this job and not in use by it.
    fn kept(&self) -> usize {
        self.endpoints.min(KEPT_FOR_A_JOB).saturating_sub(self.in_flight)
    }
}

struct Running {
    begin: RoundBegin,
    job: Arc<PreparedJob>,
    started: Duration,
    closes: Duration,
    closed: Option<Recipient<RoundClosed>>,
    /// Ready to be sent, in order.
    waiting: VecDeque<u32>,
    /// To be sent again at a time.
    retries: BinaryHeap<Reverse<(Duration, u32)>>,
    slots: Vec<Progress>,
    open: usize,
    in_flight: usize,
    stopping: bool,
}

/// How far a slot has come.
#[derive(Default)]
struct Progress {
    attempts: u32,
    started: Option<Duration>,
    in_flight: bool,
    last: Option<Attempt>,
    done: Option<Slot>,
}

impl Dispatch {
    /// Shares `workers` between the jobs of `stakes` (name and number of endpoints), and any other.
    pub fn new(workers: usize, stakes: impl IntoIterator<Item = (JobName, usize)>) -> Self {
        let load = |(job, endpoints)| (job, Load { endpoints, ..Load::default() });
        let loads = stakes.into_iter().map(load).collect();
        Self {
            workers: workers.max(1),
            in_flight: 0,
            loads,
            rounds: Vec::new(),
            finished: Vec::new(),
            ended: Arc::default(),
        }
    }

    /// A count of all slots that an answer has ended.
    #[must_use]
    pub fn ended(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.ended)
    }

    /// A round starts. One without endpoints is finished at once.
    pub fn start(&mut self, start: StartRound, now: Moment) {
        let StartRound { begin, job, deadline, closed } = start;
        let slots = job.requests.len();
        let load = self.loads.entry(begin.layout.job.clone()).or_default();
        load.endpoints = slots;
        let all = 0..u32::try_from(slots).unwrap_or(u32::MAX);
        let (last, first): (VecDeque<u32>, VecDeque<u32>) = all.partition(|position| load.hung.contains(position));
        self.rounds.push(Running {
            begin,
            job,
            started: now.monotonic,
            closes: now.monotonic + deadline,
            closed,
            waiting: first.into_iter().chain(last).collect(),
            retries: BinaryHeap::new(),
            slots: (0..slots).map(|_| Progress::default()).collect(),
            open: slots,
            in_flight: 0,
            stopping: false,
        });
        self.close_finished(now);
    }

    /// An attempt ended. One that belongs to a closed round only frees its worker.
    pub fn fetched(&mut self, job: &JobName, round: RoundId, position: u32, attempt: Attempt, now: Moment) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(load) = self.loads.get_mut(job) {
            load.in_flight = load.in_flight.saturating_sub(1);
            if attempt.outcome == Outcome::Timeout {
                load.hung.insert(position);
            }
        }
        let Some(index) = self.rounds.iter().position(|running| running.begin.id == round) else { return };
        let running = &mut self.rounds[index];
        running.in_flight = running.in_flight.saturating_sub(1);
        let open = running.open;
        running.answered(position, attempt, now);
        self.ended.fetch_add(open - running.open, Ordering::Relaxed);
        if running.open == 0 {
            self.close(index, now);
        }
    }

    /// Time has passed: pauses end, deadlines are reached.
    pub fn tick(&mut self, now: Moment) {
        for running in &mut self.rounds {
            while let Some(&Reverse((at, position))) = running.retries.peek() {
                if at > now.monotonic {
                    break;
                }
                running.retries.pop();
                // Behind a slot that hangs, and may have to wait for a worker, one that was merely refused waits too.
                if running.slots[position as usize].last.as_ref().is_some_and(|last| last.outcome == Outcome::Timeout) {
                    running.waiting.push_back(position);
                } else {
                    running.waiting.push_front(position);
                }
            }
        }
        self.close_finished(now);
    }

    /// All running rounds close within `grace`, as interrupted when something of them is open then.
    pub fn drain(&mut self, grace: Duration, now: Moment) {
        for running in &mut self.rounds {
            running.closes = running.closes.min(now.monotonic + grace);
            running.stopping = true;
        }
        self.close_finished(now);
    }

    /// The attempts that are to be made now.
    pub fn orders(&mut self, now: Moment) -> Vec<Order> {
        let mut orders = Vec::new();
        let mut kept: usize = self.loads.values().map(Load::kept).sum();
        while self.in_flight < self.workers {
            let Some(index) = self.next_round(kept) else { break };
            let Some(order) = self.rounds[index].order(now) else { break };
            if let Some(load) = self.loads.get_mut(&order.job) {
                kept -= load.kept();
                load.in_flight += 1;
                kept += load.kept();
            }
            self.in_flight += 1;
            orders.push(order);
        }
        orders
    }

    /// When [`Self::tick`] has something to do next (monotonic time).
    #[must_use]
    pub fn next_tick(&self) -> Option<Duration> {
        let retry = |running: &Running| running.retries.peek().map_or(running.closes, |&Reverse((at, _))| at);
        self.rounds.iter().map(|running| running.closes.min(retry(running))).min()
    }

    /// The rounds that ended since the last call.
    pub fn take_finished(&mut self) -> Vec<Finished> {
        std::mem::take(&mut self.finished)
    }

    /// Whether no round runs.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.rounds.is_empty()
    }

    /// The round that gets the next worker: of those with a slot ready, the one with the fewest in flight (max-min
    /// fairness), as long as enough workers stay free for the other jobs, for which `kept` are kept together.
    fn next_round(&self, kept: usize) -> Option<usize> {
        let free = self.workers - self.in_flight;
        let most = if self.workers > 1 { self.workers.div_ceil(KEPT_AT_MOST) } else { 0 };
        let may = |running: &Running| {
            let Some(next) = running.waiting.front() else { return false };
            let load = self.loads.get(&running.begin.layout.job);
            if self.loads.len() > 1 && load.is_some_and(|load| load.hung.contains(next)) {
                // What hung lately never takes from what is kept, or many jobs that hang would take it all.
                return free > most;
            }
            load.is_some_and(|load| load.kept() > 0) || free > kept.min(most)
        };
        let ready = self.rounds.iter().enumerate().filter(|(_, running)| may(running));
        ready.min_by_key(|(_, running)| running.in_flight).map(|(index, _)| index)
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
        let untouched = running.open == 0;
        let slots: Vec<Slot> = running.slots.drain(..).map(|slot| slot.end(running.stopping, now)).collect();
        if let Some(load) = self.loads.get_mut(&running.begin.layout.job)
            && !running.stopping
        {
            load.hung = hung(&slots);
        }
        let (status, cause) = if running.stopping && !untouched {
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

impl Running {
    fn order(&mut self, now: Moment) -> Option<Order> {
        let position = self.waiting.pop_front()?;
        let request = Arc::clone(&self.job.requests[position as usize]);
        let slot = &mut self.slots[position as usize];
        slot.attempts += 1;
        slot.started.get_or_insert(now.monotonic);
        slot.in_flight = true;
        self.in_flight += 1;
        let timeout = request.timeout.min(self.closes.saturating_sub(now.monotonic));
        Some(Order { job: self.begin.layout.job.clone(), round: self.begin.id, position, request, timeout })
    }

    /// Keeps the answer, or tries again after a pause when that may help and fits into the round.
    fn answered(&mut self, position: u32, attempt: Attempt, now: Moment) {
        let (Some(slot), Some(request)) =
            (self.slots.get_mut(position as usize), self.job.requests.get(position as usize))
        else {
            return;
        };
        slot.in_flight = false;
        let tries_left = slot.attempts <= request.retries && !self.stopping;
        if tries_left && retry::is_retried(attempt.outcome, attempt.http_status) {
            let pause = retry::pause(slot.attempts).max(attempt.retry_after.unwrap_or_default());
            let at = now.monotonic + pause;
            if at < self.closes {
                slot.last = Some(attempt);
                self.retries.push(Reverse((at, position)));
                return;
            }
        }
        slot.finish(attempt, now);
        self.open -= 1;
    }
}

impl Progress {
    fn finish(&mut self, attempt: Attempt, now: Moment) {
        self.done = Some(Slot {
            outcome: attempt.outcome,
            http_status: attempt.http_status,
            attempts: self.attempts,
            fetched_at: now.wall,
            elapsed: self.started.map_or(Duration::ZERO, |started| now.monotonic.saturating_sub(started)),
            body: attempt.body,
            detail: attempt.detail,
            phases: attempt.phases,
            evidence: attempt.evidence,
            validators: attempt.validators,
            asks_for_last_ok: false,
        });
    }

    /// The slot when its round closes: what it came to, or why it did not.
    fn end(mut self, stopping: bool, now: Moment) -> Slot {
        if self.done.is_none() {
            let attempt = match (self.in_flight, self.last.take()) {
                (false, Some(last)) => last,
                (false, None) if stopping => {
                    Attempt::failed(Outcome::Cancelled, Detail::new("stopped before it began"))
                }
                (true, _) if stopping => Attempt::failed(Outcome::Cancelled, Detail::new("stopped while it ran")),
                // A worker was never free.
                (false, None) => Attempt::failed(Outcome::Timeout, Detail::new("queue")),
                (true, _) => Attempt::failed(Outcome::Timeout, Detail::new("the round's deadline")),
            };
            self.finish(attempt, now);
        }
        self.done.unwrap_or_else(|| Slot::untried(Outcome::Panic, "a slot without an end", now.wall))
    }
}

fn hung(slots: &[Slot]) -> HashSet<u32> {
    let hung = slots.iter().zip(0..).filter(|(slot, _)| slot.outcome == Outcome::Timeout && slot.attempts > 0);
    hung.map(|(_, position)| position).collect()
}
