//! `flush`, `close`, `metrics` and `Debug`.

use attestry_core::{AuditEntry, ErrorKind};

use crate::Store;
use crate::check::{assert_holds, ok, write};
use crate::sample::{entry, full, series};

/// `flush` succeeds on an empty store and between writes, and changes nothing.
pub async fn flush_keeps_all_entries(store: Store) {
    ok(store.flush().await, "flush of an empty store");
    let entries = series("flushed", 5);
    for entry in &entries {
        write(&store, entry).await;
        ok(store.flush().await, "flush");
    }
    ok(store.flush().await, "flush again");
    assert_holds(&store, &entries, "after flushes").await;
}

/// `close` succeeds after writes, and calling it again succeeds.
pub async fn close_is_idempotent(store: Store) {
    write(&store, &entry("last", 0)).await;
    for _ in 0..3 {
        ok(store.close().await, "close");
    }
}

/// `Debug` of the backend, which applications may log, shows no content.
pub async fn debug_hides_content(store: Store) {
    let mut secret = full("secret", 0);
    secret.input_content = Some("my card is 4111-1111-1111-1111".into());
    secret.output_content = Some("I noted 4111-1111-1111-1111".into());
    write(&store, &secret).await;
    for shown in [format!("{store:?}"), format!("{store:#?}")] {
        // Eight digits: four could also occur in an inode number.
        assert!(!shown.contains("4111-1111"), "Debug of the backend shows the content of an entry");
    }
}

/// `metrics`, if the backend counts, counts each entry that was stored once, and those of calls that
/// failed; nothing is queued between calls. A backend that counts nothing returns `None`.
pub async fn metrics_count_entries(store: Store) {
    let Some(new) = store.metrics() else { return };
    assert_eq!((new.entries, new.batches, new.refused), (0, 0, 0), "of a new store");
    assert_eq!(new.last_error, None, "of a new store");
    let entries = series("counted", 9);
    write(&store, &entries[0]).await;
    ok(store.write_batch(&entries[..4]).await, "write_batch");
    ok(store.append(&entries[4..7]).await, "append");
    let stored = ok(store.write_new(&entries).await, "write_new");
    assert_eq!(stored.iter().filter(|stored| **stored).count(), 2);
    ok(store.read(&entries[0].id).await, "read");
    let metrics = store.metrics().expect("counted before");
    assert_eq!((metrics.entries, metrics.refused, metrics.queue_depth), (9, 0, 0));
    assert!((4..=9).contains(&metrics.batches), "{} batches", metrics.batches);
    assert_eq!(metrics.last_error, None);

    let other = AuditEntry { latency_ms: 1_234.5, ..entries[0].clone() };
    assert!(store.write(&other).await.is_err(), "an id with two entries");
    let metrics = store.metrics().expect("counted before");
    assert_eq!((metrics.entries, metrics.refused, metrics.queue_depth), (9, 1, 0));
    let error = metrics.last_error.expect("the last error");
    assert_eq!(error.kind, ErrorKind::AlreadyExists);
}
