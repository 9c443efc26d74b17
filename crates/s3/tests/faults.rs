//! Error responses, broken connections and timeouts: acknowledged entries are stored, transient errors are
//! retried, and the final error names the cause.
#![allow(clippy::unwrap_used)] // in helper functions

mod support;

use std::time::Duration;

use attestry_core::{AuditEntry, ErrorKind, StorageBackend, StorageError};
use attestry_s3::{ConditionalWrites, DeleteFailures, RequestError, RequestErrorKind};
use support::{ConditionSupport, Fault, Server, at, checks, entry, error_chain, ids, list_all};

const OPERATIONS: [&str; 6] = ["put", "get", "head", "list", "delete", "delete many"];

fn entries_of_a_day(count: u32) -> Vec<AuditEntry> {
    (0..count).map(|n| entry(&format!("e{n:03}"), &format!("2026-01-28T09:00:00.{n:06}"))).collect()
}

#[track_caller]
fn request_error_kind(error: &StorageError) -> RequestErrorKind {
    let StorageError::Remote { source, retryable, .. } = error else { panic!("{error:?}") };
    let kind = source.downcast_ref::<RequestError>().unwrap().kind();
    assert_eq!(kind.is_retryable(), *retryable);
    assert_eq!(error.is_retryable(), *retryable);
    kind
}

