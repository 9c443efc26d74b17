//! The stored checkpoints: `.attestry/checkpoints/`.
//!
//! `YYYYMMDD` holds the signed notes of a day, one after another; `YYYYMMDD.cosigned` those of them
//! that came back with cosignatures.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use attestry_core::Timestamp;
use attestry_evidence::Checkpoint;

use super::error::{EvidenceError, Result};
use super::text_lines::{MAX_LINE_BYTES, TextLine, TextLines};
use crate::fs::layout::Folder;
use crate::fs::{open, sys};
use crate::quarantine::{CHECKPOINT_PREFIX, set_aside};

const COSIGNED: &str = ".cosigned";

/// A signature line begins with this.
const SIGNATURE: &str = "— ";

/// The end of a file that is read to find its last notes, which have some hundred bytes each.
const TAIL_BYTES: u64 = 1 << 20;

/// A note in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredNote {
    pub(super) path: PathBuf,
    pub(super) offset: u64,
    /// The checkpoint with its signatures; empty if the bytes there are not UTF-8 or not a whole note.
    pub(super) text: String,
}

/// The checkpoint of a note, without verifying its signatures; `None` if it is not a checkpoint.
pub(super) fn parse_unverified(note: &str) -> Option<Checkpoint> {
    note[..note.find("\n\n")? + 1].parse().ok()
}

/// The files, with the latest checkpoint in memory.
#[derive(Debug)]
pub(super) struct Checkpoints {
    folder: PathBuf,
    newest: Option<Newest>,
    latest: Option<String>,
    /// The file whose name this process has synced. An existing file may have been created by a process
    /// that died before it synced the folder.
    name_synced: Option<PathBuf>,
    /// Files whose last note is of this tree.
    checked: BTreeSet<PathBuf>,
}

/// The newest file without cosignatures.
#[derive(Debug)]
struct Newest {
    path: PathBuf,
    read_len: u64,
    /// Bytes of whole notes.
    whole_len: u64,
}

impl Checkpoints {
    /// Those of the store in `folder`.
    pub(super) fn of(folder: &Folder) -> Self {
        Self::new(folder.private().join("checkpoints"))
    }

