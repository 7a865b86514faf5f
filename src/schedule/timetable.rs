//! All jobs' states over time: what fires, what waits, what goes to the ledger. Pure: the Scheduler actor feeds it
//! moments and carries out what it answers.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::{Cadence, Dues};
use crate::clock::Moment;
use crate::model::{Cause, JobName, RoundStatus, Timestamp};

/// A round without a deadline of its own never runs longer than this.
const LONGEST_ROUND: Duration = Duration::from_mins(10);
/// The most by which a round closes before the next due, so that its commit is over by then.
const LARGEST_MARGIN: Duration = Duration::from_millis(250);
/// A round that is to close within this is as good as closed: the next due waits for it instead of being skipped.
const CLOSING_SOON: Duration = Duration::from_millis(100);
/// The wall clock is read again at least this often, whatever the next due: it may have been set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// A wall clock that is set back further than this was wrong before: dues start anew instead of waiting for it.
const STEP_BACK_WAITED_FOR: Duration = Duration::from_hours(24);

/// One job of the timetable.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The job.
    pub job: JobName,
    /// When it is due.
    pub cadence: Cadence,
    /// How long a round may take; `None` is until shortly before the next due, at most 10 minutes.
    pub deadline: Option<Duration>,
    /// Whether a round starts at once when the daemon does.
    pub run_on_start: bool,
}

impl Entry {
    /// How long a round may take that starts on time for `due`.
    #[must_use]
    pub fn longest_round(&self, due: Timestamp) -> Duration {
        self.deadline.unwrap_or_else(|| time_until(self.cadence.next_after(due), due, due))
    }
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A round starts.
    Start {
        /// The job's position in the timetable.
        job: usize,
        /// The due that it answers.
        due: Timestamp,
        /// How long it may take from now.
        deadline: Duration,
    },
    /// Dues go to the ledger.
    Ledger {
        /// The job's position in the timetable.
        job: usize,
        /// Which dues.
        dues: Dues,
        /// `skipped` or `missed`.
        status: RoundStatus,
        /// Why.
        cause: Cause,
    },
}

/// What a job does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobPhase {
    /// It waits for its next due.
    Idle,
    /// A round runs.
    Running,
    /// The round's time is over, and the next due waits for it to be stored.
    Closing,
}

/// A job's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Waits for its next due.
    Idle,
    /// A round runs until the given monotonic time at most.
    Running { closes: Duration },
    /// The round's time is over and it is being closed and stored; the next due waits for that.
    Closing { waiting: Timestamp },
}

#[derive(Debug)]
struct Row {
    entry: Entry,
    state: State,
    /// The last due that was handled in any way: never handled again.
    handled: Option<Timestamp>,
    /// The next due; `None` when the cadence has no more.
    next: Option<Timestamp>,
}

/// The jobs and their states.
#[derive(Debug)]
pub struct Timetable {
    rows: Vec<Row>,
    /// Jobs that a reload took away. Their last round may still run, and they may come back.
    removed: Vec<Row>,
}

impl Timetable {
    /// A timetable that starts at `now`. `last_due` tells the last due of a job that the history knows.
    /// What was due between that and `now` is answered as missed, nothing is fired for it; the jobs that ask for
    /// it get a round at once.
    pub fn start(
        entries: Vec<Entry>,
        now: Moment,
        last_due: impl Fn(&JobName) -> Option<Timestamp>,
    ) -> (Self, Vec<Action>) {
        let mut actions = Vec::new();
        let mut rows = Vec::with_capacity(entries.len());
        for (job, entry) in entries.into_iter().enumerate() {
            let handled = last_due(&entry.job);
            let mut row = Row { entry, state: State::Idle, handled, next: None };
            row.restart_after_large_step_back(now.wall);
            let missed = row.handled.and_then(|last| row.entry.cadence.dues_between(last, now.wall));
            if let Some(dues) = missed {
                actions.push(ledger(job, dues, RoundStatus::Missed, Cause::DaemonDown));
            }
            row.handle(row.handled.max(Some(now.wall)).unwrap_or(now.wall));
            if row.entry.run_on_start {
                actions.push(row.start_at_once(job, now));
            }
            rows.push(row);
        }
        (Self { rows, removed: Vec::new() }, actions)
    }

