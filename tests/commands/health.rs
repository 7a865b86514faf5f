//! `gatherd health` against a daemon, and against servers that are none.

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::canned::{always, answer};
use crate::support::daemon::{Daemon, Home};
use crate::support::{ClosedPort, Ran, YEARLY, gatherd, run, until, write};

fn health(url: &str) -> Ran {
    run(gatherd(["health", "--url", url]))
}

#[test]
fn a_daemon_that_stores_rounds_is_ready() {
    let server = always(answer("200 OK", "", r#"{"status":"ok"}"#));
    let ran = health(&server.url(""));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "ready\n"), "{}", ran.stderr);
    let asked = server.requests().remove(0);
    assert!(asked.starts_with("GET /readyz HTTP/1.0\r\n"), "{asked}");
    assert!(asked.contains(&format!("\r\nHost: {}\r\n", server.url("").trim_start_matches("http://"))), "{asked}");
}

#[test]
fn a_daemon_whose_rounds_wait_is_not_ready_and_says_why() {
    let problem = r#"{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"3 rounds wait"}"#;
    let server = always(answer("503 Service Unavailable", "", problem));
    let ran = health(&server.url("/behind/a/proxy/"));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), "gatherd: not ready: 3 rounds wait\n"));
}

#[test]
fn where_nobody_listens_or_somebody_else_does_it_is_down() {
    let closed = ClosedPort::new();
    let ran = health(&closed.url(""));
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("nobody answers at http://127.0.0.1:"), "{}", ran.stderr);

    for (other, said) in [
        (answer("200 OK", "", "<html>"), "is not gatherd"),
        (answer("404 Not Found", "", ""), "answers 404"),
        (b"SSH-2.0-OpenSSH\r\n".to_vec(), "the answer is not HTTP"),
    ] {
        let ran = health(&always(other).url(""));
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
    assert!(ran.stderr.contains("no answer within 4 s"), "{}", ran.stderr);
    assert!(begun.elapsed() >= Duration::from_secs(2));
}

#[test]
fn an_encrypted_url_is_a_mistake_of_usage() {
    let ran = health("https://gatherd.example.com");
    assert_eq!(ran.code, Some(64));
    assert!(ran.stderr.contains("plain HTTP"), "{}", ran.stderr);
}

#[test]
fn where_the_config_does_not_say_whom_to_ask_it_cannot_be_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let off = write(folder.path(), "off.toml", "[server]\nlisten = false\n");
    let ran = run(gatherd(["health", "--config", &off]));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    assert!(ran.stderr.contains("cannot tell: the config turns the HTTP API off"), "{}", ran.stderr);
    // Whoever may listen at the default address: it is asked, and the config is no failure of the daemon's.
    for unreadable in ["absent.toml", "."] {
        let ran = run(gatherd([Path::new("health"), Path::new("--config"), &folder.path().join(unreadable)]));
        assert!(matches!(ran.code, Some(0..=2)), "{:?} {}", ran.code, ran.stderr);
        assert!(
            ran.stderr.contains("cannot read it") && ran.stderr.contains("asking http://127.0.0.1:8787/"),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn the_config_says_where_the_daemon_is() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let home = Home::new(&format!(
        "[server]\nlisten = \"{address}\"\n[[job]]\nname = \"figures\"\n{YEARLY}\nendpoints = [\"http://127.0.0.1:9/\"]\n"
    ));
    let config = home.folder.path().join("config.toml");
    let health = || run(gatherd([Path::new("health"), Path::new("--config"), &config]));
    let daemon = Daemon::of(home.command_at(listener));
    daemon.wait_for_address();
    let mut ran = health();
    until("the daemon is ready", || {
        ran = health();
        ran.code == Some(0)
    });
    assert_eq!(ran.stdout, "ready\n");
    let good = std::fs::read_to_string(&config).expect("a config");
    // A typo elsewhere, and a file that is cut off in the middle of its writing.
    for wrong in [format!("nonsense = 1\n{good}"), good[..good.len() - 20].to_owned()] {
        std::fs::write(&config, wrong).expect("written");
        let ran = health();
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "ready\n"), "{}", ran.stderr);
        assert!(ran.stderr.contains("config.toml:1: nonsense") || ran.stderr.contains("not TOML"), "{}", ran.stderr);
        assert!(ran.stderr.ends_with(&format!("; asking http://{address}/\n")), "{}", ran.stderr);
    }
    std::fs::write(&config, good).expect("written");
    daemon.stop();
    assert_eq!(health().code, Some(2), "it runs no more");
}
