//! The rules of the request keys: the nearest of endpoint, job and `[defaults]` wins, key by key.

use std::time::Duration;

use http::Method;
use url::Url;

use super::request_keys::RequestKeys;
use super::rules::Rules;
use super::section::Located;
use super::settings::{ErrorIf, Identity, Proxy, RequestSettings};

/// The largest `max_body`: SQLite's own limit for a value is near it.
const LARGEST_BODY: u64 = 512 * 1024 * 1024;
/// The most `redirects`.
const MOST_REDIRECTS: u32 = 20;
/// The most `max_per_host`: there are no more workers.
const MOST_PER_HOST: usize = 8192;
/// The most `retries`.
const MOST_RETRIES: u32 = 20;

/// The keys of an endpoint, its job and the defaults, the nearest first.
pub type Layers<'l> = [&'l RequestKeys];

/// The value of a key that is nearest.
pub fn nearest<'l, T>(layers: &Layers<'l>, key: impl Fn(&'l RequestKeys) -> &'l Option<T>) -> Option<&'l T> {
    layers.iter().find_map(|&layer| key(layer).as_ref())
}

impl Rules<'_, '_> {
    /// The settings of `layers`.
    pub(super) fn request(&self, layers: &Layers<'_>) -> RequestSettings {
        let default = RequestSettings::default();
        let least = Duration::from_millis(1);
        let timeout = self.span(nearest(layers, |keys| &keys.timeout), least).unwrap_or(default.timeout);
        let connect =
            self.span(nearest(layers, |keys| &keys.connect_timeout), least).unwrap_or(default.connect_timeout);
        let json = nearest(layers, |keys| &keys.json).map(|key| key.value.clone());
        let method = nearest(layers, |keys| &keys.method).map(|key| key.value.clone());
        RequestSettings {
            method: method.unwrap_or(if json.is_some() { Method::POST } else { Method::GET }),
            json,
            query: merged(layers.iter().flat_map(|layer| &layer.query)),
            user_agent: nearest(layers, |keys| &keys.user_agent).map_or(default.user_agent, |key| key.value.clone()),
            timeout,
            connect_timeout: connect.min(timeout),
            max_body: self.within(
                " bytes",
                nearest(layers, |keys| &keys.max_body).cloned(),
                default.max_body,
                1..=LARGEST_BODY,
            ),
            retries: self.within("", nearest(layers, |keys| &keys.retries).cloned(), default.retries, 0..=MOST_RETRIES),
            redirects: self.within("", nearest(layers, |keys| &keys.redirects).cloned(), 0, 0..=MOST_REDIRECTS),
            auth: self.auth(layers),
            headers: self.headers(layers),
            success: nearest(layers, |keys| &keys.success).map(|key| key.value.clone()),
            error_if: nearest(layers, |keys| &keys.error_if)
                .map(|key| ErrorIf { pointer: key.value.pointer.clone(), equals: key.value.equals.clone() }),
            pages: nearest(layers, |keys| &keys.pages).map(|key| key.value.clone()),
            conditional: nearest(layers, |keys| &keys.conditional).is_none_or(|key| key.value),
            max_per_host: nearest(layers, |keys| &keys.max_per_host)
                .map(|key| self.within("", Some(key.clone()), 1, 1..=MOST_PER_HOST)),
            rate: nearest(layers, |keys| &keys.rate).map(|key| key.value),
            ca_file: nearest(layers, |keys| &keys.ca_file).map(|key| key.value.clone()),
            identity: self.identity(layers),
            proxy: self.proxy(layers),
        }
    }

    fn identity(&self, layers: &Layers<'_>) -> Option<Identity> {
        let certificate = nearest(layers, |keys| &keys.client_cert);
        let key = nearest(layers, |keys| &keys.client_key);
        match (certificate, key) {
            (Some(certificate), Some(key)) => {
                Some(Identity { certificate: certificate.value.clone(), key: key.value.clone() })
            }
            (Some(Located { place, .. }), None) | (None, Some(Located { place, .. })) => {
                self.text.mistake(place, "`client_cert` and `client_key` go together");
                None
            }
            (None, None) => None,
        }
    }

    fn proxy(&self, layers: &Layers<'_>) -> Proxy {
        let Some(Located { value, place }) = nearest(layers, |keys| &keys.proxy) else { return Proxy::Environment };
        if value == "none" {
            return Proxy::None;
        }
        match Url::parse(value) {
            Ok(url) if ["http", "https"].contains(&url.scheme()) && url.has_host() => Proxy::Through(url),
            _ => {
                self.text
                    .mistake(place, "expected \"http://host:port\", or \"none\" to ignore the environment's proxies");
                Proxy::None
            }
        }
    }
}

/// The pairs of all layers, each name once, the nearest value of it.
pub fn merged<'l, N: PartialEq + Clone + 'l, V: Clone + 'l>(
    pairs: impl Iterator<Item = &'l Located<(N, V)>>,
) -> Vec<(N, V)> {
    let mut merged: Vec<(N, V)> = Vec::new();
    for Located { value: (name, value), .. } in pairs {
        if merged.iter().all(|(set, _)| set != name) {
            merged.push((name.clone(), value.clone()));
        }
    }
    merged
}
