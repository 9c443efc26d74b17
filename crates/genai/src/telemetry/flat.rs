//! Attributes that are one value, flattened: `a.0.b` = 1 is `a` = `[{"b": 1}]`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::json::Fields;

/// A nested value.
enum Node {
    Leaf(Value),
    Nested(BTreeMap<Segment, Node>),
}

/// Numbers are ordered by their value.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Index(u64),
    Name(String),
}

/// Deeper names are one name.
const MAX_DEPTH: usize = 16;

/// Takes the attributes whose names begin with `prefix` and a dot, as one value. `None` if there are none.
pub(super) fn take(fields: &mut Fields, prefix: &str) -> Option<Value> {
    let is_inside = |key: &str| key.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'));
    let keys: Vec<String> = fields.keys().filter(|key| is_inside(key)).map(str::to_owned).collect();
    if keys.is_empty() {
        return None;
    }
    let mut root = BTreeMap::new();
    for key in keys {
        let Some(value) = fields.take(&key) else { continue };
        if let Some(value) = insert(&mut root, &key[prefix.len() + 1..], value) {
            // A name that is a value and a prefix of another name.
            fields.put(&key, value);
        }
    }
    Some(Node::Nested(root).into_value())
}

/// Returns the value, if another one is in its place.
fn insert(mut nested: &mut BTreeMap<Segment, Node>, path: &str, value: Value) -> Option<Value> {
    let mut segments = path.splitn(MAX_DEPTH, '.').peekable();
    while let Some(segment) = segments.next() {
        let key =
            segment.parse().map_or_else(|_| Segment::Name(segment.to_owned()), Segment::Index);
        if segments.peek().is_none() {
            if nested.contains_key(&key) {
                return Some(value);
            }
            nested.insert(key, Node::Leaf(value));
            return None;
        }
        match nested.entry(key).or_insert_with(|| Node::Nested(BTreeMap::new())) {
            Node::Nested(inner) => nested = inner,
            Node::Leaf(_) => return Some(value),
        }
    }
    Some(value)
}

impl Node {
    /// Items are in the order of their numbers, which may have gaps.
    fn into_value(self) -> Value {
        let nested = match self {
            Self::Leaf(value) => return value,
            Self::Nested(nested) => nested,
        };
        let is_list = nested.keys().all(|key| matches!(key, Segment::Index(_)));
        let items = nested.into_iter().map(|(key, node)| (key, node.into_value()));
        if is_list {
            return items.map(|(_, value)| value).collect();
        }
        let name = |key| match key {
            Segment::Index(index) => index.to_string(),
            Segment::Name(name) => name,
        };
        items.map(|(key, value)| (name(key), value)).collect::<Map<_, _>>().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nested_values_are_put_together() {
        let mut fields = Fields::new(json!({
            "p.10.role": "b", "p.2.role": "a", "p.2.calls.0.name": "f", "p.2.calls.0.args": {"x": 1},
            "p": "itself", "px.0": 1, "p.2.role.x": "conflict"
        }));
        let expected =
            json!([{"calls": [{"args": {"x": 1}, "name": "f"}], "role": "a"}, {"role": "b"}]);
        assert_eq!(take(&mut fields, "p"), Some(expected));
        assert_eq!(take(&mut fields, "q"), None);
        let rest = json!({"p": "itself", "px.0": 1, "p.2.role.x": "conflict"});
        assert_eq!(Value::from(fields.rest()), rest);
    }
}
