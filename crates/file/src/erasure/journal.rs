//! The journal: which lines are being erased, with a checksum.
//!
//! Two lines of text. The first is a JSON object, `{"version": 1, "erase": [{"segment": …,
//! "offset": …, "length": …}, …]}`; the second is the SHA-256 of the first without its line break,
//! in hexadecimal. Anything else is void: it was not written to its end, so nothing was erased.

use std::fs::File;
use std::io::{self, Read};

use attestry_core::hash_content;
use serde::{Deserialize, Serialize};

use crate::segment::SegmentName;
use crate::sys;

/// One line to erase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) segment: SegmentName,
    pub(crate) offset: u64,
    pub(crate) length: u64,
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
            Some(Record { segment, offset: stored.offset, length: stored.length })
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
            Record { segment, offset: 0, length: 500 },
            Record { segment, offset: u64::MAX, length: 1 },
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
        fn decoding_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }
}
