//! The worker threads that make the blocking requests.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use actix::{Actor, Addr, Handler, SyncArbiter, SyncContext};

use super::messages::{FetchSlot, SlotFetched};
use crate::fetch::{Ask, Attempt, Request, attempt};
use crate::model::{Detail, Outcome};

/// A worker's stack: the TLS handshake runs on the client's own thread, and what looks into a document (`error_if`, the
/// guess) goes no deeper than 16 levels.
const STACK: usize = 256 * 1024;

/// What a worker does with a request: [`attempt`], or a test's stand-in for it.
pub type AttemptFn = Arc<dyn Fn(&Request, Ask) -> Attempt + Send + Sync>;

/// One thread of the pool. Blocks for one attempt at a time.
pub struct FetchWorker {
    attempt: AttemptFn,
    _present: Present,
}

/// How many threads of a pool are there. Clones count the same pool.
#[derive(Clone, Debug, Default)]
pub struct Alive(Arc<AtomicUsize>);

/// Counts as long as it is there.
struct Present(Alive);

impl Alive {
    /// The number at this moment.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn enter(&self) -> Present {
        self.0.fetch_add(1, Ordering::Relaxed);
        Present(self.clone())
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl FetchWorker {
    /// Starts a pool of `workers` threads, at least one.
    ///
    /// # Errors
    /// When the system does not give so many threads.
    pub fn start(workers: usize, attempt: AttemptFn) -> Result<Addr<Self>, OutOfThreads> {
        Self::start_counted(workers, attempt, &Alive::default())
    }

    fn start_counted(workers: usize, attempt: AttemptFn, alive: &Alive) -> Result<Addr<Self>, OutOfThreads> {
        let mut number = 0;
        let builder = || {
            number += 1;
            thread::Builder::new().name(format!("fetch-{number}")).stack_size(STACK)
        };
        // actix panics when a thread cannot be had.
        let started = catch_unwind(AssertUnwindSafe(|| {
            let alive = alive.clone();
            let worker = move || Self { attempt: Arc::clone(&attempt), _present: alive.enter() };
            SyncArbiter::start_with_thread_builder(workers.max(1), builder, worker)
        }));
        started.map_err(|_| OutOfThreads(workers))
    }

    /// A pool that really fetches, its threads counted by `alive`.
    ///
    /// # Errors
    /// When the system does not give so many threads.
    pub fn start_fetching(workers: usize, alive: &Alive) -> Result<Addr<Self>, OutOfThreads> {
        Self::start_counted(workers, Arc::new(attempt), alive)
    }
}

/// The pool cannot be had.
#[derive(Debug, thiserror::Error)]
#[error(
    "the system does not give {0} more threads: ask for fewer `workers`, or raise the limit (ulimit -u, TasksMax=)"
)]
pub struct OutOfThreads(pub usize);

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
        fetcher.do_send(SlotFetched { job, round, position, host: Arc::clone(&request.host), attempt });
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
