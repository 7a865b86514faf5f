//! A request made ready: everything that is the same for each attempt is done once.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::blocking::{self, Client};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use reqwest::{Method, StatusCode, Url};
use url::Host;

use super::client::{ClientError, Clients, Way};
use super::coding::ACCEPTED;
use super::resolver::is_localhost;
use crate::config::{Auth, Endpoint, ErrorIf, Job, Proxy, RequestSettings, Secret, SecretError};
use crate::model::Layout;

/// One endpoint's request, ready to be sent any number of times.
pub struct Request {
    client: Client,
    /// Follows the redirects of public servers: to public addresses only.
    public_client: Option<Client>,
    method: Method,
    pub(super) url: Url,
    headers: HeaderMap,
    json: Option<Arc<str>>,
    /// The statuses that carry data; `None` is any 2xx.
    success: Option<Vec<u16>>,
    /// What in a document means failure.
    pub(super) error_if: Option<ErrorIf>,
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
    /// The token or password cannot be read.
    #[error("job {job:?}, endpoint {endpoint:?}: no secret")]
    Secret {
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
            let (request, secret) = match known {
                Some(known) => known,
                None => {
                    let read = endpoint.request.auth.as_ref().map(|auth| auth.secret().read(folder)).transpose();
                    let secret = read.map_err(|source| RequestError::Secret {
                        job: job.name.to_string(),
                        endpoint: endpoint.label.name.clone(),
                        source,
                    })?;
                    (Arc::clone(&endpoint.request), secret)
                }
            };
            requests.push(Arc::new(Request::new(endpoint, secret.as_ref(), folder, clients)?));
            last = Some((request, secret));
        }
        Ok(Self { layout: Arc::new(job.layout()), requests })
    }
}

impl Request {
    /// Makes one endpoint's request ready. `secret` is sent as the endpoint's `auth` says, or as `Authorization:
    /// Bearer` (RFC 6750) where it says nothing. Relative certificate files are looked for in `folder`.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(
        endpoint: &Endpoint,
        secret: Option<&Secret>,
        folder: &Path,
        clients: &mut Clients,
    ) -> Result<Self, ClientError> {
        let settings = &endpoint.request;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*;q=0.5"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(ACCEPTED));
        headers.insert(USER_AGENT, settings.user_agent.clone());
        if settings.json.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, value) in &settings.headers {
            headers.insert(name, value.clone());
        }
        let way = Way {
            connect_timeout: settings.connect_timeout,
            public_only: false,
            ca_file: settings.ca_file.clone(),
            identity: settings.identity.clone(),
            proxy: proxy(settings, &endpoint.url),
        };
        let client = clients.get(&way, folder)?;
        let public_only = Way { public_only: true, ..way };
        let public_client = if settings.redirects > 0 { Some(clients.get(&public_only, folder)?) } else { None };
        if let (Some(secret), Some(Auth::Token { header, scheme, .. })) = (secret, &settings.auth) {
            headers.insert(header, secret.header(scheme));
        } else if let (Some(secret), None) = (secret, &settings.auth) {
            headers.insert(AUTHORIZATION, secret.header(&HeaderValue::from_static("Bearer")));
        }
        // The builder turns userinfo in the URL into basic authentication, unless a header says otherwise.
        let url = with_query(&endpoint.url, &settings.query);
        let mut request = client.request(settings.method.clone(), url).headers(headers);
        if let (Some(secret), Some(Auth::Basic { user, .. })) = (secret, &settings.auth) {
            request = request.basic_auth(user, Some(secret.expose()));
        }
        let built = request.build().map_err(ClientError::new)?;
        Ok(Self {
            client,
            public_client,
            redirects: settings.redirects,
            method: settings.method.clone(),
            json: settings.json.as_deref().map(Arc::from),
            success: settings.success.clone(),
            error_if: settings.error_if.clone(),
            url: built.url().clone(),
            headers: built.headers().clone(),
            timeout: settings.timeout,
            max_body: settings.max_body,
            retries: settings.retries,
        })
    }

    /// Whether an answer with this status carries data.
    pub(super) fn is_success(&self, status: StatusCode) -> bool {
        self.success.as_ref().map_or(status.is_success(), |statuses| statuses.contains(&status.as_u16()))
    }

    /// Sends the request to `url` and waits for the head of the answer; all of it has to come within `timeout`.
    /// `public_only` is whether only public addresses may be connected to.
    pub(super) fn send(&self, url: &Url, timeout: Duration, public_only: bool) -> reqwest::Result<blocking::Response> {
        let mut request = blocking::Request::new(self.method.clone(), url.clone());
        if let Some(json) = &self.json {
            *request.body_mut() = Some(json.to_string().into());
        }
        request.headers_mut().clone_from(&self.headers);
        *request.timeout_mut() = Some(timeout);
        let client = self.public_client.as_ref().filter(|_| public_only).unwrap_or(&self.client);
        client.execute(request)
    }
}

/// `url` with `query` behind the parameters that it has.
fn with_query(url: &Url, query: &[(String, String)]) -> Url {
    let mut url = url.clone();
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
}

/// The environment's proxies are for the world outside: what listens on this machine is asked directly.
fn proxy(settings: &RequestSettings, url: &Url) -> Proxy {
    let here = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        Some(Host::Domain(name)) => is_localhost(name),
        None => false,
    };
    if here && settings.proxy == Proxy::Environment { Proxy::None } else { settings.proxy.clone() }
}
