//! Redirects, by a rule of our own: only as many as are asked for, only within one origin, so that credentials never
//! cross to another, and never from a public address to one that is not.

use std::net::IpAddr;

use reqwest::Url;
use reqwest::blocking::Response;
use reqwest::header::LOCATION;
use url::Host;

use super::address::{is_blocked, is_public};
use super::attempt::Attempt;
use super::deadline::Deadline;
use super::fault;
use super::request::{Call, Request};
use super::resolver::BlockedAddress;
use crate::model::{Detail, Outcome};

/// The answer to `call`, or of where it is redirected to, all by `deadline`. A redirect that is not followed is an
/// answer like any other when none are wanted, and a failure when they are.
pub fn follow(request: &Request, call: &Call, deadline: Deadline) -> Result<Response, Box<Attempt>> {
    let (mut url, mut public_only) = (call.url.clone(), false);
    let mut hops = 0;
    loop {
        check_literal(&url, public_only)?;
        let response = request.send(call, &url, deadline.left(), public_only).map_err(|error| {
            let connecting = request.connections.newest(&url, deadline.began());
            fault::of_request(error, connecting.as_ref())
        })?;
        let Some(location) = location(&response).filter(|_| request.redirects > 0) else { return Ok(response) };
        let refused = |why: String| {
            let failed = Attempt::failed(Outcome::Redirect, Detail::new(why));
            Box::new(Attempt { http_status: Some(response.status().as_u16()), ..failed })
        };
        if hops >= request.redirects {
            return Err(refused(format!("more than {} redirects", request.redirects)));
        }
        let next = url.join(&location).map_err(|_| refused("to something that is no URL".to_owned()))?;
        if next.origin() != url.origin() {
            return Err(refused("to another origin".to_owned()));
        }
        public_only |= response.remote_addr().is_some_and(|address| is_public(address.ip()));
        url = next;
        hops += 1;
    }
}

/// An address that stands in the URL itself is not resolved, so it is checked here. However it is spelt (decimal, hex,
/// octal), parsing the URL has made it an address.
pub fn check_literal(url: &Url, public_only: bool) -> Result<(), Box<Attempt>> {
    let address: IpAddr = match url.host() {
        Some(Host::Ipv4(address)) => address.into(),
        Some(Host::Ipv6(address)) => address.into(),
        Some(Host::Domain(_)) | None => return Ok(()),
    };
    if is_blocked(address) || (public_only && !is_public(address)) {
        let detail = Detail::new(BlockedAddress(address).to_string());
        return Err(Box::new(Attempt::failed(Outcome::BlockedAddress, detail)));
    }
    Ok(())
}

fn location(response: &Response) -> Option<String> {
    let value = response.headers().get(LOCATION).filter(|_| response.status().is_redirection())?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}
