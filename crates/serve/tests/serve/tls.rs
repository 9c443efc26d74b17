//! TLS: certificates, client certificates, reload.

use std::sync::Arc;

use crate::common::TestServer;
use attestry_serve::TlsFiles;
use rustls_pki_types::{PrivatePkcs8KeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A certificate that is its own authority.
struct Identity(rcgen::CertifiedKey<rcgen::KeyPair>);

impl Identity {
    fn new() -> Self {
        Self(rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap())
    }

    fn write(&self, server: &std::path::Path) -> TlsFiles {
        let (certificate, key) = (server.join("server.pem"), server.join("server.key"));
        std::fs::write(&certificate, self.0.cert.pem()).unwrap();
        std::fs::write(&key, self.0.signing_key.serialize_pem()).unwrap();
        TlsFiles::new(certificate, key)
    }
}

/// `GET /healthz` by a client that trusts `trusted` and shows `own`.
async fn get(server: &TestServer, trusted: &Identity, own: Option<&Identity>) -> Option<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.0.cert.der().clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let key = PrivatePkcs8KeyDer::from(own.0.signing_key.serialize_der());
            builder.with_client_auth_cert(vec![own.0.cert.der().clone()], key.into()).unwrap()
        }
    };
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
    let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

async fn serve(tls: impl FnOnce(&std::path::Path) -> TlsFiles) -> TestServer {
    let folder = tempfile::tempdir().unwrap();
    let files = tls(folder.path());
    let logger = attestry::open(folder.path().join("audit")).await.unwrap();
    TestServer::serve(folder, logger, |options| options.tls(files)).await
}

#[tokio::test]
async fn certificate_is_reloaded() {
    let (first, second) = (Identity::new(), Identity::new());
    let server = serve(|folder| first.write(folder)).await;
    assert!(get(&server, &first, None).await.unwrap().contains("200 OK"));
    assert!(get(&server, &second, None).await.is_none());
    second.write(server.folder.path());
    server.handle.reload().await.unwrap();
    assert!(get(&server, &second, None).await.unwrap().contains("200 OK"));
    // A damaged file leaves the certificate in use.
    std::fs::write(server.folder.path().join("server.pem"), "no certificate").unwrap();
    let error = server.handle.reload().await.unwrap_err();
    assert!(error.to_string().contains("server.pem"), "{error}");
    assert!(get(&server, &second, None).await.is_some());
}

#[tokio::test]
async fn client_certificate_is_required() {
    let (own, client, other) = (Identity::new(), Identity::new(), Identity::new());
    let server = serve(|folder| {
        let ca = folder.join("clients.pem");
        std::fs::write(&ca, client.0.cert.pem()).unwrap();
        own.write(folder).client_ca(ca)
    })
    .await;
    assert!(get(&server, &own, Some(&client)).await.unwrap().contains("200 OK"));
    assert!(get(&server, &own, Some(&other)).await.is_none());
    assert!(get(&server, &own, None).await.is_none());
}

#[tokio::test]
async fn handshake_that_does_not_come_is_cut() {
    let own = Identity::new();
    let folder = tempfile::tempdir().unwrap();
    let files = own.write(folder.path());
    let logger = attestry::open(folder.path().join("audit")).await.unwrap();
    let limits = attestry_serve::Limits {
        handshake: std::time::Duration::from_millis(200),
        ..Default::default()
    };
    let server =
        TestServer::serve(folder, logger, |options| options.tls(files).limits(limits)).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut answer = Vec::new();
    silent.read_to_end(&mut answer).await.unwrap();
    assert!(answer.is_empty());
}
