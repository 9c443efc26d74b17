//! Index files with valid checksums and wrong content.

use std::fs;
use std::path::PathBuf;

use super::format::BLOCK;
use super::*;
use crate::segment::{IndexKeys, MemoryIndex};

const LINES: u64 = 300;

/// The index file of a segment of [`LINES`] lines, one per second from 1970 on.
struct Fixture {
    path: PathBuf,
    segment: FileId,
    length: u64,
    _folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lines: String = (0..LINES)
            .map(|n| {
                let time = Timestamp::from_unix_micros(n.cast_signed() * 1_000_000).unwrap();
                format!(
                    "{{\"id\":\"{n}\",\"timestamp\":\"{time}\",\"input_hash\":\"\",\"output_hash\":\"\"}}\n"
                )
            })
            .collect();
        let content = folder.path().join("segment");
        fs::write(&content, &lines).unwrap();
        let file = File::open(content).unwrap();
        let segment = FileId::of(&file.metadata().unwrap());
        let length = lines.len() as u64;
        let mut index = MemoryIndex::new(IndexKeys::default());
        index.extend(&file, length, |_, _| false, |_| ()).unwrap();
        let path = folder.path().join("segment.idx");
        assert!(write(&path, segment, &index, FileState::default(), || true).unwrap());
        Self { path, segment, length, _folder: folder }
    }

    fn open(&self) -> Option<IndexFile> {
        IndexFile::open(&self.path, self.segment, self.length, 0)
    }

    /// Writes `number` at byte `at` of a block, with a valid checksum.
    fn forge(&self, block: u64, at: usize, number: u64) {
        let start = block as usize * BLOCK;
        let mut bytes = fs::read(&self.path).unwrap();
        let block = &mut bytes[start..start + BLOCK];
        block[at..at + 8].copy_from_slice(&number.to_le_bytes());
        let checksum = crc32fast::hash(&block[..PAYLOAD]);
        block[PAYLOAD..].copy_from_slice(&checksum.to_le_bytes());
        fs::write(&self.path, bytes).unwrap();
    }
}

fn add_erased(path: &Path) -> io::Result<()> {
    IndexFile::add_erased(path, 1, FileState::default(), FileState::default())
}

fn assert_damaged<T: std::fmt::Debug>(result: io::Result<T>) {
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[test]
fn first_at_or_after_covers_the_bounds() {
    let index = Fixture::new().open().unwrap();
    assert_eq!(index.first_at_or_after(Timestamp::MIN).unwrap(), 0);
    let last = Timestamp::from_unix_micros((LINES.cast_signed() - 1) * 1_000_000).unwrap();
    assert_eq!(index.first_at_or_after(last).unwrap(), LINES - 1);
    assert_eq!(index.first_at_or_after(Timestamp::MAX).unwrap(), LINES);
}

#[test]
fn other_version_is_ignored() {
    let fixture = Fixture::new();
    fixture.forge(0, 0, u64::from_le_bytes(*b"attidx01"));
    assert!(fixture.open().is_none());
}

#[test]
fn lookup_works_from_any_guess() {
    let fixture = Fixture::new();
    let index = fixture.open().unwrap();
    let section = index.header.by_id();
    let record = |number| index.blocks().record(section, number).unwrap();
    for number in 0..LINES {
        let Record { key, .. } = record(number);
        for guess in [0, number, LINES / 2, LINES - 1, LINES, u64::MAX] {
            let lower_bound = |key| index.blocks().lower_bound_near(section, key, guess).unwrap();
            assert_eq!((lower_bound(key), lower_bound(key + 1)), (number, number + 1));
        }
        let id = HashedId::from_hash(key);
        let (_, guess) = index.filter_block(&id, IoMode::Blocking).unwrap();
        assert!(guess.abs_diff(number) < section.records_per_block, "{guess} for {number}");
        assert_eq!(index.lookup(&id, IoMode::Blocking).unwrap().len(), 1);
    }
}

#[test]
fn impossible_line_location_is_damage() {
    let fixture = Fixture::new();
    let (by_id, by_time) = {
        let header = fixture.open().unwrap().header;
        (header.by_id().first_block, header.by_time().first_block)
    };
    for (at, number) in [(8, fixture.length), (8, u64::MAX), (16, u64::from(u32::MAX))] {
        let fixture = Fixture::new();
        fixture.forge(by_id, at, number);
        fixture.forge(by_time, at, number);
        let index = fixture.open().unwrap();
        let key = index.blocks().record(index.header.by_id(), 0).unwrap().key;
        assert_damaged(index.lookup(&HashedId::from_hash(key), IoMode::Blocking));
        assert_damaged(index.lines_from(0, 1));
    }
}

#[test]
fn impossible_time_bounds_are_damage() {
    const EARLIEST: usize = 40;
    const LATEST: usize = 48;
    for (at, number) in [(EARLIEST, i64::MAX), (LATEST, i64::MIN), (LATEST, -1)] {
        let fixture = Fixture::new();
        fixture.forge(0, at, number.cast_unsigned());
        assert!(fixture.open().is_none(), "{number} at {at}");
    }
}

#[test]
fn overflow_of_the_erased_count_is_damage() {
    let fixture = Fixture::new();
    fixture.forge(1, 0, u64::MAX);
    assert_damaged(add_erased(&fixture.path));
}

#[test]
fn loads_into_memory_only_if_intact_and_current() {
    let lines = |fixture: &Fixture, length| {
        let file = File::open(fixture.path.with_file_name("segment")).unwrap();
        load(
            &fixture.path,
            fixture.segment,
            &file,
            length,
            FileState::default(),
            &IndexKeys::default(),
        )
        .map(|index| index.lines().count() as u64)
    };
    let fixture = Fixture::new();
    assert_eq!(lines(&fixture, fixture.length), Some(LINES));
    assert_eq!(lines(&fixture, fixture.length + 1), Some(LINES), "the segment may have grown");
    assert_eq!(lines(&fixture, fixture.length - 1), None);
    let header = fixture.open().unwrap().header;
    let (by_id, by_time) = (header.by_id().first_block, header.by_time().first_block);
    // Two offsets, a key, and the number of erased lines.
    let last = (LINES - 1) % header.by_time().records_per_block * RECORD as u64;
    for (block, at) in [(by_id, 8), (by_time, 8), (by_time + 1, last), (1, 0)] {
        let fixture = Fixture::new();
        fixture.forge(block, at.try_into().unwrap(), 1);
        assert_eq!(lines(&fixture, fixture.length), None, "block {block} at {at}");
    }
    fs::write(fixture.path.with_file_name("segment"), vec![b' '; fixture.length as usize]).unwrap();
    assert_eq!(lines(&fixture, fixture.length), None, "the lines are gone");
}

/// As after a restore from a backup, which assigns new inode numbers.
#[test]
fn index_file_of_a_reused_inode_is_ignored() {
    let mut fixture = Fixture::new();
    assert!(fixture.open().is_some());
    fixture.segment = fixture.segment.reborn();
    assert!(fixture.open().is_none());
}

#[test]
fn reports_whether_there_are_holes() {
    let fixture = Fixture::new();
    assert!(fixture.open().unwrap().has_no_holes().unwrap());
    add_erased(&fixture.path).unwrap();
    assert!(!fixture.open().unwrap().has_no_holes().unwrap(), "a line was erased since");
}
