//! The HTTP API and clients that do not behave, listen for long, or call it by another name; where it listens.

use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use gatherd::sample_api::SampleApi;

use crate::support::daemon::Home;
use crate::support::web::{Web, read_until, rest};
use crate::support::{OFTEN, PATIENCE, YEARLY, run, sample_api, until};

fn job(api: &SampleApi, cadence: &str) -> String {
    format!("[[job]]\nname = \"figures\"\n{cadence}\nendpoints = [{:?}]\n", api.url("/healthy"))
}

/// Opens a stream of events, whose head it reads.
fn listen(web: &Web, headers: &str) -> TcpStream {
    let mut stream = web.connect();
    write!(stream, "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").expect("sent");
    let head = read_until(&mut stream, "\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/event-stream"), "{head}");
    stream
}

/// The number of the next event.
fn next_id(stream: &mut TcpStream) -> i64 {
    read_until(stream, "id: ");
    read_until(stream, "\n").trim().parse().expect("a number")
}

#[test]
fn only_our_own_names_are_answered() {
    let api = sample_api();
    let web = Web::start("hosts = [\"gatherd.example.com.\"]", &job(&api, YEARLY));
    let status = |request: &str| web.raw(format!("{request}Connection: close\r\n\r\n"))[9..12].to_owned();
    let address = web.address;
    for ours in
        [format!("{address}"), "localhost".to_owned(), "gatherd.example.com:443".to_owned(), "[::1]:1".to_owned()]
    {
        assert_eq!(status(&format!("GET /healthz HTTP/1.1\r\nHost: {ours}\r\n")), "200", "{ours}");
    }
    for theirs in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8787", "10.0.0.1", "a@localhost"] {
        assert_eq!(status(&format!("GET /healthz HTTP/1.1\r\nHost: {theirs}\r\n")), "421", "{theirs}");
    }
    assert_eq!(status("GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\n"), "421");
    assert_eq!(status("GET /healthz HTTP/1.1\r\n"), "400");
    assert_eq!(status("GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n"), "400");
    web.daemon.stop();
}

#[test]
fn a_head_that_is_slow_large_or_no_http_costs_only_its_own_connection() {
    let api = sample_api();
    let web = Web::start("", &job(&api, OFTEN));
    let begun = Instant::now();
    let mut slow = web.connect();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: local").expect("sent");
    let large = web.raw(format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(200_000)));
    assert!(large.is_empty() || large.starts_with("HTTP/1.1 431"), "{large}");
    let many = "X-More: x\r\n".repeat(200);
    let many = web.raw(format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"));
    assert!(many.is_empty() || many.starts_with("HTTP/1.1 431"), "{many}");
    assert!(web.raw("\u{1}\u{2}\u{3}\r\n\r\n").starts_with("HTTP/1.1 400"));
    let body = web.raw("POST /api/v1/jobs/figures/run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n");
    assert!(body.starts_with("HTTP/1.1 403") || body.starts_with("HTTP/1.1 413"), "{body}");
    let body = web.raw("GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n");
    assert!(body.starts_with("HTTP/1.1 413") && body.contains("application/problem+json"), "{body}");
    let answer = rest(&mut slow);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    web.daemon.wait_for_rounds("figures", 2);
    let log = web.daemon.stop();
    assert!(log.iter().all(|line| line["level"] != "ERROR"), "clients do not fill the log: {log:#?}");
}

