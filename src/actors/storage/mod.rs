//! Storage: the only writer. Answers after the commit; what the disk refuses waits in a bounded queue.

mod chores;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use actix::{Actor, Addr, Handler, MessageResult, SyncArbiter, SyncContext};
use tokio::sync::mpsc;

use super::messages::{
    AskStorage, BeginRounds, EndpointMemory, Fatal, RecordLedger, Register, RememberIncidents, RememberPause,
    RetryStorage, RoundClosed, Settle, StorageState, StoreRound,
};
use super::meters::Meters;
use super::pool::OutOfThreads;
use crate::clock::Clock;
use crate::model::{ClosedRound, HostPause, IncidentMemory, RoundBegin};
use crate::store::queue::{Entry, Queue};
use crate::store::{REMEMBERED_BYTES, StoreError, Trouble, Writer};

/// Between two tries at the end, when nothing new comes.
const SETTLE_PAUSE: Duration = Duration::from_millis(50);

/// Who is told of what is written.
pub struct Watch {
    /// Is shown each round once it is stored.
    pub stored: mpsc::UnboundedSender<Arc<ClosedRound>>,
    /// Counts and measures.
    pub meters: Meters,
    /// Grows with each write of rounds to the file: as long as it stays, every answer about them does.
    pub writes: Arc<AtomicU64>,
    /// Set while the file's upkeep runs, which may take long.
    pub upkeep: Arc<AtomicBool>,
}

/// See the module.
pub struct Storage {
    writer: Writer,
    queue: Queue,
    /// What of incidents waits for the disk: at most one entry for each endpoint and `[[notify]]`.
    incidents: IncidentMemory,
    clock: Arc<dyn Clock>,
    fatal: mpsc::UnboundedSender<Fatal>,
    /// Set when the database failed for good: nothing is written any more.
    failed: bool,
    watch: Watch,
}

impl Storage {
    /// Starts the one thread that writes.
    ///
    /// # Errors
    /// When the system does not give it.
    #[expect(clippy::missing_panics_doc, reason = "the actor is made once")]
    pub fn start(
        writer: Writer,
        clock: Arc<dyn Clock>,
        fatal: mpsc::UnboundedSender<Fatal>,
        watch: Watch,
    ) -> Result<Addr<Self>, OutOfThreads> {
        let storage = Self {
            writer,
            queue: Queue::default(),
            incidents: IncidentMemory::default(),
            clock,
            fatal,
            failed: false,
            watch,
        };
        // actix would call this again after a restart of the actor, which this one never asks for.
        let once = Mutex::new(Some(storage));
        let make = move || {
            let taken = once.lock().unwrap_or_else(PoisonError::into_inner).take();
            taken.expect("the storage actor is started once")
        };
        let builder = || thread::Builder::new().name("storage".to_owned());
        let started = catch_unwind(AssertUnwindSafe(|| SyncArbiter::start_with_thread_builder(1, builder, make)));
        started.map_err(|_| OutOfThreads(1))
    }

    /// Does `work`. A panic in it would end the only thread that writes, silently: it ends the process instead.
    fn guarded<T>(&mut self, otherwise: T, work: impl FnOnce(&mut Self) -> T) -> T {
        catch_unwind(AssertUnwindSafe(|| work(self))).unwrap_or_else(|_| {
            self.failed = true;
            // The app is gone only when the process is ending already.
            let _ = self.fatal.send(Fatal::Gone("storage"));
            otherwise
        })
    }

    /// Writes `entry` after all that waits, or lets it wait too.
    fn write(&mut self, entry: Entry) {
        if self.failed {
            return;
        }
        self.enqueue(entry);
        self.retry_in_time();
    }

    fn enqueue(&mut self, entry: Entry) {
        let dropped = self.queue.push(entry);
        if dropped > 0 {
            self.watch.meters.dropped(dropped);
            tracing::error!(
                dropped,
                waiting = self.queue.waiting(),
                "the queue is full, the oldest rounds are dropped"
            );
        }
    }

    /// Writes what waits, when the pause since the last try is over.
    fn retry_in_time(&mut self) {
        if self.queue.is_time(self.clock.now().monotonic) {
            self.retry(true);
        }
        self.watch.meters.queue(self.queue.waiting());
    }

