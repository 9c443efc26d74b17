//! Index files that no crash makes, and no flipped bit: whole blocks that say what is not so.

use std::path::PathBuf;

use super::*;
use crate::segment::Index;

const LINES: u64 = 300;

/// The index file of a segment of [`LINES`] lines, one a second from 1970 on.
struct Made {
    path: PathBuf,
    segment: FileId,
    length: u64,
    _folder: tempfile::TempDir,
}

impl Made {
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
        let mut index = Index::default();
        index.extend(&file, length, |_, _| false, |_| ()).unwrap();
        let path = folder.path().join("segment.idx");
        assert!(write(&path, segment, &index, || true).unwrap());
        Self { path, segment, length, _folder: folder }
    }

    fn open(&self) -> Option<IndexFile> {
        IndexFile::open(&self.path, self.segment, self.length, 0)
    }

    /// Puts `number` at byte `at` of a block, and makes the checksum right again.
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

fn is_damage<T: std::fmt::Debug>(answer: io::Result<T>) {
    assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[test]
fn behind_the_last_time_is_the_number_of_lines() {
    let index = Made::new().open().unwrap();
    assert_eq!(index.first_at_or_after(Timestamp::MIN).unwrap(), 0);
    let last = Timestamp::from_unix_micros((LINES.cast_signed() - 1) * 1_000_000).unwrap();
    assert_eq!(index.first_at_or_after(last).unwrap(), LINES - 1);
    assert_eq!(index.first_at_or_after(Timestamp::MAX).unwrap(), LINES);
}

#[test]
fn one_of_another_version_is_none() {
    let made = Made::new();
    made.forge(0, 0, u64::from_le_bytes(*b"attidx01"));
    assert!(made.open().is_none());
}

#[test]
fn a_line_is_found_wherever_it_is_thought_to_be() {
    let made = Made::new();
    let index = made.open().unwrap();
    let table = index.header.by_id();
    let record = |number| index.blocks().record(table, number).unwrap();
    for number in 0..LINES {
        let Record { key, .. } = record(number);
        for guess in [0, number, LINES / 2, LINES - 1, LINES, u64::MAX] {
            let place = |key| index.blocks().lower_bound_near(table, key, guess).unwrap();
            assert_eq!((place(key), place(key + 1)), (number, number + 1));
        }
        let wanted = Wanted::new(key);
        let (_, guess) = index.filter_block(&wanted, IoMode::Blocking).unwrap();
        assert!(guess.abs_diff(number) < RECORDS_PER_BLOCK, "{guess} for {number}");
        assert_eq!(index.candidates(&wanted, IoMode::Blocking).unwrap().len(), 1);
    }
}

#[test]
fn a_line_that_the_segment_cannot_have_is_damage() {
    let made = Made::new();
    let (by_id, by_time) = {
        let header = made.open().unwrap().header;
        (header.by_id().first_block, header.by_time().first_block)
    };
    for (at, number) in [(8, made.length), (8, u64::MAX), (16, u64::from(u32::MAX))] {
        let made = Made::new();
        made.forge(by_id, at, number);
        made.forge(by_time, at, number);
        let index = made.open().unwrap();
        let key = index.blocks().record(index.header.by_id(), 0).unwrap().key;
        is_damage(index.candidates(&Wanted::new(key), IoMode::Blocking));
        is_damage(index.lines_from(0, 1));
    }
}

#[test]
fn times_that_cannot_be_make_no_index() {
    const EARLIEST: usize = 40;
    const LATEST: usize = 48;
    for (at, number) in [(EARLIEST, i64::MAX), (LATEST, i64::MIN), (LATEST, -1)] {
        let made = Made::new();
        made.forge(0, at, number.cast_unsigned());
        assert!(made.open().is_none(), "{number} at {at}");
    }
}

#[test]
fn a_count_of_erased_lines_that_is_full_is_damage() {
    let made = Made::new();
    made.forge(1, 0, u64::MAX);
    is_damage(IndexFile::add_erased(&made.path, 1));
}

#[test]
fn it_is_taken_back_into_memory_unless_anything_is_wrong() {
    let lines = |made: &Made, length| {
        let file = File::open(made.path.with_file_name("segment")).unwrap();
        load(&made.path, made.segment, &file, length).map(|index| index.lines().count() as u64)
    };
    let made = Made::new();
    assert_eq!(lines(&made, made.length), Some(LINES));
    assert_eq!(lines(&made, made.length + 1), Some(LINES), "it may have grown");
    assert_eq!(lines(&made, made.length - 1), None);
    let header = made.open().unwrap().header;
    let (by_id, by_time) = (header.by_id().first_block, header.by_time().first_block);
    // The key of a line, its place, and how many were erased.
    let last = (LINES - 1) % RECORDS_PER_BLOCK * RECORD as u64;
    for (block, at) in [(by_id, 8), (by_time, 8), (by_time + 1, last), (1, 0)] {
        let made = Made::new();
        made.forge(block, at.try_into().unwrap(), 1);
        assert_eq!(lines(&made, made.length), None, "block {block} at {at}");
    }
    fs::write(made.path.with_file_name("segment"), vec![b' '; made.length as usize]).unwrap();
    assert_eq!(lines(&made, made.length), None, "the lines are gone");
}

/// As after a restore from a backup, which hands out numbers anew.
#[test]
fn that_of_another_file_which_had_the_number_is_not_believed() {
    let mut made = Made::new();
    assert!(made.open().is_some());
    made.segment = made.segment.reborn();
    assert!(made.open().is_none());
}

#[test]
fn it_tells_where_there_is_nothing_to_compact() {
    let made = Made::new();
    assert!(made.open().unwrap().is_dense().unwrap());
    IndexFile::add_erased(&made.path, 1).unwrap();
    assert!(!made.open().unwrap().is_dense().unwrap(), "a line was erased since");
}
