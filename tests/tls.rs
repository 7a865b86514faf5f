//! Whom we trust, who we are, and which HTTP is spoken.

mod support;

#[path = "support/once.rs"]
mod once;

use std::sync::Arc;

use gatherd::model::{Outcome, Phase};
use gatherd::sample_api::{Certificate, SAMPLE_CA, SAMPLE_CLIENT_CERTIFICATE, SAMPLE_CLIENT_KEY, SampleApi};
use once::{detail, round, slot, text};
use support::write;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

fn tls(certificate: Certificate) -> SampleApi {
    SampleApi::start_tls(([127, 0, 0, 1], 0).into(), certificate).expect("a free port")
}

/// A folder with the sample authority and a client's certificate, and the keys that name them.
fn files() -> (TempDir, String, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ca = format!("ca_file = {:?}\n", write(folder.path(), "ca.pem", SAMPLE_CA));
    let certificate = write(folder.path(), "client.pem", SAMPLE_CLIENT_CERTIFICATE);
    let key = write(folder.path(), "client.key", SAMPLE_CLIENT_KEY);
    (folder, ca, format!("client_cert = {certificate:?}\nclient_key = {key:?}\n"))
}

#[test]
fn an_authority_of_ones_own_is_trusted_where_it_is_named_and_nowhere_else() {
    let (_folder, ca, _) = files();
    let api = tls(Certificate::Good);
    let trusted = round(&ca, &[api.url("/healthy"), api.url("/healthy").replace("127.0.0.1", "localhost")]);
    assert!(trusted.iter().all(|slot| slot.outcome == Outcome::Ok), "{trusted:?}");
    let stranger = slot("", &api.url("/healthy"));
    assert_eq!(stranger.outcome, Outcome::Tls);
    assert!(detail(&stranger).contains("UnknownIssuer"), "{}", detail(&stranger));
}

#[test]
fn a_bad_certificate_is_a_tls_failure_with_its_cause_and_nothing_is_sent() {
    let (_folder, ca, _) = files();
    for (certificate, cause) in [
        (Certificate::Expired, "expired"),
        (Certificate::WrongHost, "not valid for name"),
        (Certificate::SelfSigned, "UnknownIssuer"),
    ] {
        let api = tls(certificate);
        let slot = slot(&ca, &api.url("/healthy"));
        assert_eq!(slot.outcome, Outcome::Tls, "{slot:?}");
        assert!(detail(&slot).contains(cause), "{}", detail(&slot));
        assert_eq!(slot.attempts, 1, "a certificate does not get better by asking again");
        let phases = slot.phases.expect("phases");
        assert_eq!(phases.reached, Phase::Tls);
        assert!(phases.connect.is_some() && phases.tls.is_some(), "{phases:?}");
        assert_eq!(api.requests(), 0);
    }
}

#[test]
fn a_server_that_is_silent_in_the_handshake_is_a_timeout_in_it() {
    let (_folder, ca, _) = files();
    let api = tls(Certificate::Silent);
    let keys = format!("timeout = \"400ms\"\nretries = 0\n{ca}");
    let slot = slot(&keys, &api.url("/healthy"));
    assert_eq!((slot.outcome, detail(&slot)), (Outcome::Timeout, "the TLS handshake"));
    assert_eq!(slot.phases.as_ref().expect("phases").reached, Phase::Tls);
}

#[test]
fn a_client_certificate_is_shown_where_one_is_asked_for() {
    let (_folder, ca, identity) = files();
    let api = tls(Certificate::GoodForKnownClients);
    let shown = slot(&format!("{ca}{identity}"), &api.url("/healthy"));
    assert_eq!(shown.outcome, Outcome::Ok, "{shown:?}");
    let missing = slot(&format!("{ca}retries = 0\n"), &api.url("/healthy"));
    assert_eq!(missing.outcome, Outcome::Tls, "{missing:?}");
    assert!(detail(&missing).to_lowercase().contains("certificate"), "{}", detail(&missing));
}

#[test]
fn every_kind_of_answer_comes_over_tls_as_well() {
    use Outcome::{NotJson, Ok, Timeout, Truncated};

    let (_folder, ca, _) = files();
    let api = tls(Certificate::Good);
    let keys = format!("timeout = \"2s\"\nretries = 0\n{ca}");
    let urls =
        ["/gzip", "/hang", "/truncated", "/html-200", "/drip", "/pages-link", "/chunked"].map(|path| api.url(path));
    let outcomes: Vec<Outcome> = round(&keys, &urls).iter().map(|slot| slot.outcome).collect();
    assert_eq!(outcomes, [Ok, Timeout, Truncated, NotJson, Timeout, Ok, Ok]);
}

/// A server that speaks nothing but HTTP/2, and says so in the handshake.
fn http2_server() -> u16 {
    let certificate = include_bytes!("../src/sample_api/certificates/good.pem");
    let certificates =
        CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>().expect("certificates");
    let key =
        PrivateKeyDer::from_pem_slice(include_bytes!("../src/sample_api/certificates/server-key.pem")).expect("a key");
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(certificates, key).expect("TLS");
    config.alpn_protocols = vec![b"h2".to_vec()];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    std::thread::spawn(move || runtime.block_on(serve_http2(listener, acceptor)));
    port
}

async fn serve_http2(listener: TcpListener, acceptor: TlsAcceptor) {
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let Ok(mut connection) = h2::server::handshake(stream).await else { return };
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let status = if request.uri().path() == "/missing" { 404 } else { 200 };
                let answer = http::Response::builder().status(status).body(()).expect("an answer");
                if let Ok(mut body) = respond.send_response(answer, false) {
                    let version = format!("{{\"version\":\"{:?}\"}}", request.version());
                    let _ = body.send_data(version.into(), true);
                }
            }
        });
    }
}

#[test]
fn http_2_is_spoken_with_servers_that_offer_it() {
    let (_folder, ca, _) = files();
    let port = http2_server();
    let urls: Vec<String> = (0..50).map(|number| format!("https://localhost:{port}/{number}")).collect();
    let slots = round(&ca, &urls);
    assert!(slots.iter().all(|slot| slot.outcome == Outcome::Ok), "{:?}", slots[0]);
    assert_eq!(text(&slots[0]), "{\"version\":\"HTTP/2.0\"}");
    let missing = slot(&ca, &format!("https://localhost:{port}/missing"));
    assert_eq!((missing.outcome, missing.http_status), (Outcome::HttpStatus, Some(404)));
}
