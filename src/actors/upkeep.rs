//! Upkeep: looks after the file in small parts, so that rounds never wait: rollups all the time, retention, space, the
//! log and a copy when the cron says so.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, SpawnHandle, WrapFuture};

use super::messages::{Chore, Did, Keep, Maintain};
use super::meters::Meters;
use super::storage::Storage;
use crate::clock::{Clock, Moment};
use crate::config::Backup;
use crate::model::{JobName, Timestamp};
use crate::store::backup;

/// Between two looks whether an hour is over.
const LOOK: Duration = Duration::from_secs(30);
/// The shortest rest between two parts; otherwise it is twice as long as the part took, so that the upkeep has a third of
/// a processor at most.
const SHORTEST_REST: Duration = Duration::from_millis(5);

/// A wall clock that moved by so much more than time went on is not believed: a night later it is.
const JUMP: Duration = Duration::from_hours(24);

/// How long each job's rounds are kept; `None` is for ever.
pub type Retention = Vec<(JobName, Option<Duration>)>;

/// See the module.
pub struct Upkeep {
    storage: Addr<Storage>,
    database: PathBuf,
    retention: Retention,
    backup: Option<Backup>,
    clock: Arc<dyn Clock>,
    /// When the wall clock was last believed.
    believed: Moment,
    /// What is still to be done; empty when only rollups are looked after.
    chores: VecDeque<Chore>,
    /// The rest before the next part; `None` while Storage is at one.
    resting: Option<SpawnHandle>,
    run: Option<Run>,
    meters: Meters,
}

/// An upkeep that is going on.
struct Run {
    /// When (monotonic) it did.
    began: Duration,
    did: Did,
}

impl Upkeep {
    /// Looks after the database at `database`, which `storage` writes, and copies it as `backup` says.
    pub fn new(
        storage: Addr<Storage>,
        database: PathBuf,
        retention: Retention,
        backup: Option<Backup>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (believed, chores, meters) = (clock.now(), VecDeque::new(), Meters::default());
        Self { storage, database, retention, backup, clock, believed, chores, resting: None, run: None, meters }
    }

    /// The same, measured by `meters`.
    #[must_use]
    pub fn measured_by(mut self, meters: Meters) -> Self {
        self.meters = meters;
        self
    }

    /// Does the next part.
    fn go_on(&mut self, ctx: &mut Context<Self>) {
        self.resting = None;
        let chore = self.chores.front().cloned().unwrap_or(Chore::RollUp);
        let begun = self.clock.now().monotonic;
        let part = self.storage.send(chore).into_actor(self).map(move |did, upkeep, ctx| {
            // Without Storage the process is ending.
            upkeep.done(did.ok().flatten(), begun, ctx);
        });
        ctx.spawn(part);
    }

    fn done(&mut self, did: Option<Did>, begun: Duration, ctx: &mut Context<Self>) {
        let took = self.clock.now().monotonic.saturating_sub(begun);
        let more = did.is_some_and(|did| did.more);
        if let Some(run) = &mut self.run {
            match did {
                Some(did) => run.did.add(did),
                // What is left waits for the next night, but the log is cut and the copy made as far as can be.
                None => run.did.more = true,
            }
            if !more && self.chores.pop_front().is_some() && self.chores.is_empty() {
                self.copy(ctx);
            }
        }
        let rest = if more || !self.chores.is_empty() { (took * 2).max(SHORTEST_REST) } else { LOOK };
        self.resting = Some(ctx.run_later(rest, Self::go_on));
    }

    /// The last part: the copy, on a thread of its own.
    fn copy(&mut self, ctx: &mut Context<Self>) {
        let Some(Backup { folder, keep }) = self.backup.clone() else { return self.finish(None) };
        let (database, upkeep) = (self.database.clone(), ctx.address());
        let stamp = self.clock.now().wall.to_utc().map(|now| now.format("%Y%m%dT%H%M%SZ").to_string());
        let stamp = stamp.unwrap_or_default();
        let work = move || {
            let copied = catch_unwind(AssertUnwindSafe(|| backup::rotate(&database, &folder, &stamp, keep)));
            let copied = match copied {
                Ok(copied) => copied.map_err(|error| error.with_cause()),
                Err(_) => Err("the copying thread panicked: this is a defect".to_owned()),
            };
            upkeep.do_send(Copied(copied));
        };
        if let Err(error) = thread::Builder::new().name("backup".to_owned()).spawn(work) {
            self.finish(Some(Err(format!("no thread for it: {error}"))));
        }
    }

