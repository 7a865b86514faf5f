//! What token endpoints answer: read within bounds, and brought into the form that RFC 6749, section 5.1, has.

use std::borrow::Cow;
use std::time::Duration;

use oauth2::RequestTokenError;
use oauth2::basic::{BasicErrorResponse, BasicErrorResponseType};
use reqwest::StatusCode;
use reqwest::blocking::Response;
use reqwest::header::{HeaderMap, HeaderValue, LOCATION};
use serde_json::Value;
use url::form_urlencoded;

use super::attempt::Attempt;
use super::body::{self, End};
use super::coding::Coding;
use super::fault;
use super::redact::Redactor;
use super::secrets::json_secrets;
use super::tree::tree;
use crate::config::names_a_secret;
use crate::model::{Detail, Outcome};

/// The largest answer of a token endpoint.
const LARGEST_ANSWER: u64 = 256 * 1024;
/// The deepest answer of a token endpoint: the library walks down it on a worker's small stack.
const DEEPEST_ANSWER: usize = 16;

/// Words from this length on may be tokens, and those with digits from this.
const SHORTEST_TOKEN: usize = 40;
const SHORTEST_NUMBERED_TOKEN: usize = 16;

/// What a token endpoint answered.
#[derive(Default)]
pub struct Told {
    pub status: StatusCode,
    /// The pause that it asks for.
    pub pause: Option<Duration>,
    /// There are any, once it has answered.
    pub headers: Option<HeaderMap>,
    pub body: Vec<u8>,
    /// Whether the body goes on.
    pub cut: bool,
}

impl Told {
    /// What of the answer may be kept. Of a success only a page for people or an error, which hold no token; of neither
    /// what looks like one, however it is wrapped. What `redactor` knows goes first, while it is whole. Also answers whether
    /// more of the body came.
    pub fn worth_keeping(&self, redactor: &Redactor) -> (HeaderMap, Vec<u8>, bool) {
        let text = self.text();
        let head = text.trim_start().get(..14).unwrap_or_default().to_ascii_lowercase();
        let is_page = || (head.starts_with("<html") || head.starts_with("<!doctype html")) && !text.contains("_token");
        let is_error = || {
            let error = tree(&text).and_then(|value| value.get("error")?.as_str().map(str::to_owned));
            error.is_some_and(|error| !error.is_empty())
        };
        let is_kept = !self.status.is_success() || is_page() || is_error();
        let hidden = |text: &str| without_tokens(&redactor.redact(text.as_bytes()));
        let body = if is_kept { hidden(&text) } else { String::new() };
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers.iter().flatten() {
            let text = String::from_utf8_lossy(value.as_bytes());
            // Where a redirect leads, without what it hands over.
            let text = if name == LOCATION { text.split(['?', '#']).next().unwrap_or_default().into() } else { text };
            if let Ok(value) = HeaderValue::from_str(&hidden(&text)) {
                headers.append(name, value);
            }
        }
        (headers, body.into_bytes(), self.cut || !is_kept && !text.is_empty())
    }

    /// The body without a byte order mark.
    fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&self.body))
    }

    /// What may be secret in the body, added to `secrets`.
    pub fn secrets(&self, secrets: &mut Vec<String>) {
        json_secrets(&self.text(), false, secrets);
        let pairs = form_urlencoded::parse(&self.body).filter(|(name, _)| names_a_secret(name));
        secrets.extend(pairs.map(|(_, value)| value.into_owned()));
    }
}

/// `text` with `***` in the place of each word that may be a token (token68, RFC 9110, section 11.2): a long one, or a shorter
/// one with digits.
fn without_tokens(text: &str) -> String {
    let is_sign = |sign: char| sign.is_ascii_alphanumeric() || "-._~+/%".contains(sign);
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(is_sign) {
        let end = rest[at..].find(|sign| !is_sign(sign)).map_or(rest.len(), |length| at + length);
        let word = &rest[at..end];
        let has_digits = word.bytes().any(|byte| byte.is_ascii_digit());
        kept.push_str(&rest[..at]);
        let may_be_token = word.len() >= SHORTEST_TOKEN || has_digits && word.len() >= SHORTEST_NUMBERED_TOKEN;
        kept.push_str(if may_be_token { "***" } else { word });
        rest = &rest[end..];
    }
    kept + rest
}

