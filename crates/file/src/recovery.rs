//! Recovery: completes what a crash interrupted, and reports it.

mod unfinished;

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use attestry_core::{MAX_LINE_BYTES, StorageError, Timestamp, event, line};
use rustix::fs::{AtFlags, Dir, unlinkat};

use crate::erase::{self, Completed, Erasures, RefusedIntent};
use crate::fs::epoch;
use crate::fs::layout::{Folder, Listed};
use crate::fs::open;
use crate::fs::segment_name::SegmentName;
use crate::fs::sys;
use crate::observer::{LogObserver, UnsignedLeaves};
use crate::quarantine::set_aside;
use crate::segment::tail_start;

pub use unfinished::{Unfinished, UnfinishedTask};
pub(crate) use unfinished::{open_tail, pending_erasures};

/// What opening a store repaired, and what else it did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// Last lines without a line break.
    pub torn_tails: Vec<TornTail>,
    /// Lines whose erasure was interrupted by a crash and is complete now.
    pub erasures_finished: usize,
    /// Segments whose removal was interrupted by a crash and is complete now: all their entries had
    /// expired.
    pub segments_removed: usize,
    /// Lines whose erasure was interrupted by a crash, and which another program, such as the Python
    /// package, has moved since; segments that were to be removed and that it has changed. They were
    /// left alone: delete their entries again.
    pub erasures_given_up: usize,
    /// An interrupted erasure of a store with evidence that was not carried out, because its intent log is
    /// not signed by a key that may erase. An attacker may have written it, or a version of Attestry before
    /// intent logs were signed: then delete the entries again.
    pub erasure_refused: Option<RefusedIntent>,
    /// What could not be repaired. It stops neither recording nor reading.
    pub unfinished: Vec<Unfinished>,
    /// Why no further checkpoint of the store's tree can be signed: lines under a signed checkpoint were
    /// changed, for example, and `verify` reports which; or the tree does not extend what the signer
    /// remembers.
    pub evidence_broken: Option<String>,
    /// The number of leaves of a tree of which no checkpoint is stored, although they are signed regularly:
    /// the process that created it died before the first one, or the checkpoints were removed.
    pub checkpoints_missing: Option<u64>,
    /// Leaves that have been without a checkpoint for more than a day, in a store that keeps evidence and was
    /// opened without a signing key.
    pub unsigned: Option<UnsignedLeaves>,
    /// Segments that were read as a whole and got an index file, because theirs was missing, stale or
    /// damaged. A process that was killed may leave such segments, and so does the Python package.
    pub indexes_made: usize,
    /// Stale files that were removed: temporary files of a crash, and index files of segments that are
    /// gone, such as those that the Python package has removed.
    pub files_removed: usize,
}

/// The last line of a segment, found without its line break: a write that a crash cut short, or
/// the work of another program.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TornTail {
    /// The segment.
    pub segment: PathBuf,
    /// Offset of the line in the segment.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// The file its bytes were moved to; `None` if it was a whole entry that lacked only the line break,
    /// which was added.
    pub quarantined: Option<PathBuf>,
}

impl RecoveryReport {
    fn add_completed(&mut self, folder: &Folder, completed: &Completed) {
        self.erasures_finished = completed.lines;
        self.segments_removed = completed.segments;
        self.erasures_given_up = completed.moved;
        self.erasure_refused.clone_from(&completed.refused_intent);
        let refused = completed.refused.iter();
        self.unfinished.extend(refused.map(|refused| unfinished::removal(folder, refused)));
    }

    /// Whether nothing was repaired, and nothing is left to repair. Building indexes and removing stale files are not repairs.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let Self { indexes_made, files_removed, .. } = *self;
        *self == Self { indexes_made, files_removed, ..Self::default() }
    }
}

