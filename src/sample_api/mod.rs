//! The built-in sample API: a small HTTP server whose endpoints behave well or badly, chosen by path.
//!
//! `gatherd demo` shows it, the tests and the benches are run against it. It writes raw bytes to its
//! sockets, because most of what it does (resets, cut bodies, endless headers) no HTTP server library
//! would agree to do. [`MODES`] lists the endpoints and the outcome each should be given.

mod codings;
mod conditional;
mod connection;
mod documents;
mod evidence;
mod faults;
mod modes;
mod oauth;
mod pages;
mod request;
mod respond;
mod stats;
#[cfg(test)]
mod tests;
mod tls;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

pub use modes::{MODES, Mode};
pub use tls::{Certificate, SAMPLE_CA, SAMPLE_CLIENT_CERTIFICATE, SAMPLE_CLIENT_KEY, SAMPLE_SELF_SIGNED_AUTHORITY};

use stats::Stats;
use tls::Door;

/// The token `/guarded` wants to see, as `Authorization: Bearer sample-token`.
pub const SAMPLE_TOKEN: &str = "sample-token";

/// The `client_id` that `/oauth-token` gives tokens to.
pub const SAMPLE_CLIENT_ID: &str = "sample-client";

/// The `client_secret` that goes with [`SAMPLE_CLIENT_ID`].
pub const SAMPLE_CLIENT_SECRET: &str = "sample-client-secret";

/// What the `User-Agent` must start with for `/guarded` to answer.
pub const SAMPLE_USER_AGENT_PREFIX: &str = "gatherd/";

/// How many connections may wait to be accepted: a bench opens a thousand at once.
const BACKLOG: u32 = 4096;

/// How long to leave `accept` alone when it fails, as it does while descriptors are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// A running sample API. Dropping it closes every connection and stops its thread.
pub struct SampleApi {
    addr: SocketAddr,
    scheme: &'static str,
    stats: Arc<Stats>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl SampleApi {
    /// Listens on `listen` (port 0: any free one) and serves on a thread of its own.
    ///
    /// # Errors
    /// When the address cannot be listened on, or the thread or its runtime cannot be made.
    pub fn start(listen: SocketAddr) -> io::Result<SampleApi> {
        Self::serve(listen, Door::Plain)
    }

    /// The same modes over TLS 1.2 or 1.3 with HTTP/1.1, behind `certificate`. A handshake that fails is a
    /// connection without a request.
    ///
    /// # Errors
    /// As [`SampleApi::start`], or when TLS cannot be set up.
    pub fn start_tls(listen: SocketAddr, certificate: Certificate) -> io::Result<SampleApi> {
        Self::serve(listen, Door::behind(certificate)?)
    }

    fn serve(listen: SocketAddr, door: Door) -> io::Result<SampleApi> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let listener = bind(&runtime, listen)?;
        let addr = listener.local_addr()?;
        let stats = Arc::new(Stats::default());
        let (stop, stopped) = oneshot::channel();
        let (scheme, served) = (door.scheme(), Arc::clone(&stats));
        let thread = std::thread::Builder::new().name("sample-api".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, &door, &served) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(SampleApi { addr, scheme, stats, stop: Some(stop), thread: Some(thread) })
    }

    /// The address it listens on, with the port it really got.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The URL of `path` on this server; a leading slash is optional.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        let mut addr = self.addr;
        if addr.ip().is_unspecified() {
            addr.set_ip(match addr.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        format!("{}://{addr}/{}", self.scheme, path.strip_prefix('/').unwrap_or(path))
    }

    /// How many requests have been received so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.stats.requests()
    }

    /// How many connections have been accepted so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.stats.connections()
    }

    /// How many connections are open now.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.stats.open_connections()
    }

    /// How many requests `path` has had, whatever their queries. Of more than 100,000 different paths
    /// only the first are counted.
    #[must_use]
    pub fn requests_to(&self, path: &str) -> u64 {
        self.stats.requests_to(path)
    }

    /// The head of the last request to `path`, as it was sent. Not kept for `/healthy` and `/figures`
    /// and what is below them, which the benches hammer; nor for more than 1,000 different paths.
    #[must_use]
    pub fn last_request(&self, path: &str) -> Option<String> {
        self.stats.last_request(path)
    }

    /// How many requests to `path` were answered with 304 by an endpoint that can be asked whether its
    /// document has changed.
    #[must_use]
    pub fn not_modified(&self, path: &str) -> u64 {
        self.stats.not_modified(path)
    }

    /// The tokens that `/oauth-token` gave out, oldest first; of more than 10,000 the newest.
    #[must_use]
    pub fn tokens(&self) -> Vec<String> {
        self.stats.tokens.issued()
    }

    /// Makes every token that was given out so far invalid, as a request to `/oauth-revoke` does.
    pub fn revoke_tokens(&self) {
        self.stats.tokens.revoke();
    }
}

impl fmt::Debug for SampleApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SampleApi").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Drop for SampleApi {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It fails only when the thread has already ended, which is what is wanted.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            // A panic in there has been printed already; there is nothing left to clean up.
            let _ = thread.join();
        }
    }
}

fn bind(runtime: &Runtime, listen: SocketAddr) -> io::Result<TcpListener> {
    let _context = runtime.enter();
    let socket = if listen.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(listen)?;
    socket.listen(BACKLOG)
}

async fn accept(listener: TcpListener, door: &Door, stats: &Arc<Stats>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => door.let_in(stream, stats.connection()),
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}
