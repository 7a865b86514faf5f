//! Endpoints that break HTTP or the connection itself.

use super::documents::HEALTHY_ANSWER;
use super::modes::Call;
use super::respond::{After, JSON, put};

/// An answer of 11 bytes with this status line and these headers.
macro_rules! ok {
    ($line:literal, $headers:literal) => {
        concat!($line, "\r\nContent-Type: application/json\r\n", $headers, "\r\n{\"ok\":true}").as_bytes()
    };
}

/// An answer in these chunks.
macro_rules! chunked {
    ($chunks:literal) => {
        concat!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", $chunks).as_bytes()
    };
}

/// What one chunk of `/infinite` carries.
const ENDLESS: usize = 0x2000;

/// One chunk of `/infinite`: zeros and commas.
pub(super) static ENDLESS_CHUNK: [u8; 6 + ENDLESS + 2] = endless_chunk();

pub(super) const ENDLESS_HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n[\r\n";
pub(super) const DECLARED_HUGE: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 104857600\r\n\r\n";
pub(super) const TO_THE_END: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n[";
pub(super) const HEADERS_BEGUN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
pub(super) const HEADER_LINE: &[u8] = b"X-Drip: drop\r\n";
pub(super) const INTERIM: &[u8] =
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n";
pub(super) const EARLY_HINTS: &[u8] = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n\
    HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"ok\":true}";
pub(super) const CHUNKED: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
    6;note=x\r\n{\"ok\":\r\n5\r\ntrue}\r\n0\r\nX-Trailer: yes\r\n\r\n";
pub(super) const TRUNCATED: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"ok\":true}";
pub(super) const TRUNCATED_CHUNKED: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n{\"ok\":true}\r\n";
pub(super) const GARBAGE: &[u8] = b"\x16\x03\x01\x00\xff\x00SSH-2.0-nothing\r\n\xde\xad\xbe\xef\r\n\r\n";
pub(super) const HTTP09: &[u8] = b"<html><body>An answer without a status line.</body></html>\n";
pub(super) const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
    Content-Length: 11\r\n\r\n{\"ok\":true}";
pub(super) const HTTP10: &[u8] = b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{\"ok\":true}";
pub(super) const TWO_LENGTHS: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
    Content-Length: 11\r\nContent-Length: 13\r\n\r\n{\"ok\":true}\r\n";
pub(super) const ABSURD_LENGTH: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
    Content-Length: 99999999999999999999\r\n\r\n{\"ok\":true}";
pub(super) const CHUNK_OVERFLOW: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
    Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n{\"ok\":true}\r\n0\r\n\r\n";
pub(super) const NEGATIVE_LENGTH: &[u8] = ok!("HTTP/1.1 200 OK", "Content-Length: -11\r\n");
pub(super) const SAME_LENGTH_TWICE: &[u8] = ok!("HTTP/1.1 200 OK", "Content-Length: 11\r\nContent-Length: 11\r\n");
pub(super) const FOUR_DIGITS: &[u8] = ok!("HTTP/1.1 1000 Many", "Content-Length: 11\r\n");
pub(super) const STATUS_ZERO: &[u8] = ok!("HTTP/1.1 000 None", "Content-Length: 11\r\n");
pub(super) const NO_REASON: &[u8] = ok!("HTTP/1.1 200", "Content-Length: 11\r\n");
pub(super) const FUTURE_VERSION: &[u8] = ok!("HTTP/9.9 200 OK", "Content-Length: 11\r\n");
pub(super) const LOCATION_200: &[u8] =
    ok!("HTTP/1.1 200 OK", "Location: http://169.254.169.254/\r\nContent-Length: 11\r\n");
pub(super) const PART: &[u8] =
    ok!("HTTP/1.1 206 Partial Content", "Content-Range: bytes 0-10/1100\r\nContent-Length: 11\r\n");
pub(super) const CHARSET_AS_CODING: &[u8] = ok!("HTTP/1.1 200 OK", "Content-Encoding: utf-8\r\nContent-Length: 11\r\n");
pub(super) const REDIRECT_NOWHERE: &[u8] = ok!("HTTP/1.1 302 Found", "Content-Length: 11\r\n");
pub(super) const NUL_HEADER: &[u8] = ok!("HTTP/1.1 200 OK", "X-Nul: a\0b\r\nContent-Length: 11\r\n");
pub(super) const FOLDED_HEADER: &[u8] = ok!("HTTP/1.1 200 OK", "X-Folded: one\r\n two\r\nContent-Length: 11\r\n");
pub(super) const SPACE_BEFORE_COLON: &[u8] = ok!("HTTP/1.1 200 OK", "X-Space : a\r\nContent-Length: 11\r\n");
pub(super) const LATIN1_HEADER: &[u8] =
    b"HTTP/1.1 200 OK\r\nX-City: K\xf6ln\r\nContent-Length: 11\r\n\r\n{\"ok\":true}";
pub(super) const BARE_LF: &[u8] =
    b"HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Length: 11\n\n{\"ok\":true}";
pub(super) const TWO_ANSWERS: &[u8] = concat!(
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"ok\":true}",
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"unasked\":1}",
)
.as_bytes();
pub(super) const SWITCHING_PROTOCOLS: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello";
pub(super) const STALLED_REFUSAL: &[u8] =
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: 500\r\n\r\n<";
pub(super) const HEADERS_CUT: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: applica";
pub(super) const HEADER_BEGUN: &[u8] = b"HTTP/1.1 200 OK\r\nX-Endless: ";
pub(super) const FILLER: &[u8] = &[b'x'; 1024];
pub(super) const CHUNK_TOO_LONG: &[u8] = chunked!("5\r\n{\"ok\":true}\r\n0\r\n\r\n");
pub(super) const CHUNKED_NOTHING: &[u8] = chunked!("0\r\n\r\n");
pub(super) const CHUNK_EXTENSION_BEGUN: &[u8] = chunked!("b;");
pub(super) const TRAILERS_BEGUN: &[u8] = chunked!("b\r\n{\"ok\":true}\r\n0\r\n");
pub(super) const CHUNKED_AND_LENGTH: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
    Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n{\"ok\":true}\r\n0\r\n\r\n";

const fn endless_chunk() -> [u8; 6 + ENDLESS + 2] {
    let mut chunk = [b'0'; 6 + ENDLESS + 2];
    chunk[0] = b'2';
    chunk[4] = b'\r';
    chunk[5] = b'\n';
    let mut at = 7;
    while at < 6 + ENDLESS {
        chunk[at] = b',';
        at += 2;
    }
    chunk[6 + ENDLESS] = b'\r';
    chunk[6 + ENDLESS + 1] = b'\n';
    chunk
}

/// A flood of interim responses, then the healthy answer.
pub(super) fn many_1xx(_: &Call<'_>, out: &mut Vec<u8>) -> After {
    out.extend_from_slice(&INTERIM.repeat(500));
    out.extend_from_slice(HEALTHY_ANSWER);
    After::Keep
}

/// So many short header lines, then a healthy body.
pub(super) fn headers(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    let count = call.request.number().unwrap_or(0).min(100_000);
    padded(out, count, 10)
}

/// One header line with a value of so many bytes.
pub(super) fn header(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    let bytes = call.request.number().unwrap_or(0).min(16 << 20);
    padded(out, 1, usize::try_from(bytes).unwrap_or(0))
}

/// More than 100 KiB of headers, in more than a hundred lines.
pub(super) fn headers_100k(_: &Call<'_>, out: &mut Vec<u8>) -> After {
    padded(out, 450, 250)
}

/// More than 400 KiB of headers, in fewer than a hundred lines.
pub(super) fn headers_400k(_: &Call<'_>, out: &mut Vec<u8>) -> After {
    padded(out, 50, 9_000)
}

fn padded(out: &mut Vec<u8>, lines: u64, value: usize) -> After {
    let value = "p".repeat(value);
    put(out, format_args!("HTTP/1.1 200 OK\r\nContent-Type: {JSON}\r\n"));
    for line in 0..lines {
        put(out, format_args!("X-Pad-{line}: {value}\r\n"));
    }
    out.extend_from_slice(b"Content-Length: 11\r\n\r\n{\"ok\":true}");
    After::Keep
}
