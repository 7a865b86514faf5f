//! A request made ready: everything that is the same for each attempt is done once, the rest is filled in for each.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use reqwest::blocking::{self, Client};
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use reqwest::{Method, StatusCode, Url};
use serde_json::Value;
use url::{Host, form_urlencoded};

use super::attempt::Ask;
use super::client::{ClientError, Clients, CredentialsError, Way};
use super::coding::ACCEPTED;
use super::conditional;
use super::connection::Connections;
use super::credentials::{Credentials, basic, basic_secrets};
use super::pages::Target;
use super::redact::Redactor;
use super::resolver::is_localhost;
use crate::config::{
    Endpoint, ErrorIf, Escape, Field, Job, Moments, Pages, Proxy, RequestSettings, Secret, SecretError, Template,
    names_a_secret,
};
use crate::model::{Detail, Layout};

/// One endpoint's request, ready to be sent any number of times.
pub struct Request {
    client: Client,
    /// Follows the redirects of public servers: to public addresses only.
    public_client: Option<Client>,
    pub(super) connections: Connections,
    pub(super) credentials: Option<Arc<Credentials>>,
    method: Method,
    url: Url,
    headers: HeaderMap,
    /// What in it is secret beside the credentials.
    secrets: Vec<String>,
    changing: Changing,
    /// The statuses that carry data; `None` is any 2xx.
    success: Option<Vec<u16>>,
    /// What in a document means failure.
    pub(super) error_if: Option<ErrorIf>,
    /// Redirects that are followed.
    pub(super) redirects: u32,
    /// How the parts of an answer in pages are found.
    pub(super) pages: Option<Pages>,
    /// Whether the last document may be asked for by its version.
    conditional: bool,
    /// Whether it asks for the due of the last success.
    pub asks_for_last_ok: bool,
    /// The host with its port.
    pub host: Arc<str>,
    /// The most requests in flight at the host.
    pub max_per_host: Option<usize>,
    /// The least time between two requests to the host.
    pub rate: Option<Duration>,
    /// One attempt, from connect to the last byte.
    pub timeout: Duration,
    /// The largest body in bytes, after decompression; of all pages together.
    pub max_body: u64,
    /// Further attempts after the first.
    pub retries: u32,
}

/// What is filled in for each attempt.
struct Changing {
    url: Option<Template>,
    query: Vec<(String, Field)>,
    headers: Vec<(HeaderName, Field)>,
    json: Option<Field>,
}

impl Changing {
    fn asks_for_last_ok(&self) -> bool {
        let values = self.query.iter().map(|(_, value)| value).chain(self.headers.iter().map(|(_, value)| value));
        self.url.as_ref().is_some_and(Template::asks_for_last_ok)
            || self.json.iter().chain(values).any(Field::asks_for_last_ok)
    }
}

/// What one attempt sends.
pub struct Call {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) json: Option<String>,
    /// What validators belong to; `None` where there can be none.
    pub(super) fingerprint: Option<u64>,
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
        let request = |endpoint: &Endpoint| {
            Request::new(endpoint, None, folder, clients).map(Arc::new).map_err(|error| match error {
                CredentialsError::Client(error) => RequestError::Client(error),
                CredentialsError::Secret(source) => {
                    RequestError::Secret { job: job.name.to_string(), endpoint: endpoint.label.name.clone(), source }
                }
            })
        };
        let requests = job.endpoints.iter().map(request).collect::<Result<_, _>>()?;
        Ok(Self { layout: Arc::new(job.layout()), requests })
    }
}