#[test]
fn who_is_refused_is_told_why_and_that_connection_answers_nothing_more() {
    let api = sample_api();
    let web = Web::with_token(&job(&api, YEARLY));
    let wrong = [("evil.example", "GET /metrics", "421"), ("localhost", "GET /metrics", "401")];
    for (host, line, status) in wrong {
        let refused = format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let begun = Instant::now();
        let answers = web.raw(format!("{refused}GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert!(answers.starts_with(&format!("HTTP/1.1 {status}")), "{answers}");
        let head = answers.to_ascii_lowercase();
        assert!(head.contains("\r\nconnection: close\r\n"), "{answers}");
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }
    web.daemon.stop();
}

#[test]
fn a_body_without_end_is_refused_and_not_read_for_long() {
    let api = sample_api();
    let web = Web::start("", &job(&api, YEARLY));
    let mut stream = web.connect();
    let head = "POST /api/v1/jobs/figures/run HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("sent");
    let refused = read_until(&mut stream, "\r\n\r\n");
    assert!(refused.starts_with("HTTP/1.1 403"), "{refused}");
    assert!(refused.to_ascii_lowercase().contains("\r\nconnection: close\r\n"), "{refused}");
    let (begun, chunk) = (Instant::now(), [b"1000\r\n".as_slice(), &[b'x'; 0x1000], b"\r\n"].concat());
    while stream.write_all(&chunk).is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it is still read");
    }
    web.daemon.stop();
}

#[test]
fn what_the_library_refuses_is_said_without_a_body_and_the_connection_is_closed() {
    let api = sample_api();
    let web = Web::start("", &job(&api, YEARLY));
    let heads = ["Host: localhost\r\nHost: localhost\r\n", "", "Host: localhost\r\nX: a\rb\r\n"];
    for head in heads {
        let answer = web.raw(format!("GET /healthz HTTP/1.1\r\n{head}\r\n"));
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert!(answer.contains("content-length: 0\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    }
    let old = web.raw("GET /healthz HTTP/1.0\r\n\r\n");
    assert!(old.starts_with("HTTP/1.0 400") && old.contains("a Host header is needed"), "{old}");
    web.daemon.stop();
}

#[test]
fn requests_in_a_row_on_one_connection_are_answered_in_order() {
    let api = sample_api();
    let web = Web::start("", &job(&api, YEARLY));
    let one = |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n");
    // Without a body also where there would be no end to it.
    let head = "HEAD /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned();
    let all = [one("/healthz", ""), one("/nothing", ""), head, one("/readyz", "Connection: close\r\n")].concat();
    let answers = web.raw(all);
    let statuses: Vec<&str> = answers.match_indices("HTTP/1.1 ").map(|(at, _)| &answers[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["200", "404", "200", "200"]);
    web.daemon.stop();
}

#[test]
fn a_client_that_leaves_what_it_asked_for_unread_holds_no_part_of_the_file() {
    let api = sample_api();
    let body = api.url("/big/1048576");
    let jobs = format!("[[job]]\nname = \"figures\"\n{YEARLY}\nrun_on_start = true\nendpoints = [{body:?}]\n");
    let web = Web::start("", &jobs);
    web.daemon.wait_for_rounds("figures", 1);
    let unread: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut stream = web.connect();
            stream.write_all(b"GET /api/v1/latest HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
            read_until(&mut stream, "HTTP/1.1 ");
            stream
        })
        .collect();
    let other = rusqlite::Connection::open(web.home.database()).expect("opened");
    other.busy_timeout(PATIENCE).expect("set");
    let busy: i64 = other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).expect("a checkpoint");
    assert_eq!(busy, 0);
    assert_eq!(web.get("/api/v1/latest").status().as_u16(), 200);
    drop(unread);
    web.daemon.stop();
}

#[test]
fn what_the_api_reads_takes_no_lock_off_the_file() {
    let api = sample_api();
    let web = Web::start("", &job(&api, OFTEN));
    web.daemon.wait_for_rounds("figures", 1);
    let file = std::fs::metadata(web.home.database()).expect("a file").ino();
    let is_locked = || {
        let locks = std::fs::read_to_string("/proc/locks").expect("the system's locks");
        let ours = |lock: &str| lock.contains("POSIX") && lock.contains(&format!(" {} ", web.daemon.pid()));
        locks.lines().any(|lock| ours(lock) && lock.contains(&format!(":{file} ")))
    };
    assert!(is_locked(), "as SQLite does");
    web.json("/api/v1/status");
    web.json("/api/v1/latest");
    // Without it the next `sqlite3 gatherd.db` (before 3.51) to end would delete the log.
    assert!(is_locked(), "not any more");
    web.daemon.stop();
}

#[test]
fn listeners_hear_of_rounds_as_they_close_and_of_those_that_they_missed() {
    let api = sample_api();
    let web = Web::start("", &job(&api, OFTEN));
    let mut stream = listen(&web, "");
    let first = next_id(&mut stream);
    let data = read_until(&mut stream, "\n\n");
    assert!(data.contains("event: round\ndata: {\"round_id\":") && data.contains("\"status\":\"complete\""), "{data}");
    let last = next_id(&mut stream);
    assert!(last > first);
    drop(stream);
    web.daemon.wait_for_rounds("figures", 4);
    let page = web.json("/api/v1/jobs/figures/rounds?limit=1000");
    let missed = page["rounds"].as_array().expect("a list").iter().rev();
    let missed = missed.filter(|round| round["status"] == "complete").filter_map(|round| round["round_id"].as_i64());
    let mut again = listen(&web, &format!("Last-Event-ID: {last}\r\n"));
    for expected in missed.filter(|round| *round > last) {
        assert_eq!(next_id(&mut again), expected);
    }
    assert!(next_id(&mut again) > last, "it goes on with what closes");
    let wrong =
        web.raw("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: x\r\nConnection: close\r\n\r\n");
    assert!(wrong.starts_with("HTTP/1.1 400"), "{wrong}");
    web.daemon.stop();
}

#[test]
fn who_listens_to_one_job_is_told_what_it_missed_of_that_job_whatever_others_did() {
    let api = sample_api();
    let quiet =
        format!("[[job]]\nname = \"quiet\"\n{YEARLY}\nrun_on_start = true\nendpoints = [{:?}]\n", api.url("/healthy"));
    let web = Web::start("", &format!("{quiet}{}", job(&api, YEARLY)));
    web.daemon.wait_for_rounds("quiet", 1);
    // As a job that runs each second makes them, in some twenty minutes.
    let other = rusqlite::Connection::open(web.home.database()).expect("opened");
    other.busy_timeout(PATIENCE).expect("set");
    other
        .execute_batch(
            "INSERT INTO round (job_id, layout_id, due_at, started_at, finished_at, status, covers, ok, failed)
             WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1100)
             SELECT (SELECT job_id FROM job WHERE name = 'figures'), r.layout_id, r.due_at + n, r.started_at + n,
                 r.finished_at + n, r.status, r.covers, r.ok, r.failed
             FROM n, (SELECT * FROM round WHERE status = 'complete' LIMIT 1) r",
        )
        .expect("rounds");
    let mut stream = web.connect();
    let asked = "GET /api/v1/events?job=quiet HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 0\r\n\r\n";
    stream.write_all(asked.as_bytes()).expect("sent");
    let first = read_until(&mut stream, "\n\n");
    assert!(!first.contains("event: gap"), "{first}");
    let round = read_until(&mut stream, "\n\n");
    assert!(round.contains("\"job\":\"quiet\""), "{round}");
    web.daemon.stop();
}

#[test]
fn there_are_only_so_many_listeners_and_one_that_is_gone_makes_room() {
    let api = sample_api();
    let web = Web::start("", &job(&api, OFTEN));
    let mut streams: Vec<TcpStream> = (0..32).map(|_| listen(&web, "")).collect();
    let ask = || web.get("/api/v1/events").status().as_u16();
    assert_eq!(ask(), 503);
    drop(streams.pop());
    until("room is made", || ask() != 503);
    web.daemon.stop();
}

#[test]
fn a_listener_that_never_reads_delays_neither_rounds_nor_the_end() {
    let api = sample_api();
    let web = Web::start("", &job(&api, OFTEN));
    let (deaf, mut hears) = (listen(&web, ""), listen(&web, ""));
    // A client that has closed its half is gone.
    let half = web.connect();
    half.shutdown(Shutdown::Write).expect("closed");
    web.daemon.wait_for_rounds("figures", 5);
    assert!(next_id(&mut hears) > 0);
    let begun = Instant::now();
    web.daemon.stop();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    // The stream ended properly: the last chunk is there.
    assert!(rest(&mut hears).ends_with("0\r\n\r\n"));
    drop((deaf, half));
}

#[test]
fn an_address_that_is_wanted_and_taken_is_refused_at_the_start() {
    let api = sample_api();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address");
    let home = Home::new(&format!("[server]\nlisten = \"{address}\"\n{}", job(&api, YEARLY)));
    let ran = run(home.command());
    assert_eq!(ran.code, Some(78), "{}", ran.stderr);
    let told = format!("cannot listen at {address}");
    assert!(ran.stderr.contains(&told) && ran.stderr.contains("listen = false"), "{}", ran.stderr);
}

#[test]
fn a_token_that_is_not_there_is_refused_at_the_start() {
    let api = sample_api();
    let server = "[server]\nlisten = \"127.0.0.1:0\"\ntoken = { env = \"GATHERD_NO_SUCH_TOKEN\" }\n";
    let home = Home::new(&format!("{server}{}", job(&api, YEARLY)));
    let ran = run(home.command());
    assert_eq!(ran.code, Some(78), "{}", ran.stderr);
    assert!(ran.stderr.contains("GATHERD_NO_SUCH_TOKEN"), "{}", ran.stderr);
}

#[test]
fn without_an_address_there_is_no_api() {
    let api = sample_api();
    let home = Home::new(&format!("[server]\nlisten = false\n{}", job(&api, OFTEN)));
    let daemon = home.start();
    daemon.wait_for_rounds("figures", 1);
    let rest = daemon.stop();
    assert!(!rest.iter().any(|line| line["message"].as_str().is_some_and(|text| text.starts_with("listening"))));
}

#[test]
fn the_other_kind_of_loopback_is_listened_at_as_well() {
    let api = sample_api();
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("not tested: this system has no IPv6");
        return;
    }
    let web = Web::at("[::1]:0", "", &job(&api, YEARLY));
    assert_eq!(web.get("/healthz").status().as_u16(), 200);
    let text = web.raw(format!("GET /healthz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", web.address));
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    web.daemon.stop();
}
