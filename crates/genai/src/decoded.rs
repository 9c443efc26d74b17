//! What a record of another program holds.

use crate::record::CallRecord;

/// The calls of one record of another program.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Decoded {
    /// The calls, or parts of them.
    pub records: Vec<CallRecord>,
    /// The number of spans and log records that are of something else, such as a query of a database.
    pub ignored: u64,
}

/// What becomes of spans and log records that are of something else than generative AI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum UnknownSpans {
    /// They are counted.
    #[default]
    Count,
    /// Each becomes a record of its own, whose operation is `span` or `log`.
    Keep,
}

impl From<CallRecord> for Decoded {
    fn from(record: CallRecord) -> Self {
        Self { records: vec![record], ignored: 0 }
    }
}
