//! What each host is spared, over all jobs: limits, rates, and the pauses that it asks for. Without threads, on a manual
//! clock.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gatherd::actors::dispatch::{Dispatch, Order};
use gatherd::actors::messages::{SlotFetched, StartRound};
use gatherd::clock::{Clock, ManualClock};
use gatherd::config::Settings;
use gatherd::fetch::{Attempt, Clients, PreparedJob, json};
use gatherd::model::{ClosedRound, Detail, HostPause, Memory, Outcome, RoundBegin, RoundId, Timestamp};

const SECOND: Duration = Duration::from_secs(1);

/// Jobs with these keys and endpoints, ready.
fn jobs(list: &[(&str, &[&str])]) -> Vec<Arc<PreparedJob>> {
    let job = |(number, (keys, urls)): (usize, &(&str, &[&str]))| {
        format!("[[job]]\nname = \"job {number}\"\nevery = \"1m\"\n{keys}\nendpoints = {urls:?}\n")
    };
    let text: String = list.iter().enumerate().map(job).collect();
    let settings = Settings::parse(Path::new("config.toml"), &text).expect("a valid config");
    let mut clients = Clients::default();
    let ready = settings.jobs.iter().map(|job| PreparedJob::new(job, Path::new("."), &mut clients).map(Arc::new));
    ready.collect::<Result<_, _>>().expect("requests")
}

/// A Fetcher's decisions, and a clock.
struct Hall {
    dispatch: Dispatch,
    clock: ManualClock,
    rounds: i64,
}

impl Hall {
    fn new(workers: usize) -> Self {
        let clock = ManualClock::at(Timestamp::from_micros(1_767_225_600_000_000));
        let dispatch = Dispatch::new(workers, []).leaving_alone(&[], clock.now());
        Self { dispatch, clock, rounds: 0 }
    }

    fn start(&mut self, job: &Arc<PreparedJob>, deadline: Duration) -> Vec<Order> {
        self.rounds += 1;
        let now = self.clock.now();
        let begin =
            RoundBegin { id: RoundId(self.rounds), due: now.wall, started: now.wall, layout: Arc::clone(&job.layout) };
        self.dispatch.start(StartRound { begin, job: Arc::clone(job), deadline, closed: None }, now);
        self.dispatch.orders(now)
    }

    fn ends(&mut self, order: &Order, attempt: Attempt) -> Vec<Order> {
        let (job, host) = (order.job.clone(), Arc::clone(&order.request.host));
        let (round, position) = (order.round, order.position);
        self.dispatch.fetched(SlotFetched { job, round, position, host, attempt }, self.clock.now());
        self.dispatch.orders(self.clock.now())
    }

    /// Time passes up to the next tick that the dispatch asks for.
    fn next_tick(&mut self) -> (Duration, Vec<Order>) {
        let now = self.clock.now().monotonic;
        let wait = self.dispatch.next_tick().expect("something to wait for").saturating_sub(now);
        self.clock.advance(wait);
        self.dispatch.tick(self.clock.now());
        (wait, self.dispatch.orders(self.clock.now()))
    }

    fn closed(&mut self) -> Vec<ClosedRound> {
        self.dispatch.take_finished().into_iter().map(|finished| finished.round).collect()
    }
}

fn ok() -> Attempt {
    let body = Some(json::document(b"1").expect("a document"));
    Attempt { http_status: Some(200), body, detail: None, ..Attempt::failed(Outcome::Ok, Detail::new("")) }
}

fn busy(seconds: u64) -> Attempt {
    let retry_after = Some(Duration::from_secs(seconds));
    Attempt { http_status: Some(429), retry_after, ..Attempt::failed(Outcome::HttpStatus, Detail::new("429")) }
}

fn outcomes(round: &ClosedRound) -> Vec<Outcome> {
    round.slots.iter().map(|slot| slot.outcome).collect()
}

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

#[test]
fn a_rate_beyond_what_timers_can_tell_apart_is_kept_on_average_and_in_small_bursts() {
    for (rate, per_second) in [("1000/s", 1_000), ("5000/s", 5_000)] {
        let urls: Vec<String> = (0..per_second).map(|number| format!("http://a/{number}")).collect();
        let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
        let jobs = jobs(&[(&format!("rate = {rate:?}"), &urls)]);
        let mut hall = Hall::new(per_second);
        let mut sent = hall.start(&jobs[0], SECOND * 50).len();
        assert_eq!(sent, 1, "no burst to begin with");
        // A timer that is up to 3 ms late, and never before a full millisecond.
        for late in [1, 2, 3].into_iter().cycle().take(500) {
            hall.clock.advance(Duration::from_millis(late));
            hall.dispatch.tick(hall.clock.now());
            let orders = hall.dispatch.orders(hall.clock.now()).len();
            assert!(orders <= per_second * 3 / 1_000 + 1, "{orders} at once");
            sent += orders;
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

// --- a reload ---

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