    /// What has become due by `now`.
    pub fn tick(&mut self, now: Moment) -> Vec<Action> {
        let mut actions = Vec::new();
        for (job, row) in self.rows.iter_mut().enumerate() {
            row.restart_after_large_step_back(now.wall);
            if row.next.is_some_and(|due| due <= now.wall) {
                row.tick(job, now, &mut actions);
            }
        }
        actions
    }

    /// The round of `job` is closed; a due that waited for it starts, unless storing took so long that the next is near.
    pub fn closed(&mut self, job: usize, now: Moment) -> Option<Action> {
        let row = self.rows.get_mut(job)?;
        match std::mem::replace(&mut row.state, State::Idle) {
            State::Closing { waiting } if row.too_late_for(waiting, now.wall) => Some(overlap(job, waiting)),
            State::Closing { waiting } => Some(row.start(job, waiting, now)),
            State::Running { .. } | State::Idle => None,
        }
    }

    /// These jobs from `now` on, in their order. What was due until now is answered as if nothing had changed, by the
    /// positions before. A job that was there before keeps its round and, with the same cadence, its dues; with another
    /// cadence, as with a job that is new, the first due is the next one after now. Nothing fires at once, also with
    /// `run_on_start`. A job that is gone ends with its running round; a due that waited for that goes to the ledger.
    pub fn reload(&mut self, entries: Vec<Entry>, now: Moment) -> Vec<Action> {
        let mut actions = self.tick(now);
        let staying: HashSet<&JobName> = entries.iter().map(|entry| &entry.job).collect();
        for (job, row) in self.rows.iter_mut().enumerate().filter(|(_, row)| !staying.contains(&row.entry.job)) {
            actions.extend(row.leave(job, now));
        }
        let present = self.rows.drain(..).map(|row| (row, true));
        let known = self.removed.drain(..).map(|row| (row, false)).chain(present);
        let mut known: HashMap<JobName, (Row, bool)> =
            known.map(|(row, is_present)| (row.entry.job.clone(), (row, is_present))).collect();
        self.rows = entries.into_iter().map(|entry| Row::reloaded(known.remove(&entry.job), entry, now)).collect();
        self.removed = known.into_values().map(|(row, _)| row).collect();
        actions
    }

    /// The round of a job that a reload took away is closed.
    pub fn closed_removed(&mut self, job: &JobName) {
        if let Some(row) = self.removed.iter_mut().find(|row| row.entry.job == *job) {
            row.state = State::Idle;
        }
    }

    /// A round of `job` starts that somebody asked for: its due is now, and the cadence goes on as if it were not there.
    /// `None` when a round of the job runs already.
    pub fn start_now(&mut self, job: usize, now: Moment) -> Option<Action> {
        let row = self.rows.get_mut(job)?;
        (row.state == State::Idle).then(|| row.start_at_once(job, now))
    }

    /// What each job does, in order.
    pub fn phases(&self) -> impl Iterator<Item = JobPhase> {
        self.rows.iter().map(|row| match row.state {
            State::Idle => JobPhase::Idle,
            State::Running { .. } => JobPhase::Running,
            State::Closing { .. } => JobPhase::Closing,
        })
    }

    /// How long nothing will be due: until the next due, at most a second.
    #[must_use]
    pub fn sleep(&self, now: Moment) -> Duration {
        let next = self.rows.iter().filter_map(|row| row.next).min();
        next.map_or(LONGEST_SLEEP, |due| due.since(now.wall).min(LONGEST_SLEEP))
    }

    /// The next due of each job, in order.
    pub fn next_dues(&self) -> impl Iterator<Item = (&JobName, Option<Timestamp>)> {
        self.rows.iter().map(|row| (&row.entry.job, row.next))
    }
}

impl Row {
    /// All dues up to now are handled: the newest one by a round where that makes sense, the ones before it,
    /// which nobody was awake for, by the ledger.
    fn tick(&mut self, job: usize, now: Moment, actions: &mut Vec<Action>) {
        let Some(dues) = self.handled.and_then(|last| self.entry.cadence.dues_between(last, now.wall)) else {
            return;
        };
        let newest = dues.last;
        self.handle(newest);
        if let State::Closing { waiting } = self.state {
            // First, and not the newest: what is told is numbered in order, and a restart goes by the last number.
            actions.push(overlap(job, waiting));
        }
        let late = self.too_late_for(newest, now.wall) && matches!(self.state, State::Idle);
        let slept = if late { Some(dues) } else { all_but_last(&self.entry.cadence, dues) };
        actions.extend(slept.map(|slept| ledger(job, slept, RoundStatus::Missed, Cause::Asleep)));
        match self.state {
            State::Idle if late => {}
            State::Idle => actions.push(self.start(job, newest, now)),
            State::Running { closes } if closes > now.monotonic + CLOSING_SOON => {
                actions.push(overlap(job, newest));
            }
            State::Running { .. } | State::Closing { .. } => self.state = State::Closing { waiting: newest },
        }
    }

