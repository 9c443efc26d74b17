//! Erasing lines in place and segments as a whole, behind a journal that finishes after a crash what
//! it began.
//!
//! A line is overwritten with spaces, its line break stays: readers, Python's too, pass over blank
//! lines, no other line moves, and the cost does not depend on the size of the store. The steps:
//!
//! 1. the journal names the lines and segments; it is synced;
//! 2. the lines are overwritten, their files synced, and their index files count them; the segments are
//!    unlinked, their folder synced;
//! 3. where evidence is kept, it is put on record that they were erased;
//! 4. the journal is emptied; it is synced.
//!
//! A crash before step 1 is done leaves the lines; after it, the next open repeats the others, which
//! may be done any number of times, since no name or offset changes while the journal stands. Other
//! programs do not know of the journal: a line or a file that is not the one it was is left alone.

#[cfg(any(test, fuzzing))]
#[path = "../../tests/fuzz/intent_log.rs"]
pub(crate) mod fuzzing;
mod intent_log;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;

use attestry_core::StorageError;

use crate::fs::epoch;
use crate::fs::layout::Folder;
use crate::fs::sys::{self, FileId};
use crate::observer::LogObserver;
use crate::segment::{IndexFile, SegmentName};

pub(crate) use intent_log::{Plan, Record, WholeSegment};

/// Erasures of one store. Owned by the committer.
#[derive(Debug)]
pub(crate) struct Erasures {
    folder: Folder,
    /// The journal stands and may not have been carried out.
    pending: bool,
}

impl Erasures {
    /// Finishes what an earlier process left, and says what that was.
    pub(crate) fn recover(
        folder: Folder,
        observer: &mut dyn LogObserver,
    ) -> Result<(Self, Finished), StorageError> {
        let mut erasures = Self { folder, pending: true };
        let finished = erasures.finish_pending(observer)?;
        Ok((erasures, finished))
    }

    /// Erases what `plan` names. When it returns the bytes are gone from the files. After an error
    /// they are untouched, or [pending](Self::is_pending).
    pub(crate) fn erase(
        &mut self,
        mut plan: Plan,
        observer: &mut dyn LogObserver,
    ) -> Result<(), StorageError> {
        self.finish_pending(observer)?;
        if plan.is_empty() {
            return Ok(());
        }
        observer.before_erase()?;
        self.note_lines(&mut plan.lines, observer)?;
        for whole in &mut plan.segments {
            whole.leaves = observer.leaves_of(whole.segment)?;
        }
        if observer.leaf_hasher().is_none() {
            plan.note = None;
        }
        self.pending = true;
        if let Err(error) = self.write_journal(&plan) {
            // Nothing was overwritten. A journal that may be whole must not outlive this, or it
            // would be carried out when its names mean something else.
            self.pending = self.clear_journal().is_err();
            // Cleaning up is what makes room on a full disk. Whole segments can go without a journal
            // where there is nothing to be put on record: after a crash those that are left still
            // expire.
            let only_unlinks = plan.lines.is_empty() && plan.note.is_none();
            if self.pending || !only_unlinks || !is_full(&error) {
                return Err(error);
            }
        }
        self.finish(plan, true, observer).map(drop)
    }

    /// Takes down what the lines hold, by which they are known again, and which leaves they are.
    fn note_lines(
        &self,
        records: &mut [Record],
        observer: &mut dyn LogObserver,
    ) -> Result<(), StorageError> {
        let mut open: Option<(SegmentName, File, u64)> = None;
        for record in records {
            let path = self.folder.segment(record.segment);
            let failed = |source| StorageError::io("read", &path, source);
            let (file, size) = match open.take() {
                Some((name, file, size)) if name == record.segment => (file, size),
                _ => {
                    let file = File::open(&path).map_err(failed)?;
                    let size = sys::length_of(&file).map_err(failed)?;
                    (file, size)
                }
            };
            let bytes = read(&file, record).map_err(failed)?;
            record.note(&bytes);
            let share = record.offset as f64 / size.max(1) as f64;
            record.leaf = observer.find_leaf(record.segment, &bytes, share)?;
            open = Some((record.segment, file, size));
        }
        Ok(())
    }

