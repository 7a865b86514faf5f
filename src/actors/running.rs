//! One running round: which slots are ready, which wait for what, and what each has come to.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use actix::Recipient;

use super::hosts::{Hosts, Permit};
use super::load::hung;
use super::memory::Memories;
use super::messages::{RoundClosed, StartRound};
use super::progress::{Cut, DEADLINE, Progress, STOPPED};
use crate::clock::Moment;
use crate::fetch::{Ask, Attempt, PreparedJob, Request, retry};
use crate::model::{Detail, JobName, Outcome, RoundBegin, RoundId, Slot};

/// So much before its time is over a request may end for that: clocks are rounded.
const ABOUT: Duration = Duration::from_millis(20);

/// One attempt that a worker is to make.
pub struct Order {
    /// The job.
    pub job: JobName,
    /// The round.
    pub round: RoundId,
    /// The slot.
    pub position: u32,
    /// What is sent.
    pub request: Arc<Request>,
    /// When, and what came before. Its time is the endpoint's own, or what is left of the round.
    pub ask: Ask,
}

/// What became of the slot that was next.
pub(super) enum Next {
    /// A worker is to take it.
    Order(Box<Order>),
    /// Its host cannot take it now.
    Held,
    /// Its host asked to be left alone for longer than the round lasts.
    Ended,
}

/// See the module.
pub(super) struct Running {
    pub(super) begin: RoundBegin,
    pub(super) job: Arc<PreparedJob>,
    pub(super) started: Duration,
    pub(super) closes: Duration,
    /// When the last slot ended that did not hang.
    pub(super) others_ended: Duration,
    pub(super) closed: Option<Recipient<RoundClosed>>,
    /// Ready to be sent, in order.
    waiting: VecDeque<u32>,
    /// Ready as well, but they timed out lately.
    hung: VecDeque<u32>,
    /// Ready, but for their host.
    held: HashMap<Arc<str>, VecDeque<u32>>,
    /// To be sent again at a time.
    retries: BinaryHeap<Reverse<(Duration, u32)>>,
    slots: Vec<Progress>,
    pub(super) open: usize,
    pub(super) in_flight: usize,
    /// When it got its last turn at a host that it waited for.
    pub(super) turn: u64,
    pub(super) stopping: bool,
    /// It began with a config that a reload has replaced.
    pub(super) outdated: bool,
}

impl Running {
    /// A round whose slots are ready; those of `hung` timed out lately.
    pub(super) fn new(start: StartRound, hung: &HashSet<u32>, now: Moment) -> Self {
        let slots = start.job.requests.len();
        let all = 0..u32::try_from(slots).unwrap_or(u32::MAX);
        let (hung, waiting): (VecDeque<u32>, VecDeque<u32>) = all.partition(|position| hung.contains(position));
        let mut progress: Vec<Progress> = (0..slots).map(|_| Progress::default()).collect();
        for &position in &hung {
            progress[position as usize].hung = true;
        }
        Self {
            begin: start.begin,
            job: start.job,
            started: now.monotonic,
            closes: now.monotonic + start.deadline,
            others_ended: now.monotonic,
            closed: start.closed,
            waiting,
            hung,
            held: HashMap::new(),
            retries: BinaryHeap::new(),
            slots: progress,
            open: slots,
            in_flight: 0,
            turn: 0,
            stopping: false,
            outdated: false,
        }
    }

    /// Whether a slot is ready, of those that timed out lately or of the others.
    pub(super) fn is_ready(&self, hung: bool) -> bool {
        !if hung { &self.hung } else { &self.waiting }.is_empty()
    }

    /// Whether half of its time is left.
    pub(super) fn has_time(&self, now: Duration) -> bool {
        now.saturating_sub(self.started) <= self.closes.saturating_sub(self.started) / 2
    }

    /// The round closes by then, because everything stops.
    pub(super) fn stop(&mut self, by: Duration) {
        self.closes = self.closes.min(by);
        self.stopping = true;
    }

    /// When a pause of a slot ends, or the round.
    pub(super) fn next_tick(&self) -> Duration {
        self.retries.peek().map_or(self.closes, |&Reverse((at, _))| at.min(self.closes))
    }

    /// Pauses that are over end.
    pub(super) fn tick(&mut self, now: Duration) {
        while let Some(&Reverse((at, position))) = self.retries.peek() {
            if at > now {
                break;
            }
            self.retries.pop();
            self.make_ready(position);
        }
    }