impl Request {
    /// Makes one endpoint's request ready. It asks as the endpoint's `auth` says; where it says nothing, with `token` as
    /// `Authorization: Bearer` (RFC 6750). Relative files are looked for in `folder`.
    ///
    /// # Errors
    /// When a secret cannot be read, or no HTTP client can be made.
    pub fn new(
        endpoint: &Endpoint,
        token: Option<&Secret>,
        folder: &Path,
        clients: &mut Clients,
    ) -> Result<Self, CredentialsError> {
        let settings = &endpoint.request;
        let way = Way {
            connect_timeout: settings.connect_timeout,
            public_only: false,
            ca_file: settings.ca_file.clone(),
            identity: settings.identity.clone(),
            proxy: proxy(settings, &endpoint.url),
        };
        let client = clients.get(&way, folder)?;
        let credentials = match &settings.auth {
            Some(auth) => Some(clients.credentials(auth, &way, &settings.user_agent, folder)?),
            None => token.map(|token| Arc::new(Credentials::bearer(token))),
        };
        let mut secrets = proxy_secrets(&way.proxy);
        let public_only = Way { public_only: true, ..way };
        let public_client = if settings.redirects > 0 { Some(clients.get(&public_only, folder)?) } else { None };
        let (fixed, changing) = settings.headers.iter().cloned().partition(|(_, value)| value.fixed().is_some());
        let mut headers = headers(settings, fixed);
        let (url, userinfo) = without_userinfo(&endpoint.url);
        secrets.extend(own_secrets(&url, &headers, settings));
        if let Some((user, password)) = userinfo {
            headers.entry(AUTHORIZATION).or_insert_with(|| basic(&user, &password));
            secrets.extend(basic_secrets(&user, &password));
        }
        let conditional = settings.conditional && settings.method == Method::GET;
        let changing = Changing {
            url: endpoint.changing_url.clone(),
            query: settings.query.clone(),
            headers: changing,
            json: settings.json.clone(),
        };
        Ok(Self {
            client,
            public_client,
            connections: clients.connections().clone(),
            credentials,
            method: settings.method.clone(),
            url,
            headers,
            secrets,
            asks_for_last_ok: changing.asks_for_last_ok(),
            changing,
            success: settings.success.clone(),
            error_if: settings.error_if.clone(),
            redirects: settings.redirects,
            pages: settings.pages.clone(),
            conditional: conditional && settings.json.is_none() && settings.pages.is_none(),
            host: Arc::clone(&endpoint.host),
            max_per_host: settings.max_per_host,
            rate: settings.rate,
            timeout: settings.timeout,
            max_body: settings.max_body,
            retries: settings.retries,
        })
    }

    /// Whether an answer with this status carries data.
    pub(super) fn is_success(&self, status: StatusCode) -> bool {
        self.success.as_ref().map_or(status.is_success(), |statuses| statuses.contains(&status.as_u16()))
    }

    /// What is sent at these moments; credentials are not in it yet.
    ///
    /// # Errors
    /// When a block cannot be filled in, with the reason.
    pub(super) fn call(&self, moments: &Moments, ask: &Ask) -> Result<Call, Detail> {
        let told = |problem: String| Detail::new(format!("a block in the request: {problem}"));
        let filled = |field: &'_ Field, escape| field.filled(moments, escape).map(Cow::into_owned).map_err(told);
        let mut headers = self.headers.clone();
        let mut url = match &self.changing.url {
            Some(template) => {
                let text = template.render(moments, Escape::Url).map_err(told)?;
                let url = Url::parse(&text).map_err(|error| told(error.to_string()))?;
                without_userinfo(&url).0
            }
            None => self.url.clone(),
        };
        for (name, value) in &self.changing.query {
            url.query_pairs_mut().append_pair(name, &filled(value, Escape::None)?);
        }
        match ask.gathered.as_ref().map(|gathered| gathered.target()) {
            None | Some(Target::First) => {}
            Some(Target::Url(next)) => url = next.clone(),
            Some(Target::Parameter(name, value)) => set_parameter(&mut url, name, value),
        }
        for (name, value) in &self.changing.headers {
            let value = filled(value, Escape::None)?;
            headers.insert(name, HeaderValue::from_str(&value).map_err(|error| told(error.to_string()))?);
        }
        let json = self.changing.json.as_ref().map(|json| filled(json, Escape::Json)).transpose()?;
        let fingerprint = self.conditional.then(|| conditional::fingerprint(url.as_str(), &headers));
        if let Some(remembered) = ask.remembered.as_ref().filter(|known| Some(known.validators.request) == fingerprint)
        {
            conditional::ask(&remembered.validators, &mut headers);
        }
        Ok(Call { method: self.method.clone(), url, headers, json, fingerprint })
    }

