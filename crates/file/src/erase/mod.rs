//! Erases lines in place, and segments as a whole. An intent log completes after a crash what was
//! started.
//!
//! A line is overwritten with spaces; its line break stays. Readers, also the Python package, skip blank
//! lines, no other line moves, and the cost does not depend on the size of the store. The steps:
//!
//! 1. Write the lines and segments to the intent log; sync it.
//! 2. Overwrite the lines, sync their files, and count them in their index files. Unlink the segments,
//!    sync their folder.
//! 3. Report the erasure to the observer, which records it durably.
//! 4. Empty the intent log; sync it.
//!
//! After a crash during step 1 nothing is erased. After a later one the next open repeats steps 2 to 4.
//! They are idempotent, since no name or offset changes while the intent log is not empty. Other programs
//! do not know the intent log: a line or file that is not the one it was is left alone.

#[cfg(any(test, fuzzing))]
#[path = "../../tests/fuzz/intent_log.rs"]
pub(crate) mod fuzzing;
mod intent_log;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use attestry_core::{StorageError, Timestamp, event, hash_content};

use crate::fs::epoch;
use crate::fs::layout::Folder;
use crate::fs::open;
use crate::fs::segment_name::SegmentName;
use crate::fs::sys::{self, FileId, FileState};
use crate::observer::{IntentCheck, LogObserver};
use crate::segment::IndexFile;

use intent_log::FoundIntent;
pub(crate) use intent_log::{EraseIntent, ErasedLine, ErasedSegment};

/// Erasures of one store. Owned by the writer thread; every method requires the store lock.
#[derive(Debug)]
pub(crate) struct Erasures {
    folder: Folder,
    /// Its path, which is needed for every batch.
    intent_log: PathBuf,
    /// The intent log is not empty, or may not be.
    pending: bool,
}

impl Erasures {
    fn new(folder: Folder, pending: bool) -> Self {
        let intent_log = folder.intent_log();
        Self { folder, intent_log, pending }
    }

    /// Completes what an earlier process left; the error says why that is not possible now.
    pub(crate) fn recover(
        folder: Folder,
        observer: &mut dyn LogObserver,
    ) -> (Self, Result<Completed, StorageError>) {
        let mut erasures = Self::new(folder, true);
        let completed = erasures.finish_pending(observer);
        (erasures, completed)
    }

    /// Erases what `intent` names. When it returns, the bytes are gone from the files, except for segments
    /// that the system refused to unlink: it returns those, unchanged. After an error nothing was changed,
    /// or the erasure is [pending](Self::is_pending). A file that may not be written to is an error before
    /// anything is changed.
    pub(crate) fn erase(
        &mut self,
        mut intent: EraseIntent,
        observer: &mut dyn LogObserver,
    ) -> Result<Vec<Refused>, StorageError> {
        self.finish_pending(observer)?;
        if intent.is_empty() {
            return Ok(Vec::new());
        }
        observer.before_erase()?;
        self.identify_lines(&mut intent.lines, observer)?;
        for erased in &mut intent.segments {
            erased.leaves = observer.leaves_of(erased.segment)?;
        }
        if observer.leaf_hasher().is_none() {
            intent.reason = None;
        }
        self.pending = true;
        if let Err(error) = self.write_intent(&intent, observer) {
            // Nothing was overwritten. The intent log may be whole; if it were kept, it would be
            // executed when its names mean something else.
            self.pending = self.clear_intent().is_err();
            // Expiry must work on a full disk, since it frees space. Unlinking needs no intent log if
            // nothing is recorded: after a crash, the remaining segments are still expired.
            let only_unlinks = intent.lines.is_empty() && intent.reason.is_none();
            if self.pending || !only_unlinks || !is_full(&error) {
                return Err(error);
            }
        }
        self.complete(intent, false, observer).map(|completed| completed.refused)
    }

