//! Futures that are dropped before they are done: by a timeout, a `select!`, an aborted task.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use attestry_core::{AuditEntry, Query};
use futures_util::StreamExt;

use crate::Store;
use crate::check::{count, holds, list_all, ok, same_entry, sorted, stored, write, write_each};
use crate::sample::{at, entry, full, series};

/// When to drop a future.
#[derive(Debug, Clone, Copy)]
enum Patience {
    /// Polled so many times, whether it was woken or not, with a turn for other tasks in between.
    Polls(usize),
    /// As long as this.
    Millis(u64),
}

/// Short enough to interrupt, long enough to get somewhere.
fn patiences() -> impl Iterator<Item = Patience> {
    let polls = [0, 1, 2, 3, 4, 6, 10, 20].map(Patience::Polls);
    let millis = [0, 1, 2, 4].map(Patience::Millis);
    polls.into_iter().chain(millis)
}

/// What `future` gives within that patience, or `None` when it was dropped.
async fn cancelled<T>(future: impl Future<Output = T>, patience: Patience) -> Option<T> {
    match patience {
        Patience::Millis(millis) => {
            tokio::time::timeout(Duration::from_millis(millis), future).await.ok()
        }
        Patience::Polls(polls) => {
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

/// The entry is there as written, or not at all.
async fn whole_or_absent(store: &Store, entry: &AuditEntry, when: &str) {
    if let Some(found) = ok(store.read(&entry.id).await, "read") {
        same_entry(&found, entry, when);
    }
}

/// Everything in the list is one of `entries`, whole, and no id is listed twice.
async fn list_is_whole(store: &Store, entries: &[AuditEntry], when: &str) {
    let found = list_all(store).await;
    for (place, one) in found.iter().enumerate() {
        match entries.iter().find(|entry| entry.id == one.id) {
            Some(expected) => same_entry(one, expected, when),
            None => panic!("{when}: {} is listed, which nobody wrote", one.id),
        }
        assert!(
            found[..place].iter().all(|other| other.id != one.id),
            "{when}: {} is listed twice",
            one.id
        );
    }
}

/// A write that is dropped leaves its entry whole or absent; writing it again succeeds, and then
/// it is there once.
pub async fn a_cancelled_write_leaves_it_whole_or_absent(store: Store) {
    let mut written = Vec::new();
    for (n, patience) in (0..).zip(patiences()) {
        let when = format!("after a write dropped at {patience:?}");
        let entry = AuditEntry {
            input_content: Some("content ".repeat(2_000)),
            ..full(&format!("cut-{n}"), n)
        };
        written.push(entry.clone());
        if let Some(result) = cancelled(store.write(&entry), patience).await {
            ok(result, "write");
            assert!(ok(store.read(&entry.id).await, "read").is_some(), "acknowledged, and absent");
        }
        whole_or_absent(&store, &entry, &when).await;
        list_is_whole(&store, &written, &when).await;
        write(&store, &entry).await;
        write(&store, &entry).await;
        assert_eq!(count(&store).await, written.len() as u64, "{when} and written again");
    }
    holds(&store, &written, "after dropped and repeated writes").await;
}

/// A batch or an append that is dropped leaves each entry whole or absent; `write_batch` with all
/// of them completes it.
pub async fn a_cancelled_batch_leaves_each_whole_or_absent(store: Store) {
    let mut written = Vec::new();
    for (n, patience) in (0..).zip(patiences()) {
        let when = format!("after a batch dropped at {patience:?}");
        let batch: Vec<_> = (0..25).map(|m| full(&format!("cut-{n}-{m}"), 100 * n + m)).collect();
        written.extend(batch.iter().cloned());
        let result = if n % 2 == 0 {
            cancelled(store.write_batch(&batch), patience).await
        } else {
            cancelled(store.append(&batch), patience).await
        };
        if let Some(result) = result {
            ok(result, "write_batch");
        }
        list_is_whole(&store, &written, &when).await;
        ok(store.write_batch(&batch).await, "write_batch of the same entries");
        assert_eq!(count(&store).await, written.len() as u64, "{when} and repeated");
    }
    holds(&store, &written, "after dropped and repeated batches").await;
}

/// Tasks that are aborted in the midst of a write harm nobody else's.
pub async fn a_cancelled_write_does_not_harm_its_neighbours(store: Store) {
    let mut possible = Vec::new();
    let mut kept = Vec::new();
    for round in 0..10_u64 {
        let micros = |n: i64| 1_000 * i64::try_from(round).unwrap_or_default() + n;
        let doomed: Vec<_> =
            (0..6).map(|n| full(&format!("aborted-{round}-{n}"), micros(n))).collect();
        let safe: Vec<_> = (6..12).map(|n| full(&format!("kept-{round}-{n}"), micros(n))).collect();
        let spawn = |entry: &AuditEntry| {
            let (store, entry) = (Arc::clone(&store), entry.clone());
            tokio::spawn(async move { ok(store.write(&entry).await, "write beside aborted ones") })
        };
        let aborted: Vec<_> = doomed.iter().map(spawn).collect();
        let waited: Vec<_> = safe.iter().map(spawn).collect();
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        for task in &aborted {
            task.abort();
        }
        for task in waited {
            if let Err(error) = task.await {
                panic!("a write beside aborted ones failed: {error}");
            }
        }
        kept.extend(safe.iter().cloned());
        possible.extend(doomed);
        possible.extend(safe);
    }
    let when = "after aborted writes";
    for entry in &kept {
        stored(&store, entry).await;
    }
    list_is_whole(&store, &possible, when).await;
    ok(store.write_batch(&possible).await, "write_batch of everything");
    holds(&store, &sorted(&possible), when).await;
}

/// A deletion that is dropped leaves the entry there or gone; deleting again makes it gone.
pub async fn a_cancelled_delete_leaves_it_there_or_gone(store: Store) {
    let stays = entry("stays", -1);
    write(&store, &stays).await;
    for (n, patience) in (0..).zip(patiences()) {
        let when = format!("after a deletion dropped at {patience:?}");
        let doomed = full(&format!("doomed-{n}"), n);
        write(&store, &doomed).await;
        if let Some(result) = cancelled(store.delete(&doomed.id), patience).await {
            assert!(ok(result, "delete"));
            assert_eq!(ok(store.read(&doomed.id).await, "read"), None);
        }
        whole_or_absent(&store, &doomed, &when).await;
        list_is_whole(&store, &[stays.clone(), doomed.clone()], &when).await;
        ok(store.delete(&doomed.id).await, "delete");
        holds(&store, std::slice::from_ref(&stays), &format!("{when} and repeated")).await;
    }
}

/// `delete_at_or_before` dropped and repeated: what it was to delete is gone, the rest is untouched.
pub async fn a_cancelled_delete_until_can_be_repeated(store: Store) {
    let stays = vec![entry("stays", 1_000), full("stays-too", 1_001)];
    write_each(&store, &stays).await;
    for (n, patience) in (0_u32..).zip(patiences()) {
        let when = format!("after delete_at_or_before dropped at {patience:?}");
        let doomed = series(&format!("doomed-{n}"), 20);
        ok(store.append(&doomed).await, "append");
        let result = cancelled(store.delete_at_or_before(at(999)), patience).await;
        if let Some(result) = result {
            assert_eq!(ok(result, "delete_at_or_before"), 20);
        }
        list_is_whole(&store, &[&doomed[..], &stays[..]].concat(), &when).await;
        ok(store.delete_at_or_before(at(999)).await, "delete_at_or_before");
        holds(&store, &stays, &format!("{when} and repeated")).await;
    }
}

/// Readers that are dropped at any point keep nothing locked.
pub async fn cancelled_readers_leave_no_trace(store: Store) {
    let mut entries = series("read", 40);
    ok(store.append(&entries).await, "append");
    for (n, patience) in (100..).zip(patiences()) {
        let _ = cancelled(store.read(&entries[0].id), patience).await;
        let _ = cancelled(store.list_entries(at(0), at(999)), patience).await;
        let _ = cancelled(store.count(), patience).await;
        let _ = cancelled(store.scan(Query::new()).count(), patience).await;
        let _ = cancelled(store.flush(), patience).await;
        let mut open = store.scan(Query::new());
        let _ = cancelled(open.next(), patience).await;
        drop(open);
        let new = entry(format!("new-{n}"), n);
        write(&store, &new).await;
        entries.push(new);
    }
    holds(&store, &entries, "after dropped readers").await;
}
