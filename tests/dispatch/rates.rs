//! How often a host is asked, over all jobs.

use std::time::Duration;

use gatherd::clock::Clock;
use gatherd::model::{Detail, Outcome};

use crate::hall::{Hall, SECOND, busy, jobs, ok, outcomes};

#[test]
fn requests_to_a_host_with_a_rate_are_spaced_over_all_jobs() {
    let urls: Vec<String> = (0..6).map(|number| format!("http://a/{number}")).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let jobs = jobs(&[("rate = \"10/s\"", &urls[..3]), ("", &urls[3..])]);
    let mut hall = Hall::new(16);
    let mut sent = hall.start(&jobs[0], SECOND * 50).len();
    sent += hall.start(&jobs[1], SECOND * 50).len();
    assert_eq!(sent, 1, "the first goes at once");
    let mut waits = Vec::new();
    while sent < 6 {
        let (wait, orders) = hall.next_tick();
        assert!(orders.len() <= 1);
        waits.push(wait);
        sent += orders.len();
    }
    let total: Duration = waits.iter().sum();
    assert_eq!(total, Duration::from_millis(500), "{waits:?}");
}

#[test]
fn rounds_that_wait_for_the_same_rate_get_their_turns_in_turn_however_fast_the_answers_are() {
    let urls: Vec<String> = (0..9).map(|number| format!("http://a/{number}")).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let jobs = jobs(&[("rate = \"10/s\"", &urls), ("", &["http://a/x", "http://a/y"])]);
    let mut hall = Hall::new(16);
    let first = hall.start(&jobs[0], SECOND * 50);
    assert!(hall.start(&jobs[1], SECOND * 50).is_empty());
    hall.ends(&first[0], ok());
    let mut asked = Vec::new();
    while asked.len() < 6 {
        for order in hall.next_tick().1 {
            asked.push(order.round.0);
            hall.ends(&order, ok());
        }
    }
    assert_eq!(asked, [1, 2, 1, 2, 1, 1]);
}

#[test]
fn rounds_that_wait_for_the_same_host_keep_their_order_and_take_turns_when_its_pause_is_over() {
    let urls: Vec<String> = (0..9).map(|number| format!("http://a/{number}")).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let jobs = jobs(&[("max_per_host = 1\nretries = 1", &urls), ("", &urls)]);
    let mut hall = Hall::new(16);
    let first = hall.start(&jobs[0], SECOND * 50);
    assert!(hall.start(&jobs[1], SECOND * 50).is_empty());
    let mut orders = hall.ends(&first[0], busy(2));
    let mut asked: [Vec<u32>; 2] = Default::default();
    while asked.iter().map(Vec::len).sum::<usize>() < 18 {
        for order in std::mem::take(&mut orders) {
            asked[usize::from(order.round.0 == 2)].push(order.position);
            orders.extend(hall.ends(&order, ok()));
        }
        if orders.is_empty() && hall.dispatch.next_tick().is_some() {
            orders = hall.next_tick().1;
        }
    }
    assert_eq!(asked[1], (0..9).collect::<Vec<_>>());
    // The one that was refused comes back a little later than the pause is over.
    asked[0].retain(|&position| position != 0);
    assert_eq!(asked[0], (1..9).collect::<Vec<_>>());
}

#[test]
fn what_its_rate_leaves_no_time_for_is_a_timeout_in_the_queue() {
    let jobs = jobs(&[("rate = \"1/s\"", &["http://a/1", "http://a/2", "http://a/3", "http://a/4"])]);
    let mut hall = Hall::new(16);
    let mut orders = hall.start(&jobs[0], Duration::from_millis(1_500));
    for _ in 0..2 {
        for order in std::mem::take(&mut orders) {
            hall.ends(&order, ok());
        }
        orders = hall.next_tick().1;
    }
    let closed = hall.closed();
    let [round] = closed.as_slice() else { panic!("one round: {closed:?}") };
    assert_eq!(outcomes(round), [Outcome::Ok, Outcome::Ok, Outcome::Timeout, Outcome::Timeout]);
    assert_eq!(round.slots[3].detail.as_ref().map(Detail::as_str), Some("queue"));
    assert_eq!(round.slots[3].attempts, 0);
}

