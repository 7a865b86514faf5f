//! A thread that delivers what is put into its bounded queue, again and again while that may help. Whoever puts something
//! in never waits.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::fetch::Undelivered;

/// The first pause between two tries; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause of ours; a server may ask for a longer one.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// A thread's stack: the client has one of its own for what goes deep.
const STACK: usize = 256 * 1024;

/// What may wait, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// So many wait at most: the oldest is dropped for a newer one. With 1, what waits for its next try is as well.
    pub waiting: usize,
    /// So long after its first try one is given up.
    pub patience: Duration,
}

/// What became of one.
#[derive(Debug)]
pub enum Fate {
    /// It was delivered.
    Delivered,
    /// This is why it was not, at last.
    Failed(Undelivered),
    /// There were too many, or a newer one took its place.
    Dropped,
    /// The daemon stopped meanwhile.
    Stopped,
}

/// See the module.
pub struct Outbox<T>(Arc<Shared<T>>);

struct Shared<T> {
    bounds: Bounds,
    state: Mutex<State<T>>,
    changed: Condvar,
    report: Box<dyn Fn(&T, Fate) + Send + Sync>,
}

struct State<T> {
    queue: VecDeque<T>,
    /// No pauses any more.
    stopping: bool,
    /// The thread is done.
    ended: bool,
}

impl<T: Send + 'static> Outbox<T> {
    /// Starts the thread, called `name`, which gives each to `deliver`, and what became of it to `report`.
    ///
    /// # Errors
    /// When the system does not give a thread.
    pub fn start(
        name: &str,
        bounds: Bounds,
        deliver: impl Fn(&T) -> Result<(), Undelivered> + Send + 'static,
        report: impl Fn(&T, Fate) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let state = State { queue: VecDeque::new(), stopping: false, ended: false };
        let report = Box::new(report);
        let shared = Arc::new(Shared { bounds, state: Mutex::new(state), changed: Condvar::new(), report });
        let outbox = Self(Arc::clone(&shared));
        let work = move || {
            while let Some(item) = shared.next() {
                let fate = shared.deliver(&item, &deliver);
                (shared.report)(&item, fate);
            }
            shared.lock().ended = true;
            shared.changed.notify_all();
        };
        thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn(work)?;
        Ok(outbox)
    }

    /// Puts `item` into the queue.
    pub fn put(&self, item: T) {
        let mut state = self.0.lock();
        let dropped = if state.queue.len() >= self.0.bounds.waiting { state.queue.pop_front() } else { None };
        state.queue.push_back(item);
        drop(state);
        self.0.changed.notify_all();
        if let Some(dropped) = dropped {
            (self.0.report)(&dropped, Fate::Dropped);
        }
    }

    /// What waits is tried once more at most.
    pub fn stop(&self) {
        self.0.lock().stopping = true;
        self.0.changed.notify_all();
    }

    /// Waits until all was tried, after [`Self::stop`], at most until `deadline`. What waits then is reported as stopped.
    pub fn wait(&self, deadline: Instant) {
        let mut state = self.0.lock();
        while !state.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let left = std::mem::take(&mut state.queue);
        drop(state);
        left.iter().for_each(|item| (self.0.report)(item, Fate::Stopped));
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next one; `None` when there will be none.
    fn next(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(item) = state.queue.pop_front() {
                return Some(item);
            }
            if state.stopping {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn deliver(&self, item: &T, deliver: &impl Fn(&T) -> Result<(), Undelivered>) -> Fate {
        let (began, mut pause) = (Instant::now(), FIRST_PAUSE);
        loop {
            // A panic would end the thread, and nobody would be told any more.
            let Ok(tried) = catch_unwind(AssertUnwindSafe(|| deliver(item))) else { return Fate::Dropped };
            let error = match tried {
                Ok(()) => return Fate::Delivered,
                Err(error) => error,
            };
            let wait = pause.max(error.retry_after.unwrap_or_default());
            if !error.may_pass() || began.elapsed() + wait > self.bounds.patience {
                return Fate::Failed(error);
            }
            tracing::debug!(%error, again_in = ?wait, "not delivered yet");
            if let Some(fate) = self.pause(wait) {
                return fate;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Waits for the next try, unless there is to be none.
    fn pause(&self, wait: Duration) -> Option<Fate> {
        let ends = Instant::now() + wait;
        let mut state = self.lock();
        loop {
            if self.bounds.waiting == 1 && !state.queue.is_empty() {
                return Some(Fate::Dropped);
            }
            if state.stopping {
                return Some(Fate::Stopped);
            }
            let left = ends.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl<T> Drop for Outbox<T> {
    fn drop(&mut self) {
        self.0.lock().stopping = true;
        self.0.changed.notify_all();
    }
}
