//! Events of Anthropic Messages.

use serde_json::{Map, Value};

use super::accumulate::{Budget, item_at};
use crate::json::{embedded, take_at};

#[derive(Default)]
pub(super) struct Anthropic {
    message: Map<String, Value>,
    blocks: Vec<Value>,
    is_complete: bool,
}

impl Anthropic {
    pub(super) fn event(&mut self, mut event: Value, budget: &mut Budget) {
        let index = take_at(&mut event, &["index"]);
        match event["type"].as_str() {
            Some("message_start") => {
                if let Value::Object(message) = take_at(&mut event, &["message"])
                    && budget.takes(&Value::Null)
                {
                    self.message = message;
                }
            }
            Some("content_block_start") => {
                if let Value::Object(start) = take_at(&mut event, &["content_block"])
                    && let Some(block) = item_at(&mut self.blocks, &index, budget)
                {
                    block.extend(start);
                }
            }
            Some("content_block_delta") => self.delta(&index, &event["delta"], budget),
            Some("message_delta") => self.end(event),
            Some("message_stop") => self.is_complete = true,
            _ => {}
        }
    }

    fn delta(&mut self, index: &Value, delta: &Value, budget: &mut Budget) {
        let Some(block) = item_at(&mut self.blocks, index, budget) else { return };
        for (from, to) in [
            ("text", "text"),
            ("partial_json", "partial_json"),
            ("thinking", "thinking"),
            ("signature", "signature"),
        ] {
            if let Some(more) = delta[from].as_str() {
                let text = block.entry(to).or_insert_with(|| Value::String(String::new()));
                if let Value::String(text) = text {
                    budget.append(text, more);
                }
            }
        }
        if !delta["citation"].is_null() && budget.takes(&delta["citation"]) {
            let citations = block.entry("citations").or_insert_with(|| Value::Array(Vec::new()));
            match citations {
                Value::Array(citations) => citations.push(delta["citation"].clone()),
                citations => *citations = vec![delta["citation"].clone()].into(),
            }
        }
    }

    fn end(&mut self, mut event: Value) {
        for key in ["delta", "usage"] {
            let Value::Object(fields) = take_at(&mut event, &[key]) else { continue };
            let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
            if key == "delta" {
                self.message.extend(fields);
            } else if let Value::Object(usage) =
                self.message.entry("usage").or_insert_with(|| Map::new().into())
            {
                usage.extend(fields);
            }
        }
    }

    pub(super) fn finish(mut self) -> (Value, bool) {
        self.blocks.sort_by_key(|block| block["index"].as_u64());
        for block in &mut self.blocks {
            let Value::Object(block) = block else { continue };
            block.shift_remove("index");
            if let Some(Value::String(input)) = block.shift_remove("partial_json")
                && !input.is_empty()
            {
                block.insert("input".to_owned(), embedded(&input).unwrap_or_else(|| input.into()));
            }
        }
        self.message.insert("content".to_owned(), self.blocks.into());
        (self.message.into(), self.is_complete)
    }
}