#[test]
fn a_rate_and_a_limit_together_hold_nobody_longer_than_they_say() {
    let jobs = jobs(&[("max_per_host = 1\nrate = \"1/s\"", &["http://a/1", "http://a/2", "http://a/3"])]);
    let mut hall = Hall::new(16);
    let mut orders = hall.start(&jobs[0], SECOND * 30);
    let mut begun = vec![hall.clock.now().monotonic];
    for _ in 0..2 {
        hall.clock.advance(Duration::from_millis(100));
        assert!(hall.ends(&orders[0], ok()).is_empty(), "the rate does not let the next one go yet");
        orders = hall.next_tick().1;
        assert_eq!(orders.len(), 1);
        begun.push(hall.clock.now().monotonic);
    }
    assert_eq!(begun, [Duration::ZERO, SECOND, SECOND * 2]);
}

#[test]
fn a_rate_beyond_what_timers_can_tell_apart_is_kept_on_average_and_in_small_bursts() {
    for (rate, per_second) in [("1000/s", 1_000), ("5000/s", 5_000)] {
        let urls: Vec<String> = (0..per_second).map(|number| format!("http://a/{number}")).collect();
        let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
        let jobs = jobs(&[(&format!("rate = {rate:?}"), &urls)]);
        let mut hall = Hall::new(per_second);
        let first = hall.start(&jobs[0], SECOND * 50);
        assert_eq!(first.len(), 1, "no burst to begin with");
        assert!(hall.ends(&first[0], ok()).is_empty());
        let mut sent = 1;
        // A timer that is up to 3 ms late, and never before a full millisecond.
        for late in [1, 2, 3].into_iter().cycle().take(500) {
            hall.clock.advance(Duration::from_millis(late));
            hall.dispatch.tick(hall.clock.now());
            let orders = hall.dispatch.orders(hall.clock.now());
            assert!(orders.len() <= per_second * 3 / 1_000 + 1, "{} at once", orders.len());
            sent += orders.len();
            for order in &orders {
                assert!(hall.ends(order, ok()).is_empty(), "the rate does not let a further one go");
            }
        }
        assert_eq!(sent, per_second * 999 / 1_000 + 1, "after 999 ms, {rate}");
    }
}

#[test]
fn what_a_host_with_a_rate_did_not_use_is_not_saved_up() {
    let urls: Vec<String> = (0..500).map(|number| format!("http://a/{number}")).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let jobs = jobs(&[("rate = \"1000/s\"", &urls), ("rate = \"1000/s\"", &urls[..1])]);
    let mut hall = Hall::new(500);
    hall.start(&jobs[1], SECOND * 50);
    hall.clock.advance(SECOND * 10);
    assert_eq!(hall.start(&jobs[0], SECOND * 50).len(), 21, "20 ms of it, and the one that is due");
}

#[test]
fn a_free_worker_is_not_kept_from_a_host_that_is_behind_its_rate() {
    let jobs = jobs(&[
        ("rate = \"1000/s\"", &["http://a/1", "http://a/2", "http://a/3", "http://a/4"]),
        ("", &["http://b/1", "http://b/2", "http://b/3"]),
    ]);
    let mut hall = Hall::new(4);
    assert_eq!(hall.start(&jobs[0], SECOND * 50).len(), 1);
    let others = hall.start(&jobs[1], SECOND * 50);
    assert_eq!(others.len(), 3);
    let (_, orders) = hall.next_tick();
    assert!(orders.is_empty(), "all workers are busy");
    hall.clock.advance(Duration::from_millis(10));
    for order in &others[..2] {
        assert_eq!(hall.ends(order, ok()).len(), 1);
    }
}
