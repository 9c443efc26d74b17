//! Reading by id, and that all ways of reading tell the same.

use attestry_core::{EntryId, Query};

use crate::Store;
use crate::check::{
    count, holds, list, list_all, ok, same, scan, sorted, stored, write, write_each,
};
use crate::sample::{at, entry, full, id, varied};

/// An id that nobody wrote is `None`, among none and among others.
pub async fn unknown_ids_are_none(store: Store) {
    assert_eq!(ok(store.read(&id("unknown")).await, "read"), None);
    write(&store, &entry("known", 0)).await;
    assert_eq!(ok(store.read(&id("unknown")).await, "read"), None);
}

/// Reading an id that could never be written is `None`, and touches nothing outside the store.
pub async fn ids_that_cannot_be_written_are_none(store: Store) {
    write(&store, &entry("known", 0)).await;
    for text in ["", ".", "..", "../../../etc/passwd", "/etc/passwd", "a\\b", "a\nb", "a\0b"] {
        let found = ok(store.read(&EntryId::new_unchecked(text)).await, "read");
        assert_eq!(found, None, "the id {text:?}");
    }
    let long = EntryId::new_unchecked(&"x".repeat(100_000));
    assert_eq!(ok(store.read(&long).await, "read"), None);
}

/// Parts of an id, other letter cases, and ids that mean something in a path or a pattern are
/// other ids.
pub async fn a_similar_id_is_not_taken_for_another(store: Store) {
    write(&store, &entry("Entry-1", 0)).await;
    for text in
        ["entry-1", "ENTRY-1", "Entry-", "Entry-11", "ntry-1", "Entry-1 ", "Entry-1.json", "*", "%"]
    {
        assert_eq!(ok(store.read(&id(text)).await, "read"), None, "the id {text:?}");
        assert!(!ok(store.delete(&id(text)).await, "delete"), "deleting {text:?}");
    }
    stored(&store, &entry("Entry-1", 0)).await;
}

/// Read, list, scan and count tell the same.
pub async fn all_ways_of_reading_agree(store: Store) {
    let entries = varied();
    write_each(&store, &entries).await;
    holds(&store, &sorted(&entries), "of varied entries").await;
}

/// What was acknowledged is seen by the next call, whichever it is.
pub async fn what_is_acknowledged_is_seen_at_once(store: Store) {
    for n in 0..8 {
        let entry = full(&format!("seen-{n}"), n);
        write(&store, &entry).await;
        match n % 4 {
            0 => stored(&store, &entry).await,
            1 => same(&list(&store, at(n), at(n)).await, &[entry], "list_entries"),
            2 => same(&scan(&store, &Query::range(at(n), at(n))).await, &[entry], "scan"),
            _ => assert_eq!(count(&store).await, u64::try_from(n).unwrap_or_default() + 1),
        }
    }
    assert_eq!(list_all(&store).await.len(), 8);
}
