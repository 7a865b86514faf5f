//! How many requests a host has at the same time, over all jobs.

use std::collections::HashMap;
use std::time::Duration;

use gatherd::clock::Clock;
use gatherd::model::Outcome;

use crate::hall::{Hall, SECOND, jobs, ok, outcomes};

#[test]
fn a_host_never_has_more_in_flight_than_its_limit_and_its_neighbours_are_not_held_up() {
    let jobs = jobs(&[
        ("max_per_host = 2", &["http://a/1", "http://a/2", "http://a/3", "http://a/4", "http://b/1"]),
        ("", &["http://a/5", "http://c/1"]),
    ]);
    let mut hall = Hall::new(16);
    let mut running = hall.start(&jobs[0], SECOND * 50);
    running.extend(hall.start(&jobs[1], SECOND * 50));
    let mut sent = HashMap::<String, usize>::new();
    for order in &running {
        *sent.entry(order.request.host.to_string()).or_default() += 1;
    }
    assert_eq!(sent, HashMap::from([("a:80".to_owned(), 2), ("b:80".to_owned(), 1), ("c:80".to_owned(), 1)]));
    let mut in_flight = 2;
    while let Some(order) = running.pop() {
        let more = hall.ends(&order, ok());
        if &*order.request.host == "a:80" {
            in_flight = in_flight - 1 + more.len();
        }
        assert!(in_flight <= 2, "the limit holds over both jobs");
        running.extend(more);
    }
    let closed = hall.closed();
    assert_eq!(closed.len(), 2);
    assert!(closed.iter().all(|round| round.ok() == round.slots.len()));
}

#[test]
fn the_strictest_limit_of_all_jobs_counts_for_a_host() {
    let jobs = jobs(&[
        ("max_per_host = 3", &["http://a/1", "http://a/2", "http://a/3"]),
        ("max_per_host = 1", &["http://a/4"]),
    ]);
    let mut hall = Hall::new(16);
    for job in &jobs {
        hall.dispatch.expect(job, Vec::new());
    }
    assert_eq!(hall.start(&jobs[0], SECOND).len(), 1);
}

#[test]
fn a_place_that_was_kept_for_a_round_that_closed_is_free_for_another() {
    let jobs = jobs(&[("max_per_host = 1", &["http://a/1", "http://a/2"]), ("", &["http://a/3"])]);
    let mut hall = Hall::new(1);
    let first = hall.start(&jobs[0], Duration::from_millis(50));
    assert_eq!(first.len(), 1);
    assert!(hall.start(&jobs[1], SECOND * 30).is_empty());
    hall.clock.advance(Duration::from_millis(60));
    hall.dispatch.tick(hall.clock.now());
    assert_eq!(hall.closed().len(), 1, "the first round is over while its request is in flight");
    let next = hall.ends(&first[0], ok());
    assert_eq!(next.len(), 1, "the other round's slot goes");
    hall.ends(&next[0], ok());
    assert_eq!(outcomes(&hall.closed()[0]), [Outcome::Ok]);
}
