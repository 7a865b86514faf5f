//! HTTP/2: that it is spoken, and what its servers say of requests that they have not processed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use gatherd::model::Outcome;
use gatherd::sample_api::SAMPLE_CA;
use h2::Reason;
use h2::server::{Connection, SendResponse};
use hyper::body::Bytes;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

use crate::support;
use crate::support::daemon::Home;
use crate::support::once::{detail, round, slot, text};

/// GOAWAY without an error, by which no request was processed, or the first may have been.
const LEFT_BEFORE: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const LEFT_AFTER: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
/// The head of a 200, and data that are not the last.
const CUT: [u8; 20] = [0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88, 0, 0, 1, 0, 0, 0, 0, 0, 1, b'1'];

/// The head of a 200 with the length of its body, a part of that, and the end of the stream without an error.
const CUT_WITHOUT_AN_ERROR: [u8; 36] = [
    0, 0, 4, 1, 4, 0, 0, 0, 1, 0x88, 0x5C, 1, b'9', 0, 0, 1, 0, 0, 0, 0, 0, 1, b'1', 0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0,
    0, 0,
];

/// GOAWAY with an error, before any request was processed, and with a token in what it says of it.
const TELLS: &[u8] = b"\0\0\x1c\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0bbad token s3cret-and-more";

/// GOAWAY for a fault of the server's own, before any request was processed.
const BREAKS_DOWN: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

/// What every request is answered with, also one for an access token.
const ANSWER: &str = r#"{"access_token":"t","token_type":"bearer"}"#;

/// How often each path was asked for.
type Counts = Arc<Mutex<HashMap<String, usize>>>;

/// A server that speaks nothing but HTTP/2, and says so in the handshake.
struct Server {
    port: u16,
    counts: Counts,
    folder: TempDir,
}

impl Server {
    fn start() -> Self {
        Self::with(0, &[], usize::MAX)
    }

    /// One that answers so many requests on its first connection, and then neither reads nor writes nor closes it.
    fn falling_silent_after(requests: usize) -> Self {
        Self::with(0, &[], requests)
    }

    /// One that answers the first request on the first `connections` with these frames (RFC 9113), and closes them.
    fn leaving(connections: usize, frames: &'static [u8]) -> Self {
        Self::with(connections, frames, usize::MAX)
    }