    /// Adds to `lines` the checksums that identify them, and their leaves. Opens each file as it is opened
    /// to overwrite the lines, so that a file which does not permit that is never in an intent log.
    fn identify_lines(
        &self,
        lines: &mut [ErasedLine],
        observer: &mut dyn LogObserver,
    ) -> Result<(), StorageError> {
        let mut open: Option<(SegmentName, File, u64)> = None;
        for line in lines {
            let path = self.folder.segment(line.segment);
            let failed = |source| StorageError::io("erase lines of", &path, source);
            let (file, length) = match open.take() {
                Some((name, file, length)) if name == line.segment => (file, length),
                _ => {
                    let file = open::read_write(&path).map_err(failed)?;
                    let length = sys::length_of(&file).map_err(failed)?;
                    (file, length)
                }
            };
            let bytes = read(&file, line).map_err(failed)?;
            line.set_checksums(&bytes);
            let position = line.offset as f64 / length.max(1) as f64;
            line.leaf = observer.find_leaf(line.segment, &bytes, position)?;
            open = Some((line.segment, file, length));
        }
        Ok(())
    }

    /// Whether an erasure may be incomplete, until the intent log is executed again.
    pub(crate) fn is_pending(&self) -> bool {
        self.pending
    }

    fn write_intent(
        &self,
        intent: &EraseIntent,
        observer: &mut dyn LogObserver,
    ) -> Result<(), StorageError> {
        let path = &self.intent_log;
        let failed = |source| StorageError::io("write", path, source);
        // Opening a store creates the file; another program may have removed it.
        let missing = !open::exists(path).map_err(failed)?;
        let file = open::read_write_or_create(path).map_err(failed)?;
        let document = intent_log::document(intent).map_err(failed)?;
        let signature = observer.sign_intent(&hash_content(&document))?;
        let text = intent_log::encode(&document, signature.as_deref());
        intent_log::write(&file, &text).map_err(failed)?;
        if missing {
            let private = self.folder.private();
            sys::sync_folder(&private)
                .map_err(|source| StorageError::io("sync", &private, source))?;
        }
        Ok(())
    }

