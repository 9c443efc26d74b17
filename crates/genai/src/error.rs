//! Why a record of another program is not a call.

use attestry_core::DecodeError;
use thiserror::Error;

use crate::Format;

/// Why a record is refused. Messages name fields and positions, never content.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It is not JSON, or a key occurs twice.
    #[error(transparent)]
    Json(#[from] DecodeError),
    /// It is JSON, but not of the format.
    #[error("not a record of the format {format}: {reason}")]
    OtherFormat {
        /// The format that was expected.
        format: Format,
        /// What is missing or wrong.
        reason: &'static str,
    },
    /// It is a [`CallRecord`](crate::CallRecord) that a later version wrote.
    #[error(
        "the record was written by a later version (form {version}); use that version to read it"
    )]
    Version {
        /// The version of the form.
        version: u32,
    },
    /// It is not a message of the protocol.
    #[error("invalid protobuf message: {reason}")]
    Protobuf {
        /// The message of the decoder.
        reason: String,
    },
}

impl RecordError {
    pub(crate) const fn format(format: Format, reason: &'static str) -> Self {
        Self::OtherFormat { format, reason }
    }
}
