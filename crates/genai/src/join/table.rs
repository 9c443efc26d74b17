//! Calls by the keys of their records.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use attestry_core::Timestamp;

use super::key::JoinKey;
use crate::record::CallRecord;

/// Records with a key that [is reused](JoinKey::is_reused) are of one call if their starts are no further apart.
const WINDOW: Duration = Duration::from_secs(600);
/// Records or spans of a call that are joined by keys that are reused. Of more, which no provider sends, another call is
/// made: each record that is joined costs what the call says already.
const MAX_RECORDS: usize = 256;
/// Calls that are found by one key that is reused, the newest.
const MAX_CALLS_PER_KEY: usize = 256;

/// Calls of which more records may come, in the order in which they were first seen. Records are joined in whatever order
/// they come: those with the same span, with the same provider and id of the response within ten minutes, or with the
/// same id in one export. Each record has a tag, such as where it is stored; a call has the tags of its records.
///
/// Records with the same id of the response are joined up to 256, and with up to 256 calls of that id. Of more, other
/// calls are made, so that a table takes time linear in its records.
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
        let known = self.matching(&call);
        let Some((&number, later)) = known.split_first() else {
            self.next += 1;
            self.index(call.keys.iter(), self.next);
            self.calls.insert(self.next, call);
            return self.next;
        };
        // The oldest call stays in its place: what it says already is neither moved nor indexed again.
        let later: Vec<_> = later.iter().filter_map(|number| self.take(*number)).collect();
        for other in later.into_iter().chain([call]) {
            let Some(oldest) = self.calls.get_mut(&number) else { continue };
            oldest.record.merge(other.record);
            oldest.tags.extend(other.tags);
            let new: Vec<JoinKey> =
                other.keys.into_iter().filter(|key| oldest.keys.insert(key.clone())).collect();
            self.index(new.iter(), number);
        }
        number
    }

    /// Makes the call findable by these keys.
    fn index<'a>(&mut self, keys: impl Iterator<Item = &'a JoinKey>, number: u64) {
        for key in keys {
            let numbers = self.keys.entry(key.clone()).or_default();
            if key.is_reused() && numbers.len() >= MAX_CALLS_PER_KEY {
                numbers.remove(0);
            }
            numbers.push(number);
        }
    }

    /// Whether `record`, with these [keys](CallRecord::join_keys), is of a call in the table.
    #[must_use]
    pub fn has_call_of(&self, record: &CallRecord, keys: &BTreeSet<JoinKey>) -> bool {
        let mut numbers = keys.iter().flat_map(|key| self.with_key(record, 1, key));
        numbers.next().is_some()
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

    #[cfg(test)]
    pub(super) fn most_calls_of_a_key(&self) -> usize {
        self.keys.values().map(Vec::len).max().unwrap_or(0)
    }

    /// The calls of which `call` is a part, oldest first.
    fn matching(&self, call: &JoinedCall<T>) -> Vec<u64> {
        let size = call.size();
        let keys = call.keys.iter();
        let mut numbers: Vec<u64> =
            keys.flat_map(|key| self.with_key(&call.record, size, key)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// The calls that `record`, of this size, describes according to one of its keys.
    fn with_key(
        &self,
        record: &CallRecord,
        size: usize,
        key: &JoinKey,
    ) -> impl Iterator<Item = u64> {
        let started = record.started;
        let is_reused = key.is_reused();
        self.keys.get(key).into_iter().flatten().copied().filter(move |number| {
            self.calls.get(number).is_some_and(|call| {
                !is_reused
                    || (within_window(started, call.record.started)
                        && call.size() + size <= MAX_RECORDS)
            })
        })
    }
}

impl<T> JoinedCall<T> {
    fn size(&self) -> usize {
        self.tags.len().max(self.record.spans.len())
    }
}

/// Records without a start are of any time.
fn within_window(a: Option<Timestamp>, b: Option<Timestamp>) -> bool {
    let (Some(a), Some(b)) = (a, b) else { return true };
    a.max(b) <= a.min(b).saturating_add(WINDOW)
}
