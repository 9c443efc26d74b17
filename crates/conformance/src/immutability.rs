//! An entry that is stored is never replaced.

use std::time::Duration;

use attestry_core::{AuditEntry, EntryId};
use serde_json::json;

use crate::Store;
use crate::check::{
    count, holds, list_all, ok, refused_as_existing, same_entry, write, write_each,
};
use crate::sample::{DAY, at, entry, full, series};

/// Writing an equal entry again succeeds and stores it once.
pub async fn an_equal_rewrite_succeeds(store: Store) {
    let entry = full("again", 0);
    for _ in 0..3 {
        write(&store, &entry).await;
    }
    holds(&store, &[entry], "after three equal writes").await;
}

/// An equal rewrite does not move the entry behind those written since.
pub async fn an_equal_rewrite_keeps_its_place(store: Store) {
    let ties = [entry("c", 0), entry("a", 0), entry("b", 0)];
    write_each(&store, &ties).await;
    write(&store, &ties[0]).await;
    ok(store.write_batch(&ties[..2]).await, "write_batch of stored entries");
    holds(&store, &ties, "after equal rewrites").await;
}

/// The same, after time has passed and others were written.
pub async fn an_equal_rewrite_succeeds_later(store: Store) {
    let first = full("first", 1_000);
    write(&store, &first).await;
    let others = series("other", 40);
    ok(store.write_batch(&others).await, "write_batch");
    ok(store.flush().await, "flush");
    tokio::time::sleep(Duration::from_millis(30)).await;
    write(&store, &first).await;
    refused_as_existing(
        store.write(&AuditEntry { latency_ms: 0.5, ..first.clone() }).await,
        &first,
    );
    let all = [others, vec![first]].concat();
    ok(store.write_batch(&all).await, "write_batch of stored entries");
    holds(&store, &all, "after late rewrites").await;
}

/// A batch may hold entries that are stored already.
pub async fn an_equal_rewrite_in_a_batch_succeeds(store: Store) {
    let entries = series("mixed", 9);
    write(&store, &entries[0]).await;
    write(&store, &entries[5]).await;
    ok(store.write_batch(&entries).await, "write_batch");
    holds(&store, &entries, "after a partly repeated batch").await;
}

/// Another entry under a stored id is refused, and the stored one stays.
pub async fn a_differing_rewrite_is_refused(store: Store) {
    let first = full("taken", 0);
    write(&store, &first).await;
    let other = entry("taken", 0);
    for _ in 0..2 {
        refused_as_existing(store.write(&other).await, &other);
    }
    write(&store, &first).await;
    holds(&store, &[first], "after refused rewrites").await;
}

/// The entry with one field changed, for each field but the id.
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

/// A difference in any single field is a difference.
pub async fn every_field_counts_as_a_difference(store: Store) {
    let first = full("taken", 0);
    write(&store, &first).await;
    for (field, other) in variations(&first) {
        let result = store.write(&other).await;
        assert!(result.is_err(), "only {field} differs, and the write succeeded");
        refused_as_existing(result, &other);
    }
    holds(&store, &[first], "after refused rewrites").await;
}

/// An id is taken on every day, not only on that of its entry.
pub async fn another_day_is_a_difference(store: Store) {
    let first = entry("taken", 0);
    write(&store, &first).await;
    for days in [1, -1, 400] {
        let other = entry("taken", days * DAY);
        refused_as_existing(store.write(&other).await, &other);
        refused_as_existing(store.write_batch(std::slice::from_ref(&other)).await, &other);
    }
    holds(&store, &[first], "after refused rewrites").await;
}

/// A batch with another entry under a stored id fails, and the stored one stays.
pub async fn a_differing_rewrite_in_a_batch_is_refused(store: Store) {
    let first = entry("taken", 0);
    write(&store, &first).await;
    let other = AuditEntry { provider: Some("other".into()), ..first.clone() };
    let batch = [entry("before", 1), other.clone(), entry("after", 2)];
    refused_as_existing(store.write_batch(&batch).await, &other);
    // The others are whole or absent; writing them makes them whole.
    let rest = [batch[0].clone(), batch[2].clone()];
    ok(store.write_batch(&rest).await, "write_batch of the others");
    let expected = [&[first][..], &rest[..]].concat();
    holds(&store, &expected, "after a refused batch").await;
}

/// Two different entries with one id in one batch: the batch fails, and at most one is stored.
pub async fn two_that_differ_in_one_batch_are_refused(store: Store) {
    let first = entry("twice", 0);
    let second = AuditEntry { model: Some("other".into()), ..first.clone() };
    let batch = [entry("a", 1), first.clone(), entry("b", 2), second.clone()];
    refused_as_existing(store.write_batch(&batch).await, &first);
    let id: &EntryId = &first.id.clone();
    if let Some(found) = ok(store.read(id).await, "read") {
        assert!(found == first || found == second, "neither of the two is stored, but {found:?}");
        let loser = if found == first { second } else { first };
        refused_as_existing(store.write(&loser).await, &loser);
        same_entry(
            &ok(store.read(id).await, "read").expect("it is still there"),
            &found,
            "read after a refused rewrite",
        );
    }
    let listed = list_all(&store).await;
    let twice = listed.iter().filter(|entry| entry.id == *id).count();
    assert!(twice <= 1, "the id is stored {twice} times");
    assert_eq!(count(&store).await, listed.len() as u64);
}

/// The same entry twice in one batch is stored once.
pub async fn two_that_are_equal_in_one_batch_are_one(store: Store) {
    let (a, b) = (full("a", 0), entry("b", 1));
    let batch = [a.clone(), b.clone(), a.clone(), b.clone(), a.clone()];
    ok(store.write_batch(&batch).await, "write_batch");
    holds(&store, &[a, b], "after a batch with repetitions").await;
}

/// A whole batch may be written again.
pub async fn a_batch_may_be_repeated(store: Store) {
    let batch = series("repeated", 20);
    for _ in 0..3 {
        ok(store.write_batch(&batch).await, "write_batch");
    }
    write_each(&store, &batch[5..8]).await;
    holds(&store, &batch, "after repeated batches").await;
}
