//! Ctrl-C, and a reader that goes away.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::support::{PATIENCE, Ran, gatherd, sample_api, until};
use crate::{fetch_command, member};

/// Starts `gatherd fetch`, interrupts it when `reached`, and answers how it ended, which it does at once.
fn interrupted(args: &[&str], urls: &[String], reached: impl FnMut() -> bool) -> Ran {
    let mut command = fetch_command(&["--timeout", "1m"], urls);
    let child = command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("gatherd starts");
    until("the requests that are to be interrupted", reached);
    let begun = Instant::now();
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(killed.success());
    let ran = Ran::new(child.wait_with_output().expect("gatherd ends"));
    assert!(begun.elapsed() < PATIENCE / 2, "it waited for its timeouts: {:?}", begun.elapsed());
    ran
}

#[test]
fn an_interrupt_prints_what_is_there_and_the_rest_as_cancelled() {
    let api = sample_api();
    let urls = ["/healthy/1", "/hang/1", "/hang/2", "/healthy/2"].map(|path| api.url(path));
    // Of two workers, the one that is at the second hanging endpoint has brought the first document home.
    let ran = interrupted(&["--why", "--workers", "2"], &urls, || api.requests_to("/hang/2") == 1);
    assert_eq!(ran.code, Some(130), "{}", ran.stderr);
    let entries = ran.array();
    assert_eq!(member(&entries, "outcome"), ["ok", "cancelled", "cancelled", "cancelled"]);
    assert_eq!(member(&entries, "attempts"), [1, 1, 1, 0]);
    assert_eq!(entries[0]["body"]["users"], 148_210);
    assert_eq!(entries[3]["detail"], "stopped before it began");
    assert_eq!(api.requests_to("/healthy/2"), 0);
}

#[test]
fn an_interrupt_wins_over_fail_and_leaves_a_whole_array() {
    let api = sample_api();
    let ran = interrupted(&["--fail"], &[api.url("/hang")], || api.requests() == 1);
    assert_eq!((ran.stdout.as_str(), ran.code), ("[\nnull\n]\n", Some(130)));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let api = sample_api();
    let mut command = fetch_command(&["--max-body", "2MiB"], &[api.url("/delay/200"), api.url("/big/1000000")]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("gatherd starts");
    drop(child.stdout.take());
    let ran = Ran::new(child.wait_with_output().expect("gatherd ends"));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
}

#[test]
fn of_two_hundred_hanging_urls_eight_workers_have_begun_eight() {
    let api = sample_api();
    let urls: Vec<String> = (0..200).map(|number| api.url(&format!("/hang/{number}"))).collect();
    let ran = interrupted(&["--why", "--workers", "8"], &urls, || api.requests() == 8);
    let entries = ran.array();
    let begun: Vec<usize> = (0..200).filter(|&position| entries[position]["attempts"] == 1).collect();
    assert_eq!(begun, (0..8).collect::<Vec<_>>());
    assert!(entries.iter().all(|entry| entry["outcome"] == "cancelled"));
    assert_eq!((api.requests(), ran.code), (8, Some(130)));
}

#[test]
fn the_sample_api_ends_when_it_is_told_to() {
    for signal in ["-TERM", "-INT"] {
        let mut command = gatherd(["sample-api", "--listen", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("gatherd starts");
        let mut url = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut url).expect("its URL");
        let killed = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill runs");
        assert!(killed.success() && url.starts_with("http://127.0.0.1:"), "{url}");
        assert_eq!(child.wait().expect("it ends").code(), Some(0), "{signal}");
    }
}
