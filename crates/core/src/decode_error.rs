//! Why a line is not an entry.

use thiserror::Error;

/// The maximum length of a line: 64 MiB, without the line break.
pub const MAX_LINE_BYTES: usize = 64 << 20;

/// Why a line is not an audit entry.
///
/// The message names fields and positions, never content, so that it may go to a log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct DecodeError {
    reason: String,
}

impl DecodeError {
    pub(crate) fn new(reason: String) -> Self {
        Self { reason }
    }

    /// serde's message without the values that it quotes. For types of this project that are parsed
    /// from similar lines.
    #[doc(hidden)]
    #[must_use]
    pub fn from_json(error: &serde_json::Error) -> Self {
        let mut reason = error.to_string();
        let quoted = (reason.find("string \""), reason.rfind("\", expected"));
        if let (Some(start), Some(end)) = quoted
            && start < end
        {
            reason.replace_range(start..=end, "a string");
        }
        for kind in ["integer", "floating point"] {
            if let Some((before, number)) = reason.split_once(&format!("{kind} `"))
                && let Some((_, after)) = number.split_once('`')
            {
                reason = format!("{before}{kind}{after}");
            }
        }
        // The input is always one line, so the line number says nothing.
        Self {
            reason: reason
                .replace(" at line 1 column ", " at column ")
                .replace(" at line 0 column 0", ""),
        }
    }

    /// serde would accept an array of the fields in order; a record is an object.
    #[doc(hidden)]
    #[must_use]
    pub fn not_an_object() -> Self {
        Self { reason: "expected a JSON object".to_owned() }
    }

    pub(crate) fn too_long(length: usize) -> Self {
        Self {
            reason: format!("the line has {length} bytes; at most {MAX_LINE_BYTES} are allowed"),
        }
    }
}
