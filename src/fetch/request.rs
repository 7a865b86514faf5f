//! A request made ready: everything that is the same for each attempt is done once, the rest is filled in for each.

use std::borrow::Cow;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use percent_encoding::percent_decode_str;
use reqwest::blocking;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION, CONTENT_TYPE};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};

use super::access_token::AccessToken;
use super::attempt::Ask;
use super::client::{Clients, CredentialsError};
use super::common::{Common, Over};
use super::conditional;
use super::credentials::{basic, basic_secrets};
use super::pages::Target;
use super::parameter::set_parameter;
use super::proxies;
use super::redact::Redactor;
use super::secrets::{SHORTEST_PART, header_secrets, json_secrets, secret_parameters};
use crate::config::{Endpoint, Escape, Field, Job, Moments, RequestSettings, Secret, Template, names_a_secret};
use crate::model::{Detail, JobName, Layout};

/// One endpoint's request, ready to be sent any number of times.
pub struct Request {
    /// What it has in common with endpoints that ask alike.
    pub(super) common: Arc<Common>,
    url: Url,
    /// The URL as it is written, where it changes with each round.
    changing_url: Option<Template>,
    /// The URL's userinfo, which is sent as HTTP Basic.
    userinfo: Option<(String, String)>,
    /// When the access token was issued that the API took last.
    token_that_worked: Mutex<Option<Instant>>,
    /// Whether it asks for the due of the last success.
    pub asks_for_last_ok: bool,
    /// The host with its port.
    pub host: Arc<str>,
}

/// What one attempt sends.
#[derive(Clone)]
pub struct Call {
    pub(super) method: Method,
    pub(super) url: Url,
    /// The same with `***` in the place of the token, where one is in it.
    plain_url: Option<Url>,
    pub(super) headers: Arc<HeaderMap>,
    /// Those of them that are neither credentials nor a condition.
    plain_headers: Arc<HeaderMap>,
    /// The token or password that is in the URL or in the others.
    secret: Option<Arc<Secret>>,
    /// Where the first page is, when this is for a later one.
    first_page: Option<Url>,
    pub(super) json: Option<String>,
    /// Whether it asks for the document only if that is another than the remembered one.
    pub(super) is_conditional: bool,
}

impl Call {
    /// What is sent where an answer with this status leads (RFC 9110, section 15.4): the same without the condition,
    /// which is about another document. After 303 it is a GET; after 301 and 302 so is what was a POST, as curl and
    /// browsers have it: without a body, and without the headers that describe one. The URL is the one that the server
    /// says: it has written the parameters, and a token that is one of them is not put there again.
    pub(super) fn redirected(&self, status: StatusCode) -> Self {
        let mut call = self.clone();
        call.ask_for_the_whole();
        let by_get = match status {
            StatusCode::SEE_OTHER => true,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => call.method == Method::POST,
            _ => false,
        };
        if by_get && call.method != Method::GET {
            (call.method, call.json) = (Method::GET, None);
            for name in [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION] {
                call.headers_mut().remove(name);
            }
        }
        call
    }

    /// The same without the condition; answers whether there was one.
    pub(super) fn ask_for_the_whole(&mut self) -> bool {
        if self.is_conditional {
            conditional::forget(self.headers_mut());
        }
        std::mem::take(&mut self.is_conditional)
    }

    /// The URL without a token.
    pub(super) fn plain_url(&self) -> &Url {
        self.plain_url.as_ref().unwrap_or(&self.url)
    }

    pub(super) fn headers_mut(&mut self) -> &mut HeaderMap {
        Arc::make_mut(&mut self.headers)
    }
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
#[error("job {:?}, endpoint {endpoint:?}", job.as_str())]
pub struct RequestError {
    /// The job.
    pub job: JobName,
    /// The endpoint's name.
    pub endpoint: Box<str>,
    /// Why.
    pub source: CredentialsError,
}

impl PreparedJob {
    /// Makes the requests of `job` ready; relative secret files are looked for in `folder`.
    ///
    /// # Errors
    /// When a token cannot be read, or no HTTP client can be made.
    pub fn new(job: &Job, folder: &Path, clients: &mut Clients) -> Result<Self, RequestError> {
        let request = |endpoint: &Endpoint| {
            Request::new(endpoint, folder, clients).map(Arc::new).map_err(|source| RequestError {
                job: job.name.clone(),
                endpoint: endpoint.label.name.as_str().into(),
                source,
            })
        };
        let requests = job.endpoints.iter().map(request).collect::<Result<_, _>>()?;
        Ok(Self { layout: Arc::new(job.layout()), requests })
    }

