//! The rules of who asks. Each layer may say it: by `token`, `basic` or `oauth2`, by a header that is written out, and an
//! endpoint's by the user and password in its URL, too. For each header the nearest layer wins that says it. A token that
//! goes as a parameter is in the way of no header.

use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, USER_AGENT};
use http::{HeaderName, HeaderValue};

use super::auth::{Auth, TokenPlace};
use super::field::Field;
use super::request_keys::RequestKeys;
use super::request_rules::{Layers, in_force, merged, nearest};
use super::rules::Rules;
use super::section::{Located, Place};

impl RequestKeys {
    /// Where `token`, `basic` and `oauth2` stand, and whether each says somebody: `false` says that nobody asks.
    fn who(&self) -> impl Iterator<Item = (&Place, bool)> {
        let token = self.token.as_ref().map(|key| (&key.place, key.value.is_some()));
        let basic = self.basic.as_ref().map(|key| (&key.place, key.value.is_some()));
        let oauth2 = self.oauth2.as_ref().map(|key| (&key.place, key.value.is_some()));
        [token, basic, oauth2].into_iter().flatten()
    }

    /// Whether `token`, `basic` or `oauth2` puts something into `header`. A token goes into `of_token`, if into a header.
    fn sets(&self, header: &HeaderName, of_token: Option<&HeaderName>) -> bool {
        let layer: &Layers<'_> = &[self];
        let by_token = in_force(layer, |keys| &keys.token).is_some() && of_token == Some(header);
        let by_basic = in_force(layer, |keys| &keys.basic).is_some();
        let by_oauth2 = in_force(layer, |keys| &keys.oauth2).is_some();
        by_token || (by_basic || by_oauth2) && *header == AUTHORIZATION
    }

    /// Whether what layers further away put into `header` is not sent.
    fn hides(&self, header: &HeaderName, of_token: Option<&HeaderName>) -> bool {
        let by_nobody = self.who().any(|(_, is_somebody)| !is_somebody);
        let by_url = self.userinfo.is_some() && *header == AUTHORIZATION;
        self.sets(header, of_token) || by_url || by_nobody && (of_token == Some(header) || *header == AUTHORIZATION)
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
            if let Some(Located { value: Some(_), place }) = &layer.token_query
                && (layer.token_header.is_some() || layer.token_scheme.is_some())
            {
                self.text.mistake(
                    place,
                    "`token_header` and `token_scheme` put the token into a header, this into the URL: keep one",
                );
            }
        }
        let at = layers.iter().position(|layer| layer.who().next().is_some())?;
        let auth = auth_of(layers.get(at)?, layers)?;
        let header = match &auth {
            // What the URL or `query` sets under the same name is replaced.
            Auth::Token { place: TokenPlace::Parameter(name), .. } => {
                let pages = in_force(layers, |keys| &keys.pages).and_then(|pages| pages.next.parameter());
                if let Some(key) = nearest(layers, |keys| &keys.token_query).filter(|_| pages == Some(name.as_str())) {
                    self.text
                        .mistake(&key.place, "`pages` puts the next page into this parameter: one of them is wrong");
                }
                return Some(auth);
            }
            Auth::Token { place: TokenPlace::Header { name, .. }, .. } => name,
            Auth::Basic { .. } | Auth::OAuth2(_) => &AUTHORIZATION,
        };
        let of_token = token_header(layers);
        let is_hidden =
            layers[..at].iter().any(|layer| layer.hides(header, of_token.as_ref()) || layer.writes_out(header));
        (!is_hidden).then_some(auth)
    }

    /// The headers of all layers, without those in whose place something nearer says who asks.
    pub(super) fn headers(&self, layers: &Layers<'_>) -> Vec<(HeaderName, Field)> {
        let of_token = token_header(layers);
        let of_token = of_token.as_ref();
        for layer in layers {
            for Located { value: (name, value), place } in &layer.headers {
                if *name == USER_AGENT {
                    self.text.mistake(place, "write it as the key `user_agent`");
                } else if is_ours(name) {
                    self.text.mistake(place, "this header is set by gatherd itself");
                } else if value.is_some() && layer.sets(name, of_token) {
                    self.text
                        .mistake(place, "`token`, `basic` or `oauth2` sets this header already: keep one of the two");
                }
            }
            let is_said_twice = layer.sets(&AUTHORIZATION, of_token) || layer.writes_out(&AUTHORIZATION);
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
    Some(Auth::Token { source, place: token_place(layers) })
}

/// Where a token goes: into the URL, if the nearest layer says so that says anything about it.
fn token_place(layers: &Layers<'_>) -> TokenPlace {
    let nearest_layer = layers.iter().find(|layer| layer.places_a_token());
    if let Some(parameter) = nearest_layer.and_then(|layer| in_force(&[layer], |keys| &keys.token_query)) {
        return TokenPlace::Parameter(parameter.clone());
    }
    let name = nearest(layers, |keys| &keys.token_header).map_or(AUTHORIZATION, |key| key.value.clone());
    // An API that wants a header of its own wants the bare token in it.
    let usual = if name == AUTHORIZATION { "Bearer" } else { "" };
    let scheme = nearest(layers, |keys| &keys.token_scheme).map(|key| key.value.clone());
    TokenPlace::Header { name, scheme: scheme.unwrap_or(HeaderValue::from_static(usual)) }
}

/// The header that a token goes into, if it goes into one.
fn token_header(layers: &Layers<'_>) -> Option<HeaderName> {
    match token_place(layers) {
        TokenPlace::Header { name, .. } => Some(name),
        TokenPlace::Parameter(_) => None,
    }
}

/// Whether a header says how a message is framed, which only the library knows.
fn is_ours(name: &HeaderName) -> bool {
    [CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION].contains(name)
}
