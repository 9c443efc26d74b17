//! Any bytes as an index file: it is refused, or its results are within its segment.
#![allow(clippy::missing_panics_doc)]

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;

use attestry_core::{MAX_LINE_BYTES, Order, Timestamp};

use crate::fs::sys::{FileId, FileState, IoMode};
use crate::fuzzing::sections;
use crate::segment::index_file::{BLOCK, MAGIC, PAYLOAD, RECORD, TERM_RECORD};
use crate::segment::{
    Condition, HashedId, IndexFile, IndexKeys, Line, LineCursor, LineSelection, SegmentFile,
    SegmentIndex, load_index_file,
};

/// How many ids and timestamps are looked up at most.
const MAX_LOOKUPS: usize = 50;
/// If the segment is claimed to be longer, its lines are not read: that would only fill memory.
const MAX_SEGMENT_BYTES: u64 = 1 << 16;

/// Checks `input` as an index file, and the blocks that its sections describe, with valid checksums.
pub fn index_file(folder: &Path, input: &[u8]) {
    let (path, segment) = (folder.join("segment.idx"), folder.join("segment"));
    fs::write(&segment, [b'x'; 512]).expect("the folder is writable");
    let file = Arc::new(File::open(&segment).expect("the file was just created"));
    let id = FileId::of(&file.metadata().expect("an open file"));

    fs::write(&path, input).expect("the folder is writable");
    check(&path, id, &file, input);
    fs::write(&path, blocks(input, id)).expect("the folder is writable");
    check(&path, id, &file, input);

    // It fails without a valid count; then an erasure removes the file.
    let _ = IndexFile::add_erased(&path, 1, FileState::default(), FileState::default());
    check(&path, id, &file, input);
}

/// One block for each section of `input`; the first is a header for the segment `id`.
fn blocks(input: &[u8], id: FileId) -> Vec<u8> {
    let mut blocks = Vec::new();
    for (number, section) in sections(input).enumerate() {
        let mut payload = [0; PAYLOAD];
        let used = section.len().min(PAYLOAD);
        payload[..used].copy_from_slice(&section[..used]);
        if number == 0 {
            payload[..MAGIC.len()].copy_from_slice(MAGIC);
            payload[MAGIC.len()..][..8].copy_from_slice(&id.number().to_le_bytes());
            payload[MAGIC.len() + 7 * 8..][..8].copy_from_slice(&id.born().to_le_bytes());
        }
        blocks.extend_from_slice(&payload);
        blocks.extend_from_slice(&crc32fast::hash(&payload).to_le_bytes());
    }
    blocks
}

fn check(path: &Path, id: FileId, file: &Arc<File>, input: &[u8]) {
    // The length of the segment according to the header, so that it is not refused for that.
    let mut length = [0; 8];
    let Some(claimed) = fs::read(path).ok().and_then(|bytes| Some(bytes.get(16..24)?.to_vec()))
    else {
        assert!(IndexFile::open(path, id, 0, 0).is_none(), "an index file shorter than its header");
        return;
    };
    length.copy_from_slice(&claimed);
    let length = u64::from_le_bytes(length);
    let grown = FileState { length: u64::MAX, changed: 0 };
    for keys in [IndexKeys::default(), IndexKeys::new([])] {
        if let Some(index) = load_index_file(path, id, file, length, grown, &keys) {
            assert!(index.lines().all(|line| is_within(line.offset, line.length.into(), length)));
        }
    }
    for filter_budget in [0, usize::MAX] {
        let Some(index) = IndexFile::open(path, id, length, filter_budget) else { continue };
        check_results(&index, length, input);
        let index = SegmentIndex::OnDisk(index);
        let segment = Arc::new(SegmentFile::new(id, file.clone(), index));
        check_cursor(&segment, length);
    }
}

