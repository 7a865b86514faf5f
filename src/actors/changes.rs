//! Which endpoints changed their outcome, so that the log says it once instead of each round.

use std::collections::HashMap;
use std::sync::Arc;

use url::Url;

use crate::model::{ClosedRound, Detail, JobName, Layout, Outcome, RoundStatus};

/// So many endpoints of a host that changed alike in a round have a line each; where it is gone, the rest are counted in
/// one.
const LINES: usize = 20;

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
        let before = self.before(layout);
        let mut alike: HashMap<(Option<Outcome>, Outcome, Option<u16>, String), usize> = HashMap::new();
        for ((endpoint, slot), before) in layout.endpoints.iter().zip(&round.slots).zip(before) {
            if before.unwrap_or(Outcome::Ok) == slot.outcome {
                continue;
            }
            let host = Url::parse(&endpoint.url).ok().and_then(|url| url.host_str().map(str::to_owned));
            let alike = alike.entry((before, slot.outcome, slot.http_status, host.unwrap_or_default())).or_default();
            *alike += 1;
            if *alike <= LINES {
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
        for ((before, outcome, http_status, host), endpoints) in alike.into_iter().filter(|(_, count)| *count > LINES) {
            tracing::warn!(
                job = %layout.job,
                host,
                endpoints = endpoints - LINES,
                %outcome,
                before = before.map(Outcome::as_str),
                http_status,
                "outcome changed of further endpoints"
            );
        }
        let outcomes = round.slots.iter().map(|slot| slot.outcome).collect();
        self.0.insert(layout.job.clone(), (Arc::clone(layout), outcomes));
    }

    /// The outcome before of each endpoint of `layout`, where it is known: by name when a reload changed the layout.
    fn before(&self, layout: &Arc<Layout>) -> Vec<Option<Outcome>> {
        match self.0.get(&layout.job) {
            None => vec![None; layout.endpoints.len()],
            Some((known, outcomes)) if known == layout => outcomes.iter().copied().map(Some).collect(),
            Some((known, outcomes)) => {
                let names = known.endpoints.iter().map(|endpoint| endpoint.name.as_str());
                let by_name: HashMap<&str, Outcome> = names.zip(outcomes.iter().copied()).collect();
                layout.endpoints.iter().map(|endpoint| by_name.get(endpoint.name.as_str()).copied()).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EndpointLabel, RoundBegin, RoundId, Slot, Timestamp};

    fn layout(names: &[&str]) -> Arc<Layout> {
        let label = |name: &&str| EndpointLabel { name: (*name).to_owned(), url: String::new() };
        Layout { job: JobName::new("job"), endpoints: names.iter().map(label).collect() }.into()
    }

    #[test]
    fn an_endpoint_is_known_by_its_name_when_others_come_and_go() {
        let mut changes = Changes::default();
        let (layout_before, at) = (layout(&["goes", "fails"]), Timestamp::default());
        let begin = RoundBegin { id: RoundId(1), due: at, started: at, layout: Arc::clone(&layout_before) };
        let slots = [Outcome::Ok, Outcome::Timeout].map(|outcome| Slot::untried(outcome, "", at)).to_vec();
        changes.log(&ClosedRound { begin, finished: at, status: RoundStatus::Complete, cause: None, slots });
        assert_eq!(changes.before(&layout_before), [Some(Outcome::Ok), Some(Outcome::Timeout)]);
        assert_eq!(changes.before(&layout(&["fails", "comes"])), [Some(Outcome::Timeout), None]);
    }
}
