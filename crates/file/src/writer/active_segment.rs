//! The segment that is written to: appending whole lines, undoing a failed append, rotation.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use attestry_core::{StorageError, Timestamp};

use super::newest::Place;
use crate::builder::Durability;
use crate::erase::Erasures;
use crate::fs::clock::Clock;
use crate::fs::epoch;
use crate::fs::layout::Folder;
use crate::fs::lock::Turn;
use crate::fs::sys::{self, FileId};
use crate::observer::{LineEnd, LogObserver};
use crate::recovery::{self, TornTail};
use crate::segment::{Segment, SegmentName};

/// The end of the log. Owned by the committer; nothing else appends.
#[derive(Debug)]
pub(crate) struct ActiveSegment {
    folder: Folder,
    rotation_bytes: u64,
    durability: Durability,
    open: Option<OpenSegment>,
    /// Names were changed and the folder not synced yet. Nothing is acknowledged until it is.
    folder_dirty: bool,
    /// A failed append could not be undone: what follows it on the file is unknown.
    broken: bool,
    /// Torn lines of others that were found in the way.
    mended: Vec<TornTail>,
    clock: Clock,
    /// The last moment of the day that was asked for last, and the segment of that day.
    today: (Timestamp, SegmentName),
    /// Puts a file's bytes on stable storage; one that fails in tests.
    sync_data: fn(&File) -> io::Result<()>,
}

#[derive(Debug)]
struct OpenSegment {
    name: SegmentName,
    path: PathBuf,
    file: File,
    id: FileId,
    /// Its length as we left it; another writer (the Python package) may have added to it since.
    length: u64,
    /// A sync failed. The kernel may have dropped the dirty pages, and would report success the
    /// next time: nothing on this file is acknowledged again.
    distrusted: bool,
    /// Not yet reported to the observer since it was opened.
    fresh: bool,
    /// When its name was last found to lead to it.
    looked_at: Turn,
    place: Place,
}

impl OpenSegment {
    /// Leaves no half line of an append that failed, and no line that its caller was told had failed;
    /// whether that worked. Not everything can be cut on a file system that became read-only, but there
    /// nothing was written either.
    fn cut_back(&self, folder: &Folder) -> bool {
        if sys::length_of(&self.file).is_ok_and(|length| length == self.length) {
            return true;
        }
        // A reader may have seen the lines, and is told to look again.
        self.file.set_len(self.length).is_ok() && epoch::raise_layout(folder).is_ok()
    }
}

/// Lines to append.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Appended<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) ends: &'a [LineEnd],
}

/// Why lines were not appended, and how many of them were appended and synced before that.
#[derive(Debug)]
pub(crate) struct AppendError {
    pub(crate) durable_lines: usize,
    pub(crate) error: StorageError,
}

impl ActiveSegment {
    pub(crate) fn new(folder: Folder, rotation_bytes: u64, durability: Durability) -> Self {
        Self {
            folder,
            rotation_bytes,
            durability,
            open: None,
            folder_dirty: false,
            broken: false,
            mended: Vec::new(),
            clock: Clock::default(),
            today: (Timestamp::MIN, SegmentName::active_on(Timestamp::MIN)),
            sync_data: File::sync_data,
        }
    }

