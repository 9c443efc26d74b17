//! The journal: which lines are being erased, with a checksum.
//!
//! Two lines of text. The first is a JSON object, `{"version": 1, "erase": [{"segment": …,
//! "offset": …, "length": …, "crc32": […]}, …]}`; the second is the SHA-256 of the first without its line break,
//! in hexadecimal. Anything else is void: it was not written to its end, so nothing was erased.

use std::fs::File;
use std::io::{self, Read};

use attestry_core::hash_content;
use serde::{Deserialize, Serialize};

use crate::segment::SegmentName;
use crate::sys;

/// One line to erase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) segment: SegmentName,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    /// What was in the line, [sector](sectors) by sector; empty where nobody looked.
    pub(crate) sums: Vec<u32>,
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
}

#[derive(Serialize, Deserialize)]
struct Stored {
    segment: String,
    offset: u64,
    length: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    crc32: Vec<u32>,
}

/// Writes and syncs the journal.
pub(super) fn write(file: &File, records: &[Record]) -> io::Result<()> {
    file.set_len(0)?;
    sys::write_all_at(file, encode(records)?.as_bytes(), 0)?;
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

pub(super) fn read(mut file: &File) -> io::Result<Vec<Record>> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(decode(&bytes).unwrap_or_default())
}

pub(super) fn encode(records: &[Record]) -> io::Result<String> {
    let erase = records
        .iter()
        .map(|record| Stored {
            segment: record.segment.to_string(),
            offset: record.offset,
            length: record.length,
            crc32: record.sums.clone(),
        })
        .collect();
    let document = serde_json::to_string(&Document { version: VERSION, erase })?;
    let checksum = hash_content(&document);
    Ok(format!("{document}\n{checksum}\n"))
}

pub(super) fn decode(bytes: &[u8]) -> Option<Vec<Record>> {
    let (document, checksum) = std::str::from_utf8(bytes).ok()?.split_once('\n')?;
    if hash_content(document) != checksum.strip_suffix('\n')? {
        return None;
    }
    let document: Document = serde_json::from_str(document).ok()?;
    if document.version != VERSION {
        return None;
    }
    document
        .erase
        .into_iter()
        .map(|stored| {
            let segment = SegmentName::parse(&stored.segment)?;
            let Stored { offset, length, crc32: sums, .. } = stored;
            Some(Record { segment, offset, length, sums })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn records() -> Vec<Record> {
        let segment = SegmentName::parse("audit_20260128_001.jsonl").unwrap();
        vec![
            Record { segment, offset: 0, length: 500, sums: vec![7] },
            Record { segment, offset: u64::MAX, length: 1, sums: Vec::new() },
        ]
    }

    #[test]
    fn any_cut_or_changed_journal_is_void() {
        let whole = encode(&records()).unwrap().into_bytes();
        assert_eq!(decode(&whole).unwrap(), records());
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
            let mut record = Record { segment, offset, length, sums: Vec::new() };
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
