//! When S3 refuses, breaks off, or answers late: what was acknowledged is there, what may pass is
//! tried again, and the error at the end says what it was.
#![allow(clippy::unwrap_used)] // helpers of a test

mod support;

use std::time::Duration;

use attestry_core::{AuditEntry, StorageBackend, StorageError};
use attestry_s3::{ConditionalWrites, DeleteFailures, RequestError, RequestErrorKind};
use support::{Conditions, Fault, Server, all, at, chain, entry, ids};

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
        assert_eq!(storage.delete_until(at("2026-01-30")).await.unwrap(), 11);
        assert!(server.keys().is_empty());
    }
}

/// Faults of all kinds in any order, more of them than the retries allow for: some calls fail.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_whatever_happened_besides() {
    let server = Server::start().await;
    let builder = server.builder().retries(2).timeout(Duration::from_millis(500));
    let storage = std::sync::Arc::new(builder.connect().await.unwrap());
    let (mut acknowledged, mut refused) = (Vec::new(), Vec::new());
    let mut random: u64 = 42;
    let mut below = |end: u64| {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % end
    };
    for round in 0..12 {
        for _ in 0..30 {
            let operation = ["put", "put", "get", "head", "list"][below(5) as usize];
            let fault = match below(6) {
                0 => Fault::Refuse("SlowDown", 503),
                1 => Fault::Refuse("InternalError", 500),
                2 => Fault::Refuse("ConditionalRequestConflict", 409),
                3 => Fault::BrokenBody,
                4 => Fault::Late(Duration::from_millis(20)),
                _ => Fault::DoneButFailed,
            };
            server.fail(operation, 1 + below(3) as usize, fault);
        }
        let calls: Vec<_> = (0..20)
            .map(|number| {
                let (id, day) = (format!("e{round:02}-{number:02}"), 1 + (round + number) % 28);
                let entry = entry(&id, &format!("2026-01-{day:02}"));
                let storage = std::sync::Arc::clone(&storage);
                tokio::spawn(async move {
                    let written = if number % 4 == 0 {
                        storage.write(&entry).await.map(drop)
                    } else {
                        storage.append(std::slice::from_ref(&entry)).await
                    };
                    (entry, written)
                })
            })
            .collect();
        for call in calls {
            let (entry, written) = call.await.unwrap();
            if written.is_ok() { &mut acknowledged } else { &mut refused }.push(entry);
        }
    }
    server.heal();
    assert!(!acknowledged.is_empty() && !refused.is_empty(), "{} refused", refused.len());
    for entry in &acknowledged {
        assert_eq!(storage.read(&entry.id).await.unwrap().as_ref(), Some(entry));
    }
    let mut missing = acknowledged;
    for entry in all(&storage).await.unwrap() {
        missing.retain(|acknowledged| *acknowledged != entry);
        refused.retain(|refused| *refused != entry);
    }
    assert!(missing.is_empty(), "{missing:?}");
    // What failed is there or not, and can be repeated either way.
    storage.write_batch(&refused).await.unwrap();
    assert_eq!(storage.count().await.unwrap(), 240);
}

/// The quota that clients of AWS share would end the retries of many requests early.
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
    let storage = server.connect().await;
    let mut entries = series(8);
    for entry in &mut entries {
        entry.input_content = Some("content ".repeat(50_000));
    }
    storage.append(&entries).await.unwrap();
    server.fail("get", 6, Fault::BrokenBody);
    assert_eq!(all(&storage).await.unwrap(), entries);
    server.fail("get", 1, Fault::BrokenBody);
    assert_eq!(storage.read(&entries[0].id).await.unwrap().as_ref(), Some(&entries[0]));
    server.fail("get", 1_000, Fault::BrokenBody);
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
        assert_eq!(storage.delete_until(at("2026-01-30")).await.unwrap(), 1);
        assert!(server.keys().is_empty());
    }
    server.fail("put", 1, Fault::Late(Duration::from_millis(200)));
    let write = storage.append(std::slice::from_ref(&one));
    assert!(tokio::time::timeout(Duration::from_millis(50), write).await.is_err());
    storage.close().await.unwrap();
    assert_eq!(server.keys().len(), 1);
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
    assert!(matches!(storage.delete_until(at("2026-02-01")).await, Err(StorageError::Closed)));
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
    server.fail("delete many", 1, Fault::EachRefused("AccessDenied"));
    let error = storage.delete_until(at("2026-02-01")).await.unwrap_err();
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
    let error = storage.delete_until(at("2026-02-01")).await.unwrap_err();
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
    let storage = server.builder().retries(0).connect().await.unwrap();
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
    server.fail("delete many", 2, Fault::EachRefused("SlowDown"));
    assert_eq!(storage.delete_until(at("2026-02-01")).await.unwrap(), 3);
    assert!(server.keys().is_empty());
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