    /// Whether what was to be erased may stand, in part or as a whole, until the journal is carried
    /// out again.
    pub(crate) fn is_pending(&self) -> bool {
        self.pending
    }

    fn write_journal(&self, plan: &Plan) -> Result<(), StorageError> {
        let path = self.folder.journal();
        let failed = |source| StorageError::io("write", &path, source);
        // Opening a store makes it, and its name one that stays.
        let lost = !path.exists();
        intent_log::write(&sys::open_read_write(&path).map_err(failed)?, plan).map_err(failed)?;
        if lost {
            let private = self.folder.private();
            sys::sync_folder(&private)
                .map_err(|source| StorageError::io("sync", &private, source))?;
        }
        Ok(())
    }

    fn clear_journal(&self) -> Result<(), StorageError> {
        let path = self.folder.journal();
        match OpenOptions::new().write(true).open(&path) {
            Ok(file) => {
                intent_log::clear(&file).map_err(|source| StorageError::io("empty", &path, source))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(StorageError::io("open", &path, source)),
        }
    }

    /// Finishes an erasure that was interrupted.
    pub(crate) fn finish_pending(
        &mut self,
        observer: &mut dyn LogObserver,
    ) -> Result<Finished, StorageError> {
        if !self.pending {
            return Ok(Finished::default());
        }
        let plan = pending(&self.folder)?;
        self.finish(plan, false, observer)
    }

    /// Looks whether another process left an erasure unfinished. The caller holds the lock.
    pub(crate) fn notice_pending(&mut self) {
        self.pending |= fs::metadata(self.folder.journal()).is_ok_and(|journal| journal.len() > 0);
    }

    /// Carries `plan` out and empties the journal. `first_time` tells whether any of it can have
    /// been done already.
    fn finish(
        &mut self,
        plan: Plan,
        first_time: bool,
        observer: &mut dyn LogObserver,
    ) -> Result<Finished, StorageError> {
        let mut finished = Finished::default();
        let Plan { lines, segments, note } = plan;
        let mut leaves: Vec<u64> = Vec::new();
        let mut by_segment: BTreeMap<SegmentName, Vec<Record>> = BTreeMap::new();
        for record in lines {
            by_segment.entry(record.segment).or_default().push(record);
        }
        let erased_any = !by_segment.is_empty();
        for (segment, mut records) in by_segment {
            self.overwrite_in(segment, &mut records, first_time, &mut finished)?;
            leaves.extend(records.iter().filter_map(|record| record.leaf));
        }
        let gone = self.unlink(segments, first_time, &mut finished)?;
        if let Some(note) = note {
            leaves.sort_unstable();
            leaves.dedup();
            let lines = leaves.into_iter().map(|leaf| (leaf, leaf + 1));
            let mut ranges: Vec<(u64, u64)> = lines.chain(gone.leaves).collect();
            ranges.sort_unstable();
            observer.erased(&ranges, &note, !first_time)?;
        }
        gone.segments.into_iter().for_each(|segment| observer.segment_removed(segment));
        if erased_any {
            epoch::raise_erasures(&self.folder)?;
        }
        self.clear_journal()?;
        self.pending = false;
        Ok(finished)
    }

    /// Overwrites the lines of one segment, and drops those from `records` that are not there.
    fn overwrite_in(
        &self,
        segment: SegmentName,
        records: &mut Vec<Record>,
        first_time: bool,
        finished: &mut Finished,
    ) -> Result<(), StorageError> {
        let path = self.folder.segment(segment);
        let failed = |source| StorageError::io("erase lines of", &path, source);
        match OpenOptions::new().write(true).read(true).open(&path) {
            Ok(file) => {
                if !first_time {
                    finished.moved += drop_moved(&file, records).map_err(failed)?;
                }
                overwrite(&file, records)
                    .and_then(|()| self.count(&file, records, first_time))
                    .map_err(failed)?;
            }
            // The whole segment is gone, and the lines with it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(StorageError::io("open", &path, source)),
        }
        finished.lines += records.len();
        Ok(())
    }

    /// Unlinks the files of segments with their index files; returns which are gone, and their
    /// leaves. A file that has changed since is left alone.
    fn unlink(
        &self,
        segments: Vec<WholeSegment>,
        first_time: bool,
        finished: &mut Finished,
    ) -> Result<Gone, StorageError> {
        let mut gone = Gone::default();
        let any = !segments.is_empty();
        for whole in segments {
            let path = self.folder.segment(whole.segment);
            let failed = |source| StorageError::io("remove", &path, source);
            match File::open(&path) {
                Ok(file) if !whole.is(&file).map_err(failed)? => {
                    finished.moved += 1;
                    continue;
                }
                Ok(file) => {
                    let index = FileId::of(&file.metadata().map_err(failed)?);
                    fs::remove_file(&path).map_err(failed)?;
                    // Left behind, it takes space until the next open, and is no other segment's.
                    let _ = fs::remove_file(self.folder.index(index));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound && !first_time => {}
                Err(source) => return Err(failed(source)),
            }
            finished.segments += 1;
            gone.segments.push(whole.segment);
            gone.leaves.extend(whole.leaves);
        }
        if any {
            epoch::raise_layout(&self.folder)?;
            let path = self.folder.path();
            sys::sync_folder(path).map_err(|source| StorageError::io("sync", path, source))?;
        }
        Ok(gone)
    }

    /// Has the segment's index file, if it has one, count the erased lines; where that fails, or
    /// they may have been counted before, the index file goes and is made anew.
    fn count(&self, file: &File, records: &[Record], first_time: bool) -> io::Result<()> {
        let path = self.folder.index(FileId::of(&file.metadata()?));
        let counted = if first_time {
            IndexFile::add_erased(&path, records.len() as u64)
        } else {
            Err(io::ErrorKind::Other.into())
        };
        match counted {
            Err(error) if error.kind() != io::ErrorKind::NotFound => match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                // It must not come back with the count that it has.
                removed => removed.and_then(|()| sys::sync_folder(&self.folder.indexes())),
            },
            _ => Ok(()),
        }
    }
}

/// Segments that were unlinked, and the leaves of their lines.
#[derive(Debug, Default)]
struct Gone {
    segments: Vec<SegmentName>,
    leaves: Vec<(u64, u64)>,
}

/// What became of an erasure that had been interrupted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Finished {
    /// Lines that are gone now.
    pub(crate) lines: usize,
    /// Segments that are gone now, as a whole.
    pub(crate) segments: usize,
    /// Lines that another program has moved since, and segments that it has changed; where they
    /// stood, something else stands.
    pub(crate) moved: usize,
}

