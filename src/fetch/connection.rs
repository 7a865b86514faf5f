//! How connections come about: when a name was found, when TCP stood, when TLS began. The HTTP library tells only that
//! a request failed; people ask where it got stuck.
//!
//! All of it happens in one task of the library's runtime, so a task-local value carries the observation from the
//! connector through the resolver and the TLS library. Whom a connection is made for is found out in
//! [`asking`](super::asking).

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use tower::{Layer, Service, ServiceExt as _};

use super::asking::Connections;
use crate::model::{Outcome, Phase, Phases};

tokio::task_local! {
    static CONNECTING: Arc<Mutex<Trace>>;
}

/// A connection that was made for a request.
#[derive(Clone, Debug)]
pub struct Made(Arc<Mutex<Trace>>);

/// How one connection came about.
#[derive(Clone, Copy, Debug)]
struct Trace {
    began: Instant,
    lookup: Option<Instant>,
    found: Option<Instant>,
    handshake: Option<Instant>,
    ended: Option<Instant>,
}

impl Made {
    /// One that begins to be made.
    fn begin() -> Self {
        let trace = Trace { began: Instant::now(), lookup: None, found: None, handshake: None, ended: None };
        Self(Arc::new(Mutex::new(trace)))
    }

    /// How far it had come `at` this moment, with the times of its phases. Where the answer came over another one that
    /// became free meanwhile, the library goes on to make it.
    pub fn connecting(&self, at: Instant) -> Connecting {
        lock(&self.0).connecting(at)
    }
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
    fn connecting(&self, at: Instant) -> Connecting {
        let [lookup, found, handshake, ended] =
            [self.lookup, self.found, self.handshake, self.ended].map(|time| time.filter(|&time| time <= at));
        let end = ended.unwrap_or(at);
        let dns = lookup.map(|began| found.unwrap_or(end) - began);
        let searching = lookup.is_some() && found.is_none();
        let tcp = (!searching).then(|| handshake.unwrap_or(end) - found.unwrap_or(self.began));
        let tls = handshake.map(|began| end - began);
        let reached = match (searching, handshake) {
            (true, _) => Phase::Dns,
            (false, None) => Phase::Connect,
            (false, Some(_)) => Phase::Tls,
        };
        Connecting { ended, phases: Phases { dns, connect: tcp, tls, ..Phases::until(reached) } }
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

/// The server, as [`asking`](super::asking) names it, of the URL that stands somewhere in `text`, with at least `/` for its
/// path.
fn name_in(text: &str) -> Option<&str> {
    let text = &text[text.find("http")?..];
    let host = text.find("://")? + 3;
    let length = text[host..].find('/')?;
    Some(&text[..host + length])
}

/// Observes each connection that the connector beneath makes. The library clones what it connects with six times for each
/// request, and hardly ever connects: all of it is shared until it is needed, under a count of its own, because that of
/// [`Connections`] lies beside a lock that all workers take.
#[derive(Debug)]
pub struct Observed<S>(Arc<(Connections, S)>);

impl<S> Clone for Observed<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Layer<S> for Connections {
    type Service = Observed<S>;

    fn layer(&self, connector: S) -> Observed<S> {
        Observed(Arc::new((self.clone(), connector)))
    }
}

impl<S, T> Service<T> for Observed<S>
where
    T: Debug + Send + 'static,
    S: Service<T> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        // Whether the connector is ready is asked where it connects.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: T) -> Self::Future {
        // The library hides the target's type, but not its Debug form, which has the URL in it. Should that change,
        // times are missing, nothing else.
        let (connections, connector) = &*self.0;
        let Made(trace) = connections.begin(name_in(&format!("{target:?}")), Made::begin());
        let connect = connector.clone().oneshot(target);
        Box::pin(CONNECTING.scope(Arc::clone(&trace), async move {
            let connected = connect.await;
            lock(&trace).ended = Some(Instant::now());
            connected
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::Url;

    use super::super::asking::name;
    use super::*;

    #[test]
    fn a_server_is_named_alike_by_a_url_and_by_what_the_library_shows() {
        for (url, server) in [
            ("http://127.0.0.1:8080/a/b?from=http://other.example/", "http://127.0.0.1:8080"),
            ("https://API.example:443", "https://api.example"),
            ("http://[::1]:80/", "http://[::1]"),
            ("http://[::1]:8080/?a=(b)", "http://[::1]:8080"),
            ("http://a(b).example/", "http://a(b).example"),
        ] {
            let url = Url::parse(url).expect("a URL");
            assert_eq!(name(&url), server);
            assert_eq!(name_in(&format!("Unnameable({url})")), Some(server));
        }
        assert_eq!(name_in("Unnameable"), None);
    }

    #[test]
    fn a_connection_that_stood_only_after_the_answer_is_told_as_it_was_then() {
        let url = Url::parse("http://a.example/").expect("a URL");
        let connections = Connections::default();
        let (asking, _) = connections.ask(&url);
        let Made(trace) = connections.begin(Some(name(&url)), Made::begin());
        let made = asking.answered().expect("the connection that was made");
        let (began, answered) = (lock(&trace).began, Instant::now());
        lock(&trace).ended = Some(answered + Duration::from_secs(1));
        let found = phases(Some(made.connecting(answered)), Phase::Body, began, answered);
        assert_eq!((found.connect, found.headers), (Some(answered - began), Some(answered - began)));
    }
}
