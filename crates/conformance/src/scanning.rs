//! `scan`: filters, limits, both orders, cursors and long-lived streams.

use std::time::Duration;

use attestry_core::{AuditEntry, Cursor, Order, Phase, Query, Timestamp};
use futures_util::{StreamExt, TryStreamExt};
use serde_json::Value;

use crate::Store;
use crate::check::{
    assert_holds, assert_invalid_query, assert_same, count, ids, list_all, ok, scan, sorted,
    write_each,
};
use crate::model::naive;
use crate::sample::{DAY, at, entry, id, series, varied};

const ORDERS: [Order; 2] = [Order::Ascending, Order::Descending];

/// Asserts that `query` yields the same entries as the naive selection from `written`.
async fn assert_matches_naive(store: &Store, written: &[AuditEntry], query: &Query) {
    assert_same(&scan(store, query).await, &naive(query, written), &format!("scan of {query:?}"));
}

async fn filled(store: &Store) -> Vec<AuditEntry> {
    let entries = varied();
    ok(store.write_batch(&entries).await, "write_batch");
    entries
}

/// A query without filters yields every entry.
pub async fn empty_query_yields_all_entries(store: Store) {
    let written = filled(&store).await;
    assert_same(&scan(&store, &Query::new()).await, &sorted(&written), "scan of everything");
}

/// A scan of an empty store yields no entries.
pub async fn empty_store_yields_nothing(store: Store) {
    for order in ORDERS {
        let cursor = Cursor::from(&entry("deleted", 0));
        for query in [Query::new(), Query::new().after(cursor), Query::new().limit(3)] {
            assert_same(&scan(&store, &query.order(order)).await, &[], "scan of an empty store");
        }
    }
}

/// Each filter alone, with values that match some, all and no entries.
pub async fn each_filter_selects_matching_entries(store: Store) {
    let written = filled(&store).await;
    let all = Query::new;
    let queries = [
        all().since(at(1)),
        all().since(at(DAY + 1)),
        all().until(at(DAY)),
        all().since(Timestamp::MIN).until(Timestamp::MAX),
        all().since(at(9 * DAY)),
        all().until(at(-1)),
        all().provider("openai"),
        all().provider("OpenAI"),
        all().provider(""),
        all().model("gpt-4"),
        all().model("gpt"),
        all().conversation_id("c-1"),
        all().conversation_id("c-"),
        all().safety_passed(true),
        all().safety_passed(false),
        all().detector("pii"),
        all().detector("toxicity"),
        all().detector("pi"),
        all().detector(""),
        all().metadata_equals("account", "u-1"),
        all().metadata_equals("account", 1),
        all().metadata_equals("attempt", 2),
        all().metadata_equals("cached", true),
        all().metadata_equals("trace_id", Value::Null),
        all().metadata_equals("score", 0.5),
        all().metadata_equals("User.Id", "u-1"),
        all().metadata_exists("account"),
        all().metadata_exists("trace_id"),
        all().metadata_exists("nowhere"),
        all().metadata_exists("attempt").metadata_equals("account", "u-2"),
        all().metadata_equals("account", "u-1").metadata_equals("account", "u-2"),
        all().text_contains("viel ist 1"),
        all().text_contains("?\nDanke"),
        all().text_contains("Zoë"),
        all().text_contains("zoë"),
    ];
    for query in queries {
        assert_matches_naive(&store, &written, &query).await;
    }
}

