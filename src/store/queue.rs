//! What waits while the disk refuses: bounded, in order, and what does not fit is counted. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::evidence;
use crate::model::{Cause, ClosedRound, JobName, LedgerRow, RoundBegin, RoundStatus, Slot};

/// The most entries that wait.
const MOST_ENTRIES: usize = 10_000;
/// The most memory that they may hold, roughly.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// What a slot holds beside its body and its evidence, roughly: itself, its detail, its validators.
const SLOT_BYTES: usize = size_of::<Slot>() + 64;

/// The first pause between two tries; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Something that has to be written.
#[derive(Clone, Debug)]
pub enum Entry {
    /// The beginning of a round that runs.
    Begin(RoundBegin),
    /// A round.
    Round(Arc<ClosedRound>),
    /// A run of dues without a round.
    Ledger(LedgerRow),
}

impl Entry {
    fn bytes(&self) -> usize {
        match self {
            Self::Round(round) => {
                let evidence = round.slots.iter().filter_map(|slot| slot.evidence.as_deref());
                round.body_bytes() + evidence.map(evidence::bytes).sum::<usize>() + round.slots.len() * SLOT_BYTES
            }
            Self::Begin(_) | Self::Ledger(_) => SLOT_BYTES,
        }
    }

    /// The entry of the ledger that says that this one was dropped. A round whose beginning was may still come.
    fn dropped(&self) -> Option<LedgerRow> {
        Some(match self {
            Self::Begin(_) => return None,
            Self::Round(round) => LedgerRow {
                id: round.begin.id,
                job: round.begin.layout.job.clone(),
                first_due: round.begin.due,
                last_due: round.begin.due,
                covers: 1,
                status: RoundStatus::Missed,
                cause: Cause::Storage,
            },
            Self::Ledger(row) => LedgerRow { status: RoundStatus::Missed, cause: Cause::Storage, ..row.clone() },
        })
    }
}

/// The queue. When it is full the oldest entries go, as in other collectors: a dashboard wants the newest.
#[derive(Debug, Default)]
pub struct Queue {
    entries: VecDeque<Entry>,
    /// How many of them are beginnings.
    begins: usize,
    bytes: usize,
    /// For each job the run of dues that was dropped since the disk refused, to be written when it no longer does.
    dropped: BTreeMap<JobName, LedgerRow>,
    /// The next try (monotonic time) and the pause that follows it.
    retry: Option<(Duration, Duration)>,
}