    /// Writes what waits, in order, until it is empty or the disk refuses, which is logged anew if it `is_news`.
    fn retry(&mut self, is_news: bool) {
        if self.failed {
            return;
        }
        let (waiting, was_refused) = (self.queue.waiting(), self.queue.is_refused());
        while let Some(entry) = self.queue.front() {
            let Err(error) = self.commit(&entry) else {
                self.queue.written();
                continue;
            };
            let reason = error.with_cause();
            if self.is_passing(error) {
                if !was_refused {
                    tracing::warn!(error = reason, "the database refuses, rounds wait");
                } else if is_news {
                    tracing::warn!(error = reason, waiting = self.queue.waiting(), "the database still refuses");
                }
                self.queue.failed(self.clock.now().monotonic);
            }
            return;
        }
        if was_refused {
            tracing::info!(stored = waiting, "the database takes rounds again, nothing waits any more");
        }
    }

    fn commit(&mut self, entry: &Entry) -> Result<(), StoreError> {
        let started = self.clock.now().monotonic;
        match entry {
            Entry::Begin(begin) => self.writer.begin(std::slice::from_ref(begin))?,
            Entry::Round(round) => self.writer.close(round)?,
            Entry::Ledger(row) => self.writer.ledger(std::slice::from_ref(row))?,
        }
        // Before anybody is told: who asks then gets what is new.
        self.wrote();
        match entry {
            Entry::Begin(_) => {}
            Entry::Round(round) => {
                let took = self.clock.now().monotonic.saturating_sub(started);
                self.watch.meters.round_stored(round, took);
                self.stored(round);
            }
            Entry::Ledger(row) => self.watch.meters.ledger_stored(row),
        }
        Ok(())
    }

    /// The rounds in the file are not what they were.
    fn wrote(&self) {
        self.watch.writes.fetch_add(1, Ordering::Release);
    }

    fn stored(&self, round: &Arc<ClosedRound>) {
        let (begin, slots, ok) = (&round.begin, round.slots.len(), round.ok());
        tracing::info!(
            job = %begin.layout.job,
            round = begin.id.0,
            due = %begin.due,
            status = round.status.as_str(),
            ok,
            failed = slots - ok,
            elapsed_ms = u64::try_from(round.finished.since(begin.started).as_millis()).unwrap_or(u64::MAX),
            "round stored"
        );
        // Nobody watches any more when the process is stopping.
        let _ = self.watch.stored.send(Arc::clone(round));
    }

    /// Whether the write may be tried again. If not, the process is told to end.
    fn is_passing(&mut self, error: StoreError) -> bool {
        match error.trouble() {
            Trouble::Passing => {
                self.watch.meters.refused();
                true
            }
            Trouble::Fatal => {
                self.failed = true;
                // The app is gone only when the process is ending already.
                let _ = self.fatal.send(error.into());
                false
            }
        }
    }

    /// Writes rounds as running, together. What the disk refuses waits in its place: should the process be killed, a due
    /// that came later must not be in the file without this one.
    fn begin(&mut self, rounds: Vec<RoundBegin>) {
        if self.failed {
            return;
        }
        if self.queue.is_empty() {
            match self.writer.begin(&rounds) {
                Ok(()) => return self.wrote(),
                Err(error) => {
                    if self.is_passing(error) {
                        tracing::debug!(rounds = rounds.len(), "the beginning of rounds is not written yet");
                    }
                }
            }
        }
        for round in rounds {
            self.enqueue(Entry::Begin(round));
        }
    }

    /// A pause that cannot be written does not wait: until a restart the Fetcher knows it.
    fn remember_pause(&mut self, pause: &HostPause) {
        if !self.failed
            && let Err(error) = self.writer.pause(pause)
            && self.is_passing(error)
        {
            tracing::warn!(host = pause.host, "the pause that a host asked for is not written");
        }
    }

    /// Writes what changed of incidents; what the disk refuses waits, behind the rounds.
    fn remember_incidents(&mut self) {
        if self.failed || !self.queue.is_empty() || self.incidents.is_empty() {
            return;
        }
        match self.writer.remember_incidents(&self.incidents) {
            Ok(()) => self.incidents = IncidentMemory::default(),
            Err(error) => {
                if self.is_passing(error) {
                    tracing::debug!("what was told is not written yet");
                }
            }
        }
    }

