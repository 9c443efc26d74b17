//! When S3 refuses, breaks off, or answers late: what was acknowledged is there, what may pass is
//! tried again, and the error at the end says what it was.
#![allow(clippy::unwrap_used)] // helpers of a test

mod support;

use std::time::Duration;

use attestry_core::{AuditEntry, StorageBackend, StorageError};
use attestry_s3::{ConditionalWrites, DeleteFailures, RequestError, RequestErrorKind};
use support::{Conditions, Fault, Server, all, at, chain, checks, entry, ids};

const OPERATIONS: [&str; 6] = ["put", "get", "head", "list", "delete", "delete many"];

fn series(count: u32) -> Vec<AuditEntry> {
    (0..count).map(|n| entry(&format!("e{n:03}"), &format!("2026-01-28T09:00:00.{n:06}"))).collect()
}

#[track_caller]
fn kind(error: &StorageError) -> RequestErrorKind {
    let StorageError::Remote { source, retryable, .. } = error else { panic!("{error:?}") };
    let kind = source.downcast_ref::<RequestError>().unwrap().kind();
    assert_eq!(kind.is_retryable(), *retryable);
    assert_eq!(error.is_retryable(), *retryable);
    kind
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_tried_again() {
    for (code, status) in [("SlowDown", 503), ("InternalError", 500), ("RequestTimeout", 400)] {
        let server = Server::start().await;
        let storage = server.connect().await;
        let entries = series(12);
        // The answer to a HEAD has no code, and this status alone means nothing that passes.
        let known = |name: &&str| status != 400 || *name != "head";
        let again = || {
            server.heal();
            let operations = OPERATIONS.into_iter().filter(known);
            operations.for_each(|name| server.fail(name, 2, Fault::Refuse(code, status)));
        };
        again();
        storage.write_batch(&entries).await.unwrap();
        again();
        assert_eq!(ids(&all(&storage).await.unwrap()), ids(&entries), "{code}");
        assert_eq!(storage.count().await.unwrap(), 12);
        again();
        assert!(storage.delete(&entries[0].id).await.unwrap());
        again();
        assert_eq!(storage.delete_at_or_before(at("2026-01-30")).await.unwrap(), 11);
        assert!(server.keys().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_whatever_happened_besides() {
    let server = Server::start().await;
    let builder = server.builder().retries(2).timeout(Duration::from_millis(500));
    checks::acknowledged_is_there(builder.connect().await.unwrap(), server.proxy()).await;
}

/// On its way there or back, each kind of request is lost or damaged in each way.
#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_off_is_tried_again() {
    let server = Server::start().await;
    checks::broken_connections_are_survived(&server.connect().await, server.proxy()).await;
}

/// No quota that they share ends the retries of some early.
#[tokio::test(flavor = "multi_thread")]
async fn many_requests_that_are_slowed_down_all_succeed() {
    let server = Server::start().await;
    let storage = server.builder().retries(20).connect().await.unwrap();
    let entries = series(300);
    server.fail("put", 200, Fault::Refuse("SlowDown", 503));
    storage.append(&entries).await.unwrap();
    assert_eq!(server.keys().len(), 300);
}

#[tokio::test]
async fn when_retries_are_used_up_the_error_says_what_it_was() {
    let server = Server::start().await;
    let storage = server.builder().retries(2).connect().await.unwrap();
    for (code, status, expected) in [
        ("SlowDown", 503, RequestErrorKind::Throttled),
        ("InternalError", 500, RequestErrorKind::Server),
        ("ConditionalRequestConflict", 409, RequestErrorKind::Conflict),
    ] {
        server.fail("put", 3, Fault::Refuse(code, status));
        let error = storage.append(&series(1)).await.unwrap_err();
        assert_eq!(kind(&error), expected);
        let text = chain(&error);
        assert!(
            text.starts_with("cannot write s3://bucket/audit/2026-01-28/e000.json: "),
            "{text}"
        );
        assert!(text.contains(code) && text.contains(&format!("HTTP {status}")), "{text}");
    }
    storage.append(&series(1)).await.unwrap();
}

/// The time counts for all of a request, also where it is an answer that breaks off, and not only
/// until that begins; and a server that is busy to the end is not said to be too slow.
#[tokio::test]
async fn when_the_time_is_used_up_the_error_says_what_it_was() {
    let server = Server::start().await;
    let connect = async || {
        let builder = server.builder().retries(u32::MAX).retry_for(Duration::from_millis(400));
        builder.connect().await.unwrap()
    };
    let storage = connect().await;
    let one = series(1);
    storage.append(&one).await.unwrap();
    let new = entry("new", "2026-01-28");
    server.fail("put", usize::MAX, Fault::Refuse("SlowDown", 503));
    let error = storage.append(std::slice::from_ref(&new)).await.unwrap_err();
    assert_eq!(kind(&error), RequestErrorKind::Throttled);
    server.fail("get", usize::MAX, Fault::ResetAnswer);
    let error = storage.read(&one[0].id).await.unwrap_err();
    assert_eq!(kind(&error), RequestErrorKind::Unreachable);
    server.fail("list", usize::MAX, Fault::HalfAnswer);
    let error = storage.count().await.unwrap_err();
    assert_eq!(kind(&error), RequestErrorKind::Unreachable);
    server.heal();
    server.fail("put", usize::MAX, Fault::Late(Duration::from_secs(60)));
    let error = storage.append(&[new]).await.unwrap_err();
    assert_eq!(kind(&error), RequestErrorKind::TimedOut);
    assert_eq!(all(&storage).await.unwrap(), one);
}

/// The time of a request begins when it is made, not when it gets in line.
#[tokio::test]
async fn waiting_behind_others_is_no_part_of_the_time() {
    let server = Server::start().await;
    let builder = server.builder().concurrency(1).retry_for(Duration::from_secs(3));
    let storage = builder.connect().await.unwrap();
    // The last of them waits for longer than that.
    server.fail("put", 10, Fault::Late(Duration::from_millis(500)));
    let entries = series(10);
    let writes = entries.iter().map(|entry| storage.append(std::slice::from_ref(entry)));
    let written = futures_util::future::join_all(writes).await;
    assert!(written.iter().all(Result::is_ok), "{written:?}");
}

#[tokio::test]
async fn what_does_not_pass_is_not_tried_again() {
    for (code, status, expected) in [
        ("AccessDenied", 403, RequestErrorKind::AccessDenied),
        ("ExpiredToken", 400, RequestErrorKind::Credentials),
        ("InvalidAccessKeyId", 403, RequestErrorKind::Credentials),
        ("NoSuchBucket", 404, RequestErrorKind::NoSuchBucket),
    ] {
        let server = Server::start().await;
        let storage = server.connect().await;
        server.requests();
        server.fail("put", 1, Fault::Refuse(code, status));
        let error = storage.append(&series(1)).await.unwrap_err();
        assert_eq!(kind(&error), expected, "{code}");
        assert_eq!(server.requests(), ["put"], "{code}");
        server.fail("get", 1, Fault::Refuse(code, status));
        let error = storage.read_near(&"x".parse().unwrap(), at("2026-01-28")).await.unwrap_err();
        assert_eq!(kind(&error), expected, "{code}");
        server.fail("list", 1, Fault::Refuse(code, status));
        let error = storage.count().await.unwrap_err();
        assert_eq!(kind(&error), expected, "{code}");
        assert!(server.keys().is_empty());
    }
}

#[tokio::test]
async fn clocks_that_differ_are_told() {
    let server = Server::start().await;
    let storage = server.builder().retries(1).connect().await.unwrap();
    server.fail("put", 9, Fault::Refuse("RequestTimeTooSkewed", 403));
    let error = storage.append(&series(1)).await.unwrap_err();
    assert_eq!(kind(&error), RequestErrorKind::ClockSkew);
    assert!(chain(&error).contains("set this machine's clock"), "{}", chain(&error));
}

/// The second try meets the object of the first.
#[tokio::test]
async fn a_lost_answer_to_a_write_is_a_success() {
    let server = Server::start().await;
    let storage = server.connect().await;
    server.fail("put", 3, Fault::DoneButFailed);
    let entries = series(5);
    storage.append(&entries).await.unwrap();
    storage.write_batch(&entries).await.unwrap();
    assert_eq!(all(&storage).await.unwrap(), entries);
    server.fail("delete", 1, Fault::DoneButFailed);
    assert!(storage.delete(&entries[0].id).await.unwrap());
}

#[tokio::test]
async fn a_body_that_breaks_off_is_fetched_again() {
    let server = Server::start().await;
    let storage = server.builder().retries(6).connect().await.unwrap();
    let mut entries = series(8);
    for entry in &mut entries {
        entry.input_content = Some("content ".repeat(50_000));
    }
    storage.append(&entries).await.unwrap();
    server.fail("get", 6, Fault::ResetAnswer);
    assert_eq!(all(&storage).await.unwrap(), entries);
    server.fail("get", 1, Fault::ResetAnswer);
    assert_eq!(storage.read(&entries[0].id).await.unwrap().as_ref(), Some(&entries[0]));
    server.fail("get", 1_000, Fault::ResetAnswer);
    let error = storage.read(&entries[0].id).await.unwrap_err();
    assert_eq!(kind(&error), RequestErrorKind::Unreachable);
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_given_up() {
    let server = Server::start().await;
    let storage =
        server.builder().timeout(Duration::from_millis(100)).retries(1).connect().await.unwrap();
    server.fail("put", 2, Fault::Late(Duration::from_secs(60)));
    let error = storage.append(&series(1)).await.unwrap_err();
    assert_eq!(kind(&error), RequestErrorKind::TimedOut);
    storage.append(&series(1)).await.unwrap();
}

/// A write that was dropped in the midst has happened, or has not, before the next change.
#[tokio::test]
async fn a_dropped_write_does_not_overtake_a_later_delete() {
    let server = Server::start().await;
    let storage = server.connect().await;
    let one = entry("one", "2026-01-28");
    for _ in 0..3 {
        server.fail("put", 1, Fault::Late(Duration::from_millis(200)));
        let write = storage.append(std::slice::from_ref(&one));
        assert!(tokio::time::timeout(Duration::from_millis(50), write).await.is_err());
        assert!(storage.delete(&one.id).await.unwrap(), "the write was sent");
        assert!(server.keys().is_empty());

        server.fail("put", 1, Fault::Late(Duration::from_millis(200)));
        let write = storage.append(std::slice::from_ref(&one));
        assert!(tokio::time::timeout(Duration::from_millis(50), write).await.is_err());
        assert_eq!(storage.delete_at_or_before(at("2026-01-30")).await.unwrap(), 1);
        assert!(server.keys().is_empty());
    }
    server.fail("put", 1, Fault::Late(Duration::from_millis(200)));
    let write = storage.append(std::slice::from_ref(&one));
    assert!(tokio::time::timeout(Duration::from_millis(50), write).await.is_err());
    storage.close().await.unwrap();
    assert_eq!(server.keys().len(), 1);
}

/// What waits behind the requests that are under way is not sent.
#[tokio::test]
async fn a_dropped_batch_begins_no_further_write() {
    let server = Server::start().await;
    let storage = server.builder().concurrency(2).connect().await.unwrap();
    server.fail("put", usize::MAX, Fault::Late(Duration::from_millis(200)));
    let entries = series(10);
    let batch = storage.append(&entries);
    assert!(tokio::time::timeout(Duration::from_millis(100), batch).await.is_err());
    storage.close().await.unwrap();
    let stored = all(&storage).await.unwrap();
    assert_eq!(stored, entries[..2]);
}

#[tokio::test]
async fn a_change_that_waits_for_its_turn_is_refused_once_the_store_is_closed() {
    let server = Server::start().await;
    let storage = server.connect().await;
    let one = series(1);
    server.fail("put", 1, Fault::Late(Duration::from_millis(200)));
    let write = storage.append(&one);
    assert!(tokio::time::timeout(Duration::from_millis(50), write).await.is_err());
    // It waits for the write to end, and so does closing.
    let (deleted, closed) = tokio::join!(storage.delete(&one[0].id), storage.close());
    closed.unwrap();
    assert!(matches!(deleted, Err(StorageError::Closed)), "{deleted:?}");
    assert_eq!(all(&storage).await.unwrap(), one);
}

#[tokio::test]
async fn after_closing_nothing_is_changed() {
    let server = Server::start().await;
    let storage = server.connect().await;
    let one = series(1);
    storage.append(&one).await.unwrap();
    storage.close().await.unwrap();
    assert!(matches!(storage.write(&one[0]).await, Err(StorageError::Closed)));
    assert!(matches!(storage.append(&one).await, Err(StorageError::Closed)));
    assert!(matches!(storage.delete(&one[0].id).await, Err(StorageError::Closed)));
    assert!(matches!(
        storage.delete_at_or_before(at("2026-02-01")).await,
        Err(StorageError::Closed)
    ));
    assert_eq!(all(&storage).await.unwrap(), one);
}

#[track_caller]
fn failures(error: &StorageError) -> &DeleteFailures {
    let StorageError::Other { source: Some(source), .. } = error else { panic!("{error:?}") };
    source.downcast_ref().unwrap()
}

#[tokio::test]
async fn objects_that_stay_are_named_and_not_counted() {
    let server = Server::start().await;
    let storage = server.connect().await;
    for n in 0..5 {
        server.put_entry(&entry(&format!("goes-{n}"), "2026-01-28T10:00:00"));
    }
    server.put_entry(&entry("refused", "2026-01-28T10:00:00"));
    server.refuse_each(1, "AccessDenied");
    let error = storage.delete_at_or_before(at("2026-02-01")).await.unwrap_err();
    assert_eq!(error.to_string(), "1 of 6 objects of s3://bucket/audit/ stay undeleted");
    let told = failures(&error);
    assert_eq!((told.deleted, told.failed), (5, 1));
    assert_eq!(told.failures[0].key, "audit/2026-01-28/refused.json");
    assert_eq!(told.failures[0].code, "AccessDenied");
    assert_eq!(server.keys(), ["audit/2026-01-28/refused.json"]);

    server.fail("delete", 1, Fault::Refuse("AccessDenied", 403));
    let error = storage.delete(&"refused".parse().unwrap()).await.unwrap_err();
    assert_eq!(kind(&error), RequestErrorKind::AccessDenied);
    assert!(error.to_string().contains("audit/2026-01-28/refused.json"), "{error}");
}

/// S3 would hide them behind a marker and call it a success.
#[tokio::test]
async fn objects_under_a_lock_are_not_deleted() {
    let server = Server::start().await;
    server.enable_object_lock();
    let storage = server.connect().await;
    let entries = series(4);
    storage.append(&entries).await.unwrap();
    server.lock("audit/2026-01-28/e002.json");
    let error = storage.delete(&entries[2].id).await.unwrap_err();
    assert_eq!(failures(&error).failures[0].code, "ObjectLocked");
    let error = storage.delete_at_or_before(at("2026-02-01")).await.unwrap_err();
    let told = failures(&error);
    assert_eq!((told.deleted, told.failed), (3, 1));
    assert!(told.failures[0].message.contains("COMPLIANCE"), "{told}");
    assert_eq!(server.keys(), ["audit/2026-01-28/e002.json"]);
}

#[tokio::test]
async fn servers_without_conditional_writes_are_served() {
    let server = Server::start().await;
    server.conditions(Conditions::NotImplemented);
    let storage = server.connect().await;
    let first = entry("a", "2026-01-28");
    storage.write(&first).await.unwrap();
    assert_eq!(storage.conditional_writes(), ConditionalWrites::Emulated);
    let other = AuditEntry { latency_ms: 1.0, ..first.clone() };
    assert!(matches!(storage.append(&[other]).await, Err(StorageError::AlreadyExists { .. })));
    storage.append(std::slice::from_ref(&first)).await.unwrap();
    assert_eq!(all(&storage).await.unwrap(), [first]);
}

/// What stands before a server may refuse a request that it does not know, once.
#[tokio::test]
async fn conditions_are_not_given_up_for_another_refusal() {
    let server = Server::start().await;
    let storage = server.builder().retries(1).connect().await.unwrap();
    server.fail("put", 1, Fault::Refuse("NotImplemented", 501));
    storage.append(&series(1)).await.unwrap();
    assert_eq!(storage.conditional_writes(), ConditionalWrites::Atomic);
    // Other reasons to try again do not count.
    server.fail("put", 1, Fault::Refuse("ConditionalRequestConflict", 409));
    server.fail("put", 1, Fault::Refuse("NotImplemented", 501));
    storage.append(&[entry("another", "2026-01-29")]).await.unwrap();
    assert_eq!(storage.conditional_writes(), ConditionalWrites::Atomic);
    // It is the tags, say, that are not known: then it fails without the condition, too.
    server.fail("put", 3, Fault::Refuse("NotImplemented", 501));
    let error = storage.append(&[entry("next", "2026-01-29")]).await.unwrap_err();
    assert_eq!(kind(&error), RequestErrorKind::NotImplemented);
    assert_eq!(storage.conditional_writes(), ConditionalWrites::Atomic);
}

/// An object that is encrypted with a key of somebody's own is there all the same.
#[tokio::test]
async fn an_object_that_is_refused_is_not_said_to_be_absent() {
    let server = Server::start().await;
    let storage = server.connect().await;
    storage.append(&series(2)).await.unwrap();
    let id = &series(2)[0].id;
    server.fail("get", 1, Fault::Refuse("InvalidRequest", 400));
    let error = storage.read(id).await.unwrap_err();
    assert!(error.to_string().contains(&format!("{id}.json")), "{error}");
    server.fail("get", 1, Fault::Refuse("InvalidRequest", 400));
    assert!(all(&storage).await.is_err());
    server.fail("head", 1, Fault::Refuse("InvalidRequest", 400));
    server.fail("get", 1, Fault::Refuse("InvalidRequest", 400));
    assert!(storage.delete(id).await.is_err());
    assert_eq!(all(&storage).await.unwrap().len(), 2);
}

#[tokio::test]
async fn objects_that_can_be_deleted_later_are() {
    let server = Server::start().await;
    let storage = server.connect().await;
    let days = ["2026-01-28"; 3];
    let ids = ["a", "refused-b", "refused-c"];
    let entries: Vec<_> = ids.into_iter().zip(days).map(|(id, day)| entry(id, day)).collect();
    storage.append(&entries).await.unwrap();
    server.refuse_each(2, "SlowDown");
    assert_eq!(storage.delete_at_or_before(at("2026-02-01")).await.unwrap(), 3);
    assert!(server.keys().is_empty());

    // They never can, and what the last request said of them is told.
    let storage = server.builder().retries(2).connect().await.unwrap();
    storage.append(&entries).await.unwrap();
    server.refuse_each(9, "SlowDown");
    let error = storage.delete_at_or_before(at("2026-02-01")).await.unwrap_err();
    let told = failures(&error);
    assert_eq!((told.deleted, told.failed), (1, 2));
    assert_eq!(told.failures[0].code, "SlowDown");
    assert_eq!(server.keys().len(), 2);
}

/// Such a server would replace objects, and only trying it out shows that.
#[tokio::test]
async fn servers_that_ignore_conditions_are_found_out() {
    for (conditions, expected) in [
        (Conditions::Ignored, ConditionalWrites::Emulated),
        (Conditions::NotImplemented, ConditionalWrites::Emulated),
        (Conditions::Kept, ConditionalWrites::Atomic),
    ] {
        let server = Server::start().await;
        server.conditions(conditions);
        let storage = server.builder().probe_conditional_writes(true).connect().await.unwrap();
        assert_eq!(storage.conditional_writes(), expected, "{conditions:?}");
        assert!(server.keys().is_empty());
        let first = entry("a", "2026-01-28");
        storage.append(std::slice::from_ref(&first)).await.unwrap();
        let other = AuditEntry { latency_ms: 1.0, ..first.clone() };
        let refused = storage.append(&[other]).await;
        assert!(matches!(refused, Err(StorageError::AlreadyExists { .. })), "{conditions:?}");
    }
}

/// Another writer of the same key is under way: S3 asks for the request again.
#[tokio::test]
async fn a_conflict_is_tried_again() {
    let server = Server::start().await;
    let storage = server.connect().await;
    server.fail("put", 2, Fault::Refuse("ConditionalRequestConflict", 409));
    storage.append(&series(1)).await.unwrap();
    assert_eq!(server.keys().len(), 1);
}

#[tokio::test]
async fn a_failure_ends_a_scan() {
    use futures_util::StreamExt;
    let server = Server::start().await;
    let storage = server.builder().retries(0).connect().await.unwrap();
    storage.append(&series(3)).await.unwrap();
    server.fail("get", 1, Fault::Refuse("AccessDenied", 403));
    let found: Vec<_> = storage.scan(attestry_core::Query::new()).collect().await;
    assert_eq!(found.len(), 1);
    assert_eq!(kind(found[0].as_ref().unwrap_err()), RequestErrorKind::AccessDenied);
}
