//! Futures that are dropped before they complete: by a timeout, a `select!`, an aborted task.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use attestry_core::{AuditEntry, Query};
use futures_util::StreamExt;

use crate::Store;
use crate::check::{
    assert_holds, assert_same_entry, assert_stored, count, list_all, ok, sorted, write, write_each,
};
use crate::sample::{at, entry, full, series};

/// When to drop a future.
#[derive(Debug, Clone, Copy)]
enum DropAfter {
    /// This number of polls, with or without a wake-up, yielding to other tasks between them.
    Polls(usize),
    /// This time in milliseconds.
    Millis(u64),
}

/// From before the first poll to about the time that a call takes.
fn drop_points() -> impl Iterator<Item = DropAfter> {
    let polls = [0, 1, 2, 3, 4, 6, 10, 20].map(DropAfter::Polls);
    let millis = [0, 1, 2, 4].map(DropAfter::Millis);
    polls.into_iter().chain(millis)
}

/// The output of `future`, or `None` if it was dropped before it completed.
async fn cancelled<T>(future: impl Future<Output = T>, drop_after: DropAfter) -> Option<T> {
    match drop_after {
        DropAfter::Millis(millis) => {
            tokio::time::timeout(Duration::from_millis(millis), future).await.ok()
        }
        DropAfter::Polls(polls) => {
            let mut future = pin!(future);
            for _ in 0..polls {
                let polled = std::future::poll_fn(|context| {
                    Poll::Ready(match future.as_mut().poll(context) {
                        Poll::Ready(value) => Some(value),
                        Poll::Pending => None,
                    })
                });
                if let Some(value) = polled.await {
                    return Some(value);
                }
                tokio::task::yield_now().await;
            }
            None
        }
    }
}

/// Asserts that the entry is stored as written, or not at all.
async fn assert_complete_or_absent(store: &Store, entry: &AuditEntry, when: &str) {
    if let Some(found) = ok(store.read(&entry.id).await, "read") {
        assert_same_entry(&found, entry, when);
    }
}

/// Asserts that each listed entry is one of `entries`, complete, and that no id is listed twice.
async fn assert_listed_from(store: &Store, entries: &[AuditEntry], when: &str) {
    let found = list_all(store).await;
    for (n, entry) in found.iter().enumerate() {
        match entries.iter().find(|written| written.id == entry.id) {
            Some(expected) => assert_same_entry(entry, expected, when),
            None => panic!("{when}: {} is listed, but was never written", entry.id),
        }
        assert!(
            found[..n].iter().all(|other| other.id != entry.id),
            "{when}: {} is listed twice",
            entry.id
        );
    }
}

/// A dropped write leaves its entry complete or absent. Writing it again succeeds, and it is stored
/// once.
pub async fn cancelled_write_is_atomic(store: Store) {
    let mut written = Vec::new();
    for (n, drop_after) in (0..).zip(drop_points()) {
        let when = format!("after a write dropped after {drop_after:?}");
        let entry = AuditEntry {
            input_content: Some("content ".repeat(2_000)),
            ..full(&format!("cancelled-{n}"), n)
        };
        written.push(entry.clone());
        if let Some(result) = cancelled(store.write(&entry), drop_after).await {
            ok(result, "write");
            assert!(
                ok(store.read(&entry.id).await, "read").is_some(),
                "the write returned Ok, but read returns None"
            );
        }
        assert_complete_or_absent(&store, &entry, &when).await;
        assert_listed_from(&store, &written, &when).await;
        write(&store, &entry).await;
        write(&store, &entry).await;
        assert_eq!(count(&store).await, written.len() as u64, "{when} and written again");
    }
    assert_holds(&store, &written, "after dropped and repeated writes").await;
}

/// A dropped `write_batch` or `append` leaves each entry complete or absent. `write_batch` with the
/// same entries completes it.
pub async fn cancelled_batch_is_atomic_per_entry(store: Store) {
    let mut written = Vec::new();
    for (n, drop_after) in (0..).zip(drop_points()) {
        let when = format!("after a batch dropped after {drop_after:?}");
        let batch: Vec<_> =
            (0..25).map(|m| full(&format!("cancelled-{n}-{m}"), 100 * n + m)).collect();
        written.extend(batch.iter().cloned());
        let result = if n % 2 == 0 {
            cancelled(store.write_batch(&batch), drop_after).await
        } else {
            cancelled(store.append(&batch), drop_after).await
        };
        if let Some(result) = result {
            ok(result, "write_batch");
        }
        assert_listed_from(&store, &written, &when).await;
        ok(store.write_batch(&batch).await, "write_batch of the same entries");
        assert_eq!(count(&store).await, written.len() as u64, "{when} and repeated");
    }
    assert_holds(&store, &written, "after dropped and repeated batches").await;
}

