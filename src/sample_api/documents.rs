//! Endpoints that answer a whole, honest HTTP response: figures, echoes, statuses, sizes, depths.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};

use super::modes::Call;
use super::respond::{After, HTML, JSON, answer, answer_with, json, put};
use super::{SAMPLE_TOKEN, SAMPLE_USER_AGENT_PREFIX};

/// The whole answer of `/healthy`, ready to be written.
pub(super) const HEALTHY_ANSWER: &[u8] = concat!(
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 147\r\n\r\n",
    r#"{"users":148210,"sessions":1893,"revenue":1129834.55,"currency":"EUR","#,
    r#""updated_at":"2026-01-15T09:30:00Z","regions":{"eu":812,"us":764,"apac":317}}"#,
)
.as_bytes();

/// What a login wall or an error page looks like.
pub(super) const PAGE: &[u8] =
    b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><h1>Please sign in</h1></body></html>\n";

const DAY: u64 = 86_400;
/// Nests this deep are made whole in memory; deeper ones are refused.
const DEEPEST: u64 = 1_000_000;
const BIGGEST: u64 = 1 << 30;

pub(super) fn healthy(_: &Call<'_>, out: &mut Vec<u8>) -> After {
    out.extend_from_slice(HEALTHY_ANSWER);
    After::Keep
}

pub(super) fn delay(call: &Call<'_>, _: &mut Vec<u8>) -> After {
    After::Wait(Duration::from_millis(call.request.number().unwrap_or(0)))
}

pub(super) fn figures(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    json(out, figures_at(SystemTime::now().into(), call.request.argument()).as_bytes())
}

/// Figures of an imagined business at a second: the same for the same name and second. They grow
/// slowly, swing with the day and with each five minutes, and tremble a little.
pub(super) fn figures_at(at: DateTime<Utc>, name: &str) -> String {
    let (seed, now) = (hash(name.as_bytes()), at.timestamp().unsigned_abs());
    let size = 1_000 + seed % 50_000;
    let users = size + now / DAY % 4_096 + hash(&((now / 60) ^ seed).to_le_bytes()) % 7;
    let day = swing(now + seed % DAY, DAY, size / 10);
    let wave = swing(now + seed % 300, 300, size / 50);
    let sessions = size / 50 + day + wave + hash(&(now ^ seed).to_le_bytes()) % 5;
    let cents = users * 173 + sessions * 29;
    format!(
        r#"{{"name":"{}","users":{users},"sessions":{sessions},"revenue":{}.{:02},"updated_at":"{}"}}"#,
        escaped(name),
        cents / 100,
        cents % 100,
        at.format("%FT%TZ"),
    )
}

/// A triangle wave: from 0 up to `height` and back in one `period`.
fn swing(now: u64, period: u64, height: u64) -> u64 {
    let at = now % period * 2;
    height * if at < period { at } else { 2 * period - at } / period
}

/// FNV-1a, then mixed so that neighbours differ in every bit.
fn hash(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash.wrapping_mul(0xff51_afd7_ed55_8ccd) >> 16
}

pub(super) fn guarded(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    let known = call.request.header("user-agent").is_some_and(|agent| agent.starts_with(SAMPLE_USER_AGENT_PREFIX));
    let token = call.request.header("authorization");
    let allowed = token.is_some_and(|token| token.strip_prefix("Bearer ") == Some(SAMPLE_TOKEN));
    if known && allowed { figures(call, out) } else { answer(out, 403, HTML, PAGE) }
}

