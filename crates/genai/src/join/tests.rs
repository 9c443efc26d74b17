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
