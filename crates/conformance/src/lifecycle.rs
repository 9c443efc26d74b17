//! `flush`, `close` and `Debug`.

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
