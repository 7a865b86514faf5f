//! A Fetcher's decisions about jobs of hosts, and the clock that they are made on.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gatherd::actors::dispatch::{Dispatch, Order};
use gatherd::actors::messages::{SlotFetched, StartRound};
use gatherd::clock::{Clock, ManualClock};
use gatherd::config::Settings;
use gatherd::fetch::{Attempt, Clients, PreparedJob, json};
use gatherd::model::{ClosedRound, Detail, Outcome, RoundBegin, RoundId, Timestamp};

pub const SECOND: Duration = Duration::from_secs(1);

/// Jobs with these keys and endpoints, ready.
pub fn jobs(list: &[(&str, &[&str])]) -> Vec<Arc<PreparedJob>> {
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
pub struct Hall {
    pub dispatch: Dispatch,
    pub clock: ManualClock,
    rounds: i64,
}

impl Hall {
    pub fn new(workers: usize) -> Self {
        let clock = ManualClock::at(Timestamp::from_micros(1_767_225_600_000_000));
        let dispatch = Dispatch::new(workers, []).leaving_alone(&[], clock.now());
        Self { dispatch, clock, rounds: 0 }
    }

    pub fn start(&mut self, job: &Arc<PreparedJob>, deadline: Duration) -> Vec<Order> {
        self.rounds += 1;
        let now = self.clock.now();
        let begin =
            RoundBegin { id: RoundId(self.rounds), due: now.wall, started: now.wall, layout: Arc::clone(&job.layout) };
        self.dispatch.start(StartRound { begin, job: Arc::clone(job), deadline, closed: None }, now);
        self.dispatch.orders(now)
    }

    pub fn ends(&mut self, order: &Order, attempt: Attempt) -> Vec<Order> {
        let (job, host) = (order.job.clone(), Arc::clone(&order.request.host));
        let (round, position) = (order.round, order.position);
        self.dispatch.fetched(SlotFetched { job, round, position, host, attempt }, self.clock.now());
        self.dispatch.orders(self.clock.now())
    }

    /// Time passes up to the next tick that the dispatch asks for.
    pub fn next_tick(&mut self) -> (Duration, Vec<Order>) {
        let now = self.clock.now().monotonic;
        let wait = self.dispatch.next_tick().expect("something to wait for").saturating_sub(now);
        self.clock.advance(wait);
        self.dispatch.tick(self.clock.now());
        (wait, self.dispatch.orders(self.clock.now()))
    }

    pub fn closed(&mut self) -> Vec<ClosedRound> {
        self.dispatch.take_finished().into_iter().map(|finished| finished.round).collect()
    }
}

pub fn ok() -> Attempt {
    let body = Some(json::document(b"1").expect("a document"));
    Attempt { http_status: Some(200), body, detail: None, ..Attempt::failed(Outcome::Ok, Detail::new("")) }
}

pub fn busy(seconds: u64) -> Attempt {
    let retry_after = Some(Duration::from_secs(seconds));
    Attempt { http_status: Some(429), retry_after, ..Attempt::failed(Outcome::HttpStatus, Detail::new("429")) }
}

pub fn outcomes(round: &ClosedRound) -> Vec<Outcome> {
    round.slots.iter().map(|slot| slot.outcome).collect()
}
