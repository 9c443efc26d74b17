//! Calls by the keys of their records.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use attestry_core::Timestamp;

use super::key::JoinKey;
use crate::record::CallRecord;

/// Records with a key that [is reused](JoinKey::is_reused) are of one call if their starts are no further apart.
const WINDOW: Duration = Duration::from_secs(600);

/// Calls of which more records may come, in the order in which they were first seen. Records are joined in whatever order
/// they come: those with the same span, with the same provider and id of the response within ten minutes, or with the
/// same id in one export. Each record has a tag, such as where it is stored; a call has the tags of its records.
///
/// ```
/// use attestry_genai::{Format, JoinTable, decode};
///
/// let request = br#"{"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "gpt-4"}}"#;
/// let response = br#"{"custom_id": "1", "error": null, "response": {"status_code": 200, "body": {}}}"#;
/// let mut table = JoinTable::new();
/// for (tag, line) in [&request[..], &response[..]].into_iter().enumerate() {
///     for record in decode(Format::OpenAiBatch, line)?.records {
///         table.add(record, tag);
///     }
/// }
/// let call = table.oldest().and_then(|number| table.take(number)).expect("one call");
/// assert_eq!(call.tags, [0, 1]);
/// assert!(table.is_empty());
/// # Ok::<(), attestry_genai::RecordError>(())
/// ```
#[derive(Debug)]
pub struct JoinTable<T> {
    /// By the order in which calls were first seen.
    calls: BTreeMap<u64, JoinedCall<T>>,
    next: u64,
    keys: HashMap<JoinKey, Vec<u64>>,
}

/// A call in a [`JoinTable`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct JoinedCall<T> {
    /// What all its records say.
    pub record: CallRecord,
    /// The tags of its records.
    pub tags: Vec<T>,
    /// The keys of its records.
    pub keys: BTreeSet<JoinKey>,
}

impl<T> Default for JoinTable<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> JoinTable<T> {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self { calls: BTreeMap::new(), next: 0, keys: HashMap::new() }
    }

    /// Adds a record. Returns the number of its call: smaller than that of every call that was first seen later. A record
    /// that shows that two calls are one joins them under the smaller number.
    pub fn add(&mut self, record: CallRecord, tag: T) -> u64 {
        let keys = record.join_keys();
        self.put(JoinedCall { record, tags: vec![tag], keys })
    }

    /// Adds a call that was [taken](Self::take), as [`add`](Self::add) adds a record.
    pub fn put(&mut self, call: JoinedCall<T>) -> u64 {
        let known = self.matching(&call.record, &call.keys);
        let mut joined = call;
        for number in known.iter().rev() {
            if let Some(mut call) = self.take(*number) {
                call.record.merge(joined.record);
                call.tags.append(&mut joined.tags);
                call.keys.append(&mut joined.keys);
                joined = call;
            }
        }
        let number = known.first().copied().unwrap_or_else(|| {
            self.next += 1;
            self.next
        });
        for key in &joined.keys {
            self.keys.entry(key.clone()).or_default().push(number);
        }
        self.calls.insert(number, joined);
        number
    }

    /// Whether `record`, with these [keys](CallRecord::join_keys), is of a call in the table.
    #[must_use]
    pub fn has_call_of(&self, record: &CallRecord, keys: &BTreeSet<JoinKey>) -> bool {
        !self.calls.is_empty() && !self.matching(record, keys).is_empty()
    }

    /// The call with this number.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&JoinedCall<T>> {
        self.calls.get(&number)
    }

    /// Removes the call with this number.
    pub fn take(&mut self, number: u64) -> Option<JoinedCall<T>> {
        let call = self.calls.remove(&number)?;
        for key in &call.keys {
            if let Some(numbers) = self.keys.get_mut(key) {
                numbers.retain(|known| *known != number);
                if numbers.is_empty() {
                    self.keys.remove(key);
                }
            }
        }
        Some(call)
    }

    /// The number of the call that was first seen.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        self.calls.keys().next().copied()
    }

    /// The calls with their numbers, in the order in which they were first seen.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &JoinedCall<T>)> {
        self.calls.iter().map(|(number, call)| (*number, call))
    }

    /// All calls, in the order in which they were first seen.
    #[must_use]
    pub fn into_calls(self) -> Vec<JoinedCall<T>> {
        self.calls.into_values().collect()
    }

    /// The number of calls.
    #[must_use]
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether it has no calls.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    #[cfg(test)]
    pub(super) fn known_keys(&self) -> usize {
        self.keys.len()
    }

    /// The calls that `record` describes, oldest first.
    fn matching(&self, record: &CallRecord, keys: &BTreeSet<JoinKey>) -> Vec<u64> {
        let mut numbers = Vec::new();
        for key in keys {
            for number in self.keys.get(key).into_iter().flatten() {
                let Some(call) = self.calls.get(number) else { continue };
                if !key.is_reused() || within_window(record.started, call.record.started) {
                    numbers.push(*number);
                }
            }
        }
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }
}

/// Records without a start are of any time.
fn within_window(a: Option<Timestamp>, b: Option<Timestamp>) -> bool {
    let (Some(a), Some(b)) = (a, b) else { return true };
    a.max(b) <= a.min(b).saturating_add(WINDOW)
}
