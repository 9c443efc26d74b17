//! The fields of a span, and the interaction that they describe.

use std::fmt;

use attestry_core::metadata;
use attestry_logger::Interaction;
use serde_json::{Map, Value};
use tracing_core::Field;
use tracing_core::field::Visit;

/// What the names of fields begin with that make a span a call.
pub(crate) const PREFIX: &str = "gen_ai.";

/// The fields recorded so far. A field that is recorded twice has its last value.
#[derive(Default)]
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        // The text of an event is no data of the call.
        if field.name() != "message" {
            self.0.insert(field.name().to_owned(), value.into());
        }
    }

    /// The first of these fields that is there, as text.
    fn take_text(&mut self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.0.shift_remove(*name)).map(into_text)
    }

    fn take_integer(&mut self, names: &[&str]) -> Option<i64> {
        let name = names.iter().find(|name| self.0.get(**name).is_some_and(Value::is_i64))?;
        self.0.shift_remove(*name)?.as_i64()
    }

    pub(crate) fn into_interaction(mut self) -> Interaction<'static> {
        let input = self.take_text(&["gen_ai.input.messages", "gen_ai.prompt"]);
        let output = self.take_text(&["gen_ai.output.messages", "gen_ai.completion"]);
        let answered = self.take_text(&["gen_ai.response.model"]);
        let asked = self.take_text(&[metadata::REQUEST_MODEL]);
        let differs = answered.is_some() && answered != asked;
        let mut interaction =
            Interaction::new(input.unwrap_or_default(), output.unwrap_or_default())
                .provider(self.take_text(&["gen_ai.provider.name", "gen_ai.system"]))
                .conversation_id(self.take_text(&["gen_ai.conversation.id"]))
                .input_tokens(
                    self.take_integer(&["gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"]),
                )
                .output_tokens(self.take_integer(&[
                    "gen_ai.usage.output_tokens",
                    "gen_ai.usage.completion_tokens",
                ]))
                .request_model(if differs { asked.clone() } else { None })
                .model(answered.or(asked));
        if let Some(reasons) = self.0.shift_remove(metadata::FINISH_REASONS) {
            interaction = interaction.finish_reasons(into_texts(reasons));
        }
        if self.0.contains_key(metadata::ERROR_TYPE) {
            interaction = interaction.outcome(metadata::OUTCOME_FAILED);
        }
        for (name, value) in self.0 {
            let is_text = [".id", ".name", ".type", "_id"].iter().any(|end| name.ends_with(end));
            let value = if is_text { Value::String(into_text(value)) } else { value };
            interaction = interaction.metadata(name, value);
        }
        interaction
    }
}

fn into_text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// A list recorded with `Debug`, such as `["stop"]`, or one text.
fn into_texts(value: Value) -> Vec<String> {
    let text = into_text(value);
    serde_json::from_str(&text).unwrap_or_else(|_| vec![text])
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}"));
    }
}
