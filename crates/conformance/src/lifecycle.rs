//! Flushing, closing, and what may be printed.

use crate::Store;
use crate::check::{holds, ok, write};
use crate::sample::{entry, full, series};

/// `flush` succeeds, on an empty store and in between, and changes nothing.
pub async fn flush_keeps_everything(store: Store) {
    ok(store.flush().await, "flush of an empty store");
    let entries = series("flushed", 5);
    for entry in &entries {
        write(&store, entry).await;
        ok(store.flush().await, "flush");
    }
    ok(store.flush().await, "flush again");
    holds(&store, &entries, "after flushes").await;
}

/// `close` succeeds after writes, and closing again does nothing.
pub async fn close_may_be_called_twice(store: Store) {
    write(&store, &entry("last", 0)).await;
    for _ in 0..3 {
        ok(store.close().await, "close");
    }
}

/// A backend's `Debug`, which may end in a log, shows no content.
pub async fn debug_shows_no_content(store: Store) {
    let mut secret = full("secret", 0);
    secret.input_content = Some("my card is 4111-1111-1111-1111".into());
    secret.output_content = Some("I noted 4111-1111-1111-1111".into());
    write(&store, &secret).await;
    for shown in [format!("{store:?}"), format!("{store:#?}")] {
        // All of the number: a part of it may stand in an inode's.
        assert!(!shown.contains("4111-1111"), "Debug of the backend shows what an entry holds");
    }
}
