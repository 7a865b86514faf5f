//! One position of a round's vector.

use std::sync::Arc;
use std::time::Duration;

use super::{Detail, Document, Evidence, Outcome, Phases, Timestamp, Validators};

/// How one position of a round ended. A body is there exactly when the outcome is `ok`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// `ok` or the reason why there is no document.
    pub outcome: Outcome,
    /// The status of the last attempt, when its answer came that far.
    pub http_status: Option<u16>,
    /// Requests made: 0 when the slot was never tried.
    pub attempts: u32,
    /// When the slot ended.
    pub fetched_at: Timestamp,
    /// From the first attempt's start to the end of the slot; zero when it was never tried.
    pub elapsed: Duration,
    /// The document.
    pub body: Option<Document>,
    /// More about how it ended, in one line: always about a failure, seldom about a success.
    pub detail: Option<Detail>,
    /// How far the last attempt came, when it failed.
    pub phases: Option<Box<Phases>>,
    /// What the last attempt sent and got, when it failed.
    pub evidence: Option<Arc<Evidence>>,
    /// What the server named the version of `body` by: to be remembered together.
    pub validators: Option<Arc<Validators>>,
    /// Whether the next request asks for the due of the last success.
    pub asks_for_last_ok: bool,
}

impl Slot {
    /// A slot that ended without a single attempt.
    #[must_use]
    pub fn untried(outcome: Outcome, detail: &str, at: Timestamp) -> Self {
        Self {
            outcome,
            http_status: None,
            attempts: 0,
            fetched_at: at,
            elapsed: Duration::ZERO,
            body: None,
            detail: Some(Detail::new(detail)),
            phases: None,
            evidence: None,
            validators: None,
            asks_for_last_ok: false,
        }
    }
}
