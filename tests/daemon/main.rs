//! `gatherd run`: the real binary, real sockets, a real file.

mod conditional;
mod database;
mod name_answers;
mod notify;
mod notify_secrets;
mod pauses;
mod rounds;
mod secrets;
mod service;
mod stopping;
#[path = "../support/mod.rs"]
mod support;
mod upkeep;

use support::YEARLY;

fn job(name: &str, keys: &str, urls: &[String]) -> String {
    format!("[[job]]\nname = {name:?}\n{keys}\nretries = 0\nendpoints = {urls:?}\n")
}

/// A job that no test sees a round of.
fn idle() -> String {
    job("figures", YEARLY, &["http://127.0.0.1:9/".to_owned()])
}

/// A job that has one round, when the daemon starts.
fn at_start(name: &str, urls: &[String]) -> String {
    job(name, &format!("{YEARLY}\nrun_on_start = true"), urls)
}
