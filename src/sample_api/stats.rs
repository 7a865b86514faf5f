//! What the server remembers: counts for everybody, heads for the tests, where `/flaky` stands, tokens.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::oauth::Tokens;
use super::request::Request;

const MOST_PATHS: usize = 100_000;
const MOST_HEADS: usize = 1_000;
const MOST_CYCLES: usize = 10_000;

/// Paths whose heads are not kept, because copying them would slow the benches down.
const HOT: [&str; 2] = ["healthy", "figures"];

/// The counts of one server.
#[derive(Default)]
pub(super) struct Stats {
    requests: AtomicU64,
    connections: AtomicU64,
    open: AtomicUsize,
    paths: Mutex<HashMap<String, u64>>,
    not_modified: Mutex<HashMap<String, u64>>,
    heads: Mutex<HashMap<String, String>>,
    cycles: Mutex<HashMap<String, u64>>,
    pub(super) tokens: Tokens,
}

impl Stats {
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Acquire)
    }

    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Acquire)
    }

    pub(super) fn open_connections(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    pub(super) fn requests_to(&self, path: &str) -> u64 {
        lock(&self.paths).get(&*key(path)).copied().unwrap_or(0)
    }

    pub(super) fn not_modified(&self, path: &str) -> u64 {
        lock(&self.not_modified).get(&*key(path)).copied().unwrap_or(0)
    }

    pub(super) fn last_request(&self, path: &str) -> Option<String> {
        lock(&self.heads).get(&*key(path)).cloned()
    }

    /// Counts a connection as open until what is returned is dropped.
    pub(super) fn connection(self: &Arc<Stats>) -> Open {
        self.connections.fetch_add(1, Ordering::AcqRel);
        self.open.fetch_add(1, Ordering::AcqRel);
        Open(Arc::clone(self))
    }

    /// Counts a request, before it is answered: who has the answer sees the count.
    pub(super) fn saw(&self, request: &Request<'_>) {
        self.requests.fetch_add(1, Ordering::AcqRel);
        count(&self.paths, request.path);
        if !HOT.contains(&request.segment()) {
            self.keep_head(request);
        }
    }

    /// Counts an answer that said that `path` is what the client knows.
    pub(super) fn counts_not_modified(&self, path: &str) {
        count(&self.not_modified, path);
    }

    /// How many times `name` has been asked for before, counted apart from the paths.
    pub(super) fn next_in_cycle(&self, name: &str) -> u64 {
        let mut cycles = lock(&self.cycles);
        if cycles.len() >= MOST_CYCLES && !cycles.contains_key(name) {
            cycles.clear();
        }
        let count = cycles.entry(name.to_owned()).or_insert(0);
        *count += 1;
        *count - 1
    }

    fn keep_head(&self, request: &Request<'_>) {
        let mut heads = lock(&self.heads);
        let head = String::from_utf8_lossy(request.head);
        if let Some(kept) = heads.get_mut(request.path) {
            head.as_ref().clone_into(kept);
        } else if heads.len() < MOST_HEADS {
            heads.insert(request.path.to_owned(), head.into_owned());
        }
    }
}

/// One open connection, and its way to the counts.
pub(super) struct Open(Arc<Stats>);

impl Deref for Open {
    type Target = Stats;

    fn deref(&self) -> &Stats {
        &self.0
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

fn count(counts: &Mutex<HashMap<String, u64>>, path: &str) {
    let mut counts = lock(counts);
    if let Some(count) = counts.get_mut(path) {
        *count += 1;
    } else if counts.len() < MOST_PATHS {
        counts.insert(path.to_owned(), 1);
    }
}

/// A path as the maps know it: with its leading slash, without its query.
fn key(path: &str) -> String {
    let path = path.split('?').next().unwrap_or(path);
    format!("/{}", path.strip_prefix('/').unwrap_or(path))
}

/// The maps stay whole whatever panics beside them, so a poisoned lock is still a good one.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
