//! The HTTP API of a running daemon.

mod answers;
mod clients;
mod history;
mod operation;
mod rounds;
mod run;
#[path = "../support/mod.rs"]
mod support;

use httpmock::MockServer;

use support::YEARLY;

/// A document that no JSON library of doubles carries unharmed.
const EXACT: &str = r#"{"n": 1.10000000000000000000001, "big": 1e400, "n": -0.0, "text": "\u00e9"}"#;

/// A server whose `/exact` answers [`EXACT`] and `/fails` 500.
fn upstream() -> MockServer {
    let server = MockServer::start();
    server.mock(|when, then| {
        when.path("/exact");
        then.status(200).body(EXACT);
    });
    server.mock(|when, then| {
        when.path("/fails");
        then.status(500);
    });
    server
}

fn job(name: &str, cadence: &str, endpoints: &[(&str, String)]) -> String {
    let list: Vec<String> =
        endpoints.iter().map(|(name, url)| format!("{{ name = {name:?}, url = {url:?}, retries = 0 }}")).collect();
    format!("[[job]]\nname = {name:?}\n{cadence}\nendpoints = [{}]\n", list.join(", "))
}

/// A job that runs once, at the start: two endpoints, the second of which fails.
fn once(server: &MockServer) -> String {
    let endpoints = [("exact", server.url("/exact")), ("a/b ä", server.url("/fails"))];
    job("figures", &format!("{YEARLY}\nrun_on_start = true"), &endpoints)
}
