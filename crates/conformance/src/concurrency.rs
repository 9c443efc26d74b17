//! Concurrent calls from many tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use attestry_core::{AuditEntry, Order, Query, StorageError, Timestamp};
use futures_util::TryStreamExt;
use futures_util::future::join_all;
use tokio::sync::Barrier;
use tokio::task::JoinHandle;

use crate::Store;
use crate::check::{
    assert_already_exists, assert_holds, assert_same, assert_same_entry, assert_stored, count,
    list, list_all, ok, scan, write,
};
use crate::sample::{at, entry, full, id, series};

/// The results of `tasks`. Propagates their panics.
async fn join<T>(tasks: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<T> {
    let mut results = Vec::new();
    for result in join_all(tasks).await {
        match result {
            Ok(value) => results.push(value),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => panic!("a task ended early: {error}"),
            },
        }
    }
    results
}

/// 64 tasks write 20 entries each with `write`, `write_batch` and `append`: each entry is stored
/// exactly once.
pub async fn concurrent_writes_are_stored_once(store: Store) {
    let start = Arc::new(Barrier::new(64));
    let written = join((0..64).map(|task| {
        let (store, start) = (Arc::clone(&store), Arc::clone(&start));
        tokio::spawn(async move {
            let entries: Vec<_> =
                (0..20).map(|n| full(&format!("w{task}-{n}"), (n * 37 + task) % 50)).collect();
            start.wait().await;
            match task % 4 {
                0 => {
                    for batch in entries.chunks(5) {
                        ok(store.write_batch(batch).await, "write_batch");
                    }
                }
                1 => {
                    for batch in entries.chunks(7) {
                        ok(store.append(batch).await, "append");
                    }
                }
                _ => {
                    for entry in &entries {
                        write(&store, entry).await;
                    }
                }
            }
            entries
        })
    }))
    .await
    .concat();

    assert_eq!(count(&store).await, written.len() as u64);
    let written: BTreeMap<_, _> =
        written.into_iter().map(|entry| (entry.id.clone(), entry)).collect();
    for (found, method) in
        [(list_all(&store).await, "list_entries"), (scan(&store, &Query::new()).await, "scan")]
    {
        assert_eq!(found.len(), written.len(), "{method}");
        assert!(
            found.is_sorted_by_key(|entry| entry.timestamp),
            "{method} is not in timestamp order"
        );
        let distinct: BTreeSet<_> = found.iter().map(|entry| &entry.id).collect();
        assert_eq!(distinct.len(), found.len(), "{method} returns an entry twice");
        for entry in &found {
            match written.get(&entry.id) {
                Some(expected) => assert_same_entry(entry, expected, method),
                None => panic!("{method} returns {}, which was never written", entry.id),
            }
        }
    }
    for entry in written.values().step_by(16) {
        assert_stored(&store, entry).await;
    }
}

/// Entries with equal timestamps that one task wrote in sequence keep their order, whatever other
/// tasks write at the same time.
pub async fn each_writer_keeps_its_order(store: Store) {
    join((0..16).map(|task| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for n in 0..8 {
                write(&store, &entry(format!("{task}-{n}"), 5)).await;
            }
            let batch: Vec<_> = (8..12).map(|n| entry(format!("{task}-{n}"), 5)).collect();
            ok(store.write_batch(&batch).await, "write_batch");
        })
    }))
    .await;
    let found = list(&store, at(5), at(5)).await;
    assert_eq!(found.len(), 16 * 12);
    for task in 0..16 {
        let prefix = format!("{task}-");
        let of_task: Vec<_> =
            found.iter().filter(|entry| entry.id.as_str().starts_with(&prefix)).cloned().collect();
        let expected: Vec<_> = (0..12).map(|n| entry(format!("{task}-{n}"), 5)).collect();
        assert_same(&of_task, &expected, "the entries of one writer");
    }
    let mut reversed = scan(&store, &Query::new().order(Order::Descending)).await;
    reversed.reverse();
    assert_same(&reversed, &found, "the reverse of a descending scan");
}