    /// Which of its endpoints ask for the due of the last success, in their order.
    #[must_use]
    pub fn asks_for_last_ok(&self) -> Vec<bool> {
        self.requests.iter().map(|request| request.asks_for_last_ok).collect()
    }
}

impl Request {
    /// Makes one endpoint's request ready. It asks as the endpoint's `auth` says; where it says nothing, with the token
    /// of `clients`. Relative files are looked for in `folder`.
    ///
    /// # Errors
    /// When a secret cannot be read, or no HTTP client can be made.
    pub fn new(endpoint: &Endpoint, folder: &Path, clients: &mut Clients) -> Result<Self, CredentialsError> {
        let common = clients.common(endpoint, folder)?;
        proxies::on_the_way_to(&endpoint.url, &endpoint.request.proxy)?;
        let (url, userinfo) = without_userinfo(&endpoint.url);
        let changing_url = endpoint.changing_url.clone();
        Ok(Self {
            asks_for_last_ok: common.asks_for_last_ok || changing_url.as_ref().is_some_and(Template::asks_for_last_ok),
            host: Arc::clone(&endpoint.host),
            common,
            url,
            changing_url,
            userinfo,
            token_that_worked: Mutex::default(),
        })
    }

    /// Remembers that the API took `token`, if an answer with this status says so: who is busy or broken may not have looked
    /// at it.
    pub(super) fn remember_token(&self, token: &AccessToken, status: StatusCode) {
        if status != StatusCode::TOO_MANY_REQUESTS && !status.is_server_error() {
            *self.token_that_worked.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.issued());
        }
    }

    /// Whether `token` is the one that the API took last.
    pub(super) fn was_let_in_by(&self, token: &AccessToken) -> bool {
        *self.token_that_worked.lock().unwrap_or_else(PoisonError::into_inner) == Some(token.issued())
    }

    /// The host that has to be asked for an access token first, where one is needed and is not there.
    #[must_use]
    pub fn token_host(&self) -> Option<Arc<str>> {
        self.common.credentials.as_ref().and_then(|credentials| credentials.token_host())
    }

    /// How it asks.
    #[must_use]
    pub fn settings(&self) -> &RequestSettings {
        &self.common.settings
    }

    /// What is sent at these moments; credentials are not in it yet.
    ///
    /// # Errors
    /// When a block cannot be filled in, with the reason.
    pub(super) fn call(&self, moments: &Moments, ask: &Ask) -> Result<Call, Detail> {
        let told = |problem: String| Detail::new(format!("a block in the request: {problem}"));
        let filled = |field: &'_ Field, escape| field.filled(moments, escape).map(Cow::into_owned).map_err(told);
        let settings = self.settings();
        let mut headers = Arc::clone(&self.common.headers);
        if let Some((user, password)) = &self.userinfo {
            Arc::make_mut(&mut headers).entry(AUTHORIZATION).or_insert_with(|| basic(user, password));
        }
        let mut url = match &self.changing_url {
            Some(template) => {
                let text = template.render(moments, Escape::Url).map_err(told)?;
                let url = Url::parse(&text).map_err(|error| told(error.to_string()))?;
                without_userinfo(&url).0
            }
            None => self.url.clone(),
        };
        for (name, value) in &settings.query {
            url.query_pairs_mut().append_pair(name, &filled(value, Escape::None)?);
        }
        let mut first_page = None;
        match ask.gathered.as_ref().map(|gathered| gathered.target()) {
            None | Some(Target::First) => {}
            Some(Target::Url(next)) => first_page = Some(std::mem::replace(&mut url, next.clone())),
            Some(Target::Parameter(name, value)) => set_parameter(&mut url, name, value),
        }
        for (name, value) in settings.headers.iter().filter(|(_, value)| value.fixed().is_none()) {
            let value = filled(value, Escape::None)?;
            let mut value = HeaderValue::from_str(&value).map_err(|error| told(error.to_string()))?;
            value.set_sensitive(names_a_secret(name.as_str()));
            Arc::make_mut(&mut headers).insert(name, value);
        }
        let json = settings.json.as_ref().map(|json| filled(json, Escape::Json)).transpose()?;
        let (method, plain_headers) = (settings.method.clone(), Arc::clone(&headers));
        let credentials = self.common.credentials.as_ref();
        let plain_url = credentials.and_then(|credentials| credentials.without_token(&url));
        let secret = credentials.and_then(|credentials| credentials.put(&mut url, Arc::make_mut(&mut headers)));
        let is_conditional = false;
        let mut call =
            Call { method, url, plain_url, headers, plain_headers, secret, first_page, json, is_conditional };
        let remembered = ask.remembered.as_ref().filter(|_| self.common.is_conditional);
        if let Some(remembered) = remembered.filter(|known| known.validators.request == self.fingerprint(&call)) {
            conditional::ask(&remembered.validators, call.headers_mut());
            call.is_conditional = true;
        }
        Ok(call)
    }

