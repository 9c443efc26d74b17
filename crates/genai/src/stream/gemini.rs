//! Chunks of Gemini: each is a response with the next parts.

use serde_json::{Map, Value};

use super::accumulate::{Budget, item_at};

#[derive(Default)]
pub(super) struct Gemini {
    body: Map<String, Value>,
    candidates: Vec<Value>,
}

impl Gemini {
    pub(super) fn event(&mut self, chunk: Value, budget: &mut Budget) {
        let Value::Object(mut chunk) = chunk else { return };
        if let Some(Value::Array(candidates)) = chunk.shift_remove("candidates") {
            candidates.into_iter().for_each(|candidate| self.candidate(candidate, budget));
        }
        for (key, value) in chunk {
            if self.body.get(&key) == Some(&value) || budget.takes(&value) {
                self.body.insert(key, value);
            }
        }
    }

    fn candidate(&mut self, candidate: Value, budget: &mut Budget) {
        let Value::Object(mut candidate) = candidate else { return };
        let index = candidate.get("index").cloned().unwrap_or_else(|| 0.into());
        let content = candidate.shift_remove("content");
        let Some(known) = item_at(&mut self.candidates, &index, budget) else { return };
        for (key, value) in candidate {
            if known.get(&key) == Some(&value) || budget.takes(&value) {
                known.insert(key, value);
            }
        }
        let Some(Value::Object(mut content)) = content else { return };
        let parts = content.shift_remove("parts");
        let Value::Object(whole) = known.entry("content").or_insert_with(|| Map::new().into())
        else {
            return;
        };
        whole.extend(content);
        let Value::Array(all) = whole.entry("parts").or_insert_with(|| Value::Array(Vec::new()))
        else {
            return;
        };
        if let Some(Value::Array(parts)) = parts {
            parts.into_iter().for_each(|part| add_part(all, part, budget));
        }
    }

    pub(super) fn finish(mut self) -> (Value, bool) {
        let is_complete = !self.candidates.is_empty()
            && self.candidates.iter().all(|candidate| candidate["finishReason"].is_string())
            || self.body.contains_key("promptFeedback");
        if !self.candidates.is_empty() {
            self.body.insert("candidates".to_owned(), self.candidates.into());
        }
        (self.body.into(), is_complete)
    }
}

/// Adds text to the text before it, if both are thoughts or neither is.
fn add_part(all: &mut Vec<Value>, part: Value, budget: &mut Budget) {
    let is_plain = |part: &Value| {
        part.as_object()
            .is_some_and(|fields| fields.keys().all(|key| key == "text" || key == "thought"))
    };
    if let Some(last) = all.last_mut()
        && is_plain(last)
        && is_plain(&part)
        && last["thought"] == part["thought"]
        && let (Some(Value::String(text)), Some(more)) =
            (last.get_mut("text"), part["text"].as_str())
    {
        return budget.append(text, more);
    }
    if let Some(text) = part["text"].as_str()
        && is_plain(&part)
    {
        let mut start = String::new();
        budget.append(&mut start, text);
        let mut part = part;
        if let Some(text) = part.get_mut("text") {
            *text = start.into();
        }
        all.push(part);
    } else if budget.takes(&part) {
        all.push(part);
    }
}
