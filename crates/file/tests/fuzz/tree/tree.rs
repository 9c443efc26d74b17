//! Any bytes as the files of a tree: verifying and opening the store gives an error, or a result that
//! fits the lines of the segments.

use std::fs;
use std::path::Path;

use attestry_core::{StorageError, Timestamp};
use attestry_evidence::SigningKey;

use super::{lines, write};
use crate::fs::layout::Folder;
use crate::fuzzing::sections;
use crate::observer::{EraseReason, LogObserver};
use crate::recovery;
use crate::segment::SegmentName;
use crate::tree::checkpoints::split;
use crate::tree::records::{self, Records};
use crate::tree::segment_map::{Event, SegmentMap};
use crate::tree::tree_head::TreeHead;
use crate::tree::{EvidenceOptions, TreeObserver, VerifyOptions, verify};

const SEGMENT: &str = "audit_20260128.jsonl";
const SEALED: &str = "audit_20260128_001.jsonl";
/// Leaves that are checked one by one.
const LEAVES: u64 = 64;

/// Fills a folder with the sections of `recipe`: the tree head (if empty, one that fits the others), two
/// segments, segment map, erasure records, leaf hashes, checkpoints.
pub fn tree(parent: &Path, recipe: &[u8]) {
    let mut sections = sections(recipe);
    let mut next = || sections.next().unwrap_or_default();
    let (head, sealed, segment) = (next(), next(), next());
    let (map, records, tiles, notes) = (next(), next(), next(), next());
    head_round_trips(head);
    std::str::from_utf8(map).into_iter().for_each(map_is_consistent);
    std::str::from_utf8(records).into_iter().for_each(records_are_consistent);
    notes_cover_all_bytes(notes);

    let path = parent.join("audit");
    let _ = fs::remove_dir_all(&path);
    let folder = Folder::new(path);
    let fitting = TreeHead {
        sequence: 1,
        size: tiles.len() as u64 / 32,
        map_len: map.len() as u64,
        records_len: records.len() as u64,
        current: SegmentName::parse(SEGMENT),
        covered: segment.len() as u64,
    };
    let slot = if head.is_empty() { fitting.encode().to_vec() } else { with_checksum(head) };
    let mut slots = slot.clone();
    slots.resize(512, 0);
    write(&folder.tree().join("head"), &slots.repeat(3));
    write(&folder.tree().join("places"), map);
    write(&folder.tree().join("erasures"), records);
    write(&folder.tree().join("tiles.0"), tiles);
    write(&folder.private().join("checkpoints/20260128"), notes);
    write(&folder.path().join(SEALED), sealed);
    write(&folder.path().join(SEGMENT), segment);

    verification_counts_every_line(&folder);
    if opened(&folder).is_ok()
        && let Ok(found) = verify::run(&folder, &VerifyOptions::new())
    {
        assert_eq!(found.not_covered, 0, "opening replays all lines");
        verification_counts_every_line(&folder);
    }
    let _ = first_line_erased(&folder);
}

/// A clean store has a line for each leaf and a leaf for each line.
fn verification_counts_every_line(folder: &Folder) {
    let Ok(found) = verify::run(folder, &VerifyOptions::new()) else { return };
    if found.is_clean() {
        assert_eq!(lines(folder).len() as u64, found.lines + found.not_covered);
        let records = found.records + found.statements;
        assert_eq!(found.leaves, found.lines + found.erased + records);
    }
}

fn opened(folder: &Folder) -> Result<(), StorageError> {
    let open = || {
        let mut observer = TreeObserver::open(folder, None, None, true)?;
        let (_, report) = recovery::recover(folder, &mut observer)?;
        observer.close()?;
        Ok::<_, StorageError>(report)
    };
    open()?;
    let again = open()?;
    assert!(again.torn_tails.is_empty(), "recovery is idempotent: {again}");
    Ok(())
}

fn first_line_erased(folder: &Folder) -> Result<(), StorageError> {
    let key = SigningKey::from_seed("example.com/audit", &[7; 32]).expect("the name is valid");
    let options = EvidenceOptions::new(key);
    let mut observer = TreeObserver::open(folder, Some(options), None, true)?;
    let Some(segment) = SegmentName::parse(SEGMENT) else { return Ok(()) };
    let leaves = observer.leaves_of(segment)?;
    let leaves = &leaves[..leaves.len().min(1)];
    observer.before_erase()?;
    let (reason, by, at) = ("why".to_owned(), "who".to_owned(), Timestamp::UNIX_EPOCH);
    let reason = EraseReason { reason, by, at };
    observer.erased(leaves, &reason, false)?;
    observer.erased(leaves, &reason, true)?;
    observer.close()
}

/// A slot of this text with a valid checksum.
fn with_checksum(text: &[u8]) -> Vec<u8> {
    let mut slot = text[..text.len().min(200)].to_vec();
    let sum = crc32fast::hash(&slot);
    slot.extend_from_slice(format!(" {sum:08x}\n").as_bytes());
    slot
}

fn head_round_trips(text: &[u8]) {
    for slot in [text, &with_checksum(text)] {
        if let Some(head) = TreeHead::decode(slot) {
            assert_eq!(TreeHead::decode(&head.encode()), Some(head));
        }
    }
}

fn map_is_consistent(text: &str) {
    for event in text.split_terminator('\n').filter_map(Event::parse) {
        let mut line = String::new();
        event.write(&mut line);
        assert_eq!(Event::parse(line.trim_end_matches('\n')), Some(event));
    }
    let Ok(map) = SegmentMap::parse(text) else { return };
    for (segment, leaves) in map.runs(LEAVES) {
        assert!(leaves.start < leaves.end && leaves.end <= LEAVES);
        assert!(segment < map.segments().len());
    }
    for name in map.names() {
        assert!(map.segments().iter().any(|segment| segment.name == name && !segment.removed));
    }
}

fn records_are_consistent(text: &str) {
    let Ok(records) = Records::parse(text) else { return };
    let encoded: String = (0..LEAVES)
        .filter_map(|leaf| records.record_at(leaf).map(|record| records::encode(leaf, record)))
        .collect();
    let decoded = Records::parse(&encoded).expect("encoded records can be parsed");
    let erasures = || records.iter().filter_map(|(_, record)| record.erasure());
    let erased = |leaf| erasures().any(|erasure| (erasure.leaf()..erasure.end()).contains(&leaf));
    let lines: Vec<u64> = records.lines_among(0..LEAVES).into_iter().flatten().collect();
    for leaf in 0..LEAVES {
        assert_eq!(decoded.record_at(leaf), records.record_at(leaf));
        assert_eq!(records.is_erased(leaf), erased(leaf), "leaf {leaf}");
        let is_line = records.record_at(leaf).is_none() && !erased(leaf);
        assert_eq!(lines.contains(&leaf), is_line, "leaf {leaf}");
    }
}

fn notes_cover_all_bytes(bytes: &[u8]) {
    let (notes, whole) = split(bytes);
    let ends = notes.iter().skip(1).map(|(start, _)| *start).chain([whole]);
    for ((start, note), end) in notes.iter().zip(ends) {
        let text = std::str::from_utf8(&bytes[*start..end]).unwrap_or_default();
        assert_eq!(*note, text);
    }
    assert!(notes.first().is_none_or(|(start, _)| *start == 0));
}