/// One sentence a line, for a log or a terminal; empty if nothing was done.
impl fmt::Display for RecoveryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sentences = Vec::new();
        for torn in &self.torn_tails {
            let TornTail { offset, length, .. } = torn;
            let place = format!("{} at byte {offset}", torn.segment.display());
            sentences.push(match &torn.quarantined {
                Some(path) => format!(
                    "the torn last line of {place} ({length} bytes) was moved to {}",
                    path.display()
                ),
                None => format!("the missing line break of the last entry of {place} was added"),
            });
        }
        if self.erasures_finished > 0 {
            let count = self.erasures_finished;
            sentences.push(format!("completed the interrupted erasure of {count} entries"));
        }
        if self.segments_removed > 0 {
            let count = self.segments_removed;
            sentences
                .push(format!("completed the interrupted removal of {count} expired segments"));
        }
        if self.erasures_given_up > 0 {
            let count = self.erasures_given_up;
            sentences.push(format!(
                "the interrupted erasure of {count} entries was abandoned, because another program has \
                 rewritten their segment; delete them again"
            ));
        }
        if let Some(RefusedIntent { path, reason }) = &self.erasure_refused {
            sentences.push(format!(
                "an interrupted erasure was not carried out, because no key that may erase has begun it \
                 ({reason}): its intent log was moved to {}; delete the entries again if it was yours",
                path.display()
            ));
        }
        sentences.extend(self.unfinished.iter().map(ToString::to_string));
        if let Some(leaves) = self.checkpoints_missing {
            sentences.push(format!(
                "no checkpoint of the tree of {leaves} leaves is stored: compare it with one that was kept \
                 elsewhere (attestry verify --since-checkpoint), unless none was ever signed"
            ));
        }
        if let Some(UnsignedLeaves { leaves, since }) = self.unsigned {
            sentences.push(format!(
                "{leaves} leaves of the tree have been without a checkpoint since {since}, so that changes of \
                 their lines are not detected: sign one (attestry --signing-key FILE checkpoint)"
            ));
        }
        if let Some(reason) = &self.evidence_broken {
            sentences.push(format!("no further checkpoint can be signed: {reason}"));
        }
        if self.indexes_made > 0 {
            sentences.push(format!("indexed {} segments", self.indexes_made));
        }
        if self.files_removed > 0 {
            sentences.push(format!("removed {} stale files", self.files_removed));
        }
        f.write_str(&sentences.join("\n"))
    }
}

/// Creates the folder if it is missing, and the files that every store has.
pub(crate) fn create(folder: &Folder) -> Result<(), StorageError> {
    for path in [folder.path().to_path_buf(), folder.private()] {
        sys::create_folder(&path)
            .map_err(|source| StorageError::io("create the folder", &path, source))?;
    }
    // Created now, so that an erasure need not sync its name.
    let (intent_log, private) = (folder.intent_log(), folder.private());
    let exists = open::exists(&intent_log)
        .map_err(|source| StorageError::io("examine", &intent_log, source))?;
    if !exists {
        open::read_write_or_create(&intent_log)
            .map_err(|source| StorageError::io("create", &intent_log, source))?;
    }
    // Always: the process that created the file may have died before its name was durable.
    sys::sync_folder(&private).map_err(|source| StorageError::io("sync", &private, source))?;
    Ok(())
}

/// Repairs what a crash left, and brings the observer up to date. The caller holds the store lock.
pub(crate) fn recover(
    folder: &Folder,
    observer: &mut dyn LogObserver,
) -> Result<(Erasures, RecoveryReport), StorageError> {
    epoch::create(folder)?;
    // Neither an erasure that cannot be completed nor an old segment that cannot be repaired stops recording.
    let (erasures, completed) = Erasures::recover(folder.clone(), observer);
    let mut report = RecoveryReport::default();
    match completed {
        Ok(completed) => report.add_completed(folder, &completed),
        Err(error) => report.unfinished = unfinished::erasure(folder, &error)?,
    }
    let listed = folder.list()?;
    for Listed { name, length, .. } in &listed {
        match repair_torn_tail(folder, *name, *length) {
            Err(error) if erase::is_refused(&error) => {
                report.unfinished.push(unfinished::last_line(folder, *name, &error));
            }
            repaired => report.torn_tails.extend(repaired?),
        }
    }
    report.files_removed = remove_stale_files(folder, &listed);
    observer.catch_up()?;
    report.evidence_broken = observer.fault();
    report.checkpoints_missing = observer.unsigned_size();
    report.unsigned = observer.unsigned_leaves(Timestamp::now())?;
    if !report.is_clean() {
        event!(
            WARN,
            torn_lines = report.torn_tails.len(),
            erasures_finished = report.erasures_finished,
            segments_removed = report.segments_removed,
            erasures_given_up = report.erasures_given_up,
            unfinished = report.unfinished.len(),
            evidence_broken = report.evidence_broken.is_some(),
            "store recovered"
        );
    }
    Ok((erasures, report))
}

