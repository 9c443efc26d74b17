//! Answers that are of no use, or not whole: nothing is passed over because of them.
#![allow(clippy::unwrap_used)] // helpers of a test

mod support;

use attestry_core::StorageBackend;
use support::{Fault, Server, all, at, chain, entry};

/// Taken for the last page, it would hide every entry behind it.
#[tokio::test]
async fn a_listing_that_says_not_where_it_goes_on_is_an_error() {
    let server = Server::start().await;
    server.put_entry(&entry("a", "2026-01-28"));
    let storage = server.connect().await;
    let expected = "cut short";
    server.fail("list", 1, Fault::NoToken);
    let error = storage.count().await.unwrap_err();
    assert!(chain(&error).contains(expected), "{}", chain(&error));
    server.fail("list", 1, Fault::NoToken);
    let error = all(&storage).await.unwrap_err();
    assert!(chain(&error).contains(expected), "{}", chain(&error));
    server.fail("list", 1, Fault::NoToken);
    let error = storage.delete_at_or_before(at("2026-02-01")).await.unwrap_err();
    assert!(chain(&error).contains(expected), "{}", chain(&error));
    assert_eq!(storage.count().await.unwrap(), 1);
}

/// Where the credentials may not ask if the bucket has Object Lock, each entry is asked for its
/// lock, once the question was refused.
#[tokio::test]
async fn a_bucket_that_does_not_say_whether_it_locks_is_taken_to() {
    let server = Server::start().await;
    for id in ["a", "b", "locked"] {
        server.put_entry(&entry(id, "2026-01-28"));
    }
    server.lock("audit/2026-01-28/locked.json");
    server.fail("lock configuration", 9, Fault::Refuse("AccessDenied", 403));
    let storage = server.connect().await;
    server.requests();
    let error = storage.delete_at_or_before(at("2026-02-01")).await.unwrap_err();
    assert!(chain(&error).contains("1 of 3 objects"), "{}", chain(&error));
    assert_eq!(server.keys(), ["audit/2026-01-28/locked.json"]);
    let requests = server.requests();
    let made = |operation: &str| requests.iter().filter(|name| *name == operation).count();
    assert_eq!((made("lock configuration"), made("head"), made("delete many")), (1, 3, 1));
}

/// What such an answer says is not all that it would have said.
#[tokio::test]
async fn half_of_an_answer_is_asked_for_again() {
    let server = Server::start().await;
    server.enable_object_lock();
    for id in ["a", "refused", "locked"] {
        server.put_entry(&entry(id, "2026-01-28"));
    }
    server.lock("audit/2026-01-28/locked.json");
    let storage = server.connect().await;
    server.fail("list", 2, Fault::HalfAnswer);
    assert_eq!(storage.count().await.unwrap(), 3);
    server.fail("list", 2, Fault::HalfAnswer);
    assert_eq!(all(&storage).await.unwrap().len(), 3);
    server.fail("list", 2, Fault::HalfAnswer);
    server.fail("lock configuration", 2, Fault::HalfAnswer);
    server.fail("delete many", 2, Fault::HalfAnswer);
    server.refuse_each(3, "AccessDenied");
    let error = storage.delete_at_or_before(at("2026-02-01")).await.unwrap_err();
    assert!(chain(&error).contains("2 of 3 objects"), "{}", chain(&error));
    assert!(chain(&error).contains("COMPLIANCE"), "{}", chain(&error));
    assert_eq!(server.keys(), ["audit/2026-01-28/locked.json", "audit/2026-01-28/refused.json"]);
}