/// An entry must match all filters of a query.
pub async fn filters_combine_with_and(store: Store) {
    let written = filled(&store).await;
    for provider in [None, Some("openai")] {
        for safety in [None, Some(true), Some(false)] {
            for detector in [None, Some("pii")] {
                for range in [None, Some((at(1), at(DAY + 1)))] {
                    for order in ORDERS {
                        let mut query = Query::new().order(order);
                        query.provider = provider.map(Into::into);
                        query.safety_passed = safety;
                        query.detector = detector.map(Into::into);
                        query.since = range.map(|(start, _)| start);
                        query.until = range.map(|(_, end)| end);
                        assert_matches_naive(&store, &written, &query).await;
                        assert_matches_naive(&store, &written, &query.limit(2)).await;
                    }
                }
            }
        }
    }
    let narrow = Query::new().provider("openai").model("gpt-4").conversation_id("c-2");
    assert_matches_naive(&store, &written, &narrow).await;
    for order in ORDERS {
        let query = Query::new().metadata_equals("cached", true).text_contains("Zoë").order(order);
        assert_matches_naive(&store, &written, &query).await;
        assert_matches_naive(&store, &written, &query.clone().provider("openai")).await;
        assert_matches_naive(&store, &written, &query.limit(2)).await;
    }
}

/// Deleted entries are not selected by conditions, and entries written since are.
pub async fn conditions_follow_deletions(store: Store) {
    let mut written = filled(&store).await;
    let queries = [
        Query::new().conversation_id("c-1"),
        Query::new().metadata_equals("account", "u-1"),
        Query::new().metadata_equals("account", "u-1").conversation_id("c-1"),
    ];
    for query in &queries {
        for order in ORDERS {
            let query = query.clone().order(order);
            let Some(deleted) = naive(&query, &written).into_iter().next() else { break };
            let existed = ok(store.delete(&deleted.id).await, "delete");
            assert!(existed, "{} existed", deleted.id);
            written.retain(|entry| entry.id != deleted.id);
            assert_matches_naive(&store, &written, &query).await;
            let new = AuditEntry { id: id(format!("again-{}", deleted.id)), ..deleted };
            ok(store.write(&new).await, "write");
            written.push(new);
            assert_matches_naive(&store, &written, &query).await;
        }
    }
    for query in &queries {
        assert_matches_naive(&store, &written, query).await;
    }
}

/// The limit counts matching entries only. A limit of 0 yields no entries.
pub async fn limit_counts_matching_entries(store: Store) {
    let written = filled(&store).await;
    for order in ORDERS {
        for limit in [0, 1, 2, 23, 24, 25, 1_000, usize::MAX] {
            assert_matches_naive(&store, &written, &Query::new().order(order).limit(limit)).await;
            assert_matches_naive(
                &store,
                &written,
                &Query::new().order(order).limit(limit).detector("pii"),
            )
            .await;
        }
    }
}

/// Descending order is the exact reverse of ascending order, including ties.
pub async fn descending_reverses_ascending(store: Store) {
    filled(&store).await;
    let mut reversed = scan(&store, &Query::new().order(Order::Descending)).await;
    reversed.reverse();
    assert_same(&reversed, &scan(&store, &Query::new()).await, "the reverse of a descending scan");
}

/// An array as metadata value, and an empty text, yield one `InvalidQuery`.
pub async fn invalid_conditions_yield_one_error(store: Store) {
    filled(&store).await;
    let array = Value::Array(Vec::new());
    for query in
        [Query::new().metadata_equals("tags", array), Query::new().text_contains("").limit(0)]
    {
        let mut stream = store.scan(query.clone());
        match stream.next().await {
            Some(result) => assert_invalid_query(result, "scan with an invalid condition"),
            None => panic!("the scan ended without an error: {query:?}"),
        }
        assert!(stream.next().await.is_none(), "the scan must end after that error");
    }
}

/// A range that ends before it starts yields one `InvalidQuery` and ends, whatever the other settings.
pub async fn inverted_range_yields_one_error(store: Store) {
    filled(&store).await;
    let inverted = Query::range(at(1), at(0));
    let cursor = Cursor::from(&entry("anywhere", 0));
    for query in [inverted.clone(), inverted.clone().limit(0), inverted.after(cursor)] {
        for (order, phase) in ORDERS.into_iter().zip([Phase::All, Phase::Latest]) {
            let mut stream = store.scan(query.clone().order(order).phase(phase));
            match stream.next().await {
                Some(result) => assert_invalid_query(result, "scan of an inverted range"),
                None => panic!("the scan of an inverted range ended without an error: {query:?}"),
            }
            assert!(stream.next().await.is_none(), "the scan must end after that error");
        }
    }
}

