//! Errors of the crates as exceptions of the package `attestry._errors`.

use std::error::Error;
use std::io;

use attestry::evidence::EvidenceError;
#[cfg(feature = "s3")]
use attestry::s3::{ConnectError, RequestError};
use attestry::{AuditError, ErrorChain, OpenError, StorageError};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::import::Refused;

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum Failure {
    Audit(AuditError),
    Evidence(Box<EvidenceError>),
    Open(OpenError),
    Python(PyErr),
    /// Some records of a batch are refused; the others are stored.
    Refused {
        refused: Refused,
        records: usize,
    },
}

impl Failure {
    /// The runtime of this process could not be started.
    pub(crate) fn runtime(error: io::Error) -> Self {
        let message = format!("cannot start the threads of attestry: {error}");
        Self::Python(PyRuntimeError::new_err(message))
    }

    pub(crate) fn into_error(self, py: Python<'_>) -> PyErr {
        let made = match self {
            Self::Python(error) => return error,
            Self::Audit(error) => audit(py, error),
            Self::Evidence(error) => evidence(py, *error),
            Self::Open(OpenError::Storage(error)) => storage(py, error),
            #[cfg(feature = "s3")]
            Self::Open(OpenError::S3(error)) => connect(py, error),
            Self::Open(error) => return PyValueError::new_err(text(&error)),
            Self::Refused { refused, records } => refused_records(py, refused, records),
        };
        made.unwrap_or_else(|error| error)
    }
}

impl From<AuditError> for Failure {
    fn from(error: AuditError) -> Self {
        Self::Audit(error)
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::Audit(error.into())
    }
}

