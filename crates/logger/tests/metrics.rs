//! `AuditLogger::metrics` counts what happened, also when the storage fails.

use std::sync::Arc;

use attestry_conformance::{FailingBackend, Failure, Operation};
use attestry_core::{EntryId, ErrorKind, Query};
use attestry_logger::{
    AuditLogger, DeleteMode, FailurePolicy, Interaction, LoggerMetrics, StartRecord,
};
use attestry_memory::MemoryStorage;

type Failing = Arc<FailingBackend<MemoryStorage>>;

fn failing(policy: FailurePolicy) -> (Failing, AuditLogger) {
    let storage = Arc::new(FailingBackend::new(MemoryStorage::new()));
    let logger = AuditLogger::builder(Arc::clone(&storage)).failure_policy(policy).build();
    (storage, logger)
}

fn question() -> Interaction<'static> {
    Interaction::new("What is 2+2?", "4")
}

fn invalid() -> Interaction<'static> {
    question().id(EntryId::new_unchecked("../4"))
}

fn counts(metrics: &LoggerMetrics) -> (u64, u64, u64, u64) {
    (metrics.entries, metrics.refused, metrics.failed_open, metrics.open_calls)
}

#[tokio::test]
async fn recorded_and_refused_entries_are_counted() {
    let (storage, logger) = failing(FailurePolicy::FailClosed);
    assert_eq!(logger.metrics().storage, Some(Default::default()));
    let clone = logger.clone();
    clone.log(question()).await.unwrap();
    logger.log(question().id("chosen".parse::<EntryId>().unwrap())).await.unwrap();
    logger.log_batch([question(), question(), question()]).await.unwrap();
    assert_eq!(counts(&logger.metrics()), (5, 0, 0, 0));
    assert_eq!(logger.metrics().last_error, None);

    logger.log(invalid()).await.unwrap_err();
    assert_eq!(logger.metrics().last_error.unwrap().kind, ErrorKind::InvalidEntry);
    logger.log_batch([question(), invalid(), question()]).await.unwrap_err();
    storage.fail(Failure::disk_full().on(Operation::WRITES));
    logger.log(question()).await.unwrap_err();
    logger.log_batch([question(), question()]).await.unwrap_err();
    let metrics = logger.metrics();
    assert_eq!(counts(&metrics), (5, 1 + 3 + 1 + 2, 0, 0));
    assert_eq!(metrics.last_error.unwrap().kind, ErrorKind::Io);
    // The backend behind the failing one has seen only what reached it.
    let stored = metrics.storage.unwrap();
    assert_eq!((stored.entries, stored.batches, stored.refused), (5, 3, 0));

    storage.recover();
    let deletion = logger.delete_matching(Query::new(), DeleteMode::Delete, |_| ()).await.unwrap();
    assert_eq!(deletion.entries, 5);
    assert_eq!(counts(&logger.metrics()), (5, 7, 0, 0), "counters do not fall");
}

#[tokio::test]
async fn entries_passed_to_the_handler_are_not_counted_as_recorded() {
    let (storage, logger) = failing(FailurePolicy::fail_open(|_, _| ()));
    logger.log(question()).await.unwrap();
    storage.fail(Failure::unreachable().on(Operation::WRITES));
    logger.log(question()).await.unwrap();
    logger.log_batch([question(), question()]).await.unwrap();
    // Rejected for its own sake.
    logger.log(invalid()).await.unwrap_err();
    assert_eq!(counts(&logger.metrics()), (1, 1, 3, 0));
    storage.recover();
    storage.fail(Failure::unreachable().on(Operation::WRITES));
    logger.start(question()).await.unwrap().finish().await.unwrap();
    let metrics = logger.metrics();
    assert_eq!(counts(&metrics), (1, 1, 5, 0));
    assert_eq!(metrics.last_error.unwrap().kind, ErrorKind::Remote);
}

#[tokio::test]
async fn calls_are_open_until_they_end_in_any_way() {
    let (storage, logger) = failing(FailurePolicy::FailClosed);
    let finished = logger.start(question()).await.unwrap();
    let failed = logger.start(question()).await.unwrap();
    let dropped = logger.start_with(question(), StartRecord::Skip).await.unwrap();
    assert_eq!(counts(&logger.metrics()), (2, 0, 0, 3));
    finished.finish().await.unwrap();
    failed.fail("timeout").await.unwrap();
    drop(dropped);
    drop(logger.start(question()).await.unwrap().finish()); // never polled
    assert_eq!(logger.metrics().open_calls, 0);
    logger.close().await.unwrap();
    assert_eq!(counts(&logger.metrics()), (2 + 2 + 1 + 2, 0, 0, 0));

    let (storage_fails, logger) = (storage, AuditLogger::builder(MemoryStorage::new()).build());
    drop(storage_fails);
    let mut call = logger.start(question()).await.unwrap();
    call.set(|fields| fields.id(EntryId::new_unchecked("a/b")));
    call.finish().await.unwrap_err();
    assert_eq!(counts(&logger.metrics()), (1, 1, 0, 0));
}

#[tokio::test]
async fn metrics_are_json_without_content() {
    let (storage, logger) = failing(FailurePolicy::FailClosed);
    logger.log(question().conversation_id("c-17")).await.unwrap();
    storage.fail(Failure::disk_full());
    logger.log(question().provider("openai")).await.unwrap_err();
    let text = serde_json::to_string(&logger.metrics()).unwrap();
    for content in ["2+2", "c-17", "openai", "failing-backend"] {
        assert!(!text.contains(content), "{text}");
    }
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&json["entries"], &json["refused"]), (&1.into(), &1.into()));
    assert_eq!(json["last_error"]["kind"], "io");
    assert_eq!(json["storage"]["entries"], 1);
    assert_eq!(json["storage"]["syncs"]["count"], 0);
}