pub(super) fn status(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    let asked = call.request.number().and_then(|code| u16::try_from(code).ok());
    match (asked.filter(|code| (200..1_000).contains(code)), call.request.parameter("after")) {
        (Some(code), Some(after)) => limited(out, code, &after),
        (Some(205), None) => answer(out, 205, JSON, b""),
        (Some(code), None) => answer(out, code, JSON, format!(r#"{{"status":{code}}}"#).as_bytes()),
        (None, _) => answer(out, 400, JSON, br#"{"error":"a status from 200 to 999 is needed"}"#),
    }
}

pub(super) fn rate_limited(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    let after = call.request.parameter("after").unwrap_or_else(|| "30".to_owned());
    limited(out, 429, &after)
}

fn limited(out: &mut Vec<u8>, status: u16, after: &str) -> After {
    let headers = format_args!("Content-Type: {JSON}\r\nRetry-After: {after}\r\n");
    answer_with(out, status, headers, br#"{"error":"come back later"}"#)
}

pub(super) fn flaky(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    if call.nth() % 3 == 2 {
        return healthy(call, out);
    }
    answer(out, 503, JSON, br#"{"error":"try again"}"#)
}

pub(super) fn wait_once(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    if call.nth() > 0 {
        return healthy(call, out);
    }
    let after = call.request.parameter("after").unwrap_or_else(|| "1".to_owned());
    limited(out, 503, &after)
}

pub(super) fn redirect(_: &Call<'_>, out: &mut Vec<u8>) -> After {
    redirect_to(out, "/healthy")
}

pub(super) fn redirect_away(_: &Call<'_>, out: &mut Vec<u8>) -> After {
    redirect_to(out, "http://169.254.169.254/")
}

pub(super) fn redirect_scheme(_: &Call<'_>, out: &mut Vec<u8>) -> After {
    redirect_to(out, "file:///etc/hostname")
}

pub(super) fn redirect_url(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    redirect_to(out, &call.request.parameter("url").unwrap_or_else(|| "/healthy".to_owned()))
}

pub(super) fn redirect_hops(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    match call.request.number() {
        None | Some(0 | 1) => redirect_to(out, "/healthy"),
        Some(hops) => redirect_to(out, &format!("/redirect-hops/{}", hops - 1)),
    }
}

pub(super) fn redirect_loop(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    redirect_to(out, call.request.path)
}

fn redirect_to(out: &mut Vec<u8>, target: &str) -> After {
    answer_with(out, 302, format_args!("Content-Type: {HTML}\r\nLocation: {target}\r\n"), PAGE)
}

/// A JSON document of exactly so many bytes, most of them sent by the connection without being held.
pub(super) fn big(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    match call.request.number() {
        Some(0) => json(out, b""),
        Some(1) => json(out, b"0"),
        Some(bytes @ 2..=BIGGEST) => {
            put(out, format_args!("HTTP/1.1 200 OK\r\nContent-Type: {JSON}\r\nContent-Length: {bytes}\r\n\r\n\""));
            After::Fill(bytes - 2)
        }
        _ => answer(out, 400, JSON, br#"{"error":"a size of at most 1 GiB is needed"}"#),
    }
}

pub(super) fn deep(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    let Some(depth) = call.request.number().filter(|depth| (1..=DEEPEST).contains(depth)) else {
        return answer(out, 400, JSON, br#"{"error":"a depth from 1 to 1000000 is needed"}"#);
    };
    let depth = usize::try_from(depth).unwrap_or(0);
    json(out, &[vec![b'['; depth], vec![b']'; depth]].concat())
}

/// What was received, as JSON: header names in lower case.
pub(super) fn echo(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    let request = call.request;
    let headers: Vec<String> = request
        .headers()
        .iter()
        .map(|(name, value)| format!(r#""{}":"{}""#, name.to_ascii_lowercase(), escaped(value)))
        .collect();
    let body = format!(
        r#"{{"method":"{}","path":"{}","query":"{}","headers":{{{}}},"body":"{}"}}"#,
        escaped(request.method),
        escaped(request.path),
        escaped(request.query.unwrap_or("")),
        headers.join(","),
        escaped(&String::from_utf8_lossy(request.body)),
    );
    json(out, body.as_bytes())
}

/// An error page that shows the credentials it was sent, as debug pages do.
pub(super) fn secret_echo(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    let token = call.request.header("authorization").unwrap_or_default();
    let page = format!("<html><body><h1>Error</h1><pre>Authorization: {token}</pre></body></html>\n");
    answer(out, 500, HTML, page.as_bytes())
}

pub(super) fn not_found(_: &Call<'_>, out: &mut Vec<u8>) -> After {
    answer(out, 404, JSON, br#"{"error":"no such endpoint"}"#)
}

/// `text` as it stands between the quotes of a JSON string.
pub(super) fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}
