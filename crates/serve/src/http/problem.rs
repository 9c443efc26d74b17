//! Errors as problem details (RFC 9457).

use std::error::Error;
use std::fmt;

use attestry::evidence::EvidenceError;
use attestry::{AuditError, ErrorChain, ErrorKind, StorageError};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value};

/// Seconds after which a client should retry.
pub(crate) const RETRY_SECONDS: u32 = 5;

/// An error response.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Problem {
    status: StatusCode,
    /// The last part of `type`; stable.
    kind: &'static str,
    detail: String,
    retry: bool,
    /// Whether the server has too much to do, which says nothing about the store.
    is_overload: bool,
    more: Map<String, Value>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, kind: &'static str) -> Self {
        Self {
            status,
            kind,
            detail: String::new(),
            retry: false,
            is_overload: false,
            more: Map::new(),
        }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request").detail(detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found").detail(detail)
    }

    /// The server cannot do it now.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable").detail(detail).retry()
    }

    /// The server has too much to do.
    pub(crate) fn overloaded(detail: impl Into<String>) -> Self {
        Self { is_overload: true, ..Self::unavailable(detail) }
    }

    /// What happened, and what to do. Must contain no content.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// The same request may succeed later.
    pub(crate) fn retry(mut self) -> Self {
        self.retry = true;
        self
    }

    /// Adds a member.
    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.more.insert(key.to_owned(), value.into());
        self
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn is_retryable(&self) -> bool {
        self.retry
    }

    pub(crate) fn is_overload(&self) -> bool {
        self.is_overload
    }

    pub(crate) fn text(&self) -> &str {
        &self.detail
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

/// For the stream of a response that ends with it.
impl Error for Problem {}

impl Problem {
    /// The problem details.
    pub(crate) fn to_json(&self) -> Value {
        let mut json = Map::new();
        json.insert("type".to_owned(), format!("urn:attestry:problem:{}", self.kind).into());
        json.insert("title".to_owned(), self.status.canonical_reason().unwrap_or_default().into());
        json.insert("status".to_owned(), self.status.as_u16().into());
        json.insert("detail".to_owned(), self.detail.clone().into());
        json.extend(self.more.clone());
        json.into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let problem = self.clone();
        let mut response = (self.status, self.to_json().to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.retry {
            headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
        }
        // For protocols with errors of another form.
        response.extensions_mut().insert(problem);
        response
    }
}

impl From<AuditError> for Problem {
    fn from(error: AuditError) -> Self {
        let detail = ErrorChain(&error).to_string();
        if error.is_retryable() {
            return Self::unavailable(detail);
        }
        let (status, kind) = match error.kind() {
            ErrorKind::InvalidEntry => (StatusCode::UNPROCESSABLE_ENTITY, "invalid-entry"),
            ErrorKind::InvalidQuery => (StatusCode::BAD_REQUEST, "invalid-query"),
            ErrorKind::InvalidId => (StatusCode::BAD_REQUEST, "invalid-id"),
            ErrorKind::AlreadyExists => (StatusCode::CONFLICT, "already-exists"),
            ErrorKind::ReadOnly => (StatusCode::FORBIDDEN, "read-only"),
            // A full disk, a failed sync: what was sent is not stored, and should be sent again.
            ErrorKind::Io => return Self::unavailable(detail),
            ErrorKind::Closed => return Self::unavailable("the server shuts down"),
            ErrorKind::NoEncryption | ErrorKind::Decrypt => {
                (StatusCode::UNPROCESSABLE_ENTITY, "cannot-decrypt")
            }
            ErrorKind::Altered | ErrorKind::HashMismatch => {
                (StatusCode::UNPROCESSABLE_ENTITY, "altered")
            }
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        Self::new(status, kind).detail(detail)
    }
}

impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        AuditError::from(error).into()
    }
}

impl From<EvidenceError> for Problem {
    fn from(error: EvidenceError) -> Self {
        let detail = ErrorChain(&error).to_string();
        match error {
            EvidenceError::NotKept { .. } | EvidenceError::Unsupported => {
                Self::new(StatusCode::NOT_FOUND, "no-evidence").detail(detail)
            }
            _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal").detail(detail),
        }
    }
}
