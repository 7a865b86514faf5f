//! The HTTP API's part of the wiring: where it listens, what it may ask, what is counted.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::start::Actors;
use crate::actors::{Alive, FileReader, Meters};
use crate::clock::Clock;
use crate::config::{Listen, LiveSecret, Server, Settings};
use crate::model::{ClosedRound, JobName, Timestamp};
use crate::web::api::{Api, ConfiguredJobs, Sources};
use crate::web::hosts::Hosts;
use crate::web::status::LastLoad;
use crate::web::{self, Feed, ServerHandle};

/// How long the API may take for its first answer.
const CHECKED_WITHIN: Duration = Duration::from_secs(5);
/// Threads that read the file for the API.
const READERS: usize = 3;
/// How long one question to the file may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// Bounds of the histograms in seconds: a commit takes a millisecond, a round up to ten minutes.
const BUCKETS: [f64; 15] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0];

/// The HTTP API cannot listen where it should.
#[derive(Debug, thiserror::Error)]
pub enum CannotListen {
    /// Not at the config's address.
    #[error(
        "cannot listen at {address}: choose another `listen` under [server], end what uses the port, or turn the API off with listen = false"
    )]
    At {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// Not on the socket that the service manager gave.
    #[error("cannot serve the sockets of the .socket unit: one ListenStream= with an address and a port is served")]
    Given(#[source] io::Error),
    /// It listens, and nothing answers there.
    #[error(
        "the HTTP API at {address} does not answer: the system may be short of threads or descriptors (ulimit -u and -n, TasksMax= and LimitNOFILE=)"
    )]
    Unanswered {
        /// The address.
        address: SocketAddr,
        /// What came instead.
        source: io::Error,
    },
    /// The socket that the service manager gave can be reached from elsewhere, and anybody could ask.
    #[error(
        "the .socket unit listens at {0}: elsewhere than on loopback a `token` is required under [server] in the config"
    )]
    WithoutToken(SocketAddr),
}

impl CannotListen {
    /// Whether the address is one that this system does not give, or should not, rather than the system being short of
    /// something.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        use io::ErrorKind::{AddrInUse, AddrNotAvailable, PermissionDenied};
        match self {
            Self::At { source, .. } => [AddrInUse, AddrNotAvailable, PermissionDenied].contains(&source.kind()),
            Self::Given(_) | Self::WithoutToken(_) => true,
            Self::Unanswered { .. } => false,
        }
    }
}

/// The API before the actors are there: what can fail has not failed.
pub struct Prepared {
    listener: TcpListener,
    token: Option<LiveSecret>,
    hosts: Hosts,
    prometheus: PrometheusHandle,
    started: Timestamp,
    /// Measures for `/metrics`.
    pub meters: Meters,
}

/// The API that runs.
pub struct Served {
    address: SocketAddr,
    handle: ServerHandle,
    feed: Feed,
    jobs: ConfiguredJobs,
    last_load: LastLoad,
    meters: Meters,
    prometheus: PrometheusHandle,
    alive: Alive,
    database: PathBuf,
}

/// Takes the address, or the socket that was `given`, and reads the token. `None` when there is to be no API, or its
/// default address is taken.
///
/// # Errors
/// When the config wants an address that cannot be had, or a token that cannot be read.
pub fn prepare(settings: &Settings, given: Option<TcpListener>, clock: &dyn Clock) -> anyhow::Result<Option<Prepared>> {
    let server = &settings.server;
    let token = server.token.as_ref().map(|source| LiveSecret::of(source, settings.folder())).transpose();
    let token = token.context("cannot read the token of [server]")?;
    let Some(listener) = listen(server, given)? else { return Ok(None) };
    let address = listener.local_addr().context("the HTTP API has no address")?;
    let hosts = Hosts::new(address, server.hosts.clone());
    let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS);
    let recorder = builder.context("the histograms have no bounds")?.build_recorder();
    let prometheus = recorder.handle();
    let meters = Meters::new(Arc::new(recorder));
    let jobs = settings.jobs.iter().map(|job| &job.name);
    let started = clock.now().wall;
    meters.start(jobs.collect::<Vec<&JobName>>(), settings.workers, started);
    Ok(Some(Prepared { listener, token, hosts, prometheus, started, meters }))
}

