//! Compares an index file with an index that was just made of the segment.

use std::io;
use std::sync::atomic::Ordering;

use super::IndexFile;
use crate::segment::index::MemoryIndex;

impl IndexFile {
    /// Whether it says of the segment what `index` says, which was just made of it with the same keys.
    pub(crate) fn equals(&self, index: &MemoryIndex) -> io::Result<bool> {
        self.reload_erased()?;
        let mut indexed = self.all_lines()?.into_iter();
        // Lines that were erased since are in the index file, too.
        let has_all = index.indexed().all(|expected| {
            let found = indexed.find(|found| found.line.offset >= expected.line.offset);
            found.is_some_and(|found| found == *expected)
        });
        let same_keys = self.keys().iter().eq(index.secondary().keys().iter());
        let left = self.header.lines - self.erased.load(Ordering::Relaxed);
        let is_same = has_all
            && left == index.indexed().count() as u64
            && self.header.indexed_len == index.indexed_len()
            && self.corrupt()? == index.corrupt();
        Ok(is_same && same_keys && self.has_same_terms(index)?)
    }

    /// Whether the terms of the lines that `index` has are the same.
    fn has_same_terms(&self, index: &MemoryIndex) -> io::Result<bool> {
        let mut left: Vec<u64> = index.lines().map(|line| line.offset).collect();
        left.sort_unstable();
        for key in index.secondary().keys().iter() {
            let mut terms = self.terms(key)?.unwrap_or_default();
            terms.retain(|(_, offset)| left.binary_search(offset).is_ok());
            if index.terms(key) != Some(terms) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
