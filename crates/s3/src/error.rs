//! Errors of S3, classified by what the caller can do.

use std::error::Error;
use std::fmt;

use attestry_core::StorageError;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use thiserror::Error;

type BoxError = Box<dyn Error + Send + Sync>;

/// Why [`connect`](crate::S3StorageBuilder::connect) failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// A setting of the builder is invalid.
    #[error("{setting} {reason}")]
    InvalidSetting {
        /// Which setting.
        setting: &'static str,
        /// Why it is invalid.
        reason: String,
    },
    /// The region is neither set nor named by the environment or the profile.
    #[error("no region is configured for the bucket {bucket}; set AWS_REGION or the option region")]
    NoRegion {
        /// The bucket.
        bucket: String,
    },
    /// No provider returned credentials.
    #[error(
        "no credentials found for the bucket {bucket}; set AWS_ACCESS_KEY_ID and \
         AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
    )]
    NoCredentials {
        /// The bucket.
        bucket: String,
        /// The error of the provider chain.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The credentials are invalid or expired.
    #[error("S3 rejects the credentials for the bucket {bucket}; check or renew them")]
    BadCredentials {
        /// The bucket.
        bucket: String,
        /// The response of S3.
        source: Box<RequestError>,
    },
    /// The bucket does not exist.
    #[error("the bucket {bucket} does not exist; check its name, or create it")]
    NoSuchBucket {
        /// The bucket.
        bucket: String,
        /// The response of S3.
        source: Box<RequestError>,
    },
    /// The credentials do not permit to list the bucket.
    #[error(
        "access to the bucket {bucket} is denied; grant s3:ListBucket on it, and s3:GetObject, \
         s3:PutObject and s3:DeleteObject on its objects"
    )]
    AccessDenied {
        /// The bucket.
        bucket: String,
        /// The response of S3.
        source: Box<RequestError>,
    },
    /// The bucket is in another region.
    #[error("the bucket {bucket} is in another region{}", name_region(.region.as_deref()))]
    WrongRegion {
        /// The bucket.
        bucket: String,
        /// Its region, if the response names it.
        region: Option<String>,
        /// The response of S3.
        source: Box<RequestError>,
    },
    /// The endpoint is unreachable or does not respond.
    #[error("cannot reach the endpoint of the bucket {bucket}; check the endpoint and the network")]
    Unreachable {
        /// The bucket.
        bucket: String,
        /// The error of the connection.
        source: Box<RequestError>,
    },
    /// The clock of this machine differs too much from that of the server.
    #[error(
        "S3 rejects requests for the bucket {bucket} because the clock of this machine is wrong; \
         set it"
    )]
    ClockSkew {
        /// The bucket.
        bucket: String,
        /// The response of S3.
        source: Box<RequestError>,
    },
    /// Any other failure.
    #[error("cannot connect to the bucket {bucket}")]
    Other {
        /// The bucket.
        bucket: String,
        /// The cause.
        source: Box<dyn Error + Send + Sync>,
    },
}

fn name_region(region: Option<&str>) -> String {
    region.map_or_else(|| "; set the region".to_owned(), |region| format!(": {region}"))
}

impl ConnectError {
    pub(crate) fn from_request(bucket: String, source: RequestError) -> Self {
        let source = Box::new(source.without_advice());
        match source.kind() {
            RequestErrorKind::Credentials if source.status().is_none() => {
                Self::NoCredentials { bucket, source }
            }
            RequestErrorKind::Credentials => Self::BadCredentials { bucket, source },
            RequestErrorKind::NoSuchBucket => Self::NoSuchBucket { bucket, source },
            RequestErrorKind::AccessDenied => Self::AccessDenied { bucket, source },
            RequestErrorKind::WrongRegion => {
                let region = source.bucket_region().map(str::to_owned);
                Self::WrongRegion { bucket, region, source }
            }
            RequestErrorKind::Unreachable | RequestErrorKind::TimedOut => {
                Self::Unreachable { bucket, source }
            }
            RequestErrorKind::ClockSkew => Self::ClockSkew { bucket, source },
            _ => Self::Other { bucket, source },
        }
    }
}

/// Why a request failed after all retries, by what the caller can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestErrorKind {
    /// S3 throttled the request (`SlowDown`).
    Throttled,
    /// No response within the timeout.
    TimedOut,
    /// The endpoint could not be reached, or the connection broke.
    Unreachable,
    /// An internal error of the server.
    Server,
    /// The credentials do not permit the request.
    AccessDenied,
    /// Credentials are missing, invalid or expired.
    Credentials,
    /// The clock of this machine differs too much from that of the server.
    ClockSkew,
    /// Another write of the same key was in progress.
    Conflict,
    /// The bucket does not exist.
    NoSuchBucket,
    /// The bucket is in another region.
    WrongRegion,
    /// The object is archived (`GLACIER`, `DEEP_ARCHIVE`) and must be restored before it can be read.
    Archived,
    /// The server does not support this request.
    NotImplemented,
    /// Any other error.
    Other,
}

