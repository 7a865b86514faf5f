//! How many attempts may be in flight now: few at first, more as long as answers are waited for.

use std::time::Duration;

/// So many from the start.
pub const AT_FIRST: usize = 64;
/// So many more at a time.
const STEP: usize = 12;
/// The least time between two steps, in which answers are counted.
const PACE: Duration = Duration::from_millis(2);
/// While more answers come within a millisecond, the HTTP library's one thread is what is short, and further threads and
/// connections would only take from it.
const MANY: u128 = 10;
/// After so long a step is due in any case: whoever asks for many workers gets them, on whatever machine.
const AT_LATEST: Duration = Duration::from_millis(50);

/// The part of the pool that is in use. It only grows. Pure: monotonic times go in.
#[derive(Debug)]
pub struct Width {
    now: usize,
    most: usize,
    /// Since when slots wait for it to grow, and how many answers came meanwhile.
    wanted: Option<(Duration, u128)>,
    /// When the last step was.
    grown: Duration,
}

impl Width {
    /// One that grows up to `most`.
    pub fn new(most: usize) -> Self {
        Self { now: most.min(AT_FIRST), most, wanted: None, grown: Duration::ZERO }
    }

    /// Whether one more may begin beside those that are `in_flight`. If not, and it can grow, [`Self::next_tick`] says when
    /// to ask again.
    pub fn has_room(&mut self, in_flight: usize, now: Duration) -> bool {
        let room = in_flight < self.now;
        if !room && self.now < self.most {
            self.wanted.get_or_insert((now, 0));
        }
        room
    }

    /// An answer came.
    pub fn answered(&mut self) {
        if let Some((_, answers)) = &mut self.wanted {
            *answers += 1;
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Duration) {
        let Some((since, answers)) = self.wanted else { return };
        let span = now.saturating_sub(since);
        if span < PACE {
            return;
        }
        self.wanted = None;
        if answers <= MANY * span.as_micros() / 1_000 || now.saturating_sub(self.grown) >= AT_LATEST {
            self.now = self.most.min(self.now + STEP);
            self.grown = now;
        }
    }

    /// When [`Self::tick`] has something to do.
    pub fn next_tick(&self) -> Option<Duration> {
        self.wanted.map(|(since, _)| since + PACE)
    }
}
