//! The Scheduler: knows when. Carries out what the timetable answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext, Context, Handler, MessageResult, SpawnHandle};

use super::fetcher::Fetcher;
use super::messages::{
    AskJobs, BeginRounds, JobState, NotStarted, RecordLedger, Reload, RetryStorage, RoundClosed, StartNow, StartRound,
    StartedNow, StopFiring,
};
use super::meters::Meters;
use super::storage::Storage;
use crate::clock::Clock;
use crate::fetch::PreparedJob;
use crate::model::{JobName, LedgerRow, RoundBegin, RoundId};
use crate::schedule::{Action, Timetable};

/// How often Storage is asked to try again what waits.
const RETRY_STORAGE: Duration = Duration::from_secs(1);

/// See the module.
pub struct Scheduler {
    timetable: Timetable,
    /// The jobs, in the timetable's order.
    jobs: Vec<Arc<PreparedJob>>,
    positions: HashMap<JobName, usize>,
    /// Grows with each look at the clock.
    ticks: Arc<AtomicU64>,
    /// What is due at the start, taken by it.
    at_start: Vec<Action>,
    last_round: RoundId,
    fetcher: Addr<Fetcher>,
    storage: Addr<Storage>,
    clock: Arc<dyn Clock>,
    timer: Option<SpawnHandle>,
    meters: Meters,
    /// Rounds that may still begin.
    rounds_left: u64,
}

impl Scheduler {
    /// A Scheduler for the jobs of `timetable`, in its order, with what its start answered. Rounds are numbered
    /// after `last_round`.
    pub fn new(
        (timetable, at_start): (Timetable, Vec<Action>),
        jobs: Vec<Arc<PreparedJob>>,
        last_round: RoundId,
        fetcher: Addr<Fetcher>,
        storage: Addr<Storage>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (positions, ticks) = (positions(&jobs), Arc::default());
        let (timer, meters, rounds_left) = (None, Meters::default(), u64::MAX);
        Self {
            timetable,
            jobs,
            positions,
            ticks,
            at_start,
            last_round,
            fetcher,
            storage,
            clock,
            timer,
            meters,
            rounds_left,
        }
    }

    /// A count that grows with each look at the clock, which is once a second at least: who sees it stand still knows
    /// that nothing fires.
    #[must_use]
    pub fn ticks(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.ticks)
    }

    /// The same, measured by `meters`.
    #[must_use]
    pub fn measured_by(mut self, meters: Meters) -> Self {
        self.meters = meters;
        self
    }

    /// The same, which fires no more once so many `rounds` have begun.
    #[must_use]
    pub fn at_most(mut self, rounds: u64) -> Self {
        self.rounds_left = rounds;
        self
    }

    /// Whether rounds begin: not while stopping, when there is no timer, nor after the last that was asked for.
    fn fires(&self) -> bool {
        self.timer.is_some() && self.rounds_left > 0
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        if self.rounds_left == 0 {
            self.timer = None;
            return;
        }
        let actions = self.timetable.tick(self.clock.now());
        self.carry_out(actions, ctx);
        for (job, due) in self.timetable.next_dues() {
            self.meters.next_due(job, due);
        }
        let sleep = self.timetable.sleep(self.clock.now());
        self.timer = Some(ctx.run_later(sleep, Self::tick));
        self.ticks.fetch_add(1, Ordering::Relaxed);
    }

    fn carry_out(&mut self, actions: Vec<Action>, ctx: &mut Context<Self>) {
        let (mut begins, mut starts, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        for action in actions {
            self.last_round = RoundId(self.last_round.0 + 1);
            let id = self.last_round;
            match action {
                Action::Start { job, due, deadline } => {
                    let job = Arc::clone(&self.jobs[job]);
                    let layout = Arc::clone(&job.layout);
                    let begin = RoundBegin { id, due, started: self.clock.now().wall, layout };
                    self.meters.round_starts(&begin.layout.job, begin.started.since(due));
                    tracing::debug!(
                        job = %begin.layout.job, round = id.0, %due, deadline_ms = deadline.as_millis(),
                        late_us = begin.started.since(due).as_micros(), "round starts"
                    );
                    self.rounds_left = self.rounds_left.saturating_sub(1);
                    begins.push(begin.clone());
                    starts.push(StartRound { begin, job, deadline, closed: Some(ctx.address().recipient()) });
                }
                Action::Ledger { job, dues, status, cause } => {
                    let job = self.jobs[job].layout.job.clone();
                    tracing::warn!(
                        %job, status = status.as_str(), cause = cause.as_str(), dues = dues.count,
                        first = %dues.first, last = %dues.last, "due without a round"
                    );
                    let (first_due, last_due, covers) = (dues.first, dues.last, dues.count);
                    rows.push(LedgerRow { id, job, first_due, last_due, covers, status, cause });
                }
            }
        }
        for start in starts {
            self.fetcher.do_send(start);
        }
        // The ledger of a sleep goes before the round after it.
        if !rows.is_empty() {
            self.storage.do_send(RecordLedger(rows));
        }
        if !begins.is_empty() {
            self.storage.do_send(BeginRounds(begins));
        }
    }
}

