//! How connections come about: when a name was found, when TCP stood, when TLS began. The HTTP library tells only that
//! a request failed; people ask where it got stuck.
//!
//! All of it happens in one task of the library's runtime, so a task-local value carries the observation from the
//! connector through the resolver and the TLS library. Which request a connection is made for the library does not say:
//! it begins to make one as soon as it is asked, so it is taken for that of the request to its server that was made last
//! and has none yet. Of requests to one server in the same millisecond, one may be given what is another's.

use std::collections::HashMap;
use std::fmt::Debug;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use reqwest::Url;
use tower_layer::Layer;
use tower_service::Service;

use crate::model::{Outcome, Phase, Phases};

/// So long a connection that may be dead is not used. The library closes one that nobody used for 90 s.
const AVOIDED: Duration = Duration::from_mins(2);

/// The most servers that are remembered.
const MOST_SERVERS: usize = 4096;

tokio::task_local! {
    static CONNECTING: Arc<Mutex<Trace>>;
}

/// How one connection came about.
#[derive(Clone, Copy, Debug)]
struct Trace {
    began: Instant,
    lookup: Option<Instant>,
    found: Option<Instant>,
    handshake: Option<Instant>,
    ended: Option<Instant>,
}

/// Who asks each server, and the connections that were made for them.
#[derive(Clone, Debug, Default)]
pub struct Connections(Arc<Mutex<HashMap<String, Server>>>);

/// What is known of a server.
#[derive(Debug, Default)]
struct Server {
    /// Requests that it is asked now, by number, each with the connection that was made for it.
    asking: Vec<(u64, Option<Arc<Mutex<Trace>>>)>,
    /// Requests that it was asked ever, which numbers them.
    asked: u64,
    /// When an answer came last.
    answered: Option<Instant>,
    /// Until then, what it is asked goes over connections of their own.
    avoided: Option<Instant>,
}

/// A request to a server, from its beginning until it is dropped.
#[derive(Debug)]
pub struct Asking {
    connections: Connections,
    server: String,
    began: Instant,
    number: u64,
    /// Whether nobody else asked when it began.
    alone: bool,
}

impl Asking {
    /// Whether the request went through a connection that was there before, or may have: of requests to one server at
    /// the same time, nobody knows who made the connection and who got it.
    pub fn may_have_shared(&self) -> bool {
        let asked = lock(&self.connections.0).get(&self.server).map(|server| server.asked);
        !self.alone || asked != Some(self.number) || self.connecting().is_none()
    }

    /// How far the connection came that was made for the request, with the times of its phases; `None` when there is
    /// none: one that stood already was used.
    pub fn connecting(&self) -> Option<Connecting> {
        let servers = lock(&self.connections.0);
        let mut asking = servers.get(&self.server)?.asking.iter();
        let (_, trace) = asking.find(|(number, _)| *number == self.number)?;
        trace.as_ref().map(|trace| lock(trace).connecting())
    }

    /// Whether the connections to the server are better not used for now.
    pub fn is_to_be_alone(&self) -> bool {
        let servers = lock(&self.connections.0);
        let until = servers.get(&self.server).and_then(|server| server.avoided);
        until.is_some_and(|until| until > self.began)
    }

    /// An answer came.
    pub fn answered(&self) {
        if let Some(server) = lock(&self.connections.0).get_mut(&self.server) {
            server.answered = Some(Instant::now());
        }
    }

    /// No answer came in time. If none came to anybody else meanwhile either, the connection may be dead without a word:
    /// it is left alone for longer than one without use is kept.
    pub fn unanswered(&self) {
        if let Some(server) = lock(&self.connections.0).get_mut(&self.server)
            && server.answered.is_none_or(|answered| answered < self.began)
        {
            server.avoided = Some(Instant::now() + AVOIDED);
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if let Some(server) = lock(&self.connections.0).get_mut(&self.server) {
            server.asking.retain(|(number, _)| *number != self.number);
        }
    }
}

impl Connections {
    /// A request to the server of `url` begins.
    pub fn ask(&self, url: &Url) -> Asking {
        let name = server(url.as_str()).unwrap_or_default();
        let mut servers = lock(&self.0);
        let server = entry(&mut servers, name.clone());
        server.asked += 1;
        let (number, alone) = (server.asked, server.asking.is_empty());
        server.asking.push((number, None));
        Asking { connections: self.clone(), server: name, began: Instant::now(), number, alone }
    }

