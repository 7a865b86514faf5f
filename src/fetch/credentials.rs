//! Who asks: what is put into a request so that an API knows us, and kept out of everything else.

use std::iter;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::Url;
use reqwest::blocking::Client;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};

use super::access_token::{AccessToken, AccessTokens};
use super::attempt::Attempt;
use super::deadline::Deadline;
use super::parameter::set_parameter;
use crate::config::{Auth, LiveSecret, Secret, SecretError, TokenPlace};

/// Credentials, shared by the requests that ask with them.
pub struct Credentials(Kind);

enum Kind {
    Token { secret: LiveSecret, place: TokenPlace },
    Basic { user: String, password: LiveSecret },
    OAuth2(Box<AccessTokens>),
}

impl Credentials {
    /// `token` as `Authorization: Bearer` (RFC 6750).
    pub fn bearer(token: &Secret) -> Self {
        let place = TokenPlace::Header { name: AUTHORIZATION, scheme: HeaderValue::from_static("Bearer") };
        Kind::Token { secret: LiveSecret::fixed(token.clone()), place }.into()
    }

    /// What `auth` says. Relative files are looked for in `folder`; an access token is asked for through `client`, whose proxy
    /// is told `proxy_secrets`.
    ///
    /// # Errors
    /// When the secret cannot be read.
    pub fn of(
        auth: &Auth,
        client: Client,
        user_agent: &HeaderValue,
        proxy_secrets: Vec<String>,
        folder: &Path,
    ) -> Result<Self, SecretError> {
        let secret = LiveSecret::of(auth.secret(), folder)?;
        Ok(match auth {
            Auth::Token { place, .. } => Kind::Token { secret, place: place.clone() },
            Auth::Basic { user, .. } => Kind::Basic { user: user.clone(), password: secret },
            Auth::OAuth2(settings) => {
                let tokens = AccessTokens::new(settings.clone(), secret, client, user_agent.clone(), proxy_secrets);
                Kind::OAuth2(Box::new(tokens))
            }
        }
        .into())
    }

    /// Puts the token or the password into `url` or `headers` as it is now, and answers it: it may be another by the time
    /// that an answer comes. An access token is [put there](Self::authorize) when it is needed.
    pub fn put(&self, url: &mut Url, headers: &mut HeaderMap) -> Option<Arc<Secret>> {
        let sent = match &self.0 {
            Kind::Token { secret, place } => {
                let sent = secret.current();
                match place {
                    TokenPlace::Header { name, scheme } => {
                        headers.insert(name, sent.header(scheme));
                    }
                    TokenPlace::Parameter(name) => set_parameter(url, name, sent.expose()),
                }
                sent
            }
            Kind::Basic { user, password } => {
                let sent = password.current();
                headers.insert(AUTHORIZATION, basic(user, sent.expose()));
                sent
            }
            Kind::OAuth2(_) => return None,
        };
        Some(sent)
    }

    /// `url` as it may be told where a token is [put](Self::put) into it: with `***` in its place.
    pub fn without_token(&self, url: &Url) -> Option<Url> {
        let Kind::Token { place: TokenPlace::Parameter(name), .. } = &self.0 else { return None };
        let mut plain = url.clone();
        set_parameter(&mut plain, name, "***");
        Some(plain)
    }

    /// Puts the access token into `headers`, if it is one that they ask with. It is asked for where it is not there yet; the
    /// one that is used is answered, so that it can be [renewed](Self::renew).
    pub fn authorize(&self, headers: &mut HeaderMap, deadline: Deadline) -> Result<Option<Arc<AccessToken>>, Attempt> {
        let Kind::OAuth2(tokens) = &self.0 else { return Ok(None) };
        let token = tokens.current(deadline)?;
        headers.insert(AUTHORIZATION, token.header());
        Ok(Some(token))
    }

    /// Puts a new access token in the place of `refused`, which `has_worked` before or not, and answers whether there was one
    /// to be had: not when another would be refused as well.
    pub fn renew(
        &self,
        refused: &AccessToken,
        has_worked: bool,
        headers: &mut HeaderMap,
        deadline: Deadline,
    ) -> Result<bool, Attempt> {
        let Kind::OAuth2(tokens) = &self.0 else { return Ok(false) };
        let Some(token) = tokens.instead_of(refused, has_worked, deadline)? else { return Ok(false) };
        headers.insert(AUTHORIZATION, token.header());
        Ok(true)
    }

    /// The host that has to be asked for an access token, where they ask with one and there is none.
    pub fn token_host(&self) -> Option<Arc<str>> {
        match &self.0 {
            Kind::OAuth2(tokens) => tokens.host_to_ask(),
            Kind::Token { .. } | Kind::Basic { .. } => None,
        }
    }

    /// Whether the secret alone says who asks: not a password, which has a name beside it.
    pub fn say_who_asks(&self) -> bool {
        matches!(self.0, Kind::Token { .. })
    }

    /// The secrets as they are now, as they were before, and as they were when `sent` was [put](Self::put) into a request.
    pub fn secrets(&self, sent: Option<&Secret>) -> Vec<String> {
        let forms = |secret: &Secret| match &self.0 {
            Kind::Basic { user, .. } => basic_secrets(user, secret.expose()),
            Kind::Token { .. } | Kind::OAuth2(_) => vec![secret.expose().to_owned()],
        };
        let known = match &self.0 {
            Kind::Token { secret, .. } | Kind::Basic { password: secret, .. } => {
                iter::once(secret.current()).chain(secret.former()).flat_map(|secret| forms(&secret)).collect()
            }
            Kind::OAuth2(tokens) => tokens.secrets(),
        };
        known.into_iter().chain(sent.into_iter().flat_map(forms)).collect()
    }
}

impl From<Kind> for Credentials {
    fn from(kind: Kind) -> Self {
        Self(kind)
    }
}

/// What of HTTP Basic is to be hidden: the password, and what is sent, which is as good as it.
pub fn basic_secrets(user: &str, password: &str) -> Vec<String> {
    let pair = format!("{user}:{password}");
    // Some APIs take a key as the user's name, and no password.
    let secret = if password.is_empty() { user } else { password };
    vec![secret.to_owned(), BASE64_STANDARD.encode(&pair), pair]
}

/// HTTP Basic (RFC 7617).
pub fn basic(user: &str, password: &str) -> HeaderValue {
    let encoded = BASE64_STANDARD.encode(format!("{user}:{password}"));
    // Base64 is printable.
    let mut value = HeaderValue::try_from(format!("Basic {encoded}")).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}
