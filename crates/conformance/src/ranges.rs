//! The entries in a time range, and their order.

use attestry_core::{AuditEntry, Query, Timestamp};
use futures_util::TryStreamExt;

use crate::Store;
use crate::check::{
    assert_holds, assert_invalid_query, assert_same, ids, list, ok, scan, sorted, write, write_each,
};
use crate::sample::{DAY, at, entry, series};

/// Entries are in ascending timestamp order, whatever their write order.
pub async fn order_is_by_timestamp(store: Store) {
    let micros = [5, 1_000_000, 0, 3 * DAY, 4, -DAY, 2, 60_000_000, 1];
    let entries: Vec<_> = micros.iter().map(|m| entry(format!("at{m}"), *m)).collect();
    write_each(&store, &entries).await;
    assert_holds(&store, &sorted(&entries), "written out of order").await;
}

/// Entries with equal timestamps keep their write order, whatever their ids.
pub async fn ties_keep_write_order(store: Store) {
    let ties: Vec<_> =
        ["m", "z", "a", "B", "0", "zz", "b"].map(|name| entry(name, 7)).into_iter().collect();
    write_each(&store, &ties).await;
    assert_holds(&store, &ties, "with equal timestamps").await;
    assert_same(&list(&store, at(7), at(7)).await, &ties, "list_entries at that timestamp");
}

/// The same over batches, appends and single writes, mixed with other timestamps.
pub async fn ties_keep_write_order_across_batches(store: Store) {
    let tie = |name: &str| entry(name, 100);
    let first = [tie("t-9"), entry("late", 900), tie("t-3")];
    let second = [tie("t-7"), entry("early", 1), tie("t-1"), tie("t-8")];
    let third = [tie("t-0"), entry("middle", 101), tie("t-2")];
    ok(store.write_batch(&first).await, "write_batch");
    write(&store, &tie("t-5")).await;
    ok(store.append(&second).await, "append");
    ok(store.write_batch(&third).await, "write_batch");
    write(&store, &tie("t-4")).await;
    let written =
        [&first[..], &[tie("t-5")][..], &second[..], &third[..], &[tie("t-4")][..]].concat();
    assert_holds(&store, &sorted(&written), "with ties across batches").await;
}

/// An entry exactly at either end is in the range.
pub async fn both_ends_are_inclusive(store: Store) {
    let entries = series("end", 6);
    write_each(&store, &entries).await;
    for start in 0..6_i64 {
        for end in start..6 {
            let expected: Vec<_> = entries
                .iter()
                .filter(|entry| at(start) <= entry.timestamp && entry.timestamp <= at(end))
                .cloned()
                .collect();
            let what = format!("from {start} to {end} µs");
            assert_same(&list(&store, at(start), at(end)).await, &expected, &what);
            assert_same(&scan(&store, &Query::range(at(start), at(end))).await, &expected, &what);
        }
    }
}

/// A range that ends or starts one microsecond beside an entry does not contain it.
pub async fn ends_are_exact_to_the_microsecond(store: Store) {
    // A coarser resolution would round these.
    for (name, micros) in [("second", 1_000_000), ("milli", 2_001_000), ("nines", 3_999_999)] {
        let entry = entry(name, micros);
        write(&store, &entry).await;
        let (before, exact, after) = (at(micros - 1), at(micros), at(micros + 1));
        assert_same(
            &list(&store, exact, exact).await,
            std::slice::from_ref(&entry),
            "at its timestamp",
        );
        assert_same(&list(&store, before, after).await, &[entry], "around its timestamp");
        assert_same(&list(&store, before, before).await, &[], "a microsecond before");
        assert_same(&list(&store, after, after).await, &[], "a microsecond after");
    }
}

/// A range before, between or after the entries is empty, and so is any range of an empty store.
pub async fn range_without_entries_is_empty(store: Store) {
    assert_same(&list(&store, at(0), at(9)).await, &[], "in an empty store");
    write_each(&store, &[entry("a", 100), entry("b", 200)]).await;
    for (start, end) in [(0, 99), (101, 199), (201, 300), (-400 * DAY, -300 * DAY)] {
        assert_same(
            &list(&store, at(start), at(end)).await,
            &[],
            &format!("from {start} to {end} µs"),
        );
    }
    assert_same(&list(&store, Timestamp::MIN, at(99)).await, &[], "from Timestamp::MIN");
    assert_same(&list(&store, at(201), Timestamp::MAX).await, &[], "to Timestamp::MAX");
}

/// A range that ends before it starts is rejected, in an empty store and with entries.
pub async fn inverted_range_is_rejected(store: Store) {
    for _ in 0..2 {
        assert_invalid_query(store.list_entries(at(1), at(0)).await, "list_entries");
        assert_invalid_query(
            store.list_entries(Timestamp::MAX, Timestamp::MIN).await,
            "list_entries from MAX to MIN",
        );
        let scanned: Result<Vec<AuditEntry>, _> =
            store.scan(Query::range(at(1), at(0))).try_collect().await;
        assert_invalid_query(scanned, "scan");
        write_each(&store, &[entry("a", 0), entry("b", 1)]).await;
    }
}

/// The earliest and the latest timestamp, and those around 1970 and 2038, are stored and sorted.
pub async fn extreme_timestamps_round_trip(store: Store) {
    let micros = |n| Timestamp::from_unix_micros(n).expect("a timestamp in range");
    let timestamps = [
        ("max", Timestamp::MAX),
        ("min", Timestamp::MIN),
        ("epoch", Timestamp::UNIX_EPOCH),
        ("before-1970", micros(-1)),
        ("1900", micros(-2_208_988_800_000_000)),
        ("after-max-of-32-bits", micros(2_147_483_648_000_001)),
        ("min-and-one", micros(Timestamp::MIN.unix_micros() + 1)),
        ("max-less-one", micros(Timestamp::MAX.unix_micros() - 1)),
    ];
    let entries: Vec<_> = timestamps
        .into_iter()
        .map(|(name, timestamp)| AuditEntry { timestamp, ..entry(name, 0) })
        .collect();
    write_each(&store, &entries).await;
    let sorted = sorted(&entries);
    assert_holds(&store, &sorted, "with extreme timestamps").await;
    for entry in &sorted {
        let found = list(&store, entry.timestamp, entry.timestamp).await;
        assert_same(&found, std::slice::from_ref(entry), &format!("at {}", entry.timestamp));
    }
    let before_1970 = list(&store, Timestamp::MIN, micros(-1)).await;
    assert_eq!(ids(&before_1970), ["min", "min-and-one", "1900", "before-1970"]);
}

/// Ranges that start and end at, before and after midnight.
pub async fn ranges_may_span_days(store: Store) {
    let midnight = at(0).end_of_day().unix_micros() + 1 - at(0).unix_micros();
    let offsets = [-1, 0, 1, DAY - 1, DAY, DAY + 1, 30 * DAY, 366 * DAY];
    let entries: Vec<_> =
        offsets.iter().map(|n| entry(format!("day{n}"), midnight + n)).rev().collect();
    write_each(&store, &entries).await;
    let sorted = sorted(&entries);
    for (start, first) in sorted.iter().enumerate() {
        for (end, last) in sorted.iter().enumerate().skip(start) {
            let found = list(&store, first.timestamp, last.timestamp).await;
            let what = format!("from {} to {}", first.timestamp, last.timestamp);
            assert_same(&found, &sorted[start..=end], &what);
        }
    }
}
