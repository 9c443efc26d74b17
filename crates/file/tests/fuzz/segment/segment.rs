//! Any bytes as a segment: the index in memory, the index file and a plain reading agree.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::sync::Arc;

use attestry_core::{AuditEntry, Order, Timestamp, line};

use crate::fs::sys::{self, FileId, FileState, IoMode};
use crate::segment::bloom::hash_id;
use crate::segment::lines::split;
use crate::segment::terms::IndexKey;
use crate::segment::{
    Condition, CorruptLine, HashedId, IndexFile, IndexKeys, Line, LineCursor, LineSelection,
    MemoryIndex, RawLine, SegmentFile, SegmentIndex, tail_start, write_index_file,
};

/// How many ids and timestamps are looked up at most, spread over all.
const MAX_LOOKUPS: usize = 50;

/// The results of a plain reading.
#[derive(Default)]
struct Expected {
    entries: Vec<(Line, AuditEntry)>,
    corrupt: Vec<CorruptLine>,
    indexed_len: u64,
}

/// Checks splitting and all indexes of a segment with this content.
pub fn segment(folder: &Path, content: &[u8]) {
    let whole = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    // Of a last line that is an entry without its line break, no index file is written.
    let is_entry = line::decode(&content[whole..]).is_ok();
    let content = if is_entry { &content[..whole] } else { content };
    let file = file(folder, content);
    check_split(&file, content);
    check_indexes(folder, &file, content);
}

/// Checks all indexes of `file`, which has this content.
fn check_indexes(folder: &Path, file: &File, content: &[u8]) {
    let expected = expected(content);
    let in_memory = memory_index(file, content, &expected);

    let id = FileId::of(&file.metadata().expect("an open file"));
    let index_path = folder.join("segment.idx");
    assert!(
        write_index_file(&index_path, id, &in_memory, FileState::default(), || true)
            .expect("the folder is writable")
    );
    let open = |filter_budget| {
        IndexFile::open(&index_path, id, expected.indexed_len, filter_budget)
            .expect("the index file was just written")
    };
    let handle = Arc::new(file.try_clone().expect("an open file"));
    let segment = |index| Arc::new(SegmentFile::new(id, handle.clone(), index));
    for on_disk in [open(0), open(usize::MAX)] {
        check_same_results(&in_memory, &on_disk, &expected);
        check_cursor(&segment(SegmentIndex::OnDisk(on_disk)), content, &expected);
    }
    let segment = segment(SegmentIndex::in_memory(in_memory));
    check_cursor(&segment, content, &expected);
    check_erasure(&segment, &open(0), &index_path, &expected);
}

/// Checks a segment of many small lines, for index files of several blocks. Three bytes describe a line: its
/// id, timestamp and spelling.
pub fn many_lines(folder: &Path, input: &[u8]) {
    let mut content = Vec::new();
    for kind in input.chunks_exact(3) {
        let (id, second, spelling) = (kind[0], kind[1], kind[2]);
        let (minute, second) = (second / 60, second % 60);
        let space = if spelling & 1 == 0 { "" } else { " " };
        let conversation = id / 4;
        match spelling {
            0xf0..=0xf7 => content.extend_from_slice(b"  "),
            0xf8..=0xff => content.extend_from_slice(b"{"),
            _ => content.extend_from_slice(
                format!(
                    r#"{space}{{"id":"{id}","timestamp":"2026-01-28T09:{minute:02}:{second:02}","input_hash":"","output_hash":"","conversation_id":"{conversation}"}}"#
                )
                .as_bytes(),
            ),
        }
        content.push(b'\n');
    }
    check_indexes(folder, &file(folder, &content), &content);
}

fn file(folder: &Path, content: &[u8]) -> File {
    let path = folder.join("segment");
    fs::write(&path, content).expect("the folder is writable");
    OpenOptions::new().read(true).write(true).open(&path).expect("the file was just created")
}

fn expected(content: &[u8]) -> Expected {
    let mut expected = Expected::default();
    for (offset, bytes) in lines(content) {
        let length = bytes.len() as u64;
        expected.indexed_len = offset + length + 1;
        match line::decode(bytes) {
            Ok(entry) => {
                let length = u32::try_from(bytes.len()).expect("a small segment");
                expected.entries.push((Line { timestamp: entry.timestamp, offset, length }, entry));
            }
            Err(_) if bytes.trim_ascii().is_empty() => {}
            Err(_) => expected.corrupt.push(CorruptLine { offset, length }),
        }
    }
    expected
}

