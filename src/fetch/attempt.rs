//! One attempt, bounded in time and bytes.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::blocking::Response;
use reqwest::header::{LOCATION, RETRY_AFTER};
use serde_json::Value;

use super::body::{self, Body};
use super::coding::Coding;
use super::request::Request;
use super::{fault, json, redirect, retry};
use crate::config::ErrorIf;
use crate::model::{Detail, Document, Evidence, Outcome, Phases, Validators};

/// An answer's headers take at most so many bytes. The client has a bound of its own near it (and one of 100 lines),
/// but whether it is met depends on how the bytes arrive.
const LARGEST_HEAD: usize = 400 * 1024;

/// How one attempt ended.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// `ok`, or why there is no document.
    pub outcome: Outcome,
    /// The status, when an answer came.
    pub http_status: Option<u16>,
    /// The document, exactly when the outcome is `ok`.
    pub body: Option<Document>,
    /// More about a failure.
    pub detail: Option<Detail>,
    /// The pause that the server asked for.
    pub retry_after: Option<Duration>,
    /// How far it came, when it failed.
    pub phases: Option<Phases>,
    /// What was sent and what came back, when it failed.
    pub evidence: Option<Arc<Evidence>>,
    /// What the server named the version of the document by.
    pub validators: Option<Arc<Validators>>,
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
            phases: None,
            evidence: None,
            validators: None,
        }
    }
}

/// Sends `request` once and reads the answer: at most `timeout` from connect to the last byte, at most the
/// request's `max_body` bytes. Blocks. Whatever happens is an outcome, never an error.
#[must_use]
pub fn attempt(request: &Request, timeout: Duration) -> Attempt {
    match redirect::follow(request, timeout) {
        Ok(mut response) => {
            let status = response.status();
            let retry_after = asked_pause(&response);
            let result = document(request, &mut response);
            let (outcome, body, detail) = match result {
                Ok(body) => (Outcome::Ok, Some(body), None),
                Err((outcome, detail)) => (outcome, None, Some(detail)),
            };
            Attempt {
                outcome,
                http_status: Some(status.as_u16()),
                body,
                detail,
                retry_after,
                phases: None,
                evidence: None,
                validators: None,
            }
        }
        Err(failed) => failed,
    }
}

fn document(request: &Request, response: &mut Response) -> Result<Document, (Outcome, Detail)> {
    let status = response.status();
    if head_size(response) > LARGEST_HEAD {
        return Err((Outcome::Protocol, Detail::new(format!("headers over {LARGEST_HEAD} bytes"))));
    }
    if !request.is_success(status) {
        let redirect = status.is_redirection() && response.headers().contains_key(LOCATION);
        let outcome = if redirect { Outcome::Redirect } else { Outcome::HttpStatus };
        return Err((outcome, Detail::new(named(status))));
    }
    if matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT) {
        return Err((Outcome::EmptyBody, Detail::new(named(status))));
    }
    let coding = Coding::of(response.headers()).map_err(|why| (Outcome::Encoding, why))?;
    let document = match body::read(response, coding, request.max_body) {
        Body::Whole(bytes) => json::document(bytes)?,
        Body::TooLarge => return Err((Outcome::TooLarge, Detail::new(format!("over {} bytes", request.max_body)))),
        Body::Broken(error) => return Err(fault::of_body(&error)),
    };
    match &request.error_if {
        Some(rule) if means_failure(rule, &document) => {
            Err((Outcome::HttpStatus, Detail::new(format!("error_if: there is an error at {}", rule.pointer))))
        }
        _ => Ok(document),
    }
}

/// Whether `document` says what `rule` calls a failure.
fn means_failure(rule: &ErrorIf, document: &Document) -> bool {
    // Only a number beyond f64 and the 128th level do not parse; what has them is data.
    let Ok(document) = document.parse::<Value>() else { return false };
    match (document.pointer(&rule.pointer), &rule.equals) {
        (None, _) => false,
        (Some(found), Some(equals)) => serde_json::from_str::<Value>(equals).is_ok_and(|equals| equals == *found),
        (Some(found), None) => !matches!(found, Value::Null | Value::Bool(false)),
    }
}

/// The bytes of the header lines, each with its colon, space and line end.
fn head_size(response: &Response) -> usize {
    response.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

fn named(status: StatusCode) -> String {
    format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default())
}

fn asked_pause(response: &Response) -> Option<Duration> {
    let asks = matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let value = response.headers().get(RETRY_AFTER).filter(|_| asks)?;
    retry::retry_after(value.to_str().ok()?, SystemTime::now())
}
