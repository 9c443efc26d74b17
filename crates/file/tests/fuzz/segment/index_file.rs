//! Any bytes as an index file: it is refused, or its answers lie within the segment it is for.
#![allow(clippy::missing_panics_doc)] // panicking is what a property is for

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;

use attestry_core::{MAX_LINE_BYTES, Order, Timestamp};

use crate::fs::sys::{FileId, IoMode};
use crate::fuzzing::sections;
use crate::segment::index_file::{BLOCK, MAGIC, PAYLOAD, RECORD};
use crate::segment::load_index_file;
use crate::segment::{Body, Cursor, IndexFile, Line, Lines, Wanted};

/// So many ids and times are asked for at most.
const ASKED: usize = 50;
/// Lines of a segment that is claimed to be longer are not read: filling memory finds nothing.
const LARGEST_READ: u64 = 1 << 16;

/// Holds `recipe` as an index file, and the blocks it describes, each with its right checksum,
/// against the promises of [`IndexFile`].
pub fn index_file(folder: &Path, recipe: &[u8]) {
    let (path, segment) = (folder.join("segment.idx"), folder.join("segment"));
    fs::write(&segment, [b'x'; 512]).expect("the folder takes a file");
    let file = Arc::new(File::open(&segment).expect("it was just made"));
    let id = FileId::of(&file.metadata().expect("an open file"));

    fs::write(&path, recipe).expect("the folder takes a file");
    check(&path, id, &file, recipe);
    fs::write(&path, blocks(recipe, id)).expect("the folder takes a file");
    check(&path, id, &file, recipe);

    // Where there is no such count, whoever asked removes the file.
    let _ = IndexFile::add_erased(&path, 1);
    check(&path, id, &file, recipe);
}

/// The blocks that the sections of `recipe` fill, the first of them for the segment `id`.
fn blocks(recipe: &[u8], id: FileId) -> Vec<u8> {
    let mut blocks = Vec::new();
    for (number, section) in sections(recipe).enumerate() {
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

fn check(path: &Path, id: FileId, file: &Arc<File>, recipe: &[u8]) {
    // The length that the header claims for the segment, so that it is not refused for that.
    let mut length = [0; 8];
    let Some(claimed) = fs::read(path).ok().and_then(|bytes| Some(bytes.get(16..24)?.to_vec()))
    else {
        assert!(IndexFile::open(path, id, 0, 0).is_none(), "too short for a header");
        return;
    };
    length.copy_from_slice(&claimed);
    let length = u64::from_le_bytes(length);
    if let Some(index) = load_index_file(path, id, file, length) {
        assert!(index.lines().all(|line| lies_within(line.offset, line.length.into(), length)));
    }
    for filter_budget in [0, usize::MAX] {
        let Some(index) = IndexFile::open(path, id, length, filter_budget) else { continue };
        answers(&index, length, recipe);
        let body = Arc::new(Body { id, file: file.clone(), lines: Lines::Sealed(index) });
        walks(&body, length);
    }
}

fn answers(index: &IndexFile, length: u64, recipe: &[u8]) {
    assert_eq!(index.covered(), length);
    assert!(index.lines() <= room(recipe), "lines there is no room for");
    let bounds = index.time_bounds();
    assert_eq!(bounds.is_some(), index.lines() > 0, "lines have times, and only they");
    assert!(bounds.is_none_or(|(earliest, latest)| earliest <= latest));

    let within = |line: &Line| lies_within(line.offset, u64::from(line.length), length);
    let keys = sections(recipe).flat_map(|section| section.chunks_exact(RECORD));
    let keys = keys
        .map(|record| record.iter().take(8).rev().fold(0, |key, byte| key << 8 | u64::from(*byte)));
    for hash in [0, u64::MAX].into_iter().chain(keys).take(ASKED) {
        let found =
            or_damaged(index.candidates(&Wanted::new(hash), IoMode::Blocking)).unwrap_or_default();
        assert!(found.len() as u64 <= index.lines() && found.iter().all(within));
    }
    let lines = or_damaged(index.lines_from(0, u64::MAX)).unwrap_or_default();
    assert!(lines.len() as u64 <= index.lines() && lines.iter().all(within));
    let times = lines.iter().map(|line| line.timestamp).take(ASKED);
    for timestamp in [Timestamp::MIN, Timestamp::MAX].into_iter().chain(times) {
        let first = or_damaged(index.first_at_or_after(timestamp)).unwrap_or_default();
        assert!(first <= index.lines());
    }
    let bad = or_damaged(index.bad()).unwrap_or_default();
    assert!(bad.iter().all(|bad| lies_within(bad.offset, bad.length, length)));
    if let Some(bad) = or_damaged(index.bad()) {
        assert!(index.records() <= index.lines() + bad.len() as u64);
    }
}

/// As many records as the blocks of `recipe` have room for.
fn room(recipe: &[u8]) -> u64 {
    let blocks = sections(recipe).count().max(recipe.len() / BLOCK);
    (blocks * PAYLOAD / RECORD) as u64
}

/// Whether a line and its line break lie within the first `covered` bytes.
fn lies_within(offset: u64, length: u64, covered: u64) -> bool {
    offset.checked_add(length).is_some_and(|end| end < covered)
}

/// What was answered; `None` where the index turned out to be damaged, which is the one failure
/// that makes the catalog read the segment itself.
fn or_damaged<T>(answer: io::Result<T>) -> Option<T> {
    match answer {
        Ok(answer) => Some(answer),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => None,
        Err(error) => panic!("{error} is not taken for damage"),
    }
}

fn walks(body: &Arc<Body>, length: u64) {
    for order in [Order::Ascending, Order::Descending] {
        let cursor = Cursor::new(body.clone(), Timestamp::MIN, Timestamp::MAX, order);
        let Some(mut cursor) = or_damaged(cursor) else { continue };
        while let Some(Some(line)) = or_damaged(cursor.peek()) {
            assert!(line.length as usize <= MAX_LINE_BYTES, "longer than any line may be");
            cursor.advance();
            // The segment is shorter than the index claims where another has cut it.
            if length > LARGEST_READ {
                continue;
            }
            match cursor.read(line) {
                Ok(bytes) => assert_eq!(bytes.len(), line.length as usize),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof),
            }
        }
    }
}
