//! A backend in memory that breaks one promise.

use std::sync::Mutex;

use attestry_core::{
    AppendFuture, AuditEntry, Cursor, EntryId, EntryStream, Order, Query, StorageBackend,
    StorageError, Timestamp, async_trait, calls,
};
use futures_util::{StreamExt, stream};

/// The promise that a backend breaks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Flaw {
    None,
    Replaces,
    IgnoresDifferences,
    RefusesEqualRewrites,
    MovesEqualRewrites,
    ComparesOnlyContent,
    IdsUniquePerDay,
    ExclusiveStart,
    ExclusiveEnd,
    ReversesTies,
    SortsTiesById,
    SortsByWriteOrder,
    InvertedRangeIsEmpty,
    ValidatesAfterWriting,
    ValidatesNothing,
    ChecksConflictsWithoutLock,
    WritesInTwoSteps,
    RoundsToMilliseconds,
    IgnoresCase,
    DropsNul,
    SplitsLines,
    EmptyTextBecomesNull,
    CountsDeleted,
    DeleteReturnsFalse,
    DeletesPrefixes,
    CutoffExclusive,
    CutoffByWriteOrder,
    BatchSkipsLast,
    BatchReplaces,
    AppendDuplicates,
    AppendIsEager,
    WriteNewReplaces,
    WriteNewCountsPresent,
    LimitBeforeFilter,
    IgnoresCursor,
    DeletedCursorSkipsTies,
    DescendingKeepsTieOrder,
    StopsAfterFirstPage,
    DetectorMatchesPrefix,
    IgnoresPhase,
    FindsNoEnds,
    ScanBlocksWrites,
    DebugShowsContent,
    SecondCloseFails,
}

pub(crate) struct Flawed {
    flaw: Flaw,
    entries: Mutex<Vec<AuditEntry>>,
    deleted: Mutex<u64>,
    scans: tokio::sync::RwLock<()>,
}

impl Flawed {
    pub(crate) fn new(flaw: Flaw) -> Self {
        let entries = Mutex::default();
        Self { flaw, entries, deleted: Mutex::default(), scans: tokio::sync::RwLock::new(()) }
    }

    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn same_id(&self, a: &AuditEntry, b: &AuditEntry) -> bool {
        a.id == b.id
            && (!self.is(Flaw::IdsUniquePerDay) || a.timestamp.date() == b.timestamp.date())
    }

    fn equal(&self, a: &AuditEntry, b: &AuditEntry) -> bool {
        if self.is(Flaw::ComparesOnlyContent) {
            return a.input_content == b.input_content && a.output_content == b.output_content;
        }
        a == b
    }

    fn distort(&self, mut entry: AuditEntry) -> AuditEntry {
        match self.flaw {
            Flaw::RoundsToMilliseconds => {
                let micros = entry.timestamp.unix_micros();
                entry.timestamp = Timestamp::from_unix_micros(micros - micros % 1_000).unwrap();
            }
            Flaw::DropsNul => {
                entry.input_content = entry.input_content.map(|text| text.replace('\0', ""));
            }
            Flaw::SplitsLines => {
                entry.input_content =
                    entry.input_content.map(|text| text.lines().next().unwrap_or("").to_owned());
            }
            Flaw::EmptyTextBecomesNull => {
                entry.provider = entry.provider.filter(|text| !text.is_empty())
            }
            _ => {}
        }
        entry
    }
}

impl std::fmt::Debug for Flawed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is(Flaw::DebugShowsContent) {
            let entries = self.entries.lock().unwrap();
            let values: Vec<_> = entries.iter().map(AuditEntry::to_value).collect();
            return write!(f, "{values:?}");
        }
        f.write_str("Flawed")
    }
}