/// All pages of `query`, each starting after the last entry of the previous one.
async fn pages(store: &Store, query: &Query, size: usize) -> Vec<AuditEntry> {
    let mut joined: Vec<AuditEntry> = Vec::new();
    let max = usize::try_from(count(store).await).unwrap_or(usize::MAX);
    let mut query = query.clone().limit(size);
    loop {
        let page = scan(store, &query).await;
        assert!(page.len() <= size, "a page of {size} has {} entries", page.len());
        let Some(last) = page.last() else { return joined };
        query = query.after(Cursor::from(last));
        joined.extend(page);
        assert!(joined.len() <= max, "pages of {size} repeat entries: {:?}", ids(&joined));
    }
}

/// Pages of any size join to the full result in both orders, also where they split ties.
pub async fn pages_join_to_the_full_result(store: Store) {
    let written = filled(&store).await;
    for order in ORDERS {
        let query = Query::new().order(order);
        let full = naive(&query, &written);
        for size in (1..=10).chain([23, 24, 25]) {
            let what = format!("{order:?}, pages of {size}");
            assert_same(&pages(&store, &query, size).await, &full, &what);
        }
    }
}

/// The same with filters.
pub async fn filtered_pages_join_to_the_full_result(store: Store) {
    let written = filled(&store).await;
    for order in ORDERS {
        for query in [
            Query::new().detector("pii"),
            Query::new().provider("openai").safety_passed(true),
            Query::range(at(1), at(DAY + 1)),
            Query::new().metadata_equals("account", "u-1"),
            Query::new().metadata_exists("attempt").text_contains("Zoë"),
        ] {
            let query = query.order(order);
            let full = naive(&query, &written);
            for size in [1, 2, 3, 5] {
                let what = format!("{query:?}, pages of {size}");
                assert_same(&pages(&store, &query, size).await, &full, &what);
            }
        }
    }
}

/// Cursors before, within and after the range, at matching and at other entries.
pub async fn cursor_and_range_combine(store: Store) {
    let written = filled(&store).await;
    for order in ORDERS {
        for entry in &written {
            let cursor = Cursor::from(entry);
            let range = Query::range(at(1), at(DAY + 1)).order(order).after(cursor.clone());
            assert_matches_naive(&store, &written, &range).await;
            let filtered = Query::new().provider("openai").order(order).after(cursor);
            assert_matches_naive(&store, &written, &filtered).await;
            assert_matches_naive(&store, &written, &filtered.limit(2)).await;
        }
    }
}

/// A query after a deleted entry starts with the first entry of the same timestamp, so it may repeat
/// entries, but skips none.
pub async fn deleted_cursor_resumes_at_its_timestamp(store: Store) {
    let written: Vec<_> = [("a", 1), ("b", 2), ("c", 2), ("d", 2), ("e", 3), ("f", 4)]
        .map(|(name, micros)| entry(name, micros))
        .into_iter()
        .collect();
    write_each(&store, &written).await;
    let cursor = |name: &str, micros| Cursor { timestamp: at(micros), id: id(name) };
    let after = |cursor: Cursor, order| Query::new().order(order).after(cursor);
    assert!(ok(store.delete(&id("c")).await, "delete"));
    assert!(ok(store.delete(&id("e")).await, "delete"));
    for (cursor, order, expected) in [
        (cursor("c", 2), Order::Ascending, &["b", "d", "f"][..]),
        (cursor("c", 2), Order::Descending, &["d", "b", "a"]),
        (cursor("e", 3), Order::Ascending, &["f"]),
        (cursor("e", 3), Order::Descending, &["d", "b", "a"]),
        (cursor("never-written", 2), Order::Ascending, &["b", "d", "f"]),
        (cursor("b", 2), Order::Ascending, &["d", "f"]),
        (cursor("b", 2), Order::Descending, &["a"]),
    ] {
        let query = after(cursor, order);
        assert_eq!(ids(&scan(&store, &query).await), expected, "scan of {query:?}");
    }
}

