//! Random sequences of operations, held against a model too simple to be wrong.
//!
//! The model is the list of what was written, in that order. After each operation the backend must
//! have answered as the list does, and at the end hold the same. What fails is made as short as
//! possible before it is reported.

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

use crate::check::{ids, panic_text, sorted};
use crate::{Fresh, Store};

/// How many sequences [`suite!`](crate::suite) and [`run_all`](crate::run_all) try.
pub const DEFAULT_CASES: u32 = 64;

/// How many shorter sequences are tried once one has failed.
const MAX_SHRINKS: usize = 400;

/// Runs `cases` random sequences of up to 25 operations, each on a backend that `fresh` makes.
///
/// ```
/// # use attestry_conformance::{Fresh, example::Five as MyBackend};
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// attestry_conformance::model::check(8, async || Fresh::new(MyBackend::default())).await;
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
///
/// When the backend disagrees with the model; the message lists the operations that show it.
pub async fn check(cases: u32, fresh: impl AsyncFn() -> Fresh) {
    let mut runner = TestRunner::default();
    for _ in 0..cases {
        let mut tree = match operations().new_tree(&mut runner) {
            Ok(tree) => tree,
            Err(reason) => panic!("no operations can be made: {reason}"),
        };
        let Err(mut reason) = attempt(&fresh, &tree.current()).await else { continue };
        let mut shortest = tree.current();
        let mut went_on = tree.simplify();
        for _ in 0..MAX_SHRINKS {
            if !went_on {
                break;
            }
            went_on = match attempt(&fresh, &tree.current()).await {
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

async fn attempt(fresh: &impl AsyncFn() -> Fresh, operations: &[Operation]) -> Result<(), String> {
    let fresh = fresh().await;
    let model = Model { store: fresh.store(), written: Vec::new(), fresh_ids: 0 };
    match AssertUnwindSafe(model.run(operations)).catch_unwind().await {
        Ok(result) => result,
        Err(panic) => Err(format!("the backend panicked: {}", panic_text(&*panic))),
    }
}

struct Model {
    store: Store,
    /// In the order written.
    written: Vec<AuditEntry>,
    fresh_ids: usize,
}

impl Model {
    async fn run(mut self, operations: &[Operation]) -> Result<(), String> {
        for (n, operation) in operations.iter().enumerate() {
            self.step(operation).await.map_err(|reason| format!("operation {n}: {reason}"))?;
        }
        self.compare_everything().await.map_err(|reason| format!("at the end: {reason}"))
    }

    fn find(&self, id: &EntryId) -> Option<&AuditEntry> {
        self.written.iter().find(|entry| entry.id == *id)
    }

    /// What `write` promises; `true` where the entry is stored afterwards.
    fn add(&mut self, entry: &AuditEntry) -> bool {
        match self.find(&entry.id) {
            Some(stored) => stored == entry,
            None => {
                self.written.push(entry.clone());
                true
            }
        }
    }

    async fn step(&mut self, operation: &Operation) -> Result<(), String> {
        match operation {
            Operation::Write(entry) => {
                let result = self.store.write(entry).await;
                match (self.add(entry), result) {
                    (true, Ok(id)) => equal(&id, &entry.id, "the id returned"),
                    (false, Err(StorageError::AlreadyExists { id })) => {
                        equal(&id, &entry.id, "the id in AlreadyExists")
                    }
                    (stored, result) => Err(format!(
                        "write gave {result:?}, expected {}",
                        if stored { "Ok" } else { "AlreadyExists" }
                    )),
                }
            }
            Operation::WriteBatch(batch) => self.write_batch(batch).await,
            Operation::Append(entries) => {
                let mut entries = entries.clone();
                for entry in &mut entries {
                    entry.id = EntryId::new_unchecked(&format!("fresh-{}", self.fresh_ids));
                    self.fresh_ids += 1;
                }
                succeeded(self.store.append(&entries).await, "append")?;
                self.written.extend(entries);
                Ok(())
            }
            Operation::Delete(id) => {
                let was_there = self.find(id).is_some();
                self.written.retain(|entry| entry.id != *id);
                equal(&succeeded(self.store.delete(id).await, "delete")?, &was_there, "delete")
            }
            Operation::DeleteUntil(cutoff) => {
                let before = self.written.len();
                self.written.retain(|entry| entry.timestamp > *cutoff);
                let gone = (before - self.written.len()) as u64;
                let result = self.store.delete_at_or_before(*cutoff).await;
                equal(&succeeded(result, "delete_at_or_before")?, &gone, "delete_at_or_before")
            }
            Operation::Read(id) => {
                let found = succeeded(self.store.read(id).await, "read")?;
                equal(&found.as_ref(), &self.find(id), "read")
            }
            Operation::Count => {
                let count = succeeded(self.store.count().await, "count")?;
                equal(&count, &(self.written.len() as u64), "count")
            }
            Operation::List(start, end) => {
                let found = self.store.list_entries(*start, *end).await;
                self.compare(found, &Query::range(*start, *end), "list_entries")
            }
            Operation::Scan(query, place) => {
                let query = place.apply(query, &self.written);
                let found = self.store.scan(query.clone()).try_collect().await;
                self.compare(found, &query, "scan")
            }
        }
    }

    async fn write_batch(&mut self, batch: &[AuditEntry]) -> Result<(), String> {
        let result = self.store.write_batch(batch).await;
        let before = self.written.clone();
        let mut all_stored = true;
        for entry in batch {
            all_stored &= self.add(entry);
        }
        match result {
            Ok(()) if all_stored => Ok(()),
            Err(StorageError::AlreadyExists { id }) if !all_stored => {
                if !batch.iter().any(|entry| entry.id == id) {
                    return Err(format!("AlreadyExists names {id}, which is not in the batch"));
                }
                // Any of the new ones may have been stored, in any order.
                self.written = before;
                let found = self.store.list_entries(Timestamp::MIN, Timestamp::MAX).await;
                for entry in succeeded(found, "list_entries")? {
                    if self.find(&entry.id).is_none() {
                        if !batch.contains(&entry) {
                            return Err(format!("{entry:?} is stored, which nobody wrote"));
                        }
                        self.written.push(entry);
                    }
                }
                self.compare_everything().await
            }
            result => Err(format!(
                "write_batch gave {result:?}, expected {}",
                if all_stored { "Ok" } else { "AlreadyExists" }
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
                other => Err(format!("{what} gave {other:?}, expected InvalidQuery")),
            };
        }
        same(&succeeded(found, what)?, &naive(query, &self.written), &format!("{what} {query:?}"))
    }

    async fn compare_everything(&self) -> Result<(), String> {
        let expected = sorted(&self.written);
        let listed = self.store.list_entries(Timestamp::MIN, Timestamp::MAX).await;
        same(&succeeded(listed, "list_entries")?, &expected, "list_entries of everything")?;
        let scanned = self.store.scan(Query::new()).try_collect::<Vec<_>>().await;
        same(&succeeded(scanned, "scan")?, &expected, "scan of everything")?;
        for entry in &expected {
            let found = succeeded(self.store.read(&entry.id).await, "read")?;
            equal(&found.as_ref(), &Some(entry), "read")?;
        }
        let count = succeeded(self.store.count().await, "count")?;
        equal(&count, &(expected.len() as u64), "count")
    }
}

fn succeeded<T>(result: Result<T, StorageError>, what: &str) -> Result<T, String> {
    result.map_err(|error| format!("{what} failed: {error:?}"))
}

fn equal<T: PartialEq + std::fmt::Debug>(
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

fn same(found: &[AuditEntry], expected: &[AuditEntry], what: &str) -> Result<(), String> {
    equal(&ids(found), &ids(expected), what)?;
    found.iter().zip(expected).try_for_each(|(found, expected)| equal(found, expected, what))
}