/// Whether there is no room left on the disk.
pub(crate) fn is_full(error: &StorageError) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    let StorageError::Io { source, .. } = error else { return false };
    matches!(source.kind(), StorageFull | QuotaExceeded)
}

/// What was begun to be erased and, as far as the journal tells, not finished.
pub(crate) fn pending(folder: &Folder) -> Result<Plan, StorageError> {
    let path = folder.journal();
    let failed = |source| StorageError::io("read", &path, source);
    match File::open(&path) {
        Ok(file) => intent_log::read(&file).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Plan::default()),
        Err(source) => Err(failed(source)),
    }
}

/// What stands where `record` names a line; less where the file ends before.
fn read(file: &File, record: &Record) -> io::Result<Vec<u8>> {
    let left = file.metadata()?.len().saturating_sub(record.offset).min(record.length);
    let mut bytes = vec![0; usize::try_from(left).unwrap_or(0)];
    sys::read_exact_at(file, &mut bytes, record.offset)?;
    Ok(bytes)
}

/// Drops the records that no longer name their lines; and how many those were.
fn drop_moved(file: &File, records: &mut Vec<Record>) -> io::Result<usize> {
    let before = records.len();
    let mut failed = None;
    records.retain(|record| match read(file, record) {
        Ok(bytes) => record.names(&bytes),
        Err(error) => {
            failed = Some(error);
            true
        }
    });
    failed.map_or(Ok(before - records.len()), Err)
}