    /// What validators of an answer to `call` belong to.
    pub(super) fn fingerprint(&self, call: &Call) -> u64 {
        let counts = self.common.credentials.as_ref().is_some_and(|credentials| credentials.say_who_asks());
        let token = call.secret.as_ref().filter(|_| counts).map(|token| token.expose());
        conditional::fingerprint(call.plain_url().as_str(), &call.plain_headers, &self.common.auth, token)
    }

    /// Sends `call` to `url` and waits for the head of the answer; all of it has to come within `timeout`.
    pub(super) fn send(
        &self,
        call: &Call,
        url: &Url,
        timeout: Duration,
        over: Over,
    ) -> reqwest::Result<blocking::Response> {
        let mut request = blocking::Request::new(call.method.clone(), url.clone());
        // Methods that expect one and have none say so: a length of 0 (RFC 9110, section 8.6), which some servers insist on.
        let is_expected = [Method::POST, Method::PUT, Method::PATCH].contains(&call.method);
        let body = call.json.clone().or_else(|| is_expected.then(String::new));
        *request.body_mut() = body.map(Into::into);
        request.headers_mut().clone_from(call.headers.as_ref());
        *request.timeout_mut() = Some(timeout);
        self.common.send(request, over)
    }

    /// Hides what is secret in `call`, as it was sent, and in what it was made of.
    pub(super) fn redactor(&self, call: &Call) -> Redactor {
        let mut secrets = self.common.secrets(call.secret.as_deref());
        secrets.extend(self.userinfo.iter().flat_map(|(user, password)| basic_secrets(user, password)));
        // Of a URL the name may be the key, with anything for a password.
        let stands_for_none = |password: &str| password.len() < 4 || ["api_token", "unused"].contains(&password);
        let keys =
            self.userinfo.iter().filter(|(user, password)| user.len() >= SHORTEST_PART && stands_for_none(password));
        secrets.extend(keys.map(|(user, _)| user.clone()));
        // What a later page shows of the first need not be in its own URL.
        let urls = [Some(&self.url), call.first_page.as_ref(), Some(&call.url)];
        secrets.extend(urls.into_iter().flatten().flat_map(secret_parameters));
        let fixed = self.settings().query.iter().filter(|(name, _)| names_a_secret(name));
        secrets.extend(fixed.filter_map(|(_, value)| value.fixed().map(str::to_owned)));
        for value in call.headers.values().filter(|value| value.is_sensitive()) {
            header_secrets(&String::from_utf8_lossy(value.as_bytes()), &mut secrets);
        }
        if let Some(json) = &call.json {
            json_secrets(json, false, &mut secrets);
        }
        Redactor::new(secrets)
    }
}

/// `url` as it is sent, and its userinfo as HTTP Basic, as browsers and curl do.
pub fn without_userinfo(url: &Url) -> (Url, Option<(String, String)>) {
    let mut plain = url.clone();
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let userinfo = (!url.username().is_empty() || url.password().is_some())
        .then(|| (decoded(url.username()), decoded(url.password().unwrap_or_default())));
    // Neither can fail: an http URL has a host.
    let _ = plain.set_username("");
    let _ = plain.set_password(None);
    (plain, userinfo)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::config::{Auth, SecretSource, TokenPlace};

    /// The fingerprint of a request with this token as a parameter.
    fn fingerprint(token: &str) -> u64 {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("token"), token).expect("written");
        let place = TokenPlace::Parameter("q".to_owned());
        let auth = Some(Auth::Token { source: SecretSource::File("token".into()), place });
        let settings = RequestSettings { auth, ..RequestSettings::default() };
        let endpoint = Endpoint::unnamed("http://127.0.0.1:1/?q=0", Arc::new(settings)).expect("a URL");
        let request = Request::new(&endpoint, folder.path(), &mut Clients::default()).expect("a request");
        let ask = Ask::once(Duration::from_secs(1));
        let call = request.call(&Moments { due: ask.due, now: ask.due, last_ok: None }, &ask).expect("a call");
        assert!(call.url.as_str().ends_with(&format!("/?q={token}")), "{}", call.url);
        request.fingerprint(&call)
    }

    #[test]
    fn of_a_token_in_the_url_there_are_only_16_bits_in_the_fingerprint() {
        // Two of which these bits are the same.
        let mut known = HashMap::new();
        let same = (0..).find_map(|number| {
            let token = format!("s3cret-{number}");
            let bits = conditional::fingerprint("", &HeaderMap::new(), "", Some(&token));
            known.insert(bits, token.clone()).map(|other| (token, other))
        });
        let (one, other) = same.expect("soon there is one");
        assert_eq!(fingerprint(&one), fingerprint(&other), "{one}, {other}");
        assert_ne!(fingerprint(&one), fingerprint("another"));
    }
}
