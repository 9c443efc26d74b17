//! Any bytes as the files of a tree: whoever looks at it, or opens the store, gets an answer that
//! fits the lines that are there.

use std::fs;
use std::path::Path;

use attestry_core::{StorageError, Timestamp};

use super::{lines, write};
use crate::fs::layout::Folder;
use crate::fuzzing::sections;
use crate::observer::{EraseReason, LogObserver};
use crate::recovery;
use crate::segment::SegmentName;
use crate::tree::checkpoints::split;
use crate::tree::erased::{self, Erased};
use crate::tree::head::Head;
use crate::tree::places::{Event, Places};
use crate::tree::{TreeObserver, VerifyOptions, verify};

const SEGMENT: &str = "audit_20260128.jsonl";
const SEALED: &str = "audit_20260128_001.jsonl";
/// Leaves that are looked at one by one.
const LEAVES: u64 = 64;

/// Fills a folder with the sections of `recipe`: what the head says (a fitting one is put there
/// where that is empty), two segments, places, erasures, the leaves' hashes, and checkpoints.
pub fn tree(parent: &Path, recipe: &[u8]) {
    let mut sections = sections(recipe);
    let mut next = || sections.next().unwrap_or_default();
    let (head, sealed, segment) = (next(), next(), next());
    let (places, erasures, tiles, notes) = (next(), next(), next(), next());
    head_is_read_back(head);
    std::str::from_utf8(places).into_iter().for_each(places_are_read_back);
    std::str::from_utf8(erasures).into_iter().for_each(erasures_are_counted);
    notes_are_told_apart(notes);

    let path = parent.join("audit");
    let _ = fs::remove_dir_all(&path);
    let folder = Folder::new(path);
    let fitting = Head {
        sequence: 1,
        size: tiles.len() as u64 / 32,
        places: places.len() as u64,
        erasures: erasures.len() as u64,
        current: SegmentName::parse(SEGMENT),
        covered: segment.len() as u64,
    };
    let slot = if head.is_empty() { fitting.encode().to_vec() } else { summed(head) };
    let mut slots = slot.clone();
    slots.resize(512, 0);
    write(&folder.tree().join("head"), &slots.repeat(3));
    write(&folder.tree().join("places"), places);
    write(&folder.tree().join("erasures"), erasures);
    write(&folder.tree().join("tiles.0"), tiles);
    write(&folder.private().join("checkpoints/20260128"), notes);
    write(&folder.path().join(SEALED), sealed);
    write(&folder.path().join(SEGMENT), segment);

    counts_every_line(&folder);
    if opened(&folder).is_ok()
        && let Ok(found) = verify::run(&folder, &VerifyOptions::new())
    {
        assert_eq!(found.not_covered, 0, "opening takes in what is there");
        counts_every_line(&folder);
    }
    let _ = erased_first(&folder);
}

/// What is clean has a line for each leaf and a leaf for each line.
fn counts_every_line(folder: &Folder) {
    let Ok(found) = verify::run(folder, &VerifyOptions::new()) else { return };
    if found.is_clean() {
        assert_eq!(lines(folder).len() as u64, found.lines + found.not_covered);
        assert_eq!(found.leaves, found.lines + found.erased + found.records);
    }
}

fn opened(folder: &Folder) -> Result<(), StorageError> {
    let open = || {
        let mut observer = TreeObserver::open(folder, None, true)?;
        let (_, report) = recovery::recover(folder, &mut observer)?;
        observer.close()?;
        Ok::<_, StorageError>(report)
    };
    open()?;
    let again = open()?;
    assert!(again.torn_tails.is_empty(), "what was mended stays mended: {again}");
    Ok(())
}

fn erased_first(folder: &Folder) -> Result<(), StorageError> {
    let mut observer = TreeObserver::open(folder, None, true)?;
    let Some(segment) = SegmentName::parse(SEGMENT) else { return Ok(()) };
    let leaves = observer.leaves_of(segment)?;
    observer.before_erase()?;
    let note =
        EraseReason { reason: "why".to_owned(), by: "who".to_owned(), at: Timestamp::UNIX_EPOCH };
    observer.erased(&leaves[..leaves.len().min(1)], &note, false)?;
    observer.erased(&leaves[..leaves.len().min(1)], &note, true)?;
    observer.close()
}

/// A slot that says `text` and has the right checksum.
fn summed(text: &[u8]) -> Vec<u8> {
    let mut slot = text[..text.len().min(200)].to_vec();
    let sum = crc32fast::hash(&slot);
    slot.extend_from_slice(format!(" {sum:08x}\n").as_bytes());
    slot
}

fn head_is_read_back(text: &[u8]) {
    for slot in [text, &summed(text)] {
        if let Some(head) = Head::decode(slot) {
            assert_eq!(Head::decode(&head.encode()), Some(head));
        }
    }
}

fn places_are_read_back(text: &str) {
    for event in text.split_terminator('\n').filter_map(Event::parse) {
        let mut line = String::new();
        event.write(&mut line);
        assert_eq!(Event::parse(line.trim_end_matches('\n')), Some(event));
    }
    let Ok(places) = Places::parse(text) else { return };
    for (place, leaves) in places.runs(LEAVES) {
        assert!(leaves.start < leaves.end && leaves.end <= LEAVES && place < places.all().len());
    }
    for name in places.known() {
        assert!(places.all().iter().any(|place| place.name == name && !place.gone));
    }
}

fn erasures_are_counted(text: &str) {
    let Ok(known) = Erased::parse(text) else { return };
    let written: String = (0..LEAVES)
        .filter_map(|leaf| known.record_at(leaf).map(|record| erased::line(leaf, record)))
        .collect();
    let read = Erased::parse(&written).expect("what was written is read");
    let covered =
        |leaf| known.records().any(|record| (record.leaf()..record.end()).contains(&leaf));
    let lines: Vec<u64> = known.lines_among(0..LEAVES).into_iter().flatten().collect();
    for leaf in 0..LEAVES {
        assert_eq!(read.record_at(leaf), known.record_at(leaf));
        assert_eq!(known.covers(leaf), covered(leaf), "leaf {leaf}");
        let is_line = known.record_at(leaf).is_none() && !covered(leaf);
        assert_eq!(lines.contains(&leaf), is_line, "leaf {leaf}");
    }
}

fn notes_are_told_apart(bytes: &[u8]) {
    let (notes, whole) = split(bytes);
    let ends = notes.iter().skip(1).map(|(start, _)| *start).chain([whole]);
    for ((start, note), end) in notes.iter().zip(ends) {
        let text = std::str::from_utf8(&bytes[*start..end]).unwrap_or_default();
        assert_eq!(*note, text, "no byte of it is lost");
    }
    assert!(notes.first().is_none_or(|(start, _)| *start == 0));
}
