//! The intent log: which lines and segments are being erased, with a checksum.
//!
//! Two lines of text. The first is a JSON object, `{"version": 1, "erase": [{"segment": …, "offset": …,
//! "length": …, "crc32": […], "leaf": …}, …], "unlink": [{"segment": …, "length": …, "crc32": …,
//! "leaves": […]}, …], "note": {"reason": …, "by": …, "at": …}}`; the second is the SHA-256 of the first
//! without its line break, in hexadecimal. If evidence is kept, a third line has the observer's signature of
//! that. Anything else is void: it is a torn write, before which nothing was erased.

use std::fs::File;
use std::io;

use attestry_core::{MAX_LINE_BYTES, hash_content};
use serde::{Deserialize, Serialize};

use crate::fs::segment_name::SegmentName;
use crate::fs::sys;
use crate::fs::version::UnknownVersion;
use crate::observer::EraseReason;

/// What is erased together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EraseIntent {
    /// Lines to overwrite.
    pub(crate) lines: Vec<ErasedLine>,
    /// Segments to unlink.
    pub(crate) segments: Vec<ErasedSegment>,
    /// What the observer records; `None` if there is none.
    pub(crate) reason: Option<EraseReason>,
}

impl EraseIntent {
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.segments.is_empty()
    }

    /// Whether it names `segment`, or lines of it.
    pub(crate) fn names(&self, segment: SegmentName) -> bool {
        self.lines.iter().any(|line| line.segment == segment)
            || self.segments.iter().any(|erased| erased.segment == segment)
    }

    /// Whether the line of `segment` at `offset` is to be erased.
    pub(crate) fn names_line(&self, segment: SegmentName, offset: u64) -> bool {
        let is_line = |line: &ErasedLine| (line.segment, line.offset) == (segment, offset);
        self.lines.iter().any(is_line)
            || self.segments.iter().any(|erased| erased.segment == segment)
    }
}

/// A segment to unlink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ErasedSegment {
    pub(crate) segment: SegmentName,
    pub(crate) length: u64,
    /// CRC-32 of its first [`PREFIX_BYTES`].
    pub(crate) checksum: u32,
    /// The leaves of its lines, as half-open ranges.
    pub(crate) leaves: Vec<(u64, u64)>,
}

/// Enough to tell two segments apart: it contains an id.
const PREFIX_BYTES: usize = 4_096;

impl ErasedSegment {
    pub(crate) fn new(segment: SegmentName, file: &File) -> io::Result<Self> {
        let length = sys::length_of(file)?;
        let mut prefix = vec![0; usize::try_from(length).unwrap_or(PREFIX_BYTES).min(PREFIX_BYTES)];
        sys::read_exact_at(file, &mut prefix, 0)?;
        Ok(Self { segment, length, checksum: crc32fast::hash(&prefix), leaves: Vec::new() })
    }

    /// Whether `file` is the one that was to be unlinked, unchanged.
    pub(super) fn is(&self, file: &File) -> io::Result<bool> {
        let now = Self::new(self.segment, file)?;
        Ok((now.length, now.checksum) == (self.length, self.checksum))
    }
}

/// A line to overwrite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ErasedLine {
    pub(crate) segment: SegmentName,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    /// CRC-32 of the line, [sector](sectors) by sector; empty if unknown.
    pub(crate) checksums: Vec<u32>,
    /// Its leaf in the Merkle tree.
    pub(crate) leaf: Option<u64>,
}

/// Disks write at least this many bytes atomically.
const SECTOR_BYTES: u64 = 512;

impl ErasedLine {
    /// Sets the checksums of the line, which consists of `bytes`.
    pub(super) fn set_checksums(&mut self, bytes: &[u8]) {
        self.checksums = sectors(self.offset, bytes).map(crc32fast::hash).collect();
    }

    /// Whether `bytes` are the line, each sector unchanged or overwritten: as a whole, or from its start
    /// on. Another program may have moved lines since the intent log was written.
    pub(crate) fn matches(&self, bytes: &[u8]) -> bool {
        let mut checksums = self.checksums.iter();
        let is_whole = bytes.len() as u64 == self.length;
        self.checksums.is_empty()
            || is_whole
                && sectors(self.offset, bytes).all(|sector| {
                    let checksum = checksums.next();
                    sector.first() == Some(&b' ') || checksum == Some(&crc32fast::hash(sector))
                })
    }
}

/// The parts of a line at `offset`, split at sector boundaries of the file.
fn sectors(offset: u64, line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let first = SECTOR_BYTES - offset % SECTOR_BYTES;
    let (first, rest) = line.split_at(usize::try_from(first).unwrap_or(0).min(line.len()));
    let rest = rest.chunks(SECTOR_BYTES as usize);
    std::iter::once(first).chain(rest).filter(|sector| !sector.is_empty())
}

