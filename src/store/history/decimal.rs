//! JSON numbers by their value, to the digit: 1, 1.0 and 10e-1 are the same, 9007199254740993 is itself.

use std::cmp::Ordering;

/// A number as sign, digits and magnitude: 0.d₁d₂d₃… × 10^magnitude, without zeros at either end. Zero has no digits.
struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    magnitude: i64,
}

impl Decimal {
    /// `None` when `text` is not a JSON number.
    fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        // Beyond any exponent that somebody means; what is larger still is equal to it.
        let exponent =
            exponent.parse::<i64>().unwrap_or(if exponent.starts_with('-') { i64::MIN / 4 } else { i64::MAX / 4 });
        let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        let leading = digits.iter().take_while(|&&digit| digit == b'0').count();
        digits.drain(..leading);
        digits.truncate(digits.iter().rposition(|&digit| digit != b'0').map_or(0, |last| last + 1));
        if digits.is_empty() {
            return Some(Self { negative: false, digits, magnitude: 0 });
        }
        let count = |length: usize| i64::try_from(length).unwrap_or(i64::MAX / 4);
        let exponent = exponent.clamp(i64::MIN / 4, i64::MAX / 4);
        Some(Self { negative, digits, magnitude: exponent + count(whole.len()) - count(leading) })
    }

    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.digits.is_empty(), number.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        let size = || self.magnitude.cmp(&other.magnitude).then_with(|| self.digits.cmp(&other.digits));
        match (sign(self), sign(other)) {
            (1, 1) => size(),
            (-1, -1) => size().reverse(),
            (a, b) => a.cmp(&b),
        }
    }
}

/// How two JSON numbers compare by value, whatever their form; `None` when one of the texts is not a number.
#[must_use]
pub fn compare(one: &str, other: &str) -> Option<Ordering> {
    if let (Some(one), Some(other)) = (short_integer(one), short_integer(other)) {
        return Some(one.cmp(&other));
    }
    Some(Decimal::parse(one)?.cmp(&Decimal::parse(other)?))
}

/// Whether two JSON numbers are the same by value.
#[must_use]
pub fn same_number(one: &str, other: &str) -> bool {
    one == other || compare(one, other) == Some(Ordering::Equal)
}

fn short_integer(text: &str) -> Option<i64> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_the_same_by_value_whatever_their_form() {
        for (one, other) in [
            ("1", "1.0"),
            ("1", "10e-1"),
            ("-0", "0.0e7"),
            ("0.00120", "12E-4"),
            ("100", "1e+2"),
            ("1e400", "10.0e399"),
            ("123456789012345678901234567890", "1.2345678901234567890123456789e29"),
        ] {
            assert!(same_number(one, other), "{one} {other}");
        }
        for (less, greater) in [
            ("9007199254740992", "9007199254740993"),
            ("12345678901234567890.10", "12345678901234567890.2"),
            ("-2", "-1.9"),
            ("-1", "0"),
            ("0", "1e-400"),
            ("9", "10.0"),
            ("1.9", "1.91"),
            ("1e999999999999999999999", "2e999999999999999999999"),
        ] {
            assert_eq!(compare(less, greater), Some(Ordering::Less), "{less} {greater}");
            assert_eq!(compare(greater, less), Some(Ordering::Greater), "{less} {greater}");
        }
        assert_eq!(compare("\"1\"", "1"), None);
        assert_eq!(compare("null", "1"), None);
    }

    proptest! {
        #[test]
        fn finite_numbers_compare_as_their_values_do(one in -1e6..1e6_f64, other in -1e6..1e6_f64, form in any::<bool>()) {
            let text = |number: f64| if form { format!("{number:e}") } else { format!("{number}") };
            prop_assert_eq!(compare(&text(one), &text(other)), one.partial_cmp(&other));
        }
    }
}
