//! The Fetcher: hands slots to the pool, as wide as it is and fairly between rounds, and closes each round in time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Recipient, ResponseFuture, SpawnHandle};
use tokio::sync::{mpsc, oneshot};

use super::changes::Changes;
use super::dispatch::{Dispatch, Order};
use super::messages::{AskBusy, Drain, Fatal, FetchSlot, Reload, RememberPause, SlotFetched, StartRound, StoreRound};
use super::meters::Meters;
use super::pool::Pool;
use crate::clock::{Clock, Moment};
use crate::model::Outcome;

/// So many panics of workers within [`PANIC_WINDOW`] are not chance: the process ends, to be started anew.
const PANICS: usize = 3;
const PANIC_WINDOW: Duration = Duration::from_mins(1);

/// See the module.
pub struct Fetcher {
    dispatch: Dispatch,
    pool: Pool,
    /// Its own address, for the answers: one for all of them.
    own: Option<Arc<Recipient<SlotFetched>>>,
    storage: Recipient<StoreRound>,
    /// Remembers pauses over a restart.
    pauses: Option<Recipient<RememberPause>>,
    clock: Arc<dyn Clock>,
    /// Logs changed outcomes, where rounds repeat.
    changes: Option<Changes>,
    meters: Meters,
    fatal: mpsc::UnboundedSender<Fatal>,
    /// When workers panicked lately.
    panics: VecDeque<Duration>,
    /// The timer that is set: when it fires (monotonic time), and its handle.
    timer: Option<(Duration, SpawnHandle)>,
    /// Waits until no round runs.
    draining: Option<oneshot::Sender<()>>,
}

impl Fetcher {
    /// A Fetcher that gives closed rounds to `storage`, and tells `fatal` when workers keep panicking or cannot be had.
    pub fn new(
        dispatch: Dispatch,
        pool: Pool,
        storage: Recipient<StoreRound>,
        clock: Arc<dyn Clock>,
        fatal: mpsc::UnboundedSender<Fatal>,
    ) -> Self {
        Self {
            dispatch,
            pool,
            own: None,
            storage,
            pauses: None,
            clock,
            changes: None,
            meters: Meters::default(),
            fatal,
            panics: VecDeque::new(),
            timer: None,
            draining: None,
        }
    }

    /// The same, with a line in the log for each endpoint whose outcome is not what it was in the round before.
    #[must_use]
    pub fn logging_changes(mut self) -> Self {
        self.changes = Some(Changes::default());
        self
    }

    /// The same, measured by `meters`.
    #[must_use]
    pub fn measured_by(mut self, meters: Meters) -> Self {
        self.meters = meters;
        self
    }

    /// The same, with pauses that hosts ask for told to `storage`.
    #[must_use]
    pub fn remembering_pauses(mut self, storage: Recipient<RememberPause>) -> Self {
        self.pauses = Some(storage);
        self
    }

    /// Carries out what has been decided.
    fn advance(&mut self, now: Moment, ctx: &mut Context<Self>) {
        loop {
            let width = self.dispatch.width();
            if !self.widen_pool() {
                return;
            }
            self.carry_out(now, ctx);
            // What begins may make room for more.
            if self.dispatch.width() <= width {
                break;
            }
        }
        self.meters.busy(self.dispatch.in_flight());
        if self.dispatch.is_idle()
            && let Some(waiting) = self.draining.take()
        {
            // Whoever asked may have given up waiting.
            let _ = waiting.send(());
        }
        self.set_timer(now, ctx);
    }

