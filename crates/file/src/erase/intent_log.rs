//! The journal: which lines are being erased, with a checksum.
//!
//! Two lines of text. The first is a JSON object, `{"version": 1, "erase": [{"segment": …,
//! "offset": …, "length": …, "crc32": […], "leaf": …}, …], "unlink": [{"segment": …, "length": …,
//! "crc32": …, "leaves": […]}, …], "note": {"reason": …, "by": …, "at": …}}`; the second is the SHA-256 of the first without its line break, in hexadecimal. Anything else is
//! void: it was not written to its end, so nothing was erased.

use std::fs::File;
use std::io::{self, Read};

use attestry_core::hash_content;
use serde::{Deserialize, Serialize};

use crate::fs::sys;
use crate::observer::EraseReason;
use crate::segment::SegmentName;

/// What is erased together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Lines to overwrite.
    pub(crate) lines: Vec<Record>,
    /// Segments to unlink.
    pub(crate) segments: Vec<WholeSegment>,
    /// What is put on record about it, where evidence is kept.
    pub(crate) note: Option<EraseReason>,
}

impl Plan {
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.segments.is_empty()
    }
}

/// A segment to unlink, and by what its file is known again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WholeSegment {
    pub(crate) segment: SegmentName,
    /// Its length, and a checksum of [its beginning](BEGINNING).
    pub(crate) length: u64,
    pub(crate) sum: u32,
    /// The leaves of its lines, as ranges from the first to behind the last.
    pub(crate) leaves: Vec<(u64, u64)>,
}

/// So many bytes tell one segment from another: there is an id among them.
const BEGINNING: usize = 4_096;

impl WholeSegment {
    pub(crate) fn new(segment: SegmentName, file: &File) -> io::Result<Self> {
        let length = sys::length_of(file)?;
        let mut beginning = vec![0; usize::try_from(length).unwrap_or(BEGINNING).min(BEGINNING)];
        sys::read_exact_at(file, &mut beginning, 0)?;
        Ok(Self { segment, length, sum: crc32fast::hash(&beginning), leaves: Vec::new() })
    }

    /// Whether `file` is the one that was to be unlinked, as it was then.
    pub(super) fn is(&self, file: &File) -> io::Result<bool> {
        let now = Self::new(self.segment, file)?;
        Ok((now.length, now.sum) == (self.length, self.sum))
    }
}

/// One line to erase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) segment: SegmentName,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    /// What was in the line, [sector](sectors) by sector; empty where nobody looked.
    pub(crate) sums: Vec<u32>,
    /// Which leaf of the tree it is, where there is one.
    pub(crate) leaf: Option<u64>,
}

/// The least that a disk writes in one piece.
const SECTOR: u64 = 512;

impl Record {
    /// Remembers that the line holds `bytes`.
    pub(super) fn note(&mut self, bytes: &[u8]) {
        self.sums = sectors(self.offset, bytes).map(crc32fast::hash).collect();
    }

    /// Whether `bytes` are still the line, each sector of it as it was or overwritten: wholly, or
    /// from its beginning on. Another program may have moved lines since the journal was written.
    pub(crate) fn names(&self, bytes: &[u8]) -> bool {
        let mut sums = self.sums.iter();
        let whole = bytes.len() as u64 == self.length;
        self.sums.is_empty()
            || whole
                && sectors(self.offset, bytes).all(|sector| {
                    let sum = sums.next();
                    sector.first() == Some(&b' ') || sum == Some(&crc32fast::hash(sector))
                })
    }
}

/// The parts of a line at `offset` that lie in one sector each.
fn sectors(offset: u64, line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let first = usize::try_from(SECTOR - offset % SECTOR).unwrap_or(0).min(line.len());
    let (first, rest) = line.split_at(first);
    std::iter::once(first).chain(rest.chunks(SECTOR as usize)).filter(|sector| !sector.is_empty())
}

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    erase: Vec<Stored>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unlink: Vec<StoredSegment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<EraseReason>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    segment: String,
    offset: u64,
    length: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    crc32: Vec<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leaf: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct StoredSegment {
    segment: String,
    length: u64,
    crc32: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    leaves: Vec<(u64, u64)>,
}

/// Writes and syncs the journal.
pub(super) fn write(file: &File, plan: &Plan) -> io::Result<()> {
    file.set_len(0)?;
    sys::write_all_at(file, encode(plan)?.as_bytes(), 0)?;
    file.sync_data()
}

/// Empties and syncs the journal.
pub(super) fn clear(file: &File) -> io::Result<()> {
    if file.metadata()?.len() == 0 {
        return Ok(());
    }
    file.set_len(0)?;
    file.sync_data()
}

