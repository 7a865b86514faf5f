//! Speaks to the server through plain sockets, byte by byte as a client would.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod conditional;
mod evidence;
mod oauth;
mod pages;
mod tls;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::codings::{GZIP_BOMB_CRC, GZIP_REPEATS, crc32};
use super::documents::{HEALTHY_ANSWER, figures_at};
use super::{MODES, SampleApi};

const PATIENCE: Duration = Duration::from_secs(20);

fn start() -> SampleApi {
    SampleApi::start(([127, 0, 0, 1], 0).into()).unwrap()
}

fn connect(api: &SampleApi) -> TcpStream {
    let stream = TcpStream::connect(api.addr()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends `bytes`, and reads until the server closes.
fn exchange(api: &SampleApi, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(api);
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

fn get(api: &SampleApi, path: &str) -> String {
    get_with(api, path, "")
}

fn get_with(api: &SampleApi, path: &str, headers: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n{headers}Connection: close\r\n\r\n");
    String::from_utf8(exchange(api, request.as_bytes())).unwrap()
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

fn read_some(stream: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut answer = vec![0; bytes];
    stream.read_exact(&mut answer).unwrap();
    answer
}

/// Waits until `reached`, at most for [`PATIENCE`].
fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !reached() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn the_healthy_answer_is_as_long_as_it_says() {
    let answer = std::str::from_utf8(HEALTHY_ANSWER).unwrap();
    assert_eq!(body(answer).len(), 147);
    let api = start();
    assert_eq!(get(&api, "/healthy"), answer);
    assert_eq!(get(&api, "/healthy/one/of/many?x=1"), answer);
    assert_eq!(get(&api, "/delay/1/x"), answer);
    assert_eq!(get(&api, "/trickle"), answer);
    assert!(get(&api, "/many-1xx").ends_with(&format!("\r\n\r\n{answer}")));
}

#[test]
fn a_connection_serves_many_requests_even_when_they_come_at_once() {
    let api = start();
    let mut stream = connect(&api);
    let one = b"GET /healthy/7 HTTP/1.1\r\nHost: x\r\n\r\n";
    for _ in 0..3 {
        stream.write_all(one).unwrap();
        assert_eq!(read_some(&mut stream, HEALTHY_ANSWER.len()), HEALTHY_ANSWER);
    }
    stream.write_all(&one.repeat(40)).unwrap();
    assert_eq!(read_some(&mut stream, 40 * HEALTHY_ANSWER.len()), HEALTHY_ANSWER.repeat(40));
    let mixed = [b"GET /slow HTTP/1.1\r\n\r\n".as_slice(), one].concat();
    stream.write_all(&mixed).unwrap();
    assert_eq!(read_some(&mut stream, 2 * HEALTHY_ANSWER.len()), HEALTHY_ANSWER.repeat(2));
    assert_eq!((api.requests(), api.connections(), api.open_connections()), (45, 1, 1));
    assert_eq!(api.requests_to("/healthy/7"), 44);
}

#[test]
fn a_request_in_two_pieces_is_answered_once_it_is_whole() {
    let api = start();
    let mut stream = connect(&api);
    stream.write_all(b"POST /echo HTTP/1.1\r\nContent-Len").unwrap();
    stream.write_all(b"gth: 5\r\n\r\nab").unwrap();
    stream.write_all(b"cdeGET /null HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(r#""body":"abcde"}HTTP/1.1 200 OK"#), "{answer}");
    assert!(answer.ends_with("\r\n\r\nnull"), "{answer}");
}

#[test]
fn what_is_not_a_request_is_refused_and_the_connection_closed() {
    let api = start();
    let refused = |bytes: &[u8]| String::from_utf8(exchange(&api, bytes)).unwrap();
    assert!(refused(b"\0\0\r\n\r\n").starts_with("HTTP/1.1 400 "));
    assert!(refused(b"POST / HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n").contains(" 413 "));
    assert!(refused(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").contains(" 411 "));
    let long = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(64 * 1024));
    assert!(refused(long.as_bytes()).contains(" 431 "));
}

#[test]
fn head_gets_no_body() {
    let api = start();
    let answer = exchange(&api, b"HEAD /healthy HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert!(answer.ends_with(b"Content-Length: 147\r\n\r\n"));
}

#[test]
fn every_mode_in_the_table_is_served_and_no_other() {
    let api = start();
    for mode in MODES {
        let mut stream = connect(&api);
        write!(stream, "GET {} HTTP/1.0\r\n\r\n", mode.path).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut first = [0; 12];
        let found = stream.read(&mut first).unwrap_or(0);
        assert_ne!(&first[..found], b"HTTP/1.1 404", "{}", mode.path);
    }
    assert!(get(&api, "/unknown").starts_with("HTTP/1.1 404 "));
    assert!(get(&api, "/health").starts_with("HTTP/1.1 404 "));
    assert_eq!(api.requests(), MODES.len() as u64 + 2);
}

#[test]
fn figures_drift_but_are_the_same_for_a_name_and_a_second() {
    let now: DateTime<Utc> = "2026-01-15T09:30:00Z".parse().unwrap();
    assert_eq!(figures_at(now, "a"), figures_at(now, "a"));
    assert_ne!(figures_at(now, "a"), figures_at(now, "b"));
    assert_ne!(figures_at(now, "a"), figures_at(now + Duration::from_mins(10), "a"));
    assert!(figures_at(now, "a").ends_with(r#","updated_at":"2026-01-15T09:30:00Z"}"#));
}

#[test]
fn the_guard_wants_both_the_token_and_the_user_agent() {
    let api = start();
    let answer = |headers| get_with(&api, "/guarded", headers);
    let (agent, token) = ("User-Agent: gatherd/0.1\r\n", "Authorization: Bearer sample-token\r\n");
    assert!(answer("").starts_with("HTTP/1.1 403 "));
    assert!(answer(agent).starts_with("HTTP/1.1 403 "));
    assert!(answer(token).starts_with("HTTP/1.1 403 "));
    assert!(answer(&format!("{agent}{token}")).starts_with("HTTP/1.1 200 "));
}

#[test]
fn flaky_fails_twice_then_succeeds_and_counts_each_path_and_query_for_itself() {
    let api = start();
    let status = |path| get(&api, path)[9..12].to_owned();
    let cycle: Vec<String> = (0..6).map(|_| status("/flaky?x=1")).collect();
    assert_eq!(cycle, ["503", "503", "200", "503", "503", "200"]);
    assert_eq!([status("/flaky?x=2"), status("/flaky/y"), status("/flaky?x=1")], ["503"; 3]);
}

#[test]
fn wait_once_asks_for_a_pause_once_and_is_healthy_then() {
    let api = start();
    let first = get(&api, "/wait-once?after=7");
    assert!(first.starts_with("HTTP/1.1 503 ") && first.contains("\r\nRetry-After: 7\r\n"), "{first}");
    let healthy = std::str::from_utf8(HEALTHY_ANSWER).unwrap();
    assert_eq!([get(&api, "/wait-once?after=7"), get(&api, "/wait-once?after=7")], [healthy; 2]);
    assert!(get(&api, "/wait-once?after=8").starts_with("HTTP/1.1 503 "));
}

#[test]
fn retry_after_is_what_the_query_says() {
    let api = start();
    assert!(get(&api, "/rate-limited").contains("\r\nRetry-After: 30\r\n"));
    assert!(get(&api, "/rate-limited?after=2").contains("\r\nRetry-After: 2\r\n"));
    let date = get(&api, "/status/503?after=Wed,%2021+Oct%202026%0d%0a07:28:00%20GMT");
    assert!(date.starts_with("HTTP/1.1 503 "));
    assert!(date.contains("\r\nRetry-After: Wed, 21 Oct 202607:28:00 GMT\r\n"), "{date}");
}

#[test]
fn statuses_without_a_body_have_none() {
    let api = start();
    assert_eq!(body(&get(&api, "/no-content")), "");
    assert!(!get(&api, "/status/204").contains("Content-Length"));
    assert!(get(&api, "/status/205").ends_with("Content-Length: 0\r\n\r\n"));
    assert!(get(&api, "/status/418").ends_with(r#"{"status":418}"#));
    assert!(get(&api, "/status/tea").starts_with("HTTP/1.1 400 "));
}

#[test]
fn redirects_count_down_to_the_healthy_one() {
    let api = start();
    assert!(get(&api, "/redirect-hops/2").contains("\r\nLocation: /redirect-hops/1\r\n"));
    assert!(get(&api, "/redirect-hops/1").contains("\r\nLocation: /healthy\r\n"));
    let away = get(&api, "/redirect-to?url=http%3A%2F%2Fother.test%2Fx%3Fy%3D1");
    assert!(away.contains("\r\nLocation: http://other.test/x?y=1\r\n"), "{away}");
}

#[test]
fn big_documents_have_exactly_the_size_asked_for() {
    let api = start();
    for bytes in [0, 1, 2, 3, 100, 16_386, 1_048_577] {
        let answer = get(&api, &format!("/big/{bytes}"));
        assert!(answer.contains(&format!("\r\nContent-Length: {bytes}\r\n")));
        assert_eq!(body(&answer).len(), bytes);
    }
    assert_eq!(body(&get(&api, "/big/4")), "\"xx\"");
}

#[test]
fn deep_documents_are_as_deep_as_asked_for() {
    let api = start();
    assert_eq!(body(&get(&api, "/deep/3")), "[[[]]]");
    assert_eq!(body(&get(&api, "/deep/100000")).len(), 200_000);
}

#[test]
fn header_floods_are_as_large_as_they_say() {
    let api = start();
    let head = |path| get(&api, path).split_once("\r\n\r\n").unwrap().0.to_owned();
    assert!(head("/headers-100k").len() > 100 * 1024);
    assert!(head("/headers-400k").len() > 410 * 1024);
    assert_eq!(head("/headers/7").lines().filter(|line| line.starts_with("X-Pad-")).count(), 7);
}

#[test]
fn a_reset_is_a_reset_and_a_close_is_a_close() {
    let api = start();
    let end = |path: &str| {
        let mut stream = connect(&api);
        write!(stream, "GET {path} HTTP/1.1\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        (stream.read_to_end(&mut answer).map_err(|error| error.kind()), answer.is_empty())
    };
    assert_eq!(end("/reset"), (Err(ErrorKind::ConnectionReset), true));
    assert_eq!(end("/reset-body"), (Err(ErrorKind::ConnectionReset), false));
    assert_eq!(end("/close"), (Ok(0), true));
    assert!(matches!(end("/truncated"), (Ok(_), false)));
}

#[test]
fn endless_answers_go_on_for_as_long_as_they_are_read() {
    let api = start();
    let mut stream = connect(&api);
    stream.write_all(b"GET /infinite HTTP/1.1\r\n\r\n").unwrap();
    let start = read_some(&mut stream, 4 << 20);
    assert!(start.windows(13).any(|bytes| bytes == b"1\r\n[\r\n2000\r\n0"));
    assert!(start.windows(11).any(|bytes| bytes == b"0,\r\n2000\r\n0"));
    let others = [
        ("/drip", 73),
        ("/drip-headers", 77),
        ("/endless-1xx", 200),
        ("/endless-header", 1 << 20),
        ("/endless-trailers", 1 << 20),
    ];
    for (path, enough) in others {
        let mut stream = connect(&api);
        write!(stream, "GET {path} HTTP/1.1\r\n\r\n").unwrap();
        read_some(&mut stream, enough);
    }
}

#[test]
fn a_hanging_connection_holds_up_nobody_and_ends_with_its_client() {
    let api = start();
    let mut hanging = connect(&api);
    hanging.write_all(b"GET /hang HTTP/1.1\r\n\r\n").unwrap();
    until("the request arrives", || api.requests_to("/hang") > 0);
    assert_eq!(get(&api, "/null").lines().last(), Some("null"));
    drop(hanging);
    until("the connection is given back", || api.open_connections() == 0);
}

#[test]
fn what_was_received_can_be_looked_at() {
    let api = start();
    let answer = get_with(&api, "/echo/a?b=c", "Authorization: Bearer \"x\"\r\n");
    let expected = concat!(
        r#"{"method":"GET","path":"/echo/a","query":"b=c","headers":{"host":"test","#,
        r#""authorization":"Bearer \"x\"","connection":"close"},"body":""}"#,
    );
    assert_eq!(body(&answer), expected);
    let head = api.last_request("echo/a?other").unwrap();
    assert!(head.starts_with("GET /echo/a?b=c HTTP/1.1\r\nHost: test\r\nAuthorization: "));
    assert!(get_with(&api, "/secret-echo", "Authorization: Bearer s3\r\n").contains("Bearer s3"));
    get(&api, "/healthy");
    assert_eq!(api.last_request("/healthy"), None);
}

#[test]
fn dropping_the_server_ends_its_connections_and_frees_its_port() {
    // On an address of its own, so that no other test is given the port in between.
    let api = SampleApi::start(([127, 0, 0, 77], 0).into()).unwrap();
    let addr = api.addr();
    let mut hanging = connect(&api);
    hanging.write_all(b"GET /hang HTTP/1.1\r\n\r\n").unwrap();
    drop(api);
    // Closed or reset, according to whether the request had been read.
    assert_eq!(hanging.read(&mut [0; 1]).unwrap_or(0), 0);
    assert_eq!(SampleApi::start(addr).unwrap().addr(), addr);
}

#[test]
fn urls_lead_to_the_server() {
    let api = start();
    let port = api.addr().port();
    assert_eq!(api.url("/null"), format!("http://127.0.0.1:{port}/null"));
    assert_eq!(api.url("null"), api.url("/null"));
    let everywhere = SampleApi::start(([0, 0, 0, 0], 0).into()).unwrap();
    assert!(everywhere.url("/x").starts_with("http://127.0.0.1:"));
}

#[test]
fn the_checksums_of_compressed_bodies_are_right() {
    assert_eq!(crc32(b"123456789".iter().copied()), 0xcbf4_3926);
    let spaces = std::iter::repeat_n(b' ', GZIP_REPEATS as usize * 258 + 1);
    let document = std::iter::once(b'"').chain(spaces).chain(std::iter::once(b'"'));
    assert_eq!(format!("{:#x}", crc32(document)), format!("{GZIP_BOMB_CRC:#x}"));
}
