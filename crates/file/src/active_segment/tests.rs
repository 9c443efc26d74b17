//! Rotation, failed appends, and clocks.

use std::cell::{Cell, RefCell};
use std::fs;

use super::*;
use crate::durability::LinesMayBeLost;
use crate::fs::clock::by_hand::ByHand;
use crate::observer::NoObserver;

thread_local! {
    static EPOCH: Cell<LockEpoch> = const { Cell::new(LockEpoch(0)) };
}

fn next_epoch() -> LockEpoch {
    EPOCH.set(LockEpoch(EPOCH.get().0 + 1));
    EPOCH.get()
}

#[test]
fn each_day_has_its_segment_when_the_clock_jumps_back() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::new(temporary.path().join("audit"));
    recovery::create(&folder).unwrap();
    let (mut erasures, mut observer) = companions(&folder);
    let clock = ByHand::<0>;
    let active = ActiveSegment::new(folder.clone(), 40, Durability::Sync);
    let mut active = active.with_clock(clock.clock());
    let mut append = |moment: &str, line: &str| {
        clock.set(moment);
        one_line(line, |lines| active.append(next_epoch(), &mut erasures, &mut observer, lines))
            .unwrap();
    };
    append("2026-01-28T23:59:59.999999", "the last of the day\n");
    append("2026-01-29T00:00:00", "the first of the next\n");
    append("2026-01-28T23:59:59.5", "the clock jumped back\n");
    append("2026-01-28T23:59:59.6", "which filled the segment\n");
    append("2026-01-29T00:00:01", "and on\n");
    let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(text("audit_20260128_001.jsonl"), "the last of the day\nthe clock jumped back\n");
    assert_eq!(text("audit_20260128.jsonl"), "which filled the segment\n");
    assert_eq!(text("audit_20260129.jsonl"), "the first of the next\nand on\n");
}

fn layout(folder: &Folder) -> u64 {
    epoch::Stamp::read(folder).unwrap().epochs.layout
}

fn companions(folder: &Folder) -> (Erasures, NoObserver) {
    let mut observer = NoObserver;
    (Erasures::recover(folder.clone(), &mut observer).0, observer)
}

fn one_line<T>(line: &str, append: impl FnOnce(&LinesToAppend<'_>) -> T) -> T {
    let end = LineEnd { at: line.len(), terms: 0, leaf: None, key: None };
    append(&LinesToAppend { bytes: line.as_bytes(), ends: &[end], terms: &[] })
}

fn append(active: &mut ActiveSegment, folder: &Folder, line: &str) {
    let (mut erasures, mut observer) = companions(folder);
    one_line(line, |lines| active.append(next_epoch(), &mut erasures, &mut observer, lines))
        .unwrap();
}

thread_local! {
    static SYNCED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
    static SYNC_FAILS: Cell<bool> = const { Cell::new(false) };
}

/// Records which files were synced; fails once if `SYNC_FAILS` is set.
fn sync_or_fail(file: &File) -> io::Result<()> {
    let id = FileId::of(&file.metadata()?);
    SYNCED.with_borrow_mut(|synced| synced.push(id.number()));
    if SYNC_FAILS.replace(false) { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
}

#[test]
fn poisoned_segment_is_sealed_before_the_next_append() {
    for close_between in [false, true] {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("audit"));
        recovery::create(&folder).unwrap();
        let mut active = ActiveSegment::new(folder.clone(), 1_000, Durability::Sync);
        active.sync_data = sync_or_fail;
        append(&mut active, &folder, "acknowledged\n");
        SYNC_FAILS.set(true);
        let before = layout(&folder);
        let (mut erasures, mut observer) = companions(&folder);
        let refused = one_line("refused\n", |lines| {
            active.append(next_epoch(), &mut erasures, &mut observer, lines)
        });
        let failed = refused.unwrap_err();
        assert_eq!(failed.durable_lines, 0);
        assert!(layout(&folder) > before, "an undone append bumps the layout epoch");
        let poisoned = SYNCED.take();
        if close_between {
            // A flush must not report a sync of that file as a success.
            active.sync().unwrap();
        }
        append(&mut active, &folder, "next\n");
        active.close().unwrap();
        let synced = SYNCED.take();
        assert!(synced.iter().all(|file| !poisoned.contains(file)), "{synced:?}");
        assert!(!synced.is_empty());
        let texts: Vec<_> = folder
            .list()
            .unwrap()
            .iter()
            .map(|listed| fs::read_to_string(folder.segment(listed.name)).unwrap())
            .collect();
        assert_eq!(texts, ["acknowledged\n", "next\n"]);
    }
}

fn is_lost(result: Result<(), StorageError>, path: &std::path::Path) -> bool {
    let Err(StorageError::Io { path: named, source, .. }) = result else { return false };
    named == path && source.get_ref().is_some_and(|inner| inner.is::<LinesMayBeLost>())
}

#[test]
fn buffered_lines_are_reported_as_lost_until_reopened() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::new(temporary.path().join("audit"));
    recovery::create(&folder).unwrap();
    let mut active = ActiveSegment::new(folder.clone(), 1_000, Durability::Buffered);
    active.sync_data = sync_or_fail;
    append(&mut active, &folder, "acknowledged\n");
    let path = active.open.as_ref().unwrap().path.clone();
    SYNC_FAILS.set(true);
    assert!(!is_lost(active.sync(), &path), "the first error is that of the system");
    assert!(is_lost(active.sync(), &path));
    append(&mut active, &folder, "in the next segment\n");
    SYNCED.take();
    assert!(is_lost(active.sync(), &path));
    assert_eq!(SYNCED.take().len(), 1, "later lines are synced all the same");
    assert!(is_lost(active.close(), &path));
    let texts: Vec<_> = folder
        .list()
        .unwrap()
        .iter()
        .map(|listed| fs::read_to_string(folder.segment(listed.name)).unwrap())
        .collect();
    assert_eq!(texts, ["acknowledged\n", "in the next segment\n"]);
    ActiveSegment::new(folder, 1_000, Durability::Buffered).sync().unwrap();
}

