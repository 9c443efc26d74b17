//! What is written is stored, and what may not be written is not.

use attestry_core::{AuditEntry, EntryId, MAX_METADATA_DEPTH, Query, Timestamp};
use serde_json::{Value, json};

use crate::Store;
use crate::check::{
    count, holds, list_all, ok, refused_as_invalid, scan, sorted, stored, write, write_each,
};
use crate::sample::{at, entry, full, id, series};

/// A store that was just made holds nothing.
pub async fn a_new_store_is_empty(store: Store) {
    holds(&store, &[], "of a new store").await;
    assert_eq!(ok(store.read(&id("a")).await, "read"), None);
}

/// Every field comes back as it was written, read, listed and scanned.
pub async fn an_entry_comes_back_as_written(store: Store) {
    let entry = full("full", 123_456);
    write(&store, &entry).await;
    holds(&store, &[entry], "after one write").await;
}

/// Fields that were left out come back as left out.
pub async fn a_minimal_entry_comes_back_as_written(store: Store) {
    let entry = entry("minimal", 0);
    write(&store, &entry).await;
    holds(&store, &[entry], "after one write").await;
}

/// `write` returns the entry's own id, the first time and again.
pub async fn write_returns_the_id(store: Store) {
    let entry = entry("the-id", 0);
    for _ in 0..2 {
        assert_eq!(ok(store.write(&entry).await, "write"), entry.id);
    }
}

/// The count grows by one with each new entry.
pub async fn the_count_follows_the_writes(store: Store) {
    for (written, entry) in (1..).zip(series("counted", 12)) {
        write(&store, &entry).await;
        assert_eq!(count(&store).await, written);
    }
}

/// `write_batch` stores every entry.
pub async fn a_batch_stores_all(store: Store) {
    let mut batch = series("batch", 30);
    batch.push(full("batch-full", 3));
    ok(store.write_batch(&batch).await, "write_batch");
    holds(&store, &sorted(&batch), "after write_batch").await;
}

/// A batch of nothing succeeds and changes nothing.
pub async fn an_empty_batch_stores_nothing(store: Store) {
    write(&store, &entry("a", 0)).await;
    ok(store.write_batch(&[]).await, "write_batch of nothing");
    ok(store.append(&[]).await, "append of nothing");
    assert_eq!(count(&store).await, 1);
}

/// `append` stores every entry, like `write_batch`, and none before its future is polled.
pub async fn append_stores_all(store: Store) {
    let (first, second) = (series("first", 10), vec![full("second", 4)]);
    // Called, but never polled.
    drop(store.append(&series("never", 3)));
    ok(store.append(&first).await, "append");
    let storing = store.append(&second.clone()); // which are gone before it is polled
    ok(storing.await, "append");
    let all = sorted(&[first, second].concat());
    holds(&store, &all, "after append").await;
    // What was appended is protected like everything else.
    ok(store.write(&all[0]).await, "writing an appended entry again");
}

/// Entries that must not be written, with the reason.
fn invalid() -> Vec<(&'static str, AuditEntry)> {
    let named = |text: &str| AuditEntry { id: EntryId::new_unchecked(text), ..entry("x", 0) };
    let mut deep = entry("deep", 0);
    deep.metadata.insert("k".into(), nested(MAX_METADATA_DEPTH + 1));
    vec![
        ("an empty id", named("")),
        ("a path as id", named("../../escape")),
        ("a slash in the id", named("a/b")),
        ("a backslash in the id", named("a\\b")),
        ("two dots as id", named("..")),
        ("one dot as id", named(".")),
        ("a line break in the id", named("a\nb")),
        ("a NUL in the id", named("a\0b")),
        ("an id of 256 bytes", named(&"x".repeat(256))),
        ("a latency that is no number", AuditEntry { latency_ms: f64::NAN, ..entry("nan", 0) }),
        ("an infinite latency", AuditEntry { latency_ms: f64::INFINITY, ..entry("inf", 0) }),
        ("a latency of -inf", AuditEntry { latency_ms: f64::NEG_INFINITY, ..entry("-inf", 0) }),
        ("metadata that nest too deep", deep),
    ]
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!([inner]))
}

/// An entry that must not be written is refused as `InvalidEntry` and leaves nothing behind.
pub async fn invalid_entries_are_refused_and_nothing_is_written(store: Store) {
    let before = entry("before", 0);
    write(&store, &before).await;
    for (reason, entry) in invalid() {
        refused_as_invalid(store.write(&entry).await, reason);
        assert_eq!(ok(store.read(&entry.id).await, "read"), None, "{reason}: it was stored");
    }
    holds(&store, &[before], "after refused writes").await;
}

/// A batch, or an append, with an invalid entry fails; that entry is absent, the others are whole
/// or absent, and the batch without it can be written.
pub async fn an_invalid_entry_in_a_batch_is_refused_and_absent(store: Store) {
    let mut written = Vec::new();
    for (n, (reason, invalid)) in (0..).zip(invalid()) {
        let name = |place: &str| format!("{place}-{n}");
        let (first, last) = (entry(name("first"), 2 * n), entry(name("last"), 2 * n + 1));
        let batch = [first.clone(), invalid.clone(), last.clone()];
        if n % 2 == 0 {
            refused_as_invalid(store.write_batch(&batch).await, reason);
        } else {
            refused_as_invalid(store.append(&batch).await, reason);
        }
        assert_eq!(ok(store.read(&invalid.id).await, "read"), None, "{reason}: it was stored");
        let rest = [first, last];
        ok(store.write_batch(&rest).await, "write_batch of the valid ones");
        written.extend(rest);
    }
    holds(&store, &written, "after refused batches").await;
}

/// What is just within the limits is stored.
pub async fn the_limits_of_validity_are_accepted(store: Store) {
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
    holds(&store, &entries, "at the limits").await;
    for entry in &entries {
        stored(&store, entry).await;
    }
    assert_eq!(list_all(&store).await.len(), entries.len());
    let lately = scan(&store, &Query::range(at(1), Timestamp::MAX)).await;
    assert_eq!(lately.len(), entries.len() - 1);
}