    /// The same by another clock.
    pub(crate) fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Appends `lines`, each ending at the offset that `ends` has for it, and makes them as
    /// durable as this store promises. Rotates before a line whenever the segment has reached its
    /// size, as the Python package does. `turn` is that of the lock, which the caller holds.
    pub(crate) fn append(
        &mut self,
        turn: Turn,
        erasures: &mut Erasures,
        observer: &mut dyn LogObserver,
        lines: &Appended<'_>,
    ) -> Result<(), AppendError> {
        let Appended { bytes, ends } = *lines;
        let mut done = 0;
        while done < ends.len() {
            let start = if done == 0 { 0 } else { ends[done - 1].at };
            let appended = self.prepare(turn, erasures, observer).and_then(|room| {
                // As many lines as begin before the segment reaches its size; at least one.
                let fits = ends[done..].iter().take_while(|end| ((end.at - start) as u64) < room);
                let count = (fits.count() + 1).min(ends.len() - done);
                self.append_chunk(&bytes[start..ends[done + count - 1].at]).map(|()| count)
            });
            let count = match appended {
                Ok(count) => count,
                Err(error) => {
                    // At once, for other processes know nothing of it. What fails now is tried again
                    // before the next append.
                    let _ = self.retire_distrusted(erasures, observer);
                    return Err(AppendError { durable_lines: done, error });
                }
            };
            if let Some(open) = &self.open {
                observer.appended(bytes, start, &ends[done..done + count], open.length);
            }
            done += count;
        }
        Ok(())
    }

    /// The same with another way to sync.
    #[cfg(test)]
    pub(crate) fn syncing_with(mut self, sync_data: fn(&File) -> io::Result<()>) -> Self {
        self.sync_data = sync_data;
        self
    }

    /// The size from which a segment is rotated.
    pub(crate) fn rotation_bytes(&self) -> u64 {
        self.rotation_bytes
    }

    /// Whether lines of `bytes` bytes can be appended with nothing to open, mend, rotate, or wait for.
    /// `turn` is that of the lock, which the caller holds.
    pub(crate) fn has_room_for(&mut self, bytes: usize, turn: Turn) -> bool {
        let today = self.today();
        let Some(open) = &mut self.open else { return false };
        let ready = !self.broken
            && !self.folder_dirty
            && open.name == today
            && !open.distrusted
            && open.place.is_last
            && open.length.saturating_add(bytes as u64) < self.rotation_bytes;
        if ready && open.looked_at != turn {
            // Others may have appended, rotated or died since.
            if sys::look_at(&open.path).ok() != Some((open.id, open.length))
                || open.place.look(&self.folder, open.name).is_err()
                || !open.place.is_last
            {
                return false;
            }
            open.looked_at = turn;
        }
        ready
    }

    /// Makes sure that what stands in `segment`, whoever wrote it, is as durable as this store promises:
    /// they may have died before they had synced it.
    pub(crate) fn confirm(&mut self, segment: &Segment) -> Result<(), StorageError> {
        if self.durability == Durability::Buffered {
            return Ok(());
        }
        if let Err(source) = (self.sync_data)(&segment.file.handle) {
            if let Some(open) = self.open.as_mut().filter(|open| open.id == segment.file.id) {
                open.distrusted = true;
            }
            return Err(StorageError::io("sync", self.folder.segment(segment.name), source));
        }
        self.folder_dirty = true;
        self.sync_folder()
    }

    /// The segment of this moment's day.
    fn today(&mut self) -> SegmentName {
        let now = self.clock.now();
        let end = now.end_of_day();
        if self.today.0 != end {
            self.today = (end, SegmentName::active_on(now));
        }
        self.today.1
    }

