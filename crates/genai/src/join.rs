//! Joins the records of one call, in bounded memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use attestry_core::Timestamp;

use crate::record::CallRecord;

/// Records of one call have starts that are no further apart: some providers use the id of a response again.
const WINDOW: Duration = Duration::from_secs(600);

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
    /// By the order in which calls were first seen.
    calls: BTreeMap<u64, Held>,
    next: u64,
    keys: HashMap<Key, Vec<u64>>,
}

#[derive(Debug)]
struct Held {
    record: CallRecord,
    bytes: usize,
    /// The keys of all its records.
    keys: BTreeSet<Key>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key {
    Span { trace: String, span: String },
    Response { provider: String, id: String },
    Record { source: String, key: String },
}

impl Joiner {
    /// A joiner that holds records of up to about `max_bytes`.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes, bytes: 0, calls: BTreeMap::new(), next: 0, keys: HashMap::new() }
    }

    /// Adds a record. Returns the oldest calls, if there are too many.
    pub fn push(&mut self, record: CallRecord) -> Vec<CallRecord> {
        let mut keys = keys(&record);
        let known = self.matching(&record, &keys);
        let mut joined = record;
        for number in known.iter().rev() {
            if let Some(mut held) = self.take(*number) {
                held.record.merge(joined);
                joined = held.record;
                keys.append(&mut held.keys);
            }
        }
        let number = known.first().copied().unwrap_or_else(|| {
            self.next += 1;
            self.next
        });
        self.insert(number, joined, keys);
        let mut complete = Vec::new();
        while self.bytes > self.max_bytes
            && let Some(oldest) = self.calls.keys().next().copied()
            && let Some(held) = self.take(oldest)
        {
            complete.push(held.record);
        }
        complete
    }

    /// All calls that are left, in the order in which they were first seen.
    pub fn finish(&mut self) -> Vec<CallRecord> {
        self.keys.clear();
        self.bytes = 0;
        std::mem::take(&mut self.calls).into_values().map(|held| held.record).collect()
    }

    /// The calls that `record` describes, oldest first.
    fn matching(&self, record: &CallRecord, keys: &BTreeSet<Key>) -> Vec<u64> {
        let mut numbers = Vec::new();
        for key in keys {
            for number in self.keys.get(key).into_iter().flatten() {
                let Some(held) = self.calls.get(number) else { continue };
                let is_response = matches!(key, Key::Response { .. });
                if !is_response || within_window(record.started, held.record.started) {
                    numbers.push(*number);
                }
            }
        }
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    fn insert(&mut self, number: u64, record: CallRecord, keys: BTreeSet<Key>) {
        for key in &keys {
            self.keys.entry(key.clone()).or_default().push(number);
        }
        let bytes = record.size();
        self.bytes += bytes;
        self.calls.insert(number, Held { record, bytes, keys });
    }

    fn take(&mut self, number: u64) -> Option<Held> {
        let held = self.calls.remove(&number)?;
        self.bytes -= held.bytes;
        for key in &held.keys {
            if let Some(numbers) = self.keys.get_mut(key) {
                numbers.retain(|known| *known != number);
                if numbers.is_empty() {
                    self.keys.remove(key);
                }
            }
        }
        Some(held)
    }
}

fn keys(record: &CallRecord) -> BTreeSet<Key> {
    let mut keys: BTreeSet<Key> = record
        .spans
        .iter()
        .map(|span| Key::Span { trace: span.trace.clone(), span: span.span.clone() })
        .collect();
    // Within an export, its own id is exact.
    if let Some(key) = record.own_id.as_ref().or(record.join_key.as_ref()) {
        let source = record.sources.first().cloned().unwrap_or_default();
        keys.insert(Key::Record { source, key: key.clone() });
    } else if let Some(id) = record.response_id() {
        let provider = record.provider.clone().unwrap_or_default();
        keys.insert(Key::Response { provider, id: id.to_owned() });
    }
    keys
}

/// Records without a start are of any time.
fn within_window(a: Option<Timestamp>, b: Option<Timestamp>) -> bool {
    let (Some(a), Some(b)) = (a, b) else { return true };
    a.max(b) <= a.min(b).saturating_add(WINDOW)
}

#[cfg(test)]
mod tests;
