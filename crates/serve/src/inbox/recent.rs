//! The calls that were written last, by their keys.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use attestry::{EntryId, Timestamp};
use attestry_genai::JoinKey;

/// A key that is reused names the call only near its start.
const WINDOW: Duration = Duration::from_secs(600);

/// Where a call is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Written {
    /// The write has begun, and may fail.
    Begun,
    Stored(EntryId),
}

/// The calls that were written last, in bounded memory. A call that has been forgotten is still found by the id of its
/// entry, when the same id is written again.
#[derive(Debug)]
pub(super) struct Recent {
    /// By the hash of the key, which is kept instead of the key.
    calls: HashMap<u64, Slot>,
    /// The oldest first.
    order: VecDeque<u64>,
    capacity: usize,
    hasher: RandomState,
}

#[derive(Debug, Clone)]
struct Slot {
    written: Written,
    started: Option<Timestamp>,
}

impl Recent {
    /// Remembers calls with up to `capacity` keys.
    pub(super) fn new(capacity: usize) -> Self {
        let hasher = RandomState::new();
        Self { calls: HashMap::new(), order: VecDeque::new(), capacity, hasher }
    }

    pub(super) fn set(
        &mut self,
        keys: &BTreeSet<JoinKey>,
        started: Option<Timestamp>,
        written: &Written,
    ) {
        for key in keys {
            let hash = self.hasher.hash_one(key);
            let slot = Slot { written: written.clone(), started };
            if self.calls.insert(hash, slot).is_none() {
                self.order.push_back(hash);
            }
        }
        while self.order.len() > self.capacity {
            if let Some(oldest) = self.order.pop_front() {
                self.calls.remove(&oldest);
            }
        }
    }

    /// Forgets a write that failed.
    pub(super) fn forget(&mut self, keys: &BTreeSet<JoinKey>) {
        for key in keys {
            let hash = self.hasher.hash_one(key);
            if self.calls.get(&hash).is_some_and(|slot| slot.written == Written::Begun) {
                // Its place in the order stays, and removes nothing later.
                self.calls.remove(&hash);
            }
        }
    }

    /// The call with one of `keys`.
    pub(super) fn find(
        &self,
        keys: &BTreeSet<JoinKey>,
        started: Option<Timestamp>,
    ) -> Option<&Written> {
        let slots = keys.iter().filter_map(|key| {
            let slot = self.calls.get(&self.hasher.hash_one(key))?;
            (!key.is_reused() || within_window(slot.started, started)).then_some(&slot.written)
        });
        // One that is stored says more than one that may fail.
        slots.max_by_key(|written| matches!(written, Written::Stored(_)))
    }
}

/// Calls without a start are of any time.
fn within_window(a: Option<Timestamp>, b: Option<Timestamp>) -> bool {
    let (Some(a), Some(b)) = (a, b) else { return true };
    a.max(b) <= a.min(b).saturating_add(WINDOW)
}

#[cfg(test)]
mod tests {
    use attestry_genai::{Format, decode};

    use super::*;

    fn keys(span: u8) -> BTreeSet<JoinKey> {
        let json = format!(
            r#"{{"resourceSpans": [{{"scopeSpans": [{{"spans": [{{"traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
            "spanId": "00f067aa0ba902{span:02x}", "attributes": [{{"key": "gen_ai.response.id",
            "value": {{"stringValue": "r{span}"}}}}]}}]}}]}}]}}"#
        );
        decode(Format::Otlp, json.as_bytes()).unwrap().records[0].join_keys()
    }

    #[test]
    fn oldest_calls_are_forgotten() {
        let mut recent = Recent::new(4);
        let stored = |span: u8| Written::Stored(format!("e{span}").parse().unwrap());
        for span in 0..3 {
            recent.set(&keys(span), None, &stored(span));
        }
        assert_eq!(recent.find(&keys(0), None), None);
        assert_eq!(recent.find(&keys(2), None), Some(&stored(2)));
    }

    #[test]
    fn failed_write_is_forgotten_and_stored_one_is_not() {
        let mut recent = Recent::new(100);
        recent.set(&keys(1), None, &Written::Begun);
        assert_eq!(recent.find(&keys(1), None), Some(&Written::Begun));
        recent.forget(&keys(1));
        assert_eq!(recent.find(&keys(1), None), None);
        recent.set(&keys(1), None, &Written::Stored("e".parse().unwrap()));
        recent.forget(&keys(1));
        assert!(recent.find(&keys(1), None).is_some());
    }

    #[test]
    fn response_id_is_another_call_after_a_while() {
        let mut recent = Recent::new(100);
        let start = Timestamp::UNIX_EPOCH;
        recent.set(&keys(1), Some(start), &Written::Begun);
        let response: BTreeSet<_> = keys(1).into_iter().filter(JoinKey::is_reused).collect();
        assert_eq!(response.len(), 1);
        let at = |seconds| Some(start.saturating_add(Duration::from_secs(seconds)));
        assert!(recent.find(&response, at(600)).is_some());
        assert!(recent.find(&response, at(601)).is_none());
        assert!(recent.find(&keys(1), at(601)).is_some());
    }
}
