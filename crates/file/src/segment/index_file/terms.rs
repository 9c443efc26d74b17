//! The secondary index in an index file: for each key, the hashes of the lines' texts with the lines' numbers
//! by time. Lines with one text are together, in time order.

use std::io;
use std::ops::Range;

use super::blocks::BlockReader;
use super::format::{
    DIRECTORY_BLOCK, Header, Section, TERM_RECORD, damaged, decode_posting, split_key,
};
use super::{IndexFile, Line};
use crate::segment::index::IndexedLine;
use crate::segment::postings::{Posting, Postings, SecondaryIndex};
use crate::segment::terms::{Condition, IndexKey, IndexKeys};

/// After this many interpolated probes, a search bisects: the hashes are spread unevenly, as one text is in
/// many lines.
const MAX_INTERPOLATIONS: usize = 4;

/// The keys of an index file. Its bytes are kept as they are, since most index files are never asked for a key.
#[derive(Debug)]
pub(super) struct Directory {
    bytes: Box<[u8]>,
    /// Where the records of the first key begin, and those of the last one end.
    blocks: Range<u64>,
}

impl Directory {
    pub(super) fn read(blocks: &mut BlockReader<'_>, header: Header) -> io::Result<Self> {
        let length = usize::try_from(header.directory_bytes).map_err(|_| damaged("its keys"))?;
        let mut bytes = Vec::with_capacity(length);
        for block in DIRECTORY_BLOCK..header.filter_block() {
            let left = length - bytes.len();
            let payload = blocks.payload(block)?;
            bytes.extend_from_slice(&payload[..left.min(payload.len())]);
        }
        let start = header.corrupt_lines().end();
        let mut directory = Self { bytes: bytes.into(), blocks: start..start };
        let (mut rest, mut end) = (&*directory.bytes, start);
        while !rest.is_empty() {
            let (name, records, next) = split_key(rest).ok_or_else(|| damaged("its keys"))?;
            if !IndexKey::is_name(name) || records >= 1 << 32 {
                return Err(damaged("its keys"));
            }
            rest = next;
            end = Section::new(end, records, TERM_RECORD).end();
        }
        directory.blocks.end = end;
        Ok(directory)
    }

    /// The block after the last record.
    pub(super) fn end(&self) -> u64 {
        self.blocks.end
    }

    /// The names of the keys with their records.
    fn keys(&self) -> impl Iterator<Item = (&str, Section)> {
        let (mut rest, mut first_block) = (&*self.bytes, self.blocks.start);
        std::iter::from_fn(move || {
            let (name, records, next) = split_key(rest)?;
            let section = Section::new(first_block, records, TERM_RECORD);
            (rest, first_block) = (next, section.end());
            Some((name, section))
        })
    }

    pub(super) fn section_of(&self, key: &IndexKey) -> Option<Section> {
        self.keys().find(|(name, _)| key.is_named(name)).map(|(_, section)| section)
    }
}

/// Lines with one hash of one key: consecutive records.
#[derive(Debug, Clone)]
pub(crate) struct Matches {
    section: Section,
    hash: u64,
    pub(crate) records: Range<u64>,
}

/// About which of `blocks` blocks has `hash`, if hashes are evenly spread.
fn interpolate(hash: u64, blocks: u64) -> u64 {
    // Less than `blocks`.
    ((u128::from(hash) * u128::from(blocks)) >> 64) as u64
}

/// The number of the first record of `section` that is not less than `bound`.
fn lower_bound(
    blocks: &mut BlockReader<'_>,
    section: Section,
    bound: Posting,
    guess: u64,
) -> io::Result<u64> {
    // Blocks before `low` have lesser records only, those from `high` on none.
    let (mut low, mut high) = (0, section.blocks());
    let (mut probe, mut probes) = (guess, 0);
    while low < high {
        probe = probe.clamp(low, high - 1);
        let records: &[[u8; TERM_RECORD]] = blocks.raw_records(section, probe)?;
        let below = records.partition_point(|record| decode_posting(record) < bound);
        let first = records.first().map(decode_posting).ok_or_else(|| damaged("a block"))?;
        if below == records.len() {
            low = probe + 1;
        } else if below == 0 {
            high = probe;
        } else {
            return Ok(probe * section.records_per_block + below as u64);
        }
        probes += 1;
        probe = if probes < MAX_INTERPOLATIONS {
            let distance = interpolate(bound.hash.abs_diff(first.hash), section.blocks());
            if bound.hash < first.hash { probe.saturating_sub(distance) } else { probe + distance }
        } else {
            low + (high - low) / 2
        };
    }
    Ok((low * section.records_per_block).min(section.records))
}