/// The complete lines, by offset.
fn lines(content: &[u8]) -> Vec<(u64, &[u8])> {
    let mut offset = 0;
    let mut found = Vec::new();
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        if let Some(whole) = line.strip_suffix(b"\n") {
            found.push((offset, whole));
        }
        offset += line.len() as u64;
    }
    found
}

/// Splitting finds the same lines with any chunk size and from any line.
fn check_split(file: &File, content: &[u8]) {
    let expected = lines(content);
    let end = content.len() - content.iter().rev().take_while(|byte| **byte != b'\n').count();
    assert_eq!(tail_start(file, content.len() as u64).expect("a file"), end as u64);
    for (chunk, max_length) in [(7, 20), (64, 64), (1 << 20, 1 << 20)] {
        for first in [0, expected.len() / 2] {
            let from = expected.get(first).map_or(0, |(offset, _)| *offset);
            let mut rest = expected[first.min(expected.len())..].iter();
            let indexed_len =
                split(file, from, content.len() as u64, chunk, max_length, |offset, raw| {
                    let (expected_offset, expected) = *rest.next().expect("a line");
                    assert_eq!(offset, expected_offset);
                    match raw {
                        RawLine::Bytes(bytes) => assert_eq!(bytes, expected),
                        RawLine::TooLong(length) => {
                            assert!(length == expected.len() as u64 && expected.len() > max_length);
                        }
                    }
                });
            assert_eq!(indexed_len.expect("a file"), end as u64);
            assert_eq!(rest.next(), None, "no line is missed");
        }
    }
}

/// The index in memory. Built in one step or in several, it is the same.
fn memory_index(file: &File, content: &[u8], expected: &Expected) -> MemoryIndex {
    let length = content.len() as u64;
    let build = |steps: &[u64]| {
        let mut index = MemoryIndex::new(IndexKeys::default());
        for &length in steps {
            index.extend(file, length, |_, _| false, |_| ()).expect("a file");
        }
        assert!(index.lines().eq(expected.entries.iter().map(|(line, _)| *line)));
        assert_eq!(index.corrupt(), expected.corrupt);
        assert_eq!(index.indexed_len(), expected.indexed_len);
        assert_eq!(index.records(), (expected.entries.len() + expected.corrupt.len()) as u64);
        index
    };
    build(&[length / 3, length / 2, length]);
    build(&[length])
}

/// The index file agrees with the index in memory that it was written from, and both are right.
fn check_same_results(in_memory: &MemoryIndex, on_disk: &IndexFile, expected: &Expected) {
    let locations = |lines: Vec<Line>| -> Vec<_> {
        lines.into_iter().map(|line| (line.offset, line.length)).collect()
    };
    let mut by_hash: BTreeMap<u64, Vec<Line>> = BTreeMap::new();
    for (line, entry) in &expected.entries {
        by_hash.entry(hash_id(&entry.id)).or_default().push(*line);
    }
    for (hash, lines) in by_hash.iter().step_by(by_hash.len() / MAX_LOOKUPS + 1) {
        let found = in_memory.lookup(&HashedId::from_hash(*hash));
        assert_eq!(found, *lines, "lines come in write order");
        for hash in [*hash, hash.wrapping_add(1), hash.wrapping_sub(1)] {
            let id = HashedId::from_hash(hash);
            let found = on_disk.lookup(&id, IoMode::Blocking).expect("an intact index file");
            assert_eq!(locations(found), locations(in_memory.lookup(&id)));
        }
    }
    check_terms(in_memory, on_disk, expected);
    assert_eq!(on_disk.records(), in_memory.records());
    assert_eq!(on_disk.indexed_len(), in_memory.indexed_len());
    assert_eq!(on_disk.corrupt().expect("an intact index file"), in_memory.corrupt());

    let sorted = in_time_order(expected);
    let times = || sorted.iter().map(|line| line.timestamp);
    assert_eq!(on_disk.time_bounds(), times().next().zip(times().next_back()));
    assert_eq!(on_disk.lines(), sorted.len() as u64);
    assert_eq!(on_disk.lines_from(0, u64::MAX).expect("an intact index file"), sorted);
    let distinct: BTreeSet<Timestamp> = times().collect();
    let samples = distinct.iter().step_by(distinct.len() / MAX_LOOKUPS + 1).flat_map(around);
    for timestamp in samples.chain([Timestamp::MIN, Timestamp::MAX]) {
        let first = on_disk.first_at_or_after(timestamp).expect("an intact index file");
        let before = sorted.partition_point(|line| line.timestamp < timestamp);
        assert_eq!(first, before as u64);
    }
}

