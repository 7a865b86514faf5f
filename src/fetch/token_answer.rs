//! What token endpoints answer: read within bounds, and brought into the form that RFC 6749, section 5.1, has.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::blocking::Response;
use reqwest::header::HeaderMap;
use serde_json::Value;
use url::form_urlencoded;

use super::body::{self, End};
use super::coding::Coding;
use super::fault;
use super::secrets::json_secrets;
use super::tree::tree;
use crate::config::names_a_secret;
use crate::model::{Detail, Outcome};

/// The largest answer of a token endpoint.
const LARGEST_ANSWER: u64 = 256 * 1024;
/// The deepest answer of a token endpoint: the library walks down it on a worker's small stack.
const DEEPEST_ANSWER: usize = 16;

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
    /// The body, where it is surely no token: of a refusal, a page, or an error.
    pub fn worth_keeping(&self) -> &[u8] {
        let is_page = self.body.trim_ascii_start().first() == Some(&b'<');
        let is_error = || {
            let value = str::from_utf8(&self.body).ok().and_then(tree);
            value.is_some_and(|value| value.get("error").is_some() && value.get("access_token").is_none())
        };
        if !self.status.is_success() || is_page || is_error() { &self.body } else { b"" }
    }

    /// What may be secret in the body, added to `secrets`.
    pub fn secrets(&self, secrets: &mut Vec<String>) {
        json_secrets(&String::from_utf8_lossy(&self.body), false, secrets);
        let pairs = form_urlencoded::parse(&self.body).filter(|(name, _)| names_a_secret(name));
        secrets.extend(pairs.map(|(_, value)| value.into_owned()));
    }
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
