//! A defect in a worker costs one slot, not a thread; a series of them ends the process.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix::{Actor, System};
use gatherd::actors::dispatch::Dispatch;
use gatherd::actors::messages::{Fatal, StartRound};
use gatherd::actors::{AttemptFn, Collector, FetchWorker, Fetcher};
use gatherd::clock::{Clock, SystemClock};
use gatherd::config::{Endpoint, RequestSettings};
use gatherd::fetch::{Ask, Clients, PreparedJob, Request, attempt};
use gatherd::model::{ClosedRound, JobName, Layout, Outcome, RoundBegin, RoundId};
use tokio::sync::mpsc;

use crate::support::sample_api;

/// A round of `slots` healthy endpoints by one worker, whose attempts in `panics` panic.
fn round(slots: usize, panics: std::ops::Range<usize>) -> (Arc<ClosedRound>, Option<Fatal>) {
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

    let calls = AtomicUsize::new(0);
    let sometimes: AttemptFn = Arc::new(move |request: &Request, ask: Ask| {
        assert!(!panics.contains(&calls.fetch_add(1, Ordering::Relaxed)), "a defect");
        attempt(request, ask)
    });
    System::new().block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let (collected, mut wait) = mpsc::unbounded_channel();
        let (fatal, mut fatally) = mpsc::unbounded_channel();
        let pool = FetchWorker::start(1, sometimes).expect("one thread");
        let collector = Collector(collected).start().recipient();
        let fetcher = Fetcher::new(Dispatch::new(1, []), pool, collector, Arc::clone(&clock), fatal).start();
        let now = clock.now().wall;
        let begin = RoundBegin { id: RoundId(1), due: now, started: now, layout: Arc::clone(&layout) };
        let job = Arc::new(PreparedJob { layout, requests });
        fetcher.do_send(StartRound { begin, job, deadline: Duration::from_mins(1), closed: None });
        (wait.recv().await.expect("the round ends"), fatally.try_recv().ok())
    })
}

#[test]
fn a_panic_in_a_worker_costs_one_slot_and_its_only_thread_goes_on() {
    let (round, fatal) = round(5, 1..2);
    let outcomes: Vec<Outcome> = round.slots.iter().map(|slot| slot.outcome).collect();
    assert_eq!(outcomes, [Outcome::Ok, Outcome::Panic, Outcome::Ok, Outcome::Ok, Outcome::Ok]);
    assert!(fatal.is_none());
}

#[test]
fn three_panics_within_a_minute_are_told_as_fatal() {
    let (round, fatal) = round(5, 0..3);
    assert_eq!(round.ok(), 2);
    assert!(matches!(fatal, Some(Fatal::Panics(3))), "{fatal:?}");
}
