//! Deletion removes the given entries and no others.

use attestry_core::{AuditEntry, EntryId, Query, Timestamp};

use crate::Store;
use crate::check::{
    assert_already_exists, assert_holds, assert_same, count, ids, list, list_all, ok, scan, sorted,
    write, write_each,
};
use crate::sample::{DAY, at, entry, full, id, series, varied};

async fn delete(store: &Store, id: &EntryId) -> bool {
    ok(store.delete(id).await, "delete")
}

async fn delete_at_or_before(store: &Store, cutoff: Timestamp) -> u64 {
    ok(store.delete_at_or_before(cutoff).await, "delete_at_or_before")
}

/// `read`, `list_entries`, `scan` and `count` do not return a deleted entry.
pub async fn deleted_entry_is_not_returned(store: Store) {
    let (a, b, c) = (full("a", 0), full("b", 1), full("c", 2));
    write_each(&store, &[a.clone(), b.clone(), c.clone()]).await;
    assert!(delete(&store, &b.id).await, "deleting a stored entry must return true");
    assert_eq!(ok(store.read(&b.id).await, "read"), None, "read returns a deleted entry");
    assert_same(&list(&store, at(1), at(1)).await, &[], "list_entries at its timestamp");
    assert_same(
        &scan(&store, &Query::new().provider("openai")).await,
        &[a.clone(), c.clone()],
        "scan",
    );
    assert_holds(&store, &[a, c], "after a delete").await;
    assert!(!delete(&store, &b.id).await, "deleting it again must return false");
}

/// Deleting an unknown id returns `false` and changes nothing.
pub async fn deleting_unknown_id_returns_false(store: Store) {
    assert!(!delete(&store, &id("unknown")).await);
    let stored = entry("known", 0);
    write(&store, &stored).await;
    assert!(!delete(&store, &id("unknown")).await);
    assert_holds(&store, &[stored], "after deleting an unknown id").await;
}

/// Deleting an invalid id returns `false`, and touches nothing outside the store.
pub async fn deleting_invalid_id_returns_false(store: Store) {
    let stored = entry("known", 0);
    write(&store, &stored).await;
    for text in ["", ".", "..", "../known", "/known", "a\\b", "known\n", "known\0"] {
        assert!(!delete(&store, &EntryId::new_unchecked(text)).await, "deleting {text:?}");
    }
    assert_holds(&store, &[stored], "after deleting invalid ids").await;
}

/// `delete_batch` deletes the given entries and no others, and returns for each id whether it existed. An
/// id that is given twice exists once.
pub async fn delete_batch_matches_single_deletes(store: Store) {
    let written = varied();
    write_each(&store, &written).await;
    let mut ids: Vec<_> = written.iter().step_by(3).map(|entry| entry.id.clone()).collect();
    ids.insert(2, id("unknown"));
    ids.push(ids[0].clone());
    let mut expected = vec![true; ids.len()];
    (expected[2], expected[ids.len() - 1]) = (false, false);
    assert_eq!(ok(store.delete_batch(&ids).await, "delete_batch"), expected);
    let kept: Vec<_> = written.iter().filter(|entry| !ids.contains(&entry.id)).cloned().collect();
    assert_holds(&store, &sorted(&kept), "after delete_batch").await;
    assert!(ok(store.delete_batch(&[]).await, "delete_batch of nothing").is_empty());
    let again = ok(store.delete_batch(&ids).await, "delete_batch again");
    assert_eq!(again, vec![false; ids.len()]);
}

/// A deleted entry can be written and deleted any number of times. It comes last among entries of the
/// same timestamp.
pub async fn deleted_entry_may_be_written_again(store: Store) {
    let (a, b) = (full("a", 5), full("b", 5));
    write_each(&store, &[a.clone(), b.clone()]).await;
    for _ in 0..3 {
        assert!(delete(&store, &a.id).await);
        assert_holds(&store, std::slice::from_ref(&b), "after deleting the other").await;
        write(&store, &a).await;
        assert_holds(&store, &[b.clone(), a.clone()], "after writing it again").await;
    }
    assert!(delete(&store, &a.id).await);
    ok(store.write_batch(&[b.clone(), a.clone()]).await, "write_batch");
    assert_holds(&store, &[b, a], "after writing it in a batch").await;
}

