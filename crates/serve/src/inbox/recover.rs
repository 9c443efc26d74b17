//! What a server knows when it starts.

use std::time::Duration;

use attestry::evidence::EvidenceExt as _;
use attestry::{AuditLogger, Order, Query, StorageError, Timestamp, metadata};
use attestry_genai::{Format, JoinKey};
use futures_util::StreamExt as _;

use super::part::{PartError, PartStore};
use super::recent::Written;
use super::waiting::{RECENT_KEYS, Waiting};

/// Entries that started before are not looked for, unless a part is as old.
const LOOK_BACK: Duration = Duration::from_secs(600);
/// Entries that are read at most, however old a part is: an entry with the same id is found when it is written.
const LONGEST: usize = 1_000_000;
/// Entries that are read if no parts are left: enough to recognise what clients send again.
const LIMIT: usize = 20_000;

/// The calls whose parts an earlier server left in the inbox, and those that it wrote last.
pub(super) async fn waiting(
    parts: &PartStore,
    logger: &AuditLogger,
    deadline: Duration,
) -> Result<Waiting, PartError> {
    let left = parts.left(deadline).await?;
    let mut waiting = Waiting::new(left.last);
    let starts = left.parts.iter().filter_map(|(record, _)| record.started());
    let since = starts.min().unwrap_or(Timestamp::MAX).min(Timestamp::now());
    let query = Query::new().since(since.saturating_sub(LOOK_BACK)).order(Order::Descending);
    if !left.parts.is_empty() {
        // Calls may have been written without being marked.
        read_written(&mut waiting, logger, query.limit(LONGEST), RECENT_KEYS).await?;
    } else if logger.evidence().is_ok() {
        // In a store of files that is cheap.
        read_written(&mut waiting, logger, query.limit(LIMIT), RECENT_KEYS).await?;
    }
    for (record, part) in left.parts {
        waiting.add(record, part);
    }
    Ok(waiting)
}

async fn read_written(
    waiting: &mut Waiting,
    logger: &AuditLogger,
    query: Query,
    max_keys: usize,
) -> Result<(), StorageError> {
    let mut entries = logger.query(query);
    let (mut found, mut count) = (Vec::new(), 0);
    while let Some(entry) = entries.next().await {
        let entry = match entry {
            Ok(entry) => entry,
            // It hides no other, and no part is lost by it.
            Err(StorageError::Corrupt(_)) => continue,
            Err(error) => return Err(error),
        };
        let source = entry.metadata.get(metadata::SOURCE).and_then(|source| source.as_str());
        let is_received = source.is_some_and(|source| source.contains(Format::Otlp.name()));
        if is_received && !entry.metadata.contains_key(metadata::ADDS_TO) {
            let keys = JoinKey::of_entry(&entry);
            count += keys.len();
            found.push((keys, entry.timestamp, Written::Stored(entry.id)));
            // The older ones would be forgotten.
            if count >= max_keys {
                break;
            }
        }
    }
    // The oldest first: it is forgotten first.
    for (keys, started, written) in found.into_iter().rev() {
        waiting.recent.set(&keys, Some(started), &written);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use attestry::Interaction;

    use super::*;

    #[tokio::test]
    async fn newest_keys_are_read_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let logger = attestry::open(folder.path()).await.unwrap();
        for number in 0..5_u64 {
            let interaction = Interaction::new("a", "b")
                .timestamp(Timestamp::from_unix_micros(i64::try_from(number).unwrap()).unwrap())
                .metadata(metadata::SOURCE, Format::Otlp.name())
                .metadata(metadata::TRACE_ID, "4bf92f3577b34da6a3ce929d0e0e4736")
                .metadata(metadata::SPAN_ID, format!("{number:016x}"));
            logger.log(interaction).await.unwrap();
        }
        let mut waiting = Waiting::new(None);
        let query = Query::new().order(Order::Descending);
        read_written(&mut waiting, &logger, query, 2).await.unwrap();
        let mut known = Vec::new();
        let mut entries = logger.query(Query::new());
        while let Some(entry) = entries.next().await {
            let keys = JoinKey::of_entry(&entry.unwrap());
            known.push(waiting.recent.find(&keys, None).is_some());
        }
        assert_eq!(known, [false, false, false, true, true]);
    }
}
