//! Incomplete responses: no entry or failure is missed because of them.
#![allow(clippy::unwrap_used)] // in helper functions

mod support;

use std::time::Duration;

use attestry_core::{Query, StorageBackend, StorageError};
use attestry_s3::{RequestError, RequestErrorKind};
use futures_util::StreamExt;
use support::{Fault, Server, at, entry, error_chain, list_all};

/// Taken for the last page, it would hide all entries after it.
#[tokio::test]
async fn listing_without_continuation_token_is_an_error() {
    let server = Server::start().await;
    server.put_entry(&entry("a", "2026-01-28"));
    let storage = server.connect().await;
    let expected = "no new continuation token";
    server.inject("list", 1, Fault::MissingToken);
    let error = storage.count().await.unwrap_err();
    assert!(error_chain(&error).contains(expected), "{}", error_chain(&error));
    server.inject("list", 1, Fault::MissingToken);
    let error = list_all(&storage).await.unwrap_err();
    assert!(error_chain(&error).contains(expected), "{}", error_chain(&error));
    server.inject("list", 1, Fault::MissingToken);
    let error = storage.delete_at_or_before(at("2026-02-01")).await.unwrap_err();
    assert!(error_chain(&error).contains(expected), "{}", error_chain(&error));
    assert_eq!(storage.count().await.unwrap(), 1);
}

/// If the credentials may not read the Object Lock setting, the lock of each object is checked.
#[tokio::test]
async fn unreadable_lock_setting_means_locks_are_checked() {
    let server = Server::start().await;
    for id in ["a", "b", "locked"] {
        server.put_entry(&entry(id, "2026-01-28"));
    }
    server.lock("audit/2026-01-28/locked.json");
    server.inject("lock configuration", 9, Fault::ErrorResponse("AccessDenied", 403));
    let storage = server.connect().await;
    server.take_requests();
    let error = storage.delete_at_or_before(at("2026-02-01")).await.unwrap_err();
    assert!(error_chain(&error).contains("1 of 3 objects"), "{}", error_chain(&error));
    assert_eq!(server.keys(), ["audit/2026-01-28/locked.json"]);
    let requests = server.take_requests();
    let count = |operation: &str| requests.iter().filter(|name| *name == operation).count();
    assert_eq!((count("lock configuration"), count("head"), count("delete many")), (1, 3, 1));
}

/// Lists, the Object Lock setting, and the failures of a deletion.
#[tokio::test]
async fn truncated_responses_are_retried() {
    let server = Server::start().await;
    server.enable_object_lock();
    for id in ["a", "refused", "locked"] {
        server.put_entry(&entry(id, "2026-01-28"));
    }
    server.lock("audit/2026-01-28/locked.json");
    let storage = server.connect().await;
    server.inject("list", 2, Fault::TruncatedBody);
    assert_eq!(storage.count().await.unwrap(), 3);
    server.inject("list", 2, Fault::TruncatedBody);
    assert_eq!(list_all(&storage).await.unwrap().len(), 3);
    server.inject("list", 2, Fault::TruncatedBody);
    server.inject("lock configuration", 2, Fault::TruncatedBody);
    server.inject("delete many", 2, Fault::TruncatedBody);
    server.refuse_keys(3, "AccessDenied");
    let error = storage.delete_at_or_before(at("2026-02-01")).await.unwrap_err();
    assert!(error_chain(&error).contains("2 of 3 objects"), "{}", error_chain(&error));
    assert!(error_chain(&error).contains("COMPLIANCE"), "{}", error_chain(&error));
    assert_eq!(server.keys(), ["audit/2026-01-28/locked.json", "audit/2026-01-28/refused.json"]);
}

/// A listing states 200 bytes; the body never ends.
#[tokio::test(flavor = "multi_thread")]
async fn endless_body_of_an_object_is_a_corrupt_record() {
    let server = Server::start().await;
    server.put_entry(&entry("a", "2026-01-28"));
    let storage = server.connect().await;
    // Once with memory for the listed length, once with memory for the longest one.
    server.inject("get", 2, Fault::EndlessBody);
    let found: Vec<_> = storage.scan(Query::new()).collect().await;
    assert!(
        matches!(&found[..], [Err(StorageError::Corrupt(record))] if record.reason.contains("more than")),
        "{found:?}"
    );
    let found: Vec<_> = storage.scan(Query::new()).collect().await;
    assert!(matches!(&found[..], [Ok(_)]), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_listing_is_an_error() {
    let server = Server::start().await;
    server.put_entry(&entry("a", "2026-01-28"));
    let storage = server.builder().max_retries(1).connect().await.unwrap();
    server.inject("list", 2, Fault::EndlessBody);
    let error = storage.count().await.unwrap_err();
    assert!(error_chain(&error).contains("length limit"), "{}", error_chain(&error));
    assert_eq!(storage.count().await.unwrap(), 1);
}

/// A reset, a refusal or any other error may have a body, too.
#[tokio::test(flavor = "multi_thread")]
async fn endless_body_of_an_error_is_an_error() {
    let server = Server::start().await;
    server.put_entry(&entry("a", "2026-01-28"));
    let storage = server.builder().max_retries(1).connect().await.unwrap();
    for status in [400, 403, 500] {
        server.inject("get", 2, Fault::EndlessError(status));
        let error = storage.read(&entry("a", "2026-01-28").id).await.unwrap_err();
        assert!(error_chain(&error).contains("length limit"), "{}", error_chain(&error));
        server.clear_faults();
        server.inject("put", 2, Fault::EndlessError(status));
        let error = storage.append(&[entry("b", "2026-01-28")]).await.unwrap_err();
        assert!(error_chain(&error).contains("length limit"), "{}", error_chain(&error));
        server.clear_faults();
    }
    assert_eq!(storage.count().await.unwrap(), 1);
}

/// Each page has a token that was not there before.
#[tokio::test(flavor = "multi_thread")]
async fn listing_whose_pages_never_end_is_an_error() {
    let server = Server::start().await;
    server.put_entry(&entry("a", "2026-01-28"));
    let storage = server.connect().await;
    server.inject("list", usize::MAX, Fault::EndlessPages);
    let all = [
        storage.count().await.map(drop),
        list_all(&storage).await.map(drop),
        storage.delete_at_or_before(at("2026-02-01")).await.map(drop),
    ];
    for error in all.into_iter().map(Result::unwrap_err) {
        assert!(error_chain(&error).contains("does not end"), "{}", error_chain(&error));
    }
    server.clear_faults();
    assert_eq!(storage.count().await.unwrap(), 1);
}

/// Each byte is in time; all of them are not.
#[tokio::test(flavor = "multi_thread")]
async fn body_that_drips_is_a_timeout() {
    let server = Server::start().await;
    server.put_entry(&entry("a", "2026-01-28"));
    let time = Duration::from_millis(300);
    let storage = server.builder().timeout(time).max_retries(1).connect().await.unwrap();
    for operation in ["get", "list"] {
        server.inject(operation, 2, Fault::Drip);
        let error = match operation {
            "get" => storage.read(&entry("a", "2026-01-28").id).await.map(drop).unwrap_err(),
            _ => storage.count().await.map(drop).unwrap_err(),
        };
        let StorageError::Remote { source, .. } = &error else { panic!("{error:?}") };
        let kind = source.downcast_ref::<RequestError>().unwrap().kind();
        assert_eq!(kind, RequestErrorKind::TimedOut, "{operation}: {}", error_chain(&error));
    }
    assert_eq!(storage.count().await.unwrap(), 1);
}
