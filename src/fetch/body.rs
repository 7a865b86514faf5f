//! A response's body, read up to a bound.

use std::io::{self, Read};

use reqwest::blocking::Response;

/// The first buffer for a body whose length is not announced, and the most that an announced one is believed.
const FIRST_BUFFER: usize = 4 * 1024;
const LARGEST_FIRST_BUFFER: usize = 256 * 1024;

/// How reading ended.
pub enum Body {
    /// All of it, within the bound.
    Whole(Vec<u8>),
    /// More than the bound: reading stopped one byte behind it.
    TooLarge,
    /// It broke off.
    Broken(io::Error),
}

/// Reads `response` to its end or to `max_body` + 1 bytes, decompressed. The announced length spares the reading of
/// what is too large anyway.
pub fn read(response: &mut Response, max_body: u64) -> Body {
    let announced = response.content_length();
    if announced.is_some_and(|length| length > max_body) {
        return Body::TooLarge;
    }
    let first = announced.and_then(|length| usize::try_from(length).ok()).map_or(FIRST_BUFFER, |length| length + 1);
    let mut bytes = Vec::with_capacity(first.min(LARGEST_FIRST_BUFFER));
    match response.take(max_body.saturating_add(1)).read_to_end(&mut bytes) {
        Err(error) => Body::Broken(error),
        Ok(length) if length as u64 > max_body => Body::TooLarge,
        Ok(_) => Body::Whole(bytes),
    }
}
