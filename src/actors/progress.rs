//! How far one slot of a running round has come, and what it comes to.

use std::time::Duration;

use crate::clock::Moment;
use crate::fetch::{Attempt, Gathered, Request};
use crate::model::{Detail, Outcome, Slot};

/// Why a slot has no answer that was being waited for when everything stopped.
pub(super) const STOPPED: &str = "stopped while it ran";
/// What ended a slot whose time was cut by its round's.
pub(super) const DEADLINE: &str = "the round's deadline";

/// Why the round closes before a request's own time is over.
#[derive(Clone, Copy)]
pub(super) enum Cut {
    /// The request's turn came late.
    Deadline,
    /// Everything stops.
    Stop,
}

/// How far a slot has come.
#[derive(Default)]
pub(super) struct Progress {
    /// It timed out lately, in this round or the last.
    pub(super) hung: bool,
    /// Requests made.
    pub(super) attempts: u32,
    /// Those of them for the present page.
    pub(super) tries: u32,
    pub(super) started: Option<Duration>,
    pub(super) in_flight: bool,
    /// Why its last request has less time than the endpoint's own, if it has.
    pub(super) cut: Option<Cut>,
    pub(super) gathered: Option<Box<Gathered>>,
    pub(super) last: Option<Attempt>,
    pub(super) done: Option<Slot>,
}

impl Progress {
    pub(super) fn finish(&mut self, attempt: Attempt, request: &Request, now: Moment) {
        // The pages of a slot that failed would take their memory until the round closes.
        self.gathered = None;
        self.done = Some(Slot {
            outcome: attempt.outcome,
            http_status: attempt.http_status,
            attempts: self.attempts,
            fetched_at: now.wall,
            elapsed: self.started.map_or(Duration::ZERO, |started| now.monotonic.saturating_sub(started)),
            body: attempt.body,
            detail: attempt.detail,
            phases: attempt.phases,
            evidence: attempt.evidence,
            validators: attempt.validators,
            asks_for_last_ok: request.asks_for_last_ok,
        });
    }

    /// The slot when its round closes: what it came to, or why it did not.
    pub(super) fn end(mut self, stopping: bool, request: &Request, now: Moment) -> Slot {
        if self.done.is_none() {
            let attempt = match (self.in_flight, self.last.take()) {
                (false, Some(last)) => last,
                (false, None) if stopping && self.attempts == 0 => {
                    Attempt::failed(Outcome::Cancelled, Detail::new("stopped before it began"))
                }
                (_, _) if stopping => Attempt::failed(Outcome::Cancelled, Detail::new(STOPPED)),
                // A worker was never free, or its host was never.
                (false, None) if self.attempts == 0 => Attempt::failed(Outcome::Timeout, Detail::new("queue")),
                (_, _) => Attempt::failed(Outcome::Timeout, Detail::new(DEADLINE)),
            };
            self.finish(attempt, request, now);
        }
        self.done.unwrap_or_else(|| Slot::untried(Outcome::Panic, "a slot without an end", now.wall))
    }
}
