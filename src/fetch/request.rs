//! A request made ready: everything that is the same for each attempt is done once.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::blocking::{self, Client};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, USER_AGENT};
use reqwest::{Method, Url};

use super::client::{ClientError, Clients, Way};
use crate::config::{Endpoint, Job, Secret, SecretError};
use crate::model::Layout;

/// One endpoint's request, ready to be sent any number of times.
pub struct Request {
    client: Client,
    /// Follows the redirects of public servers: to public addresses only.
    public_client: Option<Client>,
    pub(super) url: Url,
    headers: HeaderMap,
    /// Redirects that are followed.
    pub(super) redirects: u32,
    /// One attempt, from connect to the last byte.
    pub timeout: Duration,
    /// The largest body in bytes, after decompression.
    pub max_body: u64,
    /// Further attempts after the first.
    pub retries: u32,
}

/// A job with its requests ready.
pub struct PreparedJob {
    /// The ordered endpoints.
    pub layout: Arc<Layout>,
    /// Their requests, in the same order.
    pub requests: Vec<Arc<Request>>,
}

/// A request cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The token cannot be read.
    #[error("job {job:?}, endpoint {endpoint:?}: no token")]
    Token {
        /// The job.
        job: String,
        /// The endpoint's name.
        endpoint: String,
        /// Why.
        source: SecretError,
    },
    /// No client.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl PreparedJob {
    /// Makes the requests of `job` ready; relative secret files are looked for in `folder`.
    ///
    /// # Errors
    /// When a token cannot be read, or no HTTP client can be made.
    pub fn new(job: &Job, folder: &Path, clients: &mut Clients) -> Result<Self, RequestError> {
        let mut requests = Vec::with_capacity(job.endpoints.len());
        // Endpoints that ask alike share their settings, and so the secret that was read for them.
        let mut last: Option<(Arc<_>, Option<Secret>)> = None;
        for endpoint in &job.endpoints {
            let known = last.take().filter(|(request, _)| Arc::ptr_eq(request, &endpoint.request));
            let (request, token) = match known {
                Some(known) => known,
                None => {
                    let read = endpoint.request.token.as_ref().map(|source| source.read(folder)).transpose();
                    let token = read.map_err(|source| RequestError::Token {
                        job: job.name.to_string(),
                        endpoint: endpoint.label.name.clone(),
                        source,
                    })?;
                    (Arc::clone(&endpoint.request), token)
                }
            };
            requests.push(Arc::new(Request::new(endpoint, token.as_ref(), clients)?));
            last = Some((request, token));
        }
        Ok(Self { layout: Arc::new(job.layout()), requests })
    }
}

impl Request {
    /// Makes one endpoint's request ready. `token` is sent as `Authorization: Bearer` (RFC 6750).
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(endpoint: &Endpoint, token: Option<&Secret>, clients: &mut Clients) -> Result<Self, ClientError> {
        let settings = &endpoint.request;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*;q=0.5"));
        headers.insert(USER_AGENT, settings.user_agent.clone());
        headers.extend(settings.headers.iter().cloned());
        if let Some(token) = token {
            headers.insert(AUTHORIZATION, token.bearer());
        }
        let way = Way { connect_timeout: settings.connect_timeout, public_only: false };
        let client = clients.get(&way)?;
        let public_only = Way { public_only: true, ..way };
        let public_client = if settings.redirects > 0 { Some(clients.get(&public_only)?) } else { None };
        // The builder turns userinfo in the URL into basic authentication, unless a header says otherwise.
        let built = client.get(endpoint.url.clone()).headers(headers).build().map_err(ClientError::new)?;
        Ok(Self {
            client,
            public_client,
            redirects: settings.redirects,
            url: built.url().clone(),
            headers: built.headers().clone(),
            timeout: settings.timeout,
            max_body: settings.max_body,
            retries: settings.retries,
        })
    }

    /// Sends the request to `url` and waits for the head of the answer; all of it has to come within `timeout`.
    /// `public_only` is whether only public addresses may be connected to.
    pub(super) fn send(&self, url: &Url, timeout: Duration, public_only: bool) -> reqwest::Result<blocking::Response> {
        let mut request = blocking::Request::new(Method::GET, url.clone());
        request.headers_mut().clone_from(&self.headers);
        *request.timeout_mut() = Some(timeout);
        let client = self.public_client.as_ref().filter(|_| public_only).unwrap_or(&self.client);
        client.execute(request)
    }
}
