//! What the daemon counts and measures, in Prometheus' names and base units. A recorder is handed in, so that several
//! daemons in one process do not share one. Labels are jobs and outcomes, never URLs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, NoopRecorder, Recorder};

use crate::model::{ClosedRound, JobName, LedgerRow, Outcome, RoundStatus, Timestamp};

const ROUNDS: &str = "gatherd_rounds_total";
const SLOTS: &str = "gatherd_slots_total";
const ROUND_DURATION: &str = "gatherd_round_duration_seconds";
const SLOT_DURATION: &str = "gatherd_slot_duration_seconds";
const LATENESS: &str = "gatherd_round_lateness_seconds";
const COMMIT: &str = "gatherd_storage_commit_duration_seconds";
const QUEUE: &str = "gatherd_storage_queue_entries";
const DROPPED: &str = "gatherd_storage_dropped_total";
const FAILURES: &str = "gatherd_storage_failures_total";
const MAINTENANCE: &str = "gatherd_maintenance_runs_total";
const NEXT_DUE: &str = "gatherd_job_next_due_timestamp_seconds";
const LAST_COMPLETE: &str = "gatherd_job_last_complete_timestamp_seconds";
const WORKERS: &str = "gatherd_workers";
const ALIVE: &str = "gatherd_workers_alive";
const BUSY: &str = "gatherd_workers_busy";
const RELOADS: &str = "gatherd_config_reloads_total";
const RELOAD_WELL: &str = "gatherd_config_last_reload_successful";
const RELOADED: &str = "gatherd_config_last_reload_success_timestamp_seconds";
const PANICS: &str = "gatherd_worker_panics_total";
const NOTIFICATIONS: &str = "gatherd_notifications_total";
const PINGS: &str = "gatherd_pings_total";
const DATABASE: &str = "gatherd_database_bytes";
const BUILD: &str = "gatherd_build_info";
const START: &str = "process_start_time_seconds";

const COUNTERS: [(&str, &str); 9] = [
    (ROUNDS, "Dues by what became of them: complete, interrupted, skipped or missed."),
    (SLOTS, "Slots of stored rounds by outcome."),
    (DROPPED, "Entries that were dropped because the database refused for too long."),
    (FAILURES, "Writes that the database refused."),
    (MAINTENANCE, "Runs of the nightly upkeep of the file by result."),
    (RELOADS, "Reloads of the config by result: ok or failed."),
    (PANICS, "Attempts that ended in a panic, which is a defect."),
    (NOTIFICATIONS, "Messages to each [[notify]] by result: delivered, failed, or dropped because too many waited."),
    (PINGS, "Calls of ping_url by result: delivered, failed, or dropped because a newer one came."),
];
const GAUGES: [(&str, &str); 11] = [
    (QUEUE, "Rounds and ledger entries that wait for the database."),
    (NEXT_DUE, "When the job is due next, in Unix time; +Inf is never."),
    (LAST_COMPLETE, "The due of the last complete round since the start, in Unix time; NaN for a job that is gone."),
    (RELOAD_WELL, "Whether the last attempt to load the config was successful."),
    (RELOADED, "When the config in use was loaded, in Unix time."),
    (WORKERS, "Threads that make requests, as configured."),
    (ALIVE, "Threads that make requests and are there."),
    (BUSY, "Attempts in flight."),
    (DATABASE, "Size of the database's files: main, and the write-ahead log."),
    (BUILD, "Always 1; the version is in the label."),
    (START, "When the process started, in Unix time."),
];
const HISTOGRAMS: [(&str, &str); 4] = [
    (ROUND_DURATION, "From a round's start to its end."),
    (
        SLOT_DURATION,
        "From a slot's first attempt to its end, retries and pauses included; slots that were never tried do not count.",
    ),
    (LATENESS, "From a round's due to its start."),
    (COMMIT, "Writing one round, its transaction and fsync included."),
];

/// What may become of a message or a ping.
const FATES: [&str; 3] = ["delivered", "failed", "dropped"];

const METADATA: Metadata<'static> = Metadata::new("gatherd", Level::INFO, None);

/// See the module. Clones share the recorder, and what is kept of how the daemon is.
#[derive(Clone)]
pub struct Meters {
    recorder: Arc<dyn Recorder + Send + Sync>,
    /// Set with each slot, and so not looked up by its name each time.
    busy: Gauge,
    kept: Arc<Kept>,
}

/// What is kept here as well, for those who have no recorder.
#[derive(Debug, Default)]
struct Kept {
    waiting: AtomicUsize,
    dropped: AtomicUsize,
    panics: AtomicUsize,
}

/// How the daemon itself is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vitals {
    /// Entries that wait because the database refuses.
    pub waiting: usize,
    /// Entries that were dropped since the start because it refused for too long.
    pub dropped: usize,
    /// Attempts that ended in a panic since the start.
    pub panics: usize,
}

impl Default for Meters {
    /// Meters that keep nothing.
    fn default() -> Self {
        Self::of(Arc::new(NoopRecorder))
    }
}