    /// A due that comes late (after a sleep, or because it waited) still runs, unless the next one is so near that its
    /// round would have hardly a tenth of its time.
    fn too_late_for(&self, due: Timestamp, now: Timestamp) -> bool {
        self.next.is_some_and(|next| next.since(now) < next.since(due) / 10)
    }

    fn start(&mut self, job: usize, due: Timestamp, now: Moment) -> Action {
        let deadline = self.entry.deadline.unwrap_or_else(|| time_until(self.next, due, now.wall));
        self.state = State::Running { closes: now.monotonic + deadline };
        Action::Start { job, due, deadline }
    }

    /// A round that no due asked for gets as long as one that starts at the next due: it may well start just before
    /// that one, which is then skipped if need be.
    fn start_at_once(&mut self, job: usize, now: Moment) -> Action {
        let deadline = self.entry.longest_round(self.next.unwrap_or(now.wall));
        self.state = State::Running { closes: now.monotonic + deadline };
        Action::Start { job, due: now.wall, deadline }
    }

    /// The row of `entry` after a reload: `known` is the one before, and whether its job was present.
    fn reloaded(known: Option<(Self, bool)>, entry: Entry, now: Moment) -> Self {
        let (mut row, is_present) = known
            .unwrap_or_else(|| (Self { entry: entry.clone(), state: State::Idle, handled: None, next: None }, false));
        let goes_on = is_present && row.entry.cadence == entry.cadence;
        row.entry = entry;
        if !goes_on {
            row.restart_after_large_step_back(now.wall);
            // After a step back of the clock, what was handled is ahead, and is not to be repeated.
            row.handle(row.handled.map_or(now.wall, |handled| handled.max(now.wall)));
        }
        row
    }

    /// The job is taken away: a due that waits for its round will not run.
    fn leave(&mut self, job: usize, now: Moment) -> Option<Action> {
        let State::Closing { waiting } = self.state else { return None };
        self.state = State::Running { closes: now.monotonic };
        Some(overlap(job, waiting))
    }

    fn handle(&mut self, due: Timestamp) {
        self.handled = Some(due);
        self.next = self.entry.cadence.next_after(due);
    }

    /// Dues never repeat, so after a step back a job waits until the wall clock has caught up. After a step of more
    /// than a day (a clock that was years ahead, say) that would be silence without end: it starts anew.
    fn restart_after_large_step_back(&mut self, now: Timestamp) {
        if self.handled.is_some_and(|last| last.since(now) > STEP_BACK_WAITED_FOR) {
            tracing::warn!(
                job = %self.entry.job, handled = ?self.handled.map(|last| last.to_string()), now = %now,
                "the clock was set back by more than a day, dues start anew"
            );
            self.handle(now);
        }
    }
}

/// How long a round of `due` that starts at `now` may take when nobody says: until the `next` due less a margin, at most
/// 10 minutes.
fn time_until(next: Option<Timestamp>, due: Timestamp, now: Timestamp) -> Duration {
    next.map_or(LONGEST_ROUND, |next| {
        let margin = (next.since(due) / 20).min(LARGEST_MARGIN);
        // A clock that was set back since the due makes the round no longer.
        next.since(now.max(due)).saturating_sub(margin).min(LONGEST_ROUND)
    })
}

fn all_but_last(cadence: &Cadence, dues: Dues) -> Option<Dues> {
    if dues.count == 1 {
        return None;
    }
    cadence.dues_between(dues.first.minus(Duration::from_micros(1)), dues.last.minus(Duration::from_micros(1)))
}

fn ledger(job: usize, dues: Dues, status: RoundStatus, cause: Cause) -> Action {
    Action::Ledger { job, dues, status, cause }
}

/// The last round runs still, or did for too long.
fn overlap(job: usize, due: Timestamp) -> Action {
    ledger(job, Dues { first: due, last: due, count: 1 }, RoundStatus::Skipped, Cause::Overlap)
}
