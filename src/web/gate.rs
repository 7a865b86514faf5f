//! What every request passes first: is it short enough, for us, and from somebody who may ask? And the headers that every
//! answer has.

use std::rc::Rc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, HOST, HeaderMap, HeaderName, HeaderValue,
    REFERRER_POLICY, TRANSFER_ENCODING, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::{ConnectionType, Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, ResponseError, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq as _;

use super::api::Api;
use super::connection::Connection;
use super::problem::Problem;
use crate::config::Secret;

/// The longest request target in bytes.
const LONGEST_TARGET: usize = 8 * 1024;
/// The largest request body in bytes: no request needs one.
const LARGEST_BODY: usize = 4 * 1024;

/// For answers that no browser has to show as a page.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// Every answer to a request has its headers from here. What is no request by HTTP's rules never comes here: the library
/// answers that itself, with an empty 400, 408 (a head that does not come in time) or 431, and closes the connection.
pub async fn gate<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let connection = request.conn_data::<Rc<Connection>>().cloned();
    if let Some(connection) = &connection {
        connection.exchange();
    }
    let refused = match request.app_data::<web::Data<Api>>() {
        _ if connection.as_ref().is_some_and(|connection| connection.is_refused()) => {
            Some(Problem::bad_request("the request before this one was refused, and its connection is closed"))
        }
        Some(api) => check(&request, api).err(),
        None => Some(Problem::internal(&"no state")),
    };
    let mut response = match refused {
        Some(problem) => {
            match &connection {
                // By then nobody can get this answer.
                Some(connection) if connection.is_refused() => connection.close().await,
                Some(connection) => connection.refuse(),
                None => {}
            }
            let mut answer = problem.error_response();
            // As a header the library would leave it out.
            answer.head_mut().set_connection_type(ConnectionType::Close);
            request.into_response(answer)
        }
        None => next.call(request).await?.map_into_boxed_body(),
    };
    if response.status() == StatusCode::NOT_ACCEPTABLE {
        let problem = Problem::new(StatusCode::NOT_ACCEPTABLE, "answers come as they are or in gzip");
        response = response.into_response(problem.error_response());
    }
    secure(response.headers_mut());
    Ok(response)
}

fn secure(headers: &mut HeaderMap) {
    let mut add = |name: HeaderName, value: HeaderValue| {
        if !headers.contains_key(&name) {
            headers.insert(name, value);
        }
    };
    add(CONTENT_SECURITY_POLICY, POLICY);
    add(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    add(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    add(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin"));
    add(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    // Also where it came as it is (RFC 9110, section 12.5.5); what was packed has it already.
    add(VARY, HeaderValue::from_static("accept-encoding"));
}

fn check(request: &ServiceRequest, api: &Api) -> Result<(), Problem> {
    if request.uri().to_string().len() > LONGEST_TARGET {
        let detail = format!("the address is longer than {LONGEST_TARGET} bytes");
        return Err(Problem::new(StatusCode::URI_TOO_LONG, detail));
    }
    check_host(request, api)?;
    if !["/healthz", "/readyz"].contains(&request.path()) {
        check_token(request, api)?;
    }
    check_body(request.headers())
}

fn check_host(request: &ServiceRequest, api: &Api) -> Result<(), Problem> {
    // The library refuses several of them, and in HTTP/1.1 none.
    let host = request.headers().get(HOST);
    let host = host.ok_or_else(|| Problem::bad_request("a Host header is needed, also in HTTP/1.0"))?;
    let host = host.to_str().unwrap_or_default();
    // An absolute target names the host as well (RFC 9112, section 3.2.2).
    let target = request.uri().authority();
    if api.hosts.has(host) && target.is_none_or(|target| api.hosts.has(target.as_str())) {
        return Ok(());
    }
    let detail = "this server is not called by that name: use its address, or add the name to `hosts` under [server]";
    Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail))
}

/// Reading takes the token as soon as there is one; what changes something always does.
fn check_token(request: &ServiceRequest, api: &Api) -> Result<(), Problem> {
    let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    let Some(token) = &api.token else {
        if request.method() != Method::POST {
            return Ok(());
        }
        let detail = "without a token the API only reads: set `token` under [server], such as \
                      token = { env = \"GATHERD_TOKEN\" }, and send it as Authorization: Bearer …";
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    };
    let shown = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    // A browser sends a password by itself, also for a request that another site's page has made, so that one is only
    // good for reading.
    let token = token.current();
    if shown.is_some_and(|shown| is_bearer(shown, &token) || (reads && is_password(shown, &token))) {
        return Ok(());
    }
    let detail =
        if shown.is_some() { "that is not the token" } else { "the token is needed, as Authorization: Bearer …" };
    let problem = Problem::unauthorized(detail);
    let basic = HeaderValue::from_static("Basic realm=\"gatherd\", charset=\"UTF-8\"");
    Err(if reads { problem.with(WWW_AUTHENTICATE, basic) } else { problem })
}

/// RFC 6750, section 2.1.
fn is_bearer(shown: &str, token: &Secret) -> bool {
    credentials(shown, "bearer").is_some_and(|shown| is_same(shown.as_bytes(), token))
}

/// RFC 7617: any user, the token is the password. So a browser can show the page of the documentation.
fn is_password(shown: &str, token: &Secret) -> bool {
    let decoded = credentials(shown, "basic").and_then(|shown| STANDARD.decode(shown).ok());
    let password = decoded.as_deref().and_then(|pair| pair.splitn(2, |byte| *byte == b':').nth(1));
    password.is_some_and(|password| is_same(password, token))
}

fn credentials<'a>(shown: &'a str, wanted: &str) -> Option<&'a str> {
    let (scheme, rest) = shown.split_once(' ')?;
    scheme.eq_ignore_ascii_case(wanted).then(|| rest.trim())
}

/// In a time that says nothing about where the two differ.
fn is_same(shown: &[u8], token: &Secret) -> bool {
    shown.ct_eq(token.expose().as_bytes()).into()
}

fn check_body(headers: &HeaderMap) -> Result<(), Problem> {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > LARGEST_BODY) || headers.contains_key(TRANSFER_ENCODING) {
        let detail = format!("a body has at most {LARGEST_BODY} bytes and a Content-Length; none is needed");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    Ok(())
}
