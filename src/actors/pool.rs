//! The pool of workers: sync arbiters side by side, of which one with a free worker gets the next slot.

use std::iter;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use actix::{Addr, SyncArbiter};

use super::messages::FetchSlot;
use super::width::AT_FIRST;
use super::worker::{AttemptFn, FetchWorker};
use crate::fetch::attempt;

/// A worker's stack: the TLS handshake runs on the client's own thread, and what looks into a document (`error_if`, the
/// guess) goes no deeper than 16 levels.
const STACK: usize = 256 * 1024;

/// The workers of each sync arbiter behind the first, which has as many as are used at once.
const FURTHER: usize = 16;

/// Worker threads, up to a number. They are started within an actix system, and end when it does.
pub struct Pool {
    arbiters: Vec<Addr<FetchWorker>>,
    free: Free,
    started: usize,
    workers: usize,
    attempt: AttemptFn,
    alive: Alive,
}

/// The arbiters that have free workers, one entry for each. What was used last is used next: its stack and connection are
/// warm.
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
    /// A pool of `workers` threads, at least one, which are started when there is something for them to do.
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

    /// Starts all of its threads now, so that none is found missing later.
    ///
    /// # Errors
    /// When the system does not give so many.
    pub fn start_all(&mut self) -> Result<(), OutOfThreads> {
        while self.started < self.workers {
            self.start_more()?;
        }
        Ok(())
    }

    /// A count of its threads.
    #[must_use]
    pub fn alive(&self) -> Alive {
        self.alive.clone()
    }

    /// Gives `slot` to a free worker; to a new one if there is none. Once all are there and busy, it waits for one.
    ///
    /// # Errors
    /// When the system does not give further threads.
    pub fn send(&mut self, slot: FetchSlot) -> Result<(), OutOfThreads> {
        let arbiter = match self.free.take() {
            None if self.started < self.workers => {
                self.start_more()?;
                self.free.take()
            }
            free => free,
        };
        if let Some(arbiter) = arbiter.map_or(self.arbiters.last(), |arbiter| self.arbiters.get(arbiter)) {
            arbiter.do_send(slot);
        }
        Ok(())
    }

    fn start_more(&mut self) -> Result<(), OutOfThreads> {
        let arbiter = self.arbiters.len();
        let threads = if arbiter == 0 { AT_FIRST } else { FURTHER }.min(self.workers - self.started);
        let mut number = self.started;
        let builder = || {
            number += 1;
            thread::Builder::new().name(format!("fetch-{number}")).stack_size(STACK)
        };
        let (alive, free, attempt) = (self.alive.clone(), self.free.clone(), Arc::clone(&self.attempt));
        let worker = move || FetchWorker::new(Arc::clone(&attempt), Place::new(&alive, &free, arbiter));
        // actix panics when a thread cannot be had.
        let start = AssertUnwindSafe(|| SyncArbiter::start_with_thread_builder(threads, builder, worker));
        self.arbiters.push(catch_unwind(start).map_err(|_| OutOfThreads(self.workers))?);
        self.started += threads;
        self.free.add(arbiter, threads);
        Ok(())
    }
}
