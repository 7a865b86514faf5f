//! Speaks TLS to the server, with a client of rustls.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, Error, RootCertStore, StreamOwned,
};

use super::super::{Certificate, SAMPLE_CA, SAMPLE_CLIENT_CERTIFICATE, SAMPLE_CLIENT_KEY, SampleApi};
use super::{HEALTHY_ANSWER, body, connect, until};

type TlsStream = StreamOwned<ClientConnection, TcpStream>;

fn start(certificate: Certificate) -> SampleApi {
    SampleApi::start_tls(([127, 0, 0, 1], 0).into(), certificate).unwrap()
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

/// A client that trusts the sample CA; `known` ones show the sample client's certificate.
fn client(api: &SampleApi, name: &'static str, known: bool) -> TlsStream {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(SAMPLE_CA)).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    let mut config = if known {
        let key = PrivateKeyDer::from_pem_slice(SAMPLE_CLIENT_KEY.as_bytes()).unwrap();
        builder.with_client_auth_cert(vec![certificate(SAMPLE_CLIENT_CERTIFICATE)], key).unwrap()
    } else {
        builder.with_no_client_auth()
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from(name).unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), connect(api))
}

/// What `/healthy` answers, up to an orderly end.
fn healthy(stream: &mut TlsStream) -> io::Result<Vec<u8>> {
    stream.write_all(b"GET /healthy HTTP/1.1\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

/// Why TLS with the server fails.
fn failure(api: &SampleApi, known: bool) -> Error {
    let error = healthy(&mut client(api, "127.0.0.1", known)).unwrap_err();
    error.into_inner().and_then(|inner| inner.downcast().ok()).map(|error| *error).unwrap()
}

#[test]
fn the_same_modes_are_served_over_tls_under_each_name() {
    let api = start(Certificate::Good);
    assert_eq!(api.url("/x"), format!("https://{}/x", api.addr()));
    for name in ["127.0.0.1", "::1", "localhost"] {
        let mut stream = client(&api, name, false);
        assert_eq!(healthy(&mut stream).unwrap(), HEALTHY_ANSWER);
        assert_eq!(stream.conn.alpn_protocol(), Some(b"http/1.1".as_slice()));
    }
    assert_eq!((api.requests_to("/healthy"), api.connections()), (3, 3));
}

#[test]
fn large_answers_arrive_whole_and_resets_are_resets_over_tls() {
    let api = start(Certificate::Good);
    let mut stream = client(&api, "localhost", false);
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n");
    stream.write_all(request("/big/1048576").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(body(&answer).len(), 1_048_576);
    let mut stream = client(&api, "localhost", false);
    stream.write_all(request("/reset-body").as_bytes()).unwrap();
    let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn each_bad_certificate_is_bad_in_its_own_way() {
    let why = |certificate| failure(&start(certificate), false).to_string();
    assert!(why(Certificate::Expired).contains("certificate expired"), "{}", why(Certificate::Expired));
    assert!(why(Certificate::WrongHost).contains("another.example"), "{}", why(Certificate::WrongHost));
    let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
    assert_eq!(failure(&start(Certificate::SelfSigned), false), unknown);
}

#[test]
fn only_a_known_client_is_let_in_where_one_is_wanted() {
    let api = start(Certificate::GoodForKnownClients);
    let refused = Error::AlertReceived(AlertDescription::CertificateRequired);
    assert_eq!(failure(&api, false), refused);
    assert_eq!(healthy(&mut client(&api, "127.0.0.1", true)).unwrap(), HEALTHY_ANSWER);
    assert_eq!(api.requests(), 1);
}

#[test]
fn a_handshake_that_fails_or_never_begins_holds_up_nobody() {
    let api = start(Certificate::Good);
    let idle = connect(&api);
    let mut garbage = connect(&api);
    garbage.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    // An alert, and the end.
    let mut alert = Vec::new();
    garbage.read_to_end(&mut alert).unwrap();
    assert_eq!(alert.first(), Some(&21));
    drop(garbage);
    assert_eq!(healthy(&mut client(&api, "localhost", false)).unwrap(), HEALTHY_ANSWER);
    until("only the idle connection is left", || api.open_connections() == 1);
    drop(idle);
    until("no connection is left", || api.open_connections() == 0);
    assert_eq!(api.requests(), 1);
}

#[test]
fn a_silent_server_takes_connections_and_says_nothing() {
    let api = start(Certificate::Silent);
    assert!(api.url("/").starts_with("https://"));
    let stream = client(&api, "localhost", false);
    until("the connection is taken", || api.open_connections() == 1);
    let (mut connection, mut tcp) = (stream.conn, stream.sock);
    connection.write_tls(&mut tcp).unwrap();
    tcp.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert_eq!(tcp.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
}