fn overwrite(file: &File, records: &[Record]) -> io::Result<()> {
    let length = file.metadata()?.len();
    for record in records {
        // Never beyond the file: a record can name no more than what was there.
        let end = record.offset.saturating_add(record.length).min(length);
        let blank = vec![b' '; usize::try_from(end.saturating_sub(record.offset)).unwrap_or(0)];
        sys::write_all_at(file, &blank, record.offset)?;
    }
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observer::NoObserver;
    use crate::recovery;

    const NAME: &str = "audit_20260128.jsonl";

    /// Lines of one length, of which the second was to be erased when the process died.
    fn interrupted() -> (tempfile::TempDir, Folder, Vec<String>) {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("audit"));
        recovery::create(&folder).unwrap();
        let lines: Vec<String> = (0..4).map(|n| format!("{n}{}\n", "x".repeat(700))).collect();
        let segment = SegmentName::parse(NAME).unwrap();
        fs::write(folder.segment(segment), lines.concat()).unwrap();
        let length = lines[0].len() as u64;
        let mut records = vec![Record {
            segment,
            offset: length,
            length: length - 1,
            sums: Vec::new(),
            leaf: None,
        }];
        let erasures = Erasures { folder: folder.clone(), pending: false };
        let mut observer = NoObserver;
        erasures.note_lines(&mut records, &mut observer).unwrap();
        erasures.write_journal(&Plan { lines: records, ..Plan::default() }).unwrap();
        (temporary, folder, lines)
    }

    fn recover(folder: &Folder) -> Finished {
        let mut observer = NoObserver;
        let (mut erasures, finished) = Erasures::recover(folder.clone(), &mut observer).unwrap();
        let again = erasures.finish_pending(&mut observer).unwrap();
        assert_eq!(again, Finished::default(), "once is enough");
        finished
    }

    #[test]
    fn a_segment_is_unlinked_unless_another_program_has_changed_it() {
        for changed in [false, true] {
            let (_guard, folder, _) = interrupted();
            let segment = SegmentName::parse(NAME).unwrap();
            let file = File::open(folder.segment(segment)).unwrap();
            let plan = Plan {
                segments: vec![WholeSegment::new(segment, &file).unwrap()],
                ..Plan::default()
            };
            let erasures = Erasures { folder: folder.clone(), pending: false };
            erasures.write_journal(&plan).unwrap();
            if changed {
                fs::write(folder.segment(segment), "another\n").unwrap();
            }
            let (segments, moved) = if changed { (0, 1) } else { (1, 0) };
            assert_eq!(recover(&folder), Finished { lines: 0, segments, moved });
            assert_eq!(folder.segment(segment).exists(), changed);
        }
    }

    #[test]
    fn the_line_is_erased_where_it_is_still_there() {
        let (_guard, folder, lines) = interrupted();
        assert_eq!(recover(&folder), Finished { lines: 1, ..Finished::default() });
        let blank = format!("{}\n", " ".repeat(701));
        let expected = [&lines[0], &blank, &lines[2], &lines[3]].map(String::as_str).concat();
        assert_eq!(fs::read_to_string(folder.path().join(NAME)).unwrap(), expected);
    }

    #[test]
    fn a_line_that_another_program_put_in_its_place_stays() {
        // As the Python package does when it deletes the first line.
        let (_guard, folder, lines) = interrupted();
        fs::write(folder.path().join(NAME), lines[1..].concat()).unwrap();
        assert_eq!(recover(&folder), Finished { moved: 1, ..Finished::default() });
        assert_eq!(fs::read_to_string(folder.path().join(NAME)).unwrap(), lines[1..].concat());
    }

    #[test]
    fn a_file_that_has_become_shorter_stays() {
        let (_guard, folder, lines) = interrupted();
        let left = &lines[0][..lines[0].len() - 10];
        fs::write(folder.path().join(NAME), left).unwrap();
        assert_eq!(recover(&folder), Finished { moved: 1, ..Finished::default() });
        assert_eq!(fs::read_to_string(folder.path().join(NAME)).unwrap(), left);
    }
}