    /// Closed rounds go to Storage, slots to the pool as it is.
    fn carry_out(&mut self, now: Moment, ctx: &mut Context<Self>) {
        // Before what it may close.
        let orders = self.dispatch.orders(now);
        for finished in self.dispatch.take_finished() {
            if let Some(changes) = &mut self.changes {
                changes.log(&finished.round);
            }
            self.storage.do_send(StoreRound { round: Arc::new(finished.round), closed: finished.closed });
        }
        for pause in self.dispatch.take_pauses() {
            tracing::warn!(host = pause.host, until = %pause.until, "the host asked to be left alone");
            if let Some(pauses) = &self.pauses {
                pauses.do_send(RememberPause(pause));
            }
        }
        for Order { job, round, position, request, ask } in orders {
            let fetcher = Arc::clone(self.own.get_or_insert_with(|| Arc::new(ctx.address().recipient())));
            self.pool.send(FetchSlot { job, round, position, request, ask, fetcher });
        }
    }

    /// Starts the workers that may be given work now. Where the system refuses some, those that are there do it all; the
    /// answer is whether there are any.
    fn widen_pool(&mut self) -> bool {
        let Err(refused) = self.pool.widen(self.dispatch.width()) else { return true };
        let workers = self.pool.started();
        if workers == 0 {
            self.end(Fatal::Threads(refused));
            return false;
        }
        tracing::warn!(workers, "{refused}; going on with those that are there");
        self.dispatch.bound(workers);
        true
    }

    /// One timer is set at a time. A later one than needed is replaced; an earlier one fires for nothing.
    fn set_timer(&mut self, now: Moment, ctx: &mut Context<Self>) {
        let Some(next) = self.dispatch.next_tick() else { return };
        if let Some((set, handle)) = self.timer {
            if set <= next {
                return;
            }
            ctx.cancel_future(handle);
        }
        let handle = ctx.run_later(next.saturating_sub(now.monotonic), |fetcher, ctx| {
            fetcher.timer = None;
            let now = fetcher.clock.now();
            fetcher.dispatch.tick(now);
            fetcher.advance(now, ctx);
        });
        self.timer = Some((next, handle));
    }

    fn note_panic(&mut self, now: Moment) {
        self.meters.panicked();
        self.panics.push_back(now.monotonic);
        while self.panics.front().is_some_and(|&at| at + PANIC_WINDOW < now.monotonic) {
            self.panics.pop_front();
        }
        if self.panics.len() >= PANICS {
            self.end(Fatal::Panics(self.panics.len()));
        }
    }

    fn end(&self, why: Fatal) {
        // The app is gone only when the process is ending already.
        let _ = self.fatal.send(why);
    }
}

impl Actor for Fetcher {
    type Context = Context<Self>;
}

impl Handler<StartRound> for Fetcher {
    type Result = ();

    fn handle(&mut self, start: StartRound, ctx: &mut Self::Context) {
        let now = self.clock.now();
        self.dispatch.start(start, now);
        self.advance(now, ctx);
    }
}

impl Handler<Reload> for Fetcher {
    type Result = ();

    fn handle(&mut self, reload: Reload, ctx: &mut Self::Context) {
        let now = self.clock.now();
        self.dispatch.reload(reload.jobs, reload.memories, now);
        self.advance(now, ctx);
    }
}

impl Handler<SlotFetched> for Fetcher {
    type Result = ();

    fn handle(&mut self, slot: SlotFetched, ctx: &mut Self::Context) {
        let now = self.clock.now();
        if slot.attempt.outcome == Outcome::Panic {
            self.note_panic(now);
        }
        self.dispatch.fetched(slot, now);
        self.advance(now, ctx);
    }
}

impl Handler<Drain> for Fetcher {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, drain: Drain, ctx: &mut Self::Context) -> Self::Result {
        let (drained, wait) = oneshot::channel();
        self.draining = Some(drained);
        let now = self.clock.now();
        self.dispatch.drain(drain.grace, now);
        self.advance(now, ctx);
        Box::pin(async {
            // An error means that the Fetcher is gone, and all rounds with it.
            let _ = wait.await;
        })
    }
}

impl Handler<AskBusy> for Fetcher {
    type Result = usize;

    fn handle(&mut self, _: AskBusy, _: &mut Self::Context) -> usize {
        self.dispatch.in_flight()
    }
}
