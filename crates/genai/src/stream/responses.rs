//! Events of OpenAI Responses.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::accumulate::Budget;
use crate::json::{is_empty, take_at};

const MAX_ITEMS: usize = 1024;

#[derive(Default)]
pub(super) struct Responses {
    response: Map<String, Value>,
    items: BTreeMap<u64, Value>,
    is_complete: bool,
}

impl Responses {
    pub(super) fn event(&mut self, mut event: Value, budget: &mut Budget) {
        let kind = take_at(&mut event, &["type"]);
        let kind = kind.as_str().unwrap_or_default();
        let index = event["output_index"].as_u64().unwrap_or(0);
        match kind {
            "response.created" | "response.in_progress" | "response.queued" => {
                self.head(take_at(&mut event, &["response"]));
            }
            "response.completed" | "response.incomplete" | "response.failed" => {
                self.is_complete = kind != "response.failed";
                self.head(take_at(&mut event, &["response"]));
            }
            "response.output_item.added" | "response.output_item.done" => {
                let item = take_at(&mut event, &["item"]);
                if self.items.len() < MAX_ITEMS && budget.takes(&item) {
                    self.items.insert(index, item);
                }
            }
            "response.output_text.delta" | "response.refusal.delta" => {
                let key = if kind.contains("refusal") { "refusal" } else { "text" };
                self.append(
                    index,
                    &event,
                    "content",
                    &json!({"type": if key == "text" { "output_text" } else { key }}),
                    key,
                    budget,
                );
            }
            "response.reasoning_summary_text.delta" => {
                self.append(
                    index,
                    &event,
                    "summary",
                    &json!({"type": "summary_text"}),
                    "text",
                    budget,
                );
            }
            "response.reasoning_text.delta" => {
                self.append(
                    index,
                    &event,
                    "content",
                    &json!({"type": "reasoning_text"}),
                    "text",
                    budget,
                );
            }
            "response.function_call_arguments.delta" => {
                let item =
                    self.items.entry(index).or_insert_with(|| json!({"type": "function_call"}));
                append_to(item, "arguments", &event["delta"], budget);
            }
            _ => {}
        }
    }

    fn head(&mut self, response: Value) {
        if let Value::Object(response) = response {
            self.response.extend(response);
        }
    }

    /// Appends to a part of an item.
    fn append(
        &mut self,
        index: u64,
        event: &Value,
        list: &str,
        new: &Value,
        key: &str,
        budget: &mut Budget,
    ) {
        if self.items.len() >= MAX_ITEMS && !self.items.contains_key(&index) {
            budget.left_out += 1;
            return;
        }
        let item = self
            .items
            .entry(index)
            .or_insert_with(|| json!({"type": "message", "role": "assistant"}));
        let part = event["content_index"]
            .as_u64()
            .or_else(|| event["summary_index"].as_u64())
            .unwrap_or(0);
        let Value::Object(item) = item else { return };
        let parts = item.entry(list).or_insert_with(|| json!([]));
        if !parts.is_array() {
            *parts = json!([]);
        }
        let Value::Array(parts) = parts else { return };
        if part >= MAX_ITEMS as u64 {
            return;
        }
        while parts.len() as u64 <= part {
            parts.push(new.clone());
        }
        append_to(&mut parts[part as usize], key, &event["delta"], budget);
    }

    pub(super) fn finish(mut self) -> (Value, bool) {
        // The last event has the whole output.
        if self.response.get("output").is_none_or(is_empty) && !self.items.is_empty() {
            let items: Vec<Value> = self.items.into_values().collect();
            self.response.insert("output".to_owned(), items.into());
        }
        (self.response.into(), self.is_complete)
    }
}

fn append_to(value: &mut Value, key: &str, more: &Value, budget: &mut Budget) {
    let (Value::Object(fields), Some(more)) = (value, more.as_str()) else { return };
    if let Value::String(text) = fields.entry(key).or_insert_with(|| String::new().into()) {
        budget.append(text, more);
    }
}