    fn with(connections: usize, frames: &'static [u8], requests: usize) -> Self {
        let acceptor = acceptor(&["h2"]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let counts = Counts::default();
        let counted = Arc::clone(&counts);
        std::thread::spawn(move || {
            runtime.block_on(accept(listener, acceptor, counted, (connections, frames), requests));
        });
        Self { port, counts, folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// The keys of a job that trusts it.
    fn keys(&self, further: &str) -> String {
        format!("ca_file = {:?}\nretries = 0\n{further}", support::write(self.folder.path(), "ca.pem", SAMPLE_CA))
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    fn count(&self, path: &str) -> usize {
        self.counts.lock().expect("the counts").get(path).copied().unwrap_or_default()
    }
}

/// Speaks TLS, and one of these protocols, as a server with the sample certificate.
pub fn acceptor(protocols: &[&str]) -> TlsAcceptor {
    let certificate = include_bytes!("../../src/sample_api/certificates/good.pem");
    let certificates =
        CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>().expect("certificates");
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../../src/sample_api/certificates/server-key.pem"));
    let config = ServerConfig::builder().with_no_client_auth();
    let mut config = config.with_single_cert(certificates, key.expect("a key")).expect("TLS");
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    counts: Counts,
    (mut left, frames): (usize, &'static [u8]),
    mut requests: usize,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, counts, leaves) = (acceptor.clone(), Arc::clone(&counts), left > 0);
        left = left.saturating_sub(1);
        let most = std::mem::replace(&mut requests, usize::MAX);
        tokio::spawn(async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            if leaves {
                *counts.lock().expect("the counts").entry("left".to_owned()).or_default() += 1;
                let _ = leave(&mut stream, frames).await;
            } else if let Ok(connection) = h2::server::handshake(stream).await {
                serve(connection, &counts, most).await;
            }
        });
    }
}

/// Waits for a request, and answers it with `frames` and the end of the connection.
async fn leave(stream: &mut TlsStream<TcpStream>, frames: &[u8]) -> std::io::Result<()> {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const PREFACE: usize = 24;
    const HEADERS: u8 = 1;
    stream.write_all(&SETTINGS).await?;
    stream.read_exact(&mut [0; PREFACE]).await?;
    let mut head = [0; 9];
    while head[3] != HEADERS {
        stream.read_exact(&mut head).await?;
        let size = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        stream.read_exact(&mut vec![0; size as usize]).await?;
    }
    stream.write_all(frames).await?;
    stream.shutdown().await?;
    tokio::io::copy(stream, &mut tokio::io::sink()).await.map(drop)
}

/// `/refused/N` refuses the first N requests, `/broken` resets each with an error, `/abrupt` the whole connection,
/// `/redirect` leads to `/some`, `/head/N` answers with so many headers of a thousand bytes.
async fn serve(mut connection: Connection<TlsStream<TcpStream>, Bytes>, counts: &Counts, most: usize) {
    let mut served = 0;
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        if served == most {
            return std::future::pending().await;
        }
        served += 1;
        let path = request.uri().path().to_owned();
        let nth = {
            let mut counts = counts.lock().expect("the counts");
            let count = counts.entry(path.clone()).or_default();
            *count += 1;
            *count
        };
        let (mode, argument) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
        match mode {
            "refused" if argument.parse().is_ok_and(|number: usize| nth <= number) => {
                respond.send_reset(Reason::REFUSED_STREAM);
            }
            "broken" => respond.send_reset(Reason::INTERNAL_ERROR),
            "abrupt" => connection.abrupt_shutdown(Reason::INTERNAL_ERROR),
            "head" => large_head(&mut respond, argument.parse().expect("a number")),
            "redirect" => redirect(&mut respond, request.uri()),
            // Forbidden by RFC 9113, section 8.3.1.
            _ if request.uri().authority().is_none_or(|authority| authority.as_str().contains('@')) => {
                answer(&mut respond, 400);
            }
            _ => answer(&mut respond, if mode == "missing" { 404 } else { 200 }),
        }
    }
}

/// To `/some` of the same server, with a name and a password.
fn redirect(respond: &mut SendResponse<Bytes>, from: &http::Uri) {
    let authority = from.authority().map_or("", |authority| authority.as_str());
    let answer = http::Response::builder().status(302).header("location", format!("https://me:pw@{authority}/some"));
    let _ = respond.send_response(answer.body(()).expect("an answer"), true);
}

fn large_head(respond: &mut SendResponse<Bytes>, headers: usize) {
    let answer = http::Response::builder().status(200);
    let header = |answer: http::response::Builder, number| answer.header(format!("x-{number}"), "&".repeat(1_000));
    let answer = (0..headers).fold(answer, header).body(()).expect("an answer");
    if let Ok(mut body) = respond.send_response(answer, false) {
        let _ = body.send_data(ANSWER.into(), true);
    }
}

fn answer(respond: &mut SendResponse<Bytes>, status: u16) {
    let answer = http::Response::builder().status(status).body(()).expect("an answer");
    if let Ok(mut body) = respond.send_response(answer, false) {
        let _ = body.send_data(ANSWER.into(), true);
    }
}

#[test]
fn http_2_is_spoken_with_servers_that_offer_it() {
    let server = Server::start();
    let urls: Vec<String> = (0..50).map(|number| server.url(&format!("/some/{number}"))).collect();
    let slots = round(&server.keys(""), &urls);
    assert!(slots.iter().all(|slot| slot.outcome == Outcome::Ok), "{:?}", slots[0]);
    assert_eq!(text(&slots[0]), ANSWER);
    let missing = slot(&server.keys(""), &server.url("/missing"));
    assert_eq!((missing.outcome, missing.http_status), (Outcome::HttpStatus, Some(404)));
}

#[test]
fn a_head_may_be_as_large_as_over_http_1() {
    let server = Server::start();
    for (headers, outcome) in [(17, Outcome::Ok), (380, Outcome::Ok), (420, Outcome::Protocol)] {
        let slot = slot(&server.keys(""), &server.url(&format!("/head/{headers}")));
        assert_eq!(slot.outcome, outcome, "{headers}: {slot:?}");
    }
}

#[test]
fn a_request_that_a_server_did_not_process_is_sent_again_whatever_its_method() {
    let server = Server::start();
    for (method, path) in [("GET", "/refused/2"), ("POST", "/refused/3")] {
        let slot = slot(&server.keys(&format!("method = {method:?}")), &server.url(path));
        assert_eq!((slot.outcome, slot.attempts), (Outcome::Ok, 1), "{method}: {slot:?}");
    }
    assert_eq!((server.count("/refused/2"), server.count("/refused/3")), (3, 4));
}

#[test]
fn a_request_that_a_server_had_not_come_to_when_it_left_is_sent_again_whatever_its_method() {
    for method in ["GET", "POST"] {
        let server = Server::leaving(3, &LEFT_BEFORE);
        let slot = slot(&server.keys(&format!("method = {method:?}")), &server.url("/some"));
        assert_eq!((slot.outcome, slot.attempts), (Outcome::Ok, 1), "{method}: {slot:?}");
        assert_eq!((server.count("left"), server.count("/some")), (3, 1));
    }
}

#[test]
fn a_request_that_a_server_may_have_processed_before_it_left_is_a_reset() {
    let server = Server::leaving(1, &LEFT_AFTER);
    let slot = slot(&server.keys("method = \"POST\""), &server.url("/some"));
    assert_eq!((slot.outcome, slot.attempts), (Outcome::Reset, 1), "{slot:?}");
    assert_eq!((server.count("left"), server.count("/some")), (1, 0), "it is not done twice");
}

#[test]
fn a_server_that_never_processes_anything_is_a_reset_which_may_pass() {
    let refusing = Server::start();
    let leaving = Server::leaving(usize::MAX, &LEFT_BEFORE);
    for (server, path, counted, told) in [
        (&refusing, "/refused/999", "/refused/999", "refused stream"),
        (&leaving, "/some", "left", "not a result of an error"),
    ] {
        let keys = server.keys("").replace("retries = 0", "retries = 1");
        let slot = slot(&keys, &server.url(path));
        assert_eq!((slot.outcome, slot.attempts), (Outcome::Reset, 2), "{slot:?}");
        assert!(detail(&slot).contains(told), "{}", detail(&slot));
        assert_eq!(server.count(counted), 8, "each attempt is bounded");
    }
    let broken = slot(&refusing.keys(""), &refusing.url("/broken"));
    assert_eq!((broken.outcome, refusing.count("/broken")), (Outcome::Reset, 1), "{broken:?}");
}

#[test]
fn a_server_that_breaks_down_is_a_reset_which_may_pass() {
    let server = Server::leaving(1, &BREAKS_DOWN);
    let keys = server.keys("method = \"POST\"").replace("retries = 0", "retries = 1");
    let slot = slot(&keys, &server.url("/some"));
    assert_eq!((slot.outcome, slot.attempts), (Outcome::Ok, 2), "{slot:?}");
}

#[test]
fn a_body_that_is_cut_off_with_its_connection_is_a_reset() {
    let server = Server::leaving(usize::MAX, &CUT);
    let slot = slot(&server.keys(""), &server.url("/some"));
    assert_eq!((slot.outcome, slot.http_status), (Outcome::Reset, Some(200)), "{slot:?}");
    assert_eq!((slot.attempts, server.count("left")), (1, 2), "once more over a connection of its own");
}

#[test]
fn a_body_that_is_cut_off_with_a_connection_that_others_may_share_is_asked_for_once_more() {
    for (method, outcome) in [("GET", Outcome::Ok), ("POST", Outcome::Reset)] {
        let server = Server::leaving(1, &CUT);
        let slot = slot(&server.keys(&format!("method = {method:?}")), &server.url("/some"));
        assert_eq!((slot.outcome, slot.attempts), (outcome, 1), "{method}: {slot:?}");
    }
}

#[test]
fn a_body_whose_stream_ends_without_an_error_before_its_length_is_truncated() {
    let server = Server::leaving(usize::MAX, &CUT_WITHOUT_AN_ERROR);
    let slot = slot(&server.keys(""), &server.url("/some"));
    assert_eq!((slot.outcome, slot.http_status), (Outcome::Truncated, Some(200)), "{slot:?}");
    assert_eq!(detail(&slot), "not as long as Content-Length says");
}

#[test]
fn userinfo_that_a_redirect_brings_along_is_not_sent() {
    let server = Server::start();
    let slot = slot(&server.keys("redirects = 1"), &server.url("/redirect"));
    assert_eq!(slot.outcome, Outcome::Ok, "{slot:?}");
    assert_eq!(server.count("/some"), 1);
}

#[test]
fn a_request_for_an_access_token_that_was_not_processed_is_sent_again() {
    let server = Server::start();
    let secret = support::write(server.folder.path(), "secret", "s3cret");
    let token_url = server.url("/refused/1");
    let oauth2 = format!("token_url = {token_url:?}, client_id = \"me\", client_secret = {{ file = {secret:?} }}");
    let slot = slot(&server.keys(&format!("oauth2 = {{ {oauth2} }}")), &server.url("/some"));
    assert_eq!((slot.outcome, slot.attempts), (Outcome::Ok, 1), "{slot:?}");
    assert_eq!(server.count("/refused/1"), 2);
}

#[test]
fn an_endpoint_that_ends_the_connection_costs_none_of_those_who_share_it() {
    let server = Server::start();
    let urls: Vec<String> = (0..60)
        .map(|number| server.url(&if number % 10 == 5 { "/abrupt".to_owned() } else { format!("/some/{number}") }))
        .collect();
    let slots = round(&server.keys(""), &urls);
    for (slot, url) in slots.iter().zip(&urls) {
        assert_eq!(slot.outcome == Outcome::Ok, !url.ends_with("/abrupt"), "{url}: {slot:?}");
    }
}

#[test]
fn what_a_server_says_as_it_leaves_is_not_repeated() {
    let server = Server::leaving(usize::MAX, TELLS);
    let token = support::write(server.folder.path(), "token", "s3cret-and-more");
    let slot = slot(&server.keys(&format!("token = {{ file = {token:?} }}")), &server.url("/some"));
    assert_eq!(slot.outcome, Outcome::Protocol, "{slot:?}");
    assert_eq!(detail(&slot), "HTTP/2: the server closed the connection: detected excessive load generating behavior");
    assert!(!format!("{slot:?}").contains("s3cret"), "{slot:?}");
}

#[test]
fn a_connection_that_went_silent_is_left_alone_by_the_next_rounds() {
    let server = Server::falling_silent_after(4);
    let urls: Vec<String> = (0..2).map(|number| server.url(&format!("/some/{number}"))).collect();
    let keys = server.keys("timeout = \"1500ms\"\nevery = \"2s\"");
    let home = Home::new(&format!("[[job]]\nname = \"job\"\n{keys}\nendpoints = {urls:?}\n"));
    let daemon = home.start();
    daemon.wait_for_rounds("job", 4);
    daemon.stop();
    let failed = home.number("SELECT count(*) FROM rounds WHERE failed > 0 AND status = 'complete'");
    assert!(failed <= 1, "{failed} rounds");
}
