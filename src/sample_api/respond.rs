//! Writing answers, and what a connection does once one is written.

use std::fmt::Arguments;
use std::io::Write;
use std::time::Duration;

/// What happens on the connection after the bytes that were written for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// The answer is whole: on to the next request.
    Keep,
    /// The connection is closed in order.
    Close,
    /// After a pause, in which the client can read what it was sent, the connection is reset.
    Reset(Duration),
    /// Nothing more is said; the connection stays open until the client leaves.
    Hang,
    /// The healthy answer follows after this long.
    Wait(Duration),
    /// These bytes follow one by one, with a pause after each; then the answer is whole.
    Bytewise(&'static [u8], Duration),
    /// So many bytes of text and a closing quote end the body.
    Fill(u64),
    /// The same bytes over and over, with a pause after each, until the client leaves.
    Forever(&'static [u8], Duration),
}

pub(super) const JSON: &str = "application/json";
pub(super) const HTML: &str = "text/html; charset=utf-8";

/// Appends formatted text.
pub(super) fn put(out: &mut Vec<u8>, text: Arguments<'_>) {
    // Writing to a Vec cannot fail.
    let _ = out.write_fmt(text);
}

/// A whole JSON answer with status 200.
pub(super) fn json(out: &mut Vec<u8>, body: &[u8]) -> After {
    answer(out, 200, JSON, body)
}

/// A whole answer.
pub(super) fn answer(out: &mut Vec<u8>, status: u16, content_type: &str, body: &[u8]) -> After {
    answer_with(out, status, format_args!("Content-Type: {content_type}\r\n"), body)
}

/// A whole answer with header lines of one's own, each ended by CR LF.
pub(super) fn answer_with(out: &mut Vec<u8>, status: u16, headers: Arguments<'_>, body: &[u8]) -> After {
    put(out, format_args!("HTTP/1.1 {status} {}\r\n{headers}", reason(status)));
    if status == 204 || status == 304 {
        out.extend_from_slice(b"\r\n");
    } else {
        put(out, format_args!("Content-Length: {}\r\n\r\n", body.len()));
        out.extend_from_slice(body);
    }
    After::Keep
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        205 => "Reset Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        425 => "Too Early",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Other",
    }
}
