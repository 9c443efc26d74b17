//! Any bytes as a segment: what is found in it by way of its index in memory, of its index file,
//! and without either is the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::sync::{Arc, RwLock};

use attestry_core::{AuditEntry, Order, Timestamp, line};

use crate::fs::sys::{self, FileId, IoMode};
use crate::segment::lines::split;
use crate::segment::{
    BadLine, Body, Cursor, Index, IndexFile, Line, Lines, RawLine, Wanted, hash_of, tail_start,
    write_index_file,
};

/// So many ids and times are asked for at most, spread over all there are.
const ASKED: usize = 50;

/// What a plain reading of a segment finds.
#[derive(Default)]
struct Expected {
    entries: Vec<(Line, AuditEntry)>,
    bad: Vec<BadLine>,
    covered: u64,
}

/// Holds `content` as a segment against the promises of readers and indexes.
pub fn segment(folder: &Path, content: &[u8]) {
    let file = file(folder, content);
    splits(&file, content);
    indexes(folder, &file, content);
}

/// What any index says of `content`, which is that of `file`.
fn indexes(folder: &Path, file: &File, content: &[u8]) {
    let expected = expected(content);
    let live = index(file, content, &expected);

    let id = FileId::of(&file.metadata().expect("an open file"));
    let index_path = folder.join("segment.idx");
    assert!(write_index_file(&index_path, id, &live, || true).expect("the folder takes a file"));
    let open = |filter_budget| {
        IndexFile::open(&index_path, id, expected.covered, filter_budget)
            .expect("an index file that was just made")
    };
    for sealed in [open(0), open(usize::MAX)] {
        same_answers(&live, &sealed, &expected);
        let file = Arc::new(file.try_clone().expect("an open file"));
        let body = Body { id, file, lines: Lines::Sealed(sealed) };
        walks(&Arc::new(body), content, &expected);
    }
    let file = Arc::new(file.try_clone().expect("an open file"));
    let body = Arc::new(Body { id, file, lines: Lines::Live(RwLock::new(live)) });
    walks(&body, content, &expected);
    erases(&body, &open(0), &index_path, &expected);
}

/// A segment of many small lines, one for each three bytes: its id, its time, and how it is
/// spelled. Reaches what takes hundreds of lines.
pub fn many_lines(folder: &Path, recipe: &[u8]) {
    let mut content = Vec::new();
    for kind in recipe.chunks_exact(3) {
        let (id, second, spelling) = (kind[0], kind[1], kind[2]);
        let (minute, second) = (second / 60, second % 60);
        let space = if spelling & 1 == 0 { "" } else { " " };
        match spelling {
            0xf0..=0xf7 => content.extend_from_slice(b"  "),
            0xf8..=0xff => content.extend_from_slice(b"{"),
            _ => content.extend_from_slice(
                format!(
                    r#"{space}{{"id":"{id}","timestamp":"2026-01-28T09:{minute:02}:{second:02}","input_hash":"","output_hash":""}}"#
                )
                .as_bytes(),
            ),
        }
        content.push(b'\n');
    }
    indexes(folder, &file(folder, &content), &content);
}

fn file(folder: &Path, content: &[u8]) -> File {
    let path = folder.join("segment");
    fs::write(&path, content).expect("the folder takes a file");
    OpenOptions::new().read(true).write(true).open(&path).expect("it was just made")
}

fn expected(content: &[u8]) -> Expected {
    let mut expected = Expected::default();
    for (offset, bytes) in lines(content) {
        let length = bytes.len() as u64;
        expected.covered = offset + length + 1;
        match line::decode(bytes) {
            Ok(entry) => {
                let length = u32::try_from(bytes.len()).expect("a small segment");
                expected.entries.push((Line { timestamp: entry.timestamp, offset, length }, entry));
            }
            Err(_) if bytes.trim_ascii().is_empty() => {}
            Err(_) => expected.bad.push(BadLine { offset, length }),
        }
    }
    expected
}

/// The lines that end with a line break.
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

/// Splitting finds the same lines however much is read at once, and from wherever it begins.
fn splits(file: &File, content: &[u8]) {
    let expected = lines(content);
    let end = content.len() - content.iter().rev().take_while(|byte| **byte != b'\n').count();
    assert_eq!(tail_start(file, content.len() as u64).expect("a file"), end as u64);
    for (chunk, longest) in [(7, 20), (64, 64), (1 << 20, 1 << 20)] {
        for first in [0, expected.len() / 2] {
            let from = expected.get(first).map_or(0, |(offset, _)| *offset);
            let mut rest = expected[first.min(expected.len())..].iter();
            let covered = split(file, from, content.len() as u64, chunk, longest, |offset, raw| {
                let (expected_offset, expected) = *rest.next().expect("a line");
                assert_eq!(offset, expected_offset);
                match raw {
                    RawLine::Bytes(bytes) => assert_eq!(bytes, expected),
                    RawLine::TooLong(length) => {
                        assert!(length == expected.len() as u64 && expected.len() > longest);
                    }
                }
            });
            assert_eq!(covered.expect("a file"), end as u64);
            assert_eq!(rest.next(), None, "no line is missed");
        }
    }
}

