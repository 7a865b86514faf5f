//! What a failed attempt leaves to look at: the request and the beginning of the answer, both without secrets.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use reqwest::Url;
use reqwest::blocking::Response;
use reqwest::header::{AUTHORIZATION, HeaderMap};

use super::body::is_text;
use super::coding::Coding;
use super::deadline::Deadline;
use super::guess::guess;
use super::redact::Redactor;
use super::request::Call;
use super::secrets::scheme;
use crate::config::{names_a_secret, shown_url, shown_urls};
use crate::model::{Answer, Evidence};

/// So much of a body is kept.
const KEPT: usize = 2 * 1024;
/// So much more is read, so that a secret that goes on behind the end is found.
const BEHIND: usize = 2 * 1024;
/// So much of the headers is kept.
const KEPT_HEADERS: usize = 8 * 1024;
/// So long the body of an answer that was refused by its status is waited for.
const PATIENCE: Duration = Duration::from_millis(250);
/// The most bodies that are waited for at the same time, beyond that, and the most of one host, so that one whose bodies
/// all stall takes nothing from the others. Without a place, the status and the headers are kept.
const MOST_WAITING: usize = 512;
const MOST_OF_A_HOST: usize = 64;
/// The stack of the thread that waits.
const STACK: usize = 256 * 1024;

/// What came back.
pub struct Seen<'a> {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The beginning of the body, decoded.
    pub body: &'a [u8],
    /// Whether the body goes on, or may do so.
    pub cut: bool,
}

/// The evidence of an attempt that sent `call`, and saw an answer or none.
pub fn evidence(call: &Call, redactor: &Redactor, seen: Option<&Seen<'_>>) -> Arc<Evidence> {
    kept(&sent(call, redactor), redactor, seen)
}

/// The evidence of a request for an access token at `url`, and of an answer that holds none.
pub fn of_token_request(url: &Url, redactor: &Redactor, seen: &Seen<'_>) -> Arc<Evidence> {
    kept(&redactor.redact(format!("POST {}", shown_url(url)).as_bytes()), redactor, Some(seen))
}

fn kept(sent: &str, redactor: &Redactor, seen: Option<&Seen<'_>>) -> Arc<Evidence> {
    let answer = seen.map(|seen| answer(redactor, seen));
    let guess = seen.and_then(|seen| guess(seen.status, seen.headers, &answer.as_ref()?.body));
    Arc::new(Evidence { sent: sent.trim_end().to_owned(), answer, guess })
}

fn sent(call: &Call, redactor: &Redactor) -> String {
    // Writing to a String cannot fail.
    let mut sent = format!("{} {}\n", call.method, shown_url(call.plain_url()));
    for (name, value) in call.headers.iter() {
        let text = String::from_utf8_lossy(value.as_bytes());
        let value = if value.is_sensitive() || names_a_secret(name.as_str()) {
            // The scheme is worth seeing, where the header has one.
            let scheme = scheme(&text).filter(|_| *name == AUTHORIZATION).map(|(scheme, _)| scheme);
            scheme.map_or_else(|| "***".to_owned(), |scheme| format!("{scheme} ***"))
        } else {
            text.into_owned()
        };
        let _ = writeln!(sent, "{name}: {value}");
    }
    let mut sent = redactor.redact(sent.as_bytes());
    if let Some(json) = &call.json {
        let mut json = redactor.redact_beginning(json.as_bytes(), KEPT + BEHIND);
        json.truncate(json.floor_char_boundary(KEPT));
        let _ = write!(sent, "\n{json}");
    }
    sent
}

fn answer(redactor: &Redactor, seen: &Seen<'_>) -> Answer {
    let mut headers = String::new();
    // More is not looked through, however little of it is shown: that takes many times its size.
    let mut left = KEPT_HEADERS + BEHIND;
    for (name, value) in seen.headers {
        let shown_name = redactor.redact_beginning(name.as_str().as_bytes(), left);
        left = left.saturating_sub(name.as_str().len());
        let looked_at = &value.as_bytes()[..value.len().min(left)];
        left -= looked_at.len();
        let value = redactor.redact_header(name.as_str(), looked_at);
        // What a server signs for others is as good as a token.
        let value = shown_urls(&value);
        let _ = writeln!(headers, "{shown_name}: {value}");
        if headers.len() > KEPT_HEADERS || left == 0 {
            headers.truncate(headers.floor_char_boundary(KEPT_HEADERS));
            headers.push('…');
            break;
        }
    }
    let looked_at = &seen.body[..seen.body.len().min(KEPT + BEHIND)];
    let goes_on = seen.cut || looked_at.len() < seen.body.len();
    // What is hidden makes the text shorter, so that its end may come into what is kept.
    let mut body = if goes_on { redactor.redact_cut(looked_at) } else { redactor.redact(looked_at) };
    if let Cow::Owned(shown) = shown_urls(&body) {
        body = shown;
    }
    let cut = goes_on || body.len() > KEPT;
    body.truncate(body.floor_char_boundary(KEPT));
    headers.truncate(headers.trim_end().len());
    Answer { status: seen.status, headers, body, cut }
}

/// Drops what of a body is not looked at; answers whether there was any.
pub fn shorten(body: &mut Vec<u8>) -> bool {
    let goes_on = body.len() > KEPT + BEHIND;
    body.truncate(KEPT + BEHIND);
    body.shrink_to_fit();
    goes_on
}

