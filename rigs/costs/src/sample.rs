//! Data of the operations.

use attestry::backend::{AppendFuture, async_trait};
use attestry::{
    AuditEntry, AuditLogger, EntryId, Interaction, StorageBackend, StorageError, Timestamp, line,
};

use crate::Result;

/// A text of 2 KB, as long as both texts of a typical interaction.
pub(crate) fn text() -> String {
    "The quick brown fox jumps over the lazy dog. ".repeat(45)
}

/// An interaction with short texts: valgrind has no SHA instructions, and hashing in software would dominate.
pub(crate) fn interaction(number: u64) -> Interaction<'static> {
    Interaction::new("What is the capital of France?", "Paris.")
        .provider("openai")
        .model("gpt-4o-2024-05-13")
        .conversation_id("conversation-0001")
        .latency_ms(250.5)
        .input_tokens(i64::try_from(number).unwrap_or_default())
        .output_tokens(44)
}

/// The entry of this number, with a derived id.
pub(crate) fn entry(number: u64) -> Result<AuditEntry> {
    let hash = "ab".repeat(32);
    let time = i64::try_from(number)? * 1_000_000 + 1_700_000_000_000_000;
    Ok(AuditEntry {
        provider: Some("openai".to_owned()),
        model: Some("gpt-4o-2024-05-13".to_owned()),
        conversation_id: Some("conversation-0001".to_owned()),
        latency_ms: 250.5,
        input_tokens: Some(374),
        output_tokens: Some(44),
        ..AuditEntry::new(id(number)?, Timestamp::from_unix_micros(time)?, hash.clone(), hash)
    })
}

/// The id of the entry of this number.
pub(crate) fn id(number: u64) -> Result<EntryId> {
    Ok(EntryId::new(format!(
        "{:08x}-0000-4000-8000-{number:012x}",
        number.wrapping_mul(2_654_435_761) & 0xffff_ffff
    ))?)
}

/// A logger to a null backend.
pub(crate) fn nowhere() -> AuditLogger {
    AuditLogger::builder(Nowhere).build()
}

/// A backend that serialises the entry and drops the line.
#[derive(Debug)]
struct Nowhere;

#[async_trait]
impl StorageBackend for Nowhere {
    fn append(&self, entries: &[AuditEntry]) -> AppendFuture<'_> {
        let lines = entries.iter().try_for_each(|entry| {
            entry.validate()?;
            std::hint::black_box(line::encode(entry)?);
            Ok(())
        });
        Box::pin(std::future::ready(lines))
    }

    async fn write(&self, entry: &AuditEntry) -> std::result::Result<EntryId, StorageError> {
        self.append(std::slice::from_ref(entry)).await?;
        Ok(entry.id.clone())
    }

    async fn read(&self, _: &EntryId) -> std::result::Result<Option<AuditEntry>, StorageError> {
        Ok(None)
    }

    async fn list_entries(
        &self,
        _: Timestamp,
        _: Timestamp,
    ) -> std::result::Result<Vec<AuditEntry>, StorageError> {
        Ok(Vec::new())
    }

    async fn delete(&self, _: &EntryId) -> std::result::Result<bool, StorageError> {
        Ok(false)
    }

    async fn count(&self) -> std::result::Result<u64, StorageError> {
        Ok(0)
    }
}