fn check_results(index: &IndexFile, length: u64, input: &[u8]) {
    assert_eq!(index.indexed_len(), length);
    assert!(index.lines() <= max_records(input), "more lines than records");
    let bounds = index.time_bounds();
    assert_eq!(
        bounds.is_some(),
        index.lines() > 0,
        "there are time bounds if and only if there are lines"
    );
    assert!(bounds.is_none_or(|(earliest, latest)| earliest <= latest));

    let within = |line: &Line| is_within(line.offset, u64::from(line.length), length);
    let keys = sections(input).flat_map(|section| section.chunks_exact(RECORD));
    let keys = keys
        .map(|record| record.iter().take(8).rev().fold(0, |key, byte| key << 8 | u64::from(*byte)));
    for hash in [0, u64::MAX].into_iter().chain(keys).take(MAX_LOOKUPS) {
        let found = unless_damaged(index.lookup(&HashedId::from_hash(hash), IoMode::Blocking))
            .unwrap_or_default();
        assert!(found.len() as u64 <= index.lines() && found.iter().all(within));
    }
    let lines = unless_damaged(index.lines_from(0, u64::MAX)).unwrap_or_default();
    assert!(lines.len() as u64 <= index.lines() && lines.iter().all(within));
    let times = lines.iter().map(|line| line.timestamp).take(MAX_LOOKUPS);
    for timestamp in [Timestamp::MIN, Timestamp::MAX].into_iter().chain(times) {
        let first = unless_damaged(index.first_at_or_after(timestamp)).unwrap_or_default();
        assert!(first <= index.lines());
    }
    check_terms(index, length, input);
    if let Some(corrupt) = unless_damaged(index.corrupt()) {
        assert!(corrupt.iter().all(|line| is_within(line.offset, line.length, length)));
        assert!(index.records() <= index.lines() + corrupt.len() as u64);
    }
}

/// The lines of any term are within the segment.
fn check_terms(index: &IndexFile, length: u64, input: &[u8]) {
    let records = sections(input).flat_map(|section| section.chunks_exact(TERM_RECORD));
    let hashes = records.map(|record| {
        record.iter().take(8).rev().fold(0, |hash, byte| hash << 8 | u64::from(*byte))
    });
    let hashes: Vec<u64> = [0, u64::MAX].into_iter().chain(hashes).take(MAX_LOOKUPS).collect();
    for key in index.keys().iter() {
        for &hash in &hashes {
            let condition = Condition { key: key.clone(), hash };
            let Some(found) = unless_damaged(index.matching(&[condition])) else { continue };
            let found = found.expect("one of its keys");
            let records = found.records.start..found.records.end.min(found.records.start + 1_000);
            let lines = unless_damaged(index.lines_of(&found, records)).unwrap_or_default();
            let within = |line: &Line| is_within(line.offset, u64::from(line.length), length);
            assert!(lines.iter().all(within));
        }
    }
}

/// How many records the blocks of `input` have room for.
fn max_records(input: &[u8]) -> u64 {
    let blocks = sections(input).count().max(input.len() / BLOCK);
    (blocks * PAYLOAD / RECORD) as u64
}

/// Whether a line and its line break are within the first `indexed_len` bytes.
fn is_within(offset: u64, length: u64, indexed_len: u64) -> bool {
    offset.checked_add(length).is_some_and(|end| end < indexed_len)
}

/// The result; `None` for damage, the one error after which the catalog reads the segment instead.
fn unless_damaged<T>(result: io::Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => None,
        Err(error) => panic!("{error} does not count as damage"),
    }
}

fn check_cursor(segment: &Arc<SegmentFile>, length: u64) {
    for order in [Order::Ascending, Order::Descending] {
        let (start, end) = (Timestamp::MIN, Timestamp::MAX);
        let selection = LineSelection { start, end, order, conditions: &[] };
        let cursor = LineCursor::new(segment.clone(), selection);
        let Some(mut cursor) = unless_damaged(cursor) else { continue };
        while let Some(Some(line)) = unless_damaged(cursor.peek()) {
            assert!(line.length as usize <= MAX_LINE_BYTES, "a line longer than the maximum");
            cursor.advance();
            // The segment may be shorter than the index claims.
            if length > MAX_SEGMENT_BYTES {
                continue;
            }
            match cursor.read(line) {
                Ok(bytes) => assert_eq!(bytes.len(), line.length as usize),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof),
            }
        }
    }
}
