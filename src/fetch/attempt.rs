//! One attempt, bounded in time and bytes.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hyper::ext::ReasonPhrase;
use reqwest::blocking::Response;
use reqwest::header::{CONTENT_RANGE, HeaderMap, HeaderValue, LOCATION, RANGE, TRANSFER_ENCODING};
use reqwest::{StatusCode, Version};

use super::body::{self, End};
use super::coding::Coding;
use super::connection::{Made, phases, phases_of_unanswered};
use super::deadline::Deadline;
use super::evidence::{self, Seen};
use super::pages::{self, Gathered, Turned};
use super::redirect::{self, Followed};
use super::request::{Call, Request};
use super::{conditional, error_if, fault, json, retry};
use crate::config::Moments;
use crate::model::{Detail, Document, Evidence, Outcome, Phase, Phases, Remembered, Timestamp, Validators};

/// An answer's headers and its reason phrase take at most so many bytes. The client has a bound of its own near it (and
/// one of 100 lines), but whether it is met depends on how the bytes arrive.
const LARGEST_HEAD: usize = 400 * 1024;

/// What an attempt has to know beside the request.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The most time that it may take.
    pub timeout: Duration,
    /// The due that it answers.
    pub due: Timestamp,
    /// The due of the endpoint's last success.
    pub last_ok: Option<Timestamp>,
    /// The last document, which the server may say is still the same.
    pub remembered: Option<Remembered>,
    /// The pages of the slot so far, where it comes in pages.
    pub gathered: Option<Box<Gathered>>,
    /// Whether it goes over a connection of its own, because the last one may have failed for a reason that is not its.
    pub alone: bool,
    /// The most requests in flight at its host, if that is bounded.
    pub max_per_host: Option<usize>,
}

impl Ask {
    /// Asks for the first time, for a due that is now.
    #[must_use]
    pub fn once(timeout: Duration) -> Self {
        Self { timeout, due: now(), last_ok: None, remembered: None, gathered: None, alone: false, max_per_host: None }
    }
}

/// How one attempt ended.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// `ok`, or why there is no document.
    pub outcome: Outcome,
    /// The status, when an answer came.
    pub http_status: Option<u16>,
    /// The document, exactly when the outcome is `ok` and there is no further page to be asked for.
    pub body: Option<Document>,
    /// More about how it ended.
    pub detail: Option<Detail>,
    /// The pause that the server asked for.
    pub retry_after: Option<Duration>,
    /// The host that asked for it, where that is the one for access tokens.
    pub token_host: Option<Arc<str>>,
    /// How far it came, when it failed.
    pub phases: Option<Box<Phases>>,
    /// What was sent and what came back, when it failed.
    pub evidence: Option<Arc<Evidence>>,
    /// What the server named the version of the document by.
    pub validators: Option<Arc<Validators>>,
    /// The pages so far and the one to be asked for next, or again.
    pub gathered: Option<Box<Gathered>>,
}

impl Attempt {
    /// A failure before any answer.
    #[must_use]
    pub fn failed(outcome: Outcome, detail: Detail) -> Self {
        Self {
            outcome,
            http_status: None,
            body: None,
            detail: Some(detail),
            retry_after: None,
            token_host: None,
            phases: None,
            evidence: None,
            validators: None,
            gathered: None,
        }
    }

    /// Whether the next page is to be asked for.
    #[must_use]
    pub fn is_to_be_continued(&self) -> bool {
        self.outcome.is_ok() && self.body.is_none()
    }
}

