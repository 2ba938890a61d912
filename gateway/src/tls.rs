//! Certificates: which ones are trusted, and which ones are shown to callers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate or key can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("can't read {}", path.display())]
    Read {
        path: PathBuf,
        source: rustls_pki_types::pem::Error,
    },
    #[error("there is no certificate in {}", .0.display())]
    NoCertificate(PathBuf),
    #[error("certificate and key don't fit together")]
    Mismatch(#[source] rustls::Error),
}

/// Trusts what the system trusts; where it has no certificates, what Mozilla trusts.
pub(crate) fn client() -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "a certificate of the system can't be read");
    }
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// What is spoken over TLS, the best first.
pub(crate) type Protocols = &'static [&'static [u8]];
pub(crate) const HTTP1: Protocols = &[b"http/1.1"];
pub(crate) const HTTP2: Protocols = &[b"h2", b"http/1.1"];

/// Shows callers a certificate chain.
pub(crate) fn server(
    cert: &Path,
    key: &Path,
    protocols: Protocols,
) -> Result<Arc<ServerConfig>, TlsError> {
    let read = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Read { path, source }
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cert)
        .map_err(read(cert))?
        .collect::<Result<_, _>>()
        .map_err(read(cert))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(cert.to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(read(key))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(TlsError::Mismatch)?;
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}
