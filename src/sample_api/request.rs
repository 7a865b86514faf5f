//! One request as it was received.

use std::borrow::Cow;

use url::form_urlencoded;

/// A longer head is refused.
const MAX_HEAD: usize = 64 * 1024;
/// A longer request body is refused.
const MAX_BODY: usize = 1024 * 1024;
const MAX_HEADERS: usize = 100;

/// A whole request at the start of what a connection has received.
pub(super) struct Request<'b> {
    pub(super) method: &'b str,
    /// The path without its query, beginning with a slash.
    pub(super) path: &'b str,
    pub(super) query: Option<&'b str>,
    /// The request line and the headers as they were sent.
    pub(super) head: &'b [u8],
    pub(super) body: &'b [u8],
    /// The client wants no further request on this connection.
    pub(super) last: bool,
}

/// Why a request is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Malformed,
    HeadTooLarge,
    BodyTooLarge,
    LengthRequired,
}

impl<'b> Request<'b> {
    /// The first request in `input`, or nothing while it is not there to its end.
    pub(super) fn parse(input: &'b [u8]) -> Result<Option<Request<'b>>, Refusal> {
        if input.is_empty() {
            return Ok(None);
        }
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Request::new(&mut headers);
        let size = match parsed.parse(input) {
            Ok(httparse::Status::Complete(size)) if size <= MAX_HEAD => size,
            Ok(httparse::Status::Partial) if input.len() <= MAX_HEAD => return Ok(None),
            Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(Refusal::HeadTooLarge),
            Err(_) => return Err(Refusal::Malformed),
        };
        let (Some(method), Some(target)) = (parsed.method, parsed.path) else {
            return Err(Refusal::Malformed);
        };
        let (length, last) = framing(parsed.headers, parsed.version == Some(0))?;
        let Some(body) = input[size..].get(..length) else {
            return Ok(None);
        };
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        Ok(Some(Request { method, path, query, head: &input[..size], body, last }))
    }

    /// How many bytes of the input it takes.
    pub(super) fn size(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// The first segment of the path, which chooses the mode: `big` in `/big/100`.
    pub(super) fn segment(&self) -> &'b str {
        self.split().0
    }

    /// What follows the first segment: `100` in `/big/100`.
    pub(super) fn argument(&self) -> &'b str {
        self.split().1
    }

    fn split(&self) -> (&'b str, &'b str) {
        let path = self.path.strip_prefix('/').unwrap_or(self.path);
        path.split_once('/').unwrap_or((path, ""))
    }

    /// The argument's first segment as a number.
    pub(super) fn number(&self) -> Option<u64> {
        self.argument().split('/').next()?.parse().ok()
    }

    /// The value of a query parameter, percent-decoded and without control characters.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        value(self.query?.as_bytes(), name)
    }

    /// As [`Request::parameter`], out of a form in the body.
    pub(super) fn form(&self, name: &str) -> Option<String> {
        value(self.body, name)
    }

    /// The values of all query parameters, percent-decoded.
    pub(super) fn values(&self) -> Vec<String> {
        let pairs = form_urlencoded::parse(self.query.unwrap_or_default().as_bytes());
        pairs.map(|(_, value)| value.into_owned()).collect()
    }

    /// Every header in the order it was sent.
    pub(super) fn headers(&self) -> Vec<(&'b str, Cow<'b, str>)> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        // The head was parsed once already, so this cannot fail.
        let _ = httparse::Request::new(&mut headers).parse(self.head);
        let sent = headers.iter().filter(|header| !header.name.is_empty());
        sent.map(|header| (header.name, String::from_utf8_lossy(header.value))).collect()
    }

    /// The first header called `name`, in whatever case.
    pub(super) fn header(&self, name: &str) -> Option<Cow<'b, str>> {
        let mut headers = self.headers().into_iter();
        headers.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// The length of the body, and whether the connection ends with this request.
fn framing(headers: &[httparse::Header<'_>], old: bool) -> Result<(usize, bool), Refusal> {
    let (mut length, mut last) = (0, old);
    for header in headers {
        if header.name.eq_ignore_ascii_case("content-length") {
            let digits = std::str::from_utf8(header.value).map_err(|_| Refusal::Malformed)?;
            length = digits.trim().parse().map_err(|_| Refusal::Malformed)?;
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(Refusal::LengthRequired);
        } else if header.name.eq_ignore_ascii_case("connection") {
            last |= header.value.eq_ignore_ascii_case(b"close");
        }
    }
    if length > MAX_BODY { Err(Refusal::BodyTooLarge) } else { Ok((length, last)) }
}

/// The value of `name` in a query or form, without control characters.
fn value(coded: &[u8], name: &str) -> Option<String> {
    let (_, value) = form_urlencoded::parse(coded).find(|(key, _)| key == name)?;
    Some(value.chars().filter(|c| !c.is_control()).collect())
}