/// Sends `request` once and reads the answer: at most `ask.timeout` from connect to the last byte, at most the
/// request's `max_body` bytes. Blocks. Whatever happens is an outcome, never an error. An access token that is missing
/// or refused is asked for within the same time.
#[must_use]
pub fn attempt(request: &Request, mut ask: Ask) -> Attempt {
    let deadline = Deadline::after(ask.timeout);
    let mut now = now();
    if let Some(pages) = &request.settings().pages {
        now = ask.gathered.get_or_insert_with(|| Box::new(Gathered::none(pages, now))).now();
    }
    let moments = Moments { due: ask.due, now, last_ok: ask.last_ok };
    let mut call = match request.call(&moments, &ask) {
        Ok(call) => call,
        Err(problem) => return Attempt::failed(Outcome::Protocol, problem),
    };
    let (mut attempt, shared) = once(request, &mut call, &ask, deadline);
    // A body that was cut off beside others says as little about its request as no answer does: see `redirect`.
    let cut_off = shared && matches!(attempt.outcome, Outcome::Reset | Outcome::Truncated);
    if cut_off && call.method.is_idempotent() && !deadline.left().is_zero() {
        ask.alone = true;
        (attempt, _) = once(request, &mut call, &ask, deadline);
    }
    if !attempt.outcome.is_ok() {
        attempt.gathered = ask.gathered;
    }
    attempt
}

/// Asks, and reads the answer. Also says whether that came over a connection that others may have shared.
fn once(request: &Request, call: &mut Call, ask: &Ask, deadline: Deadline) -> (Attempt, bool) {
    match answer(request, call, ask.alone, deadline) {
        Ok(followed) => {
            let shared = !ask.alone && followed.response.version() == Version::HTTP_2;
            (read(request, call, followed, ask, deadline), shared)
        }
        Err(Unanswered::NotAsked(failed)) => (failed, false),
        Err(Unanswered::Asked(failed)) => (unanswered(request, call, failed, deadline), false),
    }
}

fn now() -> Timestamp {
    chrono::DateTime::<chrono::Utc>::from(SystemTime::now()).into()
}

/// Why there is no answer.
enum Unanswered {
    /// There were no credentials to ask with.
    NotAsked(Attempt),
    /// It did not come.
    Asked(Attempt),
}

/// The answer to `call`, sent with credentials. Where an access token is refused, a new one is tried, once.
fn answer(request: &Request, call: &mut Call, alone: bool, deadline: Deadline) -> Result<Followed, Unanswered> {
    let ask = |call: &mut Call| {
        let followed = redirect::follow(request, call, alone, deadline).map_err(Unanswered::Asked)?;
        // A server that does not understand the condition would say so in each round.
        if followed.response.status() == StatusCode::PRECONDITION_FAILED && call.ask_for_the_whole() {
            return redirect::follow(request, call, alone, deadline).map_err(Unanswered::Asked);
        }
        Ok(followed)
    };
    let Some(credentials) = &request.common.credentials else { return ask(call) };
    let token = credentials.authorize(call.headers_mut(), deadline).map_err(Unanswered::NotAsked)?;
    let followed = ask(call)?;
    let Some(token) = token else { return Ok(followed) };
    if followed.response.status() != StatusCode::UNAUTHORIZED {
        request.remember_token(&token, followed.response.status());
    } else if credentials
        .renew(&token, request.was_let_in_by(&token), call.headers_mut(), deadline)
        .map_err(Unanswered::NotAsked)?
    {
        return ask(call);
    }
    Ok(followed)
}

/// An attempt without an answer, with how far it came and what was sent.
#[cold]
fn unanswered(request: &Request, call: &Call, failed: Attempt, deadline: Deadline) -> Attempt {
    let unsent = || phases_of_unanswered(failed.outcome, None, deadline.began()).into();
    let phases = failed.phases.unwrap_or_else(unsent);
    let redactor = request.redactor(call);
    let evidence = evidence::evidence(call, &redactor, None);
    let detail = failed.detail.map(|detail| Detail::new(redactor.redact(detail.as_str().as_bytes())));
    Attempt { phases: Some(phases), evidence: Some(evidence), detail, ..failed }
}

type Refusal = (Outcome, Detail);

/// What has been read of an answer.
struct Reading<'a> {
    request: &'a Request,
    ask: &'a Ask,
    call: &'a Call,
    /// The body so far, decoded.
    bytes: Vec<u8>,
    /// Whether it was begun to be read.
    begun: bool,
    /// Whether it goes on.
    cut: bool,
}

/// What an answer holds.
enum Found {
    /// The whole document, whether there were more pages than wanted, and what names its version.
    Document(Document, bool, Option<Validators>),
    /// A page, and the next is to be asked for.
    Page(Gathered),
}

