//! HTTP clients, one for each way to connect.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::blocking::{Client, ClientBuilder};
use reqwest::redirect::Policy;

use super::fault;
use super::resolver::Resolver;

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
    /// The time until a connection stands.
    pub connect_timeout: Duration,
    /// Whether only public addresses are connected to.
    pub public_only: bool,
}

/// A client cannot be made: no TLS roots, out of threads.
#[derive(Debug, thiserror::Error)]
#[error("cannot make an HTTP client")]
pub struct ClientError(#[source] reqwest::Error);

impl ClientError {
    pub(super) fn new(error: reqwest::Error) -> Self {
        Self(error.without_url())
    }
}

impl Clients {
    /// The client that connects in this way. Not to be called in async code: it blocks.
    pub(super) fn get(&mut self, way: &Way) -> Result<Client, ClientError> {
        if let Some(client) = self.clients.get(way) {
            return Ok(client.clone());
        }
        let resolver = if way.public_only { self.resolver.public_only() } else { self.resolver.clone() };
        let client = build(way, &Arc::new(resolver))?;
        self.clients.insert(way.clone(), client.clone());
        Ok(client)
    }
}

/// A machine without a single CA certificate, such as a bare container, can still fetch http.
fn build(way: &Way, resolver: &Arc<Resolver>) -> Result<Client, ClientError> {
    builder(way, resolver).build().or_else(|error| {
        let client = builder(way, resolver).tls_certs_only([]).build().map_err(ClientError::new)?;
        let error = fault::innermost(&error);
        tracing::warn!(%error, "https will fail: install ca-certificates, or name a bundle in SSL_CERT_FILE");
        Ok(client)
    })
}

fn builder(way: &Way, resolver: &Arc<Resolver>) -> ClientBuilder {
    Client::builder()
        .connect_timeout(way.connect_timeout)
        // The total is set for each request: only that one covers the body.
        .timeout(None)
        // Followed by our own rule, if at all.
        .redirect(Policy::none())
        .referer(false)
        .tcp_nodelay(true)
        .dns_resolver(Arc::clone(resolver))
}
