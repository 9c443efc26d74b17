//! Calls with a start entry and an end entry: queries with a [`Phase`].

use attestry_core::{AuditEntry, Cursor, Order, Phase, Query, metadata};
use futures_util::TryStreamExt;

use crate::Store;
use crate::check::{assert_same, ids, ok, scan, sorted};
use crate::model::naive;
use crate::sample::{DAY, at, entry};

const ORDERS: [Order; 2] = [Order::Ascending, Order::Descending];
const PHASES: [Phase; 5] = [Phase::All, Phase::Latest, Phase::Start, Phase::End, Phase::Open];

fn start(name: &str, micros: i64) -> AuditEntry {
    let mut start = entry(name, micros);
    start.metadata.insert(metadata::PHASE.to_owned(), metadata::PHASE_START.into());
    start
}

fn end(name: &str, of: &str, micros: i64) -> AuditEntry {
    let mut end = entry(name, micros);
    end.metadata.insert(metadata::PHASE.to_owned(), metadata::PHASE_END.into());
    end.metadata.insert(metadata::CALL.to_owned(), of.into());
    end
}

/// Calls of several lengths that overlap, over two days, of which some are open, between entries that are
/// whole calls.
async fn filled(store: &Store) -> Vec<AuditEntry> {
    let mut entries = Vec::new();
    for n in 0..12_usize {
        let micros = n as i64 + if n < 6 { 0 } else { DAY };
        entries.push(start(&format!("start-{n}"), micros));
        entries.push(entry(format!("whole-{n}"), micros));
        if n % 5 != 3 {
            let length = [0, 1, 5, DAY][n % 4];
            let mut end = end(&format!("end-{n}"), &format!("start-{n}"), micros + length);
            end.provider = n.is_multiple_of(2).then(|| "openai".to_owned());
            entries.push(end);
        }
    }
    // An end without a start, and one that is before its start and therefore none.
    entries.push(end("end-of-deleted", "deleted", 3));
    entries.push(end("end-before-start", "start-3", 1));
    ok(store.write_batch(&entries).await, "write_batch");
    entries
}

async fn assert_as_naive(store: &Store, written: &[AuditEntry], query: &Query) {
    let expected = naive(query, written);
    assert_same(&scan(store, query).await, &expected, &format!("scan of {query:?}"));
    let lines: Vec<Vec<u8>> = ok(store.scan_lines(query.clone()).try_collect().await, "scan_lines");
    let decoded = lines.iter().map(|line| attestry_core::line::decode(line).expect("a line"));
    assert_same(&decoded.collect::<Vec<_>>(), &expected, &format!("scan_lines of {query:?}"));
}

/// Of a call with both entries, [`Phase::Latest`] selects the end; of an open one, the start.
pub async fn latest_phase_is_one_entry_a_call(store: Store) {
    let written = vec![
        start("running", 0),
        start("ended", 1),
        entry("whole", 2),
        end("end", "ended", 3),
        end("other", "deleted", 4),
    ];
    ok(store.write_batch(&written).await, "write_batch");
    let found = scan(&store, &Query::new().phase(Phase::Latest)).await;
    assert_eq!(ids(&found), ["running", "whole", "end", "other"]);
    let found = scan(&store, &Query::new().phase(Phase::Open)).await;
    assert_eq!(ids(&found), ["running"]);
    let starts = [&written[0], &written[1], &start("missing", 0)].map(Cursor::from);
    assert_eq!(ok(store.have_ended(&starts).await, "have_ended"), [false, true, false]);
    assert_eq!(ok(store.have_ended(&[]).await, "have_ended"), [false; 0]);
}

/// An end outside of the range, or one that other conditions leave out, hides its start all the same.
pub async fn ends_outside_of_the_selection_count(store: Store) {
    let written = filled(&store).await;
    for phase in PHASES {
        for order in ORDERS {
            let query = Query::new().phase(phase).order(order);
            assert_as_naive(&store, &written, &query.clone().provider("openai")).await;
            assert_as_naive(&store, &written, &query.metadata_exists(metadata::CALL)).await;
        }
    }
    // Other phases do not depend on other entries. Each scan of a remote store reads every entry.
    for phase in [Phase::Latest, Phase::Open] {
        for order in ORDERS {
            let query = Query::new().phase(phase).order(order);
            for edge in [1, 5, DAY + 6, DAY + 8] {
                assert_as_naive(&store, &written, &query.clone().until(at(edge))).await;
                assert_as_naive(&store, &written, &query.clone().since(at(edge))).await;
            }
        }
    }
}

/// Pages of any size add up to the whole result.
pub async fn pages_of_calls_add_up(store: Store) {
    let written = filled(&store).await;
    for phase in [Phase::Latest, Phase::Open] {
        for order in ORDERS {
            let all = Query::new().phase(phase).order(order);
            for size in [2, 5] {
                let mut pages = Vec::new();
                let mut query = all.clone().limit(size);
                loop {
                    let page = scan(&store, &query).await;
                    let Some(last) = page.last() else { break };
                    query = query.after(Cursor::from(last));
                    pages.extend(page);
                }
                let expected = naive(&all, &written);
                assert_same(&pages, &expected, &format!("pages of {size} of {all:?}"));
            }
        }
    }
}

/// A call whose end is deleted is open again.
pub async fn deleting_an_end_opens_the_call(store: Store) {
    let mut written = filled(&store).await;
    for name in ["end-0", "end-10", "start-4"] {
        ok(store.delete(&name.parse().expect("an id")).await, "delete");
        written.retain(|entry| entry.id.as_str() != name);
        for phase in PHASES {
            for order in ORDERS {
                let query = Query::new().phase(phase).order(order);
                assert_as_naive(&store, &written, &query).await;
            }
        }
    }
}

/// More calls than a backend may hold at a time, 40 of them running at any time.
pub async fn many_calls_are_selected_exactly(store: Store) {
    let mut written = Vec::new();
    for n in 0..60_i64 {
        written.push(start(&format!("start-{n}"), 10 * n));
        if n % 29 != 5 {
            written.push(end(&format!("end-{n}"), &format!("start-{n}"), 10 * n + 401));
        }
    }
    ok(store.write_batch(&written).await, "write_batch");
    let written = sorted(&written);
    for phase in [Phase::Latest, Phase::Open] {
        for order in ORDERS {
            let query = Query::new().phase(phase).order(order);
            for limit in [20, 100] {
                assert_as_naive(&store, &written, &query.clone().limit(limit)).await;
            }
        }
    }
}