fn read(request: &Request, call: &Call, followed: Followed, ask: &Ask, deadline: Deadline) -> Attempt {
    let Followed { mut response, refused, made, place: _place } = followed;
    let (status, answered) = (response.status(), Instant::now());
    let mut reading = Reading { request, ask, call, bytes: Vec::new(), begun: false, cut: false };
    let result = match refused {
        None => reading.read(&mut response),
        Some(why) => Err((Outcome::Redirect, why)),
    };
    match result {
        Ok(found) => succeeded(request, status, found),
        Err(refusal) => reading.refused(refusal, response, made.as_ref(), deadline, answered),
    }
}

fn succeeded(request: &Request, status: StatusCode, found: Found) -> Attempt {
    let (body, detail, validators, gathered) = match found {
        Found::Document(document, more, validators) => {
            let most = request.settings().pages.as_ref().map_or(0, |pages| pages.max_pages);
            let detail = more.then(|| Detail::new(format!("the first {most} pages; the server has more")));
            (Some(document), detail, validators, None)
        }
        Found::Page(gathered) => (None, None, None, Some(Box::new(gathered))),
    };
    Attempt {
        http_status: Some(status.as_u16()),
        body,
        detail,
        validators: validators.map(Arc::new),
        gathered,
        ..Attempt::failed(Outcome::Ok, Detail::new(""))
    }
}