    /// Opens today's segment, rotated if it is full; returns how many bytes it takes yet.
    fn prepare(
        &mut self,
        turn: Turn,
        erasures: &mut Erasures,
        observer: &mut dyn LogObserver,
    ) -> Result<u64, StorageError> {
        if self.broken {
            let path = self.folder.path();
            let reason = "an earlier write failed and could not be undone; close the store and open it again";
            return Err(StorageError::io("append to", path, io::Error::other(reason)));
        }
        let name = self.today();
        let mut length = self.length_unless_replaced(name, turn)?;
        self.retire_distrusted(erasures, observer)?;
        if self.open.is_none() {
            // A rename must be on the disk before its old name is used again.
            self.sync_folder()?;
            let path = self.folder.segment(name);
            let file = sys::open_append(&path)
                .map_err(|source| StorageError::io("open", &path, source))?;
            // Even where another process made the file: it may have died before it synced its name.
            self.folder_dirty = true;
            epoch::raise_layout(&self.folder)?;
            let metadata =
                file.metadata().map_err(|source| StorageError::io("examine", &path, source))?;
            length = metadata.len();
            // A length of which nothing is known yet makes the next step look at the end.
            let known = if length == 0 { 0 } else { u64::MAX };
            let id = FileId::of(&metadata);
            let (distrusted, fresh) = (false, true);
            let (length, looked_at) = (known, turn);
            let mut place = Place::default();
            place.look(&self.folder, name)?;
            self.open = Some(OpenSegment {
                name,
                path,
                file,
                id,
                length,
                distrusted,
                fresh,
                looked_at,
                place,
            });
        }
        let Some(open) = &mut self.open else { return Err(StorageError::Closed) };
        if length != open.length {
            // Somebody else wrote: another process, which may have died over it, or Python.
            let mended = recovery::mend_tail(&self.folder, open.name, length)?;
            self.mended.extend(mended);
            open.length = sys::length_of(&open.file)
                .map_err(|source| StorageError::io("examine", &open.path, source))?;
        }
        if open.length >= self.rotation_bytes {
            self.retire(erasures, observer)?;
            return self.prepare(turn, erasures, observer);
        }
        // Lines that others appended are recorded before any that follow them.
        observer.before_append(open.name, &open.file, open.length, open.fresh)?;
        open.fresh = false;
        let room = self.rotation_bytes - open.length;
        self.sync_folder()?;
        Ok(room)
    }

    /// Makes changed names durable.
    fn sync_folder(&mut self) -> Result<(), StorageError> {
        if self.folder_dirty {
            sys::sync_folder(self.folder.path())
                .map_err(|source| StorageError::io("sync", self.folder.path(), source))?;
            self.folder_dirty = false;
        }
        Ok(())
    }

    /// How long the open file is now. Lets go of one that is not today's, or whose name leads
    /// elsewhere by now, which is looked at once in a turn: finding a path takes as long as a write.
    fn length_unless_replaced(
        &mut self,
        today: SegmentName,
        turn: Turn,
    ) -> Result<u64, StorageError> {
        let Some(open) = &mut self.open else { return Ok(0) };
        let is_new_turn = open.looked_at != turn;
        let found = if !is_new_turn {
            sys::end_of(&open.file).map(Some)
        } else {
            sys::look_at(&open.path).map(|(id, length)| (id == open.id).then_some(length))
        };
        let found = match found {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(StorageError::io("examine", &open.path, error)),
        };
        if found.is_none() {
            self.open = None;
        } else if open.name != today && !open.distrusted {
            self.sync()?;
            self.open = None;
        } else if is_new_turn {
            open.place.look(&self.folder, open.name)?;
            open.looked_at = turn;
        }
        Ok(found.unwrap_or(0))
    }

    fn append_chunk(&mut self, lines: &[u8]) -> Result<(), StorageError> {
        let Some(open) = &mut self.open else { return Err(StorageError::Closed) };
        let before = open.length;
        // Also before, should this process die behind the write: the next one to change something
        // must know of the lines.
        let is_last = open.place.is_last;
        let tell = || if is_last { Ok(()) } else { epoch::raise_layout(&self.folder) };
        tell()?;
        let failed = |action, source| StorageError::io(action, &open.path, source);
        let written = open.file.write_all(lines).map_err(|source| failed("append to", source));
        let durable = written.and_then(|()| match self.durability {
            Durability::Buffered => Ok(()),
            Durability::Sync => (self.sync_data)(&open.file).map_err(|source| {
                open.distrusted = true;
                failed("sync", source)
            }),
        });
        match durable.and_then(|()| tell()) {
            Ok(()) => {
                open.length = before + lines.len() as u64;
                Ok(())
            }
            Err(error) => {
                self.broken = !open.cut_back(&self.folder);
                Err(error)
            }
        }
    }

