//! Attempts in the pool, and which of them are late.

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::model::RoundId;

/// An attempt that takes longer may take for ever, and no other is to wait for that. With less, attempts that wait for
/// nothing but a processor are taken for such, which brings more of them.
const LATE: Duration = Duration::from_millis(20);

/// A slot: its round and its position.
type Key = (RoundId, u32);

/// See the module. Pure: monotonic times go in.
#[derive(Debug, Default)]
pub struct InFlight {
    attempts: FxHashMap<Key, Attempt>,
    /// Those that may become late, in the order in which they began; some may have ended.
    young: VecDeque<(Duration, Key)>,
    late: usize,
    hung: usize,
}

#[derive(Debug)]
struct Attempt {
    began: Duration,
    late: bool,
    /// Whether the slot had timed out lately.
    hung: bool,
}

impl InFlight {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.attempts.len()
    }

    /// How many of them are late.
    pub fn late(&self) -> usize {
        self.late
    }

    /// How many of them are of slots that had timed out lately.
    pub fn hung(&self) -> usize {
        self.hung
    }

    /// One begins; what had timed out lately is taken for late from its beginning.
    pub fn begins(&mut self, key: Key, hung: bool, now: Duration) {
        self.attempts.insert(key, Attempt { began: now, late: hung, hung });
        if hung {
            self.late += 1;
            self.hung += 1;
        } else {
            self.young.push_back((now, key));
        }
    }

    /// One ended.
    pub fn ended(&mut self, key: Key, now: Duration) {
        self.tick(now);
        if let Some(Attempt { late, hung, .. }) = self.attempts.remove(&key) {
            self.late -= usize::from(late);
            self.hung -= usize::from(hung);
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Duration) {
        while let Some((began, key)) = self.young.pop_front_if(|(began, _)| *began + LATE <= now) {
            // It may have ended, and another of the same slot have begun.
            if let Some(attempt) = self.attempts.get_mut(&key).filter(|attempt| attempt.began == began && !attempt.late)
            {
                attempt.late = true;
                self.late += 1;
            }
        }
    }
}
