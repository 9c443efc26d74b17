//! What is deleted is gone, and nothing else is.

use attestry_core::{AuditEntry, EntryId, Query, Timestamp};

use crate::Store;
use crate::check::{
    count, holds, ids, list, list_all, ok, refused_as_existing, same, scan, sorted, write,
    write_each,
};
use crate::sample::{DAY, at, entry, full, id, series, varied};

async fn deletes(store: &Store, id: &EntryId) -> bool {
    ok(store.delete(id).await, "delete")
}

async fn deletes_until(store: &Store, cutoff: Timestamp) -> u64 {
    ok(store.delete_at_or_before(cutoff).await, "delete_at_or_before")
}

/// Neither read nor list nor scan nor count knows a deleted entry.
pub async fn a_deleted_entry_is_gone_everywhere(store: Store) {
    let (a, b, c) = (full("a", 0), full("b", 1), full("c", 2));
    write_each(&store, &[a.clone(), b.clone(), c.clone()]).await;
    assert!(deletes(&store, &b.id).await, "deleting a stored entry must give true");
    assert_eq!(ok(store.read(&b.id).await, "read"), None, "a deleted entry was read");
    same(&list(&store, at(1), at(1)).await, &[], "its moment");
    same(&scan(&store, &Query::new().provider("openai")).await, &[a.clone(), c.clone()], "scan");
    holds(&store, &[a, c], "after a deletion").await;
    assert!(!deletes(&store, &b.id).await, "deleting it again must give false");
}

/// Deleting an id that nobody wrote gives false and changes nothing.
pub async fn deleting_an_unknown_id_is_false(store: Store) {
    assert!(!deletes(&store, &id("unknown")).await);
    let stored = entry("known", 0);
    write(&store, &stored).await;
    assert!(!deletes(&store, &id("unknown")).await);
    holds(&store, &[stored], "after deleting an unknown id").await;
}

/// Deleting an id that could never be written gives false, and touches nothing outside the store.
pub async fn deleting_ids_that_cannot_be_written_is_false(store: Store) {
    let stored = entry("known", 0);
    write(&store, &stored).await;
    for text in ["", ".", "..", "../known", "/known", "a\\b", "known\n", "known\0"] {
        assert!(!deletes(&store, &EntryId::new_unchecked(text)).await, "deleting {text:?}");
    }
    holds(&store, &[stored], "after deleting ids that cannot be").await;
}

/// After a deletion the same entry can be written, deleted, written, and so on; it then counts as
/// written last.
pub async fn a_deleted_id_may_be_written_again(store: Store) {
    let (a, b) = (full("a", 5), full("b", 5));
    write_each(&store, &[a.clone(), b.clone()]).await;
    for _ in 0..3 {
        assert!(deletes(&store, &a.id).await);
        holds(&store, std::slice::from_ref(&b), "after deleting the other").await;
        write(&store, &a).await;
        holds(&store, &[b.clone(), a.clone()], "after writing it again").await;
    }
    assert!(deletes(&store, &a.id).await);
    ok(store.write_batch(&[b.clone(), a.clone()]).await, "write_batch");
    holds(&store, &[b, a], "after writing it in a batch").await;
}

/// A deleted id is free for another entry, which is protected in its turn.
pub async fn a_deleted_entry_may_be_written_with_other_content(store: Store) {
    let (first, second) = (full("reused", 0), entry("reused", 3 * DAY));
    write(&store, &first).await;
    assert!(deletes(&store, &first.id).await);
    write(&store, &second).await;
    refused_as_existing(store.write(&first).await, &first);
    same(&list(&store, at(0), at(0)).await, &[], "the moment of the deleted entry");
    holds(&store, &[second], "after the id was used again").await;
}

/// Deleting some of many leaves the others, ties in their order.
pub async fn the_others_stay_when_one_goes(store: Store) {
    let mut left = varied();
    ok(store.write_batch(&left).await, "write_batch");
    for place in [3, 0, 20, 7, 7] {
        let gone = left.remove(place);
        assert!(deletes(&store, &gone.id).await);
        same(&list_all(&store).await, &sorted(&left), &format!("after deleting {}", gone.id));
        assert_eq!(count(&store).await, left.len() as u64);
    }
    holds(&store, &sorted(&left), "after some deletions").await;
}

/// A store from which everything was deleted is as good as new.
pub async fn everything_may_be_deleted(store: Store) {
    let entries = series("gone", 15);
    ok(store.append(&entries).await, "append");
    for entry in entries.iter().rev() {
        assert!(deletes(&store, &entry.id).await);
    }
    holds(&store, &[], "after deleting everything").await;
    write_each(&store, &entries).await;
    holds(&store, &entries, "after writing everything again").await;
}

/// `delete_at_or_before` takes what lies at the cutoff, leaves what lies a microsecond behind it, and
/// returns how many went.
pub async fn delete_until_takes_the_cutoff_too(store: Store) {
    let entries = [
        entry("early", 0),
        entry("tie-1", 100),
        entry("tie-2", 100),
        entry("behind", 101),
        entry("late", 9 * DAY),
    ];
    write_each(&store, &entries).await;
    assert_eq!(deletes_until(&store, at(-1)).await, 0);
    assert_eq!(deletes_until(&store, at(100)).await, 3);
    holds(&store, &entries[3..], "after delete_at_or_before").await;
    assert_eq!(deletes_until(&store, at(100)).await, 0, "nothing is left to delete");
    assert_eq!(ok(store.read(&id("tie-1")).await, "read"), None);
    write(&store, &entries[1]).await;
    holds(&store, &[&entries[1..2], &entries[3..]].concat(), "after writing one again").await;
}

/// `delete_at_or_before` goes by the time of the entries, not by when they were written.
pub async fn delete_until_goes_by_the_entries_time(store: Store) {
    let mut left = varied();
    ok(store.write_batch(&left).await, "write_batch");
    for cutoff in [at(0), at(1), at(DAY), at(DAY + 2)] {
        let (gone, kept): (Vec<AuditEntry>, Vec<_>) =
            left.into_iter().partition(|entry| entry.timestamp <= cutoff);
        left = kept;
        assert_eq!(deletes_until(&store, cutoff).await, gone.len() as u64, "until {cutoff}");
        same(&list_all(&store).await, &sorted(&left), &format!("after deleting until {cutoff}"));
    }
    assert!(!left.is_empty(), "the sample reaches behind the last cutoff");
    holds(&store, &sorted(&left), "after delete_at_or_before").await;
}

/// On an empty store nothing goes.
pub async fn delete_until_on_an_empty_store(store: Store) {
    for cutoff in [Timestamp::MIN, at(0), Timestamp::MAX] {
        assert_eq!(deletes_until(&store, cutoff).await, 0);
    }
}

/// Until the end of time everything goes, and the store is usable.
pub async fn delete_until_everything(store: Store) {
    let mut entries = series("all", 30);
    entries.push(AuditEntry { timestamp: Timestamp::MAX, ..entry("last", 0) });
    entries.push(AuditEntry { timestamp: Timestamp::MIN, ..entry("first", 0) });
    ok(store.append(&entries).await, "append");
    assert_eq!(deletes_until(&store, Timestamp::MIN).await, 1);
    assert_eq!(deletes_until(&store, Timestamp::MAX).await, 31);
    holds(&store, &[], "after deleting everything").await;
    write(&store, &entries[0]).await;
    assert_eq!(ids(&list_all(&store).await), ["all-0"]);
}
