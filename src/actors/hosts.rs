//! What each host is spared: how many requests at once, how many a second, and none while it asked to be left alone;
//! over all jobs. Pure: monotonic times go in, permits come out.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::clock::Moment;
use crate::fetch::Request;
use crate::model::HostPause;

/// What a rate may be made up for at once, because timers are late and no finer than a millisecond: 20 ms of it, and for
/// rates below 50/s one request that much early.
const CATCH_UP: Duration = Duration::from_millis(20);

/// All hosts that were asked, have a limit or a pause.
#[derive(Debug, Default)]
pub struct Hosts {
    hosts: FxHashMap<Arc<str>, Host>,
    /// When a host that is waited for is to be looked at again.
    wakes: BinaryHeap<Reverse<(Duration, Arc<str>)>>,
}

#[derive(Debug, Default)]
struct Host {
    in_flight: usize,
    most: Option<usize>,
    /// The least time between two requests.
    spacing: Duration,
    /// The next request, by the spacing.
    next: Duration,
    /// It asked to be left alone until then.
    paused: Duration,
    /// The wake that is set.
    wake: Option<Duration>,
}

/// Whether a request may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// It may.
    Now,
    /// When one that is in flight has ended.
    WhenOneEnds,
    /// At this time (monotonic).
    At(Duration),
    /// When the pause that the host asked for is over, at this time.
    AfterPause(Duration),
}

impl Host {
    /// The moment that the spacing counts from when a request is sent now: this one, or the one at which it could have
    /// been sent if that is only a little ago. A timer that is late does not lower the rate.
    fn turn(&self, now: Duration) -> Duration {
        if self.spacing < CATCH_UP {
            self.next.max(now.saturating_sub(CATCH_UP))
        } else if now.saturating_sub(self.next) < CATCH_UP {
            self.next
        } else {
            now
        }
    }

    /// How many requests the rate lets go now.
    fn due(&self, now: Duration) -> usize {
        let Some(behind) = now.checked_sub(self.turn(now)) else { return 0 };
        let further = behind.as_nanos() / self.spacing.as_nanos().max(1);
        usize::try_from(further).unwrap_or(usize::MAX).saturating_add(1)
    }
}

impl Hosts {
    /// Only the limits of `requests` count from now on. What is in flight, and pauses that hosts asked for, stay.
    pub fn limit_anew<'a>(&mut self, requests: impl Iterator<Item = &'a Request>, now: Duration) {
        for host in self.hosts.values_mut() {
            (host.most, host.spacing) = (None, Duration::ZERO);
        }
        requests.for_each(|request| self.limit(request));
        self.hosts.retain(|_, host| {
            // The next one does not wait for a rate that was lower.
            host.next = host.next.min(now + host.spacing);
            host.in_flight > 0 || host.paused > now || host.most.is_some() || !host.spacing.is_zero()
        });
    }

    /// Keeps the limits that `request` has for its host, beside those of others: the strictest counts.
    pub fn limit(&mut self, request: &Request) {
        if request.settings().max_per_host.is_none() && request.settings().rate.is_none() {
            return;
        }
        let host = self.hosts.entry(Arc::clone(&request.host)).or_default();
        host.most = host.most.into_iter().chain(request.settings().max_per_host).min();
        host.spacing = host.spacing.max(request.settings().rate.unwrap_or_default());
    }

    /// `host` is left alone for `span` from now, unless it is for longer already. Answers what is to be remembered.
    pub fn pause(&mut self, host: &Arc<str>, span: Duration, now: Moment) -> Option<HostPause> {
        let until = now.monotonic + span;
        let paused = &mut self.hosts.entry(Arc::clone(host)).or_default().paused;
        if *paused >= until {
            return None;
        }
        *paused = until;
        Some(HostPause { host: host.to_string(), until: now.wall.plus(span) })
    }

    /// Whether a request to `host` may be sent now.
    #[must_use]
    pub fn permit(&self, host: &str, now: Duration) -> Permit {
        let Some(host) = self.hosts.get(host) else { return Permit::Now };
        if host.paused > now {
            Permit::AfterPause(host.paused)
        } else if host.most.is_some_and(|most| host.in_flight >= most) {
            Permit::WhenOneEnds
        } else if !host.spacing.is_zero() && host.next > now {
            Permit::At(host.next)
        } else {
            Permit::Now
        }
    }

    /// A request to `host` is sent. Counted for every host: a reload may give it a limit meanwhile. Answers the most
    /// requests in flight there, if that is bounded.
    pub fn began(&mut self, host: &Arc<str>, now: Duration) -> Option<usize> {
        let host = self.hosts.entry(Arc::clone(host)).or_default();
        host.in_flight += 1;
        host.next = host.turn(now) + host.spacing;
        host.most
    }

    /// A request to `host` ended.
    pub fn ended(&mut self, host: &str) {
        if let Some(host) = self.hosts.get_mut(host) {
            host.in_flight = host.in_flight.saturating_sub(1);
        }
    }

    /// How many requests to `host` may be sent now, if they are waiting.
    #[must_use]
    pub fn room(&self, host: &str, now: Duration) -> usize {
        let Some(host) = self.hosts.get(host) else { return usize::MAX };
        let free = host.most.map_or(usize::MAX, |most| most.saturating_sub(host.in_flight));
        let by_rate = if host.spacing.is_zero() { usize::MAX } else { host.due(now) };
        if host.paused > now { 0 } else { free.min(by_rate) }
    }

    /// `host` is to be looked at again at `at`.
    pub fn wake(&mut self, host: &Arc<str>, at: Duration) {
        let Some(state) = self.hosts.get_mut(host) else { return };
        if state.wake.is_none_or(|wake| at < wake) {
            state.wake = Some(at);
            self.wakes.push(Reverse((at, Arc::clone(host))));
        }
    }

    /// A host whose time to be looked at has come.
    pub fn woken(&mut self, now: Duration) -> Option<Arc<str>> {
        let Reverse((at, _)) = self.wakes.peek()?;
        if *at > now {
            return None;
        }
        let Reverse((at, host)) = self.wakes.pop()?;
        if let Some(state) = self.hosts.get_mut(&host)
            && state.wake == Some(at)
        {
            state.wake = None;
        }
        Some(host)
    }

    /// When the next host is to be looked at.
    #[must_use]
    pub fn next_wake(&self) -> Option<Duration> {
        self.wakes.peek().map(|Reverse((at, _))| *at)
    }

    /// When a request that waits for `host` may be sent at the earliest, when that is a matter of time.
    #[must_use]
    pub fn opens(&self, host: &str, now: Duration) -> Option<Duration> {
        match self.permit(host, now) {
            Permit::At(at) | Permit::AfterPause(at) => Some(at),
            Permit::Now | Permit::WhenOneEnds => None,
        }
    }
}