/// Removes index files of segments that are gone, and temporary files; returns how many. They only
/// occupy space, so errors are ignored. Other files are left alone.
fn remove_stale_files(folder: &Folder, listed: &[Listed]) -> usize {
    let compacted = usize::from(fs::remove_file(folder.compacted()).is_ok());
    let current: HashSet<PathBuf> = listed.iter().map(|segment| folder.index(segment.id)).collect();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_stale = |name: &str| match *name.split('.').collect::<Vec<_>>() {
        [inode, "idx"] if is_number(inode) => !current.contains(&folder.indexes().join(name)),
        // Written under the store lock, which this process holds.
        [inode, process, "tmp"] => is_number(inode) && is_number(process),
        // Written without the lock, perhaps by a process that is alive.
        [inode, process, "sealed", "tmp"] if is_number(inode) && is_number(process) => {
            is_old(&folder.indexes().join(name))
        }
        _ => false,
    };
    // By names inside the open folder: its path may be changed meanwhile.
    let Ok(indexes) = open::folder(&folder.indexes()) else { return compacted };
    let items = Dir::read_from(&indexes).into_iter().flatten().flatten();
    let names: Vec<_> = items.map(|item| item.file_name().to_owned()).collect();
    let stale = names.iter().filter(|name| name.to_str().is_ok_and(is_stale));
    compacted + stale.filter(|name| unlinkat(&indexes, *name, AtFlags::empty()).is_ok()).count()
}

/// Whether a file was not written to for longer than writing an index takes.
fn is_old(path: &Path) -> bool {
    let modified = path.symlink_metadata().and_then(|found| found.modified());
    modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > Duration::from_secs(3_600)))
}

/// Repairs the last line of a segment of `segment_length` bytes if it has no line break: completes or
/// quarantines it. The caller holds the store lock.
pub(crate) fn repair_torn_tail(
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
    let mut file = open::read(&path).map_err(failed("open"))?;
    let offset = tail_start(&file, segment_length).map_err(failed("read"))?;
    let length = segment_length - offset;
    if length == 0 {
        return Ok(None);
    }
    let mut torn = TornTail { segment: path.clone(), offset, length, quarantined: None };
    let mut writable = open::append(&path).map_err(failed("open"))?;
    if is_whole_entry(&mut file, offset, length).map_err(failed("read"))? {
        writable.write_all(b"\n").map_err(failed("append to"))?;
    } else {
        torn.quarantined = Some(quarantine_tail(folder, name, &mut file, offset)?);
        writable.set_len(offset).map_err(failed("truncate"))?;
    }
    writable.sync_all().map_err(failed("sync"))?;
    event!(
        WARN,
        segment = %name,
        offset = offset,
        bytes = length,
        quarantined = torn.quarantined.is_some(),
        "torn line repaired"
    );
    Ok(Some(torn))
}

fn is_whole_entry(file: &mut File, offset: u64, length: u64) -> io::Result<bool> {
    if length > MAX_LINE_BYTES as u64 {
        return Ok(false);
    }
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(offset))?;
    file.take(length).read_to_end(&mut tail)?;
    // Blank: it was erased.
    Ok(tail.trim_ascii().is_empty() || line::decode(&tail).is_ok())
}

/// Copies the tail from `offset` on to a file in the quarantine, which is durable before the tail is cut
/// off.
fn quarantine_tail(
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
    copied.map_err(|source| StorageError::io("move a torn line to", quarantine, source))
}