impl RequestErrorKind {
    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::Throttled | Self::TimedOut | Self::Unreachable | Self::Server | Self::Conflict
        )
    }

    fn from_response(code: &str, status: Option<u16>) -> Self {
        match code {
            "SlowDown"
            | "Throttling"
            | "ThrottlingException"
            | "RequestLimitExceeded"
            | "TooManyRequests"
            | "ServiceUnavailable" => Self::Throttled,
            "RequestTimeout" => Self::TimedOut,
            "InternalError" => Self::Server,
            "AccessDenied" | "AllAccessDisabled" | "AccountProblem" => Self::AccessDenied,
            "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "ExpiredToken"
            | "InvalidToken"
            | "TokenRefreshRequired"
            | "NotSignedUp" => Self::Credentials,
            "RequestTimeTooSkewed" => Self::ClockSkew,
            "ConditionalRequestConflict" | "OperationAborted" => Self::Conflict,
            "NoSuchBucket" => Self::NoSuchBucket,
            "PermanentRedirect"
            | "TemporaryRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException" => Self::WrongRegion,
            "InvalidObjectState" => Self::Archived,
            "NotImplemented" => Self::NotImplemented,
            // The response to HEAD has no body, so the status is all there is.
            _ => match status {
                Some(429 | 503) => Self::Throttled,
                Some(501) => Self::NotImplemented,
                Some(409) => Self::Conflict,
                Some(500..) => Self::Server,
                Some(401) => Self::Credentials,
                Some(403) => Self::AccessDenied,
                Some(301 | 307) => Self::WrongRegion,
                _ => Self::Other,
            },
        }
    }

    fn advice(self) -> Option<&'static str> {
        Some(match self {
            Self::Throttled => "lower the concurrency, or try again later",
            Self::TimedOut | Self::Server | Self::Conflict => "try again later",
            Self::Unreachable => "check the endpoint and the network, or try again later",
            Self::AccessDenied => "check the policies of the credentials and of the bucket",
            Self::Credentials => "check or renew the credentials",
            Self::ClockSkew => "set the clock of this machine",
            Self::NoSuchBucket => "check the name of the bucket, or create it",
            Self::WrongRegion => "set the region of the bucket",
            Self::Archived => "restore the object, or use a storage class that can be read",
            Self::NotImplemented | Self::Other => return None,
        })
    }
}

/// A failed request: the error response of S3, or why there is none. The source of a
/// [`StorageError::Remote`].
///
/// Neither `Display` nor `Debug` shows credentials or the content of an entry.
#[derive(Debug)]
pub struct RequestError {
    kind: RequestErrorKind,
    code: Option<String>,
    message: Option<String>,
    status: Option<u16>,
    request_id: Option<String>,
    region: Option<String>,
    /// What to do. `None` if an enclosing error says it.
    advice: Option<&'static str>,
    source: Option<BoxError>,
}

impl RequestError {
    /// The class of the error.
    #[must_use]
    pub fn kind(&self) -> RequestErrorKind {
        self.kind
    }

    /// The error code of S3, such as `SlowDown`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// The HTTP status, if there was a response.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// The id of the request at the service, for its support.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// The region of the bucket, if the response names it.
    #[must_use]
    pub fn bucket_region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    pub(crate) fn from_sdk<E>(error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let header = |name: &str| {
            let found = error.raw_response().and_then(|response| response.headers().get(name));
            found.map(str::to_owned)
        };
        let region = header("x-amz-bucket-region");
        let request_id = header("x-amz-request-id");
        let (code, message) = error.as_service_error().map_or((None, None), |response| {
            let metadata = response.meta();
            (metadata.code().map(str::to_owned), metadata.message().map(str::to_owned))
        });
        let kind = match &error {
            // A successful status and an incomplete or unreadable body.
            SdkError::ResponseError(_) if status.is_some_and(|status| status < 300) => {
                RequestErrorKind::Unreachable
            }
            SdkError::ServiceError(_) | SdkError::ResponseError(_) => {
                RequestErrorKind::from_response(code.as_deref().unwrap_or_default(), status)
            }
            _ if has_cause::<CredentialsError>(&error) => RequestErrorKind::Credentials,
            SdkError::TimeoutError(_) => RequestErrorKind::TimedOut,
            SdkError::DispatchFailure(failure) if failure.is_timeout() => {
                RequestErrorKind::TimedOut
            }
            // For example an invalid endpoint URL.
            SdkError::DispatchFailure(failure) if failure.is_user() => RequestErrorKind::Other,
            SdkError::DispatchFailure(_) => RequestErrorKind::Unreachable,
            _ => RequestErrorKind::Other,
        };
        // A service error is shown by code and message; its source would repeat them.
        let source = match error {
            SdkError::ServiceError(_) => None,
            other => other.into_source().ok(),
        };
        Self { kind, code, message, status, request_id, region, advice: kind.advice(), source }
    }

