//! The pool of workers: sync arbiters side by side, of which one with a free worker gets the next slot.

use std::iter;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use actix::{Addr, SyncArbiter};

use super::messages::FetchSlot;
use super::width::{STEP, at_first};
use super::worker::{AttemptFn, FetchWorker};
use crate::fetch::attempt;

/// A worker's stack: the TLS handshake runs on the client's own thread, and what looks into a document (`error_if`, the
/// guess) goes no deeper than 16 levels.
const STACK: usize = 256 * 1024;

/// Worker threads, up to a number. They are started within an actix system, and end when it does.
pub struct Pool {
    arbiters: Vec<Addr<FetchWorker>>,
    free: Free,
    started: usize,
    workers: usize,
    attempt: AttemptFn,
    alive: Alive,
}

/// The arbiters that have free workers, one entry for each worker. What was free last is used next, so that where few are
/// needed the others rest.
#[derive(Clone, Default)]
pub struct Free(Arc<Mutex<Vec<usize>>>);

/// How many threads of a pool are there. Clones count the same pool.
#[derive(Clone, Debug, Default)]
pub struct Alive(Arc<AtomicUsize>);

/// A worker's place: counts as long as it is there.
pub struct Place {
    alive: Alive,
    free: Free,
    arbiter: usize,
}

/// The pool cannot be had.
#[derive(Debug, thiserror::Error)]
#[error(
    "the system does not give {0} more threads: ask for fewer `workers`, or raise the limit (ulimit -u, TasksMax=)"
)]
pub struct OutOfThreads(pub usize);

impl Free {
    fn add(&self, arbiter: usize, workers: usize) {
        // A list that was being added to when a thread panicked is still one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(iter::repeat_n(arbiter, workers));
    }

    fn take(&self) -> Option<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

impl Alive {
    /// The number at this moment.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Place {
    fn new(alive: &Alive, free: &Free, arbiter: usize) -> Self {
        alive.0.fetch_add(1, Ordering::Relaxed);
        Self { alive: alive.clone(), free: free.clone(), arbiter }
    }

    /// Its worker is free.
    pub fn is_free(&self) {
        self.free.add(self.arbiter, 1);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.alive.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    /// A pool of up to `workers` threads, at least one, of which none is there yet.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self::of(workers, Arc::new(attempt))
    }

    /// The same, whose workers do `attempt` with each request.
    #[must_use]
    pub fn of(workers: usize, attempt: AttemptFn) -> Self {
        let (arbiters, free, alive) = (Vec::new(), Free::default(), Alive::default());
        Self { arbiters, free, started: 0, workers: workers.max(1), attempt, alive }
    }

    /// Starts all of its threads, so that none is found missing later.
    ///
    /// # Errors
    /// When the system does not give so many.
    pub fn start_all(&mut self) -> Result<(), OutOfThreads> {
        self.widen(self.workers)
    }

    /// Starts threads until there are at least `workers`, or as many as the pool may have.
    ///
    /// # Errors
    /// When the system does not give so many. Those that are there go on.
    pub fn widen(&mut self, workers: usize) -> Result<(), OutOfThreads> {
        while self.started < workers.min(self.workers) {
            self.start_more()?;
        }
        Ok(())
    }

    /// The threads that were started.
    #[must_use]
    pub fn started(&self) -> usize {
        self.started
    }

    /// A count of its threads that are there.
    #[must_use]
    pub fn alive(&self) -> Alive {
        self.alive.clone()
    }

    /// Gives `slot` to a free worker, of which there is to be one.
    pub fn send(&self, slot: FetchSlot) {
        let free = self.free.take();
        debug_assert!(free.is_some(), "no more slots than workers");
        // Never lost: it would wait there.
        self.arbiters[free.unwrap_or_default()].do_send(slot);
    }

    fn start_more(&mut self) -> Result<(), OutOfThreads> {
        let arbiter = self.arbiters.len();
        let threads = if arbiter == 0 { at_first(self.workers) } else { STEP.min(self.workers - self.started) };
        let mut number = self.started;
        let builder = || {
            number += 1;
            thread::Builder::new().name(format!("fetch-{number}")).stack_size(STACK)
        };
        let (alive, free, attempt) = (self.alive.clone(), self.free.clone(), Arc::clone(&self.attempt));
        let worker = move || FetchWorker::new(Arc::clone(&attempt), Place::new(&alive, &free, arbiter));
        // actix panics when a thread cannot be had.
        let start = AssertUnwindSafe(|| SyncArbiter::start_with_thread_builder(threads, builder, worker));
        self.arbiters.push(catch_unwind(start).map_err(|_| OutOfThreads(threads))?);
        self.started += threads;
        self.free.add(arbiter, threads);
        Ok(())
    }
}