/// The socket that was `given` goes before the config's address.
fn listen(server: &Server, given: Option<TcpListener>) -> anyhow::Result<Option<TcpListener>> {
    let (Listen::Default(address) | Listen::At(address)) = server.listen else {
        if given.is_some() {
            tracing::warn!("the socket of the .socket unit is not used: listen = false in the config");
        }
        return Ok(None);
    };
    if let Some(given) = given {
        let address = given.local_addr().map_err(CannotListen::Given)?;
        anyhow::ensure!(address.ip().is_loopback() || server.token.is_some(), CannotListen::WithoutToken(address));
        return Ok(Some(given));
    }
    match TcpListener::bind(address) {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if matches!(server.listen, Listen::Default(_)) => {
            let advice =
                "no HTTP API: its default address cannot be had; set `listen` under [server], or listen = false";
            tracing::warn!(%address, %error, "{advice}");
            Ok(None)
        }
        Err(source) => Err(CannotListen::At { address, source }.into()),
    }
}

impl Prepared {
    /// Serves the API within the actix system that runs.
    ///
    /// # Errors
    /// When the system gives no threads for it.
    pub fn serve(self, settings: &Settings, actors: &Actors) -> anyhow::Result<Served> {
        let address = self.listener.local_addr().context("the HTTP API has no address")?;
        let (feed, prometheus, alive) = (Feed::default(), self.prometheus.clone(), actors.alive.clone());
        let sources = Sources {
            file: FileReader::start(READERS, &actors.database, DEADLINE, web::LARGEST_ANSWER)?.recipient(),
            jobs: actors.scheduler.clone().recipient(),
            start: actors.scheduler.clone().recipient(),
            fetcher: actors.fetcher.clone().recipient(),
            storage: actors.storage.clone().recipient(),
            writes: Arc::clone(&actors.writes),
            alive: Box::new(move || alive.count()),
            database: actors.database.clone(),
            metrics: Box::new(move || prometheus.render()),
        };
        let api = Api::new(settings, self.token, self.hosts, feed.clone(), sources, self.started);
        let (jobs, last_load) = (api.jobs.clone(), api.last_load.clone());
        let handle = web::serve(self.listener, api).context("cannot serve the HTTP API")?;
        tracing::info!(%address, "listening: API at /api/v1, its description at /api/docs, /metrics, /healthz, /readyz");
        let served = Served {
            address,
            handle,
            feed,
            jobs,
            last_load,
            meters: self.meters,
            prometheus: self.prometheus,
            alive: actors.alive.clone(),
            database: actors.database.clone(),
        };
        measure(Some(&served));
        Ok(served)
    }
}

impl Served {
    /// Asks it something, as a client does: its threads may have died for want of memory or descriptors. That a machine has
    /// no way to its own address says nothing about them.
    ///
    /// # Errors
    /// When there is no answer within five seconds, twice: the whole process may have stood still meanwhile.
    pub async fn check(&self) -> Result<(), CannotListen> {
        use io::ErrorKind::{AddrNotAvailable, HostUnreachable, NetworkDown, NetworkUnreachable, TimedOut};
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
        }
        let mut answered = answers(address).await;
        if answered.as_ref().is_err_and(|error| error.kind() == TimedOut) {
            answered = answers(address).await;
        }
        match answered {
            Err(error)
                if [AddrNotAvailable, HostUnreachable, NetworkDown, NetworkUnreachable].contains(&error.kind()) =>
            {
                tracing::warn!(%address, %error, "the API cannot be tried from here");
                Ok(())
            }
            answered => answered.map_err(|source| CannotListen::Unanswered { address, source }),
        }
    }

    /// Shows the jobs of another config from now on.
    pub fn reload(&self, settings: &Settings) {
        self.jobs.set(settings);
    }

    /// The config was read again at `at`, and is in use or refused.
    pub fn reloaded(&self, well: bool, at: Timestamp) {
        self.last_load.tried(well, at);
    }
}

/// Whether what listens at `address` answers in time.
async fn answers(address: SocketAddr) -> io::Result<()> {
    let asked = async {
        let mut connection = TcpStream::connect(address).await?;
        connection.write_all(format!("GET /healthz HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
        connection.read_exact(&mut [0; "HTTP/1".len()]).await.map(drop)
    };
    tokio::time::timeout(CHECKED_WITHIN, asked).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Tells those who listen, if somebody does, of a round that is stored.
pub fn publish(served: Option<&Served>, round: &ClosedRound) {
    if let Some(served) = served {
        served.feed.publish(round);
    }
}

/// Looks at what nobody reports, and folds what was measured into the histograms.
pub fn measure(served: Option<&Served>) {
    let Some(served) = served else { return };
    let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    let mut log = served.database.clone().into_os_string();
    log.push("-wal");
    served.meters.database(bytes(&served.database), bytes(Path::new(&log)));
    served.meters.alive(served.alive.count());
    served.prometheus.run_upkeep();
}

/// Ends streams, and gives answers that are being sent a second.
pub async fn stop(served: Option<Served>) {
    if let Some(served) = served {
        served.feed.close();
        served.handle.stop(true).await;
    }
}
