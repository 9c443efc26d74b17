//! What the framings of streams have in common.

use serde_json::Value;

/// An event of a stream.
pub(crate) enum Frame {
    /// A JSON value. The name of a server-sent event is in its data, too.
    Event(Value),
    /// `[DONE]`.
    Done,
    /// Not JSON, or damaged.
    Invalid,
}