/// The body of a token endpoint's answer.
///
/// # Errors
/// When it breaks off, or is larger or deeper than any should be.
pub fn read(response: &mut Response) -> Result<Vec<u8>, (Outcome, Detail)> {
    let coding = Coding::of(response.headers()).map_err(|why| (Outcome::Encoding, why))?;
    let mut bytes = Vec::new();
    match body::read(response, coding, LARGEST_ANSWER, &mut bytes) {
        End::Whole if depth(&bytes) > DEEPEST_ANSWER => {
            Err((Outcome::TooDeep, Detail::new(format!("nested over {DEEPEST_ANSWER} levels"))))
        }
        End::Whole => Ok(bytes),
        End::TooLarge => Err((Outcome::TooLarge, Detail::new(format!("over {LARGEST_ANSWER} bytes")))),
        End::NotCoded { .. } => Err((Outcome::Encoding, Detail::new(body::NOT_CODED))),
        End::Broken(error) => Err(fault::of_body(&error, true)),
    }
}

/// The answer as RFC 6749 has it, where it is known to differ: a byte order mark; an `expires_in` in quotes (older Azure),
/// or one that is not whole; a `token_type` that is left out or has capitals. What is of no use here, such as a `scope`
/// that is a list, is left out.
pub fn tolerated(mut body: Vec<u8>) -> Vec<u8> {
    if body.starts_with(b"\xEF\xBB\xBF") {
        body.drain(..3);
    }
    let Some(Value::Object(mut members)) = str::from_utf8(&body).ok().and_then(tree) else { return body };
    if !members.contains_key("access_token") {
        return body;
    }
    members.retain(|name, value| {
        matches!(name.as_str(), "access_token" | "token_type" | "expires_in") && !value.is_null()
    });
    if let Value::String(kind) = members.entry("token_type").or_insert_with(|| "bearer".into()) {
        *kind = kind.trim().to_ascii_lowercase();
    }
    let written = match members.get("expires_in") {
        Some(Value::String(text)) => text.trim().parse::<f64>().ok(),
        Some(Value::Number(number)) => number.as_f64(),
        _ => None,
    };
    match written.filter(|seconds| *seconds >= 0.0).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
        Some(life) => members.insert("expires_in".to_owned(), life.as_secs().into()),
        // When it ends is then found out by a 401.
        None => members.remove("expires_in"),
    };
    Value::Object(members).to_string().into_bytes()
}

/// How deep JSON goes, at most; what is not JSON has some depth as well.
fn depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// An answer that did not come.
#[derive(Debug, thiserror::Error)]
#[error("no answer")]
pub struct NoAnswer(pub Attempt);

/// Why there is no token. What the server says in words of its own is not repeated: it may hold what it was sent.
pub fn failure(error: RequestTokenError<NoAnswer, BasicErrorResponse>, status: StatusCode) -> Attempt {
    let word = match error {
        RequestTokenError::Request(NoAnswer(attempt)) => return attempt,
        RequestTokenError::ServerResponse(answer) => match answer.error() {
            BasicErrorResponseType::Extension(_) => None,
            known => Some(known.to_string()),
        },
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => None,
    };
    if status.is_success() {
        return failed(Outcome::NotJson, "the answer holds none (RFC 6749, section 5.1)");
    }
    let detail = fault::named(status) + &word.map(|word| format!(", {word}")).unwrap_or_default();
    Attempt { http_status: Some(status.as_u16()), ..failed(Outcome::HttpStatus, &detail) }
}

/// An attempt to get a token that failed.
pub fn failed(outcome: Outcome, detail: &str) -> Attempt {
    Attempt::failed(outcome, Detail::new(detail))
}
