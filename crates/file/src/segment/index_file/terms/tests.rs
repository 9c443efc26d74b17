use std::fs;

use attestry_core::Timestamp;

use super::*;
use crate::fs::sys::{FileId, FileState};
use crate::segment::index_file::format::BLOCK;
use crate::segment::index_file::write;
use crate::segment::{AppendedLine, MemoryIndex, Term};

const LINE_BYTES: u64 = 10;

/// An index file of lines with these hashes of a conversation, one per second; `None`: no conversation.
struct Fixture {
    folder: tempfile::TempDir,
    segment: FileId,
    length: u64,
}

impl Fixture {
    fn new(hashes: &[Option<u64>], keys: IndexKeys) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let segment = tempfile::tempfile().unwrap();
        let segment = FileId::of(&segment.metadata().unwrap());
        let mut index = MemoryIndex::new(keys);
        for (number, hash) in (0..).zip(hashes) {
            let timestamp = time(number);
            let line = Line { timestamp, offset: number * LINE_BYTES, length: 9 };
            let terms: Vec<_> = hash.iter().map(|&hash| Term { key: 0, hash }).collect();
            let id_hash = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            index.push_appended(AppendedLine { line, id_hash, terms: &terms });
        }
        let path = folder.path().join("index");
        assert!(write(&path, segment, &index, FileState::default(), || true).unwrap());
        Self { folder, segment, length: hashes.len() as u64 * LINE_BYTES }
    }

    fn open(&self) -> Option<IndexFile> {
        IndexFile::open(&self.folder.path().join("index"), self.segment, self.length, 0)
    }

    fn bytes(&self) -> u64 {
        fs::metadata(self.folder.path().join("index")).unwrap().len()
    }

    /// Writes `bytes` at byte `at` of a block, with a valid checksum.
    fn forge(&self, block: u64, at: usize, bytes: &[u8]) {
        let path = self.folder.path().join("index");
        let mut all = fs::read(&path).unwrap();
        let block = &mut all[block as usize * BLOCK..][..BLOCK];
        block[at..at + bytes.len()].copy_from_slice(bytes);
        let checksum = crc32fast::hash(&block[..BLOCK - 4]).to_le_bytes();
        block[BLOCK - 4..].copy_from_slice(&checksum);
        fs::write(path, all).unwrap();
    }
}

fn time(number: u64) -> Timestamp {
    Timestamp::from_unix_micros(number.cast_signed() * 1_000_000).unwrap()
}

fn conversation(hash: u64) -> Condition {
    Condition { key: IndexKey::ConversationId, hash }
}

/// Of every kind of distribution: unique hashes, one of most lines, close together, at both ends.
fn distributions() -> Vec<Vec<Option<u64>>> {
    let spread = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let all = |hash: &dyn Fn(u64) -> Option<u64>| (0..1_000).map(hash).collect();
    vec![
        Vec::new(),
        vec![None; 50],
        all(&|n| Some(spread(n))),
        all(&|n| Some(spread(n % 7))),
        all(&|n| if n % 50 == 0 { Some(spread(n)) } else { Some(1 << 63) }),
        all(&|n| (n % 3 > 0).then_some(u64::MAX - n / 100)),
        all(&|n| Some(n % 2 * u64::MAX)),
    ]
}

#[test]
fn lines_of_a_term_are_found_in_any_distribution() {
    for hashes in distributions() {
        let index = Fixture::new(&hashes, IndexKeys::new([])).open().unwrap();
        let mut wanted: Vec<u64> = hashes.iter().flatten().copied().collect();
        wanted.extend([0, 1, 1 << 63, u64::MAX]);
        wanted.sort_unstable();
        wanted.dedup();
        for hash in wanted {
            let found = index.matching(&[conversation(hash)]).unwrap().unwrap();
            for range in [0..hashes.len() as u64, 0..0, 17..18, 100..400] {
                let found = index.with_lines(&found, range.clone()).unwrap();
                let lines = index.lines_of(&found, found.records.clone()).unwrap();
                let expected = (0..).zip(&hashes).filter(|(_, has)| **has == Some(hash));
                let expected = expected.filter(|(number, _)| range.contains(number));
                let offsets = lines.iter().map(|line| line.offset);
                assert!(offsets.eq(expected.map(|(number, _)| number * LINE_BYTES)), "{hash:x}");
            }
        }
    }
}

#[test]
fn the_most_selective_condition_is_used() {
    let keys = IndexKeys::new(["user".to_owned()]);
    let fixture = Fixture::new(&[Some(1), Some(1), Some(2), None], keys);
    let index = fixture.open().unwrap();
    let count = |conditions: &[Condition]| {
        let found = index.matching(conditions).unwrap();
        found.map(|found| found.records.end - found.records.start)
    };
    let other = Condition { key: IndexKey::Metadata("ticket".to_owned()), hash: 1 };
    let user = Condition { key: IndexKey::Metadata("user".to_owned()), hash: 1 };
    assert_eq!(count(&[]), None);
    assert_eq!(count(std::slice::from_ref(&other)), None, "it is not indexed");
    assert_eq!(count(&[conversation(1)]), Some(2));
    assert_eq!(count(&[other, conversation(1), conversation(2)]), Some(1));
    assert_eq!(count(&[conversation(1), user]), Some(0), "no line has a user");
}

#[test]
fn a_term_takes_at_most_16_bytes() {
    let without = Fixture::new(&vec![None; 10_000], IndexKeys::new([])).bytes();
    let with = Fixture::new(&vec![Some(7); 10_000], IndexKeys::new([])).bytes();
    let added = with - without;
    assert!((120_000..160_000).contains(&added), "{added} bytes for 10,000 terms");
}

#[test]
fn impossible_line_number_is_damage() {
    let fixture = Fixture::new(&[Some(5); 3], IndexKeys::new([]));
    let open = fixture.open().unwrap();
    let section = open.directory.section_of(&IndexKey::ConversationId).unwrap();
    fixture.forge(section.first_block, 8, &3u32.to_le_bytes());
    let index = fixture.open().unwrap();
    let all = Matches { section, hash: 5, records: 0..3 };
    let error = index.lines_of(&all, 0..3).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(index.terms(&IndexKey::ConversationId).is_err());
}

#[test]
fn impossible_directory_is_damage() {
    let (records, name_len, name) = (0, 8, 16);
    for (at, bytes) in [
        (records, &4_000u64.to_le_bytes()[..]),
        (records, &u64::MAX.to_le_bytes()),
        (name_len, &9u64.to_le_bytes()),
        (name_len, &u64::MAX.to_le_bytes()),
        (name, b"\xff"),
        (name, b"unknown"),
    ] {
        let fixture = Fixture::new(&[Some(5); 3], IndexKeys::new([]));
        assert!(fixture.open().is_some());
        fixture.forge(DIRECTORY_BLOCK, at, bytes);
        assert!(fixture.open().is_none(), "{bytes:?} at {at}");
    }
}
