//! A small HTTP client: one POST with a bounded reply.

use std::error::Error;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use hyper::{Request, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use thiserror::Error;

/// Longer than any reply of a witness or timestamp authority.
pub(crate) const MAX_REPLY: usize = 256 << 10;

/// Sends requests to witnesses and timestamp authorities, over HTTP or over HTTPS with the certificates
/// that the system trusts (`SSL_CERT_FILE` names others). Redirects are not followed. A clone shares the
/// connections.
#[derive(Clone)]
pub struct HttpClient(Arc<Client<HttpsConnector<HttpConnector>, Full<Bytes>>>);

/// Why a request has no usable reply.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The certificates of the system cannot be read.
    #[error("cannot read the trusted certificates of the system")]
    Certificates(#[source] io::Error),
    /// The text is not the URL of a server.
    #[error("{url:?} is not a URL like https://example.com/path")]
    InvalidUrl {
        /// The text.
        url: String,
    },
    /// There is no connection, or it broke.
    #[error("no reply from {url}")]
    Unreachable {
        /// The requested URL.
        url: String,
        /// The cause.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The reply is longer than any valid one.
    #[error("the reply of {url} is longer than {limit} bytes", limit = MAX_REPLY)]
    TooLong {
        /// The requested URL.
        url: String,
    },
    /// The server reports a failure.
    #[error("{url} replied with status {status}: {text}")]
    Status {
        /// The requested URL.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The start of the reply's body, printable characters only.
        text: String,
    },
}

/// A reply of any status.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
}

impl Reply {
    /// The reply as an error.
    pub(crate) fn into_error(self, url: &Uri) -> HttpError {
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(200)]);
        let text = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
        HttpError::Status { url: shown(url), status: self.status, text: text.trim().to_owned() }
    }
}

impl HttpClient {
    /// A client.
    ///
    /// # Errors
    ///
    /// [`HttpError::Certificates`] if the system has no trusted certificates.
    pub fn new() -> Result<Self, HttpError> {
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
            .map_err(HttpError::Certificates)?
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self(Arc::new(Client::builder(TokioExecutor::new()).build(connector))))
    }

    /// Posts `body`. The reply may have any status.
    pub(crate) async fn post(
        &self,
        url: &Uri,
        content_type: &'static str,
        body: Vec<u8>,
    ) -> Result<Reply, HttpError> {
        let request = Request::post(url)
            .header(CONTENT_TYPE, HeaderValue::from_static(content_type))
            .header(USER_AGENT, HeaderValue::from_static("attestry"))
            .body(Full::new(Bytes::from(body)))
            .map_err(|_| HttpError::InvalidUrl { url: shown(url) })?;
        let unreachable = |source| HttpError::Unreachable { url: shown(url), source };
        let response = self.0.request(request).await.map_err(|e| unreachable(Box::new(e)))?;
        let (head, body) = response.into_parts();
        let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let body = match Limited::new(body, MAX_REPLY).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Err(HttpError::TooLong { url: shown(url) });
            }
            Err(error) => return Err(unreachable(error)),
        };
        Ok(Reply { status: head.status.as_u16(), content_type, body })
    }
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpClient").finish_non_exhaustive()
    }
}

/// The URL without its query, which may contain a secret.
pub(crate) fn shown(url: &Uri) -> String {
    url.to_string().split('?').next().unwrap_or_default().to_owned()
}

/// A URL with host and scheme http or https, and without a user.
pub(crate) fn parse_url(text: &str) -> Result<Uri, HttpError> {
    let plain = text.split('?').next().unwrap_or_default();
    let invalid = || HttpError::InvalidUrl { url: plain.to_owned() };
    let url: Uri = text.parse().map_err(|_| invalid())?;
    let known = matches!(url.scheme_str(), Some("http" | "https"));
    let no_user = url.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    if known && no_user { Ok(url) } else { Err(invalid()) }
}