fn positions(jobs: &[Arc<PreparedJob>]) -> HashMap<JobName, usize> {
    jobs.iter().enumerate().map(|(index, job)| (job.layout.job.clone(), index)).collect()
}

impl Actor for Scheduler {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let actions = std::mem::take(&mut self.at_start);
        self.carry_out(actions, ctx);
        self.tick(ctx);
        ctx.run_interval(RETRY_STORAGE, |scheduler, _| scheduler.storage.do_send(RetryStorage));
    }
}

impl Handler<RoundClosed> for Scheduler {
    type Result = ();

    fn handle(&mut self, closed: RoundClosed, ctx: &mut Self::Context) {
        let Some(&job) = self.positions.get(&closed.job) else {
            return self.timetable.closed_removed(&closed.job);
        };
        let action = self.timetable.closed(job, self.clock.now());
        if self.fires() {
            self.carry_out(action.into_iter().collect(), ctx);
        }
    }
}

impl Handler<Reload> for Scheduler {
    type Result = ();

    fn handle(&mut self, reload: Reload, ctx: &mut Self::Context) {
        // While stopping there is no timer, and nothing changes any more.
        let Some(timer) = self.timer.take() else { return };
        ctx.cancel_future(timer);
        let actions = self.timetable.reload(reload.entries.clone(), self.clock.now());
        // Of the jobs as they were.
        self.carry_out(actions, ctx);
        self.positions = positions(&reload.jobs);
        self.jobs.clone_from(&reload.jobs);
        self.fetcher.do_send(reload);
        self.tick(ctx);
    }
}

impl Handler<StopFiring> for Scheduler {
    type Result = ();

    fn handle(&mut self, _: StopFiring, ctx: &mut Self::Context) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
    }
}

impl Handler<StartNow> for Scheduler {
    type Result = Result<StartedNow, NotStarted>;

    fn handle(&mut self, start: StartNow, ctx: &mut Self::Context) -> Self::Result {
        let Some(&job) = self.positions.get(&start.0) else { return Err(NotStarted::Unknown) };
        if !self.fires() {
            return Err(NotStarted::Stopping);
        }
        let now = self.clock.now();
        // What is due already goes first.
        let due = self.timetable.tick(now);
        self.carry_out(due, ctx);
        let action = self.timetable.start_now(job, now).ok_or(NotStarted::Overlap)?;
        self.carry_out(vec![action], ctx);
        Ok(StartedNow { round: self.last_round, due: now.wall })
    }
}

impl Handler<AskJobs> for Scheduler {
    type Result = MessageResult<AskJobs>;

    fn handle(&mut self, _: AskJobs, _: &mut Self::Context) -> Self::Result {
        let states = self.timetable.next_dues().zip(self.timetable.phases());
        MessageResult(states.map(|((job, next_due), phase)| JobState { job: job.clone(), phase, next_due }).collect())
    }
}
