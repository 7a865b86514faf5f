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
    /// So many wait at most: the oldest is dropped for a newer one. With 1, what was tried in vain is not tried again
    /// when there is a newer one.
    pub waiting: usize,
    /// So long after its first try one is given up.
    pub patience: Duration,
}

/// What became of one.
#[derive(Debug)]
pub enum Fate {
    /// It was not at the first try, for this reason, and is tried again after so long. Another fate follows.
    Delayed(Undelivered, Duration),
    /// It was delivered.
    Delivered,
    /// This is why it was not, at last.
    Failed(Undelivered),
    /// There were too many.
    Dropped,
    /// A defect.
    Panicked,
    /// The daemon stopped meanwhile, or nobody is told there any more.
    Stopped,
}

/// See the module.
pub struct Outbox<T>(Arc<Shared<T>>);

/// Is shown what became of each.
type Report<T> = Box<dyn Fn(&T, Fate) + Send + Sync>;

struct Shared<T> {
    bounds: Bounds,
    state: Mutex<State<T>>,
    changed: Condvar,
    report: Report<T>,
}

struct State<T> {
    queue: VecDeque<Arc<T>>,
    /// What is being delivered, until somebody reports its fate.
    current: Option<Arc<T>>,
    /// No pauses any more.
    stopping: bool,
    /// Goes on with what was not delivered then.
    successor: Option<Arc<Shared<T>>>,
    /// The thread is done.
    ended: bool,
    /// What came to its end, and is not to be tried after a restart.
    done: Vec<Arc<T>>,
}