#[async_trait]
impl StorageBackend for Flawed {
    async fn write(&self, entry: &AuditEntry) -> Result<EntryId, StorageError> {
        if !self.is(Flaw::ValidatesNothing) && !self.is(Flaw::ValidatesAfterWriting) {
            entry.validate()?;
        }
        if self.is(Flaw::ScanBlocksWrites) {
            drop(self.scans.write().await);
        }
        let new = self.distort(entry.clone());
        let stored =
            self.entries.lock().unwrap().iter().find(|stored| self.same_id(stored, &new)).cloned();
        if self.is(Flaw::ChecksConflictsWithoutLock) {
            // Long enough for concurrent writers to check too, also on a busy machine.
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        match stored {
            Some(stored) if self.equal(&stored, &new) => {
                if self.is(Flaw::RefusesEqualRewrites) {
                    return Err(StorageError::already_exists(entry.id.clone()));
                }
                if self.is(Flaw::MovesEqualRewrites) {
                    let mut entries = self.entries.lock().unwrap();
                    entries.retain(|stored| stored.id != new.id);
                    entries.push(new);
                }
            }
            Some(_) if self.is(Flaw::Replaces) => {
                let mut entries = self.entries.lock().unwrap();
                entries.retain(|stored| stored.id != new.id);
                entries.push(new);
            }
            Some(_) if self.is(Flaw::IgnoresDifferences) => {}
            Some(_) => return Err(StorageError::already_exists(entry.id.clone())),
            None if self.is(Flaw::WritesInTwoSteps) => {
                let half = AuditEntry { input_content: None, ..new.clone() };
                self.entries.lock().unwrap().push(half);
                tokio::task::yield_now().await;
                for stored in self.entries.lock().unwrap().iter_mut() {
                    if stored.id == new.id {
                        *stored = new.clone();
                    }
                }
            }
            None => {
                // The lock was released since the check above, so check again.
                let mut entries = self.entries.lock().unwrap();
                let concurrent = entries.iter().find(|stored| self.same_id(stored, &new));
                match concurrent {
                    Some(other) if !self.is(Flaw::ChecksConflictsWithoutLock) => {
                        if *other != new {
                            return Err(StorageError::already_exists(entry.id.clone()));
                        }
                    }
                    _ => entries.push(new),
                }
            }
        }
        if self.is(Flaw::ValidatesAfterWriting) {
            entry.validate()?;
        }
        Ok(entry.id.clone())
    }

    async fn read(&self, id: &EntryId) -> Result<Option<AuditEntry>, StorageError> {
        let same = |entry: &&AuditEntry| {
            if self.is(Flaw::IgnoresCase) {
                entry.id.as_str().eq_ignore_ascii_case(id.as_str())
            } else {
                entry.id == *id
            }
        };
        Ok(self.entries.lock().unwrap().iter().find(same).cloned())
    }

    async fn list_entries(
        &self,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<AuditEntry>, StorageError> {
        if !self.is(Flaw::InvertedRangeIsEmpty) {
            Query::range(start, end).validate()?;
        }
        let mut found = self.entries.lock().unwrap().clone();
        found.retain(|entry| {
            let t = entry.timestamp;
            start <= t
                && t <= end
                && !(self.is(Flaw::ExclusiveStart) && t == start)
                && !(self.is(Flaw::ExclusiveEnd) && t == end)
        });
        match self.flaw {
            Flaw::SortsByWriteOrder => {}
            Flaw::SortsTiesById => {
                found.sort_by(|a, b| (a.timestamp, &a.id).cmp(&(b.timestamp, &b.id)));
            }
            Flaw::ReversesTies => {
                found.reverse();
                found.sort_by_key(|entry| entry.timestamp);
            }
            _ => found.sort_by_key(|entry| entry.timestamp),
        }
        Ok(found)
    }

    async fn delete(&self, id: &EntryId) -> Result<bool, StorageError> {
        if self.is(Flaw::ScanBlocksWrites) {
            drop(self.scans.write().await);
        }
        let mut entries = self.entries.lock().unwrap();
        let before = entries.len();
        entries.retain(|entry| {
            if self.is(Flaw::DeletesPrefixes) {
                !entry.id.as_str().starts_with(id.as_str())
            } else {
                entry.id != *id
            }
        });
        let deleted = before - entries.len();
        *self.deleted.lock().unwrap() += deleted as u64;
        Ok(deleted > 0 && !self.is(Flaw::DeleteReturnsFalse))
    }

    async fn count(&self) -> Result<u64, StorageError> {
        let stored = self.entries.lock().unwrap().len() as u64;
        let deleted = *self.deleted.lock().unwrap();
        Ok(if self.is(Flaw::CountsDeleted) { stored + deleted } else { stored })
    }

    async fn write_batch(&self, entries: &[AuditEntry]) -> Result<(), StorageError> {
        let skipped = usize::from(self.is(Flaw::BatchSkipsLast) && entries.len() > 1);
        for entry in &entries[..entries.len() - skipped] {
            if self.is(Flaw::BatchReplaces) {
                entry.validate()?;
                self.entries.lock().unwrap().retain(|stored| stored.id != entry.id);
            }
            self.write(entry).await?;
        }
        Ok(())
    }

    async fn write_new(&self, entries: &[AuditEntry]) -> Result<Vec<bool>, StorageError> {
        entries.iter().try_for_each(AuditEntry::validate)?;
        let mut stored = Vec::new();
        for entry in entries {
            if self.is(Flaw::WriteNewReplaces) {
                self.entries.lock().unwrap().retain(|stored| stored.id != entry.id);
            }
            let mut all = self.entries.lock().unwrap();
            let is_new = all.iter().all(|stored| !self.same_id(stored, entry));
            if is_new {
                all.push(self.distort(entry.clone()));
            }
            stored.push(is_new || self.is(Flaw::WriteNewCountsPresent));
        }
        Ok(stored)
    }

    fn append(&self, entries: &[AuditEntry]) -> AppendFuture<'_> {
        if self.is(Flaw::AppendIsEager) {
            self.entries.lock().unwrap().extend_from_slice(entries);
        }
        let entries = entries.to_vec();
        Box::pin(async move {
            if self.is(Flaw::AppendDuplicates) {
                entries.iter().try_for_each(AuditEntry::validate)?;
                let mut stored = self.entries.lock().unwrap();
                entries.iter().for_each(|entry| stored.extend([entry.clone(), entry.clone()]));
                return Ok(());
            }
            self.write_batch(&entries).await
        })
    }

    async fn have_ended(&self, starts: &[Cursor]) -> Result<Vec<bool>, StorageError> {
        let mut ended = Vec::new();
        for start in starts {
            let ends = Query::new().metadata_equals("attestry.call", start.id.as_str());
            let ends = ends.since(start.timestamp);
            let found = !self.is(Flaw::FindsNoEnds) && self.scan(ends).next().await.is_some();
            ended.push(found);
        }
        Ok(ended)
    }

    fn scan(&self, query: Query) -> EntryStream<'_> {
        if !self.is(Flaw::IgnoresPhase)
            && let Some(entries) = calls::entries(self, &query)
        {
            return entries;
        }
        let found = async move {
            let guard = match self.flaw {
                Flaw::ScanBlocksWrites => Some(self.scans.read().await),
                _ => None,
            };
            let answer = async {
                if !self.is(Flaw::InvertedRangeIsEmpty) {
                    query.validate()?;
                }
                let all = self.list_entries(Timestamp::MIN, Timestamp::MAX).await?;
                Ok::<_, StorageError>(self.select(query, all))
            };
            let (entries, error) = match answer.await {
                Ok(entries) => (entries, None),
                Err(error) => (Vec::new(), Some(error)),
            };
            stream::iter(entries.into_iter().map(Ok).chain(error.map(Err))).inspect(move |_| {
                let _ = &guard;
            })
        };
        Box::pin(stream::once(found).flatten())
    }

