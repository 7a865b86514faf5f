//! OAuth 2.0 with client credentials (RFC 6749, section 4.4): where tokens are given out, and what wants one.

use std::collections::VecDeque;
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

use super::documents as doc;
use super::modes::Call;
use super::request::Request;
use super::respond::{After, JSON, answer_with, json};
use super::stats::lock;
use super::{SAMPLE_CLIENT_ID, SAMPLE_CLIENT_SECRET};

/// Of more tokens than this the oldest are forgotten, and so no longer good.
const MOST_TOKENS: usize = 10_000;
/// Seconds that a token is said to be good for.
const EXPIRES_IN: u64 = 3_600;

/// The tokens that were given out.
#[derive(Default)]
pub(super) struct Tokens(Mutex<VecDeque<Token>>);

struct Token {
    text: String,
    revoked: bool,
}

impl Tokens {
    fn issue(&self) -> String {
        let mut tokens = lock(&self.0);
        if tokens.len() >= MOST_TOKENS {
            tokens.pop_front();
        }
        let text = format!("issued-{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        tokens.push_back(Token { text: text.clone(), revoked: false });
        text
    }

    fn is_good(&self, text: &str) -> bool {
        lock(&self.0).iter().any(|token| token.text == text && !token.revoked)
    }

    /// All of them, oldest first.
    pub(super) fn issued(&self) -> Vec<String> {
        lock(&self.0).iter().map(|token| token.text.clone()).collect()
    }

    pub(super) fn revoke(&self) {
        lock(&self.0).iter_mut().for_each(|token| token.revoked = true);
    }
}

/// The token endpoint. How long a token is good for is only said: none ends but by being revoked.
pub(super) fn token(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    if let Err(refusal) = granted(call.request) {
        return refuse(out, refusal);
    }
    let expires = match call.request.parameter("expires").as_deref() {
        None => format!(r#","expires_in":{EXPIRES_IN}"#),
        Some("") => String::new(),
        Some(seconds) => format!(r#","expires_in":{}"#, seconds.parse().unwrap_or(EXPIRES_IN)),
    };
    let body = format!(r#"{{"access_token":"{}","token_type":"Bearer"{expires}}}"#, call.stats.tokens.issue());
    let headers = format_args!("Content-Type: {JSON}\r\nCache-Control: no-store\r\n");
    answer_with(out, 200, headers, body.as_bytes())
}

/// The figures, for whoever has a token that is good.
pub(super) fn guarded(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    let sent = call.request.header("authorization");
    let token = sent.as_deref().and_then(|sent| credentials(sent, "Bearer"));
    let error = match token {
        Some(token) if call.stats.tokens.is_good(token) => return doc::figures(call, out),
        Some(_) => r#", error="invalid_token""#,
        None => "",
    };
    let challenge = format_args!("Content-Type: {JSON}\r\nWWW-Authenticate: Bearer realm=\"sample\"{error}\r\n");
    answer_with(out, 401, challenge, br#"{"error":"a token is needed"}"#)
}

pub(super) fn revoke(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    call.stats.tokens.revoke();
    json(out, br#"{"revoked":true}"#)
}

/// The errors of RFC 6749, section 5.2, that there is a cause for here.
#[derive(Clone, Copy)]
enum Refusal {
    MethodNotAllowed,
    InvalidRequest,
    InvalidClient,
    UnsupportedGrantType,
}

fn granted(request: &Request<'_>) -> Result<(), Refusal> {
    if request.method != "POST" {
        return Err(Refusal::MethodNotAllowed);
    }
    let form = request.header("content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    let grant = request.form("grant_type").filter(|_| form).ok_or(Refusal::InvalidRequest)?;
    let secret = request.form("client_secret");
    let client = match (request.header("authorization"), secret) {
        (Some(_), Some(_)) => return Err(Refusal::InvalidRequest),
        (Some(header), None) => basic(&header),
        (None, Some(secret)) => request.form("client_id").map(|id| (id, secret)),
        (None, None) => None,
    };
    let (id, secret) = client.ok_or(Refusal::InvalidClient)?;
    if id != SAMPLE_CLIENT_ID || secret != SAMPLE_CLIENT_SECRET {
        return Err(Refusal::InvalidClient);
    }
    if grant == "client_credentials" { Ok(()) } else { Err(Refusal::UnsupportedGrantType) }
}

/// The client's id and secret, each coded as in a form (RFC 6749, section 2.3.1).
fn basic(header: &str) -> Option<(String, String)> {
    let bytes = STANDARD.decode(credentials(header, "Basic")?).ok()?;
    let text = String::from_utf8(bytes).ok()?.replace('+', " ");
    let (id, secret) = text.split_once(':')?;
    let decoded = |part| Some(percent_decode_str(part).decode_utf8().ok()?.into_owned());
    Some((decoded(id)?, decoded(secret)?))
}

/// What follows the scheme, which may be written in whatever case.
fn credentials<'h>(header: &'h str, scheme: &str) -> Option<&'h str> {
    let (sent, credentials) = header.split_once(' ')?;
    sent.eq_ignore_ascii_case(scheme).then(|| credentials.trim())
}

fn refuse(out: &mut Vec<u8>, refusal: Refusal) -> After {
    let (status, header, error) = match refusal {
        Refusal::MethodNotAllowed => (405, "Allow: POST\r\n", "invalid_request"),
        Refusal::InvalidRequest => (400, "", "invalid_request"),
        Refusal::InvalidClient => (401, "WWW-Authenticate: Basic realm=\"sample\"\r\n", "invalid_client"),
        Refusal::UnsupportedGrantType => (400, "", "unsupported_grant_type"),
    };
    let headers = format_args!("Content-Type: {JSON}\r\nCache-Control: no-store\r\n{header}");
    answer_with(out, status, headers, format!(r#"{{"error":"{error}"}}"#).as_bytes())
}