/// Tasks write different entries with the same id: one succeeds, the others get `AlreadyExists`, and
/// the entry of the successful one is stored.
pub async fn one_conflicting_writer_wins(store: Store) {
    for round in 0..12 {
        let start = Arc::new(Barrier::new(16));
        let results = join((0..16).map(|writer| {
            let (store, start) = (Arc::clone(&store), Arc::clone(&start));
            tokio::spawn(async move {
                // Different days in every second round, for stores that check ids within one day only.
                let micros = if round % 2 == 0 { 0 } else { writer * crate::sample::DAY };
                let entry = AuditEntry {
                    input_tokens: Some(writer),
                    ..entry(format!("conflict-{round}"), micros)
                };
                start.wait().await;
                let result = if writer % 4 == 3 {
                    store.write_batch(std::slice::from_ref(&entry)).await
                } else {
                    store.write(&entry).await.map(|_| ())
                };
                (entry, result)
            })
        }))
        .await;
        let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(|(_, r)| r.is_ok());
        let winners: Vec<_> = won.iter().map(|(entry, _)| entry.input_tokens).collect();
        assert_eq!(winners.len(), 1, "the conflicting writes of {winners:?} all returned Ok");
        for (entry, result) in lost {
            assert_already_exists(result, &entry);
        }
        assert_stored(&store, &won[0].0).await;
        assert_eq!(count(&store).await, round + 1, "the id is stored more than once");
    }
    assert_eq!(list_all(&store).await.len(), 12);
}

/// Tasks write different entries of one id with `write_new`: one entry is stored.
pub async fn one_writer_of_a_new_id_wins(store: Store) {
    for round in 0..6 {
        let start = Arc::new(Barrier::new(8));
        let results = join((0..8).map(|writer| {
            let (store, start) = (Arc::clone(&store), Arc::clone(&start));
            tokio::spawn(async move {
                let micros = if round % 2 == 0 { 0 } else { writer * crate::sample::DAY };
                let entry = AuditEntry {
                    input_tokens: Some(writer),
                    ..entry(format!("new-{round}"), micros)
                };
                start.wait().await;
                let stored = store.write_new(std::slice::from_ref(&entry)).await;
                (entry, ok(stored, "write_new"))
            })
        }))
        .await;
        let won: Vec<_> = results.into_iter().filter(|(_, stored)| stored[0]).collect();
        assert_eq!(won.len(), 1, "one of the concurrent calls stores the id");
        assert_stored(&store, &won[0].0).await;
        assert_eq!(count(&store).await, round + 1, "the id is stored more than once");
    }
}

/// Tasks write the same entries: all succeed, and each entry is stored once.
pub async fn equal_writers_all_succeed(store: Store) {
    let entries = series("shared", 10);
    let start = Arc::new(Barrier::new(16));
    join((0..16_usize).map(|writer| {
        let (store, start) = (Arc::clone(&store), Arc::clone(&start));
        let mut entries = entries.clone();
        tokio::spawn(async move {
            start.wait().await;
            entries.rotate_left(writer % 3);
            if writer % 4 == 3 {
                ok(store.write_batch(&entries).await, "write_batch of equal entries");
            } else {
                for entry in &entries {
                    write(&store, entry).await;
                }
            }
        })
    }))
    .await;
    assert_holds(&store, &entries, "after equal writers").await;
}

