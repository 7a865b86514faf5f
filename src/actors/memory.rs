//! What is remembered of endpoints between rounds. Documents have a bound over all jobs: one that does not fit is asked
//! for whole the next time.

use std::collections::{HashMap, HashSet};

use rustc_hash::FxHashMap;

use crate::model::{JobName, Layout, Memory, Remembered, Slot, Timestamp};
use crate::store::REMEMBERED_BYTES;

/// The memories of all endpoints that have any, by job and name: they survive a change of position.
#[derive(Debug, Default)]
pub struct Memories {
    jobs: FxHashMap<JobName, FxHashMap<String, Memory>>,
    bytes: usize,
}

impl Memories {
    /// Takes over what an earlier run left.
    pub fn recall(&mut self, job: &JobName, endpoint: &str, memory: Memory) {
        if let Some(remembered) = memory.remembered {
            self.remember(job, endpoint, remembered);
        }
        if let Some(last_ok) = memory.last_ok {
            self.entry(job, endpoint).last_ok = Some(last_ok);
        }
    }

    /// Forgets the endpoints that are not of `layouts`, of which a job may have several.
    pub fn forget_others<'a>(&mut self, layouts: impl Iterator<Item = &'a Layout>) {
        let mut staying: HashMap<&JobName, HashSet<&str>> = HashMap::new();
        for layout in layouts {
            let names = layout.endpoints.iter().map(|endpoint| endpoint.name.as_str());
            staying.entry(&layout.job).or_default().extend(names);
        }
        self.jobs.retain(|job, endpoints| {
            let staying = staying.get(job);
            endpoints.retain(|name, _| staying.is_some_and(|names| names.contains(name.as_str())));
            !endpoints.is_empty()
        });
        let memories = self.jobs.values().flat_map(FxHashMap::values);
        let documents = memories.filter_map(|memory| memory.remembered.as_ref());
        self.bytes = documents.map(|remembered| remembered.document.text().len()).sum();
    }

    /// What is remembered of an endpoint.
    #[must_use]
    pub fn of(&self, job: &JobName, endpoint: &str) -> Option<&Memory> {
        self.jobs.get(job)?.get(endpoint)
    }

    /// Learns from how a slot of the round due at `due` ended.
    pub fn learn(&mut self, job: &JobName, endpoint: &str, slot: &Slot, due: Timestamp) {
        if slot.asks_for_last_ok && slot.outcome.is_ok() {
            self.entry(job, endpoint).last_ok = Some(due);
        }
        if let (Some(validators), Some(document)) = (&slot.validators, &slot.body) {
            let remembered = Remembered { validators: validators.clone(), document: document.clone() };
            self.remember(job, endpoint, remembered);
        }
    }

    fn entry(&mut self, job: &JobName, endpoint: &str) -> &mut Memory {
        self.jobs.entry(job.clone()).or_default().entry(endpoint.to_owned()).or_default()
    }

    fn remember(&mut self, job: &JobName, endpoint: &str, remembered: Remembered) {
        let forgotten = self.entry(job, endpoint).remembered.take();
        self.bytes -= forgotten.map_or(0, |forgotten| forgotten.document.text().len());
        let bytes = remembered.document.text().len();
        if self.bytes + bytes <= REMEMBERED_BYTES {
            self.bytes += bytes;
            self.entry(job, endpoint).remembered = Some(remembered);
        }
    }
}
