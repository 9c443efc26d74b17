//! The suite on backends that break one promise each: the case that is there for it must fail.
#![allow(clippy::unwrap_used)] // helpers of a test

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;

use attestry_conformance::{Fresh, cases, model};
use attestry_core::{
    AppendFuture, AuditEntry, EntryId, EntryStream, Order, Query, StorageBackend, StorageError,
    Timestamp, async_trait,
};
use futures_util::{FutureExt, StreamExt, stream};

/// What a backend does wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Flaw {
    None,
    Replaces,
    IgnoresDifferences,
    RefusesEqualRewrites,
    MovesEqualRewrites,
    ComparesOnlyContent,
    KeysByDay,
    ExclusiveStart,
    ExclusiveEnd,
    ReversesTies,
    SortsTiesById,
    OrderOfWriting,
    InvertedIsEmpty,
    WritesBeforeValidating,
    ValidatesNothing,
    ChecksWithoutLock,
    WritesInTwoSteps,
    Milliseconds,
    IgnoresCase,
    DropsNul,
    SplitsLines,
    EmptyIsNone,
    CountsDeleted,
    DeleteForgetsToTell,
    DeletesPrefixes,
    CutoffExclusive,
    CutoffByWriting,
    BatchSkipsLast,
    BatchReplaces,
    AppendDuplicates,
    AppendsUnasked,
    LimitBeforeFilter,
    IgnoresCursor,
    DeletedCursorSkipsItsMoment,
    DescendingKeepsTies,
    StopsAfterAPage,
    DetectorByPrefix,
    LockHeldByScan,
    DebugShowsEverything,
    CloseOnce,
}

struct Flawed {
    flaw: Flaw,
    entries: Mutex<Vec<AuditEntry>>,
    deleted: Mutex<u64>,
    scans: tokio::sync::RwLock<()>,
}

impl Flawed {
    fn new(flaw: Flaw) -> Self {
        let entries = Mutex::default();
        Self { flaw, entries, deleted: Mutex::default(), scans: tokio::sync::RwLock::new(()) }
    }

    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn same_id(&self, a: &AuditEntry, b: &AuditEntry) -> bool {
        a.id == b.id && (!self.is(Flaw::KeysByDay) || a.timestamp.date() == b.timestamp.date())
    }

    fn equal(&self, a: &AuditEntry, b: &AuditEntry) -> bool {
        if self.is(Flaw::ComparesOnlyContent) {
            return a.input_content == b.input_content && a.output_content == b.output_content;
        }
        a == b
    }

