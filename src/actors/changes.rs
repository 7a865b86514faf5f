//! Which endpoints changed their outcome, so that the log says it once instead of each round.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{ClosedRound, Detail, JobName, Layout, Outcome, RoundStatus};

/// The outcomes of each job's last round.
#[derive(Debug, Default)]
pub struct Changes(HashMap<JobName, (Arc<Layout>, Vec<Outcome>)>);

impl Changes {
    /// Logs each endpoint of `round` whose outcome differs from the one before; an endpoint that was not seen before
    /// is expected to be `ok`.
    pub fn log(&mut self, round: &ClosedRound) {
        if round.status != RoundStatus::Complete {
            return;
        }
        let layout = &round.begin.layout;
        let known = self.0.get(&layout.job).filter(|(known, _)| known == layout);
        for (position, (endpoint, slot)) in layout.endpoints.iter().zip(&round.slots).enumerate() {
            let before = known.and_then(|(_, outcomes)| outcomes.get(position)).copied();
            if before.unwrap_or(Outcome::Ok) != slot.outcome {
                tracing::warn!(
                    job = %layout.job,
                    endpoint = %endpoint.name,
                    outcome = %slot.outcome,
                    before = before.map(Outcome::as_str),
                    http_status = slot.http_status,
                    detail = slot.detail.as_ref().map(Detail::as_str),
                    "outcome changed"
                );
            }
        }
        let outcomes = round.slots.iter().map(|slot| slot.outcome).collect();
        self.0.insert(layout.job.clone(), (Arc::clone(layout), outcomes));
    }
}
