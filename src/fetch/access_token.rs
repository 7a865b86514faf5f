//! Access tokens by OAuth2 client credentials (RFC 6749, section 4.4): one for all requests that ask with the same
//! credentials, renewed before it expires and when an API refuses it, by one request at a time.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::iter;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use oauth2::basic::{BasicClient, BasicTokenType};
use oauth2::{AuthType, ClientId, ClientSecret, HttpRequest, HttpResponse, Scope, TokenResponse, TokenUrl};
use reqwest::StatusCode;
use reqwest::blocking::{Client, Request, Response};
use reqwest::header::{HeaderValue, USER_AGENT};
use url::form_urlencoded;

use super::attempt::Attempt;
use super::credentials::basic_secrets;
use super::deadline::Deadline;
use super::evidence::{self, Seen};
use super::redact::Redactor;
use super::secrets::secret_parameters;
use super::token_answer::{self, NoAnswer, Told, failed};
use super::{fault, redirect, retry};
use crate::config::{LiveSecret, OAuth2, Secret, host_of};
use crate::model::{Detail, Outcome};

/// So long before its end a token is renewed, or a tenth of its life if that is shorter.
const AHEAD: Duration = Duration::from_mins(1);
/// After a renewal ahead of time that failed, the next one is tried after so long.
const PAUSE: Duration = Duration::from_secs(10);
/// So long a token that took the place of a refused one is not replaced itself: an API that refuses every token would
/// otherwise cost one in each round.
const NOT_REPLACED: Duration = Duration::from_mins(1);

/// So many former tokens are known, to be hidden in what is still told of them.
const FORMER: usize = 4;

/// The access tokens for one set of credentials.
pub struct AccessTokens {
    settings: OAuth2,
    /// That of its URL, as hosts are called where they are left alone.
    host: Arc<str>,
    secret: LiveSecret,
    client: Client,
    user_agent: HeaderValue,
    /// What a proxy on the way to the token endpoint is told.
    proxy_secrets: Vec<String>,
    state: Mutex<State>,
    /// A renewal ended.
    renewed: Condvar,
}

#[derive(Default)]
struct State {
    token: Option<Arc<AccessToken>>,
    /// Those before it, the last one first.
    former: VecDeque<Arc<AccessToken>>,
    renewing: bool,
    renewals: u64,
    failure: Option<Failure>,
}

/// Why the last renewal failed.
struct Failure {
    attempt: Attempt,
    at: Instant,
    /// The time that it had.
    allowed: Duration,
    /// The pause that the token endpoint asked for.
    pause: Option<Duration>,
}

impl Failure {
    fn new(mut attempt: Attempt, allowed: Duration) -> Self {
        // It is the token endpoint that is to be left alone, not the host that the token is for.
        let pause = attempt.retry_after.take();
        Self { attempt, at: Instant::now(), allowed, pause }
    }

    /// Whether it may have failed only because it had less time than `left`.
    fn was_hurried(&self, left: Duration) -> bool {
        self.attempt.outcome == Outcome::Timeout && self.allowed < left
    }

    /// Whether the token endpoint wants to be left alone.
    fn holds(&self) -> bool {
        self.pause.is_some_and(|pause| self.at.elapsed() < pause)
    }

    /// Whether it is too early for another renewal ahead of time.
    fn is_recent(&self) -> bool {
        self.at.elapsed() < PAUSE.max(self.pause.unwrap_or_default())
    }
}

/// One access token.
pub struct AccessToken {
    value: Secret,
    issued: Instant,
    renew_from: Option<Instant>,
    expires: Option<Instant>,
    /// Whether it was asked for because another was refused.
    is_replacement: bool,
}

impl AccessToken {
    fn new(value: Secret, life: Option<Duration>) -> Self {
        let issued = Instant::now();
        let expires = life.map(|life| issued + life.min(Duration::from_hours(24 * 366)));
        let renew_from = life.and_then(|life| expires?.checked_sub(AHEAD.min(life / 10)));
        Self { value, issued, renew_from, expires, is_replacement: false }
    }

