//! Finds a leaf by its hash, starting where its line lies in the segment and widening from there. The
//! lines of a segment have similar lengths, so that the leaf is usually close.

use std::collections::HashSet;
use std::io;
use std::ops::Range;

use attestry_evidence::Hash;

use super::error::Result;
use super::tiles::{Leaves, Tiles};
use super::tree_writer::TreeWriter;
use crate::segment::SegmentName;

/// Leaves compared in the first step, to each side.
const FIRST_REACH: u64 = 128;
const MAX_REACH: u64 = 1 << 20;

impl TreeWriter {
    /// The leaf of `name` with this hash that was not erased, the nearest to `position`.
    pub(super) fn find_leaf(
        &mut self,
        name: SegmentName,
        hash: Hash,
        position: f64,
    ) -> Result<Option<u64>> {
        let erased = self.records.erased(self.head.records_len)?;
        // An entry that was erased and written again has two leaves of the same hash.
        let accept = |leaf| !erased.contains(leaf);
        let ranges = self.map.leaf_ranges(name, self.head.size);
        find(&mut self.tiles, &ranges, hash, position, accept)
            .map_err(|source| self.unreadable(source))
    }

    /// The hashes of all leaves of a segment.
    pub(super) fn leaf_hashes(&mut self, name: SegmentName) -> Result<HashSet<Hash>> {
        let mut hashes = HashSet::new();
        for range in self.map.leaf_ranges(name, self.head.size) {
            let mut leaves = Leaves::new(range);
            while let Some(hash) =
                leaves.next(&mut self.tiles).map_err(|source| self.unreadable(source))?
            {
                hashes.insert(hash);
            }
        }
        Ok(hashes)
    }
}

/// The leaf among `ranges` that has this hash and satisfies `accept`. Of several, the nearest to
/// `position`, from 0 (start of the ranges) to 1 (end).
pub(super) fn find(
    tiles: &mut Tiles,
    ranges: &[Range<u64>],
    hash: Hash,
    position: f64,
    accept: impl Fn(u64) -> bool,
) -> io::Result<Option<u64>> {
    let total: u64 = ranges.iter().map(|range| range.end - range.start).sum();
    let middle = ((total as f64 * position) as u64).min(total);
    let (mut low, mut high, mut reach) = (middle, middle, FIRST_REACH);
    while low > 0 || high < total {
        let (from, to) = (low.saturating_sub(reach), high.saturating_add(reach).min(total));
        let above = find_in(tiles, ranges, high..to, (hash, &accept), Which::First)?;
        let below = find_in(tiles, ranges, from..low, (hash, &accept), Which::Last)?;
        let nearest = match (below, above) {
            (Some(below), Some(above)) => {
                Some(if middle - below.0 <= above.0 - middle { below } else { above })
            }
            (below, above) => below.or(above),
        };
        if let Some((_, leaf)) = nearest {
            return Ok(Some(leaf));
        }
        (low, high, reach) = (from, to, reach.saturating_mul(4).min(MAX_REACH));
    }
    Ok(None)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    First,
    Last,
}

/// The first or last match among the leaves at `positions`, which count through all of `ranges`.
/// Returns its position and its leaf.
fn find_in(
    tiles: &mut Tiles,
    ranges: &[Range<u64>],
    positions: Range<u64>,
    (hash, accept): (Hash, &impl Fn(u64) -> bool),
    which: Which,
) -> io::Result<Option<(u64, u64)>> {
    let mut found = None;
    let mut counted = 0;
    for range in ranges {
        let count = range.end - range.start;
        let from = positions.start.clamp(counted, counted + count) - counted;
        let to = positions.end.clamp(counted, counted + count) - counted;
        let mut leaves = Leaves::new(range.start + from..range.start + to);
        let mut at = from;
        while let Some(leaf) = leaves.next(tiles)? {
            if leaf == hash && accept(range.start + at) {
                found = Some((counted + at, range.start + at));
                if which == Which::First {
                    return Ok(found);
                }
            }
            at += 1;
        }
        counted += count;
    }
    Ok(found)
}
