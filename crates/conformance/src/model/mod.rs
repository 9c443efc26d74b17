//! Compares a backend with a simple model over random sequences of operations.
//!
//! The model is a list of the stored entries in write order. Each operation must return what the
//! model predicts, and at the end the backend must hold the same entries. A failing sequence is
//! shrunk before it is reported.

mod naive;
mod operation;

use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;

use attestry_core::{AuditEntry, EntryId, Query, StorageError, Timestamp};
use futures_util::{FutureExt, TryStreamExt};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

pub(crate) use naive::naive;
use operation::{Operation, operations};

use crate::check::{ids, panic_message, sorted};
use crate::{Fresh, Store};

/// The number of sequences that [`suite!`](crate::suite) and [`run_all`](crate::run_all) run.
pub const DEFAULT_CASES: u32 = 64;

/// The limit of attempts to shrink a failing sequence.
const MAX_SHRINK_STEPS: usize = 400;

/// Runs `cases` random sequences of up to 25 operations, each on a backend that `fresh` creates.
///
/// ```
/// # use attestry_conformance::{Fresh, example::MinimalBackend as MyBackend};
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// attestry_conformance::model::check(8, async || Fresh::new(MyBackend::default())).await;
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
///
/// If the backend disagrees with the model. The message lists the shrunk sequence of operations.
pub async fn check(cases: u32, fresh: impl AsyncFn() -> Fresh) {
    let mut runner = TestRunner::default();
    for _ in 0..cases {
        let mut tree = match operations().new_tree(&mut runner) {
            Ok(tree) => tree,
            Err(reason) => panic!("cannot generate operations: {reason}"),
        };
        let Err(mut reason) = run_once(&fresh, &tree.current()).await else { continue };
        let mut shortest = tree.current();
        let mut can_shrink = tree.simplify();
        for _ in 0..MAX_SHRINK_STEPS {
            if !can_shrink {
                break;
            }
            can_shrink = match run_once(&fresh, &tree.current()).await {
                Err(new_reason) => {
                    (shortest, reason) = (tree.current(), new_reason);
                    tree.simplify()
                }
                Ok(()) => tree.complicate(),
            };
        }
        let mut steps = String::new();
        for (n, operation) in shortest.iter().enumerate() {
            let _ = write!(steps, "\n  {n}: {operation:?}");
        }
        panic!("the backend disagrees with the model: {reason}\nafter{steps}");
    }
}

async fn run_once(fresh: &impl AsyncFn() -> Fresh, operations: &[Operation]) -> Result<(), String> {
    let fresh = fresh().await;
    let model = Model { store: fresh.store(), written: Vec::new(), append_ids: 0 };
    match AssertUnwindSafe(model.run(operations)).catch_unwind().await {
        Ok(result) => result,
        Err(panic) => Err(format!("the backend panicked: {}", panic_message(&*panic))),
    }
}

struct Model {
    store: Store,
    /// The stored entries in write order.
    written: Vec<AuditEntry>,
    append_ids: usize,
}

impl Model {
    async fn run(mut self, operations: &[Operation]) -> Result<(), String> {
        for (n, operation) in operations.iter().enumerate() {
            self.apply(operation).await.map_err(|reason| format!("operation {n}: {reason}"))?;
        }
        self.compare_all().await.map_err(|reason| format!("at the end: {reason}"))
    }

    fn get(&self, id: &EntryId) -> Option<&AuditEntry> {
        self.written.iter().find(|entry| entry.id == *id)
    }

    /// Applies `write`. Returns `false` for a conflict with the stored entry.
    fn put(&mut self, entry: &AuditEntry) -> bool {
        match self.get(&entry.id) {
            Some(stored) => stored == entry,
            None => {
                self.written.push(entry.clone());
                true
            }
        }
    }

