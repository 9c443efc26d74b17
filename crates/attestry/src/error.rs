//! Errors of opening a store, and of parsing and validation.

use attestry_core::StorageError;
use thiserror::Error;

pub use attestry_core::{
    DecodeError, InvalidCursor, InvalidEntry, InvalidId, InvalidQuery, ParseTimestampError,
};
pub use attestry_logger::InvalidHashKey;

/// Why a store could not be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL does not name a store.
    #[error(transparent)]
    Url(#[from] InvalidUrl),
    /// The store does not support a setting of [`OpenOptions`](crate::OpenOptions).
    #[error("{store} stores do not support `{setting}`; remove the setting or open a folder")]
    #[non_exhaustive]
    Unsupported {
        /// The name of the setting's method.
        setting: &'static str,
        /// The URL scheme of the store, such as `s3:`.
        store: &'static str,
    },
    /// The storage backend could not be opened.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The connection to the bucket could not be set up.
    #[cfg(feature = "s3")]
    #[error(transparent)]
    S3(#[from] attestry_s3::ConnectError),
}

/// Why a URL does not name a store.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidUrl {
    /// The scheme is missing or unknown.
    #[error(
        "{url:?} is not the URL of a store; use file:///PATH, memory: or s3://BUCKET/PREFIX \
         (a plain path goes to `open`)"
    )]
    UnknownScheme {
        /// The URL without its options.
        url: String,
    },
    /// The backend is not compiled in.
    #[error(
        "this build has no {feature} backend; enable the cargo feature `{feature}` of attestry"
    )]
    NotCompiledIn {
        /// The cargo feature.
        feature: &'static str,
    },
    /// The path of a file URL is not absolute, or not UTF-8 after decoding.
    #[error("a file URL has an absolute path, like file:///var/log/audit, and no host")]
    BadPath,
    /// An S3 URL has no bucket, or its prefix is not UTF-8 after decoding.
    #[error("an S3 URL names a bucket and a prefix in it, like s3://my-bucket/audit")]
    BadBucket,
    /// The store has no such option.
    #[error("unknown option {name:?}; a {scheme} URL takes {allowed}")]
    UnknownOption {
        /// Its name.
        name: String,
        /// The URL's scheme.
        scheme: &'static str,
        /// The options of this scheme.
        allowed: &'static str,
    },
    /// An option has an invalid value.
    #[error("option {name} must be {expected}")]
    BadOption {
        /// Its name.
        name: &'static str,
        /// The valid values.
        expected: &'static str,
    },
}
