//! The Fetcher's decisions without its threads: whatever answers come in whatever order, a round has its slots.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gatherd::actors::dispatch::{Dispatch, Order};
use gatherd::actors::messages::{SlotFetched, StartRound};
use gatherd::clock::{Clock, ManualClock};
use gatherd::config::Settings;
use gatherd::fetch::{Attempt, Clients, PreparedJob, json};
use gatherd::model::{ClosedRound, Detail, JobName, Outcome, RoundBegin, RoundId, RoundStatus, Timestamp};
use proptest::prelude::*;

/// A job of `endpoints` endpoints that are never connected to.
fn job(name: &str, endpoints: usize, retries: u32) -> Arc<PreparedJob> {
    let urls: Vec<String> = (0..endpoints).map(|number| format!("http://127.0.0.1:9/{number}")).collect();
    let text = format!("[[job]]\nname = {name:?}\nevery = \"1m\"\nretries = {retries}\nendpoints = {urls:?}\n");
    let settings = Settings::parse(Path::new("config.toml"), &text).expect("a valid config");
    Arc::new(PreparedJob::new(&settings.jobs[0], Path::new("."), &mut Clients::default()).expect("requests"))
}

fn start(id: i64, job: &Arc<PreparedJob>, deadline: Duration) -> StartRound {
    let moment = Timestamp::from_micros(id);
    let begin = RoundBegin { id: RoundId(id), due: moment, started: moment, layout: Arc::clone(&job.layout) };
    StartRound { begin, job: Arc::clone(job), deadline, closed: None }
}

/// An answer that says which slot it belongs to.
fn answer(position: u32, outcome: Outcome) -> Attempt {
    if outcome == Outcome::Ok {
        let body = json::document(position.to_string().as_bytes()).expect("a number is a document");
        return Attempt {
            http_status: Some(200),
            body: Some(body),
            detail: None,
            ..Attempt::failed(outcome, Detail::new(""))
        };
    }
    let http_status = (outcome == Outcome::HttpStatus).then_some(503);
    Attempt { http_status, ..Attempt::failed(outcome, Detail::new(format!("slot {position}"))) }
}

fn only(mut rounds: Vec<ClosedRound>) -> ClosedRound {
    assert_eq!(rounds.len(), 1);
    rounds.remove(0)
}

fn finished(dispatch: &mut Dispatch) -> Vec<ClosedRound> {
    dispatch.take_finished().into_iter().map(|finished| finished.round).collect()
}

fn answered(order: &Order, attempt: Attempt) -> SlotFetched {
    let (job, host) = (order.job.clone(), Arc::clone(&order.request.host));
    SlotFetched { job, round: order.round, position: order.position, host, attempt }
}

