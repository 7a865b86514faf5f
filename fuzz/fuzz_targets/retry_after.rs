//! `Retry-After` of strangers: a pause of at most an hour, or none.

#![no_main]

use std::time::{Duration, SystemTime};

use gatherd::fetch::retry::{LONGEST_RETRY_AFTER, retry_after};
use libfuzzer_sys::fuzz_target;

/// Seconds after the Unix epoch: its beginning, the date of the RFC's example, today, the last of a year of four digits.
const MOMENTS: [u64; 4] = [0, 784_111_777, 1_795_507_200, 253_402_300_799];

fuzz_target!(|value: &str| {
    for seconds in MOMENTS {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        if let Some(pause) = retry_after(value, now) {
            assert!(!pause.is_zero(), "no pause is none");
            assert!(pause <= LONGEST_RETRY_AFTER, "{pause:?}");
        }
    }
});