    /// As `Authorization: Bearer`.
    pub fn header(&self) -> HeaderValue {
        self.value.header(&HeaderValue::from_static("Bearer"))
    }

    /// When it was issued, which tells it from the others.
    pub fn issued(&self) -> Instant {
        self.issued
    }

    /// Whether another in its place would be refused as well, by all that is known; `has_worked` is whether the API took
    /// this one before.
    fn is_replaced_in_vain(&self, has_worked: bool) -> bool {
        self.is_replacement && !has_worked && self.issued.elapsed() < NOT_REPLACED
    }

    fn is_to_be_renewed(&self) -> bool {
        self.renew_from.is_some_and(|from| from <= Instant::now())
    }

    fn has_expired(&self) -> bool {
        self.expires.is_some_and(|expires| expires <= Instant::now())
    }
}

/// So many characters of a token endpoint's host are in a detail.
const LONGEST_NAME: usize = 80;

/// Ends a renewal, also when it panics.
struct Renewal<'t>(&'t AccessTokens);

impl Drop for Renewal<'_> {
    fn drop(&mut self) {
        self.0.lock().renewing = false;
        self.0.renewed.notify_all();
    }
}

impl AccessTokens {
    /// Tokens that are asked for through `client`, whose proxy is told `proxy_secrets`.
    pub fn new(
        settings: OAuth2,
        secret: LiveSecret,
        client: Client,
        user_agent: HeaderValue,
        proxy_secrets: Vec<String>,
    ) -> Self {
        let (state, renewed) = (Mutex::default(), Condvar::new());
        let host = host_of(&settings.token_url);
        Self { settings, host, secret, client, user_agent, proxy_secrets, state, renewed }
    }

    /// The host to be asked for a token, unless one is there that serves.
    pub fn host_to_ask(&self) -> Option<Arc<str>> {
        let serves = self.lock().token.as_ref().is_some_and(|token| !token.has_expired());
        (!serves).then(|| Arc::clone(&self.host))
    }

    /// A token that has not expired. One that is about to is renewed first; while somebody else does that, it serves on.
    pub fn current(&self, deadline: Deadline) -> Result<Arc<AccessToken>, Attempt> {
        self.token_but(None, deadline)
    }

    /// The token, unless it is the one that was issued when the refused one was.
    fn token_but(&self, refused: Option<Instant>, deadline: Deadline) -> Result<Arc<AccessToken>, Attempt> {
        let mut state = self.lock();
        let mut asked_at = state.renewals;
        loop {
            let serves = |token: &Arc<AccessToken>| !token.has_expired() && Some(token.issued) != refused;
            let token = state.token.clone().filter(serves);
            let failed_lately = state.failure.as_ref().is_some_and(Failure::is_recent);
            let serves = |token: &&Arc<AccessToken>| state.renewing || failed_lately || !token.is_to_be_renewed();
            if let Some(token) = token.as_ref().filter(serves) {
                return Ok(Arc::clone(token));
            }
            if let Some(failure) = state.failure.as_ref().filter(|failure| failure.holds()) {
                return Err(failure.attempt.clone());
            }
            if !state.renewing {
                state.renewing = true;
                drop(state);
                return match token {
                    // It is not needed yet, so the request keeps time for itself.
                    Some(token) => Ok(self.renew(false, deadline.left() / 2).unwrap_or(token)),
                    None => self.renew(refused.is_some(), deadline.left()),
                };
            }
            let left = deadline.left();
            if left.is_zero() {
                let detail = Detail::new("waiting for an access token");
                return Err(Attempt::failed(Outcome::Timeout, detail));
            }
            state = self.renewed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            if state.renewals > asked_at {
                asked_at = state.renewals;
                // All who waited for a renewal that failed fail with it, instead of one after the other, but for those who
                // have more time left than it had; and all use its token once, however short its life is.
                match &state.failure {
                    Some(failure) if !failure.was_hurried(deadline.left()) => return Err(failure.attempt.clone()),
                    Some(_) => {}
                    None => {
                        if let Some(token) = state.token.as_ref().filter(|token| Some(token.issued) != refused) {
                            return Ok(Arc::clone(token));
                        }
                    }
                }
            }
        }
    }