    fn clear_intent(&self) -> Result<(), StorageError> {
        let path = &self.intent_log;
        // An empty one need not be writable.
        if open::metadata(path).is_ok_and(|metadata| metadata.len() == 0) {
            return Ok(());
        }
        match open::read_write(path) {
            Ok(file) => {
                intent_log::clear(&file).map_err(|source| StorageError::io("empty", path, source))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(StorageError::io("open", path, source)),
        }
    }

    /// Completes an erasure that was interrupted.
    pub(crate) fn finish_pending(
        &mut self,
        observer: &mut dyn LogObserver,
    ) -> Result<Completed, StorageError> {
        if !self.pending {
            return Ok(Completed::default());
        }
        let FoundIntent { intent, sha256, signature } = found(&self.folder)?;
        if intent.is_empty() {
            return self.complete(intent, true, observer);
        }
        match observer.check_intent(&sha256, signature.as_deref())? {
            IntentCheck::Authentic => self.complete(intent, true, observer),
            IntentCheck::Forged(reason) => self.set_aside(reason),
        }
    }

    /// Moves an intent log that may not be carried out out of the way.
    fn set_aside(&mut self, reason: String) -> Result<Completed, StorageError> {
        let from = self.folder.intent_log();
        let now = Timestamp::now().unix_micros();
        let path = from.with_extension(format!("journal.{now}.refused"));
        fs::rename(&from, &path).map_err(|source| StorageError::io("rename", &from, source))?;
        let private = self.folder.private();
        sys::sync_folder(&private).map_err(|source| StorageError::io("sync", &private, source))?;
        self.pending = false;
        let refused_intent = Some(RefusedIntent { path, reason });
        Ok(Completed { refused_intent, ..Completed::default() })
    }

    /// [`finish_pending`](Self::finish_pending) before `segment` is renamed. Fails only if an erasure that
    /// cannot be completed names this segment: it would not find the segment any more.
    pub(crate) fn finish_before_rename(
        &mut self,
        segment: SegmentName,
        observer: &mut dyn LogObserver,
    ) -> Result<(), StorageError> {
        self.notice_pending();
        match self.finish_pending(observer) {
            Err(error) if pending(&self.folder).map_or(true, |intent| intent.names(segment)) => {
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// Checks whether another process has left an erasure incomplete.
    pub(crate) fn notice_pending(&mut self) {
        self.pending |= open::metadata(&self.intent_log).is_ok_and(|metadata| metadata.len() > 0);
    }

    /// Steps 2 to 4. `redo`: parts of it may have been done before a crash.
    fn complete(
        &mut self,
        intent: EraseIntent,
        redo: bool,
        observer: &mut dyn LogObserver,
    ) -> Result<Completed, StorageError> {
        let mut completed = Completed::default();
        let is_empty = intent.is_empty();
        let EraseIntent { lines, segments, reason } = intent;
        let mut leaves: Vec<u64> = Vec::new();
        let mut by_segment: BTreeMap<SegmentName, Vec<ErasedLine>> = BTreeMap::new();
        for line in lines {
            by_segment.entry(line.segment).or_default().push(line);
        }
        let has_lines = !by_segment.is_empty();
        for (segment, mut lines) in by_segment {
            self.overwrite_in(segment, &mut lines, redo, &mut completed)?;
            leaves.extend(lines.iter().filter_map(|line| line.leaf));
        }
        let unlinked = self.unlink(segments, redo, &mut completed)?;
        if let Some(reason) = reason {
            leaves.sort_unstable();
            leaves.dedup();
            let of_lines = leaves.into_iter().map(|leaf| (leaf, leaf + 1));
            let mut ranges: Vec<(u64, u64)> = of_lines.chain(unlinked.leaves).collect();
            ranges.sort_unstable();
            observer.erased(&ranges, &reason, redo)?;
        }
        unlinked.segments.into_iter().for_each(|segment| observer.segment_removed(segment));
        if has_lines {
            epoch::bump_erasures(&self.folder)?;
        }
        self.clear_intent()?;
        self.pending = false;
        if !is_empty {
            event!(
                INFO,
                lines = completed.lines,
                segments = completed.segments,
                moved = completed.moved,
                redo = redo,
                "entries erased"
            );
        }
        Ok(completed)
    }

    /// Overwrites the lines of one segment. Removes those from `lines` that have moved.
    fn overwrite_in(
        &self,
        segment: SegmentName,
        lines: &mut Vec<ErasedLine>,
        redo: bool,
        completed: &mut Completed,
    ) -> Result<(), StorageError> {
        let path = self.folder.segment(segment);
        let failed = |source| StorageError::io("erase lines of", &path, source);
        match open::read_write(&path) {
            Ok(file) => {
                if redo {
                    completed.moved += remove_moved(&file, lines).map_err(failed)?;
                }
                let before = FileState::of_file(&file).map_err(failed)?;
                overwrite(&file, lines)
                    .and_then(|()| self.count_in_index(&file, lines, before, redo))
                    .map_err(failed)?;
            }
            // The whole segment was removed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(StorageError::io("open", &path, source)),
        }
        completed.lines += lines.len();
        Ok(())
    }

    /// Unlinks segments and their index files. A file that has changed since is left alone.
    fn unlink(
        &self,
        segments: Vec<ErasedSegment>,
        redo: bool,
        completed: &mut Completed,
    ) -> Result<Unlinked, StorageError> {
        let mut unlinked = Unlinked::default();
        let has_segments = !segments.is_empty();
        for erased in segments {
            let path = self.folder.segment(erased.segment);
            let failed = |source| StorageError::io("remove", &path, source);
            match open::read(&path) {
                Ok(file) if !erased.is(&file).map_err(failed)? => {
                    completed.moved += 1;
                    continue;
                }
                Ok(file) => {
                    let id = FileId::of(&file.metadata().map_err(failed)?);
                    let removed = fs::remove_file(&path).map_err(failed);
                    if let Err(error) = removed {
                        if !is_refused(&error) {
                            return Err(error);
                        }
                        // It is whole: the intent is void for it.
                        completed.refused.push(Refused { segment: erased.segment, error });
                        continue;
                    }
                    // If this fails, the next recovery removes it.
                    let _ = fs::remove_file(self.folder.index(id));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound && redo => {}
                Err(source) => return Err(failed(source)),
            }
            completed.segments += 1;
            unlinked.segments.push(erased.segment);
            unlinked.leaves.extend(erased.leaves);
        }
        if has_segments {
            epoch::bump_layout(&self.folder)?;
            let path = self.folder.path();
            sys::sync_folder(path).map_err(|source| StorageError::io("sync", path, source))?;
        }
        Ok(unlinked)
    }

    /// Adds the lines to the count of erased lines in the segment's index file, which was in the state
    /// `before`. If that fails, the index file was stale, or they may have been counted before, the index file is removed and built again later.
    fn count_in_index(
        &self,
        file: &File,
        lines: &[ErasedLine],
        before: FileState,
        redo: bool,
    ) -> io::Result<()> {
        let metadata = file.metadata()?;
        let path = self.folder.index(FileId::of(&metadata));
        let counted = if redo {
            Err(io::ErrorKind::Other.into())
        } else {
            IndexFile::add_erased(&path, lines.len() as u64, before, FileState::of(&metadata))
        };
        match counted {
            Err(error) if error.kind() != io::ErrorKind::NotFound => match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                // After a power cut it must not come back with the old count.
                removed => removed.and_then(|()| sys::sync_folder(&self.folder.indexes())),
            },
            _ => Ok(()),
        }
    }
}

/// Segments that were unlinked, and their leaves.
#[derive(Debug, Default)]
struct Unlinked {
    segments: Vec<SegmentName>,
    leaves: Vec<(u64, u64)>,
}

/// The result of an erasure that had been interrupted.
#[derive(Debug, Default)]
pub(crate) struct Completed {
    /// Lines that are erased now.
    pub(crate) lines: usize,
    /// Segments that are unlinked now.
    pub(crate) segments: usize,
    /// Lines and segments that another program has moved or changed, and that were left alone.
    pub(crate) moved: usize,
    /// Segments that could not be unlinked and are unchanged.
    pub(crate) refused: Vec<Refused>,
    /// The intent log, if it was not carried out because it is not authentic.
    pub(crate) refused_intent: Option<RefusedIntent>,
}

/// An intent log that no program which may erase has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedIntent {
    /// The file that it was moved to.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// A segment that the system does not let be unlinked, and why.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) segment: SegmentName,
    pub(crate) error: StorageError,
}

/// Whether the disk or the quota is full.
pub(crate) fn is_full(error: &StorageError) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    let StorageError::Io { source, .. } = error else { return false };
    matches!(source.kind(), StorageFull | QuotaExceeded)
}

/// Whether the system does not let this file be changed: its mode, its folder's, an attribute such as
/// immutable, or a mount. Other files may be changed.
pub(crate) fn is_refused(error: &StorageError) -> bool {
    use io::ErrorKind::{
        CrossesDevices, ExecutableFileBusy, PermissionDenied, ReadOnlyFilesystem, ResourceBusy,
    };
    let StorageError::Io { source, .. } = error else { return false };
    matches!(
        source.kind(),
        CrossesDevices | ExecutableFileBusy | PermissionDenied | ReadOnlyFilesystem | ResourceBusy
    )
}

/// The content of the intent log; an empty or void one is an empty intent, and one of another version is an
/// error.
pub(crate) fn pending(folder: &Folder) -> Result<EraseIntent, StorageError> {
    Ok(found(folder)?.intent)
}

fn found(folder: &Folder) -> Result<FoundIntent, StorageError> {
    let path = folder.intent_log();
    let failed = |source| StorageError::io("read", &path, source);
    match open::read_all(&path, intent_log::MAX_BYTES) {
        Ok(bytes) => intent_log::read(&bytes).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(FoundIntent::default()),
        Err(source) => Err(failed(source)),
    }
}

/// The bytes at the place of `line`; fewer if the file ends before.
fn read(file: &File, line: &ErasedLine) -> io::Result<Vec<u8>> {
    let left = file.metadata()?.len().saturating_sub(line.offset).min(line.length);
    let mut bytes = vec![0; usize::try_from(left).unwrap_or(0)];
    sys::read_exact_at(file, &mut bytes, line.offset)?;
    Ok(bytes)
}

/// Removes the lines that are not at their place any more; returns how many.
fn remove_moved(file: &File, lines: &mut Vec<ErasedLine>) -> io::Result<usize> {
    let before = lines.len();
    let mut failed = None;
    lines.retain(|line| match read(file, line) {
        Ok(bytes) => line.matches(&bytes),
        Err(error) => {
            failed = Some(error);
            true
        }
    });
    failed.map_or(Ok(before - lines.len()), Err)
}

fn overwrite(file: &File, lines: &[ErasedLine]) -> io::Result<()> {
    let length = file.metadata()?.len();
    for line in lines {
        // Never beyond the end: the file may be shorter than it was.
        let end = line.offset.saturating_add(line.length).min(length);
        let blank = vec![b' '; usize::try_from(end.saturating_sub(line.offset)).unwrap_or(0)];
        sys::write_all_at(file, &blank, line.offset)?;
    }
    sys::sync_data(file)
}

#[cfg(test)]
mod tests;