    /// The response started successfully and its body broke off.
    pub(crate) fn incomplete_body(source: impl Into<BoxError>) -> Self {
        Self::without_response(RequestErrorKind::Unreachable, Some(source.into()))
    }

    pub(crate) fn timed_out() -> Self {
        Self::without_response(RequestErrorKind::TimedOut, None)
    }

    /// An error that a successful response reports for one of its keys.
    pub(crate) fn service(code: &str, message: &str) -> Self {
        let empty = Self::without_response(RequestErrorKind::from_response(code, None), None);
        Self { code: Some(code.to_owned()), message: Some(message.to_owned()), ..empty }
    }

    pub(crate) fn other(message: impl Into<String>) -> Self {
        let empty = Self::without_response(RequestErrorKind::Other, None);
        Self { message: Some(message.into()), ..empty }
    }

    fn without_response(kind: RequestErrorKind, source: Option<BoxError>) -> Self {
        Self {
            kind,
            code: None,
            message: None,
            status: None,
            request_id: None,
            region: None,
            advice: kind.advice(),
            source,
        }
    }

    pub(crate) fn without_advice(self) -> Self {
        Self { advice: None, ..self }
    }

    pub(crate) fn into_storage_error(self, action: &'static str, location: String) -> StorageError {
        let retryable = self.kind.is_retryable();
        StorageError::remote(action, location, retryable, self)
    }
}

fn has_cause<T: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<T>() {
            return true;
        }
        next = error.source();
    }
    false
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.code, &self.message) {
            (Some(code), Some(message)) => write!(f, "{code}: {message}")?,
            (Some(text), None) | (None, Some(text)) => f.write_str(text)?,
            (None, None) => f.write_str(match self.kind {
                RequestErrorKind::TimedOut => "no response within the timeout",
                RequestErrorKind::Credentials => "no credentials found to sign the request",
                RequestErrorKind::Unreachable => "the connection failed",
                _ => "the request failed",
            })?,
        }
        let details = [
            self.status.map(|status| format!("HTTP {status}")),
            self.request_id.as_ref().map(|id| format!("request {id}")),
        ];
        let details: Vec<_> = details.into_iter().flatten().collect();
        if !details.is_empty() {
            write!(f, " ({})", details.join(", "))?;
        }
        match self.advice {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

impl Error for RequestError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// Objects that could not be deleted. The source of the [`StorageError`] that
/// [`delete_at_or_before`](attestry_core::StorageBackend::delete_at_or_before) and
/// [`delete`](attestry_core::StorageBackend::delete) return in that case.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeleteFailures {
    /// Number of objects that the same call deleted.
    pub deleted: u64,
    /// Number of objects that could not be deleted.
    pub failed: u64,
    /// The first of these, at most [`MAX_LISTED`](Self::MAX_LISTED).
    pub failures: Vec<DeleteFailure>,
}

/// One object that could not be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeleteFailure {
    /// The key of the object.
    pub key: String,
    /// The error code of S3, such as `AccessDenied`, or `ObjectLocked` if a lock was found and no
    /// deletion was requested.
    pub code: String,
    /// The error message of S3, or until when the object is locked.
    pub message: String,
}

impl DeleteFailure {
    /// Whether a later attempt may succeed, judging by the code.
    pub(crate) fn is_retryable(&self) -> bool {
        RequestErrorKind::from_response(&self.code, None).is_retryable()
    }
}

impl DeleteFailures {
    /// The maximum number of [`failures`](Self::failures).
    pub const MAX_LISTED: usize = 1_000;

    pub(crate) fn new() -> Self {
        Self { deleted: 0, failed: 0, failures: Vec::new() }
    }

    pub(crate) fn add(&mut self, deleted: u64, failures: Vec<DeleteFailure>) {
        self.deleted += deleted;
        self.failed += failures.len() as u64;
        let room = Self::MAX_LISTED.saturating_sub(self.failures.len());
        self.failures.extend(failures.into_iter().take(room));
    }

    /// The number of deleted objects, or the error if any could not be deleted.
    pub(crate) fn into_result(self, location: &str) -> Result<u64, StorageError> {
        if self.failed == 0 {
            return Ok(self.deleted);
        }
        let all = self.failed.saturating_add(self.deleted);
        let message = format!("cannot delete {} of {all} objects of {location}", self.failed);
        Err(StorageError::other(message, self))
    }
}

impl fmt::Display for DeleteFailures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        for (n, failure) in self.failures.iter().take(SHOWN).enumerate() {
            let separator = if n == 0 { "" } else { "; " };
            write!(f, "{separator}{}: {} ({})", failure.key, failure.message, failure.code)?;
        }
        match self.failed.saturating_sub(SHOWN as u64) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl Error for DeleteFailures {}

#[cfg(test)]
mod tests;
