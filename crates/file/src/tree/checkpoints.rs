//! The signed checkpoints: `.attestry/checkpoints/`, a file for each day, notes one behind the
//! other. Cosigned ones come later and lie beside them, in `YYYYMMDD.cosigned`.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use attestry_core::Timestamp;
use attestry_evidence::Checkpoint;

use crate::fs::sys;
use crate::recovery;

/// A note where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) path: PathBuf,
    pub(super) offset: u64,
    /// The checkpoint with its signatures; empty where what stands there is no text.
    pub(super) text: String,
}

impl Stored {
    /// What it says, whoever signed it; `None` of what is no checkpoint.
    pub(super) fn unproven(&self) -> Option<Checkpoint> {
        unproven(&self.text)
    }
}

/// What a note says, whoever signed it.
pub(super) fn unproven(note: &str) -> Option<Checkpoint> {
    note[..note.find("\n\n")? + 1].parse().ok()
}

/// The folder, and the latest of its own.
#[derive(Debug)]
pub(super) struct Checkpoints {
    folder: PathBuf,
    /// The newest file, how much of it was read, and up to where that is whole notes.
    read: Option<(PathBuf, u64, u64)>,
    latest: Option<String>,
    /// The file whose name this process has put on stable storage. One that is there may be that of
    /// a process which died before it had.
    named: Option<PathBuf>,
}

