use std::fs;

use attestry_core::{AuditEntry, Cursor, Order, Query, Timestamp, hash_content, line};

use futures_util::TryStreamExt;

use super::*;
use crate::erase::{EraseIntent, ErasedLine};
use crate::fs::epoch;
use crate::fs::sys::{self, FileId, IoMode};
use crate::observer::NoObserver;
use crate::recovery;
use crate::segment::{AppendedLine, Candidates, HashedId, Line, SegmentName, hash_id_text};

fn line_of(id: &str) -> Vec<u8> {
    let hash = hash_content(id);
    let (id, time) = (id.parse().unwrap(), Timestamp::UNIX_EPOCH);
    line::encode(&AuditEntry::new(id, time, hash.clone(), hash)).unwrap()
}

#[test]
fn erasure_after_index_damage_is_seen_by_readers() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::new(temporary.path().join("audit"));
    recovery::create(&folder).unwrap();
    let path = |name: &str| folder.segment(SegmentName::parse(name).unwrap());
    let sealed = path("audit_20260128_001.jsonl");
    fs::write(&sealed, [line_of("a"), line_of("b")].concat()).unwrap();
    fs::write(path("audit_20260128.jsonl"), line_of("c")).unwrap();

    let lock = Arc::new(StoreLock::open(&folder).unwrap());
    let catalog = Catalog::new(folder.clone(), Some(lock.clone()), Listener::default());
    let guard = lock.acquire().unwrap();
    let (mut erasures, _) = recovery::recover(&folder, &mut NoObserver).unwrap();
    let segments = catalog.snapshot_locked(&guard).unwrap();
    let index = folder.index(FileId::of(&fs::metadata(&sealed).unwrap()));
    let mut bytes = fs::read(&index).unwrap();
    bytes[4 * 1_024] ^= 1; // the section of lines by id
    fs::write(&index, bytes).unwrap();

    let found = catalog.find_all(&segments, &"a".parse().unwrap()).unwrap();
    let lines: Vec<_> = found.iter().map(|found| (&found.segment, found.line)).collect();
    // A reader refreshes the cache between finding and erasing the line.
    assert_eq!(catalog.count(&catalog.snapshot().unwrap()).unwrap(), 3);
    let (segment, offset) = (lines[0].0.name, lines[0].1.offset);
    let length = lines[0].1.length.into();
    let erased = ErasedLine { segment, offset, length, checksums: Vec::new(), leaf: None };
    let intent = EraseIntent { lines: vec![erased], ..EraseIntent::default() };
    erasures.erase(intent, &mut NoObserver).unwrap();
    catalog.mark_erased(&lines).unwrap();
    assert_eq!(catalog.count(&catalog.snapshot().unwrap()).unwrap(), 2);
}

#[test]
fn stale_index_is_rebuilt_after_an_undone_append() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::new(temporary.path().join("audit"));
    recovery::create(&folder).unwrap();
    let path = folder.segment(SegmentName::parse("audit_20260128.jsonl").unwrap());
    fs::write(&path, [line_of("kept"), line_of("undone")].concat()).unwrap();
    let catalog = Catalog::new(folder.clone(), None, Listener::default());
    let is_stored = |id: &str| {
        let segments = catalog.snapshot().unwrap();
        catalog.find(&segments, &id.parse().unwrap()).unwrap().is_some()
    };
    assert!(is_stored("undone"));

    let older = catalog.snapshot().unwrap();
    // Another process undoes its append and writes a line of the same length in its place.
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(line_of("kept").len() as u64).unwrap();
    epoch::bump_layout(&folder).unwrap();
    sys::write_all_at(&file, &line_of("stored"), line_of("kept").len() as u64).unwrap();
    assert!(is_stored("stored") && is_stored("kept") && !is_stored("undone"));
    // The older snapshot keeps its index.
    assert_eq!(older[0].file.records(IoMode::Blocking).unwrap(), 2);
    assert!(catalog.find(&older, &"kept".parse().unwrap()).unwrap().is_some());
}

