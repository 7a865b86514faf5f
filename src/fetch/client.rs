//! HTTP clients, one for each way to connect.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Certificate;
use reqwest::blocking::{Client, ClientBuilder};
use reqwest::redirect::Policy;

use super::fault;
use super::resolver::Resolver;
use crate::config::{Identity, Proxy};

/// The clients of all requests. reqwest fixes some settings for each client instead of each request, so there is
/// one client for each combination in use; it holds the connections that are kept alive and one background thread.
#[derive(Default)]
pub struct Clients {
    clients: HashMap<Way, Client>,
    resolver: Resolver,
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
    #[error("{path} does not hold {what}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// Why it does not.
        source: reqwest::Error,
    },
}

impl ClientError {
    pub(super) fn new(error: reqwest::Error) -> Self {
        Self::Client(error.without_url())
    }
}

impl Clients {
    /// The client that connects in this way; relative files are looked for in `folder`. Not to be called in async
    /// code: it blocks.
    pub(super) fn get(&mut self, way: &Way, folder: &Path) -> Result<Client, ClientError> {
        if let Some(client) = self.clients.get(way) {
            return Ok(client.clone());
        }
        let resolver = if way.public_only { self.resolver.public_only() } else { self.resolver.clone() };
        let client = build(way, &Arc::new(resolver), folder)?;
        self.clients.insert(way.clone(), client.clone());
        Ok(client)
    }
}

/// A machine without a single CA certificate, such as a bare container, can still fetch http.
fn build(way: &Way, resolver: &Arc<Resolver>, folder: &Path) -> Result<Client, ClientError> {
    builder(way, resolver, folder)?.build().or_else(|error| {
        let client = builder(way, resolver, folder)?.tls_certs_only([]).build().map_err(ClientError::new)?;
        let error = fault::innermost(&error);
        tracing::warn!(%error, "https will fail: install ca-certificates, or name a bundle in SSL_CERT_FILE");
        Ok(client)
    })
}

fn builder(way: &Way, resolver: &Arc<Resolver>, folder: &Path) -> Result<ClientBuilder, ClientError> {
    let mut builder = Client::builder()
        .connect_timeout(way.connect_timeout)
        // The total is set for each request: only that one covers the body.
        .timeout(None)
        // Followed by our own rule, if at all.
        .redirect(Policy::none())
        .referer(false)
        .tcp_nodelay(true)
        .dns_resolver(Arc::clone(resolver));
    if let Some(file) = &way.ca_file {
        let path = folder.join(file);
        let wrong = |source| ClientError::Pem { path: path.clone(), what: "PEM certificates", source };
        let certificates = Certificate::from_pem_bundle(&read(&path)?).map_err(wrong)?;
        builder = builder.tls_certs_merge(certificates);
    }
    if let Some(identity) = &way.identity {
        let (certificate, key) = (folder.join(&identity.certificate), folder.join(&identity.key));
        let pem = [read(&certificate)?, read(&key)?].join(&b'\n');
        let what = "a PEM certificate that goes with the key";
        let wrong = |source| ClientError::Pem { path: certificate, what, source };
        builder = builder.identity(reqwest::Identity::from_pem(&pem).map_err(wrong)?);
    }
    Ok(match &way.proxy {
        Proxy::Environment => builder,
        Proxy::None => builder.no_proxy(),
        Proxy::Through(url) => builder.proxy(reqwest::Proxy::all(url.clone()).map_err(ClientError::new)?),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, ClientError> {
    std::fs::read(path).map_err(|source| ClientError::File { path: path.to_owned(), source })
}
