//! TLS: whom we trust and who we are. There is no switch that turns verification off.

use std::path::Path;
use std::sync::Arc;

use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, NamedGroup, RootCertStore};
use rustls_platform_verifier::Verifier;

use super::client::ClientError;
use super::connection;

/// The servers whose sessions are remembered, to be resumed.
const SESSIONS: usize = 256;

/// The system's authorities, read once for all clients.
#[derive(Debug, Default)]
pub struct Trust(Option<Arc<Verifier>>);

impl Trust {
    /// The settings of a client that trusts the system's authorities and those of `ca_file`, and shows `identity` (the
    /// files of a certificate and its key).
    pub fn config(
        &mut self,
        ca_file: Option<&Path>,
        identity: Option<(&Path, &Path)>,
    ) -> Result<ClientConfig, ClientError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let further = ca_file.map(certificates).transpose()?.unwrap_or_default();
        let verifier = match &self.0 {
            Some(verifier) if further.is_empty() => Ok(Arc::clone(verifier)),
            _ => Verifier::new_with_extra_roots(further.iter().cloned(), Arc::clone(&provider)).map(Arc::new),
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(ClientError::Tls)?;
        let builder = match verifier {
            Ok(verifier) => {
                if further.is_empty() {
                    self.0 = Some(Arc::clone(&verifier));
                }
                // The library calls any verifier so that is handed to it; this one is the system's.
                builder.dangerous().with_custom_certificate_verifier(verifier)
            }
            // A machine without a single authority, such as a bare container, can still fetch http.
            Err(error) => {
                tracing::warn!(%error, "https will fail: install ca-certificates, or name a bundle in SSL_CERT_FILE");
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(further);
                builder.with_root_certificates(roots)
            }
        };
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let wrong = |source| ClientError::Identity { path: certificate.to_owned(), source };
                builder.with_client_auth_cert(certificates(certificate)?, private_key(key)?).map_err(wrong)?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.resumption = Resumption::store(Arc::new(ObservedSessions(ClientSessionMemoryCache::new(SESSIONS))));
        Ok(config)
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let wrong = |why: String| ClientError::Pem { path: path.to_owned(), what: "PEM certificates", why };
    let found = CertificateDer::pem_slice_iter(&read(path)?).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(found) if found.is_empty() => Err(wrong("there is none in it".to_owned())),
        Ok(found) => Ok(found),
        Err(error) => Err(wrong(error.to_string())),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, ClientError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| ClientError::Pem {
        path: path.to_owned(),
        what: "a private key in PEM",
        why: error.to_string(),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, ClientError> {
    std::fs::read(path).map_err(|source| ClientError::File { path: path.to_owned(), source })
}

/// Sessions to be resumed. The library asks for one as the first thing of each handshake, which is how we learn that it
/// begins.
#[derive(Debug)]
struct ObservedSessions(ClientSessionMemoryCache);

impl ClientSessionStore for ObservedSessions {
    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(server, group);
    }

    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        connection::handshake_begins();
        self.0.kx_hint(server)
    }

    fn set_tls12_session(&self, server: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.0.set_tls12_session(server, session);
    }

    fn tls12_session(&self, server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(server)
    }

    fn remove_tls12_session(&self, server: &ServerName<'static>) {
        self.0.remove_tls12_session(server);
    }

    fn insert_tls13_ticket(&self, server: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(server, ticket);
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(server)
    }
}
