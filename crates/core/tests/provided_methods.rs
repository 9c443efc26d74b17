//! The provided methods of the trait, compared with naive implementations of their promises.
#![allow(clippy::unwrap_used)] // test helpers

use std::sync::Mutex;

use attestry_core::{
    AuditEntry, CorruptRecord, Cursor, EntryId, MetadataCondition, MetadataTest, Order, Query,
    ReadOnly, StorageBackend, StorageError, Timestamp, async_trait,
};
use futures_util::TryStreamExt;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

/// Only the five required methods.
#[derive(Debug, Default)]
struct Five(Mutex<Vec<AuditEntry>>);

#[async_trait]
impl StorageBackend for Five {
    async fn write(&self, entry: &AuditEntry) -> Result<EntryId, StorageError> {
        entry.validate()?;
        let mut entries = self.0.lock().unwrap();
        match entries.iter().find(|stored| stored.id == entry.id) {
            Some(stored) if stored == entry => {}
            Some(_) => return Err(StorageError::already_exists(entry.id.clone())),
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

/// Few distinct values, so that filters match and timestamps tie.
fn entries() -> impl Strategy<Value = Vec<AuditEntry>> {
    let entry = (0..12i64, prop::option::of("[ab]"), any::<bool>(), vec("[xy]", 0..2));
    vec(entry, 0..40).prop_map(|rows| {
        rows.into_iter()
            .enumerate()
            .map(|(n, (micros, provider, safety_passed, detectors_triggered))| AuditEntry {
                model: provider.clone(),
                conversation_id: provider.clone(),
                safety_passed,
                metadata: detectors_triggered
                    .iter()
                    .map(|key| (key.clone(), provider.clone().into()))
                    .collect(),
                block_reason: provider.clone(),
                provider,
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
        metadata in vec(("[xyz]", prop::option::of(prop::option::of("[ab]"))), 0..2),
        text_contains in prop::option::weighted(0.2, "[abc]"),
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
        query.metadata = metadata
            .into_iter()
            .map(|(key, value)| match value {
                Some(value) => MetadataCondition::equals(key, value),
                None => MetadataCondition::exists(key),
            })
            .collect();
        query.text_contains = text_contains;
        query.after = after.map(|(micros, n)| Cursor { timestamp: at(micros), id: format!("e{n}").parse().unwrap() });
        query
    }
}

/// The same selection, one entry at a time.
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
    for (index, (_, entry)) in ordered.into_iter().enumerate() {
        let after_cursor = match (cursor, found) {
            (None, _) => true,
            (Some(_), Some(position)) => index > position,
            (Some(c), None) if query.order == Order::Descending => entry.timestamp <= c.timestamp,
            (Some(c), None) => entry.timestamp >= c.timestamp,
        };
        let full = query.limit.is_some_and(|limit| result.len() >= limit);
        let in_range = query.since.is_none_or(|s| entry.timestamp >= s)
            && query.until.is_none_or(|u| entry.timestamp <= u);
        let fits =
            |wanted: &Option<String>, value: &Option<String>| wanted.is_none() || wanted == value;
        if after_cursor
            && !full
            && in_range
            && fits(&query.provider, &entry.provider)
            && fits(&query.model, &entry.model)
            && fits(&query.conversation_id, &entry.conversation_id)
            && (query.safety_passed.is_none() || query.safety_passed == Some(entry.safety_passed))
            && query.detector.iter().all(|name| entry.detectors_triggered.iter().any(|d| d == name))
            && query.metadata.iter().all(|condition| {
                let stored = entry.metadata.get(&condition.key);
                match &condition.test {
                    MetadataTest::Equals(value) => stored == Some(value),
                    _ => stored.is_some(),
                }
            })
            && query.text_contains.iter().all(|wanted| {
                let in_metadata =
                    |v: &Value| v.as_str().is_some_and(|v| v.contains(wanted.as_str()));
                entry.block_reason.as_ref().is_some_and(|reason| reason.contains(wanted.as_str()))
                    || entry.metadata.values().any(in_metadata)
            })
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
    fn scan_matches_the_naive_selection(written in entries(), query in any_query()) {
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
    fn delete_at_or_before_matches_single_deletes(written in entries(), cutoff in 0..12i64) {
        block_on(async {
            let store = Five::default();
            store.append(&written).await.unwrap();
            let (old, new): (Vec<_>, Vec<_>) = written.into_iter().partition(|entry| entry.timestamp <= at(cutoff));
            prop_assert_eq!(store.delete_at_or_before(at(cutoff)).await.unwrap(), old.len() as u64);
            prop_assert_eq!(&*store.0.lock().unwrap(), &new);
            Ok(())
        })?;
    }

    #[test]
    fn write_batch_matches_single_writes(written in entries(), again in any::<prop::sample::Index>()) {
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

#[test]
fn read_only_forwards_reads_and_refuses_changes() {
    block_on(async {
        let entry = AuditEntry::new("a".parse().unwrap(), at(1), "i".into(), "o".into());
        let store = std::sync::Arc::new(Five::default());
        store.write(&entry).await.unwrap();
        let reader = ReadOnly::new(store.clone(), "memory:");

        assert_eq!(reader.read(&entry.id).await.unwrap(), Some(entry.clone()));
        assert_eq!(reader.count().await.unwrap(), 1);
        assert_eq!(reader.list_entries(at(0), at(2)).await.unwrap(), std::slice::from_ref(&entry));
        let scanned: Vec<_> = reader.scan(Query::new()).try_collect().await.unwrap();
        assert_eq!(scanned, std::slice::from_ref(&entry));
        let lines: Vec<_> = reader.scan_lines(Query::new()).try_collect().await.unwrap();
        assert_eq!(lines.len(), 1);
        assert_eq!(reader.read_line(&entry.id).await.unwrap().as_ref(), lines.first());
        assert!(reader.as_any().is_none());

        let refused = [
            reader.write(&entry).await.map(drop),
            reader.write_batch(std::slice::from_ref(&entry)).await,
            reader.append(std::slice::from_ref(&entry)).await,
            reader.delete(&entry.id).await.map(drop),
            reader.delete_batch(std::slice::from_ref(&entry.id)).await.map(drop),
            reader.delete_at_or_before(at(9)).await.map(drop),
            reader.compact().await.map(drop),
        ];
        for outcome in refused {
            let error = outcome.unwrap_err();
            assert!(matches!(error, StorageError::ReadOnly { .. }), "{error:?}");
            assert_eq!(error.to_string(), "memory: was opened read-only");
        }
        reader.flush().await.unwrap();
        reader.close().await.unwrap();
        assert_eq!(store.count().await.unwrap(), 1);
    });
}

#[test]
fn error_kinds_have_distinct_labels() {
    let errors = [
        StorageError::already_exists("a".parse().unwrap()),
        StorageError::io("read", "/a", std::io::ErrorKind::NotFound.into()),
        StorageError::remote("read", "s3://a", true, "overloaded"),
        StorageError::locked("/a"),
        StorageError::read_only("/a"),
        StorageError::Closed,
        StorageError::message("failed"),
        CorruptRecord::new("a.jsonl", "cut off").into(),
    ];
    let labels: std::collections::HashSet<_> = errors.iter().map(|e| e.kind().as_str()).collect();
    assert_eq!(labels.len(), errors.len());
    assert_eq!(errors[0].kind().to_string(), "already_exists");
    assert!(errors[2].is_retryable() && errors[3].is_retryable() && !errors[4].is_retryable());
}
