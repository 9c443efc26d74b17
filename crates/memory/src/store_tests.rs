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
        assert_whole(&store);
    }
    store
}

fn ids(entries: impl IntoIterator<Item = Arc<AuditEntry>>) -> Vec<String> {
    entries.into_iter().map(|entry| entry.id.to_string()).collect()
}

fn all(store: &Store) -> Vec<String> {
    ids(store.range(Timestamp::MIN, Timestamp::MAX))
}

/// The three indexes name the same entries.
fn assert_whole(store: &Store) {
    assert_eq!(store.by_id.len(), store.by_time.len());
    assert_eq!(store.written.len(), store.by_time.len());
    for (key, entry) in &store.by_time {
        assert_eq!(store.by_id[&entry.id], *key);
        assert_eq!(store.written[&key.1], key.0);
        assert_eq!(entry.timestamp, key.0);
    }
}

#[test]
fn orders_by_time_and_ties_by_writing() {
    let store = store(&[("c", 3), ("b2", 2), ("a", 1), ("b1", 2)]);
    assert_eq!(all(&store), ["a", "b2", "b1", "c"]);
    assert_eq!(ids(store.range(at(2), at(2))), ["b2", "b1"]);
    assert!(store.range(at(4), Timestamp::MAX).is_empty());
}

/// The keys are visited through the tree's own range, so a page of two among a hundred thousand
/// is two visits: what comes back is all that was looked at.
#[test]
fn a_page_looks_at_no_more_than_it_holds() {
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
fn removes_by_id_and_up_to_a_moment() {
    let mut store = store(&[("a", 1), ("b", 2), ("c", 2), ("d", 3)]);
    assert_eq!(store.remove(&"b".parse().unwrap()).unwrap().id.as_str(), "b");
    assert!(store.remove(&"b".parse().unwrap()).is_none());
    assert_whole(&store);
    assert!(store.remove_until(at(0)).is_empty());
    assert_eq!(ids(store.remove_until(at(2))), ["a", "c"]);
    assert_whole(&store);
    assert_eq!(all(&store), ["d"]);
    assert_eq!(store.remove_until(Timestamp::MAX).len(), 1);
    assert_whole(&store);
    assert_eq!(store.len(), 0);
}

#[test]
fn evicts_the_first_written_whatever_its_time() {
    let mut store = store(&[("late", 9), ("early", 1), ("middle", 5)]);
    store.evict_down_to(3);
    assert_eq!(store.len(), 3);
    store.evict_down_to(2);
    assert_whole(&store);
    assert_eq!(all(&store), ["early", "middle"]);
    store.evict_down_to(1);
    assert_eq!(all(&store), ["middle"]);
    assert_whole(&store);
}

#[test]
fn equal_again_keeps_its_place_and_different_is_refused() {
    let mut store = store(&[("a", 1), ("b", 1)]);
    store.insert(entry("a", 1)).unwrap();
    assert_eq!(all(&store), ["a", "b"]);
    assert_eq!(store.next_number(), 2);
    let error = store.insert(entry("a", 2)).unwrap_err();
    assert!(matches!(error, StorageError::AlreadyExists { id } if id.as_str() == "a"));
    assert_whole(&store);
    assert_eq!(all(&store), ["a", "b"]);
}

#[test]
fn a_cursor_is_found_by_id_and_moment() {
    let store = store(&[("a", 1), ("b", 2)]);
    let cursor = |id: &str, micros| Cursor { timestamp: at(micros), id: id.parse().unwrap() };
    assert_eq!(store.find(&cursor("b", 2)), Some((at(2), 1)));
    assert_eq!(store.find(&cursor("b", 1)), None);
    assert_eq!(store.find(&cursor("c", 2)), None);
}