/// The beginning of a body that nobody needs, and whether it goes on: what comes at once. It is read on a thread of its
/// own, because a server that announces a body and stalls would hold the worker until the timeout, although it is known
/// already how the attempt ended.
///
/// Of a host that is asked by `max_per_host` requests at once, as many bodies are waited for at most: their connections are
/// open beside those of the requests.
pub fn beginning(mut response: Response, timeout: Duration, max_per_host: Option<usize>) -> (Vec<u8>, bool) {
    if response.content_length() == Some(0) {
        return (Vec::new(), false);
    }
    let Ok(coding) = Coding::of(response.headers()) else { return (Vec::new(), true) };
    let Some(place) = Place::of(response.url().authority(), max_per_host) else { return (Vec::new(), true) };
    let (sender, receiver) = mpsc::channel();
    let read = move || {
        let _place = place;
        let mut source = Pieces { response: &mut response, sender: &sender };
        let mut bytes = Vec::new();
        // What was decoded until it broke off is worth as much.
        let whole = coding.read(&mut source, (KEPT + BEHIND) as u64, &mut bytes).is_ok();
        if !whole {
            // A decoder may have looked at two bytes of what is not coded.
            let _ = source.read(&mut vec![0; KEPT]);
        }
        let cut = !whole || bytes.len() >= KEPT + BEHIND;
        // The worker may have gone on.
        let _ = sender.send(Piece::End(bytes, cut));
    };
    if thread::Builder::new().name("evidence".to_owned()).stack_size(STACK).spawn(read).is_err() {
        return (Vec::new(), true);
    }
    collect(&receiver, coding, PATIENCE.min(timeout))
}

/// How many bodies are waited for, by host.
static WAITING: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());

/// A thread's place among them, until it ends, also by a panic.
struct Place {
    host: String,
}

impl Place {
    fn of(host: &str, max_per_host: Option<usize>) -> Option<Self> {
        let most = max_per_host.map_or(MOST_OF_A_HOST, |most| most.min(MOST_OF_A_HOST));
        let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.values().sum::<usize>() >= MOST_WAITING || waiting.get(host).is_some_and(|&of| of >= most) {
            return None;
        }
        *waiting.entry(host.to_owned()).or_default() += 1;
        Some(Self { host: host.to_owned() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = waiting.get_mut(&self.host) {
            *count -= 1;
        }
        waiting.retain(|_, count| *count > 0);
    }
}

/// What the thread has read.
enum Piece {
    /// As it came from the connection.
    Read(Vec<u8>),
    /// All of it, decoded, and whether it goes on.
    End(Vec<u8>, bool),
}

/// Shows what is read to whoever waits for it: of a body that stalls, what came before is kept. Ends when nobody waits.
struct Pieces<'a> {
    response: &'a mut Response,
    sender: &'a mpsc::Sender<Piece>,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.response.read(buffer)?;
        match self.sender.send(Piece::Read(buffer[..count].to_vec())) {
            Ok(()) => Ok(count),
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

fn collect(receiver: &mpsc::Receiver<Piece>, coding: Coding, patience: Duration) -> (Vec<u8>, bool) {
    let deadline = Deadline::after(patience);
    let mut raw = Vec::new();
    loop {
        match receiver.recv_timeout(deadline.left()) {
            // What is called compressed and is not says more than nothing.
            Ok(Piece::End(_, true)) if coding != Coding::Identity && is_text(&raw) => return (raw, true),
            Ok(Piece::End(bytes, cut)) => return (bytes, cut),
            Ok(Piece::Read(bytes)) => raw.extend_from_slice(&bytes[..bytes.len().min(KEPT + BEHIND - raw.len())]),
            Err(_) if coding == Coding::Identity => return (raw, true),
            Err(_) => return (Vec::new(), true),
        }
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers_kept(name: &str, value: &str) -> String {
        let name = name.parse::<HeaderName>().expect("a name");
        let headers = HeaderMap::from_iter([(name, HeaderValue::from_str(value).expect("a value"))]);
        let seen = Seen { status: 403, headers: &headers, body: b"", cut: false };
        answer(&Redactor::new(["s3cret"]), &seen).headers
    }

    #[test]
    fn a_secret_is_hidden_in_the_name_of_a_header_as_in_its_value() {
        assert_eq!(headers_kept("X-S3cret-1", "no s3cret"), "x-***-1: no ***");
    }

    #[test]
    fn headers_that_shrink_when_they_are_shown_are_not_all_looked_through() {
        let value = HeaderValue::from_str(&"s3cret".repeat(1_000)).expect("a value");
        let header = |number| (format!("x-{number}").parse::<HeaderName>().expect("a name"), value.clone());
        let headers: HeaderMap = (0..30).map(header).collect();
        let seen = Seen { status: 403, headers: &headers, body: b"", cut: false };
        let kept = answer(&Redactor::new(["s3cret"]), &seen).headers;
        assert_eq!(kept, "x-0: ***\nx-1: ***\n…");
    }

    #[test]
    fn of_a_header_as_long_as_all_that_are_kept_the_beginning_is_kept() {
        let kept = headers_kept("X-Long", &"a".repeat(100 * 1024));
        assert!(kept.starts_with("x-long: aaa") && kept.ends_with("a…"), "{} bytes", kept.len());
        assert_eq!(kept.len(), KEPT_HEADERS + "…".len());
    }
}