    /// Sends `call` to `url` and waits for the head of the answer; all of it has to come within `timeout`.
    /// `public_only` is whether only public addresses may be connected to.
    pub(super) fn send(
        &self,
        call: &Call,
        url: &Url,
        timeout: Duration,
        public_only: bool,
    ) -> reqwest::Result<blocking::Response> {
        let mut request = blocking::Request::new(call.method.clone(), url.clone());
        if let Some(json) = &call.json {
            *request.body_mut() = Some(json.clone().into());
        }
        request.headers_mut().clone_from(&call.headers);
        *request.timeout_mut() = Some(timeout);
        let client = self.public_client.as_ref().filter(|_| public_only).unwrap_or(&self.client);
        client.execute(request)
    }

    /// Hides what is secret in a request.
    pub(super) fn redactor(&self) -> Arc<Redactor> {
        match &self.credentials {
            Some(credentials) if self.secrets.is_empty() => credentials.redactor(),
            Some(credentials) => Arc::new(Redactor::new(credentials.secrets().iter().chain(&self.secrets))),
            None => Arc::new(Redactor::new(&self.secrets)),
        }
    }
}

/// The values of parameters, headers and members of the body that are named like a secret.
fn own_secrets(url: &Url, headers: &HeaderMap, settings: &RequestSettings) -> Vec<String> {
    let in_url = url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned()));
    let own = settings.query.iter().filter_map(|(name, value)| Some((name.clone(), value.fixed()?.to_owned())));
    let parameters = in_url.chain(own).filter(|(name, _)| names_a_secret(name)).map(|(_, value)| value);
    let sensitive = headers.values().filter(|value| value.is_sensitive());
    let sensitive = sensitive.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let mut secrets: Vec<String> = parameters.chain(sensitive).collect();
    let body = settings.json.as_ref().and_then(Field::fixed);
    if let Some(body) = body.and_then(|body| serde_json::from_str(body).ok()) {
        member_secrets(&body, &mut secrets);
    }
    secrets
}

/// Texts in members of `value` that are named like a secret, at any depth.
fn member_secrets(value: &Value, secrets: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if names_a_secret(name) => secrets.push(text.clone()),
                    other => member_secrets(other, secrets),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| member_secrets(value, secrets)),
        _ => {}
    }
}

/// What proxies are told, and might show in a page of theirs.
fn proxy_secrets(proxy: &Proxy) -> Vec<String> {
    let proxies: Vec<Url> = match proxy {
        Proxy::None => Vec::new(),
        Proxy::Through(url) => vec![url.clone()],
        Proxy::Environment => ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]
            .iter()
            .filter_map(|name| Url::parse(&std::env::var(name).ok()?).ok())
            .collect(),
    };
    let userinfo = proxies.iter().filter_map(|url| without_userinfo(url).1);
    userinfo.flat_map(|(user, password)| basic_secrets(&user, &password)).collect()
}

/// The headers that are the same each time; those that are named like a secret are marked as sensitive.
fn headers(settings: &RequestSettings, own: Vec<(HeaderName, Field)>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*;q=0.5"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(ACCEPTED));
    headers.insert(USER_AGENT, settings.user_agent.clone());
    if settings.json.is_some() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    for (name, value) in own {
        // It was checked with the config.
        if let Some(Ok(mut value)) = value.fixed().map(HeaderValue::from_str) {
            value.set_sensitive(names_a_secret(name.as_str()));
            headers.insert(name, value);
        }
    }
    headers
}

/// `url` as it is sent, and its userinfo as HTTP Basic, as browsers and curl do.
fn without_userinfo(url: &Url) -> (Url, Option<(String, String)>) {
    let mut plain = url.clone();
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let userinfo = (!url.username().is_empty() || url.password().is_some())
        .then(|| (decoded(url.username()), decoded(url.password().unwrap_or_default())));
    // Neither can fail: an http URL has a host.
    let _ = plain.set_username("");
    let _ = plain.set_password(None);
    (plain, userinfo)
}

/// Sets a parameter of `url`; the others stay as they are written.
fn set_parameter(url: &mut Url, name: &str, value: &str) {
    let is_it = |part: &&str| form_urlencoded::parse(part.as_bytes()).next().is_some_and(|(found, _)| found == name);
    let others: Vec<&str> = url.query().unwrap_or_default().split('&').filter(|part| !part.is_empty()).collect();
    let others: Vec<&str> = others.into_iter().filter(|part| !is_it(part)).collect();
    let pair = form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
    let query = others.into_iter().chain([pair.as_str()]).collect::<Vec<_>>().join("&");
    url.set_query(Some(&query));
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
