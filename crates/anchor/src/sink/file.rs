//! Writes checkpoints to files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use attestry_evidence::SignedCheckpoint;
use attestry_file::FileStorage;

use crate::anchor::{Anchor, AnchorError, HandedOver};

/// Writes each checkpoint to a file of its own in a folder, such as a mounted share or a file system whose
/// files cannot be changed.
///
/// The file is named by origin, number of leaves and the start of the root. It is on stable storage, under
/// its final name, before the hand-over succeeds. The folder must exist: a share that is not mounted
/// must not be mistaken for a local folder.
#[derive(Debug, Clone)]
pub struct FolderSink {
    folder: PathBuf,
}

impl FolderSink {
    /// Writes to `folder`.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }
}

/// Appends each checkpoint to a file. The file may be created, its folder must exist. Each checkpoint
/// ends with its signature lines, and the next follows.
#[derive(Debug, Clone)]
pub struct FileSink {
    file: PathBuf,
}

impl FileSink {
    /// Appends to `file`.
    #[must_use]
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into() }
    }
}

#[async_trait]
impl Anchor for FolderSink {
    fn name(&self) -> String {
        format!("folder {}", self.folder.display())
    }

    async fn hand_over(
        &self,
        checkpoint: &SignedCheckpoint,
        _: &FileStorage,
    ) -> Result<HandedOver, AnchorError> {
        let (folder, note) = (self.folder.clone(), checkpoint.clone());
        in_background(&self.folder, move || write_new(&folder, &note)).await
    }
}

#[async_trait]
impl Anchor for FileSink {
    fn name(&self) -> String {
        format!("file {}", self.file.display())
    }

    async fn hand_over(
        &self,
        checkpoint: &SignedCheckpoint,
        _: &FileStorage,
    ) -> Result<HandedOver, AnchorError> {
        let (file, note) = (self.file.clone(), checkpoint.clone());
        in_background(&self.file, move || append(&file, note.as_str().as_bytes())).await
    }
}

async fn in_background(
    path: &Path,
    write: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> Result<HandedOver, AnchorError> {
    let written = tokio::task::spawn_blocking(write).await;
    let written = written.unwrap_or_else(|error| Err(io::Error::other(error)));
    let failed = |source| AnchorError::Io { path: path.display().to_string(), source };
    written.map(|()| HandedOver::default()).map_err(failed)
}

/// A file name for a checkpoint, for sinks that keep each in a file or object of its own: origin, number of
/// leaves and the start of the root. Names of one log sort by size.
///
/// ```
/// use attestry_evidence::{Hash, SigningKey};
///
/// let checkpoint = SigningKey::from_seed("a.example/log", &[7; 32])?.sign(0, Hash::EMPTY_TREE);
/// let name = attestry_anchor::checkpoint_file_name(&checkpoint);
/// assert_eq!(name, "a.example_log-00000000000000000000-47DEQpj8HBSa.checkpoint");
/// # Ok::<(), attestry_evidence::InvalidKey>(())
/// ```
#[must_use]
pub fn checkpoint_file_name(note: &SignedCheckpoint) -> String {
    let mut lines = note.as_str().lines();
    let (origin, size) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let root = lines.next().unwrap_or_default();
    let root: String = root.chars().filter(char::is_ascii_alphanumeric).take(12).collect();
    format!("{}-{size:0>20}-{root}.checkpoint", plain(origin))
}

/// `origin` as a part of a file name.
pub(super) fn plain(origin: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-.".contains(c) { c } else { '_' };
    let text: String = origin.chars().map(plain).take(100).collect();
    text.trim_start_matches('.').to_owned()
}

fn write_new(folder: &Path, note: &SignedCheckpoint) -> io::Result<()> {
    let path = folder.join(checkpoint_file_name(note));
    let bytes = note.as_str().as_bytes();
    match fs::read(&path) {
        Ok(stored) if stored == bytes => return Ok(()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let temporary =
        folder.join(format!(".{}.{}.tmp", checkpoint_file_name(note), std::process::id()));
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, &path)?;
    File::open(folder)?.sync_all()
}

fn append(path: &Path, note: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let length = file.seek(SeekFrom::End(0))?;
    let mut last = vec![0; note.len().min(usize::try_from(length).unwrap_or(usize::MAX))];
    file.seek(SeekFrom::End(-(last.len() as i64)))?;
    file.read_exact(&mut last)?;
    if last == note {
        // Handed over before, and perhaps not synced.
        return file.sync_all();
    }
    // An empty line ends a note that a crash cut short.
    let torn = last.last().is_some_and(|byte| *byte != b'\n');
    let bytes = [if torn { &b"\n\n"[..] } else { b"" }, note].concat();
    file.write_all(&bytes)?;
    file.sync_all()?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(origin: &str, size: u64) -> SignedCheckpoint {
        let key = attestry_evidence::SigningKey::from_seed(origin, &[7; 32]).unwrap();
        key.sign(size, attestry_evidence::leaf_hash(b"x"))
    }

    #[test]
    fn names_are_plain_and_in_the_order_of_sizes() {
        let names = [note("a.example/log", 9), note("a.example/log", 10)]
            .map(|note| checkpoint_file_name(&note));
        assert!(names[0] < names[1], "{names:?}");
        assert!(names[0].starts_with("a.example_log-00000000000000000009-"), "{names:?}");
        assert!(!checkpoint_file_name(&note("../../etc", 1)).contains('/'));
        assert!(!checkpoint_file_name(&note("..", 1)).starts_with('.'));
    }

    #[test]
    fn file_gets_each_checkpoint_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all");
        let notes = [note("o", 1), note("o", 2)].map(String::from);
        for (index, times) in [(0, 2), (1, 3)] {
            for _ in 0..times {
                append(&path, notes[index].as_bytes()).unwrap();
            }
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), notes.concat());
        // A crash in the middle of an append.
        for cut in 1..notes[1].len() {
            let torn = [&*notes[0], &notes[1][..notes[1].floor_char_boundary(cut)]].concat();
            fs::write(&path, &torn).unwrap();
            append(&path, notes[1].as_bytes()).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            assert!(
                text.starts_with(&torn) && text.ends_with(&format!("\n{}", notes[1])),
                "{text}"
            );
        }
    }

    #[test]
    fn folder_must_exist_and_gets_each_checkpoint_once() {
        let folder = tempfile::tempdir().unwrap();
        let missing = write_new(&folder.path().join("missing"), &note("o", 1)).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        for note in [note("o", 1), note("o", 1), note("o", 2)] {
            write_new(folder.path(), &note).unwrap();
            let path = folder.path().join(checkpoint_file_name(&note));
            assert_eq!(fs::read_to_string(path).unwrap(), note.as_str());
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
