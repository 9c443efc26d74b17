//! Encoded entries on their way to the disk.

use std::mem;
use std::sync::{Arc, PoisonError};

use attestry_core::EntryId;

use super::sync::Mutex;
use crate::observer::LineEnd;
use crate::segment::Term;

/// Encoded entries, one line each.
#[derive(Debug, Default)]
pub(crate) struct EncodedLines {
    pub(crate) bytes: Vec<u8>,
    pub(crate) line_ends: Vec<LineEnd>,
    /// The terms of the lines, one line after the other.
    pub(crate) terms: Vec<Term>,
    /// The ids, if they are checked for duplicates; otherwise empty.
    pub(crate) checked_ids: Vec<EntryId>,
    /// With it, a line whose id is stored is skipped, whatever entry has the id; without it, another entry
    /// under a checked id is an error.
    pub(crate) skipping: Option<StoredLines>,
}

/// Which lines of a call were stored, in order, and which were skipped because their id was stored already.
#[derive(Debug, Clone, Default)]
pub(crate) struct StoredLines(Arc<Mutex<Vec<bool>>>);

impl StoredLines {
    pub(super) fn push(&self, stored: bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(stored);
    }

    /// One value a line, once the call has succeeded.
    pub(crate) fn take(&self) -> Vec<bool> {
        mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Consecutive lines of some [`EncodedLines`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunk<'a> {
    pub(super) bytes: &'a [u8],
    /// Offsets from `start` on, and numbers of terms from `first_term` on.
    pub(super) line_ends: &'a [LineEnd],
    pub(super) start: usize,
    pub(super) terms: &'a [Term],
    pub(super) first_term: usize,
    pub(super) checked_ids: &'a [EntryId],
    pub(super) skipping: Option<&'a StoredLines>,
}

impl EncodedLines {
    /// All lines in order, in chunks of at least one line and otherwise at most `max_bytes` bytes.
    pub(super) fn chunks(&self, max_bytes: usize) -> impl Iterator<Item = Chunk<'_>> {
        let mut first: usize = 0;
        std::iter::from_fn(move || {
            let before = first.checked_sub(1).map(|last| self.line_ends[last]);
            let (start, first_term) = before.map_or((0, 0), |end| (end.at, end.terms));
            let ends = &self.line_ends[first..];
            let fit =
                ends.partition_point(|end| end.at - start <= max_bytes).max(1).min(ends.len());
            let line_ends = &ends[..fit];
            let end = line_ends.last()?;
            let checked_ids = if self.checked_ids.is_empty() {
                &[][..]
            } else {
                &self.checked_ids[first..][..fit]
            };
            first += fit;
            let skipping = self.skipping.as_ref();
            Some(Chunk {
                bytes: &self.bytes[start..end.at],
                line_ends,
                start,
                terms: &self.terms[first_term..end.terms],
                first_term,
                checked_ids,
                skipping,
            })
        })
    }

    /// All lines as one chunk.
    pub(super) fn as_chunk(&self) -> Chunk<'_> {
        let Self { bytes, line_ends, terms, checked_ids, skipping } = self;
        let (start, first_term, skipping) = (0, 0, skipping.as_ref());
        Chunk { bytes, line_ends, start, terms, first_term, checked_ids, skipping }
    }
}
