//! What endpoints that ask alike have in common, made ready once for all of them.

use std::path::Path;
use std::sync::Arc;

use reqwest::blocking::{Client, Request, Response};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use reqwest::{Method, StatusCode, Url};
use url::Host;

use super::asking::Connections;
use super::client::{Clients, CredentialsError, Http1, Way};
use super::coding::ACCEPTED;
use super::credentials::Credentials;
use super::proxies;
use super::resolver::is_localhost;
use crate::config::{Auth, Field, RequestSettings, Secret, names_a_secret};

/// What a request goes over.
#[derive(Clone, Copy, Debug)]
pub enum Over {
    /// Connections that are kept, those with this number, or the last that there are.
    Lane(usize),
    /// A connection of its own.
    Alone,
    /// One of its own, to a public address only: where the redirects of public servers lead.
    PublicOnly,
    /// Connections by HTTP/1.1, or one of its own.
    Http1 {
        /// Whether that is so.
        alone: bool,
    },
}

/// See the module.
pub struct Common {
    /// One for each lane.
    clients: Vec<Client>,
    alone: Client,
    public_only: Option<Client>,
    /// Where TLS can say which version is spoken.
    http1: Option<Arc<Http1>>,
    pub connections: Connections,
    pub credentials: Option<Arc<Credentials>>,
    /// What the settings say of credentials, without secrets.
    pub auth: String,
    pub settings: Arc<RequestSettings>,
    /// Those that are the same each time.
    pub headers: Arc<HeaderMap>,
    /// What proxies are told.
    proxy_secrets: Vec<String>,
    /// Whether the last document may be asked for by its version.
    pub is_conditional: bool,
    /// Whether a block uses `last_ok`.
    pub asks_for_last_ok: bool,
}

impl Common {
    /// What `settings` say, for endpoints that are reached as `url` is: on this machine or elsewhere, by TLS or without.
    pub fn new(
        settings: &Arc<RequestSettings>,
        url: &Url,
        folder: &Path,
        clients: &mut Clients,
    ) -> Result<Self, CredentialsError> {
        let way = Way {
            connect_timeout: settings.connect_timeout,
            public_only: false,
            alone: false,
            lane: 0,
            ca_file: settings.ca_file.clone(),
            identity: settings.identity.clone(),
            proxy: proxies::way_to(url, &settings.proxy),
        };
        let token_url = match &settings.auth {
            Some(Auth::OAuth2(oauth2)) => Some(&oauth2.token_url),
            _ => None,
        };
        for server in [Some(url), token_url].into_iter().flatten() {
            let proxy = proxies::on_the_way_to(server, &settings.proxy)?;
            if is_tls(server) || proxy.as_ref().is_some_and(is_tls) {
                clients.expect_tls(&way, folder)?;
            }
        }
        // Without TLS it is HTTP/1.1, which has a connection for each request.
        let lanes = if is_tls(url) { clients.lanes() } else { 1 };
        let lanes =
            (0..lanes).map(|lane| clients.get(&Way { lane, ..way.clone() }, folder)).collect::<Result<_, _>>()?;
        let http1 = is_tls(url).then(|| clients.http1(&way, folder)).transpose()?;
        let way = Way { alone: true, ..way };
        let alone = clients.get(&way, folder)?;
        let credentials = match &settings.auth {
            Some(auth) => {
                let way = Way { proxy: proxies::way_to(token_url.unwrap_or(url), &settings.proxy), ..way.clone() };
                Some(clients.credentials(auth, &way, &settings.user_agent, folder)?)
            }
            None => clients.token(),
        };
        let proxy_secrets = proxies::secrets(&way.proxy);
        let public_only = Way { public_only: true, ..way };
        let public_only = if settings.redirects > 0 { Some(clients.get(&public_only, folder)?) } else { None };
        let plain = settings.method == Method::GET && settings.json.is_none() && settings.pages.is_none();
        let query = settings.query.iter().map(|(_, value)| value);
        let fields = query.chain(settings.headers.iter().map(|(_, value)| value)).chain(&settings.json);
        Ok(Self {
            clients: lanes,
            alone,
            public_only,
            http1,
            connections: clients.connections().clone(),
            credentials,
            auth: format!("{:?}", settings.auth.as_ref()),
            headers: headers(settings).into(),
            proxy_secrets,
            is_conditional: settings.conditional && plain,
            asks_for_last_ok: fields.into_iter().any(Field::asks_for_last_ok),
            settings: Arc::clone(settings),
        })
    }

    /// Sends `request`. Blocks until the head of the answer is there.
    pub fn send(&self, request: Request, over: Over) -> reqwest::Result<Response> {
        let http1;
        let found = match over {
            Over::Lane(lane) => self.clients.get(lane).or_else(|| self.clients.last()),
            Over::Alone => None,
            Over::PublicOnly => self.public_only.as_ref(),
            Over::Http1 { alone } => {
                // Short of threads, it fails as it did.
                http1 = self.http1.as_ref().and_then(|http1| http1.client(alone));
                http1.as_ref()
            }
        };
        found.unwrap_or(&self.alone).execute(request)
    }

    /// Whether an answer with this status carries data.
    pub fn is_success(&self, status: StatusCode) -> bool {
        let statuses = self.settings.success.as_ref();
        statuses.map_or(status.is_success(), |statuses| statuses.contains(&status.as_u16()))
    }

    /// The secrets that its requests are made of, as they are now, and as they were when `sent` was put into one.
    pub fn secrets(&self, sent: Option<&Secret>) -> Vec<String> {
        let of_credentials = self.credentials.as_ref().map(|credentials| credentials.secrets(sent));
        of_credentials.unwrap_or_default().into_iter().chain(self.proxy_secrets.iter().cloned()).collect()
    }
}

/// Whether `url` leads to this machine.
pub fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        Some(Host::Domain(name)) => is_localhost(name),
        None => false,
    }
}

/// Whether its server is spoken to by TLS.
pub fn is_tls(url: &Url) -> bool {
    url.scheme() == "https"
}

/// The headers that are the same each time; those that are named like a secret are marked as sensitive.
fn headers(settings: &RequestSettings) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*;q=0.5"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(ACCEPTED));
    headers.insert(USER_AGENT, settings.user_agent.clone());
    if settings.json.is_some() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    for (name, value) in &settings.headers {
        // It was checked with the config.
        if let Some(Ok(mut value)) = value.fixed().map(HeaderValue::from_str) {
            value.set_sensitive(names_a_secret(name.as_str()));
            headers.insert(name, value);
        }
    }
    headers
}
