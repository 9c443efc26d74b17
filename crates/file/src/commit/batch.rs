//! Lines of many callers on their way to the disk together.

use std::collections::HashMap;

use attestry_core::{EntryId, StorageError, line};

use super::queue::{Answer, Append, Lines};
use crate::catalog::Catalog;
use crate::lock::Held;
use crate::segment::{AppendError, Appended, LineEnd};
use crate::sys;

/// The lines of consecutive appends, and who waits for which of them.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    ends: Vec<LineEnd>,
    waiters: Vec<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    /// It may be answered once this many lines of the batch are durable.
    needs: usize,
    /// What it is told then, where that is settled already.
    refused: Option<StorageError>,
    /// What it handed in, to be given back.
    handed_in: Lines,
    answer: Answer<Lines>,
    _room: tokio::sync::OwnedSemaphorePermit,
}

impl Batch {
    /// Joins `appends`. Of those whose ids are to be checked, lines that are stored already are
    /// left out, and an append that would replace an entry is refused.
    pub(super) fn gather(appends: Vec<Append>, catalog: &Catalog, held: &Held<'_>) -> Self {
        let mut batch = Self::default();
        // Ids in this batch, which the catalog cannot know of yet, with the number of their line.
        let mut gathered: HashMap<EntryId, usize> = HashMap::new();
        // Lines up to this one are in `gathered`. Those that came unchecked are read only where it
        // matters.
        let mut named = 0;
        for Append { lines, answer, _room } in appends {
            let mut refused = None;
            let mut needs = 0;
            let mut start = 0;
            if !lines.checked_ids.is_empty() {
                batch.name_lines(named, &mut gathered);
            }
            for (number, end) in lines.ends.iter().enumerate() {
                let line = &lines.bytes[start..end.at];
                start = end.at;
                let known = match lines.checked_ids.get(number) {
                    None => Ok(None),
                    Some(id) => match gathered.get(id) {
                        Some(&at) => same_entry(batch.line(at), line, id).map(|()| Some(at + 1)),
                        None => {
                            is_stored(catalog, held, id, line).map(|stored| stored.then_some(0))
                        }
                    },
                };
                match known {
                    Ok(Some(line_needed)) => needs = needs.max(line_needed),
                    Ok(None) => {
                        if let Some(id) = lines.checked_ids.get(number) {
                            gathered.insert(id.clone(), batch.ends.len());
                        }
                        batch.bytes.extend_from_slice(line);
                        batch.ends.push(LineEnd { at: batch.bytes.len(), leaf: end.leaf });
                        needs = batch.ends.len();
                    }
                    Err(error) => {
                        refused = Some(error);
                        break;
                    }
                }
            }
            if !lines.checked_ids.is_empty() {
                named = batch.ends.len();
            }
            let handed_in = lines;
            batch.waiters.push(Waiter { needs, refused, handed_in, answer, _room });
        }
        batch
    }

    /// Adds the ids of the lines from `first` on to `gathered`: a checked append must find what an
    /// unchecked one, perhaps the same that was given up, has put before it.
    fn name_lines(&self, first: usize, gathered: &mut HashMap<EntryId, usize>) {
        for number in first..self.ends.len() {
            if let Ok(entry) = line::decode(self.line(number)) {
                gathered.entry(entry.id).or_insert(number);
            }
        }
    }

    fn line(&self, number: usize) -> &[u8] {
        let start = if number == 0 { 0 } else { self.ends[number - 1].at };
        &self.bytes[start..self.ends[number].at]
    }

    /// Stores the batch with `append`, and returns what its callers are to be told.
    pub(super) fn commit(
        self,
        append: impl FnOnce(&Appended<'_>) -> Result<(), AppendError>,
    ) -> Answers {
        let Self { bytes, ends, .. } = &self;
        let lines = Appended { bytes, ends };
        let stored = if ends.is_empty() { Ok(()) } else { append(&lines) };
        Answers { stored, waiters: self.waiters }
    }
}

/// What callers are to be told.
#[derive(Debug)]
#[must_use = "callers wait for them"]
pub(super) struct Answers {
    stored: Result<(), AppendError>,
    waiters: Vec<Waiter>,
}

impl Answers {
    /// For nobody.
    pub(super) fn none() -> Self {
        Self { stored: Ok(()), waiters: Vec::new() }
    }

