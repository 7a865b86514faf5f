//! `gatherd fetch` and the library's face, against real sockets.

mod arguments;
mod interrupts;
mod library;
mod outcomes;
#[path = "../support/mod.rs"]
mod support;
mod vector;

use std::process::Command;

use serde_json::Value;

use support::{Ran, gatherd, run};

/// The body of `/healthy`.
const HEALTHY: &str = concat!(
    r#"{"users":148210,"sessions":1893,"revenue":1129834.55,"currency":"EUR","#,
    r#""updated_at":"2026-01-15T09:30:00Z","regions":{"eu":812,"us":764,"apac":317}}"#,
);

fn fetch(args: &[&str], urls: &[String]) -> Ran {
    run(fetch_command(args, urls))
}

fn fetch_command(args: &[&str], urls: &[String]) -> Command {
    let mut command = gatherd(["fetch"]);
    command.args(args).args(urls);
    command
}

/// The array as it is printed: an entry a line.
fn printed(entries: &[&str]) -> String {
    format!("[\n{}\n]\n", entries.join(",\n"))
}

fn member(entries: &[Value], name: &str) -> Vec<Value> {
    entries.iter().map(|entry| entry[name].clone()).collect()
}
