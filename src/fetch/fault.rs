//! An error of the HTTP library → an outcome and one line that says more.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use h2::Reason;
use reqwest::StatusCode;
use rustls::{CertificateError, InvalidMessage};

use super::address::BlockedAddress;
use super::attempt::Attempt;
use super::body::CutShort;
use super::connection::Connecting;
use crate::model::{Detail, Outcome, Phase};

/// `EMFILE`, `ENFILE`, `ENOMEM`, `ENOBUFS`, `EADDRNOTAVAIL` (no local port left), `EAGAIN` (no thread): Linux's numbers
/// for what is short on our side.
const OUR_SIDE: [i32; 6] = [24, 23, 12, 105, 99, 11];

/// A status with the reason that belongs to it, not the one that was sent.
pub fn named(status: StatusCode) -> String {
    format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default())
}

/// A request that got no answer; `connecting` is how far its connection came, if it needed a new one.
pub fn of_request(error: reqwest::Error, connecting: Option<&Connecting>) -> Attempt {
    let (outcome, detail) = classified(&error.without_url(), connecting);
    Attempt::failed(outcome, detail)
}

/// Whether an HTTP/2 server has said that it did not process the request (RFC 9113, section 8.7): it refused the stream,
/// closed the connection in order before it came to it, or wants HTTP/1.1. The library fails only the streams behind the last
/// that the server names so; those before are cut off with the connection, as any other.
pub fn was_not_processed(error: &reqwest::Error) -> bool {
    let refused = find::<h2::Error>(error).is_some_and(|error| is_refused_stream(error) || is_orderly_close(error));
    refused || wants_http1(error)
}

/// Whether an HTTP/2 server wants the request over HTTP/1.1 (RFC 9113, section 7), as for the sake of a client certificate.
pub fn wants_http1(error: &reqwest::Error) -> bool {
    let wants = |error: &h2::Error| error.is_remote() && error.reason() == Some(Reason::HTTP_1_1_REQUIRED);
    find::<h2::Error>(error).is_some_and(wants)
}

fn is_refused_stream(error: &h2::Error) -> bool {
    error.is_reset() && error.is_remote() && error.reason() == Some(Reason::REFUSED_STREAM)
}

/// The server ended the stream as TCP's RST does.
fn is_cut_off(error: &h2::Error) -> bool {
    let reasons = [Reason::REFUSED_STREAM, Reason::CANCEL, Reason::INTERNAL_ERROR, Reason::NO_ERROR];
    error.is_reset() && error.is_remote() && error.reason().is_some_and(|reason| reasons.contains(&reason))
}

fn is_orderly_close(error: &h2::Error) -> bool {
    error.is_go_away() && error.is_remote() && error.reason() == Some(Reason::NO_ERROR)
}

/// The server closed the connection for a fault of its own.
fn is_breakdown(error: &h2::Error) -> bool {
    error.is_go_away() && error.is_remote() && error.reason() == Some(Reason::INTERNAL_ERROR)
}

fn classified(error: &reqwest::Error, connecting: Option<&Connecting>) -> (Outcome, Detail) {
    let outcome = if is_our_side(error) {
        Outcome::Resource
    } else if error.is_timeout() {
        return (Outcome::Timeout, Detail::new(waited_for(error, connecting)));
    } else if let Some(blocked) = find::<BlockedAddress>(error) {
        return (Outcome::BlockedAddress, Detail::new(blocked.to_string()));
    } else if error.is_dns() {
        Outcome::Dns
    } else if let Some(tls) = find::<rustls::Error>(error) {
        return (Outcome::Tls, Detail::new(of_tls(tls)));
    } else if error.is_connect() {
        let detail = by_proxy(error).map_or_else(|| innermost(error), Detail::new);
        return (of_connect(error), detail);
    } else {
        match of_exchange(error) {
            // There was no answer yet that could have been cut.
            Outcome::Truncated => Outcome::Reset,
            outcome => outcome,
        }
    };
    (outcome, innermost(error))
}