fn fetched(dispatch: &mut Dispatch, order: &Order, outcome: Outcome, clock: &ManualClock) {
    dispatch.fetched(answered(order, answer(order.position, outcome)), clock.now());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_vector_has_its_slots_in_order_for_any_mix_of_outcomes_and_any_order_of_completion(
        outcomes in prop::collection::vec(prop::sample::select(Outcome::ALL), 1..40),
        workers in 1_usize..12,
        retries in 0_u32..3,
        picks in prop::collection::vec((any::<prop::sample::Index>(), 0_u64..3_000), 400),
        deadline in 1_u64..60_000,
    ) {
        let clock = ManualClock::at(Timestamp::from_micros(0));
        let job = job("job", outcomes.len(), retries);
        let mut dispatch = Dispatch::new(workers, [(JobName::new("job"), outcomes.len())]);
        dispatch.start(start(1, &job, Duration::from_millis(deadline)), clock.now());
        let (mut in_flight, mut attempts) = (Vec::<Order>::new(), HashMap::<u32, u32>::new());
        let mut picks = picks.into_iter();
        let mut rounds = Vec::new();
        while rounds.is_empty() {
            for order in dispatch.orders(clock.now()) {
                prop_assert!(order.ask.timeout <= Duration::from_millis(deadline));
                *attempts.entry(order.position).or_default() += 1;
                in_flight.push(order);
            }
            prop_assert!(in_flight.len() <= workers);
            match picks.next() {
                Some((pick, pass)) => {
                    clock.advance(Duration::from_millis(pass));
                    if !in_flight.is_empty() {
                        let order = in_flight.swap_remove(pick.index(in_flight.len()));
                        fetched(&mut dispatch, &order, outcomes[order.position as usize], &clock);
                    }
                }
                None => clock.advance(Duration::from_mins(1)),
            }
            dispatch.tick(clock.now());
            rounds = finished(&mut dispatch);
        }
        let round = only(rounds);
        prop_assert_eq!(round.slots.len(), outcomes.len());
        prop_assert_eq!(round.status, RoundStatus::Complete);
        for (position, slot) in (0_u32..).zip(&round.slots) {
            let expected = outcomes[position as usize];
            prop_assert!(slot.outcome == expected || slot.outcome == Outcome::Timeout, "{:?} for {:?}", slot, expected);
            prop_assert_eq!(slot.body.is_some(), slot.outcome == Outcome::Ok);
            prop_assert_eq!(slot.attempts, attempts.get(&position).copied().unwrap_or(0));
            prop_assert!(slot.attempts <= retries + 1);
            if let Some(body) = &slot.body {
                prop_assert_eq!(body.text(), position.to_string());
            }
        }
        // What is still in flight belongs to a round that is closed, and disturbs nothing.
        for order in in_flight {
            fetched(&mut dispatch, &order, Outcome::Ok, &clock);
        }
        prop_assert!(dispatch.is_idle() && finished(&mut dispatch).is_empty());
    }
}

#[test]
fn slots_that_a_worker_was_never_free_for_say_so() {
    let clock = ManualClock::at(Timestamp::from_micros(0));
    let job = job("job", 3, 0);
    let mut dispatch = Dispatch::new(1, []);
    dispatch.start(start(1, &job, Duration::from_secs(1)), clock.now());
    assert_eq!(dispatch.orders(clock.now()).len(), 1);
    clock.advance(Duration::from_secs(1));
    dispatch.tick(clock.now());
    let round = only(finished(&mut dispatch));
    let told = round.slots.iter().map(|slot| (slot.outcome, slot.attempts, slot.detail.as_ref().map(Detail::as_str)));
    let queue = (Outcome::Timeout, 0, Some("queue"));
    assert_eq!(told.collect::<Vec<_>>(), [(Outcome::Timeout, 1, Some("the round's deadline")), queue, queue]);
}

#[test]
fn what_hung_in_the_last_round_goes_last_in_the_next_where_there_is_one_worker() {
    let clock = ManualClock::at(Timestamp::from_micros(0));
    let job = job("job", 4, 0);
    let mut dispatch = Dispatch::new(1, []);
    for (id, expected) in [(1, [0, 1, 2, 3]), (2, [2, 3, 0, 1]), (3, [0, 1, 2, 3])] {
        dispatch.start(start(id, &job, Duration::from_mins(1)), clock.now());
        for position in expected {
            let orders = dispatch.orders(clock.now());
            assert_eq!(orders.iter().map(|order| order.position).collect::<Vec<_>>(), [position]);
            let hangs = id == 1 && position < 2;
            fetched(&mut dispatch, &orders[0], if hangs { Outcome::Timeout } else { Outcome::Ok }, &clock);
        }
        assert_eq!(finished(&mut dispatch).len(), 1);
    }
}

