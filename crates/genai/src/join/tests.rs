use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{Format, decode};

fn record(span: u8, id: u8, minute: u8, text: u8) -> CallRecord {
    let attribute = |key: &str, value: String| json!({"key": key, "value": {"stringValue": value}});
    let mut attributes = vec![
        attribute("gen_ai.system", format!("p{}", id % 2)),
        attribute("gen_ai.request.model", format!("m{text}")),
        attribute("gen_ai.prompt.0.content", format!("question {text}")),
        attribute("label", format!("{}", text % 3)),
    ];
    if id < 4 {
        attributes.push(attribute("gen_ai.response.id", format!("r{id}")));
    }
    let nanos = 1_769_591_700_000_000_000_u64 + u64::from(minute) * 1_000_000_000;
    let batch = json!({"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
        "spanId": format!("00f067aa0ba902{span:02x}"), "startTimeUnixNano": nanos.to_string(),
        "endTimeUnixNano": (nanos + 1000).to_string(), "attributes": attributes}]}]}]});
    decode(Format::Otlp, batch.to_string().as_bytes()).unwrap().records.remove(0)
}

fn joined(records: &[CallRecord]) -> Vec<String> {
    let mut joiner = Joiner::new(usize::MAX);
    records.iter().for_each(|record| assert!(joiner.push(record.clone()).is_empty()));
    let mut shown: Vec<String> = joiner
        .finish()
        .into_iter()
        .map(|mut call| {
            // Maps keep the order in which keys came, which says nothing.
            call.metadata.sort_keys();
            format!("{:?} {:?} {:?} {:?}", call.id(), call.spans, call.metadata, call.model)
        })
        .collect();
    shown.sort();
    shown
}

proptest! {
    /// Within one window, neither the order nor repetitions matter.
    #[test]
    fn order_and_repetitions_do_not_matter(
        parts in prop::collection::vec((0_u8..6, 0_u8..6, 0_u8..60, 0_u8..5), 1..12),
        order in any::<prop::sample::Index>(),
    ) {
        let records: Vec<_> = parts.iter().map(|(span, id, minute, text)| record(*span, *id, *minute, *text)).collect();
        let expected = joined(&records);
        let mut other = records.clone();
        other.reverse();
        other.rotate_left(order.index(records.len()));
        other.extend(records.iter().take(3).cloned());
        prop_assert_eq!(joined(&other), expected);
    }

    #[test]
    fn merging_is_commutative_associative_and_idempotent(
        parts in prop::collection::vec((0_u8..6, 0_u8..6, 0_u8..60, 0_u8..5), 3),
    ) {
        let [a, b, c] = [0, 1, 2].map(|n: usize| {
            let (span, id, minute, text) = parts[n];
            record(span, id, minute, text)
        });
        let merge = |a: &CallRecord, b: &CallRecord| {
            let mut merged = a.clone();
            merged.merge(b.clone());
            // Maps keep the order in which keys came, which says nothing.
            merged.metadata.sort_keys();
            merged.other.sort_keys();
            merged
        };
        prop_assert!(merge(&a, &b) == merge(&b, &a));
        prop_assert!(merge(&merge(&a, &b), &c) == merge(&a, &merge(&b, &c)));
        prop_assert!(merge(&merge(&a, &b), &b) == merge(&a, &b));
    }
}

#[test]
fn memory_is_bounded() {
    let mut joiner = Joiner::new(20_000);
    let mut complete = 0;
    for number in 0..200 {
        complete += joiner.push(record(number, 5, 0, 0)).len();
        assert!(joiner.bytes <= 20_000 && joiner.calls.len() < 20);
    }
    complete += joiner.finish().len();
    assert_eq!((complete, joiner.calls.known_keys()), (200, 0));
}

fn span_of_one_response(number: u64, seconds: u64) -> CallRecord {
    let attributes = json!([
        {"key": "gen_ai.system", "value": {"stringValue": "openai"}},
        {"key": "gen_ai.response.id", "value": {"stringValue": "r"}}]);
    let nanos = 1_769_591_700_000_000_000_u64 + seconds * 1_000_000_000;
    let batch = json!({"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
        "spanId": format!("{:016x}", number + 1), "startTimeUnixNano": nanos.to_string(),
        "endTimeUnixNano": (nanos + 1000).to_string(), "attributes": attributes}]}]}]});
    decode(Format::Otlp, batch.to_string().as_bytes()).unwrap().records.remove(0)
}

/// Without these limits each record costs as much as all before it.
#[test]
fn one_response_id_takes_linear_time() {
    const SPANS: u64 = 20_000;
    let mut table = JoinTable::new();
    for number in 0..SPANS {
        table.add(span_of_one_response(number, 0), ());
    }
    assert_eq!(table.len(), 20_000_usize.div_ceil(256));
    assert!(table.iter().all(|(_, call)| call.tags.len() <= 256 && call.keys.len() <= 257));
    // A call of many spans, as another table has joined it, is joined with no other.
    let mut calls = JoinTable::new();
    for call in table.into_calls().into_iter().take(2) {
        calls.add(call.record, ());
    }
    assert_eq!(calls.len(), 2);
    // Each is another call, and the index of the id has only the newest.
    let mut table = JoinTable::new();
    for number in 0..2_000 {
        table.add(span_of_one_response(number, 601 * number), ());
    }
    assert_eq!((table.len(), table.most_calls_of_a_key()), (2_000, 256));
    while let Some(oldest) = table.oldest() {
        assert!(table.take(oldest).is_some());
    }
    assert_eq!(table.known_keys(), 0);
}

#[test]
fn what_is_joined_is_found_by_all_its_keys() {
    let mut table = JoinTable::new();
    let first = table.add(record(0, 0, 0, 0), 'a');
    let second = table.add(record(1, 1, 0, 0), 'b');
    assert_ne!(first, second);
    // The span of one and the response of the other.
    assert_eq!(table.add(record(1, 0, 0, 0), 'c'), first);
    assert_eq!(table.get(first).unwrap().tags, ['a', 'b', 'c']);
    assert_eq!(table.add(record(2, 1, 0, 0), 'd'), first);
    assert_eq!(table.take(first).unwrap().keys.len(), 5);
    assert_eq!((table.len(), table.known_keys()), (0, 0));
}
