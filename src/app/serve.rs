//! The HTTP API's part of the wiring: where it listens, what it may ask, what is counted.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use actix::Addr;
use anyhow::Context as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::actors::{Alive, Fetcher, FileReader, Meters, Scheduler, Storage};
use crate::clock::Clock;
use crate::config::{Listen, Secret, Settings};
use crate::model::{ClosedRound, JobName};
use crate::web::api::{Api, Sources};
use crate::web::hosts::Hosts;
use crate::web::{self, Feed, ServerHandle};

/// Threads that read the file for the API.
const READERS: usize = 3;
/// How long one question to the file may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// Bounds of the histograms in seconds: a commit takes a millisecond, a round up to ten minutes.
const BUCKETS: [f64; 15] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0];

/// The HTTP API cannot listen where the config wants it.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen at {address}: choose another `listen` under [server], end what uses the port, or turn the API off with listen = false"
)]
pub struct CannotListen {
    address: SocketAddr,
    source: io::Error,
}

impl CannotListen {
    /// Whether the address is one that this system does not give, rather than the system being short of something.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        use io::ErrorKind::{AddrInUse, AddrNotAvailable, PermissionDenied};
        [AddrInUse, AddrNotAvailable, PermissionDenied].contains(&self.source.kind())
    }
}

/// The API before the actors are there: what can fail has not failed.
pub struct Prepared {
    listener: TcpListener,
    token: Option<Secret>,
    hosts: Hosts,
    prometheus: PrometheusHandle,
    /// Measures for `/metrics`.
    pub meters: Meters,
}

/// The API that runs.
pub struct Served {
    handle: ServerHandle,
    feed: Feed,
    meters: Meters,
    prometheus: PrometheusHandle,
    alive: Alive,
    database: PathBuf,
}

/// What the API asks.
pub struct Actors<'a> {
    pub scheduler: &'a Addr<Scheduler>,
    pub fetcher: &'a Addr<Fetcher>,
    pub storage: &'a Addr<Storage>,
    pub alive: &'a Alive,
    pub writes: &'a Arc<AtomicU64>,
    pub database: &'a Path,
}

/// Takes the address and reads the token. `None` when there is to be no API, or its default address is taken.
///
/// # Errors
/// When the config wants an address that cannot be had, or a token that cannot be read.
pub fn prepare(settings: &Settings, clock: &dyn Clock) -> anyhow::Result<Option<Prepared>> {
    let server = &settings.server;
    let token = server.token.as_ref().map(|source| source.read(settings.folder())).transpose();
    let token = token.context("cannot read the token of [server]")?;
    let (Listen::Default(address) | Listen::At(address)) = server.listen else { return Ok(None) };
    let listener = match TcpListener::bind(address) {
        Ok(listener) => listener,
        Err(error) if matches!(server.listen, Listen::Default(_)) => {
            let advice =
                "no HTTP API: its default address cannot be had; set `listen` under [server], or listen = false";
            tracing::warn!(%address, %error, "{advice}");
            return Ok(None);
        }
        Err(source) => return Err(CannotListen { address, source }.into()),
    };
    let hosts = Hosts::new(address, server.hosts.clone());
    let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS);
    let recorder = builder.context("the histograms have no bounds")?.build_recorder();
    let prometheus = recorder.handle();
    let meters = Meters::new(Arc::new(recorder));
    let jobs = settings.jobs.iter().map(|job| &job.name);
    meters.start(jobs.collect::<Vec<&JobName>>(), settings.workers, clock.now().wall);
    Ok(Some(Prepared { listener, token, hosts, prometheus, meters }))
}

impl Prepared {
    /// Serves the API within the actix system that runs.
    ///
    /// # Errors
    /// When the system gives no threads for it.
    pub fn serve(self, settings: &Settings, actors: &Actors<'_>) -> anyhow::Result<Served> {
        let address = self.listener.local_addr().context("the HTTP API has no address")?;
        let (feed, prometheus, alive) = (Feed::default(), self.prometheus.clone(), actors.alive.clone());
        let sources = Sources {
            file: FileReader::start(READERS, actors.database, DEADLINE, web::LARGEST_ANSWER)?.recipient(),
            jobs: actors.scheduler.clone().recipient(),
            start: actors.scheduler.clone().recipient(),
            fetcher: actors.fetcher.clone().recipient(),
            storage: actors.storage.clone().recipient(),
            writes: Arc::clone(actors.writes),
            alive: Box::new(move || alive.count()),
            metrics: Box::new(move || prometheus.render()),
        };
        let api = Api::new(settings, self.token, self.hosts, feed.clone(), sources);
        let handle = web::serve(self.listener, api).context("cannot serve the HTTP API")?;
        tracing::info!(%address, "listening: API at /api/v1, its description at /api/docs, /metrics, /healthz, /readyz");
        let served = Served {
            handle,
            feed,
            meters: self.meters,
            prometheus: self.prometheus,
            alive: actors.alive.clone(),
            database: actors.database.to_owned(),
        };
        measure(Some(&served));
        Ok(served)
    }
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
