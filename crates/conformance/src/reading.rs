//! Reading by id, and the agreement of all read methods.

use attestry_core::{EntryId, Query, line};
use futures_util::TryStreamExt;

use crate::Store;
use crate::check::{
    assert_holds, assert_same, assert_same_entry, assert_stored, count, list, list_all, ok, scan,
    sorted, write, write_each,
};
use crate::sample::{at, entry, full, id, varied};

/// An unknown id is `None`, in an empty store and with entries.
pub async fn unknown_ids_read_as_none(store: Store) {
    assert_eq!(ok(store.read(&id("unknown")).await, "read"), None);
    write(&store, &entry("known", 0)).await;
    assert_eq!(ok(store.read(&id("unknown")).await, "read"), None);
}

/// An invalid id is `None`, and reading it touches nothing outside the store.
pub async fn invalid_ids_read_as_none(store: Store) {
    write(&store, &entry("known", 0)).await;
    for text in ["", ".", "..", "../../../etc/passwd", "/etc/passwd", "a\\b", "a\nb", "a\0b"] {
        let found = ok(store.read(&EntryId::new_unchecked(text)).await, "read");
        assert_eq!(found, None, "the id {text:?}");
    }
    let long = EntryId::new_unchecked(&"x".repeat(100_000));
    assert_eq!(ok(store.read(&long).await, "read"), None);
}

/// Prefixes, suffixes, other letter cases, file names and patterns do not match an id.
pub async fn ids_match_exactly(store: Store) {
    write(&store, &entry("Entry-1", 0)).await;
    for text in
        ["entry-1", "ENTRY-1", "Entry-", "Entry-11", "ntry-1", "Entry-1 ", "Entry-1.json", "*", "%"]
    {
        assert_eq!(ok(store.read(&id(text)).await, "read"), None, "the id {text:?}");
        assert!(!ok(store.delete(&id(text)).await, "delete"), "deleting {text:?}");
    }
    assert_stored(&store, &entry("Entry-1", 0)).await;
}

/// `read`, `list_entries`, `scan` and `count` agree.
pub async fn read_list_scan_and_count_agree(store: Store) {
    let entries = varied();
    write_each(&store, &entries).await;
    assert_holds(&store, &sorted(&entries), "of varied entries").await;
}

/// `read_line` returns what `scan_lines` yields, and decodes to what `read` returns.
pub async fn read_line_returns_the_scanned_line(store: Store) {
    let entries = varied();
    write_each(&store, &entries).await;
    for entry in &entries {
        let Some(found) = ok(store.read_line(&entry.id).await, "read_line") else {
            panic!("{} was written, but read_line returns None", entry.id)
        };
        match line::decode(&found) {
            Ok(decoded) => assert_same_entry(&decoded, entry, "read_line"),
            Err(error) => panic!("read_line returns no valid line: {error}"),
        }
        let same_time = Query::range(entry.timestamp, entry.timestamp);
        let lines: Vec<_> = ok(store.scan_lines(same_time).try_collect().await, "scan_lines");
        assert!(lines.contains(&found), "read_line differs from scan_lines for {}", entry.id);
    }
    for text in ["unknown", "../../../etc/passwd", ""] {
        let found = ok(store.read_line(&EntryId::new_unchecked(text)).await, "read_line");
        assert_eq!(found, None, "the id {text:?}");
    }
}

/// An acknowledged entry is returned by the next call of any read method.
pub async fn acknowledged_writes_are_visible_at_once(store: Store) {
    for n in 0..8 {
        let entry = full(&format!("visible-{n}"), n);
        write(&store, &entry).await;
        match n % 4 {
            0 => assert_stored(&store, &entry).await,
            1 => assert_same(&list(&store, at(n), at(n)).await, &[entry], "list_entries"),
            2 => assert_same(&scan(&store, &Query::range(at(n), at(n))).await, &[entry], "scan"),
            _ => assert_eq!(count(&store).await, u64::try_from(n).unwrap_or_default() + 1),
        }
    }
    assert_eq!(list_all(&store).await.len(), 8);
}
