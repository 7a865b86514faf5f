//! Endpoints that break HTTP or the connection itself.

use super::modes::Call;
use super::respond::{After, JSON, put};

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
pub(super) const HTTP10: &[u8] = b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{\"ok\":true}";
pub(super) const TWO_LENGTHS: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
    Content-Length: 11\r\nContent-Length: 13\r\n\r\n{\"ok\":true}\r\n";
pub(super) const ABSURD_LENGTH: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
    Content-Length: 99999999999999999999\r\n\r\n{\"ok\":true}";
pub(super) const CHUNK_OVERFLOW: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
    Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n{\"ok\":true}\r\n0\r\n\r\n";

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
