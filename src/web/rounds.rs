//! Rounds: lists of them, one with its vector, the last complete ones, and the ledger.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{self, json};
use super::api::Api;
use super::parameters::{Before, Limit, Nothing, PageOf, Query};
use super::paths::encoded;
use super::problem::Problem;
use super::rows::{Round, RoundWithVector, slot};
use crate::model::RoundId;
use crate::store::history::{Page, StoredRound};
use crate::store::read::Reader;

/// What to ask instead of a page that is too large.
const FEWER: &str = "ask for fewer slots at once, with `limit` and `position`";
/// What to ask instead of all jobs' vectors that are too large together.
const JOB_BY_JOB: &str = "ask job by job, at /api/v1/jobs/{job}/latest";

/// The largest position that can be asked for: no job has so many endpoints.
const LAST_POSITION: u32 = 1_000_000;

/// A page of rounds.
#[derive(Debug, Serialize, ToSchema)]
pub struct Rounds {
    /// The newest first.
    pub rounds: Vec<Round>,
    /// Where the next page is; null when there is none.
    pub next: Option<String>,
}

/// The rounds of a job, and what is in the ledger for it, the newest first.
#[utoipa::path(
    get, path = "/api/v1/jobs/{job}/rounds", tag = "rounds",
    params(("job" = String, Path, description = "The job's name"), PageOf),
    responses(
        (status = 200, description = "A page of rounds", body = Rounds),
        (status = 404, description = "There is no such job", content_type = "application/problem+json", body = Problem),
    )
)]
pub async fn rounds(
    request: HttpRequest,
    api: Data<Api>,
    job: Path<String>,
    page: Query<PageOf>,
) -> Result<HttpResponse, Problem> {
    let (job, path) = (job.into_inner(), request.path().to_owned());
    let question = move |reader: &Reader| {
        let (before, limit) = (Page::Before(RoundId(page.before.0)), page.limit.0);
        let rounds = reader.rounds_page(Some(&job), before, limit.saturating_add(1))?;
        let page = page_of(rounds, limit, &path);
        if page.rounds.is_empty() {
            known_job(reader, &job)?;
        }
        Ok((json(&page, "ask for fewer rounds, with `limit`")?, page.next))
    };
    answer::of_rounds(&request, &api, question).await
}

/// Which part of the ledger.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LedgerPage {
    /// Only of this job.
    job: Option<String>,
    /// At most so many entries.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Limit,
    /// Only entries before this round: `next` of a page has it.
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1)]
    before: Before,
}

/// The dues that did not become a complete round, the newest first: skipped, missed, interrupted.
#[utoipa::path(
    get, path = "/api/v1/ledger", tag = "rounds", params(LedgerPage),
    responses(
        (status = 200, description = "A page of the ledger", body = Rounds),
        (status = 404, description = "There is no such job", content_type = "application/problem+json", body = Problem),
    )
)]
pub async fn ledger(request: HttpRequest, api: Data<Api>, page: Query<LedgerPage>) -> Result<HttpResponse, Problem> {
    let question = move |reader: &Reader| {
        let LedgerPage { job, limit, before } = page.into_inner();
        let path = match &job {
            Some(job) => format!("/api/v1/ledger?job={}", encoded(job)),
            None => "/api/v1/ledger".to_owned(),
        };
        let entries = reader.ledger_page(job.as_deref(), RoundId(before.0), limit.0.saturating_add(1))?;
        let page = page_of(entries, limit.0, &path);
        if let Some(job) = job.filter(|_| page.rounds.is_empty()) {
            known_job(reader, &job)?;
        }
        Ok((json(&page, "ask for fewer entries, with `limit`")?, page.next))
    };
    answer::of_rounds(&request, &api, question).await
}

/// At most `limit` of the rows, which are one more where there is a next page.
fn page_of(rounds: Vec<StoredRound>, limit: u32, path: &str) -> Rounds {
    let mut rounds: Vec<Round> = rounds.into_iter().map(Round::stored).collect();
    let more = rounds.len() > limit as usize;
    rounds.truncate(limit as usize);
    let last = rounds.last().filter(|_| more).map(|round| round.round_id);
    let join = if path.contains('?') { '&' } else { '?' };
    let next = last.map(|before| format!("{path}{join}limit={limit}&before={before}"));
    Rounds { rounds, next }
}

/// The file has the jobs of the config from the start on.
///
/// # Errors
/// 404 when the file knows no job of this name.
pub fn known_job(reader: &Reader, job: &str) -> Result<(), Problem> {
    let jobs = reader.jobs()?;
    if jobs.iter().any(|known| known == job) {
        return Ok(());
    }
    Err(Problem::not_found(format!("no job {job:?}; /api/v1/jobs lists them")))
}

/// Which slots of a round.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Slots {
    /// From this position on.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 0, maximum = 1_000_000, default = 0)]
    position: Position,
    /// At most so many; all of them when it is not there.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<Limit>,
}