/// A cursor whose id is stored with another timestamp resumes at the timestamp of the cursor.
pub async fn mismatched_cursor_acts_as_deleted(store: Store) {
    let written = [entry("a", 1), entry("b", 2), entry("c", 2), entry("d", 3)];
    write_each(&store, &written).await;
    for order in ORDERS {
        for (name, micros) in [("d", 2), ("a", 2), ("b", 0), ("b", 9), ("c", 3)] {
            let query =
                Query::new().order(order).after(Cursor { timestamp: at(micros), id: id(name) });
            assert_matches_naive(&store, &written, &query).await;
        }
    }
}

/// A stream may be dropped at any point; the store remains usable.
pub async fn scan_may_be_dropped_early(store: Store) {
    let written = filled(&store).await;
    for taken in [0, 1, 2, 7] {
        for order in ORDERS {
            let query = Query::new().order(order);
            let expected: Vec<_> = naive(&query, &written).into_iter().take(taken).collect();
            let found: Vec<_> =
                ok(store.scan(query).take(taken).try_collect().await, "the beginning of a scan");
            assert_same(&found, &expected, "the beginning of a scan");
            drop(store.scan(Query::new()));
        }
    }
    assert_holds(&store, &sorted(&written), "after dropped scans").await;
    assert!(ok(store.delete(&written[0].id).await, "delete after dropped scans"));
}

/// 2,000 entries, more than a backend is likely to fetch at once, with ties.
pub async fn long_scan_is_complete(store: Store) {
    let mut written = series("long", 2_000);
    for (n, entry) in written.iter_mut().enumerate() {
        // Seven entries per timestamp, and one timestamp with 500.
        let n = i64::try_from(n).unwrap_or_default();
        entry.timestamp = if (700..1_200).contains(&n) { at(100) } else { at(n / 7) };
    }
    for part in written.chunks(500) {
        ok(store.append(part).await, "append");
    }
    assert_eq!(count(&store).await, 2_000);
    assert_same(&list_all(&store).await, &sorted(&written), "list_entries of 2000");
    for order in ORDERS {
        let query = Query::new().order(order);
        assert_matches_naive(&store, &written, &query).await;
        let full = naive(&query, &written);
        let middle = Cursor::from(&full[499]);
        assert_matches_naive(&store, &written, &query.after(middle).limit(1_000)).await;
    }
}

/// Writes and deletes complete while a stream is open. The stream yields each entry that is not
/// deleted exactly once, in order.
pub async fn open_scan_does_not_block_writers(store: Store) {
    let written = series("kept", 600);
    ok(store.append(&written).await, "append");
    for (round, order) in (0..).zip(ORDERS) {
        let query = Query::new().order(order);
        let mut scan = store.scan(query.clone());
        let mut found: Vec<AuditEntry> = Vec::new();
        for step in 0..10 {
            for _ in 0..20 {
                if let Some(next) = scan.next().await {
                    found.push(ok(next, "the next entry of a scan"));
                }
            }
            let change = async {
                let new = entry(format!("new-{round}-{step}"), 30 * step);
                ok(store.write(&new).await, "write during a scan");
                let deleted = entry(format!("deleted-{round}-{step}"), 30 * step + 1);
                ok(store.write(&deleted).await, "write during a scan");
                assert!(ok(store.delete(&deleted.id).await, "delete during a scan"));
            };
            if tokio::time::timeout(Duration::from_secs(60), change).await.is_err() {
                panic!("a write blocks while a scan is open");
            }
        }
        found.extend(ok(scan.try_collect::<Vec<_>>().await, "the rest of a scan"));
        found.retain(|entry| entry.id.as_str().starts_with("kept-"));
        assert_same(&found, &naive(&query, &written), &format!("a scan during writes, {order:?}"));
    }
}
