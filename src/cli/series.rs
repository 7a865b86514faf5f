//! Values over time, and where they are interrupted: what a picture shows.

use std::time::Duration;

use crate::model::Timestamp;

/// More than so many times the usual distance between two observations, and rounds are missing between them.
const FAR: u32 = 3;
/// So many distances on either side say what is usual there: a cadence may change.
const NEAR: usize = 5;

/// Values in the order of time.
#[derive(Debug, Default)]
pub struct Series {
    /// Values that follow each other without a gap.
    pub runs: Vec<Vec<(Timestamp, f64)>>,
    interrupted: bool,
    values: usize,
    ends: Option<(Timestamp, Timestamp)>,
}

impl Series {
    /// Adds a value, which is later than all others.
    pub fn add(&mut self, at: Timestamp, value: f64) {
        match self.runs.last_mut() {
            Some(run) if !self.interrupted => run.push((at, value)),
            _ => self.runs.push(vec![(at, value)]),
        }
        self.interrupted = false;
        self.values += 1;
        self.reach(at);
    }

    /// The next value does not follow the one before it.
    pub fn interrupt(&mut self) {
        self.interrupted = true;
    }

    /// None of these values, whose moments ascend, follows the one before it.
    pub fn interrupt_before(&mut self, moments: &[Timestamp]) {
        let follows = |at: &Timestamp| moments.binary_search(at).is_err();
        let runs = self.runs.iter().flat_map(|run| run.chunk_by(|_, (at, _)| follows(at)));
        self.runs = runs.map(<[_]>::to_vec).collect();
    }

    /// The picture reaches to this moment, whether there is a value or not.
    pub fn reach(&mut self, at: Timestamp) {
        let (first, last) = self.ends.unwrap_or((at, at));
        self.ends = Some((first.min(at), last.max(at)));
    }

    /// How many values there are.
    pub fn values(&self) -> usize {
        self.values
    }

    /// The first and the last moment of the picture, in microseconds.
    pub fn ends(&self) -> (i64, i64) {
        self.ends.map_or((0, 0), |(first, last)| (first.as_micros(), last.as_micros()))
    }
}

/// Those of the dues of observations, which ascend, before which rounds are missing: they are several times as far from
/// the one before them as is usual on both sides.
pub fn after_holes(dues: &[Timestamp]) -> Vec<Timestamp> {
    let distances: Vec<Duration> = dues.windows(2).map(|pair| pair[1].since(pair[0])).collect();
    let is_far = |index: usize| {
        let before = median(&distances[index.saturating_sub(NEAR)..index]);
        let after = median(&distances[index + 1..distances.len().min(index + 1 + NEAR)]);
        before.max(after).is_some_and(|usual| distances[index] > usual.saturating_mul(FAR))
    };
    (0..distances.len()).filter(|&index| is_far(index)).map(|index| dues[index + 1]).collect()
}

/// Of two in the middle the shorter one.
fn median(distances: &[Duration]) -> Option<Duration> {
    let mut sorted = distances.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holes(minutes: &[i64]) -> Vec<i64> {
        let dues: Vec<Timestamp> = minutes.iter().map(|minute| Timestamp::from_micros(minute * 60_000_000)).collect();
        after_holes(&dues).into_iter().map(|due| due.as_micros() / 60_000_000).collect()
    }

    const NONE: [i64; 0] = [];

    #[test]
    fn rounds_are_missing_where_the_next_is_several_times_as_far_as_usual() {
        assert_eq!(holes(&[0, 10, 20, 960, 970, 980]), [960]);
        assert_eq!(holes(&[0, 10, 20, 30, 500, 960, 970, 980, 990]), [500, 960], "one alone between two");
        assert_eq!(holes(&[0, 10, 20, 40, 50, 60]), NONE, "one round alone may be missing for a change of the clock");
        assert_eq!(holes(&[0, 1, 2, 3, 4, 5, 6, 66, 126, 186, 246, 306, 366]), NONE, "another cadence");
        assert_eq!(holes(&[0, 60, 120, 180, 240, 241, 242, 243, 244, 245, 246]), NONE, "and back");
        assert_eq!(holes(&[0, 1_440, 2_880, 4_320, 5_760, 10_080, 11_520, 12_960]), NONE, "weekends without a round");
        assert_eq!(holes(&[0, 10, 960]), [960]);
        assert_eq!((holes(&[0, 960]), holes(&[0]), holes(&[])), (vec![], vec![], vec![]));
    }
}
