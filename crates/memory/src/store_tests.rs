use super::*;

fn at(micros: i64) -> Timestamp {
    Timestamp::from_unix_micros(micros).unwrap()
}

fn entry(id: &str, micros: i64) -> Arc<AuditEntry> {
    Arc::new(AuditEntry::new(id.parse().unwrap(), at(micros), "i".into(), "o".into()))
}

fn store(rows: &[(&str, i64)]) -> Store {
    let mut store = Store::default();
    for (id, micros) in rows {
        store.insert(entry(id, *micros)).unwrap();
        assert_consistent(&store);
    }
    store
}

fn ids(entries: impl IntoIterator<Item = Arc<AuditEntry>>) -> Vec<String> {
    entries.into_iter().map(|entry| entry.id.to_string()).collect()
}

fn all(store: &Store) -> Vec<String> {
    ids(store.range(Timestamp::MIN, Timestamp::MAX))
}

/// The three indexes contain the same entries.
fn assert_consistent(store: &Store) {
    assert_eq!(store.by_id.len(), store.by_time.len());
    assert_eq!(store.by_sequence.len(), store.by_time.len());
    for (key, entry) in &store.by_time {
        assert_eq!(store.by_id[&entry.id], *key);
        assert_eq!(store.by_sequence[&key.1], key.0);
        assert_eq!(entry.timestamp, key.0);
    }
}

#[test]
fn entries_are_ordered_by_time_then_sequence() {
    let store = store(&[("c", 3), ("b2", 2), ("a", 1), ("b1", 2)]);
    assert_eq!(all(&store), ["a", "b2", "b1", "c"]);
    assert_eq!(ids(store.range(at(2), at(2))), ["b2", "b1"]);
    assert!(store.range(at(4), Timestamp::MAX).is_empty());
}

/// Pages are read through the tree's range, so only the returned entries are visited.
#[test]
fn page_visits_only_the_entries_it_returns() {
    let mut store = Store::default();
    for n in 0..100_000 {
        store.insert(entry(&format!("e{n}"), n)).unwrap();
    }
    let held = || store.by_time.values().filter(|entry| Arc::strong_count(entry) > 1).count();

    let bounds = (Bound::Included((at(5_000), 0)), Bound::Included((at(90_000), u64::MAX)));
    let page = store.page(bounds, Order::Ascending, 2);
    assert_eq!(held(), 2);
    assert_eq!(ids(page.into_iter().map(|(_, entry)| entry)), ["e5000", "e5001"]);

    let page = store.page(bounds, Order::Descending, 2);
    assert_eq!(held(), 2);
    assert_eq!(ids(page.into_iter().map(|(_, entry)| entry)), ["e90000", "e89999"]);

    let few = store.range(at(70_000), at(70_002));
    assert_eq!(held(), 3);
    assert_eq!(ids(few), ["e70000", "e70001", "e70002"]);
}

#[test]
fn removal_by_id_and_by_cutoff_is_consistent() {
    let mut store = store(&[("a", 1), ("b", 2), ("c", 2), ("d", 3)]);
    assert_eq!(store.remove(&"b".parse().unwrap()).unwrap().id.as_str(), "b");
    assert!(store.remove(&"b".parse().unwrap()).is_none());
    assert_consistent(&store);
    assert!(store.remove_at_or_before(at(0)).is_empty());
    assert_eq!(ids(store.remove_at_or_before(at(2))), ["a", "c"]);
    assert_consistent(&store);
    assert_eq!(all(&store), ["d"]);
    assert_eq!(store.remove_at_or_before(Timestamp::MAX).len(), 1);
    assert_consistent(&store);
    assert_eq!(store.len(), 0);
}

#[test]
fn eviction_follows_the_order_of_writing() {
    let mut store = store(&[("late", 9), ("early", 1), ("middle", 5)]);
    store.evict_to(3);
    assert_eq!(store.len(), 3);
    store.evict_to(2);
    assert_consistent(&store);
    assert_eq!(all(&store), ["early", "middle"]);
    store.evict_to(1);
    assert_eq!(all(&store), ["middle"]);
    assert_consistent(&store);
}

#[test]
fn equal_rewrite_keeps_its_key_and_different_is_rejected() {
    let mut store = store(&[("a", 1), ("b", 1)]);
    store.insert(entry("a", 1)).unwrap();
    assert_eq!(all(&store), ["a", "b"]);
    assert_eq!(store.next_sequence(), 2);
    let error = store.insert(entry("a", 2)).unwrap_err();
    assert!(matches!(error, StorageError::AlreadyExists { id, .. } if id.as_str() == "a"));
    assert_consistent(&store);
    assert_eq!(all(&store), ["a", "b"]);
}

#[test]
fn cursor_is_found_by_id_and_timestamp() {
    let store = store(&[("a", 1), ("b", 2)]);
    let cursor = |id: &str, micros| Cursor { timestamp: at(micros), id: id.parse().unwrap() };
    assert_eq!(store.find(&cursor("b", 2)), Some((at(2), 1)));
    assert_eq!(store.find(&cursor("b", 1)), None);
    assert_eq!(store.find(&cursor("c", 2)), None);
}
