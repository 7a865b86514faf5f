//! Names → addresses that may be connected to. The check is on the addresses that the connection then uses, so a name
//! that changes its answer gains nothing.
//!
//! The system's resolver blocks, for 10 s and more where name servers are silent. So each lookup has a thread that
//! nobody joins, there is at most one for a name, and a name that had an answer before keeps it while the next one is
//! slow: dead names cost their own endpoints.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::oneshot;

use super::address::BlockedAddress;
use super::connection;

/// For so long an answer is shared: the endpoints of a round ask for the same few names at the same time.
const FRESH: Duration = Duration::from_secs(5);
/// For so long an older answer serves where a new one does not come.
const STALE: Duration = Duration::from_mins(10);
/// After so long a new answer is not waited for where an older one is there.
const SLOW: Duration = Duration::from_millis(500);
/// The most lookups at the same time.
const MOST_LOOKUPS: usize = 128;
/// The most names that are remembered.
const MOST_NAMES: usize = 4096;
/// A lookup's stack: what the C library's modules need.
const STACK: usize = 256 * 1024;

type Found = Result<Arc<[SocketAddr]>, Arc<io::Error>>;

/// The system's resolver, its answers shared and without blocked addresses.
#[derive(Clone, Default)]
pub struct Resolver {
    lookups: Arc<Mutex<Lookups>>,
    /// Only public addresses are let through: for redirects that a public server asked for.
    public_only: bool,
}

#[derive(Default)]
struct Lookups {
    names: HashMap<String, Known>,
    /// Names that wait for a thread.
    queue: VecDeque<String>,
    running: usize,
}

/// What is known of a name.
#[derive(Default)]
struct Known {
    answer: Option<(Instant, Arc<[SocketAddr]>)>,
    /// Whether a lookup is running or queued, and who waits for it.
    asked: bool,
    waiting: Vec<oneshot::Sender<Found>>,
}

impl Resolver {
    /// The same answers, public addresses only.
    pub fn public_only(&self) -> Self {
        Self { lookups: Arc::clone(&self.lookups), public_only: true }
    }

    fn lock(&self) -> MutexGuard<'_, Lookups> {
        self.lookups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer, or an older one that may serve, and the place where a new one will come.
    fn ask(&self, name: &str) -> (Option<Arc<[SocketAddr]>>, Option<oneshot::Receiver<Found>>) {
        let mut lookups = self.lock();
        lookups.forget_old_names();
        let known = lookups.names.entry(name.to_owned()).or_default();
        let old = known.answer.as_ref().filter(|(at, _)| at.elapsed() < STALE);
        let (fresh, old) = (old.is_some_and(|(at, _)| at.elapsed() < FRESH), old.map(|(_, found)| Arc::clone(found)));
        if fresh {
            return (old, None);
        }
        let (answer, wait) = oneshot::channel();
        if known.waiting.len() == known.waiting.capacity() {
            // A lookup may hang for ever; those who asked do not.
            known.waiting.retain(|waiting| !waiting.is_closed());
        }
        known.waiting.push(answer);
        if !std::mem::replace(&mut known.asked, true) {
            lookups.queue.push_back(name.to_owned());
            if lookups.running < MOST_LOOKUPS {
                lookups.running += 1;
                drop(lookups);
                self.start_thread();
            }
        }
        (old, Some(wait))
    }

    fn start_thread(&self) {
        let resolver = self.clone();
        let work = move || {
            while let Some(name) = resolver.next_name() {
                let found = (name.as_str(), 0).to_socket_addrs().map(Iterator::collect).map_err(Arc::new);
                resolver.lock().answered(&name, &found);
            }
        };
        if let Err(error) = thread::Builder::new().name("lookup".to_owned()).stack_size(STACK).spawn(work) {
            let mut lookups = self.lock();
            lookups.running -= 1;
            if let Some(name) = lookups.queue.pop_back() {
                lookups.answered(&name, &Err(Arc::new(error)));
            }
        }
    }

    fn next_name(&self) -> Option<String> {
        let mut lookups = self.lock();
        let name = lookups.queue.pop_front();
        if name.is_none() {
            lookups.running -= 1;
        }
        name
    }
}

impl Lookups {
    fn answered(&mut self, name: &str, found: &Found) {
        let known = self.names.entry(name.to_owned()).or_default();
        known.asked = false;
        if let Ok(found) = found {
            known.answer = Some((Instant::now(), Arc::clone(found)));
        }
        for waiting in known.waiting.drain(..) {
            // Whoever asked may have run out of time.
            let _ = waiting.send(found.clone());
        }
    }

