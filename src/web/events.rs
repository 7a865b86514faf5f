//! Rounds as they close, as server-sent events (WHATWG HTML, section 9.2). Whoever is too slow to take them is dropped,
//! and comes back with the number of the last round that it has seen.

use std::collections::HashSet;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::Method;
use actix_web::http::header::{CONTENT_ENCODING, HeaderValue};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc};
use utoipa::IntoParams;

use super::api::Api;
use super::connection::Connection;
use super::parameters::Query;
use super::problem::Problem;
use super::rows::Round;
use crate::model::{ClosedRound, RoundId};

/// The most streams at the same time.
pub const MOST_STREAMS: usize = 32;
/// The most rounds of the past that a stream begins with.
const MOST_OF_THE_PAST: u32 = 1_000;
/// How often a stream without rounds says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Events that wait for one client; with more it is too slow.
const WAITING: usize = 64;
/// Events that are kept for the slowest stream.
const KEPT: usize = 1_024;
/// The longest that a client may take for one event of the past.
const PATIENCE: Duration = Duration::from_secs(10);

/// Rounds as they close. Clones are the same feed.
#[derive(Clone)]
pub struct Feed {
    /// `None` says that the daemon ends.
    events: broadcast::Sender<Option<Arc<Round>>>,
    streams: Arc<Semaphore>,
}

impl Default for Feed {
    fn default() -> Self {
        Self { events: broadcast::channel(KEPT).0, streams: Arc::new(Semaphore::new(MOST_STREAMS)) }
    }
}

impl Feed {
    /// Tells all streams of a round that is stored.
    pub fn publish(&self, round: &ClosedRound) {
        if self.events.receiver_count() > 0 {
            // Between the two all may have gone.
            let _ = self.events.send(Some(Arc::new(Round::of(round))));
        }
    }

    /// Ends all streams.
    pub fn close(&self) {
        self.streams.close();
        // Nobody may listen.
        let _ = self.events.send(None);
    }
}

/// Whose rounds.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OfJob {
    /// Only rounds of this job.
    job: Option<String>,
}

/// Rounds as they close.
///
/// Server-sent events: `id` is the round's number, `event` is `round`, `data` the round as in the list of rounds.
/// A client that sends `Last-Event-ID` first gets what has closed since, at most the newest 1,000; when there was more,
/// an event `gap` comes before. Each of these rounds comes at least once: one that overtook a slower one with a smaller
/// number may come again after a reconnection, and is known by its number. A comment each 15 seconds shows that the
/// stream is alive. A client that does not keep up is dropped.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "rounds",
    params(OfJob, ("Last-Event-ID" = Option<i64>, Header, description = "The last round that was seen")),
    responses(
        (status = 200, description = "The stream", content_type = "text/event-stream", body = String),
        (status = 404, description = "There is no such job", content_type = "application/problem+json", body = Problem),
    )
)]
pub async fn events(request: HttpRequest, api: Data<Api>, query: Query<OfJob>) -> Result<HttpResponse, Problem> {
    let job = query.into_inner().job;
    if let Some(name) = &job
        && api.configured(name).is_none()
    {
        return Err(Problem::not_found(format!("no job {name:?} in the config")));
    }
    let seen = request.headers().get("Last-Event-ID").map(last_event).transpose()?;
    let place = Arc::clone(&api.feed.streams).try_acquire_owned();
    let place = place.map_err(|_| Problem::unavailable("as many streams as there may be are open", HEARTBEAT))?;
    // Before the past is asked for, so that nothing falls in between.
    let live = api.feed.events.subscribe();
    let past = match seen {
        Some(seen) => past(&api, job.clone(), seen).await?,
        None => Vec::new(),
    };
    let (sender, events) = mpsc::channel(WAITING);
    let connection = request.conn_data::<Rc<Connection>>().cloned();
    // To HEAD the library sends no body, and would wait for the end of this one.
    if request.method() == Method::GET {
        actix_web::rt::spawn(pump(Stream { job, past, live, sender, _place: place }));
        if let Some(connection) = &connection {
            connection.forget_time();
        }
    }
    let mut response = HttpResponse::Ok();
    // Held back in an encoder, events would come late. Proxies are told not to hold them back either.
    response.insert_header((CONTENT_ENCODING, HeaderValue::from_static("identity")));
    response.insert_header(("X-Accel-Buffering", "no"));
    Ok(response.content_type("text/event-stream").body(Events { events, connection }))
}

fn last_event(id: &HeaderValue) -> Result<i64, Problem> {
    let id = id.to_str().ok().and_then(|id| id.trim().parse().ok()).filter(|id| *id >= 0);
    id.ok_or_else(|| Problem::bad_request("Last-Event-ID is the number of a round"))
}

/// What of `job`, or of all, closed after the round `seen`, in that order; one more than a stream begins with when there
/// was more.
async fn past(api: &Api, job: Option<String>, seen: i64) -> Result<Vec<Round>, Problem> {
    api.ask(move |reader| {
        let rounds = reader.closed_after(job.as_deref(), RoundId(seen), MOST_OF_THE_PAST + 1)?;
        Ok(rounds.into_iter().map(Round::stored).collect())
    })
    .await
}

/// What one client gets.
struct Stream {
    job: Option<String>,
    past: Vec<Round>,
    live: broadcast::Receiver<Option<Arc<Round>>>,
    sender: mpsc::Sender<Bytes>,
    _place: OwnedSemaphorePermit,
}

impl Stream {
    fn wants(&self, round: &Round) -> bool {
        self.job.as_ref().is_none_or(|job| *job == round.job)
    }
}

/// Feeds a stream until its client is gone or too slow, or the daemon ends.
async fn pump(mut stream: Stream) {
    let mut past = std::mem::take(&mut stream.past);
    let gap = past.len() > MOST_OF_THE_PAST as usize;
    past.drain(..usize::from(gap));
    let first = if gap { "event: gap\ndata: {}\n\n" } else { ": gatherd\n\n" };
    if stream.sender.send(Bytes::from_static(first.as_bytes())).await.is_err() {
        return;
    }
    for round in &past {
        if !matches!(tokio::time::timeout(PATIENCE, stream.sender.send(event(round))).await, Ok(Ok(()))) {
            return;
        }
    }
    let told: HashSet<i64> = past.into_iter().map(|round| round.round_id).collect();
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    heartbeat.reset();
    loop {
        let bytes = tokio::select! {
            () = stream.sender.closed() => return,
            _ = heartbeat.tick() => Bytes::from_static(b": alive\n\n"),
            next = stream.live.recv() => match next {
                Ok(Some(round)) if told.contains(&round.round_id) || !stream.wants(&round) => continue,
                Ok(Some(round)) => event(&round),
                // The daemon ends, or the client is too slow.
                Ok(None) | Err(_) => return,
            },
        };
        if stream.sender.try_send(bytes).is_err() {
            return;
        }
    }
}

fn event(round: &Round) -> Bytes {
    let data = serde_json::to_string(round).unwrap_or_default();
    format!("id: {}\nevent: round\ndata: {data}\n\n", round.round_id).into()
}

/// The body of a stream. While it lasts, its connection has no time.
struct Events {
    events: mpsc::Receiver<Bytes>,
    connection: Option<Rc<Connection>>,
}

impl Drop for Events {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            connection.exchange();
        }
    }
}

impl MessageBody for Events {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.events.poll_recv(context).map(|bytes| bytes.map(Ok))
    }
}