    /// A slot that was asked already goes before those that were not.
    fn make_ready(&mut self, position: u32) {
        let hung = self.slots[position as usize].hung;
        if hung { &mut self.hung } else { &mut self.waiting }.push_front(position);
    }

    /// Whether slots wait for their hosts.
    pub(super) fn holds_any(&self) -> bool {
        !self.held.is_empty()
    }

    /// How many slots wait for `host`.
    pub(super) fn held(&self, host: &str) -> usize {
        self.held.get(host).map_or(0, VecDeque::len)
    }

    /// The hosts that slots wait for.
    pub(super) fn hosts_waited_for(&self) -> impl Iterator<Item = Arc<str>> {
        self.held.keys().cloned()
    }

    /// The first `count` slots that wait for `host` are ready again, in their order.
    pub(super) fn release(&mut self, host: &str, count: usize) {
        let Some(held) = self.held.get_mut(host) else { return };
        let released: Vec<u32> = held.drain(..count.min(held.len())).collect();
        if held.is_empty() {
            self.held.remove(host);
        }
        released.iter().rev().for_each(|&position| self.make_ready(position));
    }

    /// Takes the slot that is ready first, of those that timed out lately or of the others.
    pub(super) fn next(&mut self, hung: bool, hosts: &mut Hosts, memories: &Memories, now: Moment) -> Option<Next> {
        let position = if hung { &mut self.hung } else { &mut self.waiting }.pop_front()?;
        let request = Arc::clone(&self.job.requests[position as usize]);
        // Where an access token is missing, its host is asked first.
        let is_paused = |host: &Arc<str>| matches!(hosts.permit(host, now.monotonic), Permit::AfterPause(_));
        let token_host = request.token_host().filter(is_paused);
        let whose = if token_host.is_some() { "its token's host" } else { "its host" };
        let host = token_host.unwrap_or_else(|| Arc::clone(&request.host));
        match hosts.permit(&host, now.monotonic) {
            Permit::Now => {
                let most = hosts.began(&request.host, now.monotonic);
                return Some(Next::Order(Box::new(self.order(position, request, most, memories, now))));
            }
            Permit::AfterPause(until) if until >= self.closes => {
                let end = now.wall.plus(until.saturating_sub(now.monotonic));
                self.end_by_backoff(position, &format!("{whose} asked to be left alone until {end}"), now);
                return Some(Next::Ended);
            }
            Permit::At(at) | Permit::AfterPause(at) => hosts.wake(&host, at),
            Permit::WhenOneEnds => {}
        }
        // One that was let go and has to wait again keeps its place.
        let held = self.held.entry(host).or_default();
        held.insert(held.partition_point(|&other| other < position), position);
        Some(Next::Held)
    }

    fn order(
        &mut self,
        position: u32,
        request: Arc<Request>,
        max_per_host: Option<usize>,
        memories: &Memories,
        now: Moment,
    ) -> Order {
        let job = self.begin.layout.job.clone();
        let memory = memories.of(&job, &self.begin.layout.endpoints[position as usize].name);
        let slot = &mut self.slots[position as usize];
        slot.attempts += 1;
        slot.tries += 1;
        slot.started.get_or_insert(now.monotonic);
        slot.in_flight = true;
        self.in_flight += 1;
        let (own, left) = (request.settings().timeout, self.closes.saturating_sub(now.monotonic));
        slot.cut = (left < own).then_some(if self.stopping { Cut::Stop } else { Cut::Deadline });
        let ask = Ask {
            timeout: own.min(left),
            due: self.begin.due,
            last_ok: memory.and_then(|memory| memory.last_ok),
            remembered: memory.and_then(|memory| memory.remembered.clone()),
            gathered: slot.gathered.take(),
            alone: slot.hung || slot.tries > 1,
            max_per_host,
        };
        Order { job, round: self.begin.id, position, request, ask }
    }

    /// A slot that was tried in this round keeps what came of it.
    fn end_by_backoff(&mut self, position: u32, detail: &str, now: Moment) {
        let slot = &mut self.slots[position as usize];
        let untried = || Attempt::failed(Outcome::Backoff, Detail::new(detail));
        let attempt = slot.last.take().unwrap_or_else(untried);
        slot.finish(attempt, &self.job.requests[position as usize], now);
        self.note_end(position, now);
    }

    fn note_end(&mut self, position: u32, now: Moment) {
        self.open -= 1;
        if !self.slots[position as usize].done.as_ref().is_some_and(hung) {
            self.others_ended = now.monotonic;
        }
    }