impl Meters {
    /// Meters whose values go to `recorder`, each described there.
    pub fn new(recorder: Arc<dyn Recorder + Send + Sync>) -> Self {
        for (name, help) in COUNTERS {
            recorder.describe_counter(name.into(), None, help.into());
        }
        for (name, help) in GAUGES {
            recorder.describe_gauge(name.into(), None, help.into());
        }
        for (name, help) in HISTOGRAMS {
            recorder.describe_histogram(name.into(), None, help.into());
        }
        Self::of(recorder)
    }

    fn of(recorder: Arc<dyn Recorder + Send + Sync>) -> Self {
        let busy = recorder.register_gauge(&key(BUSY, &[]), &METADATA);
        Self { recorder, busy, kept: Arc::default() }
    }

    /// What is known from the start: the version, and the jobs, whose counters begin at 0 so that their first increase
    /// is seen.
    pub fn start<'a>(&self, jobs: impl IntoIterator<Item = &'a JobName>, workers: usize, now: Timestamp) {
        self.gauge(BUILD, &[("version", env!("CARGO_PKG_VERSION"))]).set(1.0);
        self.gauge(START, &[]).set(unix(now));
        self.gauge(WORKERS, &[]).set(number(workers));
        self.gauge(QUEUE, &[]).set(0.0);
        self.busy.set(0.0);
        for name in [DROPPED, FAILURES, PANICS] {
            self.counter(name, &[]).absolute(0);
        }
        for (name, results) in [(RELOADS, ["ok", "failed"]), (MAINTENANCE, ["ok", "error"])] {
            for result in results {
                self.counter(name, &[("result", result)]).absolute(0);
            }
        }
        self.gauge(RELOAD_WELL, &[]).set(1.0);
        self.gauge(RELOADED, &[]).set(unix(now));
        self.jobs(jobs);
    }

    /// These jobs have counters, from 0 where they are new.
    pub fn jobs<'a>(&self, jobs: impl IntoIterator<Item = &'a JobName>) {
        for job in jobs {
            for status in [RoundStatus::Complete, RoundStatus::Interrupted, RoundStatus::Skipped, RoundStatus::Missed] {
                self.counter(ROUNDS, &[("job", job.as_str()), ("status", status.as_str())]).absolute(0);
            }
            self.counter(SLOTS, &[("job", job.as_str()), ("outcome", Outcome::Ok.as_str())]).absolute(0);
        }
    }

    /// A job is gone, and with its last round what an alert would look at.
    pub fn job_gone(&self, job: &JobName) {
        self.next_due(job, None);
        self.gauge(LAST_COMPLETE, &[("job", job.as_str())]).set(f64::NAN);
    }

    /// The config was loaded again at `now`, or could not be.
    pub fn reloaded(&self, well: bool, now: Timestamp) {
        self.counter(RELOADS, &[("result", if well { "ok" } else { "failed" })]).increment(1);
        self.gauge(RELOAD_WELL, &[]).set(f64::from(u8::from(well)));
        if well {
            self.gauge(RELOADED, &[]).set(unix(now));
        }
    }

    /// A round starts, so long after its due.
    pub fn round_starts(&self, job: &JobName, lateness: Duration) {
        self.histogram(LATENESS, &[("job", job.as_str())]).record(lateness.as_secs_f64());
    }

    /// A round is stored, which took `commit`.
    pub fn round_stored(&self, round: &ClosedRound, commit: Duration) {
        let job = round.begin.layout.job.as_str();
        self.counter(ROUNDS, &[("job", job), ("status", round.status.as_str())]).increment(1);
        let took = round.finished.since(round.begin.started);
        self.histogram(ROUND_DURATION, &[("job", job)]).record(took.as_secs_f64());
        self.histogram(COMMIT, &[]).record(commit.as_secs_f64());
        if round.status == RoundStatus::Complete {
            self.gauge(LAST_COMPLETE, &[("job", job)]).set(unix(round.begin.due));
        }
        let durations = self.histogram(SLOT_DURATION, &[("job", job)]);
        let mut outcomes = [0; Outcome::ALL.len()];
        for slot in &round.slots {
            if slot.attempts > 0 {
                durations.record(slot.elapsed.as_secs_f64());
            }
            outcomes[slot.outcome as usize] += 1;
        }
        for (outcome, count) in Outcome::ALL.iter().map(|outcome| (outcome, outcomes[*outcome as usize])) {
            if count > 0 {
                self.counter(SLOTS, &[("job", job), ("outcome", outcome.as_str())]).increment(count);
            }
        }
    }

    /// An entry of the ledger is stored.
    pub fn ledger_stored(&self, row: &LedgerRow) {
        self.counter(ROUNDS, &[("job", row.job.as_str()), ("status", row.status.as_str())]).increment(row.covers);
    }

    /// The database refused a write.
    pub fn refused(&self) {
        self.counter(FAILURES, &[]).increment(1);
    }

    /// So many entries wait for the database.
    pub fn queue(&self, waiting: usize) {
        self.kept.waiting.store(waiting, Ordering::Relaxed);
        self.gauge(QUEUE, &[]).set(number(waiting));
    }

    /// So many entries were dropped.
    pub fn dropped(&self, entries: usize) {
        self.kept.dropped.fetch_add(entries, Ordering::Relaxed);
        self.counter(DROPPED, &[]).increment(entries as u64);
    }

    /// The nightly upkeep ran, and did all that it should or not.
    pub fn maintained(&self, well: bool) {
        self.counter(MAINTENANCE, &[("result", if well { "ok" } else { "error" })]).increment(1);
    }

    /// So many attempts are in flight.
    pub fn busy(&self, workers: usize) {
        self.busy.set(number(workers));
    }

    /// So many worker threads are there.
    pub fn alive(&self, workers: usize) {
        self.gauge(ALIVE, &[]).set(number(workers));
    }

    /// A worker panicked.
    pub fn panicked(&self) {
        self.kept.panics.fetch_add(1, Ordering::Relaxed);
        self.counter(PANICS, &[]).increment(1);
    }

    /// How the daemon itself is at this moment.
    #[must_use]
    pub fn vitals(&self) -> Vitals {
        let Kept { waiting, dropped, panics } = &*self.kept;
        let now = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        Vitals { waiting: now(waiting), dropped: now(dropped), panics: now(panics) }
    }

    /// Somebody is to be told: the counters of what became of it begin at 0.
    pub fn will_notify(&self, target: &str) {
        for result in FATES {
            self.counter(NOTIFICATIONS, &[("target", target), ("result", result)]).absolute(0);
        }
    }

    /// A `ping_url` is to be called: the counters of what became of it begin at 0.
    pub fn will_ping(&self, job: &JobName) {
        for result in FATES {
            self.counter(PINGS, &[("job", job.as_str()), ("result", result)]).absolute(0);
        }
    }

    /// What became of a message to a `[[notify]]`: `delivered`, `failed` or `dropped`.
    pub fn notified(&self, target: &str, result: &'static str) {
        self.counter(NOTIFICATIONS, &[("target", target), ("result", result)]).increment(1);
    }

    /// What became of a call of a job's `ping_url`: `delivered`, `failed` or `dropped`.
    pub fn pinged(&self, job: &JobName, result: &'static str) {
        self.counter(PINGS, &[("job", job.as_str()), ("result", result)]).increment(1);
    }

    /// When a job is due next; never is +Inf.
    pub fn next_due(&self, job: &JobName, due: Option<Timestamp>) {
        self.gauge(NEXT_DUE, &[("job", job.as_str())]).set(due.map_or(f64::INFINITY, unix));
    }

    /// The sizes of the database and its log.
    pub fn database(&self, main: u64, log: u64) {
        self.gauge(DATABASE, &[("file", "main")]).set(bytes(main));
        self.gauge(DATABASE, &[("file", "wal")]).set(bytes(log));
    }

    fn counter(&self, name: &'static str, labels: &[(&'static str, &str)]) -> Counter {
        self.recorder.register_counter(&key(name, labels), &METADATA)
    }

    fn gauge(&self, name: &'static str, labels: &[(&'static str, &str)]) -> Gauge {
        self.recorder.register_gauge(&key(name, labels), &METADATA)
    }

    fn histogram(&self, name: &'static str, labels: &[(&'static str, &str)]) -> Histogram {
        self.recorder.register_histogram(&key(name, labels), &METADATA)
    }
}

