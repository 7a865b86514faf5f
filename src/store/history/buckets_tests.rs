//! Buckets against a model that keeps everything and looks at it afterwards.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small figures"
)]

use crate::model::TimeZone;
use proptest::prelude::*;

use super::*;

fn moment(text: &str) -> Timestamp {
    text.parse::<chrono::DateTime<chrono::Utc>>().expect("a moment").into()
}

fn every(hours: u64) -> Every {
    Every::new(Duration::from_hours(hours)).expect("a length")
}

fn berlin() -> Zone {
    Zone::Named("Europe/Berlin".parse().expect("a zone"))
}

type Sample<'a> = (Timestamp, Option<&'a str>);

fn collect(mut buckets: Buckets, samples: &[Sample<'_>], until: Option<Timestamp>) -> Vec<Bucket> {
    let mut done = Vec::new();
    let mut keep = |bucket| {
        done.push(bucket);
        ControlFlow::Continue(())
    };
    for (due, value) in samples {
        assert!(buckets.add(*due, value.is_some(), *value, &mut keep).is_continue());
    }
    assert!(buckets.finish(until, keep).is_continue());
    done
}

fn values(aggregate: Aggregate, values: &[&str]) -> Option<String> {
    let samples: Vec<Sample<'_>> = values.iter().map(|&value| (Timestamp::from_micros(0), Some(value))).collect();
    let buckets = Buckets::new(every(1), Zone::Utc, aggregate, Fill::Null);
    collect(buckets, &samples, None).remove(0).value
}

#[test]
fn no_digit_is_lost_where_none_has_to_be() {
    let large = ["9007199254740993", "9007199254740992", "1.10", "9007199254740993.0"];
    assert_eq!(values(Aggregate::Max, &large).as_deref(), Some("9007199254740993"));
    assert_eq!(values(Aggregate::Min, &large[..2]).as_deref(), Some("9007199254740992"));
    assert_eq!(values(Aggregate::Min, &large).as_deref(), Some("1.10"));
    assert_eq!(values(Aggregate::Last, &large).as_deref(), Some("9007199254740993.0"));
    assert_eq!(values(Aggregate::Sum, &large[..2]).as_deref(), Some("18014398509481985"));
    let most = i128::MAX.to_string();
    assert_eq!(values(Aggregate::Sum, &[&most, "-1"]), Some((i128::MAX - 1).to_string()));
    assert_eq!(values(Aggregate::Sum, &[&most, "1"]).as_deref(), Some("1.7014118346046923e38"));
    assert_eq!(values(Aggregate::Max, &["1e400", "1e399"]).as_deref(), Some("1e400"));
    assert_eq!(values(Aggregate::Avg, &["1e400", "1"]), None, "beyond f64");
}

#[test]
fn what_is_not_a_number_is_passed_over() {
    let mixed = ["1", "\"2\"", "null", "true", "[3]", "{}", "4"];
    assert_eq!(values(Aggregate::Count, &mixed).as_deref(), Some("2"));
    assert_eq!(values(Aggregate::Avg, &mixed).as_deref(), Some("2.5"));
    assert_eq!(values(Aggregate::P50, &mixed).as_deref(), Some("2.5"));
    assert_eq!(values(Aggregate::P95, &["1", "2", "3"]).as_deref(), Some("2.9"));
    assert_eq!(values(Aggregate::Sum, &["0.1", "0.2", "0.3"]).as_deref(), Some("0.6"));
    assert_eq!(values(Aggregate::Count, &["null"]).as_deref(), Some("0"));
    assert_eq!(values(Aggregate::Avg, &["null"]), None);
}

#[test]
fn a_day_is_as_long_as_it_is_in_its_zone() {
    for (day, from, until) in [
        ("2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
        ("2026-10-25T23:30:00Z", "2026-10-25T23:00:00Z", "2026-10-26T23:00:00Z"),
        ("2026-10-25T22:59:59Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
    ] {
        assert_eq!(every(24).around(moment(day), berlin()), (moment(from), moment(until)), "{day}");
    }
    let hours = |at: &str, zone| every(1).around(moment(at), zone);
    let half = (moment("2026-01-01T00:30:00Z"), moment("2026-01-01T01:30:00Z"));
    assert_eq!(hours("2026-01-01T00:45:00Z", Zone::Named("Asia/Kolkata".parse().expect("a zone"))), half);
    // The hour that comes twice is two.
    assert_ne!(hours("2026-10-25T00:30:00Z", berlin()), hours("2026-10-25T01:30:00Z", berlin()));
    // A midnight that does not exist: the day begins at one.
    let cairo = every(24).around(moment("2026-04-24T12:00:00Z"), Zone::Named("Africa/Cairo".parse().expect("a zone")));
    assert_eq!(cairo, (moment("2026-04-23T22:00:00Z"), moment("2026-04-24T21:00:00Z")));
}

#[test]
fn a_day_begins_when_its_zones_clock_first_shows_it() {
    let second = Duration::from_secs(1);
    for zone in TimeZone::names().map(|name| Zone::Named(name.parse().expect("a zone"))) {
        let mut day = NaiveDate::from_ymd_opt(2025, 1, 1).expect("a day");
        for _ in 0..2 * 365 {
            let begins = zone.begin_of(day).expect("a day of this century");
            assert!(zone.day(begins) >= Some(day) && zone.day(begins.minus(second)) < Some(day), "{day} {zone:?}");
            day = day.succ_opt().expect("a day");
        }
    }
    let begins = |zone, day: [u32; 3]| {
        let day = NaiveDate::from_ymd_opt(day[0].cast_signed(), day[1], day[2]).expect("a day");
        Zone::Named(zone).begin_of(day)
    };
    // Midnight comes twice; the clock goes from midnight back to 23:00; there is no such day.
    assert_eq!(
        begins("Atlantic/Azores".parse().expect("a zone"), [2026, 10, 25]),
        Some(moment("2026-10-25T00:00:00Z"))
    );
    assert_eq!(begins("Asia/Beirut".parse().expect("a zone"), [2026, 10, 25]), Some(moment("2026-10-24T22:00:00Z")));
    assert_eq!(
        begins("Pacific/Apia".parse().expect("a zone"), [2011, 12, 30]),
        begins("Pacific/Apia".parse().expect("a zone"), [2011, 12, 31])
    );
}

#[test]
fn a_bucket_without_numbers_is_null_or_the_last_value_or_left_out() {
    let samples =
        [("2026-01-01T00:10:00Z", Some("1")), ("2026-01-01T02:10:00Z", None), ("2026-01-01T03:10:00Z", Some("4"))];
    let samples = samples.map(|(due, value)| (moment(due), value));
    let shown = |fill, until: Option<&str>| {
        let buckets = Buckets::new(every(1), Zone::Utc, Aggregate::Max, fill);
        let done = collect(buckets, &samples, until.map(moment));
        done.into_iter().map(|bucket| bucket.value.unwrap_or_default()).collect::<Vec<_>>()
    };
    assert_eq!(shown(Fill::Null, None), ["1", "", "", "4"]);
    assert_eq!(shown(Fill::Last, Some("2026-01-01T06:00:00Z")), ["1", "1", "1", "4", "4", "4"]);
    assert_eq!(shown(Fill::None, Some("2026-01-01T06:00:00Z")), ["1", "4"]);
    let beyond = [(moment("2026-01-01T00:10:00Z"), Some("1")), (moment("2026-01-01T01:10:00Z"), Some("1e400"))];
    let buckets = Buckets::new(every(1), Zone::Utc, Aggregate::Avg, Fill::Last);
    let done = collect(buckets, &beyond, Some(moment("2026-01-01T03:00:00Z")));
    let done: Vec<_> = done.iter().map(|bucket| bucket.value.as_deref()).collect();
    assert_eq!(done, [Some("1"), None, Some("1")], "what is beyond f64 is no value to go on with");
    let buckets = Buckets::new(every(1), Zone::Utc, Aggregate::Max, Fill::Null);
    let done = collect(buckets.beginning_at(moment("2025-12-31T23:00:00Z")), &samples, None);
    let counts: Vec<_> = done.iter().map(|bucket| (bucket.slots, bucket.failed, bucket.values)).collect();
    assert_eq!(counts, [(0, 0, 0), (1, 0, 1), (0, 0, 0), (1, 1, 0), (1, 0, 1)]);
}

#[test]
fn whoever_breaks_after_each_bucket_gets_the_same_ones() {
    let samples =
        [("2026-01-01T00:10:00Z", Some("1")), ("2026-01-01T00:20:00Z", None), ("2026-01-01T03:10:00Z", Some("4"))];
    let samples = samples.map(|(due, value)| (moment(due), value));
    let until = Some(moment("2026-01-01T06:00:00Z"));
    for fill in [Fill::Null, Fill::Last, Fill::None] {
        let buckets = || Buckets::new(every(1), Zone::Utc, Aggregate::Max, fill);
        let mut broken = buckets();
        let mut done = Vec::new();
        let mut take = |bucket| {
            done.push(bucket);
            ControlFlow::Break(())
        };
        for (due, value) in samples {
            while broken.add(due, value.is_some(), value, &mut take).is_break() {}
        }
        while broken.finish(until, &mut take).is_break() {}
        assert_eq!(done, collect(buckets(), &samples, until), "{fill}");
    }
}

#[test]
fn lengths_that_no_calendar_has_are_refused() {
    for wrong in [Duration::ZERO, Duration::from_millis(999), Duration::from_hours(25), Duration::from_hours(24 * 400)]
    {
        assert!(Every::new(wrong).is_err(), "{wrong:?}");
    }
}

/// The same as [`Aggregate`], on everything at once.
fn model(aggregate: Aggregate, values: &[i64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let count = values.len();
    let line = |share: f64| {
        let place = share * (count - 1) as f64;
        let (low, high) = (sorted[place.floor() as usize] as f64, sorted[place.ceil() as usize] as f64);
        low + (high - low) * (place - place.floor())
    };
    Some(match aggregate {
        Aggregate::Count => count as f64,
        _ if count == 0 => return None,
        Aggregate::Avg => values.iter().sum::<i64>() as f64 / count as f64,
        Aggregate::Min => sorted[0] as f64,
        Aggregate::Max => sorted[count - 1] as f64,
        Aggregate::Sum => values.iter().sum::<i64>() as f64,
        Aggregate::Last => values[count - 1] as f64,
        Aggregate::P50 => line(0.50),
        Aggregate::P95 => line(0.95),
    })
}

proptest! {
    #[test]
    fn buckets_are_what_a_naive_model_says(
        mut samples in prop::collection::vec((0..400_000_i64, prop::option::of(-1_000..1_000_i64)), 1..60),
        aggregate in prop::sample::select(Aggregate::ALL),
        length in 1_800..90_000_u64,
        zone in prop::sample::select(vec![Zone::Utc, Zone::Named("Europe/Berlin".parse().expect("a zone")), Zone::Named("Australia/Lord_Howe".parse().expect("a zone"))]),
    ) {
        // Over a day only whole ones.
        let length = Every::new(Duration::from_secs(if length > 86_400 { 86_400 } else { length })).expect("a length");
        samples.sort_unstable_by_key(|&(due, _)| due);
        let start = moment("2026-10-23T00:00:00Z").as_micros();
        let texts: Vec<(Timestamp, Option<String>)> = samples.iter()
            .map(|(due, value)| (Timestamp::from_micros(start + due * 1_000_000), value.map(|value| value.to_string())))
            .collect();
        let borrowed: Vec<Sample<'_>> = texts.iter().map(|(due, value)| (*due, value.as_deref())).collect();
        let done = collect(Buckets::new(length, zone, aggregate, Fill::Null), &borrowed, None);
        for pair in done.windows(2) {
            prop_assert_eq!(pair[0].until, pair[1].from, "no gap, no overlap");
        }
        prop_assert_eq!(done.iter().map(|bucket| bucket.slots).sum::<u64>(), samples.len() as u64);
        for bucket in done {
            let inside = texts.iter().filter(|(due, _)| bucket.from <= *due && *due < bucket.until);
            let numbers: Vec<i64> = inside.filter_map(|(_, value)| value.as_ref()?.parse().ok()).collect();
            let value = bucket.value.map(|value| value.parse::<f64>().expect("a number"));
            match (value, model(aggregate, &numbers)) {
                (Some(value), Some(expected)) => prop_assert!((value - expected).abs() < 1e-9, "{} {}", value, expected),
                (value, expected) => prop_assert_eq!(value, expected),
            }
        }
    }
}