/// What TLS failed by. Where the library has only an error's name in its source, in words.
fn of_tls(error: &rustls::Error) -> String {
    if let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = error {
        let name = format!("{other:?}");
        let words = [
            ("EkuError", "it is not for servers (extended key usage)"),
            ("UnsupportedCertVersion", "it is of version 1 of X.509, and only version 3 is taken"),
            ("CaUsedAsEndEntity", "it is that of an authority, not of a server"),
        ];
        if let Some((_, words)) = words.into_iter().find(|(part, _)| name.contains(part)) {
            return format!("invalid peer certificate: {words}");
        }
    }
    match error {
        rustls::Error::General(words) => words.clone(),
        rustls::Error::InvalidMessage(
            why @ (InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion),
        ) => format!("what came back is not TLS ({why:?})"),
        error => error.to_string(),
    }
}

/// What there was no more time for.
fn waited_for(error: &reqwest::Error, connecting: Option<&Connecting>) -> &'static str {
    let unfinished = connecting.filter(|connecting| error.is_connect() || connecting.ended.is_none());
    match unfinished.map(|connecting| connecting.phases.reached) {
        Some(Phase::Dns) => "looking up the name",
        Some(Phase::Tls) => "the TLS handshake",
        Some(_) => "connecting",
        None if error.is_connect() => "connecting",
        None => "waiting for the answer",
    }
}

/// An answer whose body broke off; `alone` is whether nobody else had a part in its connection.
pub fn of_body(error: &io::Error, alone: bool) -> (Outcome, Detail) {
    if error.kind() == ErrorKind::TimedOut || find::<reqwest::Error>(error).is_some_and(reqwest::Error::is_timeout) {
        return (Outcome::Timeout, Detail::new("reading the body"));
    }
    if let Some(tls) = find::<rustls::Error>(error) {
        return (Outcome::Tls, Detail::new(of_tls(tls)));
    }
    let http2 = find::<h2::Error>(error);
    if http2.is_some_and(|http2| http2.is_go_away() && !alone) {
        // Whose fault it was is not known to those who share a connection.
        return (Outcome::Reset, innermost(error));
    }
    // The library's own reset says the same, also of too much (RFC 9113, section 8.1.1).
    if http2.is_some_and(|http2| http2.is_library() && http2.is_reset()) || find::<CutShort>(error).is_some() {
        return (Outcome::Truncated, Detail::new(CutShort.to_string()));
    }
    // What does not come from the connection comes from the decoder behind it.
    let outcome = if find::<hyper::Error>(error).is_some() { of_exchange(error) } else { Outcome::Encoding };
    (outcome, innermost(error))
}

/// What a proxy did instead of connecting. The library keeps the status to itself, but for 407, and its error's type as
/// well, so its words are what there is.
fn by_proxy(error: &reqwest::Error) -> Option<&'static str> {
    chain(error).find_map(|cause| match cause.to_string().strip_prefix("tunnel error: ")? {
        "proxy authorization required" => Some("the proxy answered 407 Proxy Authentication Required"),
        "unsuccessful" => Some("the proxy refused to connect there: what it answered to CONNECT was not 200"),
        "unexpected end of file" => Some("the proxy closed the connection instead of answering CONNECT"),
        _ => None,
    })
}

fn of_connect(error: &reqwest::Error) -> Outcome {
    match io_kind(error) {
        // The handshake of TLS is part of connecting, and all that can be cut off in it.
        Some(ErrorKind::UnexpectedEof | ErrorKind::InvalidData) => Outcome::Tls,
        Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => Outcome::Reset,
        _ => Outcome::Connect,
    }
}

