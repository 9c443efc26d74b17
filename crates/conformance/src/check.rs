//! Assertions shared by the cases.
//!
//! They report the fields that differ. `Debug` of an entry hides its content, so `assert_eq!` on
//! entries that differ in content would print the same text twice.

use std::any::Any;
use std::fmt::Debug;

use attestry_core::{AuditEntry, Query, StorageError, Timestamp};
use futures_util::TryStreamExt;
use serde_json::Value;

use crate::Store;

/// The value of `result`, which must be `Ok`.
#[track_caller]
pub(crate) fn ok<T>(result: Result<T, StorageError>, what: &str) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{what} failed: {}", with_causes(&error)),
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[track_caller]
pub(crate) fn assert_already_exists<T: Debug>(result: Result<T, StorageError>, entry: &AuditEntry) {
    match result {
        Err(StorageError::AlreadyExists { id, .. }) => {
            assert_eq!(id, entry.id, "AlreadyExists must name the conflicting id");
        }
        Err(other) => panic!("expected AlreadyExists, got {other:?}"),
        Ok(value) => panic!(
            "writing a different entry with the stored id {} must fail with AlreadyExists, it returned Ok({value:?})",
            entry.id
        ),
    }
}

#[track_caller]
pub(crate) fn assert_invalid_entry<T: Debug>(result: Result<T, StorageError>, what: &str) {
    match result {
        Err(StorageError::InvalidEntry(_)) => {}
        other => panic!("{what}: expected InvalidEntry, got {other:?}"),
    }
}

#[track_caller]
pub(crate) fn assert_invalid_query<T: Debug>(result: Result<T, StorageError>, what: &str) {
    match result {
        Err(StorageError::InvalidQuery(_)) => {}
        other => panic!("{what}: expected InvalidQuery, got {other:?}"),
    }
}

pub(crate) async fn write(store: &Store, entry: &AuditEntry) {
    let id = ok(store.write(entry).await, "write");
    assert_eq!(id, entry.id, "write must return the id of the entry");
}

/// Writes `entries` one at a time, in order.
pub(crate) async fn write_each(store: &Store, entries: &[AuditEntry]) {
    for entry in entries {
        write(store, entry).await;
    }
}

pub(crate) async fn list(store: &Store, start: Timestamp, end: Timestamp) -> Vec<AuditEntry> {
    ok(store.list_entries(start, end).await, "list_entries")
}

pub(crate) async fn list_all(store: &Store) -> Vec<AuditEntry> {
    list(store, Timestamp::MIN, Timestamp::MAX).await
}

pub(crate) async fn scan(store: &Store, query: &Query) -> Vec<AuditEntry> {
    ok(store.scan(query.clone()).try_collect().await, &format!("scan of {query:?}"))
}

pub(crate) async fn count(store: &Store) -> u64 {
    ok(store.count().await, "count")
}

/// Asserts that `read` returns `expected`.
pub(crate) async fn assert_stored(store: &Store, expected: &AuditEntry) {
    let Some(found) = ok(store.read(&expected.id).await, "read") else {
        panic!("{} was written, but read returns None", expected.id)
    };
    assert_same_entry(&found, expected, "read");
}

/// Asserts that `list_entries`, `scan`, `count` and `read` agree that the store holds exactly
/// `expected`, in this order.
pub(crate) async fn assert_holds(store: &Store, expected: &[AuditEntry], when: &str) {
    assert_same(&list_all(store).await, expected, &format!("list_entries {when}"));
    assert_same(&scan(store, &Query::new()).await, expected, &format!("scan {when}"));
    assert_eq!(count(store).await, expected.len() as u64, "count {when}");
    for entry in expected {
        assert_stored(store, entry).await;
    }
}

pub(crate) fn ids(entries: &[AuditEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.id.as_str()).collect()
}

/// Asserts that `found` equals `expected`, in the same order.
#[track_caller]
pub(crate) fn assert_same(found: &[AuditEntry], expected: &[AuditEntry], what: &str) {
    if ids(found) != ids(expected) {
        panic!("{what}:\n    found {:?}\n expected {:?}", ids(found), ids(expected));
    }
    for (found, expected) in found.iter().zip(expected) {
        assert_same_entry(found, expected, what);
    }
}

#[track_caller]
pub(crate) fn assert_same_entry(found: &AuditEntry, expected: &AuditEntry, what: &str) {
    if found == expected {
        return;
    }
    let (found_value, expected_value) = (found.to_value(), expected.to_value());
    let mut message = format!("{what}: the entry {} differs from the one written:", expected.id);
    for (field, expected) in expected_value.as_object().into_iter().flatten() {
        let found = &found_value[field];
        if found != expected {
            message +=
                &format!("\n  {field}: {}, expected {}", truncated(found), truncated(expected));
        }
    }
    panic!("{message}");
}

fn truncated(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text,
    }
}

/// `entries` by ascending timestamp; ties keep their order.
pub(crate) fn sorted(entries: &[AuditEntry]) -> Vec<AuditEntry> {
    let mut sorted = entries.to_vec();
    sorted.sort_by_key(|entry| entry.timestamp);
    sorted
}

/// The message of a panic.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message")
        .to_owned()
}
