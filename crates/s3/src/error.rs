//! What S3 answered, sorted by what can be done about it.

use std::error::Error;
use std::fmt;

use attestry_core::StorageError;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

type BoxError = Box<dyn Error + Send + Sync>;

/// Why a request to S3 failed in the end, by what can be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestErrorKind {
    /// S3 asked to slow down, and still did after all retries.
    Throttled,
    /// No answer came in time.
    TimedOut,
    /// The endpoint could not be reached, or the connection broke.
    Unreachable,
    /// The service had an error of its own.
    Server,
    /// The credentials may not do this.
    AccessDenied,
    /// There are no credentials, or they are wrong or expired.
    Credentials,
    /// The clocks of the machine and of the service differ too much.
    ClockSkew,
    /// Another writer of the same key was at work, and still was after all retries.
    Conflict,
    /// There is no such bucket.
    NoSuchBucket,
    /// The bucket lies in another region.
    WrongRegion,
    /// The object lies in an archive (`GLACIER`, `DEEP_ARCHIVE`) and must be restored to be read.
    Archived,
    /// The server does not know this kind of request.
    NotImplemented,
    /// Anything else.
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

    fn of(code: &str, status: Option<u16>) -> Self {
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
            // The answer to a HEAD has no body, so there the status is all there is.
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
            Self::Credentials => "check the credentials, or renew them",
            Self::ClockSkew => "set this machine's clock",
            Self::NoSuchBucket => "check the name of the bucket, or create it",
            Self::WrongRegion => "name the region of the bucket",
            Self::Archived => "restore the object, or keep entries in a class that can be read",
            Self::NotImplemented | Self::Other => return None,
        })
    }
}

/// What S3 answered, or why it could not be asked; the source of a [`StorageError::Remote`].
///
/// Neither its text nor its `Debug` form shows credentials or what an entry holds.
#[derive(Debug)]
pub struct RequestError {
    kind: RequestErrorKind,
    code: Option<String>,
    message: Option<String>,
    status: Option<u16>,
    request_id: Option<String>,
    region: Option<String>,
    /// What to do, unless an error around this one says so already.
    advice: Option<&'static str>,
    source: Option<BoxError>,
}

impl RequestError {
    /// What can be done about it.
    #[must_use]
    pub fn kind(&self) -> RequestErrorKind {
        self.kind
    }

    /// The code that S3 gave, such as `SlowDown`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// The HTTP status of the answer, where there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// What the service calls the request, for its support.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// The region of the bucket, where the answer named it.
    #[must_use]
    pub fn bucket_region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    pub(crate) fn of<E>(error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let status = error.raw_response().map(|answer| answer.status().as_u16());
        let header = |name: &str| {
            let found = error.raw_response().and_then(|answer| answer.headers().get(name));
            found.map(str::to_owned)
        };
        let region = header("x-amz-bucket-region");
        let request_id = header("x-amz-request-id");
        let (code, message) = error.as_service_error().map_or((None, None), |answer| {
            let metadata = answer.meta();
            (metadata.code().map(str::to_owned), metadata.message().map(str::to_owned))
        });
        let kind = match &error {
            // A success as far as its status goes, and then no whole answer.
            SdkError::ResponseError(_) if status.is_some_and(|status| status < 300) => {
                RequestErrorKind::Unreachable
            }
            SdkError::ServiceError(_) | SdkError::ResponseError(_) => {
                RequestErrorKind::of(code.as_deref().unwrap_or_default(), status)
            }
            _ if has_cause::<CredentialsError>(&error) => RequestErrorKind::Credentials,
            SdkError::TimeoutError(_) => RequestErrorKind::TimedOut,
            SdkError::DispatchFailure(failure) if failure.is_timeout() => {
                RequestErrorKind::TimedOut
            }
            // Such as an endpoint that is no address.
            SdkError::DispatchFailure(failure) if failure.is_user() => RequestErrorKind::Other,
            SdkError::DispatchFailure(_) => RequestErrorKind::Unreachable,
            _ => RequestErrorKind::Other,
        };
        // What the service said is told here; the causes matter where it said nothing.
        let source = match error {
            SdkError::ServiceError(_) => None,
            other => other.into_source().ok(),
        };
        Self { kind, code, message, status, request_id, region, advice: kind.advice(), source }
    }

    /// The answer began well and broke off.
    pub(crate) fn broken_off(source: impl Into<BoxError>) -> Self {
        Self::without_answer(RequestErrorKind::Unreachable, Some(source.into()))
    }

    pub(crate) fn timed_out() -> Self {
        Self::without_answer(RequestErrorKind::TimedOut, None)
    }

