//! Storage's part of the upkeep: one small chore between rounds.

use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::{Handler, MessageResult};

use super::Storage;
use crate::actors::messages::{Chore, Did};
use crate::model::Timestamp;
use crate::store::{StoreError, Writer};

/// How long a chore goes on before a round has its turn again, about.
const SLICE: Duration = Duration::from_millis(10);

impl Handler<Chore> for Storage {
    type Result = MessageResult<Chore>;

    fn handle(&mut self, chore: Chore, _: &mut Self::Context) -> Self::Result {
        self.watch.upkeep.store(true, Ordering::Relaxed);
        let did = self.guarded(None, |storage| storage.chore(&chore));
        self.watch.upkeep.store(false, Ordering::Relaxed);
        MessageResult(did)
    }
}

impl Storage {
    /// While rounds wait for the disk it waits too.
    fn chore(&mut self, chore: &Chore) -> Option<Did> {
        if self.failed || !self.queue.is_empty() {
            return None;
        }
        let done = do_chore(&mut self.writer, chore, self.clock.now().wall);
        // No other part of the upkeep changes what rounds are there. One that failed may have committed something.
        if matches!(chore, Chore::Prune(..)) && !matches!(done, Ok(did) if did == Did::default()) {
            self.wrote();
        }
        match done {
            Ok(did) => Some(did),
            Err(error) => {
                let reason = error.with_cause();
                if self.is_passing(error) {
                    tracing::warn!(error = reason, ?chore, "the database refuses its upkeep, it is left for later");
                }
                None
            }
        }
    }
}

fn do_chore(writer: &mut Writer, chore: &Chore, now: Timestamp) -> Result<Did, StoreError> {
    let did = Did::default();
    Ok(match chore {
        Chore::RollUp => {
            let done = writer.roll_up(now, SLICE)?;
            Did { hours: done.hours, more: done.more, ..did }
        }
        Chore::Prune(job, before) => {
            let pruned = writer.prune(job, *before)?;
            Did { pruned, more: pruned.rounds > 0, ..did }
        }
        Chore::PruneEvidence(before) => {
            let evidence = writer.prune_evidence(*before)?;
            Did { evidence, more: evidence > 0, ..did }
        }
        Chore::GiveBack => {
            let bytes = writer.give_back(SLICE)?;
            Did { bytes, more: bytes > 0, ..did }
        }
        Chore::FoldLog => writer.maintain().map(|()| did)?,
    })
}
