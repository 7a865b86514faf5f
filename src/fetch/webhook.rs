//! Telling somebody by HTTP: one bounded request, of whose answer only the status counts.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use reqwest::blocking::Request;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderValue};
use url::Url;

use super::attempt::Attempt;
use super::client::{Clients, CredentialsError};
use super::common::{Common, Over};
use super::credentials::basic;
use super::deadline::Deadline;
use super::request::without_userinfo;
use super::{fault, redirect, retry};
use crate::config::{self, LiveSecret, SecretUrl};
use crate::model::{Detail, Outcome};

/// One that can be told. Has no connection and no text of its own that would show the URL.
pub struct Webhook {
    url: WebhookUrl,
    common: Common,
}

enum WebhookUrl {
    Written(Url),
    /// Read again when its file changes, as all secrets are.
    Named(LiveSecret),
}

/// Why somebody could not be told. Its text shows no URL.
#[derive(Clone, Debug)]
pub struct Undelivered {
    /// How it ended, in the words of a slot.
    pub outcome: Outcome,
    /// The status, when an answer came.
    pub http_status: Option<u16>,
    detail: Option<Detail>,
    /// The pause that the server asked for.
    pub retry_after: Option<Duration>,
}

impl Webhook {
    /// Makes the requests of `webhook` ready; relative files are looked for in `folder`. Not to be called in async code.
    ///
    /// # Errors
    /// When a secret cannot be read, or no HTTP client can be made.
    pub fn new(webhook: &config::Webhook, folder: &Path, clients: &mut Clients) -> Result<Self, CredentialsError> {
        let url = webhook.url.read(folder)?;
        let common = Common::new(&webhook.request, &url, folder, clients)?;
        let url = match &webhook.url {
            SecretUrl::Written(_) => WebhookUrl::Written(url),
            SecretUrl::Named(source) => WebhookUrl::Named(LiveSecret::of(source, folder)?),
        };
        Ok(Self { url, common })
    }

    /// Asks with GET. Blocks, at most for the timeout.
    ///
    /// # Errors
    /// When there is no answer with a status of success.
    pub fn get(&self) -> Result<(), Undelivered> {
        self.send(Method::GET, &HeaderMap::new(), None)
    }

    /// Posts `body` with these headers, before which those of the config go. Blocks, at most for the timeout.
    ///
    /// # Errors
    /// When there is no answer with a status of success.
    pub fn post(&self, headers: &HeaderMap, body: &str) -> Result<(), Undelivered> {
        self.send(Method::POST, headers, Some(body.to_owned()))
    }

    fn send(&self, method: Method, headers: &HeaderMap, body: Option<String>) -> Result<(), Undelivered> {
        let deadline = Deadline::after(self.common.settings.timeout);
        let (mut url, userinfo) = without_userinfo(&self.url.current()?);
        redirect::check_literal(&url, false)?;
        let mut all = headers.clone();
        all.extend((*self.common.headers).clone());
        // Nobody reads the answer's body.
        all.insert(ACCEPT, HeaderValue::from_static("*/*"));
        all.remove(ACCEPT_ENCODING);
        if let Some((user, password)) = userinfo {
            all.insert(AUTHORIZATION, basic(&user, &password));
        }
        if let Some(credentials) = &self.common.credentials {
            credentials.put(&mut url, &mut all);
            credentials.authorize(&mut all, deadline)?;
        }
        let mut request = Request::new(method, url);
        *request.headers_mut() = all;
        *request.body_mut() = body.map(Into::into);
        *request.timeout_mut() = Some(deadline.left());
        // Rounds may be hours apart: by then a kept connection is dead.
        let response = self.common.send(request, Over::Alone).map_err(|error| fault::of_request(error, None))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let retry_after = retry::asked_pause(status, response.headers());
        let detail = Some(Detail::new(fault::named(status)));
        Err(Undelivered { outcome: Outcome::HttpStatus, http_status: Some(status.as_u16()), detail, retry_after })
    }
}

impl WebhookUrl {
    fn current(&self) -> Result<Url, Undelivered> {
        match self {
            Self::Written(url) => Ok(url.clone()),
            Self::Named(secret) => Url::parse(secret.current().expose())
                .ok()
                .filter(|url| matches!(url.scheme(), "http" | "https"))
                .ok_or_else(|| Attempt::failed(Outcome::Protocol, Detail::new("its secret is no URL any more")).into()),
        }
    }
}

impl Undelivered {
    /// Whether it may go better soon.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        retry::is_retried(self.outcome, self.http_status) || self.outcome == Outcome::Resource
    }
}

impl From<Attempt> for Undelivered {
    fn from(attempt: Attempt) -> Self {
        let Attempt { outcome, http_status, detail, retry_after, .. } = attempt;
        Self { outcome, http_status, detail, retry_after }
    }
}

impl fmt::Display for Undelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.outcome)?;
        self.detail.as_ref().map_or(Ok(()), |detail| write!(f, ": {detail}"))
    }
}

impl std::error::Error for Undelivered {}

/// Why nobody can be told.
#[derive(Debug, thiserror::Error)]
#[error("cannot tell {target}")]
pub struct WebhookError {
    /// Whom, in words of the config.
    pub target: String,
    /// Why.
    pub source: CredentialsError,
}
