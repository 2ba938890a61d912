//! Certificates for tests: self-signed, for loopback.

use std::path::PathBuf;
use std::sync::Arc;
use std::{fs, io};

use rcgen::CertifiedKey;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tempfile::TempDir;

/// A certificate with its key, for `localhost` and 127.0.0.1; its files live as long as it does.
#[derive(Debug)]
pub struct Certificate {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
    folder: TempDir,
}

impl Certificate {
    /// Makes one.
    #[must_use]
    pub fn for_loopback() -> Self {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(names).expect("a certificate");
        let certificate = Self {
            certificate: cert.der().clone(),
            key: signing_key.serialize_der(),
            folder: tempfile::tempdir().unwrap(),
        };
        certificate.write("cert.pem", &cert.pem()).unwrap();
        certificate
            .write("key.pem", &signing_key.serialize_pem())
            .unwrap();
        certificate
    }

    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        fs::write(self.folder.path().join(name), text)
    }

    /// The file of the certificate.
    #[must_use]
    pub fn cert_file(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    /// The file of the key.
    #[must_use]
    pub fn key_file(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// How to show it to clients.
    #[must_use]
    pub fn server(&self) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.clone()));
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }

    /// How to trust it and nothing else.
    #[must_use]
    pub fn client(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }
}
