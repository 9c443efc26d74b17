//! What a store leaves to the next open for writing, or could not do there.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use attestry_core::{ErrorChain, StorageError};

use crate::erase::{self, EraseIntent, Refused};
use crate::fs::layout::Folder;
use crate::fs::lock;
use crate::fs::segment_name::SegmentName;
use crate::fs::version::UnknownVersion;

/// A task that opening the store for writing completes, or could not complete. It stops neither recording
/// nor reading.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unfinished {
    /// The segment.
    pub path: PathBuf,
    /// What is to be done.
    pub task: UnfinishedTask,
    /// Why it failed; `None` if it was not tried.
    pub reason: Option<String>,
}

/// What is left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnfinishedTask {
    /// Erase this number of entries. It was begun and not acknowledged. Entries whose bytes are still there
    /// are read. Each open for writing and each deletion, expiry and compaction tries it again.
    Erase {
        /// How many.
        entries: usize,
    },
    /// Carry out the intent log at the path, which another version of Attestry wrote. Until then nothing can be
    /// erased or compacted.
    EraseUnknown,
    /// Remove the segment, whose entries have expired. They are read until then; the next expiry tries it
    /// again.
    Remove,
    /// Repair a last line without a line break.
    RepairLastLine,
}

impl Unfinished {
    fn new(folder: &Folder, segment: SegmentName, task: UnfinishedTask) -> Self {
        Self { path: folder.segment(segment), task, reason: None }
    }

    fn because(self, error: &StorageError) -> Self {
        Self { reason: Some(ErrorChain(error).to_string()), ..self }
    }
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.task {
            UnfinishedTask::Erase { entries } => {
                write!(f, "the erasure of {entries} entries in {path} is not finished")?;
            }
            UnfinishedTask::EraseUnknown => {
                let reason = self.reason.as_deref().unwrap_or_default();
                return write!(f, "an erasure is not finished: {reason}; recording continues");
            }
            UnfinishedTask::Remove => write!(f, "the expired segment {path} is not removed")?,
            UnfinishedTask::RepairLastLine if self.reason.is_none() => {
                return write!(
                    f,
                    "the last line of {path} is a whole entry without its line break; opening the store \
                     for writing adds it"
                );
            }
            UnfinishedTask::RepairLastLine => {
                write!(f, "the last line of {path} has no line break")?;
            }
        }
        match &self.reason {
            None => f.write_str("; opening the store for writing completes that"),
            Some(reason) => write!(
                f,
                ": {reason}; recording continues; allow changes of the file and its folder, \
                 and open the store for writing again"
            ),
        }
    }
}

/// What could not be erased because of `error`. Fails if the intent log cannot be read.
pub(super) fn erasure(
    folder: &Folder,
    error: &StorageError,
) -> Result<Vec<Unfinished>, StorageError> {
    let because = |task: Unfinished| match task.reason {
        Some(_) => task,
        None => task.because(error),
    };
    Ok(pending_tasks(folder)?.into_iter().map(because).collect())
}

/// A segment that could not be removed.
pub(super) fn removal(folder: &Folder, refused: &Refused) -> Unfinished {
    Unfinished::new(folder, refused.segment, UnfinishedTask::Remove).because(&refused.error)
}

/// A segment whose last line could not be repaired.
pub(super) fn last_line(folder: &Folder, segment: SegmentName, error: &StorageError) -> Unfinished {
    Unfinished::new(folder, segment, UnfinishedTask::RepairLastLine).because(error)
}

/// A segment whose last line is a whole entry without a line break.
pub(crate) fn open_tail(folder: &Folder, segment: SegmentName) -> Unfinished {
    Unfinished::new(folder, segment, UnfinishedTask::RepairLastLine)
}

/// The erasures that no process is carrying out now, without the store lock.
pub(crate) fn pending_erasures(folder: &Folder) -> Result<Vec<Unfinished>, StorageError> {
    if pending_tasks(folder)?.is_empty() {
        return Ok(Vec::new());
    }
    match lock::try_exclude_writers(folder)? {
        Some(_excluded) => pending_tasks(folder),
        None => Ok(Vec::new()), // a writer is at work
    }
}

/// The tasks of the intent log, or that it has a version that is not known.
fn pending_tasks(folder: &Folder) -> Result<Vec<Unfinished>, StorageError> {
    match erase::pending(folder) {
        Err(error) if UnknownVersion::is(&error) => {
            let (path, task) = (folder.intent_log(), UnfinishedTask::EraseUnknown);
            Ok(vec![Unfinished { path, task, reason: None }.because(&error)])
        }
        intent => Ok(tasks(folder, &intent?)),
    }
}

fn tasks(folder: &Folder, intent: &EraseIntent) -> Vec<Unfinished> {
    let mut entries: BTreeMap<SegmentName, usize> = BTreeMap::new();
    for line in &intent.lines {
        *entries.entry(line.segment).or_default() += 1;
    }
    let lines = entries
        .into_iter()
        .map(|(name, entries)| Unfinished::new(folder, name, UnfinishedTask::Erase { entries }));
    let segments = intent
        .segments
        .iter()
        .map(|erased| Unfinished::new(folder, erased.segment, UnfinishedTask::Remove));
    lines.chain(segments).collect()
}
