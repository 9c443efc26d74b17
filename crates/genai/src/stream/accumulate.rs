//! Deltas: pieces of a JSON value that are added to what came before.

use serde_json::{Map, Value};

/// The items of a list of deltas: choices, tool calls, blocks.
const MAX_ITEMS: usize = 1024;

/// How much more may be kept. What is beyond is counted, and left out.
#[derive(Debug)]
pub(super) struct Budget {
    left: usize,
    pub(super) left_out: u64,
}

impl Budget {
    pub(super) const fn new(bytes: usize) -> Self {
        Self { left: bytes, left_out: 0 }
    }

    /// Appends `more`, or as much of it as may be kept.
    pub(super) fn append(&mut self, text: &mut String, more: &str) {
        let mut end = more.len().min(self.left);
        while !more.is_char_boundary(end) {
            end -= 1;
        }
        text.push_str(&more[..end]);
        self.left -= end;
        if end < more.len() {
            // Nothing after a gap: the text would not be a start.
            self.left = 0;
            self.left_out += (more.len() - end) as u64;
        }
    }

    /// Whether `value` may be kept as a whole.
    pub(super) fn takes(&mut self, value: &Value) -> bool {
        let size = size(value);
        if size > self.left {
            self.left_out += size as u64;
            return false;
        }
        self.left -= size;
        true
    }
}

/// About the bytes of `value` as JSON.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(size).sum::<usize>() + items.len() + 2,
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| key.len() + 4 + size(value)).sum::<usize>() + 2
        }
        _ => 8,
    }
}

/// Adds `delta` to `into`, as the clients of the OpenAI API do: texts are appended, objects and lists of objects
/// with an `index` are added item by item, anything else replaces.
pub(super) fn accumulate(
    into: &mut Map<String, Value>,
    delta: Map<String, Value>,
    budget: &mut Budget,
) {
    for (key, value) in delta {
        if value.is_null() {
            continue;
        }
        let is_name =
            matches!(key.as_str(), "id" | "type" | "role" | "name" | "index" | "finish_reason");
        match (into.get_mut(&key), value) {
            // Some servers repeat them in each chunk.
            (Some(known), value) if is_name => {
                if !value.as_str().is_some_and(str::is_empty) {
                    *known = value;
                }
            }
            (Some(Value::String(text)), Value::String(more)) => budget.append(text, &more),
            (Some(Value::Object(known)), Value::Object(more)) => accumulate(known, more, budget),
            (Some(Value::Array(known)), Value::Array(more)) => {
                accumulate_items(known, more, budget)
            }
            (_, Value::String(more)) => {
                let mut text = String::new();
                budget.append(&mut text, &more);
                into.insert(key, text.into());
            }
            (_, Value::Array(more)) if more.iter().any(|item| item["index"].is_u64()) => {
                let mut items = Vec::new();
                accumulate_items(&mut items, more, budget);
                into.insert(key, items.into());
            }
            (_, value) => {
                if budget.takes(&value) {
                    into.insert(key, value);
                }
            }
        }
    }
}

/// Adds items to those with the same `index`; items without one are appended.
fn accumulate_items(known: &mut Vec<Value>, more: Vec<Value>, budget: &mut Budget) {
    for item in more {
        match item {
            Value::Object(delta) if delta.get("index").is_some_and(Value::is_u64) => {
                if let Some(item) = item_at(known, &delta["index"].clone(), budget) {
                    accumulate(item, delta, budget);
                }
            }
            item => {
                if known.len() < MAX_ITEMS && budget.takes(&item) {
                    known.push(item);
                }
            }
        }
    }
}

/// The object of `items` whose `index` is `index`; a new one if there is none. `None` if there are too many.
pub(super) fn item_at<'a>(
    items: &'a mut Vec<Value>,
    index: &Value,
    budget: &mut Budget,
) -> Option<&'a mut Map<String, Value>> {
    let position = match items.iter().position(|item| item["index"] == *index) {
        Some(position) => position,
        None if items.len() >= MAX_ITEMS => {
            budget.left_out += 1;
            return None;
        }
        None => {
            items.push(Map::from_iter([("index".to_owned(), index.clone())]).into());
            items.len() - 1
        }
    };
    items[position].as_object_mut()
}