    /// Seals the open segment: renames it to the next number of its day. An empty one is removed.
    fn retire(
        &mut self,
        erasures: &mut Erasures,
        observer: &mut dyn LogObserver,
    ) -> Result<(), StorageError> {
        // The journal, perhaps that of a process that died, names segments; it must be done with
        // before a name changes.
        erasures.notice_pending();
        erasures.finish_pending(observer)?;
        if self.open.as_ref().is_some_and(|open| !open.distrusted) {
            self.sync()?;
        }
        let Some(open) = &self.open else { return Ok(()) };
        let from = &open.path;
        self.folder_dirty = true;
        // Not the length as we left it: another process may have appended to the file since.
        let length = sys::length_of(&open.file);
        if length.map_err(|source| StorageError::io("examine", from, source))? == 0 {
            fs::remove_file(from).map_err(|source| StorageError::io("remove", from, source))?;
            observer.segment_removed(open.name);
        } else {
            let taken = self.folder.list()?;
            let sealed = open.name.sealed(taken.iter().map(|listed| listed.name));
            observer.before_rename(open.name, sealed)?;
            if let Err(source) = fs::rename(from, self.folder.segment(sealed)) {
                observer.before_rename(sealed, open.name)?;
                return Err(StorageError::io("rename", from, source));
            }
        }
        self.open = None;
        epoch::raise_layout(&self.folder)?;
        Ok(())
    }

    /// Seals the open segment where nothing on it is acknowledged again.
    pub(crate) fn retire_distrusted(
        &mut self,
        erasures: &mut Erasures,
        observer: &mut dyn LogObserver,
    ) -> Result<(), StorageError> {
        let distrusted = self.open.as_ref().is_some_and(|open| open.distrusted);
        if distrusted && !self.broken { self.retire(erasures, observer) } else { Ok(()) }
    }

    /// Puts everything appended so far on stable storage.
    pub(crate) fn sync(&mut self) -> Result<(), StorageError> {
        if let Some(open) = &mut self.open {
            if open.distrusted {
                return Ok(()); // what was acknowledged on it was synced before
            }
            if let Err(source) = (self.sync_data)(&open.file) {
                open.distrusted = true;
                return Err(StorageError::io("sync", &open.path, source));
            }
        }
        self.sync_folder()
    }

    /// [`sync`](Self::sync), where appending alone does not do that.
    pub(crate) fn sync_if_buffered(&mut self) -> Result<(), StorageError> {
        if self.durability == Durability::Buffered { self.sync() } else { Ok(()) }
    }

    /// Syncs, and lets go of the file.
    pub(crate) fn close(&mut self) -> Result<(), StorageError> {
        let synced = self.sync();
        self.open = None;
        synced
    }

    /// Takes what torn lines were found since it was last asked.
    pub(crate) fn take_mended(&mut self) -> Vec<TornTail> {
        std::mem::take(&mut self.mended)
    }

    /// Lets go of the file, which is about to be removed.
    pub(crate) fn forget(&mut self, id: FileId) {
        if self.open.as_ref().is_some_and(|open| open.id == id) {
            self.open = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;
    use crate::fs::clock::by_hand::ByHand;
    use crate::observer::NoObserver;
    use crate::recovery;

    thread_local! {
        static TURN: Cell<Turn> = const { Cell::new(Turn(0)) };
    }

    fn next_turn() -> Turn {
        TURN.set(Turn(TURN.get().0 + 1));
        TURN.get()
    }

    #[test]
    fn each_day_has_its_segment_even_when_the_clock_jumps_back() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("audit"));
        recovery::create(&folder).unwrap();
        let (mut erasures, mut observer) = companions(&folder);
        let clock = ByHand::<0>;
        let active = ActiveSegment::new(folder.clone(), 40, Durability::Sync);
        let mut active = active.with_clock(clock.clock());
        let mut append = |moment: &str, line: &str| {
            clock.set(moment);
            one_line(line, |lines| active.append(next_turn(), &mut erasures, &mut observer, lines))
                .unwrap();
        };
        append("2026-01-28T23:59:59.999999", "the last of the day\n");
        append("2026-01-29T00:00:00", "the first of the next\n");
        append("2026-01-28T23:59:59.5", "the clock jumped back\n");
        append("2026-01-28T23:59:59.6", "which filled the segment\n");
        append("2026-01-29T00:00:01", "and on\n");
        let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(
            text("audit_20260128_001.jsonl"),
            "the last of the day\nthe clock jumped back\n"
        );
        assert_eq!(text("audit_20260128.jsonl"), "which filled the segment\n");
        assert_eq!(text("audit_20260129.jsonl"), "the first of the next\nand on\n");
    }