    /// What the server said of one of many things that it was asked for.
    pub(crate) fn told(code: &str, message: &str) -> Self {
        let nothing = Self::without_answer(RequestErrorKind::of(code, None), None);
        Self { code: Some(code.to_owned()), message: Some(message.to_owned()), ..nothing }
    }

    pub(crate) fn other(message: impl Into<String>) -> Self {
        let nothing = Self::without_answer(RequestErrorKind::Other, None);
        Self { message: Some(message.into()), ..nothing }
    }

    fn without_answer(kind: RequestErrorKind, source: Option<BoxError>) -> Self {
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
                RequestErrorKind::TimedOut => "no answer came in time",
                RequestErrorKind::Credentials => "there are no credentials to sign it with",
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

/// Objects that could not be deleted, each by its key; the source of the [`StorageError`] that
/// [`delete_at_or_before`](attestry_core::StorageBackend::delete_at_or_before) and
/// [`delete`](attestry_core::StorageBackend::delete) return for them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeleteFailures {
    /// How many others were deleted by the same call.
    pub deleted: u64,
    /// How many could not be.
    pub failed: u64,
    /// The first of them, at most [`MAX_LISTED`](Self::MAX_LISTED).
    pub failures: Vec<DeleteFailure>,
}

/// One object that could not be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeleteFailure {
    /// Its key.
    pub key: String,
    /// The code that S3 gave, such as `AccessDenied`; `ObjectLocked` where a lock was found before
    /// S3 was asked.
    pub code: String,
    /// What S3 said besides, or until when it is locked.
    pub message: String,
}

impl DeleteFailure {
    /// Whether the object may be deleted later, by the code.
    pub(crate) fn is_retryable(&self) -> bool {
        RequestErrorKind::of(&self.code, None).is_retryable()
    }
}

impl DeleteFailures {
    /// How many failures are listed one by one.
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

    /// How many went, or the error for those that did not.
    pub(crate) fn into_result(self, location: &str) -> Result<u64, StorageError> {
        if self.failed == 0 {
            return Ok(self.deleted);
        }
        let all = self.failed.saturating_add(self.deleted);
        let message = format!("{} of {all} objects of {location} stay undeleted", self.failed);
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
mod tests {
    use super::*;

    #[test]
    fn codes_come_before_statuses() {
        for (code, status, expected) in [
            ("SlowDown", 503, RequestErrorKind::Throttled),
            ("", 503, RequestErrorKind::Throttled),
            ("", 500, RequestErrorKind::Server),
            ("ExpiredToken", 400, RequestErrorKind::Credentials),
            ("RequestTimeTooSkewed", 403, RequestErrorKind::ClockSkew),
            ("", 403, RequestErrorKind::AccessDenied),
            ("PermanentRedirect", 301, RequestErrorKind::WrongRegion),
            ("NotImplemented", 501, RequestErrorKind::NotImplemented),
            ("InvalidObjectState", 403, RequestErrorKind::Archived),
            ("ConditionalRequestConflict", 409, RequestErrorKind::Conflict),
            ("", 409, RequestErrorKind::Conflict),
            ("Strange", 400, RequestErrorKind::Other),
        ] {
            assert_eq!(RequestErrorKind::of(code, Some(status)), expected, "{code} {status}");
        }
    }

    #[test]
    fn an_answer_that_breaks_off_may_come_whole_the_next_time() {
        use aws_sdk_s3::config::http::HttpResponse;
        use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Error;
        use aws_sdk_s3::primitives::SdkBody;
        let answer = |status: u16| HttpResponse::new(status.try_into().unwrap(), SdkBody::empty());
        let error = |status| SdkError::response_error("half a document", answer(status));
        for (status, expected) in [
            (200, RequestErrorKind::Unreachable),
            (503, RequestErrorKind::Throttled),
            (403, RequestErrorKind::AccessDenied),
        ] {
            let told = RequestError::of::<ListObjectsV2Error>(error(status));
            assert_eq!(told.kind(), expected, "{status}");
        }
    }

    #[test]
    fn many_failures_are_counted_and_some_listed() {
        let one = |n: usize| DeleteFailure {
            key: format!("k{n}"),
            code: "AccessDenied".into(),
            message: "no".into(),
        };
        let mut failures = DeleteFailures::new();
        assert_eq!(failures.clone().into_result("s3://b/p").unwrap(), 0);
        failures.add(5, (0..1_500).map(one).collect());
        assert_eq!(failures.failures.len(), DeleteFailures::MAX_LISTED);
        let text = failures.to_string();
        assert!(text.starts_with("k0: no (AccessDenied); k1: "), "{text}");
        assert!(text.ends_with("; and 1497 more"), "{text}");
        let error = failures.into_result("s3://b/p").unwrap_err();
        assert_eq!(error.to_string(), "1500 of 1505 objects of s3://b/p stay undeleted");
    }
}