/// Reads during writes return complete entries, in order, and every entry that was acknowledged before
/// the read started.
pub async fn readers_see_only_complete_entries(store: Store) {
    let written: Arc<Vec<AuditEntry>> = Arc::new(
        (0..120)
            .map(|n| AuditEntry {
                input_content: Some(format!("{n} ").repeat(500)),
                ..full(&format!("grows-{n}"), n / 3)
            })
            .collect(),
    );
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let writer = {
        let (store, written, acknowledged) =
            (Arc::clone(&store), Arc::clone(&written), Arc::clone(&acknowledged));
        tokio::spawn(async move {
            for entry in &*written {
                write(&store, entry).await;
                acknowledged.fetch_add(1, Ordering::SeqCst);
            }
        })
    };
    let readers = (0..4_usize).map(|reader| {
        let (store, written, acknowledged) =
            (Arc::clone(&store), Arc::clone(&written), Arc::clone(&acknowledged));
        tokio::spawn(async move {
            loop {
                let known = acknowledged.load(Ordering::SeqCst);
                match reader {
                    0 | 1 => {
                        let found = if reader == 0 {
                            list_all(&store).await
                        } else {
                            scan(&store, &Query::new()).await
                        };
                        // Timestamps ascend in write order, so the acknowledged entries come first.
                        // Entries written during the read may be returned or not.
                        let acknowledged = &found[..known.min(found.len())];
                        assert_same(
                            acknowledged,
                            &written[..known],
                            "acknowledged entries, read during writes",
                        );
                        let returned = |entry: &&AuditEntry| found[known..].contains(entry);
                        let later: Vec<_> =
                            written[known..].iter().filter(returned).cloned().collect();
                        assert_same(&found[known..], &later, "entries written during the read");
                    }
                    2 => {
                        let counted = count(&store).await;
                        assert!(counted >= known as u64, "{known} acknowledged, {counted} counted");
                    }
                    _ => {
                        let next = known.min(written.len() - 1);
                        match ok(store.read(&written[next].id).await, "read") {
                            Some(found) => {
                                assert_same_entry(&found, &written[next], "read during writes");
                            }
                            None => assert!(
                                next >= known,
                                "{} was acknowledged, but read returns None",
                                written[next].id
                            ),
                        }
                        if known > 0 {
                            assert_stored(&store, &written[known - 1]).await;
                        }
                    }
                }
                if known == written.len() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    join([writer]).await;
    join(readers).await;
}

/// Concurrent deletes and writes affect only their own entries.
pub async fn deletes_and_writes_do_not_interfere(store: Store) {
    let deleted = series("deleted", 60);
    ok(store.append(&deleted).await, "append");
    let deleters = (0..3_usize).map(|part| {
        let (store, mut own) = (Arc::clone(&store), deleted.clone());
        tokio::spawn(async move {
            own.retain(|entry| {
                entry.timestamp.unix_micros() % 3 == i64::try_from(part).unwrap_or(0)
            });
            for entry in own {
                assert!(ok(store.delete(&entry.id).await, "delete"), "{} was not stored", entry.id);
            }
        })
    });
    let writers = (0..3).map(|part| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for n in 0..20 {
                write(&store, &entry(format!("kept-{part}-{n}"), 1_000 * (part + 1) + n)).await;
            }
        })
    });
    let expiry = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for _ in 0..5 {
                let deleted = ok(store.delete_at_or_before(at(-1)).await, "delete_at_or_before");
                assert_eq!(deleted, 0, "no entry is that old");
                tokio::task::yield_now().await;
            }
        })
    };
    join(deleters.chain(writers).chain([expiry]).collect::<Vec<_>>()).await;
    let kept: Vec<_> = (0..3)
        .flat_map(|part| {
            (0..20).map(move |n| entry(format!("kept-{part}-{n}"), 1_000 * (part + 1) + n))
        })
        .collect();
    assert_holds(&store, &kept, "after concurrent deletes and writes").await;
}

/// Tasks delete the same entry: `delete` returns `true` at least once, and the entry is deleted.
pub async fn concurrent_deletes_remove_the_entry(store: Store) {
    let kept = entry("kept", 0);
    write(&store, &kept).await;
    for round in 0..6 {
        let deleted = full(&format!("deleted-{round}"), round);
        write(&store, &deleted).await;
        let results = join((0..8).map(|_| {
            let (store, id) = (Arc::clone(&store), deleted.id.clone());
            tokio::spawn(async move { ok(store.delete(&id).await, "delete") })
        }))
        .await;
        assert!(results.contains(&true), "the entry was stored, but every delete returned false");
        assert_holds(
            &store,
            std::slice::from_ref(&kept),
            "after concurrent deletes of the other entry",
        )
        .await;
    }
}

/// The futures and streams of every method are `Send`.
pub async fn futures_are_send(store: Store) {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let task = tokio::spawn(async move {
        let entry = entry("sent", 0);
        ok::<()>(is_send(store.write_batch(std::slice::from_ref(&entry))).await, "write_batch");
        ok(is_send(store.write(&entry)).await, "write");
        ok(is_send(store.append(&[])).await, "append");
        ok(is_send(store.read(&entry.id)).await, "read");
        ok(is_send(store.list_entries(at(0), at(1))).await, "list_entries");
        let found: Result<Vec<AuditEntry>, StorageError> =
            is_send(store.scan(Query::new())).try_collect().await;
        assert_eq!(ok(found, "scan").len(), 1);
        ok(is_send(store.count()).await, "count");
        ok(is_send(store.delete(&id("unknown"))).await, "delete");
        ok(is_send(store.delete_at_or_before(Timestamp::MIN)).await, "delete_at_or_before");
        ok(is_send(store.flush()).await, "flush");
    });
    join([task]).await;
}
