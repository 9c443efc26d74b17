//! Any bytes as an erasure journal.

use std::fs::{self, OpenOptions};
use std::path::Path;

use attestry_core::hash_content;

use super::intent_log::{decode, encode};
use super::{Plan, Record, overwrite};
use crate::segment::SegmentName;

/// Holds `bytes` as a journal, and as one that lacks its checksum only, against the promises of
/// the erasures: what is not whole is void, and nothing but the lines named changes.
pub fn journal(folder: &Path, bytes: &[u8]) {
    check(folder, decode(bytes));
    if let Ok(document) = std::str::from_utf8(bytes) {
        let whole = format!("{document}\n{}\n", hash_content(document));
        check(folder, decode(whole.as_bytes()));
    }
}

/// The lines that a journal of these bytes names.
pub(crate) fn recorded(bytes: &[u8]) -> Vec<Record> {
    decode(bytes).unwrap_or_default().lines
}

fn check(folder: &Path, plan: Option<Plan>) {
    let Some(plan) = plan else { return };
    let lines = plan.lines.iter().map(|record| record.segment);
    for segment in lines.chain(plan.segments.iter().map(|whole| whole.segment)) {
        let name = segment.to_string();
        assert_eq!(SegmentName::parse(&name), Some(segment), "one name, one spelling");
        assert!(!name.contains('/'), "a segment lies in the folder");
    }
    let whole = encode(&plan).expect("a plan is numbers and texts").into_bytes();
    assert_eq!(decode(&whole).as_ref(), Some(&plan));
    let records = plan.lines;
    for cut in [0, whole.len() / 2, whole.len() - 1] {
        assert_eq!(decode(&whole[..cut]), None, "a journal cut short is void");
    }

    let before: Vec<u8> = (0..64).map(|at| if at % 8 == 7 { b'\n' } else { b'x' }).collect();
    let path = folder.join("segment");
    fs::write(&path, &before).expect("the folder takes a file");
    let file = OpenOptions::new().read(true).write(true).open(&path).expect("it was just made");
    overwrite(&file, &records).expect("any range may be named");
    let after = fs::read(&path).expect("it was just written");
    assert_eq!(after.len(), before.len(), "erasing makes no segment longer or shorter");
    for (at, (before, after)) in before.iter().zip(&after).enumerate() {
        let at = at as u64;
        let named = |record: &Record| at >= record.offset && at - record.offset < record.length;
        let expected = if records.iter().any(named) { b' ' } else { *before };
        assert_eq!(*after, expected, "byte {at}");
    }
}
