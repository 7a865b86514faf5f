//! What is counted of one bucket's numbers: only what its aggregate needs.

use std::cmp::Ordering;

use super::buckets::Aggregate;
use super::decimal::compare;

/// The slots of one bucket so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) slots: u64,
    pub(super) failed: u64,
    pub(super) values: u64,
    sum: Sum,
    /// The value that is kept to the digit, and roughly.
    kept: String,
    rough: f64,
    /// All of them, for percentiles.
    all: Vec<f64>,
}

/// A sum of numbers: exact while they are integers and it fits, else with what rounding has cost carried along
/// (Neumaier 1974).
#[derive(Debug)]
struct Sum {
    integers: Option<i128>,
    rough: f64,
    lost: f64,
}

impl Default for Sum {
    fn default() -> Self {
        Self { integers: Some(0), rough: 0.0, lost: 0.0 }
    }
}

impl Tally {
    /// Adds a slot: whether it has a document, and the JSON text of its value.
    pub(super) fn add(&mut self, aggregate: Aggregate, ok: bool, value: Option<&str>) {
        self.slots += 1;
        self.failed += u64::from(!ok);
        if let Some(value) = value.filter(|value| is_number(value)) {
            self.add_number(aggregate, value);
            self.values += 1;
        }
    }

    fn add_number(&mut self, aggregate: Aggregate, value: &str) {
        match aggregate {
            Aggregate::Count => {}
            Aggregate::Last => keep(&mut self.kept, value),
            Aggregate::Avg | Aggregate::Sum => self.sum.add(value),
            Aggregate::P50 | Aggregate::P95 => self.all.extend(value.parse::<f64>()),
            Aggregate::Min => self.keep_if(value, Ordering::Less),
            Aggregate::Max => self.keep_if(value, Ordering::Greater),
        }
    }

    fn keep_if(&mut self, value: &str, wanted: Ordering) {
        let rough = value.parse().unwrap_or(f64::NAN);
        // Rounding keeps the order, so only what is rounded to the same has to be looked at closely.
        let order = match rough.partial_cmp(&self.rough) {
            Some(Ordering::Equal) | None => compare(value, &self.kept),
            order => order,
        };
        if self.values == 0 || order == Some(wanted) {
            keep(&mut self.kept, value);
            self.rough = rough;
        }
    }

    /// A JSON number, if there is any and it is finite.
    pub(super) fn value(self, aggregate: Aggregate) -> Option<String> {
        match aggregate {
            Aggregate::Count => Some(self.values.to_string()),
            _ if self.values == 0 => None,
            Aggregate::Last | Aggregate::Min | Aggregate::Max => Some(self.kept),
            Aggregate::Sum => self.sum.integers.map_or_else(|| number(self.sum.float()), |sum| Some(sum.to_string())),
            Aggregate::Avg => number(self.sum.float() / float(self.values)),
            Aggregate::P50 => number(percentile(self.all, 0.50)?),
            Aggregate::P95 => number(percentile(self.all, 0.95)?),
        }
    }
}

impl Sum {
    fn add(&mut self, value: &str) {
        let short = value.parse::<i64>().ok();
        let integer = short.map(i128::from).or_else(|| value.parse().ok());
        self.integers = self.integers.zip(integer).and_then(|(sum, integer)| sum.checked_add(integer));
        // The conversion rounds as the parser does, and is a good deal faster.
        #[allow(clippy::cast_precision_loss, reason = "asked for as f64")]
        let rough = short.map_or_else(|| value.parse().unwrap_or_default(), |short| short as f64);
        let sum = self.rough + rough;
        self.lost +=
            if self.rough.abs() >= rough.abs() { (self.rough - sum) + rough } else { (rough - sum) + self.rough };
        self.rough = sum;
    }

    #[allow(clippy::cast_precision_loss, reason = "asked for as f64")]
    fn float(&self) -> f64 {
        self.integers.map_or(self.rough + self.lost, |sum| sum as f64)
    }
}

/// Whether a JSON value is a number.
fn is_number(value: &str) -> bool {
    value.as_bytes().first().is_some_and(|&first| first == b'-' || first.is_ascii_digit())
}

fn keep(kept: &mut String, value: &str) {
    kept.clear();
    kept.push_str(value);
}

#[allow(clippy::cast_precision_loss, reason = "asked for as f64")]
fn float(count: u64) -> f64 {
    count as f64
}

/// As a line through the sorted values has it (type 7 of Hyndman and Fan 1996, as in numpy).
fn percentile(mut values: Vec<f64>, share: f64) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let place = share * float(u64::try_from(last).ok()?);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the last index")]
    let below = (place.floor() as usize).min(last);
    let (low, high) = (values[below], values[(below + 1).min(last)]);
    let part = place - place.floor();
    Some(if part == 0.0 { low } else { low + (high - low) * part })
}

/// The shortest JSON number that is this value; `None` when it is beyond `f64`.
fn number(value: f64) -> Option<String> {
    let size = value.abs();
    let plain = size == 0.0 || (1e-7..1e21).contains(&size);
    value.is_finite().then(|| if plain { format!("{value}") } else { format!("{value:e}") })
}