const VERSION: u32 = 1;

/// The longest intent log that is read or written: an erasure has some thousand lines.
pub(super) const MAX_BYTES: u64 = 256 << 20;

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    erase: Vec<LineRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unlink: Vec<SegmentRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<EraseReason>,
}

#[derive(Serialize, Deserialize)]
struct LineRecord {
    segment: String,
    offset: u64,
    length: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    crc32: Vec<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leaf: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct SegmentRecord {
    segment: String,
    length: u64,
    crc32: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    leaves: Vec<(u64, u64)>,
}

/// Writes and syncs the text of an intent log.
pub(super) fn write(file: &File, text: &str) -> io::Result<()> {
    if text.len() as u64 > MAX_BYTES {
        let message = "too many lines are to be erased at once; erase fewer entries at a time";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    file.set_len(0)?;
    sys::write_all_at(file, text.as_bytes(), 0)?;
    sys::sync_data(file)
}

/// Empties and syncs the intent log.
pub(super) fn clear(file: &File) -> io::Result<()> {
    if file.metadata()?.len() == 0 {
        return Ok(());
    }
    file.set_len(0)?;
    sys::sync_data(file)
}

/// The first line of an intent log, without its line break.
pub(super) fn document(intent: &EraseIntent) -> io::Result<String> {
    let lines = intent.lines.iter().map(|line| LineRecord {
        segment: line.segment.to_string(),
        offset: line.offset,
        length: line.length,
        crc32: line.checksums.clone(),
        leaf: line.leaf,
    });
    let segments = intent.segments.iter().map(|segment| SegmentRecord {
        segment: segment.segment.to_string(),
        length: segment.length,
        crc32: segment.checksum,
        leaves: segment.leaves.clone(),
    });
    Ok(serde_json::to_string(&Document {
        version: VERSION,
        erase: lines.collect(),
        unlink: segments.collect(),
        note: intent.reason.clone(),
    })?)
}

/// An intent log: the document, its checksum, and a signature if there is one.
pub(super) fn encode(document: &str, signature: Option<&str>) -> String {
    let mut text = format!("{document}\n{}\n", hash_content(document));
    if let Some(signature) = signature {
        text.push_str(signature);
        text.push('\n');
    }
    text
}

/// An intent log that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FoundIntent {
    pub(crate) intent: EraseIntent,
    /// The SHA-256 of its document, in hexadecimal.
    pub(super) sha256: String,
    pub(super) signature: Option<String>,
}

/// The content of an intent log; an empty or void one is an empty intent. One of another version is an
/// error: it must not be emptied.
pub(super) fn read(bytes: &[u8]) -> io::Result<FoundIntent> {
    #[derive(Deserialize)]
    struct Versioned {
        version: serde_json::Value,
    }
    if let Some(intent) = decode(bytes) {
        return Ok(intent);
    }
    let document = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    match serde_json::from_slice(document) {
        Ok(Versioned { version }) if version != VERSION => {
            Err(UnknownVersion::error(version.to_string(), VERSION.to_string()))
        }
        _ => Ok(FoundIntent::default()),
    }
}

pub(super) fn decode(bytes: &[u8]) -> Option<FoundIntent> {
    let lines = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let mut lines = lines.split('\n');
    let (document, sha256, signature) = (lines.next()?, lines.next()?, lines.next());
    if hash_content(document) != sha256 || lines.next().is_some() {
        return None;
    }
    let (sha256, signature) = (sha256.to_owned(), signature.map(str::to_owned));
    let document: Document = serde_json::from_str(document).ok()?;
    if document.version != VERSION {
        return None;
    }
    let line = |record: LineRecord| {
        let segment = SegmentName::parse(&record.segment)?;
        let LineRecord { offset, length, crc32: checksums, leaf, .. } = record;
        Some(ErasedLine { segment, offset, length, checksums, leaf })
    };
    let segment = |record: SegmentRecord| {
        let segment = SegmentName::parse(&record.segment)?;
        let SegmentRecord { length, crc32: checksum, leaves, .. } = record;
        Some(ErasedSegment { segment, length, checksum, leaves })
    };
    let lines = document.erase.into_iter().map(line).collect::<Option<Vec<_>>>()?;
    if !are_disjoint(&lines) {
        return None;
    }
    let intent = EraseIntent {
        lines,
        segments: document.unlink.into_iter().map(segment).collect::<Option<_>>()?,
        reason: document.note,
    };
    Some(FoundIntent { intent, sha256, signature })
}

/// Whether no line is longer than any line of an entry, and no byte is in two of them: so little that each is
/// read as a whole, and all of them no more than once.
fn are_disjoint(lines: &[ErasedLine]) -> bool {
    let mut ranges: Vec<_> =
        lines.iter().map(|line| (line.segment, line.offset, line.length)).collect();
    ranges.sort_unstable();
    let is_before = |one: &(SegmentName, u64, u64), other: &(SegmentName, u64, u64)| {
        one.0 != other.0 || one.1.saturating_add(one.2) <= other.1
    };
    ranges.iter().all(|(_, _, length)| *length <= MAX_LINE_BYTES as u64)
        && ranges.windows(2).all(|pair| is_before(&pair[0], &pair[1]))
}

#[cfg(test)]
mod tests {
    use attestry_core::Timestamp;