    /// A token in the place of one that an API refused, which `has_worked` before or not; `None` where another would be
    /// refused as well.
    pub fn instead_of(
        &self,
        refused: &AccessToken,
        has_worked: bool,
        deadline: Deadline,
    ) -> Result<Option<Arc<AccessToken>>, Attempt> {
        if refused.is_replaced_in_vain(has_worked) {
            // One that somebody else has got meanwhile costs nothing.
            let token = self.lock().token.clone();
            return Ok(token.filter(|token| token.issued != refused.issued && !token.has_expired()));
        }
        // Others go on with theirs until there is another: it may be this endpoint alone that refuses it.
        self.token_but(Some(refused.issued), deadline).map(Some)
    }

    /// The client's secret and the token, as they are and as they were before.
    pub fn secrets(&self) -> Vec<String> {
        let client = iter::once(self.secret.current()).chain(self.secret.former());
        let client = client.map(|secret| secret.expose().to_owned());
        let state = self.lock();
        let tokens = state.token.iter().chain(&state.former).map(|token| token.value.expose().to_owned());
        client.chain(tokens).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn renew(&self, is_replacement: bool, allowed: Duration) -> Result<Arc<AccessToken>, Attempt> {
        // Dropped last, when it is known how it ended.
        let _renewal = Renewal(self);
        let token = self.fetch(Deadline::after(allowed));
        let mut state = self.lock();
        state.renewals += 1;
        match token {
            Ok(token) => {
                let token = Arc::new(AccessToken { is_replacement, ..token });
                if let Some(former) = state.token.replace(Arc::clone(&token)) {
                    state.former.push_front(former);
                    state.former.truncate(FORMER);
                }
                state.failure = None;
                Ok(token)
            }
            Err(attempt) => {
                let failure = Failure::new(self.told(attempt), allowed);
                // Who asked hands the pause on, for all who ask that host.
                let token_host = failure.pause.map(|_| Arc::clone(&self.host));
                let attempt = Attempt { retry_after: failure.pause, token_host, ..failure.attempt.clone() };
                state.failure = Some(failure);
                Err(attempt)
            }
        }
    }

    /// A failure of the token endpoint, whose name it gets: the endpoint itself was not asked.
    fn told(&self, failed: Attempt) -> Attempt {
        let url = &self.settings.token_url;
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        // So much of it that the reason is told as well, however long the name is.
        let name: String = url.host_str().unwrap_or_default().chars().take(LONGEST_NAME).collect();
        let host = format!("{name}{port}");
        let detail = failed.detail.map(|detail| Detail::new(format!("access token from {host}: {detail}")));
        Attempt { detail, ..failed }
    }

    fn fetch(&self, deadline: Deadline) -> Result<AccessToken, Attempt> {
        let OAuth2 { token_url, client_id, scopes, parameters, in_body, .. } = &self.settings;
        let secret = self.secret.current();
        let client = BasicClient::new(ClientId::new(client_id.clone()))
            .set_client_secret(ClientSecret::new(secret.expose().to_owned()))
            .set_token_uri(TokenUrl::from_url(token_url.clone()))
            .set_auth_type(if *in_body { AuthType::RequestBody } else { AuthType::BasicAuth });
        let mut request = client.exchange_client_credentials();
        for scope in scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        for (name, value) in parameters {
            request = request.add_extra_param(name, value);
        }
        let told = RefCell::new(Told::default());
        let send = |request: HttpRequest| self.send(request, deadline, &mut told.borrow_mut()).map_err(NoAnswer);
        let answer = request.request(&send).map_err(|error| {
            let told = told.borrow();
            self.with_what_came(token_answer::failure(error, told.status), &told, secret.expose())
        })?;
        let unfit = |why| self.with_what_came(failed(Outcome::NotJson, why), &told.borrow(), secret.expose());
        match answer.token_type() {
            BasicTokenType::Bearer => {}
            BasicTokenType::Mac => return Err(unfit("its token_type is mac, and only bearer can be used")),
            BasicTokenType::Extension(_) => return Err(unfit("its token_type is not bearer, which alone can be used")),
        }
        let token = Some(answer.access_token().secret().as_str()).filter(|token| !token.is_empty());
        let token = Secret::new(token.ok_or_else(|| unfit("the access_token is empty"))?);
        Ok(AccessToken::new(token.ok_or_else(|| unfit("it has a control character"))?, answer.expires_in()))
    }

    /// Sends `request`, once more where the server says that it did not process it.
    fn execute(&self, mut request: Request, deadline: Deadline) -> reqwest::Result<Response> {
        *request.timeout_mut() = Some(deadline.left());
        let again = request.try_clone();
        match (self.client.execute(request), again) {
            (Err(error), Some(mut again)) if fault::was_not_processed(&error) => {
                *again.timeout_mut() = Some(deadline.left());
                self.client.execute(again)
            }
            (result, _) => result,
        }
    }

    /// `failed`, with what the token endpoint answered if it did.
    fn with_what_came(&self, failed: Attempt, told: &Told, secret: &str) -> Attempt {
        if told.headers.is_none() {
            return failed;
        }
        let OAuth2 { client_id, token_url, parameters, .. } = &self.settings;
        // The library sends both as a form has them (RFC 6749, section 2.3.1).
        let coded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let mut secrets = basic_secrets(client_id, secret);
        secrets.extend(basic_secrets(&coded(client_id), &coded(secret)));
        secrets.extend(secret_parameters(token_url).chain(self.proxy_secrets.iter().cloned()));
        let others = parameters.iter().filter(|(name, _)| !["audience", "resource", "scope"].contains(&name.as_str()));
        secrets.extend(others.map(|(_, value)| value.clone()));
        told.secrets(&mut secrets);
        let redactor = Redactor::new(secrets);
        let (headers, body, cut) = told.worth_keeping(&redactor);
        let seen = Seen { status: told.status.as_u16(), headers: &headers, body: &body, cut };
        let evidence = evidence::of_token_request(token_url, &redactor, &seen);
        let http_status = Some(told.status.as_u16());
        Attempt { http_status, retry_after: told.pause, evidence: Some(evidence), ..failed }
    }

    /// The answer as the library can read it; what came is `told`.
    fn send(&self, request: HttpRequest, deadline: Deadline, told: &mut Told) -> Result<HttpResponse, Attempt> {
        redirect::check_literal(&self.settings.token_url, false)?;
        let mut request = Request::try_from(request).map_err(|error| fault::of_request(error, None))?;
        request.headers_mut().insert(USER_AGENT, self.user_agent.clone());
        let mut response = self.execute(request, deadline).map_err(|error| fault::of_request(error, None))?;
        let status = response.status();
        let (pause, headers) = (retry::asked_pause(status, response.headers()), Some(response.headers().clone()));
        *told = Told { status, pause, headers, body: Vec::new(), cut: true };
        let body = match token_answer::read(&mut response) {
            Ok(body) => body,
            // A refusal counts more than what its body looks like.
            Err(_) if !status.is_success() => Vec::new(),
            Err((outcome, detail)) => return Err(failed(outcome, detail.as_str())),
        };
        (told.body, told.cut) = (body.clone(), false);
        // Without headers: the library would refuse JSON that is called something else, and any success but 200.
        let mut answer = HttpResponse::new(token_answer::tolerated(body));
        *answer.status_mut() = if status.is_success() { StatusCode::OK } else { status };
        Ok(answer)
    }
}
