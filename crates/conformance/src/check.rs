//! What cases do again and again, with messages that tell what differs. `Debug` of an entry hides
//! its content, so a bare `assert_eq!` would print the same thing twice.

use std::any::Any;
use std::fmt::Debug;

use attestry_core::{AuditEntry, Query, StorageError, Timestamp};
use futures_util::TryStreamExt;
use serde_json::Value;

use crate::Store;

/// `result`, which must be a success.
#[track_caller]
pub(crate) fn ok<T>(result: Result<T, StorageError>, what: &str) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{what} failed: {}", chain(&error)),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[track_caller]
pub(crate) fn refused_as_existing<T: Debug>(result: Result<T, StorageError>, entry: &AuditEntry) {
    match result {
        Err(StorageError::AlreadyExists { id }) => {
            assert_eq!(id, entry.id, "AlreadyExists must name the id in question");
        }
        Err(other) => panic!("expected AlreadyExists, got {other:?}"),
        Ok(value) => panic!(
            "writing another entry under the stored id {} must fail with AlreadyExists, it gave Ok({value:?})",
            entry.id
        ),
    }
}

#[track_caller]
pub(crate) fn refused_as_invalid<T: Debug>(result: Result<T, StorageError>, what: &str) {
    match result {
        Err(StorageError::InvalidEntry(_)) => {}
        other => panic!("{what}: expected InvalidEntry, got {other:?}"),
    }
}

#[track_caller]
pub(crate) fn refused_as_query<T: Debug>(result: Result<T, StorageError>, what: &str) {
    match result {
        Err(StorageError::InvalidQuery(_)) => {}
        other => panic!("{what}: expected InvalidQuery, got {other:?}"),
    }
}

pub(crate) async fn write(store: &Store, entry: &AuditEntry) {
    let id = ok(store.write(entry).await, "write");
    assert_eq!(id, entry.id, "write must return the id of the entry");
}

/// One after the other, each with `write`.
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

/// The entry of this id is stored as `expected`.
pub(crate) async fn stored(store: &Store, expected: &AuditEntry) {
    let Some(found) = ok(store.read(&expected.id).await, "read") else {
        panic!("{} was written and cannot be read: it is absent", expected.id)
    };
    same_entry(&found, expected, "read");
}

/// The store holds `expected`, in this order, and nothing else, whichever way one looks.
pub(crate) async fn holds(store: &Store, expected: &[AuditEntry], when: &str) {
    same(&list_all(store).await, expected, &format!("list_entries {when}"));
    same(&scan(store, &Query::new()).await, expected, &format!("scan {when}"));
    assert_eq!(count(store).await, expected.len() as u64, "count {when}");
    for entry in expected {
        stored(store, entry).await;
    }
}

pub(crate) fn ids(entries: &[AuditEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.id.as_str()).collect()
}

/// `found` is `expected`, in the same order.
#[track_caller]
pub(crate) fn same(found: &[AuditEntry], expected: &[AuditEntry], what: &str) {
    if ids(found) != ids(expected) {
        panic!("{what}:\n    found {:?}\n expected {:?}", ids(found), ids(expected));
    }
    for (found, expected) in found.iter().zip(expected) {
        same_entry(found, expected, what);
    }
}

#[track_caller]
pub(crate) fn same_entry(found: &AuditEntry, expected: &AuditEntry, what: &str) {
    if found == expected {
        return;
    }
    let (found_value, expected_value) = (found.to_value(), expected.to_value());
    let mut message = format!("{what}: the entry {} differs from what was written:", expected.id);
    for (field, expected) in expected_value.as_object().into_iter().flatten() {
        let found = &found_value[field];
        if found != expected {
            message += &format!("\n  {field}: {}, expected {}", short(found), short(expected));
        }
    }
    panic!("{message}");
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text,
    }
}

/// In the order of time; ties stay as they stand.
pub(crate) fn sorted(entries: &[AuditEntry]) -> Vec<AuditEntry> {
    let mut sorted = entries.to_vec();
    sorted.sort_by_key(|entry| entry.timestamp);
    sorted
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
}