#[test]
fn what_hung_goes_first_in_the_next_round_also_when_it_took_all_of_the_last_by_itself() {
    // The healthy ones end at once, or one of them only with the round.
    for (all_at_once, expected) in [(true, [3, 0]), (false, [0, 1])] {
        let clock = ManualClock::at(Timestamp::from_micros(0));
        let job = job("job", 4, 0);
        let mut dispatch = Dispatch::new(2, []);
        dispatch.start(start(1, &job, Duration::from_secs(10)), clock.now());
        let (mut open, mut late) = (dispatch.orders(clock.now()), Vec::new());
        while let Some(order) = open.pop() {
            if order.position == 3 || (order.position == 1 && !all_at_once) {
                late.push(order);
            } else {
                fetched(&mut dispatch, &order, Outcome::Ok, &clock);
                open.extend(dispatch.orders(clock.now()));
            }
        }
        clock.advance(Duration::from_secs(9));
        for order in late {
            let outcome = if order.position == 3 { Outcome::Timeout } else { Outcome::Ok };
            fetched(&mut dispatch, &order, outcome, &clock);
        }
        assert_eq!(finished(&mut dispatch).len(), 1);
        dispatch.start(start(2, &job, Duration::from_secs(10)), clock.now());
        let orders = dispatch.orders(clock.now());
        assert_eq!(orders.iter().map(|order| order.position).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn what_hung_in_the_last_round_goes_first_in_half_of_the_pool_when_that_round_had_time_and_last_when_not() {
    for (took, expected) in [(20, [5, 6, 0, 1]), (40, [0, 1, 2, 3])] {
        let clock = ManualClock::at(Timestamp::from_micros(0));
        let job = job("job", 8, 0);
        let mut dispatch = Dispatch::new(4, []);
        dispatch.start(start(1, &job, Duration::from_mins(1)), clock.now());
        clock.advance(Duration::from_secs(took));
        let mut open = dispatch.orders(clock.now());
        while let Some(order) = open.pop() {
            let hangs = order.position >= 5;
            fetched(&mut dispatch, &order, if hangs { Outcome::Timeout } else { Outcome::Ok }, &clock);
            open.extend(dispatch.orders(clock.now()));
        }
        assert_eq!(finished(&mut dispatch).len(), 1);
        dispatch.start(start(2, &job, Duration::from_mins(1)), clock.now());
        let mut orders = dispatch.orders(clock.now());
        assert_eq!(orders.iter().map(|order| order.position).collect::<Vec<_>>(), expected);
        // One of the others leaves its worker to the next of its kind while two of those that hang are in flight.
        let healthy = orders.remove(3);
        fetched(&mut dispatch, &healthy, Outcome::Ok, &clock);
        let next: Vec<u32> = dispatch.orders(clock.now()).iter().map(|order| order.position).collect();
        assert_eq!(next, [if took == 20 { 2 } else { 4 }]);
    }
}

#[test]
fn a_wide_round_leaves_workers_for_the_other_jobs_and_takes_all_when_it_is_alone() {
    let clock = ManualClock::at(Timestamp::from_micros(0));
    let (wide, small) = (job("wide", 100, 0), job("small", 3, 0));
    let mut alone = Dispatch::new(16, [(JobName::new("wide"), 100)]);
    alone.start(start(1, &wide, Duration::from_mins(1)), clock.now());
    assert_eq!(alone.orders(clock.now()).len(), 16);

    let mut shared = Dispatch::new(16, [(JobName::new("wide"), 100), (JobName::new("small"), 3)]);
    shared.start(start(1, &wide, Duration::from_mins(1)), clock.now());
    assert_eq!(shared.orders(clock.now()).len(), 13);
    shared.start(start(2, &small, Duration::from_mins(1)), clock.now());
    assert_eq!(shared.orders(clock.now()).iter().map(|order| order.round.0).collect::<Vec<_>>(), [2, 2, 2]);
}

#[test]
fn many_jobs_that_hang_leave_workers_for_one_that_does_not() {
    let clock = ManualClock::at(Timestamp::from_micros(0));
    let healthy = job("healthy", 3, 0);
    let hanging: Vec<_> = (0..24).map(|number| job(&format!("hangs {number}"), 50, 0)).collect();
    let stakes = hanging.iter().chain([&healthy]).map(|job| (job.layout.job.clone(), job.requests.len()));
    let mut dispatch = Dispatch::new(64, stakes);
    for turn in 0..2 {
        for (number, job) in (1..).zip(&hanging) {
            dispatch.start(start(turn * 100 + number, job, Duration::from_secs(1)), clock.now());
        }
        let orders = dispatch.orders(clock.now());
        if turn == 1 {
            dispatch.start(start(999, &healthy, Duration::from_secs(1)), clock.now());
            assert_eq!(dispatch.orders(clock.now()).iter().filter(|order| order.round.0 == 999).count(), 3);
        }
        clock.advance(Duration::from_secs(1));
        for order in &orders {
            fetched(&mut dispatch, order, Outcome::Timeout, &clock);
            // Each free worker takes the next slot, which hangs as well.
            for next in dispatch.orders(clock.now()) {
                fetched(&mut dispatch, &next, Outcome::Timeout, &clock);
            }
        }
        dispatch.tick(clock.now());
        finished(&mut dispatch);
    }
}

#[test]
fn a_free_worker_goes_to_the_round_with_the_fewest_in_flight() {
    let clock = ManualClock::at(Timestamp::from_micros(0));
    let (first, second) = (job("first", 50, 0), job("second", 50, 0));
    let mut dispatch = Dispatch::new(8, []);
    dispatch.start(start(1, &first, Duration::from_mins(1)), clock.now());
    dispatch.start(start(2, &second, Duration::from_mins(1)), clock.now());
    let mut per_round = HashMap::<i64, usize>::new();
    for order in dispatch.orders(clock.now()) {
        *per_round.entry(order.round.0).or_default() += 1;
    }
    assert_eq!(per_round, HashMap::from([(1, 4), (2, 4)]));
}

#[test]
fn a_pause_that_the_server_asks_for_is_kept_when_it_fits_into_the_round() {
    let clock = ManualClock::at(Timestamp::from_micros(0));
    let job = job("job", 1, 1);
    for (asked, tried_again) in [(2, true), (60, false)] {
        let mut dispatch = Dispatch::new(1, []);
        dispatch.start(start(1, &job, Duration::from_secs(10)), clock.now());
        let order = dispatch.orders(clock.now()).remove(0);
        let retry_after = Some(Duration::from_secs(asked));
        let busy = Attempt { retry_after, ..answer(0, Outcome::HttpStatus) };
        dispatch.fetched(answered(&order, busy), clock.now());
        assert_eq!(finished(&mut dispatch).is_empty(), tried_again);
        if tried_again {
            let pause = dispatch.next_tick().expect("a timer").saturating_sub(clock.now().monotonic);
            assert!(pause >= Duration::from_secs(2) && dispatch.orders(clock.now()).is_empty());
            clock.advance(pause);
            dispatch.tick(clock.now());
            assert_eq!(dispatch.orders(clock.now()).len(), 1);
        }
    }
}

#[test]
fn a_slot_that_was_refused_is_tried_again_before_those_that_hang() {
    let clock = ManualClock::at(Timestamp::from_micros(0));
    let (first, other) = (job("first", 3, 1), job("other", 1, 0));
    let stakes = [&first, &other].map(|job| (job.layout.job.clone(), job.requests.len()));
    let mut dispatch = Dispatch::new(1, stakes);
    dispatch.start(start(1, &first, Duration::from_mins(1)), clock.now());
    // The first slot is refused, and due again while the other two still wait.
    let order = dispatch.orders(clock.now()).remove(0);
    fetched(&mut dispatch, &order, Outcome::HttpStatus, &clock);
    let next = dispatch.orders(clock.now()).remove(0);
    clock.advance(Duration::from_secs(1));
    dispatch.tick(clock.now());
    fetched(&mut dispatch, &next, Outcome::Timeout, &clock);
    let order: Vec<u32> = dispatch.orders(clock.now()).iter().map(|order| order.position).collect();
    assert_eq!((next.position, order), (1, vec![0]));
}

#[test]
fn the_next_page_of_an_answer_waits_for_those_that_were_not_asked_yet() {
    let clock = ManualClock::at(Timestamp::from_micros(0));
    let job = job("job", 3, 0);
    let mut dispatch = Dispatch::new(1, []);
    dispatch.start(start(1, &job, Duration::from_mins(1)), clock.now());
    for expected in [0, 1, 2, 0] {
        let order = dispatch.orders(clock.now()).remove(0);
        assert_eq!(order.position, expected);
        let page = Attempt { body: None, ..answer(order.position, Outcome::Ok) };
        let attempt = if order.position == 0 { page } else { answer(order.position, Outcome::Ok) };
        dispatch.fetched(answered(&order, attempt), clock.now());
    }
}

#[test]
fn what_has_less_than_its_own_time_because_everything_stops_is_cancelled_and_not_timed_out() {
    let clock = ManualClock::at(Timestamp::from_micros(0));
    let job = job("job", 2, 0);
    let mut dispatch = Dispatch::new(1, []);
    dispatch.start(start(1, &job, Duration::from_mins(1)), clock.now());
    // The first was asked before, with all of its time.
    let before = dispatch.orders(clock.now()).remove(0);
    dispatch.drain(Duration::from_secs(1), clock.now());
    fetched(&mut dispatch, &before, Outcome::Timeout, &clock);
    let during = dispatch.orders(clock.now()).remove(0);
    assert_eq!(during.ask.timeout, Duration::from_secs(1));
    clock.advance(during.ask.timeout);
    fetched(&mut dispatch, &during, Outcome::Timeout, &clock);
    let round = only(finished(&mut dispatch));
    let told = round.slots.iter().map(|slot| (slot.outcome, slot.detail.as_ref().map(Detail::as_str)));
    let cancelled = (Outcome::Cancelled, Some("stopped while it ran"));
    assert_eq!(told.skip(1).collect::<Vec<_>>(), [cancelled]);
    assert_eq!(round.slots[0].outcome, Outcome::Timeout);
}

#[test]
fn what_had_less_than_its_own_time_because_its_turn_came_late_says_so() {
    let clock = ManualClock::at(Timestamp::from_micros(0));
    let job = job("job", 2, 0);
    let mut dispatch = Dispatch::new(1, []);
    dispatch.start(start(1, &job, Duration::from_secs(11)), clock.now());
    let first = dispatch.orders(clock.now()).remove(0);
    clock.advance(Duration::from_secs(10));
    let attempt = || Attempt::failed(Outcome::Timeout, Detail::new("waiting for the answer"));
    dispatch.fetched(answered(&first, attempt()), clock.now());
    let second = dispatch.orders(clock.now()).remove(0);
    assert!(second.ask.timeout < first.ask.timeout, "what is left of the round");
    clock.advance(second.ask.timeout);
    dispatch.fetched(answered(&second, attempt()), clock.now());
    let round = only(finished(&mut dispatch));
    let details: Vec<_> = round.slots.iter().map(|slot| slot.detail.as_ref().map(Detail::as_str)).collect();
    assert_eq!(details, [Some("waiting for the answer"), Some("the round's deadline, waiting for the answer")]);
}

#[test]
fn a_timeout_within_the_time_that_was_left_is_the_servers() {
    let clock = ManualClock::at(Timestamp::from_micros(0));
    let job = job("job", 1, 0);
    let mut dispatch = Dispatch::new(1, []);
    dispatch.start(start(1, &job, Duration::from_secs(8)), clock.now());
    let order = dispatch.orders(clock.now()).remove(0);
    assert_eq!(order.ask.timeout, Duration::from_secs(8), "less than its own");
    clock.advance(Duration::from_secs(1));
    let attempt = Attempt::failed(Outcome::Timeout, Detail::new("the TLS handshake"));
    dispatch.fetched(answered(&order, attempt), clock.now());
    let round = only(finished(&mut dispatch));
    assert_eq!(round.slots[0].detail.as_ref().map(Detail::as_str), Some("the TLS handshake"));
}

#[test]
fn a_round_without_endpoints_is_finished_at_once() {
    let clock = ManualClock::at(Timestamp::from_micros(0));
    let whole = job("job", 1, 0);
    let empty = gatherd::model::Layout { job: JobName::new("job"), endpoints: Vec::new() };
    let empty = Arc::new(PreparedJob { layout: Arc::new(empty), requests: Vec::new() });
    let mut dispatch = Dispatch::new(1, []);
    dispatch.start(start(1, &empty, Duration::from_secs(1)), clock.now());
    assert!(only(finished(&mut dispatch)).slots.is_empty());
    dispatch.start(start(2, &whole, Duration::from_secs(1)), clock.now());
    assert!(finished(&mut dispatch).is_empty());
}
