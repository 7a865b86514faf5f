//! Names → addresses that may be connected to. The check is on the addresses that the connection then uses, so a name
//! that changes its answer gains nothing.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::OnceCell;

use super::address::{is_blocked, is_public};

/// For so long an answer is shared: the endpoints of a round ask for the same few names at the same time.
const SHARED: Duration = Duration::from_secs(5);
/// The most names whose answers are kept.
const MOST_NAMES: usize = 4096;

/// All addresses of a name are ones that are never connected to, or not from here.
#[derive(Debug, thiserror::Error)]
#[error("{0} is an address that is never connected to")]
pub struct BlockedAddress(pub IpAddr);

/// An answer in the making, or made.
type Answer = Arc<OnceCell<Vec<SocketAddr>>>;

/// The system's resolver, its answers shared for a short while and without blocked addresses.
#[derive(Clone, Default)]
pub struct Resolver {
    answers: Arc<Mutex<HashMap<String, (Instant, Answer)>>>,
    /// Only public addresses are let through: for redirects that a public server asked for.
    public_only: bool,
}

impl Resolver {
    /// The same answers, public addresses only.
    pub fn public_only(&self) -> Self {
        Self { answers: Arc::clone(&self.answers), public_only: true }
    }

    /// The cell in which the answer for `name` is, or will be.
    fn answer(&self, name: &str) -> Answer {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some((until, answer)) = answers.get(name)
            && now < *until
        {
            return Arc::clone(answer);
        }
        if answers.len() >= MOST_NAMES {
            answers.retain(|_, (until, _)| now < *until);
        }
        let answer = Answer::default();
        if answers.len() < MOST_NAMES {
            answers.insert(name.to_owned(), (now + SHARED, Arc::clone(&answer)));
        }
        answer
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let answer = self.answer(name.as_str());
        let public_only = self.public_only;
        Box::pin(async move {
            // A failure is not kept: whoever waited asks anew.
            let found = answer.get_or_try_init(|| look_up(name.as_str().to_owned())).await?;
            let allowed = allowed(found, public_only)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Asks the system. It blocks, for 10 s and more where name servers are silent, so it has a thread of its own.
async fn look_up(name: String) -> io::Result<Vec<SocketAddr>> {
    let asked = tokio::task::spawn_blocking(move || Ok((name.as_str(), 0).to_socket_addrs()?.collect()));
    asked.await.map_err(io::Error::other)?
}

fn allowed(found: &[SocketAddr], public_only: bool) -> Result<Vec<SocketAddr>, BlockedAddress> {
    let may = |address: &&SocketAddr| !is_blocked(address.ip()) && (!public_only || is_public(address.ip()));
    let allowed: Vec<SocketAddr> = found.iter().filter(may).copied().collect();
    match found.first() {
        Some(first) if allowed.is_empty() => Err(BlockedAddress(first.ip())),
        _ => Ok(allowed),
    }
}
