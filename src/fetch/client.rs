//! HTTP clients, one for each way to connect.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::blocking::Client;
use reqwest::header::HeaderValue;
use reqwest::redirect::Policy;
use rustc_hash::FxHashMap;
use rustls::ClientConfig;

use super::asking::{Connections, LANE};
use super::common::{Common, is_here, is_tls};
use super::credentials::Credentials;
use super::proxies;
use super::resolver::Resolver;
use super::tls::Trust;
use crate::config::{Auth, Endpoint, Identity, Proxy, RequestSettings, Secret, SecretError};

/// So long nothing may come through an HTTP/2 connection in use until its server is asked for a sign of life, and then so
/// long until it is given up.
const PING: Duration = Duration::from_secs(20);

/// The largest head of an answer over HTTP/2, each header counted with 32 bytes more (RFC 9113, section 6.5.2).
const LARGEST_HTTP2_HEAD: u32 = 512 * 1024;

/// What requests share. reqwest fixes some settings for each client instead of each request, so there is one client for
/// each combination in use; it holds the connections that are kept alive and one background thread. Requests that ask
/// with the same credentials share them, and so the access token that they are exchanged for.
#[derive(Default)]
pub struct Clients {
    by_way: HashMap<Way, Client>,
    http1: HashMap<Way, Arc<Http1>>,
    /// By what they are and what their token endpoint is connected to with, for however long and by whatever name.
    credentials: HashMap<(Auth, Way), Arc<Credentials>>,
    /// What endpoints without credentials of their own ask with.
    token: Option<Arc<Credentials>>,
    /// What endpoints have in common that ask alike, by where their settings are, which are held by it.
    common: FxHashMap<(usize, bool, bool), Arc<Common>>,
    trust: Trust,
    resolver: Resolver,
    connections: Connections,
    /// The most requests in flight.
    workers: usize,
}

/// A way to connect.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Way {
    /// Certificates of authorities that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// The certificate that is shown to the server.
    pub identity: Option<Identity>,
    /// What connections go through.
    pub proxy: Proxy,
    /// The time until a connection stands.
    pub connect_timeout: Duration,
    /// Whether only public addresses are connected to.
    pub public_only: bool,
    /// Whether each request has a connection of its own.
    pub alone: bool,
    /// Tells apart those that are alike but for their connections.
    pub lane: usize,
}

/// All that a client is made of.
#[derive(Clone)]
struct Blueprint {
    tls: ClientConfig,
    resolver: Resolver,
    connections: Connections,
    proxy: Proxy,
    connect_timeout: Duration,
    alone: bool,
}

/// A client that speaks HTTP/1.1 with servers that could do more. It is made when it is needed, which is hardly ever.
pub struct Http1 {
    blueprint: Blueprint,
    /// The one that keeps connections, and the one that does not.
    clients: Mutex<[Option<Client>; 2]>,
}

/// A client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Out of threads or descriptors.
    #[error("cannot make an HTTP client")]
    Client(#[source] reqwest::Error),
    /// A certificate or key cannot be read.
    #[error("cannot read {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path} does not hold {what}: {why}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// Why it does not.
        why: String,
    },
    /// A client certificate does not go with its key.
    #[error("{path} does not go with its key")]
    Identity {
        /// The certificate.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// A proxy that cannot be gone through.
    #[error("{named} names a proxy that cannot be used: {why}")]
    Proxy {
        /// The key or the environment's variable.
        named: &'static str,
        /// Why not.
        why: String,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
}

/// What is wrong with the certificates and the key that `settings` name, each for itself: a client that needs them cannot
/// be made. Relative files are looked for in `folder`.
#[must_use]
pub fn wrong_files(settings: &RequestSettings, folder: &Path) -> Vec<ClientError> {
    let mut trust = Trust::default();
    let ca_file = settings.ca_file.as_ref().map(|file| trust.config(Some(&folder.join(file)), None));
    let identity = settings
        .identity
        .as_ref()
        .map(|Identity { certificate, key }| trust.config(None, Some((&folder.join(certificate), &folder.join(key)))));
    ca_file.into_iter().chain(identity).filter_map(Result::err).collect()
}

impl ClientError {
    /// The file that is wrong, if it is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File { path, .. } | Self::Pem { path, .. } | Self::Identity { path, .. } => Some(path),
            Self::Client(_) | Self::Proxy { .. } | Self::Tls(_) => None,
        }
    }

    pub(super) fn new(error: reqwest::Error) -> Self {
        Self::Client(error.without_url())
    }
}

impl Clients {
    /// Clients whose endpoints ask with `token` as `Authorization: Bearer` (RFC 6750) where they have no credentials of
    /// their own.
    #[must_use]
    pub fn with_token(token: Option<&Secret>) -> Self {
        Self { token: token.map(|token| Arc::new(Credentials::bearer(token))), ..Self::default() }
    }

    /// The same, of which so many workers make use at the same time.
    #[must_use]
    pub fn for_workers(self, workers: usize) -> Self {
        Self { workers, ..self }
    }

    /// How many clients it takes for requests to a server by HTTP/2 not to wait for one another.
    pub(super) fn lanes(&self) -> usize {
        self.workers.div_ceil(LANE).max(1)
    }

    /// The credentials of endpoints that have none of their own.
    pub(super) fn token(&self) -> Option<Arc<Credentials>> {
        self.token.clone()
    }