#[test]
fn corrupt_lines_are_visited_one_by_one() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::new(temporary.path().join("audit"));
    recovery::create(&folder).unwrap();
    let path = |name: &str| folder.segment(SegmentName::parse(name).unwrap());
    fs::write(path("audit_20260127.jsonl"), "{}\n{}\n").unwrap();
    fs::write(path("audit_20260128.jsonl"), "{}\ntorn").unwrap();
    let catalog = Catalog::new(folder.clone(), None, Listener::default());
    let segments = catalog.snapshot().unwrap();
    let visit = |most: usize| {
        let mut places = Vec::new();
        let visited = catalog.visit_corrupt(&segments, |error| {
            let StorageError::Corrupt(record) = error else { return Err(error) };
            places.push((record.location.ends_with("28.jsonl"), record.offset));
            Ok(places.len() < most)
        });
        (visited.unwrap(), places)
    };
    let all = [(false, Some(0)), (false, Some(3)), (true, Some(0)), (true, Some(3))];
    assert_eq!(visit(9), (true, all.to_vec()));
    for most in 1..=4 {
        assert_eq!(visit(most), (false, all[..most].to_vec()));
    }
}

/// Pages of entries of one timestamp continue behind the last line of the cursor's entry, whatever its
/// segment; if the entry is gone, they begin with the first one.
#[test]
fn cursor_is_found_among_entries_of_one_timestamp() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::new(temporary.path().join("audit"));
    recovery::create(&folder).unwrap();
    let ids: Vec<_> = (0..30).map(|number| format!("id{number:02}")).collect();
    for (number, ids) in ids.chunks(10).enumerate() {
        let name = SegmentName::parse(&format!("audit_2026012{number}.jsonl")).unwrap();
        let lines: Vec<u8> = ids.iter().flat_map(|id| line_of(id)).collect();
        fs::write(folder.segment(name), lines).unwrap();
    }
    let catalog = Arc::new(Catalog::new(folder, None, Listener::default()));
    let scan = |query: Query| {
        let stream = scan::stream(Arc::clone(&catalog), query, |_, entry| entry.id.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(stream.try_collect::<Vec<_>>()).unwrap()
    };
    for order in [Order::Ascending, Order::Descending] {
        let mut expected = ids.clone();
        if order == Order::Descending {
            expected.reverse();
        }
        let page = |id: &str, limit| {
            let (timestamp, id) = (Timestamp::UNIX_EPOCH, id.parse().unwrap());
            let mut query = Query::range(Timestamp::MIN, Timestamp::MAX);
            query.order = order;
            query.after = Some(Cursor { timestamp, id });
            query.limit = Some(limit);
            scan(query)
        };
        for (number, id) in expected.iter().enumerate() {
            let end = expected.len().min(number + 1 + 7);
            assert_eq!(page(id, 7), expected[number + 1..end], "{order:?} {id}");
        }
        assert_eq!(page("gone", 7), expected[..7]);
    }
}

#[test]
fn appended_lines_are_indexed_without_being_read() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::new(temporary.path().join("audit"));
    recovery::create(&folder).unwrap();
    let path = folder.segment(SegmentName::parse("audit_20260128.jsonl").unwrap());
    fs::write(&path, line_of("a")).unwrap();
    let catalog = Catalog::new(folder.clone(), None, Listener::default());
    assert_eq!(catalog.count(&catalog.snapshot().unwrap()).unwrap(), 1);

    let id = FileId::of(&fs::metadata(&path).unwrap());
    let append = |bytes: &[u8]| {
        let offset = fs::metadata(&path).unwrap().len();
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        std::io::Write::write_all(&mut file, bytes).unwrap();
        let length = bytes.len() as u32 - 1;
        let line = Line { timestamp: Timestamp::UNIX_EPOCH, offset, length };
        AppendedLine { line, id_hash: hash_id_text(b"b"), terms: &[] }
    };
    let unread = || {
        let segments = catalog.snapshot().unwrap();
        let index = segments[0].file.memory_index().unwrap();
        (index.records(), index.corrupt().len(), index.indexed_len())
    };
    // Reading it would find a corrupt line.
    let first = append(b"no entry\n");
    catalog.note_appended(id, [first].into_iter());
    assert_eq!(unread(), (2, 0, fs::metadata(&path).unwrap().len()));
    // It was read or added before.
    catalog.note_appended(id, [first].into_iter());
    assert_eq!(unread(), (2, 0, fs::metadata(&path).unwrap().len()));
    // The lines before it are not indexed: the next snapshot reads, and finds what is there.
    append(&line_of("c"));
    let last = append(b"no entry\n");
    catalog.note_appended(id, [last].into_iter());
    assert_eq!(unread(), (4, 2, fs::metadata(&path).unwrap().len()));
}

