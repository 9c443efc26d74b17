//! Valid entries are stored, and invalid ones are rejected.

use attestry_core::{AuditEntry, EntryId, MAX_METADATA_DEPTH, Query, Timestamp};
use serde_json::{Value, json};

use crate::Store;
use crate::check::{
    assert_holds, assert_invalid_entry, assert_stored, count, list_all, ok, scan, sorted, write,
    write_each,
};
use crate::sample::{at, entry, full, id, series};

/// A new store is empty.
pub async fn new_store_is_empty(store: Store) {
    assert_holds(&store, &[], "of a new store").await;
    assert_eq!(ok(store.read(&id("a")).await, "read"), None);
}

/// Every field is returned as written by `read`, `list_entries` and `scan`.
pub async fn full_entry_round_trips(store: Store) {
    let entry = full("full", 123_456);
    write(&store, &entry).await;
    assert_holds(&store, &[entry], "after one write").await;
}

/// Fields that were not set stay unset.
pub async fn minimal_entry_round_trips(store: Store) {
    let entry = entry("minimal", 0);
    write(&store, &entry).await;
    assert_holds(&store, &[entry], "after one write").await;
}

/// `write` returns the id of the entry, also for an equal rewrite.
pub async fn write_returns_the_id(store: Store) {
    let entry = entry("the-id", 0);
    for _ in 0..2 {
        assert_eq!(ok(store.write(&entry).await, "write"), entry.id);
    }
}

/// The count increases by one with each new entry.
pub async fn count_follows_writes(store: Store) {
    for (written, entry) in (1..).zip(series("counted", 12)) {
        write(&store, &entry).await;
        assert_eq!(count(&store).await, written);
    }
}

/// `write_batch` stores every entry.
pub async fn batch_stores_all_entries(store: Store) {
    let mut batch = series("batch", 30);
    batch.push(full("batch-full", 3));
    ok(store.write_batch(&batch).await, "write_batch");
    assert_holds(&store, &sorted(&batch), "after write_batch").await;
}

/// An empty batch succeeds and changes nothing.
pub async fn empty_batch_stores_nothing(store: Store) {
    write(&store, &entry("a", 0)).await;
    ok(store.write_batch(&[]).await, "write_batch of no entries");
    ok(store.append(&[]).await, "append of no entries");
    assert_eq!(count(&store).await, 1);
}

/// `append` stores every entry, like `write_batch`, but none before its future is polled.
pub async fn append_is_lazy_and_stores_all_entries(store: Store) {
    let (first, second) = (series("first", 10), vec![full("second", 4)]);
    drop(store.append(&series("never-polled", 3)));
    ok(store.append(&first).await, "append");
    let pending = store.append(&second.clone()); // the clone is dropped before the first poll
    ok(pending.await, "append");
    let all = sorted(&[first, second].concat());
    assert_holds(&store, &all, "after append").await;
    // Appended entries are immutable too.
    ok(store.write(&all[0]).await, "equal rewrite of an appended entry");
}

/// Invalid entries, with the reason.
fn invalid() -> Vec<(&'static str, AuditEntry)> {
    let named = |text: &str| AuditEntry { id: EntryId::new_unchecked(text), ..entry("x", 0) };
    let mut deep = entry("deep", 0);
    deep.metadata.insert("k".into(), nested(MAX_METADATA_DEPTH + 1));
    vec![
        ("an empty id", named("")),
        ("an id that is a path", named("../../escape")),
        ("a slash in the id", named("a/b")),
        ("a backslash in the id", named("a\\b")),
        ("the id \"..\"", named("..")),
        ("the id \".\"", named(".")),
        ("a line break in the id", named("a\nb")),
        ("a NUL in the id", named("a\0b")),
        ("an id of 256 bytes", named(&"x".repeat(256))),
        ("a latency that is not a number", AuditEntry { latency_ms: f64::NAN, ..entry("nan", 0) }),
        ("an infinite latency", AuditEntry { latency_ms: f64::INFINITY, ..entry("inf", 0) }),
        ("a latency of -inf", AuditEntry { latency_ms: f64::NEG_INFINITY, ..entry("-inf", 0) }),
        ("metadata nested too deeply", deep),
    ]
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!([inner]))
}

/// An invalid entry is rejected with `InvalidEntry`, and nothing of it is stored.
pub async fn invalid_entries_are_rejected(store: Store) {
    let before = entry("before", 0);
    write(&store, &before).await;
    for (reason, entry) in invalid() {
        assert_invalid_entry(store.write(&entry).await, reason);
        assert_eq!(ok(store.read(&entry.id).await, "read"), None, "{reason}: it was stored");
    }
    assert_holds(&store, &[before], "after rejected writes").await;
}

/// A `write_batch` or `append` with an invalid entry fails and does not store that entry. The others
/// are complete or absent, and can be written as a batch.
pub async fn invalid_entry_in_batch_is_rejected(store: Store) {
    let mut written = Vec::new();
    for (n, (reason, invalid)) in (0..).zip(invalid()) {
        let name = |position: &str| format!("{position}-{n}");
        let (first, last) = (entry(name("first"), 2 * n), entry(name("last"), 2 * n + 1));
        let batch = [first.clone(), invalid.clone(), last.clone()];
        if n % 2 == 0 {
            assert_invalid_entry(store.write_batch(&batch).await, reason);
        } else {
            assert_invalid_entry(store.append(&batch).await, reason);
        }
        assert_eq!(ok(store.read(&invalid.id).await, "read"), None, "{reason}: it was stored");
        let rest = [first, last];
        ok(store.write_batch(&rest).await, "write_batch of the valid entries");
        written.extend(rest);
    }
    assert_holds(&store, &written, "after rejected batches").await;
}

/// Entries with the largest allowed values are stored.
pub async fn limit_values_are_accepted(store: Store) {
    let mut deep = entry("deep", 0);
    deep.metadata.insert("k".into(), nested(MAX_METADATA_DEPTH));
    let entries = [
        deep,
        entry("x".repeat(255), 1),
        entry("y", 2),
        AuditEntry { latency_ms: f64::MAX, ..entry("slow", 3) },
        AuditEntry { latency_ms: -f64::MAX, ..entry("backwards", 4) },
        AuditEntry { input_hash: String::new(), output_hash: "€".into(), ..entry("hash", 5) },
    ];
    write_each(&store, &entries).await;
    assert_holds(&store, &entries, "at the limits").await;
    for entry in &entries {
        assert_stored(&store, entry).await;
    }
    assert_eq!(list_all(&store).await.len(), entries.len());
    let recent = scan(&store, &Query::range(at(1), Timestamp::MAX)).await;
    assert_eq!(recent.len(), entries.len() - 1);
}