    /// What cannot be written now will be with the first round of its layout.
    fn register(&mut self, register: &Register) -> Vec<EndpointMemory> {
        let mut known = Vec::new();
        if self.failed {
            return known;
        }
        for layout in &register.layouts {
            if let Err(error) = self.writer.register(layout) {
                if !self.is_passing(error) {
                    return known;
                }
                // Each further one would wait for the same lock.
                break;
            }
        }
        let mut budget = REMEMBERED_BYTES;
        for (layout, asks) in &register.recall {
            let recalled = self.writer.recall(layout, &mut budget).and_then(|mut memories| {
                self.writer.find_last_ok(layout, asks, &mut memories)?;
                Ok(memories)
            });
            match recalled {
                Ok(memories) => {
                    let names = layout.endpoints.iter().map(|endpoint| endpoint.name.clone());
                    known.extend(names.zip(memories).map(|(name, memory)| (layout.job.clone(), name, memory)));
                }
                Err(error) => {
                    tracing::warn!(job = %layout.job, error = error.with_cause(), "what is remembered cannot be read");
                }
            }
        }
        known
    }

    /// Writes what waits, for as long as is given, and answers how many entries are left.
    fn settle(&mut self, within: Duration) -> usize {
        let deadline = self.clock.now().monotonic + within;
        self.retry(true);
        while !self.queue.is_empty() && !self.failed && self.clock.now().monotonic < deadline {
            // This thread has nothing else to do any more.
            thread::sleep(SETTLE_PAUSE);
            self.retry(false);
        }
        self.remember_incidents();
        if self.queue.is_empty() && !self.failed {
            // Only for those who copy the file without its log: what is committed is safe in either.
            if let Err(error) = self.writer.fold_log() {
                tracing::warn!(error = error.with_cause(), "the log was not folded into the database");
            }
        }
        self.queue.waiting()
    }
}

impl Actor for Storage {
    type Context = SyncContext<Self>;
}

impl Handler<BeginRounds> for Storage {
    type Result = ();

    fn handle(&mut self, begin: BeginRounds, _: &mut Self::Context) {
        self.guarded((), |storage| storage.begin(begin.0));
    }
}

impl Handler<StoreRound> for Storage {
    type Result = ();

    fn handle(&mut self, store: StoreRound, _: &mut Self::Context) {
        let job = store.round.begin.layout.job.clone();
        self.guarded((), |storage| storage.write(Entry::Round(store.round)));
        if let Some(closed) = store.closed {
            closed.do_send(RoundClosed { job });
        }
    }
}

impl Handler<RecordLedger> for Storage {
    type Result = ();

    fn handle(&mut self, record: RecordLedger, _: &mut Self::Context) {
        self.guarded((), |storage| record.0.into_iter().for_each(|row| storage.write(Entry::Ledger(row))));
    }
}

impl Handler<RememberPause> for Storage {
    type Result = ();

    fn handle(&mut self, pause: RememberPause, _: &mut Self::Context) {
        self.guarded((), |storage| storage.remember_pause(&pause.0));
    }
}

impl Handler<RememberIncidents> for Storage {
    type Result = ();

    fn handle(&mut self, changes: RememberIncidents, _: &mut Self::Context) {
        self.guarded((), |storage| {
            storage.incidents.merge(changes.0);
            storage.remember_incidents();
        });
    }
}

impl Handler<Register> for Storage {
    type Result = MessageResult<Register>;

    fn handle(&mut self, register: Register, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.guarded(Vec::new(), |storage| storage.register(&register)))
    }
}

impl Handler<RetryStorage> for Storage {
    type Result = ();

    fn handle(&mut self, _: RetryStorage, _: &mut Self::Context) {
        self.guarded((), |storage| {
            storage.retry_in_time();
            storage.remember_incidents();
        });
    }
}

impl Handler<Settle> for Storage {
    type Result = usize;

    fn handle(&mut self, settle: Settle, _: &mut Self::Context) -> usize {
        self.guarded(1, |storage| storage.settle(settle.within))
    }
}

impl Handler<AskStorage> for Storage {
    type Result = StorageState;

    fn handle(&mut self, _: AskStorage, _: &mut Self::Context) -> StorageState {
        let dropped = self.watch.meters.vitals().dropped as u64;
        StorageState { waiting: self.queue.waiting(), dropped, failed: self.failed }
    }
}