fn key(name: &'static str, labels: &[(&'static str, &str)]) -> Key {
    let labels: Vec<Label> = labels.iter().map(|(name, value)| Label::new(*name, (*value).to_owned())).collect();
    Key::from_parts(name, labels)
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and far from 2^53")]
fn number(count: usize) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and far from 2^53")]
fn bytes(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "microseconds are exact as a float until the year 2255")]
fn unix(moment: Timestamp) -> f64 {
    moment.as_micros() as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn what_an_alert_looks_for_is_there_from_the_start_so_that_the_first_is_seen() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let meters = Meters::new(Arc::new(recorder));
        let job = JobName::new("a");
        meters.start([&job], 1, Timestamp::default());
        meters.will_notify("ops");
        meters.will_ping(&job);
        meters.notified("ops", "failed");
        meters.will_notify("ops");
        let text = handle.render();
        for line in [
            "gatherd_rounds_total{job=\"a\",status=\"missed\"} 0",
            "gatherd_storage_dropped_total 0",
            "gatherd_worker_panics_total 0",
            "gatherd_config_reloads_total{result=\"failed\"} 0",
            "gatherd_maintenance_runs_total{result=\"error\"} 0",
            "gatherd_notifications_total{target=\"ops\",result=\"dropped\"} 0",
            "gatherd_notifications_total{target=\"ops\",result=\"failed\"} 1",
            "gatherd_pings_total{job=\"a\",result=\"failed\"} 0",
        ] {
            assert!(text.lines().any(|there| there == line), "{line} in {text}");
        }
    }
}