impl From<EvidenceError> for Failure {
    fn from(error: EvidenceError) -> Self {
        Self::Evidence(Box::new(error))
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

/// The value of an exception's attribute.
enum Attribute {
    Bool(bool),
    Number(u64),
    Text(String),
    None,
}

impl From<bool> for Attribute {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u64> for Attribute {
    fn from(value: u64) -> Self {
        Self::Number(value)
    }
}

impl From<String> for Attribute {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

/// An error and its causes.
fn text(error: &(dyn Error + 'static)) -> String {
    ErrorChain(error).to_string()
}

/// An exception of the package's class `name`.
fn make(
    py: Python<'_>,
    name: &str,
    message: &str,
    attributes: &[(&str, Attribute)],
) -> PyResult<PyErr> {
    let class = py.import("attestry._errors")?.getattr(name)?;
    let named = PyDict::new(py);
    for (name, value) in attributes {
        match value {
            Attribute::Bool(value) => named.set_item(name, value)?,
            Attribute::Number(value) => named.set_item(name, value)?,
            Attribute::Text(value) => named.set_item(name, value)?,
            Attribute::None => named.set_item(name, py.None())?,
        }
    }
    Ok(PyErr::from_value(class.call((message,), Some(&named))?))
}

fn refused_records(py: Python<'_>, refused: Refused, records: usize) -> PyResult<PyErr> {
    let (count, first) = (refused.len(), refused.values().next().map_or("", String::as_str));
    let message = format!(
        "{count} of {records} records cannot be stored, the others are; the first: {first}"
    );
    let named = PyDict::new(py);
    named.set_item("refused", count)?;
    named.set_item("reasons", refused)?;
    let class = py.import("attestry._errors")?.getattr("InvalidEntryError")?;
    Ok(PyErr::from_value(class.call((message,), Some(&named))?))
}

fn audit(py: Python<'_>, error: AuditError) -> PyResult<PyErr> {
    let message = text(&error);
    match error {
        AuditError::Storage(error) => storage(py, error),
        AuditError::Decrypt(_) => invalid_token(py, &message),
        AuditError::InvalidId(_) => make(py, "InvalidEntryError", &message, &[]),
        AuditError::NoEncryption => make(py, "NoEncryptionError", &message, &[]),
        AuditError::LargeCleanup { expired, entries, .. } => {
            let numbers = [("expired", expired.into()), ("entries", entries.into())];
            make(py, "LargeCleanupError", &message, &numbers)
        }
        AuditError::Altered { id, field, .. } | AuditError::HashMismatch { id, field } => {
            let which = [("id", id.to_string().into()), ("field", field.to_string().into())];
            make(py, "AlteredContentError", &message, &which)
        }
        AuditError::NoHashKey { id } => {
            make(py, "AlteredContentError", &message, &[("id", id.to_string().into())])
        }
        _ => make(py, "AttestryError", &message, &[]),
    }
}

#[cfg(feature = "s3")]
fn connect(py: Python<'_>, error: ConnectError) -> PyResult<PyErr> {
    let message = text(&error);
    let (bucket, is_retryable) = match error {
        ConnectError::InvalidSetting { .. } => return Ok(PyValueError::new_err(message)),
        ConnectError::Unreachable { bucket, source } => (bucket, source.kind().is_retryable()),
        ConnectError::Other { bucket, source } => {
            let refused = source.downcast_ref::<RequestError>();
            (bucket, refused.is_some_and(|source| source.kind().is_retryable()))
        }
        ConnectError::NoRegion { bucket }
        | ConnectError::NoCredentials { bucket, .. }
        | ConnectError::BadCredentials { bucket, .. }
        | ConnectError::NoSuchBucket { bucket, .. }
        | ConnectError::AccessDenied { bucket, .. }
        | ConnectError::WrongRegion { bucket, .. }
        | ConnectError::ClockSkew { bucket, .. } => (bucket, false),
        _ => return make(py, "AttestryError", &message, &[]),
    };
    let place = format!("s3://{bucket}");
    make(
        py,
        "RemoteError",
        &message,
        &[("location", place.into()), ("retryable", is_retryable.into())],
    )
}

fn storage(py: Python<'_>, error: StorageError) -> PyResult<PyErr> {
    let message = text(&error);
    match error {
        StorageError::InvalidEntry(_) => make(py, "InvalidEntryError", &message, &[]),
        StorageError::InvalidQuery(_) => make(py, "InvalidQueryError", &message, &[]),
        StorageError::AlreadyExists { id, .. } => {
            make(py, "AlreadyExistsError", &message, &[("id", id.to_string().into())])
        }
        StorageError::Corrupt(record) => {
            let place = [
                ("path", record.location.into()),
                ("offset", record.offset.map_or(Attribute::None, Attribute::Number)),
                ("reason", record.reason.into()),
            ];
            make(py, "CorruptRecordError", &message, &place)
        }
        StorageError::Io { action, path, source, .. } => {
            let path = path.to_string_lossy().into_owned();
            let number =
                source.raw_os_error().unwrap_or_else(|| errno(source.kind())).unsigned_abs();
            let details = [
                ("path", path.into()),
                ("action", action.to_owned().into()),
                ("errno", u64::from(number).into()),
            ];
            make(py, "StorageIOError", &message, &details)
        }
        StorageError::Remote { location, retryable, .. } => {
            let details = [("location", location.into()), ("retryable", retryable.into())];
            make(py, "RemoteError", &message, &details)
        }
        StorageError::Locked { path, .. } => {
            let path = path.to_string_lossy().into_owned();
            make(py, "LockedError", &message, &[("path", path.into())])
        }
        StorageError::ReadOnly { store, .. } => {
            make(py, "ReadOnlyError", &message, &[("path", store.into())])
        }
        StorageError::Closed => make(py, "ClosedError", &message, &[]),
        _ => make(py, "AttestryError", &message, &[]),
    }
}

/// The number of the system's error of this kind, for errors that our own checks make; 0 if there is none.
fn errno(kind: io::ErrorKind) -> i32 {
    use rustix::io::Errno;
    match kind {
        io::ErrorKind::AlreadyExists => Errno::EXIST,
        io::ErrorKind::IsADirectory => Errno::ISDIR,
        io::ErrorKind::NotADirectory => Errno::NOTDIR,
        io::ErrorKind::NotFound => Errno::NOENT,
        io::ErrorKind::PermissionDenied => Errno::ACCESS,
        io::ErrorKind::ReadOnlyFilesystem => Errno::ROFS,
        io::ErrorKind::StorageFull => Errno::NOSPC,
        _ => return 0,
    }
    .raw_os_error()
}

fn evidence(py: Python<'_>, error: EvidenceError) -> PyResult<PyErr> {
    let message = text(&error);
    match error {
        EvidenceError::Storage(error) => storage(py, error),
        _ => make(py, "EvidenceError", &message, &[]),
    }
}

/// The package's `InvalidToken`, which is a subclass of that of `cryptography` where this is installed.
pub(crate) fn invalid_token(py: Python<'_>, message: &str) -> PyResult<PyErr> {
    let class = py.import("attestry._errors")?.call_method0("invalid_token")?;
    Ok(PyErr::from_value(class.call1((message,))?))
}

/// The package's `EvidenceError`.
pub(crate) fn evidence_error(py: Python<'_>, message: &str) -> PyResult<PyErr> {
    make(py, "EvidenceError", message, &[])
}
