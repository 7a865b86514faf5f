//! What a reload does to limits, rates, kept workers and what is remembered.

use std::sync::Arc;
use std::time::Duration;

use gatherd::actors::dispatch::{Dispatch, Order};
use gatherd::clock::Clock;
use gatherd::fetch::PreparedJob;
use gatherd::model::{Memory, Timestamp};

use crate::hall::{Hall, SECOND, busy, jobs, ok};

fn reload(hall: &mut Hall, jobs: &[Arc<PreparedJob>]) -> Vec<Order> {
    hall.dispatch.reload(jobs.to_vec(), Vec::new(), hall.clock.now());
    hall.dispatch.orders(hall.clock.now())
}

#[test]
fn a_limit_that_a_reload_brings_counts_what_is_in_flight_already() {
    let urls = ["http://a/1", "http://a/2", "http://a/3"];
    let (free, limited) = (jobs(&[("", &urls)]), jobs(&[("", &urls), ("max_per_host = 2", &["http://a/4"])]));
    let mut hall = Hall::new(16);
    let orders = hall.start(&free[0], SECOND * 50);
    assert_eq!(orders.len(), 3);
    assert!(reload(&mut hall, &limited).is_empty());
    assert!(hall.start(&limited[1], SECOND * 50).is_empty(), "three are in flight");
    assert!(hall.ends(&orders[0], ok()).is_empty(), "two are");
    assert_eq!(hall.ends(&orders[1], ok()).len(), 1);
}

#[test]
fn a_limit_that_a_reload_takes_away_holds_until_the_round_that_began_with_it_ends() {
    let all = jobs(&[("max_per_host = 1", &["http://a/1", "http://a/2"]), ("", &["http://a/3", "http://a/4"])]);
    let mut hall = Hall::new(16);
    for job in &all {
        hall.dispatch.expect(job, Vec::new());
    }
    let first = hall.start(&all[0], SECOND * 50);
    assert_eq!(first.len(), 1);
    assert!(reload(&mut hall, &all[1..]).is_empty());
    let second = hall.ends(&first[0], ok());
    assert_eq!(second.len(), 1, "the round that began with it is limited");
    assert!(hall.start(&all[1], SECOND * 50).is_empty());
    assert_eq!(hall.ends(&second[0], ok()).len(), 2, "the other one no more");
}

#[test]
fn what_waits_for_a_slow_rate_goes_on_when_a_reload_raises_it() {
    let urls = ["http://a/1", "http://a/2"];
    let (slow, fast) = (jobs(&[("rate = \"1/m\"", &urls)]), jobs(&[("rate = \"10/s\"", &urls)]));
    let mut hall = Hall::new(16);
    hall.dispatch.expect(&slow[0], Vec::new());
    let first = hall.start(&slow[0], SECOND * 50);
    assert_eq!(first.len(), 1);
    hall.ends(&first[0], ok());
    // The running round keeps its rate; the next one has the new one.
    assert!(reload(&mut hall, &fast).is_empty());
    hall.clock.advance(SECOND * 50);
    hall.dispatch.tick(hall.clock.now());
    assert_eq!(hall.closed().len(), 1);
    let begun = hall.clock.now().monotonic;
    let mut sent = hall.start(&fast[0], SECOND * 50).len();
    while sent < 2 {
        sent += hall.next_tick().1.len();
    }
    let took = hall.clock.now().monotonic.saturating_sub(begun);
    assert!(took <= Duration::from_millis(200), "not a minute after the last one");
}

#[test]
fn jobs_that_a_reload_took_away_keep_no_workers() {
    let urls: Vec<String> = (0..8).map(|number| format!("http://b/{number}")).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let all = jobs(&[("", &["http://a/1"]), ("", &urls)]);
    for (is_gone, sent) in [(false, 7), (true, 8)] {
        let mut hall = Hall::new(8);
        hall.dispatch = Dispatch::new(8, all.iter().map(|job| (job.layout.job.clone(), job.requests.len())));
        if is_gone {
            reload(&mut hall, &all[1..]);
        }
        assert_eq!(hall.start(&all[1], SECOND * 50).len(), sent);
    }
}

#[test]
fn a_reload_keeps_what_is_remembered_and_takes_what_the_file_knows_of_new_endpoints() {
    let all = jobs(&[("", &["http://a/1"]), ("", &["http://b/1"])]);
    let mut hall = Hall::new(16);
    let last_ok = Some(Timestamp::from_micros(7));
    let memory = (all[0].layout.job.clone(), "http://a/1".to_owned(), Memory { last_ok, ..Memory::default() });
    hall.dispatch.reload(all.clone(), vec![memory], hall.clock.now());
    let known = |hall: &mut Hall, jobs: &[Arc<PreparedJob>]| {
        assert!(reload(hall, jobs).is_empty());
        let orders = hall.start(&all[0], SECOND);
        hall.ends(&orders[0], busy(0));
        hall.dispatch.drain(Duration::ZERO, hall.clock.now());
        orders[0].ask.last_ok
    };
    assert_eq!(known(&mut hall, &all), last_ok);
    assert_eq!(known(&mut hall, &all), last_ok);
    reload(&mut hall, &all[1..]);
    assert_eq!(known(&mut hall, &all), None, "forgotten with its job");
}

#[test]
fn what_is_known_of_new_endpoints_stays_while_rounds_end_that_began_before_a_reload() {
    let before = jobs(&[("", &["http://a/1"]), ("", &["http://b/1"])]);
    let after = jobs(&[("", &["http://a/1"]), ("", &["http://b/2"])]);
    let mut hall = Hall::new(16);
    let mut running = hall.start(&before[0], SECOND * 50);
    running.extend(hall.start(&before[1], SECOND * 50));
    let last_ok = Some(Timestamp::from_micros(7));
    let memory = (after[1].layout.job.clone(), "http://b/2".to_owned(), Memory { last_ok, ..Memory::default() });
    hall.dispatch.reload(after.clone(), vec![memory], hall.clock.now());
    for order in &running {
        hall.ends(order, ok());
    }
    assert_eq!(hall.closed().len(), 2);
    assert_eq!(hall.start(&after[1], SECOND)[0].ask.last_ok, last_ok);
}
