//! A Bloom filter of the ids of many segments, for lookups of ids that are stored nowhere: with one filter a segment,
//! their cost grows with the number of segments.

use std::io;
use std::sync::Arc;

use super::bloom::{BloomFilter, HashedId};
use super::{Segment, SegmentIndex};

/// The ids of a run of sealed segments. Their index files never get more ids, so the filter holds for as long as its
/// segments do; of segments that are removed it keeps the ids, which are false positives from then on.
#[derive(Debug)]
pub(crate) struct RunFilter(BloomFilter);

impl RunFilter {
    /// Reads the ids of `run`, segments with index files, and sets the filter of its segments.
    pub(crate) fn attach(run: &[Segment]) -> io::Result<()> {
        let mut hashes = Vec::new();
        for segment in run {
            let SegmentIndex::OnDisk(index) = &segment.file.index else {
                return Err(io::ErrorKind::Unsupported.into());
            };
            index.read_id_hashes(&mut hashes)?;
        }
        let filter = Arc::new(Self(BloomFilter::without_ranks(&hashes)));
        for segment in run {
            // Another thread may have built the same.
            let _ = segment.file.run.set(filter.clone());
        }
        Ok(())
    }

    /// False if the id is certainly in none of the segments.
    #[inline]
    pub(crate) fn may_contain(&self, id: &HashedId) -> bool {
        self.0.may_contain(id)
    }

    /// How many bytes of memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

/// The segments that may contain an id, by what is in memory.
pub(crate) struct Candidates<'a> {
    segments: std::slice::Iter<'a, Segment>,
    id: &'a HashedId,
    /// The run of the previous segment, and whether it may contain the id.
    run: Option<(&'a RunFilter, bool)>,
    /// How many segments without a run filter were tested.
    pub(crate) tested_alone: u64,
}

impl<'a> Candidates<'a> {
    pub(crate) fn new(segments: &'a [Segment], id: &'a HashedId) -> Self {
        Self { segments: segments.iter(), id, run: None, tested_alone: 0 }
    }

    fn run_may_contain(&mut self, run: Option<&'a RunFilter>) -> bool {
        let Some(run) = run else {
            self.tested_alone += 1;
            return true;
        };
        match self.run {
            Some((known, result)) if std::ptr::eq(known, run) => result,
            _ => {
                let result = run.may_contain(self.id);
                self.run = Some((run, result));
                result
            }
        }
    }
}

impl<'a> Iterator for Candidates<'a> {
    type Item = &'a Segment;

    #[inline]
    fn next(&mut self) -> Option<&'a Segment> {
        loop {
            let segment = self.segments.next()?;
            let file = &*segment.file;
            if self.run_may_contain(file.run_filter()) && file.may_contain(self.id) {
                return Some(segment);
            }
        }
    }
}
