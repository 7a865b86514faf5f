//! The key of a slot: one number, its round's and its position's together. All slots of a round lie side by side.
//!
//! SQL that looks slots up does it by `slot_id`; the columns `round_id` and `position` are made from it and have no index.

use crate::model::MOST_ENDPOINTS;

/// How many bits a position has.
const BITS: u32 = MOST_ENDPOINTS.ilog2();

/// The slots `s` of round `r`, as a condition in SQL.
pub(super) const SLOTS_OF_ROUND: &str = "s.slot_id BETWEEN r.round_id << 20 AND r.round_id << 20 | 1048575";

/// The key of the slot at `position` in `round`; in SQL it is `round_id << 20 | position`.
pub(super) const fn slot_id(round: i64, position: i64) -> i64 {
    round << BITS | position
}

/// The first and the last key that slots of `round` can have.
pub(super) const fn slot_ids(round: i64) -> (i64, i64) {
    (slot_id(round, 0), slot_id(round, (1 << BITS) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sql_says_of_keys_is_the_same() {
        assert_eq!((1 << BITS, slot_ids(3)), (1_048_576, (3 << 20, (4 << 20) - 1)));
        assert_eq!(slot_id(3, 7), 3 << 20 | 7);
    }
}
