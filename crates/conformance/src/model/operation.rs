//! Strategies that generate operations. Few ids, timestamps and values, so that conflicts are likely.

use std::collections::BTreeMap;

use attestry_core::{
    AuditEntry, Cursor, EntryId, MetadataCondition, Order, Phase, Query, Timestamp,
};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

use crate::sample::{DAY, at, entry, id};

#[derive(Debug, Clone)]
pub(super) enum Operation {
    Write(AuditEntry),
    WriteBatch(Vec<AuditEntry>),
    /// The model replaces the ids by unused ones when it runs the operation.
    Append(Vec<AuditEntry>),
    Delete(EntryId),
    DeleteAtOrBefore(Timestamp),
    Read(EntryId),
    Count,
    List(Timestamp, Timestamp),
    Scan(Query, ScanStart),
}

/// The cursor of a scan.
#[derive(Debug, Clone)]
pub(super) enum ScanStart {
    Beginning,
    /// After a stored entry, if there is one.
    Stored(Index),
    /// After an entry that is stored with this timestamp, with another one, or not at all.
    Any(Cursor),
}

impl ScanStart {
    pub(super) fn apply(&self, query: &Query, stored: &[AuditEntry]) -> Query {
        let cursor = match self {
            Self::Beginning => None,
            Self::Stored(_) if stored.is_empty() => None,
            Self::Stored(index) => Some(Cursor::from(index.get(stored))),
            Self::Any(cursor) => Some(cursor.clone()),
        };
        let mut query = query.clone();
        query.after = cursor;
        query
    }
}

pub(super) fn operations() -> impl Strategy<Value = Vec<Operation>> {
    vec(operation(), 1..25)
}

fn operation() -> impl Strategy<Value = Operation> {
    let ordered = (any_timestamp(), any_timestamp()).prop_map(|(a, b)| (a.min(b), a.max(b)));
    let range = prop_oneof![9 => ordered, 1 => (any_timestamp(), any_timestamp())];
    prop_oneof![
        6 => any_entry().prop_map(Operation::Write),
        3 => vec(any_entry(), 0..6).prop_map(Operation::WriteBatch),
        2 => vec(any_entry(), 0..6).prop_map(Operation::Append),
        2 => any_id().prop_map(Operation::Delete),
        1 => any_timestamp().prop_map(Operation::DeleteAtOrBefore),
        2 => any_id().prop_map(Operation::Read),
        1 => Just(Operation::Count),
        2 => range.prop_map(|(start, end)| Operation::List(start, end)),
        5 => (any_query(), scan_start()).prop_map(|(query, start)| Operation::Scan(query, start)),
    ]
}

fn any_id() -> impl Strategy<Value = EntryId> {
    prop_oneof![
        9 => (0..15_u32).prop_map(|n| id(format!("e{n}"))),
        1 => (0..10_u32).prop_map(|n| id(format!("appended-{n}"))),
    ]
}

/// Nine timestamps around three midnights: the last microsecond of a day and the first two of the next.
fn any_timestamp() -> impl Strategy<Value = Timestamp> {
    (0..3_i64, 0..3_i64).prop_map(|(day, micros)| {
        let last_of_day = at(0).end_of_day().unix_micros() - at(0).unix_micros();
        at(last_of_day + DAY * day + micros)
    })
}

prop_compose! {
    fn any_entry()(
        n in 0..15_u32, timestamp in any_timestamp(), provider in prop::option::of("[ab]"),
        safety_passed in any::<bool>(), detectors_triggered in vec("[xy]", 0..2),
        metadata in btree_map("[kl]", metadata_value(), 0..2), role in call_role(),
        // Otherwise the entry is a function of its id, so that equal rewrites occur.
        varied in prop::bool::weighted(0.4),
    ) -> AuditEntry {
        let metadata = metadata.into_iter().chain(role).collect();
        let name = format!("e{n}");
        if varied {
            AuditEntry {
                timestamp, model: provider.clone(), conversation_id: provider.clone(),
                block_reason: provider.clone(), provider, safety_passed, detectors_triggered, metadata,
                ..entry(name, 0)
            }
        } else {
            let micros = at(0).end_of_day().unix_micros() - at(0).unix_micros();
            entry(name, micros + i64::from(n % 3))
        }
    }
}

prop_compose! {
    fn any_query()(
        since in prop::option::of(any_timestamp()), until in prop::option::of(any_timestamp()),
        inverted in prop::bool::weighted(0.1),
        provider in prop::option::weighted(0.3, "[abc]"), model in prop::option::weighted(0.1, "[ab]"),
        conversation_id in prop::option::weighted(0.1, "[ab]"),
        safety_passed in prop::option::weighted(0.3, any::<bool>()),
        detector in prop::option::weighted(0.3, "[xyz]"), limit in prop::option::of(0..8_usize),
        descending in any::<bool>(),
        metadata in vec(("[kl]", prop::option::of(metadata_value())), 0..2),
        text_contains in prop::option::weighted(0.1, "[abc]"), phase in phase(),
    ) -> Query {
        let mut query = Query::new().order(if descending { Order::Descending } else { Order::Ascending });
        (query.since, query.until) = (since, until);
        if let (Some(a), Some(b), false) = (since, until, inverted) {
            query = query.since(a.min(b)).until(a.max(b));
        }
        query.provider = provider;
        query.model = model;
        query.conversation_id = conversation_id;
        query.safety_passed = safety_passed;
        query.detector = detector;
        query.limit = limit;
        query.metadata = metadata
            .into_iter()
            .map(|(key, value)| match value {
                Some(value) => MetadataCondition::equals(key, value),
                None => MetadataCondition::exists(key),
            })
            .collect();
        query.text_contains = text_contains;
        query.phase(phase)
    }
}

/// The metadata of an entry of a call, with any order of start and end.
fn call_role() -> impl Strategy<Value = BTreeMap<String, Value>> {
    let metadata = |items: &[(&str, &str)]| -> BTreeMap<String, Value> {
        items.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect()
    };
    prop_oneof![
        2 => Just(BTreeMap::new()),
        2 => Just(metadata(&[("attestry.phase", "start")])),
        2 => (0..15_u32).prop_map(move |n| {
            metadata(&[("attestry.phase", "end"), ("attestry.call", &format!("e{n}"))])
        }),
    ]
}

fn phase() -> impl Strategy<Value = Phase> {
    prop_oneof![
        4 => Just(Phase::All),
        3 => Just(Phase::Latest),
        1 => Just(Phase::Start),
        1 => Just(Phase::End),
        2 => Just(Phase::Open),
    ]
}

fn metadata_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        2 => "[ab]".prop_map(Value::from),
        1 => (0..2_i64).prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ]
}

fn scan_start() -> impl Strategy<Value = ScanStart> {
    prop_oneof![
        2 => Just(ScanStart::Beginning),
        2 => any::<Index>().prop_map(ScanStart::Stored),
        1 => (any_timestamp(), any_id()).prop_map(|(timestamp, id)| ScanStart::Any(Cursor { timestamp, id })),
    ]
}
