//! The provided methods of the trait, held against naive versions of what they promise.
#![allow(clippy::unwrap_used)] // helpers of a test

use std::sync::Mutex;

use attestry_core::{
    AuditEntry, Cursor, EntryId, Order, Query, StorageBackend, StorageError, Timestamp, async_trait,
};
use futures_util::TryStreamExt;
use proptest::collection::vec;
use proptest::prelude::*;

/// The five required methods and nothing else.
#[derive(Debug, Default)]
struct Five(Mutex<Vec<AuditEntry>>);

#[async_trait]
impl StorageBackend for Five {
    async fn write(&self, entry: &AuditEntry) -> Result<EntryId, StorageError> {
        entry.validate()?;
        let mut entries = self.0.lock().unwrap();
        match entries.iter().find(|stored| stored.id == entry.id) {
            Some(stored) if stored == entry => {}
            Some(_) => {
                return Err(StorageError::AlreadyExists { id: entry.id.clone() });
            }
            None => entries.push(entry.clone()),
        }
        Ok(entry.id.clone())
    }
    async fn read(&self, id: &EntryId) -> Result<Option<AuditEntry>, StorageError> {
        Ok(self.0.lock().unwrap().iter().find(|entry| entry.id == *id).cloned())
    }
    async fn list_entries(
        &self,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<AuditEntry>, StorageError> {
        let range = Query::range(start, end);
        range.validate()?;
        let mut found = self.0.lock().unwrap().clone();
        found.retain(|entry| range.matches(entry));
        found.sort_by_key(|entry| entry.timestamp);
        Ok(found)
    }
    async fn delete(&self, id: &EntryId) -> Result<bool, StorageError> {
        let mut entries = self.0.lock().unwrap();
        let before = entries.len();
        entries.retain(|entry| entry.id != *id);
        Ok(entries.len() < before)
    }
    async fn count(&self) -> Result<u64, StorageError> {
        Ok(self.0.lock().unwrap().len() as u64)
    }
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_unix_micros(micros).unwrap()
}

/// Few distinct values, so that filters match and times tie.
fn entries() -> impl Strategy<Value = Vec<AuditEntry>> {
    let entry = (0..12i64, prop::option::of("[ab]"), any::<bool>(), vec("[xy]", 0..2));
    vec(entry, 0..40).prop_map(|rows| {
        rows.into_iter()
            .enumerate()
            .map(|(n, (micros, provider, safety_passed, detectors_triggered))| AuditEntry {
                model: provider.clone(),
                conversation_id: provider.clone(),
                provider,
                safety_passed,
                detectors_triggered,
                ..AuditEntry::new(
                    format!("e{n}").parse().unwrap(),
                    at(micros),
                    "i".into(),
                    "o".into(),
                )
            })
            .collect()
    })
}

prop_compose! {
    fn any_query()(
        since in prop::option::of(0..12i64), until in prop::option::of(0..12i64),
        provider in prop::option::of("[abc]"), model in prop::option::weighted(0.2, "[ab]"),
        conversation in prop::option::weighted(0.2, "[ab]"), safety in prop::option::of(any::<bool>()),
        detector in prop::option::of("[xyz]"), limit in prop::option::of(0..10usize),
        descending in any::<bool>(), after in prop::option::of((0..12i64, 0..40u32)),
    ) -> Query {
        let mut query = Query::new().order(if descending { Order::Descending } else { Order::Ascending });
        query.since = since.map(at);
        query.until = until.map(at);
        query.provider = provider;
        query.model = model;
        query.conversation_id = conversation;
        query.safety_passed = safety;
        query.detector = detector;
        query.limit = limit;
        query.after = after.map(|(micros, n)| Cursor { timestamp: at(micros), id: format!("e{n}").parse().unwrap() });
        query
    }
}

/// The same, one entry at a time, with nothing clever.
fn naive(query: &Query, written: &[AuditEntry]) -> Vec<AuditEntry> {
    let mut ordered: Vec<(usize, &AuditEntry)> = written.iter().enumerate().collect();
    ordered.sort_by_key(|(n, entry)| (entry.timestamp, *n));
    if query.order == Order::Descending {
        ordered.reverse();
    }
    let cursor = query.after.as_ref();
    let found = cursor
        .and_then(|c| ordered.iter().position(|(_, e)| e.id == c.id && e.timestamp == c.timestamp));
    let mut result = Vec::new();
    for (place, (_, entry)) in ordered.into_iter().enumerate() {
        let behind = match (cursor, found) {
            (None, _) => true,
            (Some(_), Some(position)) => place > position,
            (Some(c), None) if query.order == Order::Descending => entry.timestamp <= c.timestamp,
            (Some(c), None) => entry.timestamp >= c.timestamp,
        };
        let full = query.limit.is_some_and(|limit| result.len() >= limit);
        let in_range = query.since.is_none_or(|s| entry.timestamp >= s)
            && query.until.is_none_or(|u| entry.timestamp <= u);
        let fits =
            |wanted: &Option<String>, value: &Option<String>| wanted.is_none() || wanted == value;
        if behind
            && !full
            && in_range
            && fits(&query.provider, &entry.provider)
            && fits(&query.model, &entry.model)
            && fits(&query.conversation_id, &entry.conversation_id)
            && (query.safety_passed.is_none() || query.safety_passed == Some(entry.safety_passed))
            && query.detector.iter().all(|name| entry.detectors_triggered.iter().any(|d| d == name))
        {
            result.push(entry.clone());
        }
    }
    result
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

proptest! {
    #[test]
    fn scan_is_the_naive_selection(written in entries(), query in any_query()) {
        block_on(async {
            let store = Five::default();
            store.write_batch(&written).await.unwrap();
            let scanned: Result<Vec<_>, _> = store.scan(query.clone()).try_collect().await;
            if query.validate().is_err() {
                prop_assert!(matches!(scanned, Err(StorageError::InvalidQuery(_))));
            } else {
                prop_assert_eq!(scanned.unwrap(), naive(&query, &written));
            }
            Ok(())
        })?;
    }

    #[test]
    fn delete_until_is_deleting_each(written in entries(), cutoff in 0..12i64) {
        block_on(async {
            let store = Five::default();
            store.append(&written).await.unwrap();
            let (old, young): (Vec<_>, Vec<_>) = written.into_iter().partition(|entry| entry.timestamp <= at(cutoff));
            prop_assert_eq!(store.delete_at_or_before(at(cutoff)).await.unwrap(), old.len() as u64);
            prop_assert_eq!(&*store.0.lock().unwrap(), &young);
            Ok(())
        })?;
    }

    #[test]
    fn a_batch_is_writing_each(written in entries(), again in any::<prop::sample::Index>()) {
        block_on(async {
            let (one, many) = (Five::default(), std::sync::Arc::new(Five::default()));
            for entry in &written {
                one.write(entry).await.unwrap();
            }
            many.write_batch(&written[..again.index(written.len() + 1)]).await.unwrap();
            many.write_batch(&written).await.unwrap();
            prop_assert_eq!(&*one.0.lock().unwrap(), &*many.0.lock().unwrap());
            Ok(())
        })?;
    }
}
