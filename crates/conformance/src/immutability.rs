//! A stored entry is never replaced.

use std::time::Duration;

use attestry_core::{AuditEntry, EntryId};
use serde_json::json;

use crate::Store;
use crate::check::{
    assert_already_exists, assert_holds, assert_invalid_entry, assert_same_entry, count, list_all,
    ok, write, write_each,
};
use crate::sample::{DAY, at, entry, full, series};

/// Writing an equal entry again succeeds, and it is stored once.
pub async fn equal_rewrite_succeeds(store: Store) {
    let entry = full("again", 0);
    for _ in 0..3 {
        write(&store, &entry).await;
    }
    assert_holds(&store, &[entry], "after three equal writes").await;
}

/// An equal rewrite does not move the entry after those written since.
pub async fn equal_rewrite_keeps_its_position(store: Store) {
    let ties = [entry("c", 0), entry("a", 0), entry("b", 0)];
    write_each(&store, &ties).await;
    write(&store, &ties[0]).await;
    ok(store.write_batch(&ties[..2]).await, "write_batch of stored entries");
    assert_holds(&store, &ties, "after equal rewrites").await;
}

/// An equal rewrite also succeeds after a flush, 30 ms and 40 other entries.
pub async fn equal_rewrite_succeeds_later(store: Store) {
    let first = full("first", 1_000);
    write(&store, &first).await;
    let others = series("other", 40);
    ok(store.write_batch(&others).await, "write_batch");
    ok(store.flush().await, "flush");
    tokio::time::sleep(Duration::from_millis(30)).await;
    write(&store, &first).await;
    assert_already_exists(
        store.write(&AuditEntry { latency_ms: 0.5, ..first.clone() }).await,
        &first,
    );
    let all = [others, vec![first]].concat();
    ok(store.write_batch(&all).await, "write_batch of stored entries");
    assert_holds(&store, &all, "after late rewrites").await;
}

/// A batch may contain entries that are already stored.
pub async fn equal_rewrite_in_batch_succeeds(store: Store) {
    let entries = series("mixed", 9);
    write(&store, &entries[0]).await;
    write(&store, &entries[5]).await;
    ok(store.write_batch(&entries).await, "write_batch");
    assert_holds(&store, &entries, "after a batch that was partly stored").await;
}

/// Writing a different entry with a stored id fails, and the stored entry is kept.
pub async fn conflicting_rewrite_is_rejected(store: Store) {
    let first = full("taken", 0);
    write(&store, &first).await;
    let other = entry("taken", 0);
    for _ in 0..2 {
        assert_already_exists(store.write(&other).await, &other);
    }
    write(&store, &first).await;
    assert_holds(&store, &[first], "after rejected rewrites").await;
}

/// `entry` with one field changed, for each field except the id.
fn variations(entry: &AuditEntry) -> Vec<(&'static str, AuditEntry)> {
    let base = || entry.clone();
    let mut metadata = entry.metadata.clone();
    metadata.insert("nested".into(), json!({"score": 0.5, "none": null}));
    vec![
        ("timestamp", AuditEntry { timestamp: at(1), ..base() }),
        ("input_hash", AuditEntry { input_hash: "00".into(), ..base() }),
        ("output_hash", AuditEntry { output_hash: "00".into(), ..base() }),
        ("input_content", AuditEntry { input_content: None, ..base() }),
        ("output_content", AuditEntry { output_content: Some("5".into()), ..base() }),
        ("provider", AuditEntry { provider: Some("Openai".into()), ..base() }),
        ("model", AuditEntry { model: None, ..base() }),
        ("conversation_id", AuditEntry { conversation_id: Some(String::new()), ..base() }),
        ("safety_passed", AuditEntry { safety_passed: !entry.safety_passed, ..base() }),
        ("detectors_triggered", AuditEntry { detectors_triggered: vec!["pii".into()], ..base() }),
        ("block_reason", AuditEntry { block_reason: None, ..base() }),
        ("alerts", AuditEntry { alerts: vec!["alert two".into(), "alert one".into()], ..base() }),
        ("latency_ms", AuditEntry { latency_ms: entry.latency_ms + 0.001, ..base() }),
        ("input_tokens", AuditEntry { input_tokens: Some(16), ..base() }),
        ("output_tokens", AuditEntry { output_tokens: None, ..base() }),
        ("metadata", AuditEntry { metadata, ..base() }),
    ]
}

/// A difference in any single field is a conflict.
pub async fn conflict_in_any_field_is_detected(store: Store) {
    let first = full("taken", 0);
    write(&store, &first).await;
    for (field, other) in variations(&first) {
        let result = store.write(&other).await;
        assert!(result.is_err(), "only {field} differs, but the write succeeded");
        assert_already_exists(result, &other);
    }
    assert_holds(&store, &[first], "after rejected rewrites").await;
}

