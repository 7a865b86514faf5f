//! Rows of the views as JSON, under the names of their columns.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::problem::Problem;
use crate::model::{ClosedRound, Timestamp};
use crate::store::history::StoredRound;
use crate::store::read::{NamedRow, Value};

/// A round, or an entry of the ledger: a due that did not become a complete round.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Round {
    /// Its number: unique, and growing with time.
    pub round_id: i64,
    /// The job.
    pub job: String,
    /// The instant that the cadence asked for; the first of a run of misses.
    #[schema(value_type = String, format = DateTime)]
    pub due_at: Timestamp,
    /// When it really started.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// When it really ended; the last due of a run of misses.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// `running`, `complete`, `interrupted`, `skipped` or `missed`.
    #[schema(example = "complete")]
    pub status: String,
    /// Why it is not complete.
    pub cause: Option<String>,
    /// How many dues it stands for.
    pub covers: u64,
    /// The endpoints of its layout; none in the ledger.
    pub endpoints: Option<u64>,
    /// Slots with a document; none when it has no slots.
    pub ok: Option<u64>,
    /// Slots without one.
    pub failed: Option<u64>,
}

impl Round {
    /// As it is stored.
    #[must_use]
    pub fn stored(round: StoredRound) -> Self {
        Self {
            round_id: round.id.0,
            job: round.job,
            due_at: round.due,
            started_at: round.started,
            finished_at: round.finished,
            status: round.status,
            cause: round.cause,
            covers: round.covers,
            endpoints: round.endpoints,
            ok: round.ok,
            failed: round.failed,
        }
    }

    /// As the file will show it.
    #[must_use]
    pub fn of(round: &ClosedRound) -> Self {
        let (begin, slots, ok) = (&round.begin, round.slots.len(), round.ok());
        let count = |count| u64::try_from(count).ok();
        Self {
            round_id: begin.id.0,
            job: begin.layout.job.to_string(),
            due_at: begin.due,
            started_at: Some(begin.started),
            finished_at: Some(round.finished),
            status: round.status.as_str().to_owned(),
            cause: round.cause.map(|cause| cause.as_str().to_owned()),
            covers: 1,
            endpoints: count(slots),
            ok: count(ok),
            failed: count(slots - ok),
        }
    }
}

/// A slot: how one position of a round ended. Its document is in the vector.
#[derive(Debug, Serialize, ToSchema)]
pub struct Slot {
    /// The position, from 0.
    pub position: i64,
    /// The endpoint's name.
    pub endpoint: String,
    /// `ok`, or why there is no document.
    #[schema(example = "ok")]
    pub outcome: String,
    /// The status of the last attempt, when its answer came that far.
    pub http_status: Option<i64>,
    /// Requests made.
    pub attempts: i64,
    /// When it ended.
    #[schema(format = DateTime)]
    pub fetched_at: Option<String>,
    /// How long it took, from the first attempt on.
    pub elapsed_ms: f64,
    /// More about how it ended.
    pub detail: Option<String>,
}

/// A round with what it brought.
#[derive(Debug, Serialize, ToSchema)]
pub struct RoundWithVector {
    /// The round.
    #[serde(flatten)]
    pub round: Round,
    /// How each position ended, in order.
    pub slots: Vec<Slot>,
    /// The documents as they were sent, in the order of the slots; null where there is none. A document may be `null`
    /// itself: then the slot's outcome is `ok`.
    #[schema(value_type = Vec<serde_json::Value>)]
    pub vector: Vec<Option<Box<RawValue>>>,
    /// Where further slots are, when these are not all.
    pub next: Option<String>,
}

/// From a row of the view `observations`: how the slot ended, and its document.
///
/// # Errors
/// When the body is not JSON, which it was when it was stored.
pub fn slot(row: &NamedRow<'_>) -> Result<(Slot, Option<Box<RawValue>>), Problem> {
    let slot = Slot {
        position: whole(row.get("position")).unwrap_or_default(),
        endpoint: text(row.get("endpoint")).unwrap_or_default(),
        outcome: text(row.get("outcome")).unwrap_or_default(),
        http_status: whole(row.get("http_status")),
        attempts: whole(row.get("attempts")).unwrap_or_default(),
        fetched_at: text(row.get("fetched_at")),
        elapsed_ms: if let Value::Real(elapsed) = row.get("elapsed_ms") { *elapsed } else { 0.0 },
        detail: text(row.get("detail")),
    };
    let document = text(row.get("body")).map(RawValue::from_string).transpose();
    Ok((slot, document.map_err(|error| Problem::internal(&error))?))
}

/// A text, or none.
fn text(value: &Value) -> Option<String> {
    if let Value::Text(text) = value { Some(text.clone()) } else { None }
}

/// A whole number, or none.
fn whole(value: &Value) -> Option<i64> {
    if let Value::Integer(number) = value { Some(*number) } else { None }
}