    fn layout(folder: &Folder) -> u64 {
        epoch::Stamp::read(folder).unwrap().numbers.layout
    }

    fn companions(folder: &Folder) -> (Erasures, NoObserver) {
        let mut observer = NoObserver;
        (Erasures::recover(folder.clone(), &mut observer).unwrap().0, observer)
    }

    fn one_line<T>(line: &str, append: impl FnOnce(&Appended<'_>) -> T) -> T {
        let end = LineEnd { at: line.len(), leaf: None };
        append(&Appended { bytes: line.as_bytes(), ends: &[end] })
    }

    fn append(active: &mut ActiveSegment, folder: &Folder, line: &str) {
        let (mut erasures, mut observer) = companions(folder);
        one_line(line, |lines| active.append(next_turn(), &mut erasures, &mut observer, lines))
            .unwrap();
    }

    thread_local! {
        static SYNCED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
        static SYNC_FAILS: Cell<bool> = const { Cell::new(false) };
    }

    /// Remembers which files were synced; fails once when told to.
    fn sync_or_fail(file: &File) -> io::Result<()> {
        let id = FileId::of(&file.metadata()?);
        SYNCED.with_borrow_mut(|synced| synced.push(id.number()));
        if SYNC_FAILS.replace(false) { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
    }

    #[test]
    fn after_a_failed_sync_nothing_on_that_file_is_acknowledged_again() {
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
                active.append(next_turn(), &mut erasures, &mut observer, lines)
            });
            let failed = refused.unwrap_err();
            assert_eq!(failed.durable_lines, 0);
            assert!(layout(&folder) > before, "an append that was undone");
            let distrusted = SYNCED.take();
            if close_between {
                // A flush must not call a sync of that file a success.
                active.sync().unwrap();
            }
            append(&mut active, &folder, "next\n");
            active.close().unwrap();
            let synced = SYNCED.take();
            assert!(synced.iter().all(|file| !distrusted.contains(file)), "{synced:?}");
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

    thread_local! {
        static WATCHED: RefCell<Option<Folder>> = const { RefCell::new(None) };
        static LAYOUT_AT_SYNC: Cell<u64> = const { Cell::new(0) };
    }

    fn note_layout(_: &File) -> io::Result<()> {
        LAYOUT_AT_SYNC.set(WATCHED.with_borrow(|folder| layout(folder.as_ref().unwrap())));
        Ok(())
    }

    /// A process that dies in between has told of the line, which the next one to write must know.
    #[test]
    fn what_is_appended_behind_a_later_day_is_told_before_and_after() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("audit"));
        recovery::create(&folder).unwrap();
        WATCHED.set(Some(folder.clone()));
        let new = || ActiveSegment::new(folder.clone(), 1_000, Durability::Sync);
        let (behind, ahead) = (ByHand::<8>, ByHand::<9>);
        behind.set("2026-01-28T23:59:59");
        ahead.set("2026-01-29T00:00:00");
        let mut late = new().with_clock(behind.clock()).syncing_with(note_layout);
        append(&mut late, &folder, "the first\n");
        append(&mut new().with_clock(ahead.clock()), &folder, "of the next day\n");
        let before = layout(&folder);
        append(&mut late, &folder, "and another\n");
        let while_syncing = LAYOUT_AT_SYNC.get();
        assert!(before < while_syncing && while_syncing < layout(&folder));
    }

    /// As on a file system that is read-only for a while: neither writing nor cutting the file succeeds.
    #[test]
    fn where_nothing_was_written_nothing_has_to_be_undone() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("audit"));
        recovery::create(&folder).unwrap();
        let mut active = ActiveSegment::new(folder.clone(), 1_000, Durability::Sync);
        append(&mut active, &folder, "before\n");
        let open = active.open.as_mut().unwrap();
        let path = open.path.clone();
        let writable = std::mem::replace(&mut open.file, File::open(&path).unwrap());
        let (mut erasures, mut observer) = companions(&folder);
        one_line("refused\n", |lines| {
            active.append(next_turn(), &mut erasures, &mut observer, lines)
        })
        .unwrap_err();
        active.open.as_mut().unwrap().file = writable;
        append(&mut active, &folder, "after\n");
        assert_eq!(fs::read_to_string(path).unwrap(), "before\nafter\n");
    }

    #[test]
    fn retiring_a_distrusted_segment_keeps_what_another_process_wrote_to_it() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("audit"));
        recovery::create(&folder).unwrap();
        let new = || ActiveSegment::new(folder.clone(), 1_000, Durability::Sync);
        let (mut one, mut other) = (new(), new());
        append(&mut one, &folder, "x\n");
        // As after a sync that failed: rolled back to nothing, and not trusted.
        let open = one.open.as_mut().unwrap();
        open.file.set_len(0).unwrap();
        (open.length, open.distrusted) = (0, true);
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
    fn after_a_failed_sync_others_keep_off_that_file_too() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("audit"));
        recovery::create(&folder).unwrap();
        let new = || ActiveSegment::new(folder.clone(), 1_000, Durability::Sync);
        let (mut one, mut other) = (new(), new());
        one.sync_data = sync_or_fail;
        append(&mut one, &folder, "acknowledged\n");
        SYNC_FAILS.set(true);
        let (mut erasures, mut observer) = companions(&folder);
        one_line("refused\n", |lines| one.append(next_turn(), &mut erasures, &mut observer, lines))
            .unwrap_err();
        append(&mut other, &folder, "next\n");
        let listed = folder.list().unwrap();
        let text = |number: usize| fs::read_to_string(folder.segment(listed[number].name)).unwrap();
        assert_eq!((text(0).as_str(), text(1).as_str()), ("acknowledged\n", "next\n"));
    }

    #[test]
    fn there_is_no_room_at_once_where_others_have_been() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("audit"));
        recovery::create(&folder).unwrap();
        let new = || ActiveSegment::new(folder.clone(), 20, Durability::Buffered);
        let (mut one, mut other) = (new(), new());
        append(&mut one, &folder, "x\n");
        assert!(one.has_room_for(2, next_turn()));
        append(&mut other, &folder, "which fills the segment\n");
        assert!(!one.has_room_for(2, next_turn()));
    }

    #[test]
    fn opening_a_segment_is_told_to_all() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("audit"));
        recovery::create(&folder).unwrap();
        let before = layout(&folder);
        let mut one = ActiveSegment::new(folder.clone(), 1_000, Durability::Sync);
        append(&mut one, &folder, "x\n");
        let created = layout(&folder);
        assert!(created > before, "a new segment");
        append(&mut one, &folder, "y\n");
        assert_eq!(layout(&folder), created, "appending alone is not told");
        let mut other = ActiveSegment::new(folder.clone(), 1_000, Durability::Sync);
        append(&mut other, &folder, "z\n");
        assert!(layout(&folder) > created, "a segment that is opened again");
    }
}
