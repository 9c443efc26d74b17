//! Any bytes in the files of a folder: the store opens, and says what its segments say.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use attestry_core::{AuditEntry, Timestamp, line};

use super::sections;
use crate::erase::Record;
use crate::erase::fuzzing::recorded;
use crate::fs::layout::Folder;
use crate::fs::lock::StoreLock;
use crate::fs::sys::FileId;
use crate::observer::NoObserver;
use crate::reader::catalog::{Catalog, Listener};
use crate::reader::scan;
use crate::recovery;
use crate::segment::SegmentName;

const SEGMENTS: [&str; 2] = ["audit_20260128_001.jsonl", "audit_20260128.jsonl"];

/// Fills a folder with the sections of `recipe` (two segments, the journal, the counters, the
/// index file of the first segment, and what else may lie in `.attestry`), opens it as a store, and
/// holds what it answers, and what then lies in the folder, against the segments.
pub fn folder(parent: &Path, recipe: &[u8]) {
    let path = parent.join("audit");
    let _ = fs::remove_dir_all(&path);
    let folder = Folder::new(path);
    let mut segments = fill(&folder, recipe);
    let journal = fs::read(folder.journal()).expect("it was just written");
    let mut records = recorded(&journal);
    records.retain(|record| still_there(&segments, record));
    records.iter().for_each(|record| blank(&mut segments, record));
    let mut quarantined = Vec::new();
    for (_, content) in &mut segments {
        quarantined.extend(mend(content));
    }

    let lock = StoreLock::open(&folder).expect("any folder may be opened").into();
    let catalog = Catalog::new(folder.clone(), Some(lock), Listener::default());
    open(&folder, &catalog, quarantined.len());
    agrees(&catalog, &segments);
    // Once more: by the index files that were made, which a reader finds too.
    agrees(&Catalog::new(folder.clone(), None, Listener::default()), &segments);
    let mut found: Vec<Vec<u8>> = files(&folder.quarantine()).map(|p| read(&p)).collect();
    found.sort();
    quarantined.sort();
    assert!(found == quarantined, "what was torn is set aside, all of it");
    for (name, content) in &segments {
        assert!(read(&folder.path().join(name)) == *content, "{name} is as it should be");
    }
}

fn fill(folder: &Folder, recipe: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut sections = sections(recipe);
    let mut next = || sections.next().unwrap_or_default();
    recovery::create(folder).expect("a folder can be made");
    fs::create_dir_all(folder.indexes()).expect("a folder can be made");
    let segments: Vec<_> = SEGMENTS.iter().map(|name| (*name, next().to_vec())).collect();
    for (name, content) in &segments {
        write(&folder.path().join(name), content);
    }
    write(&folder.journal(), next());
    write(&folder.generation(), next());
    let first = fs::metadata(folder.path().join(SEGMENTS[0])).expect("it was just written");
    write(&folder.index(FileId::of(&first)), next());
    write(&folder.compacted(), next());
    write(&folder.lock(), next());
    segments
}

/// Whether nothing says that the line of `record` is another one by now.
fn still_there(segments: &[(&'static str, Vec<u8>)], record: &Record) -> bool {
    let named = |name: &str| SegmentName::parse(name) == Some(record.segment);
    segments.iter().filter(|(name, _)| named(name)).all(|(_, content)| {
        let from_there = content.iter().skip(usize::try_from(record.offset).unwrap_or(usize::MAX));
        let length = usize::try_from(record.length).unwrap_or(usize::MAX);
        record.names(&from_there.take(length).copied().collect::<Vec<u8>>())
    })
}

fn blank(segments: &mut [(&'static str, Vec<u8>)], record: &Record) {
    let named = |name: &str| SegmentName::parse(name) == Some(record.segment);
    for (_, content) in segments.iter_mut().filter(|(name, _)| named(name)) {
        for (at, byte) in content.iter_mut().enumerate() {
            if at as u64 >= record.offset && at as u64 - record.offset < record.length {
                *byte = b' ';
            }
        }
    }
}

/// Ends the last line, or cuts it off and returns it.
fn mend(content: &mut Vec<u8>) -> Option<Vec<u8>> {
    let whole = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if whole == content.len() {
        return None;
    }
    if line::decode(&content[whole..]).is_ok() {
        content.push(b'\n');
        return None;
    }
    Some(content.split_off(whole))
}

/// Opens the store as a writer does, twice: the second time there is nothing to mend.
fn open(folder: &Folder, catalog: &Catalog, quarantined: usize) {
    let (_, report) = recovery::recover(folder, &mut NoObserver).expect("any folder may be opened");
    let set_aside = report.torn_tails.iter().filter(|torn| torn.quarantined.is_some());
    assert_eq!(set_aside.count(), quarantined);
    let (_, again) = recovery::recover(folder, &mut NoObserver).expect("any folder may be opened");
    assert!(again.is_clean(), "what was mended stays mended: {again}");
    catalog.snapshot().expect("any folder may be read");
}

fn agrees(catalog: &Catalog, segments: &[(&'static str, Vec<u8>)]) {
    let mut first: HashMap<String, (&str, u64)> = HashMap::new();
    let mut times: Vec<(Timestamp, String)> = Vec::new();
    let (mut records, mut bad) = (0, 0);
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
                Err(_) => bad += 1,
            }
            offset += bytes.len() as u64;
        }
    }
    let snapshot = catalog.snapshot().expect("any folder may be read");
    let counted = catalog.count(&snapshot).expect("any folder may be read");
    assert_eq!(counted, records + bad, "every record counts");
    let corrupt = catalog.corrupt_records(&snapshot).expect("any folder may be read");
    assert_eq!(corrupt.len() as u64, bad, "what cannot be read is reported");
    for (id, (name, offset)) in &first {
        let id = attestry_core::EntryId::new_unchecked(id);
        let found = catalog.find(&snapshot, &id).expect("it can be read").expect("it is there");
        assert_eq!((found.segment.name.to_string().as_str(), found.line.offset), (*name, *offset));
    }
    let listed = scan::list(catalog, Timestamp::MIN, Timestamp::MAX);
    assert_eq!(listed.is_err(), bad > 0, "a list with a hole in it is none");
    if let Ok(listed) = listed {
        times.sort_by_key(|(timestamp, _)| *timestamp);
        assert!(listed.iter().map(|e| (e.timestamp, e.id.to_string())).eq(times));
    }
}

fn write(path: &Path, content: &[u8]) {
    fs::write(path, content).expect("the folder takes a file");
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).expect("it is there")
}

fn files(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let items = fs::read_dir(folder).into_iter().flatten();
    items.map(|item| item.expect("a folder").path())
}