    /// Tells them. Best when nothing is held any more that their next calls need.
    pub(super) fn tell(self) {
        for waiter in self.waiters {
            let outcome = match (&self.stored, waiter.refused) {
                (_, Some(refused)) => Err(refused),
                (Err(failed), None) if waiter.needs > failed.durable_lines => {
                    Err(share(&failed.error))
                }
                _ => Ok(waiter.handed_in),
            };
            // A caller that went away does not hear the answer.
            drop(waiter.answer.send(outcome));
        }
    }
}

/// Whether an equal entry is stored already.
fn is_stored(
    catalog: &Catalog,
    held: &Held<'_>,
    id: &EntryId,
    line: &[u8],
) -> Result<bool, StorageError> {
    let Some(found) = catalog.find(&catalog.snapshot_locked(held)?, id)? else { return Ok(false) };
    let new = line::decode(line).ok();
    if new.as_ref() == Some(&found.entry) {
        Ok(true)
    } else {
        Err(StorageError::AlreadyExists { id: id.clone() })
    }
}

fn same_entry(stored: &[u8], line: &[u8], id: &EntryId) -> Result<(), StorageError> {
    if stored == line || line::decode(stored).ok() == line::decode(line).ok() {
        Ok(())
    } else {
        Err(StorageError::AlreadyExists { id: id.clone() })
    }
}

/// The same failure for each of those who wait for one write.
pub(super) fn share(error: &StorageError) -> StorageError {
    match error {
        StorageError::Io { action, path, source } => {
            StorageError::io(action, path, sys::share(source))
        }
        StorageError::Locked { path } => StorageError::Locked { path: path.clone() },
        StorageError::Closed => StorageError::Closed,
        other => StorageError::Other { message: other.to_string(), source: None },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use attestry_core::{AuditEntry, Timestamp};
    use tokio::sync::{Semaphore, oneshot};

    use super::*;
    use crate::catalog::Listener;
    use crate::evidence::leaf_of;
    use crate::folder::Folder;
    use crate::lock::StoreLock;
    use crate::recovery;

    type Told = oneshot::Receiver<Result<Lines, StorageError>>;

    fn append(input: &str, checked: bool) -> (Append, Told) {
        let id: EntryId = "an-id".parse().unwrap();
        let entry = AuditEntry::new(id.clone(), Timestamp::UNIX_EPOCH, input.into(), "o".into());
        let bytes = line::encode(&entry).unwrap();
        let lines = Lines {
            ends: vec![LineEnd { at: bytes.len(), leaf: leaf_of(&bytes, true) }],
            bytes,
            checked_ids: if checked { vec![id] } else { Vec::new() },
        };
        let (answer, told) = oneshot::channel();
        let _room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        (Append { lines, answer, _room }, told)
    }

    /// How many lines of `appends` are stored, when nothing was stored before.
    fn lines_of(appends: Vec<Append>) -> usize {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("audit"));
        recovery::create(&folder).unwrap();
        let lock = Arc::new(StoreLock::open(&folder).unwrap());
        let catalog = Catalog::new(folder, Some(Arc::clone(&lock)), Listener::default());
        let batch = Batch::gather(appends, &catalog, &lock.acquire().unwrap());
        let mut stored = 0;
        let answers = batch.commit(|lines| {
            stored = lines.ends.len();
            Ok(())
        });
        answers.tell();
        stored
    }

    #[test]
    fn an_id_is_found_among_lines_that_wait_unchecked() {
        // As after an append that was dropped, and a write that makes sure.
        let ((dropped, _), (again, mut told)) = (append("in", false), append("in", true));
        assert_eq!(lines_of(vec![dropped, again]), 1);
        assert!(told.try_recv().unwrap().is_ok());
        let ((first, _), (other, mut told)) = (append("in", false), append("other", true));
        assert_eq!(lines_of(vec![first, other]), 1);
        assert!(matches!(told.try_recv().unwrap(), Err(StorageError::AlreadyExists { .. })));
    }
}