    /// Keeps the answer, asks for the next page, or tries again after a pause when that may help and fits into the
    /// round. Answers the slot when it has ended. A command has a `patience`: a host that asks for a longer pause is not
    /// waited for.
    pub(super) fn answered(
        &mut self,
        position: u32,
        mut attempt: Attempt,
        patience: Option<Duration>,
        now: Moment,
    ) -> Option<&Slot> {
        let (slot, request) = (self.slots.get_mut(position as usize)?, self.job.requests.get(position as usize)?);
        slot.in_flight = false;
        slot.gathered = attempt.gathered.take();
        // A connection, or another's access token, may have taken too long before.
        let at_the_end = attempt.outcome == Outcome::Timeout && now.monotonic + ABOUT >= self.closes;
        match slot.cut.filter(|_| at_the_end) {
            Some(Cut::Stop) => attempt = Attempt::failed(Outcome::Cancelled, Detail::new(STOPPED)),
            Some(Cut::Deadline) => {
                let reached = attempt.detail.map_or(String::new(), |detail| format!(", {detail}"));
                attempt.detail = Some(Detail::new(format!("{DEADLINE}{reached}")));
            }
            None => {}
        }
        slot.hung |= attempt.outcome == Outcome::Timeout;
        if attempt.is_to_be_continued() {
            slot.tries = 0;
            slot.last = None;
            // Behind those that were not asked yet, so that no endless chain of pages keeps them from their turn.
            let hung = slot.hung;
            if hung { &mut self.hung } else { &mut self.waiting }.push_back(position);
            return None;
        }
        let tries_left = slot.tries <= request.settings().retries && !self.stopping;
        if tries_left && retry::is_retried(attempt.outcome, attempt.http_status) {
            let (asked, pause) = (attempt.retry_after.unwrap_or_default(), retry::pause(slot.tries));
            // All that a host told to wait would come back at the same moment, as long as there is time for another.
            let spread = Some(now.monotonic + asked + pause).filter(|&at| patience.is_none() && at < self.closes);
            let at = spread.unwrap_or(now.monotonic + pause.max(asked));
            if at < self.closes && patience.is_none_or(|patience| asked <= patience) {
                slot.last = Some(attempt);
                self.retries.push(Reverse((at, position)));
                return None;
            }
        }
        if let Some(asked) = attempt.retry_after.filter(|_| patience.is_some()) {
            attempt.detail = Some(retry::with_asked_pause(attempt.detail.as_ref(), asked));
        }
        slot.finish(attempt, request, now);
        self.note_end(position, now);
        self.slots[position as usize].done.as_ref()
    }

    /// All slots as they are when the round closes.
    pub(super) fn end(&mut self, now: Moment) -> Vec<Slot> {
        let end = |(slot, request): (Progress, &Arc<Request>)| {
            let was_open = slot.done.is_none();
            let slot = slot.end(self.stopping, request, now);
            if was_open && !hung(&slot) {
                self.others_ended = now.monotonic;
            }
            slot
        };
        self.slots.drain(..).zip(&self.job.requests).map(end).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::config::Settings;
    use crate::fetch::{Clients, Gathered};
    use crate::model::Timestamp;

    #[test]
    fn a_slot_that_has_ended_keeps_no_pages() {
        let text = "[[job]]\nname = \"a\"\nevery = \"1m\"\npages = { link = true }\nretries = 0\nendpoints = [\"http://a.example/\"]";
        let settings = Settings::parse(Path::new("config.toml"), text).expect("a valid config");
        let job = PreparedJob::new(&settings.jobs[0], Path::new("."), &mut Clients::default()).expect("requests");
        let pages = job.requests[0].settings().pages.clone().expect("pages");
        let now = ManualClock::at(Timestamp::from_micros(0)).now();
        let begin = RoundBegin { id: RoundId(1), due: now.wall, started: now.wall, layout: Arc::clone(&job.layout) };
        let start = StartRound { begin, job: Arc::new(job), deadline: Duration::from_secs(9), closed: None };
        let mut running = Running::new(start, &HashSet::new(), now);
        let failed = Attempt::failed(Outcome::NotJson, Detail::new(""));
        let attempt = Attempt {
            gathered: Some(Box::new(Gathered::none(&pages, crate::model::Timestamp::from_micros(0)))),
            ..failed
        };
        assert!(running.answered(0, attempt, None, now).is_some());
        assert!(running.slots[0].gathered.is_none());
    }
}
