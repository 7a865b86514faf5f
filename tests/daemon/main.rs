//! `gatherd run`: the real binary, real sockets, a real file.

mod conditional;
mod database;
mod name_answers;
mod notify;
mod pauses;
mod rounds;
mod secrets;
mod service;
mod stopping;
#[path = "../support/mod.rs"]
mod support;
mod upkeep;

use std::net::SocketAddr;

use gatherd::sample_api::SampleApi;

use support::daemon;

fn sample_api() -> SampleApi {
    SampleApi::start(SocketAddr::from(([127, 0, 0, 1], 0))).expect("the sample API starts")
}

fn job(name: &str, keys: &str, urls: &[String]) -> String {
    format!("[[job]]\nname = {name:?}\n{keys}\nendpoints = {urls:?}\n")
}

/// Waits for something that the daemon does and no log line tells.
fn wait_until(done: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !done() {
        assert!(start.elapsed() < daemon::PATIENCE, "waited in vain");
        std::thread::yield_now();
    }
}
