//! How many attempts may be in flight now: few at first, more as long as answers are waited for.

use std::time::Duration;

/// A pool of so many is used whole from the start.
const WHOLE: usize = 64;
/// Of a wider one, so many are used at first: on two cores as many requests end in a second as with twice as many.
const AT_FIRST: usize = 32;
/// So many more at a time.
pub const STEP: usize = 12;
/// The least time between two steps, in which answers are counted. Timers being what they are, it is 3 to 4 ms.
const PACE: Duration = Duration::from_millis(2);
/// While more answers come within a millisecond, the HTTP library's one thread is what is short, and further threads and
/// connections would only take from it.
const MANY: u128 = 10;
/// After so long a step is due in any case: whoever asks for many workers gets them, on whatever machine.
const AT_LATEST: Duration = Duration::from_millis(50);

/// How many of `workers` are used from the start.
pub fn at_first(workers: usize) -> usize {
    if workers > WHOLE { AT_FIRST } else { workers }
}

/// The part of the pool that is in use, not counting attempts that are late: each of those makes room for one more. It
/// only grows. Pure: monotonic times go in.
#[derive(Debug)]
pub struct Width {
    now: usize,
    most: usize,
    wait: Option<Wait>,
}

/// Slots are ready, and wait for it to grow.
#[derive(Debug)]
struct Wait {
    /// When that began, or the last step was.
    step: Duration,
    /// Since when answers are counted, and how many came.
    since: Duration,
    answers: u128,
}

impl Width {
    /// One that grows up to `most`.
    pub fn new(most: usize) -> Self {
        Self { now: at_first(most), most, wait: None }
    }

    /// The most in flight now, of which so many are late.
    pub fn now(&self, late: usize) -> usize {
        self.most.min(self.now + late)
    }

    /// There are no more workers than this.
    pub fn bound(&mut self, workers: usize) {
        self.most = self.most.min(workers);
        self.now = self.now.min(workers);
    }

    /// Slots wait because it is used up, or none does.
    pub fn wanted(&mut self, wait: bool, now: Duration) {
        if !wait || self.now == self.most {
            self.wait = None;
        } else if self.wait.is_none() {
            self.wait = Some(Wait { step: now, since: now, answers: 0 });
        }
    }

    /// An answer came.
    pub fn answered(&mut self) {
        if let Some(wait) = &mut self.wait {
            wait.answers += 1;
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Duration) {
        let Some(wait) = &mut self.wait else { return };
        let span = now.saturating_sub(wait.since);
        if span < PACE {
            return;
        }
        if wait.answers <= MANY * span.as_micros() / 1_000 || now.saturating_sub(wait.step) >= AT_LATEST {
            self.now = self.most.min(self.now + STEP);
            wait.step = now;
        }
        (wait.since, wait.answers) = (now, 0);
    }

    /// When [`Self::tick`] has something to do.
    pub fn next_tick(&self) -> Option<Duration> {
        self.wait.as_ref().map(|wait| wait.since + PACE)
    }
}