/// The index in memory, made at once; made in steps, it is the same.
fn index(file: &File, content: &[u8], expected: &Expected) -> Index {
    let length = content.len() as u64;
    let made = |steps: &[u64]| {
        let mut index = Index::default();
        for &length in steps {
            index.extend(file, length, |_, _| false, |_| ()).expect("a file");
        }
        assert!(index.lines().eq(expected.entries.iter().map(|(line, _)| *line)));
        assert_eq!(index.bad(), expected.bad);
        assert_eq!(index.covered(), expected.covered);
        assert_eq!(index.records(), (expected.entries.len() + expected.bad.len()) as u64);
        index
    };
    made(&[length / 3, length / 2, length]);
    made(&[length])
}

/// The index file gives the answers of the index it was made of, and those are right.
fn same_answers(live: &Index, sealed: &IndexFile, expected: &Expected) {
    let places = |lines: Vec<Line>| -> Vec<_> {
        lines.into_iter().map(|line| (line.offset, line.length)).collect()
    };
    let mut by_hash: BTreeMap<u64, Vec<Line>> = BTreeMap::new();
    for (line, entry) in &expected.entries {
        by_hash.entry(hash_of(&entry.id)).or_default().push(*line);
    }
    for (hash, lines) in by_hash.iter().step_by(by_hash.len() / ASKED + 1) {
        assert_eq!(live.candidates(*hash), *lines, "the line written first comes first");
        for hash in [*hash, hash.wrapping_add(1), hash.wrapping_sub(1)] {
            let found = sealed
                .candidates(&Wanted::new(hash), IoMode::Blocking)
                .expect("a whole index file");
            assert_eq!(places(found), places(live.candidates(hash)));
        }
    }
    assert_eq!(sealed.records(), live.records());
    assert_eq!(sealed.covered(), live.covered());
    assert_eq!(sealed.bad().expect("a whole index file"), live.bad());

    let sorted = in_order(expected);
    let times = || sorted.iter().map(|line| line.timestamp);
    assert_eq!(sealed.time_bounds(), times().next().zip(times().next_back()));
    assert_eq!(sealed.lines(), sorted.len() as u64);
    assert_eq!(sealed.lines_from(0, u64::MAX).expect("a whole index file"), sorted);
    let distinct: BTreeSet<Timestamp> = times().collect();
    let asked = distinct.iter().step_by(distinct.len() / ASKED + 1).flat_map(around);
    for timestamp in asked.chain([Timestamp::MIN, Timestamp::MAX]) {
        let first = sealed.first_at_or_after(timestamp).expect("a whole index file");
        let before = sorted.partition_point(|line| line.timestamp < timestamp);
        assert_eq!(first, before as u64);
    }
}

fn in_order(expected: &Expected) -> Vec<Line> {
    let mut sorted: Vec<Line> = expected.entries.iter().map(|(line, _)| *line).collect();
    sorted.sort_by_key(|line| line.timestamp);
    sorted
}

/// A moment, and those just before and behind it.
fn around(timestamp: &Timestamp) -> impl Iterator<Item = Timestamp> {
    let near = move |step| Timestamp::from_unix_micros(timestamp.unix_micros() + step).ok();
    [-1, 0, 1].into_iter().filter_map(near)
}

/// A cursor yields the lines of a range in their order, each with its bytes.
fn walks(body: &Arc<Body>, content: &[u8], expected: &Expected) {
    let sorted = in_order(expected);
    let middle = sorted.get(sorted.len() / 2).map_or(Timestamp::UNIX_EPOCH, |line| line.timestamp);
    let ranges =
        [(Timestamp::MIN, Timestamp::MAX), (middle, Timestamp::MAX), (Timestamp::MIN, middle)];
    for (start, end) in ranges.into_iter().chain([(middle, middle)]) {
        let mut lines = sorted.clone();
        lines.retain(|line| (start..=end).contains(&line.timestamp));
        for order in [Order::Ascending, Order::Descending] {
            let mut cursor = Cursor::new(body.clone(), start, end, order).expect("a segment");
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

/// A line that is overwritten is gone from every index, and no other is.
fn erases(body: &Body, sealed: &IndexFile, index_path: &Path, expected: &Expected) {
    let Some((line, entry)) = expected.entries.get(expected.entries.len() / 2) else { return };
    sys::write_all_at(&body.file, &vec![b' '; line.length as usize], line.offset).expect("a file");
    IndexFile::add_erased(index_path, 1).expect("a whole index file");
    sealed.read_erased().expect("a whole index file");

    let mut noticed = body.live_mut().expect("an index in memory");
    noticed.notice_erased(&body.file).expect("a file");
    let length = sys::length_of(&body.file).expect("a file");
    let mut anew = Index::default();
    anew.extend(&body.file, length, |_, _| false, |_| ()).expect("a file");
    for index in [&*noticed, &anew] {
        assert_eq!(index.records(), sealed.records());
        let left = expected.entries.iter().map(|(line, _)| *line);
        assert!(index.lines().eq(left.filter(|other| other.offset != line.offset)));
        let candidates = index.candidates(hash_of(&entry.id));
        assert!(candidates.iter().all(|other| other.offset != line.offset));
        assert_eq!(index.bad(), expected.bad);
    }
}