/// Aborting tasks during their writes does not affect the writes of other tasks.
pub async fn cancelled_write_does_not_affect_others(store: Store) {
    let mut started = Vec::new();
    let mut kept = Vec::new();
    for round in 0..10_u64 {
        let micros = |n: i64| 1_000 * i64::try_from(round).unwrap_or_default() + n;
        let aborted: Vec<_> =
            (0..6).map(|n| full(&format!("aborted-{round}-{n}"), micros(n))).collect();
        let kept_entries: Vec<_> =
            (6..12).map(|n| full(&format!("kept-{round}-{n}"), micros(n))).collect();
        let spawn = |entry: &AuditEntry| {
            let (store, entry) = (Arc::clone(&store), entry.clone());
            tokio::spawn(async move {
                ok(store.write(&entry).await, "write concurrent with aborted writes")
            })
        };
        let aborted_tasks: Vec<_> = aborted.iter().map(spawn).collect();
        let kept_tasks: Vec<_> = kept_entries.iter().map(spawn).collect();
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        for task in &aborted_tasks {
            task.abort();
        }
        for task in kept_tasks {
            if let Err(error) = task.await {
                panic!("a write concurrent with aborted writes failed: {error}");
            }
        }
        kept.extend(kept_entries.iter().cloned());
        started.extend(aborted);
        started.extend(kept_entries);
    }
    let when = "after aborted writes";
    for entry in &kept {
        assert_stored(&store, entry).await;
    }
    assert_listed_from(&store, &started, when).await;
    ok(store.write_batch(&started).await, "write_batch of everything");
    assert_holds(&store, &sorted(&started), when).await;
}

/// A dropped `delete` leaves the entry stored or deleted. Deleting again deletes it.
pub async fn cancelled_delete_is_atomic(store: Store) {
    let kept = entry("kept", -1);
    write(&store, &kept).await;
    for (n, drop_after) in (0..).zip(drop_points()) {
        let when = format!("after a delete dropped after {drop_after:?}");
        let deleted = full(&format!("deleted-{n}"), n);
        write(&store, &deleted).await;
        if let Some(result) = cancelled(store.delete(&deleted.id), drop_after).await {
            assert!(ok(result, "delete"));
            assert_eq!(ok(store.read(&deleted.id).await, "read"), None);
        }
        assert_complete_or_absent(&store, &deleted, &when).await;
        assert_listed_from(&store, &[kept.clone(), deleted.clone()], &when).await;
        ok(store.delete(&deleted.id).await, "delete");
        assert_holds(&store, std::slice::from_ref(&kept), &format!("{when} and repeated")).await;
    }
}

/// After a dropped `delete_at_or_before` is repeated, all entries up to the cutoff are deleted and the
/// others are unchanged.
pub async fn cancelled_delete_at_or_before_can_be_retried(store: Store) {
    let kept = vec![entry("kept", 1_000), full("kept-too", 1_001)];
    write_each(&store, &kept).await;
    for (n, drop_after) in (0_u32..).zip(drop_points()) {
        let when = format!("after delete_at_or_before dropped after {drop_after:?}");
        let deleted = series(&format!("deleted-{n}"), 20);
        ok(store.append(&deleted).await, "append");
        let result = cancelled(store.delete_at_or_before(at(999)), drop_after).await;
        if let Some(result) = result {
            assert_eq!(ok(result, "delete_at_or_before"), 20);
        }
        assert_listed_from(&store, &[&deleted[..], &kept[..]].concat(), &when).await;
        ok(store.delete_at_or_before(at(999)).await, "delete_at_or_before");
        assert_holds(&store, &kept, &format!("{when} and repeated")).await;
    }
}

/// Reads that are dropped at any point hold no locks.
pub async fn cancelled_reads_hold_no_locks(store: Store) {
    let mut entries = series("read", 40);
    ok(store.append(&entries).await, "append");
    for (n, drop_after) in (100..).zip(drop_points()) {
        let _ = cancelled(store.read(&entries[0].id), drop_after).await;
        let _ = cancelled(store.list_entries(at(0), at(999)), drop_after).await;
        let _ = cancelled(store.count(), drop_after).await;
        let _ = cancelled(store.scan(Query::new()).count(), drop_after).await;
        let _ = cancelled(store.flush(), drop_after).await;
        let mut open = store.scan(Query::new());
        let _ = cancelled(open.next(), drop_after).await;
        drop(open);
        let new = entry(format!("new-{n}"), n);
        write(&store, &new).await;
        entries.push(new);
    }
    assert_holds(&store, &entries, "after dropped reads").await;
}
