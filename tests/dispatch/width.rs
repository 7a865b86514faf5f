//! How many of a wide pool's workers are used at first, and how soon all of them are.

use std::time::Duration;

use gatherd::clock::Clock;
use gatherd::fetch::Attempt;
use gatherd::model::{Detail, Outcome};

use crate::hall::{Hall, SECOND, jobs, ok};

/// A hall with so many workers, and the orders of a round of so many endpoints that begins.
fn begin(workers: usize, endpoints: usize) -> (Hall, Vec<gatherd::actors::dispatch::Order>) {
    let urls: Vec<String> = (0..endpoints).map(|number| format!("http://a/{number}")).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let mut hall = Hall::new(workers);
    let orders = hall.start(&jobs(&[("", &urls)])[0], SECOND * 50);
    (hall, orders)
}

#[test]
fn a_pool_of_64_is_used_whole_at_once() {
    let (hall, orders) = begin(64, 100);
    assert_eq!(orders.len(), 64);
    assert!(hall.dispatch.next_tick().is_some_and(|at| at >= SECOND), "there is nothing to wait for but the deadline");
}

#[test]
fn where_answers_take_their_time_all_512_workers_are_used_within_80_ms() {
    let (mut hall, orders) = begin(512, 2_000);
    let (mut in_flight, mut passed) = (orders.len(), Duration::ZERO);
    assert_eq!(in_flight, 32);
    while in_flight < 512 {
        let (wait, more) = hall.next_tick();
        passed += wait;
        in_flight += more.len();
    }
    assert!(passed <= Duration::from_millis(80), "{passed:?}");
    let (wait, more) = hall.next_tick();
    assert!(wait > SECOND && more.is_empty(), "no more than there are workers, and nothing further to wait for");
}

#[test]
fn where_answers_come_as_fast_as_they_are_asked_for_a_wide_pool_is_used_step_by_step_up_to_its_end() {
    let (mut hall, mut running) = begin(68, 6_000);
    let (mut passed, mut widths) = (Duration::ZERO, Vec::new());
    while let Some(at) = hall.dispatch.next_tick().filter(|_| running.len() < 68) {
        for order in running.drain(..running.len().min(40)).collect::<Vec<_>>() {
            let more = hall.ends(&order, ok());
            assert_eq!(more.len(), 1, "each answer makes room for one");
            running.extend(more);
        }
        passed = at;
        running.extend(hall.next_tick().1);
        widths.push((running.len(), passed));
    }
    let wide = |width: usize| widths.iter().find(|(now, _)| *now >= width).map(|(_, at)| at.as_millis());
    // A step each 50 ms, at the latest: never stuck.
    assert!(wide(44).is_some_and(|at| at <= 52), "{widths:?}");
    assert!(wide(68).is_some_and(|at| (100..=156).contains(&at)), "{widths:?}");
    assert!(widths.len() > 50, "16 answers in a millisecond are many: {passed:?}");
}

#[test]
fn whatever_hangs_takes_no_place_from_what_answers_at_once() {
    let (mut hall, mut running) = begin(512, 4_000);
    let (mut hanging, mut least) = (0, usize::MAX);
    while hanging < 150 {
        // One in 20 hangs, all others answer within the tick.
        for order in std::mem::take(&mut running) {
            if order.position % 20 == 0 {
                hanging += 1;
            } else {
                running.extend(hall.ends(&order, ok()));
            }
        }
        running.extend(hall.next_tick().1);
        least = least.min(running.len());
    }
    assert!(least >= 6, "the answers came to a halt: {least}");
    // Answers enough came each millisecond: it is for those that hang that there is more room.
    let in_flight = hall.dispatch.in_flight();
    assert!((182..250).contains(&in_flight), "{in_flight}");
}

