//! The pool: a defect in a worker costs one slot, not a thread; a series of them ends the process; threads are started
//! as they are needed.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use actix::{Actor, System};
use gatherd::actors::dispatch::Dispatch;
use gatherd::actors::messages::{Fatal, StartRound};
use gatherd::actors::{AttemptFn, Collector, Fetcher, Pool};
use gatherd::clock::{Clock, SystemClock};
use gatherd::config::{Endpoint, RequestSettings};
use gatherd::fetch::{Ask, Clients, PreparedJob, Request, attempt};
use gatherd::model::{ClosedRound, JobName, Layout, Outcome, RoundBegin, RoundId};
use tokio::sync::mpsc;

use crate::support::sample_api;

/// What a round came to, and how many threads its pool had at the end.
struct Ended {
    round: Arc<ClosedRound>,
    fatal: Option<Fatal>,
    threads: usize,
}

/// A round of `slots` healthy endpoints by up to `workers` workers, which do `attempt`.
fn round(workers: usize, slots: usize, attempt: AttemptFn) -> Ended {
    let api = sample_api();
    let settings = Arc::new(RequestSettings::default());
    let endpoint = |number| Endpoint::unnamed(&api.url(&format!("/healthy/{number}")), Arc::clone(&settings));
    let endpoints: Vec<Endpoint> = (0..slots).map(|number| endpoint(number).expect("a URL")).collect();
    let mut clients = Clients::default();
    let requests = endpoints
        .iter()
        .map(|endpoint| Arc::new(Request::new(endpoint, Path::new(""), &mut clients).expect("a client")));
    let requests = requests.collect();
    let labels = endpoints.iter().map(|endpoint| endpoint.label.clone()).collect();
    let layout = Arc::new(Layout { job: JobName::new("job"), endpoints: labels });

    System::new().block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let (collected, mut wait) = mpsc::unbounded_channel();
        let (fatal, mut fatally) = mpsc::unbounded_channel();
        let pool = Pool::of(workers, attempt);
        let alive = pool.alive();
        let collector = Collector(collected).start().recipient();
        let fetcher = Fetcher::new(Dispatch::new(workers, []), pool, collector, Arc::clone(&clock), fatal).start();
        let now = clock.now().wall;
        let begin = RoundBegin { id: RoundId(1), due: now, started: now, layout: Arc::clone(&layout) };
        let job = Arc::new(PreparedJob { layout, requests });
        fetcher.do_send(StartRound { begin, job, deadline: Duration::from_mins(1), closed: None });
        let round = wait.recv().await.expect("the round ends");
        Ended { round, fatal: fatally.try_recv().ok(), threads: alive.count() }
    })
}

/// Really asks, but panics instead in these calls.
fn panicking(calls: Range<usize>) -> AttemptFn {
    let made = AtomicUsize::new(0);
    Arc::new(move |request: &Request, ask: Ask| {
        assert!(!calls.contains(&made.fetch_add(1, Ordering::Relaxed)), "a defect");
        attempt(request, ask)
    })
}

#[test]
fn a_panic_in_a_worker_costs_one_slot_and_its_only_thread_goes_on() {
    let Ended { round, fatal, .. } = round(1, 5, panicking(1..2));
    let outcomes: Vec<Outcome> = round.slots.iter().map(|slot| slot.outcome).collect();
    assert_eq!(outcomes, [Outcome::Ok, Outcome::Panic, Outcome::Ok, Outcome::Ok, Outcome::Ok]);
    assert!(fatal.is_none());
}

#[test]
fn three_panics_within_a_minute_are_told_as_fatal() {
    let Ended { round, fatal, .. } = round(1, 5, panicking(0..3));
    assert_eq!(round.ok(), 2);
    assert!(matches!(fatal, Some(Fatal::Panics(3))), "{fatal:?}");
}

#[test]
fn a_worker_that_is_done_is_free_for_another_slot_wherever_in_the_pool_it_is() {
    // Twice all 80 at the same time, by two sync arbiters.
    let together = Barrier::new(80);
    let Ended { round, threads, .. } = round(
        80,
        160,
        Arc::new(move |request: &Request, ask: Ask| {
            together.wait();
            attempt(request, ask)
        }),
    );
    assert_eq!((round.ok(), threads), (160, 80));
}

#[test]
fn a_wide_pool_has_as_many_threads_as_are_needed_at_the_same_time() {
    let together = Barrier::new(70);
    let Ended { round, fatal, threads } = round(
        400,
        70,
        Arc::new(move |request: &Request, ask: Ask| {
            together.wait();
            attempt(request, ask)
        }),
    );
    assert_eq!(round.ok(), 70, "all 70 were asked at the same time");
    assert!(fatal.is_none());
    assert!((70..=80).contains(&threads), "{threads} threads");
}