fn in_time_order(expected: &Expected) -> Vec<Line> {
    let mut sorted: Vec<Line> = expected.entries.iter().map(|(line, _)| *line).collect();
    sorted.sort_by_key(|line| line.timestamp);
    sorted
}

/// Both indexes find the lines of each term, and no line of another one.
fn check_terms(in_memory: &MemoryIndex, on_disk: &IndexFile, expected: &Expected) {
    let keys = IndexKeys::default();
    let mut by_term: BTreeMap<(u32, u64), Vec<Line>> = BTreeMap::new();
    for (line, entry) in &expected.entries {
        let mut terms = Vec::new();
        keys.push_terms(entry, &mut terms);
        for term in terms {
            by_term.entry((term.key, term.hash)).or_default().push(*line);
        }
    }
    let none = Vec::new();
    let terms = by_term.iter().step_by(by_term.len() / MAX_LOOKUPS + 1);
    for (&(key, hash), lines) in terms.chain([(&(0, 0), &none)]) {
        let key: IndexKey = keys.iter().nth(key as usize).expect("a key").clone();
        let condition = [Condition { key, hash }];
        assert_eq!(in_memory.matching(&condition).as_ref(), Some(lines));
        let found = on_disk.matching(&condition).expect("an intact index file").expect("its key");
        let mut sorted = lines.clone();
        sorted.sort_by_key(|line| line.timestamp);
        let records = found.records.clone();
        assert_eq!(on_disk.lines_of(&found, records).expect("an intact index file"), sorted);
    }
}

/// A timestamp, and those one microsecond before and after.
fn around(timestamp: &Timestamp) -> impl Iterator<Item = Timestamp> {
    let near = move |step| Timestamp::from_unix_micros(timestamp.unix_micros() + step).ok();
    [-1, 0, 1].into_iter().filter_map(near)
}

/// A cursor returns the lines of a range in time order, with their bytes.
fn check_cursor(segment: &Arc<SegmentFile>, content: &[u8], expected: &Expected) {
    let sorted = in_time_order(expected);
    let middle = sorted.get(sorted.len() / 2).map_or(Timestamp::UNIX_EPOCH, |line| line.timestamp);
    let ranges =
        [(Timestamp::MIN, Timestamp::MAX), (middle, Timestamp::MAX), (Timestamp::MIN, middle)];
    for (start, end) in ranges.into_iter().chain([(middle, middle)]) {
        let mut lines = sorted.clone();
        lines.retain(|line| (start..=end).contains(&line.timestamp));
        for order in [Order::Ascending, Order::Descending] {
            let selection = LineSelection { start, end, order, conditions: &[] };
            let mut cursor = LineCursor::new(segment.clone(), selection).expect("a segment");
            for line in &lines {
                assert_eq!(cursor.peek().expect("a segment").as_ref(), Some(line));
                cursor.advance();
                let at = usize::try_from(line.offset).expect("a small segment");
                let bytes = cursor.read(*line).expect("a segment");
                assert_eq!(bytes, &content[at..at + line.length as usize]);
            }
            assert_eq!(cursor.peek().expect("a segment"), None);
            lines.reverse();
        }
    }
}

/// An overwritten line disappears from every index, and no other line does.
fn check_erasure(
    segment: &SegmentFile,
    on_disk: &IndexFile,
    index_path: &Path,
    expected: &Expected,
) {
    let Some((line, entry)) = expected.entries.get(expected.entries.len() / 2) else { return };
    sys::write_all_at(&segment.handle, &vec![b' '; line.length as usize], line.offset)
        .expect("a file");
    IndexFile::add_erased(index_path, 1, FileState::default(), FileState::default())
        .expect("an intact index file");
    on_disk.reload_erased().expect("an intact index file");

    let mut updated = segment.memory_index_mut().expect("an index in memory");
    updated.detect_erased(&segment.handle).expect("a file");
    let length = sys::length_of(&segment.handle).expect("a file");
    let mut rebuilt = MemoryIndex::new(IndexKeys::default());
    rebuilt.extend(&segment.handle, length, |_, _| false, |_| ()).expect("a file");
    for index in [&*updated, &rebuilt] {
        assert_eq!(index.records(), on_disk.records());
        let left = expected.entries.iter().map(|(line, _)| *line);
        assert!(index.lines().eq(left.filter(|other| other.offset != line.offset)));
        let found = index.lookup(&HashedId::new(&entry.id));
        assert!(found.iter().all(|other| other.offset != line.offset));
        assert_eq!(index.corrupt(), expected.corrupt);
    }
}
