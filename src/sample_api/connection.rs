//! One connection: reads requests, answers all that are there in one write, goes on or misbehaves.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::documents::HEALTHY_ANSWER;
use super::modes::{self, Call};
use super::request::{Refusal, Request};
use super::respond::{After, JSON, answer};
use super::stats::{Open, Stats};

const INPUT_ROOM: usize = 2 * 1024;
const OUTPUT_ROOM: usize = 1024;
/// A buffer that one large answer has blown up is given back down to this.
const OUTPUT_KEPT: usize = 16 * 1024;

static FILLING: [u8; 16 * 1024] = [b'x'; 16 * 1024];

/// What a conversation runs over: TCP, or something that runs over TCP itself.
pub(super) trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// The scheme of the URLs that lead here.
    const SCHEME: &'static str;

    /// The connection at the bottom.
    fn tcp(&self) -> &TcpStream;
}

impl Transport for TcpStream {
    const SCHEME: &'static str = "http";

    fn tcp(&self) -> &TcpStream {
        self
    }
}

/// Serves a connection until either side ends it.
pub(super) async fn serve(mut stream: impl Transport, open: Open) {
    // An error here means that the client has left, which is its right.
    let _ = converse(&mut stream, &open).await;
}

/// Never says a word, until the client leaves.
pub(super) async fn ignore(mut stream: TcpStream, _open: Open) {
    let _ = hang(&mut stream).await;
}

/// Closes a connection on which the last word has been said. What the client had sent before it knew is read,
/// because closing on it would be a reset, which can overtake that word.
pub(super) async fn dismiss(mut stream: TcpStream, open: Open) {
    let _ = stream.shutdown().await;
    ignore(stream, open).await;
}

async fn converse<T: Transport>(stream: &mut T, stats: &Stats) -> io::Result<()> {
    stream.tcp().set_nodelay(true)?;
    let mut input = Vec::with_capacity(INPUT_ROOM);
    let mut out = Vec::with_capacity(OUTPUT_ROOM);
    loop {
        let (after, last) = answer_all(&mut input, &mut out, stats, T::SCHEME);
        if !out.is_empty() {
            send(stream, &out).await?;
            out.clear();
            out.shrink_to(OUTPUT_KEPT);
        }
        carry_on(stream, after).await?;
        if matches!(after, After::Reset(_) | After::Hang) {
            return Ok(());
        }
        if after == After::Close || last {
            return stream.shutdown().await;
        }
        if after == After::Keep && stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
}

/// Answers the whole requests in `input`, up to one that needs more than bytes; and says whether the
/// client wanted that to be the last.
fn answer_all(input: &mut Vec<u8>, out: &mut Vec<u8>, stats: &Stats, scheme: &'static str) -> (After, bool) {
    let mut used = 0;
    let end = loop {
        match Request::parse(&input[used..]) {
            Ok(None) => break (After::Keep, false),
            Ok(Some(request)) => {
                stats.saw(&request);
                used += request.size();
                let after = answer_one(&Call { request: &request, stats, scheme }, out);
                if after != After::Keep || request.last {
                    break (after, request.last);
                }
            }
            Err(refusal) => {
                used = input.len();
                break (refuse(refusal, out), true);
            }
        }
    };
    input.drain(..used);
    end
}

fn answer_one(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    let start = out.len();
    let after = modes::play(call, out);
    if call.request.method != "HEAD" {
        return after;
    }
    if let Some(end) = out[start..].windows(4).position(|four| four == b"\r\n\r\n") {
        out.truncate(start + end + 4);
    }
    if after == After::Keep { After::Keep } else { After::Close }
}

fn refuse(refusal: Refusal, out: &mut Vec<u8>) -> After {
    let (status, body) = match refusal {
        Refusal::Malformed => (400, r#"{"error":"not a request this server understands"}"#),
        Refusal::HeadTooLarge => (431, r#"{"error":"request head too large"}"#),
        Refusal::BodyTooLarge => (413, r#"{"error":"request body too large"}"#),
        Refusal::LengthRequired => (411, r#"{"error":"a request body needs a Content-Length"}"#),
    };
    answer(out, status, JSON, body.as_bytes());
    After::Close
}

/// Does what is left to do for a request whose first bytes are written.
async fn carry_on(stream: &mut impl Transport, after: After) -> io::Result<()> {
    match after {
        After::Keep | After::Close => Ok(()),
        After::Reset(pause) => {
            sleep(pause).await;
            stream.tcp().set_zero_linger()
        }
        After::Hang => hang(stream).await,
        After::Wait(pause) => {
            sleep(pause).await;
            send(stream, HEALTHY_ANSWER).await
        }
        After::Bytewise(bytes, pause) => {
            for byte in bytes.chunks(1) {
                send(stream, byte).await?;
                sleep(pause).await;
            }
            Ok(())
        }
        After::Fill(bytes) => fill(stream, bytes).await,
        After::Forever(piece, pause) => loop {
            send(stream, piece).await?;
            if !pause.is_zero() {
                sleep(pause).await;
            }
        },
    }
}

/// Writes `bytes` and sees to it that they leave: TLS holds some back until it is told.
async fn send(stream: &mut impl Transport, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

async fn hang(stream: &mut impl Transport) -> io::Result<()> {
    let mut ignored = [0; 512];
    while stream.read(&mut ignored).await? > 0 {}
    Ok(())
}

async fn fill(stream: &mut impl Transport, mut bytes: u64) -> io::Result<()> {
    while bytes > 0 {
        let piece = usize::try_from(bytes).unwrap_or(usize::MAX).min(FILLING.len());
        stream.write_all(&FILLING[..piece]).await?;
        bytes -= piece as u64;
    }
    send(stream, b"\"").await
}
