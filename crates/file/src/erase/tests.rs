use super::*;
use crate::observer::NoObserver;
use crate::recovery;

const NAME: &str = "audit_20260128.jsonl";

/// Four lines of one length; the process died before the second was erased.
fn interrupted() -> (tempfile::TempDir, Folder, Vec<String>) {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::new(temporary.path().join("audit"));
    recovery::create(&folder).unwrap();
    let lines: Vec<String> = (0..4).map(|n| format!("{n}{}\n", "x".repeat(700))).collect();
    let segment = SegmentName::parse(NAME).unwrap();
    fs::write(folder.segment(segment), lines.concat()).unwrap();
    let length = lines[0].len() as u64;
    let mut erased = vec![ErasedLine {
        segment,
        offset: length,
        length: length - 1,
        checksums: Vec::new(),
        leaf: None,
    }];
    let erasures = Erasures::new(folder.clone(), false);
    let mut observer = NoObserver;
    erasures.identify_lines(&mut erased, &mut observer).unwrap();
    let intent = EraseIntent { lines: erased, ..EraseIntent::default() };
    erasures.write_intent(&intent, &mut NoObserver).unwrap();
    (temporary, folder, lines)
}

/// Counts of erased lines, unlinked segments, and moved ones.
fn recover(folder: &Folder) -> (usize, usize, usize) {
    let counts = |done: &Completed| (done.lines, done.segments, done.moved);
    let (mut erasures, completed) = Erasures::recover(folder.clone(), &mut NoObserver);
    let again = erasures.finish_pending(&mut NoObserver).unwrap();
    assert_eq!(counts(&again), (0, 0, 0), "nothing is left to do");
    counts(&completed.unwrap())
}

#[test]
fn segment_is_unlinked_unless_it_has_changed() {
    for changed in [false, true] {
        let (_guard, folder, _) = interrupted();
        let segment = SegmentName::parse(NAME).unwrap();
        let file = File::open(folder.segment(segment)).unwrap();
        let intent = EraseIntent {
            segments: vec![ErasedSegment::new(segment, &file).unwrap()],
            ..EraseIntent::default()
        };
        let erasures = Erasures::new(folder.clone(), false);
        erasures.write_intent(&intent, &mut NoObserver).unwrap();
        if changed {
            fs::write(folder.segment(segment), "another\n").unwrap();
        }
        let (segments, moved) = if changed { (0, 1) } else { (1, 0) };
        assert_eq!(recover(&folder), (0, segments, moved));
        assert_eq!(folder.segment(segment).exists(), changed);
    }
}

#[test]
fn line_is_erased_if_it_is_still_there() {
    let (_guard, folder, lines) = interrupted();
    assert_eq!(recover(&folder), (1, 0, 0));
    let blank = format!("{}\n", " ".repeat(701));
    let expected = [&lines[0], &blank, &lines[2], &lines[3]].map(String::as_str).concat();
    assert_eq!(fs::read_to_string(folder.path().join(NAME)).unwrap(), expected);
}

#[test]
fn another_line_at_the_place_stays() {
    // As the Python package does when it deletes the first line.
    let (_guard, folder, lines) = interrupted();
    fs::write(folder.path().join(NAME), lines[1..].concat()).unwrap();
    assert_eq!(recover(&folder), (0, 0, 1));
    assert_eq!(fs::read_to_string(folder.path().join(NAME)).unwrap(), lines[1..].concat());
}

#[test]
fn file_that_became_shorter_stays() {
    let (_guard, folder, lines) = interrupted();
    let left = &lines[0][..lines[0].len() - 10];
    fs::write(folder.path().join(NAME), left).unwrap();
    assert_eq!(recover(&folder), (0, 0, 1));
    assert_eq!(fs::read_to_string(folder.path().join(NAME)).unwrap(), left);
}
