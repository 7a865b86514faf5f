//! What endpoints that ask alike have in common, made ready once for all of them.

use std::path::Path;
use std::sync::Arc;

use reqwest::blocking::Client;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use reqwest::{Method, StatusCode, Url};
use url::Host;

use super::client::{Clients, CredentialsError, Way};
use super::coding::ACCEPTED;
use super::connection::Connections;
use super::credentials::{Credentials, basic_secrets};
use super::request::without_userinfo;
use super::resolver::is_localhost;
use crate::config::{Auth, Field, Proxy, RequestSettings, Secret, names_a_secret};

/// See the module.
pub struct Common {
    client: Client,
    /// Has a connection of its own for each request.
    alone: Client,
    /// Follows the redirects of public servers: to public addresses only.
    public_client: Option<Client>,
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
        let here = is_here(url);
        // The environment's proxies are for the world outside: what listens on this machine is asked directly.
        let proxy = |here: bool| match &settings.proxy {
            Proxy::Environment if here => Proxy::None,
            proxy => proxy.clone(),
        };
        let way = Way {
            connect_timeout: settings.connect_timeout,
            public_only: false,
            alone: false,
            ca_file: settings.ca_file.clone(),
            identity: settings.identity.clone(),
            proxy: proxy(here),
        };
        let token_url = match &settings.auth {
            Some(Auth::OAuth2(oauth2)) => Some(&oauth2.token_url),
            _ => None,
        };
        let mut servers = [Some(url), token_url].into_iter().flatten();
        if servers.any(|url| is_tls(url) || proxies(&proxy(is_here(url))).iter().any(is_tls)) {
            clients.expect_tls(&way, folder)?;
        }
        let client = clients.get(&way, folder)?;
        let way = Way { alone: true, ..way };
        let alone = clients.get(&way, folder)?;
        let credentials = match &settings.auth {
            Some(auth) => {
                let way = Way { proxy: proxy(token_url.map_or(here, is_here)), ..way.clone() };
                Some(clients.credentials(auth, &way, &settings.user_agent, folder)?)
            }
            None => clients.token(),
        };
        let proxy_secrets = proxy_secrets(&way.proxy);
        let public_only = Way { public_only: true, ..way };
        let public_client = if settings.redirects > 0 { Some(clients.get(&public_only, folder)?) } else { None };
        let plain = settings.method == Method::GET && settings.json.is_none() && settings.pages.is_none();
        let query = settings.query.iter().map(|(_, value)| value);
        let fields = query.chain(settings.headers.iter().map(|(_, value)| value)).chain(&settings.json);
        Ok(Self {
            client,
            alone,
            public_client,
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

    /// The client, or the one that connects to public addresses only; `alone` is whether the request needs a connection
    /// of its own, which the latter always gives it.
    pub fn client(&self, public_only: bool, alone: bool) -> &Client {
        let client = if alone { &self.alone } else { &self.client };
        self.public_client.as_ref().filter(|_| public_only).unwrap_or(client)
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

/// What proxies are told, and might show in a page of theirs.
fn proxy_secrets(proxy: &Proxy) -> Vec<String> {
    let userinfo = proxies(proxy).into_iter().filter_map(|url| without_userinfo(&url).1);
    userinfo.flat_map(|(user, password)| basic_secrets(&user, &password)).collect()
}

/// The proxies that connections may go through.
fn proxies(proxy: &Proxy) -> Vec<Url> {
    match proxy {
        Proxy::None => Vec::new(),
        Proxy::Through(url) => vec![url.clone()],
        Proxy::Environment => ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]
            .iter()
            .filter_map(|name| proxy_url(&std::env::var(name).ok()?))
            .collect(),
    }
}

/// A proxy as the environment names it, which may be without a scheme: `me:password@proxy.example:3128`.
fn proxy_url(text: &str) -> Option<Url> {
    if text.contains("://") { Url::parse(text).ok() } else { Url::parse(&format!("http://{text}")).ok() }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_a_proxy_is_known_with_and_without_a_scheme_before_it() {
        for text in ["http://me:s3cret%2F@proxy.example:3128", "me:s3cret%2F@proxy.example:3128"] {
            let userinfo = proxy_url(text).and_then(|url| without_userinfo(&url).1);
            assert_eq!(userinfo, Some(("me".to_owned(), "s3cret/".to_owned())), "{text}");
        }
    }
}