#[tokio::test(flavor = "multi_thread")]
async fn transient_errors_are_retried() {
    for (code, status) in [("SlowDown", 503), ("InternalError", 500), ("RequestTimeout", 400)] {
        let server = Server::start().await;
        let storage = server.connect().await;
        let entries = entries_of_a_day(12);
        // The response to a HEAD has no code, and the status 400 alone is not transient.
        let is_transient = |operation: &&str| status != 400 || *operation != "head";
        let fail_each_operation_twice = || {
            server.clear_faults();
            for operation in OPERATIONS.into_iter().filter(is_transient) {
                server.inject(operation, 2, Fault::ErrorResponse(code, status));
            }
        };
        fail_each_operation_twice();
        let before = storage.metrics().unwrap().retries;
        storage.write_batch(&entries).await.unwrap();
        let metrics = storage.metrics().unwrap();
        // Each day is listed and each object put; a batch of one day looks for no ids elsewhere.
        assert!(metrics.retries >= before + 2, "{} retries", metrics.retries);
        assert_eq!((metrics.entries, metrics.batches, metrics.refused), (12, 12, 0));
        assert_eq!(metrics.last_error, None);
        fail_each_operation_twice();
        assert_eq!(ids(&list_all(&storage).await.unwrap()), ids(&entries), "{code}");
        assert_eq!(storage.count().await.unwrap(), 12);
        fail_each_operation_twice();
        assert!(storage.delete(&entries[0].id).await.unwrap());
        fail_each_operation_twice();
        assert_eq!(storage.delete_at_or_before(at("2026-01-30")).await.unwrap(), 11);
        assert!(server.keys().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_entries_survive_faults() {
    let server = Server::start().await;
    let builder = server.builder().max_retries(2).timeout(Duration::from_millis(500));
    checks::acknowledged_entries_survive_faults(builder.connect().await.unwrap(), server.proxy())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_connections_are_retried() {
    let server = Server::start().await;
    checks::broken_connections_are_retried(&server.connect().await, server.proxy()).await;
}

/// Requests share no retry quota, as those of the SDK do.
#[tokio::test(flavor = "multi_thread")]
async fn many_throttled_requests_succeed() {
    let server = Server::start().await;
    let storage = server.builder().max_retries(20).connect().await.unwrap();
    let entries = entries_of_a_day(300);
    server.inject("put", 200, Fault::ErrorResponse("SlowDown", 503));
    storage.append(&entries).await.unwrap();
    assert_eq!(server.keys().len(), 300);
    assert_eq!(storage.metrics().unwrap().retries, 200);
}

#[tokio::test]
async fn failed_writes_are_counted_as_refused() {
    let server = Server::start().await;
    let storage = server.builder().max_retries(1).connect().await.unwrap();
    server.inject("put", 2, Fault::ErrorResponse("SlowDown", 503));
    storage.append(&entries_of_a_day(1)).await.unwrap_err();
    let metrics = storage.metrics().unwrap();
    assert_eq!((metrics.entries, metrics.refused, metrics.retries), (0, 1, 1));
    assert_eq!((metrics.queue_depth, metrics.bytes), (0, 0));
    assert_eq!(metrics.last_error.unwrap().kind, ErrorKind::Remote);
}

#[tokio::test]
async fn exhausted_retries_report_the_last_error() {
    let server = Server::start().await;
    let storage = server.builder().max_retries(2).connect().await.unwrap();
    for (code, status, expected) in [
        ("SlowDown", 503, RequestErrorKind::Throttled),
        ("InternalError", 500, RequestErrorKind::Server),
        ("ConditionalRequestConflict", 409, RequestErrorKind::Conflict),
    ] {
        server.inject("put", 3, Fault::ErrorResponse(code, status));
        let error = storage.append(&entries_of_a_day(1)).await.unwrap_err();
        assert_eq!(request_error_kind(&error), expected);
        let text = error_chain(&error);
        assert!(
            text.starts_with("cannot write s3://bucket/audit/2026-01-28/e000.json: "),
            "{text}"
        );
        assert!(text.contains(code) && text.contains(&format!("HTTP {status}")), "{text}");
    }
    storage.append(&entries_of_a_day(1)).await.unwrap();
}

/// The retry timeout includes the body of the response. A server that throttles until the end is reported
/// as such, not as a timeout.
#[tokio::test]
async fn exhausted_retry_timeout_reports_the_last_error() {
    let server = Server::start().await;
    let connect = async || {
        let builder =
            server.builder().max_retries(u32::MAX).retry_timeout(Duration::from_millis(400));
        builder.connect().await.unwrap()
    };
    let storage = connect().await;
    let one = entries_of_a_day(1);
    storage.append(&one).await.unwrap();
    let new = entry("new", "2026-01-28");
    server.inject("put", usize::MAX, Fault::ErrorResponse("SlowDown", 503));
    let error = storage.append(std::slice::from_ref(&new)).await.unwrap_err();
    assert_eq!(request_error_kind(&error), RequestErrorKind::Throttled);
    server.inject("get", usize::MAX, Fault::ResetResponse);
    let error = storage.read(&one[0].id).await.unwrap_err();
    assert_eq!(request_error_kind(&error), RequestErrorKind::Unreachable);
    server.inject("list", usize::MAX, Fault::TruncatedBody);
    let error = storage.count().await.unwrap_err();
    assert_eq!(request_error_kind(&error), RequestErrorKind::Unreachable);
    server.clear_faults();
    server.inject("put", usize::MAX, Fault::Delay(Duration::from_secs(60)));
    let error = storage.append(&[new]).await.unwrap_err();
    assert_eq!(request_error_kind(&error), RequestErrorKind::TimedOut);
    assert_eq!(list_all(&storage).await.unwrap(), one);
}

/// The retry timeout starts when the request is sent, after waiting for a permit.
#[tokio::test]
async fn waiting_for_a_permit_is_outside_the_retry_timeout() {
    let server = Server::start().await;
    let builder = server.builder().concurrency(1).retry_timeout(Duration::from_secs(3));
    let storage = builder.connect().await.unwrap();
    // The last of them waits longer than the retry timeout.
    server.inject("put", 10, Fault::Delay(Duration::from_millis(500)));
    let entries = entries_of_a_day(10);
    let writes = entries.iter().map(|entry| storage.append(std::slice::from_ref(entry)));
    let written = futures_util::future::join_all(writes).await;
    assert!(written.iter().all(Result::is_ok), "{written:?}");
}

#[tokio::test]
async fn permanent_errors_are_not_retried() {
    for (code, status, expected) in [
        ("AccessDenied", 403, RequestErrorKind::AccessDenied),
        ("ExpiredToken", 400, RequestErrorKind::Credentials),
        ("InvalidAccessKeyId", 403, RequestErrorKind::Credentials),
        ("NoSuchBucket", 404, RequestErrorKind::NoSuchBucket),
    ] {
        let server = Server::start().await;
        let storage = server.connect().await;
        server.take_requests();
        server.inject("put", 1, Fault::ErrorResponse(code, status));
        let error = storage.append(&entries_of_a_day(1)).await.unwrap_err();
        assert_eq!(request_error_kind(&error), expected, "{code}");
        assert_eq!(server.take_requests(), ["put"], "{code}");
        server.inject("get", 1, Fault::ErrorResponse(code, status));
        let error = storage.read_near(&"x".parse().unwrap(), at("2026-01-28")).await.unwrap_err();
        assert_eq!(request_error_kind(&error), expected, "{code}");
        server.inject("list", 1, Fault::ErrorResponse(code, status));
        let error = storage.count().await.unwrap_err();
        assert_eq!(request_error_kind(&error), expected, "{code}");
        assert!(server.keys().is_empty());
    }
}

#[tokio::test]
async fn clock_skew_is_reported() {
    let server = Server::start().await;
    let storage = server.builder().max_retries(1).connect().await.unwrap();
    server.inject("put", 9, Fault::ErrorResponse("RequestTimeTooSkewed", 403));
    let error = storage.append(&entries_of_a_day(1)).await.unwrap_err();
    assert_eq!(request_error_kind(&error), RequestErrorKind::ClockSkew);
    assert!(
        error_chain(&error).contains("set the clock of this machine"),
        "{}",
        error_chain(&error)
    );
}

/// The retry finds the object of the first attempt.
#[tokio::test]
async fn lost_response_to_a_write_is_a_success() {
    let server = Server::start().await;
    let storage = server.connect().await;
    server.inject("put", 3, Fault::LostResponse);
    let entries = entries_of_a_day(5);
    storage.append(&entries).await.unwrap();
    storage.write_batch(&entries).await.unwrap();
    assert_eq!(list_all(&storage).await.unwrap(), entries);
    server.inject("delete", 1, Fault::LostResponse);
    assert!(storage.delete(&entries[0].id).await.unwrap());
}

#[tokio::test]
async fn incomplete_bodies_are_fetched_again() {
    let server = Server::start().await;
    let storage = server.builder().max_retries(6).connect().await.unwrap();
    let mut entries = entries_of_a_day(8);
    for entry in &mut entries {
        entry.input_content = Some("content ".repeat(50_000));
    }
    storage.append(&entries).await.unwrap();
    server.inject("get", 6, Fault::ResetResponse);
    assert_eq!(list_all(&storage).await.unwrap(), entries);
    server.inject("get", 1, Fault::ResetResponse);
    assert_eq!(storage.read(&entries[0].id).await.unwrap().as_ref(), Some(&entries[0]));
    server.inject("get", 1_000, Fault::ResetResponse);
    let error = storage.read(&entries[0].id).await.unwrap_err();
    assert_eq!(request_error_kind(&error), RequestErrorKind::Unreachable);
}

#[tokio::test]
async fn missing_response_times_out() {
    let server = Server::start().await;
    let storage = server
        .builder()
        .timeout(Duration::from_millis(100))
        .max_retries(1)
        .connect()
        .await
        .unwrap();
    server.inject("put", 2, Fault::Delay(Duration::from_secs(60)));
    let error = storage.append(&entries_of_a_day(1)).await.unwrap_err();
    assert_eq!(request_error_kind(&error), RequestErrorKind::TimedOut);
    storage.append(&entries_of_a_day(1)).await.unwrap();
}

/// A dropped write completes before the next change of its id.
#[tokio::test]
async fn dropped_write_does_not_overtake_a_later_delete() {
    let server = Server::start().await;
    let storage = server.connect().await;
    let one = entry("one", "2026-01-28");
    for _ in 0..3 {
        server.inject("put", 1, Fault::Delay(Duration::from_millis(200)));
        let write = storage.append(std::slice::from_ref(&one));
        assert!(tokio::time::timeout(Duration::from_millis(50), write).await.is_err());
        assert!(storage.delete(&one.id).await.unwrap(), "the write was not sent");
        assert!(server.keys().is_empty());

        server.inject("put", 1, Fault::Delay(Duration::from_millis(200)));
        let write = storage.append(std::slice::from_ref(&one));
        assert!(tokio::time::timeout(Duration::from_millis(50), write).await.is_err());
        assert_eq!(storage.delete_at_or_before(at("2026-01-30")).await.unwrap(), 1);
        assert!(server.keys().is_empty());
    }
    server.inject("put", 1, Fault::Delay(Duration::from_millis(200)));
    let write = storage.append(std::slice::from_ref(&one));
    assert!(tokio::time::timeout(Duration::from_millis(50), write).await.is_err());
    storage.close().await.unwrap();
    assert_eq!(server.keys().len(), 1);
}

/// Only the requests in flight complete; those waiting for a permit are not sent.
#[tokio::test]
async fn dropped_batch_starts_no_further_write() {
    let server = Server::start().await;
    let storage = server.builder().concurrency(2).connect().await.unwrap();
    server.inject("put", usize::MAX, Fault::Delay(Duration::from_millis(200)));
    let entries = entries_of_a_day(10);
    let batch = storage.append(&entries);
    assert!(tokio::time::timeout(Duration::from_millis(100), batch).await.is_err());
    storage.close().await.unwrap();
    let stored = list_all(&storage).await.unwrap();
    assert_eq!(stored, entries[..2]);
}

#[tokio::test]
async fn waiting_changes_are_refused_after_close() {
    let server = Server::start().await;
    let storage = server.connect().await;
    let one = entries_of_a_day(1);
    server.inject("put", 1, Fault::Delay(Duration::from_millis(200)));
    let write = storage.append(&one);
    assert!(tokio::time::timeout(Duration::from_millis(50), write).await.is_err());
    // Both wait for the write to complete.
    let (deleted, closed) = tokio::join!(storage.delete(&one[0].id), storage.close());
    closed.unwrap();
    assert!(matches!(deleted, Err(StorageError::Closed)), "{deleted:?}");
    assert_eq!(list_all(&storage).await.unwrap(), one);
}

#[tokio::test]
async fn changes_are_refused_after_close() {
    let server = Server::start().await;
    let storage = server.connect().await;
    let one = entries_of_a_day(1);
    storage.append(&one).await.unwrap();
    storage.close().await.unwrap();
    assert!(matches!(storage.write(&one[0]).await, Err(StorageError::Closed)));
    assert!(matches!(storage.append(&one).await, Err(StorageError::Closed)));
    assert!(matches!(storage.delete(&one[0].id).await, Err(StorageError::Closed)));
    assert!(matches!(
        storage.delete_at_or_before(at("2026-02-01")).await,
        Err(StorageError::Closed)
    ));
    assert_eq!(list_all(&storage).await.unwrap(), one);
}

#[track_caller]
fn delete_failures(error: &StorageError) -> &DeleteFailures {
    let StorageError::Other { source: Some(source), .. } = error else { panic!("{error:?}") };
    source.downcast_ref().unwrap()
}

#[tokio::test]
async fn undeleted_objects_are_named_and_not_counted() {
    let server = Server::start().await;
    let storage = server.connect().await;
    for n in 0..5 {
        server.put_entry(&entry(&format!("deleted-{n}"), "2026-01-28T10:00:00"));
    }
    server.put_entry(&entry("refused", "2026-01-28T10:00:00"));
    server.refuse_keys(1, "AccessDenied");
    let error = storage.delete_at_or_before(at("2026-02-01")).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot delete 1 of 6 objects of s3://bucket/audit/");
    let failures = delete_failures(&error);
    assert_eq!((failures.deleted, failures.failed), (5, 1));
    assert_eq!(failures.failures[0].key, "audit/2026-01-28/refused.json");
    assert_eq!(failures.failures[0].code, "AccessDenied");
    assert_eq!(server.keys(), ["audit/2026-01-28/refused.json"]);

    server.inject("delete", 1, Fault::ErrorResponse("AccessDenied", 403));
    let error = storage.delete(&"refused".parse().unwrap()).await.unwrap_err();
    assert_eq!(request_error_kind(&error), RequestErrorKind::AccessDenied);
    assert!(error.to_string().contains("audit/2026-01-28/refused.json"), "{error}");
}

/// S3 would report success and only add a delete marker.
#[tokio::test]
async fn locked_objects_are_not_deleted() {
    let server = Server::start().await;
    server.enable_object_lock();
    let storage = server.connect().await;
    let entries = entries_of_a_day(4);
    storage.append(&entries).await.unwrap();
    server.lock("audit/2026-01-28/e002.json");
    let error = storage.delete(&entries[2].id).await.unwrap_err();
    assert_eq!(delete_failures(&error).failures[0].code, "ObjectLocked");
    let error = storage.delete_at_or_before(at("2026-02-01")).await.unwrap_err();
    let failures = delete_failures(&error);
    assert_eq!((failures.deleted, failures.failed), (3, 1));
    assert!(failures.failures[0].message.contains("COMPLIANCE"), "{failures}");
    assert_eq!(server.keys(), ["audit/2026-01-28/e002.json"]);
}

#[tokio::test]
async fn rejected_conditional_writes_are_emulated() {
    let server = Server::start().await;
    server.set_condition_support(ConditionSupport::NotImplemented);
    let storage = server.connect().await;
    let first = entry("a", "2026-01-28");
    storage.write(&first).await.unwrap();
    assert_eq!(storage.conditional_writes(), ConditionalWrites::Emulated);
    let other = AuditEntry { latency_ms: 1.0, ..first.clone() };
    assert!(matches!(storage.append(&[other]).await, Err(StorageError::AlreadyExists { .. })));
    storage.append(std::slice::from_ref(&first)).await.unwrap();
    assert_eq!(list_all(&storage).await.unwrap(), [first]);
}

/// A proxy in front of the server may reject a single request.
#[tokio::test]
async fn conditional_writes_survive_other_rejections() {
    let server = Server::start().await;
    let storage = server.builder().max_retries(1).connect().await.unwrap();
    server.inject("put", 1, Fault::ErrorResponse("NotImplemented", 501));
    storage.append(&entries_of_a_day(1)).await.unwrap();
    assert_eq!(storage.conditional_writes(), ConditionalWrites::Atomic);
    // Other retries do not count as rejections.
    server.inject("put", 1, Fault::ErrorResponse("ConditionalRequestConflict", 409));
    server.inject("put", 1, Fault::ErrorResponse("NotImplemented", 501));
    storage.append(&[entry("another", "2026-01-29")]).await.unwrap();
    assert_eq!(storage.conditional_writes(), ConditionalWrites::Atomic);
    // If another header is unsupported, for example tags, the write fails without the condition too.
    server.inject("put", 3, Fault::ErrorResponse("NotImplemented", 501));
    let error = storage.append(&[entry("next", "2026-01-29")]).await.unwrap_err();
    assert_eq!(request_error_kind(&error), RequestErrorKind::NotImplemented);
    assert_eq!(storage.conditional_writes(), ConditionalWrites::Atomic);
}

/// For example an object encrypted with a key of the customer (SSE-C).
#[tokio::test]
async fn refused_objects_are_not_reported_as_absent() {
    let server = Server::start().await;
    let storage = server.connect().await;
    storage.append(&entries_of_a_day(2)).await.unwrap();
    let id = &entries_of_a_day(2)[0].id;
    server.inject("get", 1, Fault::ErrorResponse("InvalidRequest", 400));
    let error = storage.read(id).await.unwrap_err();
    assert!(error.to_string().contains(&format!("{id}.json")), "{error}");
    server.inject("get", 1, Fault::ErrorResponse("InvalidRequest", 400));
    assert!(list_all(&storage).await.is_err());
    server.inject("head", 1, Fault::ErrorResponse("InvalidRequest", 400));
    server.inject("get", 1, Fault::ErrorResponse("InvalidRequest", 400));
    assert!(storage.delete(id).await.is_err());
    assert_eq!(list_all(&storage).await.unwrap().len(), 2);
}

#[tokio::test]
async fn transient_delete_failures_are_retried() {
    let server = Server::start().await;
    let storage = server.connect().await;
    let days = ["2026-01-28"; 3];
    let ids = ["a", "refused-b", "refused-c"];
    let entries: Vec<_> = ids.into_iter().zip(days).map(|(id, day)| entry(id, day)).collect();
    storage.append(&entries).await.unwrap();
    server.refuse_keys(2, "SlowDown");
    assert_eq!(storage.delete_at_or_before(at("2026-02-01")).await.unwrap(), 3);
    assert!(server.keys().is_empty());

    // With persistent errors, those of the last attempt are reported.
    let storage = server.builder().max_retries(2).connect().await.unwrap();
    storage.append(&entries).await.unwrap();
    server.refuse_keys(9, "SlowDown");
    let error = storage.delete_at_or_before(at("2026-02-01")).await.unwrap_err();
    let failures = delete_failures(&error);
    assert_eq!((failures.deleted, failures.failed), (1, 2));
    assert_eq!(failures.failures[0].code, "SlowDown");
    assert_eq!(server.keys().len(), 2);
}

/// Such a server would replace objects; only a test write reveals it.
#[tokio::test]
async fn probe_detects_ignored_conditions() {
    for (support, expected) in [
        (ConditionSupport::Ignored, ConditionalWrites::Emulated),
        (ConditionSupport::NotImplemented, ConditionalWrites::Emulated),
        (ConditionSupport::Enforced, ConditionalWrites::Atomic),
    ] {
        let server = Server::start().await;
        server.set_condition_support(support);
        let storage = server.builder().probe_conditional_writes(true).connect().await.unwrap();
        assert_eq!(storage.conditional_writes(), expected, "{support:?}");
        assert!(server.keys().is_empty());
        let first = entry("a", "2026-01-28");
        storage.append(std::slice::from_ref(&first)).await.unwrap();
        let other = AuditEntry { latency_ms: 1.0, ..first.clone() };
        let refused = storage.append(&[other]).await;
        assert!(matches!(refused, Err(StorageError::AlreadyExists { .. })), "{support:?}");
    }
}

/// S3 responds so if another write of the same key is in progress.
#[tokio::test]
async fn conflicts_are_retried() {
    let server = Server::start().await;
    let storage = server.connect().await;
    server.inject("put", 2, Fault::ErrorResponse("ConditionalRequestConflict", 409));
    storage.append(&entries_of_a_day(1)).await.unwrap();
    assert_eq!(server.keys().len(), 1);
}

#[tokio::test]
async fn request_error_ends_a_scan() {
    use futures_util::StreamExt;
    let server = Server::start().await;
    let storage = server.builder().max_retries(0).connect().await.unwrap();
    storage.append(&entries_of_a_day(3)).await.unwrap();
    server.inject("get", 1, Fault::ErrorResponse("AccessDenied", 403));
    let found: Vec<_> = storage.scan(attestry_core::Query::new()).collect().await;
    assert_eq!(found.len(), 1);
    assert_eq!(request_error_kind(found[0].as_ref().unwrap_err()), RequestErrorKind::AccessDenied);
}