/// Another process has sealed or replaced it, or it is about to be compacted or unlinked.
#[test]
fn buffered_segment_is_synced_before_it_is_closed() {
    for (is_unlinked, fails) in [(false, false), (false, true), (true, false), (true, true)] {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("audit"));
        recovery::create(&folder).unwrap();
        let mut active = ActiveSegment::new(folder.clone(), 1_000, Durability::Buffered);
        active.sync_data = sync_or_fail;
        append(&mut active, &folder, "acknowledged\n");
        let open = active.open.as_ref().unwrap();
        let (id, path) = (open.id, open.path.clone());
        SYNCED.take();
        SYNC_FAILS.set(fails);
        if is_unlinked {
            assert_eq!(active.forget(id).is_err(), fails);
        } else {
            fs::rename(&path, path.with_file_name("audit_20000101.jsonl")).unwrap();
            append(&mut active, &folder, "next\n");
        }
        assert_eq!(SYNCED.take(), [id.number()]);
        assert_eq!(is_lost(active.sync(), &path), fails);
    }
}

thread_local! {
    static FOLDER: RefCell<Option<Folder>> = const { RefCell::new(None) };
    static LAYOUT_AT_SYNC: Cell<u64> = const { Cell::new(0) };
}

fn record_layout(_: &File) -> io::Result<()> {
    LAYOUT_AT_SYNC.set(FOLDER.with_borrow(|folder| layout(folder.as_ref().unwrap())));
    Ok(())
}

/// A process that dies between write and sync has bumped the epoch, so the next writer sees the line.
#[test]
fn append_behind_a_later_day_bumps_layout_before_and_after() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::new(temporary.path().join("audit"));
    recovery::create(&folder).unwrap();
    FOLDER.set(Some(folder.clone()));
    let new = || ActiveSegment::new(folder.clone(), 1_000, Durability::Sync);
    let (behind, ahead) = (ByHand::<8>, ByHand::<9>);
    behind.set("2026-01-28T23:59:59");
    ahead.set("2026-01-29T00:00:00");
    let mut late = new().with_clock(behind.clock()).syncing_with(record_layout);
    append(&mut late, &folder, "the first\n");
    append(&mut new().with_clock(ahead.clock()), &folder, "of the next day\n");
    let before = layout(&folder);
    append(&mut late, &folder, "and another\n");
    let while_syncing = LAYOUT_AT_SYNC.get();
    assert!(before < while_syncing && while_syncing < layout(&folder));
}

/// As on a file system that is read-only for a while: neither the write nor `ftruncate` succeeds.
#[test]
fn failed_append_that_wrote_nothing_does_not_wedge() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::new(temporary.path().join("audit"));
    recovery::create(&folder).unwrap();
    let mut active = ActiveSegment::new(folder.clone(), 1_000, Durability::Sync);
    append(&mut active, &folder, "before\n");
    let open = active.open.as_mut().unwrap();
    let path = open.path.clone();
    let writable = std::mem::replace(&mut open.file, File::open(&path).unwrap());
    let (mut erasures, mut observer) = companions(&folder);
    one_line("refused\n", |lines| active.append(next_epoch(), &mut erasures, &mut observer, lines))
        .unwrap_err();
    active.open.as_mut().unwrap().file = writable;
    append(&mut active, &folder, "after\n");
    assert_eq!(fs::read_to_string(path).unwrap(), "before\nafter\n");
}