/// A deleted id can be reused by a different entry, which is immutable in turn.
pub async fn deleted_id_may_be_reused(store: Store) {
    let (first, second) = (full("reused", 0), entry("reused", 3 * DAY));
    write(&store, &first).await;
    assert!(delete(&store, &first.id).await);
    write(&store, &second).await;
    assert_already_exists(store.write(&first).await, &first);
    assert_same(
        &list(&store, at(0), at(0)).await,
        &[],
        "list_entries at the timestamp of the deleted entry",
    );
    assert_holds(&store, &[second], "after the id was reused").await;
}

/// Deleting some of many entries keeps the others, with ties in their order.
pub async fn delete_keeps_other_entries(store: Store) {
    let mut kept = varied();
    ok(store.write_batch(&kept).await, "write_batch");
    for position in [3, 0, 20, 7, 7] {
        let deleted = kept.remove(position);
        assert!(delete(&store, &deleted.id).await);
        assert_same(
            &list_all(&store).await,
            &sorted(&kept),
            &format!("after deleting {}", deleted.id),
        );
        assert_eq!(count(&store).await, kept.len() as u64);
    }
    assert_holds(&store, &sorted(&kept), "after some deletes").await;
}

/// After every entry is deleted, the store is usable.
pub async fn store_is_usable_after_deleting_all(store: Store) {
    let entries = series("deleted", 15);
    ok(store.append(&entries).await, "append");
    for entry in entries.iter().rev() {
        assert!(delete(&store, &entry.id).await);
    }
    assert_holds(&store, &[], "after deleting everything").await;
    write_each(&store, &entries).await;
    assert_holds(&store, &entries, "after writing everything again").await;
}

/// `delete_at_or_before` deletes entries at the cutoff, keeps those one microsecond later, and returns
/// the number of deleted entries.
pub async fn cutoff_is_inclusive(store: Store) {
    let entries = [
        entry("early", 0),
        entry("tie-1", 100),
        entry("tie-2", 100),
        entry("after", 101),
        entry("late", 9 * DAY),
    ];
    write_each(&store, &entries).await;
    assert_eq!(delete_at_or_before(&store, at(-1)).await, 0);
    assert_eq!(delete_at_or_before(&store, at(100)).await, 3);
    assert_holds(&store, &entries[3..], "after delete_at_or_before").await;
    assert_eq!(delete_at_or_before(&store, at(100)).await, 0, "the entries were deleted before");
    assert_eq!(ok(store.read(&id("tie-1")).await, "read"), None);
    write(&store, &entries[1]).await;
    assert_holds(
        &store,
        &[&entries[1..2], &entries[3..]].concat(),
        "after writing one entry again",
    )
    .await;
}

/// `delete_at_or_before` compares the timestamp of the entries, not the time of their write.
pub async fn cutoff_compares_entry_timestamps(store: Store) {
    let mut kept = varied();
    ok(store.write_batch(&kept).await, "write_batch");
    for cutoff in [at(0), at(1), at(DAY), at(DAY + 2)] {
        let (deleted, rest): (Vec<AuditEntry>, Vec<_>) =
            kept.into_iter().partition(|entry| entry.timestamp <= cutoff);
        kept = rest;
        let count = delete_at_or_before(&store, cutoff).await;
        assert_eq!(count, deleted.len() as u64, "delete_at_or_before {cutoff}");
        let what = format!("after delete_at_or_before {cutoff}");
        assert_same(&list_all(&store).await, &sorted(&kept), &what);
    }
    assert!(!kept.is_empty(), "the sample has entries after the last cutoff");
    assert_holds(&store, &sorted(&kept), "after delete_at_or_before").await;
}

/// `delete_at_or_before` on an empty store returns 0.
pub async fn cutoff_on_empty_store_deletes_nothing(store: Store) {
    for cutoff in [Timestamp::MIN, at(0), Timestamp::MAX] {
        assert_eq!(delete_at_or_before(&store, cutoff).await, 0);
    }
}

/// With [`Timestamp::MAX`] every entry is deleted, and the store is usable.
pub async fn maximum_cutoff_deletes_everything(store: Store) {
    let mut entries = series("all", 30);
    entries.push(AuditEntry { timestamp: Timestamp::MAX, ..entry("last", 0) });
    entries.push(AuditEntry { timestamp: Timestamp::MIN, ..entry("first", 0) });
    ok(store.append(&entries).await, "append");
    assert_eq!(delete_at_or_before(&store, Timestamp::MIN).await, 1);
    assert_eq!(delete_at_or_before(&store, Timestamp::MAX).await, 31);
    assert_holds(&store, &[], "after deleting everything").await;
    write(&store, &entries[0]).await;
    assert_eq!(ids(&list_all(&store).await), ["all-0"]);
}
