//! The rules of who asks. Each layer may say it: by `token`, `basic` or `oauth2`, by a header that is written out, and an
//! endpoint's by the user and password in its URL, too. For each header the nearest layer wins that says it.

use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, USER_AGENT};
use http::{HeaderName, HeaderValue};

use super::field::Field;
use super::request_keys::RequestKeys;
use super::request_rules::{Layers, in_force, merged, nearest};
use super::rules::Rules;
use super::section::{Located, Place};
use super::settings::Auth;

impl RequestKeys {
    /// Where `token`, `basic` and `oauth2` stand, and whether each says somebody: `false` says that nobody asks.
    fn who(&self) -> impl Iterator<Item = (&Place, bool)> {
        let token = self.token.as_ref().map(|key| (&key.place, key.value.is_some()));
        let basic = self.basic.as_ref().map(|key| (&key.place, key.value.is_some()));
        let oauth2 = self.oauth2.as_ref().map(|key| (&key.place, key.value.is_some()));
        [token, basic, oauth2].into_iter().flatten()
    }

    /// Whether `token`, `basic` or `oauth2` puts something into `header`, where a token goes into `of_token`.
    fn sets(&self, header: &HeaderName, of_token: &HeaderName) -> bool {
        let layer: &Layers<'_> = &[self];
        let by_token = in_force(layer, |keys| &keys.token).is_some() && header == of_token;
        let by_basic = in_force(layer, |keys| &keys.basic).is_some();
        let by_oauth2 = in_force(layer, |keys| &keys.oauth2).is_some();
        by_token || (by_basic || by_oauth2) && *header == AUTHORIZATION
    }

    /// Whether what layers further away put into `header` is not sent.
    fn hides(&self, header: &HeaderName, of_token: &HeaderName) -> bool {
        let by_nobody = self.who().any(|(_, is_somebody)| !is_somebody);
        let by_url = self.userinfo.is_some() && *header == AUTHORIZATION;
        self.sets(header, of_token) || by_url || by_nobody && (header == of_token || *header == AUTHORIZATION)
    }

    fn writes_out(&self, header: &HeaderName) -> bool {
        self.headers.iter().any(|Located { value: (name, _), .. }| name == header)
    }
}

impl Rules<'_, '_> {
    /// `token`, `basic` or `oauth2`, whichever is nearest, unless something nearer stands in its header.
    pub(super) fn auth(&self, layers: &Layers<'_>) -> Option<Auth> {
        for layer in layers {
            let is_said = layer.who().any(|(_, is_somebody)| is_somebody);
            if let Some((second, _)) = layer.who().nth(1).filter(|_| is_said) {
                self.text.mistake(second, "`token`, `basic` and `oauth2` exclude each other: keep one of them");
            }
        }
        let at = layers.iter().position(|layer| layer.who().next().is_some())?;
        let auth = auth_of(layers.get(at)?, layers)?;
        let header = match &auth {
            Auth::Token { header, .. } => header,
            Auth::Basic { .. } | Auth::OAuth2(_) => &AUTHORIZATION,
        };
        let of_token = token_header(layers);
        let is_hidden = layers[..at].iter().any(|layer| layer.hides(header, &of_token) || layer.writes_out(header));
        (!is_hidden).then_some(auth)
    }

    /// The headers of all layers, without those in whose place something nearer says who asks.
    pub(super) fn headers(&self, layers: &Layers<'_>) -> Vec<(HeaderName, Field)> {
        let of_token = token_header(layers);
        for layer in layers {
            for Located { value: (name, _), place } in &layer.headers {
                if *name == USER_AGENT {
                    self.text.mistake(place, "write it as the key `user_agent`");
                } else if is_ours(name) {
                    self.text.mistake(place, "this header is set by gatherd itself");
                } else if layer.sets(name, &of_token) {
                    self.text
                        .mistake(place, "`token`, `basic` or `oauth2` sets this header already: keep one of the two");
                }
            }
            let is_said_twice = layer.sets(&AUTHORIZATION, &of_token) || layer.writes_out(&AUTHORIZATION);
            if let Some(place) = layer.userinfo.as_ref().filter(|_| is_said_twice) {
                self.text.mistake(
                    place,
                    "the URL's user and password are sent as Authorization, which is set beside it: keep one of the two",
                );
            }
            if let Some(Located { place, .. }) =
                layer.token_header.as_ref().filter(|key| key.value == USER_AGENT || is_ours(&key.value))
            {
                self.text.mistake(place, "this header is set by gatherd itself");
            }
        }
        let sent = layers.iter().enumerate().flat_map(|(at, layer)| {
            let nearer = &layers[..at];
            let of_token = &of_token;
            let is_sent = move |header: &&Located<(HeaderName, Option<Field>)>| {
                !nearer.iter().any(|nearer| nearer.hides(&header.value.0, of_token))
            };
            layer.headers.iter().filter(is_sent)
        });
        merged(sent)
    }
}

/// What `layer` says by `token`, `basic` or `oauth2`; `None` is nobody.
fn auth_of(layer: &RequestKeys, layers: &Layers<'_>) -> Option<Auth> {
    if let Some((user, password)) = in_force(&[layer], |keys| &keys.basic).cloned() {
        return Some(Auth::Basic { user, password });
    }
    if let Some(oauth2) = in_force(&[layer], |keys| &keys.oauth2) {
        return Some(Auth::OAuth2(oauth2.clone()));
    }
    let source = in_force(&[layer], |keys| &keys.token)?.clone();
    let header = token_header(layers);
    // An API that wants a header of its own wants the bare token in it.
    let usual = if header == AUTHORIZATION { "Bearer" } else { "" };
    let scheme = nearest(layers, |keys| &keys.token_scheme).map(|key| key.value.clone());
    Some(Auth::Token { source, header, scheme: scheme.unwrap_or(HeaderValue::from_static(usual)) })
}

/// The header that a token goes into.
fn token_header(layers: &Layers<'_>) -> HeaderName {
    nearest(layers, |keys| &keys.token_header).map_or(AUTHORIZATION, |key| key.value.clone())
}

/// Whether a header says how a message is framed, which only the library knows.
fn is_ours(name: &HeaderName) -> bool {
    [CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION].contains(name)
}
