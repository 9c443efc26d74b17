//! Finding a leaf by its hash, from where it should be outwards: lines of a segment are much of a
//! size, so it is seldom far.

use std::io;
use std::ops::Range;

use attestry_evidence::Hash;

use super::tiles::{Leaves, Tiles};

/// Leaves that are looked at around the place where one should be, at first.
const NEAR: u64 = 128;

/// The leaf among `ranges` that has this hash and is `wanted`, the nearest to `share` of the way from their
/// beginning to their end.
pub(super) fn find(
    tiles: &mut Tiles,
    ranges: &[Range<u64>],
    hash: Hash,
    share: f64,
    wanted: impl Fn(u64) -> bool,
) -> io::Result<Option<u64>> {
    let total: u64 = ranges.iter().map(|range| range.end - range.start).sum();
    let middle = ((total as f64 * share) as u64).min(total);
    let (mut low, mut high, mut reach) = (middle, middle, NEAR);
    while low > 0 || high < total {
        let (from, to) = (low.saturating_sub(reach), high.saturating_add(reach).min(total));
        let above = find_among(tiles, ranges, high..to, (hash, &wanted), false)?;
        let below = find_among(tiles, ranges, from..low, (hash, &wanted), true)?;
        let nearest = match (below, above) {
            (Some(below), Some(above)) => {
                Some(if middle - below.0 <= above.0 - middle { below } else { above })
            }
            (below, above) => below.or(above),
        };
        if let Some((_, leaf)) = nearest {
            return Ok(Some(leaf));
        }
        (low, high, reach) = (from, to, reach.saturating_mul(4).min(1 << 20));
    }
    Ok(None)
}

/// The first leaf with this hash that will do, or the last, among those with these numbers when all
/// of `ranges` are counted through; its number, too.
fn find_among(
    tiles: &mut Tiles,
    ranges: &[Range<u64>],
    wanted: Range<u64>,
    (hash, will_do): (Hash, &impl Fn(u64) -> bool),
    last: bool,
) -> io::Result<Option<(u64, u64)>> {
    let mut found = None;
    let mut counted = 0;
    for range in ranges {
        let count = range.end - range.start;
        let from = wanted.start.clamp(counted, counted + count) - counted;
        let to = wanted.end.clamp(counted, counted + count) - counted;
        let mut leaves = Leaves::new(range.start + from, range.start + to);
        let mut at = from;
        while let Some(leaf) = leaves.next(tiles)? {
            if leaf == hash && will_do(range.start + at) {
                found = Some((counted + at, range.start + at));
                if !last {
                    return Ok(found);
                }
            }
            at += 1;
        }
        counted += count;
    }
    Ok(found)
}
