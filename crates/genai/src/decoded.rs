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

impl From<CallRecord> for Decoded {
    fn from(record: CallRecord) -> Self {
        Self { records: vec![record], ignored: 0 }
    }
}