impl<T: Send + Sync + 'static> Outbox<T> {
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
        let (queue, current, successor) = (VecDeque::new(), None, None);
        let state = State { queue, current, stopping: false, successor, ended: false, done: Vec::new() };
        let report = Box::new(report);
        let shared = Arc::new(Shared { bounds, state: Mutex::new(state), changed: Condvar::new(), report });
        let outbox = Self(Arc::clone(&shared));
        let work = move || {
            while let Some(item) = shared.next() {
                let fate = shared.deliver(&item, &deliver);
                shared.settle(&item, fate);
            }
            shared.end();
        };
        thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn(work)?;
        Ok(outbox)
    }

    /// Puts `item` into the queue.
    pub fn put(&self, item: T) {
        let mut state = self.0.lock();
        let dropped = if state.queue.len() >= self.0.bounds.waiting { state.queue.pop_front() } else { None };
        state.queue.push_back(Arc::new(item));
        state.done.extend(dropped.clone());
        drop(state);
        self.0.changed.notify_all();
        if let Some(dropped) = dropped {
            (self.0.report)(&dropped, Fate::Dropped);
        }
    }

    /// Ends, and lets `successor` go on with what waits, and first with what is being delivered should that fail.
    pub fn hand_over(&self, successor: &Self) {
        self.0.lock().successor = Some(Arc::clone(&successor.0));
        self.stop();
    }

    /// Whether all was tried, after [`Self::stop`] or [`Self::hand_over`].
    pub fn has_ended(&self) -> bool {
        self.0.lock().ended
    }

    /// What came to its end since this was asked for last, in order; not what was stopped, or has a successor.
    pub fn take_done(&self) -> Vec<Arc<T>> {
        std::mem::take(&mut self.0.lock().done)
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
        let left: Vec<Arc<T>> = state.current.take().into_iter().chain(std::mem::take(&mut state.queue)).collect();
        drop(state);
        for item in &left {
            (self.0.report)(item, Fate::Stopped);
        }
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next one; `None` when there will be none.
    fn next(&self) -> Option<Arc<T>> {
        let mut state = self.lock();
        loop {
            if state.successor.is_none()
                && let Some(item) = state.queue.pop_front()
            {
                state.current = Some(Arc::clone(&item));
                return Some(item);
            }
            if state.stopping {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Reports the fate of `item`, unless the successor decides it.
    fn settle(&self, item: &Arc<T>, fate: Fate) {
        let mut state = self.lock();
        // Whoever waited for the end in vain has reported it.
        if state.current.take().is_none() {
            return;
        }
        if state.successor.is_some() && matches!(fate, Fate::Stopped | Fate::Failed(_)) {
            state.queue.push_front(Arc::clone(item));
            return;
        }
        if !matches!(fate, Fate::Stopped) {
            state.done.push(Arc::clone(item));
        }
        drop(state);
        (self.report)(item, fate);
    }

    fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        let (left, successor) = (std::mem::take(&mut state.queue), state.successor.clone());
        drop(state);
        self.changed.notify_all();
        if let Some(successor) = successor {
            successor.put_before(left);
        }
    }

    /// Puts what a predecessor did not deliver before all else.
    fn put_before(&self, mut items: VecDeque<Arc<T>>) {
        let mut state = self.lock();
        if state.ended {
            let successor = state.successor.clone();
            drop(state);
            match successor {
                Some(successor) => successor.put_before(items),
                None => items.iter().for_each(|item| (self.report)(item, Fate::Stopped)),
            }
            return;
        }
        items.append(&mut state.queue);
        let excess = items.len().saturating_sub(self.bounds.waiting);
        let dropped: Vec<Arc<T>> = items.drain(..excess).collect();
        state.queue = items;
        state.done.extend(dropped.iter().cloned());
        drop(state);
        self.changed.notify_all();
        for item in &dropped {
            (self.report)(item, Fate::Dropped);
        }
    }

    fn deliver(&self, item: &T, deliver: &impl Fn(&T) -> Result<(), Undelivered>) -> Fate {
        let (began, mut pause) = (Instant::now(), FIRST_PAUSE);
        loop {
            // A panic would end the thread, and nobody would be told any more.
            let Ok(tried) = catch_unwind(AssertUnwindSafe(|| deliver(item))) else { return Fate::Panicked };
            let error = match tried {
                Ok(()) => return Fate::Delivered,
                Err(error) => error,
            };
            let wait = pause.max(error.retry_after.unwrap_or_default());
            if !error.may_pass() || began.elapsed() + wait > self.bounds.patience {
                return Fate::Failed(error);
            }
            if pause == FIRST_PAUSE {
                (self.report)(item, Fate::Delayed(error.clone(), wait));
            }
            tracing::debug!(%error, again_in = ?wait, "not delivered yet");
            match self.pause(wait) {
                Next::Again => {}
                Next::Newer => return Fate::Failed(error),
                Next::Stop => return Fate::Stopped,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Waits for the next try, unless there is to be none.
    fn pause(&self, wait: Duration) -> Next {
        let ends = Instant::now() + wait;
        let mut state = self.lock();
        loop {
            if self.bounds.waiting == 1 && !state.queue.is_empty() {
                return Next::Newer;
            }
            if state.stopping {
                return Next::Stop;
            }
            let left = ends.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Next::Again;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// What comes after a pause.
enum Next {
    Again,
    Newer,
    Stop,
}

impl<T> Drop for Outbox<T> {
    fn drop(&mut self) {
        self.0.lock().stopping = true;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;
    use crate::fetch::Attempt;
    use crate::model::{Detail, Outcome};

    /// An outbox whose deliveries each wait for a result; what became of each is answered in order.
    #[expect(clippy::type_complexity, reason = "three ends of one test")]
    fn outbox(waiting: usize) -> (Outbox<u32>, Sender<Result<(), Undelivered>>, Receiver<u32>, Receiver<String>) {
        let (result, results) = channel();
        let (beginning, begun) = channel();
        let (fate, fates) = channel();
        let results = Mutex::new(results);
        let deliver = move |item: &u32| {
            beginning.send(*item).expect("the test listens");
            results.lock().expect("unpoisoned").recv().unwrap_or(Ok(()))
        };
        let report = move |item: &u32, became: Fate| {
            if matches!(became, Fate::Delayed(..)) {
                return;
            }
            let word = format!("{became:?}");
            // The test may be over.
            let _ = fate.send(format!("{item} {}", word.split('(').next().unwrap_or_default()));
        };
        let bounds = Bounds { waiting, patience: Duration::from_mins(1) };
        (Outbox::start("test", bounds, deliver, report).expect("a thread"), result, begun, fates)
    }

    fn undelivered(outcome: Outcome) -> Undelivered {
        Attempt::failed(outcome, Detail::new("")).into()
    }

    fn refused() -> Undelivered {
        undelivered(Outcome::Timeout)
    }

    #[test]
    fn what_is_too_much_is_dropped_the_oldest_first_while_one_hangs() {
        let (outbox, result, begun, fates) = outbox(2);
        outbox.put(1);
        assert_eq!(begun.recv(), Ok(1));
        (2..=4).for_each(|item| outbox.put(item));
        assert_eq!(fates.recv().as_deref(), Ok("2 Dropped"));
        for item in [1, 3, 4] {
            result.send(Ok(())).expect("the thread listens");
            assert_eq!(fates.recv(), Ok(format!("{item} Delivered")));
        }
    }

    #[test]
    fn with_one_that_waits_a_newer_one_takes_the_place_of_what_was_tried_in_vain() {
        let (outbox, result, begun, fates) = outbox(1);
        outbox.put(1);
        assert_eq!(begun.recv(), Ok(1));
        outbox.put(2);
        outbox.put(3);
        assert_eq!(fates.recv().as_deref(), Ok("2 Dropped"));
        result.send(Err(refused())).expect("the thread listens");
        assert_eq!(fates.recv().as_deref(), Ok("1 Failed"));
        result.send(Ok(())).expect("the thread listens");
        assert_eq!(fates.recv().as_deref(), Ok("3 Delivered"));
    }

    #[test]
    fn what_was_not_delivered_is_handed_over_in_its_order() {
        let (old, refusing, begun, fates_of_old) = outbox(9);
        let (new, taking, _begun, fates) = outbox(9);
        old.put(1);
        old.put(2);
        assert_eq!(begun.recv(), Ok(1));
        old.hand_over(&new);
        assert!(!old.has_ended(), "it hangs");
        refusing.send(Err(refused())).expect("the thread listens");
        for item in [1, 2] {
            taking.send(Ok(())).expect("the thread listens");
            assert_eq!(fates.recv(), Ok(format!("{item} Delivered")));
        }
        drop((old, begun));
        assert_eq!(fates_of_old.iter().count(), 0, "nothing was lost");
    }

    #[test]
    fn what_was_refused_for_good_is_handed_over_as_well() {
        let (old, refusing, begun, fates_of_old) = outbox(9);
        let (new, taking, _begun, fates) = outbox(9);
        old.put(1);
        assert_eq!(begun.recv(), Ok(1));
        old.hand_over(&new);
        refusing.send(Err(undelivered(Outcome::Protocol))).expect("the thread listens");
        taking.send(Ok(())).expect("the thread listens");
        assert_eq!(fates.recv().as_deref(), Ok("1 Delivered"));
        drop((old, begun));
        assert_eq!(fates_of_old.iter().count(), 0);
    }

    #[test]
    fn at_the_end_what_hangs_and_what_waits_is_reported_once() {
        let (outbox, result, begun, fates) = outbox(9);
        outbox.put(1);
        outbox.put(2);
        assert_eq!(begun.recv(), Ok(1));
        outbox.stop();
        outbox.wait(Instant::now());
        result.send(Ok(())).expect("the thread listens");
        drop((outbox, result, begun));
        assert_eq!(fates.iter().collect::<Vec<_>>(), ["1 Stopped", "2 Stopped"]);
    }
}
