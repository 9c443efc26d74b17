//! Counters that change with everything that voids what a process remembers of a folder.

use std::fs::{self, File};
use std::io;
use std::time::SystemTime;

use attestry_core::StorageError;

use crate::folder::Folder;
use crate::sys;

/// Two numbers of twenty digits each, a space and a line break.
const TEXT_BYTES: usize = 42;

/// What was remembered of a folder holds as long as this stays the same.
///
/// The numbers are raised under the store's lock. The folder's time of change shows, to the
/// resolution of the file system's clock, what the Python package does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) numbers: Numbers,
    changed: SystemTime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Numbers {
    /// Segments were created, opened for appending, renamed or unlinked.
    pub(crate) layout: u64,
    /// Lines were erased.
    pub(crate) erasures: u64,
}

impl Stamp {
    pub(crate) fn read(folder: &Folder) -> Result<Self, StorageError> {
        Self::read_with(folder, &mut None)
    }

    /// [`read`](Self::read), with the counters' file kept open in `counters` for the next time. Let
    /// go of it whenever the stamp has changed: somebody may have put another in its place.
    pub(crate) fn read_with(
        folder: &Folder,
        counters: &mut Option<File>,
    ) -> Result<Self, StorageError> {
        // The time first: a change in between makes the stamp older than what is read after it.
        let changed = fs::metadata(folder.path())
            .and_then(|metadata| metadata.modified())
            .map_err(|source| StorageError::io("list", folder.path(), source))?;
        Ok(Self { numbers: numbers(folder, counters)?, changed })
    }

    /// What this becomes when lines are erased once and nothing else happens.
    pub(crate) fn with_one_more_erasure(self) -> Self {
        let erasures = self.numbers.erasures.wrapping_add(1);
        Self { numbers: Numbers { erasures, ..self.numbers }, ..self }
    }
}

fn numbers(folder: &Folder, counters: &mut Option<File>) -> Result<Numbers, StorageError> {
    let mut text = [0; TEXT_BYTES];
    let read = match counters {
        Some(file) => sys::read_at(file, &mut text, 0),
        None => File::open(folder.generation())
            .and_then(|file| sys::read_at(counters.insert(file), &mut text, 0)),
    };
    match read {
        Ok(_) => {
            let mut numbers = text.split(|byte| !byte.is_ascii_digit()).map(|digits| {
                str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0)
            });
            let mut next = || numbers.next().unwrap_or(0);
            Ok(Numbers { layout: next(), erasures: next() })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Numbers::default()),
        Err(source) => Err(StorageError::io("read", folder.generation(), source)),
    }
}

/// Makes the counters where there are none, so that readers need not look for them again and again.
/// The caller holds the lock.
pub(crate) fn create(folder: &Folder) -> Result<(), StorageError> {
    if folder.generation().exists() { Ok(()) } else { write(folder, Numbers::default()) }
}

/// Tells all processes that segments were created, renamed or unlinked. The caller holds the lock.
pub(crate) fn raise_layout(folder: &Folder) -> Result<(), StorageError> {
    let numbers = numbers(folder, &mut None)?;
    write(folder, Numbers { layout: numbers.layout.wrapping_add(1), ..numbers })
}

/// Tells all processes that lines were erased. The caller holds the lock.
pub(crate) fn raise_erasures(folder: &Folder) -> Result<(), StorageError> {
    let numbers = numbers(folder, &mut None)?;
    write(folder, Numbers { erasures: numbers.erasures.wrapping_add(1), ..numbers })
}

fn write(folder: &Folder, numbers: Numbers) -> Result<(), StorageError> {
    let path = folder.generation();
    let failed = |source| StorageError::io("write", &path, source);
    let file = sys::open_read_write(&path).map_err(failed)?;
    // Twenty digits always: a reader never meets a shorter number in between.
    let text = format!("{:020} {:020}\n", numbers.layout, numbers.erasures);
    sys::write_all_at(&file, text.as_bytes(), 0).map_err(failed)
}
