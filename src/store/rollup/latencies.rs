//! How long slots took, as a histogram that is small in the file and can be added up.

use std::sync::LazyLock;
use std::time::Duration;

use hdrhistogram::Histogram;

/// Significant digits: what is read back is at most 1 % (in fact 1/128) above what was recorded.
const DIGITS: u8 = 2;
/// Twelve days. What takes longer counts as this.
const LONGEST_MICROS: u64 = 1 << 40;

/// Says which values it cannot tell apart. It holds none: as a whole it is a hundred times as large as what is kept here.
static SCALE: LazyLock<Histogram<u64>> =
    LazyLock::new(|| Histogram::new_with_max(LONGEST_MICROS, DIGITS).expect("bounds that hdrhistogram allows"));

/// Pairs of microseconds and how often they were recorded, in order; values that the scale cannot tell apart are one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latencies(Vec<(u64, u64)>);

/// The latencies that half of all, 95 and 99 of 100 did not exceed; each at most 1 % too high.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percentiles {
    /// Half.
    pub p50: Duration,
    /// 95 of 100.
    pub p95: Duration,
    /// 99 of 100.
    pub p99: Duration,
}

impl Latencies {
    pub fn record(&mut self, elapsed_us: i64) {
        let micros = u64::try_from(elapsed_us).unwrap_or(0).min(LONGEST_MICROS);
        let value = SCALE.lowest_equivalent(micros);
        match self.0.binary_search_by_key(&value, |&(value, _)| value) {
            Ok(index) => self.0[index].1 += 1,
            Err(index) => self.0.insert(index, (value, 1)),
        }
    }

    pub fn add(&mut self, other: &Self) {
        let (mut own, mut others) = (self.0.iter().copied().peekable(), other.0.iter().copied().peekable());
        let mut sum = Vec::with_capacity(self.0.len() + other.0.len());
        while let Some(value) = own.peek().into_iter().chain(others.peek()).map(|&(value, _)| value).min() {
            let is_next = |&(next, _): &(u64, u64)| next == value;
            let counts = [own.next_if(is_next), others.next_if(is_next)];
            sum.push((value, counts.into_iter().flatten().map(|(_, count)| count).sum()));
        }
        self.0 = sum;
    }

    /// How many were recorded; `None` when that is no number.
    pub fn count(&self) -> Option<u64> {
        self.0.iter().try_fold(0, |sum: u64, (_, count)| sum.checked_add(*count))
    }

    /// `None` when nothing was recorded.
    pub fn percentiles(&self) -> Option<Percentiles> {
        let total: u64 = self.0.iter().map(|(_, count)| count).sum();
        let at = |hundredths: u64| {
            let mut below = 0;
            let found = self.0.iter().find(|(_, count)| {
                below += count;
                below * 100 >= total * hundredths
            });
            found.map(|&(value, _)| Duration::from_micros(SCALE.highest_equivalent(value)))
        };
        Some(Percentiles { p50: at(50)?, p95: at(95)?, p99: at(99)? })
    }

    /// Pairs of LEB128 numbers: how much higher than the last value, how often.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len() * 4);
        let mut last = 0;
        for &(value, count) in &self.0 {
            put(&mut bytes, value - last);
            put(&mut bytes, count);
            last = value;
        }
        bytes
    }

    /// `None` when these bytes were never encoded.
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let (mut counts, mut value) = (Vec::new(), 0_u64);
        while !bytes.is_empty() {
            value = value.checked_add(take(&mut bytes)?).filter(|&value| value <= LONGEST_MICROS)?;
            counts.push((value, take(&mut bytes)?));
        }
        Some(Self(counts))
    }
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            return bytes.push(low & 0x7f);
        }
        bytes.push(low | 0x80);
    }
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[i64]) -> Latencies {
        let mut latencies = Latencies::default();
        for &value in values {
            latencies.record(value);
        }
        latencies
    }

    proptest! {
        #[test]
        fn percentiles_are_at_most_a_hundredth_above_those_of_the_values(
            mut values in proptest::collection::vec(0_i64..3_600_000_000, 1..300),
        ) {
            let found = of(&values).percentiles().expect("values");
            values.sort_unstable();
            for (quantile, found) in [(50, found.p50), (95, found.p95), (99, found.p99)] {
                let exact = values[(values.len() * quantile).div_ceil(100) - 1].unsigned_abs();
                let found = u64::try_from(found.as_micros()).expect("small");
                prop_assert!((exact..=exact + exact / 100).contains(&found), "{quantile}: {found}, not {exact}");
            }
        }

        #[test]
        fn parts_that_are_encoded_and_added_up_are_the_whole(
            values in proptest::collection::vec(0_i64..100_000_000, 0..100), at in 0_usize..100,
        ) {
            let (first, second) = values.split_at(at.min(values.len()));
            let mut sum = Latencies::decode(&of(first).encode()).expect("encoded");
            sum.add(&Latencies::decode(&of(second).encode()).expect("encoded"));
            prop_assert_eq!(sum, of(&values));
        }

        #[test]
        fn whatever_bytes_are_decoded_nothing_breaks(bytes in proptest::collection::vec(any::<u8>(), 0..50)) {
            let _ = Latencies::decode(&bytes);
        }
    }

    #[test]
    fn an_hour_of_minutes_takes_few_bytes() {
        let minutes: Vec<i64> = (0..60).map(|minute| 180_000 + minute * 1_500).collect();
        assert!(of(&minutes).encode().len() <= 60 * 4);
    }
}
