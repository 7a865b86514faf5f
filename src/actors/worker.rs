//! A worker thread, which makes the blocking requests.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use actix::{Actor, Handler, SyncContext};

use super::messages::{FetchSlot, SlotFetched};
use super::pool::Place;
use crate::fetch::{Ask, Attempt, Request};
use crate::model::{Detail, Outcome};

/// What a worker does with a request: [`crate::fetch::attempt`], or a test's stand-in for it.
pub type AttemptFn = Arc<dyn Fn(&Request, Ask) -> Attempt + Send + Sync>;

/// One thread of the pool. Blocks for one attempt at a time.
pub struct FetchWorker {
    attempt: AttemptFn,
    place: Place,
}

impl FetchWorker {
    /// One that does `attempt` with each request, at its place in the pool.
    pub fn new(attempt: AttemptFn, place: Place) -> Self {
        Self { attempt, place }
    }
}

impl Actor for FetchWorker {
    type Context = SyncContext<Self>;
}

impl Handler<FetchSlot> for FetchWorker {
    type Result = ();

    fn handle(&mut self, slot: FetchSlot, _: &mut Self::Context) {
        let FetchSlot { job, round, position, request, ask, fetcher } = slot;
        let timeout = ask.timeout;
        // A panic would end this thread for good and lose the slot.
        let caught = catch_unwind(AssertUnwindSafe(|| (self.attempt)(&request, ask)));
        let attempt = caught.unwrap_or_else(|panic| {
            tracing::error!(%job, round = round.0, position, message = panic_message(&*panic), "a worker panicked");
            Attempt::failed(Outcome::Panic, Detail::new("a defect in gatherd, see its log"))
        });
        tracing::debug!(
            %job, round = round.0, position, outcome = %attempt.outcome, http_status = attempt.http_status,
            detail = attempt.detail.as_ref().map(Detail::as_str), timeout_ms = timeout.as_millis(), "attempt ended"
        );
        // Before the Fetcher hears of it, which may have the next slot for it.
        self.place.is_free();
        fetcher.do_send(SlotFetched { job, round, position, host: Arc::clone(&request.host), attempt });
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
