//! Compaction: returns the space of erased lines to the file system.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Instant;

use attestry_core::StorageError;

use super::{LogParts, Progress, RefusedSegments};
use crate::erase::is_refused;
use crate::fs::lock::LockGuard;
use crate::fs::segment_name::SegmentName;
use crate::fs::{create, epoch, open, sys};
use crate::segment::{RawLine, Segment, for_each_line};

const COPY_BUFFER_BYTES: usize = 1 << 18;

/// Rewrites sealed segments without their blank lines, one after the other. Each is replaced by a
/// rename: a crash leaves the old file or the new one. The active segment is left alone.
#[derive(Debug, Default)]
pub(crate) struct Compaction {
    /// The last segment that is done.
    done: Option<SegmentName>,
    freed: u64,
    refused: RefusedSegments,
}

impl Compaction {
    /// Compacts segments until `deadline`, at least one.
    pub(super) fn step(
        &mut self,
        deadline: Instant,
        log: &mut LogParts,
        guard: &LockGuard<'_>,
    ) -> Result<Progress, StorageError> {
        while let Some(segment) = next(log, self.done, guard)? {
            self.done = Some(segment.name);
            if !segment.file.has_no_holes() {
                match compact_segment(log, &segment) {
                    Err(error) if is_refused(&error) => self.refused.add(segment.name, error),
                    freed => self.freed += freed?,
                }
            }
            if Instant::now() > deadline {
                return Ok(Progress::Pending);
            }
        }
        self.refused.finish(self.freed)
    }
}

/// The sealed segment after `done`.
fn next(
    log: &mut LogParts,
    done: Option<SegmentName>,
    guard: &LockGuard<'_>,
) -> Result<Option<Segment>, StorageError> {
    log.erasures.finish_pending(&mut *log.observer)?;
    let segments = log.catalog.snapshot_locked(guard)?;
    let written_to = log.catalog.clock().written_to();
    let sealed = &segments[..segments.len().saturating_sub(1)];
    let is_next =
        |segment: &&Segment| !written_to.contains(&segment.name) && Some(segment.name) > done;
    Ok(sealed.iter().find(is_next).cloned())
}

fn compact_segment(log: &mut LogParts, segment: &Segment) -> Result<u64, StorageError> {
    let folder = log.catalog.folder().clone();
    let (path, temporary) = (folder.segment(segment.name), folder.compacted());
    let failed = |source| StorageError::io("compact", &path, source);
    let file = &segment.file.handle;
    let length = file.metadata().map_err(failed)?.len();
    let blank = count_blank_bytes(file, length).map_err(failed)?;
    if blank == 0 {
        return Ok(0);
    }
    log.active.forget(segment.file.id)?;
    if blank == length {
        fs::remove_file(&path).map_err(|source| StorageError::io("remove", &path, source))?;
        log.observer.segment_removed(segment.name);
    } else {
        let copied =
            copy_lines(file, length, &temporary).and_then(|()| fs::rename(&temporary, &path));
        if let Err(source) = copied {
            let _ = fs::remove_file(&temporary); // otherwise the next recovery removes it
            return Err(StorageError::io("compact", path, source));
        }
        log.observer.segment_compacted(segment.name, length - blank);
    }
    // The index file is named by the inode number of the old file.
    let _ = fs::remove_file(folder.index(segment.file.id));
    epoch::bump_layout(&folder)?;
    sys::sync_folder(folder.path())
        .map_err(|source| StorageError::io("sync", folder.path(), source))?;
    Ok(blank)
}

fn count_blank_bytes(file: &File, length: u64) -> io::Result<u64> {
    let mut blank = 0;
    for_each_line(file, 0, length, |_, line| {
        if let RawLine::Bytes(bytes) = line
            && bytes.trim_ascii().is_empty()
        {
            blank += bytes.len() as u64 + 1;
        }
    })?;
    Ok(blank)
}

/// Copies every line that is not blank, with owner, group and mode of the file, and syncs the copy. Lines that are too long to be entries are
/// copied too.
fn copy_lines(file: &File, length: u64, to: &Path) -> io::Result<()> {
    let _ = fs::remove_file(to);
    let copy = open::create_new(to)?;
    let replaced = file.metadata()?;
    create::like(&replaced, replaced.mode() & 0o7777, &copy)?;
    let mut out = BufWriter::with_capacity(COPY_BUFFER_BYTES, copy);
    let mut result = Ok(());
    let end = for_each_line(file, 0, length, |offset, line| {
        let copied = match line {
            RawLine::Bytes(bytes) if bytes.trim_ascii().is_empty() => Ok(()),
            RawLine::Bytes(bytes) => out.write_all(bytes).and_then(|()| out.write_all(b"\n")),
            RawLine::TooLong(length) => copy_range(file, offset, length + 1, &mut out),
        };
        result = std::mem::replace(&mut result, Ok(())).and(copied);
    })?;
    result?;
    copy_range(file, end, length - end, &mut out)?; // a last line without a line break
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

fn copy_range(file: &File, mut offset: u64, mut left: u64, out: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; COPY_BUFFER_BYTES];
    while left > 0 {
        let count = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        sys::read_exact_at(file, &mut buffer[..count], offset)?;
        out.write_all(&buffer[..count])?;
        offset += count as u64;
        left -= count as u64;
    }
    Ok(())
}