    fn distort(&self, mut entry: AuditEntry) -> AuditEntry {
        match self.flaw {
            Flaw::Milliseconds => {
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
            Flaw::EmptyIsNone => entry.provider = entry.provider.filter(|text| !text.is_empty()),
            _ => {}
        }
        entry
    }
}

impl std::fmt::Debug for Flawed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is(Flaw::DebugShowsEverything) {
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
        if !self.is(Flaw::ValidatesNothing) && !self.is(Flaw::WritesBeforeValidating) {
            entry.validate()?;
        }
        if self.is(Flaw::LockHeldByScan) {
            drop(self.scans.write().await);
        }
        let new = self.distort(entry.clone());
        let stored =
            self.entries.lock().unwrap().iter().find(|stored| self.same_id(stored, &new)).cloned();
        if self.is(Flaw::ChecksWithoutLock) {
            // Long enough for the others to look too, on a busy machine as well.
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        match stored {
            Some(stored) if self.equal(&stored, &new) => {
                if self.is(Flaw::RefusesEqualRewrites) {
                    return Err(StorageError::AlreadyExists { id: entry.id.clone() });
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
            Some(_) => return Err(StorageError::AlreadyExists { id: entry.id.clone() }),
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
                // Looking and adding lie apart; only one flaw lets another task in between.
                let mut entries = self.entries.lock().unwrap();
                let raced = entries.iter().find(|stored| self.same_id(stored, &new));
                match raced {
                    Some(other) if !self.is(Flaw::ChecksWithoutLock) => {
                        if *other != new {
                            return Err(StorageError::AlreadyExists { id: entry.id.clone() });
                        }
                    }
                    _ => entries.push(new),
                }
            }
        }
        if self.is(Flaw::WritesBeforeValidating) {
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
        if !self.is(Flaw::InvertedIsEmpty) {
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
            Flaw::OrderOfWriting => {}
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
        if self.is(Flaw::LockHeldByScan) {
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
        let gone = before - entries.len();
        *self.deleted.lock().unwrap() += gone as u64;
        Ok(gone > 0 && !self.is(Flaw::DeleteForgetsToTell))
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

    fn append(&self, entries: &[AuditEntry]) -> AppendFuture<'_> {
        if self.is(Flaw::AppendsUnasked) {
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

    fn scan(&self, query: Query) -> EntryStream<'_> {
        let found = async move {
            let guard = match self.flaw {
                Flaw::LockHeldByScan => Some(self.scans.read().await),
                _ => None,
            };
            let answer = async {
                if !self.is(Flaw::InvertedIsEmpty) {
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
        let mut gone = 0;
        for entry in self.list_entries(Timestamp::MIN, cutoff).await? {
            if self.is(Flaw::CutoffExclusive) && entry.timestamp == cutoff {
                continue;
            }
            gone += u64::from(self.delete(&entry.id).await?);
        }
        if self.is(Flaw::CutoffByWriting) && gone == 0 {
            // Looks at the first written only, as a store of whole files might.
            let first = self.entries.lock().unwrap().first().map(|entry| entry.id.clone());
            if let Some(id) = first {
                gone += u64::from(self.delete(&id).await?);
            }
        }
        Ok(gone)
    }

    async fn close(&self) -> Result<(), StorageError> {
        let mut closed = self.deleted.lock().unwrap();
        *closed += 1;
        if self.is(Flaw::CloseOnce) && *closed > 1 { Err(StorageError::Closed) } else { Ok(()) }
    }
}

impl Flawed {
    fn select(&self, mut query: Query, mut all: Vec<AuditEntry>) -> Vec<AuditEntry> {
        match self.flaw {
            Flaw::IgnoresCursor => query.after = None,
            Flaw::StopsAfterAPage => all.truncate(1_000),
            Flaw::LimitBeforeFilter => {
                let plain =
                    Query::new().order(query.order).limit(query.limit.unwrap_or(usize::MAX));
                let mut found = plain.select(all);
                found.retain(|entry| query.matches(entry));
                return found;
            }
            Flaw::DeletedCursorSkipsItsMoment => {
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
            Flaw::DescendingKeepsTies if query.order == Order::Descending => {
                let mut found = query.select(all);
                found.reverse();
                found.sort_by_key(|entry| std::cmp::Reverse(entry.timestamp));
                return found;
            }
            Flaw::DetectorByPrefix => {
                if let Some(name) = query.detector.take() {
                    all.retain(|e| e.detectors_triggered.iter().any(|d| d.starts_with(&name)));
                }
            }
            _ => {}
        }
        query.select(all)
    }
}

/// The names of the cases that a backend with this flaw fails, of those named.
async fn failures(flaw: Flaw, named: &[&str]) -> BTreeSet<&'static str> {
    let mut failed = BTreeSet::new();
    for case in cases() {
        if !named.contains(&case.name()) {
            continue;
        }
        let fresh = Fresh::new(Flawed::new(flaw));
        let run = case.run(fresh.store());
        if AssertUnwindSafe(run).catch_unwind().await.is_err() {
            failed.insert(case.name());
        }
    }
    failed
}

macro_rules! caught {
    ($($flaw:ident => [$($case:literal),+ $(,)?];)+) => {
        const EXPECTED: &[(Flaw, &[&str])] = &[$((Flaw::$flaw, &[$($case),+])),+];
    };
}

caught! {
    Replaces => ["immutability::a_differing_rewrite_is_refused", "immutability::every_field_counts_as_a_difference"];
    IgnoresDifferences => ["immutability::a_differing_rewrite_is_refused", "immutability::two_that_differ_in_one_batch_are_refused"];
    RefusesEqualRewrites => ["immutability::an_equal_rewrite_succeeds", "immutability::an_equal_rewrite_succeeds_later", "immutability::a_batch_may_be_repeated", "writing::write_returns_the_id"];
    MovesEqualRewrites => ["immutability::an_equal_rewrite_keeps_its_place"];
    ComparesOnlyContent => ["immutability::every_field_counts_as_a_difference"];
    KeysByDay => ["immutability::another_day_is_a_difference", "concurrency::of_differing_writers_exactly_one_wins"];
    ExclusiveStart => ["ranges::both_ends_are_inclusive", "ranges::ends_are_exact_to_the_microsecond"];
    ExclusiveEnd => ["ranges::both_ends_are_inclusive", "deleting::delete_until_takes_the_cutoff_too"];
    ReversesTies => ["ranges::ties_come_as_written", "ranges::ties_come_as_written_across_batches"];
    SortsTiesById => ["ranges::ties_come_as_written", "concurrency::each_writer_keeps_its_order"];
    OrderOfWriting => ["ranges::order_is_by_time_however_written"];
    InvertedIsEmpty => ["ranges::an_inverted_range_is_refused", "scanning::an_inverted_range_is_one_error"];
    WritesBeforeValidating => ["writing::invalid_entries_are_refused_and_nothing_is_written", "writing::an_invalid_entry_in_a_batch_is_refused_and_absent"];
    ValidatesNothing => ["writing::invalid_entries_are_refused_and_nothing_is_written"];
    ChecksWithoutLock => ["concurrency::of_differing_writers_exactly_one_wins", "concurrency::equal_writers_all_succeed"];
    WritesInTwoSteps => ["cancellation::a_cancelled_write_leaves_it_whole_or_absent", "cancellation::a_cancelled_batch_leaves_each_whole_or_absent"];
    Milliseconds => ["writing::an_entry_comes_back_as_written", "ranges::both_ends_are_inclusive"];
    IgnoresCase => ["reading::a_similar_id_is_not_taken_for_another", "content::ids_of_every_form"];
    DropsNul => ["content::text_of_every_kind", "content::a_mebibyte_of_content"];
    SplitsLines => ["content::line_breaks_do_not_split_an_entry"];
    EmptyIsNone => ["content::empty_text_is_not_absent_text"];
    CountsDeleted => ["deleting::a_deleted_entry_is_gone_everywhere"];
    DeleteForgetsToTell => ["deleting::a_deleted_entry_is_gone_everywhere", "concurrency::one_entry_deleted_by_many_is_gone"];
    DeletesPrefixes => ["reading::a_similar_id_is_not_taken_for_another", "content::ids_of_every_form"];
    CutoffExclusive => ["deleting::delete_until_takes_the_cutoff_too", "deleting::delete_until_goes_by_the_entries_time"];
    CutoffByWriting => ["deleting::delete_until_takes_the_cutoff_too"];
    BatchSkipsLast => ["writing::a_batch_stores_all"];
    BatchReplaces => ["immutability::a_differing_rewrite_in_a_batch_is_refused", "immutability::two_that_differ_in_one_batch_are_refused"];
    AppendDuplicates => ["writing::append_stores_all"];
    AppendsUnasked => ["writing::append_stores_all"];
    LimitBeforeFilter => ["scanning::limits_are_kept", "scanning::filters_combine"];
    IgnoresCursor => ["scanning::pages_join_to_the_whole", "scanning::a_cursor_and_a_range_both_hold"];
    DeletedCursorSkipsItsMoment => ["scanning::a_deleted_cursor_repeats_its_moment_and_skips_nothing", "scanning::a_cursor_of_another_moment_is_a_deleted_one"];
    DescendingKeepsTies => ["scanning::descending_is_the_exact_reverse"];
    StopsAfterAPage => ["scanning::a_long_scan_is_complete"];
    DetectorByPrefix => ["scanning::each_filter_selects"];
    DebugShowsEverything => ["lifecycle::debug_shows_no_content"];
    CloseOnce => ["lifecycle::close_may_be_called_twice"];
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_flaw_is_caught_by_its_cases() {
    for (flaw, named) in EXPECTED {
        let expected: BTreeSet<_> = named.iter().copied().collect();
        assert_eq!(failures(*flaw, named).await, expected, "{flaw:?}");
    }
}

/// Otherwise the test above would prove nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_a_flaw_nothing_fails() {
    attestry_conformance::run_all(async || Fresh::new(Flawed::new(Flaw::None))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_model_catches_flaws_too() {
    for flaw in [
        Flaw::Replaces,
        Flaw::MovesEqualRewrites,
        Flaw::ExclusiveEnd,
        Flaw::ReversesTies,
        Flaw::DescendingKeepsTies,
        Flaw::DeletedCursorSkipsItsMoment,
        Flaw::CutoffExclusive,
        Flaw::BatchReplaces,
        Flaw::AppendDuplicates,
        Flaw::LimitBeforeFilter,
    ] {
        let check = model::check(2_000, async || Fresh::new(Flawed::new(flaw)));
        let panic = AssertUnwindSafe(check).catch_unwind().await.expect_err("the model disagrees");
        let message = panic.downcast_ref::<String>().expect("a message");
        assert!(message.contains("disagrees with the model"), "{flaw:?}: {message}");
        let operations = message.lines().skip_while(|line| !line.starts_with("after")).count() - 1;
        assert!((1..=8).contains(&operations), "{flaw:?} was not made short: {message}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn run_all_names_what_failed() {
    let all = attestry_conformance::run_all(async || Fresh::new(Flawed::new(Flaw::ExclusiveEnd)));
    let panic = AssertUnwindSafe(all).catch_unwind().await.expect_err("some fail");
    let message = panic.downcast_ref::<String>().expect("a message");
    assert!(message.contains("ranges::both_ends_are_inclusive: "), "{message}");
    assert!(message.contains("\nmodel: "), "{message}");
    assert!(!message.contains("debug_shows_no_content"), "{message}");
}

/// A writer that has to wait for an open scan is not left waiting for ever.
#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_scan_that_blocks_writers_is_caught() {
    let name = "scanning::a_scan_and_a_writer_do_not_disturb_each_other";
    assert_eq!(failures(Flaw::LockHeldByScan, &[name]).await, BTreeSet::from([name]));
    assert!(failures(Flaw::None, &[name]).await.is_empty());
}
