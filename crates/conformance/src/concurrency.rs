//! Many tasks at once.

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
    count, holds, list, list_all, ok, refused_as_existing, same, same_entry, scan, stored, write,
};
use crate::sample::{at, entry, full, id, series};

/// The results of `tasks`; a panic in one is a panic here.
async fn all<T>(tasks: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<T> {
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

/// 64 tasks write 20 entries each, singly, in batches and with `append`: all of them are there
/// exactly once.
pub async fn many_writers_store_everything_once(store: Store) {
    let start = Arc::new(Barrier::new(64));
    let written = all((0..64).map(|task| {
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
    for (found, way) in
        [(list_all(&store).await, "list_entries"), (scan(&store, &Query::new()).await, "scan")]
    {
        assert_eq!(found.len(), written.len(), "{way}");
        assert!(found.is_sorted_by_key(|entry| entry.timestamp), "{way} is out of order");
        let distinct: BTreeSet<_> = found.iter().map(|entry| &entry.id).collect();
        assert_eq!(distinct.len(), found.len(), "{way} shows an entry twice");
        for entry in &found {
            match written.get(&entry.id) {
                Some(expected) => same_entry(entry, expected, way),
                None => panic!("{way} shows {}, which nobody wrote", entry.id),
            }
        }
    }
    for entry in written.values().step_by(16) {
        stored(&store, entry).await;
    }
}

/// Entries of one moment that one task wrote one after the other stay in that order among those of
/// other tasks.
pub async fn each_writer_keeps_its_order(store: Store) {
    all((0..16).map(|task| {
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
        same(&of_task, &expected, "the entries of one writer");
    }
    let mut reversed = scan(&store, &Query::new().order(Order::Descending)).await;
    reversed.reverse();
    same(&reversed, &found, "the reverse of a descending scan");
}

/// Tasks write different entries under one id: one succeeds, the others get `AlreadyExists`, and
/// what is stored is the winner's.
pub async fn of_differing_writers_exactly_one_wins(store: Store) {
    for round in 0..12 {
        let start = Arc::new(Barrier::new(16));
        let results = all((0..16).map(|writer| {
            let (store, start) = (Arc::clone(&store), Arc::clone(&start));
            tokio::spawn(async move {
                // Different moments in every second round, for stores that look at one day only.
                let micros = if round % 2 == 0 { 0 } else { writer * crate::sample::DAY };
                let entry = AuditEntry {
                    input_tokens: Some(writer),
                    ..entry(format!("contested-{round}"), micros)
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
        assert_eq!(
            winners.len(),
            1,
            "writers {winners:?} were all told that their entry is stored"
        );
        for (entry, result) in lost {
            refused_as_existing(result, &entry);
        }
        stored(&store, &won[0].0).await;
        assert_eq!(count(&store).await, round + 1, "the id is stored more than once");
    }
    assert_eq!(list_all(&store).await.len(), 12);
}

/// Tasks write the same entry: all succeed, and it is stored once.
pub async fn equal_writers_all_succeed(store: Store) {
    let entries = series("shared", 10);
    let start = Arc::new(Barrier::new(16));
    all((0..16_usize).map(|writer| {
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
    holds(&store, &entries, "after equal writers").await;
}

/// Readers see each entry whole or not at all, see all that was acknowledged before they asked,
/// and never in the wrong order.
pub async fn readers_see_whole_entries_only(store: Store) {
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
                        // The times ascend as they are written, so what was acknowledged is the
                        // beginning. Of what was written meanwhile each may be there or not.
                        let acknowledged = &found[..known.min(found.len())];
                        same(acknowledged, &written[..known], "a reader during writes");
                        let later = |entry: &&AuditEntry| found[known..].contains(entry);
                        let later: Vec<_> =
                            written[known..].iter().filter(later).cloned().collect();
                        same(&found[known..], &later, "what was written during a reader");
                    }
                    2 => {
                        let counted = count(&store).await;
                        assert!(counted >= known as u64, "{known} acknowledged, {counted} counted");
                    }
                    _ => {
                        let place = known.min(written.len() - 1);
                        match ok(store.read(&written[place].id).await, "read") {
                            Some(found) => {
                                same_entry(&found, &written[place], "read during writes");
                            }
                            None => assert!(
                                place >= known,
                                "{} was acknowledged and is absent",
                                written[place].id
                            ),
                        }
                        if known > 0 {
                            stored(&store, &written[known - 1]).await;
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
    all([writer]).await;
    all(readers).await;
}

/// Deletions and writes at once: what is left is what was not deleted.
pub async fn deleters_and_writers_do_not_disturb_each_other(store: Store) {
    let doomed = series("doomed", 60);
    ok(store.append(&doomed).await, "append");
    let deleters = (0..3_usize).map(|part| {
        let (store, mut mine) = (Arc::clone(&store), doomed.clone());
        tokio::spawn(async move {
            mine.retain(|entry| {
                entry.timestamp.unix_micros() % 3 == i64::try_from(part).unwrap_or(0)
            });
            for entry in mine {
                assert!(ok(store.delete(&entry.id).await, "delete"), "{} was not there", entry.id);
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
    let expirer = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for _ in 0..5 {
                let gone = ok(store.delete_at_or_before(at(-1)).await, "delete_at_or_before");
                assert_eq!(gone, 0, "nothing is that old");
                tokio::task::yield_now().await;
            }
        })
    };
    all(deleters.chain(writers).chain([expirer]).collect::<Vec<_>>()).await;
    let kept: Vec<_> = (0..3)
        .flat_map(|part| {
            (0..20).map(move |n| entry(format!("kept-{part}-{n}"), 1_000 * (part + 1) + n))
        })
        .collect();
    holds(&store, &kept, "after deleting and writing at once").await;
}

/// Tasks delete one entry: at least one is told that it was there, and it is gone.
pub async fn one_entry_deleted_by_many_is_gone(store: Store) {
    let stays = entry("stays", 0);
    write(&store, &stays).await;
    for round in 0..6 {
        let doomed = full(&format!("doomed-{round}"), round);
        write(&store, &doomed).await;
        let told = all((0..8).map(|_| {
            let (store, id) = (Arc::clone(&store), doomed.id.clone());
            tokio::spawn(async move { ok(store.delete(&id).await, "delete") })
        }))
        .await;
        assert!(told.contains(&true), "it was there, and nobody was told so");
        holds(&store, std::slice::from_ref(&stays), "after many deleted the other").await;
    }
}

/// Every method can be called from a spawned task: its future is `Send`.
pub async fn calls_run_on_any_task(store: Store) {
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
    all([task]).await;
}
