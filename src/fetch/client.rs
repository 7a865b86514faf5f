//! HTTP clients, one for each way to connect.

use std::collections::HashMap;
use std::time::Duration;

use reqwest::blocking::{Client, ClientBuilder};
use reqwest::redirect::Policy;

use super::fault;

/// The clients of all requests. reqwest fixes some settings for each client instead of each request, so there is
/// one client for each combination in use; it holds the connections that are kept alive and one background thread.
#[derive(Debug, Default)]
pub struct Clients(HashMap<Duration, Client>);

/// A client cannot be made: no TLS roots, out of threads.
#[derive(Debug, thiserror::Error)]
#[error("cannot make an HTTP client")]
pub struct ClientError(#[source] reqwest::Error);

impl ClientError {
    pub(super) fn new(error: reqwest::Error) -> Self {
        Self(error.without_url())
    }
}

/// A machine without a single CA certificate, such as a bare container, can still fetch http.
fn build(connect_timeout: Duration) -> Result<Client, ClientError> {
    builder(connect_timeout).build().or_else(|error| {
        let client = builder(connect_timeout).tls_certs_only([]).build().map_err(ClientError::new)?;
        let error = fault::innermost(&error);
        tracing::warn!(%error, "https will fail: install ca-certificates, or name a bundle in SSL_CERT_FILE");
        Ok(client)
    })
}

fn builder(connect_timeout: Duration) -> ClientBuilder {
    Client::builder()
        .connect_timeout(connect_timeout)
        // The total is set for each request: only that one covers the body.
        .timeout(None)
        .redirect(Policy::none())
        .referer(false)
        .tcp_nodelay(true)
}

impl Clients {
    /// The client that gives up connecting after `connect_timeout`. Not to be called in async code: it blocks.
    pub(super) fn get(&mut self, connect_timeout: Duration) -> Result<Client, ClientError> {
        if let Some(client) = self.0.get(&connect_timeout) {
            return Ok(client.clone());
        }
        let client = build(connect_timeout)?;
        self.0.insert(connect_timeout, client.clone());
        Ok(client)
    }
}
