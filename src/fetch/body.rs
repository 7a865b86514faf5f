//! A response's body, read up to a bound.

use std::io;

use reqwest::blocking::Response;

use super::coding::Coding;

/// The first buffer for a body whose length is not announced, and the most that an announced one is believed.
const FIRST_BUFFER: usize = 4 * 1024;
const LARGEST_FIRST_BUFFER: usize = 256 * 1024;

/// How reading ended.
pub enum End {
    /// All of it is there, within the bound.
    Whole,
    /// There is more than the bound: reading stopped one byte behind it.
    TooLarge,
    /// It broke off.
    Broken(io::Error),
}

/// Reads `response` into `bytes` to its end or to `max_body` + 1 decoded bytes. The announced length, which is the coded
/// one, spares the reading of what is too large anyway.
pub fn read(response: &mut Response, coding: Coding, max_body: u64, bytes: &mut Vec<u8>) -> End {
    let announced = response.content_length().filter(|_| coding == Coding::Identity);
    if announced.is_some_and(|length| length > max_body) {
        return End::TooLarge;
    }
    let first = announced.and_then(|length| usize::try_from(length).ok()).map_or(FIRST_BUFFER, |length| length + 1);
    bytes.reserve_exact(first.min(LARGEST_FIRST_BUFFER));
    match coding.read(response, max_body.saturating_add(1), bytes) {
        Err(error) => End::Broken(error),
        Ok(()) if bytes.len() as u64 > max_body => End::TooLarge,
        Ok(()) => End::Whole,
    }
}
