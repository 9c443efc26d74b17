//! Events of Amazon Bedrock ConverseStream: `{"contentBlockDelta": {...}}`.

use serde_json::{Map, Value, json};

use super::accumulate::{Budget, item_at};
use crate::json::{embedded, take_at};

#[derive(Default)]
pub(super) struct Converse {
    body: Map<String, Value>,
    role: Option<Value>,
    blocks: Vec<Value>,
    is_complete: bool,
}

/// Whether `key` is the name of an event.
pub(super) fn is_event(key: &str) -> bool {
    matches!(
        key,
        "messageStart"
            | "contentBlockStart"
            | "contentBlockDelta"
            | "contentBlockStop"
            | "messageStop"
            | "metadata"
    )
}

impl Converse {
    pub(super) fn event(&mut self, event: Value, budget: &mut Budget) {
        let Value::Object(event) = event else { return };
        for (name, mut event) in event {
            let index = take_at(&mut event, &["contentBlockIndex"]);
            match name.as_str() {
                "messageStart" => self.role = Some(take_at(&mut event, &["role"])),
                "contentBlockStart" => {
                    if let Value::Object(start) = take_at(&mut event, &["start"])
                        && let Some(block) = item_at(&mut self.blocks, &index, budget)
                    {
                        block.extend(start);
                    }
                }
                "contentBlockDelta" => self.delta(&index, &event["delta"], budget),
                "messageStop" => {
                    self.is_complete = true;
                    self.body.extend(fields(event));
                }
                "metadata" => self.body.extend(fields(event)),
                _ => {}
            }
        }
    }

    fn delta(&mut self, index: &Value, delta: &Value, budget: &mut Budget) {
        let Some(block) = item_at(&mut self.blocks, index, budget) else { return };
        let mut append = |pointer: [&str; 3], more: &Value| {
            let Some(more) = more.as_str() else { return };
            let mut fields = &mut *block;
            let path: Vec<_> = pointer.into_iter().filter(|key| !key.is_empty()).collect();
            let Some((last, parents)) = path.split_last() else { return };
            for parent in parents {
                match fields.entry(*parent).or_insert_with(|| Map::new().into()) {
                    Value::Object(inner) => fields = inner,
                    _ => return,
                }
            }
            if let Value::String(text) = fields.entry(*last).or_insert_with(|| String::new().into())
            {
                budget.append(text, more);
            }
        };
        append(["text", "", ""], &delta["text"]);
        append(["toolUse", "input", ""], &delta["toolUse"]["input"]);
        let reasoning = &delta["reasoningContent"];
        append(["reasoningContent", "reasoningText", "text"], &reasoning["text"]);
        append(["reasoningContent", "reasoningText", "signature"], &reasoning["signature"]);
    }

    pub(super) fn finish(mut self) -> (Value, bool) {
        self.blocks.sort_by_key(|block| block["index"].as_u64());
        for block in &mut self.blocks {
            let Value::Object(block) = block else { continue };
            block.shift_remove("index");
            if let Some(input) = block.get_mut("toolUse").and_then(|tool| tool.get_mut("input"))
                && let Some(parsed) = input.as_str().and_then(embedded)
            {
                *input = parsed;
            }
        }
        let role = self.role.unwrap_or_else(|| "assistant".into());
        self.body.insert(
            "output".to_owned(),
            json!({"message": {"role": role, "content": self.blocks}}),
        );
        (self.body.into(), self.is_complete)
    }
}

fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
