//! Chunks of OpenAI Chat Completions and Completions.

use serde_json::{Map, Value};

use super::accumulate::{Budget, accumulate, item_at};

#[derive(Default)]
pub(super) struct Chat {
    body: Map<String, Value>,
    choices: Vec<Value>,
    is_done: bool,
}

impl Chat {
    pub(super) fn event(&mut self, chunk: Value, budget: &mut Budget) {
        let Value::Object(mut chunk) = chunk else { return };
        if let Some(Value::Array(choices)) = chunk.shift_remove("choices") {
            choices.into_iter().for_each(|choice| self.choice(choice, budget));
        }
        for (key, value) in chunk {
            // The last chunk has the usage; the others repeat the head.
            if !value.is_null() && (self.body.get(&key) == Some(&value) || budget.takes(&value)) {
                self.body.insert(key, value);
            }
        }
    }

    fn choice(&mut self, choice: Value, budget: &mut Budget) {
        let Value::Object(mut choice) = choice else { return };
        let index = choice.get("index").cloned().unwrap_or_else(|| 0.into());
        if let Some(delta) = choice.shift_remove("delta") {
            choice.insert("message".to_owned(), delta);
        }
        choice.insert("index".to_owned(), index.clone());
        if let Some(known) = item_at(&mut self.choices, &index, budget) {
            accumulate(known, choice, budget);
        }
    }

    pub(super) fn done(&mut self) {
        self.is_done = true;
    }

    pub(super) fn finish(mut self) -> (Value, bool) {
        let has_reason = |choice: &Value| choice["finish_reason"].is_string();
        let is_complete =
            self.is_done || !self.choices.is_empty() && self.choices.iter().all(has_reason);
        // Only some servers send them in order.
        self.choices.sort_by_key(|choice| choice["index"].as_u64());
        self.body.insert("choices".to_owned(), self.choices.into());
        if let Some(object) = self.body.get_mut("object") {
            *object = "chat.completion".into();
        }
        (self.body.into(), is_complete)
    }
}
