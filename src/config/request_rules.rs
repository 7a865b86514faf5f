//! The rules of the request keys: the nearest of endpoint, job and `[defaults]` wins, key by key.

use std::time::Duration;

use http::Method;
use url::Url;

use super::field::Field;
use super::request_keys::RequestKeys;
use super::rules::Rules;
use super::section::{Located, OrFalse};
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

/// The value of a key that is nearest, unless it is `false`.
pub fn in_force<'l, T>(layers: &Layers<'l>, key: impl Fn(&'l RequestKeys) -> &'l OrFalse<T>) -> Option<&'l T> {
    nearest(layers, key)?.value.as_ref()
}

/// `layers` as far as the nearest one that `ends` them: nothing is inherited from further away.
fn up_to<'a, 'l>(layers: &'a Layers<'l>, ends: impl Fn(&RequestKeys) -> bool) -> &'a Layers<'l> {
    let last = layers.iter().position(|layer| ends(layer));
    last.map_or(layers, |last| &layers[..=last])
}

/// The body of a request. `method = "GET"` takes an inherited one away, as `json = false` does: hardly anybody wants a GET
/// with a body (RFC 9110, section 9.3.1).
fn body(layers: &Layers<'_>) -> Option<Field> {
    let is_get = |layer: &RequestKeys| layer.method.as_ref().is_some_and(|method| method.value == Method::GET);
    in_force(up_to(layers, is_get), |keys| &keys.json).cloned()
}

impl Rules<'_, '_> {
    /// The settings of `layers`.
    pub(super) fn request(&self, layers: &Layers<'_>) -> RequestSettings {
        let default = RequestSettings::default();
        let least = Duration::from_millis(1);
        let timeout = self.span(nearest(layers, |keys| &keys.timeout), least).unwrap_or(default.timeout);
        let connect =
            self.span(nearest(layers, |keys| &keys.connect_timeout), least).unwrap_or(default.connect_timeout);
        let json = body(layers);
        let method = nearest(layers, |keys| &keys.method).map(|key| key.value.clone());
        RequestSettings {
            method: method.unwrap_or(if json.is_some() { Method::POST } else { Method::GET }),
            json,
            query: self.query(layers),
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
            success: in_force(layers, |keys| &keys.success).cloned(),
            error_if: in_force(layers, |keys| &keys.error_if)
                .map(|key| ErrorIf { pointer: key.pointer.clone(), equals: key.equals.clone() }),
            pages: in_force(layers, |keys| &keys.pages).cloned(),
            conditional: nearest(layers, |keys| &keys.conditional).is_none_or(|key| key.value),
            max_per_host: nearest(layers, |keys| &keys.max_per_host).and_then(|key| {
                let value = Located { value: key.value?, place: key.place.clone() };
                Some(self.within("", Some(value), 1, 1..=MOST_PER_HOST))
            }),
            rate: in_force(layers, |keys| &keys.rate).copied(),
            ca_file: in_force(layers, |keys| &keys.ca_file).cloned(),
            identity: self.identity(layers),
            proxy: self.proxy(layers),
        }
    }

    /// The parameters of all layers. One that is `false` and inherited from nowhere was meant to be sent.
    fn query(&self, layers: &Layers<'_>) -> Vec<(String, Field)> {
        for (at, layer) in layers.iter().enumerate() {
            let further = || layers[at + 1..].iter().flat_map(|layer| &layer.query);
            for Located { value: (name, value), place } in &layer.query {
                if value.is_none() && !further().any(|set| set.value.0 == *name && set.value.1.is_some()) {
                    self.text.mistake(place, "nothing further away sets it: as a word it stands in quotes, \"false\"");
                }
            }
        }
        merged(layers.iter().flat_map(|layer| &layer.query))
    }

    /// The certificate and its key, which may stand in two layers; where one of them is `false`, neither is inherited.
    fn identity(&self, layers: &Layers<'_>) -> Option<Identity> {
        let is_off = |key: &OrFalse<_>| key.as_ref().is_some_and(|key| key.value.is_none());
        let layers = up_to(layers, |layer| is_off(&layer.client_cert) || is_off(&layer.client_key));
        let certificate = nearest(layers, |keys| &keys.client_cert).filter(|key| key.value.is_some());
        let key = nearest(layers, |keys| &keys.client_key).filter(|key| key.value.is_some());
        if let (Some(Located { place, .. }), None) | (None, Some(Located { place, .. })) = (certificate, key) {
            self.text.mistake(place, "`client_cert` and `client_key` go together");
        }
        Some(Identity { certificate: certificate?.value.clone()?, key: key?.value.clone()? })
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

/// The pairs of all layers, each name once, the nearest value of it; what is nearest and `false` is left out.
pub fn merged<'l, N: PartialEq + Clone + 'l>(
    pairs: impl Iterator<Item = &'l Located<(N, Option<Field>)>>,
) -> Vec<(N, Field)> {
    let mut merged: Vec<&(N, Option<Field>)> = Vec::new();
    for Located { value: pair, .. } in pairs {
        if merged.iter().all(|(set, _)| *set != pair.0) {
            merged.push(pair);
        }
    }
    merged.into_iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect()
}
