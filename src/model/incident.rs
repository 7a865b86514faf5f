//! What is remembered of failing endpoints, so that a restart neither repeats a message nor forgets a recovery.

use std::collections::HashMap;
use std::sync::Arc;

use super::{JobName, Timestamp};

/// An endpoint, as seen by one that is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IncidentKey {
    /// The name of the one that is told.
    pub target: Arc<str>,
    /// The job.
    pub job: JobName,
    /// The endpoint's name.
    pub endpoint: Arc<str>,
}

/// An endpoint that fails, or did and whose recovery was not told yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incident {
    /// So many rounds failed in a row; counting ends once it is told.
    pub rounds: u32,
    /// The due of the first of them.
    pub since: Timestamp,
    /// Whether it was told.
    pub told: bool,
}

/// What one that is told was told about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ToldKey {
    /// The name of the one that is told.
    pub target: Arc<str>,
    /// A host with its port; empty for the daemon itself.
    pub subject: Arc<str>,
}

/// When it was told of trouble last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Then.
    pub at: Timestamp,
    /// Whether the end of the trouble is still to be told: for the daemon itself, hosts have incidents.
    pub open: bool,
}

/// What is remembered, or what of it changed; `None` is forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IncidentMemory {
    /// By endpoint.
    pub incidents: HashMap<IncidentKey, Option<Incident>>,
    /// By subject.
    pub told: HashMap<ToldKey, Option<Told>>,
}

impl IncidentMemory {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.incidents.is_empty() && self.told.is_empty()
    }

    /// What makes it forget each target that is not `told` any more.
    #[must_use]
    pub fn without(&self, told: impl Fn(&str) -> bool) -> Self {
        let incidents = self.incidents.keys().filter(|key| !told(&key.target));
        let subjects = self.told.keys().filter(|key| !told(&key.target));
        Self {
            incidents: incidents.map(|key| (key.clone(), None)).collect(),
            told: subjects.map(|key| (key.clone(), None)).collect(),
        }
    }

    /// Takes over what changed later.
    pub fn merge(&mut self, later: Self) {
        self.incidents.extend(later.incidents);
        self.told.extend(later.told);
    }
}
