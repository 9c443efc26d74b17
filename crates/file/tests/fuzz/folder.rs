//! Any bytes in the files of a folder: the store opens, and every way to read agrees with its segments.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use attestry_core::{AuditEntry, Timestamp, line};

use super::sections;
use crate::erase::ErasedLine;
use crate::erase::fuzzing::intended_lines;
use crate::fs::layout::Folder;
use crate::fs::lock::StoreLock;
use crate::fs::sys::FileId;
use crate::observer::NoObserver;
use crate::reader::{Catalog, Listener, scan};
use crate::recovery;
use crate::segment::SegmentName;

const SEGMENTS: [&str; 2] = ["audit_20260128_001.jsonl", "audit_20260128.jsonl"];

/// Fills a folder with the sections of `input` (two segments, the intent log, the epochs, the index file of
/// the first segment, and the other files of `.attestry`), opens it as a store, and compares what is read,
/// and the files afterwards, with the segments.
pub fn folder(parent: &Path, input: &[u8]) {
    let path = parent.join("audit");
    let _ = fs::remove_dir_all(&path);
    let folder = Folder::new(path);
    let mut segments = fill(&folder, input);
    let intent_log = fs::read(folder.intent_log()).expect("the file was just written");
    let mut records = intended_lines(&intent_log);
    records.retain(|record| is_unchanged(&segments, record));
    records.iter().for_each(|record| blank(&mut segments, record));
    let mut quarantined = Vec::new();
    for (_, content) in &mut segments {
        quarantined.extend(repair_tail(content));
    }

    let lock = StoreLock::open(&folder).expect("any folder can be opened").into();
    let catalog = Catalog::new(folder.clone(), Some(lock), Listener::default());
    open(&folder, &catalog, quarantined.len());
    assert_agrees(&catalog, &segments);
    // Again, with the index files that were written.
    assert_agrees(&Catalog::new(folder.clone(), None, Listener::default()), &segments);
    let mut found: Vec<Vec<u8>> = files(&folder.quarantine()).map(|path| read(&path)).collect();
    found.sort();
    quarantined.sort();
    assert!(found == quarantined, "torn lines are quarantined in full");
    for (name, content) in &segments {
        assert!(read(&folder.path().join(name)) == *content, "{name} has the expected bytes");
    }
}

fn fill(folder: &Folder, input: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut sections = sections(input);
    let mut next = || sections.next().unwrap_or_default();
    recovery::create(folder).expect("the folder can be created");
    fs::create_dir_all(folder.indexes()).expect("the folder can be created");
    let segments: Vec<_> = SEGMENTS.iter().map(|name| (*name, next().to_vec())).collect();
    for (name, content) in &segments {
        write(&folder.path().join(name), content);
    }
    write(&folder.intent_log(), next());
    write(&folder.epochs(), next());
    let first = fs::metadata(folder.path().join(SEGMENTS[0])).expect("the file was just written");
    write(&folder.index(FileId::of(&first)), next());
    write(&folder.compacted(), next());
    write(&folder.lock(), next());
    segments
}

/// Whether the line of `record` is unchanged, by the checksums that the record has.
fn is_unchanged(segments: &[(&'static str, Vec<u8>)], record: &ErasedLine) -> bool {
    let named = |name: &str| SegmentName::parse(name) == Some(record.segment);
    segments.iter().filter(|(name, _)| named(name)).all(|(_, content)| {
        let rest = content.iter().skip(usize::try_from(record.offset).unwrap_or(usize::MAX));
        let length = usize::try_from(record.length).unwrap_or(usize::MAX);
        record.matches(&rest.take(length).copied().collect::<Vec<u8>>())
    })
}

fn blank(segments: &mut [(&'static str, Vec<u8>)], record: &ErasedLine) {
    let named = |name: &str| SegmentName::parse(name) == Some(record.segment);
    for (_, content) in segments.iter_mut().filter(|(name, _)| named(name)) {
        for (at, byte) in content.iter_mut().enumerate() {
            if at as u64 >= record.offset && at as u64 - record.offset < record.length {
                *byte = b' ';
            }
        }
    }
}

/// Terminates the last line, or cuts off a torn one and returns it.
fn repair_tail(content: &mut Vec<u8>) -> Option<Vec<u8>> {
    let whole = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if whole == content.len() {
        return None;
    }
    let tail = &content[whole..];
    if tail.trim_ascii().is_empty() || line::decode(tail).is_ok() {
        content.push(b'\n');
        return None;
    }
    Some(content.split_off(whole))
}

/// Recovers the store twice; the second recovery finds nothing.
fn open(folder: &Folder, catalog: &Catalog, quarantined: usize) {
    let (_, report) = recovery::recover(folder, &mut NoObserver).expect("any folder can be opened");
    let quarantined_tails = report.torn_tails.iter().filter(|torn| torn.quarantined.is_some());
    assert_eq!(quarantined_tails.count(), quarantined);
    let (_, again) = recovery::recover(folder, &mut NoObserver).expect("any folder can be opened");
    assert!(again.is_clean(), "the second recovery is clean: {again}");
    catalog.snapshot().expect("any folder can be read");
}

fn assert_agrees(catalog: &Catalog, segments: &[(&'static str, Vec<u8>)]) {
    let mut first: HashMap<String, (&str, u64)> = HashMap::new();
    let mut times: Vec<(Timestamp, String)> = Vec::new();
    let (mut records, mut corrupt_lines) = (0, 0);
    for (name, content) in segments {
        let mut offset = 0;
        for bytes in content.split_inclusive(|byte| *byte == b'\n') {
            match line::decode(bytes) {
                Ok(AuditEntry { id, timestamp, .. }) => {
                    records += 1;
                    first.entry(id.to_string()).or_insert((name, offset));
                    times.push((timestamp, id.to_string()));
                }
                Err(_) if bytes.trim_ascii().is_empty() => {}
                Err(_) => corrupt_lines += 1,
            }
            offset += bytes.len() as u64;
        }
    }
    let snapshot = catalog.snapshot().expect("any folder can be read");
    let counted = catalog.count(&snapshot).expect("any folder can be read");
    assert_eq!(counted, records + corrupt_lines, "every record is counted");
    let mut reported = 0;
    let visited = catalog.visit_corrupt(&snapshot, |_| {
        reported += 1;
        Ok(true)
    });
    assert!(visited.expect("any folder can be read"));
    assert_eq!(reported, corrupt_lines, "every corrupt line is reported");
    for (id, (name, offset)) in &first {
        let id = attestry_core::EntryId::new_unchecked(id);
        let found = catalog.find(&snapshot, &id).expect("a valid line").expect("a stored entry");
        assert_eq!((found.segment.name.to_string().as_str(), found.line.offset), (*name, *offset));
    }
    let listed = scan::list(catalog, Timestamp::MIN, Timestamp::MAX);
    assert_eq!(listed.is_err(), corrupt_lines > 0, "a list without corrupt lines only");
    if let Ok(listed) = listed {
        times.sort_by_key(|(timestamp, _)| *timestamp);
        assert!(listed.iter().map(|e| (e.timestamp, e.id.to_string())).eq(times));
    }
}

fn write(path: &Path, content: &[u8]) {
    fs::write(path, content).expect("the folder is writable");
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).expect("the file exists")
}

fn files(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let items = fs::read_dir(folder).into_iter().flatten();
    items.map(|item| item.expect("a folder").path())
}
