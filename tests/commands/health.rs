//! `gatherd health` against a daemon, and against servers that are none.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::support::daemon::{Daemon, Home};
use crate::support::{self, Ran, gatherd, run};

/// A server that answers its only request with `answer`, and tells what it was asked.
fn server(answer: String) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let asked = thread::spawn(move || {
        let (mut connection, _) = listener.accept().expect("a client");
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") && connection.read(&mut byte).expect("a request") > 0 {
            request.push(byte[0]);
        }
        connection.write_all(answer.as_bytes()).expect("the client reads");
        String::from_utf8(request).expect("text")
    });
    (address, asked)
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn health(url: &str) -> Ran {
    run(gatherd(["health", "--url", url]))
}

#[test]
fn a_daemon_that_stores_rounds_is_ready() {
    let (address, asked) = server(answer("200 OK", r#"{"status":"ok"}"#));
    let ran = health(&format!("http://{address}"));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "ready\n"), "{}", ran.stderr);
    let asked = asked.join().expect("no panic");
    assert!(asked.starts_with("GET /readyz HTTP/1.0\r\n"), "{asked}");
    assert!(asked.contains(&format!("\r\nHost: {address}\r\n")), "{asked}");
}

#[test]
fn one_that_does_not_says_why() {
    let problem = r#"{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"3 rounds wait"}"#;
    let (address, _asked) = server(answer("503 Service Unavailable", problem));
    let ran = health(&format!("http://{address}/behind/a/proxy/"));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), "gatherd: not ready: 3 rounds wait\n"));
}

#[test]
fn where_nobody_listens_or_somebody_else_does_it_is_down() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let free = listener.local_addr().expect("an address");
    drop(listener);
    let ran = health(&format!("http://{free}"));
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("nobody answers at http://127.0.0.1:"), "{}", ran.stderr);

    for (other, said) in [
        (answer("200 OK", "<html>"), "is not gatherd"),
        (answer("404 Not Found", ""), "answers 404"),
        ("SSH-2.0-OpenSSH\r\n".to_owned(), "the answer is not HTTP"),
    ] {
        let (address, _asked) = server(other);
        let ran = health(&format!("http://{address}"));
        assert_eq!(ran.code, Some(2));
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
}

#[test]
fn a_server_that_says_nothing_is_waited_for_two_seconds() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let begun = Instant::now();
    let ran = health(&format!("http://{}", silent.local_addr().expect("an address")));
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("no answer within 2 s"), "{}", ran.stderr);
    assert!(begun.elapsed() >= Duration::from_secs(2));
}

#[test]
fn an_encrypted_url_is_a_mistake_of_usage() {
    let ran = health("https://gatherd.example.com");
    assert_eq!(ran.code, Some(64));
    assert!(ran.stderr.contains("plain HTTP"), "{}", ran.stderr);
}

#[test]
fn the_config_says_where_the_daemon_is() {
    // A port that was free a moment ago: the config needs one that is known.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let endpoint = support::sample_api();
    let url = endpoint.url("/healthy");
    let home = Home::new(&format!(
        "[server]\nlisten = \"{address}\"\n[[job]]\nname = \"figures\"\nevery = \"1h\"\nendpoints = [{url:?}]\n"
    ));
    let config = home.folder.path().join("config.toml");
    let health = || run(gatherd([std::path::Path::new("health"), std::path::Path::new("--config"), &config]));
    assert_eq!(health().code, Some(2), "it does not run yet");
    let daemon = Daemon::of(home.command());
    daemon.wait_for_start("listening");
    let mut ran = health();
    support::until("the daemon is ready", || {
        ran = health();
        ran.code == Some(0)
    });
    assert_eq!(ran.stdout, "ready\n");
}
