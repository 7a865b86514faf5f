//! What somebody is told, before it has a form.

use std::sync::Arc;

use super::health::Degraded;
use crate::model::{JobName, Outcome, Timestamp};

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// When it was decided to tell it.
    pub at: Timestamp,
    /// What is told.
    pub news: News,
}

/// What is told.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// These endpoints fail; at least one.
    Failing(Vec<Failing>),
    /// These do not fail any more; at least one.
    Recovered(Vec<Recovered>),
    /// The daemon itself is in trouble.
    Degraded(Degraded),
    /// It is not any more.
    Well {
        /// When its trouble was told.
        since: Timestamp,
    },
    /// Somebody tries whether messages arrive.
    Test,
}

/// Which endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its job.
    pub job: JobName,
    /// Its position in the job, from 0.
    pub position: usize,
    /// Its name.
    pub endpoint: Arc<str>,
    /// Its URL as it may be shown.
    pub url: String,
    /// Its host with the port.
    pub host: Arc<str>,
}

/// An endpoint that fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// Which.
    pub place: Arc<Place>,
    /// The due of the first round that failed.
    pub since: Timestamp,
    /// So many failed in a row.
    pub rounds: u32,
    /// How the last one ended.
    pub outcome: Outcome,
    /// Its status, when an answer came.
    pub http_status: Option<u16>,
    /// More about it, without secrets; may be empty.
    pub detail: String,
}

/// An endpoint that does not fail any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Which.
    pub place: Arc<Place>,
    /// The due of the first round that failed.
    pub since: Timestamp,
    /// The due of the first round that did not.
    pub until: Timestamp,
}