impl Checkpoints {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, read: None, latest: None, named: None }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The latest that was signed here.
    pub(super) fn latest(&mut self) -> io::Result<Option<&str>> {
        for path in self.files("")?.iter().rev() {
            let length = fs::metadata(path)?.len();
            if self.read.as_ref().is_some_and(|(known, read, _)| known == path && *read == length) {
                break;
            }
            let bytes = fs::read(path)?;
            let (notes, whole) = split(&bytes);
            if self.read.as_ref().is_none_or(|(known, ..)| known <= path) {
                self.read = Some((path.clone(), bytes.len() as u64, whole as u64));
            }
            let last = notes.into_iter().rfind(|(_, note)| unproven(note).is_some());
            if let Some((_, note)) = last {
                self.latest = Some(note.to_owned());
                break;
            }
        }
        Ok(self.latest.as_deref())
    }

    /// Sets aside what a crash left of a note, in a file of its own in `quarantine`.
    pub(super) fn mend(&self, quarantine: &Path) -> io::Result<()> {
        for ending in ["", ".cosigned"] {
            let Some(path) = self.files(ending)?.pop() else { continue };
            let bytes = fs::read(&path)?;
            let whole = kept(&bytes);
            if whole == bytes.len() {
                continue;
            }
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let name = format!("checkpoints.{name}.{whole}");
            recovery::set_aside(quarantine, &name, |copy| copy.write_all(&bytes[whole..]))?;
            let file = sys::open_read_write(&path)?;
            file.set_len(whole as u64)?;
            file.sync_data()?;
        }
        Ok(())
    }

    /// Appends a note that was just signed; it is on stable storage when this returns.
    pub(super) fn append(&mut self, note: &str) -> io::Result<()> {
        self.latest()?;
        let today = self.folder.join(day());
        let (path, whole) = match &self.read {
            // The clock may have jumped back.
            Some((path, _, whole)) if *path >= today => (path.clone(), *whole),
            _ => (today, 0),
        };
        append(&path, whole, note)?;
        if self.named.as_ref() != Some(&path) {
            sys::sync_folder(&self.folder)?;
            self.named = Some(path.clone());
        }
        let length = whole + note.len() as u64;
        self.read = Some((path, length, length));
        self.latest = Some(note.to_owned());
        Ok(())
    }

    /// Appends a note with signatures of witnesses.
    pub(super) fn append_cosigned(&mut self, note: &str) -> io::Result<()> {
        let path = self.folder.join(format!("{}.cosigned", day()));
        let whole = match fs::read(&path) {
            Ok(bytes) => split(&bytes).1,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        append(&path, whole as u64, note)?;
        sys::sync_folder(&self.folder)
    }

    /// All notes of the newest file with cosigned ones.
    pub(super) fn newest_cosigned(&self) -> io::Result<Vec<Stored>> {
        match self.files(".cosigned")?.pop() {
            Some(path) => notes_of(&path),
            None => Ok(Vec::new()),
        }
    }

    /// Hands out all that is there, own and cosigned, and what is no note; a file at a time is in
    /// memory.
    pub(super) fn for_each(&self, mut take: impl FnMut(Stored)) -> io::Result<()> {
        for path in self.files("")?.iter().chain(&self.files(".cosigned")?) {
            notes_of(path)?.into_iter().for_each(&mut take);
        }
        Ok(())
    }

    /// The files `YYYYMMDD` with this ending, the oldest first.
    fn files(&self, ending: &str) -> io::Result<Vec<PathBuf>> {
        let items = match fs::read_dir(&self.folder) {
            Ok(items) => items,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for item in items {
            let item = item?;
            let name = item.file_name();
            let day = name.to_str().and_then(|name| name.strip_suffix(ending));
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

/// Writes `note` at `whole`, in the place of what was torn there. The file's name is not synced.
fn append(path: &Path, whole: u64, note: &str) -> io::Result<()> {
    if !path.exists()
        && let Some(folder) = path.parent()
    {
        sys::create_folder(folder)?;
    }
    let file = sys::open_read_write(path)?;
    if sys::length_of(&file)? != whole {
        file.set_len(whole)?;
    }
    sys::write_all_at(&file, note.as_bytes(), whole)?;
    file.sync_data()
}

fn notes_of(path: &Path) -> io::Result<Vec<Stored>> {
    let bytes = fs::read(path)?;
    let (notes, whole) = split(&bytes);
    let stored = |offset, text: &str| {
        let (path, offset) = (path.to_path_buf(), offset as u64);
        Stored { path, offset, text: text.to_owned() }
    };
    let mut found: Vec<_> = notes.into_iter().map(|(offset, note)| stored(offset, note)).collect();
    if whole < bytes.len() {
        found.push(stored(whole, ""));
    }
    Ok(found)
}

/// Up to where a crash has left what was written. Each note is synced before the next, so that only
/// the last can be torn. A power cut may keep its end and lose what is before: that reads as zeros.
fn kept(bytes: &[u8]) -> usize {
    let (notes, whole) = split(bytes);
    let is_torn = |note: &str| unproven(note).is_none() || note.contains('\0');
    notes.last().filter(|(_, note)| is_torn(note)).map_or(whole, |(start, _)| *start)
}

/// The notes in `bytes` with where they begin, and where the last whole one ends. A note ends with
/// lines of signatures, which begin with a dash; what is no text is an empty note.
pub(super) fn split(bytes: &[u8]) -> (Vec<(usize, &str)>, usize) {
    const SIGNATURE: &[u8] = "— ".as_bytes();
    let mut notes = Vec::new();
    let (mut start, mut whole, mut signed) = (0, 0, false);
    let mut at = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let signature = line.starts_with(SIGNATURE) && line.ends_with(b"\n");
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
        key().sign(size, Hash::from_bytes([size as u8; 32]))
    }

    fn all(checkpoints: &Checkpoints) -> Vec<Stored> {
        let mut all = Vec::new();
        checkpoints.for_each(|note| all.push(note)).unwrap();
        all
    }

    #[test]
    fn what_was_torn_makes_room_for_the_next() {
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
        open().mend(&quarantine).unwrap();
        open().mend(&quarantine).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), two);
        let set_aside: Vec<_> = fs::read_dir(&quarantine).unwrap().collect();
        assert_eq!(set_aside.len(), 1);
        assert_eq!(fs::read_to_string(set_aside[0].as_ref().unwrap().path()).unwrap(), torn);
    }

    #[test]
    fn a_note_that_lost_a_part_is_set_aside() {
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
                open().mend(&quarantine).unwrap();
                assert_eq!(fs::read_to_string(&file).unwrap(), note(1), "{lost:?}");
            }
        }
        fs::write(&file, [note(1), last.clone()].concat()).unwrap();
        open().mend(&quarantine).unwrap();
        assert_eq!(open().latest().unwrap(), Some(&*last));
    }

    #[test]
    fn another_process_may_append() {
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
        let sizes: Vec<u64> = all.iter().map(|note| note.unproven().unwrap().size()).collect();
        assert_eq!(sizes, [1, 2, 3, 4, 5, 2]);
    }
}