    async fn apply(&mut self, operation: &Operation) -> Result<(), String> {
        match operation {
            Operation::Write(entry) => {
                let result = self.store.write(entry).await;
                match (self.put(entry), result) {
                    (true, Ok(id)) => check_equal(&id, &entry.id, "the returned id"),
                    (false, Err(StorageError::AlreadyExists { id, .. })) => {
                        check_equal(&id, &entry.id, "the id in AlreadyExists")
                    }
                    (no_conflict, result) => Err(format!(
                        "write returned {result:?}, expected {}",
                        if no_conflict { "Ok" } else { "AlreadyExists" }
                    )),
                }
            }
            Operation::WriteBatch(batch) => self.write_batch(batch).await,
            Operation::Append(entries) => {
                let mut entries = entries.clone();
                for entry in &mut entries {
                    entry.id = EntryId::new_unchecked(&format!("appended-{}", self.append_ids));
                    self.append_ids += 1;
                }
                expect_ok(self.store.append(&entries).await, "append")?;
                self.written.extend(entries);
                Ok(())
            }
            Operation::Delete(id) => {
                let was_stored = self.get(id).is_some();
                self.written.retain(|entry| entry.id != *id);
                check_equal(
                    &expect_ok(self.store.delete(id).await, "delete")?,
                    &was_stored,
                    "delete",
                )
            }
            Operation::DeleteAtOrBefore(cutoff) => {
                let before = self.written.len();
                self.written.retain(|entry| entry.timestamp > *cutoff);
                let deleted = (before - self.written.len()) as u64;
                let result = self.store.delete_at_or_before(*cutoff).await;
                check_equal(
                    &expect_ok(result, "delete_at_or_before")?,
                    &deleted,
                    "delete_at_or_before",
                )
            }
            Operation::Read(id) => {
                let found = expect_ok(self.store.read(id).await, "read")?;
                check_equal(&found.as_ref(), &self.get(id), "read")
            }
            Operation::Count => {
                let count = expect_ok(self.store.count().await, "count")?;
                check_equal(&count, &(self.written.len() as u64), "count")
            }
            Operation::List(start, end) => {
                let found = self.store.list_entries(*start, *end).await;
                self.compare(found, &Query::range(*start, *end), "list_entries")
            }
            Operation::Scan(query, start) => {
                let query = start.apply(query, &self.written);
                let found = self.store.scan(query.clone()).try_collect().await;
                self.compare(found, &query, "scan")
            }
        }
    }

    async fn write_batch(&mut self, batch: &[AuditEntry]) -> Result<(), String> {
        let result = self.store.write_batch(batch).await;
        let before = self.written.clone();
        let mut no_conflict = true;
        for entry in batch {
            no_conflict &= self.put(entry);
        }
        match result {
            Ok(()) if no_conflict => Ok(()),
            Err(StorageError::AlreadyExists { id, .. }) if !no_conflict => {
                if !batch.iter().any(|entry| entry.id == id) {
                    return Err(format!(
                        "AlreadyExists has the id {id}, which is not in the batch"
                    ));
                }
                // Any of the new entries may have been stored, in any order.
                self.written = before;
                let found = self.store.list_entries(Timestamp::MIN, Timestamp::MAX).await;
                for entry in expect_ok(found, "list_entries")? {
                    if self.get(&entry.id).is_none() {
                        if !batch.contains(&entry) {
                            return Err(format!("{entry:?} is stored, but was never written"));
                        }
                        self.written.push(entry);
                    }
                }
                self.compare_all().await
            }
            result => Err(format!(
                "write_batch returned {result:?}, expected {}",
                if no_conflict { "Ok" } else { "AlreadyExists" }
            )),
        }
    }

    fn compare(
        &self,
        found: Result<Vec<AuditEntry>, StorageError>,
        query: &Query,
        what: &str,
    ) -> Result<(), String> {
        if query.validate().is_err() {
            return match found {
                Err(StorageError::InvalidQuery(_)) => Ok(()),
                other => Err(format!("{what} returned {other:?}, expected InvalidQuery")),
            };
        }
        check_same(
            &expect_ok(found, what)?,
            &naive(query, &self.written),
            &format!("{what} {query:?}"),
        )
    }

    async fn compare_all(&self) -> Result<(), String> {
        let expected = sorted(&self.written);
        let listed = self.store.list_entries(Timestamp::MIN, Timestamp::MAX).await;
        check_same(&expect_ok(listed, "list_entries")?, &expected, "list_entries of all entries")?;
        let scanned = self.store.scan(Query::new()).try_collect::<Vec<_>>().await;
        check_same(&expect_ok(scanned, "scan")?, &expected, "scan of all entries")?;
        for entry in &expected {
            let found = expect_ok(self.store.read(&entry.id).await, "read")?;
            check_equal(&found.as_ref(), &Some(entry), "read")?;
        }
        let count = expect_ok(self.store.count().await, "count")?;
        check_equal(&count, &(expected.len() as u64), "count")
    }
}

fn expect_ok<T>(result: Result<T, StorageError>, what: &str) -> Result<T, String> {
    result.map_err(|error| format!("{what} failed: {error:?}"))
}

fn check_equal<T: PartialEq + std::fmt::Debug>(
    found: &T,
    expected: &T,
    what: &str,
) -> Result<(), String> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what}: found {found:?}, expected {expected:?}"))
    }
}

fn check_same(found: &[AuditEntry], expected: &[AuditEntry], what: &str) -> Result<(), String> {
    check_equal(&ids(found), &ids(expected), what)?;
    found.iter().zip(expected).try_for_each(|(found, expected)| check_equal(found, expected, what))
}
