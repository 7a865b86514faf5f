//! Redirects, by a rule of our own: only as many as are asked for, only within one origin, so that credentials never
//! cross to another, and never from a public address to one that is not.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Instant;

use reqwest::blocking::Response;
use reqwest::header::LOCATION;
use reqwest::{StatusCode, Url};
use url::Host;

use super::address::{BlockedAddress, is_public};
use super::asking::{Asking, Place};
use super::attempt::Attempt;
use super::common::Over;
use super::connection::{Made, phases_of_unanswered};
use super::deadline::Deadline;
use super::fault;
use super::request::{Call, Request, without_userinfo};
use crate::model::{Detail, Outcome};

/// So often a request is sent again that servers say they did not process.
const MOST_AGAIN: u32 = 3;

/// What the HTTP library takes for a URL.
const LONGEST_URL: usize = 65_534;

/// Where following redirects has ended.
pub struct Followed {
    /// The last answer.
    pub response: Response,
    /// Why the redirect that it asks for is not followed, though some are wanted.
    pub refused: Option<Detail>,
    /// The last connection that was made for it, if one was.
    pub made: Option<Made>,
    /// What the answer takes until it is read.
    pub place: Place,
}

/// The answer to `call`, or of where it is redirected to, all by `deadline`. When no redirects are wanted, one is an
/// answer like any other. What is sent there is said by [`Call::redirected`].
pub fn follow(request: &Request, call: &Call, alone: bool, deadline: Deadline) -> Result<Followed, Attempt> {
    let (mut url, mut public_only, mut call) = (Cow::Borrowed(&call.url), false, Cow::Borrowed(call));
    let most = request.settings().redirects;
    let (mut hops, mut last_made) = (0, None);
    loop {
        check_literal(&url, public_only)?;
        let (response, made, place) = send(request, &call, &url, (public_only, alone), deadline)?;
        last_made = made.or(last_made);
        let Some(location) = location(&response).filter(|_| most > 0) else {
            return Ok(Followed { response, refused: None, made: last_made, place });
        };
        let next = if hops < most { target(&url, &location) } else { Err(format!("more than {most} redirects")) };
        url = match next {
            Ok(next) => Cow::Owned(next),
            Err(why) => return Ok(Followed { response, refused: Some(Detail::new(why)), made: last_made, place }),
        };
        public_only |= response.remote_addr().is_some_and(|address| is_public(address.ip()));
        call = Cow::Owned(call.redirected(response.status()));
        hops += 1;
    }
}

/// Where a `Location` leads from `url`, or why nobody goes there. Credentials are ours, whatever the server would like to
/// put there.
fn target(url: &Url, location: &str) -> Result<Url, String> {
    let next = url.join(location).map_err(|_| "to something that is no URL")?;
    if next.as_str().len() > LONGEST_URL {
        return Err(format!("to a URL of more than {LONGEST_URL} bytes"));
    }
    // The origin of a `blob:` URL is that of the URL inside it.
    let is_same = next.scheme() == url.scheme() && next.origin() == url.origin();
    if is_same { Ok(without_userinfo(&next).0) } else { Err("to another origin".to_owned()) }
}

/// The answer to one request, with the connection that was made for it. What went wrong with a connection that others
/// used before it, or beside it, says nothing about this request: a server closes a connection that was kept alive at the
/// moment of its next use, and over HTTP/2 all fail that share a connection with one bad answer. So an idempotent request
/// is sent once more, over a connection of its own (RFC 9110, section 9.2.2). So is what an HTTP/2 server says that it did
/// not process.
fn send(
    request: &Request,
    call: &Call,
    url: &Url,
    (public_only, alone): (bool, bool),
    deadline: Deadline,
) -> Result<(Response, Option<Made>, Place), Attempt> {
    let connections = &request.common.connections;
    let mut alone = alone || public_only;
    let mut sent_again = 0;
    loop {
        let (asking, place) = connections.ask(url);
        alone |= asking.is_to_be_alone;
        let over = match (public_only, alone) {
            (true, _) => Over::PublicOnly,
            (false, alone) if asking.wants_http1 => Over::Http1 { alone },
            (false, true) => Over::Alone,
            (false, false) => Over::Lane(place.lane()),
        };
        match request.send(call, url, deadline.left(), over) {
            Ok(response) => return Ok((response, asking.answered(), place)),
            Err(error) => {
                if fault::wants_http1(&error) {
                    asking.want_http1();
                }
                let (failed, may_be_repeated) = unanswered(error, call, &asking, alone, deadline);
                if !may_be_repeated || sent_again == MOST_AGAIN || deadline.left().is_zero() {
                    return Err(failed);
                }
            }
        }
        alone = true;
        sent_again += 1;
    }
}

/// A request that got no answer, and whether it may be sent again at once. Apart, because its stack would be in the way of
/// those that get one.
#[cold]
fn unanswered(error: reqwest::Error, call: &Call, asking: &Asking, alone: bool, deadline: Deadline) -> (Attempt, bool) {
    let unprocessed = fault::was_not_processed(&error);
    let connecting = asking.made().map(|made| made.connecting(Instant::now()));
    let mut failed = fault::of_request(error, connecting.as_ref());
    let shared = !alone && asking.may_have_shared();
    if shared && failed.outcome == Outcome::Timeout {
        asking.unanswered();
    }
    let cut_off = matches!(failed.outcome, Outcome::Reset | Outcome::Protocol) && call.method.is_idempotent();
    failed.phases = Some(phases_of_unanswered(failed.outcome, connecting, deadline.began()).into());
    (failed, cut_off && shared || unprocessed)
}

/// An address that stands in the URL itself is not resolved, so it is checked here. However it is spelt (decimal, hex,
/// octal), parsing the URL has made it an address.
pub fn check_literal(url: &Url, public_only: bool) -> Result<(), Attempt> {
    let failed = |blocked: BlockedAddress| Attempt::failed(Outcome::BlockedAddress, Detail::new(blocked.to_string()));
    blocked_literal(url, public_only).map_or(Ok(()), |blocked| Err(failed(blocked)))
}

/// The address that stands in `url`, if it is one that is not connected to.
pub fn blocked_literal(url: &Url, public_only: bool) -> Option<BlockedAddress> {
    let address: IpAddr = match url.host()? {
        Host::Ipv4(address) => address.into(),
        Host::Ipv6(address) => address.into(),
        Host::Domain(_) => return None,
    };
    BlockedAddress::of(address, public_only)
}

/// Whether a status sends the same request elsewhere (RFC 9110, section 15.4); 300 and 304 do not.
pub fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn location(response: &Response) -> Option<String> {
    let value = response.headers().get(LOCATION).filter(|_| is_redirect(response.status()))?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}