impl Queue {
    /// Nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.dropped.is_empty()
    }

    /// How many rounds and entries of the ledger wait to be written.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.entries.len() - self.begins + self.dropped.len()
    }

    /// Adds the newest entry, and drops the oldest until the bounds hold. Answers how many were dropped, beginnings not
    /// counted. A round takes the place of its beginning: a restart goes by the last number that a job has in the file, so
    /// what comes first has to be there first.
    pub fn push(&mut self, entry: Entry) -> usize {
        self.bytes += entry.bytes();
        self.begins += usize::from(matches!(entry, Entry::Begin(_)));
        match self.place_of_beginning(&entry) {
            Some(place) => {
                let beginning = std::mem::replace(&mut self.entries[place], entry);
                self.forget(&beginning);
            }
            None => self.entries.push_back(entry),
        }
        let mut dropped = 0;
        while self.entries.len() > MOST_ENTRIES || (self.bytes > MOST_BYTES && self.entries.len() > 1) {
            let Some(oldest) = self.entries.pop_front() else { break };
            if let Some(row) = oldest.dropped() {
                self.note_dropped(row);
                dropped += 1;
            }
            self.forget(&oldest);
        }
        dropped
    }

    fn place_of_beginning(&self, entry: &Entry) -> Option<usize> {
        let Entry::Round(round) = entry else { return None };
        let is_its = |entry: &Entry| matches!(entry, Entry::Begin(begin) if begin.id == round.begin.id);
        if self.begins > 0 { self.entries.iter().position(is_its) } else { None }
    }

    /// `entry` does not wait any more.
    fn forget(&mut self, entry: &Entry) {
        self.bytes -= entry.bytes();
        self.begins -= usize::from(matches!(entry, Entry::Begin(_)));
    }

    fn note_dropped(&mut self, row: LedgerRow) {
        match self.dropped.get_mut(&row.job) {
            Some(run) => {
                run.last_due = run.last_due.max(row.last_due);
                run.covers += row.covers;
            }
            None => {
                self.dropped.insert(row.job.clone(), row);
            }
        }
    }

    /// What is to be written next: first what was dropped, which is older than all that waits.
    #[must_use]
    pub fn front(&self) -> Option<Entry> {
        let dropped = self.dropped.values().next().cloned().map(Entry::Ledger);
        dropped.or_else(|| self.entries.front().cloned())
    }

    /// The front was written.
    pub fn written(&mut self) {
        self.retry = None;
        if self.dropped.pop_first().is_none()
            && let Some(entry) = self.entries.pop_front()
        {
            self.forget(&entry);
        }
    }

    /// Whether the last try failed.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.retry.is_some()
    }

    /// Whether the pause is over.
    #[must_use]
    pub fn is_time(&self, now: Duration) -> bool {
        self.retry.is_none_or(|(at, _)| at <= now)
    }

    /// A try failed: the next one comes after a pause, which doubles.
    pub fn failed(&mut self, now: Duration) {
        let pause = self.retry.map_or(FIRST_PAUSE, |(_, pause)| pause);
        self.retry = Some((now + pause, (pause * 2).min(LONGEST_PAUSE)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Evidence, Layout, Outcome, RoundBegin, RoundId, Timestamp};

    fn entry(id: i64) -> Entry {
        Entry::Ledger(LedgerRow {
            id: RoundId(id),
            job: JobName::new("job"),
            first_due: Timestamp::from_micros(id),
            last_due: Timestamp::from_micros(id),
            covers: 1,
            status: RoundStatus::Skipped,
            cause: Cause::Overlap,
        })
    }

    #[test]
    fn a_full_queue_drops_the_oldest_and_keeps_one_entry_of_the_ledger_for_them() {
        let mut queue = Queue::default();
        let dropped: usize = (0..).take(MOST_ENTRIES + 3).map(|id| queue.push(entry(id))).sum();
        assert_eq!((dropped, queue.waiting()), (3, MOST_ENTRIES + 1));
        let Some(Entry::Ledger(run)) = queue.front() else { panic!("the dropped run comes first") };
        assert_eq!((run.id.0, run.covers, run.cause), (0, 3, Cause::Storage));
        queue.written();
        assert!(matches!(queue.front(), Some(Entry::Ledger(row)) if row.id.0 == 3));
    }

    #[test]
    fn the_evidence_of_rounds_counts_to_the_memory_that_they_hold() {
        let now = Timestamp::default();
        let evidence = Evidence { sent: "x".repeat(MOST_BYTES / 4), answer: None, guess: None };
        let slot = Slot { evidence: Some(Arc::new(evidence)), ..Slot::untried(Outcome::Timeout, "", now) };
        let layout = Arc::new(Layout { job: JobName::new("job"), endpoints: Vec::new() });
        let begin = RoundBegin { id: RoundId(1), due: now, started: now, layout };
        let (status, cause) = (RoundStatus::Complete, None);
        let round = Arc::new(ClosedRound { begin, finished: now, status, cause, slots: vec![slot] });
        let mut queue = Queue::default();
        let dropped: Vec<usize> = (0..5).map(|_| queue.push(Entry::Round(Arc::clone(&round)))).collect();
        assert_eq!(dropped, [0, 0, 0, 1, 1]);
    }

    #[test]
    fn a_round_waits_in_the_place_of_its_beginning_and_before_what_came_after_that() {
        let now = Timestamp::default();
        let layout = Layout { job: JobName::new("job"), endpoints: Vec::new() }.into();
        let begin = RoundBegin { id: RoundId(1), due: now, started: now, layout };
        let mut queue = Queue::default();
        queue.push(Entry::Begin(begin.clone()));
        assert_eq!((queue.waiting(), queue.is_empty()), (0, false), "no round waits yet");
        queue.push(entry(2));
        let (status, cause) = (RoundStatus::Complete, None);
        queue.push(Entry::Round(ClosedRound { begin, finished: now, status, cause, slots: Vec::new() }.into()));
        assert_eq!(queue.waiting(), 2);
        assert!(matches!(queue.front(), Some(Entry::Round(round)) if round.begin.id.0 == 1));
        queue.written();
        assert!(matches!(queue.front(), Some(Entry::Ledger(row)) if row.id.0 == 2));
        queue.written();
        assert!(queue.is_empty() && queue.bytes == 0);
    }

    #[test]
    fn pauses_grow_until_a_write_succeeds() {
        let mut queue = Queue::default();
        queue.push(entry(1));
        let second = Duration::from_secs(1);
        assert!(queue.is_time(Duration::ZERO));
        queue.failed(Duration::ZERO);
        assert!(!queue.is_time(second / 2) && queue.is_time(second));
        queue.failed(second);
        assert!(!queue.is_time(second * 2) && queue.is_time(second * 3));
        queue.written();
        assert!(queue.is_time(Duration::ZERO) && queue.is_empty());
    }
}
