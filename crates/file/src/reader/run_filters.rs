//! When Bloom filters of runs of segments are built.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::segment::{RunFilter, Segment, SegmentIndex};

/// How many segments a run has.
const RUN: usize = 32;

/// After so many tests of single segments a filter is built. To read the ids of a run, about as many, takes about as long
/// as the tests took: lookups cost at most twice what they would cost with the filters from the start, and a process
/// that looks up a few ids builds none.
pub(super) const TESTS: u64 = 2 << 20;

/// The memory budget for the filters, enough for 100 million entries.
const BUDGET: usize = 125 << 20;

/// Counts tests of single segments by lookups that found nothing.
#[derive(Debug, Default)]
pub(super) struct RunFilters {
    tests: AtomicU64,
}

impl RunFilters {
    /// Notes that a lookup tested so many of `segments` each by itself. Builds the filter of the first run without one
    /// if it is due, which blocks for as long as it takes to read the ids of the run.
    pub(super) fn note(&self, segments: &[Segment], tested: u64) {
        if self.tests.fetch_add(tested, Ordering::Relaxed) + tested < TESTS {
            return;
        }
        self.tests.store(0, Ordering::Relaxed);
        if bytes(segments) < BUDGET {
            // A run with an index file that cannot be read stays without a filter. Lookups that read the file report it.
            let _ = runs(segments).find(|run| RunFilter::attach(run).is_ok());
        }
    }
}

/// Each [`RUN`] consecutive segments without a filter that have index files.
fn runs(segments: &[Segment]) -> impl Iterator<Item = &[Segment]> {
    let is_alone = |segment: &Segment| {
        segment.file.run_filter().is_none() && matches!(segment.file.index, SegmentIndex::OnDisk(_))
    };
    let consecutive = segments.split(move |segment| !is_alone(segment));
    consecutive.flat_map(|alone| alone.chunks_exact(RUN))
}

/// The memory that the filters take.
fn bytes(segments: &[Segment]) -> usize {
    let mut filters: Vec<&RunFilter> =
        segments.iter().filter_map(|segment| segment.file.run_filter()).collect();
    filters.dedup_by(|a, b| std::ptr::eq(*a, *b));
    filters.iter().map(|filter| filter.bytes()).sum()
}