    fn finish(&mut self, backup: Option<Result<(PathBuf, u64, usize), String>>) {
        let Some(Run { began, did }) = self.run.take() else { return };
        let took = self.clock.now().monotonic.saturating_sub(began);
        self.meters.maintained(!did.more && !matches!(backup, Some(Err(_))));
        tracing::info!(
            hours = did.hours,
            rounds = did.pruned.rounds,
            slots = did.pruned.slots,
            evidence = did.evidence,
            bytes_given_back = did.bytes,
            left_undone = did.more,
            took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "database maintained"
        );
        match backup {
            Some(Ok((file, bytes, removed))) => {
                tracing::info!(file = %file.display(), bytes, removed, "database backed up");
            }
            Some(Err(error)) => tracing::error!(error, "the database was not backed up"),
            None => {}
        }
    }

    /// What is to be done at `now`, in this order.
    fn plan(&self, now: Timestamp) -> VecDeque<Chore> {
        let kept = self.retention.iter().filter_map(|(job, retain)| Some((job, now.minus((*retain)?))));
        let mut chores: VecDeque<Chore> = kept.clone().map(|(job, before)| Chore::Prune(job.clone(), before)).collect();
        chores.push_front(Chore::RollUp);
        // Evidence is shared by all jobs.
        if self.retention.iter().all(|(_, retain)| retain.is_some())
            && let Some(before) = kept.map(|(_, before)| before).min()
        {
            chores.push_back(Chore::PruneEvidence(before));
        }
        chores.extend([Chore::GiveBack, Chore::FoldLog]);
        chores
    }
}

/// Whether the wall clock moved on by much more than time did: it was set, or the machine slept.
fn has_jumped(before: Moment, now: Moment) -> bool {
    now.wall.since(before.wall) > now.monotonic.saturating_sub(before.monotonic) + JUMP
}

impl Did {
    fn add(&mut self, other: Self) {
        self.hours += other.hours;
        self.pruned.rounds += other.pruned.rounds;
        self.pruned.slots += other.pruned.slots;
        self.evidence += other.evidence;
        self.bytes += other.bytes;
    }
}

/// The copying thread → Upkeep: how it ended.
#[derive(Message)]
#[rtype(result = "()")]
struct Copied(Result<(PathBuf, u64, usize), String>);

impl Handler<Keep> for Upkeep {
    type Result = ();

    fn handle(&mut self, keep: Keep, _: &mut Self::Context) {
        (self.retention, self.backup) = (keep.retention, keep.backup);
    }
}

impl Actor for Upkeep {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.go_on(ctx);
    }
}

impl Handler<Maintain> for Upkeep {
    type Result = ();

    fn handle(&mut self, _: Maintain, ctx: &mut Self::Context) {
        if self.run.is_some() {
            tracing::warn!("the last maintenance of the database still goes on, this one is left out");
            return;
        }
        let began = self.clock.now();
        self.run = Some(Run { began: began.monotonic, did: Did::default() });
        self.chores = self.plan(began.wall);
        if has_jumped(self.believed, began) {
            tracing::warn!(now = %began.wall, "the clock jumped by more than a day, nothing is deleted until the next maintenance");
            self.chores.retain(|chore| !matches!(chore, Chore::Prune(..) | Chore::PruneEvidence(_)));
        }
        self.believed = began;
        if let Some(resting) = self.resting.take() {
            ctx.cancel_future(resting);
            self.go_on(ctx);
        }
    }
}

impl Handler<Copied> for Upkeep {
    type Result = ();

    fn handle(&mut self, copied: Copied, _: &mut Self::Context) {
        self.finish(Some(copied.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_years_ahead_is_not_believed_and_one_that_went_on_is() {
        let at = |days: u64, wall_days: u64| Moment {
            wall: Timestamp::default().plus(Duration::from_hours(24 * wall_days)),
            monotonic: Duration::from_hours(24 * days),
        };
        assert!(!has_jumped(at(1, 20_000), at(2, 20_001)));
        assert!(!has_jumped(at(1, 20_000), at(400, 20_399)));
        assert!(!has_jumped(at(1, 20_000), at(2, 10)), "set back it deletes less");
        assert!(has_jumped(at(1, 20_000), at(2, 22_000)));
    }
}