    fn forget_old_names(&mut self) {
        if self.names.len() >= MOST_NAMES {
            self.names
                .retain(|_, known| known.asked || known.answer.as_ref().is_some_and(|(at, _)| at.elapsed() < FRESH));
        }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        if is_localhost(name.as_str()) {
            let here = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
            let allowed = allowed(&here.map(|address| SocketAddr::new(address, 0)), self.public_only);
            return Box::pin(async move { Ok(Box::new(allowed?.into_iter()) as Addrs) });
        }
        let (old, new) = self.ask(name.as_str());
        let public_only = self.public_only;
        connection::lookup_begins();
        Box::pin(async move {
            let found = match (old, new) {
                (Some(found), None) => found,
                (Some(old), Some(new)) => match tokio::time::timeout(SLOW, new).await {
                    Ok(Ok(Ok(found))) => found,
                    _ => old,
                },
                (None, Some(new)) => new.await.map_err(io::Error::other)??,
                (None, None) => Arc::default(),
            };
            connection::lookup_ends();
            Ok(Box::new(allowed(&found, public_only)?.into_iter()) as Addrs)
        })
    }
}

/// Whether `name` is this machine without asking anybody (RFC 6761, section 6.3).
pub fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost")
}

fn allowed(found: &[SocketAddr], public_only: bool) -> Result<Vec<SocketAddr>, BlockedAddress> {
    let blocked = |address: &SocketAddr| BlockedAddress::of(address.ip(), public_only);
    let allowed: Vec<SocketAddr> = found.iter().filter(|address| blocked(address).is_none()).copied().collect();
    match found.first().and_then(blocked) {
        Some(first) if allowed.is_empty() => Err(first),
        _ => Ok(allowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|text| SocketAddr::new(text.parse().expect("an address"), 0)).collect()
    }

    #[test]
    fn blocked_addresses_are_left_out_and_a_name_that_has_no_other_is_blocked() {
        let mixed = addresses(&["169.254.169.254", "10.0.0.1", "8.8.8.8"]);
        assert_eq!(allowed(&mixed, false).expect("some"), addresses(&["10.0.0.1", "8.8.8.8"]));
        assert_eq!(allowed(&mixed, true).expect("some"), addresses(&["8.8.8.8"]));
        assert!(allowed(&addresses(&["::ffff:169.254.169.254"]), false).is_err());
        assert!(allowed(&addresses(&["10.0.0.1", "127.0.0.1"]), true).is_err());
        assert!(allowed(&[], false).expect("nothing to block").is_empty());
    }

    #[test]
    fn localhost_is_here_by_any_of_its_names() {
        for name in ["localhost", "LOCALHOST", "localhost.", "api.localhost"] {
            assert!(is_localhost(name), "{name}");
        }
        assert!(!is_localhost("localhost.example.com") && !is_localhost("notlocalhost"));
    }

    #[test]
    fn a_lookup_that_never_ends_keeps_nobody_in_mind_who_has_gone() {
        let resolver = Resolver::default();
        resolver.lock().names.entry("api.example".to_owned()).or_default().asked = true;
        let (_, patient) = resolver.ask("api.example");
        for _ in 0..10_000 {
            drop(resolver.ask("api.example"));
        }
        let waiting = resolver.lock().names["api.example"].waiting.len();
        assert!((1..100).contains(&waiting), "{waiting}");
        let found: Arc<[SocketAddr]> = addresses(&["8.8.8.8"]).into();
        resolver.lock().answered("api.example", &Ok(Arc::clone(&found)));
        let answer = patient.expect("a place for the answer").blocking_recv().expect("sent");
        assert_eq!(answer.expect("found"), found);
    }

    #[test]
    fn a_name_is_looked_up_once_for_all_who_ask_and_its_answer_serves_them_while_it_is_fresh() {
        let resolver = Resolver::default();
        // As if a lookup were running.
        resolver.lock().names.entry("api.example".to_owned()).or_default().asked = true;
        let (first, second) = (resolver.ask("api.example"), resolver.ask("api.example"));
        assert!(first.0.is_none() && second.0.is_none());
        assert!(resolver.lock().queue.is_empty(), "nobody starts another");
        let found: Arc<[SocketAddr]> = addresses(&["8.8.8.8"]).into();
        resolver.lock().answered("api.example", &Ok(Arc::clone(&found)));
        for (_, wait) in [first, second] {
            let answer = wait.expect("a place for the answer").blocking_recv().expect("sent");
            assert_eq!(answer.expect("found"), found);
        }
        let (fresh, wait) = resolver.ask("api.example");
        assert!(fresh.is_some_and(|fresh| fresh == found) && wait.is_none());
    }
}