#[test]
fn what_was_late_and_ended_leaves_the_room_that_it_made() {
    let (mut hall, orders) = begin(512, 200);
    hall.clock.advance(SECOND);
    hall.dispatch.tick(hall.clock.now());
    let more = hall.dispatch.orders(hall.clock.now());
    assert_eq!((orders.len(), more.len()), (32, 44), "as many as are late, and a step");
    let ended: usize = orders.iter().map(|order| hall.ends(order, ok()).len()).sum();
    assert_eq!(ended, 0, "44 are in flight, of which none is late");
    assert_eq!(hall.ends(&more[0], ok()).len(), 1);
}

#[test]
fn a_slot_that_finds_the_pool_at_its_width_is_asked_when_another_has_ended() {
    let (mut hall, orders) = begin(65, 46);
    assert_eq!(orders.len(), 32);
    let first = hall.ends(&orders[0], ok());
    assert_eq!(first.len(), 1);
    let (_, more) = hall.next_tick();
    assert_eq!(more.len(), 12, "a step");
    let (_, last) = hall.next_tick();
    assert_eq!(last.len(), 1, "what was left");
    let running = orders[1..].iter().chain(&first).chain(&more).chain(&last);
    let ended: usize = running.map(|order| hall.ends(order, ok()).len()).sum();
    assert_eq!(ended, 0, "all 46 were asked");
}

#[test]
fn a_pool_that_nobody_waits_for_does_not_grow() {
    let urls: Vec<String> = (0..33).map(|number| format!("http://a/{number}")).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let job = &jobs(&[("", &urls)])[0];
    let mut hall = Hall::new(512);
    for _ in 0..5 {
        // One slot waits for the width, for no time at all.
        let mut running = hall.start(job, SECOND * 50);
        assert_eq!(running.len(), 32);
        while let Some(order) = running.pop() {
            running.extend(hall.ends(&order, ok()));
        }
        hall.clock.advance(SECOND);
        hall.dispatch.tick(hall.clock.now());
        assert_eq!(hall.closed().len(), 1);
    }
}

#[test]
fn where_the_system_gives_no_more_workers_those_that_are_there_ask_all() {
    let (mut hall, mut running) = begin(512, 300);
    hall.dispatch.bound(32);
    hall.clock.advance(SECOND);
    hall.dispatch.tick(hall.clock.now());
    assert!(hall.dispatch.orders(hall.clock.now()).is_empty(), "all 32 are busy");
    while let Some(order) = running.pop() {
        running.extend(hall.ends(&order, ok()));
        assert!(running.len() <= 32);
    }
    assert_eq!(hall.closed()[0].ok(), 300);
}

#[test]
fn what_timed_out_begins_no_wider_than_the_pool_and_makes_room_at_once_for_more() {
    let urls: Vec<String> = (0..200).map(|number| format!("http://a/{number}")).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let mut hall = Hall::new(512);
    let mut running = hall.start(&jobs(&[("retries = 1", &urls)])[0], SECOND * 50);
    while let Some(order) = running.pop() {
        running.extend(hall.ends(&order, Attempt::failed(Outcome::Timeout, Detail::new(""))));
    }
    // All pauses before the second attempt are over.
    hall.clock.advance(SECOND);
    let now = hall.clock.now();
    hall.dispatch.tick(now);
    let (mut begun, mut batches) = (0, 0);
    loop {
        let width = hall.dispatch.width();
        let batch = hall.dispatch.orders(now).len();
        assert!(begun + batch <= width, "{batch} begin beside {begun}, for whom {width} threads are there");
        if batch == 0 {
            break;
        }
        (begun, batches) = (begun + batch, batches + 1);
    }
    assert_eq!(begun, 200, "each that may take for ever made room for another, in {batches} batches");
}

#[test]
fn what_hangs_is_late_also_when_nobody_waited_meanwhile() {
    let urls: Vec<String> = (0..32).map(|number| format!("http://a/{number}")).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let both = jobs(&[("", &urls), ("", &["http://b/"])]);
    let mut hall = Hall::new(512);
    assert_eq!(hall.start(&both[0], SECOND * 50).len(), 32);
    hall.clock.advance(SECOND);
    assert_eq!(hall.start(&both[1], SECOND * 50).len(), 1, "the other job waits for nothing");
}
