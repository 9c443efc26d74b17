//! Epochs: counters in `.attestry/generation` that invalidate what processes have cached of a folder.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use attestry_core::StorageError;

use crate::fs::layout::Folder;
use crate::fs::open;
use crate::fs::sys::{self, IoMode};
use crate::fs::version::UnknownVersion;

/// Digits of each counter.
const DIGITS: usize = 20;
/// Two counters, a space and a line break.
const TEXT_BYTES: usize = 2 * DIGITS + 2;

/// The file of a later version begins with this; that of the first version has no version.
const VERSIONED: &[u8] = b"attestry-";

/// The layout epoch as it is written.
pub(crate) type LayoutDigits = [u8; DIGITS];

/// The state of a folder. What was cached of the folder is valid while this is the same.
///
/// The epochs are raised under the store lock. The time of the folder's last change shows, to the
/// resolution of the file system's clock, what the Python package does, and that the folder itself was
/// moved or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) epochs: Epochs,
    /// Seconds and nanoseconds.
    changed: (i64, i64),
}

/// Cached handles of what a stamp is read from; a path lookup costs more than the read. Drop them when
/// the stamp changes: the paths may name new files.
#[derive(Debug, Default)]
pub(crate) struct StampFiles {
    folder: Option<File>,
    epochs: Option<File>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Epochs {
    /// Raised when segments are created, opened for appending, renamed or unlinked, when an append is
    /// undone, and before and after an append to a segment that is not the newest.
    pub(crate) layout: u64,
    /// Raised when lines are erased.
    pub(crate) erasures: u64,
}

impl Stamp {
    pub(crate) fn read(folder: &Folder) -> Result<Self, StorageError> {
        Self::read_with(folder, &mut StampFiles::default())
    }

    /// [`read`](Self::read) that caches the handles in `files`.
    pub(crate) fn read_with(folder: &Folder, files: &mut StampFiles) -> Result<Self, StorageError> {
        let failed = |source| StorageError::io("list", folder.path(), source);
        let file = match &mut files.folder {
            Some(file) => file,
            none => none.insert(File::open(folder.path()).map_err(failed)?),
        };
        // The time first: a change in between makes the stamp older than what is read after it.
        let metadata = file.metadata().map_err(failed)?;
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        Ok(Self { epochs: read_epochs(folder, &mut files.epochs)?, changed })
    }

    /// The stamp by the handles that are open, without waiting for the disk; `None` where that is not
    /// possible.
    pub(crate) fn read_cached(files: &StampFiles) -> Option<Self> {
        let StampFiles { folder: Some(folder), epochs: Some(epochs) } = files else {
            return None;
        };
        let metadata = folder.metadata().ok()?;
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        let mut text = [0; TEXT_BYTES];
        sys::read_at_with(epochs, &mut text, 0, IoMode::Cached).ok()?;
        Some(Self { epochs: Epochs::parse(&text), changed })
    }

    /// The stamp after one erasure and nothing else.
    pub(crate) fn after_one_erasure(self) -> Self {
        let erasures = self.epochs.erasures.wrapping_add(1);
        Self { epochs: Epochs { erasures, ..self.epochs }, ..self }
    }
}

impl Epochs {
    /// What is not a number counts as 0.
    fn parse(text: &[u8]) -> Self {
        let mut numbers = text.split(|byte| !byte.is_ascii_digit()).map(|digits| {
            str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0)
        });
        let mut next = || numbers.next().unwrap_or(0);
        Self { layout: next(), erasures: next() }
    }
}

fn read_epochs(folder: &Folder, cached: &mut Option<File>) -> Result<Epochs, StorageError> {
    let mut text = [0; TEXT_BYTES];
    let read = match cached {
        Some(file) => sys::read_at(file, &mut text, 0),
        None => open::read(&folder.epochs())
            .and_then(|file| sys::read_at(cached.insert(file), &mut text, 0)),
    };
    match read {
        Ok(_) if text.starts_with(VERSIONED) => {
            let version = text.split(u8::is_ascii_whitespace).next().unwrap_or_default();
            let source = UnknownVersion::error(String::from_utf8_lossy(version), "1");
            Err(StorageError::io("read", folder.epochs(), source))
        }
        Ok(_) => Ok(Epochs::parse(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Epochs::default()),
        Err(source) => Err(StorageError::io("read", folder.epochs(), source)),
    }
}

/// The layout epoch, to be compared only: it is read for each batch. The handle is cached in `cached`.
pub(crate) fn layout(
    folder: &Folder,
    cached: &mut Option<File>,
) -> Result<LayoutDigits, StorageError> {
    let failed = |source| StorageError::io("read", folder.epochs(), source);
    let file = match cached {
        Some(file) => file,
        none => none.insert(open::read(&folder.epochs()).map_err(failed)?),
    };
    let mut digits = [0; DIGITS];
    sys::read_at(file, &mut digits, 0).map_err(failed)?;
    Ok(digits)
}

/// The erasure epoch.
pub(crate) fn erasures(folder: &Folder) -> Result<u64, StorageError> {
    Ok(read_epochs(folder, &mut None)?.erasures)
}

/// Creates the file if it is missing, so that readers can keep it open. The caller holds the store
/// lock.
pub(crate) fn create(folder: &Folder) -> Result<(), StorageError> {
    let path = folder.epochs();
    let exists = open::exists(&path).map_err(|source| StorageError::io("examine", path, source))?;
    if exists { Ok(()) } else { write(folder, Epochs::default()) }
}

/// Makes all processes list the segments again. The caller holds the store lock.
pub(crate) fn bump_layout(folder: &Folder) -> Result<(), StorageError> {
    let epochs = read_epochs(folder, &mut None)?;
    write(folder, Epochs { layout: epochs.layout.wrapping_add(1), ..epochs })
}

/// Makes all processes look for erased lines. The caller holds the store lock.
pub(crate) fn bump_erasures(folder: &Folder) -> Result<(), StorageError> {
    let epochs = read_epochs(folder, &mut None)?;
    write(folder, Epochs { erasures: epochs.erasures.wrapping_add(1), ..epochs })
}

fn write(folder: &Folder, epochs: Epochs) -> Result<(), StorageError> {
    let path = folder.epochs();
    let failed = |source| StorageError::io("write", &path, source);
    let file = open::read_write_or_create(&path).map_err(failed)?;
    // Always twenty digits: a reader never sees a shorter number in between.
    let text = format!("{:020} {:020}\n", epochs.layout, epochs.erasures);
    sys::write_all_at(&file, text.as_bytes(), 0).map_err(failed)
}
