//! The answer as one JSON object, with times in UTC.

use serde::Serialize;

use super::Answer;
use crate::cli::sheet::milliseconds as ms;
use crate::model::{Guess, Timestamp};
use crate::store::why::{RoundAt, StoredEvidence, StoredSlot};

#[derive(Serialize)]
struct Object<'a> {
    job: &'a str,
    endpoint: &'a str,
    url: &'a str,
    newest_round: Round,
    slot: Slot<'a>,
    run: Option<Run>,
    last_failure: Option<Slot<'a>>,
    left_alone_until: Option<String>,
    advice: &'a [String],
}

#[derive(Serialize)]
struct Round {
    round_id: i64,
    due_at: String,
}

#[derive(Serialize)]
struct Slot<'a> {
    #[serde(flatten)]
    round: Round,
    round_status: &'a str,
    position: u32,
    fetched_at: String,
    outcome: &'a str,
    http_status: Option<u16>,
    attempts: u32,
    elapsed_ms: f64,
    detail: Option<&'a str>,
    phases: Option<Phases>,
    evidence: Option<Evidence<'a>>,
    evidence_dropped: bool,
}

#[derive(Serialize)]
struct Phases {
    reached: &'static str,
    dns_ms: Option<f64>,
    connect_ms: Option<f64>,
    tls_ms: Option<f64>,
    headers_ms: Option<f64>,
    body_ms: Option<f64>,
}

#[derive(Serialize)]
struct Evidence<'a> {
    first_seen: String,
    sent: &'a str,
    status: Option<u16>,
    headers: Option<&'a str>,
    body: Option<&'a str>,
    cut: Option<bool>,
    guess: Option<&'static str>,
}

#[derive(Serialize)]
struct Run {
    ok: bool,
    rounds: u64,
    first: Round,
    before: Option<Round>,
    whole: bool,
}

/// The object and a line break.
pub fn of(answer: &Answer<'_>) -> serde_json::Result<String> {
    let status = &answer.status;
    let object = Object {
        job: answer.job,
        endpoint: answer.endpoint,
        url: &status.url,
        newest_round: round(status.newest),
        slot: slot(&status.slot),
        run: status.run.map(|run| Run {
            ok: run.ok,
            rounds: run.rounds,
            first: round(run.first),
            before: run.before.map(round),
            whole: run.whole,
        }),
        last_failure: status.last_failure.as_ref().map(slot),
        left_alone_until: answer.left_alone_until.as_ref().map(Timestamp::to_string),
        advice: &answer.advice,
    };
    Ok(serde_json::to_string(&object)? + "\n")
}

fn round(round: RoundAt) -> Round {
    Round { round_id: round.id.0, due_at: round.due.to_string() }
}

fn slot(slot: &StoredSlot) -> Slot<'_> {
    Slot {
        round: round(slot.round),
        round_status: &slot.round_status,
        position: slot.position,
        fetched_at: slot.fetched_at.to_string(),
        outcome: &slot.outcome,
        http_status: slot.http_status,
        attempts: slot.attempts,
        elapsed_ms: ms(slot.elapsed),
        detail: slot.detail.as_deref(),
        phases: slot.phases.map(|phases| Phases {
            reached: phases.reached.as_str(),
            dns_ms: phases.dns.map(ms),
            connect_ms: phases.connect.map(ms),
            tls_ms: phases.tls.map(ms),
            headers_ms: phases.headers.map(ms),
            body_ms: phases.body.map(ms),
        }),
        evidence: slot.evidence.as_ref().map(evidence),
        evidence_dropped: slot.evidence_dropped,
    }
}

fn evidence(kept: &StoredEvidence) -> Evidence<'_> {
    let answer = kept.evidence.answer.as_ref();
    Evidence {
        first_seen: kept.first_seen.to_string(),
        sent: &kept.evidence.sent,
        status: answer.map(|answer| answer.status),
        headers: answer.map(|answer| answer.headers.as_str()),
        body: answer.map(|answer| answer.body.as_str()),
        cut: answer.map(|answer| answer.cut),
        guess: kept.evidence.guess.map(Guess::as_str),
    }
}
