//! How a connection begins: at once, with a TLS handshake behind one of several certificates, or never.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;

use super::connection::{self, Transport};
use super::stats::Open;

/// The certificate, in PEM, of the authority that issued the good certificates. Its key is gone.
pub const SAMPLE_CA: &str = include_str!("certificates/ca.pem");

/// A client's certificate, in PEM, by which [`Certificate::GoodForKnownClients`] knows a client.
pub const SAMPLE_CLIENT_CERTIFICATE: &str = include_str!("certificates/client.pem");

/// The key, in PEM, that belongs to [`SAMPLE_CLIENT_CERTIFICATE`].
pub const SAMPLE_CLIENT_KEY: &str = include_str!("certificates/client-key.pem");

/// The certificate, in PEM, of a server that is its own authority.
pub const SAMPLE_SELF_SIGNED_AUTHORITY: &str = include_str!("certificates/self-signed-authority.pem");

const SERVER_KEY: &str = include_str!("certificates/server-key.pem");

/// What a server shows to whoever begins a TLS handshake with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// One for localhost and its addresses, `127.0.0.1` and `::1`, issued by [`SAMPLE_CA`].
    Good,
    /// As [`Certificate::Good`], but it has ended.
    Expired,
    /// Issued by [`SAMPLE_CA`], but for another.example.
    WrongHost,
    /// Issued by itself.
    SelfSigned,
    /// Issued by itself, as an authority may: what `openssl req -x509` makes.
    SelfSignedAuthority,
    /// As [`Certificate::Good`], and the client has to show one that [`SAMPLE_CA`] issued, too.
    GoodForKnownClients,
    /// None, ever: the connection is accepted and no handshake answered.
    Silent,
}

impl Certificate {
    fn pem(self) -> &'static str {
        match self {
            Self::Good | Self::GoodForKnownClients | Self::Silent => include_str!("certificates/good.pem"),
            Self::Expired => include_str!("certificates/expired.pem"),
            Self::WrongHost => include_str!("certificates/wrong-host.pem"),
            Self::SelfSigned => include_str!("certificates/self-signed.pem"),
            Self::SelfSignedAuthority => SAMPLE_SELF_SIGNED_AUTHORITY,
        }
    }
}

/// How clients come in.
pub(super) enum Door {
    Plain,
    Tls(TlsAcceptor),
    Silent,
}

impl Door {
    /// TLS with `certificate`.
    pub(super) fn behind(certificate: Certificate) -> io::Result<Door> {
        if certificate == Certificate::Silent {
            return Ok(Door::Silent);
        }
        Ok(Door::Tls(TlsAcceptor::from(Arc::new(config(certificate)?))))
    }

    /// The scheme of the URLs that lead through it.
    pub(super) fn scheme(&self) -> &'static str {
        match self {
            Self::Plain => TcpStream::SCHEME,
            Self::Tls(_) | Self::Silent => TlsStream::<TcpStream>::SCHEME,
        }
    }

    /// Serves a client from now on, beside all others: nobody waits for its handshake.
    pub(super) fn let_in(&self, stream: TcpStream, open: Open) {
        match self {
            Self::Plain => {
                tokio::spawn(connection::serve(stream, open));
            }
            Self::Silent => {
                tokio::spawn(connection::ignore(stream, open));
            }
            Self::Tls(acceptor) => {
                let handshake = acceptor.accept(stream).into_fallible();
                tokio::spawn(async move {
                    match handshake.await {
                        Ok(stream) => connection::serve(stream, open).await,
                        // The client has been told why by an alert; there is nobody else to tell.
                        Err((_, stream)) => connection::dismiss(stream, open).await,
                    }
                });
            }
        }
    }
}

impl Transport for TlsStream<TcpStream> {
    const SCHEME: &'static str = "https";

    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

fn config(certificate: Certificate) -> io::Result<ServerConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    let builder = if certificate == Certificate::GoodForKnownClients {
        let mut known = RootCertStore::empty();
        known.add(parsed(SAMPLE_CA)?).map_err(io::Error::other)?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(known), provider);
        builder.with_client_cert_verifier(verifier.build().map_err(io::Error::other)?)
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::from_pem_slice(SERVER_KEY.as_bytes()).map_err(io::Error::other)?;
    let chain = vec![parsed(certificate.pem())?];
    let mut config = builder.with_single_cert(chain, key).map_err(io::Error::other)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn parsed(pem: &str) -> io::Result<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(io::Error::other)
}
