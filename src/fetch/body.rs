//! A response's body, read up to a bound.

use std::io::{self, Read};

use reqwest::Version;
use reqwest::blocking::Response;

use super::coding::{Coding, Oversized};

/// The first buffer for a body whose length is not announced, and the most that an announced one is believed.
const FIRST_BUFFER: usize = 4 * 1024;
const LARGEST_FIRST_BUFFER: usize = 256 * 1024;
/// So much longer than `max_body` may a coded body be. What is coded may come to nothing, and that without end.
const CODED_SLACK: u64 = 64 * 1024;

/// So much of a coded body is kept as it came, should it not be coded at all.
const KEPT_BEGINNING: usize = 4 * 1024;

/// How reading ended.
pub enum End {
    /// All of it is there, within the bound.
    Whole,
    /// There is more than the bound: reading stopped one byte behind it.
    TooLarge,
    /// It is not compressed, though `Content-Encoding` says so: what was read of it is its beginning, which may go on.
    NotCoded {
        /// Whether it may.
        goes_on: bool,
    },
    /// It broke off.
    Broken(io::Error),
}

/// Reads `response` into `bytes` to its end or to `max_body` + 1 decoded bytes, and of what is coded no more than
/// [`CODED_SLACK`] beyond that. The announced length, which is the coded one, spares the reading of what is too large
/// anyway.
pub fn read(response: &mut Response, coding: Coding, max_body: u64, bytes: &mut Vec<u8>) -> End {
    let most = if coding == Coding::Identity { u64::MAX } else { max_body.saturating_add(CODED_SLACK) };
    let (left, ends_there) = (response.content_length(), response.version() < Version::HTTP_2);
    let mut source = Announced { left, ends_there, most, broken: false, beginning: Vec::new(), response };
    let announced = source.left.filter(|_| coding == Coding::Identity);
    if announced.is_some_and(|length| length > max_body) {
        return End::TooLarge;
    }
    let first = announced.and_then(|length| usize::try_from(length).ok()).map_or(FIRST_BUFFER, |length| length + 1);
    bytes.reserve_exact(first.min(LARGEST_FIRST_BUFFER));
    match coding.read(&mut source, max_body.saturating_add(1), bytes) {
        Err(error) if Oversized::is(&error) => End::TooLarge,
        Err(_) if !source.broken && is_text(&source.beginning) => {
            // What it is says why it came. A decoder may have looked at two bytes of it.
            let _ = source.read(&mut vec![0; KEPT_BEGINNING]);
            let goes_on = source.left != Some(0);
            *bytes = source.beginning;
            End::NotCoded { goes_on }
        }
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && !source.broken => {
            End::Broken(io::Error::new(io::ErrorKind::InvalidData, "the compressed data ends too early"))
        }
        Err(error) => End::Broken(error),
        Ok(()) if bytes.len() as u64 > max_body => End::TooLarge,
        Ok(()) => End::Whole,
    }
}

/// Whether a document or a page begins so, and not something coded.
pub fn is_text(beginning: &[u8]) -> bool {
    let is_control = |byte: &u8| byte.is_ascii_control() && !byte.is_ascii_whitespace();
    // A sign may be cut off at the end.
    let is_utf8 = str::from_utf8(beginning).map_or_else(|error| error.error_len().is_none(), |_| true);
    let first = beginning.trim_ascii_start().first();
    matches!(first, Some(b'{' | b'[' | b'"' | b'<')) && is_utf8 && !beginning.iter().any(is_control)
}

/// What a body is told as that is not compressed, though it is called so.
pub const NOT_CODED: &str = "not compressed, though Content-Encoding says so";

/// A body whose end has to be where its head said. The library sees to that, but for a stream of HTTP/2 that its server
/// resets without an error: it takes what came until then for the whole. Where no length was announced, nobody can tell.
struct Announced<'r> {
    response: &'r mut Response,
    left: Option<u64>,
    /// Whether there is nothing to be read behind that. Over HTTP/2 there is the end of the stream, which may be a reset, and
    /// whoever does not wait for it resets it.
    ends_there: bool,
    /// How much more of it is read.
    most: u64,
    /// The connection failed it.
    broken: bool,
    /// What came first, as it came.
    beginning: Vec<u8>,
}

/// A body ended before its announced end.
#[derive(Debug, thiserror::Error)]
#[error("not as long as Content-Length says")]
pub struct CutShort;

impl Read for Announced<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == Some(0) && self.ends_there {
            return Ok(0);
        }
        let count = self.response.read(buffer).inspect_err(|_| self.broken = true)?;
        if count == 0 && !buffer.is_empty() && self.left.is_some_and(|left| left > 0) {
            self.broken = true;
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, CutShort));
        }
        self.most = self.most.checked_sub(count as u64).ok_or_else(|| io::Error::from(Oversized))?;
        if self.beginning.len() < KEPT_BEGINNING && self.most != u64::MAX {
            self.beginning.extend_from_slice(&buffer[..count.min(KEPT_BEGINNING - self.beginning.len())]);
        }
        self.left = self.left.map(|left| left.saturating_sub(count as u64));
        Ok(count)
    }
}