/// What the journal says is to be erased; nothing, where it is empty or void.
pub(super) fn read(mut file: &File) -> io::Result<Plan> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(decode(&bytes).unwrap_or_default())
}

pub(super) fn encode(plan: &Plan) -> io::Result<String> {
    let lines = plan.lines.iter().map(|record| Stored {
        segment: record.segment.to_string(),
        offset: record.offset,
        length: record.length,
        crc32: record.sums.clone(),
        leaf: record.leaf,
    });
    let segments = plan.segments.iter().map(|whole| StoredSegment {
        segment: whole.segment.to_string(),
        length: whole.length,
        crc32: whole.sum,
        leaves: whole.leaves.clone(),
    });
    let document = serde_json::to_string(&Document {
        version: VERSION,
        erase: lines.collect(),
        unlink: segments.collect(),
        note: plan.note.clone(),
    })?;
    let checksum = hash_content(&document);
    Ok(format!("{document}\n{checksum}\n"))
}

pub(super) fn decode(bytes: &[u8]) -> Option<Plan> {
    let (document, checksum) = std::str::from_utf8(bytes).ok()?.split_once('\n')?;
    if hash_content(document) != checksum.strip_suffix('\n')? {
        return None;
    }
    let document: Document = serde_json::from_str(document).ok()?;
    if document.version != VERSION {
        return None;
    }
    let line = |stored: Stored| {
        let segment = SegmentName::parse(&stored.segment)?;
        let Stored { offset, length, crc32: sums, leaf, .. } = stored;
        Some(Record { segment, offset, length, sums, leaf })
    };
    let whole = |stored: StoredSegment| {
        let segment = SegmentName::parse(&stored.segment)?;
        let StoredSegment { length, crc32: sum, leaves, .. } = stored;
        Some(WholeSegment { segment, length, sum, leaves })
    };
    Some(Plan {
        lines: document.erase.into_iter().map(line).collect::<Option<_>>()?,
        segments: document.unlink.into_iter().map(whole).collect::<Option<_>>()?,
        note: document.note,
    })
}

#[cfg(test)]
mod tests {
    use attestry_core::Timestamp;

    use super::*;
    use proptest::prelude::*;

    fn plan() -> Plan {
        let segment = SegmentName::parse("audit_20260128_001.jsonl").unwrap();
        let lines = vec![
            Record { segment, offset: 0, length: 500, sums: vec![7], leaf: Some(3) },
            Record { segment, offset: u64::MAX, length: 1, sums: Vec::new(), leaf: None },
        ];
        let leaves = vec![(0, 2), (7, u64::MAX)];
        let whole = WholeSegment { segment, length: 2, sum: 3, leaves };
        let (reason, by) = ("\"so\"\n".into(), "✓".into());
        let note = EraseReason { reason, by, at: Timestamp::UNIX_EPOCH };
        Plan { lines, segments: vec![whole], note: Some(note) }
    }

    #[test]
    fn any_cut_or_changed_journal_is_void() {
        let whole = encode(&plan()).unwrap().into_bytes();
        assert_eq!(decode(&whole).unwrap(), plan());
        for cut in 0..whole.len() {
            assert_eq!(decode(&whole[..cut]), None, "cut to {cut} bytes");
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert_eq!(decode(&changed), None, "byte {at} changed");
        }
    }

    proptest! {
        #[test]
        fn a_line_is_known_whatever_sectors_of_it_are_blank(
            offset in 0..2_000u64, line in "[!-~]{1,1800}", lost in any::<u8>(), torn in 0..512usize,
        ) {
            let segment = SegmentName::parse("audit_20260128.jsonl").unwrap();
            let mut line = line.into_bytes();
            let length = line.len() as u64;
            let mut record = Record { segment, offset, length, sums: Vec::new(), leaf: None };
            prop_assert!(record.names(&line), "nothing is known of it");
            record.note(&line);
            prop_assert!(record.names(&line));
            let mut other = line.clone();
            other[torn % line.len()] ^= 0x80;
            prop_assert!(!record.names(&other), "another line");
            let ends: Vec<_> = sectors(offset, &line).map(<[u8]>::len).collect();
            let mut start = 0;
            for (number, size) in ends.into_iter().enumerate() {
                let blank = if lost >> (number % 8) & 1 == 1 { size } else { torn.min(size) };
                line[start..start + blank].fill(b' ');
                start += size;
            }
            prop_assert!(record.names(&line));
        }

        #[test]
        fn decoding_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }
}