impl IndexFile {
    /// The keys of its secondary index.
    pub(crate) fn keys(&self) -> IndexKeys {
        IndexKeys::of_file(self.directory.keys().filter_map(|(name, _)| IndexKey::parse(name)))
    }

    /// Lines that may meet all of `conditions`: those that meet the most selective one by its hash. `None` if
    /// no condition is on a key that it has. Some of them may be erased.
    pub(crate) fn matching(&self, conditions: &[Condition]) -> io::Result<Option<Matches>> {
        let mut fewest: Option<Matches> = None;
        for condition in conditions {
            let Some(section) = self.directory.section_of(&condition.key) else { continue };
            let all = Matches { section, hash: condition.hash, records: 0..section.records };
            let found = self.with_lines(&all, 0..self.header.lines)?;
            let count = found.records.end - found.records.start;
            if fewest.as_ref().is_none_or(|few| count < few.records.end - few.records.start) {
                fewest = Some(found);
            }
            if count == 0 {
                break;
            }
        }
        Ok(fewest)
    }

    /// Those of `matches` whose lines have these numbers by time.
    pub(crate) fn with_lines(&self, matches: &Matches, lines: Range<u64>) -> io::Result<Matches> {
        let Matches { section, hash, .. } = *matches;
        let mut blocks = self.blocks();
        let guess = interpolate(hash, section.blocks());
        // There are fewer than 2^32 lines.
        let bound = |line: u64| Posting { hash, line: u32::try_from(line).unwrap_or(u32::MAX) };
        let start = lower_bound(&mut blocks, section, bound(lines.start), guess)?;
        let near = start / section.records_per_block;
        let end = lower_bound(&mut blocks, section, bound(lines.end), near)?;
        // Records of a damaged file may be out of order.
        Ok(Matches { records: start..end.max(start), ..*matches })
    }

    /// The lines of `records`, a part of those of `matches`, in time order.
    pub(crate) fn lines_of(&self, matches: &Matches, records: Range<u64>) -> io::Result<Vec<Line>> {
        let by_time = self.header.by_time();
        let (mut of_key, mut lines) = (self.blocks(), self.blocks());
        records
            .map(|number| {
                let found = decode_posting(of_key.raw_record(matches.section, number)?);
                self.timed_line(lines.record(by_time, found.line.into())?)
            })
            .collect()
    }

    /// The hashes of the texts of `key`, each with the offset of its line, sorted; `None` if it has no such key.
    pub(super) fn terms(&self, key: &IndexKey) -> io::Result<Option<Vec<(u64, u64)>>> {
        let Some(section) = self.directory.section_of(key) else { return Ok(None) };
        let lines = self.lines_from(0, u64::MAX)?;
        let mut blocks = self.sequential_blocks();
        let offset_of = |posting: Posting| {
            let line = lines.get(posting.line as usize).ok_or_else(|| damaged("a line number"))?;
            Ok((posting.hash, line.offset))
        };
        let terms: io::Result<Vec<_>> = (0..section.records)
            .map(|number| offset_of(decode_posting(blocks.raw_record(section, number)?)))
            .collect();
        let mut terms = terms?;
        terms.sort_unstable();
        Ok(Some(terms))
    }

    /// The secondary index of `keys`, with the numbers of lines in `lines`, which are all lines in write order;
    /// `None` if it lacks one of the keys.
    pub(super) fn secondary(
        &self,
        keys: &IndexKeys,
        lines: &[IndexedLine],
    ) -> io::Result<Option<SecondaryIndex>> {
        let mut all = Vec::with_capacity(keys.iter().len());
        for key in keys.iter() {
            let Some(terms) = self.terms(key)? else { return Ok(None) };
            let posting = |(hash, offset)| {
                let number = lines.binary_search_by_key(&offset, |indexed| indexed.line.offset);
                let number = number.map_err(|_| damaged("a line number"))?;
                Ok(Posting { hash, line: u32::try_from(number).unwrap_or(u32::MAX) })
            };
            let postings: io::Result<_> = terms.into_iter().map(posting).collect();
            all.push(Postings::from_unsorted(postings?));
        }
        Ok(Some(SecondaryIndex::from_postings(keys.clone(), all)))
    }
}

#[cfg(test)]
mod tests;
