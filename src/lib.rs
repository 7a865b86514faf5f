//! gatherd collects JSON endpoints on a cadence: every round an ordered vector, every failure a null with its
//! reason, in one SQLite file.
//!
//! The modules in reading order:
//!
//! - [`model`]: the words of the domain as plain data; [`clock`]: what time it is
//! - [`schedule`]: when a job is due; [`config`]: what the user wants
//! - [`fetch`]: one bounded attempt; [`store`]: the SQLite file
//! - [`actors`]: who does it: Scheduler, Fetcher, worker pool, Storage, the file's readers
//! - [`web`]: the HTTP API; [`systemd`]: the service manager; [`app`]: the wiring
//! - [`sample_api`]: a server that behaves well and badly, for the demo, tests and benches
//! - [`cli`]: the commands; [`telemetry`]: the log
//!
//! As a library it does one round: [`fetch_all`] and [`fetch_one`].

pub mod model;

pub mod clock;
pub mod schedule;

pub mod config;

pub mod fetch;
pub mod store;

pub mod actors;
pub mod web;

pub mod systemd;

pub mod app;

pub mod sample_api;

pub mod cli;
pub mod telemetry;

use std::path::Path;
use std::thread;

use tokio::sync::oneshot;

use crate::app::{Afterwards, Bounds};
use crate::config::{Endpoint, RequestSettings, Secret};
use crate::fetch::{Ask, Clients, Request};
pub use crate::model::Document;

/// Threads that [`fetch_all`] uses at most: the most requests in flight.
pub const DEFAULT_WORKERS: usize = 64;

/// Fetches every URL once, at most 64 at a time, and answers one entry a URL, in the order given: the JSON document
/// as sent, or `None` when that one failed (network, timeout after 10 s, status, not JSON, over 1 MiB).
///
/// Each request carries `token` as `Authorization: Bearer …` and the User-Agent `gatherd/…`. A URL given twice is
/// fetched twice. There is no error: what is wrong with one URL costs its own entry, and a token that no header can
/// carry (it has a control character) all of them. Dropping the future cancels what has not begun.
///
/// ```
/// use gatherd::sample_api::{SAMPLE_TOKEN, SampleApi};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let api = SampleApi::start("127.0.0.1:0".parse()?)?;
/// let figures = gatherd::fetch_all([api.url("/guarded"), api.url("/html-500")], SAMPLE_TOKEN).await;
///
/// let first: serde_json::Value = figures[0].as_ref().ok_or("no figures")?.parse()?;
/// assert!(first["users"].is_number());
/// assert_eq!(figures[1], None);
/// # Ok(())
/// # }
/// ```
pub async fn fetch_all(
    urls: impl IntoIterator<Item = impl AsRef<str>>,
    token: impl Into<String>,
) -> Vec<Option<Document>> {
    let urls: Vec<String> = urls.into_iter().map(|url| url.as_ref().to_owned()).collect();
    let (count, token) = (urls.len(), Secret::new(token));
    let (mut answer, wait) = oneshot::channel();
    // The round has an actor system and blocking clients of its own, neither of which may live in the caller's runtime.
    let round = move || {
        let Some(token) = token else { return };
        let bounds = Bounds { workers: DEFAULT_WORKERS, deadline: None, afterwards: Afterwards::CleanUp };
        match app::fetch_urls(&urls, once(), Some(&token), bounds, |_| {}, answer.closed()) {
            // The caller may be gone.
            Ok(slots) => drop(answer.send(slots)),
            Err(error) => tracing::error!(error = format!("{error:#}"), "no round"),
        }
    };
    let started = thread::Builder::new().name("gatherd-round".to_owned()).spawn(round);
    let slots = if started.is_ok() { wait.await.ok() } else { None };
    slots.map_or_else(|| vec![None; count], |slots| slots.into_iter().map(|(_, slot)| slot.body).collect())
}

/// Fetches one URL and waits for it: [`fetch_all`] for one, without its pool, for code that is not async.
///
/// ```
/// use gatherd::sample_api::{SAMPLE_TOKEN, SampleApi};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let api = SampleApi::start("127.0.0.1:0".parse()?)?;
/// assert!(gatherd::fetch_one(&api.url("/healthy"), SAMPLE_TOKEN).is_some());
/// assert!(gatherd::fetch_one(&api.url("/html-200"), SAMPLE_TOKEN).is_none());
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn fetch_one(url: &str, token: &str) -> Option<Document> {
    let endpoint = Endpoint::unnamed(url, once().into()).ok()?;
    let token = Secret::new(token)?;
    let attempt = || {
        let request = Request::new(&endpoint, Path::new(""), &mut Clients::with_token(Some(&token))).ok()?;
        fetch::attempt(&request, Ask::once(request.settings().timeout)).body
    };
    // On a thread of its own, because a blocking client must not be made or dropped in async code, where this may be.
    thread::scope(|scope| thread::Builder::new().spawn_scoped(scope, attempt).ok()?.join().ok().flatten())
}

/// The defaults, without further attempts: the library's caller decides about those.
fn once() -> RequestSettings {
    RequestSettings { retries: 0, ..RequestSettings::default() }
}
