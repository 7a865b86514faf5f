//! Rounds that are not stored: `gatherd fetch`, the library, and the rehearsal.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::{Actor, System};
use anyhow::Context as _;
use tokio::sync::mpsc;

use super::woken::when_woken;
use crate::actors::dispatch::Dispatch;
use crate::actors::messages::{Drain, StartRound};
use crate::actors::{Collector, Fetcher, Pool};
use crate::clock::{Clock, SystemClock};
use crate::config::{Endpoint, RequestSettings, Secret};
use crate::fetch::{Clients, PreparedJob, Request};
use crate::model::{ClosedRound, JobName, Layout, Outcome, RoundBegin, RoundId, Slot};

/// A round without a deadline: each of its slots has one.
const ENDLESS: Duration = Duration::from_hours(24 * 366);

/// How often progress is told.
const PROGRESS: Duration = Duration::from_millis(100);

/// What becomes of the threads and connections of a single round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// They are ended and closed, one by one.
    CleanUp,
    /// They stay until the process ends, which is at once: the system does that faster.
    LeaveToExit,
}

/// How far a single round may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The most threads, and so requests in flight.
    pub workers: usize,
    /// The longest that the round may take; otherwise each slot ends by its own timeout, retries and pauses.
    pub deadline: Option<Duration>,
    /// What becomes of the threads and connections.
    pub afterwards: Afterwards,
}

/// Fetches each of `urls` once, within `bounds`, and answers the slots in order, each with its URL as it may be shown.
/// Blocks. All are asked as `request` says, and get `token`. A text that is no URL ends as `protocol` without an
/// attempt. `progress` is told now and then how many slots have ended. When `stop` resolves, what is not there yet is
/// `cancelled`.
///
/// # Errors
/// When the pool or an HTTP client cannot be had.
pub fn fetch_urls(
    urls: &[String],
    request: RequestSettings,
    token: Option<&Secret>,
    bounds: Bounds,
    progress: impl FnMut(usize),
    stop: impl Future<Output = ()>,
) -> anyhow::Result<Vec<(String, Slot)>> {
    let request = Arc::new(request);
    let mut endpoints = Vec::with_capacity(urls.len());
    let target = |url: &String| Endpoint::unnamed(url, Arc::clone(&request)).map(|endpoint| endpoints.push(endpoint));
    let targets: Vec<Result<(), String>> = urls.iter().map(target).collect();
    let rounds = if endpoints.is_empty() {
        Vec::new()
    } else {
        let deadline = bounds.deadline.unwrap_or(ENDLESS);
        let round = Unstored { job: JobName::new("fetch"), endpoints, deadline };
        fetch_rounds(vec![round], token, bounds.workers, bounds.afterwards, progress, stop)?
    };
    let ended = |ClosedRound { begin, slots, .. }| {
        let shown: Vec<String> = begin.layout.endpoints.iter().map(|label| label.url.clone()).collect();
        shown.into_iter().zip(slots)
    };
    let mut slots = rounds.into_iter().flat_map(ended);
    let now = SystemClock::new().now().wall;
    let place = |(target, url): (Result<(), String>, &String)| match target {
        Ok(()) => slots.next(),
        // What does not parse as a URL may hold a secret anywhere.
        Err(problem) => Some((cut(url), Slot::untried(Outcome::Protocol, &problem, now))),
    };
    Ok(targets.into_iter().zip(urls).filter_map(place).collect())
}

/// The part of a text that is no URL in which no userinfo or parameter is. A password may hold any character, which
/// is often why the text is no URL, so before an `@` only the scheme is safe.
fn cut(text: &str) -> String {
    if text.contains('@') {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        let scheme = scheme.filter(|scheme| scheme.bytes().all(|byte| byte.is_ascii_lowercase()));
        return scheme.map_or_else(|| "…".to_owned(), |scheme| format!("{scheme}://…"));
    }
    let end = text.find(['?', '#']).unwrap_or(text.len());
    text[..end].to_owned()
}

/// A round that is not stored.
#[derive(Clone, Debug)]
pub struct Unstored {
    /// The job that it stands for.
    pub job: JobName,
    /// Its endpoints.
    pub endpoints: Vec<Endpoint>,
    /// The longest that it may take.
    pub deadline: Duration,
}

/// Runs all of `rounds` at the same time, over one pool of up to `workers` threads, and answers them in order. Blocks.
/// Endpoints without credentials of their own get `token`. `progress` is told now and then how many slots have ended.
/// When `stop` resolves, what is not there yet is `cancelled`.
///
/// # Errors
/// When the pool or an HTTP client cannot be had.
pub fn fetch_rounds(
    rounds: Vec<Unstored>,
    token: Option<&Secret>,
    workers: usize,
    afterwards: Afterwards,
    mut progress: impl FnMut(usize),
    stop: impl Future<Output = ()>,
) -> anyhow::Result<Vec<ClosedRound>> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let workers = workers.min(rounds.iter().map(|round| round.endpoints.len()).sum()).max(1);
    let mut clients = Clients::with_token(token).for_workers(workers);
    let starts = starts(rounds, &mut clients, clock.as_ref())?;
    let count = starts.len();
    let system = System::new();
    let closed = system.block_on(when_woken(async {
        let (collected, mut closed) = mpsc::unbounded_channel();
        let (fatal, mut fatally) = mpsc::unbounded_channel();
        let mut dispatch = Dispatch::new(workers, []);
        // The strictest limit for a host counts for all jobs, also for those that start before the one that has it.
        for start in &starts {
            dispatch.expect(&start.job, Vec::new());
        }
        let ended = dispatch.ended();
        let collector = Collector(collected).start().recipient();
        let fetcher = Fetcher::new(dispatch, Pool::new(workers), collector, Arc::clone(&clock), fatal).start();
        for start in starts {
            fetcher.do_send(start);
        }
        let mut pace = tokio::time::interval(PROGRESS);
        tokio::pin!(stop);
        let (mut stopped, mut rounds) = (false, Vec::with_capacity(count));
        while rounds.len() < count {
            tokio::select! {
                round = closed.recv() => {
                    rounds.push(Arc::unwrap_or_clone(round.context("the fetcher ended without an answer")?));
                }
                Some(fatal) = fatally.recv() => return Err(fatal.into()),
                () = &mut stop, if !stopped => {
                    stopped = true;
                    fetcher.do_send(Drain { grace: Duration::ZERO });
                }
                _ = pace.tick() => progress(ended.load(Ordering::Relaxed)),
            }
        }
        rounds.sort_by_key(|round| round.begin.id);
        Ok(rounds)
    }));
    if afterwards == Afterwards::LeaveToExit {
        std::mem::forget((system, clients));
    }
    closed
}

fn starts(rounds: Vec<Unstored>, clients: &mut Clients, clock: &dyn Clock) -> anyhow::Result<Vec<StartRound>> {
    let now = clock.now().wall;
    let mut start = |(id, round): (i64, Unstored)| {
        let prepare = |endpoint| Request::new(endpoint, Path::new(""), clients).map(Arc::new);
        let requests = round.endpoints.iter().map(prepare).collect::<Result<Vec<_>, _>>()?;
        let labels = round.endpoints.into_iter().map(|endpoint| endpoint.label).collect();
        let layout = Arc::new(Layout { job: round.job, endpoints: labels });
        let begin = RoundBegin { id: RoundId(id), due: now, started: now, layout: Arc::clone(&layout) };
        let job = Arc::new(PreparedJob { layout, requests });
        Ok(StartRound { begin, job, deadline: round.deadline, closed: None })
    };
    (1..).zip(rounds).map(&mut start).collect()
}
