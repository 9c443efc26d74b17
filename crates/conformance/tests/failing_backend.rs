//! `FailingBackend` forwards every call, and fails the chosen ones.

use std::sync::atomic::{AtomicBool, Ordering};

use attestry_conformance::{FailingBackend, Failure, Fresh, Operation, example::MinimalBackend};
use attestry_core::{AuditEntry, EntryId, Query, StorageBackend, StorageError, Timestamp};
use futures_util::TryStreamExt;

mod without_failures {
    use super::*;
    attestry_conformance::suite!(Fresh::new(FailingBackend::new(MinimalBackend::default())));
}

fn entry(name: &str) -> AuditEntry {
    AuditEntry::new(EntryId::new_unchecked(name), Timestamp::UNIX_EPOCH, "1".into(), "2".into())
}

fn backend() -> FailingBackend<MinimalBackend> {
    FailingBackend::new(MinimalBackend::default())
}

/// Calls `operation` and returns its error, if any.
async fn call(store: &dyn StorageBackend, operation: Operation) -> Option<StorageError> {
    let entry = entry(&format!("{operation:?}"));
    let (start, end) = (Timestamp::MIN, Timestamp::MAX);
    let entries = std::slice::from_ref(&entry);
    match operation {
        Operation::Write => store.write(&entry).await.err(),
        Operation::WriteBatch => store.write_batch(entries).await.err(),
        Operation::WriteNew => store.write_new(entries).await.err(),
        Operation::Append => store.append(entries).await.err(),
        Operation::Read => store.read(&entry.id).await.err(),
        Operation::ReadLine => store.read_line(&entry.id).await.err(),
        Operation::ListEntries => store.list_entries(start, end).await.err(),
        Operation::Scan => store.scan(Query::new()).try_collect::<Vec<_>>().await.err(),
        Operation::ScanLines => store.scan_lines(Query::new()).try_collect::<Vec<_>>().await.err(),
        Operation::Count => store.count().await.err(),
        Operation::Delete => store.delete(&entry.id).await.err(),
        Operation::DeleteBatch => store.delete_batch(std::slice::from_ref(&entry.id)).await.err(),
        Operation::DeleteAtOrBefore => store.delete_at_or_before(start).await.err(),
        Operation::Compact => store.compact().await.err(),
        Operation::Flush => store.flush().await.err(),
        Operation::Close => store.close().await.err(),
        other => panic!("{other:?} is not tested"),
    }
}

#[tokio::test]
async fn each_operation_fails_alone() {
    for failing in Operation::ALL {
        let store = backend();
        store.fail(Failure::new(|| StorageError::Closed).on([failing]));
        for operation in Operation::ALL {
            let error = call(&store, operation).await;
            assert_eq!(error.is_some(), operation == failing, "{operation:?}: {error:?}");
        }
        store.recover();
        assert!(call(&store, failing).await.is_none(), "{failing:?} after recover");
    }
}

#[tokio::test]
async fn only_the_nth_matching_call_fails() {
    let store = backend();
    store.fail(Failure::disk_full().on(Operation::WRITES).nth_call(3));
    let mut failed = Vec::new();
    for n in 0..6 {
        assert!(call(&store, Operation::Count).await.is_none(), "reads are not counted");
        failed.push(store.write(&entry(&n.to_string())).await.is_err());
    }
    assert_eq!(failed, [false, false, true, false, false, false]);
    assert_eq!(store.count().await.unwrap(), 5);
}

#[tokio::test]
async fn failure_before_the_call_stores_nothing() {
    let store = backend();
    store.fail(Failure::broken_disk());
    for operation in Operation::WRITES {
        assert!(call(&store, operation).await.is_some());
    }
    assert_eq!(store.inner().count().await.unwrap(), 0);
}

#[tokio::test]
async fn failure_after_the_call_keeps_its_effect() {
    let store = backend();
    store.fail(Failure::unreachable().after_call());
    for operation in Operation::WRITES {
        assert!(call(&store, operation).await.is_some());
    }
    assert_eq!(store.inner().count().await.unwrap(), 4);
    assert!(store.delete(&entry("Write").id).await.is_err());
    assert_eq!(store.inner().count().await.unwrap(), 3);

    let mut scan = store.scan(Query::new());
    assert!(scan.try_next().await.unwrap().is_some());
    assert!(scan.try_next().await.unwrap().is_some());
    assert!(scan.try_next().await.unwrap().is_some());
    assert!(scan.try_next().await.is_err());
    assert!(scan.try_next().await.unwrap().is_none());
}

#[tokio::test]
async fn inner_error_takes_precedence_after_the_call() {
    let store = backend();
    store.fail(Failure::disk_full().after_call());
    let error = store.write(&entry("a/b")).await.unwrap_err();
    assert!(matches!(error, StorageError::InvalidEntry(_)), "{error:?}");
}

#[tokio::test]
async fn append_fails_when_it_is_polled() {
    let store = backend();
    store.fail(Failure::disk_full().on([Operation::Append]).nth_call(1));
    drop(store.append(&[entry("never polled")]));
    assert!(store.append(&[entry("polled")]).await.is_err());
}

#[tokio::test]
async fn first_added_failure_decides_the_error() {
    let store = backend();
    store.fail(Failure::unreachable().nth_call(2));
    store.fail(Failure::disk_full());
    let errors = [call(&store, Operation::Flush).await, call(&store, Operation::Flush).await];
    assert!(
        matches!(&errors, [Some(StorageError::Io { .. }), Some(StorageError::Remote { .. })]),
        "{errors:?}"
    );
}

#[tokio::test]
async fn presets_differ_in_retryability() {
    for (failure, retryable) in [
        (Failure::disk_full(), true),
        (Failure::unreachable(), true),
        (Failure::broken_disk(), false),
    ] {
        let store = backend();
        store.fail(failure);
        assert_eq!(store.flush().await.unwrap_err().is_retryable(), retryable);
    }
}

#[tokio::test]
async fn error_is_created_for_each_failed_call() {
    let store = backend();
    let retryable = std::sync::Arc::new(AtomicBool::new(true));
    store.fail(Failure::new({
        let retryable = retryable.clone();
        move || {
            let kind = if retryable.load(Ordering::Relaxed) {
                std::io::ErrorKind::StorageFull
            } else {
                std::io::ErrorKind::PermissionDenied
            };
            StorageError::io("append to", "/audit", kind.into())
        }
    }));
    assert!(store.flush().await.unwrap_err().is_retryable());
    retryable.store(false, Ordering::Relaxed);
    assert!(!store.flush().await.unwrap_err().is_retryable());
}
