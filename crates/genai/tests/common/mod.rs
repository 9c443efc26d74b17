//! What a call becomes in a store.

use attestry_genai::{CallRecord, UnmappedTexts};
use serde_json::Value;

/// Input, output and metadata of the interaction.
pub(crate) fn recorded(record: CallRecord) -> (Value, Value, Value) {
    let interaction = record.into_interaction(UnmappedTexts::Keep);
    let parse = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| text.into());
    let metadata = format!("{}", interaction_metadata(&interaction));
    (parse(interaction.input()), parse(interaction.output()), parse(&metadata))
}

/// By way of an entry: an interaction has no getter for it.
fn interaction_metadata(interaction: &attestry_logger::Interaction<'static>) -> Value {
    let logger =
        attestry_logger::AuditLogger::builder(attestry_memory::MemoryStorage::new()).build();
    let entry = logger.prepare(interaction.clone()).expect("a valid entry");
    entry.metadata.into()
}
