//! Joins the records of one call, in bounded memory.

mod key;
mod table;

use crate::record::CallRecord;

pub use self::key::JoinKey;
pub use self::table::{JoinTable, JoinedCall};

/// Joins [`CallRecord`]s that describe the same call, in whatever order they come: those with the same span, with the same
/// provider and id of the response within ten minutes, or with the same id in one export.
///
/// It holds records until [`finish`](Self::finish), or until they are more than `max_bytes`: the oldest call is then
/// returned as it is, and a record of it that comes later becomes a call of its own with the same [id](CallRecord::id).
///
/// ```
/// use attestry_genai::{Format, Joiner, decode};
///
/// let mut joiner = Joiner::new(64 << 20);
/// for line in [
///     r#"{"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body":
///         {"model": "gpt-4", "messages": [{"role": "user", "content": "2+2?"}]}}"#,
///     r#"{"custom_id": "1", "error": null, "response": {"status_code": 200, "body":
///         {"id": "c-1", "created": 1769591700, "model": "gpt-4", "choices":
///             [{"index": 0, "message": {"role": "assistant", "content": "4"}, "finish_reason": "stop"}]}}}"#,
/// ] {
///     for record in decode(Format::OpenAiBatch, line.as_bytes())?.records {
///         assert!(joiner.push(record).is_empty());
///     }
/// }
/// assert_eq!(joiner.finish().len(), 1);
/// # Ok::<(), attestry_genai::RecordError>(())
/// ```
#[derive(Debug)]
pub struct Joiner {
    max_bytes: usize,
    bytes: usize,
    /// The tags are sizes.
    calls: JoinTable<usize>,
}

impl Joiner {
    /// A joiner that holds records of up to about `max_bytes`.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes, bytes: 0, calls: JoinTable::new() }
    }

    /// Adds a record. Returns the oldest calls, if there are too many.
    pub fn push(&mut self, record: CallRecord) -> Vec<CallRecord> {
        let bytes = record.size();
        self.bytes += bytes;
        self.calls.add(record, bytes);
        let mut complete = Vec::new();
        while self.bytes > self.max_bytes
            && let Some(oldest) = self.calls.oldest()
            && let Some(call) = self.calls.take(oldest)
        {
            self.bytes -= call.tags.iter().sum::<usize>();
            complete.push(call.record);
        }
        complete
    }

    /// All calls that are left, in the order in which they were first seen.
    pub fn finish(&mut self) -> Vec<CallRecord> {
        self.bytes = 0;
        let calls = std::mem::take(&mut self.calls).into_calls();
        calls.into_iter().map(|call| call.record).collect()
    }
}

#[cfg(test)]
mod tests;
