//! Bringing to an end what a crash interrupted, and telling what that was.

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use attestry_core::{MAX_LINE_BYTES, StorageError, line};

use crate::erase::Erasures;
use crate::fs::epoch;
use crate::fs::layout::{Folder, Listed};
use crate::fs::sys;
use crate::observer::LogObserver;
use crate::segment::{SegmentName, tail_start};

/// What opening a store found to mend, nothing as a rule, and what else it did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// Last lines without a line break.
    pub torn_tails: Vec<TornTail>,
    /// Lines whose erasure had begun before a crash and was finished now.
    pub erasures_finished: usize,
    /// Segments whose removal had begun before a crash and was finished now: all their entries had
    /// expired.
    pub segments_removed: usize,
    /// Lines whose erasure had begun before a crash, and which another program, such as the Python
    /// package, has moved since; segments that were to be removed and that it has changed. They were
    /// left alone: delete their entries again.
    pub erasures_given_up: usize,
    /// Why no checkpoint of the store's tree can be signed any more, where evidence is kept and
    /// something was changed that had been signed: `verify` tells what.
    pub evidence_broken: Option<String>,
    /// Segments that were read from their beginning to their end, and given an index file: they had
    /// none, or one that was stale or damaged. A segment that became full just before the store was
    /// closed has none, so this is no sign of trouble.
    pub indexes_made: usize,
    /// Files that went: what a crash had left unfinished, and index files of segments that are gone,
    /// such as those that the Python package removed.
    pub files_removed: usize,
}

/// The last line of a segment, found without its line break: a write that a crash cut short, or
/// the work of another program.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TornTail {
    /// The segment.
    pub segment: PathBuf,
    /// Where the line starts.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Where its bytes were moved to; `None` when it was a whole entry that lacked nothing but
    /// the line break, which it got.
    pub quarantined: Option<PathBuf>,
}

impl RecoveryReport {
    /// Whether there was nothing to mend. What every owner does now and then, making indexes and
    /// removing files that nobody needs, is none of that.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let Self { indexes_made, files_removed, .. } = *self;
        *self == Self { indexes_made, files_removed, ..Self::default() }
    }
}

/// One sentence a line, for a log or a terminal; empty when nothing was done.
impl fmt::Display for RecoveryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for torn in &self.torn_tails {
            let place = format!("{} at byte {}", torn.segment.display(), torn.offset);
            match &torn.quarantined {
                Some(path) => write!(
                    f,
                    "{separator}the torn last line of {place} ({} bytes) was moved to {}",
                    torn.length,
                    path.display()
                )?,
                None => {
                    write!(f, "{separator}the last entry of {place} got the line break it lacked")?
                }
            }
            separator = "\n";
        }
        if self.erasures_finished > 0 {
            write!(f, "{separator}the erasure of {} entries was finished", self.erasures_finished)?;
            separator = "\n";
        }
        if self.segments_removed > 0 {
            let count = self.segments_removed;
            write!(f, "{separator}the removal of {count} expired segments was finished")?;
            separator = "\n";
        }
        if self.erasures_given_up > 0 {
            write!(
                f,
                "{separator}the erasure of {} entries was given up, since another program has \
                 rewritten their segment; delete them again",
                self.erasures_given_up
            )?;
            separator = "\n";
        }
        if let Some(reason) = &self.evidence_broken {
            write!(f, "{separator}no checkpoint can be signed any more: {reason}")?;
            separator = "\n";
        }
        if self.indexes_made > 0 {
            write!(f, "{separator}an index was made of {} segments", self.indexes_made)?;
            separator = "\n";
        }
        if self.files_removed > 0 {
            write!(f, "{separator}{} files that nobody needs were removed", self.files_removed)?;
        }
        Ok(())
    }
}

/// Makes the folder where it is missing, and what stands in it from the beginning.
pub(crate) fn create(folder: &Folder) -> Result<(), StorageError> {
    for path in [folder.path().to_path_buf(), folder.private()] {
        sys::create_folder(&path)
            .map_err(|source| StorageError::io("create the folder", &path, source))?;
    }
    // So that the first erasure need not. Whoever made it before may have died before its name was
    // there for good.
    let (journal, private) = (folder.journal(), folder.private());
    if !journal.exists() {
        sys::open_read_write(&journal)
            .map_err(|source| StorageError::io("create", &journal, source))?;
    }
    sys::sync_folder(&private).map_err(|source| StorageError::io("sync", &private, source))?;
    Ok(())
}

