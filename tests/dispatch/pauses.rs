//! Hosts that ask to be left alone.

use gatherd::actors::dispatch::Dispatch;
use gatherd::clock::Clock;
use gatherd::model::{HostPause, Outcome, Timestamp};

use crate::hall::{Hall, SECOND, busy, jobs, ok, outcomes};

#[test]
fn a_host_that_asks_for_longer_than_the_round_is_left_alone_by_every_job() {
    let jobs = jobs(&[
        ("max_per_host = 1\nretries = 2", &["http://a/1", "http://a/2", "http://b/1"]),
        ("", &["http://a/3", "http://c/1"]),
    ]);
    let mut hall = Hall::new(16);
    let orders = hall.start(&jobs[0], SECOND * 10);
    assert_eq!(orders.len(), 2);
    let (refused, other) = if &*orders[0].request.host == "a:80" { (0, 1) } else { (1, 0) };
    assert!(hall.ends(&orders[refused], busy(60)).is_empty());
    hall.ends(&orders[other], ok());
    let closed = hall.closed();
    let [round] = closed.as_slice() else { panic!("nothing is left to wait for: {closed:?}") };
    assert_eq!(outcomes(round), [Outcome::HttpStatus, Outcome::Backoff, Outcome::Ok]);
    let detail = round.slots[1].detail.as_ref().expect("a detail").as_str();
    assert_eq!(detail, "its host asked to be left alone until 2026-01-01T00:01:00.000Z");
    assert_eq!(round.slots[1].attempts, 0);

    let pauses = hall.dispatch.take_pauses();
    let until = Timestamp::from_micros(1_767_225_660_000_000);
    assert_eq!(pauses, [HostPause { host: "a:80".to_owned(), until }]);

    let orders = hall.start(&jobs[1], SECOND * 10);
    assert_eq!(orders.len(), 1);
    hall.ends(&orders[0], ok());
    assert_eq!(outcomes(&hall.closed()[0]), [Outcome::Backoff, Outcome::Ok]);

    hall.clock.advance(SECOND * 61);
    assert_eq!(hall.start(&jobs[1], SECOND * 10).len(), 2, "the pause is over");
}

#[test]
fn a_pause_that_fits_into_the_round_is_waited_for_by_all_slots_of_the_host() {
    let jobs = jobs(&[("retries = 1", &["http://a/1", "http://a/2"])]);
    let mut hall = Hall::new(1);
    let orders = hall.start(&jobs[0], SECOND * 10);
    assert!(hall.ends(&orders[0], busy(3)).is_empty(), "the other slot waits as well");
    let begun = hall.clock.now().monotonic;
    let mut ended = 0;
    while ended < 2 {
        let (_, orders) = hall.next_tick();
        for order in orders {
            assert!(hall.clock.now().monotonic >= begun + SECOND * 3);
            ended += 1;
            for more in hall.ends(&order, ok()) {
                ended += 1;
                hall.ends(&more, ok());
            }
        }
    }
    assert_eq!(outcomes(&hall.closed()[0]), [Outcome::Ok, Outcome::Ok]);
}

#[test]
fn slots_that_a_host_told_to_wait_come_back_one_after_the_other_as_long_as_there_is_time() {
    let urls: Vec<String> = (0..20).map(|number| format!("http://a/{number}")).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let jobs = jobs(&[("retries = 1", &urls)]);
    for (deadline, together) in [(SECOND * 10, false), (SECOND * 3 + SECOND / 1_000, true)] {
        let mut hall = Hall::new(20);
        let begun = hall.clock.now().monotonic;
        for order in hall.start(&jobs[0], deadline) {
            hall.ends(&order, busy(3));
        }
        let mut most = 0;
        while hall.clock.now().monotonic < begun + SECOND * 3 + SECOND / 2 && most < 20 {
            let (_, orders) = hall.next_tick();
            assert!(orders.is_empty() || hall.clock.now().monotonic >= begun + SECOND * 3);
            most = most.max(orders.len());
            if hall.dispatch.is_idle() || hall.dispatch.in_flight() == 20 {
                break;
            }
        }
        assert_eq!(most > 10, together, "{most} at once");
    }
}

#[test]
fn a_pause_is_kept_over_a_restart_and_never_believed_for_more_than_an_hour() {
    let jobs = jobs(&[("", &["http://a/1"])]);
    let start = Timestamp::from_micros(1_767_225_600_000_000);
    for (ahead, waits) in [(30, 30), (3 * 3600, 3600)] {
        let mut hall = Hall::new(4);
        let pause = HostPause { host: "a:80".to_owned(), until: start.plus(SECOND * ahead) };
        hall.dispatch = Dispatch::new(4, []).leaving_alone(&[pause], hall.clock.now());
        assert!(hall.start(&jobs[0], SECOND * 10).is_empty());
        assert_eq!(outcomes(&hall.closed()[0]), [Outcome::Backoff]);
        hall.clock.advance(SECOND * waits);
        assert_eq!(hall.start(&jobs[0], SECOND * 10).len(), 1);
    }
}

#[test]
fn a_command_waits_for_a_slot_that_was_told_to_and_for_no_other() {
    let jobs = jobs(&[("retries = 1", &["http://a/1", "http://a/2"])]);
    let mut hall = Hall::new(1);
    hall.dispatch = Dispatch::new(1, []);
    let orders = hall.start(&jobs[0], SECOND * 100);
    let next = hall.ends(&orders[0], busy(30));
    assert_eq!(next.len(), 1, "the neighbour is not held up");
    assert!(hall.dispatch.take_pauses().is_empty());
}

#[test]
fn a_command_waits_a_minute_at_most_and_says_what_was_asked_for() {
    let jobs = jobs(&[("retries = 1", &["http://a/1"])]);
    for (asked, waits, detail) in [
        (60, true, "429; the host asks for a pause of 1m"),
        (61, false, "429; the host asks for a pause of 1m 1s"),
        (3600, false, "429; the host asks for a pause of 1h or more"),
    ] {
        let mut hall = Hall::new(1);
        hall.dispatch = Dispatch::new(1, []);
        let order = hall.start(&jobs[0], SECOND * 10_000).remove(0);
        assert!(hall.ends(&order, busy(asked)).is_empty());
        if waits {
            let (waited, again) = hall.next_tick();
            assert_eq!(waited, SECOND * 60);
            hall.ends(&again[0], busy(asked));
        }
        let slot = hall.closed().remove(0).slots.remove(0);
        assert_eq!((slot.outcome, slot.attempts), (Outcome::HttpStatus, if waits { 2 } else { 1 }));
        assert_eq!(slot.detail.expect("a detail").as_str(), detail);
    }
}

#[test]
fn slots_that_wait_for_a_host_keep_their_order_when_it_asks_for_a_pause() {
    let jobs = jobs(&[("max_per_host = 1\nretries = 0", &["http://a/1", "http://a/2", "http://a/3", "http://a/4"])]);
    let mut hall = Hall::new(16);
    let first = hall.start(&jobs[0], SECOND * 30);
    assert!(hall.ends(&first[0], busy(1)).is_empty());
    let mut orders = hall.next_tick().1;
    for position in 1..4 {
        assert_eq!(orders.iter().map(|order| order.position).collect::<Vec<_>>(), [position]);
        orders = hall.ends(&orders[0], ok());
    }
}
