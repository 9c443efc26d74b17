//! Generated interactions of about 2 KB, and their entries and lines.

use std::sync::Arc;

use attestry::{AuditEntry, EntryId, Interaction, Timestamp, create_entry_id, hash_content, line};
use serde_json::{Value, json};

use crate::Result;
use crate::rng::Rng;

/// Number of distinct interactions: their texts exceed the processor caches.
const DISTINCT: usize = 2_048;

const WORDS: &[&str] = &[
    "the",
    "of",
    "contract",
    "please",
    "summarise",
    "invoice",
    "between",
    "customer",
    "and",
    "a",
    "report",
    "what",
    "is",
    "deadline",
    "for",
    "application",
    "insurance",
    "policy",
    "claim",
    "in",
    "to",
    "answer",
    "question",
    "patient",
    "treatment",
    "with",
    "history",
    "not",
    "been",
    "approved",
    "payment",
    "by",
    "account",
    "transfer",
    "amount",
    "euro",
    "explain",
    "why",
    "decision",
    "was",
    "made",
    "on",
    "model",
    "confidence",
    "review",
    "human",
    "agent",
    "how",
    "long",
    "does",
    "it",
    "take",
    "until",
    "request",
    "processed",
    "thank",
    "you",
];

const MODELS: &[(&str, &str)] = &[
    ("openai", "gpt-4o-2024-05-13"),
    ("anthropic", "claude-3-opus"),
    ("mistral", "mistral-large"),
    ("openai", "gpt-4"),
];

/// A reusable interaction.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) input: String,
    pub(crate) output: String,
    input_hash: String,
    output_hash: String,
    provider: &'static str,
    model: &'static str,
    conversation_id: String,
    latency_ms: f64,
    input_tokens: i64,
    output_tokens: i64,
}

/// The interactions of all measurements, the same in every run.
#[derive(Debug)]
pub(crate) struct Workload(Vec<Item>);

impl Workload {
    /// Generates the texts.
    pub(crate) fn new() -> Arc<Self> {
        let mut rng = Rng::new(1);
        Arc::new(Self((0..DISTINCT).map(|number| Item::new(number, &mut rng)).collect()))
    }

    /// The `number`-th interaction, cyclically.
    pub(crate) fn item(&self, number: usize) -> &Item {
        &self.0[number % DISTINCT]
    }

    /// The `number`-th interaction as an argument of `log`.
    pub(crate) fn interaction(&self, number: usize) -> Interaction<'_> {
        let item = self.item(number);
        Interaction::new(&*item.input, &*item.output)
            .provider(item.provider)
            .model(item.model)
            .conversation_id(&item.conversation_id)
            .latency_ms(item.latency_ms)
            .input_tokens(item.input_tokens)
            .output_tokens(item.output_tokens)
    }

    /// The entry that a plain loop makes: both texts hashed, a new id, the current time.
    pub(crate) fn entry(&self, number: usize) -> AuditEntry {
        let item = self.item(number);
        item.entry(
            create_entry_id(),
            Timestamp::now(),
            hash_content(&item.input),
            hash_content(&item.output),
        )
    }

    /// The `number`-th entry of a generated store: its id is derived from the number, its hashes are precomputed.
    pub(crate) fn stored(&self, number: u64, timestamp: Timestamp) -> Result<AuditEntry> {
        let item = self.item(usize::try_from(number)?);
        let (input, output) = (item.input_hash.clone(), item.output_hash.clone());
        Ok(item.entry(stored_id(number)?, timestamp, input, output))
    }

    /// The line of the `number`-th interaction.
    pub(crate) fn line(&self, number: usize) -> Result<Vec<u8>> {
        Ok(line::encode(&self.entry(number))?)
    }

    /// The mean length in bytes of a line and of its two texts.
    pub(crate) fn mean_bytes(&self) -> Result<(u64, u64)> {
        let (mut lines, mut texts) = (0, 0);
        for (number, item) in self.0.iter().enumerate() {
            lines += self.line(number)?.len();
            texts += item.input.len() + item.output.len();
        }
        Ok(((lines / DISTINCT) as u64, (texts / DISTINCT) as u64))
    }
}

/// The id of the `number`-th entry of a generated store, a version 4 UUID.
pub(crate) fn stored_id(number: u64) -> Result<EntryId> {
    let mut rng = Rng::new(number ^ 0x5eed_0000_0000_0000);
    let (high, low) = (rng.next(), rng.next());
    let id = format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        0x8000 | (low >> 48) & 0x3fff,
        low & 0xffff_ffff_ffff
    );
    Ok(EntryId::new(id)?)
}

impl Item {
    /// An interaction in the format of `attestry import`.
    pub(crate) fn interaction(&self) -> Value {
        json!({
            "input": self.input,
            "output": self.output,
            "provider": self.provider,
            "model": self.model,
            "conversation_id": self.conversation_id,
            "latency_ms": self.latency_ms,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
        })
    }

    fn new(number: usize, rng: &mut Rng) -> Self {
        let input_bytes = 700 + rng.below(800);
        let input = text(input_bytes, rng);
        let output = text(1_850 - input_bytes + rng.below(300), rng);
        let (provider, model) = MODELS[number % MODELS.len()];
        Self {
            input_hash: hash_content(&input),
            output_hash: hash_content(&output),
            provider,
            model,
            conversation_id: format!("c-{:04}", number / 4),
            latency_ms: f64::from(u32::try_from(rng.below(40_000)).unwrap_or_default()) / 16.0,
            input_tokens: i64::try_from(input.len() / 4).unwrap_or_default(),
            output_tokens: i64::try_from(output.len() / 4).unwrap_or_default(),
            input,
            output,
        }
    }

    fn entry(&self, id: EntryId, at: Timestamp, input: String, output: String) -> AuditEntry {
        AuditEntry {
            provider: Some(self.provider.to_owned()),
            model: Some(self.model.to_owned()),
            conversation_id: Some(self.conversation_id.clone()),
            latency_ms: self.latency_ms,
            input_tokens: Some(self.input_tokens),
            output_tokens: Some(self.output_tokens),
            ..AuditEntry::new(id, at, input, output)
        }
    }
}

/// Words up to `bytes` bytes.
fn text(bytes: u64, rng: &mut Rng) -> String {
    let wanted = usize::try_from(bytes).unwrap_or_default();
    let mut text = String::with_capacity(wanted + 16);
    while text.len() < wanted {
        let word = usize::try_from(rng.below(WORDS.len() as u64)).unwrap_or_default();
        text.push_str(WORDS[word]);
        text.push(if rng.below(12) == 0 { '.' } else { ' ' });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_as_documented() {
        let (line, texts) = Workload::new().mean_bytes().unwrap();
        assert!((480..620).contains(&line), "{line} bytes a line");
        assert!((1_900..2_100).contains(&texts), "{texts} bytes of text");
    }

    #[test]
    fn stored_entries_are_valid_lines() {
        let workload = Workload::new();
        for number in [0, 1, 9_999_999] {
            let entry = workload.stored(number, Timestamp::UNIX_EPOCH).unwrap();
            entry.validate().unwrap();
            assert_eq!(line::decode(&line::encode(&entry).unwrap()).unwrap(), entry);
            assert_eq!(stored_id(number).unwrap(), entry.id);
        }
    }
}