/// An id is unique over all days, not only within the day of its entry.
pub async fn ids_are_unique_across_days(store: Store) {
    let first = entry("taken", 0);
    write(&store, &first).await;
    for days in [1, -1, 400] {
        let other = entry("taken", days * DAY);
        assert_already_exists(store.write(&other).await, &other);
        assert_already_exists(store.write_batch(std::slice::from_ref(&other)).await, &other);
    }
    assert_holds(&store, &[first], "after rejected rewrites").await;
}

/// A batch with a different entry for a stored id fails, and the stored entry is kept.
pub async fn conflicting_rewrite_in_batch_is_rejected(store: Store) {
    let first = entry("taken", 0);
    write(&store, &first).await;
    let other = AuditEntry { provider: Some("other".into()), ..first.clone() };
    let batch = [entry("before", 1), other.clone(), entry("after", 2)];
    assert_already_exists(store.write_batch(&batch).await, &other);
    // The other entries are complete or absent; writing them again completes the batch.
    let rest = [batch[0].clone(), batch[2].clone()];
    ok(store.write_batch(&rest).await, "write_batch of the other entries");
    let expected = [&[first][..], &rest[..]].concat();
    assert_holds(&store, &expected, "after a rejected batch").await;
}

/// A batch with two different entries of the same id fails, and stores at most one of them.
pub async fn conflict_within_batch_is_rejected(store: Store) {
    let first = entry("twice", 0);
    let second = AuditEntry { model: Some("other".into()), ..first.clone() };
    let batch = [entry("a", 1), first.clone(), entry("b", 2), second.clone()];
    assert_already_exists(store.write_batch(&batch).await, &first);
    let id: &EntryId = &first.id.clone();
    if let Some(found) = ok(store.read(id).await, "read") {
        assert!(
            found == first || found == second,
            "the stored entry is neither of the two: {found:?}"
        );
        let loser = if found == first { second } else { first };
        assert_already_exists(store.write(&loser).await, &loser);
        assert_same_entry(
            &ok(store.read(id).await, "read").expect("the entry is still stored"),
            &found,
            "read after a rejected rewrite",
        );
    }
    let listed = list_all(&store).await;
    let copies = listed.iter().filter(|entry| entry.id == *id).count();
    assert!(copies <= 1, "the id is stored {copies} times");
    assert_eq!(count(&store).await, listed.len() as u64);
}

/// An entry that occurs several times in a batch is stored once.
pub async fn duplicates_within_batch_are_stored_once(store: Store) {
    let (a, b) = (full("a", 0), entry("b", 1));
    let batch = [a.clone(), b.clone(), a.clone(), b.clone(), a.clone()];
    ok(store.write_batch(&batch).await, "write_batch");
    assert_holds(&store, &[a, b], "after a batch with duplicates").await;
}

/// Writing the same batch again succeeds and stores each entry once.
pub async fn batch_retry_is_idempotent(store: Store) {
    let batch = series("repeated", 20);
    for _ in 0..3 {
        ok(store.write_batch(&batch).await, "write_batch");
    }
    write_each(&store, &batch[5..8]).await;
    assert_holds(&store, &batch, "after repeated batches").await;
}

/// `write_new` stores the entries whose ids are absent, also within the batch, and tells which.
pub async fn write_new_stores_only_absent_ids(store: Store) {
    assert!(ok(store.write_new(&[]).await, "write_new of nothing").is_empty());
    let all = series("new", 8);
    write_each(&store, &all[..2]).await;
    let batch = [all[1].clone(), all[2].clone(), all[3].clone(), all[2].clone()];
    let stored = ok(store.write_new(&batch).await, "write_new");
    assert_eq!(stored, [false, true, true, false]);
    assert_holds(&store, &all[..4], "after write_new").await;
    let stored = ok(store.write_new(&all).await, "write_new");
    assert_eq!(stored, [false, false, false, false, true, true, true, true]);
    assert_holds(&store, &all, "after a repeated write_new").await;
    let invalid = [entry("valid", 0), AuditEntry { latency_ms: f64::NAN, ..entry("nan", 1) }];
    assert_invalid_entry(store.write_new(&invalid).await, "write_new of an invalid entry");
    assert_holds(&store, &all, "after an invalid entry").await;
}

/// `write_new` leaves the entry that is stored under an id, on any day, and reports no error.
pub async fn write_new_keeps_stored_entries(store: Store) {
    let first = full("taken", 0);
    write(&store, &first).await;
    for other in [entry("taken", 0), entry("taken", DAY), entry("taken", -400 * DAY)] {
        let stored = ok(store.write_new(&[other, entry("taken", 1)]).await, "write_new");
        assert_eq!(stored, [false, false]);
    }
    assert_holds(&store, &[first], "after write_new of other entries").await;
}