#[test]
fn sealing_a_poisoned_segment_keeps_lines_of_other_processes() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::new(temporary.path().join("audit"));
    recovery::create(&folder).unwrap();
    let new = || ActiveSegment::new(folder.clone(), 1_000, Durability::Sync);
    let (mut one, mut other) = (new(), new());
    append(&mut one, &folder, "x\n");
    // As after a failed sync: cut back to nothing, and poisoned.
    let open = one.open.as_mut().unwrap();
    open.file.set_len(0).unwrap();
    (open.length, open.poisoned) = (0, true);
    append(&mut other, &folder, "acknowledged\n");
    append(&mut one, &folder, "next\n");
    let texts: Vec<_> = folder
        .list()
        .unwrap()
        .iter()
        .map(|listed| fs::read_to_string(folder.segment(listed.name)).unwrap())
        .collect();
    assert_eq!(texts, ["acknowledged\n", "next\n"]);
}

#[test]
fn poisoned_segment_is_sealed_for_other_processes_too() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::new(temporary.path().join("audit"));
    recovery::create(&folder).unwrap();
    let new = || ActiveSegment::new(folder.clone(), 1_000, Durability::Sync);
    let (mut one, mut other) = (new(), new());
    one.sync_data = sync_or_fail;
    append(&mut one, &folder, "acknowledged\n");
    SYNC_FAILS.set(true);
    let (mut erasures, mut observer) = companions(&folder);
    one_line("refused\n", |lines| one.append(next_epoch(), &mut erasures, &mut observer, lines))
        .unwrap_err();
    append(&mut other, &folder, "next\n");
    let listed = folder.list().unwrap();
    let text = |number: usize| fs::read_to_string(folder.segment(listed[number].name)).unwrap();
    assert_eq!((text(0).as_str(), text(1).as_str()), ("acknowledged\n", "next\n"));
}

#[test]
fn not_ready_after_another_process_has_appended() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::new(temporary.path().join("audit"));
    recovery::create(&folder).unwrap();
    let new = || ActiveSegment::new(folder.clone(), 20, Durability::Buffered);
    let (mut one, mut other) = (new(), new());
    append(&mut one, &folder, "x\n");
    let mut append_y = || one_line("y\n", |lines| one.append_if_ready(next_epoch(), lines));
    append_y().unwrap().unwrap();
    append(&mut other, &folder, "which fills the segment\n");
    assert!(append_y().is_none());
    let listed = folder.list().unwrap();
    let text = fs::read_to_string(folder.segment(listed[0].name)).unwrap();
    assert_eq!(text, "x\ny\nwhich fills the segment\n");
}

#[test]
fn opening_a_segment_bumps_the_layout_epoch() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::new(temporary.path().join("audit"));
    recovery::create(&folder).unwrap();
    let before = layout(&folder);
    let mut one = ActiveSegment::new(folder.clone(), 1_000, Durability::Sync);
    append(&mut one, &folder, "x\n");
    let created = layout(&folder);
    assert!(created > before, "a new segment");
    append(&mut one, &folder, "y\n");
    assert_eq!(layout(&folder), created, "an append to the newest segment does not bump it");
    let mut other = ActiveSegment::new(folder.clone(), 1_000, Durability::Sync);
    append(&mut other, &folder, "z\n");
    assert!(layout(&folder) > created, "a segment that is opened again");
}

#[test]
fn segment_of_a_past_day_is_indexed() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::new(temporary.path().join("audit"));
    recovery::create(&folder).unwrap();
    let clock = ByHand::<11>;
    let active = ActiveSegment::new(folder.clone(), 1_000, Durability::Sync);
    let mut active = active.with_clock(clock.clock());
    clock.set("2026-01-28T23:59:59");
    append(&mut active, &folder, "the last of the day\n");
    clock.set("2026-01-29T00:00:00");
    append(&mut active, &folder, "the first of the next\n");
    // The lines of this test are no entries, so that a thread reads the segment.
    while active.index_deadline().is_some() {
        active.poll_index();
    }
    let listed = folder.list().unwrap();
    let is_indexed = |number: usize| folder.index(listed[number].id).exists();
    assert!(is_indexed(0) && !is_indexed(1));
}