impl Reading<'_> {
    /// The attempt whose answer, there since `answered`, is no document. Apart, because its stack would be in the way of
    /// those that succeed.
    #[cold]
    fn refused(
        mut self,
        (outcome, detail): Refusal,
        response: Response,
        made: Option<&Made>,
        deadline: Deadline,
        answered: Instant,
    ) -> Attempt {
        let reached = if self.begun { Phase::Body } else { Phase::Headers };
        let mut phases = phases(made.map(|made| made.connecting(answered)), reached, deadline.began(), answered);
        phases.body = self.begun.then(|| answered.elapsed());
        let status = response.status();
        let retry_after = retry::asked_pause(status, response.headers());
        let head = response.headers().clone();
        if !self.begun {
            (self.bytes, self.cut) = evidence::beginning(response, deadline.left(), self.ask.max_per_host);
        }
        let seen = Seen { status: status.as_u16(), headers: &head, body: &self.bytes, cut: self.cut };
        Attempt {
            http_status: Some(status.as_u16()),
            retry_after,
            phases: Some(Box::new(phases)),
            evidence: Some(evidence::evidence(self.call, &self.request.redactor(self.call), Some(&seen))),
            ..Attempt::failed(outcome, detail)
        }
    }

    fn read(&mut self, response: &mut Response) -> Result<Found, Refusal> {
        let status = response.status();
        if head_size(response) > LARGEST_HEAD {
            return Err((Outcome::Protocol, Detail::new(format!("headers over {LARGEST_HEAD} bytes"))));
        }
        if status == StatusCode::NOT_MODIFIED
            && let Some(remembered) = self.ask.remembered.as_ref()
            && self.call.is_conditional
            && *response.url() == self.call.url
        {
            return Ok(Found::Document(self.checked(remembered.document.clone())?, false, None));
        }
        if !self.request.common.is_success(status) {
            let redirect = redirect::is_redirect(status) && response.headers().contains_key(LOCATION);
            let outcome = if redirect { Outcome::Redirect } else { Outcome::HttpStatus };
            return Err((outcome, Detail::new(fault::named(status))));
        }
        if status == StatusCode::PARTIAL_CONTENT && self.is_an_unwanted_part(response.headers()) {
            let detail = format!("{}: a part of the document, which was not asked for", fault::named(status));
            return Err((Outcome::HttpStatus, Detail::new(detail)));
        }
        if matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT) {
            return Err((Outcome::EmptyBody, Detail::new(fault::named(status))));
        }
        let document = self.document(response)?;
        let document = self.checked(document)?;
        if self.ask.gathered.is_some() {
            // The pages are kept, and joined: there is no room for the last one twice.
            self.cut |= evidence::shorten(&mut self.bytes);
        }
        match (&self.request.settings().pages, &self.ask.gathered) {
            (Some(pages), Some(gathered)) => {
                let turned = pages::turn(pages, (**gathered).clone(), document, response.headers(), response.url())?;
                Ok(match turned {
                    Turned::Next(gathered) => Found::Page(gathered),
                    Turned::Last(document, more) => Found::Document(document, more, None),
                })
            }
            _ => {
                // A redirect may lead elsewhere the next time.
                let is_itself = status == StatusCode::OK && *response.url() == self.call.url;
                let validators = (is_itself && self.request.common.is_conditional)
                    .then(|| conditional::validators(response.headers(), || self.request.fingerprint(self.call)));
                let validators = validators.flatten().filter(|validators| !self.holds_a_secret(validators));
                Ok(Found::Document(document, false, validators))
            }
        }
    }

    fn document(&mut self, response: &mut Response) -> Result<Document, Refusal> {
        let coding = Coding::of(response.headers()).map_err(|why| (Outcome::Encoding, why))?;
        if response
            .headers()
            .get_all(TRANSFER_ENCODING)
            .iter()
            .any(|value| !value.as_bytes().eq_ignore_ascii_case(b"chunked"))
        {
            return Err((Outcome::Encoding, Detail::new("a transfer coding that was not asked for")));
        }
        // All pages together are one document.
        let gathered = self.ask.gathered.as_ref().map_or(0, |gathered| gathered.bytes());
        let room = self.request.settings().max_body.saturating_sub(gathered);
        self.begun = true;
        match body::read(response, coding, room, &mut self.bytes) {
            End::Whole => json::document(&self.bytes),
            End::TooLarge => {
                self.cut = true;
                let all = if self.ask.gathered.is_some() { " in all pages" } else { "" };
                Err((Outcome::TooLarge, Detail::new(format!("over {} bytes{all}", self.request.settings().max_body))))
            }
            End::NotCoded { goes_on } => {
                self.cut = goes_on;
                Err((Outcome::Encoding, Detail::new(body::NOT_CODED)))
            }
            End::Broken(error) => {
                self.cut = true;
                Err(fault::of_body(&error, self.ask.alone))
            }
        }
    }

    /// Whether an answer with status 206 is less than the whole, and neither `Range` nor `success` asks for such.
    fn is_an_unwanted_part(&self, headers: &HeaderMap) -> bool {
        let success = self.request.settings().success.as_ref();
        let is_wanted = self.call.headers.contains_key(RANGE) || success.is_some_and(|wanted| wanted.contains(&206));
        !is_wanted && headers.get(CONTENT_RANGE).is_some_and(|range| !is_whole(range))
    }

    /// Whether a server has put something secret into what would be stored.
    fn holds_a_secret(&self, validators: &Validators) -> bool {
        let redactor = self.request.redactor(self.call);
        let named = [&validators.etag, &validators.last_modified].into_iter().flatten();
        named.into_iter().any(|text| redactor.redact(text.as_bytes()) != *text)
    }

    /// The document, unless it says what the user calls a failure.
    fn checked(&self, document: Document) -> Result<Document, Refusal> {
        match &self.request.settings().error_if {
            Some(rule) if error_if::holds(rule, &document) => {
                Err((Outcome::HttpStatus, Detail::new(format!("error_if: there is an error at {}", rule.pointer))))
            }
            _ => Ok(document),
        }
    }
}

/// Whether a `Content-Range` (RFC 9110, section 14.4) is from the first to the last of all.
fn is_whole(range: &HeaderValue) -> bool {
    let parsed = range.to_str().ok().and_then(|text| {
        let (range, all) = text.trim().rsplit(' ').next()?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?, all.parse::<u64>().ok()?))
    });
    parsed.is_some_and(|(first, last, all)| first == 0 && last.checked_add(1) == Some(all))
}

/// The bytes of the reason phrase and of the header lines, each with its colon, space and line end.
fn head_size(response: &Response) -> usize {
    let reason = response.extensions().get::<ReasonPhrase>().map_or(0, |reason| reason.as_bytes().len());
    let lines = response.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    reason + lines.sum::<usize>()
}
