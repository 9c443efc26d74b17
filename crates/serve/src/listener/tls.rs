//! TLS by rustls with `ring`, whose files can be read again while the server runs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::error::ServeError;

pub(crate) const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// The files for TLS, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

impl TlsFiles {
    /// The certificate, with those that lead to its root, and its private key.
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { certificate: certificate.into(), key: key.into(), client_ca: None }
    }

    /// Accepts only clients with a certificate that one of these authorities has issued, in addition to
    /// tokens.
    #[must_use]
    pub fn client_ca(mut self, file: impl Into<Option<PathBuf>>) -> Self {
        self.client_ca = file.into();
        self
    }

    fn config(&self) -> Result<ServerConfig, ServeError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed("certificate", &self.certificate, error))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates("client CA", path)? {
                    roots.add(certificate).map_err(|error| failed("client CA", path, error))?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .build()
                        .map_err(|error| failed("client CA", path, error))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| failed("key", &self.key, error))?;
        let chain = certificates("certificate", &self.certificate)?;
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(|error| failed("certificate", &self.certificate, error))?;
        config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        Ok(config)
    }
}

/// The configuration that new connections get.
#[derive(Debug)]
pub(crate) struct ReloadableTls {
    files: TlsFiles,
    current: RwLock<Arc<ServerConfig>>,
}

impl ReloadableTls {
    pub(crate) fn load(files: TlsFiles) -> Result<Self, ServeError> {
        let current = RwLock::new(Arc::new(files.config()?));
        Ok(Self { files, current })
    }

    /// Reads the files again. If that fails, the configuration stays.
    pub(crate) fn reload(&self) -> Result<(), ServeError> {
        let config = Arc::new(self.files.config()?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let config = self.current.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&config))
    }
}

fn certificates(
    what: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, ServeError> {
    let read = CertificateDer::pem_file_iter(path).map_err(|error| failed(what, path, error))?;
    let all: Result<Vec<_>, _> = read.collect();
    match all {
        Ok(all) if all.is_empty() => Err(failed(what, path, "the file has no certificate")),
        Ok(all) => Ok(all),
        Err(error) => Err(failed(what, path, error)),
    }
}

fn failed(
    what: &'static str,
    path: &Path,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> ServeError {
    ServeError::Tls { what, path: path.to_path_buf(), source: source.into() }
}