/// Between the first byte sent and the last received.
fn of_exchange(error: &(dyn Error + 'static)) -> Outcome {
    if let Some(kind) = io_kind(error) {
        match kind {
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => return Outcome::Reset,
            ErrorKind::UnexpectedEof => return Outcome::Truncated,
            _ => {}
        }
    }
    if find::<h2::Error>(error).is_some_and(|it| is_cut_off(it) || is_orderly_close(it) || is_breakdown(it)) {
        return Outcome::Reset;
    }
    match find::<hyper::Error>(error) {
        // The connection was closed before the first byte of an answer.
        Some(hyper) if hyper.is_incomplete_message() || hyper.is_canceled() || hyper.is_closed() => Outcome::Reset,
        _ => Outcome::Protocol,
    }
}

fn is_our_side(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|cause| {
        let number = cause.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
        number.is_some_and(|number| OUR_SIDE.contains(&number))
    })
}

/// The deepest I/O error's kind: outer ones only wrap it. HTTP/2's errors do not name one as their cause.
fn io_kind(error: &(dyn Error + 'static)) -> Option<ErrorKind> {
    let of_http2 = |cause: &'_ (dyn Error + 'static)| cause.downcast_ref::<h2::Error>()?.get_io().map(io::Error::kind);
    chain(error).filter_map(|cause| cause.downcast_ref().map(io::Error::kind).or_else(|| of_http2(cause))).last()
}

fn find<'e, T: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e T> {
    chain(error).find_map(|cause| cause.downcast_ref())
}

/// The cause that says most, and never the URL, which only the outermost error has, nor what a server wrote.
pub fn innermost(error: &(dyn Error + 'static)) -> Detail {
    if let Some(http2) = find::<h2::Error>(error)
        && let Some(reason) = http2.reason()
    {
        // Its own text repeats whatever the server put into a GOAWAY frame.
        let by = if http2.is_remote() { "the server" } else { "we" };
        let what = if http2.is_go_away() { "closed the connection" } else { "ended the stream" };
        return Detail::new(format!("HTTP/2: {by} {what}: {}", reason.description()));
    }
    if io_kind(error) == Some(ErrorKind::UnexpectedEof) {
        return Detail::new("the connection was closed before the end");
    }
    Detail::new(chain(error).last().unwrap_or(error).to_string())
}

/// The error and its causes, outermost first. An `io::Error` hides the error it was made from behind that one's own
/// cause, and so does an `Arc`, in which the resolver shares its errors; here it is a link of its own.
fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        if let Some(shared) = error.downcast_ref::<Arc<io::Error>>() {
            return Some(&**shared);
        }
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_on_our_side_is_known_behind_an_error_that_several_share() {
        const NO_THREAD: i32 = 11;
        const REFUSED: i32 = 111;
        let shared = |number| io::Error::other(Arc::new(io::Error::from_raw_os_error(number)));
        assert!(is_our_side(&shared(NO_THREAD)));
        assert!(!is_our_side(&shared(REFUSED)));
        assert_eq!(io_kind(&shared(REFUSED)), Some(ErrorKind::ConnectionRefused));
    }

    #[test]
    fn what_is_no_tls_and_certificates_for_another_use_are_told_in_words() {
        #[derive(Debug, thiserror::Error)]
        #[error("certificate had invalid extensions")]
        struct EkuError;
        let other = rustls::OtherError(Arc::new(EkuError));
        let told = of_tls(&rustls::Error::InvalidCertificate(CertificateError::Other(other)));
        assert_eq!(told, "invalid peer certificate: it is not for servers (extended key usage)");
        let plain = of_tls(&rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType));
        assert_eq!(plain, "what came back is not TLS (InvalidContentType)");
        let broken = of_tls(&rustls::Error::InvalidMessage(InvalidMessage::MissingData("ServerHello")));
        assert!(!broken.contains("not TLS"), "{broken}");
        let expired = rustls::Error::InvalidCertificate(CertificateError::Expired);
        assert_eq!(of_tls(&expired), expired.to_string());
    }
}