/// Mends what a crash left, and brings the evidence up to date. The caller holds the lock.
pub(crate) fn recover(
    folder: &Folder,
    observer: &mut dyn LogObserver,
) -> Result<(Erasures, RecoveryReport), StorageError> {
    epoch::create(folder)?;
    let (erasures, finished) = Erasures::recover(folder.clone(), observer)?;
    let mut report = RecoveryReport {
        erasures_finished: finished.lines,
        segments_removed: finished.segments,
        erasures_given_up: finished.moved,
        ..RecoveryReport::default()
    };
    let listed = folder.list()?;
    for segment in &listed {
        report.torn_tails.extend(mend_tail(folder, segment.name, segment.length)?);
    }
    report.files_removed = remove_orphans(folder, &listed);
    observer.catch_up()?;
    report.evidence_broken = observer.fault();
    Ok((erasures, report))
}

/// Removes index files of segments that are gone, and files that were never finished, and tells how
/// many. They cost nothing but space, so a failure does not matter.
fn remove_orphans(folder: &Folder, listed: &[Listed]) -> usize {
    let wanted: HashSet<PathBuf> = listed.iter().map(|segment| folder.index(segment.id)).collect();
    let items = fs::read_dir(folder.indexes()).into_iter().flatten().flatten();
    let orphans = items.map(|item| item.path()).filter(|path| !wanted.contains(path));
    let unfinished = std::iter::once(folder.compacted());
    unfinished.chain(orphans).filter(|path| fs::remove_file(path).is_ok()).count()
}

/// Sets the last line of a segment of `segment_length` bytes aside, or ends it, when it has no line
/// break. The caller holds the lock.
pub(crate) fn mend_tail(
    folder: &Folder,
    name: SegmentName,
    segment_length: u64,
) -> Result<Option<TornTail>, StorageError> {
    if segment_length == 0 {
        return Ok(None);
    }
    let path = folder.segment(name);
    let failed = |action| {
        let path = path.clone();
        move |source| StorageError::io(action, path, source)
    };
    let mut file = File::open(&path).map_err(failed("open"))?;
    let offset = tail_start(&file, segment_length).map_err(failed("read"))?;
    let length = segment_length - offset;
    if length == 0 {
        return Ok(None);
    }
    let mut torn = TornTail { segment: path.clone(), offset, length, quarantined: None };
    let mut file_to_mend = OpenOptions::new().append(true).open(&path).map_err(failed("open"))?;
    if is_whole_entry(&mut file, offset, length).map_err(failed("read"))? {
        io::Write::write_all(&mut file_to_mend, b"\n").map_err(failed("append to"))?;
    } else {
        torn.quarantined = Some(quarantine(folder, name, &mut file, offset)?);
        file_to_mend.set_len(offset).map_err(failed("truncate"))?;
    }
    file_to_mend.sync_all().map_err(failed("sync"))?;
    Ok(Some(torn))
}

fn is_whole_entry(file: &mut File, offset: u64, length: u64) -> io::Result<bool> {
    if length > MAX_LINE_BYTES as u64 {
        return Ok(false);
    }
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(offset))?;
    file.take(length).read_to_end(&mut tail)?;
    Ok(line::decode(&tail).is_ok())
}

/// Copies the tail from `offset` on to a file of its own, which is on stable storage before the
/// tail is cut off.
fn quarantine(
    folder: &Folder,
    name: SegmentName,
    file: &mut File,
    offset: u64,
) -> Result<PathBuf, StorageError> {
    let quarantine = folder.quarantine();
    let copied = set_aside(&quarantine, &format!("{name}.{offset}"), |copy| {
        file.seek(SeekFrom::Start(offset))?;
        io::copy(file, copy).map(drop)
    });
    copied.map_err(|source| StorageError::io("set a torn line aside in", quarantine, source))
}

/// Makes a file in the folder `quarantine` that begins with `name` and holds what `write` writes; it
/// is on stable storage when its path is returned. After an error there is none.
pub(crate) fn set_aside(
    quarantine: &Path,
    name: &str,
    mut write: impl FnMut(&mut File) -> io::Result<()>,
) -> io::Result<PathBuf> {
    sys::create_folder(quarantine)?;
    let mut number = 0;
    loop {
        let path = quarantine.join(format!("{name}.{number}.torn"));
        let mut copy = match sys::create_new(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                number += 1;
                continue;
            }
            created => created?,
        };
        let written = write(&mut copy)
            .and_then(|()| copy.sync_all())
            .and_then(|()| sys::sync_folder(quarantine));
        if let Err(error) = written {
            // Half a copy is no evidence; what it is of is still in its place.
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        return Ok(path);
    }
}