/// A position of a vector.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(try_from = "String")]
struct Position(u32);

impl TryFrom<String> for Position {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let position = text.parse().ok().filter(|position| *position <= LAST_POSITION);
        position.map(Self).ok_or_else(|| format!("`position` is a whole number from 0 to {LAST_POSITION}"))
    }
}

/// One round with its vector.
///
/// The documents are the text that was sent, to the digit.
#[utoipa::path(
    get, path = "/api/v1/rounds/{round}", tag = "rounds",
    params(("round" = i64, Path, description = "The round's number", minimum = 1), Slots),
    responses(
        (status = 200, description = "The round", body = RoundWithVector),
        (status = 404, description = "There is no such round", content_type = "application/problem+json", body = Problem),
        (status = 413, description = "The answer is larger than 16 MiB", content_type = "application/problem+json", body = Problem),
    )
)]
pub async fn round(
    request: HttpRequest,
    api: Data<Api>,
    round: Path<i64>,
    slots: Query<Slots>,
) -> Result<HttpResponse, Problem> {
    let id = round.into_inner();
    let question = move |reader: &Reader| {
        let round = reader.round(RoundId(id))?.ok_or_else(|| Problem::not_found(format!("no round {id}")))?;
        let round = with_vector(reader, round, &slots)?;
        Ok((json(&round, FEWER)?, round.next))
    };
    answer::of_rounds(&request, &api, question).await
}

/// The last complete rounds.
#[derive(Debug, Serialize, ToSchema)]
pub struct Latest {
    /// One for each job that has one, by the job's name.
    pub rounds: Vec<RoundWithVector>,
}

/// The last complete round of every job, with its vector.
#[utoipa::path(
    get, path = "/api/v1/latest", tag = "rounds",
    responses(
        (status = 200, description = "The rounds", body = Latest),
        (status = 413, description = "The answer is larger than 16 MiB", content_type = "application/problem+json", body = Problem),
    )
)]
pub async fn latest(request: HttpRequest, api: Data<Api>, _: Query<Nothing>) -> Result<HttpResponse, Problem> {
    let question = |reader: &Reader| {
        let (mut rounds, mut bytes) = (Vec::new(), 0);
        for job in reader.jobs()? {
            let Some(round) = reader.last_complete(&job)? else { continue };
            let round = with_vector(reader, round, &Slots::default())?;
            // What is held is bounded before it is laid out.
            bytes += round.vector.iter().flatten().map(|body| body.get().len()).sum::<usize>();
            if bytes > answer::LARGEST {
                return Err(Problem::too_large(JOB_BY_JOB));
            }
            rounds.push(round);
        }
        Ok((json(&Latest { rounds }, JOB_BY_JOB)?, None))
    };
    answer::of_rounds(&request, &api, question).await
}

/// The last complete round of a job, with its vector.
#[utoipa::path(
    get, path = "/api/v1/jobs/{job}/latest", tag = "rounds",
    params(("job" = String, Path, description = "The job's name"), Slots),
    responses(
        (status = 200, description = "The round", body = RoundWithVector),
        (status = 404, description = "There is no such job, or no complete round of it yet", content_type = "application/problem+json", body = Problem),
        (status = 413, description = "The answer is larger than 16 MiB", content_type = "application/problem+json", body = Problem),
    )
)]
pub async fn latest_of_job(
    request: HttpRequest,
    api: Data<Api>,
    job: Path<String>,
    slots: Query<Slots>,
) -> Result<HttpResponse, Problem> {
    let job = job.into_inner();
    let question = move |reader: &Reader| {
        let Some(round) = reader.last_complete(&job)? else {
            known_job(reader, &job)?;
            return Err(Problem::not_found(format!("no complete round of {job:?} yet")));
        };
        let round = with_vector(reader, round, &slots)?;
        Ok((json(&round, FEWER)?, round.next))
    };
    answer::of_rounds(&request, &api, question).await
}

/// A round with those of its slots that are wanted.
fn with_vector(reader: &Reader, round: StoredRound, wanted: &Slots) -> Result<RoundWithVector, Problem> {
    let limit = wanted.limit.map(|limit| limit.0);
    let answer = reader.slots(round.id, wanted.position.0, limit.unwrap_or(u32::MAX))?;
    let slots = answer.named_rows().map(|row| slot(&row)).collect::<Result<Vec<_>, _>>()?;
    let (slots, vector): (Vec<_>, Vec<_>) = slots.into_iter().unzip();
    let round = Round::stored(round);
    let end = slots.last().map(|slot| slot.position + 1);
    let all = round.ok.zip(round.failed).and_then(|(ok, failed)| i64::try_from(ok + failed).ok());
    let next = limit.zip(end.filter(|end| all.is_some_and(|all| *end < all)));
    let next = next.map(|(limit, end)| format!("/api/v1/rounds/{}?position={end}&limit={limit}", round.round_id));
    Ok(RoundWithVector { round, slots, vector, next })
}