    use super::*;
    use proptest::prelude::*;

    fn intent() -> EraseIntent {
        let segment = SegmentName::parse("audit_20260128_001.jsonl").unwrap();
        let lines = vec![
            ErasedLine { segment, offset: 0, length: 500, checksums: vec![7], leaf: Some(3) },
            ErasedLine { segment, offset: u64::MAX, length: 1, checksums: Vec::new(), leaf: None },
        ];
        let leaves = vec![(0, 2), (7, u64::MAX)];
        let erased = ErasedSegment { segment, length: 2, checksum: 3, leaves };
        let (text, by) = ("\"so\"\n".into(), "✓".into());
        let reason = EraseReason { reason: text, by, at: Timestamp::UNIX_EPOCH };
        EraseIntent { lines, segments: vec![erased], reason: Some(reason) }
    }

    /// Each line is read into memory, and all of them under the store lock.
    #[test]
    fn intent_log_with_absurd_or_overlapping_lines_is_void() {
        let segment = SegmentName::parse("audit_20260128_001.jsonl").unwrap();
        let line = |offset, length| ErasedLine {
            segment,
            offset,
            length,
            checksums: Vec::new(),
            leaf: None,
        };
        let decoded = |lines| {
            let intent = EraseIntent { lines, ..EraseIntent::default() };
            decode(encode(&document(&intent).unwrap(), None).as_bytes()).is_some()
        };
        assert!(decoded(vec![line(500, 20), line(0, 500), line(520, MAX_LINE_BYTES as u64)]));
        assert!(!decoded(vec![line(0, MAX_LINE_BYTES as u64 + 1)]));
        assert!(!decoded(vec![line(0, 500), line(700, 1), line(499, 20)]));
        assert!(!decoded(vec![line(7, 5); 2]));
    }

    #[test]
    fn truncated_or_changed_intent_log_is_void() {
        let document = document(&intent()).unwrap();
        for signature in [None, Some("signature")] {
            let whole = encode(&document, signature).into_bytes();
            let found = decode(&whole).unwrap();
            assert_eq!((found.intent, found.signature.as_deref()), (intent(), signature));
            let unsigned = encode(&document, None).len();
            for cut in (0..whole.len()).filter(|&cut| cut != unsigned) {
                assert_eq!(decode(&whole[..cut]), None, "cut to {cut} bytes");
            }
            // The observer checks the signature itself.
            for at in 0..unsigned {
                let mut changed = whole.clone();
                changed[at] ^= 1;
                assert_eq!(decode(&changed), None, "byte {at} changed");
            }
        }
    }

    proptest! {
        #[test]
        fn line_matches_with_any_of_its_sectors_blank(
            offset in 0..2_000u64, line in "[!-~]{1,1800}", lost in any::<u8>(), torn in 0..512usize,
        ) {
            let segment = SegmentName::parse("audit_20260128.jsonl").unwrap();
            let mut line = line.into_bytes();
            let length = line.len() as u64;
            let checksums = Vec::new();
            let mut erased = ErasedLine { segment, offset, length, checksums, leaf: None };
            prop_assert!(erased.matches(&line), "no checksums");
            erased.set_checksums(&line);
            prop_assert!(erased.matches(&line));
            let mut other = line.clone();
            other[torn % line.len()] ^= 0x80;
            prop_assert!(!erased.matches(&other), "another line");
            let ends: Vec<_> = sectors(offset, &line).map(<[u8]>::len).collect();
            let mut start = 0;
            for (number, size) in ends.into_iter().enumerate() {
                let blank = if lost >> (number % 8) & 1 == 1 { size } else { torn.min(size) };
                line[start..start + blank].fill(b' ');
                start += size;
            }
            prop_assert!(erased.matches(&line));
        }

        #[test]
        fn decoding_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }
}