    fn begin(&self, server: Option<String>) -> Arc<Mutex<Trace>> {
        let now = Instant::now();
        let trace = Trace { began: now, lookup: None, found: None, handshake: None, ended: None };
        let trace = Arc::new(Mutex::new(trace));
        if let Some(name) = server
            && let Some(server) = lock(&self.0).get_mut(&name)
            && let Some((_, made)) = server.asking.iter_mut().rfind(|(_, made)| made.is_none())
        {
            *made = Some(Arc::clone(&trace));
        }
        trace
    }
}

fn entry(servers: &mut HashMap<String, Server>, name: String) -> &mut Server {
    if servers.len() >= MOST_SERVERS && !servers.contains_key(&name) {
        servers.retain(|_, server| !server.asking.is_empty());
    }
    servers.entry(name).or_default()
}

/// What is known of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Connecting {
    /// When it stood or failed.
    pub ended: Option<Instant>,
    /// The phase that it is in or ended in, and the times of those before.
    pub phases: Phases,
}

/// The phases of an attempt that began at `began` and came to `reached`. That of the headers, if it came so far, is from
/// the end of connecting, or from the beginning where a connection stood already, until `answered`.
pub fn phases(connecting: Option<Connecting>, reached: Phase, began: Instant, answered: Instant) -> Phases {
    let before = connecting.map_or(Phases::until(reached), |connecting| Phases { reached, ..connecting.phases });
    let connected = connecting.and_then(|connecting| connecting.ended).unwrap_or(began);
    let headers = (reached >= Phase::Headers).then(|| answered.saturating_duration_since(connected));
    Phases { headers, ..before }
}

/// The same for one that got no answer and ended now, with `outcome`.
pub fn phases_of_unanswered(outcome: Outcome, connecting: Option<Connecting>, began: Instant) -> Phases {
    let reached = match (outcome, &connecting) {
        (Outcome::Dns, _) => Phase::Dns,
        (Outcome::Tls, _) => Phase::Tls,
        (Outcome::Connect | Outcome::BlockedAddress, _) => Phase::Connect,
        (_, Some(connecting)) if connecting.ended.is_none() => connecting.phases.reached,
        _ => Phase::Headers,
    };
    phases(connecting, reached, began, Instant::now())
}

impl Trace {
    fn connecting(&self) -> Connecting {
        let end = self.ended.unwrap_or_else(Instant::now);
        let dns = self.lookup.map(|began| self.found.unwrap_or(end) - began);
        let searching = self.lookup.is_some() && self.found.is_none();
        let tcp = (!searching).then(|| self.handshake.unwrap_or(end) - self.found.unwrap_or(self.began));
        let tls = self.handshake.map(|began| end - began);
        let reached = match (searching, self.handshake) {
            (true, _) => Phase::Dns,
            (false, None) => Phase::Connect,
            (false, Some(_)) => Phase::Tls,
        };
        Connecting { ended: self.ended, phases: Phases { dns, connect: tcp, tls, ..Phases::until(reached) } }
    }
}

fn observe(change: impl FnOnce(&mut Trace, Instant)) {
    // Not set where something else than our connector asks.
    let _ = CONNECTING.try_with(|trace| change(&mut lock(trace), Instant::now()));
}

/// A name is being looked up for the connection that this task makes.
pub fn lookup_begins() {
    observe(|trace, now| trace.lookup = Some(now));
}

/// Its addresses are known.
pub fn lookup_ends() {
    observe(|trace, now| trace.found = Some(now));
}

/// TCP stands, and the TLS handshake begins.
pub fn handshake_begins() {
    observe(|trace, now| trace.handshake = Some(now));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `scheme://host:port` of a URL, wherever in `text` it stands.
fn server(text: &str) -> Option<String> {
    let start = text.find("http")?;
    let url = Url::parse(text[start..].trim_end_matches(')')).ok()?;
    Some(format!("{}://{}:{}", url.scheme(), url.host_str()?, url.port_or_known_default()?))
}

/// Observes each connection that the connector beneath makes.
#[derive(Clone, Debug)]
pub struct Observed<S> {
    connections: Connections,
    connector: S,
}

impl<S> Layer<S> for Connections {
    type Service = Observed<S>;

    fn layer(&self, connector: S) -> Observed<S> {
        Observed { connections: self.clone(), connector }
    }
}

impl<S, T> Service<T> for Observed<S>
where
    T: Debug,
    S: Service<T>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, target: T) -> Self::Future {
        // The library hides the target's type, but not its Debug form, which has the URL in it. Should that change,
        // times are missing, nothing else.
        let trace = self.connections.begin(server(&format!("{target:?}")));
        let connect = self.connector.call(target);
        Box::pin(CONNECTING.scope(Arc::clone(&trace), async move {
            let connected = connect.await;
            lock(&trace).ended = Some(Instant::now());
            connected
        }))
    }
}