    fn new(folder: PathBuf) -> Self {
        Self { folder, newest: None, latest: None, name_synced: None, checked: BTreeSet::new() }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The latest checkpoint without cosignatures, by this or another process.
    pub(super) fn latest(&mut self) -> Result<Option<&str>> {
        for path in self.files("")?.iter().rev() {
            let length = open::metadata(path).map_err(failed("read", path))?.len();
            let newest = self.newest.as_ref();
            if newest.is_some_and(|known| known.path == *path && known.read_len == length) {
                break;
            }
            let tail = Tail::read(path)?;
            if newest.is_none_or(|known| known.path <= *path) {
                let (read_len, whole_len) = (tail.file_len(), tail.whole_len());
                self.newest = Some(Newest { path: path.clone(), read_len, whole_len });
            }
            let last = tail.notes().into_iter().rfind(|(_, note)| parse_unverified(note).is_some());
            if let Some((_, note)) = last {
                self.latest = Some(note.to_owned());
                break;
            }
        }
        Ok(self.latest.as_deref())
    }

    /// When the latest checkpoint was written, by the time of its file.
    pub(super) fn latest_time(&mut self) -> Result<Option<Timestamp>> {
        if self.latest()?.is_none() {
            return Ok(None);
        }
        let Some(newest) = &self.newest else { return Ok(None) };
        let modified = open::metadata(&newest.path).and_then(|metadata| metadata.modified());
        let modified = modified.map_err(failed("examine", &newest.path))?;
        Ok(Timestamp::try_from(modified).ok())
    }

    /// The last note of each file that was not [checked](Self::set_checked) yet, but that of the latest
    /// checkpoint.
    pub(super) fn take_unchecked(&mut self) -> Result<Vec<(PathBuf, String)>> {
        let mut files = self.files("")?;
        files.pop();
        files.extend(self.files(COSIGNED)?);
        let mut last = Vec::new();
        for path in files.into_iter().filter(|path| !self.checked.contains(path)) {
            let tail = Tail::read(&path)?;
            // A torn one is none.
            let note = tail.notes().pop().filter(|_| tail.whole_len() == tail.file_len());
            if let Some(note) = note.map(|(_, note)| note.to_owned()) {
                last.push((path, note));
            }
        }
        Ok(last)
    }

    /// The file does not change any more, and its last note is of this tree.
    pub(super) fn set_checked(&mut self, path: PathBuf) {
        self.checked.insert(path);
    }

    /// Moves a torn note at the end of the newest files to `quarantine`.
    pub(super) fn repair_torn_tail(&self, quarantine: &Path) -> Result<()> {
        for suffix in ["", COSIGNED] {
            let Some(path) = self.files(suffix)?.pop() else { continue };
            let tail = Tail::read(&path)?;
            let intact = tail.start + intact_len(&tail.bytes) as u64;
            let torn = &tail.bytes[(intact - tail.start) as usize..];
            if torn.is_empty() {
                continue;
            }
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let name = format!("{CHECKPOINT_PREFIX}{name}.{intact}");
            let cut_off = || {
                set_aside(quarantine, &name, |copy| copy.write_all(torn))?;
                let file = open::read_write(&path)?;
                file.set_len(intact)?;
                file.sync_data()
            };
            cut_off().map_err(failed("repair", &path))?;
        }
        Ok(())
    }

    /// Appends a new checkpoint; durable when this returns.
    pub(super) fn append(&mut self, note: &str) -> Result<()> {
        self.latest()?;
        let today = self.folder.join(day());
        let (path, whole_len) = match &self.newest {
            // Also if the clock went back.
            Some(newest) if newest.path >= today => (newest.path.clone(), newest.whole_len),
            _ => (today, 0),
        };
        append(&path, whole_len, note).map_err(failed("write a checkpoint to", &path))?;
        if self.name_synced.as_ref() != Some(&path) {
            sys::sync_folder(&self.folder).map_err(failed("sync", &self.folder))?;
            self.name_synced = Some(path.clone());
        }
        let length = whole_len + note.len() as u64;
        self.newest = Some(Newest { path, read_len: length, whole_len: length });
        self.latest = Some(note.to_owned());
        Ok(())
    }

    /// Appends a cosigned checkpoint; durable when this returns.
    pub(super) fn append_cosigned(&mut self, note: &str) -> Result<()> {
        let path = self.folder.join(format!("{}{COSIGNED}", day()));
        let exists = open::exists(&path).map_err(failed("examine", &path))?;
        let whole_len = if exists { Tail::read(&path)?.whole_len() } else { 0 };
        append(&path, whole_len, note).map_err(failed("write a checkpoint to", &path))?;
        sys::sync_folder(&self.folder).map_err(failed("sync", &self.folder))
    }

    /// The last notes of the newest file with cosignatures.
    pub(super) fn newest_cosigned(&self) -> Result<Vec<String>> {
        let Some(path) = self.files(COSIGNED)?.pop() else { return Ok(Vec::new()) };
        Ok(Tail::read(&path)?.notes().into_iter().map(|(_, note)| note.to_owned()).collect())
    }

    /// Visits all notes without, then all with cosignatures. Torn and invalid ones have no text. One note
    /// at a time is in memory.
    pub(super) fn for_each(&self, mut visit: impl FnMut(StoredNote)) -> Result<()> {
        for path in self.files("")?.iter().chain(&self.files(COSIGNED)?) {
            visit_notes(path, &mut visit).map_err(failed("read", path))?;
        }
        Ok(())
    }

    /// The files `YYYYMMDD` with this suffix, ascending.
    fn files(&self, suffix: &str) -> Result<Vec<PathBuf>> {
        let items = match fs::read_dir(&self.folder) {
            Ok(items) => items,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(EvidenceError::io("list", &self.folder, error)),
        };
        let mut found = Vec::new();
        for item in items {
            let item = item.map_err(failed("list", &self.folder))?;
            let name = item.file_name();
            let day = name.to_str().and_then(|name| name.strip_suffix(suffix));
            if day.is_some_and(|day| day.len() == 8 && day.bytes().all(|b| b.is_ascii_digit())) {
                found.push(item.path());
            }
        }
        found.sort();
        Ok(found)
    }
}

fn day() -> String {
    let (year, month, day) = Timestamp::now().date();
    format!("{year:04}{month:02}{day:02}")
}

/// Writes `note` behind the whole notes, over a torn one. The file name is not synced.
fn append(path: &Path, whole_len: u64, note: &str) -> io::Result<()> {
    if !open::exists(path)?
        && let Some(folder) = path.parent()
    {
        sys::create_folder(folder)?;
    }
    let file = open::read_write_or_create(path)?;
    if sys::length_of(&file)? != whole_len {
        file.set_len(whole_len)?;
    }
    sys::write_all_at(&file, note.as_bytes(), whole_len)?;
    file.sync_data()
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> EvidenceError {
    let path = path.to_path_buf();
    move |source| EvidenceError::io(action, &path, source)
}

/// The last notes of a file: a file of a day can have many, and nothing needs more of them.
struct Tail {
    /// Where `bytes` begin.
    start: u64,
    /// From the start of a note to the end of the file.
    bytes: Vec<u8>,
}

impl Tail {
    fn read(path: &Path) -> Result<Self> {
        let read = || {
            let file = open::read(path)?;
            let from = sys::length_of(&file)?.saturating_sub(TAIL_BYTES);
            let mut bytes = Vec::new();
            (&file).seek(SeekFrom::Start(from))?;
            (&file).take(2 * TAIL_BYTES).read_to_end(&mut bytes)?;
            Ok((from, bytes))
        };
        let (from, mut bytes) = read().map_err(failed("read", path))?;
        // The first note is cut off, unless this is the beginning of the file.
        let first =
            if from == 0 { Some(0) } else { split(&bytes).0.get(1).map(|(start, _)| *start) };
        let no_note = || EvidenceError::damaged(path, "its end consists of no checkpoints");
        let first = first.ok_or_else(no_note)?;
        bytes.drain(..first);
        Ok(Self { start: from + first as u64, bytes })
    }

    fn notes(&self) -> Vec<(usize, &str)> {
        split(&self.bytes).0
    }

    /// Bytes of the file up to the end of its last whole note.
    fn whole_len(&self) -> u64 {
        self.start + split(&self.bytes).1 as u64
    }

    fn file_len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

/// Visits the notes of a file. One that is too long for a checkpoint, or not UTF-8, has no text.
fn visit_notes(path: &Path, visit: &mut impl FnMut(StoredNote)) -> io::Result<()> {
    let file = open::read(path)?;
    let mut lines = TextLines::new(&file, 0..sys::length_of(&file)?);
    let mut note = StoredNote { path: path.to_path_buf(), offset: 0, text: String::new() };
    let (mut is_valid, mut signed, mut has_lines) = (true, false, false);
    loop {
        let at = lines.offset();
        let line = lines.next()?;
        let signature = matches!(line, Some(TextLine::Whole(line)) if line.starts_with(SIGNATURE));
        if signed && !signature {
            let text = std::mem::take(&mut note.text);
            let text = if is_valid { text } else { String::new() };
            visit(StoredNote { text, ..note.clone() });
            note.offset = at;
            (is_valid, has_lines) = (true, false);
        }
        signed = signature;
        match line {
            None => break,
            Some(TextLine::Whole(line)) if note.text.len() + line.len() < MAX_LINE_BYTES => {
                note.text.push_str(line);
                note.text.push('\n');
            }
            Some(_) => is_valid = false,
        }
        has_lines = true;
    }
    if has_lines {
        note.text.clear();
        visit(note);
    }
    Ok(())
}

/// Bytes that a crash left intact. Each note is synced before the next, so that only the last can be
/// torn. A power cut may keep the end of a note and lose bytes before it, which then read as zeros.
fn intact_len(bytes: &[u8]) -> usize {
    let (notes, whole) = split(bytes);
    let is_torn = |note: &str| parse_unverified(note).is_none() || note.contains('\0');
    notes.last().filter(|(_, note)| is_torn(note)).map_or(whole, |(start, _)| *start)
}

/// The notes in `bytes` with their offsets, and the end of the last whole one. A note ends with its
/// signature lines, which start with a dash. A note that is not UTF-8 is returned empty.
pub(super) fn split(bytes: &[u8]) -> (Vec<(usize, &str)>, usize) {
    let mut notes = Vec::new();
    let (mut start, mut whole, mut signed) = (0, 0, false);
    let mut at = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let signature = line.starts_with(SIGNATURE.as_bytes()) && line.ends_with(b"\n");
        if signed && !signature {
            notes.push((start, std::str::from_utf8(&bytes[start..whole]).unwrap_or_default()));
            start = whole;
        }
        signed = signature;
        at += line.len();
        if signature {
            whole = at;
        }
    }
    if signed {
        notes.push((start, std::str::from_utf8(&bytes[start..whole]).unwrap_or_default()));
    }
    (notes, whole)
}

#[cfg(test)]
mod tests {
    use attestry_evidence::{Hash, SigningKey};

    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_seed("example.com/log", &[7; 32]).unwrap()
    }

    fn note(size: u64) -> String {
        key().sign(size, Hash::from_bytes([size as u8; 32])).to_string()
    }

    fn all(checkpoints: &Checkpoints) -> Vec<StoredNote> {
        let mut all = Vec::new();
        checkpoints.for_each(|note| all.push(note)).unwrap();
        all
    }

    #[test]
    fn torn_note_is_overwritten_or_quarantined() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Checkpoints::new(folder.path().to_path_buf());
        assert_eq!(open().latest().unwrap(), None);
        let mut checkpoints = open();
        checkpoints.append(&note(1)).unwrap();
        checkpoints.append(&note(2)).unwrap();
        assert_eq!(open().latest().unwrap(), Some(&*note(2)));
        let file = checkpoints.files("").unwrap().remove(0);
        let two = [note(1), note(2)].concat();
        for cut in 0..note(3).len() {
            fs::write(&file, [two.as_bytes(), &note(3).as_bytes()[..cut]].concat()).unwrap();
            let mut checkpoints = open();
            assert_eq!(checkpoints.latest().unwrap(), Some(&*note(2)), "cut to {cut}");
            assert_eq!(all(&checkpoints).len(), if cut == 0 { 2 } else { 3 });
            checkpoints.append(&note(4)).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), [&*two, &note(4)].concat());
        }
        let torn = &note(3)[..100];
        fs::write(&file, [&*two, torn].concat()).unwrap();
        let quarantine = folder.path().join("quarantine");
        open().repair_torn_tail(&quarantine).unwrap();
        open().repair_torn_tail(&quarantine).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), two);
        let quarantined: Vec<_> = fs::read_dir(&quarantine).unwrap().collect();
        assert_eq!(quarantined.len(), 1);
        assert_eq!(fs::read_to_string(quarantined[0].as_ref().unwrap().path()).unwrap(), torn);
    }

    #[test]
    fn last_note_with_zeroed_bytes_is_quarantined() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Checkpoints::new(folder.path().to_path_buf());
        open().append(&note(1)).unwrap();
        let file = open().files("").unwrap().remove(0);
        let quarantine = folder.path().join("quarantine");
        let last = note(2);
        for at in 0..last.len() {
            for lost in [at..at + 1, 0..at + 1, at..last.len()] {
                let mut torn = last.clone().into_bytes();
                torn[lost.clone()].fill(0);
                fs::write(&file, [note(1).as_bytes(), &torn].concat()).unwrap();
                open().repair_torn_tail(&quarantine).unwrap();
                assert_eq!(fs::read_to_string(&file).unwrap(), note(1), "{lost:?}");
            }
        }
        fs::write(&file, [note(1), last.clone()].concat()).unwrap();
        open().repair_torn_tail(&quarantine).unwrap();
        assert_eq!(open().latest().unwrap(), Some(&*last));
    }

    #[test]
    fn checkpoints_of_other_processes_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let mut one = Checkpoints::new(folder.path().to_path_buf());
        let mut other = Checkpoints::new(folder.path().to_path_buf());
        for size in 1..6 {
            if size % 2 == 0 { &mut one } else { &mut other }.append(&note(size)).unwrap();
            assert_eq!(one.latest().unwrap(), Some(&*note(size)));
        }
        one.append_cosigned(&note(2)).unwrap();
        assert_eq!(one.latest().unwrap(), Some(&*note(5)));
        let all = all(&one);
        let sizes: Vec<u64> =
            all.iter().map(|note| parse_unverified(&note.text).unwrap().size()).collect();
        assert_eq!(sizes, [1, 2, 3, 4, 5, 2]);
    }
}
