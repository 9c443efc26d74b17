//! Chunks of Ollama, and of models of Bedrock whose chunks have text in one field.

use serde_json::{Map, Value};

use super::accumulate::{Budget, accumulate};

/// The fields whose texts are appended.
const TEXTS: &[&str] = &["response", "thinking", "generation", "outputText", "completion", "text"];

#[derive(Default)]
pub(super) struct Ollama {
    body: Map<String, Value>,
}

impl Ollama {
    pub(super) fn event(&mut self, chunk: Value, budget: &mut Budget) {
        let Value::Object(chunk) = chunk else { return };
        for (key, value) in chunk {
            match (self.body.get_mut(&key), value) {
                (Some(Value::Object(known)), Value::Object(more)) if key == "message" => {
                    accumulate(known, more, budget);
                }
                (Some(Value::String(text)), Value::String(more))
                    if TEXTS.contains(&key.as_str()) =>
                {
                    budget.append(text, &more);
                }
                // Says nothing in this chunk.
                (Some(_), Value::Null) => {}
                (known, value) => {
                    if known.is_some_and(|known| *known == value) || budget.takes(&value) {
                        self.body.insert(key, value);
                    }
                }
            }
        }
    }

    pub(super) fn finish(self) -> (Value, bool) {
        let has = |key: &str| self.body.get(key).is_some_and(|value| !value.is_null());
        let is_complete = self.body.get("done") == Some(&Value::Bool(true))
            || ["stop_reason", "completionReason", "finish_reason"].into_iter().any(has);
        (self.body.into(), is_complete)
    }
}
