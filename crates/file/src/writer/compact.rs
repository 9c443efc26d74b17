//! Giving back the space of erased lines.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};

use attestry_core::StorageError;

use super::Changes;
use super::batch::share;
use super::queue::Answer;
use crate::fs::epoch;
use crate::fs::lock::Held;
use crate::fs::sys;
use crate::segment::{RawLine, Segment, SegmentName, for_each_line};

/// Rewriting sealed segments without their blank lines, one after the other, each in one step: a crash
/// leaves the old file or the new one. The segment that grows is left alone. It takes as long as there
/// is to read, so others have their turn between two segments.
#[derive(Debug)]
pub(crate) struct Compaction {
    /// Those up to this one are done.
    done: Option<SegmentName>,
    freed: u64,
    answer: Answer<u64>,
}

impl Compaction {
    pub(crate) fn new(answer: Answer<u64>) -> Self {
        Self { done: None, freed: 0, answer }
    }

    pub(super) fn refuse(self, error: &StorageError) {
        drop(self.answer.send(Err(share(error))));
    }
}

impl Changes {
    /// Compacts the next segment. What is left to do comes back; else the caller is told how many bytes
    /// were freed, or why no more could be.
    pub(super) fn compact(
        &mut self,
        mut compaction: Compaction,
        held: &Held<'_>,
    ) -> Option<Compaction> {
        let outcome = match self.compact_next(compaction.done, held) {
            Ok(Some((segment, freed))) => {
                compaction.done = Some(segment);
                compaction.freed += freed;
                return Some(compaction);
            }
            Ok(None) => Ok(compaction.freed),
            Err(error) => Err(error),
        };
        drop(compaction.answer.send(outcome));
        None
    }

    fn compact_next(
        &mut self,
        done: Option<SegmentName>,
        held: &Held<'_>,
    ) -> Result<Option<(SegmentName, u64)>, StorageError> {
        self.erasures.finish_pending(&mut *self.observer)?;
        let segments = self.catalog.snapshot_locked(held)?;
        let written_to = self.catalog.clock().written_to();
        let sealed = &segments[..segments.len().saturating_sub(1)];
        let is_next =
            |segment: &&Segment| !written_to.contains(&segment.name) && Some(segment.name) > done;
        let Some(next) = sealed.iter().find(is_next) else { return Ok(None) };
        let freed = if next.file.has_no_holes() { 0 } else { self.compact_segment(next)? };
        Ok(Some((next.name, freed)))
    }

    fn compact_segment(&mut self, segment: &Segment) -> Result<u64, StorageError> {
        let folder = self.catalog.folder().clone();
        let (path, temporary) = (folder.segment(segment.name), folder.compacted());
        let failed = |source| StorageError::io("compact", &path, source);
        let file = &segment.file.handle;
        let length = file.metadata().map_err(failed)?.len();
        let blank = blank_bytes(file, length).map_err(failed)?;
        if blank == 0 {
            return Ok(0);
        }
        self.active.forget(segment.file.id);
        if blank == length {
            fs::remove_file(&path).map_err(|source| StorageError::io("remove", &path, source))?;
            self.observer.segment_removed(segment.name);
        } else {
            let copied = copy_lines(file, length, &temporary).and_then(|()| {
                fs::set_permissions(&temporary, file.metadata()?.permissions())?;
                fs::rename(&temporary, &path)
            });
            if let Err(source) = copied {
                let _ = fs::remove_file(&temporary); // or the next open removes it
                return Err(StorageError::io("compact", path, source));
            }
            self.observer.segment_compacted(segment.name, length - blank);
        }
        // Named by the old file's number; of no use any more.
        let _ = fs::remove_file(folder.index(segment.file.id));
        epoch::raise_layout(&folder)?;
        sys::sync_folder(folder.path())
            .map_err(|source| StorageError::io("sync", folder.path(), source))?;
        Ok(blank)
    }
}

fn blank_bytes(file: &File, length: u64) -> io::Result<u64> {
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

/// Copies every line that is not blank, and syncs the copy. Lines are copied from the file itself,
/// so that even those too long to be read stay what they are.
fn copy_lines(file: &File, length: u64, to: &std::path::Path) -> io::Result<()> {
    let _ = fs::remove_file(to);
    let mut out = BufWriter::with_capacity(1 << 18, sys::create_new(to)?);
    let mut outcome = Ok(());
    let end = for_each_line(file, 0, length, |offset, line| {
        let copied = match line {
            RawLine::Bytes(bytes) if bytes.trim_ascii().is_empty() => Ok(()),
            RawLine::Bytes(bytes) => out.write_all(bytes).and_then(|()| out.write_all(b"\n")),
            RawLine::TooLong(length) => copy_range(file, offset, length + 1, &mut out),
        };
        outcome = std::mem::replace(&mut outcome, Ok(())).and(copied);
    })?;
    outcome?;
    copy_range(file, end, length - end, &mut out)?; // what has no line break yet
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

fn copy_range(file: &File, mut offset: u64, mut left: u64, out: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 18];
    while left > 0 {
        let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        sys::read_exact_at(file, &mut buffer[..wanted], offset)?;
        out.write_all(&buffer[..wanted])?;
        offset += wanted as u64;
        left -= wanted as u64;
    }
    Ok(())
}