/// A store of so many segments with an index file, each with four ids, and an active segment.
fn store_of_segments(folder: &Folder, segments: usize) -> Vec<String> {
    recovery::create(folder).unwrap();
    let ids: Vec<String> = (0..4 * (segments + 1)).map(|number| format!("id-{number}")).collect();
    for (number, ids) in ids.chunks(4).enumerate() {
        let suffix = if number < segments { format!("_{:03}", number + 1) } else { String::new() };
        let name = SegmentName::parse(&format!("audit_20260128{suffix}.jsonl")).unwrap();
        let lines: Vec<_> = ids.iter().map(|id| line_of(id)).collect();
        fs::write(folder.segment(name), lines.concat()).unwrap();
    }
    ids
}

#[test]
fn run_filters_spare_tests_and_hide_no_id() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::new(temporary.path().join("audit"));
    let ids = store_of_segments(&folder, 70);
    let lock = Arc::new(StoreLock::open(&folder).unwrap());
    let catalog = Catalog::new(folder.clone(), Some(lock.clone()), Listener::default());
    let guard = lock.acquire().unwrap();
    let segments = catalog.snapshot_locked(&guard).unwrap();
    let tested_alone = |segments: &[Segment]| {
        let absent = HashedId::new(&"absent".parse().unwrap());
        let mut candidates = Candidates::new(segments, &absent);
        let _ = candidates.by_ref().count();
        candidates.tested_alone
    };
    let check = |segments: &[Segment]| {
        for id in &ids {
            assert!(catalog.find(segments, &id.parse().unwrap()).unwrap().is_some(), "{id}");
        }
        for number in 0..1_000 {
            let absent = format!("absent-{number}").parse().unwrap();
            assert!(catalog.find(segments, &absent).unwrap().is_none());
        }
    };
    check(&segments);
    assert_eq!(tested_alone(&segments), 71);
    // Each time that it is due, one more run gets a filter; there are two.
    for left in [39, 7, 7] {
        catalog.run_filters.note(&segments, run_filters::TESTS);
        assert_eq!(tested_alone(&segments), left);
        check(&segments);
    }
    // A part of a snapshot begins and ends within runs.
    let middle = &segments[20..40];
    for id in &ids[80..160] {
        assert!(catalog.find(middle, &id.parse().unwrap()).unwrap().is_some(), "{id}");
    }
    // A segment that is written again has other ids than its run.
    let rewritten = folder.segment(segments[3].name);
    fs::remove_file(&rewritten).unwrap();
    fs::write(&rewritten, line_of("new-id")).unwrap();
    catalog.invalidate();
    let segments = catalog.snapshot_locked(&guard).unwrap();
    let is_stored = |id: &str| catalog.find(&segments, &id.parse().unwrap()).unwrap().is_some();
    assert!(is_stored("new-id") && !is_stored("id-12") && is_stored("id-11") && is_stored("id-16"));
    assert_eq!(tested_alone(&segments), 8);
}

#[test]
fn index_file_that_cannot_be_read_leaves_its_run_without_filter() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::new(temporary.path().join("audit"));
    store_of_segments(&folder, 64);
    let lock = Arc::new(StoreLock::open(&folder).unwrap());
    let catalog = Catalog::new(folder.clone(), Some(lock.clone()), Listener::default());
    let guard = lock.acquire().unwrap();
    let segments = catalog.snapshot_locked(&guard).unwrap();
    let index = folder.index(segments[0].file.id);
    let mut bytes = fs::read(&index).unwrap();
    bytes[4 * 1_024] ^= 1; // the section of lines by id
    fs::write(&index, bytes).unwrap();
    catalog.run_filters.note(&segments, run_filters::TESTS);
    let with_filter: Vec<bool> =
        segments.iter().map(|segment| segment.file.run_filter().is_some()).collect();
    assert_eq!(with_filter, [vec![false; 32], vec![true; 32], vec![false]].concat());
}