    async fn delete_at_or_before(&self, cutoff: Timestamp) -> Result<u64, StorageError> {
        let mut deleted = 0;
        for entry in self.list_entries(Timestamp::MIN, cutoff).await? {
            if self.is(Flaw::CutoffExclusive) && entry.timestamp == cutoff {
                continue;
            }
            deleted += u64::from(self.delete(&entry.id).await?);
        }
        if self.is(Flaw::CutoffByWriteOrder) && deleted == 0 {
            // Tests only the entry written first, as a store that deletes files might.
            let first = self.entries.lock().unwrap().first().map(|entry| entry.id.clone());
            if let Some(id) = first {
                deleted += u64::from(self.delete(&id).await?);
            }
        }
        Ok(deleted)
    }

    async fn close(&self) -> Result<(), StorageError> {
        let mut closed = self.deleted.lock().unwrap();
        *closed += 1;
        if self.is(Flaw::SecondCloseFails) && *closed > 1 {
            Err(StorageError::Closed)
        } else {
            Ok(())
        }
    }
}

impl Flawed {
    fn select(&self, mut query: Query, mut all: Vec<AuditEntry>) -> Vec<AuditEntry> {
        match self.flaw {
            Flaw::IgnoresCursor => query.after = None,
            Flaw::StopsAfterFirstPage => all.truncate(1_000),
            Flaw::LimitBeforeFilter => {
                let plain =
                    Query::new().order(query.order).limit(query.limit.unwrap_or(usize::MAX));
                let mut found = plain.select(all);
                found.retain(|entry| query.matches(entry));
                return found;
            }
            Flaw::DeletedCursorSkipsTies => {
                if let Some(cursor) = query.after.take() {
                    if all.iter().any(|e| e.id == cursor.id && e.timestamp == cursor.timestamp) {
                        query.after = Some(cursor);
                    } else {
                        all.retain(|e| match query.order {
                            Order::Ascending => e.timestamp > cursor.timestamp,
                            Order::Descending => e.timestamp < cursor.timestamp,
                        });
                    }
                }
            }
            Flaw::DescendingKeepsTieOrder if query.order == Order::Descending => {
                let mut found = query.select(all);
                found.reverse();
                found.sort_by_key(|entry| std::cmp::Reverse(entry.timestamp));
                return found;
            }
            Flaw::DetectorMatchesPrefix => {
                if let Some(name) = query.detector.take() {
                    all.retain(|e| e.detectors_triggered.iter().any(|d| d.starts_with(&name)));
                }
            }
            _ => {}
        }
        query.select(all)
    }
}
