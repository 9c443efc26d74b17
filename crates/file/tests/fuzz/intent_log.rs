//! Any bytes as the intent log of an erasure.

use std::fs::{self, OpenOptions};
use std::path::Path;

use attestry_core::hash_content;

use super::intent_log::{decode, document, encode};
use super::{EraseIntent, ErasedLine, overwrite};
use crate::segment::SegmentName;

/// Checks `bytes` as an intent log, also with a valid checksum appended: an incomplete log is void, and an
/// erasure changes only the lines that it names.
pub fn intent_log(folder: &Path, bytes: &[u8]) {
    check(folder, decode(bytes).map(|found| found.intent));
    if let Ok(document) = std::str::from_utf8(bytes) {
        let whole = format!("{document}\n{}\n", hash_content(document));
        check(folder, decode(whole.as_bytes()).map(|found| found.intent));
    }
}

/// The lines that an intent log with these bytes names.
pub(crate) fn intended_lines(bytes: &[u8]) -> Vec<ErasedLine> {
    decode(bytes).unwrap_or_default().intent.lines
}

fn check(folder: &Path, intent: Option<EraseIntent>) {
    let Some(intent) = intent else { return };
    let lines = intent.lines.iter().map(|line| line.segment);
    for segment in lines.chain(intent.segments.iter().map(|whole| whole.segment)) {
        let name = segment.to_string();
        assert_eq!(SegmentName::parse(&name), Some(segment), "each name has one spelling");
        assert!(!name.contains('/'), "a segment is in the folder");
    }
    let document = document(&intent).expect("an intent has only numbers and strings");
    let whole = encode(&document, None).into_bytes();
    assert_eq!(decode(&whole).map(|found| found.intent).as_ref(), Some(&intent));
    let lines = intent.lines;
    for cut in [0, whole.len() / 2, whole.len() - 1] {
        assert_eq!(decode(&whole[..cut]), None, "a truncated intent log is void");
    }

    let before: Vec<u8> = (0..64).map(|at| if at % 8 == 7 { b'\n' } else { b'x' }).collect();
    let path = folder.join("segment");
    fs::write(&path, &before).expect("the folder is writable");
    let file =
        OpenOptions::new().read(true).write(true).open(&path).expect("the file was just created");
    overwrite(&file, &lines).expect("any range can be overwritten");
    let after = fs::read(&path).expect("the file was just written");
    assert_eq!(after.len(), before.len(), "erasing keeps the length of a segment");
    for (at, (before, after)) in before.iter().zip(&after).enumerate() {
        let at = at as u64;
        let named = |line: &ErasedLine| at >= line.offset && at - line.offset < line.length;
        let expected = if lines.iter().any(named) { b' ' } else { *before };
        assert_eq!(*after, expected, "byte {at}");
    }
}