    /// What `endpoint` has in common with those that ask alike.
    pub(super) fn common(&mut self, endpoint: &Endpoint, folder: &Path) -> Result<Arc<Common>, CredentialsError> {
        let key = (Arc::as_ptr(&endpoint.request).addr(), is_here(&endpoint.url), is_tls(&endpoint.url));
        if let Some(common) = self.common.get(&key) {
            return Ok(Arc::clone(common));
        }
        let common = Arc::new(Common::new(&endpoint.request, &endpoint.url, folder, self)?);
        self.common.insert(key, Arc::clone(&common));
        Ok(common)
    }

    /// The client that connects in this way; relative files are looked for in `folder`. Not to be called in async
    /// code: it blocks.
    pub(super) fn get(&mut self, way: &Way, folder: &Path) -> Result<Client, ClientError> {
        if let Some(client) = self.by_way.get(way) {
            return Ok(client.clone());
        }
        let client = self.blueprint(way, folder)?.build()?;
        self.by_way.insert(way.clone(), client.clone());
        Ok(client)
    }

    /// The credentials of `auth`. An access token for them is asked for in this way, by this name; those who wait for
    /// connections for another time, or call themselves differently, share it.
    pub(super) fn credentials(
        &mut self,
        auth: &Auth,
        way: &Way,
        user_agent: &HeaderValue,
        folder: &Path,
    ) -> Result<Arc<Credentials>, CredentialsError> {
        let key = (auth.clone(), Way { connect_timeout: Duration::ZERO, ..way.clone() });
        if let Some(credentials) = self.credentials.get(&key) {
            return Ok(Arc::clone(credentials));
        }
        let proxy_secrets = proxies::secrets(&way.proxy);
        let client = self.get(way, folder)?;
        let credentials = Arc::new(Credentials::of(auth, client, user_agent, proxy_secrets, folder)?);
        self.credentials.insert(key, Arc::clone(&credentials));
        Ok(credentials)
    }

    /// Makes ready for servers that are spoken to by TLS, in this way.
    pub(super) fn expect_tls(&mut self, way: &Way, folder: &Path) -> Result<(), ClientError> {
        self.trust.expect_tls(way.ca_file.as_ref().map(|file| folder.join(file)).as_deref())
    }

    /// How connections come about.
    pub(super) fn connections(&self) -> &Connections {
        &self.connections
    }

    /// The client that speaks HTTP/1.1 and connects in this way.
    pub(super) fn http1(&mut self, way: &Way, folder: &Path) -> Result<Arc<Http1>, ClientError> {
        if let Some(http1) = self.http1.get(way) {
            return Ok(Arc::clone(http1));
        }
        let mut blueprint = self.blueprint(way, folder)?;
        blueprint.tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let http1 = Arc::new(Http1 { blueprint, clients: Mutex::default() });
        self.http1.insert(way.clone(), Arc::clone(&http1));
        Ok(http1)
    }

    fn blueprint(&mut self, way: &Way, folder: &Path) -> Result<Blueprint, ClientError> {
        let files = |identity: &Identity| (folder.join(&identity.certificate), folder.join(&identity.key));
        let (ca_file, identity) =
            (way.ca_file.as_ref().map(|file| folder.join(file)), way.identity.as_ref().map(files));
        let identity = identity.as_ref().map(|(certificate, key)| (certificate.as_path(), key.as_path()));
        Ok(Blueprint {
            tls: self.trust.config(ca_file.as_deref(), identity)?,
            resolver: if way.public_only { self.resolver.public_only() } else { self.resolver.clone() },
            connections: self.connections.clone(),
            proxy: way.proxy.clone(),
            connect_timeout: way.connect_timeout,
            alone: way.alone,
        })
    }
}

impl Http1 {
    /// The client that keeps connections, or gives each request one of its own, unless the system gives no thread for it. Not
    /// to be called in async code: it blocks.
    pub fn client(&self, alone: bool) -> Option<Client> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let client = &mut clients[usize::from(alone)];
        if client.is_none() {
            *client = Blueprint { alone, ..self.blueprint.clone() }.build().ok();
        }
        client.clone()
    }
}

impl Blueprint {
    fn build(&self) -> Result<Client, ClientError> {
        let builder = Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            .connect_timeout(self.connect_timeout)
            // The total is set for each request: only that one covers the body.
            .timeout(None)
            // Followed by our own rule, if at all.
            .redirect(Policy::none())
            // What is sent again is decided in one place, `redirect`.
            .retry(reqwest::retry::never())
            .referer(false)
            .tcp_nodelay(true)
            .dns_resolver(Arc::new(self.resolver.clone()))
            // A server that went away without a word would otherwise be asked through its connection for ever.
            .http2_keep_alive_interval(PING)
            .http2_keep_alive_timeout(PING)
            // A little more than is taken, which is counted where it is read: the library's own limit is 16 KiB.
            .http2_max_header_list_size(LARGEST_HTTP2_HEAD)
            // Who reads an answer unfolds its headers (RFC 9112, section 5.2).
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .connector_layer(self.connections.clone());
        let builder = if self.alone { builder.pool_max_idle_per_host(0) } else { builder };
        let builder = match &self.proxy {
            Proxy::Environment => builder,
            Proxy::None => builder.no_proxy(),
            Proxy::Through(url) => builder.proxy(reqwest::Proxy::all(url.clone()).map_err(ClientError::new)?),
        };
        builder.build().map_err(ClientError::new)
    }
}

/// Credentials cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The token, password or client secret cannot be read.
    #[error("no secret")]
    Secret(#[from] SecretError),
    /// No client to ask for an access token with.
    #[error("no client")]
    Client(#[from] ClientError),
}
