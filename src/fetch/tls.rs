//! TLS: whom we trust and who we are. There is no switch that turns verification off.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use memchr::memmem;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
    verify_server_name,
};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, NamedGroup, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::client::ClientError;
use super::connection;

/// The servers whose sessions are remembered, to be resumed.
const SESSIONS: usize = 256;

/// The authorities that clients trust, by the file of further ones, the same for all clients that name it.
#[derive(Debug, Default)]
pub struct Trust {
    authorities: HashMap<Option<PathBuf>, Arc<Authorities>>,
    /// The files of those that were to be read at once.
    expected: HashSet<Option<PathBuf>>,
}

impl Trust {
    /// The settings of a client that trusts the system's authorities and those of `ca_file`, and shows `identity` (the
    /// files of a certificate and its key).
    pub fn config(
        &mut self,
        ca_file: Option<&Path>,
        identity: Option<(&Path, &Path)>,
    ) -> Result<ClientConfig, ClientError> {
        let authorities = self.authorities(ca_file)?;
        let builder = ClientConfig::builder_with_provider(Arc::clone(&authorities.provider))
            .with_safe_default_protocol_versions()
            .map_err(ClientError::Tls)?
            // The library calls any verifier so that is handed to it; this one asks the system's.
            .dangerous()
            .with_custom_certificate_verifier(authorities);
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

    /// Clients that trust `ca_file` will need the system's authorities: they are read now, once, so that no handshake
    /// waits for the disk; that there are none is told.
    pub fn expect_tls(&mut self, ca_file: Option<&Path>) -> Result<(), ClientError> {
        if !self.expected.insert(ca_file.map(Path::to_owned)) {
            return Ok(());
        }
        if let Err(error) = self.authorities(ca_file)?.verifier() {
            tracing::warn!(%error, "https will fail: install ca-certificates, or name a bundle in SSL_CERT_FILE");
        }
        Ok(())
    }

    fn authorities(&mut self, ca_file: Option<&Path>) -> Result<Arc<Authorities>, ClientError> {
        let ca_file = ca_file.map(Path::to_owned);
        if let Some(authorities) = self.authorities.get(&ca_file) {
            return Ok(Arc::clone(authorities));
        }
        let authorities = Arc::new(Authorities {
            further: ca_file.as_deref().map(authorities_of).transpose()?.unwrap_or_default(),
            provider: Arc::new(aws_lc_rs::default_provider()),
            verifier: OnceLock::new(),
        });
        self.authorities.insert(ca_file, Arc::clone(&authorities));
        Ok(authorities)
    }
}

/// The system's authorities and further ones. The system's are a hundred files, so they are read when they are needed.
#[derive(Debug)]
struct Authorities {
    further: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
    /// Once there were any.
    verifier: OnceLock<Verifier>,
}

impl Authorities {
    fn verifier(&self) -> Result<&Verifier, rustls::Error> {
        if let Some(verifier) = self.verifier.get() {
            return Ok(verifier);
        }
        let verifier = Verifier::new_with_extra_roots(self.further.iter().cloned(), Arc::clone(&self.provider))?;
        Ok(self.verifier.get_or_init(|| verifier))
    }
}

impl ServerCertVerifier for Authorities {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.verifier()?.verify_server_cert(certificate, intermediates, server, ocsp_response, now) {
            Err(error) if is_of_an_authority(&error) && self.further.iter().any(|known| known == certificate) => {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, server)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier()?.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier()?.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether a certificate is refused only because it is that of an authority, which is said after its time was found right.
/// What `openssl req -x509` makes is both: its own authority and a server's. OpenSSL, and so curl, take it where it is named.
fn is_of_an_authority(error: &rustls::Error) -> bool {
    // The library below has no other way to tell.
    matches!(error, rustls::Error::InvalidCertificate(CertificateError::Other(why)) if why.to_string() == "CaUsedAsEndEntity")
}

/// The authorities in a file. One that cannot be understood is left out, as of the system's; a file without any that can
/// is a mistake.
fn authorities_of(path: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let mut found = certificates(path)?;
    let all = found.len();
    found.retain(|certificate| RootCertStore::empty().add(certificate.clone()).is_ok());
    if found.is_empty() {
        let why = "they are PEM, but what it holds are no certificates".to_owned();
        return Err(ClientError::Pem { path: path.to_owned(), what: "certificates of authorities", why });
    }
    if found.len() < all {
        let left_out = all - found.len();
        tracing::warn!(file = %path.display(), left_out, used = found.len(), "certificates that are none are left out");
    }
    Ok(found)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let wrong = |why: String| ClientError::Pem { path: path.to_owned(), what: "PEM certificates", why };
    let found = CertificateDer::pem_slice_iter(&read(path)?).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(found) if found.is_empty() => Err(wrong("there is none in it".to_owned())),
        Ok(found) => Ok(found),
        Err(error) => Err(wrong(words(&error))),
    }
}

/// What is wrong with a PEM file; the library shows the bytes of its lines.
fn words(error: &pem::Error) -> String {
    let words = match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no END line, as when the file is cut off",
        pem::Error::IllegalSectionStart { .. } => "a BEGIN line is not whole",
        pem::Error::Base64Decode(_) => "what stands between BEGIN and END is not base64",
        pem::Error::NoItemsFound => "there is none in it",
        other => return other.to_string(),
    };
    words.to_owned()
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, ClientError> {
    let text = read(path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        let is_encrypted = memmem::find(&text, b"-----BEGIN ENCRYPTED PRIVATE KEY-----").is_some();
        let encrypted =
            "it is encrypted, and nobody is there to type its passphrase: write it anew with `openssl pkey`";
        let why = if is_encrypted { encrypted.to_owned() } else { words(&error) };
        ClientError::Pem { path: path.to_owned(), what: "a private key in PEM", why }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_certificate_that_is_its_own_authority_is_taken_where_it_is_named_in_its_time_for_its_name() {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sample_api/certificates/self-signed-authority.pem");
        let certificate = certificates(&own).expect("a certificate").remove(0);
        let verdict = |ca_file: Option<&Path>, name: &'static str, year: u64| {
            let authorities = Trust::default().authorities(ca_file).expect("authorities");
            let name = ServerName::try_from(name).expect("a name");
            let time = UnixTime::since_unix_epoch(Duration::from_hours((year - 1970) * 365 * 24));
            let verdict = authorities.verify_server_cert(&certificate, &[], &name, &[], time);
            verdict.map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(verdict(Some(&own), "localhost", 2026), Ok(()));
        let refused = |verdict: Result<(), String>, why: &str| {
            assert!(verdict.clone().is_err_and(|error| error.contains(why)), "{verdict:?}, not {why}");
        };
        refused(verdict(Some(&own), "another.example", 2026), "not valid for name");
        refused(verdict(Some(&own), "localhost", 2130), "expired");
        let others = own.with_file_name("ca.pem");
        refused(verdict(Some(&others), "localhost", 2026), "CaUsedAsEndEntity");
    }
}
